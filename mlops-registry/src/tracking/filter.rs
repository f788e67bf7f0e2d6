//! What a search asks of a run.

use std::fmt;
use std::str::FromStr;

use mlops_core::{Error, Result, Timestamp};
use serde::{Deserialize, Serialize};

use super::parse;
use super::run::RunStatus;

/// Something of a run that a filter can ask about, or an order sort by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Field {
    /// The last value of a metric: `metrics.auc`.
    Metric(String),
    /// A parameter: `params.depth`.
    Param(String),
    /// A tag: `tags.team`.
    Tag(String),
    /// Something that every run has: `attributes.status`, or `status` alone.
    Attribute(Attribute),
    /// Something of any of the datasets that it read: `datasets.name`.
    Dataset(DatasetPart),
}

/// What every run has, as filters call it; MLflow's names are understood, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Attribute {
    /// `run_id`.
    Id,
    /// `run_name`.
    Name,
    /// `status`: `'RUNNING'`, `'FINISHED'`, ….
    Status,
    /// `user_id`.
    User,
    /// `source`.
    Source,
    /// `commit`.
    Commit,
    /// `parent_run_id`.
    Parent,
    /// `start_time`: milliseconds since 1970, or RFC 3339 in quotes.
    Started,
    /// `end_time`, likewise.
    Ended,
}

/// A part of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DatasetPart {
    /// Its name.
    Name,
    /// Its digest.
    Digest,
    /// What it was read for.
    Context,
}

