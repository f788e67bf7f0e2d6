//! Rows as the bins that splits compare, and what all tree explainers know of their model.

use std::ops::Range;

use mlops_core::arrow::array::{Array, Float64Array, RecordBatch};
use mlops_core::model::Link;
use mlops_core::model::trees::{BinWidth, Columns, Node, Routes, Target, Tree, TreeEnsemble};
use mlops_core::{Error, Result};

use super::super::explainer::outputs_of;
use super::super::{AttributionParts, Space};
use super::kernel::{Bins, Width};
use super::program::Outline;

/// The bins of some rows.
#[derive(Debug)]
pub(super) struct Binned {
    stride: usize,
    of: Kept,
}

#[derive(Debug)]
enum Kept {
    U16(Vec<u16>),
    U32(Vec<u32>),
}

impl Binned {
    /// These rows, filled up to a multiple of `lanes` with rows that nobody looks at.
    pub(super) fn new(
        routes: &Routes,
        columns: &Columns,
        rows: Range<usize>,
        lanes: usize,
    ) -> Self {
        // One more group, so that slots don't share their places in the cache.
        let stride = rows.len().next_multiple_of(lanes) + lanes;
        let of = if routes.width() <= BinWidth::U16 {
            let mut bins = vec![0u16; routes.slots() * stride];
            routes.bin(columns, rows, stride, &mut bins);
            Kept::U16(bins)
        } else {
            let mut bins = vec![0u32; routes.slots() * stride];
            routes.bin(columns, rows, stride, &mut bins);
            Kept::U32(bins)
        };
        Self { stride, of }
    }

    pub(super) fn bins(&self) -> Bins<'_> {
        let of = match &self.of {
            Kept::U16(bins) => Width::U16(bins),
            Kept::U32(bins) => Width::U32(bins),
        };
        Bins { stride: self.stride, of }
    }
}

/// What stands in the names and places of attributions of an ensemble.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Named {
    pub(super) features: Vec<String>,
    pub(super) outputs: Vec<String>,
    pub(super) space: Space,
    /// The features that some split asks, ascending.
    pub(super) used: Vec<u32>,
    /// Of each feature its place among them.
    pub(super) place: Vec<u32>,
}

impl Named {
    pub(super) fn of(model: &TreeEnsemble) -> Self {
        let features: Vec<String> = model.features().iter().map(|f| f.name.clone()).collect();
        let mut asked = vec![false; features.len()];
        for node in model.trees().iter().flat_map(|tree| &tree.nodes) {
            if let Node::Split(split) = node {
                asked[split.feature as usize] = true;
            }
        }
        let used: Vec<u32> =
            (0..).zip(&asked).filter(|(_, asked)| **asked).map(|(i, _)| i).collect();
        let mut place = vec![0; features.len()];
        for (at, &feature) in (0..).zip(&used) {
            place[feature as usize] = at;
        }
        let space = match model.link() {
            Link::Identity if model.slope() == 1.0 => Space::Value,
            Link::Probability { .. } | Link::Scores { .. } if model.slope() == 1.0 => {
                Space::Probability
            }
            _ => Space::Margin,
        };
        let outputs = outputs_of(model.link());
        Self { features, outputs, space, used, place }
    }

    /// Writes the values of the used features where they belong among all.
    pub(super) fn spread(&self, used: &[f64], all: &mut [f64]) {
        for (&feature, &value) in self.used.iter().zip(used) {
            all[feature as usize] = value;
        }
    }

    /// The parts of attributions, in the explained space that follows from the link.
    pub(super) fn parts(
        &self,
        base_values: &[f64],
        values: Vec<f64>,
        predictions: &Float64Array,
    ) -> AttributionParts {
        AttributionParts {
            features: self.features.clone(),
            outputs: self.outputs.clone(),
            space: self.space,
            base_values: base_values.to_vec(),
            values,
            predictions: predictions.values().to_vec(),
        }
    }
}

