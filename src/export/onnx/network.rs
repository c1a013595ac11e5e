//! The network as part of the graph: layers, weights in the form of a variant, head.

use super::Variant;
use super::build::{Builder, float, int};
use super::graph::Port;
use super::prepare::Prepared;
use super::tensor::{Data, Kind, Tensor};
use crate::data::Preprocessor;
use crate::export::{Blocks, ModelFile, StoredTensor, StoredValues};
use crate::fp8::{Format, Scale};
use crate::model::{Activation, Head, Layer};

/// Names of the outputs.
pub(super) struct Outputs {
    /// Class name, or the predicted number.
    pub(super) label: String,
    /// Probability of every class.
    pub(super) probabilities: String,
}

/// Adds the network to a graph; `input_scales` hold the scale of every FP8 layer's input.
pub(super) fn network(
    b: &mut Builder,
    file: &ModelFile,
    variant: Variant,
    input_scales: &[(String, Scale)],
    prepared: Prepared,
    prep: &Preprocessor,
) -> Result<Network, String> {
    let mut writer = Writer { b, file, variant, input_scales, fp8_inputs: Vec::new() };
    let mut parts: Vec<String> = Vec::new();
    if let Some(image) = &prepared.image {
        parts.push(super::prepare::flat(writer.b, image, prep));
    }
    parts.extend(prepared.dense);
    for (i, code) in prepared.codes.iter().enumerate() {
        let table = writer.plain(&format!("embed.{i}.table"))?;
        let rows = writer.b.op("Gather", &[&table, code], vec![int("axis", 0)]);
        let dim = file.info.model.input.embeddings.get(i).map_or(1, |e| e.dim);
        parts.push(writer.b.reshape(&rows, &[-1, dim as i64]));
    }
    let mut x = writer.b.concat(&parts).ok_or("the network has no inputs")?;
    for node in &file.info.model.nodes {
        x = match &node.layer {
            Layer::Dense { activation, .. } => {
                let out = writer.dense(&node.name, &x)?;
                activation.map_or(out.clone(), |a| activate(writer.b, &out, a))
            }
            Layer::LayerNorm => {
                let gain = writer.plain(&format!("{}.gain", node.name))?;
                let shift = writer.plain(&format!("{}.shift", node.name))?;
                let settings = vec![int("axis", -1), float("epsilon", 1e-5)];
                writer.b.op("LayerNormalization", &[&x, &gain, &shift], settings)
            }
            Layer::Dropout { .. } => x,
        };
    }
    Ok(Network { logits: x, fp8_inputs: writer.fp8_inputs })
}

/// The values of a network that others need.
pub(super) struct Network {
    /// Its outputs, before the head.
    pub(super) logits: String,
    /// Layers with FP8 weights, and what enters them.
    pub(super) fp8_inputs: Vec<(String, String)>,
}

struct Writer<'a> {
    b: &'a mut Builder,
    file: &'a ModelFile,
    variant: Variant,
    input_scales: &'a [(String, Scale)],
    fp8_inputs: Vec<(String, String)>,
}

