//! The statistics against numbers that were made from their documentation alone
//! (`golden/make_independent.py`): exact arithmetic and other libraries, at the edges of what is
//! allowed.

#![expect(clippy::unwrap_used, reason = "a test of every function over a file that is as it is")]

use mlops_core::arrow::array::{BooleanArray, Float64Array};
use mlops_core::states::Summary;
use mlops_core::stats::{Draws, Proportion, ProportionPair};
use mlops_core::{DataSourceExt, MemorySource, Model, batch};
use mlops_drift::performance::{
    BoostedTrees, Calibrate, Cbpe, CbpeOptions, Isotonic, TreeOptions, expected_calibration_error,
};
use mlops_drift::sequential::EProcess;
use mlops_drift::statistics::*;
use serde_json::Value;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const STATISTIC: f64 = 1e-12;
const P: f64 = 1e-9;

/// What did not agree.
#[derive(Default)]
struct Check {
    at: String,
    checked: usize,
    failures: Vec<String>,
}

impl Check {
    fn fail(&mut self, what: &str, got: impl std::fmt::Debug, want: impl std::fmt::Debug) {
        self.failures.push(format!("{}: {what}: {got:?}, not {want:?}", self.at));
    }

    fn number(&mut self, what: &str, got: f64, want: &Value, tolerance: f64) {
        let (value, scale) = match want {
            Value::Array(pair) => (number(&pair[0]), number(&pair[1])),
            _ => (number(want), 0.0),
        };
        self.checked += 1;
        let near = (got - value).abs() <= tolerance * value.abs().max(scale) || got == value;
        if !near {
            self.fail(what, got, value);
        }
    }

    fn statistic(&mut self, what: &str, got: f64, want: &Value) {
        self.number(what, got, want, STATISTIC);
    }

    fn p(&mut self, what: &str, got: f64, want: &Value) {
        if !want.is_null() {
            self.number(what, got, want, P);
        }
    }

    fn option(&mut self, what: &str, got: Option<f64>, want: &Value, tolerance: f64) {
        match got {
            Some(got) if !want.is_null() => self.number(what, got, want, tolerance),
            None if want.is_null() => self.checked += 1,
            _ => self.fail(what, got, want),
        }
    }

    fn same<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, got: T, want: T) {
        self.checked += 1;
        if got != want {
            self.fail(what, got, want);
        }
    }

    /// The exact value lies within, but for the rounding of the value itself.
    fn within(&mut self, what: &str, bounds: (f64, f64), want: &Value) {
        let value = if want.is_array() { number(&want[0]) } else { number(want) };
        let scale = if want.is_array() { number(&want[1]) } else { value.abs() };
        let room = 2e-15 * scale;
        self.checked += 1;
        if !(bounds.0 <= value + room && value - room <= bounds.1) {
            self.fail(what, bounds, value);
        }
    }

    fn ok<T>(&mut self, what: &str, result: mlops_core::Result<T>) -> Option<T> {
        result.map_err(|e| self.fail(what, e.to_string(), "a result")).ok()
    }

    fn undefined<T: std::fmt::Debug>(&mut self, what: &str, result: mlops_core::Result<T>) {
        self.checked += 1;
        if let Ok(found) = result {
            self.fail(what, found, "an error");
        }
    }
}

fn number(v: &Value) -> f64 {
    match v {
        Value::String(s) => s.parse().unwrap(),
        _ => v.as_f64().unwrap_or_else(|| panic!("no number: {v}")),
    }
}

fn numbers(v: &Value) -> Vec<f64> {
    if let Value::Object(_) = v {
        let whole = |k: &str| v[k].as_u64().unwrap();
        return (0..whole("n"))
            .map(|i| {
                let h = (i * whole("a") % whole("b")) as f64;
                let power = (1..whole("power")).fold(h, |p, _| p * h);
                number(&v["offset"]) + number(&v["scale"]) * power
            })
            .collect();
    }
    v.as_array().unwrap().iter().map(number).collect()
}

fn counts(v: &Value) -> Vec<u64> {
    v.as_array().unwrap().iter().map(|c| c.as_u64().unwrap()).collect()
}

fn flags(v: &Value) -> Vec<bool> {
    v.as_array().unwrap().iter().map(|c| c.as_bool().unwrap()).collect()
}

