//! Erasing a person from a registry, so that everything still verifies.

use std::fmt;

use mlops_core::{Error, Result, Timestamp, same_person};

use crate::MemoryRegistry;
use crate::audit::{Draft, Entry, Head, Salt};

/// What an erasure changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Erased {
    /// What stands now where the name stood; nothing leads from it to the name.
    pub pseudonym: String,
    /// How many entries of the audit log lost values.
    pub entries: u64,
    /// How many versions, gates, approvals and what took them back, policies and moves of aliases
    /// changed.
    pub records: u64,
    /// How many runs changed.
    pub runs: u64,
    /// Whether the database has let go of what it overwrote. Where it has not (another process
    /// reads a log that still has it, or PostgreSQL awaits its `VACUUM`), erase once more later.
    pub overwritten: bool,
}

impl fmt::Display for Erased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pseudonym, entries, records, runs, .. } = self;
        write!(f, "{entries} audit entries, {records} records and {runs} runs, now `{pseudonym}`")?;
        let kept = "; the database still has copies of what was overwritten";
        f.write_str(if self.overwritten { "" } else { kept })
    }
}

/// Whether this person can be erased by this one.
pub(crate) fn check(person: &str, actor: &str) -> Result<()> {
    for (what, name) in [("person to erase", person), ("who erases", actor)] {
        if name.trim().is_empty() || name.len() > 256 || name.contains(char::is_control) {
            let expected = "a name of one line, at most 256 bytes";
            return Err(Error::invalid(what, expected, format!("{:.60}", name.escape_debug())));
        }
    }
    if same_person(person, actor) {
        return Err(Error::invalid("who erases", "another person than is erased", "the same"));
    }
    Ok(())
}

/// A name that says nothing, that nobody has, and that the rules know
/// ([`is_erased`](mlops_core::is_erased)).
pub(crate) fn pseudonym() -> Result<String> {
    let id = crate::tracking::random_id()?;
    Ok(format!("erased-{}", id.get(..16).unwrap_or(&id)))
}

/// Puts the pseudonym where the name stands, and says whether it did.
pub(crate) fn rename(name: &mut String, person: &str, pseudonym: &str) -> bool {
    let found = name == person;
    if found {
        pseudonym.clone_into(name);
    }
    found
}

/// The same in a move of an alias; what the person wrote is gone.
pub(crate) fn rename_in_change(
    change: &mut mlops_core::AliasChange,
    person: &str,
    pseudonym: &str,
) -> bool {
    let mut found = rename(&mut change.actor, person, pseudonym);
    if found {
        change.reason.clear();
    }
    let setter = change.policy.as_mut().map(|set| &mut set.by);
    for name in change.approvals.iter_mut().chain(setter) {
        found |= rename(name, person, pseudonym);
    }
    found
}

impl MemoryRegistry {
    /// Erases a person, as the registries in databases do.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty name, or a person who erases themselves.
    pub fn erase(&self, person: &str, actor: &str, at: Timestamp) -> Result<Erased> {
        check(person, actor)?;
        let pseudonym = pseudonym()?;
        let mut erased =
            Erased { pseudonym: pseudonym.clone(), overwritten: true, ..Erased::default() };
        let mut state = self.state();
        let mut entries = Vec::new();
        let mut log = state.log.clone();
        for entry in &mut log {
            if entry.erase_person(person) {
                entries.push(entry.seq());
            }
        }
        erased.entries = entries.len() as u64;
        let head = log.last().map_or(Ok(Head::empty()), Entry::head)?;
        let said = Entry::next(head, Draft::erasure(at, actor, entries), Salt::random()?)?;
        // Nothing fails from here on.
        for version in state.versions.values_mut().flatten() {
            erased.records += u64::from(rename(&mut version.author, person, &pseudonym));
            for gate in &mut version.gates {
                let by = gate.by.as_mut();
                erased.records += u64::from(by.is_some_and(|by| rename(by, person, &pseudonym)));
            }
            for approval in &mut version.approvals {
                if rename(&mut approval.by, person, &pseudonym) {
                    approval.comment.clear();
                    erased.records += 1;
                }
            }
            for withdrawn in &mut version.withdrawn {
                if rename(&mut withdrawn.approval.by, person, &pseudonym) {
                    withdrawn.approval.comment.clear();
                    erased.records += 1 + u64::from(!withdrawn.reason.is_empty());
                    withdrawn.reason.clear();
                }
            }
        }
        for set in state.policies.values_mut().flatten() {
            erased.records += u64::from(rename(&mut set.by, person, &pseudonym));
        }
        for change in state.history.values_mut().flatten() {
            erased.records += u64::from(rename_in_change(change, person, &pseudonym));
        }
        erased.runs = self.tracked().rename_user(person, &pseudonym);
        if erased.entries + erased.records + erased.runs > 0 {
            log.push(said);
            state.log = log;
        }
        Ok(erased)
    }
}
