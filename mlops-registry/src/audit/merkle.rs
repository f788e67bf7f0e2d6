//! Merkle trees of RFC 6962, and the two proofs they give: that a leaf is in a tree, and that a
//! tree is the beginning of another.

use mlops_core::{Digest, Error, Result};
use serde::{Deserialize, Serialize};

/// The longest path of a proof: a tree of 2⁶⁴ leaves has one of 64 hashes.
const PATH: usize = 64;

/// The hash of a leaf: SHA-256 of a zero byte and its bytes.
pub fn leaf_hash(bytes: &[u8]) -> Digest {
    let mut hasher = Digest::hasher();
    hasher.update([0]);
    hasher.update(bytes);
    hasher.finish()
}

/// The hash of a node: SHA-256 of a byte of one and the hashes of its children.
fn node_hash(left: Digest, right: Digest) -> Digest {
    let mut hasher = Digest::hasher();
    hasher.update([1]);
    hasher.update(left.as_bytes());
    hasher.update(right.as_bytes());
    hasher.finish()
}

/// A Merkle tree over a list of leaves that grows at its end (RFC 6962, section 2.1).
///
/// It keeps the hashes of all complete subtrees, 64 bytes a leaf; adding a leaf takes two hashes
/// on average, a root or a proof O(log² n) of them.
///
/// ```
/// use mlops_registry::audit::{MerkleTree, leaf_hash};
/// let mut tree = MerkleTree::new();
/// for leaf in ["a", "b", "c"] {
///     tree.push(leaf_hash(leaf.as_bytes()));
/// }
/// let proof = tree.inclusion(1, 3)?;
/// assert!(proof.verify(leaf_hash(b"b"), tree.root()).is_ok());
/// assert!(proof.verify(leaf_hash(b"x"), tree.root()).is_err());
///
/// let grown = tree.consistency(2, 3)?;
/// assert!(grown.verify(tree.root_at(2)?, tree.root()).is_ok());
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MerkleTree {
    /// `levels[k][i]` is the hash of leaves `i·2ᵏ` to `(i+1)·2ᵏ − 1`.
    levels: Vec<Vec<Digest>>,
}

impl MerkleTree {
    /// A tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many leaves it has.
    pub fn len(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// Adds the hash of a leaf ([`leaf_hash`], [`Entry::hash`](super::Entry::hash)) at the end.
    pub fn push(&mut self, leaf: Digest) {
        let mut hash = leaf;
        for level in 0.. {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let nodes = &mut self.levels[level];
            nodes.push(hash);
            let [.., left, right] = nodes.as_slice() else { break };
            if nodes.len() % 2 == 1 {
                break;
            }
            hash = node_hash(*left, *right);
        }
    }

    /// The root over all leaves; over none, the hash of no bytes.
    pub fn root(&self) -> Digest {
        self.range(0, self.len())
    }

    /// The root that the tree had when it had this many leaves.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it has fewer.
    pub fn root_at(&self, size: u64) -> Result<Digest> {
        self.check(size)?;
        Ok(self.range(0, size))
    }

    /// The proof that the leaf of this index is in the tree of this size (section 2.1.1).
    ///
    /// # Errors
    /// [`Error::Invalid`] if the tree is smaller, or has no such leaf at that size.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<InclusionProof> {
        self.check(size)?;
        if index >= size {
            return Err(Error::invalid("leaf of a Merkle tree", format!("below {size}"), index));
        }
        let (mut start, mut end) = (0, size);
        let mut path = Vec::new();
        while end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                path.push(self.range(middle, end));
                end = middle;
            } else {
                path.push(self.range(start, middle));
                start = middle;
            }
        }
        path.reverse();
        Ok(InclusionProof { index, size, path })
    }

    /// The proof that the tree of the first size is the beginning of the tree of the second
    /// (section 2.1.2). An empty tree begins every tree, and its proof is empty, as is that of
    /// two equal ones.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the tree is smaller than the second, or the second than the first.
    pub fn consistency(&self, first: u64, second: u64) -> Result<ConsistencyProof> {
        self.check(second)?;
        if first > second {
            let expected = format!("at most {second}");
            return Err(Error::invalid("size of the earlier Merkle tree", expected, first));
        }
        let (mut start, mut end) = (0, second);
        let mut path = Vec::new();
        while first > 0 && first < end {
            let middle = start + split(end - start);
            if first <= middle {
                path.push(self.range(middle, end));
                end = middle;
            } else {
                path.push(self.range(start, middle));
                start = middle;
            }
        }
        // The earlier tree's own root is known to who verifies.
        if start > 0 {
            path.push(self.range(start, end));
        }
        path.reverse();
        Ok(ConsistencyProof { first, second, path })
    }

    fn check(&self, size: u64) -> Result<()> {
        if size <= self.len() {
            return Ok(());
        }
        Err(Error::invalid("size of a Merkle tree", format!("at most {}", self.len()), size))
    }

    /// The hash over the leaves from `start` to before `end`, where `start` is a multiple of a
    /// power of two that is no smaller than their number.
    fn range(&self, start: u64, end: u64) -> Digest {
        let n = end - start;
        if n == 0 {
            return Digest::of([]);
        }
        if n.is_power_of_two() {
            let level = n.trailing_zeros();
            return self.levels[level as usize][(start >> level) as usize];
        }
        let middle = start + split(n);
        node_hash(self.range(start, middle), self.range(middle, end))
    }
}

