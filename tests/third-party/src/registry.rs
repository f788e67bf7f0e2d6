//! A registry: everything in vectors behind one lock. The rules are core's; a backend stores.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mlops_core::{
    Alias, AliasChange, Approval, Error, GateReport, NewVersion, Promotion, PromotionPolicy,
    Registry, Result, Rollback, Timestamp, Version,
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
    policies: BTreeMap<Name, PromotionPolicy>,
    changes: BTreeMap<Name, Vec<AliasChange>>,
}

impl Store {
    fn version(&mut self, model: &str, number: u64) -> Result<&mut Stored> {
        let versions = self.versions.get_mut(model).into_iter().flatten();
        let mut found = versions.filter(|(version, _)| version.number == number);
        found.next().ok_or_else(|| missing("version", format!("{model} v{number}")))
    }
}

fn name(model: &str, alias: &str) -> Name {
    (model.to_owned(), alias.to_owned())
}

fn missing(what: &str, name: impl Into<String>) -> Error {
    Error::NotFound { what: what.to_owned(), name: name.into() }
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
        let versions = store.versions.entry(new.model.clone()).or_default();
        let version = new.to_version(versions.len() as u64 + 1, at);
        versions.push((version.clone(), new.artifacts));
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
        version.check_approval(&approval)?;
        if version.approvals.iter().all(|a| a.by != approval.by) {
            version.approvals.push(approval);
        }
        Ok(())
    }

    fn policy(&self, model: &str, alias: &str) -> Result<PromotionPolicy> {
        Ok(self.store().policies.get(&name(model, alias)).cloned().unwrap_or_default())
    }

    fn set_policy(
        &self,
        model: &str,
        alias: &str,
        policy: PromotionPolicy,
        actor: &str,
        _at: Timestamp,
    ) -> Result<()> {
        policy.check(model, alias, actor)?;
        self.store().policies.insert(name(model, alias), policy);
        Ok(())
    }

    fn promote(&self, promotion: Promotion, at: Timestamp) -> Result<Alias> {
        let key = name(&promotion.model, &promotion.alias);
        let mut store = self.store();
        let version = store.version(&promotion.model, promotion.version)?.0.clone();
        let policy = store.policies.get(&key).cloned().unwrap_or_default();
        let history = store.changes.entry(key).or_default();
        let change = promotion.decide(&version, &policy, history.last(), at)?;
        history.push(change.clone());
        Ok(change.to_alias())
    }

    fn rollback(&self, rollback: Rollback, at: Timestamp) -> Result<Alias> {
        let key = name(&rollback.model, &rollback.alias);
        let mut store = self.store();
        let history = store.changes.get(&key).cloned().unwrap_or_default();
        let version = store.version(&rollback.model, rollback.target(&history)?)?.0.clone();
        let change = rollback.decide(&version, &history, at)?;
        store.changes.entry(key).or_default().push(change.clone());
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
