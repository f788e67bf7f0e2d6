//! How often each of many 64-bit words stands among them, at the speed of memory.
//!
//! Three ways, from the cheapest: batches that ascend and do not overlap are proven by their ends
//! alone; words that lie close together are bits of a map; all others are dealt out by the first
//! bits of their hashes, so that each part is counted in a table that stays in the cache.

use std::collections::BTreeMap;

use multiversion::multiversion;
use rayon::prelude::*;

use super::chunk::{Raw, RawKeys, Shape, mix};

/// How many keys stand how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Frequencies {
    /// Of the small counts, which nearly all are.
    few: Vec<u64>,
    many: BTreeMap<u64, u64>,
}

impl Frequencies {
    const FEW: usize = 256;

    pub(super) fn add(&mut self, count: u64, keys: u64) {
        if count < Self::FEW as u64 {
            if self.few.is_empty() {
                self.few = vec![0; Self::FEW];
            }
            self.few[count as usize] += keys;
        } else {
            *self.many.entry(count).or_default() += keys;
        }
    }

    fn merge(&mut self, other: Self) {
        for (count, keys) in other.finish() {
            self.add(count, keys);
        }
    }

    pub(super) fn finish(self) -> BTreeMap<u64, u64> {
        let few = (0..).zip(self.few).filter(|&(_, keys)| keys > 0);
        let mut all = self.many;
        all.extend(few);
        all
    }
}

/// How often the hashes stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) frequencies: Frequencies,
    /// The hashes that stand more than once, in order, and how often.
    pub(super) repeated: Vec<(u64, u64)>,
}

/// One look at a batch of words.
pub(super) fn shape(words: &[i64]) -> Option<Shape> {
    let (&first, &last) = (words.first()?, words.last()?);
    if ascends(words) {
        return Some(Shape { ascending: true, min: first, max: last });
    }
    let (min, max) = range(words);
    Some(Shape { ascending: false, min, max })
}

fn ascends(words: &[i64]) -> bool {
    // Most batches that don't ascend say so at once.
    const BLOCK: usize = 1024;
    (0..words.len()).step_by(BLOCK).all(|at| {
        // One word of the next block is looked at, too.
        let end = (at + BLOCK + 1).min(words.len());
        block_ascends(&words[at..end])
    })
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn block_ascends(words: &[i64]) -> bool {
    let Some((_, next)) = words.split_first() else { return true };
    words.iter().zip(next).fold(0u64, |bad, (a, b)| bad | u64::from(a >= b)) == 0
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn range(words: &[i64]) -> (i64, i64) {
    words.iter().fold((i64::MAX, i64::MIN), |(min, max), &w| (min.min(w), max.max(w)))
}

/// How often each key stands; of bytes, each hash.
pub(super) fn tally(raws: &[&Raw]) -> Tally {
    let n: usize = raws.iter().map(|raw| raw.count()).sum();
    let mut shapes = Vec::with_capacity(raws.len());
    for raw in raws {
        match raw.shape {
            Some(shape) => shapes.push(shape),
            None if raw.len() == 0 => {}
            None => return scatter(raws, n),
        }
    }
    if shapes.is_empty() {
        return Tally::default();
    }
    if shapes.iter().all(|shape| shape.ascending) {
        shapes.sort_unstable_by_key(|shape| shape.min);
        if shapes.windows(2).all(|w| w[0].max < w[1].min) {
            let mut all_once = Tally::default();
            all_once.frequencies.add(1, n as u64);
            return all_once;
        }
    }
    let min = shapes.iter().fold(i64::MAX, |min, shape| min.min(shape.min));
    let max = shapes.iter().fold(i64::MIN, |max, shape| max.max(shape.max));
    let width = max.wrapping_sub(min) as u64;
    if width < COUNTED {
        counted(raws, min, width as usize + 1)
    } else if width / 8 < n as u64 {
        mapped(raws, min, width as usize + 1)
    } else {
        scatter(raws, n)
    }
}

/// Shows every word that counts.
#[inline]
fn each_word(raw: &Raw, mut each: impl FnMut(i64)) {
    match (&raw.keys, &raw.valid) {
        (RawKeys::Words(words), None) => words.iter().for_each(|&word| each(word)),
        (RawKeys::Words(words), Some(valid)) => {
            valid.valid_indices().for_each(|row| each(words[row]));
        }
        (RawKeys::Bytes(..), _) => {}
    }
}

/// Pieces of about equal size, one for each thread.
fn shares<'r, 'a>(raws: &'r [&'a Raw]) -> Vec<&'r [&'a Raw]> {
    let threads = rayon::current_num_threads().max(1);
    let total: usize = raws.iter().map(|raw| raw.len()).sum();
    let mut shares = Vec::with_capacity(threads);
    let mut rest = raws;
    for left in (1..=threads).rev() {
        let share = rest.iter().map(|raw| raw.len()).sum::<usize>().div_ceil(left);
        let mut rows = 0;
        let n = rest
            .iter()
            .position(|raw| {
                rows += raw.len();
                rows >= share
            })
            .map_or(rest.len(), |i| i + 1);
        let (head, tail) = rest.split_at(if left == 1 { rest.len() } else { n });
        rest = tail;
        if !head.is_empty() {
            shares.push(head);
        }
    }
    debug_assert_eq!(total, shares.iter().flat_map(|s| s.iter()).map(|r| r.len()).sum::<usize>());
    shares
}

