//! A model as a game of its features: what it predicts where only some of them are known.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, Scalar, UInt32Array};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{RowConverter, SortField};
use mlops_core::{Digest, Error, Model, Predictions, Result, is_numeric, is_text, to_numbers};
use rayon::prelude::*;

use super::{AttributionParts, Attributions, Background, Space, Watch};

/// Rows of one call of the model, about.
const CALL: usize = 16 * 1024;

/// A model and a background, ready for explainers that ask it for coalitions of features.
///
/// A regression has one output, its value; a classification of two classes one, the score of the
/// second, since the other mirrors it; of more classes all. The features are the columns of the
/// model's input, of any type: numbers, text, dictionaries.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::{batch, model::LinearModel};
/// use mlops_fairness::attribution::{Background, ExactExplainer, MaskedModel};
///
/// let model = LinearModel::logistic(["income", "debt"], [0.5, -2.0], 1.0, "reject", "accept")?;
/// let background = Background::new(batch! {
///     "income" => Float64Array::from(vec![2.0, 4.0, 3.0]),
///     "debt" => Float64Array::from(vec![0.0, 1.0, 0.5]),
/// }?)?;
/// let rows = batch! {
///     "income" => Float64Array::from(vec![5.0]),
///     "debt" => Float64Array::from(vec![1.5]),
/// }?;
/// let explainer = ExactExplainer::new(MaskedModel::new(model, &background)?);
/// let explained = explainer.explain(&rows)?;
/// assert_eq!(explained.outputs, ["accept"]);
/// let sum: f64 = explained.row(0).expect("a row").iter().sum();
/// assert!((explained.base_values[0] + sum - explained.predictions[0]).abs() < 1e-15);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MaskedModel {
    model: Arc<dyn Model>,
    schema: SchemaRef,
    background: Vec<ArrayRef>,
    weights: Option<Vec<f64>>,
    backgrounds: usize,
    players: Vec<String>,
    /// For each column of the schema its player.
    player_of: Vec<usize>,
    outputs: Vec<String>,
    /// Where each output stands among the model's scores.
    places: Vec<usize>,
    space: Space,
    /// What the model says of the background, shape `(n_background, n_outputs)`.
    background_predictions: Vec<f64>,
    base_values: Vec<f64>,
}

impl MaskedModel {
    /// This model against this background.
    ///
    /// # Errors
    /// A column that the background lacks or has in another type, and those of the model;
    /// [`Error::Undefined`] where it predicts nothing for a row of the background;
    /// [`Error::Invalid`] for a model without columns.
    pub fn new(model: impl Model, background: &Background) -> Result<Self> {
        let model: Arc<dyn Model> = Arc::new(model);
        let schema = model.input_schema();
        let players: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
        if players.is_empty() {
            return Err(Error::invalid("features of the model", "at least one", "none"));
        }
        let columns = columns_of(&schema, background.rows())?;
        let rows = background.rows().num_rows();
        if rows >= u32::MAX as usize {
            return Err(Error::invalid("rows of a background", "fewer than 2^32 - 1", rows));
        }
        let (outputs, places, space) = match model.predict(&background.rows().slice(0, 1))? {
            Predictions::Scores { classes, .. } => {
                let first = usize::from(classes.len() == 2);
                let places: Vec<_> = (first..classes.len()).collect();
                (classes[first..].to_vec(), places, Space::Probability)
            }
            _ => (vec!["prediction".to_owned()], vec![0], Space::Value),
        };
        let player_of = (0..players.len()).collect();
        let weights = background.weights().map(<[f64]>::to_vec);
        let mut masked = Self {
            model,
            schema,
            background: columns,
            weights,
            backgrounds: rows,
            players,
            player_of,
            outputs,
            places,
            space,
            background_predictions: Vec::new(),
            base_values: Vec::new(),
        };
        masked.settle()?;
        Ok(masked)
    }

