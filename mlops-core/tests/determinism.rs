//! The same bits for any threads, batch size, partitioning and order of merging, on nasty data.

use mlops_core::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray, UInt32Array,
};
use mlops_core::arrow::compute::{concat, concat_batches, take_record_batch};
use mlops_core::states::{
    CategoryCounts, CentralMoments, ConfusionCounts, Distinct, Histogram, NumericSummary,
    Quantiles, RowCount,
};
use mlops_core::{
    Analyzer, Description, MemorySource, Result, Rows, Scan, State, batch, conformance,
};

/// A generator that is the same everywhere (splitmix64).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// Cancelling sums, NaN, ±∞, −0, huge, tiny, subnormal, ties and nulls.
fn nasty(rows: usize, seed: u64) -> RecordBatch {
    let mut draw = Draw(seed);
    let special = [
        0.0,
        -0.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        5e-324,
        -5e-324,
        1e300,
        -1e300,
        1e16,
        -1e16,
        1.0,
        1.0,
        0.1,
        -0.3,
    ];
    let any = |draw: &mut Draw| match draw.below(12) {
        0 => None,
        1..5 => Some(special[draw.below(special.len())]),
        5 => Some(f64::from_bits(draw.next())),
        _ => Some((draw.next() >> 11) as f64 / 1e9 - 4e6),
    };
    let x: Float64Array = (0..rows).map(|_| any(&mut draw)).collect();
    let tame: Float64Array =
        (0..rows).map(|_| 1e9 + (draw.next() >> 40) as f64 / 1024.0).map(Some).collect();
    let label = |draw: &mut Draw| (draw.below(9) > 0).then(|| draw.below(2).to_string());
    let y: StringArray = (0..rows).map(|_| label(&mut draw)).collect();
    let guess: BooleanArray = (0..rows).map(|_| Some(draw.below(2) == 1)).collect();
    let city: StringArray =
        (0..rows).map(|_| (draw.below(20) > 0).then(|| format!("c{}", draw.below(60)))).collect();
    batch! { "x" => x, "tame" => tame, "y" => y, "guess" => guess, "city" => city }
        .expect("columns of one length")
}

fn bytes(state: &impl State) -> Vec<u8> {
    let mut out = Vec::new();
    state.encode(&mut out);
    out
}

/// Noise, cut and changed bytes: an error or a state that can be used, never a panic.
fn hostile<A: Analyzer>(analyzer: &A, encoded: &[u8], draw: &mut Draw) {
    for _ in 0..300 {
        let mut bytes = encoded.to_vec();
        for _ in 0..=draw.below(3) {
            if !bytes.is_empty() {
                let at = draw.below(bytes.len());
                bytes[at] = [0, 1, 0x7f, 0x80, 0xff, draw.next() as u8][draw.below(6)];
            }
        }
        bytes.truncate(bytes.len() - draw.below(4).min(bytes.len()));
        if draw.below(10) == 0 {
            for byte in &mut bytes {
                *byte = draw.next() as u8;
            }
        }
        if let Ok(mut state) = analyzer.decode(&mut bytes.as_slice()) {
            assert!(state.size() <= 64 * bytes.len() + 1024, "{} bytes", state.size());
            let twin = state.clone();
            let merged = state.merge(twin);
            let _ = merged.and_then(|()| analyzer.finish(state));
        }
    }
}