const ALTERNATIVES: [(Alternative, &str); 3] = [
    (Alternative::TwoSided, "two"),
    (Alternative::Greater, "greater"),
    (Alternative::Less, "less"),
];

/// Counts in the `2k + 1` cells around these edges.
fn cells(edges: &[f64], values: &[f64]) -> Vec<u64> {
    let mut counts = vec![0; 2 * edges.len() + 1];
    for v in values {
        let below = edges.partition_point(|e| e < v);
        let on = edges.get(below) == Some(v);
        counts[2 * below + usize::from(on)] += 1;
    }
    counts
}

fn pair(c: &mut Check, case: &Value) {
    let (x, y) = (numbers(&case["x"]), numbers(&case["y"]));
    let (reference, current) = (Float64Array::from(x.clone()), Float64Array::from(y.clone()));
    let want = &case["want"];

    let ks = &want["ks"];
    if let Some(t) = c.ok("ks", ks_two_sample(&reference, &current)) {
        c.statistic("ks", t.statistic, &ks["statistic"]);
        c.p("ks p", t.p_value, &ks["two"]);
        c.same("ks exact", t.exact, ks["exact"].as_bool().unwrap());
    }
    for (alternative, name) in &ALTERNATIVES[1..] {
        if let Some(t) = c.ok("ks", ks_one_sided(&reference, &current, *alternative)) {
            let d = if *name == "greater" { "plus" } else { "minus" };
            c.statistic(&format!("ks {name}"), t.statistic, &ks[d]);
            c.p(&format!("ks {name} p"), t.p_value, &ks[name]);
        }
    }
    if let Some(t) = c.ok("kuiper", kuiper_two_sample(&reference, &current)) {
        c.statistic("kuiper", t.statistic, &want["kuiper"]["statistic"]);
        c.p("kuiper p", t.p_value, &want["kuiper"]["p"]);
    }
    if let Some(t) = c.ok("cvm", cramer_von_mises_two_sample(&reference, &current)) {
        c.statistic("cvm", t.statistic, &want["cvm"]["statistic"]);
        c.p("cvm p", t.p_value, &want["cvm"]["p"]);
        c.same("cvm exact", t.exact, want["cvm"]["exact"].as_bool().unwrap());
    }
    for (ties, name) in
        [(AndersonDarlingTies::Midrank, "ad_midrank"), (AndersonDarlingTies::Right, "ad_right")]
    {
        let found = anderson_darling_two_sample(&reference, &current, ties);
        if want[name].is_null() {
            if x.len() + y.len() < 1000 {
                c.undefined(name, found);
            }
        } else if let Some(t) = c.ok(name, found) {
            c.statistic(&format!("{name} A²"), t.a_squared, &want[name]["a_squared"]);
            c.statistic(name, t.statistic, &want[name]["statistic"]);
            c.p(&format!("{name} p"), t.p_value, &want[name]["p"]);
        }
    }
    for (alternative, name) in ALTERNATIVES {
        if let Some(t) = c.ok("mw", mann_whitney(&reference, &current, alternative)) {
            c.statistic("mw", t.statistic, &want["mw"]["statistic"]);
            c.statistic("mw superiority", t.superiority, &want["mw"]["superiority"]);
            c.same("mw exact", t.exact, want["mw"]["exact"].as_bool().unwrap());
            c.p(&format!("mw {name} p"), t.p_value, &want["mw"][name]);
        }
    }
    if want["wasserstein"].is_null() {
        c.undefined("wasserstein", wasserstein_two_sample(&reference, &current));
        c.undefined("energy", energy_two_sample(&reference, &current));
        c.undefined("moments", SampleMoments::of(&reference));
        c.undefined("levene", levene(&reference, &current, Centre::Median));
        c.undefined("epps", epps_singleton(&reference, &current));
        return;
    }
    if let Some(t) = c.ok("wasserstein", wasserstein_two_sample(&reference, &current)) {
        c.statistic("wasserstein", t.statistic, &want["wasserstein"]["statistic"]);
        c.option(
            "wasserstein normalised",
            t.normalised,
            &want["wasserstein"]["normalised"],
            STATISTIC,
        );
    }
    if want["energy"].is_null() {
    } else if let Some(t) = c.ok("energy", energy_two_sample(&reference, &current)) {
        c.statistic("energy", t.distance, &want["energy"]["distance"]);
        c.statistic("energy statistic", t.statistic, &want["energy"]["statistic"]);
        c.p("energy p", t.p_value, &want["energy"]["p"]);
    }
    if want["moments"].is_null() && x.len() + y.len() < 1000 {
        c.undefined(
            "moments",
            SampleMoments::of(&reference)
                .and_then(|r| welch_t(r, SampleMoments::of(&current)?, Alternative::TwoSided)),
        );
    } else if want["moments"].is_null() {
    } else if let (Some(r), Some(m)) = (
        c.ok("moments", SampleMoments::of(&reference)),
        c.ok("moments", SampleMoments::of(&current)),
    ) {
        c.statistic("mean", r.mean, &want["moments"]["mean"]);
        c.statistic("variance", r.variance, &want["moments"]["variance"]);
        moments(c, r, m, want, true);
    }
    for (centre, name) in [(Centre::Median, "levene_median"), (Centre::Mean, "levene_mean")] {
        let found = levene(&reference, &current, centre);
        if x.len() + y.len() >= 1000 {
            continue;
        }
        if want[name].is_null() {
            c.undefined(name, found);
        } else if want[name].is_string() {
            // Deviations from a centre that is rounded to a float of this size are not comparable.
            c.ok(name, found);
        } else if let Some(t) = c.ok(name, found) {
            c.statistic(name, t.statistic, &want[name]["statistic"]);
            c.p(&format!("{name} p"), t.p_value, &want[name]["p"]);
            c.option(&format!("{name} ratio"), t.ratio, &want[name]["ratio"], STATISTIC);
        }
    }
    if !want["epps"].is_null()
        && let Some(t) = c.ok("epps", epps_singleton(&reference, &current))
    {
        c.number("epps", t.statistic, &want["epps"]["statistic"], 1e-10);
        if number(&want["epps"]["wald"]) > 1e-300 {
            c.number("epps wald", t.wald_p_value, &want["epps"]["wald"], P);
        }
        c.number("epps score", t.score, &want["epps"]["score"], 1e-10);
        c.p("epps p", t.p_value, &want["epps"]["p"]);
    }
    bounds(c, &x, &y, want);
}

