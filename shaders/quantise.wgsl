// include: fp8, hash, index, tree
// f32 matrix to packed FP8. Constants in front: FORMAT, STOCHASTIC, SINGLE (one block), LANES = 256.
//
// One block: amax -> choose* -> encode*; the maxima of all groups meet in `scratch`. With the amax of
// rows that are not there together: amax -> gather* for each part, then encode* for each.
// Many blocks: (clear_watched ->) amax_blocks* or amax_small_blocks* -> encode*.
// Watched tensors end with finish_watched, which adds up the energies of all groups.

struct Params {
    rows: u32,
    cols: u32,
    block_rows: u32,
    block_cols: u32,
    margin: u32,
    watch: u32,
    stream: u32,
    // Groups of amax and of encode.
    amax_groups: u32,
    encode_groups: u32,
    history_length: u32,
    // 0: largest of the history, 1: most recent, 2: first.
    algorithm: u32,
    blocks: u32,
    // Of the whole tensor, where these rows are a part of it.
    first_row: u32,
    all_rows: u32,
}

const STAT_WORDS: u32 = 80u;
const STAT_HISTOGRAM: u32 = 16u;
const HISTOGRAM_BINS: u32 = 64u;
const HISTORY_WORDS: u32 = 1024u;

fn finite_magnitude(bits: u32) -> u32 {
    let a = bits & 0x7fffffffu;
    return select(0u, a, a < 0x7f800000u);
}

// ---- amax of one block, spread over groups ----

@group(0) @binding(0) var<storage, read> amax_input: array<u32>;
@group(0) @binding(1) var<storage, read_write> amax_scratch: array<u32>;
@group(0) @binding(2) var<uniform> amax_params: Params;

@compute @workgroup_size(LANES)
fn amax(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let len = amax_params.rows * amax_params.cols;
    let stride = amax_params.amax_groups * LANES;
    var largest = 0u;
    for (var i = group.x * LANES + lane; i < len; i += stride) {
        largest = max(largest, finite_magnitude(amax_input[i]));
    }
    largest = tree_max_u32(lane, largest);
    if (lane == 0u) {
        amax_scratch[group.x] = largest;
    }
}

// ---- the scale of one block ----

@group(0) @binding(0) var<storage, read> choose_scratch: array<u32>;
@group(0) @binding(1) var<storage, read_write> choose_scales: array<i32>;
@group(0) @binding(2) var<uniform> choose_params: Params;
@group(0) @binding(2) var<storage, read_write> choose_stats: array<u32>;
@group(0) @binding(3) var<uniform> watched_params: Params;
@group(0) @binding(3) var<storage, read_write> choose_history: array<u32>;
@group(0) @binding(4) var<storage, read> choose_step: array<u32>;
@group(0) @binding(5) var<uniform> delayed_params: Params;

fn live_amax(lane: u32, groups: u32) -> u32 {
    var largest = 0u;
    for (var i = lane; i < groups; i += LANES) {
        largest = max(largest, choose_scratch[i]);
    }
    return tree_max_u32(lane, largest);
}

fn start_stats(lane: u32, watch: u32, count: u32, amax: u32, exponent: i32) {
    if (lane < STAT_WORDS) {
        var word = 0u;
        if (lane == 0u) {
            word = amax;
        } else if (lane == 1u) {
            word = bitcast<u32>(exponent);
        } else if (lane == 2u) {
            word = count;
        }
        choose_stats[watch * STAT_WORDS + lane] = word;
    }
}

@compute @workgroup_size(LANES)
fn choose(@builtin(local_invocation_index) lane: u32) {
    let p = choose_params;
    let amax = live_amax(lane, p.amax_groups);
    if (lane == 0u) {
        choose_scales[0] = fp8_scale_exponent(amax, FORMAT, p.margin);
    }
}

@compute @workgroup_size(LANES)
fn choose_watched(@builtin(local_invocation_index) lane: u32) {
    let p = watched_params;
    let amax = live_amax(lane, p.amax_groups);
    let exponent = fp8_scale_exponent(amax, FORMAT, p.margin);
    if (lane == 0u) {
        choose_scales[0] = exponent;
    }
    start_stats(lane, p.watch, p.all_rows * p.cols, amax, exponent);
}

