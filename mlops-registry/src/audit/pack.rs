//! Evidence packs: all that speaks for a version, in one archive that proves itself.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::{Component, Path};

use mlops_core::report::clean;
use mlops_core::{
    AliasChange, Approval, Artifact, ChangeKind, Digest, Error, GateReport, Lineage, Registry,
    Result, Signature, Timestamp, Version, check_name, manifest_digest,
};
use serde::{Deserialize, Serialize};

use super::checkpoint::{Checkpoint, Notary};
use super::entry::Entry;
use super::log::{self, Log};
use super::merkle::InclusionProof;
use super::note::{NoteVerifier, SignedNote};
use crate::card::ModelCard;

/// The largest file of a pack, in bytes.
const FILE_BYTES: u64 = 64 << 20;
/// The largest pack, in bytes.
const PACK_BYTES: u64 = 256 << 20;

const APPROVALS: &str = "approvals.json";
const BOM: &str = "bom.cdx.json";
const CARD_HTML: &str = "card.html";
const CARD_MD: &str = "card.md";
const CHECKPOINT: &str = "checkpoint.txt";
const ENTRIES: &str = "entries.jsonl";
const GATES: &str = "gates.json";
const HISTORY: &str = "history.json";
const PROOFS: &str = "proofs.json";
const VERSION: &str = "version.json";
/// Every file of a pack, sorted.
const FILES: [&str; 10] =
    [APPROVALS, BOM, CARD_HTML, CARD_MD, CHECKPOINT, ENTRIES, GATES, HISTORY, PROOFS, VERSION];

/// All that speaks for a version: its record and card, the reports of its gates, its approvals,
/// the moves of aliases to it and away from it, the entries of the audit log about it and the
/// model's aliases, the proof for each that it is in the log, and the signed checkpoint that the
/// proofs lead to.
///
/// Written, it is a tar archive, the same bytes whenever the same is written. [`read`](Self::read)
/// verifies it from the archive and the log's public key alone.
///
/// ```no_run
/// use mlops_registry::audit::{EvidencePack, NoteSigner, Notary};
/// # fn of<R: mlops_core::Registry + mlops_registry::audit::Log>(registry: R) -> mlops_core::Result<()> {
/// let mut notary = Notary::new(NoteSigner::generate("registry.example.com/loans")?);
/// let mut archive = Vec::new();
/// EvidencePack::collect(&registry, &registry, "loans", 3, &mut notary)?.write(&mut archive)?;
///
/// let pack = EvidencePack::read(archive.as_slice(), &notary.verifier())?;
/// assert_eq!(pack.number, 3);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EvidencePack {
    /// The model.
    pub model: String,
    /// The version's number.
    pub number: u64,
    /// The digest of the version's files.
    pub digest: Digest,
    /// Who made it.
    pub author: String,
    /// When it was registered.
    pub created_at: Timestamp,
    /// Its files.
    pub artifacts: Vec<Artifact>,
    /// The reports of its gates, oldest first.
    pub gates: Vec<GateReport>,
    /// Its approvals, oldest first.
    pub approvals: Vec<Approval>,
    /// The moves of aliases to it and away from it.
    pub history: Vec<AliasChange>,
    /// The entries of the audit log about it and about the model's aliases.
    pub entries: Vec<Entry>,
    /// The proof for each entry.
    pub proofs: Vec<InclusionProof>,
    /// The signed checkpoint.
    pub checkpoint: SignedNote,
    /// The files as they are written, the card's forms among them, by name.
    files: BTreeMap<String, Vec<u8>>,
}

/// What `version.json` has.
#[derive(Serialize, Deserialize)]
struct Record {
    model: String,
    number: u64,
    digest: Digest,
    author: String,
    created_at: Timestamp,
    artifacts: Vec<Artifact>,
    /// As text: JSON has no NaN.
    metrics: BTreeMap<String, String>,
    params: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
    data_digest: Option<Digest>,
    signature: Option<Signature>,
    lineage: Lineage,
    profile_digest: Option<Digest>,
    suite_digest: Option<Digest>,
}

