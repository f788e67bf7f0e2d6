//! Registers with a row in each lane, on each machine.
//!
//! What the compiler makes of loops over rows hangs on whether it proves that nothing overlaps, and
//! on what it thinks of the machine; here the instructions are chosen, in half the time. Every
//! machine adds, subtracts and multiplies as IEEE 754 has it, lane by lane, and fuses nothing, so
//! that all of them have the same bits.

#![expect(clippy::inline_always, reason = "must be compiled for the caller's target")]

use std::fmt::Debug;
use std::ops::{Add, Mul, Sub};

use super::lanes::Real;

/// A machine that computes with registers of numbers. Its value is the proof that it is there.
pub(super) trait Machine<T: Real>: Copy {
    type Register: Copy
        + Add<Output = Self::Register>
        + Sub<Output = Self::Register>
        + Mul<Output = Self::Register>;
    /// Whether something holds, lane by lane.
    type Mask: Copy;
    /// Two numbers to choose from.
    type Sides<'a>: Copy;
    /// Rows in a register.
    const LANES: usize;

    fn splat(self, x: T) -> Self::Register;

    /// The register at this place, counted in registers.
    fn load(self, from: &[T], at: usize) -> Self::Register;

    fn store(self, register: Self::Register, to: &mut [T], at: usize);

    /// Of a group's rows, a bit each, those of the register at this place.
    fn mask(self, rows: u64, at: usize) -> Self::Mask;

    fn pick(self, mask: Self::Mask, yes: Self::Register, no: Self::Register) -> Self::Register;

    fn sides(self, sides: &[T; 2]) -> Self::Sides<'_>;

    /// The second where the mask is set, else the first.
    fn choose(self, mask: Self::Mask, sides: Self::Sides<'_>) -> Self::Register;

    /// A bit for each of at most 64 bins, set where it is below.
    fn below(self, bins: &[u16], cut: u16) -> u64;
}

/// A bit for each of at most 64 bins, set where it is below.
#[inline(always)]
pub(super) fn below<B: Copy + Ord>(bins: &[B], cut: B) -> u64 {
    let mut rows = 0;
    for (i, &bin) in bins.iter().enumerate() {
        rows |= u64::from(bin < cut) << i;
    }
    rows
}

/// The machines of this program that the computer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cpu {
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2),
    Portable(Portable),
}

impl Cpu {
    /// From the fastest to the one that is always there.
    pub(super) fn all() -> Vec<Self> {
        vec![
            #[cfg(target_arch = "x86_64")]
            x86::Avx512::detect().map(Self::Avx512),
            #[cfg(target_arch = "x86_64")]
            x86::Avx2::detect().map(Self::Avx2),
            Some(Self::Portable(Portable)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            Self::Portable(_) => "portable",
        }
    }
}

impl Default for Cpu {
    fn default() -> Self {
        Self::all().first().copied().unwrap_or(Self::Portable(Portable))
    }
}

/// One row: a choice reads one number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scalar;

#[derive(Clone, Copy, Debug)]
pub(super) struct Number<T>(T);

impl<T: Real> Add for Number<T> {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl<T: Real> Sub for Number<T> {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl<T: Real> Mul for Number<T> {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(self.0 * other.0)
    }
}

impl<T: Real> Machine<T> for Scalar {
    type Register = Number<T>;
    type Mask = usize;
    type Sides<'a> = &'a [T; 2];
    const LANES: usize = 1;

    #[inline(always)]
    fn splat(self, x: T) -> Number<T> {
        Number(x)
    }

    #[inline(always)]
    fn load(self, from: &[T], at: usize) -> Number<T> {
        Number(from[at])
    }

    #[inline(always)]
    fn store(self, register: Number<T>, to: &mut [T], at: usize) {
        to[at] = register.0;
    }

    #[inline(always)]
    fn mask(self, rows: u64, at: usize) -> usize {
        (rows >> at & 1) as usize
    }

    #[inline(always)]
    fn pick(self, mask: usize, yes: Number<T>, no: Number<T>) -> Number<T> {
        [no, yes][mask & 1]
    }

    #[inline(always)]
    fn sides(self, sides: &[T; 2]) -> &[T; 2] {
        sides
    }

    #[inline(always)]
    fn choose(self, mask: usize, sides: &[T; 2]) -> Number<T> {
        Number(sides[mask & 1])
    }

