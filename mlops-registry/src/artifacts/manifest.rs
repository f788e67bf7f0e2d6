//! What a directory holds, as bytes that depend on nothing else.

use std::fmt;
use std::path::Path;

use mlops_core::{Digest, Error, Result, check_paths};
use serde::{Deserialize, Serialize};

use super::directory;
use super::store::{ArtifactStore, Transfer};

/// The largest integer that JSON carries everywhere (RFC 8785 takes numbers for doubles).
const MOST: u64 = 1 << 53;

/// What a manifest or a directory may be at most. What is beyond is refused before anything is
/// written or reserved for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many files: 100,000.
    pub files: usize,
    /// How many bytes one file may have: 1 TiB.
    pub file_bytes: u64,
    /// How many bytes all files may have together: 4 TiB.
    pub bytes: u64,
    /// How many bytes the manifest itself may have: 64 MiB.
    pub manifest_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { files: 100_000, file_bytes: 1 << 40, bytes: 1 << 42, manifest_bytes: 1 << 26 }
    }
}

/// A file of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Entry {
    /// Whether its owner may execute it: all that is kept of its mode.
    pub mode: Mode,
    /// Its path within the directory, with `/` between the parts.
    pub path: String,
    /// The digest of its bytes.
    #[serde(with = "hex")]
    pub sha256: Digest,
    /// How many bytes it has.
    pub size: u64,
}

/// What is kept of a file's mode: what every system can restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// `0644`.
    #[serde(rename = "0644")]
    Plain,
    /// `0755`.
    #[serde(rename = "0755")]
    Executable,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Plain => "0644",
            Self::Executable => "0755",
        })
    }
}

/// The files of a directory: paths, sizes, digests and modes, sorted by path.
///
/// It is written as canonical JSON (RFC 8785), so that equal directories have equal manifests,
/// and the digest of that JSON speaks for every byte of them. Empty directories, times, owners
/// and the rest of the modes are not kept; links and special files are refused.
///
/// ```
/// use mlops_registry::artifacts::{ArtifactStoreExt, Limits, MemoryStore, Transfer};
///
/// # let dir = tempfile::tempdir().map_err(|e| mlops_core::Error::io("a directory", e))?;
/// # let (model, copy) = (dir.path().join("model"), dir.path().join("copy"));
/// # let io = |e| mlops_core::Error::io("a directory", e);
/// std::fs::create_dir(&model).map_err(io)?;
/// std::fs::write(model.join("weights.bin"), b"\x01\x02").map_err(io)?;
///
/// let store = MemoryStore::new();
/// let (manifest, blob) = store.put_directory(&model, &Transfer::new())?;
/// assert_eq!(manifest.digest()?, blob.digest);
/// store.get_directory(blob.digest, &copy, &Limits::default(), &Transfer::new())?;
/// assert_eq!(std::fs::read(copy.join("weights.bin")).map_err(io)?, b"\x01\x02");
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Manifest {
    /// The files, sorted by path.
    pub entries: Vec<Entry>,
}

const FORMAT: &str = "mlops-directory-v1";

/// As it is written: fields in the order of their names.
#[derive(Serialize)]
struct Written<'a> {
    files: &'a [Entry],
    format: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    files: Vec<Entry>,
    format: String,
}

/// Digests as 64 digits, as other tools write them.
mod hex {
    use mlops_core::Digest;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(digest: &Digest, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&digest.hex())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

impl Manifest {
    /// The manifest of these files, in any order.
    ///
    /// # Errors
    /// [`Error::Invalid`] for paths that can't stand together in one directory on every system
    /// ([`check_paths`]), and for what is beyond the limits.
    pub fn new(mut entries: Vec<Entry>, limits: &Limits) -> Result<Self> {
        entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let manifest = Self { entries };
        manifest.check(limits)?;
        Ok(manifest)
    }

    /// The manifest of a directory: every file is read, nothing is stored.
    ///
    /// # Errors
    /// [`Error::Invalid`] for links, special files, names that are no Unicode or can't stand
    /// together on every system, and for what is beyond the limits; [`Error::Io`];
    /// [`Error::Cancelled`].
    pub fn of_directory(
        directory: impl AsRef<Path>,
        limits: &Limits,
        transfer: &Transfer<'_>,
    ) -> Result<Self> {
        directory::read(directory.as_ref(), limits, transfer)
    }

