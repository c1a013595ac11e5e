// include: half, index
// f32 to packed bf16 and back, one thread per word. Constant in front: LANES.

struct Params {
    rows: u32,
    cols: u32,
}

@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> target_words: array<u32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(LANES)
fn to_bf16(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_group(group, count) * LANES + lane;
    let row_words = (p.cols + 1u) / 2u;
    if (i < p.rows * row_words) {
        let col = 2u * (i % row_words);
        let at = (i / row_words) * p.cols + col;
        var word = bf16_nearest(source[at]);
        if (col + 1u < p.cols) {
            word |= bf16_nearest(source[at + 1u]) << 16u;
        }
        target_words[i] = word;
    }
}

@compute @workgroup_size(LANES)
fn from_bf16(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = linear_group(group, count) * LANES + lane;
    let row_words = (p.cols + 1u) / 2u;
    if (i < p.rows * row_words) {
        let col = 2u * (i % row_words);
        let at = (i / row_words) * p.cols + col;
        target_words[at] = bf16_bits(source[i], 0u);
        if (col + 1u < p.cols) {
            target_words[at + 1u] = bf16_bits(source[i], 1u);
        }
    }
}
