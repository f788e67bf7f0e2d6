//! Evidence packs: all that speaks for a version, in one archive that proves itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::{Component, Path};

use mlops_core::report::clean;
use mlops_core::{
    AliasChange, Approval, Artifact, Digest, Error, GateReport, Lineage, Registry, Result,
    Signature, Timestamp, Version, Withdrawn, check_name, manifest_digest,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::checkpoint::{Checkpoint, Notary};
use super::entry::{Draft, Entry};
use super::log::{self, Log};
use super::merkle::InclusionProof;
use super::note::{NoteVerifier, SignedNote};
use crate::card::ModelCard;
use crate::draft;

/// The largest file of a pack, in bytes.
const FILE_BYTES: u64 = 64 << 20;
/// The largest pack, in bytes.
const PACK_BYTES: u64 = 256 << 20;

/// How often a pack is collected anew while others change what it is about.
const TRIES: usize = 8;

const APPROVALS: &str = "approvals.json";
const BOM: &str = "bom.cdx.json";
const CARD_HTML: &str = "card.html";
const CARD_MD: &str = "card.md";
const CHECKPOINT: &str = "checkpoint.txt";
const ENTRIES: &str = "entries.jsonl";
const GATES: &str = "gates.json";
const HISTORY: &str = "history.json";
const MANIFEST: &str = "manifest.txt";
const PROOFS: &str = "proofs.json";
const VERSION: &str = "version.json";
const WITHDRAWN: &str = "withdrawn.json";
/// Every file of a pack, sorted.
const FILES: [&str; 12] = [
    APPROVALS, BOM, CARD_HTML, CARD_MD, CHECKPOINT, ENTRIES, GATES, HISTORY, MANIFEST, PROOFS,
    VERSION, WITHDRAWN,
];

/// All that speaks for a version: its record and card, the reports of its gates, its approvals,
/// the moves of aliases to it and away from it, the entries of the audit log about it and the
/// model's aliases, the proof for each that it is in the log, the signed checkpoint that the
/// proofs lead to, and a signed manifest of the files.
///
/// Written, it is a tar archive, the same bytes whenever the same is written. [`read`](Self::read)
/// verifies it from the archive and the log's public key alone: not one byte of it may change.
/// What the fields say is what the entries of the log say, word for word, but for words that were
/// erased from the log; for those, and for the card and the bill of materials, the word of
/// whoever signs the log stands, in the manifest.
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
    /// Its approvals that stand, oldest first.
    pub approvals: Vec<Approval>,
    /// Its approvals that were taken back.
    pub withdrawn: Vec<Withdrawn>,
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
    fn into_version(self) -> Result<Version> {
        let mut v =
            Version::new(self.model, self.number, self.digest, self.author, self.created_at);
        let metrics = self.metrics.into_iter().map(|(name, text)| Ok((name, number(&text)?)));
        v.metrics = metrics.collect::<Result<_>>()?;
        v.artifacts = self.artifacts;
        v.params = self.params;
        v.tags = self.tags;
        v.data_digest = self.data_digest;
        v.signature = self.signature;
        v.lineage = self.lineage;
        v.profile_digest = self.profile_digest;
        v.suite_digest = self.suite_digest;
        Ok(v)
    }

    fn new(v: &Version) -> Self {
        Self {
            model: v.model.clone(),
            number: v.number,
            digest: v.digest,
            author: v.author.clone(),
            created_at: v.created_at,
            artifacts: v.artifacts.clone(),
            metrics: v.metrics.iter().map(|(k, x)| (k.clone(), digits(*x))).collect(),
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
        let (card, checkpoint, entries, proofs) = {
            let mut tries = 0;
            loop {
                tries += 1;
                let before = log.len()?;
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
                // What came after the record was read would have an entry and no record.
                let whole = entries.last().is_none_or(|entry| entry.seq() < before);
                if whole || tries == TRIES {
                    break (card, checkpoint, entries, proofs);
                }
            }
        };
        let mut lines = String::new();
        for entry in &entries {
            lines.push_str(&entry.to_json()?);
            lines.push('\n');
        }
        let v = &card.version;
        let mut files: BTreeMap<_, _> = [
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
            (WITHDRAWN, json(&v.withdrawn)?),
        ]
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .into();
        let key = notary.verifier();
        let manifest = notary.attest(manifest(&key, &files))?;
        files.insert(MANIFEST.to_owned(), manifest.to_string().into_bytes());
        Self::from_files(files, &key)
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

    /// Reads an archive into memory and verifies it with the log's public key: that it is, byte
    /// for byte, the archive of a pack's files and no other, that checkpoint and manifest are
    /// signed and the files are those of the manifest, that every entry is in the log that the
    /// checkpoint speaks of, that the version's digest is that of its files, and that version,
    /// gates, approvals and moves say what their entries do, an entry each.
    ///
    /// Nothing is unpacked: a name in the archive never becomes a path.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what does not hold; [`Error::Io`] for an archive that can't be
    /// read.
    pub fn read(archive: impl Read, key: &NoteVerifier) -> Result<Self> {
        let io = |e| Error::io("evidence pack", e);
        let mut bytes = Vec::new();
        archive.take(PACK_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 > PACK_BYTES {
            let expected = format!("at most {PACK_BYTES} bytes");
            return Err(Error::invalid("evidence pack", expected, "more"));
        }
        let pack = Self::from_files(unpacked(&bytes)?, key)?;
        // Headers and padding prove nothing, and so may say nothing either.
        let mut ours = Compared { rest: &bytes, same: true };
        pack.write(&mut ours)?;
        if !ours.same || !ours.rest.is_empty() {
            let expected = "the archive as it was written, byte for byte";
            return Err(Error::invalid("evidence pack", expected, "another of the same files"));
        }
        Ok(pack)
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
        check_manifest(&files, key)?;
        let record: Record = parsed(&files, VERSION)?;
        let record = record.into_version()?;
        let pack = Self {
            model: record.model.clone(),
            number: record.number,
            digest: record.digest,
            author: record.author.clone(),
            created_at: record.created_at,
            artifacts: record.artifacts.clone(),
            gates: parsed(&files, GATES)?,
            approvals: parsed(&files, APPROVALS)?,
            withdrawn: parsed(&files, WITHDRAWN)?,
            history: parsed(&files, HISTORY)?,
            entries: text(&files, ENTRIES)?.lines().map(Entry::from_json).collect::<Result<_>>()?,
            proofs: parsed(&files, PROOFS)?,
            checkpoint: text(&files, CHECKPOINT)?.parse()?,
            files,
        };
        pack.verify(&record, key)?;
        Ok(pack)
    }

    /// The model card in the pack, as HTML: what was made of the record when the pack was
    /// collected, under the signature of the manifest.
    pub fn card_html(&self) -> &[u8] {
        self.files.get(CARD_HTML).map_or(&[], Vec::as_slice)
    }

    fn verify(&self, record: &Version, key: &NoteVerifier) -> Result<()> {
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
        self.match_entries(record)
    }

    /// Whether version, gates, approvals, what took these back, and moves say what their entries
    /// do, an entry each; and whether no entry about the version is without any of them, as that
    /// of an approval that was taken back would be where it is shown as one that stands, or that
    /// of the move that took the version out of service.
    fn match_entries(&self, record: &Version) -> Result<()> {
        let mut used = BTreeSet::new();
        let mut find = |what: String, draft: &Draft| {
            let says = |e: &&Entry| !used.contains(&e.seq()) && draft::says(e, draft);
            // What was erased may have said anything: it is left to a record that no other says.
            if let Some(entry) = self.entries.iter().filter(says).min_by_key(|e| e.is_erased()) {
                used.insert(entry.seq());
                return Ok(());
            }
            let expected = format!("an entry of the log that says the same of the {what}");
            Err(Error::invalid("evidence pack", expected, "none"))
        };
        find("registration".into(), &draft::registered(record))?;
        for gate in &self.gates {
            find(format!("gate {}", clean(&gate.gate)), &draft::gated(record, gate))?;
        }
        let back = self.withdrawn.iter().map(|withdrawn| &withdrawn.approval);
        for approval in self.approvals.iter().chain(back) {
            let what = format!("approval by {}", clean(&approval.by));
            find(what, &draft::approved(record, approval))?;
        }
        for withdrawn in &self.withdrawn {
            let what = format!("withdrawal by {}", clean(&withdrawn.approval.by));
            find(what, &draft::withdrawn(record, withdrawn))?;
        }
        for change in &self.history {
            let about = [change.version, change.previous].contains(&Some(self.number));
            if change.model != self.model || !about {
                let found = clean(&change.to_string());
                return Err(Error::invalid("evidence pack", "moves to or from the version", found));
            }
            let what = format!("move {} of {}", change.revision, clean(&change.alias));
            find(what, &draft::moved(change))?;
        }
        let subject = subject_of_version(&self.model, self.number);
        let about = |entry: &&Entry| match entry.action() {
            "register" | "gate" | "approve" | "withdraw" => entry.subject() == subject,
            "promote" | "rollback" | "unset" => {
                let names = |field| entry.detail().get(field).and_then(Value::as_u64);
                [names("version"), names("previous")].contains(&Some(self.number))
            }
            _ => false,
        };
        let mut left = self.entries.iter().filter(about).filter(|e| !used.contains(&e.seq()));
        let Some(entry) = left.next() else { return Ok(()) };
        let expected = "a record for every entry about the version";
        let found = format!("none for entry {}, `{}`", entry.seq(), clean(entry.action()));
        Err(Error::invalid("evidence pack", expected, found))
    }
}

/// What is signed of the files: a digest each.
fn manifest(key: &NoteVerifier, files: &BTreeMap<String, Vec<u8>>) -> String {
    // Its first line is no origin of a log, and so it is never taken for a checkpoint.
    let mut text = format!("mlops evidence pack v1\n{}\n", key.name());
    for (name, bytes) in files.iter().filter(|(name, _)| *name != MANIFEST) {
        let _ = writeln!(text, "{} {name}", Digest::of(bytes));
    }
    text
}

/// Whether these are the files that were signed.
fn check_manifest(files: &BTreeMap<String, Vec<u8>>, key: &NoteVerifier) -> Result<()> {
    let note = text(files, MANIFEST)?;
    let signed: SignedNote = note.parse()?;
    signed.verify(key)?;
    let found = manifest(key, files);
    let bad = |expected: &str, found: &str| {
        Err(Error::invalid("evidence pack", clean(expected), clean(found)))
    };
    if signed.text() != found {
        let mut lines = signed.text().lines().zip(found.lines());
        let other = lines.find(|(signed, found)| signed != found);
        let (signed, found) = other.unwrap_or(("the files that were signed", "others"));
        return bad(signed, found);
    }
    // Nothing else is signed of the manifest itself.
    if note.lines().count() == signed.text().lines().count() + 2 {
        return Ok(());
    }
    bad("one signature of the manifest", "others beside it")
}

/// A number as text that gives it back to the bit: JSON has no NaN, and there are many of them.
fn digits(x: f64) -> String {
    let plain = x.to_string();
    let same = plain.parse::<f64>().is_ok_and(|back| back.to_bits() == x.to_bits());
    if same { plain } else { format!("NaN {:016x}", x.to_bits()) }
}

fn number(text: &str) -> Result<f64> {
    let bits = text.strip_prefix("NaN ").map(|bits| u64::from_str_radix(bits, 16));
    let x = match bits {
        Some(bits) => bits.ok().map(f64::from_bits).filter(|x| x.is_nan()),
        None => text.parse().ok(),
    };
    // One text each.
    let x = x.filter(|x| digits(*x) == text);
    let found = || format!("`{:.40}`", clean(text));
    x.ok_or_else(|| Error::invalid("metric of the evidence pack", "a number", found()))
}

/// The files of an archive.
fn unpacked(archive: &[u8]) -> Result<BTreeMap<String, Vec<u8>>> {
    let none = |e: std::io::Error| {
        let expected = "a whole tar archive, as `EvidencePack::write` makes it";
        Error::invalid("evidence pack", expected, clean(&e.to_string()))
    };
    let mut archive = tar::Archive::new(archive);
    let mut files = BTreeMap::new();
    for entry in archive.entries().map_err(none)? {
        let mut entry = entry.map_err(none)?;
        let name = {
            let path = entry.path().map_err(none)?;
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
        entry.read_to_end(&mut bytes).map_err(none)?;
        if files.insert(name.to_owned(), bytes).is_some() {
            return Err(Error::invalid("evidence pack", "a file once", format!("{name} twice")));
        }
    }
    Ok(files)
}

/// What the log calls a version.
fn subject_of_version(model: &str, number: u64) -> String {
    format!("{model} v{number}")
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

/// Compares what passes through with bytes that are there already.
struct Compared<'a> {
    rest: &'a [u8],
    same: bool,
}

impl Write for Compared<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.rest.strip_prefix(bytes) {
            Some(rest) => self.rest = rest,
            None => self.same = false,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
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
    use std::sync::atomic::{AtomicU64, Ordering};

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
                // What 0 / 0 gives on most machines is another NaN than Rust's.
                .with_metric("worst", f64::from_bits(0xfff8_0000_0000_0000))
                .with_metric("zero", -0.0)
                .with_metric("auc", 0.81)
                .with_param("p", "par_one")
                .with_tag("t", "tag_one")
                .with_commit("commit1");
            let v = registry.register(new, at).unwrap();
            let finding = Finding::new("auc", "hold-out", Verdict::Pass, "≥ 0.7", "0.8");
            let report =
                GateReport::new(v.digest, Assessment::new("quality", 9, vec![finding]), at);
            registry.record_gate(model, 1, report).unwrap();
            let approval = Approval { by: "ben".into(), comment: "read it".into(), at };
            registry.approve(model, 1, approval).unwrap();
            let approval = Approval { by: "zoe".into(), comment: "looks well".into(), at };
            registry.approve(model, 1, approval).unwrap();
            let back = mlops_core::Withdrawal::new("zoe", "it does not", at);
            registry.withdraw(model, 1, back).unwrap();
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
        assert_eq!((read.entries.len(), read.gates.len(), read.approvals.len()), (6, 1, 1));
        assert_eq!(read.withdrawn.len(), 1);
        assert!(read.entries.iter().all(|e| e.subject().starts_with("loans")));
        assert!(String::from_utf8_lossy(read.card_html()).contains("loans v1"));

        let other = NoteSigner::from_seed("registry.example.com", [9; 32]).unwrap();
        assert!(EvidencePack::read(bytes.as_slice(), &other.verifier()).is_err());
    }

    /// A log to which somebody adds what the record does not have yet.
    #[derive(Debug)]
    struct Busy<'r> {
        registry: &'r MemoryRegistry,
        looks: AtomicU64,
    }

    impl Log for Busy<'_> {
        fn len(&self) -> Result<u64> {
            if self.looks.fetch_add(1, Ordering::Relaxed) == 1 {
                let at = Timestamp::from_millis(2000);
                let approval = Approval { by: "eve".into(), comment: String::new(), at };
                self.registry.approve("loans", 1, approval)?;
            }
            self.registry.len()
        }

        fn entries(&self, range: std::ops::Range<u64>) -> Result<Vec<Entry>> {
            self.registry.entries(range)
        }
    }

    #[test]
    fn what_comes_while_a_pack_is_collected_is_in_it() {
        let registry = story();
        let log = Busy { registry: &registry, looks: AtomicU64::new(0) };
        let pack = EvidencePack::collect(&registry, &log, "loans", 1, &mut notary()).unwrap();
        assert_eq!(pack.approvals.len(), 2);
    }

    #[test]
    fn a_registry_and_a_log_that_differ_give_no_pack() {
        let registry = story();
        let log = registry.entries(6..12).unwrap();
        for missing in 0..log.len() {
            let mut other: Vec<Entry> = Vec::new();
            for entry in log.iter().enumerate().filter(|(i, _)| *i != missing).map(|(_, e)| e) {
                let head = other.last().map_or(Ok(Head::empty()), Entry::head).unwrap();
                let actor = entry.actor().value().unwrap();
                let mut draft = Draft::new(entry.at(), actor, entry.action(), entry.subject())
                    .with_detail(entry.detail().clone());
                for (name, personal) in entry.personal() {
                    draft = draft.with_personal(name, personal.value().unwrap());
                }
                other.push(Entry::next(head, draft, Salt::from_bytes([1; 32])).unwrap());
            }
            let pack = EvidencePack::collect(&registry, &other, "loans", 1, &mut notary());
            let error = pack.unwrap_err().to_string();
            assert!(error.contains("an entry of the log"), "{missing}: {error}");
        }
    }

    /// One word of a file is another, and the manifest fits again: what the entries say stands
    /// against it.
    #[test]
    fn what_the_log_does_not_say_is_found() {
        let pack = collect(&story());
        let key = notary().verifier();
        let signed = |mut files: BTreeMap<String, Vec<u8>>| {
            let manifest = notary().attest(manifest(&key, &files)).unwrap();
            files.insert(MANIFEST.to_owned(), manifest.to_string().into_bytes());
            EvidencePack::from_files(files, &key)
        };
        assert_eq!(signed(pack.files.clone()).unwrap(), pack);
        for (file, from, to) in [
            (APPROVALS, "ben", "eve"),
            (APPROVALS, "read it", "read at"),
            (WITHDRAWN, "zoe", "eve"),
            (WITHDRAWN, "it does not", "it does now"),
            (GATES, "\"pass\"", "\"fail\""),
            (GATES, "0.8", "0.9"),
            (VERSION, "\"ana\"", "\"eve\""),
            (VERSION, "model.json", "other.json"),
            (VERSION, "\"0.81\"", "\"0.91\""),
            (VERSION, "NaN fff", "NaN 7ff"),
            (VERSION, "NaN fff", "nan fff"),
            (VERSION, "par_one", "par_two"),
            (VERSION, "tag_one", "tag_two"),
            (VERSION, "commit1", "commit2"),
            (VERSION, "\"number\": 1", "\"number\": 2"),
            (HISTORY, "\"version\": 1", "\"version\": 2"),
            (HISTORY, "better", "butter"),
            (HISTORY, "\"ben\"", "\"eve\""),
            (HISTORY, "\"ana\"", "\"eve\""),
            (HISTORY, "\"quality\"", "\"quantum\""),
            (ENTRIES, "\"ben\"", "\"eve\""),
            (PROOFS, "\"index\": 6", "\"index\": 7"),
            (CHECKPOINT, "\n12\n", "\n13\n"),
        ] {
            let mut files = pack.files.clone();
            let text = String::from_utf8(files[file].clone()).unwrap();
            let other = text.replace(from, to);
            assert_ne!(text, other, "{file} has {from}");
            files.insert(file.to_owned(), other.into_bytes());
            assert!(EvidencePack::from_files(files.clone(), &key).is_err(), "{file}: {from}");
            assert!(signed(files).is_err(), "{file}: {from}, signed");
        }
        // One that was taken back, shown as one that stands.
        let mut files = pack.files.clone();
        let mut approvals = pack.approvals.clone();
        approvals.push(pack.withdrawn[0].approval.clone());
        files.insert(APPROVALS.to_owned(), json(&approvals).unwrap());
        files.insert(WITHDRAWN.to_owned(), b"[]".to_vec());
        let error = signed(files).unwrap_err().to_string();
        assert!(error.contains("`withdraw`"), "{error}");
        // A move that is left out.
        let mut files = pack.files.clone();
        files.insert(HISTORY.to_owned(), b"[]".to_vec());
        let error = signed(files).unwrap_err().to_string();
        assert!(error.contains("`promote`"), "{error}");
        for file in FILES {
            let mut files = pack.files.clone();
            files.remove(file);
            assert!(EvidencePack::from_files(files, &key).is_err(), "without {file}");
        }
    }

    /// Headers, padding and all: whatever byte is another, it is not the pack that was written.
    #[test]
    fn no_byte_of_an_archive_may_change() {
        let key = notary().verifier();
        let mut bytes = Vec::new();
        collect(&story()).write(&mut bytes).unwrap();
        assert!(EvidencePack::read(bytes.as_slice(), &key).is_ok());
        let mut last = None;
        let places = (0..bytes.len()).filter(|at| {
            let block = at / 512;
            // Every byte of short blocks such as headers, and some of those in between.
            let new = last.replace(block) != Some(block);
            new || at % 512 % 19 == 7 || (bytes[*at] != 0 && block % 8 == 0 && at % 3 == 0)
        });
        for at in places.collect::<Vec<_>>() {
            for bit in [0, 5] {
                bytes[at] ^= 1 << bit;
                let read = EvidencePack::read(bytes.as_slice(), &key);
                assert!(read.is_err(), "byte {at} of {}", bytes.len());
                bytes[at] ^= 1 << bit;
            }
        }
        for more in [&[0_u8; 512][..], b"x", &[0; 1024]] {
            let longer = [bytes.as_slice(), more].concat();
            assert!(EvidencePack::read(longer.as_slice(), &key).is_err(), "{} more", more.len());
        }
        for cut in [1, 511, 512, 1024, bytes.len() / 2] {
            let short = &bytes[..bytes.len() - cut];
            assert!(EvidencePack::read(short, &key).is_err(), "{cut} fewer");
        }
    }

    /// Of a person who was erased the pack says a pseudonym, and still proves itself.
    #[test]
    fn erased_people_leave_a_pack_that_holds() {
        let registry = story();
        for person in ["ben", "ana"] {
            registry.erase(person, "dpo", Timestamp::from_millis(5000)).unwrap();
            let mut bytes = Vec::new();
            let pack = collect(&registry);
            pack.write(&mut bytes).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains(person), "{person}");
            assert_eq!(EvidencePack::read(bytes.as_slice(), &notary().verifier()).unwrap(), pack);
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
