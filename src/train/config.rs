//! What a user can set about a run.

use serde::{Deserialize, Serialize};

use super::Augmentation;
use super::insight::WHAT_IF_EVERY;
use crate::device::DeviceChoice;
use crate::error::{EngineError, TrainError};
use crate::fp8::{Precision, Recipe, Scaling};
use crate::model::{
    Activation, CnnOptions, Head, ImageShape, InputSpec, ModelSpec, ResNetOptions, SeparableOptions,
};
use crate::plan::{MAX_ACCUMULATE, MasterFormat, MomentFormat, Optimizer, UpdateOptions};

/// Learning-rate schedule after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Stays at the peak.
    Constant,
    /// Half a cosine down to 1 % of the peak.
    Cosine,
    /// A straight line down to 1 % of the peak.
    Linear,
}

/// What kind of network is trained. The convolutional ones need images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// Not chosen yet: [`TrainConfig::suggest`] chooses. Where nobody asks it, dense layers.
    #[default]
    Auto,
    /// Dense layers; see [`ModelSpec::mlp`].
    Mlp,
    /// Two convolutions with pooling, then dense layers; see [`ModelSpec::cnn`].
    #[serde(alias = "cnn")]
    SmallCnn,
    /// Residual blocks with batch normalisation; see [`ModelSpec::resnet`].
    #[serde(alias = "resnet")]
    ResNet,
    /// Depthwise-separable blocks with batch normalisation; see
    /// [`ModelSpec::depthwise_separable`].
    #[serde(alias = "depthwise")]
    DepthwiseSeparable,
}

impl Architecture {
    /// Whether it takes images only.
    pub fn is_convolutional(self) -> bool {
        !matches!(self, Self::Auto | Self::Mlp)
    }
}

/// A change of precision within a run; weights and optimiser state go on bit for bit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Hybrid {
    /// Share of all planned steps that [`TrainConfig::precision`] does, above 0 and below 1.
    pub first_share: f32,
    /// Precision of the rest.
    pub then: Precision,
}

/// Settings of a run. The defaults are a middle way; [`TrainConfig::suggest`] fits them to data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainConfig {
    /// Kind of network.
    pub architecture: Architecture,
    /// Widths of the hidden dense layers; residual and separable networks have none.
    pub hidden: Vec<usize>,
    /// Non-linearity of hidden layers; residual and separable networks always take ReLU.
    pub activation: Activation,
    /// Layer normalisation after each hidden layer.
    pub layer_norm: bool,
    /// Dropout rate after each hidden layer.
    pub dropout: f32,
    /// First and last layer in f32.
    pub high_precision_ends: bool,
    /// Further layers in f32, by name: `dense1`, `dense2`, …, `output`.
    pub opt_out: Vec<String>,
    /// Random changes of training images.
    pub augmentation: Augmentation,
    /// Precision and recipe.
    pub precision: Precision,
    /// Another precision for the last part of the run.
    pub hybrid: Option<Hybrid>,
    /// Optimiser.
    pub optimizer: Optimizer,
    /// Memory of the optimiser, clipping, accumulation, averaging.
    pub update: UpdateOptions,
    /// Peak learning rate.
    pub learning_rate: f32,
    /// Schedule.
    pub schedule: Schedule,
    /// Share of all steps spent warming up.
    pub warmup: f32,
    /// Rows per step.
    pub batch_size: usize,
    /// Most epochs.
    pub epochs: usize,
    /// Stop after this many epochs without a better validation loss; 0 never.
    pub patience: usize,
    /// Seed of initial weights, order and dropout.
    pub seed: u64,
    /// Column whose groups are weighted so that group and class are independent in the training
    /// rows (Kamiran and Calders 2012): a row of group g and class y counts P(g)·P(y) / P(g, y).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reweigh: Option<String>,
    /// Pays for treating groups differently; see [`super::Fair`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fair: Option<super::Fair>,
    /// Column whose groups are scored on validation rows after every epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch: Option<String>,
    /// Trains on rows changed so as to mislead the network (adversarial training by one step from
    /// a random start, Wong et al. 2020), each value by at most this: standard deviations of number
    /// columns, or the way from black to white of pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adversarial: Option<f32>,
    /// Helps tensors that are in trouble in 8 bits for long; see [`super::guard`].
    pub guard_rails: bool,
    /// Steps between two looks at what other recipes would do to every tensor; 0 for none.
    pub what_if_every: u64,
    /// Trains the same in f32 beside, on the same rows in the same order, to compare.
    pub shadow: bool,
    /// Trains with differential privacy; see [`super::private`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private: Option<super::Private>,
    /// Engine.
    pub device: DeviceChoice,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            architecture: Architecture::Auto,
            hidden: vec![128, 64],
            activation: Activation::Relu,
            layer_norm: false,
            dropout: 0.0,
            high_precision_ends: false,
            opt_out: Vec::new(),
            augmentation: Augmentation::default(),
            precision: Precision::default(),
            hybrid: None,
            optimizer: Optimizer::default(),
            update: UpdateOptions::default(),
            learning_rate: 1e-3,
            schedule: Schedule::Cosine,
            warmup: 0.05,
            batch_size: 128,
            epochs: 30,
            patience: 8,
            seed: 0,
            reweigh: None,
            fair: None,
            watch: None,
            adversarial: None,
            guard_rails: true,
            what_if_every: WHAT_IF_EVERY,
            shadow: false,
            private: None,
            device: DeviceChoice::Auto,
        }
    }
}

