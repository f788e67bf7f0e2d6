//! What the real Great Expectations answered to a table of cases, and what we answer: its own JSON
//! through our importer, judged by our suite, told in its own form, compared field by field. The
//! kinds themselves are held to the same cases, without the importer, in `map.rs`, `columns.rs` and
//! `aggregate.rs`, where every difference is named.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests, outside of `#[test]`; every difference is shown where asked for"
)]

mod gx;

use std::collections::BTreeMap;

use mlops_core::MemorySource;
use mlops_validate::import;
use serde_json::{Map, Value, json};

/// Arguments as Great Expectations saves them: dates and times are texts. `None` for what JSON
/// can't say.
fn saved(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Array(items) => Value::Array(items.iter().map(saved).collect::<Option<_>>()?),
        Value::Object(map) => {
            if let (1, Some((key, inner))) = (map.len(), map.iter().next())
                && matches!(key.as_str(), "timestamp" | "date" | "float")
            {
                return (key != "float").then(|| inner.clone());
            }
            let fields = map.iter().map(|(k, v)| Some((k.clone(), saved(v)?)));
            Value::Object(fields.collect::<Option<Map<_, _>>>()?)
        }
        other => other.clone(),
    })
}

/// What we answer.
enum Ours {
    Refused(String),
    Answer { success: bool, result: Map<String, Value>, failed: bool },
}

fn ours(case: &Value) -> Ours {
    let Some(kwargs) = saved(&case["expectation"]["kwargs"]) else {
        return Ours::Refused("not finite".into());
    };
    let suite = json!({"name": "case", "expectations": [{"type": case["expectation"]["type"], "kwargs": kwargs}]});
    let imported = import::great_expectations(&suite.to_string()).unwrap();
    if let Some(refused) = imported.refused.first() {
        return Ours::Refused(refused.why.clone());
    }
    let source = MemorySource::from(gx::frame(case));
    let found = match imported.suites[0].check(&source) {
        Ok(found) => found.to_great_expectations(),
        Err(error) => return Ours::Refused(format!("ERROR {error}")),
    };
    let found = &found["results"][0];
    Ours::Answer {
        success: found["success"].as_bool().unwrap(),
        result: found["result"].as_object().unwrap().clone(),
        failed: found["exception_info"]["raised_exception"] == true,
    }
}

/// A float that JSON can't hold is a text, in the table and in ours by other names.
fn special(value: &Value) -> Option<&str> {
    match value.as_str()? {
        "inf" | "Infinity" => Some("inf"),
        "-inf" | "-Infinity" => Some("-inf"),
        _ => None,
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(zero), Value::String(text)) if text == "-0.0" => {
            zero.as_f64().is_some_and(|z| z == 0.0 && z.is_sign_negative())
        }
        (Value::String(_), Value::String(_)) if special(a).is_some() => special(a) == special(b),
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| equal(v, w)))
        }
        _ => a == b,
    }
}

/// The fields in which we differ from what a backend answered.
fn differences(ours: &Ours, theirs: &Value) -> Vec<String> {
    let raised = theirs.get("exception").is_some();
    let Ours::Answer { success, result, failed } = ours else {
        let Ours::Refused(why) = ours else { unreachable!() };
        return if raised { Vec::new() } else { vec![format!("refused: {why}")] };
    };
    let mut fields = Vec::new();
    if *success != theirs["success"].as_bool().unwrap() {
        fields.push(format!("success {success}"));
    }
    if raised {
        if !failed && *success {
            fields.push("no exception".into());
        }
        return fields;
    }
    for (key, value) in theirs.as_object().unwrap() {
        let known = result.get(key);
        // All unexpected rows are listed only up to 20.
        if key == "success"
            || (known.is_none() && key.starts_with("unexpected_") && key.ends_with("_list"))
        {
            continue;
        }
        if !known.is_some_and(|known| equal(known, value)) {
            fields.push(format!("{key}: {} not {}", known.unwrap_or(&json!("nothing")), value));
        }
    }
    fields
}

/// What came of the cases of one type.
#[derive(Default)]
struct Count {
    cases: usize,
    /// We and Great Expectations agree on success, or both refuse.
    success: usize,
    /// And on every field of the result.
    whole: usize,
}

fn counts() -> BTreeMap<String, Count> {
    let mut by_type: BTreeMap<String, Count> = BTreeMap::new();
    for case in gx::cases() {
        let ours = ours(&case);
        // Its backends disagree at times: one of them is enough.
        let mut theirs = vec![&case["result"]];
        theirs.extend(case["others"].as_array().into_iter().flatten().map(|o| &o["result"]));
        let best = theirs.iter().map(|t| differences(&ours, t)).min_by_key(Vec::len).unwrap();
        let agrees = |t: &&&Value| {
            let of_success = |field: &String| {
                field.starts_with("success ")
                    || field.starts_with("refused")
                    || field == "no exception"
            };
            !differences(&ours, t).iter().any(of_success)
        };
        let count =
            by_type.entry(case["expectation"]["type"].as_str().unwrap().into()).or_default();
        count.cases += 1;
        count.success += usize::from(theirs.iter().any(|t| agrees(&t)));
        count.whole += usize::from(best.is_empty());
        if !best.is_empty() {
            println!("{}: {}", case["name"], best.join("; "));
        }
    }
    by_type
}

/// The page says of every type how far we agree, and says it truly.
#[test]
fn the_page_says_how_far_we_agree() {
    let page = include_str!("../../docs/great-expectations.md");
    let (mut success, mut whole, mut cases) = (0, 0, 0);
    for (name, count) in counts() {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("{name} has no row"));
        let numbers = format!("| {} | {} | {} |", count.cases, count.success, count.whole);
        assert!(row.contains(&numbers), "{name} is {numbers}: {row}");
        cases += count.cases;
        success += count.success;
        whole += count.whole;
    }
    let all = format!("Of {cases} cases the success agrees in {success}, every field in {whole}.");
    assert!(page.contains(&all), "{all}");
}
