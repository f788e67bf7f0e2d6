//! Metrics on the disk: torn lines, many writers, and gates as text.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Command;

use mlops_core::{Severity, Timestamp, Verdict};
use mlops_validate::history::{
    AnomalyCheck, HistoryCheck, HistoryGate, HistoryQuery, MetricHistory, MetricRecord, Side,
};

fn at(day: i64) -> Timestamp {
    Timestamp::from_millis(day * 86_400_000)
}

fn record(day: i64, value: f64) -> MetricRecord {
    MetricRecord::new("d", at(day)).metric("m", "x", value)
}

#[test]
fn every_torn_line_is_recognised_and_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.jsonl");
    let history = MetricHistory::open(&path).unwrap();
    history.append(&record(1, 1.5)).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let next = MetricRecord::new("ø\n", at(2)).tag("a", "\"\u{1}").metric("m", "x", f64::NAN);
    let mut line = serde_json::to_vec(&next).unwrap();
    line.push(b'\n');
    for n in 1..line.len() {
        std::fs::write(&path, [&whole, &line[..n]].concat()).unwrap();
        let history = MetricHistory::open(&path).unwrap();
        // All but the newline is a record.
        let complete = n == line.len() - 1;
        assert_eq!(history.records(&HistoryQuery::new()).unwrap().len(), 1 + usize::from(complete));
        assert_eq!(history.torn_lines().len(), usize::from(!complete), "{n} bytes");
        history.append(&record(3, 2.5)).unwrap();
        let text = std::fs::read(&path).unwrap();
        assert!(text.starts_with(&whole) && text.ends_with(b"\n"));
        let found = MetricHistory::open(&path).unwrap().records(&HistoryQuery::new()).unwrap();
        assert_eq!(found.len(), 2 + usize::from(complete));
        assert_eq!(history.torn_lines().len(), usize::from(!complete));
    }
    // Room that the system had made for bytes that never came.
    std::fs::write(&path, [whole.as_slice(), b"{\"time\":\0\0\0\0\0\n"].concat()).unwrap();
    let history = MetricHistory::open(&path).unwrap();
    let told = history.torn_lines()[0].to_string();
    assert!(told.contains(&format!("at byte {}", whole.len())), "{told}");
    history.append(&record(3, 2.5)).unwrap();
    assert_eq!(history.records(&HistoryQuery::new()).unwrap().len(), 2);
}

#[test]
fn what_is_no_record_is_an_error_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.jsonl");
    let line = serde_json::to_string(&record(1, 1.5)).unwrap();
    for (text, place) in [
        (format!("{line}\n\n{{}}\n{line}\n"), "line 3"),
        (format!("{{\"half\n{line}\n"), "line 1"),
        (format!("{line}\n\0\0\n{line}\n"), "line 2"),
        (format!("{line}\nnonsense"), "line 2"),
        (line.replace("1.5", "1e999"), "line 1"),
    ] {
        std::fs::write(&path, &text).unwrap();
        let error = MetricHistory::open(&path).unwrap_err().to_string();
        assert!(error.contains("metrics.jsonl") && error.contains(place), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "nothing was touched");
    }
    assert!(MetricHistory::open(dir.path()).is_err());
    let lost = MetricHistory::open(dir.path().join("no/such/directory")).unwrap();
    assert!(lost.append(&record(1, 1.0)).is_err());
}

#[test]
fn queries_narrow_and_a_run_made_again_takes_its_place() {
    let history = MetricHistory::in_memory();
    let north = |day, value| record(day, value).tag("region", "north");
    for (day, value) in [(3, 3.0), (1, 1.0), (2, 2.0)] {
        history.append(&north(day, value)).unwrap();
        history.append(&record(day, -value).tag("region", "south")).unwrap();
    }
    history.append(&north(2, 2.5)).unwrap();
    let mut failed = north(4, 4.0);
    failed.verdict = Some(Verdict::Fail);
    history.append(&failed).unwrap();
    let query = HistoryQuery::of("d").tag("region", "north");
    let series = |query: &HistoryQuery| history.series("m", "x", query).unwrap().values();
    assert_eq!(series(&query), [1.0, 2.5, 3.0, 4.0]);
    assert_eq!(series(&query.clone().without_failed()), [1.0, 2.5, 3.0]);
    assert_eq!(series(&query.clone().from(at(2)).until(at(4))), [2.5, 3.0]);
    assert_eq!(series(&HistoryQuery::of("e")), [0.0; 0]);
    assert_eq!(series(&HistoryQuery::new()).len(), 7);
    assert!(history.series("m", "y", &query).unwrap().points.is_empty());
}

