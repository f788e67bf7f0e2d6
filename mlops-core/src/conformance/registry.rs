//! The contract of a registry, clause by clause.

use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::{DataType, Field, Schema};

use crate::{
    Alias, Approval, Assessment, ChangeKind, Digest, Error, Finding, GateReport, NewVersion,
    Promotion, PromotionPolicy, Registry, RegistryExt, Rollback, Signature, Stage, Timestamp,
    Unset, Verdict, Version, Withdrawal, history_flaws, manifest_digest,
};

const MODEL: &str = "conformance-loans";
const KEYS: &str = "conformance-keys";
const RACE: &str = "conformance-race";
const STAGES: &str = "conformance-stages";
const UNSET: &str = "conformance-unset";
const BACK: &str = "conformance-back";
const ALIAS: &str = "champion";

/// Tests the contract of [`Registry`] on one that has no models whose names start with
/// `conformance-`.
///
/// # Panics
/// Where the contract is broken.
pub fn registry(registry: &dyn Registry) {
    assert_eq!(registry.versions(MODEL).expect("versions"), [0; 0], "no such model: no versions");
    versions(registry);
    hostile_names(registry);
    gates_and_approvals(registry);
    promotion(registry);
    rollback(registry);
    policies(registry);
    keys(registry);
    answers(registry);
    stages(registry);
    unset(registry);
    withdrawals(registry);
    race(registry);
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_millis(1_769_860_800_000 + second * 1000)
}

fn new(model: &str) -> NewVersion {
    NewVersion::new(model, "ana").with_artifact("model.json", "{\"w\": 1}")
}

fn report(version: &Version, gate: &str, verdict: Verdict, at: Timestamp) -> GateReport {
    let finding =
        Finding::new("roc_auc", "hold-out", verdict, "≥ 0.75", "0.8").with_value(0.1 + 0.7);
    GateReport::new(version.digest, Assessment::new(gate, 10, vec![finding]), at)
}

fn approval(by: &str) -> Approval {
    Approval { by: by.into(), comment: "read\0 it: ✓".into(), at: time(3) }
}

fn promote_to(model: &str, version: u64, expected_revision: u64) -> Promotion {
    Promotion {
        model: model.into(),
        alias: ALIAS.into(),
        version,
        actor: "ana".into(),
        reason: "better".into(),
        expected_revision,
        key: None,
    }
}

fn back(model: &str, expected_revision: u64) -> Rollback {
    Rollback {
        model: model.into(),
        alias: ALIAS.into(),
        actor: "ben".into(),
        reason: "complaints".into(),
        expected_revision,
        key: None,
    }
}

/// A version that may be promoted under the default policy.
fn ready(registry: &dyn Registry, model: &str) -> u64 {
    let version = registry.register(new(model), time(0)).expect("register");
    let gate = report(&version, "quality", Verdict::Pass, time(1));
    registry.record_gate(model, version.number, gate).expect("record_gate");
    registry.approve(model, version.number, approval("ben")).expect("approve");
    version.number
}

fn versions(registry: &dyn Registry) {
    let mut first = new(MODEL)
        .with_artifact("deep/er/größe.bin", (0..=255).cycle().take(700_000).collect::<Vec<u8>>())
        .with_artifact("empty", "")
        .with_param("depth", 3)
        .with_param("text", "line\nfeed, \0 and ✓")
        .with_tag("run", "")
        .with_data_digest(Digest::of(b"data"))
        .with_profile_digest(Digest::of(b"profile"))
        .with_suite_digest(Digest::of(b"suite"))
        .with_signature(Signature::new(
            &Schema::new(vec![Field::new("größe", DataType::Float64, true)]),
            &Schema::new(vec![Field::new("score", DataType::Float32, false)]),
        ))
        .with_run("run 7")
        .with_commit("0123abcd");
    let numbers =
        [0.0, -0.0, 0.1 + 0.2, f64::MAX, 5e-324, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    for (n, value) in numbers.into_iter().enumerate() {
        first = first.with_metric(format!("m {n}"), value);
    }
    first = first.with_metric("nan with a payload", f64::from_bits(0x7ff8_0000_dead_beef));
    let made = registry.register(first.clone(), time(0)).expect("register");
    assert_eq!((made.number, &*made.model, &*made.author), (1, MODEL, "ana"), "the first version");
    assert_eq!(made.created_at, time(0), "the time is the caller's");
    assert_eq!(made.digest, manifest_digest(&made.artifacts), "the digest of the manifest");
    let names: Vec<_> = made.artifacts.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["deep/er/größe.bin", "empty", "model.json"], "artifacts sorted by name");

    let read = registry.version(MODEL, 1).expect("version");
    let bits = |v: &Version| v.metrics.values().map(|m| m.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&read), bits(&made), "metrics to the bit, as register gave them");
    assert_eq!(
        bits(&read),
        first.metrics.values().map(|m| m.to_bits()).collect::<Vec<_>>(),
        "metrics to the bit, as they were given"
    );
    let rest = |v: Version| Version { metrics: std::collections::BTreeMap::new(), ..v };
    assert_eq!(rest(read.clone()), rest(made), "what register gave is what is read");
    assert_eq!((&read.params, &read.tags), (&first.params, &first.tags), "parameters and tags");
    assert_eq!(read.data_digest, first.data_digest, "the data's digest");
    assert_eq!(
        (read.profile_digest, read.suite_digest, &read.signature, &read.lineage),
        (first.profile_digest, first.suite_digest, &first.signature, &first.lineage),
        "profile, suite, signature, lineage"
    );
    for (name, bytes) in &first.artifacts {
        let stored = registry.artifact(MODEL, 1, name).expect("artifact");
        assert!(stored == *bytes, "the bytes of `{name}`");
    }
    let missing = |e: Error| matches!(e, Error::NotFound { .. });
    for (number, name) in [(1, "other"), (1, "../model.json"), (1, ""), (2, "model.json")] {
        let error = registry.artifact(MODEL, number, name).expect_err("no such artifact");
        assert!(missing(error), "`{name}` of version {number} is not found");
    }
    for (model, number) in [(MODEL, 0), (MODEL, 2), (MODEL, u64::MAX), ("conformance-no", 1)] {
        let error = registry.version(model, number).expect_err("no such version");
        assert!(missing(error), "{model} v{number} is not found");
    }
    // The same bytes again are another version of the same digest.
    let again = registry.register(new(MODEL), time(1)).expect("register");
    let third = registry.register(new(MODEL), time(-1)).expect("register");
    assert_eq!((again.number, third.number), (2, 3), "numbers count up, whatever the clock says");
    assert_eq!(again.digest, third.digest, "equal files, equal digests");
    assert_ne!(again.digest, read.digest, "other files, another digest");
    assert_eq!(registry.versions(MODEL).expect("versions"), [1, 2, 3], "the numbers");
    assert!(registry.models().expect("models").contains(&MODEL.to_owned()), "the model's name");
}

