//! The network as part of the graph: layers, weights in the form of a variant, head.

use super::Variant;
use super::build::{Builder, float, int, ints};
use super::graph::{Attribute, Port};
use super::prepare::Prepared;
use super::tensor::{Data, Kind, Tensor};
use crate::data::Preprocessor;
use crate::export::{Blocks, ModelFile, StoredTensor, StoredValues};
use crate::fp8::{Format, Scale};
use crate::model::{Activation, Head, Layer, Shape, Source};

/// Names of the outputs.
pub(super) struct Outputs {
    /// Class name, or the predicted number.
    pub(super) label: String,
    /// Probability of every class.
    pub(super) probabilities: String,
    /// The same with the temperature that was found when the model was evaluated.
    pub(super) calibrated: String,
}

/// Adds the network to a graph; `input_scales` hold the scale of every FP8 layer's input.
pub(super) fn network(
    b: &mut Builder,
    file: &ModelFile,
    variant: Variant,
    input_scales: &[(String, Scale)],
    prepared: Prepared,
) -> Result<Network, String> {
    let mut writer = Writer { b, file, variant, input_scales, fp8_inputs: Vec::new() };
    let model = &file.info.model;
    let input = match &prepared.image {
        Some(image) => Flow::Pixels(image.clone(), model.input.dense),
        None => {
            let mut parts: Vec<String> = prepared.dense.into_iter().collect();
            for (i, code) in prepared.codes.iter().enumerate() {
                let table = writer.plain(&format!("embed.{i}.table"))?;
                let rows = writer.b.op("Gather", &[&table, code], vec![int("axis", 0)]);
                let dim = model.input.embeddings.get(i).map_or(1, |e| e.dim);
                parts.push(writer.b.reshape(&rows, &[-1, dim as i64]));
            }
            Flow::Flat(writer.b.concat(&parts).ok_or("the network has no inputs")?)
        }
    };
    let sources = model.sources().map_err(|e| e.to_string())?;
    let shapes = model.shapes().map_err(|e| e.to_string())?;
    let mut flows: Vec<Flow> = Vec::with_capacity(model.nodes.len());
    for (node, sources) in model.nodes.iter().zip(&sources) {
        let taken: Vec<(Flow, Shape)> = sources
            .iter()
            .map(|source| {
                let flow = match source {
                    Source::Input => Some(&input),
                    Source::Node(i) => flows.get(*i),
                };
                let flow = flow.cloned().ok_or("a layer takes what is not there")?;
                Ok((flow, model.shape_of(&shapes, *source)))
            })
            .collect::<Result<_, String>>()?;
        flows.push(writer.layer(&node.name, &node.layer, &taken)?);
    }
    match flows.pop() {
        Some(Flow::Flat(logits)) => Ok(Network { logits, fp8_inputs: writer.fp8_inputs }),
        _ => Err("the network does not end in plain numbers".to_owned()),
    }
}

