//! Summaries of attributions over any number of rows, of which none is kept.

use std::collections::BTreeMap;

use arrow::array::{Array, Float64Array};
use mlops_core::bytes::{
    add_count, bad, put_len, put_str, put_u8, put_u64, take_count, take_len, take_str, take_u8,
};
use mlops_core::states::{Moments, Sum};
use mlops_core::{Analyzer, Description, Error, Result, Rows, State, is_numeric};
use serde::{Deserialize, Serialize};

use super::explainer::ONLY;
use super::joint::{Joint, Key, Values};
use super::{Explainer, PhiColumns};
use crate::Group;
use crate::codes::Codes;
use crate::tally::Places;

/// Measures attributions as they stand in columns beside the data ([`PhiColumns`]): mean |φ| and
/// mean φ, how φ lies over the values of each feature, and both by cohort. One pass, a mergeable
/// state, no row kept.
///
/// Rows in which a φ or the prediction is null or not finite are counted apart and enter nothing.
/// A feature's values are binned, if numbers, or are categories (64 of them, the first by name; the
/// others count as one); null, NaN and the infinities have places of their own.
///
/// ```
/// use std::sync::Arc;
/// use mlops_core::arrow::array::{Float64Array, StringArray};
/// use mlops_core::{DataSourceExt, MemorySource, batch, model::LinearModel};
/// use mlops_fairness::attribution::{AttributionSummary, ExplainedSource, LinearExplainer};
///
/// let people = MemorySource::from(batch! {
///     "sex" => StringArray::from(vec!["F", "M", "F", "M"]),
///     "years" => Float64Array::from(vec![2.0, 8.0, 4.0, 6.0]),
///     "income" => Float64Array::from(vec![3.0, 3.0, 1.0, 5.0]),
/// }?);
/// let model = LinearModel::regression(["years", "income"], [1.0, 0.5], 0.0)?;
/// let explainer = Arc::new(LinearExplainer::new(&model, &people)?);
/// let analyzer = AttributionSummary::of(&explainer)?.by(["sex"]);
/// let summary = ExplainedSource::new(Arc::new(people), explainer)?.measure(&analyzer)?;
///
/// assert_eq!(summary.features[0].mean_absolute, 2.0);
/// // What the two features add to the gap between the groups, exactly.
/// let gap = summary.gap("M", "F", 0.95)?;
/// assert_eq!(gap.difference, 5.0);
/// assert_eq!(gap.parts.iter().map(|p| p.difference).collect::<Vec<_>>(), [4.0, 1.0]);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributionSummary {
    features: Vec<Columns>,
    output: String,
    prediction: String,
    base: String,
    by: Vec<String>,
    threshold: Option<f64>,
    interactions: Vec<Interaction>,
}

/// A feature and its columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Columns {
    feature: String,
    phi: String,
    value: Option<String>,
}

/// Two features and the column of their interaction values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Interaction {
    features: (String, String),
    column: String,
}

impl AttributionSummary {
    /// The most cohorts that are told apart.
    pub const MAX_COHORTS: usize = 1000;

    /// Of the attributions of these features for this one of these outputs.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an output that is not one of them.
    pub fn new<S: AsRef<str>>(features: &[S], outputs: &[String], output: &str) -> Result<Self> {
        if !outputs.iter().any(|o| o == output) {
            return Err(Error::invalid(
                "output",
                format!("one of: {}", outputs.join(", ")),
                output,
            ));
        }
        let names = PhiColumns::of(outputs);
        let features = features.iter().map(AsRef::as_ref).map(|feature| Columns {
            feature: feature.to_owned(),
            phi: names.phi(feature, output),
            value: Some(feature.to_owned()),
        });
        Ok(Self {
            features: features.collect(),
            output: output.to_owned(),
            prediction: names.prediction(output),
            base: names.base(output),
            by: Vec::new(),
            threshold: None,
            interactions: Vec::new(),
        })
    }

    /// Of what an explainer gives for its only output, with the interactions of an
    /// [`InteractionExplainer`](super::InteractionExplainer). Features that are groups of columns
    /// have no values.
    ///
    /// # Errors
    /// [`Error::Invalid`] for several outputs: name one with [`of_output`](Self::of_output).
    pub fn of(explainer: &impl Explainer) -> Result<Self> {
        match explainer.outputs() {
            [output] => Self::of_output(explainer, output),
            outputs => Err(Error::invalid("outputs to summarise", "one", outputs.join(", "))),
        }
    }

