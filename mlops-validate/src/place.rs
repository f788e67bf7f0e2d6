//! Where the values of a column expectation stand: a column, a field of a struct, items of a list.

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, make_array};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{DataType, Field, Schema};
use mlops_core::{Error, Result};

use crate::row_test::{NullPolicy, Tested};
use crate::value_test::unsupported;
use crate::values::present;

/// A column, or what stands within it: `address.city` is a field of a struct, `tags[]` are the
/// items of a list, `orders[].lines[].price` both. A column of just that name goes first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    /// The column's index in the schema.
    pub(crate) index: usize,
    /// The column's name.
    pub(crate) column: String,
    /// The type of the values there.
    pub(crate) data_type: DataType,
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The field of a struct.
    Field(usize),
    /// All items of a list.
    Items,
}

impl Place {
    /// The deepest path that is followed.
    const DEEPEST: usize = 16;

    /// What the name means in this schema, if anything.
    pub(crate) fn find(schema: &Schema, name: &str) -> Option<Self> {
        if let Some((index, field)) = schema.column_with_name(name) {
            return Some(Self::of(index, field));
        }
        // The longest column name goes first: names may hold dots.
        let ends = name.char_indices().filter(|(_, c)| matches!(c, '.' | '['));
        let mut ends: Vec<_> = ends.map(|(at, _)| at).collect();
        ends.reverse();
        ends.into_iter().find_map(|end| {
            let (index, field) = schema.column_with_name(&name[..end])?;
            Self::of(index, field).follow(&name[end..])
        })
    }

    fn of(index: usize, field: &Field) -> Self {
        Self {
            index,
            column: field.name().clone(),
            data_type: field.data_type().clone(),
            steps: Vec::new(),
        }
    }

    fn follow(mut self, rest: &str) -> Option<Self> {
        if rest.is_empty() {
            return Some(self);
        }
        if self.steps.len() >= Self::DEEPEST {
            return None;
        }
        if let Some(rest) = rest.strip_prefix("[]") {
            let item = item_of(&self.data_type)?;
            self.data_type = item.data_type().clone();
            self.steps.push(Step::Items);
            return self.follow(rest);
        }
        let rest = rest.strip_prefix('.')?;
        let DataType::Struct(fields) = self.data_type.clone() else { return None };
        fields.iter().enumerate().find_map(|(at, field)| {
            let rest = rest.strip_prefix(field.name().as_str())?;
            let mut next = self.clone();
            next.data_type = field.data_type().clone();
            next.steps.push(Step::Field(at));
            next.follow(rest)
        })
    }

    /// Whether it is a column, and not something within one.
    pub(crate) fn is_column(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether it stands in lists, so that a row may hold many values.
    pub(crate) fn has_items(&self) -> bool {
        self.steps.contains(&Step::Items)
    }

    /// What a failing row is shown with: the value, or the list that holds it.
    pub(crate) fn shown(&self, column: &ArrayRef) -> Result<ArrayRef> {
        let mut array = column.clone();
        for step in &self.steps {
            match step {
                Step::Field(at) => array = field_of(&array, *at)?,
                Step::Items => break,
            }
        }
        Ok(array)
    }

    /// Asks every row. `passes` tells it of the values, where what it says of a null means
    /// nothing. A row with a list fails where an item does.
    pub(crate) fn test(
        &self,
        column: &ArrayRef,
        nulls: NullPolicy,
        passes: &dyn Fn(&ArrayRef) -> Result<BooleanBuffer>,
    ) -> Result<Tested> {
        test(column, &self.steps, nulls, passes)
    }
}

fn test(
    array: &ArrayRef,
    steps: &[Step],
    nulls: NullPolicy,
    passes: &dyn Fn(&ArrayRef) -> Result<BooleanBuffer>,
) -> Result<Tested> {
    let (failing, present) = match steps {
        [] => (Some(!&passes(array)?), present(array)),
        [Step::Field(at), rest @ ..] => {
            return test(&field_of(array, *at)?, rest, nulls, passes);
        }
        [Step::Items, rest @ ..] => {
            let (items, ends) = items_of(array)?;
            let failing = test(&items, rest, nulls, passes)?.failing;
            let failing = failing.map(|items| {
                BooleanBuffer::collect_bool(array.len(), |row| {
                    let (start, end) = ends(row);
                    (start..end).any(|item| items.value(item))
                })
            });
            (failing, present(array))
        }
    };
    Ok(Tested::of_values(failing, present, nulls))
}

fn item_of(data_type: &DataType) -> Option<&Field> {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            Some(item)
        }
        _ => None,
    }
}

/// Whether the type is a list whose items can be reached.
pub(crate) fn is_list(data_type: &DataType) -> bool {
    item_of(data_type).is_some()
}

/// The field of a struct, without a value where the struct has none.
fn field_of(array: &ArrayRef, at: usize) -> Result<ArrayRef> {
    let Some(array) = array.as_struct_opt() else { return unsupported(array) };
    let Some(field) = array.columns().get(at) else {
        return Err(Error::invalid("struct", "the fields that the schema says", at));
    };
    match array.nulls() {
        Some(nulls) if nulls.null_count() > 0 && *field.data_type() != DataType::Null => {
            let nulls = NullBuffer::union(Some(nulls), field.nulls());
            Ok(make_array(field.to_data().into_builder().nulls(nulls).build()?))
        }
        _ => Ok(field.clone()),
    }
}

/// From where to where the items of a row stand.
type Ends<'a> = Box<dyn Fn(usize) -> (usize, usize) + 'a>;

/// All items, and where those of a row stand among them.
pub(crate) fn items_of(array: &ArrayRef) -> Result<(ArrayRef, Ends<'_>)> {
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let ends = list.value_offsets();
            Ok((
                list.values().clone(),
                Box::new(move |row| (ends[row] as usize, ends[row + 1] as usize)),
            ))
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let ends = list.value_offsets();
            Ok((
                list.values().clone(),
                Box::new(move |row| (ends[row] as usize, ends[row + 1] as usize)),
            ))
        }
        DataType::FixedSizeList(_, _) => {
            let list: &FixedSizeListArray = array.as_fixed_size_list();
            let n = usize::try_from(list.value_length()).unwrap_or(0);
            Ok((list.values().clone(), Box::new(move |row| (row * n, (row + 1) * n))))
        }
        _ => unsupported(array),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn names_are_columns_first_and_paths_then() {
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let lines = Field::new_list(
            "lines",
            Field::new_list_field(DataType::Struct(vec![text("a.b")].into()), true),
            true,
        );
        let schema = Schema::new(vec![
            text("x.y"),
            Field::new_struct("x", vec![text("y"), text("z"), lines], true),
            Field::new_list("tags", Arc::new(Field::new_list_field(DataType::Utf8, true)), true),
        ]);
        let found = |name| Place::find(&schema, name).map(|p| (p.index, p.data_type, p.steps));
        assert_eq!(found("x.y"), Some((0, DataType::Utf8, vec![])));
        assert_eq!(found("x.z"), Some((1, DataType::Utf8, vec![Step::Field(1)])));
        assert_eq!(found("tags[]"), Some((2, DataType::Utf8, vec![Step::Items])));
        let deep = vec![Step::Field(2), Step::Items, Step::Field(0)];
        assert_eq!(found("x.lines[].a.b"), Some((1, DataType::Utf8, deep)));
        for nothing in ["y", "x.", "x.zz", "x[]", "tags.a", "tags[][]", "", ".", "[]", "x.é"] {
            assert_eq!(found(nothing), None, "{nothing}");
        }
    }
}
