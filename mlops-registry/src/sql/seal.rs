//! The seals of rows: the digest of what a row says, taken when it is written and compared
//! whenever it is read, so that a flipped bit is an error and never another answer.
//!
//! A seal finds accidents and careless edits. It does not stop somebody who owns the file and
//! takes the new digest, too.

use std::collections::BTreeMap;

use mlops_core::bytes::{put_i64, put_len, put_str, put_u8, put_u64};
use mlops_core::{Approval, Digest, Version, Withdrawn};

/// The seal of a version without its gates and approvals, which have their own. The facts are the
/// JSON of what else is known of it.
pub(super) fn version(v: &Version, facts: Option<&str>) -> Digest {
    let mut out = tagged("version");
    put_str(&mut out, &v.model);
    put_u64(&mut out, v.number);
    out.extend_from_slice(v.digest.as_bytes());
    put_str(&mut out, &v.author);
    put_i64(&mut out, v.created_at.millis());
    put_len(&mut out, v.artifacts.len());
    for a in &v.artifacts {
        put_str(&mut out, &a.name);
        put_u64(&mut out, a.size);
        out.extend_from_slice(a.digest.as_bytes());
    }
    put_len(&mut out, v.metrics.len());
    for (name, value) in &v.metrics {
        put_str(&mut out, name);
        put_u64(&mut out, value.to_bits());
    }
    for map in [&v.params, &v.tags] {
        texts(&mut out, map);
    }
    put_u8(&mut out, v.data_digest.is_some().into());
    if let Some(digest) = v.data_digest {
        out.extend_from_slice(digest.as_bytes());
    }
    if let Some(facts) = facts {
        put_str(&mut out, facts);
    }
    Digest::of(out)
}

pub(super) fn request(model: &str, key: &str, digest: Digest, answer: i64) -> Digest {
    let mut out = tagged("request");
    put_str(&mut out, model);
    put_str(&mut out, key);
    out.extend_from_slice(digest.as_bytes());
    put_i64(&mut out, answer);
    Digest::of(out)
}

pub(super) fn gate(model: &str, number: u64, json: &str) -> Digest {
    let mut out = tagged("gate");
    put_str(&mut out, model);
    put_u64(&mut out, number);
    put_str(&mut out, json);
    Digest::of(out)
}

pub(super) fn approval(model: &str, number: u64, a: &Approval) -> Digest {
    let mut out = tagged("approval");
    put_str(&mut out, model);
    put_u64(&mut out, number);
    put_str(&mut out, &a.by);
    put_str(&mut out, &a.comment);
    put_i64(&mut out, a.at.millis());
    Digest::of(out)
}

/// That of an approval that was taken back; the approval is said by its row, which is never
/// changed but for its name and comment, when somebody is erased.
pub(super) fn withdrawal(model: &str, number: u64, approval: i64, w: &Withdrawn) -> Digest {
    let mut out = tagged("withdrawal");
    put_str(&mut out, model);
    put_u64(&mut out, number);
    put_i64(&mut out, approval);
    put_i64(&mut out, w.approval.at.millis());
    put_str(&mut out, &w.reason);
    put_i64(&mut out, w.at.millis());
    Digest::of(out)
}

pub(super) fn policy(model: &str, alias: &str, json: &str, actor: &str, at: i64) -> Digest {
    let mut out = tagged("policy");
    for text in [model, alias, json, actor] {
        put_str(&mut out, text);
    }
    put_i64(&mut out, at);
    Digest::of(out)
}

/// The JSON holds every field of the change.
pub(super) fn change(json: &str) -> Digest {
    let mut out = tagged("alias_change");
    put_str(&mut out, json);
    Digest::of(out)
}

fn tagged(kind: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put_str(&mut out, "mlops-registry-seal-v1");
    put_str(&mut out, kind);
    out
}

fn texts(out: &mut Vec<u8>, map: &BTreeMap<String, String>) {
    put_len(out, map.len());
    for (name, value) in map {
        put_str(out, name);
        put_str(out, value);
    }
}
