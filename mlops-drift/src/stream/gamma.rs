//! Ratios of the gamma function at half steps.

/// `ln Γ(a + ½) − ln Γ(a)` for `a` > 0.
///
/// By `Γ(a + 1) = a Γ(a)` up to 20, and the asymptotic series from there (the first term left out is
/// below 10⁻¹⁷).
pub(super) fn ln_gamma_half_step(a: f64) -> f64 {
    let (mut a, mut sum) = (a, 0.0);
    while a < 20.0 {
        sum -= (0.5 / a).ln_1p();
        a += 1.0;
    }
    let i = 1.0 / a;
    let square = i * i;
    let series = -1.0 / 8.0
        + square
            * (1.0 / 192.0
                + square
                    * (-1.0 / 640.0 + square * (17.0 / 14_336.0 - square * (31.0 / 18_432.0))));
    sum + 0.5 * a.ln() + i * series
}

/// `c₄(n)`: the mean of the standard deviation of `n` normal values over the true one,
/// `√(2/(n − 1)) Γ(n/2)/Γ((n − 1)/2)`, for `n` of 2 or more.
pub(super) fn c4(n: usize) -> f64 {
    let a = (n as f64 - 1.0) / 2.0;
    ln_gamma_half_step(a).exp() / a.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_steps_equal_known_values() {
        // Γ(½) = √π, Γ(1) = 1, Γ(3/2) = √π/2.
        let root_pi = std::f64::consts::PI.sqrt();
        assert!((ln_gamma_half_step(0.5) + root_pi.ln()).abs() < 1e-15);
        assert!((ln_gamma_half_step(1.0) - (root_pi / 2.0).ln()).abs() < 1e-15);
        // Two half steps are a whole one.
        for a in [0.01_f64, 0.3, 4.0, 19.7, 20.0, 333.3, 1e8] {
            let whole = ln_gamma_half_step(a) + ln_gamma_half_step(a + 0.5);
            assert!((whole - a.ln()).abs() < 1e-14 * a.ln().abs().max(1.0), "{a}: {whole}");
        }
    }

    #[test]
    fn c4_is_that_of_the_tables() {
        // Montgomery, appendix VI.
        for (n, expected) in [(2, 0.7979), (3, 0.8862), (5, 0.9400), (10, 0.9727), (25, 0.9896)] {
            assert!((c4(n) - expected).abs() < 5e-5, "{n}: {}", c4(n));
        }
    }
}
