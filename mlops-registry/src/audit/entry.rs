//! An entry of the log: what was done, by whom, when, to what, and the hash of the entry before.

use std::collections::BTreeMap;
use std::fmt;

use mlops_core::report::clean;
use mlops_core::{Digest, Error, Result, Timestamp, canonical_json};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::merkle;
use super::personal::{Personal, Salt};

/// The version of the form that is hashed.
const VERSION: u64 = 1;
/// The longest line of an entry, in bytes.
pub(super) const LINE_BYTES: usize = 16 << 20;
/// The longest action, subject or name of a personal field, in bytes.
const LABEL_BYTES: usize = 512;

/// Something that was done, before it has a place in a log.
///
/// Everything that concerns a person goes into `actor` and
/// [`with_personal`](Self::with_personal), so that it can be erased; `subject` and `detail` stay
/// for as long as the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// When.
    pub at: Timestamp,
    /// What was done: `register`, `gate`, `approve`, `policy`, `promote`, `rollback`, `erase`.
    pub action: String,
    /// To what: `loans v3`, `loans@champion`.
    pub subject: String,
    /// Who did it.
    pub actor: String,
    /// More that concerns a person, by name: `reason`, `comment`, `approved_by`.
    pub personal: BTreeMap<String, String>,
    /// All else: before and after, digests, numbers. `null` if there is nothing.
    pub detail: Value,
}

impl Draft {
    /// This was done.
    pub fn new(
        at: Timestamp,
        actor: impl Into<String>,
        action: impl Into<String>,
        subject: impl Into<String>,
    ) -> Self {
        Self {
            at,
            action: action.into(),
            subject: subject.into(),
            actor: actor.into(),
            personal: BTreeMap::new(),
            detail: Value::Null,
        }
    }

    /// That the personal values of these entries were erased ([`Entry::erase`]): the action
    /// `erase`, and their numbers as `detail`. A [`Verifier`](super::Verifier) asks for such an
    /// entry wherever a value is gone.
    pub fn erasure(
        at: Timestamp,
        actor: impl Into<String>,
        entries: impl IntoIterator<Item = u64>,
    ) -> Self {
        let entries: Vec<u64> = entries.into_iter().collect();
        let detail = serde_json::json!({ "entries": entries });
        Self::new(at, actor, ERASE, "audit log").with_detail(detail)
    }

    /// The same, with a value that concerns a person.
    #[must_use]
    pub fn with_personal(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.personal.insert(name.into(), value.into());
        self
    }

    /// The same, with all else that is worth keeping.
    #[must_use]
    pub fn with_detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }
}

/// The personal field that names who approved: others than the actor.
pub(crate) const APPROVED_BY: &str = "approved_by";

/// The personal field that names who set the policy, another than the actor, too.
pub(crate) const POLICY_BY: &str = "policy_by";

/// The action of [`Draft::erasure`].
const ERASE: &str = "erase";

/// The end of a log: how many entries it has, and the hash of the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many entries.
    pub len: u64,
    /// The hash of the last one.
    pub hash: Digest,
}

impl Head {
    /// The end of a log without entries. Its hash is that of the empty tree, of no bytes.
    pub fn empty() -> Self {
        Self { len: 0, hash: Digest::of([]) }
    }
}

impl Default for Head {
    fn default() -> Self {
        Self::empty()
    }
}

