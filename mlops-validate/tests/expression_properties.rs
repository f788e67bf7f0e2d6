//! What must hold of every expression: a batch, its slices and its records agree, the canonical
//! text is the expression, and no text is a panic.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use mlops_core::arrow::array::{
    Array, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array,
    Int8Array, Int64Array, LargeStringArray, RecordBatch, StringArray, StringViewArray,
    TimestampMicrosecondArray, UInt64Array,
};
use mlops_core::arrow::datatypes::Int8Type;
use mlops_core::{Rows, batch};
use mlops_validate::{Expression, Value};
use proptest::prelude::*;

/// A row: for each column the number of one of its values, or none.
type Row = [Option<u8>; 12];

const INTS: [i64; 8] = [0, 1, -1, 7, i64::MAX, i64::MIN, 9_007_199_254_740_993, 20_484];
const SMALL: [i8; 4] = [0, -128, 127, 7];
const UNSIGNED: [u64; 4] = [0, u64::MAX, 1 << 63, 7];
const FLOATS: [f64; 10] = [
    0.0,
    -0.0,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    0.5,
    7.0,
    9_007_199_254_740_992.0,
    -1e300,
    5e-324,
];
const HALVES: [f32; 4] = [0.1, f32::NAN, 7.0, -0.0];
const CENTS: [i128; 4] = [0, 10, 700, -1_234_567_890];
const TEXTS: [&str; 8] = ["", "a", "Å e", "7", " pad ", "100%", "ab\u{301}c", "1970-01-01"];
const DAYS: [i32; 4] = [0, 20_484, -1, i32::MAX];
const MICROS: [i64; 4] = [0, -1, 1_769_860_800_000_000, i64::MAX];

fn pick<T: Copy>(values: &[T], of: Option<u8>) -> Option<T> {
    of.map(|n| values[n as usize % values.len()])
}

fn table(rows: &[Row]) -> RecordBatch {
    fn column<T: Copy>(rows: &[Row], at: usize, values: &[T]) -> Vec<Option<T>> {
        rows.iter().map(|row| pick(values, row[at])).collect()
    }
    batch! {
        "i" => Int64Array::from(column(rows, 0, &INTS)),
        "s" => Int8Array::from(column(rows, 1, &SMALL)),
        "u" => UInt64Array::from(column(rows, 2, &UNSIGNED)),
        "x" => Float64Array::from(column(rows, 3, &FLOATS)),
        "h" => Float32Array::from(column(rows, 4, &HALVES)),
        "p" => Decimal128Array::from(column(rows, 5, &CENTS)).with_precision_and_scale(10, 2).unwrap(),
        "t" => StringArray::from(column(rows, 6, &TEXTS)),
        "v" => StringViewArray::from(column(rows, 7, &TEXTS)),
        "c" => column(rows, 8, &TEXTS).into_iter().collect::<DictionaryArray<Int8Type>>(),
        "b" => BooleanArray::from(column(rows, 9, &[true, false])),
        "d" => Date32Array::from(column(rows, 10, &DAYS)),
        "z" => TimestampMicrosecondArray::from(column(rows, 11, &MICROS)).with_timezone("+02:00"),
        "w" => LargeStringArray::from(column(rows, 6, &TEXTS)),
    }
    .unwrap()
}

fn record(row: &Row) -> [Value<'static>; 13] {
    [
        pick(&INTS, row[0]).into(),
        pick(&SMALL, row[1]).into(),
        pick(&UNSIGNED, row[2]).into(),
        pick(&FLOATS, row[3]).into(),
        pick(&HALVES, row[4]).into(),
        pick(&CENTS, row[5]).map(|v| v as f64 / 100.0).into(),
        pick(&TEXTS, row[6]).into(),
        pick(&TEXTS, row[7]).into(),
        pick(&TEXTS, row[8]).into(),
        pick(&[true, false], row[9]).into(),
        pick(&DAYS, row[10]).into(),
        pick(&MICROS, row[11]).into(),
        pick(&TEXTS, row[6]).into(),
    ]
}

