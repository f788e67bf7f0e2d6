//! What a registry does, as transactions.

use std::collections::BTreeMap;

use mlops_core::{
    Alias, AliasChange, Approval, Error, GateReport, NewVersion, Promotion, PromotionPolicy,
    Request, Result, Rollback, Timestamp, Unset, Version, Withdrawal, check_new_name,
};

use super::{Database, Sql, args, seal, stored};
use crate::artifacts::Blob;
use crate::draft;

pub(crate) fn register(db: &impl Database, version: &NewVersion, at: Timestamp) -> Result<Version> {
    register_stored(db, version, &BTreeMap::new(), at)
}

pub(crate) fn register_stored(
    db: &impl Database,
    version: &NewVersion,
    files: &BTreeMap<String, Blob>,
    at: Timestamp,
) -> Result<Version> {
    stored::check(version, files)?;
    // Hashed before anybody is kept waiting.
    let mut made = version.to_version(0, at);
    let outside = stored::put(db, version, files, &mut made)?;
    let request = version.request(&made);
    let registered = db.write(|sql| {
        if let Some(number) = sql.repeated(request.as_ref())? {
            return Ok(sql.version_row(&version.model, number)?.1);
        }
        let insert = "INSERT INTO model (name) VALUES (?1) ON CONFLICT DO NOTHING";
        if sql.execute(insert, args![&made.model])? > 0 {
            let models = sql.model_names()?;
            check_new_name(
                "model",
                &made.model,
                models.iter().map(String::as_str).filter(|name| *name != made.model),
            )?;
        }
        let query = "SELECT max(v.number) FROM version v JOIN model m ON m.id = v.model
                     WHERE m.name = ?1";
        let last = sql.one(query, args![&made.model], |row| row.get::<Option<i64>>(0))?;
        made.number = last.flatten().unwrap_or(0).cast_unsigned() + 1;
        version.check_parent(made.number)?;
        let seal = sql.insert_version(&made, &version.artifacts, &outside.names)?;
        sql.log(draft::registered(&made), seal)?;
        sql.remember(request.as_ref(), made.number)?;
        Ok(made.clone())
    });
    outside.end();
    registered
}

pub(crate) fn models(db: &impl Database) -> Result<Vec<String>> {
    db.read(|sql| sql.model_names())
}

pub(crate) fn versions(db: &impl Database, model: &str) -> Result<Vec<u64>> {
    db.read(|sql| {
        let numbers = sql.version_numbers(model)?;
        Ok(numbers.into_iter().map(i64::cast_unsigned).collect())
    })
}

pub(crate) fn version(db: &impl Database, model: &str, number: u64) -> Result<Version> {
    db.read(|sql| Ok(sql.whole_version(model, number)?.1))
}

pub(crate) fn artifact(
    db: &impl Database,
    model: &str,
    number: u64,
    name: &str,
) -> Result<Vec<u8>> {
    stored::artifact(db, model, number, name)
}

pub(crate) fn record_gate(
    db: &impl Database,
    model: &str,
    number: u64,
    report: &GateReport,
) -> Result<()> {
    let json = serde_json::to_string(&report).map_err(|e| Error::other("gate report", e))?;
    // JSON has no NaN: what would not be read back as it is now is refused now.
    if serde_json::from_str::<GateReport>(&json).ok().as_ref() != Some(report) {
        return Err(Error::invalid(
            format!("gate `{:.60}`", report.gate),
            "finite numbers in its findings",
            "others",
        ));
    }
    db.write(|sql| {
        let (id, version) = sql.version_row(model, number)?;
        version.check_gate(report)?;
        let seal = seal::gate(model, number, &json);
        let insert = "INSERT INTO gate (version, report, seal) VALUES (?1, ?2, ?3)";
        sql.execute(insert, args![id, &json, seal])?;
        sql.log(draft::gated(&version, report), seal)
    })
}

pub(crate) fn approve(
    db: &impl Database,
    model: &str,
    number: u64,
    approval: &Approval,
) -> Result<()> {
    db.write(|sql| {
        let (id, version) = sql.whole_version(model, number)?;
        let Approval { by, comment, at } = approval;
        if !approval.decide(&version)? {
            return Ok(());
        }
        let seal = seal::approval(model, number, approval);
        let insert = "INSERT INTO approval (version, person, comment, at, seal)
                      VALUES (?1, ?2, ?3, ?4, ?5)";
        sql.execute(insert, args![id, by, comment, *at, seal])?;
        sql.log(draft::approved(&version, approval), seal)
    })
}