/// An entry of an audit log.
///
/// What is hashed is canonical JSON ([`canonical_json`]) of all fields, the personal ones by
/// their salted hashes alone; [`hash`](Self::hash) is that of a Merkle tree's leaf (RFC 6962), so
/// that the chain and the tree are made of the same hashes. Written down ([`to_json`](Self::to_json),
/// serde), an entry has its personal values, too, unless they were erased. Reading checks all of
/// it but the place in a log, which [`follows`](Self::follows) does.
///
/// ```
/// use mlops_core::Timestamp;
/// use mlops_registry::audit::{Draft, Entry, Head, Salt};
///
/// let at: Timestamp = "2026-01-31T12:00:00Z".parse()?;
/// let draft = Draft::new(at, "ana", "promote", "loans@champion")
///     .with_personal("reason", "ROC AUC 0.81")
///     .with_detail(serde_json::json!({"version": 2, "previous": 1}));
/// let mut entry = Entry::next(Head::empty(), draft, Salt::random()?)?;
/// let hash = entry.hash()?;
///
/// entry.erase();
/// assert_eq!(entry.actor().value(), None);
/// assert_eq!(entry.hash()?, hash);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    seq: u64,
    at: Timestamp,
    action: String,
    subject: String,
    actor: Personal,
    personal: BTreeMap<String, Personal>,
    detail: Value,
    previous: Digest,
}

impl Entry {
    /// The entry that follows this end of a log.
    ///
    /// The salt must be new: [`Salt::random`].
    ///
    /// # Errors
    /// [`Error::Invalid`] for an action or subject that is empty, too long or has control
    /// characters, for a detail that has no canonical form, and for more than 16 MiB.
    pub fn next(head: Head, draft: Draft, salt: Salt) -> Result<Self> {
        let personal = draft.personal.into_iter().map(|(name, value)| {
            let value = Personal::new(value, salt.of_field(&name))?;
            Ok((name, value))
        });
        let entry = Self {
            seq: head.len,
            at: draft.at,
            action: draft.action,
            subject: draft.subject,
            // No other field has this name.
            actor: Personal::new(draft.actor, salt.of_field("\0actor"))?,
            personal: personal.collect::<Result<_>>()?,
            detail: draft.detail,
            previous: head.hash,
        };
        entry.check()?;
        Ok(entry)
    }

    /// Its number, from 0: its index among the leaves of the tree.
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// When it was done, as the caller said. The order is that of the numbers.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// What was done.
    pub fn action(&self) -> &str {
        &self.action
    }

    /// To what.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Who did it.
    pub const fn actor(&self) -> &Personal {
        &self.actor
    }

    /// More that concerns a person, by name.
    pub const fn personal(&self) -> &BTreeMap<String, Personal> {
        &self.personal
    }

    /// All else.
    pub const fn detail(&self) -> &Value {
        &self.detail
    }

    /// The hash of the entry before; of no bytes for the first.
    pub const fn previous(&self) -> Digest {
        self.previous
    }

    /// The bytes that are hashed: canonical JSON in which personal fields are their hashes.
    ///
    /// # Errors
    /// None for an entry that was made or read by this library.
    pub fn canonical_bytes(&self) -> Result<Vec<u8>> {
        let json = self.json(|personal| personal.hash().to_string().into());
        Ok(canonical_json(&json)?.into_bytes())
    }

    /// The hash: SHA-256 of a zero byte and the canonical bytes.
    ///
    /// # Errors
    /// Those of [`canonical_bytes`](Self::canonical_bytes).
    pub fn hash(&self) -> Result<Digest> {
        Ok(merkle::leaf_hash(&self.canonical_bytes()?))
    }

    /// The end of the log whose last entry this is.
    ///
    /// # Errors
    /// Those of [`canonical_bytes`](Self::canonical_bytes).
    pub fn head(&self) -> Result<Head> {
        Ok(Head { len: self.seq + 1, hash: self.hash()? })
    }

    /// Whether this is the entry that follows this end of a log.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the number or the hash that was expected.
    pub fn follows(&self, head: Head) -> Result<()> {
        let what = || format!("audit entry {}", head.len);
        if self.seq != head.len {
            return Err(Error::invalid(what(), format!("number {}", head.len), self.seq));
        }
        if self.previous != head.hash {
            let expected = format!("{} as the entry before", head.hash);
            return Err(Error::invalid(what(), expected, self.previous));
        }
        Ok(())
    }

