//! Parquet files.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch, Scalar};
use arrow::compute::kernels::cmp;
use arrow::datatypes::SchemaRef;
use mlops_core::{
    Batches, DataSource, Digest, Error, Partition, Result, RowGroup, RowId, Statistics,
};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};

use super::contain::contain;
use super::parquet_statistics::column;
use super::stamp::Stamp;

/// A bound on a column, by which row groups that can't hold a matching row are passed over.
#[derive(Clone, Debug)]
pub struct Prune {
    column: String,
    comparison: Comparison,
    value: Scalar<arrow::array::ArrayRef>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    AtLeast,
    AtMost,
    Equal,
}

impl Prune {
    /// Row groups that may hold `column >= value`. The value is the first of the array.
    pub fn at_least(column: impl Into<String>, value: &dyn Array) -> Self {
        Self::new(column, Comparison::AtLeast, value)
    }

    /// Row groups that may hold `column <= value`.
    pub fn at_most(column: impl Into<String>, value: &dyn Array) -> Self {
        Self::new(column, Comparison::AtMost, value)
    }

    /// Row groups that may hold `column = value`.
    pub fn equal(column: impl Into<String>, value: &dyn Array) -> Self {
        Self::new(column, Comparison::Equal, value)
    }

    fn new(column: impl Into<String>, comparison: Comparison, value: &dyn Array) -> Self {
        Self {
            column: column.into(),
            comparison,
            value: Scalar::new(value.slice(0, 1.min(value.len()))),
        }
    }

    /// Which row groups may match; where the statistics don't know, they may.
    fn keep(&self, metadata: &ArrowReaderMetadata) -> Result<Vec<bool>> {
        let schema = metadata.schema();
        let field = schema.field_with_name(&self.column).map_err(|_| Error::ColumnNotFound {
            column: self.column.clone(),
            available: schema.fields().iter().map(|f| f.name().clone()).collect(),
        })?;
        let value = self.value.clone().into_inner();
        if value.len() != 1 || value.is_null(0) {
            return Err(Error::invalid(
                format!("bound on column `{}`", self.column),
                "one value that is not null",
                format!("{} values, {} null", value.len(), value.null_count()),
            ));
        }
        let value = arrow::compute::cast(&value, field.data_type())?;
        if value.is_null(0) {
            return Err(Error::column_type(&self.column, "the bound's type", field.data_type()));
        }
        let value = Scalar::new(value);
        let converter =
            StatisticsConverter::try_new(&self.column, schema, metadata.parquet_schema())
                .map_err(|e| Error::other(format!("statistics of column `{}`", self.column), e))?;
        let groups = metadata.metadata().row_groups();
        let other = |e| Error::other(format!("statistics of column `{}`", self.column), e);
        let least = converter.row_group_mins(groups).map_err(other)?;
        let most = converter.row_group_maxes(groups).map_err(other)?;
        let may = |mask: BooleanArray| -> Vec<bool> {
            mask.iter().map(|known| known.unwrap_or(true)).collect()
        };
        let reaches = may(cmp::gt_eq(&most, &value)?);
        let starts = may(cmp::lt_eq(&least, &value)?);
        Ok(match self.comparison {
            Comparison::AtLeast => reaches,
            Comparison::AtMost => starts,
            Comparison::Equal => reaches.into_iter().zip(starts).map(|(a, b)| a && b).collect(),
        })
    }
}

/// A Parquet file. Its partitions are runs of row groups with at least
/// [`PARTITION_ROWS`](Self::PARTITION_ROWS) rows; of columns and row groups only the wanted ones
/// are read. A file that is cut off or damaged is an error that names it.
#[derive(Clone, Debug)]
pub struct ParquetSource {
    path: PathBuf,
    stamp: Stamp,
    metadata: ArrowReaderMetadata,
    parts: Vec<Part>,
}

/// A run of row groups.
#[derive(Clone, Debug)]
struct Part {
    groups: Vec<usize>,
    first_row: u64,
    rows: u64,
    bytes: u64,
}

impl ParquetSource {
    /// Row groups are gathered into a partition until it has this many rows.
    pub const PARTITION_ROWS: u64 = 1 << 17;

