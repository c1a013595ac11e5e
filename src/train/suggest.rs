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
//!
//! Images get the small convolutional network where they are large enough for its two poolings and
//! an hour or so of an ordinary processor is enough. Such networks need fewer passes:
//!
//! | rows | batch | epochs | patience | hidden |
//! |---|---|---|---|---|
//! | below 5,000 | 32 | 40 | 10 | 128 |
//! | below 20,000 | 64 | 20 | 6 | 128 |
//! | below 50,000 | 128 | 15 | 5 | 128 |
//! | below 500,000 | 128 | 10 | 3 | 128 |
//! | more | 256 | 4 | 2 | 128 |

use super::{Architecture, TrainConfig};
use crate::data::{Dataset, Samples, Schema, SplitConfig, Task};
use crate::model::ImageShape;

/// Values per row from which on the wider network is suggested.
const MANY_FEATURES: usize = 256;
/// Dropout for classes.
const DROPOUT: f32 = 0.2;

/// Fewest pixels of a side for which convolutions are suggested: 3 are left after two poolings.
const SMALLEST_SIDE: usize = 12;
/// Most multiplications of a suggested convolutional run: about an hour at 30 billion a second.
const MOST_WORK: f64 = 1e14;

/// What of the data the settings depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataSize {
    /// Training rows, about.
    pub rows: usize,
    /// Input columns, or values of a picture.
    pub features: usize,
    /// Whether a number is predicted instead of a class.
    pub regression: bool,
    /// Size of the pictures, if rows are pictures.
    pub image: Option<ImageShape>,
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
        let share = share.clamp(0.0, 1.0);
        // Rows outside of a sample are all trained on, unless a column says otherwise.
        let beyond = match &dataset.samples {
            Samples::Table(table) => table.whole().map_or(0, |whole| whole.beyond()),
            Samples::Images(_) => 0,
        };
        let beyond_share = if split.method.needs_column() { share } else { 1.0 };
        Self {
            rows: (rows as f64 * share + beyond as f64 * beyond_share) as usize,
            features,
            regression: schema.is_some_and(|s| s.task == Task::Regression),
            image: match &dataset.samples {
                Samples::Images(i) => Some(ImageShape {
                    height: i.height,
                    width: i.width,
                    channels: i.channels.max(1),
                }),
                Samples::Table(_) => None,
            },
        }
    }

    /// The kind of network that suits these data.
    pub fn architecture(self) -> Architecture {
        let Some(image) = self.image else { return Architecture::Mlp };
        let (_, epochs, _) = convolutional_length(self.rows);
        // Per image: convolutions of 32 and 64 channels with poolings after them, then 128 units.
        let pixels = (image.height * image.width) as f64;
        let forward =
            pixels * (9.0 * image.channels as f64 * 32.0 + 9.0 * 32.0 * 64.0 / 4.0 + 512.0);
        let work = 3.0 * forward * self.rows as f64 * epochs as f64;
        let fits = image.height.min(image.width) >= SMALLEST_SIDE && work <= MOST_WORK;
        if fits { Architecture::SmallCnn } else { Architecture::Mlp }
    }
}

/// Batch size, epochs and patience of a convolutional network.
fn convolutional_length(rows: usize) -> (usize, usize, usize) {
    match rows {
        0..5_000 => (32, 40, 10),
        5_000..20_000 => (64, 20, 6),
        20_000..50_000 => (128, 15, 5),
        50_000..500_000 => (128, 10, 3),
        _ => (256, 4, 2),
    }
}

impl TrainConfig {
    /// These settings with size and length of the training fitted to the data; precision,
    /// optimizer, engine, seed and whatever else is not a matter of size stay. So does the kind of
    /// network, once it is chosen.
    pub fn suggest(&self, data: DataSize) -> Self {
        let architecture = match self.architecture {
            Architecture::Auto => data.architecture(),
            chosen => chosen,
        };
        let dropout = if data.regression { 0.0 } else { DROPOUT };
        if architecture.is_convolutional() {
            let (batch_size, epochs, patience) = convolutional_length(data.rows);
            let hidden = vec![128];
            let sized = self.sized_as(&Self::default());
            return Self { architecture, hidden, dropout, batch_size, epochs, patience, ..sized };
        }
        let (batch_size, epochs, patience) = match data.rows {
            0..5_000 => (32, 100, 20),
            5_000..20_000 => (64, 60, 12),
            20_000..50_000 => (128, 40, 8),
            50_000..500_000 => (128, 20, 5),
            _ => (256, 10, 3),
        };
        let wide = data.rows >= 5_000 || data.features >= MANY_FEATURES;
        Self {
            architecture,
            hidden: if wide { vec![256, 128] } else { vec![128, 64] },
            dropout,
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
        DataSize { rows, features, regression, image: None }
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
    fn pictures_get_convolutions_where_they_are_large_enough_and_time_allows() {
        let pictures = |rows, side, channels| {
            let image = Some(ImageShape { height: side, width: side, channels });
            DataSize { image, ..size(rows, side * side * channels, false) }
        };
        let kind = |data| TrainConfig::default().suggest(data).architecture;
        assert_eq!(kind(pictures(60_000, 28, 1)), Architecture::SmallCnn);
        assert_eq!(kind(pictures(2_000, 64, 3)), Architecture::SmallCnn);
        assert_eq!(kind(pictures(60_000, 11, 1)), Architecture::Mlp);
        assert_eq!(kind(pictures(60_000, 512, 3)), Architecture::Mlp);
        assert_eq!(kind(size(60_000, 784, false)), Architecture::Mlp);
        // A choice stays, and is no reason against fitting the rest.
        for architecture in [Architecture::Mlp, Architecture::ResNet] {
            let own = TrainConfig { architecture, ..TrainConfig::default() };
            assert!(own.size_is_default());
            let fitted = own.suggest(pictures(20_000, 28, 1));
            assert_eq!(fitted.architecture, architecture);
            assert!(fitted.check().is_ok() && !fitted.size_is_default());
            assert_eq!(fitted.suggest(pictures(20_000, 28, 1)), fitted);
        }
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
