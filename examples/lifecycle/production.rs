//! The life itself: training, then window after window of production.

use std::path::Path;

use mlops::arrow::array::RecordBatch;
use mlops::arrow::compute::concat_batches;
use mlops::core::alert::{Alert, AlertSink, JsonLinesSink};
use mlops::core::metrics::{ClassificationReport, Metric, Scored};
use mlops::core::{
    Assessment, DataSourceExt, Error, MemorySource, Model, Registry, RegistryExt, Result,
    Timestamp, Verdict,
};
use mlops::drift::{DriftMonitor, DriftReport};
use mlops::fairness::attribution::{Attributions, FeatureImportance};
use mlops::registry::SqliteRegistry;
use mlops::validate::{LeakageOptions, Quarantine, QuarantineFiles, Quarantined, Suite, leakage};

use crate::args::Args;
use crate::page;
use crate::release::{self, CHAMPION, Release};
use crate::show::{Show, done, judged};
use crate::story::{Story, Window};
use crate::training::{self, Halves, Judged, LoanModel};

/// A version that may be in production, with all that watches over it.
#[derive(Debug)]
pub struct Champion {
    pub version: u64,
    pub model: LoanModel,
    pub monitor: DriftMonitor,
    pub suite: Suite,
    /// Whether the outcomes it was trained on were within the gap.
    pub outcomes_even: bool,
}

/// What a window of production brought.
#[derive(Debug)]
pub struct Seen {
    pub name: String,
    pub rows: usize,
    pub split: Quarantined,
    pub drift: DriftReport,
    /// The outcomes by group; `None` where they were uneven from the start.
    pub outcomes: Option<Assessment>,
    /// The champion's accuracy, where it has a value.
    pub accuracy: Option<(f64, f64, f64)>,
    /// What came of retraining, if it was called for.
    pub retrained: Option<Retrained>,
}

/// What came of retraining.
#[derive(Debug)]
pub struct Retrained {
    pub version: Option<u64>,
    pub promoted: bool,
    pub reasons: Vec<String>,
    pub judged: Option<Judged>,
    pub comparison: Option<Assessment>,
}

/// All that a page shows.
#[derive(Debug)]
pub struct Life {
    pub story: Story,
    pub suite: Suite,
    pub leakage: Assessment,
    pub judged: Judged,
    pub importance: Vec<FeatureImportance>,
    pub explained: Attributions,
    pub promoted: Result<u64, Vec<String>>,
    pub seen: Vec<Seen>,
    pub registry: String,
    pub history: Vec<String>,
}

