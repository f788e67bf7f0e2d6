//! Keys beside a hash map, over types, nulls, cuttings, merges and memory limits.

use std::collections::HashMap;

use arrow::array::{
    Array, ArrayRef, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray,
    FixedSizeListArray, Float32Array, Float64Array, Int8Array, Int32Array, Int64Array,
    LargeStringArray, ListArray, RecordBatch, StringArray, StringViewArray, StructArray,
    TimestampNanosecondArray, UInt32Array, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use mlops_core::{DataSource, DataSourceExt, MemorySource, Names, Scan, State, conformance};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::failing_rows::FailingRows;

/// The same, so that keys collide.
fn with_mask(mut keys: Keys, mask: u64) -> Keys {
    let Shared { form, missing, budget, .. } = &*keys.shared;
    let (form, missing, budget) = (form.clone(), *missing, budget.clone());
    keys.shared = Shared { form, missing, budget, mask }.into();
    keys
}

/// Columns of 13 types, of one seed: small numbers that repeat, and null for 0.
fn columns(cells: &[u8], plain: &[i64]) -> Vec<(&'static str, ArrayRef)> {
    let some = |c: u8| (c != 0).then_some(c);
    let text = |c: u8| ["", "a", "ab", "\0", "ä", "a longer text than fits a view"][c as usize % 6];
    let float = |c: u8| [0.0, -0.0, f64::NAN, -f64::NAN, 1.5, f64::INFINITY][c as usize % 6];
    let ints = || cells.iter().map(|&c| some(c).map(i64::from));
    let texts = || cells.iter().map(|&c| some(c).map(text));
    let dictionary: DictionaryArray<Int32Type> = texts().collect();
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(
        cells.iter().map(|&c| some(c).map(|c| (0..c % 3).map(|i| some(i).map(i64::from)))),
    );
    let item = Arc::new(Field::new_list_field(DataType::Int64, true));
    let twins: Int64Array = cells.iter().flat_map(|&c| [Some(i64::from(c % 2)), None]).collect();
    let twins = FixedSizeListArray::new(item, 2, Arc::new(twins), None);
    let inner: ArrayRef =
        Arc::new(cells.iter().map(|&c| some(c).map(float)).collect::<Float32Array32>().0);
    let field = Arc::new(Field::new("f", DataType::Float32, true));
    let nulls: NullBuffer = cells.iter().map(|&c| c != 1).collect();
    let structs = StructArray::from((vec![(field, inner)], nulls.inner().clone().into_inner()));
    vec![
        ("i64", Arc::new(ints().collect::<Int64Array>())),
        ("plain", Arc::new(Int64Array::from(plain.to_vec()))),
        ("i8", Arc::new(cells.iter().map(|&c| some(c).map(|c| c as i8)).collect::<Int8Array>())),
        ("u32", Arc::new(cells.iter().map(|&c| some(c).map(u32::from)).collect::<UInt32Array>())),
        (
            "u64",
            Arc::new(
                cells
                    .iter()
                    .map(|&c| some(c).map(|c| u64::MAX - u64::from(c)))
                    .collect::<UInt64Array>(),
            ),
        ),
        ("f64", Arc::new(cells.iter().map(|&c| some(c).map(float)).collect::<Float64Array>())),
        ("bool", Arc::new(cells.iter().map(|&c| some(c).map(|c| c > 3)).collect::<BooleanArray>())),
        ("date", Arc::new(cells.iter().map(|&c| some(c).map(i32::from)).collect::<Date32Array>())),
        ("time", Arc::new(ints().collect::<TimestampNanosecondArray>())),
        (
            "decimal",
            Arc::new(cells.iter().map(|&c| some(c).map(i128::from)).collect::<Decimal128Array>()),
        ),
        ("text", Arc::new(texts().collect::<StringArray>())),
        ("large", Arc::new(texts().collect::<LargeStringArray>())),
        ("view", Arc::new(texts().collect::<StringViewArray>())),
        ("bytes", Arc::new(texts().map(|t| t.map(str::as_bytes)).collect::<BinaryViewArray>())),
        ("dictionary", Arc::new(dictionary)),
        ("list", Arc::new(lists)),
        ("twins", Arc::new(twins)),
        ("struct", Arc::new(structs)),
    ]
}

struct Float32Array32(Float32Array);

impl FromIterator<Option<f64>> for Float32Array32 {
    fn from_iter<I: IntoIterator<Item = Option<f64>>>(values: I) -> Self {
        Self(values.into_iter().map(|v| v.map(|v| v as f32)).collect())
    }
}

fn batch_of(cells: &[u8], plain: &[i64]) -> RecordBatch {
    let columns = columns(cells, plain);
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)))
        .unwrap()
}

