//! How the registry's records read in a terminal.

use std::fmt;

use super::{
    Alias, AliasChange, Approval, Artifact, ChangeKind, Lineage, PromotionPolicy, SetPolicy,
    Version, Withdrawn,
};

impl fmt::Display for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes, {:.15}…)", self.name, self.size, self.digest.to_string())
    }
}

impl fmt::Display for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.by, self.at)?;
        if self.comment.is_empty() { Ok(()) } else { write!(f, ": {}", self.comment) }
    }
}

impl fmt::Display for Withdrawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.approval.by, self.at)?;
        if self.reason.is_empty() { Ok(()) } else { write!(f, ": {}", self.reason) }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} v{}  {:.19}…  by {} at {}",
            self.model,
            self.number,
            self.digest.to_string(),
            self.author,
            self.created_at
        )?;
        let mut row = |name: &str, cells: Vec<String>| {
            if cells.is_empty() {
                return Ok(());
            }
            write!(f, "\n  {name:<10} {}", cells.join(", "))
        };
        row("artifacts", self.artifacts.iter().map(Artifact::to_string).collect())?;
        row("metrics", self.metrics.iter().map(|(k, v)| format!("{k} {v}")).collect())?;
        row("params", self.params.iter().map(|(k, v)| format!("{k} {v}")).collect())?;
        row("tags", self.tags.iter().map(|(k, v)| format!("{k} {v}")).collect())?;
        row("data", self.data_digest.iter().map(ToString::to_string).collect())?;
        row("profile", self.profile_digest.iter().map(ToString::to_string).collect())?;
        row("suite", self.suite_digest.iter().map(ToString::to_string).collect())?;
        row("signature", self.signature.iter().map(ToString::to_string).collect())?;
        let Lineage { run, commit, parent } = &self.lineage;
        let made = [
            run.as_ref().map(|run| format!("run {run}")),
            commit.as_ref().map(|commit| format!("commit {commit}")),
            parent.map(|parent| format!("v{parent}")),
        ];
        row("made from", made.into_iter().flatten().collect())?;
        let gates = self.latest_gates();
        let gates = gates.iter().map(|(k, v)| format!("{k} {}", v.assessment.verdict));
        row("gates", gates.collect())?;
        row("approvals", self.approvals.iter().map(|a| a.by.clone()).collect())?;
        row("withdrawn", self.withdrawn.iter().map(|w| w.approval.by.clone()).collect())
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = pointed(self.version);
        let Self { model, alias, revision, since, .. } = self;
        write!(f, "{model}@{alias} → {to} (revision {revision}, since {since})")
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Promotion => "promotion",
            Self::Rollback => "rollback",
            Self::Unset => "unset",
        })
    }
}

impl fmt::Display for AliasChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (pointed(self.previous), pointed(self.version));
        write!(
            f,
            "{:>3}  {}  {:<9}  {from} → {to}  by {}",
            self.revision, self.at, self.kind, self.actor
        )?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        if !self.approvals.is_empty() {
            write!(f, " (approved by {})", self.approvals.join(", "))?;
        }
        match &self.policy {
            Some(policy) => write!(f, " [{policy}]"),
            None => Ok(()),
        }
    }
}

/// A version that an alias names, in a word.
pub(super) fn pointed(version: Option<u64>) -> String {
    version.map_or("none".to_owned(), |v| format!("v{v}"))
}

impl fmt::Display for PromotionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.required_gates.as_slice() {
            [] => f.write_str("some gate")?,
            gates => write!(f, "gates {}", gates.join(", "))?,
        }
        write!(f, " and every other that was run, approvals by {}", self.approvals)?;
        for (role, people) in &self.approver_roles {
            write!(f, ", {people} in the role `{role}`")?;
        }
        if let Some(age) = self.max_gate_age_millis {
            write!(f, ", gates no older than {age} ms")?;
        }
        Ok(())
    }
}

impl fmt::Display for SetPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; set by {} at {}", self.policy, self.by, self.at)
    }
}

/// A model's versions and aliases as a table; [`RegistryExt::list`](super::RegistryExt::list)
/// gives it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Listing {
    /// The model.
    pub model: String,
    /// Its versions, ascending.
    pub versions: Vec<Version>,
    /// Its aliases, by name.
    pub aliases: Vec<Alias>,
}

impl Listing {
    pub(super) fn new(model: &str, versions: Vec<Version>, aliases: Vec<Alias>) -> Self {
        Self { model: model.to_owned(), versions, aliases }
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["version", "created", "author", "gates", "approved by", "aliases", "metrics"];
        let mut table = vec![head.map(str::to_owned)];
        for v in &self.versions {
            let gates = v.latest_gates();
            let aliases = self.aliases.iter().filter(|a| a.version == Some(v.number));
            table.push([
                format!("{} v{}", v.model, v.number),
                v.created_at.to_string(),
                v.author.clone(),
                list(gates.iter().map(|(k, g)| format!("{k} {}", g.assessment.verdict))),
                list(v.approvals.iter().map(|a| a.by.clone())),
                list(aliases.map(|a| a.alias.clone())),
                list(v.metrics.iter().map(|(k, m)| format!("{k} {m:.4}"))),
            ]);
        }
        let width = |column: usize| {
            table.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<_> = (0..head.len()).map(width).collect();
        for (n, row) in table.iter().enumerate() {
            let cells: Vec<_> = row.iter().zip(&widths).map(|(c, w)| format!("{c:<w$}")).collect();
            if n > 0 {
                f.write_str("\n")?;
            }
            f.write_str(cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}

fn list(cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<_> = cells.collect();
    if cells.is_empty() { "–".to_owned() } else { cells.join(", ") }
}
