//! Suites as text, and what they say of nasty data.

use mlops_core::arrow::array::{Float64Array, Int32Array, StringArray};
use mlops_core::{MemorySource, Severity, ValidatorExt, Verdict, batch};
use mlops_validate::{
    ColumnType, Suite, column, in_range, in_set, matches_regex, not_null, row_count, schema,
    string_length, unique,
};

fn everything() -> Suite {
    Suite::new("everything")
        .expect(
            schema([
                column("age", ColumnType::Integer).not_null(),
                column("name", ColumnType::Text),
            ])
            .ordered()
            .allow_extra(),
        )
        .expect(row_count(1..=1000))
        .expect(not_null("age").mostly(0.5))
        .expect(unique("name").severity(Severity::Info))
        .expect(in_range("age", 18..99))
        .expect(in_range("age", 0.5..))
        .expect(in_range("day", "2024-01-01"..="2024-12-31"))
        .expect(in_set("name", ["a", "1", "true", "NO", "null", "~", "1.5", "", "é\n: #"]))
        .expect(in_set("age", [1.0, 2.5]))
        .expect(in_set::<i64>("age", []))
        .expect(matches_regex("name", r"^[a-z]+\d{2}$"))
        .expect(string_length("name", 1..=80))
}

#[test]
fn yaml_and_json_lose_nothing() {
    let suite = everything();
    let yaml = suite.to_yaml().unwrap();
    assert_eq!(Suite::from_yaml(&yaml).unwrap(), suite, "{yaml}");
    let json = suite.to_json().unwrap();
    assert_eq!(Suite::from_json(&json).unwrap(), suite, "{json}");
    // JSON is YAML.
    assert_eq!(Suite::from_yaml(&json).unwrap(), suite);
}

#[test]
fn what_is_unknown_or_unusable_is_an_error_with_its_place() {
    let error = |expectation: &str| {
        let text = format!(
            "name: s\nexpectations:\n- {{expectation: row_count, min: 1}}\n- {expectation}\n"
        );
        Suite::from_yaml(&text).unwrap_err().to_string()
    };
    for (expectation, words) in [
        ("{expectation: in_rage, column: x}", "in_rage"),
        ("{expectation: in_range, column: x, mni: 1}", "mni"),
        ("{expectation: in_range, column: x}", "neither"),
        ("{expectation: in_range, column: x, min: 5, max: 4}", ">= 5 and <= 4"),
        ("{expectation: in_range, column: x, min: 5, mostly: 1.5}", "1.5"),
        ("{expectation: in_range, column: x, min: 5, severity: bad}", "bad"),
        ("{expectation: in_range, min: 5}", "column"),
        ("{expectation: row_count, min: 5, mostly: 0.5}", "mostly"),
        ("{expectation: matches_regex, column: x, regex: '('}", "regex"),
        ("{expectation: matches_regex, column: x, regex: '(a{1000}){1000}'}", "1 MiB"),
        ("{expectation: schema, columns: []}", "columns"),
        ("{expectation: schema, columns: [{name: a, type: nmber}]}", "nmber"),
        ("{column: x}", "expectation"),
        ("just a text", "map"),
    ] {
        let error = error(expectation);
        assert!(error.contains(words), "{expectation}: {error}");
        assert!(error.contains("line 4") || error.contains("4:"), "{expectation}: {error}");
    }
    for text in ["", "[", "name: x", "name: x\nexpectations: 3", "\0", "&a [*a]", "- - - -"] {
        assert!(Suite::from_yaml(text).is_err(), "{text}");
        assert!(Suite::from_json(text).is_err(), "{text}");
    }
}

#[test]
fn a_missing_column_and_a_wrong_type_are_findings() {
    let data = MemorySource::from(
        batch! { "x" => Float64Array::from(vec![1.0]), "s" => StringArray::from(vec!["a"]) }
            .unwrap(),
    );
    let suite = Suite::new("s")
        .expect(in_range("y", 1..=2))
        .expect(in_range("s", 1..=2))
        .expect(matches_regex("x", "a"))
        .expect(in_range("x", 1..=2));
    let found = suite.validate(&data).unwrap();
    let verdicts: Vec<_> = found.findings.iter().map(|f| f.verdict).collect();
    assert_eq!(verdicts, [Verdict::Fail, Verdict::Fail, Verdict::Fail, Verdict::Pass]);
    assert!(found.findings[0].observed.contains("no column `y`"), "{found}");
    assert!(found.findings[1].observed.contains("Utf8"), "{found}");
}

