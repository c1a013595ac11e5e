// include: index, tree
// Layer normalisation. Constant in front: LANES (threads per row; of `backward_gain`, per column).

struct Params {
    rows: u32,
    cols: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> gain: array<f32>;
@group(0) @binding(2) var<storage, read> shift: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read_write> out_moments: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(LANES)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = linear_group(group, count);
    // Groups past the end still take part in the reductions, on no columns.
    let cols = select(0u, p.cols, row < p.rows);
    let start = row * p.cols;
    var sum = 0.0;
    for (var c = lane; c < cols; c += LANES) {
        sum += x[start + c];
    }
    let mean = tree_sum(lane, sum) / f32(max(p.cols, 1u));
    var squares = 0.0;
    for (var c = lane; c < cols; c += LANES) {
        let d = x[start + c] - mean;
        squares += d * d;
    }
    let rstd = 1.0 / sqrt(tree_sum(lane, squares) / f32(max(p.cols, 1u)) + 1e-5);
    for (var c = lane; c < cols; c += LANES) {
        out[start + c] = (x[start + c] - mean) * rstd * gain[c] + shift[c];
    }
    if (lane == 0u && row < p.rows) {
        out_moments[2u * row] = mean;
        out_moments[2u * row + 1u] = rstd;
    }
}

@group(0) @binding(0) var<storage, read> back_x: array<f32>;
@group(0) @binding(1) var<storage, read> moments: array<f32>;
@group(0) @binding(2) var<storage, read> grad_out: array<f32>;
@group(0) @binding(3) var<storage, read> back_gain: array<f32>;
@group(0) @binding(4) var<storage, read_write> grad_in: array<f32>;
@group(0) @binding(5) var<uniform> back_params: Params;

@compute @workgroup_size(LANES)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let q = back_params;
    let row = linear_group(group, count);
    let cols = select(0u, q.cols, row < q.rows);
    let start = row * q.cols;
    var mean = 0.0;
    var rstd = 0.0;
    if (row < q.rows) {
        mean = moments[2u * row];
        rstd = moments[2u * row + 1u];
    }
    var sum = 0.0;
    var product = 0.0;
    for (var c = lane; c < cols; c += LANES) {
        let g = grad_out[start + c] * back_gain[c];
        sum += g;
        product += g * (back_x[start + c] - mean) * rstd;
    }
    let mean_g = tree_sum(lane, sum) / f32(max(q.cols, 1u));
    let mean_gh = tree_sum(lane, product) / f32(max(q.cols, 1u));
    for (var c = lane; c < cols; c += LANES) {
        let g = grad_out[start + c] * back_gain[c];
        let h = (back_x[start + c] - mean) * rstd;
        grad_in[start + c] = rstd * (g - mean_g - h * mean_gh);
    }
}

@group(0) @binding(3) var<storage, read_write> grad_gain: array<f32>;
@group(0) @binding(4) var<storage, read_write> grad_shift: array<f32>;

// One group per column.
@compute @workgroup_size(LANES)
fn backward_gain(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let q = back_params;
    let col = linear_group(group, count);
    let rows = select(0u, q.rows, col < q.cols);
    var gain_sum = 0.0;
    var shift_sum = 0.0;
    for (var r = lane; r < rows; r += LANES) {
        let g = grad_out[r * q.cols + col];
        gain_sum += g * (back_x[r * q.cols + col] - moments[2u * r]) * moments[2u * r + 1u];
        shift_sum += g;
    }
    gain_sum = tree_sum(lane, gain_sum);
    shift_sum = tree_sum(lane, shift_sum);
    if (lane == 0u && col < q.cols) {
        grad_gain[col] = gain_sum;
        grad_shift[col] = shift_sum;
    }
}
