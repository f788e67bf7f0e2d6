//! Every block and every figure of a report, written as HTML, Markdown and JSON to a directory,
//! and printed: `cargo run -p mlops-core --example report_gallery -- target/gallery`.

#![expect(clippy::print_stdout, reason = "a program prints")]

use mlops_core::report::{
    Bars, Cell, Distribution, Figure, HeatMap, Intervals, Line, Report, Section, Table,
};
use mlops_core::{Assessment, Error, Finding, Result, RowId, Severity, Timestamp, Verdict};

fn main() -> Result<()> {
    let directory = std::env::args().nth(1).unwrap_or_else(|| "target/gallery".to_owned());
    let directory = std::path::Path::new(&directory);
    std::fs::create_dir_all(directory).map_err(|e| Error::io(directory, e))?;
    let report = gallery();
    println!("{}", report.to_terminal(96, true));
    report.write_html(directory.join("report.html"))?;
    report.write_markdown(directory.join("report.md"))?;
    report.write_json(directory.join("report.json"))?;
    println!("written to {}", directory.display());
    Ok(())
}

fn gallery() -> Report {
    Report::new("Loan model v7, month 2026-03")
        .subtitle("Applications of March against the training data: what came in, what moved, and whether the model may stay.")
        .meta("Model", "loans, version 7")
        .meta("Rows", 16_281_u64)
        .meta("Measured", Timestamp::from_millis(1_774_958_400_000))
        .meta("Scan", "0.42 s")
        .verdict(Verdict::Fail)
        .text("One column left its bound and the selection rates of two groups are further apart than the policy allows. The model keeps its accuracy.")
        .section(data())
        .section(drift())
        .section(fairness())
        .section(model())
        .section(hostile())
}

fn data() -> Section {
    let mut findings = vec![
        Finding::new(
            "in_range",
            "age",
            Verdict::Fail,
            "17 to 110 in every row",
            "least -4, greatest 96",
        )
        .with_rows(
            12,
            (0..12).map(|i| RowId { origin: "march.csv".into(), row: 311 + i * 97 }).collect(),
        ),
        Finding::new(
            "not_null",
            "income",
            Verdict::Inconclusive,
            "at most 5 % missing",
            "4.8 % missing in 120 rows",
        )
        .with_value(0.048)
        .with_interval(0.021, 0.101),
        Finding::new("unique", "application_id", Verdict::Pass, "no value twice", "16,281 values"),
        Finding::new(
            "freshness",
            "dataset",
            Verdict::Fail,
            "newest row within a day",
            "newest row is 3 days old",
        )
        .with_severity(Severity::Warning),
    ];
    for column in
        ["education", "occupation", "hours_per_week", "marital_status", "workclass", "capital_gain"]
    {
        findings.push(
            Finding::new("not_null", column, Verdict::Pass, "no nulls", "none")
                .with_rows(0, Vec::new()),
        );
    }
    for i in 0..14 {
        findings.push(Finding::new(
            "type",
            format!("feature_{i:02}"),
            Verdict::Pass,
            "Float64",
            "Float64",
        ));
    }
    let assessment = Assessment::new("Data", 16_281, findings);
    Section::from(&assessment)
}

