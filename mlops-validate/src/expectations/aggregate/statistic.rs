//! One number of a column, held to bounds.

use std::ops::RangeBounds;

use arrow::datatypes::DataType;
use mlops_core::states::{Distinct, NumericSummary, Summary};
use mlops_core::{Handle, Result, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bounds::{Bounds, Quantity, Resolved};
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler, Observation};
use crate::measures::{
    End, Ends, Extremes, IntegerSum, LengthRange, Lengths, Order, PowerSums, Presence,
};
use crate::outcome::Measured;
use crate::{Expectation, Scalar};

/// What was seen of a statistic.
pub(super) enum Seen {
    /// Its value.
    Exactly(Quantity),
    /// A number that is known to lie between two.
    Between { guess: f64, low: f64, high: f64 },
    /// There was nothing to measure it on; where peers call that a value, the value.
    Nothing { counts_as: Option<f64> },
    /// A count that is 0 because nothing was there: too few if it is, but never enough.
    NoneAtAll,
    /// It has no value, for this reason.
    Undefined(String),
}

impl Seen {
    pub(super) fn number(x: f64) -> Self {
        if x.is_nan() {
            Self::Undefined("it is no number".into())
        } else {
            Self::Exactly(Quantity::Float(x))
        }
    }

    pub(super) fn count(n: u64) -> Self {
        Self::Exactly(Quantity::Whole(n.into()))
    }

    pub(super) fn nans(n: u64) -> Self {
        Self::Undefined(format!("{n} values are NaN"))
    }
}

/// A statistic that is asked for: its name, and what it must be.
pub(super) struct Asked {
    pub(super) name: &'static str,
    pub(super) bounds: Bounds,
}

impl Asked {
    pub(super) fn expected(&self) -> String {
        format!("{} {}", self.name, self.bounds.words())
    }

    /// Judges a number.
    pub(super) fn number<T: Sync + 'static>(
        self,
        to: &mut Compiler<'_>,
        handle: Handle<T>,
        see: impl Fn(&T) -> Seen + Send + Sync + 'static,
    ) -> Compiled {
        let (expected, bounds) = (self.expected(), self.bounds.of_numbers());
        to.measured(expected, handle, move |found| {
            Ok(observe(self.name, &bounds, &DataType::Null, see(found)))
        })
    }
}

/// What a statistic means under its bounds; `data_type` is that of a value of the column.
pub(super) fn observe(
    name: &str,
    bounds: &Resolved,
    data_type: &DataType,
    seen: Seen,
) -> Observation {
    let inconclusive =
        |words: String| Observation::inconclusive(words, Measured::Value(Value::Null));
    match seen {
        Seen::Exactly(value) => {
            let verdict = Verdict::from_bool(bounds.contain(&value));
            let observed = format!("{name} {}", value.print(data_type));
            let number = if data_type.is_temporal() { None } else { value.as_f64() };
            let mut seen = Observation::new(verdict, observed, value.to_json(data_type));
            seen.number = number;
            seen
        }
        Seen::Between { guess, low, high } => {
            let observed = format!("{name} about {guess}, between {low} and {high}");
            Observation::new(bounds.verdict_of(low, high), observed, guess).with_number(guess)
        }
        Seen::Nothing { counts_as } => {
            let words = "no values: nothing was measured";
            let fits = |value: f64| bounds.contain(&Quantity::Float(value));
            if counts_as.is_some_and(fits) {
                Observation::vacuous(words)
            } else {
                inconclusive(words.into())
            }
        }
        Seen::NoneAtAll => {
            if bounds.contain(&Quantity::Whole(0)) {
                Observation::vacuous("no values: nothing was measured")
            } else {
                Observation::new(Verdict::Fail, format!("{name} 0"), 0).with_number(0.0)
            }
        }
        Seen::Undefined(reason) => inconclusive(format!("{name} is undefined: {reason}")),
    }
}