/// A value between layers.
#[derive(Clone)]
enum Flow {
    /// `[rows, features]`.
    Flat(String),
    /// `[rows, height, width, channels]` and the number of values per row, as images come in.
    Pixels(String, usize),
    /// `[rows, channels, height, width]`, as ONNX has images.
    Image(String),
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
    fn layer(
        &mut self,
        name: &str,
        layer: &Layer,
        taken: &[(Flow, Shape)],
    ) -> Result<Flow, String> {
        let (flow, shape) = taken.first().ok_or("a layer takes nothing")?;
        let activation = layer.activation();
        Ok(match layer {
            Layer::Dense { .. } => {
                let x = self.flat(flow, *shape);
                let out = self.dense(name, &x)?;
                Flow::Flat(self.activated(out, activation))
            }
            Layer::LayerNorm => {
                let x = self.flat(flow, *shape);
                let gain = self.plain(&format!("{name}.gain"))?;
                let shift = self.plain(&format!("{name}.shift"))?;
                let settings = vec![int("axis", -1), float("epsilon", 1e-5)];
                Flow::Flat(self.b.op("LayerNormalization", &[&x, &gain, &shift], settings))
            }
            Layer::Dropout { .. } => flow.clone(),
            Layer::Flatten => Flow::Flat(self.flat(flow, *shape)),
            Layer::Conv2d { kernel, stride, padding, groups, bias, .. } => {
                let x = self.image(flow)?;
                let settings = vec![
                    ints("kernel_shape", &[*kernel; 2]),
                    ints("strides", &[*stride; 2]),
                    ints("pads", &[*padding; 4]),
                    int("group", *groups as i64),
                ];
                let out = self.conv(name, &x, *bias, settings)?;
                Flow::Image(self.activated(out, activation))
            }
            Layer::MaxPool { size, stride, padding } => {
                let x = self.image(flow)?;
                let settings = vec![
                    ints("kernel_shape", &[*size; 2]),
                    ints("strides", &[*stride; 2]),
                    ints("pads", &[*padding; 4]),
                ];
                Flow::Image(self.b.op("MaxPool", &[&x], settings))
            }
            Layer::AvgPool { size, stride } => {
                let x = self.image(flow)?;
                let settings =
                    vec![ints("kernel_shape", &[*size; 2]), ints("strides", &[*stride; 2])];
                Flow::Image(self.b.op("AveragePool", &[&x], settings))
            }
            Layer::GlobalAveragePool => {
                let x = self.image(flow)?;
                let mean = self.b.op("GlobalAveragePool", &[&x], vec![]);
                Flow::Flat(self.b.reshape(&mean, &[-1, shape.channels() as i64]))
            }
            Layer::BatchNorm { .. } => {
                let mut parts = Vec::new();
                for part in ["gain", "shift", "mean", "variance"] {
                    parts.push(self.plain(&format!("{name}.{part}"))?);
                }
                let image = matches!(shape, Shape::Image(_));
                let x = if image { self.image(flow)? } else { self.flat(flow, *shape) };
                let mut arguments = vec![x.as_str()];
                arguments.extend(parts.iter().map(String::as_str));
                let out = self.b.op("BatchNormalization", &arguments, vec![float("epsilon", 1e-5)]);
                let out = self.activated(out, activation);
                if image { Flow::Image(out) } else { Flow::Flat(out) }
            }
            Layer::Add { .. } => {
                let (other, _) = taken.get(1).ok_or("a sum takes one value")?;
                let image = matches!(shape, Shape::Image(_));
                let (x, y) = if image {
                    (self.image(flow)?, self.image(other)?)
                } else {
                    (self.flat(flow, *shape), self.flat(other, *shape))
                };
                let out = self.b.op("Add", &[&x, &y], vec![]);
                let out = self.activated(out, activation);
                if image { Flow::Image(out) } else { Flow::Flat(out) }
            }
        })
    }

    fn activated(&mut self, x: String, activation: Option<Activation>) -> String {
        match activation {
            Some(activation) => activate(self.b, &x, activation),
            None => x,
        }
    }

    /// A value as plain numbers, channels innermost.
    fn flat(&mut self, flow: &Flow, shape: Shape) -> String {
        match flow {
            Flow::Flat(x) => x.clone(),
            Flow::Pixels(x, size) => self.b.reshape(x, &[-1, *size as i64]),
            Flow::Image(x) => {
                let x = self.b.op("Transpose", &[x], vec![ints("perm", &[0, 2, 3, 1])]);
                self.b.reshape(&x, &[-1, shape.len() as i64])
            }
        }
    }

    /// A value as an image, channels before rows and columns.
    fn image(&mut self, flow: &Flow) -> Result<String, String> {
        match flow {
            Flow::Image(x) => Ok(x.clone()),
            Flow::Pixels(x, _) => {
                Ok(self.b.op("Transpose", &[x], vec![ints("perm", &[0, 3, 1, 2])]))
            }
            Flow::Flat(_) => Err("a layer needs an image".to_owned()),
        }
    }

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

    /// A weight in the form of the variant, as f32 to compute with; filters `[out, in, height,
    /// width]`.
    fn weight(&mut self, name: &str) -> Result<String, String> {
        let tensor = self.tensor(name)?;
        let shape = super::stored_shape(&tensor.shape);
        match (&tensor.values, self.variant) {
            (
                StoredValues::Fp8 { format, blocks, scales, codes },
                Variant::Portable | Variant::Qdq,
            ) => {
                let data = |codes| match format {
                    Format::E4M3 => Data::E4M3(codes),
                    Format::E5M2 => Data::E5M2(codes),
                };
                let scales: Vec<f32> = scales.iter().map(|s| s.value()).collect();
                if super::spread(blocks, scales.len()) {
                    let codes = Tensor::new(tensor.shape.clone(), data(codes.clone()))?;
                    return self.spread_fp8(name, codes, *blocks, scales);
                }
                let codes = super::to_stored(codes, &tensor.shape);
                let codes = Tensor::new(shape, data(codes))?;
                self.fp8(name, codes, scales)
            }
            (values, Variant::Int8) => {
                let (codes, scales) = int8(&values.to_f32(), tensor.shape.first().copied());
                let codes = Data::I8(super::to_stored(&codes, &tensor.shape));
                let zero = Tensor::list(Data::I8(vec![0; scales.len()]));
                let codes = self.b.weight(name, Tensor::new(shape, codes)?);
                let scale = Tensor::list(Data::F32(scales));
                let scale = self.b.weight(&super::scale_name(name), scale);
                let zero = self.b.constant(zero);
                let inputs = [codes.as_str(), &scale, &zero];
                Ok(self.b.op("DequantizeLinear", &inputs, vec![int("axis", 0)]))
            }
            (values, _) => {
                let values = super::to_stored(&values.to_f32(), &tensor.shape);
                let tensor = Tensor::new(shape, Data::F32(values))?;
                Ok(self.b.weight(name, tensor))
            }
        }
    }

