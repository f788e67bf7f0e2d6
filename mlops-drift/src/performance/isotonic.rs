//! Isotonic regression.

use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// The non-decreasing function that is closest to the points in the least squares, by pooling
/// adjacent violators; between its steps a line, beyond them constant.
///
/// `min Σ (yᵢ − f(xᵢ))²` over all non-decreasing `f`. Points of one `x` are one point with the mean
/// `y` and their number as weight. The fit is a function of the multiset of points, O(n log n).
///
/// `sklearn.isotonic.IsotonicRegression(out_of_bounds="clip")`; Barlow, Bartholomew, Bremner and
/// Brunk, *Statistical Inference under Order Restrictions* (1972).
///
/// ```
/// use mlops_drift::performance::Isotonic;
/// let f = Isotonic::fit(&[1.0, 2.0, 3.0, 4.0], &[0.0, 1.0, 0.0, 1.0])?;
/// assert_eq!([1.0, 2.0, 2.5, 3.5, 9.0].map(|x| f.predict(x)), [0.0, 0.5, 0.5, 0.75, 1.0]);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Steps", into = "Steps")]
pub struct Isotonic {
    x: Vec<f64>,
    y: Vec<f64>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Steps {
    x: Vec<f64>,
    y: Vec<f64>,
}

impl From<Isotonic> for Steps {
    fn from(f: Isotonic) -> Self {
        Self { x: f.x, y: f.y }
    }
}

impl TryFrom<Steps> for Isotonic {
    type Error = Error;

    fn try_from(steps: Steps) -> Result<Self> {
        let Steps { x, y } = steps;
        let finite = x.iter().chain(&y).all(|v| v.is_finite());
        let rising = x.windows(2).all(|w| w[0] < w[1]) && y.windows(2).all(|w| w[0] <= w[1]);
        if x.is_empty() || x.len() != y.len() || !finite || !rising {
            let expected = "as many finite x as y, x ascending, y not descending";
            return Err(Error::invalid("steps of an isotonic regression", expected, x.len()));
        }
        Ok(Self { x, y })
    }
}

/// Points that share a value.
struct Block {
    first: f64,
    last: f64,
    sum: f64,
    n: f64,
}

impl Isotonic {
    /// The fit to these points.
    ///
    /// # Errors
    /// [`Error::Length`]; [`Error::Value`] for a number that is not finite; [`Error::Undefined`]
    /// without points, or of sums
    /// beyond the range of `f64`.
    pub fn fit(x: &[f64], y: &[f64]) -> Result<Self> {
        if x.len() != y.len() {
            let (left, right) = ("x".into(), "y".into());
            return Err(Error::Length { left, left_len: x.len(), right, right_len: y.len() });
        }
        for (column, values) in [("x", x), ("y", y)] {
            if let Some(row) = values.iter().position(|v| !v.is_finite()) {
                return Err(Error::Value {
                    column: column.into(),
                    row: row as u64,
                    expected: "a finite number".into(),
                    found: values[row].to_string(),
                });
            }
        }
        let mut points: Vec<(f64, f64)> =
            x.iter().zip(y).map(|(&x, &y)| (x + 0.0, y + 0.0)).collect();
        points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut blocks: Vec<Block> = Vec::new();
        for tie in points.chunk_by(|a, b| a.0 == b.0) {
            let sum = tie.iter().map(|p| p.1).sum();
            let mut block = Block { first: tie[0].0, last: tie[0].0, sum, n: tie.len() as f64 };
            // Pool as long as the one before is not smaller.
            while let Some(before) =
                blocks.pop_if(|before| before.sum * block.n >= block.sum * before.n)
            {
                block.first = before.first;
                block.sum += before.sum;
                block.n += before.n;
            }
            blocks.push(block);
        }
        if blocks.is_empty() {
            return Err(Error::undefined("isotonic regression", "there are no points"));
        }
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for block in blocks {
            let value = block.sum / block.n;
            if !value.is_finite() {
                let reason = "the sums are beyond the range of f64";
                return Err(Error::undefined("isotonic regression", reason));
            }
            // Rounding may not undo the order.
            let value = y.last().map_or(value, |&before: &f64| before.max(value));
            x.push(block.first);
            y.push(value);
            if block.last > block.first {
                x.push(block.last);
                y.push(value);
            }
        }
        Ok(Self { x, y })
    }

