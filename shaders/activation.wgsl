// include: index
// Bias and activation. Constants in front: ACTIVATION (0 none, 1 ReLU, 2 GELU, 3 SiLU), LANES.

const RELU: u32 = 1u;
const GELU: u32 = 2u;

struct Params {
    len: u32,
    cols: u32,
}

fn gelu_tanh(x: f32) -> f32 {
    let u = 0.7978845608 * (x + 0.044715 * x * x * x);
    return tanh(clamp(u, -15.0, 15.0));
}

// Below -85 the sigmoid is 0 in effect; the clamp keeps exp finite.
fn sigmoid(x: f32) -> f32 {
    return select(1.0 / (1.0 + exp(-clamp(x, -85.0, 85.0))), 0.0, x < -85.0);
}

// Comparisons are written so that NaN passes through and shows in the loss.
fn activate(x: f32) -> f32 {
    if (ACTIVATION == RELU) {
        return select(x, 0.0, x <= 0.0);
    }
    if (ACTIVATION == GELU) {
        return 0.5 * x * (1.0 + gelu_tanh(x));
    }
    return x * sigmoid(x);
}

fn slope(x: f32) -> f32 {
    if (ACTIVATION == RELU) {
        return select(0.0, 1.0, x > 0.0);
    }
    if (ACTIVATION == GELU) {
        let t = gelu_tanh(x);
        // Far out (1 - t * t) is 0 and must win over an infinite square.
        let tail = 0.5 * x * (1.0 - t * t) * 0.7978845608 * (1.0 + 0.134145 * x * x);
        return 0.5 * (1.0 + t) + select(tail, 0.0, abs(x) > 10.0);
    }
    let s = sigmoid(x);
    return s * (1.0 + x * (1.0 - s));
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read> bias: array<f32>;
@group(0) @binding(2) var<uniform> bias_params: Params;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<uniform> forward_params: Params;

@compute @workgroup_size(LANES)
fn add_bias(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_group(group, count) * LANES + lane;
    if (i < bias_params.len) {
        x[i] = x[i] + bias[i % bias_params.cols];
    }
}

@compute @workgroup_size(LANES)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_group(group, count) * LANES + lane;
    if (i < forward_params.len) {
        let pre = x[i] + bias[i % forward_params.cols];
        x[i] = pre;
        out[i] = activate(pre);
    }
}

@group(0) @binding(0) var<storage, read_write> grad: array<f32>;
@group(0) @binding(1) var<storage, read> pre_activation: array<f32>;
@group(0) @binding(2) var<uniform> backward_params: Params;

@compute @workgroup_size(LANES)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_group(group, count) * LANES + lane;
    if (i < backward_params.len) {
        grad[i] = grad[i] * slope(pre_activation[i]);
    }
}
