//! `fp8-studio eval`.

use std::path::Path;

use super::args::EvalArgs;
use super::{source, terminal};
use crate::data::Progress;
use crate::deploy::Model;
use crate::error::UserError;
use crate::eval::fairness::{Estimate, Fairness};
use crate::eval::slices::Slice;
use crate::eval::{self, Evaluation, Interval, Measured, Options, Part};
use crate::metrics::MetricKind;
use crate::project::{FILE, Project};
use crate::train::run_folder::{self, RunFolder};

/// Evaluates and shows what was found.
pub(super) fn run(args: &EvalArgs) -> Result<(), UserError> {
    let (path, _opened) = super::seal::readable(&args.model, &args.open)?;
    let (model, run) = open_model(&path)?;
    let (project, own_data) = data(&args.model, args.data.as_deref(), run.as_ref())?;
    let dataset = project.open_data(&Progress::default())?;
    source::notes(&dataset, true);
    let options = Options { seed: args.seed, own_data, ..Options::default() };
    let mut found = eval::examine(&model, &dataset, options, &Progress::default())?;
    if let Some(run) = &run {
        found.treated = eval::treated::look(run, &dataset, &found)?;
    }
    if let (Some(run), Some(calibrations)) = (&run, found.calibrations()) {
        run.keep_calibrations(calibrations)?;
    }
    if args.json { terminal::json(&found) } else { terminal::out(&text(&found, args)) }
}

/// A model file, a run folder, or a project (its newest run with a model).
pub(super) fn open_model(path: &Path) -> Result<(Model, Option<RunFolder>), UserError> {
    if crate::export::is_model(path) {
        return Ok((Model::load(path)?, None));
    }
    let (run, _) = super::export::newest(path)?;
    Ok((Model::of_run(&run)?, Some(run)))
}

/// The data, and whether they are the project's own.
pub(super) fn data(
    model: &Path,
    data: Option<&Path>,
    run: Option<&RunFolder>,
) -> Result<(Project, bool), UserError> {
    let path = match (data, run) {
        (Some(path), _) => path.to_owned(),
        (None, Some(run)) => {
            // A run lies in the folder `runs` of its project.
            let project = run.path.parent().and_then(Path::parent).map(Path::to_owned);
            let project = project.filter(|p| p.join(FILE).is_file());
            match (project, model.join(run_folder::RECORD).is_file()) {
                (Some(project), _) => project,
                (None, false) => model.to_owned(),
                (None, true) => return Err(no_data()),
            }
        }
        (None, None) => return Err(no_data()),
    };
    let project = source::open_project(&path)?;
    let own = path.join(FILE).is_file() || path.file_name().is_some_and(|n| n == FILE);
    Ok((project, own))
}

fn no_data() -> UserError {
    UserError::new(
        "It is not known which data to evaluate on",
        "Name the project or the data after the model: fp8-studio eval MODEL DATA",
    )
}

fn cells<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn range(kind: MetricKind, interval: Interval) -> String {
    format!("{} – {}", kind.format(interval.low), kind.format(interval.high))
}

fn text(e: &Evaluation, args: &EvalArgs) -> String {
    let part = match e.part {
        Part::Test => "test rows, which training never saw",
        Part::Validation => "validation rows",
        Part::All => "rows",
    };
    let mut out = format!("\n{}: {} on {} {part}\n", e.project, e.target, terminal::count(e.rows));
    for note in &e.notes {
        out += &format!("note: {note}\n");
    }
    out += "\n";
    out += &terminal::table(&metrics(e));
    if let Some(c) = &e.confusion {
        out += &classes(e);
        if c.classes.len() <= 12 {
            out += &confusion(c);
        }
    }
    if let Some(c) = &e.calibration {
        out += &calibration(c);
    }
    if let Some(r) = &e.ranges {
        out += &format!(
            "\nRanges of ± {} hold {:.1} % of these rows ({:.0} % were promised)\n",
            MetricKind::Mae.format(r.half_width),
            100.0 * r.coverage,
            100.0 * r.promised,
        );
    }
    out += &weak(e);
    out += &fair(e, args);
    out += &robust(e);
    out + &private(e)
}

