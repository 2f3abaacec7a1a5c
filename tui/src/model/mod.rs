//! What the samples mean: connections over time, judged at each sample. Pure: the clock is in the sample, nothing here does
//! I/O or can fail.

pub mod sample;
pub mod snapshot;
pub mod words;
