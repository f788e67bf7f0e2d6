//! Rulesets in the Data Quality Definition Language.

mod parse;

use std::collections::BTreeMap;

use mlops_core::Result;
use serde_json::{Value, json};

use super::Imported;
use super::ask::{Ask, condition};
use super::names::column_type;
use super::tree::{Read, Wrong, shown};
use crate::Suite;
use parse::{Rule, Tree, Word};

/// Reads a ruleset in DQDL, the language of AWS Glue Data Quality and deequ.
///
/// A rule becomes an expectation, rules joined by `and` several; `where` is read as SQL, and `with
/// threshold` becomes the share of rows. `between` leaves both ends out. As the service documents
/// it, a row without a value fails a rule of `ColumnValues`, but for `!=` and `not in`. Rules
/// joined by `or`, terms with earlier runs (`last`), times (`now`), queries, files and labels are
/// refused.
///
/// # Errors
/// [`mlops_core::Error::Decode`] with line and byte of a text that is no ruleset.
pub fn dqdl(text: &str) -> Result<Imported> {
    let ruleset = parse::parse(text)?;
    let mut imported = Imported::default();
    let mut suite = Suite::new("rules");
    let mut refuse = |place: &dyn std::fmt::Display, what: &str, why: &str| {
        let wrong = Wrong { place: place.to_string(), why: why.into() };
        imported.refused.push(wrong.named(what));
    };
    for (at, name) in &ruleset.blocks {
        refuse(at, name, "it says nothing of the data");
    }
    for (at, kind) in &ruleset.analyzers {
        refuse(at, kind, "an analyzer asks for no verdict");
    }
    for rule in &ruleset.rules {
        take(rule, &ruleset.variables, &mut suite, &mut imported);
    }
    imported.suites.push(suite);
    Ok(imported)
}

/// The depth is that of the parser.
fn take(
    rule: &Tree,
    variables: &BTreeMap<String, Vec<Word>>,
    suite: &mut Suite,
    imported: &mut Imported,
) {
    match rule {
        Tree::All(parts) => parts.iter().for_each(|part| take(part, variables, suite, imported)),
        Tree::Any(at) => {
            let why = "one rule or another can't be asked for".into();
            imported.refused.push(Wrong { place: at.to_string(), why }.named("or"));
        }
        Tree::One(rule) => {
            for tag in &rule.tags {
                let why = "it is not known here".into();
                imported.refused.push(Wrong { place: rule.at.to_string(), why }.named(tag));
            }
            let built = read(rule, variables).and_then(|asks| {
                asks.into_iter().map(|ask| ask.build(&rule.at)).collect::<Read<Vec<_>>>()
            });
            match built {
                Ok(built) => suite.expectations.extend(built),
                Err(wrong) => imported.refused.push(wrong.named(rule.kind.as_str())),
            }
        }
    }
}

/// A value that a rule compares with.
#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Value(Value),
    Null,
    Empty,
    Blank,
}

/// What a rule compares with.
#[derive(Clone, Debug, PartialEq)]
enum Condition {
    Nothing,
    Compare(&'static str, Operand),
    Between(bool, Value, Value),
    In(bool, Vec<Operand>),
    Matches(bool, String),
}

impl Rule {
    fn wrong(&self, why: impl Into<String>) -> Wrong {
        Wrong { place: self.at.to_string(), why: why.into() }
    }

    fn operand(&self, words: &[Word]) -> Read<Operand> {
        let number = |digits: &str, sign: &str| {
            let number = serde_json::from_str::<Value>(&format!("{sign}{digits}")).ok();
            let number = number.map(Operand::Value);
            number.ok_or_else(|| self.wrong(format!("`{}` is no number", shown(digits))))
        };
        match words {
            [Word::Number(digits)] => number(digits, ""),
            [Word::Symbol("-"), Word::Number(digits)] => number(digits, "-"),
            [Word::Quoted(text)] => Ok(Operand::Value(text.as_str().into())),
            [Word::Name(name)] if name == "NULL" => Ok(Operand::Null),
            [Word::Name(name)] if name == "EMPTY" => Ok(Operand::Empty),
            [Word::Name(name)] if name == "WHITESPACES_ONLY" => Ok(Operand::Blank),
            _ if words.iter().any(|w| w.is("last")) => {
                Err(self.wrong("what needs earlier runs can't be asked for"))
            }
            _ if words.iter().any(|w| w.is("now")) => {
                Err(self.wrong("what needs the time of the run can't be asked for"))
            }
            _ => Err(self.wrong("only a number or a text can be compared with")),
        }
    }

