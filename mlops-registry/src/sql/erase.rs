//! Erasing a person from a database.
//!
//! A pseudonym takes the place of the name, in rows that are final for everybody else, and each
//! row gets the seal of what it says now. The entry of the erasure says which seal became which,
//! so that `verify` still finds every row's entry, and holds what is not personal against it.

use std::collections::BTreeMap;

use mlops_core::{AliasChange, Approval, Digest, Error, GateReport, Result, Timestamp, Withdrawn};
use serde_json::{Value, json};

use super::{Database, Sql, args, seal};
use crate::audit::{Draft, Entry};
use crate::draft;
use crate::erasure::{Erased, check, pseudonym, rename, rename_in_change};

/// How much one entry speaks of: entries have a limit.
const TOGETHER: usize = 5000;

pub(crate) fn erase(
    db: &impl Database,
    person: &str,
    actor: &str,
    at: Timestamp,
) -> Result<Erased> {
    check(person, actor)?;
    let pseudonym = pseudonym()?;
    let mut erased = db.write_over(|sql| sql.erase(person, &pseudonym, (actor, at)))?;
    // What was done stays done, whatever comes of this.
    erased.overwritten = db.forget().unwrap_or(false);
    Ok(erased)
}

/// Which seal became which.
#[derive(Default)]
struct Renamed(Vec<(Digest, Digest)>);

