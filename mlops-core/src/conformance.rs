//! The contracts of the seams, as functions that implementations call from their tests.
//!
//! Each takes an implementation and panics, naming the clause, where the contract is broken.

mod registry;
mod statistics;

use arrow::array::RecordBatch;

pub use registry::registry;

use crate::model::{Model, Predictions};
use crate::{
    Analyzer, Assessment, DataSource, MemorySource, Names, Plan, Rows, Scan, State, Validator,
    Verdict,
};

/// Tests the contract of [`Analyzer`] on these rows: any cutting and order of merging gives the
/// same bytes, rows settled from what is known of them count as if read, decoding gives the state back, truncated bytes are an error, and damaged
/// ones do no harm.
///
/// # Panics
/// Where the contract is broken.
pub fn analyzer<A: Analyzer>(analyzer: &A, rows: &RecordBatch) {
    let encoded = |state: &A::State| {
        let mut bytes = Vec::new();
        state.encode(&mut bytes);
        bytes
    };
    // A row keeps its number wherever the rows are cut.
    let names = Names::of(rows.schema_ref());
    let update = |state: &mut A::State, at: usize, n: usize| {
        let batch = rows.slice(at, n);
        let rows = Rows::of(&batch, names.clone(), "memory", at as u64);
        analyzer.update(state, &rows).expect("update takes rows of its columns");
    };
    let mut whole = analyzer.start();
    update(&mut whole, 0, rows.num_rows());
    let expected = encoded(&whole);

    let mut with_nothing = whole.clone();
    with_nothing.merge(analyzer.start()).expect("a state merges with a fresh one");
    update(&mut with_nothing, 0, 0);
    assert_eq!(encoded(&with_nothing), expected, "no rows change nothing");

    for step in [1, 2, 3, 7, 1000] {
        // Left to right, right to left, and as a tree.
        let parts: Vec<_> = (0..rows.num_rows())
            .step_by(step)
            .map(|at| {
                let mut part = analyzer.start();
                update(&mut part, at, step.min(rows.num_rows() - at));
                part
            })
            .collect();
        let merge = |mut a: A::State, b: A::State| {
            a.merge(b).expect("states of one analyzer merge");
            a
        };
        let forward = parts.iter().cloned().fold(analyzer.start(), merge);
        assert_eq!(encoded(&forward), expected, "parts of {step} rows, merged in order");
        let backward = parts.iter().rev().cloned().fold(analyzer.start(), merge);
        assert_eq!(encoded(&backward), expected, "parts of {step} rows, merged backwards");
        let mut level = parts;
        while level.len() > 1 {
            level = level
                .chunks(2)
                .map(|pair| pair.iter().skip(1).cloned().fold(pair[0].clone(), merge))
                .collect();
        }
        if let Some(tree) = level.pop() {
            assert_eq!(encoded(&tree), expected, "parts of {step} rows, merged as a tree");
        }
    }

    // Some of the rows, as a measurement under a condition sees them, and then the others.
    let all = Rows::of(rows, names.clone(), "memory", 0);
    let mut selections = analyzer.start();
    for kept in [0, 1, 2] {
        let mask = (0..rows.num_rows()).map(|i| Some(i % 3 == kept)).collect();
        let selected = all.select(&mask).expect("a mask of the rows' length");
        analyzer.update(&mut selections, &selected.rows()).expect("update takes selected rows");
    }
    assert_eq!(encoded(&selections), expected, "every third row, three times");

    // From what is known of the rows, where that is enough.
    for step in [1, 3, rows.num_rows().max(1)] {
        for at in (0..rows.num_rows()).step_by(step) {
            let n = step.min(rows.num_rows() - at);
            let part = rows.slice(at, n);
            let mut read = whole.clone();
            update(&mut read, at, n);
            let known = [statistics::all_of(&part)].into_iter().chain(statistics::less_of(&part));
            for known in known {
                let mut settled = whole.clone();
                let done = analyzer.settle(&mut settled, &known).expect("settle is yes or no");
                let as_if = if done { encoded(&read) } else { expected.clone() };
                assert_eq!(encoded(&settled), as_if, "settled ({done}) from {known:?}");
            }
        }
    }

    let rest = &mut expected.as_slice();
    let decoded = analyzer.decode(rest).expect("decode reads what encode wrote");
    assert!(rest.is_empty(), "decode takes all that encode wrote, {} bytes are left", rest.len());
    assert_eq!(encoded(&decoded), expected, "decode(encode(state)) = state");
    for n in 0..expected.len().min(4096) {
        let truncated = &mut &expected[..n];
        // A shorter state may be a state, but then it must not need the missing bytes.
        if let Ok(state) = analyzer.decode(truncated) {
            assert!(encoded(&state).len() <= n, "decode made up bytes beyond {n}");
        }
    }

    // Damaged bytes are an error or a state; of a state anything may be asked, any number of times.
    for at in (0..expected.len()).step_by((expected.len() / 24).max(1)) {
        for flip in [0x01, 0x40, 0xff] {
            let mut damaged = expected.clone();
            damaged[at] ^= flip;
            let Ok(mut state) = analyzer.decode(&mut damaged.as_slice()) else { continue };
            // Past 2^64 for any count up to 2^56.
            for _ in 0..10 {
                drop(state.merge(state.clone()));
            }
            drop(analyzer.update(&mut state, &Rows::of(rows, names.clone(), "memory", 0)));
            drop(analyzer.finish(state));
        }
    }

    let source = MemorySource::from(rows.clone());
    for batch_size in [1, 5, 100_000] {
        let state = Scan::new(&source).batch_size(batch_size).state(analyzer).expect("a scan");
        assert_eq!(encoded(&state), expected, "a scan with batches of {batch_size} rows");
    }
    let halves = [0, rows.num_rows() / 2, rows.num_rows()];
    let halves = halves.windows(2).map(|at| rows.slice(at[0], at[1] - at[0]));
    let known = statistics::Known(
        MemorySource::new(rows.schema(), halves).expect("slices have the schema of the whole"),
    );
    for scan in [Scan::new(&known), Scan::new(&known).without_statistics()] {
        let state = scan.state(analyzer).expect("a scan");
        assert_eq!(encoded(&state), expected, "a scan of rows that are known");
    }
    if let Some(description) = analyzer.description() {
        assert!(!description.params.is_null() || description.kind == "row_count", "parameters");
    }
    // A result may be undefined for nothing, but asking for it must not panic.
    drop(analyzer.finish(analyzer.start()));
    match analyzer.finish(whole) {
        Ok(_) | Err(crate::Error::Undefined { .. }) => {}
        Err(error) => panic!("finish gives a result, or says that it is undefined: {error}"),
    }
}

