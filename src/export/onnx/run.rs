//! A small evaluator of the operators that exported graphs use, for the proof after an export and
//! for predicting with graphs that round activations. Its results follow the ONNX operator
//! definitions (<https://onnx.ai/onnx/operators/>), written apart from the code that trains.

use std::borrow::Cow;
use std::collections::HashMap;

use rayon::prelude::*;

use super::image;

use super::graph::{Attribute, Model, Node};
use super::tensor::{Data, Kind, Tensor};
use crate::fp8::Format;

/// Named values.
pub type Values = HashMap<String, Tensor>;

/// Computes the outputs of a model, and the inner values named in `also`.
pub fn run(model: &Model, inputs: &Values, also: &[&str]) -> Result<Values, String> {
    let mut known: HashMap<&str, Cow<'_, Tensor>> = HashMap::new();
    for (name, tensor) in &model.initializers {
        known.insert(name, Cow::Borrowed(tensor));
    }
    for port in &model.inputs {
        let tensor = inputs.get(&port.name).ok_or(format!("the input {} is missing", port.name))?;
        let fits = tensor.data.kind() == port.kind
            && tensor.shape.len() == port.shape.len()
            && tensor
                .shape
                .iter()
                .zip(&port.shape)
                .all(|(have, want)| want.is_none_or(|w| w == *have));
        if !fits {
            return Err(format!("the input {} has the wrong type or shape", port.name));
        }
        known.insert(&port.name, Cow::Borrowed(tensor));
    }
    // After the last use of a value its memory is given back.
    let mut last: HashMap<&str, usize> = HashMap::new();
    for (i, node) in model.nodes.iter().enumerate() {
        node.inputs.iter().for_each(|name| {
            last.insert(name, i);
        });
    }
    let kept: Vec<&str> =
        model.outputs.iter().map(|o| o.name.as_str()).chain(also.iter().copied()).collect();
    for (i, node) in model.nodes.iter().enumerate() {
        let arguments: Vec<&Tensor> = node
            .inputs
            .iter()
            .map(|name| {
                known.get(name.as_str()).map(Cow::as_ref).ok_or(format!("{name} is not known"))
            })
            .collect::<Result<_, String>>()?;
        let result = compute(node, &arguments).map_err(|e| format!("{}: {e}", node.op))?;
        let name = node.outputs.first().ok_or(format!("{} makes nothing", node.op))?;
        known.insert(name, Cow::Owned(result));
        for name in &node.inputs {
            if last.get(name.as_str()) == Some(&i) && !kept.contains(&name.as_str()) {
                known.remove(name.as_str());
            }
        }
    }
    kept.into_iter()
        .map(|name| {
            let value = known.get(name).ok_or(format!("nothing makes {name}"))?;
            Ok((name.to_owned(), value.as_ref().clone()))
        })
        .collect()
}

pub(super) type Computed = Result<Tensor, String>;

