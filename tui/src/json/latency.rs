//! The histogram of the `summary` line.

use crate::reset::latency::{BOUNDS_US, Latency};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct ResetLatency {
    count: u64,
    sum_us: u64,
    max_us: u64,
    buckets: Vec<Bucket>,
}

#[derive(Serialize)]
struct Bucket {
    /// `None`: everything above the highest bound.
    up_to_us: Option<u64>,
    count: u64,
}

impl ResetLatency {
    pub(super) fn new(latency: &Latency) -> Self {
        let bounds = BOUNDS_US.into_iter().map(Some).chain([None]);
        let bucket = |(up_to_us, count)| Bucket { up_to_us, count };
        Self {
            count: latency.count,
            sum_us: latency.sum_us,
            max_us: latency.max_us,
            buckets: bounds.zip(latency.buckets).map(bucket).collect(),
        }
    }
}
