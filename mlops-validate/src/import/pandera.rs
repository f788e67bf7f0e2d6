//! Schemas of pandera.

use mlops_core::{Error, Result};
use regex::escape;
use serde_json::{Map, Value, json};

use super::Imported;
use super::ask::Ask;
use super::names::column_type;
use super::tree::{Fields, Node, Read, Refused, Wrong, shown};
use crate::Suite;

const WHAT: &str = "schema of pandera";

/// Reads a schema of pandera, as its `to_yaml` and `to_json` write it.
///
/// A column becomes a place in a [`TableSchema`](crate::TableSchema), a
/// [`NotNull`](crate::NotNull) unless it is `nullable`, a [`Unique`](crate::Unique) if it is
/// `unique`, and an expectation for each of its checks; a named index is a column, as it is in
/// Arrow. What changes data (`coerce`, parsers, `drop_invalid_rows`) is refused, and with `coerce`
/// the type, which would be asked of changed data; so are columns by a pattern of their names, and
/// columns that need not be there.
///
/// # Errors
/// [`Error::Invalid`] for a text that is no YAML or JSON, or no schema.
pub fn pandera(text: &str) -> Result<Imported> {
    let node = Node::either(WHAT, text)?;
    let invalid = |w: Wrong| Error::invalid(WHAT, "a schema", format!("{}: {}", w.place, w.why));
    let mut fields = node.fields().map_err(invalid)?;
    let kind = fields.need("schema_type").and_then(Node::text).map_err(invalid)?;
    if !kind.ends_with("dataframe") {
        return Err(Error::invalid(
            WHAT,
            "the schema of a data frame",
            format!("`{}`", shown(kind)),
        ));
    }
    let name = match fields.given("name") {
        Some(name) => name.text().map_err(invalid)?,
        None => "schema",
    };
    let mut reader = Reader {
        suite: Suite::new(name),
        imported: Imported::default(),
        columns: Vec::new(),
        loose: false,
    };
    reader.imported.keep(name, "schema_type", kind.into());
    reader.schema(&mut fields).map_err(invalid)?;
    let Reader { suite, mut imported, .. } = reader;
    imported.suites.push(suite);
    Ok(imported)
}

struct Reader {
    suite: Suite,
    imported: Imported,
    /// Of each column its name and type, as a schema of ours has them.
    columns: Vec<Value>,
    /// Whether there may be columns that we don't know by name.
    loose: bool,
}

impl Reader {
    fn refuse(&mut self, refused: Refused) {
        self.imported.refused.push(refused);
    }

    fn push(&mut self, mut ask: Ask, node: &Node, what: &str) {
        ask.keep("check", what);
        match ask.build(&node.at) {
            Ok(expectation) => self.suite.expectations.push(expectation),
            Err(wrong) => self.refuse(wrong.named(what)),
        }
    }

    fn schema(&mut self, fields: &mut Fields<'_>) -> Read<()> {
        let coerce = fields.flag("coerce")?;
        let columns = fields.given("columns").map_or(Ok(&[] as &[_]), Node::entries)?;
        let frame_type = fields.given("dtype");
        for (column, node) in columns {
            self.column(column, node, coerce, frame_type)?;
        }
        if coerce {
            self.refuse(
                fields.of.wrong("data are not changed here; no type is asked").named("coerce"),
            );
        }
        if let Some(node) = fields.given("index") {
            for node in node.list()? {
                let named = node.fields()?.given("name");
                match named.map(Node::text).transpose()? {
                    Some(name) => self.column(name, node, coerce, None)?,
                    None => self.refuse(node.wrong("rows have no index in Arrow").named("index")),
                }
            }
        }
        if let Some(node) = fields.given("checks") {
            self.frame_checks(node)?;
        }
        if let Some(node) = fields.given("unique") {
            self.unique_together(node)?;
        }
        if let Some(node) = fields.given("multiindex") {
            let mut of = node.fields()?;
            if let Some(node) = of.given("unique") {
                self.unique_together(node)?;
            }
            for (key, node) in of.left().filter(|(_, node)| says(node)) {
                self.refuse(node.wrong("rows have no index in Arrow").named(key));
            }
        }

        let ordered = fields.flag("ordered")?;
        let strict = match fields.given("strict") {
            Some(node) if node.as_text() == Some("filter") => {
                self.refuse(
                    node.wrong("data are not changed here: no column is dropped").named("strict"),
                );
                false
            }
            Some(node) => node.bool()?,
            None => false,
        };
        if strict && self.loose {
            let why = "some columns are optional, or known by a pattern";
            self.refuse(fields.of.wrong(why).named("strict"));
        }
        if !self.columns.is_empty() {
            let columns = std::mem::take(&mut self.columns);
            let ask = Ask::new("schema")
                .with("columns", columns)
                .with_flag("allow_extra", !strict || self.loose)
                .with_flag("ordered", ordered);
            self.push(ask, fields.of, "columns");
        }

        let name = self.suite.name.clone();
        for key in ["title", "description", "metadata", "version", "api", "report_duplicates"] {
            if let Some(node) = fields.given(key) {
                self.imported.keep(&name, key, node.kept());
            }
        }
        for (key, node) in fields.left().filter(|(_, node)| says(node)) {
            let why = match key {
                "drop_invalid_rows" | "add_missing_columns" | "parsers" => {
                    "data are not changed here"
                }
                "unique_column_names" => "the names of columns can't be asked about",
                _ => "no key of a schema",
            };
            self.refuse(node.wrong(why).named(key));
        }
        Ok(())
    }

