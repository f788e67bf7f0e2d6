//! Reports against committed text, and against hostile content. With `MLOPS_BLESS` set the
//! committed text is written anew; look at the difference before committing it.

use mlops_core::report::{
    Bars, Cell, Chart, Distribution, Figure, HeatMap, Intervals, Line, Report, Section, Table, Tone,
};
use mlops_core::{Assessment, Finding, Verdict};

fn sample() -> Report {
    let findings = vec![
        Finding::new("not_null", "income", Verdict::Pass, "no nulls", "none"),
        Finding::new("psi", "income", Verdict::Fail, "at most 0.2", "0.41")
            .with_value(0.41)
            .with_interval(0.36, 0.47),
    ];
    Report::new("Loans in March")
        .subtitle("Against the training data")
        .meta("Rows", 16_281_u64)
        .verdict(Verdict::Fail)
        .section(&Assessment::new("Drift", 16_281, findings))
        .section(
            Section::new("Pictures")
                .figures([
                    Figure::new(
                        "income",
                        Distribution::numbers([0.0, 1.0, 2.0, 4.0])
                            .series("reference", [50, 40, 10], 0)
                            .series("current", [20, 40, 35], 5),
                    ),
                    Figure::new(
                        "by month",
                        Line::over(["01", "02", "03"])
                            .series("psi", [0.01, f64::NAN, 0.41])
                            .bound("threshold", 0.2)
                            .mark(2, "drift"),
                    ),
                ])
                .figure(Figure::new(
                    "groups",
                    Intervals::new()
                        .point("a", -0.05, (-0.08, -0.02), Verdict::Pass)
                        .point("b", f64::NAN, None, Verdict::Inconclusive)
                        .bound("bound", -0.1),
                ))
                .figure(Figure::new("why", Bars::new([("income", 0.8), ("age", -0.2)])))
                .figure(Figure::new(
                    "confusion",
                    HeatMap::confusion(["no", "yes"], &[vec![90, 10], vec![5, 45]]),
                ))
                .table(
                    Table::new(["Column", "PSI", "Missing"])
                        .row(("income", Cell::bar(0.41, 0.41), Cell::percent(0.05)))
                        .row(("age", 0.004, None::<f64>))
                        .row(("zip", f64::INFINITY, "never"))
                        .limit(2),
                ),
        )
}

fn hostile() -> Report {
    let word = "x".repeat(5000);
    let texts = [
        "<script>alert(1)</script>",
        "\"'><img src=x onerror=alert(1)>",
        "\u{1b}[2J\0\u{202e}",
        &word,
        "",
        "עברית 🏦",
    ];
    let numbers = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e308, -1e308, 5e-324];
    texts.iter().fold(Report::new("<script>"), |report, text| {
        let text = (*text).to_owned();
        let pairs: Vec<_> = numbers.iter().map(|v| (text.clone(), *v)).collect();
        let mut intervals = Intervals::new().bound(text.clone(), f64::NAN);
        for a in numbers {
            for b in numbers {
                intervals = intervals.point(text.clone(), a, (a, b), Verdict::Fail).bound("b", b);
            }
        }
        let finding = Finding::new(&text, &text, Verdict::Fail, &text, &text);
        let findings = Assessment::new(&text, 1, vec![finding]);
        report.subtitle(&text).meta(&text, text.as_str()).section(
            Section::new(&text)
                .text(&text)
                .code(&text)
                .key_values(pairs.clone())
                .section(&findings)
                .figures([
                    Figure::new(&text, Bars::new(pairs)).note(&text).x_label(&text).y_label(&text),
                    Figure::new(
                        &text,
                        Line::over([&text, &text])
                            .series(&text, numbers)
                            .band(numbers, [0.0])
                            .mark(1, &text)
                            .mark(9, &text),
                    ),
                    Figure::new(&text, Line::over(Vec::<String>::new())),
                    Figure::new(&text, intervals),
                    Figure::new(
                        &text,
                        Distribution::numbers(numbers).series(&text, [u64::MAX, 1], u64::MAX),
                    ),
                    Figure::new(
                        &text,
                        Distribution::numbers([f64::NEG_INFINITY, f64::INFINITY]).series(
                            &text,
                            [1, 2, 3],
                            0,
                        ),
                    ),
                    Figure::new(
                        &text,
                        Distribution::numbers([-1e308, 1e308]).series(&text, [1], 0),
                    ),
                    Figure::new(&text, Distribution::numbers([]).series(&text, [], 0)),
                    Figure::new(&text, Distribution::categories([&text]).series(&text, [], 1)),
                    Figure::new(
                        &text,
                        HeatMap::new([&text], [&text, &text], vec![numbers.to_vec()]),
                    ),
                    Figure::new(&text, HeatMap::new(Vec::<String>::new(), [&text], vec![])),
                    Figure::new(&text, chart(&text, &numbers)).x_label(&text).y_label(&text),
                    Figure::new(&text, chart(&text, &numbers).row(&text, &text).detail(&text)),
                    Figure::new(&text, Chart::new(Table::new([&text]))),
                ])
                .table(Table::new([&text]).caption(&text).row((1, &text)).row(Vec::<Cell>::new()))
                .table(
                    Table::new(Vec::<String>::new())
                        .row((Cell::spark(numbers), Cell::bar(f64::NAN, 0.0))),
                )
                .table(Table::new(["a"]).limit(0).row(("b",))),
        )
    })
}

