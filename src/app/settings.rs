//! Presets by goal, checks of settings, and what a choice of settings costs.

use crate::data::ColumnType;
use crate::fp8::{Precision, Recipe, Scaling};
use crate::train::{Architecture, DataSize, TrainConfig};

/// Settings by goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// A first answer in seconds.
    Fast,
    /// Good for most tables.
    Balanced,
    /// Longer, larger, guarded against overfitting.
    Careful,
}

impl Preset {
    /// All presets in order.
    pub const ALL: [Self; 3] = [Self::Fast, Self::Balanced, Self::Careful];

    /// Name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fast => "Fast",
            Self::Balanced => "Balanced",
            Self::Careful => "Careful",
        }
    }

    /// What it is for.
    pub fn purpose(self) -> &'static str {
        match self {
            Self::Fast => "A first answer soon: a small network and few passes over the data.",
            Self::Balanced => "Good for most data. Start here.",
            Self::Careful => {
                "Takes longer: a larger network that learns in smaller steps over more passes."
            }
        }
    }

    /// The settings for data of this size, with what is not a matter of goal kept from `current`:
    /// precision, optimiser, engine and seed.
    pub fn apply(self, current: &TrainConfig, data: DataSize) -> TrainConfig {
        let base = current.suggest(data);
        match self {
            Self::Balanced => base,
            Self::Fast => TrainConfig {
                hidden: vec![64],
                epochs: (base.epochs / 4).max(3),
                patience: (base.patience / 2).max(2),
                learning_rate: 2e-3,
                ..base
            },
            Self::Careful => TrainConfig {
                hidden: base.hidden.iter().map(|width| 2 * width).collect(),
                epochs: 2 * base.epochs,
                patience: 2 * base.patience,
                learning_rate: 5e-4,
                ..base
            },
        }
    }

    /// The preset that these settings are for data of this size, if any.
    pub fn of(config: &TrainConfig, data: DataSize) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.apply(config, data) == *config)
    }
}

/// The kinds of network offered for pictures, in plain words and by their name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkChoice {
    /// Which.
    pub architecture: Architecture,
    /// Plain name.
    pub name: &'static str,
    /// Technical term.
    pub term: &'static str,
    /// What it means.
    pub explanation: &'static str,
}

impl NetworkChoice {
    /// All choices in order.
    pub const ALL: [Self; 4] = [
        Self {
            architecture: Architecture::SmallCnn,
            name: "Looks for small patterns",
            term: "small convolutional network (CNN)",
            explanation: "Finds edges and shapes wherever they are in a picture. The best start for most pictures.",
        },
        Self {
            architecture: Architecture::ResNet,
            name: "Looks in many stages",
            term: "residual network (ResNet)",
            explanation: "More layers, with shortcuts between them. Slower; can do better with many pictures.",
        },
        Self {
            architecture: Architecture::DepthwiseSeparable,
            name: "Light",
            term: "depthwise-separable convolutions",
            explanation: "Few numbers to learn, so the model file is small. Made for phones and small devices.",
        },
        Self {
            architecture: Architecture::Mlp,
            name: "Plain",
            term: "multi-layer perceptron (MLP)",
            explanation: "Takes each pixel as a number of its own. The fastest, but blind to where things are.",
        },
    ];
}

/// The settings with another kind of network. What is a preset stays that preset, so length and
/// size fit the new kind; settings of one's own stay.
pub fn with_architecture(
    config: &TrainConfig,
    architecture: Architecture,
    data: DataSize,
) -> TrainConfig {
    let changed = TrainConfig { architecture, ..config.clone() };
    match Preset::of(config, data) {
        Some(preset) => preset.apply(&changed, data),
        None => changed,
    }
}

/// The number formats offered, in plain words and by their name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrecisionChoice {
    /// FP8, current scaling.
    Current,
    /// FP8, delayed scaling.
    Delayed,
    /// FP8, a scale per row.
    Rowwise,
    /// FP8, a scale per block.
    Block,
    /// FP8, microscaling.
    Mx,
    /// bf16.
    Half,
    /// No FP8.
    Full,
}

impl PrecisionChoice {
    /// All choices in order.
    pub const ALL: [Self; 7] = [
        Self::Current,
        Self::Delayed,
        Self::Rowwise,
        Self::Block,
        Self::Mx,
        Self::Half,
        Self::Full,
    ];