/// Tests the contract of [`DataSource`]: schema, row names, projection, batch sizes, repetition,
/// and that what is known without reading holds for what is read.
///
/// # Panics
/// Where the contract is broken.
pub fn data_source(source: &dyn DataSource) {
    let schema = source.schema();
    let partitions = source.partitions().expect("the partitions");
    let mut names = std::collections::HashSet::new();
    for (index, partition) in partitions.iter().enumerate() {
        let read = |projection: Option<&[usize]>, batch_size: usize| -> Vec<RecordBatch> {
            source
                .read(index, projection, batch_size)
                .expect("a partition opens")
                .collect::<crate::Result<_>>()
                .expect("a partition reads")
        };
        let whole = read(None, usize::MAX);
        let rows: usize = whole.iter().map(RecordBatch::num_rows).sum();
        if let Some(said) = partition.rows {
            assert_eq!(rows as u64, said, "rows of partition {index}");
        }
        let fingerprint = source.fingerprint(&partition.origin);
        assert_eq!(fingerprint, source.fingerprint(&partition.origin), "a fingerprint stays");
        for row in 0..rows as u64 {
            let fresh = names.insert((partition.origin.clone(), partition.first_row + row));
            assert!(fresh, "row {row} of partition {index} has a name of its own");
        }
        let concat = |batches: &[RecordBatch]| {
            arrow::compute::concat_batches(&schema, batches).expect("batches of the schema")
        };
        for batch_size in [1, 3, 1000] {
            let batches = read(None, batch_size);
            assert!(
                batches.iter().all(|b| b.num_rows() <= batch_size),
                "batches of at most {batch_size} rows"
            );
            assert_eq!(concat(&batches), concat(&whole), "batches of {batch_size} rows");
        }
        assert_eq!(concat(&read(None, usize::MAX)), concat(&whole), "reading twice");
        if let Some(known) = source.statistics(index, None).expect("what is known") {
            statistics::hold(&known, &concat(&whole));
        }
        let none: usize = read(Some(&[]), 10).iter().map(RecordBatch::num_rows).sum();
        assert_eq!(none, rows, "an empty projection still counts rows");
        let last = schema.fields().len().saturating_sub(1);
        if !schema.fields().is_empty() {
            let picked = [last];
            for batch in read(Some(&picked), usize::MAX) {
                assert_eq!(batch.num_columns(), 1, "a projection to one column");
                assert_eq!(
                    batch.schema_ref().field(0).name(),
                    schema.field(last).name(),
                    "the projected column"
                );
            }
        }
    }
    assert!(source.read(partitions.len(), None, 10).is_err(), "a partition that is not there");
    let known = source.statistics(partitions.len(), None);
    assert!(!matches!(known, Ok(Some(_))), "nothing is known of a partition that is not there");
    let counted = Scan::new(source).run(&crate::states::RowCount).expect("a scan");
    assert_eq!(counted, names.len() as u64, "a scan sees every row");
}