fn hostile_names(registry: &dyn Registry) {
    let invalid = |new: NewVersion, why: &str| {
        let error = registry.register(new, time(0)).expect_err(why);
        assert!(matches!(error, Error::Invalid { .. }), "{why:.60}: {error}");
        assert!(error.to_string().len() < 1000, "{why:.60}: an error of sane length");
    };
    let huge = "x".repeat(1 << 20);
    let bad_names =
        ["", ".", "..", "../x", "a/b", "a\\b", "a b", "a\0", "größe", "-f", ".x", "a\n", &huge];
    for name in bad_names {
        invalid(new(name), name);
    }
    for name in ["", " ", "a\n", " ana", &huge] {
        invalid(NewVersion { author: name.into(), ..new(MODEL) }, name);
        invalid(new(MODEL).with_metric(name, 1.0), name);
        invalid(new(MODEL).with_param(name, 1), name);
        invalid(new(MODEL).with_tag(name, "x"), name);
    }
    for name in [
        "",
        "/",
        "/etc/passwd",
        "..",
        "../x",
        "a/../b",
        "a//b",
        "a/",
        "./a",
        "a/.",
        "a\\b",
        "C:x",
        "c:/x",
        "\\\\server\\x",
        "a\0b",
        "a\n",
        "con",
        "NUL.txt",
        "a/COM1.bin",
        "x.",
        "x ",
        "a?",
        &huge,
    ] {
        invalid(new(MODEL).with_artifact(name, "x"), name);
    }
    invalid(new(MODEL).with_artifact("MODEL.json", "x"), "names that differ only in case");
    invalid(new(MODEL).with_artifact("model.json/x", "x"), "a file as a directory");
    invalid(NewVersion { artifacts: [].into(), ..new(MODEL) }, "no artifacts");
    assert_eq!(registry.versions(MODEL).expect("versions"), [1, 2, 3], "nothing was registered");
    let error = registry.register(new(MODEL).with_parent(4), time(0)).expect_err("its own parent");
    assert!(matches!(error, Error::NotFound { .. }), "a parent that is not there: {error}");
    for key in ["", " ", "a\n", &huge] {
        invalid(new(MODEL).with_key(key), key);
        let promotion = Promotion { key: Some(key.into()), ..promote_to(MODEL, 1, 0) };
        registry.promote(promotion, time(9)).expect_err("a bad key");
        let rollback = Rollback { key: Some(key.into()), ..back(MODEL, 0) };
        registry.rollback(rollback, time(9)).expect_err("a bad key");
    }
    for name in bad_names {
        if let Ok(versions) = registry.versions(name) {
            assert_eq!(versions, [0; 0], "{name:.60} has no versions");
        }
        if let Ok(alias) = registry.alias(MODEL, name) {
            assert_eq!(alias, None, "{name:.60} is no alias");
        }
        let policy = PromotionPolicy::default();
        registry.set_policy(MODEL, name, policy, "ana", time(0)).expect_err("a bad alias");
        let promotion = Promotion { alias: name.into(), ..promote_to(MODEL, 1, 0) };
        registry.promote(promotion, time(9)).expect_err("a bad alias");
        let rollback = Rollback { alias: name.into(), ..back(MODEL, 0) };
        registry.rollback(rollback, time(9)).expect_err("a bad alias");
    }
}

