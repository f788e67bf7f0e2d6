//! The state of an estimate: how many rows have which score and prediction.

use std::sync::Arc;

use mlops_core::bytes::{
    add_count, bad, put_f64, put_len, put_u8, put_u64, put_u128, take_count, take_f64, take_len,
    take_u8, take_u128, too_many,
};
use mlops_core::{Error, Result, State};

use super::cbpe::CbpeOptions;
use super::isotonic::Isotonic;

/// A probability of 1, in the unit in which probabilities are added: sums of integers have no
/// order.
pub(super) const ONE: u128 = 1 << 53;

/// What scores mean, and how they are put into cells.
#[derive(Debug, PartialEq)]
pub(super) struct Scale {
    pub(super) options: CbpeOptions,
    pub(super) calibrator: Option<Isotonic>,
    /// Ascending; cell `i` has the scores from edge `i − 1` up to edge `i`, without it.
    pub(super) edges: Vec<f64>,
}

impl Scale {
    pub(super) fn probability(&self, score: f64) -> f64 {
        self.calibrator.as_ref().map_or(score, |f| f.predict(score).clamp(0.0, 1.0))
    }

    /// The probability as a whole number of units, exactly rounded.
    fn units(&self, score: f64) -> u128 {
        (self.probability(score) * ONE as f64).round_ties_even() as u128
    }

    pub(super) fn cell(&self, score: f64) -> usize {
        self.edges.partition_point(|&edge| edge <= score)
    }
}

/// Rows of one score, or of one cell, predicted negative and positive.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Group {
    /// How many.
    pub(super) n: [u64; 2],
    /// The sums of their probabilities, in units.
    pub(super) units: [u128; 2],
    /// A score of theirs.
    pub(super) score: f64,
}

/// Rows by score: each score by itself as long as there are few, and then in the scale's cells.
#[derive(Clone, Debug)]
enum Scores {
    /// Scores, ascending, with the numbers of rows predicted negative and positive.
    Exact(Vec<(f64, [u64; 2])>),
    Cells(Vec<([u64; 2], [u128; 2])>),
}

/// The state of [`Cbpe`](super::Cbpe).
#[derive(Clone, Debug)]
pub struct ScoreCounts {
    scale: Arc<Scale>,
    scores: Scores,
    pub(super) nulls: u64,
    pub(super) invalid: u64,
}

/// So many different scores are kept exactly.
const EXACT: usize = 4096;

fn merge_sorted(a: &[(f64, [u64; 2])], b: &[(f64, [u64; 2])]) -> Vec<(f64, [u64; 2])> {
    let mut merged: Vec<(f64, [u64; 2])> = Vec::with_capacity(a.len() + b.len());
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        let from_a = j == b.len() || (i < a.len() && a[i].0 <= b[j].0);
        let (score, n) = if from_a { a[i] } else { b[j] };
        (i, j) = if from_a { (i + 1, j) } else { (i, j + 1) };
        match merged.last_mut() {
            Some(last) if last.0 == score => {
                add_count(&mut last.1[0], n[0]);
                add_count(&mut last.1[1], n[1]);
            }
            _ => merged.push((score, n)),
        }
    }
    merged
}

impl ScoreCounts {
    pub(super) fn new(scale: Arc<Scale>) -> Self {
        Self { scale, scores: Scores::Exact(Vec::new()), nulls: 0, invalid: 0 }
    }

    /// Takes in rows: score in \[0, 1\], and whether they are predicted positive.
    pub(super) fn add(&mut self, mut rows: Vec<(f64, bool)>) {
        rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let counted: Vec<(f64, [u64; 2])> = rows
            .chunk_by(|a, b| a.0 == b.0)
            .map(|tie| {
                let positive = tie.iter().filter(|row| row.1).count() as u64;
                (tie[0].0, [tie.len() as u64 - positive, positive])
            })
            .collect();
        self.add_counted(&counted);
    }

    fn add_counted(&mut self, counted: &[(f64, [u64; 2])]) {
        match &mut self.scores {
            Scores::Exact(mine) => {
                *mine = merge_sorted(mine, counted);
                if mine.len() > EXACT {
                    let all = std::mem::take(mine);
                    self.scores = self.empty_cells();
                    self.add_counted(&all);
                }
            }
            Scores::Cells(cells) => {
                for (score, n) in counted {
                    let units = self.scale.units(*score);
                    let cell = &mut cells[self.scale.cell(*score)];
                    for side in [0, 1] {
                        add_count(&mut cell.0[side], n[side]);
                        add_units(&mut cell.1[side], units.saturating_mul(n[side].into()));
                    }
                }
            }
        }
    }

    fn empty_cells(&self) -> Scores {
        Scores::Cells(vec![([0; 2], [0; 2]); self.scale.edges.len() + 1])
    }

