//! The words of an expression.

use mlops_core::{Error, Result};

/// A word of the text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'t> {
    /// A name or keyword.
    Word(&'t str),
    /// A name between `"` or backticks.
    Quoted(String),
    /// Digits, perhaps with a point and an exponent.
    Number(&'t str),
    /// A text between `'`.
    Text(String),
    /// An operator or a bracket.
    Symbol(&'static str),
    End,
}

/// Longer ones before their beginnings.
const SYMBOLS: &[&str] = &[
    "<=>", "==", "<>", "!=", "<=", ">=", "||", "::", "!~", "=", "<", ">", "+", "-", "*", "/", "%",
    "(", ")", "[", "]", ",", ".", "~",
];

/// Reads words off the front of a text.
#[derive(Clone, Debug)]
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// The next word, and the byte at which it begins.
    pub(super) fn next(&mut self) -> Result<(Token<'t>, usize)> {
        let rest = self.text[self.at..].trim_start();
        let start = self.text.len() - rest.len();
        self.at = start;
        let Some(first) = rest.chars().next() else { return Ok((Token::End, start)) };
        let token = match first {
            '\'' => Token::Text(self.quoted(first, "the `'` that closes the text")?),
            '"' | '`' => Token::Quoted(self.name(first)?),
            c if c.is_alphabetic() || c == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                let word = &rest[..end.unwrap_or(rest.len())];
                self.at += word.len();
                Token::Word(word)
            }
            c if c.is_ascii_digit() => self.number(rest)?,
            '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number(rest)?,
            other => {
                let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
                let symbol = symbol.ok_or_else(|| {
                    wrong(start, "a name, a value or an operator", format!("`{other}`"))
                })?;
                self.at += symbol.len();
                Token::Symbol(symbol)
            }
        };
        Ok((token, start))
    }

    fn name(&mut self, quote: char) -> Result<String> {
        let start = self.at;
        let name = self.quoted(quote, "the quote that closes the name")?;
        if name.is_empty() { Err(wrong(start, "a name", "an empty one")) } else { Ok(name) }
    }

    /// What stands between two quotes, of which two in a row are one.
    fn quoted(&mut self, quote: char, expected: &str) -> Result<String> {
        let mut text = String::new();
        let mut rest = self.text[self.at + 1..].chars();
        loop {
            match rest.next() {
                Some(c) if c == quote => {
                    if !rest.as_str().starts_with(quote) {
                        break;
                    }
                    rest.next();
                    text.push(quote);
                }
                Some(c) => text.push(c),
                None => return Err(wrong(self.text.len(), expected, "the end")),
            }
        }
        self.at = self.text.len() - rest.as_str().len();
        Ok(text)
    }

    fn number(&mut self, rest: &'t str) -> Result<Token<'t>> {
        let bytes = rest.as_bytes();
        let digits = |from: usize| {
            from + bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count()
        };
        let mut end = digits(0);
        if bytes.get(end) == Some(&b'.') {
            end = digits(end + 1);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits(end + 1 + sign);
            if exponent > end + 1 + sign {
                end = exponent;
            }
        }
        if rest[end..].starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.') {
            let found = rest.split(char::is_whitespace).next().unwrap_or(rest);
            return Err(wrong(self.at, "a number", excerpt(found)));
        }
        self.at += end;
        Ok(Token::Number(&rest[..end]))
    }
}

/// What is wrong with the text at a byte.
pub(super) fn wrong(
    offset: usize,
    expected: impl Into<String>,
    found: impl std::fmt::Display,
) -> Error {
    Error::Decode {
        what: "expression".into(),
        offset: offset as u64,
        expected: expected.into(),
        found: found.to_string(),
    }
}

/// A text in an error, cut short.
pub(super) fn excerpt(text: &str) -> String {
    const MOST: usize = 40;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

impl Token<'_> {
    /// What it is called in an error.
    pub(super) fn found(&self) -> String {
        match self {
            Token::Word(text) | Token::Number(text) | Token::Symbol(text) => excerpt(text),
            Token::Quoted(text) => format!("the name {}", excerpt(text)),
            Token::Text(text) => format!("the text {}", excerpt(text)),
            Token::End => "the end".into(),
        }
    }
}