/// Counted at edges of many kinds, the exact numbers are within the bounds.
fn bounds(c: &mut Check, x: &[f64], y: &[f64], want: &Value) {
    let mut distinct: Vec<f64> = x.iter().chain(y).map(|v| v + 0.0).collect();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    let every =
        |step: usize| distinct.iter().copied().skip(step / 2).step_by(step).collect::<Vec<_>>();
    let mut between: Vec<f64> =
        distinct.windows(4).step_by(3).map(|w| w[0] + (w[1] - w[0]) / 2.0).collect();
    between.dedup();
    let mut sets = vec![every(1), every(5), every(distinct.len()), between, vec![x[0]]];
    sets.retain(|s| !s.is_empty() && s.len() <= 2000);
    let (rs, cs) = (Summary::of(x), Summary::of(y));
    let at = c.at.clone();
    for edges in sets {
        c.at = format!("{at} counted at {} edges", edges.len());
        let all = edges.len() == distinct.len();
        let (r, m) = (cells(&edges, x), cells(&edges, y));
        let bare = (EdgeCounts::new(&edges, &r), EdgeCounts::new(&edges, &m));
        if let Some(t) = c.ok("ks bounds", ks_from_cells(&r, &m, 0.9)) {
            c.within("ks", t.statistic, &want["ks"]["statistic"]);
            c.within("ks plus", t.d_plus, &want["ks"]["plus"]);
            c.within("ks minus", t.d_minus, &want["ks"]["minus"]);
            let p = number(&want["ks"]["two"]);
            let room = P * p;
            let exact = want["ks"]["exact"].as_bool().unwrap();
            let inside = t.p_value.0 <= p + room && p - room <= t.p_value.1;
            c.same("ks p within", inside || !exact, true);
            if all {
                c.same("ks at all values", t.statistic.0, t.statistic.1);
            }
        }
        let ranged = bare.0.with_summary(&rs);
        let pairs = [
            c.ok("pair", EdgePair::new(ranged, bare.1.with_summary(&cs))),
            c.ok("pair", EdgePair::new(EdgeCounts::new(&edges, &r), EdgeCounts::new(&edges, &m))),
        ];
        for (known, pair) in [true, false].into_iter().zip(&pairs) {
            let Some(pair) = pair else { continue };
            if let Some(t) = c.ok("kuiper bounds", kuiper_from_counts(pair)) {
                c.within("kuiper", t.statistic, &want["kuiper"]["statistic"]);
            }
            if let Some(t) = c.ok("cvm bounds", cramer_von_mises_from_counts(pair)) {
                c.within("cvm", t.statistic, &want["cvm"]["statistic"]);
            }
            if !want["ad_midrank"].is_null() {
                let found = anderson_darling_from_counts(pair);
                if let Some(t) = c.ok("ad bounds", found) {
                    // Its deviation is not free of rounding where rows are few.
                    let room = 1e-13;
                    c.within(
                        "ad",
                        (t.statistic.0 - room, t.statistic.1 + room),
                        &want["ad_midrank"]["statistic"],
                    );
                    c.within("ad A²", t.a_squared, &want["ad_midrank"]["a_squared"]);
                }
            }
            for (alternative, name) in ALTERNATIVES {
                if let Some(t) = c.ok("mw bounds", mann_whitney_from_counts(pair, alternative)) {
                    c.within("mw", t.statistic, &want["mw"]["statistic"]);
                    c.within("mw superiority", t.superiority, &want["mw"]["superiority"]);
                    let p = number(&want["mw"][name]);
                    let inside = t.p_value.0 <= p * (1.0 + P) && p * (1.0 - P) <= t.p_value.1;
                    if !inside {
                        c.fail(&format!("mw {name} p within"), t.p_value, p);
                    }
                }
            }
            let outside = r[0] + m[0] + r[r.len() - 1] + m[m.len() - 1];
            let (w, e) = (wasserstein_from_counts(pair, 0.9), energy_from_counts(pair));
            if !known && outside > 0 {
                c.undefined("wasserstein without a range", w);
                c.undefined("energy without a range", e);
                continue;
            }
            if let Some(t) = c.ok("wasserstein bounds", w) {
                c.within("wasserstein", t.statistic, &want["wasserstein"]["statistic"]);
                if let Some(n) = t.normalised {
                    c.within("wasserstein normalised", n, &want["wasserstein"]["normalised"]);
                }
            }
            if want["energy"].is_null() {
                continue;
            }
            if let Some(t) = c.ok("energy bounds", e) {
                c.within("energy", t.distance, &want["energy"]["distance"]);
                c.within("energy statistic", t.statistic, &want["energy"]["statistic"]);
            }
        }
    }
    c.at = at;
}

