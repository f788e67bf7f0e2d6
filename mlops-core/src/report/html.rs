//! A report as one HTML file that needs nothing else.

use std::fmt::Write as _;

use super::chart::{Chart, Tone};
use super::document::{Block, KeyValue, Report};
use super::draw::{self, Size};
use super::figure::{Figure, HeatMap, Intervals, Plot};
use super::findings;
use super::format;
use super::svg::escape;
use super::table::{Align, Cell, DIGITS, Table};
use crate::{Assessment, Finding, Verdict};

/// Passing findings that are shown before the rest folds away.
const PASSES: usize = 12;

/// Rows of the numbers under a figure.
const NUMBERS: usize = 200;

pub(crate) fn render(report: &Report) -> String {
    let mut page = Page::default();
    let title = escape(&report.title);
    add!(
        page.out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{}</style>\n</head>\n<body>\n{ICONS}<main>\n",
        include_str!("style.css")
    );
    page.header(report);
    page.contents(report);
    page.blocks(&report.blocks, 2);
    page.out.push_str("</main>\n</body>\n</html>\n");
    page.out
}

#[derive(Default)]
struct Page {
    out: String,
    figures: usize,
    sections: usize,
}

/// A verdict as a shape and a word.
fn badge(verdict: Verdict) -> String {
    format!("<span class=\"badge {}\">{}{verdict}</span>", class(verdict), icon(verdict))
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Inconclusive => "unsure",
        Verdict::Fail => "fail",
    }
}

/// A tick in a circle, a cross in a diamond, a question mark in a square: told apart without
/// their colours. Drawn once, at the head of the page.
const ICONS: &str = "<svg class=\"unseen\" aria-hidden=\"true\">\
    <symbol id=\"i-pass\" viewBox=\"0 0 16 16\">\
    <circle cx=\"8\" cy=\"8\" r=\"7.5\"/><path d=\"M4.6 8.3l2.3 2.3 4.5-4.9\"/></symbol>\
    <symbol id=\"i-unsure\" viewBox=\"0 0 16 16\">\
    <rect x=\"1\" y=\"1\" width=\"14\" height=\"14\" rx=\"3\"/>\
    <path d=\"M5.9 6.2c0-2.9 4.3-2.7 4.3-.1 0 1.7-2.2 1.7-2.2 3.2M8 11.6v.6\"/></symbol>\
    <symbol id=\"i-fail\" viewBox=\"0 0 16 16\"><path class=\"body\" d=\"M8 .2 15.8 8 8 15.8.2 8z\"/>\
    <path d=\"M5.7 5.7l4.6 4.6M10.3 5.7l-4.6 4.6\"/></symbol></svg>\n";

fn icon(verdict: Verdict) -> String {
    let name = class(verdict);
    format!("<svg class=\"icon\" aria-hidden=\"true\"><use href=\"#i-{name}\"/></svg>")
}

impl Page {
    fn header(&mut self, report: &Report) {
        let state = report.verdict.map_or("plain", class);
        add!(self.out, "<header class=\"top {state}\">\n");
        if let Some(verdict) = report.verdict {
            add!(self.out, "<p class=\"verdict\">{}</p>\n", badge(verdict));
        }
        add!(self.out, "<h1 dir=\"auto\">{}</h1>\n", escape(&report.title));
        if let Some(subtitle) = &report.subtitle {
            add!(self.out, "<p class=\"subtitle\" dir=\"auto\">{}</p>\n", escape(subtitle));
        }
        self.key_values(&report.meta, "meta");
        self.out.push_str("</header>\n");
    }

    /// Links to the sections, with their verdicts, where there are enough to get lost in.
    fn contents(&mut self, report: &Report) {
        let sections: Vec<_> = report
            .blocks
            .iter()
            .filter_map(|b| if let Block::Section(s) = b { Some(s) } else { None })
            .collect();
        if sections.len() < 3 {
            return;
        }
        self.out.push_str("<nav aria-label=\"Sections\">\n<ul>\n");
        let mut number = 0;
        for section in sections {
            let mark = section.verdict.map_or_else(String::new, |v| {
                format!(
                    "<span class=\"{}\">{}</span><span class=\"unseen\">{v}: </span>",
                    class(v),
                    icon(v)
                )
            });
            let title = escape(&section.title);
            add!(self.out, "<li><a href=\"#s{number}\">{mark}<bdi>{title}</bdi></a></li>\n");
            number += 1 + inner_sections(&section.blocks);
        }
        self.out.push_str("</ul>\n</nav>\n");
    }

