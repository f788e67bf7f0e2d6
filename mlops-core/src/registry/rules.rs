//! The rules of a registry as pure functions, so that every backend decides alike: what a name
//! may be, what a version's digest is, when an alias may move and where a rollback leads.

use std::collections::BTreeMap;
use std::fmt::Display;

use unicode_normalization::UnicodeNormalization as _;

use super::{
    Alias, AliasChange, Approval, Artifact, ChangeKind, NewVersion, Promotion, PromotionPolicy,
    Roles, Rollback, SetPolicy, Signature, Unset, Version, Withdrawal, Withdrawn,
};
use crate::{Digest, Error, GateReport, Result, Timestamp};

/// The longest name of a model or alias, in bytes.
const NAME_BYTES: usize = 128;
/// The longest path of an artifact, in bytes.
const PATH_BYTES: usize = 512;
/// The longest part of such a path: what every file system can hold.
const PATH_PART_BYTES: usize = 255;
/// The longest name of a person, metric, parameter, tag or gate, in bytes.
const LABEL_BYTES: usize = 256;
/// The longest value of a parameter or tag, comment or reason, in bytes. More is an artifact.
const TEXT_BYTES: usize = 1 << 20;

/// The most roles that one policy names.
const POLICY_ROLES: usize = 64;

/// Whether this can be the name of a model or an alias: ASCII letters, digits, `_`, `-` and `.`,
/// at most 128 bytes, a letter, digit or `_` first.
///
/// ```
/// use mlops_core::check_name;
/// assert!(check_name("model", "loans-2026.1").is_ok());
/// for bad in ["", "..", "-f", "a/b", "a\0", "größe"] {
///     assert!(check_name("model", bad).is_err());
/// }
/// ```
///
/// # Errors
/// [`Error::Invalid`] with the rule and the name.
pub fn check_name(what: &str, name: &str) -> Result<()> {
    let good = name.len() <= NAME_BYTES
        && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if good {
        return Ok(());
    }
    Err(Error::invalid(
        format!("name of the {what}"),
        format!(
            "ASCII letters, digits, `_`, `-`, `.`, at most {NAME_BYTES} bytes, a letter, digit or `_` first"
        ),
        shown(name),
    ))
}

/// Whether this can be the name of an artifact: a relative path that means the same file, and
/// none outside, on every operating system.
fn check_path(path: &str) -> Result<()> {
    let part_is_good = |part: &str| {
        // Windows opens a device for these, with any extension.
        let stem = part.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
        let device = matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
            || stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT")).is_some_and(|n| {
                let mut digits = n.chars();
                matches!((digits.next(), digits.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
            });
        !part.is_empty()
            && part.len() <= PATH_PART_BYTES
            && !part.starts_with(' ')
            // `.`, `..`, and what Windows strips.
            && !part.ends_with(['.', ' '])
            && !part.contains(|c: char| c.is_control() || "\\:<>\"|?*".contains(c))
            && !device
    };
    if path.len() <= PATH_BYTES && path.split('/').all(part_is_good) {
        return Ok(());
    }
    Err(Error::invalid(
        "name of the artifact",
        format!(
            "a relative path of at most {PATH_BYTES} bytes with `/` between its parts, without \
             `..`, control characters or any of \\ : < > \" | ? *"
        ),
        shown(path),
    ))
}

