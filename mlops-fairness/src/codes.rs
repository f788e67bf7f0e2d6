//! A column of few values as small codes: what groups and outcomes are counted by.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, DictionaryArray, PrimitiveArray,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{
    ArrowDictionaryKeyType, ArrowNativeType, DataType, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use mlops_core::{Categories, Error, Result, Rows};
use multiversion::multiversion;

/// A value of a column as text, `None` where it is null.
pub(crate) type Label = Option<Arc<str>>;

/// A code for every row, below the number of labels. A label may have no rows.
#[derive(Debug)]
pub(crate) struct Codes {
    pub(crate) rows: Keys,
    pub(crate) labels: Vec<Label>,
}

/// Bytes where there are at most 256 labels.
#[derive(Debug)]
pub(crate) enum Keys {
    Bytes(Vec<u8>),
    Words(Vec<u32>),
}

impl Codes {
    /// The codes of a column, made once for all that ask.
    pub(crate) fn of(rows: &Rows<'_>, column: &str) -> Result<Arc<Self>> {
        rows.shared(&format!("codes of {column}"), || {
            of_array(column, rows.column(column)?, &|| rows.categories(column).cloned())
        })
    }

    /// The codes of a column of numbers by ascending edges: below the first, from each edge to
    /// the next, and from the last on. NaN is a value of its own.
    pub(crate) fn binned(rows: &Rows<'_>, column: &str, edges: &[f64]) -> Result<Arc<Self>> {
        rows.shared(&format!("codes of {column} by {edges:?}"), || {
            let numbers = rows.numbers(column)?;
            let last = edges.len() as u32;
            let code = |x: f64| {
                if x.is_nan() { last + 1 } else { edges.partition_point(|&edge| edge <= x) as u32 }
            };
            let codes = numbers.values().iter().map(|&x| code(x)).collect();
            let mut labels: Vec<Label> = (0..=edges.len())
                .map(|bin| match (bin.checked_sub(1).map(|at| edges[at]), edges.get(bin)) {
                    (None, None) => "any".into(),
                    (None, Some(high)) => format!("< {high}"),
                    (Some(low), Some(high)) => format!("[{low}, {high})"),
                    (Some(low), None) => format!("≥ {low}"),
                })
                .map(|label| Some(label.into()))
                .collect();
            labels.push(Some("NaN".into()));
            Ok(Self::new(codes, labels, numbers.nulls()))
        })
    }

    /// The code of a row.
    pub(crate) fn code(&self, row: usize) -> usize {
        match &self.rows {
            Keys::Bytes(codes) => codes[row].into(),
            Keys::Words(codes) => codes[row] as usize,
        }
    }

    fn new(mut codes: Vec<u32>, mut labels: Vec<Label>, nulls: Option<&NullBuffer>) -> Self {
        let rows = if let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) {
            let null = null_code(&mut labels);
            for (code, valid) in codes.iter_mut().zip(nulls) {
                *code = if valid { *code } else { null };
            }
            codes
        } else {
            codes
        };
        let rows = match labels.len() {
            0..=256 => Keys::Bytes(rows.iter().map(|&code| code as u8).collect()),
            _ => Keys::Words(rows),
        };
        Self { rows, labels }
    }

    fn of_bytes(mut codes: Vec<u8>, mut labels: Vec<Label>, nulls: Option<&NullBuffer>) -> Self {
        if let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) {
            let null = null_code(&mut labels) as u8;
            blend(&mut codes, &bytes(nulls.inner()), null);
        }
        Self { rows: Keys::Bytes(codes), labels }
    }

    /// Of each label whether a row has it.
    pub(crate) fn used(&self) -> Vec<bool> {
        let mut used = vec![false; self.labels.len()];
        match &self.rows {
            Keys::Bytes(codes) => codes.iter().for_each(|&code| used[usize::from(code)] = true),
            Keys::Words(codes) => codes.iter().for_each(|&code| used[code as usize] = true),
        }
        used
    }

    /// Without the labels that no row has, where there are many; in the order that they had, so
    /// that batches of one dictionary have the same.
    fn compact(self) -> Self {
        let Keys::Words(codes) = &self.rows else { return self };
        let used = self.used();
        if used.iter().all(|used| *used) {
            return self;
        }
        let mut places = vec![0_u32; used.len()];
        let mut labels = Vec::new();
        for ((place, label), used) in places.iter_mut().zip(self.labels).zip(used) {
            if used {
                *place = labels.len() as u32;
                labels.push(label);
            }
        }
        let codes = codes.iter().map(|&code| places[code as usize]).collect();
        Self::new(codes, labels, None)
    }
}

