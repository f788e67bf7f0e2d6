//! Artifacts whose bytes lie in a store beside the database: their rows have no bytes.
//!
//! The bytes go first, under a lease that lasts until the transaction is committed; so a crash
//! between the two leaves bytes that nothing refers to, and garbage collection takes them, but
//! never those of a version.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read as _};
use std::sync::Arc;

use mlops_core::{Artifact, Digest, Error, NewVersion, Result, Version, manifest_digest};

use super::{Database, Sql, Verification, args};
use crate::artifacts::{
    ArtifactStore, ArtifactStoreExt, Blob, Gc, Lease, Limits, Manifest, Roots, Swept, Transfer,
    VerifiedReader,
};

/// What is larger goes to the store, if there is one: 1 MiB.
pub(crate) const INLINE: u64 = 1 << 20;

/// A store beside a database, and from which size on it is used.
#[derive(Clone, Debug)]
pub(crate) struct Beside {
    pub(crate) store: Arc<dyn ArtifactStore>,
    pub(crate) above: u64,
}

/// What of a version lies outside the database, and what keeps it until it is registered.
pub(crate) struct Outside {
    pub(crate) names: BTreeSet<String>,
    lease: Option<Lease>,
}

impl Outside {
    /// The transaction is over: the row keeps the bytes, or nothing does.
    pub(crate) fn end(self) {
        drop(self.lease);
    }
}

/// Whether a version can be registered with these files beside its own.
pub(crate) fn check(version: &NewVersion, files: &BTreeMap<String, Blob>) -> Result<()> {
    if files.is_empty() {
        return version.check();
    }
    if let Some(name) = files.keys().find(|name| version.artifacts.contains_key(*name)) {
        let expected = "files that are not artifacts of the version already";
        return Err(Error::invalid("artifacts", expected, name.escape_debug()));
    }
    let mut whole = NewVersion { artifacts: BTreeMap::new(), ..version.clone() };
    let names = version.artifacts.keys().chain(files.keys());
    whole.artifacts = names.map(|name| (name.clone(), Vec::new())).collect();
    whole.check()
}

/// Brings what is large into the store, and makes sure of what is said to be there.
pub(crate) fn put(
    db: &impl Database,
    version: &NewVersion,
    files: &BTreeMap<String, Blob>,
    made: &mut Version,
) -> Result<Outside> {
    let mut outside = Outside { names: BTreeSet::new(), lease: None };
    let Some(Beside { store, above }) = db.beside() else {
        if let Some(name) = files.keys().next() {
            return Err(Error::invalid(
                format!("file `{name}` in a store"),
                "a registry that was opened with_artifacts",
                "one without",
            ));
        }
        return Ok(outside);
    };
    let large = |bytes: &Vec<u8>| bytes.len() as u64 > *above;
    if files.is_empty() && !version.artifacts.values().any(large) {
        return Ok(outside);
    }
    let lease = store.lease()?;
    for (name, bytes) in version.artifacts.iter().filter(|(_, bytes)| large(bytes)) {
        let transfer = Transfer::new().under(&lease).total(bytes.len() as u64);
        store.put(&mut bytes.as_slice(), &transfer)?;
        outside.names.insert(name.clone());
    }
    for (name, blob) in files {
        // First held, then looked for: what is there now stays.
        lease.hold(blob.digest)?;
        match store.size(blob.digest)? {
            Some(size) if size == blob.size => {}
            Some(size) => {
                let expected = format!("{} bytes", blob.size);
                return Err(Error::invalid(format!("file `{name}`"), expected, size));
            }
            None => {
                let what = format!("file `{name}`");
                return Err(Error::NotFound {
                    existing: Vec::new(),
                    what,
                    name: blob.digest.to_string(),
                });
            }
        }
        made.artifacts.push(Artifact { name: name.clone(), digest: blob.digest, size: blob.size });
        outside.names.insert(name.clone());
    }
    made.artifacts.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    made.digest = manifest_digest(&made.artifacts);
    outside.lease = Some(lease);
    Ok(outside)
}

/// Where the bytes of an artifact are.
enum Place {
    Database(Vec<u8>),
    Store,
}

fn find(db: &impl Database, model: &str, number: u64, name: &str) -> Result<(Artifact, Place)> {
    db.read(|sql| {
        let (_, version) = sql.version_row(model, number)?;
        let artifact = version.artifacts.iter().find(|a| a.name == name).cloned();
        let artifact = artifact.ok_or_else(|| crate::no_artifact(&version, name))?;
        let place = if sql.is_stored(artifact.digest)? {
            Place::Store
        } else {
            let bytes = sql.blob(artifact.digest);
            Place::Database(bytes.map_err(|e| lost(e, model, number, name))?)
        };
        Ok((artifact, place))
    })
}

