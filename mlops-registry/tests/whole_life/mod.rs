//! What every backend must do with a model's whole life: prove it, tell others of it, and forget
//! people of it.
#![allow(dead_code, reason = "every test uses a part of it")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mlops_core::{
    Approval, Error, NewVersion, Promotion, PromotionPolicy, Registry, RegistryExt, Result,
    Rollback, Timestamp, Unset, Withdrawal,
};
use mlops_registry::Erased;
use mlops_registry::audit::{Entry, EvidencePack, Log, Notary, NoteSigner, Verifier, export};
use mlops_registry::outbox::{Outbox, OutboxExt, notice};

use super::children::{AT, pass, promotion, rollback};

/// Somebody who approves.
pub(crate) const BEN: &str = "Benedikt Muster";
/// What he writes.
pub(crate) const COMMENT: &str = "read it on the train to Muenster";

fn notary() -> Notary {
    Notary::new(NoteSigner::from_seed("registry.example.com/loans", [4; 32]).unwrap())
}

/// Two versions of ana's that Ben approves, promoted one after the other, his rollback, a
/// shadow that he unsets, and one of his approvals, taken back.
pub(crate) fn story(registry: &dyn Registry) {
    let policy = PromotionPolicy { required_gates: vec!["quality".into()], ..Default::default() };
    registry.set_policy("loans", "champion", policy, BEN, AT).unwrap();
    for n in 1..=2 {
        let new = NewVersion::new("loans", "ana")
            .with_artifact("model.bin", vec![n as u8; 3000])
            .with_metric("auc", 0.8)
            .with_metric("gap", f64::NAN)
            .with_key(format!("version {n}"));
        let version = registry.register(new, AT).unwrap();
        registry.record_gate("loans", n, pass(&version).run_by(BEN)).unwrap();
        for by in [BEN, "cleo"] {
            let approval = Approval { by: by.into(), comment: COMMENT.into(), at: AT };
            registry.approve("loans", n, approval).unwrap();
        }
        registry.promote(promotion(n, n - 1), AT).unwrap();
    }
    let back = Rollback { actor: BEN.into(), reason: COMMENT.into(), ..rollback(2) };
    registry.rollback(back, AT).unwrap();
    let shadow = Promotion { alias: "shadow".into(), ..promotion(1, 0) };
    registry.promote(shadow, AT).unwrap();
    let away = Unset::new("loans", "shadow").by(BEN).because(COMMENT).seeing(1);
    registry.unset(away, AT).unwrap();
    registry.withdraw("loans", 2, Withdrawal::new(BEN, COMMENT, AT)).unwrap();
}

fn exported(log: &impl Log) -> Vec<u8> {
    let mut lines = Vec::new();
    export(log, &mut lines).unwrap();
    lines
}

/// Packs that prove themselves, and an export that an auditor verifies.
pub(crate) fn evidence<R: Registry + Log>(registry: &R) {
    story(registry);
    let mut notary = notary();
    for n in 1..=2 {
        let mut archive = Vec::new();
        let pack = EvidencePack::collect(registry, registry, "loans", n, &mut notary).unwrap();
        let digest = pack.write(&mut archive).unwrap();
        let read = EvidencePack::read(archive.as_slice(), &notary.verifier()).unwrap();
        assert_eq!(read, pack);
        assert_eq!((read.gates.len(), read.approvals.len() + read.withdrawn.len()), (1, 2));
        assert_eq!(read.withdrawn.len(), [0, 1][n as usize - 1]);
        assert_eq!(read.history.len(), [5, 2][n as usize - 1], "moves to it and away from it");
        let unset = read.history.iter().filter(|change| change.version.is_none()).count();
        assert_eq!(unset, [1, 0][n as usize - 1], "to nowhere, too");
        let again = EvidencePack::collect(registry, registry, "loans", n, &mut notary).unwrap();
        assert_eq!(again.write(Vec::new()).unwrap(), digest, "the same bytes");
        let at = archive.windows(3).position(|w| w == b"cle").unwrap();
        archive[at] = b'd';
        assert!(EvidencePack::read(archive.as_slice(), &notary.verifier()).is_err());
    }
    let checkpoint = notary.sign(registry).unwrap().to_string();
    let lines = exported(registry);
    let verifier = Verifier::new(&notary.verifier(), &checkpoint);
    let seen = verifier.verify(lines.as_slice()).unwrap();
    assert!(seen.is_whole() && seen.signed == registry.len().unwrap(), "{seen}");
    let cut = lines.iter().rposition(|b| *b == b'{').unwrap();
    assert!(!verifier.verify(&lines[..cut]).unwrap().is_whole());
}

