//! Curves with axes, units, a legend that shows the newest values, and values on hover.

use egui::{Label, Rangef, RichText, Role, Sense, Stroke, StrokeKind, Ui, Vec2, Vec2b, WidgetInfo};
use egui_plot::{
    AxisHints, GridInput, GridMark, HLine, HoverPosition, Line, LineStyle, Plot, PlotPoints,
    Points, VLine,
};

use super::small;
use crate::metrics::Series;
use crate::ui::theme::{self, space};

/// One curve.
#[derive(Debug, Clone)]
pub struct Curve<'a> {
    /// Name in the legend.
    pub name: &'a str,
    /// Points `[x, y]`, ascending in x.
    pub points: Vec<[f64; 2]>,
    /// Which colour of the palette's series.
    pub colour: usize,
    /// Drawn dashed, to be told apart without colour.
    pub dashed: bool,
    /// Drawn as separate points.
    pub scattered: bool,
}

/// A plot of curves that share axes.
pub struct Curves<'a> {
    id: &'a str,
    title: &'a str,
    x: &'a str,
    curves: Vec<Curve<'a>>,
    log: bool,
    percent: bool,
    height: f32,
    mark: Option<(f64, f64, String)>,
    events: Vec<(f64, String)>,
    band: Option<(f64, &'a str)>,
    zero: bool,
    whole: bool,
    waiting: &'a str,
    x_step: f64,
    newest: bool,
}

impl<'a> Curves<'a> {
    /// A plot; `x` is the name and unit of the horizontal axis.
    pub fn new(id: &'a str, title: &'a str, x: &'a str) -> Self {
        Self {
            id,
            title,
            x,
            curves: Vec::new(),
            log: false,
            percent: false,
            height: 220.0,
            mark: None,
            events: Vec::new(),
            band: None,
            zero: false,
            whole: false,
            waiting: "Waiting for the first values…",
            x_step: 1.0,
            newest: true,
        }
    }

    /// Adds a curve.
    pub fn curve(mut self, name: &'a str, series: &Series, dashed: bool) -> Self {
        let points = points(series);
        let colour = self.curves.len();
        self.curves.push(Curve { name, points, colour, dashed, scattered: false });
        self
    }

    /// Adds a curve of points that are not a series over time. The legend then has no newest values
    /// and the horizontal axis may have fractions.
    pub fn line(mut self, name: &'a str, points: Vec<[f64; 2]>, dashed: bool) -> Self {
        let colour = self.curves.len();
        self.curves.push(Curve { name, points, colour, dashed, scattered: false });
        Self { x_step: 1e-9, newest: false, ..self }
    }

    /// Adds separate points.
    pub fn scatter(self, name: &'a str, points: Vec<[f64; 2]>) -> Self {
        let mut new = self.line(name, points, false);
        if let Some(last) = new.curves.last_mut() {
            last.scattered = true;
        }
        new
    }

    /// What is said where there are no points.
    pub fn waiting(self, waiting: &'a str) -> Self {
        Self { waiting, ..self }
    }

    /// Vertical axis in powers of ten.
    pub fn log(self, log: bool) -> Self {
        Self { log, ..self }
    }

    /// Values are shares, shown in percent.
    pub fn percent(self) -> Self {
        Self { percent: true, ..self }
    }

    /// The vertical axis starts at zero.
    pub fn from_zero(self) -> Self {
        Self { zero: true, ..self }
    }

    /// Values are whole numbers.
    pub fn whole(self) -> Self {
        Self { whole: true, ..self }
    }

    /// Height of the drawing, in points.
    pub fn height(self, height: f32) -> Self {
        Self { height, ..self }
    }

    /// Marks a point, with what it is.
    pub fn mark(self, mark: Option<(f64, f64, String)>) -> Self {
        Self { mark, ..self }
    }

    /// Marks places on the horizontal axis where something happened, with what it was.
    pub fn events(self, events: Vec<(f64, String)>) -> Self {
        Self { events, ..self }
    }

    /// Draws lines at ±`limit`, within which values are meant to stay.
    pub fn band(self, limit: f64, name: &'a str) -> Self {
        Self { band: Some((limit, name)), zero: true, ..self }
    }

