//! What type a column of text has, and why.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};

use super::civil;

/// A type that text can be read as, from the narrowest to the widest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reading {
    /// `true` or `false`, in any case.
    Boolean,
    /// A whole number that fits 64 bits, written without a plus sign or leading zeros.
    Integer,
    /// A number. Whole numbers beyond 64 bits are text: as floats they would lose digits.
    Float,
    /// `YYYY-MM-DD`.
    Date,
    /// A date, or a date and a time without a distance from UTC, to the microsecond.
    Timestamp,
    /// A date and a time with its distance from UTC, to the microsecond.
    TimestampUtc,
    /// Anything.
    Text,
}

impl Reading {
    const ALL: [Self; 7] = [
        Self::Boolean,
        Self::Integer,
        Self::Float,
        Self::Date,
        Self::Timestamp,
        Self::TimestampUtc,
        Self::Text,
    ];

    /// The Arrow type.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampUtc => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Text => DataType::Utf8,
        }
    }

    /// Whether the text can be read so.
    fn takes(self, text: &str) -> bool {
        match self {
            Self::Boolean => {
                text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")
            }
            Self::Integer => is_plain_number(text) && text.parse::<i64>().is_ok(),
            Self::Float => {
                is_plain_number(text)
                    && text.parse::<f64>().is_ok()
                    && (text.parse::<i64>().is_ok()
                        || !text.trim_start_matches('-').bytes().all(|b| b.is_ascii_digit()))
            }
            Self::Date => civil::date(text).is_some(),
            Self::Timestamp => matches!(civil::timestamp(text), Some((_, false))),
            Self::TimestampUtc => matches!(civil::timestamp(text), Some((_, true))),
            Self::Text => true,
        }
    }
}

/// No plus sign and no leading zeros: `+4712345678` and `007` are names of things, not amounts.
fn is_plain_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    !matches!(digits, [b'+' | b'-', ..] | [b'0', b'0'..=b'9', ..])
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::TimestampUtc => "timestamp with time zone",
            Self::Text => "text",
        })
    }
}

/// The first value that could not be read as a type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RuledOut {
    /// The type.
    pub reading: Reading,
    /// The file's line that the value's row starts on, counted from 1.
    pub line: u64,
    /// The value, cut after 40 characters.
    pub value: String,
    /// The file, where several were looked at.
    pub file: Option<String>,
}

/// What was found out about a column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InferredColumn {
    /// Its name.
    pub name: String,
    /// Rows that were looked at.
    pub rows: u64,
    /// Of these, nulls.
    pub nulls: u64,
    /// What ruled other types out, narrowest type first.
    pub ruled_out: Vec<RuledOut>,
}

impl InferredColumn {
    pub(crate) fn new(name: String) -> Self {
        Self { name, rows: 0, nulls: 0, ruled_out: Vec::new() }
    }

    /// The narrowest type that every value can be read as; text where there is no value.
    pub fn reading(&self) -> Reading {
        if self.rows == self.nulls {
            return Reading::Text;
        }
        Reading::ALL
            .into_iter()
            .find(|r| self.ruled_out.iter().all(|out| out.reading != *r))
            .unwrap_or(Reading::Text)
    }

    pub(crate) fn see_null(&mut self) {
        self.rows += 1;
        self.nulls += 1;
    }

