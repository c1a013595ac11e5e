//! How single tensors and layers depart from the recipe in training.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::fp8::{Format, Scaling};

/// Departures from the recipe of a run. They hold for training steps of FP8 plans only: evaluation
/// rounds weights as the recipe says, so that what is exported is what was validated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Adjustments {
    /// By the name of a watched tensor, e.g. `dense1.input`.
    pub tensors: BTreeMap<String, TensorRule>,
    /// Layers whose products are f32.
    pub high_precision: BTreeSet<String>,
}

/// How one tensor departs from the recipe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TensorRule {
    /// Powers of two of headroom on top of the recipe's.
    pub margin: u32,
    /// Another format.
    pub format: Option<Format>,
    /// Another way to choose scales.
    pub scaling: Option<Scaling>,
}

impl Adjustments {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty() && self.high_precision.is_empty()
    }

    /// The rule of a tensor.
    pub fn rule(&self, tensor: &str) -> TensorRule {
        self.tensors.get(tensor).copied().unwrap_or_default()
    }
}
