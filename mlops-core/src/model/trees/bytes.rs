//! Ensembles as canonical bytes: equal ensembles, equal bytes; bytes are read without trust.

use xxhash_rust::xxh3::xxh3_64;

use super::{CategorySet, Feature, Node, Question, Side, Split, Target, Tree, TreeEnsemble};
use crate::bytes::{
    bad, put_f64, put_len, put_str, put_u8, put_u16, put_u32, put_u64, take, take_f64, take_len,
    take_str, take_u8, take_u16, take_u32, take_u64,
};
use crate::model::Link;
use crate::{Error, Result};

/// What a tree adds to, where that is all outputs.
const ALL: u32 = u32::MAX;
/// The least size of a node and of a tree.
const NODE: usize = 13;
const TREE: usize = 36;

impl TreeEnsemble {
    /// The first bytes of a file.
    pub const MAGIC: [u8; 4] = *b"MLTE";
    /// The version of the file format.
    pub const VERSION: u16 = 1;

    /// The ensemble as bytes: magic, version, length, checksum, and the parts, in which every
    /// number reads back as the same bits. Equal ensembles give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        put_len(&mut payload, self.features().len());
        for feature in self.features() {
            put_json(&mut payload, feature);
        }
        put_json(&mut payload, self.link());
        put_f64(&mut payload, self.slope());
        put_len(&mut payload, self.base().len());
        self.base().iter().for_each(|&b| put_f64(&mut payload, b));
        put_len(&mut payload, self.trees().len());
        for tree in self.trees() {
            put_tree(&mut payload, tree);
        }
        let mut out = Vec::with_capacity(payload.len() + 22);
        out.extend_from_slice(&Self::MAGIC);
        put_u16(&mut out, Self::VERSION);
        put_len(&mut out, payload.len());
        put_u64(&mut out, xxh3_64(&payload));
        out.extend_from_slice(&payload);
        out
    }

    /// An ensemble from the bytes of [`to_bytes`](Self::to_bytes). No training library is needed.
    ///
    /// # Errors
    /// [`Error::Decode`] with the byte where they stop making sense, and all that
    /// [`new`](Self::new) refuses.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let whole = bytes.len() as u64;
        read(bytes).map_err(|e| match e {
            // What is left was counted; say where that is.
            Error::Decode { offset, expected, found, .. } => Error::Decode {
                what: "tree ensemble".into(),
                offset: whole.saturating_sub(offset),
                expected,
                found,
            },
            other => other,
        })
    }
}

fn read(mut rest: &[u8]) -> Result<TreeEnsemble> {
    let rest = &mut rest;
    let magic = take(rest, TreeEnsemble::MAGIC.len())?;
    if magic != TreeEnsemble::MAGIC {
        return Err(bad(rest, "the magic MLTE", format!("{magic:02x?}")));
    }
    let version = take_u16(rest)?;
    if version != TreeEnsemble::VERSION {
        return Err(bad(rest, format!("version {}", TreeEnsemble::VERSION), version));
    }
    let length = take_u64(rest)?;
    let checksum = take_u64(rest)?;
    if length != rest.len() as u64 {
        return Err(bad(rest, format!("{length} bytes"), format!("{} bytes", rest.len())));
    }
    if checksum != xxh3_64(rest) {
        return Err(bad(rest, "bytes of the checksum", "others"));
    }
    let n = take_len(rest, 8)?;
    let features = (0..n).map(|_| take_json(rest)).collect::<Result<Vec<Feature>>>()?;
    let link: Link = take_json(rest)?;
    let slope = take_f64(rest)?;
    let n = take_len(rest, 8)?;
    let base = (0..n).map(|_| take_f64(rest)).collect::<Result<Vec<f64>>>()?;
    let n = take_len(rest, TREE)?;
    let trees = (0..n).map(|_| take_tree(rest)).collect::<Result<Vec<Tree>>>()?;
    if !rest.is_empty() {
        return Err(bad(rest, "the end", format!("{} more bytes", rest.len())));
    }
    TreeEnsemble::new(features, trees, base, link)?.with_slope(slope)
}

