//! Tests in dbt's properties.

use mlops_core::{Error, Result};
use serde_json::{Value, json};

use super::Imported;
use super::ask::{Ask, condition, name};
use super::names::column_type;
use super::tree::{Data, Fields, Node, Read, Wrong, shown};
use crate::Suite;

const WHAT: &str = "properties of dbt";

/// Reads the tests in a file of dbt's properties (`schema.yml`): a suite for each model, seed and
/// snapshot that has some, and for each table of a source, as `source.table`.
///
/// The four tests of dbt itself, and those of `dbt_utils` and `dbt_expectations` that a suite can
/// say. `severity: warn` is a warning; `where` is read as SQL. Tests whose failures are counted
/// (`warn_if`, `error_if` beyond "any"), Jinja but for `ref('…')` and `source('…', '…')`, and tests
/// of other packages are refused.
///
/// # Errors
/// [`Error::Invalid`] for a text that is no YAML, or has no models, seeds, snapshots or sources.
pub fn dbt(text: &str) -> Result<Imported> {
    let node = Node::yaml(WHAT, text)?;
    let invalid = |w: Wrong| Error::invalid(WHAT, "properties", format!("{}: {}", w.place, w.why));
    let mut fields = node.fields().map_err(invalid)?;
    let mut imported = Imported::default();
    let mut any = false;
    for key in ["models", "seeds", "snapshots"] {
        if let Some(node) = fields.given(key) {
            any = true;
            for node in node.list().map_err(invalid)? {
                model(node, None, &mut imported).map_err(invalid)?;
            }
        }
    }
    if let Some(node) = fields.given("sources") {
        any = true;
        for node in node.list().map_err(invalid)? {
            source(node, &mut imported).map_err(invalid)?;
        }
    }
    if !any {
        return Err(Error::invalid(WHAT, "models, seeds, snapshots or sources", "none of them"));
    }
    fields.take("version");
    for (key, node) in fields.left() {
        imported.refused.push(node.wrong("nothing that tests data").named(key));
    }
    Ok(imported)
}

fn source(node: &Node, imported: &mut Imported) -> Read<()> {
    let mut fields = node.fields()?;
    let source = fields.need("name")?.text()?;
    if let Some(tables) = fields.given("tables") {
        for table in tables.list()? {
            model(table, Some(source), imported)?;
        }
    }
    for (key, node) in fields.left() {
        if key == "freshness" {
            imported
                .refused
                .push(node.wrong("dbt asks it of the source, not by a test").named(key));
        } else {
            imported.keep(source, key, node.kept());
        }
    }
    Ok(())
}

fn model(node: &Node, source: Option<&str>, imported: &mut Imported) -> Read<()> {
    let mut fields = node.fields()?;
    let own = fields.need("name")?.text()?;
    let mut suite = Suite::new(source.map_or_else(|| own.to_owned(), |s| format!("{s}.{own}")));
    tests(&mut fields, None, &mut suite, imported)?;
    if let Some(columns) = fields.given("columns") {
        for node in columns.list()? {
            let mut fields = node.fields()?;
            let column = fields.need("name")?.text()?;
            tests(&mut fields, Some(column), &mut suite, imported)?;
            rest(&fields, &suite.name, &format!("{column}."), imported);
        }
    }
    rest(&fields, &suite.name, "", imported);
    if !suite.expectations.is_empty() {
        imported.suites.push(suite);
    }
    Ok(())
}

/// Keeps what is said besides tests, and refuses what constrains.
fn rest(fields: &Fields<'_>, suite: &str, prefix: &str, imported: &mut Imported) {
    for (key, node) in fields.left() {
        match key {
            "constraints" | "versions" | "freshness" => {
                imported.refused.push(node.wrong("not a test").named(key));
            }
            _ => imported.keep(suite, &format!("{prefix}{key}"), node.kept()),
        }
    }
}

