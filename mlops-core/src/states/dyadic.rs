//! Buckets that halve octaves: from the bits of a number to the bucket that it stands in.
//!
//! Numbers of one sign and exponent are an octave. It is cut into 2^b equal buckets by the first b
//! bits of the mantissa, with a b of its own, so that a bucket is found without a search:
//! `base + (|bits| >> shift)`, where base and shift are looked up by sign and exponent. A larger
//! number never has a lower bucket, but for the names of the buckets, which follow no order.

use multiversion::multiversion;

use super::kernel::BLOCK;

/// Bits of a [`Dyadic::octaves`] entry that hold the shift.
const SHIFT_BITS: u32 = 6;
/// Buckets are numbered modulo this.
const BUCKETS: u32 = 1 << 20;
/// Each octave's first bucket is a multiple of this, so that 16 bits hold it.
const ALIGN: u32 = 16;
/// A shift that leaves nothing of a magnitude: the whole octave is one bucket.
const WHOLE: u32 = 63;
/// The buckets of rows that have no finite value: several, so that many in a row don't wait for
/// each other.
pub(super) const ASIDE: usize = 8;
/// The exponent of NaN and the infinities.
const NOT_FINITE: usize = 0x7ff;
const MAGNITUDE: u64 = !(1 << 63);
/// Octaves that the registers of AVX-512 hold for each sign; the first and the last of them stand
/// for all below and above.
pub(super) const WINDOW: u16 = 32;
const HELD: usize = WINDOW as usize;

/// Which of up to [`BLOCK`] rows have a value, 64 to a word; a bit beyond the rows is ignored.
pub(super) type Valid = [u64; BLOCK / 64];
/// Rows that all have one.
pub(super) const ALL_VALID: Valid = [u64::MAX; BLOCK / 64];

/// The rows of a block that are not finite numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NotFinite {
    pub(super) nans: u32,
    pub(super) positive: u32,
    pub(super) negative: u32,
}

/// A cutting of the numbers into buckets.
#[derive(Clone, Debug)]
pub(super) struct Dyadic {
    /// Added first: near its negative the buckets are the finest. Rounding is monotone.
    offset: f64,
    /// By sign and exponent: the base above [`SHIFT_BITS`] bits of shift.
    octaves: Box<[u32; 4096]>,
    /// The same for the registers, where they can hold it.
    window: Option<Box<Window>>,
    buckets: usize,
}

#[derive(Clone, Debug)]
struct Window {
    /// The exponent below the first that is cut.
    low: u64,
    bases: [u16; 2 * HELD],
    shifts: [u16; 2 * HELD],
}

/// What an octave wants: how many leading bits of the mantissa, by sign and exponent, ascending.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) octave: u16,
    pub(super) bits: u32,
}

impl Dyadic {
    /// Cuts these octaves, in which the numbers of interest lie. Octaves beside them are thrown
    /// together up to the next that is cut.
    ///
    /// With a window, what is outside of it is not cut.
    pub(super) fn new(offset: f64, cuts: &[Cut], window: Option<u16>) -> Self {
        let mut octaves = Box::new([0; 4096]);
        let mut next = ALIGN;
        for sign in [0, 1 << 11] {
            let mut together = None;
            let mut wanted = cuts.iter().filter(|c| c.octave & 1 << 11 == sign).peekable();
            for exponent in 0..NOT_FINITE as u16 {
                let octave = exponent | sign;
                let mut bits = None;
                while let Some(cut) = wanted.next_if(|c| c.octave <= octave) {
                    bits = (cut.octave == octave).then_some(cut.bits.min(52));
                }
                let inside = |low: u16| (low + 1..low + WINDOW - 1).contains(&exponent);
                octaves[usize::from(octave)] = match (bits, window) {
                    (Some(bits), window) if window.is_none_or(inside) => {
                        together = None;
                        let base = next;
                        if bits == 0 {
                            next += ALIGN;
                            base << SHIFT_BITS | WHOLE
                        } else {
                            let bits = bits.max(ALIGN.ilog2());
                            next += 1 << bits;
                            let first = u64::from(exponent) << bits;
                            let base = base.wrapping_sub(first as u32) % BUCKETS;
                            base << SHIFT_BITS | (52 - bits)
                        }
                    }
                    // The ends of a window are one bucket each; without one a run of octaves.
                    _ => {
                        let at_end = window.is_some_and(|low| exponent == low + WINDOW - 1);
                        if at_end {
                            together = None;
                        }
                        *together.get_or_insert_with(|| {
                            let base = next;
                            next += ALIGN;
                            base << SHIFT_BITS | WHOLE
                        })
                    }
                };
            }
            octaves[NOT_FINITE | usize::from(sign)] = WHOLE;
        }
        let window = window.map(|low| {
            let mut window =
                Window { low: u64::from(low), bases: [0; 2 * HELD], shifts: [0; 2 * HELD] };
            for (sign, place) in [(0, 0), (1 << 11, HELD)] {
                for exponent in usize::from(low)..usize::from(low) + HELD {
                    let entry = octaves[sign | exponent];
                    let at = place + exponent % HELD;
                    window.bases[at] = ((entry >> SHIFT_BITS) / ALIGN) as u16;
                    window.shifts[at] = (entry % (1 << SHIFT_BITS)) as u16;
                }
            }
            Box::new(window)
        });
        Self { offset, octaves, window, buckets: next as usize }
    }

