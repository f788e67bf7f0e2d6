//! The seam of the registry: versions, aliases, approvals, promotion, history.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Digest, Error, GateReport, Result, Timestamp};

mod ask;
mod quorum;
mod request;
mod roles;
mod rules;
mod show;
mod signature;
mod stage;
mod why;

pub use request::Request;
pub use roles::Roles;
pub use rules::{
    check_name, check_new_name, check_paths, history_flaws, is_erased, manifest_digest, same_person,
};
pub use show::Listing;
pub use signature::Signature;
pub use stage::{Lineup, Stage};
pub use why::{GateEvidence, Why};

/// A version to be registered.
#[derive(Clone, Debug, Default)]
pub struct NewVersion {
    /// The model's name: ASCII letters, digits, `_`, `-`, `.`; at most 128 bytes.
    pub model: String,
    /// Who made it. An author can't approve their own version.
    pub author: String,
    /// Its files: name (a relative path without `..`) and bytes. At least one.
    pub artifacts: BTreeMap<String, Vec<u8>>,
    /// Numbers measured on it. NaN and ±inf are kept.
    pub metrics: BTreeMap<String, f64>,
    /// What it was trained with.
    pub params: BTreeMap<String, String>,
    /// Anything else worth keeping.
    pub tags: BTreeMap<String, String>,
    /// The digest of the data that it was trained on.
    pub data_digest: Option<Digest>,
    /// What it takes and what it gives.
    pub signature: Option<Signature>,
    /// What it was made from.
    pub lineage: Lineage,
    /// The digest of the reference profile that drift is measured against.
    pub profile_digest: Option<Digest>,
    /// The digest of the suite that its data must pass.
    pub suite_digest: Option<Digest>,
    /// A name for this request: repeated under it, it is done once ([`Request`]).
    pub key: Option<String>,
}

/// What a version was made from, beside its data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The run that trained it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The commit of the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The version of the same model that it was derived from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u64>,
}

/// A file of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its name within the version.
    pub name: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
}

/// A registered version: immutable but for the gates and approvals that gather on it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Version {
    /// The model's name.
    pub model: String,
    /// 1, 2, 3, …
    pub number: u64,
    /// The digest of the manifest of its artifacts: what a gate report must speak of.
    pub digest: Digest,
    /// Who made it.
    pub author: String,
    /// When it was registered.
    pub created_at: Timestamp,
    /// Its files, sorted by name.
    pub artifacts: Vec<Artifact>,
    /// Numbers measured on it.
    pub metrics: BTreeMap<String, f64>,
    /// What it was trained with.
    pub params: BTreeMap<String, String>,
    /// Anything else.
    pub tags: BTreeMap<String, String>,
    /// The digest of the data that it was trained on.
    pub data_digest: Option<Digest>,
    /// What it takes and what it gives.
    pub signature: Option<Signature>,
    /// What it was made from.
    pub lineage: Lineage,
    /// The digest of the reference profile that drift is measured against.
    pub profile_digest: Option<Digest>,
    /// The digest of the suite that its data must pass.
    pub suite_digest: Option<Digest>,
    /// The gate reports, oldest first.
    pub gates: Vec<GateReport>,
    /// The approvals that stand, oldest first.
    pub approvals: Vec<Approval>,
    /// Those that were taken back, in the order in which they were.
    pub withdrawn: Vec<Withdrawn>,
}

impl Version {
    /// A version with these fields and nothing gathered on it yet; what backends start from.
    pub fn new(
        model: impl Into<String>,
        number: u64,
        digest: Digest,
        author: impl Into<String>,
        created_at: Timestamp,
    ) -> Self {
        Self {
            model: model.into(),
            number,
            digest,
            author: author.into(),
            created_at,
            artifacts: Vec::new(),
            metrics: BTreeMap::new(),
            params: BTreeMap::new(),
            tags: BTreeMap::new(),
            data_digest: None,
            signature: None,
            lineage: Lineage::default(),
            profile_digest: None,
            suite_digest: None,
            gates: Vec::new(),
            approvals: Vec::new(),
            withdrawn: Vec::new(),
        }
    }

