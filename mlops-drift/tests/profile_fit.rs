//! How a profile is fitted: the interval that holds D is narrow whatever the data, the memory is
//! bounded, and labels are sampled without a bias.

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use arrow::compute::take;
use mlops_core::stats::Draws;
use mlops_core::{Cancel, Error, MemorySource, Scan, batch};
use mlops_drift::statistics::{ks_from_cells, ks_two_sample};
use mlops_drift::{Cells, ColumnProfile, Kind, ProfileOptions, ReferenceProfile};

const ROWS: usize = 20_000;

/// Data as they come, by name: of `shift` 0 twice from the same law, else moved.
fn laws(draws: &mut Draws, shift: f64) -> Vec<(&'static str, Vec<f64>)> {
    let mut law = |name, draw: &dyn Fn(&mut Draws) -> f64| {
        (name, (0..ROWS).map(|_| draw(draws)).collect::<Vec<_>>())
    };
    let either = |share: f64, atom: f64, draws: &mut Draws, other: f64| {
        if draws.uniform() < share { atom } else { other }
    };
    vec![
        law("normal", &|d| d.normal() + shift),
        law("lognormal(3)", &|d| (3.0 * d.normal() + shift).exp()),
        law("uniform", &|d| d.uniform() + shift / 4.0),
        law("Cauchy", &|d| d.normal() / d.normal() + shift),
        law("far from zero", &|d| 1e9 + d.normal() + shift),
        law("two clusters far apart", &|d| {
            let (near, far) = (d.normal() + shift, 1e9 + 1e-3 * d.normal());
            either(0.4, near, d, far)
        }),
        law("small integers", &|d| (3.0 * d.normal() + shift).round()),
        law("cents", &|d| ((1.5 * d.normal() + 3.0 + shift).exp() * 100.0).round() / 100.0),
        law("zero-inflated", &|d| {
            let x = (3.0 * d.normal() + shift).exp();
            either(0.4, 0.0, d, x)
        }),
        law("filled up with the mean", &|d| {
            let x = 12.9 * d.normal() + 29.7 + shift;
            either(0.3, 29.699_117_647_058_82, d, x)
        }),
        law("many atoms", &|d| {
            let (x, atom) = (d.normal() + shift, (d.below(300) as f64 / 77.7).sin());
            either(0.5, atom, d, x)
        }),
    ]
}

#[test]
fn the_interval_of_d_is_narrow_whatever_the_data() {
    let reference = laws(&mut Draws::new(1, 0, 0), 0.0);
    for shift in [0.0, 0.3] {
        let current = laws(&mut Draws::new(2, 0, 0), shift);
        for ((name, reference), (_, current)) in reference.iter().zip(&current) {
            let source = |x: &Vec<f64>| {
                MemorySource::from(batch! { "x" => Float64Array::from(x.clone()) }.expect("x"))
            };
            let profile = ReferenceProfile::fit(&source(reference), &ProfileOptions::default())
                .expect("a profile");
            assert!(profile.to_bytes().len() <= 48 << 10, "{} bytes", profile.to_bytes().len());
            let counted = profile.count(&source(current)).expect("counts");
            let cells = |p: &ReferenceProfile| p.columns()[0].counts().cells().to_vec();
            let bounds = ks_from_cells(&cells(&profile), &cells(&counted), 0.95).expect("bounds");
            let (low, high) = bounds.statistic;
            let exact = ks_two_sample(&reference.clone().into(), &current.clone().into());
            let exact = exact.expect("a test").statistic;
            let edges = cells(&profile).len() / 2;
            println!(
                "{name}, moved by {shift}: {edges} edges, D = {exact:.5} in [{low:.5}, {high:.5}]"
            );
            assert!(low <= exact && exact <= high, "{name}: {exact} in {low} to {high}");
            assert!(high - low <= 0.001, "{name}, moved by {shift}: {low} to {high}");
        }
    }
}

/// Sums that cancel, NaN and infinities, both zeros, heavy ties, an atom amid a continuum, extremes,
/// and more labels than cells.
fn nasty(n: usize, draws: &mut Draws) -> RecordBatch {
    let mut value = |i: usize| match i % 9 {
        0 => Some([1e16, -1e16][i / 9 % 2]),
        1 => Some(0.0),
        2 => Some(-0.0),
        3 => Some(f64::from((i % 5) as u32)),
        4 => Some(0.123_456),
        5 => [None, Some(f64::NAN), Some(f64::INFINITY), Some(f64::NEG_INFINITY)][i / 9 % 4],
        6 => [Some(f64::MAX), Some(f64::MIN), Some(5e-324), Some(-1e-300)][i / 9 % 4],
        _ => Some(0.12 + draws.uniform() / 100.0),
    };
    let x: Float64Array = (0..n).map(&mut value).collect();
    let label = |i: usize| (!i.is_multiple_of(13)).then(|| format!("l{}", i * i % 601));
    batch! { "x" => x, "label" => (0..n).map(label).collect::<StringArray>() }.expect("a batch")
}

