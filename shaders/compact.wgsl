// include: fp8, half, hash, index, tree, moment first, moment second
// AdamW over compact state, one group of 128 values per workgroup. Constants in front: LANES = 128,
// FIRST, SECOND and WEIGHT (0 f32, 1 bf16, 2 FP8 with range expansion, see fp8::expand).

const LEARNING_RATE: u32 = 3u;
const BETA1_CORRECTION: u32 = 4u;
const BETA2_CORRECTION: u32 = 5u;
const STATE_STREAM: u32 = 0x40000000u;

const GROUP_WORDS: u32 = 34u;
const LOG_MAX: f32 = 8.807355;
const LOG_RANGE: f32 = 14.807355;
const TOP: u32 = 0x7eu;
const SMALLEST_NORMAL: u32 = 0x00800000u;
const INFINITY: u32 = 0x7f800000u;

struct Params {
    rows: u32,
    cols: u32,
    stride: u32,
    param: u32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    weight_decay: f32,
}

@group(0) @binding(0) var<storage, read_write> weight: array<u32>;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> step_state: array<u32>;
@group(0) @binding(3) var<storage, read_write> first: array<u32>;
@group(0) @binding(4) var<storage, read_write> second: array<u32>;
@group(0) @binding(5) var<uniform> p: Params;

// The series of fp8::expand.
fn log_2(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    let mantissa = bitcast<f32>((bits & 0x007fffffu) | 0x3f800000u);
    let upper = mantissa > 1.4142135;
    let m = select(mantissa, 0.5 * mantissa, upper);
    let e = i32(bits >> 23u) - 127 + select(0, 1, upper);
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    return f32(e) + s * (2.88539 + q * (0.9617967 + q * (0.577078 + q * (0.4121986 + q * 0.3205989))));
}

fn exp_2(power: f32) -> f32 {
    let t = clamp(power, -126.0, 126.0);
    let n = round(t);
    let f = t - n;
    let tail = 0.009618129 + f * (0.0013333558 + f * 0.0001540353);
    let series = 1.0 + f * (0.6931472 + f * (0.2402265 + f * (0.05550411 + f * tail)));
    return bitcast<f32>(u32(i32(n) + 127) << 23u) * series;
}

// Values of all magnitude codes.
var<workgroup> table: array<f32, 128>;
// Codes on their way to packed words.
var<workgroup> staged: array<u32, 128>;

// Every thread must call it.
fn fill_table(lane: u32, amax: f32, k: f32) {
    workgroupBarrier();
    var value = 0.0;
    if (lane == TOP) {
        value = amax;
    } else if (lane > 0u && lane < TOP) {
        value = amax * exp_2((log_2(fp8_decode(lane, E4M3)) - LOG_MAX) * (1.0 / k));
        value = select(value, 0.0, bitcast<u32>(value) < SMALLEST_NORMAL);
    }
    table[lane] = value;
    workgroupBarrier();
}

fn table_value(code: u32) -> f32 {
    let magnitude = select(bitcast<u32>(table[code & 0x7fu]), 0x7fc00000u, (code & 0x7fu) == 0x7fu);
    return bitcast<f32>(magnitude | ((code & 0x80u) << 24u));
}

// Bits of the value at `lane` of a stored group whose first three words are given.
fn from_group(lane: u32, amax: u32, k: u32, word: u32) -> f32 {
    let none = amax == 0u;
    fill_table(lane, select(bitcast<f32>(amax), 1.0, none), select(bitcast<f32>(k), 1.0, none));
    return select(table_value((word >> (8u * (lane % 4u))) & 0xffu), 0.0, none);
}

