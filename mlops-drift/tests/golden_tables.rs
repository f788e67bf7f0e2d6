//! Statistics of count tables and moments against mpmath, scipy and statsmodels; made by
//! `tests/golden/make_tables.py`.

use arrow::array::Float64Array;
use mlops_core::stats::{Proportion, ProportionPair};
use mlops_drift::statistics::{
    Alternative, Centre, ChiSquare, DirichletMultinomial, LogBase, MonteCarlo, Outside,
    ProportionVariance, ReferenceShares, SampleMoments, UnseenMass, ZeroCells, bartlett,
    chi_square, chi_square_goodness_of_fit, f_test, fisher_exact, g_test, hellinger,
    jensen_shannon, kullback_leibler, l_infinity, levene, out_of_range, permutation_p, pooled_t,
    psi, total_variation, two_proportion_z, welch_t,
};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    tables: Vec<Table>,
    fisher: Vec<Fisher>,
    z: Vec<Z>,
    t: Vec<T>,
    variances: Vec<Variance>,
    arrays: Vec<Arrays>,
    unseen: Vec<Unseen>,
    out_of_range: Vec<Range>,
    simulated: Vec<Simulated>,
}

#[derive(Deserialize)]
struct Table {
    name: String,
    reference: Vec<u64>,
    current: Vec<u64>,
    js_divergence_nats: f64,
    js_distance_bits: f64,
    kl_forth_plain: Option<f64>,
    kl_back_plain: Option<f64>,
    kl_forth_add_half: f64,
    kl_back_add_half: f64,
    psi_add_half: f64,
    kl_forth_add_one: f64,
    kl_back_add_one: f64,
    psi_add_one: f64,
    kl_forth_clip: f64,
    kl_back_clip: f64,
    hellinger: f64,
    l_infinity: f64,
    total_variation: f64,
    degrees_of_freedom: u64,
    chi_square: f64,
    chi_square_p: f64,
    g: f64,
    g_p: f64,
    fit: Option<f64>,
    fit_p: Option<f64>,
    fit_sampled: Option<f64>,
    fit_sampled_p: Option<f64>,
}

#[derive(Deserialize)]
struct Fisher {
    reference: [u64; 2],
    current: [u64; 2],
    less: f64,
    greater: f64,
    two_sided: f64,
    odds_ratio: Option<f64>,
}

#[derive(Deserialize)]
struct Z {
    reference: [u64; 2],
    current: [u64; 2],
    pooled: [f64; 4],
    unpooled: [f64; 4],
}

#[derive(Deserialize)]
struct T {
    reference: (u64, f64, f64),
    current: (u64, f64, f64),
    welch_df: f64,
    welch: [f64; 4],
    pooled: [f64; 4],
}

#[derive(Deserialize)]
struct Variance {
    reference: (u64, f64),
    current: (u64, f64),
    f: f64,
    f_two_sided: f64,
    f_less: f64,
    f_greater: f64,
    bartlett: f64,
    bartlett_p: f64,
}

#[derive(Deserialize)]
struct Arrays {
    name: String,
    reference: Vec<u64>,
    current: Vec<u64>,
    levene_median: (f64, f64, Option<f64>),
    levene_mean: (f64, f64, Option<f64>),
    welch: [f64; 2],
    bartlett: Option<f64>,
}

#[derive(Deserialize)]
struct Unseen {
    singletons: u64,
    doubletons: u64,
    n: u64,
    m: u64,
    #[serde(rename = "unseen")]
    rows: u64,
    p_value: f64,
    upper_limit: f64,
}

#[derive(Deserialize)]
struct Range {
    n: u64,
    m: u64,
    below: u64,
    above: u64,
    p_more: f64,
    p_fewer: f64,
    p_below: f64,
    p_above: f64,
}

#[derive(Deserialize)]
struct Simulated {
    reference: Vec<u64>,
    current: Vec<u64>,
    quantile_bins_p: f64,
    permutation_p: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/tables.json")).expect("golden values")
}

/// Statistics.
const EXACT: f64 = 1e-12;
/// p-values.
const TAIL: f64 = 1e-9;

fn close(name: &str, found: f64, expected: f64, relative: f64) {
    // Beyond 1e-300 floats lose digits of their own.
    let far = (found - expected).abs() > relative * expected.abs() + 1e-307;
    assert!(!far, "{name}: {found:e}, not {expected:e}, {:e} off", found / expected - 1.0);
}

