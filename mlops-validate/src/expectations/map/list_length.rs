//! Lists have a length.

use std::ops::{RangeBounds, RangeInclusive};

use arrow::array::{Array, ArrayRef};
use arrow::buffer::BooleanBuffer;
use mlops_core::Result;
use serde::{Deserialize, Serialize};

use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::expectations::count_bounds::{bounds, check_bounds, words};
use crate::place::{is_list, items_of};
use crate::record::Value;
use crate::value_test::ValueTest;

/// Every list has between so many items, both bounds included; nulls among them count.
///
/// Lists that are null are left out. TFDV: `FEATURE_TYPE_LOW_NUMBER_VALUES_PRESENT`,
/// `FEATURE_TYPE_HIGH_NUMBER_VALUES`, `INVALID_FEATURE_SHAPE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ListLength {
    /// The column.
    pub column: String,
    /// The fewest items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// The most items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
}

/// Expects every list to have so many items, as `1..`, `..=80` or `2..=2`: [`ListLength`].
pub fn list_length(column: impl Into<String>, items: impl RangeBounds<u64>) -> Expectation {
    let (min, max) = bounds(items);
    ListLength { column: column.into(), min, max }.into()
}

impl Kind for ListLength {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn reads_paths(&self) -> bool {
        true
    }

    fn check_usable(&self) -> Result<()> {
        check_bounds("length", self.min, self.max)
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let words = words("items", self.min, self.max);
        to.values(words, &self.column, "a column of lists", |data_type| {
            let lengths = self.min.unwrap_or(0)..=self.max.unwrap_or(u64::MAX);
            let test = || Box::new(Items(lengths)) as Box<dyn ValueTest>;
            Ok(is_list(data_type).then(test))
        })
    }
}

struct Items(RangeInclusive<u64>);

impl ValueTest for Items {
    fn of_array(&self, array: &ArrayRef) -> Result<BooleanBuffer> {
        let (_, ends) = items_of(array)?;
        Ok(BooleanBuffer::collect_bool(array.len(), |row| {
            let (start, end) = ends(row);
            self.0.contains(&((end - start) as u64))
        }))
    }

    fn of_value(&self, _: Value<'_>) -> bool {
        // A record has no lists.
        false
    }
}