pub(crate) fn withdraw(
    db: &impl Database,
    model: &str,
    number: u64,
    withdrawal: &Withdrawal,
) -> Result<()> {
    db.write(|sql| {
        let (id, version) = sql.whole_version(model, number)?;
        let Some(withdrawn) = withdrawal.decide(&version)? else { return Ok(()) };
        let standing = sql.standing(id)?;
        let row = standing.iter().find(|(_, person)| *person == withdrawn.approval.by);
        let (row, _) = row.ok_or_else(|| {
            sql.damaged(&format!("{model} v{number}"), "the approval that stands", "none")
        })?;
        let seal = seal::withdrawal(model, number, *row, &withdrawn);
        let insert = "INSERT INTO withdrawal (approval, reason, at, seal) VALUES (?1, ?2, ?3, ?4)";
        sql.execute(insert, args![*row, &withdrawn.reason, withdrawn.at, seal])?;
        sql.log(draft::withdrawn(&version, &withdrawn), seal)
    })
}

pub(crate) fn policy(db: &impl Database, model: &str, alias: &str) -> Result<PromotionPolicy> {
    db.read(|sql| Ok(sql.policy_row(model, alias)?.map(|set| set.policy).unwrap_or_default()))
}

pub(crate) fn set_policy(
    db: &impl Database,
    (model, alias): (&str, &str),
    policy: &PromotionPolicy,
    actor: &str,
    at: Timestamp,
) -> Result<()> {
    policy.check(model, alias, actor, db.roles())?;
    let json = serde_json::to_string(&policy).map_err(|e| Error::other("policy", e))?;
    db.write(|sql| {
        sql.check_new_alias(model, alias)?;
        let models = sql.model_names()?;
        check_new_name("model", model, models.iter().map(String::as_str))?;
        let seal = seal::policy(model, alias, &json, actor, at.millis());
        let insert = "INSERT INTO policy (model, alias, policy, actor, at, seal)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        sql.execute(insert, args![model, alias, &json, actor, at, seal])?;
        sql.log(draft::policy_set(model, alias, &json, actor, at), seal)
    })
}

pub(crate) fn promote(db: &impl Database, promotion: &Promotion, at: Timestamp) -> Result<Alias> {
    let request = promotion.request();
    db.write(|sql| {
        let Promotion { model, alias, version, .. } = promotion;
        if let Some(revision) = sql.repeated(request.as_ref())? {
            return Ok(sql.change_row(model, alias, revision)?.to_alias());
        }
        let (_, version) = sql.whole_version(model, *version)?;
        let policy = sql.policy_row(model, alias)?;
        let last = sql.last_change(model, alias)?;
        if last.is_none() {
            sql.check_new_alias(model, alias)?;
        }
        let change = promotion.decide(&version, policy.as_ref(), db.roles(), last.as_ref(), at)?;
        sql.moved(&change, request.as_ref())
    })
}

pub(crate) fn rollback(db: &impl Database, rollback: &Rollback, at: Timestamp) -> Result<Alias> {
    let request = rollback.request();
    db.write(|sql| {
        let Rollback { model, alias, .. } = rollback;
        if let Some(revision) = sql.repeated(request.as_ref())? {
            return Ok(sql.change_row(model, alias, revision)?.to_alias());
        }
        let history = sql.history_rows(model, alias)?;
        let target = rollback.target(&history)?;
        let (_, version) = sql.whole_version(model, target)?;
        let change = rollback.decide(&version, &history, at)?;
        sql.moved(&change, request.as_ref())
    })
}

pub(crate) fn unset(db: &impl Database, unset: &Unset, at: Timestamp) -> Result<Alias> {
    let request = unset.request();
    db.write(|sql| {
        let Unset { model, alias, .. } = unset;
        if let Some(revision) = sql.repeated(request.as_ref())? {
            return Ok(sql.change_row(model, alias, revision)?.to_alias());
        }
        let change = unset.decide(sql.last_change(model, alias)?.as_ref(), at)?;
        sql.moved(&change, request.as_ref())
    })
}

pub(crate) fn alias(db: &impl Database, model: &str, alias: &str) -> Result<Option<Alias>> {
    db.read(|sql| Ok(sql.last_change(model, alias)?.as_ref().map(AliasChange::to_alias)))
}

pub(crate) fn aliases(db: &impl Database, model: &str) -> Result<Vec<Alias>> {
    db.read(|sql| {
        let names = sql.alias_names(model)?;
        let mut aliases = Vec::with_capacity(names.len());
        for name in names {
            aliases.extend(sql.last_change(model, &name)?.map(|c| c.to_alias()));
        }
        Ok(aliases)
    })
}

pub(crate) fn history(db: &impl Database, model: &str, alias: &str) -> Result<Vec<AliasChange>> {
    db.read(|sql| sql.history_rows(model, alias))
}

