//! How rows of mixed columns become points: categories in numbers, missing values filled in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::multivariate::columns::{ColumnKind, ComparedColumn};
use crate::multivariate::row_sample::Sample;

/// How a category becomes numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Categories {
    /// The category's share of the rows that the encoding is fitted on: one number, 0 for a
    /// category that they lack. Categories with equal shares become one.
    #[default]
    Frequency,
    /// A number, 0 or 1, for each of the most frequent categories, one for all others together,
    /// and one for a missing category.
    OneHot {
        /// How many categories have a number of their own.
        levels: usize,
    },
}

/// What becomes of missing values: null, NaN and ±∞.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MissingValues {
    /// A number becomes the median of those that the encoding is fitted on, and a missing category
    /// is a category of its own. A row whose embedding is missing or incomplete is left out.
    #[default]
    Impute,
    /// A row with a missing value is left out.
    DropRow,
}

/// How rows become points. What is fitted (shares, levels, medians) is fitted on both sides pooled
/// where labels are permuted, so that under no drift the two sides stay exchangeable, and on the
/// fitted half of the reference where something is fitted on that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encoding {
    /// Categories.
    pub categories: Categories,
    /// Missing values.
    pub missing: MissingValues,
}

/// One coordinate of a point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Feature {
    /// Its name: the column's, for embeddings with the place in brackets, for one-hot numbers with
    /// the category.
    pub name: String,
    /// The number of its column among the compared columns.
    pub column: usize,
}

/// A fitted encoding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Encoder {
    pub(crate) columns: Vec<ComparedColumn>,
    missing: MissingValues,
    fitted: Vec<Fitted>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Fitted {
    Number { median: f64 },
    Embedding { dimension: usize },
    Frequency { shares: BTreeMap<Box<str>, f64>, missing: f64 },
    OneHot { levels: Vec<Box<str>> },
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoded {
    /// It is a point now, with so many values filled in.
    Point { imputed: u64 },
    /// It was left out, and nothing was written.
    Dropped,
}

impl Encoder {
    /// Fits an encoding on these samples, of the same columns, as one.
    pub(crate) fn fit(encoding: Encoding, samples: &[&Sample]) -> Self {
        let columns = samples.first().map(|s| s.columns.clone()).unwrap_or_default();
        let rows = || samples.iter().flat_map(|s| &s.rows);
        let (mut number, mut label) = (0, 0);
        let mut fitted = Vec::with_capacity(columns.len());
        for column in &columns {
            fitted.push(match column.kind {
                ColumnKind::Number => {
                    let known: Vec<f64> =
                        rows().map(|r| r.numbers[number]).filter(|x| !x.is_nan()).collect();
                    Fitted::Number { median: median(known).unwrap_or(0.0) }
                }
                ColumnKind::Embedding { dimension } => Fitted::Embedding { dimension },
                ColumnKind::Category => {
                    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
                    let (mut missing, mut all) = (0u64, 0u64);
                    for row in rows() {
                        all += 1;
                        match &row.labels[label] {
                            Some(text) => *counts.entry(text).or_default() += 1,
                            None => missing += 1,
                        }
                    }
                    categories(encoding.categories, &counts, missing, all.max(1))
                }
            });
            let (numbers, labels) = column.width();
            (number, label) = (number + numbers, label + labels);
        }
        Self { columns, missing: encoding.missing, fitted }
    }

    /// Whether its parts fit each other, as those of a fitted one do. An encoder that was read back
    /// may say anything.
    pub(crate) fn is_sound(&self) -> bool {
        /// No list is longer, and none is made because somebody says so.
        const LONGEST: usize = 1 << 20;
        let fits = |(column, fitted): (&ComparedColumn, &Fitted)| match (column.kind, fitted) {
            (ColumnKind::Number, Fitted::Number { median }) => median.is_finite(),
            (ColumnKind::Embedding { dimension: n }, Fitted::Embedding { dimension }) => {
                n == *dimension && (1..=LONGEST).contains(&n)
            }
            (ColumnKind::Category, Fitted::Frequency { shares, missing }) => {
                missing.is_finite() && shares.values().all(|share| share.is_finite())
            }
            (ColumnKind::Category, Fitted::OneHot { .. }) => true,
            _ => false,
        };
        self.columns.len() == self.fitted.len() && self.columns.iter().zip(&self.fitted).all(fits)
    }

    /// The coordinates of its points.
    pub(crate) fn features(&self) -> Vec<Feature> {
        let mut features = Vec::new();
        for (column, (compared, fitted)) in self.columns.iter().zip(&self.fitted).enumerate() {
            let name = &compared.name;
            let mut push = |name: String| features.push(Feature { name, column });
            match fitted {
                Fitted::Number { .. } | Fitted::Frequency { .. } => push(name.clone()),
                Fitted::Embedding { dimension } => {
                    (0..*dimension).for_each(|i| push(format!("{name}[{i}]")));
                }
                Fitted::OneHot { levels } => {
                    for level in levels {
                        push(format!("{name}={level}"));
                    }
                    push(format!("{name}=(other)"));
                    push(format!("{name}=(missing)"));
                }
            }
        }
        features
    }

    /// Appends the point of a row.
    pub(crate) fn push<'l>(
        &self,
        numbers: &[f64],
        label: impl Fn(usize) -> Option<&'l str>,
        out: &mut Vec<f64>,
    ) -> Encoded {
        let start = out.len();
        let (mut number, mut category, mut imputed) = (0, 0, 0);
        let impute = self.missing == MissingValues::Impute;
        for fitted in &self.fitted {
            let complete = match fitted {
                Fitted::Number { median } => {
                    let x = numbers[number];
                    number += 1;
                    imputed += u64::from(x.is_nan());
                    out.push(if x.is_nan() { *median } else { x });
                    impute || !x.is_nan()
                }
                Fitted::Embedding { dimension } => {
                    let list = &numbers[number..number + dimension];
                    number += dimension;
                    out.extend_from_slice(list);
                    !list.iter().any(|x| x.is_nan())
                }
                Fitted::Frequency { shares, missing } => {
                    let label = label(category);
                    category += 1;
                    let share = label.map(|l| shares.get(l).copied().unwrap_or(0.0));
                    out.push(share.unwrap_or(*missing));
                    impute || share.is_some()
                }
                Fitted::OneHot { levels } => {
                    let label = label(category);
                    category += 1;
                    let at = label.map_or(levels.len() + 1, |l| {
                        levels.iter().position(|level| **level == *l).unwrap_or(levels.len())
                    });
                    out.extend((0..levels.len() + 2).map(|i| f64::from(u8::from(i == at))));
                    impute || label.is_some()
                }
            };
            if !complete {
                out.truncate(start);
                return Encoded::Dropped;
            }
        }
        Encoded::Point { imputed }
    }
}

fn categories(how: Categories, counts: &BTreeMap<&str, u64>, missing: u64, all: u64) -> Fitted {
    let share = |n: u64| n as f64 / all as f64;
    match how {
        Categories::Frequency => Fitted::Frequency {
            shares: counts.iter().map(|(label, n)| (Box::from(*label), share(*n))).collect(),
            missing: share(missing),
        },
        Categories::OneHot { levels } => {
            let mut by_count: Vec<_> = counts.iter().collect();
            by_count.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
            by_count.truncate(levels);
            Fitted::OneHot { levels: by_count.into_iter().map(|(l, _)| Box::from(*l)).collect() }
        }
    }
}

/// The median, the mean of the two in the middle for an even number; `None` of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    // Halved first: the sum of two large numbers may not be one.
    Some(values[values.len() / 2 - 1] / 2.0 + upper / 2.0)
}
