//! Holt–Winters' additive method: level, trend and season, each smoothed.

use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::prediction::Prediction;

/// A series with a season, smoothed: what it expects of the next value.
///
/// With level `l`, trend `b`, season `s` of period `m` and the error `e = y − (l + b + s)` of the
/// one-step forecast,
///
/// ```text
/// l' = l + b + α e      b' = b + αβ e      s' = s + γ e
/// ```
///
/// which is `l' = α (y − s) + (1 − α)(l + b)`, `b' = β (l' − l) + (1 − β) b`,
/// `s' = γ (y − l − b) + (1 − γ) s`. At the start the trend is the difference of the means of the first
/// two periods over `m`, the level lies on the line through them, and the season is what is left of the
/// first period. `α, β ∈ [0, 1]` and `γ ∈ [0, 1 − α]` minimise the sum of the squared errors after
/// the first period: a grid, then compass searches from the best points of its slices; the same bits every time.
///
/// Simulated with noise of standard deviation 1 about a season and a trend, the false alarms are
/// about as many as a band says (5 %), of three periods as of ten.
///
/// The values are taken as equally far apart in time. One that is not finite is missing: the
/// forecast stands for it.
///
/// Hyndman & Athanasopoulos, *Forecasting* (3rd ed.), § 8.3; statsmodels:
/// `ExponentialSmoothing(trend="add", seasonal="add")`.
///
/// ```
/// use mlops_validate::history::{Band, HoltWinters};
/// let week = [5.0, 4.0, 4.0, 4.5, 6.0, 9.0, 8.0];
/// let history: Vec<f64> = (0..35).map(|day| week[day % 7] + 0.1 * day as f64).collect();
/// let next = HoltWinters::fit(&history, 7)?.prediction()?;
/// assert!((next.expected - 8.5).abs() < 1e-9);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HoltWinters {
    /// How much of an error the level takes.
    pub alpha: f64,
    /// How much of the level's change the trend takes.
    pub beta: f64,
    /// How much of an error the season takes.
    pub gamma: f64,
    /// The forecast of the value after the last.
    pub forecast: f64,
    /// The sum of the squared one-step errors after the first period.
    pub sse: f64,
    /// How many errors that are.
    pub errors: u64,
    /// The values that were there.
    pub n: u64,
}

impl HoltWinters {
    /// The longest period.
    pub const MOST_PERIOD: usize = 1024;
    /// Of a longer history the last so many values are used.
    pub const MOST_VALUES: usize = 4096;
    /// The trend and the three weights, which the errors have helped to choose.
    const CHOSEN: u64 = 4;

    /// The fewest values for a period: two periods, and errors enough to know their spread.
    pub fn least_history(period: usize) -> usize {
        period.saturating_mul(2).max(period.saturating_add(Self::CHOSEN as usize + 2))
    }

    /// Fits the weights to this history.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a period outside 2 … [`MOST_PERIOD`](Self::MOST_PERIOD);
    /// [`Error::Undefined`] for fewer than [`least_history`](Self::least_history) values, one
    /// that is missing in the first two periods, and values too large.
    pub fn fit(history: &[f64], period: usize) -> Result<Self> {
        let history = &history[history.len().saturating_sub(Self::MOST_VALUES)..];
        let start = Start::of(history, period)?;
        let (weights, _) = minimise(|weights| start.smooth(history, weights).sse);
        Self::of(history, &start, weights)
    }

    /// With these weights.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); [`Error::Invalid`] for weights out of range.
    pub fn with_weights(
        history: &[f64],
        period: usize,
        (alpha, beta, gamma): (f64, f64, f64),
    ) -> Result<Self> {
        let history = &history[history.len().saturating_sub(Self::MOST_VALUES)..];
        let unit = 0.0..=1.0;
        if !(unit.contains(&alpha) && unit.contains(&beta) && (0.0..=1.0 - alpha).contains(&gamma))
        {
            let found = format!("({alpha}, {beta}, {gamma})");
            return Err(Error::invalid("weights", "α, β in [0, 1] and γ in [0, 1 − α]", found));
        }
        let start = Start::of(history, period)?;
        Self::of(history, &start, [alpha, beta, gamma])
    }

    fn of(history: &[f64], start: &Start, [alpha, beta, gamma]: [f64; 3]) -> Result<Self> {
        let Smoothed { sse, errors, next } = start.smooth(history, [alpha, beta, gamma]);
        let forecast = start.offset + next;
        if !(sse.is_finite() && forecast.is_finite()) {
            return Err(Error::undefined("the forecast", "the numbers are too large"));
        }
        let n = history.iter().filter(|v| v.is_finite()).count() as u64;
        Ok(Self { alpha, beta, gamma, forecast, sse, errors, n })
    }

