//! Home: samples, recent projects, open.

use egui::{Label, RichText, Ui, Vec2};

use crate::app::services::Sample;
use crate::app::{AppState, Command, Interrupted, Pick, Step, Workspace};
use crate::text::shown;
use crate::tr;
use crate::ui::icons;
use crate::ui::shell::Action;
use crate::ui::theme::{self, space};
use crate::ui::widgets::page::grid;
use crate::ui::widgets::{
    self, Button, Mood, banner, card, clickable_card, page, section, small, strong, title,
};

/// The next action: go on with what is open.
pub fn action(state: &AppState) -> Option<Action> {
    match &state.workspace {
        Workspace::Open(project) => Some(Action {
            label: tr!("Continue with {name}", name = project.project.name),
            icon: icons::ARROW_RIGHT,
            blocked: None,
            command: Command::Go(Step::Data),
        }),
        _ => None,
    }
}

/// Draws the step.
pub fn show(ui: &mut Ui, state: &AppState, out: &mut Vec<Command>) {
    page(ui, "home", |ui| {
        for run in &state.interrupted {
            interrupted(ui, run, out);
        }
        title(ui, tr!("What would you like to learn from?"));
        widgets::muted(
            ui,
            tr!(
                "Pick a sample to see how it works, or open your own table or images. Nothing leaves this computer."
            ),
        );
        ui.add_space(space::XS);
        open_buttons(ui, out);
        ui.add_space(space::M);
        if !state.samples.is_empty() {
            section(
                ui,
                tr!("Samples"),
                tr!("Complete projects with data. Ready to train in a few clicks."),
            );
            samples(ui, state, out);
            ui.add_space(space::M);
        }
        section(ui, tr!("Recent"), "");
        recent(ui, state, out);
    });
}

fn interrupted(ui: &mut Ui, run: &Interrupted, out: &mut Vec<Command>) {
    let heading = tr!("Training of {project} was cut off", project = run.record.project);
    let text = tr!(
        "It began {started} and can go on from its last checkpoint.",
        started = day_and_time(&run.record.started)
    );
    banner(ui, Mood::Warn, icons::CLOCK_COUNTER_CLOCKWISE, &heading, &text, |ui| {
        let resume = Button::primary(tr!("Resume")).small().icon(icons::PLAY);
        if resume.pressed(ui) {
            out.push(Command::Resume(Box::new(run.clone())));
        }
        if Button::secondary(tr!("Not now")).small().pressed(ui) {
            out.push(Command::IgnoreInterrupted(run.run.clone()));
        }
    });
}

fn open_buttons(ui: &mut Ui, out: &mut Vec<Command>) {
    ui.horizontal_wrapped(|ui| {
        let file = Button::secondary(tr!("Open file…")).icon(icons::FILE_CSV).hint(tr!(
            "Table, workbook, database, ZIP archive, IDX, or a project.toml; or paste cells"
        ));
        if file.pressed(ui) {
            out.push(Command::Pick(Pick::DataFile));
        }
        let folder = Button::secondary(tr!("Open folder…"))
            .icon(icons::FOLDER_OPEN)
            .hint(tr!("A project, or a folder with one folder of images per class"));
        if folder.pressed(ui) {
            out.push(Command::Pick(Pick::Folder));
        }
        small(ui, tr!("or drop a file on this window"));
    });
    ui.horizontal_wrapped(|ui| {
        use crate::ui::overlay::{Overlay, Wish, wish};
        let tour = Button::new(widgets::Kind::Quiet, tr!("Take the tour")).small();
        if tour.icon(icons::BOOK_OPEN).pressed(ui) {
            wish(ui.ctx(), Wish::Tour);
        }
        let playground = Button::new(widgets::Kind::Quiet, tr!("FP8 playground")).small();
        if playground.icon(icons::FLASK).pressed(ui) {
            wish(ui.ctx(), Wish::Open(Overlay::Playground));
        }
    });
}

fn sample_icon(name: &str) -> char {
    const ICONS: [(&str, char); 8] = [
        ("penguin", icons::BIRD),
        ("credit", icons::BANK),
        ("adult", icons::USERS_THREE),
        ("census", icons::USERS_THREE),
        ("digit", icons::PENCIL_SIMPLE),
        ("fashion", icons::T_SHIRT),
        ("concrete", icons::PACKAGE),
        ("wine", icons::FLASK),
    ];
    ICONS.iter().find(|(part, _)| name.contains(part)).map_or(icons::TABLE, |(_, icon)| *icon)
}

