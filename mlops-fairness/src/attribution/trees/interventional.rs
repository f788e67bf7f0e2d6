//! Interventional Shapley values.

use mlops_core::arrow::array::RecordBatch;
use mlops_core::model::trees::TreeEnsemble;
use mlops_core::{Result, Scan};
use rayon::prelude::*;

use super::super::{Attributions, Background, Explainer, Watch};
use super::against::{Against, MAX_BYTES};
use super::binned::read;
use super::units::GROUP;

/// Rows that a thread explains at once.
const TILE: usize = 1024;

/// Shapley values of the margin of a tree ensemble, interventional: what a feature is worth where a
/// coalition has the row's values and the others those of a background row, on average over the
/// background.
///
/// The whole training set can be the background: time is `O(n_background + n_rows)`, not their
/// product. For every small piece of a tree the background is counted by the few bits that decide
/// on it, once; a table of attributions by the row's bits is made of the counts, and a row looks
/// its values up. Leaves of up to 12 distinct features have tables of `2ᵈ · d` numbers, smaller ones
/// where all tables together would take more than [`MAX_BYTES`](Self::MAX_BYTES); of others the
/// distinct patterns of the background are kept, at most one for each of its rows, and the time for
/// a row grows with their number.
///
/// Every row is held against the margin that the model computes on its own. The same bits for any
/// threads, batches and order of rows to explain; of the background, too, where it has no weights
/// or whole ones.
///
/// Lundberg et al. 2020, doi:10.1038/s42256-019-0138-9; shap:
/// `TreeExplainer(model, background, feature_perturbation="interventional")`.
#[derive(Clone, Debug)]
pub struct InterventionalExplainer {
    model: TreeEnsemble,
    against: Against,
}

impl InterventionalExplainer {
    /// What tables and lists may take together.
    pub const MAX_BYTES: usize = MAX_BYTES;

    /// An explainer against these background rows, with their weights if they have any.
    ///
    /// # Errors
    /// As [`TreeEnsemble::margin`]; [`Error::Value`](mlops_core::Error::Value) for a background row without a value that the
    /// model requires; [`Error::Invalid`](mlops_core::Error::Invalid) if lists would take more than
    /// [`MAX_BYTES`](Self::MAX_BYTES); [`Error::Undefined`](mlops_core::Error::Undefined) for a background of no weight, or a
    /// mean margin that overflows.
    pub fn new(model: &TreeEnsemble, background: &Background) -> Result<Self> {
        let against = Against::rows(model, background, false)?;
        Ok(Self { model: model.clone(), against })
    }

    /// An explainer against all rows of a source, read once, a batch at a time: what is kept does
    /// not grow with them. Batch size, progress and cancelling are the scan's.
    ///
    /// # Errors
    /// As [`new`](Self::new), those of the source, and [`Error::Cancelled`](mlops_core::Error::Cancelled).
    pub fn over(model: &TreeEnsemble, scan: Scan<'_>) -> Result<Self> {
        let against = Against::scan(model, scan, None, false)?;
        Ok(Self { model: model.clone(), against })
    }

    /// The same with the rows' weights in this column.
    ///
    /// # Errors
    /// As [`over`](Self::over); [`Error::Value`](mlops_core::Error::Value) for a weight that is missing, negative or not
    /// finite.
    pub fn over_weighted(model: &TreeEnsemble, scan: Scan<'_>, weights: &str) -> Result<Self> {
        let against = Against::scan(model, scan, Some(weights), false)?;
        Ok(Self { model: model.clone(), against })
    }

    /// The ensemble that is explained.
    pub fn model(&self) -> &TreeEnsemble {
        &self.model
    }

    /// The mean margin of each output over the background.
    pub fn base_values(&self) -> &[f64] {
        &self.against.base_values
    }

    /// Explains the rows of a batch, on all threads of the caller's pool.
    ///
    /// # Errors
    /// As [`TreeExplainer::explain`](super::TreeExplainer::explain).
    pub fn explain(&self, batch: &RecordBatch) -> Result<Attributions> {
        self.explain_with(batch, Watch::new())
    }
}

impl Explainer for InterventionalExplainer {
    fn features(&self) -> &[String] {
        &self.against.named.features
    }

    fn outputs(&self) -> &[String] {
        &self.against.named.outputs
    }

