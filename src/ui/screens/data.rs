//! Data: what was read, the type of every column, what is predicted.

use egui::{Align, ComboBox, Label, Layout, RichText, Sense, Ui, Vec2};
use egui_extras::{Column, TableBuilder};

use super::count;
use crate::app::SchemaState;
use crate::app::columns::ColumnSummary;
use crate::app::{AppState, Command, Pick, ProjectState, Retry, Step, Workspace};
use crate::data::{ColumnType, Dataset, ImageSet, Samples, Table, Task};
use crate::text::shown;
use crate::tr;
use crate::ui::icons;
use crate::ui::shell::Action;
use crate::ui::theme::{self, space};
use crate::ui::widgets::page::grid;
use crate::ui::widgets::rows::{cell, picture};
use crate::ui::widgets::{
    self, Button, Mood, badge, banner, card, failed, loading, page, save, section, segmented,
    small, split, stat, strong, title,
};

/// Rows drawn at their place in the table, whatever its length.
const ROW_HEIGHT: f32 = 26.0;
/// Width of the part beside the table.
const SIDE: f32 = 300.0;

/// Which list is in view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum View {
    #[default]
    Columns,
    Rows,
}

/// What only the drawing needs to know.
#[derive(Debug, Default)]
pub struct Local {
    view: View,
    reading: super::reading::Local,
    features: super::features::Local,
    pictures: Option<Pictures>,
}

/// Textures of the pictures in view, for one dataset.
struct Pictures {
    of: *const Dataset,
    textures: Vec<egui::TextureHandle>,
}

impl std::fmt::Debug for Pictures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} pictures", self.textures.len())
    }
}

/// The next action.
pub fn action(state: &AppState) -> Option<Action> {
    let Workspace::Open(project) = &state.workspace else { return None };
    Some(Action {
        label: tr!("Next: Check").to_owned(),
        icon: icons::ARROW_RIGHT,
        blocked: project.schema().err().map(str::to_owned),
        command: Command::Go(Step::Check),
    })
}

/// Draws the step.
pub fn show(ui: &mut Ui, state: &AppState, local: &mut Local, out: &mut Vec<Command>) {
    match &state.workspace {
        Workspace::Empty => widgets::empty(
            ui,
            icons::TABLE,
            tr!("No data yet"),
            tr!("Open a sample or a file of your own."),
            |ui| {
                if Button::primary(tr!("Go to Home")).pressed(ui) {
                    out.push(Command::Go(Step::Home));
                }
            },
        ),
        Workspace::Loading { name, task, .. } => {
            let info = state.tasks.get(*task);
            let share = info.and_then(crate::app::TaskInfo::fraction);
            loading(ui, &tr!("Opening {name}…", name), share, |ui| {
                let why = info
                    .is_some_and(crate::app::TaskInfo::cancelling)
                    .then_some(tr!("It is being cancelled."));
                if Button::secondary(tr!("Cancel")).blocked(why).pressed(ui) {
                    out.push(Command::CancelTask(*task));
                }
            });
        }
        Workspace::Asleep { name, .. } => {
            loading(ui, &tr!("Opening {name}…", name), None, |_| {});
        }
        Workspace::Failed { retry, error } => {
            failed(ui, tr!("This could not be opened"), error, |ui| {
                if Button::primary(tr!("Open another file…")).pressed(ui) {
                    out.push(Command::Pick(Pick::DataFile));
                }
                if Button::secondary(tr!("Try again")).pressed(ui) {
                    out.push(match retry.clone() {
                        Retry::Path(path) => Command::Open(path),
                        Retry::Sample(name) => Command::OpenSample(name),
                    });
                }
            });
        }
        // Asks for its passphrase on a screen of its own.
        Workspace::Sealed { .. } => {}
        Workspace::Open(project) => open(ui, state, project, local, out),
    }
}

