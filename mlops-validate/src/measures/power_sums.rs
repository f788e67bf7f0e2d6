//! Skewness, kurtosis and correlation in one pass, in any order: sums of powers and products with
//! twice the digits of a float, so that taking the mean away afterwards costs none that count.

use arrow::array::Array;
use mlops_core::bytes::{add_count, put_u64, take_count};
use mlops_core::states::Sum;
use mlops_core::{Analyzer, Description, Error, Result, Rows, State};
use serde::Serialize;

/// Twice the digits of a float: an unevaluated sum (Dekker 1971, doi:10.1007/BF01397083).
#[derive(Clone, Copy, Debug)]
struct Double {
    high: f64,
    low: f64,
}

impl Double {
    fn of(sum: &Sum) -> Self {
        let high = sum.value();
        let mut rest = *sum;
        rest.add(-high);
        Self { high, low: rest.value() }
    }

    /// Knuth's exact sum.
    fn sum(a: f64, b: f64) -> Self {
        let high = a + b;
        let part = high - a;
        Self { high, low: (a - (high - part)) + (b - part) }
    }

    fn product(a: f64, b: f64) -> Self {
        let high = a * b;
        Self { high, low: a.mul_add(b, -high) }
    }

    fn plus(self, other: Self) -> Self {
        let sum = Self::sum(self.high, other.high);
        Self::sum(sum.high, sum.low + (self.low + other.low))
    }

    fn minus(self, other: Self) -> Self {
        self.plus(Self { high: -other.high, low: -other.low })
    }

    fn times(self, other: Self) -> Self {
        let product = Self::product(self.high, other.high);
        Self::sum(product.high, product.low + (self.high * other.low + self.low * other.high))
    }

    fn scaled(self, by: f64) -> Self {
        self.times(Self { high: by, low: 0.0 })
    }

    fn divided(self, by: f64) -> Self {
        let high = self.high / by;
        let rest = (-high).mul_add(by, self.high) + self.low;
        Self::sum(high, rest / by)
    }

    /// Whether it is more than what rounding leaves of a difference of numbers of this size.
    fn is_above_rounding_of(self, size: Self) -> bool {
        self.high > size.high * 1e-22
    }
}

/// Sums of single terms, and what kept them from being made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sums<const N: usize> {
    n: u64,
    /// Rows with a NaN or ±∞.
    not_finite: u64,
    /// Rows whose products are beyond the range of floats.
    too_large: u64,
    /// One of every kind of term.
    terms: [Sum; N],
}

impl<const N: usize> Sums<N> {
    const EMPTY: Self = Self { n: 0, not_finite: 0, too_large: 0, terms: [Sum::new(); N] };

    /// Takes in the terms of one row for each of the sums.
    fn add<const T: usize>(&mut self, terms: [[f64; T]; N]) {
        add_count(&mut self.n, 1);
        if terms.iter().flatten().all(|t| t.is_finite()) {
            for (sum, terms) in self.terms.iter_mut().zip(terms) {
                sum.add_slice(&terms);
            }
        } else {
            add_count(&mut self.too_large, 1);
        }
    }

    /// The means of the sums.
    fn means(&self, what: impl Fn() -> String) -> Result<[Double; N]> {
        let undefined = |reason: String| Err(Error::undefined(what(), reason));
        if self.not_finite > 0 {
            return undefined(format!("{} values are NaN or infinite", self.not_finite));
        }
        if self.too_large > 0 {
            return undefined(format!("the powers of {} values overflow", self.too_large));
        }
        if self.n == 0 {
            return undefined("there are no values".into());
        }
        Ok(self.terms.each_ref().map(|sum| Double::of(sum).divided(self.n as f64)))
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self> {
        let mut state = Self::EMPTY;
        state.n = take_count(bytes)?;
        state.not_finite = take_count(bytes)?;
        state.too_large = take_count(bytes)?;
        for sum in &mut state.terms {
            *sum = Sum::decode(bytes)?;
        }
        Ok(state)
    }
}

impl<const N: usize> State for Sums<N> {
    fn merge(&mut self, other: Self) -> Result<()> {
        add_count(&mut self.n, other.n);
        add_count(&mut self.not_finite, other.not_finite);
        add_count(&mut self.too_large, other.too_large);
        for (mine, theirs) in self.terms.iter_mut().zip(other.terms) {
            mine.merge(theirs)?;
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.n);
        put_u64(out, self.not_finite);
        put_u64(out, self.too_large);
        for sum in &self.terms {
            sum.encode(out);
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

/// Skewness and excess kurtosis of a column of numbers; nulls are left out.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PowerSums {
    pub(crate) column: String,
}

/// The result of [`PowerSums`]; `None` where all values are the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Skew {
    pub(crate) skewness: Option<f64>,
    pub(crate) excess_kurtosis: Option<f64>,
}

impl Analyzer for PowerSums {
    type State = Sums<4>;
    type Output = Skew;

    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn start(&self) -> Sums<4> {
        Sums::EMPTY
    }

