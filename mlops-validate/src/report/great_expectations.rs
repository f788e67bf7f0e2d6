//! Results in the form that Great Expectations gives them.

use serde_json::{Map, Value, json};

use crate::outcome::Measured;
use crate::{Check, Outcome, Sample, TableSchema, Validation};

/// As many examples as Great Expectations shows.
const SHOWN: usize = 20;

impl Validation {
    /// The result in the form of Great Expectations' validation results (1.x, `result_format`
    /// `COMPLETE`), for what reads those: data docs, dashboards, alerts.
    ///
    /// `success` is Great Expectations' own, which calls it a success where nothing was there to
    /// be measured; our verdict, which does not, stands beside it as `verdict`. A result of rows
    /// has `element_count`, `unexpected_count`, `unexpected_percent` (of the rows that were looked
    /// at; null where none was), `unexpected_percent_total` (of all), `missing_count` and the first
    /// 20 unexpected values, with their counts and row numbers; the lists of all unexpected rows
    /// are there only where these 20 are all. Other results have an `observed_value`. What could
    /// not be measured is an exception. `meta` names this crate.
    pub fn to_great_expectations(&self) -> Value {
        let results: Vec<_> = self.outcomes.iter().map(|o| result(o, self.rows)).collect();
        let evaluated = results.len();
        let successful = results.iter().filter(|r| r["success"] == true).count();
        let percent = (evaluated > 0).then(|| successful as f64 / evaluated as f64 * 100.0);
        json!({
            "success": successful == evaluated,
            "verdict": self.verdict,
            "suite_name": self.suite,
            "results": results,
            "statistics": {
                "evaluated_expectations": evaluated,
                "successful_expectations": successful,
                "unsuccessful_expectations": evaluated - successful,
                "success_percent": percent,
            },
            "meta": {
                "mlops_validate_version": env!("CARGO_PKG_VERSION"),
                "rows": self.rows,
            },
        })
    }
}

fn result(outcome: &Outcome, rows: u64) -> Value {
    let of = &outcome.expectation;
    let verdict = outcome.finding.verdict;
    let vacuous = matches!(outcome.measured, Measured::Vacuous);
    let exception = match &outcome.measured {
        Measured::Failed(reason) => Some(reason),
        _ => None,
    };
    let mut kwargs = match serde_json::to_value(of) {
        Ok(Value::Object(kwargs)) => kwargs,
        _ => Map::new(),
    };
    for key in ["expectation", "severity", "id", "description", "meta"] {
        kwargs.remove(key);
    }
    json!({
        "success": verdict.is_pass() || vacuous,
        "verdict": verdict,
        "expectation_config": {
            "type": great_expectations_type(&of.check),
            "kwargs": kwargs,
            "severity": of.severity,
            "id": of.id,
            "description": of.description,
            "meta": of.meta,
        },
        "result": detail(outcome, rows),
        "meta": {},
        "exception_info": {
            "raised_exception": exception.is_some(),
            "exception_message": exception,
            "exception_traceback": null,
        },
    })
}

/// Whether missing values are what is asked about, so that none is left out.
fn asks_about_missing(check: &Check) -> bool {
    matches!(check.name(), "not_null" | "is_null")
}

fn detail(outcome: &Outcome, rows: u64) -> Value {
    let of = &outcome.expectation;
    match &outcome.measured {
        Measured::Rows { element_count, missing_count, unexpected_count, samples } => {
            of_rows(outcome, *element_count, *missing_count, *unexpected_count, samples)
        }
        // All rows miss their values, or there are none; under a condition it is not known how
        // many there are.
        Measured::Vacuous if of.check.kind().of_rows() => match of.condition {
            None => of_rows(outcome, rows, rows, 0, &[]),
            Some(_) => json!({"unexpected_count": 0, "unexpected_percent": null}),
        },
        Measured::Vacuous => json!({"observed_value": null}),
        Measured::Value(Value::Object(parts)) if parts.contains_key("observed_value") => {
            Value::Object(parts.clone())
        }
        Measured::Value(Value::Object(parts)) => of_parts(of.check.name(), parts.clone()),
        Measured::Value(value) => match (&of.check, value) {
            (Check::Schema(schema), Value::Array(found)) => of_columns(schema, found),
            _ => json!({"observed_value": value}),
        },
        // What may not be said is not there.
        Measured::Withheld { .. } | Measured::Failed(_) => json!({}),
    }
}