fn gates_and_approvals(registry: &dyn Registry) {
    let version = registry.version(MODEL, 1).expect("version");
    let other = registry.version(MODEL, 2).expect("version");
    let gate = report(&version, "quality", Verdict::Inconclusive, time(1));
    registry.record_gate(MODEL, 1, gate.clone()).expect("record_gate");
    let error = registry
        .record_gate(MODEL, 1, report(&other, "quality", Verdict::Pass, time(1)))
        .expect_err("a report on other bytes");
    assert!(matches!(error, Error::Invalid { .. }), "a report on other bytes: {error}");
    let mut endless = gate.clone();
    endless.assessment.findings[0].interval = Some((f64::NAN, 1.0));
    let error = registry.record_gate(MODEL, 1, endless).expect_err("a number that JSON has not");
    assert!(matches!(error, Error::Invalid { .. }), "a number that JSON has not: {error}");
    let error = registry.record_gate(MODEL, 99, gate.clone()).expect_err("no such version");
    assert!(matches!(error, Error::NotFound { .. }), "no such version: {error}");

    let error = registry.approve(MODEL, 1, approval("ana")).expect_err("its own author");
    assert!(matches!(error, Error::Blocked { .. }), "its own author: {error}");
    for spelling in ["Ana", "ＡＮＡ", "a\u{200b}na"] {
        let error = registry.approve(MODEL, 1, approval(spelling)).expect_err("its own author");
        assert!(matches!(error, Error::Blocked { .. }), "its own author, {spelling}: {error}");
    }
    let error = registry.approve(MODEL, 99, approval("ben")).expect_err("no such version");
    assert!(matches!(error, Error::NotFound { .. }), "no such version: {error}");
    for bad in ["", "\u{200b}", "ben\u{202e}", " ben", "b\0n", &"b".repeat(1 << 20)] {
        registry.approve(MODEL, 1, approval(bad)).expect_err("nobody");
    }
    registry.approve(MODEL, 1, approval("ben")).expect("approve");
    for spelling in ["ben", "Ben", "BEN"] {
        registry
            .approve(MODEL, 1, Approval { comment: "again".into(), ..approval(spelling) })
            .expect("approving twice is no error");
    }
    let read = registry.version(MODEL, 1).expect("version");
    assert_eq!(read.gates, [gate], "the gates, as they were recorded");
    assert_eq!(read.approvals, [approval("ben")], "of one person's approvals the first");
}

fn promotion(registry: &dyn Registry) {
    let blocked = |promotion: Promotion, at: Timestamp, why: &str| -> Vec<String> {
        match registry.promote(promotion, at) {
            Err(Error::Blocked { reasons, .. }) => reasons,
            other => panic!("{why}: expected a block, found {other:?}"),
        }
    };
    let reasons = blocked(promote_to(MODEL, 2, 0), time(9), "no gate, no approval");
    assert_eq!(reasons.len(), 2, "every obstacle is named: {reasons:?}");
    blocked(promote_to(MODEL, 1, 0), time(9), "an inconclusive gate");
    let version = registry.version(MODEL, 1).expect("version");
    let record = |verdict, second| {
        let gate = report(&version, "quality", verdict, time(second));
        registry.record_gate(MODEL, 1, gate).expect("record_gate");
    };
    record(Verdict::Fail, 2);
    blocked(promote_to(MODEL, 1, 0), time(9), "a failed gate");
    record(Verdict::Pass, 3);
    let fairness = report(&version, "fairness", Verdict::Fail, time(3));
    registry.record_gate(MODEL, 1, fairness).expect("record_gate");
    blocked(promote_to(MODEL, 1, 0), time(9), "one gate of two");
    let fairness = report(&version, "fairness", Verdict::Pass, time(4));
    registry.record_gate(MODEL, 1, fairness).expect("record_gate");
    blocked(promote_to(MODEL, 1, 0), time(2), "gates from the future");
    record(Verdict::Fail, 1);
    blocked(promote_to(MODEL, 1, 0), time(9), "a failure that came last, with an older time");
    record(Verdict::Pass, 3);
    assert_eq!(registry.alias(MODEL, ALIAS).expect("alias"), None, "a block changes nothing");
    assert_eq!(registry.history(MODEL, ALIAS).expect("history"), [], "nor its history");
    let error = registry.promote(promote_to(MODEL, 99, 0), time(9)).expect_err("no such version");
    assert!(matches!(error, Error::NotFound { .. }), "no such version: {error}");
    let error = registry.promote(promote_to(MODEL, 1, 1), time(9)).expect_err("a conflict");
    assert!(
        matches!(error, Error::Conflict { expected: 1, found: 0, .. }),
        "a revision that is not there: {error}"
    );

    let alias = registry.promote(promote_to(MODEL, 1, 0), time(9)).expect("promote");
    assert_eq!((alias.version, alias.revision, alias.since), (Some(1), 1, time(9)), "the alias");
    assert_eq!(registry.alias(MODEL, ALIAS).expect("alias"), Some(alias.clone()), "as it is read");
    assert_eq!(registry.aliases(MODEL).expect("aliases"), [alias], "in the list");
    let history = registry.history(MODEL, ALIAS).expect("history");
    let [change] = history.as_slice() else { panic!("one change, found {history:?}") };
    assert_eq!((change.kind, change.previous), (ChangeKind::Promotion, None), "the first change");
    assert_eq!((&*change.actor, &*change.reason), ("ana", "better"), "who and why");
    assert_eq!(change.gates, ["fairness", "quality"], "the gates that were open");
    assert_eq!(change.approvals, ["ben"], "who had approved");

    let error = registry.promote(promote_to(MODEL, 1, 0), time(9)).expect_err("a conflict");
    assert!(
        matches!(error, Error::Conflict { expected: 0, found: 1, .. }),
        "the loser of a race: {error}"
    );
    blocked(promote_to(MODEL, 1, 1), time(9), "the version that it names already");
    let (version, bytes) = registry.load(MODEL, ALIAS, "model.json").expect("load");
    assert_eq!((version.number, bytes.as_slice()), (1, &b"{\"w\": 1}"[..]), "load");
    let error = registry.load(MODEL, "nobody", "model.json").expect_err("no such alias");
    assert!(matches!(error, Error::NotFound { .. }), "no such alias: {error}");
}

