//! Delimited text.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use mlops_core::{Batches, DataSource, Digest, Error, Partition, Result};

use super::csv_column::{Column, READABLE, column};
use super::csv_records::{Dialect, Field, Mark, Record, Records};
use super::infer::{InferredColumn, InferredSchema};
use super::stamp::Stamp;

/// How a text file is read; [`open`](Self::open) makes a [`CsvSource`] of it.
#[derive(Clone, Debug)]
pub struct CsvOptions {
    dialect: Dialect,
    header: bool,
    nulls: Vec<String>,
    schema: Option<SchemaRef>,
    infer_rows: Option<u64>,
}

impl Default for CsvOptions {
    /// Commas, double quotes, a header, an empty field is null, types inferred from all rows.
    fn default() -> Self {
        Self {
            dialect: Dialect { delimiter: b',', quote: Some(b'"') },
            header: true,
            nulls: vec![String::new()],
            schema: None,
            infer_rows: None,
        }
    }
}

impl CsvOptions {
    /// The default: see [`CsvOptions::default`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Fields end at this byte; a comma unless told otherwise.
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.dialect.delimiter = delimiter;
        self
    }

    /// The byte that fields are quoted with, doubled within them; `None` if quotes are text.
    #[must_use]
    pub fn quote(mut self, quote: Option<u8>) -> Self {
        self.dialect.quote = quote;
        self
    }

    /// Whether the first record names the columns; else they are `column_1`, `column_2`, …
    #[must_use]
    pub fn header(mut self, header: bool) -> Self {
        self.header = header;
        self
    }

    /// The texts that mean null instead of the empty one. In a text column a quoted one is text.
    #[must_use]
    pub fn null_values<S: Into<String>>(mut self, nulls: impl IntoIterator<Item = S>) -> Self {
        self.nulls = nulls.into_iter().map(Into::into).collect();
        self
    }

    /// Reads the columns as this schema says; the names must be the file's, in its order.
    #[must_use]
    pub fn schema(mut self, schema: SchemaRef) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Looks only at this many rows to infer the types. A later value of another type is then an
    /// error where it is read, and the file is not cut into parts that are read side by side.
    #[must_use]
    pub fn infer_rows(mut self, rows: u64) -> Self {
        self.infer_rows = Some(rows);
        self
    }

    /// The file as a source.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Parse`] with the line for an empty file, a column name that is
    /// there twice, a row with too few or too many fields, an open quote, bytes that are not
    /// UTF-8; [`Error::Invalid`] for a schema that is not the file's.
    pub fn open(self, path: impl AsRef<Path>) -> Result<CsvSource> {
        CsvSource::new(path.as_ref(), self)
    }
}

/// A file of delimited text.
///
/// The types are inferred from all rows unless told otherwise
/// ([`inferred`](Self::inferred) explains them); the same pass finds where to cut the file so
/// that its parts are read in parallel. Fields are parted as RFC 4180 says it; lines end in `\n`,
/// `\r\n` or `\r`; blank lines are passed over; a byte order mark is, too. Numbers, booleans and
/// dates may stand between spaces, text is kept as it is.
///
/// ```
/// use mlops_core::{DataSource, DataSourceExt};
/// use mlops_data::CsvSource;
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("people.csv");
/// std::fs::write(&path, "age,city\n31,Oslo\n47,\n")?;
/// let source = CsvSource::open(&path)?;
/// assert_eq!(source.collect()?.num_rows(), 2);
/// println!("{}", source.inferred().unwrap());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CsvSource {
    path: PathBuf,
    options: Arc<CsvOptions>,
    schema: SchemaRef,
    inferred: Option<InferredSchema>,
    parts: Vec<Part>,
    stamp: Stamp,
}

/// A run of records.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: Mark,
    end: u64,
    first_row: u64,
    rows: Option<u64>,
}

impl CsvSource {
    /// The most rows of a partition.
    const PART_ROWS: u64 = 1 << 16;

