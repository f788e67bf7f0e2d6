//! Pictures of attributions, as figures of a report.

use mlops_core::report::{Bars, Cell, Chart, Figure, Intervals, Table, Tone};
use mlops_core::{Error, Result};

pub use super::row_pictures::{decision, force, heat_map, scatter, waterfall};

use super::labels::short;
use super::{
    AttributionGap, CohortSummary, DependenceCurve, FeatureSummary, GapOf, Interactions, Labels,
    Summary, ValuePlace,
};

/// Features of a picture, and places of a category axis.
const SHOWN: usize = 15;
/// Cohorts of a picture.
const COHORTS: usize = 6;

/// Mean |φ| of each feature as bars, the strongest first. shap: `plots.bar`.
pub fn bar(summary: &Summary, labels: &Labels) -> Figure {
    let bars = summary.features.iter().map(|f| (labels.name(&f.feature), f.mean_absolute));
    Figure::new("How far each feature moves predictions", Bars::new(bars).limit(SHOWN))
        .note(format!(
            "Over {} rows, the mean size of what it adds or takes away, in {}.",
            rows(summary),
            labels.what(None)
        ))
        .x_label("mean |φ|")
}

fn rows(summary: &Summary) -> String {
    Cell::from(summary.rows).to_string()
}

/// The numbers behind pictures of a summary.
fn table(summary: &Summary, labels: &Labels) -> Table {
    Table::new(["Feature", "Mean |φ|", "Mean φ", "Std. dev.", "Least φ", "Largest φ"]).rows(
        summary.features.iter().map(|f| {
            let (low, high) = f.range.unzip();
            (labels.name(&f.feature), f.mean_absolute, f.mean, f.std_dev, low, high)
        }),
    )
}

/// How high the values of a place are among those of the feature, from 0 to 1: the middle of their
/// ranks. Categories and missing values have no order.
fn ranks(feature: &FeatureSummary) -> Vec<Option<f64>> {
    let has_order = |place: &ValuePlace| {
        matches!(
            place,
            ValuePlace::NegativeInfinity | ValuePlace::Range(..) | ValuePlace::PositiveInfinity
        )
    };
    let ordered = feature.values.iter().filter(|v| has_order(&v.place));
    let total: f64 = ordered.map(|v| v.rows as f64).sum();
    let mut before = 0.0;
    feature
        .values
        .iter()
        .map(|v| {
            has_order(&v.place).then(|| {
                let middle = (before + v.rows as f64 / 2.0) / total;
                before += v.rows as f64;
                middle
            })
        })
        .collect()
}

/// The ranks spread so that the lowest place is 0 and the highest is 1.
fn spread(ranks: &[Option<f64>]) -> Vec<Option<f64>> {
    let known = || ranks.iter().flatten().copied();
    let (low, high) = (known().fold(1.0, f64::min), known().fold(0.0, f64::max));
    let of = |rank: f64| if high > low { (rank - low) / (high - low) } else { 0.5 };
    ranks.iter().map(|rank| rank.map(of)).collect()
}

/// The bins of φ, put together until they can be seen, and the counts of each place of values.
struct Columns {
    edges: Vec<(f64, f64)>,
    counts: Vec<Vec<u64>>,
}

impl Columns {
    fn of(feature: &FeatureSummary, thinnest: f64) -> Self {
        let edges = &feature.phi_edges;
        let bins = edges.len().saturating_sub(1);
        let wide = if bins > 0 { edges[1] - edges[0] } else { thinnest };
        let together = ((thinnest / wide).ceil().max(1.0) as usize).min(bins.max(1));
        let ends = (0..bins).step_by(together).map(|first| {
            let (left, right) = (edges[first], edges[(first + together).min(bins)]);
            let missing = (thinnest - (right - left)).max(0.0) / 2.0;
            (left - missing, right + missing)
        });
        let sum = |counts: &[u64]| counts.iter().fold(0_u64, |sum, n| sum.saturating_add(*n));
        let counts = feature.values.iter().map(|v| v.counts.chunks(together).map(sum).collect());
        Self { edges: ends.collect(), counts: counts.collect() }
    }
}