/// The rows of a batch: as columns, and the margins that the model computes on its own.
///
/// # Errors
/// As [`TreeEnsemble::margin`]; [`Error::Value`] for a row that has no margin.
pub(super) fn read(model: &TreeEnsemble, batch: &RecordBatch) -> Result<(Columns, Float64Array)> {
    let columns = model.columns(batch)?;
    let margins = margins(model, batch, &columns)?;
    Ok((columns, margins))
}

/// The margins that the model computes on its own.
///
/// # Errors
/// As [`read`].
pub(super) fn margins(
    model: &TreeEnsemble,
    batch: &RecordBatch,
    columns: &Columns,
) -> Result<Float64Array> {
    let margins = model.margin(batch)?;
    if margins.null_count() == 0 {
        return Ok(margins);
    }
    let row = (0..columns.len()).find(|&row| !columns.is_known(row)).unwrap_or_default();
    let feature = (0..)
        .zip(model.features())
        .find(|(at, f)| f.required && columns.value(*at, row).is_nan())
        .map_or_else(String::new, |(_, f)| f.name.clone());
    Err(Error::Value {
        column: feature,
        row: row as u64,
        expected: "a number, which the model requires".into(),
        found: "null or NaN".into(),
    })
}

/// The most bytes of constants of all trees.
const MAX_CONSTANTS: usize = 1 << 33;
/// The most steps of the ways to all leaves.
const MAX_WAYS: usize = 1 << 27;

/// That the ways to all leaves, which some explainers write down, are not more than memory holds.
pub(super) fn check_ways(model: &TreeEnsemble) -> Result<()> {
    let mut depths = Vec::new();
    let mut steps = 0_usize;
    for tree in model.trees() {
        depths.clear();
        depths.resize(tree.nodes.len(), 0_usize);
        let mut of_tree = 0_usize;
        // Children stand behind their parents.
        for (at, node) in tree.nodes.iter().enumerate() {
            match node {
                Node::Leaf { .. } => of_tree = of_tree.saturating_add(depths[at]),
                Node::Split(split) => {
                    for child in [split.left, split.right] {
                        depths[child as usize] = depths[at] + 1;
                    }
                }
            }
        }
        let outputs = if tree.target == Target::All { model.outputs() } else { 1 };
        steps = steps.saturating_add(of_tree.saturating_mul(outputs));
    }
    if steps > MAX_WAYS {
        let expected = format!("at most {MAX_WAYS} steps on the ways to all leaves");
        return Err(Error::invalid("tree ensemble", expected, steps));
    }
    Ok(())
}

/// That path-dependent values can be computed: there are covers, and constants in bounded memory.
pub(super) fn check_covers(model: &TreeEnsemble) -> Result<()> {
    // So many quadrature nodes at most; what a deep tree of many features has is looked up only
    // where it may matter.
    let features = model.features().len();
    let most = features.min(model.depth());
    let bytes = |tree: &Tree, distinct: usize| {
        let outputs = if tree.target == Target::All { model.outputs() } else { 1 };
        (tree.nodes.len() / 2 * outputs).saturating_mul(distinct.div_ceil(2) * 24)
    };
    let all = |distinct: &dyn Fn(&Tree) -> usize| {
        let of = model.trees().iter().map(|tree| bytes(tree, distinct(tree)));
        of.fold(0, usize::saturating_add)
    };
    if all(&|_| most) > MAX_CONSTANTS {
        let bytes = all(&|tree| Outline::new(tree, 0, model.outputs(), features).distinct);
        if bytes > MAX_CONSTANTS {
            let expected = format!("trees whose constants take at most {MAX_CONSTANTS} bytes");
            return Err(Error::invalid("tree ensemble", expected, bytes));
        }
    }
    if model.has_covers() {
        return Ok(());
    }
    Err(Error::invalid(
        "tree ensemble",
        "covers at its nodes, which path-dependent attributions are made of: count them with \
         `with_covers_of`, or explain against a background",
        "trees without covers",
    ))
}
