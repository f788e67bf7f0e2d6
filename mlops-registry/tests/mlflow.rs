//! A real MLflow server is driven end to end, and Python's own client reads back what Rust wrote.
//!
//! `MLOPS_MLFLOW` names directories of virtual environments with MLflow, `:` between them; without
//! it these tests say that they skip.
#![cfg(all(feature = "mlflow", unix))]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

#[path = "mlflow/server.rs"]
mod server;

use std::path::Path;

use mlops_core::{
    Approval, Assessment, Cancel, Digest, Error, Finding, GateReport, NewVersion, Promotion,
    Registry, RegistryExt, Timestamp, Verdict, conformance,
};
use mlops_registry::MemoryRegistry;
use mlops_registry::mlflow::{
    Dataset, DatasetInput, LoggedModelStatus, Metric, MlflowClient, MlflowDatabase, MlflowError,
    MlflowRegistry, Mlruns, MlrunsWriter, ModelFile, NewLoggedModel, NewModelVersion, NewRun, Run,
    RunBatch, Search, Signature, export_mlruns, import_runs, sync_runs,
};
use mlops_registry::tracking::{
    self, Batch, ExperimentChange, NewRun as TrackedRun, Query, RunStatus, Tracker, TrackerExt,
    View,
};
use serde_json::{Value, json};
use server::{Server, environments, python};

#[test]
fn servers_from_2_22_to_the_newest() {
    for environment in environments() {
        let mut server = Server::start(&environment);
        let client = server.client();
        let info = client.server().unwrap().clone();
        println!("MLflow {} ({:?}) from {}", info.version, info.store, environment.display());
        let major = info.release.unwrap().0;
        assert_eq!(info.logged_models, major >= 3, "{info:?}");

        runs(&server, &client);
        artifacts(&client, server.directory.path());
        searches(&client);
        logged_models(&client, info.logged_models);
        registered_models(&client);
        registry(&server);
        models_that_python_loads(&server);
        synced(&server);
        imported(&server);

        assert!(!server.processes().is_empty(), "the server's processes are found");
        assert_eq!(server.stop(), [0; 0], "no process is left");
    }
}

fn new_run(experiment: &str, name: &str, start_time: i64) -> NewRun {
    NewRun {
        experiment_id: experiment.to_owned(),
        name: name.to_owned(),
        user: "ana".to_owned(),
        start_time,
        ..NewRun::default()
    }
}

