//! Calls of layers that work on images, and of sums.

use super::builder::Compiler;
use super::{Matrix, fault};
use crate::error::EngineError;
use crate::kernels::channel::{Add, ChannelBackward};
use crate::kernels::conv::{Conv, ConvInputGradient, ConvShape, ConvWeightGradient, Kept};
use crate::kernels::gemm::Operand;
use crate::kernels::pool::{AvgPool, AvgPoolBackward, MaxPool, MaxPoolBackward, PoolShape};
use crate::kernels::{BufferId, Op};
use crate::model::{Activation, ImageShape, Layer, Shape, Source, Window};
use crate::plan::Purpose;

/// A shape that the model's check has found to be an image.
fn image(shape: Shape) -> Result<ImageShape, EngineError> {
    match shape {
        Shape::Image(image) => Ok(image),
        Shape::Features(n) => Err(fault(format!("{n} features where an image belongs"))),
    }
}

impl Compiler<'_> {
    /// Shape of what a node takes first.
    pub(super) fn input_shape(&self, node: usize) -> Shape {
        let source = self.sources.get(node).and_then(|s| s.first().copied());
        self.model.shape_of(&self.shapes, source.unwrap_or(Source::Input))
    }

    /// Channels of a node's output.
    pub(super) fn channels(&self, node: usize) -> u32 {
        self.shapes.get(node).map_or(0, |s| s.channels() as u32)
    }

    /// The pooling that a convolution does itself: the only taker of its output, 2 × 2 without
    /// overlap, after a non-linearity that keeps the order of values.
    pub(super) fn fused_pool(&self, node: usize) -> Option<usize> {
        let Layer::Conv2d { activation: None | Some(Activation::Relu), .. } =
            self.model.nodes.get(node)?.layer
        else {
            return None;
        };
        if !self.conv_shape(node).is_ok_and(|s| s.keeps_winners()) {
            return None;
        }
        let of = |sources: &Vec<Source>| sources.contains(&Source::Node(node));
        let mut takers = (0..self.sources.len()).filter(|i| self.sources.get(*i).is_some_and(of));
        let (Some(only), None) = (takers.next(), takers.next()) else { return None };
        let pool = &self.model.nodes.get(only)?.layer;
        matches!(pool, Layer::MaxPool { size: 2, stride: 2, padding: 0 }).then_some(only)
    }

    /// Whether a convolution does the pooling at this node.
    pub(super) fn is_fused(&self, node: usize) -> bool {
        match self.sources.get(node).and_then(|s| s.first()) {
            Some(Source::Node(before)) => self.fused_pool(*before) == Some(node),
            _ => false,
        }
    }

    /// Sizes of the convolution at a node.
    pub(super) fn conv_shape(&self, node: usize) -> Result<ConvShape, EngineError> {
        let input = image(self.input_shape(node))?;
        let output = image(self.shapes.get(node).copied().unwrap_or(Shape::Features(0)))?;
        let Some(Layer::Conv2d { kernel, stride, padding, groups, .. }) =
            self.model.nodes.get(node).map(|n| &n.layer)
        else {
            return Err(fault("a convolution expected".to_owned()));
        };
        Ok(ConvShape {
            rows: self.rows,
            height: input.height as u32,
            width: input.width as u32,
            channels: input.channels as u32,
            out_height: output.height as u32,
            out_width: output.width as u32,
            out_channels: output.channels as u32,
            kernel: *kernel as u32,
            stride: *stride as u32,
            padding: *padding as u32,
            groups: *groups as u32,
        })
    }

    /// Convolution, bias, non-linearity and, where one follows, pooling. In training, what the
    /// backward pass needs of them is kept.
    pub(super) fn conv(
        &mut self,
        ops: &mut Vec<Op>,
        node: usize,
        list: &str,
        (x, weight): (Operand, Operand),
        training: bool,
    ) -> Result<(Matrix, ConvShape, Kept), EngineError> {
        let shape = self.conv_shape(node)?;
        let model = self.model;
        let (name, layer) = match model.nodes.get(node) {
            Some(node) => (node.name.as_str(), &node.layer),
            None => return Err(fault("a convolution expected".to_owned())),
        };
        let activation = layer.activation();
        let pool = self.fused_pool(node).is_some();
        let pixels = if pool { shape.pooled_pixels() } else { shape.out_pixels() };
        let cols = pixels as u32 * shape.out_channels;
        let out = self.matrix(&format!("{list}.{name}.out"), Purpose::Activation, cols);
        let mut keep = |part: &str, of: fn(BufferId) -> Kept| {
            let words = Conv::kept_words(of(out), pixels, shape.out_channels as usize);
            let name = format!("{list}.{name}.{part}");
            let words = self.rows as usize * words;
            of(self.transient(&name, Purpose::Activation, words))
        };
        let kept = match (training, pool, activation) {
            (false, _, _) | (true, false, None) => Kept::Nothing,
            (true, true, _) => keep("winners", Kept::Winners),
            (true, false, Some(Activation::Relu)) if shape.keeps_signs() => {
                keep("signs", Kept::Signs)
            }
            (true, false, Some(_)) => keep("pre", Kept::Pre),
        };
        let bias = match layer {
            Layer::Conv2d { bias: true, .. } => Some(self.param(&format!("{name}.bias"))?.weight),
            _ => None,
        };
        let conv = Conv { x, weight, bias, shape, activation, pool, out, kept };
        conv.check()?;
        ops.push(Op::Conv(conv));
        Ok((Matrix { buffer: out, cols }, shape, kept))
    }

    /// Gradients of a convolution's bias, filters and, if wanted, input. Changes `grad`.
    pub(super) fn conv_backward(
        &mut self,
        ops: &mut Vec<Op>,
        node: usize,
        (x, weight): (Operand, Operand),
        (shape, kept): (ConvShape, Kept),
        (grad, wanted): (Matrix, bool),
    ) -> Result<Option<Matrix>, EngineError> {
        let model = self.model;
        let Some((name, layer)) = model.nodes.get(node).map(|n| (n.name.as_str(), &n.layer)) else {
            return Ok(None);
        };
        let bias = match layer {
            Layer::Conv2d { bias: true, .. } => Some(self.gradient(&format!("{name}.bias"))?),
            _ => None,
        };
        let (activation, channels) = (layer.activation(), shape.out_channels);
        self.channel_backward(ops, (grad, channels), kept, activation, bias);
        let winners = if let Kept::Winners(id) = kept { Some(id) } else { None };
        let (dy, dy_weight) = self.gradient_operands(ops, name, grad);
        let grad_weight = self.gradient(&format!("{name}.weight"))?;
        let op = ConvWeightGradient { grad: dy_weight, winners, x, shape, grad_weight };
        op.check()?;
        ops.push(Op::ConvWeightGradient(op));
        if !wanted {
            return Ok(None);
        }
        let cols = shape.image_len() as u32;
        let grad_x = self.matrix(&format!("{name}.input.gradient"), Purpose::Gradient, cols);
        let op = ConvInputGradient { grad: dy, winners, weight, shape, grad_x };
        op.check()?;
        ops.push(Op::ConvInputGradient(op));
        Ok(Some(Matrix { buffer: grad_x, cols }))
    }

    /// Slope of a non-linearity into `grad`, and the bias gradient, where there is either.
    fn channel_backward(
        &self,
        ops: &mut Vec<Op>,
        (grad, channels): (Matrix, u32),
        kept: Kept,
        activation: Option<Activation>,
        bias_gradient: Option<BufferId>,
    ) {
        if activation.is_none() && bias_gradient.is_none() {
            return;
        }
        let rows = self.rows * (grad.cols / channels.max(1));
        let grad = grad.buffer;
        let op = ChannelBackward {
            grad,
            kept,
            activation,
            bias_gradient,
            accumulate: false,
            rows,
            channels,
        };
        ops.push(Op::ChannelBackward(op));
    }

    /// Sizes of the pooling at a node.
    pub(super) fn pool_shape(&self, node: usize) -> Result<PoolShape, EngineError> {
        let input = image(self.input_shape(node))?;
        let (height, width) = (input.height, input.width);
        let (window, size) = match self.model.nodes.get(node).map(|n| &n.layer) {
            Some(Layer::MaxPool { size, stride, padding }) => {
                (Window { size: *size, stride: *stride, padding: *padding }, [*size; 2])
            }
            Some(Layer::AvgPool { size, stride }) => {
                (Window { size: *size, stride: *stride, padding: 0 }, [*size; 2])
            }
            _ => (Window { size: height.max(width), stride: 1, padding: 0 }, [height, width]),
        };
        let global = size == [height, width];
        let places = |side| if global { 1 } else { window.places(side) as u32 };
        Ok(PoolShape {
            rows: self.rows,
            height: height as u32,
            width: width as u32,
            channels: input.channels as u32,
            out_height: places(height),
            out_width: places(width),
            size: size.map(|s| s as u32),
            stride: window.stride as u32,
            padding: window.padding as u32,
        })
    }

    /// Max-pooling that no convolution does.
    pub(super) fn max_pool(
        &mut self,
        ops: &mut Vec<Op>,
        node: usize,
        (name, list): (&str, &str),
        x: Matrix,
    ) -> Result<(Matrix, PoolShape, Option<BufferId>), EngineError> {
        let shape = self.pool_shape(node)?;
        let cols = shape.out_pixels() as u32 * shape.channels;
        let out = self.matrix(&format!("{list}.{name}.out"), Purpose::Activation, cols);
        let training = list == "train";
        let winners = training.then(|| {
            let words = shape.winner_words();
            self.transient(&format!("{list}.{name}.winners"), Purpose::Activation, words)
        });
        ops.push(Op::MaxPool(MaxPool { x: x.buffer, out, winners, shape }));
        Ok((Matrix { buffer: out, cols }, shape, winners))
    }

    pub(super) fn max_pool_backward(
        &mut self,
        ops: &mut Vec<Op>,
        name: &str,
        (shape, winners): (PoolShape, BufferId),
        grad: Matrix,
    ) -> Matrix {
        let cols = shape.image_len() as u32;
        let grad_x = self.matrix(&format!("{name}.input.gradient"), Purpose::Gradient, cols);
        let op = MaxPoolBackward { grad: grad.buffer, winners, grad_x, shape };
        ops.push(Op::MaxPoolBackward(op));
        Matrix { buffer: grad_x, cols }
    }

    /// Average pooling, global or not.
    pub(super) fn avg_pool(
        &mut self,
        ops: &mut Vec<Op>,
        node: usize,
        (name, list): (&str, &str),
        x: Matrix,
    ) -> Result<(Matrix, PoolShape), EngineError> {
        let shape = self.pool_shape(node)?;
        let cols = shape.out_pixels() as u32 * shape.channels;
        let out = self.matrix(&format!("{list}.{name}.out"), Purpose::Activation, cols);
        ops.push(Op::AvgPool(AvgPool { x: x.buffer, out, shape }));
        Ok((Matrix { buffer: out, cols }, shape))
    }

    pub(super) fn avg_pool_backward(
        &mut self,
        ops: &mut Vec<Op>,
        name: &str,
        shape: PoolShape,
        grad: Matrix,
    ) -> Matrix {
        let cols = shape.image_len() as u32;
        let grad_x = self.matrix(&format!("{name}.input.gradient"), Purpose::Gradient, cols);
        ops.push(Op::AvgPoolBackward(AvgPoolBackward { grad: grad.buffer, grad_x, shape }));
        Matrix { buffer: grad_x, cols }
    }

    /// Sum of two nodes.
    pub(super) fn add(
        &mut self,
        ops: &mut Vec<Op>,
        node: usize,
        (name, list): (&str, &str),
        (a, b): (Matrix, Matrix),
        activation: Option<Activation>,
    ) -> (Matrix, Kept) {
        let channels = self.channels(node).max(1);
        let pixels = (a.cols / channels) as usize;
        let out = self.matrix(&format!("{list}.{name}.out"), Purpose::Activation, a.cols);
        let mut keep = |part: &str, of: fn(BufferId) -> Kept| {
            let words = Conv::kept_words(of(out), pixels, channels as usize);
            let name = format!("{list}.{name}.{part}");
            of(self.transient(&name, Purpose::Activation, self.rows as usize * words))
        };
        let kept = match activation {
            _ if list != "train" => Kept::Nothing,
            None => Kept::Nothing,
            Some(Activation::Relu) => keep("signs", Kept::Signs),
            Some(_) => keep("pre", Kept::Pre),
        };
        let rows = self.rows * pixels as u32;
        let (a, b, cols) = (a.buffer, b.buffer, a.cols);
        ops.push(Op::Add(Add { a, b, out, kept, activation, rows, channels }));
        (Matrix { buffer: out, cols }, kept)
    }

    /// Slope of a sum's non-linearity into `grad`.
    pub(super) fn add_backward(
        &self,
        ops: &mut Vec<Op>,
        node: usize,
        grad: Matrix,
        kept: Kept,
        activation: Option<Activation>,
    ) {
        self.channel_backward(ops, (grad, self.channels(node)), kept, activation, None);
    }
}