impl dyn Sql + '_ {
    fn erase(
        &self,
        person: &str,
        pseudonym: &str,
        (actor, at): (&str, Timestamp),
    ) -> Result<Erased> {
        let mut seals = Renamed::default();
        self.guard(false)?;
        self.erase_authors(person, pseudonym, &mut seals)?;
        self.erase_gates(person, pseudonym, &mut seals)?;
        // What they wrote is found by the approval's name.
        self.erase_withdrawals(person, &mut seals)?;
        self.erase_approvals(person, pseudonym, &mut seals)?;
        self.erase_policies(person, pseudonym, &mut seals)?;
        self.erase_changes(person, pseudonym, &mut seals)?;
        self.guard(true)?;
        let update = "UPDATE run SET person = ?2 WHERE person = ?1";
        let runs = self.execute(update, args![person, pseudonym])?;
        let entries = self.erase_entries(person)?;
        let erased = Erased {
            pseudonym: pseudonym.to_owned(),
            entries: entries.len() as u64,
            records: seals.0.len() as u64,
            runs,
            overwritten: false,
        };
        let (mut entries, mut seals) = (entries.as_slice(), seals.0.as_slice());
        let mut first = runs > 0;
        while first || !entries.is_empty() || !seals.is_empty() {
            first = false;
            let (now, later) = entries.split_at(entries.len().min(TOGETHER));
            let (renamed, others) = seals.split_at(seals.len().min(TOGETHER));
            let mut draft = Draft::erasure(at, actor, now.iter().copied());
            let renamed: BTreeMap<String, String> =
                renamed.iter().map(|(old, new)| (old.to_string(), new.to_string())).collect();
            draft.detail["rows"] = json!(renamed);
            self.append_entry(draft)?;
            (entries, seals) = (later, others);
        }
        Ok(erased)
    }

    fn erase_authors(&self, person: &str, pseudonym: &str, seals: &mut Renamed) -> Result<()> {
        let query = "SELECT m.name, v.number, v.facts FROM version v JOIN model m ON m.id = v.model
                     WHERE v.author = ?1";
        let found = self.all(query, args![person], |row| {
            Ok((row.get::<String>(0)?, row.get::<i64>(1)?, row.get::<Option<String>>(2)?))
        })?;
        for (model, number, facts) in found {
            let (id, mut version) = self.version_row(&model, number.cast_unsigned())?;
            let old = seal::version(&version, facts.as_deref());
            pseudonym.clone_into(&mut version.author);
            let new = seal::version(&version, facts.as_deref());
            let update = "UPDATE version SET author = ?2, seal = ?3 WHERE id = ?1";
            self.execute(update, args![id, pseudonym, new])?;
            seals.0.push((old, new));
        }
        Ok(())
    }

    fn erase_gates(&self, person: &str, pseudonym: &str, seals: &mut Renamed) -> Result<()> {
        let query = "SELECT m.name, v.number, g.id, g.report, g.seal FROM gate g
                     JOIN version v ON v.id = g.version JOIN model m ON m.id = v.model";
        let mut found = Vec::new();
        self.query(query, args![], &mut |row| {
            let (model, number) = (row.get::<String>(0)?, row.get::<i64>(1)?.cast_unsigned());
            let json = row.get::<String>(3)?;
            let place = format!("a gate of {model} v{number}");
            let report = serde_json::from_str::<GateReport>(&json);
            let mut report = report.map_err(|e| self.damaged(&place, "a gate report", e))?;
            if report.by.as_mut().is_some_and(|by| rename(by, person, pseudonym)) {
                let old = seal::gate(&model, number, &json);
                self.sealed(&place, &row.get::<Vec<u8>>(4)?, old)?;
                let json = serde_json::to_string(&report);
                let json = json.map_err(|e| Error::other("gate report", e))?;
                found.push((row.get::<i64>(2)?, old, seal::gate(&model, number, &json), json));
            }
            Ok(())
        })?;
        for (id, old, new, json) in found {
            let update = "UPDATE gate SET report = ?2, seal = ?3 WHERE id = ?1";
            self.execute(update, args![id, &json, new])?;
            seals.0.push((old, new));
        }
        Ok(())
    }

    fn erase_approvals(&self, person: &str, pseudonym: &str, seals: &mut Renamed) -> Result<()> {
        let query = "SELECT m.name, v.number, a.id, a.person, a.comment, a.at, a.seal
                     FROM approval a JOIN version v ON v.id = a.version
                     JOIN model m ON m.id = v.model WHERE a.person = ?1";
        let found = self.all(query, args![person], |row| {
            let (model, number) = (row.get::<String>(0)?, row.get::<i64>(1)?.cast_unsigned());
            let approval = Approval { by: row.get(3)?, comment: row.get(4)?, at: row.get(5)? };
            let old = seal::approval(&model, number, &approval);
            let place = format!("an approval of {model} v{number}");
            self.sealed(&place, &row.get::<Vec<u8>>(6)?, old)?;
            let approval =
                Approval { by: pseudonym.to_owned(), comment: String::new(), at: approval.at };
            Ok((row.get::<i64>(2)?, old, seal::approval(&model, number, &approval)))
        })?;
        for (id, old, new) in found {
            let update = "UPDATE approval SET person = ?2, comment = '', seal = ?3 WHERE id = ?1";
            self.execute(update, args![id, pseudonym, new])?;
            seals.0.push((old, new));
        }
        Ok(())
    }

    fn erase_withdrawals(&self, person: &str, seals: &mut Renamed) -> Result<()> {
        let query = "SELECT m.name, v.number, a.id, a.person, a.comment, a.at,
                            w.id, w.reason, w.at, w.seal
                     FROM withdrawal w JOIN approval a ON a.id = w.approval
                     JOIN version v ON v.id = a.version JOIN model m ON m.id = v.model
                     WHERE a.person = ?1 AND w.reason <> ''";
        let found = self.all(query, args![person], |row| {
            let (model, number) = (row.get::<String>(0)?, row.get::<i64>(1)?.cast_unsigned());
            let approval = Approval { by: row.get(3)?, comment: row.get(4)?, at: row.get(5)? };
            let mut withdrawn = Withdrawn { approval, reason: row.get(7)?, at: row.get(8)? };
            let of = row.get::<i64>(2)?;
            let old = seal::withdrawal(&model, number, of, &withdrawn);
            let place = format!("an approval of {model} v{number} that was taken back");
            self.sealed(&place, &row.get::<Vec<u8>>(9)?, old)?;
            withdrawn.reason.clear();
            let new = seal::withdrawal(&model, number, of, &withdrawn);
            Ok((row.get::<i64>(6)?, old, new))
        })?;
        for (id, old, new) in found {
            let update = "UPDATE withdrawal SET reason = '', seal = ?2 WHERE id = ?1";
            self.execute(update, args![id, new])?;
            seals.0.push((old, new));
        }
        Ok(())
    }

    fn erase_policies(&self, person: &str, pseudonym: &str, seals: &mut Renamed) -> Result<()> {
        let query = "SELECT id, model, alias, policy, at, seal FROM policy WHERE actor = ?1";
        let found = self.all(query, args![person], |row| {
            let (model, alias) = (row.get::<String>(1)?, row.get::<String>(2)?);
            let (json, at) = (row.get::<String>(3)?, row.get::<i64>(4)?);
            let old = seal::policy(&model, &alias, &json, person, at);
            let place = format!("policy of {model}@{alias}");
            self.sealed(&place, &row.get::<Vec<u8>>(5)?, old)?;
            Ok((row.get::<i64>(0)?, old, seal::policy(&model, &alias, &json, pseudonym, at)))
        })?;
        for (id, old, new) in found {
            let update = "UPDATE policy SET actor = ?2, seal = ?3 WHERE id = ?1";
            self.execute(update, args![id, pseudonym, new])?;
            seals.0.push((old, new));
        }
        Ok(())
    }

    fn erase_changes(&self, person: &str, pseudonym: &str, seals: &mut Renamed) -> Result<()> {
        let query = "SELECT model, alias, revision, change, seal FROM alias_change";
        let mut found = Vec::new();
        self.query(query, args![], &mut |row| {
            let (alias, revision) = (row.get::<String>(1)?, row.get::<i64>(2)?);
            let json = row.get::<String>(3)?;
            let place = format!("revision {revision} of `{alias}`");
            let change = serde_json::from_str::<AliasChange>(&json);
            let mut change = change.map_err(|e| self.damaged(&place, "a change of an alias", e))?;
            if rename_in_change(&mut change, person, pseudonym) {
                let old = seal::change(&json);
                self.sealed(&place, &row.get::<Vec<u8>>(4)?, old)?;
                let json = serde_json::to_string(&change);
                let json = json.map_err(|e| Error::other("alias change", e))?;
                found.push((row.get::<i64>(0)?, alias, revision, old, json));
            }
            Ok(())
        })?;
        for (model, alias, revision, old, json) in found {
            let new = seal::change(&json);
            let update = "UPDATE alias_change SET change = ?4, seal = ?5
                          WHERE model = ?1 AND alias = ?2 AND revision = ?3";
            self.execute(update, args![model, &alias, revision, &json, new])?;
            seals.0.push((old, new));
        }
        Ok(())
    }

    /// The numbers of the entries that lost values.
    fn erase_entries(&self, person: &str) -> Result<Vec<u64>> {
        let mut found = Vec::new();
        self.query("SELECT entry FROM audit ORDER BY seq", args![], &mut |row| {
            let mut entry = Entry::from_json(&row.get::<String>(0)?)?;
            if entry.erase_person(person) {
                found.push((entry.seq(), entry.to_json()?));
            }
            Ok(())
        })?;
        for (seq, json) in &found {
            let update = "UPDATE audit SET entry = ?2 WHERE seq = ?1";
            self.execute(update, args![seq.cast_signed(), json])?;
        }
        Ok(found.into_iter().map(|(seq, _)| seq).collect())
    }

    /// What the log would say of the row with this seal, were it made now; of a row that was
    /// touched by an erasure, all that is not personal must be what its entry says.
    pub(super) fn draft_of(&self, table: &str, seal: Digest) -> Result<Option<Draft>> {
        let of_version = |row: &super::Row<'_>| -> Result<(String, u64)> {
            Ok((row.get::<String>(0)?, row.get::<i64>(1)?.cast_unsigned()))
        };
        match table {
            "version" => {
                let query = "SELECT m.name, v.number FROM version v JOIN model m ON m.id = v.model
                             WHERE v.seal = ?1";
                let found = self.one(query, args![seal], of_version)?;
                let Some((model, number)) = found else { return Ok(None) };
                Ok(Some(draft::registered(&self.version_row(&model, number)?.1)))
            }
            "gate" => {
                let query = "SELECT m.name, v.number, g.report FROM gate g
                             JOIN version v ON v.id = g.version JOIN model m ON m.id = v.model
                             WHERE g.seal = ?1";
                let found = self
                    .one(query, args![seal], |row| Ok((of_version(row)?, row.get::<String>(2)?)))?;
                let Some(((model, number), json)) = found else { return Ok(None) };
                let report = serde_json::from_str::<GateReport>(&json)
                    .map_err(|e| self.damaged("a gate", "a gate report", e))?;
                Ok(Some(draft::gated(&self.version_row(&model, number)?.1, &report)))
            }
            "approval" => {
                let query = "SELECT m.name, v.number, a.person, a.at FROM approval a
                             JOIN version v ON v.id = a.version JOIN model m ON m.id = v.model
                             WHERE a.seal = ?1";
                let found = self.one(query, args![seal], |row| {
                    let (by, at) = (row.get(2)?, row.get(3)?);
                    Ok((of_version(row)?, Approval { by, comment: String::new(), at }))
                })?;
                let Some(((model, number), approval)) = found else { return Ok(None) };
                Ok(Some(draft::approved(&self.version_row(&model, number)?.1, &approval)))
            }
            "withdrawal" => {
                let query = "SELECT m.name, v.number, a.person, a.at, w.reason, w.at
                             FROM withdrawal w
                             JOIN approval a ON a.id = w.approval
                             JOIN version v ON v.id = a.version JOIN model m ON m.id = v.model
                             WHERE w.seal = ?1";
                let found = self.one(query, args![seal], |row| {
                    let approval =
                        Approval { by: row.get(2)?, comment: String::new(), at: row.get(3)? };
                    let (reason, at) = (row.get(4)?, row.get(5)?);
                    Ok((of_version(row)?, Withdrawn { approval, reason, at }))
                })?;
                let Some(((model, number), withdrawn)) = found else { return Ok(None) };
                Ok(Some(draft::withdrawn(&self.version_row(&model, number)?.1, &withdrawn)))
            }
            "policy" => {
                let query = "SELECT model, alias, policy, actor, at FROM policy WHERE seal = ?1";
                self.one(query, args![seal], |row| {
                    let (model, alias) = (row.get::<String>(0)?, row.get::<String>(1)?);
                    let (json, actor) = (row.get::<String>(2)?, row.get::<String>(3)?);
                    Ok(draft::policy_set(&model, &alias, &json, &actor, row.get(4)?))
                })
            }
            _ => {
                let query = "SELECT change FROM alias_change WHERE seal = ?1";
                let found = self.one(query, args![seal], |row| row.get::<String>(0))?;
                let Some(json) = found else { return Ok(None) };
                let change = serde_json::from_str::<AliasChange>(&json)
                    .map_err(|e| self.damaged("history", "a change of an alias", e))?;
                Ok(Some(draft::moved(&change)))
            }
        }
    }
}