    /// The file, read with the default [`CsvOptions`].
    ///
    /// # Errors
    /// As [`CsvOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        CsvOptions::new().open(path)
    }

    /// How the types were inferred; `None` where the schema was given.
    pub fn inferred(&self) -> Option<&InferredSchema> {
        self.inferred.as_ref()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn new(path: &Path, options: CsvOptions) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let stamp = Stamp::of(path, &file)?;
        let mut records = Records::new(file, path, options.dialect, Mark { byte: 0, line: 1 });
        records.skip_bom()?;
        let start = records.mark();
        let names = names(&mut records, path, options.header)?;
        // Files of the system itself say that they hold nothing; nothing is what would be read.
        if records.mark().byte > stamp.len {
            let expected = format!("{} bytes, as the system says", stamp.len);
            return Err(Error::invalid(path.display().to_string(), expected, "more"));
        }
        // Without a header the first record is data, too.
        if !options.header {
            let mut file = stamp.reopen(path)?;
            file.seek(SeekFrom::Start(start.byte)).map_err(|e| Error::io(path, e))?;
            records = Records::new(file, path, options.dialect, start);
        }
        let given = options.schema.clone();
        let mut source = Self {
            path: path.to_path_buf(),
            schema: Arc::new(arrow::datatypes::Schema::empty()),
            inferred: None,
            parts: Vec::new(),
            stamp,
            options: Arc::new(options),
        };
        if let Some(schema) = given {
            source.schema = checked_schema(path, &names, schema)?;
            let (start, end) = (records.mark(), stamp.len);
            source.parts = vec![Part { start, end, first_row: 0, rows: None }];
        } else {
            let inferred = source.infer(&mut records, names)?;
            source.schema = inferred.schema();
            source.inferred = Some(inferred);
        }
        Ok(source)
    }

    /// The same file read with these types, which must take all its values.
    pub(crate) fn with_types(mut self, schema: SchemaRef) -> Self {
        self.schema = schema;
        self
    }

    /// Looks at the rows, and cuts the file into parts if it looked at all.
    fn infer(&mut self, records: &mut Records<File>, names: Vec<String>) -> Result<InferredSchema> {
        let most = self.options.infer_rows.unwrap_or(u64::MAX);
        let n_columns = names.len();
        let mut columns: Vec<_> = names.into_iter().map(InferredColumn::new).collect();
        let mut row = 0;
        let mut part = Part { start: records.mark(), end: 0, first_row: 0, rows: None };
        let whole = part;
        let complete = loop {
            let here = records.mark();
            if row - part.first_row == Self::PART_ROWS {
                let rows = Some(row - part.first_row);
                self.parts.push(Part { end: here.byte, rows, ..part });
                part = Part { start: here, first_row: row, ..part };
            }
            let Some(record) = records.next()? else { break true };
            if row == most {
                break false;
            }
            check_len(&self.path, &record, n_columns)?;
            for (i, column) in columns.iter_mut().enumerate() {
                let field = record.field(i);
                let text = utf8(&self.path, &record, &column.name, &field)?;
                if self.options.nulls.iter().any(|n| n == text.trim_ascii()) {
                    column.see_null();
                } else {
                    column.see(text, record.start.line);
                }
            }
            row += 1;
        };
        if complete {
            let rows = Some(row - part.first_row);
            self.parts.push(Part { end: records.mark().byte, rows, ..part });
        } else {
            self.parts = vec![Part { end: self.stamp.len, ..whole }];
        }
        Ok(InferredSchema { columns, rows: row, complete })
    }
}

impl DataSource for CsvSource {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        let origin = self.path.display().to_string();
        Ok(self
            .parts
            .iter()
            .map(|part| {
                let mut partition = Partition::new(&origin)
                    .starting_at(part.first_row)
                    .with_bytes(part.end.saturating_sub(part.start.byte));
                partition.rows = part.rows;
                partition
            })
            .collect())
    }

    fn read(
        &self,
        partition: usize,
        projection: Option<&[usize]>,
        batch_size: usize,
    ) -> Result<Batches> {
        let part = *self.parts.get(partition).ok_or_else(|| {
            Error::invalid("partition", format!("one of {}", self.parts.len()), partition)
        })?;
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => self.schema.clone(),
        };
        let wanted: Vec<usize> = match projection {
            Some(columns) => columns.to_vec(),
            None => (0..schema.fields().len()).collect(),
        };
        let columns = schema
            .fields()
            .iter()
            .map(|field| {
                column(field.data_type())
                    .ok_or_else(|| Error::column_type(field.name(), READABLE, field.data_type()))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut file = self.stamp.reopen(&self.path)?;
        file.seek(SeekFrom::Start(part.start.byte)).map_err(|e| Error::io(&self.path, e))?;
        let bytes = Arc::new(AtomicU64::new(0));
        let reader = Reader {
            records: Records::new(file, &self.path, self.options.dialect, part.start),
            path: self.path.clone(),
            options: self.options.clone(),
            n_fields: self.schema.fields().len(),
            schema,
            wanted,
            columns,
            part,
            batch_size: batch_size.max(1),
            rows: 0,
            bytes: bytes.clone(),
            done: false,
        };
        Ok(Batches::new(reader).with_bytes(bytes))
    }

    fn fingerprint(&self, origin: &str) -> Option<Digest> {
        let options = &self.options;
        let reading = format!("csv {:?}", (options.dialect, options.header, &options.nulls));
        (self.path.display().to_string() == origin).then(|| self.stamp.fingerprint(&reading))?
    }
}