    pub(crate) fn see(&mut self, text: &str, line: u64) {
        self.rows += 1;
        // Every type but text is ruled out: nothing more to learn.
        if self.ruled_out.len() == Reading::ALL.len() - 1 {
            return;
        }
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
        for reading in Reading::ALL {
            let known = self.ruled_out.iter().any(|out| out.reading == reading);
            if !known && !reading.takes(text) {
                let value = text.chars().take(40).collect();
                let out = RuledOut { reading, line, value, file: None };
                let at = self.ruled_out.partition_point(|o| o.reading < reading);
                self.ruled_out.insert(at, out);
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.nulls += other.nulls;
        for out in &other.ruled_out {
            if self.ruled_out.iter().all(|o| o.reading != out.reading) {
                let at = self.ruled_out.partition_point(|o| o.reading < out.reading);
                self.ruled_out.insert(at, out.clone());
            }
        }
    }
}

/// The types of a text file's columns, and for each what led to it.
///
/// Printed, it explains itself:
///
/// ```text
/// 3 columns from all 4 rows
/// age   integer   4 values; not boolean: `31` (line 2)
/// zip   text      3 values, 1 null; not float: `0150` (line 3)
/// note  text      no values
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InferredSchema {
    /// The columns, in the file's order.
    pub columns: Vec<InferredColumn>,
    /// Rows that were looked at.
    pub rows: u64,
    /// Whether these were all.
    pub complete: bool,
}

impl InferredSchema {
    /// The schema. Every column may be null: that none was so far is no promise.
    pub fn schema(&self) -> SchemaRef {
        let fields =
            self.columns.iter().map(|c| Field::new(&c.name, c.reading().data_type(), true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// Why each column has its type, a line a column; the same as its `Display`.
    pub fn explain(&self) -> String {
        self.to_string()
    }

    /// This evidence with the name of the file that it comes from.
    pub(crate) fn of_file(mut self, file: &str) -> Self {
        for out in self.columns.iter_mut().flat_map(|c| &mut c.ruled_out) {
            out.file = Some(file.to_owned());
        }
        self
    }

    /// Takes in the evidence of another file with the same columns.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.complete &= other.complete;
        for (mine, theirs) in self.columns.iter_mut().zip(&other.columns) {
            mine.merge(theirs);
        }
    }
}

impl fmt::Display for InferredSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let which = if self.complete { "all" } else { "the first" };
        write!(f, "{} columns from {which} {} rows", self.columns.len(), self.rows)?;
        let width = self.columns.iter().map(|c| c.name.chars().count()).max().unwrap_or(0);
        for column in &self.columns {
            let reading = column.reading();
            write!(f, "\n{:width$}  {:10}", column.name, reading.to_string())?;
            match (column.rows - column.nulls, column.nulls) {
                (0, _) => write!(f, " no values")?,
                (values, 0) => write!(f, " {values} values")?,
                (values, nulls) => write!(f, " {values} values, {nulls} null")?,
            }
            // Of the narrower types, the one that lasted longest tells the most; of those that fell
            // by one value, that it is no number.
            let narrower = column.ruled_out.iter().filter(|o| o.reading < reading);
            if let Some(out) = narrower.max_by_key(|o| (o.line, o.reading == Reading::Float)) {
                write!(f, "; not {}: `{}` (", out.reading, out.value.escape_debug())?;
                if let Some(file) = &out.file {
                    write!(f, "{file}, ")?;
                }
                write!(f, "line {})", out.line)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(values: &[&str]) -> Reading {
        let mut column = InferredColumn::new("x".into());
        for (line, value) in values.iter().enumerate() {
            column.see(value, line as u64 + 2);
        }
        column.reading()
    }

    #[test]
    fn the_narrowest_type_that_takes_all() {
        assert_eq!(reading(&["true", "FALSE"]), Reading::Boolean);
        assert_eq!(reading(&["1", "-2", " 3 "]), Reading::Integer);
        assert_eq!(reading(&["1", "2.5"]), Reading::Float);
        assert_eq!(reading(&["1e5", "NaN", "-inf", "0.5"]), Reading::Float);
        assert_eq!(reading(&["1", "true"]), Reading::Text);
        assert_eq!(reading(&["007"]), Reading::Text);
        assert_eq!(reading(&["00.5"]), Reading::Text);
        assert_eq!(reading(&["0", "-0", "0.0"]), Reading::Float);
        assert_eq!(reading(&["+4712345678"]), Reading::Text);
        assert_eq!(reading(&["9223372036854775807"]), Reading::Integer);
        assert_eq!(reading(&["9223372036854775808"]), Reading::Text);
        assert_eq!(reading(&["2024-02-29"]), Reading::Date);
        assert_eq!(reading(&["2024-02-29", "2024-02-29 10:00"]), Reading::Timestamp);
        assert_eq!(reading(&["2024-02-29T10:00Z"]), Reading::TimestampUtc);
        assert_eq!(reading(&["2024-02-29T10:00Z", "2024-02-29T10:00"]), Reading::Text);
        assert_eq!(reading(&["2024-02-30"]), Reading::Text);
        assert_eq!(reading(&[]), Reading::Text);
    }

    #[test]
    fn it_says_why() {
        let mut column = InferredColumn::new("zip".into());
        column.see("1234", 2);
        column.see_null();
        column.see("0150", 4);
        let schema = InferredSchema { columns: vec![column], rows: 3, complete: true };
        assert_eq!(
            schema.explain(),
            "1 columns from all 3 rows\nzip  text       2 values, 1 null; not float: `0150` (line 4)"
        );
    }
}