impl Record {
    fn new(v: &Version) -> Self {
        Self {
            model: v.model.clone(),
            number: v.number,
            digest: v.digest,
            author: v.author.clone(),
            created_at: v.created_at,
            artifacts: v.artifacts.clone(),
            metrics: v.metrics.iter().map(|(k, x)| (k.clone(), x.to_string())).collect(),
            params: v.params.clone(),
            tags: v.tags.clone(),
            data_digest: v.data_digest,
            signature: v.signature.clone(),
            lineage: v.lineage.clone(),
            profile_digest: v.profile_digest,
            suite_digest: v.suite_digest,
        }
    }
}

impl EvidencePack {
    /// Collects what a registry and its audit log have on a version, and has the log signed as it
    /// stands. A registry is its own log: give it twice.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a version that is not there, those of [`Notary::sign`], and of a
    /// store that can't be read. [`Error::Invalid`] if registry and log contradict each other.
    pub fn collect(
        registry: &(impl Registry + ?Sized),
        log: &(impl Log + ?Sized),
        model: &str,
        number: u64,
        notary: &mut Notary,
    ) -> Result<Self> {
        let card = ModelCard::read(registry, model, number)?;
        let checkpoint = notary.sign(log)?;
        let size = Checkpoint::open(&checkpoint, &notary.verifier())?.size;
        let mut entries = Vec::new();
        let mut proofs = Vec::new();
        log::for_each_from(log, 0, |entry| {
            if entry.seq() < size && concerns(&entry, model, number) {
                proofs.push(notary.tree().inclusion(entry.seq(), size)?);
                entries.push(entry);
            }
            Ok(())
        })?;
        let mut lines = String::new();
        for entry in &entries {
            lines.push_str(&entry.to_json()?);
            lines.push('\n');
        }
        let v = &card.version;
        let files = [
            (APPROVALS, json(&v.approvals)?),
            (BOM, json(&card.to_cyclonedx())?),
            (CARD_HTML, card.to_html().into_bytes()),
            (CARD_MD, card.to_hugging_face().into_bytes()),
            (CHECKPOINT, checkpoint.to_string().into_bytes()),
            (ENTRIES, lines.into_bytes()),
            (GATES, json(&v.gates)?),
            (HISTORY, json(&card.history)?),
            (PROOFS, json(&proofs)?),
            (VERSION, json(&Record::new(v))?),
        ];
        let files = files.map(|(name, bytes)| (name.to_owned(), bytes)).into();
        Self::from_files(files, &notary.verifier())
    }

    /// Writes the archive, and gives its digest. Equal packs give equal bytes: the files are
    /// sorted and belong to nobody, and their time is the epoch.
    ///
    /// # Errors
    /// [`Error::Io`] of the writer.
    pub fn write(&self, out: impl Write) -> Result<Digest> {
        let io = |e| Error::io("evidence pack", e);
        let mut archive = tar::Builder::new(Hashing { out, hasher: Digest::hasher() });
        for (name, bytes) in &self.files {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            // Sets the checksum, too.
            archive.append_data(&mut header, name, bytes.as_slice()).map_err(io)?;
        }
        let mut hashing = archive.into_inner().map_err(io)?;
        hashing.flush().map_err(io)?;
        Ok(hashing.hasher.finish())
    }

