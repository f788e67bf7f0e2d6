//! Findings as JUnit XML, which build servers read.

use std::fmt::Write as _;

use super::svg::escape;
use super::{findings, format};
use crate::{Assessment, Finding, Severity, Verdict};

/// How a test of a build server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failure,
    Error,
    Skipped,
}

/// Assessments as JUnit XML: a `testsuite` each, a `testcase` for every finding, in their order.
///
/// | finding | critical | warning, info |
/// |---|---|---|
/// | pass | passed | passed |
/// | fail | `failure` | `skipped`, with its words |
/// | inconclusive | `error`: it could not be judged | `skipped`, with its words |
///
/// A build is red exactly where [`Assessment::verdict`] is anything but a pass: where no finding
/// says so (nothing was asked, there were no rows), one more case named `verdict` does; where a
/// rule over all findings together passes, those that do not are `skipped`, with their words. What a test is of is its `classname`, `suite.subject`; the
/// suite's `properties` hold the verdict and the rows. All text is escaped, and characters that
/// XML has no place for become visible pictures of themselves.
///
/// The elements and attributes are those that Ant's, Maven's and the Jenkins xUnit plugin's
/// schemas have in common. There is no `time` and no `timestamp`, because findings have none.
///
/// ```
/// use mlops_core::{Assessment, Finding, Verdict, report};
///
/// let bad = Finding::new("in_set", "country", Verdict::Fail, "NO or SE", "3 rows: `<b>`");
/// let xml = report::junit([&Assessment::new("applications", 9, vec![bad])]);
/// assert!(xml.contains(r#"<testcase name="in_set(country)" classname="applications.country">"#));
/// assert!(xml.contains(r#"<failure message="3 rows: `&lt;b&gt;`" type="in_set">"#));
/// ```
pub fn junit<'a>(assessments: impl IntoIterator<Item = &'a Assessment>) -> String {
    let mut suites = String::new();
    let mut all = Tally::default();
    for assessment in assessments {
        let tally = suite(&mut suites, assessment);
        all.tests += tally.tests;
        all.failures += tally.failures;
        all.errors += tally.errors;
    }
    let Tally { tests, failures, errors, .. } = all;
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\">\n\
         {suites}</testsuites>\n"
    )
}

#[derive(Default)]
struct Tally {
    tests: u64,
    failures: u64,
    errors: u64,
    skipped: u64,
}

impl Tally {
    fn count(&mut self, outcome: Outcome) {
        self.tests += 1;
        match outcome {
            Outcome::Passed => {}
            Outcome::Failure => self.failures += 1,
            Outcome::Error => self.errors += 1,
            Outcome::Skipped => self.skipped += 1,
        }
    }
}

fn suite(out: &mut String, assessment: &Assessment) -> Tally {
    let mut tally = Tally::default();
    let mut cases = String::new();
    let name = escape(&assessment.name);
    for finding in &assessment.findings {
        let outcome = match outcome(finding.verdict, finding.severity) {
            // A rule over all findings together has found them good enough.
            Outcome::Failure | Outcome::Error if assessment.verdict.is_pass() => Outcome::Skipped,
            outcome => outcome,
        };
        tally.count(outcome);
        case(&mut cases, &name, finding, outcome);
    }
    if !assessment.verdict.is_pass() && tally.failures + tally.errors == 0 {
        let outcome = outcome(assessment.verdict, Severity::Critical);
        let finding = Finding::new(
            "verdict",
            "",
            assessment.verdict,
            "a pass",
            format!("{} over {} rows", assessment.verdict, format::count(assessment.rows)),
        );
        tally.count(outcome);
        case(&mut cases, &name, &finding, outcome);
    }
    let Tally { tests, failures, errors, skipped } = tally;
    add!(
        out,
        "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" \
         errors=\"{errors}\" skipped=\"{skipped}\">\n    <properties>\n      \
         <property name=\"verdict\" value=\"{}\"/>\n      \
         <property name=\"rows\" value=\"{}\"/>\n    </properties>\n{cases}  </testsuite>\n",
        assessment.verdict,
        assessment.rows
    );
    tally
}

fn outcome(verdict: Verdict, severity: Severity) -> Outcome {
    match (verdict, severity) {
        (Verdict::Pass, _) => Outcome::Passed,
        (Verdict::Fail, Severity::Critical) => Outcome::Failure,
        (Verdict::Inconclusive, Severity::Critical) => Outcome::Error,
        (Verdict::Fail | Verdict::Inconclusive, _) => Outcome::Skipped,
    }
}

