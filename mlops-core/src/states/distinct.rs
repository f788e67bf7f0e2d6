//! How many different values there are.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, UInt64Type};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::values;
use crate::bytes::{add_count, bad, put_len, put_u8, put_u64, take, take_len, take_u8, take_u64};
use crate::{Analyzer, Description, Error, Result, Rows, State, is_numeric};

/// The bits of a hash that choose a register.
const PRECISION: u32 = 14;
const REGISTERS: usize = 1 << PRECISION;
/// A register holds the place of the first one-bit of the other 50, 51 if there is none.
const MOST: u8 = (64 - PRECISION + 1) as u8;

/// The number of distinct values of a column of numbers, text, booleans, dates or timestamps.
///
/// Up to `cap` distinct values the count is exact but for collisions of 64-bit hashes (with the
/// default cap, less than once in 10¹¹ columns). Beyond it HyperLogLog registers estimate it, with
/// a standard error of 1.04/√2¹⁴ = 0.81 %. Which it is depends on the set of values alone.
///
/// A number is its value, whatever its type: −0 is 0, NaN is one value, ±∞ are values. Nulls are
/// counted apart.
///
/// Flajolet et al., *HyperLogLog* (Analysis of Algorithms, 2007); the estimator is Ertl's (arXiv:1702.01284,
/// algorithm 6), which needs no table of corrections.
///
/// ```
/// use arrow::array::Float64Array;
/// use mlops_core::{DataSourceExt, MemorySource, batch, states::Distinct};
/// let x = Float64Array::from(vec![Some(1.0), Some(0.0), Some(-0.0), None, Some(f64::NAN)]);
/// let distinct = MemorySource::from(batch! { "x" => x }?).measure(&Distinct::new("x"))?;
/// assert_eq!((distinct.count, distinct.is_exact(), distinct.nulls), (3, true, 1));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distinct {
    column: String,
    cap: usize,
}

impl Distinct {
    /// The stable kind of its [`Description`].
    pub const KIND: &'static str = "distinct";
    /// The version of its state's bytes.
    pub const VERSION: u16 = 1;
    /// The distinct values that are counted exactly unless told otherwise.
    pub const CAP: usize = 10_000;

    /// The count of this column, with [`CAP`](Self::CAP).
    pub fn new(column: impl Into<String>) -> Self {
        Self { column: column.into(), cap: Self::CAP }
    }

    /// The same, exact up to this many distinct values; 0 for registers always.
    #[must_use]
    pub fn with_cap(self, cap: usize) -> Self {
        Self { cap, ..self }
    }
}

/// Hashes are uniform already.
#[derive(Clone, Copy, Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type Hashes = HashSet<u64, BuildHasherDefault<AsIs>>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Exact(Hashes),
    Registers(Box<[u8]>),
}

/// What [`Distinct`] has seen so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistinctState {
    cap: usize,
    rows: u64,
    nulls: u64,
    seen: Seen,
}

impl DistinctState {
    fn add(&mut self, hash: u64) {
        match &mut self.seen {
            Seen::Exact(hashes) => {
                hashes.insert(hash);
                if hashes.len() > self.cap {
                    self.estimate();
                }
            }
            Seen::Registers(registers) => register(registers, hash),
        }
    }

    /// From hashes to registers.
    fn estimate(&mut self) {
        if let Seen::Exact(hashes) = &self.seen {
            let mut registers = vec![0; REGISTERS].into_boxed_slice();
            for &hash in hashes {
                register(&mut registers, hash);
            }
            self.seen = Seen::Registers(registers);
        }
    }
}

fn register(registers: &mut [u8], hash: u64) {
    let index = (hash >> (64 - PRECISION)) as usize;
    let rank = ((hash << PRECISION).leading_zeros() as u8 + 1).min(MOST);
    registers[index] = registers[index].max(rank);
}

/// The hash of a number: of its bits as `f64` where it is one, else of the integer.
fn of_float(x: f64) -> u64 {
    // −0 is 0, and there is one NaN.
    let bits = if x.is_nan() { f64::NAN.to_bits() } else { (x + 0.0).to_bits() };
    xxh3_64(&bits.to_le_bytes())
}