/// The code of null: one that is there, or one behind the last.
fn null_code(labels: &mut Vec<Label>) -> u32 {
    if let Some(at) = labels.iter().position(Option::is_none) {
        return at as u32;
    }
    labels.push(None);
    labels.len() as u32 - 1
}

fn of_array(
    name: &str,
    array: &ArrayRef,
    categories: &dyn Fn() -> Result<Categories>,
) -> Result<Codes> {
    macro_rules! numbers {
        ($type:ty) => {
            Ok(of_numbers::<$type>(array.as_primitive()))
        };
    }
    macro_rules! dictionary {
        ($type:ty, $narrow:ident) => {
            of_dictionary::<$type>(name, array.as_dictionary(), $narrow, categories)
        };
    }
    match array.data_type() {
        DataType::Boolean => Ok(of_booleans(array.as_boolean())),
        DataType::Int8 => numbers!(Int8Type),
        DataType::Int16 => numbers!(Int16Type),
        DataType::Int32 => numbers!(Int32Type),
        DataType::Int64 => numbers!(Int64Type),
        DataType::UInt8 => numbers!(UInt8Type),
        DataType::UInt16 => numbers!(UInt16Type),
        DataType::UInt32 => numbers!(UInt32Type),
        DataType::UInt64 => numbers!(UInt64Type),
        DataType::Float32 => numbers!(Float32Type),
        DataType::Float64 => numbers!(Float64Type),
        DataType::Dictionary(key, _) => match **key {
            DataType::Int8 => dictionary!(Int8Type, narrow_i8),
            DataType::Int16 => dictionary!(Int16Type, narrow_i16),
            DataType::Int32 => dictionary!(Int32Type, narrow_i32),
            DataType::Int64 => dictionary!(Int64Type, narrow_i64),
            DataType::UInt8 => dictionary!(UInt8Type, narrow_u8),
            DataType::UInt16 => dictionary!(UInt16Type, narrow_u16),
            DataType::UInt32 => dictionary!(UInt32Type, narrow_u32),
            _ => dictionary!(UInt64Type, narrow_u64),
        },
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let Some((codes, labels)) = Categories::byte_codes(array) else {
                return Ok(of_categories(&categories()?, false));
            };
            let labels = labels.into_iter().map(|label| Some(Arc::from(label))).collect();
            Ok(Codes::of_bytes(codes, labels, array.nulls()))
        }
        _ => Ok(of_categories(&categories()?, is_number(array.data_type()))),
    }
}

fn of_categories(categories: &Categories, number: bool) -> Codes {
    let label = |label: Option<&str>| {
        let label = label.unwrap_or_default();
        Some(if number { plain(label).into() } else { Arc::from(label) })
    };
    let labels = categories.labels().iter().map(label).collect();
    let codes = categories.codes();
    Codes::new(codes.values().to_vec(), labels, codes.nulls())
}

fn of_booleans(array: &BooleanArray) -> Codes {
    let labels = vec![Some("false".into()), Some("true".into())];
    Codes::of_bytes(bytes(array.values()), labels, array.nulls())
}

/// The low byte of each key.
macro_rules! narrow {
    ($($name:ident, $type:ty;)*) => {$(
        #[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
        fn $name(keys: &[$type], codes: &mut [u8]) {
            for (code, &key) in codes.iter_mut().zip(keys) {
                *code = key.to_le_bytes()[0];
            }
        }
    )*};
}

