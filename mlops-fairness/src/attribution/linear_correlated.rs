//! Linear models whose features tell of each other.

use arrow::array::Array;
use mlops_core::bytes::{bad, put_len, put_u64, take_len, take_u64};
use mlops_core::states::{NumericSummary, Sum};
use mlops_core::stats::Draws;
use mlops_core::{Analyzer, DataSource, Error, Plan, Result, Rows, Scan, State};

use super::exact::shapley_weights;

/// Means and covariance of features, for [`LinearExplainer::correlated`](super::LinearExplainer::correlated).
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::{MemorySource, batch, model::LinearModel};
/// use mlops_fairness::attribution::{Correlation, LinearExplainer};
///
/// // The model reads `a` alone; `b` is a copy of it, and so gets half of what it tells.
/// let model = LinearModel::regression(["a", "b"], [2.0, 0.0], 0.0)?;
/// let rows = batch! {
///     "a" => Float64Array::from(vec![1.0, 2.0, 3.0]),
///     "b" => Float64Array::from(vec![1.0, 2.0, 3.0]),
/// }?;
/// let correlation = Correlation::measure(&["a", "b"], &MemorySource::from(rows.clone()))?;
/// let explained = LinearExplainer::correlated(&model, &correlation)?.explain(&rows)?;
/// assert_eq!(explained.row(2), Some(&[1.0, 1.0][..]));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Correlation {
    features: Vec<String>,
    means: Vec<f64>,
    /// Shape `(n_features, n_features)`.
    covariance: Vec<f64>,
    seed: u64,
    permutations: u32,
}

impl Correlation {
    /// Up to so many features all coalitions are summed; beyond, orders are drawn.
    pub const EXACT: usize = 12;

    /// From the rows of a source in which all these features are finite numbers: two scans.
    ///
    /// # Errors
    /// Those of the scan; [`Error::Undefined`] without two such rows, or where numbers overflow.
    pub fn measure<S: AsRef<str>>(features: &[S], source: &dyn DataSource) -> Result<Self> {
        let features: Vec<String> = features.iter().map(|f| f.as_ref().to_owned()).collect();
        // Any centre does; near the mean little cancels.
        let mut plan = Plan::new();
        let summaries: Vec<_> =
            features.iter().map(|name| plan.add(NumericSummary::new(name))).collect();
        let measured = Scan::new(source).run(&plan)?;
        let mut centers = Vec::with_capacity(features.len());
        for (name, handle) in features.iter().zip(&summaries) {
            centers.push(measured.get(handle)?.mean().ok_or_else(|| {
                Error::undefined(format!("mean of `{name}`"), "the background has no value")
            })?);
        }
        let products = CrossProducts { features: features.clone(), centers: centers.clone() };
        let state = Scan::new(source).run(&products)?;
        if state.rows < 2 {
            return Err(Error::undefined("covariance", "fewer than two rows have all features"));
        }
        let (m, rows) = (features.len(), state.rows as f64);
        let off: Vec<f64> = state.sums[..m].iter().map(|s| s.value() / rows).collect();
        let mut covariance = vec![0.0; m * m];
        let mut at = m;
        for i in 0..m {
            for j in 0..=i {
                let value = (state.sums[at].value() - rows * off[i] * off[j]) / (rows - 1.0);
                (covariance[i * m + j], covariance[j * m + i]) = (value, value);
                at += 1;
            }
        }
        let means = centers.iter().zip(&off).map(|(c, o)| c + o).collect();
        Self::new(features, means, covariance)
    }

    /// From means, shape `(n_features,)`, and a covariance matrix, shape
    /// `(n_features, n_features)`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for shapes that don't fit, numbers that are not finite, a negative
    /// variance, or a matrix that is not symmetric.
    pub fn new(features: Vec<String>, means: Vec<f64>, covariance: Vec<f64>) -> Result<Self> {
        let m = features.len();
        if means.len() != m || covariance.len() != m * m {
            let found = format!("{} and {}", means.len(), covariance.len());
            return Err(Error::invalid(
                "means and covariance",
                format!("{m} and {m} x {m} numbers"),
                found,
            ));
        }
        if means.iter().chain(&covariance).any(|x| !x.is_finite()) {
            return Err(Error::undefined("covariance", "a number is not finite"));
        }
        for i in 0..m {
            if covariance[i * m + i] < 0.0 {
                let found = covariance[i * m + i];
                return Err(Error::invalid(
                    format!("variance of `{}`", features[i]),
                    "0 or more",
                    found,
                ));
            }
            if (0..i).any(|j| covariance[i * m + j] != covariance[j * m + i]) {
                return Err(Error::invalid("covariance", "a symmetric matrix", "another"));
            }
        }
        Ok(Self { features, means, covariance, seed: 0, permutations: 200 })
    }

    /// The same with another seed and number of pairs of orders (at least 20), for more features
    /// than [`EXACT`](Self::EXACT).
    #[must_use]
    pub fn draws(mut self, seed: u64, permutations: u32) -> Self {
        (self.seed, self.permutations) = (seed, permutations.max(2 * GROUPS as u32));
        self
    }

