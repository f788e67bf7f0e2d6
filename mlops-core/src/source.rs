//! Where rows come from.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::{FieldRef, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::{Analyzer, Digest, Error, Result, RowId, Scan, Statistics};

/// A piece of a source that can be read on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Partition {
    /// The name of the thing that its rows stand in: a file, a table, `memory`. Partitions of one
    /// file share its name.
    pub origin: String,
    /// The number of its first row there.
    pub first_row: u64,
    /// How many rows it has, where that is known without reading them.
    pub rows: Option<u64>,
    /// How many bytes reading it takes, where that is known.
    pub bytes: Option<u64>,
}

impl Partition {
    /// All of the thing of this name.
    pub fn new(origin: impl Into<String>) -> Self {
        Self { origin: origin.into(), first_row: 0, rows: None, bytes: None }
    }

    /// The same, starting at this row.
    #[must_use]
    pub fn starting_at(mut self, first_row: u64) -> Self {
        self.first_row = first_row;
        self
    }

    /// The same, with this many rows.
    #[must_use]
    pub fn with_rows(mut self, rows: u64) -> Self {
        self.rows = Some(rows);
        self
    }

    /// The same, with this many bytes to read.
    #[must_use]
    pub fn with_bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }
}

/// The batches of a partition, in order.
pub struct Batches {
    batches: Box<dyn Iterator<Item = Result<RecordBatch>> + Send>,
    bytes: Option<Arc<AtomicU64>>,
}

impl Batches {
    /// These batches.
    pub fn new<I>(batches: I) -> Self
    where
        I: IntoIterator<Item = Result<RecordBatch>>,
        I::IntoIter: Send + 'static,
    {
        Self { batches: Box::new(batches.into_iter()), bytes: None }
    }

    /// The same, with a counter of the bytes read so far that the reader keeps up to date.
    #[must_use]
    pub fn with_bytes(mut self, counter: Arc<AtomicU64>) -> Self {
        self.bytes = Some(counter);
        self
    }

    /// The bytes read so far, where the reader counts them.
    pub fn bytes_read(&self) -> Option<u64> {
        self.bytes.as_ref().map(|b| b.load(Ordering::Relaxed))
    }
}

impl Debug for Batches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batches").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batches.next()
    }
}

/// Rows in Arrow columns, in partitions that can be read side by side, again and again.
///
/// # Contract
/// - `schema` never changes. What reading finds to be otherwise is an error of the reader.
/// - `partitions` names every row once: `(origin, first_row + i)` is unique and does not depend
///   on how the source is cut. Its order is the order of the rows.
/// - `read` gives the rows of one partition in order, in batches of at most `batch_size` rows,
///   with the columns of `projection` (indices into the schema) in that order, or all. Reading
///   twice gives the same rows. An empty projection still gives the number of rows.
/// - An error ends the batches, and names the file, the row or the byte.
/// - `fingerprint` changes whenever the rows of the origin may have: states measured under one are
///   used again as long as it stays. A source that gives other rows or other values than the one
///   below it does not pass that one's fingerprint on.
///
/// - `statistics` hold for the rows that `read` gives, not for more or fewer of them. A source that
///   gives some of the rows, or other values, of the one below it does not pass that one's on.
///
/// [`conformance::data_source`](crate::conformance::data_source) tests all of this.
pub trait DataSource: Debug + Send + Sync + 'static {
    /// The columns.
    fn schema(&self) -> SchemaRef;

    /// The pieces, in the order of the rows.
    ///
    /// # Errors
    /// A source that can't be listed.
    fn partitions(&self) -> Result<Vec<Partition>>;

    /// The batches of one piece.
    ///
    /// # Errors
    /// A piece that can't be opened, or an index that is not one.
    fn read(
        &self,
        partition: usize,
        projection: Option<&[usize]>,
        batch_size: usize,
    ) -> Result<Batches>;

    /// What tells the rows of this origin (a [`Partition::origin`]) from those that it had or will
    /// have at other times, in this process or another: of a file its length, its times and how it
    /// is read. `None`, unless a source knows better: then nothing measured of it is used again.
    fn fingerprint(&self, origin: &str) -> Option<Digest> {
        let _ = origin;
        None
    }

    /// What is known of the rows of one piece without reading them, of the columns of `projection`
    /// or all: what it says is true of exactly the rows that `read` would give. `None`, unless a
    /// source knows better.
    ///
    /// # Errors
    /// As [`read`](Self::read): a piece that is no longer what it was.
    fn statistics(
        &self,
        partition: usize,
        projection: Option<&[usize]>,
    ) -> Result<Option<Statistics>> {
        let _ = (partition, projection);
        Ok(None)
    }

    /// The row group of its file that a row stands in. `None`, unless a source has such groups.
    fn row_group(&self, row: &RowId) -> Option<RowGroup> {
        let _ = row;
        None
    }
}