/// Whether files of these names can stand together in one directory on every operating system:
/// relative paths with `/` between their parts, at most 512 bytes, that lead nowhere outside and
/// open no device; no two that differ in case alone (macOS and Windows take those for one file),
/// and none that is a directory of another.
///
/// ```
/// use mlops_core::check_paths;
/// assert!(check_paths(["model.onnx", "tokens/vocab.txt"]).is_ok());
/// for bad in [["../x", "y"], ["A", "a"], ["D/x", "d/y"], ["a", "a/b"], ["nul.txt", "y"]] {
///     assert!(check_paths(bad).is_err());
/// }
/// ```
///
/// # Errors
/// [`Error::Invalid`] with the rule and the name.
pub fn check_paths<'a>(paths: impl IntoIterator<Item = &'a str>) -> Result<()> {
    // What a name folds to, as it was written, and whether it is a file.
    let mut seen: BTreeMap<String, (&str, bool)> = BTreeMap::new();
    for path in paths {
        check_path(path)?;
        let ends = path.char_indices().filter(|(_, c)| *c == '/').map(|(at, _)| at);
        for end in ends.chain([path.len()]) {
            let (part, is_file) = (&path[..end], end == path.len());
            let folded = part.to_lowercase();
            let expected = match seen.get(&folded) {
                None => {
                    seen.insert(folded, (part, is_file));
                    continue;
                }
                Some((spelling, _)) if *spelling != part => "names that differ in more than case",
                Some((_, was_file)) if is_file || *was_file => {
                    "names that differ, none of which is a directory of another"
                }
                Some(_) => continue,
            };
            return Err(Error::invalid("artifacts", expected, shown(path)));
        }
    }
    Ok(())
}

/// Whether this can name a person, a metric, a parameter, a tag or a gate.
fn check_label(what: &str, label: &str) -> Result<()> {
    // Those that turn the direction make a reader see another name.
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let good = !label.is_empty()
        && label.len() <= LABEL_BYTES
        && label.trim() == label
        && !label.contains(|c: char| c.is_control() || turns(c))
        && !folded(label).is_empty();
    if good {
        return Ok(());
    }
    Err(Error::invalid(
        what,
        format!("1 to {LABEL_BYTES} bytes, no control characters, no space at either end"),
        shown(label),
    ))
}

/// Whether two names are spellings of one person's: equal but for upper and lower case, the
/// number and kind of spaces, characters that nobody sees, and how Unicode composes a letter
/// (NFKC).
///
/// An author who approves under another spelling is the author still, and two spellings are one
/// approval. Letters of other scripts that look alike are other letters: which names there are
/// is the host's to say.
///
/// ```
/// use mlops_core::same_person;
/// for other in ["ANA  Zoé", "ana zoe\u{301}", "ana\u{a0}zo\u{200b}é", "ａｎａ zoé"] {
///     assert!(same_person("Ana Zoé", other));
/// }
/// assert!(!same_person("Ana Zoé", "Ana Zoe") && !same_person("ana", "аna"));
/// ```
pub fn same_person(a: &str, b: &str) -> bool {
    a == b || folded(a) == folded(b)
}

/// Whether this stands where a name stood until the person was erased: `erased-` and 16
/// hexadecimal digits, which nobody is.
///
/// Nobody can say whose such an approval was, nor that somebody who approves now is another than
/// such an author. So the approval counts for no later promotion (the person may have approved
/// again), and the version of such an author gets no new approvals.
///
/// ```
/// use mlops_core::is_erased;
/// assert!(is_erased("erased-0123456789abcdef"));
/// assert!(!is_erased("erased-0123456789ABCDEF") && !is_erased("erased-ben"));
/// ```
pub fn is_erased(name: &str) -> bool {
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    name.strip_prefix("erased-").is_some_and(|id| id.len() == 16 && id.bytes().all(digit))
}

/// What all spellings of a name have in common.
fn folded(name: &str) -> String {
    let seen = |c: &char| {
        !matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
    };
    // Case and composition may each undo the other.
    let once = |text: &str| -> String {
        text.nfkc().filter(seen).flat_map(char::to_lowercase).nfkc().collect()
    };
    let folded = once(&once(name));
    folded.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a name that is new is more than another way to write one that is there: `Champion`
/// beside `champion` is a slip, and would have neither its policy nor its history.
///
/// # Errors
/// [`Error::Invalid`] with the name that is there.
pub fn check_new_name<'a>(
    what: &str,
    name: &str,
    existing: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    let mut alike = None;
    for other in existing {
        if other == name {
            return Ok(());
        }
        if other.eq_ignore_ascii_case(name) {
            alike = Some(other);
        }
    }
    alike.map_or(Ok(()), |alike| {
        let expected = format!("`{alike}`, which is there, or a name of its own");
        Err(Error::invalid(what, expected, format!("`{name}`, which differs in case alone")))
    })
}

