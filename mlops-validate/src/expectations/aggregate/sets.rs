//! The different values of a column beside a set, and how often one of them stands.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeBounds;

use arrow::datatypes::DataType;
use mlops_core::{Error, Handle, Result, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::bounds::Bounds;
use super::distinct::too_many;
use super::statistic::{Asked, Seen, observe};
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler, Observation};
use crate::measures::{Frequencies, Frequency, label_of};
use crate::values::{Domain, domain, value_type};
use crate::{Expectation, Scalar};

const TYPES: &str = "a column of numbers, text, booleans, dates or timestamps";
/// Values that are shown of each side.
const SHOWN: usize = 20;

/// The labels of the values of a set; `None` for those that the column can't hold.
type Labels = Vec<Option<String>>;

/// Adds the counts of a column, and gives its labels of the values of a set.
fn counts(
    column: &str,
    set: &[Scalar],
    to: &mut Compiler<'_>,
) -> Result<Option<(Handle<Frequency>, Labels)>> {
    let data_type = to.value_type(column)?;
    let Some(frequencies) = Frequencies::of(column, data_type) else { return Ok(None) };
    let labels = set.iter().map(|value| label_of(value, data_type)).collect();
    Ok(Some((to.add(frequencies), labels)))
}

/// A label as the value that it stands for.
pub(super) fn value_of(label: &str, data_type: &DataType) -> Value {
    let text = || Value::String(label.chars().take(256).collect());
    match domain(data_type) {
        Some(Domain::Bool) => Value::Bool(label == "true"),
        Some(Domain::Int) if !value_type(data_type).is_temporal() => {
            label.parse::<i64>().map_or_else(|_| text(), Value::from)
        }
        Some(Domain::Float) => {
            let number = label.parse::<f64>().ok().filter(|v| v.is_finite());
            number.map_or_else(text, Value::from)
        }
        _ => text(),
    }
}

fn listed(values: &[Scalar]) -> String {
    let shown: Vec<_> = values.iter().take(8).map(ToString::to_string).collect();
    let more =
        if values.len() > 8 { format!(" and {} more", values.len() - 8) } else { String::new() };
    if shown.is_empty() { "nothing".into() } else { format!("{}{more}", shown.join(", ")) }
}

/// What is asked of the different values.
#[derive(Clone, Copy)]
enum Relation {
    In,
    Contains,
    Equals,
}

fn compare(
    column: &str,
    set: &[Scalar],
    relation: Relation,
    to: &mut Compiler<'_>,
) -> Result<Compiled> {
    let expected = match relation {
        Relation::In => format!("distinct values among {}", listed(set)),
        Relation::Contains => format!("distinct values with all of {}", listed(set)),
        Relation::Equals => format!("distinct values that are {}", listed(set)),
    };
    let data_type = to.value_type(column)?.clone();
    let Some((handle, labels)) = counts(column, set, to)? else {
        return to.wrong_type(column, TYPES);
    };
    let set = set.to_vec();
    Ok(to.measured(expected, handle, move |found: &Frequency| {
        let Some(counts) = found.by_label() else {
            // More different values than the set has: that much is certain.
            let words = format!("more than {} distinct values", Frequencies::CAP);
            return Ok(match relation {
                Relation::Contains => observe_words(too_many()),
                _ if set.len() <= Frequencies::CAP => {
                    Observation::new(Verdict::Fail, words, Value::Null)
                }
                _ => observe_words(too_many()),
            });
        };
        let known: BTreeSet<&str> = labels.iter().flatten().map(String::as_str).collect();
        let seen: BTreeSet<&str> = counts.map(|(label, _)| label).collect();
        let unexpected: Vec<_> = seen.difference(&known).collect();
        let missing: Vec<_> = std::iter::zip(&labels, &set)
            .filter(|(label, _)| !label.as_deref().is_some_and(|label| seen.contains(label)))
            .map(|(_, value)| value)
            .collect();
        let (strange, absent) = match relation {
            Relation::In => (unexpected.len(), 0),
            Relation::Contains => (0, missing.len()),
            Relation::Equals => (unexpected.len(), missing.len()),
        };
        let met = strange == 0 && absent == 0;
        if met && found.n == 0 {
            return Ok(Observation::vacuous("no values: nothing was measured"));
        }
        let mut words = vec![format!("{} distinct values", seen.len())];
        let show = |label: &&&str| crate::failing_rows::in_words(&value_of(label, &data_type));
        if strange > 0 {
            let some: Vec<_> = unexpected.iter().take(5).map(show).collect();
            words.push(format!("{strange} unexpected: `{}`", some.join("`, `")));
        }
        if absent > 0 {
            let some: Vec<_> = missing.iter().take(5).map(ToString::to_string).collect();
            words.push(format!("{absent} missing: {}", some.join(", ")));
        }
        let mut value = serde_json::Map::new();
        value.insert("distinct".into(), seen.len().into());
        if !matches!(relation, Relation::Contains) {
            let some = unexpected.iter().take(SHOWN).map(|label| value_of(label, &data_type));
            value.insert("unexpected_count".into(), strange.into());
            value.insert("partial_unexpected_list".into(), some.collect());
        }
        if !matches!(relation, Relation::In) {
            let some: Vec<_> = missing.iter().take(SHOWN).collect();
            value.insert("missing_count".into(), absent.into());
            value.insert("partial_missing_list".into(), json!(some));
        }
        Ok(Observation::new(Verdict::from_bool(met), words.join(", "), value))
    }))
}

