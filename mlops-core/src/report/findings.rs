//! How the findings of an assessment are shown, whatever the renderer.

use super::format;
use super::table::DIGITS;
use crate::{Assessment, Finding, Severity, Verdict};

/// Row names that are shown.
const ROWS: usize = 5;

/// The findings, what needs a look first: fails, inconclusive ones, passes; within them the graver
/// first, else in their order.
pub(crate) fn sorted(assessment: &Assessment) -> Vec<&Finding> {
    let mut findings: Vec<_> = assessment.findings.iter().collect();
    findings.sort_by(|a, b| b.verdict.cmp(&a.verdict).then(b.severity.cmp(&a.severity)));
    findings
}

/// How many findings have each verdict: fails, inconclusive ones, passes.
pub(crate) fn tally(assessment: &Assessment) -> [(Verdict, u64); 3] {
    [Verdict::Fail, Verdict::Inconclusive, Verdict::Pass].map(|verdict| {
        let n = assessment.findings.iter().filter(|f| f.verdict == verdict).count();
        (verdict, n as u64)
    })
}

/// `2 fail, 14 pass of 16 checks over 1,000 rows`.
pub(crate) fn summary(assessment: &Assessment) -> String {
    let tally: Vec<_> = tally(assessment)
        .into_iter()
        .filter(|(_, n)| *n > 0)
        .map(|(verdict, n)| format!("{} {verdict}", format::count(n)))
        .collect();
    let rows = format::count(assessment.rows);
    let rows = format!("{rows} {}", if assessment.rows == 1 { "row" } else { "rows" });
    if tally.is_empty() {
        format!("nothing was checked over {rows}")
    } else {
        let checks = assessment.findings.len() as u64;
        let noun = if checks == 1 { "check" } else { "checks" };
        format!("{} of {} {noun} over {rows}", tally.join(", "), format::count(checks))
    }
}

/// The severity where it is worth a word: a critical finding is the rule.
pub(crate) fn severity(finding: &Finding) -> Option<&'static str> {
    match finding.severity {
        Severity::Info => Some("info"),
        Severity::Warning => Some("warning"),
        Severity::Critical => None,
    }
}

/// The number and its limits, the p-value, the failing rows: what stands behind the words.
pub(crate) fn evidence(finding: &Finding) -> Vec<String> {
    let number = |v: f64| format::number(v, DIGITS);
    let mut parts = Vec::new();
    match (finding.value, finding.interval) {
        (Some(value), Some((low, high))) => {
            parts.push(format!("{} [{}, {}]", number(value), number(low), number(high)));
        }
        (Some(value), None) => parts.push(number(value)),
        (None, Some((low, high))) => parts.push(format!("[{}, {}]", number(low), number(high))),
        (None, None) => {}
    }
    if let Some(p) = finding.p_value {
        parts.push(format!("p = {}", format::number(p, 3)));
    }
    if let Some(n) = finding.failing_rows.filter(|n| *n > 0) {
        let noun = if n == 1 { "row fails" } else { "rows fail" };
        parts.push(format!("{} {noun}", format::count(n)));
    }
    if let Some(rows) = rows(finding) {
        parts.push(rows);
    }
    parts
}

/// The first failing rows by name.
fn rows(finding: &Finding) -> Option<String> {
    if finding.rows.is_empty() {
        return None;
    }
    let shown: Vec<_> =
        finding.rows.iter().take(ROWS).map(|r| format::clean(&r.to_string())).collect();
    let all = finding.failing_rows.unwrap_or(0).max(finding.rows.len() as u64);
    let more = if all > shown.len() as u64 { ", …" } else { "" };
    Some(format!("{}{more}", shown.join(", ")))
}
