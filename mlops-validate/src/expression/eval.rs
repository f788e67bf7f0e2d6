//! Evaluation: of a batch, step by step over whole columns, and of one record.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Decimal128Array, Float64Array,
    Int64Array, LargeStringArray, PrimitiveArray, StringArray, StringViewArray, UInt64Array,
    new_null_array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::kernels::boolean::{and_kleene, not, or_kleene};
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, UInt64Type};
use mlops_core::{Error, Result};

use super::ast::{Comparison, Function, Operator};
use super::kind::{Kind, Slot, canonical};
use super::node::Node;
use super::scalar::{self, Conversion, Datum};
use super::test::{compare_pairs, kernel};
use crate::record::Value;

/// A value for each row, or one for all.
#[derive(Clone, Debug)]
pub(super) enum Vector {
    Array(ArrayRef),
    One(Datum<'static>),
}

/// The columns of a batch.
pub(super) struct Batch<'b> {
    pub(super) slots: &'b [Slot],
    pub(super) arrays: Vec<ArrayRef>,
    pub(super) rows: usize,
}

impl Vector {
    fn truths(self, rows: usize) -> Result<BooleanArray> {
        match self {
            Self::Array(array) => match array.as_boolean_opt() {
                Some(truths) => Ok(truths.clone()),
                // A column without a single value.
                None if *array.data_type() == DataType::Null => Ok(BooleanArray::new_null(rows)),
                None => crate::value_test::unsupported(&array),
            },
            Self::One(Datum::Bool(truth)) => {
                let buffer = if truth {
                    BooleanBuffer::new_set(rows)
                } else {
                    BooleanBuffer::new_unset(rows)
                };
                Ok(BooleanArray::new(buffer, None))
            }
            Self::One(_) => Ok(BooleanArray::new_null(rows)),
        }
    }

    /// As an array of the kind.
    pub(super) fn array(self, kind: Kind, rows: usize) -> ArrayRef {
        match self {
            Self::Array(array) => array,
            Self::One(value) => collect(kind, (0..rows).map(|_| value.borrowed())),
        }
    }

    fn reader(&self) -> Result<Reader<'_>> {
        let array = match self {
            Self::One(value) => return Ok(Reader::One(value)),
            Self::Array(array) => array,
        };
        Ok(match array.data_type() {
            DataType::Null => Reader::One(&Datum::Null),
            DataType::Boolean => Reader::Bool(array.as_boolean()),
            DataType::Int64 => Reader::Int(array.as_primitive()),
            DataType::UInt64 => Reader::UInt(array.as_primitive()),
            DataType::Float64 => Reader::Float(array.as_primitive()),
            DataType::Decimal128(_, _) => Reader::Wide(array.as_primitive()),
            DataType::Utf8 => Reader::Utf8(array.as_string()),
            DataType::LargeUtf8 => Reader::LargeUtf8(array.as_string()),
            DataType::Utf8View => Reader::Utf8View(array.as_string_view()),
            _ => return crate::value_test::unsupported(array),
        })
    }
}