fn tests(
    fields: &mut Fields<'_>,
    column: Option<&str>,
    suite: &mut Suite,
    imported: &mut Imported,
) -> Read<()> {
    for key in ["tests", "data_tests"] {
        let Some(node) = fields.given(key) else { continue };
        for node in node.list()? {
            let (test, args) = match &node.data {
                Data::Text(test) => (test.as_str(), None),
                Data::Map(all) => {
                    if let [(test, args)] = all.as_slice() {
                        (test.as_str(), Some(args))
                    } else {
                        let test = node.fields()?.given("test_name").map(Node::text).transpose()?;
                        (test.unwrap_or("test"), Some(node))
                    }
                }
                _ => return Err(node.wrong("expected a test")),
            };
            match read(test, node, args, column) {
                Ok(asks) => {
                    for ask in asks {
                        match ask.build(&node.at) {
                            Ok(expectation) => suite.expectations.push(expectation),
                            Err(wrong) => imported.refused.push(wrong.named(test)),
                        }
                    }
                }
                Err(wrong) => imported.refused.push(wrong.named(test)),
            }
        }
    }
    Ok(())
}

/// The arguments of a test: those under `arguments`, and those beside it.
struct Args<'a> {
    all: Vec<Fields<'a>>,
    of: &'a Node,
}

impl<'a> Args<'a> {
    fn given(&mut self, key: &str) -> Option<&'a Node> {
        self.all.iter_mut().find_map(|fields| fields.given(key))
    }

    fn need(&mut self, key: &str) -> Read<&'a Node> {
        let of = self.of;
        self.given(key).ok_or_else(|| of.wrong(format!("`{key}` is missing")))
    }

    /// A value; a number may be written as a text, because dbt puts it into SQL.
    fn scalar(&mut self, key: &str) -> Read<Option<Value>> {
        let Some(node) = self.given(key) else { return Ok(None) };
        let Some(text) = node.as_text() else { return node.value().map(Some) };
        no_jinja(node)?;
        match serde_json::from_str::<Value>(text.trim()) {
            Ok(number @ Value::Number(_)) => Ok(Some(number)),
            _ => match text.trim().strip_prefix('\'').and_then(|t| t.strip_suffix('\'')) {
                Some(inner) if !inner.contains('\'') => Ok(Some(inner.into())),
                _ => Err(node.wrong("only a number or a text in quotes can be read")),
            },
        }
    }

    fn count(&mut self, key: &str) -> Read<Option<u64>> {
        let Some(value) = self.scalar(key)? else { return Ok(None) };
        let count = value.as_u64().map(Some);
        count.ok_or_else(|| self.of.wrong(format!("expected a count, found {value}")))
    }

    fn flag(&mut self, key: &str, default: bool) -> Read<bool> {
        self.given(key).map_or(Ok(default), Node::bool)
    }
}

fn no_jinja(node: &Node) -> Read<()> {
    match node.as_text() {
        Some(text) if text.contains("{{") || text.contains("{%") => {
            Err(node.wrong("Jinja can't be run here"))
        }
        _ => Ok(()),
    }
}

/// The model or table that `ref('…')` or `source('…', '…')` names.
fn relation(node: &Node) -> Read<String> {
    let text = node.text()?.trim();
    let inner = text.strip_prefix("{{").and_then(|t| t.strip_suffix("}}")).unwrap_or(text).trim();
    let named = |function: &str| {
        let inner = inner.strip_prefix(function)?.trim().strip_prefix('(')?.strip_suffix(')')?;
        let names: Option<Vec<_>> = inner
            .split(',')
            .map(|name| {
                let name = name.trim();
                let quote = name.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
                let name = name.strip_prefix(quote)?.strip_suffix(quote)?;
                (!name.contains(['\'', '"', '(', ')'])).then_some(name)
            })
            .collect();
        names
    };
    match (named("ref").as_deref(), named("source").as_deref()) {
        (Some([model]), _) => Ok((*model).to_owned()),
        (_, Some([source, table])) => Ok(format!("{source}.{table}")),
        _ => Err(node.wrong("only `ref('…')` and `source('…', '…')` can be read")),
    }
}

/// Whether a bound of failures is "any at all".
fn is_any(node: Option<&Node>) -> bool {
    let Some(text) = node.and_then(Node::as_text) else { return node.is_none() };
    let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    matches!(plain.as_str(), "!=0" | ">0" | ">=1" | "<>0")
}

/// What a test's `config` says, or what stands beside its arguments.
fn option<'a>(config: &mut [Fields<'a>], args: &mut Args<'a>, key: &str) -> Option<&'a Node> {
    config.iter_mut().find_map(|c| c.given(key)).or_else(|| args.given(key))
}

