//! Values are of a set.

use std::collections::HashSet;

use arrow::array::AsArray;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Schema,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use mlops_core::{Plan, Result};
use serde::{Deserialize, Serialize};

use crate::Scalar;
use crate::expectation::{Check, Compiled, Expectation};
use crate::values::{Domain, domain, temporal, test_bool, test_text, unsupported, value_type};

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
    Expectation::new(Check::InSet(InSet { column: column.into(), values }))
}

impl InSet {
    pub(crate) fn compile(
        &self,
        of: &Expectation,
        schema: &Schema,
        plan: &mut Plan,
    ) -> Result<Compiled> {
        let data_type = value_type(schema.field_with_name(&self.column)?.data_type()).clone();
        let words = self.words();
        let of_values =
            |plan: &mut Plan, passes| of.of_values(words, &self.column, schema, plan, passes);
        Ok(match domain(&data_type) {
            Some(Domain::Int) => of_values(plan, integers(self.of_integers(&data_type))),
            Some(Domain::Float) => of_values(plan, floats(&self.of_floats())),
            Some(Domain::Text) => {
                let set: HashSet<String> = self
                    .values
                    .iter()
                    .filter_map(|v| if let Scalar::Text(t) = v { Some(t.clone()) } else { None })
                    .collect();
                of_values(
                    plan,
                    Box::new(move |array| test_text(array, |value| set.contains(value))),
                )
            }
            Some(Domain::Bool) => {
                let [no, yes] = [false, true].map(|b| self.values.contains(&Scalar::Bool(b)));
                of_values(
                    plan,
                    Box::new(move |array| {
                        Ok(test_bool(array.as_boolean(), |v| if v { yes } else { no }))
                    }),
                )
            }
            None => of.wrong_type(schema, "a column of numbers, text, dates or booleans"),
        })
    }

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

type Passes = Box<dyn Fn(&arrow::array::ArrayRef) -> Result<BooleanBuffer> + Send + Sync>;

/// Up to this many members are compared one after the other, more are looked up.
const FEW: usize = 8;

fn integers(set: Vec<i128>) -> Passes {
    Box::new(move |array| {
        macro_rules! over {
            ($type:ty, $native:ty) => {{
                let values = array.as_primitive::<$type>().values();
                let n = values.len();
                let few: Vec<_> = set.iter().filter_map(|v| <$native>::try_from(*v).ok()).collect();
                if few.len() <= FEW {
                    return Ok(BooleanBuffer::collect_bool(n, |row| few.contains(&values[row])));
                }
                Ok(BooleanBuffer::collect_bool(n, |row| few.binary_search(&values[row]).is_ok()))
            }};
        }
        match array.data_type() {
            DataType::Int8 => over!(Int8Type, i8),
            DataType::Int16 => over!(Int16Type, i16),
            DataType::Int32 => over!(Int32Type, i32),
            DataType::Int64 => over!(Int64Type, i64),
            DataType::UInt8 => over!(UInt8Type, u8),
            DataType::UInt16 => over!(UInt16Type, u16),
            DataType::UInt32 => over!(UInt32Type, u32),
            DataType::UInt64 => over!(UInt64Type, u64),
            _ => unsupported(array),
        }
    })
}

fn floats(set: &[f64]) -> Passes {
    let set = set.to_vec();
    Box::new(move |array| {
        macro_rules! over {
            ($type:ty, $native:ty) => {{
                let values = array.as_primitive::<$type>().values();
                let mut set: Vec<_> = set.iter().map(|v| *v as $native).collect();
                set.sort_unstable_by(<$native>::total_cmp);
                Ok(BooleanBuffer::collect_bool(values.len(), |row| {
                    // The two zeros are equal, which a search by total order does not know.
                    let value = values[row];
                    set.binary_search_by(|v| {
                        v.partial_cmp(&value).unwrap_or_else(|| v.total_cmp(&value))
                    })
                    .is_ok()
                }))
            }};
        }
        match array.data_type() {
            DataType::Float32 => over!(Float32Type, f32),
            DataType::Float64 => over!(Float64Type, f64),
            _ => unsupported(array),
        }
    })
}
