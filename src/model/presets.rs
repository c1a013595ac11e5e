//! Ready-made networks.

use super::{Activation, Head, ImageShape, InputSpec, Layer, ModelSpec, Node, Window};

/// A small convolutional network: per entry of `channels` a 3×3 convolution and a 2×2 max-pooling,
/// then per entry of `dense` a dense layer.
#[derive(Debug, Clone, PartialEq)]
pub struct CnnOptions {
    /// Output channels of the convolutions.
    pub channels: Vec<usize>,
    /// Widths of the dense layers after them.
    pub dense: Vec<usize>,
    /// Non-linearity of all hidden layers.
    pub activation: Activation,
    /// Batch normalisation after every convolution.
    pub batch_norm: bool,
    /// Dropout rate after every dense layer.
    pub dropout: f32,
    /// First and last layer in f32.
    pub high_precision_ends: bool,
}

impl Default for CnnOptions {
    fn default() -> Self {
        Self {
            channels: vec![32, 64],
            dense: vec![128],
            activation: Activation::Relu,
            batch_norm: false,
            dropout: 0.0,
            high_precision_ends: false,
        }
    }
}

/// A residual network of basic blocks (two 3×3 convolutions and a shortcut). Every stage but the
/// first halves the image and doubles the channels.
#[derive(Debug, Clone, PartialEq)]
pub struct ResNetOptions {
    /// Channels of the first stage.
    pub width: usize,
    /// Stages; those for which the image is too small are left out.
    pub stages: usize,
    /// Blocks of each stage.
    pub blocks: usize,
    /// First and last layer in f32.
    pub high_precision_ends: bool,
}

impl Default for ResNetOptions {
    fn default() -> Self {
        Self { width: 16, stages: 3, blocks: 1, high_precision_ends: false }
    }
}

/// A network of depthwise-separable blocks: a 3×3 filter per channel, then a 1×1 convolution over
/// channels. Every second block halves the image and doubles the channels.
#[derive(Debug, Clone, PartialEq)]
pub struct SeparableOptions {
    /// Channels of the first convolution.
    pub width: usize,
    /// Blocks.
    pub blocks: usize,
    /// First and last layer in f32.
    pub high_precision_ends: bool,
}

impl Default for SeparableOptions {
    fn default() -> Self {
        Self { width: 32, blocks: 4, high_precision_ends: false }
    }
}

/// Adds nodes one after the other.
struct Builder {
    nodes: Vec<Node>,
    size: (usize, usize),
}

impl Builder {
    fn new(image: ImageShape) -> Self {
        Self { nodes: Vec::new(), size: (image.height, image.width) }
    }

    fn push(&mut self, name: String, layer: Layer) {
        self.nodes.push(Node::new(name, layer));
    }

    /// Whether the image is large enough to be halved.
    fn can_halve(&self) -> bool {
        self.size.0 >= 2 && self.size.1 >= 2
    }

    /// A convolution that keeps the size at stride 1.
    fn conv(&mut self, name: String, (out, kernel, stride): (usize, usize, usize), groups: usize) {
        let padding = kernel / 2;
        let window = Window { size: kernel, stride, padding };
        self.size = (window.places(self.size.0), window.places(self.size.1));
        let layer = Layer::Conv2d {
            out,
            kernel,
            stride,
            padding,
            groups,
            bias: false,
            activation: None,
            high_precision: false,
        };
        self.push(name, layer);
    }

    fn output(&mut self, head: Head) {
        let (out, high_precision) = (head.outputs(), false);
        let layer = Layer::Dense { out, activation: None, high_precision };
        self.push("output".to_owned(), layer);
    }

    /// The finished model; `high_precision` is for its first and its last weight.
    fn finish(self, input: InputSpec, head: Head, high_precision_ends: bool) -> ModelSpec {
        let mut nodes = self.nodes;
        if high_precision_ends {
            fn flag(node: &mut Node) -> Option<&mut bool> {
                match &mut node.layer {
                    Layer::Dense { high_precision, .. } | Layer::Conv2d { high_precision, .. } => {
                        Some(high_precision)
                    }
                    _ => None,
                }
            }
            nodes.iter_mut().find_map(flag).into_iter().for_each(|flag| *flag = true);
            nodes.iter_mut().rev().find_map(flag).into_iter().for_each(|flag| *flag = true);
        }
        ModelSpec { input, nodes, head }
    }
}

const RELU: Option<Activation> = Some(Activation::Relu);

impl ModelSpec {
    /// A multi-layer perceptron: per hidden width a dense layer with `activation`, then layer
    /// normalisation if asked for, then dropout if `dropout` > 0; last a dense layer `output`.
    /// `high_precision_ends` keeps the first and the last dense layer in f32.
    pub fn mlp(
        input: InputSpec,
        hidden: &[usize],
        activation: Activation,
        layer_norm: bool,
        dropout: f32,
        high_precision_ends: bool,
        head: Head,
    ) -> Self {
        let mut nodes = Vec::new();
        let mut push = |name: String, layer| nodes.push(Node::new(name, layer));
        for (i, &out) in hidden.iter().enumerate() {
            let n = i + 1;
            let high_precision = high_precision_ends && i == 0;
            push(
                format!("dense{n}"),
                Layer::Dense { out, activation: Some(activation), high_precision },
            );
            if layer_norm {
                push(format!("norm{n}"), Layer::LayerNorm);
            }
            if dropout > 0.0 {
                push(format!("dropout{n}"), Layer::Dropout { rate: dropout });
            }
        }
        push(
            "output".to_owned(),
            Layer::Dense {
                out: head.outputs(),
                activation: None,
                high_precision: high_precision_ends,
            },
        );
        Self { input, nodes, head }
    }

