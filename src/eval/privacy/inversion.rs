//! Model inversion of pictures: for every class a picture is made from the weights alone, by changing
//! a grey one until the model is sure of the class (Fredrikson et al. 2015). It shows what the model
//! holds for the class. Only where it resembles a picture of the training more than the most alike of
//! as many that training never saw was a single picture learned by heart.

use serde::Serialize;

use super::Subject;
use super::membership::known;
use crate::data::preprocess::Movable;
use crate::data::{Encoded, Progress, TargetData};
use crate::error::ExportError;
use crate::eval::Meaning;
use crate::eval::attack::Attacker;
use crate::eval::fill_batch;
use crate::eval::outcomes::Outcomes;
use crate::quality::stats::association::pearson;

/// Steps of gradient descent.
const STEPS: usize = 120;
/// Mean change of a value in the first step, as a share of the way from black to white; it falls to
/// 0 in a line.
const PACE: f32 = 0.04;
/// Share of the last step that goes on.
const MOMENTUM: f32 = 0.9;
/// Steps between two smoothings.
const SMOOTH_EVERY: usize = 10;
/// Most classes of which pictures are made.
pub const MOST_CLASSES: usize = 20;
/// Most pictures of either kind that one is compared with.
const MOST_PICTURES: usize = 200;
/// Fewest pictures of either kind.
const MIN_PICTURES: usize = 5;
/// Median by which training pictures are more alike than others, in units of the correlation, that
/// counts as given away.
const GAP: f64 = 0.05;
/// Chance at which as many classes may favour the training by luck.
const LEVEL: f64 = 0.05;

/// The picture made for one class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inverted {
    /// Class.
    pub class: String,
    /// How sure the model is of it.
    pub confidence: f64,
    /// Correlation with the average of the class's training pictures.
    pub average: f64,
    /// Correlation with the training picture of the class that is most alike.
    pub training: f64,
    /// The same of as many pictures of the class that training never saw.
    pub others: f64,
    /// Pictures of either kind.
    pub pictures: usize,
    /// 8-bit values, row by row with channels innermost.
    #[serde(skip)]
    pub pixels: Vec<u8>,
}

/// The pictures of all classes that have enough to compare with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inversion {
    /// Width, height and channels of the pictures.
    pub shape: [usize; 3],
    /// One per class.
    pub classes: Vec<Inverted>,
}

impl Inversion {
    /// Whether single pictures of the training show: `None` with too few classes to tell from
    /// chance.
    pub fn leaks(&self) -> Option<bool> {
        let mut gaps: Vec<f64> = self.classes.iter().map(|c| c.training - c.others).collect();
        let (n, wins) = (gaps.len(), gaps.iter().filter(|g| **g > 0.0).count());
        if sign_test(n, n) >= LEVEL {
            return None;
        }
        gaps.sort_by(f64::total_cmp);
        let median = gaps.get(n / 2).copied().unwrap_or(0.0);
        Some(sign_test(wins, n) < LEVEL && median > GAP)
    }

    /// The same in plain words.
    pub fn statement(&self) -> &'static str {
        match self.leaks() {
            Some(true) => {
                "Pictures made from the weights alone resemble single pictures of the training: what these show may be recognised."
            }
            Some(false) => {
                "Pictures made from the weights alone resemble those of the training no more than other pictures."
            }
            None => {
                "There are too few classes to tell whether pictures made from the weights alone resemble those of the training more than other pictures."
            }
        }
    }
}

/// Chance that at least `wins` of `n` fair coins show heads.
fn sign_test(wins: usize, n: usize) -> f64 {
    let mut ways = 1.0;
    let mut total = 0.0;
    for k in 0..=n {
        if k >= wins {
            total += ways;
        }
        ways *= (n - k) as f64 / (k + 1) as f64;
    }
    total / 2.0_f64.powi(n.min(1000) as i32)
}

/// Up to `most` pictures of a class, evenly from all.
fn of_class(data: &Encoded, class: u32, most: usize) -> Vec<&[f32]> {
    let TargetData::Classes(targets) = &data.target else { return Vec::new() };
    let rows: Vec<usize> = (0..data.rows).filter(|r| targets.get(*r) == Some(&class)).collect();
    let width = data.dense_width;
    (0..most.min(rows.len()))
        .filter_map(|i| rows.get(i * rows.len() / most.min(rows.len()).max(1)))
        .filter_map(|r| data.dense.get(r * width..(r + 1) * width))
        .collect()
}

