//! The steps of a tree over groups of rows, compiled for each machine and chosen at run time.
//!
//! Lanes never meet: what is computed for a row does not depend on the rows beside it, nor on how
//! many there are. Sums over quadrature nodes are written out in one order, and no multiplication
//! is fused with an addition, so that `f64` has the same bits on every machine.

#![expect(clippy::inline_always, reason = "must be compiled for the caller's target")]

use super::lanes::{Lanes, Mask, Real, Slot};
#[cfg(target_arch = "x86_64")]
use super::machine::x86::{Avx2, Avx512};
use super::machine::{Cpu, Machine, Scalar, below};
use super::program::{Earlier, Kind, Program, Step, Steps, Test};
use super::steps::{On, down, four, pair, repeated_down, repeated_pair, repeated_up, three, up};

/// The bins of rows: those of slot `s` begin at `s · stride`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bins<'a> {
    pub(super) stride: usize,
    pub(super) of: Width<'a>,
}

/// Bins of the width that is needed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Width<'a> {
    U16(&'a [u16]),
    U32(&'a [u32]),
}

/// Where a thread keeps C, S and what rows do.
#[derive(Debug)]
pub(super) struct Scratch<T, const W: usize> {
    slots: Vec<Lanes<T, W>>,
    /// Of each row of a group a bit: whether it goes left, by depth.
    left: Vec<u64>,
    /// Whether it is on the path of a repeated feature still, by depth.
    hot: Vec<u64>,
}

impl<T: Real, const W: usize> Scratch<T, W> {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), left: Vec::new(), hot: Vec::new() }
    }

    fn reserve(&mut self, slots: usize, levels: usize) {
        if self.slots.len() < slots {
            self.slots.resize(slots, Lanes::default());
        }
        if self.left.len() < levels {
            self.left.resize(levels, 0);
            self.hot.resize(levels, 0);
        }
    }
}

