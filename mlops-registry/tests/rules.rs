//! What registries of this crate say beyond the contract: who has a key, who may set a policy, which
//! policy a promotion met, and which names are there.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

use mlops_core::{
    Approval, Assessment, Error, Finding, GateReport, NewVersion, Promotion, PromotionPolicy,
    Registry, RegistryExt, Roles, Rollback, Timestamp, Unset, Verdict, Withdrawal,
};
use mlops_registry::MemoryRegistry;
use mlops_registry::audit::Log;

const AT: Timestamp = Timestamp::from_millis(1_769_860_800_000);

/// The same on every backend.
fn everywhere(roles: &Roles, test: impl Fn(&dyn Registry, &dyn Log)) {
    let memory = MemoryRegistry::new().with_roles(roles.clone());
    test(&memory, &memory);
    #[cfg(feature = "sqlite")]
    {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry.db");
        let sqlite = mlops_registry::SqliteRegistry::open(path).unwrap().with_roles(roles.clone());
        test(&sqlite, &sqlite);
        assert!(sqlite.verify().unwrap().is_whole());
        sqlite.erase("cleo", "dpo", AT).unwrap();
        let found = sqlite.verify().unwrap();
        assert!(found.is_whole(), "{found}");
    }
}

/// A version that may be promoted.
fn ready(registry: &dyn Registry) -> u64 {
    let new = NewVersion::new("loans", "ana").with_artifact("m", "x");
    let version = registry.register(new, AT).unwrap();
    let finding = Finding::new("auc", "hold-out", Verdict::Pass, "≥ 0.7", "0.8");
    let report = GateReport::new(version.digest, Assessment::new("quality", 9, vec![finding]), AT);
    registry.record_gate("loans", version.number, report).unwrap();
    let approval = Approval { by: "ben".into(), comment: String::new(), at: AT };
    registry.approve("loans", version.number, approval).unwrap();
    version.number
}

fn to_champion(version: u64) -> Promotion {
    Promotion::new("loans", "champion", version).by("ana").because("better")
}

/// A loop that tries again after a conflict ends, and is told why.
#[test]
fn a_key_says_what_has_it() {
    everywhere(&Roles::default(), |registry, _| {
        let new = NewVersion::new("loans", "ana").with_artifact("m", "x").with_param("seed", 7);
        registry.register(new.clone().with_key("r"), AT).unwrap();
        for _ in 0..2 {
            ready(registry);
        }
        registry.promote(to_champion(2).with_key("p"), AT).unwrap();
        registry.promote(to_champion(3).seeing(1), AT).unwrap();
        let back = Rollback::new("loans", "champion").by("ben").because("complaints");
        registry.rollback(back.clone().seeing(2).with_key("b"), AT).unwrap();
        let away = Unset::new("loans", "champion").by("cleo").because("a leak");
        registry.unset(away.clone().seeing(3).with_key("u"), AT).unwrap();
        for (key, said) in [
            ("u", "the unset of `champion` by cleo, reason: a leak"),
            ("r", "the registration of v1 by ana"),
            ("p", "the promotion to v2 at `champion` by ana, reason: better"),
            ("b", "the rollback to v2 at `champion` by ben, reason: complaints"),
        ] {
            let other = new.clone().with_param("seed", 8).with_key(key);
            for error in [
                registry.register(other, AT).unwrap_err(),
                registry.promote(to_champion(9).with_key(key).because("x"), AT).unwrap_err(),
                registry.rollback(back.clone().because("x").with_key(key), AT).unwrap_err(),
                registry.unset(away.clone().because("x").with_key(key), AT).unwrap_err(),
            ] {
                assert!(matches!(error, Error::KeyUsed { .. }), "{key}: {error}");
                assert!(error.to_string().contains(said), "{key}: {error}");
            }
        }
    });
}

#[test]
fn a_policy_wants_its_role_and_is_told_by_why() {
    let has = [("ben", "risk"), ("cleo", Roles::POLICY)];
    let roles = Roles::new(move |person, role| has.contains(&(person, role)));
    everywhere(&roles, |registry, log| {
        let strict = PromotionPolicy::default().with_role("risk", 1);
        let set = |policy: &PromotionPolicy, by| {
            registry.set_policy("loans", "champion", policy.clone(), by, AT)
        };
        set(&strict, "cleo").unwrap();
        ready(registry);
        let lax = PromotionPolicy { approvals: 0, ..Default::default() };
        for by in ["ana", "ben"] {
            let error = set(&lax, by).unwrap_err();
            assert!(matches!(error, Error::Blocked { .. }), "{by}: {error}");
        }
        assert_eq!(registry.policy("loans", "champion").unwrap(), strict);
        registry.promote(to_champion(1), AT).unwrap();
        // What is set later changes nothing of what was.
        set(&lax, "cleo").unwrap();
        let why = registry.why("loans", "champion", AT).unwrap().to_string();
        assert!(why.contains("in the role `risk`; set by cleo at 2026-01-31"), "{why}");
        let change = &registry.history("loans", "champion").unwrap()[0];
        assert_eq!(change.policy.as_ref().map(|set| &set.policy), Some(&strict));
        let entries = log.entries(0..99).unwrap();
        let moved = entries.iter().find(|entry| entry.action() == "promote").unwrap();
        assert_eq!(moved.detail()["policy"]["approver_roles"], serde_json::json!({ "risk": 1 }));
        assert_eq!(moved.detail()["approved_as"], serde_json::json!(["risk"]));
        assert_eq!(moved.personal()["policy_by"].value(), Some("cleo"));
        // Where nobody had set one, it says so.
        let other = Promotion { alias: "staging".into(), ..to_champion(1) };
        registry.promote(other, AT).unwrap();
        let why = registry.why("loans", "staging", AT).unwrap().to_string();
        assert!(why.contains("the default: nobody had set one"), "{why}");
    });
}

