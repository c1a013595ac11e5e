// include: index
// Category look-up. Constant in front: LANES.

struct Params {
    column: u32,
    columns: u32,
    cardinality: u32,
    dim: u32,
    offset: u32,
    width: u32,
    rows: u32,
}

@group(0) @binding(0) var<storage, read> dense: array<u32>;
@group(0) @binding(1) var<storage, read_write> dense_out: array<u32>;
@group(0) @binding(2) var<uniform> dense_params: Params;

@compute @workgroup_size(LANES)
fn copy_dense(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let p = dense_params;
    let i = linear_group(group, count) * LANES + lane;
    if (i < p.rows * p.dim) {
        dense_out[(i / p.dim) * p.width + p.offset + i % p.dim] = dense[i];
    }
}

@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> categories: array<u32>;
@group(0) @binding(2) var<storage, read_write> table_out: array<u32>;
@group(0) @binding(3) var<uniform> table_params: Params;

// Row of the table: an index past it is read as row 0.
fn known(category: u32, cardinality: u32) -> u32 {
    return select(0u, category, category < cardinality);
}

@compute @workgroup_size(LANES)
fn embed(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let p = table_params;
    let i = linear_group(group, count) * LANES + lane;
    if (i < p.rows * p.dim) {
        let row = i / p.dim;
        let d = i % p.dim;
        let v = known(categories[row * p.columns + p.column], p.cardinality);
        table_out[row * p.width + p.offset + d] = table[v * p.dim + d];
    }
}

@group(0) @binding(0) var<storage, read> back_categories: array<u32>;
@group(0) @binding(1) var<storage, read> grad: array<f32>;
@group(0) @binding(2) var<storage, read_write> grad_table: array<f32>;
@group(0) @binding(3) var<uniform> back_params: Params;

// One thread per table element walks the rows in order.
@compute @workgroup_size(LANES)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let p = back_params;
    let i = linear_group(group, count) * LANES + lane;
    if (i < p.cardinality * p.dim) {
        let v = i / p.dim;
        let d = i % p.dim;
        var sum = 0.0;
        for (var row = 0u; row < p.rows; row++) {
            if (known(back_categories[row * p.columns + p.column], p.cardinality) == v) {
                sum += grad[row * p.width + p.offset + d];
            }
        }
        grad_table[i] = sum;
    }
}
