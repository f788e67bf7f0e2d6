//! Some columns, or some rows, of another source.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use mlops_core::{
    Batches, DataSource, Digest, Error, Names, Partition, Result, RowGroup, RowId, Rows, Scan,
    Statistics,
};
use rayon::prelude::*;

/// Some columns of a source. The others are never read.
///
/// ```
/// use std::sync::Arc;
/// use arrow::array::Int32Array;
/// use mlops_core::{DataSource, MemorySource, batch};
/// use mlops_data::Projected;
/// let rows = batch! { "id" => Int32Array::from(vec![7]), "x" => Int32Array::from(vec![1]) }?;
/// let source = Projected::without(Arc::new(MemorySource::from(rows)), &["id"])?;
/// assert_eq!(source.schema().field(0).name(), "x");
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Projected {
    source: Arc<dyn DataSource>,
    columns: Vec<usize>,
    schema: SchemaRef,
}

impl Projected {
    /// These columns, in this order.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`].
    pub fn to<S: AsRef<str>>(source: Arc<dyn DataSource>, columns: &[S]) -> Result<Self> {
        let columns = columns.iter().map(|c| index(&*source, c.as_ref())).collect::<Result<_>>()?;
        Self::of(source, columns)
    }

    /// All columns but these.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`].
    pub fn without<S: AsRef<str>>(source: Arc<dyn DataSource>, columns: &[S]) -> Result<Self> {
        let dropped = columns.iter().map(|c| index(&*source, c.as_ref()));
        let dropped = dropped.collect::<Result<Vec<_>>>()?;
        let kept = (0..source.schema().fields().len()).filter(|i| !dropped.contains(i)).collect();
        Self::of(source, kept)
    }

    fn of(source: Arc<dyn DataSource>, columns: Vec<usize>) -> Result<Self> {
        let schema = Arc::new(source.schema().project(&columns)?);
        Ok(Self { source, columns, schema })
    }

    /// These columns where they stand in the source below.
    fn below(&self, projection: Option<&[usize]>) -> Result<Vec<usize>> {
        let Some(wanted) = projection else { return Ok(self.columns.clone()) };
        let place = |i: usize| {
            let expected = || format!("one of {}", self.columns.len());
            self.columns.get(i).copied().ok_or_else(|| Error::invalid("column", expected(), i))
        };
        wanted.iter().map(|&i| place(i)).collect()
    }
}

fn index(source: &dyn DataSource, column: &str) -> Result<usize> {
    let schema = source.schema();
    schema.index_of(column).map_err(|_| Error::ColumnNotFound {
        column: column.to_owned(),
        available: schema.fields().iter().map(|f| f.name().clone()).collect(),
    })
}

impl DataSource for Projected {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        self.source.partitions()
    }

    fn read(
        &self,
        partition: usize,
        projection: Option<&[usize]>,
        batch_size: usize,
    ) -> Result<Batches> {
        self.source.read(partition, Some(&self.below(projection)?), batch_size)
    }

    fn statistics(
        &self,
        partition: usize,
        projection: Option<&[usize]>,
    ) -> Result<Option<Statistics>> {
        self.source.statistics(partition, Some(&self.below(projection)?))
    }

    fn row_group(&self, row: &RowId) -> Option<RowGroup> {
        self.source.row_group(row)
    }

    fn fingerprint(&self, origin: &str) -> Option<Digest> {
        let below = self.source.fingerprint(origin)?;
        // Of two columns with one name another may be the one that is read.
        Some(Digest::of(format!("{below} {:?}", self.columns)))
    }
}

/// Some rows of a source: a bit for each row says which. Nothing else is held in memory.
///
/// The rows are numbered anew within their file, whose name is followed by `#` and the name of
/// the choice.
#[derive(Clone, Debug)]
pub struct Filtered {
    source: Arc<dyn DataSource>,
    keep: Vec<BooleanArray>,
    partitions: Vec<Partition>,
}

