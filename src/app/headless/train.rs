//! `fp8-studio train`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{self, Receiver};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::args::{PrecisionArg, TrainArgs};
use super::source::{self, Source};
use super::{describe, terminal};
use crate::app::{checking, folds, settings};
use crate::data::{Progress, Samples};
use crate::error::{Place, UserError};
use crate::fp8::Precision;
use crate::plan::memory;
use crate::project::{Gate, Project};
use crate::train::insight::{Insight, Tone};
use crate::train::run_folder::{self, RunFolder};
use crate::train::worker::Start;
use crate::train::{
    Augmentation, Control, DataSize, Event, Fair, Job, Private, StopReason, Summary, TrainConfig,
};

/// Result as `--json` prints it.
#[derive(Serialize)]
struct Report<'a> {
    project: &'a str,
    precision: Precision,
    #[serde(flatten)]
    summary: &'a Summary,
}

/// Trains and shows the results.
pub(super) fn run(args: &TrainArgs) -> Result<(), UserError> {
    let mut source = source::open_with(&args.source, &args.data, !args.quiet)?;
    if !args.resume {
        gate(args, &mut source)?;
    }
    if source.project.prep.recipe.is_some() && !args.quiet {
        super::features::say_skew(&source);
    }
    if let Some(k) = args.folds {
        return cross_validate(args, &source, k);
    }
    let job = job(args, source)?;
    let (project, folder, precision) =
        (job.project.clone(), job.folder.clone(), job.config.precision);
    let title = format!("{project}: predicting \"{}\"", job.schema.target);
    let stop = interrupts()?;
    let handle = crate::train::start(job, Arc::new(|| {}))?;
    let mut watch = Watch::new(args.quiet);
    let summary = loop {
        channel::select! {
            recv(handle.events) -> event => match event {
                Ok(Event::Finished(summary)) => break summary,
                Ok(Event::Failed(error)) => {
                    watch.bar.finish_and_clear();
                    return Err(error);
                }
                Ok(event) => watch.show(&event),
                Err(_) => {
                    return Err(UserError::new("The run ended without a model", ""));
                }
            },
            recv(stop) -> _ => {
                watch.line("Stopping; the best model so far is kept. Ctrl-C again ends at once.");
                let _ = handle.control.send(Control::StopAndKeepBest);
            }
        }
    };
    watch.bar.finish_and_clear();
    if args.json {
        terminal::json(&Report { project: &project, precision, summary: &summary })
    } else {
        terminal::out(&results(&title, precision, &summary, &folder))
    }
}

/// Training waits for serious findings to be fixed or accepted, as in the window.
fn gate(args: &TrainArgs, source: &mut Source) -> Result<(), UserError> {
    // Without the checks that train models: none of those is serious on a table.
    let report = checking::check(
        &source.dataset,
        &source.schema,
        &source.project,
        false,
        &Progress::default(),
    )?;
    if let Some(reason) = &args.accept {
        super::check::accept(&mut source.project, &report, reason)?;
        source.project.save()?;
    }
    let gate = Gate::of(&report, &source.project.accepted);
    if !gate.blocks() {
        return Ok(());
    }
    let found: Vec<String> = gate.open.iter().map(|f| format!("\n  - {}", f.title)).collect();
    Err(UserError {
        what: format!(
            "The check found {} that training waits for:{}",
            if found.len() == 1 {
                "a serious problem".to_owned()
            } else {
                format!("{} serious problems", found.len())
            },
            found.concat()
        ),
        place: Place { path: Some(source.project.dataset_path()), ..Place::default() },
        advice: "Fix them (`fp8-studio check` lists the fixes), or train with --accept REASON."
            .to_owned(),
    })
}

