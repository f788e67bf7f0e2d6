//! What is known of a group's number besides its value: limits, and how two of them make the limits
//! of a difference or a ratio.

use mlops_core::states::Moments;
use mlops_core::stats::{RocAuc, Share, normal_quantile, pair_mean_limits, student_t_quantile};

use crate::gap::{DifferenceLimits, Limits, RatioLimits};
use crate::{GroupCell, Measure, Undefined};

type Fallible<T> = mlops_core::Result<T>;

/// What is known of the rows of a group, as far as limits come from it. The frames that a gate can
/// judge are made of such.
pub trait Estimates: GroupCell {
    /// What a frame of these is, in words.
    const WHAT: &'static str;

    /// Whether it has this number.
    fn has(measure: Measure) -> bool;

    /// The number, as if there were so many times the rows.
    #[doc(hidden)]
    fn estimate(&self, measure: Measure, times: f64) -> Result<Estimate, Undefined>;

    /// The rows that could count.
    #[doc(hidden)]
    fn asked(&self, measure: Measure) -> u64;

    /// How a mean of rows is spread; `None` of what is no mean, and without rows.
    #[doc(hidden)]
    fn spread_of(&self, _: Measure) -> Option<Spread> {
        None
    }

    /// The number of everyone but a group, and the group's share of everyone; `None` where the group
    /// is everyone, or there is no such number.
    #[doc(hidden)]
    fn rest(
        everyone: &Self,
        group: &Self,
        measure: Measure,
        times: f64,
    ) -> Option<(Estimate, f64)> {
        let (rest, part) = everyone.spread_of(measure)?.others(&group.spread_of(measure)?)?;
        Some((rest.estimate(measure.scale(), false, times), part))
    }
}

/// A group's number with what its limits come from.
#[derive(Clone, Debug)]
pub struct Estimate {
    pub(crate) value: f64,
    /// The rows that it comes from.
    pub(crate) rows: u64,
    /// Of a rate: the rows that count.
    pub(crate) part: Option<u64>,
    pub(crate) kind: Kind,
}

/// Where limits come from.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// A share: Wilson.
    Share(Share),
    /// What grows with a share: its limits, carried over.
    Of(Share, fn(f64) -> f64),
    /// The mean of independent shares: their Wilson limits, together by MOVER.
    MeanOf(Vec<Share>),
    Mean(Mean),
    /// An area under a ROC curve; of scores that were counted by bin the least and the most.
    Area(Box<[RocAuc; 2]>),
    Calibration(Calibration),
}

/// A mean of independent rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mean {
    pub(crate) value: f64,
    /// Of a single row.
    pub(crate) variance: Option<f64>,
    /// The rows of equal weight that would know as much.
    pub(crate) n: f64,
    pub(crate) scale: Scale,
    /// Whether the root of it is the number.
    pub(crate) root: bool,
}

/// Where numbers can lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// In `[0, 1]`.
    Unit,
    /// At least 0.
    Positive,
    /// Anywhere.
    Signed,
}

impl Scale {
    pub(crate) const fn low(self) -> f64 {
        match self {
            Self::Unit | Self::Positive => 0.0,
            Self::Signed => f64::NEG_INFINITY,
        }
    }

    pub(crate) const fn high(self) -> f64 {
        match self {
            Self::Unit => 1.0,
            Self::Positive | Self::Signed => f64::INFINITY,
        }
    }
}

/// A mean distance of bins from what is expected of them, Σ w |d + ε| with normal errors ε of a
/// known size: never less than θ = Σ w |d| by more than the normal error Σ ± w ε, and never more by
/// more than Σ w |ε|.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calibration {
    /// √(2/π) Σ w σ, the mean of Σ w |ε|.
    pub(crate) bias: f64,
    /// √(Σ w² σ²).
    pub(crate) spread: f64,
}

/// z that leaves half of the rest on each side.
fn z(confidence: f64) -> Fallible<f64> {
    Ok(-normal_quantile((1.0 - confidence) / 2.0)?)
}

