//! Good rows to one file, bad rows to another with the reasons.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, ListBuilder, RecordBatch, StringArray, StringBuilder, UInt64Array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use mlops_core::{
    Assessment, AtomicFile, Cancel, DataSource, Error, Measurements, OnProgress, Plan, Result,
    Rows, Scan, Severity, sync_directory_of,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};

use crate::compile::RowRule;
use crate::{Context, Suite};

/// Where the rows go: two Parquet files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineFiles {
    /// The rows that may be used, with the columns of the source.
    pub clean: PathBuf,
    /// The others, with three more columns: `quarantine_reasons`, the expectations that the row
    /// fails; `quarantine_origin` and `quarantine_row`, where the row came from.
    pub bad: PathBuf,
}

/// Splits a source into clean and bad rows by a suite: its options, then [`run`](Self::run).
///
/// A row is bad if it fails an expectation that *fails*, and that matters enough (critical, unless
/// told): failures that `mostly` tolerates stay. Every row of a group of duplicates is bad.
/// Expectations about the table (schema, row count) put no row aside, but their verdict is in the
/// assessment.
///
/// One pass in the order of the rows judges and writes. Only where the fate of a row depends on
/// the others (a `mostly` below 1, `unique`) does a parallel pass go before it, and two where an
/// expectation needs two by itself (`z_score`).
///
/// # After a crash
/// Both files are written under temporary names and synced. Then the old clean file is removed,
/// the bad file gets its name, and the clean file gets its own last. So at any instant *a clean
/// file that is there is whole, and the bad file beside it is whole and of the same run*; without
/// a clean file, run again. An error or a cancellation leaves the files that were there before.
pub struct Quarantine<'a> {
    suite: &'a Suite,
    context: Option<&'a Context>,
    files: QuarantineFiles,
    severity: Severity,
    batch_size: usize,
    progress: Option<&'a dyn OnProgress>,
    cancel: Option<&'a Cancel>,
}

impl fmt::Debug for Quarantine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quarantine")
            .field("suite", &self.suite.name)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// What became of the rows. That there are clean rows does not say that the data passed: ask the
/// assessment, as [`Assessment::require_pass`] does.
#[must_use = "rows were put aside; whether the data passed stands in the assessment"]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Quarantined {
    /// What the suite says of the whole source, bad rows included.
    pub assessment: Assessment,
    /// How many rows are clean.
    pub clean: u64,
    /// How many are bad.
    pub bad: u64,
    /// For every expectation that put rows aside, as `in_range(age)`: how many. A row may count
    /// for several.
    pub reasons: Vec<(String, u64)>,
}

impl fmt::Display for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = self.assessment.verdict;
        write!(f, "{verdict}: {} clean rows, {} in quarantine", self.clean, self.bad)?;
        for (reason, rows) in &self.reasons {
            write!(f, "\n  {rows} {reason}")?;
        }
        // What no row can be blamed for: a column that is missing, too few rows.
        for finding in self.assessment.failures().filter(|f| f.failing_rows.is_none()) {
            write!(f, "\n  {finding}")?;
        }
        Ok(())
    }
}

/// Splits a source into clean and bad rows by a suite, with the defaults of [`Quarantine`].
///
/// ```
/// use mlops_core::arrow::array::Int32Array;
/// use mlops_core::{Error, MemorySource, batch};
/// use mlops_validate::{QuarantineFiles, Suite, in_range, quarantine};
///
/// # let dir = tempfile::tempdir().map_err(|e| Error::io("a temporary directory", e))?;
/// let files = QuarantineFiles {
///     clean: dir.path().join("clean.parquet"),
///     bad: dir.path().join("bad.parquet"),
/// };
/// let suite = Suite::new("applications").expect(in_range("age", 18..=99));
/// let data = MemorySource::from(batch! { "age" => Int32Array::from(vec![31, 150, 47]) }?);
/// let split = quarantine(&data, &suite, files)?;
/// assert_eq!((split.clean, split.bad), (2, 1));
/// assert_eq!(split.reasons, [("in_range(age)".to_owned(), 1)]);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// As [`Quarantine::run`].
pub fn quarantine(
    source: &dyn DataSource,
    suite: &Suite,
    files: QuarantineFiles,
) -> Result<Quarantined> {
    Quarantine::new(suite, files).run(source)
}

impl<'a> Quarantine<'a> {
    /// By this suite, to these files.
    pub fn new(suite: &'a Suite, files: QuarantineFiles) -> Self {
        Self {
            suite,
            context: None,
            files,
            severity: Severity::Critical,
            batch_size: Scan::BATCH_SIZE,
            progress: None,
            cancel: None,
        }
    }

    /// With the time and the other sources that expectations compare with.
    #[must_use]
    pub fn context(mut self, context: &'a Context) -> Self {
        self.context = Some(context);
        self
    }

    /// Expectations that matter at least this much put rows aside.
    #[must_use]
    pub fn severity(mut self, least: Severity) -> Self {
        self.severity = least;
        self
    }

