//! Texts are dates and times of a format, as `strptime` reads them.

use mlops_core::calendar::days_in_month;
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::value_test::Texts;

/// Every text as a whole is a date, a time or both in this format, and one that exists.
///
/// The directives are those of Python's `strptime`, in the C locale: `%Y %y %m %b %B %h %d %e %j`,
/// `%H %I %p %M %S %f` (one to six digits), `%z` (`+0100`, `+01:00`, `Z`), `%Z` (`UTC`, `GMT`),
/// `%a %A %w %u`, the short forms `%D %F %T %R %c %x %X`, and `%%`. Numbers may lack leading
/// zeros, names may be of any case, a space in the format is any white space. A day must exist in
/// its month and year (1900 without one, which has no 29 February); 60 seconds do not; a day of the year
/// goes from 1 to 366 and rolls over. Weeks (`%U %W %V %G`) are refused, digits are ASCII.
/// Nulls are left out.
///
/// Great Expectations: `expect_column_values_to_match_strftime_format`.
///
/// ```
/// use mlops_core::arrow::array::StringArray;
/// use mlops_core::{MemorySource, batch};
/// use mlops_validate::{Suite, date_format};
/// let data = MemorySource::from(batch! {
///     "day" => StringArray::from(vec!["2024-02-29", "2023-02-29"]),
/// }?);
/// let found = Suite::new("days").expect(date_format("day", "%Y-%m-%d")).check(&data)?;
/// assert_eq!(found.outcomes[0].finding.failing_rows, Some(1));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DateFormat {
    /// The column.
    pub column: String,
    /// The format.
    pub format: String,
}

/// Expects every text to be a date or time in this format, as `%Y-%m-%d`: [`DateFormat`].
pub fn date_format(column: impl Into<String>, format: impl Into<String>) -> Expectation {
    DateFormat { column: column.into(), format: format.into() }.into()
}

impl Kind for DateFormat {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn reads_paths(&self) -> bool {
        true
    }

    fn check_usable(&self) -> Result<()> {
        parse(&self.format).map(drop)
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let words = format!("dates of the format `{}`", self.format);
        to.values(words, &self.column, "a column of text", |data_type| {
            let items = parse(&self.format)?;
            Ok(Texts::only(data_type, move |text: &str| {
                read(&items, text, Read::default()).is_some_and(Read::exists)
            }))
        })
    }
}

/// A piece of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Literal(char),
    Space,
    /// A number in a part of the date: which, from how many digits to how many, the least and the
    /// greatest value.
    Number(Part, usize, usize, u32, u32),
    Name(Part, &'static [&'static str]),
    Fraction,
    Offset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Year,
    ShortYear,
    Month,
    Day,
    DayOfYear,
    Second,
    /// What is read and means nothing for whether the date exists.
    Other,
}

pub(super) const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const SHORT_MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
pub(super) const DAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const SHORT_DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

fn parse(format: &str) -> Result<Vec<Item>> {
    let bad = |expected: &str, found: &str| Err(Error::invalid("format of dates", expected, found));
    if format.is_empty() || format.len() > 256 {
        return bad("1 to 256 bytes", format);
    }
    let mut items = Vec::new();
    let mut seen = Vec::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c.is_whitespace() {
            if items.last() != Some(&Item::Space) {
                items.push(Item::Space);
            }
            continue;
        }
        if c != '%' {
            items.push(Item::Literal(c));
            continue;
        }
        let Some(letter) = chars.next() else { return bad("a letter after `%`", format) };
        let whole = match letter {
            'D' | 'x' => "%m/%d/%y",
            'F' => "%Y-%m-%d",
            'T' | 'X' => "%H:%M:%S",
            'R' => "%H:%M",
            'c' => "%a %b %d %H:%M:%S %Y",
            _ => "",
        };
        let letters: Vec<char> = match whole {
            "" => vec!['%', letter],
            whole => whole.chars().collect(),
        };
        let mut letters = letters.into_iter();
        while let Some(c) = letters.next() {
            if c != '%' {
                items.push(if c == ' ' { Item::Space } else { Item::Literal(c) });
                continue;
            }
            let letter = letters.next().unwrap_or('%');
            let item = match letter {
                'Y' => Item::Number(Part::Year, 4, 4, 1, 9999),
                'y' => Item::Number(Part::ShortYear, 2, 2, 0, 99),
                'm' => Item::Number(Part::Month, 1, 2, 1, 12),
                'd' | 'e' => Item::Number(Part::Day, 1, 2, 1, 31),
                'j' => Item::Number(Part::DayOfYear, 1, 3, 1, 366),
                'H' => Item::Number(Part::Other, 1, 2, 0, 23),
                'I' => Item::Number(Part::Other, 1, 2, 1, 12),
                'M' => Item::Number(Part::Other, 1, 2, 0, 59),
                'S' => Item::Number(Part::Second, 1, 2, 0, 61),
                'w' => Item::Number(Part::Other, 1, 1, 0, 6),
                'u' => Item::Number(Part::Other, 1, 1, 1, 7),
                'b' | 'h' => Item::Name(Part::Month, &SHORT_MONTHS),
                'B' => Item::Name(Part::Month, &MONTHS),
                'a' => Item::Name(Part::Other, &SHORT_DAYS),
                'A' => Item::Name(Part::Other, &DAYS),
                'p' => Item::Name(Part::Other, &["am", "pm"]),
                'Z' => Item::Name(Part::Other, &["utc", "gmt"]),
                'f' => Item::Fraction,
                'z' => Item::Offset,
                '%' => Item::Literal('%'),
                _ => {
                    return bad("letters that `strptime` knows, no weeks", &format!("`%{letter}`"));
                }
            };
            if !matches!(item, Item::Literal(_)) {
                if seen.contains(&letter) {
                    return bad("each letter once", &format!("`%{letter}` again"));
                }
                seen.push(letter);
            }
            items.push(item);
        }
    }
    Ok(items)
}