    /// Forgets the personal values, the actor's too; the hash stays. The log should say so
    /// ([`Draft::erasure`]), and what else keeps a copy must erase it as well.
    pub fn erase(&mut self) {
        self.actor.erase();
        self.personal.values_mut().for_each(Personal::erase);
    }

    /// Forgets what concerns this person: where they are the actor, the name and all that they
    /// wrote; elsewhere, values that name them, alone or in a list. Says whether anything did.
    pub fn erase_person(&mut self, person: &str) -> bool {
        let own = self.actor.value() == Some(person);
        if own {
            self.actor.erase();
        }
        let mut erased = own;
        let listed = format!(", {person}, ");
        for (name, value) in &mut self.personal {
            let Some(text) = value.value() else { continue };
            let written = own && ![APPROVED_BY, POLICY_BY].contains(&name.as_str());
            if written || format!(", {text}, ").contains(&listed) {
                value.erase();
                erased = true;
            }
        }
        erased
    }

    /// Whether a personal value of it was erased.
    pub fn is_erased(&self) -> bool {
        self.actor.is_erased() || self.personal.values().any(Personal::is_erased)
    }

    /// The numbers of the entries whose erasure this one records; empty if it is no
    /// [erasure](Draft::erasure).
    pub fn erases(&self) -> Vec<u64> {
        if self.action != ERASE {
            return Vec::new();
        }
        let entries = self.detail.get("entries").and_then(Value::as_array);
        entries.into_iter().flatten().filter_map(Value::as_u64).collect()
    }

    /// The entry with its personal values as canonical JSON, one line: what a log stores and
    /// exports.
    ///
    /// # Errors
    /// Those of [`canonical_bytes`](Self::canonical_bytes).
    pub fn to_json(&self) -> Result<String> {
        canonical_json(&self.json(Personal::to_json))
    }

    /// Reads what [`to_json`](Self::to_json) wrote, and nothing else: one byte that differs is an
    /// error, whatever JSON thinks of it.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what was expected.
    pub fn from_json(text: &str) -> Result<Self> {
        if text.len() > LINE_BYTES {
            let expected = format!("at most {LINE_BYTES} bytes");
            return Err(Error::invalid("audit entry", expected, format!("{} bytes", text.len())));
        }
        let json: Value = serde_json::from_str(text)
            .map_err(|e| Error::invalid("audit entry", "an entry as JSON", e))?;
        let entry = Self::from_value(json)?;
        if entry.to_json()? != text {
            let expected = "canonical JSON (RFC 8785)";
            return Err(Error::invalid("audit entry", expected, "another text of the same"));
        }
        Ok(entry)
    }

    fn json(&self, of: impl Fn(&Personal) -> Value) -> Value {
        let personal: Map<_, _> = self.personal.iter().map(|(k, p)| (k.clone(), of(p))).collect();
        serde_json::json!({
            "action": self.action,
            "actor": of(&self.actor),
            "at": self.at.to_string(),
            "detail": self.detail,
            "personal": personal,
            "previous": self.previous.to_string(),
            "seq": self.seq,
            "subject": self.subject,
            "version": VERSION,
        })
    }

    fn from_value(json: Value) -> Result<Self> {
        let Value::Object(mut map) = json else {
            return Err(Error::invalid("audit entry", "a JSON object", "something else"));
        };
        let fields = &mut map;
        let version = number(fields, "version")?;
        if version != VERSION {
            return Err(Error::invalid("audit entry", format!("version {VERSION}"), version));
        }
        let Value::Object(personal) = field(fields, "personal")? else {
            return Err(Error::invalid("audit entry", "`personal` that is an object", "another"));
        };
        let personal = personal.into_iter().map(|(name, json)| {
            let read = Personal::from_json(&clean(&name), json)?;
            Ok((name, read))
        });
        let entry = Self {
            seq: number(fields, "seq")?,
            at: text(fields, "at")?.parse()?,
            action: text(fields, "action")?,
            subject: text(fields, "subject")?,
            actor: Personal::from_json("actor", field(fields, "actor")?)?,
            personal: personal.collect::<Result<_>>()?,
            detail: field(fields, "detail")?,
            previous: text(fields, "previous")?.parse()?,
        };
        if let Some(name) = map.keys().next() {
            return Err(Error::invalid("audit entry", "no other field", clean(name)));
        }
        entry.check()?;
        Ok(entry)
    }

