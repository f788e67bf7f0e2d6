//! The card as Hugging Face reads it: YAML in front of Markdown.

use std::fmt::Write as _;

use super::ModelCard;

impl ModelCard {
    /// The card as a `README.md` of the Hugging Face Hub: front matter with license, language,
    /// task and the results as a `model-index`, then the Markdown.
    ///
    /// The Hub wants a task and a data set for results; where the tags don't name them, they are
    /// `other` and the digest of the data.
    pub fn to_hugging_face(&self) -> String {
        let v = &self.version;
        let mut out = String::from("---\n");
        let mut line = |indent: usize, key: &str, value: &str| {
            // Writing to a string can't fail.
            let _ = writeln!(out, "{:indent$}{key}: {}", "", quoted(value));
        };
        for (key, tag) in
            [("license", "license"), ("language", "language"), ("pipeline_tag", "task")]
        {
            if let Some(text) = self.said(tag) {
                line(0, key, text);
            }
        }
        line(0, "model_name", &v.model);
        out.push_str("tags:\n- \"mlops\"\n");
        if !v.metrics.is_empty() {
            let digest = v.data_digest.map(|d| d.to_string());
            let data = self.said("dataset").or(digest.as_deref()).unwrap_or("unknown");
            let _ = writeln!(out, "model-index:\n- name: {}\n  results:", quoted(&v.model));
            let task = quoted(self.said("task").unwrap_or("other"));
            let data = quoted(data);
            let _ = writeln!(out, "  - task:\n      type: {task}");
            let _ = writeln!(out, "    dataset:\n      type: {data}\n      name: {data}");
            out.push_str("    metrics:\n");
            for (name, value) in &v.metrics {
                let name = quoted(name);
                let _ = writeln!(out, "    - type: {name}\n      name: {name}");
                let _ = writeln!(out, "      value: {}", number(*value));
            }
        }
        out.push_str("---\n\n");
        out.push_str(&self.to_markdown());
        out
    }
}

/// A string in double quotes, of which YAML 1.1 and 1.2 read the same.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            // Control characters, line ends of YAML 1.1, and what no YAML may have.
            c if c.is_control() || "\u{2028}\u{2029}\u{feff}\u{fffe}\u{ffff}".contains(c) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn number(x: f64) -> String {
    match x {
        x if x.is_nan() => ".nan".into(),
        f64::INFINITY => ".inf".into(),
        f64::NEG_INFINITY => "-.inf".into(),
        // YAML 1.1 takes an exponent for a number only after a point.
        x => {
            let text = format!("{x:?}");
            match text.split_once('e') {
                Some((mantissa, exponent)) => {
                    let point = if mantissa.contains('.') { "" } else { ".0" };
                    let sign = if exponent.starts_with('-') { "" } else { "+" };
                    format!("{mantissa}{point}e{sign}{exponent}")
                }
                None => text,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mlops_core::{NewVersion, Timestamp};

    use super::*;

    #[test]
    fn front_matter_has_what_the_hub_asks_for() {
        let new = NewVersion::new("loans", "ana")
            .with_artifact("model.json", "{}")
            .with_metric("roc_auc", 0.8125)
            .with_metric("worst", f64::NEG_INFINITY)
            .with_tag("card.license", "mit")
            .with_tag("card.task", "tabular-classification")
            .with_tag("card.dataset", "a \"quoted\"\nname");
        let card = ModelCard::new(new.to_version(1, Timestamp::from_millis(0)));
        let text = card.to_hugging_face();
        let front = "---\n\
            license: \"mit\"\n\
            pipeline_tag: \"tabular-classification\"\n\
            model_name: \"loans\"\n\
            tags:\n- \"mlops\"\n\
            model-index:\n\
            - name: \"loans\"\n\
            \u{20} results:\n\
            \u{20} - task:\n\
            \u{20}     type: \"tabular-classification\"\n\
            \u{20}   dataset:\n\
            \u{20}     type: \"a \\\"quoted\\\"\\nname\"\n\
            \u{20}     name: \"a \\\"quoted\\\"\\nname\"\n\
            \u{20}   metrics:\n\
            \u{20}   - type: \"roc_auc\"\n\
            \u{20}     name: \"roc_auc\"\n\
            \u{20}     value: 0.8125\n\
            \u{20}   - type: \"worst\"\n\
            \u{20}     name: \"worst\"\n\
            \u{20}     value: -.inf\n\
            ---\n\n# loans v1\n";
        assert!(text.starts_with(front), "{text}");
    }

    #[test]
    fn scalars_are_safe() {
        assert_eq!(quoted("a: b # c\u{85}\u{2028}"), "\"a: b # c\\u0085\\u2028\"");
        assert_eq!(number(1e300), "1.0e+300");
        assert_eq!(number(1.5e-300), "1.5e-300");
        assert_eq!(number(f64::NAN), ".nan");
        assert_eq!(number(3.0), "3.0");
    }
}