    /// One more than the largest bucket.
    pub(super) fn buckets(&self) -> usize {
        self.buckets
    }

    /// The bucket of a finite number, and whether it is not the bucket's smallest in magnitude
    /// (counted from the offset).
    pub(super) fn bucket(&self, x: f64) -> (usize, bool) {
        let at = self.code(x) as usize;
        at.checked_sub(self.buckets).map_or((at, true), |bucket| (bucket, false))
    }

    /// All buckets of finite numbers in ascending order of these, and whether they are negative.
    pub(super) fn ascending(&self) -> impl Iterator<Item = (usize, bool)> {
        let positive = (0..NOT_FINITE).flat_map(|octave| self.of_octave(octave));
        let negative =
            (0..NOT_FINITE).rev().flat_map(|octave| self.of_octave(octave | 1 << 11).rev());
        let mut last = None;
        let all = negative.map(|b| (b, true)).chain(positive.map(|b| (b, false)));
        // Octaves that are thrown together show their one bucket again and again.
        all.filter(move |&bucket| last.replace(bucket) != Some(bucket))
    }

    fn of_octave(&self, octave: usize) -> impl DoubleEndedIterator<Item = usize> {
        let entry = self.octaves[octave];
        let (base, shift) = (entry >> SHIFT_BITS, entry % (1 << SHIFT_BITS));
        let bits = 52u32.saturating_sub(shift);
        // Of a whole octave nothing is left of the exponent, either.
        let first = if shift == WHOLE { 0 } else { ((octave % 2048) << bits) as u32 };
        (0..1 << bits).map(move |i| (base.wrapping_add(first + i) % BUCKETS) as usize)
    }

    /// The bucket; behind all of them once more, where the number is the bucket's smallest in
    /// magnitude. So what is looked up for data without such numbers lies together.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "must be compiled for the caller's target")]
    fn code(&self, x: f64) -> u32 {
        let bits = (x + self.offset).to_bits();
        let entry = self.octaves[(bits >> 52) as usize];
        let (base, shift) = (entry >> SHIFT_BITS, entry % (1 << SHIFT_BITS));
        let magnitude = bits & MAGNITUDE;
        let cut = magnitude >> shift;
        let bucket = base.wrapping_add(cut as u32) % BUCKETS;
        bucket + if cut << shift == magnitude { self.buckets as u32 } else { 0 }
    }

    /// The bucket of each value, or with `EXACT` its code (where the value is the bucket's smallest
    /// in magnitude, as many more as there are buckets). Rows that are not valid or not finite have
    /// a bucket below [`ASIDE`]; what those of `out` beyond the values are is not said.
    pub(super) fn locate<const EXACT: bool>(
        &self,
        values: &[f64],
        valid: &Valid,
        out: &mut [u32; BLOCK],
    ) -> NotFinite {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512dq")
            && std::arch::is_x86_feature_detected!("avx512bw")
            && std::arch::is_x86_feature_detected!("avx512vl")
        {
            #[expect(unsafe_code, reason = "half the time of what the compiler makes of it")]
            // SAFETY: the machine has the features that the functions are compiled for.
            return unsafe {
                match &self.window {
                    Some(window) => wide::locate::<EXACT>(self, window, values, valid, out),
                    None => wide::locate_far::<EXACT>(self, values, valid, out),
                }
            };
        }
        self.locate_plainly::<EXACT>(values, valid, out)
    }

