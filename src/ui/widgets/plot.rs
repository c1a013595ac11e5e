//! Curves with axes, units, a legend that shows the newest values, and values on hover.

use egui::{
    Id, Label, PointerButton, Rangef, Rect, RichText, Role, Sense, Stroke, StrokeKind, Ui, Vec2,
    Vec2b, WidgetInfo,
};
use egui_plot::{
    AxisHints, GridInput, GridMark, HLine, HoverPosition, Line, LineStyle, MarkerShape, Plot,
    PlotPoints, Points, VLine,
};

use super::{Button, save, small};
use crate::metrics::Series;
use crate::text::{figure, within};
use crate::tr;
use crate::ui::glossary;
use crate::ui::icons;
use crate::ui::theme::{self, space};

/// Separate points are told apart by shape as well as colour.
const SHAPES: [MarkerShape; 6] = [
    MarkerShape::Circle,
    MarkerShape::Diamond,
    MarkerShape::Square,
    MarkerShape::Up,
    MarkerShape::Plus,
    MarkerShape::Cross,
];

/// How near to a point a press must be, in points.
const REACH: f32 = 12.0;

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
    /// All its points, where `points` are fewer.
    pub series: Option<&'a Series>,
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
    log_x: bool,
    smooth: f64,
    press: Option<usize>,
}

