//! The shape of a column of numbers: moments about a centre up to the fourth.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::sum::Sum;
use super::values;
use crate::bytes::{bad, put_u64};
use crate::{Analyzer, Description, Error, Result, Rows, State};

/// Mean, variance, skewness and kurtosis of the finite values of a column that
/// [`Rows::numbers`] can read; nulls, NaN and ±∞ are left out.
///
/// The powers are taken about a `centre` that is known beforehand, best the mean that a
/// [`NumericSummary`](super::NumericSummary) found: then nothing cancels. A centre that is many
/// standard deviations off costs digits, about three a power of ten.
///
/// `m_k = Σ(x − mean)^k / n`; skewness `m₃ / m₂^{3/2}`, excess kurtosis `m₄ / m₂² − 3` (Joanes &
/// Gill 1998, doi:10.1111/1467-9884.00122: g₁ and g₂). `scipy.stats.skew` and
/// `scipy.stats.kurtosis` with their defaults.
///
/// ```
/// use arrow::array::Float64Array;
/// use mlops_core::{DataSourceExt, MemorySource, batch, states::CentralMoments};
/// let values = Float64Array::from(vec![1.0, 2.0, 3.0, 10.0]);
/// let source = MemorySource::from(batch! { "x" => values }?);
/// let shape = source.measure(&CentralMoments::new("x", 4.0)?)?;
/// assert_eq!((shape.n, shape.mean), (4, 4.0));
/// assert!((shape.skewness.unwrap_or(0.0) - 1.0182337649086284).abs() < 1e-14);
/// assert!((shape.excess_kurtosis.unwrap_or(0.0) - -0.7696).abs() < 1e-14);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CentralMoments {
    column: String,
    centre: f64,
}

impl CentralMoments {
    /// The stable kind of its [`Description`].
    pub const KIND: &'static str = "central_moments";
    /// The version of its state's bytes.
    pub const VERSION: u16 = 1;

    /// The moments of this column about this centre.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a centre that is not finite.
    pub fn new(column: impl Into<String>, centre: f64) -> Result<Self> {
        if !centre.is_finite() {
            return Err(Error::invalid("centre", "a finite number", centre));
        }
        Ok(Self { column: column.into(), centre })
    }
}

/// What [`CentralMoments`] remembers: the sums of the first four powers of `x − centre`, each
/// power rounded once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CentralMomentsState {
    n: u64,
    powers: [Sum; 4],
    /// Values whose fourth power is no finite number.
    too_large: u64,
}

/// The shape of a column.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Shape {
    /// How many values are finite.
    pub n: u64,
    /// Their mean.
    pub mean: f64,
    /// Their variance, divided by n.
    pub variance: f64,
    /// Their skewness; `None` where they are all the same.
    pub skewness: Option<f64>,
    /// Their excess kurtosis, 0 for a normal distribution; `None` where they are all the same.
    pub excess_kurtosis: Option<f64>,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n {}, mean {}, variance {}", self.n, self.mean, self.variance)?;
        match (self.skewness, self.excess_kurtosis) {
            (Some(s), Some(k)) => write!(f, ", skewness {s:.4}, excess kurtosis {k:.4}"),
            _ => f.write_str(", constant"),
        }
    }
}