fn check_text(what: &str, text: &str) -> Result<()> {
    if text.len() <= TEXT_BYTES {
        return Ok(());
    }
    Err(Error::invalid(
        what,
        format!("at most {TEXT_BYTES} bytes (what is larger is an artifact)"),
        format!("{} bytes", text.len()),
    ))
}

/// The start of a name that came from outside, harmless in a terminal.
fn shown(name: &str) -> String {
    const SHOWN: usize = 60;
    let start: String = name.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if name.chars().nth(SHOWN).is_some() {
        format!("`{start}…` ({} bytes)", name.len())
    } else {
        format!("`{start}`")
    }
}

/// The digest of a version: that of the text
///
/// ```text
/// mlops-manifest-v1
/// <64 hexadecimal digits> <size> <name>
/// …
/// ```
///
/// with a line per artifact, sorted by name, each ended by a line feed. It does not depend on
/// anything but the names and bytes of the files.
///
/// ```
/// use mlops_core::{Digest, manifest_digest};
/// let text = b"mlops-manifest-v1\n";
/// assert_eq!(manifest_digest(&[]), Digest::of(text));
/// ```
pub fn manifest_digest(artifacts: &[Artifact]) -> Digest {
    let mut sorted: Vec<_> = artifacts.iter().collect();
    sorted.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let mut text = String::from("mlops-manifest-v1\n");
    for Artifact { name, digest, size } in sorted {
        text.extend([&digest.hex(), " ", &size.to_string(), " ", name, "\n"]);
    }
    Digest::of(text)
}

impl NewVersion {
    /// A version of this model by this author, with nothing in it yet.
    pub fn new(model: impl Into<String>, author: impl Into<String>) -> Self {
        Self { model: model.into(), author: author.into(), ..Self::default() }
    }

    /// The same, with this file; of two of one name the later.
    #[must_use]
    pub fn with_artifact(mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.artifacts.insert(name.into(), bytes.into());
        self
    }

    /// The same, with this number measured on it.
    #[must_use]
    pub fn with_metric(mut self, name: impl Into<String>, value: f64) -> Self {
        self.metrics.insert(name.into(), value);
        self
    }

    /// The same, trained with this parameter.
    #[must_use]
    pub fn with_param(mut self, name: impl Into<String>, value: impl Display) -> Self {
        self.params.insert(name.into(), value.to_string());
        self
    }