    /// The file.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Decode`] or [`Error::Other`] with the file's name if it is not a
    /// whole Parquet file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::pruned(path, &[])
    }

    /// The file without the row groups that can't hold a row for which all bounds hold. The rows
    /// of the others are all given, whether the bounds hold for them or not, under the numbers
    /// that they have in the file.
    ///
    /// # Errors
    /// As [`open`](Self::open); a bound on a column that is not there or of another type.
    pub fn pruned(path: impl AsRef<Path>, bounds: &[Prune]) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let stamp = Stamp::of(path, &file)?;
        check_whole(path, &file)?;
        contain(path, || {
            let metadata =
                ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|e| {
                    Error::other(format!("{}: not a whole Parquet file", path.display()), e)
                })?;
            let mut keep = vec![true; metadata.metadata().num_row_groups()];
            for bound in bounds {
                for (keep, may) in keep.iter_mut().zip(bound.keep(&metadata)?) {
                    *keep &= may;
                }
            }
            let parts = parts(path, &metadata, &keep)?;
            Ok(Self { path: path.to_path_buf(), stamp, metadata, parts })
        })
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many row groups are read, of how many.
    pub fn row_groups(&self) -> (usize, usize) {
        let kept = self.parts.iter().map(|p| p.groups.len()).sum();
        (kept, self.metadata.metadata().num_row_groups())
    }
}

/// A file that was cut off has lost its end, where Parquet keeps what it is.
fn check_whole(path: &Path, file: &File) -> Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = file;
    let len = file.metadata().map_err(|e| Error::io(path, e))?.len();
    let mut tail = [0; 4];
    if len >= 12 {
        file.seek(SeekFrom::End(-4)).map_err(|e| Error::io(path, e))?;
        file.read_exact(&mut tail).map_err(|e| Error::io(path, e))?;
    }
    // PARE marks an encrypted footer; that the reader itself explains.
    if &tail == b"PAR1" || &tail == b"PARE" {
        return Ok(());
    }
    Err(Error::Decode {
        what: path.display().to_string(),
        offset: len.saturating_sub(4),
        expected: "PAR1, the end of a whole Parquet file".into(),
        found: if len < 12 {
            format!("a file of {len} bytes")
        } else {
            format!("`{}`; the file is cut off or not Parquet", tail.escape_ascii())
        },
    })
}

fn parts(path: &Path, metadata: &ArrowReaderMetadata, keep: &[bool]) -> Result<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    let mut open = false;
    let mut at: u64 = 0;
    for (group, keep) in metadata
        .metadata()
        .row_groups()
        .iter()
        .zip(keep)
        .enumerate()
        .map(|(i, (g, k))| ((i, g), *k))
    {
        let (index, group) = group;
        let rows = u64::try_from(group.num_rows()).ok();
        let end = rows.and_then(|rows| at.checked_add(rows));
        let (Some(rows), Some(end)) = (rows, end) else {
            return Err(Error::invalid(
                path.display().to_string(),
                "a number of rows",
                group.num_rows(),
            ));
        };
        let bytes = u64::try_from(group.compressed_size()).unwrap_or(0);
        if !keep {
            open = false;
        } else if open && let Some(part) = parts.last_mut() {
            part.groups.push(index);
            part.rows += rows;
            part.bytes = part.bytes.saturating_add(bytes);
        } else {
            parts.push(Part { groups: vec![index], first_row: at, rows, bytes });
            open = true;
        }
        if parts.last().is_some_and(|p| p.rows >= ParquetSource::PARTITION_ROWS) {
            open = false;
        }
        at = end;
    }
    Ok(parts)
}

impl DataSource for ParquetSource {
    fn schema(&self) -> SchemaRef {
        self.metadata.schema().clone()
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        let origin = self.path.display().to_string();
        Ok(self
            .parts
            .iter()
            .map(|part| {
                Partition::new(&origin)
                    .starting_at(part.first_row)
                    .with_rows(part.rows)
                    .with_bytes(part.bytes)
            })
            .collect())
    }

