//! A [`Registry`] on an MLflow server.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mlops_core::{
    Alias, AliasChange, Approval, Digest, Error, GateReport, NewVersion, Promotion,
    PromotionPolicy, Registry, Request, Result, Roles, Rollback, Timestamp, Unset, Version,
    Withdrawal, check_name, check_new_name,
};

use super::artifacts;
use super::change::{Change, Keyed, Move, Record, State};
use super::client::MlflowClient;
use super::error::{MlflowError, MlflowResult};
use super::json::all_pages;
use super::ledger::{Ledger, nonce};
use super::registered::{NewModelVersion, RegisteredModel};
use super::runs::Search;

/// The error of a version of a model that is not there.
fn no_version(model: &str, number: u64) -> Error {
    Error::not_found("version", format!("{model} v{number}"), [""; 0])
}

/// The tag of a registered model that names the run of its ledger.
const LEDGER: &str = "mlops.ledger_run";
/// How often a change is tried again after somebody else was first.
const TRIES: usize = 1000;

/// Versions, approvals and promotions on an MLflow server, where Python sees them, too.
///
/// MLflow's own aliases have no precondition, no history and no approvals. What makes this a
/// [`Registry`] is a ledger on the server: every change of a model is one entry, kept as a
/// parameter of a run (experiment `mlops-registry`), and MLflow writes a parameter once. So of two
/// processes that move an alias at the same time one is first, and the other gets
/// [`Error::Conflict`]; histories, gates and approvals are kept; and every entry has the digest of
/// the one before it. MLflow's registered model, its versions and aliases follow the ledger:
/// `models:/loans@champion` is what was promoted.
///
/// # What MLflow cannot promise
/// - Whoever may write to the server may move its aliases by other means. They then differ from
///   the ledger, which this registry goes by; [`mirror`](Self::mirror) puts them right.
/// - An alias of MLflow moves after the ledger, in a request of its own: for a moment, and after a
///   crash until the next promotion or `mirror`, it is behind.
/// - Numbers of versions are MLflow's: a version that another program registers under the model's
///   name takes one, and so does a crash between two requests. Versions that are not in the
///   ledger are not given here.
/// - Aliases are those that MLflow takes: no `.`, no `latest`, no `v1`. Names of files have no
///   `%`, `#`, `?` or `;`.
/// - Durability, and that a parameter is written once, are those of the server's database. A file
///   store has neither: it is refused where it shows.
/// - A model of this name that another program made is refused.
/// - Every call is a request or more: some milliseconds, and as many as a ledger is long in
///   kilobytes to read. That suits thousands of changes per model.
///
/// All of the [conformance suite](mlops_core::conformance::registry) passes.
#[derive(Debug)]
pub struct MlflowRegistry {
    client: MlflowClient,
    experiment: String,
    models: Mutex<BTreeMap<String, Arc<Mutex<Model>>>>,
    roles: Roles,
}

/// A model's ledger and what it says, as far as it was read.
#[derive(Debug)]
struct Model {
    name: String,
    ledger: Ledger,
    state: State,
}

