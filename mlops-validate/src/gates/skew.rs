//! Skew between training and serving: the same entities' features, computed twice.

use std::collections::{BTreeSet, HashMap};

use arrow::array::{Array, ArrayRef, Float64Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use mlops_core::states::RowCount;
use mlops_core::stats::wilson;
use mlops_core::{
    Assessment, Categories, DataSource, Error, Finding, Result, RowId, Rows, Scan, Verdict,
    is_numeric, is_text, to_numbers,
};
use serde::{Deserialize, Serialize};

use super::metric::{check_confidence, check_share, percent};
use super::row_hash::row_hashes;
use super::time_order::instants;

/// As many rows of a finding are named.
const NAMED: usize = 20;

/// How features that were computed twice are compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SkewOptions {
    /// The columns that name a row on both sides: an entity, or an entity and a time.
    pub key: Vec<String>,
    /// The columns to compare; all that both sides have but the key where none is named.
    pub columns: Vec<String>,
    /// Two numbers are equal where they differ by no more than this (times: not at all) …
    pub absolute: f64,
    /// … or, where one of them is a float, by no more than this share of the larger one.
    pub relative: f64,
    /// The share of joined rows in which a column may differ, and of keys that may be missing on a
    /// side, judged at the Wilson limit; with 0 a single one fails.
    pub max_rate: f64,
    /// The confidence of the limits, two-sided.
    pub confidence: f64,
}

impl SkewOptions {
    /// Joined by this key; equal to 10⁻⁶ of the value (what a float of 32 bits keeps), in 99 % of
    /// the rows, at 95 % limits.
    pub fn new<S: Into<String>>(key: impl IntoIterator<Item = S>) -> Self {
        Self {
            key: key.into_iter().map(Into::into).collect(),
            columns: Vec::new(),
            absolute: 0.0,
            relative: 1e-6,
            max_rate: 0.01,
            confidence: 0.95,
        }
    }

    /// The same, comparing these columns.
    #[must_use]
    pub fn columns<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.columns = columns.into_iter().map(Into::into).collect();
        self
    }

    /// The same, with these tolerances for numbers.
    #[must_use]
    pub fn tolerance(mut self, absolute: f64, relative: f64) -> Self {
        (self.absolute, self.relative) = (absolute, relative);
        self
    }

    /// The same, with this share that may differ.
    #[must_use]
    pub fn max_rate(mut self, rate: f64) -> Self {
        self.max_rate = rate;
        self
    }

    fn check(&self) -> Result<()> {
        check_confidence(self.confidence)?;
        check_share("the rate of mismatches", self.max_rate)?;
        for (what, tolerance) in [("absolute", self.absolute), ("relative", self.relative)] {
            if !(tolerance >= 0.0 && tolerance.is_finite()) {
                let what = format!("the {what} tolerance");
                return Err(Error::invalid(what, "a number from 0 on", tolerance));
            }
        }
        if self.key.is_empty() {
            return Err(Error::invalid("the key of a join", "at least one column", "none"));
        }
        Ok(())
    }
}