fn runs(server: &Server, client: &MlflowClient) {
    let experiment = client.ensure_experiment("Größe: runs/1").unwrap();
    assert_eq!(client.ensure_experiment("Größe: runs/1").unwrap(), experiment);
    let error = client.create_experiment("Größe: runs/1", &[]).unwrap_err();
    assert!(error.is_already_there(), "{error}");
    assert!(client.experiment("987654").unwrap_err().is_not_found());
    assert_eq!(client.experiment_by_name("no such").unwrap(), None);
    client.set_experiment_tag(&experiment, "team", "risk ✓").unwrap();
    let read = client.experiment(&experiment).unwrap();
    assert_eq!((read.name.as_str(), &*read.lifecycle_stage), ("Größe: runs/1", "active"));
    assert_eq!(read.tags, [("team", "risk ✓").into()]);

    let run = client.create_run(&new_run(&experiment, "a run", 1000)).unwrap().info;
    assert_eq!((run.status, run.start_time), (RunStatus::Running, Some(1000)));
    let id = run.run_id.as_str();
    let values = [0.0, -0.0, 0.1 + 0.2, f64::MAX, 5e-324, f64::NAN, f64::INFINITY, -1e300];
    let mut batch = RunBatch {
        // More than one request of everything.
        metrics: (0..2500)
            .map(|i| Metric::new("val/loss", f64::from(i) / 7.0, i.into(), i64::from(i) * 10))
            .collect(),
        params: (0..230).map(|i| (format!("p{i:03}"), format!("{i} ✓\n'\"")).into()).collect(),
        tags: (0..130).map(|i| (format!("t{i:03}"), "x".repeat(i)).into()).collect(),
    };
    for (step, value) in values.into_iter().enumerate() {
        batch.metrics.push(Metric::new("größe", value, step as i64, 5));
    }
    client.log_batch(id, &batch).unwrap();
    // Once more: nothing is kept twice.
    client.log_batch(id, &batch).unwrap();
    let history = client.metric_history(id, "val/loss").unwrap();
    let mut steps: Vec<_> =
        history.iter().map(|m| (m.step, m.timestamp, m.value.to_bits())).collect();
    steps.sort_unstable();
    let logged: Vec<_> =
        batch.metrics[..2500].iter().map(|m| (m.step, m.timestamp, m.value.to_bits())).collect();
    assert_eq!(steps, logged);
    let mut odd = client.metric_history(id, "größe").unwrap();
    odd.sort_by_key(|m| m.step);
    let seen: Vec<_> = odd.iter().map(|m| m.value).collect();
    // A database has one zero and no infinity.
    let kept = values.map(|v| if v == f64::INFINITY { f64::MAX } else { v });
    for (seen, kept) in seen.iter().zip(kept) {
        assert!(seen == &kept || (seen.is_nan() && kept.is_nan()), "{seen} {kept}");
    }
    assert_eq!(client.metric_history(id, "never").unwrap(), []);

    let changed = RunBatch { params: vec![("p000", "other").into()], ..RunBatch::default() };
    let error = client.log_batch(id, &changed).unwrap_err();
    assert_eq!(error.code(), Some("INVALID_PARAMETER_VALUE"), "{error}");
    assert!(client.log_param(id, "p000", "other").is_err());
    client.log_param(id, "p000", &batch.params[0].value).unwrap();
    let error = client.log_param(id, "../x", "y").unwrap_err();
    assert_eq!(error.code(), Some("INVALID_PARAMETER_VALUE"), "{error}");
    assert!(client.log_param("0".repeat(32).as_str(), "x", "y").unwrap_err().is_not_found());

    let input = DatasetInput {
        dataset: Dataset {
            name: "loans".into(),
            digest: "0123abcd".into(),
            source_type: "local".into(),
            source: "{\"uri\": \"loans.parquet\"}".into(),
            ..Dataset::default()
        },
        tags: vec![("mlflow.data.context", "training").into()],
    };
    client.log_inputs(id, &[input]).unwrap();
    client.set_run_tag(id, "gone", "soon").unwrap();
    client.delete_run_tag(id, "gone").unwrap();
    client.rename_run(id, "renamed").unwrap();
    client.end_run(id, RunStatus::Finished, 2000).unwrap();
    client.put_artifact(&run.artifact_uri, "deep/größe.bin", &bytes()).unwrap();
    client.put_artifact(&run.artifact_uri, "empty", b"").unwrap();

    let read = client.run(id).unwrap();
    assert_eq!(read.info.status, RunStatus::Finished);
    assert_eq!((read.param("p007"), read.tag("t002")), (Some("7 ✓\n'\""), Some("xx")));
    assert_eq!(read.metric("val/loss"), Some(2499.0 / 7.0));
    assert_eq!(read.inputs.dataset_inputs[0].dataset.name, "loans");

    // Python's client says the same.
    let seen = server.python(&["read", &server.url, id]);
    assert_eq!(seen["name"], "renamed");
    assert_eq!((&seen["status"], &seen["end"]), (&json!("FINISHED"), &json!(2000)));
    assert_eq!(seen["params"].as_object().unwrap().len(), 230);
    for param in &batch.params {
        assert_eq!(seen["params"][&param.key], param.value.as_str());
    }
    for tag in &batch.tags {
        assert_eq!(seen["tags"][&tag.key], tag.value.as_str());
    }
    assert!(seen["tags"].get("gone").is_none());
    let points = seen["metrics"]["val/loss"].as_array().unwrap();
    assert_eq!(points.len(), 2500);
    for (point, metric) in points.iter().zip(&batch.metrics) {
        let value: f64 = point[2].as_str().unwrap().parse().unwrap();
        assert_eq!(
            (&point[0], &point[1], value.to_bits()),
            (&json!(metric.step), &json!(metric.timestamp), metric.value.to_bits())
        );
    }
    assert_eq!(seen["metrics"]["größe"].as_array().unwrap().len(), values.len());
    assert_eq!(seen["metrics"]["größe"][5][2], "NaN");
    assert_eq!(
        seen["inputs"][0],
        json!(["loans", "0123abcd", {"mlflow.data.context": "training"}])
    );
    assert_eq!(
        seen["artifacts"],
        json!({ "deep/größe.bin": Digest::of(bytes()).hex(), "empty": Digest::of(b"").hex() }),
        "byte-equal artifacts"
    );

    client.delete_run(id).unwrap();
    assert_eq!(client.run(id).unwrap().info.lifecycle_stage, "deleted");
    client.restore_run(id).unwrap();
    client.reopen_run(id).unwrap();
    assert_eq!(client.run(id).unwrap().info.status, RunStatus::Running);
    client.rename_experiment(&experiment, "renamed").unwrap();
    client.delete_experiment(&experiment).unwrap();
    assert!(client.ensure_experiment("renamed").is_err(), "it is deleted");
    client.restore_experiment(&experiment).unwrap();
    let found = client.search_experiments(&Search::new("name = 'renamed'")).unwrap();
    assert_eq!(found.items.len(), 1);
}

fn bytes() -> Vec<u8> {
    (0..=255).cycle().take(300_000).collect()
}

fn artifacts(client: &MlflowClient, directory: &Path) {
    let experiment = client.ensure_experiment("artifacts").unwrap();
    let run = client.create_run(&new_run(&experiment, "", 0)).unwrap().info;
    let uri = run.artifact_uri.as_str();
    // Far larger than what is in memory of it at any time.
    let file = directory.join("large.bin");
    let large: Vec<u8> = (0u32..3_000_000).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&file, &large).unwrap();
    client.put_artifact_file(uri, "a/large.bin", &file).unwrap();
    client.put_artifact(uri, "a/b c+d&e=f.txt", b"first").unwrap();
    client.put_artifact(uri, "a/b c+d&e=f.txt", b"second").unwrap();
    client.put_artifact(uri, "top", b"").unwrap();
    let names = |path: &str| -> Vec<_> {
        client.list_artifacts(uri, path).unwrap().into_iter().map(|f| (f.path, f.is_dir)).collect()
    };
    let top = names("");
    assert!(top.contains(&("a".into(), true)) && top.contains(&("top".into(), false)), "{top:?}");
    assert_eq!(names("nothing/here"), []);
    let walked = client.walk_artifacts(uri, "").unwrap();
    let walked: Vec<_> =
        walked.iter().map(|f| (f.path.as_str(), f.file_size.unwrap_or(0))).collect();
    assert_eq!(walked, [("a/b c+d&e=f.txt", 6), ("a/large.bin", 12_000_000), ("top", 0)]);
    assert_eq!(client.artifact(uri, "a/b c+d&e=f.txt", 100).unwrap(), b"second");
    assert_eq!(client.artifact(uri, "top", 0).unwrap(), b"");
    let back = directory.join("back.bin");
    assert_eq!(client.download_artifact(uri, "a/large.bin", 1 << 30, &back).unwrap(), 12_000_000);
    assert!(std::fs::read(&back).unwrap() == large, "the same bytes");
    let error = client.artifact(uri, "a/large.bin", 1000).unwrap_err();
    assert!(error.to_string().contains("at most 1000"), "{error}");
    assert!(client.artifact(uri, "a/none", 10).unwrap_err().is_not_found());
    assert!(client.put_artifact(uri, "../x", b"").is_err());
    // A file that is not there sends nothing.
    assert!(client.put_artifact_file(uri, "x", &directory.join("none")).is_err());
    client.delete_artifact(uri, "a/large.bin").unwrap();
    client.delete_artifact(uri, "a/large.bin").unwrap();
    assert_eq!(names("a"), [("b c+d&e=f.txt".to_owned(), false)]);
}

