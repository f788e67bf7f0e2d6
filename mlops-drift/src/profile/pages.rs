//! Counters of runs of keys, in bounded memory, in any order.

use mlops_core::bytes::{
    add_count, bad, put_len, put_u8, put_u64, take_count, take_len, take_u8, take_u64,
};
use mlops_core::{Error, Result};

/// Two to this are the counters of a page: a cache line.
const PAGE_BITS: u32 = 3;
const PAGE: usize = 1 << PAGE_BITS;
/// At the widest there are two pages, one for each sign.
const WIDEST: u32 = 63 - PAGE_BITS;
/// 2⁶⁴ over the golden ratio: the top bits of a product with it depend on all bits of the other.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// How many keys fall into each bucket: the run of keys that agree but for the lowest `shift` bits.
///
/// Eight neighbouring buckets are a page, and there are pages only where there are keys. The shift
/// is the smallest that needs no more than `most` pages. That is a function of the set of keys, and
/// of a part never more than of the whole; so parts in any order give the same counters.
#[derive(Clone, Debug)]
pub(crate) struct Pages {
    shift: u32,
    most: usize,
    /// Of each page its key's upper bits, in the order in which they came.
    ids: Vec<u64>,
    counts: Vec<[u64; PAGE]>,
    /// A hash table of pages: one more than the index of a page, 0 for none.
    slots: Vec<u32>,
}

impl Pages {
    /// At least two pages.
    pub(crate) fn new(most: usize) -> Self {
        Self { shift: 0, most, ids: Vec::new(), counts: Vec::new(), slots: Vec::new() }
    }

    /// How many of the lowest bits of a key its bucket leaves out.
    pub(crate) fn shift(&self) -> u32 {
        self.shift
    }

    fn find(&self, id: u64) -> Option<usize> {
        if self.slots.is_empty() { None } else { find(&self.slots, &self.ids, id) }
    }

    /// Gives a new page its place in the table.
    fn place(&mut self, id: u64, page: usize) {
        let mask = self.slots.len() - 1;
        let mut at = slot(&self.slots, id);
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = page as u32 + 1;
    }

    fn insert(&mut self, id: u64) -> usize {
        let page = self.ids.len();
        self.ids.push(id);
        self.counts.push([0; PAGE]);
        if 2 * self.ids.len() > self.slots.len() {
            self.slots.clear();
            self.slots.resize((4 * self.ids.len()).next_power_of_two(), 0);
            for page in 0..self.ids.len() {
                self.place(self.ids[page], page);
            }
        } else {
            self.place(id, page);
        }
        page
    }

    /// The page of the first of these keys, made if there is none; the shift may be larger
    /// afterwards, as all of the keys want it.
    fn page_of(&mut self, keys: &[u64]) -> Option<usize> {
        let key = *keys.first()?;
        loop {
            let id = key >> (self.shift + PAGE_BITS);
            if let Some(page) = self.find(id) {
                return Some(page);
            }
            if self.ids.len() < self.most || self.shift == WIDEST {
                return Some(self.insert(id));
            }
            let step = self.least_step(keys);
            self.widen(step);
        }
    }

    /// The smallest step of the shift after which the pages and those of new keys are no more than
    /// allowed, or a smaller one.
    fn least_step(&self, keys: &[u64]) -> u32 {
        // Beyond the first step, which is large, one bit most often does.
        if self.shift > 0 {
            return 1;
        }
        let new = keys.iter().map(|key| key >> PAGE_BITS);
        let mut ids: Vec<_> = self.ids.iter().copied().chain(new).collect();
        ids.sort_unstable();
        // Two neighbours meet at the step that leaves out all bits in which they differ.
        let mut meet = [0usize; 65];
        for pair in ids.windows(2) {
            meet[(64 - (pair[0] ^ pair[1]).leading_zeros()) as usize] += 1;
        }
        let mut left = ids.len();
        for (step, met) in (0..=WIDEST).zip(meet) {
            left -= met;
            if left <= self.most {
                return step.max(1);
            }
        }
        WIDEST
    }

    fn widen(&mut self, step: u32) {
        let step = step.min(WIDEST - self.shift);
        self.shift += step;
        self.slots.fill(0);
        // In place: what was put together never overtakes what is still to come.
        let mut kept = 0;
        for at in 0..self.ids.len() {
            let (before, counts) = (self.ids[at], self.counts[at]);
            let id = before >> step;
            let page = self.find(id).unwrap_or_else(|| {
                self.ids[kept] = id;
                self.counts[kept] = [0; PAGE];
                self.place(id, kept);
                kept += 1;
                kept - 1
            });
            for (bucket, count) in (before << PAGE_BITS..).zip(counts) {
                add_count(&mut self.counts[page][(bucket >> step) as usize % PAGE], count);
            }
        }
        self.ids.truncate(kept);
        self.counts.truncate(kept);
    }

    fn merge_count(&mut self, key: u64, count: u64) {
        let Some(page) = self.page_of(&[key]) else { return };
        add_count(&mut self.counts[page][(key >> self.shift) as usize % PAGE], count);
    }

