//! The FP8 playground: what becomes of a number, and of a tensor, in 8 bits.

use egui::{Align2, CornerRadius, Label, RichText, Sense, Slider, Stroke, Ui, Vec2, pos2};

use crate::app::AppState;
use crate::fp8::Format;
use crate::fp8::stats::{HISTOGRAM_BINS, HISTOGRAM_MIN_EXPONENT};
use crate::text::{self, figure, of};
use crate::ui::theme::{self, space};
use crate::ui::widgets::exponents::{self, superscript};
use crate::ui::widgets::field::{slider, text_field};
use crate::ui::widgets::page::{column, grid};
use crate::ui::widgets::plot::format_value;
use crate::ui::widgets::{Mood, badge, muted, problem, section, segmented, small, strong};
use crate::{key, tr};

/// Scales that can be tried.
const SCALES: std::ops::RangeInclusive<i32> = -20..=20;
/// Numbers worth a try.
const EXAMPLES: [(&str, &str); 7] = [
    ("0.1", "0.1"),
    ("1/3", "0.33333334"),
    ("300", "300"),
    ("500", "500"),
    ("0.001", "0.001"),
    ("π", "3.1415927"),
    ("70000", "70000"),
];

/// What only the drawing needs to know.
#[derive(Debug)]
pub struct Local {
    /// What was typed, once the language of its first value is known.
    text: Option<String>,
    scale: i32,
    tensor: Option<String>,
    spread: f32,
    format: Format,
    tensor_scale: Option<i32>,
}

impl Default for Local {
    fn default() -> Self {
        Self {
            text: None,
            scale: 0,
            tensor: None,
            spread: -3.0,
            format: Format::E4M3,
            tensor_scale: None,
        }
    }
}

/// Draws it.
pub fn show(ui: &mut Ui, state: &AppState, local: &mut Local) {
    number(ui, local);
    ui.add_space(space::M);
    ui.separator();
    tensor(ui, state, local);
}

fn number(ui: &mut Ui, local: &mut Local) {
    section(
        ui,
        tr!("One number"),
        tr!("Type a number and see what is left of it in 8 bits, in both formats."),
    );
    let typed = local.text.get_or_insert_with(|| figure("0.1"));
    let parsed = text::number(typed).map(|x| x as f32);
    ui.horizontal_wrapped(|ui| {
        let field = text_field(ui, typed, 150.0, parsed.is_none());
        field.accessible_name(tr!("A number"));
        for (name, value) in EXAMPLES {
            let name = figure(name);
            let button = crate::ui::widgets::Button::secondary(&name).small();
            if button.pressed(ui) {
                *typed = figure(value);
            }
        }
    });
    scale_slider(ui, tr!("Scale"), &mut local.scale);
    let Some(x) = parsed else {
        problem(ui, tr!("This is not a number. Write it like 0.1 or 1.5e-3."));
        return;
    };
    small(
        ui,
        tr!(
            "The number is divided by the scale 2{scale}, rounded to the nearest value of the format (to the even code in the middle), and multiplied by the scale again when it is used.",
            scale = superscript(local.scale)
        ),
    );
    grid(ui, 2, 330.0, |ui, index, width| {
        let format = if index == 0 { Format::E4M3 } else { Format::E5M2 };
        column(ui, width, |ui| one(ui, format, x, local.scale));
    });
}

fn scale_slider(ui: &mut Ui, name: &str, scale: &mut i32) {
    ui.horizontal_wrapped(|ui| {
        let label = strong(ui, name);
        ui.spacing_mut().slider_width = (ui.available_width() - 190.0).clamp(80.0, 320.0);
        slider(ui, Slider::new(scale, SCALES).prefix("2^")).labelled_by(label.id);
    });
}

/// A number in words short enough for a card, at single precision: more digits would be noise.
fn show_number(x: f64) -> String {
    let x = x as f32;
    figure(match x.abs() {
        _ if x == 0.0 => "0".to_owned(),
        a if !(1e-4..1e7).contains(&a) => format!("{x:e}"),
        _ => x.to_string(),
    })
}