/// The structs, constructors and kinds of statistics of one column that are held to [`Bounds`].
macro_rules! statistics {
    ($(
        $(#[$docs:meta])*
        $kind:ident, $function:ident as $name:literal,
        of $of:ident $(, with { $($(#[$field_docs:meta])* $field:ident: $type:ty = $default:expr,)+ })?,
        by $compile:expr;
    )+) => {$(
        $(#[$docs])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[non_exhaustive]
        pub struct $kind {
            /// The column.
            pub column: String,
            /// What it must be.
            #[serde(flatten)]
            pub bounds: Bounds,
            $($($(#[$field_docs])* pub $field: $type,)+)?
        }

        #[doc = concat!("Expects the ", $name, " of a column to lie in the range: [`", stringify!($kind), "`].")]
        pub fn $function<T>(column: impl Into<String>, range: impl RangeBounds<T>) -> Expectation
        where
            T: Clone + Into<Scalar>,
        {
            $kind { column: column.into(), bounds: Bounds::of(range), $($($field: $default,)+)? }.into()
        }

        impl Kind for $kind {
            fn subject(&self) -> Subject<'_> {
                Subject::Column(&self.column)
            }

            fn of_rows(&self) -> bool {
                false
            }

            fn check_usable(&self) -> Result<()> {
                self.bounds.check_usable(statistics!(@numbers $of))
            }

            fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
                let compile: fn(&Self, Asked, &mut Compiler<'_>) -> Result<Compiled> = $compile;
                compile(self, Asked { name: $name, bounds: self.bounds.clone() }, to)
            }
        }
    )+};
    (@numbers numbers) => { true };
    (@numbers values) => { false };
}

pub(super) use statistics;

/// Whether a column's values are numbers (booleans are 0 and 1), and no dates or times.
pub(super) fn holds_numbers(to: &Compiler<'_>, column: &str) -> Result<bool> {
    let data_type = to.value_type(column)?;
    Ok(mlops_core::is_numeric(data_type) && !data_type.is_temporal())
}

const NUMBERS: &str = "a column of numbers";

/// Judges what a [`NumericSummary`] tells of a column of numbers.
fn of_summary(
    column: &str,
    asked: Asked,
    to: &mut Compiler<'_>,
    see: impl Fn(&Summary) -> Seen + Send + Sync + 'static,
) -> Result<Compiled> {
    if !holds_numbers(to, column)? {
        return to.wrong_type(column, NUMBERS);
    }
    let summary = to.add(NumericSummary::new(column));
    Ok(asked.number(to, summary, move |s| if s.nans > 0 { Seen::nans(s.nans) } else { see(s) }))
}

/// Infinite values make a sum or mean infinite, of both signs undefined.
fn infinite(s: &Summary) -> Option<Seen> {
    match (s.positive_infinities, s.negative_infinities) {
        (0, 0) => None,
        (_, 0) => Some(Seen::number(f64::INFINITY)),
        (0, _) => Some(Seen::number(f64::NEG_INFINITY)),
        _ => Some(Seen::Undefined("values are infinite, of both signs".into())),
    }
}

fn scale_of(data_type: &DataType) -> i8 {
    match data_type {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale) => *scale,
        _ => 0,
    }
}

/// The sum, or the mean where `mean`: exact for integers and decimals.
fn total(column: &str, asked: Asked, to: &mut Compiler<'_>, mean: bool) -> Result<Compiled> {
    let data_type = to.value_type(column)?;
    if !holds_numbers(to, column)? {
        return to.wrong_type(column, NUMBERS);
    }
    let zero = || Seen::Nothing { counts_as: Some(0.0) };
    let order = Order::of(data_type);
    if !matches!(order, Some(Order::Int | Order::Decimal)) {
        return of_summary(column, asked, to, move |s| {
            if let Some(seen) = infinite(s) {
                return seen;
            }
            match s.mean() {
                None if mean => Seen::Nothing { counts_as: None },
                None => zero(),
                Some(value) => Seen::number(if mean { value } else { s.sum() }),
            }
        });
    }
    let scale = scale_of(data_type);
    let sum = to.add(IntegerSum { column: column.to_owned() });
    Ok(asked.number(to, sum, move |sum| {
        let value = match sum.value() {
            _ if sum.n == 0 => {
                return if mean { Seen::Nothing { counts_as: None } } else { zero() };
            }
            Some(value) if scale == 0 => Quantity::Whole(value),
            Some(value) => Quantity::Decimal(value, scale),
            None => return Seen::Undefined("the sum is beyond 128 bits".into()),
        };
        match value.as_f64() {
            Some(sum_as_f64) if mean => Seen::number(sum_as_f64 / sum.n as f64),
            _ => Seen::Exactly(value),
        }
    }))
}

/// The sample's or the population's spread.
fn spread(
    column: &str,
    asked: Asked,
    to: &mut Compiler<'_>,
    population: bool,
    of_variance: fn(f64) -> f64,
) -> Result<Compiled> {
    let ddof = u64::from(!population);
    of_summary(column, asked, to, move |s| {
        if s.positive_infinities + s.negative_infinities > 0 {
            return Seen::Undefined("values are infinite".into());
        }
        match s.moments.variance(ddof) {
            _ if s.n() == 0 => Seen::Nothing { counts_as: None },
            Some(variance) => Seen::number(of_variance(variance)),
            None if s.n() <= ddof => Seen::Undefined("there are fewer than 2 values".into()),
            None => Seen::Undefined("it is beyond the range of floats".into()),
        }
    })
}

/// An end of the column, or the distance of both.
fn extreme(
    column: &str,
    asked: Asked,
    to: &mut Compiler<'_>,
    pick: fn(Quantity, Quantity) -> Option<Quantity>,
) -> Result<Compiled> {
    let data_type = to.value_type(column)?.clone();
    let Some(order) = Order::of(&data_type) else {
        return to.wrong_type(column, "a column of numbers, text, dates or timestamps");
    };
    let Some(bounds) = asked.bounds.resolve(&data_type) else {
        let expected = format!("{}, comparable with the values", asked.expected());
        return to.wrong_type(column, expected);
    };
    let scale = scale_of(&data_type);
    let quantity = move |end: &End| match end {
        End::Whole(v) if scale != 0 => Quantity::Decimal(*v, scale),
        End::Whole(v) => Quantity::Whole(*v),
        End::Float(v) => Quantity::Float(*v),
        End::Text(v) => Quantity::Text(v.clone()),
    };
    let handle = to.add(Extremes { column: column.to_owned(), order });
    let (expected, Asked { name, .. }) = (asked.expected(), asked);
    Ok(to.measured(expected, handle, move |found: &Ends| {
        let seen = match &found.range {
            _ if found.nans > 0 => Seen::nans(found.nans),
            None => Seen::Nothing { counts_as: None },
            Some((low, high)) => match pick(quantity(low), quantity(high)) {
                Some(value) => Seen::Exactly(value),
                None => Seen::Undefined("the ends are too far apart".into()),
            },
        };
        Ok(observe(name, &bounds, &data_type, seen))
    }))
}

fn length(
    column: &str,
    asked: Asked,
    to: &mut Compiler<'_>,
    pick: fn((u64, u64)) -> u64,
) -> Result<Compiled> {
    if !mlops_core::is_text(to.field(column)?.data_type()) {
        return to.wrong_type(column, "a column of text");
    }
    let handle = to.add(Lengths { column: column.to_owned() });
    Ok(asked.number(to, handle, move |found: &LengthRange| match found.0 {
        None => Seen::Nothing { counts_as: None },
        Some(both) => Seen::count(pick(both)),
    }))
}

statistics! {
    /// The smallest value lies between bounds.
    ///
    /// Of numbers, dates, timestamps, booleans (0 and 1) and text (by its bytes); integers and
    /// decimals exactly. Nulls are left out; with NaN among the values it is undefined, and
    /// without values inconclusive. Great Expectations: `expect_column_min_to_be_between`; deequ:
    /// `hasMin`.
    Min, min as "minimum", of values,
    by |this, asked, to| extreme(&this.column, asked, to, |low, _| Some(low));

    /// The largest value lies between bounds; as [`Min`].
    ///
    /// Great Expectations: `expect_column_max_to_be_between`; deequ: `hasMax`.
    Max, max as "maximum", of values,
    by |this, asked, to| extreme(&this.column, asked, to, |_, high| Some(high));

    /// The largest value minus the smallest lies between bounds; of numbers.
    ///
    /// Nulls and NaN as of [`Min`]. deequ: `Range`.
    Range, range as "range", of numbers,
    by |this, asked, to| {
        if !holds_numbers(to, &this.column)? {
            return to.wrong_type(&this.column, NUMBERS);
        }
        extreme(&this.column, asked, to, |low, high| match (low, high) {
            (Quantity::Whole(a), Quantity::Whole(b)) => b.checked_sub(a).map(Quantity::Whole),
            (Quantity::Decimal(a, scale), Quantity::Decimal(b, _)) => {
                b.checked_sub(a).map(|range| Quantity::Decimal(range, scale))
            }
            (Quantity::Float(a), Quantity::Float(b)) => {
                Some(Quantity::Float(b - a)).filter(|_| a.is_finite() || b.is_finite())
            }
            _ => None,
        })
    };

    /// The arithmetic mean lies between bounds; of numbers and booleans (0 and 1).
    ///
    /// Σx / n over the values, whatever their order to the bit; of integers and decimals the sum
    /// is exact. Nulls are left out; with NaN or infinities of both signs it is undefined, with
    /// those of one sign infinite. Great Expectations: `expect_column_mean_to_be_between`; deequ:
    /// `hasMean`.
    Mean, mean as "mean", of numbers,
    by |this, asked, to| total(&this.column, asked, to, true);

    /// The sum lies between bounds; as [`Mean`]. Of integers and decimals it is exact, beyond 2⁵³,
    /// too.
    ///
    /// Of no values it is inconclusive, not 0. Great Expectations:
    /// `expect_column_sum_to_be_between`; deequ: `hasSum`.
    Sum, sum as "sum", of numbers,
    by |this, asked, to| total(&this.column, asked, to, false);

    /// The variance lies between bounds: that of a sample, Σ(x − mean)² / (n − 1), or of a
    /// population, divided by n.
    ///
    /// Nulls are left out; with NaN or ±∞, or with fewer than two values of a sample, it is
    /// undefined. `numpy.var(ddof=1)`.
    Variance, variance as "variance", of numbers,
    with {
        /// Whether to divide by n.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        population: bool = false,
    },
    by |this, asked, to| spread(&this.column, asked, to, this.population, |v| v);

    /// The standard deviation lies between bounds: the root of the [`Variance`].
    ///
    /// Great Expectations (`expect_column_stdev_to_be_between`) has that of the sample, deequ
    /// (`hasStandardDeviation`) that of the population.
    Stdev, stdev as "standard deviation", of numbers,
    with {
        /// Whether to divide by n.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        population: bool = false,
    },
    by |this, asked, to| spread(&this.column, asked, to, this.population, f64::sqrt);

    /// The skewness lies between bounds: m₃ / m₂^(3/2) with mₖ = Σ(x − mean)ᵏ / n.
    ///
    /// Nulls are left out; undefined with NaN or ±∞, and where all values are the same (deequ's
    /// `Skewness` says 0 there). `scipy.stats.skew`.
    Skewness, skewness as "skewness", of numbers,
    by |this, asked, to| {
        if !holds_numbers(to, &this.column)? {
            return to.wrong_type(&this.column, NUMBERS);
        }
        let handle = to.add(PowerSums { column: this.column.clone() });
        Ok(asked.number(to, handle, |shape| shape.skewness.map_or_else(constant, Seen::number)))
    };

    /// The excess kurtosis, 0 for a normal distribution, lies between bounds: m₄ / m₂² − 3.
    ///
    /// As [`Skewness`]. `scipy.stats.kurtosis`; deequ: `Kurtosis`.
    Kurtosis, kurtosis as "excess kurtosis", of numbers,
    by |this, asked, to| {
        if !holds_numbers(to, &this.column)? {
            return to.wrong_type(&this.column, NUMBERS);
        }
        let handle = to.add(PowerSums { column: this.column.clone() });
        let see = |kurtosis: Option<f64>| kurtosis.map_or_else(constant, Seen::number);
        Ok(asked.number(to, handle, move |shape| see(shape.excess_kurtosis)))
    };

    /// The number of values that are 0 (or −0) lies between bounds.
    ///
    /// deequ: `ZerosCount`.
    ZerosCount, zeros_count as "count of zeros", of numbers,
    by |this, asked, to| {
        if !holds_numbers(to, &this.column)? {
            return to.wrong_type(&this.column, NUMBERS);
        }
        let summary = to.add(NumericSummary::new(&*this.column));
        Ok(asked.number(to, summary, |s| {
            if s.nulls == s.rows { Seen::NoneAtAll } else { Seen::count(s.zeros) }
        }))
    };

    /// The share of rows with a value lies between bounds, in \[0, 1\]; of any type. NaN is a
    /// value.
    ///
    /// Without rows it is inconclusive. Great Expectations:
    /// `expect_column_proportion_of_non_null_values_to_be_between`; deequ: `hasCompleteness`;
    /// TFDV: `min_fraction`.
    Completeness, completeness as "share of rows with a value", of numbers,
    by |this, asked, to| {
        let handle = to.add(Presence { column: this.column.clone() });
        Ok(asked.number(to, handle, |seen| match seen.rows {
            0 => Seen::Nothing { counts_as: Some(0.0) },
            rows => Seen::number(seen.present as f64 / rows as f64),
        }))
    };

    /// The number of rows with a value lies between bounds; of any type.
    ///
    /// TFDV: `min_count` of a feature's presence.
    ValueCount, value_count as "number of rows with a value", of numbers,
    by |this, asked, to| {
        let handle = to.add(Presence { column: this.column.clone() });
        Ok(asked.number(to, handle, |seen| match seen.present {
            0 => Seen::NoneAtAll,
            present => Seen::count(present),
        }))
    };

    /// The length of the shortest text, in Unicode scalar values, lies between bounds.
    ///
    /// Nulls are left out. deequ: `hasMinLength`.
    MinLength, min_length as "length of the shortest text", of numbers,
    by |this, asked, to| length(&this.column, asked, to, |(low, _)| low);

    /// The length of the longest text, in Unicode scalar values, lies between bounds.
    ///
    /// Nulls are left out. deequ: `hasMaxLength`.
    MaxLength, max_length as "length of the longest text", of numbers,
    by |this, asked, to| length(&this.column, asked, to, |(_, high)| high);

    /// About how many different values there are, in memory that does not grow with them.
    ///
    /// Exact up to 10,000 values; beyond that an estimate with a standard error of 0.81 %, and the
    /// verdict holds for three of these to each side: closer to a bound it is inconclusive. Nulls
    /// are left out; NaN is one value. deequ: `hasApproxCountDistinct`.
    ApproxDistinct, approx_distinct as "number of distinct values", of numbers,
    by |this, asked, to| {
        let handle = to.add(Distinct::new(&*this.column));
        Ok(asked.number(to, handle, |found| match found.standard_error {
            None if found.rows == found.nulls => Seen::NoneAtAll,
            None => Seen::count(found.count),
            Some(share) => {
                let count = found.count as f64;
                let off = (3.0 * share * count).ceil();
                Seen::Between { guess: count, low: count - off, high: count + off }
            }
        }))
    };
}

fn constant() -> Seen {
    Seen::Undefined("all values are the same".into())
}