    /// The latest report of every gate, by the gate's name.
    pub fn latest_gates(&self) -> BTreeMap<&str, &GateReport> {
        let mut latest: BTreeMap<&str, &GateReport> = BTreeMap::new();
        for report in &self.gates {
            let slot = latest.entry(report.gate.as_str()).or_insert(report);
            if report.at >= slot.at {
                *slot = report;
            }
        }
        latest
    }

    /// Why this version may not be promoted under this policy; empty if it may.
    ///
    /// Every gate's latest report must be a pass on this version's digest, and there must be at
    /// least one; the required gates must be among them, none older than the policy allows; and
    /// enough people other than the author must have approved, so many in each role that the policy
    /// names. A person counts once: who has two roles stands for one of them, for whichever the
    /// policy is met by, if by any.
    ///
    /// Times are the callers': the report that was recorded last must be a pass, too, so that
    /// neither one with a time to come nor an old one that is recorded again hides a failure.
    pub fn obstacles(
        &self,
        policy: &PromotionPolicy,
        roles: &Roles,
        now: Timestamp,
    ) -> Vec<String> {
        let mut reasons = Vec::new();
        let latest = self.latest_gates();
        if latest.is_empty() {
            reasons.push("no gate was run on it".to_owned());
        }
        for gate in &policy.required_gates {
            if !latest.contains_key(gate.as_str()) {
                reasons.push(format!("gate `{gate}` was not run on it"));
            }
        }
        for (gate, report) in latest {
            if report.subject != self.digest {
                reasons.push(format!("gate `{gate}` judged other bytes ({})", report.subject));
            } else if !report.is_open() {
                reasons.push(format!("gate `{gate}` says {}", report.assessment.verdict));
            }
            let last = self.gates.iter().rfind(|report| report.gate == gate);
            if let Some(last) = last.filter(|last| report.is_open() && !last.is_open()) {
                let verdict = last.assessment.verdict;
                reasons.push(format!("gate `{gate}` says {verdict} in what was recorded last"));
            }
            // One from the future would outlast every later report.
            if report.at > now {
                reasons.push(format!("gate `{gate}` was run at {}, after {now}", report.at));
            }
            let age = now.millis().saturating_sub(report.at.millis());
            if policy.max_gate_age_millis.is_some_and(|most| age > most) {
                reasons.push(format!("gate `{gate}` was run at {}, which is too old", report.at));
            }
        }
        reasons.extend(self.stand_for(policy, roles).missing);
        reasons
    }
}

/// A named person's consent to a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who.
    pub by: String,
    /// Why, in their words.
    pub comment: String,
    /// When.
    pub at: Timestamp,
}

/// A request of who approved a version to take the approval back ([`Withdrawal::new`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// Who: the person who approved.
    pub by: String,
    /// Why, in their words; not empty.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// An approval that was taken back by who gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// The approval as it was given.
    pub approval: Approval,
    /// Why it was taken back.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// What an alias demands of a version before it moves there; stored with the registry, so that
/// who promotes does not choose it.
///
/// ```
/// use mlops_core::PromotionPolicy;
/// let policy = PromotionPolicy { approvals: 3, ..PromotionPolicy::default() }
///     .with_role("engineering", 1)
///     .with_role("risk", 1);
/// assert!(policy.to_string().contains("by 3, 1 in the role `engineering`, 1 in the role `risk`"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
// A rule that is not understood is never left out.
#[serde(deny_unknown_fields)]
pub struct PromotionPolicy {
    /// Gates that must have been run; every gate that was run must pass, required or not.
    pub required_gates: Vec<String>,
    /// How many people other than the author must approve.
    pub approvals: usize,
    /// How old the gates' reports may be, in milliseconds.
    pub max_gate_age_millis: Option<i64>,
    /// How many of them must stand for which role, one role a person; together they may be more
    /// than `approvals`. Whoever approves must have the role when the alias moves; the registry is
    /// told who has it ([`Roles`]).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub approver_roles: BTreeMap<String, usize>,
}

impl PromotionPolicy {
    /// The same, with so many people who stand for this role.
    #[must_use]
    pub fn with_role(mut self, role: impl Into<String>, people: usize) -> Self {
        self.approver_roles.insert(role.into(), people);
        self
    }
}

impl Default for PromotionPolicy {
    /// Some gate, all of them passing, and one approval.
    fn default() -> Self {
        Self {
            required_gates: Vec::new(),
            approvals: 1,
            max_gate_age_millis: None,
            approver_roles: BTreeMap::new(),
        }
    }
}