/// Not a test of its own: the processes of [`many_processes_append_at_once`].
#[test]
fn appends_with_others() {
    let Ok(path) = std::env::var("MLOPS_TEST_HISTORY") else { return };
    let who = std::env::var("MLOPS_TEST_WHO").unwrap();
    let history = MetricHistory::open(path).unwrap();
    for day in 0..40 {
        history.append(&record(day, day as f64).tag("who", &who)).unwrap();
    }
}

#[test]
fn many_processes_append_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.jsonl");
    let start = |who: usize| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "appends_with_others"])
            .env("MLOPS_TEST_HISTORY", &path)
            .env("MLOPS_TEST_WHO", who.to_string())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let children: Vec<_> = (0..3).map(start).collect();
    let history = MetricHistory::open(&path).unwrap();
    std::thread::scope(|threads| {
        for who in ["a", "b"] {
            let history = &history;
            threads.spawn(move || {
                for day in 0..40 {
                    history.append(&record(day, day as f64).tag("who", who)).unwrap();
                }
            });
        }
    });
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(history.records(&HistoryQuery::new()).unwrap().len(), 5 * 40);
    assert!(history.torn_lines().is_empty());
}

#[test]
fn a_gate_is_text_and_back() {
    let gate = HistoryGate::new("over time")
        .by("region")
        .false_alarms(0.02)
        .check(HistoryCheck::new("rows", AnomalyCheck::HoltWinters { period: 7 }).last(70))
        .check(
            HistoryCheck::new("mean", AnomalyCheck::RobustZ)
                .subject("age")
                .side(Side::Below)
                .tolerance(0.5)
                .false_alarms(0.001)
                .min_history(20)
                .without_failed()
                .severity(Severity::Warning),
        )
        .check(HistoryCheck::new("m", AnomalyCheck::Threshold { min: Some(0.1), max: None }))
        .check(HistoryCheck::new("m", AnomalyCheck::OnlineNormal { warm_up: 9 }));
    assert_eq!(HistoryGate::from_yaml(&gate.to_yaml().unwrap()).unwrap(), gate);
    assert_eq!(HistoryGate::from_json(&gate.to_json().unwrap()).unwrap(), gate);
    for wrong in [
        "{metric: m, anomaly: normal, period: 7}",
        "{metric: m, anomaly: holt_winters}",
        "{metric: m, anomaly: holt_winters, period: 7, warm_up: 3}",
        "{metric: m, anomaly: nonsense}",
        "{metric: m, anomaly: threshold}",
        "{metric: m, anomaly: threshold, min: 1, side: above}",
        "{metric: m, anomaly: threshold, min: .inf}",
        "{metric: m, anomaly: normal, last: 3}",
        "{metric: m, anomaly: normal, false_alarms: 2}",
        "{anomaly: normal}",
    ] {
        let text = format!("{{name: g, checks: [{wrong}]}}");
        assert!(HistoryGate::from_yaml(&text).is_err(), "{wrong}");
    }
    let error = HistoryGate::from_yaml("{name: g, checks: [{metric: m, anomaly: normal, x: 1}]}");
    let error = error.unwrap_err().to_string();
    assert!(error.contains("normal of m") && error.contains('x'), "{error}");
}

