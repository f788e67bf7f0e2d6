//! Interventional Shapley values.

use mlops_core::arrow::array::RecordBatch;
use mlops_core::model::trees::{Columns, Target, TreeEnsemble};
use mlops_core::{Error, Result, Scan, states::RowCount};
use rayon::prelude::*;

use super::super::{AttributionParts, Attributions, Background, Explainer, Watch};
use super::binned::{Binned, Named, read};
use super::program::{Outline, Places};
use super::units::{GROUP, Scratch, TABLE_BITS, UNIT_BITS, Units};

/// Rows that a thread explains at once.
const TILE: usize = 1024;
/// Background rows that are binned at once.
const BACKGROUND_TILE: usize = 1 << 14;

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
    named: Named,
    base_values: Vec<f64>,
    /// Of each output its trees.
    outputs: Vec<Vec<Units>>,
}

impl InterventionalExplainer {
    /// What tables and lists may take together.
    pub const MAX_BYTES: usize = 1 << 30;

    /// An explainer against these background rows, with their weights if they have any.
    ///
    /// # Errors
    /// As [`TreeEnsemble::margin`]; [`Error::Value`] for a background row without a value that the
    /// model requires; [`Error::Invalid`] if lists would take more than
    /// [`MAX_BYTES`](Self::MAX_BYTES); [`Error::Undefined`] for a background of no weight, or a
    /// mean margin that overflows.
    pub fn new(model: &TreeEnsemble, background: &Background) -> Result<Self> {
        let mut counting = Counting::new(model);
        counting.add(background.rows(), background.weights())?;
        counting.finish()
    }

    /// An explainer against all rows of a source, read once, a batch at a time: what is kept does
    /// not grow with them. Batch size, progress and cancelling are the scan's.
    ///
    /// # Errors
    /// As [`new`](Self::new), those of the source, and [`Error::Cancelled`].
    pub fn over(model: &TreeEnsemble, scan: Scan<'_>) -> Result<Self> {
        let mut counting = Counting::new(model);
        scan.in_order(&RowCount, |rows| counting.add(rows.batch()?, None))?;
        counting.finish()
    }

    /// The ensemble that is explained.
    pub fn model(&self) -> &TreeEnsemble {
        &self.model
    }

    /// The mean margin of each output over the background.
    pub fn base_values(&self) -> &[f64] {
        &self.base_values
    }

    /// Explains the rows of a batch, on all threads of the caller's pool.
    ///
    /// # Errors
    /// As [`TreeExplainer::explain`](super::TreeExplainer::explain).
    pub fn explain(&self, batch: &RecordBatch) -> Result<Attributions> {
        self.explain_with(batch, Watch::new())
    }

    fn tile(&self, columns: &Columns, rows: std::ops::Range<usize>, out: &mut [f64]) {
        let (n, used) = (rows.len(), self.named.used.len());
        let (features, k) = (self.named.features.len(), self.outputs.len());
        let binned = Binned::new(self.model.routes(), columns, rows, GROUP);
        let mut scratch = Scratch::default();
        let mut phi = vec![0.0; n * used];
        for (output, trees) in self.outputs.iter().enumerate() {
            phi.fill(0.0);
            for tree in trees {
                for (group, phi) in phi.chunks_mut(GROUP * used).enumerate() {
                    tree.explain(binned.bins(), group * GROUP, &mut scratch, phi, used);
                }
            }
            for (row, phi) in phi.chunks_exact(used).enumerate() {
                let out = &mut out[(row * k + output) * features..][..features];
                for (&feature, &phi) in self.named.used.iter().zip(phi) {
                    out[feature as usize] = phi;
                }
            }
        }
    }
}

impl Explainer for InterventionalExplainer {
    fn features(&self) -> &[String] {
        &self.named.features
    }

    fn outputs(&self) -> &[String] {
        &self.named.outputs
    }

    fn explain_with(&self, batch: &RecordBatch, watch: Watch<'_>) -> Result<Attributions> {
        let (columns, margins) = read(&self.model, batch)?;
        let (n, width) = (columns.len(), self.named.features.len() * self.outputs.len());
        let mut values = vec![0.0; n * width];
        watch.check()?;
        if n > 0 && !self.named.used.is_empty() {
            let steps = watch.steps(n);
            let fair = n.div_ceil(rayon::current_num_threads()).next_multiple_of(GROUP);
            let tile = fair.clamp(GROUP, TILE);
            values.par_chunks_mut(tile * width).enumerate().try_for_each(|(at, out)| {
                let rows = at * tile..at * tile + out.len() / width;
                let done = rows.len() as u64;
                self.tile(&columns, rows, out);
                steps.done(done)
            })?;
        }
        let parts = AttributionParts {
            features: self.named.features.clone(),
            outputs: self.named.outputs.clone(),
            space: self.named.space,
            base_values: self.base_values.clone(),
            values,
            predictions: margins.values().to_vec(),
        };
        Attributions::new(parts, Attributions::TOLERANCE)
    }
}

/// Trees while the background is counted.
#[derive(Debug)]
struct Counting<'a> {
    model: &'a TreeEnsemble,
    named: Named,
    outputs: Vec<Vec<Units>>,
    total: f64,
}

