//! Trees against a background: its rows counted by the bits that decide, and tables of what every
//! pattern of bits is worth.

use std::collections::BTreeSet;
use std::fmt::{self, Debug};
use std::ops::Range;

use mlops_core::arrow::array::{Array, RecordBatch};
use mlops_core::model::trees::{Columns, Target, TreeEnsemble};
use mlops_core::{Error, Result, Scan, states::RowCount};
use rayon::prelude::*;

use super::super::{Background, Watch};
use super::binned::{Binned, Named, check_ways, read};
use super::program::{Outline, Places};
use super::units::{GROUP, Scratch, TABLE_BITS, Units};

/// What tables, or lists, may take together.
pub(super) const MAX_BYTES: usize = 1 << 30;
/// The most pairs of features in the leaves of all trees.
const MAX_PAIRS: usize = 1 << 26;
/// Background rows that are binned at once.
const BACKGROUND_TILE: usize = 1 << 14;

/// An ensemble against a background.
#[derive(Clone)]
pub(super) struct Against {
    pub(super) named: Named,
    pub(super) base_values: Vec<f64>,
    /// The pairs of used features that meet in a leaf, in order; none where only features are asked
    /// for.
    pub(super) pairs: Vec<(u32, u32)>,
    /// Of each output its trees.
    outputs: Vec<Vec<Units>>,
}

impl Debug for Against {
    /// Without the tables, which are of no size to be read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Against")
            .field("base_values", &self.base_values)
            .field("pairs", &self.pairs.len())
            .finish_non_exhaustive()
    }
}

impl Against {
    /// Against these rows, with their weights if they have any; of pairs of features, too, if they
    /// are asked for.
    pub(super) fn rows(model: &TreeEnsemble, background: &Background, pairs: bool) -> Result<Self> {
        let mut counting = Counting::new(model, pairs)?;
        counting.add(background.rows(), background.weights())?;
        counting.finish()
    }

    /// Against all rows of a source, read once, with their weights in a column if one is named.
    pub(super) fn scan(
        model: &TreeEnsemble,
        scan: Scan<'_>,
        weights: Option<&str>,
        pairs: bool,
    ) -> Result<Self> {
        let mut counting = Counting::new(model, pairs)?;
        scan.in_order(&RowCount, |rows| {
            let Some(column) = weights else { return counting.add(rows.batch()?, None) };
            let weights = rows.numbers(column)?;
            let fine = |w: f64| w >= 0.0 && w.is_finite();
            let bad = |row: &usize| weights.is_null(*row) || !fine(weights.value(*row));
            if let Some(row) = (0..weights.len()).find(bad) {
                let found = weights.is_valid(row).then(|| weights.value(row).to_string());
                return Err(Error::Value {
                    column: column.to_owned(),
                    row: row as u64,
                    expected: "a finite weight that is not negative".into(),
                    found: found.unwrap_or_else(|| "null".into()),
                });
            }
            counting.add(rows.batch()?, Some(weights.values()))
        })?;
        counting.finish()
    }

    /// How many numbers a row and output has: the used features, and the pairs behind them.
    fn width(&self) -> usize {
        self.named.used.len() + self.pairs.len()
    }

    /// Calls back for each of these rows and each output with what the used features, and the
    /// pairs behind them, are worth.
    pub(super) fn explain(
        &self,
        model: &TreeEnsemble,
        columns: &Columns,
        rows: Range<usize>,
        watch: Watch<'_>,
        mut each: impl FnMut(usize, usize, &[f64]),
    ) -> Result<()> {
        let (n, width) = (rows.len(), self.width());
        let binned = Binned::new(model.routes(), columns, rows, GROUP);
        let mut scratch = Scratch::default();
        let mut phi = vec![0.0; n * width];
        for (output, trees) in self.outputs.iter().enumerate() {
            phi.fill(0.0);
            for tree in trees {
                watch.check()?;
                for (group, phi) in phi.chunks_mut((GROUP * width).max(1)).enumerate() {
                    tree.explain(binned.bins(), group * GROUP, &mut scratch, phi, width);
                }
            }
            for row in 0..n {
                each(row, output, &phi[row * width..(row + 1) * width]);
            }
        }
        Ok(())
    }
}

/// Trees while the background is counted.
#[derive(Debug)]
pub(super) struct Counting<'a> {
    model: &'a TreeEnsemble,
    named: Named,
    outputs: Vec<Vec<Units>>,
    pairs: Vec<(u32, u32)>,
    total: f64,
}

impl<'a> Counting<'a> {
    fn new(model: &'a TreeEnsemble, pairs: bool) -> Result<Self> {
        check_ways(model)?;
        // Tables of fewer bits until they fit.
        for bits in (0..=TABLE_BITS).rev() {
            let all = Self::with_tables(model, bits, pairs)?;
            let bytes: usize = all.outputs.iter().flatten().map(Units::table_bytes).sum();
            if bytes <= MAX_BYTES {
                return Ok(all);
            }
        }
        let expected = format!("tables in at most {MAX_BYTES} bytes");
        Err(Error::invalid("trees against a background", expected, "too many leaves"))
    }

    /// With tables for leaves of at most so many distinct features.
    pub(super) fn with_tables(model: &'a TreeEnsemble, bits: usize, pairs: bool) -> Result<Self> {
        let named = Named::of(model);
        let (outputs, features) = (model.outputs(), named.features.len());
        let of = |output: usize| -> Vec<Units> {
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
        let mut outputs: Vec<_> = (0..outputs).map(of).collect();
        let mut all = BTreeSet::new();
        if pairs {
            let most = outputs.iter().flatten().map(Units::most_pairs);
            let most = most.fold(0, usize::saturating_add);
            if most > MAX_PAIRS {
                let expected = format!("at most {MAX_PAIRS} pairs of features in all leaves");
                return Err(Error::invalid(
                    "trees whose interactions are asked for",
                    expected,
                    most,
                ));
            }
            outputs.iter_mut().flatten().for_each(|tree| tree.add_pairs(&mut all));
        }
        let pairs: Vec<_> = all.into_iter().collect();
        let used = named.used.len();
        outputs.par_iter_mut().flatten().for_each(|tree| tree.number_pairs(&pairs, used));
        Ok(Self { model, named, outputs, pairs, total: 0.0 })
    }

    pub(super) fn add(&mut self, batch: &RecordBatch, weights: Option<&[f64]>) -> Result<()> {
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
            let lists: usize = self.outputs.iter().flatten().map(Units::list_bytes).sum();
            if lists > MAX_BYTES {
                return Err(Error::invalid(
                    "background of leaves with many features",
                    format!("patterns in at most {MAX_BYTES} bytes"),
                    format!("{lists} of them; sample the background"),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Against> {
        let Self { model, named, mut outputs, pairs, total } = self;
        if total <= 0.0 {
            return Err(Error::undefined("base value", "the background has no rows of any weight"));
        }
        if !total.is_finite() {
            return Err(Error::undefined("base value", "the weights of the background overflow"));
        }
        let mut base_values = model.base().to_vec();
        for (base, trees) in base_values.iter_mut().zip(&mut outputs) {
            let means: Vec<f64> = trees.par_iter_mut().map(|tree| tree.finish(total)).collect();
            *base = means.iter().fold(*base, |sum, mean| sum + mean);
        }
        if base_values.iter().any(|b| !b.is_finite()) {
            return Err(Error::undefined("base value", "the mean margin overflows"));
        }
        Ok(Against { named, base_values, pairs, outputs })
    }
}
