//! Which bytes of a stretch of text are which signs, a bit per byte. Loops over these are compiled for
//! the widest vectors of the processor by their callers.

/// Bytes looked at together.
pub(super) const WIDE: usize = 64;

/// Delimiters and line feeds; line feeds alone.
#[inline(always)]
pub(super) fn ends(chunk: &[u8; WIDE], delimiter: u8) -> (u64, u64) {
    let (mut all, mut feeds) = (0, 0);
    for (i, part) in chunk.as_chunks::<16>().0.iter().enumerate() {
        let feed = equal(part, b'\n');
        all |= u64::from(feed | equal(part, delimiter)) << (16 * i);
        feeds |= u64::from(feed) << (16 * i);
    }
    (all, feeds)
}

/// Where one sign stands.
#[inline(always)]
pub(super) fn sign(chunk: &[u8; WIDE], sign: u8) -> u64 {
    let parts = chunk.as_chunks::<16>().0.iter().enumerate();
    parts.fold(0, |all, (i, part)| all | u64::from(equal(part, sign)) << (16 * i))
}

/// Signs of numbers and dates in a short cell.
pub(super) struct Signs {
    pub digits: u32,
    pub zeros: u32,
    pub points: u32,
    pub minus: u32,
}

#[inline(always)]
pub(super) fn signs(cell: &[u8; 16]) -> Signs {
    Signs {
        digits: u32::from(digits(cell)),
        zeros: u32::from(equal(cell, b'0')),
        points: u32::from(equal(cell, b'.')),
        minus: u32::from(equal(cell, b'-')),
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn equal(part: &[u8; 16], sign: u8) -> u16 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set1_epi8};
    let part = bytemuck::pod_read_unaligned(part);
    // SAFETY: every x86-64 processor has SSE2.
    unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(part, _mm_set1_epi8(sign.cast_signed()))) as u16 }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn digits(part: &[u8; 16]) -> u16 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_set1_epi8, _mm_sub_epi8,
    };
    let part = bytemuck::pod_read_unaligned(part);
    // SAFETY: every x86-64 processor has SSE2.
    unsafe {
        let value = _mm_sub_epi8(part, _mm_set1_epi8(b'0'.cast_signed()));
        _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(value, _mm_set1_epi8(9)), value)) as u16
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn equal(part: &[u8; 16], sign: u8) -> u16 {
    bits(part, |b| b == sign)
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn digits(part: &[u8; 16]) -> u16 {
    bits(part, |b| b.is_ascii_digit())
}

#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline(always)]
fn bits(part: &[u8; 16], is: impl Fn(u8) -> bool) -> u16 {
    part.iter().enumerate().fold(0, |bits, (i, b)| bits | (u16::from(is(*b)) << i))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_a_plain_loop() {
        for byte in 0..=255_u8 {
            for at in 0..16 {
                let mut part = *b"0.-9/:,\n\xb0\xb9\x8c\0az 5";
                part[at] = byte;
                assert_eq!(digits(&part), bits(&part, |b| b.is_ascii_digit()));
                for sign in [b'0', b'.', b',', b'\n', 0x1f, 0xb0] {
                    assert_eq!(equal(&part, sign), bits(&part, |b| b == sign));
                }
                let mut wide = [b'x'; WIDE];
                wide[at * 4] = byte;
                assert_eq!(sign(&wide, b'"'), u64::from(byte == b'"') << (at * 4));
                let bit = |yes: bool| u64::from(yes) << (at * 4);
                assert_eq!(
                    ends(&wide, b';'),
                    (bit(byte == b';' || byte == b'\n'), bit(byte == b'\n'))
                );
            }
        }
    }
}
