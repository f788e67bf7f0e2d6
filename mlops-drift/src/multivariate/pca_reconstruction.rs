//! Drift as a change of the error with which principal components rebuild the rows.

use std::sync::Arc;

use arrow::array::{Float64Array, RecordBatch};
use arrow::datatypes::Schema;
use mlops_core::stats::{Interval, student_t_quantile};
use mlops_core::{
    Assessment, DataSource, DriftDetector, Error, Finding, Judge, Plan, Result, Rows, Scan, Verdict,
};
use serde::{Deserialize, Serialize};

use crate::multivariate::columns::ComparedColumn;
use crate::multivariate::eigen::symmetric_eigen;
use crate::multivariate::encoding::{Encoding, Feature};
use crate::multivariate::judged::{Evidence, Judged, VerdictRule, check_floor, test_options};
use crate::multivariate::pca_drift::{FeatureError, PcaDrift};
use crate::multivariate::permutation::{Permutations, Watch, upper_quantile};
use crate::multivariate::reconstruct::{Errors, Reconstruct, Subspace};
use crate::multivariate::row_sample::{Half, RowSample};
use crate::multivariate::space::{Covariance, CrossMoments, Space};

const STREAM: u32 = 0x4d56_0400;

/// How [`PcaReconstruction`] is fitted and judges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PcaOptions {
    seed: u64,
    columns: Option<Vec<ComparedColumn>>,
    encoding: Encoding,
    explained: f64,
    replicates: u32,
    floor: f64,
    rule: VerdictRule,
}

test_options!(PcaOptions);

impl PcaOptions {
    /// All columns, components for 0.65 of the variance, 999 permutations, a floor of 0.1, under
    /// this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            columns: None,
            encoding: Encoding::default(),
            explained: 0.65,
            replicates: 999,
            floor: 0.1,
            rule: VerdictRule::default(),
        }
    }

    /// The same with these columns only.
    #[must_use]
    pub fn columns(mut self, columns: Vec<ComparedColumn>) -> Self {
        self.columns = Some(columns);
        self
    }

    /// The same with this encoding, which is fitted on the fitted half of the reference.
    #[must_use]
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// The same with so many components that they explain more than this share of the variance.
    #[must_use]
    pub fn explained(mut self, share: f64) -> Self {
        self.explained = share;
        self
    }

    fn check(&self) -> Result<()> {
        self.rule.check()?;
        check_floor(self.floor)?;
        if !(self.explained > 0.0 && self.explained <= 1.0) {
            let expected = "a number in (0, 1]";
            return Err(Error::invalid("share of the variance", expected, self.explained));
        }
        Ok(())
    }
}

/// Principal components of a reference, and how well they rebuild rows.
///
/// One half of the reference (by a hash of the row's name) fits: the encoding and rough scales on a
/// sample of it, then exact means and covariances in one pass, from these the components of the
/// standardised columns that explain more than 0.65 of the variance, at least one and at most all
/// but one. The *other* half and the current data are judged: the error of a row is the Euclidean
/// length of what the components do not rebuild. Errors of the half that was fitted on would be too
/// small, and undrifted data would look drifted. `NannyML`'s `DataReconstructionDriftCalculator` and
/// `sklearn.decomposition.PCA(0.65)` after `StandardScaler`.
///
/// The statistic is Welch's `t` of the two means of errors; its p-value is `(k + 1)/(B + 1)` over
/// permutations of the errors (of a sample of 5,000 a side where there are more), two-sided, and
/// needs no normal law. The effect is the difference of the means in standard deviations of the
/// held-out errors; its limits are Welch's, with the permutation's quantile of `|t|` where that is
/// larger. The floor is 0.1.
///
/// What is fitted is some KiB (64·d² bytes while it is fitted, at most [`Self::MOST`] coordinates),
/// is written by serde, and needs no training data. Current data are measured in one scan; as a
/// [`DriftDetector`] it rides on the scan of others.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::{MemorySource, Verdict, batch};
/// use mlops_drift::multivariate::{PcaOptions, PcaReconstruction};
/// let spread = |i: usize| (i * 7919 % 997) as f64;
/// let rows = |step: usize| -> mlops_core::Result<MemorySource> {
///     Ok(MemorySource::from(batch! {
///         "price" => Float64Array::from_iter_values((0..900).map(spread)),
///         "size" => Float64Array::from_iter_values((0..900).map(|i| spread(i * step))),
///     }?))
/// };
/// let pca = PcaReconstruction::fit(&rows(1)?, &PcaOptions::new(42))?;
/// assert_eq!(pca.components().len(), 1);
/// assert_eq!(pca.compare(&rows(3)?)?.judged.verdict, Verdict::Fail);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct PcaReconstruction {
    subspace: Arc<Subspace>,
    explained: Vec<f64>,
    fitted_rows: u64,
    held: Errors,
    options: PcaOptions,
}

