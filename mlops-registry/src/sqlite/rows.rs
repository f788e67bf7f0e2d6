//! Records to rows and back. Every read compares the row's seal.

use std::collections::BTreeMap;

use mlops_core::{
    AliasChange, Approval, Artifact, Digest, Error, GateReport, PromotionPolicy, Result, Timestamp,
    Version,
};
use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::{Store, seal};

/// How much of an artifact one row holds.
pub(super) const CHUNK: usize = 1 << 18;

impl Store {
    pub(super) fn one<T>(
        &self,
        db: &Connection,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        db.query_row(sql, params, read).optional().map_err(|e| self.error(e))
    }

    pub(super) fn all<T>(
        &self,
        db: &Connection,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let rows = || db.prepare(sql)?.query_map(params, read)?.collect::<rusqlite::Result<_>>();
        rows().map_err(|e| self.error(e))
    }

    pub(super) fn run(&self, db: &Connection, sql: &str, params: impl Params) -> Result<usize> {
        db.execute(sql, params).map_err(|e| self.error(e))
    }

    /// An error for a row that is not what was written.
    pub(super) fn damaged(
        &self,
        place: &str,
        expected: &str,
        found: impl std::fmt::Display,
    ) -> Error {
        Error::Decode {
            what: format!("{}, {place}", self.path.display()),
            offset: 0,
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    fn sealed(&self, place: &str, stored: &[u8], seal: Digest) -> Result<()> {
        if stored == seal.as_bytes() {
            return Ok(());
        }
        Err(self.damaged(place, "what its seal says", "something else"))
    }

    fn digest(&self, place: &str, bytes: &[u8]) -> Result<Digest> {
        let bytes = <[u8; 32]>::try_from(bytes)
            .map_err(|_| self.damaged(place, "32 bytes of digest", bytes.len()))?;
        Ok(Digest::from_bytes(bytes))
    }

    pub(super) fn version_row(
        &self,
        db: &Connection,
        model: &str,
        number: u64,
    ) -> Result<(i64, Version)> {
        let missing = || crate::no_version(model, number);
        let key = i64::try_from(number).map_err(|_| missing())?;
        let sql = "SELECT v.id, v.digest, v.author, v.created_at, v.data_digest, v.seal
                   FROM version v JOIN model m ON m.id = v.model
                   WHERE m.name = ?1 AND v.number = ?2";
        let row = self.one(db, sql, params![model, key], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, Vec<u8>>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, i64>(3)?,
                row.get::<_, Option<Vec<u8>>>(4)?,
                row.get::<_, Vec<u8>>(5)?,
            ))
        })?;
        let (id, digest, author, created_at, data_digest, stored) = row.ok_or_else(missing)?;
        let place = format!("version {model} v{number}");
        let digest = self.digest(&place, &digest)?;
        let at = Timestamp::from_millis(created_at);
        let mut version = Version::new(model, number, digest, author, at);
        version.data_digest = data_digest.map(|bytes| self.digest(&place, &bytes)).transpose()?;
        let sql = "SELECT a.name, b.digest, b.size FROM artifact a JOIN blob b ON b.id = a.blob
                   WHERE a.version = ?1 ORDER BY a.name";
        let artifacts = self.all(db, sql, [id], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, i64>(2)?))
        })?;
        for (name, digest, size) in artifacts {
            let digest = self.digest(&place, &digest)?;
            version.artifacts.push(Artifact { name, digest, size: size.cast_unsigned() });
        }
        version.metrics = self
            .pairs::<i64>(db, "SELECT name, bits FROM metric WHERE version = ?1", id)?
            .map(|(name, bits)| (name, f64::from_bits(bits.cast_unsigned())))
            .collect();
        version.params = self
            .pairs::<String>(db, "SELECT name, value FROM param WHERE version = ?1", id)?
            .collect();
        version.tags = self
            .pairs::<String>(db, "SELECT name, value FROM tag WHERE version = ?1", id)?
            .collect();
        self.sealed(&place, &stored, seal::version(&version))?;
        Ok((id, version))
    }

    fn pairs<T: FromSql>(
        &self,
        db: &Connection,
        sql: &str,
        id: i64,
    ) -> Result<impl Iterator<Item = (String, T)> + use<T>> {
        let rows = self.all(db, sql, [id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.into_iter())
    }

    /// The version with the gates and approvals that gathered on it.
    pub(super) fn whole_version(
        &self,
        db: &Connection,
        model: &str,
        number: u64,
    ) -> Result<(i64, Version)> {
        let (id, mut version) = self.version_row(db, model, number)?;
        let place = format!("a gate of {model} v{number}");
        let sql = "SELECT report, seal FROM gate WHERE version = ?1 ORDER BY id";
        let gates = self
            .all(db, sql, [id], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        for (json, stored) in gates {
            self.sealed(&place, &stored, seal::gate(model, number, &json))?;
            let report = serde_json::from_str::<GateReport>(&json);
            version.gates.push(report.map_err(|e| self.damaged(&place, "a gate report", e))?);
        }
        let place = format!("an approval of {model} v{number}");
        let sql = "SELECT person, comment, at, seal FROM approval WHERE version = ?1 ORDER BY id";
        let approvals = self.all(db, sql, [id], |row| {
            let at = Timestamp::from_millis(row.get(2)?);
            let approval = Approval { by: row.get(0)?, comment: row.get(1)?, at };
            Ok((approval, row.get::<_, Vec<u8>>(3)?))
        })?;
        for (approval, stored) in approvals {
            self.sealed(&place, &stored, seal::approval(model, number, &approval))?;
            version.approvals.push(approval);
        }
        Ok((id, version))
    }

    pub(super) fn insert_version(
        &self,
        db: &Connection,
        version: &Version,
        files: &BTreeMap<String, Vec<u8>>,
    ) -> Result<()> {
        let model = self.model_id(db, &version.model)?;
        let model = model.ok_or_else(|| crate::no_version(&version.model, version.number))?;
        let number = version.number.cast_signed();
        self.run(
            db,
            "INSERT INTO version (model, number, digest, author, created_at, data_digest, seal)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                model,
                number,
                version.digest.as_bytes(),
                version.author,
                version.created_at.millis(),
                version.data_digest.as_ref().map(Digest::as_bytes),
                seal::version(version).as_bytes(),
            ],
        )?;
        let id = db.last_insert_rowid();
        for artifact in &version.artifacts {
            let bytes = files.get(&artifact.name).map_or(&[][..], Vec::as_slice);
            let blob = self.insert_blob(db, artifact.digest, bytes)?;
            self.run(
                db,
                "INSERT INTO artifact (version, name, blob) VALUES (?1, ?2, ?3)",
                params![id, artifact.name, blob],
            )?;
        }
        for (name, value) in &version.metrics {
            self.run(
                db,
                "INSERT INTO metric (version, name, value, bits) VALUES (?1, ?2, ?3, ?4)",
                // SQLite itself stores NaN as NULL.
                params![id, name, value, value.to_bits().cast_signed()],
            )?;
        }
        for (table, map) in [("param", &version.params), ("tag", &version.tags)] {
            let sql = format!("INSERT INTO {table} (version, name, value) VALUES (?1, ?2, ?3)");
            for (name, value) in map {
                self.run(db, &sql, params![id, name, value])?;
            }
        }
        Ok(())
    }

    pub(super) fn model_id(&self, db: &Connection, model: &str) -> Result<Option<i64>> {
        self.one(db, "SELECT id FROM model WHERE name = ?1", [model], |row| row.get(0))
    }

    fn insert_blob(&self, db: &Connection, digest: Digest, bytes: &[u8]) -> Result<i64> {
        let sql = "SELECT id FROM blob WHERE digest = ?1";
        let found = self.one(db, sql, [digest.as_bytes()], |row| row.get::<_, i64>(0))?;
        let id = if let Some(id) = found {
            // The same bytes were registered before. If they have rotted since, these are better.
            let stored = self.blob(db, digest);
            if stored.is_ok_and(|stored| stored == bytes) {
                return Ok(id);
            }
            self.run(db, "DELETE FROM chunk WHERE blob = ?1", [id])?;
            let size = bytes.len() as i64;
            self.run(db, "UPDATE blob SET size = ?2 WHERE id = ?1", params![id, size])?;
            id
        } else {
            self.run(
                db,
                "INSERT INTO blob (digest, size) VALUES (?1, ?2)",
                params![digest.as_bytes(), bytes.len() as i64],
            )?;
            db.last_insert_rowid()
        };
        for (piece, seq) in bytes.chunks(CHUNK).zip(0_i64..) {
            self.run(
                db,
                "INSERT INTO chunk (blob, seq, bytes) VALUES (?1, ?2, ?3)",
                params![id, seq, piece],
            )?;
        }
        Ok(id)
    }

    /// The bytes of this digest, verified. What is allocated is bounded by what is stored.
    pub(super) fn blob(&self, db: &Connection, digest: Digest) -> Result<Vec<u8>> {
        let sql = "SELECT c.bytes FROM chunk c JOIN blob b ON b.id = c.blob
                   WHERE b.digest = ?1 ORDER BY c.seq";
        let mut bytes = Vec::new();
        let mut read = || {
            let mut statement = db.prepare(sql)?;
            let mut rows = statement.query([digest.as_bytes()])?;
            while let Some(row) = rows.next()? {
                bytes.extend_from_slice(row.get_ref(0)?.as_blob()?);
            }
            Ok(())
        };
        read().map_err(|e| self.error(e))?;
        let found = Digest::of(&bytes);
        if found != digest {
            let place = format!("blob of {} bytes", bytes.len());
            return Err(self.damaged(&place, &digest.to_string(), found));
        }
        Ok(bytes)
    }

    pub(super) fn history_rows(
        &self,
        db: &Connection,
        model: &str,
        alias: &str,
    ) -> Result<Vec<AliasChange>> {
        let Some(id) = self.model_id(db, model)? else { return Ok(Vec::new()) };
        let sql = "SELECT revision, version, change, seal FROM alias_change
                   WHERE model = ?1 AND alias = ?2 ORDER BY revision";
        let rows = self.all(db, sql, params![id, alias], change_row)?;
        rows.into_iter().map(|row| self.change(model, alias, row)).collect()
    }

    pub(super) fn last_change(
        &self,
        db: &Connection,
        model: &str,
        alias: &str,
    ) -> Result<Option<AliasChange>> {
        let Some(id) = self.model_id(db, model)? else { return Ok(None) };
        let sql = "SELECT revision, version, change, seal FROM alias_change
                   WHERE model = ?1 AND alias = ?2 ORDER BY revision DESC LIMIT 1";
        let row = self.one(db, sql, params![id, alias], change_row)?;
        row.map(|row| self.change(model, alias, row)).transpose()
    }

    fn change(&self, model: &str, alias: &str, row: ChangeRow) -> Result<AliasChange> {
        let (revision, version, json, stored) = row;
        let place = format!("revision {revision} of {model}@{alias}");
        self.sealed(&place, &stored, seal::change(&json))?;
        let change: AliasChange = serde_json::from_str(&json)
            .map_err(|e| self.damaged(&place, "a change of an alias", e))?;
        let key = (&*change.model, &*change.alias, change.revision, change.version);
        if key != (model, alias, revision.cast_unsigned(), version.cast_unsigned()) {
            return Err(self.damaged(&place, "the change that its key names", change));
        }
        Ok(change)
    }

    pub(super) fn insert_change(&self, db: &Connection, change: &AliasChange) -> Result<()> {
        let model = self.model_id(db, &change.model)?;
        let model = model.ok_or_else(|| crate::no_version(&change.model, change.version))?;
        let json = serde_json::to_string(change).map_err(|e| Error::other("alias change", e))?;
        let (revision, version) = (change.revision.cast_signed(), change.version.cast_signed());
        self.run(
            db,
            "INSERT INTO alias_change (model, alias, revision, version, change, seal)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![model, change.alias, revision, version, json, seal::change(&json).as_bytes()],
        )?;
        Ok(())
    }

    pub(super) fn policy_row(
        &self,
        db: &Connection,
        model: &str,
        alias: &str,
    ) -> Result<PromotionPolicy> {
        let sql = "SELECT policy, actor, at, seal FROM policy
                   WHERE model = ?1 AND alias = ?2 ORDER BY id DESC LIMIT 1";
        let row = self.one(db, sql, params![model, alias], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, Vec<u8>>(3)?,
            ))
        })?;
        let Some((json, actor, at, stored)) = row else { return Ok(PromotionPolicy::default()) };
        let place = format!("policy of {model}@{alias}");
        self.sealed(&place, &stored, seal::policy(model, alias, &json, &actor, at))?;
        serde_json::from_str(&json).map_err(|e| self.damaged(&place, "a policy", e))
    }
}

type ChangeRow = (i64, i64, String, Vec<u8>);

fn change_row(row: &Row<'_>) -> rusqlite::Result<ChangeRow> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}