fn compute(node: &Node, x: &[&Tensor]) -> Computed {
    let arg = |i: usize| x.get(i).copied().ok_or_else(|| format!("argument {i} is missing"));
    let first = arg(0)?;
    match node.op.as_str() {
        "Add" => arithmetic(first, arg(1)?, |a, b| a + b, |a, b| a + b, |a, b| a.wrapping_add(b)),
        "Sub" => arithmetic(first, arg(1)?, |a, b| a - b, |a, b| a - b, |a, b| a.wrapping_sub(b)),
        "Mul" => arithmetic(first, arg(1)?, |a, b| a * b, |a, b| a * b, |a, b| a.wrapping_mul(b)),
        "Div" => arithmetic(
            first,
            arg(1)?,
            |a, b| a / b,
            |a, b| a / b,
            |a, b| a.checked_div(b).unwrap_or(0),
        ),
        "Max" => arithmetic(first, arg(1)?, f32::max, f64::max, i64::max),
        "Less" => compared(first, arg(1)?, |a, b| a < b),
        "Greater" => compared(first, arg(1)?, |a, b| a > b),
        "Equal" => compared(first, arg(1)?, |a, b| a == b),
        "Where" => chosen(first, arg(1)?, arg(2)?),
        "IsNaN" => {
            let data = match &first.data {
                Data::F32(v) => v.iter().map(|x| x.is_nan()).collect(),
                Data::F64(v) => v.iter().map(|x| x.is_nan()).collect(),
                other => return Err(unfit(other)),
            };
            Tensor::new(first.shape.clone(), Data::Bool(data))
        }
        "Sqrt" => each(first, f32::sqrt, f64::sqrt),
        "Log" => each(first, f32::ln, f64::ln),
        "Abs" => each(first, f32::abs, f64::abs),
        "Floor" => each(first, f32::floor, f64::floor),
        "Sin" => each(first, f32::sin, f64::sin),
        "Cos" => each(first, f32::cos, f64::cos),
        "Tanh" => each(first, f32::tanh, f64::tanh),
        "Relu" => each(first, |x| x.max(0.0), |x| x.max(0.0)),
        "Sigmoid" => each(first, |x| 1.0 / (1.0 + (-x).exp()), |x| 1.0 / (1.0 + (-x).exp())),
        "Sign" => each(
            first,
            |x| if x == 0.0 { 0.0 } else { x.signum() },
            |x| if x == 0.0 { 0.0 } else { x.signum() },
        ),
        "Clip" => {
            let low = arithmetic(first, arg(1)?, f32::max, f64::max, i64::max)?;
            arithmetic(&low, arg(2)?, f32::min, f64::min, i64::min)
        }
        "Cast" => cast(first, whole(node, "to")?),
        "Concat" => concat(x, axis(node, first.shape.len())?),
        "Gather" => gather(first, arg(1)?, axis(node, first.shape.len())?),
        "Reshape" => reshape(first, arg(1)?),
        "Transpose" => transpose(first, node),
        "LabelEncoder" => label_encoder(node, first),
        "DequantizeLinear" => dequantize(node, first, arg(1)?),
        "QuantizeLinear" => quantize(first, arg(1)?, arg(2)?),
        "Gemm" => gemm(node, first, arg(1)?, x.get(2).copied()),
        "Conv" => image::conv(node, first, arg(1)?, x.get(2).copied()),
        "MaxPool" => image::pool(node, first, f32::NEG_INFINITY, f32::max, |most, _| most),
        "AveragePool" => image::pool(node, first, 0.0, |a, b| a + b, |sum, n| sum / n as f32),
        "GlobalAveragePool" => image::global_average(first),
        "BatchNormalization" => {
            let rest = [arg(1)?, arg(2)?, arg(3)?, arg(4)?];
            image::batch_norm(node, first, rest)
        }
        "LayerNormalization" => layer_norm(node, first, arg(1)?, arg(2)?),
        "ReduceSum" => {
            let (values, width) = rows(first)?;
            let sums = values.chunks(width).map(|r| r.iter().sum()).collect();
            Tensor::new(vec![first.shape.first().copied().unwrap_or(1), 1], Data::F32(sums))
        }
        "Softmax" => {
            let (values, width) = rows(first)?;
            Tensor::new(first.shape.clone(), Data::F32(softmax(values, width)))
        }
        "ArgMax" => {
            let (values, width) = rows(first)?;
            let best = |row: &[f32]| {
                let pick = |best: (usize, f32), (i, v): (usize, &f32)| {
                    if *v > best.1 { (i, *v) } else { best }
                };
                row.iter().enumerate().fold((0, f32::NEG_INFINITY), pick).0 as i64
            };
            Ok(Tensor::list(Data::I64(values.chunks(width).map(best).collect())))
        }
        _ => Err("this operator is not used by exported models".to_owned()),
    }
}

fn unfit(data: &Data) -> String {
    format!("it does not take {}", data.kind().name())
}

pub(super) fn floats(tensor: &Tensor) -> Result<&[f32], String> {
    match &tensor.data {
        Data::F32(values) => Ok(values),
        other => Err(unfit(other)),
    }
}

/// Values of a matrix and its width.
fn rows(tensor: &Tensor) -> Result<(&[f32], usize), String> {
    match tensor.shape[..] {
        [_, width] if width > 0 => Ok((floats(tensor)?, width)),
        _ => Err("it needs a matrix".to_owned()),
    }
}

pub(super) fn whole(node: &Node, name: &str) -> Result<i64, String> {
    match node.attribute(name) {
        Some(Attribute::Int(value)) => Ok(*value),
        _ => Err(format!("the setting {name} is missing")),
    }
}

