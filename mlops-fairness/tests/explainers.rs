//! Explainers of any model against brute force, each other and their contracts.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use mlops_core::arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int32Array, RecordBatch, StringArray,
};
use mlops_core::arrow::datatypes::{DataType, Field, Float64Type, Int32Type, Schema};
use mlops_core::model::{ArrayModel, FnModel, LinearModel, Link, Predictions};
use mlops_core::stats::Draws;
use mlops_core::{Cancel, Error, Model, Progress, batch};
use mlops_fairness::attribution::{
    Attributions, Background, Correlation, ExactExplainer, Explainer, GradientExplainer,
    KernelExplainer, LinearExplainer, MaskedModel, PartialDependence, Partition,
    PartitionExplainer, PermutationExplainer, PermutationImportance, SamplingExplainer, Space,
    Watch,
};
use proptest::prelude::*;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Curved, with interactions of two and three.
fn f(x: &[f64]) -> f64 {
    x[0] * x[1] + (x[2] - x[3]).tanh() * x[0] + x[4] * x[4] - x[1] * x[2] * x[4] + 0.5
}

fn curved() -> ArrayModel {
    ArrayModel::regression(NAMES, |x| x.rows().into_iter().map(|r| f(&r.to_vec())).collect())
}

fn random(rows: usize, seed: u64) -> RecordBatch {
    RecordBatch::try_from_iter(NAMES.iter().enumerate().map(|(j, name)| {
        let mut draws = Draws::new(seed, j as u32, 0);
        let x = Float64Array::from_iter_values((0..rows).map(|_| draws.normal()));
        (*name, Arc::new(x) as ArrayRef)
    }))
    .unwrap()
}

fn row(batch: &RecordBatch, row: usize) -> Vec<f64> {
    batch.columns().iter().map(|c| c.as_primitive::<Float64Type>().value(row)).collect()
}

/// The value of a coalition, straight from its definition.
fn value(x: &[f64], background: &RecordBatch, weights: &[f64], mask: &[bool]) -> f64 {
    let mut sum = 0.0;
    for (b, weight) in weights.iter().enumerate() {
        let other = row(background, b);
        let mixed: Vec<f64> = (0..x.len()).map(|j| if mask[j] { x[j] } else { other[j] }).collect();
        sum += weight * f(&mixed);
    }
    sum / weights.iter().sum::<f64>()
}

fn orders(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![vec![]];
    }
    let mut all = Vec::new();
    for order in orders(n - 1) {
        for at in 0..n {
            let mut longer = order.clone();
            longer.insert(at, n - 1);
            all.push(longer);
        }
    }
    all
}

/// Mean of what each adds over these orders.
fn over_orders(orders: &[Vec<usize>], n: usize, value: impl Fn(&[bool]) -> f64) -> Vec<f64> {
    let mut phi = vec![0.0; n];
    for order in orders {
        let mut mask = vec![false; n];
        let mut before = value(&mask);
        for &j in order {
            mask[j] = true;
            let after = value(&mask);
            phi[j] += (after - before) / orders.len() as f64;
            before = after;
        }
    }
    phi
}

fn near(ours: &[f64], theirs: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len());
    for (a, b) in ours.iter().zip(theirs) {
        assert!(
            (a - b).abs() <= tolerance * b.abs().max(1.0),
            "{a} is not {b}: {ours:?} {theirs:?}"
        );
    }
}

fn masked() -> MaskedModel {
    MaskedModel::new(curved(), &Background::new(random(7, 1)).unwrap()).unwrap()
}

#[test]
fn exact_values_are_the_mean_over_all_orders() {
    let (background, rows) = (random(7, 1), random(3, 2));
    let weights = vec![1.0, 2.0, 0.0, 0.5, 1.0, 3.0, 0.25];
    for weights in [vec![1.0; 7], weights] {
        let masked = Background::weighted(background.clone(), weights.clone()).unwrap();
        let masked = MaskedModel::new(curved(), &masked).unwrap();
        let exact = ExactExplainer::new(masked.clone()).explain(&rows).unwrap();
        // All of the coalitions: the regression is no estimate.
        let kernel = KernelExplainer::new(masked.clone()).explain(&rows).unwrap();
        let flat = PartitionExplainer::new(masked, &Partition::group(["c", "a"])).unwrap();
        drop(flat);
        for i in 0..3 {
            let x = row(&rows, i);
            let brute = over_orders(&orders(5), 5, |m| value(&x, &background, &weights, m));
            near(exact.row(i).unwrap(), &brute, 1e-13);
            near(kernel.row(i).unwrap(), &brute, 1e-11);
        }
    }
}

