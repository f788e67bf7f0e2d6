//! A registry: everything in vectors behind one lock. The rules are core's; a backend stores.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mlops_core::{
    Alias, AliasChange, Approval, Digest, Error, GateReport, NewVersion, Promotion,
    PromotionPolicy, Registry, Request, Result, Roles, Rollback, SetPolicy, Timestamp, Unset,
    Version, Withdrawal,
};

/// A registry that forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct VecRegistry(Mutex<Store>);

type Name = (String, String);
/// A version and its files.
type Stored = (Version, BTreeMap<String, Vec<u8>>);

#[derive(Debug, Default)]
struct Store {
    versions: BTreeMap<String, Vec<Stored>>,
    policies: BTreeMap<Name, SetPolicy>,
    changes: BTreeMap<Name, Vec<AliasChange>>,
    /// What was answered to requests under a key, by model and key.
    requests: BTreeMap<Name, (Digest, u64)>,
}

impl Store {
    fn version(&mut self, model: &str, number: u64) -> Result<&mut Stored> {
        let versions = self.versions.get_mut(model).into_iter().flatten();
        let mut found = versions.filter(|(version, _)| version.number == number);
        found.next().ok_or_else(|| missing("version", format!("{model} v{number}")))
    }

    /// The answer that was given to this request before.
    fn repeated(&self, request: Option<&Request>) -> Result<Option<u64>> {
        let Some(request) = request else { return Ok(None) };
        let before = self.requests.get(&name(&request.model, &request.key));
        before.map(|(digest, answer)| request.answer(*digest, *answer)).transpose()
    }

    fn remember(&mut self, request: Option<Request>, answer: u64) {
        if let Some(request) = request {
            self.requests.insert((request.model, request.key), (request.digest, answer));
        }
    }

    /// Where the alias pointed after the move that gave it this revision.
    fn moved(&self, key: &Name, revision: u64) -> Result<Alias> {
        let mut history = self.changes.get(key).into_iter().flatten();
        let change = history.find(|change| change.revision == revision);
        change.map(AliasChange::to_alias).ok_or_else(|| missing("revision", revision.to_string()))
    }
}

fn name(model: &str, alias: &str) -> Name {
    (model.to_owned(), alias.to_owned())
}

fn missing(what: &str, name: impl Into<String>) -> Error {
    Error::NotFound { existing: Vec::new(), what: what.to_owned(), name: name.into() }
}

impl VecRegistry {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry for VecRegistry {
    fn register(&self, new: NewVersion, at: Timestamp) -> Result<Version> {
        new.check()?;
        let mut store = self.store();
        let number = store.versions.get(&new.model).map_or(0, Vec::len) as u64 + 1;
        let version = new.to_version(number, at);
        let request = new.request(&version);
        if let Some(number) = store.repeated(request.as_ref())? {
            let (made, _) = store.version(&new.model, number)?;
            let mut made = made.clone();
            made.gates.clear();
            made.approvals.clear();
            made.withdrawn.clear();
            return Ok(made);
        }
        new.check_parent(number)?;
        store.versions.entry(new.model).or_default().push((version.clone(), new.artifacts));
        store.remember(request, number);
        Ok(version)
    }

    fn models(&self) -> Result<Vec<String>> {
        Ok(self.store().versions.keys().cloned().collect())
    }

    fn versions(&self, model: &str) -> Result<Vec<u64>> {
        let store = self.store();
        Ok(store.versions.get(model).into_iter().flatten().map(|(v, _)| v.number).collect())
    }

    fn version(&self, model: &str, number: u64) -> Result<Version> {
        Ok(self.store().version(model, number)?.0.clone())
    }

    fn artifact(&self, model: &str, number: u64, name: &str) -> Result<Vec<u8>> {
        let mut store = self.store();
        let (_, artifacts) = store.version(model, number)?;
        artifacts.get(name).cloned().ok_or_else(|| missing("artifact", name))
    }

