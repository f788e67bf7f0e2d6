//! Reads filters and orders, and says at which byte one stops making sense.

use mlops_core::{Error, Result};

use super::filter::{
    Attribute, DatasetPart, Field, FieldKind, Filter, Operator, Order, Test, time,
};
use super::limits::shown;

/// The longest filter, in bytes.
const FILTER_BYTES: usize = 1 << 16;
/// How deep parentheses and `NOT` may be nested.
const DEPTH: usize = 64;

pub(super) fn filter(text: &str) -> Result<Filter> {
    let mut parser = Parser::new("filter", text)?;
    if matches!(parser.token, Token::End) {
        return Ok(Filter::Everything);
    }
    let filter = parser.any(0)?;
    parser.end("`AND`, `OR` or the end")?;
    Ok(filter)
}

pub(super) fn order(text: &str) -> Result<Order> {
    let mut parser = Parser::new("order", text)?;
    let at = parser.at;
    let field = parser.field()?;
    if matches!(field, Field::Dataset(_)) {
        // A run may have several.
        return Err(parser.error(at, "a metric, a parameter, a tag or an attribute", "a dataset"));
    }
    let descending = parser.word("desc")?;
    if !descending {
        parser.word("asc")?;
    }
    parser.end("`ASC`, `DESC` or the end")?;
    Ok(Order { field, descending })
}

/// Whether a key with this character needs no quotes.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || "_-./:".contains(c)
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A name, a word of the language or a number.
    Word(String),
    /// `'…'`, `"…"` or a name in backticks, with its quote.
    Quoted(char, String),
    Compare(Operator),
    Open,
    Close,
    Comma,
    End,
}

impl Token {
    fn show(&self) -> String {
        match self {
            Self::Word(word) => shown(word),
            Self::Quoted('`', text) => format!("the name {}", shown(text)),
            Self::Quoted(_, text) => format!("the text '{:.60}'", text.escape_debug().to_string()),
            Self::Compare(how) => format!("`{how}`"),
            Self::Open => "`(`".into(),
            Self::Close => "`)`".into(),
            Self::Comma => "`,`".into(),
            Self::End => "the end".into(),
        }
    }
}

struct Parser<'a> {
    what: &'static str,
    text: &'a str,
    /// The token that is looked at, and where it starts and ends.
    token: Token,
    at: usize,
    next: usize,
}

impl<'a> Parser<'a> {
    fn new(what: &'static str, text: &'a str) -> Result<Self> {
        let mut parser = Self { what, text, token: Token::End, at: 0, next: 0 };
        if text.len() > FILTER_BYTES {
            let most = format!("at most {FILTER_BYTES} bytes");
            return Err(parser.error(FILTER_BYTES, most, format!("{} bytes", text.len())));
        }
        parser.advance()?;
        Ok(parser)
    }

    fn error(&self, at: usize, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::Decode {
            what: self.what.into(),
            offset: at as u64,
            expected: expected.into(),
            found: found.into(),
        }
    }

    fn unexpected(&self, expected: impl Into<String>) -> Error {
        self.error(self.at, expected, self.token.show())
    }