#[test]
fn owen_values_are_the_mean_over_orders_that_keep_groups_together() {
    let (background, rows) = (random(4, 1), random(2, 3));
    let masked = MaskedModel::new(curved(), &Background::new(background.clone()).unwrap()).unwrap();
    // ((a c) d) (b e): nested, given out of order.
    let inner = Partition::Group(vec![Partition::group(["c", "a"]), Partition::feature("d")]);
    let tree = Partition::Group(vec![inner, Partition::group(["e", "b"])]);
    let explained = PartitionExplainer::new(masked.clone(), &tree).unwrap().explain(&rows).unwrap();
    let together = |order: &Vec<usize>, group: &[usize]| {
        let places: Vec<_> = (0..order.len()).filter(|&i| group.contains(&order[i])).collect();
        places[places.len() - 1] - places[0] + 1 == group.len()
    };
    let keeps: Vec<_> = orders(5)
        .into_iter()
        .filter(|o| together(o, &[0, 2]) && together(o, &[0, 2, 3]) && together(o, &[1, 4]))
        .collect();
    assert_eq!(keeps.len(), 2 * 2 * 2 * 2);
    let flat = Partition::group(["a", "b"]);
    let flat = PartitionExplainer::new(masked.clone(), &flat).unwrap();
    let flat = flat.explain(&rows).unwrap();
    let exact = ExactExplainer::new(masked).explain(&rows).unwrap();
    for i in 0..2 {
        let x = row(&rows, i);
        let brute = over_orders(&keeps, 5, |m| value(&x, &background, &[1.0; 4], m));
        near(explained.row(i).unwrap(), &brute, 1e-13);
        near(flat.row(i).unwrap(), exact.row(i).unwrap(), 1e-13);
    }
}

#[test]
fn groups_are_players() {
    let (background, rows) = (random(4, 1), random(2, 3));
    let masked = MaskedModel::new(curved(), &Background::new(background.clone()).unwrap()).unwrap();
    let groups = masked.groups([("first", vec!["a", "d"]), ("second", vec!["e"])]).unwrap();
    assert_eq!(groups.features(), ["first", "second", "b", "c"]);
    let explained = ExactExplainer::new(groups).explain(&rows).unwrap();
    let x = row(&rows, 1);
    let places = [vec![0, 3], vec![4], vec![1], vec![2]];
    let brute = over_orders(&orders(4), 4, |mask| {
        let mut columns = vec![false; 5];
        for (group, &is_in) in places.iter().zip(mask) {
            for &c in group {
                columns[c] = is_in;
            }
        }
        value(&x, &background, &[1.0; 4], &columns)
    });
    near(explained.row(1).unwrap(), &brute, 1e-13);
}

/// Of draws: each within so many of its own standard errors of the truth.
fn within_errors(drawn: &Attributions, exact: &Attributions, errors: f64) {
    let se = drawn.standard_errors.as_ref().unwrap();
    for ((a, b), se) in drawn.values.iter().zip(&exact.values).zip(se) {
        assert!((a - b).abs() <= errors * se + 1e-12, "{a} is not {b} within {se}");
    }
}

