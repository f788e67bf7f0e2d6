//! The language of row conditions and row predicates: SQL's boolean expressions over columns.
//!
//! ```
//! use mlops_core::arrow::array::{Int64Array, StringArray};
//! use mlops_core::{Rows, batch};
//! use mlops_validate::{Expression, Value};
//!
//! let adults = Expression::parse("age >= 18 AND country IN ('NO', 'SE')")?;
//! let batch = batch! {
//!     "age" => Int64Array::from(vec![Some(31), Some(12), None]),
//!     "country" => StringArray::from(vec!["NO", "NO", "SE"]),
//! }?;
//! let bound = adults.bind(batch.schema_ref())?;
//! let truth: Vec<_> = bound.truth(&Rows::new(&batch))?.iter().collect();
//! assert_eq!(truth, [Some(true), Some(false), None]);
//! assert_eq!(bound.truth_of(&[Value::Int(31), Value::Text("NO")]), Some(true));
//! # Ok::<(), mlops_core::Error>(())
//! ```

mod ast;
mod bind;
mod eval;
mod kind;
mod lex;
mod like;
mod literal;
mod node;
mod parse;
mod scalar;
mod test;
mod time;

use std::fmt;
use std::str::FromStr;

use arrow::array::{Array, ArrayRef, BooleanArray, make_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};
use mlops_core::{Error, Result, Rows};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::record::Value;
use ast::Expr;
use eval::{Batch, Record, Vector};
use kind::{Kind, Slot};
use node::Node;