    /// Reads batches of at most this many rows.
    #[must_use]
    pub fn batch_size(mut self, rows: usize) -> Self {
        self.batch_size = rows;
        self
    }

    /// Tells this listener after every batch, of each pass from 0.
    #[must_use]
    pub fn on_progress(mut self, listener: &'a dyn OnProgress) -> Self {
        self.progress = Some(listener);
        self
    }

    /// Stops between batches once this switch is thrown.
    #[must_use]
    pub fn cancel(mut self, cancel: &'a Cancel) -> Self {
        self.cancel = Some(cancel);
        self
    }

    /// Reads the source and writes both files, or neither.
    ///
    /// # Errors
    /// Those of the source and the suite; [`Error::Invalid`] if both files have one name or that of
    /// a file of the source, or the source has a column of the names that the bad file adds;
    /// [`Error::Io`] of the files; [`Error::Cancelled`].
    pub fn run(self, source: &dyn DataSource) -> Result<Quarantined> {
        if place(&self.files.clean) == place(&self.files.bad) {
            let found = self.files.bad.display();
            return Err(Error::invalid(
                "the bad rows' file",
                "another than the clean rows'",
                found,
            ));
        }
        self.check_apart(source)?;
        let schema = source.schema();
        let mut plan = Plan::new();
        let nothing = Context::default();
        let context = self.context.unwrap_or(&nothing);
        let (judge, rules) = self.suite.compile(&schema, context, &mut plan)?;
        let all_rules = rules.clone();
        let mut rules: Vec<_> = std::iter::zip(&self.suite.expectations, rules)
            .enumerate()
            .filter(|(_, (expectation, _))| expectation.severity >= self.severity)
            .filter_map(|(index, (expectation, rule))| {
                let label = expectation.to_string();
                Some(Rule { index, label, which: rule?, rows: 0 })
            })
            .collect();
        let needs_all = |rule: &Rule| {
            matches!(rule.which, RowRule::AfterAll(_) | RowRule::SecondPass(..))
                || self.suite.expectations[rule.index].mostly < 1.0
        };
        let mut writers = Writers::create(&self.files, &schema)?;
        let assessment = if rules.iter().any(needs_all) {
            let measured = self.scan(source).run(&plan)?;
            let found = judge.judge(&measured)?;
            let again = |plan: &Plan| self.scan(source).run(plan);
            let found = self.suite.second_pass(found, &schema, &all_rules, &measured, again)?;
            let assessment = found.assessment();
            rules.retain(|rule| assessment.findings[rule.index].verdict.is_fail());
            for rule in &mut rules {
                rule.learn(&measured)?;
            }
            self.scan(source).in_order(&Plan::new(), |rows| writers.write(rows, &mut rules))?;
            assessment
        } else {
            let scan = self.scan(source);
            let measured = scan.in_order(&plan, |rows| writers.write(rows, &mut rules))?;
            judge.judge(&measured)?.assessment()
        };
        if let Some(cancel) = self.cancel {
            cancel.check()?;
        }
        let (clean, bad) = (writers.clean_rows, writers.bad_rows);
        writers.commit()?;
        let reasons = rules.into_iter().filter(|r| r.rows > 0).map(|r| (r.label, r.rows)).collect();
        Ok(Quarantined { assessment, clean, bad, reasons })
    }

    /// The source must outlive the run, even one that a crash ends: no file of its own is written.
    fn check_apart(&self, source: &dyn DataSource) -> Result<()> {
        let ours = [place(&self.files.clean), place(&self.files.bad)];
        let mut last = String::new();
        for partition in source.partitions()? {
            if partition.origin == last {
                continue;
            }
            let origin = Path::new(&partition.origin);
            if origin.exists() && ours.contains(&place(origin)) {
                let expected = "other files than those of the source";
                return Err(Error::invalid("files of a quarantine", expected, origin.display()));
            }
            last = partition.origin;
        }
        Ok(())
    }

    fn scan<'s>(&self, source: &'s dyn DataSource) -> Scan<'s>
    where
        'a: 's,
    {
        let mut scan = Scan::new(source).batch_size(self.batch_size);
        if let Some(listener) = self.progress {
            scan = scan.on_progress(listener);
        }
        if let Some(cancel) = self.cancel {
            scan = scan.cancel(cancel);
        }
        scan
    }
}

/// Where a file stands, however it is spelled: `a/x` and `./a/x` are one file, and so are a link and
/// what it leads to.
fn place(path: &Path) -> PathBuf {
    if let Ok(place) = path.canonicalize() {
        return place;
    }
    let directory = match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    // A directory that is not there is an error soon.
    match (directory.canonicalize(), path.file_name()) {
        (Ok(directory), Some(name)) => directory.join(name),
        _ => path.to_path_buf(),
    }
}

/// An expectation that puts rows aside.
struct Rule {
    /// Its place in the suite.
    index: usize,
    label: String,
    which: RowRule,
    rows: u64,
}