fn searches(client: &MlflowClient) {
    let experiment = client.ensure_experiment("searches").unwrap();
    for n in 0..7i32 {
        let run = client.create_run(&new_run(&experiment, &format!("r{n}"), n.into())).unwrap();
        let id = &run.info.run_id;
        let batch = RunBatch {
            metrics: vec![Metric::new("auc", f64::from(n) / 10.0, 0, 0)],
            params: vec![("model", if n % 2 == 0 { "tree" } else { "linear" }).into()],
            ..RunBatch::default()
        };
        client.log_batch(id, &batch).unwrap();
        if n == 6 {
            client.delete_run(id).unwrap();
        }
    }
    let names = |filter: &str, order: &[&str], page_size: u32, view: View| {
        let order_by = order.iter().map(|o| (*o).to_owned()).collect();
        let mut search = Search { order_by, page_size, view, ..Search::new(filter) };
        let mut names = Vec::new();
        loop {
            let page = client.search_runs(&[&experiment], &search).unwrap();
            names.extend(page.items.into_iter().map(|run: Run| run.info.run_name));
            match page.next {
                Some(next) => search.page = Some(next),
                None => return names,
            }
        }
    };
    let tree = "metrics.auc > 0.1 and params.model = 'tree'";
    assert_eq!(names(tree, &["metrics.auc DESC"], 0, View::Active), ["r4", "r2"]);
    let all = names("", &["attributes.start_time ASC"], 2, View::All);
    assert_eq!(all, ["r0", "r1", "r2", "r3", "r4", "r5", "r6"], "pages of two");
    assert_eq!(names("", &[], 0, View::Deleted), ["r6"]);
    assert_eq!(client.all_runs(&experiment, "", View::All).unwrap().len(), 7);
    let error = client.search_runs(&[&experiment], &Search::new("no filter")).unwrap_err();
    assert_eq!(error.code(), Some("INVALID_PARAMETER_VALUE"), "{error}");
}

fn logged_models(client: &MlflowClient, there: bool) {
    let experiment = client.ensure_experiment("models").unwrap();
    let run = client.create_run(&new_run(&experiment, "trainer", 0)).unwrap().info;
    let new = NewLoggedModel {
        experiment_id: experiment.clone(),
        name: "tree".into(),
        model_type: "gradient boosting".into(),
        source_run_id: run.run_id.clone(),
        params: vec![("depth", "6").into()],
        tags: vec![("team", "risk").into()],
    };
    let made = client.create_logged_model(&new);
    if !there {
        assert!(matches!(made, Err(MlflowError::Unsupported { .. })), "{made:?}");
        return;
    }
    let model = made.unwrap().info;
    assert_eq!(model.status, LoggedModelStatus::Pending);
    client.put_artifact(&model.artifact_uri, "model.json", b"{}").unwrap();
    let id = model.model_id.as_str();
    let model = client.finish_logged_model(id, LoggedModelStatus::Ready).unwrap();
    assert_eq!(model.info.status, LoggedModelStatus::Ready);
    client.set_logged_model_tags(id, &[("more", "✓").into()]).unwrap();
    let metric = Metric::new("auc", 0.8, 3, 7).on_model(id);
    client
        .log_batch(&run.run_id, &RunBatch { metrics: vec![metric], ..RunBatch::default() })
        .unwrap();
    client.log_outputs(&run.run_id, &[(id, 3)]).unwrap();
    let read = client.logged_model(id).unwrap();
    assert_eq!(read.data.params, [("depth", "6").into()]);
    assert_eq!(read.data.metrics[0].value, 0.8);
    assert!(read.info.tags.contains(&("more", "✓").into()));
    let search =
        Search { order_by: vec!["creation_timestamp DESC".into()], ..Search::new("name = 'tree'") };
    let found = client.search_logged_models(&[&experiment], &search).unwrap().items;
    assert_eq!(found.iter().map(|m| m.info.model_id.as_str()).collect::<Vec<_>>(), [id]);
    client.delete_logged_model(id).unwrap();
    assert!(client.logged_model(id).unwrap_err().is_not_found());
}

