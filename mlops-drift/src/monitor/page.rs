//! A comparison as a report to be read: verdict first, then columns, then pictures.

use mlops_core::Verdict;
use mlops_core::report::{Cell, Figure, Report, Section, Table};

use crate::monitor::report::{ColumnDrift, DriftReport};
use crate::monitor::statistic::{Statistic, StatisticResult};

/// Beyond this many columns the page would be heavy: the first in rank are drawn.
const DRAWN: usize = 60;

/// A p-value; one that is below what a float can hold is not 0.
fn p_value(p: f64) -> Cell {
    if p == 0.0 { "<1e-300".into() } else { Cell::number(p, 2) }
}

impl DriftReport {
    /// The report as a page for the terminal, Markdown, HTML or JSON: the verdict over the dataset
    /// first, the columns ranked as [`ranked`](Self::ranked) does, both sides of each drawn over
    /// one another, and the rule in words.
    pub fn to_report(&self) -> Report {
        self.sections().into_iter().fold(
            Report::new("Drift")
                .subtitle(self.headline())
                .meta("Rows of the reference", self.reference_rows)
                .meta("Current rows", self.current_rows)
                .meta("Columns", self.columns.len() as u64)
                .verdict(self.verdict),
            Report::section,
        )
    }

    /// The same as sections for a larger report.
    pub fn sections(&self) -> Vec<Section> {
        let ranked = self.ranked();
        let mut sections = vec![
            Section::new("Columns")
                .text(self.headline())
                .verdict(self.verdict)
                .table(self.table(&ranked)),
        ];
        let shares: Vec<_> = ranked
            .iter()
            .flat_map(|c| c.shares.iter().map(move |s| (c, s)))
            .filter(|(_, s)| s.worth_a_line())
            .collect();
        if !shares.is_empty() {
            let mut table = Table::new([
                "Column",
                "Rows that are",
                "Reference",
                "Current",
                "Change",
                "Floor",
                "Adjusted p",
                "Verdict",
            ]);
            for (column, s) in shares {
                table = table.row(vec![
                    Cell::code(&column.column),
                    s.share.to_string().into(),
                    Cell::percent(s.reference),
                    Cell::percent(s.current),
                    Cell::interval(s.current - s.reference, s.interval.low, s.interval.high),
                    Cell::number(s.floor, 3),
                    p_value(s.adjusted_p_value),
                    s.verdict.into(),
                ]);
            }
            sections.push(Section::new("Missing, new and vanished values").table(table));
        }
        let drawn = ranked.iter().filter_map(|c| c.figure()).take(DRAWN);
        sections.push(Section::new("Distributions").figures(drawn));
        sections.push(Section::new("Rule").text(self.rule.to_string()));
        let mut tests = Table::new(["Column", "Decided by", "Because"]);
        for (column, test) in ranked.iter().filter_map(|c| Some((c, c.test.as_ref()?))) {
            tests = tests.row(vec![
                Cell::code(&column.column),
                test.statistic.to_string().into(),
                test.because.as_str().into(),
            ]);
        }
        sections.push(Section::new("Why these tests").table(tests).folded(true));
        sections
    }

    fn headline(&self) -> String {
        let names = |verdict: Verdict| {
            let columns: Vec<_> = self
                .ranked()
                .into_iter()
                .filter(|c| c.verdict == verdict)
                .map(|c| c.column.as_str())
                .collect();
            (columns.len(), columns.iter().take(5).copied().collect::<Vec<_>>().join(", "))
        };
        let (fails, failed) = names(Verdict::Fail);
        let (open, undecided) = names(Verdict::Inconclusive);
        let more = |n: usize| if n > 5 { ", …" } else { "" };
        let of = self.columns.len();
        match (fails, open) {
            (0, 0) => format!("All of {of} columns are within their floors."),
            (0, n) => format!(
                "No column of {of} drifted; {n} could not be decided: {undecided}{}.",
                more(n)
            ),
            (n, _) => format!("{n} of {of} columns drifted: {failed}{}.", more(n)),
        }
    }

    fn table(&self, ranked: &[&ColumnDrift]) -> Table {
        let effect = format!("Effect, {} % limits", self.rule.confidence * 100.0);
        let mut table = Table::new([
            "Column",
            "Verdict",
            "Measured by",
            effect.as_str(),
            "Floor",
            "Decided by",
            "Adjusted p",
            "PSI",
            "Why",
        ]);
        let cell_of = |s: &StatisticResult| match s.interval {
            Some(i) => Cell::interval(s.value, i.low, i.high),
            None => Cell::number(s.value, 3),
        };
        for column in ranked {
            let effect = column.effect();
            let or_dash = |cell: Option<Cell>| cell.unwrap_or(Cell::Missing);
            table = table.row(vec![
                Cell::code(&column.column),
                column.verdict.into(),
                or_dash(effect.map(|s| s.statistic.to_string().into())),
                or_dash(effect.map(cell_of)),
                or_dash(effect.and_then(|s| s.floor).map(|f| Cell::number(f, 3))),
                or_dash(column.test.as_ref().map(|t| t.statistic.to_string().into())),
                or_dash(column.adjusted_p_value().map(p_value)),
                or_dash(column.statistic(Statistic::Psi).map(|s| Cell::number(s.value, 3))),
                column.reason.as_str().into(),
            ]);
        }
        table
    }
}

impl ColumnDrift {
    /// Both sides over one another; `None` where the column was not measured.
    pub fn figure(&self) -> Option<Figure> {
        let figure = Figure::new(&self.column, self.distribution.clone()?);
        Some(figure.note(&self.reason).verdict(self.verdict))
    }
}