/// A policy, and who set it when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetPolicy {
    /// The policy.
    pub policy: PromotionPolicy,
    /// Who set it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// A request to move an alias ([`Promotion::new`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promotion {
    /// The model.
    pub model: String,
    /// The alias: `champion`, `staging`, anything that is a name.
    pub alias: String,
    /// The version that it shall name.
    pub version: u64,
    /// Who asks.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// The alias's revision that the caller has seen; 0 where it does not exist yet.
    pub expected_revision: u64,
    /// A name for this request: repeated under it, it is done once ([`Request`]).
    pub key: Option<String>,
}

/// A request to move an alias back to the version that it named before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollback {
    /// The model.
    pub model: String,
    /// The alias.
    pub alias: String,
    /// Who asks.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// The alias's revision that the caller has seen.
    pub expected_revision: u64,
    /// A name for this request: repeated under it, it is done once ([`Request`]).
    pub key: Option<String>,
}

/// A request that an alias shall name no version from now on ([`Unset::new`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unset {
    /// The model.
    pub model: String,
    /// The alias.
    pub alias: String,
    /// Who asks.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// The alias's revision that the caller has seen.
    pub expected_revision: u64,
    /// A name for this request: repeated under it, it is done once ([`Request`]).
    pub key: Option<String>,
}

/// Where an alias points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    /// The model.
    pub model: String,
    /// The alias.
    pub alias: String,
    /// The version that it names; none since it was [unset](Registry::unset).
    pub version: Option<u64>,
    /// How often it has moved: 1 after the first promotion. An unset is a move.
    pub revision: u64,
    /// Since when.
    pub since: Timestamp,
}

/// How an alias came to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// By a promotion: gates and approvals were checked.
    Promotion,
    /// Back to the version that it named before.
    Rollback,
    /// Away from its version, to none.
    Unset,
}

/// A move of an alias, as history keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasChange {
    /// The model.
    pub model: String,
    /// The alias.
    pub alias: String,
    /// The alias's revision after it.
    pub revision: u64,
    /// The version named after it; none after an unset.
    pub version: Option<u64>,
    /// The version named before it; none before the first promotion and after an unset.
    pub previous: Option<u64>,
    /// How.
    pub kind: ChangeKind,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// The gates that were open, by name; none for an unset.
    pub gates: Vec<String>,
    /// The people who had approved, and had not taken it back; none for an unset.
    pub approvals: Vec<String>,
    /// When each of them had, in the same order: of two approvals of one person, one of which was
    /// taken back, it says which.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_at: Vec<Timestamp>,
    /// The role that each of them stood for, in the same order, where the policy of a promotion
    /// asked for roles; none for who was not needed in any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_as: Vec<Option<String>>,
    /// The digests of those gates' reports, by name ([`GateReport::digest`]).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub evidence: BTreeMap<String, Digest>,
    /// The policy that a promotion met; none where nobody had set one and the default stood, and
    /// for a rollback and an unset, which meet none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<SetPolicy>,
}

