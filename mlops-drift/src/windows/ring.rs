//! Windows of a stream: a ring of panes, each a mergeable state.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use arrow::array::{Array, RecordBatch};
use mlops_core::bytes::{
    bad, put_i64, put_len, put_u32, put_u64, take, take_count, take_i64, take_len, take_u32,
    take_u64,
};
use mlops_core::{Analyzer, Description, Digest, Error, Names, Result, Rows, Timestamp};
use serde::{Deserialize, Serialize};

use super::panes::{self, ClosedWindow, Pane, Panes};
use super::windowing::Windowing;

/// What becomes of rows that come after rows of a later time.
///
/// The *watermark* is the latest time seen less `out_of_orderness`: a window closes when the
/// watermark reaches its end, so rows that are late by no more than that are simply in it. A row
/// that comes later than that revises its windows for `allowed_lateness` more: they are closed
/// again, with the next revision number. After that it is dropped and counted
/// ([`StreamCounts`]). Both are 0 unless said otherwise. (The words are those of Apache Flink.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateRows {
    /// How long a window waits for its last rows.
    pub out_of_orderness: Duration,
    /// How long after it closed rows may still revise a window.
    pub allowed_lateness: Duration,
}

/// What became of the rows of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StreamCounts {
    /// All rows.
    pub rows: u64,
    /// Rows without a time (or one beyond some 36,000 years), which are in no window.
    pub without_time: u64,
    /// Rows of a time beyond [`Windows::set_latest`], left out.
    pub future: u64,
    /// Rows that came after a window of theirs had closed, and revised it.
    pub revising: u64,
    /// Rows that came too late for some of the windows that overlap there, and are in the others.
    pub partly_dropped: u64,
    /// Rows that came too late for every window of theirs, left out.
    pub dropped: u64,
}

/// Any measurement, of every window of a stream of batches: push batches, take closed windows.
///
/// Memory is a ring of panes: of every window that is open or may be revised, one state a pane.
/// How many panes that can be is known from lengths and lateness alone, and
/// [`new`](Self::new) refuses more than [`CAPACITY`](Self::CAPACITY) ([`with_capacity`](Self::with_capacity)).
///
/// By event time the watermark moves with every row, not with every batch: which rows are dropped,
/// and the last revision of every window, depend on the order of the rows, and not on how they are
/// cut into batches (how often a window is revised does). Rows that are late by no more than
/// [`LateRows::out_of_orderness`] may come in any order. By rows, every row counts in the order in
/// which it comes.
///
/// ```
/// use std::time::Duration;
/// use mlops_core::arrow::array::{Float64Array, TimestampSecondArray};
/// use mlops_core::states::NumericSummary;
/// use mlops_core::{Analyzer, batch};
/// use mlops_drift::windows::{LateRows, Windowing, Windows};
///
/// let minutes = |at: [i64; 3], x: [f64; 3]| batch! {
///     "at" => TimestampSecondArray::from_iter_values(at.map(|m| m * 60)),
///     "x" => Float64Array::from_iter_values(x),
/// };
/// let x = NumericSummary::new("x");
/// let hourly = Windowing::by_time("at", Duration::from_secs(3600))?;
/// let late = LateRows { allowed_lateness: Duration::from_secs(600), ..LateRows::default() };
/// let mut windows = Windows::new(x.clone(), hourly)?.with_late_rows(late)?;
///
/// assert!(windows.push(&minutes([0, 20, 40], [1.0, 2.0, 3.0])?)?.is_empty());
/// let closed = windows.push(&minutes([61, 62, 63], [9.0; 3])?)?; // past the hour
/// assert_eq!((closed[0].rows, x.finish(closed[0].state.clone())?.mean()), (3, Some(2.0)));
/// let closed = windows.push(&minutes([64, 55, 65], [9.0, 6.0, 9.0])?)?; // 55 is late
/// assert_eq!((closed[0].revision, x.finish(closed[0].state.clone())?.mean()), (1, Some(3.0)));
/// windows.push(&minutes([80, 50, 81], [9.0; 3])?)?; // 50 is too late
/// assert_eq!((windows.counts().revising, windows.counts().dropped), (1, 1));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Windows<A: Analyzer> {
    analyzer: A,
    windowing: Windowing,
    out_of_orderness: i64,
    allowed_lateness: i64,
    capacity: usize,
    latest: Option<i64>,
    ring: Ring<A::State>,
    /// Closed, and not handed over yet: a push failed.
    closed: Vec<ClosedWindow<A::State>>,
}