#[test]
fn two_roles_want_two_people() {
    let has = [("ben", "risk"), ("ben", "engineering"), ("eve", "engineering")];
    let roles = Roles::new(move |person, role| {
        has.contains(&(person, role)) || (person, role) == ("cleo", Roles::POLICY)
    });
    everywhere(&roles, |registry, log| {
        let both = PromotionPolicy::default().with_role("risk", 1).with_role("engineering", 1);
        registry.set_policy("loans", "champion", both, "cleo", AT).unwrap();
        // Ben has approved, and has both roles.
        ready(registry);
        let blocked = || match registry.promote(to_champion(1), AT) {
            Err(Error::Blocked { reasons, .. }) => reasons,
            other => panic!("expected a block, found {other:?}"),
        };
        assert!(blocked()[0].contains("who has several stands for one"), "{:?}", blocked());
        let approve = |by: &str| {
            let approval = Approval { by: by.into(), comment: String::new(), at: AT };
            registry.approve("loans", 1, approval).unwrap();
        };
        approve("BEN");
        approve("zoe");
        assert_eq!(blocked().len(), 1, "neither his other spelling nor somebody without a role");
        approve("eve");
        registry.withdraw("loans", 1, Withdrawal::new("eve", "a leak", AT)).unwrap();
        assert_eq!(blocked().len(), 1, "nor what was taken back");
        let again = Approval { by: "EVE".into(), comment: String::new(), at: AT };
        match registry.approve("loans", 1, again) {
            Err(Error::Blocked { reasons, .. }) => assert!(reasons[0].contains("was taken back")),
            other => panic!("a request that was repeated late brought it back: {other:?}"),
        }
        let later = Timestamp::from_millis(AT.millis() + 1);
        let again = Approval { by: "eve".into(), comment: String::new(), at: later };
        registry.approve("loans", 1, again).unwrap();
        registry.promote(to_champion(1), AT).unwrap();
        let change = &registry.history("loans", "champion").unwrap()[0];
        assert_eq!(change.approvals, ["ben", "zoe", "eve"]);
        let roles: Vec<_> = change.approved_as.iter().map(|role| role.as_deref()).collect();
        assert_eq!(roles, [Some("risk"), None, Some("engineering")]);
        let why = registry.why("loans", "champion", AT).unwrap().to_string();
        assert!(why.contains("for the role `engineering` by eve"), "{why}");
        assert!(log.entries(0..99).unwrap().iter().any(|entry| entry.action() == "withdraw"));
    });
}

#[test]
fn slips_in_names_are_said() {
    everywhere(&Roles::default(), |registry, _| {
        let policy = PromotionPolicy::default();
        registry.set_policy("loans", "champion", policy.clone(), "cleo", AT).unwrap();
        ready(registry);
        let upper = Promotion { alias: "Champion".into(), ..to_champion(1) };
        let error = registry.promote(upper, AT).unwrap_err().to_string();
        assert!(error.contains("`champion`, which is there"), "{error}");
        let error = registry.set_policy("loans", "CHAMPION", policy.clone(), "cleo", AT);
        assert!(error.unwrap_err().to_string().contains("`champion`"));
        let error = registry.set_policy("Loans", "champion", policy, "cleo", AT);
        assert!(error.unwrap_err().to_string().contains("`loans`"));
        let new = NewVersion::new("LOANS", "ana").with_artifact("m", "x");
        assert!(registry.register(new, AT).unwrap_err().to_string().contains("`loans`"));
        assert_eq!(registry.models().unwrap(), ["loans"], "a refused request leaves no trace");
        registry.promote(to_champion(1), AT).unwrap();
        for (error, said) in [
            (
                registry.version("loan", 1).unwrap_err(),
                "model `loan` does not exist; there are loans",
            ),
            (
                registry.version("loans", 9).unwrap_err(),
                "version `loans v9` does not exist; there are v1",
            ),
            (
                registry.artifact("loans", 1, "n").unwrap_err(),
                "`n of loans v1` does not exist; there are m",
            ),
            (registry.load("loans", "champoin", "m").unwrap_err(), "there are champion"),
            (registry.load("loan", "champion", "m").unwrap_err(), "there are loans"),
            (registry.stages("loan").unwrap_err(), "there are loans"),
            (registry.lineup("loan").unwrap_err(), "there are loans"),
            (registry.revision("loan", "champion").unwrap_err(), "there are loans"),
            (registry.list("loan").unwrap_err(), "there are loans"),
            (registry.as_of("loan", "champion", AT).unwrap_err(), "there are loans"),
            (registry.why("loans", "champoin", AT).unwrap_err(), "there are champion"),
        ] {
            assert!(matches!(error, Error::NotFound { .. }), "{error}");
            assert!(error.to_string().contains(said), "{said:?} in: {error}");
        }
        assert_eq!(registry.revision("loans", "staging").unwrap(), 0);
    });
}
