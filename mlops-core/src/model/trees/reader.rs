//! What JSON and UBJSON have in common: values pulled one after the other.

use std::borrow::Cow;
use std::fmt::Display;

use crate::Result;

/// A place in a file of nested values. Each value that comes up must be read or skipped once.
pub(super) trait Reader<'a> {
    /// An error at this place.
    fn bad<T>(&self, expected: impl Into<String>, found: impl Display) -> Result<T>;

    /// The members of an object; the closure reads or skips each one's value.
    fn object(&mut self, member: impl FnMut(&str, &mut Self) -> Result<()>) -> Result<()>;

    /// The items of an array; the closure reads or skips each.
    fn array(&mut self, item: impl FnMut(&mut Self) -> Result<()>) -> Result<()>;

    /// A text.
    fn text(&mut self) -> Result<Cow<'a, str>>;

    /// A number, or a text that is one.
    fn f64(&mut self) -> Result<f64>;

    /// A number, rounded once.
    fn f32(&mut self) -> Result<f32>;

    /// A whole number, a boolean as 0 or 1, or a text that is a whole number.
    fn i64(&mut self) -> Result<i64>;

    /// Whatever it is.
    fn skip(&mut self) -> Result<()>;

    /// Whether an array comes.
    fn is_array(&mut self) -> bool;

    /// Whether an object comes.
    fn is_object(&mut self) -> bool;

    /// Whether a text comes.
    fn is_text(&mut self) -> bool;

    /// Whether a null comes.
    fn is_null(&mut self) -> bool;

    /// An array of numbers.
    fn f32s(&mut self) -> Result<Vec<f32>>;

    /// An array of whole numbers, or of booleans as 0 and 1.
    fn i32s(&mut self) -> Result<Vec<i32>>;

    /// An array of numbers.
    fn f64s(&mut self) -> Result<Vec<f64>> {
        let mut all = Vec::new();
        self.array(|r| {
            all.push(r.f64()?);
            Ok(())
        })?;
        Ok(all)
    }

    /// An array of texts.
    fn texts(&mut self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        self.array(|r| {
            all.push(r.text()?.into_owned());
            Ok(())
        })?;
        Ok(all)
    }
}