impl Writer<'_> {
    fn tensor(&self, name: &str) -> Result<&StoredTensor, String> {
        let found = self.file.tensors.iter().find(|t| t.name == name);
        found.ok_or_else(|| format!("tensor {name} is missing"))
    }

    /// A tensor in f32.
    fn plain(&mut self, name: &str) -> Result<String, String> {
        let tensor = self.tensor(name)?;
        let tensor = Tensor::new(tensor.shape.clone(), Data::F32(tensor.values.to_f32()))?;
        Ok(self.b.weight(name, tensor))
    }

    /// A weight in the form of the variant, as f32 to compute with.
    fn weight(&mut self, name: &str) -> Result<String, String> {
        let tensor = self.tensor(name)?;
        match (&tensor.values, self.variant) {
            (_, Variant::F32) | (StoredValues::F32(_), Variant::Portable | Variant::Qdq) => {
                self.plain(name)
            }
            (
                StoredValues::Fp8 { format, blocks, scales, codes },
                Variant::Portable | Variant::Qdq,
            ) => {
                let data = match format {
                    Format::E4M3 => Data::E4M3(codes.clone()),
                    Format::E5M2 => Data::E5M2(codes.clone()),
                };
                let scales = scales.iter().map(|s| s.value()).collect();
                let codes = Tensor::new(tensor.shape.clone(), data)?;
                self.fp8(name, codes, *blocks, scales)
            }
            (values, Variant::Int8) => {
                let (codes, scales) = int8(&values.to_f32(), tensor.shape.first().copied());
                let codes = Tensor::new(tensor.shape.clone(), Data::I8(codes))?;
                let codes = self.b.weight(name, codes);
                let scale = Tensor::list(Data::F32(scales));
                let scale = self.b.weight(&super::scale_name(name), scale);
                Ok(self.b.op("DequantizeLinear", &[&codes, &scale], vec![int("axis", 0)]))
            }
        }
    }

    fn fp8(
        &mut self,
        name: &str,
        codes: Tensor,
        blocks: Blocks,
        scales: Vec<f32>,
    ) -> Result<String, String> {
        let rows = codes.shape.first().copied().unwrap_or(0);
        let codes = self.b.weight(name, codes);
        let scale_name = super::scale_name(name);
        if let [one] = scales[..] {
            let scale = self.b.weight(&scale_name, Tensor::scalar(Data::F32(vec![one])));
            return Ok(self.b.op("DequantizeLinear", &[&codes, &scale], vec![]));
        }
        if blocks.across == 1 && blocks.block_rows == 1 {
            let scale = self.b.weight(&scale_name, Tensor::list(Data::F32(scales)));
            return Ok(self.b.op("DequantizeLinear", &[&codes, &scale], vec![int("axis", 0)]));
        }
        // Scales of blocks are spread to every value: blocked DequantizeLinear needs a later
        // operator set, and whole blocks.
        let scale = Tensor::new(vec![blocks.down, blocks.across], Data::F32(scales))?;
        let mut scale = self.b.weight(&scale_name, scale);
        for (axis, count, block) in
            [(0, rows, blocks.block_rows), (1, blocks.cols, blocks.block_cols)]
        {
            if block > 1 || count == 1 {
                let index = (0..count).map(|i| (i / block.max(1)) as i64).collect();
                let index = self.b.constant(Tensor::list(Data::I64(index)));
                scale = self.b.op("Gather", &[&scale, &index], vec![int("axis", axis)]);
            }
        }
        let values = self.b.cast(&codes, Kind::F32);
        Ok(self.b.op("Mul", &[&values, &scale], vec![]))
    }

    /// x · Wᵀ + bias
    fn dense(&mut self, name: &str, x: &str) -> Result<String, String> {
        let weight = self.weight(&format!("{name}.weight"))?;
        let bias = self.plain(&format!("{name}.bias"))?;
        if matches!(self.tensor(&format!("{name}.weight"))?.values, StoredValues::Fp8 { .. }) {
            self.fp8_inputs.push((name.to_owned(), x.to_owned()));
        }
        let x = self.rounded(name, x);
        Ok(self.b.op("Gemm", &[&x, &weight, &bias], vec![int("transB", 1)]))
    }

    /// The input of a layer, rounded to FP8 and back where the variant says so.
    fn rounded(&mut self, name: &str, x: &str) -> String {
        let scale = self.input_scales.iter().find(|(n, _)| n == name);
        let (Variant::Qdq, Some((_, scale))) = (self.variant, scale) else { return x.to_owned() };
        let value = Tensor::scalar(Data::F32(vec![scale.value()]));
        let scale = self.b.weight(&format!("{name}.input_scale"), value);
        let zero = self.b.constant(Tensor::scalar(Data::E4M3(vec![0])));
        let codes = self.b.op("QuantizeLinear", &[x, &scale, &zero], vec![]);
        self.b.op("DequantizeLinear", &[&codes, &scale, &zero], vec![])
    }
}