#[test]
fn draws_come_near_the_exact_values_and_know_how_near() {
    let rows = random(20, 5);
    let exact = ExactExplainer::new(masked()).explain(&rows).unwrap();
    let permutation = PermutationExplainer::new(masked()).permutations(100).seed(3);
    let permutation = permutation.explain(&rows).unwrap();
    within_errors(&permutation, &exact, 5.0);
    let sampling = SamplingExplainer::new(masked()).samples(7 * 60).seed(3).explain(&rows).unwrap();
    within_errors(&sampling, &exact, 5.0);
    assert!(sampling.additivity.tolerance.is_some());
    let some = SamplingExplainer::new(masked()).samples(600).explain(&rows).unwrap();
    within_errors(&some, &exact, 5.0);
    assert!(some.additivity.tolerance.is_none() && some.additivity.worst > 1e-6);
    // Few coalitions: drawn, not all.
    let kernel = KernelExplainer::new(masked()).coalitions(16).explain(&rows).unwrap();
    let off = kernel.values.iter().zip(&exact.values).map(|(a, b)| (a - b).abs());
    let off = off.fold(0.0, f64::max);
    assert!(off > 1e-9 && off < 2.0, "{off}");

    let stopped = PermutationExplainer::new(masked()).permutations(20).until(0.05, 2000);
    let stopped = stopped.explain(&rows).unwrap();
    assert!(stopped.standard_errors.as_ref().unwrap().iter().all(|se| *se <= 0.05));
    within_errors(&stopped, &exact, 8.0);
}

fn explainers() -> Vec<Box<dyn Explainer>> {
    let tree = Partition::group(["a", "c", "e"]);
    vec![
        Box::new(ExactExplainer::new(masked())),
        Box::new(PermutationExplainer::new(masked()).permutations(3).seed(9)),
        Box::new(PermutationExplainer::new(masked()).permutations(1).until(0.2, 50)),
        Box::new(KernelExplainer::new(masked()).coalitions(14).seed(9)),
        Box::new(SamplingExplainer::new(masked()).samples(30).seed(9)),
        Box::new(PartitionExplainer::new(masked(), &tree).unwrap()),
    ]
}

#[test]
fn the_same_bits_for_any_batches_order_and_threads() {
    let rows = random(13, 7);
    for explainer in explainers() {
        let explain = |batch: &RecordBatch| explainer.explain_with(batch, Watch::new()).unwrap();
        let whole = explain(&rows);
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(one.install(|| explain(&rows)), whole);
        let bits = |a: &Attributions, i: usize| -> Vec<u64> {
            let se = a.standard_errors.iter().flat_map(|se| &se[i * 5..(i + 1) * 5]);
            a.row(i).unwrap().iter().chain(se).map(|x| x.to_bits()).collect()
        };
        for i in (0..13).rev() {
            assert_eq!(bits(&explain(&rows.slice(i, 1)), 0), bits(&whole, i), "{explainer:?}");
        }
        assert!(explain(&rows.slice(0, 0)).is_empty());
    }
}

#[test]
fn watched_and_stopped() {
    let rows = random(4, 7);
    for explainer in explainers() {
        let seen = std::sync::Mutex::new(Vec::new());
        let listen = |p: &Progress| seen.lock().unwrap().push((p.rows, p.rows_total));
        explainer.explain_with(&rows, Watch::new().on_progress(&listen)).unwrap();
        let mut seen = seen.into_inner().unwrap();
        seen.sort_unstable();
        assert_eq!(seen, (1..=4).map(|i| (i, Some(4))).collect::<Vec<_>>());
        let cancel = Cancel::new();
        cancel.cancel();
        let stopped = explainer.explain_with(&rows, Watch::new().cancel(&cancel));
        assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
    }
}

/// A model over text, a number and an unused column that may be null.
fn shop() -> impl Model {
    let schema = Schema::new(vec![
        Field::new("city", DataType::Utf8, true),
        Field::new("age", DataType::Int32, true),
        Field::new("note", DataType::Utf8, true),
    ]);
    FnModel::new("shop", Arc::new(schema), |batch| {
        let city = batch.column(0).as_string::<i32>();
        let age = batch.column(1).as_primitive::<Int32Type>();
        let p = (0..batch.num_rows()).map(|i| {
            let far = if city.is_valid(i) && city.value(i) == "Oslo" { 0.1 } else { 0.3 };
            Some(far + 0.005 * f64::from(if age.is_valid(i) { age.value(i) } else { 50 }))
        });
        Ok(Predictions::binary("no", "yes", &p.collect()))
    })
}

