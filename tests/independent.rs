//! The whole library held against the field's references, from cases that were written from the
//! documentation alone (`tests/golden/make_independent.py`), and every result taken on many paths:
//! whole, sliced, in batches, among nulls with garbage under them, on one thread and on two.
#![cfg(all(feature = "data", feature = "drift", feature = "fairness"))]

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Float32Array, Float64Array, Int8Array,
    Int32Array, Int64Array, LargeStringArray, StringArray, StringViewArray, UInt32Array,
    UInt64Array, make_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{concat, concat_batches, take};
use arrow::datatypes::{Float64Type, Int32Type};
use arrow::record_batch::RecordBatch;
use mlops::core::metrics::{self, Classified, Estimated, Scored};
use mlops::core::model::LinearModel;
use mlops::core::states::{CategoryCounts, ConfusionCounts, Histogram, NumericSummary, Quantiles};
use mlops::core::stats::{self, CountPair, Proportion, ProportionPair};
use mlops::core::{Analyzer, DataSourceExt, Error, MemorySource, Result, Scan, batch};
use mlops::data::{
    ColumnPipeline, Imputer, MinMaxScaler, NullPolicy, NumericStep, OneHotEncoder, OrdinalEncoder,
    StandardScaler, Unseen,
};
use mlops::drift::statistics::{ZeroCells, chi_square, ks_two_sample, psi, psi_test};
use mlops::drift::{DriftMonitor, ProfileOptions, ReferenceProfile, Statistic};
use mlops::fairness::attribution::LinearExplainer;
use mlops::fairness::{GapKind, Group, GroupCounts, Metric, MetricFrame};
use serde_json::Value;

type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

static GOLDEN: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("golden/independent.json")).expect("golden cases")
});

const STATISTIC: f64 = 1e-12;
const TAIL: f64 = 1e-9;

fn cases(part: &str) -> &'static [Value] {
    GOLDEN[part].as_array().expect("a list of cases")
}

fn name(case: &Value) -> &str {
    case["name"].as_str().unwrap_or("?")
}

fn floats(value: &Value) -> Vec<f64> {
    optional(value).into_iter().map(|x| x.expect("a number")).collect()
}

fn optional(value: &Value) -> Vec<Option<f64>> {
    value.as_array().expect("a list").iter().map(Value::as_f64).collect()
}

fn texts(value: &Value) -> Vec<Option<&str>> {
    value.as_array().expect("a list").iter().map(Value::as_str).collect()
}

fn counts(value: &Value) -> Vec<u64> {
    value.as_array().expect("a list").iter().map(|x| x.as_u64().expect("a count")).collect()
}

/// Relative to what is expected; where that is 0, or rounds to it, absolute.
#[track_caller]
fn close(what: &str, ours: f64, expected: f64, tolerance: f64) {
    let off = (ours - expected).abs();
    let near = off <= tolerance * expected.abs() || expected == 0.0 && off <= 1e-300;
    assert!(near, "{what}: ours {ours:?}, expected {expected:?}, off by {off:e}");
}

/// A value where the reference has one, `Undefined` where it has none.
#[track_caller]
fn agree(what: &str, ours: Result<f64>, expected: &Value, tolerance: f64) {
    match (ours, expected.as_f64()) {
        (Ok(ours), Some(expected)) => close(what, ours, expected, tolerance),
        (Err(Error::Undefined { .. }), None) => {}
        (ours, expected) => panic!("{what}: ours {ours:?}, expected {expected:?}"),
    }
}

/// The bits of a result, or the text of the error.
fn bits(result: &Result<f64>) -> std::result::Result<u64, String> {
    result.as_ref().map(|x| x.to_bits()).map_err(ToString::to_string)
}

/// On one thread and on two: the same.
#[track_caller]
fn on_threads<T: PartialEq + std::fmt::Debug + Send>(what: &str, run: impl Fn() -> T + Sync) -> T {
    static POOLS: LazyLock<[rayon::ThreadPool; 2]> = LazyLock::new(|| {
        [1, 2].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("a pool"))
    });
    let [one, two] = POOLS.each_ref().map(|pool| pool.install(&run));
    assert_eq!(one, two, "{what}: one thread and two");
    one
}

// ------------------------------------------------------------------ paths of arrays

/// The same array as a slice out of a longer one, whose other rows are its own in reverse and
/// nulls; and with a validity buffer that says that all is valid.
fn slices(array: &ArrayRef) -> Vec<ArrayRef> {
    let n = array.len() as u32;
    let back = take(array, &UInt32Array::from_iter_values((0..n).rev()), None).expect("take");
    let holes = take(array, &UInt32Array::from(vec![None; 3]), None).expect("take");
    let longer = concat(&[&back, &holes, array, &holes, &back]).expect("concat");
    let masked = array.to_data().into_builder();
    let valid = array.nulls().cloned().unwrap_or_else(|| NullBuffer::new_valid(array.len()));
    let masked = masked.nulls(Some(valid)).build().expect("the same array");
    vec![Arc::clone(array), longer.slice(array.len() + 3, array.len()), make_array(masked)]
}

