//! Requests under a key, which are done once however often they are repeated.

use super::{AliasChange, ChangeKind, NewVersion, Promotion, Rollback, Unset, Version};
use crate::bytes::{put_len, put_str, put_u8, put_u64};
use crate::{Digest, Error, Result};

/// What a registry remembers of a request under a key.
///
/// A caller who does not know whether a request got through (the process died, the connection
/// broke) repeats it under the same key: it is done once, and gives the same answer. What makes
/// two requests the same is all that they ask for; the time and the expected revision, which say
/// when they were asked, are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The model, whose own the key is.
    pub model: String,
    /// The key.
    pub key: String,
    /// The digest of all that is asked for.
    pub digest: Digest,
}

impl Request {
    fn new(model: &str, key: &str, asked: &[u8]) -> Self {
        Self { model: model.into(), key: key.into(), digest: Digest::of(asked) }
    }

    /// The answer again, given the digest and the answer that were stored under its key: the
    /// alias's revision after the move, or the version's number.
    ///
    /// # Errors
    /// [`Error::KeyUsed`] if the key was used for another request.
    pub fn answer(&self, stored: Digest, answer: u64) -> Result<u64> {
        if stored == self.digest {
            return Ok(answer);
        }
        Err(self.key_used(format!("another request, which was answered with {answer}")))
    }

    /// The error of [`answer`](Self::answer) that names the request that has the key, for
    /// backends that look it up: among these moves of the model's aliases, or as the registration
    /// of this version.
    pub fn used(
        &self,
        stored: Digest,
        answer: u64,
        moves: &[AliasChange],
        version: Option<&Version>,
    ) -> Error {
        let own = |request: Option<Self>| request.is_some_and(|request| request.digest == stored);
        let key = Some(self.key.clone());
        let moved = moves.iter().find(|change| own(change.request(key.clone())));
        if let Some(AliasChange { kind, version, alias, actor, reason, .. }) = moved {
            let why = if reason.is_empty() { String::new() } else { format!(", reason: {reason}") };
            let what = match version {
                Some(version) => format!("the {kind} to v{version} at `{alias}`"),
                None => format!("the {kind} of `{alias}`"),
            };
            return self.key_used(format!("{what} by {actor}{why}"));
        }
        match version.filter(|version| own(version.request(key))) {
            Some(Version { number, author, .. }) => {
                self.key_used(format!("the registration of v{number} by {author}"))
            }
            None => self.answer(stored, answer).err().unwrap_or(Error::Cancelled),
        }
    }

    fn key_used(&self, by: String) -> Error {
        Error::KeyUsed { key: self.key.clone(), model: self.model.clone(), by }
    }
}

impl AliasChange {
    /// The request that made it, had it had this key.
    fn request(&self, key: Option<String>) -> Option<Request> {
        match self.kind {
            ChangeKind::Promotion => Promotion {
                key,
                ..Promotion::new(&self.model, &self.alias, self.version?)
                    .by(&self.actor)
                    .because(&self.reason)
            }
            .request(),
            ChangeKind::Rollback => Rollback {
                key,
                ..Rollback::new(&self.model, &self.alias).by(&self.actor).because(&self.reason)
            }
            .request(),
            ChangeKind::Unset => Unset {
                key,
                ..Unset::new(&self.model, &self.alias).by(&self.actor).because(&self.reason)
            }
            .request(),
        }
    }
}

impl Version {
    /// The request that registered it, had it had this key.
    fn request(&self, key: Option<String>) -> Option<Request> {
        let new = NewVersion {
            metrics: self.metrics.clone(),
            params: self.params.clone(),
            tags: self.tags.clone(),
            data_digest: self.data_digest,
            signature: self.signature.clone(),
            lineage: self.lineage.clone(),
            profile_digest: self.profile_digest,
            suite_digest: self.suite_digest,
            key,
            ..NewVersion::new(&self.model, &self.author)
        };
        new.request(self)
    }
}

impl Promotion {
    /// What to remember of this request, if it has a key.
    pub fn request(&self) -> Option<Request> {
        let mut asked = Vec::new();
        for text in ["promote", &self.model, &self.alias, &self.actor, &self.reason] {
            put_str(&mut asked, text);
        }
        put_u64(&mut asked, self.version);
        Some(Request::new(&self.model, self.key.as_deref()?, &asked))
    }
}

impl Rollback {
    /// What to remember of this request, if it has a key.
    pub fn request(&self) -> Option<Request> {
        let mut asked = Vec::new();
        for text in ["rollback", &self.model, &self.alias, &self.actor, &self.reason] {
            put_str(&mut asked, text);
        }
        Some(Request::new(&self.model, self.key.as_deref()?, &asked))
    }
}

impl Unset {
    /// What to remember of this request, if it has a key.
    pub fn request(&self) -> Option<Request> {
        let mut asked = Vec::new();
        for text in ["unset", &self.model, &self.alias, &self.actor, &self.reason] {
            put_str(&mut asked, text);
        }
        Some(Request::new(&self.model, self.key.as_deref()?, &asked))
    }
}

impl NewVersion {
    /// What to remember of this request, if it has a key, given the version that it
    /// [becomes](Self::to_version), whose artifacts are hashed already.
    pub fn request(&self, version: &Version) -> Option<Request> {
        let key = self.key.as_deref()?;
        let mut asked = Vec::new();
        for text in ["register", &self.model, &self.author] {
            put_str(&mut asked, text);
        }
        asked.extend_from_slice(version.digest.as_bytes());
        put_len(&mut asked, self.metrics.len());
        for (name, value) in &self.metrics {
            put_str(&mut asked, name);
            put_u64(&mut asked, value.to_bits());
        }
        for map in [&self.params, &self.tags] {
            put_len(&mut asked, map.len());
            for (name, value) in map {
                put_str(&mut asked, name);
                put_str(&mut asked, value);
            }
        }
        for digest in [self.data_digest, self.profile_digest, self.suite_digest] {
            put_u8(&mut asked, digest.is_some().into());
            asked.extend(digest.iter().flat_map(Digest::as_bytes));
        }
        for text in [&self.lineage.run, &self.lineage.commit] {
            put_u8(&mut asked, text.is_some().into());
            put_str(&mut asked, text.as_deref().unwrap_or_default());
        }
        put_u64(&mut asked, self.lineage.parent.unwrap_or(0));
        put_str(&mut asked, &self.signature.as_ref().map(ToString::to_string).unwrap_or_default());
        Some(Request::new(&self.model, key, &asked))
    }
}
