//! What stands in a report in place of a value or a count.

use std::fmt;

use mlops_core::{Digest, Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a report shows of a column's values.
///
/// Nulls stay nulls, whatever the mask: that a value is missing is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mask {
    /// They stay as they are.
    Show,
    /// `[hidden]` stands in place of each.
    Hide,
    /// The first so many characters of a text, but never more than half of it; everything else is
    /// hidden, because a part of a number is most of it.
    Truncate(usize),
    /// A pseudonym: the first 16 hexadecimal digits of the HMAC-SHA-256 under a key of the host.
    /// Equal values have equal pseudonyms under the same key, in every column and report; without
    /// the key nobody can try values until one fits.
    Hash(HashKey),
}

impl Mask {
    pub(crate) const HIDDEN: &'static str = "[hidden]";

    /// What is shown of a value.
    pub(crate) fn apply(&self, value: &Value) -> Value {
        match (self, value) {
            (Self::Show, _) | (_, Value::Null) => value.clone(),
            (Self::Truncate(most), Value::String(text)) => {
                let shown = (*most).min(text.chars().count() / 2);
                Value::String(text.chars().take(shown).chain(['…']).collect())
            }
            (Self::Hash(key), value) => Value::String(key.pseudonym(value)),
            (Self::Hide | Self::Truncate(_), _) => Value::String(Self::HIDDEN.to_owned()),
        }
    }
}

/// The host's key for pseudonyms. It is never printed nor written down.
#[derive(Clone, PartialEq, Eq)]
pub struct HashKey([u8; HashKey::BLOCK]);

impl HashKey {
    /// The block of SHA-256.
    const BLOCK: usize = 64;
    /// The fewest bytes of a key.
    const LEAST: usize = 16;

    /// A key of these bytes, which should be random: 32 of them are good.
    ///
    /// # Errors
    /// [`Error::Invalid`] for fewer than 16 bytes, which can be guessed.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self> {
        let bytes = bytes.as_ref();
        if bytes.len() < Self::LEAST {
            let expected = format!("at least {} bytes", Self::LEAST);
            return Err(Error::invalid("key for pseudonyms", expected, bytes.len()));
        }
        Ok(Self::of_any_length(bytes))
    }

    fn of_any_length(bytes: &[u8]) -> Self {
        let mut key = [0; Self::BLOCK];
        if bytes.len() > Self::BLOCK {
            key[..32].copy_from_slice(Digest::of(bytes).as_bytes());
        } else {
            key[..bytes.len()].copy_from_slice(bytes);
        }
        Self(key)
    }

    /// HMAC of RFC 2104 with SHA-256.
    fn hmac(&self, message: &[u8]) -> Digest {
        let pad = |byte: u8| self.0.map(|b| b ^ byte);
        let mut inner = Digest::hasher();
        inner.update(pad(0x36));
        inner.update(message);
        let mut outer = Digest::hasher();
        outer.update(pad(0x5c));
        outer.update(inner.finish().as_bytes());
        outer.finish()
    }

    fn pseudonym(&self, value: &Value) -> String {
        self.hmac(value.to_string().as_bytes()).hex()[..16].to_owned()
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(…)")
    }
}

/// A count of which a report may not say all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskedCount {
    /// The count.
    Exact(u64),
    /// From 1 to one less than this.
    Below(u64),
    /// Not said, because a small count could be computed from it.
    Withheld,
}

impl MaskedCount {
    /// The count, where it is said.
    pub fn exact(self) -> Option<u64> {
        if let Self::Exact(count) = self { Some(count) } else { None }
    }
}

impl fmt::Display for MaskedCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(count) => f.pad(&count.to_string()),
            Self::Below(least) => f.pad(&format!("<{least}")),
            Self::Withheld => f.pad("withheld"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_hmac_is_that_of_the_standard() {
        // RFC 4231, test cases 1, 2 and 6.
        let of = |key: &[u8], text: &str| HashKey::of_any_length(key).hmac(text.as_bytes()).hex();
        assert_eq!(
            of(&[0x0b; 20], "Hi There"),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        assert_eq!(
            of(b"Jefe", "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            of(&[0xaa; 131], "Test Using Larger Than Block-Size Key - Hash Key First"),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn a_key_is_long_enough_and_never_printed() {
        assert!(HashKey::new([7; 15]).is_err());
        let key = HashKey::new(b"correct horse battery staple").unwrap();
        assert_eq!(format!("{:?}", Mask::Hash(key)), "Hash(HashKey(…))");
    }

    #[test]
    fn each_mask_shows_what_it_says() {
        let key = Mask::Hash(HashKey::new([1; 16]).unwrap());
        assert_eq!(Mask::Truncate(2).apply(&json!("secret")), json!("se…"));
        assert_eq!(Mask::Truncate(9).apply(&json!("NO")), json!("N…"));
        assert_eq!(Mask::Truncate(9).apply(&json!("N")), json!("…"));
        assert_eq!(Mask::Truncate(9).apply(&json!(1234)), json!("[hidden]"));
        assert_eq!(Mask::Hide.apply(&json!(true)), json!("[hidden]"));
        assert_eq!(Mask::Show.apply(&json!(7)), json!(7));
        assert_eq!(key.apply(&json!("a")), key.apply(&json!("a")));
        assert_ne!(key.apply(&json!("1")), key.apply(&json!(1)));
        for mask in [Mask::Show, Mask::Hide, Mask::Truncate(1), key] {
            assert_eq!(mask.apply(&Value::Null), Value::Null);
        }
    }
}