    fn locate_plainly<const EXACT: bool>(
        &self,
        values: &[f64],
        valid: &Valid,
        out: &mut [u32; BLOCK],
    ) -> NotFinite {
        let all_finite = codes::<EXACT>(self, values, out);
        let mut found = NotFinite::default();
        if *valid != ALL_VALID {
            for (out, word) in out.chunks_exact_mut(64).zip(valid) {
                for (i, out) in out.iter_mut().enumerate() {
                    let keep = 0u32.wrapping_sub((word >> i & 1) as u32);
                    *out = *out & keep | (i % ASIDE) as u32 & !keep;
                }
            }
        }
        if !all_finite {
            for (i, x) in values.iter().enumerate() {
                if valid[i / 64] >> (i % 64) & 1 == 1 {
                    found.nans += u32::from(x.is_nan());
                    found.positive += u32::from(*x == f64::INFINITY);
                    found.negative += u32::from(*x == f64::NEG_INFINITY);
                }
            }
        }
        found
    }
}

/// Fills in buckets or codes, whatever is valid; whether all are finite.
#[multiversion(targets(
    "x86_64+avx512f+avx512dq+avx512vl+avx512bw+bmi2",
    "x86_64+avx2+bmi2",
    "aarch64+neon"
))]
fn codes<const EXACT: bool>(dyadic: &Dyadic, values: &[f64], out: &mut [u32; BLOCK]) -> bool {
    let mut odd = 0;
    for (&x, out) in values.iter().zip(out) {
        let code = dyadic.code(x);
        let is_first = code >= dyadic.buckets as u32;
        *out = if !EXACT && is_first { code - dyadic.buckets as u32 } else { code };
        odd |= u32::from(!x.is_finite());
    }
    odd == 0
}