fn open(
    ui: &mut Ui,
    state: &AppState,
    project: &ProjectState,
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    page(ui, "data", |ui| {
        title(ui, tr!("Your data"));
        if !project.project.description.is_empty() {
            widgets::muted(ui, project.project.description.as_str());
        }
        figures(ui, project);
        let Local { view, reading, features, pictures } = local;
        let mut rest = |ui: &mut Ui, out: &mut Vec<Command>| {
            if matches!(project.dataset.samples, Samples::Table(_)) {
                super::features::show(ui, state, project, features, out);
            }
            super::reading::show(ui, project, reading, out);
        };
        // In a narrow window the columns come before what is looked at more rarely.
        let narrow = widgets::page::stacked(ui, SIDE);
        split(
            ui,
            SIDE,
            out,
            |ui, out| match &project.dataset.samples {
                Samples::Table(table) => table_part(ui, project, table, view, out),
                Samples::Images(images) => image_part(ui, project, images, pictures),
            },
            |ui, out| {
                super::column_profile::show(ui, project, out);
                target_card(ui, project, out);
                if !narrow {
                    rest(ui, out);
                }
            },
        );
        if narrow {
            rest(ui, out);
        }
    });
}

fn figures(ui: &mut Ui, project: &ProjectState) {
    let facts: Vec<(&str, String, String)> = match &project.dataset.samples {
        Samples::Table(table) => {
            let missing: usize = project.summaries.iter().map(|s| s.missing).sum();
            let cells = table.rows() * table.columns().len();
            let used = project
                .columns()
                .iter()
                .filter(|(name, t)| {
                    !matches!(t, ColumnType::Ignore | ColumnType::Text)
                        && project.project.target.as_ref() != Some(name)
                })
                .count();
            let share = if cells > 0 { missing as f64 / cells as f64 } else { 0.0 };
            vec![
                (tr!("Rows"), count(table.rows()), tr!("from {name}", name = project.dataset.name)),
                (tr!("Columns"), count(table.columns().len()), tr!("{used} to learn from", used)),
                (
                    tr!("Missing cells"),
                    count(missing),
                    widgets::plot::format_value(share, true, false),
                ),
            ]
        }
        Samples::Images(i) => vec![
            (tr!("Images"), count(i.len()), tr!("from {name}", name = project.dataset.name)),
            (
                tr!("Size"),
                format!("{} × {}", i.width, i.height),
                if i.channels == 1 { tr!("pixels, grey") } else { tr!("pixels, colour") }
                    .to_owned(),
            ),
            (tr!("Classes"), count(i.classes.len()), tr!("one per folder or label").to_owned()),
        ],
    };
    grid(ui, facts.len(), 150.0, |ui, i, width| {
        if let Some((name, value, below)) = facts.get(i) {
            stat(ui, width, name, value, below);
        }
    });
}

/// The task in plain words and by its name.
pub fn task_in_words(task: &Task, target: &str) -> (String, &'static str) {
    match task {
        Task::Binary { classes } => {
            let (no, yes) = (classes.first().map_or("", |c| c), classes.get(1).map_or("", |c| c));
            (
                tr!(
                    "The model will say for each row whether {target} is “{yes}” or “{no}”.",
                    target,
                    yes,
                    no
                ),
                tr!("binary classification"),
            )
        }
        Task::Multiclass { classes } => {
            let names: Vec<&str> = classes.iter().take(4).map(String::as_str).collect();
            let more = if classes.len() > names.len() { ", …" } else { "" };
            (
                tr!(
                    "The model will pick one of {classes} kinds of {target}: {names}{more}.",
                    classes = classes.len(),
                    target,
                    names = names.join(", "),
                    more
                ),
                tr!("multiclass classification"),
            )
        }
        Task::Regression => {
            (tr!("The model will estimate {target} as a number.", target), tr!("regression"))
        }
    }
}

fn target_card(ui: &mut Ui, project: &ProjectState, out: &mut Vec<Command>) {
    card(ui, |ui| {
        let heading = ui
            .horizontal(|ui| {
                widgets::icon(ui, icons::TARGET, 20.0, theme::palette(ui).accent);
                strong(ui, tr!("What to predict"))
            })
            .inner;
        let target = project.project.target.clone().unwrap_or_default();
        if let Samples::Table(table) = &project.dataset.samples {
            let mut chosen = target.clone();
            let width = ui.available_width();
            let text = if chosen.is_empty() { tr!("Choose a column…") } else { chosen.as_str() };
            let text = text.to_owned();
            ui.label_inputs_by(heading.id, |ui| {
                ComboBox::from_id_salt("target")
                    .width(width - 8.0)
                    .selected_text(text)
                    .truncate()
                    .show_ui(ui, |ui| {
                        for column in table.columns() {
                            let name = column.name();
                            ui.selectable_value(&mut chosen, name.to_owned(), name);
                        }
                    });
            });
            if chosen != target {
                out.push(Command::SetTarget(chosen));
            }
        }
        match &project.schema {
            SchemaState::Known(schema) => {
                let (words, term) = task_in_words(&schema.task, &target);
                ui.add(Label::new(words).wrap());
                badge(ui, Mood::Accent, None, term);
            }
            SchemaState::NoTarget => {
                small(ui, tr!("Pick the column whose value the model should learn to tell."));
            }
            SchemaState::Inferring(_) => {
                ui.horizontal(|ui| {
                    ui.add(egui::Spinner::new().size(16.0)).accessible_name(tr!("Working"));
                    small(ui, tr!("Looking at this column…"));
                });
            }
            SchemaState::Unusable(error) => {
                widgets::problem(ui, &format!("{}.", shown(&error.what)));
                let place = widgets::state::place(&error.place);
                if !place.is_empty() {
                    small(ui, place);
                }
                small(ui, shown(&error.advice));
            }
        }
    });
}

