//! A batch seen through names looked up once, with the views that analyzers share.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, BooleanArray, Float64Array, RecordBatch};
use arrow::datatypes::Schema;

use crate::verdict::RowId;
use crate::{Error, Extent, Result};

mod categories;
mod numbers;
mod selected;
mod shared;

pub use categories::{Categories, is_text};
pub use numbers::{is_numeric, to_numbers};
pub use selected::Selected;
use shared::Shared;

/// The names of a schema, looked up once for all its batches.
#[derive(Clone, Debug)]
pub struct Names(Arc<Places>);

#[derive(Debug)]
struct Places {
    by_name: HashMap<String, usize>,
    /// What the source has, read or not: an error about a missing column lists it.
    available: Vec<String>,
}

impl Names {
    /// The names of this schema; of columns with one name the first counts.
    pub fn of(schema: &Schema) -> Self {
        Self::projected(schema, schema)
    }

    /// The names of the columns that are read, of those that there are.
    pub fn projected(read: &Schema, whole: &Schema) -> Self {
        let mut by_name = HashMap::with_capacity(read.fields().len());
        for (i, field) in read.fields().iter().enumerate() {
            by_name.entry(field.name().clone()).or_insert(i);
        }
        let available = whole.fields().iter().map(|f| f.name().clone()).collect();
        Self(Arc::new(Places { by_name, available }))
    }
}

/// A batch of rows, or some rows of a batch, as an analyzer sees it.
///
/// Views that several analyzers want ([`numbers`](Self::numbers),
/// [`categories`](Self::categories), [`extent`](Self::extent), and whatever they agree on by
/// [`shared`](Self::shared)) are made once per batch.
///
/// ```
/// use arrow::array::{Int32Array, StringArray};
/// use mlops_core::{Rows, batch};
/// let batch = batch! {
///     "age" => Int32Array::from(vec![31, 47]),
///     "city" => StringArray::from(vec!["Oslo", "Bergen"]),
/// }?;
/// let rows = Rows::new(&batch);
/// assert_eq!(rows.numbers("age")?.value(1), 47.0);
/// assert_eq!(rows.categories("city")?.label(0), Some("Oslo"));
/// assert!(rows.column("agee").is_err());
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Rows<'a> {
    held: Held<'a>,
    names: Names,
    origin: &'a str,
}

/// What the rows stand in.
#[derive(Debug)]
enum Held<'a> {
    Batch {
        batch: &'a RecordBatch,
        first_row: u64,
        views: Views,
    },
    /// With its own views, which all that look at the selection share.
    Selected(&'a Selected),
}

/// What was made of a batch so far.
#[derive(Debug)]
struct Views {
    columns: Vec<ColumnViews>,
    shared: Shared,
}

#[derive(Debug, Default)]
struct ColumnViews {
    numbers: OnceLock<Float64Array>,
    categories: OnceLock<Categories>,
    extent: OnceLock<Extent>,
}

impl Views {
    fn of(columns: usize) -> Self {
        let columns = std::iter::repeat_with(ColumnViews::default).take(columns).collect();
        Self { columns, shared: Shared::default() }
    }
}

impl<'a> Rows<'a> {
    /// A batch of its own: its rows are named `memory:0`, `memory:1`, …
    pub fn new(batch: &'a RecordBatch) -> Self {
        Self::of(batch, Names::of(batch.schema_ref()), "memory", 0)
    }

    /// A batch with the names of its schema, the origin of its rows, and the number of the first
    /// of them there.
    pub fn of(batch: &'a RecordBatch, names: Names, origin: &'a str, first_row: u64) -> Self {
        let views = Views::of(batch.num_columns());
        Self { held: Held::Batch { batch, first_row, views }, names, origin }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        match &self.held {
            Held::Batch { batch, .. } => batch.num_rows(),
            Held::Selected(selected) => selected.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All columns that were read, of these rows.
    ///
    /// # Errors
    /// A column of which some rows can't be selected.
    pub fn batch(&self) -> Result<&'a RecordBatch> {
        match &self.held {
            Held::Batch { batch, .. } => Ok(batch),
            Held::Selected(selected) => selected.batch(),
        }
    }

    /// The name of the thing that the rows stand in: a file, a table, `memory`.
    pub fn origin(&self) -> &'a str {
        self.origin
    }

