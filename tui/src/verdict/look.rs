//! When a connection must be looked at again, and whose TCP facts are wanted: what the run loop asks.

use super::policy::SECOND_NS;
use super::{Policy, State, patience};
use crate::model::sample::Nanos;
use crate::model::track::{Normal, Track};

/// TCP evidence may decide a stall this long after its first stream (`black_hole`).
pub const SOONEST_NS: Nanos = 2 * SECOND_NS;
/// A stream that waits for this long is suspicious enough to ask TCP. It costs one small netlink exchange.
const CURIOUS_NS: Nanos = SECOND_NS / 2;

/// The next moment at which the verdict can become `stalled` without anything new being seen.
#[must_use]
pub fn next_look_ns(track: &Track, normal: &Normal, policy: &Policy, now_ns: Nanos) -> Option<Nanos> {
    if track.verdict.state == State::Stalled {
        return None;
    }
    let start_ns = track.silence.start_ns()?;
    let by_clock = match policy.fixed_ns() {
        Some(after_ns) => Some(start_ns.saturating_add(after_ns)),
        None => patience::SILENCE.next_ns(&track.silence, &normal.heard, now_ns),
    };
    let by_tcp = start_ns.saturating_add(SOONEST_NS);
    [by_clock, Some(by_tcp)].into_iter().flatten().filter(|&at| at > now_ns).min()
}

/// Whether the next sample should carry the TCP facts of this connection.
#[must_use]
pub fn wants_tcp_facts(track: &Track, now_ns: Nanos) -> bool {
    let reading = &track.reading;
    track.verdict.state == State::Stalled
        || track.silence.length_ns(now_ns).is_some_and(|length| length >= CURIOUS_NS)
        || reading.sent.zero_window_ns.is_some()
        || reading.received.zero_window_ns.is_some()
        || reading.tcp.is_some_and(|tcp| tcp.receive_queue > 0)
}