/// Runs it all, and writes the report.
pub fn life(args: &Args, seed: u64, out: &Path, show: &Show) -> Result<Life> {
    std::fs::create_dir_all(out.join("quarantine")).map_err(|e| Error::io(out, e))?;
    let alerts = JsonLinesSink::open(out.join("alerts.jsonl"))?;
    let registry = SqliteRegistry::open(out.join("registry.db"))?;

    show.heading("The past");
    let story = show.stage("get data", |_| {
        let story = Story::of(args, seed)?;
        let columns = story.past.num_columns();
        let text = format!("{} rows × {columns} columns of {}", story.past.num_rows(), story.name);
        Ok((story, done(text)))
    })?;
    for (column, reason) in &story.left_out {
        show.line(&format!("      `{column}` is no feature: {reason}"));
    }
    let past = story.relevant(&story.past)?;
    let halves = Halves::of(&story, past.clone(), seed)?;

    let suite = show.stage("validate", |bar| {
        let suite = training::infer_suite(&story, &halves.train, "the past")?;
        let held = MemorySource::from(halves.hold_out.clone()).named("the hold-out");
        let files = QuarantineFiles {
            clean: out.join("quarantine/hold-out.clean.parquet"),
            bad: out.join("quarantine/hold-out.bad.parquet"),
        };
        let split =
            Quarantine::new(&suite, files).on_progress(bar).cancel(show.cancel()).run(&held)?;
        let text = format!(
            "{} expectations from the training part; {} of {} held-out rows fail one",
            suite.expectations.len(),
            split.bad,
            split.bad + split.clean
        );
        Ok((suite, done(text)))
    })?;

    let leaks = show.stage("look for leakage", |_| {
        let source = MemorySource::from(halves.train.clone());
        let options = LeakageOptions::default();
        let found = leakage(&source, &story.label, &story.positive, &options)?;
        let strongest = found
            .findings
            .iter()
            .filter_map(|f| Some((f.value?, &f.subject)))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let text = strongest.map_or_else(
            || "no feature".into(),
            |(auc, name)| format!("`{name}` knows most, AUC {auc:.2} alone"),
        );
        Ok((found.clone(), judged(found.verdict, text)))
    })?;
    if let Some(leak) = leaks.failures().next() {
        let drop = leaks.failures().map(|f| format!(" --drop {}", f.subject));
        let auc = leak.value.unwrap_or(1.0);
        return Err(Error::Blocked {
            what: "training".into(),
            reasons: vec![format!(
                "`{}` alone knows the label (AUC {auc:.2}); leave it out with{}",
                leak.subject,
                drop.collect::<String>()
            )],
        });
    }

    let transforms = show.stage("fit transforms", |_| {
        let fitted = training::fit_transforms(&story, &halves.train)?;
        let names = fitted.feature_names().len();
        let columns = story.features().count();
        Ok((fitted, done(format!("{columns} columns become {names} features"))))
    })?;
    let model = show.stage("train", |_| {
        let model = training::fit_model(&story, transforms, &halves.train)?;
        Ok((model, done(format!("logistic regression on {} rows", halves.train.num_rows()))))
    })?;
    let judged_first = show.stage("evaluate", |_| {
        let found = training::judge(&story, &model, &halves.hold_out, args.max_gap)?;
        let text = format!(
            "accuracy {}, ROC AUC {} on {} held-out rows",
            show_metric(&found.report.accuracy),
            show_metric(&found.report.roc_auc),
            found.report.n
        );
        let verdict = found.quality.verdict;
        Ok((found, judged(verdict, text)))
    })?;
    show.stage("fairness gate", |_| {
        let fairness = &judged_first.fairness;
        Ok(((), judged(fairness.verdict, summary(fairness))))
    })?;
    let (importance, explained) = show.stage("explain", |_| {
        let all = training::explain(&model, &halves.train, &halves.hold_out)?;
        let importance = all.importance()?;
        let first = importance.first().map_or_else(String::new, |f| {
            format!("`{}` matters most, {:.2} in log-odds", f.feature, f.mean_absolute)
        });
        let text = format!("{} rows; {first}", all.len());
        Ok(((importance, all), done(text)))
    })?;

    let monitor = DriftMonitor::new(training::profile(&story, &halves.train)?);
    let digest = mlops::data::digest(&MemorySource::from(past.clone()))?;
    let version = show.stage("register", |_| {
        let version = release::register(
            &registry,
            &Release {
                name: &model_name(&story),
                model: &model,
                suite: suite.to_yaml()?,
                profile: monitor.profile().to_bytes(),
                judged: &judged_first,
                data: digest,
                rows: halves.train.num_rows(),
                seed,
            },
        )?;
        let text = format!("{} version {}", version.model, version.number);
        Ok((version, done(text)))
    })?;
    let promoted = show.stage("approve and promote", |_| {
        let gates = [&leaks, &judged_first.quality, &judged_first.fairness];
        let promoted = release::promote(&registry, &version, &gates, "the first of its kind")?;
        let (verdict, text) = match &promoted {
            Ok(revision) => (
                Verdict::Pass,
                format!("approved by {}; {CHAMPION} moved, revision {revision}", release::REVIEWER),
            ),
            Err(reasons) => (Verdict::Fail, format!("blocked: {}", reasons.join("; "))),
        };
        Ok((promoted, judged(verdict, text)))
    })?;

    let outcomes_even = !training::outcome_gap(&story, &past, args.max_gap)?.verdict.is_fail();
    let mut champion =
        Champion { version: version.number, model, monitor, suite: suite.clone(), outcomes_even };
    if promoted.is_err() {
        show.line("      nothing is in production; the candidate is watched all the same");
    }

    show.heading("Production");
    let mut seen = Vec::new();
    let mut unlearned: Vec<RecordBatch> = Vec::new();
    for window in &story.windows {
        let mut brought = show.stage(&window.name, |bar| {
            let brought = watch(args, &story, &champion, window, out, show, bar)?;
            let (verdict, text) = brought.summary();
            Ok((brought, judged(verdict, text)))
        })?;
        for alert in brought.alerts(&story) {
            alerts.send(&alert)?;
            show.line(&format!("      alert: {}", alert.title));
        }
        if brought.drifted() {
            // What drifted and was not yet learned from: a challenger that was blocked for too few
            // rows has more of them the next time.
            unlearned.push(clean_rows(out, window)?);
            let rows = concat_batches(&unlearned[0].schema(), &unlearned)?;
            let (retrained, next) =
                retrain(args, &story, &registry, &champion, &rows, seed, &window.name, show)?;
            if let Some(next) = next {
                champion = next;
                unlearned.clear();
            }
            brought.retrained = Some(retrained);
        } else {
            unlearned.clear();
        }
        seen.push(brought);
    }

    let model_name = model_name(&story);
    show.heading("The end");
    show.stage("load back and predict", |_| {
        let number = champion.version;
        let bytes = match registry.alias(&model_name, CHAMPION)? {
            Some(_) => registry.load(&model_name, CHAMPION, "model.json")?.1,
            None => registry.artifact(&model_name, number, "model.json")?,
        };
        let loaded = LoanModel::from_bytes(&bytes, mlops::core::model::LinearModel::from_bytes)?;
        let rows = &halves.hold_out;
        let same = loaded.predict(rows)? == champion.model.predict(rows)?;
        let verdict = Verdict::from_bool(same);
        let text = format!("version {number}, {} rows, the same bits: {same}", rows.num_rows());
        Ok(((), judged(verdict, text)))
    })?;
    let moves = registry.revision(&model_name, CHAMPION)?;
    if moves > 1 {
        show.stage("roll back", |_| {
            let to = release::roll_back(&registry, &model_name, "a drill")?;
            let to = to.map_or_else(|| "none".to_owned(), |to| to.to_string());
            Ok(((), done(format!("{CHAMPION} names version {to} again"))))
        })?;
    } else {
        show.line("    roll back: there is no version before it");
    }
    show.stage("verify the registry", |_| {
        let found = registry.verify()?;
        let verdict = Verdict::from_bool(found.is_whole());
        Ok(((), judged(verdict, found.to_string())))
    })?;

    let history = registry.history(&model_name, CHAMPION)?;
    let life = Life {
        suite,
        leakage: leaks,
        judged: judged_first,
        importance,
        explained,
        promoted,
        seen,
        registry: registry.list(&model_name)?.to_string(),
        history: history.iter().map(ToString::to_string).collect(),
        story,
    };
    page::of(&life, args).write_html(out.join("report.html"))?;
    Ok(life)
}