fn registered_models(client: &MlflowClient) {
    let experiment = client.ensure_experiment("models").unwrap();
    let run = client.create_run(&new_run(&experiment, "", 0)).unwrap().info;
    client.create_registered_model("plain", "of a test", &[("team", "risk").into()]).unwrap();
    assert!(client.create_registered_model("plain", "", &[]).unwrap_err().is_already_there());
    let source = format!("{}/model", run.artifact_uri);
    client.put_artifact(&run.artifact_uri, "model/model.json", b"{}").unwrap();
    let new = NewModelVersion {
        name: "plain".into(),
        source: source.clone(),
        run_id: run.run_id.clone(),
        description: "first".into(),
        tags: vec![("a", "b").into()],
        ..NewModelVersion::default()
    };
    for number in ["1", "2"] {
        let version = client.create_model_version(&new).unwrap();
        assert_eq!((version.version.as_str(), &*version.status), (number, "READY"));
    }
    assert_eq!(client.model_version_uri("plain", 1).unwrap(), source);
    client.describe_model_version("plain", 2, "second").unwrap();
    client.set_model_version_tag("plain", 2, "digest", "x").unwrap();
    client.set_model_version_tag("plain", 2, "gone", "x").unwrap();
    client.delete_model_version_tag("plain", 2, "gone").unwrap();
    client.set_registered_model_tag("plain", "gone", "x").unwrap();
    client.delete_registered_model_tag("plain", "gone").unwrap();
    client.describe_registered_model("plain", "described").unwrap();
    assert_eq!(client.version_by_alias("plain", "champion").unwrap(), None);
    client.set_alias("plain", "champion", 1).unwrap();
    client.set_alias("plain", "champion", 2).unwrap();
    client.set_alias("plain", "old", 1).unwrap();
    client.delete_alias("plain", "old").unwrap();
    let version = client.version_by_alias("plain", "champion").unwrap().unwrap();
    assert_eq!((version.version.as_str(), version.description.as_str()), ("2", "second"));
    assert!(version.tags.contains(&("digest", "x").into()) && version.tags.len() == 2);
    client.transition_stage("plain", 1, "Production", false).unwrap();
    let moved = client.transition_stage("plain", 2, "Production", true).unwrap();
    assert_eq!(moved.current_stage, "Production");
    assert_eq!(client.model_version("plain", 1).unwrap().current_stage, "Archived");
    assert!(client.transition_stage("plain", 1, "Nowhere", true).is_err());
    let model = client.registered_model("plain").unwrap();
    assert_eq!((model.description.as_str(), model.aliases.len()), ("described", 1));
    let mut search = Search { page_size: 1, ..Search::new("name = 'plain'") };
    let first = client.search_model_versions(&search).unwrap();
    search.page = first.next;
    let second = client.search_model_versions(&search).unwrap();
    let mut numbers = [&first.items[0].version, &second.items[0].version].map(String::as_str);
    numbers.sort_unstable();
    assert_eq!(numbers, ["1", "2"], "a page each");
    client.delete_model_version("plain", 1).unwrap();
    assert!(client.model_version("plain", 1).unwrap_err().is_not_found());
    client.rename_registered_model("plain", "renamed").unwrap();
    client.delete_registered_model("renamed").unwrap();
    assert!(client.registered_model("renamed").unwrap_err().is_not_found());
    let found = client.search_registered_models(&Search::default()).unwrap();
    assert!(found.items.iter().all(|m| m.name != "renamed"));
}

fn ready(registry: &dyn Registry, model: &str, artifacts: &[(&str, Vec<u8>)]) -> u64 {
    let at = Timestamp::from_millis(1000);
    let mut new = NewVersion::new(model, "ana").with_metric("auc", 0.8);
    for (name, bytes) in artifacts {
        new = new.with_artifact(*name, bytes.clone());
    }
    let version = registry.register(new, at).unwrap();
    let finding = Finding::new("auc", "hold-out", Verdict::Pass, "≥ 0.75", "0.8");
    let report = GateReport::new(version.digest, Assessment::new("quality", 10, vec![finding]), at);
    registry.record_gate(model, version.number, report).unwrap();
    // Too long for a parameter.
    let approval = Approval { by: "ben".into(), comment: "✓".repeat(9000), at };
    registry.approve(model, version.number, approval).unwrap();
    version.number
}

fn promotion(model: &str, version: u64, expected_revision: u64) -> Promotion {
    Promotion {
        model: model.into(),
        alias: "champion".into(),
        version,
        actor: "ana".into(),
        reason: "better".into(),
        expected_revision,
        key: None,
    }
}

fn registry(server: &Server) {
    let registry = MlflowRegistry::open(server.client()).unwrap();
    conformance::registry(&registry);
    // Another process sees the same.
    let other = MlflowRegistry::open(server.client()).unwrap();
    let model = "conformance-loans";
    assert_eq!(registry.versions(model).unwrap(), other.versions(model).unwrap());
    assert_eq!(
        registry.history(model, "champion").unwrap(),
        other.history(model, "champion").unwrap()
    );
    assert_eq!(registry.head(model).unwrap(), other.head(model).unwrap());
    assert!(other.models().unwrap().contains(&model.to_owned()));
    // MLflow's own aliases are where the ledger says, as Python sees them; and the bytes.
    let seen = server.python(&["registered", &server.url, model]);
    for alias in other.aliases(model).unwrap() {
        let version = alias.version.map(|version| version.to_string());
        assert_eq!(seen["aliases"][&alias.alias].as_str(), version.as_deref());
    }
    for number in other.versions(model).unwrap() {
        let version = other.version(model, number).unwrap();
        let there = &seen["versions"][number.to_string()];
        assert_eq!(there["tags"]["mlops.digest"], version.digest.to_string());
        for artifact in &version.artifacts {
            assert_eq!(there["files"][&artifact.name], artifact.digest.hex(), "{}", artifact.name);
        }
    }
    assert_eq!(other.mirror(model).unwrap(), [], "nothing to put right");
    server.client().set_alias(model, "champion", 2).unwrap();
    let moved = other.mirror(model).unwrap();
    assert_eq!(moved.len(), 1, "what somebody moved by other means is put right");
    // One that was unset is none to MLflow, whoever sets it by other means.
    let (client, unset) = (server.client(), "conformance-unset");
    assert_eq!(client.version_by_alias(unset, "champion").unwrap(), None);
    client.set_alias(unset, "champion", 1).unwrap();
    let put_right = other.mirror(unset).unwrap();
    assert_eq!(put_right.iter().map(|alias| alias.version).collect::<Vec<_>>(), [None]);
    assert_eq!(client.version_by_alias(unset, "champion").unwrap(), None);

    // Two registries that know nothing of each other move one alias: one order, nothing lost.
    let alone = || MlflowRegistry::open(server.client()).unwrap();
    let each = 4;
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let registry = alone();
                for _ in 0..each {
                    let number = ready(&registry, "raced", &[("model.json", b"{}".to_vec())]);
                    loop {
                        let seen = registry.revision("raced", "champion").unwrap();
                        match registry
                            .promote(promotion("raced", number, seen), Timestamp::from_millis(2000))
                        {
                            Ok(alias) => break assert_eq!(alias.revision, seen + 1),
                            Err(Error::Conflict { .. }) => {}
                            Err(e) => panic!("a race may only conflict: {e}"),
                        }
                    }
                }
            });
        }
    });
    let after = alone();
    let history = after.history("raced", "champion").unwrap();
    assert_eq!(history.len(), 3 * each);
    assert!(mlops_core::history_flaws(&history).is_empty());
    let mut named: Vec<_> = history.iter().filter_map(|c| c.version).collect();
    let there = server.client().version_by_alias("raced", "champion").unwrap().unwrap();
    assert_eq!(Some(there.version), named.last().map(u64::to_string), "MLflow's alias is the last");
    named.sort_unstable();
    assert_eq!(named, after.versions("raced").unwrap());

    // What the server lost or changed is an error, never other bytes.
    let client = server.client();
    let version = client.model_version("raced", 1).unwrap();
    client.put_artifact(&version.source, "model.json", b"[]").unwrap();
    assert!(matches!(after.artifact("raced", 1, "model.json"), Err(Error::Decode { .. })));
    client.delete_artifact(&version.source, "model.json").unwrap();
    assert!(matches!(after.artifact("raced", 1, "model.json"), Err(Error::Decode { .. })));
    // A model that is somebody else's.
    client.create_registered_model("foreign", "", &[]).unwrap();
    let new = NewVersion::new("foreign", "ana").with_artifact("x", "y");
    assert!(after.register(new, Timestamp::from_millis(0)).is_err());
}