/// Rows in another order, by a step that meets each row once.
fn shuffled(array: &ArrayRef) -> ArrayRef {
    let n = array.len();
    let step = (7..1000).find(|k| gcd(*k, n.max(1)) == 1).expect("a step");
    take(array, &UInt32Array::from_iter_values((0..n).map(|i| (i * step % n) as u32)), None)
        .expect("take")
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The same bits for these two columns on every path; `run` gives the first.
#[track_caller]
fn pair_paths(
    what: &str,
    a: &ArrayRef,
    b: &ArrayRef,
    run: impl Fn(&dyn Array, &dyn Array) -> Result<f64> + Sync,
) -> Result<f64> {
    let first = run(a, b);
    for (a, b) in slices(a).iter().zip(slices(b)) {
        let result = on_threads(what, || bits(&run(a, &b)));
        assert_eq!(result, bits(&first), "{what}: a slice, or an all-valid buffer");
    }
    let mixed = run(&shuffled(a), &shuffled(b));
    assert_eq!(bits(&mixed), bits(&first), "{what}: rows in another order");
    first
}

// ------------------------------------------------------------------ paths of sources

/// The same rows as one batch, as a slice, and in batches of several sizes, some empty.
fn sources(batch: &RecordBatch) -> Vec<MemorySource> {
    let n = batch.num_rows();
    let schema = batch.schema();
    let columns = batch.columns().iter().map(|c| slices(c).swap_remove(1)).collect();
    let sliced = RecordBatch::try_new(Arc::clone(&schema), columns).expect("a slice");
    let mut all = vec![MemorySource::from(batch.clone()), MemorySource::from(sliced.clone())];
    for size in [1, 7, n.div_ceil(2).max(1)] {
        let mut parts: Vec<_> =
            (0..n).step_by(size).map(|i| sliced.slice(i, size.min(n - i))).collect();
        parts.insert(parts.len() / 2, sliced.slice(0, 0));
        all.push(MemorySource::new(Arc::clone(&schema), parts).expect("batches"));
    }
    all
}

/// What an analyzer finds, the same on every path.
#[track_caller]
fn measured<A: Analyzer<Output: PartialEq + std::fmt::Debug>>(
    what: &str,
    analyzer: &A,
    batch: &RecordBatch,
) -> A::Output {
    let first = MemorySource::from(batch.clone()).measure(analyzer).expect(what);
    let same = |other: A::Output| assert_eq!(other, first, "{what}");
    for source in sources(batch) {
        for size in [1, 3, Scan::BATCH_SIZE] {
            same(on_threads(what, || {
                Scan::new(&source).batch_size(size).run(analyzer).expect(what)
            }));
        }
    }
    let columns = batch.columns().iter().map(shuffled).collect();
    let mixed = RecordBatch::try_new(batch.schema(), columns).expect("rows in another order");
    same(MemorySource::from(mixed).measure(analyzer).expect(what));
    first
}

/// Numbers among nulls that have garbage under them.
fn among_nulls(values: &[Option<f64>]) -> (Float64Array, u64) {
    let garbage = [f64::NAN, 1e308, f64::NEG_INFINITY, -7.0];
    let (mut out, mut valid) = (Vec::new(), Vec::new());
    for (i, value) in values.iter().enumerate() {
        if i % 3 == 1 {
            out.push(garbage[i % 4]);
            valid.push(false);
        }
        out.push(value.unwrap_or(garbage[(i + 1) % 4]));
        valid.push(value.is_some());
    }
    let nulls = valid.iter().filter(|v| !**v).count() as u64;
    (Float64Array::new(out.into(), Some(NullBuffer::from(valid))), nulls)
}

// ------------------------------------------------------------------ metrics

/// Labels in every type that has them, with the positive one in words.
fn labels(y: &[u64]) -> Vec<(ArrayRef, &'static str)> {
    let words = || y.iter().map(|y| Some(["no", "yes"][*y as usize]));
    let many =
        y.iter().enumerate().map(|(i, y)| if *y == 1 { "yes" } else { ["no", "", "Yes"][i % 3] });
    vec![
        (Arc::new(words().collect::<StringArray>()) as ArrayRef, "yes"),
        (Arc::new(words().collect::<LargeStringArray>()), "yes"),
        (Arc::new(words().collect::<StringViewArray>()), "yes"),
        (Arc::new(words().collect::<DictionaryArray<Int32Type>>()), "yes"),
        (Arc::new(StringArray::from_iter_values(many)), "yes"),
        (Arc::new(y.iter().map(|y| Some(*y == 1)).collect::<BooleanArray>()), "true"),
        (Arc::new(Int64Array::from_iter_values(y.iter().map(|y| *y as i64))), "1"),
        (Arc::new(Int8Array::from_iter_values(y.iter().map(|y| 1 - 2 * *y as i8))), "-1"),
        (
            Arc::new(UInt64Array::from_iter_values(y.iter().map(|y| u64::MAX - *y))),
            "18446744073709551614",
        ),
        (Arc::new(Float64Array::from_iter_values(y.iter().map(|y| *y as f64))), "1"),
        (Arc::new(Float32Array::from_iter_values(y.iter().map(|y| *y as f32 / 2.0))), "0.5"),
    ]
}

#[test]
fn classification_is_scikit_learns() {
    type OfLabels = for<'a> fn(Classified<'a>) -> Result<f64>;
    type OfScores = for<'a> fn(Scored<'a>) -> Result<f64>;
    let of_labels: [(&str, OfLabels); 5] = [
        ("accuracy", |r| metrics::accuracy(r)),
        ("precision", |r| metrics::precision(r)),
        ("recall", |r| metrics::recall(r)),
        ("specificity", |r| metrics::specificity(r)),
        ("f1", |r| metrics::f1(r)),
    ];
    let of_scores: [(&str, OfScores); 4] = [
        ("roc_auc", |r| metrics::roc_auc(r)),
        ("average_precision", |r| metrics::average_precision(r)),
        ("log_loss", |r| metrics::log_loss(r)),
        ("brier", |r| metrics::brier(r)),
    ];
    for case in cases("classification") {
        let (y, p) = (counts(&case["y"]), floats(&case["p"]));
        let said: Vec<u64> = p.iter().map(|p| u64::from(*p >= 0.5)).collect();
        let scores: ArrayRef = Arc::new(Float64Array::from(p));
        let all = counts(&case["confusion"]);
        for ((y_true, positive), (y_pred, _)) in labels(&y).into_iter().zip(labels(&said)) {
            let what = |metric| format!("{} {metric} of {}", name(case), y_true.data_type());
            let rows = Classified { y_true: &y_true, y_pred: &y_pred, positive };
            let c = metrics::confusion(rows).expect("labels");
            let ours = [c.true_positives, c.false_positives, c.false_negatives, c.true_negatives];
            assert_eq!(ours[..], all, "{}", what("confusion"));
            for (metric, of) in of_labels {
                let ours = pair_paths(&what(metric), &y_true, &y_pred, |y_true, y_pred| {
                    of(Classified { y_true, y_pred, positive })
                });
                agree(&what(metric), ours, &case[metric], STATISTIC);
            }
            for (metric, of) in of_scores {
                let ours = pair_paths(&what(metric), &y_true, &scores, |y_true, y_score| {
                    of(Scored { y_true, y_score, positive })
                });
                agree(&what(metric), ours, &case[metric], STATISTIC);
            }
            let rows = Scored { y_true: &y_true, y_score: &scores, positive };
            let report =
                metrics::ClassificationReport::of_scores(rows, 0.5, 0.95).expect("a report");
            for (metric, ours) in report.metrics() {
                assert_eq!(ours.value.is_some(), case[metric].is_f64(), "{}", what(metric));
                if let (Some(ours), Some(expected)) = (ours.value, case[metric].as_f64()) {
                    close(&what(metric), ours, expected, STATISTIC);
                }
            }
        }
        // The analyzer, where labels and predictions are written in different ways.
        let rows = batch! {
            "y" => Int32Array::from_iter_values(y.iter().map(|y| *y as i32)),
            "p" => Float64Array::from_iter_values(said.iter().map(|y| *y as f64)),
        }
        .expect("a batch");
        let c = measured(name(case), &ConfusionCounts::new("y", "p", "1"), &rows);
        assert_eq!([c.tp, c.fp, c.fn_, c.tn][..], all, "{}", name(case));
    }
}

