//! The audit log: an entry for every change, in the change's own transaction.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use mlops_core::{Digest, Error, Result};
use serde_json::Value;

use super::{Database, Sql, Verification, args, erase};
use crate::audit::{Draft, Entry, Head, Salt};
use crate::draft;

pub(crate) fn len(db: &impl Database) -> Result<u64> {
    db.read(|sql| Ok(sql.head()?.len))
}

pub(crate) fn entries(db: &impl Database, range: &Range<u64>) -> Result<Vec<Entry>> {
    let bound = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    db.read(|sql| {
        let query = "SELECT entry FROM audit WHERE seq >= ?1 AND seq < ?2 ORDER BY seq";
        let texts = sql
            .all(query, args![bound(range.start), bound(range.end)], |row| row.get::<String>(0))?;
        texts.iter().map(|text| Entry::from_json(text)).collect()
    })
}

impl dyn Sql + '_ {
    /// The end of the log.
    fn head(&self) -> Result<Head> {
        let query = "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1";
        let last = self.one(query, args![], |row| Ok((row.get::<i64>(0)?, row.get(1)?)))?;
        Ok(last.map_or(Head::empty(), |(seq, hash)| Head { len: seq.cast_unsigned() + 1, hash }))
    }

    /// Appends what was done; the seal says to which row.
    pub(super) fn log(&self, mut draft: Draft, seal: Digest) -> Result<()> {
        if draft.detail.is_null() {
            draft.detail = Value::Object(serde_json::Map::new());
        }
        draft.detail["row"] = seal.to_string().into();
        self.append_entry(draft)
    }

    /// Appends what was done, to no row of its own.
    pub(super) fn append_entry(&self, draft: Draft) -> Result<()> {
        let entry = Entry::next(self.head()?, draft, Salt::random()?)?;
        let insert = "INSERT INTO audit (seq, hash, entry) VALUES (?1, ?2, ?3)";
        let seq = entry.seq().cast_signed();
        self.execute(insert, args![seq, entry.hash()?, &entry.to_json()?])?;
        Ok(())
    }

    /// What was written before there was a log gets its entries now: they say so, and what they
    /// prove begins here.
    pub(crate) fn after_migration(&self, from: u32) -> Result<()> {
        if from != 1 {
            return Ok(());
        }
        let old = |mut draft: Draft| {
            draft.detail["logged_by"] = "migration from version 1".into();
            draft
        };
        let models: Vec<String> =
            self.all("SELECT name FROM model ORDER BY id", args![], |row| row.get(0))?;
        for model in &models {
            for number in self.version_numbers(model)? {
                let (id, version) = self.whole_version(model, number.cast_unsigned())?;
                let seals = |query: &str| -> Result<Vec<Digest>> {
                    self.all(query, args![id], |row| row.get(0))
                };
                for seal in seals("SELECT seal FROM version WHERE id = ?1")? {
                    self.log(old(draft::registered(&version)), seal)?;
                }
                let gates = seals("SELECT seal FROM gate WHERE version = ?1 ORDER BY id")?;
                for (report, seal) in version.gates.iter().zip(gates) {
                    self.log(old(draft::gated(&version, report)), seal)?;
                }
                let approvals = seals("SELECT seal FROM approval WHERE version = ?1 ORDER BY id")?;
                for (approval, seal) in version.approvals.iter().zip(approvals) {
                    self.log(old(draft::approved(&version, approval)), seal)?;
                }
            }
        }
        let query = "SELECT model, alias, policy, actor, at, seal FROM policy ORDER BY id";
        let policies = self.all(query, args![], |row| {
            let (model, alias) = (row.get::<String>(0)?, row.get::<String>(1)?);
            let (json, actor) = (row.get::<String>(2)?, row.get::<String>(3)?);
            Ok((draft::policy_set(&model, &alias, &json, &actor, row.get(4)?), row.get(5)?))
        })?;
        for (draft, seal) in policies {
            self.log(old(draft), seal)?;
        }
        for model in &models {
            for alias in self.alias_names(model)? {
                let query = "SELECT c.seal FROM alias_change c JOIN model m ON m.id = c.model
                             WHERE m.name = ?1 AND c.alias = ?2 ORDER BY c.revision";
                let seals = self.all(query, args![model, &alias], |row| row.get(0))?;
                for (change, seal) in self.history_rows(model, &alias)?.iter().zip(seals) {
                    self.log(old(draft::moved(change)), seal)?;
                }
            }
        }
        Ok(())
    }

    /// Whether the chain holds, and every change has its entry and every entry its change.
    pub(super) fn verify_log(&self, found: &mut Verification) {
        let mut head = Head::empty();
        let mut rows: HashMap<(String, Digest), Vec<u64>> = HashMap::new();
        let mut renamed: HashMap<Digest, Vec<Digest>> = HashMap::new();
        let query = "SELECT seq, hash, entry FROM audit ORDER BY seq";
        let read = self.query(query, args![], &mut |row| {
            let place = format!("audit entry {}", head.len);
            let (seq, hash) = (row.get::<i64>(0)?.cast_unsigned(), row.get::<Digest>(1)?);
            found.entries += 1;
            let entry = Entry::from_json(&row.get::<String>(2)?).and_then(|entry| {
                entry.follows(head)?;
                if entry.seq() != seq || entry.hash()? != hash {
                    let place = format!("number {seq}, hash {hash}");
                    return Err(Error::invalid(&*place, "those of its entry", entry.hash()?));
                }
                Ok(entry)
            });
            match entry {
                Ok(entry) => {
                    let row = entry.detail().get("row").and_then(Value::as_str);
                    if let Some(row) = row.and_then(|row| row.parse().ok()) {
                        rows.entry((entry.action().to_owned(), row)).or_default().push(seq);
                    }
                    for (old, new) in erase::renamed(&entry) {
                        renamed.entry(new).or_default().push(old);
                    }
                }
                Err(e) => found.say(place, e),
            }
            head = Head { len: seq.saturating_add(1), hash };
            Ok(())
        });
        found.or_say("audit log", read);
        let mut used = HashSet::new();
        for (table, actions, query) in [
            ("version", &["register"][..], "SELECT seal FROM version"),
            ("gate", &["gate"], "SELECT seal FROM gate"),
            ("approval", &["approve"], "SELECT seal FROM approval"),
            ("withdrawal", &["withdraw"], "SELECT seal FROM withdrawal"),
            ("policy", &["policy"], "SELECT seal FROM policy"),
            (
                "move of an alias",
                &["promote", "rollback", "unset"],
                "SELECT seal FROM alias_change",
            ),
        ] {
            let seals = self.all(query, args![], |row| row.get::<Digest>(0));
            for seal in found.or_say("audit log", seals) {
                let firsts = before_erasures(&renamed, seal, &mut used);
                if firsts.is_empty() {
                    found.say("audit log", format!("erasures in a circle, sealed {seal}"));
                }
                let entry = firsts.into_iter().find_map(|first| {
                    actions.iter().find_map(|action| {
                        let entries = rows.get_mut(&((*action).to_owned(), first))?;
                        Some((first, entries.pop()?))
                    })
                });
                let Some((first, entry)) = entry else {
                    found.say("audit log", format!("no entry of the {table} sealed {seal}"));
                    continue;
                };
                // The seal of a withdrawal has the row of the approval, and not whose it is.
                if first != seal || table == "withdrawal" {
                    let agrees = self.row_agrees(table, seal, entry);
                    if !found.or_say("audit log", agrees.map(Some)).unwrap_or(true) {
                        let problem = format!("another {table} than entry {entry} says");
                        found.say("audit log", format!("{problem}, sealed {seal}"));
                    }
                }
            }
        }
        for seal in renamed.keys().filter(|seal| !used.contains(seal)) {
            found.say("audit log", format!("an erasure in a row that is not there, sealed {seal}"));
        }
        for ((action, seal), entries) in rows.into_iter().filter(|(_, left)| !left.is_empty()) {
            let problem = format!("{} entries `{action}` of no row, sealed {seal}", entries.len());
            found.say("audit log", problem);
        }
    }

    /// Whether a row that was touched by an erasure says what its entry does, but for names; a
    /// withdrawal says the names, too, that were not erased.
    fn row_agrees(&self, table: &str, seal: Digest, entry: u64) -> Result<bool> {
        let query = "SELECT entry FROM audit WHERE seq = ?1";
        let text = self.one(query, args![entry.cast_signed()], |row| row.get::<String>(0))?;
        let entry = text.map(|text| Entry::from_json(&text)).transpose()?;
        let draft = self.draft_of(table, seal)?;
        Ok(entry.zip(draft).is_some_and(|(entry, draft)| match table {
            "withdrawal" => draft::says(&entry, &draft),
            _ => draft::agrees(&entry, &draft),
        }))
    }
}

/// The seals that a row with this one may have had before people were erased from it: several where
/// rows say the same since, as two approvals of one person and one time do whose comments are
/// gone.
fn before_erasures(
    renamed: &HashMap<Digest, Vec<Digest>>,
    seal: Digest,
    used: &mut HashSet<Digest>,
) -> Vec<Digest> {
    let (mut firsts, mut seen, mut open) = (Vec::new(), HashSet::new(), vec![seal]);
    while let Some(seal) = open.pop() {
        if !seen.insert(seal) {
            continue;
        }
        match renamed.get(&seal) {
            Some(before) => {
                used.insert(seal);
                open.extend(before);
            }
            None => firsts.push(seal),
        }
    }
    firsts
}

/// Makes a [`Database`] a [`Log`](crate::audit::Log).
macro_rules! forward_log {
    ($database:ty) => {
        impl $crate::audit::Log for $database {
            fn len(&self) -> mlops_core::Result<u64> {
                $crate::sql::audit::len(self)
            }

            fn entries(
                &self,
                range: std::ops::Range<u64>,
            ) -> mlops_core::Result<Vec<$crate::audit::Entry>> {
                $crate::sql::audit::entries(self, &range)
            }
        }
    };
}
pub(crate) use forward_log;