/// What stands there, as it is shown, one text for all NaN and for both zeros.
fn shown(array: &ArrayRef, row: usize) -> Value {
    if array.data_type().is_nested() && array.is_valid(row) {
        let options = FormatOptions::default().with_null("null");
        let text = ArrayFormatter::try_new(array, &options).unwrap().value(row).to_string();
        return json!(text.replace("-0.0", "0.0").replace("-NaN", "NaN"));
    }
    match crate::failing_rows::value_at(array, row).unwrap() {
        Value::Number(n) if n.as_f64() == Some(0.0) && n.is_f64() => json!(0.0),
        Value::String(s) if s == "-NaN" => json!("NaN"),
        Value::String(s) => json!(s.replace("-0.0", "0.0").replace("-NaN", "NaN")),
        other => other,
    }
}

/// For every row its key.
fn oracle(batch: &RecordBatch, names: &[&str], missing: Missing) -> Vec<Option<String>> {
    let columns: Vec<_> = names.iter().map(|n| batch.column_by_name(n).unwrap()).collect();
    (0..batch.num_rows())
        .map(|row| {
            let nulls =
                columns.iter().filter(|c| c.logical_nulls().is_some_and(|n| n.is_null(row)));
            let nulls = nulls.count();
            let without = match missing {
                Missing::Any => nulls > 0,
                Missing::All => nulls == columns.len(),
                Missing::Never => false,
            };
            let key: Vec<_> = columns.iter().map(|c| shown(c, row)).collect();
            (!without).then(|| Value::from(key).to_string())
        })
        .collect()
}

fn check(found: &KeyCounts, batch: &RecordBatch, names: &[&str], missing: Missing) {
    let keys = oracle(batch, names, missing);
    let mut counts: HashMap<&str, u64> = HashMap::new();
    for key in keys.iter().flatten() {
        *counts.entry(key).or_default() += 1;
    }
    assert_eq!(found.rows, batch.num_rows() as u64);
    assert_eq!(found.keyed, keys.iter().flatten().count() as u64);
    assert_eq!(found.distinct, counts.len() as u64);
    assert_eq!(found.unique, counts.values().filter(|&&n| n == 1).count() as u64);
    let mut frequencies = std::collections::BTreeMap::new();
    for &count in counts.values() {
        *frequencies.entry(count).or_insert(0u64) += 1;
    }
    assert_eq!(found.frequencies, frequencies);
    let again: Vec<bool> =
        keys.iter().map(|k| k.as_deref().is_some_and(|k| counts[k] > 1)).collect();
    assert_eq!(found.repeated_rows, again.iter().filter(|&&b| b).count() as u64);
    let rows: Vec<u64> = found.repeated_samples().iter().map(|s| s.row.row).collect();
    let expected: Vec<u64> =
        (0..).zip(&again).filter(|(_, b)| **b).map(|(i, _)| i).take(FailingRows::KEPT).collect();
    assert_eq!(rows, expected);
    for sample in found.repeated_samples() {
        let values = Value::from(sample.values).to_string().replace("-NaN", "NaN");
        assert_eq!(Some(values), keys[sample.row.row as usize]);
    }
    let repeated = found.repeated(&Rows::new(batch)).unwrap();
    assert_eq!(repeated.iter().collect::<Vec<_>>(), again);
    let most = counts.values().max().copied().unwrap_or(0);
    assert_eq!(found.most_common.count, most);
    assert_eq!(found.most_common.ties, counts.values().filter(|&&n| n == most).count() as u64);
    let listed = found.listed.as_ref().expect("few keys");
    let of_list: HashMap<String, u64> = listed
        .keys
        .iter()
        .map(|key| Value::from(key.clone()).to_string().replace("-NaN", "NaN"))
        .zip(listed.counts.iter().copied())
        .collect();
    let expected: HashMap<String, u64> =
        counts.iter().map(|(k, n)| ((*k).to_owned(), *n)).collect();
    assert_eq!(of_list, expected);
    if let Some(array) = &listed.array {
        assert_eq!(array.len(), listed.keys.len());
    }
    for key in &found.most_common.keys {
        let key = Value::from(key.clone()).to_string().replace("-NaN", "NaN");
        assert_eq!(expected.get(&key), Some(&most));
    }
}