/// All that a stream remembers.
#[derive(Clone, Debug)]
struct Ring<S> {
    panes: Panes<S>,
    /// The latest time seen, or the number of rows.
    position: Option<i64>,
    /// How often windows that may still be revised have been closed.
    revisions: BTreeMap<i64, u32>,
    counts: StreamCounts,
}

impl<S> Ring<S> {
    fn new() -> Self {
        Self {
            panes: Panes::new(),
            position: None,
            revisions: BTreeMap::new(),
            counts: StreamCounts::default(),
        }
    }
}

const MAGIC: &[u8; 4] = b"MLSW";
const VERSION: u8 = 1;

fn micros(what: &str, time: Duration) -> Result<i64> {
    match i64::try_from(time.as_micros()) {
        Ok(micros) if micros <= i64::MAX / 8 => Ok(micros),
        _ => Err(Error::invalid(what, "at most some 36,000 years", format!("{time:?}"))),
    }
}

impl<A: Analyzer> Windows<A> {
    /// The most panes that are kept unless [`with_capacity`](Self::with_capacity) says otherwise.
    pub const CAPACITY: usize = 10_000;

    /// A stream of which nothing was seen; late rows are dropped and counted.
    ///
    /// # Errors
    /// [`Error::Invalid`] for windows that need more panes than the capacity.
    pub fn new(analyzer: A, windowing: Windowing) -> Result<Self> {
        let windows = Self {
            analyzer,
            windowing,
            out_of_orderness: 0,
            allowed_lateness: 0,
            capacity: Self::CAPACITY,
            latest: None,
            ring: Ring::new(),
            closed: Vec::new(),
        };
        windows.check_capacity()?;
        Ok(windows)
    }

    /// The same with this treatment of late rows.
    ///
    /// # Errors
    /// [`Error::Invalid`] for windows by rows, which have none; for more panes than the capacity;
    /// after the first push.
    pub fn with_late_rows(mut self, late: LateRows) -> Result<Self> {
        self.check_unused()?;
        if self.windowing.time_column().is_none() && late != LateRows::default() {
            let expected = "none, for windows in the order of the rows";
            return Err(Error::invalid("late rows", expected, format!("{late:?}")));
        }
        self.out_of_orderness = micros("out of orderness", late.out_of_orderness)?;
        self.allowed_lateness = micros("allowed lateness", late.allowed_lateness)?;
        self.check_capacity()?;
        Ok(self)
    }

    /// The same with room for this many panes.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the windows need more.
    pub fn with_capacity(mut self, panes: usize) -> Result<Self> {
        self.capacity = panes;
        self.check_capacity()?;
        Ok(self)
    }

    /// Leaves out, and counts, rows of a time beyond this from now on (`None`: takes all). One row
    /// with a wrong clock moves the watermark past every open window; with the present (and some
    /// slack) passed in before each push it cannot.
    pub fn set_latest(&mut self, latest: Option<Timestamp>) {
        self.latest = latest.map(|t| t.millis().saturating_mul(1000));
    }

    /// What is measured of each window.
    pub fn analyzer(&self) -> &A {
        &self.analyzer
    }

    /// What became of the rows so far.
    pub fn counts(&self) -> StreamCounts {
        self.ring.counts
    }

    /// Microseconds since 1970-01-01T00:00:00Z up to which windows are closed; by rows, their
    /// number; `None` before the first row.
    pub fn watermark(&self) -> Option<i64> {
        self.ring.position.map(|at| at.saturating_sub(self.out_of_orderness))
    }

    /// How many panes are kept.
    pub fn panes(&self) -> usize {
        self.ring.panes.len()
    }

