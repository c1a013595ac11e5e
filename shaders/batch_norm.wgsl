// include: activate, index
// Batch normalisation. Constants in front: ACTIVATION, LANES = 256.
//
// Sums over the rows of a channel are taken in parts, which a second kernel adds. The variance is
// a sum of squared distances from the mean, so a large mean does no harm.

struct Params {
    // Pixels of one sample, and of all.
    pixels: u32,
    rows: u32,
    channels: u32,
    parts: u32,
}

const VALID: u32 = 1u;
const EPSILON: f32 = 1e-5;

var<workgroup> partial: array<vec2<f32>, 256>;

// Adds the 16 values that threads have for every column; thread `c` of the first 16 gets column c.
fn meet(lane: u32, value: vec2<f32>) -> vec2<f32> {
    partial[lane] = value;
    workgroupBarrier();
    for (var half = 8u; half > 0u; half = half >> 1u) {
        if (lane < 16u * half) {
            partial[lane] = partial[lane] + partial[lane + 16u * half];
        }
        workgroupBarrier();
    }
    return partial[lane % 16u];
}

// Rows (first, end) of a part, of those that are real samples.
fn part_rows(part: u32, valid: u32, q: Params) -> vec2<u32> {
    let rows = min(valid * q.pixels, q.rows);
    let size = (rows + q.parts - 1u) / q.parts;
    return vec2<u32>(min(rows, part * size), min(rows, (part + 1u) * size));
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> means: array<f32>;
@group(0) @binding(3) var<storage, read_write> parts: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;

// Part sums of the values.
@compute @workgroup_size(256)
fn part_values(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = linear_group(group, count);
    let across = (p.channels + 15u) / 16u;
    let c = (at % across) * 16u + lane % 16u;
    let part = at / across;
    let rows = part_rows(part, step[VALID], p);
    var sum = 0.0;
    if (c < p.channels && part < p.parts) {
        for (var r = rows.x + lane / 16u; r < rows.y; r += 16u) {
            sum += x[r * p.channels + c];
        }
    }
    let all = meet(lane, vec2<f32>(sum, 0.0));
    if (lane < 16u && c < p.channels && part < p.parts) {
        parts[part * p.channels + c] = all.x;
    }
}

// Part sums of the squared distances from the means.
@compute @workgroup_size(256)
fn part_squares(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = linear_group(group, count);
    let across = (p.channels + 15u) / 16u;
    let c = (at % across) * 16u + lane % 16u;
    let part = at / across;
    let rows = part_rows(part, step[VALID], p);
    var sum = 0.0;
    if (c < p.channels && part < p.parts) {
        let mean = means[c];
        for (var r = rows.x + lane / 16u; r < rows.y; r += 16u) {
            let d = x[r * p.channels + c] - mean;
            sum += d * d;
        }
    }
    let all = meet(lane, vec2<f32>(sum, 0.0));
    if (lane < 16u && c < p.channels && part < p.parts) {
        parts[part * p.channels + c] = all.x;
    }
}

@group(0) @binding(0) var<storage, read> sums: array<f32>;
@group(0) @binding(2) var<storage, read_write> moments: array<f32>;
@group(0) @binding(3) var<storage, read_write> running: array<f32>;

fn total(c: u32) -> f32 {
    var sum = 0.0;
    for (var part = 0u; part < p.parts; part++) {
        sum += sums[part * p.channels + c];
    }
    return sum;
}

// Means, and their running values.
@compute @workgroup_size(LANES)
fn finish_mean(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let c = linear_group(group, count) * LANES + lane;
    if (c >= p.channels) {
        return;
    }
    let rows = min(step[VALID] * p.pixels, p.rows);
    let mean = total(c) / f32(max(rows, 1u));
    moments[c] = mean;
    if (rows > 0u) {
        running[c] = 0.9 * running[c] + 0.1 * mean;
    }
}

// Inverse deviations, and running variances.
@compute @workgroup_size(LANES)
fn finish_variance(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let c = linear_group(group, count) * LANES + lane;
    if (c >= p.channels) {
        return;
    }
    let rows = min(step[VALID] * p.pixels, p.rows);
    let variance = total(c) / f32(max(rows, 1u));
    moments[p.channels + c] = 1.0 / sqrt(variance + EPSILON);
    if (rows > 0u) {
        let unbiased = select(1.0, f32(rows) / f32(max(rows, 2u) - 1u), rows > 1u);
        running[c] = 0.9 * running[c] + 0.1 * (variance * unbiased);
    }
}

@group(0) @binding(1) var<storage, read> both: array<f32>;
@group(0) @binding(2) var<storage, read> gain: array<f32>;
@group(0) @binding(3) var<storage, read> shift: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
@group(0) @binding(5) var<uniform> apply_params: Params;

@compute @workgroup_size(LANES)
fn apply(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_group(group, count) * LANES + lane;
    let q = apply_params;
    if (i < q.rows * q.channels) {
        let c = i % q.channels;
        out[i] = activate((x[i] - both[c]) * both[q.channels + c] * gain[c] + shift[c]);
    }
}

@group(0) @binding(4) var<storage, read> variance: array<f32>;
@group(0) @binding(5) var<storage, read_write> eval_out: array<f32>;
@group(0) @binding(6) var<uniform> eval_params: Params;

@compute @workgroup_size(LANES)
fn evaluate(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_group(group, count) * LANES + lane;
    let q = eval_params;
    if (i < q.rows * q.channels) {
        let c = i % q.channels;
        let rstd = 1.0 / sqrt(variance[c] + EPSILON);
        eval_out[i] = activate((x[i] - both[c]) * rstd * gain[c] + shift[c]);
    }
}

@group(0) @binding(4) var<storage, read> back_step: array<u32>;
@group(0) @binding(5) var<storage, read_write> grad: array<f32>;
@group(0) @binding(6) var<storage, read_write> back_parts: array<f32>;
@group(0) @binding(7) var<uniform> back_params: Params;

// Multiplies by the slope, in place; part sums of g, then of g * h.
@compute @workgroup_size(256)
fn part_gradients(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let q = back_params;
    let at = linear_group(group, count);
    let across = (q.channels + 15u) / 16u;
    let c = (at % across) * 16u + lane % 16u;
    let part = at / across;
    let rows = part_rows(part, back_step[VALID], q);
    var sum = vec2<f32>(0.0);
    if (c < q.channels && part < q.parts) {
        for (var r = rows.x + lane / 16u; r < rows.y; r += 16u) {
            let i = r * q.channels + c;
            let h = (x[i] - both[c]) * both[q.channels + c];
            let g = times_slope(grad[i], h * gain[c] + shift[c]);
            grad[i] = g;
            sum += vec2<f32>(g, g * h);
        }
    }
    let all = meet(lane, sum);
    if (lane < 16u && c < q.channels && part < q.parts) {
        back_parts[2u * part * q.channels + c] = all.x;
        back_parts[(2u * part + 1u) * q.channels + c] = all.y;
    }
}

@group(0) @binding(1) var<storage, read_write> grad_gain: array<f32>;
@group(0) @binding(2) var<storage, read_write> grad_shift: array<f32>;
@group(0) @binding(3) var<uniform> finish_params: Params;

@compute @workgroup_size(LANES)
fn finish_gradients(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let q = finish_params;
    let c = linear_group(group, count) * LANES + lane;
    if (c >= q.channels) {
        return;
    }
    var sum = vec2<f32>(0.0);
    for (var part = 0u; part < q.parts; part++) {
        sum += vec2<f32>(
            sums[2u * part * q.channels + c],
            sums[(2u * part + 1u) * q.channels + c],
        );
    }
    grad_shift[c] = sum.x;
    grad_gain[c] = sum.y;
}

@group(0) @binding(3) var<storage, read> sum_gh: array<f32>;
@group(0) @binding(6) var<storage, read> sum_g: array<f32>;

@compute @workgroup_size(LANES)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let q = back_params;
    let i = linear_group(group, count) * LANES + lane;
    if (i >= q.rows * q.channels) {
        return;
    }
    let rows = min(back_step[VALID] * q.pixels, q.rows);
    if (i >= rows * q.channels) {
        grad[i] = 0.0;
        return;
    }
    let c = i % q.channels;
    let n = f32(rows);
    let h = (x[i] - both[c]) * both[q.channels + c];
    let rest = grad[i] - sum_g[c] / n - h * (sum_gh[c] / n);
    grad[i] = gain[c] * both[q.channels + c] * rest;
}