/// The part of the horizontal axis that is looked at, once it was zoomed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Zoom(Option<(f64, f64)>);

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
            waiting: tr!("Waiting for the first values…"),
            x_step: 1.0,
            newest: true,
            log_x: false,
            smooth: 0.0,
            press: None,
        }
    }

    /// Adds a curve.
    pub fn curve(mut self, name: &'a str, series: &'a Series, dashed: bool) -> Self {
        let points = points(series);
        let colour = self.curves.len();
        let series = Some(series);
        self.curves.push(Curve { name, points, colour, dashed, scattered: false, series });
        self
    }

    /// Adds a curve of points that are not a series over time. The legend then has no newest values
    /// and the horizontal axis may have fractions.
    pub fn line(mut self, name: &'a str, points: Vec<[f64; 2]>, dashed: bool) -> Self {
        let colour = self.curves.len();
        self.curves.push(Curve { name, points, colour, dashed, scattered: false, series: None });
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

    /// Horizontal axis in powers of ten.
    pub fn log_x(self) -> Self {
        Self { log_x: true, ..self }
    }

    /// Draws moving averages over the values, which become faint: 0 for none, towards 1 for longer
    /// memory (see [`smoothed`]).
    pub fn smooth(self, weight: f64) -> Self {
        Self { smooth: weight.clamp(0.0, 0.99), ..self }
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

    /// Points of this curve can be pressed; [`Self::show`] tells which one was.
    pub fn press(self, curve: usize) -> Self {
        Self { press: Some(curve), ..self }
    }

    /// Shows it; gives the point that was pressed.
    pub fn show(mut self, ui: &mut Ui) -> Option<usize> {
        let p = theme::palette(ui);
        let id = ui.make_persistent_id(("curves", self.id));
        let Zoom(zoomed) = ui.ctx().data(|d| d.get_temp(id)).unwrap_or_default();
        let from = ui.cursor().min;
        let reset = self.legend(ui, id, zoomed.is_some());
        if self.curves.iter().all(|c| c.points.is_empty()) {
            self.nothing(ui);
            return None;
        }
        if let Some(range) = zoomed {
            for curve in &mut self.curves {
                if let Some(series) = curve.series {
                    curve.points = part(series, range);
                }
            }
        }
        let plot = self.axes(ui);
        let plot = if reset { plot.reset() } else { plot };
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
                self.draw(plot, curve, p.series[curve.colour % p.series.len()]);
            }
            self.pressable(plot, &p.series);
            if let Some((x, y, name)) = &self.mark {
                plot.points(
                    Points::new(name.clone(), vec![[*x, self.to_axis(*y)]])
                        .radius(5.0)
                        .color(p.success),
                );
            }
            let free = plot.auto_bounds().x;
            let bounds = plot.plot_bounds();
            Zoom((!free).then(|| (bounds.min()[0], bounds.max()[0])))
        });
        let now = if reset { Zoom(None) } else { response.inner };
        if now != Zoom(zoomed) {
            ui.ctx().data_mut(|d| d.insert_temp(id, now));
            ui.ctx().request_repaint();
        }
        let pressed = self.pressed(ui, &response.response, &response.transform);
        let rect = response.response.rect;
        save::drawn(ui, id, Rect::from_min_max(from, rect.max).expand(space::XS));
        response.response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &spoken));
        pressed
    }

    /// The point under the pointer, once it is pressed.
    fn pressed(
        &self,
        ui: &Ui,
        response: &egui::Response,
        transform: &egui_plot::PlotTransform,
    ) -> Option<usize> {
        let curve = self.curves.get(self.press?)?;
        let pointer = response.hover_pos().or(response.interact_pointer_pos())?;
        let x = |x: f64| if self.log_x { x.max(1e-12).log10() } else { x };
        let at = |[a, b]: &[f64; 2]| {
            let value = egui_plot::PlotPoint::new(x(*a), self.to_axis(*b));
            transform.position_from_point(&value)
        };
        let found = nearest(curve.points.iter().map(at), pointer)?;
        ui.ctx().set_cursor_icon(egui::CursorIcon::PointingHand);
        response.clicked().then_some(found)
    }

    fn to_axis(&self, y: f64) -> f64 {
        if self.log { y.max(1e-12).log10() } else { y }
    }

    /// Shows where the points are that can be pressed.
    fn pressable(&self, plot: &mut egui_plot::PlotUi<'_>, colours: &[egui::Color32]) {
        let Some(curve) = self.press.and_then(|i| self.curves.get(i)) else { return };
        if curve.scattered || curve.points.len() < 2 {
            return;
        }
        let x = |x: f64| if self.log_x { x.max(1e-12).log10() } else { x };
        let points: Vec<[f64; 2]> =
            curve.points.iter().map(|[a, b]| [x(*a), self.to_axis(*b)]).collect();
        let colour = colours.get(curve.colour % colours.len().max(1)).copied();
        let points = Points::new(curve.name.to_owned(), points).radius(4.0);
        plot.points(points.color(colour.unwrap_or_default()));
    }

    fn draw(&self, plot: &mut egui_plot::PlotUi<'_>, curve: &Curve<'_>, colour: egui::Color32) {
        let x = |x: f64| if self.log_x { x.max(1e-12).log10() } else { x };
        let points: Vec<[f64; 2]> =
            curve.points.iter().map(|[a, b]| [x(*a), self.to_axis(*b)]).collect();
        let name = curve.name.to_owned();
        if curve.scattered {
            let shape = SHAPES.get(curve.colour % SHAPES.len()).copied();
            let shape = shape.unwrap_or(MarkerShape::Circle);
            let points = Points::new(name, points).shape(shape).color(colour);
            plot.points(points.radius(if self.log_x { 5.0 } else { 2.2 }));
            return;
        }
        if let [only] = points.as_slice() {
            plot.points(Points::new(name, vec![*only]).radius(3.5).color(colour));
            return;
        }
        let style = |line: Line<'static>| match curve.dashed {
            true => line.style(LineStyle::Dashed { length: 7.0 }),
            false => line,
        };
        if self.smooth > 0.0 && points.len() > 2 {
            let over = smoothed(&points, self.smooth);
            let faint = Stroke::new(1.0, colour.gamma_multiply(0.3));
            plot.line(style(
                Line::new(String::new(), PlotPoints::from(points)).stroke(faint).allow_hover(false),
            ));
            let line = Line::new(name, PlotPoints::from(over)).stroke(Stroke::new(2.0, colour));
            plot.line(style(line));
        } else {
            let line = Line::new(name, PlotPoints::from(points)).stroke(Stroke::new(2.0, colour));
            plot.line(style(line));
        }
    }

    fn nothing(&self, ui: &mut Ui) {
        let p = theme::palette(ui);
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
    }

    fn axes(&self, ui: &Ui) -> Plot<'static> {
        let p = theme::palette(ui);
        let (log, percent, whole, x_step) = (self.log, self.percent, self.whole, self.x_step);
        let log_x = self.log_x;
        let from_axis = move |y: f64| if log { 10f64.powf(y) } else { y };
        let from_x = move |x: f64| if log_x { 10f64.powf(x) } else { x };
        let x_name = self.x.to_owned();
        let x_axis = AxisHints::new_x()
            .label(RichText::new(self.x).font(theme::small()).color(p.muted))
            .label_spacing(Rangef::new(10.0, 20.0))
            .tick_label_color(p.muted)
            .tick_label_font(theme::small());
        let x_axis = if log_x {
            x_axis.formatter(|mark: GridMark, _| format_value(10f64.powf(mark.value), false, false))
        } else {
            x_axis
        };
        let mut plot = Plot::new(self.id)
            .height(self.height)
            .width(ui.available_width())
            .show_background(false)
            .allow_scroll(false)
            .allow_zoom(Vec2b::new(true, false))
            .allow_axis_zoom_drag(false)
            .allow_drag(false)
            .allow_boxed_zoom(true)
            .boxed_zoom_pointer_button(PointerButton::Primary)
            .grid_color(p.grid)
            .set_margin_fraction(Vec2::new(0.02, 0.08))
            .x_grid_spacer(move |input: GridInput| {
                if log_x { log_marks(input.bounds) } else { marks(input.bounds, 8.0, x_step) }
            })
            .y_grid_spacer(move |input: GridInput| {
                if log { log_marks(input.bounds) } else { marks(input.bounds, 5.0, 1e-9) }
            })
            .custom_x_axes(vec![x_axis])
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
                let x = from_x(point.x);
                let x =
                    if log_x { format_value(x, false, false) } else { figure(format!("{x:.2}")) };
                Some(format!("{name}: {value}\n{x_name}: {x}"))
            });
        if self.zero && !log {
            plot = plot.include_y(0.0);
            // Shares that are all zero would stand in the middle of an axis of hundreds of percent.
            if self.percent {
                plot = plot.include_y(1e-3);
            }
        }
        plot
    }

    /// Draws the legend; whether the zoom is to be taken back.
    fn legend(&self, ui: &mut Ui, id: Id, zoomed: bool) -> bool {
        let p = theme::palette(ui);
        let mut reset = false;
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = Vec2::new(6.0, 2.0);
            let title = RichText::new(self.title).font(theme::strong());
            let title = ui.add(Label::new(title).extend());
            glossary::explained(ui, title, self.title);
            if self.curves.iter().any(|c| !c.points.is_empty()) {
                save::menu(ui, id, self.title, || self.csv());
            }
            if zoomed {
                let label = tr!("Show all of \"{title}\" again", title = self.title);
                let button = Button::icon_only(icons::ARROW_CLOCKWISE, &label);
                reset = button.small().pressed(ui);
            }
            ui.add_space(space::S);
            for curve in &self.curves {
                let colour = p.series[curve.colour % p.series.len()];
                let last = curve.points.last().filter(|_| self.newest);
                let newest = last.map_or(String::new(), |[_, y]| {
                    format!(" {}", format_value(*y, self.percent, self.whole))
                });
                // A name and its value stay in one line, and beside their mark.
                let name = unbroken(&format!("{}{newest}", curve.name));
                keep_together(ui, &name, 24.0);
                let (rect, _) = ui.allocate_exact_size(Vec2::new(18.0, 12.0), Sense::hover());
                let (a, b) = (rect.left_center(), rect.right_center());
                let stroke = Stroke::new(2.5, colour);
                if curve.scattered {
                    mark_of(ui, rect.center(), curve.colour, colour);
                } else if curve.dashed {
                    let third = (b.x - a.x) / 3.0;
                    ui.painter().hline(a.x..=a.x + third, a.y, stroke);
                    ui.painter().hline(b.x - third..=b.x, a.y, stroke);
                } else {
                    ui.painter().hline(a.x..=b.x, a.y, stroke);
                }
                small(ui, name);
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
                let name = unbroken(name);
                keep_together(ui, &name, 20.0);
                let (rect, _) = ui.allocate_exact_size(Vec2::splat(12.0), Sense::hover());
                ui.painter().circle_filled(rect.center(), 4.5, p.success);
                small(ui, name);
            }
        });
        reset
    }

    /// All values at the best resolution there is.
    fn csv(&self) -> String {
        let rows = self.curves.iter().flat_map(|curve| {
            let points = match curve.series {
                Some(series) => {
                    let all = series.query(f64::NEG_INFINITY, f64::INFINITY, usize::MAX);
                    all.iter().map(|b| [b.x, b.mean]).collect()
                }
                None => curve.points.clone(),
            };
            let name = curve.name;
            points.into_iter().map(move |[x, y]| [name.to_owned(), x.to_string(), y.to_string()])
        });
        save::csv(&[tr!("curve"), self.x, self.title], rows)
    }

    /// What happened, in a few words.
    fn happened(&self) -> String {
        match self.events.as_slice() {
            [(_, only)] => only.clone(),
            [(_, first), ..] => tr!("{first} and {n} more", first, n = self.events.len() - 1),
            [] => String::new(),
        }
    }

    fn spoken(&self) -> String {
        let mut spoken = tr!("{title} over {x}", title = self.title, x = within(self.x));
        for curve in &self.curves {
            if !self.newest {
                spoken.push_str(&format!("; {}", curve.name));
            } else if let Some([_, y]) = curve.points.last() {
                let value = format_value(*y, self.percent, self.whole);
                spoken.push_str(&format!("; {} {value}", curve.name));
            }
        }
        for (x, name) in &self.events {
            spoken.push_str(&tr!("; at {x:.2} {name}", x, name));
        }
        spoken
    }
}