/// Numbers, texts, times and conditions of a depth.
#[derive(Clone)]
struct Kinds {
    number: BoxedStrategy<String>,
    text: BoxedStrategy<String>,
    time: BoxedStrategy<String>,
    truth: BoxedStrategy<String>,
}

fn among(texts: &[&'static str]) -> BoxedStrategy<String> {
    prop::sample::select(texts.to_vec()).prop_map(str::to_owned).boxed()
}

/// Templates, in which `$` are filled in.
fn forms(of: &[(&'static str, &[&BoxedStrategy<String>])]) -> BoxedStrategy<String> {
    let forms = of.iter().map(|(template, parts)| {
        let template = *template;
        let parts: Vec<_> = parts.iter().map(|part| (*part).clone()).collect();
        parts
            .prop_map(move |parts| {
                let mut parts = parts.into_iter();
                let fill = |piece: &str| match parts.next() {
                    Some(part) => format!("{piece}{part}"),
                    None => piece.to_owned(),
                };
                template.split('$').map(fill).collect::<String>()
            })
            .boxed()
    });
    prop::strategy::Union::new(forms).boxed()
}

fn kinds(depth: u32) -> Kinds {
    if depth == 0 {
        return Kinds {
            number: among(&[
                "i",
                "s",
                "u",
                "x",
                "h",
                "p",
                "0",
                "7",
                "-1",
                "0.1",
                "0.5",
                "1e300",
                "NULL",
                "9007199254740993",
                "18446744073709551615",
                "-9223372036854775808",
                "1000",
                "-0.0",
            ]),
            text: among(&["t", "v", "c", "w", "'a'", "''", "'7'", "'Å e'", "NULL"]),
            time: among(&[
                "d",
                "z",
                "DATE '2026-01-31'",
                "TIMESTAMP '2026-01-31T12:00:00.0000001Z'",
                "TIMESTAMP '1970-01-01'",
                "d",
                "z",
                "NULL",
            ]),
            truth: among(&["b", "TRUE", "FALSE", "NULL", "b"]),
        };
    }
    let Kinds { number: n, text: t, time: d, truth: b } = kinds(depth - 1);
    let compare = among(&["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "<=>"]);
    let op = among(&["+", "-", "*", "/", "%"]);
    let not = among(&["", "NOT"]);
    let number = forms(&[
        ("$", &[&n]),
        ("($ $ $)", &[&n, &op, &n]),
        ("-COALESCE($)", &[&n]),
        ("ABS($)", &[&n]),
        ("ROUND($, 1)", &[&n]),
        ("FLOOR($)", &[&n]),
        ("SQRT($)", &[&n]),
        ("COALESCE($, $)", &[&n, &n]),
        ("NULLIF($, $)", &[&n, &n]),
        ("GREATEST($, $, $)", &[&n, &n, &n]),
        ("LEAST($, $)", &[&n, &n]),
        ("CASE WHEN $ THEN $ ELSE $ END", &[&b, &n, &n]),
        ("CASE $ WHEN $ THEN $ END", &[&n, &n, &n]),
        ("LENGTH($)", &[&t]),
        ("YEAR($)", &[&d]),
        ("DAY($)", &[&d]),
        ("CAST($ AS BIGINT)", &[&n]),
        ("CAST($ AS DOUBLE)", &[&t]),
        ("CAST($ AS BIGINT)", &[&b]),
    ]);
    let text = forms(&[
        ("$", &[&t]),
        ("($ || $)", &[&t, &t]),
        ("LOWER($)", &[&t]),
        ("UPPER($)", &[&t]),
        ("TRIM($)", &[&t]),
        ("SUBSTRING($, -2, 3)", &[&t]),
        ("SUBSTRING($, CAST($ AS BIGINT))", &[&t, &n]),
        ("COALESCE($, $)", &[&t, &t]),
        ("CASE WHEN $ THEN $ END", &[&b, &t]),
        ("CAST($ AS TEXT)", &[&n]),
        ("CAST($ AS TEXT)", &[&d]),
    ]);
    let time = forms(&[
        ("$", &[&d]),
        ("CAST($ AS DATE)", &[&d]),
        ("CAST($ AS TIMESTAMP)", &[&t]),
        ("COALESCE(d, d)", &[]),
    ]);
    let truth = forms(&[
        ("$", &[&b]),
        ("($ $ $)", &[&n, &compare, &n]),
        ("($ $ $)", &[&t, &compare, &t]),
        ("($ $ $)", &[&d, &compare, &d]),
        ("($ $ $)", &[&b, &compare, &b]),
        ("(x $ $)", &[&compare, &n]),
        ("($ $ i)", &[&n, &compare]),
        ("(z $ '2026-01-31T14:00:00')", &[&compare]),
        ("($ $ BETWEEN $ AND $)", &[&n, &not, &n, &n]),
        ("($ $ IN ($, $, 7, 0.5))", &[&n, &not, &n, &n]),
        ("($ $ IN (0, 7, 0.1, NULL))", &[&n, &not]),
        ("($ $ IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 18446744073709551615))", &[&n, &not]),
        ("($ $ IN ('a', '7', ''))", &[&t, &not]),
        ("($ $ LIKE '%a%')", &[&t, &not]),
        ("($ ILIKE '_ E')", &[&t]),
        ("($ $ RLIKE '^[a-z0-9]+$')", &[&t, &not]),
        ("STARTS_WITH($, $)", &[&t, &t]),
        ("($ IS $ NULL)", &[&n, &not]),
        ("($ IS $ NULL)", &[&t, &not]),
        ("($ IS $ TRUE)", &[&b, &not]),
        ("(NOT $)", &[&b]),
        ("($ AND $ AND $)", &[&b, &b, &b]),
        ("($ OR $)", &[&b, &b]),
        ("ISNAN($)", &[&n]),
        ("COALESCE($, $)", &[&b, &b]),
    ]);
    Kinds { number, text, time, truth }
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec(prop::array::uniform12(prop::option::weighted(0.85, any::<u8>())), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn batches_slices_and_records_agree(text in kinds(3).truth, rows in rows()) {
        let expression = Expression::parse(&text).unwrap();
        let again = Expression::parse(&expression.to_string()).unwrap();
        prop_assert_eq!(&again, &expression, "{}", &text);

        let batch = table(&rows);
        let bound = expression.bind(batch.schema_ref()).unwrap();
        let truth = bound.truth(&Rows::new(&batch)).unwrap();
        for (at, row) in rows.iter().enumerate() {
            let whole = truth.is_valid(at).then(|| truth.value(at));
            let slice = batch.slice(at, 1);
            let alone = bound.truth(&Rows::new(&slice)).unwrap();
            prop_assert_eq!(alone.is_valid(0).then(|| alone.value(0)), whole, "{} {:?}", &text, record(row));
            prop_assert_eq!(bound.truth_of(&record(row)), whole, "{} {:?}", &text, record(row));
        }
    }

    #[test]
    fn no_text_is_a_panic(text in "\\PC{0,40}", words in prop::collection::vec(prop::sample::select(vec![
        "a", "b.c", "\"", "`x`", "'", "'t'", "1", "-", "1e", "1.5", "(", ")", "[", ",", "AND", "or", "NOT",
        "IN", "IS", "NULL", "BETWEEN", "LIKE", "ESCAPE", "CASE", "WHEN", "THEN", "END", "CAST(", "AS", "INT",
        "::", "||", "=", "<=>", "abs(", "DATE", "'1970-01-01'", "substring(", "FROM", "distinct", "é",
    ]), 0..14)) {
        let words = words.join(" ");
        for text in [&text, &words] {
            if let Ok(expression) = Expression::parse(text) {
                prop_assert_eq!(&Expression::parse(&expression.to_string()).unwrap(), &expression);
                let batch = table(&[[Some(1); 12]]);
                drop(expression.bind(batch.schema_ref()));
            }
        }
    }
}