    fn record_gate(&self, model: &str, number: u64, report: GateReport) -> Result<()> {
        let mut store = self.store();
        let (version, _) = store.version(model, number)?;
        version.check_gate(&report)?;
        version.gates.push(report);
        Ok(())
    }

    fn approve(&self, model: &str, number: u64, approval: Approval) -> Result<()> {
        let mut store = self.store();
        let (version, _) = store.version(model, number)?;
        if approval.decide(version)? {
            version.approvals.push(approval);
        }
        Ok(())
    }

    fn withdraw(&self, model: &str, number: u64, withdrawal: Withdrawal) -> Result<()> {
        let mut store = self.store();
        let (version, _) = store.version(model, number)?;
        if let Some(withdrawn) = withdrawal.decide(version)? {
            version.take_back(withdrawn);
        }
        Ok(())
    }

    fn policy(&self, model: &str, alias: &str) -> Result<PromotionPolicy> {
        let store = self.store();
        let set = store.policies.get(&name(model, alias));
        Ok(set.map(|set| set.policy.clone()).unwrap_or_default())
    }

    fn set_policy(
        &self,
        model: &str,
        alias: &str,
        policy: PromotionPolicy,
        actor: &str,
        at: Timestamp,
    ) -> Result<()> {
        policy.check(model, alias, actor, &Roles::default())?;
        let set = SetPolicy { policy, by: actor.to_owned(), at };
        self.store().policies.insert(name(model, alias), set);
        Ok(())
    }

    fn promote(&self, promotion: Promotion, at: Timestamp) -> Result<Alias> {
        let key = name(&promotion.model, &promotion.alias);
        let request = promotion.request();
        let mut store = self.store();
        if let Some(revision) = store.repeated(request.as_ref())? {
            return store.moved(&key, revision);
        }
        let version = store.version(&promotion.model, promotion.version)?.0.clone();
        let policy = store.policies.get(&key).cloned();
        let history = store.changes.entry(key).or_default();
        let change =
            promotion.decide(&version, policy.as_ref(), &Roles::default(), history.last(), at)?;
        history.push(change.clone());
        store.remember(request, change.revision);
        Ok(change.to_alias())
    }

    fn rollback(&self, rollback: Rollback, at: Timestamp) -> Result<Alias> {
        let key = name(&rollback.model, &rollback.alias);
        let request = rollback.request();
        let mut store = self.store();
        if let Some(revision) = store.repeated(request.as_ref())? {
            return store.moved(&key, revision);
        }
        let history = store.changes.get(&key).cloned().unwrap_or_default();
        let version = store.version(&rollback.model, rollback.target(&history)?)?.0.clone();
        let change = rollback.decide(&version, &history, at)?;
        store.changes.entry(key).or_default().push(change.clone());
        store.remember(request, change.revision);
        Ok(change.to_alias())
    }

    fn unset(&self, unset: Unset, at: Timestamp) -> Result<Alias> {
        let key = name(&unset.model, &unset.alias);
        let request = unset.request();
        let mut store = self.store();
        if let Some(revision) = store.repeated(request.as_ref())? {
            return store.moved(&key, revision);
        }
        let last = store.changes.get(&key).and_then(|history| history.last());
        let change = unset.decide(last, at)?;
        store.changes.entry(key).or_default().push(change.clone());
        store.remember(request, change.revision);
        Ok(change.to_alias())
    }

    fn alias(&self, model: &str, alias: &str) -> Result<Option<Alias>> {
        Ok(self.history(model, alias)?.last().map(AliasChange::to_alias))
    }

    fn aliases(&self, model: &str) -> Result<Vec<Alias>> {
        let store = self.store();
        let of_model = store.changes.iter().filter(|((m, _), _)| m == model);
        Ok(of_model.filter_map(|(_, changes)| Some(changes.last()?.to_alias())).collect())
    }

    fn history(&self, model: &str, alias: &str) -> Result<Vec<AliasChange>> {
        Ok(self.store().changes.get(&name(model, alias)).cloned().unwrap_or_default())
    }
}
