//! The bill of materials of a model card against CycloneDX's own schema, the front matter against
//! a YAML reader and Hugging Face's own.
//!
//! `MLOPS_CYCLONEDX` is the path of a Python that has `cyclonedx-python-lib[json-validation]`,
//! `huggingface_hub` and `pyyaml`.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

use std::fs;
use std::process::Command;

use mlops_core::arrow::datatypes::{DataType, Field, Schema};
use mlops_core::{
    Approval, Assessment, Digest, Finding, GateReport, NewVersion, Promotion, Registry, Signature,
    Timestamp, Verdict,
};
use mlops_registry::MemoryRegistry;
use mlops_registry::card::ModelCard;

const SCRIPT: &str = r#"
import json, sys, yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
for bom in sys.argv[1:-1]:
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(bom, encoding="utf-8").read())
    if error is not None:
        sys.exit(f"{bom}: {error}")
front = yaml.safe_load(open(sys.argv[-1], encoding="utf-8").read().split("---\n")[1])
metrics = front["model-index"][0]["results"][0]["metrics"]
assert {m["type"]: m["value"] for m in metrics}["roc_auc"] == 0.8125, metrics
assert {m["type"]: m["value"] for m in metrics}["tiny"] == 1e-300, metrics
license = "apache-2.0: \"or\" \\ else\n# no"
assert front["license"] == license, front
from huggingface_hub import ModelCard
card = ModelCard.load(sys.argv[-1])
assert (card.data.license, card.data.pipeline_tag) == (license, "tabular-classification"), card.data
assert (card.data.model_name, card.data.tags) == ("loans", ["mlops"]), card.data
results = {r.metric_type: r for r in card.data.eval_results}
assert results["roc_auc"].metric_value == 0.8125, results
assert results["nan"].metric_value != results["nan"].metric_value, results
assert {r.task_type for r in card.data.eval_results} == {"tabular-classification"}, results
assert {r.dataset_name for r in card.data.eval_results} == {"applications, 2025"}, results
assert card.text.lstrip().startswith('# loans v1'), card.text[:80]
"#;

fn cards() -> [ModelCard; 2] {
    let registry = MemoryRegistry::new();
    let field = |name: &str, kind| Field::new(name, kind, false);
    let inputs =
        Schema::new(vec![field("income", DataType::Float64), field("city", DataType::Utf8)]);
    let outputs = Schema::new(vec![field("score", DataType::Float64)]);
    let at = Timestamp::from_millis(1_769_860_800_123);
    let plain = NewVersion::new("plain", "ana").with_artifact("model.json", "{}");
    registry.register(plain, at).unwrap();
    let mut full = NewVersion::new("loans", "ana <ana@example.com>")
        .with_artifact("model.json", "{}")
        .with_artifact("weights/a.bin", vec![0; 300])
        .with_metric("roc_auc", 0.8125)
        .with_metric("tiny", 1e-300)
        .with_metric("nan", f64::NAN)
        .with_param("depth", 3)
        .with_data_digest(Digest::of("data"))
        .with_tag("card.description", "Ranks <b>applications</b> & nothing else")
        .with_tag("card.task", "tabular-classification")
        .with_tag("card.dataset", "applications, 2025")
        .with_tag("card.license", "apache-2.0: \"or\" \\ else\n# no")
        .with_tag("card.intended_use", "A person looks at the first of them.")
        .with_tag("card.limitations", "Not for people under 18.")
        .with_tag("card.ethics", "May favour who applied before.")
        .with_tag("fairness.sex", "selection rates within 0.02")
        .with_tag("attribution.top", "income, age")
        .with_tag("team", "credit");
    full.signature = Some(Signature::new(&inputs, &outputs));
    full.lineage.commit = Some("0123abc".into());
    full.suite_digest = Some(Digest::of("suite"));
    let version = registry.register(full, at).unwrap();
    let finding = Finding::new("roc_auc", "hold-out", Verdict::Pass, "≥ 0.75", "0.8125");
    let report = GateReport::new(version.digest, Assessment::new("quality", 9, vec![finding]), at);
    registry.record_gate("loans", 1, report).unwrap();
    let approval = Approval { by: "ben".into(), comment: "read | it".into(), at };
    registry.approve("loans", 1, approval).unwrap();
    let promotion = Promotion {
        model: "loans".into(),
        alias: "champion".into(),
        version: 1,
        actor: "ana".into(),
        reason: "better".into(),
        expected_revision: 0,
        key: None,
    };
    registry.promote(promotion, at).unwrap();
    [("plain", 1), ("loans", 1)].map(|(m, n)| ModelCard::read(&registry, m, n).unwrap())
}

#[test]
fn a_card_says_all_that_is_known() {
    let [plain, full] = cards();
    let text = full.to_markdown();
    for part in [
        "# loans v1",
        "champion",
        "Ranks",
        "A person looks",
        "Not for people under 18.",
        "May favour",
        "0.8125",
        "quality",
        "ben",
        "selection rates within 0.02",
        "income, age",
        "applications, 2025",
        "depth",
        "0123abc",
        "income",
        "weights/a.bin",
        "credit",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(full.to_html().contains("&lt;b&gt;applications&lt;/b&gt; &amp; nothing else"));
    assert_eq!((plain.verdict(), full.verdict()), (Verdict::Inconclusive, Verdict::Pass));
    let text = plain.to_markdown();
    assert!(text.contains("No gate was run on it.") && text.contains("Nobody has approved it."));
    assert!(!plain.to_hugging_face().contains("model-index"));
    // MLOPS_CARDS is a directory to look at the cards in.
    if let Ok(directory) = std::env::var("MLOPS_CARDS") {
        for (name, card) in [("plain", &plain), ("full", &full)] {
            fs::write(format!("{directory}/{name}.html"), card.to_html()).unwrap();
            fs::write(format!("{directory}/{name}.md"), card.to_hugging_face()).unwrap();
        }
    }
}

#[test]
fn the_schema_and_a_yaml_reader_agree() {
    let Ok(python) = std::env::var("MLOPS_CYCLONEDX") else {
        println!("skipped: MLOPS_CYCLONEDX is not set");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let [plain, full] = cards();
    let [a, b, md] = ["a.json", "b.json", "README.md"].map(|name| dir.path().join(name));
    fs::write(&a, plain.to_cyclonedx().to_string()).unwrap();
    fs::write(&b, full.to_cyclonedx().to_string()).unwrap();
    fs::write(&md, full.to_hugging_face()).unwrap();
    let output = Command::new(python).args(["-c", SCRIPT]).args([a, b, md]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
