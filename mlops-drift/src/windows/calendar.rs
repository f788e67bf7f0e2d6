//! Days, weeks, months, quarters and years of the proleptic Gregorian calendar, in UTC.

use mlops_core::calendar::{date_of_day, day_of_date};
use serde::{Deserialize, Serialize};

/// Microseconds of a day.
pub(crate) const DAY: i64 = 86_400_000_000;
/// The Monday before 1970-01-01, a Thursday.
pub(crate) const MONDAY: i64 = -3 * DAY;

/// How long a window of the calendar is (proleptic Gregorian, UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Calendar {
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

impl Calendar {
    /// The name of the window that begins at this time: `2014-04-01`, `2014-04`, `2014-Q2`,
    /// `2014`; of a week its Monday.
    pub(crate) fn name(self, start: i64) -> String {
        let (year, month, _) = date_of_day(start.div_euclid(DAY));
        match self {
            Self::Day | Self::Week => date(start.div_euclid(DAY)),
            Self::Month => format!("{year:04}-{month:02}"),
            Self::Quarter => format!("{year:04}-Q{}", (month - 1) / 3 + 1),
            Self::Year => format!("{year:04}"),
        }
    }
}

/// The day since 1970-01-01 on which a month begins; months are counted from January of year 0.
pub(crate) fn first_day(month: i64) -> i64 {
    day_of_date(month.div_euclid(12), month.rem_euclid(12) as u32 + 1, 1)
}

/// `2014-04-01`.
pub(crate) fn date(day: i64) -> String {
    let (year, month, day) = date_of_day(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `2014-04-01`, or with the time of day where that is not midnight: `2014-04-01T06:30:00Z`.
pub(crate) fn instant(micros: i64) -> String {
    if micros.rem_euclid(DAY) == 0 { date(micros.div_euclid(DAY)) } else { moment(micros) }
}

/// `2014-04-01T06:30:00Z`, at midnight too.
pub(crate) fn moment(micros: i64) -> String {
    let (day, of_day) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    let (seconds, micros) = (of_day / 1_000_000, of_day % 1_000_000);
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = if micros == 0 { String::new() } else { format!(".{micros:06}") };
    format!("{}T{h:02}:{m:02}:{s:02}{fraction}Z", date(day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_counted_from_year_0() {
        for month in -50_000..50_000 {
            let (year, of_year, day) = date_of_day(first_day(month));
            assert_eq!((year * 12 + i64::from(of_year) - 1, day), (month, 1));
        }
    }

    #[test]
    fn windows_have_names() {
        let start = first_day(2024 * 12 + 3) * DAY;
        for (unit, name) in [
            (Calendar::Day, "2024-04-01"),
            (Calendar::Month, "2024-04"),
            (Calendar::Quarter, "2024-Q2"),
            (Calendar::Year, "2024"),
        ] {
            assert_eq!(unit.name(start), name);
        }
        assert_eq!(instant(start), "2024-04-01");
        assert_eq!(instant(start + 23_400_000_000), "2024-04-01T06:30:00Z");
        assert_eq!(instant(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(date_of_day(MONDAY / DAY), (1969, 12, 29));
    }
}