    fn number(&self, words: &[Word]) -> Read<Value> {
        match self.operand(words)? {
            Operand::Value(value) => Ok(value),
            _ => Err(self.wrong("NULL and EMPTY are no bounds")),
        }
    }

    fn condition(
        &self,
        words: &[Word],
        variables: &BTreeMap<String, Vec<Word>>,
    ) -> Read<Condition> {
        // A variable stands for its value.
        let mut words = words.to_vec();
        if let Some(at) = words.iter().position(|w| *w == Word::Symbol("$")) {
            let Some(Word::Name(name)) = words.get(at + 1) else {
                return Err(self.wrong("expected the name of a variable"));
            };
            let value = variables.get(name);
            let value = value
                .ok_or_else(|| self.wrong(format!("variable `{}` has no value", shown(name))))?;
            if value.contains(&Word::Symbol("$")) {
                return Err(self.wrong("a variable of a variable can't be read"));
            }
            words.splice(at..at + 2, value.iter().cloned());
        }
        let (negated, words) = match words.as_slice() {
            [first, rest @ ..] if first.is("not") => (true, rest),
            words => (false, words),
        };
        match words {
            [] => Ok(Condition::Nothing),
            [Word::Symbol(operator), rest @ ..] => {
                Ok(Condition::Compare(operator, self.operand(rest)?))
            }
            [first, rest @ ..] if first.is("between") => {
                let and = rest.iter().position(|w| w.is("and")).unwrap_or(rest.len());
                let (low, high) = rest.split_at(and);
                let high = self.number(high.get(1..).unwrap_or_default())?;
                Ok(Condition::Between(!negated, self.number(low)?, high))
            }
            [first, rest @ ..] if first.is("in") => {
                let inner = match rest {
                    [Word::Symbol("["), inner @ .., Word::Symbol("]")] => inner,
                    other => other,
                };
                let values = inner.split(|w| *w == Word::Symbol(","));
                Ok(Condition::In(!negated, values.map(|v| self.operand(v)).collect::<Read<_>>()?))
            }
            [first, Word::Quoted(regex)] if first.is("matches") => {
                Ok(Condition::Matches(!negated, regex.clone()))
            }
            _ => Err(self.wrong("a condition that can't be read")),
        }
    }

    fn column(&self) -> Read<&str> {
        match self.parameters.as_slice() {
            [column] => Ok(column),
            _ => Err(self.wrong(format!("expected one column, found {}", self.parameters.len()))),
        }
    }

    /// Bounds of a statistic.
    fn bounds(&self, ask: Ask, condition: &Condition) -> Read<Ask> {
        let value = |operand: &Operand| match operand {
            Operand::Value(value) => Ok(value.clone()),
            _ => Err(self.wrong("NULL and EMPTY are no bounds")),
        };
        Ok(match condition {
            Condition::Compare("=", v) => ask.with("min", value(v)?).with("max", value(v)?),
            Condition::Compare(">", v) => ask.with("min", value(v)?).with("strict_min", true),
            Condition::Compare(">=", v) => ask.with("min", value(v)?),
            Condition::Compare("<", v) => ask.with("max", value(v)?).with("strict_max", true),
            Condition::Compare("<=", v) => ask.with("max", value(v)?),
            Condition::Between(true, low, high) => ask
                .with("min", low.clone())
                .with("max", high.clone())
                .with("strict_min", true)
                .with("strict_max", true),
            _ => return Err(self.wrong("only one interval can be asked for")),
        })
    }

    /// Bounds of a count, both included.
    fn counts(&self, ask: Ask, condition: &Condition) -> Read<Ask> {
        let count = |value: &Value, step: f64, up: bool| {
            let number = value.as_f64().map(|n| match (up, step != 0.0) {
                (true, false) => n.ceil(),
                (true, true) => n.floor() + 1.0,
                (false, false) => n.floor(),
                (false, true) => n.ceil() - 1.0,
            });
            let number = if up { number.map(|n| n.max(0.0)) } else { number };
            let number = number.filter(|n| (0.0..9e15).contains(n));
            number.map(|n| n as u64).ok_or_else(|| self.wrong("no count is there"))
        };
        let one = |operand: &Operand, step: f64, up: bool| match operand {
            Operand::Value(value) => count(value, step, up),
            _ => Err(self.wrong("no count is there")),
        };
        Ok(match condition {
            Condition::Compare("=", v) => {
                ask.with("min", one(v, 0.0, true)?).with("max", one(v, 0.0, false)?)
            }
            Condition::Compare(">", v) => ask.with("min", one(v, 1.0, true)?),
            Condition::Compare(">=", v) => ask.with("min", one(v, 0.0, true)?),
            Condition::Compare("<", v) => ask.with("max", one(v, 1.0, false)?),
            Condition::Compare("<=", v) => ask.with("max", one(v, 0.0, false)?),
            Condition::Between(true, low, high) => {
                ask.with("min", count(low, 1.0, true)?).with("max", count(high, 1.0, false)?)
            }
            _ => return Err(self.wrong("only one interval can be asked for")),
        })
    }

