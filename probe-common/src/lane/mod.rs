//! One contiguous piece of a byte stream, walked unit by unit: HTTP/2 frame headers or TLS record headers.
//!
//! A lane does not know about TCP segments: it is given the bytes that follow the ones it had, in pieces of any size, and
//! keeps at most one unit (a header and up to eight bytes of protocol fields) between pieces. Where its alignment is not
//! known it scans for it, on evidence.

mod run;
mod scan;

use crate::http2::{Bounds, FrameHeader, HEADER_LEN, Kind, PREFACE_LEN, PREFACE_START, flags, plausible};

/// Nothing was seen yet: the first three bytes decide between the HTTP/2 preface, a TLS record and something else.
pub const OPENING: u32 = 0;
/// Aligned: the next unit is an HTTP/2 frame header.
pub const FRAMES: u32 = 1;
/// Aligned: the next unit is one entry of a SETTINGS frame (RFC 9113, section 6.5.1).
pub const SETTING: u32 = 2;
/// Not aligned: every offset is tried.
pub const SCANNING: u32 = 3;
/// A plausible header was found whose frame reaches beyond what was at hand; the next header decides.
pub const TRYING: u32 = 4;
/// Aligned: the next unit is a TLS record header (RFC 8446, section 5.1).
pub const RECORDS: u32 = 5;
/// Neither HTTP/2 nor TLS: nothing is read any more.
pub const FOREIGN: u32 = 6;

/// As `OPENING`, for the peer's bytes: a TLS record or an HTTP/2 frame header, which has no preface.
pub const OPENING_PEER: u32 = 7;

/// Bytes that may be scanned without a find before a connection of unknown kind is given up as foreign. Several times the
/// longest distance between two headers of an endpoint with the usual 16 KiB frames.
const SCAN_LIMIT: u32 = 256 * 1024;

/// What is needed of the first bytes, of a SETTINGS entry and of a record header.
const OPENING_LEN: u32 = 3;
const SETTING_LEN: u32 = 6;
const RECORD_LEN: u32 = 5;
/// Longest unit: a frame header and eight bytes of GOAWAY.
const LONGEST: usize = 17;

/// Where the bytes come from: a socket buffer in the kernel, the memory of a process, a slice in tests.
pub trait Source {
    /// Number of bytes at hand.
    fn len(&self) -> u32;
    /// True when there is nothing.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Copies `n` bytes (1 to 17) that begin at `at` to `unit[offset..]`; `offset` is at most 16. False: not readable.
    fn load(&self, at: u32, unit: &mut [u8; 48], offset: u32, n: u32) -> bool;
    /// The frame header at `at`, of which all nine bytes are at hand. `None`: not readable.
    #[inline(always)]
    fn header(&self, at: u32) -> Option<FrameHeader> {
        let mut unit = [0; 48];
        let loaded = self.load(at, &mut unit, 0, HEADER_LEN);
        if loaded { unit.first_chunk().map(FrameHeader::parse) } else { None }
    }
}

/// Who is told of each completed unit.
pub trait Sink {
    /// A frame header; `value` holds the protocol fields read with it: the error code (RST_STREAM), increment
    /// (WINDOW_UPDATE), or last stream in the upper and code in the lower half (GOAWAY).
    fn frame(&mut self, header: &FrameHeader, value: u64);
    /// One entry of a SETTINGS frame.
    fn setting(&mut self, id: u16, value: u32);
    /// A TLS record header: content type and payload length.
    fn record(&mut self, content_type: u8, length: u32);
    /// The first bytes decided what the connection is: `FRAMES`, `RECORDS` or `FOREIGN`.
    fn recognised(&mut self, state: u32);
    /// Alignment was lost at a header that no endpoint can have sent.
    fn desynced(&mut self);
    /// Alignment was found; `skipped`: behind bytes that may have held frames.
    fn resynced(&mut self, skipped: bool);
    /// What is known of the direction, for telling headers from other bytes.
    fn bounds(&self) -> Bounds;
    /// What the other direction or an earlier byte decided: `FRAMES`, `RECORDS`, or `OPENING` when nothing did.
    fn grammar(&self) -> u32;
}

