//! For whom the model works: fairness by column, and groups where it is weak.

use egui::{ComboBox, Label, Ui};

use super::overview::range;
use super::rows;
use crate::app::{Command, ProjectState};
use crate::eval::Evaluation;
use crate::eval::fairness::{Estimate, Fairness, Mitigation};
use crate::eval::groups;
use crate::eval::slices::Slice;
use crate::eval::treated::Treated;
use crate::metrics::MetricKind;
use crate::text::{self, of, shown};
use crate::tr;
use crate::train::{Fair, TrainConfig};
use crate::ui::icons;
use crate::ui::screens::count;
use crate::ui::screens::score;
use crate::ui::theme::space;
use crate::ui::widgets::page::fact;
use crate::ui::widgets::plot::format_value;
use crate::ui::widgets::table::table;
use crate::ui::widgets::{Button, Mood, badge, banner, card, section, small, strong};

/// What only the drawing needs to know.
#[derive(Debug, Default)]
pub struct Local {
    column: Option<String>,
    slice: Option<String>,
    group: Option<String>,
}

/// Draws the part.
pub fn show(
    ui: &mut Ui,
    project: &ProjectState,
    found: &Evaluation,
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    if !found.fairness.is_empty() {
        fairness(ui, project, found, local, out);
    }
    weak(ui, project, found, local);
    all(ui, project, found, local);
}

/// The column that people are most often treated differently by, as far as names tell.
fn likely(found: &Evaluation) -> Option<&Fairness> {
    const NAMES: [&str; 6] = ["sex", "gender", "race", "ethnic", "age", "national"];
    let named = |n: &str| found.fairness.iter().find(|f| f.column.to_lowercase().contains(n));
    NAMES.iter().find_map(|n| named(n)).or(found.fairness.first())
}

fn fairness(
    ui: &mut Ui,
    project: &ProjectState,
    found: &Evaluation,
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    card(ui, |ui| {
        section(
            ui,
            tr!("Are groups treated alike?"),
            tr!(
                "Choose a column. Whether a difference is unfair is for people to judge, not for a program."
            ),
        );
        let chosen = local.column.as_deref();
        let picked = found.fairness.iter().find(|f| Some(f.name().as_str()) == chosen);
        let Some(f) = picked.or_else(|| likely(found)) else { return };
        let mut column = f.name();
        ui.name_inputs(tr!("Column whose groups are compared"), |ui| {
            ComboBox::from_id_salt("fairness-column").selected_text(shown(&f.name())).show_ui(
                ui,
                |ui| {
                    for other in &found.fairness {
                        ui.selectable_value(&mut column, other.name(), shown(&other.name()));
                    }
                },
            );
        });
        if column != f.name() {
            local.column = Some(column);
        }
        groups(ui, f);
        gaps(ui, f);
        if let Some(m) = found.mitigations.iter().find(|m| m.column == f.column) {
            mitigation(ui, m);
        }
        if let Some(t) = found.treated.as_ref().filter(|t| t.column == f.column) {
            treated(ui, t);
        }
        weights(ui, project, &f.column, out);
        if !f.against_rest {
            penalty(ui, project, &f.column, out);
        }
    });
}

/// Training again with rows weighted, or without.
fn weights(ui: &mut Ui, project: &ProjectState, column: &str, out: &mut Vec<Command>) {
    let train = &project.project.train;
    let used = project.run.as_ref().and_then(|r| r.basis.train.reweigh.as_deref());
    if let Some(used) = used {
        small(ui, tr!("This model was trained with rows weighted by {used}.", used));
    }
    let on = train.reweigh.as_deref() == Some(column);
    let label = if on {
        tr!("Train again without weights").to_owned()
    } else {
        tr!("Train again with rows weighted by {column}", column)
    };
    let hint = tr!(
        "Rows are weighted so that all groups have equal shares of every answer in training. Compare the figures here before and after."
    );
    let button = Button::secondary(&label).hint(hint).small();
    if button.blocked(project.train_blocked()).pressed(ui) {
        let reweigh = (!on).then(|| column.to_owned());
        let config = Box::new(TrainConfig { reweigh, fair: None, ..train.clone() });
        out.push(Command::SetConfig { config, what: tr!("weights by group") });
        out.push(Command::Train);
    }
}

/// Training again with a fairness penalty, or without.
fn penalty(ui: &mut Ui, project: &ProjectState, column: &str, out: &mut Vec<Command>) {
    let train = &project.project.train;
    if let Some(used) = project.run.as_ref().and_then(|r| r.basis.train.fair.as_ref()) {
        small(
            ui,
            tr!(
                "This model was trained with a fairness penalty by {column}.",
                column = used.column
            ),
        );
    }
    let on = train.fair.as_ref().is_some_and(|f| f.column == column);
    let label = if on {
        tr!("Train again without the penalty").to_owned()
    } else {
        tr!("Train again with a fairness penalty by {column}", column)
    };
    let hint = tr!(
        "Training is pulled towards calling equal shares of all groups favourable (demographic parity). Compare the figures here before and after."
    );
    if Button::secondary(&label).hint(hint).small().blocked(project.train_blocked()).pressed(ui) {
        let fair = (!on).then(|| Fair { column: column.to_owned(), strength: Fair::STRENGTH });
        // Either of the two, not both.
        let config = Box::new(TrainConfig { fair, reweigh: None, ..train.clone() });
        out.push(Command::SetConfig { config, what: tr!("the fairness penalty") });
        out.push(Command::Train);
    }
}

