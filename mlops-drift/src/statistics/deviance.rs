//! The one sum that every likelihood statistic of counts is made of.

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

#[cfg(test)]
mod tests {
    use super::deviance;

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
}