    /// The same, with this tag.
    #[must_use]
    pub fn with_tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(name.into(), value.into());
        self
    }

    /// The same, trained on data of this digest.
    #[must_use]
    pub fn with_data_digest(mut self, digest: Digest) -> Self {
        self.data_digest = Some(digest);
        self
    }

    /// The same, with what it takes and what it gives.
    #[must_use]
    pub fn with_signature(mut self, signature: Signature) -> Self {
        self.signature = Some(signature);
        self
    }

    /// The same, made by this run.
    #[must_use]
    pub fn with_run(mut self, run: impl Into<String>) -> Self {
        self.lineage.run = Some(run.into());
        self
    }

    /// The same, made by the code of this commit.
    #[must_use]
    pub fn with_commit(mut self, commit: impl Into<String>) -> Self {
        self.lineage.commit = Some(commit.into());
        self
    }

    /// The same, derived from this version of the model.
    #[must_use]
    pub fn with_parent(mut self, parent: u64) -> Self {
        self.lineage.parent = Some(parent);
        self
    }

    /// The same, its drift measured against the reference profile of this digest.
    #[must_use]
    pub fn with_profile_digest(mut self, digest: Digest) -> Self {
        self.profile_digest = Some(digest);
        self
    }

    /// The same, its data to pass the suite of this digest.
    #[must_use]
    pub fn with_suite_digest(mut self, digest: Digest) -> Self {
        self.suite_digest = Some(digest);
        self
    }

    /// The same, to be done once however often it is asked for ([`Request`](super::Request)).
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Whether it can be registered: good names, and at least one artifact. A backend calls this
    /// before it writes anything.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what was expected.
    pub fn check(&self) -> Result<()> {
        check_name("model", &self.model)?;
        check_label("author", &self.author)?;
        if self.artifacts.is_empty() {
            return Err(Error::invalid("artifacts", "at least one", "none"));
        }
        check_paths(self.artifacts.keys().map(String::as_str))?;
        for name in self.metrics.keys() {
            check_label("name of the metric", name)?;
        }
        for (name, value) in &self.params {
            check_label("name of the parameter", name)?;
            check_text("value of the parameter", value)?;
        }
        for (name, value) in &self.tags {
            check_label("name of the tag", name)?;
            check_text("value of the tag", value)?;
        }
        if let Some(signature) = &self.signature {
            signature.check()?;
        }
        if let Some(run) = &self.lineage.run {
            check_label("run", run)?;
        }
        if let Some(commit) = &self.lineage.commit {
            check_label("commit", commit)?;
        }
        check_key(self.key.as_deref())
    }

    /// Whether the version that it names as its parent is one of those before this number.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn check_parent(&self, number: u64) -> Result<()> {
        match self.lineage.parent {
            Some(parent) if !(1..number).contains(&parent) => Err(Error::NotFound {
                existing: Vec::new(),
                what: "parent version".into(),
                name: format!("{} v{parent}", self.model),
            }),
            _ => Ok(()),
        }
    }

    /// The version that this becomes under a number: its artifacts hashed, its digest taken.
    pub fn to_version(&self, number: u64, at: Timestamp) -> Version {
        let artifacts: Vec<_> = self
            .artifacts
            .iter()
            .map(|(name, bytes)| Artifact {
                name: name.clone(),
                digest: Digest::of(bytes),
                size: bytes.len() as u64,
            })
            .collect();
        Version {
            artifacts: artifacts.clone(),
            metrics: self.metrics.clone(),
            params: self.params.clone(),
            tags: self.tags.clone(),
            data_digest: self.data_digest,
            signature: self.signature.clone(),
            lineage: self.lineage.clone(),
            profile_digest: self.profile_digest,
            suite_digest: self.suite_digest,
            ..Version::new(&self.model, number, manifest_digest(&artifacts), &self.author, at)
        }
    }
}

impl Version {
    /// Whether this report may be recorded on this version: a good name, it speaks of these
    /// bytes, and its numbers are finite (JSON has no others, and what is read back must be what
    /// was recorded, to its digest).
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn check_gate(&self, report: &GateReport) -> Result<()> {
        check_label("name of the gate", &report.gate)?;
        if let Some(by) = &report.by {
            check_label("name of who ran the gate", by)?;
        }
        if report.subject != self.digest {
            return Err(Error::invalid(
                format!("subject of gate `{}`", report.gate),
                format!("{}, the digest of {} v{}", self.digest, self.model, self.number),
                report.subject,
            ));
        }
        let finite = report.assessment.findings.iter().all(|finding| {
            let limits = finding.interval.map_or([0.0; 2], |(low, high)| [low, high]);
            let numbers = [finding.value, finding.p_value].into_iter().flatten().chain(limits);
            numbers.into_iter().all(f64::is_finite)
        });
        if !finite {
            let (what, found) = (format!("gate `{}`", report.gate), "others");
            return Err(Error::invalid(what, "finite numbers in its findings", found));
        }
        Ok(())
    }