impl Extend<Digest> for MerkleTree {
    fn extend<T: IntoIterator<Item = Digest>>(&mut self, leaves: T) {
        leaves.into_iter().for_each(|leaf| self.push(leaf));
    }
}

impl FromIterator<Digest> for MerkleTree {
    fn from_iter<T: IntoIterator<Item = Digest>>(leaves: T) -> Self {
        let mut tree = Self::new();
        tree.extend(leaves);
        tree
    }
}

/// The largest power of two below `n`, which is at least 2.
fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// The hashes that lead from a leaf to the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InclusionProof {
    /// The leaf's index, from 0.
    pub index: u64,
    /// How many leaves the tree has.
    pub size: u64,
    /// The hashes beside the way, from the leaf up.
    pub path: Vec<Digest>,
}

impl InclusionProof {
    /// Whether the tree of this root has the leaf of this hash at this index (RFC 9162, section
    /// 2.1.3.2). Root and size must come from somebody who is trusted: a signed
    /// [`Checkpoint`](super::Checkpoint).
    ///
    /// # Errors
    /// [`Error::Invalid`] if it has not, or the proof has another form.
    pub fn verify(&self, leaf: Digest, root: Digest) -> Result<()> {
        let bad = |expected: &str, found: String| {
            Error::invalid(format!("inclusion proof of leaf {}", self.index), expected, found)
        };
        if self.index >= self.size {
            return Err(bad("an index below the size", self.size.to_string()));
        }
        let (mut index, mut last) = (self.index, self.size - 1);
        let mut hash = leaf;
        for beside in &self.path {
            if last == 0 {
                return Err(bad("a shorter path", format!("{} hashes", self.path.len())));
            }
            if index % 2 == 1 || index == last {
                hash = node_hash(*beside, hash);
                while index % 2 == 0 && index != 0 {
                    index >>= 1;
                    last >>= 1;
                }
            } else {
                hash = node_hash(hash, *beside);
            }
            index >>= 1;
            last >>= 1;
        }
        if last != 0 {
            return Err(bad("a longer path", format!("{} hashes", self.path.len())));
        }
        if hash != root {
            return Err(bad(&format!("a way to {root}"), hash.to_string()));
        }
        Ok(())
    }
}

/// The hashes that show a tree to be the beginning of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsistencyProof {
    /// How many leaves the earlier tree has.
    pub first: u64,
    /// How many leaves the later tree has.
    pub second: u64,
    /// The hashes that both roots are made of.
    pub path: Vec<Digest>,
}

