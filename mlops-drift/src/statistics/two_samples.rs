//! Two arrays as one sorted sample: what every exact two-sample statistic starts from.

use arrow::array::{Array, Float64Array};
use mlops_core::{Error, Result};

/// The values of an array in order, without nulls; NaN has no place in an order.
pub(crate) fn sorted(what: &str, side: &str, values: &Float64Array) -> Result<Vec<f64>> {
    let mut all: Vec<f64> = if values.null_count() == 0 {
        values.values().to_vec()
    } else {
        values.iter().flatten().collect()
    };
    if all.is_empty() {
        return Err(Error::undefined(what, format!("the {side} has no values")));
    }
    if all.iter().any(|x| x.is_nan()) {
        return Err(Error::undefined(what, format!("the {side} holds NaN")));
    }
    // −0 and +0 sort apart but compare equal afterwards.
    all.sort_unstable_by(f64::total_cmp);
    Ok(all)
}

/// One value and how often each side has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) value: f64,
    pub(crate) r: u64,
    pub(crate) c: u64,
}

/// Both samples, merged: every different value once, in order.
#[derive(Debug)]
pub(crate) struct Runs {
    pub(crate) n: u64,
    pub(crate) m: u64,
    pub(crate) all: Vec<Run>,
}

impl Runs {
    /// The merged samples; infinities are the ends of the order.
    pub(crate) fn of(what: &str, reference: &Float64Array, current: &Float64Array) -> Result<Self> {
        let x = sorted(what, "reference", reference)?;
        let y = sorted(what, "current data", current)?;
        let mut runs = Vec::with_capacity(x.len() + y.len());
        let (mut i, mut j) = (0, 0);
        while i < x.len() || j < y.len() {
            let value = match (x.get(i), y.get(j)) {
                (Some(&a), Some(&b)) => a.min(b),
                (Some(&a), None) | (None, Some(&a)) => a,
                (None, None) => break,
            };
            let (from_i, from_j) = (i, j);
            while x.get(i).is_some_and(|a| *a == value) {
                i += 1;
            }
            while y.get(j).is_some_and(|b| *b == value) {
                j += 1;
            }
            runs.push(Run { value, r: (i - from_i) as u64, c: (j - from_j) as u64 });
        }
        Ok(Self { n: x.len() as u64, m: y.len() as u64, all: runs })
    }

    /// The merged samples of a statistic in units of the values, which infinities do not have.
    pub(crate) fn finite(
        what: &str,
        reference: &Float64Array,
        current: &Float64Array,
    ) -> Result<Self> {
        let runs = Self::of(what, reference, current)?;
        let ends = [runs.all.first(), runs.all.last()];
        if ends.into_iter().flatten().any(|run| run.value.is_infinite()) {
            return Err(Error::undefined(
                what,
                "a sample holds an infinity, which is at no distance",
            ));
        }
        Ok(runs)
    }

    /// Every run with `n m (F − G)` behind it, rounded once.
    pub(crate) fn crosses(&self) -> impl Iterator<Item = (Run, f64)> + '_ {
        let (n, m) = (i128::from(self.n), i128::from(self.m));
        let mut cross = 0i128;
        self.all.iter().map(move |run| {
            cross += i128::from(run.r) * m - i128::from(run.c) * n;
            (*run, cross as f64)
        })
    }

    /// `n m` as a number.
    pub(crate) fn product(&self) -> f64 {
        self.n as f64 * self.m as f64
    }
}

/// A sum of many terms that loses a few units in the last place only (Neumaier 1974).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Compensated {
    sum: f64,
    lost: f64,
}

impl Compensated {
    pub(crate) fn add(&mut self, x: f64) {
        let sum = self.sum + x;
        self.lost +=
            if self.sum.abs() >= x.abs() { (self.sum - sum) + x } else { (x - sum) + self.sum };
        self.sum = sum;
    }

    pub(crate) fn value(self) -> f64 {
        self.sum + self.lost
    }
}

impl FromIterator<f64> for Compensated {
    fn from_iter<I: IntoIterator<Item = f64>>(terms: I) -> Self {
        let mut sum = Self::default();
        terms.into_iter().for_each(|x| sum.add(x));
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_meet_whatever_their_sign_of_zero() {
        let x = Float64Array::from(vec![Some(0.0), None, Some(-0.0), Some(2.0)]);
        let y = Float64Array::from(vec![-0.0, f64::INFINITY, 1.0]);
        let runs = Runs::of("a test", &x, &y).expect("runs");
        let counts: Vec<_> = runs.all.iter().map(|r| (r.value, r.r, r.c)).collect();
        assert_eq!(counts, [(0.0, 2, 1), (1.0, 0, 1), (2.0, 1, 0), (f64::INFINITY, 0, 1)]);
        let behind: Vec<_> = runs.crosses().map(|(_, cross)| cross).collect();
        assert_eq!(behind, [3.0, 0.0, 3.0, 0.0]);
        assert!(Runs::finite("a test", &x, &y).is_err());
        assert!(Runs::of("a test", &x, &Float64Array::from(vec![f64::NAN])).is_err());
        assert!(Runs::of("a test", &x, &Float64Array::from(vec![None::<f64>])).is_err());
    }
}
