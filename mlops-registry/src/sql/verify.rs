//! A look at everything that is stored.

use std::collections::BTreeSet;
use std::fmt;

use mlops_core::{Digest, Result, history_flaws, is_erased, manifest_digest};

use super::{Sql, args, seal};

/// Something that is not as it was written, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Where: the file, a version, an artifact, an alias.
    pub place: String,
    /// What.
    pub problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// What a registry's `verify` looked at and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// How many versions there are.
    pub versions: u64,
    /// How many distinct artifacts.
    pub blobs: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many moves of aliases.
    pub changes: u64,
    /// How many entries of the audit log.
    pub entries: u64,
    /// How many runs.
    pub runs: u64,
    /// How many points their metrics have.
    pub points: u64,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
}

impl Verification {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }

    pub(crate) fn say(&mut self, place: impl Into<String>, problem: impl fmt::Display) {
        self.problems.push(Problem { place: place.into(), problem: problem.to_string() });
    }

    /// The value, or nothing and a problem.
    pub(crate) fn or_say<T: Default>(&mut self, place: &str, result: Result<T>) -> T {
        result.unwrap_or_else(|e| {
            self.say(place, e);
            T::default()
        })
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} versions, {} artifacts of {} bytes, {} moves of aliases, {} audit entries",
            self.versions, self.blobs, self.bytes, self.changes, self.entries
        )?;
        if self.runs > 0 {
            write!(f, ", {} runs with {} points", self.runs, self.points)?;
        }
        f.write_str(": ")?;
        match self.problems.as_slice() {
            [] => f.write_str("whole"),
            problems => {
                write!(f, "{} problems", problems.len())?;
                problems.iter().try_for_each(|p| write!(f, "\n  {p}"))
            }
        }
    }
}

impl dyn Sql + '_ {
    pub(crate) fn verify(&self) -> Verification {
        let mut found = Verification::default();
        for problem in found.or_say("pages", self.self_check()) {
            found.say("pages", problem);
        }
        self.verify_blobs(&mut found);
        let models = self.all("SELECT name FROM model ORDER BY name", args![], |row| row.get(0));
        let models: Vec<String> = found.or_say("models", models);
        for model in &models {
            self.verify_versions(model, &mut found);
            self.verify_aliases(model, &mut found);
        }
        self.verify_policies(&mut found);
        self.verify_log(&mut found);
        self.verify_tracking(&mut found);
        found
    }

    fn verify_blobs(&self, found: &mut Verification) {
        let blobs = self.all("SELECT digest, size, id FROM blob ORDER BY id", args![], |row| {
            Ok((row.get::<Vec<u8>>(0)?, row.get::<i64>(1)?, row.get::<i64>(2)?))
        });
        for (digest, size, id) in found.or_say("artifacts", blobs) {
            let row = format!("artifact in row {id}");
            let place = found.or_say(&row, self.files_of_blob(id));
            let Ok(digest) = <[u8; 32]>::try_from(digest.as_slice()) else {
                found.say(place, format!("expected 32 bytes of digest, found {}", digest.len()));
                continue;
            };
            found.blobs += 1;
            let digest = Digest::from_bytes(digest);
            match self.blob(digest) {
                // What lies in a store is looked at there.
                Err(_) if self.is_stored(digest).unwrap_or(false) => {}
                Ok(bytes) => {
                    found.bytes += bytes.len() as u64;
                    if bytes.len() as i64 != size {
                        let problem = format!("expected {size} bytes, found {}", bytes.len());
                        found.say(&place, problem);
                    }
                }
                Err(e) => found.say(&place, e),
            }
            let query = "SELECT count(*) FROM artifact WHERE blob = ?1";
            let uses = self.one(query, args![id], |row| row.get::<i64>(0));
            if found.or_say(&place, uses).is_none_or(|n| n == 0) {
                found.say(&place, "no version has it");
            }
        }
    }

    fn verify_versions(&self, model: &str, found: &mut Verification) {
        let numbers = found.or_say(model, self.version_numbers(model));
        if numbers.is_empty() {
            found.say(model, "a model without versions");
        }
        for (number, expected) in numbers.into_iter().zip(1..) {
            let place = format!("{model} v{number}");
            if number != expected {
                found.say(&place, format!("expected number {expected}"));
            }
            found.versions += 1;
            let (id, version) = match self.whole_version(model, number.cast_unsigned()) {
                Ok(version) => version,
                Err(e) => {
                    found.say(&place, e);
                    continue;
                }
            };
            let manifest = manifest_digest(&version.artifacts);
            if manifest != version.digest {
                let problem =
                    format!("its artifacts are {manifest}, its digest {}", version.digest);
                found.say(&place, problem);
            }
            for report in &version.gates {
                if let Err(e) = version.check_gate(report) {
                    found.say(&place, e);
                }
            }
            let back = version.withdrawn.iter().map(|withdrawn| &withdrawn.approval);
            for approval in version.approvals.iter().chain(back) {
                // Recorded before somebody was erased, it may not be recorded now.
                if is_erased(&version.author) || is_erased(&approval.by) {
                    continue;
                }
                if let Err(e) = version.check_approval(approval) {
                    found.say(&place, e);
                }
            }
            let query = "SELECT name, value FROM metric WHERE version = ?1";
            let values = self.all(query, args![id], |row| {
                Ok((row.get::<String>(0)?, row.get::<Option<f64>>(1)?))
            });
            for (name, value) in found.or_say(&place, values) {
                let kept = version.metrics.get(&name).copied().unwrap_or(f64::NAN);
                // NULL stands for NaN, and SQLite has one zero.
                if value.map_or(!kept.is_nan(), |value| value != kept) {
                    found.say(&place, format!("metric `{name}`: {value:?} beside {kept}"));
                }
            }
        }
    }

    fn verify_aliases(&self, model: &str, found: &mut Verification) {
        for alias in found.or_say(model, self.alias_names(model)) {
            let place = format!("{model}@{alias}");
            let history = found.or_say(&place, self.history_rows(model, &alias));
            found.changes += history.len() as u64;
            for (revision, flaw) in history_flaws(&history) {
                found.say(format!("{place}, revision {revision}"), flaw);
            }
            let last = self.last_change(model, &alias);
            if found.or_say(&place, last).as_ref() != history.last() {
                found.say(&place, "it does not point where its history ends");
            }
        }
    }

    fn verify_policies(&self, found: &mut Verification) {
        let query = "SELECT model, alias, policy, actor, at, seal FROM policy ORDER BY id";
        let policies = self.all(query, args![], |row| {
            let (model, alias) = (row.get::<String>(0)?, row.get::<String>(1)?);
            let (json, actor) = (row.get::<String>(2)?, row.get::<String>(3)?);
            let seal = seal::policy(&model, &alias, &json, &actor, row.get(4)?);
            let kept = row.get::<Vec<u8>>(5)?;
            Ok((model, alias, kept == seal.as_bytes()))
        });
        let mut seen = BTreeSet::new();
        for (model, alias, whole) in found.or_say("policies", policies) {
            let place = format!("policy of {model}@{alias}");
            if !whole {
                found.say(&place, "it is not what its seal says");
            }
            if seen.insert((model.clone(), alias.clone())) {
                let policy = self.policy_row(&model, &alias);
                found.or_say(&place, policy.map(drop));
            }
        }
    }
}