fn read(test: &str, of: &Node, args: Option<&Node>, column: Option<&str>) -> Read<Vec<Ask>> {
    let mut beside = args.map(Node::fields).transpose()?;
    let mut config = match beside.as_mut().and_then(|b| b.given("config")) {
        Some(node) => vec![node.fields()?],
        None => Vec::new(),
    };
    let inner = beside.as_mut().and_then(|b| b.given("arguments")).map(Node::fields).transpose()?;
    let mut args = Args { all: Vec::new(), of };
    if let Some(mut beside) = beside {
        beside.take("test_name");
        args.all.push(beside);
    }
    args.all.extend(inner);

    if let Some(node) = option(&mut config, &mut args, "enabled")
        && !node.bool()?
    {
        return Err(node.wrong("the test is not enabled"));
    }
    let warns = match option(&mut config, &mut args, "severity") {
        Some(node) => match node.text()?.to_ascii_lowercase().as_str() {
            "warn" => true,
            "error" => false,
            _ => return Err(node.wrong("no such severity is known")),
        },
        None => false,
    };
    let (warn_if, error_if) =
        (option(&mut config, &mut args, "warn_if"), option(&mut config, &mut args, "error_if"));
    let decides = if warns { warn_if } else { error_if };
    if !is_any(decides) {
        return Err(of.wrong("a number of failures can't be asked for, only none"));
    }
    if let Some(node) = option(&mut config, &mut args, "fail_calc")
        && !warns
    {
        // Whatever is counted, it is 0 where no row fails; but it may be 0 elsewhere, too.
        let known = matches!(node.text()?.trim(), "count(*)" | "sum(n_records)");
        if !known {
            return Err(node.wrong("what is counted of the failures can't be reckoned here"));
        }
    }
    let mut kept = Vec::new();
    for key in [
        "name",
        "alias",
        "tags",
        "meta",
        "limit",
        "store_failures",
        "store_failures_as",
        "schema",
        "database",
        "group",
        "enabled",
        "fail_calc",
        "warn_if",
        "error_if",
    ] {
        if let Some(node) = option(&mut config, &mut args, key) {
            kept.push((key, node.kept()));
        }
    }
    let narrowed = match option(&mut config, &mut args, "where") {
        Some(node) => {
            no_jinja(node)?;
            Some(condition(node.text()?, &node.at)?)
        }
        None => None,
    };
    for config in &config {
        config.done()?;
    }

    let description = args.given("description").map(Node::text).transpose()?;
    let own = args.given("column_name").map(Node::text).transpose()?;
    let mut asks = asks(test, column.or(own), &mut args)?;
    if let Some(node) = args.given("row_condition") {
        no_jinja(node)?;
        let condition = condition(node.text()?, &node.at)?;
        for ask in &mut asks {
            ask.narrow(&condition);
        }
    }
    for fields in &args.all {
        fields.done()?;
    }
    for ask in &mut asks {
        ask.keep("test", test);
        if let Some(condition) = &narrowed {
            ask.narrow(condition);
        }
        if warns {
            ask.put("severity", "warning");
        }
        if let Some(words) = description {
            ask.put("description", words);
        }
        for (key, value) in &kept {
            ask.keep(key, value.clone());
        }
    }
    Ok(asks)
}

