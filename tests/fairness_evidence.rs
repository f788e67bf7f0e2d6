//! What a fairness gate found is kept with the version that it speaks of, and opens a promotion.

#![cfg(all(feature = "fairness", feature = "registry"))]
#![expect(clippy::unwrap_used, reason = "tests")]

use mlops::core::{
    Approval, Error, GateReport, NewVersion, Promotion, PromotionPolicy, Registry, RegistryExt,
    Severity, Timestamp, Verdict, Version,
};
use mlops::fairness::{Counts, FairnessGate, GapKind, Group, MetricFrame};
use mlops::registry::{MemoryRegistry, SqliteRegistry};

fn at(minute: i64) -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000 + minute * 60_000)
}

fn frame(women: u64) -> MetricFrame {
    let groups = [("F", women), ("M", 4000)];
    let groups = groups.map(|(name, n)| (Group::of(name), Counts::confusion(n, 0, 8000 - n, 0)));
    MetricFrame::new(vec!["sex".into()], groups)
}

fn gate() -> FairnessGate {
    FairnessGate::new("parity").rule(GapKind::DemographicParityDifference, "sex", 0.1)
}

fn registered(registry: &dyn Registry, bytes: &str, minute: i64) -> Version {
    let version = NewVersion::new("loans", "ana").with_artifact("model.json", bytes);
    registry.register(version, at(minute)).unwrap()
}

fn promote(registry: &dyn Registry, version: &Version, minute: i64) -> Result<(), Error> {
    let approval = Approval { by: "ben".into(), comment: "read it".into(), at: at(minute) };
    registry.approve("loans", version.number, approval)?;
    let promotion = Promotion {
        model: "loans".into(),
        alias: "champion".into(),
        version: version.number,
        actor: "ana".into(),
        reason: "it is fair".into(),
        expected_revision: registry.revision("loans", "champion")?,
        key: None,
    };
    registry.promote(promotion, at(minute)).map(drop)
}

#[test]
fn a_promotion_asks_for_the_gate_that_was_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let stores: [Box<dyn Registry>; 2] = [
        Box::new(MemoryRegistry::new()),
        Box::new(SqliteRegistry::open(folder.path().join("registry.db")).unwrap()),
    ];
    for registry in stores {
        let registry = &*registry;
        let policy =
            PromotionPolicy { required_gates: vec!["parity".into()], ..PromotionPolicy::default() };
        registry.set_policy("loans", "champion", policy, "cleo", at(0)).unwrap();
        let unfair = registered(registry, "a", 1);
        let report = gate().record(registry, &unfair, &frame(2000), at(2)).unwrap();
        assert_eq!(report.assessment.verdict, Verdict::Fail);
        assert!(matches!(promote(registry, &unfair, 3), Err(Error::Blocked { .. })));

        let fair = registered(registry, "b", 4);
        let report = gate().record(registry, &fair, &frame(3990), at(5)).unwrap();
        assert!(report.is_open());
        promote(registry, &fair, 6).unwrap();
        // What is kept: the verdict, and every group's rate with its limits.
        let kept = registry.version("loans", fair.number).unwrap();
        assert_eq!(kept.gates, std::slice::from_ref(&report));
        assert_eq!(report.subject, fair.digest);
        let told: Vec<_> = report.assessment.findings.iter().collect();
        let told: Vec<_> = told.iter().filter(|f| f.severity == Severity::Info).collect();
        assert_eq!(told.len(), 2);
        assert_eq!((told[0].subject.as_str(), told[0].value), ("sex F", Some(3990.0 / 8000.0)));
        assert!(told[0].interval.is_some_and(|(low, high)| low < 0.49 && high > 0.5));
        let why = registry.why("loans", "champion", at(7)).unwrap().to_string();
        assert!(why.contains("parity"), "{why}");
        // It speaks of these bytes and of no others.
        let other = GateReport::new(unfair.digest, report.assessment, at(8));
        assert!(registry.record_gate("loans", fair.number, other).is_err());
    }
}
