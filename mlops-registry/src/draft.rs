//! What the audit log says of a change.

use mlops_core::{AliasChange, Approval, ChangeKind, Digest, GateReport, Timestamp, Version};
use serde_json::{Map, Value, json};

use crate::audit::Draft;

pub(crate) fn registered(version: &Version) -> Draft {
    let mut detail = Map::new();
    detail.insert("digest".into(), version.digest.to_string().into());
    let digests = [
        ("data", version.data_digest),
        ("profile", version.profile_digest),
        ("suite", version.suite_digest),
    ];
    for (name, digest) in digests {
        if let Some(digest) = digest {
            detail.insert(name.into(), digest.to_string().into());
        }
    }
    let lineage = &version.lineage;
    for (name, text) in [("run", &lineage.run), ("commit", &lineage.commit)] {
        if let Some(text) = text {
            detail.insert(name.into(), text.as_str().into());
        }
    }
    if let Some(parent) = lineage.parent {
        detail.insert("parent".into(), parent.into());
    }
    Draft::new(version.created_at, &version.author, "register", of_version(version))
        .with_detail(detail.into())
}

/// Gates are run by programs: nobody is named.
pub(crate) fn gated(version: &Version, report: &GateReport) -> Draft {
    Draft::new(report.at, "", "gate", of_version(version)).with_detail(json!({
        "digest": version.digest.to_string(),
        "gate": report.gate,
        "verdict": report.assessment.verdict.to_string(),
        "report": report.digest().to_string(),
    }))
}

pub(crate) fn approved(version: &Version, approval: &Approval) -> Draft {
    Draft::new(approval.at, &approval.by, "approve", of_version(version))
        .with_personal("comment", &approval.comment)
        .with_detail(json!({ "digest": version.digest.to_string() }))
}

/// The policy as its JSON.
pub(crate) fn policy_set(
    model: &str,
    alias: &str,
    policy: &str,
    actor: &str,
    at: Timestamp,
) -> Draft {
    Draft::new(at, actor, "policy", format!("{model}@{alias}"))
        .with_detail(json!({ "policy": policy }))
}

pub(crate) fn moved(change: &AliasChange) -> Draft {
    let action = match change.kind {
        ChangeKind::Promotion => "promote",
        ChangeKind::Rollback => "rollback",
    };
    let gates: Map<_, _> = change
        .gates
        .iter()
        .map(|gate| {
            let report = change.evidence.get(gate).map(Digest::to_string);
            (gate.clone(), report.map_or(Value::Null, Value::from))
        })
        .collect();
    Draft::new(change.at, &change.actor, action, format!("{}@{}", change.model, change.alias))
        .with_personal("reason", &change.reason)
        .with_personal("approved_by", change.approvals.join(", "))
        .with_detail(json!({
            "revision": change.revision,
            "version": change.version,
            "previous": change.previous,
            "gates": gates,
        }))
}

fn of_version(version: &Version) -> String {
    format!("{} v{}", version.model, version.number)
}