    /// Takes in a batch, and gives the windows with rows that it closed or revised, in order.
    ///
    /// # Errors
    /// A column that is missing or of a type that can't be measured: then nothing of the batch is
    /// taken in. A measurement that refuses some row: then the rows of the batch that were before
    /// it may have been, as [`counts`](Self::counts) shows, and what they closed comes with the
    /// next push.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<Vec<ClosedWindow<A::State>>> {
        let names = Names::of(batch.schema_ref());
        let nothing = batch.slice(0, 0);
        self.analyzer
            .update(&mut self.analyzer.start(), &Rows::of(&nothing, names.clone(), "stream", 0))?;
        let first_row = self.ring.counts.rows;
        let rows = Rows::of(batch, names.clone(), "stream", first_row);
        let times = match self.windowing.time_column() {
            Some(column) => Some(super::event_time::event_times(column, rows.column(column)?)?),
            None => None,
        };
        let mut from = 0;
        let mut places = Vec::with_capacity(batch.num_rows());
        while from < batch.num_rows() {
            let mut next = Segment::new(self);
            places.clear();
            for row in from..batch.num_rows() {
                let place = match &times {
                    Some(times) => next.place(times.is_valid(row).then(|| times.value(row))),
                    None => next.place_row(),
                };
                match place {
                    Place::In(pane) => places.push(Some(pane)),
                    Place::Out => places.push(None),
                    Place::Next => break,
                }
            }
            let (position, counts) = (next.position, next.counts);
            let part = batch.slice(from, places.len());
            let rows = Rows::of(&part, names.clone(), "stream", first_row + from as u64);
            self.take_in(&rows, &places)?;
            self.ring.counts = counts;
            from += places.len();
            self.advance(position)?;
        }
        Ok(std::mem::take(&mut self.closed))
    }

    /// All rows of the places, or none.
    fn take_in(&mut self, rows: &Rows<'_>, places: &[Option<i64>]) -> Result<()> {
        let mut changed = Panes::new();
        panes::split(rows, places, |number, rows| {
            let mut pane = match self.ring.panes.get(&number) {
                Some(pane) => pane.clone(),
                None => Pane { rows: 0, state: self.analyzer.start() },
            };
            pane.rows = pane.rows.saturating_add(rows.len() as u64);
            self.analyzer.update(&mut pane.state, rows)?;
            changed.insert(number, pane);
            Ok(())
        })?;
        // Windows that are closed already, and got rows.
        let position = self.ring.position;
        let closed = |window: &i64| self.is_closed(*window, position);
        let revised: BTreeSet<i64> = changed
            .keys()
            .flat_map(|&pane| self.live_windows(pane, position).take_while(closed))
            .collect();
        self.ring.panes.extend(changed);
        for window in revised {
            self.close(window, true)?;
        }
        Ok(())
    }

    /// Closes what this position closes, and forgets what can't be revised any more.
    fn advance(&mut self, position: Option<i64>) -> Result<()> {
        let before = self.ring.position;
        self.ring.position = position;
        let mut closing: BTreeSet<i64> = BTreeSet::new();
        let closed = self.last_closed(before).map_or(i64::MIN, |w| w + 1);
        for &pane in self.ring.panes.keys() {
            let (first, last) = self.windowing.windows_of(pane);
            let now = self.last_closed(position).unwrap_or(i64::MIN);
            closing.extend(first.max(closed)..=last.min(now));
        }
        for window in closing {
            self.close(window, true)?;
        }
        while let Some((&pane, _)) = self.ring.panes.first_key_value() {
            if !self.is_expired(self.windowing.windows_of(pane).1, position) {
                break;
            }
            self.ring.panes.pop_first();
        }
        while let Some((&window, _)) = self.ring.revisions.first_key_value() {
            if !self.is_expired(window, position) {
                break;
            }
            self.ring.revisions.pop_first();
        }
        Ok(())
    }

    /// Ends the stream: closes the windows that are still open, those with the last rows. Counts
    /// stay; what is pushed afterwards is another stream.
    ///
    /// # Errors
    /// States that don't merge.
    pub fn finish(&mut self) -> Result<Vec<ClosedWindow<A::State>>> {
        let position = self.ring.position;
        let closed = |window: &i64| self.is_closed(*window, position);
        let open: BTreeSet<i64> = self
            .ring
            .panes
            .keys()
            .flat_map(|&pane| self.live_windows(pane, position).skip_while(closed))
            .collect();
        for window in open {
            self.close(window, false)?;
        }
        self.ring = Ring { counts: self.ring.counts, ..Ring::new() };
        Ok(std::mem::take(&mut self.closed))
    }

    /// Windows that were closed but not dealt with: they come with the next push, or the end.
    pub(super) fn hand_back(&mut self, closed: Vec<ClosedWindow<A::State>>) {
        self.closed.splice(0..0, closed);
    }

    /// The window's merge of the panes that have rows.
    fn close(&mut self, window: i64, complete: bool) -> Result<()> {
        let (from, behind) = self.windowing.panes_of(window);
        let mut whole: Option<Pane<A::State>> = None;
        for pane in self.ring.panes.range(from..behind).map(|(_, pane)| pane) {
            match &mut whole {
                Some(whole) => whole.merge(pane.clone())?,
                None => whole = Some(pane.clone()),
            }
        }
        let Some(Pane { rows, state }) = whole else { return Ok(()) };
        let before = self.ring.revisions.get(&window);
        let revision = before.map_or(0, |revision| revision.saturating_add(1));
        self.ring.revisions.insert(window, revision);
        let window = self.windowing.window(window);
        self.closed.push(ClosedWindow { window, rows, state, revision, complete });
        Ok(())
    }

    /// The windows of a pane that are not forgotten.
    fn live_windows(&self, pane: i64, position: Option<i64>) -> RangeInclusive<i64> {
        let (first, last) = self.windowing.windows_of(pane);
        first.max(self.last_expired(position).map_or(i64::MIN, |w| w + 1))..=last
    }

    fn is_closed(&self, window: i64, position: Option<i64>) -> bool {
        self.last_closed(position).is_some_and(|last| window <= last)
    }

    fn is_expired(&self, window: i64, position: Option<i64>) -> bool {
        self.last_expired(position).is_some_and(|last| window <= last)
    }

    fn last_closed(&self, position: Option<i64>) -> Option<i64> {
        position.map(|at| self.windowing.last_before(at.saturating_sub(self.out_of_orderness)))
    }

    /// The last window that rows can't revise any more.
    fn last_expired(&self, position: Option<i64>) -> Option<i64> {
        let lag = self.out_of_orderness + self.allowed_lateness;
        position.map(|at| self.windowing.last_before(at.saturating_sub(lag)))
    }

    /// The panes of the windows of a time from which the watermark may lag this far behind, and
    /// the pane that a row opens before others are forgotten.
    fn needed(&self) -> u64 {
        let lag = self.out_of_orderness + self.allowed_lateness;
        self.windowing.panes_per_window() + self.windowing.panes_within(lag) + 2
    }

    fn check_capacity(&self) -> Result<()> {
        let needed = self.needed();
        if needed <= self.capacity as u64 {
            return Ok(());
        }
        let expected = format!("at most {}", self.capacity);
        Err(Error::invalid("panes that the windows need", expected, needed))
    }

    fn check_unused(&self) -> Result<()> {
        if self.ring.counts == StreamCounts::default() {
            return Ok(());
        }
        let found = format!("one of {} rows", self.ring.counts.rows);
        Err(Error::invalid("windows", "a stream that has not begun", found))
    }

    /// Which stream this is: what it measures, and how it cuts.
    fn digest(&self) -> Result<Digest> {
        let description = self.analyzer.description().ok_or_else(|| {
            let found = format!("{:?}", self.analyzer);
            Error::invalid("analyzer", "one that has a description", found)
        })?;
        let lag = (self.out_of_orderness, self.allowed_lateness);
        Ok(Description::new("windows", 1, &(&self.windowing, lag, description)).digest())
    }

    /// All that the stream remembers, as canonical bytes: to be resumed in another process.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a measurement without a [`Description`],
    /// and between a push that failed and the next, which gives windows that are closed already.
    pub fn save(&self) -> Result<Vec<u8>> {
        if !self.closed.is_empty() {
            let expected = "windows that were handed over; push again, an empty batch if need be";
            return Err(Error::invalid("closed windows", expected, self.closed.len()));
        }
        let ring = &self.ring;
        let mut state = Vec::new();
        put_len(&mut state, usize::from(ring.position.is_some()));
        if let Some(position) = ring.position {
            put_i64(&mut state, position);
        }
        for count in counts_of(&ring.counts) {
            put_u64(&mut state, count);
        }
        put_len(&mut state, ring.revisions.len());
        for (&window, &revision) in &ring.revisions {
            put_i64(&mut state, window);
            put_u32(&mut state, revision);
        }
        panes::encode(&ring.panes, &mut state);
        let mut out = Vec::with_capacity(state.len() + 48);
        out.extend_from_slice(MAGIC);
        out.push(VERSION);
        out.extend_from_slice(self.digest()?.as_bytes());
        put_u64(&mut out, state.len() as u64);
        out.extend_from_slice(&Digest::of(&state).as_bytes()[..8]);
        out.extend_from_slice(&state);
        Ok(out)
    }

    /// Goes on from what [`save`](Self::save) wrote, of windows of the same description.
    ///
    /// # Errors
    /// [`Error::Decode`] on bytes that `save` would not have written, [`Error::Merge`] for those
    /// of other windows, [`Error::Invalid`] after the first push.
    pub fn resume(&mut self, bytes: &[u8]) -> Result<()> {
        self.check_unused()?;
        let digest = self.digest()?;
        let rest = &mut &bytes[..];
        if take(rest, MAGIC.len())? != MAGIC || take(rest, 1)? != [VERSION] {
            return Err(bad(rest, "version 1 of saved windows", "other bytes"));
        }
        if take(rest, 32)? != digest.as_bytes() {
            return Err(Error::merge("windows", "the bytes are of another description"));
        }
        let n = take_u64(rest)?;
        let checksum = take(rest, 8)?;
        if n != rest.len() as u64 || checksum != &Digest::of(*rest).as_bytes()[..8] {
            return Err(bad(rest, "the saved bytes and their checksum", "others"));
        }
        self.ring = self.decode(rest)?;
        Ok(())
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<Ring<A::State>> {
        let position = match take_len(bytes, 8)? {
            0 => None,
            1 => Some(take_i64(bytes)?),
            n => return Err(bad(bytes, "one position", n)),
        };
        let mut counts = StreamCounts::default();
        for count in counts_mut(&mut counts) {
            *count = take_count(bytes)?;
        }
        let mut revisions = BTreeMap::new();
        for _ in 0..take_len(bytes, 12)? {
            let window = take_i64(bytes)?;
            let in_order = revisions.last_key_value().is_none_or(|(last, _)| *last < window);
            let known = self.windowing.has_pane(self.windowing.panes_of(window).0);
            if !in_order || !known || self.is_expired(window, position) {
                return Err(bad(bytes, "windows in order that may be revised", window));
            }
            revisions.insert(window, take_u32(bytes)?);
        }
        let panes = panes::decode(&self.analyzer, &self.windowing, bytes)?;
        let live = |pane: i64| !self.is_expired(self.windowing.windows_of(pane).1, position);
        if panes.len() as u64 > self.needed() || !panes.keys().all(|&pane| live(pane)) {
            return Err(bad(bytes, "panes that are still needed", panes.len()));
        }
        if !bytes.is_empty() {
            return Err(bad(bytes, "the end", format!("{} more bytes", bytes.len())));
        }
        Ok(Ring { panes, position, revisions, counts })
    }
}