fn one(ui: &mut Ui, format: Format, x: f32, scale: i32) {
    let p = theme::palette(ui);
    let factor = 2f64.powi(scale);
    let code = format.encode_scaled(x.to_bits(), scale);
    let kept = f64::from(format.decode(code));
    let back = kept * factor;
    ui.spacing_mut().item_spacing.y = 6.0;
    ui.horizontal_wrapped(|ui| {
        strong(ui, format.name());
        fate(ui, format, x, scale, code);
    });
    bits(ui, format, code);
    if x.is_nan() || kept.is_nan() {
        small(ui, tr!("Not a number stays not a number."));
        return;
    }
    small(ui, formula(format, code, scale));
    ui.add(
        Label::new(RichText::new(format!("= {}", show_number(back))).font(theme::figure())).wrap(),
    );
    let error = back - f64::from(x);
    let share = if x == 0.0 { 0.0 } else { (error / f64::from(x)).abs() * 100.0 };
    let side = if error > 0.0 { tr!("more") } else { tr!("less") };
    let words = if error == 0.0 {
        tr!("Nothing is lost.").to_owned()
    } else if x.is_finite() {
        let size = format_value(error.abs(), false, false);
        tr!(
            "That is {size} {side} than {x} ({share:.2} % off).",
            size,
            side,
            x = show_number(x.into()),
            share
        )
    } else {
        tr!("Infinity becomes the largest value.").to_owned()
    };
    small(ui, words);
    let own = f64::from(x) / factor;
    if let Some((low, high)) = format.neighbours(own) {
        let (low, high) = (f64::from(low), f64::from(high));
        if low < high {
            let up = ((own - low) / (high - low) * 100.0).clamp(0.0, 100.0);
            small(
                ui,
                tr!(
                    "Neighbours: {low} below, {high} above. Stochastic rounding would go up {up:.0} % of the time.",
                    low = show_number(low * factor),
                    high = show_number(high * factor),
                    up
                ),
            );
        }
    }
    line(ui, format, own, kept, p);
    small(
        ui,
        tr!(
            "With this scale: largest {max}, smallest above zero {min}.",
            max = show_number(f64::from(format.max()) * factor),
            min = show_number(f64::from(format.min_subnormal()) * factor)
        ),
    );
}

fn fate(ui: &mut Ui, format: Format, x: f32, scale: i32, code: u8) {
    let own = f64::from(x) / 2f64.powi(scale);
    let (mood, text) = if x.is_nan() {
        (Mood::Neutral, tr!("not a number"))
    } else if format.saturates(x.to_bits(), scale) {
        (Mood::Bad, tr!("saturated: cut off"))
    } else if x != 0.0 && code & 0x7f == 0 {
        (Mood::Bad, tr!("flushed to zero"))
    } else if format.is_subnormal(code) {
        (Mood::Warn, tr!("subnormal: fewer digits"))
    } else if f64::from(format.decode(code)) == own {
        (Mood::Good, tr!("exact"))
    } else {
        (Mood::Neutral, tr!("rounded"))
    };
    badge(ui, mood, None, text);
}

/// The code as eight boxes: sign, exponent, mantissa.
fn bits(ui: &mut Ui, format: Format, code: u8) {
    let p = theme::palette(ui);
    let part = |i: u32| match i {
        7 => (p.danger_soft, tr!("sign")),
        i if i >= format.mantissa_bits() => (p.accent_soft, tr!("exponent")),
        _ => (p.success_soft, tr!("mantissa")),
    };
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 3.0;
        for i in (0..8).rev() {
            let (fill, name) = part(i);
            let (rect, response) = ui.allocate_exact_size(Vec2::new(24.0, 30.0), Sense::hover());
            ui.painter().rect_filled(rect, CornerRadius::same(theme::radius::S), fill);
            let bit = if code >> i & 1 == 1 { "1" } else { "0" };
            let at = Align2::CENTER_CENTER;
            ui.painter().text(rect.center(), at, bit, theme::strong(), p.text);
            response.on_hover_text(name);
            if i == 7 || i == format.mantissa_bits() {
                ui.add_space(space::XS);
            }
        }
        ui.add_space(space::S);
        small(ui, format!("0x{code:02X}"));
    });
    small(
        ui,
        tr!(
            "1 sign bit, {exponent} exponent bits, {mantissa} mantissa bits",
            exponent = format.exponent_bits(),
            mantissa = format.mantissa_bits()
        ),
    );
}

