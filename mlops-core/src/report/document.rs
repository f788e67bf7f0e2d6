//! The report: a title, a verdict, and blocks in sections.

use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::figure::Figure;
use super::table::{Cell, Table};
use super::{html, markdown, terminal};
use crate::{Assessment, AtomicFile, Error, GateReport, Result, Verdict};

/// A name and its value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyValue {
    /// The name.
    pub key: String,
    /// The value.
    pub value: Cell,
}

/// A piece of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Block {
    /// Blocks under a heading of their own.
    Section(Section),
    /// A paragraph, or several with an empty line between them. Plain words, no markup.
    Text(String),
    /// A program's text, shown as it is in a fixed-width face.
    Code(String),
    /// Names and values.
    KeyValues(Vec<KeyValue>),
    /// A table.
    Table(Table),
    /// A figure across the page.
    Figure(Figure),
    /// Small figures side by side, as many as fit.
    Figures(Vec<Figure>),
    /// The findings of an assessment, the failures first.
    Findings(Assessment),
}

/// Blocks under a heading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Section {
    /// The heading.
    pub title: String,
    /// The verdict over what is in it.
    pub verdict: Option<Verdict>,
    /// What is in it.
    pub blocks: Vec<Block>,
    /// Whether HTML shows the heading alone until it is opened; print and the other forms show
    /// all of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub folded: bool,
}

/// A document about data or a model: a title, a verdict, and what it rests on.
///
/// Build it by chaining; every renderer takes `&self`, escapes all text, and cannot fail or panic
/// on any content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// What it is about.
    pub title: String,
    /// A sentence under the title.
    pub subtitle: Option<String>,
    /// Short facts about it: the time, the rows, the version.
    pub meta: Vec<KeyValue>,
    /// The verdict over all of it.
    pub verdict: Option<Verdict>,
    /// What is in it.
    pub blocks: Vec<Block>,
}

macro_rules! block_builders {
    () => {
        /// The same, with a verdict beside the title.
        #[must_use]
        pub fn verdict(mut self, verdict: impl Into<Option<Verdict>>) -> Self {
            self.verdict = verdict.into();
            self
        }

        /// The same, with one more block.
        #[must_use]
        pub fn block(mut self, block: impl Into<Block>) -> Self {
            self.blocks.push(block.into());
            self
        }

        /// The same, with these blocks too.
        #[must_use]
        pub fn blocks<B: Into<Block>>(mut self, blocks: impl IntoIterator<Item = B>) -> Self {
            self.blocks.extend(blocks.into_iter().map(Into::into));
            self
        }

        /// The same, with a section; an assessment is one too.
        #[must_use]
        pub fn section(self, section: impl Into<Section>) -> Self {
            self.block(section.into())
        }

        /// The same, with a paragraph; an empty line in it starts another.
        #[must_use]
        pub fn text(self, text: impl Into<String>) -> Self {
            self.block(Block::Text(text.into()))
        }

        /// The same, with a program's text, shown as it is.
        #[must_use]
        pub fn code(self, code: impl Into<String>) -> Self {
            self.block(Block::Code(code.into()))
        }

        /// The same, with names and values.
        #[must_use]
        pub fn key_values<K: Into<String>, V: Into<Cell>>(
            self,
            pairs: impl IntoIterator<Item = (K, V)>,
        ) -> Self {
            let pairs = pairs
                .into_iter()
                .map(|(key, value)| KeyValue { key: key.into(), value: value.into() });
            self.block(Block::KeyValues(pairs.collect()))
        }

        /// The same, with a table.
        #[must_use]
        pub fn table(self, table: Table) -> Self {
            self.block(Block::Table(table))
        }

        /// The same, with a figure across the page.
        #[must_use]
        pub fn figure(self, figure: Figure) -> Self {
            self.block(Block::Figure(figure))
        }

        /// The same, with small figures side by side.
        #[must_use]
        pub fn figures(self, figures: impl IntoIterator<Item = Figure>) -> Self {
            self.block(Block::Figures(figures.into_iter().collect()))
        }

        /// The same, with the findings of an assessment.
        #[must_use]
        pub fn findings(self, assessment: &Assessment) -> Self {
            self.block(Block::Findings(assessment.clone()))
        }
    };
}