    #[inline(always)]
    fn below(self, bins: &[u16], cut: u16) -> u64 {
        below(bins, cut)
    }
}

/// Any machine: what 128 bits hold, which all have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Portable;

/// Rows that the portable machine takes together.
const PLAIN: usize = 4;

#[derive(Clone, Copy, Debug)]
pub(super) struct Plain<T>([T; PLAIN]);

impl<T: Real> Add for Plain<T> {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }
}

impl<T: Real> Sub for Plain<T> {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] - other.0[i]))
    }
}

impl<T: Real> Mul for Plain<T> {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] * other.0[i]))
    }
}

impl<T: Real> Machine<T> for Portable {
    type Register = Plain<T>;
    type Mask = [u8; PLAIN];
    type Sides<'a> = [T; 2];
    const LANES: usize = PLAIN;

    #[inline(always)]
    fn splat(self, x: T) -> Plain<T> {
        Plain([x; PLAIN])
    }

    #[inline(always)]
    fn load(self, from: &[T], at: usize) -> Plain<T> {
        Plain(from.as_chunks().0[at])
    }

    #[inline(always)]
    fn store(self, register: Plain<T>, to: &mut [T], at: usize) {
        to.as_chunks_mut().0[at] = register.0;
    }

    #[inline(always)]
    fn mask(self, rows: u64, at: usize) -> [u8; PLAIN] {
        let rows = rows >> (at * PLAIN);
        std::array::from_fn(|i| 0u8.wrapping_sub((rows >> i) as u8 & 1))
    }

    #[inline(always)]
    fn pick(self, mask: [u8; PLAIN], yes: Plain<T>, no: Plain<T>) -> Plain<T> {
        Plain(std::array::from_fn(|i| T::pick(mask[i], yes.0[i], no.0[i])))
    }

    #[inline(always)]
    fn sides(self, sides: &[T; 2]) -> [T; 2] {
        *sides
    }

    #[inline(always)]
    fn choose(self, mask: [u8; PLAIN], sides: [T; 2]) -> Plain<T> {
        Plain(std::array::from_fn(|i| T::pick(mask[i], sides[1], sides[0])))
    }

