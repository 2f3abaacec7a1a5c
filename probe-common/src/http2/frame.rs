//! One frame header: nine bytes, big-endian (RFC 9113, section 4.1).

/// Frame types by number (RFC 9113, section 11.2).
#[expect(
    non_snake_case,
    reason = "a namespace of constants: an enum would have to reject the unknown types that the RFC allows"
)]
pub mod Kind {
    pub const DATA: u8 = 0x0;
    pub const HEADERS: u8 = 0x1;
    pub const PRIORITY: u8 = 0x2;
    pub const RST_STREAM: u8 = 0x3;
    pub const SETTINGS: u8 = 0x4;
    pub const PUSH_PROMISE: u8 = 0x5;
    pub const PING: u8 = 0x6;
    pub const GOAWAY: u8 = 0x7;
    pub const WINDOW_UPDATE: u8 = 0x8;
    pub const CONTINUATION: u8 = 0x9;
    /// Number of types that RFC 9113 defines; larger ones are legal and skipped (section 4.1).
    pub const COUNT: u8 = 10;
}

/// Frame flags (RFC 9113, section 6).
pub mod flags {
    pub const END_STREAM: u8 = 0x1;
    /// On SETTINGS and PING.
    pub const ACK: u8 = 0x1;
    pub const END_HEADERS: u8 = 0x4;
    pub const PADDED: u8 = 0x8;
    pub const PRIORITY: u8 = 0x20;
}

/// A frame header in host byte order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of payload after the header: 24 bits, 0 to 2^24 - 1.
    pub length: u32,
    /// Stream identifier, 31 bits; 0 is the connection.
    pub stream: u32,
    pub kind: u8,
    pub flags: u8,
    /// 1 when the reserved bit before the stream identifier was set: ignored on receipt, but evidence against a guess.
    pub reserved: u8,
    pub pad: u8,
}

impl FrameHeader {
    /// Reads a header from its nine bytes.
    #[inline(always)]
    #[must_use]
    pub fn parse(b: &[u8; 9]) -> Self {
        Self {
            length: (u32::from(b[0]) << 16) | (u32::from(b[1]) << 8) | u32::from(b[2]),
            kind: b[3],
            flags: b[4],
            reserved: b[5] >> 7,
            stream: u32::from_be_bytes([b[5] & 0x7f, b[6], b[7], b[8]]),
            pad: 0,
        }
    }

    /// The same from the first eight bytes as one number, and the ninth: a load of a register instead of nine of bytes.
    #[inline(always)]
    #[must_use]
    pub fn from_words(first: u64, last: u8) -> Self {
        let stream = ((first as u32) << 8) | u32::from(last);
        Self {
            length: (first >> 40) as u32,
            kind: (first >> 32) as u8,
            flags: (first >> 24) as u8,
            reserved: (stream >> 31) as u8,
            stream: stream & 0x7fff_ffff,
            pad: 0,
        }
    }

    /// True when the frame ends its sender's half of the stream. END_STREAM is 0x1 on DATA and HEADERS only.
    #[inline(always)]
    #[must_use]
    pub fn ends_stream(&self) -> bool {
        self.flags & flags::END_STREAM != 0 && (self.kind == Kind::DATA || self.kind == Kind::HEADERS)
    }

    /// Bytes of payload that are read besides the header: the error code of RST_STREAM, the increment of WINDOW_UPDATE, the
    /// last stream and code of GOAWAY. SETTINGS are read entry by entry, everything else is passed over unread.
    #[inline(always)]
    #[must_use]
    pub fn body_read(&self) -> u32 {
        match self.kind {
            Kind::RST_STREAM | Kind::WINDOW_UPDATE if self.length == 4 => 4,
            Kind::GOAWAY if self.length >= 8 => 8,
            _ => 0,
        }
    }

    /// False when a conforming endpoint could not have sent this in the middle of a synchronised stream: a fixed length that
    /// is not kept, or a stream identifier where there must be none (RFC 9113, section 6). Unknown types are always legal.
    #[inline(always)]
    #[must_use]
    pub fn legal(&self) -> bool {
        match self.kind {
            Kind::DATA | Kind::HEADERS | Kind::CONTINUATION | Kind::PUSH_PROMISE => self.stream != 0,
            Kind::PRIORITY => self.stream != 0 && self.length == 5,
            Kind::RST_STREAM => self.stream != 0 && self.length == 4,
            Kind::SETTINGS => {
                self.stream == 0
                    && self.length.is_multiple_of(6)
                    && (self.flags & flags::ACK == 0 || self.length == 0)
            }
            Kind::PING => self.stream == 0 && self.length == 8,
            Kind::GOAWAY => self.stream == 0 && self.length >= 8,
            Kind::WINDOW_UPDATE => self.length == 4,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_fields_are_read_big_endian() {
        let h = FrameHeader::parse(&[0xff, 0xfe, 0xfd, 1, 0x25, 0x80, 1, 2, 3]);
        assert_eq!(h.length, 0x00ff_fefd);
        assert_eq!((h.kind, h.flags, h.reserved, h.stream), (1, 0x25, 1, 0x0001_0203));
    }

    #[test]
    fn words_and_bytes_give_the_same_header() {
        for b in [[0xff, 0xfe, 0xfd, 1, 0x25, 0x80, 1, 2, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9], [0x80; 9]] {
            let first = u64::from_be_bytes(*b.first_chunk().unwrap());
            assert_eq!(FrameHeader::from_words(first, b[8]), FrameHeader::parse(&b));
        }
    }

    #[test]
    fn unknown_types_are_legal_and_fixed_lengths_are_kept() {
        let mut h = FrameHeader { kind: 0xbb, length: 77, ..FrameHeader::default() };
        assert!(h.legal());
        h.kind = Kind::PING;
        assert!(!h.legal());
        h.length = 8;
        assert!(h.legal());
        h.stream = 3;
        assert!(!h.legal());
    }

    #[test]
    fn end_stream_is_not_a_ping_ack() {
        let ack = FrameHeader { kind: Kind::PING, flags: flags::ACK, length: 8, ..FrameHeader::default() };
        assert!(!ack.ends_stream());
    }
}
