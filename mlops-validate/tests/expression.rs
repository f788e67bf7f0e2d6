//! The expression language, from outside.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;

use mlops_core::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray,
    Float32Array, Float64Array, Int8Array, Int64Array, LargeStringArray, RecordBatch, StringArray,
    StringViewArray, StructArray, TimestampMicrosecondArray, UInt64Array,
};
use mlops_core::arrow::datatypes::{DataType, Field, Int8Type, Int64Type};
use mlops_core::{Rows, batch};
use mlops_validate::{Expression, Value};

fn people() -> RecordBatch {
    let city: ArrayRef = Arc::new(StringArray::from(vec![Some("Oslo"), None, Some("Bergen")]));
    let address =
        StructArray::from(vec![(Arc::new(Field::new("city", DataType::Utf8, true)), city)]);
    let zoned = TimestampMicrosecondArray::from(vec![0, 1_000_000, -1]).with_timezone("+02:00");
    batch! {
        "i" => Int64Array::from(vec![Some(1), None, Some(i64::MAX)]),
        "small" => Int8Array::from(vec![Some(-3), Some(7), None]),
        "u" => UInt64Array::from(vec![0, u64::MAX, 5]),
        "x" => Float64Array::from(vec![Some(0.5), Some(f64::NAN), None]),
        "half" => Float32Array::from(vec![0.1, 2.5, -0.0]),
        "price" => Decimal128Array::from(vec![Some(10), Some(1250), None]).with_precision_and_scale(10, 2).unwrap(),
        "name" => StringArray::from(vec![Some("Åse"), Some("per"), None]),
        "view" => StringViewArray::from(vec![Some("a"), None, Some("b%")]),
        "large" => LargeStringArray::from(vec!["x", "y", "z"]),
        "code" => DictionaryArray::<Int8Type>::from_iter([Some("NO"), None, Some("SE")]),
        "ok" => BooleanArray::from(vec![Some(true), Some(false), None]),
        "day" => Date32Array::from(vec![Some(0), Some(20_484), None]),
        "at" => zoned,
        "address" => address,
        "odd name" => Int64Array::from(vec![1, 2, 3]),
    }
    .unwrap()
}

/// What each row says: `t`, `f`, or `?`.
fn truth(text: &str) -> String {
    let batch = people();
    let bound = Expression::parse(text).unwrap().bind(batch.schema_ref()).unwrap();
    let truths = bound.truth(&Rows::new(&batch)).unwrap();
    truths.iter().map(|t| t.map_or('?', |t| if t { 't' } else { 'f' })).collect()
}

