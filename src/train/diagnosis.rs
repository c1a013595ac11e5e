//! How 8 bits do, and why a loss stopped being a number, in plain words.

use super::TrainConfig;
use super::event::TensorReport;
use super::guard::{Guard, Health, Trouble};
use super::insight::{Diagnosis, ShadowReport, Tone};
use crate::fp8::{AmaxAlgorithm, Precision, Scaling};
use crate::plan::Optimizer;

/// Share of saturated values that is worth naming.
const MANY_SATURATED: f64 = 0.01;

/// What is known when the loss stopped being a number.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// The settings.
    pub config: &'a TrainConfig,
    /// The loss, NaN or infinite.
    pub loss: f32,
    /// Step it came from.
    pub step: u64,
    /// Statistics from before, if any were read.
    pub before: &'a [TensorReport],
    /// Statistics of the last step.
    pub now: &'a [TensorReport],
    /// What the guard rails know.
    pub guard: &'a Guard,
    /// The f32 run beside it, if there is one.
    pub shadow: Option<&'a ShadowReport>,
}

/// Growth of the largest value that is worth naming.
const MUCH_GROWTH: f32 = 10.0;
/// Signal to noise of a tensor that is still fine, in decibels.
const CLEAR_DB: f32 = 15.0;

/// How 8 bits do so far, in one sentence that names a tensor: the one whose trouble began first,
/// else the one that is stored least exactly. `None` before the first look and without 8 bits.
pub fn assess(config: &TrainConfig, guard: &Guard) -> Option<Diagnosis> {
    if let Some((name, health)) = guard.troubled().first() {
        let (since, trouble, share) = health.first?;
        return Some(trouble_of(config, guard, (name, health), (since, trouble, share)));
    }
    let by_noise = |a: &(&String, f32), b: &(&String, f32)| a.1.total_cmp(&b.1);
    let noise = guard.health.iter().filter_map(|(name, h)| Some((name, h.sqnr_db?)));
    let (name, db) = noise.min_by(by_noise)?;
    let share = 100.0 * 10f32.powf(-db / 20.0);
    let (tone, text) = if db < CLEAR_DB {
        (
            Tone::Warning,
            format!(
                "8 bits blur {name}: rounding changes it by {share:.0} % (signal to noise {db:.0} dB); see which recipe would do better for it."
            ),
        )
    } else {
        (
            Tone::Good,
            format!(
                "8 bits do well: nothing is cut off for long, and the least exact tensor, {name}, is off by only {share:.1} % (signal to noise {db:.0} dB)."
            ),
        )
    };
    Some(Diagnosis { tone, tensor: name.clone(), text })
}

fn trouble_of(
    config: &TrainConfig,
    guard: &Guard,
    (name, health): (&str, &Health),
    (since, trouble, share): (u64, Trouble, f32),
) -> Diagnosis {
    let percent = |share: f32| match share * 100.0 {
        p if p > 0.0 && p < 1.0 => format!("{p:.1} %"),
        p => format!("{p:.0} %"),
    };
    let (what, now) = match trouble {
        Trouble::Saturated => ("were too large for 8 bits and cut off", health.last[0]),
        Trouble::Flushed => ("were too small for their scale and became zero", health.last[1]),
    };
    let mut text =
        format!("From step {since} on, {} of the values of {name} {what}", percent(share));
    let grown = health.amax[1] / health.amax[0];
    if grown.is_finite() && grown >= MUCH_GROWTH {
        text += &format!(", as the tensor grew {grown:.0}-fold");
    }
    if frozen(config) {
        text += " while its scale stayed frozen";
    }
    let standing = guard.actions.iter().rfind(|a| a.tensor == name && !a.undone);
    match standing {
        Some(action) => {
            text += &format!("; the guard rails gave it {}", action.measure.describe());
            if guard.adjustments().high_precision.contains(action.layer()) {
                text += ", so it no longer is in 8 bits.";
            } else if guard.effect_is_known(action) {
                text += &format!(", and {} are now.", percent(now));
            } else {
                text += ".";
            }
        }
        None if grown.is_finite() && grown >= MUCH_GROWTH => {
            text += &format!(
                "; try a learning rate of {} instead of {}.",
                short(config.learning_rate / 10.0),
                short(config.learning_rate)
            );
        }
        None => text += "; try the guard rails, or another recipe for it.",
    }
    Diagnosis { tone: Tone::Warning, tensor: name.to_owned(), text }
}

