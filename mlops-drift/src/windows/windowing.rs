//! How rows fall into windows: panes, of which windows are runs.

use std::fmt;
use std::time::Duration;

use arrow::array::Array;
use mlops_core::calendar::date_of_day;
use mlops_core::{Error, Result, Rows, Timestamp};
use serde::{Deserialize, Serialize};

use super::calendar::{Calendar, DAY, MONDAY, first_day, instant, moment};
use super::event_time::{FARTHEST, event_times};

/// How long a window is, or how far the next one begins behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Length {
    /// So many rows.
    Rows(u64),
    /// So much time, in whole microseconds.
    Time(Duration),
    /// A unit of the calendar. Days and weeks go together with times, the others among themselves.
    Calendar(Calendar),
}

impl From<Duration> for Length {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

impl From<Calendar> for Length {
    fn from(unit: Calendar) -> Self {
        Self::Calendar(unit)
    }
}

/// What a length is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Row,
    Microsecond,
    Month,
}

impl Length {
    fn units(self) -> Result<(Unit, i64)> {
        let day = DAY;
        let (unit, n) = match self {
            Self::Rows(n) => (Unit::Row, i64::try_from(n).ok()),
            Self::Time(time) => {
                let whole = time.subsec_nanos().is_multiple_of(1000);
                (Unit::Microsecond, i64::try_from(time.as_micros()).ok().filter(|_| whole))
            }
            Self::Calendar(Calendar::Day) => (Unit::Microsecond, Some(day)),
            Self::Calendar(Calendar::Week) => (Unit::Microsecond, Some(7 * day)),
            Self::Calendar(Calendar::Month) => (Unit::Month, Some(1)),
            Self::Calendar(Calendar::Quarter) => (Unit::Month, Some(3)),
            Self::Calendar(Calendar::Year) => (Unit::Month, Some(12)),
        };
        // Far from where sums of lengths and times would overflow.
        match n {
            Some(n) if n > 0 && n <= i64::MAX / 8 => Ok((unit, n)),
            _ => Err(Error::invalid(
                "length of a window",
                "at least one row or one whole microsecond, and no more than there is room for",
                format!("{self:?}"),
            )),
        }
    }
}

/// A window: the rows or the times from `start` up to `end`, without `end`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Window {
    /// `2014-04`, `2014-Q2`, `2014-04-01T06:00:00Z`, `1000..2000`; of windows that overlap, start
    /// and end: `2014-02-01/2014-05-01`.
    pub name: String,
    /// The number of the first row, or microseconds since 1970-01-01T00:00:00Z.
    pub start: i64,
    /// One past the last row, or the time at which the window is over.
    pub end: i64,
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

/// How rows fall into windows: by their number or by the time that a column holds; one window
/// after the other (tumbling), or a new one begun every so often (sliding).
///
/// Windows are runs of *panes*, whose length is the greatest common divisor of the length and the
/// step: a row is measured once, in its pane, however many windows hold it, and a window is the
/// merge of its panes.
///
/// By *event time* a row's window is a function of the row: any order of rows, batches and
/// partitions gives the same windows. By *row number* it is not; such windows are for data whose
/// order has a meaning.
///
/// ```
/// use std::time::Duration;
/// use mlops_drift::windows::{Calendar, Windowing};
///
/// let monthly = Windowing::by_time("day", Calendar::Month)?;
/// let last_week_each_day = Windowing::by_time("day", Calendar::Week)?.every(Calendar::Day)?;
/// let shifts = Windowing::by_time("at", Duration::from_secs(8 * 3600))?
///     .starting_at("2026-01-01T06:00:00Z".parse()?)?;
/// let last_10_000_rows = Windowing::by_rows(10_000)?.every_rows(1_000)?;
/// assert_eq!(last_10_000_rows.panes_per_window(), 10);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parameters", into = "Parameters")]
pub struct Windowing {
    column: Option<String>,
    length: Length,
    step: Length,
    origin: i64,
    unit: Unit,
    /// The length of a pane, in units.
    pane: i64,
    /// Panes of a window.
    panes: i64,
    /// Panes from the start of a window to the start of the next.
    stride: i64,
}

/// What is written down of it.
#[derive(Clone, Serialize, Deserialize)]
struct Parameters {
    column: Option<String>,
    length: Length,
    step: Length,
    origin: i64,
}

impl From<Windowing> for Parameters {
    fn from(w: Windowing) -> Self {
        Self { column: w.column, length: w.length, step: w.step, origin: w.origin }
    }
}

impl TryFrom<Parameters> for Windowing {
    type Error = Error;

