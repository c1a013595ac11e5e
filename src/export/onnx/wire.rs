//! The few parts of the protocol buffer wire format that an ONNX file needs.
//! (<https://protobuf.dev/programming-guides/encoding/>)

/// Nested messages deeper than this are refused.
const MAX_FIELD: u64 = 1 << 29;

/// A message being written.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn key(&mut self, field: u32, kind: u32) {
        self.varint(u64::from(field << 3 | kind));
    }

    pub(super) fn int(&mut self, field: u32, value: i64) {
        self.key(field, 0);
        self.varint(value as u64);
    }

    pub(super) fn float(&mut self, field: u32, value: f32) {
        self.key(field, 5);
        self.bytes.extend(value.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, field: u32, value: &[u8]) {
        self.key(field, 2);
        self.varint(value.len() as u64);
        self.bytes.extend(value);
    }

    pub(super) fn text(&mut self, field: u32, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    pub(super) fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        write(&mut inner);
        self.bytes(field, &inner.bytes);
    }
}

/// One field of a message as it was read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Int(i64),
    Fixed64,
    Bytes(&'a [u8]),
    Float(f32),
}

impl<'a> Value<'a> {
    pub(super) fn int(self) -> Result<i64, String> {
        match self {
            Self::Int(value) => Ok(value),
            _ => Err("a number has the wrong encoding".to_owned()),
        }
    }

    pub(super) fn float(self) -> Result<f32, String> {
        match self {
            Self::Float(value) => Ok(value),
            _ => Err("a number has the wrong encoding".to_owned()),
        }
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], String> {
        match self {
            Self::Bytes(value) => Ok(value),
            _ => Err("a part has the wrong encoding".to_owned()),
        }
    }

    pub(super) fn text(self) -> Result<String, String> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| "a name is not text".to_owned())
    }

    /// One number, or several in the packed encoding, added to `list`.
    pub(super) fn ints(self, list: &mut Vec<i64>) -> Result<(), String> {
        match self {
            Self::Int(value) => list.push(value),
            Self::Bytes(bytes) => {
                let mut reader = Reader { bytes };
                while !reader.bytes.is_empty() {
                    list.push(reader.varint()? as i64);
                }
            }
            _ => return Err("a list has the wrong encoding".to_owned()),
        }
        Ok(())
    }

    /// As [`Value::ints`], of 32-bit floating point.
    pub(super) fn floats(self, list: &mut Vec<f32>) -> Result<(), String> {
        match self {
            Self::Float(value) => list.push(value),
            Self::Bytes(bytes) => {
                let (words, rest) = bytes.as_chunks::<4>();
                if !rest.is_empty() {
                    return Err("a list is cut short".to_owned());
                }
                list.extend(words.iter().map(|w| f32::from_le_bytes(*w)));
            }
            _ => return Err("a list has the wrong encoding".to_owned()),
        }
        Ok(())
    }
}

/// A message being read, field by field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (head, rest) =
            self.bytes.split_at_checked(count).ok_or_else(|| "it is cut short".to_owned())?;
        self.bytes = rest;
        Ok(head)
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?.first().copied().unwrap_or(0);
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a number in it is too long".to_owned())
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), String> {
        let key = self.varint()?;
        let field = key >> 3;
        if field == 0 || field >= MAX_FIELD {
            return Err("it is not in the ONNX format".to_owned());
        }
        let value = match key & 7 {
            0 => Value::Int(self.varint()? as i64),
            1 => {
                self.take(8)?;
                Value::Fixed64
            }
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).map_err(|_| "it is cut short".to_owned())?;
                Value::Bytes(self.take(length)?)
            }
            5 => {
                let bytes = self.take(4)?;
                Value::Float(bytes.first_chunk().map_or(f32::NAN, |b| f32::from_le_bytes(*b)))
            }
            _ => return Err("it is not in the ONNX format".to_owned()),
        };
        Ok((field as u32, value))
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<(u32, Value<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.bytes = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back() {
        let mut w = Writer::default();
        w.int(1, -3);
        w.int(2, 300);
        w.float(3, 1.5);
        w.text(4, "é");
        w.message(5, |m| m.int(1, 7));
        let bytes = w.finish();
        // The encoding of 300 in the specification.
        assert_eq!(bytes[11..14], [0x10, 0xac, 0x02]);
        let fields: Vec<_> = Reader::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(fields.iter().map(|f| f.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert_eq!(fields[0].1.int(), Ok(-3));
        assert_eq!(fields[2].1.float(), Ok(1.5));
        assert_eq!(fields[3].1.text().unwrap(), "é");
        let inner = Reader::new(fields[4].1.bytes().unwrap()).next().unwrap().unwrap();
        assert_eq!(inner.1.int(), Ok(7));
        assert!(fields[0].1.bytes().is_err() && fields[4].1.int().is_err());
    }

    #[test]
    fn packed_and_unpacked_lists_read_alike() {
        let (mut ints, mut floats) = (vec![], vec![]);
        Value::Bytes(&[0xac, 0x02, 5]).ints(&mut ints).unwrap();
        Value::Int(9).ints(&mut ints).unwrap();
        assert_eq!(ints, [300, 5, 9]);
        Value::Bytes(&2.5_f32.to_le_bytes()).floats(&mut floats).unwrap();
        Value::Float(1.0).floats(&mut floats).unwrap();
        assert_eq!(floats, [2.5, 1.0]);
        assert!(Value::Bytes(&[0xac]).ints(&mut ints).is_err());
        assert!(Value::Bytes(&[1, 2, 3]).floats(&mut floats).is_err());
    }

    #[test]
    fn no_bytes_make_reading_panic() {
        let mut w = Writer::default();
        w.message(5, |m| m.text(4, "some words"));
        w.float(9, 1.0);
        let whole = w.finish();
        for at in 0..whole.len() {
            let cut: Result<Vec<_>, _> = Reader::new(&whole[..at]).collect();
            assert!(at == 0 || at == 14 || cut.is_err(), "{at}");
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                let _ = Reader::new(&bytes).count();
            }
        }
    }
}