fn case(out: &mut String, suite: &str, finding: &Finding, outcome: Outcome) {
    let (check, subject) = (escape(&finding.check), escape(&finding.subject));
    if subject.is_empty() {
        add!(out, "    <testcase name=\"{check}\" classname=\"{suite}\"");
    } else {
        add!(out, "    <testcase name=\"{check}({subject})\" classname=\"{suite}.{subject}\"");
    }
    let (expected, observed) = (escape(&finding.expected), escape(&finding.observed));
    let mut words = format!("expected: {expected}\nfound: {observed}");
    for line in findings::evidence(finding) {
        add!(words, "\n{}", escape(&line));
    }
    let tag = match outcome {
        Outcome::Passed => {
            add!(out, ">\n      <system-out>{words}</system-out>\n    </testcase>\n");
            return;
        }
        Outcome::Failure => "failure",
        Outcome::Error => "error",
        Outcome::Skipped => {
            // No schema gives it a body that all readers show.
            let severity = findings::severity(finding).unwrap_or("critical");
            let verdict = finding.verdict;
            add!(
                out,
                ">\n      <skipped message=\"{severity}, {verdict}: {observed}\"/>\n      \
                 <system-out>{words}</system-out>\n    </testcase>\n"
            );
            return;
        }
    };
    add!(
        out,
        ">\n      <{tag} message=\"{observed}\" type=\"{check}\">{words}</{tag}>\n    </testcase>\n"
    );
}

#[cfg(test)]
mod tests {
    use quick_xml::Reader;
    use quick_xml::events::Event;

    use super::*;

    /// The names of the elements in their order; fails where the text is no XML.
    fn elements(xml: &str) -> Vec<String> {
        let mut reader = Reader::from_str(xml);
        reader.config_mut().check_end_names = true;
        let mut names = Vec::new();
        loop {
            match reader.read_event().unwrap() {
                Event::Start(e) | Event::Empty(e) => {
                    for attribute in e.attributes() {
                        attribute.unwrap().unescape_value().unwrap();
                    }
                    names.push(String::from_utf8(e.name().as_ref().to_vec()).unwrap());
                }
                Event::Eof => return names,
                _ => {}
            }
        }
    }

    fn finding(verdict: Verdict, severity: Severity) -> Finding {
        Finding::new("in_set", "country", verdict, "NO", "DK").with_severity(severity)
    }

    #[test]
    fn a_build_is_red_where_the_verdict_is_no_pass() {
        let verdicts = [Verdict::Pass, Verdict::Inconclusive, Verdict::Fail];
        let severities = [Severity::Info, Severity::Warning, Severity::Critical];
        let mut all = vec![vec![]];
        for a in verdicts {
            for s in severities {
                all.push(vec![finding(a, s)]);
                all.push(vec![finding(Verdict::Pass, Severity::Critical), finding(a, s)]);
            }
        }
        for findings in all {
            for rows in [0, 9] {
                for forced in verdicts.map(Some).into_iter().chain([None]) {
                    let mut of = Assessment::new("s", rows, findings.clone());
                    if let Some(verdict) = forced {
                        of = of.with_verdict(verdict);
                    }
                    let xml = junit([&of]);
                    let red = elements(&xml).iter().any(|n| n == "failure" || n == "error");
                    assert_eq!(red, !of.verdict.is_pass(), "{xml}");
                }
            }
        }
    }

    #[test]
    fn the_counts_are_those_of_the_cases() {
        let of = Assessment::new(
            "s",
            5,
            vec![
                finding(Verdict::Fail, Severity::Critical),
                finding(Verdict::Fail, Severity::Warning),
                finding(Verdict::Inconclusive, Severity::Critical),
                finding(Verdict::Pass, Severity::Critical),
            ],
        );
        let xml = junit([&of, &of]);
        assert!(xml.contains("<testsuites tests=\"8\" failures=\"2\" errors=\"2\">"), "{xml}");
        let suite = "<testsuite name=\"s\" tests=\"4\" failures=\"1\" errors=\"1\" skipped=\"1\">";
        assert_eq!(xml.matches(suite).count(), 2, "{xml}");
        let names = elements(&xml);
        let count = |name: &str| names.iter().filter(|n| *n == name).count();
        assert_eq!((count("testcase"), count("failure"), count("error")), (8, 2, 2));
        assert_eq!(elements(&junit([])), ["testsuites"]);
    }

    proptest::proptest! {
        #[test]
        fn whatever_stands_in_it_it_is_xml(
            texts in proptest::collection::vec("(\\PC|[\0-\u{9f}<>&\"'\\]]|\u{fffe}){0,12}", 5),
            verdict in 0..3_usize,
        ) {
            let verdict = [Verdict::Pass, Verdict::Inconclusive, Verdict::Fail][verdict];
            let [name, check, subject, expected, observed] = texts.try_into().unwrap();
            let row = crate::RowId { origin: observed.clone(), row: 3 };
            let finding = Finding::new(check, subject, verdict, expected, observed)
                .with_rows(1, vec![row]);
            let xml = junit([&Assessment::new(name, 1, vec![finding])]);
            let names = elements(&xml);
            proptest::prop_assert_eq!(&names[..2], ["testsuites", "testsuite"]);
            proptest::prop_assert_eq!(names.iter().filter(|n| *n == "testcase").count(), 1);
            // XML 1.0, production 2: nothing else may stand in a document.
            let allowed = |c: char| matches!(c, '\n' | '\r' | '\t' | ' '..='\u{d7ff}'
                | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}');
            proptest::prop_assert!(xml.chars().all(allowed));
        }
    }
}
