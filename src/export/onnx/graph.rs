//! An ONNX model in memory, and its encoding. Field numbers are those of `onnx.proto`
//! (<https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>).

use super::tensor::{Data, Kind, Tensor};
use super::wire::{Reader, Writer};

/// Domain of the operators that map text.
pub const ML: &str = "ai.onnx.ml";

/// A node attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// One number.
    Float(f32),
    /// One whole number.
    Int(i64),
    /// Text.
    Text(String),
    /// Numbers.
    Floats(Vec<f32>),
    /// Whole numbers.
    Ints(Vec<i64>),
    /// Texts.
    Texts(Vec<String>),
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Node {
    /// Operator.
    pub op: String,
    /// Operator set, empty for the standard one.
    pub domain: String,
    /// Names of the values it takes; empty for one that is left out.
    pub inputs: Vec<String>,
    /// Names of the values it makes.
    pub outputs: Vec<String>,
    /// Settings.
    pub attributes: Vec<(String, Attribute)>,
}

impl Node {
    /// A setting by name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, a)| a)
    }
}

/// An input or output of a model. The first dimension, `None`, is the number of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Port {
    /// Name.
    pub name: String,
    /// Element type.
    pub kind: Kind,
    /// Dimensions.
    pub shape: Vec<Option<usize>>,
}

/// A model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Model {
    /// Version of the file format.
    pub ir_version: i64,
    /// Program that wrote it.
    pub producer: (String, String),
    /// Name of the graph.
    pub name: String,
    /// What it is, for people.
    pub doc: String,
    /// Operator sets with their versions.
    pub opsets: Vec<(String, i64)>,
    /// Constants.
    pub initializers: Vec<(String, Tensor)>,
    /// Operations, in an order in which they can run.
    pub nodes: Vec<Node>,
    /// Inputs.
    pub inputs: Vec<Port>,
    /// Outputs.
    pub outputs: Vec<Port>,
    /// Keys and values.
    pub metadata: Vec<(String, String)>,
}

impl Model {
    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.int(1, self.ir_version);
        w.text(2, &self.producer.0);
        w.text(3, &self.producer.1);
        w.message(7, |g| {
            for node in &self.nodes {
                g.message(1, |n| write_node(n, node));
            }
            g.text(2, &self.name);
            for (name, tensor) in &self.initializers {
                g.message(5, |t| write_tensor(t, name, tensor));
            }
            g.text(10, &self.doc);
            for (field, ports) in [(11, &self.inputs), (12, &self.outputs)] {
                for port in ports {
                    g.message(field, |p| write_port(p, port));
                }
            }
        });
        for (domain, version) in &self.opsets {
            w.message(8, |o| {
                if !domain.is_empty() {
                    o.text(1, domain);
                }
                o.int(2, *version);
            });
        }
        for (key, value) in &self.metadata {
            w.message(14, |m| {
                m.text(1, key);
                m.text(2, value);
            });
        }
        w.finish()
    }

    /// Reads a file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let mut model = Self::default();
        for field in Reader::new(bytes) {
            let (field, value) = field?;
            match field {
                1 => model.ir_version = value.int()?,
                2 => model.producer.0 = value.text()?,
                3 => model.producer.1 = value.text()?,
                7 => model.read_graph(value.bytes()?)?,
                8 => model.opsets.push(read_opset(value.bytes()?)?),
                14 => model.metadata.push(read_pair(value.bytes()?)?),
                _ => {}
            }
        }
        if model.ir_version == 0 || model.nodes.is_empty() {
            return Err("it is not in the ONNX format".to_owned());
        }
        Ok(model)
    }

    fn read_graph(&mut self, bytes: &[u8]) -> Result<(), String> {
        for field in Reader::new(bytes) {
            let (field, value) = field?;
            match field {
                1 => self.nodes.push(read_node(value.bytes()?)?),
                2 => self.name = value.text()?,
                5 => self.initializers.push(read_tensor(value.bytes()?)?),
                10 => self.doc = value.text()?,
                11 => self.inputs.push(read_port(value.bytes()?)?),
                12 => self.outputs.push(read_port(value.bytes()?)?),
                _ => {}
            }
        }
        Ok(())
    }

    /// A constant by name.
    pub fn initializer(&self, name: &str) -> Option<&Tensor> {
        self.initializers.iter().find(|(n, _)| n == name).map(|(_, t)| t)
    }

    /// A metadata value by key.
    pub fn meta(&self, key: &str) -> Option<&str> {
        self.metadata.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }
}