/// The batches of a part.
struct Reader {
    records: Records<File>,
    path: PathBuf,
    options: Arc<CsvOptions>,
    n_fields: usize,
    schema: SchemaRef,
    wanted: Vec<usize>,
    columns: Vec<Box<dyn Column>>,
    part: Part,
    batch_size: usize,
    rows: u64,
    bytes: Arc<AtomicU64>,
    done: bool,
}

impl Reader {
    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut n = 0;
        while n < self.batch_size {
            let left = self.part.rows.is_none_or(|rows| self.rows < rows);
            if !left || self.records.mark().byte >= self.part.end {
                break;
            }
            let Some(record) = self.records.next()? else { break };
            check_len(&self.path, &record, self.n_fields)?;
            for (i, column) in self.columns.iter_mut().enumerate() {
                let field = record.field(self.wanted[i]);
                let text = utf8(&self.path, &record, self.schema.field(i).name(), &field)?;
                let is_text = column.is_text();
                let bare = if is_text { text } else { text.trim_ascii() };
                let null =
                    (!field.quoted || !is_text) && self.options.nulls.iter().any(|n| n == bare);
                let field_of = self.schema.field(i);
                if null && field_of.is_nullable() {
                    column.null();
                } else if null || !column.push(bare) {
                    return Err(Error::Parse {
                        path: self.path.clone(),
                        line: record.start.line,
                        expected: format!(
                            "a value of type {} in column `{}`",
                            field_of.data_type(),
                            field_of.name()
                        ),
                        found: if null { "null".into() } else { shown(text) },
                    });
                }
            }
            n += 1;
            self.rows += 1;
        }
        self.bytes.store(self.records.mark().byte - self.part.start.byte, Ordering::Relaxed);
        if n == 0 {
            return match self.part.rows {
                Some(rows) if rows != self.rows => Err(Error::invalid(
                    self.path.display().to_string(),
                    format!("{rows} rows from row {}, as when it was opened", self.part.first_row),
                    self.rows,
                )),
                _ => Ok(None),
            };
        }
        let arrays = self.columns.iter_mut().map(|c| c.finish()).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(n));
        Ok(Some(RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)?))
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let batch = self.batch().transpose();
        self.done = !matches!(batch, Some(Ok(_)));
        batch
    }
}

/// The columns' names from the first record.
fn names(records: &mut Records<File>, path: &Path, header: bool) -> Result<Vec<String>> {
    let bad = |line, expected: &str, found: String| {
        Err(Error::Parse { path: path.into(), line, expected: expected.into(), found })
    };
    let Some(record) = records.next()? else {
        let expected = if header { "a header" } else { "a row" };
        return bad(1, expected, "an empty file".into());
    };
    let mut names: Vec<String> = Vec::with_capacity(record.len());
    let mut known = std::collections::HashMap::with_capacity(record.len());
    for i in 0..record.len() {
        let field = record.field(i);
        let mut name = String::new();
        if header {
            utf8(path, &record, "the header", &field)?.trim().clone_into(&mut name);
        }
        if name.is_empty() {
            // As `to_csv` of a DataFrame leaves its index without a name.
            name = format!("column_{}", i + 1);
        }
        if let Some(first) = known.insert(name.clone(), i + 1) {
            let found = format!("`{name}` as columns {first} and {}", i + 1);
            return bad(record.start.line, "a name for each column", found);
        }
        names.push(name);
    }
    Ok(names)
}

fn checked_schema(path: &Path, names: &[String], schema: SchemaRef) -> Result<SchemaRef> {
    let expected: Vec<_> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    if names != expected {
        return Err(Error::invalid(
            format!("header of {}", path.display()),
            expected.join(", "),
            names.join(", "),
        ));
    }
    for field in schema.fields() {
        if column(field.data_type()).is_none() {
            return Err(Error::column_type(field.name(), READABLE, field.data_type()));
        }
    }
    Ok(schema)
}

fn check_len(path: &Path, record: &Record<'_>, expected: usize) -> Result<()> {
    if record.len() == expected {
        return Ok(());
    }
    Err(Error::Parse {
        path: path.into(),
        line: record.start.line,
        expected: format!("{expected} fields"),
        found: format!(
            "{}, from {}",
            record.len(),
            shown(&String::from_utf8_lossy(&record.field(0).bytes))
        ),
    })
}

fn utf8<'f>(path: &Path, record: &Record<'_>, name: &str, field: &'f Field<'_>) -> Result<&'f str> {
    std::str::from_utf8(&field.bytes).map_err(|_| Error::Parse {
        path: path.into(),
        line: record.start.line,
        expected: format!("UTF-8 text in column `{name}`"),
        found: shown(&String::from_utf8_lossy(&field.bytes)),
    })
}

/// A value as messages show it: quoted, escaped, cut after 40 characters.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(40).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("`{}{more}`", cut.escape_debug())
}