    /// Shows it.
    pub fn show(self, ui: &mut Ui) {
        let p = theme::palette(ui);
        let (log, percent, whole, x_step) = (self.log, self.percent, self.whole, self.x_step);
        self.legend(ui);
        if self.curves.iter().all(|c| c.points.is_empty()) {
            let size = Vec2::new(ui.available_width(), self.height);
            let (rect, _) = ui.allocate_exact_size(size, Sense::hover());
            ui.painter().rect(
                rect,
                egui::CornerRadius::same(theme::radius::M),
                p.sunken,
                Stroke::NONE,
                StrokeKind::Inside,
            );
            let at = egui::Align2::CENTER_CENTER;
            ui.painter().text(rect.center(), at, self.waiting, theme::small(), p.muted);
            return;
        }
        let to_axis = move |y: f64| if log { y.max(1e-12).log10() } else { y };
        let from_axis = move |y: f64| if log { 10f64.powf(y) } else { y };
        let x_name = self.x.to_owned();
        let mut plot = Plot::new(self.id)
            .height(self.height)
            .width(ui.available_width())
            .show_background(false)
            .allow_scroll(false)
            .allow_zoom(Vec2b::new(false, false))
            .allow_drag(false)
            .allow_boxed_zoom(true)
            .grid_color(p.grid)
            .set_margin_fraction(Vec2::new(0.02, 0.08))
            .x_grid_spacer(move |input: GridInput| marks(input.bounds, 8.0, x_step))
            .y_grid_spacer(move |input: GridInput| {
                marks(input.bounds, 5.0, if log { 0.25 } else { 1e-9 })
            })
            .custom_x_axes(vec![
                AxisHints::new_x()
                    .label(RichText::new(self.x).font(theme::small()).color(p.muted))
                    .label_spacing(Rangef::new(10.0, 20.0))
                    .tick_label_color(p.muted)
                    .tick_label_font(theme::small()),
            ])
            .custom_y_axes(vec![
                AxisHints::new_y()
                    .min_thickness(46.0)
                    .label_spacing(Rangef::new(8.0, 14.0))
                    .tick_label_color(p.muted)
                    .tick_label_font(theme::small())
                    .formatter(move |mark: GridMark, _| {
                        format_value(from_axis(mark.value), percent, whole)
                    }),
            ])
            .label_formatter(move |at: &HoverPosition<'_>| {
                let (name, point) = match at {
                    HoverPosition::NearDataPoint { plot_name, position, .. } => {
                        (*plot_name, *position)
                    }
                    HoverPosition::Elsewhere { position } => ("", *position),
                };
                if name.is_empty() {
                    return None;
                }
                let value = format_value(from_axis(point.y), percent, whole);
                Some(format!("{name}: {value}\n{x_name}: {:.2}", point.x))
            });
        if self.zero && !log {
            plot = plot.include_y(0.0);
            // Shares that are all zero would stand in the middle of an axis of hundreds of percent.
            if self.percent {
                plot = plot.include_y(1e-3);
            }
        }
        let spoken = self.spoken();
        let response = plot.show(ui, |plot| {
            if let Some((x, ..)) = &self.mark {
                plot.vline(
                    VLine::new("", *x)
                        .stroke(Stroke::new(1.0, p.success))
                        .style(LineStyle::dashed_dense())
                        .allow_hover(false),
                );
            }
            for (x, _) in &self.events {
                plot.vline(
                    VLine::new("", *x)
                        .stroke(Stroke::new(1.5, p.warning))
                        .style(LineStyle::dotted_dense())
                        .allow_hover(false),
                );
            }
            if let Some((limit, _)) = self.band {
                for y in [-limit, limit] {
                    plot.hline(
                        HLine::new("", y)
                            .stroke(Stroke::new(1.0, p.success))
                            .style(LineStyle::dashed_dense())
                            .allow_hover(false),
                    );
                }
            }
            for curve in &self.curves {
                let colour = p.series[curve.colour % p.series.len()];
                let points: Vec<[f64; 2]> =
                    curve.points.iter().map(|[x, y]| [*x, to_axis(*y)]).collect();
                if curve.scattered {
                    plot.points(Points::new(curve.name, points).radius(2.2).color(colour));
                    continue;
                }
                if let [only] = points.as_slice() {
                    plot.points(Points::new(curve.name, vec![*only]).radius(3.5).color(colour));
                    continue;
                }
                let mut line = Line::new(curve.name, PlotPoints::from(points))
                    .stroke(Stroke::new(2.0, colour));
                if curve.dashed {
                    line = line.style(LineStyle::Dashed { length: 7.0 });
                }
                plot.line(line);
            }
            if let Some((x, y, name)) = &self.mark {
                plot.points(
                    Points::new(name.clone(), vec![[*x, to_axis(*y)]]).radius(5.0).color(p.success),
                );
            }
        });
        response.response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &spoken));
    }

    fn legend(&self, ui: &mut Ui) {
        let p = theme::palette(ui);
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = Vec2::new(6.0, 2.0);
            ui.add(Label::new(RichText::new(self.title).font(theme::strong())).extend());
            ui.add_space(space::S);
            for curve in &self.curves {
                let colour = p.series[curve.colour % p.series.len()];
                let (rect, _) = ui.allocate_exact_size(Vec2::new(18.0, 12.0), Sense::hover());
                let (a, b) = (rect.left_center(), rect.right_center());
                let stroke = Stroke::new(2.5, colour);
                if curve.dashed {
                    let third = (b.x - a.x) / 3.0;
                    ui.painter().hline(a.x..=a.x + third, a.y, stroke);
                    ui.painter().hline(b.x - third..=b.x, a.y, stroke);
                } else {
                    ui.painter().hline(a.x..=b.x, a.y, stroke);
                }
                let last = curve.points.last().filter(|_| self.newest);
                let newest = last.map_or(String::new(), |[_, y]| {
                    format!(" {}", format_value(*y, self.percent, self.whole))
                });
                small(ui, format!("{}{newest}", curve.name));
                ui.add_space(space::XS);
            }
            if let Some((_, name)) = self.band {
                let (rect, _) = ui.allocate_exact_size(Vec2::new(18.0, 12.0), Sense::hover());
                let (a, b) = (rect.left_center(), rect.right_center());
                ui.painter().hline(a.x..=b.x, a.y, Stroke::new(1.0, p.success));
                small(ui, name);
            }
            if !self.events.is_empty() {
                let (rect, _) = ui.allocate_exact_size(Vec2::new(8.0, 12.0), Sense::hover());
                let stroke = Stroke::new(1.5, p.warning);
                ui.painter().vline(rect.center().x, rect.y_range(), stroke);
                small(ui, self.happened());
            }
            if let Some((.., name)) = &self.mark {
                let (rect, _) = ui.allocate_exact_size(Vec2::splat(12.0), Sense::hover());
                ui.painter().circle_filled(rect.center(), 4.5, p.success);
                small(ui, name.clone());
            }
        });
    }

    /// What happened, in a few words.
    fn happened(&self) -> String {
        match self.events.as_slice() {
            [(_, only)] => only.clone(),
            [(_, first), ..] => format!("{first} and {} more", self.events.len() - 1),
            [] => String::new(),
        }
    }

    fn spoken(&self) -> String {
        let mut spoken = format!("{} over {}", self.title, self.x.to_lowercase());
        for curve in &self.curves {
            if !self.newest {
                spoken.push_str(&format!("; {}", curve.name));
            } else if let Some([_, y]) = curve.points.last() {
                let value = format_value(*y, self.percent, self.whole);
                spoken.push_str(&format!("; {} {value}", curve.name));
            }
        }
        for (x, name) in &self.events {
            spoken.push_str(&format!("; at {x:.2} {name}"));
        }
        spoken
    }
}