    /// The share of rows that must be good.
    fn share(&self, condition: &Condition) -> Read<f64> {
        let (operator, share) = match condition {
            Condition::Nothing => return Ok(1.0),
            Condition::Compare(operator, Operand::Value(share)) => (*operator, share.as_f64()),
            _ => ("", None),
        };
        match (operator, share.filter(|s| (0.0..=1.0).contains(s))) {
            (">=", Some(share)) => Ok(share),
            (">", Some(share)) if share < 1.0 => Ok(share.next_up()),
            ("=", Some(1.0)) => Ok(1.0),
            _ => Err(self.wrong("only a least share of rows can be asked for")),
        }
    }
}

fn read(rule: &Rule, variables: &BTreeMap<String, Vec<Word>>) -> Read<Vec<Ask>> {
    let condition_of_rule = rule.condition(&rule.condition, variables)?;
    let threshold = rule.condition(&rule.threshold, variables)?;
    let mut asks = asks(rule, &condition_of_rule)?;
    let nothing = Condition::Nothing;
    let takes_none = ["ColumnExists", "IsComplete", "IsUnique", "IsPrimaryKey"];
    if takes_none.contains(&rule.kind.as_str()) && condition_of_rule != nothing {
        return Err(rule.wrong("it takes no condition"));
    }
    if threshold != nothing {
        let share = rule.share(&threshold)?;
        if !matches!(rule.kind.as_str(), "ColumnValues" | "ColumnLength") {
            return Err(rule.wrong("its rows have no threshold"));
        }
        for ask in &mut asks {
            ask.put("mostly", share);
        }
    }
    if let Some(text) = &rule.narrowed {
        let condition = condition(text, &rule.at)?;
        for ask in &mut asks {
            ask.narrow(&condition);
        }
    }
    Ok(asks)
}

fn asks(rule: &Rule, condition: &Condition) -> Read<Vec<Ask>> {
    let statistic = |kind: &str| rule.bounds(Ask::of(kind, rule.column()?), condition);
    let unique = || match rule.parameters.as_slice() {
        [] => Err(rule.wrong("no column")),
        [column] => Ok(Ask::of("unique", column)),
        columns => Ok(Ask::new("compound_unique").with("columns", columns)),
    };
    Ok(match rule.kind.as_str() {
        "RowCount" => vec![rule.counts(Ask::new("row_count"), condition)?],
        "ColumnCount" => vec![rule.counts(Ask::new("column_count"), condition)?],
        "ColumnExists" => {
            let columns = json!([{"name": rule.column()?}]);
            vec![Ask::new("schema").with("columns", columns).with("allow_extra", true)]
        }
        "IsComplete" => vec![Ask::of("not_null", rule.column()?)],
        "Completeness" => vec![statistic("completeness")?],
        "IsUnique" => vec![unique()?],
        "IsPrimaryKey" => {
            let mut asks = vec![unique()?];
            asks.extend(rule.parameters.iter().map(|column| Ask::of("not_null", column)));
            asks
        }
        "Uniqueness" => vec![statistic("uniqueness")?],
        "UniqueValueRatio" => vec![statistic("unique_value_ratio")?],
        "DistinctValuesCount" => {
            vec![rule.counts(Ask::of("unique_count", rule.column()?), condition)?]
        }
        "Entropy" => vec![statistic("entropy")?],
        "Mean" => vec![statistic("mean")?],
        "Sum" => vec![statistic("sum")?],
        "StandardDeviation" => vec![statistic("stdev")?.with("population", true)],
        "ColumnCorrelation" => match rule.parameters.as_slice() {
            columns @ [_, _] => {
                vec![rule.bounds(Ask::new("correlation").with("columns", columns), condition)?]
            }
            _ => return Err(rule.wrong("expected two columns")),
        },
        "ColumnLength" => {
            let ask = Ask::of("string_length", rule.column()?).with("nulls", "fail");
            vec![rule.counts(ask, condition)?]
        }
        "ColumnDataType" => {
            let Condition::Compare("=", Operand::Value(Value::String(name))) = condition else {
                return Err(rule.wrong("expected `= \"a type\"`"));
            };
            let ours = column_type(name);
            let ours = ours.ok_or_else(|| rule.wrong("no type of Arrow is known to be this"))?;
            vec![Ask::of("of_type", rule.column()?).with("type", ours)]
        }
        "ColumnValues" => values(rule, condition)?,
        "ReferentialIntegrity" => vec![reference(rule, condition)?],
        "RowCountMatch" => {
            if rule.share(condition)? != 1.0 {
                return Err(rule.wrong("only the same number of rows can be asked for"));
            }
            vec![Ask::new("row_count_equals_other").with("source", rule.column()?)]
        }
        "CustomSql" => {
            return Err(rule.wrong("queries are asked of a database, and there is none here"));
        }
        "DataFreshness" => {
            return Err(rule.wrong("what needs the time of the run can't be asked for"));
        }
        kind if kind.starts_with("File") => return Err(rule.wrong("it says nothing of a table")),
        kind if kind.starts_with("Detect") => {
            return Err(rule.wrong("what needs earlier runs can't be asked for"));
        }
        _ => return Err(rule.wrong("no rule of this kind can be said here")),
    })
}

fn values(rule: &Rule, condition: &Condition) -> Read<Vec<Ask>> {
    let column = rule.column()?;
    let of = |kind: &str, nulls: &str| Ask::of(kind, column).with("nulls", nulls);
    Ok(match condition {
        Condition::Compare("=", Operand::Null) => vec![Ask::of("is_null", column)],
        Condition::Compare("!=", Operand::Null) => vec![Ask::of("not_null", column)],
        Condition::Compare("=", value) => set(rule, true, std::slice::from_ref(value))?,
        Condition::Compare("!=", value) => set(rule, false, std::slice::from_ref(value))?,
        Condition::In(within, values) => set(rule, *within, values)?,
        Condition::Matches(true, regex) => {
            vec![of("matches_regex", "fail").with("regex", format!("^(?:{regex})$"))]
        }
        Condition::Matches(false, regex) => {
            vec![of("not_matches_regex", "fail").with("regex", format!("^(?:{regex})$"))]
        }
        Condition::Nothing => return Err(rule.wrong("nothing is asked of the values")),
        _ => vec![rule.bounds(of("in_range", "fail"), condition)?],
    })
}

/// A set, in which `NULL`, `EMPTY` and `WHITESPACES_ONLY` may stand.
fn set(rule: &Rule, within: bool, members: &[Operand]) -> Read<Vec<Ask>> {
    let column = rule.column()?;
    let has = |operand: &Operand| members.contains(operand);
    let values: Vec<Value> = members
        .iter()
        .filter_map(|member| match member {
            Operand::Value(value) => Some(value.clone()),
            Operand::Empty => Some("".into()),
            Operand::Null | Operand::Blank => None,
        })
        .collect();
    if within {
        if has(&Operand::Blank) {
            return Err(rule.wrong("a set with all blank texts can't be asked for"));
        }
        let nulls = if has(&Operand::Null) { "pass" } else { "fail" };
        return Ok(vec![Ask::of("in_set", column).with("values", values).with("nulls", nulls)]);
    }
    if has(&Operand::Null) && !rule.threshold.is_empty() {
        return Err(rule.wrong("a share of rows of two questions can't be asked for"));
    }
    let mut asks = Vec::new();
    if !values.is_empty() {
        asks.push(Ask::of("not_in_set", column).with("values", values).with("nulls", "pass"));
    }
    if has(&Operand::Blank) {
        asks.push(
            Ask::of("not_matches_regex", column).with("regex", r"^\s+$").with("nulls", "pass"),
        );
    }
    if has(&Operand::Null) {
        asks.push(Ask::of("not_null", column));
    }
    if asks.len() > 1 && !rule.threshold.is_empty() {
        return Err(rule.wrong("a share of rows of two questions can't be asked for"));
    }
    Ok(asks)
}

/// `"a,b" "table.{x,y}"`: the values of these columns are among those of the other table.
fn reference(rule: &Rule, condition: &Condition) -> Read<Ask> {
    let [columns, other] = rule.parameters.as_slice() else {
        return Err(rule.wrong("expected the columns, and those of the other source"));
    };
    let (source, keys) =
        other.split_once('.').ok_or_else(|| rule.wrong("expected `source.column`"))?;
    let keys = keys.strip_prefix('{').and_then(|k| k.strip_suffix('}')).unwrap_or(keys);
    let list = |text: &str| text.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>();
    let share = rule.share(condition)?;
    let ask = Ask::new("referential_integrity")
        .with("columns", list(columns))
        .with("source", source)
        .with("references", list(keys));
    Ok(if share == 1.0 { ask } else { ask.with("mostly", share) })
}