    fn unique_together(&mut self, node: &Node) -> Read<()> {
        let columns = node.texts()?;
        let ask = match columns.as_slice() {
            [] => return Ok(()),
            [one] => Ask::of("unique", one),
            _ => Ask::new("compound_unique").with("columns", columns).with("ignore_rows", "never"),
        };
        self.push(ask, node, "unique");
        Ok(())
    }

    fn frame_checks(&mut self, node: &Node) -> Read<()> {
        let columns: Vec<String> = self.names();
        for (check, node) in checks(node)? {
            for column in &columns {
                self.check(column, &check, node);
            }
            if self.loose {
                self.refuse(
                    node.wrong("not asked of columns that are optional, or known by a pattern")
                        .named(&check),
                );
            }
        }
        Ok(())
    }

    fn names(&self) -> Vec<String> {
        self.columns.iter().filter_map(|c| c["name"].as_str().map(str::to_owned)).collect()
    }

    fn column(
        &mut self,
        name: &str,
        node: &Node,
        coerce: bool,
        frame_type: Option<&Node>,
    ) -> Read<()> {
        let mut fields = node.fields()?;
        fields.take("name");
        if fields.flag("regex")? {
            self.loose = true;
            self.refuse(node.wrong("columns can't be named by a pattern").named(name));
            return Ok(());
        }
        if !fields.given("required").map_or(Ok(true), Node::bool)? {
            self.loose = true;
            self.refuse(
                node.wrong("a column that need not be there can't be asked about").named(name),
            );
            return Ok(());
        }
        let mut column = Map::from_iter([("name".to_owned(), Value::from(name))]);
        let own = fields.flag("coerce")?;
        if own {
            self.refuse(node.wrong("data are not changed here; no type is asked").named("coerce"));
        }
        let typed = fields.given("dtype").or(frame_type);
        if let Some(node) = typed.filter(|_| !own && !coerce) {
            let theirs = node.text()?;
            match column_type(theirs) {
                Some(ours) => {
                    column.insert("type".into(), ours.into());
                }
                None => {
                    self.refuse(node.wrong("no type of Arrow is known to be this").named(theirs));
                }
            }
        }
        self.columns.push(Value::Object(column));
        if !fields.flag("nullable")? {
            self.push(Ask::of("not_null", name), node, "nullable");
        }
        let mut meta = Vec::new();
        for key in ["title", "description", "metadata", "report_duplicates"] {
            if let Some(node) = fields.given(key) {
                meta.push((key, node.kept()));
            }
        }
        if fields.flag("unique")? {
            let mut ask = Ask::of("unique", name);
            for (key, value) in meta.drain(..) {
                ask.keep(key, value);
            }
            self.push(ask, node, "unique");
        }
        for (key, value) in meta {
            let suite = self.suite.name.clone();
            self.imported.keep(&suite, &format!("{name}.{key}"), value);
        }
        if let Some(node) = fields.given("checks") {
            for (check, node) in checks(node)? {
                self.check(name, &check, node);
            }
        }
        let left: Vec<_> = fields.left().collect();
        for (key, node) in left {
            match key {
                "parsers" | "drop_invalid_rows" | "default" if !says(node) => {}
                "parsers" | "drop_invalid_rows" | "default" => {
                    self.refuse(node.wrong("data are not changed here").named(key));
                }
                _ => self.check(name, key, node),
            }
        }
        Ok(())
    }

    fn check(&mut self, column: &str, check: &str, node: &Node) {
        match ask(column, check, node) {
            Ok(ask) => self.push(ask, node, check),
            Err(wrong) => self.refuse(wrong.named(check)),
        }
    }
}

/// Whether a key says anything but "no".
fn says(node: &Node) -> bool {
    use super::tree::Data;
    match &node.data {
        Data::Null | Data::Bool(false) => false,
        Data::List(items) => !items.is_empty(),
        _ => true,
    }
}

/// Checks by name, as a map or as a list of checks that tell their names.
fn checks(node: &Node) -> Read<Vec<(String, &Node)>> {
    use super::tree::Data;
    match &node.data {
        Data::Map(all) => Ok(all.iter().map(|(name, node)| (name.clone(), node)).collect()),
        Data::List(all) => all
            .iter()
            .map(|node| {
                let name = node.fields()?.need("options")?.fields()?.need("check_name")?.text()?;
                Ok((name.to_owned(), node))
            })
            .collect(),
        _ => Err(node.wrong("expected checks")),
    }
}

