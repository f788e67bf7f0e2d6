//! CSV files.

use std::io::Write;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use mlops_core::{Error, Result};

use super::whole_file::WholeFile;
use super::{Sink, Written, check_schema};

/// Writes a CSV file as RFC 4180 has it: a header, commas, `\n`, quotes where they are needed.
///
/// Null is nothing, and the empty text `""`, so that [`CsvSource`](crate::CsvSource) reads both
/// back as they were (but for null in a file of a single text column, where a line must not be
/// blank). Floats have the digits that read back to the same bits; dates and times are ISO 8601.
#[derive(Debug)]
pub struct CsvSink {
    file: WholeFile,
    schema: SchemaRef,
    rows: u64,
    line: String,
}

impl CsvSink {
    /// A file of this schema under this name, once it is finished.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::ColumnType`] for a nested or binary column.
    pub fn create(path: impl AsRef<Path>, schema: SchemaRef) -> Result<Self> {
        for field in schema.fields() {
            let kind = match field.data_type() {
                DataType::Dictionary(_, value) => value,
                kind => kind,
            };
            let writable =
                mlops_core::is_text(kind) || mlops_core::is_numeric(kind) || kind.is_null();
            if !writable {
                return Err(Error::column_type(field.name(), "a type that CSV can hold", kind));
            }
        }
        let mut sink =
            Self { file: WholeFile::create(path.as_ref())?, schema, rows: 0, line: String::new() };
        for i in 0..sink.schema.fields().len() {
            let name = sink.schema.field(i).name().clone();
            sink.field(i, Some(&name));
        }
        sink.end_line()?;
        Ok(sink)
    }

    fn field(&mut self, index: usize, text: Option<&str>) {
        if index > 0 {
            self.line.push(',');
        }
        let alone = self.schema.fields().len() == 1;
        match text {
            // A line without anything would be no row.
            None if alone => self.line.push_str("\"\""),
            None => {}
            Some(text) if text.is_empty() || text.contains([',', '"', '\n', '\r']) => {
                self.line.push('"');
                self.line.push_str(&text.replace('"', "\"\""));
                self.line.push('"');
            }
            Some(text) => self.line.push_str(text),
        }
    }

    fn end_line(&mut self) -> Result<()> {
        self.line.push('\n');
        let written = self.file.write_all(self.line.as_bytes());
        self.line.clear();
        written.map_err(|e| Error::io(self.file.path(), e))
    }
}

impl Sink for CsvSink {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        check_schema(&self.schema, batch)?;
        let options = FormatOptions::default();
        let columns = batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let nulls: Vec<_> = batch.columns().iter().map(|c| c.logical_nulls()).collect();
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            for (i, column) in columns.iter().enumerate() {
                if nulls[i].as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                    self.field(i, None);
                } else {
                    text.clear();
                    column.value(row).write(&mut text)?;
                    self.field(i, Some(&text));
                }
            }
            self.end_line()?;
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        self.file.commit(self.rows)
    }
}
