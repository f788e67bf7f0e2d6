//! The YAML that MLflow reads and writes: block mappings and lists of texts and numbers.
//!
//! That is little of the language, and safe to read for it: no anchors, tags or flow collections
//! (but empty ones), no literal blocks. What else a file holds is refused with its line.

use std::fmt::Write as _;

use mlops_core::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The largest file of YAML that is read.
pub(super) const YAML_BYTES: u64 = 4 << 20;

/// A value as YAML, in ASCII: what every version of the language reads alike.
pub(super) fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => block(&mut out, value, 0),
        Value::Array(list) if !list.is_empty() => block(&mut out, value, 0),
        _ => {
            scalar(&mut out, value);
            out.push('\n');
        }
    }
    out
}

fn block(out: &mut String, value: &Value, depth: usize) {
    let item = |out: &mut String, inner: &Value| match inner {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            block(out, inner, depth + 1);
        }
        Value::Array(list) if !list.is_empty() => {
            out.push('\n');
            block(out, inner, depth + 1);
        }
        _ => {
            out.push(' ');
            scalar(out, inner);
            out.push('\n');
        }
    };
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                out.push_str(&indent);
                if key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') && !key.is_empty() {
                    out.push_str(key);
                } else {
                    quoted(out, key);
                }
                out.push(':');
                item(out, inner);
            }
        }
        Value::Array(list) => {
            for inner in list {
                out.push_str(&indent);
                out.push('-');
                item(out, inner);
            }
        }
        _ => {}
    }
}

fn scalar(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => {
            // YAML 1.1 takes `1e16` for a text.
            let text = n.to_string();
            match text.split_once('e') {
                None => out.push_str(&text),
                Some((mantissa, exponent)) => {
                    let dot = if mantissa.contains('.') { "" } else { ".0" };
                    let sign = if exponent.starts_with(['-', '+']) { "" } else { "+" };
                    let _ = write!(out, "{mantissa}{dot}e{sign}{exponent}");
                }
            }
        }
        Value::String(text) => quoted(out, text),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
}

fn quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        let _ = match (c, c as u32) {
            ('"' | '\\', _) => write!(out, "\\{c}"),
            ('\n', _) => write!(out, "\\n"),
            (' '..='~', _) => write!(out, "{c}"),
            (_, n @ ..=0xff) => write!(out, "\\x{n:02x}"),
            (_, n @ ..=0xffff) => write!(out, "\\u{n:04x}"),
            (_, n) => write!(out, "\\U{n:08x}"),
        };
    }
    out.push('"');
}

/// A value from YAML.
pub(super) fn from_yaml<T: DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    if text.len() as u64 > YAML_BYTES {
        let found = format!("{} bytes", text.len());
        return Err(Error::invalid(what, format!("at most {YAML_BYTES} bytes of YAML"), found));
    }
    let value = parse(text).map_err(|(line, expected)| {
        let found = format!("something else in line {line}");
        Error::invalid(what, format!("MLflow's YAML: {expected}"), found)
    })?;
    serde_json::from_value(value).map_err(|e| Error::invalid(what, "MLflow's YAML", e))
}

/// How deep collections may be nested.
const DEPTH: usize = 32;

/// The line, and what it should have.
type Parsed<T> = std::result::Result<T, (usize, &'static str)>;

/// The lines that are left.
struct Lines<'a> {
    /// Their number from 1, their indentation, their text without it.
    all: Vec<(usize, usize, &'a str)>,
    at: usize,
}

fn parse(text: &str) -> Parsed<Value> {
    let mut all = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let content = line.trim_start_matches(' ');
        // Empty lines stay: they mean something within texts.
        all.push((number, line.len() - content.len(), content.trim_end_matches(' ')));
    }
    let mut lines = Lines { all, at: 0 };
    if lines.here().is_some_and(|(_, _, text)| text == "---") {
        lines.at += 1;
    }
    let Some((number, indent, text)) = lines.here() else { return Ok(Value::Null) };
    let value = if is_item(text) || key(number, text)?.is_some() {
        lines.block(indent, 0)?
    } else {
        lines.at += 1;
        lines.scalar(number, text, 0)?
    };
    match lines.here() {
        None => Ok(value),
        Some((number, ..)) => Err((number, "the end")),
    }
}

