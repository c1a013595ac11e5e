//! Try it: type a row, paste a text or drop a picture, and see the answer and what it hangs on.

use std::path::PathBuf;

use egui::{Label, Rect, RichText, Sense, Ui, Vec2};

use crate::app::columns::ColumnSummary;
use crate::app::{Command, LiveRun, Pick, ProjectState};
use crate::data::{ColumnType, Dataset, Samples};
use crate::deploy::Prediction;
use crate::deploy::explain::{Answer, Input, Reason, Seen};
use crate::eval::{Evaluation, Outcomes};
use crate::text::{self, figure};
use crate::tr;
use crate::ui::icons;
use crate::ui::theme::{self, space};
use crate::ui::widgets::field::text_field;
use crate::ui::widgets::page::split;
use crate::ui::widgets::plot::format_value;
use crate::ui::widgets::{self, Button, Mood, banner, card, save, section, small, strong};

/// Columns that are shown as what mattered.
const REASONS: usize = 12;

/// One column to fill in.
#[derive(Debug, Clone)]
struct Field {
    name: String,
    kind: ColumnType,
    text: String,
    /// Common values to choose from.
    common: Vec<String>,
    /// Whether these are all values.
    closed: bool,
}

/// What only the drawing needs to know.
#[derive(Debug, Default)]
pub struct Local {
    run: PathBuf,
    fields: Vec<Field>,
    /// Which row of the test rows was taken last, and its true answer.
    taken: Option<(usize, String)>,
    texture: Option<Texture>,
}

/// A picture on the screen, and the pixels that it was made of.
struct Texture {
    of: Vec<u8>,
    handle: egui::TextureHandle,
}

impl std::fmt::Debug for Texture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Texture").field("bytes", &self.of.len()).finish_non_exhaustive()
    }
}

