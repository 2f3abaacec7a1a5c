//! The clocks of samples: the kernel programs' and the wall's.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::model::sample::Nanos;

/// CLOCK_MONOTONIC, the clock of `bpf_ktime_get_ns`.
#[must_use]
pub(super) fn now_ns() -> Nanos {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default()
}

/// Nanoseconds since the Unix epoch.
#[must_use]
pub(super) fn unix_ns() -> i128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|d| i128::try_from(d.as_nanos()).ok())
        .unwrap_or_default()
}
