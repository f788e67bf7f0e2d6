//! A report as text on a terminal.

use super::document::{Block, KeyValue, Report};
use super::figure::{Bins, Distribution, Figure, Intervals, Line, Plot};
use super::findings;
use super::format;
use super::table::{Align, Cell, DIGITS, Table, spark};
use crate::{Assessment, Verdict};

/// Cells of a bar in a table.
const BAR: usize = 10;

/// A style of ANSI terminals.
#[derive(Clone, Copy)]
enum Style {
    Bold,
    Dim,
    Of(Verdict),
}

pub(crate) fn render(report: &Report, width: usize, color: bool) -> String {
    let mut page = Page { out: String::new(), width: width.clamp(40, 400), color };
    page.title(&report.title, report.verdict);
    if let Some(subtitle) = &report.subtitle {
        page.paragraphs(subtitle, 0);
    }
    if !report.meta.is_empty() {
        page.key_values(&report.meta, 0);
    }
    page.blocks(&report.blocks, 0, 1);
    page.out
}

/// The verdict as a sign and a word.
pub(crate) fn badge(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✓ pass",
        Verdict::Inconclusive => "? inconclusive",
        Verdict::Fail => "✗ fail",
    }
}

struct Page {
    out: String,
    width: usize,
    color: bool,
}