    fn fp8(&mut self, name: &str, codes: Tensor, scales: Vec<f32>) -> Result<String, String> {
        let codes = self.b.weight(name, codes);
        let (scale, settings) = match scales[..] {
            [one] => (Tensor::scalar(Data::F32(vec![one])), vec![]),
            _ => (Tensor::list(Data::F32(scales)), vec![int("axis", 0)]),
        };
        let scale = self.b.weight(&super::scale_name(name), scale);
        Ok(self.b.op("DequantizeLinear", &[&codes, &scale], settings))
    }

    fn spread_fp8(
        &mut self,
        name: &str,
        codes: Tensor,
        blocks: Blocks,
        scales: Vec<f32>,
    ) -> Result<String, String> {
        let shape = codes.shape.clone();
        let rows = shape.first().copied().unwrap_or(0);
        let codes = self.b.weight(name, codes);
        let scale_name = super::scale_name(name);
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
        let mut values = self.b.cast(&codes, Kind::F32);
        let filters = shape.len() > 2;
        if filters {
            values = self.b.reshape(&values, &[rows as i64, blocks.cols as i64]);
        }
        let values = self.b.op("Mul", &[&values, &scale], vec![]);
        let shape: Vec<i64> = shape.iter().map(|d| *d as i64).collect();
        if !filters {
            return Ok(values);
        }
        let values = self.b.reshape(&values, &shape);
        Ok(self.b.op("Transpose", &[&values], vec![ints("perm", &[0, 3, 1, 2])]))
    }

    /// x · Wᵀ + bias
    fn dense(&mut self, name: &str, x: &str) -> Result<String, String> {
        let weight = self.weight(&format!("{name}.weight"))?;
        let bias = self.plain(&format!("{name}.bias"))?;
        let x = self.rounded(name, x)?;
        Ok(self.b.op("Gemm", &[&x, &weight, &bias], vec![int("transB", 1)]))
    }

    fn conv(
        &mut self,
        name: &str,
        x: &str,
        bias: bool,
        settings: Vec<(String, Attribute)>,
    ) -> Result<String, String> {
        let weight = self.weight(&format!("{name}.weight"))?;
        let x = self.rounded(name, x)?;
        let mut arguments = vec![x, weight];
        if bias {
            arguments.push(self.plain(&format!("{name}.bias"))?);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Ok(self.b.op("Conv", &arguments, settings))
    }

    /// The input of a layer, rounded to FP8 and back where the variant says so.
    fn rounded(&mut self, name: &str, x: &str) -> Result<String, String> {
        if matches!(self.tensor(&format!("{name}.weight"))?.values, StoredValues::Fp8 { .. }) {
            self.fp8_inputs.push((name.to_owned(), x.to_owned()));
        }
        let scale = self.input_scales.iter().find(|(n, _)| n == name);
        let (Variant::Qdq, Some((_, scale))) = (self.variant, scale) else {
            return Ok(x.to_owned());
        };
        let value = Tensor::scalar(Data::F32(vec![scale.value()]));
        let scale = self.b.weight(&format!("{name}.input_scale"), value);
        let zero = self.b.constant(Tensor::scalar(Data::E4M3(vec![0])));
        // onnxruntime drops a Relu before QuantizeLinear, as if FP8 codes began at 0, and moves
        // QuantizeLinear before a Reshape, which it cannot compute on codes. A Max that changes
        // nothing keeps it from both.
        let lowest = self.b.number(f32::MIN);
        let x = self.b.op("Max", &[x, &lowest], vec![]);
        let codes = self.b.op("QuantizeLinear", &[&x, &scale, &zero], vec![]);
        Ok(self.b.op("DequantizeLinear", &[&codes, &scale, &zero], vec![]))
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
            b.output(&probabilities, Port { name, kind: Kind::F32, shape: shape.clone() });
            if let Some(calibration) = &file.info.calibration {
                let temperature = b.number(calibration.temperature as f32);
                let cooled = b.op("Div", &[logits, &temperature], vec![]);
                let calibrated = b.op("Softmax", &[&cooled], vec![int("axis", 1)]);
                let name = outputs.calibrated.clone();
                b.output(&calibrated, Port { name, kind: Kind::F32, shape });
            }
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
