//! Finding and choosing adapters, and what they can do.

use serde::Serialize;

use super::AdapterInfo;
use crate::error::EngineError;

/// Environment variable that restricts the choice to adapters whose name contains it, for machines
/// with several GPUs. Case does not matter.
pub const ADAPTER_ENV: &str = "FP8_STUDIO_ADAPTER";

/// Storage buffers the kernels bind at most in one call.
const STORAGE_BUFFERS: u32 = 8;
/// Invocations per workgroup that the kernels use at most.
const INVOCATIONS: u32 = 256;
/// Environment variable that lets products of FP8 codes run on matrix units: `on`. Off without it, as
/// matrix units add in an order of their own.
pub const MATRIX_UNITS_ENV: &str = "FP8_STUDIO_MATRIX_UNITS";

/// Bytes of workgroup memory that the kernels use at most.
const WORKGROUP_BYTES: u32 = 16 << 10;

/// What an adapter can do, as far as training cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Largest buffer, bytes.
    pub max_buffer_bytes: u64,
    /// Largest part of a buffer that one kernel can see, bytes.
    pub max_binding_bytes: u64,
    /// Workgroups per dimension of one dispatch.
    pub max_groups: u32,
    /// Storage buffers that one kernel can see.
    pub storage_buffers: u32,
    /// Invocations per workgroup.
    pub invocations: u32,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Subgroup operations; no kernel needs them, some have a variant that uses them.
    pub subgroups: bool,
    /// 16-bit floats in shaders; no kernel needs them, some have a variant that uses them.
    pub f16: bool,
    /// Matrix units (cooperative matrices); used only where [`MATRIX_UNITS_ENV`] asks for them.
    pub matrix_units: Option<MatrixUnits>,
}

/// Matrix units that multiply f16 and add f32, a subgroup at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MatrixUnits {
    /// Rows, columns and inner size of one product: 8 or 16.
    pub size: u32,
    /// Threads of a subgroup, the same in every kernel.
    pub lanes: u32,
}

impl MatrixUnits {
    /// The largest that products can be cut for: squares of f16 with sums of f32, and subgroups of one
    /// known size.
    fn of(
        offered: &[wgpu::CooperativeMatrixProperties],
        features: wgpu::Features,
        lanes: [u32; 2],
    ) -> Option<Self> {
        use wgpu::CooperativeScalarType::{F16, F32};
        let needed = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX
            | wgpu::Features::SHADER_F16
            | wgpu::Features::SUBGROUP;
        let [least, most] = lanes;
        if !features.contains(needed) || least != most || ![8, 16, 32, 64].contains(&most) {
            return None;
        }
        let sizes = offered.iter().filter(|o| {
            [o.n_size, o.k_size] == [o.m_size; 2]
                && matches!(o.m_size, 8 | 16)
                && (o.ab_type, o.cr_type) == (F16, F32)
                && !o.saturating_accumulation
        });
        sizes.map(|o| o.m_size).max().map(|size| Self { size, lanes: most })
    }
}

/// Whether the user asks for matrix units.
pub fn matrix_units_wanted() -> bool {
    let said = std::env::var(MATRIX_UNITS_ENV).unwrap_or_default();
    matches!(said.to_lowercase().as_str(), "on" | "1" | "yes")
}

impl Capabilities {
    fn of(adapter: &wgpu::Adapter) -> Self {
        let (limits, features, info) = (adapter.limits(), adapter.features(), adapter.get_info());
        let lanes = [info.subgroup_min_size, info.subgroup_max_size];
        Self {
            max_buffer_bytes: limits.max_buffer_size,
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            max_groups: limits.max_compute_workgroups_per_dimension,
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
            invocations: limits.max_compute_invocations_per_workgroup,
            workgroup_bytes: limits.max_compute_workgroup_storage_size,
            subgroups: features.contains(wgpu::Features::SUBGROUP),
            f16: features.contains(wgpu::Features::SHADER_F16),
            matrix_units: MatrixUnits::of(
                &adapter.cooperative_matrix_properties(),
                features,
                lanes,
            ),
        }
    }

