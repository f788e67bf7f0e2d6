//! Runs beside each other: what differs, and how their metrics went.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use mlops_core::report::{Cell, Figure, Line, Report, Section, Table};
use mlops_core::{Error, Result};

use super::batch::Point;
use super::run::Run;
use super::tracker::Tracker;

/// How many runs are compared at most: more lines than that nobody tells apart.
const RUNS: usize = 12;
/// How many points of a curve are drawn at most.
const DRAWN: usize = 160;
/// How many curves are drawn before they are left to the table.
const FIGURES: usize = 24;
/// How many axes stand beside each other in one picture.
const AXES: usize = 10;
/// How many letters of their names fit below all of them, and are shown of one.
const AXIS_CHARS: usize = 40;

/// Some runs beside each other. `Display` prints a table; [`to_report`](Self::to_report) makes
/// a document with the curves of their metrics, for a terminal, Markdown or one HTML file.
///
/// ```
/// use mlops_core::Timestamp;
/// use mlops_registry::MemoryRegistry;
/// use mlops_registry::tracking::{Batch, Comparison, NewRun, Tracker, TrackerExt};
///
/// let tracker = MemoryRegistry::new();
/// let at = Timestamp::from_millis(0);
/// let experiment = tracker.open_experiment("loans", at)?.id;
/// let mut ids = Vec::new();
/// for (name, depth) in [("shallow", 2), ("deep", 8)] {
///     let new = NewRun::new(experiment).with_name(name).with_param("depth", depth);
///     let run = tracker.create_run(new.with_param("seed", 7), at)?;
///     for step in 1..=3 {
///         let auc = 1.0 - 1.0 / f64::from(depth * step);
///         tracker.log(&run.id, &Batch::new().metric("auc", auc, step.into(), at))?;
///     }
///     ids.push(run.id);
/// }
/// let comparison = Comparison::of(&tracker, &ids)?;
/// assert_eq!(comparison.differing_params(), ["depth"]);
/// assert!(comparison.to_string().contains("shallow"));
/// assert!(comparison.to_report().to_html().contains("<svg"));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// The runs, in the order that was asked for.
    pub runs: Vec<Run>,
    /// For every metric that any of them has, the history of each.
    pub histories: BTreeMap<String, Vec<Vec<Point>>>,
}

impl Comparison {
    /// Compares these runs: 1 to 12 of them.
    ///
    /// # Errors
    /// [`Error::Invalid`] for none or too many; those of [`Tracker::run`] and
    /// [`Tracker::metric_history`].
    pub fn of<T: AsRef<str>>(tracker: &(impl Tracker + ?Sized), ids: &[T]) -> Result<Self> {
        if !(1..=RUNS).contains(&ids.len()) {
            return Err(Error::invalid("runs to compare", format!("1 to {RUNS}"), ids.len()));
        }
        let runs: Vec<Run> =
            ids.iter().map(|id| tracker.run(id.as_ref())).collect::<Result<_>>()?;
        let keys: BTreeSet<&String> = runs.iter().flat_map(|run| run.metrics.keys()).collect();
        let mut histories = BTreeMap::new();
        for key in keys {
            let of_each = runs.iter().map(|run| {
                let has = run.metrics.contains_key(key);
                if has { tracker.metric_history(&run.id, key) } else { Ok(Vec::new()) }
            });
            histories.insert(key.clone(), of_each.collect::<Result<_>>()?);
        }
        Ok(Self { runs, histories })
    }

    /// The parameters that are not the same in all of them.
    pub fn differing_params(&self) -> Vec<&str> {
        let all: BTreeSet<&str> =
            self.runs.iter().flat_map(|run| run.params.keys().map(String::as_str)).collect();
        let differs = |key: &&str| {
            let mut values = self.runs.iter().map(|run| run.params.get(*key));
            let first = values.next();
            values.any(|value| Some(value) != first)
        };
        all.into_iter().filter(differs).collect()
    }

