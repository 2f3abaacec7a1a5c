//! Which client streams are open, without a map entry per stream.
//!
//! Client stream identifiers are odd and rising (RFC 9113, section 5.1.1), so stream `2n + 1` has the number `n`, and a
//! window of `WINDOW` numbers is kept as one byte per stream and direction. A byte holds three flags and the number's
//! generation (`n / WINDOW`, modulo 32): a stale byte is recognised, so nobody has to clear anything behind the window and
//! each array has one writer. Streams that outlive the window (watches, long polls) move to a short list.

/// Streams in the window; a power of two.
pub const WINDOW: usize = 1024;
/// Streams that outlived the window and are still tracked exactly.
pub const OLD_STREAMS: usize = 16;

/// The sender's half: HEADERS were sent (client) or received (server's answer).
pub const BEGUN: u8 = 1;
/// END_STREAM was seen in this direction.
pub const ENDED: u8 = 2;
/// RST_STREAM was seen in this direction.
pub const RESET: u8 = 4;
const FLAGS: u8 = 7;

/// A stream that left the window while it was open. `stream` is 0 when the entry is free.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct OldStream {
    pub stream: u32,
    pub sent: u8,
    pub received: u8,
    pub pad: [u8; 2],
}

/// The stream table of one connection. `sent` is written by the sending path and `received` by the receiving path; opening
/// a stream also clears its byte in `received`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    pub sent: [u8; WINDOW],
    pub received: [u8; WINDOW],
    pub old: [OldStream; OLD_STREAMS],
}

const _: () = assert!(size_of::<Streams>() == 2 * WINDOW + 8 * OLD_STREAMS);

impl Default for Streams {
    fn default() -> Self {
        Self { sent: [0; WINDOW], received: [0; WINDOW], old: [OldStream::default(); OLD_STREAMS] }
    }
}

/// What the table says about all streams together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Streams that are neither closed nor reset.
    pub in_flight: u32,
    /// Of these, the ones whose response HEADERS have not been seen.
    pub without_answer: u32,
    /// Of those in flight, the ones that the client has not ended: DATA or trailers are still to come.
    pub sending: u32,
    /// Lowest stream identifier in flight; 0 when there is none.
    pub oldest: u32,
    /// Streams in flight at or below the horizon that was asked for: their end may have been missed.
    pub doubtful: u32,
}

#[inline(always)]
fn place(stream: u32) -> (usize, u8) {
    let number = stream >> 1;
    let index = (number as usize) & (WINDOW - 1);
    (index, (((number as usize / WINDOW) & 31) as u8) << 3)
}

/// RFC 9113, section 5.1: closed when both halves ended, or either side reset it.
#[inline(always)]
fn closed(sent: u8, received: u8) -> bool {
    (sent | received) & RESET != 0 || sent & received & ENDED != 0
}

impl Streams {
    /// Opens `stream`, which must be higher than any before. Returns false when a stream that leaves the window had to be
    /// forgotten because the list of old streams is full. One at or below `horizon` is not kept: its end may have been missed,
    /// and a list full of such would have no room for the living.
    #[inline(always)]
    pub fn open(&mut self, stream: u32, horizon: u32) -> bool {
        let (index, generation) = place(stream);
        let kept = self.retire(stream, index, generation, horizon);
        self.sent[index] = generation | BEGUN;
        self.received[index] = 0;
        kept
    }

    /// Moves the window's previous stream at `index` to the old list when it is still open.
    #[inline(always)]
    fn retire(&mut self, newcomer: u32, index: usize, generation: u8, horizon: u32) -> bool {
        let sent = self.sent[index];
        if sent & BEGUN == 0 {
            return true;
        }
        let received =
            if self.received[index] & !FLAGS == sent & !FLAGS { self.received[index] & FLAGS } else { 0 };
        if closed(sent, received) {
            return true;
        }
        // Generations since that stream; 0 means a whole turn of 32.
        let turns = (u32::from(generation >> 3).wrapping_sub(u32::from(sent >> 3)).wrapping_sub(1) & 31) + 1;
        let stream = newcomer.wrapping_sub(turns * 2 * WINDOW as u32);
        if stream <= horizon {
            return true;
        }
        let mut i = 0;
        while i < OLD_STREAMS {
            let entry = &mut self.old[i];
            if entry.stream == 0 {
                *entry = OldStream { stream, sent: sent & FLAGS, received, pad: [0; 2] };
                return true;
            }
            i += 1;
        }
        false
    }