    /// The same, explaining the scores of these classes.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a regression, no classes, or one that the model does not know.
    pub fn classes<S: AsRef<str>>(mut self, classes: impl IntoIterator<Item = S>) -> Result<Self> {
        let first = self.batch(self.background.iter().map(|c| c.slice(0, 1)).collect(), 1)?;
        let Predictions::Scores { classes: known, .. } = self.model.predict(&first)? else {
            return Err(Error::invalid("model", "class scores", "values"));
        };
        (self.outputs, self.places) = (Vec::new(), Vec::new());
        for class in classes {
            let class = class.as_ref();
            let at = known.iter().position(|c| c == class).ok_or_else(|| {
                Error::invalid("class", format!("one of: {}", known.join(", ")), class)
            })?;
            self.outputs.push(class.to_owned());
            self.places.push(at);
        }
        if self.outputs.is_empty() {
            return Err(Error::invalid("classes to explain", "at least one", "none"));
        }
        self.settle()?;
        Ok(self)
    }

    /// The same, explaining `ln(p / (1 − p))` of each score p: what a logistic model adds up.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a regression; [`Error::Undefined`] where a score of the background is
    /// not inside (0, 1).
    pub fn log_odds(mut self) -> Result<Self> {
        if self.space == Space::Value {
            return Err(Error::invalid(
                "model whose log-odds are explained",
                "class scores",
                "values",
            ));
        }
        self.space = Space::Margin;
        self.settle()?;
        Ok(self)
    }

