//! Three versions of a model under a policy: one is blocked by a gate, one for lack of an approval
//! and then promoted, one is promoted and rolled back. Why each was where it was, and an audit log
//! that another program verifies.
//!
//! `cargo run --example registry -- folder` leaves the registry in the folder, with the log, its
//! checkpoints and the public key beside it. Without a folder, a temporary one is used.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mlops::arrow::array::{Float64Array, RecordBatch};
use mlops::core::model::LinearModel;
use mlops::core::stats::roc_auc_delong;
use mlops::core::{
    Approval, Assessment, Digest, Error, Finding, GateReport, Model, NewVersion, Promotion,
    PromotionPolicy, Registry, RegistryExt, Result, Roles, Rollback, Timestamp, Verdict, Version,
    batch,
};
use mlops::registry::audit::{FileSink, Log, Notary, NoteSigner, export};
use mlops::registry::outbox::{Outbox, OutboxExt, notice};
use mlops::registry::tracking::{Batch, Dataset, NewRun, RunStatus, Tracker, TrackerExt};
use mlops::registry::{Recipe, SqliteRegistry};

/// Time is passed in: this story always happens on the same day.
fn at(clock: &str) -> Result<Timestamp> {
    format!("2026-01-31T{clock}:00Z").parse()
}

fn main() -> Result<()> {
    let scratch = tempfile::tempdir().map_err(|e| Error::io("a temporary directory", e))?;
    let folder = std::env::args().nth(1).map_or(scratch.path().to_path_buf(), PathBuf::from);
    std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
    // The host knows its people; the registry asks.
    let roles = Roles::new(|person, role| match role {
        "risk" => ["ben", "cleo"].contains(&person),
        Roles::POLICY => person == "cleo",
        _ => false,
    });
    let registry = SqliteRegistry::open(folder.join("registry.db"))?.with_roles(roles);
    registry.subscribe("ops", Log::len(&registry)?)?;
    let holdout = Holdout::new(2000)?;

    title("08:00  cleo sets what `champion` demands");
    let policy = PromotionPolicy {
        required_gates: vec!["quality".into()],
        approver_roles: [("risk".into(), 1)].into(),
        ..PromotionPolicy::default()
    };
    println!("{policy}");
    registry.set_policy("loans", "champion", policy, "cleo", at("08:00")?)?;

    title("09:00  ana's first version has a sign wrong: a gate blocks it");
    let first = train(&registry, [2.0, 2.0], at("09:00")?)?;
    judge(&registry, &holdout, &first, at("09:05")?)?;
    approve(&registry, &first, "ben", at("09:10")?)?;
    println!("{}", promote(&registry, &first, at("09:15")?));

    title("10:00  the second is good; nobody else has looked at it: blocked");
    let second = train(&registry, [2.0, 0.0], at("10:00")?)?;
    judge(&registry, &holdout, &second, at("10:05")?)?;
    println!("{}", promote(&registry, &second, at("10:10")?));

    title("10:30  dora approves, who is not in the role; then ben does: promoted");
    approve(&registry, &second, "dora", at("10:30")?)?;
    println!("{}", promote(&registry, &second, at("10:31")?));
    approve(&registry, &second, "ben", at("10:35")?)?;
    println!("{}", promote(&registry, &second, at("10:36")?));

    title("12:00  the third is better still, and promoted");
    let third = train(&registry, [2.0, -2.0], at("12:00")?)?;
    judge(&registry, &holdout, &third, at("12:05")?)?;
    approve(&registry, &third, "ben", at("12:10")?)?;
    println!("{}", promote(&registry, &third, at("12:15")?));
    serve(&registry, &holdout)?;

    title("17:00  complaints: ben rolls back");
    let rollback = Rollback {
        model: "loans".into(),
        alias: "champion".into(),
        actor: "ben".into(),
        reason: "complaints from branch 7".into(),
        expected_revision: registry.revision("loans", "champion")?,
        key: None,
    };
    println!("{}", registry.rollback(rollback, at("17:00")?)?);
    serve(&registry, &holdout)?;

    title("Where everything stands");
    println!("{}\n", registry.list("loans")?);
    for (number, stage) in registry.stages("loans")? {
        println!("v{number} is {stage}");
    }
    println!("{}", registry.lineup("loans")?);

    title("Why was what in production, and when?");
    for time in ["11:00", "13:00", "18:00"] {
        println!("{}\n", registry.why("loans", "champion", at(time)?)?);
    }

    title("Can it be made again?");
    let recipe = Recipe::of(&registry, "loans", 2)?.with_run(&registry)?;
    println!("{recipe}");
    let again = LinearModel::logistic(FEATURES, [2.0, 0.0], 0.0, "no", "yes")?.to_bytes()?;
    let made = [("model.json".to_owned(), again)].into();
    println!("{}", recipe.compare(&registry, &made)?);

    title("Who is told: each change once, in order");
    let evening = at("18:00")?;
    registry.drain("ops", Duration::from_secs(60), &|| evening, &mut |entry| {
        let alert = notice(entry);
        println!("{:?}: {}, {}", alert.severity, alert.title, alert.summary);
        Ok(())
    })?;

    title("What can be proven");
    println!("{}", registry.verify()?);
    prove(&registry, &folder)
}