fn rollback(registry: &dyn Registry) {
    let error = registry.rollback(back(MODEL, 1), time(10)).expect_err("nothing before it");
    assert!(matches!(error, Error::NotFound { .. }), "nothing before it: {error}");
    let never = Rollback { alias: "never".into(), ..back(MODEL, 0) };
    let error = registry.rollback(never, time(10)).expect_err("never set");
    assert!(matches!(error, Error::NotFound { .. }), "an alias that was never set: {error}");
    let numbers = [ready(registry, MODEL), ready(registry, MODEL), ready(registry, MODEL)];
    let [second, third, fourth] = numbers;
    registry.promote(promote_to(MODEL, second, 1), time(11)).expect("promote");
    registry.promote(promote_to(MODEL, third, 2), time(12)).expect("promote");
    let error = registry.rollback(back(MODEL, 2), time(13)).expect_err("a conflict");
    assert!(matches!(error, Error::Conflict { expected: 2, found: 3, .. }), "a conflict: {error}");
    let step = |revision: u64, expected: u64| {
        let alias = registry.rollback(back(MODEL, revision), time(13)).expect("rollback");
        assert_eq!((alias.version, alias.revision), (Some(expected), revision + 1), "a rollback");
    };
    step(3, second);
    step(4, 1);
    registry.rollback(back(MODEL, 5), time(14)).expect_err("nothing further back");
    registry.promote(promote_to(MODEL, fourth, 5), time(15)).expect("promote after rollbacks");
    step(6, 1);
    registry.rollback(back(MODEL, 7), time(16)).expect_err("nothing further back");
    let history = registry.history(MODEL, ALIAS).expect("history");
    let versions: Vec<_> = history.iter().filter_map(|c| c.version).collect();
    assert_eq!(versions, [1, second, third, second, 1, fourth, 1], "the history, oldest first");
    assert!(history_flaws(&history).is_empty(), "a history that holds together");
    let last = history.last().expect("a change");
    assert_eq!((last.kind, &*last.actor), (ChangeKind::Rollback, "ben"), "who rolled back");
}

fn policies(registry: &dyn Registry) {
    let get = || registry.policy(MODEL, "strict").expect("policy");
    assert_eq!(get(), PromotionPolicy::default(), "the default");
    let mut strict = PromotionPolicy {
        required_gates: vec!["quality".into(), "drift".into()],
        approvals: 2,
        max_gate_age_millis: Some(5000),
        approver_roles: [].into(),
    };
    let set = |policy: &PromotionPolicy| {
        registry.set_policy(MODEL, "strict", policy.clone(), "cleo", time(0)).expect("set_policy");
        assert_eq!(get(), *policy, "the policy that was set");
    };
    set(&strict);
    assert_eq!(
        registry.policy(MODEL, ALIAS).expect("policy"),
        PromotionPolicy::default(),
        "of that alias only"
    );
    let promote = |second: i64| {
        let promotion = Promotion { alias: "strict".into(), ..promote_to(MODEL, 1, 0) };
        registry.promote(promotion, time(second))
    };
    let reasons = |second: i64| match promote(second) {
        Err(Error::Blocked { reasons, .. }) => reasons.len(),
        other => panic!("expected a block, found {other:?}"),
    };
    assert_eq!(reasons(5), 2, "one gate and one approval are missing");
    assert_eq!(reasons(100), 4, "and both gates are too old");
    registry.approve(MODEL, 1, approval("cleo")).expect("approve");
    assert_eq!(reasons(5), 1, "the gate is missing");
    strict.required_gates.pop();
    set(&strict);
    promote(5).expect("promote");
    // Nobody has told this registry of a role that nobody has.
    strict = strict.with_role("conformance nobody", 1);
    for bad in [strict.clone().with_role("", 1), strict.clone().with_role("risk", 0)] {
        let error = registry.set_policy(MODEL, "roles", bad, "cleo", time(0));
        let error = error.expect_err("no such role");
        assert!(matches!(error, Error::Invalid { .. }), "no such role: {error}");
    }
    registry.set_policy(MODEL, "roles", strict, "cleo", time(0)).expect("set_policy");
    let promotion = Promotion { alias: "roles".into(), ..promote_to(MODEL, 1, 0) };
    let error = registry.promote(promotion, time(5)).expect_err("nobody has the role");
    assert!(matches!(error, Error::Blocked { .. }), "nobody has the role: {error}");
    let aliases = registry.aliases(MODEL).expect("aliases");
    let names: Vec<_> = aliases.iter().map(|a| a.alias.as_str()).collect();
    assert_eq!(names, [ALIAS, "strict"], "aliases sorted by name");
}

