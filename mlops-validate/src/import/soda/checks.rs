//! `SodaCL`, the language of Soda 3.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::Imported;
use super::super::ask::{Ask, condition};
use super::super::names::column_type;
use super::super::tree::{Data, Fields, Node, Read, Wrong, shown};
use super::threshold::{Threshold, good_share};
use super::validity::{Validity, of_rows};
use super::{Variables, statistic};
use crate::Suite;

pub(super) fn read(top: &Node, variables: &Variables, imported: &mut Imported) -> Read<()> {
    let mut filters = BTreeMap::new();
    let mut any = false;
    for (key, node) in top.entries()? {
        if let Some(of) = key.strip_prefix("filter ") {
            let mut fields = node.fields()?;
            match fields
                .need("where")
                .and_then(Node::text)
                .and_then(|text| condition(&variables.put_in(text, node)?, &node.at))
            {
                Ok(text) => {
                    filters.insert(of.trim().to_owned(), text);
                }
                Err(wrong) => imported.refused.push(wrong.named(key)),
            }
        }
    }
    for (key, node) in top.entries()? {
        if let Some(of) = key.strip_prefix("checks for ") {
            any = true;
            let of = of.trim();
            let dataset = of.split('[').next().unwrap_or(of).trim();
            let filter = match (of.contains('['), filters.get(of)) {
                (true, None) => {
                    imported
                        .refused
                        .push(node.wrong("no filter of this name can be read").named(key));
                    continue;
                }
                (_, filter) => filter.map(String::as_str),
            };
            let suite = suite_of(imported, of);
            checks(
                node,
                dataset,
                filter,
                variables,
                &mut imported.suites[suite],
                &mut imported.refused,
            )?;
        } else if key.starts_with("for each dataset") {
            any = true;
            let mut fields = node.fields()?;
            let (names, list) = (fields.need("datasets")?.texts()?, fields.need("checks")?);
            if names.len() > 1000 {
                return Err(node.wrong("more than 1000 datasets"));
            }
            for dataset in names {
                if dataset.contains(['%', ' ']) {
                    imported
                        .refused
                        .push(node.wrong("datasets are named one by one").named(dataset));
                    continue;
                }
                let suite = suite_of(imported, dataset);
                checks(
                    list,
                    dataset,
                    None,
                    variables,
                    &mut imported.suites[suite],
                    &mut imported.refused,
                )?;
            }
        } else if key != "variables" && !key.starts_with("filter ") {
            imported.refused.push(node.wrong("no checks of a dataset").named(key));
        }
    }
    if any { Ok(()) } else { Err(top.wrong("no `checks for …` and no `dataset`")) }
}

fn suite_of(imported: &mut Imported, name: &str) -> usize {
    let found = imported.suites.iter().position(|suite| suite.name == name);
    found.unwrap_or_else(|| {
        imported.suites.push(Suite::new(name));
        imported.suites.len() - 1
    })
}

fn checks(
    list: &Node,
    dataset: &str,
    filter: Option<&str>,
    variables: &Variables,
    suite: &mut Suite,
    refused: &mut Vec<super::super::Refused>,
) -> Read<()> {
    for node in list.list()? {
        let (text, config) = match &node.data {
            Data::Text(text) => (text.as_str(), None),
            Data::Map(all) => match all.as_slice() {
                [(text, config)] => (text.as_str(), Some(config)),
                _ => return Err(node.wrong("expected one check")),
            },
            _ => return Err(node.wrong("expected a check")),
        };
        let config = config.filter(|config| !config.is_null());
        let asks = check(text, node, config, dataset, variables);
        let (asks, wrongs) = match asks {
            Ok(found) => found,
            Err(wrong) => (Vec::new(), vec![wrong]),
        };
        refused.extend(wrongs.into_iter().map(|wrong| wrong.named(text)));
        for mut ask in asks {
            ask.keep("check", text);
            if let Some(filter) = filter {
                ask.narrow(filter);
            }
            match ask.build(&node.at) {
                Ok(expectation) => suite.expectations.push(expectation),
                Err(wrong) => refused.push(wrong.named(text)),
            }
        }
    }
    Ok(())
}

type Found = (Vec<Ask>, Vec<Wrong>);

