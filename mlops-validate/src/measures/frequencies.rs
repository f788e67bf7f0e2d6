//! How often each value, or each pair of values, stands in a column or two.

use std::collections::{BTreeMap, HashMap};

use arrow::array::Array;
use arrow::datatypes::DataType;
use mlops_core::bytes::{
    add_count, bad, put_len, put_str, put_u8, put_u64, take_count, take_len, take_str, take_u8,
};
use mlops_core::{Analyzer, Description, Error, Result, Rows, State};
use serde::Serialize;

use crate::Scalar;
use crate::values::{Domain, domain, from_counts, temporal, value_type};

/// Counts by value, exact up to [`CAP`](Self::CAP) different ones. Beyond it only the number of
/// rows is known: which of the two it is depends on the set of values alone.
///
/// A value is known by the text that it prints as; a float by its shortest, without a −0.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Frequencies {
    columns: Vec<String>,
    /// Of each column whether it is read as floats.
    floats: Vec<bool>,
    cap: usize,
}

/// The labels of a value of one column (the second is empty), or of a pair.
type Key = (String, String);

/// The state and the result of [`Frequencies`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frequency {
    cap: usize,
    /// Rows in which every column has a value.
    pub(crate) n: u64,
    /// `None` if there are too many.
    counts: Option<BTreeMap<Key, u64>>,
}

impl Frequencies {
    /// The different values that are counted one by one.
    pub(crate) const CAP: usize = 100_000;

    /// Of this column; `None` for types that can't be told apart by their text.
    pub(crate) fn of(column: &str, data_type: &DataType) -> Option<Self> {
        let float = domain(data_type)? == Domain::Float;
        Some(Self { columns: vec![column.to_owned()], floats: vec![float], cap: Self::CAP })
    }

    /// Of this column and another together.
    pub(crate) fn and(mut self, column: &str, data_type: &DataType) -> Option<Self> {
        self.floats.push(domain(data_type)? == Domain::Float);
        self.columns.push(column.to_owned());
        Some(self)
    }

    #[cfg(test)]
    fn with_cap(self, cap: usize) -> Self {
        Self { cap, ..self }
    }

    fn label(&self, column: usize, label: &str) -> String {
        let number = || label.parse::<f64>().ok().map(float_label);
        let of_float = self.floats[column].then(number).flatten();
        of_float.unwrap_or_else(|| label.to_owned())
    }
}

fn float_label(x: f64) -> String {
    format!("{:?}", x + 0.0)
}

/// The label under which a column of this type counts a value; `None` if it can't hold it.
pub(crate) fn label_of(scalar: &Scalar, data_type: &DataType) -> Option<String> {
    let data_type = value_type(data_type);
    match (domain(data_type)?, scalar) {
        (Domain::Int, scalar) if data_type.is_temporal() => {
            let count = i64::try_from(temporal(scalar, data_type)?).ok()?;
            print_count(count, data_type)
        }
        (Domain::Int, Scalar::Int(v)) => Some(v.to_string()),
        (Domain::Int, Scalar::Float(v)) if v.fract() == 0.0 && v.abs() < 1e30 => {
            Some((*v as i128).to_string())
        }
        (Domain::Float, Scalar::Int(v)) => Some(float_label(*v as f64)),
        (Domain::Float, Scalar::Float(v)) => {
            let narrow = *data_type == DataType::Float32;
            // A 32-bit column prints the shortest that tells its values apart.
            let narrowed = (*v as f32).to_string().parse().ok();
            Some(float_label(if narrow { narrowed? } else { *v }))
        }
        (Domain::Text, Scalar::Text(v)) => Some(v.clone()),
        (Domain::Bool, Scalar::Bool(v)) => Some(v.to_string()),
        _ => None,
    }
}

