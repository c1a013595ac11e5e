//! Configure: how to train. Plain words first, the technical term beside them.

use egui::Ui;

use super::{count, watching};
use crate::app::settings::{
    Field, MAX_BATCH, MAX_EPOCHS, Problem, format_hidden, parse_hidden, problems, with_architecture,
};
use crate::app::{
    AppState, Command, Engines, NetworkChoice, PrecisionChoice, Preset, ProjectState, Workspace,
};
use crate::data::{Samples, SplitMethod};
use crate::device::DeviceChoice;
use crate::model::Activation;
use crate::text::{self, figure, of};
use crate::train::config::Schedule;
use crate::train::{Architecture, Augmentation, DataSize, TrainConfig};
use crate::ui::icons;
use crate::ui::shell::Action;
use crate::ui::theme::space;
use crate::ui::widgets::field::{number, text_field};
use crate::ui::widgets::page::fact;
use crate::ui::widgets::{
    Mood, badge, card, choice_cards, labelled, muted, page, problem, section, segmented, small,
    split, strong, title,
};
use crate::{key, tr};

/// What only the drawing needs to know: texts being typed.
#[derive(Debug, Default)]
pub struct Local {
    hidden: Draft,
    rate: Draft,
    folds: super::folds::Local,
}

/// A text being typed, and the value it was made from.
#[derive(Debug, Default)]
struct Draft {
    text: String,
    from: String,
    wrong: Option<String>,
}

impl Draft {
    /// Follows the value when it was changed elsewhere.
    fn follow(&mut self, value: String) {
        if self.from != value {
            self.text.clone_from(&value);
            self.from = value;
            self.wrong = None;
        }
    }
}

/// The next action: train.
pub fn action(state: &AppState) -> Option<Action> {
    let Workspace::Open(project) = &state.workspace else { return None };
    Some(Action {
        label: if project.run.is_some() { tr!("Train again") } else { tr!("Start training") }
            .to_owned(),
        icon: icons::PLAY,
        blocked: project.train_blocked().map(str::to_owned),
        command: Command::Train,
    })
}

/// Draws the step.
pub fn show(ui: &mut Ui, state: &AppState, local: &mut Local, out: &mut Vec<Command>) {
    let Workspace::Open(project) = &state.workspace else { return };
    let config = &project.project.train;
    let wrong = problems(config);
    page(ui, "configure", |ui| {
        title(ui, tr!("How should it train?"));
        muted(
            ui,
            tr!("The settings below work for most data. Pick a goal, or change what you like."),
        );
        let data = project.data_size();
        presets(ui, config, data, out);
        ui.add_space(space::S);
        if data.image.is_some() {
            section(
                ui,
                tr!("Which kind of network?"),
                tr!(
                    "How it looks at a picture decides what it can learn, and how long that takes."
                ),
            );
            kind(ui, config, data, out);
            ui.add_space(space::S);
        }
        section(
            ui,
            tr!("How careful with numbers?"),
            tr!("Training in 8 bits moves a quarter of the data that 32 bits need."),
        );
        precision(ui, config, out);
        ui.add_space(space::S);
        split(
            ui,
            290.0,
            out,
            |ui, out| {
                network(ui, config, &wrong, local, out);
                if data.image.is_some() {
                    changes(ui, config, out);
                }
                learning(ui, config, &wrong, local, out);
                watching::card(ui, config, out);
                super::safeguards::show(ui, project, config, out);
                super::folds::show(ui, state, project, &mut local.folds, out);
            },
            |ui, out| {
                engine(ui, state, config, out);
                split_card(ui, project, out);
                cost(ui, project);
                watching::estimate(ui, project, out);
            },
        );
    });
}

/// Plain words for a way to split.
fn split_name(method: SplitMethod) -> (&'static str, &'static str) {
    match method {
        SplitMethod::Stratified => (tr!("By chance, classes alike"), tr!("stratified")),
        SplitMethod::Random => (tr!("By chance alone"), tr!("random")),
        SplitMethod::Group => (tr!("Groups kept together"), tr!("by group")),
        SplitMethod::Time => (tr!("The latest rows are the test"), tr!("by time")),
        SplitMethod::Given => (tr!("As a column says"), tr!("given")),
    }
}

