//! Bech32 as in BIP 173, the form of age's keys.

const LETTERS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

fn checksum(values: impl Iterator<Item = u8>) -> u32 {
    const G: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    values.fold(1, |sum: u32, value| {
        let top = sum >> 25;
        let sum = ((sum & 0x1ff_ffff) << 5) ^ u32::from(value);
        G.iter().enumerate().filter(|(i, _)| top >> i & 1 == 1).fold(sum, |s, (_, g)| s ^ g)
    })
}

fn prefix_values(prefix: &str) -> impl Iterator<Item = u8> + '_ {
    prefix.bytes().map(|b| b >> 5).chain([0]).chain(prefix.bytes().map(|b| b & 31))
}

/// Bits in groups of `from` to groups of `to`; `None` if what is left over is not zero.
fn regroup(data: &[u8], from: u32, to: u32, pad: bool) -> Option<Vec<u8>> {
    let (mut bits, mut count, mut out) = (0u32, 0, Vec::new());
    for value in data {
        bits = (bits << from | u32::from(*value)) & 0xffff;
        count += from;
        while count >= to {
            count -= to;
            out.push((bits >> count & ((1 << to) - 1)) as u8);
        }
    }
    if pad && count > 0 {
        out.push((bits << (to - count) & ((1 << to) - 1)) as u8);
    } else if !pad && (count >= from || bits & ((1 << count) - 1) != 0) {
        return None;
    }
    Some(out)
}

/// Small letters; `prefix` must be of small letters.
pub(super) fn encode(prefix: &str, data: &[u8]) -> String {
    let mut values = regroup(data, 8, 5, true).unwrap_or_default();
    let sum = checksum(prefix_values(prefix).chain(values.iter().copied()).chain([0; 6])) ^ 1;
    values.extend((0..6).map(|i| (sum >> (5 * (5 - i)) & 31) as u8));
    let letter = |v: &u8| LETTERS.get(usize::from(*v)).map_or('q', |b| char::from(*b));
    format!("{prefix}1{}", values.iter().map(letter).collect::<String>())
}

/// The data behind `prefix`, in small or in capital letters.
pub(super) fn decode(prefix: &str, text: &str) -> Option<Vec<u8>> {
    let small = text.to_lowercase();
    if text != small && text != text.to_uppercase() {
        return None;
    }
    let rest = small.strip_prefix(prefix)?.strip_prefix('1')?;
    let value = |b: u8| LETTERS.iter().position(|l| *l == b).map(|i| i as u8);
    let values: Vec<u8> = rest.bytes().map(value).collect::<Option<_>>()?;
    if checksum(prefix_values(prefix).chain(values.iter().copied())) != 1 {
        return None;
    }
    regroup(values.get(..values.len().checked_sub(6)?)?, 5, 8, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_and_written() {
        // BIP 173's example without data, and data of all lengths there and back.
        assert_eq!(decode("a", "A12UEL5L").unwrap(), Vec::<u8>::new());
        for len in 0..40 {
            let data: Vec<u8> = (0..len).map(|i| i * 37 + 11).collect();
            let text = encode("age", &data);
            assert_eq!(decode("age", &text).unwrap(), data);
            assert_eq!(decode("age", &text.to_uppercase()).unwrap(), data);
            assert_eq!(decode("agf", &text), None);
            let last = text.len() - 1;
            let wrong = if text.ends_with('q') { "p" } else { "q" };
            assert_eq!(decode("age", &format!("{}{wrong}", &text[..last])), None);
        }
        assert_eq!(decode("a", "A12uEL5L"), None);
        assert_eq!(decode("a", ""), None);
    }
}
