//! Several runs side by side: curves over each other, settings and scores in a table.

use egui::{Label, RichText, Ui};

use crate::app::history::{self, Line, PREDICTS, PastRun};
use crate::app::{Command, ProjectState, RunCommand};
use crate::text::{figure, of, shown};
use crate::tr;
use crate::ui::theme::{self, space};
use crate::ui::widgets::plot::Curves;
use crate::ui::widgets::table::table;
use crate::ui::widgets::{card, save, section, segmented, small};

/// Which curve is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Shown {
    #[default]
    Validation,
    Training,
    Metric,
}

/// What only the drawing needs to know.
#[derive(Debug, Default)]
pub struct Local {
    shown: Shown,
    log: bool,
    all: bool,
}

/// Curves that are not there yet.
pub fn wanted(project: &ProjectState, runs: &[&PastRun]) -> Option<Command> {
    let history = &project.history;
    let missing: Vec<_> = runs
        .iter()
        .map(|r| r.folder.clone())
        .filter(|f| !history.curves.contains_key(f) && !history.reading.contains(f))
        .collect();
    (!missing.is_empty()).then_some(Command::Runs(RunCommand::Curves(missing)))
}

/// Draws the comparison.
pub fn show(
    ui: &mut Ui,
    project: &ProjectState,
    runs: &[&PastRun],
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    out.extend(wanted(project, runs));
    curves(ui, project, runs, local);
    settings(ui, runs, local);
}

fn curves(ui: &mut Ui, project: &ProjectState, runs: &[&PastRun], local: &mut Local) {
    let names: Vec<String> = runs.iter().map(|r| r.name()).collect();
    let kind = runs.iter().find_map(|r| r.validation()).map(|(kind, _)| kind);
    card(ui, |ui| {
        section(ui, tr!("Side by side"), "");
        let metric = kind.map_or(tr!("Score"), |k| of(k.label()));
        let title = match local.shown {
            Shown::Validation => tr!("Validation loss"),
            Shown::Training => tr!("Training loss"),
            Shown::Metric => metric,
        };
        let log = local.log && local.shown != Shown::Metric;
        let mut plot = Curves::new("compare", title, tr!("Epoch")).log(log);
        for (index, (run, name)) in runs.iter().zip(&names).enumerate() {
            if let Some(curves) = project.history.curves.get(&run.folder) {
                let series = match local.shown {
                    Shown::Validation => &curves.validation,
                    Shown::Training => &curves.train,
                    Shown::Metric => &curves.metric,
                };
                plot = plot.curve(name, series, index % 2 == 1);
            }
        }
        if local.shown == Shown::Metric && kind.is_some_and(|k| k.is_share()) {
            plot = plot.percent();
        }
        let reading = runs.iter().any(|r| project.history.reading.contains(&r.folder));
        let none = if reading {
            tr!("Reading the curves…")
        } else {
            tr!("These runs left no such curve.")
        };
        plot.waiting(none).height(240.0).show(ui);
        ui.horizontal_wrapped(|ui| {
            let choices = [
                (Shown::Validation, tr!("Validation loss")),
                (Shown::Training, tr!("Training loss")),
                (Shown::Metric, metric),
            ];
            if let Some(shown) = segmented(ui, local.shown, &choices) {
                local.shown = shown;
            }
            ui.add_space(space::S);
            if local.shown != Shown::Metric {
                ui.checkbox(&mut local.log, tr!("Logarithmic"));
            }
        });
    });
}

fn settings(ui: &mut Ui, runs: &[&PastRun], local: &mut Local) {
    let lines = history::compare(runs);
    let different = lines.iter().filter(|l| l.differs).count();
    card(ui, |ui| {
        let names: Vec<String> = runs.iter().map(|r| r.name()).collect();
        ui.horizontal_wrapped(|ui| {
            section(ui, tr!("Scores and settings"), "");
            save::menu_csv(ui, tr!("Scores and settings"), || csv(&names, &lines));
        });
        ui.horizontal_wrapped(|ui| {
            ui.checkbox(&mut local.all, tr!("Also what is the same in all"));
            small(
                ui,
                tr!(
                    "{different} of {lines} lines differ; they are marked.",
                    different,
                    lines = lines.len()
                ),
            );
        });
        let listed: Vec<&Line> = lines.iter().filter(|l| local.all || l.differs).collect();
        if listed.is_empty() {
            small(ui, tr!("These runs are alike in everything."));
            return;
        }
        let mut head = vec![""];
        head.extend(names.iter().map(String::as_str));
        table(ui, "compare-table", &head, listed.len(), |ui, row, column| {
            let Some(line) = listed.get(row) else { return };
            cell(ui, line, column);
        });
    });
}

fn cell(ui: &mut Ui, line: &Line, column: usize) {
    let p = theme::palette(ui);
    let Some(index) = column.checked_sub(1) else {
        let name = shown(&line.name);
        let text = RichText::new(&*name).font(theme::small()).color(p.muted);
        ui.add(Label::new(text).truncate()).on_hover_text(&*name);
        return;
    };
    let Some(value) = line.values.get(index) else { return };
    if line.differs {
        let fill = if line.best == Some(index) { p.success_soft } else { p.accent_soft };
        ui.painter().rect_filled(ui.max_rect(), egui::CornerRadius::ZERO, fill);
    }
    let best = line.best == Some(index);
    let font = if best { theme::small_medium() } else { theme::small() };
    let colour = if best { p.success } else { p.text };
    // Names out of the data stay as they are.
    let value =
        if line.name == PREDICTS { value.clone() } else { figure(shown(value).into_owned()) };
    let text = RichText::new(&value).font(font).color(colour);
    ui.add_space(space::XS);
    let hover = if best { tr!("{value}: the best", value) } else { value };
    ui.add(Label::new(text).truncate()).on_hover_text(hover);
}

fn csv(names: &[String], lines: &[Line]) -> String {
    let mut head = vec![""];
    head.extend(names.iter().map(String::as_str));
    let rows = lines.iter().map(|l| {
        let mut row = vec![l.name.clone()];
        row.extend(l.values.iter().cloned());
        row
    });
    save::csv(&head, rows)
}
