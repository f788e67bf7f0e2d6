//! Drift over time: one scan, or a stream, and one comparison for every window.

use std::fmt;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::Schema;
use arrow::util::display::array_value_to_string;
use mlops_core::report::{Cell, Figure, Line, Section, Table, clean};
use mlops_core::{
    Analyzer, DataSource, Error, Judge, Plan, PlanState, Result, Scan, Timestamp, Verdict,
};
use serde::{Deserialize, Serialize};

use super::by_window::ByWindow;
use super::panes::ClosedWindow;
use super::ring::{LateRows, Windows};
use super::windowing::{Window, Windowing};
use crate::monitor::drift_monitor::DriftMonitor;
use crate::monitor::report::DriftReport;

/// A window and what was found in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WindowDrift {
    /// The window.
    pub window: Window,
    /// How many times it was judged before: rows came late.
    pub revision: u32,
    /// Whether the stream had gone past its end.
    pub complete: bool,
    /// Rows of the stream that, by then, had come too late for every window of theirs, and are in
    /// none: of data that are not in the order of time these are many.
    pub dropped: u64,
    /// What was found.
    pub report: DriftReport,
}

impl WindowDrift {
    /// The columns that drifted; of an inconclusive window also the first that is, and why.
    fn detail(&self) -> String {
        let drifted: Vec<_> = self.report.drifted().map(|c| c.column.as_str()).collect();
        let open = |v: Verdict| v == Verdict::Inconclusive;
        let ranked = self.report.ranked();
        let first = ranked.into_iter().find(|c| open(c.verdict) && open(self.report.verdict));
        let parts = [
            (!drifted.is_empty()).then(|| drifted.join(", ")),
            first.map(|c| format!("{}: {}", c.column, c.reason)),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

/// Drift over time, as [`over_time`] finds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DriftOverTime {
    /// The windows that have rows, in order.
    pub windows: Vec<WindowDrift>,
    /// Rows without a time, which are in no window.
    pub without_time: u64,
}

impl DriftOverTime {
    /// The first window in which this column failed.
    pub fn first_failure(&self, column: &str) -> Option<&WindowDrift> {
        self.windows.iter().find(|w| w.report.column(column).is_some_and(|c| c.verdict.is_fail()))
    }

    /// A section of a report: the windows with their verdicts, and for each column that ever
    /// failed a line of its effect over time.
    pub fn section(&self) -> Section {
        let mut table = Table::new(["Window", "Verdict", "Rows", "Columns that drifted"]);
        for w in &self.windows {
            let drifted: Vec<_> = w.report.drifted().map(|c| c.column.as_str()).collect();
            table = table.row(vec![
                w.window.name.as_str().into(),
                w.report.verdict.into(),
                Cell::from(w.report.current_rows),
                drifted.join(", ").into(),
            ]);
        }
        let verdict = Verdict::all(self.windows.iter().map(|w| w.report.verdict));
        let mut columns: Vec<&str> = self
            .windows
            .iter()
            .flat_map(|w| w.report.drifted())
            .map(|c| c.column.as_str())
            .collect();
        columns.sort_unstable();
        columns.dedup();
        let names = || self.windows.iter().map(|w| w.window.name.clone());
        let figures = columns.into_iter().map(|column| {
            let of = |w: &WindowDrift| w.report.column(column)?.effect().map(|s| s.value);
            let values: Vec<f64> = self.windows.iter().map(|w| of(w).unwrap_or(f64::NAN)).collect();
            let effect = self.windows.iter().find_map(|w| w.report.column(column)?.effect());
            let mut line = Line::over(names()).series("effect", values);
            if let Some(floor) = effect.and_then(|s| s.floor) {
                line = line.bound("floor", floor);
            }
            let name = effect.map_or_else(String::new, |s| s.statistic.to_string());
            Figure::new(column, line).y_label(name)
        });
        Section::new("Over time").verdict(verdict).table(table).figures(figures)
    }
}

impl fmt::Display for WindowDrift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verdict, rows) = (self.report.verdict, self.report.current_rows);
        let detail = clean(&self.detail());
        write!(f, "{:<10}  {verdict:<12}  {rows:>8} rows  {detail}", self.window.name)?;
        if self.dropped > 0 {
            let gap = if detail.is_empty() { "" } else { "; " };
            write!(f, "{gap}{} rows of the stream came too late until then", self.dropped)?;
        }
        Ok(())
    }
}

