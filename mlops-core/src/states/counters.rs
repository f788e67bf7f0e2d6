//! Counters that take little of the caches.

use crate::bytes::add_count;

/// Many counters, of 32 bits until one of them might overflow: a part of other states.
///
/// Those that count on after 2⁶² stop there, in whatever order they merge.
///
/// ```
/// use mlops_core::states::Counters;
/// let mut counters = Counters::new(3);
/// counters.add(&[0, 2, 2], |key| key as usize);
/// counters.add_count(1, 1 << 40);
/// assert_eq!(counters.iter().collect::<Vec<_>>(), [1, 1 << 40, 2]);
/// ```
#[derive(Clone, Debug)]
pub struct Counters {
    narrow: Vec<u32>,
    /// No narrow counter is larger.
    most: u32,
    /// What was counted besides, if anything.
    wide: Vec<u64>,
}

impl PartialEq for Counters {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Counters {}

impl Counters {
    /// So many counters of nothing.
    pub fn new(n: usize) -> Self {
        Self { narrow: vec![0; n], most: 0, wide: Vec::new() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.narrow.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.narrow.is_empty()
    }

    /// Counts one for each key.
    ///
    /// # Panics
    /// If a key's counter is not one of them, or for 2³² keys at once.
    #[inline]
    pub fn add(&mut self, keys: &[u64], counter: impl Fn(u64) -> usize) {
        let narrow = self.with_room(keys.len() as u32);
        for &key in keys {
            narrow[counter(key)] += 1;
        }
    }

    /// The counters to be counted in by hand, so often that none can overflow.
    #[inline]
    pub fn with_room(&mut self, times: u32) -> &mut [u32] {
        self.make_room(u64::from(times));
        &mut self.narrow
    }

    /// Adds to one of them.
    ///
    /// # Panics
    /// If there is no such counter.
    pub fn add_count(&mut self, at: usize, count: u64) {
        // Large counts would soon fill what is narrow, and to make room takes a look at all.
        if count < 1 << 24 {
            self.make_room(count);
            self.narrow[at] += count as u32;
        } else {
            self.wide.resize(self.narrow.len(), 0);
            add_count(&mut self.wide[at], count);
        }
    }

    /// Lets so much be added to any narrow counter; as much fits in one.
    fn make_room(&mut self, count: u64) {
        let most = u64::from(self.most) + count;
        self.most = u32::try_from(most).unwrap_or_else(|_| {
            self.widen();
            count as u32
        });
    }

    #[cold]
    fn widen(&mut self) {
        self.wide.resize(self.narrow.len(), 0);
        for (wide, narrow) in self.wide.iter_mut().zip(&mut self.narrow) {
            add_count(wide, u64::from(std::mem::take(narrow)));
        }
        self.most = 0;
    }

    /// Adds the counts of as many others; of counters that only one side has nothing.
    pub fn merge(&mut self, other: &Self) {
        self.make_room(u64::from(other.most));
        for (mine, theirs) in self.narrow.iter_mut().zip(&other.narrow) {
            *mine += theirs;
        }
        if !other.wide.is_empty() {
            self.wide.resize(self.narrow.len(), 0);
            for (mine, theirs) in self.wide.iter_mut().zip(&other.wide) {
                add_count(mine, *theirs);
            }
        }
    }

    /// One of the counts; 0 if there is no such counter.
    pub fn get(&self, at: usize) -> u64 {
        let mut count = self.wide.get(at).copied().unwrap_or(0);
        add_count(&mut count, self.narrow.get(at).map_or(0, |n| u64::from(*n)));
        count
    }

    /// All counts.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        let wide = self.wide.iter().copied().chain(std::iter::repeat(0));
        self.narrow.iter().zip(wide).map(|(narrow, mut count)| {
            add_count(&mut count, u64::from(*narrow));
            count
        })
    }

    /// The bytes on the heap.
    pub fn size(&self) -> usize {
        4 * self.narrow.capacity() + 8 * self.wide.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_beyond_32_bits() {
        let most = u64::from(u32::MAX);
        let mut counters = Counters::new(3);
        counters.add(&[1, 1, 2], |key| key as usize);
        for _ in 0..3 {
            counters.add_count(2, (1 << 24) - 1);
        }
        assert!(counters.wide.is_empty());
        counters.add_count(1, most - 3);
        let mut twice = counters.clone();
        twice.merge(&counters);
        assert_eq!(twice.iter().collect::<Vec<_>>(), [0, 2 * most - 2, 6 * (1 << 24) - 4]);
        twice.add(&[0, 2], |key| key as usize);
        twice.add_count(0, most + 1);
        assert_eq!(twice.iter().collect::<Vec<_>>(), [most + 2, 2 * most - 2, 6 * (1 << 24) - 3]);
        counters.merge(&twice);
        assert_eq!(
            counters.iter().collect::<Vec<_>>(),
            [most + 2, 3 * most - 3, 9 * (1 << 24) - 5]
        );
        counters.add_count(0, u64::MAX);
        let stopped = counters.get(0);
        counters.merge(&counters.clone());
        counters.add(&[0], |_| 0);
        assert_eq!(counters.get(0), stopped, "it stops where counts of states do");
    }
}
