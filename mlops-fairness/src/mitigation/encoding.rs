//! Columns as centred numbers: a number as it is, a category as one or none.

use mlops_core::{Result, Rows};
use serde::{Deserialize, Serialize};

/// A column, or one category of it, as a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Encoded {
    /// The column.
    pub column: String,
    /// The category that is 1 where all others are 0; `None` for a column of numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// What is taken off: the mean where it was fitted.
    pub centre: f64,
}

impl Encoded {
    /// Each row's number less the centre; NaN where there is none.
    pub(super) fn centred(&self, rows: &Rows<'_>) -> Result<Vec<f64>> {
        match &self.category {
            None => {
                let numbers = rows.numbers(&self.column)?;
                Ok(numbers.iter().map(|x| x.map_or(f64::NAN, |x| x - self.centre)).collect())
            }
            Some(category) => {
                let categories = rows.categories(&self.column)?;
                let at = |row| match categories.label(row) {
                    Some(label) if label == category => 1.0 - self.centre,
                    Some(_) => -self.centre,
                    None => f64::NAN,
                };
                Ok((0..rows.len()).map(at).collect())
            }
        }
    }
}
