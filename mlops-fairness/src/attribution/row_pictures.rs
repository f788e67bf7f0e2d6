//! Pictures of single rows: what moved their predictions.

use arrow::array::{Array, RecordBatch};
use mlops_core::report::{Cell, Chart, Figure, Table, Tone};
use mlops_core::{Error, Result, Rows, is_numeric};

use super::labels::{short, signed};
use super::{Attributions, Labels};

/// Features of a picture before the others stand together.
const SHOWN: usize = 12;
/// Rows of a heat map and of a decision plot.
const HEAT: usize = 200;
const LINES: usize = 60;
/// Dots of a scatter plot.
const DOTS: usize = 1500;

/// What a feature added.
struct Move {
    name: String,
    /// Its value, where that is known.
    value: String,
    phi: f64,
    standard_error: Option<f64>,
}

impl Move {
    fn named(&self) -> String {
        if self.value.is_empty() {
            self.name.clone()
        } else {
            format!("{} {}", self.name, self.value)
        }
    }

    fn tooltip(&self) -> String {
        let (name, phi) = (self.named(), signed(self.phi));
        match self.standard_error {
            Some(error) if error > 0.0 => format!("{name}: {phi} ± {}", short(error)),
            _ => format!("{name}: {phi}"),
        }
    }
}

/// What a row's features added, the strongest first; the others as one.
struct Moves {
    steps: Vec<Move>,
    base: f64,
    prediction: f64,
}

fn only_output(attributions: &Attributions) -> Result<()> {
    if attributions.outputs.len() == 1 {
        return Ok(());
    }
    let found = attributions.outputs.join(", ");
    Err(Error::invalid("outputs of a picture", "one (`Attributions::output`)", found))
}

/// That data may be the rows that were explained: values of others would be shown as theirs.
pub(super) fn same_rows(attributions: &Attributions, data: &RecordBatch) -> Result<()> {
    if data.num_rows() == attributions.len() {
        return Ok(());
    }
    Err(Error::Length {
        left: "the attributions".into(),
        left_len: attributions.len(),
        right: "the data".into(),
        right_len: data.num_rows(),
    })
}

impl Moves {
    fn of(
        attributions: &Attributions,
        row: usize,
        data: Option<&RecordBatch>,
        labels: &Labels,
        shown: usize,
    ) -> Result<Self> {
        only_output(attributions)?;
        data.map_or(Ok(()), |data| same_rows(attributions, data))?;
        let (Some(phi), Some(prediction)) =
            (attributions.row(row), attributions.prediction(row, 0))
        else {
            let expected = format!("below {}", attributions.len());
            return Err(Error::invalid("row of a picture", expected, row));
        };
        let n = phi.len();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| phi[b].abs().total_cmp(&phi[a].abs()).then_with(|| a.cmp(&b)));
        let kept = if n > shown { shown - 1 } else { n };
        let error =
            |j: usize| attributions.standard_errors.as_ref().map(|errors| errors[row * n + j]);
        let mut steps: Vec<_> = order[..kept]
            .iter()
            .map(|&j| {
                let feature = &attributions.features[j];
                let column = data.and_then(|data| data.column_by_name(feature));
                Move {
                    name: labels.name(feature).to_owned(),
                    value: labels.value(feature, column, row),
                    phi: phi[j],
                    standard_error: error(j),
                }
            })
            .collect();
        if kept < n {
            let rest = order[kept..].iter().fold(0.0, |sum, &j| sum + phi[j]);
            let name = format!("{} other features", n - kept);
            steps.push(Move { name, value: String::new(), phi: rest, standard_error: None });
        }
        Ok(Self { steps, base: attributions.base_values[0], prediction })
    }

    fn table(&self) -> Table {
        let mut table = Table::new(["Feature", "φ", "Standard error"]);
        for step in &self.steps {
            table = table.row((step.named(), step.phi, step.standard_error));
        }
        table.row(("base value", self.base, Cell::Missing)).row((
            "this prediction",
            self.prediction,
            Cell::Missing,
        ))
    }
}