/// Student's, Welch's, F and Bartlett's tests; `undefined` where they must be.
fn moments(c: &mut Check, r: SampleMoments, m: SampleMoments, want: &Value, undefined: bool) {
    for (alternative, name) in ALTERNATIVES {
        for (test, found) in
            [("welch", welch_t(r, m, alternative)), ("pooled", pooled_t(r, m, alternative))]
        {
            let want = &want[test];
            if want.is_null() {
                c.undefined(test, found);
            } else if let Some(t) = c.ok(test, found) {
                c.statistic(test, t.statistic, &want["statistic"]);
                c.statistic(&format!("{test} degrees"), t.degrees_of_freedom, &want["df"]);
                c.statistic(&format!("{test} difference"), t.difference, &want["difference"]);
                c.p(&format!("{test} {name} p"), t.p_value, &want[name]);
            }
        }
        let found = f_test(r, m, alternative);
        if want["f"].is_null() {
            if undefined {
                c.undefined("f", found);
            }
        } else if let Some(t) = c.ok("f", found) {
            c.statistic("f", t.statistic, &want["f"]["statistic"]);
            c.p(&format!("f {name} p"), t.p_value, &want["f"][name]);
        }
    }
    if !want["bartlett"].is_null()
        && let Some(t) = c.ok("bartlett", bartlett(r, m))
    {
        c.statistic("bartlett", t.statistic, &want["bartlett"]["statistic"]);
        c.p("bartlett p", t.p_value, &want["bartlett"]["two"]);
    }
}