fn frozen(config: &TrainConfig) -> bool {
    let scaling = config.precision.recipe().map(|r| r.scaling);
    matches!(scaling, Some(Scaling::Delayed { algorithm: AmaxAlgorithm::First, .. }))
}

/// A few sentences: what happened, which tensor showed it, what to change.
pub fn diagnose(e: &Evidence<'_>) -> String {
    let kind = if e.loss.is_nan() { "not a number" } else { "infinite" };
    let mut text = format!("The loss became {kind}. ");
    if let Some(tensor) = e.now.iter().find(|t| t.stats.nan > 0) {
        text +=
            &format!("{} was the first tensor to hold values that are not numbers. ", tensor.name);
    }
    if let Some((name, health)) = e.guard.troubled().first()
        && let Some((since, _, _)) = health.first
    {
        text += &format!("The trouble began with {name}, at step {since}. ");
    }
    if let Some(shadow) = e.shadow {
        text += match shadow.lost_at {
            Some(_) => "The same run in 32 bits lost its loss too, so 8 bits are not the cause. ",
            None => "The same run in 32 bits goes on, so it is 8 bits that were not enough. ",
        };
    }
    // After the loss is lost all tensors are; what saturated before it tells more.
    let worst = e
        .before
        .iter()
        .chain(e.now)
        .map(|t| (t, f64::from(t.stats.saturated) / f64::from(t.stats.count.max(1))))
        .filter(|(_, share)| *share >= MANY_SATURATED)
        .max_by(|a, b| a.1.total_cmp(&b.1));
    if let Some((tensor, share)) = worst {
        text += &format!(
            "{:.0} % of the values of {} were too large for 8 bits. ",
            share * 100.0,
            tensor.name
        );
        if let Precision::Fp8(recipe) = e.config.precision
            && let Scaling::Delayed { .. } = recipe.scaling
        {
            text += if frozen(e.config) {
                "Its scale is frozen and was outgrown; the current recipe measures it anew. "
            } else {
                "The delayed recipe takes its scale from earlier steps and was overtaken; \
                 the current recipe is not. "
            };
        }
    }
    if let Some((name, factor)) = fastest_growth(e.before, e.now) {
        text += &format!("{name} grew {factor:.0}-fold shortly before. ");
    }
    text += &format!(
        "Most often the learning rate is too high: try {} instead of {}",
        short(e.config.learning_rate / 10.0),
        short(e.config.learning_rate),
    );
    if e.config.warmup == 0.0 {
        text += ", with some warm-up";
    }
    if matches!(e.config.optimizer, Optimizer::Sgd { .. }) {
        text += ", or the AdamW optimizer";
    }
    text += ".";
    if e.step <= 1 {
        text += " It happened at the very first step, so also look for extreme values in the data.";
    }
    text
}

/// The tensor whose amax grew most since the statistics before, if by a lot.
fn fastest_growth<'a>(before: &[TensorReport], now: &'a [TensorReport]) -> Option<(&'a str, f32)> {
    now.iter()
        .filter_map(|t| {
            let old = before.iter().find(|b| b.name == t.name)?;
            (old.stats.amax > 0.0).then(|| (t.name.as_str(), t.stats.amax / old.stats.amax))
        })
        .filter(|(_, factor)| factor.is_finite() && *factor >= 10.0)
        .max_by(|a, b| a.1.total_cmp(&b.1))
}

