//! What a run finds out about itself: what other recipes would do, how it compares with 32 bits,
//! where its memory goes.

use serde::{Deserialize, Serialize};

use super::guard::{self, Action, Guard};
use crate::fp8::what_if::{Score, Way};
use crate::fp8::{Format, Recipe, Scaling};
use crate::plan::memory::Ledger;
use crate::plan::{TensorRole, TensorRule};

/// Steps between two looks at what other recipes would do, unless set otherwise.
pub const WHAT_IF_EVERY: u64 = 200;
/// Relative loss gap that DeepSeek-V3 was trained within: 0.25 %.
pub const BAND: f64 = 0.0025;
/// Signal to noise below which a tensor is worth a line, in decibels: noise is a sixth of it.
const NOISY_DB: f32 = 15.0;

/// What one other recipe would do to a tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// Name of the recipe, as in [`Recipe::NAMED`].
    pub recipe: String,
    /// Format.
    pub format: Format,
    /// What would be lost.
    pub score: Score,
}

/// One tensor at one step in the recipe of the run and in all others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WhatIf {
    /// e.g. `dense1.input`.
    pub tensor: String,
    /// Role.
    pub role: TensorRole,
    /// What it is in, and what is lost. Measured by the engine over the whole tensor.
    pub now: Alternative,
    /// Every other recipe, in the order shown to users. Measured over at most 65,536 values.
    pub others: Vec<Alternative>,
}

impl WhatIf {
    /// The other recipe that loses least, if it loses less than the one in use.
    pub fn best(&self) -> Option<&Alternative> {
        let rank = |a: &Alternative| {
            let lost = (a.score.saturated >= guard::SATURATED, a.score.flushed >= guard::FLUSHED);
            (!lost.0, !lost.1, a.score.sqnr_db.unwrap_or(f32::NEG_INFINITY))
        };
        let better = |a: &(bool, bool, f32), b: &(bool, bool, f32)| {
            a.0.cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.total_cmp(&b.2))
        };
        let best = self.others.iter().max_by(|a, b| better(&rank(a), &rank(b)))?;
        better(&rank(best), &rank(&self.now)).is_gt().then_some(best)
    }

    /// Whether the recipe in use loses much of this tensor.
    pub fn is_problem(&self) -> bool {
        let Score { sqnr_db, saturated, flushed } = self.now.score;
        saturated >= guard::SATURATED
            || flushed >= guard::FLUSHED
            || sqnr_db.is_some_and(|db| db < NOISY_DB)
    }

    /// One line: what is lost, and which recipe would lose least.
    pub fn describe(&self) -> String {
        let mut text = format!("{} in {}", self.tensor, line(&self.now));
        if let Some(best) = self.best() {
            text += &format!("; least with {}", line(best));
        }
        text
    }
}

fn line(a: &Alternative) -> String {
    let format = match a.format {
        Format::E4M3 => "E4M3",
        Format::E5M2 => "E5M2",
    };
    let sqnr = a.score.sqnr_db.map_or("no signal".to_owned(), |db| format!("{db:.0} dB"));
    let percent = |share: f32| format!("{:.1} %", share * 100.0);
    format!(
        "{} {format}: {sqnr}, {} cut off, {} to zero",
        a.recipe,
        percent(a.score.saturated),
        percent(a.score.flushed)
    )
}

/// The recipes that a tensor is tried in: name and way to choose scales.
fn scalings() -> impl Iterator<Item = (&'static str, Scaling)> {
    // Rowwise with a weight gradient in high precision quantises like rowwise.
    Recipe::NAMED.into_iter().filter(|(name, _)| *name != "rowwise-hp").map(|(n, r)| (n, r.scaling))
}

fn kind(scaling: Scaling) -> &'static str {
    match scaling {
        Scaling::Current => "current",
        Scaling::Delayed { .. } => "delayed",
        Scaling::Rowwise { .. } => "rowwise",
        Scaling::Block => "block",
        Scaling::Mx => "mx",
    }
}

/// Name of the recipe that a tensor is in.
pub(super) fn used(recipe: Recipe, rule: TensorRule) -> &'static str {
    kind(rule.scaling.unwrap_or(recipe.scaling))
}

/// Every way but the one in use.
pub(super) fn other_ways(recipe: Recipe, used: &str, format: Format) -> Vec<(&'static str, Way)> {
    let all = scalings().flat_map(|(name, scaling)| {
        Format::ALL.map(|format| (name, Way { format, scaling, margin: recipe.margin }))
    });
    all.filter(|(name, way)| !(*name == used && way.format == format)).collect()
}

/// How good or bad news is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// All is well.
    Good,
    /// Worth a look.
    Warning,
}

/// How 8 bits do, in one sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Good or bad news.
    pub tone: Tone,
    /// The tensor that it is about.
    pub tensor: String,
    /// The sentence.
    pub text: String,
}

/// Bytes by purpose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryReport {
    /// As predicted from the plan before the run.
    pub predicted: Ledger,
    /// As the engine holds them.
    pub measured: Ledger,
    /// Most memory that the whole process has held, where the system says so; data, program and,
    /// in a window, its pictures included.
    pub process_peak: Option<u64>,
}

