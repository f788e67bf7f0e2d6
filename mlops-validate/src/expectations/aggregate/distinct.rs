//! How many values are different, and how many stand alone, held to bounds.

use std::ops::RangeBounds;

use mlops_core::Result;
use serde::{Deserialize, Serialize};

use super::bounds::Bounds;
use super::statistic::{Asked, Seen, statistics};
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::keys::{KeyCounts, Keys, Missing};
use crate::measures::Frequencies;
use crate::{Expectation, Scalar};

/// Measures the different values, as [`Unique`](crate::Unique) does: once for all that ask.
fn counted(
    column: &str,
    asked: Asked,
    to: &mut Compiler<'_>,
    see: fn(&KeyCounts) -> Seen,
) -> Result<Compiled> {
    let Ok(keys) = Keys::new(to.schema, &[column], Missing::Any) else {
        return to.wrong_type(column, "a column of values that can be compared");
    };
    let handle = to.add(keys);
    Ok(asked.number(to, handle, see))
}

pub(super) fn too_many() -> Seen {
    Seen::Undefined(format!("there are more than {} different values", Frequencies::CAP))
}

/// A share of nothing is not there; Great Expectations calls it 0.
fn share(found: Option<f64>) -> Seen {
    found.map_or(Seen::Nothing { counts_as: Some(0.0) }, Seen::number)
}

statistics! {
    /// The number of different values lies between bounds.
    ///
    /// Exact, in memory that is bounded: see [`Keys`](crate::Keys). Nulls are left out; −0 is 0,
    /// NaN is one value. Of no values it is 0, which is never enough for a pass. Great
    /// Expectations: `expect_column_unique_value_count_to_be_between`; deequ:
    /// `hasNumberOfDistinctValues`.
    UniqueCount, unique_count as "number of distinct values", of numbers,
    by |this, asked, to| counted(&this.column, asked, to, |c| match c.keyed {
        0 => Seen::NoneAtAll,
        _ => Seen::count(c.distinct),
    });

    /// The number of different values divided by that of all lies between bounds, in \[0, 1\].
    ///
    /// Nulls are left out. Great Expectations:
    /// `expect_column_proportion_of_unique_values_to_be_between`; deequ: `hasDistinctness`.
    ProportionUnique, proportion_unique as "share of distinct values", of numbers,
    by |this, asked, to| counted(&this.column, asked, to, |c| share(c.distinctness()));

    /// The share of the values that stand only once lies between bounds, in \[0, 1\].
    ///
    /// Nulls are left out. deequ: `hasUniqueness`.
    Uniqueness, uniqueness as "share of values that stand once", of numbers,
    by |this, asked, to| counted(&this.column, asked, to, |c| share(c.uniqueness()));

    /// Of the different values the share that stands only once lies between bounds, in \[0, 1\].
    ///
    /// Nulls are left out. deequ: `hasUniqueValueRatio`.
    UniqueValueRatio, unique_value_ratio as "share of distinct values that stand once", of numbers,
    by |this, asked, to| counted(&this.column, asked, to, |c| share(c.unique_value_ratio()));

    /// The number of rows whose value stands more than once, every copy counted, lies between
    /// bounds.
    ///
    /// Nulls are left out. deequ: `DuplicateRowCount`.
    DuplicateCount, duplicate_count as "number of rows with a repeated value", of numbers,
    by |this, asked, to| counted(&this.column, asked, to, |c| match c.keyed {
        0 => Seen::NoneAtAll,
        _ => Seen::count(c.repeated_rows),
    });

    /// The entropy lies between bounds, in nats: −Σ p ln p over the shares p of the values.
    ///
    /// Nulls are left out. `scipy.stats.entropy` of the counts; deequ: `hasEntropy`.
    Entropy, entropy as "entropy", of numbers,
    by |this, asked, to| counted(&this.column, asked, to, |c| {
        c.entropy().map_or(Seen::Nothing { counts_as: None }, Seen::number)
    });
}