fn write_node(w: &mut Writer, node: &Node) {
    node.inputs.iter().for_each(|i| w.text(1, i));
    node.outputs.iter().for_each(|o| w.text(2, o));
    if let Some(first) = node.outputs.first() {
        w.text(3, &format!("{first}:{}", node.op));
    }
    w.text(4, &node.op);
    for (name, attribute) in &node.attributes {
        w.message(5, |a| {
            a.text(1, name);
            let kind = match attribute {
                Attribute::Float(v) => {
                    a.float(2, *v);
                    1
                }
                Attribute::Int(v) => {
                    a.int(3, *v);
                    2
                }
                Attribute::Text(v) => {
                    a.text(4, v);
                    3
                }
                Attribute::Floats(list) => {
                    list.iter().for_each(|v| a.float(7, *v));
                    6
                }
                Attribute::Ints(list) => {
                    list.iter().for_each(|v| a.int(8, *v));
                    7
                }
                Attribute::Texts(list) => {
                    list.iter().for_each(|v| a.text(9, v));
                    8
                }
            };
            a.int(20, kind);
        });
    }
    if !node.domain.is_empty() {
        w.text(7, &node.domain);
    }
}

fn read_node(bytes: &[u8]) -> Result<Node, String> {
    let mut node = Node::default();
    for field in Reader::new(bytes) {
        let (field, value) = field?;
        match field {
            1 => node.inputs.push(value.text()?),
            2 => node.outputs.push(value.text()?),
            4 => node.op = value.text()?,
            5 => node.attributes.push(read_attribute(value.bytes()?)?),
            7 => node.domain = value.text()?,
            _ => {}
        }
    }
    Ok(node)
}

fn read_attribute(bytes: &[u8]) -> Result<(String, Attribute), String> {
    let (mut name, mut kind) = (String::new(), 0);
    let (mut float, mut int, mut text) = (0.0, 0, String::new());
    let (mut floats, mut ints, mut texts) = (vec![], vec![], vec![]);
    for field in Reader::new(bytes) {
        let (field, value) = field?;
        match field {
            1 => name = value.text()?,
            2 => float = value.float()?,
            3 => int = value.int()?,
            4 => text = value.text()?,
            7 => value.floats(&mut floats)?,
            8 => value.ints(&mut ints)?,
            9 => texts.push(value.text()?),
            20 => kind = value.int()?,
            _ => {}
        }
    }
    let attribute = match kind {
        1 => Attribute::Float(float),
        2 => Attribute::Int(int),
        3 => Attribute::Text(text),
        6 => Attribute::Floats(floats),
        7 => Attribute::Ints(ints),
        8 => Attribute::Texts(texts),
        _ => return Err(format!("the setting {name} is of a kind that is not used here")),
    };
    Ok((name, attribute))
}

fn write_tensor(w: &mut Writer, name: &str, tensor: &Tensor) {
    tensor.shape.iter().for_each(|d| w.int(1, *d as i64));
    w.int(2, tensor.data.kind().code());
    if let Data::Text(values) = &tensor.data {
        values.iter().for_each(|v| w.text(6, v));
    }
    w.text(8, name);
    if let Some(raw) = tensor.data.to_raw() {
        w.bytes(9, &raw);
    }
}

fn read_tensor(bytes: &[u8]) -> Result<(String, Tensor), String> {
    let (mut name, mut dims, mut code) = (String::new(), vec![], 0);
    let (mut texts, mut raw): (Vec<String>, &[u8]) = (vec![], &[]);
    let (mut floats, mut ints) = (vec![], vec![]);
    for field in Reader::new(bytes) {
        let (field, value) = field?;
        match field {
            1 => value.ints(&mut dims)?,
            2 => code = value.int()?,
            4 => value.floats(&mut floats)?,
            6 => texts.push(value.text()?),
            5 | 7 => value.ints(&mut ints)?,
            8 => name = value.text()?,
            9 => raw = value.bytes()?,
            14 if value.int()? != 0 => {
                return Err(format!("{name} is kept in another file, which is not supported"));
            }
            _ => {}
        }
    }
    let kind = Kind::of_code(code).ok_or(format!("{name} has the unknown type {code}"))?;
    let shape: Option<Vec<usize>> = dims.iter().map(|d| usize::try_from(*d).ok()).collect();
    let shape = shape.ok_or(format!("{name} has a negative size"))?;
    let data = match kind {
        Kind::Text => Data::Text(texts),
        Kind::F32 if raw.is_empty() => Data::F32(floats),
        Kind::I64 if raw.is_empty() => Data::I64(ints),
        _ => Data::from_raw(kind, raw).ok_or(format!("{name} is cut short"))?,
    };
    let tensor = Tensor::new(shape, data).map_err(|e| format!("{name}: {e}"))?;
    Ok((name, tensor))
}

