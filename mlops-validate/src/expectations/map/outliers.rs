//! Values lie near the others.

use std::sync::Arc;

use mlops_core::states::{NumericSummary, Quantiles, Summary};
use mlops_core::{Error, Measurements, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::place::Place;
use crate::row_test::{ColumnTest, RowTest};
use crate::value_test::{Numbers, ValueTest};
use crate::values::value_type;

/// Every value's z-score, `(x − mean) / sd`, is less than a threshold; two-sided, its size is less
/// than the threshold's.
///
/// Mean and sample standard deviation (divided by n − 1) are of the finite values. Where all are
/// equal every score is 0; of fewer than two values there is none, which is inconclusive. An
/// infinity is beyond any score, NaN fails. Nulls are left out.
///
/// It takes a second pass over the rows, which [`Suite::check`](crate::Suite::check) and a
/// quarantine make where a suite needs it; on a scan that several validators share the answer is
/// inconclusive. Great Expectations: `expect_column_value_z_scores_to_be_less_than`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ZScore {
    /// The column.
    pub column: String,
    /// What every score must be less than.
    pub threshold: f64,
    /// Whether values far below the mean fail, too; yes unless told.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub two_sided: bool,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_yes(b: &bool) -> bool {
    *b
}

/// Expects every value to lie less than so many standard deviations from the mean: [`ZScore`].
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::{MemorySource, batch};
/// use mlops_validate::{Suite, z_score};
/// let mut values: Vec<f64> = (0..20).map(|i| f64::from(i % 3)).collect();
/// values.push(40.0);
/// let data = MemorySource::from(batch! { "x" => Float64Array::from(values) }?);
/// let found = Suite::new("spikes").expect(z_score("x", 3.0)).check(&data)?;
/// assert_eq!(found.outcomes[0].finding.rows[0].row, 20);
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub fn z_score(column: impl Into<String>, threshold: f64) -> Expectation {
    ZScore { column: column.into(), threshold, two_sided: true }.into()
}

/// No value is an outlier: with method `iqr` (Tukey's fences) it lies within `multiplier` times the
/// distance of the quartiles from the nearer of them, the fence included; with `std` less than
/// `multiplier` standard deviations from the mean (of 0 it must be the mean).
///
/// Quartiles are those of [`Quantiles`] (type 7, as numpy's and pandas'; exact up to 65,536
/// distinct values, beyond that to a share of 1/128), all statistics of the finite values. An
/// infinity is an outlier, and so is NaN. Nulls are left out. Where there is no spread to measure,
/// as of one value with `std`, the answer is inconclusive.
///
/// It takes a second pass, as [`ZScore`] does. Great Expectations:
/// `expect_column_values_to_not_be_outliers`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NotOutliers {
    /// The column.
    pub column: String,
    /// How far is measured; by the quartiles unless told.
    #[serde(default)]
    pub method: OutlierMethod,
    /// How many times the spread is far; 1.5 unless told.
    #[serde(default = "one_and_a_half")]
    pub multiplier: f64,
}

fn one_and_a_half() -> f64 {
    1.5
}

/// What [`NotOutliers`] measures with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutlierMethod {
    /// The distance of the quartiles: Tukey's fences.
    #[default]
    Iqr,
    /// The standard deviation.
    Std,
}

/// Expects no value beyond so many times the spread, as `OutlierMethod::Iqr` and 1.5:
/// [`NotOutliers`].
pub fn not_outliers(
    column: impl Into<String>,
    method: OutlierMethod,
    multiplier: f64,
) -> Expectation {
    NotOutliers { column: column.into(), method, multiplier }.into()
}

/// A column of numbers, of which statistics can be made.
fn numbers(to: &Compiler<'_>, column: &str) -> Option<Place> {
    let place = Place::find(to.schema, column)?;
    (place.is_column() && value_type(&place.data_type).is_numeric()).then_some(place)
}

const WANTED: &str = "a column of numbers";

