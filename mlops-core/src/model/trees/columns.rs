//! The columns that an ensemble reads, as numbers.

use std::collections::HashMap;

use arrow::array::{Array, Float64Array, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;

use super::{Feature, FeatureKind, Labels, Routes};
use crate::{Error, Result, Rows, is_text};

/// The features of an ensemble in one batch, as numbers: categories as those that the training
/// library gave them. What [`TreeEnsemble::columns`](super::TreeEnsemble::columns) returns.
#[derive(Clone, Debug)]
pub struct Columns {
    /// `None` for a feature that no question asks for.
    numbers: Vec<Option<Float64Array>>,
    known: Option<NullBuffer>,
    rows: usize,
}

impl Columns {
    pub(super) fn of(features: &[Feature], routes: &Routes, batch: &RecordBatch) -> Result<Self> {
        let rows = Rows::new(batch);
        let mut columns = Vec::with_capacity(features.len());
        let mut known: Option<NullBuffer> = None;
        for (at, feature) in features.iter().enumerate() {
            let name = feature.name.as_str();
            // A column that is not there is an error, asked for or not.
            rows.column(name)?;
            if !routes.asks_for(at) && !feature.required {
                columns.push(None);
                continue;
            }
            let column = match &feature.kind {
                FeatureKind::Number => rows.numbers(name)?.clone(),
                FeatureKind::Category(None) => checked_categories(name, rows.numbers(name)?)?,
                FeatureKind::Category(Some(labels)) => of_labels(&rows, name, labels)?,
            };
            if feature.required {
                let has_nan = column.values().iter().any(|x| x.is_nan());
                if has_nan || column.null_count() > 0 {
                    let valid: NullBuffer =
                        column.iter().map(|x| x.is_some_and(|x| !x.is_nan())).collect();
                    known = NullBuffer::union(known.as_ref(), Some(&valid));
                }
            }
            columns.push(Some(column));
        }
        Ok(Self { numbers: columns, known, rows: batch.num_rows() })
    }

    /// How many features there are, asked for or not.
    pub fn features(&self) -> usize {
        self.numbers.len()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The column of a feature; `None` if no question asks for it.
    pub fn column(&self, feature: u32) -> Option<&Float64Array> {
        self.numbers.get(feature as usize)?.as_ref()
    }

    /// The number of a feature in a row; NaN where it is missing.
    pub fn value(&self, feature: u32, row: usize) -> f64 {
        match self.column(feature) {
            Some(column) if row < column.len() && column.is_valid(row) => column.value(row),
            _ => f64::NAN,
        }
    }

    /// Whether the row has a value for every feature that requires one, and so a margin.
    pub fn is_known(&self, row: usize) -> bool {
        self.known.as_ref().is_none_or(|known| known.is_valid(row))
    }

    /// The rows that have a margin, where not all have.
    pub fn known(&self) -> Option<&NullBuffer> {
        self.known.as_ref()
    }
}

fn checked_categories(name: &str, column: &Float64Array) -> Result<Float64Array> {
    // Below 0 and beyond the greatest are categories that no model knows.
    let fine = |x: f64| x.is_nan() || x.is_infinite() || x.fract() == 0.0;
    let bad = (0..column.len()).find(|&row| column.is_valid(row) && !fine(column.value(row)));
    match bad {
        None => Ok(column.clone()),
        Some(row) => Err(Error::Value {
            column: name.to_owned(),
            row: row as u64,
            expected: "the number of a category, a whole one".into(),
            found: column.value(row).to_string(),
        }),
    }
}

/// That a column may hold these labels. Numbers where all labels are words would be a category that
/// is missing, row after row: the numbers that another library gave the categories, say.
fn check_labels(name: &str, data_type: &DataType, labels: &[String]) -> Result<()> {
    let plain = match data_type {
        DataType::Dictionary(_, values) => values,
        other => other,
    };
    let fits = |label: &String| match plain {
        DataType::Boolean => label == "true" || label == "false",
        _ => label.parse::<f64>().is_ok(),
    };
    if !(plain.is_numeric() || *plain == DataType::Boolean)
        || labels.is_empty()
        || labels.iter().any(fits)
    {
        return Ok(());
    }
    let first: Vec<_> = labels.iter().take(3).map(|label| format!("`{label}`")).collect();
    let more = if labels.len() > 3 { ", …" } else { "" };
    let expected = format!("text, the categories' labels {}{more}", first.join(", "));
    Err(Error::column_type(name, expected, data_type))
}

fn of_labels(rows: &Rows<'_>, name: &str, labels: &Labels) -> Result<Float64Array> {
    let array = rows.column(name)?;
    match labels {
        Labels::Text(labels) => {
            check_labels(name, array.data_type(), labels)?;
            let places: HashMap<&str, f64> =
                labels.iter().enumerate().map(|(at, l)| (l.as_str(), at as f64)).collect();
            let categories = rows.categories(name)?;
            let codes: Vec<Option<f64>> = (0..categories.labels().len())
                .map(|code| places.get(categories.labels().value(code)).copied())
                .collect();
            let found = categories.codes().iter();
            Ok(found.map(|code| codes[code? as usize]).collect())
        }
        Labels::Numbers(labels) => {
            if is_text(array.data_type()) {
                return Err(Error::column_type(
                    name,
                    "the numbers that are the categories' labels",
                    array.data_type(),
                ));
            }
            // +0, so that −0 is the same label.
            let places: HashMap<u64, f64> =
                labels.iter().enumerate().map(|(at, l)| ((l + 0.0).to_bits(), at as f64)).collect();
            let found = rows.numbers(name)?.iter();
            Ok(found.map(|x| places.get(&(x? + 0.0).to_bits()).copied()).collect())
        }
    }
}
