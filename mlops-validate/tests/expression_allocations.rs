//! Judging a record by an expression allocates nothing.
#![expect(unsafe_code, reason = "a counting allocator is one; it only counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use mlops_core::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use mlops_validate::{Expression, Value};

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_record_allocates_nothing() {
    let schema = Schema::new(vec![
        Field::new("i", DataType::Int64, true),
        Field::new("x", DataType::Float32, true),
        Field::new("p", DataType::Decimal128(10, 2), true),
        Field::new("t", DataType::Utf8, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), true),
        Field::new("b", DataType::Boolean, true),
    ]);
    let records = [
        [
            31.into(),
            0.5.into(),
            12.5.into(),
            " Oslo 7".into(),
            "2026-01-31T12:00:00Z".into(),
            true.into(),
        ],
        [Value::Null; 6],
        [
            Value::Int(-1),
            Value::Float(f64::NAN),
            Value::Text("1.25"),
            "".into(),
            0.into(),
            false.into(),
        ],
    ];
    for text in [
        "i >= 18 AND t IN ('NO', 'SE')",
        "i IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 31) OR x IN (0.5)",
        "i + 1 BETWEEN x AND p * 2",
        "x / 0 > 1 OR -i % 7 = 3",
        "t LIKE '%s_o%' AND t ILIKE ' o%' AND t LIKE ' %'",
        "t RLIKE '[0-9]+$'",
        "LENGTH(TRIM(t)) > 3 AND SUBSTRING(t, 2, 4) = 'Oslo' AND STARTS_WITH(t, ' ')",
        "CASE i WHEN 31 THEN t WHEN x THEN 'none' ELSE COALESCE(t, 'x') END = ' Oslo 7'",
        "GREATEST(i, x, p) = 31 OR LEAST(p, 1) IS NULL OR NULLIF(i, 31) IS NULL",
        "YEAR(at) = 2026 AND at >= '2026-01-01' AND CAST(at AS DATE) = DATE '2026-01-31'",
        "CAST(SUBSTRING(t, -1) AS BIGINT) = 7 OR CAST(i AS DOUBLE) = x",
        "b IS NOT TRUE OR NOT b AND i IS DISTINCT FROM 5",
        "ROUND(x, 1) = 0.5 AND ABS(i) = 31 AND NOT ISNAN(x)",
    ] {
        let bound = Expression::parse(text).unwrap().bind(&schema).unwrap();
        // The first match of a pattern makes its working memory.
        let first: Vec<_> = records.iter().map(|record| bound.truth_of(record)).collect();
        let before = COUNT.with(Cell::get);
        for _ in 0..100 {
            for (record, first) in records.iter().zip(&first) {
                assert!(bound.truth_of(record) == *first);
            }
        }
        assert_eq!(COUNT.with(Cell::get), before, "{text}");
    }
    // The counter counts.
    let before = COUNT.with(Cell::get);
    drop(std::hint::black_box(Box::new(1)));
    assert!(COUNT.with(Cell::get) > before);
}
