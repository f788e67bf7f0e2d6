//! Seeded draws of counts: hypergeometric and beta-binomial by one method, many cells by one count
//! after the other.

use mlops_core::stats::Draws;

use crate::statistics::beta_binomial::BetaBinomial;
use crate::statistics::hypergeometric::Hypergeometric;

/// A law of counts whose probabilities rise to one mode and fall from it, log-concave.
pub(crate) trait Unimodal {
    /// The smallest outcome.
    fn low(&self) -> u64;
    /// The largest.
    fn high(&self) -> u64;
    /// A likeliest outcome.
    fn mode(&self) -> u64;
    /// P(K = k), to some 10⁻¹³ of itself.
    fn pmf(&self, k: u64) -> f64;
    /// P(K = k) by logarithms of factorials, for up to [`QUICK_ROWS`]: to some 10⁻⁸ of itself,
    /// which no sample can tell, in a fraction of the time.
    fn quick_pmf(&self, k: u64) -> f64;
    /// P(K = k + 1) / P(K = k), for `low ≤ k < high`.
    fn up(&self, k: u64) -> f64;
    /// The standard deviation, roughly.
    fn spread(&self) -> f64;
    /// The rows that the law speaks of.
    fn rows(&self) -> u64;
}

/// Up to so many rows logarithms of factorials are exact enough to draw by.
const QUICK_ROWS: u64 = 1 << 20;
/// Beyond this spread rejection is quicker than walking.
const WALK: f64 = 200.0;

/// Draws a count.
pub(crate) fn draw(law: &impl Unimodal, draws: &mut Draws) -> u64 {
    let (low, high) = (law.low(), law.high());
    if low == high {
        return low;
    }
    let pmf = |k| if law.rows() <= QUICK_ROWS { law.quick_pmf(k) } else { law.pmf(k) };
    let mode = law.mode();
    let top = pmf(mode);
    if law.spread() <= WALK {
        walk(law, mode, top, draws)
    } else {
        reject(law, mode, top, draws, pmf)
    }
}

/// Inversion from the mode outwards.
fn walk(law: &impl Unimodal, mode: u64, top: f64, draws: &mut Draws) -> u64 {
    let mut rest = draws.uniform() - top;
    let (mut down, mut up) = ((mode, top), (mode, top));
    while rest > 0.0 {
        let stuck = (down.0, up.0);
        if up.0 < law.high() {
            up = (up.0 + 1, up.1 * law.up(up.0));
            rest -= up.1;
            if rest <= 0.0 {
                return up.0;
            }
        }
        if down.0 > law.low() {
            down = (down.0 - 1, down.1 / law.up(down.0 - 1));
            rest -= down.1;
            if rest <= 0.0 {
                return down.0;
            }
        }
        // All is used up and rounding left a crumb, or what is left is too small to be drawn.
        if stuck == (down.0, up.0) || (up.1 < 1e-20 && down.1 < 1e-20) {
            break;
        }
    }
    mode
}

/// Rejection from a flat top with exponential tails, which lies over every log-concave law with
/// this mode: five trials on average, whatever the law.
///
/// Devroye (1987), "A simple generator for discrete log-concave distributions", Computing 39:87.
fn reject(
    law: &impl Unimodal,
    mode: u64,
    top: f64,
    draws: &mut Draws,
    pmf: impl Fn(u64) -> f64,
) -> u64 {
    let flat = 1.0 + 0.5 * top;
    let (below, above) = ((mode - law.low()) as f64, (law.high() - mode) as f64);
    loop {
        let (mut height, u) = (draws.uniform(), draws.uniform());
        let far = if u <= flat / (1.0 + flat) {
            draws.uniform() * flat / top
        } else {
            let beyond = -(1.0 - draws.uniform()).ln();
            height *= (-beyond).exp();
            (flat + beyond) / top
        };
        let step = far.round();
        let up = draws.next_u64() & 1 == 0;
        if step > if up { above } else { below } {
            continue;
        }
        let k = if up { mode + step as u64 } else { mode - step as u64 };
        if height * top <= pmf(k) {
            return k;
        }
    }
}

