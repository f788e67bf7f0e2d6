//! The incomplete gamma and beta functions, with relative accuracy far in both tails.
//!
//! Both are a saddle-point density (Loader 2000, "Fast and accurate computation of binomial
//! probabilities") times a continued fraction or a series with bounded length. The density never
//! subtracts large logarithms, which is what costs the usual `exp(a ln x - x - ln Γ(a))` its digits.

use std::f64::consts::PI;

/// Beyond this many steps of a fraction or series the value stands as it is. Both need a few times
/// √a steps, so this is reached only where a shape is beyond 10¹¹.
const MAX_STEPS: u32 = 2_000_000;
/// A stand-in for zero in Lentz's algorithm.
const TINY: f64 = 1e-300;
/// Where a step no longer changes the value.
const EPSILON: f64 = 1e-16;

/// δ(n) in Γ(n+1) = √(2π) n^(n+½) e^(−n) e^δ(n), for n > 0.
pub(super) fn stirling_error(n: f64) -> f64 {
    // Up by the recurrence until the asymptotic series is exact to the last bit.
    let mut n = n;
    let mut below = 0.0;
    while n < 16.0 {
        below += (n + 0.5) * n.recip().ln_1p() - 1.0;
        n += 1.0;
    }
    let square = n * n;
    let series = (1.0 / 12.0
        - (1.0 / 360.0
            - (1.0 / 1260.0
                - (1.0 / 1680.0 - (1.0 / 1188.0 - 691.0 / 360_360.0 / square) / square) / square)
                / square)
            / square)
        / n;
    below + series
}

/// x ln(x/m) + m − x, for x ≥ 0 and m > 0, without cancellation where x is near m.
fn deviance(x: f64, mean: f64) -> f64 {
    if x == 0.0 {
        return mean;
    }
    let difference = x - mean;
    let total = x + mean;
    if difference.abs() < 0.1 * total {
        let v = difference / total;
        let square = v * v;
        let mut sum = difference * v;
        let mut term = 2.0 * x * v;
        for j in 1..1000 {
            term *= square;
            let next = sum + term / f64::from(2 * j + 1);
            if next == sum {
                break;
            }
            sum = next;
        }
        return sum;
    }
    x * (x / mean).ln() + mean - x
}

/// x^a e^(−x) / Γ(a+1).
fn poisson_density(a: f64, x: f64) -> f64 {
    (-stirling_error(a) - deviance(a, x)).exp() / (2.0 * PI * a).sqrt()
}

/// x^a y^b Γ(a+b+1) / (Γ(a+1) Γ(b+1)), with y = 1 − x given apart so that neither is rounded.
pub(super) fn binomial_density(a: f64, b: f64, x: f64, y: f64) -> f64 {
    let n = a + b;
    if a == 0.0 {
        return if b == 0.0 { 1.0 } else { (b * log_of_complement(y, x)).exp() };
    }
    if b == 0.0 {
        return (a * log_of_complement(x, y)).exp();
    }
    log_saddle(a, b, x, y).exp() * (n / (2.0 * PI * a) / b).sqrt()
}

/// The logarithm of [`binomial_density`], for x and y in (0, 1).
pub(super) fn log_binomial_density(a: f64, b: f64, x: f64, y: f64) -> f64 {
    if a == 0.0 {
        return b * log_of_complement(y, x);
    }
    if b == 0.0 {
        return a * log_of_complement(x, y);
    }
    log_saddle(a, b, x, y) + 0.5 * ((a + b) / (2.0 * PI * a) / b).ln()
}

fn log_saddle(a: f64, b: f64, x: f64, y: f64) -> f64 {
    let n = a + b;
    stirling_error(n)
        - stirling_error(a)
        - stirling_error(b)
        - deviance(a, n * x)
        - deviance(b, n * y)
}

/// ln x, from 1 − x where x is near 1.
fn log_of_complement(x: f64, one_minus_x: f64) -> f64 {
    if x > 0.5 { (-one_minus_x).ln_1p() } else { x.ln() }
}

/// The two tails of a distribution at a point; each with its own relative accuracy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tails {
    pub(super) lower: f64,
    pub(super) upper: f64,
}

impl Tails {
    fn from_lower(lower: f64) -> Self {
        let lower = lower.clamp(0.0, 1.0);
        Self { lower, upper: 1.0 - lower }
    }

    fn from_upper(upper: f64) -> Self {
        Self::from_lower(upper).swap()
    }

    pub(super) fn swap(self) -> Self {
        Self { lower: self.upper, upper: self.lower }
    }
}

/// P(a, x) and Q(a, x), for a > 0 and x ≥ 0.
pub(super) fn gamma(a: f64, x: f64) -> Tails {
    if x <= 0.0 {
        return Tails { lower: 0.0, upper: 1.0 };
    }
    if x.is_infinite() {
        return Tails { lower: 1.0, upper: 0.0 };
    }
    if x < a + 1.0 {
        let mut term = 1.0;
        let mut sum = 1.0;
        let mut shape = a;
        for _ in 0..MAX_STEPS {
            shape += 1.0;
            term *= x / shape;
            sum += term;
            if term < sum * EPSILON {
                break;
            }
        }
        return Tails::from_lower(poisson_density(a, x) * sum);
    }
    // Lentz's algorithm on the even part of the fraction for Γ(a, x).
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut fraction = d;
    for i in 1..MAX_STEPS {
        let i = f64::from(i);
        let numerator = -i * (i - a);
        b += 2.0;
        d = guard(numerator * d + b).recip();
        c = guard(b + numerator / c);
        let step = d * c;
        fraction *= step;
        if (step - 1.0).abs() <= EPSILON {
            break;
        }
    }
    Tails::from_upper(poisson_density(a, x) * a * fraction)
}

/// The regularised I of x with shapes a and b, and its complement, for a, b > 0 and x + y = 1.
pub(super) fn beta(a: f64, b: f64, x: f64, y: f64) -> Tails {
    if x <= 0.0 {
        return Tails { lower: 0.0, upper: 1.0 };
    }
    if y <= 0.0 {
        return Tails { lower: 1.0, upper: 0.0 };
    }
    if x < (a + 1.0) / (a + b + 2.0) {
        Tails::from_lower(beta_fraction(a, b, x, y))
    } else {
        Tails::from_upper(beta_fraction(b, a, y, x))
    }
}

fn beta_fraction(a: f64, b: f64, x: f64, y: f64) -> f64 {
    let density = binomial_density(a, b, x, y) * b / (a + b);
    let total = a + b;
    let mut c = 1.0;
    let mut d = guard(1.0 - total * x / (a + 1.0)).recip();
    let mut fraction = d;
    for m in 1..MAX_STEPS {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = guard(1.0 + even * d).recip();
        c = guard(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (total + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = guard(1.0 + odd * d).recip();
        c = guard(1.0 + odd / c);
        let step = d * c;
        fraction *= step;
        if (step - 1.0).abs() <= EPSILON {
            break;
        }
    }
    density * fraction
}

fn guard(value: f64) -> f64 {
    if value.abs() < TINY { TINY } else { value }
}

/// The positive float where a decreasing `tail` crosses `target`, found by halving the *bits* of
/// the bracket: at most 64 steps, and no float lies between the answer and the crossing.
pub(super) fn crossing(low: f64, high: f64, target: f64, tail: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (low.to_bits(), high.to_bits());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if tail(f64::from_bits(middle)) > target {
            low = middle;
        } else {
            high = middle;
        }
    }
    let (low, high) = (f64::from_bits(low), f64::from_bits(high));
    if (tail(low) - target).abs() < (tail(high) - target).abs() { low } else { high }
}