    /// Whether this approval may be recorded on this version: a name, and not the author's, however
    /// it is [spelled](same_person); nobody's, where the author [was erased](is_erased).
    ///
    /// # Errors
    /// [`Error::Invalid`]; [`Error::Blocked`] for the author.
    pub fn check_approval(&self, approval: &Approval) -> Result<()> {
        check_label("name of who approves", &approval.by)?;
        check_text("comment", &approval.comment)?;
        let reason = if is_erased(&self.author) {
            "its author was erased, and may be who approves: register it again".to_owned()
        } else if is_erased(&approval.by) {
            format!("{} stands for somebody who was erased", approval.by)
        } else if same_person(&approval.by, &self.author) {
            format!("{} is its author", self.author)
        } else {
            return Ok(());
        };
        let what = format!("approval of {} v{}", self.model, self.number);
        Err(Error::Blocked { what, reasons: vec![reason] })
    }

    /// The names of the people other than the author whose approvals stand, each once, in the
    /// order in which they approved; without those who [were erased](is_erased).
    pub fn approvers(&self) -> Vec<&str> {
        self.counted().into_iter().map(|approval| approval.by.as_str()).collect()
    }

    /// The approvals that count, one a person.
    fn counted(&self) -> Vec<&Approval> {
        let mut counted: Vec<&Approval> = Vec::new();
        for approval in &self.approvals {
            if is_erased(&approval.by) {
                continue;
            }
            let people = counted.iter().map(|a| &a.by).chain([&self.author]);
            if !people.into_iter().any(|person| same_person(person, &approval.by)) {
                counted.push(approval);
            }
        }
        counted
    }

    /// Puts an approval that [`Withdrawal::decide`] gave among those that were taken back.
    pub fn take_back(&mut self, withdrawn: Withdrawn) {
        if let Some(at) = self.approvals.iter().position(|a| *a == withdrawn.approval) {
            self.approvals.remove(at);
            self.withdrawn.push(withdrawn);
        }
    }

    fn change(&self, alias: &str, last: Option<&AliasChange>, kind: ChangeKind) -> AliasChange {
        let approvals = self.counted();
        let mut open = self.latest_gates();
        open.retain(|_, report| report.is_open());
        AliasChange {
            model: self.model.clone(),
            alias: alias.to_owned(),
            revision: last.map_or(0, |c| c.revision) + 1,
            version: Some(self.number),
            previous: last.and_then(|c| c.version),
            kind,
            actor: String::new(),
            reason: String::new(),
            at: self.created_at,
            gates: open.keys().map(|&gate| gate.to_owned()).collect(),
            approved_at: approvals.iter().map(|approval| approval.at).collect(),
            approvals: approvals.iter().map(|approval| approval.by.clone()).collect(),
            approved_as: Vec::new(),
            evidence: open.iter().map(|(&gate, r)| (gate.to_owned(), r.digest())).collect(),
            policy: None,
        }
    }
}

impl Approval {
    /// Whether this is to be recorded on this version; `false` if the person, however the name is
    /// [spelled](same_person), has approved it already. A backend calls this inside the
    /// transaction that then stores it.
    ///
    /// Who took an approval back may give another, of another time. One of the same time is the
    /// same request again, from a caller who did not know that it had got through: it must not
    /// undo what was done since.
    ///
    /// # Errors
    /// Those of [`Version::check_approval`]; [`Error::Blocked`] for one that was taken back.
    pub fn decide(&self, version: &Version) -> Result<bool> {
        version.check_approval(self)?;
        let theirs = |approval: &Approval| same_person(&approval.by, &self.by);
        if version.approvals.iter().any(theirs) {
            return Ok(false);
        }
        // Of somebody who was erased nobody can say that it was another.
        let same = |w: &&Withdrawn| {
            w.approval.at == self.at && (theirs(&w.approval) || is_erased(&w.approval.by))
        };
        let Some(back) = version.withdrawn.iter().find(same) else { return Ok(true) };
        Err(Error::Blocked {
            what: format!("approval of {} v{}", version.model, version.number),
            reasons: vec![format!(
                "that of {} at {} was taken back at {}: another has a time of its own",
                back.approval.by, self.at, back.at
            )],
        })
    }
}