    /// Reads an archive into memory and verifies it with the log's public key: that it has a
    /// pack's files and no other, that the checkpoint is signed, that every entry is in the log
    /// that it speaks of, that the version's digest is that of its files, and that every gate,
    /// approval and move has its entry.
    ///
    /// Nothing is unpacked: a name in the archive never becomes a path.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what does not hold; [`Error::Io`] for an archive that can't be
    /// read.
    pub fn read(archive: impl Read, key: &NoteVerifier) -> Result<Self> {
        let io = |e| Error::io("evidence pack", e);
        let mut archive = tar::Archive::new(archive.take(PACK_BYTES));
        let mut files = BTreeMap::new();
        for entry in archive.entries().map_err(io)? {
            let mut entry = entry.map_err(io)?;
            let name = {
                let path = entry.path().map_err(io)?;
                file_name(&path)?
            };
            if entry.header().entry_type() != tar::EntryType::Regular {
                let expected = "files alone, no links or directories";
                return Err(Error::invalid("evidence pack", expected, format!("{name:?}")));
            }
            if entry.size() > FILE_BYTES {
                let expected = format!("files of at most {FILE_BYTES} bytes");
                return Err(Error::invalid("evidence pack", expected, entry.size()));
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(io)?;
            if files.insert(name.to_owned(), bytes).is_some() {
                return Err(Error::invalid(
                    "evidence pack",
                    "a file once",
                    format!("{name} twice"),
                ));
            }
        }
        Self::from_files(files, key)
    }

    fn from_files(files: BTreeMap<String, Vec<u8>>, key: &NoteVerifier) -> Result<Self> {
        if let Some(missing) = FILES.iter().find(|name| !files.contains_key(**name)) {
            return Err(Error::invalid("evidence pack", format!("a file {missing}"), "none"));
        }
        let total: u64 = files.values().map(|bytes| bytes.len() as u64).sum();
        let largest = files.values().map(|bytes| bytes.len() as u64).max().unwrap_or_default();
        // As much as can be read back, with room for the archive's headers.
        if largest > FILE_BYTES || total > PACK_BYTES - (1 << 20) {
            let expected = format!("at most {FILE_BYTES} bytes a file and {PACK_BYTES} in all");
            return Err(Error::invalid("evidence pack", expected, format!("{total} bytes")));
        }
        let record: Record = parsed(&files, VERSION)?;
        let pack = Self {
            model: record.model,
            number: record.number,
            digest: record.digest,
            author: record.author,
            created_at: record.created_at,
            artifacts: record.artifacts,
            gates: parsed(&files, GATES)?,
            approvals: parsed(&files, APPROVALS)?,
            history: parsed(&files, HISTORY)?,
            entries: text(&files, ENTRIES)?.lines().map(Entry::from_json).collect::<Result<_>>()?,
            proofs: parsed(&files, PROOFS)?,
            checkpoint: text(&files, CHECKPOINT)?.parse()?,
            files,
        };
        pack.verify(key)?;
        Ok(pack)
    }

    /// The model card in the pack, as HTML. It is made from the record, but no proof binds it to
    /// that: what counts is in the fields.
    pub fn card_html(&self) -> &[u8] {
        self.files.get(CARD_HTML).map_or(&[], Vec::as_slice)
    }

    fn verify(&self, key: &NoteVerifier) -> Result<()> {
        let bad = |expected: &str, found: String| {
            Err(Error::invalid("evidence pack", expected, clean(&found)))
        };
        check_name("model", &self.model)?;
        let checkpoint = Checkpoint::open(&self.checkpoint, key)?;
        if self.entries.len() != self.proofs.len() {
            return bad("a proof for every entry", format!("{} proofs", self.proofs.len()));
        }
        let mut before = None;
        for (entry, proof) in self.entries.iter().zip(&self.proofs) {
            if proof.size != checkpoint.size || proof.index != entry.seq() {
                return bad("proofs of the entries", format!("another of leaf {}", proof.index));
            }
            proof.verify(entry.hash()?, checkpoint.root)?;
            if before.is_some_and(|before| before >= entry.seq()) {
                return bad("entries in the log's order", format!("{} later", entry.seq()));
            }
            before = Some(entry.seq());
            if !concerns(entry, &self.model, self.number) {
                return bad("entries about the version", format!("one of {}", entry.subject()));
            }
        }
        if manifest_digest(&self.artifacts) != self.digest {
            return bad("the digest of the version's files", self.digest.to_string());
        }
        self.match_entries()
    }

    /// Whether every gate, approval and move has its entry, an entry each.
    fn match_entries(&self) -> Result<()> {
        let mut used = BTreeSet::new();
        let mut find = |what: String, fits: &dyn Fn(&Entry) -> bool| {
            let found = self.entries.iter().find(|e| !used.contains(&e.seq()) && fits(e));
            if let Some(entry) = found {
                used.insert(entry.seq());
                return Ok(());
            }
            let expected = format!("an entry of the log for the {what}");
            Err(Error::invalid("evidence pack", expected, "none"))
        };
        let subject = subject_of_version(&self.model, self.number);
        let digest = self.digest.to_string();
        let says = |e: &Entry, key: &str, value: &str| {
            e.detail().get(key).and_then(serde_json::Value::as_str) == Some(value)
        };
        let counts = |e: &Entry, key: &str, value: u64| {
            e.detail().get(key).and_then(serde_json::Value::as_u64) == Some(value)
        };
        let by = |e: &Entry, who: &str| e.actor().value().is_none_or(|actor| actor == who);
        find("registration".into(), &|e: &Entry| {
            (e.action(), e.subject(), e.at()) == ("register", &subject, self.created_at)
                && by(e, &self.author)
                && says(e, "digest", &digest)
        })?;
        for gate in &self.gates {
            let verdict = gate.assessment.verdict.to_string();
            let report = gate.digest().to_string();
            find(format!("gate {}", clean(&gate.gate)), &|e: &Entry| {
                (e.action(), e.subject(), e.at()) == ("gate", &subject, gate.at)
                    && by(e, gate.by.as_deref().unwrap_or_default())
                    && says(e, "gate", &gate.gate)
                    && says(e, "verdict", &verdict)
                    && says(e, "report", &report)
                    && says(e, "digest", &gate.subject.to_string())
            })?;
        }
        for approval in &self.approvals {
            find(format!("approval by {}", clean(&approval.by)), &|e: &Entry| {
                (e.action(), e.subject(), e.at()) == ("approve", &subject, approval.at)
                    && by(e, &approval.by)
                    && says(e, "digest", &digest)
            })?;
        }
        for change in &self.history {
            let alias = subject_of_alias(&change.model, &change.alias);
            let action = match change.kind {
                ChangeKind::Promotion => "promote",
                ChangeKind::Rollback => "rollback",
            };
            find(format!("move {} of {}", change.revision, clean(&alias)), &|e: &Entry| {
                (e.action(), e.subject(), e.at()) == (action, &alias, change.at)
                    && by(e, &change.actor)
                    && counts(e, "version", change.version)
                    && counts(e, "revision", change.revision)
            })?;
        }
        Ok(())
    }
}

/// What the log calls a version.
fn subject_of_version(model: &str, number: u64) -> String {
    format!("{model} v{number}")
}

/// What the log calls an alias.
fn subject_of_alias(model: &str, alias: &str) -> String {
    format!("{model}@{alias}")
}

/// Whether an entry is about this version or an alias of its model. No model's name has an `@`.
fn concerns(entry: &Entry, model: &str, number: u64) -> bool {
    let alias = entry.subject().split_once('@').is_some_and(|(of, _)| of == model);
    alias || entry.subject() == subject_of_version(model, number)
}

/// The name of a pack's file, if this is one of them.
fn file_name(path: &Path) -> Result<&'static str> {
    let mut parts = path.components();
    let name = match (parts.next(), parts.next()) {
        (Some(Component::Normal(name)), None) => name.to_str(),
        _ => None,
    };
    let known = name.and_then(|name| FILES.into_iter().find(|file| *file == name));
    known.ok_or_else(|| {
        let found = format!("`{:.80}`", clean(&path.to_string_lossy()));
        Error::invalid("evidence pack", "the files of one and no other", found)
    })
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| Error::other("JSON", e))?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn text<'a>(files: &'a BTreeMap<String, Vec<u8>>, name: &str) -> Result<&'a str> {
    let bytes = files.get(name).map_or(&[][..], Vec::as_slice);
    str::from_utf8(bytes).map_err(|e| Error::invalid(name, "UTF-8", e))
}

