//! ISO dates and timestamps; nothing here allocates.

use mlops_core::calendar::{day_of_date, days_in_month};

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
    let year = i64::from(digits(&mut rest, 4)?);
    symbol(&mut rest, b"-")?;
    let month = digits(&mut rest, 2)?;
    symbol(&mut rest, b"-")?;
    let day = digits(&mut rest, 2)?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    let mut nanos = i128::from(day_of_date(year, month, day)) * DAY_NANOS;
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
}
