//! Why a loss stopped being a number, in plain words.

use super::TrainConfig;
use super::event::TensorReport;
use crate::fp8::{Precision, Scaling};
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
}

/// A few sentences: what happened, which tensor showed it, what to change.
pub fn diagnose(e: &Evidence<'_>) -> String {
    let kind = if e.loss.is_nan() { "not a number" } else { "infinite" };
    let mut text = format!("The loss became {kind}. ");
    if let Some(tensor) = e.now.iter().find(|t| t.stats.nan > 0) {
        text +=
            &format!("{} was the first tensor to hold values that are not numbers. ", tensor.name);
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
            text += "The delayed recipe takes its scale from earlier steps and was overtaken; \
                     the current recipe is not. ";
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
        });
        assert!(text.contains("infinite") && text.contains("0.0001 instead of 0.001"), "{text}");
        assert!(text.contains("warm-up") && text.contains("AdamW"), "{text}");
        assert!(text.contains("very first step"), "{text}");
    }
}
