//! Records to rows and back. Every read compares the row's seal.

use std::collections::{BTreeMap, BTreeSet};

use mlops_core::{
    AliasChange, Approval, Artifact, Digest, Error, GateReport, Lineage, PromotionPolicy, Request,
    Result, SetPolicy, Signature, Timestamp, Version, Withdrawn,
};
use serde::{Deserialize, Serialize};

use super::{Cell, FromCell, Row, Sql, args, seal};

/// How much of an artifact one row holds.
const CHUNK: usize = 1 << 18;

impl dyn Sql + '_ {
    /// A version without what gathered on it, and the number of its row.
    pub(super) fn version_row(&self, model: &str, number: u64) -> Result<(i64, Version)> {
        let missing = || self.no_version(model, number);
        let key = i64::try_from(number).map_err(|_| missing())?;
        let sql = "SELECT v.id, v.digest, v.author, v.created_at, v.data_digest, v.seal, v.facts
                   FROM version v JOIN model m ON m.id = v.model
                   WHERE m.name = ?1 AND v.number = ?2";
        let row = self.one(sql, args![model, key], |row| {
            let mut version =
                Version::new(model, number, row.get(1)?, row.get::<String>(2)?, row.get(3)?);
            version.data_digest = row.get(4)?;
            let seal = row.get::<Vec<u8>>(5)?;
            Ok((row.get::<i64>(0)?, version, seal, row.get::<Option<String>>(6)?))
        })?;
        let (id, mut version, stored, facts) = row.ok_or_else(missing)?;
        let place = format!("version {model} v{number}");
        let sql = "SELECT a.name, b.digest, b.size FROM artifact a JOIN blob b ON b.id = a.blob
                   WHERE a.version = ?1 ORDER BY a.name";
        version.artifacts = self.all(sql, args![id], |row| {
            let size = row.get::<i64>(2)?.cast_unsigned();
            Ok(Artifact { name: row.get(0)?, digest: row.get(1)?, size })
        })?;
        version.metrics = self
            .pairs::<i64>("SELECT name, bits FROM metric WHERE version = ?1", id)?
            .map(|(name, bits)| (name, f64::from_bits(bits.cast_unsigned())))
            .collect();
        version.params =
            self.pairs("SELECT name, value FROM param WHERE version = ?1", id)?.collect();
        version.tags = self.pairs("SELECT name, value FROM tag WHERE version = ?1", id)?.collect();
        self.sealed(&place, &stored, seal::version(&version, facts.as_deref()))?;
        if let Some(json) = facts {
            let facts = serde_json::from_str::<Facts>(&json);
            facts
                .map_err(|e| self.damaged(&place, "facts of a version", e))?
                .put_into(&mut version);
        }
        Ok((id, version))
    }

    fn pairs<T: FromCell>(
        &self,
        sql: &str,
        id: i64,
    ) -> Result<impl Iterator<Item = (String, T)> + use<T>> {
        Ok(self.all(sql, args![id], |row| Ok((row.get(0)?, row.get(1)?)))?.into_iter())
    }

    /// The version with the gates and approvals that gathered on it.
    pub(super) fn whole_version(&self, model: &str, number: u64) -> Result<(i64, Version)> {
        let (id, mut version) = self.version_row(model, number)?;
        let place = format!("a gate of {model} v{number}");
        let sql = "SELECT report, seal FROM gate WHERE version = ?1 ORDER BY id";
        let gates =
            self.all(sql, args![id], |row| Ok((row.get::<String>(0)?, row.get::<Vec<u8>>(1)?)))?;
        for (json, stored) in gates {
            self.sealed(&place, &stored, seal::gate(model, number, &json))?;
            let report = serde_json::from_str::<GateReport>(&json);
            version.gates.push(report.map_err(|e| self.damaged(&place, "a gate report", e))?);
        }
        let place = format!("an approval of {model} v{number}");
        let sql = "SELECT person, comment, at, seal, id FROM approval
                   WHERE version = ?1 ORDER BY id";
        let approvals = self.all(sql, args![id], |row| {
            let approval = Approval { by: row.get(0)?, comment: row.get(1)?, at: row.get(2)? };
            Ok((row.get::<i64>(4)?, approval, row.get::<Vec<u8>>(3)?))
        })?;
        let mut rows = BTreeMap::new();
        for (row, approval, stored) in approvals {
            self.sealed(&place, &stored, seal::approval(model, number, &approval))?;
            rows.insert(row, approval);
        }
        let place = format!("an approval of {model} v{number} that was taken back");
        let sql = "SELECT w.approval, w.reason, w.at, w.seal FROM withdrawal w
                   JOIN approval a ON a.id = w.approval WHERE a.version = ?1 ORDER BY w.id";
        let withdrawals = self.all(sql, args![id], |row| {
            let (approval, reason) = (row.get::<i64>(0)?, row.get::<String>(1)?);
            Ok((approval, reason, row.get::<Timestamp>(2)?, row.get::<Vec<u8>>(3)?))
        })?;
        for (row, reason, at, stored) in withdrawals {
            let approval = rows.remove(&row);
            let approval =
                approval.ok_or_else(|| self.damaged(&place, "one taken back once", "twice"))?;
            let withdrawn = Withdrawn { approval, reason, at };
            self.sealed(&place, &stored, seal::withdrawal(model, number, row, &withdrawn))?;
            version.withdrawn.push(withdrawn);
        }
        version.approvals.extend(rows.into_values());
        Ok((id, version))
    }

    /// The rows of the approvals of a version that stand, and whose they are.
    pub(super) fn standing(&self, version: i64) -> Result<Vec<(i64, String)>> {
        let sql = "SELECT a.id, a.person FROM approval a
                   LEFT JOIN withdrawal w ON w.approval = a.id
                   WHERE a.version = ?1 AND w.id IS NULL ORDER BY a.id";
        self.all(sql, args![version], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    pub(super) fn insert_version(
        &self,
        version: &Version,
        files: &BTreeMap<String, Vec<u8>>,
        outside: &BTreeSet<String>,
    ) -> Result<Digest> {
        let model = self.model_id(&version.model)?;
        let model = model.ok_or_else(|| self.no_version(&version.model, version.number))?;
        let facts = Facts::of(version)?;
        let seal = seal::version(version, facts.as_deref());
        let id = self.insert(
            "INSERT INTO version
                 (model, number, digest, author, created_at, data_digest, seal, facts)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING id",
            args![
                model,
                version.number.cast_signed(),
                version.digest,
                &version.author,
                version.created_at,
                version.data_digest,
                seal,
                facts.as_deref(),
            ],
        )?;
        for artifact in &version.artifacts {
            let blob = if outside.contains(&artifact.name) {
                self.insert_stored(artifact)?
            } else {
                let bytes = files.get(&artifact.name).map_or(&[][..], Vec::as_slice);
                self.insert_blob(artifact.digest, bytes)?
            };
            let sql = "INSERT INTO artifact (version, name, blob) VALUES (?1, ?2, ?3)";
            self.execute(sql, args![id, &artifact.name, blob])?;
        }
        for (name, value) in &version.metrics {
            let sql = "INSERT INTO metric (version, name, value, bits) VALUES (?1, ?2, ?3, ?4)";
            self.execute(sql, args![id, name, *value, value.to_bits().cast_signed()])?;
        }
        for (sql, map) in [
            ("INSERT INTO param (version, name, value) VALUES (?1, ?2, ?3)", &version.params),
            ("INSERT INTO tag (version, name, value) VALUES (?1, ?2, ?3)", &version.tags),
        ] {
            for (name, value) in map {
                self.execute(sql, args![id, name, value])?;
            }
        }
        Ok(seal)
    }

    /// The answer that was given to this request before, if it has a key and was made before.
    pub(super) fn repeated(&self, request: Option<&Request>) -> Result<Option<u64>> {
        let Some(request) = request else { return Ok(None) };
        let Request { model, key, .. } = request;
        let sql = "SELECT digest, answer, seal FROM request WHERE model = ?1 AND name = ?2";
        let row = self.one(sql, args![model, key], |row| {
            Ok((row.get::<Digest>(0)?, row.get::<i64>(1)?, row.get::<Vec<u8>>(2)?))
        })?;
        let Some((digest, answer, stored)) = row else { return Ok(None) };
        let place = format!("request `{key}` of {model}");
        self.sealed(&place, &stored, seal::request(model, key, digest, answer))?;
        let answer = answer.cast_unsigned();
        match request.answer(digest, answer) {
            Ok(answer) => Ok(Some(answer)),
            Err(_) => Err(self.key_used(request, digest, answer)?),
        }
    }

    /// The error of a key that another request has.
    fn key_used(&self, request: &Request, digest: Digest, answer: u64) -> Result<Error> {
        let mut moves = Vec::new();
        for alias in self.alias_names(&request.model)? {
            let history = self.history_rows(&request.model, &alias)?;
            moves.extend(history.into_iter().filter(|change| change.revision == answer));
        }
        let version = match self.version_row(&request.model, answer) {
            Ok((_, version)) => Some(version),
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(request.used(digest, answer, &moves, version.as_ref()))
    }

    /// Keeps the answer to a request, if it has a key.
    pub(super) fn remember(&self, request: Option<&Request>, answer: u64) -> Result<()> {
        let Some(Request { model, key, digest, .. }) = request else { return Ok(()) };
        let answer = answer.cast_signed();
        let seal = seal::request(model, key, *digest, answer);
        let sql = "INSERT INTO request (model, name, digest, answer, seal)
                   VALUES (?1, ?2, ?3, ?4, ?5)";
        self.execute(sql, args![model, key, *digest, answer, seal])?;
        Ok(())
    }

    pub(super) fn model_id(&self, model: &str) -> Result<Option<i64>> {
        self.one("SELECT id FROM model WHERE name = ?1", args![model], |row| row.get(0))
    }

    fn insert_blob(&self, digest: Digest, bytes: &[u8]) -> Result<i64> {
        let size = bytes.len() as i64;
        let sql = "SELECT id FROM blob WHERE digest = ?1";
        let id = if let Some(id) = self.one(sql, args![digest], |row| row.get(0))? {
            // The same bytes were registered before. If they have rotted since, these are better.
            let stored = self.blob(digest);
            if stored.is_ok_and(|stored| stored == bytes) {
                return Ok(id);
            }
            self.execute("DELETE FROM chunk WHERE blob = ?1", args![id])?;
            self.execute("UPDATE blob SET size = ?2 WHERE id = ?1", args![id, size])?;
            id
        } else {
            let sql = "INSERT INTO blob (digest, size) VALUES (?1, ?2) RETURNING id";
            self.insert(sql, args![digest, size])?
        };
        for (piece, seq) in bytes.chunks(CHUNK).zip(0_i64..) {
            let sql = "INSERT INTO chunk (blob, seq, bytes) VALUES (?1, ?2, ?3)";
            self.execute(sql, args![id, seq, piece])?;
        }
        Ok(id)
    }

    /// The bytes of this digest, verified. What is allocated is bounded by what is stored.
    pub(super) fn blob(&self, digest: Digest) -> Result<Vec<u8>> {
        let sql = "SELECT c.bytes FROM chunk c JOIN blob b ON b.id = c.blob
                   WHERE b.digest = ?1 ORDER BY c.seq";
        let mut bytes = Vec::new();
        self.query(sql, args![digest], &mut |row| {
            row.with(0, |cell| match cell {
                Cell::Blob(piece) => {
                    bytes.extend_from_slice(piece);
                    Ok(())
                }
                _ => Err("bytes"),
            })
        })?;
        let found = Digest::of(&bytes);
        if found != digest {
            let place = format!("blob of {} bytes", bytes.len());
            return Err(self.damaged(&place, &digest.to_string(), found));
        }
        Ok(bytes)
    }

    pub(super) fn history_rows(&self, model: &str, alias: &str) -> Result<Vec<AliasChange>> {
        let Some(id) = self.model_id(model)? else { return Ok(Vec::new()) };
        let sql = "SELECT revision, version, change, seal FROM alias_change
                   WHERE model = ?1 AND alias = ?2 ORDER BY revision";
        let rows = self.all(sql, args![id, alias], change_row)?;
        rows.into_iter().map(|row| self.change(model, alias, row)).collect()
    }

    pub(super) fn last_change(&self, model: &str, alias: &str) -> Result<Option<AliasChange>> {
        let Some(id) = self.model_id(model)? else { return Ok(None) };
        let sql = "SELECT revision, version, change, seal FROM alias_change
                   WHERE model = ?1 AND alias = ?2 ORDER BY revision DESC LIMIT 1";
        let row = self.one(sql, args![id, alias], change_row)?;
        row.map(|row| self.change(model, alias, row)).transpose()
    }

    /// The change that gave an alias this revision.
    pub(super) fn change_row(
        &self,
        model: &str,
        alias: &str,
        revision: u64,
    ) -> Result<AliasChange> {
        let missing = || self.damaged(&format!("{model}@{alias}"), "a revision", "none");
        let id = self.model_id(model)?.ok_or_else(missing)?;
        let sql = "SELECT revision, version, change, seal FROM alias_change
                   WHERE model = ?1 AND alias = ?2 AND revision = ?3";
        let row = self.one(sql, args![id, alias, revision.cast_signed()], change_row)?;
        self.change(model, alias, row.ok_or_else(missing)?)
    }

    fn change(&self, model: &str, alias: &str, row: ChangeRow) -> Result<AliasChange> {
        let (revision, version, json, stored) = row;
        let place = format!("revision {revision} of {model}@{alias}");
        self.sealed(&place, &stored, seal::change(&json))?;
        let change: AliasChange = serde_json::from_str(&json)
            .map_err(|e| self.damaged(&place, "a change of an alias", e))?;
        let key = (&*change.model, &*change.alias, change.revision, change.version);
        if key != (model, alias, revision.cast_unsigned(), version.map(i64::cast_unsigned)) {
            return Err(self.damaged(&place, "the change that its key names", change));
        }
        Ok(change)
    }

    pub(super) fn insert_change(&self, change: &AliasChange) -> Result<Digest> {
        let model = self.model_id(&change.model)?;
        let missing = || self.no_version(&change.model, change.version.unwrap_or(0));
        let model = model.ok_or_else(missing)?;
        let json = serde_json::to_string(change).map_err(|e| Error::other("alias change", e))?;
        let revision = change.revision.cast_signed();
        let version = change.version.map(u64::cast_signed);
        let sql = "INSERT INTO alias_change (model, alias, revision, version, change, seal)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let seal = seal::change(&json);
        self.execute(sql, args![model, &change.alias, revision, version, &json, seal])?;
        Ok(seal)
    }

    /// The policy of an alias, if one was set.
    pub(super) fn policy_row(&self, model: &str, alias: &str) -> Result<Option<SetPolicy>> {
        let sql = "SELECT policy, actor, at, seal FROM policy
                   WHERE model = ?1 AND alias = ?2 ORDER BY id DESC LIMIT 1";
        let row = self.one(sql, args![model, alias], |row| {
            let (json, actor) = (row.get::<String>(0)?, row.get::<String>(1)?);
            let seal = seal::policy(model, alias, &json, &actor, row.get(2)?);
            Ok((json, seal, row.get::<Vec<u8>>(3)?, actor, row.get::<Timestamp>(2)?))
        })?;
        let Some((json, seal, stored, by, at)) = row else { return Ok(None) };
        let place = format!("policy of {model}@{alias}");
        self.sealed(&place, &stored, seal)?;
        let policy = serde_json::from_str::<PromotionPolicy>(&json);
        let policy = policy.map_err(|e| self.damaged(&place, "a policy", e))?;
        Ok(Some(SetPolicy { policy, by, at }))
    }
}

/// What is known of a version beside its columns; as JSON in one of them.
#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Facts {
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<Signature>,
    lineage: Lineage,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suite: Option<Digest>,
}

impl Facts {
    fn of(version: &Version) -> Result<Option<String>> {
        let facts = Self {
            signature: version.signature.clone(),
            lineage: version.lineage.clone(),
            profile: version.profile_digest,
            suite: version.suite_digest,
        };
        if facts == Self::default() {
            return Ok(None);
        }
        serde_json::to_string(&facts).map(Some).map_err(|e| Error::other("version", e))
    }

    fn put_into(self, version: &mut Version) {
        version.signature = self.signature;
        version.lineage = self.lineage;
        version.profile_digest = self.profile;
        version.suite_digest = self.suite;
    }
}

type ChangeRow = (i64, Option<i64>, String, Vec<u8>);

fn change_row(row: &Row<'_>) -> Result<ChangeRow> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}
