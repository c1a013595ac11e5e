//! Does this adapter compute what it should? Every probe compares bits with the native codec; an
//! adapter that fails one is not used.

use serde::{Deserialize, Serialize};

use super::adapter::candidates;
use super::gpu::Gpu;
use super::launch::Kernel;
use super::{AdapterInfo, Capabilities, shader};
use crate::error::EngineError;
use crate::fp8::{Format, hash};

/// Outcome of one probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What was probed.
    pub name: String,
    /// Whether every value was right.
    pub passed: bool,
    /// Values compared, or the first wrong one.
    pub message: String,
}

/// Report of a self-test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfTest {
    /// The adapter.
    pub adapter: AdapterInfo,
    /// All probes.
    pub probes: Vec<Probe>,
    /// Whether f32 subnormals survive arithmetic. Information only: the kernels are right either
    /// way.
    pub keeps_subnormals: bool,
}

impl SelfTest {
    /// Whether every probe passed.
    pub fn passed(&self) -> bool {
        self.probes.iter().all(|p| p.passed)
    }

    /// The report, or the first failing probe as an error.
    pub fn into_result(self) -> Result<Self, EngineError> {
        match self.probes.iter().find(|p| !p.passed) {
            None => Ok(self),
            Some(bad) => Err(EngineError::SelfTest {
                adapter: self.adapter.name,
                what: format!("{}: {}", bad.name, bad.message),
            }),
        }
    }
}

/// Runs all probes. An error means that the adapter could not run them at all.
pub fn self_test(gpu: &mut Gpu) -> Result<SelfTest, EngineError> {
    run(gpu, &Expected::native())
}

/// One adapter with what it can do and whether it computes correctly.
#[derive(Debug)]
pub struct Inspection {
    /// The adapter.
    pub info: AdapterInfo,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Its self-test, or why that could not run.
    pub self_test: Result<SelfTest, EngineError>,
}

/// Opens and tests every adapter, software ones too, best first. Takes about a second each.
pub fn inspect() -> Vec<Inspection> {
    candidates()
        .into_iter()
        .map(|candidate| {
            let (info, capabilities) = (candidate.info.clone(), candidate.capabilities.clone());
            let self_test = match capabilities.lacking() {
                Some(lack) => Err(EngineError::NoAdapter(format!("{}: {lack}", info.name))),
                None => Gpu::open(candidate).and_then(|mut gpu| self_test(&mut gpu)),
            };
            Inspection { info, capabilities, self_test }
        })
        .collect()
}

const SCALES: [i32; 5] = [0, 3, -9, 126, -126];
/// Sizes of the probed product.
const GEMM: [u32; 3] = [19, 21, 37];

/// What the adapter must answer.
struct Expected {
    decode: Vec<u32>,
    inputs: Vec<u32>,
    /// One vector per entry of [`SCALES`].
    encode: Vec<Vec<u32>>,
    gemm_a: Vec<u32>,
    gemm_b: Vec<u32>,
    gemm: Vec<u32>,
}

impl Expected {
    fn native() -> Self {
        let decode = Format::ALL
            .iter()
            .flat_map(|f| (0..=255u8).map(|code| f.decode(code).to_bits()))
            .collect();
        let inputs = encode_inputs();
        let encode = SCALES.iter().map(|&e| encode_all(&inputs, e)).collect();
        let [m, n, k] = GEMM;
        let gemm_a = pack(m, k, |i, j| Format::E4M3.encode(left(i, j)));
        let gemm_b = pack(n, k, |i, j| Format::E5M2.encode(right(i, j)));
        let cells = (0..m).flat_map(|i| (0..n).map(move |j| (i, j)));
        let gemm = cells
            .map(|(i, j)| (0..k).map(|l| left(i, l) * right(j, l)).sum::<f32>())
            // Scales of the two operands: 2^3 and 2^-5.
            .map(|sum| (sum * 0.25).to_bits())
            .collect();
        Self { decode, inputs, encode, gemm_a, gemm_b, gemm }
    }
}

/// Small numbers that both formats hold and whose sums of products f32 holds exactly.
fn left(i: u32, j: u32) -> f32 {
    ((i * 7 + j * 3) % 15) as f32 - 7.0
}

fn right(i: u32, j: u32) -> f32 {
    [0.5, -1.0, 2.0, 1.5, -3.0, 0.0][((i * 5 + j) % 6) as usize]
}

fn pack(rows: u32, cols: u32, code: impl Fn(u32, u32) -> u8) -> Vec<u32> {
    let mut words = Vec::new();
    for i in 0..rows {
        for word in 0..cols.div_ceil(4) {
            let byte = |b: u32| {
                let j = 4 * word + b;
                if j < cols { code(i, j) } else { 0 }
            };
            words.push(u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)]));
        }
    }
    words
}