impl Model {
    fn refresh(&mut self, client: &MlflowClient) -> Result<()> {
        let Self { name, ledger, state } = self;
        ledger.refresh(client, |body| state.apply(name, body))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // An entry is applied in one step after all that can fail.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The run of a model's ledger.
fn ledger_run(model: &RegisteredModel) -> Option<&str> {
    model.tags.iter().find(|t| t.key == LEDGER).map(|t| t.value.as_str())
}

/// Whether MLflow takes this alias.
fn check_alias(alias: &str) -> Result<()> {
    check_name("alias", alias)?;
    let number = alias.strip_prefix(['v', 'V']).unwrap_or_default();
    let version = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    if alias.contains('.') || version || alias.eq_ignore_ascii_case("latest") {
        let expected = "one that MLflow takes: no `.`, no `latest`, no `v` and a number";
        return Err(Error::invalid("name of the alias", expected, format!("`{alias}`")));
    }
    Ok(())
}

impl MlflowRegistry {
    /// The registry on this client's server, in the experiment `mlops-registry`.
    ///
    /// # Errors
    /// No server; [`MlflowError::Unsupported`] for one whose store is files.
    pub fn open(client: MlflowClient) -> MlflowResult<Self> {
        Self::open_in(client, "mlops-registry")
    }

    /// The same, with its ledgers in an experiment of this name.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(client: MlflowClient, experiment: &str) -> MlflowResult<Self> {
        let experiment = client.ensure_experiment(experiment)?;
        let server = client.server()?;
        let files = match server.store.as_deref() {
            Some(store) => store == "FileStore",
            // A file store draws ids of 18 digits; a database counts.
            None => experiment.len() >= 18,
        };
        if files {
            return Err(MlflowError::Unsupported {
                what: "a registry".into(),
                needs: "a server with a database (--backend-store-uri)".into(),
                found: format!("MLflow {} on a file store", server.version),
            });
        }
        Ok(Self { client, experiment, models: Mutex::default(), roles: Roles::default() })
    }

    /// The same, with the host's word on who has which role, for policies that name one.
    #[must_use]
    pub fn with_roles(mut self, roles: Roles) -> Self {
        self.roles = roles;
        self
    }

    /// The client that it uses.
    pub fn client(&self) -> &MlflowClient {
        &self.client
    }

    /// Points MLflow's aliases of a model to where the ledger says, and gives those that were
    /// elsewhere. Aliases that the ledger does not know are left as they are.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a model that is not there; no server.
    pub fn mirror(&self, model: &str) -> Result<Vec<Alias>> {
        let found = self.find(model)?.ok_or_else(|| Error::NotFound {
            existing: Vec::new(),
            what: "model".into(),
            name: model.to_owned(),
        })?;
        let mut found = lock(&found);
        found.refresh(&self.client)?;
        let there = self.client.registered_model(model)?;
        let mut moved = Vec::new();
        let wanted: Vec<_> = found.state.aliases().map(AliasChange::to_alias).collect();
        for alias in wanted {
            let named = there.aliases.iter().find(|a| a.alias == alias.alias);
            let version = alias.version.map(|version| version.to_string());
            if named.map(|a| &a.version) != version.as_ref() {
                self.mirror_alias(&mut found, &alias.alias)?;
                moved.push(alias);
            }
        }
        Ok(moved)
    }

    /// The digest that stands for every change of a model so far, and how many there are: kept
    /// elsewhere, it shows later whether any was taken away.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a model that is not there; no server.
    pub fn head(&self, model: &str) -> Result<(u64, Digest)> {
        self.read(model, |model| Ok((model.ledger.len(), model.ledger.last())))?.ok_or_else(|| {
            Error::NotFound { existing: Vec::new(), what: "model".into(), name: model.to_owned() }
        })
    }

    /// Sets MLflow's alias, or removes it, until it is what the ledger says: the last of many that
    /// do so agrees with it.
    fn mirror_alias(&self, model: &mut Model, alias: &str) -> Result<()> {
        let mut set = None;
        for _ in 0..TRIES {
            let wanted = model.state.history(alias).last().map(|change| change.version);
            let Some(version) = wanted.filter(|_| set != wanted) else { return Ok(()) };
            match version {
                Some(version) => self.client.set_alias(&model.name, alias, version)?,
                None => self.client.delete_alias(&model.name, alias)?,
            }
            set = wanted;
            model.refresh(&self.client)?;
        }
        Ok(())
    }

    /// The model, if it is there.
    fn find(&self, name: &str) -> Result<Option<Arc<Mutex<Model>>>> {
        if check_name("model", name).is_err() {
            return Ok(None);
        }
        if let Some(model) = lock(&self.models).get(name) {
            return Ok(Some(model.clone()));
        }
        match self.client.registered_model(name) {
            Ok(found) => match ledger_run(&found) {
                Some(run) => Ok(Some(self.remember(name, run))),
                None => Ok(None),
            },
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn remember(&self, name: &str, run: &str) -> Arc<Mutex<Model>> {
        let mut models = lock(&self.models);
        let new = || {
            let ledger = Ledger::open(run.to_owned());
            let model = Model { name: name.to_owned(), ledger, state: State::default() };
            Arc::new(Mutex::new(model))
        };
        models.entry(name.to_owned()).or_insert_with(new).clone()
    }

    /// The model, made if it is not there. Of many that make it the one whose run is in the tag
    /// was first: MLflow creates a registered model with its tags, once.
    fn ensure(&self, name: &str, at: Timestamp) -> Result<Arc<Mutex<Model>>> {
        check_name("model", name)?;
        if let Some(model) = self.find(name)? {
            return Ok(model);
        }
        let run = Ledger::create(&self.client, &self.experiment, name, at.millis())?;
        let tags = [(LEDGER, run.as_str()).into()];
        match self.client.create_registered_model(name, "", &tags) {
            Ok(_) => Ok(self.remember(name, &run)),
            Err(e) if e.is_already_there() || e.is_ambiguous() => {
                let Ok(model) = self.client.registered_model(name) else { return Err(e.into()) };
                let first = ledger_run(&model).ok_or_else(|| {
                    let expected = "one that this registry made";
                    Error::invalid(format!("model {name}"), expected, "another program's")
                })?;
                if first != run {
                    // An empty ledger that nobody will find.
                    let _ = self.client.delete_run(&run);
                }
                Ok(self.remember(name, first))
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Looks at a model as it is now; `None` if it is not there.
    fn read<T>(&self, name: &str, look: impl FnOnce(&Model) -> Result<T>) -> Result<Option<T>> {
        let Some(model) = self.find(name)? else { return Ok(None) };
        let mut model = lock(&model);
        model.refresh(&self.client)?;
        look(&model).map(Some)
    }

    /// Decides on a change of a model as it is now, and writes it down; decides anew if somebody
    /// else was first. Gives what was decided, or `None` where nothing is to be written.
    fn change(
        &self,
        model: &mut Model,
        mut decide: impl FnMut(&State) -> Result<Option<Change>>,
    ) -> Result<()> {
        for _ in 0..TRIES {
            model.refresh(&self.client)?;
            let Some(change) = decide(&model.state)? else { return Ok(()) };
            let body = serde_json::to_value(&change).map_err(|e| Error::other("a change", e))?;
            if let Some(text) = model.ledger.append(&self.client, body.clone())? {
                model.state.apply(&model.name, body)?;
                model.ledger.advance(&text);
                return Ok(());
            }
        }
        Err(Error::other("mlflow registry", format!("somebody else was first {TRIES} times")))
    }

    /// The version that a request made although its answer was lost.
    fn made(&self, new: &NewModelVersion) -> MlflowResult<Option<u64>> {
        let search = Search::new(format!("name = '{}'", new.name));
        let all = all_pages("GET model-versions/search", |page| {
            self.client.search_model_versions(&Search { page, ..search.clone() })
        })?;
        let ours = all.iter().find(|version| version.source == new.source);
        Ok(ours.and_then(|version| version.version.parse().ok()))
    }

    fn move_alias(
        &self,
        model: &str,
        alias: &str,
        request: Option<&Request>,
        mut decide: impl FnMut(&State) -> Result<AliasChange>,
    ) -> Result<Alias> {
        let found = self.find(model)?;
        let Some(found) = found else {
            // The rules say what is missing.
            return decide(&State::default()).map(|change| change.to_alias());
        };
        let mut found = lock(&found);
        let mut decided = None;
        self.change(&mut found, |state| {
            if let Some(revision) = state.repeated(request)? {
                let mut history = state.history(alias).iter();
                decided = history.find(|c| c.revision == revision).map(AliasChange::to_alias);
                return Ok(None);
            }
            let change = decide(state)?;
            decided = Some(change.to_alias());
            let request = request.map(Keyed::from);
            Ok(Some(Change::Move(Box::new(Move { change, request }))))
        })?;
        self.mirror_alias(&mut found, alias).map_err(|e| {
            e.within(format!("{model}@{alias} has moved, but MLflow's own alias has not"))
        })?;
        decided.ok_or_else(|| Error::other("mlflow registry", "nothing was decided"))
    }
}

impl Registry for MlflowRegistry {
    fn register(&self, version: NewVersion, at: Timestamp) -> Result<Version> {
        version.check()?;
        for name in version.artifacts.keys() {
            artifacts::check(name)?;
        }
        let mut made = version.to_version(0, at);
        let request = version.request(&made);
        let model = self.ensure(&version.model, at)?;
        let (run, uri) = {
            let mut model = lock(&model);
            model.refresh(&self.client)?;
            if let Some(number) = model.state.repeated(request.as_ref())? {
                return model.state.registered(&version.model, number);
            }
            version.check_parent(model.state.numbers().last().copied().unwrap_or(0) + 1)?;
            (model.ledger.run().to_owned(), model.ledger.uri().to_owned())
        };
        let directory = format!("versions/{}", nonce()?);
        for (name, bytes) in &version.artifacts {
            self.client.put_artifact(&uri, &format!("{directory}/{name}"), bytes)?;
        }
        let new = NewModelVersion {
            name: version.model.clone(),
            source: format!("{}/{directory}", uri.trim_end_matches('/')),
            run_id: run,
            tags: vec![
                ("mlops.digest", made.digest.to_string()).into(),
                ("mlops.author", made.author.clone()).into(),
            ],
            ..NewModelVersion::default()
        };
        made.number = match self.client.create_model_version(&new) {
            Ok(there) => there.version.parse().map_err(|_| {
                Error::invalid("MLflow's version", "a number", there.version.escape_debug())
            })?,
            Err(e) if e.is_ambiguous() => match self.made(&new)? {
                Some(number) => number,
                None => return Err(e.into()),
            },
            Err(e) => return Err(e.into()),
        };
        let record = Record::new(&made, directory, request.as_ref());
        let change = Change::Register(Box::new(record));
        self.change(&mut lock(&model), |state| {
            // Somebody else made the same request meanwhile.
            if let Some(number) = state.repeated(request.as_ref())? {
                made = state.registered(&version.model, number)?;
                return Ok(None);
            }
            Ok(Some(change.clone()))
        })?;
        Ok(made)
    }

    fn models(&self) -> Result<Vec<String>> {
        let all = all_pages("GET registered-models/search", |page| {
            self.client.search_registered_models(&Search { page, ..Search::default() })
        })?;
        let mut names = Vec::new();
        for model in all.iter().filter(|model| ledger_run(model).is_some()) {
            if !self.versions(&model.name)?.is_empty() {
                names.push(model.name.clone());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn versions(&self, model: &str) -> Result<Vec<u64>> {
        Ok(self.read(model, |model| Ok(model.state.numbers()))?.unwrap_or_default())
    }

    fn version(&self, model: &str, number: u64) -> Result<Version> {
        let found = self.read(model, |found| found.state.version(model, number).cloned())?;
        found.ok_or_else(|| no_version(model, number))
    }

    fn artifact(&self, model: &str, number: u64, name: &str) -> Result<Vec<u8>> {
        let found = self.read(model, |found| {
            let version = found.state.version(model, number)?;
            let artifact = version.artifacts.iter().find(|a| a.name == name).cloned();
            let missing = || crate::no_artifact(version, name);
            let directory = found.state.directory(number).unwrap_or_default().to_owned();
            Ok((artifact.ok_or_else(missing)?, directory, found.ledger.uri().to_owned()))
        })?;
        let (artifact, directory, uri) = found.ok_or_else(|| no_version(model, number))?;
        let decode = |expected: String, found: String| Error::Decode {
            what: format!("{name} of {model} v{number}"),
            offset: 0,
            expected,
            found,
        };
        let path = format!("{directory}/{name}");
        let bytes = match self.client.artifact(&uri, &path, artifact.size) {
            Ok(bytes) => bytes,
            Err(e) if e.is_not_found() => {
                return Err(decode(format!("{} bytes", artifact.size), "no file".into()));
            }
            Err(e) => return Err(e.into()),
        };
        let digest = Digest::of(&bytes);
        if digest != artifact.digest {
            return Err(decode(artifact.digest.to_string(), digest.to_string()));
        }
        Ok(bytes)
    }

    fn record_gate(&self, model: &str, number: u64, report: GateReport) -> Result<()> {
        let found = self.find(model)?.ok_or_else(|| no_version(model, number))?;
        self.change(&mut lock(&found), |state| {
            state.version(model, number)?.check_gate(&report)?;
            Ok(Some(Change::Gate { number, report: report.clone() }))
        })
    }

    fn approve(&self, model: &str, number: u64, approval: Approval) -> Result<()> {
        let found = self.find(model)?.ok_or_else(|| no_version(model, number))?;
        self.change(&mut lock(&found), |state| {
            let new = approval.decide(state.version(model, number)?)?;
            Ok(new.then(|| Change::Approve { number, approval: approval.clone() }))
        })
    }

    fn withdraw(&self, model: &str, number: u64, withdrawal: Withdrawal) -> Result<()> {
        let found = self.find(model)?.ok_or_else(|| no_version(model, number))?;
        self.change(&mut lock(&found), |state| {
            let new = withdrawal.decide(state.version(model, number)?)?.is_some();
            Ok(new.then(|| Change::Withdraw { number, withdrawal: withdrawal.clone() }))
        })
    }

    fn policy(&self, model: &str, alias: &str) -> Result<PromotionPolicy> {
        let set = self.read(model, |model| Ok(model.state.policy(alias).cloned()))?.flatten();
        Ok(set.map(|set| set.policy).unwrap_or_default())
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
        check_alias(alias)?;
        let found = self.ensure(model, at)?;
        let (alias, actor) = (alias.to_owned(), actor.to_owned());
        let change = Change::Policy { alias, policy, actor, at };
        self.change(&mut lock(&found), |state| {
            if let Change::Policy { alias, .. } = &change {
                check_new_name("alias", alias, state.alias_names())?;
            }
            Ok(Some(change.clone()))
        })
    }

    fn promote(&self, promotion: Promotion, at: Timestamp) -> Result<Alias> {
        let Promotion { model, alias, .. } = &promotion;
        check_alias(alias)?;
        self.move_alias(model, alias, promotion.request().as_ref(), |state| {
            let version = state.version(model, promotion.version)?;
            let (policy, last) = (state.policy(alias), state.history(alias).last());
            check_new_name("alias", alias, state.alias_names())?;
            promotion.decide(version, policy, &self.roles, last, at)
        })
    }

    fn rollback(&self, rollback: Rollback, at: Timestamp) -> Result<Alias> {
        let Rollback { model, alias, .. } = &rollback;
        self.move_alias(model, alias, rollback.request().as_ref(), |state| {
            let history = state.history(alias);
            let version = state.version(model, rollback.target(history)?)?;
            rollback.decide(version, history, at)
        })
    }

    fn unset(&self, unset: Unset, at: Timestamp) -> Result<Alias> {
        let Unset { model, alias, .. } = &unset;
        self.move_alias(model, alias, unset.request().as_ref(), |state| {
            unset.decide(state.history(alias).last(), at)
        })
    }

    fn alias(&self, model: &str, alias: &str) -> Result<Option<Alias>> {
        let look = |model: &Model| Ok(model.state.history(alias).last().map(AliasChange::to_alias));
        Ok(self.read(model, look)?.flatten())
    }

    fn aliases(&self, model: &str) -> Result<Vec<Alias>> {
        let look = |model: &Model| Ok(model.state.aliases().map(AliasChange::to_alias).collect());
        Ok(self.read(model, look)?.unwrap_or_default())
    }

    fn history(&self, model: &str, alias: &str) -> Result<Vec<AliasChange>> {
        let look = |model: &Model| Ok(model.state.history(alias).to_vec());
        Ok(self.read(model, look)?.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_those_of_mlflow() {
        for good in ["champion", "v", "v1a", "a-b_c", "1", "latest1"] {
            assert!(check_alias(good).is_ok(), "{good}");
        }
        for bad in ["", "a.b", "v1", "V22", "latest", "Latest", "a/b", "ü"] {
            assert!(check_alias(bad).is_err(), "{bad}");
        }
    }
}
