// include: fp8, half, index
// out[m, n] = A[m, k] * B[k, n]. Constants in front: A_FORMAT and B_FORMAT (0 f32, 3 bf16), A_TRANSPOSED,
// B_TRANSPOSED, A_SINGLE, B_SINGLE (one scale for the whole matrix).
//
// Both operands are decoded and scaled while they are copied to workgroup memory, four stored
// neighbours (one packed word) at a time, whichever way they lie; the product itself is plain f32.

struct Params {
    m: u32,
    n: u32,
    k: u32,
    // Tiles across.
    across: u32,
    a_rows: u32,
    a_cols: u32,
    a_block_rows: u32,
    a_block_cols: u32,
    b_rows: u32,
    b_cols: u32,
    b_block_rows: u32,
    b_block_cols: u32,
}

@group(0) @binding(0) var<storage, read> a: array<u32>;
@group(0) @binding(1) var<storage, read> a_scales: array<i32>;
@group(0) @binding(2) var<storage, read> b: array<u32>;
@group(0) @binding(3) var<storage, read> b_scales: array<i32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;

// Inner size of a tile.
const DEPTH: u32 = 16u;

fn a_scale(row: u32, col: u32) -> f32 {
    if (A_SINGLE == 1u) {
        return power_of_two(a_scales[0]);
    }
    let across = (p.a_cols + p.a_block_cols - 1u) / p.a_block_cols;
    return power_of_two(a_scales[(row / p.a_block_rows) * across + col / p.a_block_cols]);
}

fn b_scale(row: u32, col: u32) -> f32 {
    if (B_SINGLE == 1u) {
        return power_of_two(b_scales[0]);
    }
    let across = (p.b_cols + p.b_block_cols - 1u) / p.b_block_cols;
    return power_of_two(b_scales[(row / p.b_block_rows) * across + col / p.b_block_cols]);
}

// Stored elements (row, col..col+4) of A; zero outside the matrix. `col` is a multiple of 4.
fn load_a(row: u32, col: u32) -> vec4<f32> {
    var v = vec4<f32>(0.0);
    if (row < p.a_rows && col < p.a_cols) {
        let left = p.a_cols - col;
        if (A_FORMAT == 0u) {
            let at = row * p.a_cols + col;
            v.x = bitcast<f32>(a[at]);
            if (left > 1u) { v.y = bitcast<f32>(a[at + 1u]); }
            if (left > 2u) { v.z = bitcast<f32>(a[at + 2u]); }
            if (left > 3u) { v.w = bitcast<f32>(a[at + 3u]); }
        } else if (A_FORMAT == 3u) {
            let at = row * ((p.a_cols + 1u) / 2u) + col / 2u;
            let low = a[at];
            v.x = bitcast<f32>(bf16_bits(low, 0u));
            if (left > 1u) { v.y = bitcast<f32>(bf16_bits(low, 1u)); }
            if (left > 2u) {
                let high = a[at + 1u];
                v.z = bitcast<f32>(bf16_bits(high, 0u));
                if (left > 3u) { v.w = bitcast<f32>(bf16_bits(high, 1u)); }
            }
        } else {
            let word = a[row * ((p.a_cols + 3u) / 4u) + col / 4u];
            v.x = fp8_decode(word & 0xffu, A_FORMAT) * a_scale(row, col);
            if (left > 1u) { v.y = fp8_decode((word >> 8u) & 0xffu, A_FORMAT) * a_scale(row, col + 1u); }
            if (left > 2u) { v.z = fp8_decode((word >> 16u) & 0xffu, A_FORMAT) * a_scale(row, col + 2u); }
            if (left > 3u) { v.w = fp8_decode(word >> 24u, A_FORMAT) * a_scale(row, col + 3u); }
        }
    }
    return v;
}

fn load_b(row: u32, col: u32) -> vec4<f32> {
    var v = vec4<f32>(0.0);
    if (row < p.b_rows && col < p.b_cols) {
        let left = p.b_cols - col;
        if (B_FORMAT == 0u) {
            let at = row * p.b_cols + col;
            v.x = bitcast<f32>(b[at]);
            if (left > 1u) { v.y = bitcast<f32>(b[at + 1u]); }
            if (left > 2u) { v.z = bitcast<f32>(b[at + 2u]); }
            if (left > 3u) { v.w = bitcast<f32>(b[at + 3u]); }
        } else if (B_FORMAT == 3u) {
            let at = row * ((p.b_cols + 1u) / 2u) + col / 2u;
            let low = b[at];
            v.x = bitcast<f32>(bf16_bits(low, 0u));
            if (left > 1u) { v.y = bitcast<f32>(bf16_bits(low, 1u)); }
            if (left > 2u) {
                let high = b[at + 1u];
                v.z = bitcast<f32>(bf16_bits(high, 0u));
                if (left > 3u) { v.w = bitcast<f32>(bf16_bits(high, 1u)); }
            }
        } else {
            let word = b[row * ((p.b_cols + 3u) / 4u) + col / 4u];
            v.x = fp8_decode(word & 0xffu, B_FORMAT) * b_scale(row, col);
            if (left > 1u) { v.y = fp8_decode((word >> 8u) & 0xffu, B_FORMAT) * b_scale(row, col + 1u); }
            if (left > 2u) { v.z = fp8_decode((word >> 16u) & 0xffu, B_FORMAT) * b_scale(row, col + 2u); }
            if (left > 3u) { v.w = fp8_decode(word >> 24u, B_FORMAT) * b_scale(row, col + 3u); }
        }
    }
    return v;
}