fn models_that_python_loads(server: &Server) {
    let path = server.directory.path().join("model.onnx");
    let onnx = server.python(&["onnx", path.to_str().unwrap()]);
    let at = Timestamp::from_millis(1_769_860_800_000);
    let inputs = Some(Signature::tensor(Some("x"), "float32", &[-1, 2]));
    let signature = Signature { inputs, outputs: None };
    let version = onnx["onnx"].as_str();
    let file =
        ModelFile::onnx("model.onnx", version.unwrap_or("1.17.0"), at).with_signature(signature);
    let model = if version.is_some() { std::fs::read(&path).unwrap() } else { b"?".to_vec() };
    let registry = MlflowRegistry::open(server.client()).unwrap();
    let text = file.to_yaml().into_bytes();
    let number = ready(&registry, "onnx", &[("MLmodel", text), ("model.onnx", model)]);
    registry.promote(promotion("onnx", number, 0), at).unwrap();
    let seen = server.python(&["load", &server.url, "models:/onnx@champion"]);
    assert_eq!(seen["flavors"], json!(["onnx", "python_function"]));
    assert_eq!(seen["created"], "2026-01-31 12:00:00.000000");
    assert_eq!(seen["inputs"][0]["tensor-spec"]["dtype"], "float32");
    match &seen["predictions"] {
        Value::Null => println!("no onnxruntime there: the MLmodel was read, not the model"),
        predictions => assert_eq!(predictions, &json!([8.5, 0.5]), "2 a + 3 b + 0.5"),
    }
}

#[test]
fn mlruns_is_imported() {
    for environment in environments() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let mut writer = MlrunsWriter::create(at("mlruns")).unwrap();
        writer.experiment(7, "Größe: 'x'", 1000, &[("team", "risk").into()]).unwrap();
        let id = "0123456789abcdef0123456789abcdef";
        let mut run: Run = serde_json::from_value(json!({
            "info": {
                "run_id": id, "experiment_id": "7", "run_name": "a run: yes", "user_id": "ana",
                "status": "FINISHED", "start_time": 1000, "end_time": 2000,
            },
            "inputs": {"dataset_inputs": [{
                "dataset": {"name": "loans", "digest": "0f", "source_type": "local", "source": "{}"},
                "tags": [{"key": "mlflow.data.context", "value": "training"}],
            }]},
        }))
        .unwrap();
        run.data.params = vec![("deep/er", "line\nfeed ✓").into(), ("depth", "6").into()];
        run.data.tags = vec![("note", "").into()];
        let values = [0.1 + 0.2, f64::NAN, f64::NAN, f64::INFINITY, f64::MAX, 0.0, -0.0, 5e-324];
        let metrics = values.map(|v| Metric::new("val/loss", v, 3, 10));
        let more =
            (0..1500).map(|i| Metric::new("zig", f64::from(i % 7) / 3.0, i.into(), i.into()));
        writer.run(7, &run, metrics.into_iter().chain(more)).unwrap();
        writer.artifact(7, id, "model/größe.bin", bytes().as_slice()).unwrap();
        writer.model("loans", 1000, &[("team", "risk").into()]).unwrap();
        writer.version("loans", 1, 1000, (7, id, "model"), &[("a", "b").into()]).unwrap();
        writer.alias("loans", "champion", 1).unwrap();
        writer.finish().unwrap();

        let (source, target) = (at("mlruns"), at("x.db"));
        let interpreter = environment.join("bin/python");
        let arguments = ["migrate", source.to_str().unwrap(), target.to_str().unwrap()];
        let seen = python(&interpreter, &arguments);
        println!("{}: migrated {}", environment.display(), seen["migrated"]);
        let experiment = &seen["experiments"]["Größe: 'x'"];
        assert_eq!(experiment["tags"]["team"], "risk");
        let there = &experiment["runs"][id];
        assert_eq!((&there["name"], &there["status"]), (&json!("a run: yes"), &json!("FINISHED")));
        assert_eq!((&there["start"], &there["end"]), (&json!(1000), &json!(2000)));
        assert_eq!(there["params"], json!({ "deep/er": "line\nfeed ✓", "depth": "6" }));
        assert_eq!(there["tags"]["note"], "");
        assert_eq!(there["inputs"], json!([["loans", "0f", {"mlflow.data.context": "training"}]]));
        // One NaN, one of infinity and the largest, one zero.
        assert_eq!(there["metrics"]["val/loss"].as_array().unwrap().len(), 5);
        let zig = there["metrics"]["zig"].as_array().unwrap();
        assert_eq!(zig.len(), 1500);
        for (i, point) in (0..1500).zip(zig) {
            let value: f64 = point[2].as_str().unwrap().parse().unwrap();
            assert_eq!((&point[0], value), (&json!(i), f64::from(i % 7) / 3.0));
        }
        let digest = Digest::of(bytes()).hex();
        assert_eq!(
            there["artifacts"],
            json!({ "model/größe.bin": digest }),
            "byte-equal artifacts"
        );
        let model = &seen["models"]["loans"];
        assert_eq!(model["aliases"], json!({ "champion": "1" }));
        let version = model["versions"].as_object().unwrap().values().next().unwrap();
        assert_eq!(version, &json!([id, {"a": "b"}, {"größe.bin": digest}]));

        // And our own reader: every point, to the bit.
        let mlruns = Mlruns::open(&source).unwrap();
        assert_eq!(mlruns.experiments().unwrap()[0].name, "Größe: 'x'");
        let back = mlruns.run("7", id).unwrap();
        assert_eq!(back.data.params, run.data.params);
        assert_eq!(back.inputs, run.inputs);
        assert_eq!(mlruns.metric_history("7", id, "zig").unwrap().len(), 1500);
    }
}

