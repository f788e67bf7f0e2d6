//! Data contracts, the form of Soda 4.

use serde_json::{Map, Value};

use super::super::Imported;
use super::super::ask::{Ask, condition};
use super::super::names::column_type;
use super::super::tree::{Data, Fields, Node, Read, shown};
use super::threshold::Threshold;
use super::validity::{Validity, of_rows};
use super::{Variables, statistic};
use crate::Suite;

pub(super) fn read(top: &Node, variables: &Variables, imported: &mut Imported) -> Read<()> {
    let mut fields = top.fields()?;
    let dataset = fields.need("dataset")?.text()?;
    let name = dataset.rsplit('/').next().unwrap_or(dataset);
    let mut suite = Suite::new(name);
    let mut described = Vec::new();
    let mut optional = false;
    let filter = match fields.given("filter") {
        Some(node) => Some(condition(&variables.put_in(node.text()?, node)?, &node.at)?),
        None => None,
    };
    let mut reader = Reader { variables, suite: &mut suite, imported, filter };
    if let Some(columns) = fields.given("columns") {
        for node in columns.list()? {
            let mut of = node.fields()?;
            let column = of.need("name")?.text()?;
            let mut known = Map::from_iter([("name".to_owned(), Value::from(column))]);
            if let Some(node) = of.given("data_type") {
                match column_type(node.text()?) {
                    Some(ours) => {
                        known.insert("type".into(), ours.into());
                    }
                    None => {
                        reader.refuse(node, "data_type", "no type of Arrow is known to be this");
                    }
                }
            }
            if of.flag("optional")? {
                optional = true;
            } else {
                described.push(Value::Object(known));
            }
            // Rules beside the checks hold for all checks of the column.
            let shared: Vec<_> = of
                .left()
                .filter(|(key, _)| {
                    ["valid_", "invalid_", "missing_"].iter().any(|p| key.starts_with(p))
                })
                .map(|(key, node)| (key.to_owned(), node))
                .collect();
            for (key, node) in shared {
                reader.refuse(node, &key, "rules of a column are read inside of its checks only");
                of.take(&key);
            }
            if let Some(node) = of.given("checks") {
                reader.checks(node, Some(column), None)?;
            }
            for (key, node) in of.left() {
                reader.imported.keep(name, &format!("{column}.{key}"), node.kept());
            }
        }
    }
    if let Some(node) = fields.given("checks") {
        reader.checks(node, None, Some((&described, optional)))?;
    }
    fields.take("variables");
    for (key, node) in fields.left() {
        reader.imported.keep(name, key, node.kept());
    }
    imported.suites.push(suite);
    Ok(())
}

struct Reader<'a> {
    variables: &'a Variables,
    suite: &'a mut Suite,
    imported: &'a mut Imported,
    filter: Option<String>,
}