fn table_part(
    ui: &mut Ui,
    project: &ProjectState,
    table: &Table,
    view: &mut View,
    out: &mut Vec<Command>,
) {
    if table.rows() == 0 {
        banner(
            ui,
            Mood::Warn,
            icons::WARNING,
            tr!("There are no rows"),
            tr!("The file has column names but nothing below them."),
            |_| {},
        );
        return;
    }
    card(ui, |ui| {
        let choices = [(View::Columns, tr!("Columns")), (View::Rows, tr!("Rows"))];
        if let Some(chosen) = segmented(ui, *view, &choices) {
            *view = chosen;
        }
        match *view {
            View::Columns => columns_list(ui, project, out),
            View::Rows => rows_list(ui, project, table),
        }
    });
}

/// Name and icon of a column type.
pub fn type_name(kind: ColumnType) -> (&'static str, char) {
    match kind {
        ColumnType::Number => (tr!("Number"), icons::HASH),
        ColumnType::Category => (tr!("Category"), icons::TAG),
        ColumnType::Boolean => (tr!("Yes/no"), icons::TOGGLE_LEFT),
        ColumnType::Date => (tr!("Date"), icons::CALENDAR_BLANK),
        ColumnType::Text => (tr!("Text"), icons::TEXT_AA),
        ColumnType::Ignore => (tr!("Ignore"), icons::EYE_SLASH),
    }
}

const TYPES: [ColumnType; 6] = [
    ColumnType::Number,
    ColumnType::Category,
    ColumnType::Boolean,
    ColumnType::Date,
    ColumnType::Text,
    ColumnType::Ignore,
];

fn columns_list(ui: &mut Ui, project: &ProjectState, out: &mut Vec<Command>) {
    let width = ui.available_width();
    let wide = width > 520.0;
    let target = project.project.target.as_deref();
    ui.spacing_mut().item_spacing.y = 0.0;
    TableBuilder::new(ui)
        .id_salt("columns")
        .vscroll(false)
        .cell_layout(Layout::left_to_right(Align::Center))
        .column(Column::remainder().at_least(90.0).clip(true))
        .column(Column::exact(132.0))
        .column(Column::exact(if wide { 74.0 } else { 56.0 }))
        .column(Column::exact(if wide { width * 0.36 } else { 100.0 }))
        .header(24.0, |mut header| {
            for name in [tr!("Column"), tr!("Type"), tr!("Missing"), tr!("Values")] {
                header.col(|ui| {
                    small(ui, name);
                });
            }
        })
        .body(|body| {
            body.rows(40.0, project.summaries.len(), |mut row| {
                let Some(summary) = project.summaries.get(row.index()) else { return };
                let kind = project.column_type(&summary.name, summary.inferred);
                let is_target = target == Some(summary.name.as_str());
                row.col(|ui| {
                    let p = theme::palette(ui);
                    let (glyph, colour) = if is_target {
                        (icons::TARGET, p.accent)
                    } else {
                        (type_name(kind).1, p.muted)
                    };
                    widgets::icon(ui, glyph, 16.0, colour);
                    let text = RichText::new(&summary.name).font(theme::medium());
                    let shown = ui
                        .add(Label::new(text).truncate().sense(Sense::click()))
                        .on_hover_text(tr!("Show its distribution, extremes and commonest values"))
                        .on_hover_cursor(egui::CursorIcon::PointingHand);
                    if shown.clicked() {
                        out.push(Command::Profile(Some(summary.name.clone())));
                    }
                });
                row.col(|ui| type_combo(ui, summary, kind, out));
                row.col(|ui| missing_cell(ui, project, summary));
                row.col(|ui| values_cell(ui, summary, kind));
            });
        });
}