    fn try_from(p: Parameters) -> Result<Self> {
        Self::new(p.column, p.length, p.step, p.origin)
    }
}

/// More panes in a window are refused: the step hardly divides the length.
const MOST_PANES: i64 = 4096;

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Windowing {
    fn new(column: Option<String>, length: Length, step: Length, origin: i64) -> Result<Self> {
        if column.as_deref() == Some("") {
            return Err(Error::invalid("time column of windows", "a name", "``"));
        }
        let (unit, units) = length.units()?;
        let (step_unit, step_units) = step.units()?;
        if (unit == Unit::Row) != column.is_none() {
            let expected = if column.is_none() { "a number of rows" } else { "a time" };
            return Err(Error::invalid("length of a window", expected, format!("{length:?}")));
        }
        if unit != step_unit || step_units > units {
            let expected = format!("a step of the same kind as {length:?}, and no longer");
            return Err(Error::invalid("step of windows", expected, format!("{step:?}")));
        }
        if (unit != Unit::Microsecond && origin != 0)
            || origin.checked_abs().is_none_or(|o| o > FARTHEST)
        {
            let expected = "a time within some 36,000 years of 1970, for windows by time";
            return Err(Error::invalid("origin of windows", expected, origin));
        }
        let pane = gcd(units, step_units);
        let (panes, stride) = (units / pane, step_units / pane);
        if panes > MOST_PANES {
            let expected = format!("a step that cuts the length into at most {MOST_PANES} pieces");
            return Err(Error::invalid("step of windows", expected, format!("{panes} pieces")));
        }
        Ok(Self { column, length, step, origin, unit, pane, panes, stride })
    }

    /// Windows of so many rows, one after the other. Needs rows in an order that means something.
    ///
    /// # Errors
    /// [`Error::Invalid`] for no rows.
    pub fn by_rows(length: u64) -> Result<Self> {
        Self::new(None, Length::Rows(length), Length::Rows(length), 0)
    }

    /// Windows of this length of the time in this column (a date, a timestamp, or text that begins
    /// with an ISO date), one after the other. Times are counted from 1970-01-01T00:00:00Z, weeks
    /// from a Monday.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a length that is 0, or no whole number of microseconds, and for a
    /// column without a name.
    pub fn by_time(column: impl Into<String>, length: impl Into<Length>) -> Result<Self> {
        let length = length.into();
        let origin = if length == Length::Calendar(Calendar::Week) { MONDAY } else { 0 };
        Self::new(Some(column.into()), length, length, origin)
    }

    /// The same with a new window begun after every step: windows that overlap.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a step that is longer than the window, of another kind (a month is
    /// no whole number of days), or that hardly divides the length.
    pub fn every(self, step: impl Into<Length>) -> Result<Self> {
        Self::new(self.column, self.length, step.into(), self.origin)
    }

    /// The same with a new window begun after so many rows.
    ///
    /// # Errors
    /// As [`every`](Self::every).
    pub fn every_rows(self, step: u64) -> Result<Self> {
        self.every(Length::Rows(step))
    }

    /// The same with a window that begins at this time (others before and after it): for shifts,
    /// or days of another time zone.
    ///
    /// # Errors
    /// [`Error::Invalid`] for windows of months, or by rows.
    pub fn starting_at(self, start: Timestamp) -> Result<Self> {
        let origin = start.millis().checked_mul(1000).unwrap_or(i64::MAX);
        Self::new(self.column, self.length, self.step, origin)
    }

    /// The column of the times; `None` for windows by rows.
    pub fn time_column(&self) -> Option<&str> {
        self.column.as_deref()
    }

    /// How many panes a window is merged from: 1 where windows don't overlap.
    pub fn panes_per_window(&self) -> u64 {
        self.panes as u64
    }

    /// The pane of a row number or time.
    pub(crate) fn pane_of(&self, at: i64) -> i64 {
        match self.unit {
            Unit::Row => at.div_euclid(self.pane),
            Unit::Microsecond => {
                (i128::from(at) - i128::from(self.origin)).div_euclid(i128::from(self.pane)) as i64
            }
            Unit::Month => {
                let (year, month, _) = date_of_day(at.div_euclid(DAY));
                (year * 12 + i64::from(month) - 1).div_euclid(self.pane)
            }
        }
    }

    /// Where a pane begins; at the ends of time, where time ends.
    pub(crate) fn start_of(&self, pane: i64) -> i64 {
        let at = i128::from(pane) * i128::from(self.pane);
        let at = match self.unit {
            Unit::Row => at,
            Unit::Microsecond => at + i128::from(self.origin),
            // Days overflow far beyond where microseconds do.
            Unit::Month => {
                let month = at.clamp(i128::from(i32::MIN), i128::from(i32::MAX)) as i64;
                i128::from(first_day(month)) * i128::from(DAY)
            }
        };
        at.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }

    /// Whether there is such a pane: what bytes say may be anything.
    pub(crate) fn has_pane(&self, pane: i64) -> bool {
        let start = self.start_of(pane);
        let from = if self.unit == Unit::Row { 0 } else { i64::MIN / 2 };
        (from..=i64::MAX / 2).contains(&start) && self.pane_of(start) == pane
    }

    /// The first and the last window that a pane belongs to.
    pub(crate) fn windows_of(&self, pane: i64) -> (i64, i64) {
        // ⌈(pane − panes + 1) / stride⌉
        let first = -((self.panes - 1 - pane).div_euclid(self.stride));
        // There are no rows before the first.
        let first = if self.unit == Unit::Row { first.max(0) } else { first };
        (first, pane.div_euclid(self.stride))
    }

    /// The first pane of a window and the first behind it.
    pub(crate) fn panes_of(&self, window: i64) -> (i64, i64) {
        let first = window.saturating_mul(self.stride);
        (first, first.saturating_add(self.panes))
    }

    /// The last window that is over at this time or row number.
    pub(crate) fn last_before(&self, at: i64) -> i64 {
        self.pane_of(at).saturating_sub(self.panes).div_euclid(self.stride)
    }

    /// Whether data of which this is the last pane with rows go past the end of a window of so
    /// many rows. Of windows by rows the last row is its end.
    pub(crate) fn is_over(&self, window: i64, rows: u64, last: i64) -> bool {
        match self.unit {
            Unit::Row => rows as i64 == self.pane * self.panes,
            _ => last >= self.panes_of(window).1,
        }
    }

    /// How many panes at most begin within this many microseconds.
    pub(crate) fn panes_within(&self, micros: i64) -> u64 {
        let pane = match self.unit {
            Unit::Row => return 0,
            Unit::Microsecond => self.pane,
            Unit::Month => 28 * DAY * self.pane,
        };
        (micros as u64).div_ceil(pane as u64)
    }

    /// The window with its name.
    pub(crate) fn window(&self, window: i64) -> Window {
        let (first, behind) = self.panes_of(window);
        let (start, end) = (self.start_of(first), self.start_of(behind));
        // A date alone would name the whole day.
        let brief = self.unit == Unit::Microsecond && self.pane * self.panes < DAY;
        let instant = if brief { moment } else { instant };
        let name = match (self.unit, self.length) {
            (Unit::Row, _) => format!("{start}..{end}"),
            _ if self.stride != self.panes => format!("{}/{}", instant(start), instant(end)),
            (_, Length::Calendar(unit)) if start.rem_euclid(DAY) == 0 => unit.name(start),
            _ => instant(start),
        };
        Window { name, start, end }
    }

    /// The pane of each row; none without a time. `before` is the number in the source of the row
    /// that is number 0 of its origin.
    pub(crate) fn panes(&self, rows: &Rows<'_>, before: i64) -> Result<Vec<Option<i64>>> {
        let Some(column) = &self.column else {
            let number = |i: usize| before.wrapping_add(rows.row_number(i) as i64);
            return Ok((0..rows.len()).map(|i| Some(self.pane_of(number(i)))).collect());
        };
        let times = event_times(column, rows.column(column)?)?;
        if times.null_count() == 0 {
            return Ok(times.values().iter().map(|&t| Some(self.pane_of(t))).collect());
        }
        Ok(times.iter().map(|t| t.map(|t| self.pane_of(t))).collect())
    }
}

