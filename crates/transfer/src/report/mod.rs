//! The report: one HTML file that needs neither a network nor a script.

pub mod data;

pub use data::ReportData;