#[test]
fn text_and_nulls_are_features_like_others() {
    let rows = batch! {
        "note" => StringArray::from(vec![Some("x"), None, Some("y")]),
        "age" => Int32Array::from(vec![Some(20), None, Some(40)]),
        "city" => StringArray::from(vec![Some("Oslo"), Some("Bergen"), None]),
    }
    .unwrap();
    let masked = MaskedModel::new(shop(), &Background::new(rows.clone()).unwrap()).unwrap();
    assert_eq!((masked.outputs(), masked.space()), (&["yes".to_owned()][..], Space::Probability));
    let explained = ExactExplainer::new(masked.clone()).explain(&rows).unwrap();
    // Additive: each is its own effect against the mean.
    let city = [0.1, 0.3, 0.3].map(|p| p - 0.7 / 3.0);
    let age = [20.0, 50.0, 40.0].map(|a: f64| 0.005 * (a - 110.0 / 3.0));
    for i in 0..3 {
        near(explained.row(i).unwrap(), &[city[i], age[i], 0.0], 1e-14);
    }
    let both = masked.clone().classes(["no", "yes"]).unwrap();
    let both = ExactExplainer::new(both).explain(&rows).unwrap();
    near(
        both.of(2, 0).unwrap(),
        &both.of(2, 1).unwrap().iter().map(|x| -x).collect::<Vec<_>>(),
        1e-14,
    );
    let odds = ExactExplainer::new(masked.clone().log_odds().unwrap()).explain(&rows).unwrap();
    assert_eq!(odds.space, Space::Margin);
    assert!((odds.predictions[0] - (0.2f64 / 0.8).ln()).abs() < 1e-14);
    assert!(masked.clone().classes(["maybe"]).is_err());
    assert!(masked.groups([("g", vec!["zip"])]).is_err());
    // A column of another type, and one that is missing.
    let typed = batch! {
        "note" => Int32Array::from(vec![1]),
        "age" => Int32Array::from(vec![1]),
        "city" => StringArray::from(vec!["Oslo"]),
    };
    let masked = MaskedModel::new(shop(), &Background::new(rows.clone()).unwrap()).unwrap();
    let explainer = ExactExplainer::new(masked);
    assert!(explainer.explain(&typed.unwrap()).unwrap_err().to_string().contains("`note`"));
    let error = explainer.explain(&rows.project(&[0, 1]).unwrap()).unwrap_err().to_string();
    assert!(error.contains("city"), "{error}");
}

#[test]
fn what_a_model_cannot_say_is_an_error() {
    let model = LinearModel::regression(["a"], [1.0], 0.0).unwrap();
    let good = batch! { "a" => Float64Array::from(vec![1.0, 2.0]) }.unwrap();
    let bad = batch! { "a" => Float64Array::from(vec![None, Some(1.0)]) }.unwrap();
    let error = MaskedModel::new(model.clone(), &Background::new(bad.clone()).unwrap());
    assert!(error.unwrap_err().to_string().contains("background"));
    let masked = MaskedModel::new(model, &Background::new(good.clone()).unwrap()).unwrap();
    assert!(masked.clone().log_odds().is_err());
    let error = ExactExplainer::new(masked.clone()).explain(&bad).unwrap_err().to_string();
    assert!(error.contains("row 0"), "{error}");
    // One feature: nothing to share.
    let one = KernelExplainer::new(masked.clone()).explain(&good).unwrap();
    assert_eq!(one.values, [-0.5, 0.5]);
    let one = PermutationExplainer::new(masked.clone()).permutations(1).explain(&good).unwrap();
    assert_eq!((one.values, one.standard_errors), (vec![-0.5, 0.5], Some(vec![0.0, 0.0])));
    assert!(PermutationExplainer::new(masked.clone()).permutations(0).explain(&good).is_err());
    assert!(PermutationExplainer::new(masked.clone()).until(f64::NAN, 9).explain(&good).is_err());
    assert!(SamplingExplainer::new(masked.clone()).samples(1).explain(&good).is_err());
    assert!(PartitionExplainer::new(masked.clone(), &Partition::group(["a", "a"])).is_err());
    assert!(PartitionExplainer::new(masked, &Partition::feature("z")).is_err());
    // Too many features for all coalitions, too few coalitions for the features.
    let names: Vec<String> = (0..30).map(|i| format!("x{i}")).collect();
    let wide = |shift: f64| {
        RecordBatch::try_from_iter(names.iter().enumerate().map(|(j, name)| {
            let x = Float64Array::from(vec![j as f64 + shift]);
            (name, Arc::new(x) as ArrayRef)
        }))
        .unwrap()
    };
    let sum =
        ArrayModel::regression(names.clone(), |x| x.rows().into_iter().map(|r| r.sum()).collect());
    let masked = MaskedModel::new(sum, &Background::new(wide(0.0)).unwrap()).unwrap();
    assert!(ExactExplainer::new(masked.clone()).explain(&wide(1.0)).is_err());
    let few = KernelExplainer::new(masked.clone()).coalitions(10).explain(&wide(1.0));
    assert!(few.unwrap_err().to_string().contains("more"));
    let flat = PartitionExplainer::new(masked.clone(), &Partition::Group(vec![])).unwrap();
    assert!(flat.explain(&wide(1.0)).is_err());
    near(
        KernelExplainer::new(masked.clone()).explain(&wide(1.0)).unwrap().row(0).unwrap(),
        &[1.0; 30],
        1e-9,
    );
    // The row is the background: no player at all.
    let none = ExactExplainer::new(masked).explain(&wide(0.0)).unwrap();
    assert_eq!(none.values, [0.0; 30]);
}

