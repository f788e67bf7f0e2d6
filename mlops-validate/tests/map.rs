//! The checks of the values of one column, beside what Great Expectations answered to the same
//! small frames (`golden/make_great_expectations.py` recorded it), and beside themselves: asked of
//! a batch and of single records, cut anywhere.
#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of `#[test]`")]

use std::collections::BTreeMap;
use std::sync::Arc;

use mlops_core::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, DurationSecondArray, Float32Array,
    Float64Array, Int64Array, ListBuilder, NullArray, RecordBatch, StringArray, StringBuilder,
    StructArray, UInt64Array,
};
use mlops_core::arrow::buffer::NullBuffer;
use mlops_core::arrow::compute::cast;
use mlops_core::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int8Type, TimeUnit,
    UInt64Type,
};
use mlops_core::{MemorySource, Plan, Scan, ValidatorExt, Verdict, conformance};
use mlops_validate::{
    Expectation, Measured, NullPolicy, OutlierMethod, QuarantineFiles, Suite, in_range, in_set,
    increasing, list_length, not_null, not_outliers, quarantine, strictly_decreasing,
    string_length,
};
use proptest::prelude::*;
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

fn array(column: &Value) -> ArrayRef {
    let values = column["values"].as_array().unwrap().iter();
    let text = || values.clone().map(Value::as_str).collect::<StringArray>();
    let float = |v: &Value| v.as_f64().or_else(|| v.as_str()?.parse::<f64>().ok());
    let parsed = |data_type: DataType| cast(&text(), &data_type).unwrap();
    match column["type"].as_str().unwrap() {
        "int64" => Arc::new(values.map(Value::as_i64).collect::<Int64Array>()),
        "float64" => Arc::new(values.map(float).collect::<Float64Array>()),
        "float32" => Arc::new(values.map(|v| float(v).map(|v| v as f32)).collect::<Float32Array>()),
        "bool" => Arc::new(values.map(Value::as_bool).collect::<BooleanArray>()),
        "utf8" => Arc::new(text()),
        "date32" => parsed(DataType::Date32),
        "decimal128(10, 2)" => parsed(DataType::Decimal128(10, 2)),
        "timestamp[us]" => parsed(DataType::Timestamp(TimeUnit::Microsecond, None)),
        "timestamp[us, UTC]" => {
            parsed(DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())))
        }
        other => panic!("{other}"),
    }
}

/// An argument without the wrapping that says its type.
fn plain(value: &Value) -> Value {
    let inner = value.as_object().and_then(|o| o.values().next());
    inner.unwrap_or(value).clone()
}

