//! Personal data in a log that can't be changed: the log has their salted hash, the value stands
//! beside it and can be erased.

use std::fmt;

use mlops_core::{Digest, Error, Result};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// The longest personal value, in bytes: what a registry takes for a comment or a reason.
const VALUE_BYTES: usize = 1 << 20;

/// 32 secret random bytes that keep a hash from being guessed; a new one for every entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; 32]);

impl Salt {
    /// One from the system's generator.
    ///
    /// # Errors
    /// [`Error::Other`] if the system has no randomness to give.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)
            .map_err(|e| Error::other("randomness of the system", e.to_string()))?;
        Ok(Self(bytes))
    }

    /// One from these bytes, which nobody else may know.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The salt of one field, from that of its entry: one of them says nothing of the others.
    pub(super) fn of_field(self, name: &str) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"mlops-audit-salt-v1\0");
        hasher.update(self.0);
        hasher.update(name);
        Self(hasher.finalize().into())
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(…)")
    }
}

/// A personal value, such as a name or what somebody wrote: its salted hash, and the value for as
/// long as it is kept.
///
/// The hash is SHA-256 of `mlops-audit-personal-v1`, a zero byte, the 32 bytes of salt, and the
/// value. While the value is there, it is checked against the hash; after
/// [`erase`](Self::erase), salt and value are gone, and without the salt nobody can find out by
/// trying names whose hash it was. What was hashed over the hash still holds.
///
/// ```
/// use mlops_registry::audit::{Personal, Salt};
/// let mut actor = Personal::new("ana", Salt::from_bytes([7; 32]))?;
/// let hash = actor.hash();
/// assert_eq!(actor.value(), Some("ana"));
/// actor.erase();
/// assert_eq!((actor.value(), actor.hash()), (None, hash));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Personal {
    hash: Digest,
    opening: Option<(Salt, String)>,
}

impl Personal {
    /// This value under this salt.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a value of more than a MiB.
    pub fn new(value: impl Into<String>, salt: Salt) -> Result<Self> {
        let value = value.into();
        if value.len() > VALUE_BYTES {
            let expected = format!("at most {VALUE_BYTES} bytes");
            return Err(Error::invalid("personal value", expected, value.len()));
        }
        Ok(Self { hash: salted(&value, salt), opening: Some((salt, value)) })
    }

    /// The salted hash, which stays.
    pub const fn hash(&self) -> Digest {
        self.hash
    }

    /// The value, unless it was erased.
    pub fn value(&self) -> Option<&str> {
        self.opening.as_ref().map(|(_, value)| value.as_str())
    }

    /// Whether the value was erased.
    pub const fn is_erased(&self) -> bool {
        self.opening.is_none()
    }

    /// Forgets value and salt; whoever keeps copies must erase them there, too.
    pub fn erase(&mut self) {
        self.opening = None;
    }

    pub(super) fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("hash".into(), self.hash.to_string().into());
        if let Some((salt, value)) = &self.opening {
            map.insert("salt".into(), Digest::from_bytes(salt.0).hex().into());
            map.insert("value".into(), value.as_str().into());
        }
        Value::Object(map)
    }

    /// Reads what [`to_json`](Self::to_json) wrote; a value that is not the one that was hashed
    /// is refused.
    pub(super) fn from_json(name: &str, json: Value) -> Result<Self> {
        let bad = |found: &str| {
            Error::invalid(
                format!("personal field `{name}`"),
                "`hash`, and `salt` and `value` that give it or neither",
                found,
            )
        };
        let Value::Object(mut map) = json else { return Err(bad("no object")) };
        let mut text = |key: &str| match map.remove(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(bad(&format!("`{key}` that is no string"))),
        };
        let (hash, salt, value) = (text("hash")?, text("salt")?, text("value")?);
        if let Some(key) = map.keys().next() {
            return Err(bad(&format!("`{}`", key.escape_debug())));
        }
        let hash = hash.ok_or_else(|| bad("no `hash`"))?.parse()?;
        let made = match (salt, value) {
            (None, None) => Self { hash, opening: None },
            (Some(salt), Some(value)) => {
                let salt: Digest = salt.parse()?;
                Self::new(value, Salt(*salt.as_bytes()))?
            }
            _ => return Err(bad("one of `salt` and `value`")),
        };
        if made.hash == hash { Ok(made) } else { Err(bad("another value than was hashed")) }
    }
}

/// The value, or that it was erased.
impl fmt::Display for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value() {
            Some(value) => f.pad(&mlops_core::report::clean(value)),
            None => write!(f, "(erased, {:.15}…)", self.hash.to_string()),
        }
    }
}

fn salted(value: &str, salt: Salt) -> Digest {
    let mut hasher = Digest::hasher();
    hasher.update(b"mlops-audit-personal-v1\0");
    hasher.update(salt.0);
    hasher.update(value);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn salts_differ_and_do_not_show() {
        let (a, b) = (Salt::random().unwrap(), Salt::random().unwrap());
        assert_ne!(a, b);
        assert_ne!(a.of_field("actor"), a.of_field("reason"));
        assert_eq!(format!("{a:?}"), "Salt(…)");
        assert_ne!(
            Personal::new("ana", a).unwrap().hash(),
            Personal::new("ana", b).unwrap().hash()
        );
    }

    #[test]
    fn json_comes_back_or_is_refused() {
        let personal = Personal::new("ana", Salt::from_bytes([1; 32])).unwrap();
        let json = personal.to_json();
        assert_eq!(Personal::from_json("actor", json.clone()).unwrap(), personal);

        for (key, value) in [("value", "ben"), ("salt", &"0".repeat(64)), ("note", "x")] {
            let mut other = json.clone();
            other[key] = value.into();
            assert!(Personal::from_json("actor", other).is_err(), "{key}");
        }
        let mut half = json.clone();
        half.as_object_mut().unwrap().remove("salt");
        assert!(Personal::from_json("actor", half).is_err());

        let mut erased = personal;
        erased.erase();
        assert_eq!(Personal::from_json("actor", erased.to_json()).unwrap(), erased);
        assert!(erased.to_string().starts_with("(erased, sha256:"));
    }

    #[test]
    fn what_is_large_is_refused() {
        assert!(Personal::new("a".repeat(VALUE_BYTES), Salt::from_bytes([0; 32])).is_ok());
        assert!(Personal::new("a".repeat(VALUE_BYTES + 1), Salt::from_bytes([0; 32])).is_err());
    }
}