fn parsed<T: for<'de> Deserialize<'de>>(
    files: &BTreeMap<String, Vec<u8>>,
    name: &str,
) -> Result<T> {
    serde_json::from_str(text(files, name)?).map_err(|e| Error::invalid(name, "its JSON", e))
}

/// Takes the digest of what passes through.
struct Hashing<W> {
    out: W,
    hasher: mlops_core::Hasher,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use mlops_core::{Assessment, Finding, NewVersion, Promotion, PromotionPolicy, Verdict};

    use super::super::{Draft, Head, NoteSigner, Salt};
    use super::*;
    use crate::MemoryRegistry;

    fn notary() -> Notary {
        Notary::new(NoteSigner::from_seed("registry.example.com", [4; 32]).unwrap())
    }

    /// A registry with two models.
    fn story() -> MemoryRegistry {
        let registry = MemoryRegistry::new();
        let at = Timestamp::from_millis(1000);
        for model in ["other", "loans"] {
            let new = NewVersion::new(model, "ana")
                .with_artifact("model.json", model)
                .with_metric("worst", f64::NAN);
            let v = registry.register(new, at).unwrap();
            let finding = Finding::new("auc", "hold-out", Verdict::Pass, "≥ 0.7", "0.8");
            let report =
                GateReport::new(v.digest, Assessment::new("quality", 9, vec![finding]), at);
            registry.record_gate(model, 1, report).unwrap();
            let approval = Approval { by: "ben".into(), comment: "read it".into(), at };
            registry.approve(model, 1, approval).unwrap();
            let promotion = Promotion {
                model: model.into(),
                alias: "champion".into(),
                version: 1,
                actor: "ana".into(),
                reason: "better".into(),
                expected_revision: 0,
                key: None,
            };
            registry.promote(promotion, at).unwrap();
        }
        registry
    }