impl Reader<'_> {
    fn refuse(&mut self, node: &Node, what: &str, why: &str) {
        self.imported.refused.push(node.wrong(why).named(what));
    }

    fn checks(
        &mut self,
        list: &Node,
        column: Option<&str>,
        described: Option<(&[Value], bool)>,
    ) -> Read<()> {
        for node in list.list()? {
            let (kind, config) = match &node.data {
                Data::Text(kind) => (kind.as_str(), None),
                Data::Map(all) => match all.as_slice() {
                    [(kind, config)] => (kind.as_str(), Some(config).filter(|c| !c.is_null())),
                    _ => return Err(node.wrong("expected one check")),
                },
                _ => return Err(node.wrong("expected a check")),
            };
            let asks = self.check(kind, node, config, column, described);
            let built = asks.and_then(|asks| {
                let build = |mut ask: Ask| {
                    ask.keep("check", kind);
                    if let Some(filter) = &self.filter {
                        ask.narrow(filter);
                    }
                    ask.build(&node.at)
                };
                asks.into_iter().map(build).collect::<Read<Vec<_>>>()
            });
            match built {
                Ok(built) => self.suite.expectations.extend(built),
                Err(wrong) => self.imported.refused.push(wrong.named(kind)),
            }
        }
        Ok(())
    }

    fn check(
        &mut self,
        kind: &str,
        node: &Node,
        config: Option<&Node>,
        column: Option<&str>,
        described: Option<(&[Value], bool)>,
    ) -> Read<Vec<Ask>> {
        let mut fields = config.map(Node::fields).transpose()?;
        let (threshold, percent, warns) = self.threshold(fields.as_mut())?;
        let need = || column.ok_or_else(|| node.wrong("a check of a column, and there is none"));
        let least = threshold.unwrap_or_else(|| Threshold::exactly(0.0));
        let given = || threshold.ok_or_else(|| node.wrong("no threshold says what it must be"));
        let metric = |name: &str| format!("{name}_{}", if percent { "percent" } else { "count" });
        let mut asks = match kind {
            "missing" | "invalid" => {
                let column = need()?;
                let validity = match &mut fields {
                    Some(fields) => Validity::read(column, fields)?,
                    None => Validity::default(),
                };
                of_rows(&metric(kind), column, &validity, least, node)?
            }
            "duplicate" => {
                let columns = match fields.as_mut().and_then(|f| f.given("columns")) {
                    Some(node) => node.texts()?.join(","),
                    None => need()?.to_owned(),
                };
                of_rows(&metric(kind), &columns, &Validity::default(), least, node)?
            }
            "row_count" => {
                // Without a threshold some row must be there.
                let threshold =
                    threshold.unwrap_or(Threshold { min: Some(1.0), ..Threshold::default() });
                vec![threshold.counts(Ask::new("row_count"), node)?]
            }
            "aggregate" => {
                let of = fields.as_mut().ok_or_else(|| node.wrong("nothing is asked of it"))?;
                let function = of.need("function")?;
                let ask = statistic(function.text()?, need()?);
                let ask = ask.ok_or_else(|| function.wrong("no such function is known"))?;
                vec![given()?.bounds(ask)]
            }
            "failed_rows" => {
                let of = fields.as_mut().ok_or_else(|| node.wrong("nothing is asked of it"))?;
                if let Some(node) = of.given("query") {
                    return Err(
                        node.wrong("queries are asked of a database, and there is none here")
                    );
                }
                if !least.is_no_row() {
                    return Err(node.wrong("a number of bad rows can't be asked for, only none"));
                }
                let node = of.need("expression")?;
                let bad = condition(&self.variables.put_in(node.text()?, node)?, &node.at)?;
                vec![Ask::new("satisfies").with("expression", format!("({bad}) IS NOT TRUE"))]
            }
            "schema" => {
                let (columns, optional) =
                    described.ok_or_else(|| node.wrong("a check of the table"))?;
                let (mut extra, mut any_order) = (false, false);
                if let Some(fields) = &mut fields {
                    extra = fields.flag("allow_extra_columns")?;
                    any_order = fields.flag("allow_other_column_order")?;
                }
                if optional && !extra {
                    let why = "more columns are let in, because some are optional";
                    self.refuse(node, "allow_extra_columns", why);
                }
                vec![
                    Ask::new("schema")
                        .with("columns", columns)
                        .with_flag("allow_extra", extra || optional)
                        .with_flag("ordered", !any_order),
                ]
            }
            _ => return Err(node.wrong("no check of this name can be said here")),
        };
        if let Some(fields) = &mut fields {
            if let Some(node) = fields.given("filter") {
                let filter = condition(&self.variables.put_in(node.text()?, node)?, &node.at)?;
                for ask in &mut asks {
                    ask.narrow(&filter);
                }
            }
            if let Some(node) = fields.given("name") {
                for ask in &mut asks {
                    ask.keep("name", node.kept());
                }
            }
            for key in ["qualifier", "attributes"] {
                if let Some(node) = fields.given(key) {
                    for ask in &mut asks {
                        ask.keep(key, node.kept());
                    }
                }
            }
            fields.done()?;
        }
        if warns {
            for ask in &mut asks {
                ask.put("severity", "warning");
            }
        }
        Ok(asks)
    }

    /// The threshold, whether it is of percents, and whether it only warns.
    fn threshold(&self, fields: Option<&mut Fields<'_>>) -> Read<(Option<Threshold>, bool, bool)> {
        let Some(node) = fields.and_then(|fields| fields.given("threshold")) else {
            return Ok((None, false, false));
        };
        let (mut threshold, mut any, mut percent, mut warns) =
            (Threshold::default(), false, false, false);
        let outside =
            |node: &Node| node.wrong("what lies outside of an interval can't be asked for");
        for (key, node) in node.entries()? {
            match key.as_str() {
                "metric" => percent = node.text()? == "percent",
                "level" => warns = node.text()? == "warn",
                "must_be_between" => {
                    any = true;
                    for (key, node) in node.entries()? {
                        let number = self.variables.number(node)?;
                        if !key.contains("than") || !threshold.must(key, number) {
                            return Err(node.wrong(format!("`{}` is not known here", shown(key))));
                        }
                    }
                }
                "must_not_be" | "must_be_not_between" => return Err(outside(node)),
                _ => {
                    any = true;
                    if !key.starts_with("must")
                        || !threshold.must(key, self.variables.number(node)?)
                    {
                        return Err(node.wrong(format!("`{}` is not known here", shown(key))));
                    }
                }
            }
        }
        Ok((any.then_some(threshold), percent, warns))
    }
}