/// So few different words that each has its own count, in the cache.
const COUNTED: u64 = 1 << 16;

fn counted(raws: &[&Raw], min: i64, width: usize) -> Tally {
    let counts: Vec<Vec<u64>> = shares(raws)
        .into_par_iter()
        .map(|share| {
            let mut counts = vec![0u64; width];
            for raw in share {
                each_word(raw, |word| counts[word.wrapping_sub(min) as u64 as usize] += 1);
            }
            counts
        })
        .collect();
    let mut found = Tally::default();
    for at in 0..width {
        let count: u64 = counts.iter().map(|counts| counts[at]).sum();
        if count > 0 {
            found.frequencies.add(count, 1);
        }
        if count > 1 {
            found.repeated.push((mix(min.wrapping_add(at as i64)), count));
        }
    }
    found.repeated.sort_unstable();
    found
}

/// A bit for every word that was seen, and one for every word that was seen again.
fn mapped(raws: &[&Raw], min: i64, width: usize) -> Tally {
    let maps = shares(raws)
        .into_par_iter()
        .map(|share| {
            let mut seen = vec![0u64; width.div_ceil(64)];
            let mut again = vec![0u64; width.div_ceil(64)];
            for raw in share {
                each_word(raw, |word| {
                    let at = word.wrapping_sub(min) as u64 as usize;
                    let bit = 1 << (at % 64);
                    let known = &mut seen[at / 64];
                    if *known & bit == 0 {
                        *known |= bit;
                    } else {
                        again[at / 64] |= bit;
                    }
                });
            }
            (seen, again)
        })
        .reduce_with(|(mut seen, mut again), (seen_too, again_too)| {
            let theirs = seen_too.iter().zip(&again_too);
            for ((seen, again), (seen_too, again_too)) in
                seen.iter_mut().zip(&mut again).zip(theirs)
            {
                *again |= again_too | (*seen & seen_too);
                *seen |= seen_too;
            }
            (seen, again)
        });
    let mut found = Tally::default();
    let Some((seen, again)) = maps else { return found };
    let ones = |map: &[u64]| map.iter().map(|w| u64::from(w.count_ones())).sum::<u64>();
    let repeated = ones(&again);
    found.frequencies.add(1, ones(&seen) - repeated);
    if repeated == 0 {
        return found;
    }
    // The place of a word's count: how many bits stand before its own.
    let mut before = Vec::with_capacity(again.len());
    let mut sum = 0usize;
    for word in &again {
        before.push(sum);
        sum += word.count_ones() as usize;
    }
    let counts: Vec<Vec<u64>> = shares(raws)
        .into_par_iter()
        .map(|share| {
            let mut counts = vec![0u64; sum];
            for raw in share {
                each_word(raw, |word| {
                    let at = word.wrapping_sub(min) as u64 as usize;
                    let (bits, bit) = (again[at / 64], 1u64 << (at % 64));
                    if bits & bit != 0 {
                        let place = before[at / 64] + (bits & (bit - 1)).count_ones() as usize;
                        counts[place] += 1;
                    }
                });
            }
            counts
        })
        .collect();
    found.repeated.reserve_exact(sum);
    let mut place = 0;
    for (at, &word) in again.iter().enumerate() {
        let mut bits = word;
        while bits != 0 {
            let value = min.wrapping_add((at * 64) as i64 + i64::from(bits.trailing_zeros()));
            let count: u64 = counts.iter().map(|counts| counts[place]).sum();
            found.frequencies.add(count, 1);
            found.repeated.push((mix(value), count));
            place += 1;
            bits &= bits - 1;
        }
    }
    found.repeated.par_sort_unstable();
    found
}