fn maybe(name: &str, found: Option<f64>, expected: Option<f64>) {
    match (found, expected) {
        (Some(found), Some(expected)) => close(name, found, expected, EXACT),
        (found, expected) => assert_eq!(found, expected, "{name}"),
    }
}

#[test]
fn divergences() {
    for case in golden().tables {
        let name = &case.name;
        let (r, c) = (&case.reference[..], &case.current[..]);
        let nats = jensen_shannon(r, c, LogBase::E).expect("js");
        close(name, nats.divergence, case.js_divergence_nats, EXACT);
        let bits = jensen_shannon(r, c, LogBase::Two).expect("js");
        close(name, bits.distance, case.js_distance_bits, EXACT);
        assert_eq!(jensen_shannon(c, r, LogBase::Two).expect("js"), bits, "{name}");
        close(name, hellinger(r, c).expect("hellinger"), case.hellinger, EXACT);
        close(name, l_infinity(r, c).expect("l∞"), case.l_infinity, EXACT);
        let distance = total_variation(r, c, 0.95).expect("total variation");
        close(name, distance.value, case.total_variation, EXACT);

        let kl = |rule| kullback_leibler(r, c, rule, LogBase::E).expect("kl");
        let plain = kl(ZeroCells::Refuse);
        maybe(name, plain.current_from_reference, case.kl_forth_plain);
        maybe(name, plain.reference_from_current, case.kl_back_plain);
        for (rule, forth, back, index) in [
            (ZeroCells::AddHalf, case.kl_forth_add_half, case.kl_back_add_half, case.psi_add_half),
            (ZeroCells::Add(1.0), case.kl_forth_add_one, case.kl_back_add_one, case.psi_add_one),
        ] {
            let added = kl(rule);
            maybe(name, added.current_from_reference, Some(forth));
            maybe(name, added.reference_from_current, Some(back));
            close(name, psi(r, c, rule).expect("psi"), index, EXACT);
        }
        // Raised shares don't sum to 1, so that the logarithms' first order remains and cancels.
        let clipped = kl(ZeroCells::Clip(1e-4));
        for (found, expected) in [
            (clipped.current_from_reference, case.kl_forth_clip),
            (clipped.reference_from_current, case.kl_back_clip),
        ] {
            let found = found.expect("finite");
            assert!(
                (found - expected).abs() <= EXACT * expected.abs().max(1e-3),
                "{name}: {found}"
            );
        }
    }
}

#[derive(Deserialize)]
struct Peer {
    version: String,
    cases: Vec<PeerCase>,
}

#[derive(Deserialize)]
struct PeerCase {
    reference: Vec<u64>,
    current: Vec<u64>,
    js_distance_nats: Option<f64>,
    js_distance_bits: Option<f64>,
    hellinger: Option<f64>,
    l_infinity: Option<f64>,
    psi: Option<f64>,
    psi_add_to_shares: Option<f64>,
    kl_reference_from_current: Option<f64>,
}

/// What the drift libraries themselves print; made by `tests/golden/make_table_peers.py`.
#[test]
fn distances_equal_those_of_the_drift_libraries() {
    let peers: std::collections::BTreeMap<String, Peer> =
        serde_json::from_str(include_str!("golden/table_peers.json")).expect("golden values");
    let mut compared = 0;
    for (name, Peer { version, cases }) in peers {
        for case in cases {
            let (r, c) = (&case.reference[..], &case.current[..]);
            let js = |base| jensen_shannon(r, c, base).map(|js| js.distance);
            let kl = || {
                kullback_leibler(r, c, ZeroCells::Refuse, LogBase::E)
                    .map(|kl| kl.reference_from_current.unwrap_or(f64::NAN))
            };
            for (found, expected) in [
                (js(LogBase::E), case.js_distance_nats),
                (js(LogBase::Two), case.js_distance_bits),
                (hellinger(r, c), case.hellinger),
                (l_infinity(r, c), case.l_infinity),
                (psi(r, c, ZeroCells::AddToShares(1e-10)), case.psi_add_to_shares),
            ] {
                if let Some(expected) = expected {
                    close(
                        &format!("{name} {version}"),
                        found.expect("a distance"),
                        expected,
                        1e-11,
                    );
                    compared += 1;
                }
            }
            if let Some((index, divergence)) = case.psi.zip(case.kl_reference_from_current) {
                let found = psi(r, c, ZeroCells::Refuse).expect("no empty cells");
                close(&name, found, index, 1e-11);
                close(&name, kl().expect("no empty cells"), divergence, 1e-11);
                compared += 2;
            }
        }
    }
    assert!(compared >= 20, "{compared}");
}