    /// The features.
    pub fn features(&self) -> &[String] {
        &self.features
    }

    /// Their means.
    pub fn means(&self) -> &[f64] {
        &self.means
    }

    /// Their covariance, shape `(n_features, n_features)`.
    pub fn covariance(&self) -> &[f64] {
        &self.covariance
    }

    /// φ as a linear map of `x − mean`, for weights of shape `(n_outputs, n_features)`.
    pub(super) fn transform(&self, weights: &[f64], outputs: usize) -> Transform {
        let m = self.features.len();
        let mut maps = Vec::new();
        if m <= Self::EXACT {
            let mut map = vec![0.0; outputs * m * m];
            self.enumerate(weights, &mut map);
            maps.push(map);
        } else {
            for group in 0..GROUPS {
                // Pairs are dealt to the groups in turn.
                let pairs: Vec<_> = (group..self.permutations as usize).step_by(GROUPS).collect();
                let mut map = vec![0.0; outputs * m * m];
                for &pair in &pairs {
                    let mut order = Draws::new(self.seed, 0, pair as u64).permutation(m);
                    self.walk(&order, weights, &mut map);
                    order.reverse();
                    self.walk(&order, weights, &mut map);
                }
                for t in &mut map {
                    *t /= 2.0 * pairs.len() as f64;
                }
                maps.push(map);
            }
        }
        let mut mean = vec![0.0; outputs * m * m];
        for map in &maps {
            for (mean, t) in mean.iter_mut().zip(map) {
                *mean += t / maps.len() as f64;
            }
        }
        Transform { features: m, mean, groups: if maps.len() > 1 { maps } else { Vec::new() } }
    }

    fn enumerate(&self, weights: &[f64], map: &mut [f64]) {
        let m = self.features.len();
        let shapley = shapley_weights(m);
        let mut chosen = Vec::with_capacity(m);
        for set in 1..1_usize << m {
            chosen.clear();
            chosen.extend((0..m).filter(|i| set >> i & 1 == 1));
            let size = chosen.len();
            let regression = Regression::of(self, &chosen);
            for (weights, map) in weights.chunks_exact(m).zip(map.chunks_exact_mut(m * m)) {
                let told = if size == m { weights.to_vec() } else { regression.told(weights) };
                for j in 0..m {
                    // What the set says counts for each member that may have come last, and
                    // against each other feature that may come next.
                    let weight = if set >> j & 1 == 1 { shapley[size - 1] } else { -shapley[size] };
                    for (t, told) in map[j * m..(j + 1) * m].iter_mut().zip(&told) {
                        *t += weight * told;
                    }
                }
            }
        }
    }

    fn walk(&self, order: &[usize], weights: &[f64], map: &mut [f64]) {
        let m = self.features.len();
        let whole = Regression::of(self, order);
        for (weights, map) in weights.chunks_exact(m).zip(map.chunks_exact_mut(m * m)) {
            let mut before = vec![0.0; m];
            for (place, &j) in order.iter().enumerate() {
                let after = if place + 1 == m {
                    weights.to_vec()
                } else {
                    whole.told_by_first(place + 1, weights)
                };
                for ((t, after), before) in
                    map[j * m..(j + 1) * m].iter_mut().zip(&after).zip(&before)
                {
                    *t += after - before;
                }
                before = after;
            }
        }
    }
}

/// Groups of pairs of orders: the error of a mean is seen in how groups differ.
const GROUPS: usize = 10;

/// The regression of all features on some, in an order: the Cholesky factor of their covariance, in
/// which features that those before determine are passed over.
struct Regression<'a> {
    correlation: &'a Correlation,
    order: &'a [usize],
    /// Row after row of the lower triangle; a row of zeros was passed over.
    factor: Vec<f64>,
}

impl<'a> Regression<'a> {
    fn of(correlation: &'a Correlation, order: &'a [usize]) -> Self {
        let (m, s) = (correlation.features.len(), order.len());
        let mut factor = vec![0.0; s * s];
        for i in 0..s {
            let variance = correlation.covariance[order[i] * m + order[i]];
            for j in 0..=i {
                let dot: f64 = (0..j).map(|l| factor[i * s + l] * factor[j * s + l]).sum();
                let rest = correlation.covariance[order[i] * m + order[j]] - dot;
                if i == j {
                    if rest > variance * 1e-10 && rest > 0.0 {
                        factor[i * s + i] = rest.sqrt();
                    } else {
                        factor[i * s..=i * s + i].fill(0.0);
                    }
                } else {
                    let pivot = factor[j * s + j];
                    factor[i * s + j] = if pivot > 0.0 { rest / pivot } else { 0.0 };
                }
            }
        }
        Self { correlation, order, factor }
    }

    fn told(&self, weights: &[f64]) -> Vec<f64> {
        self.told_by_first(self.order.len(), weights)
    }