/// The error of bytes that are lost or damaged, with the file and version that had them.
fn lost(error: Error, model: &str, number: u64, file: &str) -> Error {
    let of = format!("{file} of {model} v{number}");
    match error {
        Error::NotFound { what, name, existing } => {
            Error::NotFound { what: format!("{of}: {what}"), name, existing }
        }
        Error::Decode { what, offset, expected, found } => {
            Error::Decode { what: format!("{of}: {what}"), offset, expected, found }
        }
        other => other.within(of),
    }
}

/// The bytes of an artifact, as they are read.
pub(crate) fn reader<'a>(
    db: &impl Database,
    (model, number, name): (&str, u64, &str),
    transfer: &Transfer<'a>,
) -> Result<VerifiedReader<'a>> {
    let (artifact, place) = find(db, model, number, name)?;
    match place {
        Place::Database(bytes) => {
            let source = Box::new(Cursor::new(bytes));
            Ok(VerifiedReader::new(source, artifact.digest, artifact.size, transfer))
        }
        Place::Store => {
            let reader =
                store(db, &artifact).and_then(|store| store.get(artifact.digest, transfer));
            let reader = reader.map_err(|e| lost(e, model, number, name))?;
            if reader.size() == artifact.size {
                return Ok(reader);
            }
            Err(Error::Decode {
                what: format!("artifact {artifact}"),
                offset: 0,
                expected: format!("{} bytes", artifact.size),
                found: reader.size().to_string(),
            })
        }
    }
}

/// All of the bytes of an artifact.
pub(crate) fn artifact(
    db: &impl Database,
    model: &str,
    number: u64,
    name: &str,
) -> Result<Vec<u8>> {
    let (artifact, place) = find(db, model, number, name)?;
    match place {
        Place::Database(bytes) => Ok(bytes),
        Place::Store => {
            let store = store(db, &artifact);
            let bytes = store.and_then(|store| store.get_bytes(artifact.digest, artifact.size));
            bytes.map_err(|e| lost(e, model, number, name))
        }
    }
}

fn store<'d>(db: &'d impl Database, artifact: &Artifact) -> Result<&'d Arc<dyn ArtifactStore>> {
    let beside = db.beside().ok_or_else(|| Error::Decode {
        what: format!("artifact {artifact}"),
        offset: 0,
        expected: "its bytes in the database, or a registry opened with_artifacts".into(),
        found: "neither".into(),
    })?;
    Ok(&beside.store)
}

/// Looks at everything: the database, and what lies in the store.
pub(crate) fn verify(db: &impl Database) -> Result<Verification> {
    let (mut found, stored) = db.read(|sql| Ok((sql.verify(), sql.stored()?)))?;
    for artifact in stored {
        let checked =
            store(db, &artifact).and_then(|store| store.check(artifact.digest, &Transfer::new()));
        match checked {
            Ok(size) if size == artifact.size => found.bytes += size,
            Ok(size) => {
                found
                    .say(&artifact.name, format!("expected {} bytes, found {size}", artifact.size));
            }
            Err(error) => found.say(&artifact.name, error),
        }
    }
    Ok(found)
}

/// How the JSON of a manifest begins.
const MANIFEST: &[u8] = b"{\"files\":[";
/// Stored files up to this size are read whole to see whether they are manifests: 1 MiB. What is
/// so small and lies in the store was put there by name.
const SMALL: u64 = 1 << 20;

/// What the versions have in the store, and the models of runs that are there: their files, and
/// the files of the directories whose manifests are among those, wherever the manifests lie.
pub(crate) fn roots(db: &impl Database) -> Result<Roots> {
    let (mut stored, inline, models) =
        db.read(|sql| Ok((sql.stored()?, sql.inline_manifests()?, sql.models_of_runs()?)))?;
    let mut roots = Roots::of_blobs(stored.iter().map(|artifact| artifact.digest));
    for digest in models {
        // A run may name what lies elsewhere; and versions have most of them.
        let Some(beside) = db.beside().filter(|_| !roots.blobs.contains(&digest)) else { continue };
        if let Some(size) = beside.store.size(digest)? {
            roots.blobs.insert(digest);
            stored.push(Artifact { name: "model of a run".into(), digest, size });
        }
    }
    let mut follow = |json: &[u8]| {
        // What only begins like one is a file like others.
        if let Ok(manifest) = Manifest::from_json(json, &Limits::default()) {
            roots.blobs.extend(manifest.entries.iter().map(|entry| entry.sha256));
        }
    };
    for json in &inline {
        follow(json);
    }
    for artifact in stored.iter().filter(|a| a.size <= Limits::default().manifest_bytes) {
        let store = store(db, artifact)?;
        let found = if artifact.size <= SMALL || begins_like_manifest(&**store, artifact)? {
            store.get_bytes(artifact.digest, artifact.size)
        } else {
            continue;
        };
        match found {
            Ok(json) => follow(&json),
            // The sweep says what is missing.
            Err(Error::NotFound { .. }) => {}
            // Of a damaged manifest nobody knows what it named: nothing may go.
            Err(error) => return Err(error.within(artifact.to_string())),
        }
    }
    Ok(roots)
}

