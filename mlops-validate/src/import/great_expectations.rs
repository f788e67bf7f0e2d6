//! Suites of Great Expectations.

use mlops_core::{Error, Result};
use serde_json::{Map, Value, json};

use super::Imported;
use super::ask::{Ask, condition, literal, name};
use super::names::column_type;
use super::pandas_query;
use super::tree::{Data, Fields, Node, Read, Refused, Wrong, shown};
use crate::{Expectation, Suite};

const WHAT: &str = "suite of Great Expectations";

/// Reads a suite of Great Expectations: the JSON that its 1.x releases save, or that of 0.x.
///
/// `mostly`, `severity`, `id`, `description`, `row_condition` (text and objects), `ignore_row_if`
/// and parameters (`{"$PARAMETER": …}`, from `suite_parameters` and `evaluation_parameters`) are
/// carried over; `notes`, `meta` and what only asks for a form of the result are kept in `meta`.
/// How each type compares stands in `docs/great-expectations.md`.
///
/// # Errors
/// [`Error::Invalid`] for a text that is no JSON, or has no name or list of expectations.
pub fn great_expectations(text: &str) -> Result<Imported> {
    great_expectations_with(text, &Map::new())
}

/// As [`great_expectations`], with values of parameters that go before those of the suite.
///
/// # Errors
/// As [`great_expectations`].
pub fn great_expectations_with(text: &str, parameters: &Map<String, Value>) -> Result<Imported> {
    let node = Node::json(WHAT, text)?;
    let invalid =
        |wrong: Wrong| Error::invalid(WHAT, "a suite", format!("{}: {}", wrong.place, wrong.why));
    let mut fields = node.fields().map_err(invalid)?;
    let named = match fields.given("name") {
        Some(named) => named,
        None => fields.need("expectation_suite_name").map_err(invalid)?,
    };
    let suite_name = named.text().map_err(invalid)?;
    let list = fields.need("expectations").and_then(Node::list).map_err(invalid)?;

    let mut imported = Imported::default();
    let mut known = Map::new();
    for key in ["suite_parameters", "evaluation_parameters"] {
        if let Some(node) = fields.given(key)
            && let Value::Object(map) = node.kept()
        {
            known.extend(map);
        }
    }
    known.extend(parameters.clone());
    for key in ["id", "ge_cloud_id", "meta", "notes", "data_asset_type"] {
        if let Some(node) = fields.given(key) {
            imported.keep(suite_name, key, node.kept());
        }
    }
    for (key, node) in fields.left() {
        imported.refused.push(node.wrong("no key of a suite").named(key));
    }

    let mut suite = Suite::new(suite_name);
    for node in list {
        match expectation(node, &known) {
            Ok(read) => suite.expectations.push(read),
            Err(refused) => imported.refused.push(refused),
        }
    }
    imported.suites.push(suite);
    Ok(imported)
}

fn expectation(
    node: &Node,
    parameters: &Map<String, Value>,
) -> std::result::Result<Expectation, Refused> {
    let mut fields = node.fields().map_err(|w| w.named("expectation"))?;
    let kind = match fields.given("type") {
        Some(kind) => Ok(kind),
        None => fields.need("expectation_type"),
    };
    let kind = kind.and_then(Node::text).map_err(|w| w.named("expectation"))?;
    read(kind, &mut fields, parameters).map_err(|w| w.named(kind))
}

