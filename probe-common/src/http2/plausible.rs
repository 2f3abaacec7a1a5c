//! How a frame header is told from arbitrary bytes when the stream's alignment is not known.
//!
//! Stricter than `FrameHeader::legal`: a legal but unusual header is not believed while resynchronising. That costs time
//! (the next usual header is found instead), never correctness.

use super::{FrameHeader, Kind, flags};

/// What is known about the direction when a header is judged.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Highest stream identifier that the client is known to have opened; 0 when nothing is known yet.
    pub highest_stream: u32,
    /// Longest payload that the receiver allows (SETTINGS_MAX_FRAME_SIZE), bytes.
    pub max_frame_size: u32,
    /// Longest payload of an aligned stream: as above where the receiver's SETTINGS were seen, else the 2^24 - 1 bytes that the
    /// header has room for.
    pub longest: u32,
}

/// Streams that a client may open between two looks at it: a bound on how far an identifier may run ahead of the highest
/// one known. Generous, because while out of step openings are missed.
const AHEAD: u32 = 1 << 16;

/// True when the nine bytes look like a header that real endpoints send. For random bytes the chance is about 10/256
/// (type) x 1/20 (flags) x 1/1000 (length) x 1/2 (reserved bit), so one match is a hint and a chain of two is proof enough.
#[inline(always)]
#[must_use]
pub fn plausible(h: &FrameHeader, bounds: &Bounds) -> bool {
    if h.kind >= Kind::COUNT || h.reserved != 0 || !h.legal() {
        return false;
    }
    let known = match h.kind {
        Kind::DATA => flags::END_STREAM | flags::PADDED,
        Kind::HEADERS => flags::END_STREAM | flags::END_HEADERS | flags::PADDED | flags::PRIORITY,
        Kind::PUSH_PROMISE => flags::END_HEADERS | flags::PADDED,
        Kind::CONTINUATION => flags::END_HEADERS,
        Kind::SETTINGS | Kind::PING => flags::ACK,
        _ => 0,
    };
    if h.flags & !known != 0 || h.length > bounds.max_frame_size {
        return false;
    }
    // No endpoint sends more than a few dozen settings, or a GOAWAY with an essay in it.
    if (h.kind == Kind::SETTINGS && h.length > 6 * 32) || (h.kind == Kind::GOAWAY && h.length > 4096) {
        return false;
    }
    if h.stream == 0 {
        return true;
    }
    // Pushed streams (even) are not believed: push is off in every client that is alive.
    if h.stream & 1 == 0 {
        return false;
    }
    bounds.highest_stream == 0 || h.stream <= bounds.highest_stream.saturating_add(AHEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Bounds = Bounds { highest_stream: 0, max_frame_size: 16_384, longest: 16_384 };

    fn header(length: u32, kind: u8, flags: u8, stream: u32) -> FrameHeader {
        FrameHeader { length, stream, kind, flags, ..FrameHeader::default() }
    }

    #[test]
    fn zeros_and_text_are_not_frames() {
        assert!(!plausible(&FrameHeader::parse(&[0; 9]), &OPEN));
        assert!(!plausible(&FrameHeader::parse(b"GET / HTT"), &OPEN));
        assert!(!plausible(&FrameHeader::parse(&[0xff; 9]), &OPEN));
    }

    #[test]
    fn usual_frames_are() {
        for h in [header(37, 1, 0x25, 5), header(4, 8, 0, 0), header(0, 4, 1, 0), header(16_384, 0, 1, 1)] {
            assert!(plausible(&h, &OPEN), "{h:?}");
        }
    }

    #[test]
    fn a_stream_far_beyond_the_highest_known_is_not() {
        let bounds = Bounds { highest_stream: 101, ..OPEN };
        assert!(plausible(&header(4, 3, 0, 103), &bounds));
        assert!(!plausible(&header(4, 3, 0, 0x0100_0001), &bounds));
    }
}