    /// A document: what differs, the last values, a picture in which every run is a line across
    /// an axis for each parameter and metric that differs (parallel coordinates), and a curve for
    /// each metric with more than one step.
    pub fn to_report(&self) -> Report {
        let names = self.names();
        let title = match names.as_slice() {
            [one] => one.clone(),
            names => format!("{} runs", names.len()),
        };
        let differing = self.differing_params();
        let same = self.runs.first().map_or(0, |run| run.params.len());
        let same =
            same - differing.iter().filter(|k| self.runs[0].params.contains_key(**k)).count();
        let mut params = Section::new("Parameters");
        if self.runs.len() > 1 && same > 0 {
            params = params.text(match same {
                1 => "One parameter is the same in all.".to_owned(),
                n => format!("{n} parameters are the same in all."),
            });
        }
        let shown: Vec<&str> = if self.runs.len() > 1 {
            differing
        } else {
            self.runs.iter().flat_map(|run| run.params.keys().map(String::as_str)).collect()
        };
        if !shown.is_empty() {
            params = params.table(self.table("Parameter", shown, |run, key| {
                run.params.get(key).map_or(Cell::Missing, |v| Cell::Text(v.clone()))
            }));
        }
        let metrics = self.histories.keys().map(String::as_str);
        let last = self.table("Metric", metrics.clone(), |run, key| {
            run.metric(key).map_or(Cell::Missing, |value| Cell::number(value, 4))
        });
        let figures: Vec<Figure> =
            metrics.filter_map(|key| self.figure(key, &names)).take(FIGURES).collect();
        let mut report = Report::new(title)
            .section(Section::new("Runs").table(self.facts()))
            .section(params)
            .section(Section::new("Last values").table(last));
        if let Some(figure) = self.parallel(&names) {
            report = report.section(Section::new("Parallel coordinates").figures([figure]));
        }
        if !figures.is_empty() {
            report = report.section(Section::new("Curves").figures(figures));
        }
        report
    }

    /// A line for each run across what differs, parameters first; each axis goes from its least
    /// value to its greatest.
    fn parallel(&self, names: &[String]) -> Option<Figure> {
        let params = self.differing_params().into_iter().map(|key| {
            let texts = self.runs.iter().map(|run| run.params.get(key).map(String::as_str));
            (key, places(&texts.collect::<Vec<_>>()))
        });
        let metrics = self.histories.keys().map(|key| {
            let last = self.runs.iter().map(|run| run.metric(key).unwrap_or(f64::NAN));
            (key.as_str(), last.collect())
        });
        let axes: Vec<(&str, Vec<f64>)> = params
            .chain(metrics)
            .filter_map(|(key, values)| Some((key, scaled(&values)?)))
            .take(AXES)
            .collect();
        if axes.len() < 2 {
            return None;
        }
        // Names that would run into each other are left out of a picture: then numbers stand there.
        let fit = axes.iter().map(|(key, _)| key.chars().count() + 2).sum::<usize>() <= AXIS_CHARS;
        let (mut labels, mut legend) = (Vec::new(), Vec::new());
        for ((key, _), number) in axes.iter().zip(1..) {
            let key: String = key.chars().take(AXIS_CHARS).collect();
            legend.push(format!("{number} {key}"));
            labels.push(if fit { key } else { number.to_string() });
        }
        let legend = if fit { String::new() } else { format!(" {}.", legend.join(", ")) };
        let note = format!(
            "A line is a run; every axis goes from the least value (0) to the greatest (1), words \
             in their order.{legend}"
        );
        let mut line = Line::over(labels);
        for (i, name) in names.iter().enumerate() {
            line = line.series(name, axes.iter().map(|(_, values)| values[i]).collect::<Vec<_>>());
        }
        Some(Figure::new("What differs", line).note(note))
    }

    /// Names that tell the runs apart.
    fn names(&self) -> Vec<String> {
        let count = |name: &str| self.runs.iter().filter(|run| run.name == name).count();
        let name = |run: &Run| match count(&run.name) {
            1 => run.name.clone(),
            _ => format!("{} {}", run.name, run.id.get(..8).unwrap_or(&run.id)),
        };
        self.runs.iter().map(name).collect()
    }

