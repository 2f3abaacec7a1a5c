//! Finding the alignment of a byte stream whose beginning was not seen, or that was lost.

use super::{FOREIGN, FRAMES, Lane, OPENING, RECORDS, SCAN_LIMIT, Sink, Source, Step, TRYING};
use crate::http2::{HEADER_LEN, plausible};

impl Lane {
    /// Tries one offset. Believed are: a header whose frame ends exactly where the piece ends, a header followed by another
    /// plausible one, and, on probation, a header whose frame reaches beyond the piece.
    #[inline(always)]
    pub(super) fn step_scan<S: Source, K: Sink>(
        &mut self,
        source: &S,
        at: &mut u32,
        available: u32,
        sink: &mut K,
    ) -> Step {
        let grammar = sink.grammar();
        if available < HEADER_LEN {
            self.scanned += available;
            *at += available;
            return Step::Done;
        }
        if self.scanned > SCAN_LIMIT && grammar == OPENING {
            self.state = FOREIGN;
            sink.recognised(FOREIGN);
            return Step::Done;
        }
        if !source.load(*at, &mut self.unit, 0, HEADER_LEN) {
            return Step::Done;
        }
        self.scanned += 1;
        if grammar != FRAMES && record_like(&self.unit) {
            return self.try_record(source, at, available, sink);
        }
        let header = self.unit_header();
        if grammar == RECORDS || !plausible(&header, &sink.bounds()) {
            return self.next_offset(at);
        }
        let end = HEADER_LEN + header.length;
        self.first = self.next.wrapping_add(*at);
        if end + HEADER_LEN > available && end != available {
            // Too little to judge by: the header that follows the frame will tell.
            self.header = header;
            self.state = TRYING;
            self.left = header.length;
            *at += HEADER_LEN;
            return Step::More;
        }
        if end != available {
            if !source.load(*at + end, &mut self.unit, 0, HEADER_LEN) {
                return Step::Done;
            }
            let follower = self.unit_header();
            if !plausible(&follower, &sink.bounds()) {
                return self.next_offset(at);
            }
        }
        // Aligned: the header is read again as a frame, with its protocol fields.
        self.found(FRAMES, sink);
        Step::More
    }

    /// There is no header at `at`: its bytes were somebody's, and are forgotten.
    #[inline(always)]
    fn next_offset(&mut self, at: &mut u32) -> Step {
        self.clear();
        *at += 1;
        Step::More
    }

    /// A record header stands at `at`; it is believed when its record ends with the piece or beyond it, or when another one
    /// follows. Three fixed bytes and a bounded length make a false find a matter of 2^-25 for each offset.
    #[inline(always)]
    fn try_record<S: Source, K: Sink>(
        &mut self,
        source: &S,
        at: &mut u32,
        available: u32,
        sink: &mut K,
    ) -> Step {
        let end = 5 + ((u32::from(self.unit[3]) << 8) | u32::from(self.unit[4]));
        self.first = self.next.wrapping_add(*at);
        if end + 5 <= available {
            if !source.load(*at + end, &mut self.unit, 0, 5) {
                return Step::Done;
            }
            if !record_like(&self.unit) {
                return self.next_offset(at);
            }
        }
        self.clear();
        self.found(RECORDS, sink);
        Step::More
    }

    #[inline(always)]
    pub(super) fn found<K: Sink>(&mut self, state: u32, sink: &mut K) {
        self.state = state;
        // The first byte looked at is the header's.
        let skipped = self.scanned > 1;
        self.scanned = 0;
        if sink.grammar() == OPENING {
            sink.recognised(state);
        }
        sink.resynced(skipped && state == FRAMES);
    }
}

/// Application data, legacy version 1.2, not empty and not longer than allowed: what an established TLS connection sends.
#[inline(always)]
fn record_like(b: &[u8; 48]) -> bool {
    let length = (u32::from(b[3]) << 8) | u32::from(b[4]);
    b[0] == 23 && b[1] == 3 && b[2] == 3 && length > 16 && length <= 16_384 + 2048
}