fn samples(ui: &mut Ui, state: &AppState, out: &mut Vec<Command>) {
    let p = theme::palette(ui);
    grid(ui, state.samples.len(), 230.0, |ui, index, width| {
        // As high as the longest description needs.
        let text_height = |s: &Sample| {
            let room = width - 2.0 * space::L;
            let text = shown(&s.description).into_owned();
            ui.painter().layout(text, theme::small(), p.muted, room).size().y
        };
        let height = state.samples.iter().map(text_height).fold(0.0, f32::max) + 74.0;
        let Some(sample) = state.samples.get(index) else { return };
        let id = &sample.id;
        let (name, description) = (shown(&sample.name), shown(&sample.description));
        let label = tr!("Open sample {name}", name);
        let response = clickable_card(ui, Vec2::new(width, height), &label, None, false, |ui| {
            ui.spacing_mut().item_spacing.y = 6.0;
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = space::S;
                widgets::icon(ui, sample_icon(id), 24.0, p.accent);
                strong(ui, &*name);
            });
            ui.add(
                Label::new(RichText::new(&*description).font(theme::small()).color(p.muted)).wrap(),
            );
        });
        if response.on_hover_text(&*description).clicked() {
            out.push(Command::OpenSample(id.clone()));
        }
    });
}

fn recent(ui: &mut Ui, state: &AppState, out: &mut Vec<Command>) {
    if state.prefs.recent.is_empty() {
        card(ui, |ui| widgets::muted(ui, tr!("Projects that you open will be listed here.")));
        return;
    }
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::XS;
        for recent in &state.prefs.recent {
            ui.horizontal(|ui| {
                let room = (ui.available_width() - 60.0).max(120.0);
                let label = tr!("Open {name}", name = recent.name);
                let size = Vec2::new(room, 48.0);
                let response = row(
                    ui,
                    size,
                    &label,
                    &recent.name,
                    &format!("{}  ·  {}", day_and_time(&recent.opened), recent.folder.display()),
                );
                if response.clicked() {
                    out.push(Command::Open(recent.folder.clone()));
                }
                let forget = tr!("Take {name} off this list", name = recent.name);
                if Button::icon_only(icons::X, &forget).small().pressed(ui) {
                    out.push(Command::Forget(recent.folder.clone()));
                }
            });
        }
    });
}

fn row(ui: &mut Ui, size: Vec2, label: &str, name: &str, below: &str) -> egui::Response {
    let p = theme::palette(ui);
    let (rect, response) = ui.allocate_exact_size(size, egui::Sense::click());
    let corner = egui::CornerRadius::same(theme::radius::M);
    if response.hovered() {
        ui.painter().rect_filled(rect, corner, p.hover);
    }
    widgets::button::focus_ring(ui, &response, corner);
    let painter = ui.painter().with_clip_rect(rect.intersect(ui.clip_rect()));
    let centre = egui::Align2::CENTER_CENTER;
    let at = egui::pos2(rect.min.x + 20.0, rect.center().y);
    painter.text(at, centre, icons::CLOCK_COUNTER_CLOCKWISE, theme::icon_font(20.0), p.muted);
    let x = rect.min.x + 42.0;
    let line = |text: &str, font, colour| {
        let mut job = egui::text::LayoutJob::simple_singleline(text.into(), font, colour);
        job.wrap = egui::text::TextWrapping::truncate_at_width(rect.width() - 50.0);
        painter.layout_job(job)
    };
    painter.galley(egui::pos2(x, rect.min.y + 6.0), line(name, theme::strong(), p.text), p.text);
    painter.galley(egui::pos2(x, rect.min.y + 25.0), line(below, theme::small(), p.muted), p.muted);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, label));
    response.on_hover_cursor(egui::CursorIcon::PointingHand)
}

/// An RFC 3339 time as day and time.
pub fn day_and_time(time: &str) -> String {
    time.parse::<jiff::Timestamp>()
        .map_or_else(|_| time.to_owned(), |t| t.strftime("%Y-%m-%d %H:%M UTC").to_string())
}