fn type_combo(ui: &mut Ui, summary: &ColumnSummary, kind: ColumnType, out: &mut Vec<Command>) {
    let mut chosen = kind;
    ui.name_inputs(tr!("Type of {name}", name = summary.name), |ui| {
        ComboBox::from_id_salt(("type", &summary.name))
            .width(112.0)
            .selected_text(type_name(kind).0)
            .show_ui(ui, |ui| {
                for option in TYPES {
                    let (name, _) = type_name(option);
                    let text = if option == summary.inferred {
                        tr!("{name} (found)", name)
                    } else {
                        name.to_owned()
                    };
                    ui.selectable_value(&mut chosen, option, text);
                }
            });
    });
    if chosen != kind {
        let edited = (chosen != summary.inferred).then_some(chosen);
        out.push(Command::SetColumnType { column: summary.name.clone(), kind: edited });
    }
}

fn missing_cell(ui: &mut Ui, project: &ProjectState, summary: &ColumnSummary) {
    if summary.missing == 0 {
        small(ui, tr!("none"));
        return;
    }
    let share = summary.missing as f64 / project.dataset.len().max(1) as f64;
    let text = widgets::plot::format_value(share, true, false);
    let colour = theme::palette(ui).warning;
    ui.add(Label::new(RichText::new(text).font(theme::small_medium()).color(colour)))
        .on_hover_text(tr!("{missing} cells without a value", missing = count(summary.missing)));
}

fn values_cell(ui: &mut Ui, summary: &ColumnSummary, kind: ColumnType) {
    match (&summary.numbers, kind) {
        (Some(numbers), ColumnType::Number) => {
            let value = |v| widgets::plot::format_value(v, false, true);
            sparkline(ui, &numbers.bins);
            let text = format!("{} … {}", value(numbers.min), value(numbers.max));
            let text = RichText::new(text).font(theme::small()).color(theme::palette(ui).muted);
            ui.add(Label::new(text).truncate()).on_hover_text(tr!(
                "Smallest {min}, mean {mean}, largest {max}",
                min = value(numbers.min),
                mean = value(numbers.mean),
                max = value(numbers.max)
            ));
        }
        _ => {
            let more = if summary.many { tr!("more than ") } else { "" };
            let top: Vec<&str> = summary.top.iter().map(|(v, _)| v.as_str()).collect();
            let text = format!("{}: {}", count(summary.distinct), top.join(", "));
            let text = RichText::new(text).font(theme::small()).color(theme::palette(ui).muted);
            let lines: Vec<String> =
                summary.top.iter().map(|(v, n)| format!("{v}: {}", count(*n))).collect();
            ui.add(Label::new(text).truncate()).on_hover_text(tr!(
                "{more}{distinct} different values\n{lines}",
                more,
                distinct = count(summary.distinct),
                lines = lines.join("\n")
            ));
        }
    }
}

fn sparkline(ui: &mut Ui, bins: &[u32]) {
    let p = theme::palette(ui);
    let (rect, _) = ui.allocate_exact_size(Vec2::new(64.0, 22.0), Sense::hover());
    let most = bins.iter().copied().max().unwrap_or(1).max(1) as f32;
    let width = rect.width() / bins.len().max(1) as f32;
    for (i, n) in bins.iter().enumerate() {
        let least = if *n > 0 { 1.5 } else { 0.0 };
        let height = (*n as f32 / most * rect.height()).max(least);
        let x = rect.min.x + i as f32 * width;
        let bar = egui::Rect::from_min_max(
            egui::pos2(x, rect.max.y - height),
            egui::pos2(x + width - 1.0, rect.max.y),
        );
        ui.painter().rect_filled(bar, egui::CornerRadius::same(1), p.series[0]);
    }
}