fn write_port(w: &mut Writer, port: &Port) {
    w.text(1, &port.name);
    w.message(2, |t| {
        t.message(1, |t| {
            t.int(1, port.kind.code());
            t.message(2, |s| {
                for dim in &port.shape {
                    s.message(1, |d| match dim {
                        Some(size) => d.int(1, *size as i64),
                        None => d.text(2, "rows"),
                    });
                }
            });
        });
    });
}

fn read_port(bytes: &[u8]) -> Result<Port, String> {
    let (mut name, mut code, mut shape) = (String::new(), 0, vec![]);
    for field in Reader::new(bytes) {
        let (field, value) = field?;
        match field {
            1 => name = value.text()?,
            2 => {
                for field in Reader::new(value.bytes()?) {
                    let (1, value) = field? else { continue };
                    for field in Reader::new(value.bytes()?) {
                        match field? {
                            (1, value) => code = value.int()?,
                            (2, value) => shape = read_shape(value.bytes()?)?,
                            _ => {}
                        }
                    }
                }
            }
            _ => {}
        }
    }
    let kind = Kind::of_code(code).ok_or(format!("{name} has the unknown type {code}"))?;
    Ok(Port { name, kind, shape })
}

fn read_shape(bytes: &[u8]) -> Result<Vec<Option<usize>>, String> {
    let mut shape = vec![];
    for field in Reader::new(bytes) {
        let (1, value) = field? else { continue };
        let mut size = None;
        for field in Reader::new(value.bytes()?) {
            if let (1, value) = field? {
                size = usize::try_from(value.int()?).ok();
            }
        }
        shape.push(size);
    }
    Ok(shape)
}

fn read_opset(bytes: &[u8]) -> Result<(String, i64), String> {
    let mut opset = (String::new(), 0);
    for field in Reader::new(bytes) {
        match field? {
            (1, value) => opset.0 = value.text()?,
            (2, value) => opset.1 = value.int()?,
            _ => {}
        }
    }
    Ok(opset)
}

fn read_pair(bytes: &[u8]) -> Result<(String, String), String> {
    let mut pair = (String::new(), String::new());
    for field in Reader::new(bytes) {
        match field? {
            (1, value) => pair.0 = value.text()?,
            (2, value) => pair.1 = value.text()?,
            _ => {}
        }
    }
    Ok(pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_come_back() {
        let text = |t: &[&str]| Data::Text(t.iter().map(|s| (*s).to_owned()).collect());
        let model = Model {
            ir_version: 9,
            producer: ("p".to_owned(), "1".to_owned()),
            name: "n".to_owned(),
            doc: "d".to_owned(),
            opsets: vec![(String::new(), 19), (ML.to_owned(), 2)],
            initializers: vec![
                ("w".to_owned(), Tensor::new(vec![2, 1], Data::F32(vec![1.0, -2.0])).unwrap()),
                ("c".to_owned(), Tensor::new(vec![3], Data::E4M3(vec![0, 1, 255])).unwrap()),
                ("s".to_owned(), Tensor::new(vec![2], text(&["a", ""])).unwrap()),
                ("i".to_owned(), Tensor::new(vec![], Data::I64(vec![-1])).unwrap()),
            ],
            nodes: vec![Node {
                op: "Op".to_owned(),
                domain: ML.to_owned(),
                inputs: vec!["x".to_owned(), String::new()],
                outputs: vec!["y".to_owned()],
                attributes: vec![
                    ("f".to_owned(), Attribute::Float(0.5)),
                    ("i".to_owned(), Attribute::Int(-7)),
                    ("t".to_owned(), Attribute::Text("x".to_owned())),
                    ("fs".to_owned(), Attribute::Floats(vec![1.0, 2.0])),
                    ("is".to_owned(), Attribute::Ints(vec![3, -4])),
                    ("ts".to_owned(), Attribute::Texts(vec![String::new(), "b".to_owned()])),
                ],
            }],
            inputs: vec![Port {
                name: "x".to_owned(),
                kind: Kind::F64,
                shape: vec![None, Some(1)],
            }],
            outputs: vec![Port { name: "y".to_owned(), kind: Kind::Text, shape: vec![None] }],
            metadata: vec![("k".to_owned(), "v".to_owned())],
        };
        let bytes = model.to_bytes();
        assert_eq!(Model::from_bytes(&bytes), Ok(model));
        for at in 0..bytes.len() {
            let _ = Model::from_bytes(&bytes[..at]);
            let mut changed = bytes.clone();
            changed[at] ^= 0x11;
            let _ = Model::from_bytes(&changed);
        }
        assert!(Model::from_bytes(b"just text, no model").is_err());
        assert!(Model::from_bytes(&[]).is_err());
    }
}
