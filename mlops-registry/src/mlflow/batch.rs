//! Batches, cut to what a server takes at once.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use super::client::{MlflowClient, api};
use super::error::{MlflowError, MlflowResult};
use super::http::Repeat;
use super::json::KeyValue;
use super::runs::{Metric, RunBatch};

/// The most of everything in a request, the most parameters, the most tags.
const ENTITIES: usize = 1000;
const PARAMS: usize = 100;
const TAGS: usize = 100;
/// The longest request: 1 MB, with room for what is around the items.
const BYTES: usize = 990_000;

/// A request for `log-batch`, and which of the metrics, parameters and tags are in it.
struct Request {
    text: String,
    ranges: [Range<usize>; 3],
}

/// Requests whose items are JSON text already.
struct Requests {
    run: String,
    /// Metrics, parameters, tags.
    lists: [String; 3],
    counts: [usize; 3],
    before: [usize; 3],
    done: Vec<Request>,
}

impl Requests {
    fn flush(&mut self) {
        if self.counts == [0; 3] {
            return;
        }
        let run = serde_json::Value::from(self.run.as_str());
        let [metrics, params, tags] = &self.lists;
        let text = format!(
            "{{\"run_id\":{run},\"metrics\":[{metrics}],\"params\":[{params}],\"tags\":[{tags}]}}"
        );
        let ranges = [0, 1, 2].map(|i| self.before[i]..self.before[i] + self.counts[i]);
        self.before = ranges.each_ref().map(|range| range.end);
        self.done.push(Request { text, ranges });
        self.lists = Default::default();
        self.counts = [0; 3];
    }

    fn push(&mut self, list: usize, item: &str) -> MlflowResult<()> {
        const MOST: [usize; 3] = [ENTITIES, PARAMS, TAGS];
        let room = BYTES - 6 * self.run.len().min(1000) - 100;
        if item.len() > room {
            let found = format!("{} bytes", item.len());
            return Err(MlflowError::invalid("item of a batch", "at most 1 MB", found));
        }
        let bytes: usize = self.lists.iter().map(String::len).sum();
        if self.counts[list] == MOST[list]
            || self.counts.iter().sum::<usize>() == ENTITIES
            || bytes + item.len() + 1 > room
        {
            self.flush();
        }
        if !self.lists[list].is_empty() {
            self.lists[list].push(',');
        }
        self.lists[list].push_str(item);
        self.counts[list] += 1;
        Ok(())
    }
}

/// The requests that a batch becomes. Parameters come first, so that a changed one is refused
/// before anything else is kept.
fn requests(
    run: &str,
    metrics: &[&Metric],
    params: &[KeyValue],
    tags: &[KeyValue],
) -> MlflowResult<Vec<Request>> {
    let mut requests = Requests {
        run: run.to_owned(),
        lists: Default::default(),
        counts: [0; 3],
        before: [0; 3],
        done: Vec::new(),
    };
    for (list, pairs) in [(1, params), (2, tags)] {
        for pair in pairs {
            let item = serde_json::json!({ "key": pair.key, "value": pair.value });
            requests.push(list, &item.to_string())?;
        }
    }
    for metric in metrics {
        requests.push(0, &metric.to_json().to_string())?;
    }
    requests.flush();
    Ok(requests.done)
}

/// The points without those that are another's repetition: a database refuses them.
fn distinct(metrics: &[Metric]) -> Vec<&Metric> {
    let mut seen = HashSet::new();
    metrics.iter().filter(|m| seen.insert((m.key.as_str(), m.identity()))).collect()
}

impl MlflowClient {
    /// Logs metrics, parameters and tags in requests of at most 1000 items, 100 parameters, 100
    /// tags and 1 MB, parameters first. A request is kept wholly or not at all; after an error the
    /// whole batch may be logged again, because what is there already is not kept twice.
    ///
    /// # Errors
    /// [`is_not_found`](MlflowError::is_not_found); `INVALID_PARAMETER_VALUE` for a changed
    /// parameter or a name that MLflow does not take (letters, digits, `_ - . / :` and spaces, at
    /// most 250).
    pub fn log_batch(&self, run: &str, batch: &RunBatch) -> MlflowResult<()> {
        let metrics = distinct(&batch.metrics);
        for request in requests(run, &metrics, &batch.params, &batch.tags)? {
            let [of_metrics, of_params, of_tags] = request.ranges;
            match self.send_batch(&request.text) {
                // Servers before 3.12 trip over some points that they have already (NaN, many
                // keys): what they miss is sent alone.
                Err(e) if e.code() == Some("BAD_REQUEST") && !of_metrics.is_empty() => {
                    let missing = self.missing(run, &metrics[of_metrics.clone()])?;
                    if missing.len() == of_metrics.len() {
                        return Err(e);
                    }
                    let (params, tags) = (&batch.params[of_params], &batch.tags[of_tags]);
                    for request in requests(run, &missing, params, tags)? {
                        self.send_batch(&request.text)?;
                    }
                }
                other => other?,
            }
        }
        Ok(())
    }