impl Section {
    /// An empty section under this heading.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), verdict: None, blocks: Vec::new(), folded: false }
    }

    /// The same, folded away in HTML until it is opened, where this is so.
    #[must_use]
    pub fn folded(mut self, folded: bool) -> Self {
        self.folded = folded;
        self
    }

    block_builders!();
}

impl Report {
    /// An empty report of this title.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            subtitle: None,
            meta: Vec::new(),
            verdict: None,
            blocks: Vec::new(),
        }
    }

    /// The same, with a sentence under the title.
    #[must_use]
    pub fn subtitle(mut self, subtitle: impl Into<String>) -> Self {
        self.subtitle = Some(subtitle.into());
        self
    }

    /// The same, with one more short fact.
    #[must_use]
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<Cell>) -> Self {
        self.meta.push(KeyValue { key: key.into(), value: value.into() });
        self
    }

    block_builders!();

    /// Text for a terminal of so many columns (at least 40 are used), with ANSI colours or none.
    pub fn to_terminal(&self, width: usize, color: bool) -> String {
        terminal::render(self, width, color)
    }

    /// Markdown, as GitHub renders it: tables, no HTML.
    pub fn to_markdown(&self) -> String {
        markdown::render(self)
    }

    /// One HTML file that needs nothing else.
    pub fn to_html(&self) -> String {
        html::render(self)
    }

    /// JSON, from which [`from_json`](Self::from_json) makes the same report. Numbers that are not
    /// finite are the words `NaN`, `inf` and `-inf`.
    ///
    /// # Errors
    /// Only what the serialiser raises; nothing in a report makes it.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(|e| Error::other("report as JSON", e))
    }

    /// The report that [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// [`Error::Other`] where the text is not a report's JSON.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|e| Error::other("report from JSON", e))
    }

    /// Writes the HTML to a file, whole or not at all: a reader sees the old file or the new one.
    ///
    /// # Errors
    /// [`Error::Io`] where the directory can't be written.
    pub fn write_html(&self, path: impl AsRef<Path>) -> Result<()> {
        write_whole(path.as_ref(), &self.to_html())
    }

    /// Writes the Markdown to a file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] where the directory can't be written.
    pub fn write_markdown(&self, path: impl AsRef<Path>) -> Result<()> {
        write_whole(path.as_ref(), &self.to_markdown())
    }

    /// Writes the JSON to a file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] where the directory can't be written.
    pub fn write_json(&self, path: impl AsRef<Path>) -> Result<()> {
        write_whole(path.as_ref(), &self.to_json()?)
    }
}

/// Writes a file that readers see as it was or as it is, never half of it.
fn write_whole(path: &Path, text: &str) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(text.as_bytes()).map_err(|e| Error::io(path, e))?;
    file.commit()
}

impl std::fmt::Display for Report {
    /// As on a terminal of 80 columns, without colours.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_terminal(80, false))
    }
}

macro_rules! block_from {
    ($($type:ty => $kind:ident),*) => {$(
        impl From<$type> for Block {
            fn from(value: $type) -> Self {
                Self::$kind(value)
            }
        }
    )*};
}

block_from!(Section => Section, Table => Table, Figure => Figure, Assessment => Findings);

impl From<&Assessment> for Section {
    /// A section of the assessment's name and verdict with its findings.
    fn from(assessment: &Assessment) -> Self {
        Self::new(assessment.name.clone()).verdict(assessment.verdict).findings(assessment)
    }
}

impl From<&GateReport> for Section {
    /// The gate's assessment, and what was judged and when.
    fn from(gate: &GateReport) -> Self {
        Self::new(gate.gate.clone())
            .verdict(gate.assessment.verdict)
            .key_values([("Judged", Cell::from(gate.subject)), ("At", Cell::from(gate.at))])
            .findings(&gate.assessment)
    }
}

impl From<&Assessment> for Report {
    /// A report of the assessment alone.
    fn from(assessment: &Assessment) -> Self {
        Self::new(assessment.name.clone()).verdict(assessment.verdict).findings(assessment)
    }
}