/// Compares features computed offline, for training, with those computed online, for serving:
/// joined by the key, column by column.
///
/// Of each column the finding says in how many joined rows the values differ, and in how many only
/// one side has a value (NaN is none), and names the offline rows. It fails where the lower Wilson
/// limit of the share of both together lies above the rate, passes where the upper one is within,
/// and is inconclusive otherwise. Numbers are compared as numbers, with the tolerances, whatever
/// their types; text, booleans and numbers with each other are a fail of their own. Keys that stand
/// twice on a side are left out and make the join inconclusive; keys that stand on one side only
/// are judged by the same rate. A null in a key names nothing.
///
/// Holds both sources in memory, and 16 bytes a row besides.
///
/// ```
/// use mlops_core::arrow::array::{Float32Array, Float64Array, Int64Array};
/// use mlops_core::{MemorySource, batch};
/// use mlops_validate::{SkewOptions, skew};
///
/// let n = 1_000;
/// let offline = MemorySource::from(batch! {
///     "id" => Int64Array::from_iter_values(0..n),
///     "income" => Float64Array::from_iter_values((0..n).map(|i| i as f64 / 3.0)),
///     "visits" => Float64Array::from_iter_values((0..n).map(|i| (i % 7) as f64)),
/// }?);
/// // Online the rows come in another order, incomes in 32 bits; every tenth visit is not counted.
/// let online = MemorySource::from(batch! {
///     "id" => Int64Array::from_iter_values((0..n).rev()),
///     "income" => Float32Array::from_iter_values((0..n).rev().map(|i| (i as f64 / 3.0) as f32)),
///     "visits" => Float64Array::from_iter((0..n).rev().map(|i| (i % 10 > 0).then_some((i % 7) as f64))),
/// }?);
/// let found = skew(&offline, &online, &SkewOptions::new(["id"]))?;
/// let failing: Vec<_> = found.failures().map(|f| (f.subject.as_str(), f.failing_rows)).collect();
/// assert_eq!(failing, [("visits", Some(100))]);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Invalid`] for options out of range; [`Error::ColumnNotFound`] for a key or a named
/// column; [`Error::ColumnType`] for a nested key or column; those of the sources.
pub fn skew(
    offline: &dyn DataSource,
    online: &dyn DataSource,
    options: &SkewOptions,
) -> Result<Assessment> {
    options.check()?;
    let (offline, online) = (Table::read(offline)?, Table::read(online)?);
    let columns = if options.columns.is_empty() {
        let online = online.batch.schema();
        let both = |name: &String| online.index_of(name).is_ok() && !options.key.contains(name);
        let schema = offline.batch.schema();
        schema.fields().iter().map(|field| field.name().clone()).filter(both).collect()
    } else {
        options.columns.clone()
    };
    let (left, right) = (offline.keys(&options.key)?, online.keys(&options.key)?);
    let mut joined = Vec::new();
    let mut missing = Vec::new();
    for (&key, &row) in &left.rows {
        match right.rows.get(&key) {
            Some(&other) => joined.push((row, other)),
            None if !right.twice.contains(&key) => missing.push(row),
            None => {}
        }
    }
    let mut extra: Vec<usize> = right
        .rows
        .iter()
        .filter(|(key, _)| !left.rows.contains_key(key) && !left.twice.contains(key))
        .map(|(_, &row)| row)
        .collect();
    joined.sort_unstable();
    missing.sort_unstable();
    extra.sort_unstable();

    let mut findings = Vec::new();
    let key = options.key.join(", ");
    for (side, table, rows, keys) in [
        ("missing_online", &offline, &missing, &left),
        ("missing_offline", &online, &extra, &right),
    ] {
        let what = "keys are not on the other side";
        let n = keys.rows.len() as u64;
        findings.push(
            rate(side, &key, rows.len() as u64, n, what, options)?
                .with_rows(rows.len() as u64, table.names(rows.iter().copied())),
        );
    }
    for (side, table, keys) in [("offline", &offline, &left), ("online", &online, &right)] {
        let (twice, nulls) = (keys.repeated.len(), keys.nulls);
        if twice > 0 || nulls > 0 {
            let observed =
                format!("{twice} rows with a key that stands twice, {nulls} without one");
            let check = format!("unique_key_{side}");
            let verdict = Verdict::Inconclusive;
            findings.push(
                Finding::new(check, &key, verdict, "a key of its own in every row", observed)
                    .with_rows((twice as u64) + nulls, table.names(keys.repeated.iter().copied())),
            );
        }
    }
    for name in &columns {
        findings.push(compare(name, &offline, &online, &joined, options)?);
    }
    if columns.is_empty() {
        let verdict = Verdict::Inconclusive;
        let expected = "a column on both sides";
        findings.push(Finding::new("skew", "columns", verdict, expected, "none but the key"));
    }
    Ok(Assessment::new("train/serve skew", joined.len() as u64, findings))
}

fn rate(
    check: &str,
    subject: &str,
    bad: u64,
    n: u64,
    what: &str,
    options: &SkewOptions,
) -> Result<Finding> {
    let expected = format!("at most {} %", 100.0 * options.max_rate);
    if n == 0 {
        let verdict = Verdict::Inconclusive;
        return Ok(Finding::new(check, subject, verdict, expected, "no rows to compare"));
    }
    let limits = wilson(bad, n, options.confidence)?;
    let verdict = match () {
        () if options.max_rate == 0.0 => Verdict::from_bool(bad == 0),
        () if limits.high <= options.max_rate => Verdict::Pass,
        () if limits.low > options.max_rate => Verdict::Fail,
        () => Verdict::Inconclusive,
    };
    let share = bad as f64 / n as f64;
    let confidence = percent(options.confidence);
    let observed =
        format!("{bad} of {n} {what} ({:.3} %), {confidence} % limits {limits}", 100.0 * share);
    Ok(Finding::new(check, subject, verdict, expected, observed)
        .with_value(share)
        .with_interval(limits.low, limits.high))
}