/// Words of a part, about: its table of twice as many stays in the second cache.
const PART: usize = 1 << 13;
const MOST_BITS: u32 = 12;

/// Deals the hashes out by their first bits, then counts each part.
fn scatter(raws: &[&Raw], n: usize) -> Tally {
    let bits = (n / PART).max(1).ilog2().min(MOST_BITS);
    // Twice, because nothing is shifted by 64.
    let part_of = |hash: u64| ((hash >> 1) >> (63 - bits)) as usize;
    let dealt: Vec<(Vec<usize>, Vec<u64>)> = shares(raws)
        .into_par_iter()
        .map(|share| {
            let mut ends = vec![0usize; 1 << bits];
            for raw in share {
                raw.each_hash(|_, hash| ends[part_of(hash)] += 1);
            }
            let mut sum = 0;
            for end in &mut ends {
                sum += *end;
                *end = sum - *end;
            }
            let mut hashes = vec![0u64; sum];
            for raw in share {
                raw.each_hash(|_, hash| {
                    let end = &mut ends[part_of(hash)];
                    hashes[*end] = hash;
                    *end += 1;
                });
            }
            (ends, hashes)
        })
        .collect();
    let tallies: Vec<Tally> = (0..1usize << bits)
        .into_par_iter()
        .map_init(Table::default, |table, part| {
            let slices: Vec<&[u64]> = dealt
                .iter()
                .map(|(ends, hashes)| {
                    let from = if part == 0 { 0 } else { ends[part - 1] };
                    &hashes[from..ends[part]]
                })
                .collect();
            count_part(table, &slices, bits)
        })
        .collect();
    let mut found = Tally::default();
    found.repeated.reserve_exact(tallies.iter().map(|t| t.repeated.len()).sum());
    for tally in tallies {
        found.frequencies.merge(tally.frequencies);
        found.repeated.extend(tally.repeated);
    }
    found
}

/// Open addressing; zero is no hash and counted apart.
#[derive(Default)]
struct Table {
    hashes: Vec<u64>,
    /// How often each was seen again.
    again: Vec<u64>,
}

/// Where a table starts when there are many hashes, which may all be equal.
const START: usize = 1 << 15;