    /// A small convolutional network for images; see [`CnnOptions`]. Pooling stops when the image
    /// is one pixel wide.
    pub fn cnn(image: ImageShape, options: &CnnOptions, head: Head) -> Self {
        let mut b = Builder::new(image);
        for (i, &channels) in options.channels.iter().enumerate() {
            let n = i + 1;
            b.conv(format!("conv{n}"), (channels, 3, 1), 1);
            let fused = (!options.batch_norm).then_some(options.activation);
            if let Some(Node { layer: Layer::Conv2d { bias, activation, .. }, .. }) =
                b.nodes.last_mut()
            {
                (*bias, *activation) = (fused.is_some(), fused);
            }
            if options.batch_norm {
                let activation = Some(options.activation);
                b.push(format!("norm{n}"), Layer::BatchNorm { activation });
            }
            if b.can_halve() {
                b.size = (b.size.0 / 2, b.size.1 / 2);
                b.push(format!("pool{n}"), Layer::MaxPool { size: 2, stride: 2, padding: 0 });
            }
        }
        b.push("flatten".to_owned(), Layer::Flatten);
        for (i, &out) in options.dense.iter().enumerate() {
            let n = i + 1;
            let activation = Some(options.activation);
            b.push(format!("dense{n}"), Layer::Dense { out, activation, high_precision: false });
            if options.dropout > 0.0 {
                b.push(format!("dropout{n}"), Layer::Dropout { rate: options.dropout });
            }
        }
        b.output(head);
        b.finish(InputSpec::image(image), head, options.high_precision_ends)
    }

    /// A residual network for images; see [`ResNetOptions`].
    pub fn resnet(image: ImageShape, options: &ResNetOptions, head: Head) -> Self {
        let mut b = Builder::new(image);
        let mut width = options.width;
        b.conv("stem".to_owned(), (width, 3, 1), 1);
        b.push("stem_norm".to_owned(), Layer::BatchNorm { activation: RELU });
        let mut entry = "stem_norm".to_owned();
        for stage in 0..options.stages {
            if stage > 0 && !b.can_halve() {
                break;
            }
            for block in 0..options.blocks {
                let halve = stage > 0 && block == 0;
                let stride = if halve { 2 } else { 1 };
                width *= stride;
                let name = |part: &str| format!("block{}_{}_{part}", stage + 1, block + 1);
                let before = b.size;
                b.conv(name("conv1"), (width, 3, stride), 1);
                b.push(name("norm1"), Layer::BatchNorm { activation: RELU });
                b.conv(name("conv2"), (width, 3, 1), 1);
                b.push(name("norm2"), Layer::BatchNorm { activation: None });
                let mut shortcut = entry.clone();
                if halve {
                    let after = std::mem::replace(&mut b.size, before);
                    b.conv(name("short"), (width, 1, stride), 1);
                    if let Some(node) = b.nodes.last_mut() {
                        node.inputs = vec![entry];
                    }
                    b.push(name("short_norm"), Layer::BatchNorm { activation: None });
                    b.size = after;
                    shortcut = name("short_norm");
                }
                let add = Layer::Add { activation: RELU };
                b.nodes.push(Node::of(name("add"), add, &[&name("norm2"), &shortcut]));
                entry = name("add");
            }
        }
        b.push("pool".to_owned(), Layer::GlobalAveragePool);
        b.output(head);
        b.finish(InputSpec::image(image), head, options.high_precision_ends)
    }

    /// A depthwise-separable network for images; see [`SeparableOptions`].
    pub fn depthwise_separable(image: ImageShape, options: &SeparableOptions, head: Head) -> Self {
        let mut b = Builder::new(image);
        let mut width = options.width;
        b.conv("stem".to_owned(), (width, 3, 1), 1);
        b.push("stem_norm".to_owned(), Layer::BatchNorm { activation: RELU });
        for n in 1..=options.blocks {
            let halve = n % 2 == 0 && b.can_halve();
            let stride = if halve { 2 } else { 1 };
            b.conv(format!("depthwise{n}"), (width, 3, stride), width);
            b.push(format!("depthwise{n}_norm"), Layer::BatchNorm { activation: RELU });
            width *= stride;
            b.conv(format!("pointwise{n}"), (width, 1, 1), 1);
            b.push(format!("pointwise{n}_norm"), Layer::BatchNorm { activation: RELU });
        }
        b.push("pool".to_owned(), Layer::GlobalAveragePool);
        b.output(head);
        b.finish(InputSpec::image(image), head, options.high_precision_ends)
    }
}