/// Every code's value, the ties between neighbours and the numbers just beside the ties, in both
/// signs; then the edges of f32.
fn encode_inputs() -> Vec<u32> {
    let mut inputs = Vec::new();
    for format in Format::ALL {
        for code in 0..format.max_code() {
            let (low, high) = (format.decode(code), format.decode(code + 1));
            let tie = low + (high - low) / 2.0;
            for bits in [low.to_bits(), tie.to_bits() - 1, tie.to_bits(), tie.to_bits() + 1] {
                inputs.extend([bits, bits | 0x8000_0000]);
            }
        }
        let max = format.max().to_bits();
        inputs.extend([max, max + 1, max | 0x8000_0000, max + 0x0010_0000, max + 0x0080_0000]);
    }
    // Zero, subnormals, the smallest and largest normal, infinities, quiet and signalling NaNs.
    for bits in [
        0,
        1,
        0x0040_0000,
        0x007f_ffff,
        0x0080_0000,
        0x0080_0001,
        0x7f7f_ffff,
        0x7f80_0000,
        0x7f80_0001,
        0x7fc0_0000,
        0x7fff_ffff,
    ] {
        inputs.extend([bits, bits | 0x8000_0000]);
    }
    inputs
}

fn encode_all(inputs: &[u32], exponent: i32) -> Vec<u32> {
    let key = hash::key(1, 2, hash::ROUNDING_STREAM + 3);
    let mut out = Vec::with_capacity(4 * inputs.len());
    for (i, &bits) in inputs.iter().enumerate() {
        let random = hash::bits(key, i as u32);
        let codes = Format::ALL.map(|f| f.encode_scaled(bits, exponent));
        let dithered = Format::ALL.map(|f| f.encode_stochastic(bits, exponent, random));
        out.extend(codes.into_iter().chain(dithered).map(u32::from));
    }
    out
}

/// Compares words; the message names the first wrong one through `place`.
fn compare(name: &str, got: &[u32], want: &[u32], place: impl Fn(usize) -> String) -> Probe {
    let wrong = got.iter().zip(want).position(|(g, w)| g != w);
    let (passed, message) = match wrong {
        _ if got.len() != want.len() => {
            (false, format!("{} values came back, {} expected", got.len(), want.len()))
        }
        Some(i) => {
            (false, format!("{}: got {:#010x}, expected {:#010x}", place(i), got[i], want[i]))
        }
        None => (true, format!("{} values are exact", got.len())),
    };
    Probe { name: name.to_owned(), passed, message }
}

fn run(gpu: &mut Gpu, expected: &Expected) -> Result<SelfTest, EngineError> {
    let mut probes = Vec::new();
    let source = shader::source("self_test", &[("LANES", shader::LANES)]);
    let kernel =
        |entry| Kernel { shader: "self_test", source: &source, entry, written: &[false, true] };

    let got = call(gpu, &kernel("decode"), &[&[0]], 512, &[512, 0], [2, 1, 1])?;
    probes.push(compare("decode", &got, &expected.decode, |i| {
        format!("{} code {:#04x}", Format::ALL[i / 256 % 2].name(), i % 256)
    }));

    let inputs = &expected.inputs;
    let count = inputs.len() as u32;
    for (&exponent, want) in SCALES.iter().zip(&expected.encode) {
        let params = [count, exponent as u32];
        let groups = [count.div_ceil(shader::LANES), 1, 1];
        let got = call(gpu, &kernel("encode"), &[inputs], 4 * inputs.len(), &params, groups)?;
        let name = format!("encode with scale 2^{exponent}");
        probes.push(compare(&name, &got, want, |i| {
            let rounding = if i % 4 < 2 { "nearest" } else { "stochastic" };
            let format = Format::ALL[i % 2].name();
            format!("{format} {rounding} of {:#010x}", inputs.get(i / 4).copied().unwrap_or(0))
        }));
    }

    probes.push(gemm(gpu, expected)?);

    // 2^-126 / 2, and the subnormal 2^-127 times 1.
    let factors = [0x0080_0000, 0x0040_0000, 0.5f32.to_bits(), 1f32.to_bits()];
    let got = call(gpu, &kernel("subnormal"), &[&factors], 2, &[2, 0], [1, 1, 1])?;
    let keeps_subnormals = got == [0x0040_0000, 0x0040_0000];
    Ok(SelfTest { adapter: gpu.info().clone(), probes, keeps_subnormals })
}

