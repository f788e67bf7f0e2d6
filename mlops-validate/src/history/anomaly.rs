//! Whether the newest value of a metric fits the earlier ones.

use mlops_core::{Error, Result, Verdict};
use serde::{Deserialize, Serialize};

use super::holt_winters::HoltWinters;
use super::prediction::{
    Band, Prediction, normal_prediction, online_normal_prediction, robust_prediction,
};

/// What is asked of the newest value, given the earlier ones. None counts the newest value in what
/// it is held to, as deequ's `OnlineNormal` does.
///
/// | kind | passes while | deequ |
/// |---|---|---|
/// | `threshold` | `min ≤ x ≤ max` | `SimpleThresholdStrategy` |
/// | `absolute_change` | `−max_decrease ≤ x − previous ≤ max_increase` | `AbsoluteChangeStrategy` |
/// | `relative_change` | the same of `(x − previous) / abs(previous)` | `RelativeRateOfChangeStrategy`, of a ratio |
/// | `rate_of_change` | the same of the difference of an order | `…(order)` |
/// | `normal` | within [`normal_prediction`]'s band | `BatchNormalStrategy` |
/// | `online_normal` | within [`online_normal_prediction`]'s band | `OnlineNormalStrategy` |
/// | `robust_z` | within [`robust_prediction`]'s band | |
/// | `holt_winters` | within [`HoltWinters`]'s band | `HoltWinters` |
///
/// Bounds are included. A value that is NaN or was not measured is inconclusive; an infinite one is
/// outside every bound on its side. Earlier values that are not finite are left out (and told);
/// for `holt_winters` they keep their place in the season. From 0 any change is infinitely large
/// relatively, from 0 to 0 there is none.
///
/// ```
/// use mlops_core::Verdict;
/// use mlops_validate::history::{AnomalyCheck, Band};
///
/// let rows = [980.0, 1010.0, 1005.0, 990.0, 1000.0, 1020.0, 995.0, 1000.0];
/// let half = AnomalyCheck::RelativeChange { max_decrease: Some(0.5), max_increase: None };
/// let normal = AnomalyCheck::Normal;
/// let band = Band::new(0.01);
/// assert_eq!(half.judge(&rows, 700.0, &band)?.verdict, Verdict::Pass);
/// assert_eq!(normal.judge(&rows, 700.0, &band)?.verdict, Verdict::Fail);
/// assert_eq!(normal.judge(&rows[..2], 700.0, &band)?.verdict, Verdict::Inconclusive);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "anomaly", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum AnomalyCheck {
    /// The value lies between fixed bounds, whatever the earlier ones were.
    Threshold {
        /// The least that passes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<f64>,
        /// The most that passes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<f64>,
    },
    /// The value lies not far from the one before.
    AbsoluteChange {
        /// How far it may fall.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_decrease: Option<f64>,
        /// How far it may rise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_increase: Option<f64>,
    },
    /// The value lies not far from the one before, as a share of that.
    RelativeChange {
        /// The share by which it may fall.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_decrease: Option<f64>,
        /// The share by which it may rise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_increase: Option<f64>,
    },
    /// The difference of an order is not large: of order 1 that is the change, of order 2 the change
    /// of the change, of order `k` `Σ (−1)^i C(k, i) x₋ᵢ` (numpy: `diff(n=k)`).
    RateOfChange {
        /// The order, 1 … 8.
        order: u32,
        /// How far below 0 it may be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_decrease: Option<f64>,
        /// How far above 0 it may be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_increase: Option<f64>,
    },
    /// The value is one of a normal sample.
    Normal,
    /// The same, of the values that were no anomalies themselves.
    OnlineNormal {
        /// How many values are taken as they are, at least 2.
        warm_up: usize,
    },
    /// The value lies near the median, by the median absolute deviation.
    RobustZ,
    /// The value is what level, trend and season let expect.
    HoltWinters {
        /// How many values a period has: 7 for days of weeks.
        period: usize,
    },
}