/// An expectation of Great Expectations as ours; `None` where it is not of this file.
fn ours(kind: &str, kwargs: &Value) -> Option<Value> {
    let list = |key: &str| -> Vec<Value> {
        let values = kwargs[key].as_array().cloned().unwrap_or_default();
        values.iter().map(plain).filter(|v| !v.is_null()).collect()
    };
    let mut of = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            of.insert(key.to_owned(), value);
        }
    };
    let whole = |key: &str, strict: &str, up: bool| {
        let Some(bound) = kwargs[key].as_f64() else { return Value::Null };
        let strict = kwargs[strict] == true;
        let bound = match up {
            true if strict => bound.floor() + 1.0,
            true => bound.ceil(),
            false if strict => bound.ceil() - 1.0,
            false => bound.floor(),
        };
        json!(bound as i64)
    };
    let name = match kind.strip_prefix("expect_column_value")? {
        "s_to_be_between" => {
            for (theirs, ours) in [("min_value", "min"), ("max_value", "max")] {
                put(ours, plain(&kwargs[theirs]));
            }
            put("strict_min", kwargs["strict_min"].clone());
            put("strict_max", kwargs["strict_max"].clone());
            "in_range"
        }
        "s_to_be_in_set" | "s_to_not_be_in_set" => {
            if !kwargs["value_set"].is_null() {
                put("values", list("value_set").into());
            }
            if kind.contains("not") { "not_in_set" } else { "in_set" }
        }
        "s_to_be_null" => "is_null",
        "s_to_not_be_null" => "not_null",
        "_lengths_to_be_between" => {
            put("min", whole("min_value", "strict_min", true));
            put("max", whole("max_value", "strict_max", false));
            "string_length"
        }
        "_lengths_to_equal" => {
            put("min", kwargs["value"].clone());
            put("max", kwargs["value"].clone());
            "string_length"
        }
        "s_to_match_regex" | "s_to_not_match_regex" => {
            put("regex", kwargs["regex"].clone());
            if kind.contains("not") { "not_matches_regex" } else { "matches_regex" }
        }
        "s_to_match_regex_list" | "s_to_not_match_regex_list" => {
            put("regex", kwargs["regex_list"].clone());
            put("match_on", kwargs["match_on"].clone());
            if kind.contains("not") { "not_matches_regex" } else { "matches_regex" }
        }
        "s_to_match_like_pattern" | "s_to_not_match_like_pattern" => {
            put("pattern", kwargs["like_pattern"].clone());
            put("escape", kwargs["escape"].clone());
            if kind.contains("not") { "not_like" } else { "like" }
        }
        "s_to_match_like_pattern_list" | "s_to_not_match_like_pattern_list" => {
            put("pattern", kwargs["like_pattern_list"].clone());
            put("escape", kwargs["escape"].clone());
            put("match_on", kwargs["match_on"].clone());
            if kind.contains("not") { "not_like" } else { "like" }
        }
        "s_to_match_strftime_format" => {
            put("format", kwargs["strftime_format"].clone());
            "date_format"
        }
        "s_to_be_dateutil_parseable" => "date_parseable",
        "s_to_be_json_parseable" => "json",
        "s_to_match_json_schema" => {
            put("schema", kwargs["json_schema"].clone());
            "json_schema"
        }
        "s_to_be_increasing" | "s_to_be_decreasing" => {
            put("strictly", kwargs["strictly"].clone());
            if kind.contains("increasing") { "increasing" } else { "decreasing" }
        }
        "_z_scores_to_be_less_than" => {
            put("threshold", kwargs["threshold"].clone());
            put("two_sided", kwargs["double_sided"].clone());
            "z_score"
        }
        "s_to_not_be_outliers" => {
            put("method", kwargs["method"].clone());
            put("multiplier", kwargs["multiplier"].clone());
            "not_outliers"
        }
        _ => return None,
    };
    put("expectation", name.into());
    put("column", kwargs["column"].clone());
    put("mostly", kwargs["mostly"].clone());
    Some(of.into())
}

/// Where we answer otherwise, and why.
const DIFFERS: &[(&str, &str)] = &[
    ("between: text against text", "text compares with text"),
    ("between: dates", "a date compares with a date; GX refuses what pandas makes of it"),
    ("between: timestamps against text", "text is how bounds of timestamps are written"),
    ("between: bools", "a boolean is no number"),
    ("in set: bools as integers", "a boolean is no number"),
    ("in set: integers as bools", "a boolean is no number"),
    ("not in set: bools as integers", "a boolean is no number"),
    ("in set: dates as text", "text is how dates are written"),
    ("in set: timestamps as text", "text is how timestamps are written"),
    ("regex: end of line before a newline", "`$` is the end of the text"),
    ("regex: look-ahead", "takes more than linear time, refused"),
    ("regex: back reference", "takes more than linear time, refused"),
    ("regex: of floats", "a float has no one way to print, refused"),
    ("like: on pandas", "needs no database"),
    ("json: numbers JSON does not have", "RFC 8259 has no NaN and no infinity"),
    ("json schema: not JSON", "one bad text is one bad row"),
    ("json schema: true schema", "`true` is a schema"),
    ("between: both strict, one value", "refused, for the range holds nothing"),
    ("length equals: fractional", "refused, for a length is a whole number"),
    ("like: prefix", "case counts; SQLite, unless told, does not mind it"),
    ("json: of integers", "an integer is no text: a wrong type"),
    ("lengths: minimum above maximum", "refused, for nothing has such a length"),
    ("increasing: text", "text has an order"),
    ("decreasing: text", "text has an order"),
    ("z score: one row", "undefined is inconclusive"),
    ("z score: infinity", "an infinity is beyond any score"),
    ("outliers: one row", "undefined is inconclusive"),
    ("outliers: infinity", "an infinity is beyond any fence"),
    ("outliers: infinity, deviations", "an infinity is beyond any deviation"),
    ("outliers: NaN", "NaN lies between no fences"),
];

