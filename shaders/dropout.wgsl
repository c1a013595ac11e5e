// include: hash, index
// Dropout by a counter hash. Constant in front: LANES.

struct Params {
    len: u32,
    threshold: u32,
    scale: f32,
    stream: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read> step_state: array<u32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(LANES)
fn dropout(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_group(group, count) * LANES + lane;
    if (i < p.len) {
        let key = hash_key(step_state[SEED], step_state[STEP], p.stream);
        x[i] = select(0.0, x[i] * p.scale, hash_bits(key, i) >= p.threshold);
    }
}
