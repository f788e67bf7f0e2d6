//! Transforms against scikit-learn, over every path: batches, parts, records, saved and loaded.
#![expect(clippy::unwrap_used, reason = "tests")]

use arrow::array::{Array, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use mlops_core::model::{LinearModel, Model};
use mlops_core::{DataSourceExt, MemorySource, arrow, batch, conformance};
use mlops_data::{
    ColumnPipeline, CsvSource, FittedPipeline, Imputer, MinMaxScaler, NullPolicy, NumericStep,
    OneHotEncoder, OrdinalEncoder, Record, StandardScaler, Unseen, Value, WithTransforms,
};
use proptest::prelude::*;
use serde_json::Value as Json;

fn golden() -> Json {
    serde_json::from_str(include_str!("golden/transforms.json")).unwrap()
}

fn floats(values: &Json) -> Vec<Option<f64>> {
    values.as_array().unwrap().iter().map(Json::as_f64).collect()
}

fn texts(values: &Json) -> StringArray {
    values.as_array().unwrap().iter().map(Json::as_str).collect()
}

fn steps(name: &str) -> Vec<NumericStep> {
    name.split('+')
        .map(|step| match step {
            "standard" => StandardScaler.into(),
            "min_max" => MinMaxScaler::new().into(),
            "min_max_-1_1" => MinMaxScaler::to(-1.0, 1.0).unwrap().into(),
            "mean" => Imputer::mean().into(),
            "median" => Imputer::median().into(),
            "most_frequent" => Imputer::most_frequent().into(),
            "constant" => Imputer::constant(-9.5).into(),
            other => panic!("no step {other}"),
        })
        .collect()
}

fn close(ours: Option<f64>, theirs: Option<f64>, what: &str) {
    // Around 1e9 floats stand 1.2e-7 apart: theirs is that far from the exact mean, ours is not.
    let slack = if what.contains("far_from_zero") { 1e-6 } else { 1e-12 };
    match (ours.filter(|x| !x.is_nan()), theirs) {
        (None, None) => {}
        (Some(a), Some(b)) => {
            assert!((a - b).abs() <= slack + 1e-9 * b.abs(), "{what}: {a} and {b}");
        }
        (a, b) => panic!("{what}: {a:?} and {b:?}"),
    }
}

#[test]
fn numbers_are_those_of_scikit_learn() {
    let golden = golden();
    for case in golden["numeric"].as_array().unwrap() {
        let what = format!("{} {}", case["column"], case["steps"]);
        let values = floats(&case["values"]);
        // What is missing is null here and NaN there, and must be the same.
        let nulls = batch! { "x" => Float64Array::from(values.clone()) }.unwrap();
        let nans: Vec<f64> = values.iter().map(|x| x.unwrap_or(f64::NAN)).collect();
        let nans = batch! { "x" => Float64Array::from(nans) }.unwrap();
        let pipeline = ColumnPipeline::new().numeric(["x"], steps(case["steps"].as_str().unwrap()));
        let fitted = pipeline.fit(&MemorySource::from(nulls.clone())).unwrap();
        assert_eq!(fitted, pipeline.fit(&MemorySource::from(nans)).unwrap(), "{what}");
        let fresh = batch! { "x" => Float64Array::from(floats(&case["fresh"])) }.unwrap();
        for (rows, key) in [(nulls, "transformed"), (fresh, "fresh_transformed")] {
            let ours = fitted.transform(&rows).unwrap();
            let ours = mlops_core::to_numbers("x", ours.column(0)).unwrap();
            for (ours, theirs) in ours.iter().zip(floats(&case[key])) {
                close(ours, theirs, &what);
            }
        }
    }
}

#[test]
fn categories_are_those_of_scikit_learn() {
    let golden = &golden()["categorical"];
    let rows = batch! { "c" => texts(&golden["labels"]) }.unwrap();
    let fresh = batch! { "c" => texts(&golden["fresh"]) }.unwrap();
    let source = MemorySource::from(rows.clone());
    let ignore = OneHotEncoder::new().unseen(Unseen::Ignore);
    // Theirs counts the shared category among the three, and knows it only if one is rare.
    let rare = OneHotEncoder::new().unseen(Unseen::Other).max_categories(3);
    for (encoder, key) in [(ignore, "one_hot"), (rare, "rare")] {
        let fitted = ColumnPipeline::new().categorical(["c"], encoder).fit(&source).unwrap();
        for (rows, key) in [(&rows, key.to_owned()), (&fresh, format!("{key}_fresh"))] {
            let x = fitted.features(rows).unwrap();
            let theirs = golden[&key].as_array().unwrap();
            assert_eq!(x.nrows(), theirs.len());
            for (ours, theirs) in x.rows().into_iter().zip(theirs) {
                let theirs: Vec<f64> = floats(theirs).into_iter().flatten().collect();
                assert_eq!(ours.to_vec(), theirs, "{key}");
            }
        }
    }
    let ordinal = OrdinalEncoder::new().unseen(Unseen::Ignore);
    let fitted = ColumnPipeline::new().categorical(["c"], ordinal).fit(&source).unwrap();
    for (rows, key) in [(rows, "ordinal"), (fresh, "ordinal_fresh")] {
        let ours = fitted.transform(&rows).unwrap();
        let ours = mlops_core::to_numbers("c", ours.column(0)).unwrap();
        assert_eq!(ours.iter().collect::<Vec<_>>(), floats(&golden[key]), "{key}");
    }
}

fn people() -> RecordBatch {
    batch! {
        "age" => Int64Array::from(vec![Some(20), None, Some(40), Some(33), Some(20)]),
        "income" => Float64Array::from(vec![Some(-0.0), Some(1e300), Some(f64::NAN), None, Some(7.5)]),
        "city" => StringArray::from(vec![Some("Oslo"), None, Some("Bergen"), Some("Oslo"), Some("")]),
        "owns" => BooleanArray::from(vec![Some(true), Some(false), None, Some(true), Some(true)]),
    }
    .unwrap()
}

fn pipeline() -> ColumnPipeline {
    ColumnPipeline::new()
        .numeric(["age"], (Imputer::median().with_indicator(), StandardScaler))
        .numeric(["income"], (Imputer::constant(1.0), MinMaxScaler::new()))
        .categorical(["city", "owns"], OneHotEncoder::new())
}

#[test]
fn the_fit_is_an_analyzer() {
    let rows = people();
    let analyzer = pipeline().analyzer(&rows.schema()).unwrap();
    conformance::analyzer(&analyzer, &rows);
}

#[test]
fn batches_records_and_a_loaded_copy_give_the_same_bits() {
    let rows = people();
    let fitted = pipeline().fit(&MemorySource::from(rows.clone())).unwrap();
    let names = fitted.feature_names().to_vec();
    assert_eq!(
        names,
        [
            "age",
            "age_missing",
            "income",
            "city=",
            "city=Bergen",
            "city=Oslo",
            "city=<null>",
            "owns=false",
            "owns=true",
            "owns=<null>"
        ]
    );
    assert_eq!(fitted.feature_columns()[..3], ["age", "age", "income"]);
    let again = FittedPipeline::from_json(&fitted.to_json().unwrap()).unwrap();
    assert_eq!(again, fitted);
    let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let whole = fitted.features(&rows).unwrap();
    let records = [
        Record::from([
            ("age", 20.into()),
            ("income", Value::Number(-0.0)),
            ("city", "Oslo".into()),
            ("owns", true.into()),
        ]),
        Record::from([
            ("age", Value::Null),
            ("income", 1e300.into()),
            ("city", Value::Null),
            ("owns", false.into()),
        ]),
    ];
    for (row, record) in records.iter().enumerate() {
        let expected = bits(&whole.row(row).to_vec());
        assert_eq!(bits(&again.record_features(record).unwrap()), expected);
        let slice = fitted.features(&rows.slice(row, 1)).unwrap();
        assert_eq!(bits(&slice.row(0).to_vec()), expected);
    }
    let error = fitted.record_features(&Record::new().with("age", 1)).unwrap_err();
    assert!(
        error.to_string().contains("column `city` is not there")
            || error.to_string().contains("income")
    );
}

#[test]
fn what_is_refused_is_named() {
    let rows = people();
    let source = MemorySource::from(rows.clone());
    let fitted = pipeline().fit(&source).unwrap();
    let other = batch! {
        "owns" => BooleanArray::from(vec![true, true]),
        "city" => StringArray::from(vec!["Oslo", "Rome"]),
        "income" => Float64Array::from(vec![1.0, 1.0]),
        "age" => Int64Array::from(vec![1, 2]),
    }
    .unwrap();
    assert_eq!(
        fitted.features(&other).unwrap_err().to_string(),
        "column `city`, row 1: expected one of: , Bergen, Oslo, found `Rome`"
    );
    let strict = OneHotEncoder::new().nulls(NullPolicy::Error);
    let fitted = ColumnPipeline::new().categorical(["city"], strict).fit(&source).unwrap();
    assert!(fitted.features(&rows).unwrap_err().to_string().contains("row 1: expected one of"));
    let fitted = ColumnPipeline::new().numeric(["age"], StandardScaler).fit(&source).unwrap();
    let error = fitted.features(&rows).unwrap_err().to_string();
    assert_eq!(error, "column `age`, row 1: expected a number, found null");

    let error = |pipeline: ColumnPipeline| pipeline.fit(&source).unwrap_err().to_string();
    assert!(error(ColumnPipeline::new()).contains("at least one column"));
    assert!(error(ColumnPipeline::new().numeric(["city"], ())).contains("column `city`"));
    assert!(error(ColumnPipeline::new().numeric(["town"], ())).contains("`town` is not there"));
    assert!(error(ColumnPipeline::new().numeric(["age", "age"], ())).contains("each column once"));
    let infinite = batch! { "x" => Float64Array::from(vec![1.0, f64::INFINITY]) }.unwrap();
    let empty = infinite.slice(0, 0);
    let scaled = ColumnPipeline::new().numeric(["x"], StandardScaler);
    let said = scaled.fit(&MemorySource::from(infinite)).unwrap_err().to_string();
    assert!(said.contains("column `x`") && said.contains("1 of its values are infinite"), "{said}");
    assert!(scaled.fit(&MemorySource::from(empty)).unwrap_err().to_string().contains("undefined"));
}

#[test]
fn hostile_json_is_an_error() {
    let fitted = pipeline().fit(&MemorySource::from(people())).unwrap();
    let json = fitted.to_json().unwrap();
    for (from, to) in [
        ("\"version\":1", "\"version\":2"),
        ("mlops-column-pipeline", "pickle"),
        ("\"Int64\"", "\"List(List(\""),
        ("\"income\"", "\"age\""),
        ("\"Bergen\",\"Oslo\"", "\"Oslo\",\"Bergen\""),
        ("\"fill\":1.0", "\"fill\":null"),
    ] {
        assert!(json.contains(from), "{from} in {json}");
        assert!(FittedPipeline::from_json(&json.replace(from, to)).is_err(), "{from} → {to}");
    }
    assert!(FittedPipeline::from_json(&json[..json.len() / 2]).is_err());
}

#[test]
fn a_model_behind_transforms_is_a_model() {
    let rows = people();
    let fitted = pipeline().fit(&MemorySource::from(rows.clone())).unwrap();
    let names = fitted.feature_names().to_vec();
    let weights: Vec<f64> = (0..names.len()).map(|i| i as f64 - 3.5).collect();
    let model = LinearModel::regression(names, weights.clone(), 0.25).unwrap();
    let whole = WithTransforms::new(fitted.clone(), model).unwrap();
    conformance::model(&whole, &rows);
    let bytes = whole.to_bytes(LinearModel::to_bytes).unwrap();
    for cut in 0..bytes.len() {
        let read = WithTransforms::from_bytes(&bytes[..cut], LinearModel::from_bytes);
        assert!(read.is_err(), "cut after {cut} bytes");
    }
    let read = WithTransforms::from_bytes(&bytes, LinearModel::from_bytes).unwrap();
    assert_eq!(read.predict(&rows).unwrap(), whole.predict(&rows).unwrap());
    let other = LinearModel::regression(["height"], [1.0], 0.0).unwrap();
    let error = WithTransforms::new(fitted, other).unwrap_err().to_string();
    assert!(error.contains("column `height` is not there"), "{error}");
}

#[test]
fn any_table_makes_features() {
    let Ok(dir) = std::env::var("MLOPS_DATA") else {
        println!("skipped: MLOPS_DATA is not set");
        return;
    };
    let train = CsvSource::open(format!("{dir}/adult-train.csv")).unwrap();
    let test = CsvSource::open(format!("{dir}/adult-test.csv")).unwrap();
    let schema = mlops_core::DataSource::schema(&train);
    let pipeline = ColumnPipeline::for_schema(&schema, &["income"]);
    let fitted = pipeline.fit(&train).unwrap();
    let x = fitted.source_features(&test).unwrap();
    assert_eq!(x.nrows(), 16_281);
    assert!(x.iter().all(|x| x.is_finite()));
    let rows = test.collect().unwrap();
    assert_eq!(fitted.features(&rows).unwrap(), x);
    assert_eq!(rows.column(0).null_count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// One column whole or as damaged JSON: an error or a pipeline that works; never a panic.
    #[test]
    fn damaged_json_never_panics(at in any::<prop::sample::Index>(), byte in 0_u8..128) {
        let rows = people();
        let fitted = pipeline().fit(&MemorySource::from(rows.clone())).unwrap();
        let mut json = fitted.to_json().unwrap().into_bytes();
        let at = at.index(json.len());
        json[at] = byte;
        if let Ok(read) = FittedPipeline::from_json(&String::from_utf8(json).unwrap()) {
            drop(read.features(&rows));
        }
    }
}
