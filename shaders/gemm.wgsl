// include: fp8, half, index, operand a, operand b
// out[m, n] = A[m, k] * B[k, n]. Constants in front: those of both operands (shared/operand.wgsl) and
// A_WIDE, B_WIDE (f32 with rows of whole quads, four to a load), A_TRANSPOSED, B_TRANSPOSED; OUTSIDE (the
// scales of both operands do not change along k and are applied to the sums); TILE_M, TILE_N and DEPTH
// of a tile, ROWS of four results each per thread, THREADS; HALF (codes are staged as f16, which holds
// every finite one exactly); UNITS (0, or the size of the matrix units that multiply, 8 or 16) and SUBGROUP,
// its threads; SPLIT (the inner size is cut into parts).
//
// Both operands are decoded once, while they are copied to workgroup memory in squares of 4 x 4,
// whichever way they lie. Every result is the sum over k in order of fused products: the same bits
// whatever the tile. Only matrix units add in an order of their own.

struct Params {
    m: u32,
    n: u32,
    k: u32,
    // Tiles down and across.
    down: u32,
    across: u32,
    // Inner indices of a part.
    part_k: u32,
    a_rows: u32,
    a_cols: u32,
    a_block_rows: u32,
    a_block_cols: u32,
    b_rows: u32,
    b_cols: u32,
    b_block_rows: u32,
    b_block_cols: u32,
}

// when A_WIDE = 1
@group(0) @binding(0) var<storage, read> a: array<vec4<u32>>;
// else
@group(0) @binding(0) var<storage, read> a: array<u32>;
// end
@group(0) @binding(1) var<storage, read> a_scales: array<i32>;
// when B_WIDE = 1
@group(0) @binding(2) var<storage, read> b: array<vec4<u32>>;
// else
@group(0) @binding(2) var<storage, read> b: array<u32>;
// end
@group(0) @binding(3) var<storage, read> b_scales: array<i32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;

// when HALF = 1
enable f16;
alias Staged = vec4<f16>;
// else
alias Staged = vec4<f32>;
// end

// Tiles in workgroup memory, [k][m] and [k][n], four neighbours of m or n together.
const A_ACROSS: u32 = TILE_M / 4u;
const B_ACROSS: u32 = TILE_N / 4u;
// when UNITS = 0
var<workgroup> a_tile: array<Staged, DEPTH * A_ACROSS>;
var<workgroup> b_tile: array<Staged, DEPTH * B_ACROSS>;

fn put_a(at: u32, v: vec4<f32>) {
    a_tile[at] = Staged(v);
}

fn put_b(at: u32, v: vec4<f32>) {
    b_tile[at] = Staged(v);
}
// else
enable wgpu_cooperative_matrix;
var<workgroup> a_tile: array<f16, DEPTH * TILE_M>;
var<workgroup> b_tile: array<f16, DEPTH * TILE_N>;

fn put_a(at: u32, v: vec4<f32>) {
    let h = Staged(v);
    a_tile[4u * at] = h.x;
    a_tile[4u * at + 1u] = h.y;
    a_tile[4u * at + 2u] = h.z;
    a_tile[4u * at + 3u] = h.w;
}

fn put_b(at: u32, v: vec4<f32>) {
    let h = Staged(v);
    b_tile[4u * at] = h.x;
    b_tile[4u * at + 1u] = h.y;
    b_tile[4u * at + 2u] = h.z;
    b_tile[4u * at + 3u] = h.w;
}
// end

fn a_inside(row: u32, col: u32) -> vec4<f32> {
    if (row < p.a_rows && col < p.a_cols) {
        return a_quad(row, col);
    }
    return vec4<f32>(0.0);
}

fn b_inside(row: u32, col: u32) -> vec4<f32> {
    if (row < p.b_rows && col < p.b_cols) {
        return b_quad(row, col);
    }
    return vec4<f32>(0.0);
}