/// Adds what trees give to the attributions of groups of rows. `phi` holds group after group, in a
/// group feature after feature.
pub(super) type Runner<T, const W: usize> =
    fn(Cpu, &[Program<T>], Bins<'_>, &mut Scratch<T, W>, &mut [Lanes<T, W>], usize);

/// Rows of a group.
const DOUBLES: usize = 64;
const SINGLES: usize = 64;

macro_rules! runners {
    ($($name:ident: $real:ty, $rows:expr, $($machine:ident)?;)*) => {$(
        pub(super) fn $name(
            cpu: Cpu,
            programs: &[Program<$real>],
            bins: Bins<'_>,
            scratch: &mut Scratch<$real, { $rows }>,
            phi: &mut [Lanes<$real, { $rows }>],
            features: usize,
        ) {
            type Own<'a, 'b> = &'a mut Group<'b, $real, { $rows }>;
            runners!(@tree $real, $($machine)?);

            for program in programs {
                for (at, phi) in phi.chunks_exact_mut(features).enumerate() {
                    let mut on = Group { bins, row: at * $rows, scratch, phi };
                    match program {
                        Program::Of1(steps) => tree(cpu, steps, &mut on),
                        Program::Of2(steps) => tree(cpu, steps, &mut on),
                        Program::Of3(steps) => tree(cpu, steps, &mut on),
                        Program::Of4(steps) => tree(cpu, steps, &mut on),
                        Program::Of5(steps) => tree(cpu, steps, &mut on),
                        Program::Of6(steps) => tree(cpu, steps, &mut on),
                    }
                }
            }
        }
    )*};
    (@tree $real:ty, $machine:ident) => {
        fn tree<const Q: usize>(_: Cpu, steps: &Steps<$real, Q>, on: Own<'_, '_>) {
            on.run($machine, steps);
        }
    };
    (@tree $real:ty,) => {
        fn tree<const Q: usize>(cpu: Cpu, steps: &Steps<$real, Q>, on: Own<'_, '_>) {
            match cpu {
                #[cfg(target_arch = "x86_64")]
                Cpu::Avx512(machine) => {
                    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,bmi1,bmi2")]
                    fn run<const Q: usize>(
                        machine: Avx512,
                        steps: &Steps<$real, Q>,
                        on: Own<'_, '_>,
                    ) {
                        on.run(machine, steps);
                    }
                    #[expect(unsafe_code, reason = "compiled for that machine")]
                    // SAFETY: the value is only made where the computer has these features.
                    unsafe {
                        run(machine, steps, on);
                    }
                }
                #[cfg(target_arch = "x86_64")]
                Cpu::Avx2(machine) => {
                    #[target_feature(enable = "avx2,bmi1,bmi2")]
                    fn run<const Q: usize>(machine: Avx2, steps: &Steps<$real, Q>, on: Own<'_, '_>) {
                        on.run(machine, steps);
                    }
                    #[expect(unsafe_code, reason = "compiled for that machine")]
                    // SAFETY: the value is only made where the computer has these features.
                    unsafe {
                        run(machine, steps, on);
                    }
                }
                Cpu::Portable(machine) => on.run(machine, steps),
            }
        }
    };
}

runners! {
    run_f64: f64, DOUBLES,;
    run_f32: f32, SINGLES,;
    run_one: f64, 1, Scalar;
}

#[inline(always)]
pub(super) fn ask<const W: usize>(test: Test, bins: Bins<'_>, row: usize) -> Mask<W> {
    let mut mask = Mask::ALL;
    let from = test.slot as usize * bins.stride + row;
    match bins.of {
        Width::U16(all) => {
            let cut = test.cut as u16;
            for (mask, &bin) in mask.0.iter_mut().zip(&all[from..from + W]) {
                *mask = if bin < cut { u8::MAX } else { 0 };
            }
        }
        Width::U32(all) => {
            for (mask, &bin) in mask.0.iter_mut().zip(&all[from..from + W]) {
                *mask = if bin < test.cut { u8::MAX } else { 0 };
            }
        }
    }
    mask
}

/// A bit for each of the group's rows, set where it goes left.
#[inline(always)]
fn lefts<T: Real, M: Machine<T>, const W: usize>(
    machine: M,
    test: Test,
    bins: Bins<'_>,
    row: usize,
) -> u64 {
    let from = test.slot as usize * bins.stride + row;
    match bins.of {
        Width::U16(all) => machine.below(&all[from..from + W], test.cut as u16),
        Width::U32(all) => below(&all[from..from + W], test.cut),
    }
}

/// The rows that are on the feature's path still.
#[inline(always)]
fn hot<T: Real, const W: usize>(earlier: Earlier, scratch: &Scratch<T, W>) -> u64 {
    let at = usize::from(earlier.depth);
    let left = if earlier.left { scratch.left[at] } else { !scratch.left[at] };
    if earlier.repeats { left & scratch.hot[at] } else { left }
}

/// Rows that a tree is run over, and where what it gives is added.
struct Group<'a, T, const W: usize> {
    bins: Bins<'a>,
    row: usize,
    scratch: &'a mut Scratch<T, W>,
    phi: &'a mut [Lanes<T, W>],
}

