//! As much of Protocol Buffers as a model file needs: fields one after the other, messages as
//! slices, nothing allocated on a length's word.

use crate::{Error, Result};

/// The fields of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    /// The whole file, so that errors can say where.
    whole: usize,
    rest: &'a [u8],
    /// How many bytes stand behind this message.
    behind: usize,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(Fields<'a>),
    Four([u8; 4]),
    Eight([u8; 8]),
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { whole: bytes.len(), rest: bytes, behind: 0 }
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn bad<T>(&self, expected: &str, found: impl std::fmt::Display) -> Result<T> {
        Err(Error::Decode {
            what: super::WHAT.into(),
            offset: (self.whole - self.behind - self.rest.len()) as u64,
            expected: expected.into(),
            found: found.to_string(),
        })
    }

    pub(super) fn text(&self) -> Result<&'a str> {
        std::str::from_utf8(self.rest).or_else(|_| self.bad("UTF-8", "another byte"))
    }

    pub(super) fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let Some((&byte, rest)) = self.rest.split_first() else {
                return self.bad("a number", "the end");
            };
            self.rest = rest;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        self.bad("a number of at most ten bytes", "more")
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((head, rest)) = self.rest.split_first_chunk::<N>() else {
            return self.bad("more bytes", "the end");
        };
        self.rest = rest;
        Ok(*head)
    }

    /// The next field's number and value; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Value<'a>)>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Eight(self.fixed()?),
            5 => Value::Four(self.fixed()?),
            2 => {
                let n = self.varint()?;
                let Some((head, rest)) =
                    usize::try_from(n).ok().and_then(|n| self.rest.split_at_checked(n))
                else {
                    return self.bad(&format!("{n} bytes"), self.rest.len());
                };
                self.rest = rest;
                let behind = self.behind + rest.len();
                Value::Bytes(Fields { whole: self.whole, rest: head, behind })
            }
            other => return self.bad("a kind of field", other),
        };
        Ok(Some((tag >> 3, value)))
    }
}

impl<'a> Value<'a> {
    /// A message, text or bytes.
    pub(super) fn message(self, of: &Fields<'_>) -> Result<Fields<'a>> {
        match self {
            Self::Bytes(fields) => Ok(fields),
            _ => of.bad("a message", "a number"),
        }
    }

    pub(super) fn number(self, of: &Fields<'_>) -> Result<u64> {
        match self {
            Self::Number(n) => Ok(n),
            _ => of.bad("a number", "bytes"),
        }
    }

    /// Appends numbers, packed or a single one.
    pub(super) fn numbers(self, of: &Fields<'_>, out: &mut Vec<i64>) -> Result<()> {
        match self {
            Self::Number(n) => out.push(n as i64),
            Self::Bytes(mut packed) => {
                while !packed.bytes().is_empty() {
                    out.push(packed.varint()? as i64);
                }
            }
            _ => return of.bad("whole numbers", "fractions"),
        }
        Ok(())
    }

    /// Appends `f32`s, packed or a single one.
    pub(super) fn floats(self, of: &Fields<'_>, out: &mut Vec<f64>) -> Result<()> {
        match self {
            Self::Four(raw) => out.push(f64::from(f32::from_le_bytes(raw))),
            Self::Bytes(packed) => {
                let (all, rest) = packed.bytes().as_chunks::<4>();
                if !rest.is_empty() {
                    return packed.bad("numbers of 4 bytes", "more or less");
                }
                out.extend(all.iter().map(|raw| f64::from(f32::from_le_bytes(*raw))));
            }
            _ => return of.bad("fractions", "others"),
        }
        Ok(())
    }

    /// Appends `f64`s, packed or a single one.
    pub(super) fn doubles(self, of: &Fields<'_>, out: &mut Vec<f64>) -> Result<()> {
        match self {
            Self::Eight(raw) => out.push(f64::from_le_bytes(raw)),
            Self::Bytes(packed) => {
                let (all, rest) = packed.bytes().as_chunks::<8>();
                if !rest.is_empty() {
                    return packed.bad("numbers of 8 bytes", "more or less");
                }
                out.extend(all.iter().map(|raw| f64::from_le_bytes(*raw)));
            }
            _ => return of.bad("fractions", "others"),
        }
        Ok(())
    }
}