#[test]
fn the_same_bits_for_any_order_threads_batches_and_trees_of_merging() {
    let draws = &mut Draws::new(3, 0, 0);
    let batch = nasty(4000, draws);
    let options = ProfileOptions::default().edges(64).labels(40);
    let whole = ReferenceProfile::fit(&MemorySource::from(batch.clone()), &options);
    let whole = whole.expect("a profile");
    let expected = whole.to_bytes();
    let x = whole.column("x").expect("x");
    let Cells::Edges(edges) = x.cells() else { panic!("numbers have edges") };
    assert!(edges.contains(&0.123_456) && edges.contains(&0.0), "atoms are edges");
    assert_eq!(whole.column("label").map(ColumnProfile::kind), Some(Kind::SampledLabels));

    for (threads, pieces) in [(1, 1), (2, 7), (3, 40), (5, 333)] {
        let order = draws.permutation(batch.num_rows());
        let order = UInt64Array::from_iter_values(order.into_iter().map(|i| i as u64));
        let shuffled = |column: &ArrayRef| take(column, &order, None).expect("rows");
        let columns = batch.columns().iter().map(shuffled).collect();
        let shuffled = RecordBatch::try_new(batch.schema(), columns).expect("a batch");
        let step = shuffled.num_rows().div_ceil(pieces);
        let at = (0..shuffled.num_rows()).step_by(step);
        let parts: Vec<_> =
            at.map(|at| shuffled.slice(at, step.min(shuffled.num_rows() - at))).collect();
        let source = MemorySource::new(batch.schema(), parts.clone()).expect("a source");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let scan = Scan::new(&source).batch_size(4000 / threads);
        let profile = pool.install(|| ReferenceProfile::fit_by(scan, &options));
        let profile = profile.expect("a profile");
        assert!(profile.to_bytes() == expected, "{threads} threads, {pieces} pieces");

        // Two parts at random become one, until there is one.
        let count = |part: RecordBatch| whole.count(&MemorySource::from(part)).expect("counts");
        let mut counted: Vec<_> = parts.into_iter().take(40).map(count).collect();
        let first: usize = counted.iter().map(|part| part.rows() as usize).sum();
        while counted.len() > 1 {
            let one = counted.swap_remove(draws.below(counted.len() as u64) as usize);
            let other = draws.below(counted.len() as u64) as usize;
            counted[other].merge(one).expect("equal cells");
        }
        let at_once = whole.count(&MemorySource::from(shuffled.slice(0, first)));
        assert!(counted[0].to_bytes() == at_once.expect("counts").to_bytes(), "{pieces} parts");
    }
}

fn labels(n: usize, label: impl FnMut(usize) -> String) -> MemorySource {
    let labels = StringArray::from_iter_values((0..n).map(label));
    MemorySource::from(batch! { "x" => labels }.expect("a batch"))
}

#[test]
fn many_labels_are_sampled_without_a_bias() {
    let options = ProfileOptions::default().labels(100);
    let mut worst: f64 = 0.0;
    for seed in 0..20 {
        // One label has a fifth of the rows, and 1,000 share the others.
        let draws = &mut Draws::new(seed, 0, 0);
        let mut draw = |n| {
            labels(n, |_| match draws.below(5) {
                0 => "frequent".into(),
                _ => format!("rare {}", draws.below(1000)),
            })
        };
        let profile = ReferenceProfile::fit(&draw(4000), &options).expect("a profile");
        let column = profile.column("x").expect("x");
        assert_eq!((column.kind(), column.cells().len()), (Kind::SampledLabels, 101));
        let Cells::Labels(known) = column.cells() else { panic!("labels") };
        assert!(known.contains(&"frequent".to_owned()));
        let counted = profile.count(&draw(4000)).expect("counts");
        let others = |p: &ReferenceProfile| p.columns()[0].counts().cells()[100] as f64;
        // The difference of two binomial counts, in standard errors. Of the 99 labels that were
        // frequent by chance there would be some 400 fewer in the second.
        let share = (others(&profile) + others(&counted)) / 8000.0;
        let z = (others(&profile) - others(&counted)) / (8000.0 * share * (1.0 - share)).sqrt();
        worst = worst.max(z.abs());
    }
    assert!(worst < 4.0, "{worst} standard errors");
}

#[test]
fn of_more_labels_than_are_counted_a_sample_is() {
    let source = labels(70_000, |i| if i % 10 == 0 { "same".into() } else { format!("id {i}") });
    let fit = |cells| {
        let options = ProfileOptions::default().labels(cells);
        ReferenceProfile::fit(&source, &options).expect("a profile")
    };
    // 63,001 labels are counted one by one.
    let profile = fit(1000);
    let column = profile.column("x").expect("x");
    assert_eq!((column.kind(), column.counts().values()), (Kind::SampledLabels, 70_000));
    assert_eq!(column.counts().cells()[1000], 70_000 - 7000 - 999);
    assert_eq!(profile.count(&source).expect("counts"), profile);
    assert_eq!(ReferenceProfile::from_bytes(&profile.to_bytes()).expect("a profile"), profile);

    let source = labels(140_000, |i| format!("id {}", i / 2));
    let options = ProfileOptions::default();
    let profile = ReferenceProfile::fit(&source, &options).expect("a profile");
    let column = profile.column("x").expect("x");
    assert_eq!((column.kind(), column.cells().len()), (Kind::SampledLabels, 1001));
    assert!(column.counts().cells()[..1000].iter().all(|count| *count == 2));
    assert_eq!(column.counts().cells()[1000], 138_000);
}

#[test]
fn a_fit_can_be_stopped() {
    let source = labels(100, |i| format!("{i}"));
    let cancel = Cancel::new();
    cancel.cancel();
    let scan = Scan::new(&source).cancel(&cancel);
    let stopped = ReferenceProfile::fit_by(scan, &ProfileOptions::default());
    assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
}