impl dyn Sql + '_ {
    /// Keeps the move of an alias.
    fn moved(&self, change: &AliasChange, request: Option<&Request>) -> Result<Alias> {
        let seal = self.insert_change(change)?;
        self.log(draft::moved(change), seal)?;
        self.remember(request, change.revision)?;
        Ok(change.to_alias())
    }

    pub(super) fn model_names(&self) -> Result<Vec<String>> {
        self.all("SELECT name FROM model ORDER BY name", args![], |row| row.get(0))
    }

    /// Whether an alias is there, or has a name that no other is spelled like.
    fn check_new_alias(&self, model: &str, alias: &str) -> Result<()> {
        let query = "SELECT DISTINCT alias FROM policy WHERE model = ?1";
        let mut names = self.all(query, args![model], |row| row.get::<String>(0))?;
        names.extend(self.alias_names(model)?);
        check_new_name("alias", alias, names.iter().map(String::as_str))
    }

    /// The error of a version that is not there.
    pub(super) fn no_version(&self, model: &str, number: u64) -> Error {
        let last = self.version_numbers(model).and_then(|numbers| {
            let last = numbers.last().map_or(0, |last| last.cast_unsigned());
            Ok((last, if last == 0 { self.model_names()? } else { Vec::new() }))
        });
        match last {
            Ok((last, models)) => crate::no_version(model, number, last, models),
            Err(error) => error,
        }
    }

    pub(super) fn version_numbers(&self, model: &str) -> Result<Vec<i64>> {
        let query = "SELECT v.number FROM version v JOIN model m ON m.id = v.model
                     WHERE m.name = ?1 ORDER BY v.number";
        self.all(query, args![model], |row| row.get(0))
    }

    pub(super) fn alias_names(&self, model: &str) -> Result<Vec<String>> {
        let query = "SELECT DISTINCT c.alias FROM alias_change c JOIN model m ON m.id = c.model
                     WHERE m.name = ?1 ORDER BY c.alias";
        self.all(query, args![model], |row| row.get(0))
    }
}

/// Makes a [`Database`] a [`Registry`](mlops_core::Registry).
macro_rules! forward_registry {
    ($database:ty) => {
        impl mlops_core::Registry for $database {
            fn register(
                &self,
                version: mlops_core::NewVersion,
                at: mlops_core::Timestamp,
            ) -> mlops_core::Result<mlops_core::Version> {
                $crate::sql::registry::register(self, &version, at)
            }

            fn models(&self) -> mlops_core::Result<Vec<String>> {
                $crate::sql::registry::models(self)
            }

            fn versions(&self, model: &str) -> mlops_core::Result<Vec<u64>> {
                $crate::sql::registry::versions(self, model)
            }

            fn version(&self, model: &str, number: u64) -> mlops_core::Result<mlops_core::Version> {
                $crate::sql::registry::version(self, model, number)
            }

            fn artifact(
                &self,
                model: &str,
                number: u64,
                name: &str,
            ) -> mlops_core::Result<Vec<u8>> {
                $crate::sql::registry::artifact(self, model, number, name)
            }

            fn record_gate(
                &self,
                model: &str,
                number: u64,
                report: mlops_core::GateReport,
            ) -> mlops_core::Result<()> {
                $crate::sql::registry::record_gate(self, model, number, &report)
            }

            fn approve(
                &self,
                model: &str,
                number: u64,
                approval: mlops_core::Approval,
            ) -> mlops_core::Result<()> {
                $crate::sql::registry::approve(self, model, number, &approval)
            }

            fn withdraw(
                &self,
                model: &str,
                number: u64,
                withdrawal: mlops_core::Withdrawal,
            ) -> mlops_core::Result<()> {
                $crate::sql::registry::withdraw(self, model, number, &withdrawal)
            }

            fn policy(
                &self,
                model: &str,
                alias: &str,
            ) -> mlops_core::Result<mlops_core::PromotionPolicy> {
                $crate::sql::registry::policy(self, model, alias)
            }

            fn set_policy(
                &self,
                model: &str,
                alias: &str,
                policy: mlops_core::PromotionPolicy,
                actor: &str,
                at: mlops_core::Timestamp,
            ) -> mlops_core::Result<()> {
                $crate::sql::registry::set_policy(self, (model, alias), &policy, actor, at)
            }

            fn promote(
                &self,
                promotion: mlops_core::Promotion,
                at: mlops_core::Timestamp,
            ) -> mlops_core::Result<mlops_core::Alias> {
                $crate::sql::registry::promote(self, &promotion, at)
            }

            fn rollback(
                &self,
                rollback: mlops_core::Rollback,
                at: mlops_core::Timestamp,
            ) -> mlops_core::Result<mlops_core::Alias> {
                $crate::sql::registry::rollback(self, &rollback, at)
            }

            fn unset(
                &self,
                unset: mlops_core::Unset,
                at: mlops_core::Timestamp,
            ) -> mlops_core::Result<mlops_core::Alias> {
                $crate::sql::registry::unset(self, &unset, at)
            }

            fn alias(
                &self,
                model: &str,
                alias: &str,
            ) -> mlops_core::Result<Option<mlops_core::Alias>> {
                $crate::sql::registry::alias(self, model, alias)
            }

            fn aliases(&self, model: &str) -> mlops_core::Result<Vec<mlops_core::Alias>> {
                $crate::sql::registry::aliases(self, model)
            }

            fn history(
                &self,
                model: &str,
                alias: &str,
            ) -> mlops_core::Result<Vec<mlops_core::AliasChange>> {
                $crate::sql::registry::history(self, model, alias)
            }
        }
    };
}
pub(crate) use forward_registry;