impl Estimate {
    /// The limits that belong to it alone.
    pub(crate) fn interval(&self, confidence: f64) -> Fallible<(f64, f64)> {
        let value = self.value;
        let (low, high) = match &self.kind {
            Kind::Share(share) => {
                let limits = share.interval(confidence)?;
                return Ok((limits.low, limits.high));
            }
            Kind::Of(share, of) => {
                let limits = share.interval(confidence)?;
                (of(limits.low), of(limits.high))
            }
            Kind::MeanOf(shares) => {
                let (mut below, mut above) = (0.0_f64, 0.0_f64);
                for share in shares {
                    let limits = share.interval(confidence)?;
                    below = below.hypot(share.estimate - limits.low);
                    above = above.hypot(limits.high - share.estimate);
                }
                let n = shares.len() as f64;
                ((value - below / n).max(0.0), (value + above / n).min(1.0))
            }
            Kind::Mean(mean) => mean.interval(confidence)?,
            Kind::Area(ends) => (ends[0].limits(confidence)?.low, ends[1].limits(confidence)?.high),
            Kind::Calibration(of) => {
                let spread = z(confidence)? * of.spread;
                ((value - of.bias - spread).max(0.0), (value + spread).min(1.0))
            }
        };
        Ok((low.min(value), high.max(value)))
    }

    /// The same with limits at this confidence, to be compared with others.
    pub(crate) fn at(&self, limits: Limits) -> Fallible<Limited> {
        let value = self.value;
        if let Kind::Share(share) = self.kind {
            // Two shares have limits of their own kind; an error where the confidence is none.
            z(limits.confidence)?;
            return Ok(Limited {
                value,
                share: Some(share),
                bias: 0.0,
                ends: (value, value),
                limits,
            });
        }
        let (low, high) = self.interval(limits.confidence)?;
        let bias = match &self.kind {
            Kind::Calibration(of) => of.bias,
            _ => 0.0,
        };
        Ok(Limited { value, share: None, bias, ends: (low, high), limits })
    }
}

/// A number and its limits at one confidence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limited {
    value: f64,
    share: Option<Share>,
    /// By how much it is too large on average, at most.
    bias: f64,
    ends: (f64, f64),
    limits: Limits,
}

impl Limited {
    /// How far the limits are below and above, without the bias.
    fn reach(&self) -> (f64, f64) {
        ((self.value - self.ends.0 - self.bias).max(0.0), self.ends.1 - self.value)
    }

    /// The limits of the difference of two independent numbers: those of two shares, else MOVER
    /// from the limits of both (Zou and Donner 2008, doi:10.1002/sim.3095).
    pub(crate) fn difference(&self, other: &Self) -> Fallible<(f64, f64)> {
        if let (Some(a), Some(b)) = (self.share, other.share) {
            let confidence = self.limits.confidence;
            let interval = match self.limits.difference {
                DifferenceLimits::MiettinenNurminen => a.difference(b, confidence)?,
                DifferenceLimits::Newcombe => a.newcombe_difference(b, confidence)?,
            };
            return Ok((interval.low, interval.high));
        }
        let difference = self.value - other.value;
        let ((below, above), (other_below, other_above)) = (self.reach(), other.reach());
        let low = difference - self.bias - below.hypot(other_above);
        let high = difference + other.bias + above.hypot(other_below);
        Ok((low, high))
    }

    /// The limits of the ratio of two independent numbers that are not negative: those of two
    /// shares, else MOVER on the scale of logarithms. All ratios where neither is above 0.
    pub(crate) fn ratio(&self, other: &Self) -> Fallible<(f64, f64)> {
        let (p, q) = (self.value, other.value);
        if p <= 0.0 && q <= 0.0 {
            return Ok((0.0, f64::INFINITY));
        }
        if let (Some(a), Some(b)) = (self.share, other.share) {
            let confidence = self.limits.confidence;
            let log = self.limits.ratio == RatioLimits::Log && p > 0.0 && q > 0.0;
            let interval = if log { a.log_ratio(b, confidence)? } else { a.ratio(b, confidence)? };
            return Ok((interval.low, interval.high));
        }
        let ((low, high), (other_low, other_high)) = (self.ends, other.ends);
        let down = match (low > 0.0, q > 0.0) {
            (false, _) => 0.0,
            (true, true) => p / q * (-(p / low).ln().hypot((other_high / q).ln())).exp(),
            (true, false) => low / other_high,
        };
        let up = match (other_low > 0.0, p > 0.0) {
            (false, _) => f64::INFINITY,
            (true, true) => p / q * (high / p).ln().hypot((q / other_low).ln()).exp(),
            (true, false) => high / other_low,
        };
        Ok((down, up))
    }
}

/// How much rows weigh together, their mean, and how they are spread.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The rows.
    pub(crate) rows: u64,
    /// Σw and Σw²; of rows that weigh the same their number, twice.
    pub(crate) weight: f64,
    pub(crate) squares: f64,
    pub(crate) mean: f64,
    /// The mean squared distance from the mean, where it is known.
    pub(crate) variance: Option<f64>,
}

