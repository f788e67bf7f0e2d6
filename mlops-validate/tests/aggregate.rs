//! Expectations about columns as a whole, beside what the real Great Expectations answered
//! (`golden/make_great_expectations.py`) and what scipy and numpy compute
//! (`golden/make_aggregate.py`).
#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of `#[test]`")]

mod gx;

use std::collections::BTreeMap;
use std::sync::Arc;

use mlops_core::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use mlops_core::{MemorySource, Verdict};
use mlops_validate::{Expectation, Measured, Outcome, Suite};
use serde_json::{Map, Value, json};

fn float(v: &Value) -> Option<f64> {
    v.as_f64().or_else(|| match v.as_str()? {
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        text => text.parse().ok(),
    })
}

/// A value of Great Expectations' arguments as ours.
fn plain(value: &Value) -> Value {
    match value.as_object() {
        Some(map) if map.len() == 1 => map.values().next().unwrap().clone(),
        _ => value.clone(),
    }
}

/// Great Expectations' arguments as our expectation; `None` for what we say otherwise.
fn ours(kind: &str, kwargs: &Map<String, Value>, data_type: &str) -> Option<Value> {
    let mut map = Map::new();
    let mut put = |key: &str, value: Value| map.insert(key.into(), value);
    put("column", kwargs.get("column")?.clone());
    for (theirs, key) in [("min_value", "min"), ("max_value", "max")] {
        if let Some(value) = kwargs.get(theirs) {
            put(key, plain(value));
        }
    }
    for key in ["strict_min", "strict_max", "ties_okay", "row_condition"] {
        if let Some(value) = kwargs.get(key) {
            put(key, value.clone());
        }
    }
    if let Some(set) = kwargs.get("value_set") {
        let member = |value: &Value| match (data_type, plain(value)) {
            // Python's booleans are numbers.
            ("bool", Value::Number(n)) => json!(n.as_i64() == Some(1)),
            (_, other) => other,
        };
        put("values", set.as_array()?.iter().map(member).collect());
    }
    let name = match kind {
        "expect_column_min_to_be_between" => "min",
        "expect_column_max_to_be_between" => "max",
        "expect_column_mean_to_be_between" => "mean",
        "expect_column_median_to_be_between" => "median",
        "expect_column_stdev_to_be_between" => "stdev",
        "expect_column_sum_to_be_between" => "sum",
        "expect_column_unique_value_count_to_be_between" => "unique_count",
        "expect_column_proportion_of_unique_values_to_be_between" => "proportion_unique",
        "expect_column_proportion_of_non_null_values_to_be_between" => "completeness",
        "expect_column_most_common_value_to_be_in_set" => "most_common_in_set",
        "expect_column_distinct_values_to_be_in_set" => "distinct_in_set",
        "expect_column_distinct_values_to_contain_set" => "distinct_contains_set",
        "expect_column_distinct_values_to_equal_set" => "distinct_equals_set",
        "expect_column_quantile_values_to_be_between" => {
            let ranges = &kwargs["quantile_ranges"];
            let (q, bounds) = (ranges["quantiles"].as_array()?, ranges["value_ranges"].as_array()?);
            if q.len() != bounds.len() {
                return None;
            }
            let one = |(q, bounds): (&Value, &Value)| {
                let mut ends = [bounds[0].as_f64(), bounds[1].as_f64()];
                // It turns a range round that stands the wrong way.
                if let [Some(low), Some(high)] = ends
                    && low > high
                {
                    ends = [Some(high), Some(low)];
                }
                let mut one = json!({"q": q});
                for (key, end) in ["min", "max"].into_iter().zip(ends) {
                    if let Some(end) = end {
                        one[key] = json!(end);
                    }
                }
                one
            };
            put("quantiles", q.iter().zip(bounds).map(one).collect());
            let between = kwargs.get("allow_relative_error").cloned();
            put("interpolation", between.unwrap_or(json!("nearest")));
            "quantiles"
        }
        "expect_column_kl_divergence_to_be_less_than" => {
            let partition = kwargs.get("partition_object")?;
            if kwargs.get("bucketize_data") == Some(&json!(false))
                && partition.get("bins").is_some()
            {
                return None;
            }
            put("max", kwargs.get("threshold").cloned()?);
            let mut weights = partition["weights"].as_array()?.clone();
            if let Some(values) = partition.get("values") {
                put("values", values.clone());
            }
            if let Some(bins) = partition.get("bins") {
                let mut bins: Vec<_> =
                    bins.as_array()?.iter().map(|e| float(&plain(e)).unwrap()).collect();
                let mut tails = [0.0; 2];
                let open = bins.iter().any(|e| e.is_infinite());
                if bins[0].is_infinite() {
                    bins.remove(0);
                    tails[0] = weights.remove(0).as_f64()?;
                }
                if bins.last()?.is_infinite() {
                    bins.pop();
                    tails[1] = weights.pop()?.as_f64()?;
                }
                if open {
                    put("tail_weights", json!(tails));
                } else if let Some(tails) = partition.get("tail_weights") {
                    put("tail_weights", tails.clone());
                }
                put("bins", json!(bins));
            }
            put("weights", Value::Array(weights));
            for key in ["tail_weight_holdout", "internal_weight_holdout"] {
                if let Some(value) = kwargs.get(key) {
                    put(key, value.clone());
                }
            }
            "kl_divergence"
        }
        _ => return None,
    };
    put("expectation", json!(name));
    Some(Value::Object(map))
}