/// The same with the registers of AVX-512 as the table of octaves.
#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::{
        __m512i, _MM_CMPINT_EQ, _MM_HINT_T0, _mm_prefetch, _mm256_i32gather_epi32,
        _mm256_storeu_si256, _mm512_add_epi64, _mm512_add_pd, _mm512_and_si512,
        _mm512_castpd_si512, _mm512_cmp_epi64_mask, _mm512_cmpeq_epi64_mask,
        _mm512_cmpneq_epi64_mask, _mm512_cvtepi64_epi32, _mm512_cvtepu32_epi64, _mm512_loadu_pd,
        _mm512_loadu_si512, _mm512_mask_add_epi64, _mm512_mask_mov_epi64,
        _mm512_maskz_permutex2var_epi16, _mm512_max_epu64, _mm512_min_epu64, _mm512_movepi64_mask,
        _mm512_set_epi64, _mm512_set1_epi64, _mm512_set1_pd, _mm512_slli_epi64, _mm512_sllv_epi64,
        _mm512_srli_epi64, _mm512_srlv_epi64, _mm512_ternarylogic_epi64,
    };

    use super::{
        ALIGN, BLOCK, BUCKETS, Dyadic, HELD, MAGNITUDE, NOT_FINITE, NotFinite, SHIFT_BITS, Valid,
        Window,
    };

    /// So many values ahead are fetched from memory: those that come when these are counted.
    const AHEAD: usize = 2 * BLOCK;
    /// Low words of the 8 lanes.
    const LOW_WORDS: u32 = 0x1111_1111;

    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl")]
    pub(super) fn locate<const EXACT: bool>(
        dyadic: &Dyadic,
        window: &Window,
        values: &[f64],
        valid: &Valid,
        out: &mut [u32; BLOCK],
    ) -> NotFinite {
        let halves = |table: &[u16; 2 * HELD]| {
            let (low, high) = table.split_at(HELD);
            (load(low), load(high))
        };
        let (bases, shifts) = (halves(&window.bases), halves(&window.shifts));
        let low = set(window.low);
        let high = set(window.low + HELD as u64 - 1);
        let octave = |bits: __m512i, exponent: __m512i| {
            let within = _mm512_min_epu64(_mm512_max_epu64(exponent, low), high);
            // The sign above the last bits of the exponent: a ? b : c, bit by bit.
            let last = set(HELD as u64 - 1);
            let sign = _mm512_srli_epi64::<58>(bits);
            let at = _mm512_ternarylogic_epi64::<0xca>(last, within, sign);
            let base = _mm512_maskz_permutex2var_epi16(LOW_WORDS, bases.0, at, bases.1);
            let shift = _mm512_maskz_permutex2var_epi16(LOW_WORDS, shifts.0, at, shifts.1);
            (_mm512_slli_epi64::<{ ALIGN.ilog2() }>(base), shift)
        };
        each::<EXACT>(dyadic, values, valid, out, octave)
    }

    /// Where the octaves are too many for the registers: gathered.
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl")]
    pub(super) fn locate_far<const EXACT: bool>(
        dyadic: &Dyadic,
        values: &[f64],
        valid: &Valid,
        out: &mut [u32; BLOCK],
    ) -> NotFinite {
        let octave = |bits: __m512i, _: __m512i| {
            let at = _mm512_cvtepi64_epi32(_mm512_srli_epi64::<52>(bits));
            #[expect(unsafe_code, reason = "a gather reads through a pointer")]
            // SAFETY: 64 bits shifted by 52 are below 4096, the length of the table.
            let entry = unsafe { _mm256_i32gather_epi32::<4>(dyadic.octaves.as_ptr().cast(), at) };
            let entry = _mm512_cvtepu32_epi64(entry);
            let shift = _mm512_and_si512(entry, set((1 << SHIFT_BITS) - 1));
            (_mm512_srli_epi64::<SHIFT_BITS>(entry), shift)
        };
        each::<EXACT>(dyadic, values, valid, out, octave)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl")]
    fn each<const EXACT: bool>(
        dyadic: &Dyadic,
        values: &[f64],
        valid: &Valid,
        out: &mut [u32; BLOCK],
        octave: impl Fn(__m512i, __m512i) -> (__m512i, __m512i),
    ) -> NotFinite {
        let offset = _mm512_set1_pd(dyadic.offset);
        let behind = set(dyadic.buckets as u64);
        let aside = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
        let mut found = NotFinite::default();
        let mut eight = |x: &[f64; 8], valid: u8, out: &mut [u32; 8]| {
            #[expect(unsafe_code, reason = "a load reads through a pointer")]
            // SAFETY: there are 8 values, and they may lie anywhere; to fetch what is behind them
            // reads nothing, whatever is there.
            let x = unsafe {
                _mm_prefetch::<_MM_HINT_T0>(x.as_ptr().wrapping_add(AHEAD).cast());
                _mm512_loadu_pd(x.as_ptr())
            };
            let bits = _mm512_castpd_si512(_mm512_add_pd(x, offset));
            let magnitude = _mm512_and_si512(bits, set(MAGNITUDE));
            let exponent = _mm512_srli_epi64::<52>(magnitude);
            let (base, shift) = octave(bits, exponent);
            let cut = _mm512_srlv_epi64(magnitude, shift);
            let bucket = _mm512_add_epi64(base, cut);
            let mut at = _mm512_and_si512(bucket, set(u64::from(BUCKETS - 1)));
            if EXACT {
                let first = _mm512_cmpeq_epi64_mask(_mm512_sllv_epi64(cut, shift), magnitude);
                at = _mm512_mask_add_epi64(at, first, at, behind);
            }
            let odd = _mm512_cmp_epi64_mask::<_MM_CMPINT_EQ>(exponent, set(NOT_FINITE as u64));
            at = _mm512_mask_mov_epi64(aside, valid & !odd, at);
            #[expect(unsafe_code, reason = "a store writes through a pointer")]
            // SAFETY: there are 8 places of 32 bits, and they may lie anywhere.
            unsafe {
                _mm256_storeu_si256(out.as_mut_ptr().cast(), _mm512_cvtepi64_epi32(at));
            }
            if odd & valid != 0 {
                // An infinity is all that is left of its bits without the sign and the exponent.
                let infinity = set((NOT_FINITE as u64) << 52);
                let nan = _mm512_cmpneq_epi64_mask(magnitude, infinity) & odd & valid;
                let infinite = odd & valid & !nan;
                let negative = infinite & _mm512_movepi64_mask(bits);
                found.nans += nan.count_ones();
                found.negative += negative.count_ones();
                found.positive += (infinite & !negative).count_ones();
            }
        };
        let (whole, rest) = values.as_chunks::<8>();
        let (places, _) = out.as_chunks_mut::<8>();
        let mut bytes = [0; BLOCK / 8];
        for (bytes, word) in bytes.chunks_exact_mut(8).zip(valid) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        for ((x, &valid), out) in whole.iter().zip(&bytes).zip(&mut *places) {
            eight(x, valid, out);
        }
        if let (false, Some(out)) = (rest.is_empty(), places.get_mut(whole.len())) {
            let mut last = [0.0; 8];
            last[..rest.len()].copy_from_slice(rest);
            eight(&last, bytes[whole.len()] & ((1 << rest.len()) - 1), out);
        }
        found
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl")]
    fn set(x: u64) -> __m512i {
        _mm512_set1_epi64(x as i64)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl")]
    fn load(words: &[u16]) -> __m512i {
        let words: &[u16; HELD] = words.first_chunk().unwrap_or(&[0; HELD]);
        #[expect(unsafe_code, reason = "a load reads through a pointer")]
        // SAFETY: there are 32 words of 16 bits, and they may lie anywhere.
        unsafe {
            _mm512_loadu_si512(words.as_ptr().cast())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A cutting of some octaves of both signs.
    fn cuttings() -> impl Strategy<Value = Dyadic> {
        let cuts = prop::collection::vec((0u16..2047, 0u32..7, any::<bool>()), 0..40);
        let near = prop::collection::vec((1000u16..1040, 0u32..7, any::<bool>()), 0..40);
        let offset = prop_oneof![Just(0.0), any::<i32>().prop_map(f64::from)];
        (prop_oneof![cuts, near], offset, prop::option::of(990u16..1030)).prop_map(
            |(cuts, offset, window)| {
                let octave = |e: u16, negative| e | u16::from(negative) << 11;
                let mut cuts: Vec<_> = cuts
                    .into_iter()
                    .map(|(exponent, bits, negative)| Cut {
                        octave: octave(exponent, negative),
                        bits,
                    })
                    .collect();
                cuts.sort_by_key(|cut| cut.octave);
                cuts.dedup_by_key(|cut| cut.octave);
                Dyadic::new(offset, &cuts, window)
            },
        )
    }

    fn values() -> impl Strategy<Value = Vec<f64>> {
        let one = prop_oneof![
            any::<f64>(),
            -10.0..10.0f64,
            (-50i32..50).prop_map(|i| f64::from(i) * 0.125),
            Just(f64::INFINITY),
            Just(f64::NEG_INFINITY),
            Just(f64::NAN),
            Just(-0.0),
        ];
        prop::collection::vec(one, 0..=BLOCK)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        /// What this machine dispatches to, against the plain loop.
        #[test]
        fn every_path_finds_the_same(
            dyadic in cuttings(),
            values in values(),
            words in prop::collection::vec(any::<u64>(), BLOCK / 64),
            all in any::<bool>(),
        ) {
            let valid = if all { ALL_VALID } else { words.try_into().unwrap() };
            let (mut here, mut plain) = ([0; BLOCK], [0; BLOCK]);
            for exact in [false, true] {
                let found = if exact {
                    (
                        dyadic.locate::<true>(&values, &valid, &mut here),
                        dyadic.locate_plainly::<true>(&values, &valid, &mut plain),
                    )
                } else {
                    (
                        dyadic.locate::<false>(&values, &valid, &mut here),
                        dyadic.locate_plainly::<false>(&values, &valid, &mut plain),
                    )
                };
                prop_assert_eq!(found.0, found.1);
                for (i, x) in values.iter().enumerate() {
                    if x.is_finite() && valid[i / 64] >> (i % 64) & 1 == 1 {
                        prop_assert_eq!(here[i], plain[i], "{} at {}", x, i);
                        let (bucket, rest) = dyadic.bucket(*x);
                        let behind = if exact && !rest { dyadic.buckets() } else { 0 };
                        prop_assert_eq!(here[i] as usize, bucket + behind);
                        prop_assert!(bucket >= ASIDE && bucket < dyadic.buckets());
                    } else {
                        prop_assert!(here[i] < ASIDE as u32 && plain[i] < ASIDE as u32);
                    }
                }
            }
        }

        /// A larger number never has an earlier bucket.
        #[test]
        fn buckets_ascend(dyadic in cuttings(), mut values in values()) {
            let mut rank = vec![usize::MAX; dyadic.buckets()];
            for (i, (bucket, _)) in dyadic.ascending().enumerate() {
                prop_assert_eq!(std::mem::replace(&mut rank[bucket], i), usize::MAX, "each once");
            }
            values.retain(|x| x.is_finite());
            values.sort_by(f64::total_cmp);
            let ranks: Vec<_> = values.iter().map(|x| rank[dyadic.bucket(*x).0]).collect();
            prop_assert!(ranks.is_sorted(), "{values:?}: {ranks:?}");
            prop_assert!(ranks.iter().all(|&rank| rank < usize::MAX));
        }
    }
}