#[test]
fn regression_is_scikit_learns() {
    type OfNumbers = for<'a> fn(Estimated<'a>) -> Result<f64>;
    let of_numbers: [(&str, OfNumbers); 4] = [
        ("mae", |r| metrics::mean_absolute_error(r)),
        ("mse", |r| metrics::mean_squared_error(r)),
        ("rmse", |r| metrics::root_mean_squared_error(r)),
        ("r2", |r| metrics::r2(r)),
    ];
    for case in cases("regression") {
        let y: ArrayRef = Arc::new(Float64Array::from(floats(&case["y"])));
        let p: ArrayRef = Arc::new(Float64Array::from(floats(&case["p"])));
        let report = metrics::RegressionReport::of(Estimated { y_true: &y, y_pred: &p }, 0.95);
        let report = report.expect("a report");
        for (metric, of) in of_numbers {
            let what = format!("{} {metric}", name(case));
            let ours = pair_paths(&what, &y, &p, |y_true, y_pred| of(Estimated { y_true, y_pred }));
            let reported = report.get(metric).and_then(|m| m.value);
            assert_eq!(
                reported.map(f64::to_bits),
                ours.as_ref().ok().map(|x| x.to_bits()),
                "{what}"
            );
            agree(&what, ours, &case[metric], STATISTIC);
        }
    }
}

// ------------------------------------------------------------------ drift

