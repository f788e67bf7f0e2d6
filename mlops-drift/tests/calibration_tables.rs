//! Tests of count tables and moments where nothing drifted, and where something did: false alarms
//! and power by simulation, references redrawn. `MLOPS_REPLICATES` raises the replicates.

use std::collections::BTreeMap;

use arrow::array::Float64Array;
use mlops_core::stats::{Draws, Proportion, ProportionPair, chi_square_sf};
use mlops_drift::statistics::{
    Alternative, Centre, DirichletMultinomial, LogBase, MonteCarlo, Outside, ProportionVariance,
    PsiTest, ReferenceShares, SampleMoments, UnseenMass, ZeroCells, bartlett, chi_square,
    chi_square_goodness_of_fit, f_test, fisher_exact, g_test, jensen_shannon, levene, out_of_range,
    permutation_p, pooled_t, psi, two_proportion_z, welch_t,
};

const LEVEL: f64 = 0.05;
/// Sizes of reference and current data: some, and all pairs where replicates are asked for.
fn sizes() -> Vec<(u64, u64)> {
    if std::env::var_os("MLOPS_REPLICATES").is_none() {
        return vec![(100, 100), (100, 2000), (500, 100), (2000, 500), (20_000, 2000)];
    }
    let sizes = [100, 500, 2000, 20_000];
    sizes.into_iter().flat_map(|n| sizes.map(|m| (n, m))).collect()
}