    fn blocks(&mut self, blocks: &[Block], level: usize) {
        for block in blocks {
            match block {
                Block::Section(section) => {
                    let (number, tag) = (self.sections, level.min(6));
                    self.sections += 1;
                    let badge = section.verdict.map(badge).unwrap_or_default();
                    let title = escape(&section.title);
                    let heading = format!("<h{tag}><bdi>{title}</bdi>{badge}</h{tag}>");
                    let (open, close) = if section.folded {
                        (format!("<summary>{heading}</summary>"), "</details>\n</section>\n")
                    } else {
                        (heading, "</section>\n")
                    };
                    let fold = if section.folded { "\n<details class=\"fold\">" } else { "" };
                    add!(self.out, "<section id=\"s{number}\" class=\"l{tag}\">{fold}\n{open}\n");
                    self.blocks(&section.blocks, level + 1);
                    self.out.push_str(close);
                }
                Block::Text(text) => {
                    for paragraph in text.split("\n\n").filter(|p| !p.trim().is_empty()) {
                        add!(
                            self.out,
                            "<p class=\"text\" dir=\"auto\">{}</p>\n",
                            escape(paragraph)
                        );
                    }
                }
                Block::Code(code) => {
                    let lines: Vec<_> = code.lines().map(escape).collect();
                    add!(
                        self.out,
                        "<pre class=\"scroll\" tabindex=\"0\"><code>{}</code></pre>\n",
                        lines.join("\n")
                    );
                }
                Block::KeyValues(pairs) => self.key_values(pairs, "pairs"),
                Block::Table(table) => self.table(table),
                Block::Figure(figure) => self.figure(figure, true),
                Block::Figures(figures) => {
                    self.out.push_str("<div class=\"grid\">\n");
                    for figure in figures {
                        self.figure(figure, false);
                    }
                    self.out.push_str("</div>\n");
                }
                Block::Findings(assessment) => self.findings(assessment),
            }
        }
    }

    fn key_values(&mut self, pairs: &[KeyValue], class: &str) {
        if pairs.is_empty() {
            return;
        }
        add!(self.out, "<dl class=\"{class}\">\n");
        for pair in pairs {
            add!(
                self.out,
                "<div><dt dir=\"auto\">{}</dt><dd dir=\"auto\">{}</dd></div>\n",
                escape(&pair.key),
                cell(&pair.value)
            );
        }
        self.out.push_str("</dl>\n");
    }

    fn table(&mut self, table: &Table) {
        let caption = table.caption.as_deref().map(escape).unwrap_or_default();
        let label = if caption.is_empty() { "Table" } else { &caption };
        // What scrolls can be reached and scrolled by keyboard.
        let class = match table.width() {
            _ if table.cards => " class=\"cards\"",
            0..=MANY => "",
            _ => " class=\"many\"",
        };
        add!(
            self.out,
            "<div class=\"scroll\" role=\"region\" aria-label=\"{label}\" tabindex=\"0\">\n\
             <table{class}>\n"
        );
        if !caption.is_empty() {
            add!(self.out, "<caption dir=\"auto\">{caption}</caption>\n");
        }
        let columns = table.width();
        if columns > 0 {
            self.out.push_str("<thead><tr>");
            for c in 0..columns {
                let title = escape(&table.title(c));
                add!(self.out, "<th scope=\"col\"{}><bdi>{title}</bdi></th>", side(table.side(c)));
            }
            self.out.push_str("</tr></thead>\n<tbody>\n");
            for row in table.shown() {
                self.out.push_str("<tr>");
                for c in 0..columns {
                    let (side, cell) = (side(table.side(c)), row.cell(c));
                    let side = if is_long(cell) { " class=\"long\"" } else { side };
                    // The first two say what the card is of.
                    let title = match table.title(c) {
                        title if table.cards && c > 1 && !title.is_empty() => {
                            format!(" data-label=\"{}\"", escape(&title))
                        }
                        _ => String::new(),
                    };
                    add!(self.out, "<td{side}{title}>{}</td>", self::cell(cell));
                }
                self.out.push_str("</tr>\n");
            }
            self.out.push_str("</tbody>\n");
        }
        self.out.push_str("</table>\n</div>\n");
        if let Some(note) = table.footnote() {
            add!(self.out, "<p class=\"more\">{note}</p>\n");
        }
    }

