//! Two versions of a model: gates, an approval, promotion, and the way back, in one file.
//!
//! `cargo run --example registry`
#![expect(clippy::print_stdout, reason = "an example prints")]

use mlops::arrow::array::Float64Array;
use mlops::core::model::{self, LinearModel};
use mlops::core::{
    Approval, Assessment, Error, Finding, GateReport, Model, NewVersion, Promotion, Registry,
    RegistryExt, Rollback, Timestamp, Verdict, batch,
};
use mlops::registry::SqliteRegistry;

fn main() -> Result<(), Error> {
    let directory = tempfile::tempdir().map_err(|e| Error::io("a temporary directory", e))?;
    let registry = SqliteRegistry::open(directory.path().join("registry.db"))?;
    // Time is passed in: this story always happens on the same day.
    let now: Timestamp = "2026-01-31T12:00:00Z".parse()?;

    for (weight, auc) in [(1.5, 0.79), (1.7, 0.81)] {
        // A run and its version: files, parameters, metrics, and who made it.
        let trained = LinearModel::logistic(["income"], [weight], -2.0, "no", "yes")?;
        let new = NewVersion::new("loans", "ana")
            .with_artifact("model.json", trained.to_bytes()?)
            .with_param("weight", weight)
            .with_metric("roc_auc", auc);
        let version = registry.register(new, now)?;
        let promotion = Promotion {
            model: "loans".into(),
            alias: "champion".into(),
            version: version.number,
            actor: "ana".into(),
            reason: format!("ROC AUC {auc}"),
            expected_revision: registry.revision("loans", "champion")?,
            key: None,
        };

        // Nothing was measured and nobody agreed, so nothing moves.
        if let Err(refused) = registry.promote(promotion.clone(), now) {
            println!("{refused}");
        }

        // A gate's report speaks for these bytes; an approval comes from somebody else.
        let finding =
            Finding::new("roc_auc", "hold-out", Verdict::Pass, "at least 0.75", auc.to_string());
        let quality = Assessment::new("quality", 9_000, vec![finding]);
        let gate = GateReport::new(version.digest, quality, now);
        registry.record_gate("loans", version.number, gate)?;
        let approval = Approval { by: "ben".into(), comment: "read the report".into(), at: now };
        registry.approve("loans", version.number, approval)?;
        println!("{}\n", registry.promote(promotion, now)?);
    }
    println!("{}\n", registry.list("loans")?);

    // How a service loads what is in production, and what it says.
    let serve = |who: &str| -> Result<(), Error> {
        let (version, bytes) = registry.load("loans", "champion", "model.json")?;
        let applicant = batch! { "income" => Float64Array::from(vec![1.4]) }?;
        let yes = model::load(&bytes)?.predict(&applicant)?.score_of("yes")?;
        println!("{who}: v{} says {:.3}", version.number, yes.value(0));
        Ok(())
    };
    serve("in production")?;
    let rollback = Rollback {
        model: "loans".into(),
        alias: "champion".into(),
        actor: "ben".into(),
        reason: "complaints".into(),
        expected_revision: registry.revision("loans", "champion")?,
        key: None,
    };
    registry.rollback(rollback, now)?;
    serve("rolled back")?;

    println!("\nwho, when, why:");
    for change in registry.history("loans", "champion")? {
        println!("{change}");
    }
    println!("\n{}", registry.why("loans", "champion", now)?);
    println!("\n{}", registry.verify()?);
    Ok(())
}
