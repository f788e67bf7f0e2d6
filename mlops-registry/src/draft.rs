//! What the audit log says of a change.

use mlops_core::bytes::{put_i64, put_len, put_str, put_u64};
use mlops_core::{
    AliasChange, Approval, ChangeKind, Digest, GateReport, SetPolicy, Timestamp, Version,
    Withdrawn, integers_as_text,
};
use serde_json::{Map, Value, json};

use crate::audit::{APPROVED_BY, Draft, Entry, POLICY_BY, Personal};

pub(crate) fn registered(version: &Version) -> Draft {
    let mut detail = Map::new();
    detail.insert("digest".into(), version.digest.to_string().into());
    detail.insert("record".into(), record(version).to_string().into());
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

/// The actor is empty where nobody said who ran the gate.
pub(crate) fn gated(version: &Version, report: &GateReport) -> Draft {
    let by = report.by.as_deref().unwrap_or_default();
    Draft::new(report.at, by, "gate", of_version(version)).with_detail(json!({
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

pub(crate) fn withdrawn(version: &Version, withdrawn: &Withdrawn) -> Draft {
    let Withdrawn { approval, reason, at } = withdrawn;
    Draft::new(*at, &approval.by, "withdraw", of_version(version))
        .with_personal("reason", reason)
        .with_detail(json!({
            "digest": version.digest.to_string(),
            "approved_at": approval.at.to_string(),
        }))
}

/// The policy as its JSON.
pub(crate) fn policy_set(
    model: &str,
    alias: &str,
    policy: &str,
    actor: &str,
    at: Timestamp,
) -> Draft {
    // What is stored is JSON; anything else would be said as the text that it is.
    let mut policy = serde_json::from_str(policy).unwrap_or_else(|_| Value::from(policy));
    integers_as_text(&mut policy);
    Draft::new(at, actor, "policy", format!("{model}@{alias}"))
        .with_detail(json!({ "policy": policy }))
}

pub(crate) fn moved(change: &AliasChange) -> Draft {
    let action = match change.kind {
        ChangeKind::Promotion => "promote",
        ChangeKind::Rollback => "rollback",
        ChangeKind::Unset => "unset",
    };
    let gates: Map<_, _> = change
        .gates
        .iter()
        .map(|gate| {
            let report = change.evidence.get(gate).map(Digest::to_string);
            (gate.clone(), report.map_or(Value::Null, Value::from))
        })
        .collect();
    let mut detail = json!({
        "revision": change.revision,
        "version": change.version,
        "previous": change.previous,
        "gates": gates,
    });
    if !change.approved_at.is_empty() {
        let times = change.approved_at.iter().map(|at| Value::from(at.to_string()));
        detail["approved_at"] = times.collect();
    }
    if !change.approved_as.is_empty() {
        detail["approved_as"] = change.approved_as.clone().into();
    }
    let alias = format!("{}@{}", change.model, change.alias);
    let mut draft = Draft::new(change.at, &change.actor, action, alias)
        .with_personal("reason", &change.reason)
        .with_personal(APPROVED_BY, change.approvals.join(", "));
    if let Some(SetPolicy { policy, by, at }) = &change.policy {
        let mut policy = serde_json::to_value(policy).unwrap_or_default();
        integers_as_text(&mut policy);
        detail["policy"] = policy;
        detail["policy_at"] = at.to_string().into();
        draft = draft.with_personal(POLICY_BY, by);
    }
    draft.with_detail(detail)
}

/// Whether an entry says what this draft would, word for word where the words were not erased.
pub(crate) fn says(entry: &Entry, draft: &Draft) -> bool {
    let same = |kept: &Personal, value: &str| kept.value().is_none_or(|kept| kept == value);
    let personal = entry.personal();
    agrees(entry, draft)
        && same(entry.actor(), &draft.actor)
        && personal.keys().eq(draft.personal.keys())
        && personal.values().zip(draft.personal.values()).all(|(kept, value)| same(kept, value))
}

/// Whether an entry says what this draft would, but for what is personal.
pub(crate) fn agrees(entry: &Entry, draft: &Draft) -> bool {
    let mut said = entry.detail().clone();
    if let Some(fields) = said.as_object_mut() {
        for ours in ["row", "logged_by"] {
            fields.remove(ours);
        }
    }
    (entry.action(), entry.subject(), entry.at(), &said)
        == (draft.action.as_str(), draft.subject.as_str(), draft.at, &draft.detail)
}

/// The digest of all that a version was registered with but its author: what an erasure of the
/// name leaves as it was.
fn record(version: &Version) -> Digest {
    let mut out = Vec::new();
    put_str(&mut out, "mlops-registry-record-v1");
    put_str(&mut out, &version.model);
    put_u64(&mut out, version.number);
    out.extend_from_slice(version.digest.as_bytes());
    put_i64(&mut out, version.created_at.millis());
    put_len(&mut out, version.metrics.len());
    for (name, value) in &version.metrics {
        put_str(&mut out, name);
        put_u64(&mut out, value.to_bits());
    }
    for map in [&version.params, &version.tags] {
        put_len(&mut out, map.len());
        for (name, value) in map {
            put_str(&mut out, name);
            put_str(&mut out, value);
        }
    }
    let signature = version.signature.as_ref().map(ToString::to_string);
    put_str(&mut out, &signature.unwrap_or_default());
    Digest::of(out)
}

fn of_version(version: &Version) -> String {
    format!("{} v{}", version.model, version.number)
}
