//! Values are of a set.

use std::collections::HashSet;

use arrow::array::ArrayRef;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, i256};
use mlops_core::Result;
use serde::{Deserialize, Serialize};

use super::decimals::{Decimals, Units, scale};
use super::in_range::{IntegerRange, narrow};
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::record::Value;
use crate::value_test::{Booleans, Texts, ValueTest, over_floats, over_integers};
use crate::values::{Domain, domain, temporal};
use crate::{Expectation, Scalar};

/// Every value is one of these. Of the empty set no value is.
///
/// A number never equals a text or a boolean: `1`, `"1"` and `true` are three things. Dates, times
/// and durations are compared with texts read in the column's own type, decimals exactly, as
/// [`InRange`](crate::InRange) says. Nulls are left out; NaN is of no set.
///
/// Great Expectations: `expect_column_values_to_be_in_set`, which takes booleans for 0 and 1, and
/// a date for no text. deequ: `isContainedIn`. pandera: `isin`, `equal_to`. TFDV:
/// `ENUM_TYPE_UNEXPECTED_STRING_VALUES`, `BOOL_TYPE_…`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct InSet {
    /// The column.
    pub column: String,
    /// The set.
    pub values: Vec<Scalar>,
}

/// Expects every value to be one of these: [`InSet`].
pub fn in_set<T: Into<Scalar>>(
    column: impl Into<String>,
    values: impl IntoIterator<Item = T>,
) -> Expectation {
    let values = values.into_iter().map(Into::into).collect();
    InSet { column: column.into(), values }.into()
}

impl Kind for InSet {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn reads_paths(&self) -> bool {
        true
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let words = format!("one of {}", in_words(&self.values));
        to.values(words, &self.column, WANTED, |t| Ok(members(&self.values, t)))
    }
}

/// No value is one of these: [`InSet`] turned around. Of the empty set every value passes.
///
/// NaN is of no set, so it passes. Great Expectations: `expect_column_values_to_not_be_in_set`.
/// pandera: `notin`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NotInSet {
    /// The column.
    pub column: String,
    /// The set.
    pub values: Vec<Scalar>,
}

/// Expects no value to be one of these: [`NotInSet`].
pub fn not_in_set<T: Into<Scalar>>(
    column: impl Into<String>,
    values: impl IntoIterator<Item = T>,
) -> Expectation {
    let values = values.into_iter().map(Into::into).collect();
    NotInSet { column: column.into(), values }.into()
}

impl Kind for NotInSet {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn reads_paths(&self) -> bool {
        true
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let words = format!("none of {}", in_words(&self.values));
        let test = |t: &DataType| {
            let members = members(&self.values, t);
            Ok(members.map(|test| Box::new(Not(test)) as Box<dyn ValueTest>))
        };
        to.values(words, &self.column, WANTED, test)
    }
}

const WANTED: &str = "numbers, text, dates, times or booleans";

fn in_words(values: &[Scalar]) -> String {
    let shown: Vec<_> = values.iter().take(8).map(ToString::to_string).collect();
    let more = match values.len() {
        0 => return "nothing".into(),
        1..=8 => String::new(),
        n => format!(" and {} more", n - 8),
    };
    format!("{}{more}", shown.join(", "))
}

/// Whether a value is of the set.
fn members(values: &[Scalar], data_type: &DataType) -> Option<Box<dyn ValueTest>> {
    if let Some(scale) = scale(data_type) {
        let set: HashSet<i256> =
            values.iter().filter_map(|v| Units::of(v, scale)?.exact()).collect();
        return Some(Box::new(Decimals { scale, passes: move |v| set.contains(&v) }));
    }
    Some(match domain(data_type)? {
        Domain::Int => {
            let set = integers(values, data_type);
            match (set.first(), set.last()) {
                // Without a gap it is a range.
                (Some(&low), Some(&high)) if high.abs_diff(low) == set.len() as u128 - 1 => {
                    Box::new(IntegerRange { low, high })
                }
                _ => Box::new(IntegerSet(set)),
            }
        }
        Domain::Float => Box::new(FloatSet::new(&floats(values), data_type)),
        Domain::Text => {
            let texts = values.iter().filter_map(|v| match v {
                Scalar::Text(t) => Some(t.clone()),
                _ => None,
            });
            let set: HashSet<String> = texts.collect();
            if set.len() <= FEW {
                let set: Vec<String> = set.into_iter().collect();
                return Texts::only(data_type, move |v: &str| set.iter().any(|s| s == v));
            }
            return Texts::only(data_type, move |v: &str| set.contains(v));
        }
        Domain::Bool => {
            let [no, yes] = [false, true].map(|b| values.contains(&Scalar::Bool(b)));
            Box::new(Booleans { no, yes })
        }
    })
}