/// How `drawn` of these rows fall into their cells, drawn without replacement: multivariate
/// hypergeometric.
pub(crate) fn without_replacement(cells: &[u64], drawn: u64, draws: &mut Draws, out: &mut [u64]) {
    let mut rest: u64 = cells.iter().sum();
    let mut drawn = drawn;
    for (&good, out) in cells.iter().zip(out) {
        rest -= good;
        *out = draw(&Hypergeometric { good, bad: rest, drawn }, draws);
        drawn -= *out;
    }
}

/// How `rows` fall into cells whose shares are Dirichlet with these whole parameters.
pub(crate) fn dirichlet_multinomial(
    parameters: &[u64],
    rows: u64,
    draws: &mut Draws,
    out: &mut [u64],
) {
    let mut rest: u64 = parameters.iter().sum();
    let mut left = rows;
    for (&a, out) in parameters.iter().zip(out) {
        rest -= a;
        *out = if rest == 0 {
            left
        } else {
            draw(&BetaBinomial { rows: left, a: a as f64, b: rest as f64 }, draws)
        };
        left -= *out;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlops_core::stats::chi_square_sf;

    /// P of the chi-square statistic of draws against the law, in cells that expect enough.
    fn fit(law: &impl Unimodal, replicates: u64, mut draw: impl FnMut(&mut Draws) -> u64) -> f64 {
        let mut counts = std::collections::BTreeMap::<u64, f64>::new();
        for replicate in 0..replicates {
            let k = draw(&mut Draws::new(11, 3, replicate));
            assert!((law.low()..=law.high()).contains(&k));
            *counts.entry(k).or_default() += 1.0;
        }
        let (mut statistic, mut cells) = (0.0, 0.0);
        let (mut seen, mut expected) = (0.0, 0.0);
        for k in law.low()..=law.high() {
            seen += counts.get(&k).copied().unwrap_or(0.0);
            expected += law.pmf(k) * replicates as f64;
            if expected >= 20.0 {
                statistic += (seen - expected).powi(2) / expected;
                cells += 1.0;
                (seen, expected) = (0.0, 0.0);
            }
        }
        chi_square_sf(statistic, cells - 1.0).unwrap()
    }

    #[test]
    fn draws_follow_their_laws() {
        for (good, bad, drawn) in [(5, 7, 6), (40, 10, 30), (2000, 3000, 400), (3, 997, 500)] {
            let law = Hypergeometric { good, bad, drawn };
            let p = fit(&law, 4000, |draws| draw(&law, draws));
            assert!(p > 1e-3, "{law:?}: {p}");
            let top = law.pmf(law.mode());
            let p = fit(&law, 4000, |draws| reject(&law, law.mode(), top, draws, |k| law.pmf(k)));
            assert!(p > 1e-3, "{law:?} by rejection: {p}");
        }
        for (rows, a, b) in [(10, 1.0, 1.0), (30, 2.0, 9.0), (500, 40.0, 60.0), (60, 1.0, 20.0)] {
            let law = BetaBinomial { rows, a, b };
            let p = fit(&law, 4000, |draws| draw(&law, draws));
            assert!(p > 1e-3, "{law:?}: {p}");
            let top = law.pmf(law.mode());
            let p = fit(&law, 4000, |draws| reject(&law, law.mode(), top, draws, |k| law.pmf(k)));
            assert!(p > 1e-3, "{law:?} by rejection: {p}");
        }
    }

    #[test]
    fn many_cells_sum_to_what_was_drawn_and_huge_ones_are_quick() {
        let mut draws = Draws::new(1, 2, 3);
        let mut out = [0; 4];
        let cells = [7, 0, 50_000_000_000, 12];
        for _ in 0..20 {
            without_replacement(&cells, 40_000_000_000, &mut draws, &mut out);
            assert_eq!(out.iter().sum::<u64>(), 40_000_000_000);
            assert!(out.iter().zip(cells).all(|(drawn, cell)| *drawn <= cell));
            dirichlet_multinomial(&[7, 1, 50_000_000_000, 12], 1_000_000_000, &mut draws, &mut out);
            assert_eq!(out.iter().sum::<u64>(), 1_000_000_000);
        }
    }
}
