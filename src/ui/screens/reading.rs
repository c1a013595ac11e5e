//! How the data were read, and how else they could be.

use egui::{ComboBox, Label, TextEdit, Ui};

use crate::app::importing::Rereading;
use crate::app::{Command, LiveRun, ProjectState};
use crate::data::{ImportNote, ImportOptions};
use crate::text::shown;
use crate::tr;
use crate::ui::icons;
use crate::ui::theme;
use crate::ui::widgets::{self, Button, Mood, badge, card, problem, small, strong};

/// What only the drawing needs to know: a query being typed, and the one it began with.
#[derive(Debug, Default)]
pub struct Local {
    query: String,
    from: Option<String>,
}

/// Draws the card.
pub fn show(ui: &mut Ui, project: &ProjectState, local: &mut Local, out: &mut Vec<Command>) {
    let notes = &project.dataset.notes;
    card(ui, |ui| {
        let repairs = notes.iter().filter(|n| n.repair).count();
        ui.horizontal_wrapped(|ui| {
            strong(ui, tr!("How it was read"));
            if repairs > 0 {
                badge(ui, Mood::Warn, Some(icons::WARNING), &tr!("{repairs} repaired", repairs));
            }
        });
        for note in notes {
            one(ui, note);
        }
        choices(ui, project, local, out);
    });
}

fn one(ui: &mut Ui, note: &ImportNote) {
    let p = theme::palette(ui);
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        let (glyph, colour) =
            if note.repair { (icons::WARNING, p.warning) } else { (icons::CHECK, p.success) };
        widgets::icon(ui, glyph, 16.0, colour);
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            ui.add(Label::new(shown(&note.text)).wrap());
            if !note.rows.is_empty() {
                let rows: Vec<String> = note.rows.iter().take(8).map(u64::to_string).collect();
                let more = if note.rows.len() > 8 { ", …" } else { "" };
                small(ui, tr!("Row {rows}{more}", rows = rows.join(", "), more));
            }
        });
    });
}

fn choices(ui: &mut Ui, project: &ProjectState, local: &mut Local, out: &mut Vec<Command>) {
    let import = &project.project.import;
    let set = |out: &mut Vec<Command>, change: &dyn Fn(&mut ImportOptions)| {
        let mut new = import.clone();
        change(&mut new);
        if new != *import {
            out.push(Command::SetImport(Box::new(new)));
        }
    };
    let training = project.run.as_ref().is_some_and(LiveRun::active);
    let reading = matches!(project.rereading, Rereading::Running { .. });
    let wait = match (training, reading) {
        (true, _) => Some(tr!("Training is running. Stop it first.")),
        (_, true) => Some(tr!("The data are being read.")),
        _ => None,
    };
    ui.add_enabled_ui(wait.is_none(), |ui| {
        if project.parts.names.len() > 1 {
            part(ui, project, out, &set);
        }
        if project.parts.database {
            query(ui, import, local, out, &set);
        }
        if project.parts.large || import.whole {
            let mut whole = import.whole;
            let hint = tr!(
                "A file above 1 GiB is checked, shown and tested on a random sample of its rows. With this, training reads all of them from the disk, piece by piece; preprocessing is fitted on the sample."
            );
            if ui
                .checkbox(&mut whole, tr!("Train on every row of this large file"))
                .on_hover_text(hint)
                .changed()
            {
                set(out, &|i| i.whole = whole);
            }
        }
    });
    match &project.rereading {
        Rereading::None => {}
        Rereading::Running { task, .. } => {
            ui.horizontal_wrapped(|ui| {
                ui.add(egui::Spinner::new().size(16.0)).accessible_name(tr!("Reading"));
                small(ui, tr!("Reading the data…"));
                if Button::secondary(tr!("Cancel")).small().pressed(ui) {
                    out.push(Command::CancelTask(*task));
                }
            });
        }
        Rereading::Failed(error) => {
            problem(ui, &format!("{}.", shown(&error.what)));
            small(ui, shown(&error.advice));
        }
    }
    let again = Button::new(widgets::Kind::Quiet, tr!("Read the file again"))
        .small()
        .icon(icons::ARROW_CLOCKWISE)
        .hint(tr!("When the file was changed since"));
    if again.blocked(wait).pressed(ui) {
        out.push(Command::SetImport(Box::new(import.clone())));
    }
}

type Set<'a> = dyn Fn(&mut Vec<Command>, &dyn Fn(&mut ImportOptions)) + 'a;

fn part(ui: &mut Ui, project: &ProjectState, out: &mut Vec<Command>, set: &Set<'_>) {
    let import = &project.project.import;
    let (what, fullest) = if project.parts.database {
        (tr!("Table to learn from"), tr!("The one with most rows"))
    } else {
        (tr!("Sheet to learn from"), tr!("The one with most cells"))
    };
    let label = small(ui, what);
    let mut chosen = import.part.clone();
    let width = ui.available_width() - 8.0;
    ui.label_inputs_by(label.id, |ui| {
        ComboBox::from_id_salt("part")
            .width(width)
            .selected_text(chosen.clone().unwrap_or_else(|| fullest.to_owned()))
            .truncate()
            .show_ui(ui, |ui| {
                ui.selectable_value(&mut chosen, None, fullest);
                for name in &project.parts.names {
                    ui.selectable_value(&mut chosen, Some(name.clone()), name.as_str());
                }
            });
    });
    if chosen != import.part {
        set(out, &|i| {
            i.part.clone_from(&chosen);
            i.query = None;
        });
    }
}

fn query(
    ui: &mut Ui,
    import: &ImportOptions,
    local: &mut Local,
    out: &mut Vec<Command>,
    set: &Set<'_>,
) {
    if local.from != import.query {
        local.query = import.query.clone().unwrap_or_default();
        local.from.clone_from(&import.query);
    }
    let name = tr!("Or the rows that a query gives (SQL)");
    small(ui, name);
    let field = TextEdit::multiline(&mut local.query)
        .hint_text("SELECT … FROM …")
        .desired_rows(2)
        .desired_width(ui.available_width() - 16.0)
        .font(egui::TextStyle::Monospace);
    ui.add(field).accessible_name(name);
    let typed = local.query.trim().to_owned();
    ui.horizontal_wrapped(|ui| {
        let same = import.query.as_deref().unwrap_or_default() == typed;
        let why = match (typed.is_empty(), same) {
            (true, _) => Some(tr!("Type a query first.")),
            (_, true) => Some(tr!("This query is in use.")),
            _ => None,
        };
        if Button::secondary(tr!("Use this query")).small().blocked(why).pressed(ui) {
            set(out, &|i| i.query = Some(typed.clone()));
        }
        if import.query.is_some() && Button::secondary(tr!("Use a whole table")).small().pressed(ui)
        {
            set(out, &|i| i.query = None);
        }
    });
}