/// Hidden layers that a run may have.
const MAX_LAYERS: usize = 32;
/// Widest hidden layer.
const MAX_WIDTH: usize = 65_536;

impl TrainConfig {
    /// Whether every setting is in range; the error names the first that is not.
    pub fn check(&self) -> Result<(), TrainError> {
        let fail = |setting, what: String| Err(TrainError::Config { setting, what });
        if self.hidden.len() > MAX_LAYERS {
            return fail("hidden layers", format!("at most {MAX_LAYERS} layers are possible"));
        }
        if let Some(bad) = self.hidden.iter().find(|w| !(1..=MAX_WIDTH).contains(*w)) {
            return fail("hidden layers", format!("a width of {bad} is not in 1 to {MAX_WIDTH}"));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return fail("dropout", format!("{} is not in 0 to below 1", self.dropout));
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return fail("learning rate", format!("{} is not above 0", self.learning_rate));
        }
        if !(0.0..=1.0).contains(&self.warmup) {
            return fail("warm-up", format!("{} is not in 0 to 1", self.warmup));
        }
        if !(1..=65_536).contains(&self.batch_size) {
            return fail("batch size", format!("{} is not in 1 to 65536", self.batch_size));
        }
        if !(1..=1_000_000).contains(&self.epochs) {
            return fail("epochs", format!("{} is not in 1 to 1000000", self.epochs));
        }
        if let Some(size) = self.adversarial
            && !(size > 0.0 && size <= 10.0)
        {
            return fail("adversarial training", format!("{size} is not above 0 and up to 10"));
        }
        let decay = match self.optimizer {
            Optimizer::AdamW { beta1, beta2, epsilon, weight_decay } => {
                for beta in [beta1, beta2] {
                    if !(0.0..1.0).contains(&beta) {
                        return fail("AdamW beta", format!("{beta} is not in 0 to below 1"));
                    }
                }
                if !(epsilon.is_finite() && epsilon > 0.0) {
                    return fail("AdamW epsilon", format!("{epsilon} is not above 0"));
                }
                weight_decay
            }
            Optimizer::Sgd { momentum, weight_decay } => {
                if !(0.0..1.0).contains(&momentum) {
                    return fail("momentum", format!("{momentum} is not in 0 to below 1"));
                }
                weight_decay
            }
        };
        if !(decay.is_finite() && decay >= 0.0) {
            return fail("weight decay", format!("{decay} is not 0 or above"));
        }
        let then = self.hybrid.map(|h| h.then);
        for precision in [Some(self.precision), then].into_iter().flatten() {
            let Precision::Fp8(recipe) = precision else { continue };
            if recipe.margin > 16 {
                return fail("scale margin", format!("{} is not in 0 to 16", recipe.margin));
            }
            if let Scaling::Delayed { history, .. } = recipe.scaling
                && !(1..=1024).contains(&history)
            {
                return fail("amax history", format!("{history} is not in 1 to 1024"));
            }
        }
        if let Some(Hybrid { first_share, .. }) = self.hybrid
            && !(first_share > 0.0 && first_share < 1.0)
        {
            return fail("share of the first precision", format!("{first_share} is not in 0 to 1"));
        }
        if let Some(what) = self.augmentation.fault() {
            return fail("random changes of pictures", what);
        }
        self.check_update()?;
        self.check_private()?;
        self.check_fair()?;
        // The names of layers do not depend on the size of the data.
        let image = ImageShape { height: 32, width: 32, channels: 1 };
        self.model(InputSpec::image(image), Head::Regression).map(|_| ())
    }

