//! Texts can be read as a date or a time by a lenient reader.

use mlops_core::Result;
use mlops_core::calendar::days_in_month;
use serde::{Deserialize, Serialize};

use super::date_format::{DAYS, MONTHS};
use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::value_test::Texts;

/// Every text can be read as a date, a time, or both, however it is written.
///
/// What is read: ISO 8601 (`2024-01-31`, `20240131`, `2024-01-31T10:00:00.5+01:00`), RFC 2822
/// (`Wed, 31 Jan 2024 10:00:00 +0100`), days, months and years in any order between any of
/// `- / . ,` and spaces (`31.01.2024`, `1/31/24`, `Jan 31st, 2024`), English names of months and
/// days, short or long, times (`10:00`, `10 pm`, `10h30m`), the zones `Z`, `UTC`, `GMT` and offsets,
/// and parts of these (`2024`, `12:30`, `Monday`, `10`). Where the order is open, some order must
/// give a date that exists. Nulls are left out.
///
/// Great Expectations: `expect_column_values_to_be_dateutil_parseable`. Its reader, that of
/// `dateutil`, fills in what is missing from today's date (`29 Feb` is read in leap years only; here
/// always), also takes `13pm` and other names of zones, and sometimes a text that only starts like a date;
/// here these are unexpected. A format that is known is better asked with
/// [`DateFormat`](crate::DateFormat).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DateParseable {
    /// The column.
    pub column: String,
}

/// Expects every text to be a date or a time in some form: [`DateParseable`].
pub fn date_parseable(column: impl Into<String>) -> Expectation {
    DateParseable { column: column.into() }.into()
}

impl Kind for DateParseable {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn reads_paths(&self) -> bool {
        true
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        to.values("dates or times", &self.column, "a column of text", |data_type| {
            Ok(Texts::only(data_type, |text: &str| is_date(text)))
        })
    }
}

/// The longest text that is looked at.
const LONGEST: usize = 128;

/// What was found so far.
#[derive(Default)]
struct Found {
    /// Numbers of days, months and years, in their order, and how many digits they had.
    numbers: [(u32, usize); 3],
    count: usize,
    month: Option<u32>,
    weekday: bool,
    time: bool,
    zone: bool,
}

impl Found {
    fn number(&mut self, value: u32, digits: usize) -> Option<()> {
        *self.numbers.get_mut(self.count)? = (value, digits);
        self.count += 1;
        Some(())
    }

    /// Whether some order of the numbers is a date that exists.
    fn exists(&self) -> bool {
        let numbers = &self.numbers[..self.count];
        let wanted = numbers.len() + usize::from(self.month.is_some());
        match wanted {
            0 => self.weekday || self.time,
            1..=3 => {
                let any = |part: u8, &(value, digits): &(u32, usize)| match part {
                    b'd' => digits <= 2 && (1..=31).contains(&value),
                    b'm' => digits <= 2 && (1..=12).contains(&value),
                    _ => digits <= 4 && digits != 3 && (digits == 2 || value >= 1),
                };
                let orders: &[&[u8]] = match (numbers.len(), self.month.is_some()) {
                    (0, _) => &[b""],
                    (1, _) => &[b"d", b"y"],
                    (2, true) => &[b"dy", b"yd"],
                    (2, false) => &[b"md", b"dm", b"my", b"ym"],
                    _ => &[b"mdy", b"dmy", b"ymd", b"ydm"],
                };
                orders.iter().any(|order| {
                    let mut fits = order.iter().zip(numbers).all(|(part, n)| any(*part, n));
                    let value = |part: u8| {
                        let at = order.iter().position(|p| *p == part)?;
                        let (value, digits) = numbers[at];
                        let short = part == b'y' && digits <= 2;
                        Some(if short { value + 2000 } else { value })
                    };
                    if let (Some(day), Some(month)) = (value(b'd'), self.month.or(value(b'm'))) {
                        // Without a year 29 February is well.
                        fits &= day <= days_in_month(value(b'y').unwrap_or(2000).into(), month);
                    }
                    fits
                })
            }
            _ => false,
        }
    }
}

fn is_date(text: &str) -> bool {
    text.len() <= LONGEST && text.is_ascii() && scan(text.trim()).is_some_and(|f| f.exists())
}

