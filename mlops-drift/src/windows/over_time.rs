//! Drift over time: one scan, one comparison for every window of a time column.

use std::collections::BTreeMap;
use std::fmt;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Date32Type};
use mlops_core::bytes::{bad, put_i32, put_len, take_i32, take_len};
use mlops_core::report::{Cell, Figure, Line, Section, Table};
use mlops_core::{
    Analyzer, DataSource, Description, Error, Plan, PlanState, Result, Rows, Scan, State, Verdict,
};
use serde::{Deserialize, Serialize};

use crate::monitor::drift_monitor::DriftMonitor;
use crate::monitor::report::DriftReport;

/// How long a window is, in the proleptic Gregorian calendar and in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Window {
    /// A day.
    Day,
    /// Seven days from a Monday.
    Week,
    /// A month.
    Month,
    /// Three months from January, April, July or October.
    Quarter,
    /// A year.
    Year,
}

/// More windows than this are refused: somebody took an identifier for a time.
const MOST_WINDOWS: usize = 10_000;

impl Window {
    /// The number of the window that a day (since 1970-01-01) lies in.
    fn of_day(self, day: i32) -> i32 {
        let (year, month, _) = civil(day);
        match self {
            Self::Day => day,
            // 1970-01-01 was a Thursday.
            Self::Week => (day + 3).div_euclid(7),
            Self::Month => year * 12 + month - 1,
            Self::Quarter => (year * 12 + month - 1).div_euclid(3),
            Self::Year => year,
        }
    }

    /// The window's name: `2014-04-01`, `2014-04`, `2014-Q2`, `2014`; of a week its Monday.
    fn name(self, number: i32) -> String {
        let date = |day: i32| {
            let (year, month, day) = civil(day);
            format!("{year:04}-{month:02}-{day:02}")
        };
        match self {
            Self::Day => date(number),
            Self::Week => date(number * 7 - 3),
            Self::Month => format!("{:04}-{:02}", number.div_euclid(12), number.rem_euclid(12) + 1),
            Self::Quarter => format!("{:04}-Q{}", number.div_euclid(4), number.rem_euclid(4) + 1),
            Self::Year => format!("{number:04}"),
        }
    }
}

/// Year, month and day of a day since 1970-01-01, in whole numbers (Hinnant, "chrono-compatible
/// low-level date algorithms").
fn civil(day: i32) -> (i32, i32, i32) {
    let z = i64::from(day) + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year as i32, month as i32, day as i32)
}

/// A window and what was found in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WindowDrift {
    /// The window: `2014-04`, say.
    pub window: String,
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
                w.window.as_str().into(),
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
        let names = || self.windows.iter().map(|w| w.window.clone());
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
                w.window,
                drifted.join(", ")
            )?;
        }
        Ok(())
    }
}

/// Compares every window of a source with the monitor's reference, in one scan: a state of the
/// monitor's plan for each window. Windows without rows don't appear.
///
/// The time column is a date, a timestamp, or text that begins with an ISO date. The correction
/// for many tests is within each window, not over all of them: of many windows without drift each
/// has the monitor's error rate.
///
/// # Errors
/// Those of the source; a time column that is missing or of another type, or that makes more than
/// 10,000 windows.
pub fn over_time(
    monitor: &DriftMonitor,
    source: &dyn DataSource,
    time_column: &str,
    window: Window,
) -> Result<DriftOverTime> {
    let mut plan = Plan::new();
    let judge = monitor.plan_report(&source.schema(), &mut plan);
    let windowed = Windowed { column: time_column.to_owned(), window, plan };
    let state = Scan::new(source).state(&windowed)?;
    let windows = state
        .windows
        .into_iter()
        .map(|(number, state)| {
            let report = judge.judge(&windowed.plan.finish(state)?)?;
            Ok(WindowDrift { window: window.name(number), report })
        })
        .collect::<Result<_>>()?;
    Ok(DriftOverTime { windows, without_time: state.without_time })
}

/// A plan for each window.
#[derive(Debug)]
struct Windowed {
    column: String,
    window: Window,
    plan: Plan,
}

#[derive(Clone, Debug)]
struct WindowedState {
    windows: BTreeMap<i32, PlanState>,
    without_time: u64,
}

impl Analyzer for Windowed {
    type State = WindowedState;
    type Output = WindowedState;

    fn columns(&self) -> Vec<String> {
        let mut columns = self.plan.columns();
        columns.push(self.column.clone());
        columns.sort();
        columns.dedup();
        columns
    }

    fn start(&self) -> WindowedState {
        WindowedState { windows: BTreeMap::new(), without_time: 0 }
    }

    fn update(&self, state: &mut WindowedState, rows: &Rows<'_>) -> Result<()> {
        let days = days_of(&self.column, rows.column(&self.column)?)?;
        let days = days.as_primitive::<Date32Type>();
        let numbers: Vec<Option<i32>> =
            days.iter().map(|day| day.map(|day| self.window.of_day(day))).collect();
        state.without_time += numbers.iter().filter(|n| n.is_none()).count() as u64;
        let mut seen: Vec<i32> = numbers.iter().flatten().copied().collect();
        seen.sort_unstable();
        seen.dedup();
        // Before any work: a window costs a look at every row of the batch.
        if seen.len() > MOST_WINDOWS {
            return Err(self.too_many(seen.len()));
        }
        for number in seen {
            let mask: BooleanArray = numbers.iter().map(|n| Some(*n == Some(number))).collect();
            let batch: RecordBatch = filter_record_batch(rows.batch()?, &mask)?;
            let one = state.windows.entry(number).or_insert_with(|| self.plan.start());
            self.plan.update(one, &Rows::new(&batch))?;
        }
        self.check(state)
    }

