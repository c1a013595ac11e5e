//! Guard rails: watches how tensors fare in 8 bits and helps those that are in trouble for long.
//!
//! Every [`EVERY`] steps the statistics of all watched tensors are looked at. A tensor is in trouble
//! when at least [`SATURATED`] of its values are beyond its range, or at least [`FLUSHED`] of its
//! non-zero values become zero. After [`SUSTAINED`] looks in a row (at once from [`DROWNING`] on) the
//! next measure is taken: headroom (not against flushing, which it makes worse), E5M2, finer blocks,
//! f32 for the layer. What is decided depends on the steps alone, so a resumed run decides the same.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::event::TensorReport;
use crate::fp8::what_if::Score;
use crate::fp8::{Format, Recipe, Scaling};
use crate::plan::Adjustments;

/// Steps between two looks.
pub const EVERY: u64 = 20;
/// Looks in a row that make a trouble last.
const SUSTAINED: u32 = 3;
/// Share of values beyond the range that is trouble.
pub const SATURATED: f32 = 0.005;
/// Share of non-zero values rounded to zero that is trouble.
pub const FLUSHED: f32 = 0.5;
/// Share of values beyond the range that is not waited with.
const DROWNING: f32 = 0.25;
/// Powers of two of headroom that are added.
const HEADROOM: u32 = 2;

/// What is wrong with a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// Values are beyond its range and cut off.
    Saturated,
    /// Values are too small for its scale and become zero.
    Flushed,
}

/// What is done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// So many powers of two of headroom more.
    Headroom(u32),
    /// E5M2, which reaches further than E4M3.
    WiderFormat,
    /// Scales for smaller blocks, from their live amax.
    FinerBlocks(Scaling),
    /// f32 for the products of its layer.
    HighPrecision,
}

impl Measure {
    /// What it is, to follow "gave it".
    pub fn describe(self) -> String {
        match self {
            Self::Headroom(powers) => format!("{}× headroom", 1u64 << powers.min(32)),
            Self::WiderFormat => "the wider format E5M2".to_owned(),
            Self::FinerBlocks(Scaling::Mx) => "a scale for every 32 values".to_owned(),
            Self::FinerBlocks(_) => "a scale for every 128 values".to_owned(),
            Self::HighPrecision => "32 bits for the whole layer".to_owned(),
        }
    }
}

/// One thing that the guard rails did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Unique in the run, from 1.
    pub id: u32,
    /// Steps done when it was done.
    pub step: u64,
    /// Tensor, e.g. `dense1.input`.
    pub tensor: String,
    /// Why.
    pub trouble: Trouble,
    /// Share of values in trouble.
    pub share: f32,
    /// What.
    pub measure: Measure,
    /// Whether the user took it back; the tensor is left alone since.
    pub undone: bool,
}

impl Action {
    /// Layer of the tensor.
    pub fn layer(&self) -> &str {
        layer_of(&self.tensor)
    }

    /// One sentence.
    pub fn describe(&self) -> String {
        let Self { step, tensor, .. } = self;
        let measure = self.measure.describe();
        if self.undone {
            return format!("{tensor}: {measure} was taken back; it is left alone from now on.");
        }
        let share = format!("{:.1} %", self.share * 100.0);
        match self.trouble {
            Trouble::Saturated => format!(
                "Step {step}: {share} of {tensor} did not fit and was cut off; the guard rails gave it {measure}."
            ),
            Trouble::Flushed => format!(
                "Step {step}: {share} of {tensor} was too small and became zero; the guard rails gave it {measure}."
            ),
        }
    }
}

/// The layer that a tensor belongs to.
fn layer_of(tensor: &str) -> &str {
    tensor.rsplit_once('.').map_or(tensor, |(layer, _)| layer)
}

/// How a tensor fared so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Trouble at the last look, and for how many looks in a row.
    pub now: Option<(Trouble, u32)>,
    /// The first trouble that lasted: step at which it began, kind, share then.
    pub first: Option<(u64, Trouble, f32)>,
    /// Trouble under way: step at which it began, and the share then.
    began: Option<(u64, f32)>,
    /// Largest shares of values cut off and of non-zero values flushed.
    pub worst: [f32; 2],
    /// The same at the last look.
    pub last: [f32; 2],
    /// Signal to noise at the last look, in decibels.
    pub sqnr_db: Option<f32>,
    /// amax at the first look, the largest, and at the last look.
    pub amax: [f32; 3],
}

/// What the guard rails know and did; part of a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Guard {
    /// By tensor.
    pub health: BTreeMap<String, Health>,
    /// All actions, oldest first.
    pub actions: Vec<Action>,
    /// Tensors that are not helped any more: the user wanted it so.
    left_alone: BTreeSet<String>,
    /// Steps done at the last look.
    looked: u64,
}

/// Whether a trouble of this share, so many looks old, is acted upon.
fn lasts(trouble: Trouble, share: f32, looks: u32) -> bool {
    looks >= SUSTAINED || (trouble == Trouble::Saturated && share >= DROWNING)
}