fn counts_of(c: &StreamCounts) -> [u64; 6] {
    [c.rows, c.without_time, c.future, c.revising, c.partly_dropped, c.dropped]
}

fn counts_mut(c: &mut StreamCounts) -> [&mut u64; 6] {
    [
        &mut c.rows,
        &mut c.without_time,
        &mut c.future,
        &mut c.revising,
        &mut c.partly_dropped,
        &mut c.dropped,
    ]
}

/// Where a row goes.
enum Place {
    /// Into this pane.
    In(i64),
    /// Into none.
    Out,
    /// Into the next segment, with all rows behind it.
    Next,
}

/// Rows, one after the other, that can be taken in at once: as if each had been pushed alone.
struct Segment<'w, A: Analyzer> {
    windows: &'w Windows<A>,
    /// With the rows so far.
    position: Option<i64>,
    counts: StreamCounts,
    /// Panes that the rows so far opened.
    opened: BTreeSet<i64>,
}

impl<'w, A: Analyzer> Segment<'w, A> {
    fn new(windows: &'w Windows<A>) -> Self {
        let Ring { position, counts, .. } = windows.ring;
        Self { windows, position, counts, opened: BTreeSet::new() }
    }

    /// Whether there is room for the pane; there always is in a segment without rows.
    fn open(&mut self, pane: i64) -> bool {
        if self.windows.ring.panes.contains_key(&pane) || self.opened.contains(&pane) {
            return true;
        }
        if !self.opened.is_empty()
            && self.windows.ring.panes.len() + self.opened.len() >= self.windows.capacity
        {
            return false;
        }
        self.opened.insert(pane);
        true
    }