fn split_card(ui: &mut Ui, project: &ProjectState, out: &mut Vec<Command>) {
    let table = match &project.dataset.samples {
        Samples::Table(table) => Some(table),
        Samples::Images(_) => None,
    };
    let mut split = project.project.split.clone();
    card(ui, |ui| {
        let heading = strong(ui, tr!("Which rows are kept for the test?"));
        let width = ui.available_width() - 8.0;
        ui.label_inputs_by(heading.id, |ui| {
            egui::ComboBox::from_id_salt("split")
                .width(width)
                .selected_text(split_name(split.method).0)
                .truncate()
                .show_ui(ui, |ui| {
                    let methods = SplitMethod::ALL.into_iter();
                    for method in methods.filter(|m| table.is_some() || !m.needs_column()) {
                        ui.selectable_value(&mut split.method, method, split_name(method).0)
                            .on_hover_text(split_name(method).1);
                    }
                });
        });
        if let (Some(table), true) = (table, split.method.needs_column()) {
            let label = small(ui, tr!("Column that decides"));
            ui.label_inputs_by(label.id, |ui| {
                egui::ComboBox::from_id_salt("split column")
                    .width(width)
                    .selected_text(
                        split.column.clone().unwrap_or_else(|| tr!("Choose a column…").into()),
                    )
                    .truncate()
                    .show_ui(ui, |ui| {
                        for column in table.columns() {
                            let name = Some(column.name().to_owned());
                            ui.selectable_value(&mut split.column, name, column.name());
                        }
                    });
            });
        }
        // As a column says, the shares are the column's.
        if split.method != SplitMethod::Given {
            let given = match &project.dataset.samples {
                Samples::Table(table) => table.test_start().is_some(),
                Samples::Images(images) => images.test_start.is_some(),
            };
            if !given {
                share(ui, tr!("For the test"), &mut split.test, 0.9 - split.validation);
            }
            share(ui, tr!("To validate"), &mut split.validation, 0.9 - split.test);
        }
        small(
            ui,
            tr!(
                "To validate: rows that tell while training when to stop. The test rows are not looked at before the end."
            ),
        );
    });
    if split != project.project.split {
        out.push(Command::SetSplit(Box::new(split)));
    }
}

/// A share of the rows.
fn share(ui: &mut Ui, name: &str, share: &mut f64, most: f64) {
    ui.horizontal(|ui| {
        small(ui, name);
        let mut percent = (*share * 100.0).round();
        let most = (most * 100.0).round().clamp(1.0, 50.0);
        let drag = number(&mut percent).range(1.0..=most).speed(0.25).suffix(" %");
        // The unit alone would be its name.
        if ui.add(drag).accessible_name(name).changed() {
            *share = percent / 100.0;
        }
    });
}

fn presets(ui: &mut Ui, config: &TrainConfig, data: DataSize, out: &mut Vec<Command>) {
    let choices: Vec<_> = Preset::ALL
        .into_iter()
        .map(|p| (p, of(p.name()).to_owned(), String::new(), of(p.purpose()).to_owned()))
        .collect();
    if let Some(preset) = choice_cards(ui, Preset::of(config, data), &choices) {
        out.push(Command::ApplyPreset(preset));
    }
    if Preset::of(config, data).is_none() {
        small(ui, tr!("This project has settings of its own. Pick a goal to replace them."));
    }
}

fn kind(ui: &mut Ui, config: &TrainConfig, data: DataSize, out: &mut Vec<Command>) {
    let text = |key: &'static str| of(key).to_owned();
    let choices = NetworkChoice::ALL
        .map(|c| (c.architecture, text(c.name), text(c.term), text(c.explanation)));
    if let Some(architecture) = choice_cards(ui, Some(config.architecture), &choices) {
        let config = Box::new(with_architecture(config, architecture, data));
        out.push(Command::SetConfig { config, what: key!("the kind of network") });
    }
}

/// Random changes of pictures.
fn changes(ui: &mut Ui, config: &TrainConfig, out: &mut Vec<Command>) {
    let what = key!("the random changes");
    let now = config.augmentation;
    let mut set_to = |augmentation| set(out, config, what, |c| c.augmentation = augmentation);
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::M;
        section(
            ui,
            tr!("More from each picture"),
            tr!(
                "Small random changes of the training pictures (augmentation) make a model sure of what stays the same."
            ),
        );
        labelled(
            ui,
            tr!("Mirror at random"),
            tr!("horizontal flip"),
            tr!(
                "Swaps left and right of every second picture. Leave it off for digits, letters and whatever has a direction."
            ),
            |ui| {
                let mut flip = now.flip;
                if ui.checkbox(&mut flip, "").changed() {
                    set_to(Augmentation { flip, ..now });
                }
            },
        );
        labelled(
            ui,
            tr!("Move at random"),
            tr!("shift (random crop), share of a side"),
            tr!("Moves the picture up to this far in any direction; what leaves it is cut off."),
            |ui| {
                if let Some(percent) = drag(ui, now.shift * 100.0, 50.0, " %") {
                    set_to(Augmentation { shift: percent / 100.0, ..now });
                }
            },
        );
        labelled(
            ui,
            tr!("Turn at random"),
            tr!("rotation, in degrees"),
            tr!("Turns the picture by up to this angle in either direction."),
            |ui| {
                if let Some(rotation) = drag(ui, now.rotation, 45.0, "°") {
                    set_to(Augmentation { rotation, ..now });
                }
            },
        );
        labelled(
            ui,
            tr!("Lighten or darken at random"),
            tr!("brightness, share"),
            tr!("Makes the picture lighter or darker by up to this share."),
            |ui| {
                if let Some(percent) = drag(ui, now.brightness * 100.0, 100.0, " %") {
                    set_to(Augmentation { brightness: percent / 100.0, ..now });
                }
            },
        );
    });
}