// Square `q` of the A tile with corner (top, deep).
fn fill_a(q: u32, top: u32, deep: u32) {
    if (A_TRANSPOSED == 1u) {
        let i = q % A_ACROSS;
        let k = (q / A_ACROSS) * 4u;
        let col = top + 4u * i;
        let at = k * A_ACROSS + i;
        put_a(at, a_inside(deep + k, col));
        put_a(at + A_ACROSS, a_inside(deep + k + 1u, col));
        put_a(at + 2u * A_ACROSS, a_inside(deep + k + 2u, col));
        put_a(at + 3u * A_ACROSS, a_inside(deep + k + 3u, col));
    } else {
        let k = (q % (DEPTH / 4u)) * 4u;
        let i = q / (DEPTH / 4u);
        let row = top + 4u * i;
        let r0 = a_inside(row, deep + k);
        let r1 = a_inside(row + 1u, deep + k);
        let r2 = a_inside(row + 2u, deep + k);
        let r3 = a_inside(row + 3u, deep + k);
        let at = k * A_ACROSS + i;
        put_a(at, vec4<f32>(r0.x, r1.x, r2.x, r3.x));
        put_a(at + A_ACROSS, vec4<f32>(r0.y, r1.y, r2.y, r3.y));
        put_a(at + 2u * A_ACROSS, vec4<f32>(r0.z, r1.z, r2.z, r3.z));
        put_a(at + 3u * A_ACROSS, vec4<f32>(r0.w, r1.w, r2.w, r3.w));
    }
}

fn fill_b(q: u32, left: u32, deep: u32) {
    if (B_TRANSPOSED == 1u) {
        let k = (q % (DEPTH / 4u)) * 4u;
        let j = q / (DEPTH / 4u);
        let row = left + 4u * j;
        let r0 = b_inside(row, deep + k);
        let r1 = b_inside(row + 1u, deep + k);
        let r2 = b_inside(row + 2u, deep + k);
        let r3 = b_inside(row + 3u, deep + k);
        let at = k * B_ACROSS + j;
        put_b(at, vec4<f32>(r0.x, r1.x, r2.x, r3.x));
        put_b(at + B_ACROSS, vec4<f32>(r0.y, r1.y, r2.y, r3.y));
        put_b(at + 2u * B_ACROSS, vec4<f32>(r0.z, r1.z, r2.z, r3.z));
        put_b(at + 3u * B_ACROSS, vec4<f32>(r0.w, r1.w, r2.w, r3.w));
    } else {
        let j = q % B_ACROSS;
        let k = (q / B_ACROSS) * 4u;
        let col = left + 4u * j;
        let at = k * B_ACROSS + j;
        put_b(at, b_inside(deep + k, col));
        put_b(at + B_ACROSS, b_inside(deep + k + 1u, col));
        put_b(at + 2u * B_ACROSS, b_inside(deep + k + 2u, col));
        put_b(at + 3u * B_ACROSS, b_inside(deep + k + 3u, col));
    }
}

fn fill(lane: u32, top: u32, left: u32, deep: u32) {
    const A_SQUARES: u32 = DEPTH / 4u * A_ACROSS;
    const SQUARES: u32 = DEPTH / 4u * (A_ACROSS + B_ACROSS);
    for (var q = lane; q < SQUARES; q += THREADS) {
        if (q < A_SQUARES) {
            fill_a(q, top, deep);
        } else {
            fill_b(q - A_SQUARES, left, deep);
        }
    }
}

// Where a workgroup works: its tile's corner, its part's inner indices, where its results go.
struct Place {
    top: u32,
    left: u32,
    first: u32,
    end: u32,
    out: u32,
}

fn place(tile: u32) -> Place {
    let part = select(0u, tile / (p.down * p.across), SPLIT == 1u);
    let own = tile % (p.down * p.across);
    let first = select(0u, min(part * p.part_k, p.k), SPLIT == 1u);
    let end = select(p.k, min(first + p.part_k, p.k), SPLIT == 1u);
    var top = select(tile / p.across, own / p.across, SPLIT == 1u) * TILE_M;
    // Groups past the last part write nothing.
    if (SPLIT == 1u && first >= p.k) {
        top = p.m;
    }
    return Place(top, (tile % p.across) * TILE_N, first, end, part * p.m * p.n);
}

// Scales of a row of A and a column of B that the sums take.
fn row_scale(row: u32) -> f32 {
    if (A_TRANSPOSED == 1u) {
        return power_of_two(a_scales[row / p.a_block_cols]);
    }
    return power_of_two(a_scales[row / p.a_block_rows]);
}

