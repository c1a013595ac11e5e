//! What a run finds out about itself while it trains: guard rails, other recipes, memory.

use rayon::prelude::*;

use super::Session;
use crate::engine::LiveTensor;
use crate::engine::preflight;
use crate::error::TrainError;
use crate::fp8::what_if::{self, Score, View};
use crate::fp8::{Recipe, slice};
use crate::plan::{Adjustments, Plan, TensorRole};
use crate::train::Event;
use crate::train::diagnosis;
use crate::train::guard::{self, Guard};
use crate::train::insight::{
    Alternative, Diagnosis, Insight, MemoryReport, Tone, WHAT_IF_EVERY, WhatIf, other_ways, used,
};

/// Most values of a tensor that other recipes are tried on.
const SAMPLE: usize = 1 << 16;

/// What was told last, so that it is told again only when it changes.
#[derive(Default)]
pub(super) struct Told {
    /// Tensor, its standing actions, whether their effect is known, whether it is in trouble now.
    diagnosis: Option<(String, usize, bool, bool)>,
    memory: Option<MemoryReport>,
    /// Whether the engine holds what it held then.
    pub(super) memory_is_known: bool,
}

impl Session<'_> {
    fn recipe(&self) -> Option<Recipe> {
        self.data.engine.plan().config.precision.recipe()
    }

    /// Whether the step after `done` is one at which other recipes are tried.
    pub(super) fn looks_after(&self, done: u64) -> bool {
        let every = match self.config.what_if_every {
            0 if self.shadow.is_some() => WHAT_IF_EVERY,
            every => every,
        };
        every > 0 && done.is_multiple_of(every) && self.recipe().is_some()
    }

    /// Steps, at least one, until something has to be looked at; 1 if the next step itself has.
    pub(super) fn steps_to_look(&self) -> u64 {
        let done = self.at.step;
        if self.recipe().is_none() {
            return u64::MAX;
        }
        if self.looks_after(done) {
            return 1;
        }
        let to_guard = guard::EVERY - done % guard::EVERY;
        (1..to_guard).find(|n| self.looks_after(done + n)).unwrap_or(to_guard)
    }

    /// Looks after tensors in trouble, if it is time to.
    pub(super) fn watch_over(&mut self) -> Result<(), TrainError> {
        let Some(recipe) = self.recipe() else { return Ok(()) };
        if !self.at.step.is_multiple_of(guard::EVERY) {
            return Ok(());
        }
        let tensors = self.read_tensors()?;
        let step = self.at.step;
        let act = self.config.guard_rails;
        let actions = self.at.known.guard.look(step, &tensors, recipe, act);
        let acted = !actions.is_empty();
        for action in actions {
            self.reporter.send(Event::Guard { step, action });
        }
        if acted {
            self.follow_plan(self.data.engine.plan().config.precision)?;
        }
        self.tell_diagnosis();
        Ok(())
    }

    /// Takes back what the guard rails did.
    pub(super) fn undo_guard(&mut self, id: u32) -> Result<(), TrainError> {
        if let Some(action) = self.at.known.guard.undo(id) {
            self.reporter.send(Event::Guard { step: self.at.step, action });
            self.follow_plan(self.data.engine.plan().config.precision)?;
            self.tell_diagnosis();
        }
        Ok(())
    }

    /// Departures from the recipe that hold now.
    pub(super) fn adjustments(&self) -> Adjustments {
        self.at.known.guard.adjustments()
    }

    pub(super) fn diagnosis(&self) -> Option<Diagnosis> {
        diagnosis::assess(&self.config, &self.at.known.guard)
    }

    /// Tells how 8 bits do where that concerns another tensor than before, or the tone changed, or
    /// the guard rails did something since, or whether it is in trouble now.
    fn tell_diagnosis(&mut self) {
        let Some(now) = self.diagnosis() else { return };
        let guard = &self.at.known.guard;
        let standing = guard.actions.iter().filter(|a| !a.undone && a.tensor == now.tensor);
        let known = standing.clone().all(|a| guard.effect_is_known(a));
        let troubled = guard.health.get(&now.tensor).is_some_and(|h| h.now.is_some());
        let tensor = match now.tone {
            Tone::Good => String::new(),
            Tone::Warning => now.tensor.clone(),
        };
        let key = (tensor, standing.count(), known, troubled);
        if self.told.diagnosis.as_ref() != Some(&key) {
            self.told.diagnosis = Some(key);
            self.reporter.send(Event::Diagnosis { step: self.at.step, diagnosis: now });
        }
    }

    /// Tells where the memory is, if that changed.
    pub(super) fn tell_memory(&mut self) {
        if std::mem::replace(&mut self.told.memory_is_known, true) {
            return;
        }
        let mut predicted = preflight::predicted(self.data.engine.plan());
        let mut measured = self.data.engine.memory();
        if let Some(shadow) = &self.shadow {
            preflight::add(&mut predicted, &preflight::predicted(shadow.plan()));
            preflight::add(&mut measured, &shadow.memory());
        }
        let memory = MemoryReport { predicted, measured, process_peak: preflight::process_peak() };
        let same = |before: &MemoryReport| before.measured == memory.measured;
        if !self.told.memory.as_ref().is_some_and(same) {
            self.told.memory = Some(memory.clone());
            self.reporter.send(Event::Memory { step: self.at.step, memory });
        }
    }

    /// Puts what the engine measured beside what other recipes would do, and tells it.
    pub(super) fn tell_what_if(&mut self, tried: Vec<Tried>) -> Result<(), TrainError> {
        let Some(recipe) = self.recipe() else { return Ok(()) };
        if self.config.what_if_every == 0 {
            return Ok(());
        }
        let now = self.read_tensors()?;
        let adjustments = &self.data.engine.plan().adjustments;
        let mut tensors = Vec::with_capacity(tried.len());
        for Tried { tensor, role, others } in tried {
            let Some(report) = now.iter().find(|t| t.name == tensor) else { continue };
            let recipe = used(recipe, adjustments.rule(&tensor)).to_owned();
            let score = Score::of(&report.stats);
            let now = Alternative { recipe, format: report.format, score };
            tensors.push(WhatIf { tensor, role, now, others });
        }
        self.at.known.what_if.clone_from(&tensors);
        self.reporter.send(Event::WhatIf { step: self.at.step, tensors });
        Ok(())
    }

    /// What the run found out, for its summary.
    pub(super) fn insight(&self) -> Insight {
        let known = &self.at.known;
        let memory = self.told.memory.clone();
        Insight {
            diagnosis: self.diagnosis(),
            what_if: known.what_if.clone(),
            guard_actions: known.guard.actions.clone(),
            shadow: known.shadow.clone(),
            memory: memory.map(|m| MemoryReport { process_peak: preflight::process_peak(), ..m }),
        }
    }
}

