//! Intervals from counts at edges certainly hold the exact statistic: ties, atoms, nulls, slices,
//! merges, edges from any numbers.

use arrow::array::Float64Array;
use mlops_core::states::Summary;
use mlops_core::stats::Draws;
use mlops_drift::statistics::{
    Alternative, AndersonDarlingTies, EdgeCounts, EdgePair, anderson_darling_from_counts,
    anderson_darling_two_sample, cramer_von_mises_from_counts, cramer_von_mises_two_sample,
    energy_from_counts, energy_two_sample, ks_from_cells, ks_one_sided, ks_two_sample,
    kuiper_from_counts, kuiper_two_sample, mann_whitney, mann_whitney_from_counts,
    wasserstein_from_counts, wasserstein_two_sample,
};
use proptest::prelude::*;
use rayon::prelude::*;

/// Values of one of several shapes: ties, atoms, tails, constants.
fn values(draws: &mut Draws, shape: u64, shift: f64) -> Vec<f64> {
    // Neither so many that counting paths takes long, nor none.
    let n = if draws.bernoulli(0.4) { 1 + draws.below(9) } else { 21 + draws.below(10) };
    (0..n)
        .map(|_| match shape {
            0 => draws.below(6) as f64 + shift.round(),
            1 => (draws.normal() * 4.0).round() / 4.0 + shift.round(),
            2 => draws.normal() + shift,
            3 if draws.bernoulli(0.6) => 0.0,
            3 => draws.normal().exp() + shift,
            4 => (3.0 * draws.normal()).exp() * 1e3 + shift,
            5 => 7.0 + shift.round(),
            _ => draws.normal() * 1e-3 + 1e9 + shift,
        })
        .collect()
}

fn edges(draws: &mut Draws, pooled: &[f64], all: bool) -> Vec<f64> {
    let mut edges: Vec<f64> = if all {
        pooled.to_vec()
    } else {
        let k = 1 + draws.below(14);
        (0..k)
            .map(|_| {
                let mut pick = || pooled[draws.below(pooled.len() as u64) as usize];
                let (a, b) = (pick(), pick());
                match draws.below(4) {
                    0 => a,
                    1 => 0.5 * (a + b),
                    2 => a + draws.normal(),
                    _ => (a * 2.0).round() / 2.0,
                }
            })
            .collect()
    };
    for e in &mut edges {
        *e += 0.0;
    }
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    edges
}

/// Counted in two parts, which are added.
fn count(values: &[f64], edges: &[f64], cut: usize) -> Vec<u64> {
    let mut cells = vec![0; 2 * edges.len() + 1];
    for part in [&values[..cut], &values[cut..]] {
        for v in part {
            let below = edges.partition_point(|e| e < v);
            cells[2 * below + usize::from(edges.get(below) == Some(v))] += 1;
        }
    }
    cells
}

/// With nulls in between, as a slice of something longer.
fn array(draws: &mut Draws, values: &[f64]) -> Float64Array {
    let mut padded = vec![Some(f64::NAN)];
    for v in values {
        if draws.bernoulli(0.2) {
            padded.push(None);
        }
        padded.push(Some(*v));
    }
    padded.push(Some(1e300));
    let padded = Float64Array::from(padded);
    padded.slice(1, padded.len() - 2)
}

struct Checked<'a> {
    seed: u64,
    exact: bool,
    name: &'a str,
}

impl Checked<'_> {
    /// Rounding of the exact function itself is all that is forgiven.
    fn holds(&self, (low, high): (f64, f64), value: f64) {
        let Self { seed, exact, name } = self;
        let slack = 1e-13 * value.abs() + 1e-300;
        assert!(
            low <= value + slack && value - slack <= high,
            "{name}, seed {seed}: {value:e} not in [{low:e}, {high:e}]"
        );
        assert!(
            !exact || (high - low).abs() <= 1e-13 * high.abs(),
            "{name}, seed {seed}: [{low:e}, {high:e}] though every value is on an edge"
        );
    }

    fn p_holds(&self, (low, high): (f64, f64), p: f64) {
        let Self { seed, name, .. } = self;
        assert!(low <= high, "{name}, seed {seed}: p from {low:e} to {high:e}");
        assert!(
            low * (1.0 - 1e-9) <= p && p <= high * (1.0 + 1e-9),
            "p of {name}, seed {seed}: {p:e} not in [{low:e}, {high:e}]"
        );
    }
}

