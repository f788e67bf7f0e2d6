//! One pass over a source feeds any number of measurements.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::SchemaRef;
use rayon::prelude::*;

use crate::rows::Names;
use crate::source::check_columns;
use crate::{Analyzer, Cancel, DataSource, OnProgress, Partition, Progress, Result, Rows, State};

/// A pass over a source: its options, then [`run`](Self::run).
///
/// Partitions are read in parallel on the caller's rayon pool; only the columns that the analyzer
/// asks for are read, each decoded once; the states are merged. The result is the same bits for
/// any number of threads, batch size and partitioning.
///
/// ```
/// use arrow::array::Int32Array;
/// use mlops_core::{Cancel, MemorySource, Progress, Scan, batch, states::RowCount};
///
/// let source = MemorySource::from(batch! { "x" => Int32Array::from(vec![1, 2, 3]) }?);
/// let cancel = Cancel::new(); // hand a clone to whoever may stop it
/// let show = |p: &Progress| println!("{} rows", p.rows);
/// let rows = Scan::new(&source).on_progress(&show).cancel(&cancel).run(&RowCount)?;
/// assert_eq!(rows, 3);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Scan<'a> {
    source: &'a dyn DataSource,
    batch_size: usize,
    progress: Option<&'a dyn OnProgress>,
    cancel: Option<&'a Cancel>,
}

impl std::fmt::Debug for Scan<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan")
            .field("source", &self.source)
            .field("batch_size", &self.batch_size)
            .finish_non_exhaustive()
    }
}

impl<'a> Scan<'a> {
    /// The rows of a batch unless told otherwise.
    pub const BATCH_SIZE: usize = 16 * 1024;

    /// A scan of this source.
    pub fn new(source: &'a dyn DataSource) -> Self {
        Self { source, batch_size: Self::BATCH_SIZE, progress: None, cancel: None }
    }

    /// Reads batches of at most this many rows (at least 1).
    #[must_use]
    pub fn batch_size(mut self, rows: usize) -> Self {
        self.batch_size = rows.max(1);
        self
    }

    /// Tells this listener after every batch.
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

    /// Measures all rows.
    ///
    /// # Errors
    /// Those of the source and the analyzer; [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn run<A: Analyzer>(self, analyzer: &A) -> Result<A::Output> {
        analyzer.finish(self.state(analyzer)?)
    }

    /// The state after all rows, to be stored, merged, or finished later.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn state<A: Analyzer>(self, analyzer: &A) -> Result<A::State> {
        let pass = Pass::new(self, Some(analyzer.columns()))?;
        let checked = pass.checked(analyzer)?;
        let states = pass.state(analyzer, (0..pass.partitions.len()).into_par_iter())?;
        let mut whole = checked;
        if let Some(state) = states {
            whole.merge(state)?;
        }
        Ok(whole)
    }

    /// The source.
    pub fn source(&self) -> &'a dyn DataSource {
        self.source
    }

    /// Measures each origin (a file, a table) by itself: `each` gets its state as soon as it is
    /// read, from the threads that read. Origins that are not `wanted` are not opened.
    ///
    /// Gives the state that saw no row but the columns: with the states of all origins merged into
    /// it, in any order, it is the same bits as [`state`](Self::state).
    ///
    /// # Errors
    /// As [`run`](Self::run), and those of `each`.
    pub fn by_origin<A: Analyzer>(
        self,
        analyzer: &A,
        wanted: impl Fn(&str) -> bool,
        each: impl Fn(&str, A::State) -> Result<()> + Sync,
    ) -> Result<A::State> {
        let mut pass = Pass::new(self, Some(analyzer.columns()))?;
        let checked = pass.checked(analyzer)?;
        let mut origins: Vec<(String, Vec<usize>)> = Vec::new();
        let mut known: HashMap<&str, Option<usize>> = HashMap::new();
        for (index, partition) in pass.partitions.iter().enumerate() {
            let place = known.entry(&partition.origin).or_insert_with(|| {
                wanted(&partition.origin).then(|| {
                    origins.push((partition.origin.clone(), Vec::new()));
                    origins.len() - 1
                })
            });
            if let Some(place) = *place {
                origins[place].1.push(index);
            }
        }
        pass.expect_only(origins.iter().flat_map(|(_, partitions)| partitions.iter().copied()));
        origins.into_par_iter().try_for_each(|(origin, partitions)| {
            let state = pass.state(analyzer, partitions.into_par_iter())?;
            each(&origin, state.unwrap_or_else(|| analyzer.start()))
        })?;
        Ok(checked)
    }

    /// Measures all rows and shows each batch, with *all* columns, to `each`: one batch after the
    /// other, in the order of the rows. For what must see rows in their order, as writing the good
    /// ones to one file and the bad ones to another.
    ///
    /// # Errors
    /// As [`run`](Self::run), and those of `each`.
    pub fn in_order<A: Analyzer>(
        self,
        analyzer: &A,
        mut each: impl FnMut(&Rows<'_>) -> Result<()>,
    ) -> Result<A::Output> {
        let pass = Pass::new(self, None)?;
        let mut state = pass.checked(analyzer)?;
        for partition in 0..pass.partitions.len() {
            pass.read(partition, |rows| {
                analyzer.update(&mut state, rows)?;
                each(rows)
            })?;
        }
        analyzer.finish(state)
    }
}