/// Row by row what a vector holds.
enum Reader<'v> {
    One(&'v Datum<'static>),
    Bool(&'v BooleanArray),
    Int(&'v Int64Array),
    UInt(&'v UInt64Array),
    Float(&'v Float64Array),
    Wide(&'v Decimal128Array),
    Utf8(&'v StringArray),
    LargeUtf8(&'v LargeStringArray),
    Utf8View(&'v StringViewArray),
}

impl<'v> Reader<'v> {
    fn get(&self, row: usize) -> Datum<'v> {
        macro_rules! read {
            ($array:expr, $make:expr) => {
                if $array.is_null(row) { Datum::Null } else { $make($array.value(row)) }
            };
        }
        let text = |text: &'v str| Datum::Text(Cow::Borrowed(text));
        match self {
            Self::One(value) => value.borrowed(),
            Self::Bool(array) => read!(array, Datum::Bool),
            Self::Int(array) => read!(array, Datum::Int),
            Self::UInt(array) => read!(array, Datum::UInt),
            Self::Float(array) => read!(array, Datum::Float),
            Self::Wide(array) => read!(array, Datum::Wide),
            Self::Utf8(array) => read!(array, text),
            Self::LargeUtf8(array) => read!(array, text),
            Self::Utf8View(array) => read!(array, text),
        }
    }
}

/// Values of one kind as an array.
fn collect<'v>(kind: Kind, values: impl Iterator<Item = Datum<'v>>) -> ArrayRef {
    macro_rules! primitive {
        ($array:ty, $variant:ident) => {
            Arc::new(
                values
                    .map(|v| if let Datum::$variant(v) = v { Some(v) } else { None })
                    .collect::<$array>(),
            )
        };
    }
    match kind {
        Kind::Bool => primitive!(BooleanArray, Bool),
        Kind::Int | Kind::Time(_) => primitive!(Int64Array, Int),
        Kind::UInt => primitive!(UInt64Array, UInt),
        Kind::Float => primitive!(Float64Array, Float),
        Kind::Decimal(_) => primitive!(Decimal128Array, Wide),
        Kind::Text => primitive!(LargeStringArray, Text),
        Kind::Null | Kind::Other => new_null_array(&DataType::Null, values.count()),
    }
}

/// Numbers of one type: many, or one for all.
#[derive(Clone, Copy)]
enum Numbers<'v, T> {
    Many(&'v [T], Option<&'v NullBuffer>),
    One(Option<T>),
}

impl<T: Copy> Numbers<'_, T> {
    fn get(self, row: usize) -> Option<T> {
        match self {
            Self::Many(values, nulls) => {
                nulls.is_none_or(|nulls| nulls.is_valid(row)).then(|| values[row])
            }
            Self::One(value) => value,
        }
    }
}

fn ints(vector: &Vector) -> Option<Numbers<'_, i64>> {
    match vector {
        Vector::Array(array) => {
            let array = array.as_primitive_opt::<Int64Type>()?;
            Some(Numbers::Many(array.values(), array.nulls()))
        }
        Vector::One(Datum::Int(v)) => Some(Numbers::One(Some(*v))),
        Vector::One(_) => Some(Numbers::One(None)),
    }
}

fn floats(vector: &Vector) -> Option<Numbers<'_, f64>> {
    match vector {
        Vector::Array(array) => {
            let array = array.as_primitive_opt::<Float64Type>()?;
            Some(Numbers::Many(array.values(), array.nulls()))
        }
        Vector::One(Datum::Float(v)) => Some(Numbers::One(Some(*v))),
        Vector::One(_) => Some(Numbers::One(None)),
    }
}

fn zip<P: ArrowPrimitiveType>(
    left: Numbers<'_, P::Native>,
    right: Numbers<'_, P::Native>,
    rows: usize,
    op: impl Fn(P::Native, P::Native) -> Option<P::Native>,
) -> ArrayRef {
    let values = (0..rows).map(|row| op(left.get(row)?, right.get(row)?));
    Arc::new(values.collect::<PrimitiveArray<P>>())
}

/// Float operators that always have a value: no branch, and the nulls apart.
fn zip_floats(
    left: Numbers<'_, f64>,
    right: Numbers<'_, f64>,
    op: impl Fn(f64, f64) -> f64,
) -> Option<ArrayRef> {
    let (values, nulls): (Vec<f64>, _) = match (left, right) {
        (Numbers::Many(l, a), Numbers::Many(r, b)) => {
            (l.iter().zip(r).map(|(&l, &r)| op(l, r)).collect(), NullBuffer::union(a, b))
        }
        (Numbers::Many(l, nulls), Numbers::One(Some(r))) => {
            (l.iter().map(|&l| op(l, r)).collect(), nulls.cloned())
        }
        (Numbers::One(Some(l)), Numbers::Many(r, nulls)) => {
            (r.iter().map(|&r| op(l, r)).collect(), nulls.cloned())
        }
        _ => return None,
    };
    Some(Arc::new(Float64Array::new(values.into(), nulls)))
}

impl Batch<'_> {
    fn truths(&self, node: &Node, locals: &mut Vec<Vector>) -> Result<BooleanArray> {
        self.eval(node, locals)?.truths(self.rows)
    }

    /// What a step makes of all rows.
    pub(super) fn eval(&self, node: &Node, locals: &mut Vec<Vector>) -> Result<Vector> {
        let array = |truths: BooleanArray| Ok(Vector::Array(Arc::new(truths)));
        match node {
            Node::Column(slot) => {
                Ok(Vector::Array(canonical(&self.arrays[*slot], self.slots[*slot].kind)?))
            }
            Node::Const(value) => Ok(Vector::One(value.clone())),
            Node::Local(index) => locals
                .get(*index)
                .cloned()
                .ok_or_else(|| Error::invalid("expression", "a bound value", "none")),
            Node::With(value, body) => {
                let value = self.eval(value, locals)?;
                locals.push(value);
                let result = self.eval(body, locals);
                locals.pop();
                result
            }
            Node::Not(e) => array(not(&self.truths(e, locals)?)?),
            Node::And(list) => self.connect(list, locals, false, and_kleene),
            Node::Or(list) => self.connect(list, locals, true, or_kleene),
            Node::IsNull(e) => {
                let nulls = match &**e {
                    Node::Column(slot) => self.arrays[*slot].logical_nulls(),
                    other => match self.eval(other, locals)? {
                        Vector::Array(array) => array.logical_nulls(),
                        Vector::One(value) => return Ok(Vector::One(Datum::Bool(value.is_null()))),
                    },
                };
                let buffer = match nulls {
                    Some(nulls) => !nulls.inner(),
                    None => BooleanBuffer::new_unset(self.rows),
                };
                array(BooleanArray::new(buffer, None))
            }
            Node::Is(e, truth) => {
                let truths = self.truths(e, locals)?;
                let values = if *truth { truths.values().clone() } else { !truths.values() };
                let buffer = match truths.nulls() {
                    Some(nulls) => &values & nulls.inner(),
                    None => values,
                };
                array(BooleanArray::new(buffer, None))
            }
            Node::Test(e, test) => {
                if let Node::Column(slot) = &**e {
                    // As it is, without a cast.
                    let raw = &self.arrays[*slot];
                    let reckoned = matches!(
                        raw.data_type(),
                        DataType::Dictionary(_, _) | DataType::Null | DataType::Decimal256(_, _)
                    ) || self.slots[*slot].kind == Kind::Float
                        && !raw.data_type().is_floating();
                    if !reckoned {
                        return array(test.over(raw)?);
                    }
                }
                match self.eval(e, locals)? {
                    Vector::Array(values) if *values.data_type() == DataType::Null => {
                        Ok(Vector::One(Datum::Null))
                    }
                    Vector::Array(values) => array(test.over(&values)?),
                    Vector::One(value) => Ok(Vector::One(test.of(&value).into())),
                }
            }
            Node::Compare(op, left, right) => {
                let (left, right) = (self.eval(left, locals)?, self.eval(right, locals)?);
                array(self.compare(*op, &left, &right)?)
            }
            Node::Convert(conversion, e) => match self.eval(e, locals)? {
                Vector::One(value) => {
                    Ok(Vector::One(into_owned(scalar::convert(*conversion, &value))))
                }
                values @ Vector::Array(_) => {
                    let kind = match conversion {
                        Conversion::Float(_) => Kind::Float,
                        Conversion::Int => Kind::Int,
                        Conversion::Wide(_) => Kind::Decimal(0),
                    };
                    self.each(kind, &[values], |v| scalar::convert(*conversion, &v[0]))
                }
            },
            Node::Reckon(op, kind, left, right) => {
                let (left, right) = (self.eval(left, locals)?, self.eval(right, locals)?);
                self.reckon(*op, *kind, left, right)
            }
            Node::Case(kind, branches, otherwise) => {
                let mut whens = Vec::with_capacity(branches.len());
                let mut thens = Vec::with_capacity(branches.len());
                for (when, then) in branches {
                    whens.push(self.truths(when, locals)?);
                    thens.push(self.eval(then, locals)?);
                }
                let otherwise = self.eval(otherwise, locals)?;
                let thens = thens.iter().map(Vector::reader).collect::<Result<Vec<_>>>()?;
                let otherwise = otherwise.reader()?;
                let values = (0..self.rows).map(|row| {
                    let hit = whens.iter().position(|when| when.is_valid(row) && when.value(row));
                    hit.map_or(&otherwise, |hit| &thens[hit]).get(row)
                });
                Ok(Vector::Array(collect(*kind, values)))
            }
            Node::Call(function, kind, arguments) => {
                let arguments =
                    arguments.iter().map(|e| self.eval(e, locals)).collect::<Result<Vec<_>>>()?;
                self.each(*kind, &arguments, |v| scalar::call(*function, v))
            }
            Node::DatePart(part, clock, e) => {
                let values = self.eval(e, locals)?;
                self.each(Kind::Int, &[values], |v| scalar::date_part(*part, *clock, &v[0]))
            }
            Node::Cast(from, to, e) => {
                let values = self.eval(e, locals)?;
                let kind = Kind::of_target(*to);
                self.each(kind, &[values], |v| scalar::cast(&v[0], *from, *to))
            }
            Node::Coded(slot, e) => {
                let array = &self.arrays[*slot];
                match array.as_any_dictionary_opt() {
                    Some(dictionary) if dictionary.values().len() < self.rows => {
                        self.coded(*slot, dictionary, e)
                    }
                    _ => self.eval(e, locals),
                }
            }
        }
    }

    /// Once for each value of a dictionary, and once for what is null.
    fn coded(
        &self,
        slot: usize,
        dictionary: &dyn arrow::array::AnyDictionaryArray,
        node: &Node,
    ) -> Result<Vector> {
        let values = dictionary.values();
        let nothing = new_null_array(values.data_type(), 1);
        let mut arrays = self.arrays.clone();
        arrays[slot] = concat(&[values, &nothing])?;
        let inner = Batch { slots: self.slots, arrays, rows: values.len() + 1 };
        match inner.eval(node, &mut Vec::new())? {
            Vector::One(value) => Ok(Vector::One(value)),
            Vector::Array(results) => {
                let last = values.len() as u64;
                let keys = cast(dictionary.keys(), &DataType::UInt64)?;
                let keys = keys.as_primitive::<UInt64Type>();
                let keys: UInt64Array =
                    keys.iter().map(|key| Some(key.map_or(last, |key| key.min(last)))).collect();
                Ok(Vector::Array(take(&results, &keys, None)?))
            }
        }
    }

    /// `AND` or `OR` of a list; `decided` is the value that decides it.
    fn connect(
        &self,
        list: &[Node],
        locals: &mut Vec<Vector>,
        decided: bool,
        both: fn(&BooleanArray, &BooleanArray) -> Result<BooleanArray, arrow::error::ArrowError>,
    ) -> Result<Vector> {
        let mut all: Option<BooleanArray> = None;
        for node in list {
            let truths = match self.eval(node, locals)? {
                Vector::One(Datum::Bool(truth)) if truth == decided => {
                    return Ok(Vector::One(Datum::Bool(decided)));
                }
                Vector::One(Datum::Bool(_)) => continue,
                other => other.truths(self.rows)?,
            };
            let truths = match all {
                Some(all) => both(&all, &truths)?,
                None => truths,
            };
            let counts = truths.null_count() == 0
                && truths.true_count() == if decided { self.rows } else { 0 };
            if counts {
                return Ok(Vector::One(Datum::Bool(decided)));
            }
            all = Some(truths);
        }
        Ok(match all {
            Some(truths) => Vector::Array(Arc::new(truths)),
            None => Vector::One(Datum::Bool(!decided)),
        })
    }

    fn compare(&self, op: Comparison, left: &Vector, right: &Vector) -> Result<BooleanArray> {
        let distinct = matches!(op, Comparison::Distinct | Comparison::NotDistinct);
        if let (Vector::Array(l), Vector::Array(r)) = (left, right)
            && !distinct
        {
            macro_rules! pairs {
                ($type:ty) => {{
                    let (l, r) = (l.as_primitive::<$type>(), r.as_primitive::<$type>());
                    let buffer = compare_pairs(op, l.values(), r.values());
                    return Ok(BooleanArray::new(buffer, NullBuffer::union(l.nulls(), r.nulls())));
                }};
            }
            match (l.data_type(), r.data_type()) {
                (DataType::Int64, DataType::Int64) => pairs!(Int64Type),
                (DataType::UInt64, DataType::UInt64) => pairs!(UInt64Type),
                (DataType::Float64, DataType::Float64) => pairs!(Float64Type),
                (DataType::Decimal128(_, _), DataType::Decimal128(_, _)) => pairs!(Decimal128Type),
                (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, other)
                    if l.data_type() == other =>
                {
                    return kernel(op, l, r);
                }
                _ => {}
            }
        }
        let (left, right) = (left.reader()?, right.reader()?);
        Ok((0..self.rows).map(|row| scalar::compare(op, &left.get(row), &right.get(row))).collect())
    }

    fn reckon(&self, op: Operator, kind: Kind, left: Vector, right: Vector) -> Result<Vector> {
        if let (Vector::One(l), Vector::One(r)) = (&left, &right) {
            return Ok(Vector::One(scalar::reckon(op, l, r)));
        }
        if kind == Kind::Int
            && let (Some(l), Some(r)) = (ints(&left), ints(&right))
        {
            let op = |l, r| scalar::reckon_int(op, l, r);
            return Ok(Vector::Array(zip::<Int64Type>(l, r, self.rows, op)));
        }
        if kind == Kind::Float
            && let (Some(l), Some(r)) = (floats(&left), floats(&right))
        {
            let quick = match op {
                Operator::Add => zip_floats(l, r, |l, r| l + r),
                Operator::Subtract => zip_floats(l, r, |l, r| l - r),
                Operator::Multiply => zip_floats(l, r, |l, r| l * r),
                _ => None,
            };
            let op = |l, r| scalar::reckon_float(op, l, r);
            let values = quick.unwrap_or_else(|| zip::<Float64Type>(l, r, self.rows, op));
            return Ok(Vector::Array(values));
        }
        self.each(kind, &[left, right], |v| scalar::reckon(op, &v[0], &v[1]))
    }

    /// Row by row; once if no argument differs between rows.
    fn each(
        &self,
        kind: Kind,
        arguments: &[Vector],
        of: impl for<'v> Fn(&[Datum<'v>]) -> Datum<'v>,
    ) -> Result<Vector> {
        let mut values = Vec::with_capacity(arguments.len());
        let readers = arguments.iter().map(Vector::reader).collect::<Result<Vec<_>>>()?;
        if readers.iter().all(|reader| matches!(reader, Reader::One(_))) {
            values.extend(readers.iter().map(|reader| reader.get(0)));
            return Ok(Vector::One(into_owned(of(&values))));
        }
        let rows = (0..self.rows).map(|row| {
            values.clear();
            values.extend(readers.iter().map(|reader| reader.get(row)));
            of(&values)
        });
        Ok(Vector::Array(collect(kind, rows)))
    }
}