/// Reads a text from left to right; `None` where something is no part of a date.
fn scan(text: &str) -> Option<Found> {
    let bytes = text.as_bytes();
    let mut found = Found::default();
    let mut at = 0;
    let run = |from: usize, is: fn(&u8) -> bool| {
        from + bytes[from.min(bytes.len())..].iter().take_while(|b| is(b)).count()
    };
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'0'..=b'9' => {
                let end = run(at, u8::is_ascii_digit);
                let (digits, value) = (end - at, number(&text[at..end])?);
                if bytes.get(end) == Some(&b':') {
                    at = clock(&mut found, text, at, end)?;
                    continue;
                }
                at = match digits {
                    // Times in a row come behind a date.
                    6 | 4 if found.count == 3 && !found.time => {
                        compact_time(&text[at..end])?;
                        found.time = true;
                        fraction(bytes, end)
                    }
                    6 | 8 | 12 | 14 if found.count == 0 => {
                        // The year has what the others leave.
                        let date = if digits == 6 { 6 } else { 8 };
                        let year = date - 4;
                        found.number(number(&text[at..at + year])?, year)?;
                        found.number(number(&text[at + year..at + year + 2])?, 2)?;
                        found.number(number(&text[at + year + 2..at + date])?, 2)?;
                        if digits > 8 {
                            compact_time(&text[at + 8..end])?;
                            found.time = true;
                        }
                        end
                    }
                    1..=4 => {
                        let word = run(end, u8::is_ascii_alphabetic);
                        let spaced = run(end, |b| *b == b' ');
                        let spaced_word = run(spaced, u8::is_ascii_alphabetic);
                        let is = |words: &[&str], from: usize, to: usize| {
                            words.iter().any(|w| text[from..to].eq_ignore_ascii_case(w))
                        };
                        if is(&["st", "nd", "rd", "th"], end, word) {
                            found.number(value, digits)?;
                            word
                        } else if is(&["am", "pm"], spaced, spaced_word) && !found.time {
                            if !(1..=12).contains(&value) {
                                return None;
                            }
                            found.time = true;
                            spaced_word
                        } else if is(&["h", "m", "s"], end, word) {
                            if value > 59 {
                                return None;
                            }
                            found.time = true;
                            word
                        } else {
                            found.number(value, digits)?;
                            end
                        }
                    }
                    _ => return None,
                };
            }
            b'a'..=b'z' | b'A'..=b'Z' => {
                let end = run(at, u8::is_ascii_alphabetic);
                word(&mut found, &text[at..end])?;
                at = end;
            }
            b'+' | b'-' if found.time && !found.zone => {
                let end = run(at + 1, |b| b.is_ascii_digit() || *b == b':');
                let digits = text[at + 1..end].replace(':', "");
                let hours = number(digits.get(..2)?)?;
                let minutes = if digits.len() > 2 { number(digits.get(2..)?)? } else { 0 };
                if digits.len() > 4 || hours > 23 || minutes > 59 {
                    return None;
                }
                found.zone = true;
                at = end;
            }
            b' ' | b'-' | b'/' | b'.' | b',' | b';' => at += 1,
            _ => return None,
        }
    }
    Some(found)
}

fn number(digits: &str) -> Option<u32> {
    if digits.len() > 8 { Some(u32::MAX) } else { digits.parse().ok() }
}

/// Hours, minutes and perhaps seconds in one row.
fn compact_time(digits: &str) -> Option<()> {
    let most = [23, 59, 59];
    let pairs = digits.as_bytes().chunks(2).zip(most);
    let mut fits = digits.len().is_multiple_of(2);
    for (pair, most) in pairs {
        fits &= number(std::str::from_utf8(pair).ok()?)? <= most;
    }
    fits.then_some(())
}

/// The end of a fraction that starts here, if one does.
fn fraction(bytes: &[u8], at: usize) -> usize {
    let starts = matches!(bytes.get(at), Some(b'.' | b','));
    let digits = bytes.iter().skip(at + 1).take_while(|b| b.is_ascii_digit()).count();
    if starts && digits > 0 { at + 1 + digits } else { at }
}

/// Reads `hh:mm[:ss[.f]]`, whose hours end here; gives the end.
fn clock(found: &mut Found, text: &str, at: usize, mut end: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    if found.time || number(&text[at..end])? > 23 {
        return None;
    }
    for part in 0..2 {
        if bytes.get(end) != Some(&b':') {
            break;
        }
        let digits = bytes[end + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
        if !(1..=2).contains(&digits) || number(&text[end + 1..end + 1 + digits])? > 59 {
            return None;
        }
        end += 1 + digits;
        if part == 1 {
            end = fraction(bytes, end);
        }
    }
    found.time = true;
    Some(end)
}

/// Reads a name, or a word that means nothing.
fn word(found: &mut Found, word: &str) -> Option<()> {
    let is = |name: &str| {
        word.eq_ignore_ascii_case(name)
            || (word.len() == 3 && name[..3].eq_ignore_ascii_case(word))
            || (name.starts_with("sept") && word.eq_ignore_ascii_case("sept"))
    };
    if let Some(month) = MONTHS.iter().position(|name| is(name)) {
        return found.month.replace(month as u32 + 1).is_none().then_some(());
    }
    if DAYS.iter().any(|name| is(name)) {
        let first = !found.weekday;
        found.weekday = true;
        return first.then_some(());
    }
    match word.to_ascii_lowercase().as_str() {
        "t" if found.count > 0 => Some(()),
        "at" | "on" | "of" | "and" => Some(()),
        "am" | "pm" if found.time => Some(()),
        "z" | "utc" | "gmt" if found.time && !found.zone => {
            // An offset may follow `GMT`.
            found.zone = word.eq_ignore_ascii_case("z");
            Some(())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_dateutil_reads() {
        // What dateutil 4.0.0 says of the same texts, but that `29 Feb` is a date to it only in a
        // leap year, as it fills in today's, and that it reads `13pm`.
        for text in [
            "2024-01-31",
            "31.01.2024",
            "Jan 31, 2024",
            "10",
            "2024",
            "12:30",
            "monday",
            "1",
            "2024-01-31T10:00:00Z",
            "2024-01-31T10:00:00+01:00",
            "20240131",
            "20240131T100000",
            "Wed, 31 Jan 2024 10:00:00 +0100",
            "1/31/24",
            "31/1/24",
            "Jan 2024",
            "10pm",
            "10 PM",
            "January 31st, 2024",
            "2024-02",
            "2024/1/5 7:05",
            "29 Feb",
            "10:00:00.123456",
            "240131",
            "20240131100000",
            "Sept 5 2024",
            "10h30m",
        ] {
            assert!(is_date(text), "{text}");
        }
        for text in [
            "2024-02-30",
            "nonsense",
            "",
            "2024-01-31T25:00:00",
            "2024-13-13",
            "31.31.2024",
            "12:61",
            "Jan Feb 2024",
            "13pm",
            "2023-02-29",
            "1.2.3.4",
            "x2024",
            "2024-01-31 x",
            " ",
        ] {
            assert!(!is_date(text), "{text}");
        }
    }
}