#[test]
fn kolmogorov_smirnov_is_scipys() -> Outcome {
    for case in GOLDEN["ks"]["cases"].as_array().expect("cases") {
        let (x, y) = (floats(&case["reference"]), floats(&case["current"]));
        let (n, m) = (x.len() as u64, y.len() as u64);
        let (a, b) = (Float64Array::from(x.clone()), Float64Array::from(y.clone()));
        let test = ks_two_sample(&a, &b)?;
        let (what, statistic) = (name(case), case["statistic"].as_f64().expect("D"));
        assert_eq!((test.statistic, test.n, test.m), (statistic, n, m), "{what}");
        close(what, test.p_value, case["exact"].as_f64().expect("p"), TAIL);
        let exact = stats::ks_two_sample_exact(statistic, n, m)?;
        close(what, exact, case["exact"].as_f64().expect("p"), TAIL);
        let limit = stats::ks_two_sample_asymptotic(statistic, n, m)?;
        close(what, limit, case["asymptotic"].as_f64().expect("p"), TAIL);

        let (full_x, full_y): (Vec<_>, Vec<_>) =
            (x.iter().copied().map(Some).collect(), y.iter().copied().map(Some).collect());
        let arrays: [ArrayRef; 2] = [Arc::new(a), Arc::new(b)];
        let mut ways: Vec<[ArrayRef; 2]> =
            slices(&arrays[0]).into_iter().zip(slices(&arrays[1])).map(|(a, b)| [a, b]).collect();
        ways.push([shuffled(&arrays[0]), shuffled(&arrays[1])]);
        let holes: [ArrayRef; 2] =
            [Arc::new(among_nulls(&full_x).0), Arc::new(among_nulls(&full_y).0)];
        ways.push([slices(&holes[0]).swap_remove(1), slices(&holes[1]).swap_remove(1)]);
        ways.push(holes);
        for [a, b] in ways {
            let (a, b) = (a.as_primitive::<Float64Type>(), b.as_primitive::<Float64Type>());
            let again = on_threads(what, || ks_two_sample(a, b).expect("KS"));
            assert_eq!(again, test, "{what}");
        }

        // From a profile: each value is an edge of the reference, so the bounds hold D.
        let options = ProfileOptions::new().integer_categories(0);
        let profile = ReferenceProfile::fit(
            &MemorySource::from(batch! {"x" => Float64Array::from(x)}?),
            &options,
        )?;
        let report = DriftMonitor::new(profile)
            .compare(&MemorySource::from(batch! {"x" => Float64Array::from(y)}?))?;
        let found = report.column("x").and_then(|c| c.statistic(Statistic::Ks));
        if let Some((low, high)) = found.and_then(|s| s.bounds) {
            assert!(
                low <= statistic && statistic <= high,
                "{what}: {statistic} in [{low}, {high}]"
            );
        }
    }
    let large = &GOLDEN["ks"]["large"];
    let x: Vec<f64> = (0..12_000u64).map(|i| (i * 7919 % 10_007) as f64 / 10_007.0).collect();
    let y = (0..11_000u64).map(|i| (i * 104_729 % 10_007) as f64 / 10_007.0);
    let y: Vec<f64> = y.zip(&x).map(|(y, x)| y * y * 0.1 + x * 0.9).collect();
    let (a, b) = (Float64Array::from(x), Float64Array::from(y));
    let test = on_threads("large", || ks_two_sample(&a, &b).expect("KS"));
    assert_eq!(Some(test.statistic), large["statistic"].as_f64());
    let limit = stats::ks_two_sample_asymptotic(test.statistic, test.n, test.m)?;
    close("large", limit, large["asymptotic"].as_f64().expect("p"), TAIL);
    Ok(())
}

#[test]
fn chi_square_is_scipys() -> Outcome {
    for case in cases("chi_square") {
        let (reference, current) = (counts(&case["reference"]), counts(&case["current"]));
        let what = name(case);
        let number = |key: &str| case[key].as_f64().expect("a number");
        let pair = CountPair { current: &current, reference: &reference };
        let core = stats::chi_square_homogeneity(pair)?;
        let drift = chi_square(&reference, &current)?;
        assert_eq!(core.dof, case["dof"].as_u64().expect("dof"), "{what}");
        assert_eq!(drift.degrees_of_freedom, core.dof, "{what}");
        for (ours, p) in [(core.statistic, core.p_value), (drift.statistic, drift.p_value)] {
            close(what, ours, number("statistic"), STATISTIC);
            close(what, p, number("p_value"), TAIL);
        }
        close(what, core.cramers_v, number("cramers_v"), STATISTIC);
        close(what, core.smallest_expected(), number("min_expected"), STATISTIC);
        close(what, drift.min_expected, number("min_expected"), STATISTIC);
    }
    Ok(())
}

#[test]
fn psi_is_its_formula_on_the_references_quantiles() -> Outcome {
    for case in cases("psi") {
        let what = name(case);
        let (x, y) = (floats(&case["reference"]), floats(&case["current"]));
        // The edges themselves are the reference's quantiles.
        let table = Quantiles::new("x").of(&x);
        let mut edges: Vec<f64> =
            (1..10).filter_map(|k| table.quantile(f64::from(k) / 10.0)).collect();
        edges.dedup();
        let expected = floats(&case["edges"]);
        assert_eq!(edges.len(), expected.len(), "{what}");
        for (ours, expected) in edges.iter().zip(&expected) {
            close(what, *ours, *expected, 1e-15);
        }
        let histogram = Histogram::new("x", expected)?;
        let count = |values: Vec<f64>, key: &str| -> Result<Vec<u64>> {
            let full: Vec<_> = values.iter().copied().map(Some).collect();
            let found = measured(what, &histogram, &batch! {"x" => Float64Array::from(values)}?);
            let holes = measured(what, &histogram, &batch! {"x" => among_nulls(&full).0}?);
            assert_eq!(holes.cells, found.cells, "{what}");
            assert_eq!(found.left_open(), counts(&case[key]), "{what}");
            Ok(found.left_open())
        };
        let (a, b) = (count(x, "reference_counts")?, count(y, "current_counts")?);
        for (key, rule) in [
            ("add_half", ZeroCells::AddHalf),
            ("add_tiny", ZeroCells::Add(1e-6)),
            ("clip", ZeroCells::Clip(0.0001)),
            ("refuse", ZeroCells::Refuse),
        ] {
            let what = format!("{what} {key}");
            agree(&what, psi(&a, &b, rule), &case[key], STATISTIC);
            if case[key].is_f64() {
                agree(&what, psi(&b, &a, rule), &case[key], STATISTIC);
                agree(&what, psi_test(&a, &b, rule, 0.95).map(|t| t.value), &case[key], STATISTIC);
            }
        }
    }
    Ok(())
}