narrow! {
    narrow_i8, i8; narrow_i16, i16; narrow_i32, i32; narrow_i64, i64;
    narrow_u8, u8; narrow_u16, u16; narrow_u32, u32; narrow_u64, u64;
}

fn of_dictionary<K: ArrowDictionaryKeyType>(
    name: &str,
    array: &DictionaryArray<K>,
    narrow: fn(&[K::Native], &mut [u8]),
    categories: &dyn Fn() -> Result<Categories>,
) -> Result<Codes> {
    let (keys, values) = (array.keys(), array.values());
    let number = is_number(values.data_type());
    if values.len() > keys.len() {
        return Ok(of_categories(&categories()?, number));
    }
    let values = of_array(name, values, &|| Categories::of(name, values))?;
    let nulls = keys.nulls();
    match values.rows {
        Keys::Bytes(places) => {
            let in_order = (0..).zip(&places).all(|(i, &place)| i == usize::from(place));
            let codes = if in_order {
                let mut codes = vec![0; keys.len()];
                narrow(keys.values(), &mut codes);
                codes
            } else {
                // What stands under a null may be any key.
                let place = |key: usize| places.get(key).copied().unwrap_or_default();
                keys.values().iter().map(|key| place(key.as_usize())).collect()
            };
            let mut labels = values.labels;
            if labels.len() == 256 && nulls.is_some() && !labels.contains(&None) {
                // One more does not fit into a byte.
                let codes: Vec<u8> = codes;
                let codes = codes.into_iter().map(u32::from).collect();
                labels.push(None);
                return Ok(Codes::new(codes, labels, nulls));
            }
            Ok(Codes::of_bytes(codes, labels, nulls))
        }
        Keys::Words(places) => {
            let place = |key: usize| places.get(key).copied().unwrap_or_default();
            let codes = keys.values().iter().map(|key| place(key.as_usize())).collect();
            Ok(Codes::new(codes, values.labels, nulls).compact())
        }
    }
}

/// A number that can be a label.
trait Number: Copy + PartialEq {
    /// The same for equal numbers, and only for these; all NaN are one.
    fn word(self) -> u64;
    fn text(self) -> String;
    /// 1 for `high`, 0 for all else; whether all else is `low`.
    fn pair(values: &[Self], low: Self, high: Self, codes: &mut [u8]) -> bool;
}

macro_rules! number {
    ($($type:ty, $pair:ident, $word:expr, $text:expr;)*) => {$(
        #[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
        fn $pair(values: &[$type], low: $type, high: $type, codes: &mut [u8]) -> bool {
            let mut unlike = 0u8;
            for (code, &x) in codes.iter_mut().zip(values) {
                *code = u8::from(x == high);
                unlike |= u8::from(x != high) & u8::from(x != low);
            }
            unlike == 0
        }

        impl Number for $type {
            fn word(self) -> u64 {
                $word(self)
            }

            fn text(self) -> String {
                $text(self)
            }

            fn pair(values: &[Self], low: Self, high: Self, codes: &mut [u8]) -> bool {
                $pair(values, low, high, codes)
            }
        }
    )*};
}

fn float_word(x: f64) -> u64 {
    if x.is_nan() { f64::NAN.to_bits() } else { (x + 0.0).to_bits() }
}

number! {
    i8, pair_i8, |x| x as u64, |x: i8| x.to_string();
    i16, pair_i16, |x| x as u64, |x: i16| x.to_string();
    i32, pair_i32, |x| x as u64, |x: i32| x.to_string();
    i64, pair_i64, |x| x as u64, |x: i64| x.to_string();
    u8, pair_u8, u64::from, |x: u8| x.to_string();
    u16, pair_u16, u64::from, |x: u16| x.to_string();
    u32, pair_u32, u64::from, |x: u32| x.to_string();
    u64, pair_u64, |x| x, |x: u64| x.to_string();
    f32, pair_f32, |x| float_word(f64::from(x)), |x: f32| (x + 0.0).to_string();
    f64, pair_f64, float_word, |x: f64| (x + 0.0).to_string();
}