impl fmt::Display for DriftOverTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.windows.len();
        write!(f, "drift over {n} {}", if n == 1 { "window" } else { "windows" })?;
        if self.without_time > 0 {
            write!(f, " ({} rows without a time)", self.without_time)?;
        }
        for w in &self.windows {
            write!(f, "\n  {w}")?;
        }
        Ok(())
    }
}

/// Compares every window of a source with the monitor's reference, in one scan: a state of the
/// monitor's plan for each pane, merged to windows. Windows without rows don't appear.
///
/// The correction for many tests is within each window, not over all of them: of many windows
/// without drift each has the monitor's error rate. Windows that overlap share rows, and so their
/// verdicts.
///
/// # Errors
/// Those of the source; a time column that is missing or of another type, or that makes more than
/// [10,000](ByWindow::MOST) panes; [`Error::Invalid`], with a value, where no row has a time.
pub fn over_time(
    monitor: &DriftMonitor,
    source: &dyn DataSource,
    windowing: &Windowing,
) -> Result<DriftOverTime> {
    let mut plan = Plan::new();
    let judge = monitor.plan_report(&source.schema(), &mut plan);
    let by_window = ByWindow::of_source(plan, windowing.clone(), source)?;
    let found = Scan::new(source).run(&by_window)?;
    if let (Some(column), true, 1..) =
        (windowing.time_column(), found.windows.is_empty(), found.without_time)
    {
        let expected = "a date, a timestamp, or text that begins with an ISO date, in some row";
        let value = some_value(source, column)?.unwrap_or_else(|| "nulls".to_owned());
        return Err(Error::invalid(format!("times of `{column}`"), expected, value));
    }
    let windows = found
        .windows
        .into_iter()
        .map(|closed| judged(&judge, by_window.analyzer(), &closed, 0))
        .collect::<Result<_>>()?;
    Ok(DriftOverTime { windows, without_time: found.without_time })
}

/// The first value of a column, as an error shows it.
fn some_value(source: &dyn DataSource, column: &str) -> Result<Option<String>> {
    let index = source.schema().index_of(column)?;
    for partition in 0..source.partitions()?.len() {
        for batch in source.read(partition, Some(&[index]), Scan::BATCH_SIZE)? {
            let batch = batch?;
            let values = batch.column(0);
            let nulls = values.logical_nulls();
            let is_value = |row: &usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*row));
            if let Some(row) = (0..values.len()).find(is_value) {
                // Of a date that is no date, its type.
                let shown = array_value_to_string(values, row);
                let shown = shown.unwrap_or_else(|_| values.data_type().to_string());
                let head: String = clean(&shown).chars().take(40).collect();
                return Ok(Some(format!("`{head}`")));
            }
        }
    }
    Ok(None)
}

fn judged(
    judge: &Judge<DriftReport>,
    plan: &Plan,
    closed: &ClosedWindow<PlanState>,
    dropped: u64,
) -> Result<WindowDrift> {
    let report = judge.judge(&plan.finish(closed.state.clone())?)?;
    let ClosedWindow { window, revision, complete, .. } = closed;
    let (window, revision, complete) = (window.clone(), *revision, *complete);
    Ok(WindowDrift { window, revision, complete, dropped, report })
}