// ------------------------------------------------------------------ intervals, multiple testing

#[test]
fn wilson_is_statsmodels() -> Outcome {
    for case in cases("wilson") {
        let number = |i: usize| case[i].as_f64().expect("a number");
        let (x, n) = (case[0].as_u64().expect("x"), case[1].as_u64().expect("n"));
        let ours = stats::wilson(x, n, number(2))?;
        close(&format!("low {case}"), ours.low, number(3), TAIL);
        close(&format!("high {case}"), ours.high, number(4), TAIL);
    }
    Ok(())
}

#[test]
fn miettinen_nurminen_is_the_papers() -> Outcome {
    for case in cases("miettinen_nurminen") {
        let c = counts(&case["counts"]);
        let pair = ProportionPair {
            current: Proportion { successes: c[0], n: c[1] },
            reference: Proportion { successes: c[2], n: c[3] },
        };
        let confidence = case["confidence"].as_f64().expect("a confidence");
        let ours = stats::miettinen_nurminen_difference(pair, confidence)?;
        let limits = floats(&case["difference"]);
        for (ours, limit) in [ours.low, ours.high].into_iter().zip(limits) {
            // A limit may be 0 but for rounding: there the unit is that of a proportion.
            assert!(
                (ours - limit).abs() <= TAIL * limit.abs().max(1e-6),
                "{case}: {ours} for {limit}"
            );
        }
        match stats::miettinen_nurminen_ratio(pair, confidence) {
            Ok(ours) => {
                close(
                    &format!("ratio {case}"),
                    ours.low,
                    case["ratio"][0].as_f64().expect("low"),
                    TAIL,
                );
                let high = case["ratio"][1].as_f64().unwrap_or(f64::INFINITY);
                assert!(
                    ours.high == high || (ours.high / high - 1.0).abs() <= TAIL,
                    "{case}: {ours:?}"
                );
            }
            Err(Error::Undefined { .. }) => assert!(case["ratio"].is_null(), "{case}"),
            Err(other) => return Err(other.into()),
        }
    }
    Ok(())
}

#[test]
fn adjusted_p_values_are_statsmodels() -> Outcome {
    type Adjust = fn(&[f64]) -> Result<Vec<f64>>;
    let all: [(&str, Adjust, stats::Correction); 4] = [
        ("bonferroni", stats::bonferroni, stats::Correction::Bonferroni),
        ("holm", stats::holm, stats::Correction::Holm),
        ("benjamini_hochberg", stats::benjamini_hochberg, stats::Correction::BenjaminiHochberg),
        ("benjamini_yekutieli", stats::benjamini_yekutieli, stats::Correction::BenjaminiYekutieli),
    ];
    for case in cases("multiple") {
        let p = floats(&case["p"]);
        // Tests without a p-value in between change nothing.
        let gaps: Vec<Option<f64>> = p.iter().flat_map(|p| [None, Some(*p)]).collect();
        for (method, adjust, correction) in all {
            let ours = adjust(&p)?;
            for (ours, expected) in ours.iter().zip(floats(&case[method])) {
                close(&format!("{method} {}", case["p"]), *ours, expected, STATISTIC);
            }
            let with_gaps = stats::adjust(correction, &gaps)?;
            assert_eq!(with_gaps.p_values.into_iter().flatten().collect::<Vec<_>>(), ours);
        }
    }
    Ok(())
}

// ------------------------------------------------------------------ fairness

#[test]
fn fairness_is_fairlearns() -> Outcome {
    let metric = |name: &str| Metric::ALL.into_iter().find(|m| m.name() == name).expect("a metric");
    for case in cases("fairness") {
        let (y, p) = (counts(&case["y"]), counts(&case["p"]));
        let features = case["features"].as_array().expect("features");
        let names: Vec<String> = (0..features.len()).map(|i| format!("s{i}")).collect();
        for ((y_true, positive), (y_pred, _)) in labels(&y).into_iter().zip(labels(&p)) {
            // The table of groups refuses a third label, and reads no fractions as labels.
            if y_true.data_type().is_floating() || has_third(&y_true) {
                continue;
            }
            let what = format!("{} of {}", name(case), y_true.data_type());
            let mut columns: Vec<(String, ArrayRef)> = names
                .iter()
                .zip(features)
                .map(|(n, f)| (n.clone(), Arc::new(StringArray::from(texts(f))) as ArrayRef))
                .collect();
            columns.push(("y".into(), y_true));
            columns.push(("p".into(), y_pred));
            let rows = RecordBatch::try_from_iter_with_nullable(
                columns.into_iter().map(|(n, c)| (n, c, true)),
            )?;
            let counted = GroupCounts::new("p", positive, names.clone()).with_labels("y");
            check_frame(&what, case, &measured(&what, &counted, &rows), &metric);
        }
    }
    Ok(())
}