/// Versions of models, the aliases that name them, and how they came to.
///
/// # Contract
/// - `register` is all or nothing: when it returns, the bytes and the row are durable; when it
///   fails, or the process dies, no version exists. Numbers count 1, 2, 3, … per model.
/// - `promote`, `rollback` and `unset` change the alias and append its history in one step, or
///   nothing.
///   `promote` fails with [`Error::Conflict`](crate::Error::Conflict) if the alias's revision is
///   not the expected one, and with [`Error::Blocked`](crate::Error::Blocked), naming every
///   obstacle, if the policy is not met ([`Version::obstacles`]).
/// - A promotion to the version that the alias names already is an obstacle, too. A request that
///   is refused leaves no trace.
/// - Promotions stack up; a rollback takes the top off ([`Rollback::target`]). It asks for no gate
///   and no approval, because the version had them when it was promoted.
/// - An unset takes the top off, too, and puts nothing in its place: the alias has a revision
///   more and names no version. The promotion that it took off comes back by another alone, which
///   meets the policy; a rollback leads to the one before ([`Rollback::target`]).
/// - An approval that was taken back counts for no later promotion; what was promoted with it
///   stays, and so does the record of it. Given again it needs another time: the same request,
///   repeated late, brings nothing back ([`Approval::decide`]).
/// - `register`, `promote`, `rollback` and `unset` under a key are done once: the same request under the
///   same key gives the same answer again, another request under it is
///   [`Error::KeyUsed`](crate::Error::KeyUsed). A request that was refused does not use up its
///   key. Keys are the model's own ([`Request`]).
/// - `artifact` gives the bytes that were registered or an error, never others.
/// - Times are the caller's; the history's order is that of the revisions.
/// - Names that are empty, too long, or hold other characters than a name may are refused.
/// - Any number of threads may call at once.
///
/// [`NewVersion::check`], [`NewVersion::check_parent`], [`NewVersion::to_version`],
/// [`NewVersion::request`], [`Version::check_gate`], [`Approval::decide`], [`Withdrawal::decide`], [`Version::take_back`],
/// [`PromotionPolicy::check`], [`Promotion::decide`], [`Rollback::decide`], [`Unset::decide`] and
/// [`Request::answer`] hold the rules, so that a backend only stores what they give.
///
/// [`conformance::registry`](crate::conformance::registry) tests all of this.
pub trait Registry: Debug + Send + Sync + 'static {
    /// Stores a version with its artifacts.
    ///
    /// # Errors
    /// A bad name, no artifacts, a store that can't be written.
    fn register(&self, version: NewVersion, at: Timestamp) -> Result<Version>;

    /// The models' names, sorted.
    ///
    /// # Errors
    /// A store that can't be read.
    fn models(&self) -> Result<Vec<String>>;

    /// The numbers of a model's versions, ascending; empty if there is no such model.
    ///
    /// # Errors
    /// A store that can't be read.
    fn versions(&self, model: &str) -> Result<Vec<u64>>;

    /// A version.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound).
    fn version(&self, model: &str, number: u64) -> Result<Version>;

    /// The bytes of one of a version's files, verified.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound); [`Error::Decode`](crate::Error::Decode) if
    /// the stored bytes no longer have their digest.
    fn artifact(&self, model: &str, number: u64, name: &str) -> Result<Vec<u8>>;

    /// Adds a gate's report to the version.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound); [`Error::Invalid`](crate::Error::Invalid) if
    /// the report speaks of other bytes.
    fn record_gate(&self, model: &str, number: u64, report: GateReport) -> Result<()>;

    /// Adds an approval to the version; of one person's approvals, however the name is
    /// [spelled](same_person), the first is kept, unless it was taken back.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound); [`Error::Blocked`](crate::Error::Blocked) for
    /// the version's own author.
    fn approve(&self, model: &str, number: u64, approval: Approval) -> Result<()>;

    /// Takes an approval of the version back: from now on it counts for no promotion. Repeated, it
    /// changes nothing; the same person may approve again.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) for who has not approved it;
    /// [`Error::Invalid`](crate::Error::Invalid) without a reason.
    fn withdraw(&self, model: &str, number: u64, withdrawal: Withdrawal) -> Result<()>;

    /// The policy of an alias; the default where none was set.
    ///
    /// # Errors
    /// A store that can't be read.
    fn policy(&self, model: &str, alias: &str) -> Result<PromotionPolicy>;

    /// Sets the policy of an alias; who and when is kept. A registry that knows
    /// [roles](Roles) asks for [`Roles::POLICY`].
    ///
    /// # Errors
    /// A bad name, [`Error::Blocked`](crate::Error::Blocked) for who has not the role, a store
    /// that can't be written.
    fn set_policy(
        &self,
        model: &str,
        alias: &str,
        policy: PromotionPolicy,
        actor: &str,
        at: Timestamp,
    ) -> Result<()>;

    /// Moves an alias to a version whose gates are open and that was approved.
    ///
    /// # Errors
    /// [`Error::Conflict`](crate::Error::Conflict), [`Error::Blocked`](crate::Error::Blocked),
    /// [`Error::NotFound`](crate::Error::NotFound).
    fn promote(&self, promotion: Promotion, at: Timestamp) -> Result<Alias>;

    /// Moves an alias back to the version that it named before its last promotion. Further
    /// rollbacks walk further back.
    ///
    /// # Errors
    /// [`Error::Conflict`](crate::Error::Conflict), [`Error::NotFound`](crate::Error::NotFound)
    /// if there is no earlier version.
    fn rollback(&self, rollback: Rollback, at: Timestamp) -> Result<Alias>;

    /// Makes an alias name no version: nobody is served by it until it is promoted or rolled back.
    /// Its history goes on.
    ///
    /// # Errors
    /// [`Error::Conflict`](crate::Error::Conflict), [`Error::NotFound`](crate::Error::NotFound)
    /// if it was never set, [`Error::Blocked`](crate::Error::Blocked) if it names none already.
    fn unset(&self, unset: Unset, at: Timestamp) -> Result<Alias>;

    /// Where an alias points, `None` if it was never set; one that was unset names no version.
    ///
    /// # Errors
    /// A store that can't be read.
    fn alias(&self, model: &str, alias: &str) -> Result<Option<Alias>>;

    /// A model's aliases, sorted by name, all as of one instant; those that were unset, too.
    ///
    /// # Errors
    /// A store that can't be read.
    fn aliases(&self, model: &str) -> Result<Vec<Alias>>;

    /// The moves of an alias, oldest first.
    ///
    /// # Errors
    /// A store that can't be read.
    fn history(&self, model: &str, alias: &str) -> Result<Vec<AliasChange>>;
}