#[test]
fn mlruns_of_python_is_read() {
    use std::io::Read as _;

    for environment in environments() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mlruns");
        let made = python(&environment.join("bin/python"), &["write", path.to_str().unwrap()]);
        let experiment = made["experiment"].as_str().unwrap();
        let mlruns = Mlruns::open(&path).unwrap();
        let experiments = mlruns.experiments().unwrap();
        let found = experiments.iter().find(|e| e.experiment_id == experiment).unwrap();
        assert_eq!(found.name, "Größe: a test");
        assert_eq!(found.tags, [("team", "risk").into()]);
        let ids = mlruns.run_ids(experiment).unwrap();
        assert_eq!(ids.len(), 2);
        for (n, status) in [RunStatus::Finished, RunStatus::Failed].into_iter().enumerate() {
            let id = made["runs"][format!("run {n}: yes")].as_str().unwrap();
            assert!(ids.contains(&id.to_owned()));
            let run = mlruns.run(experiment, id).unwrap();
            assert_eq!(
                (run.info.run_name.as_str(), run.info.status),
                (&*format!("run {n}: yes"), status)
            );
            assert_eq!(
                (run.info.start_time, run.info.end_time),
                (Some(1000 + n as i64), Some(2000 + n as i64))
            );
            assert_eq!(run.param("depth"), Some(&*n.to_string()));
            assert_eq!(run.param("deep/er"), Some("line\nfeed, 'quotes' and ✓"));
            assert_eq!(run.tag("note"), Some(""));
            let history = mlruns.metric_history(experiment, id, "val/loss").unwrap();
            let values: Vec<_> = history.iter().map(|m| m.value.to_bits()).collect();
            let logged = [0.1 + 0.2, f64::NAN, f64::INFINITY, -0.0, 5e-324].map(f64::to_bits);
            assert_eq!(values, logged);
            assert_eq!(history.iter().map(|m| m.step).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
            assert_eq!(run.metric("val/loss"), Some(5e-324));
            assert_eq!(mlruns.artifacts(experiment, id).unwrap(), ["deep/er/x.bin"]);
            let mut bytes = Vec::new();
            let mut file = mlruns.artifact(experiment, id, "deep/er/x.bin").unwrap();
            file.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
            assert_eq!(run.inputs.dataset_inputs.len(), usize::from(n == 0));
        }
    }
}

/// An embedded store with what a store can have.
fn store() -> MemoryRegistry {
    let store = MemoryRegistry::new();
    let at = Timestamp::from_millis;
    let experiment = store.open_experiment("Größe: 'stored'", at(500)).unwrap().id;
    let change = ExperimentChange {
        tags: [("team".to_owned(), Some("risk".to_owned()))].into(),
        ..ExperimentChange::default()
    };
    store.change_experiment(experiment, change).unwrap();
    for n in 0..3u32 {
        let mut new = TrackedRun::new(experiment)
            .with_id(format!("{n:032x}"))
            .with_name(format!("run {n}"))
            .with_user("ana")
            .with_commit("0f0f")
            .with_param("depth", n)
            .with_tag("note", "ü\n✓");
        if n == 2 {
            new = new.with_parent(format!("{:032x}", 1));
        }
        let run = store.create_run(new, at(1000 + i64::from(n))).unwrap().id;
        let digest = Digest::of(n.to_le_bytes());
        let mut batch = Batch::new()
            .dataset(tracking::Dataset::new("loans", digest).with_context("training"))
            .model(tracking::LoggedModel::new("tree", digest).at_step(3));
        for step in 0..1200u32 {
            let value = if step == 7 { f64::NAN } else { f64::from(step * (n + 1)).sqrt() };
            batch = batch.metric("val/loss", value, step.into(), at(i64::from(step) * 10));
        }
        // More keys than an old server looks at when it meets a point again.
        for key in 0..130u32 {
            batch = batch.metric(format!("m{key:03}"), f64::from(key), 0, at(0));
        }
        store.log(&run, &batch).unwrap();
        if n != 0 {
            store.finish_run(&run, RunStatus::Failed, at(5000)).unwrap();
        }
    }
    store
}