/// A column as it is compared.
enum Values {
    Whole(Vec<Option<i128>>),
    /// Of times, in nanoseconds.
    Times(Vec<Option<i128>>),
    Numbers(Float64Array),
    Labels(Categories),
}

impl Values {
    fn of(name: &str, array: &ArrayRef) -> Result<Self> {
        if is_text(array.data_type()) || array.data_type() == &DataType::Boolean {
            return Ok(Self::Labels(Categories::of(name, array)?));
        }
        match array.data_type() {
            whole if whole.is_integer() => return Ok(Self::Whole(instants(name, array)?)),
            DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 => {
                return Ok(Self::Times(instants(name, array)?));
            }
            other if other.is_temporal() => {
                let expected = "numbers, text, booleans, dates or timestamps";
                return Err(Error::column_type(name, expected, other));
            }
            _ => {}
        }
        Ok(Self::Numbers(to_numbers(name, array)?))
    }
}

fn compare(
    name: &str,
    offline: &Table,
    online: &Table,
    joined: &[(usize, usize)],
    options: &SkewOptions,
) -> Result<Finding> {
    let left = mlops_core::column(&offline.batch, name)?;
    let right = mlops_core::column(&online.batch, name)?;
    let (of, to) = (left.data_type(), right.data_type());
    let (left, right) = (Values::of(name, left)?, Values::of(name, right)?);
    let (left, right) = match (left, right) {
        // A count that is a float on one side is compared as one.
        (Values::Whole(left), Values::Numbers(right)) => (floats(&left), Values::Numbers(right)),
        (Values::Numbers(left), Values::Whole(right)) => (Values::Numbers(left), floats(&right)),
        as_they_are => as_they_are,
    };
    let mut differ = Vec::new();
    let mut lone = 0_u64;
    for &(a, b) in joined {
        let (there, equal) = match (&left, &right) {
            (Values::Numbers(left), Values::Numbers(right)) => {
                let number = |values: &Float64Array, row: usize| {
                    values.is_valid(row).then(|| values.value(row)).filter(|x| !x.is_nan())
                };
                let (a, b) = (number(left, a), number(right, b));
                ((a.is_some(), b.is_some()), close(a, b, options))
            }
            (Values::Whole(left), Values::Whole(right)) => {
                let (a, b) = (left[a], right[b]);
                let near = |a: i128, b: i128| a == b || a.abs_diff(b) as f64 <= options.absolute;
                ((a.is_some(), b.is_some()), a == b || a.zip(b).is_some_and(|(a, b)| near(a, b)))
            }
            (Values::Times(left), Values::Times(right)) => {
                let (a, b) = (left[a], right[b]);
                ((a.is_some(), b.is_some()), a == b)
            }
            (Values::Labels(left), Values::Labels(right)) => {
                let (a, b) = (left.label(a), right.label(b));
                ((a.is_some(), b.is_some()), a == b)
            }
            _ => return Ok(types(name, of, to)),
        };
        if there.0 != there.1 {
            lone += 1;
        }
        if !equal {
            differ.push(a);
        }
    }
    let bad = differ.len() as u64;
    let what =
        format!("rows differ, {} in their values and {lone} where one side has none", bad - lone);
    Ok(rate("skew", name, bad, joined.len() as u64, &what, options)?
        .with_rows(bad, offline.names(differ)))
}

fn floats(whole: &[Option<i128>]) -> Values {
    Values::Numbers(whole.iter().map(|x| x.map(|x| x as f64)).collect())
}

fn types(name: &str, offline: &DataType, online: &DataType) -> Finding {
    let observed = format!("{online} online");
    Finding::new("skew", name, Verdict::Fail, format!("{offline}, as offline"), observed)
}

fn close(a: Option<f64>, b: Option<f64>, options: &SkewOptions) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            let apart = (a - b).abs();
            let most = a.abs().max(b.abs());
            // Infinities are equal or nothing is close to them.
            a == b
                || (most.is_finite()
                    && (apart <= options.absolute || apart <= options.relative * most))
        }
        _ => false,
    }
}

/// The rows of a source in memory, with their names.
struct Table {
    batch: RecordBatch,
    /// Where each batch begins, and the name of its first row.
    spans: Vec<(usize, RowId)>,
}