fn is_item(text: &str) -> bool {
    text == "-" || text.starts_with("- ")
}

/// A mapping's key, and what is left of its line.
fn key(number: usize, text: &str) -> Parsed<Option<(String, &str)>> {
    if text.starts_with(['"', '\'']) {
        let mut out = String::new();
        let Some(rest) = quoted_part(&mut out, &text[1..], &text[..1]).map_err(|e| (number, e))?
        else {
            return Ok(None);
        };
        return Ok(rest
            .strip_prefix(':')
            .filter(|r| r.is_empty() || r.starts_with(' '))
            .map(|rest| (out, rest.trim_start_matches(' '))));
    }
    if let Some((key, rest)) = text.split_once(": ") {
        return Ok(Some((key.to_owned(), rest.trim_start_matches(' '))));
    }
    Ok(text.strip_suffix(':').map(|key| (key.to_owned(), "")))
}

/// Reads a quoted text's part in one line; what follows the closing quote, if it closes here.
fn quoted_part<'a>(
    out: &mut String,
    text: &'a str,
    quote: &str,
) -> std::result::Result<Option<&'a str>, &'static str> {
    let mut rest = text;
    loop {
        let Some(at) = rest.find(if quote == "'" { &['\''][..] } else { &['"', '\\'][..] }) else {
            out.push_str(rest);
            return Ok(None);
        };
        out.push_str(&rest[..at]);
        let found = rest.as_bytes()[at];
        rest = &rest[at + 1..];
        match found {
            b'\'' => match rest.strip_prefix('\'') {
                Some(after) => {
                    out.push('\'');
                    rest = after;
                }
                None => return Ok(Some(rest)),
            },
            b'"' => return Ok(Some(rest)),
            _ => {
                let mut chars = rest.chars();
                let Some(escape) = chars.next() else {
                    // The line's end is escaped: the text goes on without a space.
                    out.push('\u{0}');
                    return Ok(None);
                };
                rest = chars.as_str();
                let digits = match escape {
                    'x' => 2,
                    'u' => 4,
                    'U' => 8,
                    _ => 0,
                };
                if digits > 0 {
                    let hex = rest.get(..digits).ok_or("an escape")?;
                    let code = u32::from_str_radix(hex, 16).ok();
                    out.push(code.and_then(char::from_u32).ok_or("an escape of a character")?);
                    rest = &rest[digits..];
                    continue;
                }
                out.push(match escape {
                    '0' => '\0',
                    'a' => '\x07',
                    'b' => '\x08',
                    't' | '\t' => '\t',
                    'n' => '\n',
                    'v' => '\x0b',
                    'f' => '\x0c',
                    'r' => '\r',
                    'e' => '\x1b',
                    'N' => '\u{85}',
                    '_' => '\u{a0}',
                    'L' => '\u{2028}',
                    'P' => '\u{2029}',
                    ' ' | '"' | '/' | '\\' => escape,
                    _ => return Err("an escape that YAML has"),
                });
            }
        }
    }
}

impl<'a> Lines<'a> {
    /// The next line that says something.
    fn here(&mut self) -> Option<(usize, usize, &'a str)> {
        while let Some(line) = self.all.get(self.at) {
            if !line.2.is_empty() && !line.2.starts_with('#') {
                return Some(*line);
            }
            self.at += 1;
        }
        None
    }