/// From the base value to the prediction of a row, feature by feature. `data` has the values of the
/// features in the rows that were explained, all of them and in their order. shap:
/// `plots.waterfall`.
///
/// # Errors
/// [`Error::Invalid`] for a row that is not there, or attributions of several outputs;
/// [`Error::Length`] for data of another number of rows.
pub fn waterfall(
    attributions: &Attributions,
    row: usize,
    data: Option<&RecordBatch>,
    labels: &Labels,
) -> Result<Figure> {
    let found = Moves::of(attributions, row, data, labels, SHOWN)?;
    let mut chart = Chart::new(found.table()).row_height(36.0);
    // The strongest comes last, so that it ends at the prediction.
    let mut from = found.base;
    let mut ends = Vec::with_capacity(found.steps.len());
    for step in found.steps.iter().rev() {
        ends.push((from, from + step.phi));
        from += step.phi;
    }
    ends.reverse();
    for (step, (i, &(from, to))) in found.steps.iter().zip(ends.iter().enumerate()) {
        chart = chart.row(&step.name, "").detail(&step.value);
        chart = chart.arrow(i, (from, to), signed(step.phi), step.tooltip());
        if i + 1 < ends.len() {
            let between = [(from, i as f64 + 0.5), (from, i as f64 + 1.5)];
            chart = chart.line(Tone::Guide, between, "");
        }
    }
    let chart = chart
        .place(found.base, format!("base {}", short(found.base)))
        .place(found.prediction, format!("this row {}", short(found.prediction)));
    Ok(Figure::new(format!("What moved row {row}"), chart)
        .x_label(labels.what(Some(attributions.space))))
}

/// The features that pushed a row's prediction up from the left, and down from the right, where
/// they meet. shap: `plots.force`.
///
/// # Errors
/// As [`waterfall`].
pub fn force(
    attributions: &Attributions,
    row: usize,
    data: Option<&RecordBatch>,
    labels: &Labels,
) -> Result<Figure> {
    let found = Moves::of(attributions, row, data, labels, SHOWN)?;
    let mut chart = Chart::new(found.table()).row("", "").row_height(52.0);
    let (mut up, mut down) = (found.prediction, found.prediction);
    for step in &found.steps {
        let (from, to) = if step.phi >= 0.0 {
            up -= step.phi;
            (up, up + step.phi)
        } else {
            down -= step.phi;
            (down, down + step.phi)
        };
        if from != to {
            chart = chart.link(0, (from, to), step.named(), step.tooltip());
        }
    }
    let chart = chart
        .place(found.base, format!("base {}", short(found.base)))
        .place(found.prediction, format!("this row {}", short(found.prediction)))
        .legend(Tone::Positive, "pushes up")
        .legend(Tone::Negative, "pushes down");
    Ok(Figure::new(format!("What pulled at row {row}"), chart)
        .x_label(labels.what(Some(attributions.space))))
}

/// The features by mean |φ|, the strongest first, and how many are shown.
fn strongest(attributions: &Attributions, shown: usize) -> (Vec<usize>, usize) {
    let n = attributions.features.len();
    let size = |j: usize| -> f64 {
        attributions.values.iter().skip(j).step_by(n.max(1)).map(|v| v.abs()).sum()
    };
    let sizes: Vec<f64> = (0..n).map(size).collect();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| sizes[b].total_cmp(&sizes[a]).then_with(|| a.cmp(&b)));
    let kept = if n > shown { shown - 1 } else { n };
    (order, kept)
}

/// Evenly many of so many rows.
fn picked(rows: usize, most: usize) -> Vec<usize> {
    if rows <= most { (0..rows).collect() } else { (0..most).map(|i| i * rows / most).collect() }
}

fn numbers_of(attributions: &Attributions, labels: &Labels, rows: &[usize]) -> Table {
    let names = attributions.features.iter().map(|f| labels.name(f).to_owned());
    let titles = ["Row".to_owned()].into_iter().chain(names).chain(["prediction".to_owned()]);
    let mut table = Table::new(titles);
    for &row in rows {
        let phi = attributions.row(row).unwrap_or_default().iter().map(|x| Cell::from(*x));
        let prediction = Cell::from(attributions.prediction(row, 0));
        let cells = [Cell::from(row as u64)].into_iter().chain(phi).chain([prediction]);
        table = table.row(cells.collect::<Vec<_>>());
    }
    table
}