/// The error of a model that is not there, with those that are; no error if it is.
fn known(registry: &(impl Registry + ?Sized), model: &str) -> Result<()> {
    let models = registry.models()?;
    if models.iter().any(|found| found == model) {
        return Ok(());
    }
    Err(Error::not_found("model", model, models))
}

/// The error of an alias that is not there, with those that are.
fn no_alias(registry: &(impl Registry + ?Sized), model: &str, alias: &str) -> Result<Error> {
    known(registry, model)?;
    let aliases = registry.aliases(model)?.into_iter().filter(|alias| alias.version.is_some());
    let names = aliases.map(|alias| alias.alias);
    Ok(Error::not_found("alias", format!("{model}@{alias}"), names))
}

/// What every [`Registry`] can do. A model that is not there is [`Error::NotFound`] here, with
/// the names of those that are.
pub trait RegistryExt: Registry {
    /// The version that an alias names, and the bytes of one of its files: how a service loads
    /// its model.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an alias that names no version or a file that the version does not
    /// have; those of [`Registry::artifact`].
    fn load(&self, model: &str, alias: &str, artifact: &str) -> Result<(Version, Vec<u8>)> {
        let number = match self.alias(model, alias)? {
            Some(Alias { version: Some(number), .. }) => number,
            Some(Alias { revision, since, .. }) => {
                let unset = format!("{alias} (unset at {since}, revision {revision})");
                return Err(no_alias(self, model, &unset)?);
            }
            None => return Err(no_alias(self, model, alias)?),
        };
        let version = self.version(model, number)?;
        let bytes = self.artifact(model, number, artifact)?;
        Ok((version, bytes))
    }

    /// How often an alias has moved, 0 if never: what a request to move it expects. It goes on
    /// counting where the alias was unset.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the model; a store that can't be read.
    fn revision(&self, model: &str, alias: &str) -> Result<u64> {
        match self.alias(model, alias)? {
            Some(found) => Ok(found.revision),
            None => known(self, model).map(|()| 0),
        }
    }

    /// Where an alias pointed at a time: where the last of its moves that is not later put it;
    /// `None` before the first, no version after an unset.
    ///
    /// Moves are in the order of their revisions. Where a clock went backwards between two, the
    /// later revision counts from its own time on.
    ///
    /// # Errors
    /// A store that can't be read.
    fn as_of(&self, model: &str, alias: &str, at: Timestamp) -> Result<Option<Alias>> {
        let history = self.history(model, alias)?;
        if history.is_empty() {
            known(self, model)?;
        }
        Ok(why::change_at(&history, at).map(AliasChange::to_alias))
    }

    /// Why an alias pointed where it did at a time: the version, who put it there and why, and
    /// the gates and approvals on which it was promoted; of one that was unset by then, who took
    /// which version away, and all that of this. It prints as an answer to a person.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the alias was not set by then; a store that can't be read.
    fn why(&self, model: &str, alias: &str, at: Timestamp) -> Result<Why> {
        let history = self.history(model, alias)?;
        if history.is_empty() {
            return Err(no_alias(self, model, alias)?);
        }
        let change = why::change_at(&history, at).ok_or_else(|| Error::NotFound {
            existing: Vec::new(),
            what: "alias".into(),
            name: format!("{model}@{alias} at {at}"),
        })?;
        let number = change.concerns().ok_or_else(|| Error::Decode {
            what: format!("history of {model}@{alias}, revision {}", change.revision),
            offset: 0,
            expected: "a version".into(),
            found: "none".into(),
        })?;
        let version = self.version(model, number)?;
        Why::new(&history, change, version, at)
    }

