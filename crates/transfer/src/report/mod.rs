//! The report: one HTML file that needs neither a network nor a script.
//!
//! [`render`] makes the page and [`plots`] the same drawings as files of their own, both from
//! [`ReportData`]. Whatever came from outside (labels, paths, texts) is escaped here.

mod answer;
mod base64;
pub mod data;
mod page;
pub(crate) mod plots;
mod sources;
pub mod svg;
pub mod words;

pub(crate) use base64::png_uri;
pub use data::ReportData;

use crate::{Result, TransferError};

/// How every page looks, besides the drawings' [`svg::STYLE`].
pub const PAGE_STYLE: &str = include_str!("../../templates/page.css");

/// `report.html`.
pub fn render(report: &ReportData) -> Result<String> {
    let page = page::Page::of(report);
    askama::Template::render(&page)
        .map_err(|e| TransferError::Internal(format!("report.html: {e}")))
}

/// File name and text of every drawing, for `plots/`.
pub fn plots(report: &ReportData) -> Vec<(String, String)> {
    let plots = plots::Plots::of(report);
    plots.all().map(|d| (format!("{}.svg", d.name), d.standalone())).collect()
}

/// The answer in plain language: a headline and full sentences, the most important first. What
/// the page begins with, for a terminal.
pub fn summary(report: &ReportData) -> Vec<String> {
    let answer::Answer { figure, headline, sentences } = answer::Answer::of(report);
    std::iter::once(format!("{figure} {headline}")).chain(sentences).collect()
}

#[cfg(test)]
mod tests;
