//! Conditions as pandas' `query` and Great Expectations' `col("x")` write them, as SQL.
//!
//! In pandas a comparison with a missing value is false, and only `!=` and `not in` are true; so
//! each comparison is closed with `IS TRUE`, or says that the value may be missing.

use super::ask::name;

/// The deepest nesting that is read.
const MOST_DEPTH: usize = 32;

/// The condition as SQL, or what can't be read of it.
pub(super) fn to_sql(text: &str) -> Result<String, String> {
    if text.len() > 1 << 16 {
        return Err("a condition of more than 64 KiB".into());
    }
    let mut parser = Parser { words: words(text)?, at: 0, depth: 0 };
    let condition = parser.any()?;
    match parser.peek() {
        Word::End => Ok(condition),
        other => Err(format!("the condition goes on at {}", other.shown())),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Word {
    Name(String),
    Number(String),
    Text(String),
    Symbol(&'static str),
    End,
}

impl Word {
    fn shown(&self) -> String {
        match self {
            Self::Name(w) | Self::Number(w) | Self::Text(w) => {
                format!("`{}`", super::tree::shown(w))
            }
            Self::Symbol(w) => format!("`{w}`"),
            Self::End => "the end".into(),
        }
    }
}

const SYMBOLS: &[&str] =
    &["==", "!=", "<=", ">=", "<", ">", "(", ")", "[", "]", ",", ".", "&", "|", "~", "-"];

fn words(text: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let quoted = |closing: char| {
            let inner = &rest[1..];
            let end = inner.find(closing).ok_or_else(|| format!("`{closing}` is not closed"))?;
            if closing != '`' && inner[..end].contains('\\') {
                return Err("a text with `\\` can't be read".to_owned());
            }
            Ok((inner[..end].to_owned(), end + 2))
        };
        let (word, length) = match first {
            '"' | '\'' => {
                let (text, length) = quoted(first)?;
                (Word::Text(text), length)
            }
            '`' => {
                let (text, length) = quoted(first)?;
                (Word::Name(text), length)
            }
            c if c.is_alphabetic() || c == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                let end = end.unwrap_or(rest.len());
                (Word::Name(rest[..end].to_owned()), end)
            }
            c if c.is_ascii_digit() => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.');
                let end = end.unwrap_or(rest.len());
                let plain = rest[..end].parse::<f64>().is_ok();
                if !plain {
                    return Err(format!("`{}` is no number", super::tree::shown(&rest[..end])));
                }
                (Word::Number(rest[..end].to_owned()), end)
            }
            other => {
                let symbol = SYMBOLS.iter().find(|s| rest.starts_with(**s));
                let symbol = symbol.ok_or_else(|| format!("`{other}` can't be read"))?;
                (Word::Symbol(symbol), symbol.len())
            }
        };
        words.push(word);
        rest = rest[length..].trim_start();
    }
    Ok(words)
}

struct Parser {
    words: Vec<Word>,
    at: usize,
    depth: usize,
}

/// One side of a comparison.
struct Side {
    sql: String,
    is_column: bool,
}

impl Parser {
    fn peek(&self) -> &Word {
        self.words.get(self.at).unwrap_or(&Word::End)
    }

    fn next(&mut self) -> Word {
        let word = self.peek().clone();
        self.at += 1;
        word
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let is = matches!(self.peek(), Word::Symbol(s) if *s == symbol);
        self.at += usize::from(is);
        is
    }

    fn take_name(&mut self, name: &str) -> bool {
        let is = matches!(self.peek(), Word::Name(s) if s == name);
        self.at += usize::from(is);
        is
    }

    fn need(&mut self, symbol: &str) -> Result<(), String> {
        if self.take_symbol(symbol) {
            return Ok(());
        }
        Err(format!("expected `{symbol}`, found {}", self.peek().shown()))
    }

    fn any(&mut self) -> Result<String, String> {
        self.joined(["or", "|"], " OR ", Self::all)
    }

    fn all(&mut self) -> Result<String, String> {
        self.joined(["and", "&"], " AND ", Self::not)
    }

    fn joined(
        &mut self,
        [word, symbol]: [&str; 2],
        with: &str,
        part: fn(&mut Self) -> Result<String, String>,
    ) -> Result<String, String> {
        let mut parts = vec![part(self)?];
        while self.take_name(word) || self.take_symbol(symbol) {
            parts.push(part(self)?);
        }
        let whole = parts.join(with);
        Ok(if parts.len() > 1 { format!("({whole})") } else { whole })
    }

