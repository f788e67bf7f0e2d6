//! Attribution of tree ensembles: `cargo bench --bench attribution`.
//!
//! Lines of `name ms`, the least of several runs, from batch to finished values with additivity
//! checked. Given a folder with the models and rows that `benches/peers/attribution.py` makes, it
//! measures on those, which is how that script shows us beside the peers; otherwise it grows an
//! ensemble of 500 trees of depth 6 by itself.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Float64Array, RecordBatch};
use mlops_core::Result;
use mlops_core::model::Link;
use mlops_core::model::trees::{
    Feature, Node, Question, Side, Split, Tree, TreeEnsemble, lightgbm, xgboost,
};
use mlops_core::stats::Draws;
use mlops_fairness::attribution::{
    Background, InteractionExplainer, InterventionalExplainer, Precision, TreeExplainer,
};

const ROWS: usize = 10_000;
const FEATURES: usize = 30;
const RUNS: usize = 15;
const SLOW_RUNS: usize = 5;
const MODELS: [&str; 7] =
    ["xgb_d4", "xgb_d6", "xgb_d10", "xgb_d16", "xgb_many", "lgb_d6", "lgb_d10"];

fn main() -> Result<()> {
    let mut folder: Option<PathBuf> = None;
    let mut only: Vec<String> = Vec::new();
    for argument in std::env::args().skip(1) {
        if MODELS.contains(&argument.as_str()) {
            only.push(argument);
        } else if !argument.starts_with("--") {
            folder = Some(argument.into());
        }
    }
    let Some(folder) = folder else {
        let model = grown(500, 6);
        return all("grown", &model, &drawn(5), &drawn(9));
    };
    let (rows, background) = (read(&folder, "rows")?, read(&folder, "background")?);
    for name in MODELS {
        let extension = if name.starts_with("xgb") { "json" } else { "txt" };
        let path = folder.join(format!("{name}.{extension}"));
        if !path.exists() || !(only.is_empty() || only.iter().any(|n| n == name)) {
            continue;
        }
        let bytes = bytes(&path)?;
        let load = || match extension {
            "json" => xgboost::load(&bytes),
            _ => lightgbm::load(&bytes),
        };
        let model = load()?;
        line("load", name, 3, load)?;
        let names = model.features().iter().map(|f| f.name.clone()).collect::<Vec<_>>();
        let named = |columns: &[ArrayRef]| -> Result<RecordBatch> {
            Ok(RecordBatch::try_from_iter(names.iter().zip(columns.iter().cloned()))?)
        };
        all(name, &model, &named(&rows)?, &named(&background)?)?;
    }
    Ok(())
}

fn all(
    name: &str,
    model: &TreeEnsemble,
    rows: &RecordBatch,
    background: &RecordBatch,
) -> Result<()> {
    println!("# {name}: {model}");
    line("predict", name, RUNS, || model.margin(rows))?;
    line("compile", name, 5, || TreeExplainer::new(model))?;
    // The first explanation of a model that was just compiled.
    line("path_cold", name, 3, || TreeExplainer::new(model)?.explain(rows))?;
    let explainer = TreeExplainer::new(model)?;
    line("path", name, RUNS, || explainer.explain(rows))?;
    let single = TreeExplainer::with_precision(model, Precision::Single)?;
    line("path_f32", name, RUNS, || single.explain(rows))?;
    // What computers have that lack the fastest of these.
    for kernel in TreeExplainer::kernels().into_iter().skip(1) {
        let (double, single) =
            (explainer.clone().with_kernel(kernel), single.clone().with_kernel(kernel));
        line(&format!("path_{kernel}"), name, SLOW_RUNS, || double.explain(rows))?;
        line(&format!("path_f32_{kernel}"), name, SLOW_RUNS, || single.explain(rows))?;
    }
    let one = rows.slice(17, 1);
    line("row", name, 500, || explainer.explain(&one))?;
    for (kind, explained) in [("f64", explainer.explain(rows)?), ("f32", single.explain(rows)?)] {
        println!("# {name}: additivity {kind} {:e}", explained.additivity.worst);
    }
    let few = rows.slice(0, 200);
    let interactions = InteractionExplainer::new(model)?;
    line("interactions", name, 5, || interactions.explain(&few))?;
    let whole = Background::new(background.clone())?;
    line("tables", name, 3, || InterventionalExplainer::new(model, &whole))?;
    let against = InterventionalExplainer::new(model, &whole)?;
    line("interventional", name, RUNS, || against.explain(rows))?;
    println!("# {name}: additivity {:e}", against.explain(rows)?.additivity.worst);
    let hundred = Background::new(background.slice(0, 100))?;
    let against = InterventionalExplainer::new(model, &hundred)?;
    line("small", name, RUNS, || against.explain(&few))
}

