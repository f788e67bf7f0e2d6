//! How many rows each combination of codes has: the kernel that every count comes from.

use std::collections::HashMap;

use multiversion::multiversion;

use crate::codes::{Codes, Keys};

/// The rows of a block: they stay in the nearest cache, and a lane of bytes can count them.
const BLOCK: usize = 8192;
/// Up to so many combinations each is compared with all rows; more are counted row by row.
const COMPARED: usize = 48;
/// Up to so many combinations are told apart by arithmetic, however few rows there are.
const FEW: usize = 256;
/// Up to so many where there are rows enough.
const DENSE: usize = 1 << 16;

/// How many combinations there are by arithmetic, where that is few enough.
fn product(columns: &[&Codes], rows: usize) -> Option<usize> {
    let most = (4 * rows).clamp(FEW, DENSE);
    columns
        .iter()
        .try_fold(1_usize, |product, column| product.checked_mul(column.labels.len().max(1)))
        .filter(|&product| product <= most)
}

/// The sum of a code of each column, for every combination in the order of [`product`].
fn sums(parts: &[Vec<u128>]) -> Vec<u128> {
    parts.iter().fold(vec![0], |sums, column| {
        let column = if column.is_empty() { &[0][..] } else { column };
        sums.iter().flat_map(|sum| column.iter().map(move |part| sum + part)).collect()
    })
}

/// The keys of all combinations, in their order: those of one batch are mostly those of the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllKeys {
    parts: Vec<Vec<u128>>,
    keys: Vec<u128>,
}

impl AllKeys {
    fn of(&mut self, parts: &[Vec<u128>]) -> &[u128] {
        if self.keys.is_empty() || self.parts != parts {
            self.parts = parts.to_vec();
            self.keys = sums(parts);
        }
        &self.keys
    }
}

/// Calls back with the key of every combination that has rows, and their number. The key is the
/// sum of the parts that `parts` has for the code of each column.
pub(crate) fn tally(
    columns: &[&Codes],
    parts: &[Vec<u128>],
    rows: usize,
    all: &mut AllKeys,
    mut each: impl FnMut(u128, u64),
) {
    let counts = match product(columns, rows) {
        Some(n) if n <= FEW => count_bytes(columns, n, rows),
        Some(n) => count_mixed(columns, n, rows),
        None => {
            let places = Places::of(columns, parts, rows);
            let counts = count_words(&places.of_row, places.keys.len());
            places.keys.into_iter().zip(counts).for_each(|(key, n)| each(key, n));
            return;
        }
    };
    for (&key, n) in all.of(parts).iter().zip(counts) {
        if n > 0 {
            each(key, n);
        }
    }
}

/// The combination of every row.
#[derive(Debug)]
pub(crate) struct Places {
    /// An index into `keys`.
    pub(crate) of_row: Vec<u32>,
    /// Some may have no row.
    pub(crate) keys: Vec<u128>,
}

impl Places {
    /// With keys as in [`tally`].
    pub(crate) fn of(columns: &[&Codes], parts: &[Vec<u128>], rows: usize) -> Self {
        if product(columns, rows).is_some() {
            return Self { of_row: mixed(columns, rows), keys: sums(parts) };
        }
        let mut of_keys = vec![0_u128; rows];
        for (column, parts) in columns.iter().zip(parts) {
            match &column.rows {
                Keys::Bytes(codes) => {
                    of_keys.iter_mut().zip(codes).for_each(|(k, &c)| *k += parts[usize::from(c)]);
                }
                Keys::Words(codes) => {
                    of_keys.iter_mut().zip(codes).for_each(|(k, &c)| *k += parts[c as usize]);
                }
            }
        }
        let mut known: HashMap<u128, u32> = HashMap::new();
        let mut keys = Vec::new();
        let of_row = of_keys.into_iter().map(|key| {
            *known.entry(key).or_insert_with(|| {
                keys.push(key);
                keys.len() as u32 - 1
            })
        });
        let of_row = of_row.collect();
        Self { of_row, keys }
    }

