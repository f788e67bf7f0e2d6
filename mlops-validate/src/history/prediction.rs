//! What a history lets one expect of its next value: the band, and the normal ways to it.

use mlops_core::stats::{student_t_quantile, student_t_sf};
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Which deviations are anomalies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Those up and those down.
    #[default]
    Both,
    /// Only those up.
    Above,
    /// Only those down.
    Below,
}

/// How far a value may lie from the one that is expected.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Band {
    /// The share of ordinary values that may lie outside, in (0, 1).
    pub false_alarms: f64,
    /// The side on which a value may lie outside.
    pub side: Side,
    /// What does not matter: the band reaches at least this far from the expected value.
    pub tolerance: f64,
}

impl Band {
    /// The band outside of which three standard deviations lie.
    pub const THREE_SIGMA: f64 = 0.0027;

    /// A band on both sides with this share of false alarms.
    pub fn new(false_alarms: f64) -> Self {
        Self { false_alarms, side: Side::Both, tolerance: 0.0 }
    }

    /// The same, on this side.
    #[must_use]
    pub fn side(mut self, side: Side) -> Self {
        self.side = side;
        self
    }

    /// The same, reaching at least this far.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a share outside (0, 1), a tolerance that is negative or not finite.
    pub fn check_usable(&self) -> Result<()> {
        if !(self.false_alarms > 0.0 && self.false_alarms < 1.0) {
            return Err(Error::invalid("`false_alarms`", "a share in (0, 1)", self.false_alarms));
        }
        if !(self.tolerance >= 0.0 && self.tolerance.is_finite()) {
            return Err(Error::invalid("`tolerance`", "a finite number ≥ 0", self.tolerance));
        }
        Ok(())
    }
}

/// The distribution of the next value, given the earlier ones: `expected + scale · t` with `t` of
/// Student's distribution with `df` degrees of freedom.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Prediction {
    /// The expected value.
    pub expected: f64,
    /// The standard error of a *new* value about it; 0 for a history that never changed.
    pub scale: f64,
    /// Degrees of freedom.
    pub df: f64,
    /// The values that it rests on.
    pub n: u64,
}

impl Prediction {
    pub(crate) fn new(expected: f64, scale: f64, df: f64, n: usize) -> Result<Self> {
        if !(expected.is_finite() && scale.is_finite()) {
            return Err(Error::undefined("the expected value", "the numbers are too large"));
        }
        Ok(Self { expected, scale, df, n: n as u64 })
    }

    /// The least and the greatest value that is no anomaly, both included; infinite on a side
    /// that is not looked at. Of a history that never changed it is the value itself, widened by
    /// the tolerance: any other value is an anomaly.
    ///
    /// # Errors
    /// As [`Band::check_usable`]; [`Error::Undefined`] if a limit is beyond all numbers.
    pub fn limits(&self, band: &Band) -> Result<(f64, f64)> {
        band.check_usable()?;
        let tail = if band.side == Side::Both { 0.5 } else { 1.0 } * band.false_alarms;
        let reach = match self.scale {
            0.0 => 0.0,
            // More than half of the values on one side: the band has no width there.
            scale => (scale * student_t_quantile(1.0 - tail, self.df)?).max(0.0),
        };
        let reach = reach.max(band.tolerance);
        let (low, high) = (self.expected - reach, self.expected + reach);
        if !(low.is_finite() && high.is_finite()) {
            return Err(Error::undefined("the band", "the numbers are too large"));
        }
        Ok(match band.side {
            Side::Both => (low, high),
            Side::Above => (f64::NEG_INFINITY, high),
            Side::Below => (low, f64::INFINITY),
        })
    }

    /// The share of ordinary values that lie at least as far out as this one.
    ///
    /// # Errors
    /// [`Error::Undefined`] for a history that never changed.
    pub fn p_value(&self, value: f64, side: Side) -> Result<f64> {
        if self.scale == 0.0 {
            return Err(Error::undefined("a p-value", "the history never changed"));
        }
        let t = (value - self.expected) / self.scale;
        match side {
            Side::Both => Ok((2.0 * student_t_sf(t.abs(), self.df)?).min(1.0)),
            Side::Above => student_t_sf(t, self.df),
            Side::Below => student_t_sf(-t, self.df),
        }
    }
}

