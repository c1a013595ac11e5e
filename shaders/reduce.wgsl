// include: index, tree
// Reductions. Constant in front: LANES = 256.

struct Params {
    rows: u32,
    cols: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

var<workgroup> partial: array<f32, 256>;

// 16 columns per group; 16 threads share the rows of each.
@compute @workgroup_size(256)
fn column_sum(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let col = linear_group(group, count) * 16u + lane % 16u;
    var sum = 0.0;
    if (col < p.cols) {
        for (var r = lane / 16u; r < p.rows; r += 16u) {
            sum += x[r * p.cols + col];
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
    if (lane < 16u && col < p.cols) {
        out[col] = partial[lane];
    }
}

// One group for the whole array.
@compute @workgroup_size(LANES)
fn sum(@builtin(local_invocation_index) lane: u32) {
    var mine = 0.0;
    for (var i = lane; i < p.cols; i += LANES) {
        mine += x[i];
    }
    let total = tree_sum(lane, mine);
    if (lane == 0u) {
        out[0] = total;
    }
}