    /// The rows of each combination together: calls back with a key, and the values of its rows.
    pub(crate) fn group<T: Copy + Default>(&self, values: &[T], mut each: impl FnMut(u128, &[T])) {
        let mut ends = vec![0_usize; self.keys.len() + 1];
        for &place in &self.of_row {
            ends[place as usize + 1] += 1;
        }
        for i in 1..ends.len() {
            ends[i] += ends[i - 1];
        }
        // Each start moves on to the end of its combination, which is the next one's start.
        let mut sorted = vec![T::default(); values.len()];
        for (&place, &value) in self.of_row.iter().zip(values) {
            let at = &mut ends[place as usize];
            sorted[*at] = value;
            *at += 1;
        }
        let mut start = 0;
        for (&key, &end) in self.keys.iter().zip(&ends) {
            if start < end {
                each(key, &sorted[start..end]);
            }
            start = end;
        }
    }
}

/// Each row's combination as a number in a mixed radix.
fn mixed(columns: &[&Codes], rows: usize) -> Vec<u32> {
    let mut places = vec![0_u32; rows];
    for column in columns {
        let radix = column.labels.len().max(1) as u32;
        match &column.rows {
            Keys::Bytes(codes) => add_bytes_to_words(&mut places, codes, radix),
            Keys::Words(codes) => add_words(&mut places, codes, radix),
        }
    }
    places
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn add_bytes_to_words(places: &mut [u32], codes: &[u8], radix: u32) {
    for (place, &code) in places.iter_mut().zip(codes) {
        *place = place.wrapping_mul(radix).wrapping_add(u32::from(code));
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn add_words(places: &mut [u32], codes: &[u32], radix: u32) {
    for (place, &code) in places.iter_mut().zip(codes) {
        *place = place.wrapping_mul(radix).wrapping_add(code);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn add_bytes(places: &mut [u8], codes: &[u8], radix: u8) {
    for (place, &code) in places.iter_mut().zip(codes) {
        *place = place.wrapping_mul(radix).wrapping_add(code);
    }
}

/// How many rows have each byte, below the number of counts.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn compare(places: &[u8], counts: &mut [u64]) {
    const LANES: usize = 64;
    let (chunks, rest) = places.as_chunks::<LANES>();
    for (value, count) in counts.iter_mut().enumerate() {
        // A block has fewer chunks than a byte can count.
        let mut lanes = [0_u8; LANES];
        for chunk in chunks {
            for (lane, &place) in lanes.iter_mut().zip(chunk) {
                *lane = lane.wrapping_add(u8::from(place == value as u8));
            }
        }
        *count += lanes.iter().map(|&lane| u64::from(lane)).sum::<u64>();
    }
    for &place in rest {
        counts[usize::from(place)] += 1;
    }
}

/// The rows of each of at most 256 combinations.
fn count_bytes(columns: &[&Codes], combinations: usize, rows: usize) -> Vec<u64> {
    let mut counts = vec![0_u64; FEW];
    let mut lanes = [[0_u32; FEW]; 4];
    let mut places = [0_u8; BLOCK];
    for start in (0..rows).step_by(BLOCK) {
        let n = BLOCK.min(rows - start);
        let places = &mut places[..n];
        places.fill(0);
        for (i, column) in columns.iter().enumerate() {
            // All columns have bytes: a product of at most 256 has no larger factor.
            let Keys::Bytes(codes) = &column.rows else { continue };
            let codes = &codes[start..start + n];
            if i == 0 {
                places.copy_from_slice(codes);
            } else {
                add_bytes(places, codes, column.labels.len().max(1) as u8);
            }
        }
        if combinations <= COMPARED {
            compare(places, &mut counts[..combinations]);
        } else {
            // Neighbours are often the same, and a count that was just written is slow to read.
            let (fours, rest) = places.as_chunks::<4>();
            for four in fours {
                for (lane, &place) in lanes.iter_mut().zip(four) {
                    lane[usize::from(place)] += 1;
                }
            }
            for &place in rest {
                lanes[0][usize::from(place)] += 1;
            }
        }
    }
    for lane in &lanes {
        counts.iter_mut().zip(lane).for_each(|(count, &n)| *count += u64::from(n));
    }
    counts.truncate(combinations);
    counts
}

/// The rows of each of many combinations, whose numbers are made block by block.
fn count_mixed(columns: &[&Codes], combinations: usize, rows: usize) -> Vec<u64> {
    // No batch has 2³² rows. The same counter twice in a row would wait for itself.
    let mut lanes = vec![0_u32; combinations * 2];
    let (even, odd) = lanes.split_at_mut(combinations);
    let mut places = [0_u32; BLOCK / 4];
    for start in (0..rows).step_by(places.len()) {
        let n = places.len().min(rows - start);
        let places = &mut places[..n];
        for (i, column) in columns.iter().enumerate() {
            let radix = column.labels.len().max(1) as u32;
            // The first column overwrites what is there.
            let radix = if i == 0 { 0 } else { radix };
            match &column.rows {
                Keys::Bytes(codes) => add_bytes_to_words(places, &codes[start..start + n], radix),
                Keys::Words(codes) => add_words(places, &codes[start..start + n], radix),
            }
        }
        count_in_two(places, even, odd);
    }
    even.iter().zip(odd).map(|(&a, b)| u64::from(a) + u64::from(*b)).collect()
}

/// The rows of each of many combinations.
fn count_words(places: &[u32], combinations: usize) -> Vec<u64> {
    // No batch has 2³² rows.
    let mut lanes = vec![0_u32; combinations * 2];
    let (even, odd) = lanes.split_at_mut(combinations);
    count_in_two(places, even, odd);
    even.iter().zip(odd).map(|(&a, b)| u64::from(a) + u64::from(*b)).collect()
}

/// Counts every other place apart: the next of one place need not wait for the last.
#[inline]
fn count_in_two(places: &[u32], even: &mut [u32], odd: &mut [u32]) {
    let (pairs, rest) = places.as_chunks::<2>();
    for &[a, b] in pairs {
        even[a as usize] += 1;
        odd[b as usize] += 1;
    }
    for &place in rest {
        even[place as usize] += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use mlops_core::stats::Draws;

    fn column(labels: usize, rows: usize, stream: u32) -> Codes {
        let mut draws = Draws::new(1, stream, 0);
        let codes: Vec<u32> = (0..rows).map(|_| draws.below(labels as u64) as u32).collect();
        Codes {
            rows: if labels <= 256 {
                Keys::Bytes(codes.iter().map(|&code| code as u8).collect())
            } else {
                Keys::Words(codes)
            },
            labels: (0..labels).map(|i| Some(i.to_string().into())).collect(),
        }
    }

    #[test]
    fn every_way_of_counting_is_the_same() {
        for (labels, rows) in [
            (vec![], 10),
            (vec![3], 0),
            (vec![0], 0),
            (vec![2, 3], 20_000),
            (vec![5, 3, 3], 8193),
            (vec![16, 4, 4], 30_001),
            (vec![300, 2], 5000),
            (vec![11, 11, 11, 2, 2], 20_000),
            (vec![300, 300, 2], 3000),
            (vec![200, 7], 9),
        ] {
            let columns: Vec<_> =
                labels.iter().enumerate().map(|(i, &n)| column(n, rows, i as u32)).collect();
            let columns: Vec<_> = columns.iter().collect();
            let parts: Vec<Vec<u128>> = (0..labels.len())
                .map(|i| (0..labels[i] as u128).map(|code| code << (10 * i)).collect())
                .collect();
            let mut expected = BTreeMap::new();
            let mut keys = Vec::new();
            for row in 0..rows {
                let key = columns.iter().zip(&parts).fold(0, |key, (column, parts)| {
                    key + match &column.rows {
                        Keys::Bytes(codes) => parts[usize::from(codes[row])],
                        Keys::Words(codes) => parts[codes[row] as usize],
                    }
                });
                *expected.entry(key).or_insert(0) += 1;
                keys.push(key);
            }
            let mut found = BTreeMap::new();
            tally(&columns, &parts, rows, &mut AllKeys::default(), |key, n| {
                *found.entry(key).or_insert(0) += n;
            });
            assert_eq!(found, expected, "{labels:?}");
            let mut found = BTreeMap::new();
            Places::of(&columns, &parts, rows).group(&keys, |key, values| {
                assert!(values.iter().all(|value| *value == key));
                found.insert(key, values.len() as u64);
            });
            assert_eq!(found, expected, "{labels:?}");
        }
    }
}