    /// Plain name and technical term.
    pub fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::Current => ("8-bit, measured each step", "FP8, current scaling"),
            Self::Delayed => ("8-bit, from recent steps", "FP8, delayed scaling"),
            Self::Rowwise => ("8-bit, row by row", "FP8, rowwise scaling"),
            Self::Block => ("8-bit, block by block", "FP8, block scaling"),
            Self::Mx => ("8-bit, in groups of 32", "FP8, microscaling (MXFP8)"),
            Self::Half => ("16-bit, for comparison", "bf16"),
            Self::Full => ("32-bit, for comparison", "f32"),
        }
    }

    /// What it means.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Current => {
                "Numbers take 8 bits. Each tensor's range is measured right before it is rounded. The safest FP8 choice."
            }
            Self::Delayed => {
                "Numbers take 8 bits. Ranges come from the steps before, as large training clusters do it. A sudden jump can be cut off."
            }
            Self::Rowwise => {
                "Every row of a tensor has its own range, so one large row does not cost the others precision."
            }
            Self::Block => {
                "Ranges for blocks of 128 values, as DeepSeek-V3 was trained. Finer than one range per tensor."
            }
            Self::Mx => {
                "A range for every 32 values, the open standard of new AI chips (OCP Microscaling). The finest."
            }
            Self::Half => {
                "Numbers take 16 bits with the reach of 32. What most large networks are trained with today."
            }
            Self::Full => {
                "Numbers take 32 bits, four times as much. Use it to see what FP8 costs in accuracy: usually next to nothing."
            }
        }
    }

    /// The choice that a precision is.
    pub fn of(precision: &Precision) -> Self {
        match precision {
            Precision::F32 => Self::Full,
            Precision::Bf16 => Self::Half,
            Precision::Fp8(recipe) => match recipe.scaling {
                Scaling::Current => Self::Current,
                Scaling::Delayed { .. } => Self::Delayed,
                Scaling::Rowwise { .. } => Self::Rowwise,
                Scaling::Block => Self::Block,
                Scaling::Mx => Self::Mx,
            },
        }
    }

    /// The precision it stands for.
    pub fn precision(self) -> Precision {
        match self {
            Self::Current => Precision::Fp8(Recipe::current()),
            Self::Delayed => Precision::Fp8(Recipe::delayed()),
            Self::Rowwise => Precision::Fp8(Recipe::rowwise()),
            Self::Block => Precision::Fp8(Recipe::block()),
            Self::Mx => Precision::Fp8(Recipe::mx()),
            Self::Half => Precision::Bf16,
            Self::Full => Precision::F32,
        }
    }
}

/// Something wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which setting, as in [`Field`].
    pub field: Field,
    /// What is wrong and what is allowed, one sentence.
    pub text: String,
}

/// Settings that can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Hidden layers.
    Hidden,
    /// Learning rate.
    LearningRate,
    /// Rows per step.
    Batch,
    /// Passes over the data.
    Epochs,
    /// Dropout.
    Dropout,
    /// Warm-up share.
    Warmup,
}

/// Most hidden layers.
pub const MAX_LAYERS: usize = 32;
/// Widest hidden layer.
pub const MAX_WIDTH: usize = 65_536;
/// Most epochs.
pub const MAX_EPOCHS: usize = 1_000_000;
/// Most rows per step.
pub const MAX_BATCH: usize = 65_536;

/// Everything wrong with the settings.
pub fn problems(config: &TrainConfig) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut add = |field, text: String| found.push(Problem { field, text });
    if config.hidden.len() > MAX_LAYERS {
        add(Field::Hidden, format!("At most {MAX_LAYERS} hidden layers."));
    }
    if config.hidden.iter().any(|w| *w == 0 || *w > MAX_WIDTH) {
        add(Field::Hidden, format!("Each layer needs 1 to {MAX_WIDTH} units."));
    }
    if !(config.learning_rate > 0.0 && config.learning_rate.is_finite()) {
        add(Field::LearningRate, "A number above 0, usually near 0.001.".to_owned());
    }
    if config.batch_size == 0 || config.batch_size > MAX_BATCH {
        add(Field::Batch, format!("1 to {MAX_BATCH} rows."));
    }
    if config.epochs == 0 || config.epochs > MAX_EPOCHS {
        add(Field::Epochs, format!("1 to {MAX_EPOCHS} passes."));
    }
    if !(0.0..1.0).contains(&config.dropout) {
        add(Field::Dropout, "From 0 up to, not including, 1.".to_owned());
    }
    if !(0.0..=1.0).contains(&config.warmup) {
        add(Field::Warmup, "A share from 0 to 1.".to_owned());
    }
    found
}

/// Reads hidden layer widths such as "128, 64"; empty means none.
pub fn parse_hidden(text: &str) -> Result<Vec<usize>, String> {
    text.split([',', ' ', ';', 'x', '×'])
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            part.parse::<usize>()
                .map_err(|_| format!("\"{part}\" is not a whole number. Write e.g. 128, 64."))
        })
        .collect()
}