/// Symmetric 8-bit whole numbers with a scale per row.
pub(super) fn int8(values: &[f32], rows: Option<usize>) -> (Vec<i8>, Vec<f32>) {
    let width = values.len() / rows.unwrap_or(1).max(1);
    let (mut codes, mut scales) = (Vec::with_capacity(values.len()), Vec::new());
    for row in values.chunks(width.max(1)) {
        let largest = row.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
        codes.extend(row.iter().map(|v| (v / scale).round_ties_even().clamp(-127.0, 127.0) as i8));
        scales.push(scale);
    }
    (codes, scales)
}

fn activate(b: &mut Builder, x: &str, activation: Activation) -> String {
    match activation {
        Activation::Relu => b.op("Relu", &[x], vec![]),
        Activation::Silu => {
            let gate = b.op("Sigmoid", &[x], vec![]);
            b.op("Mul", &[x, &gate], vec![])
        }
        Activation::Gelu => {
            let (a, c) = (b.number(0.044_715), b.number((2.0 / std::f32::consts::PI).sqrt()));
            let (one, half) = (b.number(1.0), b.number(0.5));
            let square = b.op("Mul", &[x, x], vec![]);
            let cube = b.op("Mul", &[&square, x], vec![]);
            let bent = b.op("Mul", &[&cube, &a], vec![]);
            let sum = b.op("Add", &[x, &bent], vec![]);
            let inner = b.op("Mul", &[&sum, &c], vec![]);
            let tanh = b.op("Tanh", &[&inner], vec![]);
            let gate = b.op("Add", &[&tanh, &one], vec![]);
            let halved = b.op("Mul", &[x, &half], vec![]);
            b.op("Mul", &[&halved, &gate], vec![])
        }
    }
}

/// Adds what the outputs mean: the most probable class with all probabilities, or the number in
/// the target's unit.
pub(super) fn head(
    b: &mut Builder,
    file: &ModelFile,
    prep: &Preprocessor,
    logits: &str,
    outputs: &Outputs,
) {
    match file.info.model.head {
        Head::Classes { count } => {
            let probabilities = b.op("Softmax", &[logits], vec![int("axis", 1)]);
            let best = b.op("ArgMax", &[logits], vec![int("axis", 1), int("keepdims", 0)]);
            let classes = Data::Text(prep.task().classes().to_vec());
            let classes = b.constant(Tensor::list(classes));
            let label = b.op("Gather", &[&classes, &best], vec![int("axis", 0)]);
            let shape = vec![None];
            b.output(&label, Port { name: outputs.label.clone(), kind: Kind::Text, shape });
            let shape = vec![None, Some(count)];
            let name = outputs.probabilities.clone();
            b.output(&probabilities, Port { name, kind: Kind::F32, shape });
        }
        Head::Regression => {
            let scale = prep.target_scale();
            let (mean, std) = scale.map_or((0.0, 1.0), |s| (s.mean, s.std));
            let value = b.cast(logits, Kind::F64);
            let (mean, std) = (b.double(mean), b.double(std));
            let value = b.op("Mul", &[&value, &std], vec![]);
            let value = b.op("Add", &[&value, &mean], vec![]);
            let port =
                Port { name: outputs.label.clone(), kind: Kind::F64, shape: vec![None, Some(1)] };
            b.output(&value, port);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn int8_rows_have_their_own_scale() {
        let (codes, scales) = int8(&[1.0, -0.5, 0.0, 0.0, 254.0, 1.0], Some(3));
        assert_eq!(scales, [1.0 / 127.0, 1.0, 2.0]);
        // Half way to even.
        assert_eq!(codes, [127, -64, 0, 0, 127, 0]);
    }
}
