// include: activate, fp8, half, index, operand a, operand b
// Convolution as a matrix product whose left (forward, input gradient) or right (weight gradient)
// matrix is never stored: its elements are looked up in the images while tiles are filled.
//
// Constants in front: the sizes of ConvShape, GROUP_CHANNELS and GROUP_OUTPUTS; those of both stored
// operands (shared/operand.wgsl), the left one called a and the right one b; ACTIVATION, POOL, BIAS,
// KEEP (1 values before the non-linearity, 2 winners), UNPOOL (the gradient is of a fused pooling);
// A_QUADS, B_QUADS (four neighbours of the operand are in one word or load, and at the same place of
// the filter); TILE_N columns of a tile of 64 rows, THREADS = 4 TILE_N; LANES.

struct Params {
    // Of one group: rows, columns and inner size of the product, tiles of 64 rows and of TILE_N columns.
    m: u32,
    n: u32,
    k: u32,
    down: u32,
    across: u32,
    // Parts of the inner size that are added on their own.
    parts: u32,
    part_k: u32,
    unused: u32,
    a_cols: u32,
    a_block_rows: u32,
    a_block_cols: u32,
    b_cols: u32,
    b_block_rows: u32,
    b_block_cols: u32,
}

@group(0) @binding(0) var<storage, read> a: array<u32>;
@group(0) @binding(1) var<storage, read> a_scales: array<i32>;
@group(0) @binding(2) var<storage, read> b: array<u32>;
@group(0) @binding(3) var<storage, read> b_scales: array<i32>;
@group(0) @binding(4) var<storage, read> extra: array<u32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<storage, read_write> kept: array<u32>;
@group(0) @binding(7) var<uniform> p: Params;

const DEPTH: u32 = 16u;
const PIXELS: u32 = HEIGHT * WIDTH;
const OUT_PIXELS: u32 = OUT_HEIGHT * OUT_WIDTH;
// At least 1, so that nothing divides by 0 where there is no pooling.
const POOLED_HEIGHT: u32 = max(OUT_HEIGHT / 2u, 1u);
const POOLED_WIDTH: u32 = max(OUT_WIDTH / 2u, 1u);
const WINNER_WORDS: u32 = (OUT_CHANNELS + 3u) / 4u;

// Column of an image's stored row for place (i, j) of the filter at output (y, x), channel c of its
// group; NOWHERE in the padding.
const NOWHERE: u32 = 0xffffffffu;

fn image_at(y: u32, x: u32, i: u32, j: u32, c: u32) -> u32 {
    let v = y * STRIDE + i;
    let u = x * STRIDE + j;
    if (v < PADDING || u < PADDING || v >= HEIGHT + PADDING || u >= WIDTH + PADDING) {
        return NOWHERE;
    }
    return ((v - PADDING) * WIDTH + u - PADDING) * CHANNELS + c;
}

// Gradient of output (y, x, o) of sample n, which is the left operand.
fn gradient_at(n: u32, y: u32, x: u32, o: u32) -> f32 {
    if (UNPOOL == 0u) {
        return a_at(n, (y * OUT_WIDTH + x) * OUT_CHANNELS + o);
    }
    let py = y / 2u;
    let px = x / 2u;
    if (py >= POOLED_HEIGHT || px >= POOLED_WIDTH) {
        return 0.0;
    }
    let pixel = py * POOLED_WIDTH + px;
    let word = extra[(n * POOLED_HEIGHT * POOLED_WIDTH + pixel) * WINNER_WORDS + o / 4u];
    if (((word >> (8u * (o % 4u))) & 0xffu) != (y % 2u) * 2u + x % 2u) {
        return 0.0;
    }
    return a_at(n, pixel * OUT_CHANNELS + o);
}

// Gradients of outputs (y, x, o..o + 4).
fn gradient_quad(n: u32, y: u32, x: u32, o: u32) -> vec4<f32> {
    if (UNPOOL == 0u) {
        return a_quad(n, (y * OUT_WIDTH + x) * OUT_CHANNELS + o);
    }
    let py = y / 2u;
    let px = x / 2u;
    if (py >= POOLED_HEIGHT || px >= POOLED_WIDTH) {
        return vec4<f32>(0.0);
    }
    let pixel = py * POOLED_WIDTH + px;
    let word = extra[(n * POOLED_HEIGHT * POOLED_WIDTH + pixel) * WINNER_WORDS + o / 4u];
    let winners = (vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu);
    let won = winners == vec4<u32>((y % 2u) * 2u + x % 2u);
    if (!any(won)) {
        return vec4<f32>(0.0);
    }
    return select(vec4<f32>(0.0), a_quad(n, pixel * OUT_CHANNELS + o), won);
}