impl Withdrawal {
    /// The approval of this version that is taken back; `None` if the person has taken it back
    /// already. A backend calls this inside the transaction that then stores it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bad name or no reason; [`Error::NotFound`] if the person, however
    /// the name is [spelled](same_person), has not approved it.
    pub fn decide(&self, version: &Version) -> Result<Option<Withdrawn>> {
        check_label("name of who takes an approval back", &self.by)?;
        check_text("reason", &self.reason)?;
        if self.reason.trim().is_empty() {
            return Err(Error::invalid("reason", "why the approval is taken back", "nothing"));
        }
        let theirs = |approval: &&Approval| same_person(&approval.by, &self.by);
        if let Some(approval) = version.approvals.iter().find(theirs) {
            let (reason, at) = (self.reason.clone(), self.at);
            return Ok(Some(Withdrawn { approval: approval.clone(), reason, at }));
        }
        if version.withdrawn.iter().any(|withdrawn| theirs(&&withdrawn.approval)) {
            return Ok(None);
        }
        let what = format!("approval of {} v{}", version.model, version.number);
        Err(Error::not_found(what, format!("by {}", self.by), version.approvers()))
    }
}

impl PromotionPolicy {
    /// Whether this can be the policy of this alias, set by this person: who must have the role
    /// [`Roles::POLICY`] where roles are given.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bad name or a negative age; [`Error::Blocked`] without the role.
    pub fn check(&self, model: &str, alias: &str, actor: &str, roles: &Roles) -> Result<()> {
        check_name("model", model)?;
        check_name("alias", alias)?;
        check_label("actor", actor)?;
        for gate in &self.required_gates {
            check_label("name of the gate", gate)?;
        }
        for (role, people) in &self.approver_roles {
            check_label("role", role)?;
            if *people == 0 {
                return Err(Error::invalid(format!("people in the role `{role}`"), "1 or more", 0));
            }
        }
        if self.approver_roles.len() > POLICY_ROLES {
            let (most, found) = (format!("at most {POLICY_ROLES}"), self.approver_roles.len());
            return Err(Error::invalid("roles of a policy", most, found));
        }
        if let Some(age) = self.max_gate_age_millis.filter(|age| *age < 0) {
            return Err(Error::invalid("oldest age of a gate", "0 ms or more", age));
        }
        if roles.are_given() && !roles.has(actor, Roles::POLICY) {
            return Err(Error::Blocked {
                what: format!("a policy of {model}@{alias}, set by {actor}"),
                reasons: vec![format!("{actor} has not the role `{}`", Roles::POLICY)],
            });
        }
        Ok(())
    }
}

impl Promotion {
    /// The change that this promotion makes, or why it may not, given the policy of the alias
    /// (the default where nobody set one). A backend calls this inside the transaction that then
    /// stores the change.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bad name; [`Error::Conflict`] if the alias has another revision
    /// than expected; [`Error::Blocked`] with every obstacle.
    pub fn decide(
        &self,
        version: &Version,
        policy: Option<&SetPolicy>,
        roles: &Roles,
        last: Option<&AliasChange>,
        at: Timestamp,
    ) -> Result<AliasChange> {
        check_request(&self.model, &self.alias, &self.actor, &self.reason)?;
        check_key(self.key.as_deref())?;
        expect_revision(&self.model, &self.alias, self.expected_revision, last)?;
        let default = PromotionPolicy::default();
        let in_force = policy.map_or(&default, |set| &set.policy);
        let mut reasons = version.obstacles(in_force, roles, at);
        // A change that changes nothing would make the next rollback one, too.
        if last.is_some_and(|c| c.version == Some(version.number)) {
            reasons.push(format!("`{}` names it already", self.alias));
        }
        if !reasons.is_empty() {
            return Err(Error::Blocked {
                what: format!(
                    "promotion of {} v{} to `{}`",
                    self.model, version.number, self.alias
                ),
                reasons,
            });
        }
        Ok(AliasChange {
            actor: self.actor.clone(),
            reason: self.reason.clone(),
            at,
            policy: policy.cloned(),
            approved_as: version.stand_for(in_force, roles).roles,
            ..version.change(&self.alias, last, ChangeKind::Promotion)
        })
    }
}