    /// A mapping or a list whose lines stand at this indentation.
    fn block(&mut self, indent: usize, depth: usize) -> Parsed<Value> {
        let (mut map, mut list) = (Map::new(), Vec::new());
        let mut of_items = None;
        while let Some((number, here, text)) = self.here() {
            if here < indent {
                break;
            }
            if here > indent {
                return Err((number, "an indentation as above"));
            }
            if depth > DEPTH {
                return Err((number, "less nesting"));
            }
            let item = is_item(text);
            if *of_items.get_or_insert(item) != item {
                // A list ends where the mapping that it stands in goes on.
                if item {
                    return Err((number, "a key"));
                }
                break;
            }
            if item {
                let inner = text[1..].trim_start_matches(' ');
                if is_item(inner) || key(number, inner)?.is_some() {
                    // A collection that begins in the item's line: as if it stood alone.
                    let offset = here + text.len() - inner.len();
                    if let Some(line) = self.all.get_mut(self.at) {
                        *line = (number, offset, inner);
                    }
                    list.push(self.block(offset, depth + 1)?);
                } else {
                    self.at += 1;
                    list.push(self.value(number, here, inner, false, depth)?);
                }
            } else {
                let (key, rest) = key(number, text)?.ok_or((number, "a key and a colon"))?;
                self.at += 1;
                let value = self.value(number, here, rest, true, depth)?;
                if map.insert(key, value).is_some() {
                    return Err((number, "a key once"));
                }
            }
        }
        Ok(if of_items == Some(true) { Value::Array(list) } else { Value::Object(map) })
    }

    /// What stands after a key or a dash.
    fn value(
        &mut self,
        number: usize,
        indent: usize,
        text: &'a str,
        of_key: bool,
        depth: usize,
    ) -> Parsed<Value> {
        if !text.is_empty() {
            return self.scalar(number, text, indent + 1);
        }
        match self.here() {
            // A list may stand as far left as the key that it belongs to.
            Some((_, here, next))
                if here > indent || (of_key && here == indent && is_item(next)) =>
            {
                if is_item(next) || key(number, next)?.is_some() {
                    self.block(here, depth + 1)
                } else {
                    self.at += 1;
                    self.scalar(number, next, here)
                }
            }
            _ => Ok(Value::Null),
        }
    }

    /// A text or number that begins in the line before this one, and may go on in lines that are
    /// indented at least so far.
    fn scalar(&mut self, number: usize, text: &'a str, indent: usize) -> Parsed<Value> {
        match text {
            "[]" => return Ok(Value::Array(Vec::new())),
            "{}" => return Ok(Value::Object(Map::new())),
            _ => {}
        }
        let Some(quote) = text.get(..1).filter(|q| matches!(*q, "'" | "\"")) else {
            if text.starts_with(['[', '{', '|', '>', '&', '*', '!', '%', '@', '`', ']', '}', ',']) {
                return Err((number, "a text, a number or an empty collection"));
            }
            let mut whole = text.to_owned();
            let mut blank = 0;
            while let Some((_, here, text)) = self.all.get(self.at).copied() {
                if text.is_empty() {
                    blank += 1;
                } else if here >= indent && indent > 0 {
                    fold(&mut whole, &mut blank);
                    whole.push_str(text);
                } else {
                    break;
                }
                self.at += 1;
            }
            return Ok(plain(&whole));
        };
        let mut out = String::new();
        let mut rest = quoted_part(&mut out, &text[1..], quote).map_err(|e| (number, e))?;
        let mut blank = 0;
        while rest.is_none() {
            let Some((number, _, text)) = self.all.get(self.at).copied() else {
                return Err((number, "the end of a quoted text"));
            };
            self.at += 1;
            if text.is_empty() {
                blank += 1;
                continue;
            }
            if out.ends_with('\0') && quote == "\"" {
                // Escaped: what follows begins at once.
                out.pop();
                out.extend(std::iter::repeat_n('\n', blank));
                blank = 0;
            } else {
                fold(&mut out, &mut blank);
            }
            rest = quoted_part(&mut out, text, quote).map_err(|e| (number, e))?;
        }
        match rest {
            Some("") => Ok(Value::String(out)),
            _ => Err((number, "nothing after a quoted text")),
        }
    }
}

/// A line's end within a text: a space, or as many line feeds as there were empty lines.
fn fold(text: &mut String, blank: &mut usize) {
    if *blank == 0 {
        text.push(' ');
    }
    text.extend(std::iter::repeat_n('\n', *blank));
    *blank = 0;
}

