// Non-linearities and their slopes. Constant in front: ACTIVATION (0 none, 1 ReLU, 2 GELU, 3 SiLU).

const NO_ACTIVATION: u32 = 0u;
const RELU: u32 = 1u;
const GELU: u32 = 2u;

fn gelu_tanh(x: f32) -> f32 {
    let u = 0.7978845608 * (x + 0.044715 * x * x * x);
    return tanh(clamp(u, -15.0, 15.0));
}

// Below -85 the sigmoid is 0 in effect; the clamp keeps exp finite.
fn sigmoid(x: f32) -> f32 {
    return select(1.0 / (1.0 + exp(-clamp(x, -85.0, 85.0))), 0.0, x < -85.0);
}

// Comparisons are written so that NaN passes through and shows in the loss.
fn activate(x: f32) -> f32 {
    if (ACTIVATION == NO_ACTIVATION) {
        return x;
    }
    if (ACTIVATION == RELU) {
        return select(x, 0.0, x <= 0.0);
    }
    if (ACTIVATION == GELU) {
        return 0.5 * x * (1.0 + gelu_tanh(x));
    }
    return x * sigmoid(x);
}

// g times the slope at x. A ReLU lets the gradient pass or makes it 0: drivers may drop the sign that a
// product with 0 has.
fn times_slope(g: f32, x: f32) -> f32 {
    if (ACTIVATION == NO_ACTIVATION) {
        return g;
    }
    if (ACTIVATION == RELU) {
        return select(0.0, g, x > 0.0);
    }
    if (ACTIVATION == GELU) {
        let t = gelu_tanh(x);
        // Far out (1 - t * t) is 0 and must win over an infinite square.
        let tail = 0.5 * x * (1.0 - t * t) * 0.7978845608 * (1.0 + 0.134145 * x * x);
        return g * (0.5 * (1.0 + t) + select(tail, 0.0, abs(x) > 10.0));
    }
    let s = sigmoid(x);
    return g * (s * (1.0 + x * (1.0 - s)));
}
