//! The sum of integers and of decimals, exact however many there are.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, UInt64Type};
use mlops_core::bytes::{add_count, bad, put_i128, put_u64, take_count, take_i128, take_u64};
use mlops_core::{Analyzer, Description, Error, Result, Rows, State};
use serde::Serialize;

use super::extremes::{Order, as_decimal128, plain};
use crate::values::counts;

/// The sum of a column of integers, booleans or decimals of up to 128 bits; nulls are left out.
/// Of decimals it is the sum of the integers of which they are made.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct IntegerSum {
    pub(crate) column: String,
}

/// The state and the result of [`IntegerSum`]: `high · 2⁶⁴ + low`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExactSum {
    pub(crate) n: u64,
    high: i128,
    low: u64,
}

impl ExactSum {
    /// The sum; `None` beyond 128 bits.
    pub(crate) fn value(&self) -> Option<i128> {
        self.high.checked_mul(1 << 64)?.checked_add(self.low.into())
    }

    fn add(&mut self, value: i128) {
        self.add_parts(value >> 64, value as u64);
    }

    fn add_parts(&mut self, high: i128, low: u64) {
        let (sum, carry) = self.low.overflowing_add(low);
        self.low = sum;
        // Of 2⁵⁶ values of 128 bits there is room; states read back may say anything.
        self.high = self.high.wrapping_add(high).wrapping_add(carry.into());
    }

    fn add_all(&mut self, array: &ArrayRef) -> Result<()> {
        add_count(&mut self.n, (array.len() - array.null_count()) as u64);
        // A batch of 64-bit integers can't reach beyond 128 bits.
        macro_rules! sum {
            ($array:expr) => {{
                let array = $array;
                if array.null_count() == 0 {
                    array.values().iter().map(|&v| i128::from(v)).sum::<i128>()
                } else {
                    array.iter().flatten().map(i128::from).sum::<i128>()
                }
            }};
        }
        match array.data_type() {
            DataType::Boolean => self.add(array.as_boolean().true_count() as i128),
            DataType::UInt64 => self.add(sum!(array.as_primitive::<UInt64Type>())),
            DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) => {
                let array = as_decimal128(array)?;
                array.as_primitive::<Decimal128Type>().iter().flatten().for_each(|v| self.add(v));
            }
            _ => {
                let counts = counts(array)?;
                self.add(sum!(counts.as_primitive::<Int64Type>()));
            }
        }
        Ok(())
    }
}

impl Analyzer for IntegerSum {
    type State = ExactSum;
    type Output = ExactSum;

    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn start(&self) -> ExactSum {
        ExactSum::default()
    }

    fn update(&self, state: &mut ExactSum, rows: &Rows<'_>) -> Result<()> {
        let column = rows.column(&self.column)?;
        match Order::of(column.data_type()) {
            Some(Order::Int | Order::Decimal) => state.add_all(&plain(column)?),
            _ => Err(Error::column_type(
                &*self.column,
                "integers, booleans or decimals",
                column.data_type(),
            )),
        }
    }

    fn finish(&self, state: ExactSum) -> Result<ExactSum> {
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<ExactSum> {
        let state =
            ExactSum { n: take_count(bytes)?, high: take_i128(bytes)?, low: take_u64(bytes)? };
        if state.n == 0 && (state.high, state.low) != (0, 0) {
            return Err(bad(bytes, "the sum 0 of nothing", "another"));
        }
        Ok(state)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("validate/integer_sum", 1, self))
    }
}

impl State for ExactSum {
    fn merge(&mut self, other: Self) -> Result<()> {
        add_count(&mut self.n, other.n);
        self.add_parts(other.high, other.low);
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.n);
        put_i128(out, self.high);
        put_u64(out, self.low);
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}
