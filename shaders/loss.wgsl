// include: index, tree
// Losses with their gradients. Constant in front: LANES (threads per row of the cross-entropy).

// Words of the step state.
const VALID: u32 = 1u;
const INV_VALID: u32 = 6u;

struct Params {
    rows: u32,
    classes: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> step_state: array<u32>;
@group(0) @binding(4) var<storage, read_write> losses: array<f32>;
@group(0) @binding(5) var<uniform> eval_params: Params;
@group(0) @binding(5) var<storage, read_write> grad: array<f32>;
@group(0) @binding(6) var<uniform> grad_params: Params;

struct Row {
    largest: f32,
    sum: f32,
}

fn row_sums(row: u32, classes: u32, lane: u32) -> Row {
    let start = row * classes;
    var largest = -3.4e38;
    for (var c = lane; c < classes; c += LANES) {
        largest = max(largest, logits[start + c]);
    }
    largest = tree_max(lane, largest);
    var sum = 0.0;
    for (var c = lane; c < classes; c += LANES) {
        sum += exp(logits[start + c] - largest);
    }
    return Row(largest, tree_sum(lane, sum));
}

fn row_loss(row: u32, classes: u32, sums: Row) -> f32 {
    let goal = min(targets[row], classes - 1u);
    return weights[row] * (log(sums.sum) - (logits[row * classes + goal] - sums.largest));
}

@compute @workgroup_size(LANES)
fn cross_entropy(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = linear_group(group, count);
    let classes = select(0u, eval_params.classes, row < eval_params.rows);
    let sums = row_sums(row, classes, lane);
    if (lane == 0u && row < eval_params.rows) {
        var loss = 0.0;
        if (row < step_state[VALID]) {
            loss = row_loss(row, classes, sums);
        }
        losses[row] = loss;
    }
}

@compute @workgroup_size(LANES)
fn cross_entropy_grad(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = linear_group(group, count);
    let classes = select(0u, grad_params.classes, row < grad_params.rows);
    let sums = row_sums(row, classes, lane);
    if (row < grad_params.rows) {
        let real = row < step_state[VALID];
        if (lane == 0u) {
            var loss = 0.0;
            if (real) {
                loss = row_loss(row, classes, sums);
            }
            losses[row] = loss;
        }
        let goal = min(targets[row], classes - 1u);
        let factor = weights[row] * bitcast<f32>(step_state[INV_VALID]);
        for (var c = lane; c < classes; c += LANES) {
            let at = row * classes + c;
            let softmax = exp(logits[at] - sums.largest) / sums.sum;
            let value = factor * (softmax - select(0.0, 1.0, c == goal));
            grad[at] = select(0.0, value, real);
        }
    }
}

@group(0) @binding(1) var<storage, read> values: array<f32>;

fn difference(i: u32) -> f32 {
    return logits[i] - values[i];
}

@compute @workgroup_size(LANES)
fn squared_error(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_group(group, count) * LANES + lane;
    if (i < eval_params.rows) {
        let d = difference(i);
        losses[i] = select(0.0, weights[i] * d * d, i < step_state[VALID]);
    }
}

@compute @workgroup_size(LANES)
fn squared_error_grad(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_group(group, count) * LANES + lane;
    if (i < grad_params.rows) {
        let d = difference(i);
        let real = i < step_state[VALID];
        losses[i] = select(0.0, weights[i] * d * d, real);
        let inv_valid = bitcast<f32>(step_state[INV_VALID]);
        grad[i] = select(0.0, 2.0 * weights[i] * d * inv_valid, real);
    }
}