fn has_third(labels: &ArrayRef) -> bool {
    labels
        .as_string_opt::<i32>()
        .is_some_and(|l| l.iter().flatten().any(|l| l != "yes" && l != "no"))
}

fn check_frame(name: &str, case: &Value, frame: &MetricFrame, metric: &impl Fn(&str) -> Metric) {
    let groups = case["groups"].as_array().expect("groups");
    assert_eq!(frame.groups().len(), groups.len(), "{name}");
    for expected in groups {
        let values = texts(&expected["group"]).into_iter().map(|v| v.map(Into::into)).collect();
        let group = Group { values };
        let counts = frame.groups().find(|(g, _)| **g == group).expect("the group").1;
        assert_eq!(Some(counts.rows()), expected["rows"].as_u64(), "{name}");
        for (rate, value) in expected["rates"].as_object().expect("rates") {
            let what = format!("{name} {rate} of {group}");
            let ours = metric(rate).of(counts);
            let (_, listed) = frame.by_group(metric(rate)).find(|(g, _)| **g == group).expect("it");
            assert_eq!(listed, ours, "{what}");
            assert_eq!(ours.value.is_some(), value.is_f64(), "{what}: {ours:?}");
            if let (Some(ours), Some(expected)) = (ours.value, value.as_f64()) {
                close(&what, ours, expected, STATISTIC);
            }
        }
    }
    for (rate, value) in case["overall"].as_object().expect("overall") {
        if let Some(ours) = frame.overall(metric(rate)).value {
            close(&format!("{name} {rate}"), ours, value.as_f64().expect("it"), STATISTIC);
        }
    }
    for kind in [
        GapKind::DemographicParityDifference,
        GapKind::DemographicParityRatio,
        GapKind::EqualOpportunityDifference,
        GapKind::EqualizedOddsDifference,
        GapKind::EqualizedOddsRatio,
    ] {
        let what = format!("{name} {}", kind.name());
        let gap = kind.of(frame, 0.95);
        if let Ok(gap) = &gap {
            assert!(gap.interval.contains(gap.value), "{what}: {gap:?}");
        }
        let ours = gap.map(|g| g.value);
        // Differences of rates cancel: they are good to the last place of a rate.
        match (ours, case["gaps"][kind.name()].as_f64()) {
            (Ok(ours), Some(expected)) => {
                assert!(
                    (ours - expected).abs() <= 2e-16 + 1e-12 * expected,
                    "{what}: {ours} {expected}"
                );
            }
            (Err(Error::Undefined { .. }), None) => {}
            (ours, expected) => panic!("{what}: ours {ours:?}, expected {expected:?}"),
        }
    }
}

// ------------------------------------------------------------------ columns

#[test]
fn columns_are_exact() -> Outcome {
    for case in cases("columns") {
        let what = name(case);
        let x = optional(&case["x"]);
        let (holes, holes_nulls) = among_nulls(&x);
        let plain = batch! {"x" => Float64Array::from(x.clone())}?;
        let summary = measured(what, &NumericSummary::new("x"), &plain);
        let among = measured(what, &NumericSummary::new("x"), &batch! {"x" => holes.clone()}?);
        let expect = |key: &str| case[key].as_f64();
        assert_eq!(Some(summary.n()), case["n"].as_u64(), "{what}");
        assert_eq!(Some(summary.nulls), case["nulls"].as_u64(), "{what}");
        assert_eq!((summary.min, summary.max), (expect("min"), expect("max")), "{what}");
        assert_eq!((among.nulls, among.nans, among.n()), (holes_nulls, 0, summary.n()), "{what}");
        assert_eq!((among.min, among.max), (summary.min, summary.max), "{what}");
        assert_eq!(among.moments, summary.moments, "{what}");

        let largest = x.iter().flatten().fold(0.0, |m: f64, x| m.max(x.abs()));
        // The documented bounds; for almost all of the cases they are half a unit in the last place.
        let beyond = summary.n() as f64 * largest * 2f64.powi(-80);
        let near = |key: &str, ours: Option<f64>, slack: f64| {
            let (Some(ours), Some(expected)) = (ours, expect(key)) else {
                assert_eq!(ours, expect(key), "{what} {key}");
                return;
            };
            let off = (ours - expected).abs();
            let bound = 1e-15 * expected.abs() + slack;
            assert!(
                off <= bound,
                "{what} {key}: ours {ours:?}, exactly {expected:?}, off by {off:e}"
            );
        };
        // Spread over more than 80 bits, where the sum is not promised to be exact.
        let wide = ["cancelling", "wide"].contains(&what);
        near("sum", Some(summary.sum()), if wide { beyond } else { 0.0 });
        near("mean", summary.mean(), if wide { beyond } else { 0.0 });
        near("var", summary.variance(), 0.0);
        near("std", summary.std(), 0.0);

        let table = measured(what, &Quantiles::new("x"), &plain);
        assert!(table.is_exact() && table.nulls() == summary.nulls, "{what}");
        let among = measured(what, &Quantiles::new("x"), &batch! {"x" => holes}?);
        let coarse = measured(what, &Quantiles::new("x").with_cap(0), &plain);
        for pair in case["quantiles"].as_array().expect("quantiles") {
            let (q, expected) = (pair[0].as_f64().expect("q"), pair[1].as_f64().expect("it"));
            let ours = table.quantile(q).expect("a quantile");
            close(&format!("{what} quantile {q}"), ours, expected, STATISTIC);
            assert_eq!(among.quantile(q), Some(ours), "{what}");
            let (low, high) = coarse.bounds(q).expect("bounds");
            assert!(low <= ours && ours <= high, "{what} quantile {q}: {ours} in [{low}, {high}]");
        }
    }
    Ok(())
}

