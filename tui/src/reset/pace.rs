//! When to look next: often enough that a stall is noticed within a fraction of its threshold, never while nothing waits.
//! Pure.

use crate::model::sample::Nanos;
use crate::model::snapshot::Snapshot;
use std::time::Duration;

/// Looking more often than this costs more than it finds.
const SHORTEST: Duration = Duration::from_millis(1);
/// A stream that is opened between two looks is noticed this fraction of its threshold late, at most.
const FRACTION: u32 = 8;

/// Time until the next look. `stall_after` is the shortest threshold in force.
///
/// With nothing waiting this is `interval`, and the kernel side has to ring at the next stream (`Settings::armed`):
/// otherwise a stall that begins in between is noticed up to an interval late.
#[must_use]
pub fn next_look(snapshot: &Snapshot, interval: Duration, stall_after: Duration) -> Duration {
    let mut earliest: Option<Nanos> = None;
    for first in snapshot.connections.iter().filter_map(|c| c.reading.first_unanswered_ns) {
        earliest = Some(earliest.map_or(first, |known| known.min(first)));
    }
    let Some(first) = earliest else { return interval };
    let step = (stall_after / FRACTION).max(SHORTEST);
    let waited = Duration::from_nanos(snapshot.now_ns.saturating_sub(first));
    // Exactly at the threshold where that comes sooner; beyond it, the step.
    let due = stall_after.checked_sub(waited).filter(|left| !left.is_zero()).unwrap_or(step);
    step.min(due).min(interval)
}