    fn figure(&mut self, figure: &Figure, wide: bool) {
        let badge = figure.verdict.map(badge).unwrap_or_default();
        let class = if wide { "figure across" } else { "figure" };
        let title = escape(&figure.title);
        add!(
            self.out,
            "<figure class=\"{class}\">\n<figcaption><b dir=\"auto\">{title}</b>{badge}</figcaption>\n"
        );
        if let Some(note) = &figure.note {
            add!(self.out, "<p class=\"note\" dir=\"auto\">{}</p>\n", escape(note));
        }
        self.legend(&figure.plot);
        let mut drawn = false;
        // A page's width and a phone's want different pictures, not one picture in two sizes.
        let sizes: &[Size] = if wide { &[Size::Wide, Size::Narrow] } else { &[Size::Narrow] };
        for size in sizes {
            let id = format!("f{}", self.figures);
            if let Some(svg) = draw::svg(figure, *size, &id) {
                add!(self.out, "{svg}\n");
                self.figures += 1;
                drawn = true;
            }
        }
        if let Plot::HeatMap(plot) = &figure.plot {
            self.heat_map(plot);
        } else {
            if !drawn {
                self.out.push_str("<p class=\"empty\">nothing to draw</p>\n");
            }
            let table = figure.to_table();
            if !table.rows.is_empty() {
                self.out.push_str("<details><summary>Numbers</summary>\n");
                self.table(&table.limit(NUMBERS));
                self.out.push_str("</details>\n");
            }
        }
        self.out.push_str("</figure>\n");
    }

    fn legend(&mut self, plot: &Plot) {
        let names: Vec<_> = match plot {
            Plot::Distribution(plot) => plot.series.iter().map(|s| &s.name).collect(),
            Plot::Line(plot) => plot.series.iter().map(|s| &s.name).collect(),
            Plot::Intervals(plot) => return self.shapes(plot),
            Plot::Chart(plot) => return self.tones(plot),
            _ => return,
        };
        self.out.push_str("<ul class=\"legend\">");
        for (k, name) in names.into_iter().enumerate() {
            add!(self.out, "<li><i class=\"s{}\"></i><bdi>{}</bdi></li>", k % 6, escape(name));
        }
        self.out.push_str("</ul>\n");
    }

    /// What the tones of a chart mean, and its levels from low to high.
    fn tones(&mut self, plot: &Chart) {
        if plot.legend.is_empty() && plot.scale.is_none() {
            return;
        }
        self.out.push_str("<ul class=\"legend\">");
        for (tone, meaning) in &plot.legend {
            let (class, meaning) = (tone.class(), escape(meaning));
            add!(self.out, "<li><i class=\"tone {class}\"></i><bdi>{meaning}</bdi></li>");
        }
        if let Some(scale) = &plot.scale {
            let (low, high) = (escape(&scale.low), escape(&scale.high));
            add!(self.out, "<li><bdi>{low}</bdi><span class=\"ramp\">");
            for level in 0..Tone::LEVELS {
                add!(self.out, "<i class=\"tone {}\"></i>", Tone::Level(level).class());
            }
            add!(self.out, "</span><bdi>{high}</bdi></li>");
            if scale.missing {
                self.out.push_str("<li><i class=\"tone lost\"></i>missing</li>");
            }
        }
        self.out.push_str("</ul>\n");
    }