/// A series as no more points than a plot is wide.
pub fn points(series: &Series) -> Vec<[f64; 2]> {
    let bands = series.query(f64::NEG_INFINITY, f64::INFINITY, 800);
    let mut points: Vec<[f64; 2]> = bands.iter().map(|b| [b.x, b.mean]).collect();
    // The newest value is shown as it is, not as a mean.
    if let (Some(last), Some((x, y))) = (points.last_mut(), series.last()) {
        *last = [x, y];
    }
    points
}

/// Lines at round values, about `wanted` of them, at least `smallest` apart.
fn marks((from, to): (f64, f64), wanted: f64, smallest: f64) -> Vec<GridMark> {
    let step = round_step((to - from) / wanted).max(smallest);
    if !step.is_finite() || !from.is_finite() || (to - from) / step > 1000.0 {
        return Vec::new();
    }
    let (first, last) = ((from / step).ceil() as i64, (to / step).floor() as i64);
    (first..=last).map(|i| GridMark { value: i as f64 * step, step_size: step }).collect()
}

/// The next of 1, 2, 5 times a power of ten.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.max(1e-12).log10().floor());
    match step / power {
        r if r <= 1.0 => power,
        r if r <= 2.0 => 2.0 * power,
        r if r <= 5.0 => 5.0 * power,
        _ => 10.0 * power,
    }
}

/// A value as short as it can be told apart on an axis.
pub fn format_value(value: f64, percent: bool, whole: bool) -> String {
    if percent {
        let v = value * 100.0;
        return match v.abs() {
            0.0 => "0 %".to_owned(),
            a if a < 0.01 => format!("{v:.1e} %"),
            a if a < 1.0 => format!("{v:.2} %"),
            _ => format!("{v:.1} %"),
        };
    }
    if whole && (value - value.round()).abs() < 1e-6 {
        return format!("{value:.0}");
    }
    match value.abs() {
        0.0 => "0".to_owned(),
        a if !(1e-3..1e5).contains(&a) => format!("{value:.1e}"),
        a if a < 1.0 => trim_zeros(format!("{value:.4}")),
        a if a < 100.0 => trim_zeros(format!("{value:.2}")),
        _ => format!("{value:.0}"),
    }
}

fn trim_zeros(text: String) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round() {
        let at = |b, w, s| marks(b, w, s).iter().map(|m| m.value).collect::<Vec<_>>();
        assert_eq!(at((0.0, 1.0), 5.0, 1e-9), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(at((0.0, 3.0), 8.0, 1.0), [0.0, 1.0, 2.0, 3.0]);
        assert!(at((f64::NAN, 1.0), 5.0, 1.0).is_empty());
    }

    #[test]
    fn values_are_short() {
        assert_eq!(format_value(0.0, false, false), "0");
        assert_eq!(format_value(0.25, false, false), "0.25");
        assert_eq!(format_value(1234.5, false, false), "1234");
        assert_eq!(format_value(0.00001, false, false), "1.0e-5");
        assert_eq!(format_value(0.973, true, false), "97.3 %");
        assert_eq!(format_value(0.0005, true, false), "0.05 %");
        assert_eq!(format_value(-3.0, false, true), "-3");
    }
}