    /// The same, in which the columns of a group are known or unknown together: one player each,
    /// and one feature of the attributions. Columns of no group stay by themselves, behind.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`]; [`Error::Invalid`] for a column in two groups, an empty group, or a
    /// name given twice.
    pub fn groups<N, C>(mut self, groups: impl IntoIterator<Item = (N, Vec<C>)>) -> Result<Self>
    where
        N: Into<String>,
        C: AsRef<str>,
    {
        let names: Vec<_> = self.schema.fields().iter().map(|f| f.name().clone()).collect();
        let mut players = Vec::new();
        let mut player_of = vec![None; names.len()];
        for (name, columns) in groups {
            let name = name.into();
            if columns.is_empty() {
                return Err(Error::invalid(
                    format!("group `{name}`"),
                    "at least one column",
                    "none",
                ));
            }
            for column in columns {
                let column = column.as_ref();
                let at = names.iter().position(|n| n == column).ok_or_else(|| {
                    Error::ColumnNotFound { column: column.to_owned(), available: names.clone() }
                })?;
                if player_of[at].replace(players.len()).is_some() {
                    let found = format!("`{column}` twice");
                    return Err(Error::invalid("groups of columns", "each column once", found));
                }
            }
            players.push(name);
        }
        self.player_of = player_of
            .into_iter()
            .zip(names)
            .map(|(player, name)| {
                player.unwrap_or_else(|| {
                    players.push(name);
                    players.len() - 1
                })
            })
            .collect();
        let mut sorted: Vec<_> = players.iter().collect();
        sorted.sort();
        if let Some([twice, _]) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            let found = format!("`{twice}` twice");
            return Err(Error::invalid("names of groups and columns", "different ones", found));
        }
        self.players = players;
        Ok(self)
    }

    /// The features that get attributions: columns, or groups of them.
    pub fn features(&self) -> &[String] {
        &self.players
    }

    /// The outputs that are explained.
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// The columns of the model.
    pub fn columns(&self) -> Vec<String> {
        self.schema.fields().iter().map(|f| f.name().clone()).collect()
    }

    /// What the explained numbers are.
    pub fn space(&self) -> Space {
        self.space
    }

    /// The mean prediction over the background, shape `(n_outputs,)`.
    pub fn base_values(&self) -> &[f64] {
        &self.base_values
    }

    /// How many rows the background has.
    pub(super) fn backgrounds(&self) -> usize {
        self.backgrounds
    }

    pub(super) fn weights(&self) -> Option<&[f64]> {
        self.weights.as_deref()
    }

    /// What follows from model, outputs and space.
    fn settle(&mut self) -> Result<()> {
        let whole = self.batch(self.background.clone(), self.backgrounds)?;
        self.background_predictions =
            self.predict(&whole).map_err(|e| e.within("predictions of the background"))?;
        self.base_values = self.mean(&self.background_predictions);
        if self.base_values.iter().any(|b| !b.is_finite()) {
            return Err(Error::undefined("base value", "the background's mean is not finite"));
        }
        Ok(())
    }

    /// The weighted mean over the background of numbers of shape `(n_background, n_outputs)`.
    fn mean(&self, predictions: &[f64]) -> Vec<f64> {
        let k = self.outputs.len();
        let mut sums = vec![0.0; k];
        let mut total = 0.0;
        for (b, row) in predictions.chunks_exact(k).enumerate() {
            let weight = self.weights.as_ref().map_or(1.0, |w| w[b]);
            total += weight;
            for (sum, p) in sums.iter_mut().zip(row) {
                *sum += weight * p;
            }
        }
        for sum in &mut sums {
            *sum /= total;
        }
        sums
    }

    fn batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }

    /// What is explained of the model's predictions, shape `(n_rows, n_outputs)`.
    fn predict(&self, batch: &RecordBatch) -> Result<Vec<f64>> {
        let predictions = self.model.predict(batch)?;
        if predictions.len() != batch.num_rows() {
            return Err(Error::Length {
                left: "the input".into(),
                left_len: batch.num_rows(),
                right: "the predictions".into(),
                right_len: predictions.len(),
            });
        }
        let (numbers, width) = match &predictions {
            Predictions::Values(values) => (values, 1),
            Predictions::Scores { classes, scores } => (scores, classes.len()),
            _ => return Err(Error::invalid("predictions", "values or scores", "another kind")),
        };
        if let Some(place) = self.places.iter().find(|place| **place >= width) {
            return Err(Error::invalid("scores", format!("at least {}", place + 1), width));
        }
        let mut out = Vec::with_capacity(batch.num_rows() * self.places.len());
        for row in 0..batch.num_rows() {
            for place in &self.places {
                let at = row * width + place;
                let p = if numbers.is_valid(at) { numbers.value(at) } else { f64::NAN };
                let p = if self.space == Space::Margin { (p / (1.0 - p)).ln() } else { p };
                if !p.is_finite() {
                    let found = if numbers.is_null(at) {
                        "the model predicts nothing".to_owned()
                    } else {
                        format!("the model predicts {}", numbers.value(at))
                    };
                    return Err(Error::undefined(format!("prediction of row {row}"), found));
                }
                out.push(p);
            }
        }
        Ok(out)
    }

    /// Explains every row by itself, in parallel.
    pub(super) fn explain_rows(
        &self,
        batch: &RecordBatch,
        watch: Watch<'_>,
        explainer: &impl Plays,
    ) -> Result<Attributions> {
        explainer.check()?;
        let columns = columns_of(&self.schema, batch)?;
        let rows = batch.num_rows();
        let (n, k) = (self.players.len(), self.outputs.len());
        let predictions = self.predict(&self.batch(columns.clone(), rows)?)?;
        let keys = keys(&columns)?;
        let steps = watch.steps(rows);
        watch.check()?;
        let played: Vec<_> = (0..rows)
            .into_par_iter()
            .map(|row| {
                let prediction = &predictions[row * k..(row + 1) * k];
                let game = Game::new(self, &columns, row, keys[row], prediction, watch)
                    .and_then(|game| Ok((explainer.play(&game)?, game.active)));
                let (played, active) = game.map_err(|e| e.within(format!("row {row}")))?;
                steps.done(1)?;
                Ok((played, active))
            })
            .collect::<Result<_>>()?;
        let mut values = vec![0.0; rows * k * n];
        let mut errors: Option<Vec<f64>> = None;
        for (row, (played, active)) in played.into_iter().enumerate() {
            let scatter = |from: &[f64], into: &mut [f64]| {
                let m = active.len();
                for output in 0..k {
                    for (i, &player) in active.iter().enumerate() {
                        into[(row * k + output) * n + player] = from[output * m + i];
                    }
                }
            };
            scatter(&played.phi, &mut values);
            if let Some(se) = &played.standard_errors {
                scatter(se, errors.get_or_insert_with(|| vec![0.0; rows * k * n]));
            }
        }
        let attributions = Attributions::new(
            AttributionParts {
                features: self.players.clone(),
                outputs: self.outputs.clone(),
                space: self.space,
                base_values: self.base_values.clone(),
                values,
                predictions,
            },
            explainer.tolerance(),
        )?;
        match errors {
            Some(errors) => attributions.with_standard_errors(errors),
            None => Ok(attributions),
        }
    }
}

