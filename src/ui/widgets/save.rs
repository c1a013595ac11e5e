//! The menu beside a plot that saves it as a picture or as a table.
//!
//! A widget cannot give commands, so wishes wait in the memory of the context until the frame around
//! all screens collects them.

use std::sync::Arc;

use egui::{Context, Id, Rect, Ui};

use super::Button;
use crate::tr;
use crate::ui::icons;

/// What is to be saved.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// What is drawn in this part of the window, as PNG.
    Picture {
        /// Name of the file, without ending.
        name: String,
        /// Where it is, in points.
        rect: Rect,
    },
    /// Values, as CSV.
    Table {
        /// Name of the file, without ending.
        name: String,
        /// The whole file.
        text: String,
    },
}

fn wishes() -> Id {
    Id::unique("plots to save")
}

fn hidden() -> Id {
    Id::unique("plots without buttons")
}

/// What was wished for since the last call.
pub fn take(ctx: &Context) -> Vec<Wish> {
    ctx.data_mut(|d| std::mem::take(d.get_temp_mut_or_default::<Vec<Wish>>(wishes())))
}

/// Leaves the buttons out while a picture is taken.
pub fn hide(ctx: &Context, hide: bool) {
    ctx.data_mut(|d| d.insert_temp(hidden(), hide));
}

fn wish(ctx: &Context, wish: Wish) {
    ctx.data_mut(|d| d.get_temp_mut_or_default::<Vec<Wish>>(wishes()).push(wish));
    ctx.request_repaint();
}

/// Remembers where a plot is, so that the menu above it can save it.
pub fn drawn(ui: &Ui, id: Id, rect: Rect) {
    ui.ctx().data_mut(|d| d.insert_temp(id.with("drawn"), rect));
}

/// The menu. `title` names the file; `csv` makes the table only when it is asked for.
pub fn menu(ui: &mut Ui, id: Id, title: &str, csv: impl FnOnce() -> String) {
    let hide = ui.ctx().data(|d| d.get_temp::<bool>(hidden())).unwrap_or(false);
    if hide {
        return;
    }
    let label = tr!("Save the plot \"{title}\"", title);
    let response = Button::icon_only(icons::DOWNLOAD_SIMPLE, &label).small().show(ui);
    let name = crate::app::apply::slug(title);
    let rect = ui.ctx().data(|d| d.get_temp::<Rect>(id.with("drawn")));
    egui::Popup::menu(&response).show(|ui| {
        ui.set_min_width(170.0);
        if let Some(rect) = rect
            && ui.button(tr!("Save as picture (PNG)…")).clicked()
        {
            wish(ui.ctx(), Wish::Picture { name: name.clone(), rect });
        }
        if ui.button(tr!("Save values (CSV)…")).clicked() {
            wish(ui.ctx(), Wish::Table { name, text: csv() });
        }
    });
}

/// A button that saves a table.
pub fn menu_csv(ui: &mut Ui, title: &str, csv: impl FnOnce() -> String) {
    let label = tr!("Save \"{title}\" as CSV", title);
    if Button::icon_only(icons::DOWNLOAD_SIMPLE, &label).small().pressed(ui) {
        wish(ui.ctx(), Wish::Table { name: crate::app::apply::slug(title), text: csv() });
    }
}

/// A table as CSV, with a head.
pub fn csv<R: IntoIterator<Item = String>>(
    head: &[&str],
    rows: impl IntoIterator<Item = R>,
) -> String {
    let mut text = head.iter().map(|h| quoted(h)).collect::<Vec<_>>().join(",");
    text.push('\n');
    for row in rows {
        text += &row.into_iter().map(|c| quoted(&c)).collect::<Vec<_>>().join(",");
        text.push('\n');
    }
    text
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

/// Pictures on their way from the window to a file.
#[derive(Debug, Default)]
pub struct Camera {
    waiting: Vec<(u8, String, Rect)>,
    taken: Arc<std::sync::Mutex<Vec<(String, egui::ColorImage)>>>,
}

impl Camera {
    /// Takes wishes in and gives what is ready to be saved: name with ending, and content.
    pub fn work(&mut self, ctx: &Context) -> Vec<(String, crate::app::saving::Content)> {
        use crate::app::saving::Content;
        let mut ready = Vec::new();
        for wish in take(ctx) {
            match wish {
                Wish::Table { name, text } => {
                    ready.push((format!("{name}.csv"), Content::Text(text)));
                }
                // After the menu is closed and the buttons are gone.
                Wish::Picture { name, rect } => self.waiting.push((3, name, rect)),
            }
        }
        if !self.waiting.is_empty() {
            hide(ctx, true);
            ctx.request_repaint();
        }
        for (frames, ..) in &mut self.waiting {
            *frames = frames.saturating_sub(1);
        }
        let due = self.waiting.iter().position(|(frames, ..)| *frames == 0);
        if let Some((_, name, rect)) = due.map(|i| self.waiting.remove(i)) {
            let (taken, again) = (Arc::clone(&self.taken), ctx.clone());
            let scale = ctx.pixels_per_point();
            ctx.request_screenshot(move |image| {
                let part = image.region(&rect, Some(scale));
                if let Ok(mut taken) = taken.lock() {
                    taken.push((name, part));
                }
                again.request_repaint();
            });
            if self.waiting.is_empty() {
                hide(ctx, false);
            }
        }
        if let Ok(mut taken) = self.taken.lock() {
            for (name, image) in taken.drain(..) {
                ready.push((format!("{name}.png"), picture(&image)));
            }
        }
        ready
    }
}

fn picture(image: &egui::ColorImage) -> crate::app::saving::Content {
    let [width, height] = image.size;
    let rgba: Vec<u8> = image.pixels.iter().flat_map(|p| p.to_srgba_unmultiplied()).collect();
    crate::app::saving::Content::Picture {
        width: width as u32,
        height: height as u32,
        rgba: rgba.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_needed() {
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        let text = csv(&["x", "y, unit"], [row("1", "2"), row("a \"b\"", "c\nd")]);
        assert_eq!(text, "x,\"y, unit\"\n1,2\n\"a \"\"b\"\"\",\"c\nd\"\n");
    }
}