impl Rule {
    /// What the first pass found out.
    fn learn(&mut self, measured: &Measurements) -> Result<()> {
        self.which = RowRule::Test(self.which.test(measured)?);
        Ok(())
    }

    /// The rows that fail, `None` where all are well.
    fn failing(&self, rows: &Rows<'_>) -> Result<Option<BooleanBuffer>> {
        let RowRule::Test(test) = &self.which else { return Ok(None) };
        Ok(test.test(rows)?.failing.filter(|f| f.count_set_bits() > 0))
    }
}

/// The names of the columns that the bad file adds.
const ADDED: [&str; 3] = ["quarantine_reasons", "quarantine_origin", "quarantine_row"];

struct Writers {
    clean: ArrowWriter<AtomicFile>,
    bad: ArrowWriter<AtomicFile>,
    bad_schema: SchemaRef,
    clean_rows: u64,
    bad_rows: u64,
}

impl Writers {
    fn create(files: &QuarantineFiles, schema: &SchemaRef) -> Result<Self> {
        if let Some(taken) = ADDED.iter().find(|name| schema.column_with_name(name).is_some()) {
            let expected = format!("none named {}", ADDED.join(", "));
            return Err(Error::invalid("columns of the source", expected, taken));
        }
        let item = Arc::new(Field::new_list_field(DataType::Utf8, true));
        let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(ADDED[0], DataType::List(item), false)));
        fields.push(Arc::new(Field::new(ADDED[1], DataType::Utf8, false)));
        fields.push(Arc::new(Field::new(ADDED[2], DataType::UInt64, false)));
        let bad_schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
        let open = |path: &PathBuf, schema: &SchemaRef| {
            let properties =
                WriterProperties::builder().set_compression(Compression::SNAPPY).build();
            ArrowWriter::try_new(AtomicFile::create(path)?, schema.clone(), Some(properties))
                .map_err(|e| Error::other(path.display().to_string(), e))
        };
        Ok(Self {
            clean: open(&files.clean, schema)?,
            bad: open(&files.bad, &bad_schema)?,
            bad_schema,
            clean_rows: 0,
            bad_rows: 0,
        })
    }

    fn write(&mut self, rows: &Rows<'_>, rules: &mut [Rule]) -> Result<()> {
        let mut failing = Vec::with_capacity(rules.len());
        let mut bad = BooleanBuffer::new_unset(rows.len());
        for rule in &mut *rules {
            let rule_failing = rule.failing(rows)?;
            if let Some(found) = &rule_failing {
                rule.rows += found.count_set_bits() as u64;
                bad = &bad | found;
            }
            failing.push(rule_failing);
        }
        let batch = rows.batch()?;
        let bad_rows = bad.count_set_bits();
        self.bad_rows += bad_rows as u64;
        self.clean_rows += (batch.num_rows() - bad_rows) as u64;
        if bad_rows == 0 {
            return write(&mut self.clean, batch);
        }
        let mut reasons = ListBuilder::new(StringBuilder::new());
        for index in bad.set_indices() {
            for (rule, failing) in std::iter::zip(&*rules, &failing) {
                if failing.as_ref().is_some_and(|f| f.value(index)) {
                    reasons.values().append_value(&rule.label);
                }
            }
            reasons.append(true);
        }
        let numbers = bad.set_indices().map(|i| rows.row_number(i));
        let added: [ArrayRef; 3] = [
            Arc::new(reasons.finish()),
            Arc::new(StringArray::from(vec![rows.origin(); bad_rows])),
            Arc::new(numbers.collect::<UInt64Array>()),
        ];
        let is_clean = BooleanArray::new(!&bad, None);
        let put_aside = filter_record_batch(batch, &BooleanArray::new(bad, None))?;
        let columns = put_aside.columns().iter().cloned().chain(added).collect();
        write(&mut self.bad, &RecordBatch::try_new(self.bad_schema.clone(), columns)?)?;
        if is_clean.true_count() > 0 {
            write(&mut self.clean, &filter_record_batch(batch, &is_clean)?)?;
        }
        Ok(())
    }

    /// Both files under their names; the order is what a crash is survived by.
    fn commit(self) -> Result<()> {
        let finish = |writer: ArrowWriter<AtomicFile>| {
            let mut file = writer.into_inner().map_err(not_written)?;
            file.sync()?;
            Ok::<_, Error>(file)
        };
        let (clean, bad) = (finish(self.clean)?, finish(self.bad)?);
        let path = clean.path().to_path_buf();
        match std::fs::remove_file(&path) {
            Ok(()) => sync_directory_of(&path)?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io(path, e)),
        }
        bad.commit()?;
        clean.commit()
    }
}

fn write(writer: &mut ArrowWriter<AtomicFile>, batch: &RecordBatch) -> Result<()> {
    writer.write(batch).map_err(not_written)
}

fn not_written(e: parquet::errors::ParquetError) -> Error {
    Error::other("writing the rows to Parquet", e)
}