/// Where φ lies for each feature, coloured by the feature's value: a swarm of all rows, drawn from
/// counts in bins. shap: `plots.beeswarm`.
///
/// Over each bin of φ stands a column as high as the square root of its share of the fullest,
/// low values at its bottom and high ones on top.
pub fn beeswarm(summary: &Summary, labels: &Labels) -> Figure {
    let mut chart = Chart::new(table(summary, labels)).row_height(30.0).place(0.0, "");
    let (mut missing, mut categories) = (false, false);
    let shown = &summary.features[..summary.features.len().min(SHOWN)];
    let ends = shown.iter().filter_map(|f| f.range);
    let (low, high) =
        ends.fold((0.0_f64, 0.0_f64), |(a, b), (low, high)| (a.min(low), b.max(high)));
    // Columns thinner than this can't be seen.
    let thinnest = (high / 150.0 - low / 150.0).max(f64::MIN_POSITIVE);
    for (i, feature) in shown.iter().enumerate() {
        let name = labels.name(&feature.feature);
        chart = chart.row(name, short(feature.mean_absolute));
        let columns = Columns::of(feature, thinnest);
        let bins = columns.edges.len();
        let total: Vec<u64> =
            (0..bins).map(|b| columns.counts.iter().map(|counts| counts[b]).sum()).collect();
        let fullest = total.iter().copied().max().unwrap_or(0) as f64;
        // Low values first, then high ones, then what has no order.
        let tones: Vec<Tone> = spread(&ranks(feature))
            .into_iter()
            .zip(&feature.values)
            .map(|(rank, value)| match (rank, &value.place) {
                (Some(rank), _) => Tone::level(rank),
                (None, ValuePlace::Missing) => Tone::Missing,
                (None, _) => Tone::Series(2),
            })
            .collect();
        let mut at = vec![0.0; bins];
        let mut done: Vec<Tone> = Vec::new();
        for &tone in &tones {
            if done.contains(&tone) {
                continue;
            }
            done.push(tone);
            missing |= tone == Tone::Missing;
            categories |= tone == Tone::Series(2);
            let mut cells = Vec::new();
            let mut counted = 0_u64;
            for b in 0..bins {
                let of_tone = tones.iter().zip(&columns.counts).filter(|(t, _)| **t == tone);
                let n: u64 = of_tone.map(|(_, counts)| counts[b]).sum();
                if n == 0 {
                    continue;
                }
                counted += n;
                let height = 0.9 * (total[b] as f64 / fullest).sqrt();
                let share = n as f64 / total[b] as f64;
                let bottom = i as f64 + 0.5 + height / 2.0 - at[b];
                at[b] += height * share;
                let (left, right) = columns.edges[b];
                cells.push([left, right, bottom - height * share, bottom]);
            }
            let which = match tone {
                Tone::Missing => "missing",
                Tone::Series(_) => "categories",
                Tone::Level(l) if l < Tone::LEVELS / 3 => "low values",
                Tone::Level(l) if l < Tone::LEVELS - Tone::LEVELS / 3 => "middle values",
                _ => "high values",
            };
            chart = chart.cells(tone, cells, format!("{name}, {which}: {counted} rows"));
        }
    }
    chart = chart.scale("low value", "high", missing);
    if categories {
        chart = chart.legend(Tone::Series(2), "category, without order");
    }
    let more = summary.features.len().saturating_sub(SHOWN);
    let more =
        if more > 0 { format!(" {more} weaker features are in the table.") } else { String::new() };
    Figure::new("Where each feature's φ lies", chart)
        .note(format!(
            "All {} rows, coloured by the feature's value. A column's height goes with the square \
             root of its rows.{more}",
            rows(summary)
        ))
        .x_label(format!("φ, {}", labels.what(None)))
}