/// The nearest of some places that is near enough to be meant.
fn nearest(places: impl Iterator<Item = egui::Pos2>, to: egui::Pos2) -> Option<usize> {
    let far = places.map(|p| p.distance(to)).enumerate();
    let (index, far) = far.min_by(|a, b| a.1.total_cmp(&b.1))?;
    (far <= REACH).then_some(index)
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

/// What of a series lies in a range, and the points next to it so that lines leave the view.
fn part(series: &Series, (from, to): (f64, f64)) -> Vec<[f64; 2]> {
    let around = (to - from).abs() * 0.05;
    let bands = series.query(from - around, to + around, 800);
    bands.iter().map(|b| [b.x, b.mean]).collect()
}

/// Exponential moving average without the pull of its start, as in TensorBoard:
/// s ← w·s + (1 − w)·y, shown as s / (1 − wⁿ) after n values.
pub fn smoothed(points: &[[f64; 2]], weight: f64) -> Vec<[f64; 2]> {
    let (mut sum, mut power) = (0.0, 1.0);
    points
        .iter()
        .map(|[x, y]| {
            sum = weight * sum + (1.0 - weight) * y;
            power *= weight;
            [*x, sum / (1.0 - power)]
        })
        .collect()
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

/// Lines at 1, 2 and 5 times powers of ten of an axis that holds logarithms; only at powers of ten
/// where there are many.
fn log_marks((from, to): (f64, f64)) -> Vec<GridMark> {
    if !(from.is_finite() && to.is_finite()) || to - from > 400.0 {
        return Vec::new();
    }
    let steps: &[f64] = if to - from <= 3.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let every = (((to - from) / 8.0).ceil() as i64).max(1);
    (from.floor() as i64..=to.ceil() as i64)
        .filter(|power| power.rem_euclid(every) == 0)
        .flat_map(|power| steps.iter().map(move |s| power as f64 + s.log10()))
        .filter(|value| (from..=to).contains(value))
        .map(|value| GridMark { value, step_size: 1.0 })
        .collect()
}

/// Begins another row where a mark of so many points and its name do not fit in this one.
fn keep_together(ui: &mut Ui, name: &str, mark: f32) {
    let colour = theme::palette(ui).text;
    let text = ui.painter().layout_no_wrap(name.to_owned(), theme::small(), colour);
    let begun = ui.cursor().min.x > ui.max_rect().min.x + 1.0;
    if begun && ui.available_size_before_wrap().x < text.size().x + mark {
        ui.end_row();
    }
}

/// A short text that does not go on in another line.
fn unbroken(text: &str) -> String {
    let short = text.chars().count() <= 32;
    if short { text.replace(' ', "\u{a0}") } else { text.to_owned() }
}

/// The mark of separate points in a legend.
fn mark_of(ui: &Ui, at: egui::Pos2, index: usize, colour: egui::Color32) {
    let shape = SHAPES.get(index % SHAPES.len()).copied().unwrap_or(MarkerShape::Circle);
    let r = 4.5;
    let polygon = |points: &[(f32, f32)]| {
        let points = points.iter().map(|(x, y)| at + r * Vec2::new(*x, *y)).collect();
        egui::Shape::convex_polygon(points, colour, Stroke::NONE)
    };
    let line = |a: (f32, f32), b: (f32, f32)| {
        let ends = [at + r * Vec2::new(a.0, a.1), at + r * Vec2::new(b.0, b.1)];
        egui::Shape::line_segment(ends, Stroke::new(2.0, colour))
    };
    match shape {
        MarkerShape::Diamond => {
            ui.painter().add(polygon(&[(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)]));
        }
        MarkerShape::Square => {
            ui.painter().add(polygon(&[(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)]));
        }
        MarkerShape::Up => {
            ui.painter().add(polygon(&[(0.0, -1.0), (1.0, 0.8), (-1.0, 0.8)]));
        }
        MarkerShape::Plus => {
            ui.painter().add(line((-1.0, 0.0), (1.0, 0.0)));
            ui.painter().add(line((0.0, -1.0), (0.0, 1.0)));
        }
        MarkerShape::Cross => {
            ui.painter().add(line((-0.8, -0.8), (0.8, 0.8)));
            ui.painter().add(line((-0.8, 0.8), (0.8, -0.8)));
        }
        _ => {
            ui.painter().circle_filled(at, r, colour);
        }
    }
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
    figure(digits(value, percent, whole))
}

fn digits(value: f64, percent: bool, whole: bool) -> String {
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
    fn a_press_finds_the_nearest_point_within_reach() {
        let at = |x: f32| egui::pos2(x, 10.0);
        let places = || [0.0, 20.0, 26.0].map(at).into_iter();
        assert_eq!(nearest(places(), at(24.0)), Some(2));
        assert_eq!(nearest(places(), at(22.0)), Some(1));
        assert_eq!(nearest(places(), at(60.0)), None);
        assert_eq!(nearest(std::iter::empty(), at(0.0)), None);
    }

    #[test]
    fn marks_are_round() {
        let at = |b, w, s| marks(b, w, s).iter().map(|m| m.value).collect::<Vec<_>>();
        assert_eq!(at((0.0, 1.0), 5.0, 1e-9), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(at((0.0, 3.0), 8.0, 1.0), [0.0, 1.0, 2.0, 3.0]);
        assert!(at((f64::NAN, 1.0), 5.0, 1.0).is_empty());
    }

    #[test]
    fn smoothing_keeps_a_constant_and_follows_the_mean() {
        let flat: Vec<[f64; 2]> = (0..50).map(|x| [f64::from(x), 3.0]).collect();
        assert!(smoothed(&flat, 0.9).iter().all(|[_, y]| (y - 3.0).abs() < 1e-9));
        let saw: Vec<[f64; 2]> = (0..400).map(|x| [f64::from(x), f64::from(x % 2)]).collect();
        let last = smoothed(&saw, 0.98).last().map_or(0.0, |p| p[1]);
        assert!((last - 0.5).abs() < 0.02, "{last}");
        assert_eq!(smoothed(&saw, 0.0), saw);
    }

    #[test]
    fn all_values_are_saved_whatever_is_drawn() {
        let mut series = Series::default();
        for x in 0..3000 {
            series.push(f64::from(x), f64::from(x) / 2.0);
        }
        let plot = Curves::new("a", "Loss", "Epoch").curve("training", &series, false);
        assert!(plot.curves[0].points.len() <= 800);
        let csv = plot.csv();
        assert_eq!(csv.lines().count(), 3001);
        assert!(
            csv.starts_with("curve,Epoch,Loss\ntraining,0,0\ntraining,1,0.5\n"),
            "{}",
            &csv[..60]
        );
    }

    #[test]
    fn marks_of_logarithms_are_round() {
        let at = |b| log_marks(b).iter().map(|m| 10f64.powf(m.value)).collect::<Vec<_>>();
        let close = |a: &[f64], b: &[f64]| {
            a.len() == b.len() && a.iter().zip(b).all(|(x, y)| (x / y - 1.0).abs() < 1e-9)
        };
        assert!(close(&at((-3.0, -2.0)), &[0.001, 0.002, 0.005, 0.01]), "{:?}", at((-3.0, -2.0)));
        assert!(at((-12.0, 12.0)).len() <= 10);
        assert!(at((f64::NAN, 1.0)).is_empty());
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