impl ConsistencyProof {
    /// Whether the tree of the second root begins with that of the first (RFC 9162, section
    /// 2.1.4.2). Roots and sizes must come from somebody who is trusted: signed
    /// [`Checkpoint`](super::Checkpoint)s.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it does not, or the proof has another form.
    pub fn verify(&self, first_root: Digest, second_root: Digest) -> Result<()> {
        let (first, second) = (self.first, self.second);
        let bad = |expected: &str, found: String| {
            let what = format!("consistency proof from {first} to {second} leaves");
            Error::invalid(what, expected, found)
        };
        if first > second {
            return Err(bad("a tree that grew", "one that shrank".into()));
        }
        if self.path.len() > 2 * PATH {
            return Err(bad("a shorter path", format!("{} hashes", self.path.len())));
        }
        if first == 0 || first == second {
            if !self.path.is_empty() {
                return Err(bad("no path", format!("{} hashes", self.path.len())));
            }
            if first == 0 && first_root != Digest::of([]) {
                return Err(bad("the root of the empty tree", first_root.to_string()));
            }
            if first == second && first_root != second_root {
                return Err(bad(&format!("the same root, {first_root}"), second_root.to_string()));
            }
            return Ok(());
        }
        // A complete earlier tree is a node of the later one, and who verifies has its hash.
        let known = first.is_power_of_two().then_some(first_root);
        let mut path = known.into_iter().chain(self.path.iter().copied());
        let Some(start) = path.next() else {
            return Err(bad("a path", "none".into()));
        };
        let (mut index, mut last) = (first - 1, second - 1);
        let ones = index.trailing_ones();
        index >>= ones;
        last >>= ones;
        let (mut earlier, mut later) = (start, start);
        for beside in path {
            if last == 0 {
                return Err(bad("a shorter path", format!("{} hashes", self.path.len())));
            }
            if index % 2 == 1 || index == last {
                earlier = node_hash(beside, earlier);
                later = node_hash(beside, later);
                while index % 2 == 0 && index != 0 {
                    index >>= 1;
                    last >>= 1;
                }
            } else {
                later = node_hash(later, beside);
            }
            index >>= 1;
            last >>= 1;
        }
        if last != 0 {
            return Err(bad("a longer path", format!("{} hashes", self.path.len())));
        }
        if earlier != first_root {
            return Err(bad(&format!("a way to {first_root}"), earlier.to_string()));
        }
        if later != second_root {
            return Err(bad(&format!("a way to {second_root}"), later.to_string()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definitions of RFC 6962, section 2.1, word by word.
    mod naive {
        use super::*;

        pub(super) fn root(leaves: &[Digest]) -> Digest {
            match leaves {
                [] => Digest::of([]),
                [leaf] => *leaf,
                _ => {
                    let (left, right) = leaves.split_at(k(leaves.len()));
                    node_hash(root(left), root(right))
                }
            }
        }

        pub(super) fn path(m: usize, leaves: &[Digest]) -> Vec<Digest> {
            if leaves.len() == 1 {
                return Vec::new();
            }
            let (left, right) = leaves.split_at(k(leaves.len()));
            let (mut path, beside) = if m < left.len() {
                (path(m, left), root(right))
            } else {
                (path(m - left.len(), right), root(left))
            };
            path.push(beside);
            path
        }

        pub(super) fn subproof(m: usize, leaves: &[Digest], known: bool) -> Vec<Digest> {
            if m == leaves.len() {
                return if known { Vec::new() } else { vec![root(leaves)] };
            }
            let (left, right) = leaves.split_at(k(leaves.len()));
            let (mut proof, beside) = if m <= left.len() {
                (subproof(m, left, known), root(right))
            } else {
                (subproof(m - left.len(), right, false), root(left))
            };
            proof.push(beside);
            proof
        }

        fn k(n: usize) -> usize {
            (0..63).map(|e| 1 << e).rfind(|k| *k < n).unwrap()
        }
    }

    fn leaves(n: u64) -> Vec<Digest> {
        (0..n).map(|i| leaf_hash(&i.to_le_bytes())).collect()
    }

    fn hex(bytes: &str) -> Vec<u8> {
        let digits: Vec<u8> = bytes.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    /// The leaves of the test of certificate-transparency's `merkle_tree_test`.
    fn known() -> MerkleTree {
        let inputs = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        inputs.iter().map(|input| leaf_hash(&hex(input))).collect()
    }

    fn digests(hex: &[&str]) -> Vec<Digest> {
        hex.iter().map(|h| h.parse().unwrap()).collect()
    }

    #[test]
    fn roots_of_certificate_transparency() {
        let roots = digests(&[
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ]);
        let tree = known();
        for (size, root) in roots.into_iter().enumerate() {
            assert_eq!(tree.root_at(size as u64).unwrap(), root, "{size}");
        }
    }

    #[test]
    fn proofs_of_certificate_transparency() {
        let tree = known();
        // (leaf, size), as that test counts from 1: (1, 1), (1, 8), (6, 8), (3, 3), (2, 5).
        let inclusion: [(u64, u64, &[&str]); 5] = [
            (0, 1, &[]),
            (
                0,
                8,
                &[
                    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
                ],
            ),
            (
                5,
                8,
                &[
                    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                ],
            ),
            (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
            (
                1,
                5,
                &[
                    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                ],
            ),
        ];
        for (index, size, path) in inclusion {
            assert_eq!(tree.inclusion(index, size).unwrap().path, digests(path), "{index}/{size}");
        }
        let consistency: [(u64, u64, &[&str]); 4] = [
            (1, 1, &[]),
            (
                1,
                8,
                &[
                    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
                ],
            ),
            (
                6,
                8,
                &[
                    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                ],
            ),
            (
                2,
                5,
                &[
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                ],
            ),
        ];
        for (first, second, path) in consistency {
            let proof = tree.consistency(first, second).unwrap();
            assert_eq!(proof.path, digests(path), "{first} to {second}");
        }
    }

    /// Section 2.1.3 names the nodes of a tree of seven leaves.
    #[test]
    fn proofs_of_the_rfc() {
        let d = leaves(7);
        let tree: MerkleTree = d.iter().copied().collect();
        let [a, b, c, d, e, f, j] = d[..] else { panic!() };
        let (g, h, i) = (node_hash(a, b), node_hash(c, d), node_hash(e, f));
        let (k, l) = (node_hash(g, h), node_hash(i, j));
        assert_eq!(tree.root(), node_hash(k, l));
        for (index, path) in
            [(0, vec![b, h, l]), (3, vec![c, g, l]), (4, vec![f, j, k]), (6, vec![i, k])]
        {
            assert_eq!(tree.inclusion(index, 7).unwrap().path, path, "{index}");
        }
        for (first, path) in [(3, vec![c, d, g, l]), (4, vec![l]), (6, vec![i, j, k])] {
            assert_eq!(tree.consistency(first, 7).unwrap().path, path, "{first}");
        }
    }

    #[test]
    fn sizes_beyond_the_tree_are_refused() {
        let tree: MerkleTree = leaves(5).into_iter().collect();
        assert!(tree.root_at(6).is_err());
        assert!(tree.inclusion(5, 5).is_err());
        assert!(tree.inclusion(0, 6).is_err());
        assert!(tree.inclusion(0, 0).is_err());
        assert!(tree.consistency(3, 2).is_err());
        assert!(tree.consistency(3, 6).is_err());
    }

    #[test]
    fn every_pair_up_to_seventy_is_as_defined() {
        let all = leaves(70);
        let tree: MerkleTree = all.iter().copied().collect();
        for size in 0..=all.len() {
            let part = &all[..size];
            let root = naive::root(part);
            assert_eq!(tree.root_at(size as u64).unwrap(), root);
            for (index, leaf) in part.iter().enumerate() {
                let proof = tree.inclusion(index as u64, size as u64).unwrap();
                assert_eq!(proof.path, naive::path(index, part));
                proof.verify(*leaf, root).unwrap();
            }
            for first in 0..=size {
                let proof = tree.consistency(first as u64, size as u64).unwrap();
                if first > 0 {
                    assert_eq!(proof.path, naive::subproof(first, part, true));
                }
                proof.verify(naive::root(&all[..first]), root).unwrap();
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_other_proof_holds(
            size in 2_u64..300, at: prop::sample::Index, bit in 0_usize..256, shift in 1_u64..9,
        ) {
            let all = leaves(size);
            let tree: MerkleTree = all.iter().copied().collect();
            let root = tree.root();
            let flip = |digest: &mut Digest| {
                let mut bytes = *digest.as_bytes();
                bytes[bit / 8] ^= 1 << (bit % 8);
                *digest = Digest::from_bytes(bytes);
            };
            let index = at.index(size as usize) as u64;
            let leaf = all[index as usize];
            let proof = tree.inclusion(index, size).unwrap();
            for i in 0..proof.path.len() {
                let mut other = proof.clone();
                flip(&mut other.path[i]);
                prop_assert!(other.verify(leaf, root).is_err());
                other = proof.clone();
                other.path.remove(i);
                prop_assert!(other.verify(leaf, root).is_err());
                other = proof.clone();
                other.path.insert(i, leaf);
                prop_assert!(other.verify(leaf, root).is_err());
            }
            let moved = InclusionProof { index: (index + shift) % size, ..proof.clone() };
            prop_assert!(moved.index == index || moved.verify(leaf, root).is_err());
            let mut other = root;
            flip(&mut other);
            prop_assert!(proof.verify(leaf, other).is_err());

            let first = 1 + at.index(size as usize - 1) as u64;
            let first_root = tree.root_at(first).unwrap();
            let proof = tree.consistency(first, size).unwrap();
            for i in 0..proof.path.len() {
                let mut other = proof.clone();
                flip(&mut other.path[i]);
                prop_assert!(other.verify(first_root, root).is_err());
                other = proof.clone();
                other.path.remove(i);
                prop_assert!(other.verify(first_root, root).is_err());
            }
            prop_assert!(proof.verify(other, root).is_err());
            prop_assert!(proof.verify(first_root, other).is_err());
            let longer = ConsistencyProof { path: [proof.path.clone(), vec![root]].concat(), ..proof };
            prop_assert!(longer.verify(first_root, root).is_err());
        }

        #[test]
        fn no_proof_panics(
            index: u64, first: u64, size: u64, path in prop::collection::vec(any::<[u8; 32]>(), 0..70),
        ) {
            let path: Vec<_> = path.into_iter().map(Digest::from_bytes).collect();
            let leaf = Digest::of("leaf");
            let inclusion = InclusionProof { index, size, path: path.clone() };
            prop_assert!(inclusion.verify(leaf, Digest::of("root")).is_err());
            let consistency = ConsistencyProof { first, second: size, path };
            prop_assert!(consistency.verify(leaf, Digest::of("root")).is_err());
        }
    }
}