#[test]
fn expected_gradients_of_linear_models() {
    let rows = batch! {
        "a" => Float64Array::from(vec![1.0, -2.0, 0.5]),
        "b" => Float64Array::from(vec![0.0, 1.0, 3.0]),
    }
    .unwrap();
    let background = Background::new(rows.clone()).unwrap();
    // A straight model: gradients are the Shapley values, to rounding.
    let straight = LinearModel::regression(["a", "b"], [2.0, -1.0], 0.5).unwrap();
    let shapley =
        LinearExplainer::with_means(straight.clone(), vec![-1.0 / 6.0, 4.0 / 3.0]).unwrap();
    let shapley = shapley.explain(&rows).unwrap();
    let gradients = GradientExplainer::new(straight, &background).unwrap().explain(&rows).unwrap();
    near(&gradients.values, &shapley.values, 1e-14);
    assert!(gradients.standard_errors.unwrap().iter().all(|se| *se < 1e-15));

    let link = Link::Softmax { classes: vec!["x".into(), "y".into(), "z".into()] };
    let weights = vec![1.0, 2.0, -1.0, 0.5, 0.0, -3.0];
    let softmax =
        LinearModel::new(vec!["a".into(), "b".into()], weights, vec![0.1, 0.2, 0.3], link);
    let logistic = LinearModel::logistic(["a", "b"], [3.0, -2.0], 0.5, "n", "y").unwrap();
    for model in [logistic, softmax.unwrap()] {
        let explainer =
            GradientExplainer::new(model.clone(), &background).unwrap().steps(40).seed(2);
        let explained = explainer.explain(&rows).unwrap();
        assert!(explained.additivity.worst < 3e-2, "{:?}", explained.additivity);
        // Along one path the integral of a logistic model is known: every feature has its share of
        // the margin's way. A fine sum over α judges each of them.
        let scores = model.predict(&rows).unwrap();
        let Predictions::Scores { classes, scores } = scores else { panic!("scores") };
        let k = explained.outputs.len();
        for i in 0..3 {
            for l in 0..k {
                let at = classes.iter().position(|c| *c == explained.outputs[l]).unwrap();
                let p = scores.value(i * classes.len() + at);
                assert!((p - explained.prediction(i, l).unwrap()).abs() < 1e-15);
            }
        }
        let fine = GradientExplainer::new(model, &background).unwrap().steps(4000).seed(5);
        let fine = fine.explain(&rows).unwrap();
        within_errors(&explained, &fine, 6.0);
        let part = explainer.explain(&rows.slice(1, 1)).unwrap();
        assert_eq!(part.row(0), explained.row(1));
    }
    let nan = batch! {
        "a" => Float64Array::from(vec![f64::NAN]),
        "b" => Float64Array::from(vec![0.0]),
    }
    .unwrap();
    let model = LinearModel::regression(["a", "b"], [2.0, -1.0], 0.5).unwrap();
    assert!(GradientExplainer::new(model.clone(), &Background::new(nan.clone()).unwrap()).is_err());
    assert!(GradientExplainer::new(model, &background).unwrap().explain(&nan).is_err());
}

