//! Training rows and test rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::datatypes::{DataType, TimeUnit};
use mlops_core::{DataSource, Error, Result, Rows};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::source::{Filtered, collect, timestamp};

/// A way to part the rows of a source into training and test rows.
///
/// Which side a row falls on depends on the seed and the row (its number in its file, its group,
/// its time) alone: not on threads, on how the source is cut into partitions, or on where its
/// files are.
///
/// ```
/// use std::sync::Arc;
/// use arrow::array::Int32Array;
/// use mlops_core::{MemorySource, batch};
/// use mlops_data::Split;
/// let rows = batch! { "x" => Int32Array::from_iter_values(0..1000) }?;
/// let parts = Split::random(0.2, 42)?.split(Arc::new(MemorySource::from(rows)))?;
/// assert_eq!(parts.train.rows() + parts.test.rows(), 1000);
/// assert!((150..250).contains(&parts.test.rows()));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    by: By,
    test: f64,
    seed: u64,
}

#[derive(Clone, Debug, PartialEq)]
enum By {
    Row,
    Stratum(String),
    Group(String),
    Time(String, Cut),
}

/// Where a split by time cuts.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cut {
    /// Rows at this date or time (`2014-04-01`, `2014-04-01T12:00Z`) and later are test rows.
    At(String),
    /// Rows with this number (in the column's own unit) and above are test rows.
    Number(f64),
    /// The latest rows, this share of those that have a time, are test rows. Rows of one time
    /// stay together, on the side of the test.
    Latest(f64),
}

impl From<&str> for Cut {
    fn from(at: &str) -> Self {
        Self::At(at.to_owned())
    }
}

/// The two sides of a [`Split`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TrainTest {
    /// The rows to train on.
    pub train: Filtered,
    /// The rows to test on.
    pub test: Filtered,
    /// Rows on neither side: those without a time in a split by time.
    pub unassigned: u64,
    /// The first time of the test rows in the column's own unit, in a split by time.
    pub cut: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Train,
    Test,
    Neither,
}

impl Split {
    /// Each row by itself: with probability `test` it is a test row.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a share that is not within `(0, 1)`.
    pub fn random(test: f64, seed: u64) -> Result<Self> {
        Self::new(By::Row, test, seed)
    }

    /// Of the rows of each value of `column` (of null, too) the share `test`, to the nearest row,
    /// is drawn for the test. Takes some tens of bytes of memory a row.
    ///
    /// # Errors
    /// As [`random`](Self::random).
    pub fn stratified(column: impl Into<String>, test: f64, seed: u64) -> Result<Self> {
        Self::new(By::Stratum(column.into()), test, seed)
    }

    /// Rows of one value of `column` (of null, too) stay together: with probability `test` the
    /// group is for the test.
    ///
    /// # Errors
    /// As [`random`](Self::random).
    pub fn grouped(column: impl Into<String>, test: f64, seed: u64) -> Result<Self> {
        Self::new(By::Group(column.into()), test, seed)
    }

    /// Earlier rows to train, later ones to test. Rows without a time are on neither side, and
    /// counted.
    ///
    /// # Errors
    /// As [`random`](Self::random); a date that is not one.
    pub fn by_time(column: impl Into<String>, cut: impl Into<Cut>) -> Result<Self> {
        let cut = cut.into();
        let share = match &cut {
            Cut::Latest(share) => *share,
            Cut::At(text) if timestamp(text).is_none() => {
                return Err(Error::invalid("cut", "a date or a time as 2014-04-01T12:00", text));
            }
            Cut::Number(x) if x.is_nan() => return Err(Error::invalid("cut", "a number", x)),
            Cut::At(_) | Cut::Number(_) => 0.5,
        };
        Self::new(By::Time(column.into(), cut), share, 0)
    }

    fn new(by: By, test: f64, seed: u64) -> Result<Self> {
        if test > 0.0 && test < 1.0 {
            return Ok(Self { by, test, seed });
        }
        Err(Error::invalid("share of test rows", "more than 0 and less than 1", test))
    }

    /// Parts the rows. One pass over the columns that the choice needs; the sides are read when
    /// they are asked for.
    ///
    /// # Errors
    /// Those of the source; a column that is missing or of the wrong type; [`Error::Undefined`] if
    /// all rows have one time, so that the latest are all.
    pub fn split(&self, source: Arc<dyn DataSource>) -> Result<TrainTest> {
        let mut cut = None;
        let sides = match &self.by {
            By::Row => collect::<&str, _>(&*source, &[], |rows, file| {
                Ok(draws(self.seed, rows, file).map(|draw| self.side(draw)).collect())
            })?,
            By::Group(column) => collect(&*source, &[column], |rows, _| {
                let groups = rows.categories(column)?;
                let side = |group| self.side(hash_label(self.seed, group));
                Ok((0..rows.len()).map(|row| side(groups.label(row))).collect())
            })?,
            By::Stratum(column) => self.stratify(&*source, column)?,
            By::Time(column, at) => {
                let (sides, time) = Self::in_time(&*source, column, at)?;
                cut = Some(time);
                sides
            }
        };
        let unassigned = sides.iter().flatten().filter(|side| **side == Side::Neither).count();
        let mask = |side: Side| -> Vec<BooleanArray> {
            let bits = |sides: &Vec<Side>| sides.iter().map(|s| Some(*s == side)).collect();
            sides.iter().map(bits).collect()
        };
        Ok(TrainTest {
            train: Filtered::of(source.clone(), "train", mask(Side::Train))?,
            test: Filtered::of(source, "test", mask(Side::Test))?,
            unassigned: unassigned as u64,
            cut,
        })
    }