fn read(kind: &str, fields: &mut Fields<'_>, parameters: &Map<String, Value>) -> Read<Expectation> {
    let of = fields.of;
    let mut kwargs = match fields.given("kwargs") {
        Some(node) => Kwargs { fields: Some(node.fields()?), parameters },
        None => Kwargs { fields: None, parameters },
    };
    let mut ask = ask(kind, of, &mut kwargs)?;

    if let Some(mostly) = kwargs.value("mostly")?
        && mostly.as_f64() != Some(1.0)
    {
        ask.put("mostly", mostly);
    }
    if let Some(condition) = row_condition(&mut kwargs)? {
        ask.narrow(&condition);
    }
    for key in ["batch_id", "result_format", "include_config", "catch_exceptions", "windows"] {
        if let Some(node) = kwargs.node(key) {
            ask.keep(key, node.kept());
        }
    }
    if let Some(fields) = &kwargs.fields {
        fields.done()?;
    }

    if let Some(Value::Object(meta)) = fields.given("meta").map(Node::kept) {
        for (key, value) in meta {
            ask.keep(&key, value);
        }
    }
    for key in ["notes", "rendered_content", "success_on_last_run"] {
        if let Some(node) = fields.given(key) {
            ask.keep(key, node.kept());
        }
    }
    for (theirs, ours) in [
        ("id", "id"),
        ("ge_cloud_id", "id"),
        ("severity", "severity"),
        ("description", "description"),
    ] {
        if let Some(node) = fields.given(theirs) {
            ask.put(ours, node.text()?);
        }
    }
    fields.done()?;
    ask.build(&of.at)
}

/// The arguments of an expectation, with parameters put in.
struct Kwargs<'a> {
    fields: Option<Fields<'a>>,
    parameters: &'a Map<String, Value>,
}