impl Rollback {
    /// The number of the version that this rollback leads to: the one that the alias named before
    /// the promotion that put it where it is. Promotions stack up, a rollback takes the top off.
    ///
    /// So does an [`Unset`], which puts nothing in its place: a rollback after it leads to where a
    /// rollback instead of it would have led, never back to the promotion that was taken off.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bad name; [`Error::NotFound`] if there is no earlier version;
    /// [`Error::Conflict`] if the alias has another revision than expected.
    pub fn target(&self, history: &[AliasChange]) -> Result<u64> {
        check_request(&self.model, &self.alias, &self.actor, &self.reason)?;
        check_key(self.key.as_deref())?;
        let earlier = |what: &str| Error::NotFound {
            existing: Vec::new(),
            what: what.to_owned(),
            name: format!("{}@{}", self.model, self.alias),
        };
        let last = history.last().ok_or_else(|| earlier("alias"))?;
        expect_revision(&self.model, &self.alias, self.expected_revision, Some(last))?;
        let mut standing = standing(history);
        if last.version.is_some() {
            standing.pop();
        }
        let before = standing.pop().and_then(|change| change.version);
        before.ok_or_else(|| earlier("a version before the one named by alias"))
    }

    /// The change that this rollback makes, given the version that [`target`](Self::target) names.
    ///
    /// # Errors
    /// As [`target`](Self::target); [`Error::Invalid`] if this is another version.
    pub fn decide(
        &self,
        version: &Version,
        history: &[AliasChange],
        at: Timestamp,
    ) -> Result<AliasChange> {
        let target = self.target(history)?;
        if (&version.model, version.number) != (&self.model, target) {
            return Err(Error::invalid("rollback", format!("version {target}"), version.number));
        }
        Ok(AliasChange {
            actor: self.actor.clone(),
            reason: self.reason.clone(),
            at,
            ..version.change(&self.alias, history.last(), ChangeKind::Rollback)
        })
    }
}

impl Unset {
    /// The change that this makes, given the alias's last one. It asks for no gate and no approval,
    /// because nothing is put into service: what is put there next is, by a promotion that meets
    /// the policy of its day, or by the rollback that could have been asked for instead.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bad name; [`Error::NotFound`] for an alias that was never set;
    /// [`Error::Conflict`] if it has another revision than expected; [`Error::Blocked`] if it
    /// names no version.
    pub fn decide(&self, last: Option<&AliasChange>, at: Timestamp) -> Result<AliasChange> {
        check_request(&self.model, &self.alias, &self.actor, &self.reason)?;
        check_key(self.key.as_deref())?;
        let last = last.ok_or_else(|| Error::NotFound {
            existing: Vec::new(),
            what: "alias".into(),
            name: format!("{}@{}", self.model, self.alias),
        })?;
        expect_revision(&self.model, &self.alias, self.expected_revision, Some(last))?;
        if last.version.is_none() {
            return Err(Error::Blocked {
                what: format!("unset of {}@{}", self.model, self.alias),
                reasons: vec![format!("`{}` names no version already", self.alias)],
            });
        }
        Ok(AliasChange {
            model: self.model.clone(),
            alias: self.alias.clone(),
            revision: last.revision + 1,
            version: None,
            previous: last.version,
            kind: ChangeKind::Unset,
            actor: self.actor.clone(),
            reason: self.reason.clone(),
            at,
            gates: Vec::new(),
            approvals: Vec::new(),
            approved_at: Vec::new(),
            approved_as: Vec::new(),
            evidence: BTreeMap::new(),
            policy: None,
        })
    }
}

