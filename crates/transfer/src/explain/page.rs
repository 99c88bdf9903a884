//! Explanations as one HTML page that needs neither a network nor a script.

use std::path::Path;

use askama::Template;

use super::shades::{Shade, shades};
use crate::documents::{Explanation, Part};
use crate::report::{png_uri, svg, words};
use crate::{Result, TransferError, durable};

/// Parts in the table beside a text.
const LISTED: usize = 8;

#[derive(Template)]
#[template(path = "explain.html")]
struct Page<'a> {
    run: &'a str,
    version: &'static str,
    plot_style: &'static str,
    page_style: &'static str,
    all: Vec<Shown<'a>>,
}

struct Shown<'a> {
    told: &'a Explanation,
    texts: Vec<Vec<Shade>>,
    loudest: Vec<Listed>,
    picture: Option<Painted>,
}

/// A row of the table.
struct Listed {
    word: String,
    change: String,
    probability: String,
}

/// A picture below its patches.
struct Painted {
    uri: String,
    patches: Vec<Patch>,
}

struct Patch {
    x: f64,
    y: f64,
    size: f64,
    class: &'static str,
    opacity: f64,
    tip: String,
}

/// Writes the page of these explanations, made by the run of this name.
///
/// # Errors
/// [`TransferError::Io`] where it cannot be written, which leaves what stood there.
pub fn write_explanation_page(path: &Path, run: &str, all: &[Explanation]) -> Result<()> {
    durable::write(path, explanation_page(run, all)?.as_bytes())
}

pub(super) fn explanation_page(run: &str, all: &[Explanation]) -> Result<String> {
    let shown = |told| Shown {
        told,
        texts: shades(told),
        loudest: loudest(&told.words, LISTED).into_iter().map(listed).collect(),
        picture: painted(told),
    };
    let page = Page {
        run,
        version: env!("CARGO_PKG_VERSION"),
        plot_style: svg::STYLE,
        page_style: include_str!("../../templates/page.css"),
        all: all.iter().map(shown).collect(),
    };
    page.render().map_err(|e| TransferError::Internal(format!("explain.html: {e}")))
}

fn listed(part: &Part) -> Listed {
    Listed {
        word: words::shortened(&part.word, 60),
        change: words::signed(-part.contribution),
        probability: words::percent(part.probability),
    }
}

/// The parts that speak loudest for or against, at most `n`.
pub fn loudest(parts: &[Part], n: usize) -> Vec<&Part> {
    let mut order: Vec<&Part> = parts.iter().collect();
    order.sort_by(|a, b| {
        b.contribution.abs().total_cmp(&a.contribution.abs()).then(a.start.cmp(&b.start))
    });
    order.truncate(n);
    order
}

fn painted(told: &Explanation) -> Option<Painted> {
    let patches = told.patches.as_ref()?;
    let largest = patches.contributions.iter().map(|c| c.abs()).fold(0.5, f64::max);
    let size = 1.0 / patches.side as f64;
    let patch = |(i, &contribution): (usize, &f64)| Patch {
        x: (i % patches.side) as f64 * size,
        y: (i / patches.side) as f64 * size,
        size,
        class: if contribution < 0.0 { "against" } else { "for" },
        opacity: 0.75 * contribution.abs() / largest,
        tip: words::signed(contribution),
    };
    let patches = patches.contributions.iter().enumerate().map(patch).collect();
    Some(Painted { uri: png_uri(&told.picture)?, patches })
}
