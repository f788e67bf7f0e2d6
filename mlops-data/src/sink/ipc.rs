//! Arrow IPC files.

use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::FileWriter;
use mlops_core::Result;

use super::whole_file::WholeFile;
use super::{Sink, Written, check_schema};

/// Writes an Arrow IPC file (Feather 2), uncompressed, a record batch for each batch.
pub struct IpcSink {
    writer: FileWriter<WholeFile>,
    schema: SchemaRef,
    rows: u64,
}

impl std::fmt::Debug for IpcSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.writer.get_ref().path();
        f.debug_struct("IpcSink")
            .field("path", &path)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl IpcSink {
    /// A file of this schema under this name, once it is finished.
    ///
    /// # Errors
    /// [`Error::Io`](mlops_core::Error::Io).
    pub fn create(path: impl AsRef<Path>, schema: SchemaRef) -> Result<Self> {
        let file = WholeFile::create(path.as_ref())?;
        let writer = FileWriter::try_new(file, &schema)?;
        Ok(Self { writer, schema, rows: 0 })
    }
}

impl Sink for IpcSink {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        check_schema(&self.schema, batch)?;
        self.writer.write(batch)?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        let rows = self.rows;
        // Writes the footer first.
        self.writer.into_inner()?.commit(rows)
    }
}