/// Requests under a key are done once.
fn keys(registry: &dyn Registry) {
    let used = |error: Error, why: &str| {
        assert!(matches!(error, Error::KeyUsed { .. }), "{why}: {error}");
    };
    let first = new(KEYS).with_key("a");
    let made = registry.register(first.clone(), time(0)).expect("register");
    let gate = report(&made, "quality", Verdict::Pass, time(1));
    registry.record_gate(KEYS, 1, gate).expect("record_gate");
    registry.approve(KEYS, 1, approval("ben")).expect("approve");
    let again = registry.register(first.clone(), time(5)).expect("the same again");
    assert_eq!(again, made, "the same answer, whatever gathered on it since");
    assert_eq!(registry.versions(KEYS).expect("versions"), [1], "done once");
    let error = registry.register(first.with_param("depth", 3), time(0)).expect_err("another");
    used(error, "another version under the same key");
    let second = new(KEYS).with_key("b").with_parent(1).with_artifact("more", "x");
    let second = registry.register(second, time(0)).expect("register");
    assert_eq!((second.number, second.lineage.parent), (2, Some(1)), "a version and its parent");

    let keyed =
        |key: &str, revision| Promotion { key: Some(key.into()), ..promote_to(KEYS, 1, revision) };
    let error = registry.promote(keyed("a", 0), time(9)).expect_err("the key of another request");
    used(error, "a promotion under the key of a version");
    let refused = Promotion { version: 2, ..keyed("c", 0) };
    registry.promote(refused, time(9)).expect_err("no gates");
    let moved = registry.promote(keyed("c", 0), time(9)).expect("a key that was not used up");
    assert_eq!((moved.version, moved.revision), (Some(1), 1), "a promotion");
    for (revision, second) in [(0, 9), (0, 20), (1, 21)] {
        let again = registry.promote(keyed("c", revision), time(second)).expect("the same again");
        assert_eq!(again, moved, "the same answer");
    }
    let other = Promotion { reason: "other".into(), ..keyed("c", 1) };
    let error = registry.promote(other, time(9)).expect_err("another promotion");
    used(error, "another promotion under the same key");
    let other = Promotion { model: MODEL.into(), ..keyed("c", 99) };
    let error = registry.promote(other, time(9)).expect_err("another revision");
    assert!(matches!(error, Error::Conflict { expected: 99, .. }), "keys are the model's: {error}");

    let number = ready(registry, KEYS);
    registry.promote(promote_to(KEYS, number, 1), time(10)).expect("promote");
    let keyed = || Rollback { key: Some("d".into()), ..back(KEYS, 2) };
    let moved = registry.rollback(keyed(), time(11)).expect("rollback");
    assert_eq!((moved.version, moved.revision), (Some(1), 3), "a rollback");
    assert_eq!(registry.rollback(keyed(), time(12)).expect("the same again"), moved, "again");
    assert_eq!(registry.history(KEYS, ALIAS).expect("history").len(), 3, "done once");
}

/// Where an alias pointed at a time, and why.
fn answers(registry: &dyn Registry) {
    let as_of = |second| {
        let alias = registry.as_of(KEYS, ALIAS, time(second)).expect("as_of");
        alias.and_then(|alias| Some((alias.version?, alias.revision)))
    };
    assert_eq!(as_of(8), None, "before the first promotion");
    let error = registry.why(KEYS, ALIAS, time(8)).expect_err("before the first promotion");
    assert!(matches!(error, Error::NotFound { .. }), "before the first promotion: {error}");
    let found: Vec<_> = [9, 10, 11, 99].into_iter().map(as_of).collect();
    assert_eq!(found, [Some((1, 1)), Some((3, 2)), Some((1, 3)), Some((1, 3))], "since then");

    // What gathers on a version later was no reason for what happened before.
    let version = registry.version(KEYS, 1).expect("version");
    let later = report(&version, "quality", Verdict::Fail, time(30));
    registry.record_gate(KEYS, 1, later).expect("record_gate");
    registry.approve(KEYS, 1, approval("zoe")).expect("approve");
    let why = registry.why(KEYS, ALIAS, time(40)).expect("why");
    assert_eq!((why.alias.revision, why.change.kind), (3, ChangeKind::Rollback), "the last move");
    assert_eq!((why.promotion.revision, &*why.promotion.reason), (1, "better"), "its promotion");
    assert_eq!(why.version.approvals, [approval("ben")], "who had approved then");
    let [gate] = why.gates.as_slice() else { panic!("one gate, found {:?}", why.gates) };
    assert_eq!((&*gate.gate, gate.verdict, gate.at), ("quality", Verdict::Pass, time(1)), "gate");
    assert_eq!(gate.report, version.gates[0].digest(), "the digest of the gate's report");
    let text = why.to_string();
    for part in ["rolled back", "complaints", "better", "quality: pass", "by ben"] {
        assert!(text.contains(part), "{part} in the answer: {text}");
    }
}

