// include: fp8, hash
// Probes of the adapter: see device::self_test. Constant in front: LANES.

struct Params {
    count: u32,
    exponent: i32,
}

@group(0) @binding(0) var<storage, read> input: array<u32>;
@group(0) @binding(1) var<storage, read_write> output: array<u32>;
@group(0) @binding(2) var<uniform> p: Params;

// Words 0..256: E4M3 codes, 256..512: E5M2 codes, as f32 bits.
@compute @workgroup_size(LANES)
fn decode(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if (i < 256u) {
        output[i] = fp8_decode_bits(i, E4M3);
    } else if (i < 512u) {
        output[i] = fp8_decode_bits(i - 256u, E5M2);
    }
}

// Four words per input: E4M3 and E5M2 nearest even, then both stochastic with a hash of the index.
@compute @workgroup_size(LANES)
fn encode(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if (i < p.count) {
        let random = hash_bits(hash_key(1u, 2u, ROUNDING_STREAM + 3u), i);
        let bits = input[i];
        output[4u * i] = fp8_encode(bits, p.exponent, E4M3, false, 0u);
        output[4u * i + 1u] = fp8_encode(bits, p.exponent, E5M2, false, 0u);
        output[4u * i + 2u] = fp8_encode(bits, p.exponent, E4M3, true, random);
        output[4u * i + 3u] = fp8_encode(bits, p.exponent, E5M2, true, random);
    }
}

// f32 arithmetic on the inputs, for what the adapter does with subnormals: x * 1.0 as it stands and
// 2^-126 / 2, which is subnormal.
@compute @workgroup_size(LANES)
fn subnormal(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if (i < p.count) {
        output[i] = bitcast<u32>(bitcast<f32>(input[i]) * bitcast<f32>(input[p.count + i]));
    }
}
