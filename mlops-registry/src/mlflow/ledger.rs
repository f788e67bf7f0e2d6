//! An append-only log on an MLflow server: the parameters of a run, which can be written once.
//!
//! Entry `n` is the parameter `n` in ten digits. MLflow's parameters have the key for a primary
//! key and refuse another value, so of many that write entry `n` exactly one succeeds, whichever
//! machine it is on: a compare-and-set. What is too long for a parameter is an artifact of the run,
//! by its digest. Every entry holds the digest of the one before it.

use mlops_core::{Digest, Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::MlflowClient;
use super::error::MlflowResult;
use super::runs::NewRun;

/// What fits into a parameter (6000 characters) with all that is around it.
const INLINE_BYTES: usize = 5000;
/// The largest entry.
const BODY_BYTES: u64 = 64 << 20;
/// The tag that marks the run of a ledger.
const MARK: &str = "mlops.ledger";

/// A parameter's value.
#[derive(Serialize, Deserialize)]
struct Written {
    /// The digest of the value before; that of nothing for the first.
    previous: Digest,
    /// Tells two equal changes apart.
    nonce: String,
    /// The change, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
    /// … or where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blob: Option<Digest>,
}

/// The log of one model, as far as it was read.
#[derive(Debug)]
pub(super) struct Ledger {
    run: String,
    uri: String,
    entries: u64,
    last: Digest,
}

/// 128 random bits.
pub(super) fn nonce() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| Error::other("random bits", e.to_string()))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

fn key(entry: u64) -> String {
    format!("{entry:010}")
}

fn blob_path(digest: Digest) -> String {
    format!("ledger/{}.json", digest.hex())
}

impl Ledger {
    /// A new run for a ledger; nobody knows of it yet.
    pub(super) fn create(
        client: &MlflowClient,
        experiment: &str,
        model: &str,
        at: i64,
    ) -> MlflowResult<String> {
        let new = NewRun {
            experiment_id: experiment.to_owned(),
            name: model.to_owned(),
            start_time: at,
            tags: vec![(MARK, model).into()],
            ..NewRun::default()
        };
        Ok(client.create_run(&new)?.info.run_id)
    }

    pub(super) fn open(run: String) -> Self {
        Self { run, uri: String::new(), entries: 0, last: Digest::of(b"") }
    }

    pub(super) fn run(&self) -> &str {
        &self.run
    }

    pub(super) fn uri(&self) -> &str {
        &self.uri
    }

    /// The digest of the last entry, which stands for all of them.
    pub(super) fn last(&self) -> Digest {
        self.last
    }

    pub(super) fn len(&self) -> u64 {
        self.entries
    }

    /// The entries that came since the last look, oldest first, handed on one by one.
    pub(super) fn refresh(
        &mut self,
        client: &MlflowClient,
        mut apply: impl FnMut(Value) -> Result<()>,
    ) -> Result<()> {
        let run = client.run(&self.run)?;
        self.uri.clone_from(&run.info.artifact_uri);
        if self.entries > 0 && run.param(&key(self.entries)).map(Digest::of) != Some(self.last) {
            return Err(self.broken(self.entries, "the entry that was there", "another or none"));
        }
        while let Some(text) = run.param(&key(self.entries + 1)) {
            let entry = self.entries + 1;
            let written: Written = serde_json::from_str(text)
                .map_err(|e| self.broken(entry, "an entry of a ledger", &e.to_string()))?;
            if written.previous != self.last {
                let found = format!("one after {}", written.previous);
                return Err(self.broken(entry, &format!("an entry after {}", self.last), &found));
            }
            let body = match (written.body, written.blob) {
                (Some(body), _) => body,
                (None, Some(digest)) => {
                    let bytes = client.artifact(&self.uri, &blob_path(digest), BODY_BYTES)?;
                    if Digest::of(&bytes) != digest {
                        return Err(self.broken(entry, "the bytes of its digest", "others"));
                    }
                    serde_json::from_slice(&bytes)
                        .map_err(|e| self.broken(entry, "JSON", &e.to_string()))?
                }
                (None, None) => return Err(self.broken(entry, "a body", "none")),
            };
            apply(body)?;
            self.advance(text);
        }
        Ok(())
    }

    fn broken(&self, entry: u64, expected: &str, found: &str) -> Error {
        Error::Decode {
            what: format!("ledger in run {}", self.run),
            offset: entry,
            expected: expected.to_owned(),
            found: found.to_owned(),
        }
    }

    /// The entry that was just appended counts, too, without another look.
    pub(super) fn advance(&mut self, text: &str) {
        self.last = Digest::of(text);
        self.entries += 1;
    }

    /// Writes the next entry, and gives its text; `None` if somebody else was first, and nothing
    /// was written.
    pub(super) fn append(&self, client: &MlflowClient, body: Value) -> Result<Option<String>> {
        let text = body.to_string();
        let mut written = Written { previous: self.last, nonce: nonce()?, body: None, blob: None };
        // Characters that are not ASCII count by what their escapes need below.
        if ascii(&text).len() <= INLINE_BYTES {
            written.body = Some(body);
        } else {
            let digest = Digest::of(&text);
            client.put_artifact(&self.uri, &blob_path(digest), text.as_bytes())?;
            written.blob = Some(digest);
        }
        let text = serde_json::to_string(&written).map_err(|e| Error::other("ledger", e))?;
        // What databases and their collations do to other characters is not our concern then.
        let text = ascii(&text);
        let key = key(self.entries + 1);
        match client.log_param(&self.run, &key, &text) {
            Ok(()) => Ok(Some(text)),
            Err(error) => match client.run(&self.run)?.param(&key) {
                // The first attempt got through and its answer did not.
                Some(found) if found == text => Ok(Some(text)),
                Some(_) => Ok(None),
                None => Err(error.into()),
            },
        }
    }
}

/// JSON without a character that is not ASCII.
fn ascii(json: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(json.len());
    let mut units = [0; 2];
    for c in json.chars() {
        if c.is_ascii() && !c.is_ascii_control() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn escaped_json_means_the_same(text in any::<String>()) {
            let json = Value::from(text.as_str()).to_string();
            let plain = ascii(&json);
            prop_assert!(plain.is_ascii());
            prop_assert_eq!(serde_json::from_str::<String>(&plain).unwrap(), text);
        }
    }

    #[test]
    fn nonces_differ() {
        let (a, b) = (nonce().unwrap(), nonce().unwrap());
        assert_eq!(a.len(), 32);
        assert_ne!(a, b);
    }
}
