//! A distribution that is written down, and how far a column is from it.

use arrow::datatypes::DataType;
use mlops_core::states::{Histogram, HistogramCounts};
use mlops_core::{Error, Handle, Measurements, Result, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::distinct::too_many;
use super::statistic::{Seen, holds_numbers, observe};
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler, Observation};
use crate::measures::{Frequencies, Frequency, label_of};
use crate::{Expectation, Scalar};

/// A distribution to compare with: of values, or of numbers in bins. In a suite's text `values` or
/// `bins`, `weights` and `tail_weights` beside the column.
///
/// ```
/// use mlops_validate::Distribution;
/// let plans = Distribution::of_values([("basic", 0.7), ("pro", 0.3)]);
/// let ages = Distribution::of_bins([18.0, 30.0, 50.0], [0.4, 0.5]).tails(0.0, 0.1);
/// # let _ = (plans, ages);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Distribution {
    /// The values; empty for a distribution in bins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Scalar>,
    /// The ascending edges of the bins \[a, b), of which the last holds its upper edge, too, as in
    /// `numpy.histogram`; empty for a distribution of values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bins: Vec<f64>,
    /// The weight of each value or bin.
    pub weights: Vec<f64>,
    /// The weights below the first edge and above the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail_weights: Option<[f64; 2]>,
}

impl Distribution {
    /// Of values with their weights.
    pub fn of_values<T: Into<Scalar>>(weights: impl IntoIterator<Item = (T, f64)>) -> Self {
        let (values, weights) = weights.into_iter().map(|(v, w)| (v.into(), w)).unzip();
        Self { values, weights, ..Self::default() }
    }

    /// Of numbers in bins: one more edge than weights.
    pub fn of_bins(bins: impl Into<Vec<f64>>, weights: impl Into<Vec<f64>>) -> Self {
        Self { bins: bins.into(), weights: weights.into(), ..Self::default() }
    }

    /// The same, with these weights below the first edge and above the last.
    #[must_use]
    pub fn tails(mut self, below: f64, above: f64) -> Self {
        self.tail_weights = Some([below, above]);
        self
    }

    pub(super) fn all_weights(&self) -> impl Iterator<Item = f64> {
        self.weights.iter().copied().chain(self.tail_weights.into_iter().flatten())
    }

    pub(super) fn check_usable(&self) -> Result<()> {
        let bad =
            |expected: &str, found: String| Err(Error::invalid("distribution", expected, found));
        let members = match (self.values.len(), self.bins.len()) {
            (0, 0) => return bad("`values` or `bins`", "neither".into()),
            (n, 0) => n,
            (0, n) => n - 1,
            _ => return bad("`values` or `bins`", "both".into()),
        };
        if members == 0 || members != self.weights.len() {
            let expected = "a weight for each value or bin";
            return bad(expected, format!("{} for {members}", self.weights.len()));
        }
        if !self.bins.iter().all(|e| e.is_finite()) || !self.bins.is_sorted_by(|a, b| a < b) {
            return bad("finite edges that ascend", format!("{:?}", self.bins));
        }
        if self.tail_weights.is_some() && self.bins.is_empty() {
            return bad("tails of bins", "tails of values".into());
        }
        if let Some(wrong) = self.all_weights().find(|w| !(w.is_finite() && *w >= 0.0)) {
            return bad("finite weights that are not negative", wrong.to_string());
        }
        if self.all_weights().sum::<f64>() <= 0.0 {
            return bad("weights above 0", "all 0".into());
        }
        let twice = self.values.iter().enumerate().find(|(i, v)| self.values[..*i].contains(v));
        match twice {
            Some((_, value)) => bad("each value once", format!("{value} twice")),
            None => Ok(()),
        }
    }

    /// Adds what is compared; an `Err` in words for a column that can't be.
    pub(super) fn measure(
        &self,
        column: &str,
        to: &mut Compiler<'_>,
    ) -> Result<Result<Measured, &'static str>> {
        let data_type = to.value_type(column)?;
        if self.values.is_empty() {
            return Ok(if holds_numbers(to, column)? {
                Ok(Measured::Bins(to.add(Histogram::new(column, self.bins.clone())?)))
            } else {
                Err("a column of numbers")
            });
        }
        let labels: Vec<_> = self.values.iter().map(|v| label_of(v, data_type)).collect();
        Ok(match Frequencies::of(column, data_type) {
            Some(frequencies) => Ok(Measured::Values(to.add(frequencies), labels)),
            None => Err("a column of numbers, text, booleans, dates or timestamps"),
        })
    }
}

