//! How long it took from the threshold to the kernel's answer, as a histogram.

use std::time::Duration;

/// Upper bounds of the buckets in microseconds: fine around the goal (p50 under 1 ms, p99 under 5 ms), coarse beyond.
pub const BOUNDS_US: [u64; 10] =
    [250, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 250_000, 1_000_000, 5_000_000];

/// Latencies of all resets so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Not cumulative; the last one is everything above the highest bound.
    pub buckets: [u64; BOUNDS_US.len() + 1],
    pub count: u64,
    pub sum_us: u64,
    pub max_us: u64,
}

impl Latency {
    pub fn record(&mut self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.iter().position(|bound| us <= *bound).unwrap_or(BOUNDS_US.len());
        self.buckets[bucket] += 1;
        self.count += 1;
        self.sum_us = self.sum_us.saturating_add(us);
        self.max_us = self.max_us.max(us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_falls_into_one_bucket() {
        let mut latency = Latency::default();
        for us in [0, 250, 251, 5_000_000, 5_000_001, 1_000_000_000_000] {
            latency.record(Duration::from_micros(us));
        }
        assert_eq!(latency.buckets.iter().sum::<u64>(), latency.count);
        assert_eq!((latency.buckets[0], latency.buckets[1], latency.buckets[10]), (2, 1, 2));
        assert_eq!(latency.max_us, 1_000_000_000_000);
    }
}