fn check(
    text: &str,
    node: &Node,
    config: Option<&Node>,
    dataset: &str,
    variables: &Variables,
) -> Read<Found> {
    let text = variables.put_in(text, node)?;
    let mut fields = config.map(Node::fields).transpose()?;
    let mut found = match text.trim() {
        "schema" => schema(fields.as_mut().ok_or_else(|| node.wrong("nothing is asked of it"))?)?,
        "failed rows" => {
            let fields = fields.as_mut().ok_or_else(|| node.wrong("nothing is asked of it"))?;
            (vec![failed_rows(fields, variables)?], Vec::new())
        }
        text if text.starts_with("values in") => (vec![reference(text, node)?], Vec::new()),
        text => metric(text, node, fields.as_mut(), dataset, variables)?,
    };
    if let Some(fields) = &mut fields {
        if let Some(node) = fields.given("filter") {
            let filter = condition(&variables.put_in(node.text()?, node)?, &node.at)?;
            for ask in &mut found.0 {
                ask.narrow(&filter);
            }
        }
        if let Some(node) = fields.given("name") {
            let words = variables.put_in(node.text()?, node)?;
            for ask in &mut found.0 {
                ask.put("description", words.clone());
            }
        }
        for key in ["identity", "attributes", "samples limit", "samples columns"] {
            if let Some(node) = fields.given(key) {
                for ask in &mut found.0 {
                    ask.keep(key, node.kept());
                }
            }
        }
        fields.done()?;
    }
    Ok(found)
}

fn metric(
    text: &str,
    node: &Node,
    mut fields: Option<&mut Fields<'_>>,
    dataset: &str,
    variables: &Variables,
) -> Read<Found> {
    for word in ["change ", "anomaly ", "automated ", "distribution ", "group by", "reconciliation"]
    {
        if text.starts_with(word) {
            return Err(node.wrong("what needs earlier runs or other data can't be asked for"));
        }
    }
    if let Some(other) = text.strip_prefix("row_count same as ") {
        let ask = Ask::new("row_count_equals_other").with("source", other.trim());
        return Ok((vec![ask], Vec::new()));
    }
    let name_ends = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (metric, rest) = text.split_at(name_ends);
    let rest = rest.trim_start();
    let (args, rest) = match rest.strip_prefix('(') {
        Some(rest) => {
            let (args, rest) =
                rest.split_once(')').ok_or_else(|| node.wrong("`(` is not closed"))?;
            (args.trim().trim_matches('"'), rest.trim())
        }
        None => ("", rest.trim()),
    };
    let validity = match &mut fields {
        Some(fields) => Validity::read(args, fields)?,
        None => Validity::default(),
    };
    if metric == "freshness" {
        return freshness(args, rest, node, fields, variables);
    }
    // Each threshold with whether it only warns.
    let mut thresholds: Vec<(Read<Threshold>, bool)> = Vec::new();
    if !rest.is_empty() {
        thresholds.push((Threshold::parse(rest, node), false));
    }
    if let Some(fields) = &mut fields {
        for (key, warns) in [("fail", false), ("warn", true)] {
            let Some(node) = fields.given(key) else { continue };
            let text = variables.put_in(node.text()?, node)?;
            let text = text.trim().strip_prefix("when ").unwrap_or(&text).to_owned();
            let alarms = Threshold::parse(&text, node);
            thresholds.push((alarms.and_then(|alarm| alarm.outside(node)), warns));
        }
    }
    if thresholds.is_empty() {
        return Err(node.wrong("nothing is asked of it"));
    }
    let (mut asks, mut wrongs) = (Vec::new(), Vec::new());
    for (threshold, warns) in thresholds {
        let made = threshold.and_then(|t| of_metric(metric, args, dataset, &validity, t, node));
        match made {
            Ok(made) => asks.extend(
                made.into_iter().map(
                    |ask| {
                        if warns { ask.with("severity", "warning") } else { ask }
                    },
                ),
            ),
            Err(wrong) => wrongs.push(wrong),
        }
    }
    Ok((asks, wrongs))
}

fn of_metric(
    metric: &str,
    args: &str,
    dataset: &str,
    validity: &Validity,
    threshold: Threshold,
    node: &Node,
) -> Read<Vec<Ask>> {
    if metric == "row_count" {
        // `row_count(…)` would be of something else.
        if !args.is_empty() && args != dataset {
            return Err(node.wrong("rows are counted all together"));
        }
        return Ok(vec![threshold.counts(Ask::new("row_count"), node)?]);
    }
    if args.is_empty() {
        return Err(node.wrong("no metric of this name is known"));
    }
    if metric == "missing_percent" && validity.missing.is_empty() && !threshold.is_none_at_all() {
        let shares = Threshold {
            min: threshold.max.map(good_share),
            max: threshold.min.map(good_share),
            strict_min: threshold.strict_max,
            strict_max: threshold.strict_min,
        };
        return Ok(vec![shares.bounds(Ask::of("completeness", args))]);
    }
    match metric {
        "missing_count" | "missing_percent" | "invalid_count" | "invalid_percent"
        | "duplicate_count" | "duplicate_percent" => {
            of_rows(metric, args, validity, threshold, node)
        }
        _ => match statistic(metric, args) {
            Some(_) if args.contains(',') => Err(node.wrong("one column is expected")),
            Some(ask) => Ok(vec![threshold.bounds(ask)]),
            None => Err(node.wrong(format!("no metric `{}` is known", shown(metric)))),
        },
    }
}

