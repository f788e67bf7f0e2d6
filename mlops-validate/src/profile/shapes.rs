//! The shapes of texts: what kinds of characters stand in them, and how many.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use mlops_core::bytes::{
    add_count, bad, put_len, put_str, put_u8, put_u64, take_count, take_len, take_str, take_u8,
    take_u64,
};
use mlops_core::{Analyzer, Description, Result, Rows, State};
use serde::{Deserialize, Serialize};

use crate::values::value_type;

/// A text in kinds of characters: `A` for runs of capital ASCII letters, `a` of small ones, `9` of
/// digits, ` ` of spaces, `é` of letters beyond ASCII; other characters stand for themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TextShape {
    /// The kinds in their order, `A-9` for `AB-1234`.
    pub shape: String,
    /// How many texts have it.
    pub count: u64,
    /// The fewest and the most characters of each run.
    pub runs: Vec<(u64, u64)>,
}

/// The shapes and lengths of a column of texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TextProfile {
    /// The fewest characters of a text; `None` where there is none.
    pub min_length: Option<u64>,
    /// The most characters of a text.
    pub max_length: Option<u64>,
    /// The shapes, the most frequent first; `None` if there are too many to be told apart.
    pub shapes: Option<Vec<TextShape>>,
}

impl TextProfile {
    /// A pattern that all texts match and that says something about them, where there are at most
    /// four shapes; linear in the text, for [`matches_regex`](crate::matches_regex).
    pub fn regex(&self) -> Option<String> {
        let shapes = self.shapes.as_ref().filter(|s| (1..=4).contains(&s.len()))?;
        let patterns: Vec<_> = shapes.iter().map(TextShape::regex).collect();
        Some(match patterns.as_slice() {
            [one] => format!("^{one}$"),
            many => format!("^(?:{})$", many.join("|")),
        })
    }
}

impl TextShape {
    fn regex(&self) -> String {
        let run = |(kind, (min, max)): (char, &(u64, u64))| {
            let class = match kind {
                'A' => "[A-Z]".to_owned(),
                'a' => "[a-z]".to_owned(),
                '9' => "[0-9]".to_owned(),
                'é' => r"[\p{L}--\p{ASCII}]".to_owned(),
                // Outside of a class it is nothing special.
                '-' => "-".to_owned(),
                other => regex::escape(&other.to_string()),
            };
            match (min, max) {
                (1, 1) => class,
                (min, max) if min == max => format!("{class}{{{min}}}"),
                // How long a run of another length may be nobody has said.
                _ => format!("{class}+"),
            }
        };
        self.shape.chars().zip(&self.runs).map(run).collect()
    }

    /// How many of its runs have one length in all texts.
    pub(crate) fn fixed_runs(&self) -> u64 {
        self.runs.iter().filter(|(min, max)| min == max).count() as u64
    }
}

/// Measures the shapes and lengths of a column of texts.
///
/// Nulls are left out. Texts of more than [`RUNS`](Self::RUNS) runs, or more than
/// [`SHAPES`](Self::SHAPES) shapes, leave the lengths alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TextShapes {
    pub(crate) column: String,
}

impl TextShapes {
    /// The most shapes that are told apart.
    const SHAPES: usize = 64;
    /// The most runs of a shape.
    const RUNS: usize = 48;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShapesState {
    lengths: Option<(u64, u64)>,
    /// `None` once there are too many: whether there are is a question of the multiset alone.
    shapes: Option<BTreeMap<String, Seen>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    count: u64,
    runs: Vec<(u64, u64)>,
}

fn kind(c: char) -> char {
    match c {
        'A'..='Z' => 'A',
        'a'..='z' => 'a',
        '0'..='9' => '9',
        c if !c.is_ascii() && c.is_alphabetic() => 'é',
        other => other,
    }
}

impl ShapesState {
    fn see(&mut self, text: &str, shape: &mut String, runs: &mut Vec<(u64, u64)>) {
        shape.clear();
        runs.clear();
        let mut length = 0;
        let mut last = None;
        for c in text.chars() {
            length += 1;
            let kind = kind(c);
            if last == Some(kind) {
                if let Some(run) = runs.last_mut() {
                    run.0 += 1;
                    run.1 += 1;
                }
            } else if runs.len() <= TextShapes::RUNS {
                shape.push(kind);
                runs.push((1, 1));
                last = Some(kind);
            }
        }
        let (low, high) = self.lengths.unwrap_or((length, length));
        self.lengths = Some((low.min(length), high.max(length)));
        if runs.len() > TextShapes::RUNS {
            self.shapes = None;
        }
        self.add(shape, 1, runs);
    }

