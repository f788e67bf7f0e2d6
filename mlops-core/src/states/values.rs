//! The values of a column without its nulls, in blocks that stay in the nearest cache.

use arrow::array::{Array, Float64Array};

use super::dyadic::{ALL_VALID, Valid};
use super::kernel::BLOCK;

/// More rows than anyone has, and few enough that counts read back can be added without care.
pub(super) const MOST_ROWS: u64 = 1 << 56;

pub(super) use crate::bytes::{take_count, too_many};

/// Shows every value that is not null, in blocks. Without nulls these are the column itself.
pub(super) fn for_each_block(array: &Float64Array, mut each: impl FnMut(&[f64])) {
    let values = array.values();
    let Some(nulls) = array.nulls().filter(|n| n.null_count() > 0) else {
        for block in values.chunks(BLOCK) {
            each(block);
        }
        return;
    };
    let bits = nulls.inner();
    // Values are packed by the validity of 64 at a time; the buffer is shown when it may not hold
    // the next 64.
    let mut packed = [0.0; BLOCK + 64];
    let mut n = 0;
    let chunks = bits.bit_chunks();
    let words = chunks.iter().chain([chunks.remainder_bits()]);
    for (values, word) in values.chunks(64).zip(words) {
        if word == u64::MAX && values.len() == 64 {
            packed[n..n + 64].copy_from_slice(values);
            n += 64;
        } else {
            for (i, &x) in values.iter().enumerate() {
                packed[n] = x;
                n += (word >> i & 1) as usize;
            }
        }
        if n >= BLOCK {
            each(&packed[..BLOCK]);
            packed.copy_within(BLOCK.., 0);
            n -= BLOCK;
        }
    }
    if n > 0 {
        each(&packed[..n]);
    }
}

/// Shows all rows in blocks, with which of them are valid.
pub(super) fn for_each_masked_block(array: &Float64Array, mut each: impl FnMut(&[f64], &Valid)) {
    let blocks = array.values().chunks(BLOCK);
    let Some(nulls) = array.nulls().filter(|n| n.null_count() > 0) else {
        for block in blocks {
            each(block, &ALL_VALID);
        }
        return;
    };
    let chunks = nulls.inner().bit_chunks();
    let mut words = chunks.iter().chain([chunks.remainder_bits()]);
    for block in blocks {
        let valid = std::array::from_fn(|_| words.next().unwrap_or_default());
        each(block, &valid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn shows_what_is_valid(
            column in prop::collection::vec(prop::option::weighted(0.7, 0.0..1e3), 0..3000),
            from in 0usize..200,
        ) {
            let array = Float64Array::from(column);
            let array = array.slice(from.min(array.len()), array.len().saturating_sub(from));
            let mut seen = Vec::new();
            for_each_block(&array, |block| {
                assert!(block.len() <= BLOCK);
                seen.extend_from_slice(block);
            });
            let valid: Vec<_> = array.iter().flatten().collect();
            prop_assert_eq!(&seen, &valid);
            seen.clear();
            for_each_masked_block(&array, |block, valid| {
                let rows = block.iter().enumerate();
                seen.extend(rows.filter(|(i, _)| valid[i / 64] >> (i % 64) & 1 == 1).map(|r| r.1));
            });
            prop_assert_eq!(seen, valid);
        }
    }
}