fn observe_words(seen: Seen) -> Observation {
    observe("set of values", &Bounds::default().of_numbers(), &DataType::Null, seen)
}

macro_rules! set_kinds {
    ($($(#[$docs:meta])* $kind:ident, $function:ident, $relation:ident, $words:literal;)+) => {$(
        $(#[$docs])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[non_exhaustive]
        pub struct $kind {
            /// The column.
            pub column: String,
            /// The set.
            pub values: Vec<Scalar>,
        }

        #[doc = concat!("Expects the different values of a column to ", $words, ": [`", stringify!($kind), "`].")]
        pub fn $function<T: Into<Scalar>>(
            column: impl Into<String>,
            values: impl IntoIterator<Item = T>,
        ) -> Expectation {
            let values = values.into_iter().map(Into::into).collect();
            $kind { column: column.into(), values }.into()
        }

        impl Kind for $kind {
            fn subject(&self) -> Subject<'_> {
                Subject::Column(&self.column)
            }

            fn of_rows(&self) -> bool {
                false
            }

            fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
                compare(&self.column, &self.values, Relation::$relation, to)
            }
        }
    )+};
}

set_kinds! {
    /// Every different value is one of these. As [`InSet`](crate::InSet), but it names the values
    /// that are not, each once, and not the rows.
    ///
    /// A number never equals a text; dates and timestamps are compared with texts. Nulls are left
    /// out, NaN is a value; without values it is inconclusive. Great Expectations:
    /// `expect_column_distinct_values_to_be_in_set`.
    DistinctInSet, distinct_in_set, In, "be among these";

    /// Each of these is one of the different values; there may be others.
    ///
    /// As [`DistinctInSet`]. Great Expectations:
    /// `expect_column_distinct_values_to_contain_set`.
    DistinctContainsSet, distinct_contains_set, Contains, "have all of these among them";

    /// The different values are these and no others.
    ///
    /// As [`DistinctInSet`]. Great Expectations: `expect_column_distinct_values_to_equal_set`.
    DistinctEqualsSet, distinct_equals_set, Equals, "be these and no others";
}

/// The most frequent value is one of these.
///
/// Where several are equally frequent, all are the most frequent: the expectation then fails,
/// unless `ties_okay` and one of them is in the set. Values as in [`DistinctInSet`]. Great
/// Expectations: `expect_column_most_common_value_to_be_in_set`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MostCommonInSet {
    /// The column.
    pub column: String,
    /// The set.
    pub values: Vec<Scalar>,
    /// Whether one of several most frequent values in the set is enough.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ties_okay: bool,
}

/// Expects the most frequent value of a column to be one of these: [`MostCommonInSet`].
pub fn most_common_in_set<T: Into<Scalar>>(
    column: impl Into<String>,
    values: impl IntoIterator<Item = T>,
) -> Expectation {
    let values = values.into_iter().map(Into::into).collect();
    MostCommonInSet { column: column.into(), values, ties_okay: false }.into()
}

