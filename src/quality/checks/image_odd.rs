//! Blank, dark, bright and blurred images.

use rayon::prelude::*;

use super::{Check, Finding, Run, Severity};
use crate::quality::image_context::ImageContext;
use crate::quality::thumbs::grey;
use crate::quality::{stats, wording};

/// Standard deviation of brightness (of 255) below which nothing can be seen.
const BLANK: f64 = 1.0;
/// The brightest 1 % of a dark image is below this share of white.
const DARK: f64 = 0.32;
/// The darkest 5 % of a bright image is above this share of white.
const BRIGHT: f64 = 0.95;
/// Interquartile ranges below the lower quartile of log sharpness.
const BLUR: f64 = 3.0;
/// Share of odd images from which they are a style of the set, not a slip.
const STYLE: f64 = 0.25;
const FEW: usize = 20;

pub(super) const CHECK: Check = Check {
    name: "image_odd",
    title: "Blank, dark, bright or blurred images",
    definition: "Blank: brightness varies by less than 1 of 255. Dark: 99th percentile of brightness \
                 below 0.32 of white. Bright: 5th percentile above 0.95. Blurred: logarithm of the \
                 variance of the Laplacian more than 3 interquartile ranges below the lower quartile \
                 of the set. A kind that is true of more than a quarter of the images is taken for \
                 their style. Source: cleanvision (low information, dark, light, blurry) and its \
                 thresholds for dark and light; blur against the set's own quartiles is our own.",
    run: Run::Images(run),
};

struct Look {
    blank: bool,
    dark: bool,
    bright: bool,
    sharpness: f64,
}

type IsOdd<'a> = &'a dyn Fn(&Look) -> bool;

fn run(ctx: &ImageContext) -> Vec<Finding> {
    let n = ctx.images.len();
    let looks: Vec<Look> = (0..n).into_par_iter().map(|i| look(ctx, i)).collect();
    let sharpness = stats::sorted(looks.iter().filter(|l| !l.blank).map(|l| l.sharpness));
    let (q1, q3) = (stats::quantile(&sharpness, 0.25), stats::quantile(&sharpness, 0.75));
    let limit = if n >= FEW { q1 - BLUR * (q3 - q1) } else { f64::NEG_INFINITY };
    let kinds: [(&str, &str, IsOdd); 4] = [
        (
            "blank",
            "There is nothing to see on them, so their labels teach nothing. Remove them.",
            &|l| l.blank,
        ),
        ("very dark", "Check that they show something; remove or brighten them if not.", &|l| {
            l.dark && !l.blank
        }),
        ("very bright", "Check that they show something; remove or darken them if not.", &|l| {
            l.bright && !l.blank
        }),
        ("blurred", "Check that they can be recognised; remove them if not.", &|l| {
            !l.blank && l.sharpness < limit
        }),
    ];
    let mut found = Vec::new();
    for (name, advice, is) in kinds {
        let rows: Vec<usize> = (0..n).filter(|&i| is(&looks[i])).collect();
        let share = rows.len() as f64 / n.max(1) as f64;
        if rows.is_empty() || (share > STYLE && name != "blank") {
            continue;
        }
        let verb = if rows.len() == 1 { "is" } else { "are" };
        let title = format!(
            "{} ({}) {verb} {name}",
            wording::counted(rows.len(), "image"),
            wording::percent(share)
        );
        let severity = if name == "blank" { Severity::Warning } else { Severity::Info };
        found.push(CHECK.finding(severity, title, advice).rows(rows).value(share, 0.0));
    }
    found
}

fn look(ctx: &ImageContext, image: usize) -> Look {
    let grey = grey(ctx, image);
    let values: Vec<f64> = grey.iter().map(|v| f64::from(*v)).collect();
    let (_, std) = stats::mean_std(&values);
    let sorted = stats::sorted(values);
    let at = |q: f64| stats::quantile(&sorted, q) / 255.0;
    let blank = std.is_nan() || std < BLANK;
    Look {
        blank,
        dark: at(0.99) < DARK,
        bright: at(0.05) > BRIGHT,
        sharpness: laplacian_variance(&grey, ctx.images.width, ctx.images.height).max(1e-9).ln(),
    }
}

fn laplacian_variance(grey: &[f32], w: usize, h: usize) -> f64 {
    if w < 3 || h < 3 || grey.len() < w * h {
        return 0.0;
    }
    let values: Vec<f64> = (1..h - 1)
        .flat_map(|y| (1..w - 1).map(move |x| y * w + x))
        .map(|i| f64::from(grey[i - 1] + grey[i + 1] + grey[i - w] + grey[i + w] - 4.0 * grey[i]))
        .collect();
    stats::mean_std(&values).1.powi(2)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{images, run_images};
    use super::*;
    use crate::quality::rng::Rng;

    #[test]
    fn each_kind_is_found() {
        let mut rng = Rng::new(5);
        let mut data: Vec<(Vec<u8>, u32)> =
            (0..60).map(|_| ((0..100).map(|_| rng.up_to(255) as u8).collect(), 0)).collect();
        data.push((vec![128; 100], 0));
        data.push(((0..100).map(|i| 20 + i % 7).collect(), 0));
        data.push(((0..100).map(|i| 248 + i % 7).collect(), 0));
        data.push(((0..100).map(|i| 100 + i / 2).collect(), 0));
        let found = run_images(&CHECK, &images(10, &data), None);
        let kinds: Vec<(&str, &[usize])> = found
            .iter()
            .map(|f| (f.title.rsplit(' ').next().unwrap(), f.rows.as_slice()))
            .collect();
        assert_eq!(kinds[..3], [("blank", &[60][..]), ("dark", &[61][..]), ("bright", &[62][..])]);
        assert!(kinds[3].0 == "blurred" && kinds[3].1.contains(&63));
        assert_eq!(found[0].severity, Severity::Warning);
        assert!(run_images(&CHECK, &images(10, &data[..60]), None).is_empty());
    }
}