fn every_interval_holds(seed: u64) {
    let mut draws = Draws::new(seed, 0, 0);
    let shape = draws.below(7);
    let shift = if draws.bernoulli(0.5) { 0.0 } else { draws.normal() * 2.0 };
    let x = values(&mut draws, shape, 0.0);
    let y = values(&mut draws, shape, shift);
    let pooled: Vec<f64> = x.iter().chain(&y).copied().collect();
    let all = draws.bernoulli(0.2);
    let edges = edges(&mut draws, &pooled, all);
    let (r, c) = (count(&x, &edges, x.len() / 3), count(&y, &edges, y.len() / 2));
    let (sx, sy) = (Summary::of(&x), Summary::of(&y));
    let side = |counts, summary: &Summary| {
        let side = EdgeCounts::new(&edges, counts);
        if seed.is_multiple_of(3) {
            // Without the means.
            side.with_range(summary.min.expect("values"), summary.max.expect("values"))
        } else {
            side.with_summary(summary)
        }
    };
    let pair = EdgePair::new(side(&r, &sx), side(&c, &sy)).expect("a pair");
    let (a, b) = (array(&mut draws, &x), array(&mut draws, &y));
    let check = |name| Checked { seed, exact: all, name };

    let (bounds, test) =
        (ks_from_cells(&r, &c, 0.95).expect("ks"), ks_two_sample(&a, &b).expect("ks"));
    check("D").holds(bounds.statistic, test.statistic);
    let one_sided = |way| ks_one_sided(&a, &b, way).expect("ks").statistic;
    check("D+").holds(bounds.d_plus, one_sided(Alternative::Greater));
    check("D-").holds(bounds.d_minus, one_sided(Alternative::Less));
    check("D").p_holds(bounds.p_value, test.p_value);

    let bounds = kuiper_from_counts(&pair).expect("kuiper");
    let test = kuiper_two_sample(&a, &b).expect("kuiper");
    check("V").holds(bounds.statistic, test.statistic);
    check("V").p_holds(bounds.p_value, test.p_value);

    let bounds = wasserstein_from_counts(&pair, 0.95).expect("w1");
    let test = wasserstein_two_sample(&a, &b).expect("w1");
    check("W1").holds(bounds.statistic, test.statistic);
    if let (Some(bounds), Some(value)) = (bounds.normalised, test.normalised) {
        check("W1/sd").holds(bounds, value);
    }
    assert!(
        bounds.interval.low <= test.statistic
            && test.statistic <= bounds.interval.high * (1.0 + 1e-13)
    );

    let bounds = energy_from_counts(&pair).expect("energy");
    let test = energy_two_sample(&a, &b).expect("energy");
    check("energy distance").holds(bounds.distance, test.distance);
    check("energy statistic").holds(bounds.statistic, test.statistic);

    let bounds = cramer_von_mises_from_counts(&pair).expect("cvm");
    let test = cramer_von_mises_two_sample(&a, &b).expect("cvm");
    check("T").holds(bounds.statistic, test.statistic);
    if all {
        // Elsewhere ties between edges are not seen.
        check("T").p_holds(bounds.p_value, test.p_value);
    }

    for alternative in [Alternative::TwoSided, Alternative::Less, Alternative::Greater] {
        let bounds = mann_whitney_from_counts(&pair, alternative).expect("u");
        let test = mann_whitney(&a, &b, alternative).expect("u");
        check("U").holds(bounds.statistic, test.statistic);
        check("U/nm").holds(bounds.superiority, test.superiority);
        check("U").p_holds(bounds.p_value, test.p_value);
    }

    let test = anderson_darling_two_sample(&a, &b, AndersonDarlingTies::Midrank);
    match (anderson_darling_from_counts(&pair), test) {
        (Ok(bounds), Ok(test)) => {
            check("A2").holds(bounds.a_squared, test.a_squared);
            if all {
                check("A2").p_holds(bounds.p_value, test.p_value);
            }
        }
        // All in one cell, where the counts say nothing.
        (Err(_), _) => assert!(
            x.len() + y.len() < 4 || r.iter().zip(&c).filter(|(a, b)| **a + **b > 0).count() == 1
        ),
        (Ok(bounds), Err(_)) => panic!("{bounds:?} of equal values, seed {seed}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_500, failure_persistence: None, ..ProptestConfig::default() })]

    // Four of each, so that there are 10,000 without the overhead.
    #[test]
    fn intervals_hold_the_exact_statistics(seed in any::<u64>()) {
        (0..4u64).into_par_iter().for_each(|i| every_interval_holds(seed.wrapping_add(i)));
    }
}

#[test]
fn a_fine_profile_is_nearly_exact() {
    // 4,096 quantiles of a reference of 20,000 with an atom, and 5,000 current values with more
    // of it.
    let mut draws = Draws::new(11, 0, 0);
    let mut x: Vec<f64> =
        (0..20_000).map(|_| if draws.bernoulli(0.1) { 0.25 } else { draws.normal() }).collect();
    let y: Vec<f64> = (0..5_000)
        .map(|_| if draws.bernoulli(0.2) { 0.25 } else { draws.normal() * 1.05 })
        .collect();
    x.sort_by(f64::total_cmp);
    let mut edges: Vec<f64> = (0..4096).map(|i| x[(i * x.len() + 2048) / 4096]).collect();
    edges.dedup();
    let (r, c) = (count(&x, &edges, 7), count(&y, &edges, 7));
    let pair = EdgePair::new(
        EdgeCounts::new(&edges, &r).with_summary(&Summary::of(&x)),
        EdgeCounts::new(&edges, &c).with_summary(&Summary::of(&y)),
    )
    .expect("a pair");
    let (a, b) = (Float64Array::from(x), Float64Array::from(y));
    let rows = [
        (
            "KS",
            ks_from_cells(&r, &c, 0.95).expect("ks").statistic,
            ks_two_sample(&a, &b).expect("ks").statistic,
        ),
        (
            "Kuiper",
            kuiper_from_counts(&pair).expect("v").statistic,
            kuiper_two_sample(&a, &b).expect("v").statistic,
        ),
        (
            "W1",
            wasserstein_from_counts(&pair, 0.95).expect("w").statistic,
            wasserstein_two_sample(&a, &b).expect("w").statistic,
        ),
        (
            "energy",
            energy_from_counts(&pair).expect("e").distance,
            energy_two_sample(&a, &b).expect("e").distance,
        ),
        (
            "CvM",
            cramer_von_mises_from_counts(&pair).expect("t").statistic,
            cramer_von_mises_two_sample(&a, &b).expect("t").statistic,
        ),
        (
            "AD",
            anderson_darling_from_counts(&pair).expect("a").a_squared,
            anderson_darling_two_sample(&a, &b, AndersonDarlingTies::Midrank).expect("a").a_squared,
        ),
        (
            "U/nm",
            mann_whitney_from_counts(&pair, Alternative::TwoSided).expect("u").superiority,
            mann_whitney(&a, &b, Alternative::TwoSided).expect("u").superiority,
        ),
    ];
    for (name, (low, high), exact) in rows {
        println!(
            "{name:>7}: {exact:.6} in [{low:.6}, {high:.6}], {:.2} % wide",
            (high - low) / exact * 100.0
        );
        assert!(low <= exact && exact <= high, "{name}");
        // Ranks are known to a cell's rows; distances to its rows times its length.
        let most = if ["KS", "Kuiper", "U/nm"].contains(&name) { 0.001 } else { 0.2 * exact };
        assert!(high - low <= most, "{name}");
    }
}