    /// Of what an explainer gives for this output.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_output(explainer: &impl Explainer, output: &str) -> Result<Self> {
        let mut summary = Self::new(explainer.features(), explainer.outputs(), output)?;
        let names = PhiColumns::of(explainer.outputs());
        for (a, b) in explainer.pairs() {
            let column = names.pair((&a, &b), output);
            summary = summary.interaction((a, b), column);
        }
        let columns = explainer.columns();
        for feature in &mut summary.features {
            feature.value.take_if(|value| !columns.contains(value));
        }
        Ok(summary)
    }

    /// The same without a look at the features' values: only columns of φ are read.
    #[must_use]
    pub fn without_values(mut self) -> Self {
        self.features.iter_mut().for_each(|feature| feature.value = None);
        self
    }

    /// The same by cohort: by the combinations of values of these columns. Null is a value.
    #[must_use]
    pub fn by<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.by = columns.into_iter().map(Into::into).collect();
        self
    }

    /// The same, with rows selected whose prediction is at least this, for
    /// [`Summary::selection_gap`].
    #[must_use]
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.threshold = Some(threshold);
        self
    }

    /// The same with the interaction values of two features, which stand in this column.
    #[must_use]
    pub fn interaction(
        mut self,
        features: (impl Into<String>, impl Into<String>),
        column: impl Into<String>,
    ) -> Self {
        let features = (features.0.into(), features.1.into());
        self.interactions.push(Interaction { features, column: column.into() });
        self
    }
}

/// What [`AttributionSummary`] remembers.
#[derive(Clone, Debug, PartialEq)]
pub struct AttributionSummaryState {
    skipped: u64,
    prediction: Moments,
    features: Vec<FeatureState>,
    interactions: Vec<(Sum, Moments)>,
    cohorts: BTreeMap<Group, CohortState>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct FeatureState {
    phi: Moments,
    absolute: Sum,
    joint: Joint,
}

#[derive(Clone, Debug, PartialEq)]
struct CohortState {
    prediction: Moments,
    selected: u64,
    features: Vec<CohortFeature>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct CohortFeature {
    phi: Moments,
    absolute: Sum,
    /// What it had in the rows' being selected or not.
    share: Moments,
}

impl CohortState {
    fn new(features: usize) -> Self {
        let features = vec![CohortFeature::default(); features];
        Self { prediction: Moments::new(), selected: 0, features }
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        self.prediction.merge(other.prediction)?;
        add_count(&mut self.selected, other.selected);
        for (mine, theirs) in self.features.iter_mut().zip(other.features) {
            mine.phi.merge(theirs.phi)?;
            mine.absolute.merge(theirs.absolute)?;
            mine.share.merge(theirs.share)?;
        }
        Ok(())
    }
}

fn absolutes(x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| x.abs()).collect()
}

fn limit(cohorts: usize) -> Result<()> {
    if cohorts > AttributionSummary::MAX_COHORTS {
        return Err(Error::invalid(
            "cohorts",
            format!("at most {}", AttributionSummary::MAX_COHORTS),
            format!("{cohorts} or more"),
        ));
    }
    Ok(())
}

impl State for AttributionSummaryState {
    fn merge(&mut self, other: Self) -> Result<()> {
        let shape = |s: &Self| (s.features.len(), s.interactions.len());
        if shape(self) != shape(&other) {
            return Err(Error::merge("attributions", "they are of different features"));
        }
        add_count(&mut self.skipped, other.skipped);
        self.prediction.merge(other.prediction)?;
        for (mine, theirs) in self.features.iter_mut().zip(other.features) {
            mine.phi.merge(theirs.phi)?;
            mine.absolute.merge(theirs.absolute)?;
            mine.joint.merge(theirs.joint);
        }
        for (mine, theirs) in self.interactions.iter_mut().zip(other.interactions) {
            mine.0.merge(theirs.0)?;
            mine.1.merge(theirs.1)?;
        }
        for (group, theirs) in other.cohorts {
            match self.cohorts.get_mut(&group) {
                Some(mine) => mine.merge(theirs)?,
                None => drop(self.cohorts.insert(group, theirs)),
            }
        }
        limit(self.cohorts.len())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.skipped);
        self.prediction.encode(out);
        for feature in &self.features {
            feature.phi.encode(out);
            feature.absolute.encode(out);
            feature.joint.encode(out);
        }
        for (absolute, values) in &self.interactions {
            absolute.encode(out);
            values.encode(out);
        }
        put_len(out, self.cohorts.len());
        for (group, cohort) in &self.cohorts {
            for value in &group.values {
                match value {
                    None => put_u8(out, 0),
                    Some(text) => {
                        put_u8(out, 1);
                        put_str(out, text);
                    }
                }
            }
            cohort.prediction.encode(out);
            put_u64(out, cohort.selected);
            for feature in &cohort.features {
                feature.phi.encode(out);
                feature.absolute.encode(out);
                feature.share.encode(out);
            }
        }
    }