#[test]
fn tests_of_categories() {
    fn same(name: &str, found: &ChiSquare, statistic: f64, p: f64) {
        close(name, found.statistic, statistic, EXACT);
        close(name, found.p_value, p, TAIL);
    }
    for case in golden().tables {
        let name = &case.name;
        let (r, c) = (&case.reference[..], &case.current[..]);
        let test = chi_square(r, c).expect("chi-square");
        same(name, &test, case.chi_square, case.chi_square_p);
        assert_eq!(test.degrees_of_freedom, case.degrees_of_freedom, "{name}");
        same(name, &g_test(r, c).expect("G"), case.g, case.g_p);
        let shares: Vec<f64> = r.iter().map(|count| *count as f64).collect();
        let known = chi_square_goodness_of_fit(ReferenceShares::Known(&shares), c);
        let sampled = chi_square_goodness_of_fit(ReferenceShares::Sampled(r), c);
        match case.fit.zip(case.fit_p).zip(case.fit_sampled).zip(case.fit_sampled_p) {
            Some((((statistic, p), sampled_statistic), sampled_p)) => {
                same(name, &sampled.expect("a fit"), sampled_statistic, sampled_p);
                // Shares that are floats round the expectations: billions of rows show it.
                let known = known.expect("a fit");
                if c.iter().all(|count| *count < 1 << 30) {
                    same(name, &known, statistic, p);
                } else {
                    assert!((known.statistic - statistic).abs() < 1e-9, "{name}: {known}");
                }
            }
            None => assert!(known.is_err() && sampled.is_err(), "{name}"),
        }
    }
}

fn pair(reference: [u64; 2], current: [u64; 2]) -> ProportionPair {
    let side = |[successes, n]: [u64; 2]| Proportion { successes, n };
    ProportionPair { current: side(current), reference: side(reference) }
}

const SIDES: [Alternative; 3] = [Alternative::TwoSided, Alternative::Less, Alternative::Greater];

#[test]
fn tests_of_two_shares() {
    for case in golden().fisher {
        let name = format!("{:?} {:?}", case.reference, case.current);
        let mirrored = |[hits, n]: [u64; 2]| [n - hits, n];
        for (side, expected) in SIDES.into_iter().zip([case.two_sided, case.less, case.greater]) {
            let test = fisher_exact(pair(case.reference, case.current), side).expect("a test");
            close(&name, test.p_value, expected, TAIL);
            maybe(&name, test.odds_ratio, case.odds_ratio);
            // Failures for successes and reference for current: twice the other way round.
            let other = pair(mirrored(case.current), mirrored(case.reference));
            close(&name, fisher_exact(other, side).expect("a test").p_value, expected, TAIL);
        }
    }
    for case in golden().z {
        let name = format!("{:?} {:?}", case.reference, case.current);
        for (variance, [statistic, tails @ ..]) in [
            (ProportionVariance::Pooled, case.pooled),
            (ProportionVariance::Unpooled, case.unpooled),
        ] {
            for (side, p) in SIDES.into_iter().zip(tails) {
                let test = two_proportion_z(pair(case.reference, case.current), variance, side)
                    .expect("a test");
                close(&name, test.statistic, statistic, EXACT);
                close(&name, test.p_value, p, TAIL);
            }
        }
    }
}

#[test]
fn tests_of_means_and_variances() {
    for case in golden().t {
        let of = |(n, mean, variance)| SampleMoments { n, mean, variance };
        let (r, c) = (of(case.reference), of(case.current));
        let name = format!("{r:?} {c:?}");
        for (side, at) in SIDES.into_iter().zip(1..) {
            let welch = welch_t(r, c, side).expect("a test");
            close(&name, welch.statistic, case.welch[0], EXACT);
            close(&name, welch.degrees_of_freedom, case.welch_df, EXACT);
            close(&name, welch.p_value, case.welch[at], TAIL);
            let pooled = pooled_t(r, c, side).expect("a test");
            close(&name, pooled.statistic, case.pooled[0], EXACT);
            close(&name, pooled.p_value, case.pooled[at], TAIL);
        }
    }
    for case in golden().variances {
        let of = |(n, variance)| SampleMoments { n, mean: 0.0, variance };
        let (r, c) = (of(case.reference), of(case.current));
        let name = format!("{r:?} {c:?}");
        for (side, p) in SIDES.into_iter().zip([case.f_two_sided, case.f_less, case.f_greater]) {
            let test = f_test(r, c, side).expect("a test");
            close(&name, test.statistic, case.f, EXACT);
            close(&name, test.p_value, p, TAIL);
        }
        let test = bartlett(r, c).expect("a test");
        close(&name, test.statistic, case.bartlett, EXACT);
        close(&name, test.p_value, case.bartlett_p, TAIL);
    }
}

