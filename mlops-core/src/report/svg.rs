//! A small writer of SVG: elements, attributes and escaped text.

use std::fmt::Write as _;

use super::format;

/// Escapes text for HTML and SVG, inside elements and inside quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in format::clean(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Where a text stands to its point.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A picture being written; what is drawn later lies above.
#[derive(Debug)]
pub(crate) struct Svg {
    width: f64,
    height: f64,
    body: String,
}

/// A coordinate with a tenth of a pixel; what is not finite, which no caller should give, is 0.
fn at(value: f64) -> String {
    if !value.is_finite() {
        return "0".to_owned();
    }
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

impl Svg {
    /// An empty picture of this size.
    pub(crate) fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// An element without content but a tooltip.
    fn element(&mut self, name: &str, class: &str, attributes: &[(&str, f64)], tooltip: &str) {
        let _ = write!(self.body, "<{name} class=\"{class}\"");
        for (key, value) in attributes {
            let _ = write!(self.body, " {key}=\"{}\"", at(*value));
        }
        self.close(name, tooltip);
    }

    fn close(&mut self, name: &str, tooltip: &str) {
        if tooltip.is_empty() {
            self.body.push_str("/>");
        } else {
            let _ = write!(self.body, "><title>{}</title></{name}>", escape(tooltip));
        }
    }

    pub(crate) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ends = [("x1", from.0), ("y1", from.1), ("x2", to.0), ("y2", to.1)];
        self.element("line", class, &ends, "");
    }

    pub(crate) fn rect(
        &mut self,
        class: &str,
        corner: (f64, f64),
        size: (f64, f64),
        round: f64,
        tooltip: &str,
    ) {
        let sides = [
            ("x", corner.0),
            ("y", corner.1),
            ("width", size.0.max(0.0)),
            ("height", size.1.max(0.0)),
            ("rx", round),
        ];
        self.element("rect", class, &sides[..if round > 0.0 { 5 } else { 4 }], tooltip);
    }

    pub(crate) fn circle(&mut self, class: &str, center: (f64, f64), radius: f64, tooltip: &str) {
        let place = [("cx", center.0), ("cy", center.1), ("r", radius)];
        self.element("circle", class, &place, tooltip);
    }

    /// Rectangles as one path: left, top, width and height of each.
    pub(crate) fn cells(
        &mut self,
        class: &str,
        cells: impl IntoIterator<Item = (f64, f64, f64, f64)>,
        tooltip: &str,
    ) {
        let mut d = String::new();
        for (left, top, width, height) in cells {
            let (width, height) = (at(width.max(0.1)), at(height.max(0.1)));
            let _ = write!(d, "M{} {}h{width}v{height}h-{width}Z", at(left), at(top));
        }
        if d.is_empty() {
            return;
        }
        let _ = write!(self.body, "<path class=\"{class}\" d=\"{d}\"");
        self.close("path", tooltip);
    }

    /// Straight lines through these points, closed to an area or open.
    pub(crate) fn path(
        &mut self,
        class: &str,
        points: impl IntoIterator<Item = (f64, f64)>,
        closed: bool,
        tooltip: &str,
    ) {
        let mut d = String::new();
        for (i, (x, y)) in points.into_iter().enumerate() {
            let _ = write!(d, "{}{} {}", if i == 0 { 'M' } else { 'L' }, at(x), at(y));
        }
        if d.is_empty() {
            return;
        }
        if closed {
            d.push('Z');
        }
        let _ = write!(self.body, "<path class=\"{class}\" d=\"{d}\"");
        self.close("path", tooltip);
    }

    pub(crate) fn text(&mut self, class: &str, place: (f64, f64), anchor: Anchor, text: &str) {
        self.text_of(class, place, anchor, text, "");
    }

    /// A text of at most so many pixels; where it is longer, it is cut and told whole in a tooltip.
    pub(crate) fn label(
        &mut self,
        class: &str,
        place: (f64, f64),
        anchor: Anchor,
        text: &str,
        width: f64,
    ) {
        let clean = format::clean(text);
        let cut = format::truncated(&clean, (width / HALF_EM).max(2.0) as usize);
        let tooltip = if cut == clean { "" } else { text };
        self.text_of(class, place, anchor, &cut, tooltip);
    }

    /// A [`label`](Self::label) that may take two lines around its place, where words allow it:
    /// `African-American` over `(n = 3,696)`.
    pub(crate) fn two_lines(
        &mut self,
        class: &str,
        (x, y): (f64, f64),
        anchor: Anchor,
        text: &str,
        width: f64,
    ) {
        let clean = format::clean(text);
        let longer =
            |at: usize| format::width(&clean[..at]).max(format::width(clean[at..].trim_start()));
        let ends = clean.match_indices(' ').map(|(at, _)| at).filter(|at| *at > 0);
        match ends.min_by_key(|at| longer(*at)) {
            Some(at) if text_width(&clean) > width => {
                self.label(class, (x, y - 6.0), anchor, &clean[..at], width);
                self.label(class, (x, y + 6.5), anchor, clean[at..].trim_start(), width);
            }
            _ => self.label(class, (x, y), anchor, text, width),
        }
    }

    fn text_of(
        &mut self,
        class: &str,
        (x, y): (f64, f64),
        anchor: Anchor,
        text: &str,
        tooltip: &str,
    ) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let _ =
            write!(self.body, "<text class=\"{class}\" x=\"{}\" y=\"{}\"{anchor}>", at(x), at(y));
        if !tooltip.is_empty() {
            let _ = write!(self.body, "<title>{}</title>", escape(tooltip));
        }
        let _ = write!(self.body, "{}</text>", escape(text));
    }

    /// The picture with its title and description, under ids that are its own in the page.
    pub(crate) fn finish(self, class: &str, id: &str, title: &str, description: &str) -> String {
        let (width, height) = (at(self.width), at(self.height));
        format!(
            "<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" aria-labelledby=\"{id}t {id}d\">\
             <title id=\"{id}t\">{}</title><desc id=\"{id}d\">{}</desc>{}</svg>",
            escape(title),
            escape(description),
            self.body
        )
    }
}

/// About half the height of a label's letters, what most of them are wide.
const HALF_EM: f64 = 7.0;

/// About how many pixels a label is wide.
pub(crate) fn text_width(text: &str) -> f64 {
    format::width(text) as f64 * HALF_EM
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_take_two_lines_where_words_allow_it() {
        let texts = |text: &str| {
            let mut svg = Svg::new(400.0, 40.0);
            svg.two_lines("name", (100.0, 20.0), Anchor::End, text, 18.0 * HALF_EM);
            let parts = svg.body.split("</text>").filter(|part| !part.is_empty());
            parts.map(|part| part.rsplit('>').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(texts("Native American (n = 18)"), ["Native American", "(n = 18)"]);
        assert_eq!(texts("Other (n = 377)"), ["Other (n = 377)"]);
        assert_eq!(texts("nothing_that_could_be_broken"), ["nothing_that_coul…"]);
        assert_eq!(texts(" "), [" "]);
        assert_eq!(
            texts("žluťoučký kůň úpěl ďábelské ódy"),
            ["žluťoučký kůň", "úpěl ďábelské ódy"]
        );
    }
}
