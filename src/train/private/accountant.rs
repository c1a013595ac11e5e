//! What differentially private training has spent: Rényi differential privacy of the subsampled
//! Gaussian mechanism (Mironov, Talwar and Zhang 2019, section 3.3), added up over steps and turned
//! into (ε, δ) as Balle et al. 2020, theorem 21, do. The same orders as Opacus, so the figures are
//! those of its RDP accountant.

/// Orders α that are looked at: 1.1 to 10.9 in tenths, then 12 to 63.
fn orders() -> impl Iterator<Item = f64> {
    (1..100).map(|x| 1.0 + f64::from(x) / 10.0).chain((12..64).map(f64::from))
}

/// ln(eˣ + eʸ).
fn log_add(x: f64, y: f64) -> f64 {
    let (low, high) = (x.min(y), x.max(y));
    if low == f64::NEG_INFINITY { high } else { (low - high).exp().ln_1p() + high }
}

/// ln(eˣ − eʸ) for x ≥ y.
fn log_sub(x: f64, y: f64) -> f64 {
    if y == f64::NEG_INFINITY {
        x
    } else if x <= y {
        f64::NEG_INFINITY
    } else {
        let grown = (x - y).exp_m1();
        if grown.is_finite() { grown.ln() + y } else { x }
    }
}

/// ln(erfc(x)), by its asymptotic series where erfc itself would underflow.
fn log_erfc(x: f64) -> f64 {
    if x < 25.0 {
        return libm::erfc(x).ln();
    }
    let s = 1.0 / (2.0 * x * x);
    let series = 1.0 - s * (1.0 - 3.0 * s * (1.0 - 5.0 * s));
    -x * x - (x * std::f64::consts::PI.sqrt()).ln() + series.ln()
}

fn log_moment_whole(q: f64, sigma: f64, alpha: u32) -> f64 {
    let mut sum = f64::NEG_INFINITY;
    let mut log_binomial = 0.0;
    for i in 0..=alpha {
        let k = f64::from(i);
        let rest = f64::from(alpha - i);
        let chance = log_binomial + k * q.ln() + rest * (-q).ln_1p();
        sum = log_add(sum, chance + (k * k - k) / (2.0 * sigma * sigma));
        log_binomial += (rest / (k + 1.0)).ln();
    }
    sum
}

fn log_moment_fraction(q: f64, sigma: f64, alpha: f64) -> f64 {
    let (mut below, mut above) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    let cut = sigma * sigma * (1.0 / q - 1.0).ln() + 0.5;
    let mut binomial = 1.0f64;
    // The terms fall off long before; the bound only keeps odd arguments from going on forever.
    for i in 0..100_000 {
        let k = f64::from(i);
        let j = alpha - k;
        let log_binomial = binomial.abs().ln();
        let root = std::f64::consts::SQRT_2 * sigma;
        let half = 0.5f64.ln();
        let low = log_binomial
            + k * q.ln()
            + j * (-q).ln_1p()
            + (k * k - k) / (2.0 * sigma * sigma)
            + half
            + log_erfc((k - cut) / root);
        let high = log_binomial
            + j * q.ln()
            + k * (-q).ln_1p()
            + (j * j - j) / (2.0 * sigma * sigma)
            + half
            + log_erfc((cut - j) / root);
        let add = if binomial > 0.0 { log_add } else { log_sub };
        below = add(below, low);
        above = add(above, high);
        if low.max(high) < -30.0 {
            break;
        }
        binomial *= (alpha - k) / (k + 1.0);
    }
    log_add(below, above)
}

/// Rényi divergence of one step at order `alpha`.
fn divergence(q: f64, sigma: f64, alpha: f64) -> f64 {
    if q <= 0.0 {
        0.0
    } else if sigma <= 0.0 {
        f64::INFINITY
    } else if q >= 1.0 {
        alpha / (2.0 * sigma * sigma)
    } else if alpha.fract() == 0.0 {
        log_moment_whole(q, sigma, alpha as u32) / (alpha - 1.0)
    } else {
        log_moment_fraction(q, sigma, alpha) / (alpha - 1.0)
    }
}