    /// Notes flags of the sending direction. `highest` is the highest stream opened. With `BEGUN` a stream is opened whose
    /// HEADERS come late, out of a hole that was filled.
    /// Returns the flags of both directions before, as (sent, received).
    #[inline(always)]
    pub fn note_sent(&mut self, stream: u32, highest: u32, flags: u8) -> (u8, u8) {
        self.note(stream, highest, flags, 0)
    }

    /// Notes flags of the receiving direction; returns the flags of both directions before, as (sent, received).
    #[inline(always)]
    pub fn note_received(&mut self, stream: u32, highest: u32, flags: u8) -> (u8, u8) {
        self.note(stream, highest, 0, flags)
    }

    #[inline(always)]
    fn note(&mut self, stream: u32, highest: u32, sent: u8, received: u8) -> (u8, u8) {
        if stream & 1 == 0 || stream > highest {
            return (0, 0);
        }
        if (highest >> 1) - (stream >> 1) >= WINDOW as u32 {
            return self.note_old(stream, sent, received);
        }
        let (index, generation) = place(stream);
        let s = self.sent[index];
        let r = self.received[index];
        let s_flags = if s & !FLAGS == generation { s & FLAGS } else { 0 };
        let r_flags = if r & !FLAGS == generation { r & FLAGS } else { 0 };
        // One writer per array: only the direction that speaks stores.
        if sent != 0 && (s_flags | sent) & BEGUN != 0 {
            self.sent[index] = generation | s_flags | sent;
        }
        if received != 0 {
            self.received[index] = generation | r_flags | received;
        }
        (s_flags, r_flags)
    }

    #[inline(always)]
    fn note_old(&mut self, stream: u32, sent: u8, received: u8) -> (u8, u8) {
        let mut i = 0;
        while i < OLD_STREAMS {
            let entry = &mut self.old[i];
            if entry.stream == stream {
                let before = (entry.sent, entry.received);
                entry.sent |= sent;
                entry.received |= received;
                if closed(entry.sent, entry.received) {
                    entry.stream = 0;
                }
                return before;
            }
            i += 1;
        }
        (0, 0)
    }

    /// Counts the streams in flight. `horizon`: the highest stream whose frames may have been missed (0: none).
    #[must_use]
    pub fn census(&self, highest: u32, horizon: u32) -> Census {
        self.count(highest, horizon, 0)
    }

    /// As `census`, without the streams up to `ended`: their end was missed, and nobody will ever tell it.
    #[must_use]
    pub fn census_above(&self, highest: u32, ended: u32) -> Census {
        self.count(highest, 0, ended)
    }