/// What is expected of w · x where some of x is known, of a normal distribution, by solving with Gauss and Jordan.
fn told(mean: &[f64], cov: &[f64], w: &[f64], x: &[f64], mask: &[bool]) -> f64 {
    let m = mean.len();
    let known: Vec<usize> = (0..m).filter(|&j| mask[j]).collect();
    let s = known.len();
    let mut a: Vec<Vec<f64>> = known
        .iter()
        .map(|&i| {
            let mut line: Vec<f64> = known.iter().map(|&j| cov[i * m + j]).collect();
            line.push(x[i] - mean[i]);
            line
        })
        .collect();
    for i in 0..s {
        let most = (i..s).max_by(|&p, &q| a[p][i].abs().total_cmp(&a[q][i].abs())).unwrap();
        a.swap(i, most);
        for r in 0..s {
            if r != i {
                let by = a[r][i] / a[i][i];
                let from = a[i].clone();
                for (to, from) in a[r].iter_mut().zip(from).skip(i) {
                    *to -= by * from;
                }
            }
        }
    }
    let solved: Vec<f64> = (0..s).map(|i| a[i][s] / a[i][i]).collect();
    (0..m)
        .map(|j| {
            let shift: f64 = known.iter().zip(&solved).map(|(&i, z)| cov[j * m + i] * z).sum();
            w[j] * (if mask[j] { x[j] } else { mean[j] + shift })
        })
        .sum()
}

fn covariance(m: usize, seed: u64) -> Vec<f64> {
    let mut draws = Draws::new(seed, 0, 0);
    let a: Vec<f64> = (0..m * m).map(|_| draws.normal()).collect();
    let mut cov = vec![0.0; m * m];
    for i in 0..m {
        for j in 0..=i {
            let dot: f64 = (0..m).map(|l| a[i * m + l] * a[j * m + l]).sum();
            cov[i * m + j] = dot;
            cov[j * m + i] = dot;
        }
        cov[i * m + i] += 0.3;
    }
    cov
}

#[test]
fn correlated_linear_values_are_those_of_conditional_means() {
    let (m, w) = (5, [2.0, -1.0, 0.0, 0.5, 3.0]);
    let (mean, cov) = (vec![0.5, -1.0, 2.0, 0.0, 1.0], covariance(5, 4));
    let features: Vec<String> = NAMES.iter().map(|n| (*n).to_owned()).collect();
    let correlation = Correlation::new(features, mean.clone(), cov.clone()).unwrap();
    let model = LinearModel::regression(NAMES, w, 0.25).unwrap();
    let explainer = LinearExplainer::correlated(&model, &correlation).unwrap();
    let rows = random(4, 8);
    let explained = explainer.explain(&rows).unwrap();
    assert!(explained.standard_errors.is_none());
    for i in 0..4 {
        let x = row(&rows, i);
        let brute = over_orders(&orders(m), m, |mask| told(&mean, &cov, &w, &x, mask));
        near(explained.row(i).unwrap(), &brute, 1e-12);
    }
    // Without covariance it is the plain explainer.
    let mut alone = vec![0.0; 25];
    (0..5).for_each(|i| alone[i * 5 + i] = cov[i * 5 + i]);
    let features = model.features().to_vec();
    let alone = Correlation::new(features, mean.clone(), alone).unwrap();
    let alone = LinearExplainer::correlated(&model, &alone).unwrap().explain(&rows).unwrap();
    let plain = LinearExplainer::with_means(model, mean).unwrap().explain(&rows).unwrap();
    near(&alone.values, &plain.values, 1e-13);
}

