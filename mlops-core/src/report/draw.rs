//! Figures as SVG.

use super::axis::Axis;
use super::figure::{Bars, Bins, Distribution, Figure, Intervals, Line, Plot};
use super::format;
use super::svg::{Anchor, Svg, text_width};
use super::table::{Cell, DIGITS};
use crate::Verdict;

/// Categories that are drawn before "and N more".
const CATEGORIES: usize = 16;

/// Points of a line that get a dot of their own.
const DOTS: usize = 60;

/// Points of a line that are looked at; a picture has no more pixels, and the page stays small.
const POINTS: usize = 4000;

/// How wide a picture is drawn: a column's width, or the page's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Narrow,
    Wide,
}

impl Size {
    pub(super) fn width(self) -> f64 {
        match self {
            Self::Narrow => 360.0,
            Self::Wide => 960.0,
        }
    }

    pub(super) fn height(self) -> f64 {
        match self {
            Self::Narrow => 180.0,
            Self::Wide => 250.0,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Narrow => "narrow",
            Self::Wide => "wide",
        }
    }
}

/// The picture; `None` for what is a table, and where there is nothing to draw.
pub(crate) fn svg(figure: &Figure, size: Size, id: &str) -> Option<String> {
    let picture = match &figure.plot {
        Plot::Distribution(plot) => distribution(plot, figure, size),
        Plot::Line(plot) => line(plot, figure, size),
        Plot::Bars(plot) => bars(plot, figure, size),
        Plot::Intervals(plot) => intervals(plot, figure, size),
        Plot::HeatMap(_) => None,
        Plot::Chart(plot) => super::draw_chart::chart(plot, figure, size),
    }?;
    Some(picture.finish(size.class(), id, &figure.title, &description(figure)))
}

/// What the picture shows, in words, for who can't see it.
fn description(figure: &Figure) -> String {
    let text = match &figure.plot {
        Plot::Distribution(plot) => {
            let names: Vec<_> = plot.series.iter().map(|s| s.name.as_str()).collect();
            format!("Share of rows in {} bins: {}.", plot.labels().len(), names.join(" against "))
        }
        Plot::Line(plot) => {
            let names: Vec<_> = plot.series.iter().map(|s| s.name.as_str()).collect();
            let bounds: Vec<_> = plot.bounds.iter().map(ToString::to_string).collect();
            let marks: Vec<_> = plot.marks.iter().map(|m| m.label.as_str()).collect();
            let mut text = format!("{} over {} points.", names.join(", "), plot.points.len());
            if !bounds.is_empty() {
                text = format!("{text} Bounds: {}.", bounds.join(", "));
            }
            if !marks.is_empty() {
                text = format!("{text} Marked: {}.", marks.join(", "));
            }
            text
        }
        Plot::Bars(plot) => format!("{} bars.", plot.bars.len()),
        Plot::Intervals(plot) => {
            let bounds: Vec<_> = plot.bounds.iter().map(ToString::to_string).collect();
            format!("{} points with intervals. Bounds: {}.", plot.rows.len(), bounds.join(", "))
        }
        Plot::HeatMap(plot) => {
            format!("{} rows by {} columns.", plot.rows.len(), plot.columns.len())
        }
        Plot::Chart(plot) => {
            let rows: Vec<_> = plot.rows.iter().map(|r| r.label.as_str()).collect();
            let places: Vec<_> = plot.places.iter().map(|p| p.label.as_str()).collect();
            let mut text = match rows.len() {
                0 => format!("{} shapes.", plot.shapes.len()),
                n => format!("{n} rows: {}.", rows.join(", ")),
            };
            if !places.is_empty() {
                text = format!("{text} Marked: {}.", places.join(", "));
            }
            text
        }
    };
    format!("{text} The numbers are in the table below the picture.")
}

/// A rectangle with a vertical axis, inside which values are drawn.
pub(super) struct Frame {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    y: Axis,
}