fn ks_p(c: &mut Check, case: &Value) {
    let (n, m, k) = (case["n"].as_u64().unwrap(), case["m"].as_u64().unwrap(), number(&case["k"]));
    let d = k / (n * m) as f64;
    c.at = format!("{n} and {m} at {d}");
    for (alternative, name) in ALTERNATIVES {
        if let Some(t) = c.ok("ks p", ks_p_value(d, n, m, alternative)) {
            c.p(&format!("ks {name}"), t.p_value, &case["want"][name]);
        }
    }
    if let Some(p) = c.ok("kuiper p", kuiper_p_value(d, n, m)) {
        c.p("kuiper", p, &case["want"]["kuiper"]);
    }
}

fn table(c: &mut Check, case: &Value) {
    let (r, m, want) = (counts(&case["reference"]), counts(&case["current"]), &case["want"]);
    if let Some(t) = c.ok("chi", chi_square(&r, &m)) {
        c.statistic("chi", t.statistic, &want["chi"]["statistic"]);
        c.p("chi p", t.p_value, &want["chi"]["p"]);
        c.same("chi df", t.degrees_of_freedom, want["chi"]["df"].as_u64().unwrap());
        c.statistic("chi expected", t.min_expected, &want["chi"]["min"]);
    }
    if let Some(t) = c.ok("g", g_test(&r, &m)) {
        c.statistic("g", t.statistic, &want["g"]["statistic"]);
        c.p("g p", t.p_value, &want["g"]["p"]);
    }
    if let Some(t) = c.ok("hellinger", hellinger(&r, &m)) {
        c.statistic("hellinger", t, &want["hellinger"]);
    }
    if let Some(t) = c.ok("linf", l_infinity(&r, &m)) {
        c.statistic("linf", t, &want["linf"]);
    }
    if let Some(t) = c.ok("tv", total_variation(&r, &m, 0.9)) {
        c.statistic("tv", t.value, &want["tv"]["value"]);
        c.number("tv low", t.interval.low, &want["tv"]["low"], P);
        c.number("tv high", t.interval.high, &want["tv"]["high"], P);
    }
    for (base, name) in [(LogBase::E, "nats"), (LogBase::Two, "bits")] {
        if let Some(t) = c.ok("js", jensen_shannon(&r, &m, base)) {
            c.statistic(&format!("js {name}"), t.divergence, &want["js"][name]);
            if base == LogBase::E {
                c.statistic("js distance", t.distance, &want["js"]["distance"]);
            }
        }
    }
    if let Some(t) = c.ok("kl", kullback_leibler(&r, &m, ZeroCells::Refuse, LogBase::E)) {
        c.option("kl cr", t.current_from_reference, &want["kl"]["cr"], STATISTIC);
        c.option("kl rc", t.reference_from_current, &want["kl"]["rc"], STATISTIC);
    }
    for (rule, name) in [
        (ZeroCells::AddHalf, "half"),
        (ZeroCells::Add(2.0), "add"),
        (ZeroCells::Clip(0.01), "clip"),
        (ZeroCells::AddToShares(1e-6), "shares"),
        (ZeroCells::Refuse, "refuse"),
    ] {
        let value = &want["psi"][name];
        if value.is_null() {
            if name == "refuse" && want["kl"]["cr"].is_null() {
                c.undefined("psi refuse", psi(&r, &m, rule));
            }
            continue;
        }
        if let Some(t) = c.ok("psi", psi(&r, &m, rule)) {
            c.statistic(&format!("psi {name}"), t, value);
        }
        if name != "refuse"
            && let Some(t) = c.ok("kl", kullback_leibler(&r, &m, rule, LogBase::E))
        {
            let want = &want["kl"][name];
            // A divergence of shares that were raised is a small difference of such.
            let of = |i: usize| Value::Array(vec![want[i].clone(), want[2].clone()]);
            c.option(&format!("kl cr {name}"), t.current_from_reference, &of(0), STATISTIC);
            c.option(&format!("kl rc {name}"), t.reference_from_current, &of(1), STATISTIC);
        }
    }
    if !want["psi_test"].is_null() {
        let want = &want["psi_test"];
        if let Some(t) = c.ok("psi test", psi_test(&r, &m, ZeroCells::Refuse, 0.9)) {
            c.statistic("psi noise", t.expected_from_noise, &want["noise"]);
            c.option("psi p", t.p_value, &want["p"], P);
            c.number("psi low", t.interval.low, &want["low"], P);
            c.number("psi high", t.interval.high, &want["high"], P);
        }
    }
}