/// A number as it would be typed.
fn typed(value: f64) -> String {
    let digits = (2.0 - value.abs().max(1e-9).log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

fn field(summary: Option<&ColumnSummary>, name: &str, kind: ColumnType) -> Field {
    let common: Vec<String> =
        summary.map(|s| s.top.iter().map(|(v, _)| v.clone()).collect()).unwrap_or_default();
    let mean = summary.and_then(|s| s.numbers.as_ref()).map(|n| figure(typed(n.mean)));
    let text = match kind {
        ColumnType::Number => mean.or_else(|| common.first().cloned()),
        _ => common.first().cloned(),
    };
    let choose = matches!(kind, ColumnType::Category | ColumnType::Boolean);
    let closed = choose && summary.is_some_and(|s| !s.many && s.distinct <= s.top.len());
    let common = if choose { common } else { Vec::new() };
    Field { name: name.to_owned(), kind, text: text.unwrap_or_default(), common, closed }
}

fn fields(project: &ProjectState, run: &LiveRun) -> Vec<Field> {
    run.schema
        .features()
        .map(|(name, kind)| field(project.summaries.iter().find(|s| s.name == name), name, kind))
        .collect()
}

/// Draws the tab.
pub fn show(
    ui: &mut Ui,
    project: &ProjectState,
    found: &Evaluation,
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    let Some(run) = &project.run else { return };
    if local.run != run.folder {
        *local =
            Local { run: run.folder.clone(), fields: fields(project, run), ..Local::default() };
    }
    let mut with = (local, out);
    let main = |ui: &mut Ui, (local, out): &mut (&mut Local, &mut Vec<Command>)| {
        card(ui, |ui| match &project.dataset.samples {
            Samples::Table(_) => row_form(ui, project, found, local, out),
            Samples::Images(_) => picture_form(ui, project, found, local, out),
        });
    };
    let beside = |ui: &mut Ui, (local, _): &mut (&mut Local, &mut Vec<Command>)| {
        answer_card(ui, project, run, local);
    };
    let side = (ui.available_width() * 0.43).clamp(240.0, 450.0);
    if ui.available_width() < 620.0 {
        // What is filled in comes before what it leads to.
        main(ui, &mut with);
        beside(ui, &mut with);
    } else {
        split(ui, side, &mut with, main, beside);
    }
}

fn row_form(
    ui: &mut Ui,
    project: &ProjectState,
    found: &Evaluation,
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    section(
        ui,
        tr!("Type a row"),
        tr!("It starts with typical values. The answer follows what you change."),
    );
    ui.horizontal_wrapped(|ui| {
        let take = Button::secondary(tr!("Take a test row")).small().icon(icons::TABLE);
        if take.hint(tr!("Fills in a row that training never saw")).pressed(ui) {
            take_row(project, found, local);
        }
        let reset = Button::secondary(tr!("Typical values")).small().icon(icons::ARROW_CLOCKWISE);
        if reset.pressed(ui)
            && let Some(run) = &project.run
        {
            local.fields = fields(project, run);
            local.taken = None;
        }
    });
    if let Some((_, truth)) = &local.taken {
        small(ui, tr!("A row of the test set; its true answer is {truth}.", truth));
    }
    let names = (ui.available_width() * 0.42).clamp(90.0, 220.0);
    let room = (ui.available_width() - names - space::M).max(80.0);
    for field in &mut local.fields {
        ui.horizontal_top(|ui| {
            let label = ui
                .allocate_ui(Vec2::new(names, 0.0), |ui| {
                    ui.set_width(names);
                    ui.vertical(|ui| {
                        ui.add_space(6.0);
                        let name = RichText::new(&field.name).font(theme::medium());
                        ui.add(Label::new(name).truncate()).on_hover_text(format!(
                            "{}, {}",
                            field.name,
                            kind_name(field.kind)
                        ))
                    })
                    .inner
                })
                .inner;
            enter(ui, field, room, label.id);
        });
    }
    let cells = local.fields.iter().map(|f| (f.name.clone(), cell(project, f)));
    let input = Input::Row(cells.collect());
    let trial = &project.trial;
    let asked = trial.asked.as_ref() == Some(&input) && trial.run == local.run;
    if !asked && trial.waiting.is_none() {
        out.push(Command::Try(input));
    }
}

fn kind_name(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Number => tr!("a number"),
        ColumnType::Category => tr!("a category"),
        ColumnType::Boolean => tr!("yes or no"),
        ColumnType::Date => tr!("a date"),
        ColumnType::Text => tr!("a text"),
        ColumnType::Ignore => tr!("not used"),
    }
}

fn enter(ui: &mut Ui, field: &mut Field, room: f32, label: egui::Id) {
    if field.kind == ColumnType::Text {
        ui.add(
            egui::TextEdit::multiline(&mut field.text)
                .desired_width(room - 16.0)
                .desired_rows(4)
                .hint_text(tr!("Paste or type a text"))
                .margin(egui::Margin::symmetric(8, 6)),
        )
        .labelled_by(label);
        return;
    }
    if field.closed {
        let shown =
            if field.text.is_empty() { tr!("unknown").to_owned() } else { field.text.clone() };
        let response = egui::ComboBox::from_id_salt(("try", &field.name))
            .width(room - 24.0)
            .truncate()
            .selected_text(shown)
            .show_ui(ui, |ui| {
                for value in &field.common {
                    ui.selectable_value(&mut field.text, value.clone(), value);
                }
                ui.selectable_value(&mut field.text, String::new(), tr!("unknown"));
            })
            .response;
        response.labelled_by(label);
        return;
    }
    let wrong = field.kind == ColumnType::Number
        && !field.text.trim().is_empty()
        && text::number(&field.text).is_none_or(|v| !v.is_finite());
    if field.common.is_empty() {
        let response = text_field(ui, &mut field.text, room - 16.0, wrong).labelled_by(label);
        if wrong {
            response.on_hover_text(tr!("This is not read as a number and counts as unknown."));
        }
        return;
    }
    text_field(ui, &mut field.text, (room - 52.0).max(40.0), wrong).labelled_by(label);
    let choose = tr!("Common values of {name}", name = field.name);
    let button = Button::icon_only(icons::CARET_DOWN, &choose).small().show(ui);
    egui::Popup::menu(&button).show(|ui| {
        for value in &field.common {
            if ui.button(value).clicked() {
                field.text.clone_from(value);
            }
        }
    });
}

/// What was typed, as the data write it.
fn cell(project: &ProjectState, field: &Field) -> String {
    let column = match &project.dataset.samples {
        Samples::Table(table) => table.column(&field.name),
        Samples::Images(_) => None,
    };
    match (column, text::number(&field.text)) {
        (Some(column), Some(v)) if field.kind == ColumnType::Number => column.format.write(v),
        _ => field.text.clone(),
    }
}

/// Fills in the next test row.
fn take_row(project: &ProjectState, found: &Evaluation, local: &mut Local) {
    let Samples::Table(table) = &project.dataset.samples else { return };
    if found.row_numbers.is_empty() {
        return;
    }
    let place = local.taken.as_ref().map_or(0, |(p, _)| p + 1) % found.row_numbers.len();
    let row = found.row_numbers.get(place).copied().unwrap_or(0) as usize;
    for field in &mut local.fields {
        if let Some(column) = table.column(&field.name) {
            field.text = match column.number(row) {
                Some(v) if field.kind == ColumnType::Number => figure(v.to_string()),
                _ => column.value(row).unwrap_or_default().to_owned(),
            };
        }
    }
    local.taken = Some((place, truth(found, place)));
}

fn truth(found: &Evaluation, place: usize) -> String {
    match &found.outcomes {
        Outcomes::Classes(c) => {
            c.truth.get(place).and_then(|t| c.classes.get(*t as usize)).cloned().unwrap_or_default()
        }
        Outcomes::Values(v) => {
            v.truth.get(place).map_or(String::new(), |v| format_value(*v, false, true))
        }
    }
}

fn picture_form(
    ui: &mut Ui,
    project: &ProjectState,
    found: &Evaluation,
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    section(
        ui,
        tr!("Show it a picture"),
        tr!("Drop a file on this window, open one, or take one of the data."),
    );
    ui.horizontal_wrapped(|ui| {
        if Button::secondary(tr!("Open picture…")).icon(icons::IMAGE).pressed(ui) {
            out.push(Command::Pick(Pick::Picture));
        }
        if Button::secondary(tr!("Take a test picture")).pressed(ui)
            && !found.row_numbers.is_empty()
        {
            let next = local.taken.as_ref().map_or(0, |(p, _)| p + 1) % found.row_numbers.len();
            let row = found.row_numbers.get(next).copied().unwrap_or(0) as usize;
            local.taken = Some((next, truth(found, next)));
            out.push(Command::Try(Input::Sample(row)));
        }
    });
    let trial = &project.trial;
    if trial.run != local.run {
        return;
    }
    if let Some(Input::Sample(_)) = &trial.asked
        && let Some((_, truth)) = &local.taken
    {
        small(ui, tr!("A picture of the test set; it is {truth}.", truth));
    }
    if let Some(Ok(answer)) = &trial.answer
        && let Some(seen) = &answer.picture
    {
        picture(ui, seen, local);
    }
}

/// The picture as the model sees it, brightest where the answer hangs on it.
fn picture(ui: &mut Ui, seen: &Seen, local: &mut Local) {
    let shape = [seen.width, seen.height];
    if local.texture.as_ref().is_none_or(|t| t.of != seen.pixels) {
        let image = match seen.channels {
            1 => egui::ColorImage::from_gray(shape, &seen.pixels),
            _ => egui::ColorImage::from_rgb(shape, &seen.pixels),
        };
        let handle = ui.ctx().load_texture("tried", image, egui::TextureOptions::NEAREST);
        local.texture = Some(Texture { of: seen.pixels.clone(), handle });
    }
    let Some(Texture { handle, .. }) = &local.texture else { return };
    let wide = ((ui.available_width() - space::M) / 2.0).clamp(60.0, 220.0);
    let high = wide * seen.height as f32 / seen.width.max(1) as f32;
    let most = seen.effects.iter().fold(1e-6_f32, |m, e| m.max(*e));
    ui.horizontal_wrapped(|ui| {
        ui.add(
            egui::Image::new(handle)
                .fit_to_exact_size(Vec2::new(wide, high))
                .alt_text(tr!("The picture as the model sees it")),
        );
        let (rect, response) = ui.allocate_exact_size(Vec2::new(wide, high), Sense::hover());
        let mut mesh = egui::Mesh::default();
        let cell = Vec2::new(wide / seen.width.max(1) as f32, high / seen.height.max(1) as f32);
        for (i, effect) in seen.effects.iter().enumerate() {
            let at = Vec2::new((i % seen.width.max(1)) as f32, (i / seen.width.max(1)) as f32);
            let part = Rect::from_min_size(rect.min + at * cell, cell);
            mesh.add_colored_rect(part, theme::sequential((effect / most).max(0.0)));
        }
        ui.painter().add(mesh);
        let spoken = tr!("Where the answer hangs on the picture: the brighter, the more");
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, spoken));
        response.on_hover_text(spoken);
    });
    small(
        ui,
        tr!(
            "Right: a grey patch was laid over each place in turn. Bright places matter most: hiding them lowers the probability by up to {most}.",
            most = format_value(f64::from(most), true, false)
        ),
    );
}

