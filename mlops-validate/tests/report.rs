//! What reports of a validation say, and what they never say.
//!
//! The committed texts are in `tests/report/`; `MLOPS_BLESS=1 cargo test -p mlops-validate --test
//! report` writes them anew.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;

use mlops_core::alert::Alert;
use mlops_core::arrow::array::{
    ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
};
use mlops_core::arrow::datatypes::Int64Type;
use mlops_core::report::{Cell, Distribution, Report, junit};
use mlops_core::{MemorySource, Severity, Timestamp, ValidatorExt, Verdict, batch};
use mlops_validate::{
    DataDocs, HashKey, Mask, MaskedCount, Measured, NullPolicy, Redaction, Suite, Validation,
    custom_rows, in_range, in_set, matches_regex, not_null, pair_greater_than, row_count,
    satisfies, string_length, unique,
};
use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::Event;

fn people() -> MemorySource {
    let n = 1000_i64;
    let data = batch! {
        "id" => (0..n).map(|i| (i != 17).then_some(i)).collect::<Int64Array>(),
        "age" => (0..n).map(|i| Some(if i % 300 == 7 { 150 + i } else { 20 + i % 60 }))
            .collect::<Int64Array>(),
        "plan" => StringArray::from_iter_values((0..n).map(|i| if i == 3 { "gold" } else { "basic" })),
        "email" => StringArray::from_iter_values((0..n).map(|i| {
            if i % 5 == 0 { format!("phone 555-{i:04}") } else { format!("user{i}@example.org") }
        })),
        "paid" => (0..n).map(|i| (i % 2 == 0).then_some(i as f64)).collect::<Float64Array>(),
        "empty" => Int64Array::from(vec![None; 1000]),
    };
    MemorySource::from(data.unwrap()).named("march.parquet")
}

fn suite() -> Suite {
    Suite::new("people")
        .expect(row_count(1..))
        .expect(not_null("id"))
        .expect(unique("id"))
        .expect(in_range("age", -7318..=99).description("Nobody younger may apply."))
        .expect(in_set("plan", ["basic", "plus"]).severity(Severity::Warning))
        .expect(matches_regex("email", "@").mostly(0.5))
        .expect(string_length("email", ..=12))
        .expect(in_range("paid", 0..=10_000))
        .expect(in_range("paid", 0..=500).where_("plan = 'gold'").unwrap())
        .expect(not_null("empty").nulls(NullPolicy::Skip))
        .expect(in_range("empty", 0..))
        .expect(not_null("country"))
        .expect(pair_greater_than("age", "id").mostly(0.01))
        .expect(satisfies("age < 1000 OR plan = 'gold'").unwrap())
}

fn checked() -> Validation {
    suite().check(&people()).unwrap()
}

fn docs(of: &Validation) -> DataDocs<'_> {
    DataDocs::new(of)
        .meta("Source", Cell::code("march.parquet"))
        .distribution(
            "age",
            Distribution::numbers([0.0, 50.0, 100.0, 2000.0]).series("march", [504, 492, 4], 0),
        )
        .distribution(
            "plan",
            Distribution::categories(["basic", "gold"]).series("march", [999, 1], 0),
        )
}

/// Every form in which a validation leaves the process.
fn all_forms(of: &Validation, page: &Report) -> Vec<String> {
    let assessment = of.assessment();
    let alert = Alert::from_assessment(&assessment, Timestamp::from_millis(0));
    let blocked = assessment.clone().require_pass().err().map(|e| e.to_string());
    vec![
        of.to_string(),
        format!("{of:?}"),
        serde_json::to_string(of).unwrap(),
        assessment.to_string(),
        junit([&assessment]),
        serde_json::to_string(&alert).unwrap(),
        blocked.unwrap_or_default(),
        page.to_terminal(120, true),
        page.to_markdown(),
        page.to_html(),
        page.to_json().unwrap(),
    ]
}

