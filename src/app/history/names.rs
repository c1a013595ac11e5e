//! What the settings of a run are called where runs are compared.

/// By their place in a project file. What is not listed is called as it is there.
const NAMES: &[(&str, &str)] = &[
    ("architecture", "Kind of network"),
    ("hidden", "Hidden layers"),
    ("activation", "Activation"),
    ("layer_norm", "Layer normalisation"),
    ("dropout", "Dropout"),
    ("high_precision_ends", "First and last layer in 32 bits"),
    ("opt_out", "Layers kept in f32"),
    ("augmentation.flip", "Pictures mirrored"),
    ("augmentation.shift", "Pictures moved by"),
    ("augmentation.rotation", "Pictures turned by"),
    ("augmentation.brightness", "Pictures lightened or darkened by"),
    ("precision", "Number format"),
    ("hybrid", "Change of number format"),
    ("hybrid.first_share", "Share of the first number format"),
    ("hybrid.then", "Number format after it"),
    ("optimizer.kind", "Optimiser"),
    ("optimizer.beta1", "Beta 1 of the optimiser"),
    ("optimizer.beta2", "Beta 2 of the optimiser"),
    ("optimizer.epsilon", "Epsilon of the optimiser"),
    ("optimizer.weight_decay", "Weight decay"),
    ("optimizer.momentum", "Momentum"),
    ("update.moments", "Storage of moments"),
    ("update.master", "Storage of weights"),
    ("update.clip_norm", "Largest norm of gradients"),
    ("update.accumulate", "Batches per update"),
    ("update.average", "Averaging of weights"),
    ("update.lean", "Lean memory"),
    ("update.row_clip", "Largest norm of a row's gradients"),
    ("learning_rate", "Learning rate"),
    ("schedule", "Learning-rate schedule"),
    ("warmup", "Warm-up"),
    ("batch_size", "Batch size"),
    ("epochs", "Epochs"),
    ("patience", "Patience"),
    ("seed", "Seed"),
    ("reweigh", "Rows weighted by"),
    ("fair.column", "Fairness penalty by"),
    ("fair.strength", "Strength of the fairness penalty"),
    ("watch", "Groups watched"),
    ("adversarial", "Adversarial training"),
    ("guard_rails", "Guard rails"),
    ("what_if_every", "Steps between looks at other recipes"),
    ("shadow", "The same in 32 bits beside it"),
    ("private.epsilon", "Privacy ε"),
    ("private.delta", "Privacy δ"),
    ("private.clip", "Clipping of rows"),
    ("device", "Computed by"),
];

/// The parts of a precision that is none of the named recipes.
const PARTS: &[(&str, &str)] = &[
    ("kind", "kind"),
    ("forward", "format of the forward pass"),
    ("gradient", "format of gradients"),
    ("margin", "scale margin"),
    ("stochastic_gradients", "stochastic rounding of gradients"),
    ("scaling.kind", "scaling"),
    ("scaling.history", "amax history"),
    ("scaling.algorithm", "choice from the history"),
    ("scaling.high_precision_weight_gradient", "precise weight gradients"),
];

/// What the setting at a place such as `optimizer.beta1` is called.
pub(super) fn name(place: &str) -> String {
    let of = |names: &[(&str, &'static str)], place: &str| {
        names.iter().find(|(at, _)| *at == place).map(|(_, name)| *name)
    };
    if let Some(name) = of(NAMES, place) {
        return name.to_owned();
    }
    let part = |whole: &str| of(PARTS, place.strip_prefix(whole)?.strip_prefix('.')?);
    for whole in ["hybrid.then", "precision"] {
        if let (Some(name), Some(part)) = (of(NAMES, whole), part(whole)) {
            return format!("{name}, {part}");
        }
    }
    place.replace(['_', '.'], " ")
}

#[cfg(test)]
mod tests {
    use super::super::settings;
    use super::*;
    use crate::fp8::{Precision, Recipe, Scaling};
    use crate::plan::Optimizer;
    use crate::train::config::Hybrid;
    use crate::train::{Fair, Private, TrainConfig};

    #[test]
    fn every_setting_has_a_name() {
        let recipe = |scaling| Precision::Fp8(Recipe { scaling, margin: 3, ..Recipe::delayed() });
        let delayed = recipe(Scaling::Delayed { history: 7, algorithm: Default::default() });
        let rowwise = recipe(Scaling::Rowwise { high_precision_weight_gradient: true });
        let mut config = TrainConfig {
            precision: delayed,
            hybrid: Some(Hybrid { first_share: 0.5, then: rowwise }),
            reweigh: Some("sex".into()),
            fair: Some(Fair { column: "sex".into(), strength: 1.0 }),
            watch: Some("sex".into()),
            adversarial: Some(0.1),
            private: Some(Private::default()),
            ..TrainConfig::default()
        };
        config.update.lean = true;
        config.update.row_clip = Some(1.0);
        let sgd = Optimizer::Sgd { momentum: 0.9, weight_decay: 0.0 };
        for config in [
            TrainConfig::default(),
            TrainConfig { optimizer: sgd, ..TrainConfig::default() },
            config,
        ] {
            for (name, _) in settings(&config) {
                // Names from the file begin small.
                assert!(name.starts_with(char::is_uppercase), "{name} has no name");
            }
        }
        assert_eq!(name("precision.margin"), "Number format, scale margin");
        assert_eq!(name("hybrid.then.margin"), "Number format after it, scale margin");
        assert_eq!(name("new_one"), "new one");
    }
}
