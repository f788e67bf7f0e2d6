//! Slices of the rows: the values of a column, or its bins.

use std::collections::BTreeMap;

use arrow::array::{Array, RecordBatch, UInt64Array};
use mlops_core::{Categories, Error, Finding, Result, Severity, Verdict, to_numbers};
use serde::{Deserialize, Serialize};

use super::metric::also;

/// More slices than anyone reads, and than any sample decides about.
const MOST: usize = 100;

/// How rows are cut by one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cut {
    /// A slice for each value.
    Values(String),
    /// A slice for each bin between these edges, and beyond the outer ones.
    Bins(String, Vec<f64>),
}

/// What slices are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SliceRule {
    /// Every slice must pass. A wrong pass is no more likely for it: all slices have to pass.
    #[default]
    Require,
    /// A slice that fails blocks; one that is inconclusive is a warning.
    Guard,
}

/// How a gate looks at slices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Slicing {
    pub(crate) cuts: Vec<Cut>,
    pub(crate) min_rows: u64,
    pub(crate) rule: SliceRule,
}

impl Default for Slicing {
    fn default() -> Self {
        Self { cuts: Vec::new(), min_rows: 30, rule: SliceRule::Require }
    }
}

/// Some of the rows, and what they have in common.
#[derive(Clone, Debug)]
pub(crate) struct Slice {
    pub(crate) name: String,
    pub(crate) rows: UInt64Array,
}

impl Slicing {
    /// The slices of these rows, by column and value.
    pub(crate) fn of(&self, columns: Option<&RecordBatch>, rows: usize) -> Result<Vec<Slice>> {
        if self.cuts.is_empty() {
            return Ok(Vec::new());
        }
        let Some(columns) = columns else {
            let names: Vec<_> = self.cuts.iter().map(|cut| format!("`{}`", cut.column())).collect();
            let expected = format!("the columns {} beside the predictions", names.join(", "));
            return Err(Error::invalid("a gate with slices", expected, "none: use judge_sliced"));
        };
        if columns.num_rows() != rows {
            return Err(Error::Length {
                left: "y_true".into(),
                left_len: rows,
                right: "the columns of the slices".into(),
                right_len: columns.num_rows(),
            });
        }
        let mut slices = Vec::new();
        for cut in &self.cuts {
            slices.extend(cut.of(columns)?);
        }
        Ok(slices)
    }

    /// The slices that have enough rows, and the others.
    pub(crate) fn by_size(
        &self,
        columns: Option<&RecordBatch>,
        rows: usize,
    ) -> Result<(Vec<Slice>, Vec<Slice>)> {
        let slices = self.of(columns, rows)?.into_iter();
        Ok(slices.partition(|slice| slice.rows.len() as u64 >= self.min_rows))
    }
}

impl Cut {
    fn column(&self) -> &str {
        let (Self::Values(column) | Self::Bins(column, _)) = self;
        column
    }

    fn of(&self, batch: &RecordBatch) -> Result<Vec<Slice>> {
        let name = self.column();
        let array = mlops_core::column(batch, name)?;
        let mut missing = Vec::new();
        let mut slices = Vec::new();
        match self {
            Self::Values(_) => {
                let categories = Categories::of(name, array)?;
                let mut by_label: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
                for row in 0..array.len() {
                    match categories.label(row) {
                        Some(label) => by_label.entry(label).or_default().push(row as u64),
                        None => missing.push(row as u64),
                    }
                    if by_label.len() > MOST {
                        let expected = format!("at most {MOST} values, or bins of them");
                        let what = format!("the slices by `{name}`");
                        return Err(Error::invalid(what, expected, "more"));
                    }
                }
                for (label, rows) in by_label {
                    slices.push(Slice { name: format!("{name} = {label}"), rows: rows.into() });
                }
            }
            Self::Bins(_, edges) => {
                let ascending = edges.windows(2).all(|pair| pair[0] < pair[1]);
                let finite = edges.iter().all(|edge| edge.is_finite());
                if edges.is_empty() || edges.len() >= MOST || !ascending || !finite {
                    let expected = format!("1 to {} ascending numbers", MOST - 1);
                    let what = format!("the edges of the bins of `{name}`");
                    return Err(Error::invalid(what, expected, format!("{edges:?}")));
                }
                let values = to_numbers(name, array)?;
                let mut bins = vec![Vec::new(); edges.len() + 1];
                for (row, value) in values.iter().enumerate() {
                    match value.filter(|value| !value.is_nan()) {
                        Some(value) => {
                            bins[edges.partition_point(|&edge| edge <= value)].push(row as u64);
                        }
                        None => missing.push(row as u64),
                    }
                }
                for (bin, rows) in bins.into_iter().enumerate() {
                    if rows.is_empty() {
                        continue;
                    }
                    let label = match (bin.checked_sub(1).map(|at| edges[at]), edges.get(bin)) {
                        (None, Some(high)) => format!("{name} < {high}"),
                        (Some(low), Some(high)) => format!("{low} ≤ {name} < {high}"),
                        (low, None) => format!("{name} ≥ {}", low.unwrap_or_default()),
                    };
                    slices.push(Slice { name: label, rows: rows.into() });
                }
            }
        }
        if !missing.is_empty() {
            slices.push(Slice { name: format!("{name} missing"), rows: missing.into() });
        }
        Ok(slices)
    }
}