/// Figures of all classes, with those of the baselines beside them.
fn metrics(e: &Evaluation) -> Vec<Vec<String>> {
    let mut head = cells(["", "model", "95 % interval"]);
    head.extend(e.baselines.iter().map(|b| b.name.to_owned()));
    let mut rows = vec![head];
    for m in e.metrics.iter().filter(|m| m.class.is_none()) {
        let mut row = cells([m.kind.label(), &m.kind.format(m.value), &range(m.kind, m.interval)]);
        for b in &e.baselines {
            let same = b.metrics.iter().find(|o| o.kind == m.kind);
            row.push(same.map_or(String::new(), |o| m.kind.format(o.value)));
        }
        rows.push(row);
    }
    rows
}

fn classes(e: &Evaluation) -> String {
    let kinds = [
        MetricKind::Precision,
        MetricKind::Recall,
        MetricKind::F1,
        MetricKind::Auc,
        MetricKind::AveragePrecision,
    ];
    let shown: Vec<MetricKind> = kinds
        .into_iter()
        .filter(|k| e.metrics.iter().any(|m| m.class.is_some() && m.kind == *k))
        .collect();
    let mut head = cells(["Class"]);
    head.extend(shown.iter().map(|k| k.label().to_owned()));
    let mut rows = vec![head];
    for class in &e.classes {
        let mut row = vec![class.clone()];
        let cell = |m: Option<&Measured>| m.map_or(String::new(), |m| m.kind.format(m.value));
        row.extend(shown.iter().map(|k| cell(e.of_class(*k, class))));
        rows.push(row);
    }
    format!("\n{}", terminal::table(&rows))
}

fn confusion(c: &crate::eval::Confusion) -> String {
    let mut rows = vec![cells(["true \\ predicted"])];
    for row in &mut rows {
        row.extend(c.classes.iter().cloned());
    }
    for (t, class) in c.classes.iter().enumerate() {
        let mut row = vec![class.clone()];
        row.extend((0..c.classes.len()).map(|p| terminal::count(c.get(t, p))));
        rows.push(row);
    }
    format!("\n{}", terminal::table(&rows))
}

fn calibration(c: &crate::eval::evaluation::CalibrationReport) -> String {
    let kind = MetricKind::Ece;
    let mut rows = vec![cells(["Calibration error", "mean (ECE)", "largest (MCE)"])];
    let mut add = |name: &str, r: &crate::eval::calibration::Reliability| {
        rows.push(cells([name, &kind.format(r.ece), &kind.format(r.mce)]));
    };
    add("as the model says", &c.model);
    if let (Some(r), Some(f)) = (&c.temperature, &c.fitted) {
        add(&format!("with temperature {:.3}", f.temperature), r);
    }
    if let Some(r) = &c.isotonic {
        add("with isotonic regression", r);
    }
    format!("\n{}", terminal::table(&rows))
}

fn weak(e: &Evaluation) -> String {
    let figure = if e.classes.is_empty() { MetricKind::Mae } else { MetricKind::Accuracy };
    let tested = format!(
        "{} groups and pairs of groups of at least {} rows were tested",
        terminal::count(e.slices.tested),
        e.slices.min_rows
    );
    if e.slices.weak.is_empty() {
        return format!("\nNo weak groups: {tested}, none is worse than the rest beyond chance\n");
    }
    let mut rows =
        vec![cells(["Weakest groups", "rows", figure.label(), "95 % interval", "all others"])];
    let row = |s: &Slice| {
        cells([
            &s.name(),
            &terminal::count(s.rows),
            &figure.format(s.value),
            &range(figure, s.interval),
            &figure.format(s.rest),
        ])
    };
    rows.extend(e.slices.weak.iter().take(8).map(row));
    format!("\n{}  ({tested}; false discovery rate 5 %)\n", terminal::table(&rows))
}

