//! How many values of a tensor have which size, against what a format can hold at a scale.

use egui::{Align2, Color32, CornerRadius, Rect, Role, Sense, Stroke, Ui, Vec2, WidgetInfo, pos2};

use super::{save, small, strong};
use crate::fp8::Format;
use crate::fp8::stats::HISTOGRAM_MIN_EXPONENT;
use crate::text::figure;
use crate::tr;
use crate::ui::theme::{self, space};

/// What becomes of values with a binary exponent, in a format at a scale of 2^`scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Become zero.
    Zero,
    /// Keep some of their digits.
    Subnormal,
    /// Keep all digits of the format.
    Normal,
    /// Are cut off, all or those above 1.75 times the power of two.
    Cut,
}

impl Fate {
    /// Of values from 2^`exponent` to twice that.
    pub fn of(format: Format, scale: i32, exponent: i32) -> Self {
        let own = exponent - scale;
        // A power of two whose half is the smallest value still rounds up for the larger half.
        let smallest = format.min_subnormal().log2() as i32 - 1;
        let normal = format.min_normal().log2() as i32;
        match own {
            e if e > format.max_exponent() => Self::Cut,
            e if e >= normal => Self::Normal,
            e if e >= smallest => Self::Subnormal,
            _ => Self::Zero,
        }
    }

    fn colour(self, p: &theme::Palette) -> Color32 {
        match self {
            Self::Zero => p.muted,
            Self::Subnormal => p.series[4],
            Self::Normal => p.series[0],
            Self::Cut => p.danger,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Zero => tr!("become zero"),
            Self::Subnormal => tr!("lose digits (subnormal)"),
            Self::Normal => tr!("fit"),
            Self::Cut => tr!("are cut off"),
        }
    }
}

const ALL: [Fate; 4] = [Fate::Zero, Fate::Subnormal, Fate::Normal, Fate::Cut];

/// Draws the bars. `bins`: counts, the first for 2^[`HISTOGRAM_MIN_EXPONENT`].
pub fn show(ui: &mut Ui, title: &str, bins: &[u32], format: Format, scale: i32) {
    let p = theme::palette(ui);
    let id = ui.make_persistent_id(("exponents", title));
    let from = ui.cursor().min;
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = Vec2::new(6.0, 2.0);
        strong(ui, title);
        for fate in ALL {
            ui.add_space(space::XS);
            let (rect, _) = ui.allocate_exact_size(Vec2::splat(10.0), Sense::hover());
            ui.painter().rect_filled(rect, CornerRadius::same(2), fate.colour(p));
            small(ui, fate.name());
        }
        save::menu(ui, id, title, || csv(bins, format, scale));
    });
    let size = Vec2::new(ui.available_width(), 150.0);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    let whole: u64 = bins.iter().map(|n| u64::from(*n)).sum();
    let spoken = spoken(bins, format, scale, whole);
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &spoken));
    save::drawn(ui, id, Rect::from_min_max(from, rect.max).expand(space::XS));
    if whole == 0 {
        let at = Align2::CENTER_CENTER;
        let text = tr!("No values other than zero");
        ui.painter().text(rect.center(), at, text, theme::small(), p.muted);
        return;
    }
    let plot = Rect::from_min_max(rect.min, pos2(rect.max.x, rect.max.y - 34.0));
    let (first, last) = range(bins, format, scale);
    let count = (last - first + 1).max(1);
    let width = plot.width() / count as f32;
    let most = bins.iter().copied().max().unwrap_or(1).max(1) as f32;
    let x_of = |exponent: i32| plot.min.x + (exponent - first) as f32 * width;
    reach(ui, plot, format, scale, (first, last), &x_of);
    for exponent in first..=last {
        let n = bin(bins, exponent);
        let x = x_of(exponent);
        if n > 0 {
            // The square root keeps small counts in sight beside large ones.
            let high = ((n as f32 / most).sqrt() * plot.height()).max(1.5);
            let bar = Rect::from_min_max(
                pos2(x + 0.5, plot.max.y - high),
                pos2(x + (width - 0.5).max(1.0), plot.max.y),
            );
            let colour = Fate::of(format, scale, exponent).colour(p);
            ui.painter().rect_filled(bar, CornerRadius::same(1), colour);
        }
        if exponent % step(count) == 0 {
            let at = pos2(x, plot.max.y + 3.0);
            let text = format!("2{}", superscript(exponent));
            ui.painter().text(at, Align2::CENTER_TOP, text, theme::small(), p.muted);
        }
    }
    ui.painter().hline(plot.x_range(), plot.max.y, Stroke::new(1.0, p.outline));
    ui.painter().text(
        pos2(plot.center().x, rect.max.y),
        Align2::CENTER_BOTTOM,
        tr!("Size of the values (height: square root of their number)"),
        theme::small(),
        p.muted,
    );
    if let Some(at) = response.hover_pos() {
        let exponent = first + ((at.x - plot.min.x) / width.max(0.1)).floor() as i32;
        let n = bin(bins, exponent);
        let share = f64::from(n) / whole as f64 * 100.0;
        response.on_hover_text_at_pointer(tr!(
            "From 2{from} to 2{to}: {n} values, {share:.1} %\n{fate}",
            from = superscript(exponent),
            to = superscript(exponent + 1),
            n,
            share,
            fate = Fate::of(format, scale, exponent).name()
        ));
    }
}