    /// Whether it may be used: sorted, safe paths, within the limits.
    fn check(&self, limits: &Limits) -> Result<()> {
        let too_much = |what: &str, most: u64, found: u64| {
            Err(Error::invalid("manifest", format!("at most {most} {what}"), found))
        };
        if self.entries.len() > limits.files {
            return too_much("files", limits.files as u64, self.entries.len() as u64);
        }
        let mut total = 0_u64;
        for entry in &self.entries {
            let most = limits.file_bytes.min(MOST);
            if entry.size > most {
                return too_much("bytes in a file", most, entry.size);
            }
            total = total.saturating_add(entry.size);
        }
        if total > limits.bytes {
            return too_much("bytes", limits.bytes, total);
        }
        check_paths(self.entries.iter().map(|entry| entry.path.as_str()))
    }

    /// How many bytes its files have together.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().fold(0, |sum, entry| sum.saturating_add(entry.size))
    }

    /// The file of this path.
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        let at = self.entries.binary_search_by(|entry| entry.path.as_str().cmp(path)).ok()?;
        self.entries.get(at)
    }

    /// Its canonical JSON.
    ///
    /// # Errors
    /// None for a manifest that was made or read by this type.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let written = Written { files: &self.entries, format: FORMAT };
        serde_json::to_vec(&written).map_err(|e| Error::other("manifest", e))
    }

    /// The manifest of this JSON, which must be canonical: one manifest has one digest.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is no manifest, not canonical, beyond the limits, or has paths
    /// that lead elsewhere or collide.
    pub fn from_json(json: &[u8], limits: &Limits) -> Result<Self> {
        if json.len() as u64 > limits.manifest_bytes {
            let expected = format!("at most {} bytes", limits.manifest_bytes);
            return Err(Error::invalid("manifest", expected, json.len()));
        }
        let found: Found = serde_json::from_slice(json)
            .map_err(|e| Error::invalid("manifest", format!("JSON of {FORMAT}"), e))?;
        if found.format != FORMAT {
            let shown: String =
                found.format.chars().take(60).flat_map(char::escape_debug).collect();
            return Err(Error::invalid("manifest", format!("format {FORMAT}"), shown));
        }
        let manifest = Self::new(found.files, limits)?;
        if manifest.to_json()? != json {
            return Err(Error::invalid("manifest", "canonical JSON, sorted by path", "other JSON"));
        }
        Ok(manifest)
    }

    /// The digest of its JSON: what speaks for the whole directory.
    ///
    /// # Errors
    /// As [`to_json`](Self::to_json).
    pub fn digest(&self) -> Result<Digest> {
        Ok(Digest::of(self.to_json()?))
    }

    /// Writes the directory from what the store has: all of it under this name, which must not be
    /// there yet, or nothing.
    ///
    /// The files are written into a directory with a random name beside it, every byte is
    /// verified, files and directories are synced, and then it gets its name. A crash leaves a
    /// directory that starts with `.` and ends with `.tmp`.
    ///
    /// # Errors
    /// [`Error::NotFound`] for bytes that the store has not, [`Error::Decode`] if they are not
    /// what was stored; [`Error::Invalid`] for what is beyond the limits; [`Error::Io`], as of a
    /// name that is there; [`Error::Cancelled`].
    pub fn materialise<S: ArtifactStore + ?Sized>(
        &self,
        store: &S,
        into: impl AsRef<Path>,
        limits: &Limits,
        transfer: &Transfer<'_>,
    ) -> Result<()> {
        // The entries are public: what was changed since it was made is checked, too.
        let checked = Self::new(self.entries.clone(), limits)?;
        directory::write(&checked, store, into.as_ref(), transfer)
    }
}

impl Entry {
    /// A file.
    pub fn new(path: impl Into<String>, size: u64, sha256: Digest, mode: Mode) -> Self {
        Self { mode, path: path.into(), sha256, size }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:>12} {} {}", self.mode, self.size, self.sha256.hex(), self.path)
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} files, {} bytes", self.entries.len(), self.bytes())?;
        self.entries.iter().try_for_each(|entry| write!(f, "\n{entry}"))
    }
}