/// A stream of batches against a reference, window by window: [`Windows`] of a [`DriftMonitor`].
///
/// ```
/// use std::time::Duration;
/// use mlops_core::arrow::array::{Float64Array, TimestampSecondArray};
/// use mlops_core::{MemorySource, batch};
/// use mlops_drift::windows::{DriftWindows, Windowing};
/// use mlops_drift::{DriftMonitor, ProfileOptions, ReferenceProfile};
///
/// let hour = |h: i64, shift: f64| batch! {
///     "at" => TimestampSecondArray::from_iter_values((0..1000).map(|i| h * 3600 + i * 3)),
///     "income" => Float64Array::from_iter_values((0..1000).map(|i| f64::from(i * 7919 % 1009) + shift)),
/// };
/// let reference = MemorySource::from(hour(0, 0.0)?);
/// let options = ProfileOptions::default().columns(["income"]);
/// let monitor = DriftMonitor::new(ReferenceProfile::fit(&reference, &options)?);
///
/// let hourly = Windowing::by_time("at", Duration::from_secs(3600))?;
/// let mut stream = DriftWindows::new(&monitor, &hour(0, 0.0)?.schema(), hourly)?;
/// assert!(stream.push(&hour(1, 0.0)?)?.is_empty()); // that hour is not over
/// let closed = stream.push(&hour(2, 300.0)?)?;
/// assert!(!closed[0].report.verdict.is_fail());
/// assert!(stream.finish()?[0].report.verdict.is_fail());
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Debug)]
pub struct DriftWindows {
    windows: Windows<Plan>,
    judge: Judge<DriftReport>,
}

impl DriftWindows {
    /// A stream of batches of this schema; rows that come late are dropped and counted.
    ///
    /// # Errors
    /// As [`Windows::new`].
    pub fn new(monitor: &DriftMonitor, schema: &Schema, windowing: Windowing) -> Result<Self> {
        Self::with_late_rows(monitor, schema, windowing, LateRows::default())
    }

    /// The same with this treatment of late rows.
    ///
    /// # Errors
    /// As [`Windows::with_late_rows`].
    pub fn with_late_rows(
        monitor: &DriftMonitor,
        schema: &Schema,
        windowing: Windowing,
        late: LateRows,
    ) -> Result<Self> {
        let mut plan = Plan::new();
        let judge = monitor.plan_report(schema, &mut plan);
        Ok(Self { windows: Windows::new(plan, windowing)?.with_late_rows(late)?, judge })
    }

    /// Leaves out, and counts, rows of a time beyond this from now on: see
    /// [`Windows::set_latest`].
    pub fn set_latest(&mut self, latest: Option<Timestamp>) {
        self.windows.set_latest(latest);
    }