/// What came of a row's game: of each output the active players' φ, one output after the other.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) phi: Vec<f64>,
    pub(super) standard_errors: Option<Vec<f64>>,
}

/// How an explainer plays the game of a row.
pub(super) trait Plays: Sync {
    /// Whether its options can be used.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Within what its attributions add up to the prediction, if they must.
    fn tolerance(&self) -> Option<f64> {
        Some(Attributions::TOLERANCE)
    }

    /// What the players get.
    fn play(&self, game: &Game<'_>) -> Result<Played>;
}

/// The game of one row, among the players that can change anything.
#[derive(Debug)]
pub(super) struct Game<'a> {
    model: &'a MaskedModel,
    /// The row, then the background.
    columns: Vec<ArrayRef>,
    /// The players that differ from the background somewhere. The others are null players: they
    /// get 0, and without them the others get what they got.
    active: Vec<usize>,
    key: u64,
    prediction: &'a [f64],
    watch: Watch<'a>,
}

impl<'a> Game<'a> {
    fn new(
        model: &'a MaskedModel,
        columns: &[ArrayRef],
        row: usize,
        key: u64,
        prediction: &'a [f64],
        watch: Watch<'a>,
    ) -> Result<Self> {
        let mut is_active = vec![false; model.players.len()];
        let mut joined = Vec::with_capacity(columns.len());
        for ((column, background), &player) in
            columns.iter().zip(&model.background).zip(&model.player_of)
        {
            let value = column.slice(row, 1);
            if !is_active[player] {
                // A type that can't be compared may differ.
                let same = not_distinct(background, &Scalar::new(value.clone()));
                is_active[player] = !same.is_ok_and(|same| same.true_count() == same.len());
            }
            joined.push(concat(&[value.as_ref(), background.as_ref()])?);
        }
        let active = (0..is_active.len()).filter(|&p| is_active[p]).collect();
        Ok(Self { model, columns: joined, active, key, prediction, watch })
    }

    /// How many players there are.
    pub(super) fn players(&self) -> usize {
        self.active.len()
    }

    /// The players, as features of the model.
    pub(super) fn active(&self) -> &[usize] {
        &self.active
    }

    /// How many outputs.
    pub(super) fn outputs(&self) -> usize {
        self.prediction.len()
    }

    /// The value of the empty coalition.
    pub(super) fn base(&self) -> &[f64] {
        &self.model.base_values
    }

    /// The value of all players together.
    pub(super) fn full(&self) -> &[f64] {
        self.prediction
    }

    /// A number that is the row's: of its values, not its place, so that draws for a row are the
    /// same wherever it stands.
    pub(super) fn key(&self) -> u64 {
        self.key
    }

    pub(super) fn background_prediction(&self, b: usize) -> &[f64] {
        let k = self.outputs();
        &self.model.background_predictions[b * k..(b + 1) * k]
    }

