//! Bytes from the peer that wait in this host's receive queue, and for how long the process has not read any of them.

use super::sample::{Nanos, Reading};

/// The process does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread {
    pub since_ns: Nanos,
    /// Bytes in the queue; `None` when only the closed receive window tells (no TCP facts).
    pub bytes: Option<u32>,
    /// When the newest of them came.
    pub newest_ns: Nanos,
}

/// The next state. The queue of a process that reads becomes smaller, or its window opens, sooner or later.
#[must_use]
pub fn follow(before: Option<Unread>, reading: &Reading, now_ns: Nanos) -> Option<Unread> {
    let newest_ns = reading.received.last_data_ns.unwrap_or(now_ns);
    match (&reading.tcp, reading.sent.zero_window_ns) {
        (Some(tcp), window) if tcp.receive_queue > 0 => {
            let went_on = before.filter(|b| b.bytes.is_none_or(|bytes| bytes <= tcp.receive_queue));
            let since_ns = went_on.map(|b| b.since_ns).or(window).unwrap_or(now_ns);
            Some(Unread { since_ns, bytes: Some(tcp.receive_queue), newest_ns })
        }
        (None, Some(window)) => {
            let since_ns = before.map_or(window, |b| b.since_ns.min(window));
            Some(Unread { since_ns, bytes: before.and_then(|b| b.bytes), newest_ns })
        }
        // No facts in this sample: nothing is known to have changed.
        (None, None) => before.filter(|b| b.bytes.is_some() && reading.received.last_data_ns.is_some()),
        (Some(_), _) => None,
    }
}
