//! A report as Markdown of GitHub's flavour.

use std::fmt::Write as _;

use super::document::{Block, KeyValue, Report};
use super::figure::Figure;
use super::findings;
use super::format;
use super::table::{Align, Cell, Table};
use super::terminal::badge;
use crate::Assessment;

pub(crate) fn render(report: &Report) -> String {
    let mut out = String::new();
    add!(&mut out, "# {}\n", escape(&report.title));
    if let Some(verdict) = report.verdict {
        add!(&mut out, "\n**{}**\n", badge(verdict));
    }
    if let Some(subtitle) = &report.subtitle {
        paragraphs(&mut out, subtitle);
    }
    if !report.meta.is_empty() {
        key_values(&mut out, &report.meta);
    }
    blocks(&mut out, &report.blocks, 2);
    out
}

fn blocks(out: &mut String, list: &[Block], level: usize) {
    for block in list {
        match block {
            Block::Section(section) => {
                let marks = "#".repeat(level.min(6));
                let title = escape(&section.title);
                match section.verdict {
                    Some(v) => add!(out, "\n{marks} {title}: {}\n", badge(v)),
                    None => add!(out, "\n{marks} {title}\n"),
                }
                blocks(out, &section.blocks, level + 1);
            }
            Block::Text(text) => paragraphs(out, text),
            Block::Code(code) => {
                // Indented code has no fence that the code could close.
                out.push('\n');
                for line in code.lines() {
                    add!(out, "    {}\n", format::clean(line));
                }
            }
            Block::KeyValues(pairs) => key_values(out, pairs),
            Block::Table(table_) => table(out, table_),
            Block::Figure(f) => figure(out, f),
            Block::Figures(list) => list.iter().for_each(|f| figure(out, f)),
            Block::Findings(assessment) => assessed(out, assessment),
        }
    }
}

fn paragraphs(out: &mut String, text: &str) {
    for paragraph in text.split("\n\n") {
        add!(out, "\n{}\n", escape(paragraph));
    }
}

fn key_values(out: &mut String, pairs: &[KeyValue]) {
    out.push('\n');
    for pair in pairs {
        add!(out, "- {}: {}\n", escape(&pair.key), cell(&pair.value));
    }
}

fn cell(value: &Cell) -> String {
    match value {
        Cell::Verdict(verdict) => badge(*verdict).to_owned(),
        Cell::Code(name) => code(name),
        // The block characters of a small line are no markup.
        Cell::Spark(_) => value.to_string(),
        other => escape(&other.to_string()),
    }
}

fn table(out: &mut String, table: &Table) {
    if let Some(caption) = &table.caption {
        add!(out, "\n{}\n", escape(caption));
    }
    let columns = table.width();
    if columns > 0 {
        let titles: Vec<_> = (0..columns).map(|c| escape(&table.title(c))).collect();
        add!(out, "\n| {} |\n|", titles.join(" | "));
        for c in 0..columns {
            out.push_str(if table.side(c) == Align::Right { " ---: |" } else { " --- |" });
        }
        out.push('\n');
        for row in table.shown() {
            let cells: Vec<_> = (0..columns).map(|c| cell(row.cell(c))).collect();
            add!(out, "| {} |\n", cells.join(" | "));
        }
    }
    if let Some(note) = table.footnote() {
        add!(out, "\n*{note}*\n");
    }
}

/// A figure is its numbers here: Markdown has no pictures of its own.
fn figure(out: &mut String, figure: &Figure) {
    let verdict = figure.verdict.map(|v| format!(": {}", badge(v))).unwrap_or_default();
    add!(out, "\n**{}**{verdict}\n", escape(&figure.title));
    if let Some(note) = &figure.note {
        paragraphs(out, note);
    }
    table(out, &figure.to_table());
}

fn assessed(out: &mut String, assessment: &Assessment) {
    add!(out, "\n{}\n", escape(&findings::summary(assessment)));
    if assessment.findings.is_empty() {
        return;
    }
    out.push_str("\n| Verdict | Check | Subject | Expected | Found | Evidence |\n");
    out.push_str("| --- | --- | --- | --- | --- | --- |\n");
    for finding in findings::sorted(assessment) {
        let severity = findings::severity(finding).map(|s| format!(" ({s})")).unwrap_or_default();
        add!(
            out,
            "| {}{severity} | {} | {} | {} | {} | {} |\n",
            badge(finding.verdict),
            escape(&finding.check),
            escape(&finding.subject),
            escape(&finding.expected),
            escape(&finding.observed),
            escape(&findings::evidence(finding).join("; "))
        );
    }
}

/// A name as code: the fence is longer than any run of backticks in it.
fn code(name: &str) -> String {
    let name = format::clean(name).replace('|', "\\|");
    let longest = name.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if name.starts_with('`') || name.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{name}{space}{fence}")
}

/// Text that shows as itself: what could be markup is escaped.
fn escape(text: &str) -> String {
    let clean = format::clean(text);
    let chars: Vec<char> = clean.chars().collect();
    let mut out = String::with_capacity(clean.len() + 8);
    for (i, &c) in chars.iter().enumerate() {
        let word = |at: Option<usize>| {
            at.and_then(|at| chars.get(at)).is_some_and(|c| c.is_alphanumeric())
        };
        let markup = match c {
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '~' | '&' | '$' | '@' => true,
            // Inside a word an underscore is itself: `equal_opportunity` stays readable.
            '_' => !(word(i.checked_sub(1)) && word(Some(i + 1))),
            // A heading, a list: only where a line begins.
            '#' | '-' | '+' | '=' => i == 0,
            '.' | ')' => i > 0 && chars[..i].iter().all(char::is_ascii_digit) && !word(Some(i + 1)),
            // A bare address would become a link.
            ':' => chars[i..].starts_with(&[':', '/', '/']),
            _ => false,
        };
        if markup {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_becomes_markup() {
        assert_eq!(escape("equal_opportunity"), "equal_opportunity");
        assert_eq!(escape("_x_ *y* <b>"), "\\_x\\_ \\*y\\* \\<b\\>");
        assert_eq!(escape("# a | b"), "\\# a \\| b");
        assert_eq!(escape("1. first"), "1\\. first");
        assert_eq!(escape("-0.5"), "\\-0.5");
        assert_eq!(escape("https://x.y"), "https\\://x.y");
        assert_eq!(code("a`b|c"), "``a`b\\|c``");
        assert_eq!(code("`"), "`` ` ``");
    }
}