    /// The coefficients r of `E[w · x | the first n of the order] = r · x`, 0 for the others: the
    /// solution of `Σ_SS r = Σ_S: w`.
    fn told_by_first(&self, n: usize, weights: &[f64]) -> Vec<f64> {
        let (m, s) = (weights.len(), self.order.len());
        let mut x: Vec<f64> = self.order[..n]
            .iter()
            .map(|&i| {
                let row = &self.correlation.covariance[i * m..(i + 1) * m];
                row.iter().zip(weights).map(|(c, w)| c * w).sum()
            })
            .collect();
        let at = |i: usize, j: usize| self.factor[i * s + j];
        for i in 0..n {
            let dot: f64 = (0..i).map(|l| at(i, l) * x[l]).sum();
            x[i] = if at(i, i) > 0.0 { (x[i] - dot) / at(i, i) } else { 0.0 };
        }
        for i in (0..n).rev() {
            let dot: f64 = (i + 1..n).map(|l| at(l, i) * x[l]).sum();
            x[i] = if at(i, i) > 0.0 { (x[i] - dot) / at(i, i) } else { 0.0 };
        }
        let mut told = vec![0.0; m];
        for (&i, x) in self.order.iter().zip(x) {
            told[i] = x;
        }
        told
    }
}

/// φ = T (x − mean), for each output one after the other.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Transform {
    features: usize,
    mean: Vec<f64>,
    /// The maps of groups of orders; none where all orders were summed.
    groups: Vec<Vec<f64>>,
}

impl Transform {
    /// Whether orders were drawn.
    pub(super) fn is_drawn(&self) -> bool {
        !self.groups.is_empty()
    }

    /// φ of one row, shape `(n_outputs, n_features)`, and their standard errors.
    pub(super) fn apply(&self, off: &[f64], phi: &mut [f64], errors: Option<&mut [f64]>) {
        let m = self.features;
        let dot = |map: &[f64], at: usize| -> f64 {
            map[at * m..(at + 1) * m].iter().zip(off).map(|(t, off)| t * off).sum()
        };
        for (at, phi) in phi.iter_mut().enumerate() {
            *phi = dot(&self.mean, at);
        }
        let (Some(errors), n) = (errors, self.groups.len() as f64) else { return };
        for (at, error) in errors.iter_mut().enumerate() {
            let squares: f64 = self.groups.iter().map(|map| (dot(map, at) - phi[at]).powi(2)).sum();
            *error = (squares / (n * (n - 1.0))).sqrt();
        }
    }
}

/// Sums of features off their centres and of their products, over rows that have them all.
#[derive(Clone, Debug, PartialEq)]
struct CrossProducts {
    features: Vec<String>,
    centers: Vec<f64>,
}

#[derive(Clone, Debug, PartialEq)]
struct CrossState {
    rows: u64,
    /// Of each feature, then of each pair (i, j ≤ i).
    sums: Vec<Sum>,
}

impl State for CrossState {
    fn merge(&mut self, other: Self) -> Result<()> {
        if self.sums.len() != other.sums.len() {
            return Err(Error::merge("cross products", "they are of different features"));
        }
        self.rows = self.rows.saturating_add(other.rows);
        for (mine, theirs) in self.sums.iter_mut().zip(other.sums) {
            mine.merge(theirs)?;
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.rows);
        put_len(out, self.sums.len());
        self.sums.iter().for_each(|sum| sum.encode(out));
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.sums.len() * size_of::<Sum>()
    }
}

impl Analyzer for CrossProducts {
    type State = CrossState;
    type Output = CrossState;

    fn columns(&self) -> Vec<String> {
        self.features.clone()
    }

    fn start(&self) -> CrossState {
        let m = self.features.len();
        CrossState { rows: 0, sums: vec![Sum::new(); m + m * (m + 1) / 2] }
    }

    fn update(&self, state: &mut CrossState, rows: &Rows<'_>) -> Result<()> {
        let m = self.features.len();
        let columns = self.features.iter().map(|name| rows.numbers(name));
        let columns: Vec<_> = columns.collect::<Result<_>>()?;
        let whole: Vec<usize> = (0..rows.len())
            .filter(|&row| columns.iter().all(|c| c.is_valid(row) && c.value(row).is_finite()))
            .collect();
        let off: Vec<Vec<f64>> = columns
            .iter()
            .zip(&self.centers)
            .map(|(column, center)| whole.iter().map(|&r| column.value(r) - center).collect())
            .collect();
        state.rows = state.rows.saturating_add(whole.len() as u64);
        let mut product = vec![0.0; whole.len()];
        let mut at = m;
        for i in 0..m {
            state.sums[i].add_slice(&off[i]);
            for j in 0..=i {
                for ((p, a), b) in product.iter_mut().zip(&off[i]).zip(&off[j]) {
                    *p = a * b;
                }
                state.sums[at].add_slice(&product);
                at += 1;
            }
        }
        Ok(())
    }

    fn finish(&self, state: CrossState) -> Result<CrossState> {
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<CrossState> {
        let rows = take_u64(bytes)?;
        let n = take_len(bytes, 1)?;
        if n != self.start().sums.len() {
            return Err(bad(bytes, format!("{} sums", self.start().sums.len()), n));
        }
        let sums = (0..n).map(|_| Sum::decode(bytes)).collect::<Result<_>>()?;
        Ok(CrossState { rows, sums })
    }
}
