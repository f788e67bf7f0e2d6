//! Charts as SVG.

use super::axis::Axis;
use super::chart::{Chart, Place, Shape, ShapeKind};
use super::draw::{Frame, Rows, Size, scale};
use super::figure::Figure;
use super::format;
use super::svg::{Anchor, Svg, text_width};

/// Shapes that are drawn; a picture with more says no more.
const SHAPES: usize = 20_000;

/// Where a chart's numbers lie on the page.
struct Plane {
    x: Axis,
    left: f64,
    right: f64,
    y: Option<Axis>,
    top: f64,
    bottom: f64,
    rows: f64,
}

impl Plane {
    fn x(&self, value: f64) -> f64 {
        self.left + self.x.held(value) * (self.right - self.left)
    }

    fn y(&self, value: f64) -> f64 {
        match &self.y {
            Some(axis) => self.bottom - axis.held(value) * (self.bottom - self.top),
            None => self.top + (value / self.rows).clamp(0.0, 1.0) * (self.bottom - self.top),
        }
    }
}

/// The numbers of a shape along the two axes.
fn numbers(shape: &Shape) -> (Vec<f64>, Vec<f64>) {
    let every = |n: usize, of: &'static [usize]| -> Vec<f64> {
        shape.at.chunks_exact(n).flat_map(|at| of.iter().map(|i| at[*i])).collect()
    };
    match shape.kind {
        ShapeKind::Cells => (every(4, &[0, 1]), every(4, &[2, 3])),
        ShapeKind::Line | ShapeKind::Dot => (every(2, &[0]), every(2, &[1])),
        ShapeKind::Arrow | ShapeKind::Link => (every(3, &[0, 1]), every(3, &[2])),
    }
}

pub(super) fn chart(plot: &Chart, figure: &Figure, size: Size) -> Option<Svg> {
    let shapes = &plot.shapes[..plot.shapes.len().min(SHAPES)];
    let finite = |shape: &&Shape| !shape.at.is_empty() && shape.at.iter().all(|x| x.is_finite());
    if !shapes.iter().any(|s| finite(&s)) {
        return None;
    }
    let shapes: Vec<&Shape> = shapes.iter().filter(finite).collect();
    let across = shapes.iter().flat_map(|s| numbers(s).0).chain(plot.places.iter().map(|p| p.at));
    let steps = if size == Size::Wide { 6 } else { 4 };
    let x = match &plot.ticks {
        Some(_) => Axis::exact(across, steps),
        None => Axis::covering(across, steps),
    };
    let (mut svg, plane) = if plot.rows.is_empty() {
        numbered(plot, figure, size, x, &shapes)
    } else {
        named(plot, figure, size, x)
    };
    for shape in shapes {
        draw(&mut svg, &plane, shape);
    }
    Some(svg)
}

/// The axes of a chart with rows.
fn named(plot: &Chart, figure: &Figure, size: Size, x: Axis) -> (Svg, Plane) {
    let head = if plot.places.is_empty() { 4.0 } else { 20.0 };
    let notes = plot.rows.iter().map(|r| text_width(&r.note)).fold(0.0, f64::max);
    let room = if notes > 0.0 { notes + 14.0 } else { 12.0 };
    let names = plot.rows.iter().flat_map(|r| [r.label.as_str(), r.detail.as_str()]);
    let rows = Rows::new(names, size, room);
    let bottom = head + plot.row_height * plot.rows.len() as f64;
    let height = bottom + 22.0 + if figure.x_label.is_some() { 18.0 } else { 0.0 };
    let mut svg = Svg::new(size.width(), height);
    if let Some(ticks) = &plot.ticks {
        labels(&mut svg, ticks, |at| rows.x(x.held(at)), bottom, size);
    } else {
        scale(&mut svg, &x, &rows, bottom);
    }
    for (i, row) in plot.rows.iter().enumerate() {
        let middle = head + plot.row_height * (i as f64 + 0.5);
        svg.line("guide", (rows.left(), middle), (rows.right(), middle));
        let up = if row.detail.is_empty() { 4.0 } else { -2.0 };
        svg.label("name", (rows.label(), middle + up), Anchor::End, &row.label, rows.label());
        if !row.detail.is_empty() {
            let place = (rows.label(), middle + 11.0);
            svg.label("tick", place, Anchor::End, &row.detail, rows.label());
        }
        if !row.note.is_empty() {
            svg.text("value", (size.width() - 2.0, middle + 4.0), Anchor::End, &row.note);
        }
    }
    places(&mut svg, &plot.places, |at| rows.x(x.held(at)), (head, bottom), size);
    if let Some(label) = &figure.x_label {
        // In the middle of the shapes, or of the page where it is longer than they are wide.
        let half = text_width(label).min(size.width()) / 2.0;
        let middle = f64::midpoint(rows.left(), rows.right());
        let middle = middle.min(size.width() - half).max(half);
        svg.label("tick", (middle, bottom + 35.0), Anchor::Middle, label, size.width());
    }
    let count = plot.rows.len() as f64;
    let (left, right) = (rows.left(), rows.right());
    (svg, Plane { x, left, right, y: None, top: head, bottom, rows: count })
}