/// The rows of each key.
struct Keys {
    rows: HashMap<u128, usize>,
    /// Keys that stand more than once, and their rows.
    twice: BTreeSet<u128>,
    repeated: Vec<usize>,
    nulls: u64,
}

impl Table {
    fn read(source: &dyn DataSource) -> Result<Self> {
        let (mut batches, mut spans, mut at) = (Vec::new(), Vec::new(), 0);
        Scan::new(source).in_order(&RowCount, |rows| {
            spans.push((at, rows.row_id(0)));
            batches.push(rows.batch()?.clone());
            at += rows.len();
            Ok(())
        })?;
        Ok(Self { batch: concat_batches(&source.schema(), &batches)?, spans })
    }

    fn names(&self, rows: impl IntoIterator<Item = usize>) -> Vec<RowId> {
        let name = |row: usize| {
            let span = self.spans.partition_point(|(start, _)| *start <= row).checked_sub(1)?;
            let (start, first) = &self.spans[span];
            Some(RowId { origin: first.origin.clone(), row: first.row + (row - start) as u64 })
        };
        rows.into_iter().take(NAMED).filter_map(name).collect()
    }

    fn keys(&self, key: &[String]) -> Result<Keys> {
        let rows = Rows::new(&self.batch);
        let hashes = row_hashes(&rows, key)?;
        let mut nulls = Vec::new();
        for name in key {
            let column = rows.column(name)?;
            if !is_numeric(column.data_type()) && !is_text(column.data_type()) {
                let expected = "numbers, text, booleans, dates or times";
                return Err(Error::column_type(name, expected, column.data_type()));
            }
            nulls.extend(column.logical_nulls());
        }
        let mut keys = Keys {
            rows: HashMap::with_capacity(hashes.len()),
            twice: BTreeSet::new(),
            repeated: Vec::new(),
            nulls: 0,
        };
        for (row, &hash) in hashes.iter().enumerate() {
            if nulls.iter().any(|nulls| nulls.is_null(row)) {
                keys.nulls += 1;
            } else if keys.twice.contains(&hash) {
                keys.repeated.push(row);
            } else if let Some(first) = keys.rows.insert(hash, row) {
                keys.rows.remove(&hash);
                keys.twice.insert(hash);
                keys.repeated.extend([first, row]);
            }
        }
        keys.repeated.sort_unstable();
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        BooleanArray, Date32Array, Int64Array, StringArray, TimestampMillisecondArray,
    };
    use mlops_core::{MemorySource, batch};

    fn source(batch: Result<RecordBatch>) -> MemorySource {
        MemorySource::from(batch.unwrap())
    }