/// Tests the contract of [`Model`] on these rows, which the model can predict: one prediction for
/// every row, the same bits for any cutting into batches, columns found by name among others, and
/// a missing column named.
///
/// # Panics
/// Where the contract is broken.
pub fn model(model: &dyn Model, rows: &RecordBatch) {
    let bits = |batch: &RecordBatch| -> (Option<Vec<String>>, Vec<Option<u64>>) {
        let predictions = model.predict(batch).expect("rows of the schema are predicted");
        assert_eq!(predictions.len(), batch.num_rows(), "a prediction for every row");
        let (classes, numbers) = match predictions {
            Predictions::Values(values) => (None, values),
            Predictions::Scores { classes, scores } => (Some(classes.to_vec()), scores),
        };
        (classes, numbers.iter().map(|x| x.map(f64::to_bits)).collect())
    };
    let (classes, expected) = bits(rows);
    assert_eq!(bits(rows).1, expected, "predicting twice");
    assert_eq!(bits(&rows.slice(0, 0)).0, classes, "the kind of prediction, on no rows");
    for step in [1, 2, 3, 7, 1000] {
        let mut joined = Vec::new();
        for at in (0..rows.num_rows()).step_by(step) {
            let part = bits(&rows.slice(at, step.min(rows.num_rows() - at)));
            assert_eq!(part.0, classes, "the kind of prediction, for any rows");
            joined.extend(part.1);
        }
        assert_eq!(joined, expected, "batches of {step} rows");
    }

    let schema = model.input_schema();
    // Reversed, with a stranger in front.
    let mut columns: Vec<_> = rows
        .schema_ref()
        .fields()
        .iter()
        .zip(rows.columns())
        .map(|(field, column)| (field.name().clone(), column.clone(), true))
        .collect();
    let stranger: arrow::array::ArrayRef =
        std::sync::Arc::new(arrow::array::UInt64Array::from_iter_values(0..rows.num_rows() as u64));
    columns.push(("a column of no model".into(), stranger, true));
    columns.reverse();
    let batch_of = |columns: &[(String, arrow::array::ArrayRef, bool)]| {
        RecordBatch::try_from_iter_with_nullable(columns.iter().cloned()).expect("a batch")
    };
    assert_eq!(bits(&batch_of(&columns)).1, expected, "columns in another order, and one more");
    for field in schema.fields() {
        let name = field.name();
        let without: Vec<_> = columns.iter().filter(|c| c.0 != *name).cloned().collect();
        let error = model.predict(&batch_of(&without)).expect_err("a missing column is an error");
        assert!(error.to_string().contains(name.as_str()), "`{error}` names the column `{name}`");
    }
}