    fn not(&mut self) -> Result<String, String> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(format!("a condition more than {MOST_DEPTH} levels deep"));
        }
        let found = if self.take_name("not") || self.take_symbol("~") {
            format!("NOT ({})", self.not()?)
        } else if self.take_symbol("(") {
            let inner = self.any()?;
            self.need(")")?;
            format!("({inner})")
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(found)
    }

    fn comparison(&mut self) -> Result<String, String> {
        let left = self.side()?;
        if self.take_symbol(".") {
            let Word::Name(method) = self.next() else { return Err("expected a method".into()) };
            let condition = match method.as_str() {
                "isnull" | "isna" => format!("{} IS NULL", left.sql),
                "notnull" | "notna" | "notNull" => format!("{} IS NOT NULL", left.sql),
                other => return Err(format!("`{}` can't be read", super::tree::shown(other))),
            };
            self.need("(")?;
            self.need(")")?;
            return Ok(condition);
        }
        let negated = self.take_name("not");
        if self.take_name("in") {
            let list = self.list()?;
            let not = if negated { "NOT " } else { "" };
            return Ok(if negated {
                format!("({0} {not}IN ({list}) OR {0} IS NULL)", left.sql)
            } else {
                format!("({} IN ({list})) IS TRUE", left.sql)
            });
        }
        if negated {
            return Err("expected `in` after `not`".into());
        }
        let operator = match self.next() {
            Word::Symbol(s @ ("==" | "!=" | "<" | "<=" | ">" | ">=")) => s,
            other => return Err(format!("expected a comparison, found {}", other.shown())),
        };
        let right = self.side()?;
        if matches!(self.peek(), Word::Symbol("==" | "!=" | "<" | "<=" | ">" | ">=")) {
            return Err("a chain of comparisons can't be read".into());
        }
        let (a, b) = (&left.sql, &right.sql);
        Ok(match operator {
            "!=" => {
                let mut parts = vec![format!("{a} <> {b}")];
                for side in [&left, &right].into_iter().filter(|side| side.is_column) {
                    parts.push(format!("{} IS NULL", side.sql));
                }
                format!("({})", parts.join(" OR "))
            }
            "==" => format!("({a} = {b}) IS TRUE"),
            _ => format!("({a} {operator} {b}) IS TRUE"),
        })
    }

    fn list(&mut self) -> Result<String, String> {
        let closing = if self.take_symbol("[") {
            "]"
        } else {
            self.need("(")?;
            ")"
        };
        let mut values = Vec::new();
        while !self.take_symbol(closing) {
            let side = self.side()?;
            if side.is_column {
                return Err("a list of columns can't be read".into());
            }
            values.push(side.sql);
            if !self.take_symbol(",") {
                self.need(closing)?;
                break;
            }
        }
        if values.is_empty() {
            return Err("an empty list can't be read".into());
        }
        Ok(values.join(", "))
    }

    fn side(&mut self) -> Result<Side, String> {
        let value = |sql: String| Ok(Side { sql, is_column: false });
        match self.next() {
            Word::Symbol("-") => match self.next() {
                Word::Number(digits) => value(format!("-{digits}")),
                other => Err(format!("expected a number, found {}", other.shown())),
            },
            Word::Number(digits) => value(digits),
            Word::Text(text) => value(format!("'{}'", text.replace('\'', "''"))),
            Word::Name(word) => match word.as_str() {
                "True" | "true" => value("TRUE".into()),
                "False" | "false" => value("FALSE".into()),
                "col" if self.take_symbol("(") => {
                    let Word::Text(column) = self.next() else {
                        return Err("expected the name of a column".into());
                    };
                    self.need(")")?;
                    Ok(Side { sql: name(&column), is_column: true })
                }
                "None" | "date" => Err(format!("`{word}` can't be read")),
                _ if matches!(self.peek(), Word::Symbol("(")) => {
                    Err(format!("the function `{}` can't be read", super::tree::shown(&word)))
                }
                _ => Ok(Side { sql: name(&word), is_column: true }),
            },
            other => Err(format!("expected a column or value, found {}", other.shown())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::Expression;

    #[test]
    fn what_is_read_is_sql() {
        for (theirs, ours) in [
            ("status == \"placed\"", "(\"status\" = 'placed') IS TRUE"),
            ("x != 3", "(\"x\" <> 3 OR \"x\" IS NULL)"),
            ("not x > -1.5", "NOT ((\"x\" > -1.5) IS TRUE)"),
            ("`odd name` in ['a', 'it']", "(\"odd name\" IN ('a', 'it')) IS TRUE"),
            ("x not in (1, 2)", "(\"x\" NOT IN (1, 2) OR \"x\" IS NULL)"),
            ("(a > 1) & (b < 2)", "(((\"a\" > 1) IS TRUE) AND ((\"b\" < 2) IS TRUE))"),
            ("col(\"x\").notNull()", "\"x\" IS NOT NULL"),
            ("col('x') == True", "(\"x\" = TRUE) IS TRUE"),
        ] {
            assert_eq!(to_sql(theirs).as_deref(), Ok(ours));
            Expression::parse(ours).unwrap();
        }
    }

    #[test]
    fn what_is_not_is_said() {
        for wrong in [
            "",
            "x",
            "x ==",
            "x == 1 2",
            "1 < x < 3",
            "x.str.len() > 3",
            "len(x) > 1",
            "x in []",
            "x == @y",
            "x == \"a",
            "x + 1 > 2",
            "x not 3",
            "((((",
            "x == None",
            "1a == 2",
        ] {
            assert!(to_sql(wrong).is_err(), "{wrong}");
        }
        assert!(to_sql(&"(".repeat(100_000)).is_err());
        assert!(to_sql(&"not ".repeat(10_000)).is_err());
    }
}