/// What an answer comes down to.
#[derive(Debug, PartialEq)]
enum Answer {
    /// The question, or the column's type, makes no sense.
    Refused,
    Vacuous,
    Rows {
        success: bool,
        rows: u64,
        missing: u64,
        unexpected: u64,
        first: Vec<u64>,
    },
    Inconclusive,
}

fn theirs(result: &Value) -> Answer {
    let Some(rows) = result["element_count"].as_u64() else { return Answer::Refused };
    // Of null and not null no row is left out.
    let missing = result["missing_count"].as_u64().unwrap_or(0);
    if rows == missing {
        assert_eq!(result["success"], true);
        return Answer::Vacuous;
    }
    let indices = result["unexpected_index_list"].as_array();
    Answer::Rows {
        success: result["success"].as_bool().unwrap(),
        rows,
        missing,
        unexpected: result["unexpected_count"].as_u64().unwrap(),
        first: indices.into_iter().flatten().take(20).map(|i| i.as_u64().unwrap()).collect(),
    }
}

fn answer(expectation: &Value, batch: &RecordBatch) -> Answer {
    let Ok(expectation) = Expectation::deserialize(expectation) else { return Answer::Refused };
    let suite = Suite::new("golden").expect(expectation);
    let found = suite.check(&MemorySource::from(batch.clone())).unwrap();
    let outcome = &found.outcomes[0];
    match &outcome.measured {
        Measured::Failed(_) if outcome.finding.verdict.is_fail() => Answer::Refused,
        Measured::Vacuous => Answer::Vacuous,
        Measured::Rows { element_count, missing_count, unexpected_count, samples, .. } => {
            Answer::Rows {
                success: outcome.finding.verdict == Verdict::Pass,
                rows: *element_count,
                missing: *missing_count,
                unexpected: *unexpected_count,
                first: samples.iter().map(|s| s.row.row).collect(),
            }
        }
        _ => Answer::Inconclusive,
    }
}

