// include: index, tree
// Gradient clipping by global norm. Constant in front: LANES = 256.

struct Params {
    len: u32,
    at: u32,
    groups: u32,
    limit: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(LANES)
fn square_partials(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var sum = 0.0;
    for (var i = group.x * LANES + lane; i < p.len; i += p.groups * LANES) {
        sum += x[i] * x[i];
    }
    sum = tree_sum(lane, sum);
    if (lane == 0u) {
        out[group.x] = sum;
    }
}

@compute @workgroup_size(LANES)
fn square_sum(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = lane; i < p.groups; i += LANES) {
        sum += x[i];
    }
    sum = tree_sum(lane, sum);
    if (lane == 0u) {
        out[p.at] = sum;
    }
}

@compute @workgroup_size(LANES)
fn clip_factor(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = lane; i < p.len; i += LANES) {
        sum += x[i];
    }
    sum = tree_sum(lane, sum);
    if (lane == 0u) {
        let norm = sqrt(sum);
        let factor = p.limit / (norm + 1e-6);
        out[0] = norm;
        out[1] = select(factor, 1.0, factor > 1.0);
    }
}

@compute @workgroup_size(LANES)
fn rescale(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_group(group, count) * LANES + lane;
    if (i < p.len) {
        out[i] = out[i] * x[1];
    }
}
