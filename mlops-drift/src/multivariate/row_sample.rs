//! A sample of rows of bounded size that depends on no order: of each source one pass.

use std::cmp::Ordering;

use arrow::datatypes::Schema;
use mlops_core::bytes::{
    add_count, bad, put_f64, put_len, put_str, put_u8, put_u64, take_count, take_f64, take_len,
    take_str, take_u8, take_u64,
};
use mlops_core::stats::Draws;
use mlops_core::{Analyzer, DataSource, Description, Digest, Error, Result, Rows, Scan, State};
use serde::{Deserialize, Serialize};

use crate::multivariate::columns::{Block, ColumnKind, ComparedColumn, width};

/// Which of the draws of a seed choose rows.
const STREAM: u32 = 0x4d56_0001;

/// Up to `cap` rows of the compared columns, each subset of that size equally likely.
///
/// A row is drawn by a hash of the seed and the row's name (its origin and its number there), so
/// the sample is the same for any number of threads, batch size and partitioning; a source with no
/// more than `cap` rows is taken whole. The state takes up to twice `cap` rows of memory. It holds
/// raw values and can be stored ([`state_to_bytes`](mlops_core::bytes::state_to_bytes)) with the
/// model, so that the training data need not travel.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::{DataSource, DataSourceExt, MemorySource, batch};
/// use mlops_drift::multivariate::RowSample;
/// let source = MemorySource::from(batch! {
///     "x" => Float64Array::from_iter_values((0..1000).map(f64::from)),
/// }?);
/// let sample = source.measure(&RowSample::of(&source.schema(), 7)?.with_cap(100)?)?;
/// assert_eq!((sample.len(), sample.rows_seen()), (100, 1000));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct RowSample {
    columns: Vec<ComparedColumn>,
    cap: usize,
    seed: u64,
    half: Option<Half>,
}

/// As it is written; whoever reads it trusts nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    columns: Vec<ComparedColumn>,
    cap: usize,
    seed: u64,
    half: Option<Half>,
}

impl TryFrom<Written> for RowSample {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        let Written { columns, cap, seed, half } = written;
        Ok(Self { half, ..Self::new(columns, seed)?.with_cap(cap)? })
    }
}

/// A half of the rows, told from the other by a hash of the row's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Half {
    /// The half that something is fitted on.
    Fitted,
    /// The half that it is judged on.
    Held,
}

impl RowSample {
    /// The stable kind of its [`Description`].
    pub const KIND: &'static str = "row_sample";
    /// The version of its state's bytes.
    pub const VERSION: u16 = 1;
    /// The rows that are kept unless told otherwise.
    pub const CAP: usize = 5_000;

    /// A sample of all columns of this schema that can be compared.
    ///
    /// # Errors
    /// As [`ComparedColumn::all`].
    pub fn of(schema: &Schema, seed: u64) -> Result<Self> {
        Self::new(ComparedColumn::all(schema)?, seed)
    }

    /// A sample of these columns.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there are none, one comes twice, or one is a list of a length that
    /// none has.
    pub fn new(columns: Vec<ComparedColumn>, seed: u64) -> Result<Self> {
        if columns.is_empty() {
            return Err(Error::invalid("columns to compare", "at least one", "none"));
        }
        for (i, column) in columns.iter().enumerate() {
            if columns[..i].iter().any(|c| c.name == column.name) {
                return Err(Error::invalid("columns to compare", "each once", &column.name));
            }
            if let ColumnKind::Embedding { dimension } = column.kind
                && !(1..=i32::MAX as usize).contains(&dimension)
            {
                let what = format!("length of the lists of `{}`", column.name);
                return Err(Error::invalid(what, "1 to 2,147,483,647", dimension));
            }
        }
        Ok(Self { columns, cap: Self::CAP, seed, half: None })
    }

    /// The same with this cap.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a cap of 0.
    pub fn with_cap(mut self, cap: usize) -> Result<Self> {
        if cap == 0 {
            return Err(Error::invalid("cap of a sample", "at least one row", cap));
        }
        self.cap = cap;
        Ok(self)
    }