/// What Python must say of a run of that store.
fn check_stored(store: &MemoryRegistry, run: &tracking::Run, seen: &Value) {
    assert_eq!(seen["name"], run.name.as_str());
    assert_eq!(seen["status"], run.status.name());
    assert_eq!(seen["start"], run.started_at.millis());
    assert_eq!(seen["params"]["depth"], run.params["depth"].as_str());
    assert_eq!(seen["tags"]["note"], "ü\n✓");
    assert_eq!(seen["tags"]["mlflow.source.git.commit"], "0f0f");
    assert_eq!(seen["inputs"][0][0], "loans");
    assert_eq!(seen["metrics"].as_object().unwrap().len(), run.metrics.len());
    for key in run.metrics.keys() {
        let history = store.metric_history(&run.id, key).unwrap();
        let there = seen["metrics"][key].as_array().unwrap();
        assert_eq!(there.len(), history.len(), "{key}");
        for (there, point) in there.iter().zip(history) {
            let value: f64 = there[2].as_str().unwrap().parse().unwrap();
            assert_eq!((&there[0], &there[1]), (&json!(point.step), &json!(point.at.millis())));
            assert!(
                value.to_bits() == point.value.to_bits() || value.is_nan() && point.value.is_nan()
            );
        }
    }
}

fn synced(server: &Server) {
    let (store, client, cancel) = (store(), server.client(), Cancel::new());
    let done = sync_runs(&store, &client, &cancel).unwrap();
    assert_eq!((done.experiments, done.runs, done.unchanged, done.points), (1, 3, 0, 3 * 1330));
    let again = sync_runs(&store, &client, &cancel).unwrap();
    assert_eq!((again.runs, again.unchanged, again.points), (0, 3, 0), "nothing is sent twice");

    let experiment = client.experiment_by_name("Größe: 'stored'").unwrap().unwrap().experiment_id;
    let there = |id: &str| -> Run {
        let filter = format!("tags.`mlops.run_id` = '{id}'");
        let found = client.all_runs(&experiment, &filter, View::All).unwrap();
        assert_eq!(found.len(), 1, "one run there of one here");
        found.into_iter().next().unwrap()
    };
    let runs = store.search_all(&Query::new()).unwrap();
    for run in &runs {
        let seen = server.python(&["read", &server.url, &there(&run.id).info.run_id]);
        check_stored(&store, run, &seen);
        let parent = run.parent.as_ref().map(|parent| there(parent).info.run_id);
        assert_eq!(seen["tags"]["mlflow.parentRunId"].as_str(), parent.as_deref());
    }
    // Stopped before the last word of two runs: they are sent again, and nothing is there twice.
    for run in &runs[..2] {
        client.delete_run_tag(&there(&run.id).info.run_id, "mlops.synced").unwrap();
    }
    let more = Batch::new().metric("val/loss", 0.5, 5000, Timestamp::from_millis(9));
    store.log(&runs[2].id, &more).unwrap();
    store.finish_run(&runs[2].id, RunStatus::Finished, Timestamp::from_millis(7000)).unwrap();
    let done = sync_runs(&store, &client, &cancel).unwrap();
    assert_eq!((done.runs, done.unchanged), (3, 0));
    let run = store.run(&runs[2].id).unwrap();
    check_stored(&store, &run, &server.python(&["read", &server.url, &there(&run.id).info.run_id]));
    for run in &runs {
        assert_eq!(client.metric_history(&there(&run.id).info.run_id, "m007").unwrap().len(), 1);
    }
    // What somebody deleted there stays deleted.
    client.delete_run(&there(&runs[0].id).info.run_id).unwrap();
    let done = sync_runs(&store, &client, &cancel).unwrap();
    assert_eq!((done.runs, done.unchanged, done.deleted_there), (0, 2, 1));
    cancel.cancel();
    assert!(sync_runs(&store, &client, &cancel).unwrap_err().is_cancelled());
    assert!(import_runs(&client, &store, &cancel).unwrap_err().is_cancelled());
    // What was sent from here does not come back as other runs.
    let done = import_runs(&client, &store, &Cancel::new()).unwrap();
    assert_eq!(done.own, 3);
    let here = store.find_experiment("Größe: 'stored'").unwrap().unwrap().id;
    assert_eq!(store.search_all(&Query::new().experiment(here)).unwrap().len(), 3);
}

/// Everything that a store has of runs, as text.
#[expect(clippy::format_push_string, reason = "a test may allocate")]
fn runs_of(store: &MemoryRegistry) -> Vec<String> {
    let names: std::collections::BTreeMap<_, _> = store
        .experiments(View::All)
        .unwrap()
        .into_iter()
        .map(|e| (e.id, format!("{} {:?} {:?}", e.name, e.created_at, e.tags)))
        .collect();
    let mut all = Vec::new();
    for run in store.search_all(&Query::new().view(View::All)).unwrap() {
        let mut text = format!("{} {:?}", names[&run.experiment], run.parent);
        for key in run.metrics.keys() {
            let points = store.metric_history(&run.id, key).unwrap();
            let bits: Vec<_> = points.iter().map(|p| (p.step, p.at, p.value.to_bits())).collect();
            text += &format!(" {key}: {bits:?}");
        }
        text += &format!(" {} {} {:?}", run.name, run.status, run.user);
        text += &format!(" {:?} {:?} {:?}", run.started_at, run.ended_at, run.deleted_at);
        text += &format!(" {:?} {:?} {:?}", run.params, run.tags, run.datasets);
        all.push((run.id, text));
    }
    all.sort();
    all.into_iter().map(|(_, text)| text).collect()
}