fn percent(e: Option<Estimate>) -> (String, String) {
    let text = |v| format_value(v, true, false);
    match e {
        Some(e) => (
            text(e.value),
            tr!(
                "95 % range {low} to {high}",
                low = text(e.interval.low),
                high = text(e.interval.high)
            ),
        ),
        None => ("–".to_owned(), tr!("Not defined: there are no such rows.").to_owned()),
    }
}

fn groups(ui: &mut Ui, f: &Fairness) {
    let (truly, called) = (
        tr!("Truly {positive}", positive = f.positive),
        tr!("Called {positive}", positive = f.positive),
    );
    let head = [
        f.column.as_str(),
        tr!("Rows"),
        &truly,
        &called,
        tr!("Found (TPR)"),
        tr!("False alarms (FPR)"),
        tr!("Right when called"),
        tr!("Accuracy"),
        tr!("Calibration error"),
    ];
    table(ui, "fairness-groups", &head, f.groups.len(), |ui, row, column| {
        let Some(g) = f.groups.get(row) else { return };
        let rate = match column {
            0 => {
                let response = ui.add(Label::new(groups::shown(&g.group)).truncate());
                if !g.enough {
                    response.on_hover_text(tr!(
                        "Fewer than {min_rows} rows: no verdict",
                        min_rows = f.min_rows
                    ));
                }
                return;
            }
            1 => {
                let few = if g.enough { "" } else { tr!(" (few)") };
                small(ui, format!("{}{few}", count(g.rows)));
                return;
            }
            2 => g.base_rate,
            3 => g.selection_rate,
            4 => g.true_positive_rate,
            5 => g.false_positive_rate,
            6 => g.precision,
            7 => g.accuracy,
            _ => g.ece,
        };
        let (text, hover) = percent(rate);
        small(ui, text).on_hover_text(hover);
    });
}

fn gaps(ui: &mut Ui, f: &Fairness) {
    let all = [
        (
            tr!("Demographic parity difference"),
            tr!("How far apart the shares of favourable answers are."),
            f.demographic_parity_difference,
        ),
        (
            tr!("Demographic parity ratio"),
            tr!("The smallest share of favourable answers by the largest; 1 is equal."),
            f.demographic_parity_ratio,
        ),
        (
            tr!("Equalised odds difference"),
            tr!("The larger gap of the two kinds of errors."),
            f.equalised_odds_difference,
        ),
        (
            tr!("Equal opportunity difference"),
            tr!("How far apart the shares of deserving rows found are."),
            f.equal_opportunity_difference,
        ),
        (
            tr!("Predictive parity difference"),
            tr!("How far apart it is right when it says yes."),
            f.predictive_parity_difference,
        ),
        (
            tr!("Accuracy difference"),
            tr!("How far apart the shares of right answers are."),
            f.accuracy_difference,
        ),
        (
            tr!("Calibration difference"),
            tr!("How far apart the calibration errors are."),
            f.calibration_difference,
        ),
    ];
    if f.demographic_parity_difference.is_none() {
        let text = tr!("Two groups of at least {min_rows} rows are needed.", min_rows = f.min_rows);
        banner(ui, Mood::Neutral, icons::INFO, tr!("Too few rows for a verdict"), &text, |_| {});
        return;
    }
    table(
        ui,
        "fairness-gaps",
        &[tr!("Between groups"), tr!("Value"), tr!("95 % range")],
        all.len(),
        |ui, row, column| {
            let Some((name, meaning, value)) = all.get(row) else { return };
            let figure = |v: f64| text::figure(format!("{v:.3}"));
            let text = match (column, value) {
                (0, _) => {
                    ui.add(Label::new(*name).truncate()).on_hover_text(*meaning);
                    return;
                }
                (_, None) => "–".to_owned(),
                (1, Some(e)) => figure(e.value),
                (_, Some(e)) => {
                    tr!(
                        "{low} to {high}",
                        low = figure(e.interval.low),
                        high = figure(e.interval.high)
                    )
                }
            };
            small(ui, text);
        },
    );
}

fn treated(ui: &mut Ui, t: &Treated) {
    strong(ui, tr!("What {how} changed", how = shown(&t.how)));
    let pair = |[a, b]: [f64; 2]| text::figure(format!("{a:.3} → {b:.3}"));
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = space::L;
        fact(ui, tr!("Demographic parity difference"), &pair(t.demographic_parity_difference));
        fact(ui, tr!("Equalised odds difference"), &pair(t.equalised_odds_difference));
        fact(ui, tr!("Accuracy"), &pair(t.accuracy));
    });
    small(
        ui,
        tr!(
            "Before: the run of the same settings without it, begun {without}.",
            without = t.without
        ),
    );
}

