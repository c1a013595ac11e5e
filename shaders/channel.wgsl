// include: activate, index
// Non-linearity and bias per channel. Constants in front: ACTIVATION, KEPT (1 signs, 2 winners),
// KEEP_PRE, LANES = 256.

struct Params {
    // Pixels of all samples.
    rows: u32,
    channels: u32,
    // Parts of the rows that are added on their own.
    parts: u32,
    // 1: all_sums adds to what is there.
    accumulate: u32,
}

const SIGNS: u32 = 1u;

@group(0) @binding(0) var<storage, read_write> grad: array<f32>;
@group(0) @binding(1) var<storage, read> kept: array<u32>;
@group(0) @binding(2) var<uniform> p: Params;

// Gradients of values that a ReLU made 0 become 0.
@compute @workgroup_size(LANES)
fn relu_slope(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_group(group, count) * LANES + lane;
    if (i >= p.rows * p.channels) {
        return;
    }
    let row = i / p.channels;
    let c = i % p.channels;
    var alive: bool;
    if (KEPT == SIGNS) {
        let word = kept[row * ((p.channels + 31u) / 32u) + c / 32u];
        alive = ((word >> (c % 32u)) & 1u) == 1u;
    } else {
        let word = kept[row * ((p.channels + 3u) / 4u) + c / 4u];
        alive = ((word >> (8u * (c % 4u))) & 0xffu) < 4u;
    }
    grad[i] = select(0.0, grad[i], alive);
}

@group(0) @binding(0) var<storage, read> terms: array<f32>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;

var<workgroup> partial: array<f32, 256>;

// 16 columns per group, 16 threads share the rows of a part; sums are [parts, channels].
@compute @workgroup_size(256)
fn part_sums(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = linear_group(group, count);
    let across = (p.channels + 15u) / 16u;
    let part = at / across;
    let col = (at % across) * 16u + lane % 16u;
    let size = (p.rows + p.parts - 1u) / p.parts;
    let first = part * size;
    let end = min(p.rows, first + size);
    var sum = 0.0;
    if (col < p.channels && part < p.parts) {
        for (var r = first + lane / 16u; r < end; r += 16u) {
            sum += terms[r * p.channels + col];
        }
    }
    partial[lane] = sum;
    workgroupBarrier();
    for (var half = 8u; half > 0u; half = half >> 1u) {
        if (lane < 16u * half) {
            partial[lane] = partial[lane] + partial[lane + 16u * half];
        }
        workgroupBarrier();
    }
    if (lane < 16u && col < p.channels && part < p.parts) {
        sums[part * p.channels + col] = partial[lane];
    }
}

// Adds the parts of every channel.
@compute @workgroup_size(LANES)
fn all_sums(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let c = linear_group(group, count) * LANES + lane;
    if (c >= p.channels) {
        return;
    }
    var sum = 0.0;
    if (p.accumulate == 1u) {
        sum = sums[c];
    }
    for (var part = 0u; part < p.parts; part++) {
        sum += terms[part * p.channels + c];
    }
    sums[c] = sum;
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<uniform> add_params: Params;

@compute @workgroup_size(LANES)
fn add(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_group(group, count) * LANES + lane;
    if (i < add_params.rows * add_params.channels) {
        out[i] = activate(a[i] + b[i]);
    }
}

@group(0) @binding(3) var<storage, read_write> pre: array<f32>;
@group(0) @binding(4) var<uniform> pre_params: Params;

@compute @workgroup_size(LANES)
fn add_keeping(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_group(group, count) * LANES + lane;
    if (i < pre_params.rows * pre_params.channels) {
        let sum = a[i] + b[i];
        pre[i] = sum;
        out[i] = activate(sum);
    }
}

@group(0) @binding(0) var<storage, read> results: array<f32>;
@group(0) @binding(1) var<storage, read_write> bits: array<u32>;

// One word per thread: bits of the 32 channels that are above 0.
@compute @workgroup_size(LANES)
fn signs(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_group(group, count) * LANES + lane;
    let words = (p.channels + 31u) / 32u;
    if (i >= p.rows * words) {
        return;
    }
    let first = (i % words) * 32u;
    let start = (i / words) * p.channels + first;
    var word = 0u;
    for (var c = 0u; c < min(32u, p.channels - first); c++) {
        word |= select(0u, 1u, results[start + c] > 0.0) << c;
    }
    bits[i] = word;
}