/// Trains k models, each tested on rows that it has not seen, and shows the spread of the scores.
fn cross_validate(args: &TrainArgs, source: &Source, k: usize) -> Result<(), UserError> {
    if let Samples::Table(table) = &source.dataset.samples
        && table.whole().is_some()
        && !args.quiet
    {
        terminal::note(
            "Folds are made of the sample; the other rows of the file are not trained on.",
        );
    }
    let mut config = source.project.train.clone();
    let data = DataSize::of(&source.dataset, Some(&source.schema), &source.project.split);
    apply(args, data, &mut config)?;
    let project = Project { train: config, ..source.project.clone() };
    let found = folds::run(&source.dataset, &source.schema, &project, k, &Progress::default())?;
    let spreads = found.spreads;
    if args.json {
        return terminal::json(&spreads);
    }
    let mut table = vec![vec![String::new(), "mean".to_owned(), "± std".to_owned()]];
    table[0].extend((1..=k).map(|i| format!("fold {i}")));
    for spread in &spreads {
        let mut line = vec![
            spread.metric.clone(),
            format!("{:.4}", spread.mean),
            format!("{:.4}", spread.std),
        ];
        line.extend(spread.folds.iter().map(|x| format!("{x:.4}")));
        table.push(line);
    }
    terminal::out(&format!(
        "{k} folds of {} rows; the test rows were left alone.\n{}",
        terminal::count(found.rows),
        terminal::table(&table)
    ))
}

/// A message for every Ctrl-C or request to end; the second one ends the process.
fn interrupts() -> Result<Receiver<()>, UserError> {
    let (sender, receiver) = channel::bounded(4);
    let mut first = true;
    ctrlc::set_handler(move || {
        if !std::mem::replace(&mut first, false) {
            std::process::exit(super::INTERRUPTED.into());
        }
        let _ = sender.try_send(());
    })
    .map_err(|e| UserError::new(format!("Ctrl-C cannot be handled: {e}"), ""))?;
    Ok(receiver)
}

/// The model of a file to go on from; what the settings say of the network becomes the model's.
fn start(path: &Path, config: &mut TrainConfig) -> Result<Start, UserError> {
    let file = crate::export::open(path)?.file;
    let theirs = &file.info.settings;
    *config = TrainConfig {
        architecture: theirs.architecture,
        hidden: theirs.hidden.clone(),
        activation: theirs.activation,
        layer_norm: theirs.layer_norm,
        dropout: theirs.dropout,
        high_precision_ends: theirs.high_precision_ends,
        opt_out: theirs.opt_out.clone(),
        ..config.clone()
    };
    let params = file.params();
    Ok(Start { preprocessor: file.info.preprocessor, model: file.info.model, params })
}

fn job(args: &TrainArgs, source: Source) -> Result<Job, UserError> {
    let Source { project, dataset, schema } = source;
    let mut config = project.train.clone();
    let data = DataSize::of(&dataset, Some(&schema), &project.split);
    apply(args, data, &mut config)?;
    let mut folder = args.out.clone().unwrap_or_else(|| run_folder::new_path(&project.folder));
    if args.resume {
        let run = resumable(args.out.as_deref(), &project.folder)?;
        folder = run.path;
        config = TrainConfig { device: config.device, ..run.record.config };
    }
    let start_from = match &args.from {
        Some(path) => Some(Arc::new(start(path, &mut config)?)),
        None => None,
    };
    let split = project.split_config();
    Ok(Job {
        project: project.name,
        dataset: Arc::new(dataset),
        schema,
        prep: project.prep,
        split,
        config,
        folder,
        resume: args.resume,
        start_from,
    })
}

