// include: half, index
// Exponential average of a parameter. Constants in front: LANES, PACKED (the weight is bf16).

const AVERAGE_RATE: u32 = 7u;

struct Params {
    rows: u32,
    cols: u32,
}

@group(0) @binding(0) var<storage, read> weight: array<u32>;
@group(0) @binding(1) var<storage, read> step_state: array<f32>;
@group(0) @binding(2) var<storage, read_write> mean: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(LANES)
fn average(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_group(group, count) * LANES + lane;
    if (i < p.rows * p.cols) {
        var bits = 0u;
        if (PACKED == 1u) {
            let col = i % p.cols;
            let word = weight[(i / p.cols) * ((p.cols + 1u) / 2u) + col / 2u];
            bits = bf16_bits(word, col % 2u);
        } else {
            bits = weight[i];
        }
        mean[i] = mean[i] + step_state[AVERAGE_RATE] * (bitcast<f32>(bits) - mean[i]);
    }
}
