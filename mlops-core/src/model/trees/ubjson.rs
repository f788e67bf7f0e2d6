//! A reader of UBJSON, the binary JSON of XGBoost: big-endian, with typed arrays.

use std::borrow::Cow;
use std::fmt::Display;

use super::reader::Reader;
use crate::{Error, Result};

/// A place in a UBJSON file.
#[derive(Debug)]
pub(super) struct Ubjson<'a> {
    what: &'static str,
    bytes: &'a [u8],
    at: usize,
    /// The type of the next value, where its container has said it for all.
    typed: Option<u8>,
}

/// A container that is being read.
struct Container {
    is_object: bool,
    item: Option<u8>,
    left: Option<u64>,
}

impl<'a> Ubjson<'a> {
    pub(super) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, bytes, at: 0, typed: None }
    }

    /// That nothing follows but padding.
    pub(super) fn end(&mut self) -> Result<()> {
        self.padding();
        match self.bytes.get(self.at) {
            None => Ok(()),
            Some(b) => self.bad("the end", format_args!("byte {b:#04x}")),
        }
    }

    fn padding(&mut self) {
        while self.typed.is_none() && self.bytes.get(self.at) == Some(&b'N') {
            self.at += 1;
        }
    }

    fn peek(&mut self) -> Option<u8> {
        self.padding();
        self.typed.or_else(|| self.bytes.get(self.at).copied())
    }

    fn marker(&mut self) -> Result<u8> {
        let Some(marker) = self.peek() else { return self.bad("a value", "the end") };
        if self.typed.take().is_none() {
            self.at += 1;
        }
        Ok(marker)
    }

    fn take(&mut self, n: u64) -> Result<&'a [u8]> {
        let left = (self.bytes.len() - self.at) as u64;
        if n > left {
            return self.bad(format!("{n} bytes"), format_args!("{left}"));
        }
        let from = self.at;
        self.at += n as usize;
        Ok(&self.bytes[from..self.at])
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut raw = [0; N];
        raw.copy_from_slice(self.take(N as u64)?);
        Ok(raw)
    }

    /// A whole number of this type.
    fn whole(&mut self, marker: u8) -> Result<i64> {
        Ok(match marker {
            b'i' => i64::from(i8::from_be_bytes(self.fixed()?)),
            b'U' => i64::from(u8::from_be_bytes(self.fixed()?)),
            b'I' => i64::from(i16::from_be_bytes(self.fixed()?)),
            b'l' => i64::from(i32::from_be_bytes(self.fixed()?)),
            b'L' => i64::from_be_bytes(self.fixed()?),
            other => return self.bad("a whole number", type_name(other)),
        })
    }

    fn length(&mut self) -> Result<u64> {
        let marker = self.marker()?;
        let n = self.whole(marker)?;
        match u64::try_from(n) {
            Ok(n) => Ok(n),
            Err(_) => self.bad("a length", n),
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>> {
        let n = self.length()?;
        let at = self.at;
        match std::str::from_utf8(self.take(n)?) {
            Ok(text) => Ok(Cow::Borrowed(text)),
            Err(e) => {
                self.at = at + e.valid_up_to();
                self.bad("UTF-8", "another byte")
            }
        }
    }

    /// Behind the bracket of a container: its items' type and number, where it says them.
    fn container(&mut self, is_object: bool) -> Result<Container> {
        let mut item = None;
        if self.bytes.get(self.at) == Some(&b'$') {
            self.at += 1;
            let kind = self.marker()?;
            if !b"iUIlLdDTFZSC[{".contains(&kind) {
                return self.bad("a type", type_name(kind));
            }
            if self.bytes.get(self.at) != Some(&b'#') {
                return self.bad("a count behind a type", "none");
            }
            item = Some(kind);
        }
        let mut left = None;
        if self.bytes.get(self.at) == Some(&b'#') {
            self.at += 1;
            let n = self.length()?;
            let most = (self.bytes.len() - self.at) as u64;
            if n > most {
                return self.bad(format!("a count of at most {most}"), n);
            }
            left = Some(n);
        }
        Ok(Container { is_object, item, left })
    }

    /// Goes to the container's next value; the name, if it is a member's. `None` at its end.
    fn next(&mut self, of: &mut Container) -> Result<Option<Cow<'a, str>>> {
        match &mut of.left {
            Some(0) => return Ok(None),
            Some(left) => *left -= 1,
            None => {
                self.padding();
                let close = if of.is_object { b'}' } else { b']' };
                if self.bytes.get(self.at) == Some(&close) {
                    self.at += 1;
                    return Ok(None);
                }
            }
        }
        let name = if of.is_object { self.string()? } else { Cow::Borrowed("") };
        self.typed = of.item;
        Ok(Some(name))
    }

    fn begin(&mut self, bracket: u8, what: &str) -> Result<Container> {
        let marker = self.marker()?;
        if marker != bracket {
            return self.bad(what, type_name(marker));
        }
        self.container(bracket == b'{')
    }
}