#[test]
fn a_gate_blocks_on_what_it_can_not_say() {
    let gate = |check| HistoryGate::new("g").check(check);
    let normal = || HistoryCheck::new("m", AnomalyCheck::Normal);
    let history = MetricHistory::in_memory();
    let verdict =
        |gate: &HistoryGate, current: &MetricRecord| gate.judge(&history, current).unwrap().verdict;
    assert_eq!(verdict(&HistoryGate::new("g"), &record(0, 1.0)), Verdict::Inconclusive);
    for day in 0..20 {
        assert_eq!(
            verdict(&gate(normal()), &record(day, 1.0)),
            if day < 8 { Verdict::Inconclusive } else { Verdict::Pass },
            "{day}"
        );
        history.append(&record(day, (day % 3) as f64)).unwrap();
    }
    let now = record(20, 30.0);
    assert_eq!(verdict(&gate(normal()), &now), Verdict::Fail);
    // Recorded or not, it is not in its own baseline, nor is what came after it.
    history.append(&now).unwrap();
    history.append(&record(21, 1e9)).unwrap();
    let found = gate(normal()).judge(&history, &now).unwrap();
    assert_eq!(found.verdict, Verdict::Fail);
    assert!(found.findings[0].expected.contains("after 20 values"), "{found}");
    assert_eq!(verdict(&gate(normal()), &record(10, 1.0)), Verdict::Pass);
    // Vanished, unheard of, of another dataset, too short a history.
    let vanished = MetricRecord::new("d", at(20)).metric("other", "x", 1.0);
    assert_eq!(verdict(&gate(normal()), &vanished), Verdict::Inconclusive);
    let unheard = HistoryCheck::new("nothing", AnomalyCheck::Normal);
    assert_eq!(verdict(&gate(unheard), &now), Verdict::Inconclusive);
    let elsewhere = MetricRecord::new("e", at(20)).metric("m", "x", 1.0);
    assert_eq!(verdict(&gate(normal()), &elsewhere), Verdict::Inconclusive);
    assert_eq!(verdict(&gate(normal().min_history(21)), &now), Verdict::Inconclusive);
    // A warning does not decide, and alone decides nothing.
    let warned = gate(normal().severity(Severity::Warning));
    assert_eq!(verdict(&warned, &now), Verdict::Inconclusive);
    assert!(gate(normal()).by("region").judge(&history, &now).is_err());
}

#[test]
fn checks_share_the_false_alarms_of_their_gate() {
    let history = MetricHistory::in_memory();
    let wide = |day: i64, value: f64| {
        (0..50).fold(MetricRecord::new("d", at(day)), |record, i| {
            record.metric("m", format!("x{i}"), value + f64::from(i))
        })
    };
    for day in 0..30 {
        history.append(&wide(day, (day * 7 % 10) as f64)).unwrap();
    }
    let one =
        HistoryGate::new("g").check(HistoryCheck::new("m", AnomalyCheck::Normal).subject("x0"));
    let all = HistoryGate::new("g").check(HistoryCheck::new("m", AnomalyCheck::Normal));
    let value = 14.5;
    let found = one.judge(&history, &wide(30, value)).unwrap();
    assert_eq!(found.verdict, Verdict::Fail, "{found}");
    let p = found.findings[0].p_value.unwrap();
    assert!(p < 0.01 && p > 0.01 / 50.0, "{p}");
    let found = all.judge(&history, &wide(30, value)).unwrap();
    assert_eq!((found.verdict, found.findings.len()), (Verdict::Pass, 50));
}

#[test]
fn a_file_that_was_moved_away_is_not_written_to_behind_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.jsonl");
    let history = MetricHistory::open(&path).unwrap();
    history.append(&record(1, 1.0)).unwrap();
    std::fs::rename(&path, dir.path().join("old.jsonl")).unwrap();
    history.append(&record(2, 2.0)).unwrap();
    assert_eq!(history.series("m", "x", &HistoryQuery::new()).unwrap().values(), [2.0]);
    // An editor that leaves the last newline out does no harm.
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.trim_end()).unwrap();
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"").unwrap();
    history.append(&record(3, 3.0)).unwrap();
    assert_eq!(history.series("m", "x", &HistoryQuery::new()).unwrap().values(), [2.0, 3.0]);
}
