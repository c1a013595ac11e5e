//! Whether probabilities mean what they say, and two ways to mend them: one temperature (Guo et al.
//! 2017) and isotonic regression per class (Zadrozny and Elkan 2002). Both are fitted on validation
//! rows.

use serde::{Deserialize, Serialize};

use super::outcomes::{ClassOutcomes, softmax};

/// Equal-width bins of the confidence.
pub const BINS: usize = 15;

/// The bin of a confidence in 0..=1.
pub fn bin_of(confidence: f64) -> usize {
    ((confidence * BINS as f64) as usize).min(BINS - 1)
}

/// Rows of similar confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Lower end of the confidence.
    pub from: f64,
    /// Upper end.
    pub to: f64,
    /// Rows.
    pub rows: u64,
    /// Their mean confidence; 0 for none.
    pub confidence: f64,
    /// Share of them that are right; 0 for none.
    pub accuracy: f64,
}

impl Bin {
    /// Whether a row of this confidence is in the bin.
    pub fn holds(&self, confidence: f64) -> bool {
        (bin_of(confidence) as f64 / BINS as f64 - self.from).abs() < 1e-9
    }
}

/// How well probabilities are calibrated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// [`BINS`] bins of the predicted class's probability.
    pub bins: Vec<Bin>,
    /// Σ share of rows · |accuracy − confidence|.
    pub ece: f64,
    /// Largest |accuracy − confidence| of a bin with rows.
    pub mce: f64,
}

/// Bins rows by their confidence.
pub fn reliability(confidence: &[f64], hits: &[bool]) -> Reliability {
    let mut sums = [(0u64, 0.0, 0u64); BINS];
    for (&c, &hit) in confidence.iter().zip(hits) {
        if let Some(sum) = sums.get_mut(bin_of(c)) {
            *sum = (sum.0 + 1, sum.1 + c, sum.2 + u64::from(hit));
        }
    }
    let all = confidence.len().min(hits.len()).max(1) as f64;
    let (mut ece, mut mce) = (0.0, 0.0f64);
    let bins = sums
        .iter()
        .enumerate()
        .map(|(i, &(rows, sum, hit))| {
            let n = rows.max(1) as f64;
            let (confidence, accuracy) = (sum / n, hit as f64 / n);
            let gap = (accuracy - confidence).abs();
            ece += rows as f64 / all * gap;
            mce = mce.max(gap);
            let edge = |i: usize| i as f64 / BINS as f64;
            Bin { from: edge(i), to: edge(i + 1), rows, confidence, accuracy }
        })
        .collect();
    Reliability { bins, ece, mce }
}

/// A rising step function with straight lines between its points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Isotonic {
    /// Rising scores.
    pub x: Vec<f64>,
    /// Value at each.
    pub y: Vec<f64>,
}

impl Isotonic {
    /// Least squares over all rising functions, by pooling adjacent violators; equal scores are
    /// pooled first. As scikit-learn's `IsotonicRegression` with `out_of_bounds="clip"`.
    pub fn fit(scores: &[f64], hits: &[bool]) -> Self {
        let mut rows: Vec<(f64, f64)> =
            scores.iter().zip(hits).map(|(&s, &h)| (s, f64::from(u8::from(h)))).collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Blocks: first score, last score, sum, rows.
        let mut points: Vec<(f64, f64, f64)> = Vec::new();
        for (x, y) in rows {
            match points.last_mut() {
                Some(last) if last.0 == x => *last = (x, last.1 + y, last.2 + 1.0),
                _ => points.push((x, y, 1.0)),
            }
        }
        let mut blocks: Vec<(f64, f64, f64, f64)> = Vec::new();
        for (x, sum, n) in points {
            let mut block = (x, x, sum, n);
            while let Some(&(from, _, s, m)) = blocks.last()
                && s / m >= block.2 / block.3
            {
                block = (from, block.1, block.2 + s, block.3 + m);
                blocks.pop();
            }
            blocks.push(block);
        }
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for (from, to, sum, n) in blocks {
            x.push(from);
            y.push(sum / n);
            if to > from {
                x.push(to);
                y.push(sum / n);
            }
        }
        Self { x, y }
    }

