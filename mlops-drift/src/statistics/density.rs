//! Logarithms of probabilities that lose no digits, and the sum that every likelihood statistic of
//! counts is made of.

use std::f64::consts::PI;
use std::sync::LazyLock;

/// `x ln(x / mean) + mean − x ≥ 0`, for `x ≥ 0`, `mean > 0`, from their `difference = x − mean`,
/// which the caller knows better than these two floats do.
///
/// Near `x = mean` the logarithm's first order cancels against the difference; it is taken off in
/// writing (Loader 2000, "Fast and accurate computation of binomial probabilities").
pub(crate) fn deviance(x: f64, mean: f64, difference: f64) -> f64 {
    if x == 0.0 {
        return mean;
    }
    let total = x + mean;
    if difference.abs() >= 0.1 * total {
        return x * (x / mean).ln() - difference;
    }
    // ln(x / mean) = 2 atanh v.
    let v = difference / total;
    let square = v * v;
    let (mut sum, mut power) = (0.0, square);
    for odd in (3u8..=31).step_by(2) {
        sum += power / f64::from(odd);
        power *= square;
        if power < 1e-17 * sum {
            break;
        }
    }
    difference * v + 2.0 * x * v * sum
}

/// δ(n) in `Γ(n + 1) = √(2πn) (n/e)ⁿ e^δ(n)`, for `n > 0`.
fn stirling_error(n: f64) -> f64 {
    /// δ(1) … δ(15).
    const SMALL: [f64; 15] = [
        0.0810614667953272582,
        0.0413406959554092941,
        0.0276779256849983391,
        0.0207906721037650931,
        0.0166446911898211922,
        0.013876128823070748,
        0.0118967099458917701,
        0.0104112652619720965,
        0.00925546218271273292,
        0.00833056343336287126,
        0.00757367548795184079,
        0.00694284010720952987,
        0.00640899418800420707,
        0.00595137011275884774,
        0.00555473355196280137,
    ];
    if n < 16.0 && n.fract() == 0.0 {
        return SMALL[n as usize - 1];
    }
    // Up by the recurrence until the asymptotic series is exact to the last bit.
    let (mut n, mut below) = (n, 0.0);
    while n < 16.0 {
        below += (n + 0.5) * n.recip().ln_1p() - 1.0;
        n += 1.0;
    }
    let square = n * n;
    let tail = 1.0 / 1188.0 - 691.0 / 360_360.0 / square;
    let tail = 1.0 / 1260.0 - (1.0 / 1680.0 - tail / square) / square;
    below + (1.0 / 12.0 - (1.0 / 360.0 - tail / square) / square) / n
}

/// The logarithm of `xᵃ yᵇ Γ(a + b + 1) / (Γ(a + 1) Γ(b + 1))`, for `a, b ≥ 0` and `x + y = 1`: of
/// the binomial probability of `a` successes and `b` failures, where they are whole.
pub(crate) fn log_density(a: f64, b: f64, x: f64, y: f64) -> f64 {
    let log = |x: f64, y: f64| if x > 0.5 { (-y).ln_1p() } else { x.ln() };
    if a == 0.0 {
        return if b == 0.0 { 0.0 } else { b * log(y, x) };
    }
    if b == 0.0 {
        return a * log(x, y);
    }
    let n = a + b;
    let (left, right) = (n * x, n * y);
    stirling_error(n)
        - stirling_error(a)
        - stirling_error(b)
        - deviance(a, left, a - left)
        - deviance(b, right, b - right)
        + 0.5 * (n / (2.0 * PI * a) / b).ln()
}

/// ln n!, to about 10⁻¹⁶ of itself.
pub(crate) fn ln_factorial(n: u64) -> f64 {
    static SMALL: LazyLock<Vec<f64>> = LazyLock::new(|| {
        let mut product = 1.0;
        let log = |n: u32| {
            // Products are exact to 22!, the series beyond to the last bit.
            product *= f64::from(n.max(1));
            if n <= 22 { product.ln() } else { series(f64::from(n)) }
        };
        (0..2048).map(log).collect()
    });
    fn series(n: f64) -> f64 {
        (n + 0.5) * n.ln() - n + 0.5 * (2.0 * PI).ln() + stirling_error(n)
    }
    SMALL.get(n as usize).copied().unwrap_or_else(|| series(n as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_digit_is_lost_near_the_mean() {
        // mpmath, 50 digits
        for (x, mean, expected) in [
            (1.0, 1.0, 0.0),
            (1.0 + 1.0 / 1024.0, 1.0, 4.7668201352086754e-7),
            (1.0, 1.0 + 1.0 / 1048576.0, 4.5474706176609158e-13),
            (1.2, 1.0, 0.018785868152745543),
            (1.25, 1.0, 0.028929439142762195),
            (0.0, 3.0, 3.0),
            (3.0, 1e-300, 2072.6224205606454),
        ] {
            let found = deviance(x, mean, x - mean);
            assert!((found - expected).abs() <= 2e-15 * expected, "{x} {mean}: {found:e}");
        }
    }

    #[test]
    fn factorials_and_densities_are_those_of_integers() {
        let mut product = 1.0f64;
        for n in 1..=170u64 {
            product *= n as f64;
            let found = ln_factorial(n);
            assert!((found - product.ln()).abs() <= 1e-14 * found.max(1.0), "{n}");
        }
        // mpmath: loggamma(10 ** 6 + 1)
        assert!((ln_factorial(1_000_000) / 12815518.384658169 - 1.0).abs() < 1e-15);
        // C(5, 2) / 2⁵, and with nothing on a side.
        assert!((log_density(2.0, 3.0, 0.5, 0.5) - 0.3125f64.ln()).abs() < 1e-15);
        assert!((log_density(0.0, 3.0, 0.5, 0.5) - 0.125f64.ln()).abs() < 1e-15);
        assert_eq!(log_density(3.0, 0.0, 1.0, 0.0), 0.0);
    }
}