/// Every entry reaches a consumer, in order, whoever delivers and whatever fails.
pub(crate) fn outbox<R: Outbox + Registry + 'static>(registry: &Arc<R>) {
    let hour = Duration::from_secs(3600);
    let clock = || AT;
    let numbers = |delivered: &[u64]| (0..delivered.len() as u64).collect::<Vec<_>>() == delivered;
    registry.subscribe("ops", 0).unwrap();
    assert_eq!(registry.drain("ops", hour, &clock, &mut |_| Ok(())).unwrap(), Some(0));
    story(&**registry);
    let len = registry.len().unwrap();

    // The third delivery fails, twice: nothing is left out, nothing overtakes it.
    let (mut delivered, mut failures) = (Vec::new(), 2);
    let mut deliver = |entry: &Entry| -> Result<()> {
        if entry.seq() == 2 && failures > 0 {
            failures -= 1;
            return Err(Error::invalid("hook", "an answer", "none"));
        }
        assert!(!notice(entry).title.is_empty());
        delivered.push(entry.seq());
        Ok(())
    };
    for failed in 1..=2 {
        let error = registry.drain("ops", hour, &clock, &mut deliver).unwrap_err();
        assert!(error.to_string().contains("audit entry 2 to `ops`"), "{error}");
        let consumer = registry.consumers().unwrap().remove(0);
        assert_eq!((consumer.next, consumer.failures), (2, failed));
        assert!(consumer.problem.unwrap().contains("hook"));
    }
    assert_eq!(registry.drain("ops", hour, &clock, &mut deliver).unwrap(), Some(len - 2));
    assert!(numbers(&delivered), "{delivered:?}");
    let consumer = registry.consumers().unwrap().remove(0);
    assert_eq!((consumer.next, consumer.failures, consumer.problem), (len, 0, None));
    assert_eq!((consumer.delivered_at, consumer.held_until), (Some(AT), None));

    // A consumer of what is to come; one that is there stays where it is.
    registry.subscribe("late", len).unwrap();
    registry.subscribe("late", 0).unwrap();
    assert_eq!(registry.drain("late", hour, &clock, &mut |_| Ok(())).unwrap(), Some(0));
    registry.seek("late", len - 1).unwrap();
    assert_eq!(registry.drain("late", hour, &clock, &mut |_| Ok(())).unwrap(), Some(1));
    registry.unsubscribe("late").unwrap();
    for missing in ["late", "../x", ""] {
        let error = registry.drain(missing, hour, &clock, &mut |_| Ok(())).unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
        assert!(registry.seek(missing, 0).is_err());
        registry.unsubscribe(missing).unwrap();
    }
    for bad in ["", "a b", "a\0", &"x".repeat(1000)] {
        assert!(registry.subscribe(bad, 0).is_err(), "{bad:?}");
    }

    // One turn at a time; that of somebody who died is over at its time.
    registry.seek("ops", 0).unwrap();
    let later = |seconds: i64| Timestamp::from_millis(AT.millis() + 1000 * seconds);
    let dead = registry.turn("ops", AT, later(60)).unwrap().unwrap();
    assert_eq!(registry.turn("ops", later(59), later(99)).unwrap(), None);
    assert_eq!(registry.drain("ops", hour, &|| later(59), &mut |_| Ok(())).unwrap(), None);
    assert_eq!(registry.drain("ops", hour, &|| later(60), &mut |_| Ok(())).unwrap(), Some(len));
    let progress =
        mlops_registry::outbox::Progress { next: 1, problem: None, at: later(61), until: None };
    let error = registry.progress(&dead, &progress).unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error}");
    assert_eq!(registry.consumers().unwrap()[0].next, len, "the dead move nothing");

    // Many at once: each entry is delivered once, in order.
    registry.seek("ops", 0).unwrap();
    let (next, turns) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while next.load(Ordering::SeqCst) < len {
                    let drained = registry.drain("ops", hour, &clock, &mut |entry| {
                        assert_eq!(next.fetch_add(1, Ordering::SeqCst), entry.seq());
                        Ok(())
                    });
                    turns.fetch_add(u64::from(drained.unwrap().is_some()), Ordering::SeqCst);
                }
            });
        }
    });
    assert!(turns.into_inner() > 0);
    assert_eq!(registry.consumers().unwrap()[0].next, len);
}

