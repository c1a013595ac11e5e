// Reads operand $x of a product: `$x` its words, `$x_scales`, and in `p` $x_cols, $x_block_rows and
// $x_block_cols. Constants in front: $X_FORMAT (0 f32, 1 E4M3, 2 E5M2, 3 bf16) and $X_SCALE (0 none or
// not here, 1 one for the whole matrix, 2 one for every four neighbours, 3 any).

fn $x_scale(row: u32, col: u32) -> f32 {
    if ($X_SCALE == 0u) {
        return 1.0;
    }
    if ($X_SCALE == 1u) {
        return power_of_two($x_scales[0]);
    }
    let across = (p.$x_cols + p.$x_block_cols - 1u) / p.$x_block_cols;
    return power_of_two($x_scales[(row / p.$x_block_rows) * across + col / p.$x_block_cols]);
}

// Stored elements (row, col..col + 4); zero past the end of a row. `row` and `col` lie inside the
// matrix and `col` is a multiple of 4.
fn $x_quad(row: u32, col: u32) -> vec4<f32> {
    let left = p.$x_cols - col;
    var v = vec4<f32>(0.0);
    if ($X_FORMAT == 0u) {
        // when $X_WIDE = 1
        return bitcast<vec4<f32>>($x[(row * p.$x_cols + col) / 4u]);
        // else
        let at = row * p.$x_cols + col;
        v.x = bitcast<f32>($x[at]);
        if (left > 1u) { v.y = bitcast<f32>($x[at + 1u]); }
        if (left > 2u) { v.z = bitcast<f32>($x[at + 2u]); }
        if (left > 3u) { v.w = bitcast<f32>($x[at + 3u]); }
        return v;
        // end
    }
    // when $X_WIDE = 0
    if ($X_FORMAT == 3u) {
        let at = row * ((p.$x_cols + 1u) / 2u) + col / 2u;
        let low = $x[at];
        v.x = bitcast<f32>(bf16_bits(low, 0u));
        if (left > 1u) { v.y = bitcast<f32>(bf16_bits(low, 1u)); }
        if (left > 2u) {
            let high = $x[at + 1u];
            v.z = bitcast<f32>(bf16_bits(high, 0u));
            if (left > 3u) { v.w = bitcast<f32>(bf16_bits(high, 1u)); }
        }
        return v;
    }
    // Whatever lies in the bytes past the end of a row counts as zero.
    let inside = 0xffffffffu >> (8u * (4u - min(left, 4u)));
    let word = $x[row * ((p.$x_cols + 3u) / 4u) + col / 4u] & inside;
    let codes = fp8_decode_word(word, $X_FORMAT);
    if ($X_SCALE < 3u) {
        return codes * $x_scale(row, col);
    }
    v.x = codes.x * $x_scale(row, col);
    if (left > 1u) { v.y = codes.y * $x_scale(row, col + 1u); }
    if (left > 2u) { v.z = codes.z * $x_scale(row, col + 2u); }
    if (left > 3u) { v.w = codes.w * $x_scale(row, col + 3u); }
    // end
    return v;
}

// when $X_WIDE = 0
// Stored element (row, col), which lies inside the matrix.
fn $x_at(row: u32, col: u32) -> f32 {
    if ($X_FORMAT == 0u) {
        return bitcast<f32>($x[row * p.$x_cols + col]);
    }
    if ($X_FORMAT == 3u) {
        return bitcast<f32>(bf16_bits($x[row * ((p.$x_cols + 1u) / 2u) + col / 2u], col % 2u));
    }
    let word = $x[row * ((p.$x_cols + 3u) / 4u) + col / 4u];
    let code = (word >> (8u * (col % 4u))) & 0xffu;
    return fp8_decode(code, $X_FORMAT) * $x_scale(row, col);
}
// end