/// How predictions come together: a line for each row, from the base value at the bottom to
/// its own on top, the weakest feature first. shap: `plots.decision`.
///
/// # Errors
/// [`Error::Invalid`] for attributions of several outputs.
pub fn decision(attributions: &Attributions, labels: &Labels) -> Result<Figure> {
    only_output(attributions)?;
    let rows = picked(attributions.len(), LINES);
    let (order, kept) = strongest(attributions, SHOWN);
    let mut chart = Chart::new(numbers_of(attributions, labels, &rows)).row_height(28.0);
    for &j in &order[..kept] {
        chart = chart.row(labels.name(&attributions.features[j]), "");
    }
    let rest = order.len() - kept;
    if rest > 0 {
        chart = chart.row(format!("{rest} other features"), "");
    }
    let of = |row: usize| attributions.prediction(row, 0).unwrap_or(f64::NAN);
    let low = rows.iter().map(|&r| of(r)).fold(f64::INFINITY, f64::min);
    let high = rows.iter().map(|&r| of(r)).fold(f64::NEG_INFINITY, f64::max);
    let base = attributions.base_values[0];
    for &row in &rows {
        let phi = attributions.row(row).unwrap_or_default();
        let bottom = kept + usize::from(rest > 0);
        let mut at = base;
        let mut points = vec![(at, bottom as f64)];
        if rest > 0 {
            at += order[kept..].iter().fold(0.0, |sum, &j| sum + phi[j]);
            points.push((at, kept as f64));
        }
        for i in (0..kept).rev() {
            at += phi[order[i]];
            points.push((at, i as f64));
        }
        let share = if high > low { (of(row) - low) / (high - low) } else { 0.5 };
        let tooltip = format!("row {row}: {}", short(of(row)));
        chart = chart.line(Tone::level(share), points, tooltip);
    }
    let chart =
        chart.place(base, format!("base {}", short(base))).scale("low prediction", "high", false);
    Ok(Figure::new("How predictions come together", chart)
        .note(some(rows.len(), attributions.len(), "rows"))
        .x_label(labels.what(Some(attributions.space))))
}

fn some(shown: usize, all: usize, what: &str) -> String {
    let all_text = Cell::from(all as u64);
    if shown == all {
        format!("All {all_text} {what}.")
    } else {
        format!("{shown} of {all_text} {what}.")
    }
}