/// State of a lane. Zero is a lane at the opening of a connection.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Lane {
    /// TCP sequence number of the first byte that this lane was given.
    pub start: u32,
    /// TCP sequence number of the byte that comes next.
    pub next: u32,
    /// TCP sequence number of the first header that the lane recognised; meaningful once it is aligned.
    pub first: u32,
    /// One of the states above.
    pub state: u32,
    /// Bytes to pass over before the next unit.
    pub left: u32,
    /// Bytes of `unit` at hand.
    pub have: u32,
    /// SETTINGS: bytes of entries still to read.
    pub settings_left: u32,
    /// 1 while the lane holds data; unused lanes of a direction have 0.
    pub active: u32,
    /// Bytes looked at since the alignment was lost.
    pub scanned: u32,
    /// The header being completed or tried.
    pub header: FrameHeader,
    pub unit: [u8; 48],
}

const _: () = assert!(size_of::<Lane>() == 96);

impl Default for Lane {
    fn default() -> Self {
        Self {
            start: 0,
            next: 0,
            first: 0,
            state: OPENING,
            left: 0,
            have: 0,
            settings_left: 0,
            active: 0,
            scanned: 0,
            header: FrameHeader::default(),
            unit: [0; 48],
        }
    }
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Call again.
    More,
    /// All bytes at hand are used.
    Done,
}

impl Lane {
    /// True when the next unit's place is known.
    #[inline(always)]
    #[must_use]
    pub fn aligned(&self) -> bool {
        matches!(self.state, FRAMES | SETTING | RECORDS)
    }

    /// Makes the lane search for its alignment from the next byte on.
    #[inline(always)]
    pub fn scan(&mut self) {
        self.state = SCANNING;
        self.left = 0;
        self.have = 0;
        self.settings_left = 0;
        self.scanned = 0;
        self.clear();
    }

    /// Walks one unit of `source` from `at` on, which it moves forward, and what is to be passed over before and behind it.
    #[inline(always)]
    pub fn step<S: Source, K: Sink>(&mut self, source: &S, at: &mut u32, sink: &mut K) -> Step {
        let len = source.len();
        if self.state == FOREIGN || self.pass_over(len, at) == Step::Done {
            return Step::Done;
        }
        let available = len - *at;
        if self.state == SCANNING {
            return self.step_scan(source, at, available, sink);
        }
        // No byte is loaded that is not the protocol's own: what follows may be a header block or a body.
        let want = self.wanted();
        // Always less, which the verifier cannot know.
        let have = if self.have < want { self.have } else { want - 1 };
        let room = want - have;
        let n = if available < room { available } else { room };
        if !source.load(*at, &mut self.unit, have, n) {
            self.scan();
            sink.desynced();
            return Step::Done;
        }
        let got = have + n;
        let used = match self.state {
            RECORDS => self.record(got, sink),
            SETTING => self.setting(got, sink),
            OPENING => self.opening(got, sink),
            OPENING_PEER => self.opening_peer(got, sink),
            _ => self.frame(got, sink),
        };
        if used == 0 {
            // The unit goes on, here or in the next piece.
            self.have = got;
            *at += n;
            return if *at < len { Step::More } else { Step::Done };
        }
        // A unit never ends before bytes that an earlier piece brought, but a rejected one is rescanned from here.
        *at += used.saturating_sub(have);
        self.have = 0;
        self.pass_over(len, at)
    }

    /// Bytes of the present unit that are known to belong to it.
    #[inline(always)]
    fn wanted(&self) -> u32 {
        match self.state {
            RECORDS => RECORD_LEN,
            SETTING => SETTING_LEN,
            OPENING | OPENING_PEER => OPENING_LEN,
            _ if self.have < HEADER_LEN => HEADER_LEN,
            _ => HEADER_LEN + self.unit_header().body_read(),
        }
    }

    /// Forgets bytes that were looked at and are no unit.
    #[inline(always)]
    fn clear(&mut self) {
        let mut i = 0;
        while i < LONGEST {
            // SAFETY: a byte of the array. Volatile, because the compiler would make a call of memset out of it.
            unsafe { (&raw mut self.unit[i]).write_volatile(0) };
            i += 1;
        }
    }

    /// Passes over the rest of a payload.
    #[inline(always)]
    fn pass_over(&mut self, len: u32, at: &mut u32) -> Step {
        if *at >= len {
            return Step::Done;
        }
        let available = len - *at;
        if self.left >= available {
            self.left -= available;
            *at = len;
            return Step::Done;
        }
        *at += self.left;
        self.left = 0;
        Step::More
    }