// Of a tensor that comes in parts, before its codes: the amax so far, after the last part its scale.
fn gathered(lane: u32, p: Params) -> u32 {
    var amax = live_amax(lane, p.amax_groups);
    if (p.first_row > 0u) {
        amax = max(amax, bitcast<u32>(choose_scales[0]));
    }
    // All have read it before it is written.
    workgroupBarrier();
    if (lane == 0u) {
        let last = p.first_row + p.rows >= p.all_rows;
        let exponent = fp8_scale_exponent(amax, FORMAT, p.margin);
        choose_scales[0] = select(bitcast<i32>(amax), exponent, last);
    }
    return amax;
}

@compute @workgroup_size(LANES)
fn gather(@builtin(local_invocation_index) lane: u32) {
    gathered(lane, choose_params);
}

@compute @workgroup_size(LANES)
fn gather_watched(@builtin(local_invocation_index) lane: u32) {
    let p = watched_params;
    let amax = gathered(lane, p);
    let exponent = fp8_scale_exponent(amax, FORMAT, p.margin);
    start_stats(lane, p.watch, p.all_rows * p.cols, amax, exponent);
}

@compute @workgroup_size(LANES)
fn choose_delayed(@builtin(local_invocation_index) lane: u32) {
    let p = delayed_params;
    let amax = live_amax(lane, p.amax_groups);
    let first = p.watch * HISTORY_WORDS;
    let length = p.history_length;
    let step = choose_step[STEP];
    var past = 0u;
    if (p.algorithm == 2u) {
        past = choose_history[first];
    } else if (p.algorithm == 1u) {
        past = choose_history[first + (step + length - 2u) % length];
    } else {
        for (var i = lane; i < length; i += LANES) {
            past = max(past, choose_history[first + i]);
        }
    }
    past = tree_max_u32(lane, past);
    let exponent = fp8_scale_exponent(select(past, amax, past == 0u), FORMAT, p.margin);
    if (lane == 0u) {
        choose_scales[0] = exponent;
        if (p.algorithm != 2u) {
            choose_history[first + (step + length - 1u) % length] = amax;
        } else if (past == 0u) {
            choose_history[first] = amax;
        }
    }
    start_stats(lane, p.watch, p.all_rows * p.cols, amax, exponent);
}

@group(0) @binding(1) var<storage, read_write> add_stats: array<u32>;
@group(0) @binding(2) var<storage, read_write> add_history: array<u32>;
@group(0) @binding(3) var<storage, read> add_step: array<u32>;
@group(0) @binding(4) var<uniform> add_params: Params;

// Later rows of a tensor keep its scale; their amax counts too.
@compute @workgroup_size(LANES)
fn add_delayed(@builtin(local_invocation_index) lane: u32) {
    let p = add_params;
    let amax = live_amax(lane, p.amax_groups);
    if (lane == 0u) {
        let length = p.history_length;
        let first = p.watch * HISTORY_WORDS;
        let at = first + (add_step[STEP] + length - 1u) % length;
        if (p.algorithm != 2u) {
            add_history[at] = max(add_history[at], amax);
        } else if (add_history[first] == 0u) {
            add_history[first] = amax;
        }
        let word = p.watch * STAT_WORDS;
        add_stats[word] = max(add_stats[word], amax);
    }
}

// ---- scales of many blocks: one group each, or one thread each where they are small ----

@group(0) @binding(0) var<storage, read> blocks_input: array<u32>;
@group(0) @binding(1) var<storage, read_write> blocks_scales: array<i32>;
@group(0) @binding(2) var<uniform> blocks_params: Params;
@group(0) @binding(2) var<storage, read_write> blocks_stats: array<atomic<u32>>;
@group(0) @binding(3) var<uniform> blocks_watched_params: Params;

@group(0) @binding(0) var<storage, read_write> clear_stats: array<u32>;
@group(0) @binding(1) var<uniform> clear_params: Params;

@compute @workgroup_size(LANES)
fn clear_watched(@builtin(local_invocation_index) lane: u32) {
    if (lane < STAT_WORDS) {
        let count = clear_params.all_rows * clear_params.cols;
        clear_stats[clear_params.watch * STAT_WORDS + lane] = select(0u, count, lane == 2u);
    }
}

