//! Recipes: which format each tensor role gets and how its scale is chosen.

use serde::{Deserialize, Serialize};

use super::Format;

/// How a delayed scale is taken from the amax history.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AmaxAlgorithm {
    /// The largest amax in the history.
    #[default]
    Max,
    /// The amax of the step before.
    MostRecent,
    /// The amax of the first step that had one, for good: a scale that never changes (static
    /// scaling).
    First,
}

/// How scales are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Scaling {
    /// One scale per tensor from the amax history of earlier steps (Transformer Engine).
    Delayed {
        /// Steps remembered, 1..=1024.
        #[serde(default = "default_history")]
        history: u32,
        /// How the history becomes one amax.
        #[serde(default)]
        algorithm: AmaxAlgorithm,
    },
    /// One scale per tensor from its live amax.
    Current,
    /// One scale per row of the stored tensor: per sample for activations and gradients, per output
    /// for weights (torchao's "rowwise").
    Rowwise {
        /// Multiplies the weight gradient in f32; gradients of rare features lose least that way.
        #[serde(default)]
        high_precision_weight_gradient: bool,
    },
    /// One scale per 1×128 of activations and gradients and per 128×128 of weights (DeepSeek-V3).
    Block,
    /// One E8M0 scale per 1×32 of every tensor (OCP Microscaling).
    Mx,
}

const fn default_history() -> u32 {
    1024
}

impl Scaling {
    /// Rows and columns that share a scale in a stored `[rows, cols]` matrix; `weight` says whether
    /// it is one.
    pub fn block(self, weight: bool, rows: u32, cols: u32) -> (u32, u32) {
        match self {
            Self::Delayed { .. } | Self::Current => (rows.max(1), cols.max(1)),
            Self::Rowwise { .. } => (1, cols.max(1)),
            Self::Block if weight => (128, 128),
            Self::Block => (1, 128),
            Self::Mx => (1, 32),
        }
    }
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

    /// Rowwise scaling with E4M3 everywhere (torchao's `rowwise` preset).
    pub const fn rowwise() -> Self {
        Self {
            scaling: Scaling::Rowwise { high_precision_weight_gradient: false },
            gradient: Format::E4M3,
            ..Self::current()
        }
    }

    /// Rowwise scaling whose weight gradient is multiplied in f32 (torchao's `rowwise_with_gw_hp`).
    pub const fn rowwise_high_precision_weight_gradient() -> Self {
        Self {
            scaling: Scaling::Rowwise { high_precision_weight_gradient: true },
            ..Self::rowwise()
        }
    }

    /// Block scaling with E4M3 everywhere (DeepSeek-V3).
    pub const fn block() -> Self {
        Self { scaling: Scaling::Block, ..Self::rowwise() }
    }

    /// Microscaling with E4M3 everywhere (OCP MX v1.0, MXFP8).
    pub const fn mx() -> Self {
        Self { scaling: Scaling::Mx, ..Self::rowwise() }
    }

    /// Every named recipe, in the order shown to users.
    pub const NAMED: [(&'static str, Self); 6] = [
        ("current", Self::current()),
        ("delayed", Self::delayed()),
        ("rowwise", Self::rowwise()),
        ("rowwise-hp", Self::rowwise_high_precision_weight_gradient()),
        ("block", Self::block()),
        ("mx", Self::mx()),
    ];
}

/// The precision of the matrix products of a run. Everything else is f32.
///
/// In files a word such as `"mx"` or `"f32"`, or a table that starts from a named recipe, see
/// [`super::notation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 8-bit operands after a recipe.
    Fp8(Recipe),
    /// Operands rounded to bf16.
    Bf16,
    /// 32-bit operands.
    F32,
}

impl Default for Precision {
    fn default() -> Self {
        Self::Fp8(Recipe::default())
    }
}

impl Precision {
    /// A few plain words.
    pub fn describe(self) -> String {
        match self {
            Self::F32 => "32-bit floating point".to_owned(),
            Self::Bf16 => "bf16, 16-bit floating point".to_owned(),
            Self::Fp8(recipe) => {
                let named = Recipe::NAMED.iter().find(|(_, r)| *r == recipe);
                format!("FP8, {} recipe", named.map_or("custom", |(name, _)| name))
            }
        }
    }

    /// The recipe, if the products are FP8.
    pub fn recipe(self) -> Option<Recipe> {
        match self {
            Self::Fp8(recipe) => Some(recipe),
            Self::Bf16 | Self::F32 => None,
        }
    }
}
