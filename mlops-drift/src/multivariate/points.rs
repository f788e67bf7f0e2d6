//! Two samples as points in one space.

use mlops_core::ndarray::ArrayView2;
use mlops_core::{Error, Result};

use crate::multivariate::columns::{ColumnKind, ComparedColumn};
use crate::multivariate::encoding::{Encoded, Encoder, Encoding, Feature};
use crate::multivariate::row_sample::Sample;

/// How the coordinates of points are made comparable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scaling {
    /// Each number and category in standard deviations of both sides pooled; an embedding by one
    /// factor for all its numbers, so that its angles and relative distances stay.
    #[default]
    Standard,
    /// Each coordinate becomes its rank among both sides pooled, in (0, 1), ties in the middle:
    /// for heavy tails.
    Rank,
    /// As they are.
    Raw,
}

/// The rows of two samples as points in one space: what the tests of this module compare.
///
/// The points of each side stand in an order of their own (by their coordinates), so that no
/// result depends on the order of rows. What is fitted to make points of rows (medians, shares,
/// scales) is fitted on both sides pooled and treats both alike: where nothing drifted the two
/// sides are exchangeable, and permuting them is an exact test.
#[derive(Clone, Debug)]
pub struct Points {
    /// The reference's points, then the current ones: shape `(n + m, n_features)`.
    x: Vec<f64>,
    reference: Side,
    current: Side,
    features: Vec<Feature>,
    columns: Vec<String>,
    constant: Vec<String>,
}

/// Where the points of a side come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Side {
    /// How many points there are.
    pub points: usize,
    /// How many rows the source had, of which the sample was drawn.
    pub rows: u64,
    /// Rows of the sample that were left out for what they miss.
    pub dropped: u64,
    /// Values of the sample that were filled in.
    pub imputed: u64,
}

impl Points {
    /// The points of two samples of the same columns.
    ///
    /// Coordinates that are constant over both sides tell nothing and are left out.
    ///
    /// # Errors
    /// [`Error::Invalid`] for samples of different columns; [`Error::Undefined`] if a side has
    /// fewer than two points, or no coordinate varies.
    pub fn new(
        reference: &Sample,
        current: &Sample,
        encoding: Encoding,
        scaling: Scaling,
    ) -> Result<Self> {
        if reference.columns != current.columns {
            let show = |sample: &Sample| {
                let of = |c: &ComparedColumn| format!("{} ({:?})", c.name, c.kind);
                sample.columns.iter().map(of).collect::<Vec<_>>().join(", ")
            };
            return Err(Error::invalid("columns of a sample", show(reference), show(current)));
        }
        let encoder = Encoder::fit(encoding, &[reference, current]);
        let features = encoder.features();
        let columns = encoder.columns.iter().map(|c| c.name.clone()).collect();
        let encoded = [reference, current].map(|sample| {
            let mut side = Side { points: 0, rows: sample.seen, dropped: 0, imputed: 0 };
            let mut x = Vec::with_capacity(sample.len() * features.len());
            for row in &sample.rows {
                match encoder.push(&row.numbers, |c| row.labels[c].as_deref(), &mut x) {
                    Encoded::Point { imputed } => {
                        side.points += 1;
                        side.imputed += imputed;
                    }
                    Encoded::Dropped => side.dropped += 1,
                }
            }
            (x, side)
        });
        let [(x, reference), (y, current)] = encoded;
        let embedded: Vec<bool> = features
            .iter()
            .map(|f| matches!(encoder.columns[f.column].kind, ColumnKind::Embedding { .. }))
            .collect();
        Self::of(x, y, reference, current, features, columns, &embedded, scaling)
    }

