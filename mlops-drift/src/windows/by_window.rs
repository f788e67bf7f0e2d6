//! One scan, a state for every window.

use std::collections::BTreeMap;

use mlops_core::bytes::{add_count, put_u64, take_count};
use mlops_core::{Analyzer, DataSource, Description, Error, Result, Rows, Scan, State};

use super::panes::{self, ClosedWindow, Pane, Panes};
use super::windowing::Windowing;

/// Any measurement, of every window of the data: itself a measurement.
///
/// By event time its state is a function of the multiset of rows as every state is, and the
/// windows of one part of the data merge with those of another. Rows of a batch are sorted by
/// window at most once. Row numbers that the inner measurement keeps (names of failing rows) are
/// only right where the rows of a batch are in the order of their windows.
///
/// ```
/// use mlops_core::arrow::array::{Float64Array, StringArray};
/// use mlops_core::states::NumericSummary;
/// use mlops_core::{Analyzer, DataSourceExt, MemorySource, batch};
/// use mlops_drift::windows::{ByWindow, Calendar, Windowing};
///
/// let source = MemorySource::from(batch! {
///     "day" => StringArray::from(vec!["2026-01-31", "2026-02-01", "2026-01-02"]),
///     "income" => Float64Array::from(vec![1.0, 5.0, 3.0]),
/// }?);
/// let income = NumericSummary::new("income");
/// let monthly = ByWindow::new(income.clone(), Windowing::by_time("day", Calendar::Month)?)?;
/// let found = source.measure(&monthly)?;
/// let mut means = Vec::new();
/// for w in found.windows {
///     means.push((w.window.name, income.finish(w.state)?.mean()));
/// }
/// assert_eq!(means, [("2026-01".to_owned(), Some(2.0)), ("2026-02".to_owned(), Some(5.0))]);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Debug)]
pub struct ByWindow<A> {
    analyzer: A,
    windowing: Windowing,
    most: usize,
    /// By the origin and the first row of each partition: the number of that row in the source.
    places: BTreeMap<(String, u64), u64>,
}

/// A measurement of every window that has rows, in order.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WindowStates<S> {
    /// The windows.
    pub windows: Vec<ClosedWindow<S>>,
    /// Rows without a time, which are in no window.
    pub without_time: u64,
}

impl<A: Analyzer> ByWindow<A> {
    /// More panes than this, and windows than they make in a row, are refused unless [`with_most`](Self::with_most) says otherwise:
    /// somebody took an identifier for a time.
    pub const MOST: usize = 10_000;

    /// The measurement of windows by event time.
    ///
    /// # Errors
    /// [`Error::Invalid`] for windows by rows, which need to know the source:
    /// [`of_source`](Self::of_source).
    pub fn new(analyzer: A, windowing: Windowing) -> Result<Self> {
        if windowing.time_column().is_none() {
            let expected = "windows by time; the order of rows is a source's";
            return Err(Error::invalid("windows", expected, windowing));
        }
        Ok(Self { analyzer, windowing, most: Self::MOST, places: BTreeMap::new() })
    }

    /// The measurement of windows of this source, whose partitions are in the order of the rows.
    /// Where a partition does not say how many rows it has they are counted.
    ///
    /// # Errors
    /// Those of the source; [`Error::Invalid`] for windows by rows of one with two partitions of one
    /// name, whose rows can't be told apart.
    pub fn of_source(analyzer: A, windowing: Windowing, source: &dyn DataSource) -> Result<Self> {
        let mut places = BTreeMap::new();
        if windowing.time_column().is_none() {
            let mut at = 0_u64;
            for (index, partition) in source.partitions()?.into_iter().enumerate() {
                let rows = match partition.rows {
                    Some(rows) => rows,
                    None => source
                        .read(index, Some(&[]), Scan::BATCH_SIZE)?
                        .try_fold(0, |n, batch| Ok::<_, Error>(n + batch?.num_rows() as u64))?,
                };
                if rows == 0 {
                    continue;
                }
                let place = (partition.origin, partition.first_row);
                if let Some((twice, row)) =
                    places.contains_key(&place).then(|| (place.0.clone(), place.1))
                {
                    return Err(Error::invalid(
                        "partitions of a source in windows of rows",
                        "rows with names of their own",
                        format!("two that begin with row {row} of {twice}"),
                    ));
                }
                places.insert(place, at);
                at = at.saturating_add(rows);
            }
        }
        Ok(Self { analyzer, windowing, most: Self::MOST, places })
    }

    /// The same with this many panes at most.
    #[must_use]
    pub fn with_most(mut self, panes: usize) -> Self {
        self.most = panes;
        self
    }

    /// What is measured of each window.
    pub fn analyzer(&self) -> &A {
        &self.analyzer
    }