/// The ε, for a `delta`, of `steps` steps in which every row takes part with chance `q` and noise of
/// `sigma` times the clipping norm is added. Infinite without noise.
pub fn epsilon(q: f64, sigma: f64, steps: u64, delta: f64) -> f64 {
    if steps == 0 || q <= 0.0 {
        return 0.0;
    }
    let of = |alpha: f64| {
        divergence(q, sigma, alpha) * steps as f64 - (delta.ln() + alpha.ln()) / (alpha - 1.0)
            + ((alpha - 1.0) / alpha).ln()
    };
    let all = orders().map(of).filter(|e| !e.is_nan());
    all.fold(f64::INFINITY, f64::min).max(0.0)
}

/// The least noise, of those tried (steps of 0.1 %), with which `steps` steps spend at most
/// `target`; `None` if more than 10,000 times the clipping norm would be needed.
pub fn noise_for(target: f64, q: f64, steps: u64, delta: f64) -> Option<f64> {
    let spends = |sigma: f64| epsilon(q, sigma, steps, delta);
    let (mut low, mut high) = (0.0, 1.0f64);
    while spends(high) > target {
        low = high;
        high *= 2.0;
        if high > 10_000.0 {
            return None;
        }
    }
    while high - low > 1e-3 * high {
        let middle = (low + high) / 2.0;
        if spends(middle) > target { low = middle } else { high = middle }
    }
    Some(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Recorded {
        q: f64,
        sigma: f64,
        steps: u64,
        delta: f64,
        epsilon: f64,
    }

    #[test]
    fn spends_what_opacus_says() {
        let text = include_str!("../../../tests/golden/privacy.json");
        let recorded: serde_json::Value = serde_json::from_str(text).unwrap();
        let all: Vec<Recorded> =
            serde_json::from_value(recorded["accountant"]["cases"].clone()).unwrap();
        assert!(all.len() >= 20);
        for r in all {
            let got = epsilon(r.q, r.sigma, r.steps, r.delta);
            let what = format!("q {} σ {} steps {}: {got}, {}", r.q, r.sigma, r.steps, r.epsilon);
            assert!((got - r.epsilon).abs() <= 1e-6 * r.epsilon.max(1.0), "{what}");
            // And the comparison would notice one step in a hundred too many.
            let wrong = epsilon(r.q, r.sigma, r.steps + r.steps / 100 + 1, r.delta);
            assert!((wrong - r.epsilon).abs() > 1e-6 * r.epsilon.max(1.0), "{what}");
        }
    }

    #[test]
    fn noise_reaches_its_target_and_not_much_less() {
        for (target, q, steps) in [(1.0, 0.01, 1000), (3.0, 0.05, 400), (8.0, 0.2, 50)] {
            let sigma = noise_for(target, q, steps, 1e-5).unwrap();
            let got = epsilon(q, sigma, steps, 1e-5);
            assert!(got <= target && got > 0.98 * target, "{target}: σ {sigma}, ε {got}");
        }
        assert_eq!(noise_for(1e-9, 1.0, 1_000_000, 1e-9), None);
        assert_eq!(epsilon(0.1, 0.0, 1, 1e-5), f64::INFINITY);
        assert_eq!(epsilon(0.1, 1.0, 0, 1e-5), 0.0);
    }

    #[test]
    fn the_complementary_error_function_goes_on_where_it_would_underflow() {
        // scipy: log(2) + log_ndtr(-x·√2).
        for (x, want) in
            [(-1.0, 0.611_232_317_7), (0.5, -0.735_011_129_8), (30.0, -903.974_117_110_6)]
        {
            assert!((log_erfc(x) - want).abs() < 1e-6, "{x}: {}", log_erfc(x));
        }
        assert!((log_erfc(25.0) - log_erfc(24.999_999)).abs() < 1e-3);
    }
}