fn axis(node: &Node, rank: usize) -> Result<usize, String> {
    let axis = whole(node, "axis").unwrap_or(0);
    let axis = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(axis).ok().filter(|a| *a < rank).ok_or("the axis is out of range".to_owned())
}

fn each(x: &Tensor, f: impl Fn(f32) -> f32, g: impl Fn(f64) -> f64) -> Computed {
    let data = match &x.data {
        Data::F32(v) => Data::F32(v.iter().map(|a| f(*a)).collect()),
        Data::F64(v) => Data::F64(v.iter().map(|a| g(*a)).collect()),
        other => return Err(unfit(other)),
    };
    Tensor::new(x.shape.clone(), data)
}

/// Two tensors beside each other: their common shape, and steps in each per step of it.
struct Beside {
    shape: Vec<usize>,
    left: Vec<usize>,
    right: Vec<usize>,
}

/// How two shapes fit each other; a size of 1 is repeated.
fn broadcast(a: &[usize], b: &[usize]) -> Result<Beside, String> {
    let rank = a.len().max(b.len());
    let pad = |s: &[usize]| [vec![1; rank - s.len()], s.to_vec()].concat();
    let (a, b) = (pad(a), pad(b));
    let mut shape = Vec::with_capacity(rank);
    for (x, y) in a.iter().zip(&b) {
        shape.push(match (*x, *y) {
            (x, y) if x == y => x,
            (1, y) => y,
            (x, 1) => x,
            _ => return Err(format!("{a:?} and {b:?} do not fit each other")),
        });
    }
    let strides = |s: &[usize]| {
        let mut strides = vec![0; rank];
        let mut step = 1;
        for (stride, size) in strides.iter_mut().zip(s).rev() {
            *stride = if *size == 1 { 0 } else { step };
            step *= size;
        }
        strides
    };
    Ok(Beside { shape, left: strides(&a), right: strides(&b) })
}

/// Positions in a tensor of the given strides for every value of a shape, in order.
fn positions(shape: &[usize], strides: &[usize]) -> Vec<usize> {
    let mut list = vec![0];
    for (size, stride) in shape.iter().zip(strides) {
        list = list.iter().flat_map(|p| (0..*size).map(move |i| p + i * stride)).collect();
    }
    list
}

fn paired<T: Copy, R>(
    (a, b): (&Tensor, &Tensor),
    (x, y): (&[T], &[T]),
    f: impl Fn(T, T) -> R,
) -> Result<(Vec<usize>, Vec<R>), String> {
    if a.shape == b.shape {
        return Ok((a.shape.clone(), x.iter().zip(y).map(|(p, q)| f(*p, *q)).collect()));
    }
    if let ([one], true) = (y, b.shape.len() <= a.shape.len()) {
        return Ok((a.shape.clone(), x.iter().map(|p| f(*p, *one)).collect()));
    }
    let Beside { shape, left, right } = broadcast(&a.shape, &b.shape)?;
    let (left, right) = (positions(&shape, &left), positions(&shape, &right));
    let get = |(i, j): (&usize, &usize)| Some(f(*x.get(*i)?, *y.get(*j)?));
    let values: Option<Vec<R>> = left.iter().zip(&right).map(get).collect();
    Ok((shape, values.ok_or("a position is out of range")?))
}

fn arithmetic(
    a: &Tensor,
    b: &Tensor,
    f: impl Fn(f32, f32) -> f32,
    g: impl Fn(f64, f64) -> f64,
    h: impl Fn(i64, i64) -> i64,
) -> Computed {
    let (shape, data) = match (&a.data, &b.data) {
        (Data::F32(x), Data::F32(y)) => {
            let (shape, values) = paired((a, b), (x, y), f)?;
            (shape, Data::F32(values))
        }
        (Data::F64(x), Data::F64(y)) => {
            let (shape, values) = paired((a, b), (x, y), g)?;
            (shape, Data::F64(values))
        }
        (Data::I64(x), Data::I64(y)) => {
            let (shape, values) = paired((a, b), (x, y), h)?;
            (shape, Data::I64(values))
        }
        (x, y) if x.kind() == y.kind() => return Err(unfit(x)),
        _ => return Err("both sides must have one type".to_owned()),
    };
    Tensor::new(shape, data)
}

