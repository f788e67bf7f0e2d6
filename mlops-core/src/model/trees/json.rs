//! A reader of JSON for model files: fast, without trees of values, never recursive, and at home
//! with the bare `NaN` and `Infinity` that libraries write.

use std::borrow::Cow;

use super::reader::Reader;
use crate::{Error, Result};

/// A place in JSON text. Each value that is begun must be read or skipped.
#[derive(Debug)]
pub(super) struct Json<'a> {
    what: &'static str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Json<'a> {
    pub(super) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        // Some editors put a byte order mark in front.
        let at = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Self { what, bytes, at }
    }

    fn wrong<T>(&self, expected: impl Into<String>) -> Result<T> {
        let found = match self.bytes.get(self.at) {
            None => "the end".to_owned(),
            Some(b) if b.is_ascii_graphic() => format!("`{}`", char::from(*b)),
            Some(b) => format!("byte {b:#04x}"),
        };
        self.bad(expected, found)
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    #[inline]
    fn peek(&mut self) -> Option<u8> {
        self.space();
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn eat(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.eat(byte) { Ok(()) } else { self.wrong(format!("`{}`", char::from(byte))) }
    }

    /// Whether `true` or `false` comes.
    pub(super) fn is_word(&mut self) -> bool {
        matches!(self.peek(), Some(b't' | b'f'))
    }

    /// That nothing follows.
    pub(super) fn end(&mut self) -> Result<()> {
        if self.peek().is_none() { Ok(()) } else { self.wrong("the end") }
    }

    pub(super) fn begin_object(&mut self) -> Result<()> {
        self.expect(b'{')
    }

    /// The next member's name, or `None` behind the object's end. `first` is true only for the
    /// first.
    pub(super) fn member(&mut self, first: bool) -> Result<Option<Cow<'a, str>>> {
        if self.eat(b'}') {
            return Ok(None);
        }
        if !first {
            self.expect(b',')?;
        }
        if self.peek() != Some(b'"') {
            return self.wrong("a name");
        }
        let name = self.text()?;
        self.expect(b':')?;
        Ok(Some(name))
    }

    fn item(&mut self, first: bool) -> Result<bool> {
        if self.eat(b']') {
            return Ok(false);
        }
        if !first {
            self.expect(b',')?;
        }
        Ok(true)
    }

    /// The bytes of a number or word.
    #[inline]
    fn token(&mut self) -> Result<&'a str> {
        self.space();
        let rest = &self.bytes[self.at..];
        let is_part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        let n = rest.iter().position(|b| !is_part(b)).unwrap_or(rest.len());
        let token = std::str::from_utf8(&rest[..n]).unwrap_or_default();
        if token.is_empty() {
            return self.wrong("a number");
        }
        self.at += n;
        Ok(token)
    }

    fn number<T: std::str::FromStr>(&mut self) -> Result<T> {
        // Numbers in quotes are numbers, too: parameters are written so.
        let quoted = self.peek() == Some(b'"');
        let start = self.at;
        let parsed = if quoted { self.text()?.trim().parse() } else { self.token()?.parse() };
        parsed.or_else(|_| {
            self.at = start;
            self.wrong("a number")
        })
    }

    fn escaped(&mut self, start: usize) -> Result<Cow<'a, str>> {
        // serde_json knows the escapes; only the end must be found.
        let mut at = self.at;
        loop {
            match self.bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => at += 2,
                Some(_) => at += 1,
                None => {
                    self.at = self.bytes.len();
                    return self.wrong("`\"`");
                }
            }
        }
        if let Ok(text) = serde_json::from_slice::<String>(&self.bytes[start..=at]) {
            self.at = at + 1;
            return Ok(Cow::Owned(text));
        }
        self.at = start;
        self.wrong("a string")
    }
}

