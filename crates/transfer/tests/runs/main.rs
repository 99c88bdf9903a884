//! Whole runs on small made pictures and a small network with random weights.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its data fails")]

mod adapt;
mod adaptation;
mod data;
mod distillation;
mod extraction;
mod guard;
mod prediction;
mod ranking;
mod source_free;
mod sources;
mod texts;
mod training;
mod transfer_report;
mod trust;
mod tuning;