fn compared(a: &Tensor, b: &Tensor, f: impl Fn(f64, f64) -> bool) -> Computed {
    let numbers = |t: &Tensor| -> Result<Vec<f64>, String> {
        Ok(match &t.data {
            Data::F32(v) => v.iter().map(|x| f64::from(*x)).collect(),
            Data::F64(v) => v.clone(),
            Data::I64(v) => v.iter().map(|x| *x as f64).collect(),
            other => return Err(unfit(other)),
        })
    };
    if a.data.kind() != b.data.kind() {
        return Err("both sides must have one type".to_owned());
    }
    let (shape, values) = paired((a, b), (&numbers(a)?, &numbers(b)?), f)?;
    Tensor::new(shape, Data::Bool(values))
}

fn chosen(which: &Tensor, yes: &Tensor, no: &Tensor) -> Computed {
    let Data::Bool(flags) = &which.data else { return Err(unfit(&which.data)) };
    // All three beside each other, two at a time.
    let shape = broadcast(&which.shape, &yes.shape)?.shape;
    let shape = broadcast(&shape, &no.shape)?.shape;
    let places = |s: &[usize]| Ok::<_, String>(positions(&shape, &broadcast(&shape, s)?.right));
    let (flag_at, yes_at, no_at) = (places(&which.shape)?, places(&yes.shape)?, places(&no.shape)?);
    let flags: Vec<bool> =
        flag_at.iter().map(|i| flags.get(*i).copied().unwrap_or(false)).collect();
    fn merge<T: Copy>(flags: &[bool], yes: Vec<T>, no: Vec<T>) -> Vec<T> {
        flags
            .iter()
            .zip(yes.into_iter().zip(no))
            .map(|(f, (y, n))| if *f { y } else { n })
            .collect()
    }
    let data = match (yes.data.pick(&yes_at)?, no.data.pick(&no_at)?) {
        (Data::F32(y), Data::F32(n)) => Data::F32(merge(&flags, y, n)),
        (Data::F64(y), Data::F64(n)) => Data::F64(merge(&flags, y, n)),
        (y, _) => return Err(unfit(&y)),
    };
    Tensor::new(shape, data)
}

fn cast(x: &Tensor, to: i64) -> Computed {
    let to = Kind::of_code(to).ok_or("the type is not known")?;
    let numbers: Vec<f64> = match &x.data {
        Data::F32(v) => v.iter().map(|a| f64::from(*a)).collect(),
        Data::F64(v) => v.clone(),
        Data::I64(v) => v.iter().map(|a| *a as f64).collect(),
        Data::U8(v) => v.iter().map(|a| f64::from(*a)).collect(),
        Data::I8(v) => v.iter().map(|a| f64::from(*a)).collect(),
        Data::Bool(v) => v.iter().map(|a| f64::from(u8::from(*a))).collect(),
        Data::E4M3(v) => v.iter().map(|a| f64::from(Format::E4M3.decode(*a))).collect(),
        Data::E5M2(v) => v.iter().map(|a| f64::from(Format::E5M2.decode(*a))).collect(),
        Data::Text(_) => return Err(unfit(&x.data)),
    };
    let data = match to {
        Kind::F32 => Data::F32(numbers.into_iter().map(|a| a as f32).collect()),
        Kind::F64 => Data::F64(numbers),
        Kind::I64 => Data::I64(numbers.into_iter().map(|a| a as i64).collect()),
        other => return Err(format!("a cast to {} is not used", other.name())),
    };
    Tensor::new(x.shape.clone(), data)
}

/// Number of values before, at and after an axis.
fn around(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    let product = |s: &[usize]| s.iter().product::<usize>();
    let (before, rest) = shape.split_at(axis.min(shape.len()));
    (product(before), rest.first().copied().unwrap_or(1), product(rest.get(1..).unwrap_or(&[])))
}