fn col_scale(col: u32) -> f32 {
    if (B_TRANSPOSED == 1u) {
        return power_of_two(b_scales[col / p.b_block_rows]);
    }
    return power_of_two(b_scales[col / p.b_block_cols]);
}

fn store(to: u32, row: u32, col: u32, sums: vec4<f32>) {
    if (row < p.m && col < p.n) {
        let at = to + row * p.n + col;
        let left = p.n - col;
        var v = sums;
        if (OUTSIDE == 1u) {
            v *= row_scale(row);
            v.x *= col_scale(col);
            if (left > 1u) { v.y *= col_scale(col + 1u); }
            if (left > 2u) { v.z *= col_scale(col + 2u); }
            if (left > 3u) { v.w *= col_scale(col + 3u); }
        }
        out[at] = v.x;
        if (left > 1u) { out[at + 1u] = v.y; }
        if (left > 2u) { out[at + 2u] = v.z; }
        if (left > 3u) { out[at + 3u] = v.w; }
    }
}

// when UNITS = 0
// Four results per thread: for products too small to fill a GPU with large tiles.
@compute @workgroup_size(THREADS)
fn gemm_1(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = place(linear_group(group, count));
    let i = lane / B_ACROSS;
    let j = lane % B_ACROSS;
    var c = vec4<f32>(0.0);
    for (var deep = at.first; deep < at.end; deep += DEPTH) {
        fill(lane, at.top, at.left, deep);
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let x = f32(a_tile[k * A_ACROSS + i / 4u][i % 4u]);
            c = fma(vec4<f32>(x), vec4<f32>(b_tile[k * B_ACROSS + j]), c);
        }
        workgroupBarrier();
    }
    store(at.out, at.top + i, at.left + 4u * j, c);
}

// 4 x 4 results per thread.
@compute @workgroup_size(THREADS)
fn gemm_4(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = place(linear_group(group, count));
    let i = lane / B_ACROSS;
    let j = lane % B_ACROSS;
    var c0 = vec4<f32>(0.0);
    var c1 = vec4<f32>(0.0);
    var c2 = vec4<f32>(0.0);
    var c3 = vec4<f32>(0.0);
    for (var deep = at.first; deep < at.end; deep += DEPTH) {
        fill(lane, at.top, at.left, deep);
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let x = vec4<f32>(a_tile[k * A_ACROSS + i]);
            let y = vec4<f32>(b_tile[k * B_ACROSS + j]);
            c0 = fma(x.xxxx, y, c0);
            c1 = fma(x.yyyy, y, c1);
            c2 = fma(x.zzzz, y, c2);
            c3 = fma(x.wwww, y, c3);
        }
        workgroupBarrier();
    }
    let row = at.top + 4u * i;
    let col = at.left + 4u * j;
    store(at.out, row, col, c0);
    store(at.out, row + 1u, col, c1);
    store(at.out, row + 2u, col, c2);
    store(at.out, row + 3u, col, c3);
}

// 8 x 4 results per thread, from both halves of the tile.
@compute @workgroup_size(THREADS)
fn gemm_8(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = place(linear_group(group, count));
    let i = lane / B_ACROSS;
    let j = lane % B_ACROSS;
    var c0 = vec4<f32>(0.0);
    var c1 = vec4<f32>(0.0);
    var c2 = vec4<f32>(0.0);
    var c3 = vec4<f32>(0.0);
    var c4 = vec4<f32>(0.0);
    var c5 = vec4<f32>(0.0);
    var c6 = vec4<f32>(0.0);
    var c7 = vec4<f32>(0.0);
    for (var deep = at.first; deep < at.end; deep += DEPTH) {
        fill(lane, at.top, at.left, deep);
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let x = vec4<f32>(a_tile[k * A_ACROSS + i]);
            let z = vec4<f32>(a_tile[k * A_ACROSS + A_ACROSS / 2u + i]);
            let y = vec4<f32>(b_tile[k * B_ACROSS + j]);
            c0 = fma(x.xxxx, y, c0);
            c1 = fma(x.yyyy, y, c1);
            c2 = fma(x.zzzz, y, c2);
            c3 = fma(x.wwww, y, c3);
            c4 = fma(z.xxxx, y, c4);
            c5 = fma(z.yyyy, y, c5);
            c6 = fma(z.zzzz, y, c6);
            c7 = fma(z.wwww, y, c7);
        }
        workgroupBarrier();
    }
    let row = at.top + 4u * i;
    let col = at.left + 4u * j;
    store(at.out, row, col, c0);
    store(at.out, row + 1u, col, c1);
    store(at.out, row + 2u, col, c2);
    store(at.out, row + 3u, col, c3);
    store(at.out, row + TILE_M / 2u, col, c4);
    store(at.out, row + TILE_M / 2u + 1u, col, c5);
    store(at.out, row + TILE_M / 2u + 2u, col, c6);
    store(at.out, row + TILE_M / 2u + 3u, col, c7);
}