    fn read(
        &self,
        partition: usize,
        projection: Option<&[usize]>,
        batch_size: usize,
    ) -> Result<Batches> {
        let part = self.parts.get(partition).ok_or_else(|| {
            Error::invalid("partition", format!("one of {}", self.parts.len()), partition)
        })?;
        // The reader gives columns in the file's order, each once; the order asked for is made here.
        let mut read: Vec<usize> = match projection {
            Some(columns) => columns.to_vec(),
            None => (0..self.schema().fields().len()).collect(),
        };
        self.schema().project(&read)?;
        let wanted = read.clone();
        read.sort_unstable();
        read.dedup();
        let order: Vec<usize> =
            wanted.iter().filter_map(|column| read.binary_search(column).ok()).collect();
        let path = self.path.clone();
        let file = self.stamp.reopen(&path)?;
        let reader = contain(&path, || {
            let builder =
                ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
            let mask = ProjectionMask::roots(self.metadata.parquet_schema(), read);
            builder
                .with_projection(mask)
                .with_row_groups(part.groups.clone())
                .with_batch_size(batch_size.clamp(1, 1 << 20))
                .build()
                .map_err(|e| Error::other(path.display().to_string(), e))
        })?;
        Ok(Batches::new(Reader { batches: Some(reader), path, order, left: part.rows }))
    }

    /// What the footer says of the part's row groups: of columns that are not nested, in an order
    /// that is defined. The footer is believed; a part that is settled by it is not read.
    fn statistics(
        &self,
        partition: usize,
        projection: Option<&[usize]>,
    ) -> Result<Option<Statistics>> {
        let Some(part) = self.parts.get(partition) else { return Ok(None) };
        // What is known of the file that was opened is nothing that is known of another.
        if !self.stamp.is_untouched(&self.path)? {
            return Ok(None);
        }
        let schema = self.schema();
        let columns: Vec<usize> = match projection {
            Some(columns) => columns.to_vec(),
            None => (0..schema.fields().len()).collect(),
        };
        let mut known = Statistics::new(part.rows);
        for root in columns {
            let Some(field) = schema.fields().get(root) else { continue };
            let groups = &part.groups;
            let found = contain(&self.path, || Ok(column(&self.metadata, root, field, groups)))?;
            if let Some(found) = found {
                known = known.with_column(field.name(), found);
            }
        }
        Ok(Some(known))
    }

    fn row_group(&self, row: &RowId) -> Option<RowGroup> {
        if self.path.display().to_string() != row.origin {
            return None;
        }
        let mut left = row.row;
        for (group, rows) in self.metadata.metadata().row_groups().iter().enumerate() {
            let rows = u64::try_from(rows.num_rows()).ok()?;
            if left < rows {
                return Some(RowGroup { group, row: left });
            }
            left -= rows;
        }
        None
    }

    fn fingerprint(&self, origin: &str) -> Option<Digest> {
        let reading =
            format!("parquet {:?}", self.parts.iter().map(|p| &p.groups).collect::<Vec<_>>());
        (self.path.display().to_string() == origin).then(|| self.stamp.fingerprint(&reading))?
    }
}

/// The batches of a part, with what the library may do to us held back.
struct Reader {
    batches: Option<parquet::arrow::arrow_reader::ParquetRecordBatchReader>,
    path: PathBuf,
    order: Vec<usize>,
    left: u64,
}

impl Reader {
    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let Some(batches) = &mut self.batches else { return Ok(None) };
        let batch = contain(&self.path, || {
            batches.next().transpose().map_err(|e| Error::other(self.path.display().to_string(), e))
        })?;
        let Some(batch) = batch else {
            if self.left > 0 {
                return Err(Error::invalid(
                    self.path.display().to_string(),
                    "the number of rows that its footer says",
                    format!("{} fewer", self.left),
                ));
            }
            return Ok(None);
        };
        let n = batch.num_rows() as u64;
        self.left = self.left.checked_sub(n).ok_or_else(|| {
            Error::invalid(
                self.path.display().to_string(),
                "the number of rows that its footer says",
                "more",
            )
        })?;
        let schema = Arc::new(batch.schema().project(&self.order)?);
        let columns = self.order.iter().map(|&i| batch.column(i).clone()).collect();
        let options =
            arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(Some(RecordBatch::try_new_with_options(schema, columns, &options)?))
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batch().transpose();
        if !matches!(batch, Some(Ok(_))) {
            self.batches = None;
        }
        batch
    }
}
