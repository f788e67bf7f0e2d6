//! Test rows that stand in the training data, too.

use std::collections::HashMap;
use std::sync::Arc;

use mlops_core::bytes::{
    add_count, bad, put_len, put_u64, put_u128, take_count, take_len, take_u128,
};
use mlops_core::{
    Analyzer, Assessment, DataSource, DataSourceExt, Description, Error, Finding, Result, Rows,
    State, Verdict,
};
use serde::{Deserialize, Serialize};

use super::flagged::FlaggedState;
use super::metric::{also, check_share};
use super::row_hash::row_hashes;

/// Hashes of the rows of a training set by some columns: enough to find them again in a test set,
/// and small enough to be kept with the model instead of the data (24 bytes a distinct row).
///
/// ```
/// use std::sync::Arc;
/// use mlops_core::arrow::array::{Float64Array, Int64Array};
/// use mlops_core::{DataSourceExt, MemorySource, batch};
/// use mlops_validate::RowHashes;
///
/// let people = |ids: Vec<i64>| batch! { "id" => Int64Array::from(ids) }.map(MemorySource::from);
/// let train = Arc::new(people(vec![1, 2, 3])?.measure(&RowHashes::new(["id"]))?);
/// let found = train.overlap(&people(vec![3, 4])?, 0.0)?;
/// assert!(found.verdict.is_fail());
/// assert_eq!(found.findings[0].rows[0].row, 0);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowHashes {
    columns: Vec<String>,
    whole_rows: bool,
}

impl RowHashes {
    /// The stable kind of its [`Description`].
    pub const KIND: &'static str = "validate/row_hashes";
    /// The version of its state's bytes.
    pub const VERSION: u16 = 1;

    /// Of these columns, as of an entity's id. A row with a null in one of them names no entity
    /// and is left out.
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Self {
        Self { columns: columns.into_iter().map(Into::into).collect(), whole_rows: false }
    }

    /// Of rows as a whole: a null equals a null.
    pub fn of_rows<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Self {
        Self { whole_rows: true, ..Self::new(columns) }
    }

    /// For each row its hash, `None` where it names no entity.
    fn hashes(&self, rows: &Rows<'_>) -> Result<Vec<Option<u128>>> {
        let hashes = row_hashes(rows, &self.columns)?;
        let mut nulls = Vec::new();
        if !self.whole_rows {
            for name in &self.columns {
                nulls.extend(rows.column(name)?.logical_nulls());
            }
        }
        let named = |row: usize| nulls.iter().all(|nulls| nulls.is_valid(row));
        Ok(hashes.into_iter().enumerate().map(|(row, hash)| named(row).then_some(hash)).collect())
    }
}

/// The distinct rows that were seen, and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowHashState {
    seen: HashMap<u128, u64>,
    nulls: u64,
}

impl State for RowHashState {
    fn merge(&mut self, other: Self) -> Result<()> {
        add_count(&mut self.nulls, other.nulls);
        for (hash, count) in other.seen {
            add_count(self.seen.entry(hash).or_default(), count);
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.nulls);
        put_len(out, self.seen.len());
        let mut sorted: Vec<_> = self.seen.iter().collect();
        sorted.sort_unstable();
        for (&hash, &count) in sorted {
            put_u128(out, hash);
            put_u64(out, count);
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.seen.capacity() * 33
    }
}

impl Analyzer for RowHashes {
    type State = RowHashState;
    type Output = HashedRows;

    fn columns(&self) -> Vec<String> {
        self.columns.clone()
    }

    fn start(&self) -> RowHashState {
        RowHashState::default()
    }

    fn update(&self, state: &mut RowHashState, rows: &Rows<'_>) -> Result<()> {
        if self.columns.is_empty() {
            return Err(Error::invalid("the columns of an overlap", "at least one", "none"));
        }
        for hash in self.hashes(rows)? {
            match hash {
                Some(hash) => *state.seen.entry(hash).or_default() += 1,
                None => state.nulls += 1,
            }
        }
        Ok(())
    }