/// A value of several parts, each where Great Expectations has it.
fn of_parts(check: &str, mut parts: Map<String, Value>) -> Value {
    if check.starts_with("distinct_") {
        parts.insert("observed_value".into(), Value::Null);
        return parts.into();
    }
    match parts.remove("success_details") {
        Some(each) => json!({"observed_value": parts, "details": {"success_details": each}}),
        None => json!({"observed_value": parts}),
    }
}

/// The columns that are there, and where they are not those that are expected.
fn of_columns(schema: &TableSchema, found: &[Value]) -> Value {
    let expected: Vec<Value> = schema.columns.iter().map(|c| c.name.as_str().into()).collect();
    let without = |some: &[Value], others: &[Value]| -> Vec<Value> {
        let mut some: Vec<_> = some.iter().filter(|v| !others.contains(v)).cloned().collect();
        some.sort_by(compare);
        some
    };
    let mismatched = if schema.ordered {
        let places = 0..expected.len().max(found.len());
        let differ = places.filter(|&i| expected.get(i) != found.get(i)).map(|i| {
            json!({
                "Expected Column Position": i, "Expected": expected.get(i), "Found": found.get(i),
            })
        });
        Some(differ.collect::<Vec<_>>()).filter(|d| !d.is_empty()).map(Value::from)
    } else {
        let parts =
            [("missing", without(&expected, found)), ("unexpected", without(found, &expected))];
        let parts = parts.into_iter().filter(|(_, names)| !names.is_empty());
        let parts: Map<_, _> = parts.map(|(key, names)| (key.to_owned(), names.into())).collect();
        Some(parts).filter(|p| !p.is_empty()).map(Value::from)
    };
    match mismatched {
        Some(mismatched) => json!({"observed_value": found, "details": {"mismatched": mismatched}}),
        None => json!({"observed_value": found}),
    }
}

fn of_rows(
    outcome: &Outcome,
    all: u64,
    missing: u64,
    unexpected: u64,
    samples: &[Sample],
) -> Value {
    let of = &outcome.expectation;
    let looked_at = all.saturating_sub(missing);
    let percent = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64 * 100.0);
    let names = of.columns();
    let list: Vec<Value> =
        samples.iter().take(SHOWN).map(|s| shown(of.check.name(), &names, s)).collect();
    let index: Vec<u64> = samples.iter().take(SHOWN).map(|s| s.row.row).collect();
    let mut found = json!({
        "element_count": all,
        "unexpected_count": unexpected,
        "unexpected_percent": percent(unexpected, looked_at),
        "partial_unexpected_list": list,
        "partial_unexpected_counts": counts(samples),
        "partial_unexpected_index_list": index,
    });
    let Some(fields) = found.as_object_mut() else { return found };
    if !asks_about_missing(&of.check) {
        fields.insert("missing_count".into(), missing.into());
        fields.insert("missing_percent".into(), json!(percent(missing, all)));
        fields.insert("unexpected_percent_total".into(), json!(percent(unexpected, all)));
        fields
            .insert("unexpected_percent_nonmissing".into(), json!(percent(unexpected, looked_at)));
    }
    if unexpected <= samples.len() as u64 && samples.len() <= SHOWN {
        fields.insert("unexpected_list".into(), list.into());
        fields.insert("unexpected_index_list".into(), index.into());
    }
    found
}

/// A failing row: its value, a pair, or its values by the names of their columns.
fn shown(kind: &str, names: &[String], sample: &Sample) -> Value {
    match sample.values.as_slice() {
        [one] if names.len() <= 1 => one.clone(),
        values if kind.starts_with("pair_") => values.into(),
        values => {
            let named = names.iter().cloned().zip(values.iter().cloned());
            Value::Object(named.collect())
        }
    }
}