fn judge(batch: RecordBatch, expectation: Expectation) -> Outcome {
    let suite = Suite::new("one").expect(expectation);
    suite.check(&MemorySource::from(batch)).unwrap().outcomes.remove(0)
}

/// Whether two observed values are the same: numbers to 1e-12.
fn agree(ours: &Value, theirs: &Value) -> bool {
    match (float(ours).or(bool_as_float(ours)), float(theirs).or(bool_as_float(theirs))) {
        (Some(a), Some(b)) => a == b || (a - b).abs() <= 1e-12 * b.abs().max(1.0),
        _ => ours == theirs,
    }
}

fn bool_as_float(value: &Value) -> Option<f64> {
    value.as_bool().map(|b| if b { 1.0 } else { 0.0 })
}

/// Cases in which we say something else on purpose, with the reason.
const DIFFERENT: &[(&str, &str)] = &[
    ("median: NaN", "a NaN makes it undefined"),
    ("quantiles: infinity", "infinite values make it undefined"),
    ("max: timestamps against text", "text is read as a timestamp"),
    ("max: dates", "text is read as a date"),
    ("max: texts", "text is ordered by its bytes"),
    ("max: text against text", "text is ordered by its bytes"),
    ("min: text against text", "text is ordered by its bytes"),
    ("mean: large values that overflow a sum", "the sum does not overflow"),
    ("stdev: strict maximum at the value", "rounded once, theirs is two units off"),
    ("stdev: bounds at the value", "rounded once, theirs is two units off"),
    ("sum: cancelling", "the sum is 1, theirs lost it"),
    ("distinct in: no rows, empty set", "an empty set is one"),
    ("distinct in: empty set", "an empty set is one"),
];

