//! A registry that lives and dies with its process.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mlops_core::{
    Alias, AliasChange, Approval, Digest, Error, GateReport, NewVersion, Promotion,
    PromotionPolicy, Registry, Request, Result, Roles, Rollback, SetPolicy, Timestamp, Unset,
    Version, Withdrawal, check_new_name,
};

use crate::audit::{Draft, Entry, Head, Log, Salt};
use crate::draft;

/// A registry in memory: for tests, and for programs that decide in one run.
///
/// It keeps to the same rules as [`SqliteRegistry`](crate::SqliteRegistry), but nothing outlives
/// it.
///
/// ```
/// use mlops_core::{NewVersion, Registry, Timestamp};
/// use mlops_registry::MemoryRegistry;
///
/// let registry = MemoryRegistry::new();
/// let new = NewVersion::new("loans", "ana").with_artifact("model.json", "{}");
/// let version = registry.register(new, Timestamp::from_millis(0))?;
/// assert_eq!(version.number, 1);
/// assert_eq!(registry.artifact("loans", 1, "model.json")?, b"{}");
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct MemoryRegistry {
    state: Mutex<State>,
    tracked: crate::tracking::Tracked,
    told: crate::outbox::Consumers,
    roles: Roles,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) versions: BTreeMap<String, Vec<Version>>,
    blobs: BTreeMap<Digest, Vec<u8>>,
    pub(crate) history: BTreeMap<(String, String), Vec<AliasChange>>,
    pub(crate) policies: BTreeMap<(String, String), Vec<SetPolicy>>,
    /// What was answered to requests under a key, by model and key.
    requests: BTreeMap<(String, String), (Digest, u64)>,
    pub(crate) log: Vec<Entry>,
}

impl State {
    fn version(&self, model: &str, number: u64) -> Result<&Version> {
        let at = usize::try_from(number).ok().and_then(|n| n.checked_sub(1));
        let found = at.and_then(|at| self.versions.get(model)?.get(at));
        found.ok_or_else(|| {
            let last = self.versions.get(model).map_or(0, Vec::len) as u64;
            crate::no_version(model, number, last, self.versions.keys())
        })
    }

    /// The version of this number, if it is there.
    fn version_mut(&mut self, model: &str, number: u64) -> Option<&mut Version> {
        let at = usize::try_from(number).ok().and_then(|n| n.checked_sub(1));
        at.and_then(|at| self.versions.get_mut(model)?.get_mut(at))
    }

    fn history(&self, model: &str, alias: &str) -> &[AliasChange] {
        let key = (model.to_owned(), alias.to_owned());
        self.history.get(&key).map_or(&[], Vec::as_slice)
    }

    fn policy(&self, model: &str, alias: &str) -> Option<&SetPolicy> {
        let key = (model.to_owned(), alias.to_owned());
        self.policies.get(&key).and_then(|all| all.last())
    }

    /// The names that a model's aliases have, of those with a policy alone, too.
    fn alias_names<'s>(&'s self, model: &'s str) -> impl Iterator<Item = &'s str> {
        let keys = self.history.keys().chain(self.policies.keys());
        keys.filter(move |(of, _)| of == model).map(|(_, alias)| alias.as_str())
    }

    fn push(&mut self, change: AliasChange, request: Option<Request>) -> Result<Alias> {
        let entry = self.entry(draft::moved(&change))?;
        let alias = change.to_alias();
        let key = (change.model.clone(), change.alias.clone());
        self.history.entry(key).or_default().push(change);
        self.log.push(entry);
        self.remember(request, alias.revision);
        Ok(alias)
    }

    /// The entry that the log gets with a change.
    fn entry(&self, draft: Draft) -> Result<Entry> {
        let head = self.log.last().map_or(Ok(Head::empty()), Entry::head)?;
        Entry::next(head, draft, Salt::random()?)
    }