/// Pictures that the model is surest of, one row per class.
pub fn invert(
    attacker: &mut Attacker,
    classes: &[u32],
    shape: [usize; 3],
    movable: &[Option<Movable>],
    progress: &Progress,
) -> Result<Encoded, ExportError> {
    let width = movable.len();
    let grey = |m: &Option<Movable>| m.map_or(0.0, |m| (m.low + m.high) / 2.0);
    let mut made = Encoded {
        rows: classes.len(),
        dense: classes.iter().flat_map(|_| movable.iter().map(grey)).collect(),
        dense_width: width,
        categories: Vec::new().into(),
        category_width: 0,
        target: TargetData::Classes(classes.to_vec()),
        unknown: Vec::new(),
    };
    let mut moving = vec![0.0_f32; made.dense.len()];
    let mut batch = crate::engine::Batch::default();
    for step in 0..STEPS {
        progress.check()?;
        fill_batch(&mut batch, &made, 0..made.rows);
        let gradient = attacker.gradient(&batch)?;
        let pace = PACE * (1.0 - step as f32 / STEPS as f32);
        let dense = made.dense.to_mut();
        let rows = dense.chunks_mut(width.max(1)).zip(moving.chunks_mut(width.max(1)));
        for ((row, moving), gradient) in rows.zip(gradient.chunks(width.max(1))) {
            let mean = gradient.iter().map(|g| g.abs()).sum::<f32>() / width.max(1) as f32;
            if !(mean > 0.0 && mean.is_finite()) {
                continue;
            }
            for (((v, speed), g), m) in row.iter_mut().zip(moving).zip(gradient).zip(movable) {
                let Some(m) = m else { continue };
                *speed = MOMENTUM * *speed - (1.0 - MOMENTUM) * pace * m.unit * g / mean;
                *v = (*v + *speed).clamp(m.low, m.high);
            }
            if step % SMOOTH_EVERY == SMOOTH_EVERY - 1 {
                smooth(row, shape);
            }
        }
    }
    Ok(made)
}

/// Half of every value gives way to the mean of its three by three neighbours.
fn smooth(row: &mut [f32], [width, height, channels]: [usize; 3]) {
    let from = row.to_vec();
    for (i, v) in row.iter_mut().enumerate() {
        let (c, x, y) = (i % channels, i / channels % width, i / channels / width);
        let (mut sum, mut count) = (0.0, 0.0);
        for y in y.saturating_sub(1)..=(y + 1).min(height - 1) {
            for x in x.saturating_sub(1)..=(x + 1).min(width - 1) {
                sum += from.get((y * width + x) * channels + c).copied().unwrap_or(0.0);
                count += 1.0;
            }
        }
        *v = 0.5 * *v + 0.5 * sum / count;
    }
}

/// Compares made pictures with those of the training and others; `confidence` as they are in `made`.
fn compare(
    made: &Encoded,
    confidence: &[f64],
    [train, others]: [&Encoded; 2],
    names: &[String],
    movable: &[Option<Movable>],
) -> Vec<Inverted> {
    let TargetData::Classes(classes) = &made.target else { return Vec::new() };
    let width = made.dense_width.max(1);
    let mut out = Vec::new();
    for ((picture, class), confidence) in made.dense.chunks(width).zip(classes).zip(confidence) {
        let size = |d| of_class(d, *class, MOST_PICTURES).len();
        let pictures = size(train).min(size(others));
        if pictures < MIN_PICTURES {
            continue;
        }
        let (own, other) = (of_class(train, *class, pictures), of_class(others, *class, pictures));
        let nearest = |all: &[&[f32]]| {
            all.iter().map(|p| pearson(picture, p)).fold(f64::NEG_INFINITY, f64::max)
        };
        let mut average = vec![0.0_f32; width];
        for p in &own {
            average.iter_mut().zip(*p).for_each(|(a, v)| *a += v / pictures as f32);
        }
        let level = |(v, m): (&f32, &Option<Movable>)| {
            m.map_or(0, |m| ((v - m.low) / (m.high - m.low) * 255.0).round() as u8)
        };
        out.push(Inverted {
            class: names.get(*class as usize).cloned().unwrap_or_default(),
            confidence: *confidence,
            average: pearson(picture, &average),
            training: nearest(&own),
            others: nearest(&other),
            pictures,
            pixels: picture.iter().zip(movable).map(level).collect(),
        });
    }
    out
}

