//! A feature that alone knows the label.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Schema};
use mlops_core::stats::{Draws, roc_auc_delong};
use mlops_core::{
    Assessment, Categories, DataSource, DataSourceExt, Error, Finding, Result, Verdict, is_numeric,
    is_text, to_numbers,
};
use serde::{Deserialize, Serialize};

use super::labels;
use super::metric::check_confidence;

/// How a check for leaks is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LeakageOptions {
    /// A feature leaks if its ROC AUC alone is at least this, at its lower limit.
    pub threshold: f64,
    /// The confidence of the limits, two-sided.
    pub confidence: f64,
    /// Columns that are not looked at.
    pub except: Vec<String>,
    /// The seed of the folds in which categories are coded.
    pub seed: u64,
}

impl Default for LeakageOptions {
    fn default() -> Self {
        Self { threshold: 0.95, confidence: 0.95, except: Vec::new(), seed: 0 }
    }
}

impl LeakageOptions {
    /// The same, not looking at these columns.
    #[must_use]
    pub fn except<T: Into<String>>(mut self, columns: impl IntoIterator<Item = T>) -> Self {
        self.except.extend(columns.into_iter().map(Into::into));
        self
    }

    /// The same, with this threshold.
    #[must_use]
    pub fn threshold(mut self, auc: f64) -> Self {
        self.threshold = auc;
        self
    }
}

/// Names that are to be left out must be there: a slip would leave nothing out.
pub(crate) fn known_columns(names: &[String], schema: &Schema) -> Result<()> {
    match names.iter().find(|name| schema.index_of(name).is_err()) {
        None => Ok(()),
        Some(column) => Err(Error::ColumnNotFound {
            column: column.clone(),
            available: schema.fields().iter().map(|f| f.name().clone()).collect(),
        }),
    }
}

/// For every column, how well it knows the label all by itself: the area under the ROC curve.
///
/// A number is scored as it is, in whichever direction tells more. A category is scored by the
/// share of positives that it has in the *other* four of five folds, drawn toward the share of
/// all, so that a column of names that stand once knows nothing; a missing value is a category. Of
/// a number, rows without one are left out, and being missing is judged as a feature of its own.
/// A column fails where the lower confidence limit (`DeLong`) reaches the threshold, passes where
/// the upper one stays below, and is inconclusive otherwise. The findings begin with the column
/// that knows most.
///
/// Holds the source in memory. Rows without a label are left out.
///
/// ```
/// use mlops_core::arrow::array::{Int64Array, StringArray};
/// use mlops_core::{MemorySource, batch};
/// use mlops_validate::{LeakageOptions, leakage};
///
/// let data = MemorySource::from(batch! {
///     "label" => Int64Array::from_iter_values((0..400).map(|i| i % 2)),
///     "outcome" => Int64Array::from_iter_values((0..400).map(|i| -(i % 2))),
///     "name" => StringArray::from_iter_values((0..400).map(|i| format!("n{i}"))),
/// }?);
/// let found = leakage(&data, "label", "1", &LeakageOptions::default())?;
/// let leaks: Vec<_> = found.failures().map(|f| f.subject.as_str()).collect();
/// assert_eq!(leaks, ["outcome"]);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::ColumnNotFound`] for the label or an exception; [`Error::Undefined`] if the label has not both a
/// positive and a negative row; [`Error::Invalid`] for options out of range; those of the source.
pub fn leakage(
    source: &dyn DataSource,
    label: &str,
    positive: &str,
    options: &LeakageOptions,
) -> Result<Assessment> {
    if !(0.5..1.0).contains(&options.threshold) {
        return Err(Error::invalid("the threshold", "a number in [0.5, 1)", options.threshold));
    }
    check_confidence(options.confidence)?;
    let batch = source.collect()?;
    let column = mlops_core::column(&batch, label)?;
    known_columns(&options.except, batch.schema_ref())?;
    let truth = labels::labels(label, column, positive)?;
    for (wanted, words) in [(true, "positive"), (false, "negative")] {
        if !truth.contains(&Some(wanted)) {
            let reason = format!("no row is {words} (the positive label is `{positive}`)");
            return Err(Error::undefined("a leak", reason));
        }
    }
    let folds = folds(truth.len(), options.seed);
    let mut findings = Vec::new();
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let name = field.name();
        if name == label || options.except.contains(name) {
            continue;
        }
        match kind(field.data_type()) {
            Some(Kind::Number) => {
                findings.push(numbers(name, column, &truth, options)?);
                if column.null_count() > 0 && column.null_count() < column.len() {
                    let scores =
                        (0..column.len()).map(|row| Some(f64::from(u8::from(column.is_null(row)))));
                    let subject = format!("{name} (missing)");
                    findings.push(judge(&subject, scores.collect(), &truth, true, options)?);
                }
            }
            Some(Kind::Category) => {
                let scores = coded(name, column, &truth, &folds)?;
                findings.push(judge(name, scores, &truth, false, options)?);
            }
            None => {
                let found = format!("a column of type {}", field.data_type());
                let expected = "a column of numbers, text or booleans";
                let finding = Finding::new("leakage", name, Verdict::Inconclusive, expected, found);
                findings.push(finding.with_severity(mlops_core::Severity::Info));
            }
        }
    }
    findings.sort_by(|a, b| {
        let auc = |f: &Finding| f.value.unwrap_or(0.0);
        auc(b).total_cmp(&auc(a)).then_with(|| a.subject.cmp(&b.subject))
    });
    Ok(Assessment::new("leakage", batch.num_rows() as u64, findings))
}