/// Writes hidden layer widths as [`parse_hidden`] reads them.
pub fn format_hidden(hidden: &[usize]) -> String {
    hidden.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

/// Columns of the encoded input: about how many numbers one row becomes. `distinct` gives the
/// number of different values of each column.
pub fn input_width<'a>(
    columns: impl Iterator<Item = (&'a str, ColumnType, usize)>,
    target: &str,
    one_hot_limit: usize,
) -> usize {
    columns
        .filter(|(name, ..)| *name != target)
        .map(|(_, kind, distinct)| match kind {
            ColumnType::Number | ColumnType::Boolean | ColumnType::Date => 1,
            ColumnType::Category if distinct > one_hot_limit => embedding_width(distinct),
            ColumnType::Category => distinct,
            ColumnType::Text | ColumnType::Ignore => 0,
        })
        .sum()
}

fn embedding_width(distinct: usize) -> usize {
    (distinct as f64).powf(0.25).mul_add(6.0, 0.0).round().clamp(4.0, 64.0) as usize
}

/// Weights and biases of the network, the normalisation included.
pub fn parameter_count(inputs: usize, config: &TrainConfig, outputs: usize) -> usize {
    let mut width = inputs;
    let mut total = 0usize;
    for &hidden in &config.hidden {
        total = total.saturating_add(width.saturating_mul(hidden).saturating_add(hidden));
        if config.layer_norm {
            total = total.saturating_add(2 * hidden);
        }
        width = hidden;
    }
    total.saturating_add(width.saturating_mul(outputs).saturating_add(outputs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_and_recognised() {
        let config = TrainConfig { seed: 7, ..TrainConfig::default() };
        let size = |rows| DataSize { rows, features: 10, regression: false, image: None };
        for data in [0, 1, 200, 30_000, 10_000_000].map(size) {
            for preset in Preset::ALL {
                let applied = preset.apply(&config, data);
                assert!(problems(&applied).is_empty());
                assert!(applied.check().is_ok());
                assert_eq!(Preset::of(&applied, data), Some(preset));
                assert_eq!(applied.seed, 7);
            }
        }
        let own = TrainConfig { epochs: 31, ..config };
        assert_eq!(Preset::of(&own, size(200)), None);
    }

    #[test]
    fn a_preset_follows_the_kind_of_network() {
        let image = Some(crate::model::ImageShape { height: 28, width: 28, channels: 1 });
        let data = DataSize { rows: 10_000, features: 784, regression: false, image };
        let config = Preset::Careful.apply(&TrainConfig::default(), data);
        assert_eq!(config.architecture, Architecture::SmallCnn);
        for choice in NetworkChoice::ALL {
            let other = with_architecture(&config, choice.architecture, data);
            assert_eq!(other.architecture, choice.architecture);
            assert_eq!(Preset::of(&other, data), Some(Preset::Careful));
            assert!(other.check().is_ok());
        }
        let own = TrainConfig { epochs: 3, ..config };
        assert_eq!(with_architecture(&own, Architecture::Mlp, data).epochs, 3);
    }

    #[test]
    fn every_number_format_comes_back() {
        for choice in PrecisionChoice::ALL {
            assert_eq!(PrecisionChoice::of(&choice.precision()), choice);
        }
    }

    #[test]
    fn finds_each_wrong_setting() {
        let good = TrainConfig::default();
        let cases = [
            (Field::Hidden, TrainConfig { hidden: vec![0], ..good.clone() }),
            (Field::Hidden, TrainConfig { hidden: vec![4; 33], ..good.clone() }),
            (Field::LearningRate, TrainConfig { learning_rate: f32::NAN, ..good.clone() }),
            (Field::Batch, TrainConfig { batch_size: 0, ..good.clone() }),
            (Field::Epochs, TrainConfig { epochs: 0, ..good.clone() }),
            (Field::Dropout, TrainConfig { dropout: 1.0, ..good.clone() }),
            (Field::Warmup, TrainConfig { warmup: -0.1, ..good.clone() }),
        ];
        for (field, config) in cases {
            let found = problems(&config);
            assert_eq!(found.iter().map(|p| p.field).collect::<Vec<_>>(), [field]);
            assert!(config.check().is_err());
        }
    }

    #[test]
    fn reads_layers_as_people_write_them() {
        assert_eq!(parse_hidden("128, 64"), Ok(vec![128, 64]));
        assert_eq!(parse_hidden(" 128x64 "), Ok(vec![128, 64]));
        assert_eq!(parse_hidden(""), Ok(vec![]));
        assert!(parse_hidden("12a").is_err());
        assert_eq!(parse_hidden(&format_hidden(&[3, 2, 1])), Ok(vec![3, 2, 1]));
    }

    #[test]
    fn counts_parameters() {
        let config = TrainConfig { hidden: vec![3], layer_norm: true, ..TrainConfig::default() };
        assert_eq!(parameter_count(4, &config, 2), 4 * 3 + 3 + 6 + 3 * 2 + 2);
    }
}