impl Attribute {
    /// Every attribute, by its name in filters; the first of its names is the one that is printed.
    pub(crate) const NAMES: [(&'static str, Self); 14] = [
        ("run_id", Self::Id),
        ("run_name", Self::Name),
        ("status", Self::Status),
        ("user_id", Self::User),
        ("source", Self::Source),
        ("commit", Self::Commit),
        ("parent_run_id", Self::Parent),
        ("start_time", Self::Started),
        ("end_time", Self::Ended),
        ("id", Self::Id),
        ("name", Self::Name),
        ("user", Self::User),
        ("parent", Self::Parent),
        ("created", Self::Started),
    ];

    const fn is_time(self) -> bool {
        matches!(self, Self::Started | Self::Ended)
    }
}

impl DatasetPart {
    pub(crate) const NAMES: [(&'static str, Self); 3] =
        [("name", Self::Name), ("digest", Self::Digest), ("context", Self::Context)];
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldKind {
    Number,
    Time,
    Text,
}

impl Field {
    pub(crate) fn kind(&self) -> FieldKind {
        match self {
            Self::Metric(_) => FieldKind::Number,
            Self::Attribute(a) if a.is_time() => FieldKind::Time,
            _ => FieldKind::Text,
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn name<T: PartialEq>(names: &[(&'static str, T)], part: &T) -> &'static str {
            names.iter().find(|(_, p)| p == part).map_or("", |(name, _)| name)
        }
        let (kind, key) = match self {
            Self::Metric(key) => ("metrics", key),
            Self::Param(key) => ("params", key),
            Self::Tag(key) => ("tags", key),
            Self::Attribute(a) => return write!(f, "attributes.{}", name(&Attribute::NAMES, a)),
            Self::Dataset(p) => return write!(f, "datasets.{}", name(&DatasetPart::NAMES, p)),
        };
        if !key.is_empty() && key.chars().all(parse::is_word) {
            write!(f, "{kind}.{key}")
        } else {
            write!(f, "{kind}.`{}`", key.replace('`', "``"))
        }
    }
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Operator {
    fn holds<T: PartialOrd + ?Sized>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        })
    }
}

/// What is asked of one field.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Test {
    /// A number, as IEEE 754 compares: NaN equals nothing.
    Number(Operator, f64),
    /// A time, in milliseconds since 1970.
    Time(Operator, i64),
    /// A text; only `=` and `!=`.
    Text(Operator, String),
    /// `LIKE`: `%` stands for any characters, `_` for one, `\` takes the next as it is.
    Like {
        /// The pattern.
        pattern: String,
        /// `ILIKE`.
        ignore_case: bool,
        /// `NOT LIKE`.
        negated: bool,
    },
    /// `IN`.
    In {
        /// The texts.
        values: Vec<String>,
        /// `NOT IN`.
        negated: bool,
    },
    /// `IS NULL`: whether there is none.
    Null {
        /// `IS NOT NULL`.
        negated: bool,
    },
}

/// A value that a field has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Number(f64),
    Time(i64),
    Text(&'a str),
}

impl Test {
    /// What it says of a run that has no value there.
    pub(crate) const fn of_nothing(&self) -> bool {
        matches!(self, Self::Null { negated: false })
    }

    /// What it says of a value.
    pub(crate) fn of(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::Null { negated }, _) => *negated,
            (Self::Number(how, bound), Value::Number(v)) => how.holds(&v, bound),
            (Self::Time(how, bound), Value::Time(v)) => how.holds(&v, bound),
            (Self::Text(how, text), Value::Text(v)) => how.holds(v, text.as_str()),
            (Self::Like { pattern, ignore_case, negated }, Value::Text(v)) => {
                let found = if *ignore_case {
                    like(&v.to_lowercase(), &pattern.to_lowercase())
                } else {
                    like(v, pattern)
                };
                found != *negated
            }
            (Self::In { values, negated }, Value::Text(v)) => {
                values.iter().any(|x| x == v) != *negated
            }
            _ => false,
        }
    }
}

/// Whether the text is one of the pattern's; time grows with the product of their lengths.
fn like(text: &str, pattern: &str) -> bool {
    let (mut text, mut pattern) = (text.chars(), pattern.chars());
    // Where to go on if what follows the last `%` does not fit here.
    let mut again = None;
    loop {
        let whole = text.clone();
        let fits = match (pattern.next(), text.next()) {
            (None, None) => return true,
            (Some('%'), _) => {
                text = whole;
                again = Some((text.clone(), pattern.clone()));
                continue;
            }
            (Some('_'), Some(_)) => true,
            (Some('\\'), Some(c)) => pattern.next() == Some(c),
            (Some(p), Some(c)) => p == c,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !fits {
            let Some((from, after)) = &mut again else { return false };
            if from.next().is_none() {
                return false;
            }
            text = from.clone();
            pattern = after.clone();
        }
    }
}

/// What a search asks of a run, as a tree; [`parse`](str::parse) makes one of MLflow's filter
/// strings.
///
/// ```text
/// metrics.auc > 0.8 and params.model = 'tree' and tags.team like 'a%' and status = 'FINISHED'
/// ```
///
/// | field | asks | example |
/// |---|---|---|
/// | `metrics.KEY`: the last value | `=` `!=` `<` `<=` `>` `>=` | `metrics.loss < 1e-3` |
/// | `params.KEY`, `tags.KEY` | `=` `!=` `LIKE` `ILIKE` `IN` | `params.model in ('tree', 'gbm')` |
/// | `attributes.` `run_id`, `run_name`, `status`, `user_id`, `source`, `commit`, `parent_run_id` | the same | `attributes.status = 'FAILED'` |
/// | `attributes.` `start_time`, `end_time` | as numbers | `start_time > '2026-01-31T12:00:00Z'` |
/// | `datasets.` `name`, `digest`, `context` | as texts, of any dataset | `datasets.context = 'training'` |
///
/// Every field may be asked `IS NULL` and `IS NOT NULL`. `NOT LIKE`, `NOT ILIKE` and `NOT IN` are
/// there; `AND`, `OR`, `NOT` and parentheses combine, `NOT` binding first, then `AND`. Words of
/// the language may be in either case.
///
/// - Texts stand in `'…'` or `"…"`, the quote itself doubled. Numbers are written as `-1.5e-3`,
///   `inf`, `-inf`, `nan`.
/// - A key that has other characters than letters, digits and `_-./:` stands in backticks or
///   double quotes: ``metrics.`val loss` ``. `metric`, `param`, `parameter`, `tag`, `attribute`,
///   `attr`, `run` and `dataset` are understood for their plurals, and an attribute needs no
///   prefix. MLflow's tags `mlflow.runName` and `mlflow.parentRunId` are asked of the attributes.
/// - In a pattern of `LIKE`, `%` stands for any characters, `_` for one, and `\` takes the next
///   character as it is. `ILIKE` takes upper and lower case for the same.
/// - A run without a value there passes no comparison, not even `!=`: only `IS NULL`, and `NOT`
///   before the comparison. A metric that is NaN passes `!=` and nothing else.
///
/// ```
/// use mlops_registry::tracking::Filter;
///
/// let filter: Filter = "metrics.auc > .8 AND NOT (params.model = 'tree' or tag.old is null)".parse()?;
/// assert_eq!(
///     filter.to_string(),
///     "metrics.auc > 0.8 AND NOT (params.model = 'tree' OR tags.old IS NULL)",
/// );
/// let error = "metrics.auc > 'high'".parse::<Filter>().unwrap_err();
/// assert_eq!(error.to_string(), "filter, byte 14: expected a number, found the text 'high'");
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Filter {
    /// Every run: the empty string.
    #[default]
    Everything,
    /// A test of one field.
    Is(Field, Test),
    /// All of these.
    And(Vec<Self>),
    /// Any of these.
    Or(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
}

impl Filter {
    /// Whether every status that it names is one.
    pub(super) fn check_status(&self) -> Result<()> {
        match self {
            Self::Is(Field::Attribute(Attribute::Status), Test::Text(_, status)) => {
                status.parse::<RunStatus>().map(drop)
            }
            Self::Is(Field::Attribute(Attribute::Status), Test::In { values, .. }) => {
                values.iter().try_for_each(|status| status.parse::<RunStatus>().map(drop))
            }
            Self::And(parts) | Self::Or(parts) => parts.iter().try_for_each(Self::check_status),
            Self::Not(part) => part.check_status(),
            Self::Is(..) | Self::Everything => Ok(()),
        }
    }

    /// What passes both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Everything, f) | (f, Self::Everything) => f,
            (Self::And(mut all), other) => {
                all.push(other);
                Self::And(all)
            }
            (one, other) => Self::And(vec![one, other]),
        }
    }

    /// A metric compared with a number.
    pub fn metric(key: impl Into<String>, how: Operator, value: f64) -> Self {
        Self::Is(Field::Metric(key.into()), Test::Number(how, value))
    }

    /// A parameter that has this value.
    pub fn param(key: impl Into<String>, value: impl fmt::Display) -> Self {
        Self::Is(Field::Param(key.into()), Test::Text(Operator::Equal, value.to_string()))
    }

    /// A tag that has this value.
    pub fn tag(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Is(Field::Tag(key.into()), Test::Text(Operator::Equal, value.into()))
    }

    /// How many tests it is made of.
    pub(crate) fn tests(&self) -> usize {
        match self {
            Self::Everything => 0,
            Self::Is(..) => 1,
            Self::And(parts) | Self::Or(parts) => parts.iter().map(Self::tests).sum(),
            Self::Not(inner) => inner.tests(),
        }
    }

    fn fmt_within(&self, f: &mut fmt::Formatter<'_>, tight: u8) -> fmt::Result {
        let (own, word, parts) = match self {
            Self::Everything => return Ok(()),
            Self::Is(field, test) => return write!(f, "{field} {test}"),
            Self::Not(inner) => {
                f.write_str("NOT ")?;
                return inner.fmt_within(f, 2);
            }
            Self::And(parts) => (1, " AND ", parts),
            Self::Or(parts) => (0, " OR ", parts),
        };
        let bracket = own < tight;
        f.write_str(if bracket { "(" } else { "" })?;
        for (i, part) in parts.iter().enumerate() {
            f.write_str(if i > 0 { word } else { "" })?;
            part.fmt_within(f, own + 1)?;
        }
        f.write_str(if bracket { ")" } else { "" })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_within(f, 0)
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |negated: &bool| if *negated { "NOT " } else { "" };
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        match self {
            Self::Number(how, value) => write!(f, "{how} {value:?}"),
            Self::Time(how, value) => write!(f, "{how} {value}"),
            Self::Text(how, value) => write!(f, "{how} {}", quoted(value)),
            Self::Like { pattern, ignore_case, negated } => {
                let word = if *ignore_case { "ILIKE" } else { "LIKE" };
                write!(f, "{}{word} {}", not(negated), quoted(pattern))
            }
            Self::In { values, negated } => {
                let list: Vec<_> = values.iter().map(|v| quoted(v)).collect();
                write!(f, "{}IN ({})", not(negated), list.join(", "))
            }
            Self::Null { negated } => write!(f, "IS {}NULL", not(negated)),
        }
    }
}

impl FromStr for Filter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse::filter(text)
    }
}

impl TryFrom<String> for Filter {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Filter> for String {
    fn from(filter: Filter) -> Self {
        filter.to_string()
    }
}

/// By what runs are sorted; the earlier of two orders counts first. Runs without a value come
/// last, whichever the direction, and NaN comes just before them. Texts are sorted by their
/// characters' numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub struct Order {
    /// By this.
    pub field: Field,
    /// The greatest first.
    pub descending: bool,
}

impl Order {
    /// The least first.
    pub fn ascending(field: Field) -> Self {
        Self { field, descending: false }
    }