fn concat(parts: &[&Tensor], axis: usize) -> Computed {
    let first = parts.first().ok_or("nothing to put together")?;
    let mut shape = first.shape.clone();
    let total = parts.iter().map(|p| p.shape.get(axis).copied().unwrap_or(0)).sum();
    *shape.get_mut(axis).ok_or("the axis is out of range")? = total;
    let (outer, _, _) = around(&first.shape, axis);
    fn join<T: Clone>(parts: &[(&[T], usize)], outer: usize) -> Vec<T> {
        let row = |o: usize| {
            parts
                .iter()
                .flat_map(move |(v, n)| v.get(o * n..(o + 1) * n).unwrap_or(&[]).iter().cloned())
        };
        (0..outer).flat_map(row).collect()
    }
    let step = |p: &Tensor| p.data.len() / outer.max(1);
    let data = match &first.data {
        Data::F32(_) => {
            let list: Vec<(&[f32], usize)> =
                parts.iter().map(|p| Ok((floats(p)?, step(p)))).collect::<Result<_, String>>()?;
            Data::F32(join(&list, outer))
        }
        Data::F64(_) => {
            let list: Vec<(&[f64], usize)> = parts
                .iter()
                .map(|p| match &p.data {
                    Data::F64(v) => Ok((v.as_slice(), step(p))),
                    other => Err(unfit(other)),
                })
                .collect::<Result<_, String>>()?;
            Data::F64(join(&list, outer))
        }
        other => return Err(unfit(other)),
    };
    Tensor::new(shape, data)
}

fn gather(x: &Tensor, index: &Tensor, axis: usize) -> Computed {
    let Data::I64(index_values) = &index.data else { return Err(unfit(&index.data)) };
    let (outer, size, inner) = around(&x.shape, axis);
    let mut at = Vec::with_capacity(outer * index_values.len() * inner);
    for o in 0..outer {
        for i in index_values {
            let i = if *i < 0 { i + size as i64 } else { *i };
            let i =
                usize::try_from(i).ok().filter(|i| *i < size).ok_or("an index is out of range")?;
            at.extend((0..inner).map(|k| (o * size + i) * inner + k));
        }
    }
    let (before, rest) = x.shape.split_at(axis);
    let shape = [before, &index.shape, rest.get(1..).unwrap_or(&[])].concat();
    Tensor::new(shape, x.data.pick(&at)?)
}

fn reshape(x: &Tensor, to: &Tensor) -> Computed {
    let Data::I64(to) = &to.data else { return Err(unfit(&to.data)) };
    let known: i64 = to.iter().filter(|d| **d > 0).product();
    let shape = to
        .iter()
        .map(|d| match d {
            -1 => Ok(x.data.len() / usize::try_from(known.max(1)).unwrap_or(1)),
            d => usize::try_from(*d).map_err(|_| "a size is negative".to_owned()),
        })
        .collect::<Result<_, String>>()?;
    Tensor::new(shape, x.data.clone())
}

fn transpose(x: &Tensor, node: &Node) -> Computed {
    let Some(Attribute::Ints(perm)) = node.attribute("perm") else {
        return Err("the setting perm is missing".to_owned());
    };
    let mut strides = vec![1; x.shape.len()];
    for i in (1..x.shape.len()).rev() {
        strides[i - 1] = strides[i] * x.shape[i];
    }
    let pick = |from: &[usize]| -> Result<Vec<usize>, String> {
        let get = |p: &i64| usize::try_from(*p).ok().and_then(|p| from.get(p).copied());
        perm.iter().map(get).collect::<Option<_>>().ok_or("an axis is out of range".to_owned())
    };
    let shape = pick(&x.shape)?;
    let at = positions(&shape, &pick(&strides)?);
    Tensor::new(shape, x.data.pick(&at)?)
}

fn label_encoder(node: &Node, x: &Tensor) -> Computed {
    let (Data::Text(cells), Some(Attribute::Texts(keys))) =
        (&x.data, node.attribute("keys_strings"))
    else {
        return Err("it does not map text".to_owned());
    };
    let mut index: HashMap<&str, usize> = HashMap::new();
    for (i, key) in keys.iter().enumerate() {
        index.entry(key).or_insert(i);
    }
    let find = |cell: &String| index.get(cell.as_str()).copied();
    let data = match (node.attribute("values_int64s"), node.attribute("values_floats")) {
        (Some(Attribute::Ints(values)), _) => {
            let other = whole(node, "default_int64")?;
            let get = |c| find(c).and_then(|i| values.get(i).copied()).unwrap_or(other);
            Data::I64(cells.iter().map(get).collect())
        }
        (_, Some(Attribute::Floats(values))) => {
            let Some(Attribute::Float(other)) = node.attribute("default_float") else {
                return Err("the setting default_float is missing".to_owned());
            };
            let get = |c| find(c).and_then(|i| values.get(i).copied()).unwrap_or(*other);
            Data::F32(cells.iter().map(get).collect())
        }
        _ => return Err("it has no values".to_owned()),
    };
    Tensor::new(x.shape.clone(), data)
}