// Place of a filter and channel of its group, from a column of the stored filters.
fn filter_place(col: u32) -> vec3<u32> {
    let place = col / GROUP_CHANNELS;
    return vec3<u32>(place / KERNEL, place % KERNEL, col % GROUP_CHANNELS);
}

// Sample, row and column of a row of the forward product. With POOL the four rows of a window
// follow each other.
fn output_place(row: u32) -> vec3<u32> {
    if (POOL == 0u) {
        return vec3<u32>(row / OUT_PIXELS, (row / OUT_WIDTH) % OUT_HEIGHT, row % OUT_WIDTH);
    }
    let pixel = row / 4u;
    let n = pixel / (POOLED_HEIGHT * POOLED_WIDTH);
    let y = (pixel / POOLED_WIDTH) % POOLED_HEIGHT;
    let x = pixel % POOLED_WIDTH;
    return vec3<u32>(n, 2u * y + (row / 2u) % 2u, 2u * x + row % 2u);
}

var<workgroup> a_tile: array<f32, DEPTH * 64u>;
var<workgroup> b_tile: array<f32, DEPTH * TILE_N>;

// Neighbours of an operand that are loaded at once, and such loads in a line of a tile.
const A_STEP: u32 = select(1u, 4u, A_QUADS == 1u);
const A_LOADS: u32 = 64u / A_STEP;
const B_STEP: u32 = select(1u, 4u, B_QUADS == 1u);
const B_LOADS: u32 = TILE_N / B_STEP;

fn put_b(at: u32, v: vec4<f32>) {
    b_tile[at] = v.x;
    if (B_QUADS == 1u) {
        b_tile[at + 1u] = v.y;
        b_tile[at + 2u] = v.z;
        b_tile[at + 3u] = v.w;
    }
}

// Sums of one thread: rows i..i+4, columns j..j+4 of the tile.
struct Sums {
    r0: vec4<f32>,
    r1: vec4<f32>,
    r2: vec4<f32>,
    r3: vec4<f32>,
}

fn multiply(sums: ptr<function, Sums>, i: u32, j: u32) {
    for (var k = 0u; k < DEPTH; k++) {
        let at = k * 64u + i;
        let bt = k * TILE_N + j;
        let row = vec4<f32>(b_tile[bt], b_tile[bt + 1u], b_tile[bt + 2u], b_tile[bt + 3u]);
        (*sums).r0 = fma(vec4<f32>(a_tile[at]), row, (*sums).r0);
        (*sums).r1 = fma(vec4<f32>(a_tile[at + 1u]), row, (*sums).r1);
        (*sums).r2 = fma(vec4<f32>(a_tile[at + 2u]), row, (*sums).r2);
        (*sums).r3 = fma(vec4<f32>(a_tile[at + 3u]), row, (*sums).r3);
    }
}

fn bias_of(first: u32, columns: u32) -> vec4<f32> {
    var v = vec4<f32>(0.0);
    if (BIAS == 1u) {
        for (var c = 0u; c < columns; c++) {
            v[c] = bitcast<f32>(extra[first + c]);
        }
    }
    return v;
}

// Writes one row of up to four results from column `first` on.
fn store(pixel: u32, first: u32, columns: u32, value: vec4<f32>) {
    let at = pixel * OUT_CHANNELS + first;
    for (var c = 0u; c < columns; c++) {
        if (KEEP == 1u) {
            kept[at + c] = bitcast<u32>(value[c]);
        }
        out[at + c] = activate(value[c]);
    }
}

// Takes the window's value at `place` if it is larger than the best, or NaN.
fn take(best: vec4<f32>, winner: vec4<u32>, value: vec4<f32>, place: u32) -> array<vec4<u32>, 2> {
    let bits = bitcast<vec4<u32>>(value) & vec4<u32>(0x7fffffffu);
    let wins = (value > best) | (bits > vec4<u32>(0x7f800000u));
    return array<vec4<u32>, 2>(
        select(bitcast<vec4<u32>>(best), bitcast<vec4<u32>>(value), wins),
        select(winner, vec4<u32>(place), wins),
    );
}

