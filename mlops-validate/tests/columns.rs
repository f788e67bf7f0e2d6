//! Questions over several columns, predicates and conditions: as Great Expectations answers them,
//! and the same whatever the cutting.
#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of `#[test]`")]

mod gx;

use mlops_core::arrow::array::{
    BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
};
use mlops_core::arrow::datatypes::Int8Type;
use mlops_core::{MemorySource, Severity, ValidatorExt, Verdict, batch, conformance};
use mlops_validate::{
    Expectation, IgnoreRows, Measured, NullPolicy, Quarantine, QuarantineFiles, Scalar, Suite,
    Value, columns_equal, compound_unique, custom_rows, in_range, not_null, pair_equal,
    pair_greater_than, pair_in_set, row_count, satisfies, sum_equals, unique, unique_within_record,
};
use serde_json::{Value as Json, json};

/// Ours for one of theirs; `None` for other types and what they themselves refuse.
fn ours(case: &Json) -> Option<Expectation> {
    let kwargs = &case["expectation"]["kwargs"];
    if kwargs.get("row_condition").is_some() || case["result"].get("exception").is_some() {
        return None;
    }
    let text = |key: &str| kwargs[key].as_str().unwrap().to_owned();
    let columns = || kwargs["column_list"].as_array().unwrap().iter().map(|c| c.as_str().unwrap());
    let (name, mut map) = match case["expectation"]["type"].as_str().unwrap() {
        "expect_column_pair_values_a_to_be_greater_than_b" => (
            "pair_greater_than",
            json!({"or_equal": kwargs.get("or_equal").and_then(Json::as_bool).unwrap_or(false)}),
        ),
        "expect_column_pair_values_to_be_equal" => ("pair_equal", json!({})),
        "expect_column_pair_values_to_be_in_set" => {
            ("pair_in_set", json!({"pairs": kwargs["value_pairs_set"]}))
        }
        "expect_compound_columns_to_be_unique" => ("compound_unique", json!({})),
        "expect_multicolumn_values_to_be_equal" => ("columns_equal", json!({})),
        "expect_multicolumn_sum_to_equal" => ("sum_equals", json!({"total": kwargs["sum_total"]})),
        "expect_select_column_values_to_be_unique_within_record" => {
            ("unique_within_record", json!({}))
        }
        _ => return None,
    };
    map["expectation"] = json!(name);
    if kwargs.get("column_list").is_some() {
        map["columns"] = columns().collect();
    } else {
        map["column_a"] = json!(text("column_A"));
        map["column_b"] = json!(text("column_B"));
    }
    map["ignore_rows"] = json!(match kwargs.get("ignore_row_if").and_then(Json::as_str) {
        None | Some("both_values_are_missing" | "all_values_are_missing") => "all_missing",
        Some("either_value_is_missing" | "any_value_is_missing") => "any_missing",
        Some("neither" | "never") => "never",
        Some(other) => panic!("{other}"),
    });
    map["mostly"] = kwargs.get("mostly").cloned().unwrap_or(json!(1.0));
    Some(serde_json::from_value(map).unwrap_or_else(|e| panic!("{}: {e}", case["name"])))
}

