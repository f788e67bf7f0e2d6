//! Policies as files: a [`FairnessGate`] as YAML or JSON, read strictly, and its JSON schema.

use std::path::Path;

use mlops_core::{Error, Result};
use serde_json::{Value, json};

use super::fairness_gate::FairnessGate;
use crate::measure::Measure;

impl FairnessGate {
    /// The policy as YAML (feature `yaml`), which [`from_yaml`](Self::from_yaml) reads back as it was.
    ///
    /// # Errors
    /// Those of [`check`](Self::check).
    #[cfg(feature = "yaml")]
    pub fn to_yaml(&self) -> Result<String> {
        self.check()?;
        serde_saphyr::to_string(self).map_err(|e| Error::other("writing a policy as YAML", e))
    }

    /// A policy from YAML (feature `yaml`).
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json), with the line.
    #[cfg(feature = "yaml")]
    pub fn from_yaml(text: &str) -> Result<Self> {
        // Norway is no `false`: only `true` and `false` are booleans, as in YAML 1.2.
        let options = serde_saphyr::options! { strict_booleans: true };
        let gate: Self = serde_saphyr::from_str_with_options(text, options)
            .map_err(|e| Error::invalid("policy", "YAML of a fairness policy", e))?;
        gate.check()?;
        Ok(gate)
    }

    /// The policy as indented JSON, which [`from_json`](Self::from_json) reads back as it was.
    ///
    /// # Errors
    /// Those of [`check`](Self::check).
    pub fn to_json(&self) -> Result<String> {
        self.check()?;
        serde_json::to_string_pretty(self).map_err(|e| Error::other("writing a policy as JSON", e))
    }

    /// A policy from JSON.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the line and the column of what does not parse, of an unknown
    /// field, metric or operation, and of a field that is there twice; those of
    /// [`check`](Self::check), with the number of the rule.
    pub fn from_json(text: &str) -> Result<Self> {
        let gate: Self = serde_json::from_str(text)
            .map_err(|e| Error::invalid("policy", "JSON of a fairness policy", e))?;
        gate.check()?;
        Ok(gate)
    }

    /// A policy from a file whose name ends in `.yaml`, `.yml` or `.json`.
    ///
    /// # Errors
    /// [`Error::Io`]; as [`from_json`](Self::from_json), with the file's name.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let gate = match path.extension().and_then(|e| e.to_str()) {
            Some("json") => Self::from_json(&text),
            #[cfg(feature = "yaml")]
            Some("yaml" | "yml") => Self::from_yaml(&text),
            #[cfg(not(feature = "yaml"))]
            Some("yaml" | "yml") => {
                Err(Error::invalid("a policy", "JSON, without the feature `yaml`", "YAML"))
            }
            _ => {
                Err(Error::invalid("name of a policy's file", "*.yaml, *.yml or *.json", "another"))
            }
        };
        gate.map_err(|e| e.within(path.display().to_string()))
    }

    /// The [JSON schema](https://json-schema.org/draft/2020-12/schema) of policies, for editors and
    /// for checks of YAML and JSON before they get here. `mlops-fairness/policy.schema.json` is
    /// this, written down.
    pub fn json_schema() -> Value {
        let metrics: Vec<_> = Measure::all().map(Measure::name).collect();
        let names = json!({"type": "array", "items": {"type": "string"}, "minItems": 1});
        let small = json!({"enum": ["inconclusive", "set_aside"]});
        let rule = json!({
            "type": "object",
            "required": ["metric", "features", "bound"],
            "additionalProperties": false,
            "properties": {
                "metric": {"enum": metrics},
                "operation": {
                    "enum": ["difference", "ratio", "group_min", "group_max"],
                    "default": "difference",
                },
                "method": {"enum": ["between_groups", "to_overall"], "default": "between_groups"},
                "features": names,
                "class": {"type": "string"},
                "bound": {"type": "number"},
                "at": {"enum": ["confidence_limit", "point"], "default": "confidence_limit"},
                "min_group_size": {"type": "integer", "minimum": 0},
                "undefined": {
                    "enum": ["inconclusive", "fail", "set_aside"],
                    "default": "inconclusive",
                },
                "severity": {"enum": ["info", "warning", "critical"], "default": "critical"},
                "description": {"type": "string"},
            },
        });
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "A fairness policy",
            "type": "object",
            "required": ["name", "rules"],
            "additionalProperties": false,
            "properties": {
                "name": {"type": "string"},
                "rules": {"type": "array", "items": rule},
                "confidence": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "exclusiveMaximum": 1,
                    "default": 0.95,
                },
                "min_group_size": {"type": "integer", "minimum": 0, "default": 30},
                "small_groups": small,
                "difference_limits": {
                    "enum": ["miettinen_nurminen", "newcombe"],
                    "default": "miettinen_nurminen",
                },
                "ratio_limits": {"enum": ["score", "log"], "default": "score"},
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gap::DifferenceLimits;
    use crate::{At, GapKind, Metric, Operation, Rule, SmallGroups, WhenUndefined};

    fn policy() -> FairnessGate {
        let accurate = (Measure::Rate(Metric::Accuracy), Operation::GroupMin);
        let mut gate = FairnessGate::new("hiring")
            .rule(GapKind::DemographicParityRatio, "sex", 0.8)
            .with(
                Rule::new(GapKind::EqualizedOddsDifference, ["sex", "race"], 0.1)
                    .at_point()
                    .min_group_size(50)
                    .undefined(WhenUndefined::SetAside)
                    .severity(mlops_core::Severity::Warning),
            )
            .rule(accurate, "sex", 0.7)
            .confidence(0.9)
            .min_group_size(40, SmallGroups::SetAside);
        gate.difference_limits = DifferenceLimits::Newcombe;
        gate.rules[1].description = Some("said: \"no: yes\" # not a comment".into());
        gate
    }

    #[test]
    fn yaml_and_json_round_trip() {
        let gate = policy();
        let folder = tempfile::tempdir().unwrap();
        #[cfg(feature = "yaml")]
        {
            assert_eq!(FairnessGate::from_yaml(&gate.to_yaml().unwrap()).unwrap(), gate);
            let path = folder.path().join("policy.yml");
            std::fs::write(&path, gate.to_yaml().unwrap()).unwrap();
            assert_eq!(FairnessGate::load(&path).unwrap(), gate);
        }
        assert_eq!(FairnessGate::from_json(&gate.to_json().unwrap()).unwrap(), gate);
        let path = folder.path().join("policy.json");
        std::fs::write(&path, gate.to_json().unwrap()).unwrap();
        assert_eq!(FairnessGate::load(&path).unwrap(), gate);
        let other = folder.path().join("policy.toml");
        std::fs::write(&other, "").unwrap();
        assert!(FairnessGate::load(&other).is_err());
        assert!(FairnessGate::load(folder.path().join("none.yaml")).is_err());
    }

    #[test]
    fn a_short_policy_has_the_defaults() {
        let gate = FairnessGate::from_json(
            r#"{"name": "f", "rules": [
                {"metric": "demographic_parity", "features": ["sex"], "bound": 0.1}]}"#,
        )
        .unwrap();
        let expected =
            FairnessGate::new("f").rule(GapKind::DemographicParityDifference, "sex", 0.1);
        assert_eq!(gate, expected);
        assert_eq!((gate.rules[0].at, gate.min_group_size), (At::ConfidenceLimit, 30));
    }

    #[cfg(feature = "yaml")]
    #[test]
    fn what_is_wrong_in_yaml_is_said_with_its_place() {
        let base =
            "name: f\nrules:\n- metric: demographic_parity\n  features: [sex]\n  bound: 0.1\n";
        for (from, to, said, line) in [
            ("metric: demographic_parity", "metric: parity", "`parity`", "line 3"),
            ("bound: 0.1", "bond: 0.1", "bond", "line 5"),
            ("bound: 0.1", "bound: ten", "", "line 5"),
            ("features: [sex]", "features: sex", "", "line 4"),
            ("  bound: 0.1\n", "  bound: 0.1\n  bound: 0.2\n", "bound", "line 6"),
            ("  bound: 0.1\n", "", "bound", ""),
            ("bound: 0.1", "bound: 1.5", "rule 1", ""),
            ("bound: 0.1", "bound: .nan", "rule 1", ""),
            ("features: [sex]", "features: []", "rule 1", ""),
            ("name: f", "name: f\nconfidence: 95", "confidence", ""),
            ("name: f", "name: f\nmin_group_size: -1", "", "line 2"),
            ("- metric", "- at: maybe\n  metric", "maybe", "line 3"),
        ] {
            let text = base.replace(from, to);
            let error = FairnessGate::from_yaml(&text).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains(line), "{to}: {error}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let base = "{\"name\": \"f\",\n\"rules\": [{\"metric\": \"demographic_parity\",\n\"features\": [\"sex\"],\n\"bound\": 0.1}]}";
        for (from, to, said, line) in [
            ("demographic_parity", "parity", "`parity`", "line 2"),
            ("\"bound\": 0.1", "\"bond\": 0.1", "bond", "line 4"),
            ("0.1", "\"ten\"", "ten", "line 4"),
            ("0.1}", "0.1, \"bound\": 0.2}", "duplicate", "line 4"),
            (",\n\"bound\": 0.1", "", "bound", "line 3"),
            ("0.1", "1.5", "rule 1", ""),
            ("[\"sex\"]", "[]", "rule 1", ""),
            ("\"f\",", "\"f\", \"confidence\": 95,", "confidence", ""),
            ("\"f\",", "\"f\", \"min_group_size\": -1,", "-1", "line 1"),
            ("\"bound\"", "\"at\": \"maybe\", \"bound\"", "maybe", "line 4"),
        ] {
            let error = FairnessGate::from_json(&base.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains(line), "{to}: {error}");
        }
        assert!(FairnessGate::new("f").confidence(2.0).to_json().is_err());
    }

    #[test]
    fn the_schema_is_written_down() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/policy.schema.json");
        let schema = FairnessGate::json_schema();
        if std::env::var_os("MLOPS_WRITE_SCHEMA").is_some() {
            let text = serde_json::to_string_pretty(&schema).unwrap();
            std::fs::write(path, text + "\n").unwrap();
        }
        let written: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(written, schema, "MLOPS_WRITE_SCHEMA=1 writes it anew");
        // Every field that is written is known to it, and no other.
        let text = serde_json::to_value(policy()).unwrap();
        let known = |of: &Value, schema: &Value| {
            for name in of.as_object().unwrap().keys() {
                assert!(schema["properties"].get(name).is_some(), "{name}");
            }
        };
        known(&text, &schema);
        for rule in text["rules"].as_array().unwrap() {
            known(rule, &schema["properties"]["rules"]["items"]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn mutated_files_are_an_error_or_a_usable_gate(
            at in 0usize..2000, to in any::<char>(), cut in 0usize..40,
        ) {
            mutated(&policy().to_json().unwrap(), FairnessGate::from_json, at, to, cut)?;
            #[cfg(feature = "yaml")]
            mutated(&policy().to_yaml().unwrap(), FairnessGate::from_yaml, at, to, cut)?;
        }
    }

    fn mutated(
        text: &str,
        read: fn(&str) -> Result<FairnessGate>,
        at: usize,
        to: char,
        cut: usize,
    ) -> std::result::Result<(), TestCaseError> {
        let mut chars: Vec<char> = text.chars().collect();
        let at = at % chars.len();
        chars[at] = to;
        let upto = (at + cut).min(chars.len());
        chars.drain(at + 1..upto.max(at + 1));
        let text: String = chars.into_iter().collect();
        if let Ok(gate) = read(&text) {
            prop_assert!(gate.check().is_ok());
        }
        Ok(())
    }
}