/// A product of odd sizes, B transposed, one scale per matrix.
fn gemm(gpu: &mut Gpu, expected: &Expected) -> Result<Probe, EngineError> {
    let [m, n, k] = GEMM;
    let constants = [
        ("A_FORMAT", 1),
        ("B_FORMAT", 2),
        ("A_SCALE", 0),
        ("B_SCALE", 0),
        ("A_WIDE", 0),
        ("B_WIDE", 0),
        ("A_TRANSPOSED", 0),
        ("B_TRANSPOSED", 1),
        ("OUTSIDE", 1),
        ("TILE_M", 16),
        ("TILE_N", 16),
        ("DEPTH", 16),
        ("THREADS", 64),
        ("HALF", 0),
        ("UNITS", 0),
        ("SPLIT", 0),
        ("LANES", shader::LANES),
    ];
    let source = shader::source("gemm", &constants);
    let written = &[false, false, false, false, true];
    let kernel = Kernel { shader: "gemm", source: &source, entry: "gemm_1", written };
    let (down, across) = (m.div_ceil(16), n.div_ceil(16));
    let params = [m, n, k, down, across, k, m, k, m, k, n, k, n, k];
    let inputs: [&[u32]; 4] = [&expected.gemm_a, &[3], &expected.gemm_b, &[-5i32 as u32]];
    let groups = [down * across, 1, 1];
    let got = call(gpu, &kernel, &inputs, (m * n) as usize, &params, groups)?;
    Ok(compare("matrix product", &got, &expected.gemm, |i| {
        format!("row {}, column {}", i as u32 / n, i as u32 % n)
    }))
}

/// Runs one kernel on fresh buffers and returns its output, the last buffer.
fn call(
    gpu: &mut Gpu,
    kernel: &Kernel<'_>,
    inputs: &[&[u32]],
    out_words: usize,
    params: &[u32],
    groups: [u32; 3],
) -> Result<Vec<u32>, EngineError> {
    let mut buffers = Vec::with_capacity(inputs.len() + 1);
    for words in inputs {
        let buffer = gpu.storage("self-test input", words.len())?;
        gpu.upload(&buffer, words)?;
        buffers.push(buffer);
    }
    let out = gpu.storage("self-test output", out_words)?;
    let all = buffers.iter().chain([&out]);
    let bound: Vec<_> = all.map(|buffer| buffer.as_entire_buffer_binding()).collect();
    let launch = gpu.launch(kernel, &bound, params, groups)?;
    gpu.submit(|encoder| launch.record(&mut encoder.begin_compute_pass(&Default::default())))?;
    gpu.download(&out, out_words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::adapter::tests::any_adapter;

    fn gpu() -> Gpu {
        Gpu::open(any_adapter()).unwrap()
    }

    #[test]
    fn the_adapter_passes_every_probe() {
        let report = self_test(&mut gpu()).unwrap();
        assert_eq!(report.probes.len(), 2 + SCALES.len());
        for probe in &report.probes {
            assert!(probe.passed, "{}: {}", probe.name, probe.message);
        }
        assert!(report.into_result().is_ok());
    }

    #[test]
    fn every_adapter_is_inspected() {
        let all = inspect();
        assert_eq!(all.len(), crate::device::adapters().len());
        assert!(all.iter().any(|i| i.self_test.as_ref().is_ok_and(SelfTest::passed)));
    }

    #[test]
    fn a_planted_wrong_value_fails_each_probe() {
        let mut gpu = gpu();
        let fails = |gpu: &mut Gpu, expected: &Expected, name: &str| {
            let report = run(gpu, expected).unwrap();
            let bad: Vec<_> = report.probes.iter().filter(|p| !p.passed).collect();
            assert_eq!(bad.len(), 1, "{bad:?}");
            assert_eq!(bad[0].name, name);
            let error = report.into_result().unwrap_err();
            assert!(matches!(error, EngineError::SelfTest { .. }));
            error.to_string()
        };

        let mut expected = Expected::native();
        expected.decode[256 + 0x3c] ^= 1;
        let text = fails(&mut gpu, &expected, "decode");
        assert!(text.contains("E5M2 code 0x3c"), "{text}");

        let mut expected = Expected::native();
        *expected.encode[1].last_mut().unwrap() ^= 0x80;
        let text = fails(&mut gpu, &expected, "encode with scale 2^3");
        assert!(text.contains("E5M2 stochastic of 0xffffffff"), "{text}");

        let mut expected = Expected::native();
        expected.gemm[22] += 1;
        let text = fails(&mut gpu, &expected, "matrix product");
        assert!(text.contains("row 1, column 1"), "{text}");
    }

    #[test]
    fn a_lost_device_is_an_error() {
        let mut gpu = gpu();
        gpu.destroy();
        assert!(matches!(self_test(&mut gpu), Err(EngineError::DeviceLost(_))));
    }

    #[test]
    fn the_probes_cover_ties_saturation_and_special_values() {
        let inputs = encode_inputs();
        let codes = |f: Format| inputs.iter().map(move |&b| f.encode_scaled(b, 0));
        for format in Format::ALL {
            let seen: std::collections::HashSet<u8> = codes(format).collect();
            for code in 0..=format.max_code() {
                assert!(seen.contains(&code) && seen.contains(&(code | 0x80)), "{code:#x}");
            }
            assert!(inputs.iter().any(|&b| format.saturates(b, 0)));
        }
    }
}