impl fmt::Display for Windowing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |length: Length| match length {
            Length::Rows(n) => format!("{n} rows"),
            Length::Time(time) => format!("{time:?}"),
            Length::Calendar(unit) => format!("a {unit:?}").to_lowercase(),
        };
        write!(f, "windows of {}", show(self.length))?;
        if self.step != self.length {
            write!(f, ", one begun every {}", show(self.step).trim_start_matches("a "))?;
        }
        match &self.column {
            Some(column) => write!(f, ", by `{column}`"),
            None => write!(f, ", in the order of the rows"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pane_knows_its_windows_and_they_it() {
        let hours = |h: u64| Duration::from_secs(3600 * h);
        for windowing in [
            Windowing::by_rows(12).unwrap(),
            Windowing::by_rows(12).unwrap().every_rows(4).unwrap(),
            Windowing::by_rows(12).unwrap().every_rows(9).unwrap(),
            Windowing::by_time("t", hours(7)).unwrap().every(hours(2)).unwrap(),
            Windowing::by_time("t", Calendar::Week).unwrap().every(Calendar::Day).unwrap(),
            Windowing::by_time("t", Calendar::Quarter).unwrap().every(Calendar::Month).unwrap(),
            Windowing::by_time("t", Calendar::Year).unwrap(),
        ] {
            for pane in if windowing.column.is_some() { -40 } else { 0 }..40 {
                let (first, last) = windowing.windows_of(pane);
                for window in
                    (first - 3..=last + 3).filter(|&w| w >= 0 || windowing.column.is_some())
                {
                    let (from, behind) = windowing.panes_of(window);
                    let inside = (from..behind).contains(&pane);
                    assert_eq!(inside, (first..=last).contains(&window), "{windowing} {pane}");
                }
                let start = windowing.start_of(pane);
                assert_eq!(windowing.pane_of(start), pane);
                assert_eq!(windowing.pane_of(windowing.start_of(pane + 1) - 1), pane);
                assert!(windowing.has_pane(pane));
                let over = windowing.last_before(start);
                assert!(
                    windowing.panes_of(over).1 <= pane && windowing.panes_of(over + 1).1 > pane
                );
            }
            for absurd in [i64::MIN, i64::MAX, i64::MAX / 2] {
                let _ = (
                    windowing.windows_of(absurd.clamp(-(1 << 62), 1 << 62)),
                    windowing.window(absurd),
                );
                assert!(!windowing.has_pane(absurd) || windowing.unit == Unit::Row);
            }
            let text = serde_json::to_string(&windowing).unwrap();
            assert_eq!(serde_json::from_str::<Windowing>(&text).unwrap(), windowing, "{text}");
        }
    }

    #[test]
    fn windows_are_named_and_the_impossible_is_refused() {
        let name = |w: &Windowing, t: i64| w.window(w.windows_of(w.pane_of(t)).1).name;
        let t = 19_782 * DAY + 3_600_000_000; // 2024-02-29T01:00
        let of = |length: Length| Windowing::by_time("t", length).unwrap();
        for (length, expected) in [
            (Calendar::Day.into(), "2024-02-29"),
            (Calendar::Week.into(), "2024-02-26"),
            (Calendar::Month.into(), "2024-02"),
            (Calendar::Quarter.into(), "2024-Q1"),
            (Calendar::Year.into(), "2024"),
            (Length::Time(Duration::from_secs(1800)), "2024-02-29T01:00:00Z"),
        ] {
            assert_eq!(name(&of(length), t), expected);
        }
        let sliding = of(Calendar::Quarter.into()).every(Calendar::Month).unwrap();
        assert_eq!(name(&sliding, t), "2024-02-01/2024-05-01");
        let (midnight, second) = (19_782 * DAY, Length::Time(Duration::from_secs(1)));
        assert_eq!(name(&of(second), midnight), "2024-02-29T00:00:00Z");
        let sliding = Windowing::by_time("t", Duration::from_secs(7200)).unwrap();
        let sliding = sliding.every(Duration::from_secs(3600)).unwrap();
        assert_eq!(name(&sliding, midnight), "2024-02-29T00:00:00Z/2024-02-29T02:00:00Z");
        let two_days = Length::Time(Duration::from_secs(2 * 86_400));
        assert_eq!(name(&of(two_days), midnight), "2024-02-29");
        let shifted = of(Calendar::Day.into()).starting_at("2020-01-01T06:00:00Z".parse().unwrap());
        assert_eq!(name(&shifted.unwrap(), t), "2024-02-28T06:00:00Z");
        assert_eq!(Windowing::by_rows(10).unwrap().window(3).name, "30..40");

        assert!(Windowing::by_time("", Calendar::Quarter).is_err());
        assert!(Windowing::by_rows(0).is_err());
        assert!(Windowing::by_rows(u64::MAX).is_err());
        assert!(Windowing::by_time("t", Duration::from_nanos(1500)).is_err());
        assert!(Windowing::by_time("t", Length::Rows(3)).is_err());
        assert!(of(Calendar::Month.into()).every(Calendar::Day).is_err());
        assert!(of(Calendar::Day.into()).every(Calendar::Week).is_err());
        assert!(of(Calendar::Day.into()).every(Duration::from_micros(7)).is_err());
        assert!(of(Calendar::Month.into()).starting_at(Timestamp::from_millis(1)).is_err());
        assert!(Windowing::by_rows(3).unwrap().starting_at(Timestamp::from_millis(1)).is_err());
    }
}