    /// What the shapes of the points mean, those that occur.
    fn shapes(&mut self, plot: &Intervals) {
        let all = [Verdict::Pass, Verdict::Inconclusive, Verdict::Fail];
        let used: Vec<_> =
            all.into_iter().filter(|v| plot.rows.iter().any(|r| r.verdict == Some(*v))).collect();
        if used.is_empty() {
            return;
        }
        self.out.push_str("<ul class=\"legend\">");
        for verdict in used {
            add!(self.out, "<li><i class=\"shape {}\"></i>{verdict}</li>", class(verdict));
        }
        self.out.push_str("</ul>\n");
    }

    fn heat_map(&mut self, plot: &HeatMap) {
        self.out.push_str(
            "<div class=\"scroll\" role=\"region\" aria-label=\"Heat map\" tabindex=\"0\">\n\
             <table class=\"heat\">\n<thead><tr><td></td>",
        );
        for column in &plot.columns {
            add!(self.out, "<th scope=\"col\"><bdi>{}</bdi></th>", escape(column));
        }
        self.out.push_str("</tr></thead>\n<tbody>\n");
        for (r, name) in plot.rows.iter().enumerate() {
            add!(self.out, "<tr><th scope=\"row\"><bdi>{}</bdi></th>", escape(name));
            for c in 0..plot.columns.len() {
                let value = plot.value(r, c);
                let text = escape(&format::number(value, 3));
                let Some(shade) = plot.shade(r, c) else {
                    add!(self.out, "<td class=\"none\">{text}</td>");
                    continue;
                };
                let share = if plot.shares {
                    format!("<small>{}</small>", format::percent(shade, 3))
                } else {
                    String::new()
                };
                // At most so strong that the text on it stays readable.
                let strength = (shade.abs() * 42.0).round();
                let sign = if shade < 0.0 { "low" } else { "high" };
                add!(
                    self.out,
                    "<td><span class=\"shade {sign}\" style=\"opacity:{:.2}\"></span>\
                     <span>{text}{share}</span></td>",
                    strength / 100.0
                );
            }
            self.out.push_str("</tr>\n");
        }
        self.out.push_str("</tbody>\n</table>\n</div>\n");
    }

    fn findings(&mut self, assessment: &Assessment) {
        add!(self.out, "<p class=\"summary\">{}</p>\n", escape(&findings::summary(assessment)));
        let total: u64 = findings::tally(assessment).iter().map(|(_, n)| n).sum();
        if total == 0 {
            return;
        }
        self.out.push_str("<div class=\"tally\" aria-hidden=\"true\">");
        for (verdict, n) in findings::tally(assessment).into_iter().filter(|(_, n)| *n > 0) {
            add!(self.out, "<i class=\"{}\" style=\"flex-grow:{n}\"></i>", class(verdict));
        }
        self.out.push_str("</div>\n");
        let sorted = findings::sorted(assessment);
        let open = sorted.iter().filter(|f| !f.verdict.is_pass()).count();
        // A lone hidden row would be sillier than one more shown.
        let shown =
            if sorted.len() > open + PASSES + 1 { open + PASSES.min(4) } else { sorted.len() };
        self.finding_rows(&sorted[..shown]);
        if shown < sorted.len() {
            let more = format::count((sorted.len() - shown) as u64);
            add!(self.out, "<details><summary>and {more} more that pass</summary>\n");
            self.finding_rows(&sorted[shown..]);
            self.out.push_str("</details>\n");
        }
    }