// Writes the largest of a window's four rows and its winners.
fn store_pooled(pixel: u32, first: u32, columns: u32, s: Sums, bias: vec4<f32>) {
    var best = s.r0 + bias;
    var winner = vec4<u32>(0u);
    var next = take(best, winner, s.r1 + bias, 1u);
    next = take(bitcast<vec4<f32>>(next[0]), next[1], s.r2 + bias, 2u);
    next = take(bitcast<vec4<f32>>(next[0]), next[1], s.r3 + bias, 3u);
    best = bitcast<vec4<f32>>(next[0]);
    winner = next[1];
    if (ACTIVATION == RELU) {
        winner = select(vec4<u32>(4u), winner, best > vec4<f32>(0.0));
    }
    var word = 0u;
    for (var c = 0u; c < columns; c++) {
        out[pixel * OUT_CHANNELS + first + c] = activate(best[c]);
        word |= winner[c] << (8u * c);
    }
    if (KEEP == 2u) {
        kept[pixel * WINNER_WORDS + first / 4u] = word;
    }
}

// The unrolled images of the forward product, rows from `top` and inner indices from `deep` on.
fn fill_images(lane: u32, g: u32, top: u32, deep: u32) {
    const ACROSS: u32 = DEPTH / A_STEP;
    for (var e = lane; e < ACROSS * 64u; e += THREADS) {
        let i = e / ACROSS;
        let deeper = (e % ACROSS) * A_STEP;
        let row = top + i;
        let k = deep + deeper;
        var v = vec4<f32>(0.0);
        if (row < p.m && k < p.k) {
            let at = output_place(row);
            let place = filter_place(k);
            let c = g * GROUP_CHANNELS + place.z;
            let col = image_at(at.y, at.z, place.x, place.y, c);
            if (col != NOWHERE) {
                if (A_QUADS == 1u) {
                    v = a_quad(at.x, col);
                } else {
                    v.x = a_at(at.x, col);
                }
            }
        }
        let to = deeper * 64u + i;
        a_tile[to] = v.x;
        if (A_QUADS == 1u) {
            a_tile[to + 64u] = v.y;
            a_tile[to + 128u] = v.z;
            a_tile[to + 192u] = v.w;
        }
    }
}

// The filters of the forward product, columns from `edge` on.
fn fill_filters(lane: u32, g: u32, edge: u32, deep: u32) {
    const ACROSS: u32 = DEPTH / B_STEP;
    for (var e = lane; e < ACROSS * TILE_N; e += THREADS) {
        let j = e / ACROSS;
        let deeper = (e % ACROSS) * B_STEP;
        let col = edge + j;
        let k = deep + deeper;
        var v = vec4<f32>(0.0);
        if (col < p.n && k < p.k) {
            if (B_QUADS == 1u) {
                v = b_quad(g * GROUP_OUTPUTS + col, k);
            } else {
                v.x = b_at(g * GROUP_OUTPUTS + col, k);
            }
        }
        let to = deeper * TILE_N + j;
        b_tile[to] = v.x;
        if (B_QUADS == 1u) {
            b_tile[to + TILE_N] = v.y;
            b_tile[to + 2u * TILE_N] = v.z;
            b_tile[to + 3u * TILE_N] = v.w;
        }
    }
}

@compute @workgroup_size(THREADS)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = linear_group(group, count);
    let g = tile / (p.down * p.across);
    let top = ((tile / p.across) % p.down) * 64u;
    let edge = (tile % p.across) * TILE_N;
    let i = (lane / (TILE_N / 4u)) * 4u;
    let j = (lane % (TILE_N / 4u)) * 4u;
    var sums = Sums();
    if (g < GROUPS) {
        for (var deep = 0u; deep < p.k; deep += DEPTH) {
            fill_images(lane, g, top, deep);
            fill_filters(lane, g, edge, deep);
            workgroupBarrier();
            multiply(&sums, i, j);
            workgroupBarrier();
        }
    }
    if (g >= GROUPS || edge + j >= p.n || top + i >= p.m) {
        return;
    }
    let first = g * GROUP_OUTPUTS + edge + j;
    let columns = min(4u, p.n - edge - j);
    let bias = bias_of(first, columns);
    if (POOL == 1u) {
        store_pooled((top + i) / 4u, first, columns, sums, bias);
        return;
    }
    store(top + i, first, columns, sums.r0 + bias);
    if (top + i + 1u < p.m) { store(top + i + 1u, first, columns, sums.r1 + bias); }
    if (top + i + 2u < p.m) { store(top + i + 2u, first, columns, sums.r2 + bias); }
    if (top + i + 3u < p.m) { store(top + i + 3u, first, columns, sums.r3 + bias); }
}

