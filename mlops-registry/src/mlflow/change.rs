//! What a registry on MLflow writes down, and what follows from it.

use std::collections::BTreeMap;

use mlops_core::{
    AliasChange, Approval, Artifact, Digest, Error, GateReport, Lineage, PromotionPolicy, Request,
    Result, SetPolicy, Signature, Timestamp, Version, Withdrawal, manifest_digest,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A change of a model's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub(super) enum Change {
    Register(Box<Record>),
    Gate { number: u64, report: GateReport },
    Approve { number: u64, approval: Approval },
    Withdraw { number: u64, withdrawal: Withdrawal },
    Policy { alias: String, policy: PromotionPolicy, actor: String, at: Timestamp },
    Move(Box<Move>),
}

/// A move of an alias, and the request under a key that asked for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Move {
    #[serde(flatten)]
    pub(super) change: AliasChange,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) request: Option<Keyed>,
}

/// A request under a key, which is done once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Keyed {
    key: String,
    digest: Digest,
}

impl From<&Request> for Keyed {
    fn from(request: &Request) -> Self {
        Self { key: request.key.clone(), digest: request.digest }
    }
}

/// A version as it was registered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) number: u64,
    /// Where its files lie below the run's artifacts.
    pub(super) directory: String,
    pub(super) digest: Digest,
    pub(super) author: String,
    pub(super) created_at: Timestamp,
    pub(super) artifacts: Vec<Artifact>,
    #[serde(with = "bits")]
    pub(super) metrics: BTreeMap<String, f64>,
    pub(super) params: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) data_digest: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) signature: Option<Signature>,
    #[serde(default)]
    pub(super) lineage: Lineage,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) profile_digest: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) suite_digest: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) request: Option<Keyed>,
}

impl Record {
    pub(super) fn new(version: &Version, directory: String, request: Option<&Request>) -> Self {
        Self {
            number: version.number,
            directory,
            digest: version.digest,
            author: version.author.clone(),
            created_at: version.created_at,
            artifacts: version.artifacts.clone(),
            metrics: version.metrics.clone(),
            params: version.params.clone(),
            tags: version.tags.clone(),
            data_digest: version.data_digest,
            signature: version.signature.clone(),
            lineage: version.lineage.clone(),
            profile_digest: version.profile_digest,
            suite_digest: version.suite_digest,
            request: request.map(Keyed::from),
        }
    }

    fn into_version(self, model: &str) -> Result<Version> {
        if manifest_digest(&self.artifacts) != self.digest {
            return Err(Error::Decode {
                what: format!("{model} v{}", self.number),
                offset: 0,
                expected: format!("artifacts of {}", self.digest),
                found: "others".into(),
            });
        }
        let mut version =
            Version::new(model, self.number, self.digest, self.author, self.created_at);
        version.artifacts = self.artifacts;
        version.metrics = self.metrics;
        version.params = self.params;
        version.tags = self.tags;
        version.data_digest = self.data_digest;
        version.signature = self.signature;
        version.lineage = self.lineage;
        version.profile_digest = self.profile_digest;
        version.suite_digest = self.suite_digest;
        Ok(version)
    }
}