    /// The value at `x`; NaN for NaN.
    pub fn predict(&self, x: f64) -> f64 {
        if x.is_nan() {
            return f64::NAN;
        }
        let above = self.x.partition_point(|&step| step <= x);
        if above == 0 {
            return self.y[0];
        }
        let Some(&right) = self.x.get(above) else { return self.y[above - 1] };
        let (left, low, high) = (self.x[above - 1], self.y[above - 1], self.y[above]);
        // Differences of numbers of opposite sign may be infinite where those of halves are not.
        let share = if (right - left).is_finite() {
            (x - left) / (right - left)
        } else {
            (x / 2.0 - left / 2.0) / (right / 2.0 - left / 2.0)
        };
        let rise = high - low;
        let value =
            if rise.is_finite() { low + rise * share } else { low * (1.0 - share) + high * share };
        // Between the two whatever rounding does.
        value.clamp(low, high)
    }

    /// The steps as points (x, y), of which it is the line.
    pub fn steps(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.x.iter().copied().zip(self.y.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn it_is_the_least_squares_fit(mut points in prop::collection::vec((0_u8..12, -5_i8..6), 1..40)) {
            let split = |points: &[(u8, i8)]| -> (Vec<f64>, Vec<f64>) {
                points.iter().map(|p| (f64::from(p.0), f64::from(p.1))).unzip()
            };
            let (x, y) = split(&points);
            let f = Isotonic::fit(&x, &y).unwrap();
            // Min-max formula: max over lower ends of min over upper ends of the mean between.
            for &at in &x {
                let mean = |from: f64, to: f64| {
                    let inside: Vec<_> =
                        x.iter().zip(&y).filter(|p| (from..=to).contains(p.0)).map(|p| *p.1).collect();
                    inside.iter().sum::<f64>() / inside.len() as f64
                };
                let best = x.iter().filter(|&&from| from <= at).map(|&from| {
                    x.iter().filter(|&&to| to >= at).map(|&to| mean(from, to)).fold(f64::INFINITY, f64::min)
                }).fold(f64::NEG_INFINITY, f64::max);
                prop_assert!((f.predict(at) - best).abs() < 1e-12);
            }
            points.reverse();
            let (x, y) = split(&points);
            prop_assert_eq!(&Isotonic::fit(&x, &y).unwrap(), &f);
            let text = serde_json::to_string(&f).unwrap();
            prop_assert_eq!(serde_json::from_str::<Isotonic>(&text).unwrap(), f);
        }
    }

    #[test]
    fn what_is_no_fit_is_refused() {
        assert!(Isotonic::fit(&[], &[]).is_err());
        assert!(Isotonic::fit(&[1.0], &[]).is_err());
        assert!(Isotonic::fit(&[1.0, 1.0], &[1e308, 1e308]).is_err());
        let wide = Isotonic::fit(&[-1e308, 1e308], &[-1e308, 1e308]).unwrap();
        assert_eq!([0.0, 5e307, 1e308].map(|x| wide.predict(x)), [0.0, 5e307, 1e308]);
        assert!(Isotonic::fit(&[f64::NAN], &[1.0]).is_err());
        assert!(Isotonic::fit(&[1.0], &[2.0]).unwrap().predict(f64::NAN).is_nan());
        for bad in [
            r#"{"x": [], "y": []}"#,
            r#"{"x": [1, 0], "y": [1, 1]}"#,
            r#"{"x": [0, 1], "y": [1, 0]}"#,
            r#"{"x": [0], "y": [1, 1]}"#,
        ] {
            assert!(serde_json::from_str::<Isotonic>(bad).is_err(), "{bad}");
        }
    }
}
