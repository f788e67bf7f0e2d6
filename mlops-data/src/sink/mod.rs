//! Where rows go to: files, written whole or not at all.

mod csv;
mod ipc;
mod parquet;
mod whole_file;

use std::fmt::{self, Debug};
use std::path::PathBuf;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use mlops_core::{DataSource, Digest, Error, Result, Scan};
use serde::{Deserialize, Serialize};

pub use self::csv::CsvSink;
pub use self::ipc::IpcSink;
pub use self::parquet::ParquetSink;

/// A file being written.
///
/// # Contract
/// The file is there, synced, under its name when [`finish`](Self::finish) has returned `Ok`. If
/// that is never called, or anything fails, there is under that name what was there before.
pub trait Sink: Debug + Send {
    /// Takes in these rows.
    ///
    /// # Errors
    /// A batch of another schema; a file that can't be written.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Makes the file last, and says what was written.
    ///
    /// # Errors
    /// A file that can't be written.
    fn finish(self: Box<Self>) -> Result<Written>;
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Written {
    /// Its name.
    pub path: PathBuf,
    /// Its rows.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
    /// The SHA-256 of its bytes.
    pub digest: Digest,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, rows, bytes, digest } = self;
        write!(f, "{}: {rows} rows, {bytes} bytes, {digest}", path.display())
    }
}

/// Writes all rows of a source, in their order, and finishes the sink.
///
/// # Errors
/// Those of the source and of the sink; there is no file then.
pub fn write_all(source: &dyn DataSource, mut sink: Box<dyn Sink>) -> Result<Written> {
    for partition in 0..source.partitions()?.len() {
        for batch in source.read(partition, None, Scan::BATCH_SIZE)? {
            sink.write(&batch?)?;
        }
    }
    sink.finish()
}

fn check_schema(expected: &SchemaRef, batch: &RecordBatch) -> Result<()> {
    let found = batch.schema_ref();
    if expected.fields().len() == found.fields().len()
        && expected
            .fields()
            .iter()
            .zip(found.fields())
            .all(|(a, b)| a.name() == b.name() && a.data_type() == b.data_type())
    {
        return Ok(());
    }
    let list = |schema: &SchemaRef| {
        let fields = schema.fields().iter().map(|f| format!("{}: {}", f.name(), f.data_type()));
        fields.collect::<Vec<_>>().join(", ")
    };
    Err(Error::invalid("batch to write", list(expected), list(found)))
}