fn fair(e: &Evaluation, args: &EvalArgs) -> String {
    let Some(column) = &args.group else {
        let mut names: Vec<&str> = e.fairness.iter().map(|f| f.column.as_str()).collect();
        names.dedup();
        if names.is_empty() {
            return String::new();
        }
        return format!(
            "\nTo compare groups of people: --group COLUMN, one of {}\n",
            names.join(", ")
        );
    };
    let all: Vec<&Fairness> = e.fairness.iter().filter(|f| f.column == *column).collect();
    if all.is_empty() {
        return format!("\nColumn \"{column}\" makes no groups that can be compared\n");
    }
    let mut out: String = all.into_iter().map(gaps).collect();
    if let Some(t) = e.treated.as_ref().filter(|t| t.column == *column) {
        let mut rows = vec![cells([&t.how, "without", "with"])];
        for (name, [before, after]) in [
            ("Demographic parity difference", t.demographic_parity_difference),
            ("Equalised odds difference", t.equalised_odds_difference),
            ("Accuracy", t.accuracy),
        ] {
            rows.push(cells([name, &format!("{before:.4}"), &format!("{after:.4}")]));
        }
        out += &format!("\n{}  (the run without it began {})\n", terminal::table(&rows), t.without);
    }
    out + &mitigated(e, column)
}

/// The groups of one column and how far apart they are.
fn gaps(f: &Fairness) -> String {
    let mut out = format!("\n{}", terminal::table(&groups(f)));
    let gaps = [
        ("Demographic parity difference", f.demographic_parity_difference),
        ("Demographic parity ratio", f.demographic_parity_ratio),
        ("Equalised odds difference", f.equalised_odds_difference),
        ("Equal opportunity difference", f.equal_opportunity_difference),
        ("Predictive parity difference", f.predictive_parity_difference),
        ("Accuracy difference", f.accuracy_difference),
        ("Calibration difference", f.calibration_difference),
    ];
    let mut rows = vec![cells(["Between groups", "value", "95 % interval"])];
    for (name, gap) in gaps {
        let figure = |v: f64| format!("{v:.4}");
        let (value, interval) = match gap {
            Some(g) => (
                figure(g.value),
                format!("{} – {}", figure(g.interval.low), figure(g.interval.high)),
            ),
            None => ("too few rows".to_owned(), String::new()),
        };
        rows.push(cells([name, &value, &interval]));
    }
    out += &format!("\n{}", terminal::table(&rows));
    out
}

/// What thresholds by group would change.
fn mitigated(e: &Evaluation, column: &str) -> String {
    let mut out = String::new();
    if let Some(m) = e.mitigations.iter().find(|m| m.column == *column) {
        let mut rows = vec![cells(["Thresholds by group", "before", "after"])];
        for (name, [before, after]) in [
            ("Demographic parity difference", m.demographic_parity_difference),
            ("Equalised odds difference", m.equalised_odds_difference),
            ("Accuracy", m.accuracy),
        ] {
            rows.push(cells([name, &format!("{before:.4}"), &format!("{after:.4}")]));
        }
        for (group, threshold) in &m.thresholds {
            rows.push(cells([
                &format!("threshold for {group}"),
                "0.5000",
                &format!("{threshold:.4}"),
            ]));
        }
        out += &format!("\n{}", terminal::table(&rows));
    }
    out
}