    fn size(&self) -> usize {
        let features: usize = self.features.iter().map(|f| 200 + f.joint.size()).sum();
        let cohorts: usize = self.cohorts.values().map(|c| 200 + 320 * c.features.len()).sum();
        features + cohorts + 200 * self.interactions.len()
    }
}

/// The rows that have finite numbers in all of these columns; `None` where all have.
fn whole_rows(columns: &[&Float64Array], rows: usize) -> Option<Vec<usize>> {
    let clean = |c: &&Float64Array| c.null_count() == 0 && c.values().iter().all(|x| x.is_finite());
    if columns.iter().all(clean) {
        return None;
    }
    let finite = |row: usize| columns.iter().all(|c| c.is_valid(row) && c.value(row).is_finite());
    Some((0..rows).filter(|&row| finite(row)).collect())
}

impl Analyzer for AttributionSummary {
    type State = AttributionSummaryState;
    type Output = Summary;

    fn columns(&self) -> Vec<String> {
        let mut columns: Vec<String> = self
            .features
            .iter()
            .flat_map(|f| [Some(&f.phi), f.value.as_ref()])
            .flatten()
            .chain(&self.by)
            .chain(self.interactions.iter().map(|i| &i.column))
            .cloned()
            .collect();
        columns.push(self.prediction.clone());
        if self.threshold.is_some() {
            columns.push(self.base.clone());
        }
        columns.sort();
        columns.dedup();
        columns
    }

    fn start(&self) -> AttributionSummaryState {
        AttributionSummaryState {
            skipped: 0,
            prediction: Moments::new(),
            features: vec![FeatureState::default(); self.features.len()],
            interactions: vec![(Sum::new(), Moments::new()); self.interactions.len()],
            cohorts: BTreeMap::new(),
        }
    }

    fn update(&self, state: &mut AttributionSummaryState, rows: &Rows<'_>) -> Result<()> {
        let phi: Vec<&Float64Array> =
            self.features.iter().map(|f| rows.numbers(&f.phi)).collect::<Result<_>>()?;
        let prediction = rows.numbers(&self.prediction)?;
        let interactions: Vec<_> =
            self.interactions.iter().map(|i| rows.numbers(&i.column)).collect::<Result<_>>()?;
        let base = match self.threshold {
            Some(_) => Some(rows.numbers(&self.base)?),
            None => None,
        };
        let mut needed = phi.clone();
        needed.push(prediction);
        needed.extend(&interactions);
        needed.extend(base);
        let whole = whole_rows(&needed, rows.len());
        let chosen: Vec<usize> = match &whole {
            Some(whole) => whole.clone(),
            None => (0..rows.len()).collect(),
        };
        add_count(&mut state.skipped, (rows.len() - chosen.len()) as u64);
        let pick = |column: &Float64Array| -> Vec<f64> {
            match &whole {
                None => column.values().to_vec(),
                Some(whole) => whole.iter().map(|&row| column.value(row)).collect(),
            }
        };
        state.prediction.add_slice(&pick(prediction));
        for ((columns, phi), feature) in self.features.iter().zip(&phi).zip(&mut state.features) {
            let picked = pick(phi);
            feature.phi.add_slice(&picked);
            feature.absolute.add_slice(&absolutes(&picked));
            let values = match &columns.value {
                None => Values::Unknown,
                Some(value) if is_numeric(rows.column(value)?.data_type()) => {
                    Values::Numbers(rows.numbers(value)?)
                }
                Some(value) => Values::Categories(rows.categories(value)?),
            };
            feature.joint.update(&values, phi.values(), &chosen);
        }
        for (column, (absolute, values)) in interactions.iter().zip(&mut state.interactions) {
            let picked = pick(column);
            absolute.add_slice(&absolutes(&picked));
            values.add_slice(&picked);
        }
        self.update_cohorts(state, rows, &phi, prediction, base, &chosen)
    }