    /// The values of coalitions, shape `(n_masks, n_outputs)`: the mean prediction with the players
    /// of the mask as in the row and the others as in each row of the background. `masks` has shape
    /// `(n_masks, n_players)`.
    pub(super) fn values(&self, masks: &[bool]) -> Result<Vec<f64>> {
        let (m, b, k) = (self.players(), self.model.backgrounds, self.outputs());
        let mut out = Vec::with_capacity(masks.len() / m.max(1) * k);
        let per_call = (CALL / b).max(1);
        for chunk in masks.chunks(per_call * m.max(1)) {
            let n = chunk.len() / m.max(1);
            let predictions = self.mixed(chunk, n * b, |i| (i / b, (i % b) as u32 + 1))?;
            for rows in predictions.chunks_exact(b * k) {
                out.extend(self.model.mean(rows));
            }
        }
        Ok(out)
    }

    /// The predictions with the players of each mask as in the row and the others as in one row of
    /// the background, shape `(n_masks, n_outputs)`.
    pub(super) fn values_against(&self, masks: &[bool], against: &[u32]) -> Result<Vec<f64>> {
        let m = self.players().max(1);
        let mut out = Vec::with_capacity(against.len() * self.outputs());
        for (chunk, against) in masks.chunks(CALL * m).zip(against.chunks(CALL)) {
            out.extend(self.mixed(chunk, against.len(), |i| (i, against[i] + 1))?);
        }
        Ok(out)
    }

    /// Predictions of mixed rows: of each its mask, and its place in the columns where the mask
    /// is not set.
    fn mixed(
        &self,
        masks: &[bool],
        rows: usize,
        row: impl Fn(usize) -> (usize, u32),
    ) -> Result<Vec<f64>> {
        self.watch.check()?;
        let m = self.players();
        let mut picks: Vec<Option<UInt32Array>> = vec![None; self.model.players.len()];
        for (i, &player) in self.active.iter().enumerate() {
            let pick = (0..rows).map(|r| {
                let (mask, absent) = row(r);
                if masks[mask * m + i] { 0 } else { absent }
            });
            picks[player] = Some(UInt32Array::from_iter_values(pick));
        }
        let columns = self.columns.iter().zip(&self.model.player_of).map(|(column, &player)| {
            match &picks[player] {
                Some(pick) => take(column, pick, None),
                // Where a player changes nothing any row will do.
                None => take(column, &UInt32Array::from(vec![0; rows]), None),
            }
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        self.model.predict(&self.model.batch(columns, rows)?)
    }
}

/// The columns of a schema, found by name and of its types.
fn columns_of(schema: &SchemaRef, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
    schema
        .fields()
        .iter()
        .map(|field| {
            let (name, wanted) = (field.name(), field.data_type());
            let column = mlops_core::column(batch, name)?;
            let found = column.data_type();
            let column = if found == wanted {
                column.clone()
            } else if *wanted == DataType::Float64 && (is_numeric(found) || found.is_null()) {
                Arc::new(to_numbers(name, column)?)
            } else if is_text(wanted) && is_text(found) {
                cast(column, wanted)?
            } else {
                return Err(Error::column_type(name, format!("type {wanted}"), found));
            };
            if !field.is_nullable()
                && let Some(row) = (0..column.len()).find(|&row| column.is_null(row))
            {
                return Err(Error::Value {
                    column: name.clone(),
                    row: row as u64,
                    expected: "a value".into(),
                    found: "null".into(),
                });
            }
            Ok(column)
        })
        .collect()
}

/// A number for each row that depends on its values alone.
fn keys(columns: &[ArrayRef]) -> Result<Vec<u64>> {
    let fields = columns.iter().map(|c| SortField::new(c.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(columns)?;
    Ok(rows
        .iter()
        .map(|row| {
            let digest = Digest::of(row.as_ref());
            let (first, _) = digest.as_bytes().split_at(8);
            first.iter().fold(0, |key, byte| key << 8 | u64::from(*byte))
        })
        .collect())
}