fn drift() -> Section {
    let edges: Vec<f64> = (0..=20).map(|i| 15.0 + 3.75 * f64::from(i)).collect();
    let bell = |centre: f64, wide: f64, rows: f64| -> Vec<u64> {
        (0..20)
            .map(|i| {
                let z = (f64::from(i) - centre) / wide;
                (rows * (-0.5 * z * z).exp()) as u64
            })
            .collect()
    };
    let months: Vec<String> =
        (1..=14).map(|m| format!("{}-{:02}", 2025 + (m - 1) / 12, (m - 1) % 12 + 1)).collect();
    let psi = vec![
        0.011,
        0.013,
        0.009,
        0.015,
        0.012,
        f64::NAN,
        0.017,
        0.014,
        0.019,
        0.016,
        0.022,
        0.061,
        0.158,
        0.412,
    ];
    let low = psi.iter().map(|v| v * 0.8).collect::<Vec<_>>();
    let high = psi.iter().map(|v| v * 1.25 + 0.01).collect::<Vec<_>>();
    Section::new("Drift")
        .verdict(Verdict::Fail)
        .key_values([
            ("Columns measured", Cell::from(14_u64)),
            ("Columns that drift", Cell::from(1_u64)),
            ("Largest PSI", Cell::number(0.412, 3)),
            ("Reference", Cell::code("sha256:9f2c41d07ab3")),
        ])
        .figure(
            Figure::new(
                "PSI of income by month",
                Line::over(months)
                    .series("income", psi)
                    .band(low, high)
                    .series(
                        "age",
                        vec![
                            0.004, 0.006, 0.005, 0.007, 0.006, 0.005, 0.008, 0.007, 0.006, 0.009,
                            0.008, 0.007, 0.009, 0.011,
                        ],
                    )
                    .bound("threshold", 0.2)
                    .mark(6, "version 7 promoted")
                    .mark(12, "drift begins"),
            )
            .note("The band is a 95 % interval; × is a month without enough rows.")
            .y_label("population stability index"),
        )
        .figures([
            Figure::new(
                "age",
                Distribution::numbers(edges.clone())
                    .series("reference", bell(7.0, 4.0, 1000.0), 0)
                    .series("current", bell(7.4, 4.1, 480.0), 0),
            )
            .x_label("years")
            .verdict(Verdict::Pass),
            Figure::new(
                "income",
                Distribution::numbers([
                    f64::NEG_INFINITY,
                    8e3,
                    14e3,
                    19e3,
                    24e3,
                    31e3,
                    43e3,
                    7e4,
                    f64::INFINITY,
                ])
                .series("reference", [125, 125, 125, 125, 125, 125, 125, 125], 12)
                .series("current", [30, 40, 52, 60, 75, 90, 110, 140], 160),
            )
            .x_label("a year, by eighths of the reference")
            .verdict(Verdict::Fail),
            Figure::new(
                "education",
                Distribution::categories([
                    "high school",
                    "some college",
                    "bachelor",
                    "master",
                    "doctorate",
                ])
                .series("reference", [10_501, 7291, 5355, 1723, 413], 40)
                .series("current", [5283, 3587, 2670, 934, 181], 30),
            )
            .verdict(Verdict::Pass),
        ])
        .table(
            Table::new([
                "Column",
                "Kind",
                "PSI",
                "KS",
                "p-value",
                "Missing",
                "Last 8 months",
                "Verdict",
            ])
            .caption("All columns, the largest first")
            .row((
                "income",
                "number",
                Cell::bar(0.412, 0.412),
                0.211,
                Cell::number(3.2e-41, 2),
                Cell::percent(0.2114),
                Cell::spark([0.02, 0.01, 0.02, 0.02, 0.02, 0.06, 0.16, 0.41]),
                Verdict::Fail,
            ))
            .row((
                "age",
                "number",
                Cell::bar(0.011, 0.412),
                0.0181,
                Cell::number(0.31, 2),
                Cell::percent(0.0),
                Cell::spark([0.01, 0.02, 0.01, f64::NAN, 0.01, 0.02, 0.01, 0.011]),
                Verdict::Pass,
            ))
            .row((
                "education",
                "category",
                Cell::bar(0.0031, 0.412),
                None::<f64>,
                Cell::number(0.74, 2),
                Cell::percent(0.0024),
                Cell::spark([]),
                Verdict::Pass,
            ))
            .row((
                "zip",
                "category",
                Cell::bar(f64::NAN, 0.412),
                None::<f64>,
                None::<f64>,
                Cell::percent(1.0),
                Cell::Missing,
                Verdict::Inconclusive,
            ))
            .rows((0..9).map(|i| {
                (
                    format!("feature_{i:02}"),
                    "number",
                    Cell::bar(0.002, 0.412),
                    0.01,
                    Cell::number(0.5, 2),
                    Cell::percent(0.0),
                    Cell::spark([1.0, 2.0, 1.5]),
                    Verdict::Pass,
                )
            }))
            .limit(8),
        )
}

