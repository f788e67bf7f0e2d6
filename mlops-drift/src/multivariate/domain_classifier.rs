//! Can a classifier tell current rows from those of the reference?

use std::fmt;
use std::sync::Arc;

use mlops_core::ndarray::{Array2, ArrayView2};
use mlops_core::stats::{Draws, Interval, normal_quantile, roc_auc_delong};
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::multivariate::judged::{Evidence, Judged, VerdictRule, check_floor, test_options};
use crate::multivariate::permutation::{Permutations, Watch};
use crate::multivariate::points::{Points, Scaling, scale};
use crate::multivariate::ridge::Ridge;

const STREAM: u32 = 0x4d56_0500;
const FOLDS: u32 = 0x4d56_0501;
const SHUFFLES: u32 = 0x4d56_0502;

/// What a classifier learned: scores of rows of shape `(n_rows, n_features)`, larger where a row
/// looks more like the current ones.
pub type Scorer = Box<dyn Fn(ArrayView2<'_, f64>) -> Result<Vec<f64>> + Send + Sync>;

/// Who learns to tell current rows from those of the reference.
///
/// # Contract
/// - `fit` gets rows of shape `(n_rows, n_features)` and for each whether it is a current one; both
///   kinds are there. It gives the same scorer for the same rows, and looks at nothing else.
/// - The scorer gives a number for each row, none of them NaN, and looks at each row by itself.
pub trait Classifier: fmt::Debug + Send + Sync {
    /// Learns.
    ///
    /// # Errors
    /// Rows that nothing can be learned from.
    fn fit(&self, x: ArrayView2<'_, f64>, is_current: &[bool]) -> Result<Scorer>;
}

/// A closure as a [`Classifier`].
#[derive(Clone, Copy)]
pub struct ClassifierFn<F>(pub F);

impl<F> fmt::Debug for ClassifierFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClassifierFn")
    }
}

