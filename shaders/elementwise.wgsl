// include: index
// Small elementwise helpers. Constant in front: LANES.

struct Params {
    words: u32,
    value: u32,
}

@group(0) @binding(0) var<storage, read_write> out: array<u32>;
@group(0) @binding(1) var<uniform> p: Params;

@compute @workgroup_size(LANES)
fn fill(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_group(group, count) * LANES + lane;
    if (i < p.words) {
        out[i] = p.value;
    }
}

@group(0) @binding(0) var<storage, read_write> into: array<f32>;
@group(0) @binding(1) var<storage, read> addend: array<f32>;
@group(0) @binding(2) var<uniform> accumulate_params: Params;

@compute @workgroup_size(LANES)
fn accumulate(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_group(group, count) * LANES + lane;
    if (i < accumulate_params.words) {
        into[i] = into[i] + addend[i];
    }
}