fn dequantize(node: &Node, x: &Tensor, scale: &Tensor) -> Computed {
    let scales = floats(scale)?;
    let numbers = floats_of(&cast(x, Kind::F32.code())?)?;
    let values = if let [one] = scales {
        numbers.iter().map(|v| v * one).collect()
    } else {
        let (_, size, inner) = around(&x.shape, axis(node, x.shape.len())?);
        if size != scales.len() {
            return Err("there is not one scale per row".to_owned());
        }
        let scale = |i: usize| scales.get(i / inner.max(1) % size).copied().unwrap_or(f32::NAN);
        numbers.iter().enumerate().map(|(i, v)| v * scale(i)).collect()
    };
    Tensor::new(x.shape.clone(), Data::F32(values))
}

fn floats_of(x: &Tensor) -> Result<Vec<f32>, String> {
    floats(x).map(<[f32]>::to_vec)
}

fn quantize(x: &Tensor, scale: &Tensor, zero: &Tensor) -> Computed {
    let &[scale] = floats(scale)? else { return Err("it needs one scale".to_owned()) };
    let codes = |f: Format| floats(x).map(|v| v.iter().map(|x| f.encode(x / scale)).collect());
    let data = match zero.data {
        Data::E4M3(_) => Data::E4M3(codes(Format::E4M3)?),
        Data::E5M2(_) => Data::E5M2(codes(Format::E5M2)?),
        _ => return Err(unfit(&zero.data)),
    };
    Tensor::new(x.shape.clone(), data)
}

fn gemm(node: &Node, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Computed {
    let (x_values, depth) = rows(x)?;
    let (w, width) = rows(weight)?;
    if whole(node, "transB") != Ok(1) || width != depth {
        return Err("the weight does not fit".to_owned());
    }
    let outputs = w.len() / width;
    let zeros = vec![0.0; outputs];
    let bias = bias.map_or(Ok(zeros.as_slice()), floats)?;
    let mut out = vec![0.0_f32; x_values.len() / depth * outputs];
    out.par_chunks_mut(outputs.max(1)).zip(x_values.par_chunks(depth)).for_each(|(out, x)| {
        for ((o, w), b) in out.iter_mut().zip(w.chunks(width)).zip(bias) {
            *o = dot(x, w) + b;
        }
    });
    Tensor::new(vec![x_values.len() / depth, outputs], Data::F32(out))
}

/// In 16 sums side by side, which is also more exact than one.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (mut sums, (x, x_rest), (y, y_rest)) =
        ([0.0_f32; 16], a.as_chunks::<16>(), b.as_chunks::<16>());
    for (x, y) in x.iter().zip(y) {
        for ((s, x), y) in sums.iter_mut().zip(x).zip(y) {
            *s += x * y;
        }
    }
    sums.iter().sum::<f32>() + x_rest.iter().zip(y_rest).map(|(x, y)| x * y).sum::<f32>()
}

fn layer_norm(node: &Node, x: &Tensor, gain: &Tensor, shift: &Tensor) -> Computed {
    let Some(Attribute::Float(epsilon)) = node.attribute("epsilon") else {
        return Err("the setting epsilon is missing".to_owned());
    };
    let (values, width) = rows(x)?;
    let (gain, shift) = (floats(gain)?, floats(shift)?);
    let mut out = Vec::with_capacity(values.len());
    for row in values.chunks(width) {
        let n = width as f32;
        let mean = row.iter().sum::<f32>() / n;
        let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n;
        let inverse = 1.0 / (variance + epsilon).sqrt();
        out.extend(row.iter().zip(gain).zip(shift).map(|((v, g), s)| (v - mean) * inverse * g + s));
    }
    Tensor::new(x.shape.clone(), Data::F32(out))
}

