//! Labels of rows as positive, negative or missing.

use std::collections::BTreeSet;

use mlops_core::{Error, Result, Rows};

use crate::codes::{Codes, Keys, Positive, outcomes};

/// Whether each row's label is the positive one, `None` where it is missing; and the negative
/// label, where there is one.
///
/// Labels are compared as in [`GroupCounts`](crate::GroupCounts): a third one is an error.
pub(crate) fn labels(
    rows: &Rows<'_>,
    column: &str,
    positive: &str,
) -> Result<(Vec<Option<bool>>, Option<String>)> {
    let codes = Codes::of(rows, column)?;
    let data_type = rows.column(column)?.data_type();
    let names = outcomes(column, data_type, &codes.labels, Positive::Label(positive))?;
    let of_code: Vec<Option<bool>> =
        names.iter().map(|name| name.as_deref().map(|name| name == positive)).collect();
    let of = |code: usize| of_code.get(code).copied().flatten();
    let labels = match &codes.rows {
        Keys::Bytes(keys) => keys.iter().map(|&key| of(usize::from(key))).collect(),
        Keys::Words(keys) => keys.iter().map(|&key| of(key as usize)).collect(),
    };
    let negatives: BTreeSet<&str> = names
        .iter()
        .zip(codes.used())
        .filter(|(_, used)| *used)
        .filter_map(|(name, _)| name.as_deref().filter(|name| *name != positive))
        .collect();
    if negatives.len() > 1 {
        let found: Vec<_> = negatives.iter().take(2).map(|label| format!("`{label}`")).collect();
        return Err(Error::invalid(
            format!("labels in column `{column}`"),
            format!("two classes, `{positive}` and one other"),
            found.join(" and "),
        ));
    }
    Ok((labels, negatives.into_iter().next().map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use mlops_core::arrow::array::{BooleanArray, Float64Array, StringArray};
    use mlops_core::batch;

    use super::*;

    #[test]
    fn labels_of_any_type() {
        let rows = batch! {
            "text" => StringArray::from(vec![Some("yes"), None, Some("no"), Some("yes")]),
            "flag" => BooleanArray::from(vec![Some(true), None, Some(false), Some(true)]),
            "number" => Float64Array::from(vec![Some(1.0), Some(f64::NAN), Some(0.0), Some(1.0)]),
            "three" => StringArray::from(vec!["yes", "maybe", "no", "yes"]),
        }
        .unwrap();
        let view = Rows::new(&rows);
        let expected = vec![Some(true), None, Some(false), Some(true)];
        for (column, positive, negative) in
            [("text", "yes", "no"), ("flag", "true", "false"), ("number", "1", "0")]
        {
            let found = labels(&view, column, positive).unwrap();
            assert_eq!(found, (expected.clone(), Some(negative.to_owned())), "{column}");
        }
        let error = labels(&view, "three", "yes").unwrap_err().to_string();
        assert!(error.contains("maybe") && error.contains("no"), "{error}");
        assert!(labels(&view, "none", "yes").is_err());
    }
}