/// The answer of an [`AnomalyCheck`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Anomaly {
    /// Fail for an anomaly, inconclusive where that can't be said.
    pub verdict: Verdict,
    /// What would have been a pass, in words.
    pub expected: String,
    /// What was seen, in words.
    pub observed: String,
    /// What the history lets expect, for the kinds that have a band.
    pub prediction: Option<Prediction>,
    /// The p-value of the value, for the kinds that have a band, where that has a width.
    pub p_value: Option<f64>,
}

impl AnomalyCheck {
    const MOST_ORDER: u32 = 8;

    /// The kind's name, as texts write it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Threshold { .. } => "threshold",
            Self::AbsoluteChange { .. } => "absolute_change",
            Self::RelativeChange { .. } => "relative_change",
            Self::RateOfChange { .. } => "rate_of_change",
            Self::Normal => "normal",
            Self::OnlineNormal { .. } => "online_normal",
            Self::RobustZ => "robust_z",
            Self::HoltWinters { .. } => "holt_winters",
        }
    }

    /// Whether it holds the value to a [`Band`], and not to bounds of its own.
    pub fn has_band(&self) -> bool {
        matches!(
            self,
            Self::Normal | Self::OnlineNormal { .. } | Self::RobustZ | Self::HoltWinters { .. }
        )
    }

    /// The earlier values without which there is no answer but inconclusive: for the bands of a
    /// sample 8, because with fewer they are so wide that a pass says nothing.
    pub fn least_history(&self) -> usize {
        match self {
            Self::Threshold { .. } => 0,
            Self::AbsoluteChange { .. } | Self::RelativeChange { .. } => 1,
            Self::RateOfChange { order, .. } => *order as usize,
            Self::Normal | Self::RobustZ => 8,
            Self::OnlineNormal { warm_up } => 8.max(*warm_up),
            Self::HoltWinters { period } => HoltWinters::least_history(*period),
        }
    }

    /// Whether the question makes sense in itself.
    ///
    /// # Errors
    /// [`Error::Invalid`] for bounds that are missing, not finite, negative or empty; an order, a
    /// warm-up or a period out of range.
    pub fn check_usable(&self) -> Result<()> {
        let kind = self.kind();
        let bounds = |a: &Option<f64>, b: &Option<f64>, names: &str| match (a, b) {
            (None, None) => Err(Error::invalid(kind, format!("{names}, or both"), "neither")),
            (a, b) => match a.iter().chain(b).find(|v| !v.is_finite()) {
                Some(v) => Err(Error::invalid(format!("bound of {kind}"), "a finite number", v)),
                None => Ok(()),
            },
        };
        match self {
            Self::Threshold { min, max } => {
                bounds(min, max, "`min` or `max`")?;
                if let (Some(min), Some(max)) = (min, max)
                    && min > max
                {
                    return Err(Error::invalid(
                        "`max` of threshold",
                        format!("at least {min}"),
                        max,
                    ));
                }
                Ok(())
            }
            Self::AbsoluteChange { max_decrease, max_increase }
            | Self::RelativeChange { max_decrease, max_increase }
            | Self::RateOfChange { max_decrease, max_increase, .. } => {
                bounds(max_decrease, max_increase, "`max_decrease` or `max_increase`")?;
                if let Some(v) = max_decrease.iter().chain(max_increase).find(|v| **v < 0.0) {
                    return Err(Error::invalid(format!("bound of {kind}"), "at least 0", v));
                }
                match self {
                    Self::RateOfChange { order, .. } if !(1..=Self::MOST_ORDER).contains(order) => {
                        let expected = format!("1 … {}", Self::MOST_ORDER);
                        Err(Error::invalid("`order` of rate_of_change", expected, order))
                    }
                    _ => Ok(()),
                }
            }
            Self::OnlineNormal { warm_up } if *warm_up < 2 => {
                Err(Error::invalid("`warm_up` of online_normal", "at least 2", warm_up))
            }
            Self::HoltWinters { period } if !(2..=HoltWinters::MOST_PERIOD).contains(period) => {
                let expected = format!("2 … {}", HoltWinters::MOST_PERIOD);
                Err(Error::invalid("`period` of holt_winters", expected, period))
            }
            Self::Normal | Self::OnlineNormal { .. } | Self::RobustZ | Self::HoltWinters { .. } => {
                Ok(())
            }
        }
    }

    /// Judges a value by the earlier ones, oldest first. The band is looked at only where there
    /// [is one](Self::has_band).
    ///
    /// # Errors
    /// As [`check_usable`](Self::check_usable) and [`Band::check_usable`]: the data are never an
    /// error.
    pub fn judge(&self, history: &[f64], current: f64, band: &Band) -> Result<Anomaly> {
        self.check_usable()?;
        band.check_usable()?;
        let finite: Vec<f64> = history.iter().copied().filter(|v| v.is_finite()).collect();
        let (n, least) = (finite.len(), self.least_history());
        let mut notes = String::new();
        if finite.len() < history.len() {
            let left_out = history.len() - finite.len();
            notes = format!("; {left_out} earlier values are not finite and left out");
        }
        let inconclusive = |expected: &str, observed: String| Anomaly {
            verdict: Verdict::Inconclusive,
            expected: expected.to_owned(),
            observed: format!("{observed}{notes}"),
            prediction: None,
            p_value: None,
        };
        if current.is_nan() {
            return Ok(inconclusive("a number", "NaN".to_owned()));
        }
        if n < least {
            let observed = format!("{} after {n} of them", number(current));
            return Ok(inconclusive(&format!("at least {least} earlier values"), observed));
        }
        let within = |found: f64, low: Option<f64>, high: Option<f64>, what: &str, of: String| {
            let pass = low.is_none_or(|low| found >= low) && high.is_none_or(|high| found <= high);
            Anomaly {
                verdict: Verdict::from_bool(pass),
                expected: bounds_in_words(what, low, high),
                observed: format!("{of}{notes}"),
                prediction: None,
                p_value: None,
            }
        };
        let changed = |change: f64, down: &Option<f64>, up: &Option<f64>, what: &str| {
            if change.is_nan() {
                // From one infinity of a difference to the other: numbers too large to subtract.
                return inconclusive("a change", "numbers too large for it".to_owned());
            }
            let before = finite.last().copied().unwrap_or(0.0);
            let of = format!("{} ({} after {})", signed(change), number(current), number(before));
            within(change, down.map(|d| -d), *up, what, of)
        };
        Ok(match self {
            Self::Threshold { min, max } => within(current, *min, *max, "", number(current)),
            Self::AbsoluteChange { max_decrease, max_increase } => {
                changed(current - finite[n - 1], max_decrease, max_increase, "a change")
            }
            Self::RelativeChange { max_decrease, max_increase } => {
                let before = finite[n - 1];
                let change = match current - before {
                    0.0 => 0.0,
                    difference => difference / before.abs(),
                };
                changed(change, max_decrease, max_increase, "a relative change")
            }
            Self::RateOfChange { order, max_decrease, max_increase } => {
                let mut values = finite[n - *order as usize..].to_vec();
                values.push(current);
                while values.len() > 1 {
                    values = values.windows(2).map(|pair| pair[1] - pair[0]).collect();
                }
                let what = format!("a difference of order {order}");
                changed(values[0], max_decrease, max_increase, &what)
            }
            Self::Normal | Self::OnlineNormal { .. } | Self::RobustZ | Self::HoltWinters { .. } => {
                let predicted = match self {
                    Self::OnlineNormal { warm_up } => {
                        online_normal_prediction(&finite, *warm_up, band)
                    }
                    Self::RobustZ => robust_prediction(&finite),
                    Self::HoltWinters { period } => {
                        HoltWinters::fit(history, *period).and_then(|fit| fit.prediction())
                    }
                    _ => normal_prediction(&finite),
                };
                let predicted = predicted.and_then(|p| Ok((p, p.limits(band)?)));
                match predicted {
                    Ok((prediction, limits)) => {
                        in_band(prediction, limits, current, band, number(current) + &notes)
                    }
                    Err(Error::Undefined { what, reason }) => {
                        inconclusive(&what, format!("{}; {reason}", number(current)))
                    }
                    Err(other) => return Err(other),
                }
            }
        })
    }
}