// amax over elements first, first + stride, ... of a block.
fn block_amax(block: u32, first: u32, stride: u32, p: Params) -> u32 {
    var largest = 0u;
    if (block < p.blocks) {
        let across = (p.cols + p.block_cols - 1u) / p.block_cols;
        let top = (block / across) * p.block_rows;
        let left = (block % across) * p.block_cols;
        let height = min(p.block_rows, p.rows - top);
        let width = min(p.block_cols, p.cols - left);
        for (var i = first; i < height * width; i += stride) {
            let at = (top + i / width) * p.cols + left + i % width;
            largest = max(largest, finite_magnitude(blocks_input[at]));
        }
    }
    return largest;
}

fn store_scale(block: u32, amax: u32, p: Params) {
    if (block < p.blocks) {
        blocks_scales[block] = fp8_scale_exponent(amax, FORMAT, p.margin);
    }
}

@compute @workgroup_size(LANES)
fn amax_blocks(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let p = blocks_params;
    let block = linear_group(group, count);
    let amax = tree_max_u32(lane, block_amax(block, lane, LANES, p));
    if (lane == 0u) {
        store_scale(block, amax, p);
    }
}

@compute @workgroup_size(LANES)
fn amax_blocks_watched(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let p = blocks_watched_params;
    let block = linear_group(group, count);
    let amax = tree_max_u32(lane, block_amax(block, lane, LANES, p));
    if (lane == 0u) {
        store_scale(block, amax, p);
        atomicMax(&blocks_stats[p.watch * STAT_WORDS], amax);
    }
}

@compute @workgroup_size(LANES)
fn amax_small_blocks(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let p = blocks_params;
    let block = linear_group(group, count) * LANES + lane;
    store_scale(block, block_amax(block, 0u, 1u, p), p);
}

@compute @workgroup_size(LANES)
fn amax_small_blocks_watched(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let p = blocks_watched_params;
    let block = linear_group(group, count) * LANES + lane;
    let amax = block_amax(block, 0u, 1u, p);
    store_scale(block, amax, p);
    let largest = tree_max_u32(lane, amax);
    if (lane == 0u) {
        atomicMax(&blocks_stats[p.watch * STAT_WORDS], largest);
    }
}

// ---- encode ----

@group(0) @binding(0) var<storage, read> encode_input: array<u32>;
@group(0) @binding(1) var<storage, read> encode_scales: array<i32>;
@group(0) @binding(2) var<storage, read> encode_step: array<u32>;
@group(0) @binding(3) var<storage, read_write> encode_packed: array<u32>;
@group(0) @binding(4) var<uniform> encode_params: Params;
@group(0) @binding(4) var<storage, read_write> encode_stats: array<atomic<u32>>;
@group(0) @binding(5) var<storage, read_write> encode_scratch: array<f32>;
@group(0) @binding(6) var<uniform> encode_watched_params: Params;

fn scale_at(row: u32, col: u32, p: Params) -> i32 {
    if (SINGLE == 1u) {
        return encode_scales[0];
    }
    let across = (p.cols + p.block_cols - 1u) / p.block_cols;
    return encode_scales[(row / p.block_rows) * across + col / p.block_cols];
}

fn random_at(key: u32, at: u32) -> u32 {
    if (STOCHASTIC == 1u) {
        return hash_bits(key, at);
    }
    return 0u;
}

@compute @workgroup_size(LANES)
fn encode(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let p = encode_params;
    let row_words = (p.cols + 3u) / 4u;
    let words = p.rows * row_words;
    let key = hash_key(encode_step[SEED], encode_step[STEP], p.stream);
    for (var i = group.x * LANES + lane; i < words; i += p.encode_groups * LANES) {
        let row = i / row_words;
        let col = (i % row_words) * 4u;
        var word = 0u;
        for (var j = 0u; j < min(4u, p.cols - col); j++) {
            let at = row * p.cols + col + j;
            let exponent = scale_at(row, col + j, p);
            let random = random_at(key, p.first_row * p.cols + at);
            let code = fp8_encode(encode_input[at], exponent, FORMAT, STOCHASTIC == 1u, random);
            word |= code << (8u * j);
        }
        encode_packed[i] = word;
    }
}

// Saturated, flushed, subnormal, NaN: words 3..7 of the statistics.
var<workgroup> tally: array<atomic<u32>, 4>;
var<workgroup> histogram: array<atomic<u32>, HISTOGRAM_BINS>;

