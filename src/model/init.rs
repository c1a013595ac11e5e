//! Initial parameter values: a named list of f32 tensors, deterministic for a seed.

use super::{ModelSpec, ParamKind};
use crate::fp8::hash;

/// One parameter tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// `node.weight`, `node.bias`, `node.gain`, `node.shift`, `node.mean`, `node.variance`,
    /// `embed.<i>.table`.
    pub name: String,
    /// Row-major shape; convolution weights have four dimensions, others one or two.
    pub shape: Vec<usize>,
    /// Values.
    pub values: Vec<f32>,
}

/// Standard deviation of embedding rows.
const TABLE_DEVIATION: f32 = 0.05;

/// Uniform in -1..1, from the top 24 bits.
fn symmetric(bits: u32) -> f32 {
    (bits >> 8) as f32 / 8_388_608.0 - 1.0
}

/// Initial values of every parameter, in the order of [`ModelSpec::parameters`].
///
/// Weights are uniform within ±sqrt(6/in) before a non-linearity (He) and ±sqrt(6/(in+out))
/// otherwise (Xavier); biases and shifts 0, gains 1; table rows near-normal with deviation 0.05.
/// Only additions, products and square roots are used, so every platform gets the same values.
pub fn init(model: &ModelSpec, seed: u64) -> Vec<Param> {
    let (low, high) = (seed as u32, (seed >> 32) as u32);
    let fill = |(i, info): (usize, super::ParamInfo)| {
        let key = hash::key(low, high, i as u32);
        let len: usize = info.shape.iter().product();
        // A convolution's filter sees kernel × kernel × channels values.
        let fan_out = info.shape.first().copied().unwrap_or(1) as f32;
        let fan_in = info.shape.iter().skip(1).product::<usize>() as f32;
        let uniform =
            |bound: f32| (0..len as u32).map(|j| bound * symmetric(hash::bits(key, j))).collect();
        let values = match info.kind {
            ParamKind::Weight { rectified: true } => uniform((6.0 / fan_in).sqrt()),
            ParamKind::Weight { rectified: false } => uniform((6.0 / (fan_in + fan_out)).sqrt()),
            ParamKind::Bias | ParamKind::RunningMean => vec![0.0; len],
            ParamKind::Gain | ParamKind::RunningVariance => vec![1.0; len],
            // A sum of twelve uniforms of variance 1/3 has variance 4: near-normal without logarithms.
            // Row 0, unknown or missing, starts neutral: it may never be trained.
            ParamKind::Table => (0..len as u32)
                .map(|j| {
                    if j < fan_in as u32 {
                        return 0.0;
                    }
                    let draw = |n| symmetric(hash::bits(key, j.wrapping_mul(12).wrapping_add(n)));
                    (0..12).map(draw).sum::<f32>() * (0.5 * TABLE_DEVIATION)
                })
                .collect(),
        };
        Param { name: info.name, shape: info.shape, values }
    };
    model.parameters().into_iter().enumerate().map(fill).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Activation, EmbeddingSpec, Head, InputSpec};

    fn model() -> ModelSpec {
        let table = EmbeddingSpec { name: "city".to_owned(), cardinality: 500, dim: 8 };
        let input = InputSpec { dense: 92, embeddings: vec![table], image: None };
        let head = Head::Classes { count: 10 };
        ModelSpec::mlp(input, &[200], Activation::Relu, true, 0.0, false, head)
    }

    fn moments(values: &[f32]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
        let var = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
        (mean, var.sqrt())
    }

    #[test]
    fn values_have_the_stated_spread() {
        let params = init(&model(), 1);
        let by_name = |name: &str| &params.iter().find(|p| p.name == name).unwrap().values;
        let (mean, deviation) = moments(by_name("dense1.weight"));
        // A uniform on ±b has deviation b/sqrt(3): sqrt(6/100)/sqrt(3) = sqrt(2/100).
        assert!(mean.abs() < 0.003 && (deviation - 0.02f64.sqrt()).abs() < 0.003, "{deviation}");
        let (mean, deviation) = moments(by_name("output.weight"));
        assert!(mean.abs() < 0.006 && (deviation - (2.0f64 / 210.0).sqrt()).abs() < 0.004);
        let (mean, deviation) = moments(by_name("embed.0.table"));
        assert!(mean.abs() < 0.003 && (deviation - 0.05).abs() < 0.003, "{deviation}");
        assert!(by_name("dense1.bias").iter().all(|v| *v == 0.0));
        assert!(by_name("norm1.gain").iter().all(|v| *v == 1.0));
    }

    #[test]
    fn seed_decides_every_value() {
        assert_eq!(init(&model(), 5), init(&model(), 5));
        for other in [6, 5 | 1 << 40] {
            let (a, b) = (init(&model(), 5), init(&model(), other));
            assert_ne!(a[0].values, b[0].values);
            assert_ne!(a[1].values, b[1].values);
        }
    }
}