    /// Counts keys.
    pub(crate) fn add(&mut self, keys: &[u64]) {
        let mut left = keys;
        while let Some(page) = self.page_of(left) {
            // This page is there now; those of the keys after it may be.
            let shift = self.shift;
            self.counts[page][(left[0] >> shift) as usize % PAGE] += 1;
            left = &left[1..];
            let (slots, ids, counts) = (&self.slots[..], &self.ids[..], &mut self.counts[..]);
            let known = left.iter().take_while(|key| {
                let bucket = **key >> shift;
                let page = find(slots, ids, bucket >> PAGE_BITS);
                if let Some(page) = page {
                    counts[page][bucket as usize % PAGE] += 1;
                }
                page.is_some()
            });
            left = &left[known.count()..];
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) -> Result<()> {
        if self.most != other.most {
            let reason = format!("at most {} pages and {}", self.most, other.most);
            return Err(Error::merge("counts of keys", reason));
        }
        if other.shift > self.shift {
            self.widen(other.shift - self.shift);
        }
        for (bucket, count) in other.buckets() {
            self.merge_count(bucket << other.shift, count);
        }
        Ok(())
    }

    /// The buckets that have keys, in order.
    pub(crate) fn buckets(&self) -> Vec<(u64, u64)> {
        let of_page = |(id, counts): (&u64, &[u64; PAGE])| {
            let first = id << PAGE_BITS;
            (0..).zip(*counts).filter(|(_, count)| *count > 0).map(move |(i, n)| (first | i, n))
        };
        let mut all: Vec<_> = self.ids.iter().zip(&self.counts).flat_map(of_page).collect();
        all.sort_unstable();
        all
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_u8(out, self.shift as u8);
        let buckets = self.buckets();
        put_len(out, buckets.len());
        for (bucket, count) in buckets {
            put_u64(out, bucket);
            put_u64(out, count);
        }
    }

    pub(crate) fn decode(bytes: &mut &[u8], most: usize) -> Result<Self> {
        let mut pages = Self::new(most);
        let shift = u32::from(take_u8(bytes)?);
        if shift > WIDEST {
            return Err(bad(bytes, format!("a shift of at most {WIDEST}"), shift));
        }
        pages.shift = shift;
        let n = take_len(bytes, 16)?;
        let (mut last, mut total) = (None, 0);
        for _ in 0..n {
            let (bucket, count) = (take_u64(bytes)?, take_count(bytes)?);
            total += u128::from(count);
            if last >= Some(bucket) || bucket > u64::MAX >> shift || count == 0 || total > 1 << 56 {
                return Err(bad(bytes, "buckets in order with counts of rows", bucket));
            }
            last = Some(bucket);
            pages.merge_count(bucket << shift, count);
            if pages.shift != shift {
                return Err(bad(bytes, format!("buckets of at most {most} pages"), n));
            }
        }
        Ok(pages)
    }

    /// Bytes of memory.
    pub(crate) fn size(&self) -> usize {
        8 * self.ids.capacity() + 8 * PAGE * self.counts.capacity() + 4 * self.slots.capacity()
    }

    /// The most bytes of memory that so many pages take.
    pub(crate) fn most_bytes(most: usize) -> usize {
        let pages = most.next_power_of_two().max(4);
        (8 + 8 * PAGE) * pages + 4 * 4 * pages
    }
}

/// Where in a table of at least two slots to look first: the top bits of the product are those that
/// depend on all bits of the other.
fn slot(slots: &[u32], id: u64) -> usize {
    (id.wrapping_mul(GOLDEN) >> (64 - slots.len().trailing_zeros())) as usize
}

#[inline]
fn find(slots: &[u32], ids: &[u64], id: u64) -> Option<usize> {
    let mut at = slot(slots, id);
    // A table is never more than half full.
    loop {
        let page = (slots[at] as usize).checked_sub(1)?;
        if ids[page] == id {
            return Some(page);
        }
        at = (at + 1) & (slots.len() - 1);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn the_smallest_shift_and_every_key_counted(
            near in prop::collection::vec(0u64..400, 0..200),
            far in prop::collection::vec(any::<u64>(), 0..60),
            bits in 0u32..50,
            most in 2usize..40,
            cut in 0usize..260,
        ) {
            let keys: Vec<_> = near.iter().map(|k| k << bits).chain(far).collect();
            let mut pages = Pages::new(most);
            pages.add(&keys);
            let needed = |shift: u32| {
                keys.iter().map(|k| k >> (shift + PAGE_BITS)).collect::<BTreeSet<_>>().len()
            };
            let shift = (0..=WIDEST).find(|s| needed(*s) <= most).expect("two pages are enough");
            prop_assert_eq!(pages.shift(), shift);
            let mut counts = BTreeMap::new();
            for key in &keys {
                *counts.entry(key >> shift).or_insert(0) += 1;
            }
            prop_assert_eq!(pages.buckets(), counts.into_iter().collect::<Vec<_>>());
            prop_assert!(pages.size() <= Pages::most_bytes(most));

            let (left, right) = keys.split_at(cut.min(keys.len()));
            let part = |keys: &[u64]| {
                let mut part = Pages::new(most);
                keys.chunks(7).for_each(|chunk| part.add(chunk));
                part
            };
            let mut merged = part(right);
            merged.merge(&part(left)).expect("as many pages");
            let (mut a, mut b) = (Vec::new(), Vec::new());
            pages.encode(&mut a);
            merged.encode(&mut b);
            prop_assert_eq!(a, b);
        }
    }
}