// Tiles in workgroup memory, [k][m] and [k][n].
var<workgroup> a_tile: array<f32, DEPTH * 64u>;
var<workgroup> b_tile: array<f32, DEPTH * 64u>;

// Copies quad `q` of the A tile with corner (top, deep); the tile is `size` wide.
fn fill_a(q: u32, top: u32, deep: u32, size: u32) {
    if (A_TRANSPOSED == 1u) {
        let k = q / (size / 4u);
        let i = (q % (size / 4u)) * 4u;
        let v = load_a(deep + k, top + i);
        let at = k * size + i;
        a_tile[at] = v.x;
        a_tile[at + 1u] = v.y;
        a_tile[at + 2u] = v.z;
        a_tile[at + 3u] = v.w;
    } else {
        let i = q / (DEPTH / 4u);
        let k = (q % (DEPTH / 4u)) * 4u;
        let v = load_a(top + i, deep + k);
        let at = k * size + i;
        a_tile[at] = v.x;
        a_tile[at + size] = v.y;
        a_tile[at + 2u * size] = v.z;
        a_tile[at + 3u * size] = v.w;
    }
}

fn fill_b(q: u32, left: u32, deep: u32, size: u32) {
    if (B_TRANSPOSED == 1u) {
        let j = q / (DEPTH / 4u);
        let k = (q % (DEPTH / 4u)) * 4u;
        let v = load_b(left + j, deep + k);
        let at = k * size + j;
        b_tile[at] = v.x;
        b_tile[at + size] = v.y;
        b_tile[at + 2u * size] = v.z;
        b_tile[at + 3u * size] = v.w;
    } else {
        let k = q / (size / 4u);
        let j = (q % (size / 4u)) * 4u;
        let v = load_b(deep + k, left + j);
        let at = k * size + j;
        b_tile[at] = v.x;
        b_tile[at + 1u] = v.y;
        b_tile[at + 2u] = v.z;
        b_tile[at + 3u] = v.w;
    }
}

fn store(row: u32, col: u32, v: vec4<f32>) {
    if (row < p.m && col < p.n) {
        let at = row * p.n + col;
        let left = p.n - col;
        out[at] = v.x;
        if (left > 1u) { out[at + 1u] = v.y; }
        if (left > 2u) { out[at + 2u] = v.z; }
        if (left > 3u) { out[at + 3u] = v.w; }
    }
}

// 64 x 64 results per group, 4 x 4 per thread.
@compute @workgroup_size(256)
fn gemm_64(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = linear_group(group, count);
    let top = (tile / p.across) * 64u;
    let left = (tile % p.across) * 64u;
    let i = (lane / 16u) * 4u;
    let j = (lane % 16u) * 4u;
    var c0 = vec4<f32>(0.0);
    var c1 = vec4<f32>(0.0);
    var c2 = vec4<f32>(0.0);
    var c3 = vec4<f32>(0.0);
    for (var deep = 0u; deep < p.k; deep += DEPTH) {
        fill_a(lane, top, deep, 64u);
        fill_b(lane, left, deep, 64u);
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let at = k * 64u + i;
            let bt = k * 64u + j;
            let row = vec4<f32>(b_tile[bt], b_tile[bt + 1u], b_tile[bt + 2u], b_tile[bt + 3u]);
            c0 += a_tile[at] * row;
            c1 += a_tile[at + 1u] * row;
            c2 += a_tile[at + 2u] * row;
            c3 += a_tile[at + 3u] * row;
        }
        workgroupBarrier();
    }
    store(top + i, left + j, c0);
    store(top + i + 1u, left + j, c1);
    store(top + i + 2u, left + j, c2);
    store(top + i + 3u, left + j, c3);
}

// 16 x 16 results per group, one per thread: for products too small to fill a GPU with large tiles.
@compute @workgroup_size(256)
fn gemm_16(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = linear_group(group, count);
    let top = (tile / p.across) * 16u;
    let left = (tile % p.across) * 16u;
    let i = lane / 16u;
    let j = lane % 16u;
    var c = 0.0;
    for (var deep = 0u; deep < p.k; deep += DEPTH) {
        if (lane < 64u) {
            fill_a(lane, top, deep, 16u);
        } else if (lane < 128u) {
            fill_b(lane - 64u, left, deep, 16u);
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            c += a_tile[k * 16u + i] * b_tile[k * 16u + j];
        }
        workgroupBarrier();
    }
    if (top + i < p.m && left + j < p.n) {
        out[(top + i) * p.n + left + j] = c;
    }
}
