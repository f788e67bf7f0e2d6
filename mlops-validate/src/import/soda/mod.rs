//! `SodaCL` checks and Soda's data contracts.

mod checks;
mod contract;
mod threshold;
mod validity;

use mlops_core::{Error, Result};
use serde_json::{Map, Value};

use super::Imported;
use super::ask::Ask;
use super::tree::{Node, Read, Wrong, shown};

const WHAT: &str = "checks of Soda";

/// Reads what Soda reads: `SodaCL` (`checks for …:`, Soda 3), a suite for each dataset and named
/// filter, or a data contract (Soda 4), a suite.
///
/// Metrics become statistics with bounds; counts and shares of missing, invalid and duplicate rows
/// become expectations of rows where the threshold is "none" or a share. A `warn` threshold is an
/// expectation of its own, that warns. Numbers of bad rows, changes over time, anomalies and
/// queries are refused.
///
/// # Errors
/// [`Error::Invalid`] for a text that is no YAML, or neither of the two.
pub fn soda(text: &str) -> Result<Imported> {
    soda_with(text, &Map::new())
}

/// As [`soda`], with values of variables that go before those of the file.
///
/// # Errors
/// As [`soda`].
pub fn soda_with(text: &str, variables: &Map<String, Value>) -> Result<Imported> {
    let node = Node::yaml(WHAT, text)?;
    let invalid = |w: Wrong| Error::invalid(WHAT, "checks", format!("{}: {}", w.place, w.why));
    let mut fields = node.fields().map_err(invalid)?;
    let mut known = Map::new();
    if let Some(node) = fields.given("variables") {
        for (name, node) in node.entries().map_err(invalid)? {
            // A contract says the value under `default`.
            let value = match node.fields() {
                Ok(mut fields) => fields.given("default").map(Node::kept),
                Err(_) => Some(node.kept()),
            };
            known.extend(value.map(|value| (name.clone(), value)));
        }
    }
    known.extend(variables.clone());
    let variables = Variables(known);
    let mut imported = Imported::default();
    if fields.given("dataset").is_some() {
        contract::read(&node, &variables, &mut imported).map_err(invalid)?;
    } else {
        checks::read(&node, &variables, &mut imported).map_err(invalid)?;
    }
    Ok(imported)
}

/// The values of `${NAME}` and `${var.NAME}`.
struct Variables(Map<String, Value>);

impl Variables {
    fn put_in(&self, text: &str, node: &Node) -> Read<String> {
        let (mut out, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once("${") {
            out.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                return Err(node.wrong("`${` is not closed"));
            };
            let name = name.trim();
            let name = name.strip_prefix("var.").unwrap_or(name);
            match self.0.get(name) {
                Some(Value::String(value)) => out.push_str(value),
                Some(value) => out.push_str(&value.to_string()),
                None => return Err(node.wrong(format!("variable `{}` has no value", shown(name)))),
            }
            if out.len() > 1 << 16 {
                return Err(node.wrong("more than 64 KiB"));
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    /// A number, perhaps by a variable.
    fn number(&self, node: &Node) -> Read<f64> {
        match node.as_text() {
            Some(text) => {
                let text = self.put_in(text, node)?;
                let number = text.trim().parse().ok().filter(|n: &f64| n.is_finite());
                number.ok_or_else(|| {
                    node.wrong(format!("expected a number, found `{}`", shown(&text)))
                })
            }
            None => node.number(),
        }
    }
}

/// A statistic that has a kind of its own.
fn statistic(metric: &str, column: &str) -> Option<Ask> {
    Some(match metric {
        "min" | "max" | "sum" | "min_length" | "max_length" => Ask::of(metric, column),
        "avg" => Ask::of("mean", column),
        "stddev" | "stddev_samp" => Ask::of("stdev", column),
        "stddev_pop" => Ask::of("stdev", column).with("population", true),
        "variance" | "var_samp" => Ask::of("variance", column),
        "var_pop" => Ask::of("variance", column).with("population", true),
        "distinct_count" | "count_distinct" => Ask::of("unique_count", column),
        _ => return None,
    })
}