// Code of a value; `amax` and `k` are of its group, whose table is filled.
fn to_code(bits: u32, amax: f32, k: f32, random: u32, keep: bool) -> u32 {
    let sign = (bits >> 24u) & 0x80u;
    let a = bits & 0x7fffffffu;
    if (a > INFINITY) {
        return sign | 0x7fu;
    }
    if (a == INFINITY) {
        return sign | TOP;
    }
    if (a < SMALLEST_NORMAL) {
        return sign;
    }
    let x = bitcast<f32>(a);
    let y = exp_2(k * (log_2(x) - log_2(amax)) + LOG_MAX);
    let normal = i32(bitcast<u32>(min(y, 448.0)) >> 20u) - 960;
    // Truncation by adding a power of two whose last place is one 512th.
    let shifted = (min(y, 448.0) - 0.0009765625) + 16384.0;
    let subnormal = bitcast<i32>(shifted) - 1182793728;
    let low = u32(clamp(select(normal, subnormal, normal < 8), 0, 125));
    let below = table[low];
    let above = table[low + 1u];
    let share = f32(random >> 8u) * (1.0 / 16777216.0);
    var code = low + select(0u, 1u, share * (above - below) < x - below);
    if (keep && code == 0u) {
        code = 1u;
    }
    return sign | code;
}

fn exponent(most: f32, least: f32) -> f32 {
    let range = log_2(most) - log_2(least);
    if (range * 8.0 <= LOG_RANGE) {
        return 8.0;
    }
    return clamp(floor((LOG_RANGE / range) * 16.0) / 16.0, 0.5, 8.0);
}

// The two shared words of a group; every thread must call it.
fn group_scale(lane: u32, bits: u32) -> vec2<u32> {
    let a = bits & 0x7fffffffu;
    let usable = a >= SMALLEST_NORMAL && a < INFINITY;
    var most = tree_max_u32(lane, select(0u, a, usable));
    var least = INFINITY - tree_max_u32(lane, select(0u, INFINITY - a, usable));
    let strange = tree_max_u32(lane, select(0u, 1u, a >= INFINITY));
    if (most == 0u) {
        if (strange == 0u) {
            return vec2<u32>(0u, 0u);
        }
        most = 0x3f800000u;
        least = most;
    }
    return vec2<u32>(most, bitcast<u32>(exponent(bitcast<f32>(most), bitcast<f32>(least))));
}

fn random_at(array_number: u32, at: u32) -> u32 {
    let stream = STATE_STREAM + 4u * p.param + array_number;
    return hash_bits(hash_key(step_state[SEED], step_state[STEP], stream), at);
}

// A thread's position among the moments.
struct Position {
    at: u32,
    // Group of positions that the workgroup has.
    number: u32,
    lane: u32,
    // Whether there is such a position, and such a group.
    inside: bool,
    group_inside: bool,
}

@compute @workgroup_size(LANES)
fn compact_adamw(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = linear_group(group, count);
    let at = number * LANES + lane;
    let positions = p.rows * p.stride;
    let inside = at < positions;
    let row = at / p.stride;
    let col = at % p.stride;
    let real = inside && col < p.cols;

    // Folded dispatches have groups past the end, which must reach every barrier too.
    let place = Position(at, number, lane, inside, number * LANES < positions);
    var m = first_load(place);
    var v = second_load(place);
    var w = 0.0;
    if (inside) {
        if (WEIGHT == 1u) {
            w = bitcast<f32>(bf16_bits(weight[at / 2u], at % 2u));
        } else {
            w = bitcast<f32>(weight[at]);
        }
    }
    var g = 0.0;
    if (real) {
        g = gradient[row * p.cols + col];
    }

    let rate = bitcast<f32>(step_state[LEARNING_RATE]);
    m = p.beta1 * m + (1.0 - p.beta1) * g;
    v = p.beta2 * v + (1.0 - p.beta2) * g * g;
    if (!inside) {
        m = 0.0;
        v = 0.0;
    }
    let root = sqrt(v * bitcast<f32>(step_state[BETA2_CORRECTION]));
    let change = rate * (m * bitcast<f32>(step_state[BETA1_CORRECTION])) / (root + p.epsilon);
    w = w * (1.0 - rate * p.weight_decay) - change;

    first_store(place, bitcast<u32>(m), random_at(0u, at), false);
    second_store(place, bitcast<u32>(v), random_at(1u, at), true);
    if (WEIGHT == 1u) {
        workgroupBarrier();
        staged[lane] = bf16_stochastic(bitcast<u32>(w), random_at(2u, at));
        workgroupBarrier();
        if (inside && lane % 2u == 0u) {
            weight[at / 2u] = staged[lane] | (staged[lane + 1u] << 16u);
        }
    } else if (inside) {
        weight[at] = bitcast<u32>(w);
    }
}
