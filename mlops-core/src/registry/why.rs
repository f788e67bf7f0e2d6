//! Why an alias pointed where it did.

use std::fmt;

use super::rules::standing;
use super::show::pointed;
use super::{Alias, AliasChange, Approval, ChangeKind, PromotionPolicy, SetPolicy, Version};
use crate::{Digest, Error, Result, Timestamp, Verdict};

/// A gate on which a version was promoted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GateEvidence {
    /// The gate's name.
    pub gate: String,
    /// What it said.
    pub verdict: Verdict,
    /// When.
    pub at: Timestamp,
    /// The digest of what it judged.
    pub subject: Digest,
    /// The digest of its report.
    pub report: Digest,
    /// Who ran it, if anybody said.
    pub by: Option<String>,
}

/// Why an alias pointed where it did at a time;
/// [`RegistryExt::why`](super::RegistryExt::why) gives it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Why {
    /// The time that was asked about.
    pub at: Timestamp,
    /// Where the alias pointed; to no version, where it was unset.
    pub alias: Alias,
    /// The version, or the one that an unset took away, with the gates and approvals on which it
    /// was promoted and no later ones; those of the approvals that were taken back since are among
    /// its [withdrawn](Version::withdrawn), too.
    pub version: Version,
    /// The move that put the alias there.
    pub change: AliasChange,
    /// The promotion that this goes back to: the move itself, before a rollback the one that it
    /// led back to, before an unset the one that it took off.
    pub promotion: AliasChange,
    /// The gates on which it was promoted.
    pub gates: Vec<GateEvidence>,
}

impl AliasChange {
    /// The version that a story of this move is about: the one that it put there or took away.
    pub(super) fn concerns(&self) -> Option<u64> {
        self.version.or(self.previous)
    }
}

/// The last move that is not later than this.
pub(super) fn change_at(history: &[AliasChange], at: Timestamp) -> Option<&AliasChange> {
    history.iter().rev().find(|change| change.at <= at)
}

impl Why {
    pub(super) fn new(
        history: &[AliasChange],
        change: &AliasChange,
        mut version: Version,
        at: Timestamp,
    ) -> Result<Self> {
        let damaged = |expected: &str| Error::Decode {
            what: format!(
                "history of {}@{}, revision {}",
                change.model, change.alias, change.revision
            ),
            offset: 0,
            expected: expected.to_owned(),
            found: "none".to_owned(),
        };
        // An unset is told by what it took off, which stood before it.
        let before = |c: &&AliasChange| {
            c.revision < change.revision
                || (c.revision == change.revision && change.version.is_some())
        };
        let until: Vec<_> = history.iter().filter(before).cloned().collect();
        let promotion = standing(&until)
            .pop()
            .filter(|promotion| promotion.version == Some(version.number))
            .cloned()
            .ok_or_else(|| damaged("the promotion of the version that it names"))?;
        let mut gates = Vec::with_capacity(promotion.gates.len());
        let mut reports = Vec::with_capacity(promotion.gates.len());
        for gate in &promotion.gates {
            let mut of_name = version.gates.iter().filter(|report| report.gate == *gate);
            let report = match promotion.evidence.get(gate) {
                Some(digest) => of_name.find(|report| report.digest() == *digest),
                // Histories from before reports were named by their digest.
                None => of_name.filter(|r| r.at <= promotion.at).max_by_key(|r| r.at),
            };
            let report =
                report.ok_or_else(|| damaged("the reports of the gates that were open"))?;
            gates.push(GateEvidence {
                gate: gate.clone(),
                verdict: report.assessment.verdict,
                at: report.at,
                subject: report.subject,
                report: report.digest(),
                by: report.by.clone(),
            });
            reports.push(report.clone());
        }
        version.gates = reports;
        let (mut approvals, mut withdrawn) = (Vec::new(), Vec::new());
        for (n, by) in promotion.approvals.iter().enumerate() {
            // Histories from before approvals could be taken back do not say when.
            let at = promotion.approved_at.get(n);
            let used = |a: &Approval| a.by == *by && at.is_none_or(|at| *at == a.at);
            if let Some(approval) = version.approvals.iter().find(|a| used(a)) {
                approvals.push(approval.clone());
            } else if let Some(w) = version.withdrawn.iter().rfind(|w| used(&w.approval)) {
                approvals.push(w.approval.clone());
                withdrawn.push(w.clone());
            }
        }
        (version.approvals, version.withdrawn) = (approvals, withdrawn);
        let (alias, change) = (change.to_alias(), change.clone());
        Ok(Self { at, alias, version, change, promotion, gates })
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { alias, version, change, promotion, .. } = self;
        let named = pointed(alias.version);
        write!(
            f,
            "{}@{} was {named} at {} (revision {})",
            alias.model, alias.alias, self.at, alias.revision
        )?;
        let mut row = |name: &str, text: String| write!(f, "\n  {name:<12} {text}");
        let told = |c: &AliasChange| {
            let reason =
                if c.reason.is_empty() { String::new() } else { format!(": {}", c.reason) };
            format!("by {} at {}{reason}", c.actor, c.at)
        };
        match change.kind {
            ChangeKind::Promotion => {}
            ChangeKind::Rollback => row("rolled back", told(change))?,
            ChangeKind::Unset => {
                row("unset", told(change))?;
                row("before", pointed(change.previous))?;
            }
        }
        row("promoted", told(promotion))?;
        let default =
            || format!("{} (the default: nobody had set one)", PromotionPolicy::default());
        row("policy", promotion.policy.as_ref().map_or_else(default, SetPolicy::to_string))?;
        for gate in &self.gates {
            let GateEvidence { gate, verdict, at, report, by, .. } = gate;
            let by = by.as_ref().map_or(String::new(), |by| format!(" by {by}"));
            row("gate", format!("{gate}: {verdict}{by} at {at}, report {report}"))?;
        }
        for approval in &version.approvals {
            let nth = promotion.approvals.iter().position(|by| *by == approval.by);
            let role = nth.and_then(|n| promotion.approved_as.get(n)?.as_ref());
            let role = role.map_or(String::new(), |role| format!("for the role `{role}` "));
            row("approved", format!("{role}by {approval}"))?;
        }
        for withdrawn in &version.withdrawn {
            row("taken back", format!("by {withdrawn}"))?;
        }
        row(
            "bytes",
            format!("{}, by {} at {}", version.digest, version.author, version.created_at),
        )?;
        for (name, digest) in [
            ("data", version.data_digest),
            ("profile", version.profile_digest),
            ("suite", version.suite_digest),
        ] {
            if let Some(digest) = digest {
                row(name, digest.to_string())?;
            }
        }
        if let Some(run) = &version.lineage.run {
            row("run", run.clone())?;
        }
        if let Some(commit) = &version.lineage.commit {
            row("commit", commit.clone())?;
        }
        if let Some(parent) = version.lineage.parent {
            row("derived from", format!("v{parent}"))?;
        }
        Ok(())
    }
}
