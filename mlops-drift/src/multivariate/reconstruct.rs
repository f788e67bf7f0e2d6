//! The measurement behind PCA reconstruction: the error of each point outside of a subspace.

use std::sync::Arc;

use mlops_core::bytes::{
    add_count, bad, put_f64, put_len, put_u64, take_count, take_f64, take_len, take_u64,
};
use mlops_core::states::{Moments, Sum};
use mlops_core::{Analyzer, Description, Error, Result, Rows, State};
use serde::{Deserialize, Serialize};

use crate::multivariate::space::{Batch, Space};

/// A subspace of a space of points, by components that are orthogonal and of length 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Subspace {
    pub(crate) space: Space,
    pub(crate) components: Vec<Vec<f64>>,
    /// How many errors are kept one by one.
    pub(crate) cap: usize,
}

impl Subspace {
    /// Whether its parts fit each other, as those of a fitted one do.
    pub(crate) fn is_sound(&self) -> bool {
        let d = self.space.dimension();
        let finite = |x: &[f64]| x.len() == d && x.iter().all(|x| x.is_finite());
        self.space.is_sound()
            && self.cap > 0
            && !self.components.is_empty()
            && self.components.len() < d
            && self.components.iter().all(|component| finite(component))
    }

    /// What is left of each point outside of the subspace, in the place of the point.
    pub(crate) fn leave_residuals(&self, batch: &mut Batch) {
        let mut along = vec![0.0; self.components.len()];
        for point in batch.x.chunks_exact_mut(self.space.dimension()) {
            for (along, component) in along.iter_mut().zip(&self.components) {
                *along = point.iter().zip(component).map(|(x, c)| x * c).sum();
            }
            for (along, component) in along.iter().zip(&self.components) {
                for (x, c) in point.iter_mut().zip(component) {
                    *x -= along * c;
                }
            }
        }
    }

    /// The lengths of the residuals.
    pub(crate) fn errors(&self, batch: &Batch) -> Vec<f64> {
        let points = batch.x.chunks_exact(self.space.dimension());
        points.map(|point| point.iter().map(|x| x * x).sum::<f64>().sqrt()).collect()
    }
}

/// Measures the errors of rows.
#[derive(Clone, Debug)]
pub(crate) struct Reconstruct(pub(crate) Arc<Subspace>);

/// What [`Reconstruct`] remembers.
#[derive(Clone, Debug)]
pub(crate) struct ReconstructState {
    cap: usize,
    dropped: u64,
    imputed: u64,
    errors: Moments,
    /// Of each coordinate, the sum of its squared residuals.
    squares: Vec<Sum>,
    /// Errors drawn by priority, in no order.
    drawn: Vec<(u64, f64)>,
    limit: u64,
}

/// Errors of rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Errors {
    pub(crate) moments: Moments,
    pub(crate) dropped: u64,
    pub(crate) imputed: u64,
    /// Of each coordinate the mean squared residual; they add up to the mean squared error.
    pub(crate) squares: Vec<f64>,
    /// A sample of the errors.
    pub(crate) drawn: Vec<f64>,
}

fn order(a: &(u64, f64), b: &(u64, f64)) -> std::cmp::Ordering {
    a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
}

impl ReconstructState {
    fn prune(&mut self) {
        if self.drawn.len() > self.cap {
            self.drawn.select_nth_unstable_by(self.cap - 1, order);
            self.drawn.truncate(self.cap);
            self.limit = self.drawn.last().map_or(u64::MAX, |last| last.0);
        }
    }
}

impl State for ReconstructState {
    fn merge(&mut self, other: Self) -> Result<()> {
        if self.cap != other.cap || self.squares.len() != other.squares.len() {
            return Err(Error::merge(
                "errors of reconstruction",
                "they are of different subspaces",
            ));
        }
        add_count(&mut self.dropped, other.dropped);
        add_count(&mut self.imputed, other.imputed);
        self.errors.merge(other.errors)?;
        let squares = self.squares.iter_mut().zip(other.squares);
        squares.into_iter().try_for_each(|(mine, theirs)| mine.merge(theirs))?;
        self.drawn.extend(other.drawn);
        self.limit = self.limit.min(other.limit);
        self.prune();
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let mut sorted = self.clone();
        sorted.prune();
        sorted.drawn.sort_unstable_by(order);
        put_u64(out, self.dropped);
        put_u64(out, self.imputed);
        self.errors.encode(out);
        for sum in &self.squares {
            sum.encode(out);
        }
        put_len(out, sorted.drawn.len());
        for (priority, error) in sorted.drawn {
            put_u64(out, priority);
            put_f64(out, error);
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + size_of::<Sum>() * self.squares.len() + 16 * self.drawn.len()
    }
}

impl Analyzer for Reconstruct {
    type State = ReconstructState;
    type Output = Errors;