    fn add(&mut self, shape: &str, count: u64, runs: &[(u64, u64)]) {
        let Some(shapes) = &mut self.shapes else { return };
        if let Some(seen) = shapes.get_mut(shape) {
            add_count(&mut seen.count, count);
            for (mine, other) in seen.runs.iter_mut().zip(runs) {
                *mine = (mine.0.min(other.0), mine.1.max(other.1));
            }
            return;
        }
        shapes.insert(shape.to_owned(), Seen { count, runs: runs.to_vec() });
        if shapes.len() > TextShapes::SHAPES {
            self.shapes = None;
        }
    }
}

impl Analyzer for TextShapes {
    type State = ShapesState;
    type Output = TextProfile;

    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn start(&self) -> ShapesState {
        ShapesState { lengths: None, shapes: Some(BTreeMap::new()) }
    }

    fn update(&self, state: &mut ShapesState, rows: &Rows<'_>) -> Result<()> {
        let column = rows.column(&self.column)?;
        let (mut shape, mut runs) = (String::new(), Vec::new());
        texts(column, |text| state.see(text, &mut shape, &mut runs))
    }

    fn finish(&self, state: ShapesState) -> Result<TextProfile> {
        let shapes = state.shapes.filter(|shapes| !shapes.is_empty()).map(|shapes| {
            let mut shapes: Vec<_> = shapes
                .into_iter()
                .map(|(shape, seen)| TextShape { shape, count: seen.count, runs: seen.runs })
                .collect();
            shapes.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.shape.cmp(&b.shape)));
            shapes
        });
        let (min_length, max_length) = state.lengths.unzip();
        Ok(TextProfile { min_length, max_length, shapes })
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<ShapesState> {
        let lengths = match take_u8(bytes)? {
            0 => None,
            1 => {
                let (low, high) = (take_u64(bytes)?, take_u64(bytes)?);
                if low > high {
                    return Err(bad(bytes, "a length of at least the shortest", high));
                }
                Some((low, high))
            }
            tag => return Err(bad(bytes, "0 or 1", tag)),
        };
        let shapes = match take_u8(bytes)? {
            0 => None,
            1 => {
                let mut shapes = BTreeMap::new();
                let n = take_len(bytes, 24)?;
                if n > Self::SHAPES {
                    return Err(bad(bytes, format!("at most {} shapes", Self::SHAPES), n));
                }
                let mut last: Option<String> = None;
                for _ in 0..n {
                    let shape = take_str(bytes)?;
                    if last.as_ref().is_some_and(|last| *last >= shape) {
                        return Err(bad(bytes, "shapes in order", shape));
                    }
                    let count = take_count(bytes)?;
                    let m = take_len(bytes, 16)?;
                    if count == 0 || m != shape.chars().count() || m > Self::RUNS {
                        return Err(bad(bytes, "a run for every kind of the shape", m));
                    }
                    let mut runs = Vec::with_capacity(m);
                    for _ in 0..m {
                        let (low, high) = (take_u64(bytes)?, take_u64(bytes)?);
                        if low == 0 || low > high {
                            return Err(bad(bytes, "a run from its fewest to its most", high));
                        }
                        runs.push((low, high));
                    }
                    last = Some(shape.clone());
                    shapes.insert(shape, Seen { count, runs });
                }
                Some(shapes)
            }
            tag => return Err(bad(bytes, "0 or 1", tag)),
        };
        Ok(ShapesState { lengths, shapes })
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("validate/text_shapes", 1, self))
    }
}