fn of_numbers<T: ArrowPrimitiveType<Native: Number>>(array: &PrimitiveArray<T>) -> Codes {
    let values = array.values();
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
    let valid = |row: usize| nulls.is_none_or(|nulls| nulls.is_valid(row));
    let label = |x: T::Native| -> Label { Some(x.text().into()) };
    let Some(first) = (0..values.len()).find(|&row| valid(row)) else {
        return Codes::of_bytes(vec![0; values.len()], Vec::new(), nulls);
    };
    // Most labels are one of two numbers.
    let low = values[first];
    let mut rows = first..values.len();
    let high = rows.find(|&row| values[row] != low && valid(row)).map_or(low, |row| values[row]);
    let mut codes = vec![0; values.len()];
    if T::Native::pair(values, low, high, &mut codes) {
        if low == high {
            return Codes::of_bytes(vec![0; values.len()], vec![label(low)], nulls);
        }
        return Codes::of_bytes(codes, vec![label(low), label(high)], nulls);
    }
    let mut words = Words::new();
    let mut labels = Vec::new();
    let codes = values.iter().enumerate().map(|(row, &x)| {
        if valid(row) { words.code(x.word(), || labels.push(label(x))) } else { 0 }
    });
    let codes = codes.collect();
    Codes::new(codes, labels, nulls)
}

/// Gives each word the number of its first appearance.
struct Words {
    len: u32,
    /// Words with their numbers plus one, 0 where there is none; at most half full.
    places: Vec<(u64, u32)>,
}

impl Words {
    fn new() -> Self {
        Self { len: 0, places: vec![(0, 0); 64] }
    }

    fn find(places: &[(u64, u32)], word: u64) -> usize {
        // 2⁶⁴ over the golden ratio.
        let hash = word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut at = (hash >> (places.len().leading_zeros() + 1)) as usize;
        while places[at].1 != 0 && places[at].0 != word {
            at = (at + 1) & (places.len() - 1);
        }
        at
    }

    #[inline]
    fn code(&mut self, word: u64, new: impl FnOnce()) -> u32 {
        let at = Self::find(&self.places, word);
        if let Some(code) = self.places[at].1.checked_sub(1) {
            return code;
        }
        new();
        self.len += 1;
        self.places[at] = (word, self.len);
        if self.len as usize * 2 > self.places.len() {
            let mut places = vec![(0, 0); self.places.len() * 4];
            for &place in self.places.iter().filter(|place| place.1 != 0) {
                let at = Self::find(&places, place.0);
                places[at] = place;
            }
            self.places = places;
        }
        self.len - 1
    }
}

/// Eight bits as eight bytes.
const SPREAD: [[u8; 8]; 256] = {
    let mut spread = [[0; 8]; 256];
    let mut bits = 0;
    while bits < 256 {
        let mut bit = 0;
        while bit < 8 {
            spread[bits][bit] = (bits >> bit & 1) as u8;
            bit += 1;
        }
        bits += 1;
    }
    spread
};

/// A byte for every bit.
fn bytes(bits: &BooleanBuffer) -> Vec<u8> {
    let chunks = bits.bit_chunks();
    let mut bytes = Vec::with_capacity(bits.len() + 64);
    for word in chunks.iter().chain([chunks.remainder_bits()]) {
        let mut eights = [[0; 8]; 8];
        for (eight, byte) in eights.iter_mut().zip(word.to_le_bytes()) {
            *eight = SPREAD[usize::from(byte)];
        }
        bytes.extend_from_slice(eights.as_flattened());
    }
    bytes.truncate(bits.len());
    bytes
}

/// The code of null where a row is not valid.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn blend(codes: &mut [u8], valid: &[u8], null: u8) {
    for (code, &valid) in codes.iter_mut().zip(valid) {
        *code = if valid == 1 { *code } else { null };
    }
}