fn put_json<T: serde::Serialize>(out: &mut Vec<u8>, value: &T) {
    // Names and labels, of which each can be written.
    put_str(out, &serde_json::to_string(value).unwrap_or_default());
}

fn take_json<T: serde::de::DeserializeOwned>(rest: &mut &[u8]) -> Result<T> {
    let text = take_str(rest)?;
    serde_json::from_str(&text).map_err(|e| bad(rest, "a part of an ensemble", e))
}

fn put_tree(out: &mut Vec<u8>, tree: &Tree) {
    put_u32(
        out,
        match tree.target {
            Target::One(k) => k,
            Target::All => ALL,
        },
    );
    put_f64(out, tree.weight);
    put_len(out, tree.sets.len());
    for set in &tree.sets {
        put_u8(out, u8::from(set.inside() == Side::Right));
        put_len(out, set.categories().len());
        set.categories().iter().for_each(|&c| put_u32(out, c));
    }
    put_len(out, tree.values.len());
    tree.values.iter().for_each(|&v| put_f64(out, v));
    put_len(out, tree.nodes.len());
    for node in &tree.nodes {
        match node {
            Node::Leaf { value, cover } => {
                put_u8(out, 0);
                put_u32(out, *value);
                put_f64(out, *cover);
            }
            Node::Split(s) => {
                let among = matches!(s.question, Question::Among(_));
                let right = s.missing == Side::Right;
                let flags = [among, right, s.zero_is_missing];
                let flags = flags.iter().rev().fold(0, |all, &flag| all << 1 | u8::from(flag));
                put_u8(out, 1 | flags << 1);
                put_u32(out, s.feature);
                match s.question {
                    Question::Below(t) => put_f64(out, t),
                    Question::Among(set) => put_u32(out, set),
                }
                put_u32(out, s.left);
                put_u32(out, s.right);
                put_f64(out, s.cover);
            }
        }
    }
}

fn take_tree(rest: &mut &[u8]) -> Result<Tree> {
    let target = match take_u32(rest)? {
        ALL => Target::All,
        k => Target::One(k),
    };
    let weight = take_f64(rest)?;
    let n = take_len(rest, 9)?;
    let mut sets = Vec::with_capacity(n);
    for _ in 0..n {
        let inside = match take_u8(rest)? {
            0 => Side::Left,
            1 => Side::Right,
            other => return Err(bad(rest, "a side", other)),
        };
        let n = take_len(rest, 4)?;
        let categories = (0..n).map(|_| take_u32(rest)).collect::<Result<Vec<_>>>()?;
        if !categories.is_sorted_by(|a, b| a < b) {
            return Err(bad(rest, "ascending categories", "others"));
        }
        sets.push(CategorySet::new(categories, inside));
    }
    let n = take_len(rest, 8)?;
    let values = (0..n).map(|_| take_f64(rest)).collect::<Result<Vec<_>>>()?;
    let n = take_len(rest, NODE)?;
    let mut nodes = Vec::with_capacity(n);
    for _ in 0..n {
        let tag = take_u8(rest)?;
        nodes.push(match tag {
            0 => Node::Leaf { value: take_u32(rest)?, cover: take_f64(rest)? },
            tag if tag & 1 == 1 && tag < 16 => Node::Split(Split {
                feature: take_u32(rest)?,
                question: if tag & 2 == 0 {
                    Question::Below(take_f64(rest)?)
                } else {
                    Question::Among(take_u32(rest)?)
                },
                missing: if tag & 4 == 0 { Side::Left } else { Side::Right },
                zero_is_missing: tag & 8 != 0,
                left: take_u32(rest)?,
                right: take_u32(rest)?,
                cover: take_f64(rest)?,
            }),
            other => return Err(bad(rest, "a node", other)),
        });
    }
    Ok(Tree { nodes, values, sets, target, weight })
}