/// `freshness(column) < 1d`, or the ages that warn and fail.
fn freshness(
    column: &str,
    rest: &str,
    node: &Node,
    fields: Option<&mut Fields<'_>>,
    variables: &Variables,
) -> Read<Found> {
    let wrong = |node: &Node| node.wrong("only a greatest age can be asked for");
    let mut asks = Vec::new();
    if !rest.is_empty() {
        let age = rest.strip_prefix('<').ok_or_else(|| wrong(node))?;
        let age = age.trim_start_matches('=').trim();
        asks.push(Ask::of("freshness", column).with("max_age", age));
    }
    if let Some(fields) = fields {
        for (key, warns) in [("fail", false), ("warn", true)] {
            let Some(node) = fields.given(key) else { continue };
            let text = variables.put_in(node.text()?, node)?;
            let age = text.trim().strip_prefix("when").map(str::trim);
            let age = age.and_then(|age| age.strip_prefix('>')).ok_or_else(|| wrong(node))?;
            let age = age.trim_start_matches('=').trim();
            let ask = Ask::of("freshness", column).with("max_age", age);
            asks.push(if warns { ask.with("severity", "warning") } else { ask });
        }
    }
    if asks.is_empty() {
        return Err(wrong(node));
    }
    Ok((asks, Vec::new()))
}

fn schema(fields: &mut Fields<'_>) -> Read<Found> {
    let (mut asks, mut wrongs) = (Vec::new(), Vec::new());
    for (level, warns) in [("fail", false), ("warn", true)] {
        let Some(node) = fields.given(level) else { continue };
        for (key, node) in node.entries()? {
            let mut made = match key.as_str() {
                "when required column missing" => {
                    let columns: Vec<_> =
                        node.texts()?.into_iter().map(|name| json!({"name": name})).collect();
                    vec![Ask::new("schema").with("columns", columns).with("allow_extra", true)]
                }
                "when wrong column type" => {
                    let mut asks = Vec::new();
                    for (column, node) in node.entries()? {
                        match column_type(node.text()?) {
                            Some(ours) => asks.push(Ask::of("of_type", column).with("type", ours)),
                            None => wrongs.push(node.wrong("no type of Arrow is known to be this")),
                        }
                    }
                    asks
                }
                _ => {
                    wrongs.push(node.wrong(format!("`{}` can't be asked for", shown(key))));
                    Vec::new()
                }
            };
            if warns {
                for ask in &mut made {
                    ask.put("severity", "warning");
                }
            }
            asks.extend(made);
        }
    }
    Ok((asks, wrongs))
}

fn failed_rows(fields: &mut Fields<'_>, variables: &Variables) -> Read<Ask> {
    if let Some(node) = fields.given("fail query") {
        return Err(node.wrong("queries are asked of a database, and there is none here"));
    }
    for key in ["warn", "fail"] {
        if let Some(node) = fields.given(key) {
            return Err(node.wrong("a number of bad rows can't be asked for, only none or a share"));
        }
    }
    let node = fields.need("fail condition")?;
    let condition = condition(&variables.put_in(node.text()?, node)?, &node.at)?;
    Ok(Ask::new("satisfies").with("expression", format!("({condition}) IS NOT TRUE")))
}

/// `values in (a) must exist in table (b)`.
fn reference(text: &str, node: &Node) -> Read<Ask> {
    let wrong = || node.wrong("expected `values in (…) must exist in dataset (…)`");
    let list = |text: &str| -> Vec<String> {
        text.split(',').map(|name| name.trim().trim_matches('"').to_owned()).collect()
    };
    let rest = text.strip_prefix("values in").ok_or_else(wrong)?.trim();
    let (columns, rest) =
        rest.strip_prefix('(').and_then(|r| r.split_once(')')).ok_or_else(wrong)?;
    let rest = rest.trim().strip_prefix("must exist in").ok_or_else(wrong)?;
    let (source, keys) = rest.split_once('(').ok_or_else(wrong)?;
    let keys = keys.trim().strip_suffix(')').ok_or_else(wrong)?;
    Ok(Ask::new("referential_integrity")
        .with("columns", list(columns))
        .with("source", source.trim())
        .with("references", list(keys)))
}