/// What a live server has, and what its file has, is what a store gets.
fn imported(server: &Server) {
    let (client, cancel) = (server.client(), Cancel::new());
    let (live, file) = (MemoryRegistry::new(), MemoryRegistry::new());
    let before = server.python(&["runs", &server.url]);
    let done = import_runs(&client, &live, &cancel).unwrap();
    println!("imported {done}");
    assert!(done.runs > 15 && done.points > 5000 && done.experiments > 4, "{done:?}");
    assert_eq!(import_runs(&client, &live, &cancel).unwrap().points, 0, "nothing comes twice");
    let database = MlflowDatabase::open(server.directory.path().join("mlflow.db")).unwrap();
    assert_eq!(import_runs(&database, &file, &cancel).unwrap(), done);
    // Python's client says the same.
    assert_eq!(before.as_object().unwrap().len() as u64, done.runs);
    for (id, seen) in before.as_object().unwrap() {
        let run = live.run(id).unwrap();
        let experiment = live.experiment(run.experiment).unwrap();
        assert_eq!(
            (&seen["name"], &seen["experiment"]),
            (&json!(run.name), &json!(experiment.name))
        );
        assert_eq!((&seen["params"], &seen["tags"]), (&json!(run.params), &json!(run.tags)));
        assert_eq!(seen["status"], run.status.name());
        assert_eq!(seen["stage"] == "deleted", run.deleted_at.is_some());
        assert_eq!(seen["start"], run.started_at.millis());
        assert_eq!(seen["metrics"].as_object().unwrap().len(), run.metrics.len());
        for (key, points) in seen["metrics"].as_object().unwrap() {
            let there: Vec<_> = points.as_array().unwrap().iter().map(|p| (&p[0], &p[1])).collect();
            let history = live.metric_history(id, key).unwrap();
            let here: Vec<_> =
                history.iter().map(|p| (json!(p.step), json!(p.at.millis()))).collect();
            assert_eq!(there, here.iter().map(|(s, t)| (s, t)).collect::<Vec<_>>(), "{key}");
        }
    }
    let (live, file) = (runs_of(&live), runs_of(&file));
    for (live, file) in live.iter().zip(&file) {
        assert_eq!(live, file);
    }
    assert_eq!(server.python(&["runs", &server.url]), before, "nothing was changed there");
}

#[test]
fn a_store_is_exported_and_read_back() {
    let store = store();
    let artifacts = [("model.json", bytes()), ("deep/x", b"{}".to_vec())];
    let first = ready(&store, "loans", &artifacts);
    ready(&store, "loans", &[("model.json", b"{}".to_vec())]);
    store.promote(promotion("loans", first, 0), Timestamp::from_millis(2000)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mlruns");
    export_mlruns(&store, Some(&store), &path).unwrap();
    assert!(export_mlruns(&store, None, &path).is_err(), "the name is taken");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "and nothing is left");

    let above = Mlruns::open(directory.path()).unwrap_err().to_string();
    assert!(above.contains("its directory `mlruns` is one"), "{above}");
    let none = Mlruns::open(path.join("models")).unwrap_err().to_string();
    assert!(none.contains("experiments"), "{none}");

    // Into another store: every point, to the bit, and once.
    let other = MemoryRegistry::new();
    let mlruns = Mlruns::open(&path).unwrap();
    let cancel = Cancel::new();
    let done = import_runs(&mlruns, &other, &cancel).unwrap();
    assert_eq!((done.experiments, done.runs, done.points, done.own), (2, 5, 3 * 1330 + 2, 0));
    assert_eq!(import_runs(&mlruns, &other, &cancel).unwrap().points, 0);
    let runs = store.search_all(&Query::new()).unwrap();
    for run in &runs {
        let read = other.run(&run.id).unwrap();
        assert_eq!((&read.params, read.status), (&run.params, run.status));
        assert_eq!((&read.name, &read.parent), (&run.name, &run.parent));
        assert_eq!((&read.datasets, &read.models), (&run.datasets, &run.models));
        assert_eq!((read.started_at, read.ended_at), (run.started_at, run.ended_at));
        for key in run.metrics.keys() {
            let bits = |store: &MemoryRegistry| -> Vec<_> {
                let history = store.metric_history(&run.id, key).unwrap();
                history.iter().map(|p| (p.step, p.at, p.value.to_bits())).collect()
            };
            assert_eq!(bits(&store), bits(&other), "{key}");
        }
    }
    for environment in environments() {
        let database = directory.path().join("x.db");
        let _ = std::fs::remove_file(&database);
        let arguments = ["migrate", path.to_str().unwrap(), database.to_str().unwrap()];
        let seen = python(&environment.join("bin/python"), &arguments);
        for run in &runs {
            check_stored(&store, run, &seen["experiments"]["Größe: 'stored'"]["runs"][&run.id]);
        }
        let model = &seen["models"]["loans"];
        assert_eq!(model["aliases"], json!({ "champion": "1" }));
        let digests: Vec<_> = artifacts.iter().map(|(n, b)| (*n, Digest::of(b).hex())).collect();
        let there = model["versions"].as_object().unwrap();
        assert_eq!(there.len(), 2);
        let files = there.values().find(|v| v[2].as_object().unwrap().len() == 2).unwrap();
        for (name, digest) in digests {
            assert_eq!(files[2][name], digest, "byte-equal artifacts");
        }
    }
}
