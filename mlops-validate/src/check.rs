//! What is asked: the kinds of expectations, and what each of them must be able to say.

use mlops_core::Result;
use serde::{Deserialize, Serialize};

use crate::compile::{Compiled, Compiler};
use crate::expectations::{
    InRange, InSet, MatchesRegex, NotNull, RowCount, StringLength, TableSchema, Unique,
};

/// What an expectation is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject<'a> {
    /// The table as a whole.
    Table,
    /// One column.
    Column(&'a str),
    /// Several columns together.
    #[expect(dead_code, reason = "no kind of several columns is there yet")]
    Columns(Vec<&'a str>),
}

/// One kind of expectation: its parameters, and how it is made ready for a schema.
pub(crate) trait Kind {
    /// What it is about.
    fn subject(&self) -> Subject<'_>;

    /// Whether each row answers by itself, so that `mostly` and `nulls` mean something.
    fn of_rows(&self) -> bool;

    /// Whether the question makes sense in itself.
    fn check_usable(&self) -> Result<()> {
        Ok(())
    }

    /// Adds what must be measured. Its columns are known to be there.
    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled>;
}

macro_rules! checks {
    ($($(#[$docs:meta])* $variant:ident($kind:ty) = $name:literal,)+) => {
        /// What is asked: one variant a kind, named as suites name it.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "expectation")]
        #[non_exhaustive]
        pub enum Check {
            $($(#[$docs])* #[serde(rename = $name)] $variant($kind),)+
        }

        impl Check {
            /// The names of all kinds, as suites write them.
            pub const KINDS: &'static [&'static str] = &[$($name),+];

            /// The kind's name, as suites write it.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)+
                }
            }

            pub(crate) fn kind(&self) -> &dyn Kind {
                match self {
                    $(Self::$variant(kind) => kind,)+
                }
            }
        }

        $(impl From<$kind> for Check {
            fn from(kind: $kind) -> Self {
                Self::$variant(kind)
            }
        })+
    };
}

checks! {
    // Questions about the table.
    /// The columns, their types, and whether they may be null.
    Schema(TableSchema) = "schema",
    /// How many rows there are.
    RowCount(RowCount) = "row_count",

    // Questions about the values of a column, row by row.
    /// No value is missing.
    NotNull(NotNull) = "not_null",
    /// No value stands twice.
    Unique(Unique) = "unique",
    /// Values lie between bounds.
    InRange(InRange) = "in_range",
    /// Values are of a set.
    InSet(InSet) = "in_set",
    /// Texts match a pattern.
    MatchesRegex(MatchesRegex) = "matches_regex",
    /// Texts have a length.
    StringLength(StringLength) = "string_length",
}

impl<'a> Subject<'a> {
    /// The columns that it is about.
    pub(crate) fn columns(self) -> Vec<&'a str> {
        match self {
            Self::Table => Vec::new(),
            Self::Column(column) => vec![column],
            Self::Columns(columns) => columns,
        }
    }
}