    fn count(&self, highest: u32, horizon: u32, ended: u32) -> Census {
        let mut census = Census::default();
        let mut count = |stream: u32, sent: u8, received: u8| {
            if stream <= ended {
                return;
            }
            census.in_flight += 1;
            census.without_answer += u32::from(received & BEGUN == 0);
            census.sending += u32::from(sent & ENDED == 0);
            census.doubtful += u32::from(stream <= horizon);
            if census.oldest == 0 || stream < census.oldest {
                census.oldest = stream;
            }
        };
        for (index, (&sent, &received)) in self.sent.iter().zip(&self.received).enumerate() {
            let received = if received & !FLAGS == sent & !FLAGS { received & FLAGS } else { 0 };
            if sent & BEGUN == 0 || closed(sent, received) {
                continue;
            }
            let back = ((highest >> 1) as usize).wrapping_sub(index) & (WINDOW - 1);
            let stream = highest.wrapping_sub(2 * back as u32);
            // A byte of an older generation whose stream the client skipped: it is in the old list or forgotten.
            if place(stream).1 == sent & !FLAGS {
                count(stream, sent, received);
            }
        }
        for old in self.old.iter().filter(|old| old.stream != 0) {
            // The end may have reached the window's byte while the stream was being moved.
            let (index, generation) = place(old.stream);
            let late = self.received[index];
            let received = old.received | if late & !FLAGS == generation { late & FLAGS } else { 0 };
            if !closed(old.sent, received) {
                count(old.stream, old.sent, received);
            }
        }
        census
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(n: u32) -> (Box<Streams>, u32) {
        let mut table = Box::<Streams>::default();
        (0..n).for_each(|i| assert!(table.open(2 * i + 1, 0)));
        (table, 2 * n - 1)
    }

    #[test]
    fn a_stream_is_in_flight_until_both_halves_end() {
        let (mut t, high) = opened(3);
        assert_eq!(t.census(high, 0).in_flight, 3);
        t.note_sent(3, high, ENDED);
        assert_eq!(t.census(high, 0).in_flight, 3);
        t.note_received(3, high, BEGUN | ENDED);
        assert_eq!(
            t.census(high, 0),
            Census { in_flight: 2, without_answer: 2, sending: 2, oldest: 1, doubtful: 0 }
        );
        t.note_received(1, high, RESET);
        t.note_received(5, high, BEGUN);
        t.note_sent(5, high, ENDED);
        let census = Census { in_flight: 1, oldest: 5, doubtful: 1, ..Census::default() };
        assert_eq!(t.census(high, 5), census);
    }

    #[test]
    fn streams_whose_end_was_missed_can_be_left_out() {
        let (mut t, high) = opened(4);
        t.note_sent(7, high, RESET);
        assert_eq!(t.census(high, 3).doubtful, 2);
        assert_eq!(
            t.census_above(high, 3),
            Census { in_flight: 1, without_answer: 1, oldest: 5, sending: 1, doubtful: 0 }
        );
    }

    #[test]
    fn streams_that_outlive_the_window_stay_exact() {
        let mut t = Box::<Streams>::default();
        let total = 40_000;
        for n in 0..total {
            let stream = 2 * n + 1;
            assert!(t.open(stream, 0));
            // Ten long-lived streams, everything else ends at once.
            if n % 4000 != 7 {
                t.note_sent(stream, stream, ENDED);
                t.note_received(stream, stream, BEGUN | ENDED);
            }
        }
        let high = 2 * total - 1;
        let census = Census { in_flight: 10, without_answer: 10, sending: 10, oldest: 15, doubtful: 0 };
        assert_eq!(t.census(high, 0), census);
        for n in (7..total).step_by(4000) {
            assert_eq!(t.note_received(2 * n + 1, high, RESET), (BEGUN, 0));
        }
        assert_eq!(t.census(high, 0).in_flight, 0);
    }

    #[test]
    fn dead_connection_cancelled_streams_do_not_alias_older_answers() {
        let mut t = Box::<Streams>::default();
        // Far more than 32 generations: the first ones answered, the rest neither answered nor reset.
        for n in 0..20_000u32 {
            let stream = 2 * n + 1;
            t.open(stream, 0);
            if n < 1000 {
                t.note_sent(stream, stream, ENDED);
                t.note_received(stream, stream, BEGUN | ENDED);
            }
        }
        let census = t.census(39_999, 0);
        assert_eq!(census.in_flight as usize, WINDOW + OLD_STREAMS);
        assert_eq!(census.without_answer, census.in_flight);
    }

    #[test]
    fn streams_from_before_a_gap_do_not_fill_the_old_list() {
        let mut t = Box::<Streams>::default();
        let horizon = 2 * 100 - 1;
        for n in 0..3 * WINDOW as u32 {
            let stream = 2 * n + 1;
            assert!(t.open(stream, horizon), "{stream}");
            // The ends of the first hundred were missed.
            if n >= 100 {
                t.note_received(stream, stream, RESET);
            }
        }
        assert_eq!(t.census(6 * WINDOW as u32 - 1, horizon).in_flight, 0);
    }

    #[test]
    fn the_old_list_overflows_honestly() {
        let mut t = Box::<Streams>::default();
        let forgotten = (0..2 * WINDOW as u32).filter(|n| !t.open(2 * n + 1, 0)).count();
        assert_eq!(forgotten, WINDOW - OLD_STREAMS);
    }

    #[test]
    fn frames_for_unknown_streams_change_nothing() {
        let (mut t, high) = opened(1);
        assert_eq!(t.note_received(2, high, RESET), (0, 0));
        assert_eq!(t.note_received(99, high, RESET), (0, 0));
        assert_eq!(t.census(high, 0).in_flight, 1);
    }
}
