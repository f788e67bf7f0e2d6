//! Drift over time: one scan, or a stream, and one comparison for every window.

use std::fmt;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use mlops_core::report::{Cell, Figure, Line, Section, Table};
use mlops_core::{Analyzer, DataSource, Judge, Plan, PlanState, Result, Scan, Timestamp, Verdict};
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
    /// What was found.
    pub report: DriftReport,
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

impl fmt::Display for DriftOverTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "drift over {} windows", self.windows.len())?;
        for w in &self.windows {
            let drifted: Vec<_> = w.report.drifted().map(|c| c.column.as_str()).collect();
            let (verdict, rows) = (w.report.verdict, w.report.current_rows);
            write!(
                f,
                "\n  {:<10}  {verdict:<12}  {rows:>8} rows  {}",
                w.window.name,
                mlops_core::report::clean(&drifted.join(", "))
            )?;
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
/// [10,000](ByWindow::MOST) panes.
pub fn over_time(
    monitor: &DriftMonitor,
    source: &dyn DataSource,
    windowing: &Windowing,
) -> Result<DriftOverTime> {
    let mut plan = Plan::new();
    let judge = monitor.plan_report(&source.schema(), &mut plan);
    let by_window = ByWindow::of_source(plan, windowing.clone(), source)?;
    let found = Scan::new(source).run(&by_window)?;
    let windows = found
        .windows
        .into_iter()
        .map(|closed| judged(&judge, by_window.analyzer(), closed))
        .collect::<Result<_>>()?;
    Ok(DriftOverTime { windows, without_time: found.without_time })
}

fn judged(
    judge: &Judge<DriftReport>,
    plan: &Plan,
    closed: ClosedWindow<PlanState>,
) -> Result<WindowDrift> {
    let report = judge.judge(&plan.finish(closed.state)?)?;
    let ClosedWindow { window, revision, complete, .. } = closed;
    Ok(WindowDrift { window, revision, complete, report })
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
    /// As [`Windows::push`].
    pub fn push(&mut self, batch: &RecordBatch) -> Result<Vec<WindowDrift>> {
        let closed = self.windows.push(batch)?;
        self.judge_all(closed)
    }

    /// Judges the windows that are still open.
    ///
    /// # Errors
    /// As [`Windows::finish`].
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

    fn judge_all(&self, closed: Vec<ClosedWindow<PlanState>>) -> Result<Vec<WindowDrift>> {
        let plan = self.windows.analyzer();
        closed.into_iter().map(|closed| judged(&self.judge, plan, closed)).collect()
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
}
