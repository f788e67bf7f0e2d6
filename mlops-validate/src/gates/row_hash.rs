//! A hash of each row's values, the same wherever and in whatever form the values stand.

use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use mlops_core::{Categories, Error, Result, Rows, is_text, to_numbers};
use xxhash_rust::xxh3::xxh3_128;

/// The hash of a null.
const NULL: u128 = 0x6e75_6c6c;

/// A hash of 128 bits for each row, of the values of these columns in this order: two of 10⁹
/// different rows meet with a probability of 10⁻²¹.
///
/// A number is its value whatever its type (1, 1.0 and a dictionary's 1 are one; −0 is 0, NaN is
/// one value), text is its bytes; dates and times count in the unit of their type. Null equals
/// null.
pub(super) fn row_hashes(rows: &Rows<'_>, columns: &[String]) -> Result<Vec<u128>> {
    let mut hashes = vec![0_u128; rows.len()];
    for name in columns {
        let values = value_hashes(name, rows.column(name)?)?;
        for (hash, value) in hashes.iter_mut().zip(values) {
            let mut both = [0; 32];
            both[..16].copy_from_slice(&hash.to_le_bytes());
            both[16..].copy_from_slice(&value.to_le_bytes());
            *hash = xxh3_128(&both);
        }
    }
    Ok(hashes)
}

fn tagged(tag: u8, bytes: [u8; 16]) -> u128 {
    let mut whole = [tag; 17];
    whole[1..].copy_from_slice(&bytes);
    xxh3_128(&whole)
}

fn of_float(x: f64) -> u128 {
    let bits = if x.is_nan() { f64::NAN.to_bits() } else { (x + 0.0).to_bits() };
    tagged(1, u128::from(bits).to_le_bytes())
}

fn of_integer(x: i128) -> u128 {
    let float = x as f64;
    if float as i128 == x { of_float(float) } else { tagged(2, x.to_le_bytes()) }
}

fn value_hashes(name: &str, array: &ArrayRef) -> Result<Vec<u128>> {
    let nulls = array.logical_nulls();
    let valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    let each = |hash: &dyn Fn(usize) -> u128| -> Vec<u128> {
        (0..array.len()).map(|row| if valid(row) { hash(row) } else { NULL }).collect()
    };
    match array.data_type() {
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            if dictionary.values().len() > array.len() {
                return value_hashes(name, &take(dictionary.values(), dictionary.keys(), None)?);
            }
            let values = value_hashes(name, dictionary.values())?;
            let keys = cast(dictionary.keys(), &DataType::UInt64)?;
            let keys: &UInt64Array = keys.as_primitive::<UInt64Type>();
            Ok(each(&|row| values[keys.value(row) as usize]))
        }
        DataType::Boolean => {
            let values = array.as_boolean();
            Ok(each(&|row| tagged(3, u128::from(values.value(row)).to_le_bytes())))
        }
        other if is_text(other) => {
            let categories = Categories::of(name, array)?;
            let labels: Vec<u128> =
                categories.labels().iter().map(|l| xxh3_128(l.unwrap_or("").as_bytes())).collect();
            Ok(each(&|row| labels[categories.codes().value(row) as usize]))
        }
        DataType::UInt64 => {
            let values = array.as_primitive::<UInt64Type>();
            Ok(each(&|row| of_integer(values.value(row).into())))
        }
        other if other.is_integer() => {
            let values = cast(array, &DataType::Int64)?;
            let values = values.as_primitive::<Int64Type>();
            Ok(each(&|row| of_integer(values.value(row).into())))
        }
        other if other.is_temporal() && !matches!(other, DataType::Interval(_)) => {
            let kind = xxh3_128(other.to_string().as_bytes());
            let values = cast(array, &DataType::Int64)
                .or_else(|_| cast(&cast(array, &DataType::Int32)?, &DataType::Int64))?;
            let values = values.as_primitive::<Int64Type>();
            Ok(each(&|row| tagged(4, (kind ^ u128::from(values.value(row) as u64)).to_le_bytes())))
        }
        other if mlops_core::is_numeric(other) => {
            let values = to_numbers(name, array)?;
            Ok(each(&|row| of_float(values.value(row))))
        }
        other => Err(Error::column_type(name, "numbers, text, booleans, dates or times", other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{DictionaryArray, Float64Array, Int32Array, StringArray, StringViewArray};
    use arrow::datatypes::Int32Type;
    use mlops_core::batch;

    fn hashes(array: impl Array + 'static) -> Vec<u128> {
        let batch = batch! { "x" => array }.unwrap();
        row_hashes(&Rows::new(&batch), &["x".into()]).unwrap()
    }

    #[test]
    fn a_value_is_one_in_every_form() {
        let plain = hashes(StringArray::from(vec![Some("a"), None, Some("b"), Some("a")]));
        assert_eq!(plain[0], plain[3]);
        assert_eq!(
            hashes(StringViewArray::from(vec![Some("a"), None, Some("b"), Some("a")])),
            plain
        );
        let dictionary: DictionaryArray<Int32Type> =
            [Some("a"), None, Some("b"), Some("a")].into_iter().collect();
        assert_eq!(hashes(dictionary.clone()), plain);
        assert_eq!(hashes(dictionary.slice(2, 2)), plain[2..]);
        let floats = hashes(Float64Array::from(vec![Some(1.0), Some(-0.0), None, Some(f64::NAN)]));
        assert_eq!(floats[..3], hashes(Int32Array::from(vec![Some(1), Some(0), None])));
        assert_eq!(floats[3], hashes(Float64Array::from(vec![-f64::NAN]))[0]);
        let mut all = [plain[..3].to_vec(), floats].concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6, "only the nulls are equal");
        // Which column a value stands in matters.
        let swapped = |a: i32, b: i32| {
            let batch =
                batch! { "x" => Int32Array::from(vec![a]), "y" => Int32Array::from(vec![b]) };
            row_hashes(&Rows::new(&batch.unwrap()), &["x".into(), "y".into()]).unwrap()[0]
        };
        assert_ne!(swapped(1, 2), swapped(2, 1));
    }
}