#[test]
fn what_expressions_say() {
    for (text, expected) in [
        ("i = 1", "t?f"),
        ("1 = i", "t?f"),
        ("i == 1 and i <> 2", "t?f"),
        ("i < 1.5", "t?f"),
        ("i > 9223372036854775806.0", "f?f"),
        ("i < 9223372036854775808", "t?t"),
        ("i = 0.5", "f?f"),
        ("i <> 0.5", "t?t"),
        ("small < 1000", "tt?"),
        ("small > -1000", "tt?"),
        ("small in (1000, 7)", "ft?"),
        ("u > i", "f?f"),
        ("u = 18446744073709551615", "ftf"),
        ("u - 1 > 0", "f?t"),
        ("x = x", "tf?"),
        ("x <> x", "ft?"),
        ("NOT x > 0", "ft?"),
        ("isnan(x)", "ft?"),
        ("x is distinct from 0.5", "ftt"),
        ("x is not distinct from null", "fft"),
        ("x <=> 0.5", "tff"),
        ("half = 0.1", "tff"),
        ("half = 0", "fft"),
        ("half in (0.1, 0.0)", "tft"),
        ("price = 0.1", "tf?"),
        ("price > 12", "ft?"),
        ("price > 12.5", "ff?"),
        ("price >= 12.499", "ft?"),
        ("price in (0.10, 12.505)", "tf?"),
        ("price < i", "t??"),
        ("price * 2 = 25", "ft?"),
        ("name like 'Å%'", "tf?"),
        ("name ilike 'å_e'", "tf?"),
        ("name rlike '^p.r$'", "ft?"),
        ("name !~ 'e'", "ff?"),
        ("length(name) = 3", "tt?"),
        ("upper(name) = 'PER'", "ft?"),
        ("name || '!' = 'per!'", "ft?"),
        ("substring(name, 2) = 'se'", "tf?"),
        ("substring(name from -1 for 1) = 'r'", "ft?"),
        ("view = 'a'", "t?f"),
        ("view like '%!%' escape '!'", "f?t"),
        ("large between 'x' and 'y'", "ttf"),
        ("large = name", "ff?"),
        ("code = 'NO'", "t?f"),
        ("code is null", "ftf"),
        ("coalesce(code, 'none') = 'none'", "ftf"),
        ("code in ('NO', null)", "t??"),
        ("code not in ('NO')", "f?t"),
        ("lower(code) in ('no', 'se') and i is not null", "tft"),
        ("ok", "tf?"),
        ("not ok", "ft?"),
        ("ok = true", "tf?"),
        ("ok = false", "ft?"),
        ("ok is not true", "ftt"),
        ("ok is false", "ftf"),
        ("ok or i = 1", "t??"),
        ("ok and false", "fff"),
        ("null", "???"),
        ("null and false", "fff"),
        ("null = null", "???"),
        ("day = '1970-01-01'", "tf?"),
        ("day >= DATE '2026-01-31'", "ft?"),
        ("day < '2026-01-31T00:00:01'", "tt?"),
        ("year(day) = 2026 and month(day) = 1 and extract(day from day) = 31", "ft?"),
        ("at = '1970-01-01T02:00:00'", "tff"),
        ("at >= '1970-01-01T00:00:00Z'", "ttf"),
        ("hour(at) = 2", "ttf"),
        ("at >= day", "tf?"),
        ("address.city = 'Oslo'", "t?f"),
        ("address.city is null", "ftf"),
        ("\"odd name\" % 2 = 1", "tft"),
        ("`odd name` / 2 = 0.5", "tff"),
        ("i / 0 > 1", "???"),
        ("i + 1 > 0", "t??"),
        ("-i < 0", "t?t"),
        ("i between 2 and null", "f??"),
        ("case when i = 1 then 'one' when i > 1 then 'many' end = 'many'", "f?t"),
        ("case small when -3 then 1 else 0 end = 1", "tff"),
        ("abs(small) = 3", "tf?"),
        ("round(half, 1) = 2.5", "ftf"),
        ("least(small, i) = -3", "tff"),
        ("greatest(u, i) = 18446744073709551615", "ftf"),
        ("nullif(small, 7) is null", "ftt"),
        ("cast(name as bigint) is null", "ttt"),
        ("cast(i as text) = '1'", "t?f"),
        ("(small + 1) between 0 and 8", "ft?"),
        ("(small + 1) in (8, i)", "ft?"),
        ("starts_with(name, 'p') or ends_with(name, 'e')", "tt?"),
    ] {
        assert_eq!(truth(text), expected, "{text}");
    }
}

#[test]
fn canonical_text_parses_back() {
    for (text, canonical) in [
        ("a=1 and(b<2 or not c)", "a = 1 AND (b < 2 OR NOT c)"),
        ("a and (b and c)", "a AND b AND c"),
        ("(a + b) * -c - -5", "(a + b) * -c - -5"),
        ("a - (b - c)", "a - (b - c)"),
        ("\"x\" = `y z`", "x = \"y z\""),
        ("a::int", "CAST(a AS BIGINT)"),
        ("concat(a, b, c)", "a || b || c"),
        ("x not in [1, 2]", "x NOT IN (1, 2)"),
        ("if(a, 1, 2.0)", "CASE WHEN a THEN 1 ELSE 2.0 END"),
        (
            "a = 'it''s' or \"select\".\"from\" is not null",
            "a = 'it''s' OR select.\"from\" IS NOT NULL",
        ),
        ("not a is null", "NOT a IS NULL"),
        ("(not a) is null", "(NOT a) IS NULL"),
        ("1e300 > .5", "1e300 > 0.5"),
        ("x like 'a!%' escape '!'", "x LIKE 'a!%' ESCAPE '!'"),
    ] {
        let expression = Expression::parse(text).unwrap();
        assert_eq!(expression.to_string(), canonical, "{text}");
        assert_eq!(Expression::parse(canonical).unwrap(), expression, "{text}");
        let json = serde_json::to_string(&expression).unwrap();
        assert_eq!(serde_json::from_str::<Expression>(&json).unwrap(), expression);
    }
    let expression = Expression::parse("b > a.x and b < c").unwrap();
    assert_eq!(expression.columns(), ["a", "b", "c"]);
}

