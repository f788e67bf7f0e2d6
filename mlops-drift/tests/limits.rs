//! The confidence limits of effects hold, and the tests beside them reject at their level, on
//! counts drawn from known laws. `MLOPS_REPLICATES` raises the number of replicates.

use mlops_core::stats::Draws;
use mlops_drift::statistics::{ZeroCells, chi_square, ks_from_cells, psi_test, total_variation};

const SIZES: [u64; 3] = [100, 500, 2000];

fn replicates(default: u64) -> u64 {
    std::env::var("MLOPS_REPLICATES").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// Three standard errors of a rate.
fn noise(rate: f64, n: u64) -> f64 {
    3.0 * (rate * (1.0 - rate) / n as f64).sqrt()
}

#[test]
fn tests_reject_at_their_level_and_limits_hold() {
    let n_replicates = replicates(500);
    // Ten equal bins, and categories of which the last are rare.
    let even = [0.1; 10];
    let skewed = [0.4, 0.3, 0.15, 0.1, 0.03, 0.02];
    for (i, n) in SIZES.into_iter().enumerate() {
        for (j, m) in SIZES.into_iter().enumerate() {
            let (mut ks, mut chi, mut psi, mut tried) = (0, 0, 0, 0);
            let (mut low_d, mut low_tv, mut high_psi) = (0, 0, 0);
            for replicate in 0..n_replicates {
                let mut draws = Draws::new(42, (3 * i + j) as u32, replicate);
                let mut draw = |n: u64, p: &[f64]| draws.multinomial(n, p).expect("counts");
                // Continuous values in fine cells: nothing stands on the edges.
                let fine = vec![1.0; 64];
                let spread = |counts: Vec<u64>| -> Vec<u64> {
                    let mut cells: Vec<u64> = counts.iter().flat_map(|c| [*c, 0]).collect();
                    cells.pop();
                    cells
                };
                let (r, c) = (spread(draw(n, &fine)), spread(draw(m, &fine)));
                let bounds = ks_from_cells(&r, &c, 0.95).expect("bounds");
                ks += u64::from(bounds.p_value.1 <= 0.05);
                low_d += u64::from(bounds.interval.low > 0.0);

                let (r, c) = (draw(n, &skewed), draw(m, &skewed));
                chi += u64::from(chi_square(&r, &c).expect("a test").p_value <= 0.05);
                low_tv +=
                    u64::from(total_variation(&r, &c, 0.95).expect("limits").interval.low > 0.0);

                let (r, c) = (draw(n, &even), draw(m, &even));
                let test = psi_test(&r, &c, ZeroCells::AddHalf, 0.95).expect("a test");
                if let Some(p) = test.p_value {
                    tried += 1;
                    psi += u64::from(p <= 0.05);
                }
                high_psi += u64::from(test.interval.low > 0.0);
            }
            let rate = |k: u64| k as f64 / n_replicates as f64;
            let psi_rate = if tried > 0 { psi as f64 / tried as f64 } else { 0.0 };
            println!(
                "n {n:>5} m {m:>5}: ks {:.3} chi-square {:.3} psi {psi_rate:.3} of {tried}; above 0: \
                 D {:.3} TV {:.3} PSI {:.3}",
                rate(ks),
                rate(chi),
                rate(low_d),
                rate(low_tv),
                rate(high_psi),
            );
            let most = 0.06 + noise(0.05, n_replicates);
            assert!(rate(ks) <= most && rate(chi) <= most, "n {n}, m {m}");
            if tried == n_replicates {
                assert!(
                    psi_rate <= most && psi_rate >= 0.04 - noise(0.05, n_replicates),
                    "{psi_rate}"
                );
            }
            // Each lower limit may miss in 2.5 %, and the effect is 0 here.
            let most = 0.025 + noise(0.025, n_replicates);
            assert!(rate(low_d) <= most && rate(low_tv) <= most, "n {n}, m {m}");
            assert!(rate(high_psi) <= most + 0.02, "n {n}, m {m}: {}", rate(high_psi));
        }
    }
}

#[test]
fn limits_hold_the_effect_of_a_known_shift() {
    let n_replicates = replicates(600);
    let reference = [0.25, 0.25, 0.25, 0.25];
    let current = [0.40, 0.25, 0.20, 0.15];
    let (d, tv) = (0.15, 0.15);
    let psi: f64 =
        reference.iter().zip(current).map(|(q, p): (&f64, f64)| (p - q) * (p / q).ln()).sum();
    for (i, (n, m)) in [(100, 100), (500, 500), (2000, 500), (20_000, 2000)].into_iter().enumerate()
    {
        let (mut out_d, mut out_tv, mut out_psi) = (0, 0, 0);
        for replicate in 0..n_replicates {
            let mut draws = Draws::new(43, i as u32, replicate);
            let r = draws.multinomial(n, &reference).expect("counts");
            let c = draws.multinomial(m, &current).expect("counts");
            let atoms = |counts: &[u64]| {
                let mut cells: Vec<u64> = counts.iter().flat_map(|c| [0, *c]).collect();
                cells.push(0);
                cells
            };
            let ks = ks_from_cells(&atoms(&r), &atoms(&c), 0.95).expect("bounds");
            out_d += u64::from(!ks.interval.contains(d));
            out_tv +=
                u64::from(!total_variation(&r, &c, 0.95).expect("limits").interval.contains(tv));
            let test = psi_test(&r, &c, ZeroCells::AddHalf, 0.95).expect("a test");
            out_psi += u64::from(!test.interval.contains(psi));
        }
        let rate = |k: u64| k as f64 / n_replicates as f64;
        println!(
            "n {n:>5} m {m:>5}: limits miss D {:.3} TV {:.3} PSI {:.3}",
            rate(out_d),
            rate(out_tv),
            rate(out_psi)
        );
        let most = 0.05 + noise(0.05, n_replicates);
        assert!(rate(out_d) <= most && rate(out_tv) <= most);
        assert!(rate(out_psi) <= most + 0.02, "{}", rate(out_psi));
    }
}

/// As many rows as are allowed, of sizes that no float holds.
#[test]
fn the_most_rows_are_counted_like_others() {
    use mlops_drift::statistics::{
        Alternative, EdgeCounts, EdgePair, anderson_darling_from_counts,
        cramer_von_mises_from_counts, kuiper_from_counts, mann_whitney_from_counts,
    };
    const MOST: u64 = 1 << 62;
    for (n, m) in [(MOST, MOST), (MOST - 1, MOST - 12_345), ((1 << 60) + 12_345, (1 << 61) + 1)] {
        let (r, c) = ([n, 0, 0], [0, 0, m]);
        assert_eq!(ks_from_cells(&r, &c, 0.95).expect("ks").statistic, (1.0, 1.0));
        let pair = EdgePair::new(EdgeCounts::new(&[0.0], &r), EdgeCounts::new(&[0.0], &c));
        let pair = pair.expect("a pair");
        assert_eq!(kuiper_from_counts(&pair).expect("kuiper").statistic, (1.0, 1.0));
        let mann_whitney = mann_whitney_from_counts(&pair, Alternative::TwoSided).expect("u");
        assert_eq!(mann_whitney.superiority, (1.0, 1.0));
        assert!(cramer_von_mises_from_counts(&pair).is_ok());
        assert!(anderson_darling_from_counts(&pair).is_ok());
    }
}

#[test]
fn what_is_added_to_empty_cells_is_a_number_that_shares_bear() {
    use mlops_drift::statistics::{ZeroCells, psi};
    let of = |rule| psi(&[50, 0, 50], &[30, 40, 0], rule);
    for rule in [ZeroCells::Add, ZeroCells::Clip, ZeroCells::AddToShares] {
        for number in [0.0, -1.0, 5e-324, 1e-200, 1e300, f64::INFINITY, f64::NAN] {
            assert!(of(rule(number)).is_err(), "{number}");
        }
        for number in [1e-100, 1e-10, 0.5] {
            assert!(of(rule(number)).is_ok_and(f64::is_finite), "{number}");
        }
    }
    assert!(of(ZeroCells::Add(4e18)).is_ok_and(|index| index < 1e-15));
}