    fn finish(&self, state: AttributionSummaryState) -> Result<Summary> {
        Ok(Summary::of(self, &state))
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<AttributionSummaryState> {
        let mut state = self.start();
        state.skipped = take_count(bytes)?;
        state.prediction = Moments::decode(bytes)?;
        for feature in &mut state.features {
            feature.phi = Moments::decode(bytes)?;
            feature.absolute = Sum::decode(bytes)?;
            feature.joint = Joint::decode(bytes)?;
        }
        for (absolute, values) in &mut state.interactions {
            *absolute = Sum::decode(bytes)?;
            *values = Moments::decode(bytes)?;
        }
        for _ in 0..take_len(bytes, self.by.len() + 8)? {
            let values = (0..self.by.len())
                .map(|_| match take_u8(bytes)? {
                    0 => Ok(None),
                    1 => take_str(bytes).map(Some),
                    tag => Err(bad(bytes, "0 or 1", tag)),
                })
                .collect::<Result<_>>()?;
            let group = Group { values };
            if state.cohorts.last_key_value().is_some_and(|(last, _)| *last >= group) {
                return Err(bad(bytes, "cohorts in ascending order", &group));
            }
            let mut cohort = CohortState::new(self.features.len());
            cohort.prediction = Moments::decode(bytes)?;
            cohort.selected = take_count(bytes)?;
            for feature in &mut cohort.features {
                feature.phi = Moments::decode(bytes)?;
                feature.absolute = Sum::decode(bytes)?;
                feature.share = Moments::decode(bytes)?;
            }
            state.cohorts.insert(group, cohort);
            limit(state.cohorts.len())?;
        }
        Ok(state)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("attribution_summary", 1, self))
    }
}

impl AttributionSummary {
    fn update_cohorts(
        &self,
        state: &mut AttributionSummaryState,
        rows: &Rows<'_>,
        phi: &[&Float64Array],
        prediction: &Float64Array,
        base: Option<&Float64Array>,
        chosen: &[usize],
    ) -> Result<()> {
        if self.by.is_empty() {
            return Ok(());
        }
        let codes: Vec<_> =
            self.by.iter().map(|column| Codes::of(rows, column)).collect::<Result<_>>()?;
        let codes: Vec<&Codes> = codes.iter().map(AsRef::as_ref).collect();
        // The key of a cohort is a number in a mixed radix: a digit for each column.
        let (mut radix, mut parts) = (1_u128, Vec::with_capacity(codes.len()));
        for column in &codes {
            let labels = column.labels.len() as u128;
            parts.push((0..labels).map(|code| code * radix).collect());
            match radix.checked_mul(labels.max(1)) {
                Some(next) => radix = next,
                None => return limit(Self::MAX_COHORTS + 1),
            }
        }
        let all: Vec<u32> = (0..rows.len() as u32).collect();
        let mut cohorts: Vec<(u128, Vec<usize>)> = Vec::new();
        Places::of(&codes, &parts, rows.len()).group(&all, |key, members| {
            let members = members.iter().map(|&row| row as usize);
            // Both ascend.
            let members: Vec<_> = members.filter(|row| chosen.binary_search(row).is_ok()).collect();
            if !members.is_empty() && cohorts.len() <= Self::MAX_COHORTS {
                cohorts.push((key, members));
            }
        });
        for (mut key, members) in cohorts {
            let mut values = Vec::with_capacity(codes.len());
            for column in &codes {
                let labels = column.labels.len().max(1) as u128;
                let label = &column.labels[(key % labels) as usize];
                values.push(label.as_ref().map(ToString::to_string));
                key /= labels;
            }
            let group = Group { values };
            if !state.cohorts.contains_key(&group) {
                limit(state.cohorts.len() + 1)?;
            }
            let cohort =
                state.cohorts.entry(group).or_insert_with(|| CohortState::new(self.features.len()));
            let of = |column: &Float64Array| -> Vec<f64> {
                members.iter().map(|&row| column.value(row)).collect()
            };
            cohort.prediction.add_slice(&of(prediction));
            for (phi, feature) in phi.iter().zip(&mut cohort.features) {
                let picked = of(phi);
                feature.phi.add_slice(&picked);
                feature.absolute.add_slice(&absolutes(&picked));
            }
            let (Some(threshold), Some(base)) = (self.threshold, base) else { continue };
            let mut shares = vec![Vec::with_capacity(members.len()); phi.len()];
            for &row in &members {
                let selected = prediction.value(row) >= threshold;
                cohort.selected += u64::from(selected);
                // What turned the row from what the base alone would be: the features that pushed
                // that way, in proportion.
                let turned = f64::from(i8::from(selected) - i8::from(base.value(row) >= threshold));
                let push = |phi: &Float64Array| (turned * phi.value(row)).max(0.0);
                let total: f64 = phi.iter().map(|phi| push(phi)).sum();
                for (shares, phi) in shares.iter_mut().zip(phi) {
                    let share = if total > 0.0 { turned * (push(phi) / total) } else { 0.0 };
                    shares.push(if share.is_finite() { share } else { 0.0 });
                }
            }
            for (feature, shares) in cohort.features.iter_mut().zip(shares) {
                feature.share.add_slice(&shares);
            }
        }
        Ok(())
    }
}

