//! Quantiles, held to bounds.

use std::ops::RangeBounds;

use arrow::datatypes::DataType;
use mlops_core::states::{QuantileTable, Quantiles as Table};
use mlops_core::{Error, Handle, Result, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::bounds::{Bounds, Quantity};
use super::statistic::{Asked, Seen, holds_numbers, observe, statistics};
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler, Observation};
use crate::{Expectation, Scalar};

/// Which value stands for a quantile that lies between two; the names of `numpy.quantile` and
/// pandas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Interpolation {
    /// On the line between the two (type 7 of Hyndman and Fan,
    /// doi:10.1080/00031305.1996.10473566).
    #[default]
    Linear,
    /// The lower.
    Lower,
    /// The higher.
    Higher,
    /// The mean of the two.
    Midpoint,
    /// The nearer; half way the one of even rank, counted from 0.
    Nearest,
}

impl Interpolation {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_linear(&self) -> bool {
        *self == Self::Linear
    }
}

/// Distinct values up to which quantiles are exact: 1 MB a column.
const EXACT: usize = 1 << 16;

/// Adds the table of a column of numbers; `None` for another.
fn table(column: &str, to: &mut Compiler<'_>) -> Result<Option<Handle<QuantileTable>>> {
    let usable = holds_numbers(to, column)?;
    Ok(usable.then(|| to.add(Table::new(column).with_cap(EXACT))))
}

/// The quantile, and between which values it is known to lie.
fn seen(table: &QuantileTable, q: f64, between: Interpolation) -> Result<(f64, f64, f64), Seen> {
    if table.nans() > 0 {
        return Err(Seen::nans(table.nans()));
    }
    if table.n() == 0 && table.infinities() == 0 {
        return Err(Seen::Nothing { counts_as: None });
    }
    let Some(values) = table.values() else {
        if table.infinities() > 0 {
            let reason = "there are infinite values, and too many others";
            return Err(Seen::Undefined(reason.into()));
        }
        let whole = |value: Option<f64>| {
            value.ok_or_else(|| Seen::Undefined("there is no such quantile".into()))
        };
        let (low, high) = if between == Interpolation::Linear {
            table.bounds(q).unzip()
        } else {
            // Between the order statistics on either side.
            let steps = table.n().saturating_sub(1).max(1) as f64;
            let at = q * steps;
            let [below, above] = [at.floor(), at.ceil()].map(|r| (r / steps).clamp(0.0, 1.0));
            (table.bounds(below).map(|b| b.0), table.bounds(above).map(|b| b.1))
        };
        return Ok((whole(table.quantile(q))?, whole(low)?, whole(high)?));
    };
    let infinite = table.infinities();
    // The table does not tell their signs apart; what is asked for may still be finite.
    if infinite > 0 {
        return Err(Seen::Undefined(format!("{infinite} values are infinite")));
    }
    let at_rank = |rank: u64| {
        let mut before = 0u64;
        let found = values.iter().find(|(_, n)| {
            before = before.saturating_add(*n);
            before > rank
        });
        found.or(values.last()).map_or(f64::NAN, |(x, _)| *x)
    };
    let at = q * (table.n() - 1) as f64;
    let rank = (at.floor() as u64).min(table.n() - 1);
    let (share, low) = (at - rank as f64, at_rank(rank));
    let high = at_rank(rank + u64::from(share > 0.0));
    let value = match between {
        Interpolation::Linear if share < 0.5 => low + (high - low) * share,
        Interpolation::Linear => high - (high - low) * (1.0 - share),
        Interpolation::Lower => low,
        Interpolation::Higher => high,
        Interpolation::Midpoint => low + (high - low) * if share > 0.0 { 0.5 } else { 0.0 },
        Interpolation::Nearest => {
            let up = share > 0.5 || (share == 0.5 && rank % 2 == 1);
            if up { high } else { low }
        }
    };
    Ok((value, value, value))
}

fn as_seen(found: Result<(f64, f64, f64), Seen>) -> Seen {
    match found {
        Ok((guess, low, high)) if low == high => Seen::number(guess),
        Ok((guess, low, high)) => Seen::Between { guess, low, high },
        Err(seen) => seen,
    }
}

fn one(
    column: &str,
    asked: Asked,
    to: &mut Compiler<'_>,
    q: f64,
    between: Interpolation,
) -> Result<Compiled> {
    match table(column, to)? {
        None => to.wrong_type(column, "a column of numbers"),
        Some(handle) => Ok(asked.number(to, handle, move |t| as_seen(seen(t, q, between)))),
    }
}