#[test]
fn tests_of_arrays() {
    for case in golden().arrays {
        let numbers = |bits: &[u64]| bits.iter().map(|b| f64::from_bits(*b)).collect::<Vec<_>>();
        let (x, y) = (numbers(&case.reference), numbers(&case.current));
        let (reference, current) = (Float64Array::from(x.clone()), Float64Array::from(y));
        for (centre, (statistic, p, ratio)) in
            [(Centre::Median, case.levene_median), (Centre::Mean, case.levene_mean)]
        {
            let test = levene(&reference, &current, centre).expect("a test");
            // A mean far from 0 rounds all deviations from it.
            let rounding = if case.name == "far from 0" { 1e-9 } else { EXACT };
            close(&case.name, test.statistic, statistic, rounding);
            close(&case.name, test.p_value, p, TAIL.max(rounding));
            match (test.ratio, ratio) {
                (Some(found), Some(expected)) => close(&case.name, found, expected, rounding),
                (found, expected) => assert_eq!(found, expected),
            }
            // With nulls in between, as a slice of something longer, and in another order.
            let mut padded = vec![Some(99.0), None];
            padded.extend(x.iter().rev().flat_map(|v| [Some(*v), None]));
            padded.push(Some(-99.0));
            let padded = Float64Array::from(padded);
            let sliced = padded.slice(1, padded.len() - 2);
            assert_eq!(levene(&sliced, &current, centre).expect("a test"), test);
        }
        let (r, c) = (SampleMoments::of(&reference), SampleMoments::of(&current));
        let (r, c) = (r.expect("moments"), c.expect("moments"));
        let welch = welch_t(r, c, Alternative::TwoSided).expect("a test");
        // Here scipy's own moments are the reference.
        close(&case.name, welch.statistic, case.welch[0], 1e-9);
        close(&case.name, welch.p_value, case.welch[1], TAIL);
        match case.bartlett {
            Some(expected) => {
                close(&case.name, bartlett(r, c).expect("a test").statistic, expected, 1e-9);
            }
            None => assert!(bartlett(r, c).is_err()),
        }
    }
}

#[test]
fn tests_of_what_the_reference_never_saw() {
    for case in golden().unseen {
        let Unseen { singletons, doubletons, n, m, rows, p_value, upper_limit } = case;
        let rest = n - singletons - 2 * doubletons;
        let mut counts = vec![1; singletons as usize];
        counts.extend(vec![2; doubletons as usize]);
        counts.push(rest);
        let mass = UnseenMass::of(&counts).expect("a mass");
        let name = format!("{mass:?} {rows} of {m}");
        let counted = (mass.singletons, mass.doubletons) == (singletons, doubletons);
        if !counted {
            // The rest was alone itself.
            assert_eq!(rest, 1, "{name}");
            continue;
        }
        close(&name, mass.p_value(rows, m).expect("a p-value"), p_value, TAIL);
        close(&name, mass.upper_limit(0.95).expect("a limit"), upper_limit, TAIL);
    }
    for case in golden().out_of_range {
        let Range { n, m, below, above, .. } = case;
        let name = format!("{below} and {above} of {m} outside {n}");
        let test = out_of_range(n, Outside { below, above }, m).expect("a test");
        close(&name, test.p_more, case.p_more, TAIL);
        close(&name, test.p_fewer, case.p_fewer, TAIL);
        close(&name, test.p_below, case.p_below, TAIL);
        close(&name, test.p_above, case.p_above, TAIL);
    }
}