/// A number from 0 to `most`, once it changes.
fn drag(ui: &mut Ui, value: f32, most: f32, suffix: &str) -> Option<f32> {
    let mut value = value;
    let drag = number(&mut value).range(0.0..=most).speed(0.25).suffix(suffix);
    ui.add(drag).changed().then_some(value)
}

fn precision(ui: &mut Ui, config: &TrainConfig, out: &mut Vec<Command>) {
    let choices: Vec<_> = PrecisionChoice::ALL
        .into_iter()
        .map(|p| {
            let (name, term) = p.name();
            (p, of(name).to_owned(), of(term).to_owned(), of(p.explanation()).to_owned())
        })
        .collect();
    let current = PrecisionChoice::of(&config.precision);
    if let Some(choice) = choice_cards(ui, Some(current), &choices) {
        set(out, config, key!("the number format"), |c| c.precision = choice.precision());
    }
}

pub(super) fn set(
    out: &mut Vec<Command>,
    config: &TrainConfig,
    what: &'static str,
    change: impl FnOnce(&mut TrainConfig),
) {
    let mut config = config.clone();
    change(&mut config);
    out.push(Command::SetConfig { config: Box::new(config), what });
}

fn show_problems(ui: &mut Ui, wrong: &[Problem], field: Field) {
    for p in wrong.iter().filter(|p| p.field == field) {
        problem(ui, &p.text);
    }
}

fn network(
    ui: &mut Ui,
    config: &TrainConfig,
    wrong: &[Problem],
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    use Architecture::{Auto, Mlp, SmallCnn};
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::M;
        section(ui, tr!("The network"), "");
        // Residual and separable networks have neither of these.
        if matches!(config.architecture, Auto | Mlp | SmallCnn) {
            hidden_layers(ui, config, wrong, local, out);
            activation(ui, config, out);
        }
        if matches!(config.architecture, Auto | Mlp) {
            layer_norm(ui, config, out);
        }
        if matches!(config.architecture, Auto | Mlp | SmallCnn) {
            dropout(ui, config, wrong, out);
        }
        high_precision_ends(ui, config, out);
        lean(ui, config, out);
    });
}

fn hidden_layers(
    ui: &mut Ui,
    config: &TrainConfig,
    wrong: &[Problem],
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    labelled(
        ui,
        tr!("How large?"),
        tr!("hidden layers: units per layer"),
        tr!(
            "Each number is a layer of units between input and output. More and wider layers can learn finer rules but need more data and time."
        ),
        |ui| {
            local.hidden.follow(format_hidden(&config.hidden));
            let bad =
                local.hidden.wrong.is_some() || wrong.iter().any(|p| p.field == Field::Hidden);
            let response = text_field(ui, &mut local.hidden.text, 160.0, bad);
            if response.changed() {
                match parse_hidden(&local.hidden.text) {
                    Ok(hidden) => {
                        local.hidden.wrong = None;
                        local.hidden.from = format_hidden(&hidden);
                        set(out, config, key!("the hidden layers"), |c| c.hidden = hidden);
                    }
                    Err(why) => local.hidden.wrong = Some(why),
                }
            }
            if let Some(why) = &local.hidden.wrong {
                problem(ui, why);
            }
            show_problems(ui, wrong, Field::Hidden);
        },
    );
}

fn activation(ui: &mut Ui, config: &TrainConfig, out: &mut Vec<Command>) {
    labelled(
        ui,
        tr!("Shape of each unit's answer"),
        tr!("activation function"),
        tr!("How a unit turns its sum into an answer. ReLU is the usual choice."),
        |ui| {
            let choices = [
                (Activation::Relu, "ReLU"),
                (Activation::Gelu, "GELU"),
                (Activation::Silu, "SiLU"),
            ];
            if let Some(activation) = segmented(ui, config.activation, &choices) {
                set(out, config, key!("the activation"), |c| c.activation = activation);
            }
        },
    );
}

