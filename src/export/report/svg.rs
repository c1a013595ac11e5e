//! Figures of the report as inline SVG: curves and a table of confusions.

use std::fmt::Write;

use super::html::escape;
use crate::eval::Confusion;
use crate::text::figure;
use crate::tr;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 58.0;
const BELOW: f64 = 44.0;
const COLOURS: [&str; 6] = ["#0b62c4", "#b5540a", "#12806a", "#8a3fa0", "#a8233f", "#5b6470"];

/// One line or cloud of a plot.
pub struct Trace<'a> {
    /// Name in the legend; empty for none.
    pub name: &'a str,
    /// Points.
    pub points: Vec<[f64; 2]>,
    /// Separate points, not a line.
    pub scattered: bool,
    /// Dashed.
    pub dashed: bool,
}

/// A plot with axes; both axes hold all points.
pub fn plot(title: &str, x: &str, y: &str, traces: &[Trace<'_>]) -> String {
    let all =
        || traces.iter().flat_map(|t| &t.points).filter(|p| p[0].is_finite() && p[1].is_finite());
    let range = |axis: usize| {
        let (a, b) = all()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), p| (a.min(p[axis]), b.max(p[axis])));
        if b > a {
            (a, b)
        } else if a.is_finite() {
            (a - 0.5, a + 0.5)
        } else {
            (0.0, 1.0)
        }
    };
    let ((x0, x1), (y0, y1)) = (range(0), range(1));
    let at_x = |v: f64| LEFT + (v - x0) / (x1 - x0) * (WIDTH - LEFT - 12.0);
    let at_y = |v: f64| HEIGHT - BELOW - (v - y0) / (y1 - y0) * (HEIGHT - BELOW - 12.0);
    let mut out = format!(
        "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        escape(title),
        escape(title)
    );
    for i in 0..=4 {
        let share = f64::from(i) / 4.0;
        let (vx, vy) = (x0 + share * (x1 - x0), y0 + share * (y1 - y0));
        let (px, py) = (at_x(vx), at_y(vy));
        let bottom = HEIGHT - BELOW;
        let _ = write!(
            out,
            "<line class=\"grid\" x1=\"{px:.1}\" y1=\"12\" x2=\"{px:.1}\" y2=\"{bottom}\"/><text x=\"{px:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text><line class=\"grid\" x1=\"{LEFT}\" y1=\"{py:.1}\" x2=\"{}\" y2=\"{py:.1}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            bottom + 15.0,
            tick(vx, x1 - x0),
            WIDTH - 12.0,
            LEFT - 6.0,
            py + 4.0,
            tick(vy, y1 - y0)
        );
    }
    let _ = write!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text><text transform=\"translate(13 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        (LEFT + WIDTH) / 2.0,
        HEIGHT - 8.0,
        escape(x),
        (HEIGHT - BELOW) / 2.0,
        escape(y)
    );
    for (i, trace) in traces.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let points = || trace.points.iter().filter(|p| p[0].is_finite() && p[1].is_finite());
        if trace.scattered {
            for p in points() {
                let _ = write!(
                    out,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2\" fill=\"{colour}\" fill-opacity=\"0.5\"/>",
                    at_x(p[0]),
                    at_y(p[1])
                );
            }
        } else {
            let path: Vec<String> =
                points().map(|p| format!("{:.1},{:.1}", at_x(p[0]), at_y(p[1]))).collect();
            let dash = if trace.dashed { " stroke-dasharray=\"5 4\"" } else { "" };
            let _ = write!(
                out,
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\"{dash} points=\"{}\"/>",
                path.join(" ")
            );
        }
    }
    out += "</svg><p class=\"key\">";
    for (i, trace) in traces.iter().enumerate().filter(|(_, t)| !t.name.is_empty()) {
        let _ = write!(
            out,
            "<span><i style=\"background:{}\"></i>{}</span> ",
            COLOURS[i % COLOURS.len()],
            escape(trace.name)
        );
    }
    out += "</p></figure>";
    out
}

/// A value on an axis that spans so much, with as many digits as tell two marks apart.
fn tick(v: f64, span: f64) -> String {
    if v.abs() >= 1e5 || (span > 0.0 && span < 1e-4) {
        return figure(format!("{v:.2e}"));
    }
    let digits = (2.0 - span.max(1e-9).log10().ceil()).clamp(0.0, 6.0) as usize;
    figure(format!("{v:.digits$}"))
}

/// True against predicted classes as a coloured table.
pub fn confusion(c: &Confusion) -> String {
    let n = c.classes.len();
    let mut out = format!("<table class=\"confusion\"><tr><th>{}</th>", tr!("true \\ called"));
    for class in &c.classes {
        let _ = write!(out, "<th>{}</th>", escape(class));
    }
    out += "</tr>";
    for (t, class) in c.classes.iter().enumerate() {
        let whole: u64 = (0..n).map(|p| c.get(t, p)).sum();
        let _ = write!(out, "<tr><th>{}</th>", escape(class));
        for p in 0..n {
            let share = c.get(t, p) as f64 / whole.max(1) as f64;
            // One hue of rising depth, and the number itself: no colour has to be told from another.
            let ink = if share > 0.55 { "#fff" } else { "inherit" };
            let _ = write!(
                out,
                "<td style=\"background:rgba(11,98,196,{:.3});color:{ink}\">{}</td>",
                0.04 + 0.9 * share,
                c.get(t, p)
            );
        }
        out += "</tr>";
    }
    out + "</table>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_can_be_told_apart() {
        assert_eq!([0.0, 0.25, 1.0].map(|v| tick(v, 1.0)), ["0.00", "0.25", "1.00"]);
        assert_eq!([0.8625, 0.8629].map(|v| tick(v, 0.0016)), ["0.8625", "0.8629"]);
        assert_eq!([22.0, 37.25].map(|v| tick(v, 61.0)), ["22", "37"]);
    }

    #[test]
    fn text_of_the_user_stays_text() {
        let trace = Trace {
            name: "<b>",
            points: vec![[0.0, f64::NAN], [0.0, 1.0], [1.0, 2.0]],
            scattered: false,
            dashed: true,
        };
        let svg = plot("a & b", "x", "y", &[trace]);
        assert!(svg.contains("a &amp; b") && svg.contains("&lt;b&gt;") && !svg.contains("NaN"));
    }
}
