//! A candidate's way through the registry: registered, gated, approved, promoted, or blocked.

use mlops::core::model::LinearModel;
use mlops::core::{
    Approval, Assessment, Digest, Error, GateReport, NewVersion, Promotion, Registry, RegistryExt,
    Result, Rollback, Timestamp, Version,
};

use crate::training::{Judged, LoanModel};

/// Who trains.
pub const AUTHOR: &str = "ada";
/// Who approves: never the author.
pub const REVIEWER: &str = "grace";
/// The alias that production loads.
pub const CHAMPION: &str = "champion";

/// What is put into a version.
#[derive(Debug)]
pub struct Release<'a> {
    pub name: &'a str,
    pub model: &'a LoanModel,
    pub suite: String,
    pub profile: Vec<u8>,
    pub judged: &'a Judged,
    pub data: Digest,
    pub rows: usize,
    pub seed: u64,
}

/// Stores the version with all that belongs to it.
pub fn register(registry: &dyn Registry, release: &Release<'_>) -> Result<Version> {
    let mut version = NewVersion::new(release.name, AUTHOR)
        .with_artifact("model.json", release.model.to_bytes(LinearModel::to_bytes)?)
        .with_artifact("suite.yaml", release.suite.as_bytes())
        .with_artifact("profile.bin", release.profile.clone())
        .with_param("rows", release.rows)
        .with_param("seed", release.seed)
        .with_data_digest(release.data);
    for (name, metric) in release.judged.report.metrics() {
        if let Some(value) = metric.value {
            version = version.with_metric(name, value);
        }
    }
    registry.register(version, Timestamp::now())
}

/// Records the gates, asks for the approval if they are open, and promotes; the refusal if not.
pub fn promote(
    registry: &dyn Registry,
    version: &Version,
    gates: &[&Assessment],
    reason: &str,
) -> Result<Result<u64, Vec<String>>> {
    let now = Timestamp::now;
    let (model, number) = (version.model.as_str(), version.number);
    for gate in gates {
        let report = GateReport::new(version.digest, (*gate).clone(), now());
        registry.record_gate(model, number, report)?;
    }
    if gates.iter().all(|gate| gate.verdict.is_pass()) {
        let comment = "the gates are open, the report was read".to_owned();
        registry.approve(model, number, Approval { by: REVIEWER.into(), comment, at: now() })?;
    }
    let promotion = Promotion {
        model: model.to_owned(),
        alias: CHAMPION.into(),
        version: number,
        actor: AUTHOR.into(),
        reason: reason.to_owned(),
        expected_revision: registry.revision(model, CHAMPION)?,
        key: None,
    };
    match registry.promote(promotion, now()) {
        Ok(alias) => Ok(Ok(alias.revision)),
        Err(Error::Blocked { reasons, .. }) => Ok(Err(reasons)),
        Err(error) => Err(error),
    }
}

/// Moves the champion back to the version before it.
pub fn roll_back(registry: &dyn Registry, model: &str, reason: &str) -> Result<Option<u64>> {
    let rollback = Rollback {
        model: model.to_owned(),
        alias: CHAMPION.into(),
        actor: REVIEWER.into(),
        reason: reason.to_owned(),
        expected_revision: registry.revision(model, CHAMPION)?,
        key: None,
    };
    Ok(registry.rollback(rollback, Timestamp::now())?.version)
}