    /// The points that are the rows of two matrices of shape `(n_rows, n_features)`, under the
    /// names of the features.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is not one name for each column of both; [`Error::Value`] for a
    /// number that is not finite; else as [`Points::new`].
    pub fn of_rows<S: AsRef<str>>(
        reference: ArrayView2<'_, f64>,
        current: ArrayView2<'_, f64>,
        names: &[S],
        scaling: Scaling,
    ) -> Result<Self> {
        let columns: Vec<String> = names.iter().map(|n| n.as_ref().to_owned()).collect();
        let read = |x: ArrayView2<'_, f64>, side: &str| {
            if x.ncols() != columns.len() {
                let what = format!("features of the {side}");
                return Err(Error::invalid(what, columns.len().to_string(), x.ncols()));
            }
            if let Some(((row, column), x)) = x.indexed_iter().find(|(_, x)| !x.is_finite()) {
                return Err(Error::Value {
                    column: columns[column].clone(),
                    row: row as u64,
                    expected: "a finite number".into(),
                    found: x.to_string(),
                });
            }
            let points = x.nrows();
            let side = Side { points, rows: points as u64, dropped: 0, imputed: 0 };
            Ok((x.iter().map(|x| x + 0.0).collect::<Vec<_>>(), side))
        };
        let (x, reference) = read(reference, "reference")?;
        let (y, current) = read(current, "current data")?;
        let features = columns.iter().enumerate();
        let features = features.map(|(column, n)| Feature { name: n.clone(), column }).collect();
        let embedded = vec![false; columns.len()];
        Self::of(x, y, reference, current, features, columns, &embedded, scaling)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of the struct, from two callers")]
    fn of(
        mut x: Vec<f64>,
        y: Vec<f64>,
        reference: Side,
        current: Side,
        features: Vec<Feature>,
        columns: Vec<String>,
        embedded: &[bool],
        scaling: Scaling,
    ) -> Result<Self> {
        for (side, name) in [(reference, "reference"), (current, "current data")] {
            if side.points < 2 {
                let reason = format!("the {name} have {} complete rows", side.points);
                return Err(Error::undefined("a comparison of several columns", reason));
            }
        }
        x.extend(y);
        let d = features.len();
        let varies: Vec<bool> =
            (0..d).map(|f| x.iter().skip(f).step_by(d).any(|v| *v != x[f])).collect();
        let mut kept: Vec<Vec<f64>> = Vec::new();
        for f in (0..d).filter(|f| varies[*f]) {
            kept.push(scale(
                scaling,
                x.iter().skip(f).step_by(d).copied().collect(),
                !embedded[f],
            )?);
        }
        if kept.is_empty() {
            return Err(Error::undefined("a comparison of several columns", "all are constant"));
        }
        let (mut constant, mut varying) = (Vec::new(), Vec::new());
        let mut kept_embedded = Vec::new();
        for (f, feature) in features.into_iter().enumerate() {
            if varies[f] {
                kept_embedded.push(embedded[f]);
                varying.push(feature);
            } else {
                constant.push(feature.name);
            }
        }
        if scaling == Scaling::Standard {
            common_scale(&mut kept, &varying, &kept_embedded);
        }
        let n = reference.points;
        let side = |range: std::ops::Range<usize>| {
            let mut rows: Vec<usize> = range.collect();
            let key = |row: usize| kept.iter().map(move |column| column[row]);
            rows.sort_unstable_by(|&a, &b| {
                let mut orders = key(a).zip(key(b)).map(|(a, b)| a.total_cmp(&b));
                orders.find(|o| o.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
            });
            rows
        };
        let order = side(0..n).into_iter().chain(side(n..n + current.points));
        let x = order.flat_map(|row| kept.iter().map(move |column| column[row])).collect();
        Ok(Self { x, reference, current, features: varying, columns, constant })
    }

    /// The reference's side.
    pub fn reference(&self) -> Side {
        self.reference
    }

    /// The current side.
    pub fn current(&self) -> Side {
        self.current
    }

    /// The coordinates that vary.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// The names of the compared columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Coordinates that were left out because they are constant over both sides.
    pub fn constant(&self) -> &[String] {
        &self.constant
    }

    /// How many points both sides have.
    pub(crate) fn len(&self) -> usize {
        self.reference.points + self.current.points
    }

    /// How many coordinates a point has.
    pub(crate) fn dimension(&self) -> usize {
        self.features.len()
    }

    /// A point: first those of the reference, then the current ones.
    pub(crate) fn point(&self, i: usize) -> &[f64] {
        &self.x[i * self.dimension()..][..self.dimension()]
    }
}

/// Brings a coordinate to the common scale; one of an embedding (not `by_itself`) is only centred.
///
/// # Errors
/// [`Error::Undefined`] for numbers that have no standard deviation.
pub(crate) fn scale(scaling: Scaling, mut values: Vec<f64>, by_itself: bool) -> Result<Vec<f64>> {
    match scaling {
        Scaling::Raw => {}
        Scaling::Standard => {
            let (mean, sd) = mean_and_sd(&values);
            if !sd.is_finite() || sd == 0.0 {
                let reason = "the numbers are too large or too small to have a standard deviation";
                return Err(Error::undefined("a scale of points", reason));
            }
            let scale = if by_itself { sd } else { 1.0 };
            for x in &mut values {
                *x = (*x - mean) / scale;
            }
        }
        Scaling::Rank => {
            let mut sorted = values.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            for x in &mut values {
                let below = sorted.partition_point(|v| v < x);
                let up_to = sorted.partition_point(|v| v <= x);
                *x = (below + up_to) as f64 / (2.0 * sorted.len() as f64);
            }
        }
    }
    Ok(values)
}

/// The mean and the standard deviation (over n) of numbers that may be near the ends of the range.
pub(crate) fn mean_and_sd(values: &[f64]) -> (f64, f64) {
    // Of equal numbers the sum of their shares may be another number.
    if let Some(&first) = values.first()
        && values.iter().all(|x| *x == first)
    {
        return (first, 0.0);
    }
    let n = values.len() as f64;
    let mean = values.iter().map(|x| x / n).sum::<f64>();
    let largest = values.iter().fold(0.0_f64, |most, x| most.max((x - mean).abs()));
    if largest == 0.0 {
        return (mean, 0.0);
    }
    let squares = values.iter().map(|x| ((x - mean) / largest).powi(2)).sum::<f64>();
    (mean, largest * (squares / n).sqrt())
}

/// One factor for all coordinates of an embedding: their mean variance becomes 1.
fn common_scale(columns: &mut [Vec<f64>], features: &[Feature], embedded: &[bool]) {
    let mut at = 0;
    while at < columns.len() {
        let of = features[at].column;
        let end = at + features[at..].iter().take_while(|f| f.column == of).count();
        if embedded[at] {
            let sds = columns[at..end].iter().map(|c| mean_and_sd(c).1);
            let largest = sds.clone().fold(0.0, f64::max);
            let mean = sds.map(|sd| (sd / largest).powi(2)).sum::<f64>() / (end - at) as f64;
            let scale = largest * mean.sqrt();
            for column in &mut columns[at..end] {
                for x in column {
                    *x /= scale;
                }
            }
        }
        at = end;
    }
}