impl State for ShapesState {
    fn merge(&mut self, other: Self) -> Result<()> {
        self.lengths = match (self.lengths, other.lengths) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (one, None) | (None, one) => one,
        };
        match other.shapes {
            None => self.shapes = None,
            Some(shapes) => {
                for (shape, seen) in shapes {
                    self.add(&shape, seen.count, &seen.runs);
                }
            }
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self.lengths {
            None => put_u8(out, 0),
            Some((low, high)) => {
                put_u8(out, 1);
                put_u64(out, low);
                put_u64(out, high);
            }
        }
        match &self.shapes {
            None => put_u8(out, 0),
            Some(shapes) => {
                put_u8(out, 1);
                put_len(out, shapes.len());
                for (shape, seen) in shapes {
                    put_str(out, shape);
                    put_u64(out, seen.count);
                    put_len(out, seen.runs.len());
                    for (low, high) in &seen.runs {
                        put_u64(out, *low);
                        put_u64(out, *high);
                    }
                }
            }
        }
    }

    fn size(&self) -> usize {
        let shapes = self.shapes.iter().flatten();
        size_of::<Self>()
            + shapes.map(|(s, seen)| 64 + s.len() + 16 * seen.runs.len()).sum::<usize>()
    }
}

/// Shows every text that is there.
fn texts(array: &ArrayRef, mut each: impl FnMut(&str)) -> Result<()> {
    macro_rules! over {
        ($strings:expr) => {{
            $strings.iter().flatten().for_each(|text| each(text));
            Ok(())
        }};
    }
    let plain = value_type(array.data_type());
    let array = if array.data_type() == plain { array.clone() } else { cast(array, plain)? };
    match plain {
        DataType::Utf8 => over!(array.as_string::<i32>()),
        DataType::LargeUtf8 => over!(array.as_string::<i64>()),
        DataType::Utf8View => over!(array.as_string_view()),
        _ => crate::value_test::unsupported(&array),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, StringArray, StringViewArray};
    use arrow::datatypes::Int8Type;
    use mlops_core::{DataSourceExt, MemorySource, batch, conformance};

    use super::*;

    fn profile(texts: Vec<Option<&str>>) -> TextProfile {
        let source = MemorySource::from(batch! { "x" => StringArray::from(texts) }.unwrap());
        source.measure(&TextShapes { column: "x".into() }).unwrap()
    }

    #[test]
    fn a_pattern_matches_what_it_was_made_of() {
        let texts = vec![Some("AB-1234"), Some("XY-77"), None, Some("Q.é"), Some("ÅÄ"), Some("")];
        let found = profile(texts.clone());
        assert_eq!((found.min_length, found.max_length), (Some(0), Some(7)));
        let regex = regex::Regex::new(&found.regex().unwrap()).unwrap();
        for text in texts.into_iter().flatten() {
            assert!(regex.is_match(text), "{text}: {regex}");
        }
        for other in ["AB-", "ab-12", "AB 12", "AB-1234\n", "Q,é"] {
            assert!(!regex.is_match(other), "{other}: {regex}");
        }
        let codes = profile(vec![Some("AB-1234"), Some("XY-7777")]);
        assert_eq!(codes.regex().unwrap(), "^[A-Z]{2}-[0-9]{4}$");
        assert_eq!(profile(vec![None]), TextProfile::default());
        let many: Vec<String> = (0..200).map(|i| format!("{}a", "-1".repeat(i))).collect();
        let found = profile(many.iter().map(|s| Some(s.as_str())).collect());
        assert_eq!((found.shapes, found.max_length), (None, Some(399)));
    }

    #[test]
    fn states_keep_the_contract() {
        let rows = 0..70_i32;
        let text = |i: i32| (i % 5 != 0).then(|| format!("{}{}", "x-1".repeat(i as usize % 4), i));
        let rows = batch! {
            "plain" => rows.clone().map(text).collect::<StringArray>(),
            "view" => rows.clone().map(text).collect::<StringViewArray>(),
            "coded" => rows.map(|i| (i % 3 != 0).then_some(["a", "Bé", "9 "][i as usize % 3])).collect::<DictionaryArray<Int8Type>>(),
        }
        .unwrap();
        for column in ["plain", "view", "coded"] {
            conformance::analyzer(&TextShapes { column: column.into() }, &rows);
        }
    }
}