fn robust(e: &Evaluation) -> String {
    let r = &e.robustness;
    let kind = if e.classes.is_empty() { MetricKind::R2 } else { MetricKind::Accuracy };
    let mut rows = vec![cells(["On worse data", kind.label()])];
    rows.push(cells(["as it is", &kind.format(r.clean)]));
    for c in r.changes.iter().chain(r.columns.iter().take(3)) {
        rows.push(cells([&c.what, &kind.format(c.score)]));
    }
    let mut out = format!("\n{}", terminal::table(&rows));
    if !r.attacks.is_empty() {
        let head = format!("Attacked, {}", r.unit);
        let mut rows = vec![cells([&head, "FGSM", "PGD"])];
        for a in &r.attacks {
            rows.push(cells([&a.epsilon.to_string(), &kind.format(a.fgsm), &kind.format(a.pgd)]));
        }
        out += &format!("\n{}", terminal::table(&rows));
    }
    if !r.referrals.is_empty() {
        let mut rows =
            vec![cells(["A person takes answers less sure than", "share", "accuracy on the rest"])];
        for f in &r.referrals {
            let share = format!("{:.1} %", 100.0 * f.referred);
            rows.push(cells([
                &format!("{:.1} %", 100.0 * f.threshold),
                &share,
                &kind.format(f.accuracy),
            ]));
        }
        out += &format!("\n{}", terminal::table(&rows));
    }
    out
}

fn private(e: &Evaluation) -> String {
    let p = &e.privacy;
    let mut out = String::new();
    if let Some(m) = &p.membership {
        let mut rows = vec![cells([
            "Training rows recognised by",
            "AUC",
            "95 % interval",
            "found at 1 % false alarms",
            "95 % interval",
        ])];
        for a in &m.attacks {
            let (auc, found) = (a.auc_interval, a.found_interval);
            rows.push(cells([
                a.name,
                &format!("{:.3}", a.auc),
                &format!("{:.3} – {:.3}", auc.low, auc.high),
                &format!("{:.1} %", 100.0 * a.found),
                &format!("{:.1} – {:.1} %", 100.0 * found.low, 100.0 * found.high),
            ]));
        }
        out += &format!("\n{}", terminal::table(&rows));
    }
    if !p.attributes.is_empty() {
        let percent = |v: f64| format!("{:.1} %", 100.0 * v);
        let mut rows = vec![cells([
            "Cells inferred from the rest",
            "commonest",
            "training rows",
            "other rows",
            "difference, 95 %",
        ])];
        for a in &p.attributes {
            rows.push(cells([
                &a.column,
                &percent(a.commonest),
                &percent(a.members),
                &percent(a.others),
                &format!("{} – {}", percent(a.gap.low), percent(a.gap.high)),
            ]));
        }
        out += &format!("\n{}", terminal::table(&rows));
    }
    if let Some(inversion) = &p.inversion {
        let mut rows = vec![cells([
            "Picture made from the weights for",
            "confidence",
            "like the average",
            "a training picture",
            "another picture",
        ])];
        for c in &inversion.classes {
            rows.push(cells([
                &c.class,
                &format!("{:.1} %", 100.0 * c.confidence),
                &format!("{:.2}", c.average),
                &format!("{:.2}", c.training),
                &format!("{:.2}", c.others),
            ]));
        }
        out += &format!("\n{}", terminal::table(&rows));
    }
    out + &format!("\nPrivacy risk {}: {}\n", p.risk.word(), p.statement)
}

fn groups(f: &Fairness) -> Vec<Vec<String>> {
    let mut rows = vec![vec![
        f.column.clone(),
        "rows".to_owned(),
        format!("truly {}", f.positive),
        format!("called {}", f.positive),
        "found (TPR)".to_owned(),
        "false alarms (FPR)".to_owned(),
        "accuracy".to_owned(),
        "ECE".to_owned(),
    ]];
    for g in &f.groups {
        let cell = |e: Option<Estimate>| {
            e.map_or("–".to_owned(), |e| format!("{:.1} %", 100.0 * e.value))
        };
        let few = if g.enough { "" } else { " (too few for a verdict)" };
        rows.push(vec![
            format!("{}{few}", g.group),
            terminal::count(g.rows),
            cell(g.base_rate),
            cell(g.selection_rate),
            cell(g.true_positive_rate),
            cell(g.false_positive_rate),
            cell(g.accuracy),
            cell(g.ece),
        ]);
    }
    rows
}
