//! Plain words for engines and precisions.

use crate::device::AdapterInfo;
use crate::engine::EngineInfo;
use crate::fp8::{Precision, Scaling};

/// Who computes.
pub(super) fn engine(engine: &EngineInfo) -> String {
    match engine {
        EngineInfo::Cpu { threads, simd } => format!("the processor ({threads} threads, {simd})"),
        EngineInfo::Gpu(info) => format!("the GPU {}", adapter(info)),
    }
}

/// One graphics adapter.
pub(super) fn adapter(info: &AdapterInfo) -> String {
    let kind = if info.software { ", simulated in software" } else { "" };
    format!("{} ({}{kind})", info.name, info.backend)
}

/// How the matrix products are computed.
pub(super) fn precision(precision: Precision) -> String {
    match precision {
        Precision::Bf16 => "16-bit floating point (bf16)".to_owned(),
        Precision::F32 => "32-bit floating point".to_owned(),
        Precision::Fp8(recipe) => {
            let scaling = match recipe.scaling {
                Scaling::Current => "current scaling",
                Scaling::Delayed { .. } => "delayed scaling",
                Scaling::Rowwise { high_precision_weight_gradient: false } => "rowwise scaling",
                Scaling::Rowwise { high_precision_weight_gradient: true } => {
                    "rowwise scaling, weight gradients in 32 bits"
                }
                Scaling::Block => "scaling of 128 × 128 blocks",
                Scaling::Mx => "microscaling of 32 values",
            };
            format!(
                "8-bit floating point ({:?} forward, {:?} gradients, {scaling})",
                recipe.forward, recipe.gradient
            )
        }
    }
}