/// Which seal an erasure gave to which row, as its entry says.
pub(super) fn renamed(entry: &Entry) -> Vec<(Digest, Digest)> {
    let rows = entry.detail().get("rows").and_then(Value::as_object);
    let rows = rows.filter(|_| entry.action() == "erase");
    let pairs = rows.into_iter().flatten();
    pairs.filter_map(|(old, new)| Some((old.parse().ok()?, new.as_str()?.parse().ok()?))).collect()
}

/// Lets people be erased from a [`Database`].
macro_rules! forward_erasure {
    ($database:ty) => {
        impl $database {
            /// Erases a person: a pseudonym takes the place of the name in versions, gates,
            /// approvals, policies, moves of aliases and runs; what they wrote as comments and
            /// reasons (of withdrawals, too) is gone, and so are their personal values in the audit log. Everything
            /// still verifies: the log keeps the salted hashes, and an entry says what was
            /// erased, and by whom.
            ///
            /// What the person or others wrote elsewhere (names of models, parameters, tags,
            /// artifacts, keys of requests, other people's comments) is not looked through, and
            /// checkpoints, exports, evidence packs and backups that were made before have copies
            /// of their own. What was promoted on the person's
            /// approval stays; for later promotions it counts no more, and a version of theirs gets
            /// no new approvals: nobody can say any more who is another
            /// ([`is_erased`](mlops_core::is_erased)). An entry that lists several approvers loses
            /// the list; the move of the alias keeps the others.
            ///
            /// SQLite overwrites the bytes in the file and cuts its log, unless another process
            /// reads just then. PostgreSQL keeps old rows until `VACUUM`, and wants the owner of
            /// the tables. [`Erased::overwritten`](crate::Erased::overwritten) says which.
            ///
            /// # Errors
            /// [`Error::Invalid`](mlops_core::Error::Invalid) for an empty name, or a person who
            /// erases themselves; [`Error::Decode`](mlops_core::Error::Decode) for rows that are
            /// damaged; a store that can't be written.
            pub fn erase(
                &self,
                person: &str,
                actor: &str,
                at: mlops_core::Timestamp,
            ) -> mlops_core::Result<$crate::Erased> {
                $crate::sql::erase::erase(self, person, actor, at)
            }
        }
    };
}
pub(crate) use forward_erasure;