    /// The number in the source of row 0 of the origin of these rows, as if all between were in it.
    fn before(&self, rows: &Rows<'_>) -> i64 {
        let key = (rows.origin().to_owned(), rows.span().start);
        match self.places.range(..=&key).next_back() {
            Some(((origin, first), at)) if *origin == key.0 => {
                (*at as i64).wrapping_sub(*first as i64)
            }
            _ => 0,
        }
    }

    fn check(&self, panes: usize) -> Result<()> {
        if panes <= self.most {
            return Ok(());
        }
        let what = match self.windowing.time_column() {
            Some(column) => format!("windows of `{column}`"),
            None => "windows of rows".to_owned(),
        };
        Err(Error::invalid(what, format!("at most {}", self.most), panes))
    }
}

/// The states of the panes that have rows.
#[derive(Clone, Debug)]
pub struct ByWindowState<S> {
    panes: Panes<S>,
    without_time: u64,
}

impl<A: Analyzer> Analyzer for ByWindow<A> {
    type State = ByWindowState<A::State>;
    type Output = WindowStates<A::State>;

    fn columns(&self) -> Vec<String> {
        let mut columns = self.analyzer.columns();
        columns.extend(self.windowing.time_column().map(str::to_owned));
        columns.sort();
        columns.dedup();
        columns
    }

    fn start(&self) -> Self::State {
        ByWindowState { panes: Panes::new(), without_time: 0 }
    }

    fn update(&self, state: &mut Self::State, rows: &Rows<'_>) -> Result<()> {
        let panes = self.windowing.panes(rows, self.before(rows))?;
        if rows.is_empty() {
            // Columns are checked even where there are no rows.
            return self.analyzer.update(&mut self.analyzer.start(), rows);
        }
        add_count(&mut state.without_time, panes.iter().filter(|p| p.is_none()).count() as u64);
        // Before any work.
        let mut seen: Vec<i64> = panes.iter().flatten().copied().collect();
        seen.sort_unstable();
        seen.dedup();
        self.check(seen.len())?;
        panes::split(rows, &panes, |number, rows| {
            let fresh = || Pane { rows: 0, state: self.analyzer.start() };
            let pane = state.panes.entry(number).or_insert_with(fresh);
            add_count(&mut pane.rows, rows.len() as u64);
            self.analyzer.update(&mut pane.state, rows)
        })?;
        self.check(state.panes.len())
    }

    fn finish(&self, state: Self::State) -> Result<Self::Output> {
        self.check(state.panes.len())?;
        // As many as rows without gaps make of the most panes.
        let most = self.most.saturating_add(self.windowing.panes_per_window() as usize);
        let windows = panes::windows(&self.windowing, state.panes, most)?;
        Ok(WindowStates { windows, without_time: state.without_time })
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<Self::State> {
        let without_time = take_count(bytes)?;
        let panes = panes::decode(&self.analyzer, &self.windowing, bytes)?;
        Ok(ByWindowState { panes, without_time })
    }

    fn description(&self) -> Option<Description> {
        // What rows come before is known of one source only.
        self.windowing.time_column()?;
        let parameters = (&self.windowing, self.analyzer.description()?);
        Some(Description::new("by_window", 1, &parameters))
    }
}

impl<S: State> State for ByWindowState<S> {
    fn merge(&mut self, other: Self) -> Result<()> {
        add_count(&mut self.without_time, other.without_time);
        for (number, theirs) in other.panes {
            match self.panes.get_mut(&number) {
                Some(mine) => mine.merge(theirs)?,
                None => {
                    self.panes.insert(number, theirs);
                }
            }
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.without_time);
        panes::encode(&self.panes, out);
    }