fn asks(test: &str, column: Option<&str>, args: &mut Args<'_>) -> Read<Vec<Ask>> {
    let of = args.of;
    let column = || column.ok_or_else(|| of.wrong("a test of a column, and there is none"));
    let texts = |args: &mut Args<'_>, key: &str| {
        Ok(args.need(key)?.texts()?.into_iter().map(Value::from).collect::<Vec<_>>())
    };
    let bounds = |args: &mut Args<'_>, mut ask: Ask, inclusive: bool| -> Read<Ask> {
        for (theirs, ours, strict) in
            [("min_value", "min", "strict_min"), ("max_value", "max", "strict_max")]
        {
            if let Some(bound) = args.scalar(theirs)? {
                ask = ask.with(ours, bound).with_flag(strict, !inclusive);
            }
        }
        Ok(ask)
    };
    let aggregate = |args: &mut Args<'_>, kind: &str| -> Read<Ask> {
        let inclusive = !args.flag("strictly", false)?;
        bounds(args, Ask::of(kind, column()?), inclusive)
    };
    let counts = |args: &mut Args<'_>, ask: Ask| -> Read<Ask> {
        if args.flag("strictly", false)? {
            return Err(of.wrong("strict bounds of a count can't be read"));
        }
        Ok(ask
            .with_some("min", args.count("min_value")?)
            .with_some("max", args.count("max_value")?))
    };
    let ask = match test {
        "not_null" | "dbt_expectations.expect_column_values_to_not_be_null" => {
            Ask::of("not_null", column()?)
        }
        "unique" | "dbt_expectations.expect_column_values_to_be_unique" => {
            Ask::of("unique", column()?)
        }
        "accepted_values" => {
            args.given("quote");
            Ask::of("in_set", column()?).with("values", args.need("values")?.value()?)
        }
        "dbt_utils.not_accepted_values" => {
            args.given("quote");
            Ask::of("not_in_set", column()?).with("values", args.need("values")?.value()?)
        }
        "relationships" | "dbt_utils.relationships_where" => {
            let ask = Ask::new("referential_integrity")
                .with("columns", json!([column()?]))
                .with("source", relation(args.need("to")?)?)
                .with("references", json!([args.need("field")?.text()?]));
            if let Some(node) = args.given("to_condition") {
                return Err(node.wrong("the rows of the other table can't be narrowed"));
            }
            let mut ask = ask;
            if let Some(node) = args.given("from_condition") {
                no_jinja(node)?;
                ask.narrow(&condition(node.text()?, &node.at)?);
            }
            ask
        }
        "dbt_utils.expression_is_true" => {
            let node = args.need("expression")?;
            no_jinja(node)?;
            let text = match column() {
                Ok(column) => format!("{} {}", name(column), node.text()?),
                Err(_) => node.text()?.to_owned(),
            };
            Ask::new("satisfies").with("expression", condition(&text, &node.at)?)
        }
        "dbt_utils.unique_combination_of_columns" => {
            args.given("quote_columns");
            Ask::new("compound_unique")
                .with("columns", texts(args, "combination_of_columns")?)
                .with("ignore_rows", "never")
        }
        "dbt_utils.accepted_range" => {
            let inclusive = args.flag("inclusive", true)?;
            bounds(args, Ask::of("in_range", column()?), inclusive)?
        }
        "dbt_utils.not_null_proportion" => Ask::of("completeness", column()?)
            .with("min", args.need("at_least")?.value()?)
            .with_some("max", args.scalar("at_most")?),
        "dbt_utils.at_least_one" => Ask::of("value_count", column()?).with("min", 1),
        "dbt_utils.not_constant" => Ask::of("unique_count", column()?).with("min", 2),
        "dbt_utils.not_empty_string" => {
            let trims = args.flag("trim_whitespace", true)?;
            let regex = if trims { r"^ *\z" } else { r"^\z" };
            Ask::of("not_matches_regex", column()?).with("regex", regex)
        }
        "dbt_utils.recency" => {
            let node = args.need("datepart")?;
            let unit = match node.text()? {
                unit @ ("week" | "day" | "hour" | "minute" | "second") => &unit[..1],
                _ => return Err(node.wrong("no length of time is this")),
            };
            let count = args.count("interval")?.ok_or_else(|| of.wrong("`interval` is missing"))?;
            Ask::of("freshness", args.need("field")?.text()?)
                .with("max_age", format!("{count}{unit}"))
        }
        "dbt_utils.equal_rowcount" => Ask::new("row_count_equals_other")
            .with("source", relation(args.need("compare_model")?)?),

        "dbt_expectations.expect_column_to_exist" => Ask::new("schema")
            .with("columns", json!([{"name": column()?}]))
            .with("allow_extra", true),
        "dbt_expectations.expect_column_values_to_be_null" => Ask::of("is_null", column()?),
        "dbt_expectations.expect_column_values_to_be_between" => aggregate(args, "in_range")?,
        "dbt_expectations.expect_column_min_to_be_between" => aggregate(args, "min")?,
        "dbt_expectations.expect_column_max_to_be_between" => aggregate(args, "max")?,
        "dbt_expectations.expect_column_mean_to_be_between" => aggregate(args, "mean")?,
        "dbt_expectations.expect_column_median_to_be_between" => aggregate(args, "median")?,
        "dbt_expectations.expect_column_stdev_to_be_between" => aggregate(args, "stdev")?,
        "dbt_expectations.expect_column_sum_to_be_between" => aggregate(args, "sum")?,
        "dbt_expectations.expect_column_unique_value_count_to_be_between" => {
            aggregate(args, "unique_count")?
        }
        "dbt_expectations.expect_column_proportion_of_unique_values_to_be_between" => {
            aggregate(args, "proportion_unique")?
        }
        "dbt_expectations.expect_column_values_to_be_in_set" => {
            args.given("quote_values");
            Ask::of("in_set", column()?).with("values", args.need("value_set")?.value()?)
        }
        "dbt_expectations.expect_column_values_to_not_be_in_set" => {
            args.given("quote_values");
            Ask::of("not_in_set", column()?).with("values", args.need("value_set")?.value()?)
        }
        "dbt_expectations.expect_column_values_to_match_regex" => {
            no_flags(args)?;
            Ask::of("matches_regex", column()?).with("regex", args.need("regex")?.text()?)
        }
        "dbt_expectations.expect_column_values_to_not_match_regex" => {
            no_flags(args)?;
            Ask::of("not_matches_regex", column()?).with("regex", args.need("regex")?.text()?)
        }
        "dbt_expectations.expect_column_value_lengths_to_be_between" => {
            counts(args, Ask::of("string_length", column()?))?
        }
        "dbt_expectations.expect_column_value_lengths_to_equal" => {
            let value = args.count("value")?.ok_or_else(|| of.wrong("`value` is missing"))?;
            Ask::of("string_length", column()?).with("min", value).with("max", value)
        }
        "dbt_expectations.expect_column_values_to_be_of_type" => {
            let node = args.need("column_type")?;
            let ours = column_type(node.text()?);
            let ours = ours.ok_or_else(|| node.wrong("no type of Arrow is known to be this"))?;
            Ask::of("of_type", column()?).with("type", ours)
        }
        "dbt_expectations.expect_table_row_count_to_be_between" => {
            counts(args, Ask::new("row_count"))?
        }
        "dbt_expectations.expect_table_row_count_to_equal" => {
            let value = args.count("value")?.ok_or_else(|| of.wrong("`value` is missing"))?;
            Ask::new("row_count").with("min", value).with("max", value)
        }
        "dbt_expectations.expect_table_row_count_to_equal_other_table" => {
            Ask::new("row_count_equals_other")
                .with("source", relation(args.need("compare_model")?)?)
        }
        "dbt_expectations.expect_column_pair_values_A_to_be_greater_than_B" => {
            Ask::new("pair_greater_than")
                .with("column_a", args.need("column_A")?.text()?)
                .with("column_b", args.need("column_B")?.text()?)
                .with_flag("or_equal", args.flag("or_equal", false)?)
                .with("ignore_rows", "any_missing")
        }
        "dbt_expectations.expect_column_pair_values_to_be_equal" => Ask::new("pair_equal")
            .with("column_a", args.need("column_A")?.text()?)
            .with("column_b", args.need("column_B")?.text()?)
            .with("ignore_rows", "any_missing"),
        "dbt_expectations.expect_compound_columns_to_be_unique" => {
            args.given("quote_columns");
            let ignored = match args.given("ignore_row_if").map(Node::text).transpose()? {
                None | Some("all_values_are_missing") => "all_missing",
                Some("any_value_is_missing") => "any_missing",
                Some("never") => "never",
                Some(other) => {
                    return Err(of.wrong(format!("`{}` is not known here", shown(other))));
                }
            };
            Ask::new("compound_unique")
                .with("columns", texts(args, "column_list")?)
                .with("ignore_rows", ignored)
        }
        _ => return Err(of.wrong("no test of this name can be said here")),
    };
    Ok(vec![ask])
}

fn no_flags(args: &mut Args<'_>) -> Read<()> {
    args.given("is_raw");
    match args.given("flags") {
        Some(node) if !node.text()?.is_empty() => Err(node.wrong("flags can't be read")),
        _ => Ok(()),
    }
}
