//! Kernels, compiled and bound.

/// One entry point with the access of its storage buffers; the last binding is a uniform.
#[derive(Debug, Clone, Copy)]
pub struct Kernel<'a> {
    /// Shader name, for messages.
    pub shader: &'a str,
    /// Complete WGSL source.
    pub source: &'a str,
    /// Entry point.
    pub entry: &'a str,
    /// For every storage buffer in binding order: whether it is written.
    pub written: &'a [bool],
}

/// A compiled entry point.
#[derive(Debug, Clone)]
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// A kernel bound to its buffers and parameters, ready to be recorded any number of times.
#[derive(Debug)]
pub struct Launch {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) group: wgpu::BindGroup,
    pub(super) groups: [u32; 3],
}

impl Launch {
    /// Records the call.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        if self.groups.contains(&0) {
            return;
        }
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.group, &[]);
        pass.dispatch_workgroups(self.groups[0], self.groups[1], self.groups[2]);
    }
}

/// Folds more groups than `most` in x into y. The kernels number groups `x + y * count.x` and ignore
/// those past the end.
pub fn fold_groups(groups: [u32; 3], most: u32) -> [u32; 3] {
    let [x, y, z] = groups;
    if x <= most || most == 0 {
        return groups;
    }
    let rows = x.div_ceil(most);
    [x.div_ceil(rows), y.saturating_mul(rows), z]
}

/// Shaders that spend their time in short loops and divide to find their places. A counter in every
/// loop, which ends those that never would, keeps drivers from unrolling them.
const UNGUARDED: [&str; 2] = ["gemm", "conv"];

/// Compiles a kernel. Faults go to the caller's error scopes.
pub(super) fn build(device: &wgpu::Device, kernel: &Kernel<'_>, label: &str) -> Pipeline {
    let text = wgpu::ShaderModuleDescriptor {
        label: Some(label),
        source: wgpu::ShaderSource::Wgsl(kernel.source.into()),
    };
    let module = if UNGUARDED.contains(&kernel.shader) {
        let checks = wgpu::ShaderRuntimeChecks {
            force_loop_bounding: false,
            int_div_checks: false,
            ..wgpu::ShaderRuntimeChecks::checked()
        };
        // SAFETY: accesses to memory stay checked. Every loop of these shaders counts up to a number
        // known before it by a constant above 0, and every divisor is a size of at least 1.
        unsafe { device.create_shader_module_trusted(text, checks) }
    } else {
        device.create_shader_module(text)
    };
    let binding = |i: usize, ty: wgpu::BufferBindingType| wgpu::BindGroupLayoutEntry {
        binding: i as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    };
    let mut entries: Vec<_> = kernel
        .written
        .iter()
        .enumerate()
        .map(|(i, written)| binding(i, wgpu::BufferBindingType::Storage { read_only: !written }))
        .collect();
    entries.push(binding(kernel.written.len(), wgpu::BufferBindingType::Uniform));
    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some(label),
        entries: &entries,
    });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(label),
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(label),
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some(kernel.entry),
        compilation_options: wgpu::PipelineCompilationOptions {
            constants: &[],
            // Every kernel writes its workgroup memory before it reads it.
            zero_initialize_workgroup_memory: false,
        },
        cache: None,
    });
    Pipeline { pipeline, layout }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_groups_cover_all_and_fit() {
        for x in [0, 1, 6, 7, 8, 13, 14, 15, 65_535, 65_536, 1 << 20, u32::MAX] {
            for most in [7, 65_535] {
                if x as u64 > u64::from(most) * u64::from(most) {
                    continue;
                }
                let [fx, fy, fz] = fold_groups([x, 1, 1], most);
                assert!(fx <= most && fy <= most && fz == 1, "{x} {most}");
                let covered = u64::from(fx) * u64::from(fy);
                assert!(covered >= u64::from(x), "{x} {most}");
                // Little more than a row too many.
                assert!(covered < u64::from(x) + u64::from(fy.max(1)), "{x} {most}");
            }
        }
    }
}