    fn update(&self, state: &mut Sums<4>, rows: &Rows<'_>) -> Result<()> {
        for x in rows.numbers(&self.column)?.iter().flatten() {
            if !x.is_finite() {
                add_count(&mut state.not_finite, 1);
                continue;
            }
            let square = Double::product(x, x);
            let cube = Double::product(square.high, x);
            let fourth = Double::product(square.high, square.high);
            state.add([
                [x, 0.0, 0.0],
                [square.high, square.low, 0.0],
                [cube.high, cube.low, square.low * x],
                [fourth.high, fourth.low, 2.0 * square.high * square.low],
            ]);
        }
        Ok(())
    }

    /// # Errors
    /// [`Error::Undefined`] without values, with NaN or ±∞ among them, or where a fourth power
    /// overflows.
    fn finish(&self, state: Sums<4>) -> Result<Skew> {
        let [mean, second, third, fourth] =
            state.means(|| format!("the shape of `{}`", self.column))?;
        let square = mean.times(mean);
        let m2 = second.minus(square);
        if !m2.is_above_rounding_of(second) {
            return Ok(Skew { skewness: None, excess_kurtosis: None });
        }
        let m3 = third.minus(mean.times(second).scaled(3.0)).plus(mean.times(square).scaled(2.0));
        let m4 = fourth
            .minus(mean.times(third).scaled(4.0))
            .plus(square.times(second).scaled(6.0))
            .minus(square.times(square).scaled(3.0));
        let (m2, m3, m4) = (m2.high, m3.high, m4.high);
        Ok(Skew {
            skewness: Some(m3 / (m2 * m2.sqrt())).filter(|s| s.is_finite()),
            excess_kurtosis: Some(m4 / (m2 * m2) - 3.0).filter(|k| k.is_finite()),
        })
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<Sums<4>> {
        Sums::decode(bytes)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("validate/power_sums", 1, self))
    }
}

/// Pearson's correlation of two columns of numbers, over the rows in which both have a value.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CrossSums {
    pub(crate) columns: [String; 2],
}

/// The result of [`CrossSums`]; `None` where one of the columns is constant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Association {
    pub(crate) correlation: Option<f64>,
}

impl Analyzer for CrossSums {
    type State = Sums<5>;
    type Output = Association;

    fn columns(&self) -> Vec<String> {
        self.columns.to_vec()
    }

    fn start(&self) -> Sums<5> {
        Sums::EMPTY
    }

    fn update(&self, state: &mut Sums<5>, rows: &Rows<'_>) -> Result<()> {
        let [x, y] = &self.columns;
        let (x, y) = (rows.numbers(x)?, rows.numbers(y)?);
        for row in 0..rows.len() {
            if x.is_null(row) || y.is_null(row) {
                continue;
            }
            let (x, y) = (x.value(row), y.value(row));
            if !(x.is_finite() && y.is_finite()) {
                add_count(&mut state.not_finite, 1);
                continue;
            }
            let [xx, yy, xy] = [(x, x), (y, y), (x, y)]
                .map(|(a, b)| Double::product(a, b))
                .map(|p| [p.high, p.low]);
            state.add([[x, 0.0], [y, 0.0], xx, yy, xy]);
        }
        Ok(())
    }

    /// # Errors
    /// [`Error::Undefined`] without pairs, with NaN or ±∞ among them, or where a product
    /// overflows.
    fn finish(&self, state: Sums<5>) -> Result<Association> {
        let what = || format!("the correlation of `{}` and `{}`", self.columns[0], self.columns[1]);
        let [x, y, xx, yy, xy] = state.means(what)?;
        let (vx, vy) = (xx.minus(x.times(x)), yy.minus(y.times(y)));
        if !(vx.is_above_rounding_of(xx) && vy.is_above_rounding_of(yy)) {
            return Ok(Association { correlation: None });
        }
        let r = xy.minus(x.times(y)).high / (vx.high.sqrt() * vy.high.sqrt());
        Ok(Association { correlation: Some(r.clamp(-1.0, 1.0)).filter(|r| r.is_finite()) })
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<Sums<5>> {
        Sums::decode(bytes)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("validate/cross_sums", 1, self))
    }
}