#[test]
fn correlations_of_many_features_are_drawn() {
    let m = 14;
    let names: Vec<String> = (0..m).map(|i| format!("x{i}")).collect();
    let mut draws = Draws::new(3, 0, 0);
    // Two blocks that know nothing of each other: each is exact by itself.
    let mut cov = vec![0.0; m * m];
    for (at, block) in [(0, covariance(7, 1)), (7, covariance(7, 2))] {
        for i in 0..7 {
            for j in 0..7 {
                cov[(at + i) * m + at + j] = block[i * 7 + j];
            }
        }
    }
    let w: Vec<f64> = (0..m).map(|_| draws.normal()).collect();
    let rows = RecordBatch::try_from_iter(names.iter().map(|name| {
        let x = Float64Array::from_iter_values((0..30).map(|_| draws.normal()));
        (name, Arc::new(x) as ArrayRef)
    }))
    .unwrap();
    let model = LinearModel::regression(names.clone(), w.clone(), 0.0).unwrap();
    let correlation = Correlation::new(names.clone(), vec![0.0; m], cov).unwrap();
    let drawn = LinearExplainer::correlated(&model, &correlation.clone().draws(7, 400)).unwrap();
    let drawn = drawn.explain(&rows).unwrap();
    let mut exact = vec![0.0; 30 * m];
    for (at, seed) in [(0, 1), (7, 2)] {
        let part = names[at..at + 7].to_vec();
        let c = Correlation::new(part.clone(), vec![0.0; 7], covariance(7, seed)).unwrap();
        let model = LinearModel::regression(part, w[at..at + 7].to_vec(), 0.0).unwrap();
        let part = LinearExplainer::correlated(&model, &c).unwrap().explain(&rows).unwrap();
        for i in 0..30 {
            exact[i * m + at..i * m + at + 7].copy_from_slice(part.row(i).unwrap());
        }
    }
    let se = drawn.standard_errors.as_ref().unwrap();
    // Errors from ten groups have nine degrees of freedom: 420 draws of Student's t stay within 7.
    let t = drawn.values.iter().zip(&exact).zip(se).map(|((a, b), se)| (a - b).abs() / se);
    let t: Vec<f64> = t.collect();
    assert!(t.iter().all(|t| *t < 7.0), "{t:?}");
    assert!(se.iter().sum::<f64>() / (se.len() as f64) < 0.1);
    let again = LinearExplainer::correlated(&model, &correlation.draws(7, 400)).unwrap();
    assert_eq!(again.explain(&rows).unwrap(), drawn);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn all_of_them_add_up(seed in 0u64..1000, scale in -6i32..6) {
        let rows = random(2, seed);
        let scaled: Vec<ArrayRef> = rows
            .columns()
            .iter()
            .map(|c| {
                let c = c.as_primitive::<Float64Type>();
                Arc::new(Float64Array::from_iter_values(
                    c.values().iter().map(|x| x * 10f64.powi(scale)),
                )) as ArrayRef
            })
            .collect();
        let rows = RecordBatch::try_new(rows.schema(), scaled).unwrap();
        for explainer in explainers() {
            let explained = explainer.explain_with(&rows, Watch::new()).unwrap();
            if explained.additivity.tolerance.is_some() {
                prop_assert!(explained.additivity.worst <= 1e-11, "{:?}", explained.additivity);
            }
        }
    }
}

fn numbers(value: &serde_json::Value) -> Vec<f64> {
    let found = value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap());
    found.collect()
}

fn matrix(value: &serde_json::Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(numbers).collect()
}

fn rows_of(matrix: &[Vec<f64>]) -> RecordBatch {
    RecordBatch::try_from_iter(NAMES.iter().enumerate().map(|(j, name)| {
        let x = Float64Array::from_iter_values(matrix.iter().map(|row| row[j]));
        (*name, Arc::new(x) as ArrayRef)
    }))
    .unwrap()
}