impl Page {
    fn paint(&self, style: Style, text: &str) -> String {
        let code = match style {
            _ if !self.color => return text.to_owned(),
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Of(Verdict::Pass) => "36",
            Style::Of(Verdict::Inconclusive) => "33",
            Style::Of(Verdict::Fail) => "1;31",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    fn line(&mut self, indent: usize, text: &str) {
        if !text.is_empty() {
            self.out.push_str(&" ".repeat(indent));
            self.out.push_str(text.trim_end());
        }
        self.out.push('\n');
    }

    fn gap(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    fn title(&mut self, title: &str, verdict: Option<Verdict>) {
        let title = format::truncated(&format::clean(title), self.width);
        let rule = "━".repeat(format::width(&title));
        let mut text = self.paint(Style::Bold, &title);
        if let Some(verdict) = verdict {
            text = format!("{text}  {}", self.paint(Style::Of(verdict), badge(verdict)));
        }
        self.line(0, &text);
        self.line(0, &rule);
    }

    /// Words, broken at spaces; a word longer than the line is broken where it must be.
    fn paragraphs(&mut self, text: &str, indent: usize) {
        let room = self.width.saturating_sub(indent).max(8);
        for (i, paragraph) in text.split("\n\n").enumerate() {
            if i > 0 {
                self.gap();
            }
            for line in wrapped(&format::clean(paragraph), room) {
                self.line(indent, &line);
            }
        }
    }

    fn key_values(&mut self, pairs: &[KeyValue], indent: usize) {
        let widest = pairs.iter().map(|p| format::width(&format::clean(&p.key))).max().unwrap_or(0);
        let keys = widest.min(self.width / 2);
        for pair in pairs {
            let key = pad(&format::truncated(&format::clean(&pair.key), keys), keys, Align::Left);
            let value = self.cell(&pair.value, usize::MAX);
            let text = format!("{}  {value}", self.paint(Style::Dim, &key));
            self.line(indent, &text);
        }
    }

    fn blocks(&mut self, blocks: &[Block], indent: usize, level: usize) {
        for block in blocks {
            self.gap();
            match block {
                Block::Section(section) => {
                    let title = format::clean(&section.title);
                    let mut text = self.paint(Style::Bold, &title);
                    if let Some(verdict) = section.verdict {
                        text =
                            format!("{text}  {}", self.paint(Style::Of(verdict), badge(verdict)));
                    }
                    self.line(indent, &text);
                    if level == 1 {
                        let rule = "─".repeat(format::width(&title).min(self.width));
                        self.line(indent, &rule);
                    }
                    // Deeper than this, indentation would leave no room for the content.
                    let deeper = if level == 1 { indent } else { (indent + 2).min(8) };
                    self.blocks(&section.blocks, deeper, level + 1);
                }
                Block::Text(text) => self.paragraphs(text, indent),
                Block::Code(code) => {
                    for line in code.lines() {
                        self.line(indent + 4, &format::clean(line));
                    }
                }
                Block::KeyValues(pairs) => self.key_values(pairs, indent),
                Block::Table(table) => self.table(table, indent),
                Block::Figure(figure) => self.figure(figure, indent),
                Block::Figures(figures) => {
                    for figure in figures {
                        self.gap();
                        self.figure(figure, indent);
                    }
                }
                Block::Findings(assessment) => self.findings(assessment, indent),
            }
        }
    }

    /// A cell's text in at most so many columns of the terminal, painted.
    fn cell(&self, cell: &Cell, room: usize) -> String {
        let text = format::truncated(&plain(cell), room);
        match cell {
            Cell::Verdict(verdict) => self.paint(Style::Of(*verdict), &text),
            Cell::Missing => self.paint(Style::Dim, &text),
            _ => text,
        }
    }

    fn table(&mut self, table: &Table, indent: usize) {
        if let Some(caption) = &table.caption {
            let caption = self.paint(Style::Dim, &format::clean(caption));
            self.line(indent, &caption);
        }
        let columns = table.width();
        let room = self.width.saturating_sub(indent);
        let widths: Vec<_> = (0..columns)
            .map(|c| {
                let cells = table.shown().iter().map(|r| format::width(&plain(r.cell(c))));
                cells.max().unwrap_or(0).max(format::width(&table.title(c)))
            })
            .collect();
        let widths = fitted(widths, room.saturating_sub(2 * columns.saturating_sub(1)));
        if columns > 0 {
            let head: Vec<_> = widths
                .iter()
                .enumerate()
                .map(|(c, w)| pad(&format::truncated(&table.title(c), *w), *w, table.side(c)))
                .collect();
            let head = self.paint(Style::Bold, head.join("  ").trim_end());
            self.line(indent, &head);
            let rule: Vec<_> = widths.iter().map(|w| "─".repeat(*w)).collect();
            self.line(indent, &rule.join("  "));
        }
        for row in table.shown() {
            let mut text = String::new();
            for (c, w) in widths.iter().enumerate() {
                let cell = row.cell(c);
                let shown = format::width(&format::truncated(&plain(cell), *w));
                let space = " ".repeat(w.saturating_sub(shown));
                let painted = self.cell(cell, *w);
                if c > 0 {
                    text.push_str("  ");
                }
                text.push_str(&match table.side(c) {
                    Align::Left => painted + &space,
                    Align::Right => space + &painted,
                });
            }
            self.line(indent, &text);
        }
        if let Some(note) = table.footnote() {
            let note = self.paint(Style::Dim, &note);
            self.line(indent, &note);
        }
    }

    fn findings(&mut self, assessment: &Assessment, indent: usize) {
        let summary = self.paint(Style::Dim, &findings::summary(assessment));
        self.line(indent, &summary);
        for finding in findings::sorted(assessment) {
            let sign = self.paint(
                Style::Of(finding.verdict),
                &badge(finding.verdict)[..sign_len(finding.verdict)],
            );
            let [check, subject] =
                [&finding.check, &finding.subject].map(|text| format::clean(text));
            let mut head = format!("{sign} {} of {subject}", self.paint(Style::Bold, &check));
            if let Some(severity) = findings::severity(finding) {
                head = format!("{head} ({severity})");
            }
            self.line(indent, &head);
            self.paragraphs(
                &format!("expected {}, found {}", finding.expected, finding.observed),
                indent + 4,
            );
            let evidence = findings::evidence(finding).join(" · ");
            for line in wrapped(&evidence, self.width.saturating_sub(indent + 4)) {
                let line = self.paint(Style::Dim, &line);
                self.line(indent + 4, &line);
            }
        }
    }

    fn figure(&mut self, figure: &Figure, indent: usize) {
        let mut title = self.paint(Style::Bold, &format::clean(&figure.title));
        if let Some(verdict) = figure.verdict {
            title = format!("{title}  {}", self.paint(Style::Of(verdict), badge(verdict)));
        }
        self.line(indent, &title);
        if let Some(note) = &figure.note {
            self.paragraphs(note, indent);
        }
        match &figure.plot {
            Plot::Distribution(plot) => self.distribution(plot, figure.x_label.as_deref(), indent),
            Plot::Line(plot) => self.lines(plot, indent),
            Plot::Bars(plot) => {
                let full = plot
                    .bars
                    .iter()
                    .map(|b| b.value.abs())
                    .filter(|v| v.is_finite())
                    .fold(0.0, f64::max);
                let rows = plot.bars.iter().map(|b| (b.label.as_str(), Cell::bar(b.value, full)));
                let value = figure.x_label.as_deref().unwrap_or("Value");
                self.table(&Table::new(["Name", value]).rows(rows).limit(plot.limit), indent);
            }
            Plot::Intervals(plot) => self.intervals(plot, figure.x_label.as_deref(), indent),
            Plot::HeatMap(_) | Plot::Chart(_) => self.table(&figure.to_table(), indent),
        }
    }

    /// A picture a dataset: bars of heights for intervals, of lengths for categories.
    fn distribution(&mut self, plot: &Distribution, x_label: Option<&str>, indent: usize) {
        let missing = plot.series.iter().any(|s| s.missing > 0);
        if let Bins::Categories(names) = &plot.bins {
            let full = plot
                .series
                .iter()
                .flat_map(|s| s.counts.iter().chain([&s.missing]).map(|n| s.share(*n)))
                .filter(|v| v.is_finite())
                .fold(0.0, f64::max);
            let titles =
                [String::new()].into_iter().chain(plot.series.iter().map(|s| s.name.clone()));
            let mut table = Table::new(titles);
            let bars = |i: usize| {
                plot.series.iter().map(move |s| match s.counts.get(i) {
                    Some(n) => share_bar(s.share(*n), full),
                    None => Cell::Missing,
                })
            };
            for (i, name) in names.iter().enumerate() {
                let cells: Vec<_> = [Cell::from(name)].into_iter().chain(bars(i)).collect();
                table.rows.push(cells.into());
            }
            if missing {
                let cells: Vec<_> = [Cell::from("missing")]
                    .into_iter()
                    .chain(plot.series.iter().map(|s| share_bar(s.share(s.missing), full)))
                    .collect();
                table.rows.push(cells.into());
            }
            return self.table(&table, indent);
        }
        let mut table = Table::new(["", x_label.unwrap_or(""), "Rows", "Missing"]);
        for s in &plot.series {
            // From zero, so that an empty bin is the lowest block.
            let heights: Vec<_> = s.counts.iter().map(|n| *n as f64).collect();
            let picture = spark_from_zero(&heights);
            table.rows.push(
                (s.name.as_str(), picture, s.total(), Cell::percent(s.share(s.missing))).into(),
            );
        }
        self.table(&table, indent);
        if let Bins::Edges(edges) = &plot.bins
            && let (Some(first), Some(last)) = (edges.first(), edges.last())
        {
            let range = format!(
                "{} bins from {} to {}",
                edges.len() - 1,
                format::number(*first, DIGITS),
                format::number(*last, DIGITS)
            );
            let range = self.paint(Style::Dim, &range);
            self.line(indent, &range);
        }
    }

    fn lines(&mut self, plot: &Line, indent: usize) {
        let mut table = Table::new(["", "", "Least", "Greatest", "Last"]);
        for s in &plot.series {
            let finite = || s.values.iter().copied().filter(|v| v.is_finite());
            let least = finite().reduce(f64::min);
            let greatest = finite().reduce(f64::max);
            let last = s.values.last().copied();
            table.rows.push((s.name.as_str(), spark(&s.values), least, greatest, last).into());
        }
        self.table(&table, indent);
        if let (Some(first), Some(last)) = (plot.points.first(), plot.points.last()) {
            let mut parts = vec![format!("{} to {}", format::clean(first), format::clean(last))];
            parts.extend(plot.bounds.iter().map(ToString::to_string));
            for mark in &plot.marks {
                let place = plot.points.get(mark.index).map_or("?", String::as_str);
                parts.push(format!("{}: {}", format::clean(place), format::clean(&mark.label)));
            }
            for line in wrapped(&parts.join(" · "), self.width.saturating_sub(indent)) {
                let line = self.paint(Style::Dim, &line);
                self.line(indent, &line);
            }
        }
    }

    fn intervals(&mut self, plot: &Intervals, x_label: Option<&str>, indent: usize) {
        const CELLS: usize = 25;
        let axis = plot.axis(4);
        let place = |v: f64| (axis.held(v) * (CELLS - 1) as f64).round() as usize;
        let mut table = Table::new(["", "", x_label.unwrap_or("Value"), ""]);
        for row in &plot.rows {
            let mut picture = vec![' '; CELLS];
            for bound in plot.bounds.iter().filter(|b| b.at.is_finite()) {
                picture[place(bound.at)] = '┊';
            }
            if let Some((low, high)) = row.interval.filter(|(l, h)| !l.is_nan() && !h.is_nan()) {
                for cell in &mut picture[place(low.min(high))..=place(low.max(high))] {
                    *cell = if *cell == '┊' { '┼' } else { '─' };
                }
            }
            if row.value.is_finite() {
                picture[place(row.value)] = '●';
            }
            let value = match row.interval {
                Some((low, high)) => Cell::interval(row.value, low, high),
                None => Cell::from(row.value),
            };
            let picture: String = picture.into_iter().collect();
            let verdict = row.verdict.map_or_else(|| Cell::from(""), Cell::Verdict);
            table.rows.push((row.label.as_str(), picture, value, verdict).into());
        }
        self.table(&table, indent);
        let bounds: Vec<_> = plot.bounds.iter().map(|b| format!("┊ {b}")).collect();
        if !bounds.is_empty() {
            let bounds = self.paint(Style::Dim, &bounds.join("  "));
            self.line(indent, &bounds);
        }
    }
}

/// The bytes of the sign that a badge begins with.
fn sign_len(verdict: Verdict) -> usize {
    badge(verdict).find(' ').unwrap_or(0)
}

fn share_bar(share: f64, full: f64) -> Cell {
    Cell::Text(share_words(share, full))
}

fn share_words(share: f64, full: f64) -> String {
    format!("{} {}", bar(Cell::fill(share, full)), format::percent(share, 3))
}

/// A bar of eighths of a cell.
fn bar(fill: f64) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (fill * (BAR * 8) as f64).round() as usize;
    let text = format!("{}{}", "█".repeat(eighths / 8), PARTS[eighths % 8]);
    pad(&text, BAR, Align::Left)
}

fn spark_from_zero(heights: &[f64]) -> String {
    let with_zero: Vec<_> = heights.iter().copied().chain([0.0]).collect();
    let mut text = spark(&with_zero);
    text.pop();
    text
}

/// A cell without colour.
fn plain(cell: &Cell) -> String {
    match cell {
        Cell::Verdict(verdict) => badge(*verdict).to_owned(),
        Cell::Bar { value, full } => {
            format!("{} {}", bar(Cell::fill(*value, *full)), format::number(*value, DIGITS))
        }
        Cell::Share(share) => share_words(*share, 1.0),
        other => other.to_string(),
    }
}

fn pad(text: &str, width: usize, side: Align) -> String {
    let space = " ".repeat(width.saturating_sub(format::width(text)));
    match side {
        Align::Left => format!("{text}{space}"),
        Align::Right => format!("{space}{text}"),
    }
}

/// Widths that together take no more than the room: the widest columns give first, none below
/// four while there is any room at all.
fn fitted(mut widths: Vec<usize>, room: usize) -> Vec<usize> {
    const LEAST: usize = 4;
    let mut over = widths.iter().sum::<usize>().saturating_sub(room);
    while over > 0 {
        let widest = widths.iter().copied().max().unwrap_or(0);
        if widest <= LEAST {
            break;
        }
        // Down to the next width, not cell by cell: a hostile cell may have a million.
        let next = widths.iter().copied().filter(|w| *w < widest).max().unwrap_or(0).max(LEAST);
        let count = widths.iter().filter(|w| **w == widest).count();
        let step = (widest - next).min(over.div_ceil(count));
        for width in widths.iter_mut().filter(|w| **w == widest) {
            *width -= step;
        }
        over = over.saturating_sub(step * count);
    }
    widths
}

/// The text in lines of so many cells.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let room = room.max(8);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let width = format::width(word);
        if used > 0 && used + 1 + width > room {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        for c in word.chars() {
            let width = format::char_width(c);
            if used + width > room {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(c);
            used += width;
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit() {
        assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
        assert_eq!(wrapped("abcdefghijklmnop", 8), ["abcdefgh", "ijklmnop"]);
        assert_eq!(fitted(vec![3, 1_000_000, 10], 20), [3, 8, 8]);
        assert_eq!(fitted(vec![3, 5], 20), [3, 5]);
        assert_eq!(fitted(vec![9, 9, 9], 3), [4, 4, 4]);
        assert_eq!(bar(0.5).trim_end(), "█████");
        assert_eq!(bar(0.06).trim_end(), "▋");
    }
}