/// Tests the contract of [`Validator`] on a source that it can judge: planning only adds, any
/// number of validators ride on one scan, batches of any size give an equal assessment, a missing
/// column is a finding, and an empty source is not a pass.
///
/// # Panics
/// Where the contract is broken.
pub fn validator(validator: &dyn Validator, source: &dyn DataSource) {
    let schema = source.schema();
    let judged = |source: &dyn DataSource, batch_size: usize| -> Assessment {
        let mut plan = Plan::new();
        let judge = validator.plan(&source.schema(), &mut plan).expect("a usable validator plans");
        let measured = Scan::new(source).batch_size(batch_size).run(&plan).expect("a scan");
        let found = judge.judge(&measured).expect("bad data is a finding, not an error");
        assert_eq!(judge.judge(&measured).expect("a judge"), found, "a judge judges again");
        found
    };
    let expected = judged(source, usize::MAX);
    for batch_size in [1, 3, 1000] {
        assert_eq!(judged(source, batch_size), expected, "batches of {batch_size} rows");
    }

    let mut shared = Plan::new();
    let before = shared.add(crate::states::RowCount);
    let first = validator.plan(&schema, &mut shared).expect("a plan that has members already");
    let again = validator.plan(&schema, &mut shared).expect("the same plan again");
    let measured = Scan::new(source).run(&shared).expect("a scan");
    assert!(measured.get(&before).is_ok(), "what was planned before is still measured");
    for judge in [first, again] {
        let found = judge.judge(&measured).expect("a judge on a shared scan");
        assert_eq!(found, expected, "riding on one scan with others");
    }

    let empty = MemorySource::new(schema.clone(), []).expect("no batches are a source");
    assert_ne!(judged(&empty, 10).verdict, Verdict::Pass, "an empty source is not a pass");
    for missing in schema.fields() {
        let left: Vec<_> = schema.fields().iter().filter(|f| *f != missing).cloned().collect();
        let left = std::sync::Arc::new(arrow::datatypes::Schema::new(left));
        let narrower = MemorySource::new(left, []).expect("no batches are a source");
        // A finding if the validator asks for it, else nothing: either way no error.
        assert_ne!(judged(&narrower, 10).verdict, Verdict::Pass, "no rows and no `{missing}`");
    }
    let nothing = MemorySource::new(std::sync::Arc::new(arrow::datatypes::Schema::empty()), []);
    assert_ne!(judged(&nothing.expect("a source"), 10).verdict, Verdict::Pass, "no columns");
}