    /// What every entry keeps to, made or read.
    fn check(&self) -> Result<()> {
        let labels = [("action", &self.action), ("subject", &self.subject)];
        let names = self.personal.keys().map(|name| ("name of a personal field", name));
        for (what, label) in labels.into_iter().chain(names) {
            if label.is_empty() || label.len() > LABEL_BYTES || label.contains(char::is_control) {
                return Err(Error::invalid(
                    format!("{what} of an audit entry"),
                    format!("1 to {LABEL_BYTES} bytes, no control characters"),
                    format!("`{:.60}`, {} bytes", clean(label), label.len()),
                ));
            }
        }
        let bytes = self.to_json()?.len();
        if bytes > LINE_BYTES {
            let expected = format!("at most {LINE_BYTES} bytes (what is larger is an artifact)");
            return Err(Error::invalid("audit entry", expected, format!("{bytes} bytes")));
        }
        Ok(())
    }
}

fn field(map: &mut Map<String, Value>, name: &str) -> Result<Value> {
    map.remove(name)
        .ok_or_else(|| Error::invalid("audit entry", format!("a field `{name}`"), "none"))
}

fn text(map: &mut Map<String, Value>, name: &str) -> Result<String> {
    match field(map, name)? {
        Value::String(text) => Ok(text),
        _ => Err(Error::invalid("audit entry", format!("`{name}` that is a string"), "another")),
    }
}

