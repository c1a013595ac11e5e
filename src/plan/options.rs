//! How weights are updated, beside the optimiser itself.

use serde::{Deserialize, Serialize};

/// How AdamW's moments of matrices and tables are stored. Vectors (biases, gains) and very small
/// matrices keep f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MomentFormat {
    /// Both in f32: 8 bytes per weight.
    #[default]
    F32,
    /// The second moment in bf16, stochastically rounded: 6 bytes per weight.
    Bf16Second,
    /// Both in FP8, in groups of 128 with range expansion (COAT): 2.125 bytes per weight.
    Fp8,
}

/// How the weights that the optimiser updates are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MasterFormat {
    /// f32.
    #[default]
    F32,
    /// Layer weights in bf16, stochastically rounded; biases, norms and tables in f32. AdamW only.
    Bf16,
}

/// Options of the update and of memory. The defaults are plain: every batch updates f32 state,
/// nothing is clipped or averaged, and matrices are kept whole.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateOptions {
    /// Storage of moments.
    pub moments: MomentFormat,
    /// Storage of master weights.
    pub master: MasterFormat,
    /// Largest Euclidean norm of all gradients together; larger ones are scaled down to it.
    pub clip_norm: Option<f32>,
    /// Batches whose mean gradient makes one update, 1..=[`MAX_ACCUMULATE`].
    pub accumulate: u32,
    /// Decay per update of an exponential average of all parameters, which evaluation and export
    /// then use; usually 0.999. Early updates decay faster: by at most (1+n)/(10+n).
    pub average: Option<f32>,
    /// Trades a little time for memory: activations and gradients that only FP8 or bf16 copies are
    /// taken of exist a few rows at a time, weights are updated as soon as their gradients are
    /// known, and evaluation takes fewer rows at once. Scales from the live amax of a whole tensor
    /// ([`crate::fp8::Scaling::Current`]) need the whole of it, so with them matrices stay whole.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub lean: bool,
    /// For differential privacy: every batch is one row, whose gradients are scaled down to this
    /// Euclidean norm before they are summed. An update follows only
    /// [`crate::engine::Engine::update`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row_clip: Option<f32>,
}

impl UpdateOptions {
    /// Whether gradients of several batches are summed before an update.
    pub fn sums(&self) -> bool {
        self.accumulate > 1 || self.row_clip.is_some()
    }
}

/// Most batches of one update.
pub const MAX_ACCUMULATE: u32 = 4096;

impl Default for UpdateOptions {
    fn default() -> Self {
        Self {
            moments: MomentFormat::F32,
            master: MasterFormat::F32,
            clip_norm: None,
            accumulate: 1,
            average: None,
            row_clip: None,
            lean: false,
        }
    }
}