impl<T: Real, const W: usize> Group<'_, T, W> {
    #[inline(always)]
    fn run<M: Machine<T>, const Q: usize>(&mut self, machine: M, program: &Steps<T, Q>) {
        let Group { bins, row, scratch, phi } = self;
        let (bins, row, scratch, phi) = (*bins, *row, &mut **scratch, &mut **phi);
        scratch.reserve(program.slots * Q, program.levels);
        let on = On { machine, basis: &program.basis };
        if let Some(root) = scratch.slots.get_mut(..Q) {
            for (c, &weight) in root.iter_mut().zip(&program.weights) {
                *c = Lanes([weight; W]);
            }
        }
        let asked = |test| lefts::<T, M, W>(machine, test, bins, row);
        for step in &program.order {
            let depth = usize::from(step.depth);
            let at = step.at as usize;
            match step.kind {
                Kind::Pair => {
                    let leaves = &program.linear[at];
                    let own = slot::<T, Q, W>(&mut scratch.slots, step.own);
                    pair(on, leaves, asked(leaves.test), own, &mut phi[leaves.feature as usize]);
                }
                Kind::PairR => {
                    let leaves = &program.pairs[at];
                    let repeat = &program.repeats[step.repeat as usize];
                    let rows = [asked(leaves.test), hot(repeat.earlier, scratch)];
                    let own = slot::<T, Q, W>(&mut scratch.slots, step.own);
                    let phi = &mut phi[leaves.feature as usize];
                    repeated_pair(on, leaves, repeat, rows, own, phi);
                }
                Kind::Three | Kind::Four => {
                    let [split, first, second] = &program.linear[at..at + 3] else { continue };
                    let own = slot::<T, Q, W>(&mut scratch.slots, step.own);
                    let (left, first_left) = (asked(split.test), asked(first.test));
                    if step.kind == Kind::Three {
                        three(on, [split, first, second], [left, first_left], own, phi);
                    } else {
                        let rows = [left, first_left, asked(second.test)];
                        four(on, [split, first, second], rows, own, phi);
                    }
                }
                Kind::Down2 | Kind::Down1 => {
                    let split = &program.splits[at];
                    let left = asked(split.test);
                    scratch.left[depth] = left;
                    let [own, first, second] = family::<T, Q, W>(&mut scratch.slots, step);
                    if step.kind == Kind::Down2 {
                        down(on, split, left, own, first, Some(second));
                    } else {
                        down(on, split, left, own, first, None);
                    }
                }
                Kind::Down2R | Kind::Down1R => {
                    let split = &program.splits[at];
                    let repeat = &program.repeats[step.repeat as usize];
                    let rows = [asked(split.test), hot(repeat.earlier, scratch)];
                    [scratch.left[depth], scratch.hot[depth]] = rows;
                    let [own, first, second] = family::<T, Q, W>(&mut scratch.slots, step);
                    if step.kind == Kind::Down2R {
                        repeated_down(on, split, repeat, rows, own, first, Some(second));
                    } else {
                        repeated_down(on, split, repeat, rows, own, first, None);
                    }
                }
                Kind::Up2 | Kind::Up1 => {
                    let split = &program.splits[at];
                    let left = scratch.left[depth];
                    let [own, first, second] = family::<T, Q, W>(&mut scratch.slots, step);
                    let phi = &mut phi[split.feature as usize];
                    if step.kind == Kind::Up2 {
                        up(on, split, left, own, first, Some(second), phi);
                    } else {
                        up(on, split, left, own, first, None, phi);
                    }
                }
                Kind::Up2R | Kind::Up1R => {
                    let split = &program.splits[at];
                    let repeat = &program.repeats[step.repeat as usize];
                    let rows = [scratch.left[depth], scratch.hot[depth]];
                    let [own, first, second] = family::<T, Q, W>(&mut scratch.slots, step);
                    let phi = &mut phi[split.feature as usize];
                    if step.kind == Kind::Up2R {
                        repeated_up(on, split, repeat, rows, own, first, Some(second), phi);
                    } else {
                        repeated_up(on, split, repeat, rows, own, first, None, phi);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn slot<T: Real, const Q: usize, const W: usize>(
    slots: &mut [Lanes<T, W>],
    own: u16,
) -> &mut Slot<T, Q, W> {
    &mut slots.as_chunks_mut::<Q>().0[usize::from(own)]
}

/// The slots of a split and its children. Those of children stand behind their parent's.
#[inline(always)]
fn family<'s, T: Real, const Q: usize, const W: usize>(
    slots: &'s mut [Lanes<T, W>],
    step: &Step,
) -> [&'s mut Slot<T, Q, W>; 3] {
    let children = 2 * usize::from(step.depth) + 1;
    let (before, behind) = slots.as_chunks_mut::<Q>().0.split_at_mut(children);
    let (first, second) = behind.split_at_mut(1);
    [&mut before[usize::from(step.own)], &mut first[0], &mut second[0]]
}