/// Tests of the contract of [`AlertSink`](crate::alert::AlertSink) what can be seen from outside:
/// it takes hostile words, the same alert twice, and alerts from several threads.
///
/// # Panics
/// Where the contract is broken.
pub fn alert_sink(sink: &dyn crate::alert::AlertSink) {
    use crate::alert::Alert;
    use crate::{Assessment, Finding, Severity, Timestamp, Verdict};

    let at = Timestamp::from_millis(1_769_860_800_000);
    let plain = Alert::new("conformance", Severity::Info, "a title", "a summary", at);
    sink.send(&plain).expect("a plain alert arrives");
    sink.send(&plain).expect("the same alert again arrives");
    let hostile = "\"quotes\" <b>\n\r\0\u{1b}[2J\u{202e} 🏦 ".repeat(100);
    let finding = Finding::new(&hostile, &hostile, Verdict::Fail, &hostile, &hostile);
    let assessment = Assessment::new(&hostile, u64::MAX, vec![finding]);
    let alert = Alert::from_assessment(&assessment, at).expect("a fail alerts");
    sink.send(&alert.subject(&hostile).label(&hostile, &hostile)).expect("any words arrive");
    std::thread::scope(|scope| {
        for i in 0..4 {
            let alert = plain.clone().label("thread", i.to_string());
            scope.spawn(move || sink.send(&alert).expect("alerts of several threads arrive"));
        }
    });
}

/// Tests the contract of [`DriftDetector`](crate::DriftDetector) on the reference that it was
/// fitted on: data don't drift from themselves however they are cut, an empty source is no pass,
/// and a missing column or one of another type is a finding, not an error.
///
/// # Panics
/// Where the contract is broken.
pub fn drift_detector(detector: &dyn crate::DriftDetector, reference: &RecordBatch) {
    use crate::DriftDetectorExt as _;

    let source = MemorySource::from(reference.clone());
    let itself = detector.detect(&source).expect("a detector compares its reference");
    assert!(!itself.verdict.is_fail(), "data don't drift from themselves: {itself}");
    assert_eq!(itself.rows, reference.num_rows() as u64, "the rows that were looked at");
    for finding in &itself.findings {
        assert!(!finding.check.is_empty() && !finding.subject.is_empty(), "names: {finding:?}");
        assert!(!finding.expected.is_empty() && !finding.observed.is_empty(), "words: {finding:?}");
    }

    let step = (reference.num_rows() / 3).max(1);
    let pieces: Vec<_> = (0..reference.num_rows())
        .step_by(step)
        .map(|at| reference.slice(at, step.min(reference.num_rows() - at)))
        .rev()
        .collect();
    let shuffled = MemorySource::new(reference.schema(), pieces).expect("pieces of one schema");
    let again = detector.detect(&shuffled).expect("a detector compares pieces");
    assert_eq!(again, itself, "the same findings however the rows come");

    let mut plan = Plan::new();
    let twice = [(); 2].map(|()| detector.plan(&reference.schema(), &mut plan).expect("a plan"));
    let measured = Scan::new(&source).run(&plan).expect("one scan for both");
    for judge in &twice {
        for _ in 0..2 {
            let judged = judge.judge(&measured).expect("a judge may be used again");
            assert_eq!(judged, itself, "the same findings on a shared scan");
        }
    }

    let nothing = MemorySource::from(reference.slice(0, 0));
    let empty = detector.detect(&nothing).expect("an empty source is no error");
    assert!(!empty.verdict.is_pass(), "nothing was measured on an empty source: {empty}");

    let no_columns = MemorySource::from(reference.project(&[]).expect("no columns"));
    let missing = detector.detect(&no_columns).expect("a missing column is a finding");
    assert!(!missing.verdict.is_pass(), "nothing was measured without columns: {missing}");

    let other = arrow::datatypes::DataType::Binary;
    let fields =
        reference.schema().fields().iter().map(|f| (f.name().clone(), other.clone())).fold(
            arrow::datatypes::SchemaBuilder::new(),
            |mut fields, (name, data_type)| {
                fields.push(arrow::datatypes::Field::new(name, data_type, true));
                fields
            },
        );
    let binary = arrow::array::new_null_array(&other, reference.num_rows());
    let columns = vec![binary; reference.num_columns()];
    let changed = RecordBatch::try_new(fields.finish().into(), columns).expect("a batch");
    let changed = detector.detect(&MemorySource::from(changed)).expect("a type is a finding");
    assert!(!changed.verdict.is_pass(), "another type was compared: {changed}");
}