    /// The numbers, in their origin, of the rows that these were selected from, whether or not
    /// they were: without a gap to the rows of the next batch.
    pub fn span(&self) -> Range<u64> {
        let (first, n) = match &self.held {
            Held::Batch { batch, first_row, .. } => (*first_row, batch.num_rows()),
            Held::Selected(selected) => (selected.first_row, selected.source.num_rows()),
        };
        first..first.saturating_add(n as u64)
    }

    /// The number in its origin of the row at this index. Numbers ascend with the index.
    ///
    /// # Panics
    /// For an index that is none of a selection.
    pub fn row_number(&self, index: usize) -> u64 {
        match &self.held {
            Held::Batch { first_row, .. } => first_row.saturating_add(index as u64),
            Held::Selected(selected) => selected.row_numbers()[index],
        }
    }

    /// The name of the row at this index.
    ///
    /// # Panics
    /// For an index that is none of a selection.
    pub fn row_id(&self, index: usize) -> RowId {
        RowId { origin: self.origin.to_owned(), row: self.row_number(index) }
    }

    /// The column of this name.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`].
    pub fn column(&self, name: &str) -> Result<&'a ArrayRef> {
        self.at(self.index(name)?)
    }

    /// The column of this name as `f64`: integers, floats, decimals, booleans (0 and 1), dates,
    /// times and timestamps (in their own unit), and dictionaries of these; a column of type `Null`
    /// is all nulls. Integers beyond 2⁵³ round. No copy where the column is `f64` already.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`], or [`Error::ColumnType`] for text and nested types.
    pub fn numbers(&self, name: &str) -> Result<&Float64Array> {
        let index = self.index(name)?;
        let view = &self.views().columns[index].numbers;
        if let Some(numbers) = view.get() {
            return Ok(numbers);
        }
        let numbers = to_numbers(name, self.at(index)?)?;
        Ok(view.get_or_init(|| numbers))
    }

    /// The column of this name as category codes: strings, booleans, integers, dates, and
    /// dictionaries of these; numbers are the text that they print as.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`], or [`Error::ColumnType`] for types that have no text.
    pub fn categories(&self, name: &str) -> Result<&Categories> {
        let index = self.index(name)?;
        let view = &self.views().columns[index].categories;
        if let Some(categories) = view.get() {
            return Ok(categories);
        }
        let categories = Categories::of(name, self.at(index)?)?;
        Ok(view.get_or_init(|| categories))
    }

    /// What the values of the column of this name span: a range check that it answers needs no
    /// look at single rows.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`]; as [`Extent::of`].
    pub fn extent(&self, name: &str) -> Result<Extent> {
        let index = self.index(name)?;
        let view = &self.views().columns[index].extent;
        if let Some(extent) = view.get() {
            return Ok(*extent);
        }
        let extent = Extent::of(name, self.at(index)?)?;
        Ok(*view.get_or_init(|| extent))
    }

    /// What analyzers have agreed to make only once of these rows: a mask, a hash of keys, a
    /// selection. What `make` gives is kept under its type and the key, which must say all that it
    /// depends on besides the rows; an error is not kept. `make` may ask for other shared things.
    ///
    /// ```
    /// use arrow::array::{Array, Int32Array};
    /// use mlops_core::{Rows, batch};
    /// let batch = batch! { "age" => Int32Array::from(vec![31, 47]) }?;
    /// let rows = Rows::new(&batch);
    /// let sum = |rows: &Rows<'_>| -> mlops_core::Result<f64> {
    ///     Ok(rows.numbers("age")?.values().iter().sum())
    /// };
    /// assert_eq!(*rows.shared("sum of age", || sum(&rows))?, 78.0);
    /// // This one is found, not made.
    /// assert_eq!(*rows.shared("sum of age", || Ok(0.0_f64))?, 78.0);
    /// # Ok::<(), mlops_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of `make`.
    pub fn shared<T: Send + Sync + 'static>(
        &self,
        key: &str,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        self.views().shared.get(key, make)
    }

    /// The rows for which the mask is true (not null), under their own names and numbers.
    ///
    /// A column is copied when it is first asked for. What several analyzers select should be
    /// [`shared`](Self::shared); they then share its views, too:
    ///
    /// ```
    /// use arrow::array::{BooleanArray, Int32Array};
    /// use mlops_core::{Rows, batch};
    /// let batch = batch! { "age" => Int32Array::from(vec![31, 12, 47]) }?;
    /// let rows = Rows::new(&batch);
    /// let grown_up = BooleanArray::from(vec![true, false, true]);
    /// let selected = rows.shared("where age >= 18", || rows.select(&grown_up))?;
    /// let rows = selected.rows();
    /// assert_eq!(rows.numbers("age")?.values()[..], [31.0, 47.0]);
    /// assert_eq!(rows.row_id(1).to_string(), "memory:2");
    /// # Ok::<(), mlops_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Length`] if the mask has not a value for every row.
    pub fn select(&self, mask: &BooleanArray) -> Result<Selected> {
        if mask.len() != self.len() {
            return Err(Error::Length {
                left: "the batch".into(),
                left_len: self.len(),
                right: "the choice of its rows".into(),
                right_len: mask.len(),
            });
        }
        let chosen = match mask.nulls() {
            Some(nulls) => mask.values() & nulls.inner(),
            None => mask.values().clone(),
        };
        let (batch, first_row, kept) = match &self.held {
            Held::Batch { batch, first_row, .. } => (*batch, *first_row, chosen),
            // Of some of the rows some: their bits among those of the whole batch.
            Held::Selected(of) => {
                let mut chosen = chosen.iter();
                let kept = of.kept.iter().map(|kept| kept && chosen.next() == Some(true));
                (&of.source, of.first_row, kept.collect())
            }
        };
        Ok(Selected::new(batch.clone(), kept, self.names.clone(), self.origin, first_row))
    }

    fn views(&self) -> &Views {
        match &self.held {
            Held::Batch { views, .. } => views,
            Held::Selected(selected) => &selected.views,
        }
    }

    fn at(&self, index: usize) -> Result<&'a ArrayRef> {
        match &self.held {
            Held::Batch { batch, .. } => Ok(batch.column(index)),
            Held::Selected(selected) => selected.column(index),
        }
    }

    fn index(&self, name: &str) -> Result<usize> {
        self.names.0.by_name.get(name).copied().ok_or_else(|| Error::ColumnNotFound {
            column: name.to_owned(),
            available: self.names.0.available.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;

    use super::*;

    #[test]
    fn some_rows_keep_their_names_and_share_their_views() {
        let ten = crate::batch! {
            "x" => (0..10).map(|i| (i != 4).then_some(i)).collect::<arrow::array::Int64Array>(),
            "t" => (0..10).map(|i| Some(format!("t{i}"))).collect::<StringArray>(),
        }
        .unwrap();
        let rows = Rows::of(&ten, Names::of(ten.schema_ref()), "file", 100);
        // Null is not true.
        let even: BooleanArray = (0..10).map(|i| (i != 2).then_some(i % 2 == 0)).collect();
        let selected = rows.select(&even).unwrap();
        let even = selected.rows();
        assert_eq!((even.len(), even.origin(), even.is_empty()), (4, "file", false));
        let numbers =
            |rows: &Rows<'_>| (0..rows.len()).map(|i| rows.row_number(i)).collect::<Vec<_>>();
        assert_eq!(numbers(&even), [100, 104, 106, 108]);
        assert_eq!(even.row_id(1).to_string(), "file:104");
        assert_eq!(even.extent("x").unwrap().span, crate::Span::Int(Some((0, 8))));
        assert_eq!(even.extent("x").unwrap().nulls, 1);
        assert_eq!(even.categories("t").unwrap().label(3), Some("t8"));
        assert!(matches!(even.column("z"), Err(Error::ColumnNotFound { .. })));
        assert_eq!(even.batch().unwrap().num_rows(), 4);
        // Who looks again finds what was made.
        let again = selected.rows();
        assert!(std::ptr::eq(even.numbers("x").unwrap(), again.numbers("x").unwrap()));
        assert_eq!(*even.shared("k", || Ok(1)).unwrap(), 1);
        assert_eq!(*again.shared("k", || Ok(2)).unwrap(), 1);
        assert_eq!(*rows.shared("k", || Ok(3)).unwrap(), 3);
        // Some of some.
        let last = even.select(&BooleanArray::from(vec![false, false, true, true])).unwrap();
        assert_eq!(numbers(&last.rows()), [106, 108]);
        assert_eq!(last.rows().numbers("x").unwrap().values()[..], [6.0, 8.0]);
        let none = even.select(&BooleanArray::from(vec![false; 4])).unwrap();
        assert!(none.is_empty() && none.rows().batch().unwrap().num_rows() == 0);
        assert!(matches!(even.select(&BooleanArray::from(vec![true])), Err(Error::Length { .. })));
        // Without a column there are still rows.
        let bare = ten.project(&[]).unwrap();
        let bare = Rows::new(&bare).select(&BooleanArray::from(vec![true; 10])).unwrap();
        assert_eq!(bare.rows().batch().unwrap().num_rows(), 10);
    }
}