impl<'a> Counting<'a> {
    fn new(model: &'a TreeEnsemble) -> Self {
        // Tables of fewer bits until they fit.
        let mut bits = TABLE_BITS;
        loop {
            let all = Self::with_tables(model, bits);
            let bytes: usize = all.outputs.iter().flatten().map(Units::table_bytes).sum();
            if bytes <= InterventionalExplainer::MAX_BYTES || bits == UNIT_BITS {
                return all;
            }
            bits -= 1;
        }
    }

    /// With tables for leaves of at most so many distinct features.
    fn with_tables(model: &'a TreeEnsemble, bits: usize) -> Self {
        let named = Named::of(model);
        let (outputs, features) = (model.outputs(), named.features.len());
        let of = |output: usize| {
            let trees = model.trees().par_iter().enumerate();
            trees
                .filter(|(_, tree)| match tree.target {
                    Target::One(k) => k as usize == output,
                    Target::All => true,
                })
                .map(|(at, tree)| {
                    let outline = Outline::new(tree, output, outputs, features);
                    let places = Places { routes: model.routes(), tree: at, used: &named.place };
                    Units::new(&outline, places, bits)
                })
                .collect()
        };
        let outputs = (0..outputs).map(of).collect();
        Self { model, named, outputs, total: 0.0 }
    }

    fn add(&mut self, batch: &RecordBatch, weights: Option<&[f64]>) -> Result<()> {
        let (columns, _) = read(self.model, batch)?;
        for first in (0..columns.len()).step_by(BACKGROUND_TILE) {
            let rows = first..columns.len().min(first + BACKGROUND_TILE);
            let n = rows.len();
            let binned = Binned::new(self.model.routes(), &columns, rows, GROUP);
            let weight = |row: usize| weights.map_or(1.0, |w| w[first + row]);
            self.outputs.par_iter_mut().flatten().for_each(|tree| {
                tree.count(binned.bins(), n, weight, &mut Scratch::default());
            });
            self.total += (0..n).map(weight).sum::<f64>();
        }
        let lists: usize = self.outputs.iter().flatten().map(Units::list_bytes).sum();
        if lists > InterventionalExplainer::MAX_BYTES {
            let expected =
                format!("patterns in at most {} bytes", InterventionalExplainer::MAX_BYTES);
            return Err(Error::invalid(
                "background of leaves with more than 12 features",
                expected,
                format!("{lists} of them; sample the background"),
            ));
        }
        Ok(())
    }

    fn finish(self) -> Result<InterventionalExplainer> {
        let Self { model, named, mut outputs, total } = self;
        if total <= 0.0 {
            return Err(Error::undefined("base value", "the background has no rows of any weight"));
        }
        let mut base_values = model.base().to_vec();
        for (base, trees) in base_values.iter_mut().zip(&mut outputs) {
            let means: Vec<f64> = trees.par_iter_mut().map(|tree| tree.finish(total)).collect();
            *base = means.iter().fold(*base, |sum, mean| sum + mean);
        }
        if base_values.iter().any(|b| !b.is_finite()) {
            return Err(Error::undefined("base value", "the mean margin overflows"));
        }
        Ok(InterventionalExplainer { model: model.clone(), named, base_values, outputs })
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

    use super::super::testing::{FEATURES, Kinds, ensemble, row, rows, shapley};
    use super::*;

    /// The weighted mean over the background of what an output says of mixed rows.
    fn brute(
        model: &TreeEnsemble,
        x: &[f64],
        background: &[(Vec<f64>, f64)],
        output: usize,
    ) -> Vec<f64> {
        let total: f64 = background.iter().map(|(_, w)| w).sum();
        shapley(FEATURES, |s| {
            let of = |b: &[f64]| -> f64 {
                let trees = model.trees().iter();
                trees
                    .map(|tree| {
                        let leaf = tree.leaf_of(|f| {
                            let f = f as usize;
                            if s >> f & 1 == 1 { x[f] } else { b[f] }
                        });
                        let Node::Leaf { value, .. } = tree.nodes[leaf] else { return 0.0 };
                        let value = value as usize;
                        tree.weight
                            * match tree.target {
                                Target::One(k) if k as usize == output => tree.values[value],
                                Target::One(_) => 0.0,
                                Target::All => tree.values[value * model.outputs() + output],
                            }
                    })
                    .sum()
            };
            background.iter().map(|(b, w)| w * of(b)).sum::<f64>() / total
        })
    }

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
                    let expected = brute(&model, &x, &all, k);
                    for (found, expected) in explained.of(at, k).unwrap().iter().zip(&expected) {
                        prop_assert!((found - expected).abs() < 1e-13, "{found} {expected}");
                    }
                }
            }
            if !weighted {
                let source = MemorySource::from(others);
                let scan = Scan::new(&source).batch_size(13);
                let streamed = InterventionalExplainer::over(&model, scan).unwrap();
                prop_assert_eq!(streamed.explain(&batch).unwrap(), explained);
            }
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
            let mut counting = Counting::with_tables(&model, bits);
            counting.add(&batch(300, 1), None).unwrap();
            counting.finish().unwrap().explain(&batch(130, 2)).unwrap()
        };
        let (tables, lists) = (of(TABLE_BITS), of(UNIT_BITS));
        assert!(tables.additivity.worst < 1e-13 && lists.additivity.worst < 1e-13);
        for (a, b) in tables.values.iter().zip(&lists.values) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
    }
}