fn tally_code(a: u32, code: u32, exponent: i32) {
    if (a > 0x7f800000u) {
        atomicAdd(&tally[3], 1u);
        return;
    }
    let magnitude = code & 0x7fu;
    let top = fp8_max_exponent(FORMAT) + exponent + 127;
    let field = i32(a >> 23u);
    if (field > top || (field == top && (a & 0x7fffffu) > 0x600000u) || a == 0x7f800000u) {
        atomicAdd(&tally[0], 1u);
    }
    if (a != 0u && magnitude == 0u) {
        atomicAdd(&tally[1], 1u);
    }
    if (magnitude != 0u && magnitude < (1u << fp8_mantissa_bits(FORMAT))) {
        atomicAdd(&tally[2], 1u);
    }
    if (a != 0u && a != 0x7f800000u) {
        atomicAdd(&histogram[u32(clamp(field - 127 + 48, 0, 63))], 1u);
    }
}

@compute @workgroup_size(LANES)
fn encode_watched(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    if (lane < HISTOGRAM_BINS) {
        atomicStore(&histogram[lane], 0u);
    }
    if (lane < 4u) {
        atomicStore(&tally[lane], 0u);
    }
    workgroupBarrier();

    let p = encode_watched_params;
    let row_words = (p.cols + 3u) / 4u;
    let words = p.rows * row_words;
    let key = hash_key(encode_step[SEED], encode_step[STEP], p.stream);
    var signal = 0.0;
    var error = 0.0;
    for (var i = group.x * LANES + lane; i < words; i += p.encode_groups * LANES) {
        let row = i / row_words;
        let col = (i % row_words) * 4u;
        var word = 0u;
        for (var j = 0u; j < min(4u, p.cols - col); j++) {
            let at = row * p.cols + col + j;
            let exponent = scale_at(row, col + j, p);
            let random = random_at(key, p.first_row * p.cols + at);
            let bits = encode_input[at];
            let code = fp8_encode(bits, exponent, FORMAT, STOCHASTIC == 1u, random);
            word |= code << (8u * j);
            let a = bits & 0x7fffffffu;
            tally_code(a, code, exponent);
            if (a < 0x7f800000u) {
                let x = bitcast<f32>(bits);
                let d = x - fp8_decode(code, FORMAT) * power_of_two(exponent);
                signal += x * x;
                error += d * d;
            }
        }
        encode_packed[i] = word;
    }
    signal = tree_sum(lane, signal);
    error = tree_sum(lane, error);
    if (lane == 0u) {
        encode_scratch[2u * group.x] = signal;
        encode_scratch[2u * group.x + 1u] = error;
    }
    let base = p.watch * STAT_WORDS;
    if (lane < 4u) {
        let n = atomicLoad(&tally[lane]);
        if (n != 0u) {
            atomicAdd(&encode_stats[base + 3u + lane], n);
        }
    }
    if (lane < HISTOGRAM_BINS) {
        let n = atomicLoad(&histogram[lane]);
        if (n != 0u) {
            atomicAdd(&encode_stats[base + STAT_HISTOGRAM + lane], n);
        }
    }
}

// ---- the rest of the statistics ----

@group(0) @binding(0) var<storage, read> finish_scratch: array<f32>;
@group(0) @binding(1) var<storage, read_write> finish_stats: array<u32>;
@group(0) @binding(2) var<uniform> finish_params: Params;

@compute @workgroup_size(LANES)
fn finish_watched(@builtin(local_invocation_index) lane: u32) {
    let p = finish_params;
    var signal = 0.0;
    var error = 0.0;
    for (var i = lane; i < p.encode_groups; i += LANES) {
        signal += finish_scratch[2u * i];
        error += finish_scratch[2u * i + 1u];
    }
    signal = tree_sum(lane, signal);
    error = tree_sum(lane, error);
    if (lane == 0u) {
        let base = p.watch * STAT_WORDS;
        if (p.first_row > 0u) {
            signal += bitcast<f32>(finish_stats[base + 7u]);
            error += bitcast<f32>(finish_stats[base + 8u]);
        }
        finish_stats[base + 7u] = bitcast<u32>(signal);
        finish_stats[base + 8u] = bitcast<u32>(error);
        if (SINGLE == 0u) {
            let exponent = fp8_scale_exponent(finish_stats[base], FORMAT, p.margin);
            finish_stats[base + 1u] = bitcast<u32>(exponent);
        }
    }
}