    fn table<'k>(
        &self,
        title: &str,
        keys: impl IntoIterator<Item = &'k str>,
        cell: impl Fn(&Run, &str) -> Cell,
    ) -> Table {
        let titles = [title.to_owned()].into_iter().chain(self.names());
        let mut table = Table::new(titles);
        for key in keys {
            let cells = self.runs.iter().map(|run| cell(run, key));
            let row = [Cell::code(key)].into_iter().chain(cells).collect();
            table.rows.push(mlops_core::report::Row(row));
        }
        table
    }

    fn facts(&self) -> Table {
        let titles = ["Run", "Id", "Status", "Started", "Seconds", "User", "Commit"];
        let mut table = Table::new(titles);
        for (run, name) in self.runs.iter().zip(self.names()) {
            let text = |t: &Option<String>| t.clone().map_or(Cell::Missing, Cell::Text);
            let seconds = run.millis().map(|ms| Cell::number(ms as f64 / 1e3, 4));
            table.rows.push(mlops_core::report::Row(vec![
                Cell::Text(name),
                Cell::code(run.id.get(..8).unwrap_or(&run.id)),
                Cell::Text(run.status.to_string()),
                Cell::Text(run.started_at.to_string()),
                seconds.unwrap_or(Cell::Missing),
                text(&run.user),
                run.commit.as_deref().map_or(Cell::Missing, |commit| {
                    // Enough to find it by; a whole one would take a line of its own.
                    Cell::code(commit.chars().take(12).collect::<String>())
                }),
            ]));
        }
        // On a phone, a card for each run instead of columns that are cut off.
        table.cards()
    }

    /// The curves of a metric over its steps, if there is more than one step.
    fn figure(&self, key: &str, names: &[String]) -> Option<Figure> {
        let histories = self.histories.get(key)?;
        // Each is sorted by its steps; of millions a set would take many times the memory.
        let mut steps = Vec::new();
        for history in histories {
            steps.extend(history.chunk_by(|a, b| a.step == b.step).map(|points| points[0].step));
        }
        steps.sort_unstable();
        steps.dedup();
        if steps.len() < 2 {
            return None;
        }
        let drawn = thinned(&steps);
        let mut line = Line::over(drawn.iter().map(i64::to_string));
        for (history, name) in histories.iter().zip(names) {
            if !history.is_empty() {
                line = line.series(name, drawn_values(history, &drawn));
            }
        }
        let mut figure = Figure::new(key, line).x_label("step");
        if drawn.len() < steps.len() {
            let note =
                format!("the last value up to each of {} of {} steps", drawn.len(), steps.len());
            figure = figure.note(note);
        }
        Some(figure)
    }
}

/// Where texts stand on an axis: numbers where they stand, words in their order.
fn places(texts: &[Option<&str>]) -> Vec<f64> {
    let words: BTreeSet<&str> = texts.iter().copied().flatten().collect();
    let number = |text: &str| text.parse::<f64>().ok();
    let numbers = words.iter().all(|word| number(word).is_some());
    let place = |text: &str| {
        let rank = || words.iter().position(|word| *word == text).map_or(f64::NAN, |n| n as f64);
        number(text).filter(|_| numbers).unwrap_or_else(rank)
    };
    texts.iter().map(|text| text.map_or(f64::NAN, place)).collect()
}