    /// Features that a device is opened with.
    pub(super) fn features(&self) -> wgpu::Features {
        let mut features = wgpu::Features::empty();
        features.set(wgpu::Features::SUBGROUP, self.subgroups);
        features.set(wgpu::Features::SHADER_F16, self.f16);
        let units = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
        features.set(units, self.matrix_units.is_some());
        features
    }

    /// Largest array that a kernel can use, bytes.
    pub fn max_array_bytes(&self) -> u64 {
        self.max_buffer_bytes.min(self.max_binding_bytes)
    }

    /// What the kernels need and this adapter lacks, in words; `None` if it has all.
    pub fn lacking(&self) -> Option<String> {
        let checks = [
            ("storage buffers per kernel", self.storage_buffers, STORAGE_BUFFERS),
            ("threads per workgroup", self.invocations, INVOCATIONS),
            ("bytes of workgroup memory", self.workgroup_bytes, WORKGROUP_BYTES),
            ("workgroups per dimension", self.max_groups, 65_535),
        ];
        checks
            .iter()
            .find(|(_, have, need)| have < need)
            .map(|(what, have, need)| format!("it has {have} {what}, {need} are needed"))
    }
}

/// An adapter that could be opened.
#[derive(Debug)]
pub struct Candidate {
    /// As shown to the user.
    pub info: AdapterInfo,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Lower is better.
    rank: u8,
    pub(super) adapter: wgpu::Adapter,
}

fn candidate(adapter: wgpu::Adapter) -> Candidate {
    let raw = adapter.get_info();
    let rank = match raw.device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    };
    let info = AdapterInfo {
        name: raw.name,
        backend: format!("{:?}", raw.backend),
        driver: format!("{} {}", raw.driver, raw.driver_info).trim().to_owned(),
        software: raw.device_type == wgpu::DeviceType::Cpu,
    };
    let capabilities = Capabilities::of(&adapter);
    Candidate { info, capabilities, rank, adapter }
}