    /// The answer that was given to this request before.
    fn repeated(&self, request: Option<&Request>) -> Result<Option<u64>> {
        let Some(request) = request else { return Ok(None) };
        let before = self.requests.get(&(request.model.clone(), request.key.clone()));
        let again = |(digest, answer): &(Digest, u64)| {
            request.answer(*digest, *answer).map_err(|_| {
                let of_model = self.history.iter().filter(|((of, _), _)| *of == request.model);
                let moves = of_model.flat_map(|(_, moves)| moves);
                let moves: Vec<_> = moves.filter(|c| c.revision == *answer).cloned().collect();
                let version = self.version(&request.model, *answer).ok();
                request.used(*digest, *answer, &moves, version)
            })
        };
        before.map(again).transpose()
    }

    /// The move that was the answer to this request before.
    fn moved(&self, request: Option<&Request>, model: &str, alias: &str) -> Result<Option<Alias>> {
        let revision = self.repeated(request)?;
        let history = self.history(model, alias);
        let of = |revision| history.iter().find(|c| c.revision == revision);
        Ok(revision.and_then(of).map(AliasChange::to_alias))
    }

    fn remember(&mut self, request: Option<Request>, answer: u64) {
        if let Some(Request { model, key, digest, .. }) = request {
            self.requests.insert((model, key), (digest, answer));
        }
    }
}

