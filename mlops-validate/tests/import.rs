//! Suites as the real tools save them, carried over, and judged as the tools judged them.
#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of `#[test]`")]

use std::path::{Path, PathBuf};

use mlops_core::{Error, Result};
use mlops_validate::Suite;
use mlops_validate::import::{self, Imported};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn suites() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suites")
}

fn text(path: &str) -> String {
    std::fs::read_to_string(suites().join(path)).unwrap()
}

fn expected(path: &str) -> Value {
    serde_json::from_str(&text(path)).unwrap()
}

fn parameters() -> Map<String, Value> {
    let given = json!({"min_rows": 25, "max_rows": 40, "amount_low": 80, "amount_high": 160});
    given.as_object().unwrap().clone()
}

/// Every file of a tool, with its name.
fn files(dir: &str, end: &str) -> Vec<(String, String)> {
    let mut files: Vec<_> = std::fs::read_dir(suites().join(dir))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(end) && !name.contains("expected"))
        .map(|name| (name.clone(), text(&format!("{dir}/{name}"))))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn rulesets_are_read_as_the_published_grammar_reads_them() {
    let golden = expected("dqdl/expected.json");
    let mut accepted = 0;
    for file in golden["files"].as_array().unwrap() {
        let name = file["file"].as_str().unwrap();
        // Labels are younger than the grammar: they are read, and refused one by one.
        let fine = file["accepted"] == true || name == "labels.dqdl";
        let read = import::dqdl(&text(&format!("dqdl/{name}")));
        assert_eq!(read.is_ok(), fine, "{name}: {read:?}");
        accepted += usize::from(fine);
    }
    assert!(accepted >= 7, "{accepted}");
    let wrong = import::dqdl(&text("dqdl/broken/no_number.dqdl")).unwrap_err();
    assert_eq!(wrong.to_string(), "ruleset of DQDL, line 1, byte 33: expected a value, found `]`",);
}

#[test]
fn what_is_no_suite_of_the_tool_is_an_error_with_its_place() {
    let said = |read: Result<Imported>| read.unwrap_err().to_string();
    assert!(said(import::great_expectations("{")).contains("line 1 column"));
    assert!(said(import::great_expectations("{}")).contains("`expectation_suite_name` is missing"));
    assert!(said(import::great_expectations("[]")).contains("expected a map, found a list"));
    let twice = r#"{"name": "a", "name": "b", "expectations": []}"#;
    assert!(said(import::great_expectations(twice)).contains("`name` twice"));
    assert!(said(import::pandera("columns: {}")).contains("`schema_type` is missing"));
    assert!(
        said(import::pandera("schema_type: series"))
            .contains("expected the schema of a data frame")
    );
    assert!(said(import::dbt("version: 2")).contains("none of them"));
    assert!(
        said(import::dbt("models:\n- columns: []"))
            .contains("line 2, /models/0: `name` is missing")
    );
    assert!(said(import::soda("a: 1")).contains("no `checks for …`"));
    assert!(
        said(import::soda("checks for t:\n- 5"))
            .contains("line 2, /checks for t/0: expected a check")
    );
}

#[test]
fn what_is_refused_says_where_and_why() {
    let imported = import::great_expectations(
        r#"{"name": "s", "tenant": 3, "expectations": [
            {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "x", "speed": 3}},
            {"type": "expect_column_values_to_be_unique", "kwargs": {"column": {"$PARAMETER": "p"}}},
            {"type": "expect_column_values_to_not_be_null",
             "kwargs": {"column": "x", "row_condition": "len(x) > 3"}},
            {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "x"}, "color": 1}
        ]}"#,
    )
    .unwrap();
    let said: Vec<_> = imported.refused.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "/tenant: `tenant`: no key of a suite",
            "/expectations/0/kwargs/speed: `expect_column_values_to_be_unique`: `speed` is not known here",
            "/expectations/1/kwargs/column: `expect_column_values_to_be_unique`: parameter `p` has no value",
            "/expectations/2/kwargs/row_condition: `expect_column_values_to_not_be_null`: the function `len` can't be read",
            "/expectations/3/color: `expect_column_values_to_not_be_null`: `color` is not known here",
        ]
    );
    assert!(matches!(imported.require_complete(), Err(Error::Blocked { .. })));
}

#[test]
fn aliases_are_no_bomb() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let list = vec![format!("*a{}", i - 1); 10].join(", ");
        bomb = format!("{bomb}a{i}: &a{i} [{list}]\n");
    }
    assert!(import::soda(&bomb).is_err());
    assert!(import::dbt(&format!("models: {}", "[".repeat(100_000))).is_err());
    assert!(import::great_expectations(&"[".repeat(100_000)).is_err());
    assert!(import::dqdl(&format!("Rules = [ {}", "(".repeat(100_000))).is_err());
    assert!(import::dqdl(&format!("Rules = [ Mean \"a\" > {}", "(".repeat(100_000))).is_err());
}

/// What each importer makes of a text: nothing must panic, and what is made is usable.
fn read_all(text: &str) {
    let all: [Result<Imported>; 5] = [
        import::great_expectations_with(text, &parameters()),
        import::pandera(text),
        import::dbt(text),
        import::soda(text),
        import::dqdl(text),
    ];
    for imported in all.into_iter().flatten() {
        for suite in &imported.suites {
            suite.check_usable().unwrap();
            assert_eq!(&Suite::from_json(&suite.to_json().unwrap()).unwrap(), suite);
        }
    }
}

fn real() -> Vec<String> {
    let mut all = vec![text("dbt/models/schema.yml"), text("dbt/models/legacy.yml")];
    all.extend(["soda/checks.yml", "soda/contract.yml"].map(text));
    all.extend(files("great_expectations", ".json").into_iter().map(|(_, text)| text));
    all.extend(files("pandera", ".yaml").into_iter().map(|(_, text)| text));
    all.extend(files("dqdl", ".dqdl").into_iter().map(|(_, text)| text));
    all
}

#[test]
fn real_suites_are_read_by_every_importer_without_harm() {
    for text in real() {
        read_all(&text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_text_is_an_answer(text in "\\PC{0,200}") {
        read_all(&text);
    }

    #[test]
    fn any_ruleset_is_an_answer(words in proptest::collection::vec(
        prop_oneof![
            Just("Rules"), Just("="), Just("["), Just("]"), Just("("), Just(")"), Just("and"),
            Just("or"), Just("IsComplete"), Just("ColumnValues"), Just("\"a\""), Just(">"),
            Just("between"), Just("in"), Just("not"), Just("matches"), Just("1"), Just("-"),
            Just(","), Just("where"), Just("with"), Just("threshold"), Just("NULL"), Just("$"),
            Just("labels"), Just("now()"), Just("last"),
        ],
        0..40,
    )) {
        read_all(&format!("Rules = [ {} ]", words.join(" ")));
    }

    #[test]
    fn mutated_suites_are_an_answer(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        length in 0usize..40,
        new in "[ \\[\\]{}:,\"'&*|>0-9a-z\\n-]{0,6}",
    ) {
        let all = real();
        let text: Vec<char> = which.get(&all).chars().collect();
        let at = at.index(text.len());
        let end = (at + length).min(text.len());
        let mutated: String =
            text[..at].iter().copied().chain(new.chars()).chain(text[end..].iter().copied()).collect();
        read_all(&mutated);
    }
}
