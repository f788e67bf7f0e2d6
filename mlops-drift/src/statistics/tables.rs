//! Two rows of counts over the same cells, as every test of homogeneity wants them.

use mlops_core::{Error, Result};

/// Beyond this many rows a side products of counts would not fit 128 bits.
pub(crate) const MOST_ROWS: u64 = 1 << 62;

/// The totals of two tables, if they can be compared at all.
pub(crate) fn check(what: &str, reference: &[u64], current: &[u64]) -> Result<(u64, u64)> {
    if reference.len() != current.len() {
        return Err(Error::Length {
            left: format!("reference counts of {what}"),
            left_len: reference.len(),
            right: format!("current counts of {what}"),
            right_len: current.len(),
        });
    }
    let total = |name: &str, counts: &[u64]| {
        // In halves, which can't overflow: no check at every cell.
        let halves = counts.iter().fold((0u64, 0u64), |(low, high), c| {
            (low + (c & u64::from(u32::MAX)), high + (c >> 32))
        });
        let sum = u128::from(halves.0) + (u128::from(halves.1) << 32);
        match u64::try_from(sum).ok() {
            Some(0) => Err(Error::undefined(what, format!("the {name} counts no rows"))),
            Some(n) if n <= MOST_ROWS => Ok(n),
            _ => Err(Error::invalid(what, "counts that sum to at most 2^62", name)),
        }
    };
    Ok((total("reference", reference)?, total("current", current)?))
}

/// Two rows of counts without the columns that are empty on both sides.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) pairs: Vec<(u64, u64)>,
    pub(crate) n: u64,
    pub(crate) m: u64,
}

impl Table {
    pub(crate) fn of(what: &str, reference: &[u64], current: &[u64]) -> Result<Self> {
        let (n, m) = check(what, reference, current)?;
        let pairs = reference.iter().copied().zip(current.iter().copied());
        Ok(Self { pairs: pairs.filter(|&(r, c)| r > 0 || c > 0).collect(), n, m })
    }

    pub(crate) fn cells(&self) -> usize {
        self.pairs.len()
    }

    /// Rows of both sides together.
    fn all(&self) -> f64 {
        self.n as f64 + self.m as f64
    }

    /// The rows that each cell expects in the reference and in the current data.
    pub(crate) fn expected(&self) -> impl Iterator<Item = (f64, f64)> {
        let (a, b) = (self.n as f64 / self.all(), self.m as f64 / self.all());
        self.pairs.iter().map(move |&(r, c)| {
            let column = r as f64 + c as f64;
            (column * a, column * b)
        })
    }

    /// What each cell of the current data counts beyond what it expects; the reference's is its
    /// negative. From integers: nothing cancels.
    pub(crate) fn residuals(&self) -> impl Iterator<Item = f64> {
        let (n, m, all) = (i128::from(self.n), i128::from(self.m), self.all());
        self.pairs.iter().map(move |&(r, c)| (i128::from(c) * n - i128::from(r) * m) as f64 / all)
    }

    pub(crate) fn min_expected(&self) -> f64 {
        self.expected().map(|(a, b)| a.min(b)).fold(f64::INFINITY, f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_other_cells_are_not_of_other_rows() {
        let error = check("a test", &[1, 2], &[1, 2, 3]).unwrap_err().to_string();
        let expected = "reference counts of a test has length 2, current counts of a test has 3";
        assert_eq!(error, expected);
    }
}
