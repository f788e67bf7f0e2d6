//! What a tree's steps compute, a register of rows at a time; masks choose, nothing branches.

#![expect(clippy::inline_always, reason = "must be compiled for the caller's target")]

use std::ops::{Add, Mul};

use super::lanes::{Lanes, Real, Slot};
use super::machine::Machine;
use super::program::{Basis, Leaves, Linear, Repeat, Shares};

/// A register of C or S at each node, or of a number at each.
type Nodes<R, const Q: usize> = [R; Q];

/// The machine, and the places of the nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct On<'a, M, T> {
    pub(super) machine: M,
    pub(super) basis: &'a Basis<T>,
}

impl<T: Real, M: Machine<T>> On<'_, M, T> {
    #[inline(always)]
    fn get<const Q: usize, const W: usize>(
        self,
        slot: &Slot<T, Q, W>,
        at: usize,
    ) -> Nodes<M::Register, Q> {
        let mut nodes = [self.machine.load(&slot[0].0, at); Q];
        for q in 1..Q {
            nodes[q] = self.machine.load(&slot[q].0, at);
        }
        nodes
    }

    #[inline(always)]
    fn put<const Q: usize, const W: usize>(
        self,
        values: Nodes<M::Register, Q>,
        slot: &mut Slot<T, Q, W>,
        at: usize,
    ) {
        for (value, lanes) in values.into_iter().zip(slot) {
            self.machine.store(value, &mut lanes.0, at);
        }
    }

    #[inline(always)]
    fn add<const W: usize>(self, more: M::Register, phi: &mut Lanes<T, W>, at: usize) {
        let sum = self.machine.load(&phi.0, at) + more;
        self.machine.store(sum, &mut phi.0, at);
    }

    /// The numbers of each node, before any rows.
    #[inline(always)]
    fn all<const Q: usize>(self, sides: &[[T; 2]; Q]) -> [M::Sides<'_>; Q] {
        let mut all = [self.machine.sides(&sides[0]); Q];
        for q in 1..Q {
            all[q] = self.machine.sides(&sides[q]);
        }
        all
    }

    #[inline(always)]
    fn splats<const Q: usize>(self, numbers: &[T; Q]) -> Nodes<M::Register, Q> {
        let mut all = [self.machine.splat(numbers[0]); Q];
        for q in 1..Q {
            all[q] = self.machine.splat(numbers[q]);
        }
        all
    }

    /// What the first child gets of each.
    #[inline(always)]
    fn shares<const Q: usize>(
        self,
        sides: [M::Sides<'_>; Q],
        left: u64,
        at: usize,
    ) -> Nodes<M::Register, Q> {
        let left = self.machine.mask(left, at);
        let mut shares = [self.machine.choose(left, sides[0]); Q];
        for q in 1..Q {
            shares[q] = self.machine.choose(left, sides[q]);
        }
        shares
    }

    /// The same of a repeated feature.
    #[inline(always)]
    fn repeated_shares<const Q: usize>(
        self,
        sides: [M::Sides<'_>; Q],
        cold: M::Register,
        [left, hot]: [u64; 2],
        at: usize,
    ) -> Nodes<M::Register, Q> {
        let hot = self.machine.mask(hot, at);
        let mut shares = self.shares(sides, left, at);
        for share in &mut shares {
            *share = self.machine.pick(hot, *share, cold);
        }
        shares
    }

    /// What a repeated feature's sum counts for.
    #[inline(always)]
    fn repeated_out(self, out: M::Sides<'_>, [left, hot]: [u64; 2], at: usize) -> M::Register {
        let (left, hot) = (self.machine.mask(left, at), self.machine.mask(hot, at));
        let zero = self.machine.splat(T::default());
        self.machine.pick(hot, self.machine.choose(left, out), zero)
    }

    /// Σ C and Σ v·C.
    #[inline(always)]
    fn moments<const Q: usize>(self, c: Nodes<M::Register, Q>) -> [M::Register; 2] {
        if Q == 1 {
            return [c[0], self.machine.splat(T::default())];
        }
        let (mut sum, mut first) = (c[0] + c[Q - 1], c[Q - 1] - c[0]);
        for k in 1..Q / 2 {
            let v = self.machine.splat(self.basis.inner[k - 1]);
            sum = sum + (c[k] + c[Q - 1 - k]);
            first = first + v * (c[Q - 1 - k] - c[k]);
        }
        if Q % 2 == 1 {
            sum = sum + c[Q / 2];
        }
        [sum, first]
    }

    /// The values of `s₀ + s₁·v + s₂·v²`.
    #[inline(always)]
    fn values<const Q: usize>(self, [s0, s1, s2]: [M::Register; 3]) -> Nodes<M::Register, Q> {
        let mut values = [s0; Q];
        if Q > 1 {
            let even = s0 + s2;
            (values[0], values[Q - 1]) = (even - s1, even + s1);
        }
        for k in 1..Q / 2 {
            let even = s0 + self.machine.splat(self.basis.squares[k - 1]) * s2;
            let odd = self.machine.splat(self.basis.inner[k - 1]) * s1;
            (values[k], values[Q - 1 - k]) = (even - odd, even + odd);
        }
        values
    }

    /// The value at the middle and the slope.
    #[inline(always)]
    fn linear(self, sides: [M::Sides<'_>; 2], left: u64, at: usize) -> [M::Register; 2] {
        let left = self.machine.mask(left, at);
        [self.machine.choose(left, sides[0]), self.machine.choose(left, sides[1])]
    }

    #[inline(always)]
    fn line(self, linear: &Linear<T>) -> [M::Sides<'_>; 2] {
        [self.machine.sides(&linear.middle), self.machine.sides(&linear.slope)]
    }
}

/// Node by node.
#[inline(always)]
fn times<R: Copy + Mul<Output = R>, const Q: usize>(
    mut a: Nodes<R, Q>,
    b: Nodes<R, Q>,
) -> Nodes<R, Q> {
    for q in 0..Q {
        a[q] = a[q] * b[q];
    }
    a
}

/// The sum in the order of the nodes.
#[inline(always)]
fn sum<R: Copy + Add<Output = R>, const Q: usize>(nodes: Nodes<R, Q>) -> R {
    let mut sum = nodes[0];
    for &node in &nodes[1..] {
        sum = sum + node;
    }
    sum
}

#[inline(always)]
pub(super) fn pair<T: Real, M: Machine<T>, const Q: usize, const W: usize>(
    on: On<'_, M, T>,
    pair: &Linear<T>,
    left: u64,
    own: &mut Slot<T, Q, W>,
    phi: &mut Lanes<T, W>,
) {
    let pair = on.line(pair);
    for at in 0..W / M::LANES {
        let c: Nodes<_, Q> = on.get(own, at);
        let [middle, slope] = on.linear(pair, left, at);
        on.add(sum(c) * slope, phi, at);
        let mut values = [middle; Q];
        if Q > 1 {
            (values[0], values[Q - 1]) = (middle - slope, middle + slope);
        }
        for k in 1..Q / 2 {
            let odd = on.machine.splat(on.basis.inner[k - 1]) * slope;
            (values[k], values[Q - 1 - k]) = (middle - odd, middle + odd);
        }
        on.put(values, own, at);
    }
}

#[inline(always)]
pub(super) fn repeated_pair<T: Real, M: Machine<T>, const Q: usize, const W: usize>(
    on: On<'_, M, T>,
    pair: &Leaves<T, Q>,
    repeat: &Repeat<T, Q>,
    rows: [u64; 2],
    own: &mut Slot<T, Q, W>,
    phi: &mut Lanes<T, W>,
) {
    let (values, out) = (on.all(&pair.values), on.machine.sides(&pair.out));
    let (cold, slopes) = (on.machine.splat(repeat.cold), on.splats(&repeat.slope));
    for at in 0..W / M::LANES {
        let c: Nodes<_, Q> = on.get(own, at);
        let sum = sum(times(c, slopes));
        on.add(sum * on.repeated_out(out, rows, at), phi, at);
        on.put(on.repeated_shares(values, cold, rows, at), own, at);
    }
}

/// A split and its first child, whose children are leaves; the second child is a leaf.
#[inline(always)]
pub(super) fn three<T: Real, M: Machine<T>, const Q: usize, const W: usize>(
    on: On<'_, M, T>,
    [split, first, leaf]: [&Linear<T>; 3],
    [left, first_left]: [u64; 2],
    own: &mut Slot<T, Q, W>,
    phi: &mut [Lanes<T, W>],
) {
    let leaf = on.machine.splat(leaf.middle[0]);
    let places = [split, first].map(|linear| linear.feature as usize);
    if places.iter().any(|&place| place >= phi.len()) {
        return;
    }
    let [split, first] = [on.line(split), on.line(first)];
    for at in 0..W / M::LANES {
        let [sum, moment] = on.moments::<Q>(on.get(own, at));
        let [share, share_slope] = on.linear(split, left, at);
        let [middle, slope] = on.linear(first, first_left, at);
        let step = middle - leaf;
        let passed = share * sum + share_slope * moment;
        on.add(passed * slope, &mut phi[places[1]], at);
        let out = share_slope * (sum * step + moment * slope);
        on.add(out, &mut phi[places[0]], at);
        let s0 = leaf + share * step;
        let s1 = share * slope + share_slope * step;
        on.put(on.values([s0, s1, share_slope * slope]), own, at);
    }
}

/// A split and its children, whose children are leaves.
#[inline(always)]
pub(super) fn four<T: Real, M: Machine<T>, const Q: usize, const W: usize>(
    on: On<'_, M, T>,
    [split, first, second]: [&Linear<T>; 3],
    [left, first_left, second_left]: [u64; 3],
    own: &mut Slot<T, Q, W>,
    phi: &mut [Lanes<T, W>],
) {
    let places = [split, first, second].map(|linear| linear.feature as usize);
    if places.iter().any(|&place| place >= phi.len()) {
        return;
    }
    let [split, first, second] = [on.line(split), on.line(first), on.line(second)];
    for at in 0..W / M::LANES {
        let [sum, moment] = on.moments::<Q>(on.get(own, at));
        let [share, share_slope] = on.linear(split, left, at);
        let [first_middle, first_slope] = on.linear(first, first_left, at);
        let [second_middle, second_slope] = on.linear(second, second_left, at);
        let (step, step_slope) = (first_middle - second_middle, first_slope - second_slope);
        let passed = share * sum + share_slope * moment;
        on.add(passed * first_slope, &mut phi[places[1]], at);
        on.add((sum - passed) * second_slope, &mut phi[places[2]], at);
        let out = share_slope * (sum * step + moment * step_slope);
        on.add(out, &mut phi[places[0]], at);
        let s0 = second_middle + share * step;
        let s1 = second_slope + (share * step_slope + share_slope * step);
        on.put(on.values([s0, s1, share_slope * step_slope]), own, at);
    }
}

/// From C to that of the first child, and of the second if it is no leaf.
#[inline(always)]
pub(super) fn down<T: Real, M: Machine<T>, const Q: usize, const W: usize>(
    on: On<'_, M, T>,
    split: &Shares<T, Q>,
    left: u64,
    own: &Slot<T, Q, W>,
    first: &mut Slot<T, Q, W>,
    mut second: Option<&mut Slot<T, Q, W>>,
) {
    let sides = on.all(&split.share);
    for at in 0..W / M::LANES {
        let shares = on.shares(sides, left, at);
        pass(on, shares, own, first, second.as_deref_mut(), at);
    }
}

#[inline(always)]
pub(super) fn repeated_down<T: Real, M: Machine<T>, const Q: usize, const W: usize>(
    on: On<'_, M, T>,
    split: &Shares<T, Q>,
    repeat: &Repeat<T, Q>,
    rows: [u64; 2],
    own: &Slot<T, Q, W>,
    first: &mut Slot<T, Q, W>,
    mut second: Option<&mut Slot<T, Q, W>>,
) {
    let (sides, cold) = (on.all(&split.share), on.machine.splat(repeat.cold));
    for at in 0..W / M::LANES {
        let shares = on.repeated_shares(sides, cold, rows, at);
        pass(on, shares, own, first, second.as_deref_mut(), at);
    }
}

#[inline(always)]
fn pass<T: Real, M: Machine<T>, const Q: usize, const W: usize>(
    on: On<'_, M, T>,
    mut shares: Nodes<M::Register, Q>,
    own: &Slot<T, Q, W>,
    first: &mut Slot<T, Q, W>,
    second: Option<&mut Slot<T, Q, W>>,
    at: usize,
) {
    let mut c: Nodes<_, Q> = on.get(own, at);
    for q in 0..Q {
        shares[q] = c[q] * shares[q];
        c[q] = c[q] - shares[q];
    }
    on.put(shares, first, at);
    if let Some(second) = second {
        on.put(c, second, at);
    }
}

/// From the S of the children to S; a second child that is a leaf has no slot.
#[inline(always)]
pub(super) fn up<T: Real, M: Machine<T>, const Q: usize, const W: usize>(
    on: On<'_, M, T>,
    split: &Shares<T, Q>,
    left: u64,
    own: &mut Slot<T, Q, W>,
    first: &Slot<T, Q, W>,
    second: Option<&Slot<T, Q, W>>,
    phi: &mut Lanes<T, W>,
) {
    let (sides, outs) = (on.all(&split.share), on.machine.sides(&split.out));
    let leaf = on.machine.splat(split.leaf);
    for at in 0..W / M::LANES {
        let shares = on.shares(sides, left, at);
        let c = on.get(own, at);
        let sum = mix(on, leaf, c, shares, own, first, second, at);
        let out = on.machine.choose(on.machine.mask(left, at), outs);
        on.add(sum * out, phi, at);
    }
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "a split and all that its step touches")]
pub(super) fn repeated_up<T: Real, M: Machine<T>, const Q: usize, const W: usize>(
    on: On<'_, M, T>,
    split: &Shares<T, Q>,
    repeat: &Repeat<T, Q>,
    rows: [u64; 2],
    own: &mut Slot<T, Q, W>,
    first: &Slot<T, Q, W>,
    second: Option<&Slot<T, Q, W>>,
    phi: &mut Lanes<T, W>,
) {
    let (sides, out) = (on.all(&split.share), on.machine.sides(&split.out));
    let (cold, slopes) = (on.machine.splat(repeat.cold), on.splats(&repeat.slope));
    let leaf = on.machine.splat(split.leaf);
    for at in 0..W / M::LANES {
        let shares = on.repeated_shares(sides, cold, rows, at);
        let c = times(on.get(own, at), slopes);
        let sum = mix(on, leaf, c, shares, own, first, second, at);
        on.add(sum * on.repeated_out(out, rows, at), phi, at);
    }
}

/// S of the split from those of the children; and the sum of C by their difference.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "a split and all that its step touches")]
fn mix<T: Real, M: Machine<T>, const Q: usize, const W: usize>(
    on: On<'_, M, T>,
    leaf: M::Register,
    mut c: Nodes<M::Register, Q>,
    mut shares: Nodes<M::Register, Q>,
    own: &mut Slot<T, Q, W>,
    first: &Slot<T, Q, W>,
    second: Option<&Slot<T, Q, W>>,
    at: usize,
) -> M::Register {
    let first: Nodes<_, Q> = on.get(first, at);
    let second: Nodes<_, Q> = match second {
        Some(second) => on.get(second, at),
        None => [leaf; Q],
    };
    for q in 0..Q {
        let step = first[q] - second[q];
        c[q] = c[q] * step;
        shares[q] = second[q] + shares[q] * step;
    }
    on.put(shares, own, at);
    sum(c)
}