    /// Takes in a batch, and judges the windows that it closed.
    ///
    /// # Errors
    /// As [`Windows::push`]; those of the judge. A window that can't be judged is given up, and
    /// the others that were closed come with the next push, or the end.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<Vec<WindowDrift>> {
        let closed = self.windows.push(batch)?;
        self.judge_all(closed)
    }

    /// Judges the windows that are still open.
    ///
    /// # Errors
    /// As [`Windows::finish`]; those of the judge, as of [`push`](Self::push).
    pub fn finish(&mut self) -> Result<Vec<WindowDrift>> {
        let closed = self.windows.finish()?;
        self.judge_all(closed)
    }

    /// The windows: their counts of late rows, and [`save`](Windows::save).
    pub fn windows(&self) -> &Windows<Plan> {
        &self.windows
    }

    /// Goes on from what [`Windows::save`] wrote.
    ///
    /// # Errors
    /// As [`Windows::resume`].
    pub fn resume(&mut self, bytes: &[u8]) -> Result<()> {
        self.windows.resume(bytes)
    }

    fn judge_all(&mut self, mut closed: Vec<ClosedWindow<PlanState>>) -> Result<Vec<WindowDrift>> {
        let plan = self.windows.analyzer();
        let dropped = self.windows.counts().dropped;
        let mut found = Vec::with_capacity(closed.len());
        for window in &closed {
            match judged(&self.judge, plan, window, dropped) {
                Ok(judged) => found.push(judged),
                Err(error) => {
                    closed.remove(found.len());
                    self.windows.hand_back(closed);
                    return Err(error);
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, Float64Array, StringArray, TimestampMillisecondArray};
    use mlops_core::{MemorySource, batch};

    use super::*;
    use crate::windows::Calendar;
    use crate::windows::calendar::date;
    use crate::{ProfileOptions, ReferenceProfile};

    #[test]
    fn a_shift_is_found_in_its_month_whatever_holds_the_time() {
        // 4 months of 30 days with 40 rows a day; the third month is another.
        let n = 4800;
        let day = |i: i32| 18_263 + i / 40; // from 2020-01-02
        let x = |i: i32| {
            f64::from(i * 7919 % 1009) + if (59..90).contains(&(i / 40)) { 400.0 } else { 0.0 }
        };
        let batch = batch! {
            "x" => Float64Array::from_iter_values((0..n).map(x)),
            "day" => Date32Array::from((0..n).map(|i| (i % 100 != 99).then(|| day(i))).collect::<Vec<_>>()),
            "text" => StringArray::from_iter_values((0..n).map(|i| {
                format!("{} 10:00", date(day(i).into()))
            })),
            "stamp" => TimestampMillisecondArray::from_iter_values(
                (0..n).map(|i| i64::from(day(i)) * 86_400_000 + 1)
            ),
        }
        .expect("a batch");
        let source = MemorySource::from(batch.clone());
        let options = ProfileOptions::default().columns(["x"]);
        let reference = MemorySource::from(batch.slice(0, 2300));
        let monitor =
            DriftMonitor::new(ReferenceProfile::fit(&reference, &options).expect("a fit"));
        let monthly = |column: &str| Windowing::by_time(column, Calendar::Month).expect("months");
        for column in ["day", "text", "stamp"] {
            let found = over_time(&monitor, &source, &monthly(column)).expect("windows");
            assert_eq!(found.without_time, if column == "day" { 48 } else { 0 });
            let names: Vec<_> = found.windows.iter().map(|w| w.window.name.as_str()).collect();
            assert_eq!(names, ["2020-01", "2020-02", "2020-03", "2020-04"]);
            let failed: Vec<_> = found.windows.iter().map(|w| w.report.verdict.is_fail()).collect();
            assert_eq!(failed, [false, false, true, false], "{found}");
            assert_eq!(found.first_failure("x").map(|w| w.window.name.as_str()), Some("2020-03"));
            assert!(found.section().blocks.len() > 1);

            // The stream of the same rows.
            let schema = batch.schema();
            let mut stream =
                DriftWindows::new(&monitor, &schema, monthly(column)).expect("a stream");
            let mut streamed = Vec::new();
            for at in (0..batch.num_rows()).step_by(700) {
                let part = batch.slice(at, 700.min(batch.num_rows() - at));
                streamed.extend(stream.push(&part).expect("a batch"));
            }
            streamed.extend(stream.finish().expect("the end"));
            let reports = |windows: &[WindowDrift]| -> Vec<DriftReport> {
                windows.iter().map(|w| w.report.clone()).collect()
            };
            assert_eq!(reports(&streamed), reports(&found.windows));
            let complete = |windows: &[WindowDrift]| -> Vec<bool> {
                windows.iter().map(|w| w.complete).collect()
            };
            assert_eq!(complete(&found.windows), [true, true, true, false]);
            assert_eq!(complete(&streamed), complete(&found.windows));
        }
        let by_rows = Windowing::by_rows(1200).and_then(|w| w.every_rows(600)).expect("rows");
        let found = over_time(&monitor, &source, &by_rows).expect("windows");
        let whole: Vec<_> = found.windows.iter().map(|w| w.complete).collect();
        assert_eq!(whole, [true, true, true, true, true, true, true, false]);
        assert!(over_time(&monitor, &source, &monthly("x")).is_err());
        assert!(over_time(&monitor, &source, &monthly("nope")).is_err());
    }

    /// So many rows a day, from 1970-01-01 on.
    fn days(rows: &[i32]) -> RecordBatch {
        let day = |(day, n): (usize, &i32)| (0..*n).map(move |_| day as i32);
        let days: Vec<i32> = rows.iter().enumerate().flat_map(day).collect();
        batch! {
            "x" => Float64Array::from_iter_values((0..days.len()).map(|i| (i * 7919 % 1009) as f64)),
            "race" => StringArray::from_iter_values(days.iter().map(|d| ["other", "any"][*d as usize % 2])),
            "day" => Date32Array::from(days),
        }
        .expect("a batch")
    }

    fn monitor(reference: RecordBatch) -> DriftMonitor {
        let options = ProfileOptions::default().columns(["x"]);
        let source = MemorySource::from(reference);
        DriftMonitor::new(ReferenceProfile::fit(&source, &options).expect("a fit"))
    }

    #[test]
    fn a_column_that_holds_no_time_is_refused_and_what_is_open_has_its_reason() {
        let rows = days(&[600, 3]);
        let monitor = monitor(rows.slice(0, 600));
        let by = |column: &str| Windowing::by_time(column, Calendar::Day).expect("days");
        let source = MemorySource::from(rows.clone());
        let error = over_time(&monitor, &source, &by("race")).expect_err("no time");
        let text = error.to_string();
        assert!(text.starts_with("times of `race`: expected a date"), "{text}");
        assert!(text.ends_with("found `other`"), "{text}");
        let none = MemorySource::from(rows.slice(0, 0));
        assert!(over_time(&monitor, &none, &by("race")).expect("nothing").windows.is_empty());

        let found = over_time(&monitor, &source, &by("day")).expect("windows");
        let text = found.to_string();
        let last = text.lines().last().expect("a line");
        let open = &found.windows[1].report.columns[0];
        assert_eq!(open.verdict, Verdict::Inconclusive);
        assert!(last.contains("1970-01-02") && last.contains("x: "), "{text}");
        assert!(last.ends_with(clean(&open.reason).as_ref() as &str), "{text}");
    }

    #[test]
    fn windows_say_how_many_rows_of_the_stream_came_too_late() {
        let rows = days(&[100, 100, 100]);
        let monitor = monitor(rows.slice(0, 100));
        let daily = Windowing::by_time("day", Calendar::Day).expect("days");
        let mut stream = DriftWindows::new(&monitor, &rows.schema(), daily).expect("a stream");
        let mut found = stream.push(&rows.slice(150, 100)).expect("the second day");
        found.extend(stream.push(&rows.slice(0, 120)).expect("the first day, again the second"));
        found.extend(stream.finish().expect("the third day"));
        let dropped: Vec<u64> = found.iter().map(|w| w.dropped).collect();
        assert_eq!(dropped, [0, 120]);
        let text = found[1].to_string();
        assert!(text.ends_with("120 rows of the stream came too late until then"), "{text}");
    }

    #[test]
    fn a_window_that_cannot_be_judged_takes_no_other_with_it() {
        let rows = days(&[100, 5, 101, 102, 1]);
        let monitor = monitor(rows.slice(0, 100));
        let daily = Windowing::by_time("day", Calendar::Day).expect("days");
        let mut stream = DriftWindows::new(&monitor, &rows.schema(), daily).expect("a stream");
        let judge = stream.judge;
        stream.judge = Judge::new(move |measured| match judge.judge(measured)? {
            report if report.current_rows == 5 => Err(Error::undefined("a verdict", "five rows")),
            report => Ok(report),
        });
        assert!(stream.push(&rows).is_err());
        assert!(stream.windows().save().is_err(), "windows are waiting");
        let found = stream.push(&rows.slice(0, 0)).expect("the others");
        let sizes: Vec<u64> = found.iter().map(|w| w.report.current_rows).collect();
        assert_eq!(sizes, [100, 101, 102]);
        assert!(stream.windows().save().is_ok());
        assert_eq!(stream.finish().expect("the end").len(), 1);
    }
}
