//! One pass over a source feeds any number of measurements.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use rayon::prelude::*;

use crate::rows::Names;
use crate::source::check_columns;
use crate::{
    Analyzer, Cancel, DataSource, OnProgress, Partition, Plan, PlanState, Progress, Result, Rows,
    State, Statistics,
};

/// A pass over a source: its options, then [`run`](Self::run).
///
/// Partitions are read in parallel on the caller's rayon pool; only the columns that the analyzer
/// asks for are read, each decoded once; the states are merged. A partition of which the source
/// knows enough without reading it ([`DataSource::statistics`]) is not read; of a plan only the
/// members that need its rows see them. The result is the same bits for any number of threads,
/// batch size and partitioning, read or settled.
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
    statistics: bool,
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
        Self {
            source,
            batch_size: Self::BATCH_SIZE,
            progress: None,
            cancel: None,
            statistics: true,
        }
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

    /// Reads every row, whatever the source says that it knows: a footer that lies is found out
    /// only so.
    #[must_use]
    pub fn without_statistics(mut self) -> Self {
        self.statistics = false;
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
    /// All rows are read, whatever the source knows.
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
            pass.read(partition, &pass.all, |rows| {
                analyzer.update(&mut state, rows)?;
                each(rows)
            })?;
        }
        analyzer.finish(state)
    }
}

/// The analyzer as a plan, whose members settle each by itself.
fn as_plan<'s, A: Analyzer>(
    analyzer: &'s A,
    state: &'s mut A::State,
) -> Option<(&'s Plan, &'s mut PlanState)> {
    let plan = (analyzer as &dyn Any).downcast_ref()?;
    (state as &mut dyn Any).downcast_mut().map(|state| (plan, state))
}

/// The sum where all is known; what partitions say may be anything.
fn total(mut parts: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    parts.try_fold(0u64, |sum, part| Some(sum.saturating_add(part?)))
}

/// What all partitions of one scan share.
struct Pass<'a> {
    scan: Scan<'a>,
    partitions: Vec<Partition>,
    whole: SchemaRef,
    all: Arc<Columns>,
    /// For the members of a plan that a partition's statistics did not settle.
    some: Mutex<HashMap<Vec<bool>, Arc<Columns>>>,
    rows: AtomicU64,
    bytes: AtomicU64,
    done: AtomicU64,
    total: Progress,
}

/// The columns that are read.
struct Columns {
    projection: Option<Vec<usize>>,
    schema: SchemaRef,
    names: Names,
}

impl Columns {
    fn of(columns: Option<Vec<String>>, whole: &SchemaRef) -> Result<Self> {
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
        let names = Names::projected(&schema, whole);
        Ok(Self { projection, schema, names })
    }
}

/// What is left to be read of a partition.
enum Rest {
    Nothing,
    All,
    /// For the members of a plan that are not settled.
    Members(Vec<bool>, Arc<Columns>),
}

impl<'a> Pass<'a> {
    /// With the columns that are asked for *and* there: one that is missing is the analyzer's
    /// error when it first looks, so that one bad member of a plan leaves the others alone.
    fn new(scan: Scan<'a>, columns: Option<Vec<String>>) -> Result<Self> {
        let whole = scan.source.schema();
        let all = Arc::new(Columns::of(columns, &whole)?);
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
            whole,
            all,
            some: Mutex::default(),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            done: AtomicU64::new(0),
            total,
        })
    }

    /// A state that has looked at the columns, which are thus checked on an empty source, too.
    fn checked<A: Analyzer>(&self, analyzer: &A) -> Result<A::State> {
        let nothing = arrow::array::RecordBatch::new_empty(self.all.schema.clone());
        let mut state = analyzer.start();
        analyzer.update(&mut state, &Rows::of(&nothing, self.all.names.clone(), "", 0))?;
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
                    self.take_in(partition, analyzer, &mut state)?;
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

    /// A partition: what is known of it, and for whom that is not enough its rows.
    fn take_in<A: Analyzer>(&self, index: usize, analyzer: &A, state: &mut A::State) -> Result<()> {
        match self.settle(index, analyzer, state)? {
            Rest::Nothing => {
                self.pass_over(index);
                Ok(())
            }
            Rest::All => self.read(index, &self.all, |rows| analyzer.update(state, rows)),
            Rest::Members(left, columns) => self.read(index, &columns, |rows| {
                if let Some((plan, state)) = as_plan(analyzer, state) {
                    plan.update_some(state, rows, |member| left[member]);
                }
                Ok(())
            }),
        }
    }

    fn settle<A: Analyzer>(
        &self,
        index: usize,
        analyzer: &A,
        state: &mut A::State,
    ) -> Result<Rest> {
        if !self.scan.statistics {
            return Ok(Rest::All);
        }
        if let Some(cancel) = self.scan.cancel {
            cancel.check()?;
        }
        let projection = self.all.projection.as_deref();
        let Some(known) = self.scan.source.statistics(index, projection)? else {
            return Ok(Rest::All);
        };
        self.settle_from(&known, analyzer, state)
    }

    fn settle_from<A: Analyzer>(
        &self,
        known: &Statistics,
        analyzer: &A,
        state: &mut A::State,
    ) -> Result<Rest> {
        let Some((plan, state)) = as_plan(analyzer, state) else {
            return Ok(if analyzer.settle(state, known)? { Rest::Nothing } else { Rest::All });
        };
        let left: Vec<bool> = plan.settle_each(state, known).iter().map(|done| !done).collect();
        if !left.contains(&true) {
            return Ok(Rest::Nothing);
        }
        if !left.contains(&false) {
            return Ok(Rest::All);
        }
        let mut some = self.some.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(columns) = some.get(&left) {
            let columns = columns.clone();
            return Ok(Rest::Members(left, columns));
        }
        let columns = Columns::of(Some(plan.columns_of(|member| left[member])), &self.whole)?;
        let columns = Arc::new(columns);
        some.insert(left.clone(), columns.clone());
        Ok(Rest::Members(left, columns))
    }

    /// A partition that needs no reading.
    fn pass_over(&self, index: usize) {
        let partition = &self.partitions[index];
        self.rows.fetch_add(partition.rows.unwrap_or(0), Ordering::Relaxed);
        self.bytes.fetch_add(partition.bytes.unwrap_or(0), Ordering::Relaxed);
        self.done.fetch_add(1, Ordering::Relaxed);
        self.tell();
    }

    fn read(
        &self,
        index: usize,
        columns: &Columns,
        mut each: impl FnMut(&Rows<'_>) -> Result<()>,
    ) -> Result<()> {
        let partition = &self.partitions[index];
        let projection = columns.projection.as_deref();
        let mut batches = self.scan.source.read(index, projection, self.scan.batch_size)?;
        let mut at = partition.first_row;
        let mut counted = 0;
        loop {
            if let Some(cancel) = self.scan.cancel {
                cancel.check()?;
            }
            let Some(batch) = batches.next() else { break };
            let batch = batch?;
            check_columns(&columns.schema, batch.schema_ref())
                .map_err(|e| e.within(format!("{}, from row {at}", partition.origin)))?;
            each(&Rows::of(&batch, columns.names.clone(), &partition.origin, at))?;
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