impl Frame {
    /// Draws the grid and the labels of the vertical axis, and leaves room for the horizontal one.
    pub(super) fn draw(svg: &mut Svg, figure: &Figure, size: Size, y: Axis, percent: bool) -> Self {
        let ticks: Vec<_> = y
            .ticks()
            .into_iter()
            .map(|(at, label)| (at, if percent { share_tick(at) } else { label }))
            .collect();
        let widest = ticks.iter().map(|(_, l)| text_width(l)).fold(0.0, f64::max);
        let top = if figure.y_label.is_some() { 24.0 } else { 12.0 };
        let frame = Self {
            left: widest + 12.0,
            right: size.width() - 12.0,
            top,
            bottom: size.height() - if figure.x_label.is_some() { 40.0 } else { 24.0 },
            y,
        };
        if let Some(label) = &figure.y_label {
            svg.label("tick", (0.0, 11.0), Anchor::Start, label, size.width());
        }
        for (value, label) in &ticks {
            let y = frame.y(*value);
            let class = if *value == 0.0 { "axis" } else { "grid" };
            svg.line(class, (frame.left, y), (frame.right, y));
            svg.text("tick", (frame.left - 7.0, y + 4.0), Anchor::End, label);
        }
        if let Some(label) = &figure.x_label {
            let middle = f64::midpoint(frame.left, frame.right);
            svg.label("tick", (middle, size.height() - 5.0), Anchor::Middle, label, frame.width());
        }
        frame
    }

    /// Its left, right, top and bottom.
    pub(super) fn sides(&self) -> (f64, f64, f64, f64) {
        (self.left, self.right, self.top, self.bottom)
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom - self.y.held(value) * (self.bottom - self.top)
    }

    fn width(&self) -> f64 {
        self.right - self.left
    }

    /// Labels under the horizontal axis; those that would run into the one before are left out.
    pub(super) fn x_labels(&self, svg: &mut Svg, labels: impl IntoIterator<Item = (f64, String)>) {
        let mut free = f64::NEG_INFINITY;
        for (x, label) in labels {
            let label = format::truncated(&format::clean(&label), 18);
            let half = text_width(&label) / 2.0;
            // At the edges a label moves inwards rather than out of the picture.
            let x = x.min(self.right + 11.0 - half).max(half);
            if x - half >= free {
                svg.text("tick", (x, self.bottom + 17.0), Anchor::Middle, &label);
                free = x + half + 10.0;
            }
        }
    }
}

