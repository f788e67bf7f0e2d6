//! Bounds of a count of rows, columns, characters or items.

use std::ops::{Bound, RangeBounds};

use mlops_core::{Error, Result};

/// So many of something, in words.
pub(crate) fn words(of: &str, min: Option<u64>, max: Option<u64>) -> String {
    match (min, max) {
        (Some(min), Some(max)) if min == max => format!("{min} {of}"),
        (Some(min), Some(max)) => format!("{min} to {max} {of}"),
        (Some(min), None) => format!("at least {min} {of}"),
        (None, Some(max)) => format!("at most {max} {of}"),
        (None, None) => format!("any number of {of}"),
    }
}

/// A range of counts as bounds, both included.
pub(crate) fn bounds(range: impl RangeBounds<u64>) -> (Option<u64>, Option<u64>) {
    let min = match range.start_bound() {
        Bound::Included(n) => Some(*n),
        Bound::Excluded(n) => Some(n.saturating_add(1)),
        Bound::Unbounded => None,
    };
    match range.end_bound() {
        Bound::Included(n) => (min, Some(*n)),
        // `..0` holds nothing, and neither do these, which are refused when used.
        Bound::Excluded(0) => (Some(1), Some(0)),
        Bound::Excluded(n) => (min, Some(*n - 1)),
        Bound::Unbounded => (min, None),
    }
}

/// Whether the bounds of `what` leave something.
pub(crate) fn check_bounds(what: &str, min: Option<u64>, max: Option<u64>) -> Result<()> {
    match (min, max) {
        (None, None) => Err(Error::invalid(what, "a `min`, a `max` or both", "neither")),
        (Some(min), Some(max)) if min > max => {
            Err(Error::invalid(what, "min <= max", format!("{min} > {max}")))
        }
        _ => Ok(()),
    }
}
