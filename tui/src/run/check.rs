//! `h2watch check`: one verdict for scripts.

use std::time::Duration;

use crate::cli::Check;

/// How long a check looks when it is not told: a stall that exists is found within the threshold, plus a moment for the
/// first sample.
#[must_use]
pub fn duration(check: &Check) -> Duration {
    check.run_for.unwrap_or(check.thresholds.stall_after + Duration::from_secs(1))
}