    fn finish(&self, state: RowHashState) -> Result<HashedRows> {
        Ok(HashedRows { of: self.clone(), state: Arc::new(state) })
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<RowHashState> {
        let nulls = take_count(bytes)?;
        let n = take_len(bytes, 24)?;
        let mut seen = HashMap::with_capacity(n);
        let mut before = None;
        for _ in 0..n {
            let hash = take_u128(bytes)?;
            let count = take_count(bytes)?;
            if before.is_some_and(|before| before >= hash) || count == 0 {
                return Err(bad(bytes, "ascending hashes of rows that were seen", hash));
            }
            before = Some(hash);
            seen.insert(hash, count);
        }
        Ok(RowHashState { seen, nulls })
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new(Self::KIND, Self::VERSION, self))
    }
}

/// The rows of a training set, by their hashes.
#[derive(Clone, Debug, PartialEq)]
pub struct HashedRows {
    of: RowHashes,
    state: Arc<RowHashState>,
}

impl HashedRows {
    /// How many different rows or entities there are.
    pub fn distinct(&self) -> u64 {
        self.state.seen.len() as u64
    }

    /// The test rows that stand among these: how many, and the first of them by name. It fails
    /// where their share is more than `max_share`; by chance alone rows of few columns with few
    /// values are equal, so that of these a share above 0 has to be allowed.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a share outside \[0, 1\]; [`Error::ColumnNotFound`]; those of the
    /// source.
    pub fn overlap(&self, test: &dyn DataSource, max_share: f64) -> Result<Assessment> {
        let found = test.scan().run(&Overlap(self.clone()))?;
        let finding = self.finding(&found, max_share)?;
        Ok(Assessment::new("overlap", found.rows, vec![finding]))
    }

    fn finding(&self, found: &FlaggedState, max_share: f64) -> Result<Finding> {
        check_share("the share of test rows that may stand in the training data", max_share)?;
        let (check, subject, what) = if self.of.whole_rows {
            ("duplicate_rows", "rows".to_owned(), "rows")
        } else {
            ("shared_entities", self.of.columns.join(", "), "rows whose entity")
        };
        let asked = found.rows - found.nulls;
        let expected = match max_share {
            0.0 => format!("no test {what} in the training data"),
            _ => format!("at most {} % of the test {what} in the training data", 100.0 * max_share),
        };
        if asked == 0 || self.state.seen.is_empty() {
            let side = if asked == 0 { "test" } else { "training" };
            let observed = format!("nothing to compare on the {side} side");
            return Ok(Finding::new(check, subject, Verdict::Inconclusive, expected, observed));
        }
        let share = found.flagged as f64 / asked as f64;
        let mut observed = format!("{} of {asked} ({:.2} %)", found.flagged, 100.0 * share);
        if found.nulls > 0 {
            also(&mut observed, format_args!(", {} rows without a key left out", found.nulls));
        }
        let verdict = Verdict::from_bool(share <= max_share);
        Ok(Finding::new(check, subject, verdict, expected, observed)
            .with_value(share)
            .with_rows(found.flagged, found.first.clone()))
    }
}

/// Counts the rows that stand among hashed ones.
#[derive(Debug)]
struct Overlap(HashedRows);

impl Analyzer for Overlap {
    type State = FlaggedState;
    type Output = FlaggedState;

    fn columns(&self) -> Vec<String> {
        self.0.of.columns.clone()
    }

    fn start(&self) -> FlaggedState {
        FlaggedState::default()
    }

    fn update(&self, state: &mut FlaggedState, rows: &Rows<'_>) -> Result<()> {
        let hashes = self.0.of.hashes(rows)?;
        state.update(rows, |row| hashes[row].map(|hash| self.0.state.seen.contains_key(&hash)));
        Ok(())
    }

    fn finish(&self, state: FlaggedState) -> Result<FlaggedState> {
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<FlaggedState> {
        FlaggedState::decode(bytes)
    }
}

/// What an overlap of training and test data is looked for by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct OverlapOptions {
    /// The columns by which rows are equal; all that both sides have where none is named.
    pub columns: Vec<String>,
    /// The columns that name an entity, none of which may stand on both sides; none unless named.
    pub entity: Vec<String>,
    /// The share of test rows that may be equal to a row of the training data.
    pub max_share: f64,
}

impl OverlapOptions {
    /// The same, comparing rows by these columns.
    #[must_use]
    pub fn columns<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.columns = columns.into_iter().map(Into::into).collect();
        self
    }

    /// The same, comparing entities by these columns, too.
    #[must_use]
    pub fn entity<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.entity = columns.into_iter().map(Into::into).collect();
        self
    }

    /// The same, allowing this share of equal rows.
    #[must_use]
    pub fn max_share(mut self, share: f64) -> Self {
        self.max_share = share;
        self
    }
}