// Output (y, x) whose place (i, j) of the filter lies on input pixel (v, u); NOWHERE if none does.
fn output_through(v: u32, u: u32, i: u32, j: u32) -> vec2<u32> {
    let y = v + PADDING;
    let x = u + PADDING;
    if (y < i || x < j || (y - i) % STRIDE != 0u || (x - j) % STRIDE != 0u) {
        return vec2<u32>(NOWHERE);
    }
    let oy = (y - i) / STRIDE;
    let ox = (x - j) / STRIDE;
    if (oy >= OUT_HEIGHT || ox >= OUT_WIDTH) {
        return vec2<u32>(NOWHERE);
    }
    return vec2<u32>(oy, ox);
}

// Gradient that reaches input pixel (v, u) from output o through place (i, j) of the filter.
fn gradient_through(n: u32, v: u32, u: u32, i: u32, j: u32, o: u32) -> f32 {
    let at = output_through(v, u, i, j);
    if (at.x == NOWHERE) {
        return 0.0;
    }
    return gradient_at(n, at.x, at.y, o);
}

// The unrolled gradients of the input gradient's product.
fn fill_gradients(lane: u32, g: u32, top: u32, deep: u32) {
    const ACROSS: u32 = DEPTH / A_STEP;
    for (var e = lane; e < ACROSS * 64u; e += THREADS) {
        let i = e / ACROSS;
        let deeper = (e % ACROSS) * A_STEP;
        let row = top + i;
        let k = deep + deeper;
        var v = vec4<f32>(0.0);
        if (row < p.m && k < p.k) {
            let place = k / GROUP_OUTPUTS;
            let o = g * GROUP_OUTPUTS + k % GROUP_OUTPUTS;
            let n = row / PIXELS;
            let pixel = row % PIXELS;
            let at = output_through(pixel / WIDTH, pixel % WIDTH, place / KERNEL, place % KERNEL);
            if (at.x != NOWHERE) {
                if (A_QUADS == 1u) {
                    v = gradient_quad(n, at.x, at.y, o);
                } else {
                    v.x = gradient_at(n, at.x, at.y, o);
                }
            }
        }
        let to = deeper * 64u + i;
        a_tile[to] = v.x;
        if (A_QUADS == 1u) {
            a_tile[to + 64u] = v.y;
            a_tile[to + 128u] = v.z;
            a_tile[to + 192u] = v.w;
        }
    }
}

fn store_plain(row: u32, width: u32, first: u32, columns: u32, value: vec4<f32>) {
    for (var c = 0u; c < columns; c++) {
        out[row * width + first + c] = value[c];
    }
}

@compute @workgroup_size(THREADS)
fn input_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = linear_group(group, count);
    let g = tile / (p.down * p.across);
    let top = ((tile / p.across) % p.down) * 64u;
    let edge = (tile % p.across) * TILE_N;
    let i = (lane / (TILE_N / 4u)) * 4u;
    let j = (lane % (TILE_N / 4u)) * 4u;
    var sums = Sums();
    if (g < GROUPS) {
        for (var deep = 0u; deep < p.k; deep += DEPTH) {
            fill_gradients(lane, g, top, deep);
            for (var e = lane; e < DEPTH * B_LOADS; e += THREADS) {
                let j = (e % B_LOADS) * B_STEP;
                let col = edge + j;
                let k = deep + e / B_LOADS;
                var v = vec4<f32>(0.0);
                if (col < p.n && k < p.k) {
                    let o = g * GROUP_OUTPUTS + k % GROUP_OUTPUTS;
                    let stored = (k / GROUP_OUTPUTS) * GROUP_CHANNELS + col;
                    if (B_QUADS == 1u) {
                        v = b_quad(o, stored);
                    } else {
                        v.x = b_at(o, stored);
                    }
                }
                put_b((e / B_LOADS) * TILE_N + j, v);
            }
            workgroupBarrier();
            multiply(&sums, i, j);
            workgroupBarrier();
        }
    }
    if (g >= GROUPS || edge + j >= p.n) {
        return;
    }
    let first = g * GROUP_CHANNELS + edge + j;
    let columns = min(4u, p.n - edge - j);
    if (top + i < p.m) { store_plain(top + i, CHANNELS, first, columns, sums.r0); }
    if (top + i + 1u < p.m) { store_plain(top + i + 1u, CHANNELS, first, columns, sums.r1); }
    if (top + i + 2u < p.m) { store_plain(top + i + 2u, CHANNELS, first, columns, sums.r2); }
    if (top + i + 3u < p.m) { store_plain(top + i + 3u, CHANNELS, first, columns, sums.r3); }
}