// end
// when UNITS = 8
alias UnitA = coop_mat8x8<f16, A>;
alias UnitB = coop_mat8x8<f16, B>;
alias UnitC = coop_mat8x8<f32, C>;
// end
// when UNITS = 16
alias UnitA = coop_mat16x16<f16, A>;
alias UnitB = coop_mat16x16<f16, B>;
alias UnitC = coop_mat16x16<f32, C>;
// end
// when UNITS = 0
// else
// Every subgroup has a square of 32 x 32 results, in ACROSS x ACROSS units.
const ACROSS: u32 = 32u / UNITS;
// A unit of each subgroup.
var<workgroup> results: array<f32, THREADS / SUBGROUP * UNITS * UNITS>;

// 32 x 32 results per subgroup, from matrix units.
@compute @workgroup_size(THREADS)
fn gemm_units(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) inside: u32,
) {
    let at = place(linear_group(group, count));
    let down = (subgroup / (TILE_N / 32u)) * 32u;
    let right = (subgroup % (TILE_N / 32u)) * 32u;
    var sums: array<UnitC, ACROSS * ACROSS>;
    for (var deep = at.first; deep < at.end; deep += DEPTH) {
        fill(lane, at.top, at.left, deep);
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k += UNITS) {
            var rows: array<UnitA, ACROSS>;
            for (var i = 0u; i < ACROSS; i++) {
                rows[i] = coopLoad<UnitA>(&a_tile[k * TILE_M + down + i * UNITS], TILE_M);
            }
            for (var j = 0u; j < ACROSS; j++) {
                let cols = coopLoadT<UnitB>(&b_tile[k * TILE_N + right + j * UNITS], TILE_N);
                for (var i = 0u; i < ACROSS; i++) {
                    sums[i * ACROSS + j] = coopMultiplyAdd(rows[i], cols, sums[i * ACROSS + j]);
                }
            }
        }
        workgroupBarrier();
    }
    let own = subgroup * UNITS * UNITS;
    for (var u = 0u; u < ACROSS * ACROSS; u++) {
        coopStoreT(sums[u], &results[own], UNITS);
        workgroupBarrier();
        for (var q = inside; q < UNITS * UNITS / 4u; q += SUBGROUP) {
            let row = (4u * q) / UNITS;
            let col = (4u * q) % UNITS;
            let start = own + 4u * q;
            let v = vec4<f32>(
                results[start], results[start + 1u], results[start + 2u], results[start + 3u]
            );
            store(
                at.out,
                at.top + down + (u / ACROSS) * UNITS + row,
                at.left + right + (u % ACROSS) * UNITS + col,
                v,
            );
        }
        workgroupBarrier();
    }
}
// end

@group(0) @binding(0) var<storage, read> part_sums: array<f32>;
@group(0) @binding(1) var<storage, read_write> total: array<f32>;
// Results and parts.
@group(0) @binding(2) var<uniform> collect_params: vec4<u32>;

// Adds the parts, in order.
@compute @workgroup_size(LANES)
fn collect(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = linear_group(group, count) * LANES + lane;
    let len = collect_params.x;
    if (at >= len) {
        return;
    }
    var sum = 0.0;
    for (var part = 0u; part < collect_params.y; part++) {
        sum += part_sums[part * len + at];
    }
    total[at] = sum;
}
