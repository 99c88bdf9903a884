//! Whole runs on small made pictures and a small network with random weights.

mod data;
mod extraction;
mod prediction;
mod training;