/// The test of the values of a column, with all that it depends on.
fn column_test(
    to: &Compiler<'_>,
    place: Place,
) -> impl Fn(serde_json::Value, Box<dyn ValueTest>) -> Arc<dyn RowTest> + Send + Sync + use<> {
    let (check, nulls) = (json!(to.of.check), to.of.nulls);
    move |statistics, test| {
        let data_type = place.data_type.to_string();
        let params = json!({"check": check, "type": data_type, "statistics": statistics});
        Arc::new(ColumnTest { place: place.clone(), nulls, params, test })
    }
}

/// Mean and standard deviation.
fn spread(found: &Summary) -> Result<(f64, f64)> {
    let (Some(mean), Some(std)) = (found.mean(), found.std()) else {
        let reason = format!("it takes two finite values, there are {}", found.n());
        return Err(Error::undefined("standard deviation", reason));
    };
    // All equal: sums may round, but nothing deviates.
    let equal = found.min == found.max;
    Ok(if equal { (found.min.unwrap_or(mean), 0.0) } else { (mean, std) })
}

impl Kind for ZScore {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn check_usable(&self) -> Result<()> {
        if self.threshold.is_finite() {
            return Ok(());
        }
        Err(Error::invalid("threshold", "a finite number", self.threshold))
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let Some(place) = numbers(to, &self.column) else {
            return to.wrong_type(&self.column, WANTED);
        };
        let make = column_test(to, place);
        let summary = to.add(NumericSummary::new(self.column.as_str()));
        let vacuous = move |m: &Measurements| {
            let found = m.get(&summary)?;
            Ok(found.nulls == found.rows)
        };
        let (threshold, two_sided) = (self.threshold, self.two_sided);
        let test = move |m: &Measurements| {
            let (mean, std) = spread(m.get(&summary)?)?;
            let passes = move |x: f64| {
                let z = if std == 0.0 && x == mean { 0.0 } else { (x - mean) / std };
                if two_sided { z.abs() < threshold.abs() } else { z < threshold }
            };
            Ok(make(json!([mean, std]), Box::new(Numbers(passes))))
        };
        let words = if two_sided {
            format!("z-scores between ±{}", threshold.abs())
        } else {
            format!("z-scores below {threshold}")
        };
        Ok(to.second_pass(words, vacuous, test))
    }
}

impl Kind for NotOutliers {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn check_usable(&self) -> Result<()> {
        if self.multiplier.is_finite() && self.multiplier >= 0.0 {
            return Ok(());
        }
        Err(Error::invalid("multiplier", "a finite number of at least 0", self.multiplier))
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let Some(place) = numbers(to, &self.column) else {
            return to.wrong_type(&self.column, WANTED);
        };
        let make = column_test(to, place);
        let summary = to.add(NumericSummary::new(self.column.as_str()));
        let vacuous = move |m: &Measurements| {
            let found = m.get(&summary)?;
            Ok(found.nulls == found.rows)
        };
        let multiplier = self.multiplier;
        if self.method == OutlierMethod::Std {
            let test = move |m: &Measurements| {
                let (mean, std) = spread(m.get(&summary)?)?;
                let far = multiplier * std;
                let passes = move |x: f64| x == mean || (x - mean).abs() < far;
                Ok(make(json!([mean, std]), Box::new(Numbers(passes))))
            };
            let words = format!("less than {multiplier} standard deviations from the mean");
            return Ok(to.second_pass(words, vacuous, test));
        }
        let quantiles = to.add(Quantiles::new(self.column.as_str()).with_cap(1 << 16));
        let test = move |m: &Measurements| {
            let table = m.get(&quantiles)?;
            let (Some(q1), Some(q3)) = (table.quantile(0.25), table.quantile(0.75)) else {
                return Err(Error::undefined("quartiles", "there is no finite value"));
            };
            let far = multiplier * (q3 - q1);
            let (low, high) = (q1 - far, q3 + far);
            let passes = move |x: f64| x.is_finite() && low <= x && x <= high;
            Ok(make(json!([low, high]), Box::new(Numbers(passes))))
        };
        let words = format!("within {multiplier} times the distance of the quartiles from them");
        Ok(to.second_pass(words, vacuous, test))
    }
}