fn answer_card(ui: &mut Ui, project: &ProjectState, run: &LiveRun, local: &Local) {
    let trial = &project.trial;
    let answer = trial.answer.as_ref().filter(|_| trial.run == local.run);
    card(ui, |ui| {
        section(ui, tr!("The answer"), "");
        match answer {
            None if trial.waiting.is_some() => {
                ui.add(egui::Spinner::new().size(20.0)).accessible_name(tr!("Predicting"));
            }
            None => {
                widgets::muted(ui, tr!("It appears here."));
            }
            Some(Err(error)) => {
                let (heading, text) = widgets::state::error_texts(error);
                banner(ui, Mood::Bad, icons::WARNING_CIRCLE, &heading, text.trim(), |_| {});
            }
            Some(Ok(answer)) => result(ui, run, answer),
        }
    });
    if let Some(Ok(answer)) = answer {
        reasons(ui, answer);
    }
}

fn result(ui: &mut Ui, run: &LiveRun, answer: &Answer) {
    let p = theme::palette(ui);
    let (words, sure) = answer.words_for_it();
    small(ui, run.schema.target.as_str());
    ui.add(Label::new(RichText::new(words).font(theme::title()).color(p.accent)).wrap());
    if let Some(sure) = sure {
        let text = tr!("The model gives it a probability of {sure:.1} %.", sure = sure * 100.0);
        widgets::muted(ui, text);
    }
    for column in &answer.unknown {
        let text =
            tr!("Training had nothing like the value of {column}; it counts as unknown.", column);
        ui.horizontal(|ui| {
            widgets::icon(ui, icons::WARNING, 15.0, p.warning);
            ui.add(Label::new(RichText::new(text).font(theme::small()).color(p.warning)).wrap());
        });
    }
    if let Prediction::Class { probabilities, .. } = &answer.prediction {
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        let of = |i: usize| probabilities.get(i).copied().unwrap_or(0.0);
        order.sort_by(|a, b| of(*b).total_cmp(&of(*a)));
        for class in order.into_iter().take(5) {
            let name = answer.classes.get(class).map_or("", |c| c);
            bar(
                ui,
                name,
                f64::from(of(class)),
                1.0,
                &figure(format!("{:.1} %", of(class) * 100.0)),
                false,
            );
        }
    }
}