/// What can be whole numbers of the column; sorted, each once.
fn integers(values: &[Scalar], data_type: &DataType) -> Vec<i128> {
    let mut set: Vec<_> = values
        .iter()
        .filter_map(|value| match value {
            value if data_type.is_temporal() => temporal(value, data_type),
            Scalar::Int(v) => Some(*v),
            Scalar::Float(v) if v.fract() == 0.0 && v.abs() < 1e30 => Some(*v as i128),
            _ => None,
        })
        .collect();
    set.sort_unstable();
    set.dedup();
    set
}

fn floats(values: &[Scalar]) -> Vec<f64> {
    let number = |value: &Scalar| match value {
        Scalar::Int(v) => Some(*v as f64),
        Scalar::Float(v) => Some(*v),
        _ => None,
    };
    values.iter().filter_map(number).collect()
}

/// What another test does not pass.
pub(super) struct Not(pub(super) Box<dyn ValueTest>);

impl ValueTest for Not {
    fn of_array(&self, values: &ArrayRef) -> Result<BooleanBuffer> {
        Ok(!&self.0.of_array(values)?)
    }

    fn of_value(&self, value: Value<'_>) -> bool {
        !self.0.of_value(value)
    }
}

/// Up to this many members are compared one after the other, more are looked up.
const FEW: usize = 8;

/// Sorted, each once.
struct IntegerSet(Vec<i128>);

impl ValueTest for IntegerSet {
    fn of_array(&self, array: &ArrayRef) -> Result<BooleanBuffer> {
        over_integers!(array, |values: &[Native]| {
            let set: Vec<_> = self.0.iter().filter_map(|v| Native::try_from(*v).ok()).collect();
            let n = values.len();
            if let Some(&first) = set.first()
                && set.len() <= FEW
            {
                // One length, so that the comparisons unroll.
                let mut few = [first; FEW];
                few[..set.len()].copy_from_slice(&set);
                BooleanBuffer::collect_bool(n, |row| {
                    few.iter().fold(false, |found, member| found | (*member == values[row]))
                })
            } else {
                BooleanBuffer::collect_bool(n, |row| set.binary_search(&values[row]).is_ok())
            }
        })
    }

    fn of_value(&self, value: Value<'_>) -> bool {
        let value = match value {
            Value::Int(v) => v.into(),
            Value::UInt(v) => v.into(),
            _ => return false,
        };
        self.0.binary_search(&value).is_ok()
    }
}

/// Sorted, as the floats of the column's width.
struct FloatSet(Vec<f64>);

impl FloatSet {
    fn new(set: &[f64], data_type: &DataType) -> Self {
        let mut set: Vec<_> = set.iter().map(|v| narrow(*v, data_type)).collect();
        set.sort_unstable_by(f64::total_cmp);
        Self(set)
    }

    fn contains(&self, value: f64) -> bool {
        // The two zeros are equal, which a search by total order does not know.
        let order = |v: &f64| v.partial_cmp(&value).unwrap_or_else(|| v.total_cmp(&value));
        self.0.binary_search_by(order).is_ok()
    }
}

impl ValueTest for FloatSet {
    fn of_array(&self, array: &ArrayRef) -> Result<BooleanBuffer> {
        over_floats!(array, |values: &[Native]| {
            BooleanBuffer::collect_bool(values.len(), |row| self.contains(values[row].into()))
        })
    }

    fn of_value(&self, value: Value<'_>) -> bool {
        matches!(value, Value::Float(v) if self.contains(v))
    }
}