fn of_integer(x: i128) -> u64 {
    let float = x as f64;
    if float as i128 == x { of_float(float) } else { xxh3_64(&x.to_le_bytes()) }
}

/// The hash of m · 10^−scale: as a float where that is what its text reads as, exactly one for
/// each such decimal, else of the digits.
fn of_decimal(m: i128, scale: i32) -> u64 {
    const EXACT: i128 = 1_000_000_000_000_000;
    let (mut m, mut scale) = (m, scale);
    while scale > 0 && m % 10 == 0 && m != 0 {
        m /= 10;
        scale -= 1;
    }
    if scale <= 0 || m == 0 {
        let up = 10i128.checked_pow(scale.min(0).unsigned_abs());
        if let Some(whole) = up.and_then(|up| m.checked_mul(up)) {
            return of_integer(whole);
        }
    } else if m.abs() < EXACT && scale <= 22 {
        // Both are floats exactly, so the quotient is rounded once.
        return of_float(m as f64 / 10f64.powi(scale));
    }
    let mut bytes = m.to_le_bytes().to_vec();
    bytes.extend_from_slice(&scale.to_le_bytes());
    xxh3_64(&bytes)
}

/// Ertl's estimate from registers; folds in a fixed order.
fn estimate(registers: &[u8]) -> f64 {
    let mut counts = [0u64; MOST as usize + 1];
    for &r in registers {
        counts[usize::from(r.min(MOST))] += 1;
    }
    let m = REGISTERS as f64;
    let mut z = m * tau(1.0 - counts[usize::from(MOST)] as f64 / m);
    for &count in counts[1..usize::from(MOST)].iter().rev() {
        z = 0.5 * (z + count as f64);
    }
    z += m * sigma(counts[0] as f64 / m);
    m * m / (2.0 * std::f64::consts::LN_2 * z)
}

/// x + Σ x^(2^k)·2^(k−1), for the registers that nothing has reached. At most 64 terms: the power
/// has vanished by then for every x = c/2¹⁴ < 1.
fn sigma(x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut x, mut y, mut z) = (x, 1.0, x);
    for _ in 0..64 {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            break;
        }
    }
    z
}

/// (1 − x − Σ (1 − x^(2^−k))²·2^−k) / 3, for the registers that are full.
fn tau(x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut x, mut y, mut z) = (x, 1.0, 1.0 - x);
    for _ in 0..64 {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            break;
        }
    }
    z / 3.0
}

impl State for DistinctState {
    fn merge(&mut self, other: Self) -> Result<()> {
        if self.cap != other.cap {
            let reason = format!("caps of {} and {}", self.cap, other.cap);
            return Err(Error::merge("distinct counts", reason));
        }
        add_count(&mut self.rows, other.rows);
        add_count(&mut self.nulls, other.nulls);
        match other.seen {
            Seen::Exact(hashes) => {
                for hash in hashes {
                    self.add(hash);
                }
            }
            Seen::Registers(theirs) => {
                self.estimate();
                if let Seen::Registers(mine) = &mut self.seen {
                    for (mine, theirs) in mine.iter_mut().zip(theirs) {
                        *mine = theirs.max(*mine);
                    }
                }
            }
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.rows);
        put_u64(out, self.nulls);
        match &self.seen {
            Seen::Exact(hashes) => {
                put_u8(out, 0);
                put_len(out, hashes.len());
                let mut sorted: Vec<_> = hashes.iter().copied().collect();
                sorted.sort_unstable();
                for hash in sorted {
                    put_u64(out, hash);
                }
            }
            Seen::Registers(registers) => {
                put_u8(out, 1);
                out.extend_from_slice(registers);
            }
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>()
            + match &self.seen {
                Seen::Exact(hashes) => hashes.capacity() * 9,
                Seen::Registers(registers) => registers.len(),
            }
    }
}

/// A number of distinct values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DistinctCount {
    /// The distinct values, counted or estimated.
    pub count: u64,
    /// The standard error of the estimate as a share of it; `None` where the count is exact.
    pub standard_error: Option<f64>,
    /// All rows.
    pub rows: u64,
    /// Rows without a value.
    pub nulls: u64,
}

