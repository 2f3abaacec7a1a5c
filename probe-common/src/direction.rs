//! What is known of one direction of a connection. One writer: the path of that direction.

use crate::order::distance;

/// TCP flags (RFC 9293, section 3.1).
pub const TCP_FIN: u8 = 0x01;
pub const TCP_SYN: u8 = 0x02;
pub const TCP_RST: u8 = 0x04;
pub const TCP_ACK: u8 = 0x10;

/// The TCP header fields of a segment, host byte order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Segment {
    /// Sequence number of the first payload byte (one after the header's when SYN is set).
    pub seq: u32,
    pub ack: u32,
    /// Bytes of payload.
    pub payload: u32,
    /// Unscaled.
    pub window: u32,
    pub flags: u8,
}

/// Frame counters: one per type of RFC 9113 by number, and one for all other types.
pub const KINDS: usize = 11;
/// Index of the counter for types that RFC 9113 does not define.
pub const OTHER_KIND: usize = 10;
/// TLS record counters: change_cipher_spec (20), alert (21), handshake (22), application_data (23), heartbeat (24).
pub const RECORD_KINDS: usize = 5;

/// Counters and state of one direction. Times are nanoseconds of CLOCK_MONOTONIC; 0 means never. Counts are since the
/// connection was first seen.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Direction {
    // ---- TCP
    /// Segments, with and without payload.
    pub segments: u64,
    /// Payload bytes, each counted once.
    pub bytes: u64,
    /// Segments that brought nothing new.
    pub retransmits: u64,
    pub last_segment_ns: u64,
    /// Last new payload byte.
    pub last_data_ns: u64,
    /// Last retransmitted segment with payload.
    pub last_retransmit_ns: u64,
    /// When this direction's acknowledgement number last moved forward.
    pub last_ack_ns: u64,
    /// When this direction last advertised a zero window; back to 0 when it opens.
    pub zero_window_ns: u64,
    pub fin_ns: u64,
    pub rst_ns: u64,
    /// Highest acknowledgement number that this direction sent.
    pub ack: u32,
    /// Window field of the last segment, unscaled.
    pub window: u32,
    /// Highest sequence number seen, end of payload.
    pub sequence_end: u32,
    /// 1 once a sequence number was seen.
    pub sequenced: u32,

    // ---- HTTP/2
    pub frames: [u64; KINDS],
    /// Payload bytes of DATA frames, padding included: what flow control counts (RFC 9113, section 6.9.1).
    pub data_bytes: u64,
    /// Sum of WINDOW_UPDATE increments for the connection (stream 0).
    pub window_granted: u64,
    pub last_frame_ns: u64,
    pub last_headers_ns: u64,
    /// Last PING that is not an ACK, and last PING ACK.
    pub last_ping_ns: u64,
    pub last_ping_ack_ns: u64,
    pub last_settings_ns: u64,
    pub last_window_update_ns: u64,
    pub goaway_ns: u64,
    /// RST_STREAM frames of this direction, and those with CANCEL (0x8) for a stream without any answer.
    pub resets: u64,
    pub abandoned: u64,
    pub ping_acks: u64,
    pub goaway_last_stream: u32,
    pub goaway_code: u32,
    pub last_reset_code: u32,
    /// SETTINGS that this direction announced; 0 when never announced (RFC 9113, section 6.5.2).
    pub initial_window_size: u32,
    pub max_frame_size: u32,
    pub max_concurrent_streams: u32,
    /// 1 once that value was announced: 0 is a legal value of both.
    pub initial_window_seen: u32,
    pub max_concurrent_seen: u32,
    /// 1 once a SETTINGS frame was seen.
    pub settings_seen: u32,

    // ---- Alignment
    /// Times that alignment was lost and found.
    pub desyncs: u64,
    pub resyncs: u64,
    /// Segments whose walk hit the frame budget of this kernel's walker.
    pub over_budget: u64,
    /// Highest stream whose frames in this direction may have been missed; streams above it are exact.
    pub horizon: u32,
    /// 1 after frames of this direction may have been missed, until the next stream is opened.
    pub gap_pending: u32,
    /// When frames were last missed.
    pub missed_ns: u64,

    // ---- TLS
    pub records: [u64; RECORD_KINDS],
    /// Payload bytes of application data records.
    pub record_bytes: u64,
    pub last_record_ns: u64,
    pub last_alert_ns: u64,
}

impl Direction {
    /// Counts a segment and returns how many bytes of its payload are new. Hot: runs for every segment.
    #[inline(always)]
    pub fn segment(&mut self, segment: &Segment, now_ns: u64) {
        self.segments += 1;
        self.last_segment_ns = now_ns;
        if segment.flags & TCP_ACK != 0 && (self.last_ack_ns == 0 || distance(segment.ack, self.ack) > 0) {
            self.ack = segment.ack;
            self.last_ack_ns = now_ns;
        }
        self.window = segment.window;
        if segment.window != 0 || segment.flags & TCP_RST != 0 {
            self.zero_window_ns = 0;
        } else if self.zero_window_ns == 0 {
            self.zero_window_ns = now_ns;
        }
        if segment.flags & TCP_FIN != 0 && self.fin_ns == 0 {
            self.fin_ns = now_ns;
        }
        if segment.flags & TCP_RST != 0 && self.rst_ns == 0 {
            self.rst_ns = now_ns;
        }
        if segment.flags & TCP_SYN != 0 {
            self.sequenced = 1;
            self.sequence_end = segment.seq;
        }
        if segment.payload == 0 {
            return;
        }
        let end = segment.seq.wrapping_add(segment.payload);
        if self.sequenced == 0 {
            self.sequenced = 1;
            self.sequence_end = segment.seq;
        }
        let new = distance(end, self.sequence_end);
        if new > 0 {
            self.bytes += new as u64;
            self.sequence_end = end;
            self.last_data_ns = now_ns;
        } else {
            self.retransmits += 1;
            self.last_retransmit_ns = now_ns;
        }
    }
}