fn title(text: &str) {
    println!("\n== {text}");
}

const FEATURES: [&str; 2] = ["income", "debt"];

/// A run, and the version that it made.
fn train(registry: &SqliteRegistry, weights: [f64; 2], now: Timestamp) -> Result<Version> {
    let experiment = registry.open_experiment("loans", now)?.id;
    let data = Digest::of("the table that it is fitted to");
    let mut new = NewRun::new(experiment).with_user("ana").with_commit("9e107d9d372bb682");
    new.batch = new.batch.param("seed", 7).param("weights", format!("{weights:?}"));
    new.batch = new.batch.dataset(Dataset::new("applications", data).with_context("training"));
    let run = registry.create_run(new, now)?;
    let model = LinearModel::logistic(FEATURES, weights, 0.0, "no", "yes")?;
    let version = NewVersion::new("loans", "ana")
        .with_artifact("model.json", model.to_bytes()?)
        .with_run(&run.id)
        .with_data_digest(data);
    let version = registry.register(version, now)?;
    registry.log(&run.id, &Batch::new().tag("version", version.number.to_string()))?;
    registry.finish_run(&run.id, RunStatus::Finished, now)?;
    Ok(version)
}

/// Applicants of whom it is known who repaid.
struct Holdout {
    applicants: RecordBatch,
    repaid: Vec<bool>,
}

impl Holdout {
    fn new(rows: u32) -> Result<Self> {
        // Numbers that fill the unit interval evenly, each column in an order of its own.
        let column = |step: f64| (1..=rows).map(|i| (f64::from(i) * step).fract()).collect();
        let (income, debt): (Vec<f64>, Vec<f64>) = (column(2f64.sqrt()), column(3f64.sqrt()));
        let luck: Vec<f64> = column(5f64.sqrt());
        let repaid = income.iter().zip(&debt).zip(&luck);
        let repaid = repaid.map(|((i, d), l)| i - d + 0.8 * (l - 0.5) > 0.0).collect();
        let (income, debt) = (Float64Array::from(income), Float64Array::from(debt));
        Ok(Self { applicants: batch! { "income" => income, "debt" => debt }?, repaid })
    }
}

/// Runs the gate on the bytes that were registered, and records what it found: it passes where the
/// whole confidence interval lies above the bound.
fn judge(registry: &dyn Registry, on: &Holdout, version: &Version, now: Timestamp) -> Result<()> {
    let bytes = registry.artifact(&version.model, version.number, "model.json")?;
    let scores = mlops::load_model(&bytes)?.predict(&on.applicants)?.score_of("yes")?;
    let roc = roc_auc_delong(&on.repaid, scores.values())?;
    let limits = roc.interval(0.95)?;
    let verdict = match (limits.low >= 0.75, limits.high < 0.75) {
        (true, _) => Verdict::Pass,
        (_, true) => Verdict::Fail,
        _ => Verdict::Inconclusive,
    };
    let observed = format!("{:.3}, 95 % interval {limits:.3}", roc.auc);
    let finding = Finding::new("roc_auc", "hold-out", verdict, "at least 0.75", observed)
        .with_value(roc.auc)
        .with_interval(limits.low, limits.high);
    let assessment = Assessment::new("quality", on.repaid.len() as u64, vec![finding]);
    println!("{assessment}");
    let report = GateReport::new(version.digest, assessment, now).run_by("nightly job");
    registry.record_gate(&version.model, version.number, report)
}