/// The promotions that no rollback and no unset took off, oldest first; the alias points where the
/// last put it, unless it was unset since.
pub(super) fn standing(history: &[AliasChange]) -> Vec<&AliasChange> {
    let mut standing: Vec<&AliasChange> = Vec::new();
    let mut named = None;
    for change in history {
        match change.kind {
            ChangeKind::Promotion => {
                // After an unset, to where a rollback would have led: it stands there once, so
                // that the next rollback leads elsewhere.
                standing.pop_if(|top| top.version == change.version);
                standing.push(change);
            }
            // What an unset took off is off already.
            ChangeKind::Rollback if named.is_none() => {}
            ChangeKind::Rollback | ChangeKind::Unset => drop(standing.pop()),
        }
        named = change.version;
    }
    standing
}

impl AliasChange {
    /// Where the alias points after this change.
    pub fn to_alias(&self) -> Alias {
        Alias {
            model: self.model.clone(),
            alias: self.alias.clone(),
            version: self.version,
            revision: self.revision,
            since: self.at,
        }
    }
}

fn check_key(key: Option<&str>) -> Result<()> {
    key.map_or(Ok(()), |key| check_label("key of the request", key))
}

fn check_request(model: &str, alias: &str, actor: &str, reason: &str) -> Result<()> {
    check_name("model", model)?;
    check_name("alias", alias)?;
    check_label("actor", actor)?;
    check_text("reason", reason)
}

fn expect_revision(
    model: &str,
    alias: &str,
    expected: u64,
    last: Option<&AliasChange>,
) -> Result<()> {
    let found = last.map_or(0, |c| c.revision);
    if found == expected {
        return Ok(());
    }
    Err(Error::Conflict { what: format!("alias {model}@{alias}"), expected, found })
}

/// What is wrong with a history, change by change: revisions that do not count 1, 2, 3, …, a
/// `previous` that was not, a rollback to elsewhere than the stack of promotions leads, a move to
/// no version that is no unset.
///
/// A backend's check of itself calls this; empty for the history of a whole registry.
pub fn history_flaws(history: &[AliasChange]) -> BTreeMap<u64, String> {
    let mut flaws = BTreeMap::new();
    let mut standing: Vec<Option<u64>> = Vec::new();
    let mut previous: Option<u64> = None;
    for (change, expected) in history.iter().zip(1..) {
        let mut say = |flaw: String| {
            flaws.entry(change.revision).or_insert(flaw);
        };
        if change.revision != expected {
            say(format!("expected revision {expected}, found {}", change.revision));
        }
        if change.previous != previous {
            say(format!(
                "expected {previous:?} as the version before, found {:?}",
                change.previous
            ));
        }
        if change.version.is_none() != (change.kind == ChangeKind::Unset) {
            say(format!("{} to version {:?}", change.kind, change.version));
        }
        match change.kind {
            ChangeKind::Promotion => {
                standing.pop_if(|top| *top == change.version);
                standing.push(change.version);
            }
            ChangeKind::Rollback => {
                if previous.is_some() {
                    standing.pop();
                }
                let before = standing.last().copied().flatten();
                if before.is_none() || before != change.version {
                    let to = change.version;
                    say(format!("a rollback to version {to:?}, where {before:?} was before"));
                }
            }
            ChangeKind::Unset => {
                if previous.is_none() {
                    say("an unset of an alias that named no version".to_owned());
                }
                standing.pop();
            }
        }
        previous = change.version;
    }
    flaws
}
