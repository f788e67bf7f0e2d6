//! A measurement is a mergeable state: the two traits that everything else is made of.

use std::borrow::Cow;
use std::fmt::Debug;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Digest, Error, Result, Rows, Statistics};

/// What is remembered of the rows that were seen: plain data.
///
/// # Contract
/// - `merge` is commutative and associative *to the bit*: a state is a function of the multiset
///   of rows, never of their order, batches, partitions or threads. So it holds counts in
///   integers, sums in [`Sum`](crate::states::Sum), and no float that was folded in order.
/// - States of different descriptions refuse to merge.
/// - `encode` is canonical: equal states give equal bytes.
pub trait State: Debug + Clone + Send + Sync + 'static {
    /// Takes in what another state has seen.
    ///
    /// # Errors
    /// [`Error::Merge`] if the two don't measure the same thing.
    fn merge(&mut self, other: Self) -> Result<()>;

    /// Appends the canonical bytes.
    fn encode(&self, out: &mut Vec<u8>);

    /// How many bytes of memory it holds, about.
    fn size(&self) -> usize;
}

/// The description of a measurement: what it reads, how it starts, takes in rows, and finishes.
///
/// Tuples of analyzers are analyzers, and a [`Plan`](crate::Plan) is one for lists known at run
/// time.
///
/// # Contract
/// - `update` over any cutting of the rows into batches, merged in any order, gives the same
///   state ([`State`]). An update with no rows changes nothing but checks the columns: a scan
///   makes one first, so that a missing column is an error on an empty source, too.
/// - `update` asks `rows` only for the columns named by `columns`.
/// - A state that was settled is the same, to the bit, as one that was updated with the rows.
/// - `finish` is pure. Ordered folds of floats live here and nowhere else.
/// - `decode` takes exactly the bytes that `encode` wrote off the front, and answers hostile
///   bytes with an `Err`: no panic, no allocation beyond a small multiple of the bytes.
///
/// [`conformance::analyzer`](crate::conformance::analyzer) tests all of this.
pub trait Analyzer: Debug + Send + Sync + 'static {
    /// What is remembered of the rows.
    type State: State;
    /// What comes out at the end.
    type Output: Send + 'static;

    /// The columns that a scan must read.
    fn columns(&self) -> Vec<String>;

    /// A state that has seen nothing.
    fn start(&self) -> Self::State;

    /// Takes in a batch of rows.
    ///
    /// # Errors
    /// A column that is missing or of a type that can't be measured. Bad data is no error.
    fn update(&self, state: &mut Self::State, rows: &Rows<'_>) -> Result<()>;

    /// Takes in all rows of a partition from what is known of them, if that is enough; `true` if it
    /// was, and else the state is as before. No, unless an analyzer knows better.
    ///
    /// A scan asks this before it reads a partition, and does not read what all have settled.
    ///
    /// # Errors
    /// Those that [`update`](Self::update) would give for the rows.
    fn settle(&self, state: &mut Self::State, statistics: &Statistics) -> Result<bool> {
        let _ = (state, statistics);
        Ok(false)
    }

    /// Turns the finished state into the result.
    ///
    /// # Errors
    /// A result that has no value for this state.
    fn finish(&self, state: Self::State) -> Result<Self::Output>;

    /// Reads a state back.
    ///
    /// # Errors
    /// [`Error::Decode`] on bytes that `encode` would not have written.
    fn decode(&self, bytes: &mut &[u8]) -> Result<Self::State>;

    /// The analyzer written down, if it can be: its states can then leave the process, and equal
    /// members of a plan are measured once.
    fn description(&self) -> Option<Description> {
        None
    }

    /// What tells it from others of its type: equal if and only if the descriptions are. Their
    /// digest, unless an analyzer of long parameters knows a shorter way.
    fn identity(&self) -> Option<Digest> {
        self.description().map(|description| description.digest())
    }
}