    /// Turns all settings that save memory on or off: compact optimiser state and master weights
    /// (AdamW only) and [`UpdateOptions::lean`]. Turning them on replaces current scaling, which
    /// needs whole tensors, by microscaling.
    pub fn set_lean(&mut self, on: bool) {
        let compact = on && matches!(self.optimizer, Optimizer::AdamW { .. });
        self.update.lean = on;
        self.update.moments = if compact { MomentFormat::Fp8 } else { MomentFormat::F32 };
        self.update.master = if compact { MasterFormat::Bf16 } else { MasterFormat::F32 };
        if let (true, Precision::Fp8(recipe)) = (on, &mut self.precision)
            && recipe.scaling == Scaling::Current
        {
            recipe.scaling = Scaling::Mx;
            recipe.gradient = Recipe::mx().gradient;
        }
    }

    fn check_update(&self) -> Result<(), TrainError> {
        let fail = |setting, what: String| Err(TrainError::Config { setting, what });
        let UpdateOptions { moments, master, clip_norm, accumulate, average, row_clip: _, lean: _ } =
            self.update;
        if matches!(self.optimizer, Optimizer::Sgd { .. }) {
            let what = || "only AdamW can have it".to_owned();
            if moments != MomentFormat::F32 {
                return fail("moment storage", what());
            }
            if master != MasterFormat::F32 {
                return fail("weight storage", what());
            }
        }
        if let Some(norm) = clip_norm
            && !(norm.is_finite() && norm > 0.0)
        {
            return fail("clipping norm", format!("{norm} is not above 0"));
        }
        if !(1..=MAX_ACCUMULATE).contains(&accumulate) {
            let what = format!("{accumulate} is not in 1 to {MAX_ACCUMULATE}");
            return fail("batches per update", what);
        }
        match average {
            Some(decay) if !(0.0..1.0).contains(&decay) => {
                fail("averaging decay", format!("{decay} is not in 0 to below 1"))
            }
            _ => Ok(()),
        }
    }

    /// Steps of `total` that the first precision does.
    pub fn first_steps(&self, total: u64) -> u64 {
        match self.hybrid {
            Some(hybrid) => (f64::from(hybrid.first_share) * total as f64).round() as u64,
            None => total,
        }
    }

    /// The precision of the step after `done` of `total` planned steps.
    pub fn precision_after(&self, done: u64, total: u64) -> Precision {
        match self.hybrid {
            Some(hybrid) if done >= self.first_steps(total) => hybrid.then,
            _ => self.precision,
        }
    }