/// What [`AttributionSummary`] found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Summary {
    /// The output that was explained.
    pub output: String,
    /// Rows that were summarised.
    pub rows: u64,
    /// Rows with a φ or prediction that is no finite number, which were left out.
    pub skipped: u64,
    /// The mean prediction; `None` without rows.
    pub mean_prediction: Option<f64>,
    /// The features, the largest mean |φ| first.
    pub features: Vec<FeatureSummary>,
    /// The interactions that were measured, the largest mean |φ| first.
    pub interactions: Vec<InteractionSummary>,
    /// The columns whose values make the cohorts.
    pub by: Vec<String>,
    /// The cohorts, in their order.
    pub cohorts: Vec<CohortSummary>,
    /// From which prediction on a row counts as selected.
    pub threshold: Option<f64>,
}

/// A feature over all rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FeatureSummary {
    /// The feature.
    pub feature: String,
    /// Mean |φ|: how far it moves predictions. 0 without rows.
    pub mean_absolute: f64,
    /// Mean φ.
    pub mean: f64,
    /// The standard deviation of φ, of n − 1 degrees of freedom; `None` of fewer than two rows.
    pub std_dev: Option<f64>,
    /// The least and the largest φ; `None` without rows.
    pub range: Option<(f64, f64)>,
    /// The edges of equally wide bins of φ; none without rows.
    pub phi_edges: Vec<f64>,
    /// φ by the feature's value, in order of the values; one of [`ValuePlace::Missing`] alone where
    /// its values are not known.
    pub values: Vec<ValueBin>,
}

/// The rows whose feature has a value of some range or kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ValueBin {
    /// Which values.
    pub place: ValuePlace,
    /// How many rows.
    pub rows: u64,
    /// Their mean φ.
    pub mean: f64,
    /// How many of them are in each bin of φ.
    pub counts: Vec<u64>,
}

/// Which values of a feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValuePlace {
    /// −∞.
    NegativeInfinity,
    /// From the first number to just below the second.
    Range(f64, f64),
    /// ∞.
    PositiveInfinity,
    /// This category.
    Category(String),
    /// The categories that are not told apart.
    OtherCategories,
    /// Null or NaN, or a value that was not given.
    Missing,
}

/// Two features' interaction over all rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InteractionSummary {
    /// The two.
    pub features: (String, String),
    /// Mean |φ|.
    pub mean_absolute: f64,
    /// Mean φ.
    pub mean: f64,
}

/// A cohort.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CohortSummary {
    /// The values that make it.
    pub group: Group,
    /// Its rows.
    pub rows: u64,
    /// Their mean prediction.
    pub mean_prediction: f64,
    /// Rows that are selected, where there is a threshold.
    pub selected: Option<u64>,
    /// The features, in the order of [`Summary::features`].
    pub features: Vec<CohortFeatureSummary>,
    pub(super) prediction_std_dev: Option<f64>,
}