    /// The function at a score, held at its ends.
    pub fn apply(&self, score: f64) -> f64 {
        let after = self.x.partition_point(|x| *x < score);
        let point = |i: usize| Some((*self.x.get(i)?, *self.y.get(i)?));
        match (after.checked_sub(1).and_then(point), point(after)) {
            (None, Some((_, y))) | (Some((_, y)), None) => y,
            (Some((x0, y0)), Some((x1, y1))) => y0 + (y1 - y0) * (score - x0) / (x1 - x0),
            (None, None) => score,
        }
    }
}

/// A fitted correction of probabilities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Calibration {
    /// Softmax of logits / temperature.
    Temperature {
        /// Above 0; above 1 makes the model less sure.
        temperature: f64,
    },
    /// One function per class of its probability, the results scaled to sum to 1. Two classes have
    /// one function, of the second.
    Isotonic {
        /// The functions.
        functions: Vec<Isotonic>,
    },
}

/// Both corrections of a model, as they are stored with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibrations {
    /// Rows that they were fitted on.
    pub rows: usize,
    /// One temperature.
    pub temperature: f64,
    /// Isotonic functions, see [`Calibration::Isotonic`].
    pub isotonic: Vec<Isotonic>,
}

impl Calibrations {
    /// Fits both on validation answers; `None` without rows.
    pub fn fit(validation: &ClassOutcomes) -> Option<Self> {
        let rows = validation.truth.len();
        if rows == 0 {
            return None;
        }
        let classes = validation.classes.len().max(1);
        let fitted = if classes == 2 { 1..2 } else { 0..classes };
        let isotonic = fitted
            .map(|c| {
                let scores: Vec<f64> = validation.column(c).collect();
                let hits: Vec<bool> = validation.truth.iter().map(|t| *t as usize == c).collect();
                Isotonic::fit(&scores, &hits)
            })
            .collect();
        let temperature = temperature(&validation.logits, &validation.truth, classes);
        Some(Self { rows, temperature, isotonic })
    }

    /// The one with a temperature.
    pub fn by_temperature(&self) -> Calibration {
        Calibration::Temperature { temperature: self.temperature }
    }

    /// The isotonic one.
    pub fn by_isotonic(&self) -> Calibration {
        Calibration::Isotonic { functions: self.isotonic.clone() }
    }

    /// Whether its numbers can be used with a model of so many classes.
    pub fn fits(&self, classes: usize) -> bool {
        let functions = if classes == 2 { 1 } else { classes };
        let rising =
            |v: &[f64]| v.windows(2).all(|w| w[0] <= w[1]) && v.iter().all(|x| x.is_finite());
        self.temperature.is_finite()
            && self.temperature > 0.0
            && self.isotonic.len() == functions
            && self.isotonic.iter().all(|f| f.x.len() == f.y.len() && rising(&f.x) && rising(&f.y))
    }
}

impl Calibration {
    /// `[rows, classes]` probabilities from logits.
    pub fn apply(&self, logits: &[f32], classes: usize) -> Vec<f64> {
        match self {
            Self::Temperature { temperature } => softmax(logits, classes, *temperature),
            Self::Isotonic { functions } => {
                let mut p = softmax(logits, classes, 1.0);
                for row in p.chunks_mut(classes.max(1)) {
                    match (row, functions.as_slice()) {
                        ([no, yes], [f]) => {
                            *yes = f.apply(*yes);
                            *no = 1.0 - *yes;
                        }
                        (row, functions) => {
                            for (v, f) in row.iter_mut().zip(functions) {
                                *v = f.apply(*v);
                            }
                            let (sum, even) = (row.iter().sum::<f64>(), 1.0 / row.len() as f64);
                            for v in row.iter_mut() {
                                *v = if sum > 0.0 { *v / sum } else { even };
                            }
                        }
                    }
                }
                p
            }
        }
    }
}

