//! The card's facts, and how they read.

use std::collections::BTreeMap;

use mlops_core::arrow::datatypes::FieldRef;
use mlops_core::report::{Cell, Report, Section, Table};
use mlops_core::{AliasChange, Registry, Result, Verdict, Version};

/// A model card: a version's record, put in the order in which a reader asks.
///
/// Build it from a version that was read, or from a registry; every form is a function of it, so
/// that equal records give equal bytes. Text in it is what people wrote: every form escapes it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ModelCard {
    /// The version.
    pub version: Version,
    /// The aliases that name it, by name.
    pub aliases: Vec<String>,
    /// The moves of aliases to it or away from it, by alias, oldest first.
    pub history: Vec<AliasChange>,
}

impl ModelCard {
    /// The card of a version that no alias names.
    pub fn new(version: Version) -> Self {
        Self { version, aliases: Vec::new(), history: Vec::new() }
    }

    /// The card of a version as it stands in a registry.
    ///
    /// # Errors
    /// [`Error::NotFound`](mlops_core::Error::NotFound); a store that can't be read.
    pub fn read(registry: &(impl Registry + ?Sized), model: &str, number: u64) -> Result<Self> {
        let mut card = Self::new(registry.version(model, number)?);
        for alias in registry.aliases(model)? {
            let moves = registry.history(model, &alias.alias)?;
            let concern =
                |change: &AliasChange| [change.version, change.previous].contains(&Some(number));
            card.history.extend(moves.into_iter().filter(concern));
            if alias.version == Some(number) {
                card.aliases.push(alias.alias);
            }
        }
        Ok(card)
    }

    /// The verdict over its latest gates: [`Verdict::all`], inconclusive without any.
    pub fn verdict(&self) -> Verdict {
        Verdict::all(self.version.latest_gates().values().map(|g| g.assessment.verdict))
    }

    /// What a tag of the card says, unless it is empty.
    pub(super) fn said(&self, tag: &str) -> Option<&str> {
        let text = self.version.tags.get(&format!("card.{tag}"))?.trim();
        (!text.is_empty()).then_some(text)
    }

    /// The tags under a prefix, by the name after it.
    pub(super) fn under(&self, prefix: &str) -> BTreeMap<&str, &str> {
        let tags = self.version.tags.iter();
        tags.filter_map(|(k, v)| Some((k.strip_prefix(prefix)?, v.as_str()))).collect()
    }

    /// The card as a report, for any of a report's forms.
    pub fn to_report(&self) -> Report {
        let v = &self.version;
        let mut report = Report::new(format!("{} v{}", v.model, v.number))
            .meta("Author", v.author.as_str())
            .meta("Registered", v.created_at.to_string())
            .verdict(self.verdict());
        if let Some(description) = self.said("description") {
            report = report.subtitle(description);
        }
        if !self.aliases.is_empty() {
            report = report.meta("Named by", self.aliases.join(", "));
        }
        for (name, tag) in [("Task", "task"), ("License", "license"), ("Language", "language")] {
            if let Some(text) = self.said(tag) {
                report = report.meta(name, text);
            }
        }
        for (title, tag) in [
            ("Intended use", "intended_use"),
            ("Limitations", "limitations"),
            ("Ethical considerations", "ethics"),
        ] {
            if let Some(text) = self.said(tag) {
                report = report.section(Section::new(title).text(text));
            }
        }
        if !v.metrics.is_empty() {
            let rows = v.metrics.iter().map(|(name, x)| (Cell::code(name), Cell::number(*x, 4)));
            report = report
                .section(Section::new("Metrics").table(Table::new(["Metric", "Value"]).rows(rows)));
        }
        report = report.section(self.gates());
        for (title, prefix) in [("Fairness", "fairness."), ("Attribution", "attribution.")] {
            let summaries = self.under(prefix);
            if !summaries.is_empty() {
                report = report.section(Section::new(title).key_values(summaries));
            }
        }
        if let Some(signature) = &v.signature {
            let sides = [("takes", &signature.inputs), ("gives", &signature.outputs)];
            let rows = sides.into_iter().flat_map(|(side, schema)| {
                let row = move |f: &FieldRef| {
                    let nulls = if f.is_nullable() { "may be null" } else { "never null" };
                    (side, Cell::code(f.name()), f.data_type().to_string(), nulls)
                };
                schema.fields().iter().map(row).collect::<Vec<_>>()
            });
            let table = Table::new(["Side", "Column", "Type", "Nulls"]).rows(rows);
            report = report.section(Section::new("Signature").table(table));
        }
        report = report.section(self.training());
        if !self.history.is_empty() {
            report = report.section(self.moves());
        }
        let files = v
            .artifacts
            .iter()
            .map(|a| (Cell::code(&a.name), Cell::from(a.size), Cell::code(a.digest.to_string())));
        report = report.section(
            Section::new("Files")
                .key_values([("Digest of the version", Cell::code(v.digest.to_string()))])
                .table(Table::new(["File", "Bytes", "Digest"]).rows(files).cards()),
        );
        let known = ["card.", "fairness.", "attribution."];
        let others = v.tags.iter().filter(|(k, _)| !known.iter().any(|p| k.starts_with(p)));
        let others: Vec<_> = others.map(|(k, v)| (k.as_str(), v.as_str())).collect();
        if !others.is_empty() {
            report = report.section(Section::new("Tags").key_values(others));
        }
        report
    }