fn golden(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report").join(name);
    if std::env::var_os("MLOPS_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
    assert_eq!(text, expected, "{name}; see the head of this file");
}

#[test]
fn the_text_is_what_was_committed() {
    let found = checked();
    let report = docs(&found).report();
    golden("people.txt", &found.to_string());
    golden("people.terminal.txt", &report.to_terminal(100, false));
    golden("people.md", &report.to_markdown());
    golden("people.xml", &junit([&found.assessment()]));
    golden("people.json", &serde_json::to_string_pretty(&found).unwrap());
    let redaction = Redaction::all(Mask::Hide).column("age", Mask::Show).small_cells(5);
    let safe = found.redacted(&redaction);
    golden("people.redacted.txt", &safe.to_string());
    golden("people.redacted.json", &serde_json::to_string_pretty(&safe).unwrap());
}

#[test]
fn json_comes_back_as_it_was() {
    let found = checked();
    for redaction in [
        Redaction::all(Mask::Show),
        Redaction::all(Mask::Hide),
        Redaction::all(Mask::Hide).small_cells(5),
        Redaction::all(Mask::Hash(HashKey::new([3; 32]).unwrap())).show_parameters(),
    ] {
        for of in [found.clone(), found.redacted(&redaction)] {
            let json = serde_json::to_string(&of).unwrap();
            assert_eq!(serde_json::from_str::<Validation>(&json).unwrap(), of);
        }
    }
    // A function of the host can't be written down; what it found can.
    let custom = custom_rows("adult", ["age"], |rows| {
        let age = AsArray::as_primitive::<Int64Type>(rows.column("age")?);
        Ok(BooleanArray::from_unary(age, |age| age < 100))
    });
    let found = Suite::new("custom").expect(custom).check(&people()).unwrap();
    let json = serde_json::to_string(&found).unwrap();
    let read: Validation = serde_json::from_str(&json).unwrap();
    assert_eq!(read.assessment(), found.assessment());
    assert_eq!(serde_json::to_string(&read).unwrap(), json);
    let asked = Suite::new("again").expect(read.outcomes[0].expectation.clone());
    assert!(asked.check(&people()).is_err());
}

#[test]
fn nothing_hidden_is_in_any_form() {
    let secrets = [
        "150",
        "157",
        "457",
        "757",
        "1057",
        "gold",
        "basic",
        "plus",
        "555",
        "user",
        "example.org",
        "phone",
    ];
    let parameters = ["\"min\"", "between", "7318", "younger"];
    let found = checked();
    let plain: String = all_forms(&found, &docs(&found).report()).concat();
    for secret in secrets.iter().chain(&parameters).filter(|s| **s != "150" && **s != "1057") {
        assert!(plain.contains(secret), "{secret} should be in the report that shows all");
    }
    let key = Mask::Hash(HashKey::new(b"a key of some length").unwrap());
    for mask in [Mask::Hide, key, Mask::Truncate(1)] {
        for least in [0, 5] {
            let redaction = Redaction::all(mask.clone()).small_cells(least);
            let safe = found.redacted(&redaction);
            assert_eq!(safe.verdict, found.verdict);
            let page = docs(&found).redacted(&redaction).report();
            for text in all_forms(&safe, &page) {
                // What is no value: the page's own text, names of rows, pseudonyms.
                let text = text
                    .split("<style>")
                    .map(|t| t.split("</style>").last().unwrap())
                    .collect::<String>();
                for secret in
                    secrets.iter().filter(|s| s.parse::<u64>().is_err()).chain(&parameters[2..])
                {
                    assert!(!text.contains(secret), "{mask:?}: {secret} in {text}");
                }
            }
            for outcome in safe.outcomes.iter().filter(|o| !o.expectation.columns().is_empty()) {
                let shown =
                    serde_json::to_string(&(&outcome.measured, &outcome.expectation)).unwrap();
                assert!(!shown.contains("157") && !shown.contains("\"min\""), "{shown}");
            }
        }
    }
    let assessment = suite().redacted(Redaction::all(Mask::Hide)).validate(&people()).unwrap();
    assert_eq!(assessment, found.redacted(&Redaction::all(Mask::Hide)).assessment());
    // What is shown is as it was, and hiding twice hides once.
    assert_eq!(found.redacted(&Redaction::all(Mask::Show)).outcomes, found.outcomes);
    let hidden = found.redacted(&Redaction::all(Mask::Hide));
    assert_eq!(hidden.redacted(&Redaction::all(Mask::Hide)), hidden);
}

#[test]
fn masks_go_by_column_and_by_what_is_within_it() {
    let found = checked();
    let redaction = Redaction::all(Mask::Show).column("email", Mask::Truncate(3));
    let safe = found.redacted(&redaction);
    assert!(safe.to_string().contains("`pho…`"));
    assert!(safe.to_string().contains("`157`"), "{safe}");
    // A condition on a masked column is a parameter of it.
    let safe = found.redacted(&Redaction::all(Mask::Show).column("plan", Mask::Hide));
    assert!(!format!("{safe:?}").contains("gold"));
    // A pair shows of each column what its mask says.
    let of = Suite::new("pair").expect(pair_greater_than("age", "id")).check(&people()).unwrap();
    let safe = of.redacted(&Redaction::all(Mask::Show).column("id", Mask::Hide));
    let Measured::Rows { samples, .. } = &safe.outcomes[0].measured else { panic!("{safe:?}") };
    assert!(samples[1].values[0].is_i64() && samples[1].values[1] == "[hidden]");
}

#[test]
fn small_cells_can_not_be_computed_back() {
    let least = 5;
    let redaction = Redaction::all(Mask::Show).small_cells(least);
    for n in [2_u64, 4, 5, 9, 10, 12, 20] {
        for missing in 0..=n {
            for unexpected in 0..=(n - missing) {
                let values = (0..n).map(|i| match i {
                    i if i < missing => None,
                    i if i < missing + unexpected => Some(-1),
                    _ => Some(1),
                });
                let data = batch! { "x" => values.collect::<Int64Array>() }.unwrap();
                let found = Suite::new("s")
                    .expect(in_range("x", 0..))
                    .check(&MemorySource::from(data))
                    .unwrap();
                let safe = found.redacted(&redaction);
                let cells = [missing, unexpected, n - missing - unexpected];
                // A reader knows the rows and what is said. Each small cell must stay possible
                // with at least two values.
                let Measured::Withheld { missing_count, unexpected_count, samples, .. } =
                    &safe.outcomes[0].measured
                else {
                    let small =
                        cells.iter().any(|c| (1..least).contains(c)) || (1..least).contains(&n);
                    let vacuous = found.outcomes[0].measured == Measured::Vacuous;
                    assert!(!small || vacuous, "{cells:?}");
                    continue;
                };
                let said = |c: &MaskedCount, n: u64| match *c {
                    MaskedCount::Exact(e) => e == n,
                    MaskedCount::Below(k) => (1..k).contains(&n),
                    MaskedCount::Withheld => true,
                };
                let mut possible = [const { Vec::new() }; 3];
                for m in 0..=n {
                    for u in 0..=(n - m) {
                        if said(missing_count, m) && said(unexpected_count, u) {
                            for (at, c) in [m, u, n - m - u].into_iter().enumerate() {
                                possible[at].push(c);
                            }
                        }
                    }
                }
                for (of, cell) in possible.iter_mut().zip(cells) {
                    of.sort_unstable();
                    of.dedup();
                    assert!(!(1..least).contains(&cell) || of.len() > 1, "{cells:?} {safe:?}");
                }
                let finding = &safe.outcomes[0].finding;
                assert!(finding.value.is_none() && finding.rows.len() == samples.len());
                assert!(unexpected_count.exact().is_some() || samples.is_empty());
            }
        }
    }
    // What a condition leaves out is a cell too.
    let of = in_range("age", 0..).where_("plan = 'basic'").unwrap();
    let found = Suite::new("s").expect(of).check(&people()).unwrap();
    let json = serde_json::to_string(&found.redacted(&redaction)).unwrap();
    assert!(!json.contains("999"), "{json}");
}

#[test]
fn distributions_are_masked_too() {
    let found = checked();
    let json = |redaction: &Redaction| docs(&found).redacted(redaction).report().to_json().unwrap();
    assert!(json(&Redaction::all(Mask::Show)).contains("504"));
    let coarse = json(&Redaction::all(Mask::Show).small_cells(5));
    assert!(coarse.contains("500") && coarse.contains("490") && coarse.contains("995"));
    assert!(!coarse.contains("504") && !coarse.contains("492"));
    assert!(!json(&Redaction::all(Mask::Hide)).contains("504"));
}

fn elements(xml: &str) -> Vec<String> {
    let mut reader = Reader::from_str(xml);
    let mut names = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(e) | Event::Empty(e) => {
                for attribute in e.attributes() {
                    attribute.unwrap().unescape_value().unwrap();
                }
                names.push(String::from_utf8(e.name().as_ref().to_vec()).unwrap());
            }
            Event::Eof => return names,
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn hostile_names_and_values_stay_text(
        name in "([<>&\"'`|\\]\\[\0-\u{9f}]|script|CDATA|\\PC){1,12}",
        value in "([<>&\"'`|\\]\\[\0-\u{9f}]|script|CDATA|\\PC){1,12}",
    ) {
        let column: ArrayRef =
            Arc::new(StringArray::from(vec![value.as_str()]));
        let data = RecordBatch::try_from_iter([(name.as_str(), column)]).unwrap();
        let source = MemorySource::from(data).named(value.clone());
        let found = Suite::new(value.clone())
            .expect(in_set(name.clone(), ["other"]).description(value.clone()))
            .expect(not_null(value.clone()))
            .check(&source)
            .unwrap();
        let assessment = found.assessment();
        let names = elements(&junit([&assessment]));
        prop_assert_eq!(names.iter().filter(|n| *n == "testcase").count(), 2);
        let page = DataDocs::new(&found)
            .meta(value.clone(), value.as_str())
            .distribution(name, Distribution::categories([&value]).series(&value, [1], 0))
            .report();
        let html = page.to_html();
        // What stands in a page of harmless texts, and nothing else.
        let tags = |html: &str| {
            let tags = html.split('<').skip(1).map(|t| t.split(['>', ' ', '\n']).next().unwrap().to_owned());
            let mut tags: Vec<_> = tags.collect();
            tags.sort();
            tags.dedup();
            tags
        };
        let known = [
            "!doctype", "/article", "/b", "/bdi", "/body", "/code", "/dd", "/desc", "/details", "/div", "/dl",
            "/dt", "/figcaption", "/figure", "/g", "/h1", "/h2", "/h3", "/head", "/header", "/html", "/i", "/li",
            "/main", "/nav", "/p", "/section", "/small", "/span", "/style", "/summary", "/svg", "/symbol", "/table",
            "/tbody", "/td", "/text", "/th", "/thead", "/title", "/tr", "/ul", "/caption", "/rect", "/path", "b",
            "bdi", "body", "caption", "circle", "code", "dd", "desc", "details", "div", "dl", "dt", "figcaption",
            "figure", "g", "h1", "h2", "h3", "head", "header", "html", "i", "li", "line", "main", "meta", "nav", "p",
            "path", "rect", "section", "small", "span", "style", "summary", "svg", "symbol", "table", "tbody", "td",
            "text", "th", "thead", "title", "tr", "ul", "use",
        ];
        for tag in tags(&html) {
            prop_assert!(known.contains(&tag.as_str()), "<{}> in {}", tag, html);
        }
        for text in [html, page.to_markdown(), page.to_terminal(80, false), found.to_string(), assessment.to_string()] {
            prop_assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{:?}", text);
        }
    }
}

#[test]
fn two_thousand_expectations_are_a_light_page() {
    let mut suite = Suite::new("wide");
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    for i in 0..1000 {
        let name = format!("column_{i}");
        let value = if i % 100 == 0 { -1 } else { 5 };
        columns.push((name.clone(), Arc::new(Int64Array::from(vec![value]))));
        suite = suite.expect(not_null(name.clone())).expect(in_range(name, 0..=10));
    }
    let data = RecordBatch::try_from_iter(columns).unwrap();
    let found = suite.check(&MemorySource::from(data)).unwrap();
    assert_eq!(found.verdict, Verdict::Fail);
    assert_eq!(found.outcomes.len(), 2000);
    let html = Report::from(&found).to_html();
    assert!(html.contains("column_999"));
    assert!(html.len() < 1_500_000, "{}", html.len());
    // What is read on a terminal is what failed.
    assert!(found.to_string().lines().count() < 20, "{found}");
}
