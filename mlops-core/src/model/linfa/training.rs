//! What all training starts from: a matrix without holes, and labels.

use arrow::array::{Array, RecordBatch};
use ndarray::{Array1, Array2};

use crate::model::{Nulls, features};
use crate::{Error, Result, Rows};

/// The features as a finite matrix, shape `(n_rows, n_features)`.
pub(super) fn matrix<S: AsRef<str>>(batch: &RecordBatch, names: &[S]) -> Result<Array2<f64>> {
    if names.is_empty() {
        return Err(Error::invalid("features to train on", "at least one", "none"));
    }
    if batch.num_rows() == 0 {
        return Err(Error::invalid("rows to train on", "at least one", "none"));
    }
    let x = features(batch, names, Nulls::Refuse)?;
    for (name, column) in names.iter().zip(x.columns()) {
        finite(name.as_ref(), column.iter())?;
    }
    Ok(x)
}

fn finite<'a>(name: &str, mut numbers: impl Iterator<Item = &'a f64>) -> Result<()> {
    let mut found = 0.0;
    match numbers.position(|&x| {
        found = x;
        !x.is_finite()
    }) {
        None => Ok(()),
        Some(row) => Err(Error::Value {
            column: name.to_owned(),
            row: row as u64,
            expected: "a finite number to train on".into(),
            found: found.to_string(),
        }),
    }
}

/// The numbers to be predicted, finite.
pub(super) fn target(batch: &RecordBatch, name: &str) -> Result<Array1<f64>> {
    let y = features(batch, &[name], Nulls::Refuse)?.column(0).to_owned();
    finite(name, y.iter())?;
    Ok(y)
}

/// The label of each row as an index into the classes, which are sorted: as numbers where all are
/// numbers, else as text.
pub(super) struct Labels {
    pub(super) classes: Vec<String>,
    pub(super) codes: Array1<usize>,
}

/// At least two classes.
pub(super) fn labels(batch: &RecordBatch, name: &str) -> Result<Labels> {
    let rows = Rows::new(batch);
    let categories = rows.categories(name)?;
    let codes = categories.codes();
    if let Some(row) = (0..codes.len()).find(|&row| codes.is_null(row)) {
        return Err(Error::Value {
            column: name.to_owned(),
            row: row as u64,
            expected: "a label to train on".into(),
            found: "null".into(),
        });
    }
    // A dictionary may name labels that no row has.
    let mut has_rows = vec![false; categories.labels().len()];
    codes.values().iter().for_each(|&code| has_rows[code as usize] = true);
    let mut order: Vec<usize> = (0..has_rows.len()).filter(|&code| has_rows[code]).collect();
    let text = |code: usize| categories.labels().value(code);
    let numbers: Option<Vec<f64>> =
        (0..has_rows.len()).map(|code| text(code).parse().ok()).collect();
    order.sort_by(|&a, &b| match &numbers {
        Some(n) => n[a].total_cmp(&n[b]).then_with(|| text(a).cmp(text(b))),
        None => text(a).cmp(text(b)),
    });
    let classes: Vec<String> = order.iter().map(|&code| text(code).to_owned()).collect();
    if classes.len() < 2 {
        return Err(Error::invalid(
            format!("classes of the label `{name}`"),
            "at least two",
            if classes.is_empty() { "none".to_owned() } else { format!("only `{}`", classes[0]) },
        ));
    }
    let mut rank = vec![0; has_rows.len()];
    order.iter().enumerate().for_each(|(at, &code)| rank[code] = at);
    let codes = codes.values().iter().map(|&code| rank[code as usize]).collect();
    Ok(Labels { classes, codes })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array, StringArray};

    use super::*;
    use crate::batch;

    #[test]
    fn classes_are_sorted_as_what_they_are() {
        let rows = batch! {
            "n" => Int64Array::from(vec![10, 9, 10]),
            "t" => StringArray::from(vec!["b10", "b9", "a"]),
        }
        .unwrap();
        let n = labels(&rows, "n").unwrap();
        assert_eq!((n.classes, n.codes.to_vec()), (vec!["9".into(), "10".into()], vec![1, 0, 1]));
        assert_eq!(labels(&rows, "t").unwrap().classes, ["a", "b10", "b9"]);
    }

    #[test]
    fn what_cannot_be_trained_on_is_named() {
        let rows = batch! {
            "x" => Float64Array::from(vec![1.0, f64::NAN]),
            "one" => StringArray::from(vec!["a", "a"]),
            "hole" => StringArray::from(vec![Some("a"), None]),
        }
        .unwrap();
        let of = |e: Error| e.to_string();
        let error = of(matrix(&rows, &["x"]).unwrap_err());
        assert_eq!(error, "column `x`, row 1: expected a finite number to train on, found NaN");
        let error = of(labels(&rows, "one").err().unwrap());
        assert_eq!(error, "classes of the label `one`: expected at least two, found only `a`");
        let error = of(labels(&rows, "hole").err().unwrap());
        assert_eq!(error, "column `hole`, row 1: expected a label to train on, found null");
        assert!(matrix(&rows, &[] as &[&str]).is_err());
        assert!(matrix(&rows.slice(0, 0), &["x"]).is_err());
    }
}