fn formula(format: Format, code: u8, scale: i32) -> String {
    let f = format.fields(code);
    let sign = if f.negative { "−" } else { "" };
    let steps = 1u32 << format.mantissa_bits();
    let scale = superscript(scale);
    match f.exponent {
        0 => tr!(
            "{sign}{mantissa}/{steps} × 2{exponent} × 2{scale} (scale)",
            sign,
            mantissa = f.mantissa,
            steps,
            exponent = superscript(1 - format.bias()),
            scale
        ),
        e => tr!(
            "{sign}(1 + {mantissa}/{steps}) × 2{exponent} × 2{scale} (scale)",
            sign,
            mantissa = f.mantissa,
            steps,
            exponent = superscript(e as i32 - format.bias()),
            scale
        ),
    }
}

/// Values of the format around a number, on a line.
fn line(ui: &mut Ui, format: Format, x: f64, kept: f64, p: &theme::Palette) {
    let width = ui.available_width();
    let (rect, response) = ui.allocate_exact_size(Vec2::new(width, 46.0), Sense::hover());
    let x = x.clamp(-1.2 * f64::from(format.max()), 1.2 * f64::from(format.max()));
    let around = (kept.abs().max(f64::from(format.min_normal())) * 0.6).max(1e-9);
    let (from, to) = (kept - around, kept + around);
    let place = |v: f64| rect.min.x + ((v - from) / (to - from)) as f32 * rect.width();
    let y = rect.center().y;
    ui.painter().hline(rect.x_range(), y, Stroke::new(1.0, p.outline));
    let all = format.magnitudes().map(f64::from);
    for value in all.flat_map(|v| [v, -v]).filter(|v| (from..=to).contains(v)) {
        let chosen = value == kept;
        let (reach, stroke) = if chosen {
            (11.0, Stroke::new(3.0, p.accent))
        } else {
            (6.0, Stroke::new(1.0, p.muted))
        };
        ui.painter().vline(place(value), y - reach..=y + reach, stroke);
    }
    if (from..=to).contains(&x) {
        let at = place(x);
        let up = [pos2(at, y - 12.0), pos2(at - 5.0, y - 21.0), pos2(at + 5.0, y - 21.0)];
        ui.painter().add(egui::Shape::convex_polygon(up.to_vec(), p.series[1], Stroke::NONE));
    }
    let spoken = tr!(
        "Values of {format} around the number; the tall line is the one it becomes, the triangle is the number",
        format = format.name()
    );
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, &spoken));
    response.on_hover_text(spoken);
}