    fn by_subject<'a>(found: &'a Assessment, subject: &str) -> &'a Finding {
        found.findings.iter().find(|f| f.check == "skew" && f.subject == subject).unwrap()
    }

    #[test]
    fn every_kind_of_difference_is_counted_apart() {
        let ids = || Int64Array::from_iter_values(0..6);
        let offline = source(batch! {
            "id" => ids(),
            "x" => Float64Array::from(vec![Some(1.0), Some(100.0), None, Some(0.0), Some(f64::NAN), Some(f64::INFINITY)]),
            "s" => StringArray::from(vec![Some("a"), Some("b"), None, None, Some(""), Some("é")]),
            "t" => BooleanArray::from(vec![true; 6]),
        })
        .named("offline.parquet");
        let online = source(batch! {
            "id" => ids(),
            "x" => Float64Array::from(vec![Some(1.0 + 1e-9), Some(101.0), None, Some(-0.0), None, Some(1.0)]),
            "s" => StringArray::from(vec![Some("a"), None, None, Some("c"), None, Some("é")]),
            "t" => StringArray::from(vec!["true"; 6]),
        });
        let options = SkewOptions::new(["id"]).max_rate(0.0);
        let found = skew(&offline, &online, &options).unwrap();
        let x = by_subject(&found, "x");
        assert_eq!(x.failing_rows, Some(2));
        assert_eq!(
            x.rows.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["offline.parquet:1", "offline.parquet:5"]
        );
        let s = by_subject(&found, "s");
        assert!(s.observed.contains("3 of 6 rows differ, 0 in their values and 3 where"), "{s}");
        assert_eq!(by_subject(&found, "t").verdict, Verdict::Pass);
        let loose = skew(&offline, &online, &options.clone().tolerance(1.0, 0.0)).unwrap();
        assert_eq!(by_subject(&loose, "x").failing_rows, Some(1));
        let other = source(batch! { "id" => ids(), "x" => StringArray::from(vec!["1"; 6]) });
        let found = skew(&offline, &other, &options).unwrap();
        assert!(by_subject(&found, "x").observed.contains("Utf8 online"), "{found}");
        // Six rows that agree are no proof of 99 %.
        let same = skew(&offline, &offline, &SkewOptions::new(["id"])).unwrap();
        assert_eq!(same.verdict, Verdict::Inconclusive);
        assert!(skew(&offline, &offline, &options).unwrap().verdict.is_pass());
    }

    #[test]
    fn whole_numbers_and_times_are_exact() {
        let table = |visits: i64, at: i64| {
            source(batch! {
                "id" => Int64Array::from(vec![1]),
                "visits" => Int64Array::from(vec![visits]),
                "at" => TimestampMillisecondArray::from(vec![at]),
            })
        };
        let options = SkewOptions::new(["id"]).max_rate(0.0);
        let failing = |online: &MemorySource, options: &SkewOptions| -> Vec<String> {
            let found = skew(&table(1_i64 << 60, 86_400_000_000), online, options).unwrap();
            found.failures().map(|f| f.subject.clone()).collect()
        };
        assert!(failing(&table(1 << 60, 86_400_000_000), &options).is_empty());
        assert_eq!(failing(&table((1 << 60) + 1, 86_400_000_001), &options), ["visits", "at"]);
        let loose = options.clone().tolerance(1.0, 0.0);
        assert_eq!(failing(&table((1 << 60) + 1, 86_400_000_001), &loose), ["at"]);
        // Units meet; a time is no number.
        let dates = source(batch! {
            "id" => Int64Array::from(vec![1]),
            "visits" => Date32Array::from(vec![1]),
            "at" => Date32Array::from(vec![1_000]),
        });
        assert_eq!(failing(&dates, &options), ["visits"]);
    }

    #[test]
    fn keys_that_are_missing_twice_or_null() {
        let table = |ids: Vec<Option<i64>>| {
            let x = Float64Array::from(vec![1.0; ids.len()]);
            source(batch! { "id" => Int64Array::from(ids), "x" => x })
        };
        let offline = table(vec![Some(1), Some(2), Some(2), Some(3), None, Some(4)]);
        let online = table(vec![Some(4), Some(1), Some(5), Some(2)]);
        let options = SkewOptions::new(["id"]).max_rate(0.0);
        let found = skew(&offline, &online, &options).unwrap();
        let counts: Vec<_> = found
            .findings
            .iter()
            .map(|f| {
                (f.check.as_str(), f.failing_rows, f.rows.iter().map(|r| r.row).collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(
            counts,
            [
                ("missing_online", Some(1), vec![3]),
                ("missing_offline", Some(1), vec![2]),
                ("unique_key_offline", Some(3), vec![1, 2]),
                ("skew", Some(0), vec![]),
            ]
        );
        assert_eq!(found.rows, 2);
        assert!(skew(&offline, &online, &SkewOptions::new(["q"])).is_err());
        assert!(skew(&offline, &online, &SkewOptions::new(Vec::<String>::new())).is_err());
        assert!(skew(&offline, &online, &SkewOptions::new(["id"]).max_rate(99.0)).is_err());
        assert!(
            skew(&offline, &online, &SkewOptions::new(["id"]).tolerance(f64::NAN, 0.0)).is_err()
        );
        let empty = table(vec![]);
        assert_eq!(skew(&empty, &empty, &options).unwrap().verdict, Verdict::Inconclusive);
    }

    #[test]
    fn the_cut_of_the_sources_changes_nothing() {
        let n = 200;
        let make = |wrong: i64| {
            batch! {
                "id" => Int64Array::from_iter_values(0..n),
                "x" => Float64Array::from_iter_values(
                    (0..n).map(|i| if i % wrong == 0 { 1.5 } else { 1.0 })
                ),
            }
            .unwrap()
        };
        let whole = MemorySource::from(make(7));
        let online = MemorySource::from(make(11));
        let found = skew(&whole, &online, &SkewOptions::new(["id"])).unwrap();
        let parts: Vec<_> = (0..n as usize)
            .step_by(13)
            .map(|at| make(7).slice(at, 13.min(n as usize - at)))
            .collect();
        let cut = MemorySource::new(parts[0].schema(), parts).unwrap();
        assert_eq!(skew(&cut, &online, &SkewOptions::new(["id"])).unwrap(), found);
    }
}