/// The model's name in the registry.
fn model_name(story: &Story) -> String {
    let word: String =
        story.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("{}-{}", word.to_lowercase(), story.label.replace(|c: char| !c.is_ascii(), "-"))
        .replace(' ', "-")
}

/// A metric with its limits.
fn show_metric(metric: &Metric) -> String {
    match (metric.value, metric.interval) {
        (Some(value), Some(limits)) => {
            format!("{value:.3} [{:.3}, {:.3}]", limits.low, limits.high)
        }
        (Some(value), None) => format!("{value:.3}"),
        (None, _) => metric.reason.clone().unwrap_or_else(|| "undefined".into()),
    }
}

/// One line on an assessment: its worst finding.
fn summary(assessment: &Assessment) -> String {
    let worst = assessment
        .findings
        .iter()
        .filter(|f| f.verdict == assessment.verdict)
        .max_by(|a, b| a.value.unwrap_or(0.0).total_cmp(&b.value.unwrap_or(0.0)));
    match worst {
        Some(f) => match (f.value, f.interval) {
            (Some(value), Some((low, high))) => {
                format!("{} by {}: {value:.3} [{low:.3}, {high:.3}]", f.check, f.subject)
            }
            _ => format!("{} by {}: {}", f.check, f.subject, f.observed),
        },
        None => "nothing to measure by: no --sensitive".into(),
    }
}