impl<'a> Kwargs<'a> {
    fn node(&mut self, key: &str) -> Option<&'a Node> {
        self.fields.as_mut()?.given(key)
    }

    fn need_node(&mut self, key: &str, of: &Node) -> Read<&'a Node> {
        self.node(key).ok_or_else(|| of.wrong(format!("`{key}` is missing")))
    }

    /// A value, where it is given.
    fn value(&mut self, key: &str) -> Read<Option<Value>> {
        self.node(key).map(|node| self.resolve(node)).transpose()
    }

    fn need(&mut self, key: &str, of: &Node) -> Read<Value> {
        let node = self.need_node(key, of)?;
        self.resolve(node)
    }

    fn text(&mut self, key: &str, of: &Node) -> Read<String> {
        let node = self.need_node(key, of)?;
        match self.resolve(node)? {
            Value::String(text) => Ok(text),
            other => Err(node.wrong(format!("expected a text, found {other}"))),
        }
    }

    fn flag(&mut self, key: &str) -> Read<bool> {
        self.node(key).map_or(Ok(false), Node::bool)
    }

    fn resolve(&self, node: &Node) -> Read<Value> {
        match &node.data {
            Data::Map(fields) => {
                let Some((_, name)) = fields.iter().find(|(key, _)| key == "$PARAMETER") else {
                    let field =
                        |(key, node): &(String, Node)| Ok((key.clone(), self.resolve(node)?));
                    return Ok(Value::Object(fields.iter().map(field).collect::<Read<_>>()?));
                };
                let name = name.text()?;
                let value = self.parameters.get(name).filter(|_| fields.len() == 1);
                value
                    .cloned()
                    .ok_or_else(|| node.wrong(format!("parameter `{}` has no value", shown(name))))
            }
            Data::List(items) => items.iter().map(|node| self.resolve(node)).collect(),
            _ => node.value(),
        }
    }

    /// A whole number that is at least this, or at most (`round` up or down), as JSON.
    fn whole(&mut self, key: &str, strict: Option<&str>, up: bool) -> Read<Option<Value>> {
        let strict = match strict {
            Some(strict) => self.flag(strict)?,
            None => false,
        };
        let Some(node) = self.node(key) else { return Ok(None) };
        let value = self.resolve(node)?;
        let Some(number) = value.as_f64() else {
            return Err(node.wrong(format!("expected a number, found {value}")));
        };
        let rounded = match (up, strict) {
            (true, false) => number.ceil(),
            (true, true) => number.floor() + 1.0,
            (false, false) => number.floor(),
            (false, true) => number.ceil() - 1.0,
        };
        if rounded < 0.0 && up {
            return Ok(Some(0.into()));
        }
        if !(0.0..9e15).contains(&rounded) {
            return Err(node.wrong(format!("no count is on that side of {number}")));
        }
        Ok(Some((rounded as u64).into()))
    }

    /// The bounds of a number or value.
    fn bounds(&mut self, mut ask: Ask) -> Read<Ask> {
        for (theirs, ours, strict) in
            [("min_value", "min", "strict_min"), ("max_value", "max", "strict_max")]
        {
            let exclusive = self.flag(strict)?;
            if let Some(bound) = self.value(theirs)? {
                ask = ask.with(ours, bound).with_flag(strict, exclusive);
            }
        }
        Ok(ask)
    }

    /// The bounds of a count.
    fn counts(&mut self, ask: Ask) -> Read<Ask> {
        let min = self.whole("min_value", Some("strict_min"), true)?;
        let max = self.whole("max_value", Some("strict_max"), false)?;
        Ok(ask.with_some("min", min).with_some("max", max))
    }

    /// Exactly this count.
    fn count(&mut self, key: &str, ask: Ask, of: &Node) -> Read<Ask> {
        let node = self.need_node(key, of)?;
        let value = self.resolve(node)?;
        match value.as_f64().filter(|v| v.fract() == 0.0 && (0.0..9e15).contains(v)) {
            Some(count) => Ok(ask.with("min", count as u64).with("max", count as u64)),
            None => Err(node.wrong(format!("expected a count, found {value}"))),
        }
    }

    fn set(&mut self, key: &str, of: &Node) -> Read<Value> {
        let node = self.need_node(key, of)?;
        match self.resolve(node)? {
            // A null is no value of a column, and in no set.
            Value::Array(values) => Ok(values.into_iter().filter(|v| !v.is_null()).collect()),
            other => Err(node.wrong(format!("expected a list, found {other}"))),
        }
    }

    /// A set whose every member must stand in the column: a null never does.
    fn needed_set(&mut self, key: &str, of: &Node) -> Read<Value> {
        let node = self.need_node(key, of)?;
        match self.resolve(node)? {
            Value::Array(values) if values.iter().any(Value::is_null) => {
                Err(node.wrong("a null in the set is never found among values, so it always fails"))
            }
            _ => self.set(key, of),
        }
    }

    /// Which rows are left out, by the names that it has for all, any and none missing.
    fn ignored(&mut self, [all, any, never]: [&str; 3]) -> Read<Option<&'static str>> {
        let Some(node) = self.node("ignore_row_if") else { return Ok(None) };
        match node.text()? {
            text if text == all => Ok(None),
            text if text == any => Ok(Some("any_missing")),
            text if text == never => Ok(Some("never")),
            _ => Err(node.wrong(format!("expected `{all}`, `{any}` or `{never}`"))),
        }
    }
}

/// The types of columns by the names of Great Expectations' engines.
fn types(of: &Node, names: &[Value]) -> Read<Value> {
    let one = |name: &Value| {
        let name = name.as_str().unwrap_or_default();
        column_type(name)
            .map(Value::from)
            .ok_or_else(|| of.wrong(format!("no column of Arrow is of type `{}`", shown(name))))
    };
    names.iter().map(one).collect()
}

fn columns(names: &Value) -> Value {
    names.as_array().into_iter().flatten().map(|name| json!({"name": name})).collect()
}