/// A name, a bar from the left or from the middle, and the value.
fn bar(ui: &mut Ui, name: &str, value: f64, most: f64, text: &str, both: bool) {
    let p = theme::palette(ui);
    let width = ui.available_width();
    let (rect, response) = ui.allocate_exact_size(Vec2::new(width, 22.0), Sense::hover());
    let names = width * 0.38;
    let values = 76.0;
    let mut job = egui::text::LayoutJob::simple_singleline(name.into(), theme::small(), p.text);
    job.wrap = egui::text::TextWrapping::truncate_at_width(names - space::S);
    let galley = ui.painter().layout_job(job);
    let at = egui::pos2(rect.min.x, rect.center().y - galley.size().y / 2.0);
    ui.painter().galley(at, galley, p.text);
    let track = Rect::from_min_max(
        egui::pos2(rect.min.x + names, rect.min.y + 5.0),
        egui::pos2(rect.max.x - values, rect.max.y - 5.0),
    );
    let corner = egui::CornerRadius::same(theme::radius::S);
    ui.painter().rect_filled(track, corner, p.sunken);
    let share = (value.abs() / most.max(1e-12)).clamp(0.0, 1.0) as f32;
    let (from, to) = match (both, value >= 0.0) {
        (false, _) => (track.min.x, track.min.x + track.width() * share),
        (true, true) => (track.center().x, track.center().x + track.width() / 2.0 * share),
        (true, false) => (track.center().x - track.width() / 2.0 * share, track.center().x),
    };
    let colour = if value >= 0.0 { p.series[0] } else { p.series[1] };
    let fill = Rect::from_min_max(egui::pos2(from, track.min.y), egui::pos2(to, track.max.y));
    ui.painter().rect_filled(fill, corner, colour);
    if both {
        let line = egui::Stroke::new(1.0, p.outline);
        ui.painter().vline(track.center().x, track.y_range(), line);
    }
    ui.painter().text(
        egui::pos2(rect.max.x, rect.center().y),
        egui::Align2::RIGHT_CENTER,
        text,
        theme::small(),
        p.text,
    );
    let spoken = format!("{name}: {text}");
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, &spoken));
    response.on_hover_text(spoken);
}