    /// Where the next row by rows goes.
    fn place_row(&mut self) -> Place {
        let at = self.position.unwrap_or(0);
        let pane = self.windows.windowing.pane_of(at);
        if !self.open(pane) {
            return Place::Next;
        }
        self.position = Some(at.saturating_add(1));
        self.counts.rows += 1;
        Place::In(pane)
    }

    /// Where the next row goes.
    fn place(&mut self, time: Option<i64>) -> Place {
        let windows = self.windows;
        let Some(time) = time else {
            self.counts.rows += 1;
            self.counts.without_time += 1;
            return Place::Out;
        };
        if windows.latest.is_some_and(|latest| time > latest) {
            self.counts.rows += 1;
            self.counts.future += 1;
            return Place::Out;
        }
        let pane = windows.windowing.pane_of(time);
        // A row that moves time on is late for nothing.
        if self.position.is_none_or(|at| time >= at) {
            if !self.open(pane) {
                return Place::Next;
            }
            self.position = Some(time);
            self.counts.rows += 1;
            return Place::In(pane);
        }
        let (first, last) = windows.windowing.windows_of(pane);
        if windows.is_expired(last, self.position) {
            self.counts.rows += 1;
            self.counts.dropped += 1;
            return Place::Out;
        }
        let late = windows.is_expired(first, self.position);
        if late
            && windows.last_expired(self.position) != windows.last_expired(windows.ring.position)
        {
            // The rows before it may have expired a window that is yet to be closed without it.
            return Place::Next;
        }
        if !self.open(pane) {
            return Place::Next;
        }
        self.counts.rows += 1;
        if late {
            self.counts.partly_dropped += 1;
        }
        let live = *windows.live_windows(pane, self.position).start();
        if live <= last && windows.is_closed(live, self.position) {
            self.counts.revising += 1;
        }
        Place::In(pane)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use arrow::array::{Float64Array, TimestampSecondArray};
    use mlops_core::batch;
    use mlops_core::states::NumericSummary;
    use proptest::prelude::*;

    use super::*;

    fn data(times: &[i64]) -> RecordBatch {
        batch! {
            "at" => TimestampSecondArray::from_iter_values(times.iter().copied()),
            "x" => Float64Array::from_iter_values((0..times.len()).map(|i| (i as f64).exp2())),
        }
        .unwrap()
    }

    fn seconds(s: i64) -> Duration {
        Duration::from_secs(s as u64)
    }

    /// The rows of every window, as a sum of powers of two, by the rule said row by row; and the
    /// counts.
    fn by_hand(
        times: &[i64],
        length: i64,
        step: i64,
        wait: i64,
        late: i64,
    ) -> (HashMap<i64, f64>, StreamCounts) {
        let mut sums: HashMap<i64, f64> = HashMap::new();
        let mut counts = StreamCounts::default();
        let mut latest = i64::MIN / 2;
        for (i, &t) in times.iter().enumerate() {
            let starts = (t - length + 1..=t).filter(|s| s.rem_euclid(step) == 0);
            let (mut all, mut taken, mut revised) = (0, 0, false);
            for start in starts {
                let watermark = latest - wait;
                all += 1;
                if start + length + late > watermark {
                    *sums.entry(start).or_default() += (i as f64).exp2();
                    taken += 1;
                    revised |= start + length <= watermark;
                }
            }
            counts.rows += 1;
            counts.dropped += u64::from(taken == 0);
            counts.partly_dropped += u64::from(taken > 0 && taken < all);
            counts.revising += u64::from(revised);
            latest = latest.max(t);
        }
        (sums, counts)
    }

    type Found = (HashMap<i64, f64>, StreamCounts);

    /// The last revision of each window, with a save and a resume after some pushes.
    fn streamed(
        mut make: impl FnMut() -> Windows<NumericSummary>,
        rows: &RecordBatch,
        cuts: &[usize],
    ) -> Found {
        let x = NumericSummary::new("x");
        let mut windows = make();
        let mut sums = HashMap::new();
        let mut revisions = HashMap::new();
        let mut note = |closed: Vec<ClosedWindow<_>>| {
            for w in closed {
                let start = w.window.start / 1_000_000;
                let before = revisions.insert(start, w.revision);
                assert_eq!(w.revision, before.map_or(0, |r| r + 1), "revisions count up");
                let summary = x.finish(w.state).unwrap();
                assert_eq!(summary.rows, w.rows);
                sums.insert(start, summary.sum());
            }
        };
        let mut at = 0;
        for (i, &n) in cuts.iter().cycle().enumerate() {
            if at >= rows.num_rows() {
                break;
            }
            let n = n.min(rows.num_rows() - at);
            note(windows.push(&rows.slice(at, n)).unwrap());
            at += n;
            assert!(windows.panes() <= windows.capacity);
            if i % 3 == 1 {
                let saved = windows.save().unwrap();
                windows = make();
                windows.resume(&saved).unwrap();
                assert_eq!(windows.save().unwrap(), saved);
            }
        }
        note(windows.finish().unwrap());
        (sums, windows.counts())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(80))]
        #[test]
        fn a_stream_keeps_its_rule_however_it_is_cut(
            steps in prop::collection::vec((-12_i64..15, 0_u8..5), 1..50),
            length in 1_i64..12, step in 1_i64..12, wait in 0_i64..6, late in 0_i64..9,
            cuts in prop::collection::vec(1_usize..20, 1..4),
        ) {
            // Mostly forward, sometimes far back.
            let mut now = 0;
            let times: Vec<i64> = steps.iter().map(|&(by, often)| {
                now += by.max(0);
                if often == 0 { now + 3 * by.min(0) } else { now }
            }).collect();
            let step = step.min(length);
            let make = || {
                let windowing = Windowing::by_time("at", seconds(length)).unwrap().every(seconds(step)).unwrap();
                let late = LateRows { out_of_orderness: seconds(wait), allowed_lateness: seconds(late) };
                let windows = Windows::new(NumericSummary::new("x"), windowing).unwrap().with_late_rows(late).unwrap();
                let needed = windows.needed() as usize;
                windows.with_capacity(needed).unwrap()
            };
            let expected = by_hand(&times, length, step, wait, late);
            let rows = data(&times);
            prop_assert_eq!(&streamed(make, &rows, &[1]), &expected);
            prop_assert_eq!(&streamed(make, &rows, &cuts), &expected);
            prop_assert_eq!(&streamed(make, &rows, &[1000]), &expected);
        }