impl<'a> Reader<'a> for Json<'a> {
    fn bad<T>(&self, expected: impl Into<String>, found: impl std::fmt::Display) -> Result<T> {
        Err(Error::Decode {
            what: self.what.to_owned(),
            offset: self.at as u64,
            expected: expected.into(),
            found: found.to_string(),
        })
    }

    fn object(&mut self, mut member: impl FnMut(&str, &mut Self) -> Result<()>) -> Result<()> {
        self.begin_object()?;
        let mut first = true;
        while let Some(name) = self.member(first)? {
            first = false;
            member(&name, self)?;
        }
        Ok(())
    }

    fn array(&mut self, mut item: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.expect(b'[')?;
        let mut first = true;
        while self.item(first)? {
            first = false;
            item(self)?;
        }
        Ok(())
    }

    fn text(&mut self) -> Result<Cow<'a, str>> {
        self.expect(b'"')?;
        let start = self.at - 1;
        let rest = &self.bytes[self.at..];
        let Some(n) = rest.iter().position(|b| matches!(b, b'"' | b'\\')) else {
            self.at = self.bytes.len();
            return self.wrong("`\"`");
        };
        self.at += n;
        if rest[n] == b'\\' {
            return self.escaped(start);
        }
        match std::str::from_utf8(&rest[..n]) {
            Ok(text) => {
                self.at += 1;
                Ok(Cow::Borrowed(text))
            }
            Err(e) => {
                self.at = start + 1 + e.valid_up_to();
                self.wrong("UTF-8")
            }
        }
    }

    fn f64(&mut self) -> Result<f64> {
        self.number()
    }

    fn f32(&mut self) -> Result<f32> {
        self.number()
    }

    fn i64(&mut self) -> Result<i64> {
        let start = self.at;
        match self.peek() {
            Some(b't' | b'f') => {
                let token = self.token()?;
                match token {
                    "true" => Ok(1),
                    "false" => Ok(0),
                    _ => {
                        self.at = start;
                        self.wrong("a whole number")
                    }
                }
            }
            Some(b'"') => self.number(),
            _ => {
                let token = self.token()?;
                // Some writers put `3.0` for 3.
                let whole = |x: &f64| x.fract() == 0.0 && x.abs() < 9e15;
                let parsed = token.parse().ok();
                let parsed = parsed.or_else(|| token.parse().ok().filter(whole).map(|x| x as i64));
                let Some(parsed) = parsed else {
                    self.at = start;
                    return self.wrong("a whole number");
                };
                Ok(parsed)
            }
        }
    }

    fn skip(&mut self) -> Result<()> {
        // Brackets that are open: a bit for each would do, but a file is bounded anyway.
        let mut open: Vec<u8> = Vec::new();
        loop {
            match self.peek() {
                Some(b'{') => {
                    self.at += 1;
                    open.push(b'}');
                    if !self.eat(b'}') {
                        self.text()?;
                        self.expect(b':')?;
                        continue;
                    }
                    open.pop();
                }
                Some(b'[') => {
                    self.at += 1;
                    open.push(b']');
                    if !self.eat(b']') {
                        continue;
                    }
                    open.pop();
                }
                Some(b'"') => {
                    self.text()?;
                }
                _ => {
                    self.token()?;
                }
            }
            // A value has ended: close what it ends, or go on to the next.
            loop {
                let Some(&close) = open.last() else { return Ok(()) };
                if self.eat(close) {
                    open.pop();
                    continue;
                }
                self.expect(b',')?;
                if close == b'}' {
                    self.text()?;
                    self.expect(b':')?;
                }
                break;
            }
        }
    }

    fn is_array(&mut self) -> bool {
        self.peek() == Some(b'[')
    }

    fn is_object(&mut self) -> bool {
        self.peek() == Some(b'{')
    }

    fn is_text(&mut self) -> bool {
        self.peek() == Some(b'"')
    }

    fn is_null(&mut self) -> bool {
        self.peek() == Some(b'n') && self.bytes[self.at..].starts_with(b"null")
    }

    fn f32s(&mut self) -> Result<Vec<f32>> {
        let mut all = Vec::new();
        self.array(|r| {
            all.push(r.f32()?);
            Ok(())
        })?;
        Ok(all)
    }

    fn i32s(&mut self) -> Result<Vec<i32>> {
        let mut all = Vec::new();
        self.array(|r| {
            let start = r.at;
            let Ok(n) = i32::try_from(r.i64()?) else {
                r.at = start;
                return r.wrong("a whole number of 32 bits");
            };
            all.push(n);
            Ok(())
        })?;
        Ok(all)
    }
}
