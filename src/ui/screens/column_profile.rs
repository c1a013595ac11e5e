//! One column up close: its distribution, extremes, commonest values, and its link with the target.

use egui::{Label, RichText, Role, Ui, WidgetInfo};
use egui_plot::{Bar, BarChart, Plot};

use super::count;
use crate::app::{Command, ProjectState};
use crate::quality::profile::{Profile, Spread};
use crate::text::figure;
use crate::tr;
use crate::ui::icons;
use crate::ui::theme;
use crate::ui::widgets::page::fact;
use crate::ui::widgets::plot::format_value;
use crate::ui::widgets::{Button, card, save, small, strong};

/// Draws the profile that is open, if one is.
pub fn show(ui: &mut Ui, project: &ProjectState, out: &mut Vec<Command>) {
    let Some((name, profile)) = &project.profile else { return };
    card(ui, |ui| {
        ui.horizontal(|ui| {
            strong(ui, name.as_str());
            if Button::icon_only(icons::X, &tr!("Close the profile of {name}", name)).pressed(ui) {
                out.push(Command::Profile(None));
            }
        });
        match profile {
            None => {
                ui.horizontal(|ui| {
                    ui.add(egui::Spinner::new().size(16.0)).accessible_name(tr!("Working"));
                    small(ui, tr!("Looking at every cell of this column…"));
                });
            }
            Some(profile) => figures(ui, profile),
        }
    });
}

fn figures(ui: &mut Ui, profile: &Profile) {
    let value = |v: f64| format_value(v, false, true);
    ui.horizontal_wrapped(|ui| {
        fact(ui, tr!("Values"), &count(profile.present));
        fact(ui, tr!("Missing"), &count(profile.missing));
        fact(ui, tr!("Different"), &count(profile.distinct));
        if let Some((strength, measure)) = profile.association {
            fact(
                ui,
                &tr!("Link with the target ({measure})", measure),
                &figure(format!("{strength:.2}")),
            );
        }
    });
    if let Some(spread) = &profile.spread {
        distribution(ui, &profile.name, spread);
        let [min, q1, median, q3, max] = spread.quartiles.map(value);
        small(
            ui,
            tr!(
                "Smallest {min}, quarter {q1}, middle {median}, three quarters {q3}, largest {max}; mean {mean}, standard deviation {std}.",
                min,
                q1,
                median,
                q3,
                max,
                mean = value(spread.mean),
                std = value(spread.std)
            ),
        );
        let ends: Vec<String> =
            spread.extremes.iter().map(|(row, v)| tr!("{v} (row {row})", v, row)).collect();
        ui.add(Label::new(tr!("Extremes: {ends}", ends = ends.join(", "))).wrap());
    }
    if profile.top.is_empty() {
        return;
    }
    let id = ui.make_persistent_id(("commonest", &profile.name));
    let from = ui.cursor().min;
    let heading = tr!("Commonest values of {name}", name = profile.name);
    ui.horizontal_wrapped(|ui| {
        strong(ui, heading.as_str());
        save::menu(ui, id, &heading, || {
            let rows = profile.top.iter().map(|(text, n)| [text.clone(), n.to_string()]);
            save::csv(&[profile.name.as_str(), tr!("rows")], rows)
        });
    });
    let most = profile.top.first().map_or(1, |t| t.1).max(1) as f32;
    let p = theme::palette(ui);
    for (text, n) in &profile.top {
        ui.horizontal(|ui| {
            let width = (ui.available_width() * 0.3).max(60.0);
            let (rect, _) = ui.allocate_exact_size(egui::vec2(width, 14.0), egui::Sense::hover());
            let bar = egui::Rect::from_min_size(
                rect.min,
                egui::vec2(rect.width() * *n as f32 / most, rect.height()),
            );
            ui.painter().rect_filled(bar, egui::CornerRadius::same(2), p.series[0]);
            small(ui, count(*n));
            ui.add(Label::new(RichText::new(text)).truncate());
        });
    }
    let to = egui::pos2(ui.max_rect().max.x, ui.cursor().min.y);
    save::drawn(ui, id, egui::Rect::from_min_max(from, to));
}

fn distribution(ui: &mut Ui, name: &str, spread: &Spread) {
    let [min, .., max] = spread.quartiles;
    let width = (max - min) / spread.bins.len().max(1) as f64;
    let width = if width > 0.0 { width } else { 1.0 };
    let bars: Vec<Bar> = spread
        .bins
        .iter()
        .enumerate()
        .map(|(i, n)| Bar::new(min + (i as f64 + 0.5) * width, f64::from(*n)).width(width * 0.95))
        .collect();
    let unit = match spread.unit {
        "day" => tr!("Days since 1970").to_owned(),
        "characters" => tr!("Characters of a text").to_owned(),
        _ => name.to_owned(),
    };
    let id = ui.make_persistent_id(("distribution", name));
    let from = ui.cursor().min;
    let heading = tr!("Distribution of {name}", name);
    ui.horizontal_wrapped(|ui| {
        strong(ui, heading.as_str());
        save::menu(ui, id, &heading, || {
            let rows = spread.bins.iter().enumerate().map(|(i, n)| {
                let at = |i: usize| (min + i as f64 * width).to_string();
                [at(i), at(i + 1), n.to_string()]
            });
            save::csv(&[tr!("from"), tr!("to"), tr!("rows")], rows)
        });
    });
    let colour = theme::palette(ui).series[0];
    let response = Plot::new(("distribution", name))
        .height(170.0)
        .width(ui.available_width())
        .show_background(false)
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .x_axis_label(unit)
        .y_axis_label(tr!("Rows"))
        .show(ui, |plot| plot.bar_chart(BarChart::new(tr!("Rows"), bars).color(colour)));
    let rect = egui::Rect::from_min_max(from, response.response.rect.max);
    save::drawn(ui, id, rect.expand(theme::space::XS));
    let spoken = tr!("Distribution of {name}, from {min} to {max}", name, min, max);
    response.response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &spoken));
}