        #[test]
        fn hostile_bytes_do_no_harm(at in 0_usize..400, flip in 1_u8.., seal: bool) {
            let make = || Windows::new(
                NumericSummary::new("x"),
                Windowing::by_time("at", seconds(10)).unwrap().every(seconds(5)).unwrap(),
            ).unwrap();
            let mut windows = make();
            windows.push(&data(&[1, 2, 30, 31, 34])).unwrap();
            let mut saved = windows.save().unwrap();
            let at = at % saved.len();
            saved[at] ^= flip;
            if seal {
                let sum = Digest::of(&saved[53..]);
                saved[45..53].copy_from_slice(&sum.as_bytes()[..8]);
            }
            let mut again = make();
            if again.resume(&saved).is_ok() {
                prop_assert_eq!(&again.save().unwrap(), &saved);
                let _ = again.push(&data(&[35, 60]));
                let _ = again.finish();
            }
            let _ = again.resume(&saved[..at]);
        }
    }

    #[test]
    fn windows_of_rows_slide_over_batches() {
        let windowing = Windowing::by_rows(4).unwrap().every_rows(2).unwrap();
        for cut in [1, 3, 100] {
            let mut windows = Windows::new(NumericSummary::new("x"), windowing.clone()).unwrap();
            let rows = data(&[0; 11]);
            let mut closed = Vec::new();
            for at in (0..11).step_by(cut) {
                closed.extend(windows.push(&rows.slice(at, cut.min(11 - at))).unwrap());
            }
            closed.extend(windows.finish().unwrap());
            let x = NumericSummary::new("x");
            let found: Vec<_> = closed
                .into_iter()
                .map(|w| (w.window.name, x.finish(w.state).unwrap().sum(), w.complete))
                .collect();
            let sum = |from: i32, to: i32| f64::from((1 << to) - (1 << from));
            let expected = [
                ("0..4", sum(0, 4), true),
                ("2..6", sum(2, 6), true),
                ("4..8", sum(4, 8), true),
                ("6..10", sum(6, 10), true),
                ("8..12", sum(8, 11), false),
                ("10..14", sum(10, 11), false),
            ];
            assert_eq!(found, expected.map(|(name, sum, whole)| (name.to_owned(), sum, whole)));
        }
    }

    #[test]
    fn what_cannot_be_is_refused_and_a_wrong_clock_does_no_harm() {
        let x = || NumericSummary::new("x");
        let hourly = || Windowing::by_time("at", seconds(3600)).unwrap();
        let error = Windows::new(x(), hourly()).unwrap().with_late_rows(LateRows {
            allowed_lateness: seconds(3600 * 20_000),
            ..LateRows::default()
        });
        let error = error.unwrap_err().to_string();
        assert_eq!(error, "panes that the windows need: expected at most 10000, found 20003");
        let by_rows = Windows::new(x(), Windowing::by_rows(3).unwrap()).unwrap();
        let late = LateRows { out_of_orderness: seconds(1), ..LateRows::default() };
        assert!(by_rows.with_late_rows(late).is_err());

        let mut windows = Windows::new(x(), hourly()).unwrap();
        assert!(windows.push(&data(&[1]).project(&[0]).unwrap()).is_err());
        assert!(windows.push(&data(&[1]).project(&[1]).unwrap()).is_err());
        assert_eq!(windows.counts(), StreamCounts::default());
        windows.set_latest(Some(Timestamp::from_millis(7_300_000)));
        let closed = windows.push(&data(&[10, i64::MAX / 10_000_000, 20, 3700])).unwrap();
        assert_eq!((closed.len(), closed[0].rows, windows.counts().future), (1, 2, 1));
        assert_eq!(windows.watermark(), Some(3_700_000_000));
        let saved = windows.save().unwrap();
        assert!(windows.resume(&saved).is_err(), "a stream that has begun");
        let mut other = Windows::new(x(), hourly().every(seconds(1800)).unwrap()).unwrap();
        assert!(matches!(other.resume(&saved), Err(Error::Merge { .. })));
        // Without the bound one such row closes all, and the others are too late.
        let mut windows = Windows::new(x(), hourly()).unwrap();
        windows.push(&data(&[10, i64::MAX / 10_000_000, 20, 3700])).unwrap();
        assert_eq!(windows.counts().dropped, 2);
        // Times that no clock shows are none.
        let ends = [i64::MIN, i64::MIN + 1, i64::MAX].map(|t| {
            let at = arrow::array::TimestampMicrosecondArray::from(vec![5, t]);
            batch! { "at" => at, "x" => Float64Array::from(vec![1.0, 2.0]) }.unwrap()
        });
        for micros in [1, 3] {
            let tiny = Windowing::by_time("at", Duration::from_micros(micros)).unwrap();
            let tiny = tiny.starting_at(Timestamp::from_millis(1_700_000_000_000)).unwrap();
            for rows in &ends {
                let mut windows = Windows::new(x(), tiny.clone()).unwrap();
                windows.push(rows).unwrap();
                assert_eq!(
                    (windows.finish().unwrap().len(), windows.counts().without_time),
                    (1, 1)
                );
            }
        }
    }
}