/// Aliases as stages, and the three that a service asks for.
fn stages(registry: &dyn Registry) {
    for error in [
        registry.stages(STAGES).expect_err("no such model"),
        registry.lineup(STAGES).expect_err("no such model"),
        registry.revision(STAGES, Alias::CHAMPION).expect_err("no such model"),
    ] {
        assert!(matches!(error, Error::NotFound { .. }), "no such model: {error}");
    }
    let numbers: Vec<_> = (0..4).map(|_| ready(registry, STAGES)).collect();
    let promote = |alias: &str, version, revision, second| {
        let promotion = Promotion { alias: alias.into(), ..promote_to(STAGES, version, revision) };
        registry.promote(promotion, time(second)).expect("promote")
    };
    promote(Alias::CHAMPION, numbers[0], 0, 10);
    promote(Alias::STAGING, numbers[1], 0, 11);
    promote(Alias::CHALLENGER, numbers[1], 0, 11);
    promote(Alias::SHADOW, numbers[2], 0, 12);
    let versions = |lineup: crate::Lineup| {
        [lineup.champion, lineup.challenger, lineup.shadow].map(|a| a.and_then(|a| a.version))
    };
    let now = || versions(registry.lineup(STAGES).expect("lineup"));
    assert_eq!(now(), [Some(1), Some(2), Some(3)], "one each");
    promote(Alias::CHAMPION, numbers[1], 1, 13);
    assert_eq!(now(), [Some(2), None, Some(3)], "a challenger that won is none");
    let then = versions(registry.lineup_as_of(STAGES, time(11)).expect("lineup"));
    assert_eq!(then, [Some(1), Some(2), None], "as it was");
    let named = |names: &[&str]| Stage::Named(names.iter().map(|n| (*n).to_owned()).collect());
    let expected = [
        Stage::Archived,
        named(&["challenger", "champion", "staging"]),
        named(&["shadow"]),
        Stage::Registered,
    ];
    let stages: Vec<_> = registry.stages(STAGES).expect("stages").into_values().collect();
    assert_eq!(stages, expected, "where each stands");

    // Who ran a gate is kept, and is no part of its digest.
    let version = registry.version(STAGES, numbers[3]).expect("version");
    let nobody = report(&version, "quality", Verdict::Pass, time(20));
    let somebody = nobody.clone().run_by("nightly job");
    registry.record_gate(STAGES, numbers[3], somebody.clone()).expect("record_gate");
    let read = registry.version(STAGES, numbers[3]).expect("version");
    assert_eq!(read.gates.last(), Some(&somebody), "who ran it");
    assert_eq!(somebody.digest(), nobody.digest(), "one digest");
    registry
        .record_gate(STAGES, numbers[3], nobody.run_by("two\nlines"))
        .expect_err("a name of two lines");
}

