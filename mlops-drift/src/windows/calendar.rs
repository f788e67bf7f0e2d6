//! Days, weeks, months, quarters and years of the proleptic Gregorian calendar, in UTC.

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
        let (year, month, _) = civil(start.div_euclid(DAY));
        match self {
            Self::Day | Self::Week => date(start.div_euclid(DAY)),
            Self::Month => format!("{year:04}-{month:02}"),
            Self::Quarter => format!("{year:04}-Q{}", (month - 1) / 3 + 1),
            Self::Year => format!("{year:04}"),
        }
    }
}

/// Year, month and day of a day since 1970-01-01, in whole numbers (Hinnant, "chrono-compatible
/// low-level date algorithms").
pub(crate) fn civil(day: i64) -> (i64, i64, i64) {
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// The day since 1970-01-01 on which a month begins; months are counted from January of year 0.
pub(crate) fn first_day(month: i64) -> i64 {
    // Years begin in March here, so that a leap day is a year's last.
    let (year, month) = (month.div_euclid(12), month.rem_euclid(12) + 1);
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// `2014-04-01`.
pub(crate) fn date(day: i64) -> String {
    let (year, month, day) = civil(day);
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
    fn days_have_their_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(-1), (1969, 12, 31));
        assert_eq!(civil(19_782), (2024, 2, 29));
        assert_eq!(civil(-719_468), (0, 3, 1));
        for day in (-800_000..3_000_000).step_by(17) {
            let (year, month, of_month) = civil(day);
            assert_eq!(first_day(year * 12 + month - 1) + of_month - 1, day);
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
        assert_eq!(civil(MONDAY / DAY), (1969, 12, 29));
    }
}