/// φ of one feature against its value, from counts: stronger where more rows are, and the mean as a
/// line. shap: `plots.scatter`.
///
/// # Errors
/// [`Error::Invalid`] for a feature that the summary does not have.
pub fn dependence(summary: &Summary, feature: &str, labels: &Labels) -> Result<Figure> {
    let found = summary.features.iter().find(|f| f.feature == feature).ok_or_else(|| {
        let known: Vec<_> = summary.features.iter().map(|f| f.feature.as_str()).collect();
        Error::invalid("feature", format!("one of: {}", known.join(", ")), feature)
    })?;
    let mut table = Table::new(["Value", "Rows", "Mean φ"]);
    let name_of = |place: &ValuePlace| match place {
        ValuePlace::NegativeInfinity => "-∞".to_owned(),
        ValuePlace::Range(low, high) => format!("{} to {}", short(*low), short(*high)),
        ValuePlace::PositiveInfinity => "∞".to_owned(),
        ValuePlace::Category(name) if name.is_empty() => "(empty)".to_owned(),
        ValuePlace::Category(name) => name.clone(),
        ValuePlace::OtherCategories => "others".to_owned(),
        ValuePlace::Missing => "missing".to_owned(),
    };
    for value in &found.values {
        table = table.row((name_of(&value.place), value.rows, value.mean));
    }
    let is_text = found
        .values
        .iter()
        .any(|v| matches!(v.place, ValuePlace::Category(_) | ValuePlace::OtherCategories));
    if is_text {
        return Ok(by_category(found, table, name_of, labels));
    }
    let values: Vec<_> = found.values.iter().collect();
    // Numbers stand where they are; what is none, beside them.
    let ends = values.iter().filter_map(|v| match v.place {
        ValuePlace::Range(low, high) if low.is_finite() && high.is_finite() => Some((low, high)),
        _ => None,
    });
    let (low, high) = ends
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), (low, high)| (a.min(low), b.max(high)));
    let has_numbers = low < high;
    let step = if has_numbers { (high - low) / 12.0 } else { 1.0 };
    let mut beside = if has_numbers { high + step * 0.5 } else { 0.0 };
    let mut ticks: Vec<(f64, String)> = Vec::new();
    let fullest = values.iter().flat_map(|v| &v.counts).copied().max().unwrap_or(0) as f64;
    let mut by_tone: Vec<Vec<[f64; 4]>> = vec![Vec::new(); 11];
    let (mut line, mut dots) = (Vec::new(), Vec::new());
    for value in &values {
        let (left, right) = match value.place {
            ValuePlace::Range(low, high) if low.is_finite() && high.is_finite() => {
                line.push((f64::midpoint(low, high), value.mean));
                (low, high)
            }
            _ => {
                let left = beside;
                beside += step;
                ticks.push((left + step * 0.5, name_of(&value.place)));
                (left + step * 0.06, left + step * 0.94)
            }
        };
        dots.push((f64::midpoint(left, right), value));
        for (b, &n) in value.counts.iter().enumerate().filter(|(_, n)| **n > 0) {
            let strength = 1.0 + 9.0 * (n as f64 / fullest).sqrt();
            let (from, to) = (found.phi_edges[b], found.phi_edges[b + 1]);
            by_tone[strength.round() as usize].push([left, right, from, to]);
        }
    }
    let mut chart = Chart::new(table);
    for (strength, cells) in by_tone.into_iter().enumerate().filter(|(_, c)| !c.is_empty()) {
        chart = chart.cells(Tone::PositiveShade(strength as u8), cells, "");
    }
    if line.len() > 1 {
        chart = chart.line(Tone::Series(1), line, "mean φ");
    }
    for (x, value) in dots {
        let tooltip =
            format!("{}: mean φ {}, {} rows", name_of(&value.place), short(value.mean), value.rows);
        chart = chart.dot(Tone::Series(1), (x, value.mean), tooltip);
    }
    if !ticks.is_empty() {
        if has_numbers {
            let marks = (0..=3).map(|i| low + (high - low) * f64::from(i) / 4.0);
            ticks.splice(0..0, marks.map(|x| (x, short(x))));
        }
        chart = chart.ticks(ticks);
    }
    let chart = chart
        .legend(Tone::PositiveShade(8), "rows, more where stronger")
        .legend(Tone::Series(1), "mean φ");
    Ok(Figure::new(labels.name(feature), chart)
        .x_label(labels.axis(feature))
        .y_label(format!("φ, {}", labels.what(None))))
}