fn bytes_of(state: &KeysState) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.encode(&mut bytes);
    bytes
}

const KEY_SETS: [&[&str]; 23] = [
    &["i64"],
    &["plain"],
    &["i8"],
    &["u32"],
    &["u64"],
    &["f64"],
    &["bool"],
    &["date"],
    &["time"],
    &["decimal"],
    &["text"],
    &["large"],
    &["view"],
    &["bytes"],
    &["dictionary"],
    &["list"],
    &["twins"],
    &["struct"],
    &["i64", "text"],
    &["f64", "dictionary", "bool"],
    &["plain", "view"],
    &["struct", "list", "bytes"],
    &["decimal", "date"],
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn agree_with_a_hash_map(
        cells in prop::collection::vec(0u8..8, 0..60),
        spread in prop_oneof![Just(0i64), Just(1), Just(3), Just(1 << 20), Just(i64::MAX / 64)],
        set in 0..KEY_SETS.len(),
        missing in prop_oneof![Just(Missing::Any), Just(Missing::All), Just(Missing::Never)],
        cut in 1usize..20,
        limit in prop_oneof![Just(0u64), Just(2000), Just(1 << 30)],
        mask in prop_oneof![Just(u64::MAX), Just(3 << 62)],
        order in any::<u64>(),
    ) {
        let plain: Vec<i64> =
            (0i64..).zip(&cells).map(|(i, &c)| i.wrapping_mul(spread) + i64::from(c == 3)).collect();
        let batch = batch_of(&cells, &plain);
        let names = KEY_SETS[set];
        let whole = with_mask(Keys::new(batch.schema_ref(), names, missing).unwrap(), mask);
        let limited = whole.clone().memory_limit(limit);
        let source = MemorySource::from(batch.clone());

        let expected = Scan::new(&source).state(&whole).unwrap();
        check(&whole.finish(expected.clone()).unwrap(), &batch, names, missing);
        let expected = bytes_of(&expected);

        // Pieces, in any order, with memory or without.
        let mut parts: Vec<KeysState> = (0..batch.num_rows())
            .step_by(cut)
            .map(|at| {
                let piece = batch.slice(at, cut.min(batch.num_rows() - at));
                let mut state = limited.start();
                let rows = Rows::of(&piece, Names::of(&batch.schema()), "memory", at as u64);
                limited.update(&mut state, &rows).unwrap();
                state
            })
            .collect();
        let mut order = order;
        while parts.len() > 1 {
            order = order.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let a = parts.swap_remove((order >> 33) as usize % parts.len());
            let b = (order >> 40) as usize % parts.len();
            parts[b].merge(a).unwrap();
        }
        let state = parts.pop().unwrap_or_else(|| limited.start());
        prop_assert_eq!(&bytes_of(&state), &expected);
        let found = limited.finish(state).unwrap();
        check(&found, &batch, names, missing);
        prop_assert!(limit > 0 || found.keyed == 0 || cells.len() < 2 || found.spilled_bytes > 0
            || found.unique < found.keyed);

        // Of two halves, one of them read back from bytes, and from an envelope's worth of both.
        let half = batch.num_rows() / 2;
        let state_of = |from: usize, n: usize| {
            let mut state = whole.start();
            let rows = batch.slice(from, n);
            let rows = Rows::of(&rows, Names::of(&batch.schema()), "memory", from as u64);
            whole.update(&mut state, &rows).unwrap();
            state
        };
        let mut one = whole.decode(&mut bytes_of(&state_of(0, half)).as_slice()).unwrap();
        one.merge(state_of(half, batch.num_rows() - half)).unwrap();
        prop_assert_eq!(&bytes_of(&one), &expected);
        check(&whole.finish(one).unwrap(), &batch, names, missing);

        // All keys kept: those of the first half among all.
        let kept = whole.clone().keep_all();
        let found = kept.finish(state_of(0, half)).unwrap();
        let keys = oracle(&batch, names, missing);
        let known: std::collections::HashSet<_> = keys[..half].iter().flatten().collect();
        let expected: Vec<bool> =
            keys.iter().map(|k| k.as_ref().is_some_and(|k| known.contains(k))).collect();
        let contained = found.contains(&Rows::new(&batch)).unwrap();
        prop_assert_eq!(contained.iter().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn the_contract_holds_for_every_type() {
    let cells: Vec<u8> = (0..40).map(|i| (i * 7 % 11) as u8).collect();
    let plain: Vec<i64> = (0..40).map(|i| [i64::MIN, i64::MAX, 0, i][i as usize % 4]).collect();
    let batch = batch_of(&cells, &plain);
    for names in [&["i64"][..], &["plain"], &["f64"], &["text"], &["view"], &["struct", "list"]] {
        for missing in [Missing::Any, Missing::Never] {
            let keys = Keys::new(batch.schema_ref(), names, missing).unwrap();
            conformance::analyzer(&keys, &batch);
            conformance::analyzer(&keys, &batch.slice(0, 0));
            conformance::analyzer(&keys.memory_limit(0), &batch.slice(3, 9));
        }
    }
}

type Shape = Box<dyn Fn(i64) -> i64>;

#[test]
fn many_rows_of_every_shape() {
    let n = 200_000i64;
    let scrambled = |i: i64| (i as u64).wrapping_mul(0x2545_f491_4f6c_dd1d) as i64;
    let shapes: [(&str, Shape); 8] = [
        ("ascending", Box::new(|i| i)),
        ("ascending twice", Box::new(move |i| i % (n / 2))),
        ("dense", Box::new(move |i| (i * 7919) % n)),
        ("dense, repeated", Box::new(move |i| (i * 7919) % (n / 2 + 1))),
        ("few", Box::new(move |i| (i * i) % 1000)),
        ("one", Box::new(|_| -5)),
        ("spread", Box::new(scrambled)),
        ("spread, repeated", Box::new(move |i| scrambled(i / 3))),
    ];
    for (name, shape) in shapes {
        for nulls in [false, true] {
            let values: Int64Array =
                (0..n).map(|i| (!nulls || i % 10 != 3).then(|| shape(i))).collect();
            let mut counts: HashMap<i64, u64> = HashMap::new();
            for value in values.iter().flatten() {
                *counts.entry(value).or_default() += 1;
            }
            let texts: StringArray = values.iter().map(|v| v.map(|v| v.to_string())).collect();
            let first: Vec<u64> = (0..)
                .zip(&values)
                .filter(|(_, v)| v.is_some_and(|v| counts[&v] > 1))
                .map(|(i, _)| i)
                .take(20)
                .collect();
            let batch = mlops_core::batch! { "x" => values, "t" => texts }.unwrap();
            for column in ["x", "t"] {
                let keys = Keys::new(batch.schema_ref(), &[column], Missing::Any).unwrap();
                let found = MemorySource::from(batch.clone()).measure(&keys).unwrap();
                assert_eq!(found.distinct, counts.len() as u64, "{name} {column}");
                let once = counts.values().filter(|n| **n == 1).count() as u64;
                assert_eq!(found.unique, once, "{name} {column}");
                let rows: u64 = found.frequencies.iter().map(|(n, keys)| n * keys).sum();
                assert_eq!(rows, found.keyed, "{name} {column}");
                let samples: Vec<_> = found.repeated_samples().iter().map(|s| s.row.row).collect();
                assert_eq!(samples, first, "{name} {column}");
            }
        }
    }
}

#[test]
fn keys_beyond_the_limit_go_to_a_file_and_it_is_said() {
    let n = 30_000i64;
    let x: Int64Array = (0..n).map(|i| (i * 7919) % (n - 10)).collect();
    let t: StringArray = x.values().iter().map(|v| Some(format!("key number {v}"))).collect();
    let batch = mlops_core::batch! { "x" => x, "t" => t }.unwrap();
    let source = MemorySource::from(batch.clone());
    let directory = tempfile::tempdir().unwrap();
    for names in [&["x"][..], &["t"], &["x", "t"]] {
        let keys = Keys::new(batch.schema_ref(), names, Missing::All).unwrap();
        let in_memory = source.scan().batch_size(1000).state(&keys).unwrap();
        let limited = keys.clone().memory_limit(100_000).spill_to(directory.path());
        let state = source.scan().batch_size(1000).state(&limited).unwrap();
        assert!(!state.spilled.is_empty());
        assert_eq!(bytes_of(&state), bytes_of(&in_memory));
        let (a, b) = (keys.finish(in_memory).unwrap(), limited.finish(state).unwrap());
        assert_eq!((a.spilled_bytes, b.spilled_bytes > 100_000), (0, true));
        assert_eq!((a.distinct, a.unique), (n as u64 - 10, n as u64 - 20));
        assert_eq!(a.frequencies, b.frequencies);
        assert_eq!(a.most_common, b.most_common);
        assert_eq!(a.repeated_samples(), b.repeated_samples());
        let rows = Rows::new(&batch);
        assert_eq!(a.repeated(&rows).unwrap(), b.repeated(&rows).unwrap());
        assert!(b.to_string().contains("MiB in a temporary file"), "{b}");
    }
    // Nothing is left behind.
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn repeated_keys_are_folded_not_spilled() {
    let x: Int64Array = (0..100_000).map(|i| i % 50).collect();
    let source = MemorySource::from(mlops_core::batch! { "x" => x }.unwrap());
    let keys = Keys::new(&source.schema(), &["x"], Missing::Any).unwrap().memory_limit(100_000);
    let state = source.scan().batch_size(5000).state(&keys).unwrap();
    assert!(State::size(&state) < 100_000);
    let found = keys.finish(state).unwrap();
    assert_eq!((found.spilled_bytes, found.distinct, found.keyed), (0, 50, 100_000));
    assert_eq!(found.frequencies, [(2000, 50)].into());
}

#[test]
fn a_directory_that_is_not_there_is_an_error_that_names_it() {
    let batch = mlops_core::batch! { "x" => Int64Array::from(vec![1, 2]) }.unwrap();
    let keys = Keys::new(batch.schema_ref(), &["x"], Missing::Any).unwrap();
    let keys = keys.memory_limit(0).spill_to("/not/there");
    let error = MemorySource::from(batch).measure(&keys).unwrap_err().to_string();
    assert!(error.contains("/not/there") && error.contains("memory limit"), "{error}");
}

#[test]
fn what_derives_from_the_counts() {
    let x = StringArray::from(vec![Some("a"), Some("b"), Some("a"), None, Some("c"), Some("c")]);
    let batch = mlops_core::batch! { "x" => x }.unwrap();
    let keys = Keys::new(batch.schema_ref(), &["x"], Missing::All).unwrap();
    let found = MemorySource::from(batch).measure(&keys).unwrap();
    assert_eq!((found.rows, found.keyed, found.all_null), (6, 5, 1));
    assert_eq!(found.uniqueness(), Some(0.2));
    assert_eq!(found.distinctness(), Some(0.6));
    assert_eq!(found.unique_value_ratio(), Some(1.0 / 3.0));
    let expected = -(0.4 * 0.4f64.ln() * 2.0 + 0.2 * 0.2f64.ln());
    assert!((found.entropy().unwrap() - expected).abs() < 1e-15);
    for n in 1..1000 {
        assert_eq!(counts::entropy(std::iter::once((n, 1))), Some(0.0), "{n} rows of one key");
    }
    let most = &found.most_common;
    assert_eq!((most.count, most.ties), (2, 2));
    assert_eq!(most.keys, [[json!("a")], [json!("c")]]);
    let listed = found.listed.unwrap();
    assert_eq!(listed.counts, [2, 1, 2]);
    let texts: ArrayRef = Arc::new(LargeStringArray::from(vec!["a", "b", "c"]));
    assert_eq!(listed.array.as_ref(), Some(&texts));
}

#[test]
fn values_compare_across_physical_types() {
    let parents = mlops_core::batch! {
        "id" => Int64Array::from(vec![1, 2, 3]),
        "name" => StringArray::from(vec!["a", "b", "c"]),
    }
    .unwrap();
    let keys = Keys::new(parents.schema_ref(), &["id", "name"], Missing::Any).unwrap().keep_all();
    let known = MemorySource::from(parents).measure(&keys).unwrap();
    let names: DictionaryArray<Int32Type> = ["a", "c", "c", "d"].into_iter().collect();
    let children = mlops_core::batch! {
        "parent" => Int32Array::from(vec![Some(1), Some(2), Some(3), None]),
        "called" => names,
    }
    .unwrap();
    let columns = ["parent".to_owned(), "called".to_owned()];
    let found = known.contains_columns(&Rows::new(&children), &columns).unwrap();
    assert_eq!(found.iter().collect::<Vec<_>>(), [true, false, true, false]);
    assert!(known.contains_columns(&Rows::new(&children), &columns[..1]).is_err());
}

#[test]
fn only_the_rows_under_a_condition() {
    let batch = mlops_core::batch! {
        "x" => Int64Array::from(vec![Some(1), Some(1), None, Some(2), Some(2), None]),
    }
    .unwrap();
    let keys = Keys::new(batch.schema_ref(), &["x"], Missing::Any).unwrap();
    let mut state = keys.start();
    let under = BooleanArray::from(vec![true, false, true, true, true, false]);
    let selected = Rows::new(&batch).select(&under).unwrap();
    keys.update(&mut state, &selected.rows()).unwrap();
    let found = keys.finish(state).unwrap();
    assert_eq!((found.rows, found.any_null, found.keyed), (4, 1, 3));
    let rows: Vec<_> = found.repeated_samples().iter().map(|s| s.row.row).collect();
    assert_eq!((found.distinct, rows), (2, vec![3, 4]));
}

#[test]
fn hostile_states_are_errors() {
    let batch = mlops_core::batch! { "t" => StringArray::from(vec!["a", "a", "b"]) }.unwrap();
    let keys = Keys::new(batch.schema_ref(), &["t"], Missing::Any).unwrap();
    let mut state = keys.start();
    keys.update(&mut state, &Rows::new(&batch)).unwrap();
    let good = bytes_of(&state);
    assert!(keys.decode(&mut good.as_slice()).is_ok());
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] = bad[at].wrapping_add(1);
        // A row's number or name may be any, and an `a` another letter only where both are.
        if let Ok(state) = keys.decode(&mut bad.as_slice()) {
            assert_eq!(bytes_of(&state), bad, "byte {at}");
        }
    }
    let other = Keys::new(batch.schema_ref(), &["t"], Missing::Never).unwrap();
    assert!(state.merge(other.start()).is_err());
}
