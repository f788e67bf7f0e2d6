//! Dates and times of the proleptic Gregorian calendar, as CSV files write them.

use mlops_core::calendar::{day_of_date, days_in_month};

/// Days since 1970-01-01 of `YYYY-MM-DD`, exactly so.
pub(crate) fn date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let year = digits(&bytes[..4])?;
    let month = digits(&bytes[5..7])?;
    let day = digits(&bytes[8..])?;
    let in_month = 1..=days_in_month(year.into(), u32::try_from(month).ok()?);
    if !(1..=12).contains(&month) || !in_month.contains(&u32::try_from(day).ok()?) {
        return None;
    }
    i32::try_from(day_of_date(year.into(), month as u32, day as u32)).ok()
}

/// Microseconds since 1970-01-01T00:00:00, and whether the text says its distance from UTC:
/// `YYYY-MM-DD`, then `T` or a space, `HH:MM`, `:SS` with at most microseconds, `Z` or `±HH:MM`,
/// each optional after the one before.
pub(crate) fn timestamp(text: &str) -> Option<(i64, bool)> {
    const SECOND: i64 = 1_000_000;
    let (day, rest) = text.split_at_checked(10)?;
    let midnight = i64::from(date(day)?) * 86_400 * SECOND;
    let bytes = rest.as_bytes();
    let Some((b'T' | b't' | b' ', bytes)) = bytes.split_first() else {
        return bytes.is_empty().then_some((midnight, false));
    };
    if bytes.len() < 5 || bytes[2] != b':' {
        return None;
    }
    let hour = i64::from(digits(&bytes[..2])?);
    let minute = i64::from(digits(&bytes[3..5])?);
    let mut rest = &bytes[5..];
    let mut micros = 0;
    if let Some((b':', seconds)) = rest.split_first() {
        let whole = i64::from(digits(seconds.get(..2)?)?);
        // A leap second has no place in this count.
        if whole > 59 {
            return None;
        }
        micros = whole * SECOND;
        rest = &seconds[2..];
        if let Some((b'.', fraction)) = rest.split_first() {
            let n = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
            if n == 0 || fraction[..n].iter().skip(6).any(|&b| b != b'0') {
                return None;
            }
            let mut unit = SECOND / 10;
            for &digit in fraction[..n].iter().take(6) {
                micros += i64::from(digit - b'0') * unit;
                unit /= 10;
            }
            rest = &fraction[n..];
        }
    }
    if hour > 23 || minute > 59 {
        return None;
    }
    let local = midnight + (hour * 60 + minute) * 60 * SECOND + micros;
    match rest {
        [] => Some((local, false)),
        [b'Z' | b'z'] => Some((local, true)),
        [sign @ (b'+' | b'-'), h @ .., b':', m1, m2] if h.len() == 2 => {
            let (hours, minutes) = (digits(h)?, digits(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = i64::from(hours * 60 + minutes) * 60 * SECOND;
            Some((if *sign == b'+' { local - offset } else { local + offset }, true))
        }
        _ => None,
    }
}

fn digits(bytes: &[u8]) -> Option<i32> {
    bytes.iter().try_fold(0_i32, |n, b| b.is_ascii_digit().then(|| n * 10 + i32::from(b - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date("1970-01-01"), Some(0));
        assert_eq!(date("2000-02-29"), Some(11_016));
        assert_eq!(date("0000-03-01"), Some(-719_468));
        for none in
            ["1900-02-29", "2024-13-01", "2024-00-10", "2024-1-01", "2024-01-32", "é24-01-01"]
        {
            assert_eq!(date(none), None, "{none}");
        }
        // Every day of four centuries follows the one before.
        let mut next = date("1800-01-01").unwrap();
        for year in 1800..2200 {
            for month in 1..=12 {
                for day in 1..=31 {
                    if let Some(at) = date(&format!("{year:04}-{month:02}-{day:02}")) {
                        assert_eq!(at, next);
                        next += 1;
                    }
                }
            }
        }
    }

    #[test]
    fn timestamps_with_and_without_an_offset() {
        assert_eq!(timestamp("1970-01-01T00:00:01"), Some((1_000_000, false)));
        assert_eq!(timestamp("1970-01-01 00:01"), Some((60_000_000, false)));
        assert_eq!(timestamp("1970-01-01T00:00:00.25Z"), Some((250_000, true)));
        assert_eq!(timestamp("1970-01-01T02:00:00+02:00"), Some((0, true)));
        assert_eq!(timestamp("1969-12-31T22:30:00.000001-01:30"), Some((1, true)));
        assert_eq!(timestamp("1970-01-02"), Some((86_400_000_000, false)));
        for none in [
            "1970-01-01T24:00",
            "1970-01-01T00:60",
            "1970-01-01T00:00:60",
            "1970-01-01T",
            "1970-01-01T00:00:00.0000001",
            "1970-01-01T00:00:00.",
            "1970-01-01T00:00+2",
            "x",
            "1970-01-01T00:00:00 ",
            "1970-01-01T00:00:0",
        ] {
            assert_eq!(timestamp(none), None, "{none}");
        }
    }
}