fn fit(c: &mut Check, case: &Value) {
    let m = counts(&case["current"]);
    let (shares, sampled);
    let reference = if case["shares"].is_null() {
        sampled = counts(&case["reference"]);
        ReferenceShares::Sampled(&sampled)
    } else {
        shares = numbers(&case["shares"]);
        ReferenceShares::Known(&shares)
    };
    if let Some(t) = c.ok("fit", chi_square_goodness_of_fit(reference, &m)) {
        c.statistic("statistic", t.statistic, &case["want"]["statistic"]);
        c.p("p", t.p_value, &case["want"]["p"]);
        c.same("df", t.degrees_of_freedom, case["want"]["df"].as_u64().unwrap());
    }
}

fn shares(c: &mut Check, case: &Value) {
    let of = |k: &str| case[k].as_u64().unwrap();
    let pair = ProportionPair {
        reference: Proportion { successes: of("a"), n: of("n") },
        current: Proportion { successes: of("b"), n: of("m") },
    };
    let want = &case["want"];
    for (alternative, name) in ALTERNATIVES {
        if let Some(t) = c.ok("fisher", fisher_exact(pair, alternative)) {
            c.p(&format!("fisher {name}"), t.p_value, &want[name]);
            c.option("odds", t.odds_ratio, &want["odds"], STATISTIC);
        }
        for (variance, kind) in
            [(ProportionVariance::Pooled, "pooled"), (ProportionVariance::Unpooled, "unpooled")]
        {
            let found = two_proportion_z(pair, variance, alternative);
            if want[kind].is_null() {
                c.undefined(kind, found);
            } else if let Some(t) = c.ok(kind, found) {
                c.statistic(kind, t.statistic, &want[kind]["statistic"]);
                c.statistic("difference", t.difference, &want[kind]["difference"]);
                c.p(&format!("{kind} {name}"), t.p_value, &want[kind][name]);
            }
        }
    }
}

/// Simulated p-values and thresholds against the law counted out.
fn simulated(c: &mut Check, case: &Value) {
    let (r, m, want) = (counts(&case["reference"]), counts(&case["current"]), &case["want"]);
    let mut how = MonteCarlo::new(11);
    (how.replicates, how.stop_after) = (4999, None);
    let near =
        |p: f64, want: f64| (p - want).abs() <= 5.0 * (want * (1.0 - want) / 5000.0).sqrt() + 4e-4;
    let index = |r: &[u64], c: &[u64]| psi(r, c, ZeroCells::AddHalf);
    let distance = |r: &[u64], c: &[u64]| total_variation(r, c, 0.9).map(|t| t.value);
    let Some(law) = c.ok("law", DirichletMultinomial::of_quantile_bins(&r)) else { return };
    c.same("parameters", law.parameters().to_vec(), counts(&want["parameters"]));
    let rows: u64 = m.iter().sum();
    for (name, found) in [
        ("dm_psi", law.p_value(&m, index, how)),
        ("dm_tv", law.p_value(&m, distance, how)),
        ("perm_psi", permutation_p(&r, &m, index, how)),
        ("perm_tv", permutation_p(&r, &m, distance, how)),
    ] {
        if let Some(t) = c.ok(name, found) {
            c.checked += 1;
            if !near(t.p_value, number(&want[name])) {
                c.fail(name, t.p_value, &want[name]);
            }
        }
    }
    if let Some(t) = c.ok("threshold", law.threshold(rows, 0.1, index, how)) {
        let beyond = |at: f64| -> f64 {
            let law = want["psi_law"].as_array().unwrap();
            law.iter().filter(|s| number(&s[0]) > at).map(|s| number(&s[1])).sum()
        };
        // P(above) is at most the level, and P(at or above) at least that.
        let (above, at) = (beyond(t.value + 1e-9), beyond(t.value - 1e-9));
        c.same("threshold", above <= 0.1 + 0.022 && at >= 0.1 - 0.022, true);
    }
    let mut sums = vec![0; r.len()];
    for i in 0..2000 {
        if let Some(counts) = c.ok("draw", law.draw(rows, &mut Draws::new(3, 1, i))) {
            c.same("rows drawn", counts.iter().sum::<u64>(), rows);
            sums.iter_mut().zip(counts).for_each(|(s, k)| *s += k);
        }
    }
    for (s, mean) in sums.iter().zip(numbers(&want["mean"])) {
        let found = *s as f64 / 2000.0;
        let room = 5.0 * (rows as f64 / 2.0) / 2000f64.sqrt();
        c.same("mean", (found - mean).abs() < room, true);
    }
}

