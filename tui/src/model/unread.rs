//! Bytes from the peer that wait in this host's receive queue, and for how long the process has not read any of them.

use super::sample::{Nanos, Reading};

/// The process does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread {
    pub since_ns: Nanos,
    /// Bytes in the queue; `None` when only the closed receive window tells (no TCP facts).
    pub bytes: Option<u32>,
    /// Since when someone goes on regardless: the peer with bytes, or the client with streams. A process that is paused
    /// together with its peer gets no bytes and opens no streams.
    pub goes_on_since_ns: Option<Nanos>,
}

/// What comes within this time after the process read last belongs to the same exchange.
const SAME_EXCHANGE_NS: Nanos = 1_000_000_000;

/// The next state. The queue of a process that reads becomes smaller, or its window opens, sooner or later.
#[must_use]
pub fn follow(before: Option<Unread>, reading: &Reading, now_ns: Nanos) -> Option<Unread> {
    let (since_ns, bytes) = unread(before, reading, now_ns)?;
    let went_on = before.filter(|b| b.since_ns == since_ns).and_then(|b| b.goes_on_since_ns);
    let late = |at: Option<Nanos>| at.is_some_and(|at| at >= since_ns.saturating_add(SAME_EXCHANGE_NS));
    let goes_on = late(reading.received.last_data_ns) || late(reading.last_opened_ns);
    Some(Unread { since_ns, bytes, goes_on_since_ns: went_on.or_else(|| goes_on.then_some(now_ns)) })
}

/// Since when, and how much.
fn unread(before: Option<Unread>, reading: &Reading, now_ns: Nanos) -> Option<(Nanos, Option<u32>)> {
    match (&reading.tcp, reading.sent.zero_window_ns) {
        (Some(tcp), window) if tcp.receive_queue > 0 => {
            let went_on = before.filter(|b| b.bytes.is_none_or(|bytes| bytes <= tcp.receive_queue));
            let since_ns = went_on.map(|b| b.since_ns).or(window).unwrap_or(now_ns);
            Some((since_ns, Some(tcp.receive_queue)))
        }
        (None, Some(window)) => {
            let since_ns = before.map_or(window, |b| b.since_ns.min(window));
            Some((since_ns, before.and_then(|b| b.bytes)))
        }
        // No facts in this sample: nothing is known to have changed.
        (None, None) => before.filter(|b| b.bytes.is_some()).map(|b| (b.since_ns, b.bytes)),
        (Some(_), _) => None,
    }
}