/// A boolean or scalar expression over columns, SQL's: `age >= 18 AND country IN ('NO', 'SE')`.
///
/// # Language
///
/// Keywords and functions are written in any case, names of columns as they are.
///
/// | what | how |
/// |---|---|
/// | columns | `age`, `"odd name"`, `` `odd name` ``, fields of structs `address.city` |
/// | values | `18`, `0.5`, `1e-3`, `'it''s'`, `TRUE`, `FALSE`, `NULL`, `DATE '2026-01-31'`, `TIMESTAMP '2026-01-31T12:30:00Z'` |
/// | comparisons | `=` (`==`), `<>` (`!=`), `<`, `<=`, `>`, `>=`, `IS [NOT] DISTINCT FROM` (`<=>`) |
/// | tests | `IS [NOT] NULL`, `IS [NOT] TRUE`, `IS [NOT] FALSE`, `[NOT] IN (…)`, `[NOT] BETWEEN … AND …` |
/// | text | `[NOT] LIKE '…' [ESCAPE '…']`, `ILIKE`, `RLIKE` (`REGEXP`, `~`, `!~`) |
/// | logic | `AND`, `OR`, `NOT` |
/// | arithmetic | `+`, `-`, `*`, `/`, `%`, and <code>\|\|</code> of texts |
/// | choices | `CASE [x] WHEN … THEN … [ELSE …] END`, `IF(c, a, b)`, `COALESCE`, `NULLIF`, `GREATEST`, `LEAST` |
/// | numbers | `ABS`, `CEIL`, `FLOOR`, `ROUND(x [, digits])`, `SQRT`, `MOD`, `ISNAN`, `ISINF` |
/// | texts | `LENGTH`, `LOWER`, `UPPER`, `TRIM`, `LTRIM`, `RTRIM`, `SUBSTRING`, `CONCAT`, `CONTAINS`, `STARTS_WITH`, `ENDS_WITH` |
/// | times | `YEAR`, `MONTH`, `DAY`, `HOUR`, `MINUTE`, `SECOND`, `EXTRACT(YEAR FROM x)` |
/// | types | `CAST(x AS BIGINT)`, `x::DOUBLE`; also `BOOLEAN`, `TEXT`, `DATE`, `TIMESTAMP` |
///
/// # Semantics
///
/// - **Null is unknown**, in the three-valued logic of SQL: `NULL AND FALSE` is false, `NULL = NULL`
///   is unknown, and a null in an `IN` list makes what is not found unknown. Functions of a null
///   are null, except `COALESCE`, `GREATEST`, `LEAST` (which look only at what is there).
/// - **What can't be reckoned is unknown**: integers that overflow 64 bits, division by zero
///   (floats, too), the root of a negative number, a `CAST` that fails. Nothing is ever an error
///   of a row.
/// - **Numbers compare exactly**, whatever their types: integers with floats beyond 2⁵³, decimals
///   with the number that a literal was written as. In arithmetic decimals are floats, and `/` is
///   true division: `1 / 2` is 0.5. A float literal beside a `Float32` column is rounded to it.
/// - **NaN as IEEE 754 has it**: all comparisons with it are false, but `<>` and `IS DISTINCT
///   FROM`. In `GREATEST` and `LEAST` it is the greatest. `0.0 = -0.0`.
/// - **Text compares by its bytes**, which is by code points, case and accents kept. `LENGTH` and
///   `SUBSTRING` count characters (code points), from 1, or from the end if negative. `TRIM` takes
///   spaces. `LIKE` has no escape unless one is named, and `ILIKE` compares characters in lower
///   case.
/// - **Patterns of `RLIKE`** match anywhere in the text, take time linear in it, and compile within
///   1 MiB.
/// - **Times**: a text beside a date, time or timestamp is read as one. Without an offset it is in
///   the zone of the column if that is fixed, else in UTC. Parts of dates are those in the column's
///   zone, which must then be an offset: the rules of named zones are not known here.
///
/// The text is at most 1 MiB long and 64 levels deep. There is no clock and no chance in the
/// language: `NOW()` is an error.
///
/// `Display` writes the canonical text, and parsing that gives the same expression; serde writes
/// and reads the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression(Expr);

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`Error::Decode`] with the byte where the text stops making sense, what was expected there
    /// and what was found.
    ///
    /// ```
    /// use mlops_validate::Expression;
    /// let wrong = Expression::parse("age >= 18 AND").unwrap_err();
    /// assert_eq!(
    ///     wrong.to_string(),
    ///     "expression, byte 13: expected a column or value, found the end",
    /// );
    /// ```
    pub fn parse(text: &str) -> Result<Self> {
        parse::parse(text).map(Self)
    }

    /// The columns that it reads, sorted, each once; of fields of a struct the struct.
    pub fn columns(&self) -> Vec<String> {
        let mut columns = Vec::new();
        self.0.visit_columns(&mut |path| columns.extend(path.first().cloned()));
        columns.sort();
        columns.dedup();
        columns
    }

    /// Prepares it for data of a schema.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`]; [`Error::Invalid`] and [`Error::ColumnType`] if the types don't
    /// fit (`name < 5` where `name` is text), with the columns and the types; a pattern that does
    /// not compile.
    pub fn bind(&self, schema: &Schema) -> Result<BoundExpression> {
        let bound = bind::bind(&self.0, schema)
            .map_err(|e| e.within(format!("expression {}", lex::excerpt(&self.to_string()))))?;
        let data_type = match &bound.node {
            Node::Column(slot) => bound.slots[*slot].data_type.clone(),
            _ => bound.kind.data_type(),
        };
        Ok(BoundExpression {
            text: self.to_string(),
            node: bound.node,
            kind: bound.kind,
            slots: bound.slots,
            data_type,
        })
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Expression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for Expression {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl Serialize for Expression {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// An [`Expression`] with its names found and its types checked.
///
/// [`truth`](Self::truth) of a batch and [`truth_of`](Self::truth_of) of each of its records say
/// the same.
#[derive(Clone, Debug)]
pub struct BoundExpression {
    text: String,
    node: Node,
    kind: Kind,
    slots: Vec<Slot>,
    data_type: DataType,
}

impl BoundExpression {
    /// The type of its values: `Boolean` for a condition.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// For every row whether it holds; null where that is unknown.
    ///
    /// A comparison of a column with a literal is one loop over the column; what looks at one
    /// dictionary-encoded column alone looks at each of the dictionary's values once.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the expression is no condition; a batch that lacks a column or has it
    /// in another type than the schema had.
    pub fn truth(&self, rows: &Rows<'_>) -> Result<BooleanArray> {
        if !matches!(self.kind, Kind::Bool | Kind::Null) {
            let found = format!("one of type {}", self.kind);
            return Err(Error::invalid(format!("expression `{self}`"), "a condition", found));
        }
        let array = self.eval(rows)?.array(Kind::Bool, rows.len());
        let array = if *array.data_type() == DataType::Boolean {
            array
        } else {
            cast(&array, &DataType::Boolean)?
        };
        Ok(BooleanArray::from(array.to_data()))
    }

    /// Its value for every row, of type [`data_type`](Self::data_type).
    ///
    /// # Errors
    /// A batch that lacks a column or has it in another type than the schema had.
    pub fn value(&self, rows: &Rows<'_>) -> Result<ArrayRef> {
        if let Node::Column(slot) = &self.node {
            return self.slots[*slot].array(rows);
        }
        let array = self.eval(rows)?.array(self.kind, rows.len());
        if *array.data_type() == self.data_type {
            return Ok(array);
        }
        match self.kind {
            Kind::Time(_) | Kind::Decimal(_) => {
                let narrow = match self.data_type {
                    DataType::Date32 | DataType::Time32(_) => cast(&array, &DataType::Int32)?,
                    _ => array,
                };
                let data = narrow.to_data().into_builder().data_type(self.data_type.clone());
                Ok(make_array(data.build()?))
            }
            _ => Ok(cast(&array, &self.data_type)?),
        }
    }

    /// Whether a record has all that it reads: fields of structs have no place in one.
    pub fn judges_records(&self) -> bool {
        self.slots.iter().all(|slot| slot.place.is_some())
    }

    /// Whether it holds for one record, whose [`Value`]s stand in the order of the schema's
    /// fields; `None` if that is unknown, or the expression no condition.
    ///
    /// A value is read in the type of its column: of a `Float32` column it is rounded to 32 bits,
    /// of a decimal one to the column's scale, and dates, times and timestamps may also be ISO
    /// texts. What the type of the column can't hold (a text in a column of numbers, 300 in one of
    /// bytes), a value that is missing, and a field of a struct read as null.
    ///
    /// Allocates nothing, but for the text that `LOWER`, `UPPER`, `||` and `CAST(… AS TEXT)` make,
    /// and for the working memory of the first `RLIKE` of a thread.
    pub fn truth_of(&self, record: &[Value<'_>]) -> Option<bool> {
        Record { slots: &self.slots, values: record }.eval(&self.node, None).truth()
    }

    fn eval(&self, rows: &Rows<'_>) -> Result<Vector> {
        let arrays = self.slots.iter().map(|slot| slot.array(rows)).collect::<Result<_>>()?;
        Batch { slots: &self.slots, arrays, rows: rows.len() }.eval(&self.node, &mut Vec::new())
    }
}

impl fmt::Display for BoundExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