#[test]
fn nothing_measured_is_never_a_pass() {
    let empty = MemorySource::from(batch! { "x" => Int32Array::from(Vec::<i32>::new()) }.unwrap());
    let all_null =
        MemorySource::from(batch! { "x" => Int32Array::from(vec![None, None]) }.unwrap());
    let suite = Suite::new("s").expect(in_range("x", 1..=2)).expect(unique("x"));
    for data in [&empty, &all_null] {
        assert_eq!(suite.validate(data).unwrap().verdict, Verdict::Inconclusive);
    }
    let table =
        Suite::new("s").expect(row_count(..10)).expect(schema([column("x", ColumnType::Integer)]));
    assert_eq!(table.validate(&empty).unwrap().verdict, Verdict::Inconclusive);
    assert_eq!(table.validate(&all_null).unwrap().verdict, Verdict::Pass);
    assert_eq!(Suite::new("s").validate(&all_null).unwrap().verdict, Verdict::Inconclusive);
}

#[test]
fn failing_rows_are_named_with_their_values() {
    let data = MemorySource::from(
        batch! { "x" => Int32Array::from((0..100).collect::<Vec<_>>()) }.unwrap(),
    )
    .named("numbers.csv");
    let found = Suite::new("s").expect(in_range("x", ..50)).validate(&data).unwrap();
    let finding = &found.findings[0];
    assert_eq!(finding.failing_rows, Some(50));
    assert_eq!(finding.rows.len(), 20);
    assert_eq!(finding.rows[0].to_string(), "numbers.csv:50");
    assert_eq!(finding.value, Some(0.5));
    assert_eq!(
        finding.observed,
        "50 of 100 rows with a value (50 %) unexpected: `50`, `51`, `52`, `53`, `54`"
    );
}

#[test]
fn a_suite_keeps_the_contract_of_validators() {
    let data = MemorySource::from(
        batch! {
            "age" => Int32Array::from(vec![Some(20), None, Some(150), Some(20), Some(33), Some(-1)]),
            "name" => StringArray::from(vec![Some("ab12"), Some("a"), None, Some("x"), Some("a"), Some("")]),
            "x" => Float64Array::from(vec![0.0, -0.0, f64::NAN, f64::INFINITY, 1e300, 5e-324]),
        }
        .unwrap(),
    );
    let suite = everything().expect(unique("x")).expect(in_range("x", 0.0..=1.0));
    mlops_core::conformance::validator(&suite, &data);
}

#[test]
fn norway_is_no_boolean() {
    let suite = Suite::from_yaml(
        "{name: s, expectations: [{expectation: in_set, column: c, values: [NO, y, off]}]}",
    )
    .unwrap();
    assert_eq!(suite, Suite::new("s").expect(in_set("c", ["NO", "y", "off"])));
}

#[test]
fn bounds_are_read_in_the_column_s_own_zone() {
    use mlops_core::arrow::array::TimestampMicrosecondArray;
    let noon = |zone: &str| {
        // 2026-01-01T11:30:00Z and an hour later.
        let when =
            TimestampMicrosecondArray::from(vec![1_767_267_000_000_000, 1_767_270_600_000_000]);
        MemorySource::from(batch! { "when" => when.with_timezone(zone) }.unwrap())
    };
    let suite = Suite::new("times").expect(in_range("when", "2026-01-01 12:00:00"..));
    for (zone, late) in [("UTC", 1), ("+00:00", 1), ("Europe/Oslo", 2)] {
        let found = suite.validate(&noon(zone)).unwrap();
        let failing = found.findings[0].failing_rows;
        assert_eq!(failing, Some(2 - late), "{zone}: {found}");
    }
}

#[test]
fn strict_bounds_beyond_all_integers_hold_nothing() {
    let data = MemorySource::from(batch! { "x" => Int32Array::from(vec![1, 2]) }.unwrap());
    for bound in ["min: 1.0e+39, strict_min: true", "max: -1.0e+39, strict_max: true"] {
        let one = format!("{{expectation: in_range, column: x, {bound}}}");
        let suite = Suite::from_yaml(&format!("name: s\nexpectations:\n- {one}\n")).unwrap();
        let found = suite.validate(&data).unwrap();
        assert_eq!(found.findings[0].failing_rows, Some(2), "{found}");
    }
}