/// What is compared with a distribution.
pub(super) enum Measured {
    Values(Handle<Frequency>, Vec<Option<String>>),
    Bins(Handle<HistogramCounts>),
}

/// How many rows a column has where a distribution expects some, and elsewhere.
pub(super) struct Counted {
    pub(super) n: u64,
    /// For each of the weights.
    pub(super) known: Vec<u64>,
    /// Of values that are not in the distribution, or below the first edge and above the last.
    pub(super) others: Vec<u64>,
}

impl Measured {
    pub(super) fn counted(&self, m: &Measurements) -> Result<Result<Counted, Seen>> {
        match self {
            Self::Values(handle, labels) => {
                let found = m.get(handle)?;
                let Some(counts) = found.by_label() else { return Ok(Err(too_many())) };
                let mut known = vec![0; labels.len()];
                let mut others = Vec::new();
                for (label, count) in counts {
                    match labels.iter().position(|l| l.as_deref() == Some(label)) {
                        Some(at) => known[at] = count,
                        None => others.push(count),
                    }
                }
                Ok(Ok(Counted { n: found.n, known, others }))
            }
            Self::Bins(handle) => {
                let found = m.get(handle)?;
                if found.nans > 0 {
                    return Ok(Err(Seen::nans(found.nans)));
                }
                let mut known = found.right_open();
                let below = known.remove(0).saturating_add(found.negative_infinities);
                // The last bin holds its upper edge.
                let above = known.pop().unwrap_or(0);
                let at_edge = match found.cells.as_slice() {
                    [.., edge, _] => *edge,
                    _ => 0,
                };
                if let Some(last) = known.last_mut() {
                    *last = last.saturating_add(at_edge);
                }
                let above = (above - at_edge.min(above)).saturating_add(found.positive_infinities);
                Ok(Ok(Counted { n: found.rows() - found.nulls, known, others: vec![below, above] }))
            }
        }
    }
}

/// Two distributions over the same places: of the column and the one that is written down, each
/// with the sum of 1.
struct Pair {
    current: Vec<f64>,
    reference: Vec<f64>,
}

fn pair(counted: &Counted, reference: &Distribution) -> Pair {
    let current = counted.known.iter().chain(&counted.others).map(|&n| n as f64).collect();
    let mut expected = reference.weights.clone();
    expected.extend(reference.tail_weights.into_iter().flatten());
    expected.resize(counted.known.len() + counted.others.len(), 0.0);
    Pair { current: shares(current), reference: shares(expected) }
}

pub(super) fn shares(weights: Vec<f64>) -> Vec<f64> {
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|w| w / sum).collect()
}

/// Σ p ln(p/q), infinite where p is and q is not.
pub(super) fn relative_entropy(p: &[f64], q: &[f64]) -> f64 {
    let term = |(&p, &q): (&f64, &f64)| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
    p.iter().zip(q).map(term).sum()
}

fn l_infinity_of(pair: &Pair) -> f64 {
    pair.current.iter().zip(&pair.reference).fold(0.0, |max, (p, q)| (p - q).abs().max(max))
}

fn jensen_shannon_of(pair: &Pair) -> f64 {
    let middle: Vec<_> =
        pair.current.iter().zip(&pair.reference).map(|(p, q)| f64::midpoint(*p, *q)).collect();
    let nats = f64::midpoint(
        relative_entropy(&pair.current, &middle),
        relative_entropy(&pair.reference, &middle),
    );
    (nats / std::f64::consts::LN_2).clamp(0.0, 1.0)
}