    fn columns(&self) -> Vec<String> {
        self.0.space.encoder.columns.iter().map(|c| c.name.clone()).collect()
    }

    fn start(&self) -> ReconstructState {
        ReconstructState {
            cap: self.0.cap,
            dropped: 0,
            imputed: 0,
            errors: Moments::new(),
            squares: vec![Sum::new(); self.0.space.dimension()],
            drawn: Vec::new(),
            limit: u64::MAX,
        }
    }

    fn update(&self, state: &mut ReconstructState, rows: &Rows<'_>) -> Result<()> {
        let mut batch = self.0.space.points(rows)?;
        self.0.leave_residuals(&mut batch);
        let errors = self.0.errors(&batch);
        add_count(&mut state.dropped, batch.dropped);
        add_count(&mut state.imputed, batch.imputed);
        state.errors.add_slice(&errors);
        let d = self.0.space.dimension();
        for (f, sum) in state.squares.iter_mut().enumerate() {
            let squares: Vec<f64> = batch.x.iter().skip(f).step_by(d).map(|x| x * x).collect();
            sum.add_slice(&squares);
        }
        for ((_, priority), error) in batch.rows.into_iter().zip(errors) {
            if priority <= state.limit {
                state.drawn.push((priority, error));
                if state.drawn.len() >= state.cap.saturating_mul(2) {
                    state.prune();
                }
            }
        }
        Ok(())
    }

    fn finish(&self, mut state: ReconstructState) -> Result<Errors> {
        state.prune();
        let n = state.errors.n();
        // By size: as long as all are kept, what follows does not depend on how rows are numbered.
        let mut drawn: Vec<f64> = state.drawn.into_iter().map(|(_, error)| error).collect();
        drawn.sort_unstable_by(f64::total_cmp);
        Ok(Errors {
            moments: state.errors,
            dropped: state.dropped,
            imputed: state.imputed,
            squares: state.squares.iter().filter_map(|s| s.mean(n)).collect(),
            drawn,
        })
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<ReconstructState> {
        let mut state = self.start();
        state.dropped = take_count(bytes)?;
        state.imputed = take_count(bytes)?;
        state.errors = Moments::decode(bytes)?;
        for sum in &mut state.squares {
            *sum = Sum::decode(bytes)?;
        }
        let len = take_len(bytes, 16)?;
        if len > state.cap || len as u64 > state.errors.n() {
            return Err(bad(bytes, format!("at most {} errors", state.cap), len));
        }
        for _ in 0..len {
            let drawn = (take_u64(bytes)?, take_f64(bytes)?);
            let in_order = state.drawn.last().is_none_or(|last| order(last, &drawn).is_le());
            if !in_order || !drawn.1.is_finite() || drawn.1.is_sign_negative() {
                return Err(bad(bytes, "errors of at least 0, in their order", drawn.1));
            }
            state.drawn.push(drawn);
        }
        if state.drawn.len() == state.cap {
            state.limit = state.drawn.last().map_or(u64::MAX, |last| last.0);
        }
        Ok(state)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("pca_reconstruction", 1, &*self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::multivariate::encoding::Encoding;
    use crate::multivariate::row_sample::{Half, RowSample};
    use crate::multivariate::space::CrossMoments;
    use arrow::array::{Float64Array, StringArray};
    use mlops_core::{MemorySource, batch};

    #[test]
    fn its_measurements_keep_the_contract_of_an_analyzer() {
        let n = 60;
        let x = [Some(1.5), Some(-0.0), None, Some(f64::NAN), Some(1e300), Some(5e-324), Some(2.0)];
        let rows = batch! {
            "x" => (0..n).map(|i| x[i % 7]).collect::<Float64Array>(),
            "y" => Float64Array::from_iter_values((0..n).map(|i| (i * i % 17) as f64)),
            "s" => (0..n).map(|i| (i % 4 > 0).then(|| ["a", "b", "c"][i % 3])).collect::<StringArray>(),
        }
        .unwrap();
        for half in [None, Some(Half::Held)] {
            let sample = RowSample::of(rows.schema_ref(), 3).unwrap();
            let sample = sample.draw(&MemorySource::from(rows.clone())).unwrap();
            let mut space = Space::of(Encoding::default(), &sample, 3);
            space.half = half;
            mlops_core::conformance::analyzer(&CrossMoments(Arc::new(space.clone())), &rows);
            let components = vec![vec![0.6, 0.8, 0.0]];
            for cap in [5, 100] {
                let subspace =
                    Subspace { space: space.clone(), components: components.clone(), cap };
                assert!(subspace.is_sound());
                mlops_core::conformance::analyzer(&Reconstruct(Arc::new(subspace)), &rows);
            }
        }
    }
}