impl<F> Classifier for ClassifierFn<F>
where
    F: Fn(ArrayView2<'_, f64>, &[bool]) -> Result<Scorer> + Send + Sync,
{
    fn fit(&self, x: ArrayView2<'_, f64>, is_current: &[bool]) -> Result<Scorer> {
        (self.0)(x, is_current)
    }
}

/// The classifier two-sample test: the area under the ROC curve with which a classifier, fitted on
/// other rows, tells the current rows from those of the reference.
///
/// Rows fall into folds at random; each is scored by a classifier that was fitted on the other
/// folds, and the AUC is taken over pairs within a fold. The p-value is `(k + 1)/(B + 1)` over
/// permutations of the labels, with everything refitted: exact whatever the classifier. Where
/// nothing drifted the AUC is 0.5. `NannyML`'s `DomainClassifierCalculator` and alibi-detect's
/// `ClassifierDrift` for the idea.
///
/// The built-in classifier is a ridge regression of the label on each coordinate's pooled rank, its
/// square and products of pairs (where there are at most 512 such terms; else without products, then
/// without squares), with a penalty of one unit of noise for each term. Only the right-hand side
/// changes with the labels, so that a refit costs `O(N p)`. Any other comes by
/// [`classifier`](Self::classifier), and sees the points as they are.
///
/// The effect is the AUC; its limits are DeLong's on the logit scale, with the folds' variances
/// added; where the two are told apart without error, the lower limit is that of as many
/// disjoint pairs, `(α/2)^(1/min(n, m))`. The floor is 0.55.
///
/// ```
/// use mlops_core::ndarray::Array2;
/// use mlops_drift::multivariate::{DomainClassifier, Points, Scaling};
/// let spread = |i: usize| (i * 7919 % 199) as f64;
/// let apart = Array2::from_shape_fn((199, 2), |(i, j)| spread(i * (1 + 2 * j) + j));
/// let together = Array2::from_shape_fn((199, 2), |(i, _)| spread(i));
/// let names = ["x", "y"];
/// let points = Points::of_rows(apart.view(), together.view(), &names, Scaling::Raw)?;
/// let test = DomainClassifier::new(42).test(&points)?;
/// assert!(test.auc > 0.7 && test.judged.verdict.is_fail());
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # References
/// Lopez-Paz & Oquab (2017), arXiv 1610.06545; DeLong, DeLong & Clarke-Pearson (1988),
/// doi:10.2307/2531595; `LeDell`, Petersen & van der Laan (2015), doi:10.1214/15-EJS1035; Kim, Ramdas,
/// Singh & Wasserman (2021), doi:10.1214/20-AOS1962.
#[derive(Clone, Debug)]
pub struct DomainClassifier {
    seed: u64,
    replicates: u32,
    folds: usize,
    classifier: Option<Arc<dyn Classifier>>,
    floor: f64,
    rule: VerdictRule,
}

test_options!(DomainClassifier);

impl DomainClassifier {
    /// The test with the built-in classifier, 5 folds and 199 permutations under this seed.
    pub fn new(seed: u64) -> Self {
        let rule = VerdictRule::default();
        Self { seed, replicates: 199, folds: 5, classifier: None, floor: 0.55, rule }
    }

    /// The same with so many folds.
    #[must_use]
    pub fn folds(mut self, folds: usize) -> Self {
        self.folds = folds;
        self
    }

    /// The same with this classifier.
    #[must_use]
    pub fn classifier(mut self, classifier: impl Classifier + 'static) -> Self {
        self.classifier = Some(Arc::new(classifier));
        self
    }

    /// Tests two samples.
    ///
    /// # Errors
    /// [`Error::Invalid`] for fewer than two folds or fewer rows than folds on a side, or other
    /// options that are none; those of the classifier.
    pub fn test(&self, points: &Points) -> Result<DomainClassifierTest> {
        self.watched(points, Watch::none())
    }

    /// As [`test`](Self::test), watched.
    ///
    /// # Errors
    /// As [`test`](Self::test); [`Error::Cancelled`].
    pub fn watched(&self, points: &Points, watch: Watch<'_>) -> Result<DomainClassifierTest> {
        self.rule.check()?;
        check_floor(self.floor)?;
        let (n, m) = (points.reference().points, points.current().points);
        if self.folds < 2 || self.folds > n.min(m) {
            let expected = format!("at least 2, and at most {} rows", n.min(m));
            return Err(Error::invalid("folds of a domain classifier", expected, self.folds));
        }
        let how = Permutations::new(self.seed, STREAM, self.replicates, n, m)?;
        // Folds know nothing of the labels.
        let mut fold_of: Vec<usize> = (0..n + m).map(|i| i % self.folds).collect();
        Draws::new(self.seed, FOLDS, 0).shuffle(&mut fold_of);
        let learner = Learner::of(self, points, &fold_of, watch)?;
        let labels = how.own();
        let fits = learner.fit(&labels, &fold_of)?;
        let own = Auc::of(&labels, &learner.scores(&fits, &fold_of, None)?, &fold_of, self.folds)?;
        let permuted = watch.parts(how.replicates(), |replicate| {
            let labels = how.labels(replicate);
            let fits = learner.fit(&labels, &fold_of)?;
            let scores = learner.scores(&fits, &fold_of, None)?;
            Auc::of(&labels, &scores, &fold_of, self.folds).map(|auc| auc.auc)
        })?;
        let columns = watch.parts(points.columns().len(), |column| {
            let shuffled = Shuffled { column, order: self.shuffled(column, &fold_of) };
            let scores = learner.scores(&fits, &fold_of, Some(&shuffled))?;
            let without = Auc::of(&labels, &scores, &fold_of, self.folds)?.auc;
            let column = points.columns()[column].clone();
            Ok(ColumnImportance { column, importance: own.auc - without })
        })?;
        let mut columns = columns;
        columns.sort_by(|a, b| b.importance.total_cmp(&a.importance));
        let evidence = Evidence {
            p_value: Permutations::p_value(own.auc, &permuted, 0.0),
            replicates: self.replicates,
            effect: own.auc,
            interval: own.interval(self.rule.confidence, n.min(m))?,
            floor: self.floor,
            rows: n.min(m) as u64,
        };
        Ok(DomainClassifierTest {
            auc: own.auc,
            std_error: own.std_error,
            expected_from_noise: permuted.iter().sum::<f64>() / permuted.len() as f64,
            classifier: learner.describe(),
            folds: self.folds as u64,
            columns,
            n: n as u64,
            m: m as u64,
            judged: Judged::new(&self.rule, evidence),
        })
    }

    /// For each row another of its fold.
    fn shuffled(&self, column: usize, fold_of: &[usize]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..fold_of.len()).collect();
        for fold in 0..self.folds {
            let rows: Vec<usize> = (0..fold_of.len()).filter(|i| fold_of[*i] == fold).collect();
            let index = (column * self.folds + fold) as u64;
            let mut others = rows.clone();
            Draws::new(self.seed, SHUFFLES, index).shuffle(&mut others);
            rows.into_iter().zip(others).for_each(|(row, other)| order[row] = other);
        }
        order
    }
}