/// How a column is scored.
enum Kind {
    Number,
    Category,
}

/// Text, booleans and dictionaries are categories; `None` for what is neither.
fn kind(data_type: &DataType) -> Option<Kind> {
    match data_type {
        DataType::Interval(_) => None,
        DataType::Boolean => Some(Kind::Category),
        DataType::Dictionary(_, value) => kind(value).map(|_| Kind::Category),
        other if is_text(other) => Some(Kind::Category),
        other if is_numeric(other) => Some(Kind::Number),
        _ => None,
    }
}

fn numbers(
    name: &str,
    column: &ArrayRef,
    truth: &[Option<bool>],
    options: &LeakageOptions,
) -> Result<Finding> {
    let values = to_numbers(name, column)?;
    let scores = values.iter().map(|v| v.filter(|v| !v.is_nan())).collect();
    judge(name, scores, truth, true, options)
}

/// One of five folds for each row.
fn folds(rows: usize, seed: u64) -> Vec<u8> {
    let mut folds: Vec<u8> = (0..rows).map(|row| (row % 5) as u8).collect();
    Draws::new(seed, 0, 0).shuffle(&mut folds);
    folds
}

/// The share of positives that each row's category has in the other folds.
fn coded(
    name: &str,
    column: &ArrayRef,
    truth: &[Option<bool>],
    folds: &[u8],
) -> Result<Vec<Option<f64>>> {
    /// As many rows of the average as a category is drawn toward it.
    const PRIOR: f64 = 10.0;
    let categories = Categories::of(name, column)?;
    let missing = categories.labels().len();
    let code = |row: usize| {
        let valid = categories.codes().is_valid(row);
        if valid { categories.codes().value(row) as usize } else { missing }
    };
    // (positives, rows) of each category in each fold.
    let mut counts = vec![[(0_u64, 0_u64); 5]; missing + 1];
    let mut all = (0_u64, 0_u64);
    for (row, label) in truth.iter().enumerate() {
        if let Some(label) = label {
            let cell = &mut counts[code(row)][usize::from(folds[row])];
            *cell = (cell.0 + u64::from(*label), cell.1 + 1);
            all = (all.0 + u64::from(*label), all.1 + 1);
        }
    }
    let average = all.0 as f64 / all.1 as f64;
    let rate = |row: usize| {
        let cells = &counts[code(row)];
        let own = cells[usize::from(folds[row])];
        let whole = cells.iter().fold((0, 0), |sum, cell| (sum.0 + cell.0, sum.1 + cell.1));
        let (positives, rows) = (whole.0 - own.0, whole.1 - own.1);
        (positives as f64 + PRIOR * average) / (rows as f64 + PRIOR)
    };
    Ok((0..truth.len()).map(|row| Some(rate(row))).collect())
}

fn judge(
    name: &str,
    scores: Vec<Option<f64>>,
    truth: &[Option<bool>],
    either_direction: bool,
    options: &LeakageOptions,
) -> Result<Finding> {
    let (known, scores): (Vec<bool>, Vec<f64>) = std::iter::zip(truth, scores)
        .filter_map(|(label, score)| Some(((*label)?, score?)))
        .unzip();
    let expected = format!("a ROC AUC alone below {}", options.threshold);
    let finding = |verdict, observed: String| {
        Finding::new("leakage", name, verdict, expected.clone(), observed)
    };
    let constant = scores.windows(2).all(|pair| pair[0] == pair[1]);
    if constant {
        return Ok(finding(Verdict::Pass, "one value or none: it tells nothing".into()));
    }
    let found = match roc_auc_delong(&known, &scores) {
        Ok(found) => found,
        Err(Error::Undefined { reason, .. }) => {
            return Ok(finding(Verdict::Inconclusive, format!("undefined: {reason}")));
        }
        Err(error) => return Err(error),
    };
    let flip = either_direction && found.auc < 0.5;
    let auc = if flip { 1.0 - found.auc } else { found.auc };
    let limits = found.limits(options.confidence)?;
    let (low, high) = match limits {
        i if flip => (1.0 - i.high, 1.0 - i.low),
        i => (i.low, i.high),
    };
    let verdict = match () {
        () if low >= options.threshold => Verdict::Fail,
        () if high < options.threshold => Verdict::Pass,
        () => Verdict::Inconclusive,
    };
    let observed = format!("ROC AUC {auc:.4}, limits [{low:.4}, {high:.4}]");
    Ok(finding(verdict, observed).with_value(auc).with_interval(low, high))
}