fn in_band(
    prediction: Prediction,
    (low, high): (f64, f64),
    current: f64,
    band: &Band,
    observed: String,
) -> Anomaly {
    let bounds =
        bounds_in_words("", low.is_finite().then_some(low), high.is_finite().then_some(high));
    let Prediction { expected, n, .. } = prediction;
    let why = if prediction.scale == 0.0 { ", which never changed" } else { "" };
    Anomaly {
        verdict: Verdict::from_bool((low..=high).contains(&current)),
        expected: format!("{bounds} (about {} after {n} values{why})", number(expected)),
        observed,
        prediction: Some(prediction),
        p_value: prediction.p_value(current, band.side).ok().filter(|p| p.is_finite()),
    }
}

fn bounds_in_words(what: &str, low: Option<f64>, high: Option<f64>) -> String {
    let bounds = match (low, high) {
        (Some(low), Some(high)) if low == high => number(low),
        (Some(low), Some(high)) => format!("{} … {}", number(low), number(high)),
        (Some(low), None) => format!("at least {}", number(low)),
        (None, Some(high)) => format!("at most {}", number(high)),
        (None, None) => "any size".to_owned(),
    };
    if what.is_empty() { bounds } else { format!("{what} of {bounds}") }
}

/// With six digits, which tell runs apart and can be read.
fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{}", value + 0.0);
    }
    let size = value.abs().log10().floor();
    if !(-4.0..15.0).contains(&size) {
        return format!("{value:.5e}");
    }
    let text = format!("{value:.*}", (5.0 - size).max(0.0) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

fn signed(value: f64) -> String {
    if value > 0.0 { format!("+{}", number(value)) } else { number(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(check: &AnomalyCheck, history: &[f64], current: f64) -> Verdict {
        check.judge(history, current, &Band::new(0.01)).unwrap().verdict
    }

    #[test]
    fn changes_are_held_to_their_bounds() {
        use Verdict::{Fail, Inconclusive, Pass};
        let absolute =
            AnomalyCheck::AbsoluteChange { max_decrease: Some(2.0), max_increase: Some(1.0) };
        for (current, expected) in
            [(8.0, Pass), (7.9, Fail), (11.0, Pass), (11.1, Fail), (f64::INFINITY, Fail)]
        {
            assert_eq!(verdict(&absolute, &[3.0, 10.0], current), expected, "{current}");
        }
        assert_eq!(verdict(&absolute, &[], 1.0), Inconclusive);
        assert_eq!(verdict(&absolute, &[1.0], f64::NAN), Inconclusive);
        assert_eq!(verdict(&absolute, &[10.0, f64::NAN], 10.5), Pass);

        let relative = AnomalyCheck::RelativeChange { max_decrease: Some(0.5), max_increase: None };
        for (before, current, expected) in [
            (10.0, 5.0, Pass),
            (10.0, 4.9, Fail),
            (10.0, 1e9, Pass),
            (-10.0, -15.0, Pass),
            (-10.0, -15.1, Fail),
            (0.0, 0.0, Pass),
            (0.0, 1e-9, Pass),
            (0.0, -1e-9, Fail),
        ] {
            assert_eq!(verdict(&relative, &[before], current), expected, "{before} → {current}");
        }

        let second = AnomalyCheck::RateOfChange {
            order: 2,
            max_decrease: Some(0.5),
            max_increase: Some(0.5),
        };
        assert_eq!(verdict(&second, &[1.0, 2.0], 3.4), Pass);
        assert_eq!(verdict(&second, &[1.0, 2.0], 3.6), Fail);
        assert_eq!(verdict(&second, &[1.0], 3.6), Inconclusive);
        assert_eq!(verdict(&second, &[f64::MAX, -f64::MAX], f64::MAX), Fail);

        let threshold = AnomalyCheck::Threshold { min: Some(0.0), max: None };
        assert_eq!(verdict(&threshold, &[], 0.0), Pass);
        assert_eq!(verdict(&threshold, &[], -0.1), Fail);
        assert_eq!(verdict(&threshold, &[], f64::INFINITY), Pass);
        assert_eq!(verdict(&threshold, &[], f64::NEG_INFINITY), Fail);
    }

    #[test]
    fn bands_say_what_they_can_not_judge() {
        let checks = [
            AnomalyCheck::Normal,
            AnomalyCheck::OnlineNormal { warm_up: 5 },
            AnomalyCheck::RobustZ,
            AnomalyCheck::HoltWinters { period: 3 },
        ];
        let history: Vec<f64> = (0..24).map(|i| f64::from(i % 3) + f64::from(i * 7 % 5)).collect();
        for check in checks {
            let least = check.least_history();
            assert_eq!(verdict(&check, &history[..least - 1], 3.0), Verdict::Inconclusive);
            assert_eq!(verdict(&check, &history[..least], 3.0), Verdict::Pass, "{check:?}");
            assert_eq!(verdict(&check, &history, 300.0), Verdict::Fail, "{check:?}");
            assert_eq!(verdict(&check, &history, f64::NEG_INFINITY), Verdict::Fail);
            assert_eq!(verdict(&check, &history, f64::NAN), Verdict::Inconclusive);
            assert_eq!(verdict(&check, &[f64::NAN; 99], 1.0), Verdict::Inconclusive);
            let huge: Vec<f64> = (0..24).map(|i| [f64::MAX, -f64::MAX][i % 2]).collect();
            assert_eq!(verdict(&check, &huge, 1.0), Verdict::Inconclusive, "{check:?}");
            assert_eq!(verdict(&check, &[0.3; 24], 0.3), Verdict::Pass);
            assert_eq!(verdict(&check, &[0.3; 24], 0.3000001), Verdict::Fail);
            let found = check.judge(&history, 300.0, &Band::new(0.01)).unwrap();
            assert!(found.p_value.unwrap() < 0.01 && found.prediction.is_some());
        }
    }

    #[test]
    fn the_current_value_is_not_in_its_own_band() {
        // Were it, no value could lie further than (n - 1)/√n standard deviations from the mean.
        let history = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        let found = AnomalyCheck::Normal.judge(&history, 1e6, &Band::new(1e-6)).unwrap();
        assert_eq!(found.verdict, Verdict::Fail);
        assert_eq!(found.prediction.unwrap().n, 8);
    }

    #[test]
    fn unusable_checks_are_errors() {
        let none = AnomalyCheck::Threshold { min: None, max: None };
        let empty = AnomalyCheck::Threshold { min: Some(2.0), max: Some(1.0) };
        let negative =
            AnomalyCheck::AbsoluteChange { max_decrease: Some(-1.0), max_increase: None };
        let infinite =
            AnomalyCheck::RelativeChange { max_decrease: None, max_increase: Some(f64::NAN) };
        let order = |order| AnomalyCheck::RateOfChange {
            order,
            max_decrease: Some(1.0),
            max_increase: None,
        };
        let cold = AnomalyCheck::OnlineNormal { warm_up: 1 };
        let flat = AnomalyCheck::HoltWinters { period: 1 };
        for check in [none, empty, negative, infinite, order(0), order(9), cold, flat] {
            let error = check.judge(&[1.0; 99], 1.0, &Band::new(0.1)).unwrap_err();
            assert!(matches!(error, Error::Invalid { .. }), "{check:?}: {error}");
        }
        assert!(AnomalyCheck::Normal.judge(&[1.0; 99], 1.0, &Band::new(1.0)).is_err());
    }

    #[test]
    fn numbers_are_short() {
        let texts = [1234567.0, 0.1, 99.5, 1e-9, -2.5, 1.0 / 3.0, 1e20, 0.0, -0.0].map(number);
        let expected =
            ["1234567", "0.1", "99.5", "1.00000e-9", "-2.5", "0.333333", "1.00000e20", "0", "0"];
        assert_eq!(texts, expected);
    }
}