fn layer_norm(ui: &mut Ui, config: &TrainConfig, out: &mut Vec<Command>) {
    labelled(
        ui,
        tr!("Keep layers on one scale"),
        tr!("layer normalisation"),
        tr!("Brings the outputs of each hidden layer to one scale. Helps deeper networks and FP8."),
        |ui| {
            let mut on = config.layer_norm;
            if ui.checkbox(&mut on, "").changed() {
                set(out, config, key!("layer normalisation"), |c| c.layer_norm = on);
            }
        },
    );
}

fn dropout(ui: &mut Ui, config: &TrainConfig, wrong: &[Problem], out: &mut Vec<Command>) {
    labelled(
        ui,
        tr!("Switch off at random"),
        tr!("dropout: share of units"),
        tr!(
            "A share of units is switched off at random in each step, so that the network does not learn rows by heart (overfitting)."
        ),
        |ui| {
            let mut percent = config.dropout * 100.0;
            let drag = number(&mut percent).range(0.0..=90.0).speed(0.5).suffix(" %");
            if ui.add(drag).changed() {
                set(out, config, key!("dropout"), |c| c.dropout = percent / 100.0);
            }
            show_problems(ui, wrong, Field::Dropout);
        },
    );
}

fn lean(ui: &mut Ui, config: &TrainConfig, out: &mut Vec<Command>) {
    labelled(
        ui,
        tr!("Use little memory"),
        tr!("lean memory"),
        tr!(
            "Keeps the optimiser's state in 8 bits and the weights behind the 8-bit ones in 16, and works through layers a few rows at a time. Pictures gain most. With it, 8-bit scales of the current values become those of blocks of 32 (MX)."
        ),
        |ui| {
            let mut on = config.update.lean;
            if ui.checkbox(&mut on, "").changed() {
                set(out, config, key!("the use of memory"), |c| c.set_lean(on));
            }
        },
    );
}

fn high_precision_ends(ui: &mut Ui, config: &TrainConfig, out: &mut Vec<Command>) {
    labelled(
        ui,
        tr!("First and last layer in 32 bits"),
        tr!("high-precision ends"),
        tr!("Keeps the two layers that suffer most from rounding out of FP8."),
        |ui| {
            let mut on = config.high_precision_ends;
            if ui.checkbox(&mut on, "").changed() {
                set(out, config, key!("the first and last layer"), |c| c.high_precision_ends = on);
            }
        },
    );
}

fn whole(ui: &mut Ui, value: usize, from: usize, to: usize, suffix: &str) -> Option<usize> {
    let mut value = value;
    let drag = number(&mut value).range(from..=to).speed(0.25).suffix(suffix);
    ui.add(drag).changed().then_some(value)
}

fn learning(
    ui: &mut Ui,
    config: &TrainConfig,
    wrong: &[Problem],
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::M;
        section(ui, tr!("Learning"), "");
        labelled(
            ui,
            tr!("How often to go through the data?"),
            tr!("epochs, at most"),
            tr!("One epoch is one pass over all training rows."),
            |ui| {
                if let Some(n) = whole(ui, config.epochs, 1, MAX_EPOCHS, "") {
                    set(out, config, key!("the epochs"), |c| c.epochs = n);
                }
                show_problems(ui, wrong, Field::Epochs);
            },
        );
        labelled(
            ui,
            tr!("Stop when it no longer gets better"),
            tr!("early stopping: patience in epochs, 0 never"),
            tr!("Training ends when the validation loss has not improved for this many epochs."),
            |ui| {
                if let Some(n) = whole(ui, config.patience, 0, MAX_EPOCHS, "") {
                    set(out, config, key!("the patience"), |c| c.patience = n);
                }
            },
        );
        labelled(
            ui,
            tr!("Size of each learning step"),
            tr!("learning rate, at its peak"),
            tr!("Too large and training becomes unstable; too small and it takes forever."),
            |ui| learning_rate(ui, config, wrong, local, out),
        );
        labelled(
            ui,
            tr!("How the step size changes"),
            tr!("learning-rate schedule, after warm-up"),
            tr!(
                "Cosine: smaller and smaller steps towards the end. Constant: the same all the way."
            ),
            |ui| {
                let choices =
                    [(Schedule::Cosine, tr!("Cosine")), (Schedule::Constant, tr!("Constant"))];
                if let Some(schedule) = segmented(ui, config.schedule, &choices) {
                    set(out, config, key!("the schedule"), |c| c.schedule = schedule);
                }
            },
        );
        labelled(
            ui,
            tr!("Rows looked at per step"),
            tr!("batch size"),
            tr!("More rows make each step steadier and faster per row, but there are fewer steps."),
            |ui| {
                if let Some(n) = whole(ui, config.batch_size, 1, MAX_BATCH, tr!(" rows")) {
                    set(out, config, key!("the batch size"), |c| c.batch_size = n);
                }
                show_problems(ui, wrong, Field::Batch);
            },
        );
        labelled(
            ui,
            tr!("Start from the same point"),
            tr!("seed"),
            tr!("The same seed gives the same run again on the same engine."),
            |ui| {
                let mut seed = config.seed;
                if ui.add(number(&mut seed).speed(0.2)).changed() {
                    set(out, config, key!("the seed"), |c| c.seed = seed);
                }
            },
        );
    });
}