    fn collect(registry: &MemoryRegistry) -> EvidencePack {
        EvidencePack::collect(registry, registry, "loans", 1, &mut notary()).unwrap()
    }

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            // Names that `append_data` refuses, written as they are.
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            archive.append(&header, *bytes).unwrap();
        }
        archive.into_inner().unwrap()
    }

    #[test]
    fn a_pack_proves_itself_and_is_always_the_same() {
        let registry = story();
        let mut bytes = Vec::new();
        let pack = collect(&registry);
        let digest = pack.write(&mut bytes).unwrap();
        assert_eq!(digest, Digest::of(&bytes));
        assert_eq!(collect(&registry).write(Vec::new()).unwrap(), digest);

        let read = EvidencePack::read(bytes.as_slice(), &notary().verifier()).unwrap();
        assert_eq!(read, pack);
        assert_eq!((read.entries.len(), read.gates.len(), read.approvals.len()), (4, 1, 1));
        assert!(read.entries.iter().all(|e| e.subject().starts_with("loans")));
        assert!(String::from_utf8_lossy(read.card_html()).contains("loans v1"));

        let other = NoteSigner::from_seed("registry.example.com", [9; 32]).unwrap();
        assert!(EvidencePack::read(bytes.as_slice(), &other.verifier()).is_err());
    }

    #[test]
    fn a_registry_and_a_log_that_differ_give_no_pack() {
        let registry = story();
        let log = registry.entries(4..8).unwrap();
        for missing in 0..log.len() {
            let mut other: Vec<Entry> = Vec::new();
            for entry in log.iter().enumerate().filter(|(i, _)| *i != missing).map(|(_, e)| e) {
                let head = other.last().map_or(Ok(Head::empty()), Entry::head).unwrap();
                let actor = entry.actor().value().unwrap();
                let draft = Draft::new(entry.at(), actor, entry.action(), entry.subject())
                    .with_detail(entry.detail().clone());
                other.push(Entry::next(head, draft, Salt::from_bytes([1; 32])).unwrap());
            }
            let pack = EvidencePack::collect(&registry, &other, "loans", 1, &mut notary());
            let error = pack.unwrap_err().to_string();
            assert!(error.contains("an entry of the log"), "{missing}: {error}");
        }
    }

    #[test]
    fn what_was_changed_in_a_pack_is_found() {
        let pack = collect(&story());
        let key = notary().verifier();
        for (file, from, to) in [
            (APPROVALS, "ben", "eve"),
            (GATES, "\"pass\"", "\"fail\""),
            (VERSION, "\"ana\"", "\"eve\""),
            (VERSION, "model.json", "other.json"),
            (HISTORY, "\"version\": 1", "\"version\": 2"),
            (ENTRIES, "\"ben\"", "\"eve\""),
            (PROOFS, "\"index\": 4", "\"index\": 5"),
            (CHECKPOINT, "\n8\n", "\n9\n"),
        ] {
            let mut files = pack.files.clone();
            let text = String::from_utf8(files[file].clone()).unwrap();
            let other = text.replace(from, to);
            assert_ne!(text, other, "{file} has {from}");
            files.insert(file.to_owned(), other.into_bytes());
            assert!(EvidencePack::from_files(files, &key).is_err(), "{file}: {from}");
        }
        for file in FILES {
            let mut files = pack.files.clone();
            files.remove(file);
            assert!(EvidencePack::from_files(files, &key).is_err(), "without {file}");
        }
    }

    #[test]
    fn hostile_archives_are_refused() {
        let key = notary().verifier();
        for name in ["../evil", "/etc/passwd", "a/../../b", "more.json", "./card.md/x", "C:\\x"] {
            let error = EvidencePack::read(archive(&[(name, b"x")]).as_slice(), &key).unwrap_err();
            assert!(error.to_string().contains("the files of one"), "{name}: {error}");
        }
        let twice = archive(&[(GATES, b"[]"), (GATES, b"[]")]);
        assert!(
            EvidencePack::read(twice.as_slice(), &key).unwrap_err().to_string().contains("twice")
        );

        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_path(GATES).unwrap();
        header.set_link_name("/etc/passwd").unwrap();
        header.set_size(0);
        header.set_cksum();
        let mut linked = tar::Builder::new(Vec::new());
        linked.append(&header, &[][..]).unwrap();
        let error = EvidencePack::read(linked.into_inner().unwrap().as_slice(), &key).unwrap_err();
        assert!(error.to_string().contains("no links"), "{error}");

        // A size that the bytes don't have, or that nobody wants.
        let mut header = tar::Header::new_ustar();
        header.set_path(GATES).unwrap();
        header.set_size(FILE_BYTES + 1);
        header.set_cksum();
        assert!(EvidencePack::read(header.as_bytes().as_slice(), &key).is_err());
        for junk in [&b""[..], b"junk", &[0; 1024], &[255; 2048]] {
            assert!(EvidencePack::read(junk, &key).is_err());
        }
    }

    #[test]
    fn a_policy_of_an_alias_is_about_the_model() {
        let registry = story();
        let (policy, at) = (PromotionPolicy::default(), Timestamp::from_millis(2000));
        registry.set_policy("loans", "champion", policy, "ana", at).unwrap();
        let pack = collect(&registry);
        assert_eq!(pack.entries.last().map(Entry::action), Some("policy"));
        assert!(pack.entries.iter().all(|e| !concerns(e, "loan", 1)));
    }
}
