//! Random numbers that nobody can repeat.

use std::f64::consts::TAU;

use crate::data::rng::Rng;
use crate::error::TrainError;

/// Where random bits come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// The operating system.
    System,
    /// A seed. Not private: for tests.
    Seed(Rng),
}

/// Uniform and normal numbers.
#[derive(Debug)]
pub struct Chance {
    source: Source,
    bytes: Vec<u8>,
    used: usize,
    spare: Option<f64>,
}

/// Bytes taken at once.
const BYTES: usize = 1 << 16;

impl Chance {
    /// From a source.
    pub fn new(source: Source) -> Self {
        Self { source, bytes: Vec::new(), used: 0, spare: None }
    }

    fn bits(&mut self) -> Result<u64, TrainError> {
        if let Source::Seed(rng) = &mut self.source {
            return Ok(rng.bits());
        }
        if self.used + 8 > self.bytes.len() {
            self.bytes.resize(BYTES, 0);
            getrandom::fill(&mut self.bytes).map_err(|e| TrainError::Config {
                setting: "private training",
                what: format!("the system gives no random numbers: {e}"),
            })?;
            self.used = 0;
        }
        let chunk = self.bytes.get(self.used..).and_then(|rest| rest.first_chunk::<8>());
        self.used += 8;
        Ok(chunk.map_or(0, |bytes| u64::from_le_bytes(*bytes)))
    }

    /// Uniform in [0, 1).
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn uniform(&mut self) -> Result<f64, TrainError> {
        Ok((self.bits()? >> 11) as f64 / (1u64 << 53) as f64)
    }

    /// Standard normal (Box and Muller).
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn normal(&mut self) -> Result<f64, TrainError> {
        if let Some(spare) = self.spare.take() {
            return Ok(spare);
        }
        let radius = (-2.0 * (1.0 - self.uniform()?).ln()).sqrt();
        let (sin, cos) = (TAU * self.uniform()?).sin_cos();
        self.spare = Some(radius * sin);
        Ok(radius * cos)
    }

    /// The rows `0..rows` that take part, each with chance `rate`, in random order of no meaning.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn lot(&mut self, rows: usize, rate: f64) -> Result<Vec<u32>, TrainError> {
        let mut lot = Vec::with_capacity((1.2 * rate * rows as f64) as usize + 8);
        for row in 0..rows as u32 {
            if self.uniform()? < rate {
                lot.push(row);
            }
        }
        Ok(lot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> [Chance; 2] {
        [Chance::new(Source::System), Chance::new(Source::Seed(Rng::new(4)))]
    }

    #[test]
    fn normal_numbers_have_the_moments_of_normal_numbers() {
        for mut chance in both() {
            let n = 200_000;
            let all: Vec<f64> = (0..n).map(|_| chance.normal().unwrap()).collect();
            let moment = |k: i32| all.iter().map(|x| x.powi(k)).sum::<f64>() / f64::from(n);
            // Six standard errors: 1, √2, √15, √96 over √n.
            let near = |got: f64, want: f64, spread: f64| {
                assert!((got - want).abs() < 6.0 * spread / f64::from(n).sqrt(), "{got} {want}");
            };
            near(moment(1), 0.0, 1.0);
            near(moment(2), 1.0, 2f64.sqrt());
            near(moment(3), 0.0, 15f64.sqrt());
            near(moment(4), 3.0, 96f64.sqrt());
        }
    }

    #[test]
    fn lots_are_of_the_asked_size_on_average_and_differ() {
        for mut chance in both() {
            let lots: Vec<Vec<u32>> = (0..400).map(|_| chance.lot(1000, 0.1).unwrap()).collect();
            let mean = lots.iter().map(Vec::len).sum::<usize>() as f64 / 400.0;
            // 100 ± 6 · √(90/400).
            assert!((mean - 100.0).abs() < 2.9, "{mean}");
            assert_ne!(lots[0], lots[1]);
            assert!(lots.iter().any(|l| l.len() != lots[0].len()));
        }
        let mut chance = Chance::new(Source::System);
        assert!(chance.lot(50, 0.0).unwrap().is_empty());
        assert_eq!(chance.lot(5, 1.0).unwrap(), [0, 1, 2, 3, 4]);
    }
}