/// A column whose values come from other rows.
struct Shuffled {
    column: usize,
    order: Vec<usize>,
}

/// Fits and scores by fold.
enum Learner<'a> {
    Ridge { ridge: Ridge, ranks: Vec<f64>, points: &'a Points },
    Other { classifier: &'a dyn Classifier, x: Array2<f64>, points: &'a Points },
}

enum Fits {
    Ridge(Vec<Vec<f64>>),
    Other(Vec<Scorer>),
}

impl<'a> Learner<'a> {
    fn of(
        test: &'a DomainClassifier,
        points: &'a Points,
        fold_of: &[usize],
        watch: Watch<'_>,
    ) -> Result<Self> {
        let (all, d) = (points.len(), points.dimension());
        if let Some(classifier) = &test.classifier {
            let x = Array2::from_shape_fn((all, d), |(i, f)| points.point(i)[f]);
            return Ok(Self::Other { classifier: &**classifier, x, points });
        }
        let mut ranks = vec![0.0; all * d];
        for f in 0..d {
            let column: Vec<f64> = (0..all).map(|i| points.point(i)[f]).collect();
            for (i, rank) in scale(Scaling::Rank, column, true)?.into_iter().enumerate() {
                ranks[i * d + f] = 2.0 * rank - 1.0;
            }
        }
        let ridge = Ridge::new(&ranks, d, fold_of, test.folds, watch)?;
        Ok(Self::Ridge { ridge, ranks, points })
    }

    fn describe(&self) -> String {
        match self {
            Self::Ridge { ridge, .. } => ridge.describe().to_owned(),
            Self::Other { classifier, .. } => format!("{classifier:?}"),
        }
    }

    fn fit(&self, labels: &[bool], fold_of: &[usize]) -> Result<Fits> {
        match self {
            Self::Ridge { ridge, .. } => {
                let share = labels.iter().filter(|l| **l).count() as f64 / labels.len() as f64;
                let y = labels.iter().map(|l| f64::from(u8::from(*l)) - share);
                Ok(Fits::Ridge(ridge.fit(&y.collect::<Vec<_>>())))
            }
            Self::Other { classifier, x, .. } => {
                let folds = fold_of.iter().max().map_or(0, |last| last + 1);
                let fit = |fold: usize| {
                    let rows: Vec<usize> =
                        (0..labels.len()).filter(|i| fold_of[*i] != fold).collect();
                    let train = x.select(mlops_core::ndarray::Axis(0), &rows);
                    let labels: Vec<bool> = rows.iter().map(|i| labels[*i]).collect();
                    if labels.iter().all(|label| *label == labels[0]) {
                        // From one kind nothing is learned; of few rows a fold may hold all.
                        return Ok(
                            Box::new(|x: ArrayView2<'_, f64>| Ok(vec![0.0; x.nrows()])) as Scorer
                        );
                    }
                    classifier.fit(train.view(), &labels)
                };
                Ok(Fits::Other((0..folds).map(fit).collect::<Result<_>>()?))
            }
        }
    }

    /// The score of each row by the fit of its fold.
    fn scores(&self, fits: &Fits, fold_of: &[usize], other: Option<&Shuffled>) -> Result<Vec<f64>> {
        match (self, fits) {
            (Self::Ridge { ridge, .. }, Fits::Ridge(fits)) if other.is_none() => {
                Ok(ridge.scores(fits))
            }
            (Self::Ridge { ridge, ranks, points }, Fits::Ridge(fits)) => {
                let d = points.dimension();
                let at = |i: usize, f: usize| ranks[i * d + f];
                let point = |i| (0..d).map(|f| at(row_of(points, other, i, f), f)).collect();
                let score = |(i, fold): (usize, &usize)| {
                    let point: Vec<f64> = point(i);
                    ridge.score(&point, &fits[*fold])
                };
                Ok(fold_of.iter().enumerate().map(score).collect())
            }
            (Self::Other { x, points, .. }, Fits::Other(fits)) => {
                let mut scores = vec![0.0; fold_of.len()];
                for (fold, score) in fits.iter().enumerate() {
                    let rows: Vec<usize> =
                        (0..fold_of.len()).filter(|i| fold_of[*i] == fold).collect();
                    let part = Array2::from_shape_fn((rows.len(), x.ncols()), |(i, f)| {
                        x[[row_of(points, other, rows[i], f), f]]
                    });
                    let found = score(part.view())?;
                    if found.len() != rows.len() {
                        let what = "scores of a domain classifier";
                        let expected = format!("one for each of {} rows", rows.len());
                        return Err(Error::invalid(what, expected, found.len()));
                    }
                    rows.into_iter().zip(found).for_each(|(row, score)| scores[row] = score);
                }
                Ok(scores)
            }
            _ => Err(Error::invalid("fits of a domain classifier", "its own", "another's")),
        }
    }
}

/// The row that a coordinate's value is taken from.
fn row_of(points: &Points, other: Option<&Shuffled>, row: usize, feature: usize) -> usize {
    match other {
        Some(other) if points.features()[feature].column == other.column => other.order[row],
        _ => row,
    }
}

/// The AUC over pairs within a fold.
struct Auc {
    auc: f64,
    std_error: Option<f64>,
}

impl Auc {
    fn of(labels: &[bool], scores: &[f64], fold_of: &[usize], folds: usize) -> Result<Self> {
        let (mut pairs, mut sum, mut variance) = (0.0, 0.0, Some(0.0));
        for fold in 0..folds {
            let rows = || (0..labels.len()).filter(|i| fold_of[*i] == fold);
            let labels: Vec<bool> = rows().map(|i| labels[i]).collect();
            let positives = labels.iter().filter(|l| **l).count();
            if positives == 0 || positives == labels.len() {
                // It has no pairs.
                continue;
            }
            let scores: Vec<f64> = rows().map(|i| scores[i]).collect();
            let roc = roc_auc_delong(&labels, &scores)?;
            let weight = (roc.positives * roc.negatives) as f64;
            pairs += weight;
            sum += weight * roc.auc;
            variance = variance.zip(roc.std_error).map(|(v, e)| v + (weight * e).powi(2));
        }
        if pairs == 0.0 {
            let reason = "no fold has rows of both sides";
            return Err(Error::undefined("the AUC of a domain classifier", reason));
        }
        Ok(Self { auc: sum / pairs, std_error: variance.map(|v| v.sqrt() / pairs) })
    }