impl Filtered {
    /// The rows for which `keep` is true (not null), under this name. `keep` sees the `columns` of
    /// each batch.
    ///
    /// # Errors
    /// Those of the source and of `keep`; [`Error::ColumnNotFound`].
    pub fn new<S: AsRef<str>>(
        source: Arc<dyn DataSource>,
        name: &str,
        columns: &[S],
        keep: impl Fn(&Rows<'_>) -> Result<BooleanArray> + Sync,
    ) -> Result<Self> {
        let kept = collect(&*source, columns, |rows, _| {
            let keep = keep(rows)?;
            if keep.len() != rows.len() {
                return Err(Error::Length {
                    left: "the batch".into(),
                    left_len: rows.len(),
                    right: "the choice of its rows".into(),
                    right_len: keep.len(),
                });
            }
            Ok(keep.iter().map(|k| k == Some(true)).collect())
        })?;
        Self::of(source, name, kept.into_iter().map(BooleanArray::from).collect())
    }

    /// With a bit for each row of each partition.
    pub(crate) fn of(
        source: Arc<dyn DataSource>,
        name: &str,
        keep: Vec<BooleanArray>,
    ) -> Result<Self> {
        let mut seen: HashMap<String, u64> = HashMap::new();
        let mut partitions = Vec::with_capacity(keep.len());
        for (mut partition, keep) in source.partitions()?.into_iter().zip(&keep) {
            let rows = keep.true_count() as u64;
            let at = seen.entry(partition.origin.clone()).or_default();
            partition.origin = format!("{}#{name}", partition.origin);
            partition.first_row = *at;
            partition.rows = Some(rows);
            *at += rows;
            partitions.push(partition);
        }
        Ok(Self { source, keep, partitions })
    }

    /// How many rows there are.
    pub fn rows(&self) -> u64 {
        self.partitions.iter().filter_map(|p| p.rows).sum()
    }
}

impl DataSource for Filtered {
    fn schema(&self) -> SchemaRef {
        self.source.schema()
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        Ok(self.partitions.clone())
    }

    fn read(
        &self,
        partition: usize,
        projection: Option<&[usize]>,
        batch_size: usize,
    ) -> Result<Batches> {
        let Some(keep) = self.keep.get(partition).cloned() else {
            let expected = format!("one of {}", self.keep.len());
            return Err(Error::invalid("partition", expected, partition));
        };
        let batches = self.source.read(partition, projection, batch_size)?;
        let mut at = 0;
        Ok(Batches::new(batches.map(move |batch| {
            let batch = batch?;
            let n = batch.num_rows();
            if at + n > keep.len() {
                return Err(Error::Length {
                    left: "the partition when its rows were chosen".into(),
                    left_len: keep.len(),
                    right: "the partition now".into(),
                    right_len: at + n,
                });
            }
            let chosen = filter_record_batch(&batch, &keep.slice(at, n))?;
            at += n;
            Ok(chosen)
        })))
    }
}

/// What `each` says of every row, partition by partition; it is told how many other files come
/// before the batch's. Partitions are read side by side.
pub(crate) fn collect<S: AsRef<str>, T: Send>(
    source: &dyn DataSource,
    columns: &[S],
    each: impl Fn(&Rows<'_>, u64) -> Result<Vec<T>> + Sync,
) -> Result<Vec<Vec<T>>> {
    let projection =
        columns.iter().map(|c| index(source, c.as_ref())).collect::<Result<Vec<_>>>()?;
    let names = Names::of(&source.schema().project(&projection)?);
    let partitions = source.partitions()?;
    let mut known = HashMap::new();
    let ordinals: Vec<u64> = partitions
        .iter()
        .map(|partition| {
            let next = known.len() as u64;
            *known.entry(partition.origin.as_str()).or_insert(next)
        })
        .collect();
    (0..partitions.len())
        .into_par_iter()
        .map(|index| {
            let partition = &partitions[index];
            let mut at = partition.first_row;
            let mut all = Vec::new();
            for batch in source.read(index, Some(&projection), Scan::BATCH_SIZE)? {
                let batch = batch?;
                let rows = Rows::of(&batch, names.clone(), &partition.origin, at);
                all.extend(each(&rows, ordinals[index])?);
                at += batch.num_rows() as u64;
            }
            Ok(all)
        })
        .collect()
}