    fn send_batch(&self, text: &str) -> MlflowResult<()> {
        self.http.send_text("POST", &api("runs/log-batch"), text, Repeat::Always).map(drop)
    }

    /// Those of the points that the server has not.
    fn missing<'a>(&self, run: &str, metrics: &[&'a Metric]) -> MlflowResult<Vec<&'a Metric>> {
        let keys: BTreeSet<_> = metrics.iter().map(|m| m.key.as_str()).collect();
        let known = self.run(run)?.data.metrics;
        let known: HashSet<_> = known.iter().map(|m| m.key.as_str()).collect();
        let mut missing = Vec::new();
        for key in keys {
            let there =
                if known.contains(key) { self.metric_history(run, key)? } else { Vec::new() };
            let there: HashSet<_> = there.iter().map(Metric::identity).collect();
            let of_key = metrics.iter().filter(|m| m.key == key);
            missing.extend(of_key.filter(|m| !there.contains(&m.identity())).copied());
        }
        Ok(missing)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn nothing_is_lost_and_no_limit_is_broken(
            metrics in 0usize..3500,
            params in 0usize..350,
            tags in 0usize..350,
            length in 0usize..6000,
        ) {
            let value = "ü\"".repeat(length / 3);
            let batch = RunBatch {
                metrics: (0..metrics).map(|i| Metric::new("m", i as f64, i as i64, 1)).collect(),
                params: (0..params).map(|i| (i.to_string(), value.clone()).into()).collect(),
                tags: (0..tags).map(|i| (i.to_string(), value.clone()).into()).collect(),
            };
            let all: Vec<_> = batch.metrics.iter().collect();
            let made = requests("run", &all, &batch.params, &batch.tags).unwrap();
            let ends = made.last().map(|r| r.ranges.each_ref().map(|range| range.end));
            prop_assert_eq!(ends.unwrap_or_default(), [metrics, params, tags]);
            let mut seen = [const { Vec::<Value>::new() }; 3];
            for Request { text, .. } in &made {
                prop_assert!(text.len() <= 1_000_000);
                let mut value: Value = serde_json::from_str(text).unwrap();
                prop_assert_eq!(&value["run_id"], "run");
                let lists =
                    ["metrics", "params", "tags"].map(|n| value[n].as_array_mut().unwrap().split_off(0));
                prop_assert!(lists.iter().map(Vec::len).sum::<usize>() <= 1000);
                prop_assert!(lists[1].len() <= 100 && lists[2].len() <= 100);
                for (all, some) in seen.iter_mut().zip(lists) {
                    all.extend(some);
                }
            }
            for (i, metric) in seen[0].iter().enumerate() {
                prop_assert_eq!(&metric["step"], i);
            }
            for (i, pair) in seen[1].iter().enumerate() {
                prop_assert_eq!((&pair["key"], &pair["value"]), (&i.to_string().into(), &value.as_str().into()));
            }
            prop_assert_eq!(seen.each_ref().map(Vec::len), [metrics, params, tags]);
        }
    }

    #[test]
    fn an_item_that_fits_nowhere_is_refused() {
        let batch =
            RunBatch { tags: vec![("k", "x".repeat(1 << 20)).into()], ..RunBatch::default() };
        assert!(requests("run", &[], &[], &batch.tags).is_err());
        assert!(requests("run", &[], &[], &[]).unwrap().is_empty());
    }

    #[test]
    fn points_that_a_database_takes_for_one_are_sent_once() {
        let values = [f64::NAN, -f64::NAN, f64::INFINITY, f64::MAX, 0.0, -0.0, 1.0];
        let mut points: Vec<_> = values.iter().map(|v| Metric::new("m", *v, 0, 0)).collect();
        points.extend([Metric::new("m", 1.0, 1, 0), Metric::new("n", 1.0, 0, 0)]);
        assert_eq!(distinct(&points).len(), 6);
    }
}