    #[inline(always)]
    fn below(self, bins: &[u16], cut: u16) -> u64 {
        below(bins, cut)
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    #![expect(unsafe_code, reason = "what the compiler makes of loops takes twice as long")]

    use std::arch::x86_64::{
        __m256, __m256d, __m256i, __m512, __m512d, _mm256_add_pd, _mm256_add_ps, _mm256_and_si256,
        _mm256_blendv_pd, _mm256_blendv_ps, _mm256_castsi256_pd, _mm256_castsi256_ps,
        _mm256_cmpeq_epi16, _mm256_cmpeq_epi32, _mm256_cmpeq_epi64, _mm256_loadu_pd,
        _mm256_loadu_ps, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_mul_pd, _mm256_mul_ps,
        _mm256_packs_epi16, _mm256_permute4x64_epi64, _mm256_set1_epi16, _mm256_set1_epi32,
        _mm256_set1_epi64x, _mm256_set1_pd, _mm256_set1_ps, _mm256_setr_epi32, _mm256_setr_epi64x,
        _mm256_setzero_si256, _mm256_storeu_pd, _mm256_storeu_ps, _mm256_sub_pd, _mm256_sub_ps,
        _mm256_subs_epu16, _mm512_add_pd, _mm512_add_ps, _mm512_cmplt_epu16_mask, _mm512_loadu_pd,
        _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_blend_pd, _mm512_mask_blend_ps,
        _mm512_mul_pd, _mm512_mul_ps, _mm512_set1_epi16, _mm512_set1_pd, _mm512_set1_ps,
        _mm512_storeu_pd, _mm512_storeu_ps, _mm512_sub_pd, _mm512_sub_ps,
    };
    use std::ops::{Add, Mul, Sub};

    use super::Machine;

    /// A computer with AVX-512.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in super::super) struct Avx512(());

    /// A computer with AVX2.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in super::super) struct Avx2(());

    impl Avx512 {
        pub(super) fn detect() -> Option<Self> {
            let is_there = std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512dq")
                && std::arch::is_x86_feature_detected!("avx512bw")
                && std::arch::is_x86_feature_detected!("avx512vl")
                && std::arch::is_x86_feature_detected!("bmi1")
                && std::arch::is_x86_feature_detected!("bmi2");
            is_there.then_some(Self(()))
        }
    }

    impl Avx2 {
        pub(super) fn detect() -> Option<Self> {
            let is_there = std::arch::is_x86_feature_detected!("avx2")
                && std::arch::is_x86_feature_detected!("bmi1")
                && std::arch::is_x86_feature_detected!("bmi2");
            is_there.then_some(Self(()))
        }
    }

    /// Runs instructions of a machine.
    macro_rules! on {
        ($($code:tt)*) => {
            // SAFETY: the machine was detected, or neither its value nor its registers would be at
            // hand; loads and stores have arrays of their size, which may lie anywhere.
            unsafe { $($code)* }
        };
    }

    macro_rules! register {
        ($name:ident($inner:ident) = $add:ident, $sub:ident, $mul:ident) => {
            /// Made by a machine that was detected, and by nothing else.
            #[derive(Clone, Copy, Debug)]
            pub(in super::super) struct $name($inner);

            impl Add for $name {
                type Output = Self;

                #[inline(always)]
                fn add(self, other: Self) -> Self {
                    on!(Self($add(self.0, other.0)))
                }
            }

            impl Sub for $name {
                type Output = Self;

                #[inline(always)]
                fn sub(self, other: Self) -> Self {
                    on!(Self($sub(self.0, other.0)))
                }
            }

            impl Mul for $name {
                type Output = Self;

                #[inline(always)]
                fn mul(self, other: Self) -> Self {
                    on!(Self($mul(self.0, other.0)))
                }
            }
        };
    }

    register!(F64x8(__m512d) = _mm512_add_pd, _mm512_sub_pd, _mm512_mul_pd);
    register!(F32x16(__m512) = _mm512_add_ps, _mm512_sub_ps, _mm512_mul_ps);
    register!(F64x4(__m256d) = _mm256_add_pd, _mm256_sub_pd, _mm256_mul_pd);
    register!(F32x8(__m256) = _mm256_add_ps, _mm256_sub_ps, _mm256_mul_ps);

    macro_rules! memory {
        ($real:ty, $register:ident, $lanes:literal, $splat:ident, $load:ident, $store:ident) => {
            type Sides<'a> = [$register; 2];
            const LANES: usize = $lanes;

            #[inline(always)]
            fn sides(self, sides: &[$real; 2]) -> [$register; 2] {
                [on!($register($splat(sides[0]))), on!($register($splat(sides[1])))]
            }

            #[inline(always)]
            fn choose(
                self,
                mask: <Self as Machine<$real>>::Mask,
                sides: [$register; 2],
            ) -> $register {
                Machine::<$real>::pick(self, mask, sides[1], sides[0])
            }

            #[inline(always)]
            fn splat(self, x: $real) -> $register {
                on!($register($splat(x)))
            }

            #[inline(always)]
            fn load(self, from: &[$real], at: usize) -> $register {
                let from: &[$real; $lanes] = &from.as_chunks().0[at];
                on!($register($load(from.as_ptr())))
            }

            #[inline(always)]
            fn store(self, register: $register, to: &mut [$real], at: usize) {
                let to: &mut [$real; $lanes] = &mut to.as_chunks_mut().0[at];
                on!($store(to.as_mut_ptr(), register.0));
            }
        };
    }

    impl Avx512 {
        #[inline(always)]
        #[expect(clippy::unused_self, reason = "the proof that the computer has these")]
        fn below(self, bins: &[u16], cut: u16) -> u64 {
            let mut rows = 0;
            for (at, bins) in bins.as_chunks::<32>().0.iter().enumerate() {
                let bits = on!(_mm512_cmplt_epu16_mask(
                    _mm512_loadu_si512(bins.as_ptr().cast()),
                    _mm512_set1_epi16(cut as i16),
                ));
                rows |= u64::from(bits) << (32 * at);
            }
            rows
        }
    }

    impl Machine<f64> for Avx512 {
        type Register = F64x8;
        type Mask = u8;
        memory!(f64, F64x8, 8, _mm512_set1_pd, _mm512_loadu_pd, _mm512_storeu_pd);

        #[inline(always)]
        fn mask(self, rows: u64, at: usize) -> u8 {
            (rows >> (8 * at)) as u8
        }

        #[inline(always)]
        fn pick(self, mask: u8, yes: F64x8, no: F64x8) -> F64x8 {
            on!(F64x8(_mm512_mask_blend_pd(mask, no.0, yes.0)))
        }

        #[inline(always)]
        fn below(self, bins: &[u16], cut: u16) -> u64 {
            Self::below(self, bins, cut)
        }
    }

    impl Machine<f32> for Avx512 {
        type Register = F32x16;
        type Mask = u16;
        memory!(f32, F32x16, 16, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps);

        #[inline(always)]
        fn mask(self, rows: u64, at: usize) -> u16 {
            (rows >> (16 * at)) as u16
        }

        #[inline(always)]
        fn pick(self, mask: u16, yes: F32x16, no: F32x16) -> F32x16 {
            on!(F32x16(_mm512_mask_blend_ps(mask, no.0, yes.0)))
        }

        #[inline(always)]
        fn below(self, bins: &[u16], cut: u16) -> u64 {
            Self::below(self, bins, cut)
        }
    }

    /// All bits of a lane are set, or none.
    #[derive(Clone, Copy, Debug)]
    pub(in super::super) struct Bits(__m256i);

    impl Avx2 {
        #[inline(always)]
        #[expect(clippy::unused_self, reason = "the proof that the computer has these")]
        fn below(self, bins: &[u16], cut: u16) -> u64 {
            let mut rows = 0;
            for (at, bins) in bins.as_chunks::<32>().0.iter().enumerate() {
                let (first, second) = bins.split_at(16);
                // What is left of the cut without the bin: nothing where the bin is not below.
                let nothing = on!({
                    let (zero, cut) = (_mm256_setzero_si256(), _mm256_set1_epi16(cut as i16));
                    let first = _mm256_loadu_si256(first.as_ptr().cast());
                    let second = _mm256_loadu_si256(second.as_ptr().cast());
                    let first = _mm256_cmpeq_epi16(_mm256_subs_epu16(cut, first), zero);
                    let second = _mm256_cmpeq_epi16(_mm256_subs_epu16(cut, second), zero);
                    let bytes = _mm256_packs_epi16(first, second);
                    _mm256_movemask_epi8(_mm256_permute4x64_epi64::<0b11_01_10_00>(bytes))
                });
                rows |= u64::from(!nothing as u32) << (32 * at);
            }
            rows
        }
    }

    impl Machine<f64> for Avx2 {
        type Register = F64x4;
        type Mask = Bits;
        memory!(f64, F64x4, 4, _mm256_set1_pd, _mm256_loadu_pd, _mm256_storeu_pd);

        #[inline(always)]
        fn mask(self, rows: u64, at: usize) -> Bits {
            on!({
                let own = _mm256_setr_epi64x(1, 2, 4, 8);
                let rows = _mm256_set1_epi64x((rows >> (4 * at)) as i64);
                Bits(_mm256_cmpeq_epi64(_mm256_and_si256(rows, own), own))
            })
        }

        #[inline(always)]
        fn pick(self, mask: Bits, yes: F64x4, no: F64x4) -> F64x4 {
            on!(F64x4(_mm256_blendv_pd(no.0, yes.0, _mm256_castsi256_pd(mask.0))))
        }

        #[inline(always)]
        fn below(self, bins: &[u16], cut: u16) -> u64 {
            Self::below(self, bins, cut)
        }
    }

    impl Machine<f32> for Avx2 {
        type Register = F32x8;
        type Mask = Bits;
        memory!(f32, F32x8, 8, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps);

        #[inline(always)]
        fn mask(self, rows: u64, at: usize) -> Bits {
            on!({
                let own = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
                let rows = _mm256_set1_epi32((rows >> (8 * at)) as i32);
                Bits(_mm256_cmpeq_epi32(_mm256_and_si256(rows, own), own))
            })
        }

        #[inline(always)]
        fn pick(self, mask: Bits, yes: F32x8, no: F32x8) -> F32x8 {
            on!(F32x8(_mm256_blendv_ps(no.0, yes.0, _mm256_castsi256_ps(mask.0))))
        }

        #[inline(always)]
        fn below(self, bins: &[u16], cut: u16) -> u64 {
            Self::below(self, bins, cut)
        }
    }
}