    /// The next value: the forecast, and the spread of the errors after the first period, with as
    /// many degrees of freedom as there are errors less 4 (the weights and the trend were chosen by
    /// them).
    ///
    /// # Errors
    /// [`Error::Undefined`] if too few errors are left.
    pub fn prediction(&self) -> Result<Prediction> {
        let df = self.errors.saturating_sub(Self::CHOSEN);
        if df == 0 {
            let reason = format!("{} errors, more than {} are needed", self.errors, Self::CHOSEN);
            return Err(Error::undefined("the spread of the errors", reason));
        }
        let sd = (self.sse / df as f64).sqrt();
        Prediction::new(self.forecast, sd, df as f64, self.n as usize)
    }
}

/// Where the smoothing starts, of values less the first (so that equal ones give exact zeros).
struct Start {
    offset: f64,
    level: f64,
    trend: f64,
    season: Vec<f64>,
}

struct Smoothed {
    sse: f64,
    errors: u64,
    next: f64,
}

impl Start {
    fn of(history: &[f64], period: usize) -> Result<Self> {
        if !(2..=HoltWinters::MOST_PERIOD).contains(&period) {
            let expected = format!("2 … {}", HoltWinters::MOST_PERIOD);
            return Err(Error::invalid("period", expected, period));
        }
        let least = HoltWinters::least_history(period);
        if history.len() < least {
            let reason = format!("{} earlier values, at least {least} are needed", history.len());
            return Err(Error::undefined("the season", reason));
        }
        let (first, second) = history[..2 * period].split_at(period);
        if !first.iter().chain(second).all(|v| v.is_finite()) {
            let reason = "a value of the first two periods is missing";
            return Err(Error::undefined("the season", reason));
        }
        let offset = first[0];
        let m = period as f64;
        let mean = |values: &[f64]| values.iter().map(|v| v - offset).sum::<f64>() / m;
        let (one, two) = (mean(first), mean(second));
        let trend = (two - one) / m;
        let level = one - trend * (m + 1.0) / 2.0;
        let line = |i: usize| level + trend * (i + 1) as f64;
        let season = first.iter().enumerate().map(|(i, v)| v - offset - line(i)).collect();
        Ok(Self { offset, level, trend, season })
    }

    fn smooth(&self, history: &[f64], [alpha, beta, gamma]: [f64; 3]) -> Smoothed {
        let (mut level, mut trend, mut season) = (self.level, self.trend, self.season.clone());
        let (m, mut place) = (season.len(), 0);
        let (mut sse, mut errors) = (0.0, 0);
        for (i, value) in history.iter().enumerate() {
            let before = level + trend;
            level = before;
            if value.is_finite() {
                let error = value - self.offset - before - season[place];
                level += alpha * error;
                trend += alpha * beta * error;
                season[place] += gamma * error;
                // The season was made of the first period, which thus says nothing of errors.
                if i >= m {
                    sse += error * error;
                    errors += 1;
                }
            }
            place = if place + 1 == m { 0 } else { place + 1 };
        }
        Smoothed { sse, errors, next: level + trend + season[place] }
    }
}

/// The weights at which the sum is least, and the sum: over `α, β, γ/(1 − α)` in the unit cube.
fn minimise(sse: impl Fn([f64; 3]) -> f64) -> ([f64; 3], f64) {
    const GRID: [f64; 6] = [0.0, 0.05, 0.2, 0.4, 0.7, 1.0];
    let weights = |[a, b, c]: [f64; 3]| [a, b, c * (1.0 - a)];
    let at = |point| sse(weights(point));
    let mut best = ([0.0; 3], f64::INFINITY);
    // Valleys lie side by side along the trend's weight: a search from the best point of each slice.
    for b in GRID {
        let mut start = ([0.0, b, 0.0], f64::INFINITY);
        for a in GRID {
            for c in GRID {
                let found = at([a, b, c]);
                if found < start.1 {
                    start = ([a, b, c], found);
                }
            }
        }
        // Within the slice first, so that it does not leave its valley by a first large step.
        let found = descend(at, start, &[0, 2], 0.1, 5e-3);
        let found = descend(at, found, &[0, 1, 2], 0.02, 1e-3);
        if found.1 < best.1 {
            best = found;
        }
    }
    let (point, least) = descend(at, best, &[0, 1, 2], 1e-3, 1e-6);
    (weights(point), least)
}