fn mitigation(ui: &mut Ui, m: &Mitigation) {
    strong(ui, tr!("What a threshold of its own for every group would change"));
    let pair = |[a, b]: [f64; 2]| text::figure(format!("{a:.3} → {b:.3}"));
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = space::L;
        fact(ui, tr!("Demographic parity difference"), &pair(m.demographic_parity_difference));
        fact(ui, tr!("Equalised odds difference"), &pair(m.equalised_odds_difference));
        fact(ui, tr!("Accuracy"), &pair(m.accuracy));
    });
    let cuts: Vec<String> = m
        .thresholds
        .iter()
        .map(|(g, t)| {
            tr!("{group} from {cut}", group = g, cut = format_value(t.min(1.0), true, false))
        })
        .collect();
    small(
        ui,
        tr!(
            "Thresholds, chosen on validation rows: {cuts}. Treating groups by different rules may need a legal basis.",
            cuts = cuts.join(", ")
        ),
    );
}

fn figure(found: &Evaluation) -> MetricKind {
    if found.classes.is_empty() { MetricKind::Mae } else { MetricKind::Accuracy }
}

fn weak(ui: &mut Ui, project: &ProjectState, found: &Evaluation, local: &mut Local) {
    let tested = tr!(
        "{tested} groups and pairs of groups with at least {min_rows} rows were tested; of those listed, about 5 in 100 are chance.",
        tested = count(found.slices.tested),
        min_rows = found.slices.min_rows
    );
    card(ui, |ui| {
        section(ui, tr!("Where it is weak"), &tested);
        if found.slices.weak.is_empty() {
            badge(
                ui,
                Mood::Good,
                Some(icons::CHECK_CIRCLE),
                tr!("no group is worse than the rest beyond chance"),
            );
            return;
        }
        let kind = figure(found);
        let head =
            [tr!("Group"), tr!("Rows"), of(kind.label()), tr!("95 % range"), tr!("All others"), ""];
        let list: Vec<&Slice> = found.slices.weak.iter().take(12).collect();
        table(ui, "weak", &head, list.len(), |ui, row, column| {
            let Some(slice) = list.get(row) else { return };
            let text = match column {
                0 => {
                    let name = slice.shown();
                    ui.add(Label::new(&name).truncate()).on_hover_text(name);
                    return;
                }
                1 => count(slice.rows),
                2 => score(kind, slice.value),
                3 => range(kind, slice.interval),
                4 => score(kind, slice.rest),
                _ => {
                    rows_button(ui, slice, &mut local.slice);
                    return;
                }
            };
            small(ui, text);
        });
    });
    chosen_rows(ui, project, found, &found.slices.weak, local.slice.as_deref());
}

/// Shows the rows of a group, or hides them.
fn rows_button(ui: &mut Ui, slice: &Slice, chosen: &mut Option<String>) {
    let name = slice.name();
    let open = chosen.as_ref() == Some(&name);
    let label = if open { tr!("Hide rows") } else { tr!("Show rows") };
    let hint = tr!("{label} of {name}", label, name = slice.shown());
    let button = Button::new(crate::ui::widgets::Kind::Quiet, label);
    if button.hint(&hint).name(&hint).small().pressed(ui) {
        *chosen = (!open).then_some(name);
    }
}

fn chosen_rows(
    ui: &mut Ui,
    project: &ProjectState,
    found: &Evaluation,
    among: &[Slice],
    chosen: Option<&str>,
) {
    if let Some(slice) = among.iter().find(|s| chosen == Some(s.name().as_str())) {
        rows::show(ui, project, found, &slice.shown(), &slice.members(&found.groupings));
    }
}

fn all(ui: &mut Ui, project: &ProjectState, found: &Evaluation, local: &mut Local) {
    if found.slices.groups.is_empty() {
        return;
    }
    card(ui, |ui| {
        section(
            ui,
            tr!("Every group"),
            tr!("By the values of columns, and by quarters of numbers."),
        );
        let kind = figure(found);
        let head =
            [tr!("Group"), tr!("Rows"), of(kind.label()), tr!("95 % range"), tr!("All others"), ""];
        let list = &found.slices.groups;
        table(ui, "groups", &head, list.len(), |ui, row, column| {
            let Some(slice) = list.get(row) else { return };
            let text = match column {
                0 => {
                    ui.add(Label::new(slice.shown()).truncate());
                    return;
                }
                1 if slice.p.is_none() => tr!("{rows} (few)", rows = count(slice.rows)),
                1 => count(slice.rows),
                2 => score(kind, slice.value),
                3 => range(kind, slice.interval),
                4 => score(kind, slice.rest),
                _ => {
                    rows_button(ui, slice, &mut local.group);
                    return;
                }
            };
            small(ui, text);
        });
    });
    chosen_rows(ui, project, found, &found.slices.groups, local.group.as_deref());
}
