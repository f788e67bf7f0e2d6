//! The cells of a column, and why they are numbers or labels.

use std::fmt;
use std::sync::Arc;

use mlops_core::bytes::{put_f64, put_len, put_str};
use serde::{Deserialize, Serialize};

/// The cells in which a column is counted, in the reference and ever after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cells {
    /// `2k + 1` cells of numbers around `k` strictly increasing finite edges: the open interval
    /// below the first edge, the edge itself, the open interval up to the next, and so on.
    Edges(Arc<[f64]>),
    /// A cell for each of these labels, in order, and a last one for all others.
    Labels(Arc<[String]>),
}

impl Cells {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Edges(edges) => 2 * edges.len() + 1,
            Self::Labels(labels) => labels.len() + 1,
        }
    }

    /// Never: there is always the cell of everything else.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Whether they are labels.
    pub fn is_categorical(&self) -> bool {
        matches!(self, Self::Labels(_))
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Edges(edges) => {
                put_len(out, edges.len());
                edges.iter().for_each(|edge| put_f64(out, *edge));
            }
            Self::Labels(labels) => {
                put_len(out, labels.len());
                labels.iter().for_each(|label| put_str(out, label));
            }
        }
    }

    /// Strictly increasing and finite edges, or strictly increasing labels.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Edges(edges) => {
                let finite =
                    edges.iter().all(|e| e.is_finite() && (*e != 0.0 || e.is_sign_positive()));
                let increasing = edges.windows(2).all(|w| w[0] < w[1]);
                if finite && increasing { Ok(()) } else { Err("finite, increasing edges") }
            }
            Self::Labels(labels) => {
                let increasing = labels.windows(2).all(|w| w[0] < w[1]);
                if increasing { Ok(()) } else { Err("labels in order, each once") }
            }
        }
    }
}

/// Why a column is counted as numbers or as categories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// Numbers, dates and times: at edges.
    Numeric,
    /// Text and booleans: by label.
    Categorical,
    /// Integers with no more distinct values than
    /// [`ProfileOptions::integer_categories`](crate::ProfileOptions::integer_categories): by
    /// label.
    FewIntegers,
    /// Text with more labels than [`ProfileOptions::labels`](crate::ProfileOptions::labels): by
    /// label for those with a share of the rows that earns a cell and, as far as there are cells
    /// left, for a sample of the others, drawn by their hash; the rest is in the last cell.
    ///
    /// Each cell is counted exactly. A change of the frequent labels is seen, and one that goes
    /// through all rare labels, as it goes through their sample; a change among labels that are
    /// not in the sample is not, nor can a new label be told from one of these. Of more than
    /// 65,536 labels a sample of so many is known at all, and a frequent label that is not in it
    /// has no cell.
    SampledLabels,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Numeric => "numeric",
            Self::Categorical => "categorical",
            Self::FewIntegers => "categorical (few distinct integers)",
            Self::SampledLabels => "categorical (a sample of many labels)",
        })
    }
}