fn line<T>(work: &str, name: &str, runs: usize, mut f: impl FnMut() -> Result<T>) -> Result<()> {
    let mut least = f64::INFINITY;
    for _ in 0..runs {
        let start = Instant::now();
        black_box(f()?);
        least = least.min(start.elapsed().as_secs_f64());
    }
    println!("{:24} {:.4}", format!("{work}/{name}"), least * 1e3);
    Ok(())
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| mlops_core::Error::io(path, e))
}

/// Columns of 64-bit floats, one after the other.
fn read(folder: &Path, name: &str) -> Result<Vec<ArrayRef>> {
    let bytes = bytes(&folder.join(format!("{name}.f64")))?;
    let values: Vec<f64> =
        bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    let column =
        |values: &[f64]| Arc::new(Float64Array::from_iter_values(values.iter().copied())) as _;
    Ok(values.chunks_exact(ROWS).map(column).collect())
}

fn drawn(seed: u64) -> RecordBatch {
    let mut draws = Draws::new(seed, 7, 0);
    let columns = (0..FEATURES).map(|f| {
        let column = Float64Array::from_iter_values((0..ROWS).map(|_| draws.uniform()));
        (format!("x{f}"), Arc::new(column) as ArrayRef)
    });
    RecordBatch::try_from_iter(columns.collect::<Vec<_>>()).unwrap_or_else(|e| panic!("{e}"))
}

/// Trees whose first features are asked most, and whose splits are seldom even.
fn grown(trees: usize, depth: usize) -> TreeEnsemble {
    let mut draws = Draws::new(1, 2, 3);
    let one = |_| {
        let mut tree = Tree::new(Vec::new(), Vec::new());
        grow(&mut tree, &mut draws, depth, 1e5);
        tree
    };
    let trees = (0..trees).map(one).collect();
    let features = (0..FEATURES).map(|f| Feature::number(format!("x{f}"))).collect();
    TreeEnsemble::new(features, trees, vec![0.5], Link::Identity).unwrap_or_else(|e| panic!("{e}"))
}

fn grow(tree: &mut Tree, draws: &mut Draws, depth: usize, cover: f64) {
    let at = tree.nodes.len();
    tree.nodes.push(Node::Leaf { value: tree.values.len() as u32, cover });
    if depth == 0 || cover < 2.0 || (at > 2 && draws.bernoulli(0.12)) {
        tree.values.push(draws.uniform() * 0.2 - 0.1);
        return;
    }
    let feature = (draws.uniform() * draws.uniform() * FEATURES as f64) as u32;
    let question = Question::Below((draws.uniform() * 256.0).floor() / 256.0);
    let left_cover = (cover * (0.1 + 0.8 * draws.uniform())).floor().max(1.0);
    let left = at as u32 + 1;
    grow(tree, draws, depth - 1, left_cover);
    let right = tree.nodes.len() as u32;
    grow(tree, draws, depth - 1, cover - left_cover);
    let missing = Side::left_if(feature.is_multiple_of(2));
    let split = Split { feature, question, missing, zero_is_missing: false, left, right, cover };
    tree.nodes[at] = Node::Split(split);
}