/// Which of several hypotheses are rejected, by Holm's steps at this family-wise level: those that
/// `rejects` at the level divided by the number of the others and itself, again with those left.
///
/// Holm 1979, Scandinavian Journal of Statistics 6:65.
pub(crate) fn holm_steps(
    count: usize,
    alpha: f64,
    mut rejects: impl FnMut(usize, f64) -> Result<bool>,
) -> Result<Vec<bool>> {
    let mut rejected = vec![false; count];
    let mut left: Vec<usize> = (0..count).collect();
    while !left.is_empty() {
        let level = alpha / left.len() as f64;
        let before = left.len();
        for &i in &left {
            rejected[i] = rejects(i, level)?;
        }
        left.retain(|&i| !rejected[i]);
        if left.len() == before {
            break;
        }
    }
    Ok(rejected)
}

/// A fail that Holm's steps do not confirm is none; where slices only guard, doubts are warnings.
pub(super) fn soften(finding: &mut Finding, confirmed: bool, slices: usize, rule: SliceRule) {
    if finding.verdict.is_fail() && !confirmed {
        finding.verdict = Verdict::Inconclusive;
        also(
            &mut finding.observed,
            format_args!("; not beyond chance among {slices} slices (Holm)"),
        );
    }
    if rule == SliceRule::Guard && finding.verdict == Verdict::Inconclusive {
        finding.severity = Severity::Warning;
    }
}

/// What is said of slices that are too small; of nothing else, it blocks.
pub(super) fn set_aside(small: &[Slice], alone: bool, least: u64) -> Vec<Finding> {
    let mut findings: Vec<_> = small
        .iter()
        .map(|slice| {
            let expected = format!("at least {least} rows");
            let observed = format!("{}: set aside", slice.rows.len());
            let verdict = Verdict::Inconclusive;
            Finding::new("slice_rows", &slice.name, verdict, expected, observed)
                .with_severity(Severity::Warning)
        })
        .collect();
    if alone {
        let expected = format!("a slice of at least {least} rows");
        findings.push(Finding::new("slices", "model", Verdict::Inconclusive, expected, "none"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, StringArray};
    use mlops_core::batch;
    use mlops_core::stats::{Draws, holm};

    #[test]
    fn every_row_is_in_one_slice_of_each_column() {
        let batch = batch! {
            "sex" => StringArray::from(vec![Some("m"), Some("f"), None, Some("m")]),
            "age" => Float64Array::from(vec![Some(30.0), Some(29.9), Some(f64::NAN), None]),
        }
        .unwrap();
        let cuts = vec![Cut::Values("sex".into()), Cut::Bins("age".into(), vec![30.0, 50.0])];
        let slicing = Slicing { cuts, ..Slicing::default() };
        let slices = slicing.of(Some(&batch), 4).unwrap();
        let found: Vec<_> =
            slices.iter().map(|s| (s.name.as_str(), s.rows.values().to_vec())).collect();
        assert_eq!(
            found,
            [
                ("sex = f", vec![1]),
                ("sex = m", vec![0, 3]),
                ("sex missing", vec![2]),
                ("age < 30", vec![1]),
                ("30 ≤ age < 50", vec![0]),
                ("age missing", vec![2, 3]),
            ]
        );
        assert!(slicing.of(None, 4).unwrap_err().to_string().contains("judge_sliced"));
        assert!(slicing.of(Some(&batch), 5).is_err());
        for edges in [vec![], vec![2.0, 1.0], vec![f64::NAN]] {
            assert!(Cut::Bins("age".into(), edges).of(&batch).is_err());
        }
    }

    #[test]
    fn steps_are_holms() {
        let mut draws = Draws::new(3, 0, 0);
        for _ in 0..200 {
            let p: Vec<f64> = (0..7).map(|_| draws.uniform().powi(3)).collect();
            let adjusted: Vec<bool> = holm(&p).unwrap().iter().map(|&p| p <= 0.05).collect();
            let steps = holm_steps(7, 0.05, |i, level| Ok(p[i] <= level)).unwrap();
            assert_eq!(steps, adjusted, "{p:?}");
        }
    }
}