impl Kind for MostCommonInSet {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        false
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let data_type = to.value_type(&self.column)?.clone();
        let Some((handle, labels)) = counts(&self.column, &self.values, to)? else {
            return to.wrong_type(&self.column, TYPES);
        };
        let set: BTreeSet<_> = labels.into_iter().flatten().collect();
        let ties_okay = self.ties_okay;
        let expected = format!("a most common value among {}", listed(&self.values));
        Ok(to.measured(expected, handle, move |found: &Frequency| {
            let Some(counts) = found.by_label() else { return Ok(observe_words(too_many())) };
            let counts: BTreeMap<_, _> = counts.collect();
            let Some(&most) = counts.values().max() else {
                return Ok(observe_words(Seen::Nothing { counts_as: None }));
            };
            let modes: Vec<_> =
                counts.iter().filter(|(_, n)| **n == most).map(|(label, _)| *label).collect();
            let met = match modes.as_slice() {
                [mode] => set.contains(*mode),
                modes => ties_okay && modes.iter().any(|mode| set.contains(*mode)),
            };
            let values: Vec<_> =
                modes.iter().take(SHOWN).map(|mode| value_of(mode, &data_type)).collect();
            let some: Vec<_> = values.iter().take(5).map(crate::failing_rows::in_words).collect();
            let words = format!("most common: `{}`, {most} of {} rows", some.join("`, `"), found.n);
            Ok(Observation::new(Verdict::from_bool(met), words, values))
        }))
    }
}

/// What is counted of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Frequent {
    /// Its share of the rows with a value.
    #[default]
    Share,
    /// The rows that hold it.
    Count,
}

/// How often one value stands in a column lies between bounds: its share of the rows with a value,
/// or their number.
///
/// Values as in [`DistinctInSet`]. deequ: assertions on `Histogram`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ValueFrequency {
    /// The column.
    pub column: String,
    /// The value.
    pub value: Scalar,
    /// What is counted; the share unless told.
    #[serde(default)]
    pub of: Frequent,
    /// What it must be.
    #[serde(flatten)]
    pub bounds: Bounds,
}

/// Expects a value's share of the rows, or their number, to lie in the range:
/// [`ValueFrequency`].
pub fn value_frequency<T: Clone + Into<Scalar>>(
    column: impl Into<String>,
    value: impl Into<Scalar>,
    of: Frequent,
    range: impl RangeBounds<T>,
) -> Expectation {
    let (column, value) = (column.into(), value.into());
    ValueFrequency { column, value, of, bounds: Bounds::of(range) }.into()
}

impl Kind for ValueFrequency {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        false
    }

    fn check_usable(&self) -> Result<()> {
        self.bounds.check_usable(true)
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let column = self.column.as_str();
        let set = std::slice::from_ref(&self.value);
        let Some((handle, labels)) = counts(column, set, to)? else {
            return to.wrong_type(column, TYPES);
        };
        let Some(Some(label)) = labels.into_iter().next() else {
            return to.wrong_type(column, format!("values that can be {}", self.value));
        };
        let of = self.of;
        let name = match of {
            Frequent::Share => "share of the value",
            Frequent::Count => "number of rows with the value",
        };
        let asked = Asked { name, bounds: self.bounds.clone() };
        Ok(asked.number(to, handle, move |found: &Frequency| {
            let Some(mut counts) = found.by_label() else { return too_many() };
            let count = counts.find(|(seen, _)| *seen == label).map_or(0, |(_, n)| n);
            match of {
                _ if found.n == 0 => Seen::Nothing { counts_as: Some(0.0) },
                Frequent::Share => Seen::number(count as f64 / found.n as f64),
                Frequent::Count => Seen::count(count),
            }
        }))
    }
}

/// Refuses weights that are no distribution, to the tolerance of Great Expectations.
pub(super) fn check_weights(weights: &[f64], rest: f64) -> Result<()> {
    let bad =
        |found: String| Err(Error::invalid("weights", "shares in [0, 1] that sum to 1", found));
    if let Some(wrong) = weights.iter().find(|w| !(0.0..=1.0).contains(*w)) {
        return bad(wrong.to_string());
    }
    let sum = weights.iter().sum::<f64>() + rest;
    if (sum - 1.0).abs() > 1e-8 { bad(format!("a sum of {sum}")) } else { Ok(()) }
}
