//! The steps of a tree over rows in lanes, compiled for each machine and chosen at run time.
//!
//! Lanes never meet: what is computed for a row does not depend on the rows beside it, nor on how
//! many there are. Sums over quadrature nodes are written out in one order, and no multiplication
//! is fused with an addition, so that `f64` has the same bits on every machine.

#![expect(clippy::inline_always, reason = "must be compiled for the caller's target")]

use multiversion::multiversion;

use super::lanes::{
    Lanes, Mask, Real, Slot, down1, down1_repeated, down2, down2_repeated, four, plain_pair,
    repeated_pair, three, up1, up1_repeated, up2, up2_repeated,
};
use super::program::{Kind, Program, Repeat, Step, Steps, Test};

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

/// Where a thread keeps C, S and the masks.
#[derive(Debug)]
pub(super) struct Scratch<T, const W: usize> {
    slots: Vec<Lanes<T, W>>,
    /// Whether rows go left, by depth.
    left: Vec<Mask<W>>,
    /// Whether they are on the path of a repeated feature still, by depth.
    hot: Vec<Mask<W>>,
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
            self.left.resize(levels, Mask::ALL);
            self.hot.resize(levels, Mask::ALL);
        }
    }
}

macro_rules! runners {
    ($($name:ident: $real:ty, $width:literal;)*) => {$(
        /// Adds what this tree gives to the groups' attributions. `phi` holds group after group,
        /// in a group feature after feature.
        #[multiversion(targets(
            "x86_64+avx512f+avx512dq+avx512vl+avx512bw+avx2+fma",
            "x86_64+avx2+fma",
            "aarch64+neon"
        ))]
        pub(super) fn $name(
            program: &Program<$real>,
            bins: Bins<'_>,
            scratch: &mut Scratch<$real, $width>,
            phi: &mut [Lanes<$real, $width>],
            features: usize,
        ) {
            match program {
                Program::Of1(steps) => groups(steps, bins, scratch, phi, features),
                Program::Of2(steps) => groups(steps, bins, scratch, phi, features),
                Program::Of3(steps) => groups(steps, bins, scratch, phi, features),
                Program::Of4(steps) => groups(steps, bins, scratch, phi, features),
                Program::Of5(steps) => groups(steps, bins, scratch, phi, features),
            }
        }
    )*};
}

runners! {
    run_f64: f64, 16;
    run_f32: f32, 64;
    run_one: f64, 1;
}