/// A label as it is compared with others and shown: a number with a whole value is the text of
/// the integer, whatever the width of its column.
pub(crate) fn plain(label: &str) -> String {
    // 2⁵³: beyond it the digits of a float would be made up.
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    // Integers stay as they are: those beyond 2⁵³ are no `f64`.
    let decimal = label.bytes().any(|b| matches!(b, b'.' | b'e' | b'E'))
        && label.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    match label.parse::<f64>() {
        Ok(number) if decimal && number.fract() == 0.0 && number.abs() < WHOLE => {
            (number as i64).to_string()
        }
        Ok(number) if decimal => number.to_string(),
        _ => label.to_owned(),
    }
}

/// Whether the labels of such a column are numbers; dates and times are not.
pub(crate) fn is_number(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => is_number(value),
        other => other.is_numeric(),
    }
}

/// Which label is the positive one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Positive<'a> {
    Label(&'a str),
    /// None is; booleans are `1` and `0` where they must meet numbers.
    None {
        as_numbers: bool,
    },
}

/// The labels of a column of outcomes: NaN is missing, and what equals the positive label is that
/// very text, whatever the type of the column. Numbers are compared as numbers; booleans are
/// `true` and `false`, or `1` and `0`, in the words of the positive label; all else is text.
pub(crate) fn outcomes(
    column: &str,
    data_type: &DataType,
    labels: &[Label],
    positive: Positive<'_>,
) -> Result<Vec<Label>> {
    let value_type = match data_type {
        DataType::Dictionary(_, value) => value,
        plain => plain,
    };
    let positive = match positive {
        Positive::Label(positive) => positive,
        Positive::None { as_numbers } => {
            let of = |label: &Arc<str>| match &**label {
                "NaN" if value_type.is_floating() => None,
                "true" if as_numbers && *value_type == DataType::Boolean => Some("1".into()),
                "false" if as_numbers && *value_type == DataType::Boolean => Some("0".into()),
                _ => Some(label.clone()),
            };
            return Ok(labels.iter().map(|label| label.as_ref().and_then(of)).collect());
        }
    };
    let unfit = |expected: &str| {
        Error::invalid(
            format!("the positive label of `{column}`"),
            expected,
            format_args!("`{positive}`"),
        )
    };
    let as_positive: Arc<str> = positive.into();
    if *value_type == DataType::Boolean {
        let words: [&str; 2] = match plain(positive.trim()).as_str() {
            "true" | "false" => ["false", "true"],
            "1" | "0" => ["0", "1"],
            _ => return Err(unfit("`true`, `false`, `1` or `0`, for booleans")),
        };
        let wanted = plain(positive.trim());
        let word = |label: &str| {
            let word = words[usize::from(label == "true")];
            if word == wanted { as_positive.clone() } else { word.into() }
        };
        return Ok(labels.iter().map(|label| label.as_deref().map(word)).collect());
    }
    let number = is_number(value_type);
    let wanted = if number {
        let text = positive.trim();
        match (text.parse::<i128>(), text.parse::<f64>()) {
            (Ok(whole), _) => whole.to_string(),
            (_, Ok(number)) if !number.is_nan() => (number + 0.0).to_string(),
            _ => return Err(unfit("a number, as the column holds")),
        }
    } else {
        plain(positive)
    };
    let found = |label: &Arc<str>| {
        if number && &**label == "NaN" {
            return None;
        }
        let same = **label == *wanted || (!number && plain(label) == wanted);
        Some(if same { as_positive.clone() } else { label.clone() })
    };
    Ok(labels.iter().map(|label| label.as_ref().and_then(found)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        Decimal128Array, Float64Array, Int8Array, Int16Array, Int64Array, NullArray, RecordBatch,
        StringArray, UInt64Array,
    };

    fn codes(array: impl Array + 'static) -> Codes {
        let array: ArrayRef = Arc::new(array);
        let batch = RecordBatch::try_from_iter_with_nullable([("x", array, true)]).unwrap();
        let rows = Rows::new(&batch);
        Arc::into_inner(Codes::of(&rows, "x").unwrap()).unwrap_or_else(|| {
            of_array("x", batch.column(0), &|| Categories::of("x", batch.column(0))).unwrap()
        })
    }

    /// The label of every row.
    fn labels(codes: &Codes) -> Vec<Option<&str>> {
        let label = |code: usize| codes.labels[code].as_deref();
        match &codes.rows {
            Keys::Bytes(codes) => codes.iter().map(|&code| label(code.into())).collect(),
            Keys::Words(codes) => codes.iter().map(|&code| label(code as usize)).collect(),
        }
    }

    fn check(array: impl Array + 'static, expected: &[Option<&str>]) {
        assert_eq!(labels(&codes(array)), expected);
    }

    fn classes(array: impl Array + 'static, positive: &str) -> Result<Vec<Option<String>>> {
        let data_type = array.data_type().clone();
        let codes = codes(array);
        let found = outcomes("x", &data_type, &codes.labels, Positive::Label(positive))?;
        let codes = Codes { labels: found, ..codes };
        Ok(labels(&codes).into_iter().map(|label| label.map(str::to_owned)).collect())
    }

    #[test]
    fn every_type_has_codes() {
        let (a, b) = (Some("a"), Some("b"));
        check(StringArray::from(vec![a, None, b, a]), &[a, None, b, a]);
        check(BooleanArray::from(vec![Some(true), None]), &[Some("true"), None]);
        check(NullArray::new(2), &[None, None]);
        let numbers = [Some("-1"), Some("2"), None, Some("2")];
        check(Int8Array::from(vec![Some(-1), Some(2), None, Some(2)]), &numbers);
        check(Int64Array::from(vec![Some(-1), Some(2), None, Some(2)]), &numbers);
        check(Float64Array::from(vec![Some(-1.0), Some(2.0), None, Some(2.0)]), &numbers);
        let many = ["-7", "0", "9", "0"].map(Some);
        check(Int16Array::from(vec![-7, 0, 9, 0]), &many);
        check(UInt64Array::from(vec![u64::MAX, 0]), &[Some("18446744073709551615"), Some("0")]);
        check(
            Float64Array::from(vec![0.5, -0.0, f64::NAN, 0.0, f64::NEG_INFINITY, -f64::NAN]),
            &["0.5", "0", "NaN", "0", "-inf", "NaN"].map(Some),
        );
        check(Float64Array::from(vec![f64::NAN, 1.0]), &["NaN", "1"].map(Some));
        let decimals = Decimal128Array::from(vec![Some(100), Some(150), None]);
        let decimals = decimals.with_precision_and_scale(5, 2).unwrap();
        check(decimals, &[Some("1"), Some("1.5"), None]);
    }

    #[test]
    fn dictionaries_are_read_through() {
        let of = |keys: Vec<Option<i8>>, values: Vec<Option<&str>>| {
            DictionaryArray::new(Int8Array::from(keys), Arc::new(StringArray::from(values)))
        };
        let (a, b, c) = (Some("a"), Some("b"), Some("c"));
        let keys = || vec![Some(2), Some(0), None, Some(1)];
        check(of(keys(), vec![a, b, c]), &[c, a, None, b]);
        check(of(keys(), vec![a, None, a]), &[a, a, None, None]);
        // More values than rows, and none at all.
        check(of(vec![Some(2)], vec![a, b, c]), &[c]);
        check(of(vec![None, None], vec![]), &[None, None]);
        // What stands under a null is no key.
        let nulls = NullBuffer::from(vec![true, false, true]);
        let keys = Int8Array::new(vec![0, -5, 1].into(), Some(nulls));
        let values: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        check(DictionaryArray::new(keys, values), &[a, None, b]);
        // 256 values, and null one more.
        for n in [255, 256, 257, 300] {
            let values: ArrayRef =
                Arc::new(StringArray::from_iter_values((0..n).map(|i| i.to_string())));
            let keys: Int16Array =
                (0..2 * n).map(|i| (i % 7 != 3).then_some((i % n) as i16)).collect();
            let expected: Vec<Option<String>> =
                (0..2 * n).map(|i| (i % 7 != 3).then(|| (i % n).to_string())).collect();
            let expected: Vec<_> = expected.iter().map(Option::as_deref).collect();
            check(DictionaryArray::new(keys, values), &expected);
        }
    }

    #[test]
    fn a_slice_is_what_its_rows_are() {
        let bits = BooleanArray::from((0..200).map(|i| i % 3 == 0).collect::<Vec<_>>());
        for (from, n) in [(0, 200), (1, 64), (63, 70), (199, 1), (5, 0)] {
            let expected: Vec<u8> = (from..from + n).map(|i| u8::from(i % 3 == 0)).collect();
            assert_eq!(bytes(bits.slice(from, n).values()), expected);
        }
        let numbers =
            Int64Array::from((0..300).map(|i| (i % 2 == 0).then_some(i)).collect::<Vec<_>>());
        let of = numbers.slice(7, 290);
        let expected: Vec<_> = (7..297).map(|i| (i % 2 == 0).then(|| i.to_string())).collect();
        check(of, &expected.iter().map(Option::as_deref).collect::<Vec<_>>());
    }

    #[test]
    fn bins_are_closed_below() {
        let numbers =
            Float64Array::from(vec![Some(24.9), Some(25.0), Some(65.0), Some(f64::NAN), None]);
        let array: ArrayRef = Arc::new(numbers);
        let batch = RecordBatch::try_from_iter_with_nullable([("x", array, true)]).unwrap();
        let rows = Rows::new(&batch);
        let codes = Codes::binned(&rows, "x", &[25.0, 65.0]).unwrap();
        let expected = [Some("< 25"), Some("[25, 65)"), Some("≥ 65"), Some("NaN"), None];
        assert_eq!(labels(&codes), expected);
        assert_eq!(labels(&Codes::binned(&rows, "x", &[]).unwrap())[0], Some("any"));
    }

    #[test]
    fn a_positive_label_is_found_in_every_type() {
        let yes = |positive: &str| vec![Some(positive.to_owned()), Some("0".into()), None];
        for positive in ["1", "1.0", "1e0", "+1"] {
            let whole = Int64Array::from(vec![Some(1), Some(0), None]);
            assert_eq!(classes(whole, positive).unwrap(), yes(positive));
            let floats = Float64Array::from(vec![1.0, -0.0, f64::NAN]);
            assert_eq!(classes(floats, positive).unwrap(), yes(positive));
        }
        for positive in ["1", "1.0"] {
            let bits = BooleanArray::from(vec![Some(true), Some(false), None]);
            assert_eq!(classes(bits, positive).unwrap(), yes(positive));
            let text = StringArray::from(vec![Some("1"), Some("0"), None]);
            assert_eq!(classes(text, positive).unwrap(), yes(positive));
        }
        let no = BooleanArray::from(vec![true, false]);
        let expected = vec![Some("true".to_owned()), Some("false".to_owned())];
        assert_eq!(classes(no, "false").unwrap(), expected);
        for (unfit, error) in [
            (classes(Int64Array::from(vec![1]), "yes"), "`x`"),
            (classes(BooleanArray::from(vec![true]), "yes"), "`x`"),
            (classes(Float64Array::from(vec![1.0]), "NaN"), "NaN"),
        ] {
            assert!(unfit.unwrap_err().to_string().contains(error));
        }
    }

    #[test]
    fn labels_are_plain() {
        for (label, expected) in
            [("1.0", "1"), ("-0.0", "0"), ("1.50", "1.5"), ("1e3", "1000"), ("007", "007")]
        {
            assert_eq!(plain(label), expected);
        }
        for label in ["9007199254740993", "NaN", "inf", "e", ".", "", "2020-01-01"] {
            assert_eq!(plain(label), label);
        }
    }
}
