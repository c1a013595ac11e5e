// bf16, the upper half of an f32: the rules of fp8::bf16, bit for bit.

fn bf16_finish(bits: u32, rounded: u32) -> u32 {
    let a = bits & 0x7fffffffu;
    var code = select(rounded, 0u, a < 0x00800000u);
    code = select(code, 0x7f80u, a == 0x7f800000u);
    code = select(code, 0x7fc0u, a > 0x7f800000u);
    return ((bits >> 16u) & 0x8000u) | code;
}

fn bf16_nearest(bits: u32) -> u32 {
    let a = bits & 0x7fffffffu;
    return bf16_finish(bits, (a + 0x7fffu + ((a >> 16u) & 1u)) >> 16u);
}

fn bf16_stochastic(bits: u32, random: u32) -> u32 {
    let a = bits & 0x7fffffffu;
    return bf16_finish(bits, min((a + (random & 0xffffu)) >> 16u, 0x7f7fu));
}

// f32 bits of half `which` (0 or 1) of a word.
fn bf16_bits(word: u32, which: u32) -> u32 {
    return (word >> (16u * which)) << 16u;
}