    /// The greatest first.
    pub fn descending(field: Field) -> Self {
        Self { field, descending: true }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.field, if self.descending { " DESC" } else { "" })
    }
}

impl FromStr for Order {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse::order(text)
    }
}

impl TryFrom<String> for Order {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Order> for String {
    fn from(order: Order) -> Self {
        order.to_string()
    }
}

/// A time in a filter: milliseconds, or RFC 3339.
pub(crate) fn time(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::millis)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns() {
        for (text, pattern, fits) in [
            ("abc", "abc", true),
            ("abc", "a%", true),
            ("abc", "%c", true),
            ("abc", "a_c", true),
            ("abc", "a_", false),
            ("", "%", true),
            ("", "_", false),
            ("aXbXc", "a%b%c", true),
            ("mississippi", "m%iss%ip%i", true),
            ("mississippi", "m%iss%ipp", false),
            ("50%", "50\\%", true),
            ("50x", "50\\%", false),
            ("größe", "gr__e", true),
            ("a\\b", "a\\\\b", true),
            ("ab", "ab\\", false),
        ] {
            assert_eq!(like(text, pattern), fits, "{text} like {pattern}");
        }
        let long = "a".repeat(2000);
        assert!(!like(&long, &format!("{}b", "%a".repeat(200))), "and in no long time");
    }

