//! Rows as standardised points, batch by batch, and the exact sums of their products.

use std::sync::Arc;

use mlops_core::bytes::{add_count, put_u64, take_count};
use mlops_core::states::Sum;
use mlops_core::{Analyzer, Description, Error, Result, Rows, State};
use serde::{Deserialize, Serialize};

use crate::multivariate::columns::{Block, width};
use crate::multivariate::encoding::{Encoded, Encoder, Encoding};
use crate::multivariate::points::mean_and_sd;
use crate::multivariate::row_sample::{Half, RowDraws, Sample};

/// Standardised numbers beyond this have squares that may be no numbers; their rows are left out.
const LARGEST: f64 = 1e100;

/// How rows of some columns become standardised points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Space {
    pub(crate) encoder: Encoder,
    pub(crate) centre: Vec<f64>,
    pub(crate) scale: Vec<f64>,
    seed: u64,
    pub(crate) half: Option<Half>,
}

/// The points of a batch.
#[derive(Default)]
pub(crate) struct Batch {
    /// Shape `(n_points, n_features)`.
    pub(crate) x: Vec<f64>,
    /// By point, the row in the batch and the priority with which it is drawn.
    pub(crate) rows: Vec<(usize, u64)>,
    pub(crate) dropped: u64,
    pub(crate) imputed: u64,
}

impl Space {
    /// The space of this encoding with the centres and scales of a sample: near enough that sums of
    /// products around them lose nothing.
    pub(crate) fn of(encoding: Encoding, sample: &Sample, seed: u64) -> Self {
        let encoder = Encoder::fit(encoding, &[sample]);
        let d = encoder.features().len();
        let mut x = Vec::new();
        for row in &sample.rows {
            encoder.push(&row.numbers, |c| row.labels[c].as_deref(), &mut x);
        }
        let of_column = |f: usize| {
            let (mean, sd) = mean_and_sd(&x.iter().skip(f).step_by(d).copied().collect::<Vec<_>>());
            if x.is_empty() || sd == 0.0 || !sd.is_finite() { (mean, 1.0) } else { (mean, sd) }
        };
        let (centre, scale) = (0..d).map(of_column).unzip();
        Self { encoder, centre, scale, seed, half: None }
    }

    /// Whether its parts fit each other, as those of a fitted one do.
    pub(crate) fn is_sound(&self) -> bool {
        let d = self.dimension();
        self.encoder.is_sound()
            && self.encoder.features().len() == d
            && self.scale.len() == d
            && self.centre.iter().all(|x| x.is_finite())
            && self.scale.iter().all(|x| x.is_finite() && *x > 0.0)
    }

    pub(crate) fn dimension(&self) -> usize {
        self.centre.len()
    }

    /// The points of the rows of this space's half, or of all.
    pub(crate) fn points(&self, rows: &Rows<'_>) -> Result<Batch> {
        let block = Block::of(&self.encoder.columns, rows)?;
        let draws = RowDraws::of(self.seed, rows.origin());
        let mut batch = Batch::default();
        let mut numbers = Vec::with_capacity(width(&self.encoder.columns).0);
        for row in 0..rows.len() {
            let (priority, half) = draws.at(rows.row_number(row));
            if self.half.is_some_and(|wanted| wanted != half) {
                continue;
            }
            numbers.clear();
            block.push_numbers(row, &mut numbers);
            let start = batch.x.len();
            match self.encoder.push(&numbers, |c| block.label(c, row), &mut batch.x) {
                Encoded::Dropped => batch.dropped += 1,
                Encoded::Point { imputed } => {
                    let point = &mut batch.x[start..];
                    for ((x, centre), scale) in point.iter_mut().zip(&self.centre).zip(&self.scale)
                    {
                        *x = (*x - centre) / scale;
                    }
                    // A difference of large numbers may be infinite, and NaN compares with nothing.
                    if point.iter().all(|x| x.abs() <= LARGEST) {
                        batch.rows.push((row, priority));
                        batch.imputed += imputed;
                    } else {
                        batch.x.truncate(start);
                        batch.dropped += 1;
                    }
                }
            }
        }
        Ok(batch)
    }
}