fn psi_threshold(c: &mut Check, case: &Value) {
    let law = DirichletMultinomial::of_quantile_bins(&counts(&case["reference"])).unwrap();
    let (m, alpha) = (case["m"].as_u64().unwrap(), number(&case["alpha"]));
    if let Some(t) =
        c.ok("threshold", law.psi_threshold(m, ZeroCells::AddHalf, alpha, MonteCarlo::new(1)))
    {
        c.same("by the law", t.replicates, None);
        c.number("threshold", t.value, &case["want"]["value"], 1e-11);
    }
}

fn outside(c: &mut Check, case: &Value) {
    let of = |k: &str| case[k].as_u64().unwrap();
    let (want, found) = (
        &case["want"],
        out_of_range(of("n"), Outside { below: of("below"), above: of("above") }, of("m")),
    );
    if let Some(t) = c.ok("outside", found) {
        c.statistic("share", t.share, &want["share"]);
        for (what, got) in [
            ("more", t.p_more),
            ("fewer", t.p_fewer),
            ("two", t.p_two_sided),
            ("below", t.p_below),
            ("above", t.p_above),
        ] {
            c.p(what, got, &want[what]);
        }
    }
}

fn unseen(c: &mut Check, case: &Value) {
    let want = &case["want"];
    let Some(mass) = c.ok("unseen", UnseenMass::of(&counts(&case["counts"]))) else { return };
    let found = [mass.n, mass.singletons, mass.doubletons];
    c.same("counts", found.to_vec(), ["n", "n1", "n2"].map(|k| want[k].as_u64().unwrap()).to_vec());
    c.statistic("estimate", mass.estimate(), &want["estimate"]);
    let (u, m) = (case["unseen"].as_u64().unwrap(), case["m"].as_u64().unwrap());
    if let Some(p) = c.ok("p", mass.p_value(u, m)) {
        c.p("p", p, &want["p"]);
    }
    if let Some(limit) = c.ok("limit", mass.upper_limit(0.9)) {
        c.p("limit", limit, &want["upper"]);
    }
}

fn e_process(c: &mut Check, case: &Value) {
    let want = &case["want"];
    let Some(mut process) = c.ok("process", EProcess::new(&counts(&case["reference"]))) else {
        return;
    };
    c.same("before", process.log_e_value(), 0.0);
    let mut trace = numbers(&want["trace"]).into_iter();
    for look in case["looks"].as_array().unwrap() {
        let look = counts(look);
        c.ok("look", process.update(&look));
        if look.iter().sum::<u64>() > 0 {
            let e = trace.next().unwrap();
            c.checked += 1;
            if (process.log_e_value() - e).abs() > 1e-8 * e.abs().max(1.0) {
                c.fail(&format!("look {}", process.looks()), process.log_e_value(), e);
            }
        }
    }
    c.number("max", process.max_log_e_value(), &want["max"], 1e-7);
    c.number("p", process.p_value(), &want["p"], 1e-7);
    c.same("looks", process.looks(), want["looks"].as_u64().unwrap());
}