// Part sums: `out` is [parts, outputs, filter]. The right operand is the images.
@compute @workgroup_size(THREADS)
fn weight_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var tile = linear_group(group, count);
    let edge = (tile % p.across) * TILE_N;
    tile = tile / p.across;
    let top = (tile % p.down) * 64u;
    tile = tile / p.down;
    let g = tile % GROUPS;
    let part = tile / GROUPS;
    let i = (lane / (TILE_N / 4u)) * 4u;
    let j = (lane % (TILE_N / 4u)) * 4u;
    var sums = Sums();
    let end = select(0u, min(p.k, (part + 1u) * p.part_k), part < p.parts);
    for (var deep = part * p.part_k; deep < end; deep += DEPTH) {
        for (var e = lane; e < DEPTH * A_LOADS; e += THREADS) {
            let i = (e % A_LOADS) * A_STEP;
            let o = top + i;
            let k = deep + e / A_LOADS;
            var v = vec4<f32>(0.0);
            if (o < p.m && k < end) {
                let n = k / OUT_PIXELS;
                let pixel = k % OUT_PIXELS;
                let at = vec2<u32>(pixel / OUT_WIDTH, pixel % OUT_WIDTH);
                if (A_QUADS == 1u) {
                    v = gradient_quad(n, at.x, at.y, g * GROUP_OUTPUTS + o);
                } else {
                    v.x = gradient_at(n, at.x, at.y, g * GROUP_OUTPUTS + o);
                }
            }
            let to = (e / A_LOADS) * 64u + i;
            a_tile[to] = v.x;
            if (A_QUADS == 1u) {
                a_tile[to + 1u] = v.y;
                a_tile[to + 2u] = v.z;
                a_tile[to + 3u] = v.w;
            }
        }
        for (var e = lane; e < DEPTH * B_LOADS; e += THREADS) {
            let j = (e % B_LOADS) * B_STEP;
            let col = edge + j;
            let k = deep + e / B_LOADS;
            var v = vec4<f32>(0.0);
            if (col < p.n && k < end) {
                let place = filter_place(col);
                let pixel = k % OUT_PIXELS;
                let c = g * GROUP_CHANNELS + place.z;
                let at = image_at(pixel / OUT_WIDTH, pixel % OUT_WIDTH, place.x, place.y, c);
                if (at != NOWHERE) {
                    if (B_QUADS == 1u) {
                        v = b_quad(k / OUT_PIXELS, at);
                    } else {
                        v.x = b_at(k / OUT_PIXELS, at);
                    }
                }
            }
            put_b((e / B_LOADS) * TILE_N + j, v);
        }
        workgroupBarrier();
        multiply(&sums, i, j);
        workgroupBarrier();
    }
    if (part >= p.parts || edge + j >= p.n) {
        return;
    }
    let columns = min(4u, p.n - edge - j);
    let row = part * OUT_CHANNELS + g * GROUP_OUTPUTS + top + i;
    if (top + i < p.m) { store_plain(row, p.n, edge + j, columns, sums.r0); }
    if (top + i + 1u < p.m) { store_plain(row + 1u, p.n, edge + j, columns, sums.r1); }
    if (top + i + 2u < p.m) { store_plain(row + 2u, p.n, edge + j, columns, sums.r2); }
    if (top + i + 3u < p.m) { store_plain(row + 3u, p.n, edge + j, columns, sums.r3); }
}

