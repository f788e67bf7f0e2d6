//! The group of each row of a batch, by the values of its sensitive features.

use std::collections::HashMap;

use mlops_core::{Result, Rows};

use crate::codes::{Codes, Keys};
use crate::cross_tab::{put_label, take_label};
use crate::{Group, Groups};

/// Each row's group, as an index into the groups of the batch.
#[derive(Debug)]
pub(crate) struct RowGroups {
    pub(crate) of_row: Vec<u32>,
    pub(crate) groups: Vec<Group>,
}

impl RowGroups {
    /// The groups by the values of these features.
    pub(crate) fn of(rows: &Rows<'_>, features: &[String]) -> Result<Self> {
        Self::by(rows, &Groups::by(features))
    }

    /// The groups by the sensitive features, whatever the controls.
    pub(crate) fn by(rows: &Rows<'_>, by: &Groups) -> Result<Self> {
        let columns = by.codes(rows)?;
        let mut of_row = vec![0_u32; rows.len()];
        let mut groups = vec![Group::default()];
        for codes in columns.iter().skip(by.control_features.len()) {
            let (rows, next) = cross(&of_row, &groups, codes);
            (of_row, groups) = (rows, next);
        }
        Ok(Self { of_row, groups })
    }
}

/// The bytes of a group, whose number of features is known.
pub(crate) fn put_group(out: &mut Vec<u8>, group: &Group) {
    group.values.iter().for_each(|value| put_label(out, value.as_deref()));
}

/// A group of so many features.
pub(crate) fn take_group(bytes: &mut &[u8], features: usize) -> Result<Group> {
    let values = (0..features).map(|_| take_label(bytes));
    Ok(Group { values: values.collect::<Result<_>>()? })
}

/// Groups and a column's values as groups of both.
fn cross(of_row: &[u32], groups: &[Group], codes: &Codes) -> (Vec<u32>, Vec<Group>) {
    let mut seen: HashMap<(u32, u32), u32> = HashMap::new();
    let mut next: Vec<Group> = Vec::new();
    let mut place = |group: u32, code: u32| {
        *seen.entry((group, code)).or_insert_with(|| {
            let mut values = groups[group as usize].values.clone();
            values.push(codes.labels[code as usize].as_ref().map(ToString::to_string));
            next.push(Group { values });
            next.len() as u32 - 1
        })
    };
    let rows = match &codes.rows {
        Keys::Bytes(keys) => {
            of_row.iter().zip(keys).map(|(&g, &key)| place(g, u32::from(key))).collect()
        }
        Keys::Words(keys) => of_row.iter().zip(keys).map(|(&g, &key)| place(g, key)).collect(),
    };
    (rows, next)
}

#[cfg(test)]
mod tests {
    use mlops_core::arrow::array::{Float64Array, StringArray};
    use mlops_core::batch;

    use super::*;

    #[test]
    fn null_is_a_value_and_one_is_one() {
        let rows = batch! {
            "sex" => StringArray::from(vec![Some("F"), None, Some("F"), Some("M")]),
            "kind" => Float64Array::from(vec![Some(1.0), Some(1.0), Some(1.0), None]),
        }
        .unwrap();
        let groups = RowGroups::of(&Rows::new(&rows), &["sex".into(), "kind".into()]).unwrap();
        let names: Vec<_> =
            (0..4).map(|row| groups.groups[groups.of_row[row] as usize].to_string()).collect();
        assert_eq!(names, ["F, 1", "(null), 1", "F, 1", "M, (null)"]);
        let everyone = RowGroups::of(&Rows::new(&rows), &[]).unwrap();
        assert_eq!(everyone.groups[0].to_string(), "everyone");
        let none = RowGroups::of(&Rows::new(&rows.slice(0, 0)), &["sex".into()]).unwrap();
        assert!(none.groups.is_empty());
        assert!(RowGroups::of(&Rows::new(&rows), &["age".into()]).is_err());
    }
}
