//! The latest value is not too old.

use std::fmt;
use std::str::FromStr;

use arrow::datatypes::{DataType, TimeUnit};
use mlops_core::{Error, Result, Timestamp, Verdict};
use serde::{Deserialize, Serialize};

use super::bounds::Quantity;
use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler, Observation};
use crate::measures::{End, Ends, Extremes, Order};
use crate::outcome::Measured;

/// A length of time, as suites write it: `90s`, `15m`, `36h`, `2d`, `1w`, or several of these,
/// `1d12h`.
///
/// ```
/// use mlops_validate::Age;
/// let age: Age = "1d12h".parse()?;
/// assert_eq!((age.seconds(), age.to_string()), (129_600, "1d12h".into()));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Age(u64);

const UNITS: [(char, u64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];

impl Age {
    /// So many seconds.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// In seconds.
    pub const fn seconds(self) -> u64 {
        self.0
    }
}

impl FromStr for Age {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::invalid("length of time", "as 90s, 15m, 36h, 2d or 1d12h", text);
        let (mut sum, mut rest) = (0u64, text.trim());
        if rest.is_empty() {
            return Err(bad());
        }
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
            let number: u64 = rest[..end].parse().map_err(|_| bad())?;
            let unit = rest[end..].chars().next();
            let (letter, seconds) =
                UNITS.into_iter().find(|(letter, _)| Some(*letter) == unit).ok_or_else(bad)?;
            let part = number.checked_mul(seconds).ok_or_else(bad)?;
            sum = sum.checked_add(part).ok_or_else(bad)?;
            rest = &rest[end + letter.len_utf8()..];
        }
        Ok(Self(sum))
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        if rest == 0 {
            return f.write_str("0s");
        }
        for (letter, seconds) in UNITS {
            if rest >= seconds {
                write!(f, "{}{letter}", rest / seconds)?;
                rest %= seconds;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Age {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Age> for String {
    fn from(age: Age) -> Self {
        age.to_string()
    }
}

/// The latest date or timestamp is at most so old at the time that the host gives.
///
/// The time comes from the [`Context`](crate::Context), never from a hidden clock; without it the
/// expectation is inconclusive. Timestamps without a zone are taken to be in UTC, a date as its
/// midnight. Nulls are left out. Soda: `freshness`; DQDL: `DataFreshness`.
///
/// ```
/// use mlops_core::arrow::array::TimestampSecondArray;
/// use mlops_core::{MemorySource, batch};
/// use mlops_validate::{Context, Suite, freshness};
///
/// let suite = Suite::new("events").expect(freshness("at", "1h".parse()?));
/// let at = TimestampSecondArray::from(vec![1_769_860_000, 1_769_860_800]);
/// let events = MemorySource::from(batch! { "at" => at }?);
/// let half_past = Context::new().now("2026-01-31T12:30:00Z".parse()?);
/// assert!(suite.check_with(&events, &half_past)?.verdict.is_pass());
/// let next_day = Context::new().now("2026-02-01T12:30:00Z".parse()?);
/// assert!(suite.check_with(&events, &next_day)?.verdict.is_fail());
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Freshness {
    /// The column.
    pub column: String,
    /// The greatest age of the latest value.
    pub max_age: Age,
}

/// Expects the latest value of a column to be at most so old: [`Freshness`].
pub fn freshness(column: impl Into<String>, max_age: Age) -> Expectation {
    Freshness { column: column.into(), max_age }.into()
}

/// A count of a date or timestamp type in nanoseconds since the epoch.
fn nanoseconds(count: i128, data_type: &DataType) -> Option<i128> {
    let unit = match data_type {
        DataType::Date32 => 86_400_000_000_000,
        DataType::Date64 | DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
        DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1000,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 1,
        _ => return None,
    };
    count.checked_mul(unit)
}

impl Kind for Freshness {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        false
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let expected = format!("a latest value at most {} old", self.max_age);
        let data_type = to.value_type(&self.column)?.clone();
        if nanoseconds(0, &data_type).is_none() {
            return to.wrong_type(&self.column, "a column of dates or timestamps");
        }
        let Some(now) = to.given.now() else {
            let found = "no time is given to compare with".to_owned();
            let seen = Observation::inconclusive(found.clone(), Measured::Failed(found));
            return Ok(to.fixed(expected, seen));
        };
        let handle = to.add(Extremes { column: self.column.clone(), order: Order::Int });
        let most = i128::from(self.max_age.0) * 1_000_000_000;
        Ok(to.measured(expected, handle, move |found: &Ends| {
            let Some((_, End::Whole(latest))) = found.range else {
                return Ok(Observation::vacuous("no values: nothing was measured"));
            };
            let at = Quantity::Whole(latest);
            let age = nanoseconds(latest, &data_type).map(|at| nanoseconds_of(now) - at);
            let Some(age) = age else {
                return Err(Error::undefined("the age of the latest value", "it is too far away"));
            };
            let seconds = u64::try_from(age / 1_000_000_000).unwrap_or(0);
            let words = format!("{}, {} old at {now}", at.print(&data_type), Age(seconds));
            let verdict = Verdict::from_bool(age <= most);
            Ok(Observation::new(verdict, words, at.to_json(&data_type))
                .with_number(age as f64 / 1e9))
        }))
    }
}

fn nanoseconds_of(now: Timestamp) -> i128 {
    i128::from(now.millis()) * 1_000_000
}