/// A share on an axis.
fn share_tick(share: f64) -> String {
    let value = share * 100.0;
    let text = format!("{value:.2}");
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Places along an axis, from 0 to 1, and labels at such places.
type Slots = (Vec<f64>, Vec<(f64, String)>);

/// The places of bin edges, and which of them have a label; equal slots where the bins are not
/// equally wide, because a share can't be read off an area.
fn slots(edges: &[f64]) -> Option<Slots> {
    let n = edges.len().checked_sub(1).filter(|n| *n > 0)?;
    if !edges.windows(2).all(|pair| pair[0] < pair[1]) {
        return None;
    }
    let width = (edges[n] - edges[0]) / n as f64;
    let even = width.is_finite()
        && edges.windows(2).all(|pair| ((pair[1] - pair[0]) / width - 1.0).abs() < 1e-3);
    if even {
        let axis = Axis::exact([edges[0], edges[n]], 4);
        let places = edges.iter().map(|e| axis.at(*e)).collect();
        let labels = axis.ticks().into_iter().map(|(v, label)| (axis.at(v), label)).collect();
        Some((places, labels))
    } else {
        let place = |i: usize| i as f64 / n as f64;
        let label = |(i, e): (usize, &f64)| (place(i), format::number(*e, 3));
        Some(((0..=n).map(place).collect(), edges.iter().enumerate().map(label).collect()))
    }
}

fn distribution(plot: &Distribution, figure: &Figure, size: Size) -> Option<Svg> {
    if plot.series.iter().all(|s| s.total() == 0) {
        return None;
    }
    let Bins::Edges(edges) = &plot.bins else { return Some(categories(plot, figure, size)) };
    let Some((places, labels)) = slots(edges) else {
        return Some(categories(plot, figure, size));
    };
    let bins = places.len() - 1;
    let share = |series: usize, bin: usize| {
        let s = &plot.series[series];
        let share = s.share(s.counts.get(bin).copied().unwrap_or(0));
        if share.is_finite() { share } else { 0.0 }
    };
    let missing = plot.series.iter().any(|s| s.missing > 0);
    let shares = plot
        .series
        .iter()
        .enumerate()
        .flat_map(|(k, s)| (0..bins).map(move |i| share(k, i)).chain([s.share(s.missing)]));
    let y = Axis::covering(shares.chain([0.0]), if size == Size::Wide { 4 } else { 3 });

    let mut svg = Svg::new(size.width(), size.height());
    let frame = Frame::draw(&mut svg, figure, size, y, true);
    let right = if missing { frame.right - 66.0 } else { frame.right };
    let x = |place: f64| frame.left + place * (right - frame.left);
    for (k, _) in plot.series.iter().enumerate() {
        let steps = || (0..bins).flat_map(|i| [(i, share(k, i)), (i + 1, share(k, i))]);
        let outline = steps().map(|(edge, v)| (x(places[edge]), frame.y(v)));
        let ends = [(x(0.0), frame.bottom)];
        let closed = ends.into_iter().chain(outline.clone()).chain([(x(1.0), frame.bottom)]);
        svg.path(&format!("area s{}", k % 6), closed, true, "");
        svg.path(&format!("step s{}", k % 6), outline, false, "");
    }
    let names = plot.labels();
    for i in 0..bins {
        // What lies under the pointer says its numbers.
        let tooltip = plot.series.iter().enumerate().fold(names[i].clone(), |text, (k, s)| {
            format!("{text}\u{a0}· {} {}", s.name, format::percent(share(k, i), 3))
        });
        let left = x(places[i]);
        let area = (x(places[i + 1]) - left, frame.bottom - frame.top);
        svg.rect("hit", (left, frame.top), area, 0.0, &tooltip);
    }
    frame.x_labels(&mut svg, labels.into_iter().map(|(place, label)| (x(place), label)));
    if missing {
        let middle = frame.right - 24.0;
        svg.rect("missing", (middle - 24.0, frame.top), (48.0, frame.bottom - frame.top), 4.0, "");
        let count = plot.series.len() as f64;
        let wide = (36.0 / count).min(14.0);
        for (k, s) in plot.series.iter().enumerate() {
            let value = s.share(s.missing);
            let top = frame.y(if value.is_finite() { value } else { 0.0 });
            let left = middle + (k as f64 - count / 2.0) * wide;
            let tooltip = format!("missing · {} {}", s.name, format::percent(value, 3));
            let bar = (wide - 1.5, frame.bottom - top);
            svg.rect(&format!("bar s{}", k % 6), (left, top), bar, 1.0, &tooltip);
        }
        svg.text("tick", (middle, frame.bottom + 17.0), Anchor::Middle, "missing");
    }
    Some(svg)
}

/// Rows of bars with their names on the left.
pub(super) struct Rows {
    left: f64,
    right: f64,
    label: f64,
}

impl Rows {
    pub(super) fn new<'a>(
        labels: impl IntoIterator<Item = &'a str>,
        size: Size,
        room: f64,
    ) -> Self {
        let widest = labels.into_iter().map(text_width).fold(0.0, f64::max);
        let label = widest.clamp(24.0, size.width() * 0.36);
        Self { left: label + 12.0, right: size.width() - room, label }
    }

    pub(super) fn x(&self, share: f64) -> f64 {
        self.left + share * (self.right - self.left)
    }

    /// Where the bars begin.
    pub(super) fn left(&self) -> f64 {
        self.left
    }

    /// Where they end.
    pub(super) fn right(&self) -> f64 {
        self.right
    }

    /// Where the names end.
    pub(super) fn label(&self) -> f64 {
        self.label
    }
}