/// An analyzer written down: a stable kind, the version of its state's bytes, its parameters.
///
/// ```
/// use mlops_core::Description;
/// let a = Description::new("histogram", 1, &serde_json::json!({"column": "age", "edges": [0, 9]}));
/// let b = Description::new("histogram", 1, &serde_json::json!({"edges": [0, 9], "column": "age"}));
/// assert_eq!(a.digest(), b.digest());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The kind's stable name.
    pub kind: Cow<'static, str>,
    /// The version of its state's bytes.
    pub version: u16,
    /// Its parameters.
    pub params: Value,
}

impl Description {
    /// The description of anything that serde can write.
    ///
    /// # Panics
    /// Never for parameters that are JSON: maps with string keys, numbers, text, lists. Others
    /// are written as `null`, and then differ from nothing; the conformance test refuses them.
    pub fn new(kind: impl Into<Cow<'static, str>>, version: u16, params: &impl Serialize) -> Self {
        let params = serde_json::to_value(params).unwrap_or(Value::Null);
        Self { kind: kind.into(), version, params }
    }

    /// The digest of kind, version and [`params_text`](Self::params_text).
    pub fn digest(&self) -> Digest {
        Digest::of(format!("{}\n{}\n{}", self.kind, self.version, self.params_text()))
    }

    /// The parameters as JSON with sorted keys and no spaces, whatever order they came in. Integers
    /// stand there as they are, also those that [`canonical_json`](crate::canonical_json) refuses: a
    /// seed may be any.
    pub fn params_text(&self) -> String {
        let mut text = String::new();
        put_sorted(&self.params, &mut text);
        text
    }

    /// The parameters, read back.
    ///
    /// # Errors
    /// [`Error::Invalid`] if they are not what this kind takes.
    pub fn parse<T: for<'de> Deserialize<'de>>(&self) -> Result<T> {
        T::deserialize(&self.params).map_err(|e| {
            Error::invalid(format!("description of `{}`", self.kind), "its parameters", e)
        })
    }
}

/// JSON with sorted keys, whatever order `serde_json` keeps its maps in.
fn put_sorted(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                put_sorted(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(b.0));
            out.push('{');
            for (i, (key, item)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                put_sorted(item, out);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),+))+) => {$(
        impl<$($name: State),+> State for ($($name,)+) {
            fn merge(&mut self, other: Self) -> Result<()> {
                $(self.$index.merge(other.$index)?;)+
                Ok(())
            }

            fn encode(&self, out: &mut Vec<u8>) {
                $(self.$index.encode(out);)+
            }

            fn size(&self) -> usize {
                0 $(+ self.$index.size())+
            }
        }

        impl<$($name: Analyzer),+> Analyzer for ($($name,)+) {
            type State = ($($name::State,)+);
            type Output = ($($name::Output,)+);

            fn columns(&self) -> Vec<String> {
                let mut columns = Vec::new();
                $(columns.extend(self.$index.columns());)+
                columns.sort();
                columns.dedup();
                columns
            }

            fn start(&self) -> Self::State {
                ($(self.$index.start(),)+)
            }

            fn update(&self, state: &mut Self::State, rows: &Rows<'_>) -> Result<()> {
                $(self.$index.update(&mut state.$index, rows)?;)+
                Ok(())
            }

            fn settle(&self, state: &mut Self::State, statistics: &Statistics) -> Result<bool> {
                // All or none.
                let mut settled = state.clone();
                if $(self.$index.settle(&mut settled.$index, statistics)?)&&+ {
                    *state = settled;
                    return Ok(true);
                }
                Ok(false)
            }

            fn finish(&self, state: Self::State) -> Result<Self::Output> {
                Ok(($(self.$index.finish(state.$index)?,)+))
            }

            fn decode(&self, bytes: &mut &[u8]) -> Result<Self::State> {
                Ok(($(self.$index.decode(bytes)?,)+))
            }

            fn description(&self) -> Option<Description> {
                let members = vec![$(self.$index.description()?,)+];
                Some(Description::new("tuple", 1, &members))
            }
        }
    )+};
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}