fn softmax(values: &[f32], width: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for row in values.chunks(width.max(1)) {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f32> = row.iter().map(|v| (v - largest).exp()).collect();
        let sum: f32 = powers.iter().sum();
        out.extend(powers.iter().map(|p| p / sum));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f(shape: &[usize], values: &[f32]) -> Tensor {
        Tensor::new(shape.to_vec(), Data::F32(values.to_vec())).unwrap()
    }

    fn op(op: &str, x: &[&Tensor], attributes: &[(&str, Attribute)]) -> Computed {
        let attributes = attributes.iter().map(|(n, a)| ((*n).to_owned(), a.clone())).collect();
        compute(&Node { op: op.to_owned(), attributes, ..Node::default() }, x)
    }

    #[test]
    fn values_beside_each_other_are_spread() {
        let (a, b) = (f(&[2, 3], &[1., 2., 3., 4., 5., 6.]), f(&[1, 3], &[10., 20., 30.]));
        assert_eq!(op("Add", &[&a, &b], &[]).unwrap(), f(&[2, 3], &[11., 22., 33., 14., 25., 36.]));
        let column = f(&[2, 1], &[1., 2.]);
        assert_eq!(
            op("Mul", &[&column, &b], &[]).unwrap(),
            f(&[2, 3], &[10., 20., 30., 20., 40., 60.])
        );
        assert_eq!(op("Sub", &[&f(&[], &[1.]), &column], &[]).unwrap(), f(&[2, 1], &[0., -1.]));
        assert!(op("Add", &[&a, &f(&[2], &[1., 2.])], &[]).is_err());
        let flags = Tensor::new(vec![2, 1], Data::Bool(vec![true, false])).unwrap();
        assert_eq!(
            op("Where", &[&flags, &b, &column], &[]).unwrap(),
            f(&[2, 3], &[10., 20., 30., 2., 2., 2.])
        );
    }

    #[test]
    fn parts_are_moved() {
        let a = f(&[2, 3], &[1., 2., 3., 4., 5., 6.]);
        let index = Tensor::list(Data::I64(vec![2, 0]));
        let one = Attribute::Int(1);
        assert_eq!(
            op("Gather", &[&a, &index], &[("axis", one.clone())]).unwrap(),
            f(&[2, 2], &[3., 1., 6., 4.])
        );
        assert_eq!(
            op("Concat", &[&a, &f(&[2, 1], &[7., 8.])], &[("axis", one)]).unwrap(),
            f(&[2, 4], &[1., 2., 3., 7., 4., 5., 6., 8.])
        );
        let perm = ("perm", Attribute::Ints(vec![1, 0]));
        assert_eq!(op("Transpose", &[&a], &[perm]).unwrap(), f(&[3, 2], &[1., 4., 2., 5., 3., 6.]));
        let out = Tensor::list(Data::I64(vec![3]));
        assert!(op("Gather", &[&a, &out], &[("axis", Attribute::Int(1))]).is_err());
    }

    #[test]
    fn products_and_norms() {
        let (x, w) = (f(&[1, 2], &[1., 2.]), f(&[3, 2], &[1., 0., 0., 1., 2., 2.]));
        let bias = f(&[3], &[0.5, 0., -1.]);
        let trans = ("transB", Attribute::Int(1));
        assert_eq!(op("Gemm", &[&x, &w, &bias], &[trans]).unwrap(), f(&[1, 3], &[1.5, 2., 5.]));
        let settings = [("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(0.0))];
        let norm = op(
            "LayerNormalization",
            &[&f(&[1, 2], &[1., 3.]), &f(&[2], &[1., 2.]), &f(&[2], &[0., 1.])],
            &settings,
        );
        assert_eq!(norm.unwrap(), f(&[1, 2], &[-1., 3.]));
        let long: Vec<f32> = (0..37).map(|i| i as f32).collect();
        assert_eq!(dot(&long, &long), (0..37).map(|i| i * i).sum::<i32>() as f32);
    }

    #[test]
    fn codes_are_scaled_by_row() {
        let codes = Tensor::new(vec![2, 2], Data::E4M3(vec![0x38, 0x40, 0x38, 0xb8])).unwrap();
        let scale = f(&[2], &[1., 0.5]);
        let values = op("DequantizeLinear", &[&codes, &scale], &[("axis", Attribute::Int(0))]);
        assert_eq!(values.unwrap(), f(&[2, 2], &[1., 2., 0.5, -0.5]));
        // Held at the largest value, never infinite or no number.
        let zero = Tensor::scalar(Data::E4M3(vec![0]));
        let codes = op("QuantizeLinear", &[&f(&[2], &[2., 1e9]), &f(&[], &[2.]), &zero], &[]);
        assert_eq!(codes.unwrap().data, Data::E4M3(vec![0x38, 0x7e]));
    }
}