/// One analyzer over everything that the house can cut: threads, batches, partitions, order.
fn check<A: Analyzer>(analyzer: &A, rows: &RecordBatch) {
    conformance::analyzer(analyzer, &rows.slice(0, rows.num_rows().min(150)));
    let mut whole = analyzer.start();
    analyzer.update(&mut whole, &Rows::new(rows)).expect("an update");
    let expected = bytes(&whole);

    let mut draw = Draw(7);
    if expected.len() < 4096 {
        hostile(analyzer, &expected, &mut draw);
    }
    let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, draw.below(i + 1));
    }
    let shuffled = take_record_batch(rows, &UInt32Array::from(order)).expect("a permutation");
    let mut parts = Vec::new();
    let mut at = 0;
    while at < shuffled.num_rows() {
        let n = (1 + draw.below(900)).min(shuffled.num_rows() - at);
        parts.push(shuffled.slice(at, n));
        at += n;
    }
    let source = MemorySource::new(shuffled.schema(), parts.clone()).expect("one schema");
    for threads in [1, 2, 7] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        for batch_size in [1, 64, 1000, 16 * 1024] {
            let scan = Scan::new(&source).batch_size(batch_size);
            let state = pool.install(|| scan.state(analyzer)).expect("a scan");
            assert_eq!(bytes(&state), expected, "{threads} threads, batches of {batch_size}");
        }
    }
    for _ in 0..3 {
        // Any two that are left, until one is.
        let mut states: Vec<_> = parts
            .iter()
            .map(|part| {
                let mut state = analyzer.start();
                // A copy that shares no buffer, and a slice.
                let copy = concat_batches(&part.schema(), [part]).expect("a copy");
                analyzer.update(&mut state, &Rows::new(&copy)).expect("an update");
                state
            })
            .collect();
        while states.len() > 1 {
            let one = states.swap_remove(draw.below(states.len()));
            let at = draw.below(states.len());
            states[at].merge(one).expect("a merge");
        }
        let last = states.pop().unwrap_or_else(|| analyzer.start());
        assert_eq!(bytes(&last), expected, "a random tree of merges");
    }
}

fn all(rows: &RecordBatch) {
    check(&RowCount, rows);
    check(&NumericSummary::new("x"), rows);
    check(&NumericSummary::new("tame"), rows);
    check(&CentralMoments::new("tame", 1.0).expect("a finite centre"), rows);
    let edges = vec![-1e16, -1.0, 0.0, 0.1, 1.0, 1e6, 1e300];
    check(&Histogram::new("x", edges).expect("edges"), rows);
    check(&Histogram::new("x", vec![]).expect("no edges"), rows);
    for column in ["x", "tame"] {
        check(&Quantiles::new(column), rows);
        check(&Quantiles::new(column).with_cap(50), rows);
        check(&Distinct::new(column), rows);
        check(&Distinct::new(column).with_cap(30), rows);
    }
    check(&Distinct::new("city"), rows);
    check(&CategoryCounts::new("city"), rows);
    check(&CategoryCounts::new("city").with_cap(7).expect("a cap"), rows);
    check(&ConfusionCounts::new("y", "guess", "1"), rows);
    check(&ConfusionCounts::new("y", "guess", "1").with_negative("0"), rows);
}

#[test]
fn nasty_rows() {
    all(&nasty(3000, 1));
}

#[test]
fn few_rows() {
    for n in [0, 1, 2] {
        all(&nasty(n, 2));
    }
}

#[test]
fn nothing_but_nulls() {
    let nulls = |n| Float64Array::from(vec![None::<f64>; n]);
    let text = StringArray::from(vec![None::<&str>; 40]);
    let rows = batch! {
        "x" => nulls(40), "tame" => nulls(40), "y" => text.clone(),
        "guess" => BooleanArray::from(vec![None::<bool>; 40]), "city" => text,
    };
    all(&rows.expect("columns of one length"));
}

/// The first column twice, so that a result is not a matter of luck with one array's layout.
#[test]
fn a_slice_is_a_copy() -> Result<()> {
    let rows = nasty(500, 3);
    let slice = rows.slice(37, 301);
    let copied: Vec<ArrayRef> =
        slice.columns().iter().map(|c| concat(&[c.as_ref()])).collect::<Result<_, _>>()?;
    let copy = RecordBatch::try_new(slice.schema(), copied)?;
    let analyzer = (NumericSummary::new("x"), CategoryCounts::new("city"));
    let of = |rows: &RecordBatch| -> Result<Vec<u8>> {
        let mut state = analyzer.start();
        analyzer.update(&mut state, &Rows::new(rows))?;
        Ok(bytes(&state))
    };
    assert_eq!(of(&slice)?, of(&copy)?);
    Ok(())
}

#[test]
fn descriptions_can_be_read_back() -> Result<()> {
    let histogram = Histogram::new("x", vec![-0.0, 1.5])?;
    let written = histogram.description().expect("a description");
    let text = serde_json::to_string(&written).expect("JSON");
    let read: Description = serde_json::from_str(&text).expect("a description");
    assert_eq!(read.parse::<Histogram>()?, histogram);
    let hostile = Description::new(
        "histogram",
        1,
        &serde_json::json!({
            "column": "x", "edges": [2.0, 1.0]
        }),
    );
    assert!(hostile.parse::<Histogram>().is_err());
    Ok(())
}