/// The parts of a date that were read.
#[derive(Clone, Copy, Debug, Default)]
struct Read {
    year: Option<u32>,
    month: Option<u32>,
    day: Option<u32>,
    day_of_year: Option<u32>,
    second: u32,
}

impl Read {
    fn with(mut self, part: Part, value: u32) -> Self {
        match part {
            Part::Year => self.year = Some(value),
            // 69 to 99 are of the last century, as POSIX has it.
            Part::ShortYear => self.year = Some(value + if value < 69 { 2000 } else { 1900 }),
            Part::Month => self.month = Some(value),
            Part::Day => self.day = Some(value),
            Part::DayOfYear => self.day_of_year = Some(value),
            Part::Second => self.second = value,
            Part::Other => {}
        }
        self
    }

    /// Whether there is such a date.
    fn exists(self) -> bool {
        let day = self.day.unwrap_or(1);
        let month = self.month.unwrap_or(1);
        // Without a year it is 1900, which has no 29 February.
        let exists = day <= days_in_month(self.year.unwrap_or(1900).into(), month);
        let exists = match self.day_of_year {
            // It rolls over into the next year, but not beyond the last one.
            Some(at) => self.year != Some(9999) || at <= 365,
            None => exists,
        };
        exists && self.second < 60
    }
}

/// Reads the whole text. Where a number could end in two places it tries the longer one first,
/// as the alternatives of Python's patterns do; a format has at most seven numbers, each once.
fn read(items: &[Item], text: &str, so_far: Read) -> Option<Read> {
    let Some((item, items)) = items.split_first() else {
        return text.is_empty().then_some(so_far);
    };
    match *item {
        Item::Literal(c) => {
            let mut chars = text.chars();
            let found = chars.next()?;
            let same = found == c || found.to_lowercase().eq(c.to_lowercase());
            if same { read(items, chars.as_str(), so_far) } else { None }
        }
        Item::Space => {
            let rest = text.trim_start();
            if rest.len() < text.len() { read(items, rest, so_far) } else { None }
        }
        Item::Number(part, least, most, low, high) => {
            let digits = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
            (least..=digits).rev().find_map(|n| {
                let value = text[..n].bytes().fold(0, |v, b| v * 10 + u32::from(b - b'0'));
                let fits = (low..=high).contains(&value);
                if fits { read(items, &text[n..], so_far.with(part, value)) } else { None }
            })
        }
        Item::Name(part, names) => names.iter().zip(1..).find_map(|(name, value)| {
            let found = text.get(..name.len())?;
            let same = found.eq_ignore_ascii_case(name);
            if same { read(items, &text[name.len()..], so_far.with(part, value)) } else { None }
        }),
        Item::Fraction => {
            let digits = text.bytes().take(6).take_while(u8::is_ascii_digit).count();
            (1..=digits).rev().find_map(|n| read(items, &text[n..], so_far))
        }
        Item::Offset => {
            let n = offset(text)?;
            read(items, &text[n..], so_far)
        }
    }
}

/// How long the offset is that the text starts with: `Z`, `+0100`, `+01:00`, and seconds.
fn offset(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let two = |at: usize, most: u8| {
        let pair = bytes.get(at..at + 2)?;
        let digits = pair.iter().all(u8::is_ascii_digit);
        (digits && (pair[0] - b'0') * 10 + (pair[1] - b'0') <= most).then_some(at + 2)
    };
    let colon = |at: usize| if bytes.get(at) == Some(&b':') { at + 1 } else { at };
    match bytes.first()? {
        b'Z' => Some(1),
        b'+' | b'-' => {
            let minutes = two(colon(two(1, 23)?), 59)?;
            Some(two(colon(minutes), 59).unwrap_or(minutes))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(format: &str, text: &str) -> bool {
        read(&parse(format).unwrap(), text, Read::default()).is_some_and(Read::exists)
    }

    #[test]
    fn as_strptime_reads() {
        // What CPython 3.11.7's `datetime.strptime` says, but of the Arabic digits, which it reads.
        for (format, text, expected) in [
            ("%Y%m%d", "2024131", true),
            ("%Y%m%d", "202411", true),
            ("%Y%m%d", "20241", false),
            ("%Y%m%d%H%M%S", "20240131235959", true),
            ("%d %B %Y", "1 MAY 2024", true),
            ("%d %B %Y", "1   may\t2024", true),
            ("%d.%m", "29.02", false),
            ("%d.%m", "30.02", false),
            ("%Y-%j", "9999-366", false),
            ("%y", "69", true),
            ("%c", "Wed Jan 31 10:00:00 2024", true),
            ("%H:%M:%S.%f", "10:00:00.1234567", false),
            ("%z", "-0130", true),
            ("%z", "+01:00:30", true),
            ("%z", "+2500", false),
            ("%Y", "٢٠٢٤", false),
            ("T%H", "t5", true),
            ("%Y", "0000", false),
        ] {
            assert_eq!(reads(format, text), expected, "{format} {text}");
        }
        for format in ["", "%", "%Q", "%Y %Y", "%U", "%F %m"] {
            assert!(parse(format).is_err(), "{format}");
        }
    }
}