impl State for CentralMomentsState {
    fn merge(&mut self, other: Self) -> Result<()> {
        self.n = self.n.saturating_add(other.n);
        self.too_large = self.too_large.saturating_add(other.too_large);
        for (mine, theirs) in self.powers.iter_mut().zip(other.powers) {
            mine.merge(theirs)?;
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.n);
        put_u64(out, self.too_large);
        for power in &self.powers {
            power.encode(out);
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

impl Analyzer for CentralMoments {
    type State = CentralMomentsState;
    type Output = Shape;

    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn start(&self) -> CentralMomentsState {
        CentralMomentsState::default()
    }

    fn update(&self, state: &mut CentralMomentsState, rows: &Rows<'_>) -> Result<()> {
        const BLOCK: usize = 512;
        let numbers = rows.numbers(&self.column)?;
        values::for_each_block(numbers, |all| {
            for block in all.chunks(BLOCK) {
                let mut powers = [[0.0; BLOCK]; 4];
                let mut kept = 0;
                for &x in block.iter().filter(|x| x.is_finite()) {
                    let d = x - self.centre;
                    let square = d * d;
                    let fourth = square * square;
                    state.n = state.n.saturating_add(1);
                    if fourth.is_finite() {
                        for (k, power) in [d, square, square * d, fourth].into_iter().enumerate() {
                            powers[k][kept] = power;
                        }
                        kept += 1;
                    } else {
                        state.too_large = state.too_large.saturating_add(1);
                    }
                }
                for (sum, power) in state.powers.iter_mut().zip(&powers) {
                    sum.add_slice(&power[..kept]);
                }
            }
        });
        Ok(())
    }

    /// # Errors
    /// [`Error::Undefined`] without finite values, or where a fourth power overflows.
    fn finish(&self, state: CentralMomentsState) -> Result<Shape> {
        let what = || format!("the moments of `{}`", self.column);
        if state.n == 0 {
            return Err(Error::undefined(what(), "there are no finite values"));
        }
        if state.too_large > 0 {
            let reason = format!("the fourth power of {} values overflows", state.too_large);
            return Err(Error::undefined(what(), reason));
        }
        let n = state.n as f64;
        let [first, second, third, fourth] = state.powers.map(|sum| sum.value() / n);
        let off = first;
        let m2 = second - off * off;
        let m3 = third - 3.0 * off * second + 2.0 * off.powi(3);
        let m4 = fourth - 4.0 * off * third + 6.0 * off * off * second - 3.0 * off.powi(4);
        let varies = m2 > 0.0 && m2 > second * 1e-13;
        Ok(Shape {
            n: state.n,
            mean: self.centre + off,
            variance: m2.max(0.0),
            skewness: varies.then(|| m3 / m2.powf(1.5)).filter(|s| s.is_finite()),
            excess_kurtosis: varies.then(|| m4 / (m2 * m2) - 3.0).filter(|k| k.is_finite()),
        })
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<CentralMomentsState> {
        let n = values::take_count(bytes)?;
        let too_large = values::take_count(bytes)?;
        if too_large > n {
            return Err(bad(bytes, format!("at most {n} values"), too_large));
        }
        let mut powers = [Sum::default(); 4];
        for power in &mut powers {
            *power = Sum::decode(bytes)?;
        }
        Ok(CentralMomentsState { n, powers, too_large })
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new(Self::KIND, Self::VERSION, self))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Float64Array;

    use super::*;
    use crate::{DataSourceExt, MemorySource, batch, conformance};

    fn shape(values: Vec<Option<f64>>, centre: f64) -> Result<Shape> {
        let rows = batch! { "x" => Float64Array::from(values) }?;
        let moments = CentralMoments::new("x", centre)?;
        let found = MemorySource::from(rows.clone()).measure(&moments)?;
        conformance::analyzer(&moments, &rows);
        Ok(found)
    }

    #[test]
    fn equals_scipy() {
        // scipy 1.17.1: scipy.stats.skew(x), scipy.stats.kurtosis(x); numpy.mean, numpy.var.
        let values = [0.5, 2.25, -1.75, 8.0, 3.5, 3.5].map(Some).to_vec();
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        for centre in [2.0, 2.666, -10.0] {
            let found = shape(values.clone(), centre).unwrap();
            close(found.mean, 2.6666666666666665);
            close(found.variance, 9.034722222222221);
            close(found.skewness.unwrap(), 0.34652239308133087);
            close(found.excess_kurtosis.unwrap(), -0.5239982724812275);
        }
    }

    #[test]
    fn nothing_constant_and_too_large() {
        assert!(shape(vec![None, Some(f64::NAN), Some(f64::INFINITY)], 0.0).is_err());
        let constant = shape(vec![Some(7.1), Some(7.1), None], 7.1).unwrap();
        assert_eq!((constant.n, constant.variance, constant.skewness), (2, 0.0, None));
        let far = shape(vec![Some(7.1), Some(7.1)], 1e6).unwrap();
        assert_eq!(far.skewness, None);
        let large = shape(vec![Some(1e200), Some(-0.0)], 0.0).unwrap_err().to_string();
        assert!(large.contains("overflows"), "{large}");
        assert!(CentralMoments::new("x", f64::NAN).is_err());
    }
}