    fn gates(&self) -> Section {
        let v = &self.version;
        let gates = v.latest_gates();
        let mut section = Section::new("Gates and approvals").verdict(self.verdict());
        if gates.is_empty() {
            section = section.text("No gate was run on it.");
        } else {
            let table = Table::new(["Gate", "Verdict", "Rows", "At"]);
            section = section.table(table.rows(gates.values().map(|g| {
                let (rows, at) = (g.assessment.rows, g.at.to_string());
                (g.gate.as_str(), g.assessment.verdict, rows, at)
            })));
            for gate in gates.values() {
                let findings = Section::new(gate.gate.as_str())
                    .verdict(gate.assessment.verdict)
                    .folded(true)
                    .findings(&gate.assessment);
                section = section.section(findings);
            }
        }
        let rows =
            v.approvals.iter().map(|a| (a.by.as_str(), a.at.to_string(), a.comment.as_str()));
        section = match (v.approvals.len(), v.withdrawn.len()) {
            (0, 0) => section.text("Nobody has approved it."),
            (0, _) => section.text("No approval of it stands."),
            _ => section.table(Table::new(["Approved by", "At", "Comment"]).rows(rows)),
        };
        if v.withdrawn.is_empty() {
            return section;
        }
        let rows = v
            .withdrawn
            .iter()
            .map(|w| (w.approval.by.as_str(), w.at.to_string(), w.reason.as_str()));
        section.table(Table::new(["Approval taken back by", "At", "Reason"]).rows(rows))
    }

    fn training(&self) -> Section {
        let v = &self.version;
        let mut section = Section::new("Training");
        let name = self.said("dataset").map(|name| ("Data", Cell::from(name)));
        let run = v.lineage.run.as_deref().map(|run| ("Run", Cell::code(run)));
        let commit =
            v.lineage.commit.as_deref().map(|commit| ("Commit of the code", Cell::code(commit)));
        let parent = v.lineage.parent.map(|n| ("Derived from", Cell::from(format!("v{n}"))));
        let digests = [
            ("Digest of the data", v.data_digest),
            ("Digest of the reference profile", v.profile_digest),
            ("Digest of the suite", v.suite_digest),
        ];
        let digests = digests.into_iter().filter_map(|(name, digest)| {
            digest.map(|digest| (name, Cell::code(digest.to_string())))
        });
        let facts = [name, run, commit, parent];
        let facts: Vec<_> = facts.into_iter().flatten().chain(digests).collect();
        let empty = facts.is_empty() && v.params.is_empty();
        if !facts.is_empty() {
            section = section.key_values(facts);
        }
        if !v.params.is_empty() {
            let rows = v.params.iter().map(|(k, v)| (Cell::code(k), v.as_str()));
            section = section.table(Table::new(["Parameter", "Value"]).rows(rows));
        }
        if empty { section.text("Nothing was recorded.") } else { section }
    }

    fn moves(&self) -> Section {
        let head = ["At", "Alias", "Revision", "Change", "By", "Reason"];
        let rows = self.history.iter().map(|c| {
            let named = |v: Option<u64>| v.map_or("none".to_owned(), |v| format!("v{v}"));
            let change = format!("{}, {} → {}", c.kind, named(c.previous), named(c.version));
            let (at, alias, by) = (c.at.to_string(), c.alias.as_str(), c.actor.as_str());
            (at, alias, c.revision, change, by, c.reason.as_str())
        });
        Section::new("History").table(Table::new(head).rows(rows).cards())
    }

    /// The card as Markdown.
    pub fn to_markdown(&self) -> String {
        self.to_report().to_markdown()
    }

    /// The card as one HTML file that needs nothing else; light or dark as its reader is, and
    /// readable on a phone.
    pub fn to_html(&self) -> String {
        self.to_report().to_html()
    }
}
