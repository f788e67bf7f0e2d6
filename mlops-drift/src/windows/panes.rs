//! What is kept of panes: a state and a number of rows each; windows are merged from them.

use std::collections::BTreeMap;
use std::ops::Range;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use mlops_core::bytes::{
    add_count, bad, put_i64, put_len, put_u64, take_count, take_i64, take_len,
};
use mlops_core::{Analyzer, Error, Names, Result, Rows, State};

use super::windowing::{Window, Windowing};

/// A window that is over, with the state of all its rows: [`Analyzer::finish`] gives the result,
/// and states of several windows merge.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClosedWindow<S> {
    /// Which window.
    pub window: Window,
    /// Its rows.
    pub rows: u64,
    /// What was measured of them.
    pub state: S,
    /// 0 when it is first closed, 1 when rows came late and it is closed again, and so on.
    pub revision: u32,
    /// Whether the stream, or the data of a scan, had gone past its end (by rows: to it). The last
    /// windows of data that end are not.
    pub complete: bool,
}

/// The rows of a pane and their state.
#[derive(Clone, Debug)]
pub(super) struct Pane<S> {
    pub(super) rows: u64,
    pub(super) state: S,
}

impl<S: State> Pane<S> {
    pub(super) fn merge(&mut self, other: Self) -> Result<()> {
        add_count(&mut self.rows, other.rows);
        self.state.merge(other.state)
    }
}

pub(super) type Panes<S> = BTreeMap<i64, Pane<S>>;

pub(super) fn encode<S: State>(panes: &Panes<S>, out: &mut Vec<u8>) {
    put_len(out, panes.len());
    for (number, pane) in panes {
        put_i64(out, *number);
        put_u64(out, pane.rows);
        pane.state.encode(out);
    }
}

pub(super) fn decode<A: Analyzer>(
    analyzer: &A,
    windowing: &Windowing,
    bytes: &mut &[u8],
) -> Result<Panes<A::State>> {
    let n = take_len(bytes, 16)?;
    let mut panes = Panes::new();
    for _ in 0..n {
        let number = take_i64(bytes)?;
        let in_order = panes.last_key_value().is_none_or(|(last, _)| *last < number);
        if !in_order || !windowing.has_pane(number) {
            return Err(bad(bytes, "panes in order", number));
        }
        let rows = take_count(bytes)?;
        panes.insert(number, Pane { rows, state: analyzer.decode(bytes)? });
    }
    Ok(panes)
}

/// Shows the rows of each pane to `each`: cut where panes change if they come in order, and else
/// sorted once. Rows without a pane are left out.
///
/// Rows that are only cut keep their names; sorted ones are named by their place in the batch.
pub(super) fn split(
    rows: &Rows<'_>,
    panes: &[Option<i64>],
    mut each: impl FnMut(i64, &Rows<'_>) -> Result<()>,
) -> Result<()> {
    let batch = rows.batch()?;
    let first = panes.first().copied().flatten();
    if first.is_some() && panes.iter().all(|&pane| pane == first) {
        return each(first.unwrap_or_default(), rows);
    }
    let names = Names::of(batch.schema_ref());
    let mut show = |batch: &RecordBatch, pane: i64, at: Range<usize>, named: bool| {
        let part = batch.slice(at.start, at.len());
        let (origin, first_row) = if named {
            (rows.origin(), rows.row_number(at.start))
        } else {
            ("batch", at.start as u64)
        };
        each(pane, &Rows::of(&part, names.clone(), origin, first_row))
    };
    if panes.is_sorted() && first.is_some() {
        // The numbers of selected rows have gaps.
        let span = rows.span();
        let named = span.end - span.start == rows.len() as u64;
        let mut at = 0;
        for run in panes.chunk_by(|a, b| a == b) {
            show(batch, run[0].unwrap_or_default(), at..at + run.len(), named)?;
            at += run.len();
        }
        return Ok(());
    }
    let mut order: Vec<(i64, u32)> =
        panes.iter().zip(0..).filter_map(|(pane, row)| Some(((*pane)?, row))).collect();
    order.sort_unstable();
    let rows_in_order: UInt32Array = order.iter().map(|&(_, row)| row).collect::<Vec<_>>().into();
    let sorted = take_record_batch(batch, &rows_in_order)?;
    let mut at = 0;
    for run in order.chunk_by(|a, b| a.0 == b.0) {
        show(&sorted, run[0].0, at..at + run.len(), false)?;
        at += run.len();
    }
    Ok(())
}

/// The windows with rows that these panes make, in order.
///
/// Panes far apart are each in many windows of their own: more than `most` windows are refused
/// before any is made.
///
/// Panes enter and leave a sliding window at its ends, so two stacks give each window with two
/// merges, however many panes it has.
pub(super) fn windows<S: State>(
    windowing: &Windowing,
    panes: Panes<S>,
    most: usize,
) -> Result<Vec<ClosedWindow<S>>> {
    let Some((&last, _)) = panes.last_key_value() else { return Ok(Vec::new()) };
    let (mut count, mut behind) = (0_u128, i64::MIN);
    for &pane in panes.keys() {
        let (first, last) = windowing.windows_of(pane);
        count += (i128::from(last) - i128::from(first.max(behind)) + 1).max(0).unsigned_abs();
        behind = behind.max(last.saturating_add(1));
    }
    if count > most as u128 {
        return Err(Error::invalid("windows that hold rows", format!("at most {most}"), count));
    }
    let closed = |window: i64, pane: Pane<S>| ClosedWindow {
        window: windowing.window(window),
        rows: pane.rows,
        complete: windowing.is_over(window, pane.rows, last),
        state: pane.state,
        revision: 0,
    };
    if windowing.panes_per_window() == 1 {
        return Ok(panes.into_iter().map(|(number, pane)| closed(number, pane)).collect());
    }
    let mut coming = panes.into_iter().peekable();
    let mut found = Vec::new();
    // Merges of the panes from each one to the youngest of the front, the oldest on top.
    let mut front: Vec<(i64, Pane<S>)> = Vec::new();
    let mut back: Vec<(i64, Pane<S>)> = Vec::new();
    let mut back_merged: Option<Pane<S>> = None;
    let mut next = i64::MIN;
    loop {
        let oldest = front.last().or(back.first()).or(coming.peek()).map(|(number, _)| *number);
        let Some(oldest) = oldest else { break };
        // The first window not yet made that has a row.
        let window = windowing.windows_of(oldest).0.max(next);
        next = window + 1;
        let (from, behind) = windowing.panes_of(window);
        while let Some((number, pane)) = coming.next_if(|(number, _)| *number < behind) {
            match &mut back_merged {
                Some(merged) => merged.merge(pane.clone())?,
                None => back_merged = Some(pane.clone()),
            }
            back.push((number, pane));
        }
        while front.last().or(back.first()).is_some_and(|(number, _)| *number < from) {
            if front.pop().is_some() {
                continue;
            }
            for (number, pane) in back.drain(..).rev() {
                let merged = match front.last() {
                    Some((_, younger)) => {
                        let mut merged = younger.clone();
                        merged.merge(pane)?;
                        merged
                    }
                    None => pane,
                };
                front.push((number, merged));
            }
            back_merged = None;
        }
        let mut whole = front.last().map(|(_, pane)| pane.clone());
        if let Some(back) = &back_merged {
            match &mut whole {
                Some(whole) => whole.merge(back.clone())?,
                None => whole = Some(back.clone()),
            }
        }
        if let Some(whole) = whole {
            found.push(closed(window, whole));
        }
    }
    Ok(found)
}