fn tensor(ui: &mut Ui, state: &AppState, local: &mut Local) {
    section(
        ui,
        tr!("A tensor"),
        tr!(
            "How large its values are, against what the format can hold. Move the scale until the values fit."
        ),
    );
    let run = state.run().filter(|r| !r.tensors.is_empty());
    let names: Vec<&str> =
        run.map(|r| r.tensors.iter().map(|t| t.name.as_str()).collect()).unwrap_or_default();
    if local.tensor.as_ref().is_some_and(|t| !names.contains(&t.as_str())) {
        local.tensor = None;
    }
    ui.horizontal_wrapped(|ui| {
        let shown = local.tensor.clone().unwrap_or_else(|| of(BELL).to_owned());
        let before = local.tensor.clone();
        egui::ComboBox::from_id_salt("playground-tensor")
            .width(230.0)
            .truncate()
            .selected_text(shown)
            .show_ui(ui, |ui| {
                ui.selectable_value(&mut local.tensor, None, of(BELL));
                for name in &names {
                    ui.selectable_value(&mut local.tensor, Some((*name).to_owned()), *name);
                }
            })
            .response
            .accessible_name(tr!("Which tensor"));
        if before != local.tensor {
            local.tensor_scale = None;
        }
        let formats = Format::ALL.map(|f| (f, f.name()));
        if let Some(format) = segmented(ui, local.format, &formats) {
            local.format = format;
            local.tensor_scale = None;
        }
    });
    let track = local
        .tensor
        .as_ref()
        .and_then(|name| run.and_then(|r| r.tensors.iter().find(|t| t.name == *name)));
    let bins = match track {
        Some(track) => track.latest.histogram.clone(),
        None => {
            ui.horizontal_wrapped(|ui| {
                let label = strong(ui, tr!("Typical size of its values"));
                let size = Slider::new(&mut local.spread, -16.0..=12.0)
                    .step_by(1.0)
                    .fixed_decimals(0)
                    .prefix("2^");
                slider(ui, size).labelled_by(label.id);
            });
            bell(local.spread)
        }
    };
    let amax = match track {
        Some(track) => track.latest.amax,
        None => 4.0 * 2f32.powf(local.spread),
    };
    let chosen = crate::fp8::Scale::from_amax_bits(amax.to_bits(), local.format, 0).exponent;
    let mut scale = local.tensor_scale.unwrap_or(chosen.clamp(*SCALES.start(), *SCALES.end()));
    let before = scale;
    scale_slider(ui, tr!("Scale of the tensor"), &mut scale);
    if scale != before {
        local.tensor_scale = Some(scale);
    }
    ui.horizontal_wrapped(|ui| {
        let text = tr!(
            "Current scaling takes 2{chosen}, from the largest value.",
            chosen = superscript(chosen)
        );
        muted(ui, text);
        let own = local.tensor_scale.is_some();
        if own && crate::ui::widgets::Button::secondary(tr!("Take that")).small().pressed(ui) {
            local.tensor_scale = None;
        }
    });
    exponents::show(ui, tr!("Sizes of values"), &bins, local.format, scale);
    if track.is_none() && names.is_empty() {
        small(ui, tr!("Train a model in FP8 to look at its own tensors here."));
    }
}

const BELL: &str = key!("Made up: a bell curve");

/// Sizes of 100 000 values of a normal distribution with a standard deviation of 2^`spread`.
fn bell(spread: f32) -> Vec<u32> {
    let sigma = 2f64.powf(f64::from(spread));
    let density = |x: f64| (-x * x / 2.0).exp() * (2.0 / std::f64::consts::PI).sqrt();
    (0..HISTOGRAM_BINS)
        .map(|i| {
            let exponent = i as i32 + HISTOGRAM_MIN_EXPONENT;
            let (from, to) = (2f64.powi(exponent) / sigma, 2f64.powi(exponent + 1) / sigma);
            // Simpson's rule on eight parts.
            let h = (to - from) / 8.0;
            let sum: f64 = (0..=8)
                .map(|k| {
                    let weight = if k == 0 || k == 8 {
                        1.0
                    } else if k % 2 == 1 {
                        4.0
                    } else {
                        2.0
                    };
                    weight * density(from + f64::from(k) * h)
                })
                .sum();
            (sum * h / 3.0 * 1e5).round() as u32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_give_the_value() {
        let code = Format::E4M3.encode(0.1);
        assert_eq!(Format::E4M3.decode(code), 0.101_562_5);
        assert_eq!(formula(Format::E4M3, code, 0), "(1 + 5/8) × 2⁻⁴ × 2⁰ (scale)");
        assert_eq!(formula(Format::E5M2, 0x81, 3), "−1/4 × 2⁻¹⁴ × 2³ (scale)");
    }

    #[test]
    fn the_bell_has_all_its_values() {
        for spread in [-10.0, 0.0, 5.0] {
            let all: u32 = bell(spread).iter().sum();
            assert!((99_000..=101_000).contains(&all), "{spread}: {all}");
        }
    }
}
