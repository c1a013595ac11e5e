//! Settings that fit the data, for those who have not chosen any.
//!
//! By training rows:
//!
//! | rows | batch | epochs | patience | hidden |
//! |---|---|---|---|---|
//! | below 5,000 | 32 | 100 | 20 | 128, 64 |
//! | below 20,000 | 64 | 60 | 12 | 256, 128 |
//! | below 50,000 | 128 | 40 | 8 | 256, 128 |
//! | below 500,000 | 128 | 20 | 5 | 256, 128 |
//! | more | 256 | 10 | 3 | 256, 128 |
//!
//! Small data need many passes in small steps, else there are too few steps to learn anything;
//! large data need few, and early stopping ends most runs before the last. Rows of 256 values or
//! more, such as images, get the wider network however few there are. Classes are learned with a
//! dropout of 0.2, numbers without: dropout blurs the values that a regression has to hit.

use super::TrainConfig;
use crate::data::{Dataset, Samples, Schema, SplitConfig, Task};

/// Values per row from which on the wider network is suggested.
const MANY_FEATURES: usize = 256;
/// Dropout for classes.
const DROPOUT: f32 = 0.2;

/// What of the data the settings depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataSize {
    /// Training rows, about.
    pub rows: usize,
    /// Input columns, or values of a picture.
    pub features: usize,
    /// Whether a number is predicted instead of a class.
    pub regression: bool,
}

impl DataSize {
    /// Of a dataset whose rows are split this way. Without a schema (nothing to predict was chosen)
    /// as if for classes.
    pub fn of(dataset: &Dataset, schema: Option<&Schema>, split: &SplitConfig) -> Self {
        let (given, features) = match &dataset.samples {
            Samples::Images(i) => (i.test_start, i.width * i.height * i.channels.max(1)),
            Samples::Table(t) => (
                t.test_start(),
                schema.map_or(t.columns().len().saturating_sub(1), |s| s.features().count()),
            ),
        };
        let (rows, share) = match given {
            Some(start) => (start, 1.0 - split.validation),
            None => (dataset.len(), 1.0 - split.validation - split.test),
        };
        Self {
            rows: (rows as f64 * share.clamp(0.0, 1.0)) as usize,
            features,
            regression: schema.is_some_and(|s| s.task == Task::Regression),
        }
    }
}

impl TrainConfig {
    /// These settings with size and length of the training fitted to the data; precision,
    /// optimizer, engine, seed and whatever else is not a matter of size stay.
    pub fn suggest(&self, data: DataSize) -> Self {
        let (batch_size, epochs, patience) = match data.rows {
            0..5_000 => (32, 100, 20),
            5_000..20_000 => (64, 60, 12),
            20_000..50_000 => (128, 40, 8),
            50_000..500_000 => (128, 20, 5),
            _ => (256, 10, 3),
        };
        let wide = data.rows >= 5_000 || data.features >= MANY_FEATURES;
        Self {
            hidden: if wide { vec![256, 128] } else { vec![128, 64] },
            dropout: if data.regression { 0.0 } else { DROPOUT },
            batch_size,
            epochs,
            patience,
            ..self.sized_as(&Self::default())
        }
    }

    /// Whether nothing that [`TrainConfig::suggest`] decides was set.
    pub fn size_is_default(&self) -> bool {
        *self == self.sized_as(&Self::default())
    }

    /// These settings with size and length of the training taken from `other`.
    fn sized_as(&self, other: &Self) -> Self {
        Self {
            hidden: other.hidden.clone(),
            activation: other.activation,
            layer_norm: other.layer_norm,
            dropout: other.dropout,
            learning_rate: other.learning_rate,
            schedule: other.schedule,
            warmup: other.warmup,
            batch_size: other.batch_size,
            epochs: other.epochs,
            patience: other.patience,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::table;
    use crate::fp8::Precision;

    fn size(rows: usize, features: usize, regression: bool) -> DataSize {
        DataSize { rows, features, regression }
    }

    #[test]
    fn suggestions_are_valid_and_keep_what_is_not_a_matter_of_size() {
        let own = TrainConfig {
            precision: Precision::F32,
            seed: 7,
            opt_out: vec!["output".to_owned()],
            ..TrainConfig::default()
        };
        assert!(own.size_is_default());
        for rows in [0, 1, 700, 6_000, 23_000, 60_000, 10_000_000] {
            for features in [1, 784] {
                for regression in [false, true] {
                    let config = own.suggest(size(rows, features, regression));
                    assert!(config.check().is_ok());
                    assert_eq!((config.precision, config.seed), (Precision::F32, 7));
                    assert_eq!(config.opt_out, own.opt_out);
                    assert!(!config.size_is_default());
                    assert_eq!(config.dropout == 0.0, regression);
                    // Suggesting again changes nothing.
                    assert_eq!(config.suggest(size(rows, features, regression)), config);
                }
            }
        }
        assert!(!TrainConfig { epochs: 31, ..own }.size_is_default());
    }

    #[test]
    fn more_rows_get_fewer_passes_but_never_few_steps() {
        let plan = |rows: usize| {
            let config = TrainConfig::default().suggest(size(rows, 10, false));
            (config.epochs, rows.div_ceil(config.batch_size) * config.epochs)
        };
        let plans = [700, 14_000, 40_000, 200_000, 5_000_000].map(plan);
        assert!(plans.windows(2).all(|pair| pair[0].0 > pair[1].0), "{plans:?}");
        assert!(plans.iter().all(|(_, steps)| *steps >= 2000), "{plans:?}");
    }

    #[test]
    fn the_size_of_a_table() {
        let mut text = String::from("a,b,y\n");
        (0..100).for_each(|i| text += &format!("{}.5,{},{}.5\n", i % 9, i % 7, i % 11));
        let (dataset, schema) = table(&text, "y");
        let split = SplitConfig { validation: 0.1, test: 0.4, ..SplitConfig::default() };
        assert_eq!(DataSize::of(&dataset, Some(&schema), &split), size(50, 2, true));
        assert_eq!(DataSize::of(&dataset, None, &split), size(50, 2, false));
    }
}
