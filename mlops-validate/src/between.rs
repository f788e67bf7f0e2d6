//! Which values of a slice lie between two bounds: 64 to a word, at the speed of memory.

use arrow::buffer::{BooleanBuffer, Buffer};
use multiversion::multiversion;

/// Numbers that can be compared many at a time.
pub(crate) trait Between: Copy {
    /// For every value whether `low <= value <= high`; NaN lies between no bounds.
    fn between(values: &[Self], low: Self, high: Self) -> BooleanBuffer;
}

/// The loops over one type, compiled for each machine and chosen at run time.
///
/// Mostly all of 64 values pass, which is found out without a look at which.
macro_rules! between {
    ($($native:ident)*) => {$(
        impl Between for $native {
            fn between(values: &[Self], low: Self, high: Self) -> BooleanBuffer {
                #[multiversion(targets(
                    "x86_64+avx512f+avx512dq+avx512vl+avx512bw+avx2+fma",
                    "x86_64+avx2+fma",
                    "aarch64+neon"
                ))]
                fn pack(words: &mut Vec<u64>, values: &[$native], low: $native, high: $native) {
                    let (chunks, rest) = values.as_chunks::<64>();
                    for chunk in chunks {
                        let mut all = true;
                        for x in chunk {
                            all &= (low <= *x) & (*x <= high);
                        }
                        if all {
                            words.push(u64::MAX);
                            continue;
                        }
                        let mut passes = [0; 64];
                        for (passes, x) in passes.iter_mut().zip(chunk) {
                            *passes = u8::from((low <= *x) & (*x <= high));
                        }
                        let (bytes, _) = passes.as_chunks::<8>();
                        words.push(bytes.iter().rev().fold(0, |word, bytes| {
                            // Brings the low bit of each byte to its place in the highest byte.
                            let bits = u64::from_le_bytes(*bytes).wrapping_mul(0x0102_0408_1020_4080);
                            word << 8 | bits >> 56
                        }));
                    }
                    if !rest.is_empty() {
                        words.push(rest.iter().rev().fold(0, |word, x| {
                            word << 1 | u64::from((low <= *x) & (*x <= high))
                        }));
                    }
                }
                let mut words = Vec::with_capacity(values.len().div_ceil(64));
                pack(&mut words, values, low, high);
                BooleanBuffer::new(Buffer::from_vec(words), 0, values.len())
            }
        }
    )*};
}

between! { i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 }

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_is_what_a_look_at_every_value_finds(
            values in prop::collection::vec(
                prop_oneof![8 => -3i8..=3, 1 => prop::sample::select(vec![-100, 7, i8::MAX])],
                0..300,
            ),
            low in -4i8..=4,
            high in -4i8..=4,
            wide in any::<bool>(),
        ) {
            let (low, high) = if wide { (-5, 5) } else { (low, high) };
            let slowly = values.iter().map(|x| low <= *x && *x <= high).collect::<BooleanBuffer>();
            prop_assert_eq!(i8::between(&values, low, high), slowly.clone());
            let ints: Vec<_> = values.iter().map(|x| i64::from(*x)).collect();
            prop_assert_eq!(i64::between(&ints, low.into(), high.into()), slowly.clone());
            let floats: Vec<_> = values.iter().map(|x| f32::from(*x)).collect();
            prop_assert_eq!(f32::between(&floats, low.into(), high.into()), slowly);
            let floats: Vec<_> =
                values.iter().map(|x| if *x == 7 { f64::NAN } else { f64::from(*x) }).collect();
            let inside = values.iter().map(|x| *x != 7 && low <= *x && *x <= high);
            prop_assert_eq!(
                f64::between(&floats, low.into(), high.into()),
                inside.collect::<BooleanBuffer>()
            );
        }
    }
}