    fn interval(&self, confidence: f64, pairs: usize) -> Result<Option<Interval>> {
        let alpha = 1.0 - confidence;
        if self.auc >= 1.0 {
            let low = (alpha / 2.0).powf(1.0 / pairs as f64);
            return Interval::new(low, 1.0, confidence).map(Some);
        }
        let Some(error) = self.std_error.filter(|e| *e > 0.0 && self.auc > 0.0) else {
            return Ok(None);
        };
        let odds = self.auc / (1.0 - self.auc);
        let half = normal_quantile(1.0 - alpha / 2.0)? * error / (self.auc * (1.0 - self.auc));
        let limit = |factor: f64| 1.0 / (1.0 + 1.0 / (odds * factor));
        let (low, high) = (limit((-half).exp()).min(self.auc), limit(half.exp()).max(self.auc));
        Interval::new(low, high, confidence).map(Some)
    }
}

/// How much a column helps to tell the two sides apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ColumnImportance {
    /// The column.
    pub column: String,
    /// How much the AUC falls when the column's values are shuffled over the rows of a fold; about
    /// 0, or below, for one that tells nothing.
    pub importance: f64,
}

/// What [`DomainClassifier`] found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DomainClassifierTest {
    /// The AUC over pairs within a fold, in \[0, 1\]; 0.5 where nothing tells the sides apart.
    pub auc: f64,
    /// Its standard error given what was learned; `None` where a fold has a single row of a side.
    pub std_error: Option<f64>,
    /// The mean AUC under permutation.
    pub expected_from_noise: f64,
    /// Who learned.
    pub classifier: String,
    /// In how many folds.
    pub folds: u64,
    /// The columns, those that tell the sides apart first.
    pub columns: Vec<ColumnImportance>,
    /// Points of the reference.
    pub n: u64,
    /// Current points.
    pub m: u64,
    /// The verdict; its effect is the AUC.
    pub judged: Judged,
}

impl fmt::Display for DomainClassifierTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { auc, classifier, folds, n, m, judged, .. } = self;
        write!(
            f,
            "domain classifier: AUC {auc:.4} ({classifier}, {folds} folds, {n} and {m} rows): \
             {judged}"
        )?;
        for column in self.columns.iter().take(5).filter(|c| c.importance > 0.0) {
            write!(f, "\n  {}: AUC falls by {:.4} without it", column.column, column.importance)?;
        }
        Ok(())
    }
}