#[test]
fn errors_name_the_place() {
    for (text, expected) in [
        ("", "expression, byte 0: expected a column or value, found the end"),
        ("age >= ", "expression, byte 7: expected a column or value, found the end"),
        ("age > 1 2", "expression, byte 8: expected an operator or the end, found `2`"),
        ("a < b < c", "expression, byte 6: expected AND, OR or the end, found `<`"),
        ("a in (1, 2", "expression, byte 10: expected `,` or `)`, found the end"),
        ("a = 'x", "expression, byte 6: expected the `'` that closes the text, found the end"),
        ("a = 12abc", "expression, byte 4: expected a number, found `12abc`"),
        ("a & b", "expression, byte 2: expected a name, a value or an operator, found `&`"),
        ("frob(a)", "expression, byte 0: expected a function that there is, found `frob`"),
        ("abs(a, b)", "expression, byte 0: expected ABS with 1 arguments, found 2"),
        (
            "d > DATE '2026-02-30'",
            "expression, byte 9: expected a date like 2026-01-31, found `2026-02-30`",
        ),
        (
            "a = 99999999999999999999",
            "expression, byte 4: expected a whole number of 64 bits, found 99999999999999999999",
        ),
        ("a is 5", "expression, byte 5: expected NULL, TRUE, FALSE or DISTINCT FROM, found `5`"),
    ] {
        assert_eq!(Expression::parse(text).unwrap_err().to_string(), expected, "{text}");
    }
    assert!(
        Expression::parse("now() > a").unwrap_err().to_string().contains("write the time down")
    );

    let schema = people().schema();
    for (text, parts) in [
        ("age > 1", &["column `age` is not there", "small"][..]),
        ("name < 5", &["column `name` of type Utf8", "5", "text"]),
        ("5 > name", &["column `name` of type Utf8"]),
        ("i > name", &["column `i` of type Int64", "column `name` of type Utf8"]),
        ("i = TRUE", &["column `i` of type Int64", "TRUE"]),
        ("i and ok", &["column `i` of type Int64", "boolean"]),
        ("day = 'soon'", &["column `day` of type Date32", "a date like"]),
        ("name + 1 > 2", &["numbers", "column `name`"]),
        ("length(i) = 1", &["LENGTH", "a text", "column `i`"]),
        ("address = 'x'", &["address", "city"]),
        ("address.town = 'x'", &["address.town", "address.city"]),
        ("name rlike '('", &["RLIKE"]),
        ("coalesce(i, name) = 1", &["COALESCE", "column `name`"]),
    ] {
        let error = Expression::parse(text).unwrap().bind(&schema).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{text}: {error}");
        }
    }
    let scalar = Expression::parse("i + 1").unwrap().bind(&schema).unwrap();
    let batch = people();
    assert!(scalar.truth(&Rows::new(&batch)).is_err());
    assert_eq!(scalar.truth_of(&[Value::Int(1)]), None);
}

#[test]
fn depth_and_length_are_bounded() {
    let deep = |n: usize| format!("{}a{}", "(".repeat(n), ")".repeat(n));
    assert!(Expression::parse(&deep(60)).is_ok());
    for hostile in [
        deep(100_000),
        "NOT ".repeat(100_000),
        "-".repeat(100_000),
        "a+".repeat(100_000),
        "a BETWEEN ".repeat(10_000),
        "CASE WHEN ".repeat(10_000),
        "abs(".repeat(10_000),
        format!("a{}", "::int".repeat(10_000)),
        format!("a{}", " IS NULL".repeat(10_000)),
        format!("a{}", ".b".repeat(10_000)),
        " ".repeat(2 << 20),
    ] {
        assert!(Expression::parse(&hostile).is_err());
    }
    // Long is not deep.
    let long = vec!["a = 1"; 20_000].join(" OR ");
    let batch = batch! { "a" => Int64Array::from(vec![1]) }.unwrap();
    let bound = Expression::parse(&long).unwrap().bind(batch.schema_ref()).unwrap();
    assert_eq!(bound.truth_of(&[Value::Int(1)]), Some(true));
}

#[test]
fn values_have_the_type_that_was_announced() {
    let batch = people();
    for text in [
        "i",
        "i + 1",
        "u",
        "greatest(u, i)",
        "x * 2",
        "price",
        "coalesce(price, 0)",
        "code",
        "upper(code)",
        "name",
        "day",
        "coalesce(day, '2026-01-31')",
        "at",
        "coalesce(at, '1970-01-01')",
        "address.city",
        "null",
        "ok",
        "1",
        "'a'",
        "DATE '2026-01-31'",
        "cast(day as timestamp)",
        "small",
    ] {
        let bound = Expression::parse(text).unwrap().bind(batch.schema_ref()).unwrap();
        let value = bound.value(&Rows::new(&batch)).unwrap();
        assert_eq!(value.data_type(), bound.data_type(), "{text}");
        assert_eq!(value.len(), batch.num_rows(), "{text}");
    }
    let bound = Expression::parse("u % 2").unwrap().bind(batch.schema_ref()).unwrap();
    let value = bound.value(&Rows::new(&batch)).unwrap();
    let expected = Int64Array::from(vec![Some(0), None, Some(1)]);
    assert_eq!(value.as_primitive::<Int64Type>(), &expected);
}