/// The values of a history as they must be, and at least so many.
pub(crate) fn check(history: &[f64], least: usize) -> Result<()> {
    if let Some(value) = history.iter().find(|v| !v.is_finite()) {
        return Err(Error::invalid("history", "finite numbers", value));
    }
    if history.len() < least {
        let reason = format!("{} earlier values, at least {least} are needed", history.len());
        return Err(Error::undefined("the expected value", reason));
    }
    Ok(())
}

/// The mean of all values and their sample standard deviation: exact for values that are equal.
fn mean_sd(values: &[f64]) -> (f64, f64) {
    let (first, n) = (values[0], values.len() as f64);
    let mean = values.iter().map(|v| v - first).sum::<f64>() / n;
    let squares = values.iter().map(|v| (v - first - mean).powi(2)).sum::<f64>();
    (first + mean, (squares / (n - 1.0)).sqrt())
}

/// The next value of a normal sample: mean `x̄` and `s·√(1 + 1/n)` with `n − 1` degrees of freedom,
/// `s` the sample standard deviation. Of `n` ordinary values and one more, the last is outside its
/// band as often as the band says, however small `n` is: with a plain `x̄ ± 3 s` it is 7 times as
/// often for `n = 10`.
///
/// ```
/// use mlops_validate::history::{Band, normal_prediction};
/// let next = normal_prediction(&[9.0, 11.0, 10.0, 10.0])?;
/// let (low, high) = next.limits(&Band::new(0.05))?;
/// assert!((low - 7.0948).abs() < 1e-4 && (high - 12.9052).abs() < 1e-4);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Undefined`] for fewer than 2 values or too large ones; [`Error::Invalid`] for one that
/// is not finite.
pub fn normal_prediction(history: &[f64]) -> Result<Prediction> {
    check(history, 2)?;
    let (mean, sd) = mean_sd(history);
    let n = history.len() as f64;
    Prediction::new(mean, sd * (1.0 + 1.0 / n).sqrt(), n - 1.0, history.len())
}

/// As [`normal_prediction`], of the values that were none of them an anomaly when they came: the
/// first `warm_up` are taken as they are, each later one only if it lies within the band of those
/// taken before it (Welford's recurrence). So a bad week does not widen the band; but neither does
/// it follow a level that changed for good.
///
/// Other than deequ's `OnlineNormal`, no value counts in the band that it is held to. What is
/// refused are the tails, so the rest looks a little less spread than it is: use small
/// `false_alarms` (at 0.0027 it does not show, at 0.05 false alarms double).
///
/// # Errors
/// As [`normal_prediction`], and as [`Band::check_usable`].
pub fn online_normal_prediction(
    history: &[f64],
    warm_up: usize,
    band: &Band,
) -> Result<Prediction> {
    check(history, 2)?;
    let first = history[0];
    let (mut n, mut mean, mut m2) = (0.0_f64, 0.0, 0.0);
    let prediction = |n: f64, mean: f64, m2: f64| {
        let sd = (m2 / (n - 1.0)).sqrt();
        Prediction::new(first + mean, sd * (1.0 + 1.0 / n).sqrt(), n - 1.0, n as usize)
    };
    for value in history {
        if n >= warm_up.max(2) as f64 {
            let (low, high) = prediction(n, mean, m2)?.limits(band)?;
            if !(low..=high).contains(value) {
                continue;
            }
        }
        n += 1.0;
        let delta = value - first - mean;
        mean += delta / n;
        m2 += delta * (value - first - mean);
    }
    prediction(n, mean, m2)
}