/// The values between 0 and 1, if they differ; NaN for what is not finite.
fn scaled(values: &[f64]) -> Option<Vec<f64>> {
    let finite = || values.iter().copied().filter(|x| x.is_finite());
    let (least, most) =
        (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    // Halves, because the whole width may be more than a number holds.
    let width = most / 2.0 - least / 2.0;
    let place = |x: &f64| if x.is_finite() { (x / 2.0 - least / 2.0) / width } else { f64::NAN };
    (width > 0.0).then(|| values.iter().map(place).collect())
}

/// At most so many of the steps, the first and the last among them.
fn thinned(steps: &[i64]) -> Vec<i64> {
    if steps.len() <= DRAWN {
        return steps.to_vec();
    }
    (0..DRAWN).map(|i| steps[i * (steps.len() - 1) / (DRAWN - 1)]).collect()
}

/// The last value at each step or since the step before; a gap where there is none.
fn drawn_values(history: &[Point], steps: &[i64]) -> Vec<f64> {
    let mut before = 0;
    let value = |step: &i64| {
        let upto = history.partition_point(|p| p.step <= *step);
        let value = if upto > before { history[upto - 1].value } else { f64::NAN };
        before = upto;
        value
    };
    steps.iter().map(value).collect()
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut report = self.to_report();
        report.blocks.truncate(3);
        f.write_str(&report.to_terminal(100, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryRegistry;
    use crate::tracking::{Batch, NewRun, TrackerExt};
    use mlops_core::Timestamp;

    #[test]
    fn curves_are_thinned_and_keep_their_ends() {
        let steps: Vec<i64> = (0..1000).collect();
        let drawn = thinned(&steps);
        assert_eq!((drawn.len(), drawn[0], drawn[DRAWN - 1]), (DRAWN, 0, 999));
        let point = |step: i64| Point { step, at: Timestamp::from_millis(0), value: step as f64 };
        let history = [point(1), point(5), point(6)];
        let values = drawn_values(&history, &[0, 1, 4, 6, 9]);
        assert_eq!(values.map_nan(), [-1.0, 1.0, -1.0, 6.0, -1.0], "gaps where nothing is");
    }

    #[test]
    fn axes_go_from_the_least_to_the_greatest() {
        assert_eq!(scaled(&[2.0, 4.0, 3.0]), Some(vec![0.0, 1.0, 0.5]));
        let huge = scaled(&[-1e308, 1e308, f64::NAN, f64::INFINITY]).expect("an axis");
        assert_eq!(huge.map_nan(), [0.0, 1.0, -1.0, -1.0]);
        for none in [&[][..], &[1.0], &[1.0, 1.0], &[f64::NAN, 1.0], &[0.0, -0.0]] {
            assert_eq!(scaled(none), None, "{none:?}");
        }
        assert_eq!(places(&[Some("10"), Some("9"), None]).map_nan(), [10.0, 9.0, -1.0]);
        assert_eq!(places(&[Some("tree"), Some("9"), Some("tree")]), [1.0, 0.0, 1.0]);
    }

    trait MapNan {
        fn map_nan(self) -> Vec<f64>;
    }

    impl MapNan for Vec<f64> {
        fn map_nan(self) -> Vec<f64> {
            self.into_iter().map(|x| if x.is_nan() { -1.0 } else { x }).collect()
        }
    }

    #[test]
    fn runs_of_one_name_and_of_hostile_names_are_told_apart() {
        let tracker = MemoryRegistry::new();
        let at = Timestamp::from_millis(0);
        let experiment = tracker.open_experiment("e", at).expect("open_experiment").id;
        let ids: Vec<_> = (0..3_i64)
            .map(|i| {
                let name = if i == 2 { "<script>|`" } else { "same" };
                let mut new = NewRun::new(experiment).with_name(name).with_param("i", i);
                if i > 0 {
                    new = new.with_param("p", "<b>|\n`");
                }
                let run = tracker.create_run(new, at).expect("create_run");
                let mut batch = Batch::new().metric(format!("only {i}"), f64::NAN, 0, at);
                for step in 0..300 {
                    batch = batch.metric("m", f64::INFINITY, step * (i + 1), at);
                }
                tracker.log(&run.id, &batch).expect("log");
                run.id
            })
            .collect();
        let comparison = Comparison::of(&tracker, &ids).expect("a comparison");
        let names: BTreeSet<_> = comparison.names().into_iter().collect();
        assert_eq!(names.len(), 3);
        assert_eq!(comparison.differing_params(), ["i", "p"]);
        let html = comparison.to_report().to_html();
        assert!(!html.contains("<script>|") && !html.contains("<b>|"), "escaped");
        assert!(comparison.to_string().contains("only 1"), "{comparison}");
        Comparison::of(&tracker, &[] as &[&str]).expect_err("none");
        Comparison::of(&tracker, &["none"]).expect_err("no such run");
        Comparison::of(&tracker, &[&ids[0]; 13]).expect_err("too many");
    }
}