/// An alias that names no version since a time: a move as any other, after which the policy holds
/// as before and what was taken away is not rolled back to.
fn unset(registry: &dyn Registry) {
    let away = |revision| Unset::new(UNSET, ALIAS).by("cleo").because("a leak").seeing(revision);
    let promote = |version, revision, second| {
        registry.promote(promote_to(UNSET, version, revision), time(second))
    };
    let missing = |error: Error, why: &str| {
        assert!(matches!(error, Error::NotFound { .. }), "{why}: {error}");
    };
    missing(registry.unset(away(0), time(9)).expect_err("no model"), "no such model");
    let [first, second] = [ready(registry, UNSET), ready(registry, UNSET)];
    missing(registry.unset(away(0), time(9)).expect_err("never set"), "an alias never set");
    promote(first, 0, 10).expect("promote");
    promote(second, 1, 11).expect("promote");
    for bad in [
        Unset { alias: "a/b".into(), ..away(2) },
        away(2).by(""),
        away(2).by("two\nlines"),
        away(2).because("x".repeat((1 << 20) + 1)),
        away(2).with_key(""),
    ] {
        let error = registry.unset(bad, time(12)).expect_err("a bad request");
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
    }
    for revision in [0, 1, 3, u64::MAX] {
        let error = registry.unset(away(revision), time(12)).expect_err("a conflict");
        assert!(matches!(error, Error::Conflict { found: 2, .. }), "a conflict: {error}");
    }
    let named = registry.alias(UNSET, ALIAS).expect("alias").and_then(|alias| alias.version);
    assert_eq!(named, Some(second), "what is refused leaves no trace");

    let gone = registry.unset(away(2).with_key("u"), time(12)).expect("unset");
    assert_eq!((gone.version, gone.revision, gone.since), (None, 3, time(12)), "since then");
    let other = away(3).because("other").with_key("u");
    let error = registry.unset(other, time(13)).expect_err("another under its key");
    assert!(matches!(error, Error::KeyUsed { .. }), "another under its key: {error}");
    let again = registry.unset(away(3).with_key("u"), time(13)).expect("the same again");
    assert_eq!(again, gone, "the same under its key gives the same answer");
    let error = registry.unset(away(3), time(13)).expect_err("nothing to take away");
    assert!(matches!(error, Error::Blocked { .. }), "it names none already: {error}");
    assert_eq!(registry.alias(UNSET, ALIAS).expect("alias"), Some(gone.clone()), "as it is read");
    let aliases = registry.aliases(UNSET).expect("aliases");
    assert_eq!(aliases.first(), Some(&gone), "in the list");
    assert_eq!(registry.revision(UNSET, ALIAS).expect("revision"), 3, "the revision goes on");
    missing(registry.load(UNSET, ALIAS, "model.json").expect_err("none"), "nothing to load");
    let lineup = registry.lineup(UNSET).expect("lineup");
    assert_eq!(
        (lineup.champion, lineup.challenger, lineup.shadow),
        (None, None, None),
        "no champion"
    );
    let stages: Vec<_> = registry.stages(UNSET).expect("stages").into_values().collect();
    assert_eq!(stages, [Stage::Archived, Stage::Archived], "named once, and by none now");

    let history = registry.history(UNSET, ALIAS).expect("history");
    let change = history.last().expect("a change");
    assert_eq!((history.len(), change.kind), (3, ChangeKind::Unset), "one move");
    assert_eq!((change.previous, change.version), (Some(second), None), "from where, to none");
    assert_eq!((&*change.actor, &*change.reason, change.at), ("cleo", "a leak", time(12)), "who");
    assert!(change.gates.is_empty() && change.approvals.is_empty() && change.policy.is_none());
    let as_of = |second| registry.as_of(UNSET, ALIAS, time(second)).expect("as_of");
    assert_eq!(as_of(11).and_then(|alias| alias.version), Some(second), "before it");
    assert_eq!(as_of(99), Some(gone), "since then");
    let then = registry.lineup_as_of(UNSET, time(99)).expect("lineup");
    assert_eq!(then.champion, None, "no champion since then");
    let why = registry.why(UNSET, ALIAS, time(12)).expect("why");
    assert_eq!((why.alias.version, why.change.kind), (None, ChangeKind::Unset), "why: the move");
    assert_eq!((why.version.number, why.promotion.revision), (second, 2), "what it took away");
    let text = why.to_string();
    for part in ["was none", "unset", "by cleo", "a leak", "better", "quality: pass", "by ben"] {
        assert!(text.contains(part), "{part} in the answer: {text}");
    }

    // What was seen before it is old, and a rollback leads past what was taken away.
    for revision in [0, 2] {
        let error = promote(first, revision, 14).expect_err("a conflict");
        assert!(matches!(error, Error::Conflict { found: 3, .. }), "a conflict: {error}");
    }
    let alias = registry.rollback(back(UNSET, 3), time(15)).expect("rollback");
    assert_eq!((alias.version, alias.revision), (Some(first), 4), "not what was taken away");
    let why = registry.why(UNSET, ALIAS, time(15)).expect("why");
    assert_eq!((why.version.number, why.promotion.revision), (first, 1), "its own promotion");

    // The policy holds after it as before: for a version that was in service until then, too.
    promote(second, 4, 16).expect("promote");
    registry.unset(away(5), time(17)).expect("unset");
    let policy = PromotionPolicy { max_gate_age_millis: Some(5000), ..PromotionPolicy::default() };
    registry.set_policy(UNSET, ALIAS, policy, "cleo", time(17)).expect("set_policy");
    let error = promote(second, 6, 100).expect_err("an old gate");
    assert!(matches!(error, Error::Blocked { .. }), "an old gate: {error}");
    let version = registry.version(UNSET, second).expect("version");
    let fresh = report(&version, "quality", Verdict::Pass, time(99));
    registry.record_gate(UNSET, second, fresh).expect("record_gate");
    promote(second, 6, 100).expect("promote");
    let alias = registry.rollback(back(UNSET, 7), time(101)).expect("rollback");
    assert_eq!(alias.version, Some(first), "as if it had never been away");
    registry.unset(away(8), time(102)).expect("unset");
    missing(registry.rollback(back(UNSET, 9), time(103)).expect_err("none"), "nothing before it");
    let history = registry.history(UNSET, ALIAS).expect("history");
    assert!(history_flaws(&history).is_empty(), "a history that holds together");

    // Promoted to where a rollback would have led: it stands there once, and the next rollback does
    // not lead from it to itself.
    let staging = |version, revision| {
        let promotion =
            Promotion { alias: "staging".into(), ..promote_to(UNSET, version, revision) };
        registry.promote(promotion, time(103)).expect("promote")
    };
    staging(first, 0);
    staging(second, 1);
    let unset = Unset { alias: "staging".into(), ..away(2) };
    registry.unset(unset, time(103)).expect("unset");
    staging(first, 3);
    let back_again = Rollback { alias: "staging".into(), ..back(UNSET, 4) };
    missing(registry.rollback(back_again, time(103)).expect_err("itself"), "nothing else before");
    let why = registry.why(UNSET, "staging", time(103)).expect("why");
    assert_eq!(why.promotion.revision, 4, "the later of its promotions");
    let history = registry.history(UNSET, "staging").expect("history");
    assert!(history_flaws(&history).is_empty(), "a history that holds together");

    // Of many on one revision, one.
    let version = registry.version(UNSET, first).expect("version");
    let fresh = report(&version, "quality", Verdict::Pass, time(104));
    registry.record_gate(UNSET, first, fresh).expect("record_gate");
    promote(first, 9, 104).expect("promote");
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| match registry.unset(away(10), time(105)) {
                Ok(alias) => {
                    assert_eq!(alias.revision, 11, "the next revision");
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Err(e) => assert!(matches!(e, Error::Conflict { found: 11, .. }), "a race: {e}"),
            });
        }
    });
    assert_eq!(done.into_inner(), 1, "one of many");
}

