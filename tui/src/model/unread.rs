//! Bytes from the peer that wait in this host's receive queue, and for how long the process has not read any of them.

use super::sample::{Nanos, Reading};

/// What comes within this time after the process read last belongs to the same exchange.
const SAME_EXCHANGE_NS: Nanos = 1_000_000_000;
/// The queue and the byte counter are read at slightly different moments; this much may come in between.
const SLACK_BYTES: u64 = 65_536;

/// The process does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread {
    pub since_ns: Nanos,
    /// Bytes in the queue; `None` when only the closed receive window tells (no TCP facts).
    pub bytes: Option<u32>,
    /// Bytes that it had read by then.
    read_bytes: u64,
    /// Since when someone goes on regardless: the peer with bytes, or the client with streams. A process that is paused
    /// together with its peer gets no bytes and opens no streams.
    pub goes_on_since_ns: Option<Nanos>,
}

/// The next state. The queue of a process that reads becomes smaller, or more bytes came than are in it, or its window opens.
#[must_use]
pub fn follow(before: Option<Unread>, reading: &Reading, now_ns: Nanos) -> Option<Unread> {
    let next = unread(before, reading, now_ns)?;
    let late = |at: Option<Nanos>| at.is_some_and(|at| at >= next.since_ns.saturating_add(SAME_EXCHANGE_NS));
    let goes_on = late(reading.received.last_data_ns) || late(reading.last_opened_ns);
    let goes_on_since_ns = next.goes_on_since_ns.or_else(|| goes_on.then_some(now_ns));
    Some(Unread { goes_on_since_ns, ..next })
}

fn unread(before: Option<Unread>, reading: &Reading, now_ns: Nanos) -> Option<Unread> {
    let window_ns = reading.sent.zero_window_ns;
    let Some(tcp) = reading.tcp else {
        return match (before, window_ns) {
            (Some(b), Some(window_ns)) => Some(Unread { since_ns: b.since_ns.min(window_ns), ..b }),
            (None, Some(since_ns)) => Some(Unread {
                since_ns,
                bytes: None,
                read_bytes: reading.received.bytes,
                goes_on_since_ns: None,
            }),
            // No facts in this sample: nothing is known to have changed.
            (before, None) => before.filter(|b| b.bytes.is_some()),
        };
    };
    if tcp.receive_queue == 0 {
        return None;
    }
    let read_bytes = reading.received.bytes.saturating_sub(u64::from(tcp.receive_queue));
    let bytes = Some(tcp.receive_queue);
    let went_on = before.filter(|b| {
        b.bytes.is_none_or(|bytes| bytes <= tcp.receive_queue) && read_bytes <= b.read_bytes + SLACK_BYTES
    });
    Some(match went_on {
        Some(b) => Unread { bytes, ..b },
        None => Unread { since_ns: window_ns.unwrap_or(now_ns), bytes, read_bytes, goes_on_since_ns: None },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::TcpFacts;
    use crate::model::staged::{MS, Staged, quiet_tcp};

    fn queue(c: &mut Staged, bytes: u32, received: u64) {
        c.tcp(TcpFacts { receive_queue: bytes, ..quiet_tcp() });
        c.reading.received.bytes = received;
    }

    #[test]
    fn a_queue_that_only_grows_is_not_read() {
        let mut c = Staged::h2c(1, 0);
        queue(&mut c, 100, 1_100);
        let first = follow(None, &c.reading, 5);
        queue(&mut c, 5_000, 6_000);
        let then = follow(first, &c.reading, 9);
        assert_eq!(then.map(|u| (u.since_ns, u.bytes)), Some((5, Some(5_000))));
        queue(&mut c, 4_999, 6_000);
        assert_eq!(follow(then, &c.reading, 12).map(|u| u.since_ns), Some(12), "something was read");
        queue(&mut c, 0, 6_000);
        assert_eq!(follow(then, &c.reading, 12), None);
    }

    #[test]
    fn a_slow_reader_of_a_full_queue_reads() {
        // The queue is full at every look, but megabytes went through it.
        let mut c = Staged::h2c(1, 0);
        queue(&mut c, 500_000, 1_000_000);
        let first = follow(None, &c.reading, 5);
        queue(&mut c, 500_000, 3_000_000);
        assert_eq!(follow(first, &c.reading, 9).map(|u| u.since_ns), Some(9));
    }

    #[test]
    fn it_knows_when_someone_goes_on_regardless() {
        let mut c = Staged::h2c(1, 0);
        queue(&mut c, 100, 1_100);
        c.reading.received.last_data_ns = Some(0);
        let paused = follow(follow(None, &c.reading, 0), &c.reading, 9_000 * MS);
        assert_eq!(paused.map(|u| u.goes_on_since_ns), Some(None));
        c.wait(9_500).open(1);
        queue(&mut c, 100, 1_100);
        assert_eq!(
            follow(paused, &c.reading, 9_600 * MS).map(|u| u.goes_on_since_ns),
            Some(Some(9_600 * MS))
        );
    }

    #[test]
    fn a_closed_window_tells_without_tcp_facts() {
        let mut c = Staged::h2c(1, 0);
        c.reading.sent.zero_window_ns = Some(3);
        let shut = follow(None, &c.reading, 9);
        assert_eq!(shut.map(|u| (u.since_ns, u.bytes)), Some((3, None)));
        c.reading.sent.zero_window_ns = None;
        assert_eq!(follow(shut, &c.reading, 12), None);
    }
}
