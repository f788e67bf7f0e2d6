//! ISO dates and timestamps, and the calendar; nothing here allocates.

/// A point in time as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// Nanoseconds since 1970-01-01 on the clock that it was written by.
    pub(super) nanos: i128,
    /// That clock's seconds ahead of UTC, where it says so.
    pub(super) offset: Option<i32>,
    /// Whether a time of day was written at all.
    pub(super) has_time: bool,
}

pub(super) const NANOS: i128 = 1_000_000_000;
pub(super) const DAY_NANOS: i128 = 86_400 * NANOS;

/// `2026-01-31`, `2026-01-31 12:30`, `2026-01-31T12:30:59.123456789Z`, `… +02:00`.
pub(super) fn parse(text: &str) -> Option<Written> {
    let mut rest = text.as_bytes();
    let year = digits(&mut rest, 4)?;
    symbol(&mut rest, b"-")?;
    let month = digits(&mut rest, 2)?;
    symbol(&mut rest, b"-")?;
    let day = digits(&mut rest, 2)?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    let mut nanos = i128::from(days_of(i64::from(year), month, day)) * DAY_NANOS;
    if rest.is_empty() {
        return Some(Written { nanos, offset: None, has_time: false });
    }
    symbol(&mut rest, b"T t")?;
    nanos += clock(&mut rest)?;
    if rest.first() == Some(&b' ') {
        rest = &rest[1..];
    }
    let offset = match rest {
        [] => None,
        b"Z" | b"z" | b"UTC" => Some(0),
        [sign @ (b'+' | b'-'), ..] => {
            let sign = if *sign == b'-' { -1 } else { 1 };
            rest = &rest[1..];
            Some(sign * zone(&mut rest)?)
        }
        _ => return None,
    };
    Some(Written { nanos, offset, has_time: true })
}

/// A time of day as nanoseconds since midnight.
pub(super) fn parse_clock(text: &str) -> Option<i128> {
    let mut rest = text.as_bytes();
    let nanos = clock(&mut rest)?;
    rest.is_empty().then_some(nanos)
}

/// The seconds ahead of UTC of a zone that always has the same: `UTC`, `+02:00`.
pub(super) fn fixed_offset(zone_name: &str) -> Option<i32> {
    match zone_name.as_bytes() {
        b"UTC" | b"utc" | b"Z" | b"Etc/UTC" | b"GMT" | b"Etc/GMT" => Some(0),
        [sign @ (b'+' | b'-'), rest @ ..] => {
            let sign = if *sign == b'-' { -1 } else { 1 };
            Some(sign * zone(&mut &*rest)?)
        }
        _ => None,
    }
}

fn zone(rest: &mut &[u8]) -> Option<i32> {
    let hours = digits(rest, 2)?;
    let minutes = if rest.is_empty() {
        0
    } else {
        if rest[0] == b':' {
            *rest = &rest[1..];
        }
        digits(rest, 2)?
    };
    (rest.is_empty() && hours < 24 && minutes < 60).then_some((hours * 3600 + minutes * 60) as i32)
}

fn clock(rest: &mut &[u8]) -> Option<i128> {
    let hour = digits(rest, 2)?;
    symbol(rest, b":")?;
    let minute = digits(rest, 2)?;
    let mut second = 0;
    let mut nanos = 0;
    if rest.first() == Some(&b':') {
        *rest = &rest[1..];
        second = digits(rest, 2)?;
        if rest.first() == Some(&b'.') {
            *rest = &rest[1..];
            let places = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            if !(1..=9).contains(&places) {
                return None;
            }
            nanos = i128::from(digits(rest, places)?) * 10_i128.pow(9 - places as u32);
        }
    }
    let valid = hour < 24 && minute < 60 && second < 60;
    valid.then_some(i128::from(hour * 3600 + minute * 60 + second) * NANOS + nanos)
}

fn digits(rest: &mut &[u8], n: usize) -> Option<u32> {
    let (head, tail) = rest.split_at_checked(n)?;
    *rest = tail;
    head.iter().try_fold(0_u32, |v, b| {
        b.is_ascii_digit().then(|| v.wrapping_mul(10).wrapping_add(u32::from(b - b'0')))
    })
}

fn symbol(rest: &mut &[u8], any_of: &[u8]) -> Option<()> {
    let (first, tail) = rest.split_first()?;
    *rest = tail;
    any_of.contains(first).then_some(())
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        2 if days_of(year.into(), 3, 1) - days_of(year.into(), 2, 28) == 2 => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar; years begin in March, so that the
/// leap day is the last.
fn days_of(year: i64, month: u32, day: u32) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let from_march = i64::from((month + 9) % 12);
    let of_year = (153 * from_march + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a count of days since 1970-01-01.
pub(super) fn civil(days: i64) -> (i64, i64, i64) {
    // 64 bits of days, moved to a calendar that begins with a March, overflow nothing here.
    let days = i128::from(days) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year + era * 400 + i128::from(month <= 2);
    (year as i64, month as i64, day as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_times() {
        let nanos = |text| parse(text).map(|w| (w.nanos, w.offset));
        assert_eq!(nanos("1970-01-01"), Some((0, None)));
        assert_eq!(nanos("1970-01-02T00:00:01.5"), Some((DAY_NANOS + 1_500_000_000, None)));
        assert_eq!(nanos("1969-12-31 23:59:59Z"), Some((-NANOS, Some(0))));
        assert_eq!(nanos("1970-01-01T02:00:00+02:00"), Some((7200 * NANOS, Some(7200))));
        assert_eq!(
            nanos("1970-01-01 02:00:00.000000001 -0130"),
            Some((7200 * NANOS + 1, Some(-5400)))
        );
        for bad in [
            "",
            "1970",
            "1970-02-29",
            "1900-02-29",
            "1970-13-01",
            "1970-01-01T",
            "1970-1-1",
            "1970-01-01T24:00:00",
            "1970-01-01T00:00:00.",
            "1970-01-01T00:00:00.1234567890",
            "1970-01-01T00:00:00+2",
            "1970-01-01x",
            "é970-01-01",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_calendar_there_and_back() {
        for days in (-800_000..800_000).step_by(37) {
            let (year, month, day) = civil(days);
            assert_eq!(days_of(year, month as u32, day as u32), days);
        }
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(-719_528), (0, 1, 1));
    }
}
