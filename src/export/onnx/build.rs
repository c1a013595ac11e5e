//! Puts a graph together, naming every value.

use super::graph::{Attribute, Model, Node, Port};
use super::tensor::{Data, Kind, Tensor};

/// A graph being put together. Names that it gives begin with `/`, which no parameter's does.
#[derive(Debug, Default)]
pub(super) struct Builder {
    pub(super) model: Model,
    next: usize,
}

/// A setting.
pub(super) fn int(name: &str, value: i64) -> (String, Attribute) {
    (name.to_owned(), Attribute::Int(value))
}

/// A setting.
pub(super) fn ints(name: &str, values: &[usize]) -> (String, Attribute) {
    (name.to_owned(), Attribute::Ints(values.iter().map(|v| *v as i64).collect()))
}

/// A setting.
pub(super) fn float(name: &str, value: f32) -> (String, Attribute) {
    (name.to_owned(), Attribute::Float(value))
}

impl Builder {
    fn name(&mut self, what: &str) -> String {
        self.next += 1;
        format!("/{what}_{}", self.next)
    }

    /// A constant under a name of its own.
    pub(super) fn weight(&mut self, name: &str, tensor: Tensor) -> String {
        self.model.initializers.push((name.to_owned(), tensor));
        name.to_owned()
    }

    /// A constant.
    pub(super) fn constant(&mut self, tensor: Tensor) -> String {
        let name = self.name("constant");
        self.weight(&name, tensor)
    }

    /// A single f32 constant.
    pub(super) fn number(&mut self, value: f32) -> String {
        self.constant(Tensor::scalar(Data::F32(vec![value])))
    }

    /// A single f64 constant.
    pub(super) fn double(&mut self, value: f64) -> String {
        self.constant(Tensor::scalar(Data::F64(vec![value])))
    }

    /// An operation with one result; returns the result's name.
    pub(super) fn op(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: Vec<(String, Attribute)>,
    ) -> String {
        self.op_in("", op, inputs, attributes)
    }

    /// As [`Builder::op`], of another operator set.
    pub(super) fn op_in(
        &mut self,
        domain: &str,
        op: &str,
        inputs: &[&str],
        attributes: Vec<(String, Attribute)>,
    ) -> String {
        let output = self.name(op);
        self.model.nodes.push(Node {
            op: op.to_owned(),
            domain: domain.to_owned(),
            inputs: inputs.iter().map(|i| (*i).to_owned()).collect(),
            outputs: vec![output.clone()],
            attributes,
        });
        output
    }

    /// Another type.
    pub(super) fn cast(&mut self, value: &str, to: Kind) -> String {
        self.op("Cast", &[value], vec![int("to", to.code())])
    }

    /// Side by side; a single one as it is.
    pub(super) fn concat(&mut self, parts: &[String]) -> Option<String> {
        match parts {
            [] => None,
            [one] => Some(one.clone()),
            many => {
                let many: Vec<&str> = many.iter().map(String::as_str).collect();
                Some(self.op("Concat", &many, vec![int("axis", 1)]))
            }
        }
    }

    /// Another shape; −1 stands for what is left over.
    pub(super) fn reshape(&mut self, value: &str, shape: &[i64]) -> String {
        let shape = self.constant(Tensor::list(Data::I64(shape.to_vec())));
        self.op("Reshape", &[value, &shape], Vec::new())
    }

    /// Makes the result of the last operation an output.
    pub(super) fn output(&mut self, value: &str, port: Port) {
        for node in &mut self.model.nodes {
            for name in node.outputs.iter_mut().chain(&mut node.inputs) {
                if name == value {
                    name.clone_from(&port.name);
                }
            }
        }
        self.model.outputs.push(port);
    }
}
