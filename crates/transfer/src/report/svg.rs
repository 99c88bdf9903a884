//! Writing SVG. A drawing is drawn at its natural size and styled by `plot.css`, which the page
//! holds once and a file of its own carries along.

use std::borrow::Cow;
use std::fmt::{Display, Write};

/// Colours and type of all drawings, light and dark.
pub const STYLE: &str = include_str!("../../templates/plot.css");

/// Text for an element or an attribute: markup is escaped, characters that XML forbids go.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

/// A drawing: what it shows, in one line and in a sentence, and its elements.
#[derive(Debug, Clone)]
pub struct Drawing {
    /// File name without extension; also makes ids unique on the page.
    pub name: Cow<'static, str>,
    width: f64,
    height: f64,
    title: String,
    description: String,
    body: String,
}

impl Drawing {
    /// An empty drawing. Units are CSS pixels.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        (width, height): (f64, f64),
        title: &str,
        description: &str,
    ) -> Self {
        let [title, description] = [title, description].map(escaped);
        Self { name: name.into(), width, height, title, description, body: String::new() }
    }

    /// The title, already fit for a page.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Shapes that this program made, moved and scaled. They are taken as they are.
    pub fn shapes(&mut self, (x, y): (f64, f64), scale: f64, shapes: &str) {
        self.write(format_args!(
            r#"<g transform="translate({x:.1} {y:.1}) scale({scale})">{shapes}</g>"#
        ));
    }

    /// A rectangle; a non-empty `tip` is shown by browsers when one points at it.
    pub fn rect(&mut self, class: &str, (x, y): (f64, f64), (w, h): (f64, f64), tip: &str) {
        let (w, h) = (w.max(0.0), h.max(0.0));
        let place = format!(r#"x="{x:.1}" y="{y:.1}" width="{w:.1}" height="{h:.1}""#);
        self.shape("rect", class, &place, tip);
    }

    /// A rectangle that is more or less opaque, from 0 to 1.
    pub fn cell(&mut self, class: &str, at: (f64, f64), size: f64, opacity: f64, tip: &str) {
        let (x, y) = at;
        let place = format!(
            r#"x="{x:.2}" y="{y:.2}" width="{size:.2}" height="{size:.2}" fill-opacity="{opacity:.2}""#
        );
        self.shape("rect", class, &place, tip);
    }

    /// A rectangle of any shape that is more or less opaque, from 0 to 1.
    pub fn tinted(
        &mut self,
        class: &str,
        (x, y): (f64, f64),
        (w, h): (f64, f64),
        opacity: f64,
        tip: &str,
    ) {
        let place = format!(
            r#"x="{x:.1}" y="{y:.1}" width="{w:.1}" height="{h:.1}" fill-opacity="{opacity:.2}""#
        );
        self.shape("rect", class, &place, tip);
    }

    /// A circle.
    pub fn circle(&mut self, class: &str, (x, y): (f64, f64), r: f64, tip: &str) {
        self.shape("circle", class, &format!(r#"cx="{x:.1}" cy="{y:.1}" r="{r:.1}""#), tip);
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let place = format!(r#"x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}""#);
        self.shape("line", class, &place, "");
    }

    /// Lines from point to point.
    pub fn polyline(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.shape("polyline", class, &format!(r#"points="{}""#, points.join(" ")), "");
    }

    /// A path; `d` holds numbers and commands only.
    pub fn path(&mut self, class: &str, d: &str, tip: &str) {
        self.shape("path", class, &format!(r#"d="{d}""#), tip);
    }

    /// Text with its baseline at `(x, y)`.
    pub fn text(&mut self, class: &str, (x, y): (f64, f64), text: impl Display) {
        let text = escaped(&text.to_string());
        self.write(format_args!(r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{text}</text>"#));
    }

    /// Text that runs upwards from `(x, y)`.
    pub fn text_upwards(&mut self, class: &str, (x, y): (f64, f64), text: impl Display) {
        let text = escaped(&text.to_string());
        self.write(format_args!(
            r#"<text class="{class}" transform="translate({x:.1} {y:.1}) rotate(-90)">{text}</text>"#
        ));
    }

    fn shape(&mut self, element: &str, class: &str, place: &str, tip: &str) {
        if tip.is_empty() {
            self.write(format_args!(r#"<{element} class="{class}" {place}/>"#));
        } else {
            let tip = escaped(tip);
            self.write(format_args!(
                r#"<{element} class="{class}" {place}><title>{tip}</title></{element}>"#
            ));
        }
    }

    fn write(&mut self, arguments: std::fmt::Arguments<'_>) {
        // Writing to a `String` cannot fail.
        let _ = self.body.write_fmt(arguments);
        self.body.push('\n');
    }

    /// For the page, which has [`STYLE`].
    pub fn inline(&self) -> String {
        self.element("")
    }

    /// A file of its own.
    pub fn standalone(&self) -> String {
        let style = format!(
            "<style>{STYLE}</style>\n<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n"
        );
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}", self.element(&style))
    }

    fn element(&self, first: &str) -> String {
        let Self { name, width, height, title, description, body } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\" \
             aria-labelledby=\"{name}-title {name}-desc\">\n\
             <title id=\"{name}-title\">{title}</title>\n<desc id=\"{name}-desc\">{description}</desc>\n\
             {first}{body}</svg>\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let mut drawing = Drawing::new("t", (10.0, 10.0), "<b>", "\"&\0");
        drawing.text("a", (0.0, 0.0), "</text><script>alert(1)</script>");
        drawing.rect("b", (0.0, 0.0), (1.0, 1.0), "</title><img src=x onerror='x'>");
        let svg = drawing.inline();
        for bad in ["<script", "<img", "<b>", "\0", "onerror='"] {
            assert!(!svg.contains(bad), "{svg}");
        }
        assert!(svg.contains("&lt;script&gt;"));
    }
}