/// The next value of a sample some of whose values are wild: the median, and the median absolute
/// deviation from it, which a third of wild values hardly move.
///
/// The scale is `1.4826 · MAD · b_n · √(1 + π/2n)`: the constant that makes it the standard
/// deviation of a normal sample, its correction for small samples, and the variance of the median;
/// with `0.3675 n + ½` degrees of freedom, for the MAD knows the spread as well as a standard
/// deviation does of 37 % of the sample. For normal samples of 8 and more the false alarms are then
/// within a sixth above and a third below what the band says. Where more than half of the values
/// are equal (MAD 0) the mean absolute deviation takes its place, times `√(π/2)`.
///
/// Croux & Rousseeuw (1992), <https://doi.org/10.1007/978-3-662-26811-7_58> (`b_n`); Iglewicz &
/// Hoaglin (1993); scipy: `median_abs_deviation(scale="normal")`.
///
/// # Errors
/// [`Error::Undefined`] for fewer than 3 values or too large ones; [`Error::Invalid`] for one that
/// is not finite.
pub fn robust_prediction(history: &[f64]) -> Result<Prediction> {
    /// For samples of 2 to 9.
    const SMALL: [f64; 8] = [1.196, 1.495, 1.363, 1.206, 1.200, 1.140, 1.129, 1.107];
    /// `1 / Φ⁻¹(3/4)`.
    const NORMAL: f64 = 1.482_602_218_505_602;
    check(history, 3)?;
    let n = history.len();
    let median = |mut values: Vec<f64>| {
        let (below, middle, _) = values.select_nth_unstable_by(n / 2, f64::total_cmp);
        let middle = *middle;
        if n % 2 == 1 {
            return middle;
        }
        let below = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        below + (middle - below) / 2.0
    };
    let centre = median(history.to_vec());
    let deviations: Vec<f64> = history.iter().map(|v| (v - centre).abs()).collect();
    let mean = deviations.iter().sum::<f64>() / n as f64;
    let spread = match median(deviations) {
        0.0 => mean * (std::f64::consts::FRAC_PI_2).sqrt(),
        mad => {
            let size = n as f64;
            NORMAL * mad * SMALL.get(n - 2).copied().unwrap_or(size / (size - 0.8))
        }
    };
    let n_f = n as f64;
    let scale = spread * (1.0 + std::f64::consts::FRAC_PI_2 / n_f).sqrt();
    Prediction::new(centre, scale, 0.3675 * n_f + 0.5, n)
}

#[cfg(test)]
mod tests {
    use mlops_core::stats::Draws;
    use proptest::prelude::*;

    use super::*;

    /// The share of ordinary next values that are outside the band.
    fn false_alarms(
        n: usize,
        runs: u64,
        band: Band,
        predict: impl Fn(&[f64]) -> Result<Prediction>,
    ) -> f64 {
        let mut outside = 0;
        for run in 0..runs {
            let mut draws = Draws::new(7, n as u32, run);
            let history: Vec<f64> = (0..n).map(|_| 5.0 + 3.0 * draws.normal()).collect();
            let (low, high) = predict(&history).unwrap().limits(&band).unwrap();
            outside += u64::from(!(low..=high).contains(&(5.0 + 3.0 * draws.normal())));
        }
        outside as f64 / runs as f64
    }

    #[test]
    fn false_alarms_are_as_many_as_are_said() {
        let runs = 4_000;
        // Four standard errors of the simulation.
        let near = |share: f64, said: f64| {
            let error = 4.0 * (said * (1.0 - said) / runs as f64).sqrt();
            assert!((share - said).abs() < error, "{share} for {said}");
        };
        for n in [3, 10, 40] {
            near(false_alarms(n, runs, Band::new(0.05), normal_prediction), 0.05);
            let above = Band::new(0.05).side(Side::Above);
            near(false_alarms(n, runs, above, normal_prediction), 0.05);
            let below = Band::new(0.01).side(Side::Below);
            near(false_alarms(n, runs, below, normal_prediction), 0.01);
        }
        let band = Band::new(0.01);
        let online = |h: &[f64]| online_normal_prediction(h, 10, &band);
        let share = false_alarms(30, runs, band, online);
        assert!(share > 0.005 && share < 0.020, "{share}");
        for (n, said) in [(8, 0.05), (9, 0.05), (20, 0.05), (50, 0.01)] {
            let share = false_alarms(n, runs, Band::new(said), robust_prediction);
            assert!(share > 0.4 * said && share < 1.4 * said, "{share} for {said} at {n}");
        }
    }