fn ask(kind: &str, of: &Node, k: &mut Kwargs<'_>) -> Read<Ask> {
    let column = |k: &mut Kwargs<'_>, ours: &str| Ok(Ask::of(ours, &k.text("column", of)?));
    let aggregate = |k: &mut Kwargs<'_>, ours: &str| {
        let ask = column(k, ours)?;
        k.bounds(ask)
    };
    let ask = match kind {
        "expect_column_values_to_be_between" => aggregate(k, "in_range")?,
        "expect_column_values_to_be_in_set" => {
            column(k, "in_set")?.with("values", k.set("value_set", of)?)
        }
        "expect_column_values_to_not_be_in_set" => {
            column(k, "not_in_set")?.with("values", k.set("value_set", of)?)
        }
        "expect_column_values_to_be_null" => column(k, "is_null")?,
        "expect_column_values_to_not_be_null" => column(k, "not_null")?,
        "expect_column_values_to_be_unique" => column(k, "unique")?,
        "expect_column_values_to_be_of_type" | "expect_column_type_to_be" => {
            let name = Value::from(k.text("type_", of)?);
            column(k, "of_type")?.with("type", types(of, &[name])?)
        }
        "expect_column_values_to_be_in_type_list" => {
            let names = k.set("type_list", of)?;
            column(k, "of_type")?.with("type", types(of, names.as_array().map_or(&[], |v| v))?)
        }
        "expect_column_value_lengths_to_be_between" => {
            let ask = column(k, "string_length")?;
            k.counts(ask)?
        }
        "expect_column_value_lengths_to_equal" => {
            let ask = column(k, "string_length")?;
            k.count("value", ask, of)?
        }
        "expect_column_values_to_match_regex" => {
            column(k, "matches_regex")?.with("regex", k.text("regex", of)?)
        }
        "expect_column_values_to_not_match_regex" => {
            column(k, "not_matches_regex")?.with("regex", k.text("regex", of)?)
        }
        "expect_column_values_to_match_regex_list" => column(k, "matches_regex")?
            .with("regex", k.need("regex_list", of)?)
            .with_some("match_on", k.value("match_on")?),
        "expect_column_values_to_not_match_regex_list" => {
            column(k, "not_matches_regex")?.with("regex", k.need("regex_list", of)?)
        }
        "expect_column_values_to_match_like_pattern" => column(k, "like")?
            .with("pattern", k.text("like_pattern", of)?)
            .with_some("escape", k.value("escape")?),
        "expect_column_values_to_not_match_like_pattern" => column(k, "not_like")?
            .with("pattern", k.text("like_pattern", of)?)
            .with_some("escape", k.value("escape")?),
        "expect_column_values_to_match_like_pattern_list" => column(k, "like")?
            .with("pattern", k.need("like_pattern_list", of)?)
            .with_some("escape", k.value("escape")?)
            .with_some("match_on", k.value("match_on")?),
        "expect_column_values_to_not_match_like_pattern_list" => column(k, "not_like")?
            .with("pattern", k.need("like_pattern_list", of)?)
            .with_some("escape", k.value("escape")?),
        "expect_column_values_to_match_strftime_format" => {
            column(k, "date_format")?.with("format", k.text("strftime_format", of)?)
        }
        "expect_column_values_to_be_dateutil_parseable" => column(k, "date_parseable")?,
        "expect_column_values_to_be_json_parseable" => column(k, "json")?,
        "expect_column_values_to_match_json_schema" => {
            column(k, "json_schema")?.with("schema", k.need("json_schema", of)?)
        }
        "expect_column_value_z_scores_to_be_less_than" => column(k, "z_score")?
            .with("threshold", k.need("threshold", of)?)
            .with_some("two_sided", k.value("double_sided")?),
        "expect_column_values_to_not_be_outliers" => column(k, "not_outliers")?
            .with_some("method", k.value("method")?)
            .with_some("multiplier", k.value("multiplier")?),
        "expect_column_values_to_be_increasing" => {
            column(k, "increasing")?.with_flag("strictly", k.flag("strictly")?)
        }
        "expect_column_values_to_be_decreasing" => {
            column(k, "decreasing")?.with_flag("strictly", k.flag("strictly")?)
        }

        "expect_column_min_to_be_between" => aggregate(k, "min")?,
        "expect_column_max_to_be_between" => aggregate(k, "max")?,
        "expect_column_mean_to_be_between" => aggregate(k, "mean")?,
        "expect_column_median_to_be_between" => aggregate(k, "median")?,
        "expect_column_stdev_to_be_between" => aggregate(k, "stdev")?,
        "expect_column_sum_to_be_between" => aggregate(k, "sum")?,
        "expect_column_unique_value_count_to_be_between" => aggregate(k, "unique_count")?,
        "expect_column_proportion_of_unique_values_to_be_between" => {
            aggregate(k, "proportion_unique")?
        }
        "expect_column_proportion_of_non_null_values_to_be_between" => {
            aggregate(k, "completeness")?
        }
        "expect_column_quantile_values_to_be_between" => quantiles(column(k, "quantiles")?, k, of)?,
        "expect_column_most_common_value_to_be_in_set" => column(k, "most_common_in_set")?
            .with("values", k.set("value_set", of)?)
            .with_flag("ties_okay", k.flag("ties_okay")?),
        "expect_column_distinct_values_to_be_in_set" => {
            column(k, "distinct_in_set")?.with("values", k.set("value_set", of)?)
        }
        "expect_column_distinct_values_to_contain_set" => {
            column(k, "distinct_contains_set")?.with("values", k.needed_set("value_set", of)?)
        }
        "expect_column_distinct_values_to_equal_set" => {
            column(k, "distinct_equals_set")?.with("values", k.needed_set("value_set", of)?)
        }
        "expect_column_kl_divergence_to_be_less_than" => {
            divergence(column(k, "kl_divergence")?, k, of)?
        }

        "expect_column_pair_values_a_to_be_greater_than_b"
        | "expect_column_pair_values_A_to_be_greater_than_B" => {
            pair(k, "pair_greater_than", of)?.with_flag("or_equal", k.flag("or_equal")?)
        }
        "expect_column_pair_values_to_be_equal" => pair(k, "pair_equal", of)?,
        "expect_column_pair_values_to_be_in_set" => {
            pair(k, "pair_in_set", of)?.with("pairs", k.need("value_pairs_set", of)?)
        }
        "expect_compound_columns_to_be_unique" => several(k, "compound_unique", of)?,
        "expect_select_column_values_to_be_unique_within_record"
        | "expect_multicolumn_values_to_be_unique" => several(k, "unique_within_record", of)?,
        "expect_multicolumn_sum_to_equal" => {
            several(k, "sum_equals", of)?.with("total", k.need("sum_total", of)?)
        }
        "expect_multicolumn_values_to_be_equal" => several(k, "columns_equal", of)?,

        "expect_column_to_exist" => {
            if let Some(node) = k.node("column_index") {
                return Err(node.wrong("the place of one column among all can't be asked for"));
            }
            let column = k.text("column", of)?;
            Ask::new("schema").with("columns", json!([{"name": column}])).with("allow_extra", true)
        }
        "expect_table_columns_to_match_ordered_list" => {
            let list = k.need("column_list", of)?;
            Ask::new("schema").with("columns", columns(&list)).with("ordered", true)
        }
        "expect_table_columns_to_match_set" => {
            let list = k.need("column_set", of)?;
            let exact = k.node("exact_match").map_or(Ok(true), Node::bool)?;
            Ask::new("schema").with("columns", columns(&list)).with_flag("allow_extra", !exact)
        }
        "expect_table_column_count_to_equal" => k.count("value", Ask::new("column_count"), of)?,
        "expect_table_column_count_to_be_between" => k.counts(Ask::new("column_count"))?,
        "expect_table_row_count_to_equal" => k.count("value", Ask::new("row_count"), of)?,
        "expect_table_row_count_to_be_between" => k.counts(Ask::new("row_count"))?,
        "expect_table_row_count_to_equal_other_table" => {
            Ask::new("row_count_equals_other").with("source", k.text("other_table_name", of)?)
        }
        "unexpected_rows_expectation" => unexpected_rows(k, of)?,
        "expect_query_results_to_match_comparison" => {
            return Err(of.wrong("queries are asked of a database, and there is none here"));
        }
        _ => return Err(of.wrong("no expectation of this name is known")),
    };
    Ok(ask)
}

