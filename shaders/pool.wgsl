// include: index
// Pooling. Constants in front: the sizes of PoolShape, KEEP (whether winners are kept), LANES.

struct Params {
    // Threads with work.
    len: u32,
}

const WORDS: u32 = (CHANNELS + 3u) / 4u;
// Also what a maximum starts from; never kept, since every window has a pixel inside the image.
const NOWHERE: u32 = 0xffffffffu;

// Input pixel of place (i, j) of the window at (y, x); NOWHERE outside the image.
fn pixel(y: u32, x: u32, i: u32, j: u32) -> u32 {
    let v = y * STRIDE + i;
    let u = x * STRIDE + j;
    if (v < PADDING || u < PADDING || v >= HEIGHT + PADDING || u >= WIDTH + PADDING) {
        return NOWHERE;
    }
    return (v - PADDING) * WIDTH + u - PADDING;
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read_write> winners_out: array<u32>;
@group(0) @binding(3) var<uniform> p: Params;

// Up to four channels of one output pixel per thread, so that it owns a word of winners.
@compute @workgroup_size(LANES)
fn max_forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = linear_group(group, count) * LANES + lane;
    if (at >= p.len) {
        return;
    }
    let first = (at % WORDS) * 4u;
    let place = at / WORDS;
    let n = place / (OUT_HEIGHT * OUT_WIDTH);
    let oy = (place / OUT_WIDTH) % OUT_HEIGHT;
    let ox = place % OUT_WIDTH;
    var word = 0u;
    for (var c = 0u; c < min(4u, CHANNELS - first); c++) {
        var best = 0.0;
        var winner = NOWHERE;
        for (var i = 0u; i < SIZE_Y; i++) {
            for (var j = 0u; j < SIZE_X; j++) {
                let cell = pixel(oy, ox, i, j);
                if (cell != NOWHERE) {
                    let bits = x[(n * HEIGHT * WIDTH + cell) * CHANNELS + first + c];
                    let nan = (bitcast<u32>(bits) & 0x7fffffffu) > 0x7f800000u;
                    if (winner == NOWHERE || bits > best || nan) {
                        best = bits;
                        winner = i * SIZE_X + j;
                    }
                }
            }
        }
        out[place * CHANNELS + first + c] = best;
        word |= (winner & 0xffu) << (8u * c);
    }
    if (KEEP == 1u) {
        winners_out[at] = word;
    }
}

@group(0) @binding(0) var<storage, read> grad: array<f32>;
@group(0) @binding(1) var<storage, read> winners: array<u32>;
@group(0) @binding(2) var<storage, read_write> grad_x: array<f32>;

// First and last (exclusive) window along one side that covers input position `v`.
fn covering(v: u32, size: u32, places: u32) -> vec2<u32> {
    let at = v + PADDING;
    let first = select(0u, (at - size) / STRIDE + 1u, at >= size);
    return vec2<u32>(first, min(places, at / STRIDE + 1u));
}

// One input value per thread: the windows that it won, in order.
@compute @workgroup_size(LANES)
fn max_backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = linear_group(group, count) * LANES + lane;
    if (at >= p.len) {
        return;
    }
    let c = at % CHANNELS;
    let cell = at / CHANNELS;
    let n = cell / (HEIGHT * WIDTH);
    let v = (cell / WIDTH) % HEIGHT;
    let u = cell % WIDTH;
    let rows = covering(v, SIZE_Y, OUT_HEIGHT);
    let cols = covering(u, SIZE_X, OUT_WIDTH);
    var sum = 0.0;
    for (var y = rows.x; y < rows.y; y++) {
        for (var ox = cols.x; ox < cols.y; ox++) {
            let place = (n * OUT_HEIGHT + y) * OUT_WIDTH + ox;
            let winner = (v + PADDING - y * STRIDE) * SIZE_X + u + PADDING - ox * STRIDE;
            let word = winners[place * WORDS + c / 4u];
            if (((word >> (8u * (c % 4u))) & 0xffu) == winner) {
                sum += grad[place * CHANNELS + c];
            }
        }
    }
    grad_x[at] = sum;
}

@group(0) @binding(2) var<uniform> average_params: Params;

// One output value per thread.
@compute @workgroup_size(LANES)
fn average_forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = linear_group(group, count) * LANES + lane;
    if (at >= average_params.len) {
        return;
    }
    let c = at % CHANNELS;
    let place = at / CHANNELS;
    let n = place / (OUT_HEIGHT * OUT_WIDTH);
    let oy = (place / OUT_WIDTH) % OUT_HEIGHT;
    let ox = place % OUT_WIDTH;
    var sum = 0.0;
    for (var i = 0u; i < SIZE_Y; i++) {
        for (var j = 0u; j < SIZE_X; j++) {
            sum += x[(n * HEIGHT * WIDTH + pixel(oy, ox, i, j)) * CHANNELS + c];
        }
    }
    out[at] = sum / f32(SIZE_Y * SIZE_X);
}

@group(0) @binding(1) var<storage, read_write> average_grad_x: array<f32>;

// One input value per thread.
@compute @workgroup_size(LANES)
fn average_backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = linear_group(group, count) * LANES + lane;
    if (at >= average_params.len) {
        return;
    }
    let c = at % CHANNELS;
    let cell = at / CHANNELS;
    let n = cell / (HEIGHT * WIDTH);
    let rows = covering((cell / WIDTH) % HEIGHT, SIZE_Y, OUT_HEIGHT);
    let cols = covering(cell % WIDTH, SIZE_X, OUT_WIDTH);
    var sum = 0.0;
    for (var y = rows.x; y < rows.y; y++) {
        for (var ox = cols.x; ox < cols.y; ox++) {
            sum += grad[((n * OUT_HEIGHT + y) * OUT_WIDTH + ox) * CHANNELS + c] / f32(SIZE_Y * SIZE_X);
        }
    }
    average_grad_x[at] = sum;
}