    #[test]
    fn a_history_that_never_changed_takes_nothing_else() {
        for value in [0.1, 0.0, -0.0, 1e300, 5e-324] {
            let history = [value; 9];
            for next in [
                normal_prediction(&history).unwrap(),
                robust_prediction(&history).unwrap(),
                online_normal_prediction(&history, 4, &Band::new(0.01)).unwrap(),
            ] {
                assert_eq!((next.expected, next.scale), (value, 0.0));
                assert_eq!(next.limits(&Band::new(0.01)).unwrap(), (value, value));
                assert!(next.p_value(1.0, Side::Both).is_err());
            }
        }
        let next = normal_prediction(&[1.0; 9]).unwrap();
        let band = Band::new(0.01).tolerance(0.5).side(Side::Below);
        assert_eq!(next.limits(&band).unwrap(), (0.5, f64::INFINITY));
    }

    #[test]
    fn wild_values_do_not_move_the_robust_band() {
        let mut history: Vec<f64> = (0..30).map(|i| f64::from(i % 7)).collect();
        let before = robust_prediction(&history).unwrap();
        let wild = Band::new(0.01);
        for value in &mut history[..8] {
            *value = 1e9;
        }
        let after = robust_prediction(&history).unwrap();
        assert!(
            (after.expected - before.expected).abs() <= 2.0 && after.scale < 3.0 * before.scale
        );
        assert!(normal_prediction(&history).unwrap().limits(&wild).unwrap().1 > 1e8);
        // More than half are equal, and yet not all.
        let flat = robust_prediction(&[1.0, 1.0, 1.0, 1.0, 2.0]).unwrap();
        assert!(
            (flat.scale / (1.0 + std::f64::consts::FRAC_PI_2 / 5.0).sqrt() - 0.25066).abs() < 1e-5
        );
    }

    #[test]
    fn an_anomaly_does_not_feed_the_online_band() {
        let mut history: Vec<f64> = (0..20).map(|i| f64::from(i % 5)).collect();
        let band = Band::new(0.01);
        let before = online_normal_prediction(&history, 10, &band).unwrap();
        history.insert(15, 100.0);
        assert_eq!(online_normal_prediction(&history, 10, &band).unwrap(), before);
        let batch = normal_prediction(&history).unwrap();
        assert!(batch.scale > 5.0 * before.scale);
    }

    #[test]
    fn unusable_and_undefined_are_said() {
        assert!(matches!(normal_prediction(&[1.0]), Err(Error::Undefined { .. })));
        assert!(matches!(robust_prediction(&[1.0, 2.0]), Err(Error::Undefined { .. })));
        assert!(matches!(normal_prediction(&[1.0, f64::NAN]), Err(Error::Invalid { .. })));
        let wide = [-1.7e308, 1.7e308, 0.0];
        assert!(matches!(normal_prediction(&wide), Err(Error::Undefined { .. })));
        let next = normal_prediction(&[1.0, 2.0, 3.0]).unwrap();
        for band in [Band::new(0.0), Band::new(f64::NAN), Band::new(0.1).tolerance(-1.0)] {
            assert!(next.limits(&band).is_err());
        }
    }

    proptest! {
        #[test]
        fn bands_move_with_the_values(
            values in proptest::collection::vec(-1e6..1e6_f64, 8..40),
            shift in -1e6..1e6_f64,
        ) {
            let moved: Vec<f64> = values.iter().map(|v| -2.0 * v + shift).collect();
            for predict in [normal_prediction, robust_prediction] {
                let (one, two) = (predict(&values).unwrap(), predict(&moved).unwrap());
                prop_assert!((two.expected - (-2.0 * one.expected + shift)).abs() < 1e-6);
                prop_assert!((two.scale - 2.0 * one.scale).abs() < 1e-6 * (1.0 + one.scale));
                let (low, high) = one.limits(&Band::new(0.05)).unwrap();
                let (wider_low, wider_high) = one.limits(&Band::new(0.01)).unwrap();
                prop_assert!(wider_low <= low && low <= high && high <= wider_high);
                let p = one.p_value(high, Side::Both);
                prop_assert!(one.scale == 0.0 || (p.unwrap() - 0.05).abs() < 1e-6);
            }
        }
    }
}