    /// Who serves, who is tried beside it and who only listens: the champion, the challenger and
    /// the shadow, all three of one instant.
    ///
    /// # Errors
    /// A store that can't be read.
    fn lineup(&self, model: &str) -> Result<Lineup> {
        known(self, model)?;
        Lineup::now(self, model)
    }

    /// The [`lineup`](Self::lineup) at a time, as [`as_of`](Self::as_of) has it.
    ///
    /// # Errors
    /// A store that can't be read.
    fn lineup_as_of(&self, model: &str, at: Timestamp) -> Result<Lineup> {
        known(self, model)?;
        Lineup::at(self, model, at)
    }

    /// Where each of a model's versions stands: named by which aliases, archived, or never
    /// promoted.
    ///
    /// # Errors
    /// A store that can't be read.
    fn stages(&self, model: &str) -> Result<BTreeMap<u64, Stage>> {
        known(self, model)?;
        Stage::of_all(self, model)
    }

    /// A model's versions and aliases, to print.
    ///
    /// # Errors
    /// A store that can't be read.
    fn list(&self, model: &str) -> Result<Listing> {
        let numbers = self.versions(model)?;
        if numbers.is_empty() {
            known(self, model)?;
        }
        let versions =
            numbers.into_iter().map(|n| self.version(model, n)).collect::<Result<Vec<_>>>()?;
        Ok(Listing::new(model, versions, self.aliases(model)?))
    }
}

impl<T: Registry + ?Sized> RegistryExt for T {}

macro_rules! forward {
    ($($pointer:ident),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: Registry + ?Sized> Registry for $pointer<T> {
            fn register(&self, version: NewVersion, at: Timestamp) -> Result<Version> {
                (**self).register(version, at)
            }

            fn models(&self) -> Result<Vec<String>> {
                (**self).models()
            }

            fn versions(&self, model: &str) -> Result<Vec<u64>> {
                (**self).versions(model)
            }

            fn version(&self, model: &str, number: u64) -> Result<Version> {
                (**self).version(model, number)
            }

            fn artifact(&self, model: &str, number: u64, name: &str) -> Result<Vec<u8>> {
                (**self).artifact(model, number, name)
            }

            fn record_gate(&self, model: &str, number: u64, report: GateReport) -> Result<()> {
                (**self).record_gate(model, number, report)
            }

            fn approve(&self, model: &str, number: u64, approval: Approval) -> Result<()> {
                (**self).approve(model, number, approval)
            }

            fn withdraw(&self, model: &str, number: u64, withdrawal: Withdrawal) -> Result<()> {
                (**self).withdraw(model, number, withdrawal)
            }

            fn policy(&self, model: &str, alias: &str) -> Result<PromotionPolicy> {
                (**self).policy(model, alias)
            }

            fn set_policy(
                &self,
                model: &str,
                alias: &str,
                policy: PromotionPolicy,
                actor: &str,
                at: Timestamp,
            ) -> Result<()> {
                (**self).set_policy(model, alias, policy, actor, at)
            }

            fn promote(&self, promotion: Promotion, at: Timestamp) -> Result<Alias> {
                (**self).promote(promotion, at)
            }

            fn rollback(&self, rollback: Rollback, at: Timestamp) -> Result<Alias> {
                (**self).rollback(rollback, at)
            }

            fn unset(&self, unset: Unset, at: Timestamp) -> Result<Alias> {
                (**self).unset(unset, at)
            }

            fn alias(&self, model: &str, alias: &str) -> Result<Option<Alias>> {
                (**self).alias(model, alias)
            }

            fn aliases(&self, model: &str) -> Result<Vec<Alias>> {
                (**self).aliases(model)
            }

            fn history(&self, model: &str, alias: &str) -> Result<Vec<AliasChange>> {
                (**self).history(model, alias)
            }
        }
    )*};
}

forward!(Arc, Box);