impl MemoryRegistry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn tracked(&self) -> &crate::tracking::Tracked {
        &self.tracked
    }

    pub(crate) fn told(&self) -> &crate::outbox::Consumers {
        &self.told
    }

    /// The same, with the host's word on who has which role, for policies that name one.
    #[must_use]
    pub fn with_roles(mut self, roles: Roles) -> Self {
        self.roles = roles;
        self
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // Every change is made in one step after all that can fail.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry for MemoryRegistry {
    fn register(&self, version: NewVersion, at: Timestamp) -> Result<Version> {
        version.check()?;
        let mut made = version.to_version(0, at);
        let request = version.request(&made);
        let mut state = self.state();
        if let Some(number) = state.repeated(request.as_ref())? {
            let mut made = state.version(&version.model, number)?.clone();
            made.gates.clear();
            made.approvals.clear();
            made.withdrawn.clear();
            return Ok(made);
        }
        check_new_name("model", &version.model, state.versions.keys().map(String::as_str))?;
        made.number = state.versions.get(&version.model).map_or(0, Vec::len) as u64 + 1;
        version.check_parent(made.number)?;
        let entry = state.entry(draft::registered(&made))?;
        state.versions.entry(version.model).or_default().push(made.clone());
        state.log.push(entry);
        state.remember(request, made.number);
        for (artifact, bytes) in made.artifacts.iter().zip(version.artifacts.into_values()) {
            state.blobs.insert(artifact.digest, bytes);
        }
        Ok(made)
    }

    fn models(&self) -> Result<Vec<String>> {
        Ok(self.state().versions.keys().cloned().collect())
    }

    fn versions(&self, model: &str) -> Result<Vec<u64>> {
        Ok((1..).take(self.state().versions.get(model).map_or(0, Vec::len)).collect())
    }

    fn version(&self, model: &str, number: u64) -> Result<Version> {
        self.state().version(model, number).cloned()
    }

    fn artifact(&self, model: &str, number: u64, name: &str) -> Result<Vec<u8>> {
        let state = self.state();
        let version = state.version(model, number)?;
        let artifact = version.artifacts.iter().find(|a| a.name == name);
        let bytes = artifact.and_then(|a| state.blobs.get(&a.digest));
        bytes.cloned().ok_or_else(|| crate::no_artifact(version, name))
    }

    fn record_gate(&self, model: &str, number: u64, report: GateReport) -> Result<()> {
        let mut state = self.state();
        let version = state.version(model, number)?;
        version.check_gate(&report)?;
        let entry = state.entry(draft::gated(version, &report))?;
        if let Some(version) = state.version_mut(model, number) {
            version.gates.push(report);
            state.log.push(entry);
        }
        Ok(())
    }

    fn approve(&self, model: &str, number: u64, approval: Approval) -> Result<()> {
        let mut state = self.state();
        let version = state.version(model, number)?;
        if !approval.decide(version)? {
            return Ok(());
        }
        let entry = state.entry(draft::approved(version, &approval))?;
        if let Some(version) = state.version_mut(model, number) {
            version.approvals.push(approval);
            state.log.push(entry);
        }
        Ok(())
    }

    fn withdraw(&self, model: &str, number: u64, withdrawal: Withdrawal) -> Result<()> {
        let mut state = self.state();
        let version = state.version(model, number)?;
        let Some(withdrawn) = withdrawal.decide(version)? else { return Ok(()) };
        let entry = state.entry(draft::withdrawn(version, &withdrawn))?;
        if let Some(version) = state.version_mut(model, number) {
            version.take_back(withdrawn);
            state.log.push(entry);
        }
        Ok(())
    }

    fn policy(&self, model: &str, alias: &str) -> Result<PromotionPolicy> {
        Ok(self.state().policy(model, alias).map(|set| set.policy.clone()).unwrap_or_default())
    }

    fn set_policy(
        &self,
        model: &str,
        alias: &str,
        policy: PromotionPolicy,
        actor: &str,
        at: Timestamp,
    ) -> Result<()> {
        policy.check(model, alias, actor, &self.roles)?;
        let json = serde_json::to_string(&policy).map_err(|e| Error::other("policy", e))?;
        let key = (model.to_owned(), alias.to_owned());
        let mut state = self.state();
        check_new_name("alias", alias, state.alias_names(model))?;
        check_new_name("model", model, state.versions.keys().map(String::as_str))?;
        let entry = state.entry(draft::policy_set(model, alias, &json, actor, at))?;
        let set = SetPolicy { policy, by: actor.to_owned(), at };
        state.policies.entry(key).or_default().push(set);
        state.log.push(entry);
        Ok(())
    }

    fn promote(&self, promotion: Promotion, at: Timestamp) -> Result<Alias> {
        let request = promotion.request();
        let mut state = self.state();
        if let Some(alias) = state.moved(request.as_ref(), &promotion.model, &promotion.alias)? {
            return Ok(alias);
        }
        let version = state.version(&promotion.model, promotion.version)?;
        let policy = state.policy(&promotion.model, &promotion.alias);
        let last = state.history(&promotion.model, &promotion.alias).last();
        check_new_name("alias", &promotion.alias, state.alias_names(&promotion.model))?;
        let change = promotion.decide(version, policy, &self.roles, last, at)?;
        state.push(change, request)
    }

    fn rollback(&self, rollback: Rollback, at: Timestamp) -> Result<Alias> {
        let request = rollback.request();
        let mut state = self.state();
        if let Some(alias) = state.moved(request.as_ref(), &rollback.model, &rollback.alias)? {
            return Ok(alias);
        }
        let history = state.history(&rollback.model, &rollback.alias);
        let version = state.version(&rollback.model, rollback.target(history)?)?;
        let change = rollback.decide(version, history, at)?;
        state.push(change, request)
    }

    fn unset(&self, unset: Unset, at: Timestamp) -> Result<Alias> {
        let request = unset.request();
        let mut state = self.state();
        if let Some(alias) = state.moved(request.as_ref(), &unset.model, &unset.alias)? {
            return Ok(alias);
        }
        let change = unset.decide(state.history(&unset.model, &unset.alias).last(), at)?;
        state.push(change, request)
    }

    fn alias(&self, model: &str, alias: &str) -> Result<Option<Alias>> {
        Ok(self.state().history(model, alias).last().map(AliasChange::to_alias))
    }

    fn aliases(&self, model: &str) -> Result<Vec<Alias>> {
        let state = self.state();
        let of_model = state.history.iter().filter(|((m, _), _)| m == model);
        Ok(of_model.filter_map(|(_, h)| h.last()).map(AliasChange::to_alias).collect())
    }

    fn history(&self, model: &str, alias: &str) -> Result<Vec<AliasChange>> {
        Ok(self.state().history(model, alias).to_vec())
    }
}

impl Log for MemoryRegistry {
    fn len(&self) -> Result<u64> {
        Log::len(&self.state().log)
    }

    fn entries(&self, range: Range<u64>) -> Result<Vec<Entry>> {
        self.state().log.entries(range)
    }
}
