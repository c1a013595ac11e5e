//! The codec against recorded results of ml_dtypes (tests/golden/fp8_codec.py).

use fp8_studio::fp8::{Format, slice};

const RECORDED: &str = include_str!("../golden/fp8_codec.txt");

/// One recorded line.
#[derive(Clone, Copy, Debug)]
enum Case {
    Decode { format: Format, code: u8, bits: u32 },
    Encode { format: Format, bits: u32, exponent: i32, code: u8 },
}

fn parse(line: &str) -> Case {
    let word = |text| u32::from_str_radix(text, 16).unwrap();
    let code = |text| u8::from_str_radix(text, 16).unwrap();
    let format = |text| Format::ALL.into_iter().find(|f| f.name() == text).unwrap();
    match line.split(' ').collect::<Vec<_>>()[..] {
        ["decode", f, c, bits] => {
            Case::Decode { format: format(f), code: code(c), bits: word(bits) }
        }
        ["encode", f, bits, exponent, c] => Case::Encode {
            format: format(f),
            bits: word(bits),
            exponent: exponent.parse().unwrap(),
            code: code(c),
        },
        _ => panic!("not a case: {line}"),
    }
}

/// Replays one case on the one-element codec and on slices.
fn replay(case: Case) -> Result<(), String> {
    let agree = match case {
        Case::Decode { format, code, bits } => {
            let mut slice_out = [0.0];
            slice::decode(format, &[code], 1.0, &mut slice_out);
            let same = |x: f32| {
                x.to_bits() == bits
                    || (x.is_nan() && f32::from_bits(bits).is_nan())
                        && x.is_sign_negative() == (bits >> 31 == 1)
            };
            same(format.decode(code)) && same(slice_out[0])
        }
        Case::Encode { format, bits, exponent, code } => {
            let mut slice_out = [0];
            slice::encode(format, &[bits], exponent, &mut slice_out);
            format.encode_scaled(bits, exponent) == code && slice_out[0] == code
        }
    };
    if agree { Ok(()) } else { Err(format!("{case:?}")) }
}

#[test]
fn every_recorded_case_is_reproduced() {
    let cases: Vec<Case> = RECORDED.lines().map(parse).collect();
    for format in Format::ALL {
        let decoded = |c: &&Case| matches!(c, Case::Decode { format: f, .. } if *f == format);
        let encoded = |c: &&Case| matches!(c, Case::Encode { format: f, .. } if *f == format);
        assert_eq!(cases.iter().filter(decoded).count(), 256);
        assert!(cases.iter().filter(encoded).count() > 3000);
    }
    // The edges are among them.
    for edge in
        ["7f800000 0 7e", "ff800000 0 fb", "7fc00000 0 7f", "00000001 0 00", "80000000 0 80"]
    {
        assert!(RECORDED.lines().any(|l| l.starts_with("encode") && l.ends_with(edge)), "{edge}");
    }
    let wrong: Vec<String> = cases.iter().filter_map(|c| replay(*c).err()).collect();
    assert!(wrong.is_empty(), "{} wrong, first {}", wrong.len(), wrong[0]);
}

#[test]
fn a_changed_recording_is_noticed() {
    for case in RECORDED.lines().map(parse) {
        let changed = match case {
            Case::Decode { format, code, bits } => {
                Case::Decode { format, code, bits: bits ^ 0x8000_0000 }
            }
            Case::Encode { format, bits, exponent, code } => {
                Case::Encode { format, bits, exponent, code: code ^ 1 }
            }
        };
        assert!(replay(changed).is_err(), "{changed:?}");
    }
}
