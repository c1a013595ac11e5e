// The codec of fp8::format and the scale choice of fp8::scale. Everything that decides a bit is
// integer arithmetic: WGSL may assume that no NaN or infinity occurs and may flush subnormals.

const E4M3: u32 = 1u;
const E5M2: u32 = 2u;

// Value of a code as f32 bits. The only float operation is an exact product of normal numbers.
fn fp8_decode_bits(code: u32, format: u32) -> u32 {
    let sign = (code & 0x80u) << 24u;
    let magnitude = code & 0x7fu;
    if (format == E4M3) {
        let man = magnitude & 7u;
        let small = bitcast<u32>(f32(man) * 0x1p-9f);
        let normal = (magnitude << 20u) + (120u << 23u);
        let finite = select(small, normal, magnitude >= 8u);
        return sign | select(finite, 0x7fc00000u, magnitude == 0x7fu);
    }
    let man = magnitude & 3u;
    let small = bitcast<u32>(f32(man) * 0x1p-16f);
    let normal = (magnitude << 21u) + (112u << 23u);
    let finite = select(small, normal, magnitude >= 4u);
    let special = select(0x7fc00000u, 0x7f800000u, man == 0u);
    return sign | select(finite, special, magnitude >= 0x7cu);
}

fn fp8_decode(code: u32, format: u32) -> f32 {
    return bitcast<f32>(fp8_decode_bits(code, format));
}

// Values of the four codes of a word.
fn fp8_decode_word(word: u32, format: u32) -> vec4<f32> {
    let codes = (vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu);
    let sign = (codes & vec4<u32>(0x80u)) << vec4<u32>(24u);
    let magnitude = codes & vec4<u32>(0x7fu);
    if (format == E4M3) {
        let small = bitcast<vec4<u32>>(vec4<f32>(magnitude) * 0x1p-9f);
        let normal = (magnitude << vec4<u32>(20u)) + vec4<u32>(120u << 23u);
        let finite = select(small, normal, magnitude >= vec4<u32>(8u));
        let nan = magnitude == vec4<u32>(0x7fu);
        return bitcast<vec4<f32>>(sign | select(finite, vec4<u32>(0x7fc00000u), nan));
    }
    let small = bitcast<vec4<u32>>(vec4<f32>(magnitude) * 0x1p-16f);
    let normal = (magnitude << vec4<u32>(21u)) + vec4<u32>(112u << 23u);
    let finite = select(small, normal, magnitude >= vec4<u32>(4u));
    let infinite = magnitude == vec4<u32>(0x7cu);
    let special = select(vec4<u32>(0x7fc00000u), vec4<u32>(0x7f800000u), infinite);
    let is_special = magnitude >= vec4<u32>(0x7cu);
    return bitcast<vec4<f32>>(sign | select(finite, special, is_special));
}

fn fp8_mantissa_bits(format: u32) -> u32 {
    return select(2u, 3u, format == E4M3);
}

fn fp8_max_code(format: u32) -> u32 {
    return select(0x7bu, 0x7eu, format == E4M3);
}

// Exponent E of the format's maximum 1.75 * 2^E.
fn fp8_max_exponent(format: u32) -> i32 {
    return select(15, 8, format == E4M3);
}

// 2^exponent for -126 <= exponent <= 126.
fn power_of_two(exponent: i32) -> f32 {
    return bitcast<f32>(u32(exponent + 127) << 23u);
}

// Code of (f32 with these bits) / 2^exponent: nearest even, or with `random` bits added below the
// kept mantissa when `stochastic`; saturating.
fn fp8_encode(bits: u32, exponent: i32, format: u32, stochastic: bool, random: u32) -> u32 {
    let sign = (bits >> 24u) & 0x80u;
    let a = bits & 0x7fffffffu;
    let max_code = fp8_max_code(format);
    if (a > 0x7f800000u) {
        return sign | select(0x7eu, 0x7fu, format == E4M3);
    }
    if (a == 0x7f800000u) {
        return sign | max_code;
    }
    if (a < 0x00800000u) {
        return sign;
    }
    let bias = select(15, 7, format == E4M3);
    let kept = fp8_mantissa_bits(format);
    let m = (a & 0x7fffffu) | 0x800000u;
    let e = i32(a >> 23u) - 127 - exponent;
    let shift = 23u - kept + u32(max(0, 1 - bias - e));
    let base = u32(max(e + bias - 1, 0)) << kept;
    var q = 0u;
    if (stochastic) {
        if (shift <= 31u) {
            q = (m + (random & ((1u << shift) - 1u))) >> shift;
        }
    } else if (shift <= 25u) {
        q = (m + (1u << (shift - 1u)) - 1u + ((m >> shift) & 1u)) >> shift;
    }
    return sign | min(base + q, max_code);
}

// Scale exponent for an amax given as bits.
fn fp8_scale_exponent(amax: u32, format: u32, margin: u32) -> i32 {
    let a = max(amax, 0x2b8cbcccu); // 1e-12
    let up = select(0, 1, (a & 0x7fffffu) > 0x600000u);
    let exponent = i32(a >> 23u) - 127 - fp8_max_exponent(format) + up + i32(margin);
    return clamp(exponent, -126, 126);
}
