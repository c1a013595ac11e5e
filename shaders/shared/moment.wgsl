// Moments `$x` of the optimiser: array `$x`, constant $X its format (0 f32, 1 bf16, 2 groups of FP8).
// Every thread must call both functions.

fn $x_load(p: Position) -> f32 {
    if ($X == 2u) {
        let base = p.number * GROUP_WORDS;
        var words = vec3<u32>(0u);
        if (p.group_inside) {
            words = vec3<u32>($x[base], $x[base + 1u], $x[base + 2u + p.lane / 4u]);
        }
        return from_group(p.lane, words.x, words.y, words.z);
    }
    if (!p.inside) {
        return 0.0;
    }
    if ($X == 1u) {
        return bitcast<f32>(bf16_bits($x[p.at / 2u], p.at % 2u));
    }
    return bitcast<f32>($x[p.at]);
}

// `keep` rounds no value to 0.
fn $x_store(p: Position, bits: u32, random: u32, keep: bool) {
    if ($X == 2u) {
        let base = p.number * GROUP_WORDS;
        let scale = group_scale(p.lane, bits);
        let amax = select(bitcast<f32>(scale.x), 1.0, scale.x == 0u);
        let k = select(bitcast<f32>(scale.y), 1.0, scale.x == 0u);
        fill_table(p.lane, amax, k);
        staged[p.lane] = to_code(bits, amax, k, random, keep);
        workgroupBarrier();
        if (p.group_inside) {
            if (p.lane < 32u) {
                let i = 4u * p.lane;
                $x[base + 2u + p.lane] = staged[i] | (staged[i + 1u] << 8u)
                    | (staged[i + 2u] << 16u) | (staged[i + 3u] << 24u);
            } else if (p.lane < 34u) {
                $x[base + p.lane - 32u] = select(scale.x, scale.y, p.lane == 33u);
            }
        }
    } else if ($X == 1u) {
        workgroupBarrier();
        staged[p.lane] = bf16_stochastic(bits, random);
        workgroupBarrier();
        if (p.inside && p.lane % 2u == 0u) {
            $x[p.at / 2u] = staged[p.lane] | (staged[p.lane + 1u] << 16u);
        }
    } else if (p.inside) {
        $x[p.at] = bits;
    }
}