/// Puts what was given on the command line over the project's settings.
fn apply(args: &TrainArgs, data: DataSize, config: &mut TrainConfig) -> Result<(), UserError> {
    if let Some(model) = args.model {
        *config = settings::with_architecture(config, model.into(), data);
    }
    if let Some(changes) = &args.augment {
        config.augmentation = Augmentation::default();
        changes.iter().for_each(|change| change.add_to(&mut config.augmentation));
    }
    match (args.precision, args.recipe) {
        (Some(PrecisionArg::F32 | PrecisionArg::Bf16), Some(_)) => {
            return Err(UserError::new(
                "--recipe says how 8-bit scales are found, but --precision f32 or bf16 has none",
                "Leave one of the two out.",
            ));
        }
        (Some(PrecisionArg::F32), None) => config.precision = Precision::F32,
        (Some(PrecisionArg::Bf16), None) => config.precision = Precision::Bf16,
        (_, Some(recipe)) => config.precision = Precision::Fp8(recipe.into()),
        (Some(PrecisionArg::Fp8), None) => {
            if config.precision.recipe().is_none() {
                config.precision = Precision::default();
            }
        }
        (None, None) => {}
    }
    if args.lean {
        config.set_lean(true);
        if let Some(recipe) = args.recipe {
            config.precision = Precision::Fp8(recipe.into());
        }
    }
    if let Some(device) = args.device {
        config.device = device.into();
    }
    if let Some(hidden) = &args.hidden {
        config.hidden = if hidden[..] == [0] { Vec::new() } else { hidden.clone() };
    }
    config.epochs = args.epochs.unwrap_or(config.epochs);
    config.seed = args.seed.unwrap_or(config.seed);
    config.learning_rate = args.lr.unwrap_or(config.learning_rate);
    config.batch_size = args.batch.unwrap_or(config.batch_size);
    config.adversarial = args.adversarial.or(config.adversarial);
    config.guard_rails &= !args.no_guard_rails;
    config.shadow |= args.shadow;
    config.what_if_every = args.what_if.unwrap_or(config.what_if_every);
    if let Some(epsilon) = args.private {
        let private = Private { delta: args.delta, ..Private::of(epsilon) };
        *config = config.with_privacy(private, data.rows);
        config.epochs = args.epochs.unwrap_or(config.epochs);
        config.learning_rate = args.lr.unwrap_or(config.learning_rate);
        config.batch_size = args.batch.unwrap_or(config.batch_size);
    }
    if let Some(column) = &args.fair {
        let strength = args.fair_strength.unwrap_or(Fair::STRENGTH);
        config.fair = Some(Fair { column: column.clone(), strength });
    }
    if args.watch.is_some() {
        config.watch.clone_from(&args.watch);
    }
    if args.reweigh.is_some() {
        config.reweigh.clone_from(&args.reweigh);
    }
    Ok(())
}

/// The run to go on with.
fn resumable(out: Option<&Path>, project: &Path) -> Result<RunFolder, UserError> {
    let run = match out {
        Some(path) => Some(RunFolder::open(path)?).filter(RunFolder::resumable),
        None => run_folder::list(project).into_iter().find(RunFolder::resumable),
    };
    run.ok_or_else(|| {
        UserError::new(
            "There is no run that was cut off and can go on",
            "Leave --resume out to start a new run.",
        )
    })
}

/// The path as seen from the current folder, where that is shorter.
fn here(path: &Path) -> &Path {
    let cwd = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(cwd).ok().filter(|p| !p.as_os_str().is_empty()).unwrap_or(path)
}

/// What is shown while training.
struct Watch {
    bar: ProgressBar,
    quiet: bool,
    epochs: usize,
}

impl Watch {
    fn new(quiet: bool) -> Self {
        let target =
            if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, quiet, epochs: 0 }
    }

    /// A line above the progress bar.
    fn line(&self, text: &str) {
        if !self.quiet {
            self.bar.suspend(|| terminal::note(text));
        }
    }

    fn show(&mut self, event: &Event) {
        match event {
            Event::Started {
                engine, fallback, rows, steps_per_epoch, epochs, parameters, ..
            } => {
                self.epochs = *epochs;
                self.bar.set_position(0);
                self.bar.set_message("");
                self.bar.set_length((steps_per_epoch * epochs) as u64);
                let style = "{bar:30} {percent:>3} %  {msg}";
                if let Ok(style) = ProgressStyle::with_template(style) {
                    self.bar.set_style(style);
                }
                if let Some(why) = fallback {
                    self.line(&format!("note: {why}"));
                }
                self.line(&format!(
                    "Training {} parameters on {} rows ({} to validate, {} to test) with {}",
                    terminal::count(*parameters),
                    terminal::count(rows[0]),
                    terminal::count(rows[1]),
                    terminal::count(rows[2]),
                    describe::engine(engine),
                ));
            }
            Event::Progress { step, loss, rows_per_second, eta_seconds, .. } => {
                self.bar.set_position(*step);
                self.bar.set_message(format!(
                    "loss {loss:.4}  {} rows/s  {} left",
                    terminal::count(*rows_per_second as u64),
                    terminal::duration(*eta_seconds),
                ));
            }
            Event::Epoch { epoch, train_loss, validation, best, .. } => {
                let width = self.epochs.to_string().len();
                let mut text =
                    format!("epoch {epoch:>width$}/{}  loss {train_loss:.4}", self.epochs);
                if validation.rows > 0 {
                    text += &format!("  validation {:.4}", validation.loss);
                }
                if let Some((kind, value)) = validation.main() {
                    text += &format!("  {} {}", kind.label(), kind.format(value));
                }
                if *best {
                    text += "  best";
                }
                self.line(&text);
            }
            Event::Guard { action, .. } => self.line(&action.describe()),
            Event::Diagnosis { diagnosis, .. } if diagnosis.tone == Tone::Warning => {
                self.line(&diagnosis.text);
            }
            Event::Groups { column, figure, groups, .. } => {
                let all: Vec<String> = groups
                    .iter()
                    .map(|(name, rows, value)| format!("{name} {value:.4} ({rows})"))
                    .collect();
                self.line(&format!("  {figure} by {column}: {}", all.join(", ")));
            }
            Event::Log(text) => self.line(text),
            Event::Encoding { rows, of } => {
                self.bar.set_length((*of).max(1));
                if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}") {
                    self.bar.set_style(style);
                }
                self.bar.set_position(*rows);
                self.bar.set_message("encoding the rows of the file");
            }
            Event::State(_)
            | Event::WhatIf { .. }
            | Event::Diagnosis { .. }
            | Event::Shadow { .. }
            | Event::Memory { .. }
            | Event::Tensors { .. }
            | Event::Finished(_)
            | Event::Failed(_) => {}
        }
    }
}