/// The numbers of shap and scikit-learn, made by `tests/golden/make_attribution.py`.
#[test]
fn as_shap_and_scikit_learn_say() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("golden/attribution.json")).unwrap();
    let background = Background::new(rows_of(&matrix(&golden["background"]))).unwrap();
    let rows = rows_of(&matrix(&golden["rows"]));
    let masked = MaskedModel::new(curved(), &background).unwrap();
    let base = golden["base_value"].as_f64().unwrap();
    assert!((masked.base_values()[0] - base).abs() < 1e-14);
    let inner = Partition::Group(vec![Partition::feature("c"), Partition::group(["d", "e"])]);
    let tree = Partition::Group(vec![Partition::group(["a", "b"]), inner]);
    let exact = ExactExplainer::new(masked.clone());
    let kernel = KernelExplainer::new(masked.clone());
    let owen = PartitionExplainer::new(masked.clone(), &tree).unwrap();
    let cases: [(&str, &dyn Explainer, f64); 3] =
        [("exact", &exact, 1e-13), ("kernel", &kernel, 1e-9), ("owen", &owen, 1e-13)];
    for (name, explainer, tolerance) in cases {
        let explained = explainer.explain_with(&rows, Watch::new()).unwrap();
        for (i, theirs) in matrix(&golden[name]).iter().enumerate() {
            near(explained.row(i).unwrap(), theirs, tolerance);
        }
    }
    // Its 2,000 permutations and our 2,000: each is within the errors of both.
    let ours = PermutationExplainer::new(masked).permutations(2000).explain(&rows).unwrap();
    let se = ours.standard_errors.as_ref().unwrap();
    for (i, theirs) in matrix(&golden["permutation"]).iter().enumerate() {
        for (j, theirs) in theirs.iter().enumerate() {
            let off = (ours.row(i).unwrap()[j] - theirs).abs();
            assert!(off < 7.0 * se[i * 5 + j] + 1e-12, "{off} of {}", se[i * 5 + j]);
        }
    }

    // Its transform is drawn, 60,000 orders, with a ridge of 1e-6; ours is exact.
    let linear = &golden["correlated"];
    let features: Vec<String> = NAMES.iter().map(|n| (*n).to_owned()).collect();
    let covariance = matrix(&linear["covariance"]).concat();
    // numpy's product is symmetric but for the last bit.
    let covariance = (0..25).map(|at| covariance[(at / 5).max(at % 5) * 5 + (at / 5).min(at % 5)]);
    let correlation =
        Correlation::new(features, numbers(&linear["mean"]), covariance.collect()).unwrap();
    let intercept = linear["intercept"].as_f64().unwrap();
    let model =
        LinearModel::regression(NAMES, numbers(&linear["coefficients"]), intercept).unwrap();
    let explained = LinearExplainer::correlated(&model, &correlation).unwrap();
    let explained = explained.explain(&rows).unwrap();
    for (i, theirs) in matrix(&linear["values"]).iter().enumerate() {
        let size: f64 = theirs.iter().map(|x| x.abs()).sum();
        for (a, b) in explained.row(i).unwrap().iter().zip(theirs) {
            assert!((a - b).abs() < 0.02 * size, "{a} is not {b}");
        }
    }

    let importance = &golden["importance"];
    let data = rows_of(&matrix(&importance["data"]));
    let y = numbers(&importance["labels"]);
    let mean = y.iter().sum::<f64>() / y.len() as f64;
    let total: f64 = y.iter().map(|y| (y - mean).powi(2)).sum();
    let found = PermutationImportance::new(200, 5)
        .measure(&curved(), &data, |predictions| {
            let p = predictions.as_values()?.values();
            Ok(1.0 - p.iter().zip(&y).map(|(p, y)| (p - y).powi(2)).sum::<f64>() / total)
        })
        .unwrap();
    let (means, stds) = (numbers(&importance["mean"]), numbers(&importance["std"]));
    for (j, name) in NAMES.iter().enumerate() {
        let ours = found.features.iter().find(|f| f.feature == *name).unwrap();
        // Two means of 200 draws each.
        let error = stds[j] * (2.0_f64 / 200.0).sqrt();
        assert!((ours.mean - means[j]).abs() < 5.0 * error, "{name}: {} {}", ours.mean, means[j]);
        assert!((ours.standard_error * 200f64.sqrt() / stds[j] - 1.0).abs() < 0.3);
    }

    let dependence = &golden["dependence"];
    let grid: ArrayRef = Arc::new(Float64Array::from(numbers(&dependence["grid"])));
    let found = PartialDependence::of("a").at(grid).measure(&curved(), &data).unwrap();
    near(&found.mean, &numbers(&dependence["average"]), 1e-13);
    for (i, line) in matrix(&dependence["individual"]).iter().enumerate() {
        near(&found.line(i, 0).unwrap(), line, 1e-13);
    }
}