/// What a check compares with, and how it is to be reported.
struct Arguments<'a> {
    /// The only argument, where it is not named.
    bare: Option<&'a Node>,
    named: Option<Fields<'a>>,
}

impl<'a> Arguments<'a> {
    fn one(&mut self, names: &[&str], of: &Node) -> Read<&'a Node> {
        if let Some(node) = self.bare.take() {
            return Ok(node);
        }
        let named = self.named.as_mut();
        let found = named.and_then(|named| names.iter().find_map(|name| named.given(name)));
        found.ok_or_else(|| of.wrong(format!("`{}` is missing", names[0])))
    }

    fn named(&mut self, name: &str) -> Read<Option<Value>> {
        let node = self.named.as_mut().and_then(|named| named.given(name));
        node.map(Node::value).transpose()
    }

    fn yes(&mut self, name: &str) -> Read<bool> {
        let node = self.named.as_mut().and_then(|named| named.given(name));
        node.map_or(Ok(true), Node::bool)
    }
}

fn ask(column: &str, check: &str, node: &Node) -> Read<Ask> {
    use super::tree::Data;
    let mut args = match &node.data {
        Data::Map(_) => Arguments { bare: None, named: Some(node.fields()?) },
        _ => Arguments { bare: Some(node), named: None },
    };
    let one = &mut args;
    let text = |one: &mut Arguments<'_>, name: &str| Ok(one.one(&[name], node)?.text()?.to_owned());
    let regex = |pattern: String| Ask::of("matches_regex", column).with("regex", pattern);
    let list = |one: &mut Arguments<'_>, name: &str| {
        let node = one.one(&[name, "value"], node)?;
        node.list()?;
        node.value()
    };
    let range = || Ask::of("in_range", column);
    let mut ask = match check {
        "equal_to" | "eq" => {
            Ask::of("in_set", column).with("values", json!([one.one(&["value"], node)?.value()?]))
        }
        "not_equal_to" | "ne" => Ask::of("not_in_set", column)
            .with("values", json!([one.one(&["value"], node)?.value()?])),
        "greater_than" | "gt" => range()
            .with("min", one.one(&["min_value", "value"], node)?.value()?)
            .with("strict_min", true),
        "greater_than_or_equal_to" | "ge" => {
            range().with("min", one.one(&["min_value", "value"], node)?.value()?)
        }
        "less_than" | "lt" => range()
            .with("max", one.one(&["max_value", "value"], node)?.value()?)
            .with("strict_max", true),
        "less_than_or_equal_to" | "le" => {
            range().with("max", one.one(&["max_value", "value"], node)?.value()?)
        }
        "in_range" | "between" => range()
            .with_some("min", one.named("min_value")?)
            .with_some("max", one.named("max_value")?)
            .with_flag("strict_min", !one.yes("include_min")?)
            .with_flag("strict_max", !one.yes("include_max")?),
        "isin" => Ask::of("in_set", column).with("values", list(one, "allowed_values")?),
        "notin" => Ask::of("not_in_set", column).with("values", list(one, "forbidden_values")?),
        "unique_values_eq" => {
            Ask::of("distinct_equals_set", column).with("values", list(one, "values")?)
        }
        // `re.match`: from the beginning of the text.
        "str_matches" => regex(format!("^(?:{})", text(one, "pattern")?)),
        "str_contains" => regex(text(one, "pattern")?),
        "str_startswith" => regex(format!("^{}", escape(&text(one, "string")?))),
        "str_endswith" => regex(format!("{}$", escape(&text(one, "string")?))),
        "str_length" => {
            let ask = Ask::of("string_length", column);
            match one.named("exact_value")? {
                Some(exact) => ask.with("min", exact.clone()).with("max", exact),
                None => ask
                    .with_some("min", one.named("min_value")?)
                    .with_some("max", one.named("max_value")?),
            }
        }
        _ => return Err(node.wrong("no check of this name is known")),
    };
    let Some(mut named) = args.named else { return Ok(ask) };
    options(&mut named, &mut ask)?;
    if let Some(node) = named.given("options") {
        let mut named = node.fields()?;
        named.take("check_name");
        options(&mut named, &mut ask)?;
        named.done()?;
    }
    match named.left().find(|(_, node)| says(node)) {
        Some((key, node)) => Err(node.wrong(format!("`{}` is not known here", shown(key)))),
        None => Ok(ask),
    }
}

/// How a check is to be reported.
fn options(fields: &mut Fields<'_>, ask: &mut Ask) -> Read<()> {
    if fields.flag("raise_warning")? {
        ask.put("severity", "warning");
    }
    if !fields.given("ignore_na").map_or(Ok(true), Node::bool)? {
        ask.put("nulls", "fail");
    }
    if let Some(node) = fields.given("description") {
        ask.put("description", node.text()?);
    }
    for key in ["n_failure_cases", "error", "title", "name"] {
        if let Some(node) = fields.given(key) {
            ask.keep(key, node.kept());
        }
    }
    Ok(())
}
