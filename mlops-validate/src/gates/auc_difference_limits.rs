//! Limits of the difference of two areas under ROC curves that hold for few rows, too.

use mlops_core::Result;
use mlops_core::stats::{
    FEW_FOR_DELONG, Interval, RocAucDifference, ScorePair, normal_quantile, pair_mean_limits,
};

/// The limits of the difference of two ROC AUCs on the same rows, current less reference.
///
/// `DeLong`'s on the logit scale: with D = logit(a) − logit(b), its delta-method error s, and the
/// mean logit m held fixed, the limits are σ(m + D′/2) − σ(m − D′/2) at D′ = D ± z·s. They stay in
/// (−1, 1), swap with the sides, and exclude 0 exactly where those of D do.
///
/// Where that has no value (a variance of 0, an area of 0 or 1) or a label has fewer than 20 rows:
/// the shares of pairs that only one of the two orders rightly, each within
/// [`pair_mean_limits`], their errors added.
pub(crate) fn roc_auc_difference_limits(
    found: &RocAucDifference,
    y_true: &[bool],
    scores: ScorePair<'_>,
    confidence: f64,
) -> Result<Interval> {
    let rarer = found.current.positives.min(found.current.negatives);
    if rarer >= FEW_FOR_DELONG
        && let Some(limits) = on_the_logit_scale(found, confidence)?
    {
        return Ok(limits);
    }
    // Two one-sided statements for each limit.
    let tail = (1.0 - confidence) / 4.0;
    let (low, high) = if let Some((gained, lost)) = gained_and_lost(y_true, scores) {
        let (gained, lost) =
            (pair_mean_limits(gained, rarer, tail), pair_mean_limits(lost, rarer, tail));
        (gained.0 - lost.1, gained.1 - lost.0)
    } else {
        // Too many pairs to look at: the difference itself, moved to [0, 1].
        let middle = f64::midpoint(found.difference, 1.0);
        let (low, high) = pair_mean_limits(middle, rarer, 2.0 * tail);
        (2.0 * low - 1.0, 2.0 * high - 1.0)
    };
    Interval::new(low.min(found.difference), high.max(found.difference), confidence)
}

fn on_the_logit_scale(found: &RocAucDifference, confidence: f64) -> Result<Option<Interval>> {
    let z = -normal_quantile((1.0 - confidence) / 2.0)?;
    let (a, b) = (found.current.auc, found.reference.auc);
    let inside = |auc: f64| auc > 0.0 && auc < 1.0;
    let errors = (found.current.std_error, found.reference.std_error, found.std_error);
    let (Some(of_a), Some(of_b), Some(of_difference)) = errors else { return Ok(None) };
    if of_difference == 0.0 || !inside(a) || !inside(b) {
        return Ok(None);
    }
    let covariance = (of_a * of_a + of_b * of_b - of_difference * of_difference) / 2.0;
    let (slope_a, slope_b) = (1.0 / (a * (1.0 - a)), 1.0 / (b * (1.0 - b)));
    let variance =
        (of_a * slope_a).powi(2) + (of_b * slope_b).powi(2) - 2.0 * covariance * slope_a * slope_b;
    let logit = |p: f64| p.ln() - (-p).ln_1p();
    let (difference, middle) = (logit(a) - logit(b), f64::midpoint(logit(a), logit(b)));
    let half = z * variance.max(0.0).sqrt();
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let back = |d: f64| sigmoid(middle + d / 2.0) - sigmoid(middle - d / 2.0);
    let (low, high) = (back(difference - half), back(difference + half));
    Ok(Some(Interval::new(low.min(found.difference), high.max(found.difference), confidence)?))
}

/// The share of pairs that only the current model, and that only the reference, orders rightly, a
/// tie counting half; `None` for more pairs than can be looked at.
fn gained_and_lost(y_true: &[bool], scores: ScorePair<'_>) -> Option<(f64, f64)> {
    const MOST: usize = 20_000_000;
    if scores.current == scores.reference {
        return Some((0.0, 0.0));
    }
    let of = |label: bool| -> Vec<usize> {
        (0..y_true.len()).filter(|&row| y_true[row] == label).collect()
    };
    let (positives, negatives) = (of(true), of(false));
    if positives.len().checked_mul(negatives.len())? > MOST {
        return None;
    }
    // Twice the placement of a pair: 2 in order, 1 tied, 0 not.
    let placement = |scores: &[f64], p: usize, n: usize| {
        2 * u64::from(scores[p] > scores[n]) + u64::from(scores[p] == scores[n])
    };
    let (mut gained, mut lost) = (0_u64, 0_u64);
    for &p in &positives {
        for &n in &negatives {
            let new = placement(scores.current, p, n);
            let old = placement(scores.reference, p, n);
            gained += new.saturating_sub(old);
            lost += old.saturating_sub(new);
        }
    }
    let all = 2.0 * (positives.len() * negatives.len()) as f64;
    Some((gained as f64 / all, lost as f64 / all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlops_core::stats::{Draws, roc_auc_difference};

    /// Scores of a model whose AUC is Φ(gap/√2), and of another that shares most of its noise.
    fn rows(draws: &mut Draws, n: usize, gap: f64) -> (Vec<bool>, Vec<f64>, Vec<f64>) {
        let mut rows = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..n {
            let label = row % 2 == 0;
            let shift = gap * f64::from(u8::from(label));
            let shared = 0.8 * draws.normal();
            rows.0.push(label);
            rows.1.push(shift + shared + 0.6 * draws.normal());
            rows.2.push(shift + shared + 0.6 * draws.normal());
        }
        rows
    }

    #[test]
    fn limits_cover_what_they_say() {
        // Of two models of one AUC, 0.9213.
        for (n, least) in [(16, 0.95), (120, 0.92)] {
            let mut difference = 0;
            let runs = 300;
            for run in 0..runs {
                let (y, a, b) = rows(&mut Draws::new(5, n, run), n as usize, 2.0);
                let pair = ScorePair { current: &a, reference: &b };
                let found = roc_auc_difference(&y, pair).unwrap();
                let limits = roc_auc_difference_limits(&found, &y, pair, 0.95).unwrap();
                difference += u32::from(limits.contains(0.0));
            }
            let share = f64::from(difference) / runs as f64;
            assert!(share >= least, "{n} rows: {difference} of {runs}");
        }
    }

    #[test]
    fn sides_swap_and_a_model_against_itself_is_exact() {
        let (y, a, b) = rows(&mut Draws::new(1, 0, 0), 80, 1.0);
        let limits = |current: &[f64], reference: &[f64]| {
            let pair = ScorePair { current, reference };
            let found = roc_auc_difference(&y, pair).unwrap();
            roc_auc_difference_limits(&found, &y, pair, 0.95).unwrap()
        };
        let (one, other) = (limits(&a, &b), limits(&b, &a));
        assert!((one.low + other.high).abs() < 1e-12 && (one.high + other.low).abs() < 1e-12);
        // No pair of 40 differs: the share that does may still be 1 − 0.0125^(1/40).
        let same = limits(&a, &a);
        let most = 1.0 - 0.0125_f64.powf(1.0 / 40.0);
        assert!((same.high - most).abs() < 1e-12 && (same.low + most).abs() < 1e-12, "{same}");
    }
}