/// Validates, puts bad rows aside, watches drift, outcomes and accuracy.
fn watch(
    args: &Args,
    story: &Story,
    champion: &Champion,
    window: &Window,
    out: &Path,
    show: &Show,
    bar: &crate::show::Bar,
) -> Result<Seen> {
    let rows = story.relevant(&window.rows)?;
    let source = MemorySource::from(rows).named(&window.name);
    let files = files(out, window);
    let split = Quarantine::new(&champion.suite, files)
        .on_progress(bar)
        .cancel(show.cancel())
        .run(&source)?;
    let clean = clean_rows(out, window)?;
    let drift = champion.monitor.compare(&MemorySource::from(clean.clone()))?;
    let outcomes = champion
        .outcomes_even
        .then(|| training::outcome_gap(story, &clean, args.max_gap))
        .transpose()?;
    let known = training::known_labels(story, &clean)?;
    let (scores, _) = training::predict(story, &champion.model, &known)?;
    let y_true = mlops::core::column(&known, &story.label)?;
    let report = ClassificationReport::of_scores(
        Scored { y_true, y_score: &scores, positive: &story.positive },
        training::THRESHOLD,
        training::CONFIDENCE,
    );
    let accuracy = report.ok().and_then(|r| {
        let interval = r.accuracy.interval?;
        Some((r.accuracy.value?, interval.low, interval.high))
    });
    Ok(Seen {
        name: window.name.clone(),
        rows: window.rows.num_rows(),
        split,
        drift,
        outcomes,
        accuracy,
        retrained: None,
    })
}

fn files(out: &Path, window: &Window) -> QuarantineFiles {
    let name = window.name.replace(' ', "-");
    QuarantineFiles {
        clean: out.join(format!("quarantine/{name}.clean.parquet")),
        bad: out.join(format!("quarantine/{name}.bad.parquet")),
    }
}

fn clean_rows(out: &Path, window: &Window) -> Result<RecordBatch> {
    mlops::data::open(files(out, window).clean)?.collect()
}

impl Seen {
    /// The worst verdict, and what there is to say.
    fn summary(&self) -> (Verdict, String) {
        let mut parts = vec![format!("{} rows", self.rows)];
        if self.split.bad > 0 {
            parts.push(format!("{} in quarantine", self.split.bad));
        }
        let drifted: Vec<_> = self.drift.drifted().map(|c| c.column.as_str()).collect();
        match drifted.as_slice() {
            [] => parts.push("no drift".to_owned()),
            columns => parts.push(format!("drift in {}", columns.join(", "))),
        }
        if let Some(outcomes) = self.outcomes.as_ref().filter(|o| o.verdict.is_fail()) {
            parts.push(format!("outcomes uneven, {}", summary(outcomes)));
        }
        if let Some((accuracy, _, _)) = self.accuracy {
            parts.push(format!("accuracy {accuracy:.3}"));
        }
        let text = parts.join(", ");
        (if self.is_quiet() { Verdict::Pass } else { Verdict::Fail }, text)
    }

    /// Whether nothing was found.
    pub fn is_quiet(&self) -> bool {
        !self.faulty() && !self.drifted() && !self.uneven()
    }

    /// Validation failed.
    pub fn faulty(&self) -> bool {
        self.split.assessment.verdict.is_fail()
    }

    /// The data drifted.
    pub fn drifted(&self) -> bool {
        self.drift.verdict.is_fail()
    }