/// Approvals that are taken back count from then on no more, and stay where they counted.
fn withdrawals(registry: &dyn Registry) {
    let number = ready(registry, BACK);
    let withdraw = |by: &str, reason: &str, second| {
        registry.withdraw(BACK, number, Withdrawal::new(by, reason, time(second)))
    };
    let version = || registry.version(BACK, number).expect("version");
    let promote = |alias: &str, revision, second| {
        let promotion = Promotion { alias: alias.into(), ..promote_to(BACK, number, revision) };
        registry.promote(promotion, time(second))
    };
    let missing = |result: crate::Result<()>, why: &str| {
        let error = result.expect_err(why);
        assert!(matches!(error, Error::NotFound { .. }), "{why}: {error}");
    };
    for by in ["zoe", "ana", "be"] {
        missing(withdraw(by, "a leak", 4), "who has not approved");
    }
    let other = Withdrawal::new("ben", "a leak", time(4));
    missing(registry.withdraw(BACK, 99, other.clone()), "no such version");
    missing(registry.withdraw("conformance-no", 1, other), "no such model");
    for (by, reason) in [("ben", ""), ("ben", " \n"), ("", "a leak"), ("b\nn", "a leak")] {
        let error = withdraw(by, reason, 4).expect_err("a bad request");
        assert!(matches!(error, Error::Invalid { .. }), "a bad request: {error}");
    }
    let error = withdraw("ben", &"x".repeat((1 << 20) + 1), 4).expect_err("too long");
    assert!(matches!(error, Error::Invalid { .. }) && error.to_string().len() < 1000, "{error}");
    assert_eq!((version().approvals.len(), version().withdrawn.len()), (1, 0), "no trace");

    // Promoted, taken back, by another spelling: what was promoted stays, the next is refused.
    promote("staging", 0, 5).expect("promote");
    withdraw("BEN", "read it again: ✓\0", 6).expect("withdraw");
    withdraw("ben", "once more", 7).expect("again changes nothing");
    let after = version();
    assert!(after.approvals.is_empty() && after.approvers().is_empty(), "none stands");
    let [gone] = after.withdrawn.as_slice() else { panic!("one, found {:?}", after.withdrawn) };
    assert_eq!(gone.approval, approval("ben"), "the approval as it was given");
    assert_eq!((&*gone.reason, gone.at), ("read it again: ✓\0", time(6)), "why and when");
    match promote(ALIAS, 0, 8) {
        Err(Error::Blocked { reasons, .. }) => {
            assert_eq!(reasons.len(), 1, "the approval is missing: {reasons:?}");
            assert!(reasons[0].contains("taken back: ben"), "{reasons:?}");
        }
        other => panic!("an approval that was taken back counted: {other:?}"),
    }
    let staging = registry.alias(BACK, "staging").expect("alias");
    assert_eq!(staging.and_then(|a| a.version), Some(number), "what was promoted with it stays");
    let why = registry.why(BACK, "staging", time(9)).expect("why");
    assert_eq!(why.version.approvals, [approval("ben")], "on what it was promoted");
    assert_eq!(why.version.withdrawn, after.withdrawn, "and that it was taken back since");
    let text = why.to_string();
    assert!(text.contains("approved") && text.contains("taken back   by ben"), "{text}");

    // The same person may approve again; which of the two a promotion had is kept.
    let again = Approval { comment: "mended".into(), at: time(10), ..approval("ben") };
    registry.approve(BACK, number, again.clone()).expect("approve");
    registry.approve(BACK, number, approval("Ben")).expect("approve");
    let now = version();
    assert_eq!((&now.approvals, now.withdrawn.len()), (&vec![again.clone()], 1), "again, once");
    promote(ALIAS, 0, 11).expect("promote");
    let why = registry.why(BACK, ALIAS, time(11)).expect("why");
    assert_eq!(
        (why.version.approvals, why.version.withdrawn.len()),
        (vec![again], 0),
        "the second"
    );
    let why = registry.why(BACK, "staging", time(11)).expect("why");
    assert_eq!((why.version.approvals, why.version.withdrawn.len()), (vec![approval("ben")], 1));
    withdraw("ben", "for good", 12).expect("withdraw");
    assert_eq!(version().withdrawn.len(), 2, "both were taken back");
    // A request that is repeated late brings neither back.
    for late in [approval("ben"), approval("BEN"), Approval { at: time(10), ..approval("ben") }] {
        let error = registry.approve(BACK, number, late).expect_err("taken back");
        assert!(matches!(error, Error::Blocked { .. }), "what was taken back: {error}");
    }
    assert!(version().approvals.is_empty(), "no trace");
    // Another's stays.
    registry.approve(BACK, number, approval("zoe")).expect("approve");
    registry.approve(BACK, number, approval("yan")).expect("approve");
    withdraw("zoe", "a leak", 13).expect("withdraw");
    assert_eq!(version().approvers(), ["yan"], "one stands");
    promote("shadow", 0, 14).expect("promote");
    let history = registry.history(BACK, "shadow").expect("history");
    assert_eq!(history[0].approvals, ["yan"], "on whose approval");
}

/// Threads that move one alias, each on the revision that it has seen.
fn race(registry: &dyn Registry) {
    const THREADS: u64 = 8;
    const EACH: u64 = 6;
    let moved = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..EACH {
                    let number = ready(registry, RACE);
                    loop {
                        let seen = registry.revision(RACE, ALIAS).expect("alias");
                        match registry.promote(promote_to(RACE, number, seen), time(9)) {
                            Ok(alias) => {
                                assert_eq!(alias.revision, seen + 1, "the next revision");
                                moved.fetch_add(1, Ordering::Relaxed);
                                break;
                            }
                            Err(Error::Conflict { found, .. }) => {
                                assert_ne!(found, seen, "a conflict with a revision that changed");
                            }
                            Err(e) => panic!("a race may only conflict: {e}"),
                        }
                    }
                }
            });
        }
    });
    let total = THREADS * EACH;
    assert_eq!(moved.load(Ordering::Relaxed), total, "every promotion got through");
    let numbers: Vec<_> = (1..=total).collect();
    assert_eq!(registry.versions(RACE).expect("versions"), numbers, "numbers without gaps");
    let history = registry.history(RACE, ALIAS).expect("history");
    assert_eq!(history.len() as u64, total, "one change a promotion");
    let flaws = history_flaws(&history);
    assert!(flaws.is_empty(), "the history is a total order without gaps: {flaws:?}");
    let mut named: Vec<_> = history.iter().filter_map(|c| c.version).collect();
    named.sort_unstable();
    assert_eq!(named, numbers, "every version once");
}