/// What other recipes would do to a tensor.
pub(super) struct Tried {
    tensor: String,
    role: TensorRole,
    others: Vec<Alternative>,
}

/// Tries every other recipe on a tensor as it is. `rows` are those of the batch; padding rows are
/// left out.
pub(super) fn try_others(
    plan: &Plan,
    guard: &Guard,
    rows: usize,
    live: LiveTensor<'_>,
) -> Option<Tried> {
    let watched = plan.watched.get(live.watch)?;
    let recipe = plan.config.precision.recipe()?;
    let weight = watched.role == TensorRole::Weight;
    let cols = live.op.cols as usize;
    let rows = if weight { live.op.rows as usize } else { rows };
    let values = live.values.get(..rows * cols)?;
    let past = guard.health.get(&watched.name).map_or(0.0, |h| h.amax[1]);
    let sample = sample(values, cols, if weight { 128 } else { 1 });
    let view = View {
        values: &sample,
        cols,
        weight,
        amax: slice::amax_bits(values),
        past: past.to_bits(),
    };
    let name = used(recipe, plan.adjustments.rule(&watched.name));
    let others = other_ways(recipe, name, watched.format)
        .into_par_iter()
        .map(|(name, way)| Alternative {
            recipe: name.to_owned(),
            format: way.format,
            score: what_if::score(view, way),
        })
        .collect();
    Some(Tried { tensor: watched.name.clone(), role: watched.role, others })
}

/// At most [`SAMPLE`] values in groups of `group` whole rows, spread evenly.
fn sample(values: &[u32], cols: usize, group: usize) -> Vec<u32> {
    let stripe = (group * cols).max(1);
    let stripes = values.len().div_ceil(stripe);
    let every = stripes.div_ceil((SAMPLE / stripe).max(1)).max(1);
    values.chunks(stripe).step_by(every).flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_whole_groups_of_rows_from_all_over() {
        let values: Vec<u32> = (0..100).collect();
        assert_eq!(sample(&values, 10, 1), values);
        let large: Vec<u32> = (0..1_000_000).map(|i| i / 1000).collect();
        let some = sample(&large, 1000, 1);
        assert!(some.len() <= SAMPLE && some.len() > SAMPLE / 2, "{}", some.len());
        assert!(some.chunks(1000).all(|row| row.iter().all(|v| *v == row[0])));
        assert!(some.iter().any(|v| *v > 900));
        assert!(sample(&[], 0, 128).is_empty());
    }
}
