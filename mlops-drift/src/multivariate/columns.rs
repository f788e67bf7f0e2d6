//! The columns that are compared together, and a batch of them as numbers and labels.

use arrow::array::{Array, AsArray, Float64Array};
use arrow::datatypes::{DataType, Schema};
use mlops_core::{Categories, Error, Result, Rows, is_numeric, is_text, to_numbers};
use serde::{Deserialize, Serialize};

/// How a column takes part in a comparison of several columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ColumnKind {
    /// As one number: integers, floats, decimals, booleans, dates and timestamps.
    Number,
    /// As a category that is encoded in numbers: text and dictionaries of text.
    Category,
    /// As so many numbers: a fixed-size list.
    Embedding {
        /// The length of the lists.
        dimension: usize,
    },
}

/// A column that takes part in a comparison of several columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComparedColumn {
    /// Its name.
    pub name: String,
    /// How it takes part.
    pub kind: ColumnKind,
}

impl ComparedColumn {
    /// All columns of a schema that can be compared, in their order; of nested types only
    /// fixed-size lists of numbers can.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is none.
    pub fn all(schema: &Schema) -> Result<Vec<Self>> {
        let columns: Vec<_> = schema
            .fields()
            .iter()
            .filter_map(|f| Some(Self { name: f.name().clone(), kind: kind_of(f.data_type())? }))
            .collect();
        if columns.is_empty() {
            return Err(Error::invalid("columns to compare", "one that can be", "none"));
        }
        Ok(columns)
    }

    /// These columns of a schema.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`]; [`Error::ColumnType`] for one that can't be compared;
    /// [`Error::Invalid`] if there is none, or one comes twice.
    pub fn named<S: AsRef<str>>(
        schema: &Schema,
        names: impl IntoIterator<Item = S>,
    ) -> Result<Vec<Self>> {
        let mut columns: Vec<Self> = Vec::new();
        for name in names {
            let name = name.as_ref();
            let field = schema.field_with_name(name).map_err(|_| Error::ColumnNotFound {
                column: name.to_owned(),
                available: schema.fields().iter().map(|f| f.name().clone()).collect(),
            })?;
            let kind = kind_of(field.data_type()).ok_or_else(|| {
                let expected = "numbers, text or a fixed-size list of numbers";
                Error::column_type(name, expected, field.data_type())
            })?;
            if columns.iter().any(|c| c.name == name) {
                return Err(Error::invalid("columns to compare", "each once", name));
            }
            columns.push(Self { name: name.to_owned(), kind });
        }
        if columns.is_empty() {
            return Err(Error::invalid("columns to compare", "at least one", "none"));
        }
        Ok(columns)
    }

    /// How many numbers of a row it takes, and how many labels.
    pub(crate) fn width(&self) -> (usize, usize) {
        match self.kind {
            ColumnKind::Number => (1, 0),
            ColumnKind::Category => (0, 1),
            ColumnKind::Embedding { dimension } => (dimension, 0),
        }
    }
}

/// How many numbers and labels a row of these columns has.
pub(crate) fn width(columns: &[ComparedColumn]) -> (usize, usize) {
    columns.iter().map(ComparedColumn::width).fold((0, 0), |(a, b), (x, y)| (a + x, b + y))
}

fn kind_of(data_type: &DataType) -> Option<ColumnKind> {
    match data_type {
        DataType::FixedSizeList(item, n) if is_numeric(item.data_type()) => {
            let dimension = usize::try_from(*n).ok().filter(|&n| n > 0)?;
            Some(ColumnKind::Embedding { dimension })
        }
        t if is_text(t) => Some(ColumnKind::Category),
        t if is_numeric(t) || *t == DataType::Null => Some(ColumnKind::Number),
        _ => None,
    }
}

/// The compared columns of a batch, found once.
pub(crate) struct Block<'r> {
    numbers: Vec<Numbers<'r>>,
    labels: Vec<&'r Categories>,
}

enum Numbers<'r> {
    Column(&'r Float64Array),
    Lists { lists: &'r dyn Array, values: Float64Array, dimension: usize },
}

impl<'r> Block<'r> {
    /// # Errors
    /// A column that is missing or of another kind.
    pub(crate) fn of(columns: &[ComparedColumn], rows: &'r Rows<'_>) -> Result<Self> {
        let (mut numbers, mut labels) = (Vec::new(), Vec::new());
        for column in columns {
            let name = column.name.as_str();
            match column.kind {
                ColumnKind::Number => numbers.push(Numbers::Column(rows.numbers(name)?)),
                ColumnKind::Category => labels.push(rows.categories(name)?),
                ColumnKind::Embedding { dimension } => {
                    let array = rows.column(name)?;
                    let found = array
                        .as_fixed_size_list_opt()
                        .filter(|list| list.value_length() as usize == dimension);
                    let list = found.ok_or_else(|| {
                        let expected = format!("a fixed-size list of {dimension} numbers");
                        Error::column_type(name, expected, array.data_type())
                    })?;
                    let values = to_numbers(name, list.values())?;
                    numbers.push(Numbers::Lists { lists: list, values, dimension });
                }
            }
        }
        Ok(Self { numbers, labels })
    }

    /// The numbers of a row; NaN for those that are missing: null, NaN or infinite.
    pub(crate) fn push_numbers(&self, row: usize, out: &mut Vec<f64>) {
        for numbers in &self.numbers {
            match numbers {
                Numbers::Column(column) => out.push(known(column, row)),
                Numbers::Lists { lists, dimension, .. } if lists.is_null(row) => {
                    out.extend(std::iter::repeat_n(f64::NAN, *dimension));
                }
                Numbers::Lists { values, dimension, .. } => {
                    let at = row * dimension;
                    out.extend((at..at + dimension).map(|i| known(values, i)));
                }
            }
        }
    }

    /// The label of a row in the category column of this number; `None` where it is null.
    pub(crate) fn label(&self, column: usize, row: usize) -> Option<&str> {
        self.labels[column].label(row)
    }
}

/// The value as a finite number without a negative zero, or NaN.
fn known(values: &Float64Array, i: usize) -> f64 {
    let value = values.value(i);
    if values.is_valid(i) && value.is_finite() { value + 0.0 } else { f64::NAN }
}
