// include: index
// Parameter updates. Constant in front: LANES.

// Words of the step state.
const LEARNING_RATE: u32 = 3u;
const BETA1_CORRECTION: u32 = 4u;
const BETA2_CORRECTION: u32 = 5u;

struct Adam {
    len: u32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    weight_decay: f32,
}

@group(0) @binding(0) var<storage, read_write> weight: array<f32>;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> step_state: array<f32>;
@group(0) @binding(3) var<storage, read_write> first: array<f32>;
@group(0) @binding(4) var<storage, read_write> second: array<f32>;
@group(0) @binding(5) var<uniform> adam: Adam;

@compute @workgroup_size(LANES)
fn adamw(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_group(group, count) * LANES + lane;
    if (i < adam.len) {
        let rate = step_state[LEARNING_RATE];
        let g = gradient[i];
        let m = adam.beta1 * first[i] + (1.0 - adam.beta1) * g;
        let v = adam.beta2 * second[i] + (1.0 - adam.beta2) * g * g;
        first[i] = m;
        second[i] = v;
        let decayed = weight[i] * (1.0 - rate * adam.weight_decay);
        let root = sqrt(v * step_state[BETA2_CORRECTION]);
        weight[i] = decayed - rate * m * step_state[BETA1_CORRECTION] / (root + adam.epsilon);
    }
}

struct Sgd {
    len: u32,
    momentum: f32,
    weight_decay: f32,
}

@group(0) @binding(4) var<uniform> sgd: Sgd;

@compute @workgroup_size(LANES)
fn sgd_momentum(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_group(group, count) * LANES + lane;
    if (i < sgd.len) {
        let g = gradient[i] + sgd.weight_decay * weight[i];
        let v = sgd.momentum * first[i] + g;
        first[i] = v;
        weight[i] = weight[i] - step_state[LEARNING_RATE] * v;
    }
}