/// How often each unexpected value stands among those shown: the most frequent first, equals by
/// their value.
fn counts(samples: &[Sample]) -> Value {
    let mut counted: Vec<(Value, u64)> = Vec::new();
    for sample in samples.iter().take(SHOWN) {
        let value = match sample.values.as_slice() {
            [one] => one.clone(),
            values => values.into(),
        };
        match counted.iter_mut().find(|(known, _)| *known == value) {
            Some((_, count)) => *count += 1,
            None => counted.push((value, 1)),
        }
    }
    counted.sort_by(|(a, n), (b, m)| m.cmp(n).then_with(|| compare(a, b)));
    counted.into_iter().map(|(value, count)| json!({"value": value, "count": count})).collect()
}

fn compare(a: &Value, b: &Value) -> std::cmp::Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN));
            a.total_cmp(&b)
        }
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let unequal = a.iter().zip(b).map(|(a, b)| compare(a, b)).find(|o| o.is_ne());
            unequal.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        _ => std::cmp::Ordering::Equal,
    }
}

/// Great Expectations' name of a kind, or ours where it has none.
fn great_expectations_type(check: &Check) -> String {
    let name = check.name();
    match name {
        "in_range" => "expect_column_values_to_be_between",
        "in_set" => "expect_column_values_to_be_in_set",
        "not_in_set" => "expect_column_values_to_not_be_in_set",
        "is_null" => "expect_column_values_to_be_null",
        "not_null" => "expect_column_values_to_not_be_null",
        "unique" => "expect_column_values_to_be_unique",
        "of_type" => "expect_column_values_to_be_in_type_list",
        "string_length" => "expect_column_value_lengths_to_be_between",
        "matches_regex" => "expect_column_values_to_match_regex_list",
        "not_matches_regex" => "expect_column_values_to_not_match_regex_list",
        "like" => "expect_column_values_to_match_like_pattern_list",
        "not_like" => "expect_column_values_to_not_match_like_pattern_list",
        "date_format" => "expect_column_values_to_match_strftime_format",
        "date_parseable" => "expect_column_values_to_be_dateutil_parseable",
        "json" => "expect_column_values_to_be_json_parseable",
        "json_schema" => "expect_column_values_to_match_json_schema",
        "z_score" => "expect_column_value_z_scores_to_be_less_than",
        "not_outliers" => "expect_column_values_to_not_be_outliers",
        "increasing" => "expect_column_values_to_be_increasing",
        "decreasing" => "expect_column_values_to_be_decreasing",
        "unique_count" => "expect_column_unique_value_count_to_be_between",
        "proportion_unique" => "expect_column_proportion_of_unique_values_to_be_between",
        "completeness" => "expect_column_proportion_of_non_null_values_to_be_between",
        "quantiles" => "expect_column_quantile_values_to_be_between",
        "most_common_in_set" => "expect_column_most_common_value_to_be_in_set",
        "distinct_in_set" => "expect_column_distinct_values_to_be_in_set",
        "distinct_contains_set" => "expect_column_distinct_values_to_contain_set",
        "distinct_equals_set" => "expect_column_distinct_values_to_equal_set",
        "kl_divergence" => "expect_column_kl_divergence_to_be_less_than",
        "min" | "max" | "mean" | "median" | "stdev" | "sum" => {
            return format!("expect_column_{name}_to_be_between");
        }
        "pair_greater_than" => "expect_column_pair_values_a_to_be_greater_than_b",
        "pair_equal" => "expect_column_pair_values_to_be_equal",
        "pair_in_set" => "expect_column_pair_values_to_be_in_set",
        "compound_unique" => "expect_compound_columns_to_be_unique",
        "unique_within_record" => "expect_select_column_values_to_be_unique_within_record",
        "sum_equals" => "expect_multicolumn_sum_to_equal",
        "columns_equal" => "expect_multicolumn_values_to_be_equal",
        "column_count" => "expect_table_column_count_to_be_between",
        "row_count" => "expect_table_row_count_to_be_between",
        "row_count_equals_other" => "expect_table_row_count_to_equal_other_table",
        other => other,
    }
    .to_owned()
}