    pub(crate) fn of_half(mut self, half: Half) -> Self {
        self.half = Some(half);
        self
    }

    /// The columns that are compared.
    pub fn columns(&self) -> &[ComparedColumn] {
        &self.columns
    }

    /// The sample of a source: one scan.
    ///
    /// # Errors
    /// Those of the source; a column that is missing or of another kind.
    pub fn draw(&self, source: &dyn DataSource) -> Result<Sample> {
        Scan::new(source).run(self)
    }
}

/// Who draws rows: the same for a row wherever and whenever it is read.
pub(crate) struct RowDraws(u64);

impl RowDraws {
    pub(crate) fn of(seed: u64, origin: &str) -> Self {
        let digest = Digest::of(origin);
        let head = digest.as_bytes().first_chunk::<8>().map_or(0, |b| u64::from_le_bytes(*b));
        Self(seed ^ head)
    }

    /// The row's priority, the least of which are drawn, and its half.
    pub(crate) fn at(&self, row: u64) -> (u64, Half) {
        let mut draws = Draws::new(self.0, STREAM, row);
        let priority = draws.next_u64();
        (priority, if draws.next_u64() & 1 == 0 { Half::Fitted } else { Half::Held })
    }
}

/// A row that was drawn.
#[derive(Clone, Debug)]
pub(crate) struct DrawnRow {
    priority: u64,
    /// NaN where missing.
    pub(crate) numbers: Box<[f64]>,
    pub(crate) labels: Box<[Option<Box<str>>]>,
}

impl DrawnRow {
    /// By priority; the rest makes the order total, so that equal places hold equal rows.
    fn order(&self, other: &Self) -> Ordering {
        self.priority.cmp(&other.priority).then_with(|| {
            let mut numbers = self.numbers.iter().zip(&other.numbers).map(|(a, b)| a.total_cmp(b));
            numbers
                .find(|o| o.is_ne())
                .unwrap_or(Ordering::Equal)
                .then_with(|| self.labels.cmp(&other.labels))
        })
    }
}

/// What [`RowSample`] remembers.
#[derive(Clone, Debug)]
pub struct SampleState {
    cap: usize,
    seen: u64,
    rows: Vec<DrawnRow>,
    /// No row of a higher priority can still be drawn.
    limit: u64,
}

impl SampleState {
    fn prune(&mut self) {
        if self.rows.len() > self.cap {
            self.rows.select_nth_unstable_by(self.cap - 1, DrawnRow::order);
            self.rows.truncate(self.cap);
            self.limit = self.rows.last().map_or(u64::MAX, |row| row.priority);
        }
    }

    fn sorted(mut self) -> Self {
        self.prune();
        self.rows.sort_unstable_by(DrawnRow::order);
        self
    }
}

impl State for SampleState {
    fn merge(&mut self, other: Self) -> Result<()> {
        if self.cap != other.cap {
            return Err(Error::merge("samples of rows", "they have different caps"));
        }
        add_count(&mut self.seen, other.seen);
        self.rows.extend(other.rows);
        self.limit = self.limit.min(other.limit);
        self.prune();
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let sorted = self.clone().sorted();
        put_u64(out, sorted.seen);
        put_len(out, sorted.rows.len());
        for row in &sorted.rows {
            put_u64(out, row.priority);
            for x in &row.numbers {
                put_f64(out, *x);
            }
            for label in &row.labels {
                put_u8(out, u8::from(label.is_some()));
                if let Some(label) = label {
                    put_str(out, label);
                }
            }
        }
    }

    fn size(&self) -> usize {
        let row = |row: &DrawnRow| {
            let text: usize = row.labels.iter().flatten().map(|label| label.len()).sum();
            size_of::<DrawnRow>() + 8 * row.numbers.len() + 16 * row.labels.len() + text
        };
        size_of::<Self>() + self.rows.iter().map(row).sum::<usize>()
    }
}

