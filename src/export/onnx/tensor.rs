//! Tensors of an ONNX model.

/// Element types in use here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 32-bit floating point.
    F32,
    /// 8-bit whole numbers from 0.
    U8,
    /// 8-bit whole numbers.
    I8,
    /// 64-bit whole numbers.
    I64,
    /// Text.
    Text,
    /// True or false.
    Bool,
    /// 64-bit floating point.
    F64,
    /// FLOAT8E4M3FN.
    E4M3,
    /// FLOAT8E5M2.
    E5M2,
}

const CODES: [(Kind, i64, &str); 9] = [
    (Kind::F32, 1, "FLOAT"),
    (Kind::U8, 2, "UINT8"),
    (Kind::I8, 3, "INT8"),
    (Kind::I64, 7, "INT64"),
    (Kind::Text, 8, "STRING"),
    (Kind::Bool, 9, "BOOL"),
    (Kind::F64, 11, "DOUBLE"),
    (Kind::E4M3, 17, "FLOAT8E4M3FN"),
    (Kind::E5M2, 19, "FLOAT8E5M2"),
];

impl Kind {
    /// Number of the type in `TensorProto.DataType`.
    pub fn code(self) -> i64 {
        CODES.iter().find(|c| c.0 == self).map_or(0, |c| c.1)
    }

    /// Name of the type in `TensorProto.DataType`.
    pub fn name(self) -> &'static str {
        CODES.iter().find(|c| c.0 == self).map_or("", |c| c.2)
    }

    /// The type with a number, if it is in use here.
    pub fn of_code(code: i64) -> Option<Self> {
        CODES.iter().find(|c| c.1 == code).map(|c| c.0)
    }
}

/// Values of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// 32-bit floating point.
    F32(Vec<f32>),
    /// 8-bit whole numbers from 0.
    U8(Vec<u8>),
    /// 8-bit whole numbers.
    I8(Vec<i8>),
    /// 64-bit whole numbers.
    I64(Vec<i64>),
    /// Text.
    Text(Vec<String>),
    /// True or false.
    Bool(Vec<bool>),
    /// 64-bit floating point.
    F64(Vec<f64>),
    /// FLOAT8E4M3FN codes.
    E4M3(Vec<u8>),
    /// FLOAT8E5M2 codes.
    E5M2(Vec<u8>),
}

/// Bytes cut into numbers of `N` bytes; `None` if some are left over.
fn words<const N: usize, T>(bytes: &[u8], make: impl Fn([u8; N]) -> T) -> Option<Vec<T>> {
    let (words, rest) = bytes.as_chunks::<N>();
    rest.is_empty().then(|| words.iter().map(|w| make(*w)).collect())
}

impl Data {
    /// Element type.
    pub fn kind(&self) -> Kind {
        match self {
            Self::F32(_) => Kind::F32,
            Self::U8(_) => Kind::U8,
            Self::I8(_) => Kind::I8,
            Self::I64(_) => Kind::I64,
            Self::Text(_) => Kind::Text,
            Self::Bool(_) => Kind::Bool,
            Self::F64(_) => Kind::F64,
            Self::E4M3(_) => Kind::E4M3,
            Self::E5M2(_) => Kind::E5M2,
        }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::U8(v) | Self::E4M3(v) | Self::E5M2(v) => v.len(),
            Self::I8(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::Text(v) => v.len(),
            Self::Bool(v) => v.len(),
            Self::F64(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Little-endian bytes; `None` for text.
    pub(super) fn to_raw(&self) -> Option<Vec<u8>> {
        Some(match self {
            Self::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::F64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::I64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::I8(v) => v.iter().map(|x| *x as u8).collect(),
            Self::Bool(v) => v.iter().map(|x| u8::from(*x)).collect(),
            Self::U8(v) | Self::E4M3(v) | Self::E5M2(v) => v.clone(),
            Self::Text(_) => return None,
        })
    }

    pub(super) fn from_raw(kind: Kind, raw: &[u8]) -> Option<Self> {
        Some(match kind {
            Kind::F32 => Self::F32(words(raw, f32::from_le_bytes)?),
            Kind::F64 => Self::F64(words(raw, f64::from_le_bytes)?),
            Kind::I64 => Self::I64(words(raw, i64::from_le_bytes)?),
            Kind::I8 => Self::I8(raw.iter().map(|x| *x as i8).collect()),
            Kind::Bool => Self::Bool(raw.iter().map(|x| *x != 0).collect()),
            Kind::U8 => Self::U8(raw.to_vec()),
            Kind::E4M3 => Self::E4M3(raw.to_vec()),
            Kind::E5M2 => Self::E5M2(raw.to_vec()),
            Kind::Text => return None,
        })
    }

    /// The values at these positions; positions that do not exist are an error.
    pub(super) fn pick(&self, at: &[usize]) -> Result<Self, String> {
        fn of<T: Clone>(values: &[T], at: &[usize]) -> Result<Vec<T>, String> {
            let get = |i: &usize| values.get(*i).cloned();
            at.iter().map(get).collect::<Option<_>>().ok_or("a position is out of range".to_owned())
        }
        Ok(match self {
            Self::F32(v) => Self::F32(of(v, at)?),
            Self::F64(v) => Self::F64(of(v, at)?),
            Self::I64(v) => Self::I64(of(v, at)?),
            Self::I8(v) => Self::I8(of(v, at)?),
            Self::U8(v) => Self::U8(of(v, at)?),
            Self::E4M3(v) => Self::E4M3(of(v, at)?),
            Self::E5M2(v) => Self::E5M2(of(v, at)?),
            Self::Bool(v) => Self::Bool(of(v, at)?),
            Self::Text(v) => Self::Text(of(v, at)?),
        })
    }
}

/// A tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Dimensions; none for a single value.
    pub shape: Vec<usize>,
    /// Values, the last dimension innermost.
    pub data: Data,
}

impl Tensor {
    /// A tensor; the values must fill the shape.
    pub fn new(shape: Vec<usize>, data: Data) -> Result<Self, String> {
        let wanted = shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d));
        if wanted != Some(data.len()) {
            return Err(format!("{} values do not fill {shape:?}", data.len()));
        }
        Ok(Self { shape, data })
    }

    /// A list.
    pub(super) fn list(data: Data) -> Self {
        Self { shape: vec![data.len()], data }
    }

    /// A single value.
    pub(super) fn scalar(data: Data) -> Self {
        Self { shape: Vec::new(), data }
    }

    /// One row of values.
    pub(super) fn row(data: Data) -> Self {
        Self { shape: vec![1, data.len()], data }
    }
}