/// A compass search in the unit cube along these axes (Hooke & Jeeves 1961), with steps from one
/// size to another.
fn descend(
    at: impl Fn([f64; 3]) -> f64,
    (mut point, mut least): ([f64; 3], f64),
    axes: &[usize],
    mut step: f64,
    smallest: f64,
) -> ([f64; 3], f64) {
    const EVALUATIONS: usize = 1500;
    let moved = |from: [f64; 3], way: [f64; 3]| {
        let mut to = from;
        to.iter_mut().zip(way).for_each(|(t, w)| *t = (*t + w).clamp(0.0, 1.0));
        to
    };
    let mut left = EVALUATIONS;
    // The way that helped last is tried again first: valleys lie aslant.
    let mut way = [0.0; 3];
    while step > smallest && left > 0 {
        let from = point;
        let pattern = moved(point, way);
        if pattern != point {
            left = left.saturating_sub(1);
            let found = at(pattern);
            if found < least {
                (point, least) = (pattern, found);
            }
        }
        for &axis in axes {
            for sign in [1.0, -1.0] {
                let mut along = [0.0; 3];
                along[axis] = sign * step;
                let to = moved(point, along);
                if to == point {
                    continue;
                }
                left = left.saturating_sub(1);
                let found = at(to);
                if found < least {
                    (point, least) = (to, found);
                    break;
                }
            }
        }
        if point == from {
            step *= 0.5;
            way = [0.0; 3];
        } else {
            way = [0, 1, 2].map(|i| point[i] - from[i]);
        }
    }
    (point, least)
}

#[cfg(test)]
mod tests {
    use mlops_core::stats::Draws;

    use super::*;
    use crate::history::Band;

    #[test]
    fn false_alarms_are_about_as_many_as_are_said() {
        for (n, runs) in [(21, 200), (70, 80)] {
            let mut outside = 0;
            for run in 0..runs {
                let mut draws = Draws::new(11, n as u32, run);
                let values: Vec<f64> = (0..=n)
                    .map(|t| {
                        let season = [3.0, 0.0, 1.0, -2.0, 5.0, -4.0, -3.0][t % 7];
                        10.0 + 0.2 * t as f64 + season + draws.normal()
                    })
                    .collect();
                let next = HoltWinters::fit(&values[..n], 7).unwrap().prediction().unwrap();
                let (low, high) = next.limits(&Band::new(0.05)).unwrap();
                outside += u64::from(!(low..=high).contains(&values[n]));
            }
            let share = outside as f64 / runs as f64;
            // Three standard errors of the simulation.
            assert!(share < 0.05 + 3.0 * (0.0475 / runs as f64).sqrt(), "{share} at {n}");
        }
    }

    #[test]
    fn what_never_changes_is_expected_exactly() {
        for value in [0.1, -7.3, 1e200] {
            let next = HoltWinters::fit(&[value; 20], 4).unwrap().prediction().unwrap();
            assert_eq!((next.expected, next.scale), (value, 0.0));
        }
    }

    #[test]
    fn a_missing_value_is_forecast_and_not_counted() {
        let value = |t: usize| [1.0, 5.0, -2.0, 0.5][t % 4] + t as f64;
        let mut history: Vec<f64> = (0..24).map(value).collect();
        history[17] = f64::NAN;
        history[21] = f64::INFINITY;
        let fit = HoltWinters::fit(&history, 4).unwrap();
        assert_eq!((fit.n, fit.errors), (22, 18));
        assert!((fit.forecast - value(24)).abs() < 1e-9, "{fit:?}");
        history[3] = f64::NAN;
        assert!(matches!(HoltWinters::fit(&history, 4), Err(Error::Undefined { .. })));
    }

    #[test]
    fn unusable_and_undefined_are_said() {
        let history = [1.0; 50];
        for period in [0, 1, HoltWinters::MOST_PERIOD + 1, usize::MAX] {
            assert!(matches!(HoltWinters::fit(&history, period), Err(Error::Invalid { .. })));
        }
        assert!(matches!(HoltWinters::fit(&history[..13], 7), Err(Error::Undefined { .. })));
        assert!(HoltWinters::fit(&history[..14], 7).is_ok());
        let huge: Vec<f64> = (0..30).map(|i| if i % 3 == 0 { 1.7e308 } else { -1.7e308 }).collect();
        assert!(matches!(HoltWinters::fit(&huge, 3), Err(Error::Undefined { .. })));
        assert!(HoltWinters::with_weights(&history, 7, (0.5, 0.1, 0.6)).is_err());
        assert!(HoltWinters::with_weights(&history, 7, (0.5, 0.1, f64::NAN)).is_err());
    }

    #[test]
    fn the_minimum_of_a_slanted_valley_is_found() {
        let (found, least) = minimise(|[a, b, c]| {
            let (u, v, w) = (a - 0.31, b - 0.62 - 0.9 * (a - 0.31), c - 0.17);
            u * u + 30.0 * v * v + w * w
        });
        assert!(least < 1e-9, "{found:?} {least}");
    }
}