    /// The outcomes became uneven between groups.
    pub fn uneven(&self) -> bool {
        self.outcomes.as_ref().is_some_and(|o| o.verdict.is_fail())
    }

    fn alerts(&self, story: &Story) -> Vec<Alert> {
        let at = Timestamp::now();
        let failed =
            [Some(&self.split.assessment), Some(&self.drift.assessment()), self.outcomes.as_ref()];
        failed
            .into_iter()
            .flatten()
            .filter(|assessment| assessment.verdict.is_fail())
            .filter_map(|assessment| Alert::from_assessment(assessment, at))
            .map(|alert| alert.subject(&story.name).label("window", &self.name))
            .collect()
    }
}

/// Trains a challenger on the clean rows of a window, and lets it win or not.
#[expect(clippy::too_many_arguments, reason = "a story has many characters")]
fn retrain(
    args: &Args,
    story: &Story,
    registry: &dyn Registry,
    champion: &Champion,
    rows: &RecordBatch,
    seed: u64,
    window: &str,
    show: &Show,
) -> Result<(Retrained, Option<Champion>)> {
    let nothing = |reason: String| Retrained {
        version: None,
        promoted: false,
        reasons: vec![reason],
        judged: None,
        comparison: None,
    };
    let attempt = show.stage("  retrain", |_| {
        let tried = (|| {
            let halves = Halves::of(story, training::known_labels(story, rows)?, seed)?;
            let transforms = training::fit_transforms(story, &halves.train)?;
            let model = training::fit_model(story, transforms, &halves.train)?;
            let found = training::judge(story, &model, &halves.hold_out, args.max_gap)?;
            Ok::<_, Error>((halves, model, found))
        })();
        let outcome = match &tried {
            Ok((halves, _, found)) => judged(
                found.quality.verdict,
                format!(
                    "{} rows; ROC AUC {}",
                    halves.train.num_rows(),
                    show_metric(&found.report.roc_auc)
                ),
            ),
            Err(error) => judged(Verdict::Fail, format!("not possible: {error}")),
        };
        Ok((tried, outcome))
    })?;
    let (halves, model, found) = match attempt {
        Ok(parts) => parts,
        Err(error) => return Ok((nothing(error.to_string()), None)),
    };
    let comparison = show.stage("  compare", |_| {
        let found = training::compare(story, &champion.model, &model, &halves.hold_out)?;
        Ok((found.clone(), judged(found.verdict, summary(&found))))
    })?;
    show.stage("  fairness gate", |_| {
        Ok(((), judged(found.fairness.verdict, summary(&found.fairness))))
    })?;
    let monitor = DriftMonitor::new(training::profile(story, rows)?);
    let suite = training::infer_suite(story, rows, window)?;
    let version = release::register(
        registry,
        &Release {
            name: &model_name(story),
            model: &model,
            suite: suite.to_yaml()?,
            profile: monitor.profile().to_bytes(),
            judged: &found,
            data: mlops::data::digest(&MemorySource::from(rows.clone()))?,
            rows: halves.train.num_rows(),
            seed,
        },
    )?;
    let promoted = show.stage("  promote", |_| {
        let gates = [&found.quality, &found.fairness, &comparison];
        let reason = format!("drift in {window}");
        let promoted = release::promote(registry, &version, &gates, &reason)?;
        let outcome = match &promoted {
            Ok(_) => done(format!("version {} is the {CHAMPION}", version.number)),
            Err(reasons) => judged(
                Verdict::Fail,
                format!("version {} is blocked: {}", version.number, reasons.join("; ")),
            ),
        };
        Ok((promoted, outcome))
    })?;
    let outcomes_even = champion.outcomes_even;
    let next = promoted.is_ok().then_some(Champion {
        version: version.number,
        model,
        monitor,
        suite,
        outcomes_even,
    });
    let retrained = Retrained {
        version: Some(version.number),
        promoted: promoted.is_ok(),
        reasons: promoted.err().unwrap_or_default(),
        judged: Some(found),
        comparison: Some(comparison),
    };
    Ok((retrained, next))
}