#[test]
fn great_expectations_agrees() {
    let (mut seen, mut wrong) = (BTreeMap::new(), Vec::new());
    for case in &gx::cases() {
        let name = case["name"].as_str().unwrap();
        let kind = case["expectation"]["type"].as_str().unwrap();
        let kwargs = case["expectation"]["kwargs"].as_object().unwrap();
        // Arrow reads zones by name only with a feature that is off.
        let named_zone = case["frame"].to_string().contains("timestamp[us, UTC]");
        if kwargs.contains_key("row_condition") || named_zone {
            continue;
        }
        let of = kwargs.get("column").and_then(Value::as_str).unwrap_or_default();
        let frame = case["frame"].as_array().unwrap();
        let data_type =
            frame.iter().find(|c| c["name"] == of).map_or("", |c| c["type"].as_str().unwrap());
        let Some(asked) = ours(kind, kwargs, data_type) else { continue };
        let mut answers = vec![&case["result"]];
        answers.extend(case["others"].as_array().into_iter().flatten().map(|o| &o["result"]));
        let success = |answer: &Value| answer["success"].as_bool().unwrap();
        let Ok(expectation) = serde_json::from_value::<Expectation>(asked.clone()) else {
            // What can't be asked of us: no bounds, shares beyond 1, a null in a set, weights
            // that are no distribution.
            let no_bounds = asked.get("min").or(asked.get("max")).is_none();
            let odd_set = asked.to_string().contains("null");
            let refused = answers.iter().any(|a| a.get("exception").is_some());
            let empty = name == "quantiles: no quantile";
            // Bounds that nothing can meet.
            let unmeetable = answers.iter().all(|a| !success(a));
            if !(no_bounds || odd_set || refused || empty || unmeetable) {
                wrong.push(format!("{name}: {asked}"));
            }
            *seen.entry("refused").or_insert(0) += 1;
            continue;
        };
        let batch = gx::frame(case);
        let outcome = judge(batch, expectation);
        let (verdict, measured) = (outcome.finding.verdict, &outcome.measured);
        let agrees = |answer: &Value| match measured {
            // Nothing was measured: a success to them.
            Measured::Vacuous => success(answer),
            Measured::Failed(_) => answer.get("exception").is_some() || !success(answer),
            Measured::Value(value) => {
                let observed = &answer["observed_value"];
                let same = match value {
                    _ if verdict == Verdict::Inconclusive => true,
                    Value::Object(map) if map.contains_key("values") => {
                        let ours = map["values"].as_array().unwrap();
                        let theirs = observed["values"].as_array().unwrap();
                        ours.len() == theirs.len()
                            && ours.iter().zip(theirs).all(|(a, b)| agree(a, b))
                    }
                    Value::Object(map) => map
                        .iter()
                        .filter(|(key, _)| *key != "distinct")
                        .all(|(key, value)| agree(value, &answer[key])),
                    Value::Array(_) => value == observed,
                    Value::String(text) if observed.is_string() => {
                        let theirs = observed.as_str().unwrap().replace("+00:00", "Z");
                        *text == theirs || agree(value, observed)
                    }
                    value => agree(value, observed),
                };
                same && success(answer) == verdict.is_pass()
            }
            other => panic!("{name}: {other:?}"),
        };
        let agreed = answers.into_iter().any(agrees);
        if DIFFERENT.iter().any(|(different, _)| *different == name) {
            if agreed {
                wrong.push(format!("{name} is no different: {}", outcome.finding));
            }
            *seen.entry("different").or_insert(0) += 1;
            continue;
        }
        if !agreed {
            wrong.push(format!("{name}: {}, {measured:?}\n{}", outcome.finding, case["result"]));
        }
        *seen.entry(kind.to_owned().leak() as &str).or_insert(0) += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(seen.len(), 17, "fifteen kinds: {seen:?}");
    assert!(seen.values().sum::<i32>() > 250, "{seen:?}");
}

/// Nasty numbers, ties, nulls, two batches' worth.
fn nasty() -> RecordBatch {
    let x: Vec<Option<f64>> = (0..40)
        .map(|i| match i % 8 {
            0 => None,
            1 => Some(-0.0),
            2 => Some(1e-300),
            3 => Some(-1e9),
            _ => Some(f64::from(i) * 0.7),
        })
        .collect();
    let y: Vec<_> = (0..40).map(|i| Some(f64::from((i * 7) % 11))).collect();
    let n: Vec<_> = (0..40).map(|i| (i % 5 != 0).then_some(i64::MAX - i % 3)).collect();
    let words = ["", "é", "abc", "a much longer text than the others"];
    let t: Vec<_> = (0..40).map(|i| (i % 6 != 0).then_some(words[i % 4])).collect();
    let columns: [(&str, ArrayRef, bool); 4] = [
        ("x", Arc::new(Float64Array::from(x)), true),
        ("y", Arc::new(Float64Array::from(y)), true),
        ("n", Arc::new(Int64Array::from(n)), true),
        ("t", Arc::new(StringArray::from(t)), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

const EVERY_KIND: &str = "
name: all
expectations:
- {expectation: min, column: t, max: b}
- {expectation: max, column: x, min: 1}
- {expectation: range, column: x, min: 1}
- {expectation: mean, column: n, min: 1}
- {expectation: sum, column: n, min: 9223372036854775807}
- {expectation: sum, column: x, max: 0}
- {expectation: variance, column: x, min: 0}
- {expectation: stdev, column: x, min: 0, strict_min: true, population: true}
- {expectation: median, column: x, min: 0, max: 100}
- {expectation: quantile, column: x, q: 0.9, min: 0, interpolation: nearest}
- {expectation: quantiles, column: x, quantiles: [{q: 0.1, max: 0}, {q: 0.9}]}
- {expectation: iqr, column: x, min: 0}
- {expectation: skewness, column: y, min: -1, max: 1}
- {expectation: kurtosis, column: y, min: -2, max: 1}
- {expectation: zeros_count, column: x, min: 1}
- {expectation: completeness, column: t, min: 0.5}
- {expectation: value_count, column: t, min: 5}
- {expectation: min_length, column: t, max: 0}
- {expectation: max_length, column: t, max: 40}
- {expectation: approx_distinct, column: t, max: 4}
- {expectation: unique_count, column: t, max: 4}
- {expectation: proportion_unique, column: t, max: 0.5}
- {expectation: uniqueness, column: t, max: 0.1}
- {expectation: unique_value_ratio, column: t, max: 0.1}
- {expectation: duplicate_count, column: t, min: 1}
- {expectation: entropy, column: t, max: 2}
- {expectation: most_common_in_set, column: n, values: [9223372036854775807], ties_okay: true}
- {expectation: distinct_in_set, column: t, values: [abc]}
- {expectation: distinct_contains_set, column: t, values: [abc]}
- {expectation: distinct_equals_set, column: t, values: [abc]}
- {expectation: value_frequency, column: t, value: abc, min: 0.1}
- {expectation: kl_divergence, column: t, values: [abc], weights: [1.0], max: 1, tail_weight_holdout: 0.1}
- {expectation: l_infinity, column: x, bins: [-1, 5, 20], weights: [3, 4], tail_weights: [1, 1], max: 0.5}
- {expectation: jensen_shannon, column: t, values: [abc, é], weights: [1, 1], max: 0.9}
- {expectation: normalized_abs_difference, column: t, values: [abc], weights: [10], max: 0.9}
- {expectation: correlation, columns: [x, y], min: -1}
- {expectation: mutual_information, columns: [t, n], max: 9}
";

#[test]
fn every_kind_keeps_the_contract_and_its_text() {
    let suite = Suite::from_yaml(EVERY_KIND).unwrap();
    assert_eq!(Suite::from_yaml(&suite.to_yaml().unwrap()).unwrap(), suite);
    assert_eq!(Suite::from_json(&suite.to_json().unwrap()).unwrap(), suite);
    let source = MemorySource::from(nasty());
    for outcome in suite.check(&source).unwrap().outcomes {
        let failed = matches!(outcome.measured, Measured::Failed(_));
        assert!(!failed, "{}", outcome.finding);
        assert_ne!(outcome.finding.verdict, Verdict::Inconclusive, "{}", outcome.finding);
    }
    mlops_core::conformance::validator(&suite, &source);
    let mut plan = mlops_core::Plan::new();
    suite.plan_check(nasty().schema_ref(), &mut plan).unwrap();
    mlops_core::conformance::analyzer(&plan, &nasty());
    for unknown in ["men: 3", "min: 5, max: 4", "strict_min: true"] {
        let text =
            format!("{{name: a, expectations: [{{expectation: mean, column: x, {unknown}}}]}}");
        assert!(Suite::from_yaml(&text).is_err(), "{unknown}");
    }
}

#[test]
fn nothing_is_inconclusive() {
    let suite = Suite::from_yaml(EVERY_KIND).unwrap();
    let nothing: Vec<ArrayRef> =
        nasty().columns().iter().map(|c| arrow::array::new_null_array(c.data_type(), 3)).collect();
    let batch = RecordBatch::try_new(nasty().schema(), nothing).unwrap();
    for outcome in suite.check(&MemorySource::from(batch)).unwrap().outcomes {
        let verdict = outcome.finding.verdict;
        // A share of 0 rows with a value is a share; no values are too few of them.
        let counts = ["completeness", "value_count", "zeros_count", "duplicate_count"];
        let lacks = ["distinct_contains_set", "distinct_equals_set"];
        let fails = [&counts[..], &lacks].concat().contains(&outcome.expectation.kind());
        let expected = if fails { Verdict::Fail } else { Verdict::Inconclusive };
        assert_eq!(verdict, expected, "{}", outcome.finding);
    }
}

/// 150,000 values, 120,000 of them different: 90,000 stand once, 30,000 twice; and some nulls.
#[test]
fn many_different_values_are_counted_exactly() {
    let values = (0..150_000i64).map(|i| Some(i % 120_000)).chain([None; 50]);
    let x: ArrayRef = Arc::new(values.collect::<Int64Array>());
    let batch = RecordBatch::try_from_iter([("x", x)]).unwrap();
    let (p, n) = (1.0 / 150_000.0f64, 150_000.0);
    let entropy = -(90_000.0 * p * p.ln() + 30_000.0 * 2.0 * p * (2.0 * p).ln());
    for (kind, wanted) in [
        ("unique_count", 120_000.0),
        ("proportion_unique", 120_000.0 / n),
        ("uniqueness", 90_000.0 / n),
        ("unique_value_ratio", 0.75),
        ("duplicate_count", 60_000.0),
        ("entropy", entropy),
    ] {
        let text =
            format!("{{name: a, expectations: [{{expectation: {kind}, column: x, min: 0}}]}}");
        let checked = Suite::from_yaml(&text).unwrap().check(&MemorySource::from(batch.clone()));
        let finding = checked.unwrap().outcomes.remove(0).finding;
        let found = finding.value.unwrap_or(f64::NAN);
        assert!((found - wanted).abs() <= 1e-9 * wanted, "{finding}: {wanted}");
    }
}

/// Beside scipy, numpy and scikit-learn.
#[test]
fn numbers_are_those_of_scipy() {
    let golden: Value = serde_json::from_str(include_str!("golden/aggregate.json")).unwrap();
    let mut n = 0;
    for frame in golden["frames"].as_array().unwrap() {
        let columns = ["x", "y"].map(|name| {
            let values = frame[name].as_array().unwrap().iter().map(Value::as_f64);
            (name, Arc::new(values.collect::<Float64Array>()) as ArrayRef, true)
        });
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        for case in frame["cases"].as_array().unwrap() {
            let expectation: Expectation = serde_json::from_value(case["ours"].clone()).unwrap();
            let found = judge(batch.clone(), expectation).finding;
            let (ours, theirs) = (found.value.unwrap(), case["value"].as_f64().unwrap());
            let scale = theirs.abs().max(case["scale"].as_f64().unwrap_or(0.0));
            assert!(
                (ours - theirs).abs() <= 1e-12 * scale,
                "{}: {ours}, not {theirs}",
                case["ours"]
            );
            n += 1;
        }
    }
    assert!(n > 50, "{n}");
}

#[test]
fn another_source() {
    use Verdict::{Fail, Inconclusive, Pass};
    use mlops_core::arrow::array::{DictionaryArray, Int32Array};
    use mlops_core::batch;
    use mlops_validate::{
        Context, dataset_match, referential_integrity, row_count_equals_other, schema_match,
    };
    let shops = batch! {
        "id" => Int32Array::from(vec![Some(1), Some(2), None]),
        "country" => StringArray::from(vec!["NO", "SE", "DK"]),
    }
    .unwrap();
    let country: DictionaryArray<arrow::datatypes::Int8Type> =
        vec![Some("NO"), Some("NO"), Some("SE"), None].into_iter().collect();
    let sales = batch! {
        "shop" => Int64Array::from(vec![Some(1), Some(2), None, Some(9)]),
        "country" => country,
    }
    .unwrap();
    let context = Context::new()
        .source("shops", MemorySource::from(shops.clone()))
        .source("sales", MemorySource::from(sales.clone()));
    let suite = Suite::new("sales")
        .expect(referential_integrity(["shop"], "shops", ["id"]))
        .expect(referential_integrity(["shop", "country"], "shops", ["id", "country"]))
        .expect(row_count_equals_other("sales"))
        .expect(row_count_equals_other("shops"))
        .expect(dataset_match("sales"))
        .expect(schema_match("sales"))
        .expect(schema_match("shops"))
        .expect(row_count_equals_other("nobody"));
    let source = MemorySource::from(sales.clone());
    let found = suite.check_with(&source, &context).unwrap();
    let verdicts: Vec<_> = found.outcomes.iter().map(|o| o.finding.verdict).collect();
    assert_eq!(verdicts, [Fail, Fail, Pass, Fail, Pass, Pass, Fail, Inconclusive], "{found}");
    let rows =
        |i: usize| -> Vec<u64> { found.outcomes[i].finding.rows.iter().map(|r| r.row).collect() };
    assert_eq!((rows(0), rows(1)), (vec![3], vec![1]));
    let Measured::Rows { missing_count, .. } = found.outcomes[1].measured else { panic!() };
    assert_eq!(missing_count, 2);
    // Without the sources nothing is known.
    let alone = suite.check(&source).unwrap();
    assert!(alone.outcomes.iter().all(|o| o.finding.verdict == Inconclusive), "{alone}");
    let text = suite.to_yaml().unwrap();
    assert_eq!(Suite::from_yaml(&text).unwrap(), suite);
    // Numbers compare by value, not by type.
    let floats = batch! { "shop" => Float64Array::from(vec![Some(-0.0), Some(1.0), Some(1.5)]) };
    let zero = batch! { "id" => Int64Array::from(vec![0, 1]) }.unwrap();
    let context = Context::new().source("shops", MemorySource::from(zero));
    let suite = Suite::new("f").expect(referential_integrity(["shop"], "shops", ["id"]));
    let found = suite.check_with(&MemorySource::from(floats.unwrap()), &context).unwrap();
    assert_eq!(found.outcomes[0].finding.failing_rows, Some(1), "{found}");
}