/// The axes of a chart of numbers.
fn numbered(plot: &Chart, figure: &Figure, size: Size, x: Axis, shapes: &[&Shape]) -> (Svg, Plane) {
    let up = shapes.iter().flat_map(|s| numbers(s).1);
    let y = Axis::covering(up, if size == Size::Wide { 5 } else { 4 });
    let mut svg = Svg::new(size.width(), size.height());
    let frame = Frame::draw(&mut svg, figure, size, y.clone(), false);
    let (left, right, top, bottom) = frame.sides();
    let place = |at: f64| left + x.held(at) * (right - left);
    match &plot.ticks {
        Some(ticks) => labels(&mut svg, ticks, place, bottom, size),
        None => {
            frame.x_labels(&mut svg, x.ticks().into_iter().map(|(at, label)| (place(at), label)));
        }
    }
    places(&mut svg, &plot.places, place, (top, bottom), size);
    (svg, Plane { x, left, right, y: Some(y), top, bottom, rows: 1.0 })
}

/// Words below the horizontal axis; those that would run into the one before are left out.
fn labels(svg: &mut Svg, ticks: &[Place], x: impl Fn(f64) -> f64, bottom: f64, size: Size) {
    let mut free = f64::NEG_INFINITY;
    for tick in ticks.iter().filter(|tick| tick.at.is_finite()) {
        let label = format::truncated(&format::clean(&tick.label), 16);
        let half = text_width(&label) / 2.0;
        let x = x(tick.at).min(size.width() - half).max(half);
        if x - half >= free {
            svg.text("tick", (x, bottom + 16.0), Anchor::Middle, &label);
            free = x + half + 8.0;
        }
    }
}

/// Lines with words above them.
fn places(
    svg: &mut Svg,
    places: &[Place],
    x: impl Fn(f64) -> f64,
    (top, bottom): (f64, f64),
    size: Size,
) {
    let mut places: Vec<_> = places.iter().filter(|p| p.at.is_finite()).collect();
    places.sort_by(|a, b| a.at.total_cmp(&b.at));
    let words: Vec<_> = places
        .iter()
        .map(|place| {
            let label = format::truncated(&format::clean(&place.label), 40);
            let half = text_width(&label) / 2.0;
            (x(place.at), half, label)
        })
        .collect();
    let held = |middle: f64, half: f64| middle.min(size.width() - half).max(half);
    let mut middles: Vec<f64> = words.iter().map(|(at, half, _)| held(*at, *half)).collect();
    // Two that would run into each other stand on either side of their lines.
    for i in 1..words.len() {
        let ((left, a, _), (right, b, _)) = (&words[i - 1], &words[i]);
        if middles[i - 1] + a + 10.0 > middles[i] - b {
            middles[i - 1] = held(left - a - 2.0, *a);
            middles[i] = held(right + b + 2.0, *b);
        }
    }
    let mut free = f64::NEG_INFINITY;
    for ((at, half, label), middle) in words.into_iter().zip(middles) {
        svg.line("mark", (at, top), (at, bottom));
        if !label.is_empty() && middle - half >= free {
            svg.text("markname", (middle, top - 7.0), Anchor::Middle, &label);
            free = middle + half + 4.0;
        }
    }
}

fn draw(svg: &mut Svg, plane: &Plane, shape: &Shape) {
    let tone = shape.tone.class();
    match shape.kind {
        ShapeKind::Cells => {
            let cells = shape.at.chunks_exact(4).map(|at| {
                let [left, right] = [at[0], at[1]].map(|x| plane.x(x));
                let [a, b] = [at[2], at[3]].map(|y| plane.y(y));
                (left.min(right), a.min(b), (right - left).abs(), (a - b).abs())
            });
            svg.cells(&format!("cell {tone}"), cells, &shape.tooltip);
        }
        ShapeKind::Line => {
            let points = shape.at.chunks_exact(2).map(|at| (plane.x(at[0]), plane.y(at[1])));
            svg.path(&format!("thread {tone}"), points, false, &shape.tooltip);
        }
        ShapeKind::Dot => {
            let place = (plane.x(shape.at[0]), plane.y(shape.at[1]));
            svg.circle(&format!("grain {tone}"), place, 3.4, &shape.tooltip);
        }
        ShapeKind::Arrow | ShapeKind::Link => arrow(svg, plane, shape, &tone),
    }
}

fn arrow(svg: &mut Svg, plane: &Plane, shape: &Shape, tone: &str) {
    let [from, to] = [shape.at[0], shape.at[1]].map(|x| plane.x(x));
    let middle = plane.y(shape.at[2]);
    let half = ((plane.bottom - plane.top) / plane.rows * 0.34).clamp(4.0, 12.0);
    let way = if to < from { -1.0 } else { 1.0 };
    let length = (to - from).abs();
    let tip = length.min(half * 0.7);
    let neck = to - way * tip;
    let is_link = shape.kind == ShapeKind::Link;
    // A link begins with the notch that the tip of the one before fills.
    let notch = if is_link { from + way * tip } else { from };
    let corners = [
        (from, middle - half),
        (neck, middle - half),
        (to, middle),
        (neck, middle + half),
        (from, middle + half),
        (notch, middle),
    ];
    let class = if is_link { format!("cell link {tone}") } else { format!("cell {tone}") };
    svg.path(&class, corners, true, &shape.tooltip);
    if shape.label.is_empty() {
        return;
    }
    let width = text_width(&shape.label) * 0.92;
    // Inside where there is room, else beside it, where the page has more.
    if width + tip + 6.0 < length {
        let at = f64::midpoint(from, neck);
        svg.text("inside", (at, middle + 4.0), Anchor::Middle, &shape.label);
    } else if is_link {
        // Beside it stands the next.
    } else if from.max(to) + width + 5.0 <= plane.right + 8.0 {
        svg.text("value", (from.max(to) + 5.0, middle + 4.0), Anchor::Start, &shape.label);
    } else {
        svg.text("value", (from.min(to) - 5.0, middle + 4.0), Anchor::End, &shape.label);
    }
}
