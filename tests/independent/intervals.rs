//! Intervals and multiple testing.

use mlops::core::stats::{self, Proportion, ProportionPair};
use mlops::core::{Error, Result};

use crate::cases::{Outcome, STATISTIC, TAIL, cases, close, counts, floats};

#[test]
fn wilson_is_statsmodels() -> Outcome {
    for case in cases("wilson") {
        let number = |i: usize| case[i].as_f64().expect("a number");
        let (x, n) = (case[0].as_u64().expect("x"), case[1].as_u64().expect("n"));
        let ours = stats::wilson(x, n, number(2))?;
        close(&format!("low {case}"), ours.low, number(3), TAIL);
        close(&format!("high {case}"), ours.high, number(4), TAIL);
    }
    Ok(())
}

#[test]
fn miettinen_nurminen_is_the_papers() -> Outcome {
    for case in cases("miettinen_nurminen") {
        let c = counts(&case["counts"]);
        let pair = ProportionPair {
            current: Proportion { successes: c[0], n: c[1] },
            reference: Proportion { successes: c[2], n: c[3] },
        };
        let confidence = case["confidence"].as_f64().expect("a confidence");
        let ours = stats::miettinen_nurminen_difference(pair, confidence)?;
        let limits = floats(&case["difference"]);
        for (ours, limit) in [ours.low, ours.high].into_iter().zip(limits) {
            // A limit may be 0 but for rounding: there the unit is that of a proportion.
            assert!(
                (ours - limit).abs() <= TAIL * limit.abs().max(1e-6),
                "{case}: {ours} for {limit}"
            );
        }
        match stats::miettinen_nurminen_ratio(pair, confidence) {
            Ok(ours) => {
                close(
                    &format!("ratio {case}"),
                    ours.low,
                    case["ratio"][0].as_f64().expect("low"),
                    TAIL,
                );
                let high = case["ratio"][1].as_f64().unwrap_or(f64::INFINITY);
                assert!(
                    ours.high == high || (ours.high / high - 1.0).abs() <= TAIL,
                    "{case}: {ours:?}"
                );
            }
            Err(Error::Undefined { .. }) => assert!(case["ratio"].is_null(), "{case}"),
            Err(other) => return Err(other.into()),
        }
    }
    Ok(())
}

#[test]
fn adjusted_p_values_are_statsmodels() -> Outcome {
    type Adjust = fn(&[f64]) -> Result<Vec<f64>>;
    let all: [(&str, Adjust, stats::Correction); 4] = [
        ("bonferroni", stats::bonferroni, stats::Correction::Bonferroni),
        ("holm", stats::holm, stats::Correction::Holm),
        ("benjamini_hochberg", stats::benjamini_hochberg, stats::Correction::BenjaminiHochberg),
        ("benjamini_yekutieli", stats::benjamini_yekutieli, stats::Correction::BenjaminiYekutieli),
    ];
    for case in cases("multiple") {
        let p = floats(&case["p"]);
        // Tests without a p-value in between change nothing.
        let gaps: Vec<Option<f64>> = p.iter().flat_map(|p| [None, Some(*p)]).collect();
        for (method, adjust, correction) in all {
            let ours = adjust(&p)?;
            for (ours, expected) in ours.iter().zip(floats(&case[method])) {
                close(&format!("{method} {}", case["p"]), *ours, expected, STATISTIC);
            }
            let with_gaps = stats::adjust(correction, &gaps)?;
            assert_eq!(with_gaps.p_values.into_iter().flatten().collect::<Vec<_>>(), ours);
        }
    }
    Ok(())
}