/// A row for each category, those that add most on top.
fn by_category(
    feature: &FeatureSummary,
    table: Table,
    name_of: impl Fn(&ValuePlace) -> String,
    labels: &Labels,
) -> Figure {
    const CATEGORIES: usize = 10;
    let mut values: Vec<_> = feature.values.iter().collect();
    values.sort_by_key(|v| std::cmp::Reverse(v.rows));
    let hidden = values.len().saturating_sub(CATEGORIES);
    values.truncate(CATEGORIES);
    values.sort_by(|a, b| b.mean.total_cmp(&a.mean));
    let (low, high) = feature.range.unwrap_or_default();
    let columns = Columns::of(feature, (high.max(0.0) - low.min(0.0)) / 60.0);
    let mut chart = Chart::new(table).row_height(24.0).place(0.0, "");
    for (i, value) in values.into_iter().enumerate() {
        let name = name_of(&value.place);
        chart = chart.row(&name, Cell::from(value.rows).to_string());
        let at = feature.values.iter().position(|v| v.place == value.place).unwrap_or(0);
        let counts = &columns.counts[at];
        let fullest = counts.iter().copied().max().unwrap_or(0) as f64;
        for (&n, &(left, right)) in counts.iter().zip(&columns.edges).filter(|(n, _)| **n > 0) {
            let strength = 1.0 + 9.0 * (n as f64 / fullest).sqrt();
            let cell = [left, right, i as f64 + 0.15, i as f64 + 0.85];
            chart = chart.cells(Tone::PositiveShade(strength.round() as u8), [cell], "");
        }
        let tooltip = format!("{name}: mean φ {}, {} rows", short(value.mean), value.rows);
        chart = chart.dot(Tone::Series(1), (value.mean, i as f64 + 0.5), tooltip);
    }
    let chart = chart
        .legend(Tone::PositiveShade(8), "rows, more where stronger")
        .legend(Tone::Series(1), "mean φ");
    let name = labels.name(&feature.feature);
    let figure = Figure::new(name, chart).x_label(format!("φ, {}", labels.what(None)));
    if hidden > 0 {
        return figure.note(format!("{hidden} categories with fewer rows are in the table."));
    }
    figure
}

/// Mean |φ| of the strongest features by cohort. shap: `plots.bar` of `Explanation.cohorts`.
pub fn cohort_bars(summary: &Summary, labels: &Labels) -> Figure {
    const FEATURES: usize = 10;
    let named = |c: &CohortSummary| format!("{} ({} rows)", c.group, Cell::from(c.rows));
    let titles = ["Feature".to_owned()].into_iter().chain(summary.cohorts.iter().map(named));
    let mut table = Table::new(titles);
    for (j, feature) in summary.features.iter().enumerate() {
        let cells = [Cell::from(labels.name(&feature.feature))];
        let means = summary.cohorts.iter().map(|c| c.features[j].mean_absolute.into());
        table = table.row(cells.into_iter().chain(means).collect::<Vec<_>>());
    }
    let mut shown: Vec<_> = summary.cohorts.iter().collect();
    shown.sort_by_key(|c| std::cmp::Reverse(c.rows));
    let hidden = shown.len().saturating_sub(COHORTS);
    shown.truncate(COHORTS);
    let n = shown.len().max(1) as f64;
    let mut chart = Chart::new(table).row_height(11.0 * n + 12.0);
    for (i, feature) in summary.features.iter().take(FEATURES).enumerate() {
        chart = chart.row(labels.name(&feature.feature), "");
        for (c, cohort) in shown.iter().enumerate() {
            let value = cohort.features[i].mean_absolute;
            let top = i as f64 + 0.12 + 0.76 * c as f64 / n;
            let tooltip = format!(
                "{}, {}: mean |φ| {}, mean φ {}",
                labels.name(&feature.feature),
                cohort.group,
                short(value),
                short(cohort.features[i].mean)
            );
            let cell = [0.0, value, top, top + 0.7 / n];
            chart = chart.cells(Tone::Series(c as u8), [cell], tooltip);
        }
    }
    for (c, cohort) in shown.iter().enumerate() {
        chart = chart.legend(Tone::Series(c as u8), named(cohort));
    }
    let mut figure = Figure::new(format!("By {}", summary.by.join(", ")), chart)
        .x_label(format!("mean |φ|, {}", labels.what(None)));
    if hidden > 0 {
        figure = figure.note(format!("{hidden} smaller cohorts are in the table."));
    }
    figure
}

/// A gap between groups, split: each feature's part with its limits.
pub fn gap(gap: &AttributionGap, labels: &Labels) -> Figure {
    let mut intervals = Intervals::new().bound("no difference", 0.0);
    for part in gap.parts.iter().take(SHOWN) {
        let limits = part.interval.as_ref().map(|i| (i.low, i.high));
        intervals = intervals.point(labels.name(&part.feature), part.difference, limits, None);
    }
    let (what, how) = match gap.of {
        GapOf::MeanPrediction => (
            format!("mean {}", labels.what(None)),
            "The parts add up to the gap exactly.".to_owned(),
        ),
        GapOf::SelectionRate => (
            "selection rate".to_owned(),
            "Approximate: a row's being selected or not is shared among the features that pushed \
             it that way."
                .to_owned(),
        ),
    };
    let limits = gap
        .interval
        .as_ref()
        .map_or(String::new(), |i| format!(" [{}, {}]", short(i.low), short(i.high)));
    let more = gap.parts.len().saturating_sub(SHOWN);
    let more =
        if more > 0 { format!(" {more} smaller parts are not shown.") } else { String::new() };
    Figure::new(format!("{} against {}", gap.group, gap.against), intervals)
        .note(format!(
            "The gap in {what} is {}{limits}. {how} Limits hold for all features together.{more}",
            short(gap.difference)
        ))
        .x_label("part of the gap")
}