fn replicates(default: u64) -> u64 {
    std::env::var("MLOPS_REPLICATES").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// How often each test rejected.
#[derive(Default)]
struct Rates(BTreeMap<&'static str, (u64, u64)>);

impl Rates {
    /// A p-value; `None` where the test has none to give.
    fn note(&mut self, test: &'static str, p: Option<f64>) {
        if let Some(p) = p {
            let rate = self.0.entry(test).or_default();
            rate.0 += u64::from(p <= LEVEL);
            rate.1 += 1;
        }
    }

    fn rate(&self, test: &str) -> f64 {
        self.0.get(test).map_or(0.0, |(rejected, tried)| *rejected as f64 / *tried as f64)
    }

    /// Four standard errors of a rate near the level.
    fn noise(&self, test: &str) -> f64 {
        let tried = self.0.get(test).map_or(1, |(_, tried)| *tried);
        4.0 * (LEVEL * (1.0 - LEVEL) / tried as f64).sqrt()
    }

    fn line(&self, of: &str) -> String {
        let all: Vec<_> =
            self.0.keys().map(|test| format!("{test} {:.3}", self.rate(test))).collect();
        format!("{of}: {}", all.join(", "))
    }

    /// At most a point above the level.
    fn holds(&self, test: &str, of: &str) {
        let most = LEVEL + 0.01 + self.noise(test);
        assert!(self.rate(test) <= most, "{of}: {test} rejects {:.3}", self.rate(test));
    }

    /// Within a point of the level.
    fn meets(&self, test: &str, of: &str) {
        self.holds(test, of);
        let least = LEVEL - 0.01 - self.noise(test);
        assert!(self.rate(test) >= least, "{of}: {test} rejects {:.3}", self.rate(test));
    }
}

fn simulation(stream: u64) -> MonteCarlo {
    // A small number of draws: p-values of 1/200 are enough for a level of 5 %.
    let how = MonteCarlo::new(77).stream(stream as u32);
    MonteCarlo { replicates: 199, stop_after: Some(10), ..how }
}

fn js(r: &[u64], c: &[u64]) -> mlops_core::Result<f64> {
    jensen_shannon(r, c, LogBase::E).map(|js| js.divergence)
}

fn index(r: &[u64], c: &[u64]) -> mlops_core::Result<f64> {
    psi(r, c, ZeroCells::AddHalf)
}

fn pair(reference: (u64, u64), current: (u64, u64)) -> ProportionPair {
    let side = |(successes, n)| Proportion { successes, n };
    ProportionPair { current: side(current), reference: side(reference) }
}

#[test]
fn categories_that_did_not_drift() {
    let n_replicates = replicates(60);
    let even = [0.1; 10];
    let rare = [0.5, 0.3, 0.12, 0.05, 0.01, 0.01, 0.005, 0.005];
    for (i, (n, m)) in sizes().into_iter().enumerate() {
        for (shares, cells) in [("even", &even[..]), ("rare", &rare)] {
            let mut rates = Rates::default();
            for replicate in 0..n_replicates {
                let mut draws = Draws::new(51, (10 * i + cells.len()) as u32, replicate);
                let r = draws.multinomial(n, cells).expect("counts");
                let c = draws.multinomial(m, cells).expect("counts");
                let how = simulation(replicate);
                // Where the χ² laws hold, by the true shares.
                let least = cells.iter().copied().fold(1.0, f64::min) * n.min(m) as f64;
                if least >= 5.0 {
                    let p = chi_square(&r, &c).expect("a test").p_value;
                    rates.note("chi-square", Some(p));
                }
                if least >= 20.0 {
                    rates.note("G", Some(g_test(&r, &c).expect("a test").p_value));
                }
                if least >= 20.0 && least / n.min(m) as f64 * n as f64 >= 200.0 {
                    let fit = chi_square_goodness_of_fit(ReferenceShares::Sampled(&r), &c);
                    rates.note("fit", Some(fit.expect("a test").p_value));
                }
                let p = permutation_p(&r, &c, index, how).expect("a p-value").p_value;
                rates.note("PSI exchanged", Some(p));
                let p = permutation_p(&r, &c, js, how).expect("a p-value").p_value;
                rates.note("JS exchanged", Some(p));
            }
            let of = format!("n {n:>5} m {m:>5} {shares} categories");
            println!("{}", rates.line(&of));
            for test in ["chi-square", "G", "fit", "PSI exchanged", "JS exchanged"] {
                rates.holds(test, &of);
            }
            if shares == "even" {
                rates.meets("PSI exchanged", &of);
                rates.meets("JS exchanged", &of);
                rates.meets("chi-square", &of);
            }
        }
    }
}

#[test]
fn shares_that_did_not_drift() {
    let n_replicates = replicates(1000);
    for (i, (n, m)) in sizes().into_iter().enumerate() {
        for share in [0.3, 0.02] {
            let mut rates = Rates::default();
            for replicate in 0..n_replicates {
                let mut draws = Draws::new(52, (10 * i) as u32 + u32::from(share < 0.1), replicate);
                let (r, c) = (draws.binomial(n, share), draws.binomial(m, share));
                let (r, c) = (r.expect("a count"), c.expect("a count"));
                let pair = pair((r, n), (c, m));
                for (name, one_sided, side) in [
                    ("Fisher", "Fisher greater", Alternative::TwoSided),
                    ("", "Fisher greater", Alternative::Greater),
                ] {
                    let p = fisher_exact(pair, side).expect("a test").p_value;
                    rates.note(if name.is_empty() { one_sided } else { name }, Some(p));
                }
                let z = |variance| two_proportion_z(pair, variance, Alternative::TwoSided);
                // All or none on both sides is no drift.
                let p = z(ProportionVariance::Pooled).map_or(1.0, |test| test.p_value);
                rates.note("z pooled", Some(p));
                let p = z(ProportionVariance::Unpooled).map_or(1.0, |test| test.p_value);
                rates.note("z unpooled", Some(p));
            }
            let of = format!("n {n:>5} m {m:>5} share {share}");
            println!("{}", rates.line(&of));
            rates.holds("Fisher", &of);
            rates.holds("Fisher greater", &of);
            if share == 0.3 {
                rates.meets("z pooled", &of);
            }
        }
    }
}

/// Bins `(lo, hi]` that end on values of a sorted reference, and how both sides fall into them.
fn quantile_bins(reference: &mut [f64], current: &[f64], bins: usize) -> (Vec<u64>, Vec<u64>) {
    bins_at(reference, current, bins, 0.0)
}

/// The same with edges that lie so far on the way to the next value.
fn bins_at(reference: &mut [f64], current: &[f64], bins: usize, off: f64) -> (Vec<u64>, Vec<u64>) {
    reference.sort_by(f64::total_cmp);
    let edge = |bin: usize| {
        let rank = (bin * reference.len() / bins).max(1);
        reference[rank - 1] + off * (reference[rank] - reference[rank - 1])
    };
    let mut edges: Vec<f64> = (1..bins).map(edge).collect();
    edges.dedup();
    let count = |values: &[f64]| {
        let mut counts = vec![0; edges.len() + 1];
        for value in values {
            counts[edges.partition_point(|edge| edge < value)] += 1;
        }
        counts
    };
    (count(reference), count(current))
}

fn values(n: u64, mut draw: impl FnMut() -> f64) -> Vec<f64> {
    (0..n).map(|_| draw()).collect()
}

#[test]
fn quantile_bins_that_did_not_drift() {
    let n_replicates = replicates(20);
    for (i, (n, m)) in sizes().into_iter().enumerate() {
        for (j, (law, bins)) in
            [("uniform", 10), ("uniform", 20), ("between", 20), ("integers", 10), ("zeros", 10)]
                .into_iter()
                .enumerate()
        {
            let mut rates = Rates::default();
            for replicate in 0..n_replicates {
                let mut draws = Draws::new(53, (10 * i + j) as u32, replicate);
                let mut draw = || match law {
                    // Ranks are all that counts: any continuous law would do.
                    "uniform" | "between" => draws.uniform(),
                    "integers" => draws.below(40) as f64,
                    _ => (draws.uniform() * 8.0 - 5.0).max(0.0).ceil(),
                };
                let (mut x, y) = (values(n, &mut draw), values(m, &mut draw));
                let off = if law == "between" { 0.5 } else { 0.0 };
                let (r, c) = bins_at(&mut x, &y, bins, off);
                let law = DirichletMultinomial::of_quantile_bins(&r).expect("a law");
                let how = simulation(replicate);
                rates.note("PSI", Some(law.p_value(&c, index, how).expect("a p-value").p_value));
                rates.note("JS", Some(law.p_value(&c, js, how).expect("a p-value").p_value));
                // The χ² law of PSI, trusted everywhere, and with the reference taken for the truth.
                let value = index(&r, &c).expect("an index");
                let noise = 1.0 / n as f64 + 1.0 / m as f64;
                let freedom = r.len() as f64 - 1.0;
                let chi = |noise: f64| chi_square_sf(value / noise, freedom).expect("a tail");
                rates.note("(χ² law everywhere)", Some(chi(noise)));
                rates.note("(χ² law, scouter)", Some(chi(1.0 / m as f64)));
                rates.note("(PSI ≥ 0.1)", Some(if value >= 0.1 { 0.0 } else { 1.0 }));
            }
            let of = format!("n {n:>5} m {m:>5} {law} in {bins} bins");
            println!("{}", rates.line(&of));
            rates.holds("PSI", &of);
            rates.holds("JS", &of);
            if law == "uniform" {
                rates.meets("PSI", &of);
            }
        }
    }
}

#[test]
fn thresholds_are_exceeded_at_their_level() {
    let n_replicates = replicates(300);
    for (i, (n, m)) in [(100, 100), (500, 200), (2000, 2000)].into_iter().enumerate() {
        let how = MonteCarlo { replicates: 999, ..MonteCarlo::new(9) };
        let rows = n / 10;
        // All references of n continuous values have these counts.
        let law = DirichletMultinomial::of_quantile_bins(&[rows; 10]).expect("a law");
        let threshold = law.psi_threshold(m, ZeroCells::AddHalf, LEVEL, how).expect("a threshold");
        let lawful =
            rows as f64 >= PsiTest::MIN_EXPECTED && m as f64 / 10.0 >= PsiTest::MIN_EXPECTED;
        assert_eq!(threshold.replicates.is_none(), lawful);
        let mut rates = Rates::default();
        for replicate in 0..n_replicates {
            let mut draws = Draws::new(54, i as u32, replicate);
            let mut x = values(n, || draws.uniform());
            let y = values(m, || draws.uniform());
            let (r, c) = quantile_bins(&mut x, &y, 10);
            assert_eq!(r, law.reference());
            let above = index(&r, &c).expect("an index") > threshold.value;
            rates.note("PSI", Some(if above { 0.0 } else { 1.0 }));
        }
        let of = format!("n {n:>5} m {m:>5} {threshold}");
        println!("{}", rates.line(&of));
        // The threshold's own error of 999 draws is shared by all replicates: √(α (1 − α) / 999).
        let off = (rates.rate("PSI") - LEVEL).abs();
        assert!(off <= 0.01 + 0.021 + rates.noise("PSI"), "{of}: {off}");
    }
}

#[test]
fn means_and_variances_that_did_not_drift() {
    let n_replicates = replicates(200);
    for (i, (n, m)) in [(20, 20), (100, 100), (100, 500), (500, 100)].into_iter().enumerate() {
        for law in ["normal", "skewed", "wider"] {
            let mut rates = Rates::default();
            for replicate in 0..n_replicates {
                let mut draws = Draws::new(55, (10 * i + law.len()) as u32, replicate);
                let mut draw = || match law {
                    // Exponential: skewed, with a kurtosis of 9.
                    "skewed" => -(1.0 - draws.uniform()).ln(),
                    _ => draws.normal(),
                };
                let x = values(n, &mut draw);
                // Means alone are the same where the current data are twice as wide.
                let wide = if law == "wider" { 2.0 } else { 1.0 };
                let y: Vec<f64> = values(m, &mut draw).iter().map(|y| y * wide).collect();
                let (x, y) = (Float64Array::from(x), Float64Array::from(y));
                let r = SampleMoments::of(&x).expect("moments");
                let c = SampleMoments::of(&y).expect("moments");
                let both = Alternative::TwoSided;
                rates.note("Welch", welch_t(r, c, both).ok().map(|test| test.p_value));
                let less = welch_t(r, c, Alternative::Less);
                rates.note("Welch less", less.ok().map(|test| test.p_value));
                rates.note("pooled t", pooled_t(r, c, both).ok().map(|test| test.p_value));
                rates.note("F", f_test(r, c, both).ok().map(|test| test.p_value));
                rates.note("Bartlett", bartlett(r, c).ok().map(|test| test.p_value));
                let brown = levene(&x, &y, Centre::Median);
                rates.note("Brown–Forsythe", brown.ok().map(|test| test.p_value));
                let own = levene(&x, &y, Centre::Mean);
                rates.note("Levene", own.ok().map(|test| test.p_value));
            }
            let of = format!("n {n:>5} m {m:>5} {law}");
            println!("{}", rates.line(&of));
            rates.holds("Welch", &of);
            match law {
                "normal" => {
                    for test in ["Welch", "Welch less", "pooled t", "F", "Bartlett"] {
                        rates.meets(test, &of);
                    }
                    rates.holds("Levene", &of);
                    rates.holds("Brown–Forsythe", &of);
                }
                "skewed" => rates.holds("Brown–Forsythe", &of),
                _ => {}
            }
        }
    }
}

#[test]
fn nothing_new_but_by_chance() {
    let n_replicates = replicates(150);
    let zipf = |k: u32, s: f64| (1..=k).map(|i| f64::from(i).powf(-s)).collect::<Vec<_>>();
    let mut rare = vec![0.9];
    rare.extend([0.1 / 30.0; 30]);
    for (j, (name, weights)) in [
        ("fifty alike", vec![1.0; 50]),
        ("a thousand alike", vec![1.0; 1000]),
        ("Zipf 1.5", zipf(2000, 1.5)),
        ("Zipf 2.5", zipf(2000, 2.5)),
        ("geometric", (0..60).map(|i| 0.7f64.powi(i)).collect()),
        ("thirty rare", rare),
    ]
    .into_iter()
    .enumerate()
    {
        for (i, (n, m)) in [(100, 100), (100, 2000), (2000, 500)].into_iter().enumerate() {
            let mut rates = Rates::default();
            let whole: f64 = weights.iter().sum();
            let mut covered = 0;
            for replicate in 0..n_replicates {
                let mut draws = Draws::new(56, (10 * i + j) as u32, replicate);
                let r = draws.multinomial(n, &weights).expect("counts");
                let mass = UnseenMass::of(&r).expect("a mass");
                let truth: f64 =
                    r.iter().zip(&weights).filter(|(r, _)| **r == 0).map(|(_, w)| w / whole).sum();
                // Given the reference the unseen rows are binomial.
                let unseen = draws.binomial(m, truth.min(1.0)).expect("a count");
                rates.note("unseen", mass.p_value(unseen, m).ok());
                covered += u64::from(mass.upper_limit(0.95).expect("a limit") >= truth);
            }
            let of = format!("n {n:>5} m {m:>5} {name}");
            let covered = covered as f64 / n_replicates as f64;
            println!("{}", rates.line(&format!("{of}: limit holds {covered:.3}")));
            rates.holds("unseen", &of);
            assert!(covered >= 0.94 - rates.noise("unseen"), "{of}: {covered}");
        }
    }
    for (i, (n, m)) in sizes().into_iter().enumerate() {
        let mut rates = Rates::default();
        for replicate in 0..n_replicates {
            let mut draws = Draws::new(57, i as u32, replicate);
            let x = values(n, || draws.uniform());
            let low = x.iter().copied().fold(f64::INFINITY, f64::min);
            let high = x.iter().copied().fold(0.0, f64::max);
            let y = values(m, || draws.uniform());
            let below = y.iter().filter(|y| **y < low).count() as u64;
            let above = y.iter().filter(|y| **y > high).count() as u64;
            let test = out_of_range(n, Outside { below, above }, m).expect("a test");
            rates.note("more", Some(test.p_more));
            rates.note("two-sided", Some(test.p_two_sided));
            rates.note("above", Some(test.p_above));
        }
        let of = format!("n {n:>5} m {m:>5} out of range");
        println!("{}", rates.line(&of));
        for test in ["more", "two-sided", "above"] {
            rates.holds(test, &of);
        }
    }
}

#[test]
fn what_drifted_is_found() {
    let n_replicates = replicates(60);
    let from = [0.3, 0.25, 0.2, 0.15, 0.1];
    let to = [0.2, 0.25, 0.2, 0.15, 0.2];
    for (i, (n, m, least)) in
        [(500, 100, 0.35), (500, 500, 0.97), (2000, 500, 0.99)].into_iter().enumerate()
    {
        let mut rates = Rates::default();
        for replicate in 0..n_replicates {
            let mut draws = Draws::new(58, i as u32, replicate);
            let r = draws.multinomial(n, &from).expect("counts");
            let c = draws.multinomial(m, &to).expect("counts");
            let how = simulation(replicate);
            rates.note("chi-square", chi_square(&r, &c).ok().map(|test| test.p_value));
            rates.note("G", g_test(&r, &c).ok().map(|test| test.p_value));
            let fit = chi_square_goodness_of_fit(ReferenceShares::Sampled(&r), &c);
            rates.note("fit", fit.ok().map(|test| test.p_value));
            let p = permutation_p(&r, &c, index, how).ok().map(|test| test.p_value);
            rates.note("PSI exchanged", p);
            let p = permutation_p(&r, &c, js, how).ok().map(|test| test.p_value);
            rates.note("JS exchanged", p);
            let value = index(&r, &c).expect("an index");
            rates.note("(PSI ≥ 0.1)", Some(if value >= 0.1 { 0.0 } else { 1.0 }));
            let p = chi_square_sf(value * m as f64, r.len() as f64 - 1.0).expect("a tail");
            rates.note("(χ² law, scouter)", Some(p));
            let distance = js(&r, &c).expect("a divergence").sqrt();
            rates.note("(JS distance ≥ 0.1)", Some(if distance >= 0.1 { 0.0 } else { 1.0 }));
            let pair = pair((r[4], n), (c[4], m));
            let p = fisher_exact(pair, Alternative::Greater).ok().map(|test| test.p_value);
            rates.note("Fisher greater", p);
            let z = two_proportion_z(pair, ProportionVariance::Pooled, Alternative::Greater);
            rates.note("z greater", z.ok().map(|test| test.p_value));
        }
        let of = format!("n {n:>5} m {m:>5} a share of 10 % doubled");
        println!("{}", rates.line(&of));
        for test in ["chi-square", "G", "fit", "PSI exchanged", "JS exchanged", "Fisher greater"] {
            let least = least - rates.noise(test);
            assert!(rates.rate(test) >= least, "{of}: {test} finds {:.3}", rates.rate(test));
        }
    }
    for (i, (n, m, least)) in [(100, 100, 0.7), (500, 500, 0.99)].into_iter().enumerate() {
        let mut rates = Rates::default();
        for replicate in 0..n_replicates {
            let mut draws = Draws::new(59, i as u32, replicate);
            let mut x = values(n, || draws.normal());
            let y = values(m, || 0.4 + 1.5 * draws.normal());
            let (low, high) = x.iter().fold((0.0f64, 0.0f64), |(l, h), x| (l.min(*x), h.max(*x)));
            let below = y.iter().filter(|y| **y < low).count() as u64;
            let above = y.iter().filter(|y| **y > high).count() as u64;
            let test = out_of_range(n, Outside { below, above }, m).expect("a test");
            rates.note("out of range", Some(test.p_more));
            let (of_x, of_y) = (Float64Array::from(x.clone()), Float64Array::from(y.clone()));
            let r = SampleMoments::of(&of_x).expect("moments");
            let c = SampleMoments::of(&of_y).expect("moments");
            let welch = welch_t(r, c, Alternative::Greater);
            rates.note("Welch greater", welch.ok().map(|test| test.p_value));
            let f = f_test(r, c, Alternative::TwoSided);
            rates.note("F", f.ok().map(|test| test.p_value));
            rates.note("Bartlett", bartlett(r, c).ok().map(|test| test.p_value));
            let brown = levene(&of_x, &of_y, Centre::Median);
            rates.note("Brown–Forsythe", brown.ok().map(|test| test.p_value));
            let (r, c) = quantile_bins(&mut x, &y, 10);
            let law = DirichletMultinomial::of_quantile_bins(&r).expect("a law");
            let p = law.p_value(&c, index, simulation(replicate)).ok().map(|test| test.p_value);
            rates.note("PSI in quantile bins", p);
        }
        let of = format!("n {n:>5} m {m:>5} normal, moved by 0.4 and 1.5 times as wide");
        println!("{}", rates.line(&of));
        for test in ["Welch greater", "F", "Bartlett", "Brown–Forsythe", "PSI in quantile bins"] {
            let least = least - rates.noise(test);
            assert!(rates.rate(test) >= least, "{of}: {test} finds {:.3}", rates.rate(test));
        }
    }
}

#[test]
fn simulated_p_values_are_the_same_on_any_thread() {
    let work = |seed: u64| {
        let how = MonteCarlo::new(seed).stream(3);
        let law = DirichletMultinomial::of_quantile_bins(&[20, 20, 21]).expect("a law");
        let quantile = law.p_value(&[30, 10, 15], index, how).expect("a p-value");
        let exchanged = permutation_p(&[20, 20, 21], &[30, 10, 15], js, how).expect("a p-value");
        (quantile, exchanged)
    };
    let here = work(5);
    let elsewhere = std::thread::spawn(move || work(5)).join().expect("a thread");
    assert_eq!(here, elsewhere);
    assert_ne!(here, work(6), "another seed, other draws");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
    pool.install(|| {
        use rayon::prelude::*;
        assert!((0..6).into_par_iter().all(|_| work(5) == here));
    });
}
