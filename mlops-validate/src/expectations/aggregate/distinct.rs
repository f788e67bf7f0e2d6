//! How many values are different, and how many stand alone, held to bounds.

use std::collections::BTreeMap;
use std::ops::RangeBounds;

use mlops_core::Result;
use serde::{Deserialize, Serialize};

use super::bounds::Bounds;
use super::statistic::{Asked, Seen, statistics};
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::measures::{Frequencies, Frequency};
use crate::{Expectation, Scalar};

const TYPES: &str = "a column of numbers, text, booleans, dates or timestamps";

/// How many values there are, how many different ones, and how many of these stand alone.
struct Counts {
    values: u64,
    distinct: u64,
    alone: u64,
}

fn of_frequencies(
    column: &str,
    asked: Asked,
    to: &mut Compiler<'_>,
    see: impl Fn(&Frequency) -> Option<Seen> + Send + Sync + 'static,
) -> Result<Compiled> {
    let Some(frequencies) = Frequencies::of(column, to.value_type(column)?) else {
        return to.wrong_type(column, TYPES);
    };
    let handle = to.add(frequencies);
    Ok(asked.number(to, handle, move |found| see(found).unwrap_or_else(too_many)))
}

pub(super) fn too_many() -> Seen {
    Seen::Undefined(format!("there are more than {} different values", Frequencies::CAP))
}

fn counted(
    column: &str,
    asked: Asked,
    to: &mut Compiler<'_>,
    see: fn(&Counts) -> Seen,
) -> Result<Compiled> {
    of_frequencies(column, asked, to, move |found| {
        let (mut distinct, mut alone) = (0, 0);
        for (_, count) in found.by_label()? {
            distinct += 1;
            alone += u64::from(count == 1);
        }
        Some(see(&Counts { values: found.n, distinct, alone }))
    })
}

/// A share of nothing is not there; Great Expectations calls it 0.
fn share(part: u64, whole: u64) -> Seen {
    if whole == 0 {
        Seen::Nothing { counts_as: Some(0.0) }
    } else {
        Seen::number(part as f64 / whole as f64)
    }
}

/// −Σ p ln p over these counts, in the order of their size and so of the counts alone.
pub(super) fn entropy_of(counts: impl Iterator<Item = u64>, n: u64) -> f64 {
    let mut sizes: BTreeMap<u64, u64> = BTreeMap::new();
    for count in counts {
        *sizes.entry(count).or_insert(0) += 1;
    }
    let n = n as f64;
    let term = |(count, times): (u64, u64)| {
        let p = count as f64 / n;
        times as f64 * p * p.ln()
    };
    // Adding 0 makes −0 the 0 that it is.
    -sizes.into_iter().map(term).sum::<f64>() + 0.0
}

statistics! {
    /// The number of different values lies between bounds.
    ///
    /// Nulls are left out; −0 is 0, NaN is one value. Of no values it is 0, which is never enough
    /// for a pass. Great Expectations: `expect_column_unique_value_count_to_be_between`; deequ:
    /// `hasNumberOfDistinctValues`.
    UniqueCount, unique_count as "number of distinct values", of numbers,
    by |this, asked, to| counted(&this.column, asked, to, |c| match c.values {
        0 => Seen::NoneAtAll,
        _ => Seen::count(c.distinct),
    });

    /// The number of different values divided by that of all lies between bounds, in \[0, 1\].
    ///
    /// Nulls are left out. Great Expectations:
    /// `expect_column_proportion_of_unique_values_to_be_between`; deequ: `hasDistinctness`.
    ProportionUnique, proportion_unique as "share of distinct values", of numbers,
    by |this, asked, to| counted(&this.column, asked, to, |c| share(c.distinct, c.values));

    /// The share of the values that stand only once lies between bounds, in \[0, 1\].
    ///
    /// Nulls are left out. deequ: `hasUniqueness`.
    Uniqueness, uniqueness as "share of values that stand once", of numbers,
    by |this, asked, to| counted(&this.column, asked, to, |c| share(c.alone, c.values));

    /// Of the different values the share that stands only once lies between bounds, in \[0, 1\].
    ///
    /// Nulls are left out. deequ: `hasUniqueValueRatio`.
    UniqueValueRatio, unique_value_ratio as "share of distinct values that stand once", of numbers,
    by |this, asked, to| counted(&this.column, asked, to, |c| share(c.alone, c.distinct));

    /// The number of rows whose value stands more than once, every copy counted, lies between
    /// bounds.
    ///
    /// Nulls are left out. deequ: `DuplicateRowCount`.
    DuplicateCount, duplicate_count as "number of rows with a repeated value", of numbers,
    by |this, asked, to| counted(&this.column, asked, to, |c| match c.values {
        0 => Seen::NoneAtAll,
        _ => Seen::count(c.values - c.alone),
    });

    /// The entropy lies between bounds, in nats: −Σ p ln p over the shares p of the values.
    ///
    /// Nulls are left out. `scipy.stats.entropy` of the counts; deequ: `hasEntropy`.
    Entropy, entropy as "entropy", of numbers,
    by |this, asked, to| of_frequencies(&this.column, asked, to, |found| {
        let counts = found.by_label()?.map(|(_, count)| count);
        Some(match found.n {
            0 => Seen::Nothing { counts_as: None },
            n => Seen::number(entropy_of(counts, n)),
        })
    });
}