/// All adapters of the system's native interfaces, best first. OpenGL is left out: its compute
/// shaders are optional and the native interfaces reach the same devices.
pub(super) fn candidates() -> Vec<Candidate> {
    if wgpu::Instance::enabled_backend_features().is_empty() {
        return Vec::new();
    }
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12,
        flags: wgpu::InstanceFlags::empty(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let found = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let mut all: Vec<Candidate> = found.into_iter().map(candidate).collect();
    all.sort_by_key(|c| c.rank);
    all
}

/// All adapters, best first.
pub fn adapters() -> Vec<AdapterInfo> {
    candidates().into_iter().map(|c| c.info).collect()
}

/// The adapter to use: discrete before integrated before the rest, a software adapter only if
/// `software_allowed`. [`ADAPTER_ENV`] narrows the choice by name.
pub fn choose(software_allowed: bool) -> Result<Candidate, EngineError> {
    let filter = std::env::var(ADAPTER_ENV).ok().filter(|f| !f.is_empty());
    pick(candidates(), software_allowed, filter.as_deref())
}

fn pick(
    all: Vec<Candidate>,
    software_allowed: bool,
    filter: Option<&str>,
) -> Result<Candidate, EngineError> {
    let mut reasons = Vec::new();
    let filter = filter.map(str::to_lowercase);
    for candidate in all {
        let name = &candidate.info.name;
        if let Some(wanted) = &filter
            && !name.to_lowercase().contains(wanted)
        {
            reasons.push(format!("{name} is not the one named by {ADAPTER_ENV}"));
        } else if candidate.info.software && !software_allowed {
            reasons.push(format!("{name} is a software renderer"));
        } else if let Some(lack) = candidate.capabilities.lacking() {
            reasons.push(format!("{name} cannot run the kernels: {lack}"));
        } else {
            return Ok(candidate);
        }
    }
    if reasons.is_empty() {
        reasons.push("the system offers none (no Vulkan, Metal or Direct3D 12 driver)".to_owned());
    }
    Err(EngineError::NoAdapter(reasons.join("; ")))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A software adapter for tests, or a failure that says what to install.
    pub(crate) fn any_adapter() -> Candidate {
        choose(true).unwrap_or_else(|e| {
            panic!(
                "{e}. The tests need a Vulkan adapter: install a driver, or the software one \
                 (Debian and Ubuntu: apt-get install mesa-vulkan-drivers)."
            )
        })
    }

    #[test]
    fn matrix_units_are_taken_where_products_can_be_cut_for_them() {
        use wgpu::CooperativeScalarType::{F16, F32};
        let offer = |[m_size, n_size, k_size]: [u32; 3], ab_type, cr_type| {
            wgpu::CooperativeMatrixProperties {
                m_size,
                n_size,
                k_size,
                ab_type,
                cr_type,
                saturating_accumulation: false,
            }
        };
        let all = wgpu::Features::all();
        let of = |offers: &[_], lanes| {
            MatrixUnits::of(offers, all, lanes).map(|units| (units.size, units.lanes))
        };
        let (small, large) = (offer([8; 3], F16, F32), offer([16; 3], F16, F32));
        assert_eq!(of(&[small, large, offer([8; 3], F32, F32)], [32; 2]), Some((16, 32)));
        assert_eq!(of(&[small, offer([16; 3], F16, F16)], [8; 2]), Some((8, 8)));
        for others in [offer([8; 3], F32, F32), offer([16, 8, 16], F16, F32)] {
            assert_eq!(of(&[others], [32; 2]), None);
        }
        assert_eq!(of(&[large], [32, 64]), None, "subgroups of either size");
        assert_eq!(of(&[], [32; 2]), None);
        let plain = wgpu::Features::SHADER_F16 | wgpu::Features::SUBGROUP;
        assert_eq!(MatrixUnits::of(&[large], plain, [32; 2]), None);
    }

    #[test]
    fn an_adapter_exists_and_is_described() {
        let candidate = any_adapter();
        assert!(!candidate.info.name.is_empty());
        assert!(candidate.capabilities.max_array_bytes() >= 64 << 20);
        assert!(adapters().contains(&candidate.info));
    }

    #[test]
    fn software_and_filtered_adapters_are_refused_with_the_reason() {
        let mut soft = any_adapter();
        soft.info.software = true;
        let e = pick(vec![soft], false, None).unwrap_err();
        assert!(e.to_string().contains("is a software renderer"), "{e}");

        let e = pick(vec![any_adapter()], true, Some("no such adapter")).unwrap_err();
        assert!(e.to_string().contains(ADAPTER_ENV), "{e}");

        let e = pick(Vec::new(), true, None).unwrap_err();
        assert!(e.to_string().contains("offers none"), "{e}");
    }

    #[test]
    fn a_better_adapter_comes_first_and_a_weak_one_is_passed_over() {
        let (mut weak, mut good) = (any_adapter(), any_adapter());
        weak.capabilities.storage_buffers = 4;
        weak.info.name = "weak".to_owned();
        good.info.name = "Good GPU".to_owned();
        let picked = pick(vec![weak, good], true, None).unwrap();
        assert_eq!(picked.info.name, "Good GPU");

        let mut weak = any_adapter();
        weak.capabilities.workgroup_bytes = 1024;
        let e = pick(vec![weak], true, None).unwrap_err();
        assert!(e.to_string().contains("1024 bytes of workgroup memory"), "{e}");

        let named = pick(vec![any_adapter()], true, Some(&any_adapter().info.name.to_uppercase()));
        assert!(named.is_ok());
    }
}
