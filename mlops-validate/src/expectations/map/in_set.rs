//! Values are of a set.

use std::collections::HashSet;

use arrow::array::ArrayRef;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::DataType;
use mlops_core::Result;
use serde::{Deserialize, Serialize};

use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::record::Value;
use crate::value_test::{Booleans, Texts, ValueTest, over_floats, over_integers};
use crate::values::{Domain, domain, temporal};
use crate::{Expectation, Scalar};

/// Every value is one of these. Of the empty set no value is.
///
/// A number never equals a text: `1` and `"1"` are two things. Dates and timestamps are compared
/// with texts read in the column's own type. Nulls are left out; NaN is of no set. Great
/// Expectations: `expect_column_values_to_be_in_set`.
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

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let (words, column) = (self.words(), self.column.as_str());
        let data_type = to.value_type(column)?;
        match domain(data_type) {
            Some(Domain::Int) => to.values(words, column, IntegerSet(self.of_integers(data_type))),
            Some(Domain::Float) => {
                to.values(words, column, FloatSet::new(&self.of_floats(), data_type))
            }
            Some(Domain::Text) => {
                let set: HashSet<_> = self
                    .values
                    .iter()
                    .filter_map(|v| if let Scalar::Text(t) = v { Some(t.clone()) } else { None })
                    .collect();
                to.values(words, column, Texts(move |value: &str| set.contains(value)))
            }
            Some(Domain::Bool) => {
                let [no, yes] = [false, true].map(|b| self.values.contains(&Scalar::Bool(b)));
                to.values(words, column, Booleans { no, yes })
            }
            None => to.wrong_type(column, "a column of numbers, text, dates or booleans"),
        }
    }
}

impl InSet {
    fn words(&self) -> String {
        let shown: Vec<_> = self.values.iter().take(8).map(ToString::to_string).collect();
        let more = match self.values.len() {
            0..=8 => String::new(),
            n => format!(" and {} more", n - 8),
        };
        format!(
            "one of {}{more}",
            if shown.is_empty() { "nothing".into() } else { shown.join(", ") }
        )
    }

    fn of_integers(&self, data_type: &DataType) -> Vec<i128> {
        let mut set: Vec<_> = self
            .values
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

    fn of_floats(&self) -> Vec<f64> {
        self.values
            .iter()
            .filter_map(|value| match value {
                Scalar::Int(v) => Some(*v as f64),
                Scalar::Float(v) => Some(*v),
                _ => None,
            })
            .collect()
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
            if set.len() <= FEW {
                BooleanBuffer::collect_bool(n, |row| set.contains(&values[row]))
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
        let narrow = *data_type == DataType::Float32;
        let mut set: Vec<_> =
            set.iter().map(|v| if narrow { f64::from(*v as f32) } else { *v }).collect();
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