impl Analyzer for RowSample {
    type State = SampleState;
    type Output = Sample;

    fn columns(&self) -> Vec<String> {
        self.columns.iter().map(|c| c.name.clone()).collect()
    }

    fn start(&self) -> SampleState {
        SampleState { cap: self.cap, seen: 0, rows: Vec::new(), limit: u64::MAX }
    }

    fn update(&self, state: &mut SampleState, rows: &Rows<'_>) -> Result<()> {
        let block = Block::of(&self.columns, rows)?;
        let draws = RowDraws::of(self.seed, rows.origin());
        let (wide, labels) = width(&self.columns);
        for row in 0..rows.len() {
            let (priority, half) = draws.at(rows.row_number(row));
            if self.half.is_some_and(|wanted| wanted != half) {
                continue;
            }
            add_count(&mut state.seen, 1);
            if priority > state.limit {
                continue;
            }
            let mut numbers = Vec::with_capacity(wide);
            block.push_numbers(row, &mut numbers);
            let labels = (0..labels).map(|c| block.label(c, row).map(Box::from)).collect();
            state.rows.push(DrawnRow { priority, numbers: numbers.into(), labels });
            if state.rows.len() >= state.cap.saturating_mul(2) {
                state.prune();
            }
        }
        Ok(())
    }

    fn finish(&self, state: SampleState) -> Result<Sample> {
        let state = state.sorted();
        Ok(Sample { columns: self.columns.clone(), seen: state.seen, rows: state.rows })
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<SampleState> {
        let (numbers, labels) = width(&self.columns);
        let seen = take_count(bytes)?;
        let len = take_len(bytes, 8 + 8 * numbers + labels)?;
        if len > self.cap || len as u64 > seen {
            return Err(bad(bytes, format!("at most {} rows", seen.min(self.cap as u64)), len));
        }
        let mut rows: Vec<DrawnRow> = Vec::with_capacity(len);
        for _ in 0..len {
            let row = take_row(bytes, numbers, labels)?;
            if rows.last().is_some_and(|last| last.order(&row).is_gt()) {
                return Err(bad(bytes, "rows in their order", "one before the last"));
            }
            rows.push(row);
        }
        let full = rows.len() == self.cap;
        let limit = rows.last().filter(|_| full).map_or(u64::MAX, |row| row.priority);
        Ok(SampleState { cap: self.cap, seen, rows, limit })
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new(Self::KIND, Self::VERSION, self))
    }
}

fn take_row(bytes: &mut &[u8], numbers: usize, labels: usize) -> Result<DrawnRow> {
    let priority = take_u64(bytes)?;
    let numbers = (0..numbers)
        .map(|_| {
            let x = take_f64(bytes)?;
            let canonical = if x.is_finite() { x + 0.0 } else { f64::NAN };
            if x.to_bits() == canonical.to_bits() {
                Ok(x)
            } else {
                Err(bad(bytes, "a finite number or NaN, not -0", x))
            }
        })
        .collect::<Result<_>>()?;
    let labels = (0..labels)
        .map(|_| match take_u8(bytes)? {
            0 => Ok(None),
            1 => Ok(Some(take_str(bytes)?.into())),
            other => Err(bad(bytes, "0 or 1", other)),
        })
        .collect::<Result<_>>()?;
    Ok(DrawnRow { priority, numbers, labels })
}

/// Rows that were drawn of a source, with their raw values.
#[derive(Clone, Debug)]
pub struct Sample {
    pub(crate) columns: Vec<ComparedColumn>,
    pub(crate) seen: u64,
    pub(crate) rows: Vec<DrawnRow>,
}

impl Sample {
    /// How many rows were drawn.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many rows they were drawn of.
    pub fn rows_seen(&self) -> u64 {
        self.seen
    }