    /// Decides by the first three bytes. Returns the bytes used, 0 for "more are needed".
    #[inline(always)]
    fn opening<K: Sink>(&mut self, got: u32, sink: &mut K) -> u32 {
        if got < OPENING_LEN {
            return 0;
        }
        let b = &self.unit;
        if b[0] == PREFACE_START[0] && b[1] == PREFACE_START[1] && b[2] == PREFACE_START[2] {
            self.state = FRAMES;
            self.left = PREFACE_LEN - 3;
            sink.recognised(FRAMES);
            return 3;
        }
        // A TLS handshake record: type 22, legacy version 3.x (RFC 8446, section 5.1).
        if b[0] == 22 && b[1] == 3 && b[2] <= 4 {
            self.state = RECORDS;
            sink.recognised(RECORDS);
            return self.record(got, sink);
        }
        self.state = FOREIGN;
        self.clear();
        sink.recognised(FOREIGN);
        3
    }

    /// The peer's first bytes: a handshake or alert record, or else a frame header (the client's bytes decide what is foreign).
    #[inline(always)]
    fn opening_peer<K: Sink>(&mut self, got: u32, sink: &mut K) -> u32 {
        if got < OPENING_LEN {
            return 0;
        }
        let b = &self.unit;
        if (b[0] == 22 || b[0] == 21) && b[1] == 3 && b[2] <= 4 {
            self.state = RECORDS;
            return self.record(got, sink);
        }
        self.state = FRAMES;
        self.frame(got, sink)
    }

    #[inline(always)]
    fn record<K: Sink>(&mut self, got: u32, sink: &mut K) -> u32 {
        if got < RECORD_LEN {
            return 0;
        }
        let b = &self.unit;
        let length = (u32::from(b[3]) << 8) | u32::from(b[4]);
        // Content types 20 to 24, legacy version 3.x, 2^14 + 256 bytes at most (RFC 8446, section 5.2; 1.2 allows + 2048).
        if b[0] < 20 || b[0] > 24 || b[1] != 3 || length > 16_384 + 2048 {
            sink.desynced();
            self.scan();
            return 1;
        }
        sink.record(b[0], length);
        self.left = length;
        RECORD_LEN
    }

    #[inline(always)]
    fn setting<K: Sink>(&mut self, got: u32, sink: &mut K) -> u32 {
        if got < SETTING_LEN {
            return 0;
        }
        let b = &self.unit;
        sink.setting(u16::from_be_bytes([b[0], b[1]]), u32::from_be_bytes([b[2], b[3], b[4], b[5]]));
        self.settings_left = self.settings_left.saturating_sub(6);
        if self.settings_left < 6 {
            self.state = FRAMES;
        }
        SETTING_LEN
    }

    /// A frame header and the protocol fields behind it.
    #[inline(always)]
    fn frame<K: Sink>(&mut self, got: u32, sink: &mut K) -> u32 {
        if got < HEADER_LEN {
            return 0;
        }
        let header = self.unit_header();
        let trying = self.state == TRYING;
        let bounds = sink.bounds();
        // A frame that its receiver must refuse (RFC 9113, section 4.2) means that these bytes are no header.
        if !header.legal() || header.length > bounds.longest || (trying && !plausible(&header, &bounds)) {
            let scanned = self.scanned;
            self.scan();
            if trying {
                // It was a guess: the search goes on.
                self.scanned = scanned;
            } else {
                sink.desynced();
            }
            return 1;
        }
        let body = header.body_read();
        if got < HEADER_LEN + body {
            return 0;
        }
        if trying {
            // The header that was tried is real: its frame counts too.
            let tried = self.header;
            self.found(FRAMES, sink);
            sink.frame(&tried, 0);
        }
        let b = &self.unit;
        let word = |i: usize| u64::from(u32::from_be_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]));
        let value = match header.kind {
            Kind::RST_STREAM | Kind::WINDOW_UPDATE => word(9),
            Kind::GOAWAY => ((word(9) & 0x7fff_ffff) << 32) | word(13),
            _ => 0,
        };
        self.header = header;
        sink.frame(&header, value);
        self.left = header.length - body;
        if header.kind == Kind::SETTINGS && header.length > 0 && header.flags & flags::ACK == 0 {
            self.state = SETTING;
            self.settings_left = header.length;
            self.left = 0;
        }
        HEADER_LEN + body
    }

    #[inline(always)]
    fn unit_header(&self) -> FrameHeader {
        let b = &self.unit;
        FrameHeader::parse(&[b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8]])
    }
}