    /// A table that becomes a list of cards on a narrow page.
    fn finding_rows(&mut self, findings: &[&Finding]) {
        if findings.is_empty() {
            return;
        }
        self.out.push_str(
            "<table class=\"findings\">\n<thead><tr><th scope=\"col\">Verdict</th>\
             <th scope=\"col\">Check</th><th scope=\"col\">Expected</th>\
             <th scope=\"col\">Found</th></tr></thead>\n<tbody>\n",
        );
        for finding in findings {
            let severity = findings::severity(finding)
                .map(|s| format!("<span class=\"tag\">{s}</span>"))
                .unwrap_or_default();
            let evidence: Vec<_> = findings::evidence(finding)
                .iter()
                .map(|e| format!("<span>{}</span>", escape(e)))
                .collect();
            let evidence = if evidence.is_empty() {
                String::new()
            } else {
                format!("<small>{}</small>", evidence.join(" "))
            };
            add!(
                self.out,
                "<tr><td>{}{severity}</td><td dir=\"auto\"><b>{}</b> <code>{}</code></td>\
                 <td data-label=\"Expected\" dir=\"auto\">{}</td>\
                 <td data-label=\"Found\" dir=\"auto\">{}{evidence}</td></tr>\n",
                badge(finding.verdict),
                escape(&finding.check),
                escape(&finding.subject),
                escape(&finding.expected),
                escape(&finding.observed),
            );
        }
        self.out.push_str("</tbody>\n</table>\n");
    }
}

/// A table of more columns is set closer.
const MANY: usize = 8;

/// How many sections are inside, at any depth.
fn inner_sections(blocks: &[Block]) -> usize {
    blocks
        .iter()
        .map(|b| if let Block::Section(s) = b { 1 + inner_sections(&s.blocks) } else { 0 })
        .sum()
}

/// Whether a cell has a word that would make its column too wide.
fn is_long(cell: &Cell) -> bool {
    const LONG: usize = 28;
    let (Cell::Text(text) | Cell::Code(text)) = cell else { return false };
    text.split_whitespace().any(|word| format::width(word) > LONG)
}

fn side(align: Align) -> &'static str {
    match align {
        Align::Left => "",
        Align::Right => " class=\"num\"",
    }
}

fn cell(value: &Cell) -> String {
    match value {
        Cell::Missing => {
            "<span class=\"none\">—<span class=\"unseen\"> missing</span></span>".into()
        }
        Cell::Code(name) => format!("<code>{}</code>", escape(name)),
        Cell::Verdict(verdict) => badge(*verdict),
        Cell::Interval { value, low, high } => format!(
            "{} <small>[{}, {}]</small>",
            format::number(*value, DIGITS),
            format::number(*low, DIGITS),
            format::number(*high, DIGITS)
        ),
        Cell::Bar { value, full } => format!(
            "<span class=\"bars\"><span class=\"meter\"><i class=\"{}\" style=\"width:{:.1}%\"></i></span>{}</span>",
            if *value < 0.0 { "neg" } else { "pos" },
            Cell::fill(*value, *full) * 100.0,
            format::number(*value, DIGITS)
        ),
        Cell::Share(share) => format!(
            "<span class=\"bars\"><span class=\"meter\"><i style=\"width:{:.1}%\"></i></span>{}</span>",
            Cell::fill(*share, 1.0) * 100.0,
            escape(&value.to_string())
        ),
        Cell::Spark(values) => spark(values),
        other => format!("<bdi>{}</bdi>", escape(&other.to_string())),
    }
}

/// A small line without axes.
fn spark(values: &[f64]) -> String {
    const POINTS: usize = 500;
    let axis = super::axis::Axis::exact(values.iter().copied(), 1);
    let stride = values.len().div_ceil(POINTS).max(1);
    let step = 96.0 / values.len().saturating_sub(1).max(1) as f64;
    let mut path = String::new();
    let mut pen_up = true;
    for (i, value) in values.iter().enumerate().step_by(stride) {
        if value.is_finite() {
            let command = if pen_up { 'M' } else { 'L' };
            let (x, y) = (2.0 + step * i as f64, 20.0 - axis.held(*value) * 16.0);
            add!(path, "{command}{x:.1} {y:.1}");
        }
        pen_up = !value.is_finite();
    }
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let words = match (finite().reduce(f64::min), finite().reduce(f64::max)) {
        (Some(low), Some(high)) => {
            format!("{} to {}", format::number(low, 3), format::number(high, 3))
        }
        _ => "no values".to_owned(),
    };
    format!(
        "<svg class=\"spark\" viewBox=\"0 0 100 24\" role=\"img\" aria-label=\"{words}\">\
         <title>{words}</title><path d=\"{path}\"/></svg>"
    )
}