fn cbpe(c: &mut Check, case: &Value) {
    let rows = |score: &Value| Float64Array::from(numbers(score));
    let y = BooleanArray::from(flags(&case["ref_y"]));
    let reference =
        MemorySource::from(batch! { "s" => rows(&case["ref_score"]), "y" => y }.unwrap());
    let current = MemorySource::from(batch! { "s" => rows(&case["score"]) }.unwrap());
    let options = CbpeOptions::new("y", "s", "true")
        .calibrate(Calibrate::Never)
        .threshold(number(&case["threshold"]));
    let Some(cbpe) = c.ok("fit", Cbpe::fit(&reference, &options)) else { return };
    let Some(found) = c.ok("estimate", current.measure(&cbpe)) else { return };
    let want = &case["want"];
    c.option("reference auc", Some(cbpe.reference().roc_auc), &want["reference_roc_auc"], P);
    c.option("reference accuracy", found.accuracy.reference, &want["reference_accuracy"], P);
    c.same("beyond", found.beyond_reference, want["beyond"].as_u64());
    for estimate in found.estimates() {
        if let Some(value) = estimate.value {
            let scaled = Value::Array(vec![want[&estimate.metric].clone(), 1e-3.into()]);
            c.number(&estimate.metric, value, &scaled, P);
        } else {
            c.option(&estimate.metric, None, &want[&estimate.metric], P);
        }
        if let (Some(value), Some(band)) = (estimate.value, &estimate.interval) {
            c.same("within its band", band.low <= value && value <= band.high, true);
        }
    }
    let std = found.accuracy.std_error.unwrap_or(0.0);
    c.same("band of the labels", std >= number(&want["accuracy_labels_std"]) * (1.0 - 1e-9), true);
}

fn performance(c: &mut Check, case: &Value) {
    let want = &case["want"];
    match case["f"].as_str().unwrap() {
        "isotonic" => {
            let Some(f) = c.ok("fit", Isotonic::fit(&numbers(&case["x"]), &numbers(&case["y"])))
            else {
                return;
            };
            for (x, y) in numbers(&case["at"]).into_iter().zip(want["y"].as_array().unwrap()) {
                c.number(
                    &format!("at {x}"),
                    f.predict(x),
                    &Value::Array(vec![y.clone(), 1.0.into()]),
                    P,
                );
            }
        }
        "ece" => {
            let bins = usize::try_from(case["bins"].as_u64().unwrap()).unwrap();
            let found =
                expected_calibration_error(&flags(&case["y"]), &numbers(&case["score"]), bins);
            if let Some(e) = c.ok("ece", found) {
                c.statistic("ece", e, &want["value"]);
            }
        }
        _ => {
            let whole = |k: &str| u32::try_from(case[k].as_u64().unwrap()).unwrap();
            let mut options = TreeOptions::default();
            (options.trees, options.learning_rate) = (1, 1.0);
            (options.depth, options.min_leaf) = (whole("depth"), whole("leaf"));
            let rows = batch! { "x" => Float64Array::from(numbers(&case["x"])) }.unwrap();
            let Some(tree) =
                c.ok("fit", BoostedTrees::fit(&rows, &["x"], &numbers(&case["y"]), &options))
            else {
                return;
            };
            let found = tree.predict(&rows).unwrap();
            for (got, y) in
                found.as_values().unwrap().values().iter().zip(want["y"].as_array().unwrap())
            {
                c.number("tree", *got, &Value::Array(vec![y.clone(), 1.0.into()]), P);
            }
        }
    }
}

#[test]
fn numbers_from_elsewhere() -> Result {
    let golden: Value = serde_json::from_reader(std::io::BufReader::new(std::fs::File::open(
        "tests/golden/independent.json",
    )?))?;
    let mut c = Check::default();
    for (i, case) in golden["cases"].as_array().unwrap().iter().enumerate() {
        let f = case["f"].as_str().unwrap();
        c.at = format!("{i} {f} {}", case["name"].as_str().unwrap_or(""));
        match f {
            "pair" => pair(&mut c, case),
            "ks_p" => ks_p(&mut c, case),
            "moments" => {
                let of = |k: &str| SampleMoments {
                    n: case[k][0].as_u64().unwrap(),
                    mean: number(&case[k][1]),
                    variance: number(&case[k][2]),
                };
                moments(&mut c, of("reference"), of("current"), &case["want"], true);
            }
            "table" => table(&mut c, case),
            "gof_known" | "gof_sampled" => fit(&mut c, case),
            "shares" => shares(&mut c, case),
            "simulated" => simulated(&mut c, case),
            "psi_threshold" => psi_threshold(&mut c, case),
            "outside" => outside(&mut c, case),
            "unseen" => unseen(&mut c, case),
            "e_process" => e_process(&mut c, case),
            "cbpe" => cbpe(&mut c, case),
            _ => performance(&mut c, case),
        }
    }
    assert!(
        c.failures.is_empty(),
        "{} of {} differ:\n{}",
        c.failures.len(),
        c.checked,
        c.failures.join("\n")
    );
    assert!(c.checked > 5_000, "{}", c.checked);
    Ok(())
}
