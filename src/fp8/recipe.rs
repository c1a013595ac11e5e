//! Recipes: which format each tensor role gets and how its scale is chosen.

use serde::{Deserialize, Serialize};

use super::Format;

/// How a delayed scale is taken from the amax history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AmaxAlgorithm {
    /// The largest amax in the history.
    Max,
    /// The amax of the step before.
    MostRecent,
}

/// How scales are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Scaling {
    /// One scale per tensor from the amax history of earlier steps (Transformer Engine).
    Delayed {
        /// Steps remembered, 1..=1024.
        history: u32,
        /// How the history becomes one amax.
        algorithm: AmaxAlgorithm,
    },
    /// One scale per tensor from its live amax.
    Current,
}

/// A complete FP8 recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Recipe {
    /// How scales are chosen.
    pub scaling: Scaling,
    /// Format of activations and weights.
    pub forward: Format,
    /// Format of gradients.
    pub gradient: Format,
    /// Extra powers of two of headroom above amax.
    pub margin: u32,
    /// Stochastic instead of nearest-even rounding of gradients.
    pub stochastic_gradients: bool,
}

impl Default for Recipe {
    fn default() -> Self {
        Self::current()
    }
}

impl Recipe {
    /// Current scaling: E4M3 forward, E5M2 gradients, scale from the live amax.
    pub const fn current() -> Self {
        Self {
            scaling: Scaling::Current,
            forward: Format::E4M3,
            gradient: Format::E5M2,
            margin: 0,
            stochastic_gradients: false,
        }
    }

    /// Delayed scaling with Transformer Engine's defaults: history 1024, maximum, margin 0.
    pub const fn delayed() -> Self {
        Self {
            scaling: Scaling::Delayed { history: 1024, algorithm: AmaxAlgorithm::Max },
            ..Self::current()
        }
    }
}

/// The precision of the matrix products of a run. Everything else is f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Precision {
    /// 8-bit operands after a recipe.
    Fp8(Recipe),
    /// 32-bit operands.
    F32,
}

impl Default for Precision {
    fn default() -> Self {
        Self::Fp8(Recipe::default())
    }
}
