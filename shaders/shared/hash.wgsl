// The counter hash of fp8::hash, bit for bit.

const ROUNDING_STREAM: u32 = 0u;
const DROPOUT_STREAM: u32 = 0x80000000u;

// Words of the step state.
const STEP: u32 = 0u;
const SEED: u32 = 2u;

fn hash_mix(value: u32) -> u32 {
    var x = value;
    x = (x ^ (x >> 16u)) * 0x7feb352du;
    x = (x ^ (x >> 15u)) * 0x846ca68bu;
    return x ^ (x >> 16u);
}

fn hash_key(seed: u32, step: u32, stream: u32) -> u32 {
    return hash_mix(hash_mix(hash_mix(seed + 0x9e3779b9u) + step) + stream);
}

fn hash_bits(key: u32, index: u32) -> u32 {
    return hash_mix(key ^ hash_mix(index));
}