    /// The network of these settings between `input` and `head`.
    ///
    /// # Errors
    /// [`TrainError::Config`] if the architecture needs images and the input is a table, or if a
    /// layer is to be kept in f32 that the network does not have.
    pub fn model(&self, input: InputSpec, head: Head) -> Result<ModelSpec, TrainError> {
        let mut model = self.layers(input, head)?;
        match model.keep_in_f32(&self.opt_out) {
            Ok(()) => Ok(model),
            Err(EngineError::Shape { what, .. }) => {
                Err(TrainError::Config { setting: "layers kept in f32", what })
            }
            Err(other) => Err(other.into()),
        }
    }

    fn layers(&self, input: InputSpec, head: Head) -> Result<ModelSpec, TrainError> {
        let high_precision_ends = self.high_precision_ends;
        let image = input.image.ok_or(TrainError::Config {
            setting: "kind of network",
            what: "a convolutional network needs images; choose a plain network for a table"
                .to_owned(),
        });
        Ok(match self.architecture {
            Architecture::Auto | Architecture::Mlp => ModelSpec::mlp(
                input,
                &self.hidden,
                self.activation,
                self.layer_norm,
                self.dropout,
                high_precision_ends,
                head,
            ),
            Architecture::SmallCnn => {
                let options = CnnOptions {
                    dense: self.hidden.clone(),
                    activation: self.activation,
                    dropout: self.dropout,
                    high_precision_ends,
                    ..CnnOptions::default()
                };
                ModelSpec::cnn(image?, &options, head)
            }
            Architecture::ResNet => {
                let options = ResNetOptions { high_precision_ends, ..ResNetOptions::default() };
                ModelSpec::resnet(image?, &options, head)
            }
            Architecture::DepthwiseSeparable => {
                let options =
                    SeparableOptions { high_precision_ends, ..SeparableOptions::default() };
                ModelSpec::depthwise_separable(image?, &options, head)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fp8::Recipe;

    fn setting(config: TrainConfig) -> &'static str {
        match config.check() {
            Err(TrainError::Config { setting, .. }) => setting,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn convolutional_networks_take_images_only() {
        let image = crate::model::ImageShape { height: 8, width: 9, channels: 3 };
        let head = Head::Classes { count: 4 };
        for architecture in
            [Architecture::SmallCnn, Architecture::ResNet, Architecture::DepthwiseSeparable]
        {
            let config = TrainConfig { architecture, ..TrainConfig::default() };
            config.model(InputSpec::image(image), head).unwrap().validate().unwrap();
            let error = config.model(InputSpec::features(216), head).unwrap_err();
            assert!(matches!(error, TrainError::Config { setting: "kind of network", .. }));
        }
        let plain = TrainConfig::default();
        plain.model(InputSpec::image(image), head).unwrap().validate().unwrap();
    }

    #[test]
    fn a_hybrid_run_changes_precision_once() {
        let hybrid = Some(Hybrid { first_share: 0.75, then: Precision::Bf16 });
        let config = TrainConfig { hybrid, ..TrainConfig::default() };
        assert_eq!(config.first_steps(100), 75);
        assert_eq!(config.precision_after(74, 100), config.precision);
        assert_eq!(config.precision_after(75, 100), Precision::Bf16);
        let plain = TrainConfig::default();
        assert_eq!(plain.precision_after(100, 100), plain.precision);
    }

    #[test]
    fn out_of_range_settings_are_named() {
        let d = TrainConfig::default;
        assert!(d().check().is_ok());
        assert_eq!(setting(TrainConfig { hidden: vec![8, 0], ..d() }), "hidden layers");
        assert_eq!(setting(TrainConfig { hidden: vec![8; 33], ..d() }), "hidden layers");
        assert_eq!(setting(TrainConfig { dropout: 1.0, ..d() }), "dropout");
        assert_eq!(setting(TrainConfig { dropout: f32::NAN, ..d() }), "dropout");
        assert_eq!(setting(TrainConfig { learning_rate: 0.0, ..d() }), "learning rate");
        assert_eq!(setting(TrainConfig { learning_rate: f32::NAN, ..d() }), "learning rate");
        assert_eq!(setting(TrainConfig { warmup: -0.1, ..d() }), "warm-up");
        assert_eq!(setting(TrainConfig { batch_size: 0, ..d() }), "batch size");
        let augmentation = Augmentation { shift: 0.6, ..Augmentation::default() };
        assert_eq!(setting(TrainConfig { augmentation, ..d() }), "random changes of pictures");
        assert_eq!(setting(TrainConfig { epochs: 0, ..d() }), "epochs");
        let optimizer = Optimizer::Sgd { momentum: 1.0, weight_decay: 0.0 };
        assert_eq!(setting(TrainConfig { optimizer, ..d() }), "momentum");
        let hybrid = Some(Hybrid { first_share: 1.0, then: Precision::F32 });
        assert_eq!(setting(TrainConfig { hybrid, ..d() }), "share of the first precision");
        let update = |change: fn(&mut UpdateOptions)| {
            let mut config = d();
            change(&mut config.update);
            config
        };
        assert_eq!(setting(update(|u| u.clip_norm = Some(0.0))), "clipping norm");
        assert_eq!(setting(update(|u| u.accumulate = 0)), "batches per update");
        assert_eq!(setting(update(|u| u.average = Some(1.0))), "averaging decay");
        let optimizer = Optimizer::Sgd { momentum: 0.9, weight_decay: 0.0 };
        let compact = update(|u| u.moments = MomentFormat::Fp8);
        assert!(compact.check().is_ok());
        assert_eq!(setting(TrainConfig { optimizer, ..compact }), "moment storage");
        let scaling = Scaling::Delayed { history: 0, algorithm: crate::fp8::AmaxAlgorithm::Max };
        let precision = Precision::Fp8(Recipe { scaling, ..Recipe::current() });
        assert_eq!(setting(TrainConfig { precision, ..d() }), "amax history");
    }

    #[test]
    fn convolutions_opt_out_by_name() {
        let config = TrainConfig {
            architecture: Architecture::SmallCnn,
            opt_out: vec!["conv2".to_owned()],
            ..TrainConfig::default()
        };
        config.check().unwrap();
        let image = ImageShape { height: 8, width: 8, channels: 1 };
        let model = config.model(InputSpec::image(image), Head::Regression).unwrap();
        let takes = |n: &&crate::model::Node| n.layer.takes_recipe();
        let names: Vec<&str> = model.nodes.iter().filter(takes).map(|n| &*n.name).collect();
        assert_eq!(names, ["conv1", "dense1", "dense2", "output"]);
        let opt_out = vec!["block1_1_conv1".to_owned()];
        assert!(TrainConfig { opt_out: opt_out.clone(), ..config.clone() }.check().is_err());
        let architecture = Architecture::ResNet;
        TrainConfig { opt_out, architecture, ..config }.check().unwrap();
    }

    #[test]
    fn layers_opt_out_by_name() {
        let input = || InputSpec::features(3);
        let config = |names: &[&str]| TrainConfig {
            hidden: vec![8, 4],
            layer_norm: true,
            opt_out: names.iter().map(|n| (*n).to_owned()).collect(),
            ..TrainConfig::default()
        };
        let kept = |names: &[&str]| -> Vec<String> {
            let model = config(names).model(input(), Head::Regression).unwrap();
            let high = |n: &crate::model::Node| {
                matches!(n.layer, crate::model::Layer::Dense { high_precision: true, .. })
            };
            model.nodes.into_iter().filter(high).map(|n| n.name).collect()
        };
        assert!(kept(&[]).is_empty());
        assert_eq!(kept(&["output", "dense2"]), ["dense2", "output"]);
        for bad in ["dense3", "norm1", ""] {
            assert!(config(&[bad]).model(input(), Head::Regression).is_err());
            assert_eq!(setting(config(&["dense1", bad])), "layers kept in f32");
            let text = config(&[bad]).check().unwrap_err().to_string();
            assert!(text.contains("dense1, dense2, output"), "{text}");
        }
    }
}