#[test]
fn agrees_with_great_expectations() {
    let golden = include_str!("golden/great_expectations.json");
    let golden: Value = serde_json::from_str(golden).unwrap();
    let mut differs: BTreeMap<_, _> = DIFFERS.iter().copied().collect();
    let mut wrong = Vec::new();
    let mut agreed = 0;
    for case in golden["cases"].as_array().unwrap() {
        let (name, asked) = (case["name"].as_str().unwrap(), &case["expectation"]);
        // Conditions have a test of their own; types are named otherwise.
        if !asked["kwargs"]["row_condition"].is_null() {
            continue;
        }
        let Some(expectation) = ours(asked["type"].as_str().unwrap(), &asked["kwargs"]) else {
            continue;
        };
        let columns = case["frame"].as_array().unwrap().iter();
        let columns = columns.map(|c| (c["name"].as_str().unwrap(), array(c), true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let mut ours = answer(&expectation, &batch);
        let theirs = theirs(&case["result"]);
        // SQLite names no rows.
        let unnamed = case["result"]["unexpected_index_list"].is_null();
        if let (true, Answer::Rows { first, .. }) = (unnamed, &mut ours) {
            first.clear();
        }
        match (ours == theirs, differs.remove(name)) {
            (true, None) => agreed += 1,
            (true, Some(_)) => wrong.push(format!("{name}: differs no more")),
            (false, None) => wrong.push(format!("{name}: {ours:?}, but {theirs:?}")),
            (false, Some(_)) => {}
        }
    }
    wrong.extend(differs.keys().map(|name| format!("{name}: no such case")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(agreed > 280, "{agreed} cases");
}

/// Every kind of question of single values, over columns of nasty values.
fn everything() -> Suite {
    let list = json!([
        {"expectation": "in_range", "column": "i8", "min": -3, "max": 3, "strict_max": true},
        {"expectation": "in_range", "column": "u64", "min": 1, "max": 18446744073709551614u64},
        {"expectation": "in_range", "column": "f32", "min": 0.1, "max": 1},
        {"expectation": "in_range", "column": "f64", "min": 0.1, "strict_min": true, "nulls": "fail"},
        {"expectation": "in_range", "column": "decimal", "min": "-0.105", "max": "1.1"},
        {"expectation": "in_range", "column": "date", "min": "1970-01-01", "max": "1970-01-03"},
        {"expectation": "in_range", "column": "text", "min": "a", "max": "b"},
        {"expectation": "in_set", "column": "i8", "values": [-1, 0, 3, 1.5]},
        {"expectation": "in_set", "column": "u64", "values": [0, 1, 2]},
        {"expectation": "in_set", "column": "f32", "values": [0.1, 0]},
        {"expectation": "not_in_set", "column": "f64", "values": [0.1, 0], "nulls": "pass"},
        {"expectation": "in_set", "column": "decimal", "values": [0.1, 1, "-0.25"]},
        {"expectation": "not_in_set", "column": "text", "values": ["", "a", "é"]},
        {"expectation": "in_set", "column": "bool", "values": [true]},
        {"expectation": "finite", "column": "f32"},
        {"expectation": "not_nan", "column": "f64"},
        {"expectation": "finite", "column": "decimal"},
        {"expectation": "matches_regex", "column": "text", "regex": ["^a", "\\d"], "match_on": "all"},
        {"expectation": "matches_regex", "column": "i8", "regex": "^-?\\d$"},
        {"expectation": "not_matches_regex", "column": "text", "regex": ["é", "^$"]},
        {"expectation": "like", "column": "text", "pattern": ["a%", "_"]},
        {"expectation": "not_like", "column": "text", "pattern": "%1%"},
        {"expectation": "string_length", "column": "text", "min": 1, "max": 2},
        {"expectation": "string_length", "column": "u64", "max": 3},
        {"expectation": "has_format", "column": "text", "format": "ipv4"},
        {"expectation": "date_format", "column": "text", "format": "%Y-%m"},
        {"expectation": "date_parseable", "column": "text"},
        {"expectation": "json", "column": "text"},
        {"expectation": "json_schema", "column": "text", "schema": {"type": "integer"}},
        {"expectation": "not_null", "column": "text"},
        {"expectation": "is_null", "column": "f64"},
        {"expectation": "in_set", "column": "dictionary", "values": ["a", "é"]},
        {"expectation": "string_length", "column": "view", "max": 1},
        {"expectation": "in_range", "column": "nothing", "min": 1},
    ]);
    let list = list.as_array().unwrap().iter().map(|e| Expectation::deserialize(e).unwrap());
    list.fold(Suite::new("everything"), Suite::expect)
}

fn nasty(picks: &[(usize, usize, usize)]) -> RecordBatch {
    let ints = [Some(-3), None, Some(0), Some(3), Some(-128), Some(127), Some(1)];
    let floats = [
        Some(0.1),
        None,
        Some(f64::NAN),
        Some(f64::INFINITY),
        Some(-0.0),
        Some(1.0),
        Some(1e300),
        Some(0.2),
    ];
    let decimals = [Some(10), Some(-11), Some(-10), None, Some(110), Some(111), Some(-25)];
    let texts = [
        Some(""),
        None,
        Some("a"),
        Some("é"),
        Some("a1"),
        Some("1.2.3.4"),
        Some("2024-02"),
        Some("17"),
        Some("{}"),
        Some("👩‍👩‍👧"),
    ];
    let text: StringArray = picks.iter().map(|p| texts[p.2 % texts.len()]).collect();
    let int: Int64Array = picks.iter().map(|p| ints[p.0 % ints.len()]).collect();
    let float: Float64Array = picks.iter().map(|p| floats[p.1 % floats.len()]).collect();
    let units: Int64Array = picks.iter().map(|p| decimals[p.1 % decimals.len()]).collect();
    let u64s = [Some(0), None, Some(u64::MAX), Some(u64::MAX - 1), Some(999)];
    let u64s: UInt64Array = picks.iter().map(|p| u64s[p.0 % u64s.len()]).collect();
    let decimal: Decimal128Array = units.iter().map(|v| v.map(i128::from)).collect();
    let as_type = |array: &dyn Array, data_type: DataType| cast(array, &data_type).unwrap();
    let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    RecordBatch::try_from_iter_with_nullable([
        ("i8", as_type(&int, DataType::Int8), true),
        ("u64", Arc::new(u64s) as ArrayRef, true),
        ("f32", as_type(&float, DataType::Float32), true),
        ("f64", Arc::new(float) as ArrayRef, true),
        ("decimal", Arc::new(decimal.with_precision_and_scale(12, 2).unwrap()) as ArrayRef, true),
        ("date", as_type(&as_type(&int, DataType::Int32), DataType::Date32), true),
        ("bool", Arc::new(int.iter().map(|v| v.map(|v| v > 0)).collect::<BooleanArray>()), true),
        ("dictionary", as_type(&text, dictionary), true),
        ("view", as_type(&text, DataType::Utf8View), true),
        ("nothing", Arc::new(NullArray::new(picks.len())) as ArrayRef, true),
        ("text", Arc::new(text) as ArrayRef, true),
    ])
    .unwrap()
}

fn record(batch: &RecordBatch, row: usize) -> Vec<mlops_validate::Value<'_>> {
    use mlops_validate::Value as V;
    let text = batch.column_by_name("text").unwrap().as_string::<i32>();
    let of = |array: &ArrayRef| -> V<'_> {
        if array.is_null(row) {
            return V::Null;
        }
        match array.data_type() {
            DataType::Int8 => array.as_primitive::<Int8Type>().value(row).into(),
            DataType::UInt64 => array.as_primitive::<UInt64Type>().value(row).into(),
            DataType::Float32 => array.as_primitive::<Float32Type>().value(row).into(),
            DataType::Float64 => array.as_primitive::<Float64Type>().value(row).into(),
            DataType::Decimal128(..) => {
                V::Float(array.as_primitive::<Decimal128Type>().value(row) as f64 / 100.0)
            }
            DataType::Date32 => array.as_primitive::<Date32Type>().value(row).into(),
            DataType::Boolean => array.as_boolean().value(row).into(),
            DataType::Null => V::Null,
            _ => text.value(row).into(),
        }
    };
    batch.columns().iter().map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_batch_and_its_records_agree(
        picks in prop::collection::vec((0usize..70, 0usize..70, 0usize..70), 1..20),
    ) {
        let (suite, batch) = (everything(), nasty(&picks));
        let found = suite.check(&MemorySource::from(batch.clone())).unwrap();
        let judge = suite.for_records(&batch.schema()).unwrap();
        prop_assert!(judge.not_judged().is_empty());
        for row in 0..batch.num_rows() {
            let record = record(&batch, row);
            let failures: Vec<_> = judge.failures(&record).unwrap().collect();
            for outcome in &found.outcomes {
                let in_batch = outcome.finding.rows.iter().any(|r| r.row == row as u64);
                let alone = failures.contains(&&outcome.expectation);
                prop_assert_eq!(in_batch, alone, "{:?} {:?}", outcome.expectation, record);
            }
        }
    }
}

#[test]
fn any_cutting_gives_the_same_bits() {
    let picks: Vec<_> = (0..130).map(|i| (i * 7 % 31, i * 11 % 37, i * 13 % 41)).collect();
    let batch = nasty(&picks);
    let mut suite = everything();
    let mut plan = Plan::new();
    suite.plan_check(&batch.schema(), &mut plan).unwrap();
    conformance::analyzer(&plan, &batch);
    for column in ["i8", "f64", "text", "decimal", "dictionary"] {
        suite = suite.expect(increasing(column)).expect(strictly_decreasing(column));
    }
    let source = MemorySource::from(batch.clone());
    let whole = suite.check(&source).unwrap();
    for size in [1, 3, 50] {
        let mut plan = Plan::new();
        let judge = suite.plan_check(&batch.schema(), &mut plan).unwrap();
        let measured = Scan::new(&source).batch_size(size).run(&plan).unwrap();
        assert_eq!(judge.judge(&measured).unwrap(), whole, "batches of {size}");
    }
    conformance::validator(&suite, &source);
    let read = Suite::from_yaml(&suite.to_yaml().unwrap()).unwrap();
    assert_eq!(read, suite);
}

#[test]
fn paths_lead_into_structs_and_lists() {
    let city: ArrayRef = Arc::new(StringArray::from(vec![Some("Oslo"), None, Some("oslo"), None]));
    let field = Arc::new(Field::new("city", DataType::Utf8, true));
    let there = NullBuffer::from(vec![true, true, true, false]);
    let address = StructArray::new(vec![field].into(), vec![city], Some(there));
    let mut tags = ListBuilder::new(StringBuilder::new());
    tags.append_value([Some("a"), Some("b")]);
    tags.append_value([Some("a"), None, Some("é1")]);
    tags.append_null();
    tags.append_value([] as [Option<&str>; 0]);
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("address", Arc::new(address) as ArrayRef, true),
        ("tags", Arc::new(tags.finish()) as ArrayRef, true),
    ])
    .unwrap();
    let rows = |expectation: Expectation| {
        let suite = Suite::new("nested").expect(expectation);
        let found = suite.check(&MemorySource::from(batch.clone())).unwrap();
        let outcome = found.outcomes.into_iter().next().unwrap();
        let rows: Vec<_> = outcome.finding.rows.iter().map(|r| r.row).collect();
        match outcome.measured {
            Measured::Rows { element_count, missing_count, .. } => {
                (element_count, missing_count, rows)
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(rows(in_set("address.city", ["Oslo"])), (4, 2, vec![2]));
    assert_eq!(rows(not_null("address.city")), (4, 0, vec![1, 3]));
    assert_eq!(rows(in_set("tags[]", ["a", "b"])), (4, 1, vec![1]));
    assert_eq!(rows(string_length("tags[]", ..=1).nulls(NullPolicy::Fail)), (4, 0, vec![1, 2]));
    assert_eq!(rows(not_null("tags[]")), (4, 0, vec![1, 2]));
    assert_eq!(rows(list_length("tags", 1..=2)), (4, 1, vec![1, 3]));
    assert_eq!(rows(increasing("address.city")), (4, 2, vec![]));
    let suite = Suite::new("nested").expect(in_set("address.street", ["x"]));
    let found = suite.check(&MemorySource::from(batch.clone())).unwrap();
    assert!(found.verdict.is_fail());
    let judge = Suite::new("nested").expect(in_set("address.city", ["x"]));
    assert_eq!(judge.for_records(&batch.schema()).unwrap().not_judged().len(), 1);
}

#[test]
fn zones_and_durations() {
    let text = StringArray::from(vec!["2024-06-01T10:00:00Z", "2024-06-01T12:00:00Z"]);
    let zone = DataType::Timestamp(TimeUnit::Second, Some("+02:00".into()));
    let duration = DurationSecondArray::from(vec![60, 5400]);
    let batch = RecordBatch::try_from_iter([
        ("at", cast(&text, &zone).unwrap()),
        ("took", Arc::new(duration) as ArrayRef),
    ])
    .unwrap();
    for (column, max, failing) in [
        // Without an offset it is the column's zone.
        ("at", "2024-06-01T12:00:00", 1),
        ("at", "2024-06-01T12:00:00Z", 0),
        ("at", "2024-06-01T13:00:00+01:00", 0),
        ("took", "PT1H", 1),
        ("took", "1h 30m", 0),
    ] {
        let suite = Suite::new("times").expect(in_range(column, ..=max));
        let found = suite.check(&MemorySource::from(batch.clone())).unwrap();
        assert_eq!(found.outcomes[0].finding.failing_rows, Some(failing), "{column} {max}");
    }
}

#[test]
fn a_second_pass_is_made_only_where_it_can_be() {
    let values: Vec<_> = (0..40).map(|i| if i == 33 { 90.0 } else { f64::from(i % 5) }).collect();
    let group = Int64Array::from_iter_values((0..40).map(|i| i64::from(i > 35)));
    let batch = RecordBatch::try_from_iter([
        ("x", Arc::new(Float64Array::from(values)) as ArrayRef),
        ("group", Arc::new(group) as ArrayRef),
    ])
    .unwrap();
    let source = MemorySource::from(batch);
    let suite = Suite::new("far").expect(not_outliers("x", OutlierMethod::Iqr, 1.5));
    assert_eq!(suite.check(&source).unwrap().outcomes[0].finding.rows[0].row, 33);
    // On one scan with others there is no second pass, and no verdict.
    assert_eq!(suite.validate(&source).unwrap().verdict, Verdict::Inconclusive);
    let elsewhere = not_outliers("x", OutlierMethod::Iqr, 1.5);
    let elsewhere = Suite::new("far").expect(elsewhere.where_("group = 1").unwrap());
    let found = elsewhere.check(&source).unwrap();
    assert!(found.verdict.is_pass(), "{found}");
    let dir = tempfile::tempdir().unwrap();
    let files = QuarantineFiles {
        clean: dir.path().join("clean.parquet"),
        bad: dir.path().join("bad.parquet"),
    };
    let split = quarantine(&source, &suite.expect(increasing("group")), files).unwrap();
    assert_eq!((split.clean, split.bad), (39, 1));
}