/// As it is written; whoever reads it trusts nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    subspace: Arc<Subspace>,
    explained: Vec<f64>,
    fitted_rows: u64,
    held: Errors,
    options: PcaOptions,
}

impl TryFrom<Written> for PcaReconstruction {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        let Written { subspace, explained, fitted_rows, held, options } = written;
        options.check()?;
        let d = subspace.space.dimension();
        let sound = subspace.is_sound()
            && explained.len() == subspace.components.len()
            && explained.iter().all(|share| (0.0..=1.0).contains(share))
            && held.squares.len() == d
            && held.drawn.len() as u64 <= held.moments.n()
            && held.drawn.iter().all(|e| e.is_finite() && *e >= 0.0)
            && held.drawn.len() >= 2;
        if !sound {
            let expected = "components, scales and errors that fit each other";
            return Err(Error::invalid("fitted principal components", expected, "others"));
        }
        Ok(Self { subspace, explained, fitted_rows, held, options })
    }
}

impl PcaReconstruction {
    /// The most coordinates that components are fitted on.
    pub const MOST: usize = 2_048;
    /// The errors of either side that are permuted.
    pub const DRAWN: usize = 5_000;

    /// Fits components on one half of a reference and measures their errors on the other: three
    /// scans.
    ///
    /// # Errors
    /// Those of the source; [`Error::Undefined`] with fewer than two coordinates that vary, or
    /// fewer than two complete rows in a half; [`Error::Invalid`] for options that are none or more
    /// than [`Self::MOST`] coordinates.
    pub fn fit(reference: &dyn DataSource, options: &PcaOptions) -> Result<Self> {
        options.check()?;
        let what = "reconstruction by principal components";
        let columns = match &options.columns {
            Some(columns) => columns.clone(),
            None => ComparedColumn::all(&reference.schema())?,
        };
        let draw = RowSample::new(columns, options.seed)?.of_half(Half::Fitted);
        let sample = draw.draw(reference)?;
        let mut space = Space::of(options.encoding, &sample, options.seed);
        let d = space.dimension();
        if d > Self::MOST {
            return Err(Error::invalid(what, format!("at most {} coordinates", Self::MOST), d));
        }
        space.half = Some(Half::Fitted);
        let fitted = CrossMoments(Arc::new(space.clone()));
        let moments = Scan::new(reference).run(&fitted)?;
        if moments.n < 2 {
            return Err(Error::undefined(what, format!("{} rows to fit on", moments.n)));
        }
        let fitted_rows = moments.n;
        let (components, explained) = components(&mut space, moments, options.explained)?;
        space.half = Some(Half::Held);
        let held = Subspace { space, components, cap: Self::DRAWN };
        let mut subspace = held.clone();
        let held = Scan::new(reference).run(&Reconstruct(Arc::new(held)))?;
        if held.moments.n() < 2 {
            let rows = held.moments.n();
            return Err(Error::undefined(what, format!("{rows} rows to judge on")));
        }
        subspace.space.half = None;
        Ok(Self {
            subspace: Arc::new(subspace),
            explained,
            fitted_rows,
            held,
            options: options.clone(),
        })
    }

    /// The components over the [`features`](Self::features), orthogonal, of length 1, the entry of
    /// the largest magnitude positive; shape `(n_components, n_features)`.
    pub fn components(&self) -> &[Vec<f64>] {
        &self.subspace.components
    }

    /// The share of the variance that each component explains (`explained_variance_ratio_`).
    pub fn explained(&self) -> &[f64] {
        &self.explained
    }

    /// The coordinates.
    pub fn features(&self) -> Vec<Feature> {
        self.subspace.space.encoder.features()
    }

    /// The mean and the standard deviation (over n) of each coordinate in the fitted half.
    pub fn scales(&self) -> impl Iterator<Item = (f64, f64)> {
        let space = &self.subspace.space;
        space.centre.iter().copied().zip(space.scale.iter().copied())
    }

    /// How many rows the components were fitted on, and on how many others their errors were
    /// measured.
    pub fn rows(&self) -> (u64, u64) {
        (self.fitted_rows, self.held.moments.n())
    }