    #[test]
    fn nothing_passes_only_is_null() {
        for (text, nothing) in [
            ("tags.a != 'x'", false),
            ("tags.a not in ('x')", false),
            ("tags.a not like 'x'", false),
            ("tags.a is not null", false),
            ("tags.a is null", true),
        ] {
            let Filter::Is(_, test) = text.parse().expect("a filter") else { panic!("{text}") };
            assert_eq!(test.of_nothing(), nothing, "{text}");
        }
    }

    fn key() -> impl Strategy<Value = String> {
        prop_oneof!["[a-z][a-z0-9_./:-]{0,8}", "\\PC{0,6}", "[`\"' a]{1,4}"]
    }

    fn number() -> impl Strategy<Value = f64> {
        let odd = vec![0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, 5e-324, f64::MAX];
        prop_oneof![
            proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL,
            proptest::sample::select(odd),
        ]
    }

    fn comparison() -> impl Strategy<Value = Operator> {
        use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        proptest::sample::select(vec![Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual])
    }

    fn leaf() -> impl Strategy<Value = Filter> {
        let text_field = prop_oneof![
            key().prop_map(Field::Param),
            key().prop_map(Field::Tag),
            Just(Field::Attribute(Attribute::Status)),
            Just(Field::Dataset(DatasetPart::Context)),
        ];
        let equality = proptest::sample::select(vec![Operator::Equal, Operator::NotEqual]);
        let text_test = prop_oneof![
            (equality, "\\PC{0,6}").prop_map(|(how, text)| Test::Text(how, text)),
            ("\\PC{0,6}", any::<bool>(), any::<bool>()).prop_map(
                |(pattern, ignore_case, negated)| Test::Like { pattern, ignore_case, negated }
            ),
            (proptest::collection::vec("['\\PC]{0,4}", 1..4), any::<bool>())
                .prop_map(|(values, negated)| Test::In { values, negated }),
            any::<bool>().prop_map(|negated| Test::Null { negated }),
        ];
        let number_test = (comparison(), number()).prop_map(|(how, x)| Test::Number(how, x));
        let time_test = (comparison(), any::<i64>()).prop_map(|(how, x)| Test::Time(how, x));
        prop_oneof![
            (text_field, text_test).prop_map(|(f, t)| Filter::Is(f, t)),
            (key().prop_map(Field::Metric), number_test).prop_map(|(f, t)| Filter::Is(f, t)),
            time_test.prop_map(|t| Filter::Is(Field::Attribute(Attribute::Ended), t)),
        ]
    }

    fn tree() -> impl Strategy<Value = Filter> {
        leaf().prop_recursive(4, 24, 4, |inner| {
            let many = || proptest::collection::vec(inner.clone(), 2..4);
            prop_oneof![
                many().prop_map(Filter::And),
                many().prop_map(Filter::Or),
                inner.clone().prop_map(|f| Filter::Not(Box::new(f))),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(filter in tree()) {
            let text = filter.to_string();
            let read: Filter = text.parse().unwrap_or_else(|e| panic!("{text}\n{e}"));
            prop_assert_eq!(read, filter, "{}", text);
        }

        #[test]
        fn orders_are_read_back(key in key(), descending: bool) {
            let order = Order { field: Field::Metric(key), descending };
            prop_assert_eq!(order.to_string().parse::<Order>().ok(), Some(order));
        }

        #[test]
        fn any_text_is_a_filter_or_an_error_within_it(
            text in "([a-z.]{1,8}|[<>=!()'\"`, ]|[0-9.eE+-]{1,5}|and|or|not|metrics\\.a|is null|\\PC){0,12}",
        ) {
            if let Err(error) = text.parse::<Filter>() {
                let Error::Decode { offset, .. } = error else { panic!("{error}") };
                prop_assert!(offset <= text.len() as u64);
            }
            let _ = text.parse::<Order>();
        }

        #[test]
        fn like_without_wildcards_is_equality(text in "[ab]{0,4}", other in "[ab]{0,4}") {
            prop_assert_eq!(like(&text, &other), text == other);
            let begins = format!("{}%", &text[..text.len() / 2]);
            prop_assert!(like(&text, &begins));
        }
    }
}