const PAIR: [&str; 3] = ["both_values_are_missing", "either_value_is_missing", "neither"];
const SEVERAL: [&str; 3] = ["all_values_are_missing", "any_value_is_missing", "never"];

fn pair(k: &mut Kwargs<'_>, ours: &str, of: &Node) -> Read<Ask> {
    Ok(Ask::new(ours)
        .with("column_a", k.text("column_A", of)?)
        .with("column_b", k.text("column_B", of)?)
        .with_some("ignore_rows", k.ignored(PAIR)?))
}

fn several(k: &mut Kwargs<'_>, ours: &str, of: &Node) -> Read<Ask> {
    Ok(Ask::new(ours)
        .with("columns", k.need("column_list", of)?)
        .with_some("ignore_rows", k.ignored(SEVERAL)?))
}

fn quantiles(ask: Ask, k: &mut Kwargs<'_>, of: &Node) -> Read<Ask> {
    let node = k.need_node("quantile_ranges", of)?;
    let ranges = k.resolve(node)?;
    let (Some(which), Some(bounds)) =
        (ranges["quantiles"].as_array(), ranges["value_ranges"].as_array())
    else {
        return Err(node.wrong("expected `quantiles` and `value_ranges`"));
    };
    if which.len() != bounds.len() {
        return Err(node.wrong(format!("{} quantiles, but {} ranges", which.len(), bounds.len())));
    }
    let mut quantiles = Vec::new();
    for (q, range) in which.iter().zip(bounds) {
        let Some([min, max]) = range.as_array().map(Vec::as_slice) else {
            return Err(node.wrong(format!("expected a range, found {range}")));
        };
        let mut one = Map::from_iter([("q".to_owned(), q.clone())]);
        for (key, bound) in [("min", min), ("max", max)] {
            if !bound.is_null() {
                one.insert(key.to_owned(), bound.clone());
            }
        }
        quantiles.push(Value::Object(one));
    }
    // The name of the interpolation stands where a database has its error.
    let interpolation = match k.value("allow_relative_error")? {
        Some(Value::String(name)) => name,
        Some(Value::Number(_)) => return Err(of.wrong("a relative error is that of a database")),
        _ => "nearest".into(),
    };
    Ok(ask.with("quantiles", quantiles).with("interpolation", interpolation))
}