/// What the run found out about 8 bits, a line each.
fn insight_lines(found: &Insight) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(diagnosis) = &found.diagnosis {
        lines.push(format!("Diagnosis: {}", diagnosis.text));
    }
    lines.extend(found.problem_lines().into_iter().map(|line| format!("Loses much: {line}")));
    let standing = found.guard_actions.iter().filter(|a| !a.undone).count();
    if standing > 0 {
        let times = if standing == 1 { "once".to_owned() } else { format!("{standing} times") };
        lines.push(format!("Guard rails: stepped in {times} (--no-guard-rails turns them off)"));
    }
    if let Some(shadow) = &found.shadow {
        lines.push(format!("Beside f32: {}", shadow.describe()));
        let lowest = shadow.cosines.iter().min_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((layer, cosine)) = lowest {
            lines.push(format!(
                "Gradients: at least {cosine:.4} in cosine to those of f32 (lowest in {layer})"
            ));
        }
    }
    if let Some(memory) = &found.memory {
        let [predicted, measured] = [&memory.predicted, &memory.measured].map(memory::total);
        lines.push(format!(
            "Memory to train: {} ({} predicted)",
            terminal::bytes(measured),
            terminal::bytes(predicted)
        ));
    }
    lines
}

/// The table at the end.
fn results(title: &str, precision: Precision, s: &Summary, folder: &Path) -> String {
    let row = |cells: &[&str]| cells.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();
    let mut scores = vec![row(&["", "validation", "test"])];
    for (kind, value) in &s.test.metrics {
        let validation = s.validation.get(*kind).map_or(String::new(), |v| kind.format(v));
        scores.push(row(&[kind.label(), &validation, &kind.format(*value)]));
    }
    let loss = |s: &crate::metrics::Scores| {
        if s.rows > 0 { format!("{:.4}", s.loss) } else { String::new() }
    };
    scores.push(row(&["Loss", &loss(&s.validation), &loss(&s.test)]));
    scores.push(row(&["Rows", &terminal::count(s.validation.rows), &terminal::count(s.test.rows)]));
    let ended = match s.reason {
        StopReason::Completed => "all done",
        StopReason::EarlyStopped => "stopped early: no longer getting better",
        StopReason::Stopped => "stopped by you",
        StopReason::Cancelled => "cancelled",
    };
    let mut facts = Vec::new();
    if let Some((kind, _)) = s.test.main() {
        let always = match kind {
            crate::metrics::MetricKind::R2 => "the mean",
            _ => "the commonest class",
        };
        facts.push(format!(
            "To compare: {} {} by always answering {always}",
            kind.label(),
            kind.format(s.baseline)
        ));
    }
    facts.push(format!("Epochs: {} ({ended}); the model is from epoch {}", s.epochs, s.best_epoch));
    facts.push(format!(
        "Time: {} ({} rows/s) with {}",
        terminal::duration(s.seconds),
        terminal::count(s.rows_per_second as u64),
        describe::engine(&s.engine),
    ));
    facts.push(format!(
        "Network: {} parameters, {}",
        terminal::count(s.parameters),
        describe::precision(precision)
    ));
    facts.extend(insight_lines(&s.insight));
    if let Some(privacy) = &s.privacy {
        facts.push(format!("Privacy: {}", privacy.describe()));
    }
    let folder = here(folder);
    facts.push(format!("Run folder: {}", folder.display()));
    let facts: String = facts.iter().map(|f| format!("  {f}\n")).collect();
    format!(
        "\n{title}\n\n{}\n{facts}\nNext: fp8-studio export {}\n",
        terminal::table(&scores),
        terminal::quoted(folder),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::headless::args::{Cli, Command};
    use crate::fp8::Recipe;
    use crate::model::ImageShape;
    use crate::train::Architecture;
    use clap::Parser;

    fn applied(line: &str, mut config: TrainConfig) -> Result<TrainConfig, UserError> {
        let cli = Cli::try_parse_from(format!("fp8-studio train x {line}").split_whitespace());
        let Some(Command::Train(args)) = cli.unwrap().command else { unreachable!() };
        let image = Some(ImageShape { height: 28, width: 28, channels: 1 });
        let data = DataSize { rows: 9_000, features: 784, regression: false, image };
        apply(&args, data, &mut config).map(|()| config)
    }

    #[test]
    fn arguments_change_settings() {
        let delayed =
            TrainConfig { precision: Precision::Fp8(Recipe::delayed()), ..Default::default() };
        assert_eq!(applied("", delayed.clone()).unwrap(), delayed);
        assert_eq!(applied("--precision fp8", delayed.clone()).unwrap(), delayed);
        let f32 = applied("--precision f32 --epochs 7 --seed 3", delayed).unwrap();
        assert_eq!((f32.precision, f32.epochs, f32.seed), (Precision::F32, 7, 3));
        assert_eq!(
            applied("--precision fp8", f32.clone()).unwrap().precision,
            Precision::default()
        );
        let watched = applied("--no-guard-rails --shadow --what-if 50", f32.clone()).unwrap();
        assert!(!watched.guard_rails && watched.shadow && watched.what_if_every == 50);
        assert!(f32.guard_rails && !f32.shadow);
        assert_eq!(applied("--hidden 0", f32.clone()).unwrap().hidden, Vec::<usize>::new());
        assert_eq!(applied("--hidden 9,8", f32.clone()).unwrap().hidden, [9, 8]);
        assert_eq!(
            applied("--recipe delayed", f32.clone()).unwrap().precision,
            Precision::Fp8(Recipe::delayed())
        );
        let lean = applied("--lean", TrainConfig::default()).unwrap();
        assert!(lean.update.lean && lean.precision == Precision::Fp8(Recipe::mx()));
        let lean = applied("--lean --recipe current", TrainConfig::default()).unwrap();
        assert!(lean.update.lean && lean.precision == Precision::Fp8(Recipe::current()));
        assert!(applied("--precision f32 --recipe delayed", f32).is_err());
    }

    #[test]
    fn the_kind_of_network_brings_its_length_unless_the_project_has_its_own() {
        let data = DataSize { rows: 9_000, features: 784, regression: false, image: None };
        let plain = TrainConfig::default().suggest(data);
        let cnn = applied("--model cnn --augment shift,rotate", plain.clone()).unwrap();
        assert_eq!((cnn.architecture, cnn.epochs), (Architecture::SmallCnn, 20));
        assert!(cnn.augmentation.shift > 0.0 && cnn.augmentation.rotation > 0.0);
        assert!(!cnn.augmentation.flip && applied("", cnn.clone()).unwrap() == cnn);
        assert!(applied("--augment none", cnn.clone()).unwrap().augmentation.is_nothing());
        assert_eq!(applied("--model mlp --augment none", cnn).unwrap(), plain);
        let own = TrainConfig { epochs: 7, ..plain };
        assert_eq!(applied("--model resnet", own.clone()).unwrap().epochs, 7);
        assert_eq!(applied("--model resnet --epochs 2", own).unwrap().epochs, 2);
    }
}