fn begins_like_manifest(store: &dyn ArtifactStore, artifact: &Artifact) -> Result<bool> {
    let mut reader = match store.get(artifact.digest, &Transfer::new()) {
        Ok(reader) => reader,
        Err(Error::NotFound { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut head = [0; MANIFEST.len()];
    let read = reader.read_exact(&mut head);
    read.map_err(|e| Error::io(artifact.to_string(), e))?;
    Ok(head == MANIFEST)
}

/// Removes from the store what no version and no run has.
pub(crate) fn collect_artifacts(
    db: &impl Database,
    also: &dyn Fn() -> Result<Roots>,
    gc: &Gc<'_>,
) -> Result<Swept> {
    let Some(beside) = db.beside() else { return Ok(Swept::begin(gc)) };
    beside.store.collect_garbage(
        || {
            let mut all = also()?;
            all.blobs.extend(roots(db)?.blobs);
            Ok(all)
        },
        gc,
    )
}

impl dyn Sql + '_ {
    /// Whether the bytes of this digest are not in the database.
    pub(super) fn is_stored(&self, digest: Digest) -> Result<bool> {
        let sql = "SELECT b.size, (SELECT min(c.seq) FROM chunk c WHERE c.blob = b.id)
                   FROM blob b WHERE b.digest = ?1";
        let row = self.one(sql, args![digest], |row| {
            Ok(row.get::<i64>(0)? > 0 && row.get::<Option<i64>>(1)?.is_none())
        })?;
        Ok(row.unwrap_or(false))
    }

    /// The row of bytes that lie in the store; if they are in the database already, that row.
    pub(super) fn insert_stored(&self, artifact: &Artifact) -> Result<i64> {
        let find = "SELECT id FROM blob WHERE digest = ?1";
        if let Some(id) = self.one(find, args![artifact.digest], |row| row.get(0))? {
            return Ok(id);
        }
        let insert = "INSERT INTO blob (digest, size) VALUES (?1, ?2) RETURNING id";
        self.insert(insert, args![artifact.digest, artifact.size.cast_signed()])
    }

    /// Every file in the database that begins like the manifest of a directory.
    fn inline_manifests(&self) -> Result<Vec<Vec<u8>>> {
        let sql = "SELECT b.digest FROM blob b JOIN chunk c ON c.blob = b.id
                   WHERE c.seq = 0 AND substr(c.bytes, 1, 10) = ?1";
        let digests = self.all(sql, args![MANIFEST], |row| row.get::<Digest>(0))?;
        digests.into_iter().map(|digest| self.blob(digest)).collect()
    }

    /// What runs say that they made, each once, wherever it lies.
    fn models_of_runs(&self) -> Result<Vec<Digest>> {
        self.all("SELECT DISTINCT digest FROM run_model", args![], |row| row.get(0))
    }

    /// Everything that lies in the store, each with a name for people.
    fn stored(&self) -> Result<Vec<Artifact>> {
        let sql = "SELECT b.digest, b.size, b.id FROM blob b
                   WHERE b.size > 0 AND NOT EXISTS (SELECT 1 FROM chunk c WHERE c.blob = b.id)
                   ORDER BY b.id";
        self.all(sql, args![], |row| {
            let size = row.get::<i64>(1)?.cast_unsigned();
            let name = self.files_of_blob(row.get(2)?)?;
            Ok(Artifact { name, digest: row.get(0)?, size })
        })
    }

    /// For people: which file of which version has these bytes, and how many others.
    pub(super) fn files_of_blob(&self, id: i64) -> Result<String> {
        let sql = "SELECT m.name, v.number, a.name FROM artifact a
                   JOIN version v ON v.id = a.version JOIN model m ON m.id = v.model
                   WHERE a.blob = ?1 ORDER BY v.id, a.name LIMIT 1";
        let first = self.one(sql, args![id], |row| {
            let (model, number) = (row.get::<String>(0)?, row.get::<i64>(1)?);
            Ok(format!("{} of {model} v{number}", row.get::<String>(2)?))
        })?;
        let Some(first) = first else { return Ok(format!("artifact in row {id}")) };
        let sql = "SELECT count(*) FROM artifact WHERE blob = ?1";
        let uses = self.one(sql, args![id], |row| row.get::<i64>(0))?.unwrap_or(1);
        Ok(if uses > 1 { format!("{first} and {} more", uses - 1) } else { first })
    }
}

/// What a registry in a database can do with a store beside it.
macro_rules! forward_stored {
    ($database:ty) => {
        impl $database {
            /// The same, with a store beside it: artifacts of more than 1 MiB go there, and are
            /// read from there.
            ///
            /// The bytes go first, then the transaction; a crash between the two leaves bytes that
            /// nothing refers to, which [`collect_artifacts`](Self::collect_artifacts) removes. What
            /// was registered with a store needs it when it is read; what lies in the database is
            /// read from there, store or not.
            #[must_use]
            pub fn with_artifacts(self, store: impl $crate::artifacts::ArtifactStore) -> Self {
                self.with_artifacts_above(store, $crate::sql::stored::INLINE)
            }

            /// [`with_artifacts`](Self::with_artifacts) for those of more than this many bytes.
            #[must_use]
            pub fn with_artifacts_above(
                mut self,
                store: impl $crate::artifacts::ArtifactStore,
                bytes: u64,
            ) -> Self {
                let store = std::sync::Arc::new(store);
                self.beside = Some($crate::sql::stored::Beside { store, above: bytes });
                self
            }

            /// Registers a version of which these files lie in the store already, beside the
            /// artifacts that it carries itself: for what is too large to be held in memory, and
            /// for the [manifests](crate::artifacts::Manifest) of directories.
            ///
            /// Put them under a [lease](crate::artifacts::ArtifactStore::lease) that ends after
            /// this.
            ///
            /// # Errors
            /// Those of [`register`](mlops_core::Registry::register);
            /// [`Error::NotFound`](mlops_core::Error::NotFound) for a file that the store has not,
            /// [`Error::Invalid`](mlops_core::Error::Invalid) for one of another size, or without
            /// a store.
            pub fn register_stored(
                &self,
                version: mlops_core::NewVersion,
                files: impl IntoIterator<Item = (String, $crate::artifacts::Blob)>,
                at: mlops_core::Timestamp,
            ) -> mlops_core::Result<mlops_core::Version> {
                let files = files.into_iter().collect();
                $crate::sql::registry::register_stored(self, &version, &files, at)
            }

            /// A reader of one of a version's files that verifies the bytes on the way; those in a
            /// store are never in memory as a whole.
            ///
            /// # Errors
            /// Those of [`artifact`](mlops_core::Registry::artifact).
            pub fn artifact_reader<'a>(
                &self,
                model: &str,
                number: u64,
                name: &str,
                transfer: &$crate::artifacts::Transfer<'a>,
            ) -> mlops_core::Result<$crate::artifacts::VerifiedReader<'a>> {
                $crate::sql::stored::reader(self, (model, number, name), transfer)
            }

            /// What the versions have in the store, and the runs
            /// ([`LoggedModel`](crate::tracking::LoggedModel)), for a collection of garbage that
            /// has other roots, too. Manifests of directories among the files are followed.
            ///
            /// # Errors
            /// A registry that can't be read.
            pub fn artifact_roots(&self) -> mlops_core::Result<$crate::artifacts::Roots> {
                $crate::sql::stored::roots(self)
            }

            /// Removes from the store what no version and no run has, nothing in `also` names, no
            /// lease holds and is older than the grace. Where a
            /// [manifest](crate::artifacts::Manifest) is among the files, those of its directory
            /// stay, too. The models of a deleted run stay until
            /// [`Tracker::collect_garbage`](crate::tracking::Tracker::collect_garbage) has
            /// forgotten the run.
            ///
            /// # Errors
            /// Those of [`sweep`](crate::artifacts::ArtifactStore::sweep).
            pub fn collect_artifacts(
                &self,
                also: impl Fn() -> mlops_core::Result<$crate::artifacts::Roots>,
                gc: &$crate::artifacts::Gc<'_>,
            ) -> mlops_core::Result<$crate::artifacts::Swept> {
                $crate::sql::stored::collect_artifacts(self, &also, gc)
            }
        }
    };
}
pub(crate) use forward_stored;
