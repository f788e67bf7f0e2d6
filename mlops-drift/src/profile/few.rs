//! Counts of keys one by one, while they are few.

use mlops_core::bytes::add_count;

/// 2⁶⁴ over the golden ratio: the top bits of a product with it depend on all bits of the other.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const LEAST: usize = 64;

/// A hash table of keys, none of which is 0, and how often each occurs.
#[derive(Clone, Debug)]
pub(super) struct Few {
    /// A power of two, of which at most half are taken; an empty one has the key 0.
    slots: Vec<(u64, u64)>,
    len: usize,
}

impl Few {
    pub(super) fn new() -> Self {
        Self { slots: vec![(0, 0); LEAST], len: 0 }
    }

    /// Counts those keys that are wanted, until one is new and there are `most`; how many it has
    /// seen before that.
    pub(super) fn add(&mut self, keys: &[u64], most: usize, wanted: impl Fn(u64) -> bool) -> usize {
        let new = |few: &mut Self, key| wanted(key) && !few.add_count(key, 1, most);
        keys.iter().position(|&key| new(self, key)).unwrap_or(keys.len())
    }

    /// Counts a key; no if it is new and there are `most`.
    #[inline]
    pub(super) fn add_count(&mut self, key: u64, count: u64, most: usize) -> bool {
        let at = self.find(key);
        if let Some(slot) = self.slots.get_mut(at)
            && slot.0 == key
        {
            add_count(&mut slot.1, count);
            return true;
        }
        self.len < most && self.insert(at, key, count)
    }

    /// Where the key is or could be.
    #[inline]
    fn find(&self, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut at =
            (key.wrapping_mul(GOLDEN) >> (64 - self.slots.len().trailing_zeros())) as usize;
        while let found = self.slots[at & mask].0
            && found != key
            && found != 0
        {
            at += 1;
        }
        at & mask
    }

    #[cold]
    fn insert(&mut self, mut at: usize, key: u64, count: u64) -> bool {
        self.len += 1;
        if 2 * self.len > self.slots.len() {
            let slots = vec![(0, 0); 2 * self.slots.len()];
            for (key, count) in std::mem::replace(&mut self.slots, slots) {
                if key != 0 {
                    let at = self.find(key);
                    self.slots[at] = (key, count);
                }
            }
            at = self.find(key);
        }
        self.slots[at] = (key, count);
        true
    }

    /// The keys and their counts, in any order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.slots.iter().copied().filter(|(key, _)| *key != 0)
    }

    /// In order of the keys.
    pub(super) fn sorted(&self) -> Vec<(u64, u64)> {
        let mut all: Vec<_> = self.iter().collect();
        all.sort_unstable();
        all
    }

    pub(super) fn size(&self) -> usize {
        16 * self.slots.capacity()
    }

    /// The most bytes of memory that so many keys take.
    pub(super) fn most_bytes(most: usize) -> usize {
        16 * (2 * most).next_power_of_two().max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_key_is_counted_up_to_the_most(
            keys in prop::collection::vec(prop_oneof![1u64..300, any::<u64>()], 0..400),
            bits in 0u32..50,
            most in 1usize..300,
        ) {
            let keys: Vec<_> = keys.into_iter().map(|k| (k << bits).max(1)).collect();
            let mut few = Few::new();
            let n = few.add(&keys, most, |key| key % 3 != 0);
            let mut counts = BTreeMap::new();
            for key in keys[..n].iter().filter(|key| *key % 3 != 0) {
                *counts.entry(*key).or_insert(0) += 1;
            }
            prop_assert_eq!(few.len, counts.len());
            prop_assert_eq!(few.sorted(), counts.iter().map(|(k, n)| (*k, *n)).collect::<Vec<_>>());
            prop_assert!(few.size() <= Few::most_bytes(most));
            if let Some(next) = keys.get(n) {
                prop_assert!(counts.len() == most && !counts.contains_key(next));
            }
        }
    }
}