/// How the run compares with the same run in f32.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShadowReport {
    /// Steps that both did.
    pub steps: u64,
    /// Mean training loss of this run over its last complete epoch, and that of f32.
    pub loss: [f64; 2],
    /// Validation loss after it, and that of f32; NaN is not written, so none without rows.
    pub validation: Option<[f64; 2]>,
    /// Cosine between the gradients of f32 and of this run, of every layer's weight, both at this
    /// run's weights and on the same rows.
    pub cosines: Vec<(String, f32)>,
    /// The step at which f32 itself stopped giving a number.
    pub lost_at: Option<u64>,
}

impl ShadowReport {
    /// Relative gap of the training losses; above 0 where this run is worse.
    pub fn gap(&self) -> Option<f64> {
        relative(self.loss)
    }

    /// Relative gap of the validation losses.
    pub fn validation_gap(&self) -> Option<f64> {
        self.validation.and_then(relative)
    }

    /// One sentence.
    pub fn describe(&self) -> String {
        if let Some(step) = self.lost_at {
            return format!(
                "In 32 bits the same run lost its loss at step {step}, so 8 bits are not the cause."
            );
        }
        let percent = |gap: f64| format!("{:+.2} %", gap * 100.0);
        match (self.gap(), self.validation_gap()) {
            (Some(gap), validation) => {
                let place = if gap <= BAND { "within" } else { "outside" };
                let more = validation
                    .map_or(String::new(), |v| format!("; of the validation loss {}", percent(v)));
                format!(
                    "Gap of the training loss to the same run in f32: {} ({place} the 0.25 % band){more}.",
                    percent(gap)
                )
            }
            _ => "The f32 run beside it has not finished an epoch.".to_owned(),
        }
    }
}

fn relative([run, shadow]: [f64; 2]) -> Option<f64> {
    let gap = (run - shadow) / shadow.abs();
    gap.is_finite().then_some(gap)
}

/// What a finished run found out about itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Insight {
    /// How 8 bits did.
    pub diagnosis: Option<Diagnosis>,
    /// Every tensor in other recipes, at the last look.
    pub what_if: Vec<WhatIf>,
    /// What the guard rails did.
    pub guard_actions: Vec<Action>,
    /// The f32 run beside it.
    pub shadow: Option<ShadowReport>,
    /// Where the memory went.
    pub memory: Option<MemoryReport>,
}

impl Insight {
    /// One line for every tensor that the recipe loses much of.
    pub fn problem_lines(&self) -> Vec<String> {
        self.what_if.iter().filter(|w| w.is_problem()).map(WhatIf::describe).collect()
    }
}

/// What of it a checkpoint holds beside the guard rails.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Known {
    /// The guard rails.
    pub guard: Guard,
    /// The last look at other recipes.
    pub what_if: Vec<WhatIf>,
    /// Sums of losses of the epoch under way: of f32.
    #[serde(with = "super::files::bits")]
    pub shadow_loss_sum: f64,
    /// The run beside it.
    pub shadow: Option<ShadowReport>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alternative(recipe: &str, sqnr: f32, saturated: f32) -> Alternative {
        let score = Score { sqnr_db: Some(sqnr), saturated, flushed: 0.0 };
        Alternative { recipe: recipe.to_owned(), format: Format::E4M3, score }
    }

    #[test]
    fn the_best_alternative_saturates_least_then_is_most_exact() {
        let mut what_if = WhatIf {
            tensor: "dense1.input".to_owned(),
            role: TensorRole::Activation,
            now: alternative("delayed", 9.0, 0.2),
            others: vec![
                alternative("current", 28.0, 0.0),
                alternative("mx", 31.0, 0.0),
                alternative("block", 40.0, 0.1),
            ],
        };
        assert_eq!(what_if.best().map(|a| a.recipe.as_str()), Some("mx"));
        assert!(what_if.is_problem());
        let text = what_if.describe();
        assert!(text.contains("20.0 % cut off") && text.contains("least with mx E4M3"), "{text}");
        what_if.now = alternative("current", 50.0, 0.0);
        assert!(what_if.best().is_none() && !what_if.is_problem());
    }

    #[test]
    fn every_other_way_is_tried_once() {
        for (_, recipe) in Recipe::NAMED {
            let name = used(recipe, TensorRule::default());
            let ways = other_ways(recipe, name, Format::E4M3);
            assert_eq!(ways.len(), 9);
            assert!(!ways.iter().any(|(n, w)| *n == name && w.format == Format::E4M3));
        }
    }

    #[test]
    fn gaps_are_relative_and_say_whether_they_are_in_the_band() {
        let mut shadow = ShadowReport { loss: [1.002, 1.0], ..ShadowReport::default() };
        assert!(shadow.describe().contains("+0.20 % (within"), "{}", shadow.describe());
        shadow.loss = [1.003, 1.0];
        shadow.validation = Some([0.9, 1.0]);
        let text = shadow.describe();
        assert!(text.contains("outside") && text.contains("-10.00 %"), "{text}");
        assert_eq!(ShadowReport::default().gap(), None);
        shadow.lost_at = Some(7);
        assert!(shadow.describe().contains("step 7"));
    }
}