fn categories(plot: &Distribution, figure: &Figure, size: Size) -> Svg {
    // The numbers beside the bars are as high as this.
    const BAR: f64 = 13.0;
    let mut names = plot.labels();
    let hidden = names.len().saturating_sub(CATEGORIES);
    let shown = names.len() - hidden;
    names.truncate(shown);
    let missing = plot.series.iter().any(|s| s.missing > 0);
    if missing {
        names.push("missing".to_owned());
    }
    let share = |series: usize, row: usize| {
        let s = &plot.series[series];
        let n = if row < shown { s.counts.get(row).copied().unwrap_or(0) } else { s.missing };
        s.share(n)
    };
    let all = (0..plot.series.len()).flat_map(|k| (0..names.len()).map(move |i| (k, i)));
    let full = all.map(|(k, i)| share(k, i)).filter(|v| v.is_finite()).fold(0.0, f64::max);
    let row = BAR * plot.series.len() as f64 + 12.0;
    let extra =
        if hidden > 0 { 20.0 } else { 0.0 } + if figure.x_label.is_some() { 20.0 } else { 0.0 };
    let mut svg = Svg::new(size.width(), row * names.len() as f64 + extra + 4.0);
    let rows = Rows::new(names.iter().map(String::as_str), size, 56.0);
    for (i, name) in names.iter().enumerate() {
        let top = row * i as f64 + 6.0;
        let middle = top + (row - 12.0) / 2.0 + 4.0;
        let class = if i < shown { "name" } else { "tick" };
        svg.label(class, (rows.label, middle), Anchor::End, name, rows.label);
        for (k, s) in plot.series.iter().enumerate() {
            let value = share(k, i);
            let end = rows.x(Cell::fill(value, full));
            let y = top + BAR * k as f64;
            let tooltip = format!("{name} · {} {}", s.name, format::percent(value, 3));
            let bar = (end - rows.left, BAR - 2.5);
            svg.rect(&format!("bar s{}", k % 6), (rows.left, y), bar, 1.5, &tooltip);
            svg.text(
                "value",
                (end + 5.0, y + BAR - 3.5),
                Anchor::Start,
                &format::percent(value, 3),
            );
        }
    }
    let mut y = row * names.len() as f64 + 14.0;
    if hidden > 0 {
        let more = format!("and {} more", format::count(hidden as u64));
        svg.text("tick", (rows.left, y), Anchor::Start, &more);
        y += 20.0;
    }
    if let Some(label) = &figure.x_label {
        svg.label("tick", (rows.left, y), Anchor::Start, label, rows.right - rows.left);
    }
    svg
}

fn line(plot: &Line, figure: &Figure, size: Size) -> Option<Svg> {
    let n = plot.points.len();
    let values = plot.series.iter().flat_map(|s| s.values.iter().chain(&s.low).chain(&s.high));
    if n == 0 || !values.clone().any(|v| v.is_finite()) {
        return None;
    }
    let bounds = plot.bounds.iter().map(|b| b.at);
    let y = Axis::covering(values.copied().chain(bounds), if size == Size::Wide { 5 } else { 4 });
    let height = size.height() + if plot.marks.is_empty() { 0.0 } else { 20.0 };
    let mut svg = Svg::new(size.width(), height);
    let mut frame = Frame::draw(&mut svg, figure, size, y, false);
    // The marks' words stand in a band of their own below the axis' labels.
    let words = height - 6.0;
    frame.right -= 4.0;
    let step = frame.width() / n.saturating_sub(1).max(1) as f64;
    let x = |i: usize| {
        if n == 1 { frame.left + frame.width() / 2.0 } else { frame.left + step * i as f64 }
    };
    // Every so-manyth point of a very long line; all of them are in the table and the JSON.
    let stride = n.div_ceil(POINTS);
    let points = || (0..n).step_by(stride);

    for (k, s) in plot.series.iter().enumerate() {
        let limits = |i: usize| match (s.low.get(i), s.high.get(i)) {
            (Some(low), Some(high)) if low.is_finite() && high.is_finite() => Some((*low, *high)),
            _ => None,
        };
        for run in runs(points(), |i| limits(i).is_some()) {
            let low = run.iter().filter_map(|i| limits(*i).map(|l| (x(*i), frame.y(l.0))));
            let high = run.iter().rev().filter_map(|i| limits(*i).map(|l| (x(*i), frame.y(l.1))));
            svg.path(&format!("band s{}", k % 6), low.chain(high), true, "");
        }
    }
    for bound in plot.bounds.iter().filter(|b| b.at.is_finite()) {
        let y = frame.y(bound.at);
        svg.line("bound", (frame.left, y), (frame.right, y));
    }
    for (k, s) in plot.series.iter().enumerate() {
        let value = |i: usize| s.values.get(i).copied().filter(|v| v.is_finite());
        for run in runs(points(), |i| value(i).is_some()) {
            let line = run.iter().filter_map(|i| value(*i).map(|v| (x(*i), frame.y(v))));
            svg.path(&format!("line s{}", k % 6), line, false, "");
        }
        if n <= DOTS {
            for i in 0..n {
                let place = format::clean(&plot.points[i]);
                match value(i) {
                    Some(v) => {
                        let tooltip = format!("{place} · {} {}", s.name, format::number(v, DIGITS));
                        svg.circle(&format!("dot s{}", k % 6), (x(i), frame.y(v)), 3.0, &tooltip);
                    }
                    None => svg.text("gone", (x(i), frame.bottom - 4.0), Anchor::Middle, "×"),
                }
            }
        }
    }
    // Their names lie above the lines.
    for bound in plot.bounds.iter().filter(|b| b.at.is_finite()) {
        let y = frame.y(bound.at);
        // Above the line, unless that is outside the picture.
        let below = if y - frame.top < 14.0 { 14.0 } else { -5.0 };
        let text = bound.to_string();
        svg.label("boundname", (frame.right, y + below), Anchor::End, &text, frame.width());
    }
    frame.x_labels(&mut svg, (0..n).step_by(stride).map(|i| (x(i), plot.points[i].clone())));
    let mut free = f64::NEG_INFINITY;
    let mut marks: Vec<_> = plot.marks.iter().filter(|m| m.index < n).collect();
    marks.sort_by_key(|m| m.index);
    for mark in marks {
        let x = x(mark.index);
        svg.line("mark", (x, frame.top), (x, frame.bottom));
        let label = format::truncated(&format::clean(&mark.label), 30);
        let half = text_width(&label) / 2.0;
        let place = x.min(size.width() - half).max(half);
        if place - half >= free {
            svg.text("markname", (place, words), Anchor::Middle, &label);
            free = place + half + 10.0;
        }
    }
    Some(svg)
}