    /// The columns.
    pub fn columns(&self) -> &[ComparedColumn] {
        &self.columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{FixedSizeListArray, Float32Array, Float64Array, RecordBatch, StringArray};
    use arrow::datatypes::Float32Type;
    use mlops_core::{MemorySource, batch};

    fn nasty() -> RecordBatch {
        let x = [Some(f64::NAN), Some(-0.0), None, Some(f64::INFINITY), Some(1e300), Some(5e-324)];
        let n = 40;
        let lists = (0..n)
            .map(|i| (i % 7 != 3).then(|| vec![Some(i as f32), (i % 5 != 0).then_some(-0.0)]));
        batch! {
            "x" => (0..n).map(|i| x[i % 6]).collect::<Float64Array>(),
            "s" => (0..n).map(|i| (i % 4 > 0).then(|| ["a", "b", ""][i % 3])).collect::<StringArray>(),
            "e" => FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(lists, 2),
            "f" => Float32Array::from_iter_values((0..n).map(|i| i as f32 / 3.0)),
        }
        .unwrap()
    }

    #[test]
    fn keeps_the_contract_of_an_analyzer() {
        let batch = nasty();
        for cap in [1, 7, 39, 100] {
            let sample = RowSample::of(batch.schema_ref(), 3).unwrap().with_cap(cap).unwrap();
            mlops_core::conformance::analyzer(&sample, &batch);
            let drawn = sample.draw(&MemorySource::from(batch.clone())).unwrap();
            assert_eq!((drawn.len(), drawn.rows_seen()), (cap.min(40), 40));
        }
        let half = |half| {
            let sample = RowSample::of(batch.schema_ref(), 3).unwrap().of_half(half);
            mlops_core::conformance::analyzer(&sample, &batch);
            sample.draw(&MemorySource::from(batch.clone())).unwrap().rows_seen()
        };
        assert_eq!(half(Half::Fitted) + half(Half::Held), 40);
    }

    #[test]
    fn every_row_is_as_likely() {
        let x = Float64Array::from_iter_values((0..20).map(f64::from));
        let source = MemorySource::from(batch! { "x" => x }.unwrap());
        let mut drawn = [0u32; 20];
        for seed in 0..600 {
            let sample = RowSample::of(&source.schema(), seed).unwrap().with_cap(5).unwrap();
            for row in sample.draw(&source).unwrap().rows {
                drawn[row.numbers[0] as usize] += 1;
            }
        }
        // 150 expected of each, with a standard deviation of 10.6.
        assert!(drawn.iter().all(|&n| (100..200).contains(&n)), "{drawn:?}");
    }

    #[test]
    fn what_cannot_be_compared_is_said() {
        let batch = nasty();
        let schema = batch.schema();
        assert!(ComparedColumn::named(&schema, ["y"]).is_err());
        assert!(ComparedColumn::named(&schema, ["x", "x"]).is_err());
        assert!(ComparedColumn::named::<&str>(&schema, []).is_err());
        let columns = ComparedColumn::named(&schema, ["e"]).unwrap();
        let other = batch! { "e" => Float64Array::from(vec![1.0]) }.unwrap();
        let sample = RowSample::new(columns, 1).unwrap();
        let error = sample.draw(&MemorySource::from(other)).unwrap_err();
        assert!(error.to_string().contains("fixed-size list of 2 numbers"), "{error}");
        assert!(sample.clone().with_cap(0).is_err());
        let text = serde_json::to_string(&sample).unwrap();
        assert_eq!(serde_json::from_str::<RowSample>(&text).unwrap(), sample);
        for (good, bad) in [
            ("\"cap\":5000", "\"cap\":0"),
            ("\"dimension\":2", "\"dimension\":0"),
            ("\"dimension\":2", "\"dimension\":18446744073709551615"),
            ("\"columns\":[", "\"columns\":[{\"name\":\"e\",\"kind\":\"number\"},"),
        ] {
            assert!(text.contains(good));
            assert!(serde_json::from_str::<RowSample>(&text.replacen(good, bad, 1)).is_err());
        }
    }
}