impl DistinctCount {
    /// Whether the count is exact.
    pub fn is_exact(&self) -> bool {
        self.standard_error.is_none()
    }
}

impl fmt::Display for DistinctCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = if self.is_exact() { "" } else { "about " };
        write!(f, "{about}{} distinct in {} rows, {} null", self.count, self.rows, self.nulls)
    }
}

impl Analyzer for Distinct {
    type State = DistinctState;
    type Output = DistinctCount;

    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn start(&self) -> DistinctState {
        let seen = Seen::Exact(Hashes::default());
        let mut state = DistinctState { cap: self.cap, rows: 0, nulls: 0, seen };
        if self.cap == 0 {
            state.estimate();
        }
        state
    }

    fn update(&self, state: &mut DistinctState, rows: &Rows<'_>) -> Result<()> {
        let column = rows.column(&self.column)?;
        let column = match column.data_type() {
            // Text is hashed once a label; numbers are their values.
            DataType::Dictionary(_, value) if is_numeric(value) => &cast(column, value)?,
            _ => column,
        };
        state.rows += rows.len() as u64;
        match column.data_type() {
            // Beyond 2⁵³ a `f64` would take two integers for one.
            DataType::Int64
            | DataType::Timestamp(..)
            | DataType::Date64
            | DataType::Time64(_)
            | DataType::Duration(_) => {
                let array = cast(column, &DataType::Int64)?;
                let array = array.as_primitive::<Int64Type>();
                state.nulls += array.null_count() as u64;
                for x in array.iter().flatten() {
                    state.add(of_integer(i128::from(x)));
                }
            }
            DataType::UInt64 => {
                let array = column.as_primitive::<UInt64Type>();
                state.nulls += array.null_count() as u64;
                for x in array.iter().flatten() {
                    state.add(of_integer(i128::from(x)));
                }
            }
            DataType::Decimal32(_, scale)
            | DataType::Decimal64(_, scale)
            | DataType::Decimal128(_, scale) => {
                let array = cast(column, &DataType::Decimal128(38, *scale))?;
                let array = array.as_primitive::<Decimal128Type>();
                state.nulls += array.null_count() as u64;
                for x in array.iter().flatten() {
                    state.add(of_decimal(x, i32::from(*scale)));
                }
            }
            numeric if is_numeric(numeric) => {
                let array = rows.numbers(&self.column)?;
                state.nulls += array.null_count() as u64;
                values::for_each_block(array, |block| {
                    for &x in block {
                        state.add(of_float(x));
                    }
                });
            }
            _ => {
                let categories = rows.categories(&self.column)?;
                let (codes, labels) = (categories.codes(), categories.labels());
                state.nulls += codes.null_count() as u64;
                // A label may have no rows.
                let mut used = vec![false; labels.len()];
                for code in codes.iter().flatten() {
                    used[code as usize] = true;
                }
                for (label, _) in labels.iter().zip(used).filter(|(_, used)| *used) {
                    state.add(xxh3_64(label.unwrap_or_default().as_bytes()));
                }
            }
        }
        Ok(())
    }