impl Guard {
    /// Takes in the statistics after `step` steps. With `act`, returns what is to be done, already
    /// recorded: the plan must follow [`Guard::adjustments`].
    pub fn look(
        &mut self,
        step: u64,
        tensors: &[TensorReport],
        recipe: Recipe,
        act: bool,
    ) -> Vec<Action> {
        self.looked = step;
        let mut done: Vec<Action> = Vec::new();
        for report in tensors.iter().filter(|t| t.stats.count > 0) {
            let score = Score::of(&report.stats);
            let trouble = if score.saturated >= SATURATED {
                Some((Trouble::Saturated, score.saturated))
            } else if score.flushed >= FLUSHED {
                Some((Trouble::Flushed, score.flushed))
            } else {
                None
            };
            let amax = report.stats.amax;
            let health = self
                .health
                .entry(report.name.clone())
                .or_insert_with(|| Health { amax: [amax, 0.0, 0.0], ..Health::default() });
            health.amax = [health.amax[0], health.amax[1].max(amax), amax];
            health.sqnr_db = score.sqnr_db;
            health.last = [score.saturated, score.flushed];
            health.worst =
                [health.worst[0].max(score.saturated), health.worst[1].max(score.flushed)];
            let Some((trouble, share)) = trouble else {
                (health.now, health.began) = (None, None);
                continue;
            };
            let looks = match health.now {
                Some((before, looks)) if before == trouble => looks + 1,
                _ => {
                    health.began = Some((step, share));
                    1
                }
            };
            health.now = Some((trouble, looks));
            if !lasts(trouble, share, looks) {
                continue;
            }
            if health.first.is_none()
                && let Some((began, share)) = health.began
            {
                health.first = Some((began, trouble, share));
            }
            let layer_is_helped = done.iter().any(|a| {
                a.measure == Measure::HighPrecision && a.layer() == layer_of(&report.name)
            });
            if !act || layer_is_helped || self.left_alone.contains(&report.name) {
                continue;
            }
            if let Some(measure) = self.next(report, trouble, recipe) {
                // It gets as long again to show that it helps.
                if let Some(health) = self.health.get_mut(&report.name) {
                    (health.now, health.began) = (None, None);
                }
                let action = Action {
                    id: self.actions.len() as u32 + 1,
                    step,
                    tensor: report.name.clone(),
                    trouble,
                    share,
                    measure,
                    undone: false,
                };
                self.actions.push(action.clone());
                done.push(action);
            }
        }
        done
    }

    /// What has not been tried for a tensor yet, mildest first.
    fn next(&self, report: &TensorReport, trouble: Trouble, recipe: Recipe) -> Option<Measure> {
        let tried: Vec<Measure> =
            self.actions.iter().filter(|a| a.tensor == report.name).map(|a| a.measure).collect();
        let finer = match recipe.scaling {
            Scaling::Current | Scaling::Delayed { .. } | Scaling::Rowwise { .. } => {
                Some(Measure::FinerBlocks(Scaling::Block))
            }
            Scaling::Block => Some(Measure::FinerBlocks(Scaling::Mx)),
            Scaling::Mx => None,
        };
        let wider = (report.format == Format::E4M3).then_some(Measure::WiderFormat);
        // Headroom moves the scale up, so small values would be flushed even more.
        let room = (trouble == Trouble::Saturated).then_some(Measure::Headroom(HEADROOM));
        let steps = [room, wider, finer, Some(Measure::HighPrecision)];
        steps.into_iter().flatten().find(|measure| !tried.contains(measure))
    }

    /// Takes an action back. The tensor is left alone from then on. `None` if there is no such
    /// action or it is taken back already.
    pub fn undo(&mut self, id: u32) -> Option<Action> {
        let action = self.actions.iter_mut().find(|a| a.id == id && !a.undone)?;
        action.undone = true;
        self.left_alone.insert(action.tensor.clone());
        Some(action.clone())
    }

    /// Whether an action is older than the last look, so that its effect is known.
    pub fn effect_is_known(&self, action: &Action) -> bool {
        action.step < self.looked
    }

    /// What all standing actions make of the recipe.
    pub fn adjustments(&self) -> Adjustments {
        let mut all = Adjustments::default();
        for action in self.actions.iter().filter(|a| !a.undone) {
            let mut rule = all.rule(&action.tensor);
            match action.measure {
                Measure::Headroom(powers) => rule.margin += powers,
                Measure::WiderFormat => rule.format = Some(Format::E5M2),
                Measure::FinerBlocks(scaling) => rule.scaling = Some(scaling),
                Measure::HighPrecision => {
                    all.high_precision.insert(action.layer().to_owned());
                    continue;
                }
            }
            all.tensors.insert(action.tensor.clone(), rule);
        }
        all
    }

