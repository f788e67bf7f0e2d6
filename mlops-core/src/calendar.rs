//! The proleptic Gregorian calendar in whole numbers: days since 1970-01-01 and their dates.
//!
//! Years begin in March here, so that a leap day is the last of a year (Hinnant,
//! "chrono-compatible low-level date algorithms"). Nothing allocates, and every day of 64 bits has
//! a date; text and clocks are [`Timestamp`](crate::Timestamp)'s.

/// Years after which the calendar repeats, and their days.
const ERA_YEARS: i64 = 400;
const ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;

/// Year, month (1 to 12) and day of the month (from 1) of a count of days since 1970-01-01.
///
/// ```
/// use mlops_core::calendar::date_of_day;
/// assert_eq!(date_of_day(0), (1970, 1, 1));
/// assert_eq!(date_of_day(19_782), (2024, 2, 29));
/// ```
pub fn date_of_day(day: i64) -> (i64, u32, u32) {
    // Eras first, as to begin with a March could overflow.
    let (era, of_era) = (day.div_euclid(ERA), day.rem_euclid(ERA) + EPOCH);
    let (era, of_era) = (era + of_era.div_euclid(ERA), of_era.rem_euclid(ERA));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year + era * ERA_YEARS + i64::from(month <= 2);
    (year, month as u32, day as u32)
}

/// Days since 1970-01-01 of a date; a day beyond the month's last is one of the next month.
///
/// Years are those of [`date_of_day`] (within ± 2.5 · 10¹⁶, as others have no day of 64 bits),
/// months 1 to 12.
///
/// ```
/// use mlops_core::calendar::day_of_date;
/// assert_eq!(day_of_date(1970, 1, 1), 0);
/// assert_eq!(day_of_date(2024, 2, 29), 19_782);
/// ```
pub fn day_of_date(year: i64, month: u32, day: u32) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(ERA_YEARS), year.rem_euclid(ERA_YEARS));
    let from_march = (i64::from(month) + 9) % 12;
    let of_year = (153 * from_march + 2) / 5 + i64::from(day) - 1;
    era * ERA + (of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH)
}

/// How many days a month has; 31 for months beyond 12.
///
/// ```
/// use mlops_core::calendar::days_in_month;
/// assert_eq!((days_in_month(1900, 2), days_in_month(2000, 2)), (28, 29));
/// ```
pub fn days_in_month(year: i64, month: u32) -> u32 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_follows_the_one_before() {
        let mut next = day_of_date(-1600, 1, 1);
        for year in -1600..2800 {
            for month in 1..=12 {
                for day in 1..=days_in_month(year, month) {
                    assert_eq!(day_of_date(year, month, day), next);
                    assert_eq!(date_of_day(next), (year, month, day));
                    next += 1;
                }
            }
        }
        assert_eq!(day_of_date(1970, 1, 1), 0);
        assert_eq!(day_of_date(2023, 2, 29), day_of_date(2023, 3, 1));
    }

    #[test]
    fn the_ends_of_time_have_dates() {
        for day in [i64::MIN + EPOCH, i64::MIN, i64::MAX, i64::MAX - EPOCH] {
            let (year, month, of_month) = date_of_day(day);
            assert!((1..=12).contains(&month) && (1..=31).contains(&of_month), "{day}");
            // A clock of other people's, of wider numbers.
            let year = i128::from(year) - i128::from(month <= 2);
            let days = year.div_euclid(400) * 146_097
                + year.rem_euclid(400) * 365
                + year.rem_euclid(400) / 4
                - year.rem_euclid(400) / 100
                + (153 * ((i128::from(month) + 9) % 12) + 2) / 5
                + i128::from(of_month)
                - 719_469;
            assert_eq!(days, i128::from(day));
        }
    }
}