/// The reach of the format, as a band behind the bars.
fn reach(
    ui: &Ui,
    plot: Rect,
    format: Format,
    scale: i32,
    (first, last): (i32, i32),
    x_of: &dyn Fn(i32) -> f32,
) {
    let p = theme::palette(ui);
    let within = |fate: Fate| {
        let mut held = (first..=last).filter(|e| Fate::of(format, scale, *e) == fate);
        let low = held.next()?;
        Some((low, held.next_back().unwrap_or(low)))
    };
    for (fate, fill) in [(Fate::Normal, p.accent_soft), (Fate::Subnormal, p.warning_soft)] {
        if let Some((low, high)) = within(fate) {
            let band = Rect::from_min_max(
                pos2(x_of(low), plot.min.y),
                pos2(x_of(high + 1).min(plot.max.x), plot.max.y),
            );
            ui.painter().rect_filled(band, CornerRadius::ZERO, fill);
        }
    }
}

fn bin(bins: &[u32], exponent: i32) -> u32 {
    let at = usize::try_from(exponent - HISTOGRAM_MIN_EXPONENT).ok();
    at.and_then(|i| bins.get(i)).copied().unwrap_or(0)
}

/// Exponents shown: those of values, and the reach of the format.
fn range(bins: &[u32], format: Format, scale: i32) -> (i32, i32) {
    let used = |(i, n): (usize, &u32)| (*n > 0).then_some(i as i32 + HISTOGRAM_MIN_EXPONENT);
    let mut all = bins.iter().enumerate().filter_map(used);
    let low = format.min_subnormal().log2() as i32 + scale;
    let high = format.max_exponent() + scale;
    let (first, last) = match all.next() {
        Some(first) => (first, all.next_back().unwrap_or(first)),
        None => (low, high),
    };
    (first.min(low) - 2, last.max(high) + 2)
}

fn step(count: i32) -> i32 {
    match count {
        0..=24 => 4,
        25..=56 => 8,
        _ => 16,
    }
}

/// A whole number in superscript digits.
pub fn superscript(n: i32) -> String {
    n.to_string()
        .chars()
        .map(|c| match c {
            '-' => '⁻',
            '0' => '⁰',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            '4' => '⁴',
            '5' => '⁵',
            '6' => '⁶',
            '7' => '⁷',
            '8' => '⁸',
            _ => '⁹',
        })
        .collect()
}

fn spoken(bins: &[u32], format: Format, scale: i32, whole: u64) -> String {
    let mut text = tr!("Sizes of values against {format}", format = format.name());
    for fate in ALL {
        let n: u64 = bins
            .iter()
            .enumerate()
            .filter(|(i, _)| Fate::of(format, scale, *i as i32 + HISTOGRAM_MIN_EXPONENT) == fate)
            .map(|(_, n)| u64::from(*n))
            .sum();
        let share = n as f64 / whole.max(1) as f64 * 100.0;
        text += &figure(format!("; {share:.1} % {}", fate.name()));
    }
    text
}

fn csv(bins: &[u32], format: Format, scale: i32) -> String {
    let rows = bins.iter().enumerate().map(|(i, n)| {
        let exponent = i as i32 + HISTOGRAM_MIN_EXPONENT;
        let fate = Fate::of(format, scale, exponent).name();
        [exponent.to_string(), n.to_string(), fate.to_owned()]
    });
    save::csv(&[tr!("exponent"), tr!("values"), tr!("fate")], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fates_agree_with_the_codec() {
        for format in Format::ALL {
            for scale in [-9, 0, 4] {
                for exponent in -40..24 {
                    let middle = 1.5 * 2f32.powi(exponent);
                    let code = format.encode_scaled(middle.to_bits(), scale);
                    let fate = Fate::of(format, scale, exponent);
                    let cut = format.saturates(middle.to_bits(), scale);
                    let place = format!("{format:?} 2^{scale} 2^{exponent}: {code:#x}");
                    match fate {
                        Fate::Zero => assert_eq!(code, 0, "{place}"),
                        Fate::Subnormal => assert!(
                            format.is_subnormal(code) || code == 1 << format.mantissa_bits(),
                            "{place}"
                        ),
                        Fate::Normal => assert!(code != 0 && !cut, "{place}"),
                        Fate::Cut => assert!(cut, "{place}"),
                    }
                }
            }
        }
    }

    #[test]
    fn exponents_are_written_small() {
        assert_eq!(superscript(-16), "⁻¹⁶");
        assert_eq!(superscript(7), "⁷");
    }
}