    fn explain_with(&self, batch: &RecordBatch, watch: Watch<'_>) -> Result<Attributions> {
        watch.check()?;
        let (columns, margins) = read(&self.model, batch)?;
        let named = &self.against.named;
        let (n, features) = (columns.len(), named.features.len());
        let width = features * named.outputs.len();
        let mut values = vec![0.0; n * width];
        watch.check()?;
        if n > 0 && !named.used.is_empty() {
            let steps = watch.steps(n);
            let fair = n.div_ceil(rayon::current_num_threads()).next_multiple_of(GROUP);
            let tile = fair.clamp(GROUP, TILE);
            values.par_chunks_mut(tile * width).enumerate().try_for_each(|(at, out)| {
                let rows = at * tile..at * tile + out.len() / width;
                let done = rows.len() as u64;
                self.against.explain(&self.model, &columns, rows, watch, |row, output, phi| {
                    let out = &mut out[row * width + output * features..][..features];
                    named.spread(phi, out);
                })?;
                steps.done(done)
            })?;
        }
        let parts = named.parts(&self.against.base_values, values, &margins);
        Attributions::new(parts, Attributions::TOLERANCE)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mlops_core::MemorySource;
    use mlops_core::arrow::array::{ArrayRef, Float64Array};
    use mlops_core::model::Link;
    use mlops_core::model::trees::{Feature, Node, Question, Side, Split, Tree};
    use mlops_core::stats::Draws;
    use proptest::prelude::*;

    use super::super::against::Counting;
    use super::super::testing::{FEATURES, Kinds, ensemble, mixed, row, rows, shapley};
    use super::super::units::TABLE_BITS;
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn the_definition_agrees(
            seed in any::<u64>(),
            trees in 1usize..4,
            depth in 0usize..7,
            outputs in 1usize..3,
            weighted in any::<bool>(),
        ) {
            let model = ensemble(seed, Kinds { trees, depth, outputs, zero_covers: true });
            let (batch, others) = (rows(seed, 4), rows(seed ^ 1, 70));
            let weight = |at: usize| if weighted { (at % 4) as f64 / 2.0 } else { 1.0 };
            let background = if weighted {
                Background::weighted(others.clone(), (0..70).map(weight).collect()).unwrap()
            } else {
                Background::new(others.clone()).unwrap()
            };
            let explainer = InterventionalExplainer::new(&model, &background).unwrap();
            let explained = explainer.explain(&batch).unwrap();
            let all: Vec<_> = (0..70).map(|at| (row(&model, &others, at), weight(at))).collect();
            for at in 0..4 {
                let x = row(&model, &batch, at);
                for k in 0..outputs {
                    let expected = shapley(FEATURES, |s| mixed(&model, &x, &all, s, k));
                    for (found, expected) in explained.of(at, k).unwrap().iter().zip(&expected) {
                        prop_assert!((found - expected).abs() < 1e-13, "{found} {expected}");
                    }
                }
            }
            let weights = Float64Array::from_iter_values((0..70).map(weight));
            let names: Vec<_> = others.schema().fields().iter().map(|f| f.name().clone()).collect();
            let columns = names.into_iter().zip(others.columns().iter().cloned());
            let all = columns.chain([("w".to_owned(), Arc::new(weights) as ArrayRef)]);
            let source = MemorySource::from(RecordBatch::try_from_iter(all).unwrap());
            let scan = Scan::new(&source).batch_size(13);
            let streamed = if weighted {
                InterventionalExplainer::over_weighted(&model, scan, "w").unwrap()
            } else {
                InterventionalExplainer::over(&model, scan).unwrap()
            };
            prop_assert_eq!(streamed.explain(&batch).unwrap(), explained);
        }
    }

    /// Leaves of 2 to 11 distinct features, of which those beyond 8 are kept in tables and lists.
    #[test]
    fn tables_and_lists_agree() {
        let mut nodes = Vec::new();
        for depth in 0..11 {
            let left = nodes.len() as u32 + 2;
            nodes.push(Node::Split(Split {
                feature: depth,
                question: Question::Below(0.5),
                missing: Side::Left,
                zero_is_missing: false,
                left,
                right: left - 1,
                cover: 1.0,
            }));
            nodes.push(Node::Leaf { value: depth, cover: 1.0 });
        }
        nodes.push(Node::Leaf { value: 11, cover: 1.0 });
        let features = (0..11).map(|f| Feature::number(format!("x{f}"))).collect();
        let tree = Tree::new(nodes, (0..12).map(|v| f64::from(v * v)).collect());
        let model = TreeEnsemble::new(features, vec![tree], vec![0.0], Link::Identity).unwrap();
        let batch = |n: usize, seed| {
            let mut draws = Draws::new(seed, 0, 0);
            let columns = (0..11).map(|f| {
                let x = (0..n).map(|_| f64::from(draws.bernoulli(0.3)));
                (format!("x{f}"), Arc::new(Float64Array::from_iter_values(x)) as ArrayRef)
            });
            RecordBatch::try_from_iter(columns.collect::<Vec<_>>()).unwrap()
        };
        let of = |bits: usize| {
            let mut counting = Counting::with_tables(&model, bits, false).unwrap();
            counting.add(&batch(300, 1), None).unwrap();
            let against = counting.finish().unwrap();
            let explainer = InterventionalExplainer { model: model.clone(), against };
            explainer.explain(&batch(130, 2)).unwrap()
        };
        let tables = of(TABLE_BITS);
        assert!(tables.additivity.worst < 1e-13);
        for bits in [8, 5, 0] {
            let lists = of(bits);
            assert!(lists.additivity.worst < 1e-13);
            for (a, b) in tables.values.iter().zip(&lists.values) {
                assert!((a - b).abs() < 1e-12, "{bits}: {a} {b}");
            }
        }
    }
}