/// The sum where all is known; what partitions say may be anything.
fn total(mut parts: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    parts.try_fold(0u64, |sum, part| Some(sum.saturating_add(part?)))
}

/// What all partitions of one scan share.
struct Pass<'a> {
    scan: Scan<'a>,
    partitions: Vec<Partition>,
    projection: Option<Vec<usize>>,
    /// The columns that are read.
    schema: SchemaRef,
    names: Names,
    rows: AtomicU64,
    bytes: AtomicU64,
    done: AtomicU64,
    total: Progress,
}

impl<'a> Pass<'a> {
    /// With the columns that are asked for *and* there: one that is missing is the analyzer's
    /// error when it first looks, so that one bad member of a plan leaves the others alone.
    fn new(scan: Scan<'a>, columns: Option<Vec<String>>) -> Result<Self> {
        let whole = scan.source.schema();
        let projection = columns.map(|mut columns| {
            columns.sort();
            columns.dedup();
            let mut found: Vec<_> = columns.iter().filter_map(|c| whole.index_of(c).ok()).collect();
            found.sort_unstable();
            found
        });
        let schema = match &projection {
            Some(columns) => Arc::new(whole.project(columns)?),
            None => whole.clone(),
        };
        let names = Names::projected(&schema, &whole);
        let partitions = scan.source.partitions()?;
        let total = Progress {
            rows_total: total(partitions.iter().map(|p| p.rows)),
            bytes_total: total(partitions.iter().map(|p| p.bytes)),
            partitions_total: Some(partitions.len() as u64),
            ..Progress::default()
        };
        Ok(Self {
            scan,
            partitions,
            projection,
            schema,
            names,
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            done: AtomicU64::new(0),
            total,
        })
    }

    /// A state that has looked at the columns, which are thus checked on an empty source, too.
    fn checked<A: Analyzer>(&self, analyzer: &A) -> Result<A::State> {
        let nothing = arrow::array::RecordBatch::new_empty(self.schema.clone());
        let mut state = analyzer.start();
        analyzer.update(&mut state, &Rows::of(&nothing, self.names.clone(), "", 0))?;
        Ok(state)
    }

    /// The state after these partitions; `None` if there are none.
    fn state<A: Analyzer>(
        &self,
        analyzer: &A,
        partitions: impl ParallelIterator<Item = usize>,
    ) -> Result<Option<A::State>> {
        partitions
            .try_fold(
                || None,
                |state: Option<A::State>, partition| {
                    let mut state = state.unwrap_or_else(|| analyzer.start());
                    self.read(partition, |rows| analyzer.update(&mut state, rows))?;
                    Ok::<_, crate::Error>(Some(state))
                },
            )
            .try_reduce(
                || None,
                |a, b| match (a, b) {
                    (Some(mut a), Some(b)) => {
                        a.merge(b)?;
                        Ok(Some(a))
                    }
                    (one, None) | (None, one) => Ok(one),
                },
            )
    }

    /// Makes the totals of progress those of these partitions.
    fn expect_only(&mut self, partitions: impl Iterator<Item = usize> + Clone) {
        let parts = partitions.map(|index| &self.partitions[index]);
        let (rows, bytes) =
            (total(parts.clone().map(|p| p.rows)), total(parts.clone().map(|p| p.bytes)));
        let count = parts.count() as u64;
        self.total = Progress {
            rows_total: rows,
            bytes_total: bytes,
            partitions_total: Some(count),
            ..self.total
        };
    }

    fn read(&self, index: usize, mut each: impl FnMut(&Rows<'_>) -> Result<()>) -> Result<()> {
        let partition = &self.partitions[index];
        let mut batches =
            self.scan.source.read(index, self.projection.as_deref(), self.scan.batch_size)?;
        let mut at = partition.first_row;
        let mut counted = 0;
        loop {
            if let Some(cancel) = self.scan.cancel {
                cancel.check()?;
            }
            let Some(batch) = batches.next() else { break };
            let batch = batch?;
            check_columns(&self.schema, batch.schema_ref())
                .map_err(|e| e.within(format!("{}, from row {at}", partition.origin)))?;
            each(&Rows::of(&batch, self.names.clone(), &partition.origin, at))?;
            at = at.saturating_add(batch.num_rows() as u64);
            if self.scan.progress.is_some() {
                self.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                let read = batches.bytes_read().unwrap_or(counted);
                self.bytes.fetch_add(read.saturating_sub(counted), Ordering::Relaxed);
                counted = read.max(counted);
                self.tell();
            }
        }
        self.done.fetch_add(1, Ordering::Relaxed);
        if let Some(all) = partition.bytes {
            self.bytes.fetch_add(all.saturating_sub(counted), Ordering::Relaxed);
        }
        self.tell();
        Ok(())
    }

    fn tell(&self) {
        if let Some(listener) = self.scan.progress {
            listener.on_progress(&Progress {
                rows: self.rows.load(Ordering::Relaxed),
                bytes: self.bytes.load(Ordering::Relaxed),
                partitions: self.done.load(Ordering::Relaxed),
                ..self.total
            });
        }
    }
}
