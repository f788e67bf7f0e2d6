//! Parquet files.

use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use mlops_core::{Error, Result};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::whole_file::WholeFile;
use super::{Sink, Written, check_schema};

/// Writes a Parquet file, compressed with Snappy, in row groups of
/// [`ROW_GROUP_ROWS`](Self::ROW_GROUP_ROWS) unless told otherwise.
#[derive(Debug)]
pub struct ParquetSink {
    writer: ArrowWriter<WholeFile>,
    schema: SchemaRef,
    rows: u64,
}

impl ParquetSink {
    /// The rows of a row group.
    pub const ROW_GROUP_ROWS: usize = 1 << 17;

    /// A file of this schema under this name, once it is finished.
    ///
    /// # Errors
    /// [`Error::Io`]; a type that Parquet does not have.
    pub fn create(path: impl AsRef<Path>, schema: SchemaRef) -> Result<Self> {
        Self::with_row_groups(path, schema, Self::ROW_GROUP_ROWS)
    }

    /// The same with row groups of this many rows.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn with_row_groups(path: impl AsRef<Path>, schema: SchemaRef, rows: usize) -> Result<Self> {
        let file = WholeFile::create(path.as_ref())?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(rows.max(1)))
            .build();
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties))
            .map_err(|e| Error::other(path.as_ref().display().to_string(), e))?;
        Ok(Self { writer, schema, rows: 0 })
    }

    fn error(&self, e: parquet::errors::ParquetError) -> Error {
        Error::other(self.writer.inner().path().display().to_string(), e)
    }
}

impl Sink for ParquetSink {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        check_schema(&self.schema, batch)?;
        self.writer.write(batch).map_err(|e| self.error(e))?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        let path = self.writer.inner().path().display().to_string();
        let rows = self.rows;
        self.writer.into_inner().map_err(|e| Error::other(path, e))?.commit(rows)
    }
}