#[inline(always)]
fn groups<T: Real, const Q: usize, const W: usize>(
    steps: &Steps<T, Q>,
    bins: Bins<'_>,
    scratch: &mut Scratch<T, W>,
    phi: &mut [Lanes<T, W>],
    features: usize,
) {
    scratch.reserve(steps.slots * Q, steps.levels);
    for (at, phi) in phi.chunks_exact_mut(features).enumerate() {
        group(steps, bins, at * W, scratch, phi);
    }
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

/// The rows that are on the feature's path still.
#[inline(always)]
fn hot<T: Real, const Q: usize, const W: usize>(
    repeat: &Repeat<T, Q>,
    scratch: &Scratch<T, W>,
) -> Mask<W> {
    let flip = if repeat.earlier.left { 0 } else { u8::MAX };
    let ancestor = usize::from(repeat.earlier.depth);
    let mut mask = Mask::ALL;
    let Some(left) = scratch.left.get(ancestor) else { return mask };
    for (mask, &left) in mask.0.iter_mut().zip(&left.0) {
        *mask = left ^ flip;
    }
    if repeat.earlier.repeats
        && let Some(before) = scratch.hot.get(ancestor)
    {
        for (mask, &before) in mask.0.iter_mut().zip(&before.0) {
            *mask &= before;
        }
    }
    mask
}

#[inline(always)]
fn group<T: Real, const Q: usize, const W: usize>(
    program: &Steps<T, Q>,
    bins: Bins<'_>,
    row: usize,
    scratch: &mut Scratch<T, W>,
    phi: &mut [Lanes<T, W>],
) {
    if let Some(root) = scratch.slots.get_mut(..Q) {
        for (c, &weight) in root.iter_mut().zip(&program.weights) {
            *c = Lanes([weight; W]);
        }
    }
    for step in &program.order {
        let depth = usize::from(step.depth);
        match step.kind {
            Kind::Pair | Kind::PairR => {
                let pair = &program.pairs[step.split as usize];
                let left = ask(pair.test, bins, row);
                let phi = &mut phi[pair.feature as usize];
                if step.kind == Kind::Pair {
                    let own = slot::<T, Q, W>(&mut scratch.slots, step.own);
                    plain_pair(pair, &left, own, phi);
                } else {
                    let repeat = &program.repeats[step.more[0] as usize];
                    let hot = hot(repeat, scratch);
                    let own = slot::<T, Q, W>(&mut scratch.slots, step.own);
                    repeated_pair(pair, repeat, &left, &hot, own, phi);
                }
            }
            Kind::Three => {
                let split = &program.splits[step.split as usize];
                let pair = &program.pairs[step.more[0] as usize];
                let masks = [ask(split.test, bins, row), ask(pair.test, bins, row)];
                let own = slot::<T, Q, W>(&mut scratch.slots, step.own);
                let places = [split.feature as usize, pair.feature as usize];
                if let Ok([a, b]) = phi.get_disjoint_mut(places) {
                    three(split, pair, &masks, own, a, b);
                }
            }
            Kind::Four => {
                let split = &program.splits[step.split as usize];
                let pairs = step.more.map(|pair| &program.pairs[pair as usize]);
                let masks = [
                    ask(split.test, bins, row),
                    ask(pairs[0].test, bins, row),
                    ask(pairs[1].test, bins, row),
                ];
                let own = slot::<T, Q, W>(&mut scratch.slots, step.own);
                let places = [split.feature, pairs[0].feature, pairs[1].feature];
                if let Ok([a, b, c]) = phi.get_disjoint_mut(places.map(|p| p as usize)) {
                    four(split, pairs, &masks, own, [a, b, c]);
                }
            }
            Kind::Down2 | Kind::Down1 => {
                let split = &program.splits[step.split as usize];
                scratch.left[depth] = ask(split.test, bins, row);
                let left = &scratch.left[depth];
                let [own, first, second] = family::<T, Q, W>(&mut scratch.slots, step);
                if step.kind == Kind::Down2 {
                    down2(split, left, own, first, second);
                } else {
                    down1(split, left, own, first);
                }
            }
            Kind::Down2R | Kind::Down1R => {
                let split = &program.splits[step.split as usize];
                let repeat = &program.repeats[step.more[0] as usize];
                scratch.left[depth] = ask(split.test, bins, row);
                scratch.hot[depth] = hot(repeat, scratch);
                let (left, hot) = (&scratch.left[depth], &scratch.hot[depth]);
                let [own, first, second] = family::<T, Q, W>(&mut scratch.slots, step);
                if step.kind == Kind::Down2R {
                    down2_repeated(split, repeat, left, hot, own, first, second);
                } else {
                    down1_repeated(split, repeat, left, hot, own, first);
                }
            }
            Kind::Up2 | Kind::Up1 => {
                let split = &program.splits[step.split as usize];
                let left = &scratch.left[depth];
                let [own, first, second] = family::<T, Q, W>(&mut scratch.slots, step);
                let phi = &mut phi[split.feature as usize];
                if step.kind == Kind::Up2 {
                    up2(split, left, own, first, second, phi);
                } else {
                    up1(split, left, own, first, phi);
                }
            }
            Kind::Up2R | Kind::Up1R => {
                let split = &program.splits[step.split as usize];
                let repeat = &program.repeats[step.more[0] as usize];
                let (left, hot) = (&scratch.left[depth], &scratch.hot[depth]);
                let [own, first, second] = family::<T, Q, W>(&mut scratch.slots, step);
                let phi = &mut phi[split.feature as usize];
                let second = (step.kind == Kind::Up2R).then_some(&*second);
                match second {
                    Some(second) => up2_repeated(split, repeat, left, hot, own, first, second, phi),
                    None => up1_repeated(split, repeat, left, hot, own, first, phi),
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