    fn end(&self, expected: &str) -> Result<()> {
        if self.token == Token::End { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    /// Looks at the next token and gives the one before.
    fn advance(&mut self) -> Result<Token> {
        let rest = &self.text[self.next..];
        let blank = rest.len() - rest.trim_start().len();
        let at = self.next + blank;
        let rest = &rest[blank..];
        let compare = |how, n| (Token::Compare(how), n);
        let mut chars = rest.chars();
        let (token, n) = match (chars.next(), chars.next()) {
            (None, _) => (Token::End, 0),
            (Some('('), _) => (Token::Open, 1),
            (Some(')'), _) => (Token::Close, 1),
            (Some(','), _) => (Token::Comma, 1),
            (Some('='), Some('=')) => compare(Operator::Equal, 2),
            (Some('='), _) => compare(Operator::Equal, 1),
            (Some('!'), Some('=')) | (Some('<'), Some('>')) => compare(Operator::NotEqual, 2),
            (Some('<'), Some('=')) => compare(Operator::LessOrEqual, 2),
            (Some('<'), _) => compare(Operator::Less, 1),
            (Some('>'), Some('=')) => compare(Operator::GreaterOrEqual, 2),
            (Some('>'), _) => compare(Operator::Greater, 1),
            (Some(quote @ ('\'' | '"' | '`')), _) => {
                let (text, n) = unquote(rest, quote).ok_or_else(|| {
                    self.error(self.text.len(), format!("a closing {quote}"), "the end")
                })?;
                (Token::Quoted(quote, text), n)
            }
            (Some(c), _) if is_word(c) || c == '+' => {
                let n = rest.find(|c| !is_word(c) && c != '+').unwrap_or(rest.len());
                (Token::Word(rest[..n].to_owned()), n)
            }
            (Some(c), _) => {
                let expected = match c {
                    '&' => "`AND`",
                    '|' => "`OR`",
                    _ => "a name, a value or an operator",
                };
                return Err(self.error(at, expected, shown(&c.to_string())));
            }
        };
        self.at = at;
        self.next = at + n;
        Ok(std::mem::replace(&mut self.token, token))
    }

    /// Takes this word of the language, if it is next.
    fn word(&mut self, word: &str) -> Result<bool> {
        let found = matches!(&self.token, Token::Word(w) if w.eq_ignore_ascii_case(word));
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn any(&mut self, depth: usize) -> Result<Filter> {
        let mut parts = vec![self.all(depth)?];
        while self.word("or")? {
            parts.push(self.all(depth)?);
        }
        Ok(one_or(parts, Filter::Or))
    }

    fn all(&mut self, depth: usize) -> Result<Filter> {
        let mut parts = vec![self.one(depth)?];
        while self.word("and")? {
            parts.push(self.one(depth)?);
        }
        Ok(one_or(parts, Filter::And))
    }

    fn one(&mut self, depth: usize) -> Result<Filter> {
        if depth > DEPTH {
            return Err(self.unexpected(format!("at most {DEPTH} levels")));
        }
        if self.word("not")? {
            return Ok(Filter::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.token == Token::Open {
            self.advance()?;
            let inner = self.any(depth + 1)?;
            if self.token != Token::Close {
                return Err(self.unexpected("`AND`, `OR` or `)`"));
            }
            self.advance()?;
            return Ok(inner);
        }
        let field = self.field()?;
        let test = self.test(&field)?;
        Ok(Filter::Is(field, test))
    }

    fn field(&mut self) -> Result<Field> {
        const EXPECTED: &str = "`metrics.…`, `params.…`, `tags.…`, `datasets.…` or an attribute";
        let at = self.at;
        let Token::Word(word) = &self.token else { return Err(self.unexpected(EXPECTED)) };
        let word = word.clone();
        let (kind, key) = word.split_once('.').unwrap_or(("attributes", &word));
        let kind = kind.to_ascii_lowercase();
        let dotted = word.contains('.');
        let end = self.next;
        self.advance()?;
        let key = match &self.token {
            // `metrics."a key"`: nothing between the dot and the quote.
            Token::Quoted(quote, text)
                if dotted && key.is_empty() && self.at == end && *quote != '\'' =>
            {
                let key = text.clone();
                self.advance()?;
                key
            }
            _ if dotted && key.is_empty() => return Err(self.unexpected("a key after the dot")),
            _ => key.to_owned(),
        };
        let named = |names: Vec<&str>| format!("one of {}", names.join(", "));
        match kind.as_str() {
            "metrics" | "metric" => Ok(Field::Metric(key)),
            "params" | "param" | "parameters" | "parameter" => Ok(Field::Param(key)),
            // Who writes MLflow's name asks for what every run has here.
            "tags" | "tag" if key == "mlflow.parentRunId" => {
                Ok(Field::Attribute(Attribute::Parent))
            }
            "tags" | "tag" if key == "mlflow.runName" => Ok(Field::Attribute(Attribute::Name)),
            "tags" | "tag" => Ok(Field::Tag(key)),
            "attributes" | "attribute" | "attr" | "run" => {
                let lower = key.to_ascii_lowercase();
                let found = Attribute::NAMES.iter().find(|(name, _)| *name == lower);
                let names = || Attribute::NAMES.iter().take(9).map(|(name, _)| *name).collect();
                let expected = || if dotted { named(names()) } else { EXPECTED.to_owned() };
                let found = found.ok_or_else(|| self.error(at, expected(), shown(&word)))?;
                Ok(Field::Attribute(found.1))
            }
            "datasets" | "dataset" => {
                let found = DatasetPart::NAMES.iter().find(|(name, _)| *name == key);
                let names = || DatasetPart::NAMES.iter().map(|(name, _)| *name).collect();
                let found = found.ok_or_else(|| self.error(at, named(names()), shown(&key)))?;
                Ok(Field::Dataset(found.1))
            }
            _ => Err(self.error(at, EXPECTED, shown(&word))),
        }
    }

    fn test(&mut self, field: &Field) -> Result<Test> {
        if self.word("is")? {
            let negated = self.word("not")?;
            return if self.word("null")? {
                Ok(Test::Null { negated })
            } else {
                Err(self.unexpected("`NULL`"))
            };
        }
        let kind = field.kind();
        let expected = match kind {
            FieldKind::Text => "`=`, `!=`, `LIKE`, `ILIKE`, `IN` or `IS NULL`",
            _ => "`=`, `!=`, `<`, `<=`, `>`, `>=` or `IS NULL`",
        };
        if kind == FieldKind::Text {
            let negated = self.word("not")?;
            for (word, ignore_case) in [("like", false), ("ilike", true)] {
                if self.word(word)? {
                    let pattern = self.text()?;
                    return Ok(Test::Like { pattern, ignore_case, negated });
                }
            }
            if self.word("in")? {
                return Ok(Test::In { values: self.list()?, negated });
            }
            if negated {
                return Err(self.unexpected("`LIKE`, `ILIKE` or `IN`"));
            }
        }
        let equality = |how| matches!(how, Operator::Equal | Operator::NotEqual);
        match self.token {
            Token::Compare(how) if kind != FieldKind::Text || equality(how) => {
                self.advance()?;
                match kind {
                    FieldKind::Text => Ok(Test::Text(how, self.text()?)),
                    FieldKind::Number => Ok(Test::Number(how, self.number()?)),
                    FieldKind::Time => Ok(Test::Time(how, self.time()?)),
                }
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    fn text(&mut self) -> Result<String> {
        match &self.token {
            Token::Quoted('\'' | '"', _) => match self.advance()? {
                Token::Quoted(_, text) => Ok(text),
                _ => Ok(String::new()),
            },
            Token::Word(word) => Err(self.unexpected(format!(
                "a text in quotes, as '{:.60}'",
                word.escape_debug().to_string()
            ))),
            _ => Err(self.unexpected("a text in quotes")),
        }
    }

    fn list(&mut self) -> Result<Vec<String>> {
        if self.token != Token::Open {
            return Err(self.unexpected("`(`"));
        }
        let mut values = Vec::new();
        loop {
            self.advance()?;
            values.push(self.text()?);
            match self.token {
                Token::Comma => {}
                Token::Close => break,
                _ => return Err(self.unexpected("`,` or `)`")),
            }
        }
        self.advance()?;
        Ok(values)
    }

    fn number(&mut self) -> Result<f64> {
        let number = match &self.token {
            Token::Word(word) => word.parse::<f64>().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| self.unexpected("a number"))?;
        self.advance()?;
        Ok(number)
    }

    fn time(&mut self) -> Result<i64> {
        let millis = match &self.token {
            Token::Word(word) => word.parse::<i64>().ok(),
            Token::Quoted('\'' | '"', text) => time(text),
            _ => None,
        };
        let millis = millis.ok_or_else(|| {
            self.unexpected("milliseconds since 1970, or a time as '2026-01-31T12:00:00Z'")
        })?;
        self.advance()?;
        Ok(millis)
    }
}

fn one_or(mut parts: Vec<Filter>, many: impl FnOnce(Vec<Filter>) -> Filter) -> Filter {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            many(parts)
        }
    }
}

/// The text in quotes at the front, a doubled quote standing for one, and how many bytes it took.
fn unquote(text: &str, quote: char) -> Option<(String, usize)> {
    let mut out = String::new();
    let mut at = quote.len_utf8();
    loop {
        let n = text[at..].find(quote)?;
        out.push_str(&text[at..at + n]);
        at += n + quote.len_utf8();
        if !text[at..].starts_with(quote) {
            return Some((out, at));
        }
        out.push(quote);
        at += quote.len_utf8();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mlflows_filters_are_understood() {
        for (text, printed) in [
            ("", ""),
            ("  ", ""),
            ("metrics.auc>0.8", "metrics.auc > 0.8"),
            ("metric.`val loss` <= -1e-3", "metrics.`val loss` <= -0.001"),
            ("metrics.\"m 1\"= 1", "metrics.`m 1` = 1.0"),
            ("metrics.a.b/c:d-e < inf", "metrics.a.b/c:d-e < inf"),
            ("params.lr = \"it's\"", "params.lr = 'it''s'"),
            ("tags.mlflow.source != 'x'", "tags.mlflow.source != 'x'"),
            ("attribute.Status='RUNNING'", "attributes.status = 'RUNNING'"),
            ("run_name ILIKE '%a%'", "attributes.run_name ILIKE '%a%'"),
            ("attributes.start_time >= 1664067852747", "attributes.start_time >= 1664067852747"),
            ("end_time<'1970-01-01T00:00:01Z'", "attributes.end_time < 1000"),
            ("run_id in ('a',\"b\")", "attributes.run_id IN ('a', 'b')"),
            ("dataset.name not in ('x')", "datasets.name NOT IN ('x')"),
            ("tags.a is not null and params.b IS NULL", "tags.a IS NOT NULL AND params.b IS NULL"),
            (
                "tags.a='1' or tags.b='2' and not tags.c='3'",
                "tags.a = '1' OR tags.b = '2' AND NOT tags.c = '3'",
            ),
            (
                "(tags.a='1' or tags.b='2') and tags.c<>'3'",
                "(tags.a = '1' OR tags.b = '2') AND tags.c != '3'",
            ),
            ("((metrics.a == 1))", "metrics.a = 1.0"),
        ] {
            let filter = filter(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(filter.to_string(), printed);
        }
    }

    #[test]
    fn errors_say_where_and_what() {
        for (text, message) in [
            (
                "metrics.auc",
                "byte 11: expected `=`, `!=`, `<`, `<=`, `>`, `>=` or `IS NULL`, found the end",
            ),
            ("metrics.auc > '1'", "byte 14: expected a number, found the text '1'"),
            ("metrics.auc > 1 2", "byte 16: expected `AND`, `OR` or the end, found `2`"),
            ("metrics. x > 1", "byte 9: expected a key after the dot, found `x`"),
            ("params.x = 1", "byte 11: expected a text in quotes, as '1', found `1`"),
            ("name = 'x' && user = 'y'", "byte 11: expected `AND`, found `&`"),
            ("name = 'x' || user = 'y'", "byte 11: expected `OR`, found `|`"),
            (
                "params.x < '1'",
                "byte 9: expected `=`, `!=`, `LIKE`, `ILIKE`, `IN` or `IS NULL`, found `<`",
            ),
            ("params.x = 'a", "byte 13: expected a closing ', found the end"),
            ("params.x in ()", "byte 13: expected a text in quotes, found `)`"),
            ("params.x in 'a'", "byte 12: expected `(`, found the text 'a'"),
            ("(params.x = 'a'", "byte 15: expected `AND`, `OR` or `)`, found the end"),
            ("params.x is 1", "byte 12: expected `NULL`, found `1`"),
            ("params.x not 1", "byte 13: expected `LIKE`, `ILIKE` or `IN`, found `1`"),
            (
                "size > 1",
                "byte 0: expected `metrics.…`, `params.…`, `tags.…`, `datasets.…` or an attribute, found `size`",
            ),
            ("datasets.size = '1'", "byte 0: expected one of name, digest, context, found `size`"),
            (
                "start_time > 'noon'",
                "byte 13: expected milliseconds since 1970, or a time as '2026-01-31T12:00:00Z', found the text 'noon'",
            ),
            ("metrics.a > 1; drop", "byte 13: expected a name, a value or an operator, found `;`"),
        ] {
            let error = filter(text).expect_err(text);
            assert_eq!(error.to_string(), format!("filter, {message}"), "{text}");
        }
        let deep = format!("{}metrics.a > 1", "not ".repeat(100));
        assert!(filter(&deep).is_err(), "bounded recursion");
        assert!(filter(&"(".repeat(60_000)).is_err(), "bounded recursion");
        assert!(filter(&" ".repeat(FILTER_BYTES + 1)).is_err(), "bounded length");
    }

    #[test]
    fn orders() {
        for (text, printed) in [
            ("metrics.auc DESC", "metrics.auc DESC"),
            ("start_time", "attributes.start_time"),
            ("params.`a b` asc", "params.`a b`"),
        ] {
            assert_eq!(order(text).expect(text).to_string(), printed);
        }
        for bad in ["", "metrics.a down", "datasets.name", "metrics.a desc asc"] {
            assert!(order(bad).is_err(), "{bad}");
        }
    }
}