pub(super) fn look(
    subject: &mut Subject<'_>,
    progress: &Progress,
) -> Result<Option<Inversion>, ExportError> {
    let Some((train, _)) = subject.train else { return Ok(None) };
    let held_out = subject.held_out.0;
    let info = subject.predictor.model().info();
    let Some(shape) = info.preprocessor.image_shape() else { return Ok(None) };
    let names = info.schema.task.classes().to_vec();
    let meaning = Meaning::of(&info.preprocessor);
    let movable = info.preprocessor.movable();
    let classes: Vec<u32> = (0..names.len().min(MOST_CLASSES) as u32).collect();
    if classes.is_empty() || shape.contains(&0) {
        return Ok(None);
    }
    let mut attacker = Attacker::new(subject.predictor.model().file())?;
    let made = invert(&mut attacker, &classes, shape, &movable, progress)?;
    let outputs = subject.predictor.outputs(&made)?;
    let Some(outcomes) = Outcomes::new(&names, &made, outputs, meaning) else { return Ok(None) };
    let confidence: Vec<f64> =
        known(&outcomes).iter().map(|odds| 1.0 / (1.0 + (-odds).exp())).collect();
    let classes = compare(&made, &confidence, [train, held_out], &names, &movable);
    Ok((!classes.is_empty()).then_some(Inversion { shape, classes }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::rng::Rng;
    use crate::model::init::Param;
    use crate::model::{Activation, Head, InputSpec, ModelSpec};

    const SHAPE: [usize; 3] = [6, 6, 1];
    const CLASSES: u32 = 8;

    fn noise(rng: &mut Rng) -> Vec<f32> {
        (0..36).map(|_| (rng.bits() >> 40) as f32 / (1u32 << 24) as f32).collect()
    }

    fn data(pictures: &[(u32, Vec<f32>)]) -> Encoded {
        Encoded {
            rows: pictures.len(),
            dense: pictures.iter().flat_map(|p| p.1.clone()).collect(),
            dense_width: 36,
            categories: Vec::new().into(),
            category_width: 0,
            target: TargetData::Classes(pictures.iter().map(|p| p.0).collect()),
            unknown: Vec::new(),
        }
    }

    /// A linear model whose weights for a class are what `of` gives it, and the comparison with six
    /// random pictures a class of either kind.
    fn found(of: impl Fn(u32, &[(u32, Vec<f32>)]) -> Vec<f32>) -> Inversion {
        let mut rng = Rng::new(3);
        let mut some = || -> Vec<(u32, Vec<f32>)> {
            (0..CLASSES * 6).map(|i| (i % CLASSES, noise(&mut rng))).collect()
        };
        let (train, others) = (some(), some());
        let head = Head::Classes { count: CLASSES as usize };
        let input = InputSpec::features(36);
        let spec = ModelSpec::mlp(input, &[], Activation::Relu, false, 0.0, false, head);
        let mut weights = Vec::new();
        for class in 0..CLASSES {
            weights.extend(of(class, &train).iter().map(|v| 2.0 * (v - 0.5)));
        }
        let values = [weights, vec![0.0; CLASSES as usize]];
        let params: Vec<Param> = spec
            .parameters()
            .into_iter()
            .zip(values)
            .map(|(info, values)| Param { name: info.name, shape: info.shape, values })
            .collect();
        let movable = vec![Some(Movable { unit: 1.0, low: 0.0, high: 1.0 }); 36];
        let mut attacker = Attacker::of(&spec, &params, movable.clone(), CLASSES as usize).unwrap();
        let classes: Vec<u32> = (0..CLASSES).collect();
        let made = invert(&mut attacker, &classes, SHAPE, &movable, &Progress::default()).unwrap();
        let names: Vec<String> = classes.iter().map(u32::to_string).collect();
        let sure = vec![1.0; classes.len()];
        let classes = compare(&made, &sure, [&data(&train), &data(&others)], &names, &movable);
        Inversion { shape: SHAPE, classes }
    }

    #[test]
    fn a_picture_learned_by_heart_comes_out() {
        let by_heart = found(|class, train| train[class as usize].1.clone());
        assert_eq!(by_heart.classes.len(), CLASSES as usize);
        assert_eq!(by_heart.leaks(), Some(true), "{by_heart:?}");
        assert!(by_heart.classes.iter().all(|c| c.training > 0.5), "{by_heart:?}");
        let mut rng = Rng::new(9);
        let strangers: Vec<Vec<f32>> = (0..CLASSES).map(|_| noise(&mut rng)).collect();
        let unrelated = found(|class, _| strangers[class as usize].clone());
        assert_eq!(unrelated.leaks(), Some(false), "{unrelated:?}");
    }

    #[test]
    fn few_classes_tell_nothing() {
        let one = Inverted {
            class: String::new(),
            confidence: 1.0,
            average: 0.9,
            training: 0.9,
            others: 0.2,
            pictures: 9,
            pixels: Vec::new(),
        };
        let of = |n: usize| Inversion { shape: SHAPE, classes: vec![one.clone(); n] }.leaks();
        assert_eq!((of(2), of(4), of(5)), (None, None, Some(true)));
    }

    #[test]
    fn the_sign_test_counts_coins() {
        // 9 or 10 of 10: 11 / 1024.
        assert!((sign_test(9, 10) - 11.0 / 1024.0).abs() < 1e-15);
        assert!((sign_test(0, 10) - 1.0).abs() < 1e-15);
    }
}
