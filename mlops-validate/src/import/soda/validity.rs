//! What is a missing value, and what a valid one.

use serde_json::Value;

use super::super::ask::{Ask, literal, name};
use super::super::tree::{Fields, Node, Read};

/// What a check says of values: each an expectation, and where it can be, an expression.
#[derive(Default)]
pub(super) struct Validity {
    pub(super) asks: Vec<Ask>,
    expressions: Vec<Option<String>>,
    /// What is missing besides null, as an expression.
    pub(super) missing: Vec<String>,
}

fn in_list(column: &str, values: &Value, node: &Node) -> Read<String> {
    let values: Option<Vec<_>> = values.as_array().map(|v| v.iter().filter_map(literal).collect());
    match values {
        Some(values) if !values.is_empty() => {
            Ok(format!("{} IN ({})", name(column), values.join(", ")))
        }
        _ => Err(node.wrong("expected a list of values")),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl Validity {
    fn add(&mut self, ask: Ask, expression: impl Into<Option<String>>) {
        self.asks.push(ask);
        self.expressions.push(expression.into());
    }

    /// All of it as one expression.
    pub(super) fn expression(&self) -> Option<String> {
        let all: Option<Vec<_>> = self.expressions.iter().cloned().collect();
        let all = all.filter(|all| !all.is_empty())?;
        Some(all.iter().map(|e| format!("({e})")).collect::<Vec<_>>().join(" AND "))
    }

    /// Reads the keys of Soda 3 (`valid min`) and 4 (`valid_min`).
    pub(super) fn read(column: &str, fields: &mut Fields<'_>) -> Read<Self> {
        let mut found = Self::default();
        let keys: Vec<_> = fields.left().map(|(key, _)| key.to_owned()).collect();
        for key in keys {
            let plain = key.replace('_', " ");
            if !(plain.starts_with("valid ")
                || plain.starts_with("invalid ")
                || plain.starts_with("missing "))
            {
                continue;
            }
            let Some(node) = fields.given(&key) else { continue };
            found.take(column, &plain, node)?;
        }
        Ok(found)
    }

    fn take(&mut self, column: &str, key: &str, node: &Node) -> Read<()> {
        let c = name(column);
        let whole = |regex: &str| format!("^(?:{regex})$");
        let format_regex =
            |node: &Node| -> Read<String> { Ok(whole(node.fields()?.need("regex")?.text()?)) };
        match key {
            "valid values" => {
                let values = node.value()?;
                let expression = in_list(column, &values, node)?;
                self.add(Ask::of("in_set", column).with("values", values), expression);
            }
            "invalid values" => {
                let values = node.value()?;
                let expression = format!("NOT ({})", in_list(column, &values, node)?);
                self.add(Ask::of("not_in_set", column).with("values", values), expression);
            }
            "valid regex" | "invalid regex" => {
                let regex = whole(node.text()?);
                self.regex(column, regex, key.starts_with("invalid"));
            }
            "valid format" | "invalid format"
                if matches!(node.data, super::super::tree::Data::Map(_)) =>
            {
                let regex = format_regex(node)?;
                self.regex(column, regex, key.starts_with("invalid"));
            }
            "valid format" => {
                let format = match node.text()?.to_ascii_lowercase().as_str() {
                    "email" => "email",
                    "uuid" => "uuid",
                    "ip address" | "ipv4 address" => "ipv4",
                    "ipv6 address" => "ipv6",
                    "url" => "url",
                    _ => return Err(node.wrong("no such format is known")),
                };
                self.add(Ask::of("has_format", column).with("format", format), None);
            }
            "valid length" | "valid min length" | "valid max length" => {
                let n = node.value()?;
                let mut ask = Ask::of("string_length", column);
                let mut sql = Vec::new();
                if !key.contains("max") {
                    ask.put("min", n.clone());
                    sql.push(format!("LENGTH({c}) >= {n}"));
                }
                if !key.contains("min") {
                    ask.put("max", n.clone());
                    sql.push(format!("LENGTH({c}) <= {n}"));
                }
                self.add(ask, sql.join(" AND "));
            }
            "valid min" | "valid max" => {
                let n = node.value()?;
                let (bound, sign) = if key == "valid min" { ("min", ">=") } else { ("max", "<=") };
                self.add(
                    Ask::of("in_range", column).with(bound, n.clone()),
                    format!("{c} {sign} {n}"),
                );
            }
            "missing values" => {
                let values = node.value()?;
                self.missing.push(in_list(column, &values, node)?);
            }
            "missing regex" => {
                self.missing.push(format!("{c} RLIKE {}", quoted(&whole(node.text()?))));
            }
            "missing format" => {
                self.missing.push(format!("{c} RLIKE {}", quoted(&format_regex(node)?)));
            }
            "valid reference data" => {
                let mut fields = node.fields()?;
                let dataset = fields.need("dataset")?.text()?;
                let source = dataset.rsplit('/').next().unwrap_or(dataset);
                let key = fields.need("column")?.text()?;
                fields.done()?;
                let ask = Ask::new("referential_integrity")
                    .with("columns", vec![column])
                    .with("source", source)
                    .with("references", vec![key]);
                self.add(ask, None);
            }
            _ => return Err(node.wrong("no such rule of values is known")),
        }
        Ok(())
    }

    fn regex(&mut self, column: &str, regex: String, inverse: bool) {
        let sql = format!("{} RLIKE {}", name(column), quoted(&regex));
        if inverse {
            self.add(
                Ask::of("not_matches_regex", column).with("regex", regex),
                format!("NOT ({sql})"),
            );
        } else {
            self.add(Ask::of("matches_regex", column).with("regex", regex), sql);
        }
    }
}

/// The expectations of rows for a count or a share of bad ones.
pub(super) fn of_rows(
    metric: &str,
    column: &str,
    validity: &Validity,
    threshold: super::threshold::Threshold,
    node: &Node,
) -> Read<Vec<Ask>> {
    let percent = metric.ends_with("percent");
    let none = if percent { threshold.is_none_at_all() } else { threshold.is_no_row() };
    let no_count = || node.wrong("a number of bad rows can't be asked for, only none or a share");
    let mostly = || {
        if none {
            Ok(1.0)
        } else if percent {
            threshold.mostly(node)
        } else {
            Err(no_count())
        }
    };
    let c = name(column);
    let missing =
        validity.missing.iter().map(|m| format!("({m})")).collect::<Vec<_>>().join(" OR ");
    let asks = if metric.starts_with("missing") {
        if !validity.asks.is_empty() {
            return Err(node.wrong("rules of valid values say nothing of missing ones"));
        }
        let mostly = mostly()?;
        let ask = if missing.is_empty() {
            Ask::of("not_null", column)
        } else {
            let expression = format!("{c} IS NOT NULL AND NOT ({missing})");
            Ask::new("satisfies").with("expression", expression)
        };
        vec![with_mostly(ask, mostly)]
    } else if metric.starts_with("duplicate") {
        if !none {
            return Err(node.wrong("a number or share of duplicates can't be asked for, only none"));
        }
        let columns: Vec<_> = column.split(',').map(str::trim).collect();
        match columns.as_slice() {
            [one] => vec![Ask::of("unique", one)],
            _ => vec![Ask::new("compound_unique").with("columns", columns)],
        }
    } else {
        if validity.asks.is_empty() {
            return Err(node.wrong("no rule says what is valid"));
        }
        let mostly = mostly()?;
        if mostly == 1.0 {
            let mut asks = validity.asks.clone();
            if !missing.is_empty() {
                // What counts as missing is not looked at.
                for ask in &mut asks {
                    ask.narrow(&format!("NOT ({missing})"));
                }
            }
            asks
        } else {
            // A share of all rows, those without a value among them.
            let valid = validity.expression();
            let valid = valid
                .ok_or_else(|| node.wrong("a share of rows can't be asked for with this rule"))?;
            let valid =
                if missing.is_empty() { valid } else { format!("({missing}) OR ({valid})") };
            let ask = Ask::new("satisfies").with("expression", valid).with("nulls", "pass");
            vec![with_mostly(ask, mostly)]
        }
    };
    Ok(asks)
}

fn with_mostly(ask: Ask, mostly: f64) -> Ask {
    if mostly == 1.0 { ask } else { ask.with("mostly", mostly) }
}
