//! The card as a CycloneDX 1.6 bill of materials.

use mlops_core::arrow::datatypes::FieldRef;
use serde_json::{Map, Value, json};

use super::ModelCard;

impl ModelCard {
    /// The card as a CycloneDX 1.6 ML-BOM: a component of the type `machine-learning-model` with
    /// its `modelCard`, and a component per file. The serial number is made of the version's
    /// digest, so that it is the same whenever it is asked for.
    pub fn to_cyclonedx(&self) -> Value {
        let v = &self.version;
        let reference = format!("{}@{}", v.model, v.number);
        let mut component = Map::new();
        let mut put = |key: &str, value: Value| component.insert(key.to_owned(), value);
        put("type", json!("machine-learning-model"));
        put("bom-ref", json!(reference));
        put("name", json!(v.model));
        put("version", json!(v.number.to_string()));
        put("authors", json!([{ "name": v.author }]));
        if let Some(text) = self.said("description") {
            put("description", json!(text));
        }
        if let Some(license) = self.said("license") {
            // An `id` has to be on SPDX's list; a `name` may be anything.
            put("licenses", json!([{ "license": { "name": license } }]));
        }
        put("modelCard", self.model_card());
        put("properties", self.properties());

        let files: Vec<Value> = v
            .artifacts
            .iter()
            .map(|a| {
                json!({
                    "type": "file",
                    "bom-ref": format!("{reference}/{}", a.name),
                    "name": a.name,
                    "hashes": [{ "alg": "SHA-256", "content": a.digest.hex() }],
                    "properties": [property("mlops:size", &a.size.to_string())],
                })
            })
            .collect();
        let parts: Vec<Value> = files.iter().map(|file| file["bom-ref"].clone()).collect();
        json!({
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": self.serial_number(),
            "version": 1,
            "metadata": {
                "timestamp": v.created_at.to_string(),
                "component": component,
            },
            "components": files,
            "dependencies": [{ "ref": reference, "dependsOn": parts }],
        })
    }

    fn model_card(&self) -> Value {
        let v = &self.version;
        let mut parameters = Map::new();
        if let Some(task) = self.said("task") {
            parameters.insert("task".into(), json!(task));
        }
        if self.said("dataset").is_some() || v.data_digest.is_some() {
            let name = self.said("dataset").unwrap_or("training data");
            let mut data = json!({ "type": "dataset", "name": name });
            if let Some(digest) = v.data_digest {
                let digest = property("mlops:digest", &digest.to_string());
                data["contents"] = json!({ "properties": [digest] });
            }
            parameters.insert("datasets".into(), json!([data]));
        }
        if let Some(signature) = &v.signature {
            for (key, schema) in [("inputs", &signature.inputs), ("outputs", &signature.outputs)] {
                let column =
                    |f: &FieldRef| json!({ "format": format!("{}: {}", f.name(), f.data_type()) });
                let columns: Vec<Value> = schema.fields().iter().map(column).collect();
                parameters.insert(key.into(), columns.into());
            }
        }
        let metrics: Vec<Value> = v
            .metrics
            .iter()
            .map(|(name, value)| json!({ "type": name, "value": value.to_string() }))
            .collect();
        let mut considerations = Map::new();
        for (key, tag) in [("useCases", "intended_use"), ("technicalLimitations", "limitations")] {
            if let Some(text) = self.said(tag) {
                considerations.insert(key.into(), json!([text]));
            }
        }
        if let Some(text) = self.said("ethics") {
            considerations.insert("ethicalConsiderations".into(), json!([{ "name": text }]));
        }
        let fairness: Vec<Value> = self
            .under("fairness.")
            .into_iter()
            .map(|(name, text)| json!({ "groupAtRisk": name, "mitigationStrategy": text }))
            .collect();
        if !fairness.is_empty() {
            considerations.insert("fairnessAssessments".into(), json!(fairness));
        }
        let mut card = Map::new();
        card.insert("modelParameters".into(), parameters.into());
        if !metrics.is_empty() {
            let analysis = json!({ "performanceMetrics": metrics });
            card.insert("quantitativeAnalysis".into(), analysis);
        }
        if !considerations.is_empty() {
            card.insert("considerations".into(), considerations.into());
        }
        card.into()
    }

    fn properties(&self) -> Value {
        let v = &self.version;
        let mut all = vec![
            property("mlops:digest", &v.digest.to_string()),
            property("mlops:verdict", &self.verdict().to_string()),
        ];
        let lineage = &v.lineage;
        let texts = [("mlops:run", &lineage.run), ("mlops:commit", &lineage.commit)];
        all.extend(texts.iter().filter_map(|(name, text)| Some(property(name, text.as_ref()?))));
        let digests = [("mlops:profile", v.profile_digest), ("mlops:suite", v.suite_digest)];
        all.extend(digests.iter().filter_map(|(k, d)| Some(property(k, &d.as_ref()?.to_string()))));
        for (name, gate) in v.latest_gates() {
            all.push(property(&format!("mlops:gate:{name}"), &gate.assessment.verdict.to_string()));
        }
        for approval in &v.approvals {
            all.push(property("mlops:approved_by", &approval.by));
        }
        for withdrawn in &v.withdrawn {
            all.push(property("mlops:approval_taken_back_by", &withdrawn.approval.by));
        }
        for alias in &self.aliases {
            all.push(property("mlops:alias", alias));
        }
        for (name, value) in &v.params {
            all.push(property(&format!("mlops:param:{name}"), value));
        }
        for (name, value) in self.under("attribution.") {
            all.push(property(&format!("mlops:attribution:{name}"), value));
        }
        all.into()
    }

    /// A UUID of version 8 (RFC 9562): bytes of the digest.
    fn serial_number(&self) -> String {
        let named =
            format!("{} v{} {}", self.version.model, self.version.number, self.version.digest);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&mlops_core::Digest::of(named).as_bytes()[..16]);
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex = format!("{:032x}", u128::from_be_bytes(bytes));
        let [a, b, c, d, e] = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        format!("urn:uuid:{a}-{b}-{c}-{d}-{e}")
    }
}

fn property(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value })
}

#[cfg(test)]
mod tests {
    use mlops_core::{Digest, NewVersion, Timestamp};

    use super::*;

    /// Fields and types by the schema's own names; `tests/cards.rs` asks the schema itself.
    #[test]
    fn a_bill_names_the_model_and_its_files() {
        let new = NewVersion::new("loans", "ana")
            .with_artifact("weights/model.json", "{}")
            .with_metric("roc_auc", 0.8125)
            .with_metric("nan", f64::NAN)
            .with_data_digest(Digest::of("data"))
            .with_tag("fairness.sex", "selection rates within 0.02")
            .with_tag("card.limitations", "Not for people under 18.");
        let bom = ModelCard::new(new.to_version(3, Timestamp::from_millis(0))).to_cyclonedx();
        let component = &bom["metadata"]["component"];
        assert_eq!(component["type"], "machine-learning-model");
        assert_eq!(component["bom-ref"], "loans@3");
        let metrics = &component["modelCard"]["quantitativeAnalysis"]["performanceMetrics"];
        assert_eq!(metrics[1], json!({ "type": "roc_auc", "value": "0.8125" }));
        assert_eq!(metrics[0]["value"], "NaN");
        let hash = &bom["components"][0]["hashes"][0];
        assert_eq!(hash, &json!({ "alg": "SHA-256", "content": Digest::of("{}").hex() }));
        let serial = bom["serialNumber"].as_str().unwrap();
        assert_eq!((serial.len(), &serial[..9], &serial[23..24]), (45, "urn:uuid:", "8"));
    }
}
