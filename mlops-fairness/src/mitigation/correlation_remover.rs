//! Features without what can be told of them, linearly, from sensitive columns.

use std::collections::BTreeMap;
use std::fmt;

use arrow::array::{Float64Array, RecordBatch};
use arrow::datatypes::DataType;
use mlops_core::states::{CategoryCounts, NumericSummary};
use mlops_core::{DataSource, Error, Plan, Result, Rows, Scan, is_numeric};
use serde::{Deserialize, Serialize};

use super::cross_products::CrossProducts;
use super::encoding::Encoded;
use super::replaced::replaced;

/// Takes out of features what is correlated with sensitive columns: X − (S − mean S)·β, where β
/// regresses the features on all sensitive columns together.
///
/// After it, no feature is correlated with any sensitive column on the rows of the fit. A sensitive
/// column of text or booleans is as many columns of zeros and ones as it has values, less one; a
/// value that the fit did not see is like the first. `alpha` keeps a share 1 − α of each feature.
/// fairlearn: `CorrelationRemover`.
///
/// Two passes: means, and products around them. Rows with a null or a number that is not finite
/// are left out of the fit, and counted; [`apply`](Self::apply) gives null for them.
///
/// ```
/// use mlops_core::arrow::array::{AsArray, Float64Array, StringArray};
/// use mlops_core::arrow::datatypes::Float64Type;
/// use mlops_core::{MemorySource, batch, column};
/// use mlops_fairness::mitigation::CorrelationRemover;
///
/// let rows = batch! {
///     "sex" => StringArray::from(vec!["F", "F", "M", "M"]),
///     "height" => Float64Array::from(vec![160.0, 170.0, 175.0, 185.0]),
/// }?;
/// let remover = CorrelationRemover::fit(&MemorySource::from(rows.clone()), ["sex"], ["height"])?;
/// let fair = remover.apply(&rows)?;
/// // Both means are that of everyone now, and `sex` is gone.
/// let heights = column(&fair, "height")?.as_primitive::<Float64Type>();
/// assert_eq!(heights.values(), &[167.5, 177.5, 167.5, 177.5]);
/// assert_eq!(fair.num_columns(), 1);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CorrelationRemover {
    /// The sensitive columns, as numbers.
    pub sensitive: Vec<Encoded>,
    /// The features that are changed.
    pub features: Vec<String>,
    /// The coefficients, shape `(n_sensitive, n_features)`.
    pub beta: Vec<Vec<f64>>,
    /// How much of the correlation goes, in \[0, 1\].
    pub alpha: f64,
    /// The rows of the fit.
    pub rows: u64,
    /// Rows that were left out of it.
    pub left_out: u64,
}

impl CorrelationRemover {
    /// Fits on a source.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`], [`Error::ColumnType`] for features that are no numbers;
    /// [`Error::Invalid`] without sensitive columns or features, for a column that is both, and for
    /// a column of more than 1,000 categories; [`Error::Undefined`] without two whole rows.
    pub fn fit<S: Into<String>, F: Into<String>>(
        source: &dyn DataSource,
        sensitive: impl IntoIterator<Item = S>,
        features: impl IntoIterator<Item = F>,
    ) -> Result<Self> {
        const CATEGORIES: usize = 1000;
        let sensitive: Vec<String> = sensitive.into_iter().map(Into::into).collect();
        let features: Vec<String> = features.into_iter().map(Into::into).collect();
        if sensitive.is_empty() || features.is_empty() {
            let found = format!("{} and {}", sensitive.len(), features.len());
            return Err(Error::invalid(
                "sensitive columns and features",
                "at least one each",
                found,
            ));
        }
        if let Some(both) = features.iter().find(|feature| sensitive.contains(feature)) {
            let what = format!("column `{both}`");
            return Err(Error::invalid(what, "a sensitive column or a feature", "both"));
        }
        // First the means, and what categories there are.
        let schema = source.schema();
        let mut plan = Plan::new();
        let mut columns = Vec::new();
        for name in sensitive.iter().chain(&features) {
            let field = schema.field_with_name(name).map_err(|_| Error::ColumnNotFound {
                column: name.clone(),
                available: schema.fields().iter().map(|f| f.name().clone()).collect(),
            })?;
            let number = is_numeric(field.data_type()) && *field.data_type() != DataType::Boolean;
            columns.push(if number || features.contains(name) {
                Err(plan.add(NumericSummary::new(name)))
            } else {
                Ok(plan.add(CategoryCounts::new(name).with_cap(CATEGORIES)?))
            });
        }
        let measured = Scan::new(source).run(&plan)?;
        let mut encoded = Vec::new();
        for (name, column) in sensitive.iter().chain(&features).zip(&columns) {
            match column {
                Err(handle) => {
                    let summary = measured.get(handle)?;
                    let centre = summary.moments.mean().unwrap_or(0.0);
                    encoded.push(Encoded { column: name.clone(), category: None, centre });
                }
                Ok(handle) => {
                    let table = measured.get(handle)?;
                    if !table.is_complete() {
                        let what = format!("categories of column `{name}`");
                        return Err(Error::invalid(what, format!("at most {CATEGORIES}"), "more"));
                    }
                    let mut found = table.by_count();
                    found.sort_unstable();
                    let n = table.n().max(1) as f64;
                    for (category, rows) in found.into_iter().skip(1) {
                        encoded.push(Encoded {
                            column: name.clone(),
                            category: Some(category.to_owned()),
                            centre: rows as f64 / n,
                        });
                    }
                }
            }
        }
        let features_encoded = encoded.split_off(encoded.len() - features.len());
        let mut cross = CrossProducts { sensitive: encoded, features: features_encoded };
        let found = Scan::new(source).run(&cross)?;
        if found.rows < 2 {
            let reason = format!("there are {} whole rows", found.rows);
            return Err(Error::undefined("a correlation remover", reason));
        }
        let scale: Vec<f64> =
            cross.sensitive.iter().map(|c| found.rows as f64 * c.centre * c.centre).collect();
        let beta = regress(&found.products, &scale);
        for (column, off) in cross.sensitive.iter_mut().zip(&found.means) {
            column.centre += off;
        }
        Ok(Self {
            sensitive: cross.sensitive,
            features,
            beta,
            alpha: 1.0,
            rows: found.rows,
            left_out: found.left_out,
        })
    }