#[test]
fn simulated_p_values_meet_those_of_all_outcomes() {
    let how = MonteCarlo { replicates: 9_999, stop_after: None, ..MonteCarlo::new(1) };
    let index = |r: &[u64], c: &[u64]| psi(r, c, ZeroCells::AddHalf);
    for case in golden().simulated {
        let law = DirichletMultinomial::of_quantile_bins(&case.reference).expect("a law");
        let quantile = law.p_value(&case.current, index, how).expect("a p-value");
        let exchanged =
            permutation_p(&case.reference, &case.current, index, how).expect("a p-value");
        for (found, exact) in
            [(quantile.p_value, case.quantile_bins_p), (exchanged.p_value, case.permutation_p)]
        {
            let error = (exact * (1.0 - exact) / f64::from(how.replicates)).sqrt();
            println!("{found:.4} by simulation, {exact:.4} by all outcomes");
            assert!((found - exact).abs() < 4.0 * error + 1e-4, "{found} not {exact}");
        }
    }
}

#[test]
fn what_has_no_value_is_an_error() {
    let both = Alternative::TwoSided;
    assert!(jensen_shannon(&[1], &[1, 2], LogBase::E).is_err());
    assert!(jensen_shannon(&[0], &[1], LogBase::E).is_err());
    assert!(hellinger(&[], &[]).is_err() && l_infinity(&[0, 0], &[1, 1]).is_err());
    assert!(kullback_leibler(&[1, 1], &[0, 0], ZeroCells::AddHalf, LogBase::E).is_err());
    assert!(kullback_leibler(&[1], &[1], ZeroCells::Clip(2.0), LogBase::E).is_err());
    assert!(psi(&[1, 0], &[1, 1], ZeroCells::AddToShares(0.0)).is_err());
    assert!(g_test(&[u64::MAX, 2], &[1, 1]).is_err());
    for shares in [&[0.5, -0.5][..], &[0.0, 0.0], &[f64::NAN, 1.0], &[1.0]] {
        let fit = chi_square_goodness_of_fit(ReferenceShares::Known(shares), &[1, 1]);
        assert!(fit.is_err(), "{shares:?}");
    }
    assert!(fisher_exact(pair([0, 0], [1, 2]), both).is_err());
    assert!(fisher_exact(pair([3, 2], [1, 2]), both).is_err());
    let vast = [u64::MAX, u64::MAX];
    for vast in [pair([3, 1 << 62], [1, 1 << 62]), pair(vast, vast), pair([3, 9], vast)] {
        assert!(fisher_exact(vast, both).is_err());
    }
    let too_many = pair(vast, [0, u64::MAX]);
    assert!(two_proportion_z(too_many, ProportionVariance::Pooled, both).is_err());
    for variance in [ProportionVariance::Pooled, ProportionVariance::Unpooled] {
        assert!(two_proportion_z(pair([0, 10], [0, 20]), variance, both).is_err());
        assert!(two_proportion_z(pair([0, 0], [0, 20]), variance, both).is_err());
    }
    assert!(two_proportion_z(pair([0, 9], [9, 9]), ProportionVariance::Unpooled, both).is_err());
    assert!(two_proportion_z(pair([0, 9], [9, 9]), ProportionVariance::Pooled, both).is_ok());
    let of = |n, mean, variance| SampleMoments { n, mean, variance };
    let fine = of(5, 0.0, 1.0);
    for bad in [of(1, 0.0, 1.0), of(5, f64::NAN, 1.0), of(5, 0.0, -1.0), of(5, 0.0, f64::INFINITY)]
    {
        assert!(welch_t(fine, bad, both).is_err() && pooled_t(bad, fine, both).is_err());
        assert!(f_test(fine, bad, both).is_err() && bartlett(bad, fine).is_err());
    }
    let constant = of(5, 1.0, 0.0);
    assert!(welch_t(constant, constant, both).is_err() && welch_t(fine, constant, both).is_ok());
    assert!(f_test(fine, constant, both).is_err() && bartlett(constant, fine).is_err());
    let numbers = |x: &[f64]| Float64Array::from(x.to_vec());
    let some = numbers(&[1.0, 2.0, 4.0]);
    for bad in
        [numbers(&[]), numbers(&[1.0]), numbers(&[1.0, f64::NAN]), numbers(&[1.0, f64::INFINITY])]
    {
        assert!(levene(&some, &bad, Centre::Median).is_err(), "{bad:?}");
        assert!(SampleMoments::of(&bad).is_err());
    }
    assert!(levene(&numbers(&[1.0, 1.0]), &numbers(&[2.0, 2.0]), Centre::Median).is_err());
    let how = MonteCarlo::new(1);
    let undefined = |r: &[u64], c: &[u64]| psi(r, c, ZeroCells::Refuse);
    assert!(permutation_p(&[1, 0], &[1, 1], undefined, how).is_err());
    assert!(permutation_p(&[0, 0], &[1, 1], undefined, how).is_err());
    let nan = |_: &[u64], _: &[u64]| Ok(f64::NAN);
    assert!(permutation_p(&[1, 1], &[1, 1], nan, how).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn distances_keep_their_bounds_and_relations(
        pairs in prop::collection::vec((0u64..300, 0u64..300), 1..12),
        scale in 1u64..1_000_000,
    ) {
        let (r, c): (Vec<u64>, Vec<u64>) = pairs.iter().map(|(r, c)| (r * scale + 1, *c)).unzip();
        prop_assume!(c.iter().any(|count| *count > 0));
        let nats = jensen_shannon(&r, &c, LogBase::E).unwrap();
        let bits = jensen_shannon(&r, &c, LogBase::Two).unwrap();
        let tv = total_variation(&r, &c, 0.95).unwrap().value;
        let (h, most) = (hellinger(&r, &c).unwrap(), l_infinity(&r, &c).unwrap());
        let slack = 1e-12;
        prop_assert!((0.0..=1.0).contains(&bits.divergence) && (0.0..=1.0).contains(&h));
        prop_assert!((nats.divergence / 2f64.ln() - bits.divergence).abs() < slack);
        // Le Cam; Lin; and the largest part is at most half of the sum of parts.
        prop_assert!(h * h <= tv + slack && tv <= h * (2.0 - h * h).sqrt() + slack);
        prop_assert!(bits.divergence <= tv + slack && most <= tv + slack);
        for (one, other) in [(&r, &c), (&c, &r)] {
            prop_assert_eq!(jensen_shannon(one, other, LogBase::E).unwrap(), nats);
            prop_assert_eq!(hellinger(one, other).unwrap(), h);
        }
        for rule in [
            ZeroCells::AddHalf,
            ZeroCells::Add(0.01),
            ZeroCells::Clip(1e-4),
            ZeroCells::AddToShares(1e-6),
        ] {
            let kl = kullback_leibler(&r, &c, rule, LogBase::E).unwrap();
            let both = kl.current_from_reference.unwrap() + kl.reference_from_current.unwrap();
            let index = psi(&r, &c, rule).unwrap();
            prop_assert!((both - index).abs() <= slack * index.max(1.0), "{both} {index}");
            prop_assert_eq!(psi(&r, &r, rule).unwrap(), 0.0);
        }
        // The same shares twice over are no distance, whatever the sizes.
        let thrice: Vec<u64> = r.iter().map(|count| count * 3).collect();
        prop_assert_eq!(hellinger(&r, &thrice).unwrap(), 0.0);
        prop_assert_eq!(jensen_shannon(&r, &thrice, LogBase::E).unwrap().divergence, 0.0);
        prop_assert_eq!(chi_square(&r, &thrice).unwrap().statistic, 0.0);
        prop_assert_eq!(g_test(&r, &thrice).unwrap().statistic, 0.0);
    }

    #[test]
    fn tests_of_two_shares_agree_where_they_must(
        (r, n) in (1u64..4000).prop_flat_map(|n| (0..=n, Just(n))),
        (c, m) in (1u64..4000).prop_flat_map(|n| (0..=n, Just(n))),
    ) {
        let pair = pair([r, n], [c, m]);
        let p = |side| fisher_exact(pair, side).unwrap().p_value;
        let (both, less, greater) =
            (p(Alternative::TwoSided), p(Alternative::Less), p(Alternative::Greater));
        prop_assert!([both, less, greater].iter().all(|p| (0.0..=1.0).contains(p)));
        // Both tails hold the table itself.
        prop_assert!(less + greater >= 1.0 - 1e-12 && both >= less.min(greater) * (1.0 - 1e-9));
        let z = two_proportion_z(pair, ProportionVariance::Pooled, Alternative::TwoSided);
        if let Ok(z) = z {
            let square = chi_square(&[r, n - r], &[c, m - c]).unwrap().statistic;
            prop_assert!((z.statistic.powi(2) - square).abs() <= 1e-11 * square.max(1e-3));
        }
    }
}