fn into_owned(value: Datum<'_>) -> Datum<'static> {
    match value {
        Datum::Null => Datum::Null,
        Datum::Bool(v) => Datum::Bool(v),
        Datum::Int(v) => Datum::Int(v),
        Datum::UInt(v) => Datum::UInt(v),
        Datum::Float(v) => Datum::Float(v),
        Datum::Wide(v) => Datum::Wide(v),
        Datum::Text(v) => Datum::Text(Cow::Owned(v.into_owned())),
    }
}

/// A value that is wanted more than once, and those around it.
pub(super) struct Local<'e, 'a> {
    value: Datum<'a>,
    number: usize,
    outer: Option<&'e Local<'e, 'a>>,
}

/// One record; nothing is allocated but new text.
pub(super) struct Record<'r, 'a> {
    pub(super) slots: &'r [Slot],
    pub(super) values: &'r [Value<'a>],
}

impl<'a> Record<'_, 'a> {
    fn truth(&self, node: &'a Node, locals: Option<&Local<'_, 'a>>) -> Option<bool> {
        self.eval(node, locals).truth()
    }

    /// What a step makes of the record.
    pub(super) fn eval(&self, node: &'a Node, locals: Option<&Local<'_, 'a>>) -> Datum<'a> {
        match node {
            Node::Column(slot) => self.slots[*slot].load(self.values),
            Node::Const(value) => value.borrowed(),
            Node::Local(number) => {
                let mut local = locals;
                while let Some(found) = local {
                    if found.number == *number {
                        return found.value.clone();
                    }
                    local = found.outer;
                }
                Datum::Null
            }
            Node::With(value, body) => {
                let value = self.eval(value, locals);
                let number = locals.map_or(0, |local| local.number + 1);
                self.eval(body, Some(&Local { value, number, outer: locals }))
            }
            Node::Not(e) => self.truth(e, locals).map(|truth| !truth).into(),
            Node::And(list) => self.connect(list, locals, false),
            Node::Or(list) => self.connect(list, locals, true),
            Node::IsNull(e) => Datum::Bool(self.eval(e, locals).is_null()),
            Node::Is(e, truth) => Datum::Bool(self.truth(e, locals) == Some(*truth)),
            Node::Test(e, test) => test.of(&self.eval(e, locals)).into(),
            Node::Compare(op, left, right) => {
                scalar::compare(*op, &self.eval(left, locals), &self.eval(right, locals)).into()
            }
            Node::Convert(conversion, e) => scalar::convert(*conversion, &self.eval(e, locals)),
            Node::Reckon(op, _, left, right) => {
                scalar::reckon(*op, &self.eval(left, locals), &self.eval(right, locals))
            }
            Node::Case(_, branches, otherwise) => {
                let hit = branches.iter().find(|(when, _)| self.truth(when, locals) == Some(true));
                self.eval(hit.map_or(&**otherwise, |(_, then)| then), locals)
            }
            Node::Call(function, _, arguments) => self.call(*function, arguments, locals),
            Node::DatePart(part, clock, e) => {
                scalar::date_part(*part, *clock, &self.eval(e, locals))
            }
            Node::Cast(from, to, e) => scalar::cast(&self.eval(e, locals), *from, *to),
            Node::Coded(_, e) => self.eval(e, locals),
        }
    }

    fn connect(
        &self,
        list: &'a [Node],
        locals: Option<&Local<'_, 'a>>,
        decided: bool,
    ) -> Datum<'a> {
        let mut result = Datum::Bool(!decided);
        for node in list {
            match self.truth(node, locals) {
                Some(truth) if truth == decided => return Datum::Bool(decided),
                Some(_) => {}
                None => result = Datum::Null,
            }
        }
        result
    }

    fn call(
        &self,
        function: Function,
        arguments: &'a [Node],
        locals: Option<&Local<'_, 'a>>,
    ) -> Datum<'a> {
        match (function, arguments) {
            // Of any number of arguments: two at a time come to the same.
            (Function::Coalesce | Function::Greatest | Function::Least, all) => all
                .iter()
                .fold(Datum::Null, |best, e| scalar::call(function, &[best, self.eval(e, locals)])),
            (_, [a]) => scalar::call(function, &[self.eval(a, locals)]),
            (_, [a, b]) => scalar::call(function, &[self.eval(a, locals), self.eval(b, locals)]),
            (_, [a, b, c]) => {
                let arguments = [self.eval(a, locals), self.eval(b, locals), self.eval(c, locals)];
                scalar::call(function, &arguments)
            }
            _ => Datum::Null,
        }
    }
}