/// A place in a file that keeps its rows in groups, as Parquet does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RowGroup {
    /// The number of the group in the file, from 0.
    pub group: usize,
    /// The row's number in the group, from 0.
    pub row: u64,
}

macro_rules! forward {
    ($($pointer:ident),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: DataSource + ?Sized> DataSource for $pointer<T> {
            fn schema(&self) -> SchemaRef {
                (**self).schema()
            }

            fn partitions(&self) -> Result<Vec<Partition>> {
                (**self).partitions()
            }

            fn read(
                &self,
                partition: usize,
                projection: Option<&[usize]>,
                batch_size: usize,
            ) -> Result<Batches> {
                (**self).read(partition, projection, batch_size)
            }

            fn fingerprint(&self, origin: &str) -> Option<Digest> {
                (**self).fingerprint(origin)
            }

            fn statistics(
                &self,
                partition: usize,
                projection: Option<&[usize]>,
            ) -> Result<Option<Statistics>> {
                (**self).statistics(partition, projection)
            }

            fn row_group(&self, row: &RowId) -> Option<RowGroup> {
                (**self).row_group(row)
            }
        }
    )*};
}

forward!(Arc, Box);

/// What every source can do besides.
pub trait DataSourceExt: DataSource {
    /// A scan of this source, to be given options and analyzers.
    fn scan(&self) -> Scan<'_>;

    /// Measures all rows: a scan with the default options.
    ///
    /// ```
    /// use arrow::array::Int32Array;
    /// use mlops_core::{DataSourceExt, MemorySource, batch, states::RowCount};
    /// let source = MemorySource::from(batch! { "x" => Int32Array::from(vec![1, 2, 3]) }?);
    /// assert_eq!(source.measure(&RowCount)?, 3);
    /// # Ok::<(), mlops_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of the source and of the analyzer.
    fn measure<A: Analyzer>(&self, analyzer: &A) -> Result<A::Output> {
        self.scan().run(analyzer)
    }

    /// All rows in one batch. For data that fit in memory.
    ///
    /// # Errors
    /// Those of the source.
    fn collect(&self) -> Result<RecordBatch> {
        let schema = self.schema();
        let mut batches = Vec::new();
        for (index, partition) in self.partitions()?.iter().enumerate() {
            for batch in self.read(index, None, Scan::BATCH_SIZE)? {
                let batch = batch?;
                check_columns(&schema, batch.schema_ref())
                    .map_err(|e| e.within(partition.origin.as_str()))?;
                batches.push(batch);
            }
        }
        Ok(concat_batches(&schema, &batches)?)
    }
}

impl<T: DataSource> DataSourceExt for T {
    fn scan(&self) -> Scan<'_> {
        Scan::new(self)
    }
}

/// A source behind a reference whose type is forgotten.
impl DataSourceExt for dyn DataSource + '_ {
    fn scan(&self) -> Scan<'_> {
        Scan::new(self)
    }
}