/// Every shape, with any numbers and words.
fn chart(text: &str, numbers: &[f64]) -> Chart {
    let a = numbers.first().copied().unwrap_or(0.0);
    let b = numbers.last().copied().unwrap_or(1.0);
    Chart::new(Table::new([text]))
        .cells(Tone::level(a), [[a, b, b, a], [b, b, a, a]], text)
        .cells(Tone::shade(b), [], "")
        .line(Tone::Series(u8::MAX), numbers.iter().map(|x| (*x, a)), text)
        .dot(Tone::Missing, (a, b), text)
        .dot(Tone::Level(u8::MAX), (1.0, 2.0), text)
        .arrow(usize::MAX, (a, b), text, text)
        .link(0, (b, a), text, text)
        .place(a, text)
        .place(b, text)
        .place(b, "")
        .row_height(a)
        .legend(Tone::Guide, text)
        .scale(text, text, true)
        .ticks(numbers.iter().map(|x| (*x, text)))
}

#[expect(clippy::unwrap_used, reason = "a test's own helper")]
fn golden(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report").join(name);
    if std::env::var_os("MLOPS_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
    assert_eq!(text, expected, "{name}; see the head of this file");
}

#[test]
fn the_text_is_what_was_committed() {
    let report = sample();
    golden("sample.txt", &report.to_terminal(72, false));
    golden("sample.md", &report.to_markdown());
    golden("sample.json", &report.to_json().unwrap());
}

#[test]
fn json_comes_back() {
    for report in [sample(), hostile()] {
        let json = report.to_json().unwrap();
        assert_eq!(Report::from_json(&json).unwrap().to_json().unwrap(), json);
    }
    assert!(Report::from_json("{\"title\": 1}").is_err());
}

#[test]
fn hostile_content_stays_content() {
    let report = hostile();
    for text in [report.to_html(), report.to_markdown(), report.to_terminal(60, false)] {
        assert!(!text.contains(['\u{1b}', '\0', '\u{202e}']));
    }
    let html = report.to_html();
    assert!(!html.contains("<script") && !html.contains("<img"));
    // Nothing that a picture is drawn with is no number.
    for attribute in html.split(" d=\"").skip(1).chain(html.split(" x=\"").skip(1)) {
        let value = attribute.split('"').next().unwrap();
        assert!(!value.contains("NaN") && !value.contains("inf"), "{value}");
    }
    for width in [0, 40, 1000] {
        assert!(report.to_terminal(width, true).contains("NaN"));
    }
    for tag in ["section", "table", "figure", "svg", "div", "details", "ul", "dl", "td", "span"] {
        let opened =
            html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn html_needs_nothing_else() {
    let html = sample().to_html();
    for outside in ["http://", "https://", "<script", "@import", "url(", "<link"] {
        assert!(!html.contains(outside), "{outside}");
    }
    for inside in ["prefers-color-scheme: dark", "<title id=\"f0t\">", "<desc", "scope=\"col\""] {
        assert!(html.contains(inside), "{inside}");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("report.html");
    sample().write_html(&path).unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), html);
}