/// The runs of neighbouring points that have a value.
fn runs(points: impl Iterator<Item = usize>, has: impl Fn(usize) -> bool) -> Vec<Vec<usize>> {
    let mut runs = vec![Vec::new()];
    for i in points {
        match runs.last_mut() {
            Some(run) if has(i) => run.push(i),
            Some(run) if !run.is_empty() => runs.push(Vec::new()),
            _ => {}
        }
    }
    runs.retain(|run: &Vec<usize>| !run.is_empty());
    runs
}

fn bars(plot: &Bars, figure: &Figure, size: Size) -> Option<Svg> {
    const ROW: f64 = 24.0;
    let shown = &plot.bars[..plot.bars.len().min(plot.limit)];
    let hidden = plot.bars.len() - shown.len();
    if shown.is_empty() {
        return None;
    }
    let finite = shown.iter().map(|b| b.value).filter(|v| v.is_finite());
    let axis = Axis::covering(finite.chain([0.0]), 4);
    let values: Vec<_> = shown.iter().map(|b| format::number(b.value, 3)).collect();
    let widest = values.iter().map(|v| text_width(v)).fold(0.0, f64::max) + 10.0;
    let mut rows = Rows::new(shown.iter().map(|b| b.label.as_str()), size, widest);
    if axis.low() < 0.0 {
        // The values of negative bars stand to their left.
        rows.left += widest;
    }
    let bottom = ROW * shown.len() as f64 + 4.0;
    let height = bottom + 22.0 + if hidden > 0 { 18.0 } else { 0.0 };
    let height = height + if figure.x_label.is_some() { 18.0 } else { 0.0 };
    let mut svg = Svg::new(size.width(), height);
    scale(&mut svg, &axis, &rows, bottom);
    let zero = rows.x(axis.held(0.0));
    svg.line("axis", (zero, 0.0), (zero, bottom));
    for (i, (bar, value)) in shown.iter().zip(&values).enumerate() {
        let top = ROW * i as f64 + 5.0;
        let end = if bar.value.is_finite() { rows.x(axis.held(bar.value)) } else { zero };
        svg.label("name", (rows.label, top + 13.0), Anchor::End, &bar.label, rows.label);
        let tooltip = format!("{} {}", bar.label, format::number(bar.value, DIGITS));
        let class = if bar.value < 0.0 { "bar neg" } else { "bar pos" };
        let (left, width) = (zero.min(end), (zero - end).abs());
        svg.rect(class, (left, top), (width, ROW - 8.0), 2.0, &tooltip);
        let place = (if end < zero { end - 5.0 } else { end + 5.0 }, top + 12.5);
        let anchor = if end < zero { Anchor::End } else { Anchor::Start };
        svg.text("value", place, anchor, value);
    }
    let mut y = bottom + 34.0;
    if hidden > 0 {
        let more = format!("and {} more", format::count(hidden as u64));
        svg.text("tick", (rows.left, y), Anchor::Start, &more);
        y += 18.0;
    }
    if let Some(label) = &figure.x_label {
        let middle = f64::midpoint(rows.left, rows.right);
        svg.label("tick", (middle, y), Anchor::Middle, label, rows.right - rows.left);
    }
    Some(svg)
}