    /// The same, taking out this share of the correlation.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a share outside \[0, 1\].
    pub fn alpha(mut self, alpha: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&alpha) {
            return Err(Error::invalid("alpha", "a number in [0, 1]", alpha));
        }
        self.alpha = alpha;
        Ok(self)
    }

    /// The rows with the features changed, as `f64`, and without the sensitive columns.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`] and [`Error::ColumnType`].
    pub fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = Rows::new(batch);
        let sensitive: Vec<Vec<f64>> =
            self.sensitive.iter().map(|column| column.centred(&rows)).collect::<Result<_>>()?;
        let changed: BTreeMap<&str, Float64Array> = self
            .features
            .iter()
            .enumerate()
            .map(|(at, feature)| {
                let values = rows.numbers(feature)?.iter().enumerate().map(|(row, x)| {
                    let x = x?;
                    let explained: f64 =
                        sensitive.iter().zip(&self.beta).map(|(s, b)| s[row] * b[at]).sum();
                    let left = x - self.alpha * explained;
                    left.is_finite().then_some(left)
                });
                Ok((feature.as_str(), values.collect()))
            })
            .collect::<Result<_>>()?;
        let is_sensitive = |name: &str| self.sensitive.iter().any(|s| s.column == name);
        replaced(batch, is_sensitive, &changed)
    }
}

/// Coefficients of the features on the sensitive columns from covariances `(p, p + q)`. A sensitive
/// column that the others tell is left out: what remains of the features is the same.
fn regress(products: &[Vec<f64>], scale: &[f64]) -> Vec<Vec<f64>> {
    let p = scale.len();
    let mut table: Vec<Vec<f64>> = products.to_vec();
    let width = table.first().map_or(0, Vec::len);
    let mut used = vec![false; p];
    // Gauss and Jordan, each time by the column of which the largest share is still unexplained.
    for _ in 0..p {
        let unexplained = |i: usize| table[i][i] / products[i][i];
        let next = (0..p)
            // What rounding leaves of a constant is no variance.
            .filter(|&i| !used[i] && products[i][i] > 1e-22 * scale[i] && unexplained(i) > 1e-10)
            .max_by(|&a, &b| unexplained(a).total_cmp(&unexplained(b)));
        let Some(at) = next else { break };
        used[at] = true;
        let by = table[at][at];
        for x in &mut table[at] {
            *x /= by;
        }
        let row = table[at].clone();
        for (i, other) in table.iter_mut().enumerate() {
            let times = other[at];
            if i != at && times != 0.0 {
                for (x, y) in other.iter_mut().zip(&row) {
                    *x -= times * y;
                }
            }
        }
    }
    let of = |i: usize| {
        if used[i] { table[i][p..].to_vec() } else { vec![0.0; width - p] }
    };
    (0..p).map(of).collect()
}