fn count_part(table: &mut Table, slices: &[&[u64]], skip: u32) -> Tally {
    let n: usize = slices.iter().map(|slice| slice.len()).sum();
    if n == 0 {
        return Tally::default();
    }
    let mut capacity = (2 * n).next_power_of_two().clamp(16, START.max(2 * PART));
    let mut zeros = 0u64;
    let mut known = 0usize;
    // A probe or two a hash; far more, and somebody has chosen the words to that end.
    let mut patience = 32 * n + 1024;
    table.clear(capacity);
    for slice in slices {
        for &hash in *slice {
            if hash == 0 {
                zeros += 1;
                continue;
            }
            let mask = capacity - 1;
            let mut at = place(hash, skip, capacity);
            loop {
                let there = table.hashes[at];
                if there == hash {
                    table.again[at] += 1;
                    break;
                }
                if there == 0 {
                    table.hashes[at] = hash;
                    known += 1;
                    break;
                }
                at = (at + 1) & mask;
                patience -= 1;
                if patience == 0 {
                    return count_sorted(slices);
                }
            }
            if known * 2 > capacity {
                capacity *= 2;
                table.grow(capacity, skip);
            }
        }
    }
    let mut found = Tally::default();
    if zeros > 0 {
        found.frequencies.add(zeros, 1);
    }
    if zeros > 1 {
        found.repeated.push((0, zeros));
    }
    if known as u64 + zeros == n as u64 {
        found.frequencies.add(1, known as u64);
        return found;
    }
    for (&hash, &again) in table.hashes.iter().zip(&table.again) {
        if again > 0 {
            found.frequencies.add(again + 1, 1);
            found.repeated.push((hash, again + 1));
        }
    }
    let once = known - (found.repeated.len() - usize::from(zeros > 1));
    found.frequencies.add(1, once as u64);
    found.repeated.sort_unstable();
    found
}

/// The first place to look, by the bits after those that chose the part.
#[inline]
fn place(hash: u64, skip: u32, capacity: usize) -> usize {
    ((hash << skip) >> (64 - capacity.trailing_zeros())) as usize
}

impl Table {
    fn clear(&mut self, capacity: usize) {
        self.hashes.clear();
        self.hashes.resize(capacity, 0);
        self.again.clear();
        self.again.resize(capacity, 0);
    }

    fn grow(&mut self, capacity: usize, skip: u32) {
        let old = std::mem::take(self);
        self.clear(capacity);
        for (hash, again) in old.hashes.into_iter().zip(old.again) {
            if hash != 0 {
                let mut at = place(hash, skip, capacity);
                while self.hashes[at] != 0 {
                    at = (at + 1) & (capacity - 1);
                }
                self.hashes[at] = hash;
                self.again[at] = again;
            }
        }
    }
}

/// For hashes that crowd in a table.
fn count_sorted(slices: &[&[u64]]) -> Tally {
    let mut hashes = slices.concat();
    hashes.sort_unstable();
    let mut found = Tally::default();
    for same in hashes.chunk_by(|a, b| a == b) {
        found.frequencies.add(same.len() as u64, 1);
        if same.len() > 1 {
            found.repeated.push((same[0], same.len() as u64));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_of_batches() {
        let of = |words: &[i64]| shape(words).map(|s| (s.ascending, s.min, s.max));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[3]), Some((true, 3, 3)));
        assert_eq!(of(&[-3, 0, 9]), Some((true, -3, 9)));
        assert_eq!(of(&[1, 1]), Some((false, 1, 1)));
        let mut long: Vec<i64> = (0..5000).collect();
        assert_eq!(of(&long), Some((true, 0, 4999)));
        for at in [0, 1023, 1024, 2047, 2048, 4998] {
            long.swap(at, at + 1);
            assert_eq!(of(&long), Some((false, 0, 4999)), "swapped at {at}");
            long.swap(at, at + 1);
        }
    }

    #[test]
    fn crowding_hashes_are_sorted() {
        // All of one first place, by the hundred thousand.
        let hashes: Vec<u64> = (0..20_000u64).map(|i| i % 15_000).collect();
        let crowded = count_part(&mut Table::default(), &[&hashes], 0);
        assert_eq!(crowded, count_sorted(&[&hashes]));
        assert_eq!(crowded.repeated.len(), 5000);
        assert_eq!(crowded.frequencies.finish(), [(1, 10_000), (2, 5000)].into());
    }

    #[test]
    fn tables_grow() {
        let hashes: Vec<u64> = (0..300_000).map(|i| mix(i % 100_000)).collect();
        let found = count_part(&mut Table::default(), &[&hashes], 0);
        assert_eq!(found, count_sorted(&[&hashes]));
    }
}