fn fairness() -> Section {
    Section::new("Fairness").verdict(Verdict::Fail).figure(
        Figure::new(
            "Difference of selection rates to the largest group",
            Intervals::new()
                .point("sex: female", -0.062, (-0.081, -0.043), Verdict::Pass)
                .point("race: Amer-Indian-Eskimo", -0.09, (-0.19, 0.02), Verdict::Inconclusive)
                .point("race: Asian-Pac-Islander", 0.012, (-0.03, 0.055), Verdict::Pass)
                .point("race: Black", -0.151, (-0.172, -0.127), Verdict::Fail)
                .point("race: other, fewer than 30 rows", f64::NAN, None, Verdict::Inconclusive)
                .bound("lower bound", -0.1)
                .bound("upper bound", 0.1),
        )
        .note("95 % intervals (Miettinen–Nurminen). A group passes when its whole interval lies between the bounds.")
        .x_label("difference of selection rates"),
    )
}

fn model() -> Section {
    Section::new("Model")
        .verdict(Verdict::Pass)
        .section(
            Section::new("Quality on the hold-out")
                .key_values([
                    ("Accuracy", Cell::interval(0.8512, 0.846, 0.8561)),
                    ("ROC AUC", Cell::number(0.9034, 4)),
                    ("Log loss", Cell::number(0.3187, 4)),
                    ("Positives", Cell::percent(0.2362)),
                ])
                .figures([
                    Figure::new("Confusion at 0.5", HeatMap::confusion(["no", "yes"], &[vec![11_412, 1023], vec![1399, 2447]])),
                    Figure::new(
                        "Correlation",
                        HeatMap::new(["age", "hours", "gain"], ["age", "hours", "gain"], vec![
                            vec![1.0, 0.07, 0.08],
                            vec![0.07, 1.0, -0.42],
                            vec![0.08, -0.42, f64::NAN],
                        ]),
                    ),
                ]),
        )
        .section(
            Section::new("Attribution")
                .text("Mean over the batch of each feature's share in the log-odds, against the training mean.")
                .figure(
                    Figure::new(
                        "What moved the score",
                        Bars::new([
                            ("income", 0.83),
                            ("age", 0.41),
                            ("capital_gain", 0.38),
                            ("hours_per_week", 0.12),
                            ("education = bachelor", 0.074),
                            ("marital_status = never married", -0.52),
                            ("occupation = other service", -0.17),
                            ("constant", 0.0),
                            ("overflowed", f64::INFINITY),
                        ])
                        .longest_first()
                        .limit(8),
                    )
                    .x_label("log-odds"),
                )
                .code("base_value   -1.482\nprediction    0.310\nsum          -1.172"),
        )
}

fn hostile() -> Section {
    let word = "antidisestablishmentarianism".repeat(12);
    Section::new("Names <script>alert('x')</script> & \"quotes\"")
        .text("A right-to-left name: עברית العربية. Emoji: 🏦👩‍💻. Control: \u{1b}[31m and \0. An override: \u{202e}gpj.exe")
        .text(word.clone())
        .table(
            Table::new(["<b>Name</b>", "Value", "العمود"])
                .row(("</td><script>alert(1)</script>", f64::NAN, "שלום"))
                .row((word.as_str(), f64::NEG_INFINITY, "🏦"))
                .row(("short row",)),
        )
        .table(Table::new(["An", "empty", "table"]))
        .table(Table::new(Vec::<String>::new()))
        .figures([
            Figure::new(word.clone(), Line::over(Vec::<String>::new())),
            Figure::new("all NaN", Line::over(["a", "b"]).series("x", [f64::NAN, f64::NAN])),
            Figure::new("no rows", Distribution::numbers([0.0, 1.0]).series("reference", [0], 0)),
            Figure::new("<script>", Bars::new([(word, 1e300), ("\"'&<>".to_owned(), -1e-300)])),
            Figure::new("", Intervals::new()),
            Figure::new("huge", Line::over(["a", "b", "c"]).series("x", [1e308, -1e308, f64::INFINITY])),
        ])
        .findings(&Assessment::new("empty", 0, Vec::new()))
}