#[test]
fn rows_are_judged_as_great_expectations_judges_them() {
    let (mut agree, mut vacuous) = (0, 0);
    for case in gx::cases() {
        let Some(expectation) = ours(&case) else { continue };
        let name = case["name"].as_str().unwrap();
        let theirs = &case["result"];
        // Text is no number here, and a boolean neither: they compare, we say what the column is.
        let refused = [
            "sum of columns: texts",
            "pair equal: integers and bools",
            "pair equal: text and numbers",
        ];
        let source = MemorySource::from(gx::frame(&case));
        let found = Suite::new(name).expect(expectation).check(&source).unwrap();
        let outcome = &found.outcomes[0];
        match &outcome.measured {
            Measured::Rows { element_count, missing_count, unexpected_count, samples } => {
                let success = theirs["success"].as_bool().unwrap();
                assert_eq!(
                    outcome.finding.verdict,
                    Verdict::from_bool(success),
                    "{name}: {outcome:?} {theirs}"
                );
                assert_eq!(Some(*element_count), theirs["element_count"].as_u64(), "{name}");
                assert_eq!(Some(*missing_count), theirs["missing_count"].as_u64(), "{name}");
                assert_eq!(Some(*unexpected_count), theirs["unexpected_count"].as_u64(), "{name}");
                let rows: Vec<_> = samples.iter().map(|s| json!(s.row.row)).collect();
                assert_eq!(json!(rows), theirs["unexpected_index_list"], "{name}");
                agree += 1;
            }
            Measured::Vacuous => {
                assert_eq!(theirs["success"], true, "{name}");
                vacuous += 1;
            }
            Measured::Failed(why) => assert!(refused.contains(&name), "{name}: {why} {theirs}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(agree >= 55 && vacuous >= 10, "{agree} agree, {vacuous} vacuous");
}

fn nasty() -> RecordBatch {
    let rows = 0..61_i64;
    let some = |i: i64, k: i64| i % k != 0;
    batch! {
        "a" => rows.clone().map(|i| some(i, 5).then_some(i % 7)).collect::<Int64Array>(),
        "b" => rows.clone().map(|i| some(i, 4).then_some([0.0, -0.0, f64::NAN, 3.0, f64::INFINITY][i as usize % 5])).collect::<Float64Array>(),
        "c" => rows.clone().map(|i| some(i, 6).then_some(i % 3)).collect::<Int64Array>(),
        "t" => rows.clone().map(|i| some(i, 7).then(|| format!("t{}", i % 4))).collect::<StringArray>(),
        "d" => rows.map(|i| some(i, 9).then_some(["x", "y", "z"][i as usize % 3])).collect::<DictionaryArray<Int8Type>>(),
    }
    .unwrap()
}

fn everything() -> Suite {
    let every = |mut e: Expectation, ignore: IgnoreRows| {
        let text = serde_json::to_value(&e).unwrap();
        let mut map = text;
        map["ignore_rows"] = json!(ignore);
        e = serde_json::from_value(map).unwrap();
        e
    };
    let mut suite = Suite::new("everything");
    for ignore in [IgnoreRows::AllMissing, IgnoreRows::AnyMissing, IgnoreRows::Never] {
        suite = suite
            .expect(every(pair_greater_than("a", "b"), ignore))
            .expect(every(pair_equal("a", "c"), ignore))
            .expect(every(pair_in_set("a", "t", [(1, "t1"), (2, "t2")]), ignore))
            .expect(every(compound_unique(["a", "c"]), ignore))
            .expect(every(columns_equal(["a", "b", "c"]), ignore))
            .expect(every(unique_within_record(["a", "b", "c", "d"]), ignore))
            .expect(every(sum_equals(["a", "b", "c"], 4.0), ignore));
    }
    for nulls in [NullPolicy::Skip, NullPolicy::Pass, NullPolicy::Fail] {
        suite = suite.expect(satisfies("a + c > 3 OR d = 'x'").unwrap().nulls(nulls));
    }
    let condition = "d IN ('x', 'y') AND a > 1";
    suite
        .expect(in_range("a", 2..=5).where_(condition).unwrap())
        .expect(unique("a").where_(condition).unwrap())
        .expect(not_null("t").where_("a IS NULL").unwrap())
        .expect(row_count(1..=20).where_(condition).unwrap())
        .expect(satisfies("b < 3").unwrap().where_("c = 1").unwrap().mostly(0.5))
}

#[test]
fn what_is_measured_does_not_change_with_the_cutting() {
    let rows = nasty();
    let suite = everything();
    let read = Suite::from_yaml(&suite.to_yaml().unwrap()).unwrap();
    assert_eq!(read, suite);
    assert_eq!(Suite::from_json(&suite.to_json().unwrap()).unwrap(), suite);
    conformance::validator(&suite, &MemorySource::from(rows.clone()));
    let mut plan = mlops_core::Plan::new();
    suite.plan_check(&rows.schema(), &mut plan).unwrap();
    conformance::analyzer(&plan, &rows);
}

#[test]
fn a_condition_chooses_the_rows() {
    let rows = nasty();
    let source = MemorySource::from(rows.clone());
    let chosen = mlops_core::Rows::new(&rows);
    let condition = mlops_validate::Expression::parse("d IN ('x', 'y') AND a > 1").unwrap();
    let truth = condition.bind(&rows.schema()).unwrap().truth(&chosen).unwrap();
    let suite = Suite::new("s")
        .expect(in_range("a", 2..=4).where_("d IN ('x', 'y') AND a > 1").unwrap())
        .expect(not_null("t").where_("zzz > 1").unwrap())
        .expect(not_null("t").where_("d > 1").unwrap());
    let found = suite.check(&source).unwrap();
    let Measured::Rows { element_count, missing_count, unexpected_count, samples } =
        &found.outcomes[0].measured
    else {
        panic!("{found}")
    };
    assert_eq!((*element_count, *missing_count), (truth.true_count() as u64, 0));
    let bad: Vec<u64> =
        (0..61).filter(|&i| truth_at(&truth, i) && i % 7 > 4).map(|i| i as u64).collect();
    assert_eq!(*unexpected_count, bad.len() as u64);
    assert_eq!(samples.iter().map(|s| s.row.row).collect::<Vec<_>>(), bad);
    // A condition that the columns can't answer is a fail with its reason, not silence.
    for outcome in &found.outcomes[1..] {
        assert_eq!(outcome.finding.verdict, Verdict::Fail, "{outcome:?}");
    }
    let none = Suite::new("none").expect(not_null("t").where_("a > 99").unwrap());
    assert_eq!(none.validate(&source).unwrap().verdict, Verdict::Inconclusive);
}

fn truth_at(truth: &BooleanArray, i: i64) -> bool {
    use mlops_core::arrow::array::Array;
    truth.is_valid(i as usize) && truth.value(i as usize)
}

#[test]
fn records_and_batches_agree() {
    let rows = nasty();
    let schema = rows.schema();
    for expectation in everything().expectations {
        let kind = expectation.to_string();
        let suite = Suite::new("one").expect(expectation.clone().severity(Severity::Critical));
        let judge = suite.for_records(&schema).unwrap();
        if !judge.not_judged().is_empty() {
            assert!(kind.contains("unique(") || kind == "row_count", "{kind}");
            continue;
        }
        for row in 0..rows.num_rows() {
            let one = MemorySource::from(rows.slice(row, 1));
            let suite = Suite::new("one").expect(expectation.clone().mostly(1.0));
            let batch = suite.validate(&one).unwrap().verdict;
            let record = record(&rows, row);
            assert_eq!(judge.verdict(&record).unwrap(), batch, "{kind}, row {row}: {record:?}");
        }
    }
}

fn record(rows: &RecordBatch, row: usize) -> Vec<Value<'_>> {
    use mlops_core::arrow::array::{Array, AsArray};
    use mlops_core::arrow::datatypes::{Float64Type, Int64Type};
    let column = |i: usize| rows.column(i);
    let int = |i: usize| {
        column(i).is_valid(row).then(|| column(i).as_primitive::<Int64Type>().value(row)).into()
    };
    let coded = column(4).as_any_dictionary();
    vec![
        int(0),
        column(1).is_valid(row).then(|| column(1).as_primitive::<Float64Type>().value(row)).into(),
        int(2),
        column(3).is_valid(row).then(|| column(3).as_string::<i32>().value(row)).into(),
        column(4)
            .is_valid(row)
            .then(|| coded.values().as_string::<i32>().value(coded.normalized_keys()[row]))
            .into(),
    ]
}

#[test]
fn a_function_judges_rows() {
    let data = MemorySource::from(
        batch! { "n" => Int64Array::from(vec![Some(2), Some(3), None, Some(4)]) }.unwrap(),
    );
    let even = || {
        custom_rows("even", ["n"], |rows| {
            Ok(rows.numbers("n")?.iter().map(|n| n.map(|n| n % 2.0 == 0.0)).collect())
        })
    };
    let looked_at = |nulls| {
        let found = Suite::new("s").expect(even().nulls(nulls)).check(&data).unwrap();
        match &found.outcomes[0].measured {
            Measured::Rows { missing_count, unexpected_count, .. } => {
                (*missing_count, *unexpected_count)
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(looked_at(NullPolicy::Skip), (1, 1));
    assert_eq!(looked_at(NullPolicy::Pass), (0, 1));
    assert_eq!(looked_at(NullPolicy::Fail), (0, 2));
    let suite = Suite::new("s").expect(even());
    assert!(suite.to_yaml().unwrap_err().to_string().contains("even"));
    let schema = mlops_core::DataSource::schema(&data);
    assert_eq!(suite.for_records(&schema).unwrap().not_judged().len(), 1);
    // Answers that are too few are an answer, too: inconclusive.
    let short = custom_rows("short", ["n"], |_| Ok(BooleanArray::from(vec![true])));
    let found = Suite::new("s").expect(short).check(&data).unwrap();
    assert_eq!(found.verdict, Verdict::Inconclusive);
}

#[test]
fn quarantine_puts_aside_what_fails_under_a_condition() {
    let dir = tempfile::tempdir().unwrap();
    let files =
        QuarantineFiles { clean: dir.path().join("c.parquet"), bad: dir.path().join("b.parquet") };
    let rows = nasty();
    let condition = "d IN ('x', 'y')";
    let suite = Suite::new("s")
        .expect(in_range("a", 2..=4).where_(condition).unwrap())
        .expect(unique("c").where_("a = 6").unwrap());
    let source = MemorySource::from(rows);
    let counts: Vec<u64> = suite
        .check(&source)
        .unwrap()
        .outcomes
        .iter()
        .map(|o| o.finding.failing_rows.unwrap())
        .collect();
    let split = Quarantine::new(&suite, files).run(&source).unwrap();
    let reasons: Vec<u64> = split.reasons.iter().map(|(_, n)| *n).collect();
    assert_eq!(reasons, counts);
    assert!(counts.iter().all(|n| *n > 0), "{counts:?}");
}

#[test]
fn what_makes_no_sense_is_an_error() {
    let usable = |e: Expectation| e.check_usable().map_err(|e| e.to_string());
    for (bad, words) in [
        (pair_equal("a", "a"), "each column once"),
        (columns_equal(["a"]), "at least two"),
        (sum_equals(["a", "b"], f64::NAN), "finite"),
        (pair_equal("a", "b").nulls(NullPolicy::Fail), "nulls"),
        (row_count(1..).mostly(0.5), "mostly"),
    ] {
        assert!(usable(bad).unwrap_err().contains(words), "{words}");
    }
    assert!(satisfies("a >").is_err());
    let _: Scalar = 1.into();
}