/// Measures the means and covariances of the points of a space.
#[derive(Clone, Debug)]
pub(crate) struct CrossMoments(pub(crate) Arc<Space>);

/// Sums of coordinates and of their products, exact in any order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CrossState {
    n: u64,
    dropped: u64,
    sums: Vec<Sum>,
    /// Of coordinates `a ≥ b` at `a(a + 1)/2 + b`.
    products: Vec<Sum>,
}

/// The means and covariances (over n) of the points of a space, in its units.
#[derive(Clone, Debug)]
pub(crate) struct Covariance {
    pub(crate) n: u64,
    pub(crate) mean: Vec<f64>,
    /// Rows one after the other; the lower half is filled.
    pub(crate) matrix: Vec<f64>,
}

impl State for CrossState {
    fn merge(&mut self, other: Self) -> Result<()> {
        if self.sums.len() != other.sums.len() {
            return Err(Error::merge("covariances", "they have different numbers of columns"));
        }
        add_count(&mut self.n, other.n);
        add_count(&mut self.dropped, other.dropped);
        let (mine, theirs) = (self.sums.iter_mut(), other.sums);
        mine.zip(theirs).try_for_each(|(mine, theirs)| mine.merge(theirs))?;
        let (mine, theirs) = (self.products.iter_mut(), other.products);
        mine.zip(theirs).try_for_each(|(mine, theirs)| mine.merge(theirs))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.n);
        put_u64(out, self.dropped);
        for sum in self.sums.iter().chain(&self.products) {
            sum.encode(out);
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + size_of::<Sum>() * (self.sums.len() + self.products.len())
    }
}

impl Analyzer for CrossMoments {
    type State = CrossState;
    type Output = Covariance;

    fn columns(&self) -> Vec<String> {
        self.0.encoder.columns.iter().map(|c| c.name.clone()).collect()
    }

    fn start(&self) -> CrossState {
        let d = self.0.dimension();
        let sums = |n| vec![Sum::new(); n];
        CrossState { n: 0, dropped: 0, sums: sums(d), products: sums(d * (d + 1) / 2) }
    }

    fn update(&self, state: &mut CrossState, rows: &Rows<'_>) -> Result<()> {
        let batch = self.0.points(rows)?;
        let (d, n) = (self.0.dimension(), batch.rows.len());
        let by_column: Vec<f64> =
            (0..d).flat_map(|f| batch.x.iter().skip(f).step_by(d)).copied().collect();
        let column = |f: usize| &by_column[f * n..(f + 1) * n];
        add_count(&mut state.n, n as u64);
        add_count(&mut state.dropped, batch.dropped);
        let mut product = vec![0.0; n];
        for a in 0..d {
            state.sums[a].add_slice(column(a));
            for b in 0..=a {
                for ((out, x), y) in product.iter_mut().zip(column(a)).zip(column(b)) {
                    *out = x * y;
                }
                state.products[a * (a + 1) / 2 + b].add_slice(&product);
            }
        }
        Ok(())
    }

    fn finish(&self, state: CrossState) -> Result<Covariance> {
        let d = state.sums.len();
        let undefined = || Error::undefined("a covariance", "there are no complete rows");
        let mean = state.sums.iter().map(|s| s.mean(state.n).ok_or_else(undefined));
        let mean = mean.collect::<Result<Vec<f64>>>()?;
        let mut matrix = vec![0.0; d * d];
        for a in 0..d {
            for b in 0..=a {
                let product = &state.products[a * (a + 1) / 2 + b];
                matrix[a * d + b] =
                    product.mean(state.n).ok_or_else(undefined)? - mean[a] * mean[b];
            }
        }
        Ok(Covariance { n: state.n, mean, matrix })
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<CrossState> {
        let mut state = self.start();
        state.n = take_count(bytes)?;
        state.dropped = take_count(bytes)?;
        for sum in state.sums.iter_mut().chain(&mut state.products) {
            *sum = Sum::decode(bytes)?;
        }
        Ok(state)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("cross_moments", 1, &*self.0))
    }
}