fn rows_list(ui: &mut Ui, project: &ProjectState, table: &Table) {
    let p = theme::palette(ui);
    let columns = table.columns();
    let height = (ui.ctx().content_rect().height() * 0.5).clamp(180.0, 460.0);
    egui::ScrollArea::horizontal().id_salt("rows-x").auto_shrink([false, true]).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        TableBuilder::new(ui)
            .id_salt("rows")
            .striped(true)
            .min_scrolled_height(height)
            .max_scroll_height(height)
            .auto_shrink([false, true])
            .cell_layout(Layout::left_to_right(Align::Center))
            .column(Column::exact(64.0))
            .columns(
                Column::initial(116.0).at_least(60.0).clip(true).resizable(true),
                columns.len(),
            )
            .header(30.0, |mut header| {
                header.col(|ui| {
                    small(ui, tr!("Row"));
                });
                for column in columns {
                    header.col(|ui| {
                        let kind = project.column_type(column.name(), column.inferred);
                        widgets::icon(ui, type_name(kind).1, 14.0, p.muted);
                        let text = RichText::new(column.name()).font(theme::small_medium());
                        ui.add(Label::new(text).truncate());
                    });
                }
            })
            .body(|body| {
                body.rows(ROW_HEIGHT, table.rows(), |mut row| {
                    let index = row.index();
                    row.col(|ui| {
                        small(ui, table.line(index).to_string());
                    });
                    for column in columns {
                        row.col(|ui| cell(ui, column.raw(index), column.is_missing(index)));
                    }
                });
            });
    });
}

fn image_part(
    ui: &mut Ui,
    project: &ProjectState,
    images: &ImageSet,
    local: &mut Option<Pictures>,
) {
    card(ui, |ui| {
        section(ui, tr!("A look at the images"), "");
        let of = std::sync::Arc::as_ptr(&project.dataset);
        if local.as_ref().is_none_or(|p| p.of != of) {
            *local = Some(Pictures { of, textures: textures(ui, images) });
        }
        let Some(pictures) = local else { return };
        let step = images.len().div_ceil(PICTURES).max(1);
        ui.horizontal_wrapped(|ui| {
            for (i, texture) in pictures.textures.iter().enumerate() {
                let class = images
                    .labels
                    .get(i * step)
                    .and_then(|l| images.classes.get(*l as usize))
                    .map_or("?", |c| c);
                ui.allocate_ui(Vec2::new(72.0, 92.0), |ui| {
                    ui.vertical_centered(|ui| {
                        ui.set_width(72.0);
                        ui.spacing_mut().item_spacing.y = 2.0;
                        ui.add(
                            egui::Image::new(texture)
                                .fit_to_exact_size(Vec2::splat(64.0))
                                .alt_text(tr!("Example of {class}", class)),
                        );
                        let text = RichText::new(class).font(theme::small());
                        ui.add(Label::new(text).truncate());
                    });
                });
            }
        });
    });
    card(ui, |ui| {
        let mut counts = vec![0usize; images.classes.len()];
        for label in &images.labels {
            if let Some(n) = counts.get_mut(*label as usize) {
                *n += 1;
            }
        }
        let id = ui.make_persistent_id("classes");
        let from = ui.cursor().min;
        ui.horizontal_wrapped(|ui| {
            section(ui, tr!("Classes"), tr!("How many images there are of each."));
            save::menu(ui, id, tr!("Images of each class"), || {
                let rows = images.classes.iter().zip(&counts);
                save::csv(&["class", "images"], rows.map(|(c, n)| [c.clone(), n.to_string()]))
            });
        });
        let most = counts.iter().copied().max().unwrap_or(1).max(1) as f32;
        for (class, n) in images.classes.iter().zip(counts) {
            ui.horizontal(|ui| {
                let p = theme::palette(ui);
                ui.allocate_ui_with_layout(
                    Vec2::new(120.0, 20.0),
                    Layout::left_to_right(Align::Center),
                    |ui| {
                        ui.set_width(120.0);
                        ui.add(Label::new(class.as_str()).truncate());
                    },
                );
                let room = (ui.available_width() - 64.0).max(20.0);
                let (rect, _) = ui.allocate_exact_size(Vec2::new(room, 12.0), Sense::hover());
                let mut bar = rect;
                bar.set_width(room * n as f32 / most);
                let corner = egui::CornerRadius::same(theme::radius::S);
                ui.painter().rect_filled(bar, corner, p.series[0]);
                small(ui, count(n));
            });
        }
        let drawn =
            egui::Rect::from_min_max(from, egui::pos2(ui.max_rect().max.x, ui.cursor().min.y));
        save::drawn(ui, id, drawn);
    });
    ui.add_space(space::XS);
}

/// Most pictures in view.
const PICTURES: usize = 40;

fn textures(ui: &Ui, images: &ImageSet) -> Vec<egui::TextureHandle> {
    let step = images.len().div_ceil(PICTURES).max(1);
    (0..images.len()).step_by(step).filter_map(|i| picture(ui, images, i)).collect()
}