/// Refuses a batch whose columns are not those that were promised: by name and type, in order.
/// Whether they may be null, and their metadata, change nothing that is measured.
pub(crate) fn check_columns(promised: &SchemaRef, found: &SchemaRef) -> Result<()> {
    if Arc::ptr_eq(promised, found) {
        return Ok(());
    }
    let (promised, found) = (promised.fields(), found.fields());
    let same = |a: &FieldRef, b: &FieldRef| a.name() == b.name() && a.data_type() == b.data_type();
    let differ = (0..promised.len().max(found.len()))
        .find(|&i| !matches!((promised.get(i), found.get(i)), (Some(a), Some(b)) if same(a, b)));
    let Some(i) = differ else { return Ok(()) };
    let describe = |field: Option<&FieldRef>| {
        field.map_or("no column".into(), |f| format!("`{}` of type {}", f.name(), f.data_type()))
    };
    let what = format!("column {} of a batch", i + 1);
    Err(Error::invalid(what, describe(promised.get(i)), describe(found.get(i))))
}

/// Batches in memory as a source; a partition for every [`PARTITION_ROWS`](Self::PARTITION_ROWS)
/// rows, so that one large batch is read in parallel. Nothing is copied.
///
/// ```
/// use arrow::array::Int32Array;
/// use mlops_core::{DataSource, MemorySource, batch};
/// let source = MemorySource::from(batch! { "x" => Int32Array::from(vec![1, 2, 3]) }?);
/// assert_eq!(source.partitions()?[0].rows, Some(3));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MemorySource {
    name: String,
    schema: SchemaRef,
    /// Each piece with the number of its first row.
    pieces: Vec<(u64, RecordBatch)>,
}

impl MemorySource {
    /// The most rows that a partition has.
    pub const PARTITION_ROWS: usize = 1 << 18;

    /// These batches, one after the other, under this schema: whether a column may be null, and
    /// metadata, are what it says.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the batch and the column if that has another name or type, or holds
    /// a null where the schema allows none.
    pub fn new(schema: SchemaRef, batches: impl IntoIterator<Item = RecordBatch>) -> Result<Self> {
        let mut pieces = Vec::new();
        let mut first_row = 0;
        for (i, batch) in batches.into_iter().enumerate() {
            check_columns(&schema, batch.schema_ref())
                .map_err(|e| e.within(format!("batch {i}")))?;
            let batch = if batch.schema_ref() == &schema {
                batch
            } else {
                let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                let columns = batch.columns().to_vec();
                RecordBatch::try_new_with_options(schema.clone(), columns, &options)
                    .map_err(|e| Error::from(e).within(format!("batch {i}")))?
            };
            let mut offset = 0;
            while offset < batch.num_rows() {
                let n = Self::PARTITION_ROWS.min(batch.num_rows() - offset);
                pieces.push((first_row, batch.slice(offset, n)));
                offset += n;
                first_row += n as u64;
            }
        }
        Ok(Self { name: "memory".into(), schema, pieces })
    }

    /// The same rows under this name in row ids and reports.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

impl From<RecordBatch> for MemorySource {
    fn from(batch: RecordBatch) -> Self {
        let schema = batch.schema();
        match Self::new(schema.clone(), [batch]) {
            Ok(source) => source,
            // A batch has its own schema.
            Err(_) => Self { name: "memory".into(), schema, pieces: Vec::new() },
        }
    }
}

impl DataSource for MemorySource {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        Ok(self
            .pieces
            .iter()
            .map(|(first_row, batch)| {
                Partition::new(&self.name)
                    .starting_at(*first_row)
                    .with_rows(batch.num_rows() as u64)
            })
            .collect())
    }

    fn read(
        &self,
        partition: usize,
        projection: Option<&[usize]>,
        batch_size: usize,
    ) -> Result<Batches> {
        let (_, batch) = self.pieces.get(partition).ok_or_else(|| {
            Error::invalid("partition", format!("one of {}", self.pieces.len()), partition)
        })?;
        let batch = match projection {
            Some(columns) => batch.project(columns)?,
            None => batch.clone(),
        };
        let step = batch_size.max(1);
        Ok(Batches::new(
            (0..batch.num_rows())
                .step_by(step)
                .map(move |at| Ok(batch.slice(at, step.min(batch.num_rows() - at)))),
        ))
    }
}
