//! Sums of products of columns around given centres.

use mlops_core::bytes::{add_count, put_u64, take_count};
use mlops_core::states::Sum;
use mlops_core::{Analyzer, Description, Result, Rows, State};
use serde::{Deserialize, Serialize};

use super::encoding::Encoded;

/// Sums of products of sensitive columns with each other and with the features, each less its
/// centre: the normal equations of a regression of the features on the sensitive columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CrossProducts {
    pub(super) sensitive: Vec<Encoded>,
    pub(super) features: Vec<Encoded>,
}

/// The rows in which everything is a number, and the sums over them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CrossProductsState {
    rows: u64,
    left_out: u64,
    /// Of each column and each two: first the sums of all columns, then the products of the
    /// sensitive ones with all from themselves on.
    sums: Vec<Sum>,
}

/// What [`CrossProducts`] gives.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NormalEquations {
    pub(super) rows: u64,
    pub(super) left_out: u64,
    /// How far the mean of each column is from its centre.
    pub(super) means: Vec<f64>,
    /// Covariances times rows of each sensitive column with all columns.
    pub(super) products: Vec<Vec<f64>>,
}

impl CrossProducts {
    fn width(&self) -> usize {
        self.sensitive.len() + self.features.len()
    }

    /// The pairs of the products, in the order of the sums.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let (p, width) = (self.sensitive.len(), self.width());
        (0..p).flat_map(move |i| (i..width).map(move |j| (i, j)))
    }
}

impl State for CrossProductsState {
    fn merge(&mut self, other: Self) -> Result<()> {
        add_count(&mut self.rows, other.rows);
        add_count(&mut self.left_out, other.left_out);
        for (mine, theirs) in self.sums.iter_mut().zip(other.sums) {
            mine.merge(theirs)?;
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.rows);
        put_u64(out, self.left_out);
        for sum in &self.sums {
            sum.encode(out);
        }
    }

    fn size(&self) -> usize {
        16 + self.sums.iter().map(State::size).sum::<usize>()
    }
}

impl Analyzer for CrossProducts {
    type State = CrossProductsState;
    type Output = NormalEquations;

    fn columns(&self) -> Vec<String> {
        let mut columns: Vec<String> =
            self.sensitive.iter().chain(&self.features).map(|c| c.column.clone()).collect();
        columns.sort();
        columns.dedup();
        columns
    }

    fn start(&self) -> CrossProductsState {
        let sums = self.width() + self.pairs().count();
        CrossProductsState { rows: 0, left_out: 0, sums: vec![Sum::default(); sums] }
    }

    fn update(&self, state: &mut CrossProductsState, rows: &Rows<'_>) -> Result<()> {
        let columns: Vec<Vec<f64>> = self
            .sensitive
            .iter()
            .chain(&self.features)
            .map(|column| column.centred(rows))
            .collect::<Result<_>>()?;
        let whole: Vec<usize> =
            (0..rows.len()).filter(|&row| columns.iter().all(|c| c[row].is_finite())).collect();
        add_count(&mut state.rows, whole.len() as u64);
        add_count(&mut state.left_out, (rows.len() - whole.len()) as u64);
        let (single, products) = state.sums.split_at_mut(columns.len());
        let mut values = Vec::with_capacity(whole.len());
        for (sum, column) in single.iter_mut().zip(&columns) {
            values.clear();
            values.extend(whole.iter().map(|&row| column[row]));
            sum.add_slice(&values);
        }
        for (sum, (i, j)) in products.iter_mut().zip(self.pairs()) {
            values.clear();
            values.extend(whole.iter().map(|&row| columns[i][row] * columns[j][row]));
            sum.add_slice(&values);
        }
        Ok(())
    }

    fn finish(&self, state: CrossProductsState) -> Result<NormalEquations> {
        let n = state.rows as f64;
        let (single, products) = state.sums.split_at(self.width());
        let sums: Vec<f64> = single.iter().map(Sum::value).collect();
        let mut found: Vec<Vec<f64>> = vec![vec![0.0; self.width()]; self.sensitive.len()];
        for (sum, (i, j)) in products.iter().zip(self.pairs()) {
            // The centres are not quite the means.
            let value = if n > 0.0 { sum.value() - sums[i] / n * sums[j] } else { 0.0 };
            found[i][j] = value;
            if j < self.sensitive.len() {
                found[j][i] = value;
            }
        }
        Ok(NormalEquations {
            rows: state.rows,
            left_out: state.left_out,
            means: sums.iter().map(|sum| if n > 0.0 { sum / n } else { 0.0 }).collect(),
            products: found,
        })
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<CrossProductsState> {
        let (rows, left_out) = (take_count(bytes)?, take_count(bytes)?);
        let n = self.width() + self.pairs().count();
        let sums = (0..n).map(|_| Sum::decode(bytes)).collect::<Result<_>>()?;
        Ok(CrossProductsState { rows, left_out, sums })
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("cross_products", 1, self))
    }
}