/// Test rows that stand in the training data, and entities on both sides: two scans.
///
/// ```
/// use mlops_core::arrow::array::{Float64Array, Int64Array};
/// use mlops_core::{MemorySource, batch};
/// use mlops_validate::{OverlapOptions, overlap};
///
/// let people = |ids: Vec<i64>, ages: Vec<f64>| {
///     batch! { "id" => Int64Array::from(ids), "age" => Float64Array::from(ages) }
///         .map(MemorySource::from)
/// };
/// let train = people(vec![1, 2, 3], vec![30.0, 40.0, 50.0])?;
/// let test = people(vec![2, 3, 4], vec![40.0, 51.0, 60.0])?;
/// let found = overlap(&train, &test, &OverlapOptions::default().entity(["id"]))?;
/// let counts: Vec<_> = found.findings.iter().map(|f| (f.check.as_str(), f.failing_rows)).collect();
/// assert_eq!(counts, [("duplicate_rows", Some(1)), ("shared_entities", Some(2))]);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Invalid`] for a share outside \[0, 1\] or sides that have no column in common;
/// [`Error::ColumnNotFound`]; [`Error::ColumnType`] for nested columns; those of the sources.
pub fn overlap(
    train: &dyn DataSource,
    test: &dyn DataSource,
    options: &OverlapOptions,
) -> Result<Assessment> {
    let columns = if options.columns.is_empty() {
        let (train, test) = (train.schema(), test.schema());
        let both = |name: &String| test.index_of(name).is_ok();
        train.fields().iter().map(|f| f.name().clone()).filter(both).collect()
    } else {
        options.columns.clone()
    };
    let mut wanted = vec![(RowHashes::of_rows(columns), options.max_share)];
    if !options.entity.is_empty() {
        wanted.push((RowHashes::new(options.entity.clone()), 0.0));
    }
    let (mut findings, mut rows) = (Vec::new(), 0);
    for (of, max_share) in wanted {
        let found = train.scan().run(&of)?.overlap(test, max_share)?;
        rows = found.rows;
        findings.extend(found.findings);
    }
    Ok(Assessment::new("overlap", rows, findings))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, StringArray};
    use mlops_core::{MemorySource, batch, conformance};

    fn nasty() -> arrow::array::RecordBatch {
        batch! {
            "x" => Float64Array::from(vec![
                Some(f64::NAN), Some(-0.0), Some(0.0), None, Some(f64::INFINITY), Some(1e300),
                Some(1e-300), Some(1.0), Some(1.0), None,
            ]),
            "s" => StringArray::from(vec![
                Some("a"), Some(""), Some(""), None, Some("é"), Some("a"), Some("a"), None,
                Some("b"), None,
            ]),
        }
        .unwrap()
    }

    #[test]
    fn states_keep_the_contract() {
        conformance::analyzer(&RowHashes::new(["x", "s"]), &nasty());
        conformance::analyzer(&RowHashes::of_rows(["x", "s"]), &nasty());
        let source = MemorySource::from(nasty());
        let hashed = source.scan().run(&RowHashes::of_rows(["s"])).unwrap();
        assert_eq!(hashed.distinct(), 5);
        conformance::analyzer(&Overlap(hashed), &nasty());
    }

    #[test]
    fn rows_and_entities_and_what_has_none() {
        let source = MemorySource::from(nasty());
        let found = overlap(&source, &source, &OverlapOptions::default()).unwrap();
        assert_eq!(found.findings[0].failing_rows, Some(10));
        let found =
            overlap(&source, &source, &OverlapOptions::default().entity(["x", "s"])).unwrap();
        // Three rows have a null in a key.
        assert_eq!(found.findings[1].failing_rows, Some(7));
        assert!(found.findings[1].observed.contains("3 rows without a key"), "{found}");
        let empty = MemorySource::from(nasty().slice(0, 0));
        for (train, test) in [(&source, &empty), (&empty, &source)] {
            let found = overlap(train, test, &OverlapOptions::default()).unwrap();
            assert_eq!(found.verdict, Verdict::Inconclusive);
        }
        let other = MemorySource::from(batch! { "y" => Float64Array::from(vec![1.0]) }.unwrap());
        assert!(overlap(&source, &other, &OverlapOptions::default()).is_err());
        assert!(overlap(&source, &source, &OverlapOptions::default().columns(["q"])).is_err());
        assert!(overlap(&source, &source, &OverlapOptions::default().max_share(5.0)).is_err());
        let allowed = OverlapOptions::default().columns(["x"]).max_share(1.0);
        assert!(overlap(&source, &source, &allowed).unwrap().verdict.is_pass());
    }
}