/// A feature in a cohort.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CohortFeatureSummary {
    /// The feature.
    pub feature: String,
    /// Mean |φ|.
    pub mean_absolute: f64,
    /// Mean φ.
    pub mean: f64,
    /// The standard deviation of φ; `None` of fewer than two rows.
    pub std_dev: Option<f64>,
    /// Mean and standard deviation of its share in rows being selected, where there is a
    /// threshold.
    pub(super) share: Option<(f64, Option<f64>)>,
}

impl Summary {
    fn of(analyzer: &AttributionSummary, state: &AttributionSummaryState) -> Self {
        let rows = state.prediction.n();
        let mean = |sum: &Sum, n: u64| sum.mean(n).unwrap_or(0.0);
        let mut order: Vec<usize> = (0..state.features.len()).collect();
        let strength = |i: &usize| mean(&state.features[*i].absolute, rows);
        order.sort_by(|a, b| strength(b).total_cmp(&strength(a)).then_with(|| a.cmp(b)));
        let features = order.iter().map(|&i| {
            let feature = &state.features[i];
            let values = feature.joint.places().map(|(key, edges, sum, counts)| {
                let rows = counts.iter().fold(0_u64, |sum, n| sum.saturating_add(*n));
                let place = match (key, edges) {
                    (Key::Below, _) => ValuePlace::NegativeInfinity,
                    (Key::Bin(_), edges) => {
                        let (low, high) = edges.unwrap_or_default();
                        ValuePlace::Range(low, high)
                    }
                    (Key::Above, _) => ValuePlace::PositiveInfinity,
                    (Key::Category(name), _) => ValuePlace::Category(name.clone()),
                    (Key::Other, _) => ValuePlace::OtherCategories,
                    (Key::Missing, _) => ValuePlace::Missing,
                };
                ValueBin { place, rows, mean: mean(sum, rows), counts }
            });
            FeatureSummary {
                feature: analyzer.features[i].feature.clone(),
                mean_absolute: mean(&feature.absolute, rows),
                mean: feature.phi.mean().unwrap_or(0.0),
                std_dev: feature.phi.std(1),
                range: feature.joint.phi.ends(),
                phi_edges: feature.joint.phi_edges(),
                values: values.collect(),
            }
        });
        let features = features.collect();
        let mut interactions: Vec<_> = analyzer
            .interactions
            .iter()
            .zip(&state.interactions)
            .map(|(interaction, (absolute, values))| InteractionSummary {
                features: interaction.features.clone(),
                mean_absolute: mean(absolute, rows),
                mean: values.mean().unwrap_or(0.0),
            })
            .collect();
        interactions.sort_by(|a, b| b.mean_absolute.total_cmp(&a.mean_absolute));
        let cohorts = state.cohorts.iter().map(|(group, cohort)| {
            let rows = cohort.prediction.n();
            let features = order.iter().map(|&i| {
                let feature = &cohort.features[i];
                let share = || (feature.share.mean().unwrap_or(0.0), feature.share.std(1));
                CohortFeatureSummary {
                    feature: analyzer.features[i].feature.clone(),
                    mean_absolute: mean(&feature.absolute, rows),
                    mean: feature.phi.mean().unwrap_or(0.0),
                    std_dev: feature.phi.std(1),
                    share: analyzer.threshold.map(|_| share()),
                }
            });
            CohortSummary {
                group: group.clone(),
                rows,
                mean_prediction: cohort.prediction.mean().unwrap_or(0.0),
                selected: analyzer.threshold.map(|_| cohort.selected),
                features: features.collect(),
                prediction_std_dev: cohort.prediction.std(1),
            }
        });
        Self {
            output: analyzer.output.clone(),
            rows,
            skipped: state.skipped,
            mean_prediction: state.prediction.mean(),
            features,
            interactions,
            by: analyzer.by.clone(),
            cohorts: cohorts.collect(),
            threshold: analyzer.threshold,
        }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.output.as_str() {
            ONLY => write!(f, "attributions of predictions over {} rows", self.rows)?,
            output => write!(f, "attributions of output `{output}` over {} rows", self.rows)?,
        }
        if self.skipped > 0 {
            write!(f, " ({} left out)", self.skipped)?;
        }
        write!(f, "\n  {:>12} {:>12}", "mean |φ|", "mean φ")?;
        for feature in &self.features {
            write!(
                f,
                "\n  {:>12.6} {:>12.6}  {}",
                feature.mean_absolute, feature.mean, feature.feature
            )?;
        }
        Ok(())
    }
}