fn type_name(marker: u8) -> String {
    match marker {
        b'[' => "an array".into(),
        b'{' => "an object".into(),
        b'S' => "a text".into(),
        b'T' | b'F' => "a boolean".into(),
        b'd' | b'D' => "a fraction".into(),
        other if other.is_ascii_graphic() => format!("type `{}`", char::from(other)),
        other => format!("byte {other:#04x}"),
    }
}

impl<'a> Reader<'a> for Ubjson<'a> {
    fn bad<T>(&self, expected: impl Into<String>, found: impl Display) -> Result<T> {
        Err(Error::Decode {
            what: self.what.to_owned(),
            offset: self.at as u64,
            expected: expected.into(),
            found: found.to_string(),
        })
    }

    fn object(&mut self, mut member: impl FnMut(&str, &mut Self) -> Result<()>) -> Result<()> {
        let mut container = self.begin(b'{', "an object")?;
        while let Some(name) = self.next(&mut container)? {
            member(&name, self)?;
        }
        Ok(())
    }

    fn array(&mut self, mut item: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let mut container = self.begin(b'[', "an array")?;
        while self.next(&mut container)?.is_some() {
            item(self)?;
        }
        Ok(())
    }

    fn text(&mut self) -> Result<Cow<'a, str>> {
        match self.marker()? {
            b'S' => self.string(),
            other => self.bad("a text", type_name(other)),
        }
    }

    fn f64(&mut self) -> Result<f64> {
        match self.marker()? {
            b'd' => Ok(f64::from(f32::from_be_bytes(self.fixed()?))),
            b'D' => Ok(f64::from_be_bytes(self.fixed()?)),
            b'S' => {
                let text = self.string()?;
                text.trim().parse().or_else(|_| self.bad("a number", format_args!("`{text}`")))
            }
            marker => Ok(self.whole(marker)? as f64),
        }
    }

    fn f32(&mut self) -> Result<f32> {
        match self.peek() {
            Some(b'S') => {
                let text = self.text()?;
                text.trim().parse().or_else(|_| self.bad("a number", format_args!("`{text}`")))
            }
            _ => Ok(self.f64()? as f32),
        }
    }

    fn i64(&mut self) -> Result<i64> {
        match self.marker()? {
            b'T' => Ok(1),
            b'F' => Ok(0),
            b'S' => {
                let text = self.string()?;
                text.trim().parse().or_else(|_| self.bad("a number", format_args!("`{text}`")))
            }
            marker => self.whole(marker),
        }
    }

    fn skip(&mut self) -> Result<()> {
        let mut open: Vec<Container> = Vec::new();
        loop {
            match self.marker()? {
                b'[' => {
                    let container = self.container(false)?;
                    open.push(container);
                }
                b'{' => {
                    let container = self.container(true)?;
                    open.push(container);
                }
                b'S' | b'H' => {
                    self.string()?;
                }
                b'T' | b'F' | b'Z' => {}
                b'C' => {
                    self.take(1)?;
                }
                b'd' => {
                    self.take(4)?;
                }
                b'D' => {
                    self.take(8)?;
                }
                marker => {
                    self.whole(marker)?;
                }
            }
            // A value has ended, or a container has begun: on to the next value.
            loop {
                let Some(container) = open.last_mut() else { return Ok(()) };
                if self.next(container)?.is_some() {
                    break;
                }
                open.pop();
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
        self.peek() == Some(b'S')
    }

    fn is_null(&mut self) -> bool {
        self.peek() == Some(b'Z')
    }

    fn f32s(&mut self) -> Result<Vec<f32>> {
        let mut container = self.begin(b'[', "an array")?;
        let mut all = Vec::new();
        if let (Some(b'd'), Some(n)) = (container.item, container.left) {
            let raw = self.take(n.saturating_mul(4))?;
            let of = |raw: &[u8]| raw.iter().fold(0, |bits, &b| bits << 8 | u32::from(b));
            all.extend(raw.chunks_exact(4).map(|raw| f32::from_bits(of(raw))));
            return Ok(all);
        }
        while self.next(&mut container)?.is_some() {
            all.push(self.f32()?);
        }
        Ok(all)
    }

    fn i32s(&mut self) -> Result<Vec<i32>> {
        let mut all = Vec::new();
        self.array(|r| {
            let n = r.i64()?;
            match i32::try_from(n) {
                Ok(n) => all.push(n),
                Err(_) => return r.bad("a whole number of 32 bits", n),
            }
            Ok(())
        })?;
        Ok(all)
    }
}
