//! Helpers for a team's own `#[test]`s: two lines each.
//!
//! ```
//! use mlops_core::arrow::array::{Int32Array, StringArray};
//! use mlops_core::batch;
//! use mlops_fairness::testing::{assert_fair, groups};
//! use mlops_fairness::GapKind;
//!
//! let judged = batch! {
//!     "sex" => StringArray::from_iter_values((0..4000).map(|i| ["F", "M"][i % 2])),
//!     "hired" => Int32Array::from_iter_values((0..4000).map(|i| i32::from(i / 2 % 3 == 0))),
//! }?;
//! let counts = groups("hired", "1", ["sex"]);
//! assert_fair(&judged, &counts, GapKind::DemographicParityDifference, 0.1);
//! # Ok::<(), mlops_core::Error>(())
//! ```

use arrow::array::RecordBatch;
use mlops_core::{Assessment, MemorySource, Result, ValidatorExt};

use crate::measure::Question;
use crate::{FairnessGate, GroupCounts};

/// What is counted: [`GroupCounts::new`] under a shorter name.
pub fn groups<S: Into<String>>(
    y_pred: impl Into<String>,
    positive: impl Into<String>,
    sensitive_features: impl IntoIterator<Item = S>,
) -> GroupCounts {
    GroupCounts::new(y_pred, positive, sensitive_features)
}

/// Asserts that a gap is within a bound at the 95 % limit, on the groups of all features together:
/// too few rows are not enough, and no group may have fewer than 30. Another minimum, or groups that
/// are set aside, are a policy's:
///
/// ```
/// use mlops_core::arrow::array::{Int32Array, StringArray};
/// use mlops_core::batch;
/// use mlops_fairness::testing::{assert_policy, groups};
/// use mlops_fairness::{FairnessGate, GapKind, SmallGroups};
///
/// let judged = batch! {
///     "sex" => StringArray::from_iter_values((0..4001).map(|i| if i == 0 { "X" } else { ["F", "M"][i % 2] })),
///     "hired" => Int32Array::from_iter_values((0..4001).map(|i| i32::from(i / 2 % 3 == 0))),
/// }?;
/// let policy = FairnessGate::new("hiring")
///     .rule(GapKind::DemographicParityDifference, "sex", 0.1)
///     .min_group_size(100, SmallGroups::SetAside);
/// assert_policy(&judged, &groups("hired", "1", ["sex"]), &policy);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Panics
/// Where it is not shown, with what was found.
#[track_caller]
pub fn assert_fair(
    rows: &RecordBatch,
    counts: &GroupCounts,
    question: impl Into<Question>,
    bound: f64,
) {
    if let Err(error) = check_fair(rows, counts, question, bound) {
        panic!("{error}");
    }
}

/// As [`assert_fair`], for code that is no test.
///
/// # Errors
/// [`Error::Blocked`](mlops_core::Error::Blocked) where it is not shown; those of the count.
pub fn check_fair(
    rows: &RecordBatch,
    counts: &GroupCounts,
    question: impl Into<Question>,
    bound: f64,
) -> Result<Assessment> {
    let features = counts.groups.sensitive_features.clone();
    check_policy(
        rows,
        counts,
        &FairnessGate::new("fairness").intersection(question, features, bound),
    )
}

/// Asserts that a policy passes.
///
/// # Panics
/// Where it does not, with what was found.
#[track_caller]
pub fn assert_policy(rows: &RecordBatch, counts: &GroupCounts, policy: &FairnessGate) {
    if let Err(error) = check_policy(rows, counts, policy) {
        panic!("{error}");
    }
}

/// As [`assert_policy`], for code that is no test.
///
/// # Errors
/// As [`check_fair`].
pub fn check_policy(
    rows: &RecordBatch,
    counts: &GroupCounts,
    policy: &FairnessGate,
) -> Result<Assessment> {
    let source = MemorySource::from(rows.clone());
    policy.clone().on(counts.clone()).validate(&source)?.require_pass()
}

#[cfg(test)]
mod tests {
    use mlops_core::arrow::array::{Int32Array, StringArray};
    use mlops_core::{Error, batch};

    use super::*;
    use crate::GapKind;

    fn rows(n: usize) -> RecordBatch {
        batch! {
            "sex" => StringArray::from_iter_values((0..n).map(|i| ["F", "M"][i % 2])),
            "hired" => Int32Array::from_iter_values((0..n).map(|i| i32::from(i / 2 % (2 + i % 2) == 0))),
        }
        .unwrap()
    }

    #[test]
    #[should_panic(expected = "demographic_parity_difference of sex")]
    fn an_unfair_model_panics_with_what_was_found() {
        let counts = groups("hired", "1", ["sex"]);
        assert_fair(&rows(6000), &counts, GapKind::DemographicParityDifference, 0.1);
    }

    #[test]
    fn few_rows_and_missing_columns_are_no_pass() {
        let counts = groups("hired", "1", ["sex"]);
        let found = check_fair(&rows(40), &counts, GapKind::DemographicParityDifference, 0.3);
        assert!(matches!(found, Err(Error::Blocked { .. })));
        let counts = groups("hired", "1", ["age"]);
        assert!(check_fair(&rows(40), &counts, GapKind::DemographicParityDifference, 0.3).is_err());
        let counts = groups("hired", "1", ["sex"]);
        let policy = FairnessGate::new("f").rule(GapKind::DemographicParityDifference, "sex", 0.3);
        assert_policy(&rows(6000), &counts, &policy);
    }
}
