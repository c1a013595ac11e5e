//! The same run in f32 beside: same initial weights, same rows in the same order, same seeds.

use super::Session;
use crate::engine::{self, Batch, Engine, StepParams};
use crate::error::{EngineError, TrainError};
use crate::eval;
use crate::train::checkpoint;
use crate::train::insight::ShadowReport;

/// Steps over which the live losses are smoothed, about.
const SMOOTH: f64 = 50.0;

/// What the f32 run is asked between two progress events.
#[derive(Default)]
pub(super) struct Beside {
    loss_sum: f64,
    rows: u64,
    /// Smoothed losses of this run and of f32; only shown.
    smooth: Option<[f64; 2]>,
}

/// Weight gradients by layer.
pub(super) type Gradients = Vec<(String, Vec<f32>)>;

fn gradients(engine: &mut dyn Engine) -> Result<Gradients, EngineError> {
    let of = |p: &crate::plan::PlanParam| {
        Some((p.name.strip_suffix(".weight")?.to_owned(), p.gradient?))
    };
    let wanted: Vec<_> = engine.plan().params.iter().filter_map(of).collect();
    let read = |(layer, id)| {
        Ok((layer, engine.read(id)?.into_iter().map(f32::from_bits).collect::<Vec<f32>>()))
    };
    wanted.into_iter().map(read).collect()
}

/// Cosine of the angle between two gradients; `None` where one of them is zero or not finite.
pub(super) fn cosine(a: &[f32], b: &[f32]) -> Option<f32> {
    let dot = |x: &[f32], y: &[f32]| -> f64 {
        x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
    };
    let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    cosine.is_finite().then_some(cosine as f32)
}

impl Session<'_> {
    /// Gradients that f32 has at this run's weights on a batch; its own state is as before then.
    pub(super) fn shadow_gradients(
        &mut self,
        batch: &Batch,
        step: &StepParams,
    ) -> Result<Option<Gradients>, TrainError> {
        // Lean plans reuse the memory of gradients within the step.
        if self.config.update.lean {
            return Ok(None);
        }
        let Some(shadow) = self.shadow.as_deref_mut() else { return Ok(None) };
        let own = checkpoint::capture(shadow)?;
        engine::transfer(self.data.engine.as_mut(), shadow)?;
        shadow.train(std::slice::from_ref(batch), std::slice::from_ref(step))?;
        let found = gradients(shadow)?;
        checkpoint::restore(shadow, &own, &self.folder.last_checkpoint())?;
        Ok(Some(found))
    }

    /// Compares them with this run's gradients of the step just done.
    pub(super) fn compare_gradients(&mut self, of_f32: &Gradients) -> Result<(), TrainError> {
        let own = gradients(self.data.engine.as_mut())?;
        let both = own.iter().zip(of_f32);
        let cosines = both.filter_map(|((layer, a), (_, b))| Some((layer.clone(), cosine(a, b)?)));
        self.at.known.shadow.get_or_insert_default().cosines = cosines.collect();
        Ok(())
    }

    /// Lets f32 do the steps just done; `losses` are this run's.
    pub(super) fn shadow_steps(
        &mut self,
        batches: &[Batch],
        params: &[StepParams],
        losses: &[f32],
    ) -> Result<(), TrainError> {
        let Some(shadow) = self.shadow.as_deref_mut() else { return Ok(()) };
        let theirs = shadow.train(batches, params)?;
        let report = self.at.known.shadow.get_or_insert_default();
        for (((&own, &loss), batch), step) in losses.iter().zip(&theirs).zip(batches).zip(params) {
            if !loss.is_finite() {
                report.lost_at = Some(step.step);
                self.shadow = None;
                let text = format!("The f32 run beside it lost its loss at step {}.", step.step);
                self.reporter.send(crate::train::Event::Log(text));
                return Ok(());
            }
            let sum = f64::from(loss) * batch.rows as f64;
            self.at.known.shadow_loss_sum += sum;
            self.beside.loss_sum += sum;
            self.beside.rows += batch.rows as u64;
            let (own, loss) = (f64::from(own), f64::from(loss));
            let [a, b] = self.beside.smooth.unwrap_or([own, loss]);
            self.beside.smooth = Some([a + (own - a) / SMOOTH, b + (loss - b) / SMOOTH]);
            report.steps += 1;
        }
        Ok(())
    }

    /// What to tell of it with a progress event.
    pub(super) fn shadow_event(&self) -> Option<crate::train::Event> {
        let ([own, other], rows) = (self.beside.smooth?, self.beside.rows);
        let gap = (own - other) / other.abs();
        (self.shadow.is_some() && rows > 0 && gap.is_finite()).then(|| {
            crate::train::Event::Shadow {
                step: self.at.step,
                loss: (self.beside.loss_sum / rows as f64) as f32,
                gap,
                cosines: self.at.known.shadow.as_ref().map_or_else(Vec::new, |s| s.cosines.clone()),
            }
        })
    }

    /// Starts a new stretch between progress events.
    pub(super) fn shadow_told(&mut self) {
        (self.beside.loss_sum, self.beside.rows) = (0.0, 0);
    }

    /// Compares whole epochs: mean training losses and validation losses.
    pub(super) fn end_shadow_epoch(
        &mut self,
        train_loss: f32,
        validation: f32,
    ) -> Result<(), TrainError> {
        let rows = self.at.loss_rows.max(1) as f64;
        let Some(shadow) = self.shadow.as_deref_mut() else { return Ok(()) };
        let of_f32 = std::mem::take(&mut self.at.known.shadow_loss_sum) / rows;
        let mut report: ShadowReport = self.at.known.shadow.take().unwrap_or_default();
        report.loss = [f64::from(train_loss), of_f32];
        if self.data.validation.rows > 0 {
            shadow.prepare_eval()?;
            let scores = eval::evaluate(shadow, &self.data.validation, self.data.meaning)?.1;
            let both = [f64::from(validation), f64::from(scores.loss)];
            report.validation = both.iter().all(|l| l.is_finite()).then_some(both);
        }
        self.at.known.shadow = Some(report);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_are_of_the_angle_alone() {
        assert_eq!(cosine(&[1.0, 0.0], &[5.0, 0.0]), Some(1.0));
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 2.0]), Some(0.0));
        assert_eq!(cosine(&[1.0, 2.0], &[-1.0, -2.0]), Some(-1.0));
        assert_eq!(cosine(&[0.0], &[1.0]), None);
        assert_eq!(cosine(&[f32::NAN], &[1.0]), None);
    }
}