impl Spread {
    /// Of rows that weigh the same.
    pub(crate) fn plain(moments: &Moments) -> Option<Self> {
        let n = moments.n() as f64;
        let (mean, variance) = (moments.mean()?, moments.variance(0));
        mean.is_finite().then_some(Self {
            rows: moments.n(),
            weight: n,
            squares: n,
            mean,
            variance,
        })
    }

    /// Of rows that weigh the same, from the sums of a number and its square.
    pub(crate) fn of_rows(rows: u64, sum: f64, square: f64) -> Option<Self> {
        let n = rows as f64;
        Self::of_sums(rows, (n, n), sum, square)
    }

    /// From Σw and Σw² and the weighted sums of a number and its square.
    pub(crate) fn weighted(weights: &Moments, sum: f64, square: f64) -> Option<Self> {
        let (weight, squares) = (weights.sum(), weights.sum_of_squares());
        Self::of_sums(weights.n(), (weight, squares), sum, square)
    }

    fn of_sums(rows: u64, (weight, squares): (f64, f64), sum: f64, square: f64) -> Option<Self> {
        if !(weight > 0.0 && weight.is_finite() && squares > 0.0 && squares.is_finite()) {
            return None;
        }
        let (mean, mean_square) = (sum / weight, square / weight);
        let variance = mean_square - mean * mean;
        // What rounding leaves of rows that are all the same is nothing.
        let variance = if variance <= 1e-13 * mean_square { 0.0 } else { variance };
        mean.is_finite().then_some(Self {
            rows,
            weight,
            squares,
            mean,
            variance: Some(variance).filter(|v| v.is_finite()),
        })
    }

    /// Everyone but these, and the share of everyone that these are.
    pub(crate) fn others(&self, these: &Self) -> Option<(Self, f64)> {
        let (all, own) = (self.weight, these.weight);
        let (weight, squares) = (all - own, self.squares - these.squares);
        // What rounding leaves of nobody is nobody.
        if weight <= 1e-12 * all || squares <= 0.0 {
            return None;
        }
        let mean = (all * self.mean - own * these.mean) / weight;
        let apart = these.mean - mean;
        let variance = self.variance.zip(these.variance).map(|(whole, part)| {
            let left = all * whole - own * part - own * weight / all * apart * apart;
            if left <= 1e-12 * all * whole { 0.0 } else { left / weight }
        });
        let rows = self.rows.saturating_sub(these.rows);
        Some((Self { rows, weight, squares, mean, variance }, own / all))
    }

    /// The mean, or its root, with limits on this scale.
    pub(crate) fn estimate(self, scale: Scale, root: bool, times: f64) -> Estimate {
        let n = self.weight / self.squares * self.weight;
        let n = if n.is_finite() { n } else { self.rows as f64 };
        let mean = self.mean.clamp(scale.low(), scale.high());
        let variance = self.variance.filter(|_| n > 1.0).map(|v| v * (n / (n - 1.0)));
        let value = if root { mean.sqrt() } else { mean };
        let kind = Kind::Mean(Mean { value: mean, variance, n: n * times, scale, root });
        Estimate { value, rows: self.rows, part: None, kind }
    }
}

impl Mean {
    /// Student's t; of what is not negative on the scale of logarithms, where skewed losses are
    /// more even. Rows that are all the same say nothing of the variance: then Hoeffding's limits
    /// where numbers are in `[0, 1]`, and none where they may be anything.
    fn interval(&self, confidence: f64) -> Fallible<(f64, f64)> {
        let (low, high) = self.plain(confidence)?;
        Ok(if self.root { (low.max(0.0).sqrt(), high.sqrt()) } else { (low, high) })
    }

    fn plain(&self, confidence: f64) -> Fallible<(f64, f64)> {
        // An error where the confidence is none.
        z(confidence)?;
        let (mean, scale) = (self.value, self.scale);
        let variance = self.variance.filter(|&v| v > 0.0 && self.n > 1.0);
        let Some(variance) = variance else {
            if scale == Scale::Unit {
                let rows = self.n.max(0.0) as u64;
                return Ok(pair_mean_limits(mean, rows, (1.0 - confidence) / 2.0));
            }
            return Ok((scale.low(), scale.high()));
        };
        let t = -student_t_quantile((1.0 - confidence) / 2.0, self.n - 1.0)?;
        let half = t * (variance / self.n).sqrt();
        if scale == Scale::Signed || mean <= 0.0 {
            return Ok(((mean - half).max(scale.low()), (mean + half).min(scale.high())));
        }
        let factor = (half / mean).exp();
        Ok((mean / factor, (mean * factor).min(scale.high())))
    }
}