macro_rules! distances {
    ($($(#[$docs:meta])* $kind:ident, $function:ident as $name:literal, by $distance:expr;)+) => {$(
        $(#[$docs])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[non_exhaustive]
        pub struct $kind {
            /// The column.
            pub column: String,
            /// The distribution to compare with.
            #[serde(flatten)]
            pub reference: Distribution,
            /// The largest distance that is a pass.
            pub max: f64,
        }

        #[doc = concat!("Expects the ", $name, " of a column and a distribution to be at most `max`: [`", stringify!($kind), "`].")]
        pub fn $function(
            column: impl Into<String>,
            reference: Distribution,
            max: f64,
        ) -> Expectation {
            $kind { column: column.into(), reference, max }.into()
        }

        impl Kind for $kind {
            fn subject(&self) -> Subject<'_> {
                Subject::Column(&self.column)
            }

            fn of_rows(&self) -> bool {
                false
            }

            fn check_usable(&self) -> Result<()> {
                check_max(self.max)?;
                self.reference.check_usable()
            }

            fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
                let distance: fn(&Counted, &Distribution) -> f64 = $distance;
                compare(&self.column, &self.reference, self.max, $name, distance, to)
            }
        }
    )+};
}

pub(super) fn check_max(max: f64) -> Result<()> {
    if max.is_finite() && max >= 0.0 {
        return Ok(());
    }
    Err(Error::invalid("largest distance", "a finite number that is not negative", max))
}

fn compare(
    column: &str,
    reference: &Distribution,
    max: f64,
    name: &'static str,
    distance: fn(&Counted, &Distribution) -> f64,
    to: &mut Compiler<'_>,
) -> Result<Compiled> {
    let measured = match reference.measure(column, to)? {
        Ok(measured) => measured,
        Err(expected) => return to.wrong_type(column, expected),
    };
    let reference = reference.clone();
    Ok(to.judged(format!("{name} <= {max}"), move |m| {
        let seen = match measured.counted(m)? {
            Err(seen) => seen,
            Ok(counted) if counted.n == 0 => Seen::Nothing { counts_as: None },
            Ok(counted) => return Ok(far(name, distance(&counted, &reference), max, &counted)),
        };
        let bounds = super::Bounds::of(..=max).of_numbers();
        Ok(observe(name, &bounds, &DataType::Null, seen))
    }))
}

/// The verdict on a distance.
pub(super) fn far(name: &str, distance: f64, max: f64, counted: &Counted) -> Observation {
    let verdict = Verdict::from_bool(distance <= max);
    let elsewhere: u64 = counted.others.iter().sum();
    let mut observed = if distance.is_finite() {
        format!("{name} {distance}")
    } else {
        format!("{name} infinite")
    };
    if elsewhere > 0 {
        observed = format!("{observed}, with {elsewhere} rows outside of what it lists");
    }
    let value = if distance.is_finite() { json!(distance) } else { serde_json::Value::Null };
    Observation::new(verdict, observed, value).with_number(distance)
}

distances! {
    /// The largest difference of shares, max |p − q|, is small enough; in \[0, 1\].
    ///
    /// Both sides are made to sum to 1; values that only one side has count as 0 on the other.
    /// Nulls are left out; NaN in bins is undefined. TFDV: `infinity_norm` of a skew or drift
    /// comparator.
    LInfinity, l_infinity as "largest difference of shares",
    by |counted, reference| l_infinity_of(&pair(counted, reference));

    /// The Jensen–Shannon divergence, in bits, is small enough; in \[0, 1\].
    ///
    /// ½ Σ p log₂(p/m) + ½ Σ q log₂(q/m) with m = (p + q)/2, the square of
    /// `scipy.spatial.distance.jensenshannon(p, q, base=2)`. Sides as of [`LInfinity`]. Lin 1991,
    /// doi:10.1109/18.61115; TFDV: `jensen_shannon_divergence`.
    JensenShannon, jensen_shannon as "Jensen-Shannon divergence",
    by |counted, reference| jensen_shannon_of(&pair(counted, reference));

    /// The largest difference of counts, max |a − b| / (Σa + Σb), is small enough; in \[0, 1\].
    ///
    /// The weights of the distribution are counts here, and so is what the column has. TFDV:
    /// `normalized_abs_difference`.
    NormalizedAbsDifference, normalized_abs_difference as "normalized difference of counts",
    by |counted, reference| {
        let mut expected: Vec<_> = reference.all_weights().collect();
        expected.resize(counted.known.len() + counted.others.len(), 0.0);
        let current = counted.known.iter().chain(&counted.others).map(|&n| n as f64);
        let sum = counted.n as f64 + expected.iter().sum::<f64>();
        current.zip(&expected).fold(0.0, |max, (a, b)| f64::max(max, (a - b).abs())) / sum
    };
}
