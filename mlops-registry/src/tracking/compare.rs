//! Runs beside each other: what differs, and how their metrics went.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use mlops_core::report::{Cell, Figure, Line, Report, Row, Section, Table};
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
        self.differing(|run| &run.params)
    }

    /// The tags that are not the same in all of them.
    pub fn differing_tags(&self) -> Vec<&str> {
        self.differing(|run| &run.tags)
    }

    fn differing(&self, of: fn(&Run) -> &BTreeMap<String, String>) -> Vec<&str> {
        let all: BTreeSet<&str> =
            self.runs.iter().flat_map(|run| of(run).keys().map(String::as_str)).collect();
        let differs = |key: &&str| {
            let mut values = self.runs.iter().map(|run| of(run).get(*key));
            let first = values.next();
            values.any(|value| Some(value) != first)
        };
        all.into_iter().filter(differs).collect()
    }

    /// A document: what differs, the last values, the datasets and models, a picture in which
    /// every run is a line across an axis for each parameter and metric that differs (parallel
    /// coordinates), and a curve for each metric with more than one step.
    pub fn to_report(&self) -> Report {
        let names = self.names();
        let mut report = self.tables(&names);
        if let Some(figure) = self.parallel(&names) {
            report = report.section(Section::new("Parallel coordinates").figures([figure]));
        }
        let curves = self.histories.keys().filter_map(|key| self.figure(key, &names));
        let curves: Vec<Figure> = curves.take(FIGURES).collect();
        if !curves.is_empty() {
            report = report.section(Section::new("Curves").figures(curves));
        }
        report
    }

    /// The document without its pictures.
    fn tables(&self, names: &[String]) -> Report {
        let title = match names {
            [one] => one.clone(),
            names => format!("{} runs", names.len()),
        };
        let last = self.table("Metric", self.histories.keys().map(String::as_str), |run, key| {
            run.metric(key).map_or(Cell::Missing, |value| Cell::number(value, 4))
        });
        let mut report = Report::new(title).section(Section::new("Runs").table(self.facts()));
        if self.runs.iter().any(|run| !run.params.is_empty()) {
            report = report.section(self.texts("Parameters", "Parameter", |run| &run.params));
        }
        if !self.histories.is_empty() {
            report = report.section(Section::new("Last values").table(last));
        }
        if self.runs.iter().any(|run| !run.tags.is_empty()) {
            report = report.section(self.texts("Tags", "Tag", |run| &run.tags));
        }
        let data = self.of_names("Dataset", |run| {
            let all = run.datasets.iter();
            all.map(|d| (d.name.as_str(), [short(&d.digest), &d.context].join(" "))).collect()
        });
        let models = self.of_names("Model", |run| {
            let all = run.models.iter();
            all.map(|m| (m.name.as_str(), short(&m.digest.hex()).to_owned())).collect()
        });
        for (title, table) in [("Datasets", data), ("Models", models)] {
            if !table.rows.is_empty() {
                report = report.section(Section::new(title).table(table));
            }
        }
        report
    }

    /// The texts that differ, and how many don't; of one run all.
    fn texts(&self, title: &str, one: &str, of: fn(&Run) -> &BTreeMap<String, String>) -> Section {
        let first = || self.runs.iter().take(1).flat_map(|run| of(run).keys().map(String::as_str));
        let mut section = Section::new(title);
        let mut shown = self.differing(of);
        if self.runs.len() == 1 {
            shown = first().collect();
        } else {
            section = match first().filter(|key| !shown.contains(key)).count() {
                0 => section,
                1 => section.text(format!("One {} is the same in all.", one.to_lowercase())),
                n => section.text(format!("{n} {} are the same in all.", title.to_lowercase())),
            };
        }
        if shown.is_empty() {
            return section;
        }
        section.table(self.table(one, shown, |run, key| {
            of(run).get(key).map_or(Cell::Missing, |v| Cell::Text(v.clone()))
        }))
    }

    /// What the runs have under each name, if anything; of several things under one all.
    fn of_names<'r>(&'r self, title: &str, of: fn(&'r Run) -> Vec<(&'r str, String)>) -> Table {
        let names: BTreeSet<&str> = self.runs.iter().flat_map(of).map(|(name, _)| name).collect();
        let columns = self.runs.iter().map(|run| {
            let mut column: BTreeMap<&str, Vec<String>> = BTreeMap::new();
            for (name, text) in of(run) {
                column.entry(name).or_default().push(text.trim_end().to_owned());
            }
            column
        });
        let columns: Vec<_> = columns.collect();
        let titles = [title.to_owned()].into_iter().chain(self.names());
        let mut table = Table::new(titles);
        for name in names {
            let cells = columns.iter().map(|column| {
                column.get(name).map_or(Cell::Missing, |texts| Cell::Text(texts.join(", ")))
            });
            table.rows.push(Row([Cell::code(name)].into_iter().chain(cells).collect()));
        }
        table
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

    /// Names that tell the runs apart: with the beginning of their ids where they must, and more
    /// of it until it does. A run that was given twice has one name.
    fn names(&self) -> Vec<String> {
        let with = |chars: usize| -> Vec<String> {
            let name = |run: &Run| match run.id.get(..chars).unwrap_or(&run.id) {
                "" => run.name.clone(),
                id => format!("{} {id}", run.name),
            };
            self.runs.iter().map(name).collect()
        };
        let longest = self.runs.iter().map(|run| run.id.len()).max().unwrap_or(0);
        let mut names = with(0);
        for chars in (8..longest).chain([longest]) {
            let longer = with(chars);
            let others = |n: usize| {
                let same =
                    |(name, run): (&String, &Run)| *name == names[n] && run.id != self.runs[n].id;
                names.iter().zip(&self.runs).any(same)
            };
            let alike: Vec<usize> = (0..names.len()).filter(|n| others(*n)).collect();
            if alike.is_empty() {
                break;
            }
            for n in alike {
                names[n].clone_from(&longer[n]);
            }
        }
        names
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
            table.rows.push(Row(row));
        }
        table
    }

    fn facts(&self) -> Table {
        let titles = ["Run", "Id", "Status", "Started", "Seconds", "User", "Commit"];
        let mut table = Table::new(titles);
        for (run, name) in self.runs.iter().zip(self.names()) {
            let text = |t: &Option<String>| t.clone().map_or(Cell::Missing, Cell::Text);
            let seconds = run.millis().map(|ms| Cell::number(ms as f64 / 1e3, 4));
            table.rows.push(Row(vec![
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

/// The beginning of a digest, enough to tell it from others, without the algorithm's name.
fn short(digest: &str) -> &str {
    let digest = digest.rsplit_once(':').map_or(digest, |(_, digits)| digits);
    digest.char_indices().nth(12).map_or(digest, |(at, _)| &digest[..at])
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
        f.write_str(&self.tables(&self.names()).to_terminal(100, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryRegistry;
    use crate::tracking::{Batch, Dataset, LoggedModel, NewRun, TrackerExt};
    use mlops_core::{Digest, Timestamp};

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
        assert!(
            !html.contains("Datasets") && !html.contains("Tags"),
            "nothing of what is not there"
        );
        let alike = ["a1234567x", "a1234567y", "a1234567"].map(|id| {
            let new = NewRun::new(experiment).with_id(id).with_name("same");
            tracker.create_run(new, at).expect("create_run").id
        });
        let taken = NewRun::new(experiment).with_name("same a1234567x");
        let taken = tracker.create_run(taken, at).expect("create_run").id;
        let ids = alike.iter().chain([&taken]).collect::<Vec<_>>();
        let comparison = Comparison::of(&tracker, &ids).expect("a comparison");
        let names: BTreeSet<_> = comparison.names().into_iter().collect();
        assert_eq!(names.len(), 4, "{names:?}");
        let twice = Comparison::of(&tracker, &[&ids[0], &ids[0]]).expect("a comparison");
        assert_eq!(twice.names(), ["same", "same"], "one run");
        Comparison::of(&tracker, &[] as &[&str]).expect_err("none");
        Comparison::of(&tracker, &["none"]).expect_err("no such run");
        Comparison::of(&tracker, &[&ids[0]; 13]).expect_err("too many");
    }

    #[test]
    fn tags_datasets_and_models_stand_beside_each_other() {
        let tracker = MemoryRegistry::new();
        let at = Timestamp::from_millis(0);
        let experiment = tracker.open_experiment("e", at).expect("open_experiment").id;
        let run = |team: &str, bytes: &str| {
            let new = NewRun::new(experiment).with_tag("team", team).with_tag("stage", "trial");
            let id = tracker.create_run(new, at).expect("create_run").id;
            let digest = Digest::of(bytes.as_bytes());
            let data = |context: &str| Dataset::new("adult", digest).with_context(context);
            let batch = Batch {
                datasets: vec![data("training"), data("evaluation")],
                models: vec![LoggedModel::new(bytes, digest)],
                ..Batch::new()
            };
            tracker.log(&id, &batch).expect("log");
            (id, digest.hex()[..12].to_owned())
        };
        let (a, b) = (run("risk", "one"), run("growth", "two"));
        let comparison = Comparison::of(&tracker, &[&a.0, &b.0]).expect("a comparison");
        assert_eq!(comparison.differing_tags(), ["team"]);
        let shown = comparison.tables(&comparison.names()).to_markdown();
        for part in ["One tag is the same in all.", "growth", "| `one` |", &b.1] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        assert!(shown.contains(&format!("{} evaluation, {0} training", a.1)), "{shown}");
    }
}