fn approve(registry: &dyn Registry, version: &Version, by: &str, now: Timestamp) -> Result<()> {
    let approval = Approval { by: by.into(), comment: "read the report".into(), at: now };
    registry.approve(&version.model, version.number, approval)
}

/// Asks for the promotion: what came of it.
fn promote(registry: &dyn Registry, version: &Version, now: Timestamp) -> String {
    let promotion = registry.revision(&version.model, "champion").map(|seen| Promotion {
        model: version.model.clone(),
        alias: "champion".into(),
        version: version.number,
        actor: "ana".into(),
        reason: format!("version {} is better", version.number),
        expected_revision: seen,
        key: None,
    });
    let promoted = promotion.and_then(|promotion| registry.promote(promotion, now));
    promoted.map_or_else(|refused| refused.to_string(), |alias| alias.to_string())
}

/// How a service loads what is in production, and what it says of an applicant.
fn serve(registry: &dyn Registry, holdout: &Holdout) -> Result<()> {
    let (version, bytes) = registry.load("loans", "champion", "model.json")?;
    let applicant = holdout.applicants.slice(0, 1);
    let yes = mlops::load_model(&bytes)?.predict(&applicant)?.score_of("yes")?;
    println!("in production: v{} gives the first applicant {:.3}", version.number, yes.value(0));
    Ok(())
}

/// Signs a checkpoint, exports the log, and has another program verify what was exported.
fn prove(registry: &SqliteRegistry, folder: &Path) -> Result<()> {
    // In life the key lies with somebody else, and so do the checkpoints.
    let mut notary = Notary::new(NoteSigner::generate("registry.example.com/loans")?);
    let [log, checkpoints, key] =
        ["audit.jsonl", "checkpoints.txt", "key.pub"].map(|name| folder.join(name));
    // Those of an earlier run were signed by another key.
    std::fs::remove_file(&checkpoints).ok();
    notary.publish(registry, &FileSink::open(&checkpoints)?)?;
    let io = |path: &Path| {
        let path = path.to_path_buf();
        move |e| Error::io(path, e)
    };
    export(registry, std::fs::File::create(&log).map_err(io(&log))?)?;
    std::fs::write(&key, format!("{}\n", notary.verifier())).map_err(io(&key))?;

    // `verify_log` stands beside this program if it was built, too.
    let verifier = std::env::current_exe().map_err(|e| Error::io("this program", e))?;
    let verifier = verifier.with_file_name(format!("verify_log{}", std::env::consts::EXE_SUFFIX));
    if !verifier.exists() {
        println!("\nto verify the log without the registry:");
        let [log, checkpoints, key] = [&log, &checkpoints, &key].map(|path| path.display());
        println!("cargo run --example verify_log -- {log} {checkpoints} {key}");
        return Ok(());
    }
    let verify = || -> Result<()> {
        let seen = Command::new(&verifier).args([&log, &checkpoints, &key]).output();
        let seen = seen.map_err(io(&verifier))?;
        println!("{}", String::from_utf8_lossy(&seen.stdout));
        Ok(())
    };
    println!("\nverify_log says of it:");
    verify()?;
    let text = std::fs::read_to_string(&log).map_err(io(&log))?;
    let forged = text.replacen("\"verdict\":\"fail\"", "\"verdict\":\"pass\"", 1);
    std::fs::write(&log, forged).map_err(io(&log))?;
    println!("and with the verdict of the first gate forged:");
    verify()?;
    std::fs::write(&log, text).map_err(io(&log))
}
