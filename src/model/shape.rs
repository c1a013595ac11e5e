//! Shapes of what flows between layers.

use serde::{Deserialize, Serialize};

use super::{Layer, MAX_ELEMENTS, fault};
use crate::error::EngineError;

/// Size of an image, stored row by row with channels innermost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ImageShape {
    /// Rows of pixels.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
    /// Values of a pixel.
    pub channels: usize,
}

impl ImageShape {
    /// Values of one image.
    pub fn len(self) -> usize {
        self.height.saturating_mul(self.width).saturating_mul(self.channels)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// Shape of one sample between two layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Plain numbers.
    Features(usize),
    /// An image.
    Image(ImageShape),
}

impl Shape {
    /// Values of one sample.
    pub fn len(self) -> usize {
        match self {
            Self::Features(n) => n,
            Self::Image(image) => image.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Channels of an image; of plain features each is its own channel.
    pub fn channels(self) -> usize {
        match self {
            Self::Features(n) => n,
            Self::Image(image) => image.channels,
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Features(n) => write!(f, "{n} features"),
            Self::Image(i) => write!(f, "an image {} x {} x {}", i.height, i.width, i.channels),
        }
    }
}

/// A square window that slides over an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Height and width.
    pub size: usize,
    /// Pixels from one place to the next.
    pub stride: usize,
    /// Pixels added on every side.
    pub padding: usize,
}

impl Window {
    /// Number of places along a side of `length` pixels; 0 if the window does not fit.
    pub fn places(self, length: usize) -> usize {
        let padded = length + 2 * self.padding;
        if padded < self.size || self.size == 0 || self.stride == 0 {
            return 0;
        }
        (padded - self.size) / self.stride + 1
    }
}

/// Checks that a matrix is not too large for 32-bit indices.
pub(super) fn check_size(what: &str, rows: usize, cols: usize) -> Result<(), EngineError> {
    match rows.checked_mul(cols) {
        Some(n) if n <= MAX_ELEMENTS => Ok(()),
        _ => {
            Err(fault(format!("{what} would be {rows} x {cols}, more than {MAX_ELEMENTS} values")))
        }
    }
}

/// Sizes beyond this are certainly mistakes; the limit keeps sums of them far from overflow.
const MAX_SIDE: usize = 1 << 20;

/// Shape of the layer's output for inputs of the given shapes (one, or two for `Add`).
pub(super) fn output(name: &str, layer: &Layer, inputs: &[Shape]) -> Result<Shape, EngineError> {
    let layer_fault = |what: String| fault(format!("layer \"{name}\" {what}"));
    let &[input, ..] = inputs else { return Err(layer_fault("has no input".to_owned())) };
    let image = |what: &str| match input {
        Shape::Image(image) => Ok(image),
        Shape::Features(n) => Err(layer_fault(format!(
            "({what}) needs an image but gets {n} features; use it on image data, before any \
             flatten or dense layer"
        ))),
    };
    let slide = |image: ImageShape, window: Window, channels: usize, what: &str| {
        let Window { size, stride, padding } = window;
        if size == 0 || stride == 0 {
            return Err(layer_fault(format!(
                "({what}) has size {size} and stride {stride}; both must be at least 1"
            )));
        }
        if size > MAX_SIDE || stride > MAX_SIDE {
            return Err(layer_fault(format!(
                "({what}) has size {size} and stride {stride}, too large"
            )));
        }
        let (height, width) = (window.places(image.height), window.places(image.width));
        if height == 0 || width == 0 {
            return Err(layer_fault(format!(
                "({what}) of size {size} does not fit into an image of {} x {} pixels with padding \
                 {padding}; use a smaller one, more padding or fewer layers that shrink the image",
                image.height, image.width
            )));
        }
        Ok(Shape::Image(ImageShape { height, width, channels }))
    };
    match *layer {
        Layer::Dense { out, .. } => {
            if out == 0 {
                return Err(layer_fault("has no outputs".to_owned()));
            }
            check_size(&format!("layer \"{name}\""), out, input.len())?;
            Ok(Shape::Features(out))
        }
        Layer::LayerNorm => match input {
            Shape::Features(_) => Ok(input),
            Shape::Image(_) => Err(layer_fault(
                "is layer normalisation of an image; use batch normalisation or flatten it first"
                    .to_owned(),
            )),
        },
        Layer::Dropout { rate } => {
            if (0.0..1.0).contains(&rate) {
                Ok(input)
            } else {
                Err(fault(format!("dropout rate {rate} of \"{name}\" is not in 0..1")))
            }
        }
        Layer::Conv2d { out, kernel, stride, padding, groups, .. } => {
            let image = image("convolution")?;
            if out == 0 {
                return Err(layer_fault("has no outputs".to_owned()));
            }
            if groups == 0 || image.channels % groups != 0 || out % groups != 0 {
                return Err(layer_fault(format!(
                    "has {groups} groups, which must divide its {} input and {out} output channels",
                    image.channels
                )));
            }
            if padding >= kernel.max(1) {
                return Err(layer_fault(format!(
                    "has padding {padding}, which must be less than its kernel of {kernel}"
                )));
            }
            let shape = slide(image, Window { size: kernel, stride, padding }, out, "convolution")?;
            let weights = (image.channels / groups).saturating_mul(kernel.saturating_mul(kernel));
            check_size(&format!("layer \"{name}\""), out, weights)?;
            Ok(shape)
        }
        Layer::MaxPool { size, stride, padding } => {
            let image = image("max-pooling")?;
            if size > 15 || padding > size / 2 {
                return Err(layer_fault(format!(
                    "(max-pooling) has size {size} and padding {padding}; they may be at most 15 \
                     and half of the size"
                )));
            }
            slide(image, Window { size, stride, padding }, image.channels, "max-pooling")
        }
        Layer::AvgPool { size, stride } => {
            let image = image("average pooling")?;
            slide(image, Window { size, stride, padding: 0 }, image.channels, "average pooling")
        }
        Layer::GlobalAveragePool => Ok(Shape::Features(image("global pooling")?.channels)),
        Layer::BatchNorm { .. } => Ok(input),
        Layer::Flatten => Ok(Shape::Features(input.len())),
        Layer::Add { .. } => match *inputs {
            [a, b] if a == b => Ok(a),
            [a, b] => Err(layer_fault(format!("adds {a} to {b}; both must have the same shape"))),
            _ => Err(layer_fault("adds and so needs two inputs".to_owned())),
        },
    }
}