// One channel per filter. Up to four channels of one result (with POOL of its four outputs) per
// thread, so that it owns a word of winners.
@compute @workgroup_size(LANES)
fn depthwise_forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let words = (CHANNELS + 3u) / 4u;
    let at = linear_group(group, count) * LANES + lane;
    let pixel = at / words;
    let rows = select(1u, 4u, POOL == 1u);
    if (pixel * rows >= p.m) {
        return;
    }
    let first = (at % words) * 4u;
    let columns = min(4u, CHANNELS - first);
    var values = array<vec4<f32>, 4>();
    for (var q = 0u; q < rows; q++) {
        let place = output_place(pixel * rows + q);
        for (var c = 0u; c < columns; c++) {
            var sum = 0.0;
            for (var k = 0u; k < KERNEL * KERNEL; k++) {
                let col = image_at(place.y, place.z, k / KERNEL, k % KERNEL, first + c);
                if (col != NOWHERE) {
                    sum += a_at(place.x, col) * b_at(first + c, k);
                }
            }
            values[q][c] = sum;
        }
    }
    let bias = bias_of(first, columns);
    if (POOL == 1u) {
        store_pooled(pixel, first, columns, Sums(values[0], values[1], values[2], values[3]), bias);
    } else {
        store(pixel, first, columns, values[0] + bias);
    }
}

// One input value per thread.
@compute @workgroup_size(LANES)
fn depthwise_input_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = linear_group(group, count) * LANES + lane;
    if (at >= p.m * CHANNELS) {
        return;
    }
    let c = at % CHANNELS;
    let row = at / CHANNELS;
    let pixel = row % PIXELS;
    var sum = 0.0;
    for (var k = 0u; k < KERNEL * KERNEL; k++) {
        let g = gradient_through(
            row / PIXELS, pixel / WIDTH, pixel % WIDTH, k / KERNEL, k % KERNEL, c,
        );
        sum += g * b_at(c, k);
    }
    out[at] = sum;
}

var<workgroup> depth_sums: array<f32, 256>;

// 16 channels of one place per group, 16 threads share the pixels of a part.
@compute @workgroup_size(256)
fn depthwise_weight_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var tile = linear_group(group, count);
    let c = (tile % p.across) * 16u + lane % 16u;
    tile = tile / p.across;
    let k = tile % (KERNEL * KERNEL);
    let part = tile / (KERNEL * KERNEL);
    let end = min(p.k, (part + 1u) * p.part_k);
    var sum = 0.0;
    if (c < CHANNELS && part < p.parts) {
        for (var q = part * p.part_k + lane / 16u; q < end; q += 16u) {
            let pixel = q % OUT_PIXELS;
            let y = pixel / OUT_WIDTH;
            let x = pixel % OUT_WIDTH;
            let col = image_at(y, x, k / KERNEL, k % KERNEL, c);
            if (col != NOWHERE) {
                sum += gradient_at(q / OUT_PIXELS, y, x, c) * b_at(q / OUT_PIXELS, col);
            }
        }
    }
    depth_sums[lane] = sum;
    workgroupBarrier();
    for (var half = 8u; half > 0u; half = half >> 1u) {
        if (lane < 16u * half) {
            depth_sums[lane] = depth_sums[lane] + depth_sums[lane + 16u * half];
        }
        workgroupBarrier();
    }
    if (lane < 16u && c < CHANNELS && part < p.parts) {
        out[(part * CHANNELS + c) * KERNEL * KERNEL + k] = depth_sums[lane];
    }
}

@group(0) @binding(0) var<storage, read> part_values: array<f32>;
@group(0) @binding(1) var<storage, read_write> filters: array<f32>;
@group(0) @binding(2) var<uniform> collect_params: Params;

// Adds the parts of a weight gradient.
@compute @workgroup_size(LANES)
fn collect(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = linear_group(group, count) * LANES + lane;
    let len = OUT_CHANNELS * KERNEL * KERNEL * GROUP_CHANNELS;
    if (at >= len) {
        return;
    }
    var sum = 0.0;
    for (var part = 0u; part < collect_params.parts; part++) {
        sum += part_values[part * len + at];
    }
    filters[at] = sum;
}