    fn finish(&self, state: DistinctState) -> Result<DistinctCount> {
        let (count, standard_error) = match &state.seen {
            Seen::Exact(hashes) => (hashes.len() as u64, None),
            Seen::Registers(registers) => {
                (estimate(registers).round() as u64, Some(1.04 / (REGISTERS as f64).sqrt()))
            }
        };
        Ok(DistinctCount { count, standard_error, rows: state.rows, nulls: state.nulls })
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<DistinctState> {
        let (rows, nulls) = (values::take_count(bytes)?, values::take_count(bytes)?);
        if nulls > rows {
            return Err(bad(bytes, format!("at most {rows} nulls"), nulls));
        }
        let seen = match take_u8(bytes)? {
            0 if self.cap > 0 => {
                let n = take_len(bytes, 8)?;
                if n > self.cap || n as u64 > rows - nulls {
                    return Err(bad(bytes, "as many hashes as rows and the cap allow", n));
                }
                let mut hashes = Hashes::with_capacity_and_hasher(n, BuildHasherDefault::default());
                let mut last = None;
                for _ in 0..n {
                    let hash = take_u64(bytes)?;
                    if last.is_some_and(|last| last >= hash) {
                        return Err(bad(bytes, "hashes in order", hash));
                    }
                    last = Some(hash);
                    hashes.insert(hash);
                }
                Seen::Exact(hashes)
            }
            1 => {
                let registers = take(bytes, REGISTERS)?;
                if let Some(r) = registers.iter().find(|r| **r > MOST) {
                    return Err(bad(bytes, format!("registers up to {MOST}"), r));
                }
                Seen::Registers(registers.into())
            }
            other => return Err(bad(bytes, "1, or 0 under a cap", other)),
        };
        Ok(DistinctState { cap: self.cap, rows, nulls, seen })
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new(Self::KIND, Self::VERSION, self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch;
    use std::sync::Arc;

    use arrow::array::{
        Decimal128Array, DictionaryArray, DurationNanosecondArray, Float64Array, Int8Array,
        Int64Array, StringArray, Time64NanosecondArray,
    };

    fn of(batch: Result<arrow::array::RecordBatch>, cap: usize) -> DistinctCount {
        let analyzer = Distinct::new("x").with_cap(cap);
        let mut state = analyzer.start();
        analyzer.update(&mut state, &Rows::new(&batch.unwrap())).unwrap();
        analyzer.finish(state).unwrap()
    }

    #[test]
    fn the_estimate_is_within_four_standard_errors() {
        for n in [1, 100, 3_000, 20_000, 50_000, 300_000] {
            let x = Int64Array::from_iter_values((0..n).map(|i| i * 7 + 3));
            let estimate = of(batch! { "x" => x }, 0);
            let error = estimate.count as f64 / n as f64 - 1.0;
            assert!(error.abs() < 4.0 * estimate.standard_error.unwrap(), "{n}: {error}");
        }
    }

    #[test]
    fn a_number_is_its_value() {
        let n = (1 << 53) - 1;
        let whole = Int64Array::from(vec![n, n + 1, n + 2, n + 3]);
        assert_eq!(of(batch! { "x" => whole }, 10).count, 4);
        assert_eq!(of_integer(3), of_float(3.0));
        assert_eq!(
            [of_decimal(300, 2), of_decimal(3, 0), of_decimal(0, 5)],
            [3.0, 3.0, 0.0].map(of_float)
        );
        assert_eq!([of_decimal(-125, 3), of_decimal(2, -2)], [-0.125, 200.0].map(of_float));
        // What a `f64` would take for one.
        let ids = Decimal128Array::from(vec![
            i128::MAX / 10,
            i128::MAX / 10 - 1,
            i128::from(n) + 2,
            i128::from(n) + 3,
        ]);
        assert_eq!(of(batch! { "x" => ids.with_precision_and_scale(38, 2).unwrap() }, 10).count, 4);
        let coded = DictionaryArray::new(
            Int8Array::from(vec![0, 1, 0]),
            Arc::new(Int64Array::from(vec![n + 2, n + 3])),
        );
        assert_eq!(of(batch! { "x" => coded }, 10).count, 2);
        let spans = DurationNanosecondArray::from(vec![n + 2, n + 3]);
        assert_eq!(of(batch! { "x" => spans }, 10).count, 2);
        let times = Time64NanosecondArray::from(vec![1, 2, 2]);
        assert_eq!(of(batch! { "x" => times }, 10).count, 2);
        let floats = Float64Array::from(vec![f64::NAN, -f64::NAN, 0.0, -0.0, f64::INFINITY]);
        assert_eq!(of(batch! { "x" => floats }, 10).count, 3);
        let text = StringArray::from(vec![Some("a"), None, Some("b"), Some("a")]);
        assert_eq!(of(batch! { "x" => text }, 10).count, 2);
    }

    #[test]
    fn nothing_and_everything() {
        assert_eq!(of(batch! { "x" => Float64Array::from(vec![None::<f64>]) }, 0).count, 0);
        assert!(estimate(&vec![MOST; REGISTERS]) > 1e18);
    }
}