statistics! {
    /// The median lies between bounds; of numbers and booleans.
    ///
    /// Of an even number of values the mean of the two in the middle. Exact up to 65,536 distinct
    /// values; beyond that known to within 1/128 of itself, and inconclusive where a bound lies
    /// in between. Nulls are left out; with NaN or ±∞ among the values it is undefined. Great
    /// Expectations: `expect_column_median_to_be_between`.
    Median, median as "median", of numbers,
    by |this, asked, to| one(&this.column, asked, to, 0.5, Interpolation::Linear);

    /// The distance of the quartiles, q₀.₇₅ − q₀.₂₅, lies between bounds; as [`Median`].
    ///
    /// `scipy.stats.iqr`; deequ: `InterQuartileRange`.
    Iqr, iqr as "interquartile range", of numbers,
    by |this, asked, to| match table(&this.column, to)? {
        None => to.wrong_type(&this.column, "a column of numbers"),
        Some(handle) => Ok(asked.number(to, handle, |t| {
            let [low, high] = [0.25, 0.75].map(|q| seen(t, q, Interpolation::Linear));
            let both = low.and_then(|low| Ok((low, high?)));
            as_seen(both.map(|(a, b)| (b.0 - a.0, (b.1 - a.2).max(0.0), b.2 - a.1)))
        })),
    };
}

/// One quantile lies between bounds; as [`Median`].
///
/// deequ: `hasExactQuantile`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Quantile {
    /// The column.
    pub column: String,
    /// Which, in \[0, 1\].
    pub q: f64,
    /// What it must be.
    #[serde(flatten)]
    pub bounds: Bounds,
    /// What stands for it between two values; linear unless told.
    #[serde(default, skip_serializing_if = "Interpolation::is_linear")]
    pub interpolation: Interpolation,
}

impl Kind for Quantile {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        false
    }

    fn check_usable(&self) -> Result<()> {
        check_share(self.q)?;
        self.bounds.check_usable(true)
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let asked = Asked { name: "quantile", bounds: self.bounds.clone() };
        one(&self.column, asked, to, self.q, self.interpolation)
    }
}

fn check_share(q: f64) -> Result<()> {
    if (0.0..=1.0).contains(&q) {
        return Ok(());
    }
    Err(Error::invalid("quantile", "a share in [0, 1]", q))
}

/// Expects a quantile of a column to lie in the range: [`Quantile`].
pub fn quantile<T: Clone + Into<Scalar>>(
    column: impl Into<String>,
    q: f64,
    range: impl RangeBounds<T>,
) -> Expectation {
    let interpolation = Interpolation::Linear;
    Quantile { column: column.into(), bounds: Bounds::of(range), q, interpolation }.into()
}

/// One of the quantiles of [`Quantiles`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantileBounds {
    /// Which, in \[0, 1\].
    pub q: f64,
    /// What it must be; without bounds it is only shown.
    #[serde(flatten)]
    pub bounds: Bounds,
}

/// Several quantiles lie each between bounds; as [`Median`].
///
/// Great Expectations: `expect_column_quantile_values_to_be_between`, whose default between two
/// values is `nearest`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Quantiles {
    /// The column.
    pub column: String,
    /// The quantiles, and what they must be.
    pub quantiles: Vec<QuantileBounds>,
    /// What stands for a quantile between two values; linear unless told.
    #[serde(default, skip_serializing_if = "Interpolation::is_linear")]
    pub interpolation: Interpolation,
}

/// Expects quantiles to lie in their ranges: [`Quantiles`].
pub fn quantiles(
    column: impl Into<String>,
    quantiles: impl IntoIterator<Item = (f64, Bounds)>,
    interpolation: Interpolation,
) -> Expectation {
    let quantiles = quantiles.into_iter().map(|(q, bounds)| QuantileBounds { q, bounds }).collect();
    Quantiles { column: column.into(), quantiles, interpolation }.into()
}

impl Kind for Quantiles {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        false
    }

    fn check_usable(&self) -> Result<()> {
        if self.quantiles.is_empty() {
            return Err(Error::invalid("quantiles", "at least one", "none"));
        }
        for one in &self.quantiles {
            check_share(one.q)?;
            if one.bounds != Bounds::default() {
                one.bounds.check_usable(true)?;
            }
        }
        Ok(())
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let Some(handle) = table(&self.column, to)? else {
            return to.wrong_type(&self.column, "a column of numbers");
        };
        let words = |one: &QuantileBounds| format!("quantile {} {}", one.q, one.bounds.words());
        let expected: Vec<_> = self.quantiles.iter().map(words).collect();
        let (asked, between) = (self.quantiles.clone(), self.interpolation);
        Ok(to.measured(expected.join(", "), handle, move |table| {
            let (mut verdict, mut observed, mut values) = (Verdict::Pass, Vec::new(), Vec::new());
            let mut met = Vec::new();
            for one in &asked {
                let name = format!("quantile {}", one.q);
                let found = seen(table, one.q, between);
                let value = found.as_ref().ok().map(|found| found.0);
                let bounds = one.bounds.of_numbers();
                let one = observe(&name, &bounds, &DataType::Null, as_seen(found));
                verdict = verdict.max(one.verdict);
                met.push(one.verdict.is_pass());
                observed.push(one.observed);
                values.push(value.map(Quantity::Float).map(|v| v.to_json(&DataType::Null)));
            }
            let shares: Vec<_> = asked.iter().map(|one| one.q).collect();
            let value = json!({"quantiles": shares, "values": values, "success_details": met});
            Ok(Observation::new(verdict, observed.join(", "), value))
        }))
    }
}