    /// The error of each row; null for rows that are left out for what they miss.
    ///
    /// # Errors
    /// A column that is missing or of another kind.
    pub fn errors(&self, batch: &RecordBatch) -> Result<Float64Array> {
        let mut points = self.subspace.space.points(&Rows::new(batch))?;
        self.subspace.leave_residuals(&mut points);
        let mut errors = vec![None; batch.num_rows()];
        for ((row, _), error) in points.rows.iter().zip(self.subspace.errors(&points)) {
            errors[*row] = Some(error);
        }
        Ok(errors.into())
    }

    /// Compares current data: one scan.
    ///
    /// # Errors
    /// Those of the source; [`Error::Undefined`] with fewer than two complete rows.
    pub fn compare(&self, current: &dyn DataSource) -> Result<PcaDrift> {
        let errors = Scan::new(current).run(&Reconstruct(self.subspace.clone()))?;
        self.judge(&errors, Watch::none())
    }

    /// As [`compare`](Self::compare), watched: first the rows, then the permutations.
    ///
    /// # Errors
    /// As [`compare`](Self::compare); [`Error::Cancelled`].
    pub fn watched(&self, current: &dyn DataSource, watch: Watch<'_>) -> Result<PcaDrift> {
        let errors = watch.scan(current).run(&Reconstruct(self.subspace.clone()))?;
        self.judge(&errors, watch)
    }

    fn judge(&self, current: &Errors, watch: Watch<'_>) -> Result<PcaDrift> {
        let what = "a change of the error of reconstruction";
        let moments = |errors: &Errors| {
            let known = errors.moments.mean().zip(errors.moments.variance(1));
            known.ok_or_else(|| {
                Error::undefined(what, format!("{} complete rows", errors.moments.n()))
            })
        };
        let ((x, x_variance), (y, y_variance)) = (moments(&self.held)?, moments(current)?);
        let (n, m) = (self.held.moments.n(), current.moments.n());
        let (a, b) = (x_variance / n as f64, y_variance / m as f64);
        let standard_error = (a + b).sqrt();
        let sd = x_variance.sqrt();
        let options = &self.options;
        let drawn = [&self.held.drawn, &current.drawn];
        let (p_value, critical) = welch_permuted(drawn, options, watch)?;
        // In standard deviations of the held-out errors, if those vary.
        let change = if y == x { Some(0.0) } else { Some((y - x) / sd) }.filter(|c| c.is_finite());
        let interval = match change {
            Some(change) if standard_error > 0.0 && sd > 0.0 => {
                let freedom =
                    (a + b).powi(2) / (a.powi(2) / (n as f64 - 1.0) + b.powi(2) / (m as f64 - 1.0));
                let t = student_t_quantile(0.5 + 0.5 * options.rule.confidence, freedom)?;
                let margin = t.max(critical) * standard_error / sd;
                let limits = (change - margin, change + margin);
                // Not where too few permutations give no quantile.
                (limits.0.is_finite() && limits.1.is_finite())
                    .then(|| Interval::new(limits.0, limits.1, options.rule.confidence))
                    .transpose()?
            }
            _ => None,
        };
        let size = |limits: Interval| {
            let least = limits.low.max(-limits.high).max(0.0);
            Interval::new(least, limits.high.max(-limits.low), limits.confidence)
        };
        let change = change.unwrap_or(f64::MAX.copysign(y - x));
        let evidence = Evidence {
            p_value,
            replicates: options.replicates,
            effect: change.abs(),
            interval: interval.map(size).transpose()?,
            floor: options.floor,
            rows: n.min(m),
        };
        let mut features: Vec<FeatureError> = self
            .features()
            .into_iter()
            .zip(&self.held.squares)
            .zip(&current.squares)
            .map(|((feature, &reference), &current)| FeatureError {
                feature: feature.name,
                reference,
                current,
            })
            .collect();
        features.sort_by(|a, b| b.change().abs().total_cmp(&a.change().abs()));
        Ok(PcaDrift {
            reference_error: x,
            current_error: y,
            reference_sd: sd,
            change,
            interval,
            components: self.components().len() as u64,
            explained: self.explained.iter().sum(),
            fitted_rows: self.fitted_rows,
            n,
            m,
            dropped: current.dropped,
            imputed: current.imputed,
            features,
            judged: Judged::new(&options.rule, evidence),
        })
    }