fn reasons(ui: &mut Ui, answer: &Answer) {
    if answer.columns.is_empty() {
        return;
    }
    let share = !answer.classes.is_empty();
    let text = |effect: f64| {
        let sign = if effect >= 0.0 { "+" } else { "−" };
        let size = format_value(effect.abs(), share, false);
        format!("{sign}{}", size.replace(" %", " pts"))
    };
    card(ui, |ui| {
        ui.horizontal_wrapped(|ui| {
            section(ui, tr!("What mattered"), "");
            save::menu_csv(ui, tr!("What mattered"), || csv(answer));
        });
        let most = answer.columns.first().map_or(0.0, |r| r.effect.abs());
        for reason in answer.columns.iter().take(REASONS) {
            let value: String = reason.value.chars().take(24).collect();
            let name = format!(
                "{} = {}",
                reason.name,
                if value.is_empty() { tr!("unknown") } else { &value }
            );
            bar(ui, &name, reason.effect, most, &text(reason.effect), true);
        }
        let more = answer.columns.len().saturating_sub(REASONS);
        if more > 0 {
            small(ui, tr!("{more} columns with smaller effects are left out.", more));
        }
        let what = if share { tr!("the probability of the answer") } else { tr!("the answer") };
        small(
            ui,
            tr!(
                "Each value was swapped for those of {swapped} other rows. Right: with this value {what} is that much higher than on average with theirs; left: lower. Effects of values that only matter together can be missed.",
                swapped = answer.swapped,
                what
            ),
        );
        words(ui, &answer.words, &text);
    });
}

fn words(ui: &mut Ui, words: &[Reason], text: &dyn Fn(f64) -> String) {
    if words.is_empty() {
        return;
    }
    ui.add_space(space::S);
    strong(ui, tr!("Words"));
    let most = words.first().map_or(0.0, |r| r.effect.abs());
    for word in words.iter().take(REASONS) {
        bar(ui, &word.name, word.effect, most, &text(word.effect), true);
    }
    small(
        ui,
        tr!("Each word was left out in turn. Right: it speaks for the answer; left: against it."),
    );
}

fn csv(answer: &Answer) -> String {
    let row = |kind: &str, r: &Reason| {
        [kind.to_owned(), r.name.clone(), r.value.clone(), r.effect.to_string()]
    };
    let columns = answer.columns.iter().map(|r| row(tr!("column"), r));
    let words = answer.words.iter().map(|r| row(tr!("word"), r));
    save::csv(&[tr!("kind"), tr!("name"), tr!("value"), tr!("effect")], columns.chain(words))
}

/// What dropping a file on the tab asks for.
pub fn dropped(data: &Dataset, path: &std::path::Path) -> Option<Command> {
    let picture = path.extension().is_some_and(|e| {
        ["png", "jpg", "jpeg", "webp", "bmp"].iter().any(|x| e.eq_ignore_ascii_case(x))
    });
    (picture && matches!(data.samples, Samples::Images(_)))
        .then(|| Command::Try(Input::Picture(path.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typical_numbers_are_as_people_type_them() {
        assert_eq!(typed(0.0), "0");
        assert_eq!(typed(4_201.754_386), "4202");
        assert_eq!(typed(43.921_93), "43.9");
        assert_eq!(typed(0.012_345), "0.0123");
        assert_eq!(typed(-17.0), "-17");
    }
}
