//! The first look at a reference: which values and which labels there are, in bounded memory.

use std::collections::BTreeMap;

use arrow::array::{Array, Float64Array};
use arrow::datatypes::DataType;
use mlops_core::bytes::{
    bad, put_len, put_str, put_u8, put_u64, take_len, take_str, take_u8, take_u64,
};
use mlops_core::{Analyzer, Error, Result, Rows, State};

/// Finds where the finite numbers of a column lie: every distinct value with its count while there
/// are at most `cap` of them, then the same for ever wider runs of the floats' own grid.
#[derive(Clone, Debug)]
pub(crate) struct ValueFinder {
    pub(crate) column: String,
    pub(crate) cap: usize,
}

/// What [`ValueFinder`] has seen: sorted buckets, each the run of floats whose keys agree but for
/// the lowest `shift` bits. The shift is the smallest that leaves at most `cap` buckets, which
/// depends on the multiset of values alone: a part never needs a larger one than the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ValueState {
    shift: u8,
    cap: usize,
    most: u64,
    /// The smallest key in the bucket, and how many values it has.
    buckets: Vec<(u64, u64)>,
}

/// Order of the floats as order of integers; −0 is +0.
fn key_of(x: f64) -> u64 {
    let bits = (x + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

fn value_of(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 { key & !(1 << 63) } else { !key })
}

impl ValueState {
    /// How many distinct values there are, where that is known.
    pub(crate) fn distinct(&self) -> Option<usize> {
        (self.shift == 0).then_some(self.buckets.len())
    }

    /// The smallest value of each bucket.
    pub(crate) fn values(&self) -> impl Iterator<Item = f64> {
        self.buckets.iter().map(|(key, _)| value_of(*key))
    }

    /// At most this many edges (at least 2), at equally spaced ranks, always with the extremes. All
    /// of the values, where there are no more.
    pub(crate) fn edges(&self, most: usize) -> Vec<f64> {
        if self.buckets.is_empty() {
            return Vec::new();
        }
        let n: u64 = self.buckets.iter().map(|b| b.1).sum();
        let mut edges = Vec::with_capacity(most);
        if self.shift == 0 && self.buckets.len() <= most {
            edges.extend(self.values());
            return edges;
        }
        let (mut bucket, mut through) = (0, self.buckets[0].1);
        for i in 0..most as u64 - 1 {
            let rank = (u128::from(n - 1) * u128::from(i) / (most as u128 - 1)) as u64;
            while through <= rank {
                bucket += 1;
                through += self.buckets[bucket].1;
            }
            edges.push(value_of(self.buckets[bucket].0));
        }
        edges.push(value_of(self.most));
        edges.dedup();
        edges
    }

    /// Takes in sorted buckets of a grid that is not wider than `shift`, which this one's may be
    /// narrower than, too.
    fn absorb(&mut self, other: &[(u64, u64)]) {
        let shift = self.shift;
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(self.buckets.len() + other.len());
        let (mut left, mut right) = (self.buckets.iter().peekable(), other.iter().peekable());
        while let Some(&(key, count)) = match (left.peek(), right.peek()) {
            (Some(a), Some(b)) if a.0 <= b.0 => left.next(),
            (Some(_), None) => left.next(),
            _ => right.next(),
        } {
            match merged.last_mut() {
                Some(last) if last.0 >> shift == key >> shift => last.1 += count,
                _ => merged.push((key, count)),
            }
        }
        self.buckets = merged;
        while self.buckets.len() > self.cap && self.shift < 63 {
            self.shift += 1;
            let shift = self.shift;
            self.buckets.dedup_by(|next, kept| {
                let same = next.0 >> shift == kept.0 >> shift;
                if same {
                    kept.1 += next.1;
                }
                same
            });
        }
    }
}

impl Analyzer for ValueFinder {
    type State = ValueState;
    type Output = ValueState;

    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn start(&self) -> ValueState {
        ValueState { shift: 0, cap: self.cap, most: 0, buckets: Vec::new() }
    }

    fn update(&self, state: &mut ValueState, rows: &Rows<'_>) -> Result<()> {
        let values: &Float64Array = rows.numbers(&self.column)?;
        let finite = |x: &f64| x.is_finite();
        let mut keys: Vec<u64> = if values.null_count() == 0 {
            values.values().iter().copied().filter(finite).map(key_of).collect()
        } else {
            values.iter().flatten().filter(finite).map(key_of).collect()
        };
        keys.sort_unstable();
        if let Some(last) = keys.last() {
            state.most = state.most.max(*last);
        }
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for key in keys {
            match runs.last_mut() {
                Some(last) if last.0 >> state.shift == key >> state.shift => last.1 += 1,
                _ => runs.push((key, 1)),
            }
        }
        state.absorb(&runs);
        Ok(())
    }

    fn finish(&self, state: ValueState) -> Result<ValueState> {
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<ValueState> {
        let shift = take_u8(bytes)?;
        let most = take_u64(bytes)?;
        let n = take_len(bytes, 16)?;
        let buckets: Vec<_> =
            (0..n).map(|_| Ok((take_u64(bytes)?, take_u64(bytes)?))).collect::<Result<_>>()?;
        let sorted = shift < 64
            && n <= self.cap
            && buckets.windows(2).all(|w| w[0].0 >> shift < w[1].0 >> shift)
            && buckets.iter().all(|b| b.1 > 0 && value_of(b.0).is_finite());
        let sum = buckets.iter().try_fold(0u64, |sum, b| sum.checked_add(b.1));
        if !sorted || sum.is_none() || buckets.last().map_or(0, |b| b.0) > most {
            return Err(bad(bytes, "buckets of finite values in order", "others"));
        }
        Ok(ValueState { shift, cap: self.cap, most, buckets })
    }
}

impl State for ValueState {
    fn merge(&mut self, other: Self) -> Result<()> {
        if self.cap != other.cap {
            return Err(Error::merge("values", format!("caps {} and {}", self.cap, other.cap)));
        }
        self.most = self.most.max(other.most);
        self.shift = self.shift.max(other.shift);
        self.absorb(&other.buckets);
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u8(out, self.shift);
        put_u64(out, self.most);
        put_len(out, self.buckets.len());
        for (key, count) in &self.buckets {
            put_u64(out, *key);
            put_u64(out, *count);
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + 16 * self.buckets.len()
    }
}

/// Finds the labels of a column: every one with its count while there are at most `cap`, and that
/// there are more beyond.
#[derive(Clone, Debug)]
pub(crate) struct LabelFinder {
    pub(crate) column: String,
    pub(crate) cap: usize,
}

/// What [`LabelFinder`] has seen; `None` if there were more labels than `cap`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LabelState {
    cap: usize,
    labels: Option<BTreeMap<String, u64>>,
}

impl LabelState {
    /// At most this many labels, the most frequent ones, in order; `None` if there were too many
    /// to count.
    pub(crate) fn labels(self, most: usize) -> Option<Vec<String>> {
        let mut all: Vec<_> = self.labels?.into_iter().collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all.truncate(most);
        let mut labels: Vec<_> = all.into_iter().map(|(label, _)| label).collect();
        labels.sort_unstable();
        Some(labels)
    }

    fn add(&mut self, label: &str, count: u64) {
        let Some(labels) = &mut self.labels else { return };
        if let Some(known) = labels.get_mut(label) {
            *known += count;
        } else if labels.len() < self.cap {
            labels.insert(label.to_owned(), count);
        } else {
            self.labels = None;
        }
    }
}

impl Analyzer for LabelFinder {
    type State = LabelState;
    type Output = LabelState;

    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn start(&self) -> LabelState {
        LabelState { cap: self.cap, labels: Some(BTreeMap::new()) }
    }

    fn update(&self, state: &mut LabelState, rows: &Rows<'_>) -> Result<()> {
        if state.labels.is_none() || rows.column(&self.column)?.data_type() == &DataType::Null {
            return Ok(());
        }
        let categories = rows.categories(&self.column)?;
        let mut counts = vec![0u64; categories.labels().len()];
        for code in categories.codes().iter().flatten() {
            counts[code as usize] += 1;
        }
        for (label, count) in categories.labels().iter().zip(counts) {
            if count > 0 {
                state.add(label.unwrap_or_default(), count);
            }
        }
        Ok(())
    }

    fn finish(&self, state: LabelState) -> Result<LabelState> {
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<LabelState> {
        let labels = match take_u8(bytes)? {
            0 => None,
            1 => {
                let n = take_len(bytes, 16)?;
                let mut labels = BTreeMap::new();
                for _ in 0..n {
                    let (label, count) = (take_str(bytes)?, take_u64(bytes)?);
                    let in_order = labels.last_key_value().is_none_or(|(last, _)| *last < label);
                    if !in_order || count == 0 {
                        return Err(bad(bytes, "labels in order with rows", label));
                    }
                    labels.insert(label, count);
                }
                if n > self.cap {
                    return Err(bad(bytes, format!("at most {} labels", self.cap), n));
                }
                Some(labels)
            }
            tag => return Err(bad(bytes, "0 or 1", tag)),
        };
        Ok(LabelState { cap: self.cap, labels })
    }
}

impl State for LabelState {
    fn merge(&mut self, other: Self) -> Result<()> {
        if self.cap != other.cap {
            return Err(Error::merge("labels", format!("caps {} and {}", self.cap, other.cap)));
        }
        match other.labels {
            None => self.labels = None,
            Some(labels) => labels.iter().for_each(|(label, count)| self.add(label, *count)),
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match &self.labels {
            None => put_u8(out, 0),
            Some(labels) => {
                put_u8(out, 1);
                put_len(out, labels.len());
                for (label, count) in labels {
                    put_str(out, label);
                    put_u64(out, *count);
                }
            }
        }
    }

    fn size(&self) -> usize {
        let labels = self.labels.iter().flatten();
        size_of::<Self>() + labels.map(|(label, _)| label.len() + 64).sum::<usize>()
    }
}