/// A person goes, and everything that was proven stays so.
pub(crate) fn erase<R: Registry + Log>(registry: &R, erase: &dyn Fn(&str, &str) -> Result<Erased>) {
    story(registry);
    let mut notary = notary();
    let before = notary.sign(registry).unwrap().to_string();
    let why = registry.why("loans", "champion", AT).unwrap();
    assert!(why.to_string().contains(BEN));
    let shouted = BEN.to_uppercase();
    for (person, by) in [("", "dpo"), (BEN, ""), (BEN, BEN), (BEN, &*shouted), ("a\nb", "dpo")] {
        assert!(erase(person, by).is_err(), "{person:?} by {by:?}");
    }
    let len = registry.len().unwrap();
    let nobody = erase("Nobody", "dpo").unwrap();
    assert_eq!((nobody.entries, nobody.records, nobody.runs), (0, 0, 0));
    assert_eq!(registry.len().unwrap(), len, "nothing erased, nothing said");

    let erased = erase(BEN, "dpo").unwrap();
    // Two gates, two approvals, the end of one, a policy, and all five moves: his, and what he
    // approved.
    assert_eq!((erased.records, erased.runs), (11, 0), "{erased}");
    // The same, but for the moves: an entry each, too.
    assert_eq!(erased.entries, 11, "{erased}");
    let ben = erased.pseudonym;
    let everything = |registry: &R| {
        let versions: Vec<_> = registry
            .versions("loans")
            .unwrap()
            .into_iter()
            .map(|n| registry.version("loans", n).unwrap())
            .collect();
        let mut history = registry.history("loans", "champion").unwrap();
        history.extend(registry.history("loans", "shadow").unwrap());
        let log = String::from_utf8(exported(registry)).unwrap();
        format!("{versions:?}\n{history:?}\n{log}\n{}", registry.list("loans").unwrap())
    };
    let text = everything(registry);
    assert!(!text.contains(BEN), "{text}");
    assert!(text.contains(COMMENT), "cleo wrote the same");
    let approvals: BTreeMap<_, _> = registry
        .version("loans", 1)
        .unwrap()
        .approvals
        .into_iter()
        .map(|a| (a.by, a.comment))
        .collect();
    assert_eq!(approvals[&ben], "");
    assert_eq!(approvals["cleo"], COMMENT);
    let change = registry.history("loans", "champion").unwrap().pop().unwrap();
    assert_eq!((&change.actor, &*change.reason), (&ben, ""));
    let why = registry.why("loans", "champion", AT).unwrap().to_string();
    assert!(why.contains(&ben) && !why.contains(BEN), "{why}");
    let why = registry.why("loans", "shadow", AT).unwrap().to_string();
    assert!(why.contains(&format!("unset        by {ben} at {AT}\n")), "{why}");

    // What was signed before still holds, and the log says who erased.
    let verifier = Verifier::new(&notary.verifier(), &before);
    let seen = verifier.verify(exported(registry).as_slice()).unwrap();
    assert!(seen.is_whole(), "{seen}");
    assert_eq!((seen.erased, seen.signed), (11, len));
    let last = registry.entries(len..len + 1).unwrap().remove(0);
    assert_eq!((last.action(), last.actor().value()), ("erase", Some("dpo")));
    notary.sign(registry).unwrap();
    for n in 1..=2 {
        EvidencePack::collect(registry, registry, "loans", n, &mut notary).unwrap();
    }
    let [gone] = &registry.version("loans", 2).unwrap().withdrawn[..] else { panic!("not one") };
    assert_eq!((&gone.approval.by, &*gone.approval.comment, &*gone.reason), (&ben, "", ""));

    // Nobody can say any more that it is he who approves again: his first counts no longer.
    let approval = Approval { by: BEN.into(), comment: String::new(), at: AT };
    registry.approve("loans", 1, approval.clone()).unwrap();
    let to_staging = || Promotion { alias: "staging".into(), ..promotion(1, 0) };
    let strict = PromotionPolicy { approvals: 3, ..Default::default() };
    registry.set_policy("loans", "staging", strict, "cleo", AT).unwrap();
    let error = registry.promote(to_staging(), AT).unwrap_err().to_string();
    assert!(error.contains("2 of 3 approvals") && error.contains("were erased"), "{error}");
    let error = registry.approve("loans", 1, Approval { by: ben.clone(), ..approval });
    assert!(matches!(error, Err(Error::Blocked { .. })), "a pseudonym is nobody: {error:?}");
    erase(BEN, "dpo").unwrap();

    // The rules go on, and ana is next.
    registry.promote(Promotion { reason: "again".into(), ..promotion(2, 3) }, AT).unwrap();
    let ana = erase("ana", "dpo").unwrap();
    assert_eq!((ana.records, ana.entries), (6, 6), "two versions, four moves: {ana}");
    assert_eq!(registry.version("loans", 1).unwrap().author, ana.pseudonym);
    for by in ["ana", "zoe"] {
        let approval = Approval { by: by.into(), comment: String::new(), at: AT };
        let error = registry.approve("loans", 1, approval).unwrap_err();
        assert!(matches!(error, Error::Blocked { .. }), "who made it, nobody can say: {error}");
    }
    let again = erase(&ben, "dpo").unwrap();
    assert_eq!(again.records, 11, "a pseudonym is a name like others: {again}");
    let text = everything(registry);
    assert!(!text.contains("\"ana\"") && !text.contains(&ben), "{text}");
    let seen = verifier.verify(exported(registry).as_slice()).unwrap();
    assert!(seen.is_whole(), "{seen}");
    let repeated = NewVersion::new("loans", "ana").with_artifact("model.bin", vec![1; 3000]);
    let repeated = repeated.with_metric("auc", 0.8).with_metric("gap", f64::NAN);
    let version = registry.register(repeated.with_key("version 1"), AT).unwrap();
    assert_eq!(version.number, 1, "a request that is repeated after all is still known");
}
