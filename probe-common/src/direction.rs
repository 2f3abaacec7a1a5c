//! What is known of one direction of a connection. One writer: the path of that direction.

use crate::lane::Lane;
use crate::order::LANES;

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
    /// 1 once a SETTINGS frame announced the value above.
    pub settings_seen: u32,
    pub pad0: u32,

    // ---- Order and alignment
    /// Times that alignment was lost and found.
    pub desyncs: u64,
    pub resyncs: u64,
    /// Gaps in the sequence, and gaps given up because there were too many at once.
    pub holes: u64,
    pub holes_abandoned: u64,
    /// Joins over frames that were not seen.
    pub inexact: u64,
    /// Segments whose walk hit the frame budget of this kernel's walker.
    pub over_budget: u64,
    /// Highest stream whose frames may have been missed; streams above it are exact.
    pub horizon: u32,
    /// Active lanes besides lane 0.
    pub islands: u32,
    pub lanes: [Lane; LANES],

    // ---- TLS
    pub records: [u64; RECORD_KINDS],
    /// Payload bytes of application data records.
    pub record_bytes: u64,
    pub last_record_ns: u64,
    pub last_alert_ns: u64,
    /// Plaintext of this direction as the process handed it to its TLS library, or got it from there.
    pub plain: Lane,
    /// 1 when `frames` is fed from plaintext.
    pub plain_used: u32,
}