    fn subject(&self) -> String {
        let columns = &self.subspace.space.encoder.columns;
        columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn unmeasured(&self, reason: String) -> Assessment {
        let finding = Finding::new(
            "pca_reconstruction",
            self.subject(),
            Verdict::Inconclusive,
            format!("an effect within {}", self.options.floor),
            reason,
        );
        Assessment::new("pca_reconstruction", 0, vec![finding])
    }
}

impl DriftDetector for PcaReconstruction {
    fn plan(&self, schema: &Schema, plan: &mut Plan) -> Result<Judge<Assessment>> {
        let own = &self.subspace.space.encoder.columns;
        let detector = self.clone();
        let found = ComparedColumn::named(schema, own.iter().map(|c| &c.name));
        let reason = match found {
            Ok(found) if found == *own => None,
            Ok(_) => Some("a column is of another kind than in the reference".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(reason) = reason {
            return Ok(Judge::new(move |_| Ok(detector.unmeasured(reason.clone()))));
        }
        let errors = plan.add(Reconstruct(self.subspace.clone()));
        Ok(Judge::new(move |measured| {
            let judged = measured.get(&errors).and_then(|e| detector.judge(e, Watch::none()));
            Ok(match judged {
                Ok(drift) => {
                    let finding = drift.judged.finding("pca_reconstruction", &detector.subject());
                    let rows = drift.m.saturating_add(drift.dropped);
                    Assessment::new("pca_reconstruction", rows, vec![finding])
                }
                Err(error) => detector.unmeasured(error.to_string()),
            })
        }))
    }
}

/// The principal components of standardised points and the shares of the variance that they
/// explain; the space gets the exact centres and scales.
pub(crate) fn components(
    space: &mut Space,
    moments: Covariance,
    explained: f64,
) -> Result<(Vec<Vec<f64>>, Vec<f64>)> {
    let d = space.dimension();
    // From the sample's scales to the exact ones; a constant coordinate stays as it is.
    let mut sds: Vec<f64> = (0..d).map(|f| moments.matrix[f * d + f].max(0.0).sqrt()).collect();
    let varying = sds.iter().filter(|sd| **sd > 0.0).count();
    if varying < 2 {
        return Err(Error::undefined("principal components", format!("{varying} columns vary")));
    }
    for sd in sds.iter_mut().filter(|sd| **sd == 0.0) {
        *sd = 1.0;
    }
    let exact = moments.mean.iter().zip(&sds);
    let rough = space.centre.iter_mut().zip(&mut space.scale);
    for ((centre, scale), (mean, sd)) in rough.zip(exact) {
        *centre += mean * *scale;
        *scale *= sd;
    }
    let mut correlations = moments.matrix;
    for a in 0..d {
        for b in 0..=a {
            correlations[a * d + b] /= sds[a] * sds[b];
        }
    }
    let eigen = symmetric_eigen(&correlations, d)?;
    let total: f64 = eigen.values.iter().map(|x| x.max(0.0)).sum();
    let shares: Vec<f64> = eigen.values.iter().map(|x| x.max(0.0) / total).collect();
    let mut reached = 0.0;
    let enough = shares.iter().position(|share| {
        reached += share;
        reached > explained
    });
    // Something must be left to be rebuilt, or there is no error.
    let kept = (enough.unwrap_or(d) + 1).min(varying - 1);
    Ok((eigen.vectors.into_iter().take(kept).collect(), shares.into_iter().take(kept).collect()))
}

/// The two-sided p-value of Welch's `t` under permutation, and the quantile of `|t|` at the rule's
/// confidence.
fn welch_permuted(
    [x, y]: [&Vec<f64>; 2],
    options: &PcaOptions,
    watch: Watch<'_>,
) -> Result<(f64, f64)> {
    let (n, m) = (x.len(), y.len());
    let how = Permutations::new(options.seed, STREAM, options.replicates, n, m)?;
    let all: Vec<f64> = x.iter().chain(y).copied().collect();
    // Around the mean of all, so that squares lose nothing.
    let centre = all.iter().map(|e| e / all.len() as f64).sum::<f64>();
    let all: Vec<f64> = all.into_iter().map(|e| e - centre).collect();
    let welch = |labels: &[bool]| {
        let mut sums = [[0.0; 2]; 2];
        for (e, label) in all.iter().zip(labels) {
            let side = &mut sums[usize::from(*label)];
            side[0] += e;
            side[1] += e * e;
        }
        let of = |[sum, squares]: [f64; 2], n: usize| {
            let n = n as f64;
            (sum / n, ((squares - sum * sum / n).max(0.0) / (n - 1.0)) / n)
        };
        let ((x, a), (y, b)) = (of(sums[0], n), of(sums[1], m));
        if x == y { 0.0 } else { ((y - x) / (a + b).sqrt()).abs() }
    };
    let observed = welch(&how.own());
    let permuted = watch.parts(how.replicates(), |r| Ok(welch(&how.labels(r))))?;
    let p_value = Permutations::p_value(observed, &permuted, 1e-9 * observed.min(1.0));
    Ok((p_value, upper_quantile(permuted, options.rule.confidence).unwrap_or(f64::INFINITY)))
}