    /// The side of a draw that is uniform over `u64`.
    fn side(&self, draw: u64) -> Side {
        // 53 bits: every draw is a number of `[0, 1)` without rounding.
        let draw = (draw >> 11) as f64 / (1_u64 << 53) as f64;
        if draw < self.test { Side::Test } else { Side::Train }
    }

    fn stratify(&self, source: &dyn DataSource, column: &str) -> Result<Vec<Vec<Side>>> {
        let drawn = collect(source, &[column], |rows, file| {
            let strata = rows.categories(column)?;
            let label = |row| strata.label(row).map(str::to_owned);
            Ok(draws(self.seed, rows, file).enumerate().map(|(i, d)| (label(i), d)).collect())
        })?;
        let mut strata: BTreeMap<Option<&str>, Vec<(u64, usize, usize)>> = BTreeMap::new();
        for (partition, rows) in drawn.iter().enumerate() {
            for (row, (label, draw)) in rows.iter().enumerate() {
                strata.entry(label.as_deref()).or_default().push((*draw, partition, row));
            }
        }
        let mut sides: Vec<_> = drawn.iter().map(|rows| vec![Side::Train; rows.len()]).collect();
        for rows in strata.values_mut() {
            // Equal draws keep the order of the rows, whatever the partitions.
            rows.sort_unstable();
            let n = (rows.len() as f64 * self.test).round() as usize;
            for &(_, partition, row) in &rows[..n] {
                sides[partition][row] = Side::Test;
            }
        }
        Ok(sides)
    }

    fn in_time(source: &dyn DataSource, column: &str, cut: &Cut) -> Result<(Vec<Vec<Side>>, f64)> {
        let times = collect(source, &[column], |rows, _| {
            Ok(rows.numbers(column)?.iter().map(|t| t.filter(|t| !t.is_nan())).collect())
        })?;
        let cut = match cut {
            Cut::Number(at) => *at,
            Cut::At(text) => {
                let schema = source.schema();
                let kind = schema.field_with_name(column)?.data_type();
                let unit = micros_per_unit(kind).ok_or_else(|| {
                    Error::column_type(column, "a date or timestamp to cut at a date", kind)
                })?;
                timestamp(text).map_or(f64::NAN, |(micros, _)| micros as f64 / unit)
            }
            Cut::Latest(share) => {
                let mut known: Vec<f64> = times.iter().flatten().flatten().copied().collect();
                known.sort_by(f64::total_cmp);
                let n_test = (known.len() as f64 * share).round().max(1.0) as usize;
                let undefined =
                    |reason: &str| Error::undefined(format!("split by `{column}`"), reason);
                let first = known.len().checked_sub(n_test).and_then(|at| known.get(at)).copied();
                let cut = first.ok_or_else(|| undefined("no row has a time"))?;
                if known.first() == Some(&cut) {
                    return Err(undefined("no row is earlier than the latest ones"));
                }
                cut
            }
        };
        let side = |time: &Option<f64>| match time {
            None => Side::Neither,
            Some(time) if *time >= cut => Side::Test,
            Some(_) => Side::Train,
        };
        Ok((times.iter().map(|times| times.iter().map(side).collect()).collect(), cut))
    }
}

/// A draw for each row from the seed, the file's place among the files, and the row's number.
fn draws(seed: u64, rows: &Rows<'_>, file: u64) -> impl Iterator<Item = u64> {
    (0..rows.len()).map(move |i| {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&file.to_le_bytes());
        key[8..].copy_from_slice(&rows.row_number(i).to_le_bytes());
        xxh3_64_with_seed(&key, seed)
    })
}

fn hash_label(seed: u64, label: Option<&str>) -> u64 {
    match label {
        // No text is hashed with another seed, so null is a group apart from the empty text.
        None => xxh3_64_with_seed(&[], !seed),
        Some(label) => xxh3_64_with_seed(label.as_bytes(), seed),
    }
}

fn micros_per_unit(kind: &DataType) -> Option<f64> {
    Some(match kind {
        DataType::Date32 => 86_400e6,
        DataType::Date64 | DataType::Timestamp(TimeUnit::Millisecond, _) => 1e3,
        DataType::Timestamp(TimeUnit::Second, _) => 1e6,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1.0,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 1e-3,
        _ => return None,
    })
}