/// Mean |φ| of the pairs that act together most, the strongest first. shap: `plots.beeswarm` of
/// `shap_interaction_values` shows them as a grid of swarms.
///
/// # Errors
/// As [`Interactions::strongest`].
pub fn interactions(found: &Interactions, output: usize, labels: &Labels) -> Result<Figure> {
    let name = |j: usize| labels.name(&found.features[j]);
    let bars = found
        .strongest(output)?
        .into_iter()
        .map(|((i, j), mean)| (format!("{} × {}", name(i), name(j)), mean));
    let note = format!(
        "Mean size, over {} rows, of what two features add beyond what each adds alone. A pair \
         stands in a prediction twice.",
        Cell::from(found.len() as u64)
    );
    Ok(Figure::new("What acts together", Bars::new(bars).limit(SHOWN))
        .note(note)
        .x_label("mean |φ| of the pair"))
}

/// A partial dependence with its limits, and the lines of single rows behind it (ICE): where they
/// are not parallel, the feature acts together with others. scikit-learn:
/// `PartialDependenceDisplay` of `kind="both"`.
///
/// # Errors
/// [`Error::Invalid`] for an output that was not measured.
pub fn curve(found: &DependenceCurve, output: &str, labels: &Labels) -> Result<Figure> {
    const LINES: usize = 30;
    let k = found.outputs.len();
    let at = found.outputs.iter().position(|o| o == output).ok_or_else(|| {
        Error::invalid("output", format!("one of: {}", found.outputs.join(", ")), output)
    })?;
    let mut table = Table::new(["Value", "Mean prediction", "Standard error"]);
    let pick = |x: &[f64]| -> Vec<f64> { x.iter().skip(at).step_by(k).copied().collect() };
    let (mean, errors) = (pick(&found.mean), pick(&found.standard_errors));
    for ((label, mean), error) in found.labels.iter().zip(&mean).zip(&errors) {
        table = table.row((label.as_str(), *mean, *error));
    }
    // Numbers stand where they are, other values side by side.
    let numbers: Option<Vec<f64>> = found
        .labels
        .iter()
        .map(|label| label.parse().ok().filter(|x: &f64| x.is_finite()))
        .collect();
    let is_text = numbers.is_none();
    let x = numbers.unwrap_or_else(|| (0..found.labels.len()).map(|i| i as f64).collect());
    let mut chart = Chart::new(table);
    let rows = found.lines.len() / (k * x.len()).max(1);
    let shown = rows.min(LINES);
    for i in 0..shown {
        let row = i * rows / shown;
        let line = found.line(row, at).unwrap_or_default();
        chart = chart.line(Tone::Series(4), x.iter().copied().zip(line), format!("row {row}"));
    }
    for (way, name) in [(-1.0, "lower limit"), (1.0, "upper limit")] {
        let limit = mean.iter().zip(&errors).map(|(m, se)| m + way * 1.959_963_984_540_054 * se);
        chart = chart.line(Tone::Guide, x.iter().copied().zip(limit), name);
    }
    for ((x, mean), label) in x.iter().zip(&mean).zip(&found.labels) {
        let tooltip = format!("{label}: {}", short(*mean));
        chart = chart.dot(Tone::Series(1), (*x, *mean), tooltip);
    }
    chart = chart
        .line(Tone::Series(1), x.iter().copied().zip(mean), "mean")
        .legend(Tone::Series(1), "mean")
        .legend(Tone::Guide, "its 95 % limits")
        .legend(Tone::Series(4), format!("{shown} of {rows} rows"));
    if is_text {
        chart = chart.ticks(x.iter().copied().zip(found.labels.iter().map(String::as_str)));
    }
    Ok(Figure::new(labels.name(&found.feature), chart)
        .x_label(labels.axis(&found.feature))
        .y_label(format!("prediction of {output}")))
}