/// A number as a person would write it.
fn short(value: f32) -> String {
    let text = format!("{value:.1e}");
    match text.parse::<f32>() {
        Ok(rounded) => format!("{rounded}"),
        Err(_) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fp8::{Format, Recipe, TensorStats};
    use crate::plan::TensorRole;

    fn report(name: &str, amax: f32, saturated: u32, nan: u32) -> TensorReport {
        TensorReport {
            name: name.into(),
            role: TensorRole::Weight,
            format: Format::E4M3,
            stats: TensorStats {
                amax,
                scale_exponent: 0,
                count: 100,
                saturated,
                flushed: 0,
                subnormal: 0,
                nan,
                signal: 1.0,
                error: 0.0,
                histogram: vec![],
            },
        }
    }

    #[test]
    fn names_the_tensor_and_the_way_out() {
        let config = TrainConfig {
            precision: Precision::Fp8(Recipe::delayed()),
            learning_rate: 0.3,
            ..TrainConfig::default()
        };
        let text = diagnose(&Evidence {
            config: &config,
            loss: f32::NAN,
            step: 40,
            before: &[report("dense1.weight", 1.0, 0, 0), report("output.input", 2.0, 37, 0)],
            now: &[report("dense1.weight", 55.0, 0, 0), report("output.input", 2.0, 0, 12)],
            guard: &Guard::default(),
            shadow: None,
        });
        assert!(text.contains("not a number"), "{text}");
        assert!(text.contains("output.input was the first"), "{text}");
        assert!(text.contains("37 % of the values of output.input"), "{text}");
        assert!(text.contains("delayed recipe"), "{text}");
        assert!(text.contains("dense1.weight grew 55-fold"), "{text}");
        assert!(text.contains("try 0.03 instead of 0.3"), "{text}");
        assert!(!text.contains("first step"), "{text}");
    }

    #[test]
    fn without_statistics_there_is_still_advice() {
        let config = TrainConfig {
            warmup: 0.0,
            optimizer: Optimizer::Sgd { momentum: 0.9, weight_decay: 0.0 },
            ..TrainConfig::default()
        };
        let text = diagnose(&Evidence {
            config: &config,
            loss: f32::INFINITY,
            step: 1,
            before: &[],
            now: &[],
            guard: &Guard::default(),
            shadow: Some(&ShadowReport::default()),
        });
        assert!(text.contains("32 bits goes on"), "{text}");
        assert!(text.contains("infinite") && text.contains("0.0001 instead of 0.001"), "{text}");
        assert!(text.contains("warm-up") && text.contains("AdamW"), "{text}");
        assert!(text.contains("very first step"), "{text}");
    }
    #[test]
    fn the_sentence_names_the_tensor_and_what_was_done() {
        let config = TrainConfig {
            precision: Precision::Fp8(crate::fp8::Recipe {
                scaling: Scaling::Delayed { history: 16, algorithm: AmaxAlgorithm::First },
                ..crate::fp8::Recipe::current()
            }),
            learning_rate: 0.5,
            ..TrainConfig::default()
        };
        let recipe = config.precision.recipe().unwrap();
        let mut guard = Guard::default();
        assert_eq!(assess(&config, &guard), None);
        let good = [report("dense1.weight", 1.0, 0, 0), report("dense2.input", 1.0, 0, 0)];
        guard.look(20, &good, recipe, true);
        let fine = assess(&config, &guard).unwrap();
        assert_eq!(fine.tone, Tone::Good, "{fine:?}");
        let bad = [report("dense1.weight", 1.0, 0, 0), report("dense2.input", 80.0, 40, 0)];
        let mut quiet = guard.clone();
        guard.look(40, &bad, recipe, true);
        let told = assess(&config, &guard).unwrap();
        assert_eq!((told.tone, told.tensor.as_str()), (Tone::Warning, "dense2.input"));
        for part in ["From step 40 on, 40 %", "grew 80-fold", "frozen", "gave it 4× headroom"] {
            assert!(told.text.contains(part), "{}", told.text);
        }
        assert_eq!(told.text.matches(". ").count(), 0, "one sentence: {}", told.text);
        // Without guard rails there is advice.
        quiet.look(40, &bad, recipe, false);
        let told = assess(&config, &quiet).unwrap();
        assert!(told.text.contains("try a learning rate of 0.05 instead of 0.5"), "{}", told.text);
    }
}
