//! Part of the Train step: what 8 bits do to every tensor.

use egui::Ui;

use super::insight;
use super::train::Local;
use crate::app::LiveRun;
use crate::app::live::TensorTrack;
use crate::fp8::Format;
use crate::plan::TensorRole;
use crate::tr;
use crate::ui::theme::space;
use crate::ui::widgets::page::column;
use crate::ui::widgets::plot::{Curves, format_value, points};
use crate::ui::widgets::{card, exponents, heat, save, section, segmented, small};

/// Which share the strips show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Heat {
    /// Values rounded to zero.
    #[default]
    Flushed,
    /// Values cut off at the largest number.
    Saturated,
}

/// Draws the part; nothing for a run without 8-bit tensors.
pub fn show(ui: &mut Ui, run: &LiveRun, local: &mut Local) {
    if run.tensors.is_empty() {
        return;
    }
    card(ui, |ui| {
        section(
            ui,
            tr!("What 8 bits do"),
            tr!(
                "Each row is one tensor over time. Colour shows how many of its values did not fit in 8 bits. Press one for its curves."
            ),
        );
        let id = ui.make_persistent_id("tensor heat");
        let title = tr!("What 8 bits do");
        ui.horizontal_wrapped(|ui| {
            let choices = [
                (Heat::Flushed, tr!("Rounded to zero")),
                (Heat::Saturated, tr!("Cut off at the top")),
            ];
            if let Some(heat) = segmented(ui, local.heat, &choices) {
                local.heat = heat;
            }
            ui.add_space(space::M);
            heat::key(ui);
            save::menu(ui, id, title, || csv(run, local.heat));
        });
        let from = ui.cursor().min;
        let rows: Vec<heat::Row<'_>> = run
            .tensors
            .iter()
            .map(|t| {
                let series = match local.heat {
                    Heat::Flushed => &t.flushed,
                    Heat::Saturated => &t.saturated,
                };
                let latest = series.last().map_or(0.0, |(_, y)| y);
                heat::Row {
                    name: &t.name,
                    points: points(series),
                    latest: format_value(latest, true, false),
                }
            })
            .collect();
        let selected = local
            .tensor
            .as_ref()
            .and_then(|name| run.tensors.iter().position(|t| t.name == *name))
            .or(Some(0));
        if let Some(track) = heat::strips(ui, &rows, selected).and_then(|i| run.tensors.get(i)) {
            local.tensor = Some(track.name.clone());
        }
        let to = egui::pos2(ui.max_rect().max.x, ui.cursor().min.y);
        save::drawn(ui, id, egui::Rect::from_min_max(from, to).expand(space::XS));
        ui.add_space(space::S);
        if let Some(track) = selected.and_then(|i| run.tensors.get(i)) {
            detail(ui, run, track);
        }
    });
}

/// The values behind the colours.
fn csv(run: &LiveRun, heat: Heat) -> String {
    let rows = run.tensors.iter().flat_map(|t| {
        let series = match heat {
            Heat::Flushed => &t.flushed,
            Heat::Saturated => &t.saturated,
        };
        let all = series.query(f64::NEG_INFINITY, f64::INFINITY, usize::MAX);
        all.into_iter().map(|b| [t.name.clone(), b.x.to_string(), b.mean.to_string()])
    });
    save::csv(&[tr!("tensor"), tr!("epoch"), tr!("share")], rows)
}

fn role(role: TensorRole) -> &'static str {
    match role {
        TensorRole::Weight => tr!("weight: what the layer has learned"),
        TensorRole::Activation => tr!("activation: what goes into the layer"),
        TensorRole::Gradient => tr!("gradient: how the layer should change"),
    }
}

fn detail(ui: &mut Ui, run: &LiveRun, track: &TensorTrack) {
    let format = match track.format {
        Format::E4M3 => "E4M3",
        Format::E5M2 => "E5M2",
    };
    section(ui, &track.name, "");
    small(ui, format!("{}  ·  {format}", role(track.role)));
    let available = ui.available_width();
    let wide = available > 620.0;
    let width = if wide { (available - space::L) / 2.0 } else { available };
    let range = |ui: &mut Ui| {
        Curves::new("range", tr!("Range"), tr!("Epoch"))
            .curve(tr!("largest value, log₂ amax"), &track.amax, false)
            .curve(tr!("scale, log₂"), &track.scale, true)
            .events(insight::marks_of(run, &track.name))
            .height(150.0)
            .whole()
            .show(ui);
    };
    let lost = |ui: &mut Ui| {
        Curves::new("lost", tr!("Lost"), tr!("Epoch"))
            .curve(tr!("rounded to zero"), &track.flushed, false)
            .curve(tr!("cut off"), &track.saturated, true)
            .events(insight::marks_of(run, &track.name))
            .height(150.0)
            .percent()
            .from_zero()
            .show(ui);
    };
    if wide {
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = space::L;
            column(ui, width, range);
            column(ui, width, lost);
        });
    } else {
        range(ui);
        lost(ui);
    }
    let (bins, scale) = (&track.latest.histogram, track.latest.scale_exponent);
    exponents::show(ui, tr!("Sizes of values now"), bins, track.format, scale);
    insight::what_if(ui, run, &track.name);
}