    fn size(&self) -> usize {
        self.panes.values().map(|p| p.state.size() + 48).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use arrow::array::{Array, Float64Array, TimestampSecondArray};
    use mlops_core::states::{NumericSummary, Summary};
    use mlops_core::{DataSourceExt, MemorySource, batch, conformance};
    use proptest::prelude::*;

    use super::*;
    use crate::windows::Calendar;

    fn data(times: Vec<Option<i64>>) -> arrow::array::RecordBatch {
        let x = (0..times.len()).map(|i| match i % 7 {
            0 => None,
            1 => Some(1e300 * (i as f64 - 9.0)),
            2 => Some(f64::NAN),
            _ => Some(i as f64 * 0.1),
        });
        let x: Float64Array = x.collect();
        batch! { "at" => TimestampSecondArray::from(times), "x" => x }.unwrap()
    }

    /// Every window, found by looking at every row.
    fn by_hand(
        rows: &arrow::array::RecordBatch,
        at: impl Fn(usize) -> Option<i64>,
        windows: impl Iterator<Item = (i64, i64)>,
    ) -> Vec<(i64, Summary)> {
        let x = NumericSummary::new("x");
        windows
            .filter_map(|(start, end)| {
                let mask: Vec<bool> = (0..rows.num_rows())
                    .map(|i| at(i).is_some_and(|t| (start..end).contains(&t)))
                    .collect();
                let part = arrow::compute::filter_record_batch(rows, &mask.into()).unwrap();
                let summary = MemorySource::from(part.clone()).measure(&x).unwrap();
                (part.num_rows() > 0).then_some((start, summary))
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn windows_are_what_filters_find(
            mut times in prop::collection::vec(prop::option::weighted(0.9, -90_i64..90), 1..120),
            length in 1_i64..30, step in 1_i64..30, sorted: bool,
        ) {
            let step = step.min(length);
            if sorted {
                times.sort_unstable();
            }
            let rows = data(times.clone());
            let seconds = |s: i64| Duration::from_secs(s as u64);
            let windowing =
                Windowing::by_time("at", seconds(length)).unwrap().every(seconds(step)).unwrap();
            let x = NumericSummary::new("x");
            let found = MemorySource::from(rows.clone())
                .scan()
                .batch_size(17)
                .run(&ByWindow::new(x.clone(), windowing).unwrap())
                .unwrap();
            prop_assert_eq!(found.without_time, times.iter().filter(|t| t.is_none()).count() as u64);
            let found: Vec<_> = found.windows.into_iter()
                .map(|w| (w.window.start / 1_000_000, x.finish(w.state).unwrap()))
                .collect();
            let windows = (-200..200).map(|k| (k * step, k * step + length));
            prop_assert_eq!(&found, &by_hand(&rows, |i| times[i], windows));

            // By rows, over partitions.
            let source = MemorySource::new(
                rows.schema(),
                (0..rows.num_rows()).step_by(23).map(|at| rows.slice(at, 23.min(rows.num_rows() - at))),
            ).unwrap();
            let windowing = Windowing::by_rows(length as u64).unwrap().every_rows(step as u64).unwrap();
            let by_rows = ByWindow::of_source(x.clone(), windowing, &source).unwrap();
            let found: Vec<_> = source.scan().batch_size(5).run(&by_rows).unwrap().windows.into_iter()
                .map(|w| (w.window.start, x.finish(w.state).unwrap()))
                .collect();
            let windows = (0..200).map(|k| (k * step, k * step + length));
            prop_assert_eq!(&found, &by_hand(&rows, |i| Some(i as i64), windows));
        }
    }

    #[test]
    fn a_state_is_a_function_of_the_rows() {
        let rows = data((0..90).map(|i| (i % 11 != 5).then_some(i * 7919 % 1013 * 5000)).collect());
        let daily = Windowing::by_time("at", Calendar::Week).unwrap().every(Calendar::Day).unwrap();
        let x = NumericSummary::new("x");
        conformance::analyzer(&ByWindow::new(x.clone(), daily).unwrap(), &rows);
        let of_rows = Windowing::by_rows(8).unwrap().every_rows(6).unwrap();
        let source = MemorySource::from(rows.clone());
        conformance::analyzer(&ByWindow::of_source(x, of_rows, &source).unwrap(), &rows);
    }

    #[test]
    fn rows_far_apart_do_not_make_windows_without_end() {
        let rows = data((0..50).map(|i| Some(i * 100_000)).collect());
        let seconds = Duration::from_secs;
        let sliding = Windowing::by_time("at", seconds(4096)).unwrap().every(seconds(1)).unwrap();
        let source = MemorySource::from(rows);
        let error = source.measure(&ByWindow::new(NumericSummary::new("x"), sliding).unwrap());
        let error = error.unwrap_err().to_string();
        assert_eq!(error, "windows that hold rows: expected at most 14096, found 204800");
    }

    #[test]
    fn too_many_windows_and_no_order_are_refused() {
        let x = || NumericSummary::new("x");
        assert!(ByWindow::new(x(), Windowing::by_rows(3).unwrap()).is_err());
        let rows = data((0..50).map(|i| Some(i * 86_400)).collect());
        let daily = Windowing::by_time("at", Calendar::Day).unwrap();
        let few = ByWindow::new(x(), daily.clone()).unwrap().with_most(49);
        let source = MemorySource::from(rows.clone());
        let error = source.scan().batch_size(9).run(&few).unwrap_err();
        assert_eq!(error.to_string(), "windows of `at`: expected at most 49, found 50");
        let (few, mut bytes) = (few.with_most(50), Vec::new());
        let state = source.scan().state(&few).unwrap();
        state.encode(&mut bytes);
        assert_eq!(
            few.finish(few.decode(&mut bytes.as_slice()).unwrap()).unwrap().windows.len(),
            50
        );
        let numbers = Windowing::by_time("x", Calendar::Day).unwrap();
        assert!(source.measure(&ByWindow::new(x(), numbers).unwrap()).is_err());
        assert_eq!(rows.column(0).len(), 50);
    }
}