#[test]
fn categories_are_counted() -> Outcome {
    let case = &GOLDEN["transforms"]["categorical"];
    let city = texts(&case["city_nulls"]);
    let rows = batch! {"city" => StringArray::from(city.clone())}?;
    let table = measured("city", &CategoryCounts::new("city"), &rows);
    for label in city.iter().flatten() {
        let expected = city.iter().filter(|c| *c == &Some(*label)).count() as u64;
        assert_eq!(table.count(label), expected, "{label}");
    }
    assert_eq!(table.nulls, city.iter().filter(|c| c.is_none()).count() as u64);
    Ok(())
}

// ------------------------------------------------------------------ transforms

/// Fits on these rows on every path, and transforms the others, whole and in slices.
fn features(
    pipeline: &ColumnPipeline,
    train: &RecordBatch,
    test: &RecordBatch,
) -> Result<Vec<Vec<f64>>> {
    let fitted = pipeline.fit(&MemorySource::from(train.clone()))?;
    let said = fitted.to_json()?;
    for source in sources(train) {
        let again =
            on_threads("fit", || pipeline.fit(&source).and_then(|f| f.to_json()).expect("a fit"));
        assert_eq!(again, said);
    }
    let matrix = fitted.features(test)?;
    for source in sources(test) {
        let again = on_threads("transform", || fitted.source_features(&source).expect("features"));
        assert_eq!(again, matrix);
    }
    Ok(matrix.rows().into_iter().map(|row| row.to_vec()).collect())
}

fn numbers(value: &Value) -> Result<RecordBatch> {
    batch! {"x" => Float64Array::from(optional(value))}
}

fn words(value: &Value) -> Result<RecordBatch> {
    batch! {"x" => StringArray::from(texts(value))}
}

fn matrix(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().expect("rows").iter().map(floats).collect()
}

#[test]
fn numeric_transforms_are_scikit_learns() -> Outcome {
    let golden = &GOLDEN["transforms"];
    for case in golden["numeric"].as_array().expect("cases") {
        let column = case["column"].as_str().expect("a column");
        let mut steps: Vec<NumericStep> = Vec::new();
        for step in texts(&case["steps"]).into_iter().flatten() {
            steps.push(match step {
                "mean" => Imputer::mean().into(),
                "median" => Imputer::median().into(),
                "most_frequent" => Imputer::most_frequent().into(),
                "standard" => StandardScaler.into(),
                "min_max" => MinMaxScaler::new().into(),
                "min_max_to" => MinMaxScaler::to(-2.0, 3.0)?.into(),
                other => panic!("{other}"),
            });
        }
        let standard = texts(&case["steps"]).contains(&Some("standard"));
        let pipeline = ColumnPipeline::new().numeric(["x"], steps);
        let ours = features(
            &pipeline,
            &numbers(&golden["train"][column])?,
            &numbers(&golden["test"][column])?,
        )?;
        let seen: Vec<f64> = optional(&golden["train"][column]).into_iter().flatten().collect();
        // A mean is an f64: what rounding it moves, a deviation moves, in units of the spread.
        let summary = mlops::core::states::Summary::of(&seen);
        let spread = summary.std().filter(|s| *s > 0.0).unwrap_or(1.0);
        let slack = if standard {
            summary.mean().unwrap_or(0.0).abs() * 2f64.powi(-53) / spread
        } else {
            0.0
        };
        for (i, (ours, expected)) in ours.iter().zip(floats(&case["values"])).enumerate() {
            let off = (ours[0] - expected).abs();
            let bound = 1e-12 * expected.abs().max(1e-3) + slack * 1.1;
            assert!(
                off <= bound,
                "{column} {} row {i}: ours {:?}, exactly {expected:?}",
                case["steps"],
                ours[0]
            );
        }
    }
    Ok(())
}