/// φ of every feature and row as colours, the rows in the order of their predictions. shap:
/// `plots.heatmap`.
///
/// # Errors
/// [`Error::Invalid`] for attributions of several outputs.
pub fn heat_map(attributions: &Attributions, labels: &Labels) -> Result<Figure> {
    only_output(attributions)?;
    let mut rows = picked(attributions.len(), HEAT);
    let of = |row: usize| attributions.prediction(row, 0).unwrap_or(f64::NAN);
    rows.sort_by(|&a, &b| of(a).total_cmp(&of(b)));
    let (order, kept) = strongest(attributions, SHOWN);
    let rest = &order[kept..];
    let mut lines: Vec<(String, Vec<f64>)> = order[..kept]
        .iter()
        .map(|&j| {
            let phi = rows.iter().map(|&r| attributions.row(r).map_or(f64::NAN, |phi| phi[j]));
            (labels.name(&attributions.features[j]).to_owned(), phi.collect())
        })
        .collect();
    if !rest.is_empty() {
        let sum = |r: usize| {
            let phi = attributions.row(r).unwrap_or_default();
            rest.iter().fold(0.0, |sum, &j| sum + phi[j])
        };
        let name = format!("{} other features", rest.len());
        lines.push((name, rows.iter().map(|&r| sum(r)).collect()));
    }
    // The strongest fiftieth are all of the full colour, so that one row does not pale the others.
    let mut sizes: Vec<f64> = lines.iter().flat_map(|l| &l.1).map(|x| x.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let full = sizes.get(sizes.len() * 49 / 50).copied().unwrap_or(0.0);
    let mut chart = Chart::new(numbers_of(attributions, labels, &rows)).row_height(26.0);
    let cells = |chart: Chart, i: usize, name: &str, tones: &[Tone]| {
        let mut chart = chart;
        let mut seen: Vec<Tone> = Vec::new();
        for &tone in tones {
            if seen.contains(&tone) {
                continue;
            }
            seen.push(tone);
            // Neighbours of one tone are one cell.
            let mut runs: Vec<[f64; 4]> = Vec::new();
            for (at, _) in tones.iter().enumerate().filter(|(_, t)| **t == tone) {
                match runs.last_mut() {
                    Some(run) if run[1] == at as f64 => run[1] += 1.0,
                    _ => runs.push([at as f64, at as f64 + 1.0, i as f64 + 0.04, i as f64 + 0.96]),
                }
            }
            chart = chart.cells(tone, runs, name);
        }
        chart
    };
    let (low, high) = (rows.first().map_or(0.0, |&r| of(r)), rows.last().map_or(0.0, |&r| of(r)));
    let levels: Vec<Tone> = rows
        .iter()
        .map(|&r| Tone::level(if high > low { (of(r) - low) / (high - low) } else { 0.5 }))
        .collect();
    chart = cells(chart.row("prediction", ""), 0, "prediction", &levels);
    for (i, (name, phi)) in lines.iter().enumerate() {
        let tones: Vec<Tone> =
            phi.iter().map(|x| Tone::shade(if full > 0.0 { x / full } else { 0.0 })).collect();
        chart = cells(chart.row(name, ""), i + 1, name, &tones);
    }
    let ends = [(0.0, short(low)), (rows.len() as f64, short(high))];
    let chart = chart
        .ticks(ends)
        .legend(Tone::Positive, format!("φ of {} and more", signed(full)))
        .legend(Tone::Negative, format!("φ of {} and less", signed(-full)))
        .scale("low prediction", "high", false);
    Ok(Figure::new("Every row", chart)
        .note(format!(
            "{} Each column is a row, in the order of their predictions.",
            some(rows.len(), attributions.len(), "rows")
        ))
        .x_label(format!("rows by prediction, {}", labels.what(Some(attributions.space)))))
}

/// φ of one feature against its value, a dot for each row, coloured by the value of another where
/// one is given: what of the scatter is an interaction shows. shap: `plots.scatter`.
///
/// # Errors
/// [`Error::Invalid`] for a feature that was not explained, or several outputs;
/// [`Error::Length`] for data of another number of rows; a column that is not there or holds no numbers.
pub fn scatter(
    attributions: &Attributions,
    feature: &str,
    colour: Option<&str>,
    data: &RecordBatch,
    labels: &Labels,
) -> Result<Figure> {
    only_output(attributions)?;
    let j = attributions.features.iter().position(|f| f == feature).ok_or_else(|| {
        Error::invalid("feature", format!("one of: {}", attributions.features.join(", ")), feature)
    })?;
    same_rows(attributions, data)?;
    let rows = Rows::new(data);
    let x = rows.numbers(feature)?;
    let shade = match colour {
        Some(colour) if is_numeric(rows.column(colour)?.data_type()) => Some(rows.numbers(colour)?),
        Some(colour) => {
            let found = rows.column(colour)?.data_type();
            return Err(Error::column_type(colour, "numbers", found));
        }
        None => None,
    };
    // The rank of each value is its level.
    let mut known: Vec<f64> =
        shade.iter().flat_map(|s| s.iter().flatten()).filter(|v| v.is_finite()).collect();
    known.sort_by(f64::total_cmp);
    let level = |row: usize| match shade {
        None => Tone::Positive,
        Some(s) if s.is_null(row) || s.value(row).is_nan() || known.is_empty() => Tone::Missing,
        Some(s) => {
            let below = known.partition_point(|v| *v < s.value(row));
            let up_to = known.partition_point(|v| *v <= s.value(row));
            Tone::level((below + up_to) as f64 / (2 * known.len()) as f64)
        }
    };
    let mut table = Table::new([labels.name(feature), "φ"]);
    let shown = picked(attributions.len(), DOTS);
    let mut dots = Vec::new();
    let mut missing = 0_u64;
    for &row in &shown {
        let phi = attributions.row(row).map_or(f64::NAN, |phi| phi[j]);
        table = table.row((if x.is_valid(row) { Some(x.value(row)) } else { None }, phi));
        if x.is_null(row) || !x.value(row).is_finite() {
            missing += 1;
            continue;
        }
        let name = format!(
            "row {row}: {} {}, φ {}",
            labels.name(feature),
            short(x.value(row)),
            signed(phi)
        );
        dots.push((level(row), (x.value(row), phi), name));
    }
    let mut chart = Chart::new(table);
    for (tone, at, name) in dots {
        chart = chart.dot(tone, at, name);
    }
    if let Some(colour) = colour {
        let name = labels.name(colour);
        chart = chart.scale(format!("{name}: low"), "high", true);
    }
    let mut note = some(shown.len(), attributions.len(), "rows");
    if missing > 0 {
        note =
            format!("{note} {missing} without a value of {} are not drawn.", labels.name(feature));
    }
    Ok(Figure::new(labels.name(feature), chart)
        .note(note)
        .x_label(labels.axis(feature))
        .y_label(format!("φ, {}", labels.what(Some(attributions.space)))))
}
