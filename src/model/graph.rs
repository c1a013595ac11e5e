//! How nodes are wired: sources, shapes, and whether a model is valid.

use std::collections::HashMap;

use super::shape::{check_size, output};
use super::{Head, Layer, ModelSpec, Node, Shape, fault};
use crate::error::EngineError;

/// Where an input of a node comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The network's input.
    Input,
    /// Output of the node at this index.
    Node(usize),
}

impl ModelSpec {
    /// Sources of every node's inputs.
    ///
    /// # Errors
    /// If a name is unusable, used twice, or not that of an earlier node.
    pub fn sources(&self) -> Result<Vec<Vec<Source>>, EngineError> {
        let mut known: HashMap<&str, Source> = HashMap::from([("input", Source::Input)]);
        let mut list = Vec::with_capacity(self.nodes.len());
        for (i, node) in self.nodes.iter().enumerate() {
            let name = node.name.as_str();
            let sources = if node.inputs.is_empty() {
                vec![i.checked_sub(1).map_or(Source::Input, Source::Node)]
            } else {
                let find = |input: &String| {
                    known.get(input.as_str()).copied().ok_or_else(|| {
                        fault(format!(
                            "layer \"{name}\" takes the output of \"{input}\", but no layer before \
                             it is called so"
                        ))
                    })
                };
                node.inputs.iter().map(find).collect::<Result<_, _>>()?
            };
            let wanted = if matches!(node.layer, Layer::Add { .. }) { 2 } else { 1 };
            if sources.len() != wanted {
                let got = sources.len();
                return Err(fault(format!("layer \"{name}\" needs {wanted} input(s), not {got}")));
            }
            if name.is_empty() || ["embed", "input"].contains(&name) || name.contains('.') {
                return Err(fault(format!("\"{name}\" cannot be a layer name")));
            }
            if known.insert(name, Source::Node(i)).is_some() {
                return Err(fault(format!("two layers are called \"{name}\"")));
            }
            list.push(sources);
        }
        Ok(list)
    }

    /// Shape of one sample of the input.
    pub fn input_shape(&self) -> Shape {
        match self.input.image {
            Some(image) => Shape::Image(image),
            None => Shape::Features(self.input.width()),
        }
    }

    /// Output shape of every node.
    ///
    /// # Errors
    /// If a layer cannot take what it is given; the message says which and why.
    pub fn shapes(&self) -> Result<Vec<Shape>, EngineError> {
        let mut shapes = Vec::with_capacity(self.nodes.len());
        for (node, sources) in self.nodes.iter().zip(self.sources()?) {
            let inputs: Vec<Shape> = sources.iter().map(|s| self.shape_of(&shapes, *s)).collect();
            let shape = output(&node.name, &node.layer, &inputs)?;
            check_size(&format!("output of layer \"{}\"", node.name), 1, shape.len())?;
            shapes.push(shape);
        }
        Ok(shapes)
    }

    /// Shape of a source, given the nodes' shapes.
    pub fn shape_of(&self, shapes: &[Shape], source: Source) -> Shape {
        match source {
            Source::Input => self.input_shape(),
            Source::Node(i) => shapes.get(i).copied().unwrap_or(Shape::Features(0)),
        }
    }

    /// Checks names, wiring, sizes and the head.
    ///
    /// # Errors
    /// One [`EngineError::Shape`] that names the layer and says what to change.
    pub fn validate(&self) -> Result<(), EngineError> {
        self.validate_input()?;
        if let Head::Classes { count } = self.head
            && count < 2
        {
            return Err(fault(format!("{count} classes; at least 2 are needed")));
        }
        self.shapes()?;
        let sources = self.sources()?;
        for (i, node) in self.nodes.iter().enumerate().take(self.nodes.len().saturating_sub(1)) {
            if !sources.iter().flatten().any(|s| *s == Source::Node(i)) {
                return Err(fault(format!("nothing takes the output of layer \"{}\"", node.name)));
            }
        }
        let want = self.head.outputs();
        match self.nodes.last() {
            Some(Node { layer: Layer::Dense { out, activation: None, .. }, .. })
                if *out == want =>
            {
                Ok(())
            }
            _ => Err(fault(format!(
                "the last layer must be dense with {want} outputs and no activation"
            ))),
        }
    }

    fn validate_input(&self) -> Result<(), EngineError> {
        let input = &self.input;
        for e in &input.embeddings {
            if e.cardinality == 0 || e.dim == 0 {
                return Err(fault(format!(
                    "embedding of \"{}\" is {} x {}; both must be at least 1",
                    e.name, e.cardinality, e.dim
                )));
            }
            check_size(&format!("embedding of \"{}\"", e.name), e.cardinality, e.dim)?;
        }
        if let Some(image) = input.image
            && (image.len() != input.dense || !input.embeddings.is_empty())
        {
            return Err(fault(format!(
                "images of {} x {} x {} do not make {} numbers and {} embeddings per sample",
                image.height,
                image.width,
                image.channels,
                input.dense,
                input.embeddings.len()
            )));
        }
        if input.width() == 0 {
            return Err(fault("the network has no inputs".to_owned()));
        }
        check_size("the input", 1, input.width())
    }
}