/// Vertical grid lines and their labels below.
pub(super) fn scale(svg: &mut Svg, axis: &Axis, rows: &Rows, bottom: f64) {
    let mut free = f64::NEG_INFINITY;
    for (value, label) in axis.ticks() {
        let x = rows.x(axis.held(value));
        svg.line("grid", (x, 0.0), (x, bottom));
        let half = text_width(&label) / 2.0;
        if x - half >= free {
            svg.text("tick", (x, bottom + 16.0), Anchor::Middle, &label);
            free = x + half + 8.0;
        }
    }
}

fn intervals(plot: &Intervals, figure: &Figure, size: Size) -> Option<Svg> {
    const ROW: f64 = 28.0;
    if plot.rows.is_empty() {
        return None;
    }
    let axis = plot.axis(if size == Size::Wide { 6 } else { 4 });
    let values: Vec<_> = plot.rows.iter().map(|r| format::number(r.value, 3)).collect();
    let widest = values.iter().map(|v| text_width(v)).fold(0.0, f64::max) + 14.0;
    let rows = Rows::new(plot.rows.iter().map(|r| r.label.as_str()), size, widest);
    let head = if plot.bounds.is_empty() { 4.0 } else { 20.0 };
    let bottom = head + ROW * plot.rows.len() as f64 + 2.0;
    let height = bottom + 22.0 + if figure.x_label.is_some() { 18.0 } else { 0.0 };
    let mut svg = Svg::new(size.width(), height);
    for (value, label) in axis.ticks() {
        let x = rows.x(axis.held(value));
        svg.line("grid", (x, head), (x, bottom));
        svg.text("tick", (x, bottom + 16.0), Anchor::Middle, &label);
    }
    let mut free = f64::NEG_INFINITY;
    for bound in plot.bounds.iter().filter(|b| b.at.is_finite()) {
        let x = rows.x(axis.held(bound.at));
        svg.line("bound", (x, head - 4.0), (x, bottom));
        let label = bound.to_string();
        let half = text_width(&label) / 2.0;
        let place = x.min(size.width() - half).max(half);
        if place - half >= free {
            svg.text("boundname", (place, 11.0), Anchor::Middle, &label);
            free = place + half + 10.0;
        }
    }
    for (i, (row, value)) in plot.rows.iter().zip(&values).enumerate() {
        let y = head + ROW * (i as f64 + 0.5);
        svg.two_lines("name", (rows.label, y + 4.0), Anchor::End, &row.label, rows.label);
        let class = match row.verdict {
            Some(Verdict::Pass) => "pass",
            Some(Verdict::Fail) => "fail",
            Some(Verdict::Inconclusive) => "unsure",
            None => "plain",
        };
        if let Some((low, high)) = row.interval.filter(|(l, h)| !l.is_nan() && !h.is_nan()) {
            let [from, to] = [low, high].map(|v| rows.x(axis.held(v)));
            svg.line(&format!("whisker {class}"), (from, y), (to, y));
            // An end that runs out of the picture has no cap.
            for (limit, x) in [(low, from), (high, to)] {
                if limit.is_finite() {
                    svg.line(&format!("whisker {class}"), (x, y - 4.0), (x, y + 4.0));
                }
            }
        }
        if row.value.is_finite() {
            let x = rows.x(axis.held(row.value));
            let verdict = row.verdict.map(|v| format!(" · {v}")).unwrap_or_default();
            let limits = row.interval.map(|(l, h)| {
                format!(" [{}, {}]", format::number(l, DIGITS), format::number(h, DIGITS))
            });
            let number = format::number(row.value, DIGITS);
            let tooltip = format!("{} {number}{}{verdict}", row.label, limits.unwrap_or_default());
            match row.verdict {
                // The verdict is a shape, not only a colour.
                Some(Verdict::Fail) => {
                    let corners = [(x, y - 7.0), (x + 7.0, y), (x, y + 7.0), (x - 7.0, y)];
                    svg.path("point fail", corners, true, &tooltip);
                }
                Some(Verdict::Inconclusive) => svg.circle("ring unsure", (x, y), 5.0, &tooltip),
                _ => svg.circle(&format!("point {class}"), (x, y), 5.5, &tooltip),
            }
        }
        svg.text("value", (size.width() - 2.0, y + 4.0), Anchor::End, value);
    }
    if let Some(label) = &figure.x_label {
        let middle = f64::midpoint(rows.left, rows.right);
        svg.label("tick", (middle, bottom + 35.0), Anchor::Middle, label, rows.right - rows.left);
    }
    Some(svg)
}