    /// Tensors whose trouble lasted, the one that began it first.
    pub fn troubled(&self) -> Vec<(&str, &Health)> {
        let mut list: Vec<_> = self
            .health
            .iter()
            .filter_map(|(name, health)| Some((name.as_str(), health, health.first?)))
            .collect();
        list.sort_by(|(_, _, a), (_, _, b)| a.0.cmp(&b.0).then(b.2.total_cmp(&a.2)));
        list.into_iter().map(|(name, health, _)| (name, health)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fp8::TensorStats;
    use crate::plan::TensorRole;

    fn report(name: &str, format: Format, saturated: u32, flushed: u32) -> TensorReport {
        let mut stats = TensorStats {
            amax: 3.0,
            count: 1000,
            saturated,
            flushed,
            signal: 1.0,
            error: 0.001,
            ..TensorStats::default()
        };
        stats.histogram[40] = 1000;
        TensorReport { name: name.into(), role: TensorRole::Activation, format, stats }
    }

    fn looks(guard: &mut Guard, tensors: &[TensorReport], from: u64, n: u64) -> Vec<Action> {
        let mut all = Vec::new();
        for i in from..from + n {
            all.extend(guard.look(i * EVERY, tensors, Recipe::current(), true));
        }
        all
    }

    #[test]
    fn measures_escalate_only_while_the_trouble_lasts() {
        let mut guard = Guard::default();
        let bad = [report("dense1.input", Format::E4M3, 50, 0)];
        assert!(looks(&mut guard, &bad, 1, 2).is_empty());
        // A good look in between starts the count anew.
        assert!(looks(&mut guard, &[report("dense1.input", Format::E4M3, 0, 0)], 3, 1).is_empty());
        assert!(looks(&mut guard, &bad, 4, 2).is_empty());
        let first = looks(&mut guard, &bad, 6, 1);
        assert_eq!(first[0].measure, Measure::Headroom(HEADROOM));
        assert_eq!((first[0].step, first[0].share), (120, 0.05));
        assert_eq!(guard.adjustments().rule("dense1.input").margin, HEADROOM);
        let more: Vec<Measure> =
            looks(&mut guard, &bad, 7, 12).into_iter().map(|a| a.measure).collect();
        let finer = Measure::FinerBlocks(Scaling::Block);
        assert_eq!(more, [Measure::WiderFormat, finer, Measure::HighPrecision]);
        assert!(guard.adjustments().high_precision.contains("dense1"));
        // There is nothing left to try.
        assert!(looks(&mut guard, &bad, 30, 9).is_empty());
        assert_eq!(guard.troubled()[0].0, "dense1.input");
        assert_eq!(guard.health["dense1.input"].first, Some((80, Trouble::Saturated, 0.05)));
    }

    #[test]
    fn flushing_gets_no_headroom_and_drowning_does_not_wait() {
        let mut guard = Guard::default();
        let lost = [report("output.gradient", Format::E5M2, 0, 600)];
        let done = looks(&mut guard, &lost, 1, 3);
        assert_eq!(done.len(), 1);
        assert_eq!(
            (done[0].trouble, done[0].measure),
            (Trouble::Flushed, Measure::FinerBlocks(Scaling::Block))
        );
        let mut guard = Guard::default();
        let done = looks(&mut guard, &[report("dense1.weight", Format::E4M3, 300, 0)], 1, 1);
        assert_eq!(done[0].measure, Measure::Headroom(HEADROOM));
    }

    #[test]
    fn an_undone_action_is_neither_kept_nor_repeated() {
        let mut guard = Guard::default();
        let bad = [report("dense1.input", Format::E4M3, 300, 0)];
        let id = looks(&mut guard, &bad, 1, 1)[0].id;
        assert!(guard.undo(id).is_some_and(|a| a.undone));
        assert!(guard.undo(id).is_none() && guard.undo(99).is_none());
        assert!(guard.adjustments().is_empty());
        assert!(looks(&mut guard, &bad, 2, 20).is_empty());
        // Without acting it still takes note.
        let mut watching = Guard::default();
        assert!(watching.look(20, &bad, Recipe::current(), false).is_empty());
        assert_eq!(watching.troubled().len(), 1);
        let json = serde_json::to_string(&guard).unwrap();
        assert_eq!(serde_json::from_str::<Guard>(&json).unwrap(), guard);
    }

    #[test]
    fn the_tensor_that_began_it_comes_first() {
        let mut guard = Guard::default();
        let later = report("dense2.input", Format::E4M3, 900, 0);
        let earlier = report("dense1.weight", Format::E4M3, 20, 0);
        guard.look(20, std::slice::from_ref(&earlier), Recipe::current(), false);
        for i in 2..6 {
            let both = [later.clone(), earlier.clone()];
            guard.look(i * EVERY, &both, Recipe::current(), false);
        }
        let names: Vec<&str> = guard.troubled().into_iter().map(|t| t.0).collect();
        assert_eq!(names, ["dense1.weight", "dense2.input"]);
    }
}