fn divergence(mut ask: Ask, k: &mut Kwargs<'_>, of: &Node) -> Read<Ask> {
    let node = k.need_node("partition_object", of)?;
    let Value::Object(partition) = k.resolve(node)? else {
        return Err(node.wrong("expected a map"));
    };
    for (key, value) in partition {
        match key.as_str() {
            "values" | "bins" | "weights" | "tail_weights" => ask.put(&key, value),
            other => return Err(node.wrong(format!("`{}` is not known here", shown(other)))),
        }
    }
    if let Some(node) = k.node("bucketize_data")
        && !node.bool()?
    {
        return Err(node.wrong("the column's own values can't be bins"));
    }
    ask.put("max", k.need("threshold", of)?);
    for key in ["tail_weight_holdout", "internal_weight_holdout"] {
        if let Some(holdout) = k.value(key)?
            && holdout.as_f64() != Some(0.0)
        {
            ask.put(key, holdout);
        }
    }
    Ok(ask)
}

/// `SELECT * FROM {batch} WHERE …`: the rows for which it is true are unexpected.
fn unexpected_rows(k: &mut Kwargs<'_>, of: &Node) -> Read<Ask> {
    if let Some(node) = k.node("row_condition") {
        return Err(node.wrong("the query says which rows, and takes no condition"));
    }
    let query = k.text("unexpected_rows_query", of)?;
    let words = query.trim().trim_end_matches(';').trim();
    let mut rest = words;
    for word in ["SELECT", "*", "FROM", "{batch}", "WHERE"] {
        let there = rest.get(..word.len()).filter(|start| start.eq_ignore_ascii_case(word));
        match there {
            Some(_) => rest = rest[word.len()..].trim_start(),
            None => return Err(of.wrong("only `SELECT * FROM {batch} WHERE …` can be read")),
        }
    }
    let condition = condition(rest, &of.at)?;
    Ok(Ask::new("satisfies").with("expression", format!("({condition}) IS NOT TRUE")))
}