impl fmt::Display for CorrelationRemover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut columns: Vec<&str> = self.sensitive.iter().map(|s| s.column.as_str()).collect();
        columns.dedup();
        write!(
            f,
            "{} without what {} tells of {} ({} rows, {} left out)",
            self.features.join(", "),
            columns.join(", "),
            if self.features.len() == 1 { "it" } else { "them" },
            self.rows,
            self.left_out
        )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mlops_core::arrow::array::{Array, AsArray, BooleanArray, StringArray};
    use mlops_core::arrow::datatypes::Float64Type;
    use mlops_core::stats::Draws;
    use mlops_core::{MemorySource, batch, column, conformance};

    use super::*;

    fn people(n: usize) -> RecordBatch {
        let mut draws = Draws::new(2, 0, 0);
        let (mut sex, mut old, mut age, mut x, mut y) = (vec![], vec![], vec![], vec![], vec![]);
        for _ in 0..n {
            let (s, years) = (draws.below(3) as usize, 1000.0 + 20.0 * draws.uniform());
            sex.push(["F", "M", "X"][s]);
            old.push(years > 1010.0);
            age.push(years);
            x.push(s as f64 * 3.0 + years + draws.normal());
            y.push(draws.normal() - years);
        }
        batch! {
            "sex" => StringArray::from(sex), "old" => BooleanArray::from(old),
            "age" => Float64Array::from(age), "x" => Float64Array::from(x),
            "y" => Float64Array::from(y),
        }
        .unwrap()
    }

    fn correlation(a: &[f64], b: &[f64]) -> f64 {
        let n = a.len() as f64;
        let (ma, mb) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
        let dot = |x: &[f64], mx: f64, y: &[f64], my: f64| -> f64 {
            x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum()
        };
        dot(a, ma, b, mb) / (dot(a, ma, a, ma) * dot(b, mb, b, mb)).sqrt()
    }

    #[test]
    fn no_feature_is_correlated_with_any_sensitive_column() {
        let rows = people(500);
        let source = MemorySource::from(rows.clone());
        let fitted = CorrelationRemover::fit(&source, ["sex", "age"], ["x", "y"]).unwrap();
        assert_eq!((fitted.sensitive.len(), fitted.rows), (3, 500));
        let fair = fitted.apply(&rows).unwrap();
        let numbers = |batch: &RecordBatch, name: &str| -> Vec<f64> {
            column(batch, name).unwrap().as_primitive::<Float64Type>().values().to_vec()
        };
        let age = numbers(&rows, "age");
        let men: Vec<f64> = column(&rows, "sex")
            .unwrap()
            .as_string::<i32>()
            .iter()
            .map(|s| f64::from(u8::from(s == Some("M"))))
            .collect();
        for feature in ["x", "y"] {
            for sensitive in [&age, &men] {
                assert!(correlation(&numbers(&rows, feature), sensitive).abs() > 0.01);
                let left = correlation(&numbers(&fair, feature), sensitive);
                assert!(left.abs() < 1e-9, "{feature}: {left}");
            }
        }
        let half = fitted.clone().alpha(0.0).unwrap().apply(&rows).unwrap();
        assert_eq!(numbers(&half, "x"), numbers(&rows, "x"));
        assert!(fitted.clone().alpha(f64::NAN).is_err());
        let text = serde_json::to_string(&fitted).unwrap();
        assert_eq!(serde_json::from_str::<CorrelationRemover>(&text).unwrap(), fitted);
    }

    #[test]
    fn a_column_that_the_others_tell_changes_nothing() {
        let rows = people(200);
        let twice =
            mlops_core::with_column(&rows, "again", column(&rows, "age").unwrap().clone()).unwrap();
        let constant = Float64Array::from(vec![4.0; 200]);
        let twice = mlops_core::with_column(&twice, "same", Arc::new(constant)).unwrap();
        let of = |sensitive: &[&str]| {
            let source = MemorySource::from(twice.clone());
            let fitted =
                CorrelationRemover::fit(&source, sensitive.iter().copied(), ["x"]).unwrap();
            let fair = fitted.apply(&twice).unwrap();
            column(&fair, "x").unwrap().as_primitive::<Float64Type>().values().to_vec()
        };
        let (one, both) = (of(&["age"]), of(&["age", "again", "same"]));
        assert!(one.iter().zip(&both).all(|(a, b)| (a - b).abs() < 1e-9));
    }

    #[test]
    fn its_sums_keep_the_contract() {
        let rows = batch! {
            "s" => Float64Array::from(vec![Some(1.0), None, Some(f64::NAN), Some(1e9), Some(-0.0), Some(3.0)]),
            "g" => StringArray::from(vec![Some("a"), Some("b"), None, Some("b"), Some("a"), Some("b")]),
            "x" => Float64Array::from(vec![1.0, 2.0, 3.0, f64::INFINITY, 1e-300, 7.0]),
        }
        .unwrap();
        let column = |column: &str, category: Option<&str>, centre| Encoded {
            column: column.into(),
            category: category.map(Into::into),
            centre,
        };
        let cross = CrossProducts {
            sensitive: vec![column("s", None, 0.5), column("g", Some("b"), 0.5)],
            features: vec![column("x", None, 2.0)],
        };
        conformance::analyzer(&cross, &rows);
        let source = MemorySource::from(rows.clone());
        let fitted = CorrelationRemover::fit(&source, ["s", "g"], ["x"]).unwrap();
        assert_eq!((fitted.rows, fitted.left_out), (3, 3));
        let fair = fitted.apply(&rows).unwrap();
        let nulls: Vec<bool> = (0..6).map(|row| fair.column(0).is_null(row)).collect();
        assert_eq!(nulls, [false, true, true, true, false, false]);
        assert!(CorrelationRemover::fit(&source, ["s"], ["g"]).is_err());
        assert!(CorrelationRemover::fit(&source, ["s"], ["s"]).is_err());
        assert!(CorrelationRemover::fit(&source, ["t"], ["x"]).is_err());
        let one = MemorySource::from(rows.slice(0, 1));
        assert!(matches!(
            CorrelationRemover::fit(&one, ["s"], ["x"]),
            Err(Error::Undefined { .. })
        ));
    }
}
