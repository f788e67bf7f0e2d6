//! Values are of a set.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use arrow::array::ArrayRef;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, i256};
use mlops_core::Result;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

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
        let passes = move |v| set.contains(&v);
        return Some(Box::new(Decimals { scale, passes, is_interval: false }));
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
            let set: HashSet<String, BuildHasherDefault<TextHasher>> = texts.collect();
            if set.len() <= FEW {
                let few = FewTexts::new(set);
                return Texts::only(data_type, move |v: &str| few.contains(v));
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

/// A few texts, compared at once by their length and their ends.
struct FewTexts {
    lengths: [usize; FEW],
    ends: [u64; FEW],
    texts: Vec<String>,
}

impl FewTexts {
    fn new(set: impl IntoIterator<Item = String>) -> Self {
        // No text is as long as what fills the rest.
        let (mut lengths, mut all_ends) = ([usize::MAX; FEW], [0; FEW]);
        let texts: Vec<String> = set.into_iter().take(FEW).collect();
        for (i, text) in texts.iter().enumerate() {
            (lengths[i], all_ends[i]) = (text.len(), ends(text.as_bytes()));
        }
        Self { lengths, ends: all_ends, texts }
    }

    fn contains(&self, text: &str) -> bool {
        let (length, ends) = (text.len(), ends(text.as_bytes()));
        // Without a branch; no bit is left where both are alike.
        let like = |i: usize| (self.lengths[i] ^ length) as u64 | (self.ends[i] ^ ends) == 0;
        // Up to 8 bytes the ends and the length are the whole.
        (0..FEW).fold(false, |found, i| found | like(i))
            && (length <= 8 || self.texts.iter().any(|member| member == text))
    }
}

/// A word of the first and the last bytes; with the length it tells texts of up to 8 bytes apart.
fn ends(bytes: &[u8]) -> u64 {
    if bytes.len() > 8
        && let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>())
    {
        return u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(32);
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
    }
    bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Hashes a text at once. The set is the suite's: no data can fill it with what collides.
#[derive(Default)]
struct TextHasher(u64);

impl Hasher for TextHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    // That a text ends.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_texts_are_told_from_those_alike() {
        let members = ["", "a", "ab", "abcd", "abcdefgh", "abcdefghi", "abcdefgh-abcdefgh", "é"];
        let few = FewTexts::new(members.map(str::to_owned));
        for member in members {
            assert!(few.contains(member), "{member}");
        }
        for other in ["b", "\0", "ba", "abc", "abcdefg", "abcdefgi", "abcdefgh+abcdefgh", "e", "aé"]
        {
            assert!(!few.contains(other), "{other}");
        }
        assert!(!FewTexts::new([]).contains(""));
    }
}