/// A count of a date or time type as the text that it prints as.
pub(crate) fn print_count(count: i64, data_type: &DataType) -> Option<String> {
    let counts = arrow::array::Int64Array::from(vec![count]);
    let array = from_counts(&counts, data_type).ok()?;
    match crate::failing_rows::value_at(&array, 0).ok()? {
        serde_json::Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

impl Frequency {
    fn add(&mut self, key: Key, count: u64) {
        let Some(counts) = &mut self.counts else { return };
        add_count(counts.entry(key).or_insert(0), count);
        if counts.len() > self.cap {
            self.counts = None;
        }
    }

    /// The values of one column with their counts, ordered by label.
    pub(crate) fn by_label(&self) -> Option<impl Iterator<Item = (&str, u64)>> {
        Some(self.counts.as_ref()?.iter().map(|((label, _), &n)| (label.as_str(), n)))
    }

    /// The pairs with their counts, ordered by label.
    pub(crate) fn pairs(&self) -> Option<&BTreeMap<(String, String), u64>> {
        self.counts.as_ref()
    }
}

impl Analyzer for Frequencies {
    type State = Frequency;
    type Output = Frequency;

    fn columns(&self) -> Vec<String> {
        self.columns.clone()
    }

    fn start(&self) -> Frequency {
        Frequency { cap: self.cap, n: 0, counts: Some(BTreeMap::new()) }
    }

    fn update(&self, state: &mut Frequency, rows: &Rows<'_>) -> Result<()> {
        let first = rows.categories(&self.columns[0])?;
        let Some(second) = self.columns.get(1) else {
            let mut counts = vec![0u64; first.labels().len()];
            for code in first.codes().iter().flatten() {
                counts[code as usize] += 1;
            }
            for (label, count) in first.labels().iter().zip(counts).filter(|(_, n)| *n > 0) {
                add_count(&mut state.n, count);
                state.add((self.label(0, label.unwrap_or_default()), String::new()), count);
            }
            return Ok(());
        };
        let second = rows.categories(second)?;
        let mut counts: HashMap<(u32, u32), u64> = HashMap::new();
        for pair in first.codes().iter().zip(second.codes()) {
            if let (Some(a), Some(b)) = pair {
                *counts.entry((a, b)).or_insert(0) += 1;
            }
        }
        for ((a, b), count) in counts {
            add_count(&mut state.n, count);
            let a = self.label(0, first.labels().value(a as usize));
            let b = self.label(1, second.labels().value(b as usize));
            state.add((a, b), count);
        }
        Ok(())
    }

    fn finish(&self, state: Frequency) -> Result<Frequency> {
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<Frequency> {
        let n = take_count(bytes)?;
        let mut state = Frequency { cap: self.cap, n, counts: None };
        match take_u8(bytes)? {
            0 => return Ok(state),
            1 => {}
            tag => return Err(bad(bytes, "0 or 1", tag)),
        }
        let len = take_len(bytes, 24)?;
        if len > self.cap {
            return Err(bad(bytes, format!("at most {} values", self.cap), len));
        }
        let mut counts: BTreeMap<Key, u64> = BTreeMap::new();
        let mut sum = 0u64;
        for _ in 0..len {
            let key = (take_str(bytes)?, take_str(bytes)?);
            let count = take_count(bytes)?;
            sum = sum.saturating_add(count);
            let ascends = counts.last_key_value().is_none_or(|(last, _)| *last < key);
            if !ascends || count == 0 {
                return Err(bad(bytes, "values in order, each seen", key.0));
            }
            counts.insert(key, count);
        }
        if sum != n {
            return Err(bad(bytes, format!("{n} values"), sum));
        }
        state.counts = Some(counts);
        Ok(state)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("validate/frequencies", 1, self))
    }
}

impl State for Frequency {
    fn merge(&mut self, other: Self) -> Result<()> {
        if self.cap != other.cap {
            let reason = format!("caps of {} and {}", self.cap, other.cap);
            return Err(Error::merge("frequencies", reason));
        }
        add_count(&mut self.n, other.n);
        match other.counts {
            None => self.counts = None,
            Some(counts) => counts.into_iter().for_each(|(key, count)| self.add(key, count)),
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.n);
        put_u8(out, u8::from(self.counts.is_some()));
        if let Some(counts) = &self.counts {
            put_len(out, counts.len());
            for ((a, b), count) in counts {
                put_str(out, a);
                put_str(out, b);
                put_u64(out, *count);
            }
        }
    }

    fn size(&self) -> usize {
        let keys = self.counts.iter().flat_map(BTreeMap::keys);
        size_of::<Self>() + keys.map(|(a, b)| a.len() + b.len() + 72).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, StringArray};
    use mlops_core::batch;
    use mlops_core::conformance;

    #[test]
    fn too_many_values_are_too_many_in_any_order() {
        let text: Vec<_> = (0..30).map(|i| format!("v{}", i % 7)).collect();
        let floats: Float64Array =
            (0..30).map(|i| (i % 5 != 0).then_some([0.0, -0.0, f64::NAN, 0.1][i % 4])).collect();
        let batch = batch! { "t" => StringArray::from(text), "x" => floats }.unwrap();
        for cap in [3, 6, 7, 100] {
            let of_text = Frequencies::of("t", &DataType::Utf8).unwrap().with_cap(cap);
            conformance::analyzer(&of_text, &batch);
            let pairs = of_text.clone().and("x", &DataType::Float64).unwrap();
            conformance::analyzer(&pairs, &batch);
            let mut state = of_text.start();
            of_text.update(&mut state, &Rows::new(&batch)).unwrap();
            assert_eq!((state.n, state.by_label().is_some()), (30, cap >= 7));
        }
        let of_floats = Frequencies::of("x", &DataType::Float64).unwrap();
        conformance::analyzer(&of_floats, &batch);
        let mut state = of_floats.start();
        of_floats.update(&mut state, &Rows::new(&batch)).unwrap();
        let labels: Vec<_> = state.by_label().unwrap().map(|(label, _)| label).collect();
        assert_eq!(labels, ["0.0", "0.1", "NaN"]);
    }
}