    fn finish(&self, state: WindowedState) -> Result<WindowedState> {
        self.check(&state)?;
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<WindowedState> {
        let without_time = mlops_core::bytes::take_count(bytes)?;
        let n = take_len(bytes, 12)?;
        let mut windows: BTreeMap<i32, PlanState> = BTreeMap::new();
        for _ in 0..n {
            let number = take_i32(bytes)?;
            if windows.last_key_value().is_some_and(|(last, _)| *last >= number) {
                return Err(bad(bytes, "windows in order", number));
            }
            windows.insert(number, self.plan.decode(bytes)?);
        }
        Ok(WindowedState { windows, without_time })
    }

    fn description(&self) -> Option<Description> {
        let parameters = (&self.column, self.window, self.plan.description()?);
        Some(Description::new("drift_windows", 1, &parameters))
    }
}

impl Windowed {
    fn check(&self, state: &WindowedState) -> Result<()> {
        if state.windows.len() > MOST_WINDOWS {
            return Err(self.too_many(state.windows.len()));
        }
        Ok(())
    }

    fn too_many(&self, windows: usize) -> Error {
        let what = format!("windows of `{}`", self.column);
        Error::invalid(what, format!("at most {MOST_WINDOWS}"), windows)
    }
}

impl State for WindowedState {
    fn merge(&mut self, other: Self) -> Result<()> {
        mlops_core::bytes::add_count(&mut self.without_time, other.without_time);
        for (number, state) in other.windows {
            match self.windows.entry(number) {
                std::collections::btree_map::Entry::Occupied(mut mine) => {
                    mine.get_mut().merge(state)?;
                }
                std::collections::btree_map::Entry::Vacant(slot) => {
                    slot.insert(state);
                }
            }
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        mlops_core::bytes::put_u64(out, self.without_time);
        put_len(out, self.windows.len());
        for (number, state) in &self.windows {
            put_i32(out, *number);
            state.encode(out);
        }
    }

    fn size(&self) -> usize {
        self.windows.values().map(|s| s.size() + 16).sum()
    }
}

/// The days of a column of dates, timestamps or text, null where there is none.
fn days_of(name: &str, array: &ArrayRef) -> Result<ArrayRef> {
    let wrong = || {
        Error::column_type(
            name,
            "a date, a timestamp, or text that begins with an ISO date",
            array.data_type(),
        )
    };
    match array.data_type() {
        DataType::Date32 => Ok(array.clone()),
        DataType::Date64 | DataType::Timestamp(_, _) => {
            cast(array, &DataType::Date32).map_err(|_| wrong())
        }
        DataType::Dictionary(_, value) => days_of(name, &cast(array, value).map_err(|_| wrong())?),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let text = cast(array, &DataType::Utf8).map_err(|_| wrong())?;
            let heads: arrow::array::StringArray = text
                .as_string::<i32>()
                .iter()
                .map(|t| t.map(|t| t.get(..10).unwrap_or("")))
                .collect();
            cast(&heads, &DataType::Date32).map_err(|_| wrong())
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, Float64Array, StringArray, TimestampMillisecondArray};
    use mlops_core::{MemorySource, batch, conformance};

    use super::*;
    use crate::{ProfileOptions, ReferenceProfile};

    #[test]
    fn days_have_their_windows() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(-1), (1969, 12, 31));
        assert_eq!(civil(19_782), (2024, 2, 29));
        assert_eq!(civil(-719_468), (0, 3, 1));
        for (window, name) in [
            (Window::Day, "2024-02-29"),
            (Window::Week, "2024-02-26"),
            (Window::Month, "2024-02"),
            (Window::Quarter, "2024-Q1"),
            (Window::Year, "2024"),
        ] {
            assert_eq!(window.name(window.of_day(19_782)), name);
        }
    }

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
                let (y, m, d) = civil(day(i));
                format!("{y:04}-{m:02}-{d:02} 10:00")
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
        for column in ["day", "text", "stamp"] {
            let found = over_time(&monitor, &source, column, Window::Month).expect("windows");
            assert_eq!(found.without_time, if column == "day" { 48 } else { 0 });
            let names: Vec<_> = found.windows.iter().map(|w| w.window.as_str()).collect();
            assert_eq!(names, ["2020-01", "2020-02", "2020-03", "2020-04"]);
            let failed: Vec<_> = found.windows.iter().map(|w| w.report.verdict.is_fail()).collect();
            assert_eq!(failed, [false, false, true, false], "{found}");
            assert_eq!(found.first_failure("x").map(|w| w.window.as_str()), Some("2020-03"));
            assert!(found.section().blocks.len() > 1);
        }
        assert!(over_time(&monitor, &source, "x", Window::Month).is_err());
        assert!(over_time(&monitor, &source, "nope", Window::Month).is_err());

        let mut plan = Plan::new();
        let _ = monitor.plan_report(&batch.schema(), &mut plan);
        let windowed = Windowed { column: "day".into(), window: Window::Week, plan };
        conformance::analyzer(&windowed, &batch.slice(100, 60));
    }
}