    /// The rows, by ascending score.
    pub(super) fn groups(&self) -> Vec<Group> {
        match &self.scores {
            Scores::Exact(scores) => scores
                .iter()
                .map(|&(score, n)| {
                    let units = self.scale.units(score);
                    Group { n, units: n.map(|n| units * u128::from(n)), score }
                })
                .collect(),
            Scores::Cells(cells) => cells
                .iter()
                .enumerate()
                .filter(|(_, cell)| cell.0 != [0; 2])
                .map(|(i, &(n, units))| {
                    let edges = &self.scale.edges;
                    let score = if i == 0 { f64::NEG_INFINITY } else { edges[i - 1] };
                    Group { n, units, score }
                })
                .collect(),
        }
    }

    /// Whether scores are told apart, so that their ranking is exact.
    pub(super) fn is_exact(&self) -> bool {
        matches!(self.scores, Scores::Exact(_))
    }

    pub(super) fn decode(scale: Arc<Scale>, bytes: &mut &[u8]) -> Result<Self> {
        let (nulls, invalid) = (take_count(bytes)?, take_count(bytes)?);
        let mut all = 0_u64;
        let mut count = |bytes: &mut &[u8]| -> Result<u64> {
            let n = take_count(bytes)?;
            all = all.saturating_add(n);
            if all > 1 << 56 { Err(too_many(bytes)) } else { Ok(n) }
        };
        let scores = match take_u8(bytes)? {
            0 => {
                let len = take_len(bytes, 24)?;
                if len > EXACT {
                    return Err(bad(bytes, format!("at most {EXACT} scores"), len));
                }
                let mut scores: Vec<(f64, [u64; 2])> = Vec::with_capacity(len);
                for _ in 0..len {
                    let score = take_f64(bytes)?;
                    let rising = scores.last().is_none_or(|last| last.0 < score);
                    let positive_zero = score != 0.0 || score.is_sign_positive();
                    if !rising || !(0.0..=1.0).contains(&score) || !positive_zero {
                        return Err(bad(bytes, "scores in order", score));
                    }
                    let n = [count(bytes)?, count(bytes)?];
                    if n == [0, 0] {
                        return Err(bad(bytes, "scores that rows have", score));
                    }
                    scores.push((score, n));
                }
                Scores::Exact(scores)
            }
            1 => {
                let cells = scale.edges.len() + 1;
                let len = take_len(bytes, 48)?;
                if len != cells {
                    return Err(bad(bytes, format!("{cells} cells"), len));
                }
                let cell = |_| {
                    let n = [count(bytes)?, count(bytes)?];
                    let units = [take_u128(bytes)?, take_u128(bytes)?];
                    if (0..2).any(|side| units[side] > ONE * u128::from(n[side])) {
                        return Err(bad(bytes, "probabilities", "more than 1"));
                    }
                    Ok((n, units))
                };
                Scores::Cells((0..cells).map(cell).collect::<Result<_>>()?)
            }
            tag => return Err(bad(bytes, "0 or 1", tag)),
        };
        Ok(Self { scale, scores, nulls, invalid })
    }
}

/// Counts stop at 2⁶²; their probabilities then stop with them.
fn add_units(mine: &mut u128, theirs: u128) {
    *mine = mine.saturating_add(theirs).min(ONE << 62);
}

impl State for ScoreCounts {
    fn merge(&mut self, other: Self) -> Result<()> {
        if !Arc::ptr_eq(&self.scale, &other.scale) && self.scale != other.scale {
            return Err(Error::merge("estimates", "they were fitted on different references"));
        }
        add_count(&mut self.nulls, other.nulls);
        add_count(&mut self.invalid, other.invalid);
        match other.scores {
            Scores::Exact(theirs) => self.add_counted(&theirs),
            Scores::Cells(theirs) => {
                if let Scores::Exact(mine) = &mut self.scores {
                    let mine = std::mem::take(mine);
                    self.scores = self.empty_cells();
                    self.add_counted(&mine);
                }
                if let Scores::Cells(mine) = &mut self.scores {
                    for (mine, theirs) in mine.iter_mut().zip(theirs) {
                        for side in [0, 1] {
                            add_count(&mut mine.0[side], theirs.0[side]);
                            add_units(&mut mine.1[side], theirs.1[side]);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.nulls);
        put_u64(out, self.invalid);
        match &self.scores {
            Scores::Exact(scores) => {
                put_u8(out, 0);
                put_len(out, scores.len());
                for (score, n) in scores {
                    put_f64(out, *score);
                    put_u64(out, n[0]);
                    put_u64(out, n[1]);
                }
            }
            Scores::Cells(cells) => {
                put_u8(out, 1);
                put_len(out, cells.len());
                for (n, units) in cells {
                    put_u64(out, n[0]);
                    put_u64(out, n[1]);
                    put_u128(out, units[0]);
                    put_u128(out, units[1]);
                }
            }
        }
    }

    fn size(&self) -> usize {
        match &self.scores {
            Scores::Exact(scores) => scores.len() * 24 + 64,
            Scores::Cells(cells) => cells.len() * 48 + 64,
        }
    }
}