fn learning_rate(
    ui: &mut Ui,
    config: &TrainConfig,
    wrong: &[Problem],
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    local.rate.follow(figure(config.learning_rate.to_string()));
    let bad = local.rate.wrong.is_some() || wrong.iter().any(|p| p.field == Field::LearningRate);
    if text_field(ui, &mut local.rate.text, 100.0, bad).changed() {
        match text::number(&local.rate.text).map(|rate| rate as f32) {
            Some(rate) => {
                local.rate.wrong = None;
                local.rate.from = figure(rate.to_string());
                set(out, config, key!("the learning rate"), |c| c.learning_rate = rate);
            }
            None => {
                local.rate.wrong = Some(tr!("Not a number. Write e.g. 0.001.").to_owned());
            }
        }
    }
    if let Some(why) = &local.rate.wrong {
        problem(ui, why);
    }
    show_problems(ui, wrong, Field::LearningRate);
}

fn engine(ui: &mut Ui, state: &AppState, config: &TrainConfig, out: &mut Vec<Command>) {
    card(ui, |ui| {
        section(ui, tr!("What computes?"), "");
        let choices = [
            (DeviceChoice::Auto, tr!("Automatic")),
            (DeviceChoice::Cpu, "CPU"),
            (DeviceChoice::Gpu, "GPU"),
        ];
        if let Some(device) = segmented(ui, config.device, &choices) {
            set(out, config, key!("the engine"), |c| c.device = device);
        }
        small(
            ui,
            match config.device {
                DeviceChoice::Auto => {
                    tr!(
                        "A graphics card if there is one that passes its self-test, else the processor."
                    )
                }
                DeviceChoice::Cpu => tr!("The processor. Works everywhere."),
                DeviceChoice::Gpu => {
                    tr!("A graphics card. A software renderer is taken too, though it is slow.")
                }
            },
        );
        match &state.engines {
            None => {
                ui.horizontal(|ui| {
                    ui.add(egui::Spinner::new().size(14.0)).accessible_name(tr!("Working"));
                    small(ui, tr!("Looking for graphics cards…"));
                });
            }
            Some(engines) => found(ui, engines),
        }
    });
}

fn found(ui: &mut Ui, engines: &Engines) {
    strong(ui, tr!("Found on this computer"));
    let (name, more) = super::run::engine_name(&engines.cpu);
    small(ui, format!("{name}: {more}"));
    if engines.adapters.is_empty() {
        small(ui, tr!("No graphics card. None is needed."));
    }
    for (adapter, usable) in &engines.adapters {
        small(ui, format!("{} ({})", adapter.name, adapter.backend));
        match usable {
            Err(why) => {
                badge(ui, Mood::Bad, None, tr!("self-test failed")).on_hover_text(why);
            }
            Ok(()) if adapter.software => {
                badge(ui, Mood::Warn, None, tr!("software renderer, slow"));
            }
            Ok(()) => {
                badge(ui, Mood::Good, None, tr!("self-test passed"));
            }
        }
    }
}

fn cost(ui: &mut Ui, project: &ProjectState) {
    card(ui, |ui| {
        section(ui, tr!("What this makes"), "");
        let config = &project.project.train;
        if let Some(parameters) = project.parameters() {
            fact(ui, tr!("Numbers to learn"), &format!("≈ {}", count(parameters)));
            small(ui, tr!("parameters: weights and biases"));
        }
        let rows = project.train_rows();
        let steps = rows.div_ceil(config.batch_size.max(1));
        fact(ui, tr!("Training rows"), &format!("≈ {}", count(rows)));
        fact(ui, tr!("Steps"), &format!("≈ {}", count(steps * config.epochs)));
        small(
            ui,
            tr!(
                "{steps} per epoch, {epochs} epochs at most",
                steps = count(steps),
                epochs = count(config.epochs)
            ),
        );
    });
}