fn number(map: &mut Map<String, Value>, name: &str) -> Result<u64> {
    let bad = || Error::invalid("audit entry", format!("`{name}` that is a number"), "another");
    field(map, name)?.as_u64().ok_or_else(bad)
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json(Personal::to_json).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// One line for a person.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [action, subject] = [&self.action, &self.subject].map(|t| clean(t));
        write!(f, "{:>5}  {}  {action:<9} {subject} by {}", self.seq, self.at, self.actor)?;
        for (name, value) in &self.personal {
            write!(f, ", {}: {value}", clean(name))?;
        }
        if self.detail.is_null() { Ok(()) } else { write!(f, "  {}", self.detail) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry() -> Entry {
        let draft = Draft::new(Timestamp::from_millis(0), "ana", "approve", "loans v1")
            .with_personal("comment", "read the report")
            .with_detail(json!({"digest": "sha256:00", "auc": 0.8125}));
        Entry::next(Head::empty(), draft, Salt::from_bytes([3; 32])).unwrap()
    }

    #[test]
    fn the_hash_is_of_this_text() {
        let entry = entry();
        let hashes = [entry.actor().hash(), entry.personal()["comment"].hash()];
        let text = format!(
            r#"{{"action":"approve","actor":"{}","at":"1970-01-01T00:00:00Z","detail":{{"auc":0.8125,"digest":"sha256:00"}},"personal":{{"comment":"{}"}},"previous":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","seq":0,"subject":"loans v1","version":1}}"#,
            hashes[0], hashes[1]
        );
        assert_eq!(String::from_utf8(entry.canonical_bytes().unwrap()).unwrap(), text);
        assert_eq!(entry.hash().unwrap(), Digest::of(format!("\0{text}")));
        assert_eq!(entry.head().unwrap(), Head { len: 1, hash: entry.hash().unwrap() });
    }

    #[test]
    fn it_comes_back_whole_and_erased() {
        let mut entry = entry();
        let hash = entry.hash().unwrap();
        for erased in [false, true] {
            if erased {
                entry.erase();
            }
            let text = entry.to_json().unwrap();
            assert_eq!(text.contains("ana"), !erased);
            let read = Entry::from_json(&text).unwrap();
            assert_eq!((&read, read.hash().unwrap(), read.is_erased()), (&entry, hash, erased));
            let json = serde_json::to_string(&entry).unwrap();
            assert_eq!(serde_json::from_str::<Entry>(&json).unwrap(), entry);
        }
    }

    #[test]
    fn a_person_is_erased_and_nobody_else() {
        let draft = Draft::new(Timestamp::from_millis(0), "ana", "promote", "loans@champion")
            .with_personal("reason", "better")
            .with_personal(APPROVED_BY, "ben, cleo");
        let whole = Entry::next(Head::empty(), draft, Salt::from_bytes([3; 32])).unwrap();
        let values = |entry: &Entry| {
            let personal = &entry.personal;
            [entry.actor(), &personal["reason"], &personal[APPROVED_BY]]
                .map(|p| p.value().map(str::to_owned))
        };
        for (person, kept) in [
            ("ana", [None, None, Some("ben, cleo")]),
            ("cleo", [Some("ana"), Some("better"), None]),
            ("en, cleo", [Some("ana"), Some("better"), Some("ben, cleo")]),
            ("an", [Some("ana"), Some("better"), Some("ben, cleo")]),
        ] {
            let mut entry = whole.clone();
            assert_eq!(entry.erase_person(person), entry != whole, "{person}");
            assert_eq!(values(&entry), kept.map(|v| v.map(str::to_owned)), "{person}");
            assert_eq!(entry.hash().unwrap(), whole.hash().unwrap(), "{person}");
            assert!(!entry.erase_person(person), "{person} is gone already");
        }
    }

    #[test]
    fn only_its_own_text_is_read() {
        let text = entry().to_json().unwrap();
        for (from, to) in [
            (r#""seq":0"#, r#""seq": 0"#),
            (r#""seq":0"#, r#""seq":-0"#),
            (r#""seq":0"#, r#""seq":0,"seq":0"#),
            (r#""seq":0"#, r#""seq":0,"more":0"#),
            (r#""version":1"#, r#""version":2"#),
            (r#""action":"approve","#, ""),
            (r#""action":"approve""#, r#""action":"""#),
            ("0.8125", "0.81250"),
            ("00:00:00Z", "00:00:00.000Z"),
            (r#""ana""#, r#""ann""#),
            ("sha256:e3", "sha256:E3"),
        ] {
            let other = text.replacen(from, to, 1);
            assert_ne!(other, text);
            assert!(Entry::from_json(&other).is_err(), "{to}");
        }
    }

    #[test]
    fn it_follows_one_end_only() {
        let first = entry();
        let draft = Draft::erasure(Timestamp::from_millis(1), "ben", [0]);
        let head = first.head().unwrap();
        let second = Entry::next(head, draft, Salt::random().unwrap()).unwrap();
        assert!(second.follows(head).is_ok());
        assert!(second.follows(Head::empty()).is_err());
        assert!(second.follows(Head { hash: Digest::of("another"), ..head }).is_err());
        assert_eq!((second.erases(), first.erases()), (vec![0], vec![]));
    }

    #[test]
    fn what_can_not_be_logged_is_refused() {
        let draft = || Draft::new(Timestamp::from_millis(0), "ana", "approve", "loans v1");
        let next = |draft| Entry::next(Head::empty(), draft, Salt::from_bytes([0; 32]));
        assert!(next(draft()).is_ok());
        assert!(next(Draft { action: String::new(), ..draft() }).is_err());
        assert!(next(Draft { subject: "a\nb".into(), ..draft() }).is_err());
        assert!(next(Draft { subject: "a".repeat(LABEL_BYTES + 1), ..draft() }).is_err());
        assert!(next(draft().with_personal("", "x")).is_err());
        assert!(next(draft().with_detail(json!(u64::MAX))).is_err());
        assert!(next(draft().with_detail(json!("x".repeat(LINE_BYTES)))).is_err());
    }
}