#[test]
fn categorical_transforms_are_scikit_learns() -> Outcome {
    let golden = &GOLDEN["transforms"]["categorical"];
    let (city, new_city) = (words(&golden["city"])?, words(&golden["new_city"])?);
    let one = |encoder: OneHotEncoder| ColumnPipeline::new().categorical(["x"], encoder);
    let ignore = || OneHotEncoder::new().unseen(Unseen::Ignore);
    assert_eq!(features(&one(ignore()), &city, &new_city)?, matrix(&golden["one_hot"]));
    assert!(
        one(OneHotEncoder::new())
            .fit(&MemorySource::from(city.clone()))?
            .features(&new_city)
            .is_err()
    );

    let holes = words(&golden["city_nulls"])?;
    assert_eq!(features(&one(ignore()), &holes, &holes)?, matrix(&golden["with_null"]));
    let without: Vec<Vec<f64>> = matrix(&golden["with_null"])
        .into_iter()
        .map(|mut r| {
            r.pop();
            r
        })
        .collect();
    assert_eq!(features(&one(ignore().nulls(NullPolicy::Ignore)), &holes, &holes)?, without);
    let imputed = ColumnPipeline::new().categorical(["x"], (Imputer::most_frequent(), ignore()));
    assert_eq!(features(&imputed, &holes, &holes)?, matrix(&golden["imputed"]));

    let few = one(OneHotEncoder::new().unseen(Unseen::Other).max_categories(3));
    let (rare, new_rare) = (words(&golden["rare"])?, words(&golden["new_rare"])?);
    assert_eq!(features(&few, &rare, &new_rare)?, matrix(&golden["at_most_3"]));

    let code = batch! {"x" => Int64Array::from_iter_values(floats(&golden["code"]).into_iter().map(|x| x as i64))}?;
    assert_eq!(features(&one(ignore()), &code, &code)?, matrix(&golden["code_one_hot"]));

    let ordinal = OrdinalEncoder::new().unseen(Unseen::Ignore);
    let fitted =
        ColumnPipeline::new().categorical(["x"], ordinal).fit(&MemorySource::from(city))?;
    let ours = fitted.transform(&new_city)?;
    let ours: Vec<_> = ours.column(0).as_primitive::<Float64Type>().iter().collect();
    assert_eq!(ours, optional(&golden["ordinal"]));
    Ok(())
}

#[test]
fn a_whole_pipeline_is_scikit_learns() -> Outcome {
    let golden = &GOLDEN["transforms"];
    let city = texts(&golden["categorical"]["city"]);
    let column =
        |key: &str| Float64Array::from(optional(&golden["train"][key])[..city.len()].to_vec());
    let rows = batch! {
        "city" => StringArray::from(city.clone()),
        "holes" => column("holes"),
        "even" => column("even"),
    }?;
    let pipeline = ColumnPipeline::new()
        .numeric(["holes", "even"], (Imputer::median(), StandardScaler))
        .categorical(["city"], OneHotEncoder::new().unseen(Unseen::Ignore));
    let ours = features(&pipeline, &rows, &rows)?;
    for (ours, expected) in ours.iter().flatten().zip(matrix(&golden["mixed"]).iter().flatten()) {
        assert!((ours - expected).abs() <= 1e-12 * expected.abs().max(1e-2), "{ours} {expected}");
    }
    Ok(())
}

// ------------------------------------------------------------------ attribution

#[test]
fn linear_attribution_is_shaps() -> Outcome {
    for case in cases("attribution") {
        let coefficients = floats(&case["coefficients"]);
        let names: Vec<String> = (0..coefficients.len()).map(|i| format!("x{i}")).collect();
        let table = |key: &str| -> Result<RecordBatch> {
            let rows = matrix(&case[key]);
            let columns = names.iter().enumerate().map(|(j, name)| {
                let values = Float64Array::from_iter_values(rows.iter().map(|r| r[j]));
                (name.clone(), Arc::new(values) as ArrayRef, true)
            });
            Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
        };
        let intercept = case["intercept"].as_f64().expect("an intercept");
        let model = LinearModel::regression(names.clone(), coefficients.clone(), intercept)?;
        let (background, rows) = (table("background")?, table("rows")?);
        let explainer = LinearExplainer::new(&model, &MemorySource::from(background.clone()))?;
        for source in sources(&background) {
            let again = on_threads(name(case), || {
                LinearExplainer::new(&model, &source).expect("an explainer").means().to_vec()
            });
            assert_eq!(again, explainer.means(), "{}", name(case));
        }
        let explained = explainer.explain(&rows)?;
        let parts: Vec<_> = (0..rows.num_rows()).map(|i| rows.slice(i, 1)).collect();
        for (i, part) in parts.iter().enumerate() {
            assert_eq!(explainer.explain(part)?.row(0), explained.row(i), "{}", name(case));
        }
        assert_eq!(explainer.explain(&concat_batches(&rows.schema(), &parts)?)?, explained);
        let base = case["base_value"].as_f64().expect("a base value");
        close(name(case), explained.base_values[0], base, STATISTIC);
        for (i, expected) in matrix(&case["values"]).iter().enumerate() {
            let ours = explained.row(i).expect("a row");
            for (j, (ours, expected)) in ours.iter().zip(expected).enumerate() {
                // The mean is an f64; half its last place is what cannot be had.
                let slack = (coefficients[j] * explainer.means()[j]).abs() * 2f64.powi(-53);
                let off = (ours - expected).abs();
                assert!(
                    off <= 1e-12 * expected.abs() + slack,
                    "{} {i} {j}: {ours} {expected}",
                    name(case)
                );
            }
        }
    }
    Ok(())
}