/// What a text without quotes means.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let whole = digits == "0" || (digits.starts_with(|c: char| ('1'..='9').contains(&c)));
    if whole
        && digits.bytes().all(|b| b.is_ascii_digit())
        && let Ok(n) = text.trim_start_matches('+').parse::<i64>()
    {
        return n.into();
    }
    // Without a dot it is a text to Python.
    let number = |b: u8| b.is_ascii_digit() || b"+-.eE".contains(&b);
    if digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.contains('.')
        && digits.bytes().all(number)
        && let Ok(x) = text.parse::<f64>()
    {
        return x.into();
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn block_style() {
        let value = json!({
            "flavors": {"onnx": {"data": "model.onnx", "code": null, "providers": ["a", "b"]}},
            "empty": {}, "none": [], "n": 7, "x": 1e16, "Größe": "ü\n\"\u{1F600}\u{7f}",
        });
        let text = to_yaml(&value);
        assert!(text.contains("flavors:\n  onnx:\n"), "{text}");
        assert!(text.contains("    providers:\n      - \"a\"\n"), "{text}");
        assert!(text.contains(r#""Gr\xf6\xdfe": "\xfc\n\"\U0001f600\x7f""#), "{text}");
        assert!(text.contains("x: 1.0e+16\n"), "{text}");
        assert_eq!(from_yaml::<Value>("a test", &text).unwrap(), value);
    }

    #[test]
    fn what_python_writes() {
        let text = "a: 'it''s\n\n  folded\n  here'\nb: plain text that\n  goes on\nc:\n- x\n- 'yes'\n- - 1\n  \
                    - 2.5\n- k: v\n  l: null\nd: \"\\ttab \\\n  \\ joined\"\ne: {}\n'f: g': []\nh:\n  i: -7\n\
                    j: 1e5\nk: 2026-01-31\nl: 3.11.7\nm: ''\nn:\no: a:b # c\n";
        let value: Value = from_yaml("a test", text).unwrap();
        assert_eq!(
            value,
            json!({
                "a": "it's\nfolded here", "b": "plain text that goes on",
                "c": ["x", "yes", [1, 2.5], {"k": "v", "l": null}],
                "d": "\ttab  joined", "e": {}, "f: g": [], "h": {"i": -7}, "j": "1e5",
                "k": "2026-01-31", "l": "3.11.7", "m": "", "n": null, "o": "a:b # c",
            })
        );
        for bad in [
            "a: |\n  x\n",
            "a: &x 1\n",
            "a: [1]\n",
            "a: {b: 1}\n",
            "a: 'x\n",
            "a: \"\\q\"\n",
            "a: 1\na: 2\n",
            "a:\n  b: 1\n c: 2\n",
            "a: 'x' y\n",
            "- a\nb: 1\n",
            "a: 1\n- b\n",
            "a: \"\\ud800\"\n",
        ] {
            assert!(from_yaml::<Value>("a test", bad).is_err(), "{bad}");
        }
        let deep = (0..100).fold(String::new(), |text, n| format!("{text}{}a:\n", " ".repeat(n)));
        assert!(from_yaml::<Value>("a test", &deep).is_err());
        let dashes = "- ".repeat(100_000);
        assert!(from_yaml::<Value>("a test", &dashes).is_err());
    }

    proptest! {
        #[test]
        fn reading_takes_writing_back(map in proptest::collection::btree_map(".*", ".*", 0..8)) {
            let text = to_yaml(&json!({ "tags": map, "list": [map] }));
            prop_assert!(text.is_ascii());
            let back: Value = from_yaml("a test", &text).unwrap();
            prop_assert_eq!(back, json!({ "tags": map, "list": [map] }));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "(a|b|:|: |- |\n|\n  |'|\"|\\\\|ü|1|\\[|#| ){0,60}") {
            let _ = from_yaml::<Value>("a test", &text);
        }
    }
}
