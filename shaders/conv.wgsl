// include: activate, fp8, half, index
// Convolution as a matrix product whose left (forward, input gradient) or right (weight gradient)
// matrix is never stored: its elements are looked up in the images while tiles are filled.
//
// Constants in front: the sizes of ConvShape, GROUP_CHANNELS and GROUP_OUTPUTS; L_FORMAT, R_FORMAT
// (0 f32, 3 bf16) and L_SINGLE, R_SINGLE (one scale) of both stored operands; ACTIVATION, POOL, BIAS,
// KEEP (1 values before the non-linearity, 2 winners), UNPOOL (the gradient is of a fused pooling);
// TILE_N columns of a tile of 64 rows, THREADS = 4 TILE_N; LANES.

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
    l_cols: u32,
    l_block_rows: u32,
    l_block_cols: u32,
    r_cols: u32,
    r_block_rows: u32,
    r_block_cols: u32,
}

@group(0) @binding(0) var<storage, read> left: array<u32>;
@group(0) @binding(1) var<storage, read> left_scales: array<i32>;
@group(0) @binding(2) var<storage, read> right: array<u32>;
@group(0) @binding(3) var<storage, read> right_scales: array<i32>;
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

fn left_at(row: u32, col: u32) -> f32 {
    if (L_FORMAT == 0u) {
        return bitcast<f32>(left[row * p.l_cols + col]);
    }
    if (L_FORMAT == 3u) {
        return bitcast<f32>(bf16_bits(left[row * ((p.l_cols + 1u) / 2u) + col / 2u], col % 2u));
    }
    let word = left[row * ((p.l_cols + 3u) / 4u) + col / 4u];
    var exponent = left_scales[0];
    if (L_SINGLE == 0u) {
        let across = (p.l_cols + p.l_block_cols - 1u) / p.l_block_cols;
        exponent = left_scales[(row / p.l_block_rows) * across + col / p.l_block_cols];
    }
    return fp8_decode((word >> (8u * (col % 4u))) & 0xffu, L_FORMAT) * power_of_two(exponent);
}

fn right_at(row: u32, col: u32) -> f32 {
    if (R_FORMAT == 0u) {
        return bitcast<f32>(right[row * p.r_cols + col]);
    }
    if (R_FORMAT == 3u) {
        return bitcast<f32>(bf16_bits(right[row * ((p.r_cols + 1u) / 2u) + col / 2u], col % 2u));
    }
    let word = right[row * ((p.r_cols + 3u) / 4u) + col / 4u];
    var exponent = right_scales[0];
    if (R_SINGLE == 0u) {
        let across = (p.r_cols + p.r_block_cols - 1u) / p.r_block_cols;
        exponent = right_scales[(row / p.r_block_rows) * across + col / p.r_block_cols];
    }
    return fp8_decode((word >> (8u * (col % 4u))) & 0xffu, R_FORMAT) * power_of_two(exponent);
}

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
        return left_at(n, (y * OUT_WIDTH + x) * OUT_CHANNELS + o);
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
    return left_at(n, pixel * OUT_CHANNELS + o);
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
        (*sums).r0 += a_tile[at] * row;
        (*sums).r1 += a_tile[at + 1u] * row;
        (*sums).r2 += a_tile[at + 2u] * row;
        (*sums).r3 += a_tile[at + 3u] * row;
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
            for (var e = lane; e < DEPTH * 64u; e += THREADS) {
                let row = top + e / DEPTH;
                let k = deep + e % DEPTH;
                var v = 0.0;
                if (row < p.m && k < p.k) {
                    let at = output_place(row);
                    let place = filter_place(k);
                    let c = g * GROUP_CHANNELS + place.z;
                    let col = image_at(at.y, at.z, place.x, place.y, c);
                    if (col != NOWHERE) {
                        v = left_at(at.x, col);
                    }
                }
                a_tile[(e % DEPTH) * 64u + e / DEPTH] = v;
            }
            for (var e = lane; e < DEPTH * TILE_N; e += THREADS) {
                let col = edge + e / DEPTH;
                let k = deep + e % DEPTH;
                var v = 0.0;
                if (col < p.n && k < p.k) {
                    v = right_at(g * GROUP_OUTPUTS + col, k);
                }
                b_tile[(e % DEPTH) * TILE_N + e / DEPTH] = v;
            }
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

// Gradient that reaches input pixel (v, u) from output o through place (i, j) of the filter.
fn gradient_through(n: u32, v: u32, u: u32, i: u32, j: u32, o: u32) -> f32 {
    let y = v + PADDING;
    let x = u + PADDING;
    if (y < i || x < j || (y - i) % STRIDE != 0u || (x - j) % STRIDE != 0u) {
        return 0.0;
    }
    let oy = (y - i) / STRIDE;
    let ox = (x - j) / STRIDE;
    if (oy >= OUT_HEIGHT || ox >= OUT_WIDTH) {
        return 0.0;
    }
    return gradient_at(n, oy, ox, o);
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
            for (var e = lane; e < DEPTH * 64u; e += THREADS) {
                let row = top + e / DEPTH;
                let k = deep + e % DEPTH;
                var v = 0.0;
                if (row < p.m && k < p.k) {
                    let place = k / GROUP_OUTPUTS;
                    let o = g * GROUP_OUTPUTS + k % GROUP_OUTPUTS;
                    let pixel = row % PIXELS;
                    let at = vec2<u32>(pixel / WIDTH, pixel % WIDTH);
                    v = gradient_through(row / PIXELS, at.x, at.y, place / KERNEL, place % KERNEL, o);
                }
                a_tile[(e % DEPTH) * 64u + e / DEPTH] = v;
            }
            for (var e = lane; e < DEPTH * TILE_N; e += THREADS) {
                let col = edge + e % TILE_N;
                let k = deep + e / TILE_N;
                var v = 0.0;
                if (col < p.n && k < p.k) {
                    let o = g * GROUP_OUTPUTS + k % GROUP_OUTPUTS;
                    v = right_at(o, (k / GROUP_OUTPUTS) * GROUP_CHANNELS + col);
                }
                b_tile[e] = v;
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
        for (var e = lane; e < DEPTH * 64u; e += THREADS) {
            let o = top + e % 64u;
            let k = deep + e / 64u;
            var v = 0.0;
            if (o < p.m && k < end) {
                let pixel = k % OUT_PIXELS;
                let at = vec2<u32>(pixel / OUT_WIDTH, pixel % OUT_WIDTH);
                v = gradient_at(k / OUT_PIXELS, at.x, at.y, g * GROUP_OUTPUTS + o);
            }
            a_tile[e] = v;
        }
        for (var e = lane; e < DEPTH * TILE_N; e += THREADS) {
            let col = edge + e % TILE_N;
            let k = deep + e / TILE_N;
            var v = 0.0;
            if (col < p.n && k < end) {
                let place = filter_place(col);
                let pixel = k % OUT_PIXELS;
                let c = g * GROUP_CHANNELS + place.z;
                let at = image_at(pixel / OUT_WIDTH, pixel % OUT_WIDTH, place.x, place.y, c);
                if (at != NOWHERE) {
                    v = right_at(k / OUT_PIXELS, at);
                }
            }
            b_tile[e] = v;
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
                    sum += left_at(place.x, col) * right_at(first + c, k);
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
        sum += g * right_at(c, k);
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
                sum += gradient_at(q / OUT_PIXELS, y, x, c) * right_at(q / OUT_PIXELS, col);
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