/// Floats to the bit: JSON has no NaN, and NaN has many bits.
mod bits {
    use std::collections::BTreeMap;

    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};
    use serde_json::Value;

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<String, f64>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_map(map.iter().map(|(name, x)| {
            let value = if x.is_finite() {
                Value::from(*x)
            } else {
                Value::from(format!("{:016x}", x.to_bits()))
            };
            (name, value)
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<String, f64>, D::Error> {
        let map: BTreeMap<String, Value> = BTreeMap::deserialize(from)?;
        map.into_iter()
            .map(|(name, value)| {
                let number = match &value {
                    Value::String(hex) => u64::from_str_radix(hex, 16).ok().map(f64::from_bits),
                    value => value.as_f64(),
                };
                let bad = || D::Error::custom(format!("metric `{name}` is no number"));
                Ok((name.clone(), number.ok_or_else(bad)?))
            })
            .collect()
    }
}

/// A model's state: what all changes so far make of nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    versions: BTreeMap<u64, (Version, String)>,
    history: BTreeMap<String, Vec<AliasChange>>,
    policies: BTreeMap<String, SetPolicy>,
    /// What was answered to requests, by their keys.
    requests: BTreeMap<String, (Digest, u64)>,
}

impl State {
    pub(super) fn apply(&mut self, model: &str, body: Value) -> Result<()> {
        let change: Change = serde_json::from_value(body).map_err(|e| {
            Error::invalid(format!("change of {model}"), "one that this release knows", e)
        })?;
        match change {
            Change::Register(record) => {
                let (directory, request) = (record.directory.clone(), record.request.clone());
                let version = record.into_version(model)?;
                self.remember(request, version.number);
                self.versions.insert(version.number, (version, directory));
            }
            Change::Gate { number, report } => {
                let version = self.version_mut(model, number)?;
                version.check_gate(&report)?;
                version.gates.push(report);
            }
            Change::Approve { number, approval } => {
                let version = self.version_mut(model, number)?;
                if approval.decide(version)? {
                    version.approvals.push(approval);
                }
            }
            Change::Withdraw { number, withdrawal } => {
                let version = self.version_mut(model, number)?;
                if let Some(withdrawn) = withdrawal.decide(version)? {
                    version.take_back(withdrawn);
                }
            }
            Change::Policy { alias, policy, actor, at } => {
                self.policies.insert(alias, SetPolicy { policy, by: actor, at });
            }
            Change::Move(moved) => {
                let Move { change, request } = *moved;
                let history = self.history.entry(change.alias.clone()).or_default();
                if change.revision != history.len() as u64 + 1 {
                    return Err(Error::Decode {
                        what: format!("history of {model}@{}", change.alias),
                        offset: history.len() as u64,
                        expected: format!("revision {}", history.len() + 1),
                        found: change.revision.to_string(),
                    });
                }
                let revision = change.revision;
                history.push(change);
                self.remember(request, revision);
            }
        }
        Ok(())
    }

    fn remember(&mut self, request: Option<Keyed>, answer: u64) {
        if let Some(Keyed { key, digest }) = request {
            self.requests.insert(key, (digest, answer));
        }
    }

    /// The answer that was given to this request before.
    pub(super) fn repeated(&self, request: Option<&Request>) -> Result<Option<u64>> {
        let Some(request) = request else { return Ok(None) };
        let before = self.requests.get(&request.key);
        let again = |(digest, answer): &(Digest, u64)| {
            request.answer(*digest, *answer).map_err(|_| {
                let moves = self.history.values().flatten();
                let moves: Vec<_> = moves.filter(|c| c.revision == *answer).cloned().collect();
                let version = self.versions.get(answer).map(|(version, _)| version);
                request.used(*digest, *answer, &moves, version)
            })
        };
        before.map(again).transpose()
    }

    /// The version as it was when it was registered.
    pub(super) fn registered(&self, model: &str, number: u64) -> Result<Version> {
        let mut version = self.version(model, number)?.clone();
        version.gates.clear();
        version.approvals.clear();
        version.withdrawn.clear();
        Ok(version)
    }

    pub(super) fn numbers(&self) -> Vec<u64> {
        self.versions.keys().copied().collect()
    }

    pub(super) fn version(&self, model: &str, number: u64) -> Result<&Version> {
        let found = self.versions.get(&number).map(|(version, _)| version);
        found.ok_or_else(|| self.no_version(model, number))
    }

    fn no_version(&self, model: &str, number: u64) -> Error {
        let last = self.versions.keys().next_back().copied().unwrap_or(0);
        crate::no_version(model, number, last, [model])
    }

    /// Where a version's files lie.
    pub(super) fn directory(&self, number: u64) -> Option<&str> {
        self.versions.get(&number).map(|(_, directory)| directory.as_str())
    }

    fn version_mut(&mut self, model: &str, number: u64) -> Result<&mut Version> {
        let missing = self.no_version(model, number);
        self.versions.get_mut(&number).map(|(version, _)| version).ok_or(missing)
    }

    pub(super) fn history(&self, alias: &str) -> &[AliasChange] {
        self.history.get(alias).map_or(&[], Vec::as_slice)
    }

    pub(super) fn aliases(&self) -> impl Iterator<Item = &AliasChange> {
        self.history.values().filter_map(|history| history.last())
    }

    pub(super) fn policy(&self, alias: &str) -> Option<&SetPolicy> {
        self.policies.get(alias)
    }

    /// The names that aliases have, of those with a policy alone, too.
    pub(super) fn alias_names(&self) -> impl Iterator<Item = &str> {
        self.history.keys().chain(self.policies.keys()).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use mlops_core::NewVersion;

    use super::*;

    #[test]
    fn a_version_comes_back_to_the_bit() {
        let mut new = NewVersion::new("loans", "ana").with_artifact("model.json", "{}");
        for (n, bits) in [0, 1, 1 << 63, u64::MAX, 0x7ff8 << 48, 0x7ff0 << 48, 0xfff0 << 48]
            .into_iter()
            .enumerate()
        {
            new = new.with_metric(format!("m{n}"), f64::from_bits(bits));
        }
        let version = new.to_version(3, Timestamp::from_millis(5));
        let change = Change::Register(Box::new(Record::new(&version, "versions/x".into(), None)));
        let text = serde_json::to_string(&change).unwrap();
        let mut state = State::default();
        state.apply("loans", serde_json::from_str(&text).unwrap()).unwrap();
        let read = state.version("loans", 3).unwrap();
        let bits = |v: &Version| v.metrics.values().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(read), bits(&version));
        assert_eq!(read.artifacts, version.artifacts);
        assert_eq!(state.directory(3), Some("versions/x"));
        // Other files than the digest speaks of.
        let other = text.replace("model.json", "other.json");
        assert!(State::default().apply("loans", serde_json::from_str(&other).unwrap()).is_err());
        assert!(state.apply("loans", serde_json::json!({ "change": "of the future" })).is_err());
    }
}