fn row_condition(k: &mut Kwargs<'_>) -> Read<Option<String>> {
    let parser = k.node("condition_parser").map(Node::text).transpose()?;
    let Some(node) = k.node("row_condition") else { return Ok(None) };
    let text = match &node.data {
        Data::Text(text) => text_condition(text, parser, node)?,
        _ => object_condition(node, parser)?,
    };
    // What was put together here is read again, so that all of it is known to be one.
    condition(&text, &node.at).map(Some)
}

fn text_condition(text: &str, parser: Option<&str>, node: &Node) -> Read<String> {
    match parser {
        Some("pandas") | None if !text.trim_start().starts_with("col(") => {
            pandas_query::to_sql(text).map_err(|why| node.wrong(why))
        }
        Some("spark") => condition(text, &node.at),
        None | Some("pandas" | "great_expectations" | "great_expectations__experimental__") => {
            pandas_query::to_sql(text).map_err(|why| node.wrong(why))
        }
        Some(other) => Err(node.wrong(format!("conditions of `{}` can't be read", shown(other)))),
    }
}

fn object_condition(node: &Node, parser: Option<&str>) -> Read<String> {
    let mut fields = node.fields()?;
    let kind = fields.need("type")?.text()?;
    let column = |fields: &mut Fields<'_>| -> Read<String> {
        Ok(name(fields.need("column")?.fields()?.need("name")?.text()?))
    };
    let text = match kind {
        "and" | "or" => {
            let parts = fields.need("conditions")?.list()?;
            let parts: Vec<_> = parts
                .iter()
                .map(|part| Ok(format!("({})", object_condition(part, parser)?)))
                .collect::<Read<_>>()?;
            if parts.is_empty() {
                return Err(node.wrong("no conditions"));
            }
            parts.join(if kind == "and" { " AND " } else { " OR " })
        }
        "nullity" => {
            let column = column(&mut fields)?;
            let not = if fields.need("is_null")?.bool()? { "" } else { "NOT " };
            format!("{column} IS {not}NULL")
        }
        "comparison" => {
            let column = column(&mut fields)?;
            let operator = fields.need("operator")?;
            let parameter = fields.need("parameter")?.value()?;
            comparison(&column, operator.text()?, &parameter)
                .ok_or_else(|| operator.wrong("no comparison with this value is known"))?
        }
        "pass_through" => {
            let filter = fields.need("pass_through_filter")?;
            text_condition(filter.text()?, parser, filter)?
        }
        _ => return Err(node.wrong("no condition of this type is known")),
    };
    fields.done()?;
    Ok(text)
}

/// A comparison as Great Expectations makes it: what is not equal to a value may be missing.
fn comparison(column: &str, operator: &str, parameter: &Value) -> Option<String> {
    let several = || {
        let values: Option<Vec<_>> = parameter.as_array()?.iter().map(literal).collect();
        values.filter(|values| !values.is_empty()).map(|values| values.join(", "))
    };
    Some(match operator {
        "==" => format!("{column} = {}", literal(parameter)?),
        "!=" => format!("({column} <> {} OR {column} IS NULL)", literal(parameter)?),
        "<" | "<=" | ">" | ">=" => format!("{column} {operator} {}", literal(parameter)?),
        "IN" => format!("{column} IN ({})", several()?),
        "NOT_IN" | "NOT IN" => format!("({column} NOT IN ({}) OR {column} IS NULL)", several()?),
        _ => return None,
    })
}