/// The temperature with the least log loss, between 0.05 and 20: the loss is convex in 1/T, so its
/// slope is bisected.
pub fn temperature(logits: &[f32], truth: &[u32], classes: usize) -> f64 {
    // Slope of the log loss in the inverse temperature: mean of E_p[logit] − logit of the truth.
    let slope = |inverse: f64| -> f64 {
        let p = softmax(logits, classes, 1.0 / inverse);
        let rows = logits.chunks(classes.max(1)).zip(p.chunks(classes.max(1))).zip(truth);
        rows.map(|((z, p), &t)| {
            let expected: f64 = z.iter().zip(p).map(|(&z, p)| f64::from(z) * p).sum();
            expected - f64::from(z.get(t as usize).copied().unwrap_or(0.0))
        })
        .sum()
    };
    let (mut low, mut high) = (0.05f64, 20.0f64);
    if slope(low) >= 0.0 {
        return 1.0 / low;
    }
    if slope(high) <= 0.0 {
        return 1.0 / high;
    }
    for _ in 0..60 {
        let middle = (low * high).sqrt();
        if slope(middle) < 0.0 { low = middle } else { high = middle }
    }
    1.0 / (low * high).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overconfident_answers_are_cooled() {
        // Right three times of four at odds of e⁴ to 1: the temperature is 4 / ln 3.
        let logits: Vec<f32> = [4.0, 0.0].repeat(4);
        let t = temperature(&logits, &[0, 0, 0, 1], 2);
        assert!((t - 4.0 / 3f64.ln()).abs() < 1e-9, "{t}");
        let p = Calibration::Temperature { temperature: t }.apply(&logits, 2);
        assert!((p[0] - 0.75).abs() < 1e-9);
        // Always right: as sure as allowed, not infinitely so.
        assert!((temperature(&logits, &[0; 4], 2) - 0.05).abs() < 1e-9);
    }

    #[test]
    fn isotonic_pools_violators() {
        let f = Isotonic::fit(&[0.1, 0.2, 0.3, 0.4], &[false, true, false, true]);
        assert_eq!(
            (f.x.as_slice(), f.y.as_slice()),
            (&[0.1, 0.2, 0.3, 0.4][..], &[0.0, 0.5, 0.5, 1.0][..])
        );
        assert_eq!((f.apply(0.0), f.apply(0.25), f.apply(9.0)), (0.0, 0.5, 1.0));
        assert!((f.apply(0.15) - 0.25).abs() < 1e-12);
    }

    #[test]
    fn bins_hold_their_rows() {
        let r = reliability(&[0.95, 0.97, 0.5, 1.0], &[true, false, true, true]);
        assert_eq!((r.bins[14].rows, r.bins[7].rows), (3, 1));
        let gap = (2.0 / 3.0 - 2.92 / 3.0f64).abs();
        assert!((r.mce - 0.5).abs() < 1e-12 && (r.ece - (0.75 * gap + 0.25 * 0.5)).abs() < 1e-12);
    }

    #[test]
    fn damaged_calibrations_are_noticed() {
        let good = Calibrations {
            rows: 3,
            temperature: 1.5,
            isotonic: vec![Isotonic { x: vec![0.0, 1.0], y: vec![0.1, 0.9] }],
        };
        assert!(good.fits(2) && !good.fits(3));
        assert!(!Calibrations { temperature: f64::NAN, ..good.clone() }.fits(2));
        let falling = vec![Isotonic { x: vec![0.0, 1.0], y: vec![0.9, 0.1] }];
        assert!(!Calibrations { isotonic: falling, ..good }.fits(2));
    }
}
