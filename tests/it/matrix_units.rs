//! Products on matrix units. Few adapters have them, so the shader is validated and translated
//! everywhere, and run where `--ignored` asks for it: then an adapter without them is a failure.

use fp8_studio::device::adapter::{Capabilities, MatrixUnits};
use fp8_studio::device::{self, Gpu};
use fp8_studio::engine::wgpu::WgpuEngine;
use fp8_studio::engine::{Engine, EngineInfo, tune};
use fp8_studio::fp8::{Format, Recipe};
use fp8_studio::kernels::gemm::Gemm;
use fp8_studio::kernels::{BufferId, Op};
use naga::valid::{Capabilities as Can, ValidationFlags, Validator};

use crate::gpu_kernels::{Stored, TRANSPOSES, inner};
use crate::pair::{Layout, gpu};
use crate::tuning::{sized, trained};

const CODES: [Stored; 3] =
    [Stored::Whole(Format::E4M3), Stored::Rows(Format::E5M2), Stored::Rows(Format::E4M3)];

fn product(l: &mut Layout, [m, n, k]: [u32; 3], transposed: [bool; 2], stored: Stored) -> Gemm {
    let a = inner(l, (m, k), transposed[0], stored, true);
    let b = inner(l, (k, n), transposed[1], stored, false);
    Gemm { a, b, out: l.out((m * n) as usize), m, n, k, all_m: m }
}

/// Validates a shader and translates it to SPIR-V.
fn translate(source: &str) -> Result<Vec<u32>, String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|e| e.emit_to_string(source))?;
    let can = Can::COOPERATIVE_MATRIX | Can::SHADER_FLOAT16 | Can::SUBGROUP;
    let mut validator = Validator::new(ValidationFlags::all(), can);
    validator.subgroup_stages(naga::valid::ShaderStages::COMPUTE);
    validator.subgroup_operations(naga::valid::SubgroupOperationSet::all());
    let info = validator.validate(&module).map_err(|e| e.emit_to_string(source))?;
    naga::back::spv::write_vec(&module, &info, &naga::back::spv::Options::default(), None)
        .map_err(|e| e.to_string())
}

/// What the tests' adapter can do, with matrix units.
fn with_units(size: u32, lanes: u32) -> Capabilities {
    let plain = gpu().capabilities().clone();
    Capabilities { matrix_units: Some(MatrixUnits { size, lanes }), ..plain }
}

#[test]
fn the_shader_is_valid_for_every_size_of_unit_and_subgroup() {
    for size in [8, 16] {
        for lanes in [8, 16, 32, 64] {
            let can = with_units(size, lanes);
            for (transposed, stored) in TRANSPOSES.into_iter().zip(CODES.into_iter().cycle()) {
                let op = product(&mut Layout::default(), [40, 50, 1000], transposed, stored);
                let name = op.units(&can).unwrap();
                assert!(name.contains(&format!("{size}, subgroups of {lanes}")), "{name}");
                for call in op.gpu(Some(name)).iter().filter(|c| c.entry == "gemm_units") {
                    assert!(translate(&call.source).unwrap().len() > 100);
                    let broken =
                        call.source.replace("coopMultiplyAdd(rows[i], cols", "(cols, cols");
                    assert_ne!(broken, call.source);
                    assert!(translate(&broken).is_err());
                }
            }
        }
    }
}

#[test]
fn only_codes_whose_scales_wait_for_the_sums_go_to_the_units() {
    let can = with_units(16, 32);
    let mut l = Layout::default();
    let whole = product(&mut l, [40, 50, 60], [false; 2], CODES[0]);
    assert!(whole.units(&can).is_some());
    assert!(!whole.variants(&can).contains(&whole.units(&can).unwrap()));
    let plain = Capabilities { matrix_units: None, ..can.clone() };
    assert_eq!(whole.units(&plain), None);
    for other in [Stored::F32, Stored::Bf16, Stored::Blocks(Format::E4M3, [1, 32])] {
        assert_eq!(product(&mut l, [40, 50, 60], [false; 2], other).units(&can), None);
    }
    // No units are wasted on a handful of results.
    assert_eq!(product(&mut l, [3, 50, 60], [false; 2], CODES[0]).units(&can), None);
}

fn gpu_with_units() -> Gpu {
    let candidate = device::choose(true).expect("an adapter");
    assert!(
        candidate.capabilities.matrix_units.is_some(),
        "{} has no matrix units; the software adapter of Mesa 25 or later has",
        candidate.info.name
    );
    Gpu::open_with_all(candidate).unwrap()
}

#[test]
#[ignore = "needs an adapter with matrix units"]
fn products_on_matrix_units_agree_with_the_processor() {
    let mut gpu = gpu_with_units();
    let sizes =
        [[9, 9, 1], [64, 64, 16], [63, 65, 17], [17, 130, 33], [129, 66, 70], [13, 37, 1301]];
    for stored in CODES {
        for transposed in TRANSPOSES {
            for size in sizes {
                let mut layout = Layout::default();
                let op = product(&mut layout, size, transposed, stored);
                let name = op.units(gpu.capabilities()).expect("a variant with matrix units");
                let mut pair = layout.pair(gpu);
                pair.memory.choose(op.speed_key(), name.to_owned());
                assert!(pair.memory.calls(&Op::Gemm(op), true)[0].entry == "gemm_units");
                pair.run(&Op::Gemm(op)).unwrap();
                // The comparison can fail.
                pair.write(BufferId(op.b.buffer.0), &[0x7070_7070]);
                let changed = pair.memory.read(op.b.buffer).unwrap();
                pair.memory.write(op.b.buffer, &[0x3030_3030]).unwrap();
                assert!(pair.run(&Op::Gemm(op)).is_err(), "{size:?} {}", changed.len());
                gpu = pair.into_gpu();
            }
        }
    }
}

#[test]
#[ignore = "needs an adapter with matrix units"]
fn training_on_matrix_units_stays_close_and_says_so() {
    let plan = || sized(Recipe::current(), 70);
    let plain = WgpuEngine::on(gpu(), plan(), None).unwrap();
    assert!(matches!(plain.info(), EngineInfo::Gpu(a) if !a.backend.contains("matrix")));
    let usual = trained(plain);

    let (gpu, taken) = tune::matrix_units(gpu_with_units(), &plan()).unwrap();
    assert!(taken.len() > 2 && taken.values().all(|name| name.starts_with("matrix units")));
    let engine = WgpuEngine::on(gpu, plan(), None).unwrap();
    assert!(matches!(engine.info(), EngineInfo::Gpu(a) if a.backend.contains("matrix units")));
    let own = trained(engine);
    assert_eq!(own, trained(WgpuEngine::on(gpu_with_units(), plan(), None).unwrap()), "it repeats");
    // Four steps, losses first: codes may round the other way, so losses agree and bits need not.
    for (a, b) in usual.iter().zip(&own).take(4) {
        let (a, b) = (f32::from_bits(*a), f32::from_bits(*b));
        assert!((a - b).abs() < 2e-3 * a.abs(), "{a} {b}");
    }
}
