// include: activate, index
// Bias and activation. Constants in front: ACTIVATION, LANES.

struct Params {
    len: u32,
    cols: u32,
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
        grad[i] = times_slope(grad[i], pre_activation[i]);
    }
}
