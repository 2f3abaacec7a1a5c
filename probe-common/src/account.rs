//! What a frame or record means for its connection: counters, open streams, who was heard when.

use crate::direction::{Direction, OTHER_KIND};
use crate::http2::{Bounds, FrameHeader, Kind, flags};
use crate::lane::{FOREIGN, FRAMES, OPENING, RECORDS, Sink};
use crate::slot::{
    Connection, FIRST_RECORDS, MATCHED_RECORDS, ORIGIN_SEEDED, PLAIN_FRAMES, TRANSPORT_FOREIGN,
    TRANSPORT_H2C, TRANSPORT_TLS, TRANSPORT_UNKNOWN,
};
use crate::streams::{BEGUN, ENDED, RESET, WINDOW};
use crate::tls::CERTAIN;
use crate::walk::SENT;

/// `Books::signals`: a stream was opened past the slot's thresholds.
pub const SIGNAL_STALLED: u32 = 1;
/// A stream was opened.
pub const SIGNAL_STIRRED: u32 = 2;
/// The first bytes decided what the connection is.
pub const SIGNAL_RECOGNISED: u32 = 4;

/// RST_STREAM error code CANCEL (RFC 9113, section 7).
const CANCEL: u64 = 0x8;
/// SETTINGS identifiers (RFC 9113, section 6.5.2).
const MAX_CONCURRENT_STREAMS: u16 = 0x3;
const INITIAL_WINDOW_SIZE: u16 = 0x4;
const MAX_FRAME_SIZE: u16 = 0x5;
/// The RFC's initial value of SETTINGS_MAX_FRAME_SIZE, and what is assumed possible when the SETTINGS were not seen (Go
/// servers announce 1 MiB).
const DEFAULT_MAX_FRAME_SIZE: u32 = 16_384;
const UNSEEN_MAX_FRAME_SIZE: u32 = 1 << 20;
/// Streams that a gap may hide, times two: more than a receive window of the smallest requests.
const MAX_JUMP: u32 = 1 << 16;
/// Records that leave so long after the last frame do not confirm whose plaintext they hold.
const DOUBTFUL_NS: u64 = 1_000_000_000;
/// TLS content type application_data.
const APPLICATION_DATA: u8 = 23;

/// The books of a connection, as the frames of one direction are entered into them.
#[derive(Debug)]
pub struct Books<'a, const DIRECTION: u32> {
    pub connection: &'a mut Connection,
    pub now_ns: u64,
    /// The bytes are the plaintext of a TLS connection, not those on the wire.
    pub plain: bool,
    /// They are an island behind a hole in the sequence: what it passed over is judged when the hole is filled.
    pub island: bool,
    pub signals: u32,
}

impl Direction {
    /// What both directions do with a frame.
    #[inline(always)]
    fn count(&mut self, header: &FrameHeader, value: u64, now_ns: u64) {
        let index = if header.kind < Kind::COUNT { header.kind as usize } else { OTHER_KIND };
        self.frames[index] += 1;
        self.last_frame_ns = now_ns;
        match header.kind {
            Kind::DATA => self.data_bytes += u64::from(header.length),
            Kind::HEADERS => self.last_headers_ns = now_ns,
            Kind::PING if header.flags & flags::ACK != 0 => {
                self.ping_acks += 1;
                self.last_ping_ack_ns = now_ns;
            }
            Kind::PING => self.last_ping_ns = now_ns,
            Kind::SETTINGS if header.flags & flags::ACK == 0 => {
                self.settings_seen = 1;
                self.last_settings_ns = now_ns;
            }
            Kind::GOAWAY => {
                self.goaway_ns = now_ns;
                self.goaway_last_stream = (value >> 32) as u32;
                self.goaway_code = value as u32;
            }
            Kind::WINDOW_UPDATE => {
                self.last_window_update_ns = now_ns;
                if header.stream == 0 {
                    self.window_granted += value & 0x7fff_ffff;
                }
            }
            Kind::RST_STREAM => {
                self.resets += 1;
                self.last_reset_code = value as u32;
            }
            _ => {}
        }
    }

    #[inline(always)]
    fn note_setting(&mut self, id: u16, value: u32) {
        match id {
            MAX_CONCURRENT_STREAMS => {
                self.max_concurrent_streams = value;
                self.max_concurrent_seen = 1;
            }
            INITIAL_WINDOW_SIZE => {
                self.initial_window_size = value;
                self.initial_window_seen = 1;
            }
            MAX_FRAME_SIZE => self.max_frame_size = value,
            _ => {}
        }
    }

    #[inline(always)]
    fn count_record(&mut self, content_type: u8, length: u32, now_ns: u64) {
        let index = (content_type.wrapping_sub(20) & 7) as usize;
        if index < self.records.len() {
            self.records[index] += 1;
        }
        self.last_record_ns = now_ns;
        if content_type == APPLICATION_DATA {
            self.record_bytes += u64::from(length);
        } else if content_type == 21 {
            self.last_alert_ns = now_ns;
        }
    }

    /// Frames up to the present stream may have been missed.
    #[inline(always)]
    pub fn mark_missed(&mut self, highest: u32, now_ns: u64) {
        self.horizon = highest;
        self.missed_ns = now_ns;
        self.gap_pending = 1;
    }

    /// How long frames to this receiver may be.
    #[inline(always)]
    fn bounds(&self, highest_stream: u32, seeded: bool) -> Bounds {
        // Of a connection that was open before, the SETTINGS that counts may not have been seen.
        if self.settings_seen == 0 || (seeded && self.max_frame_size == 0) {
            return Bounds { highest_stream, max_frame_size: UNSEEN_MAX_FRAME_SIZE, longest: (1 << 24) - 1 };
        }
        let announced = if self.max_frame_size == 0 { DEFAULT_MAX_FRAME_SIZE } else { self.max_frame_size };
        Bounds { highest_stream, max_frame_size: announced, longest: announced }
    }
}

impl Connection {
    /// Streams that the client opened since the peer was last heard.
    #[inline(always)]
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        self.streams_opened.wrapping_sub(self.opened_at_last_heard)
    }

    /// When the present silence began; meaningful while something is unanswered. The later of the two times, because the
    /// directions run on two processors: a stream that is opened while a frame arrives may leave `first_unanswered_ns` old.
    #[inline(always)]
    #[must_use]
    pub fn silent_since_ns(&self) -> u64 {
        if self.first_unanswered_ns > self.last_heard_ns {
            self.first_unanswered_ns
        } else {
            self.last_heard_ns
        }
    }

    #[inline(always)]
    fn open(&mut self, stream: u32, now_ns: u64) -> u32 {
        if self.unanswered() == 0 {
            self.first_unanswered_ns = now_ns;
        }
        if self.streams_opened == self.opened_at_last_answer {
            self.first_without_answer_ns = now_ns;
        }
        // Identifiers rise by two in every client: a jump over a gap tells how many openings lie in it. Should they arrive
        // after all, they are not counted again.
        if self.sent.gap_pending != 0 {
            self.sent.gap_pending = 0;
            let jump = stream - self.highest_stream;
            // A greater jump is no gap but a misread header.
            if self.highest_stream != 0 && jump <= MAX_JUMP {
                self.streams_opened += u64::from(jump / 2).saturating_sub(1);
            }
        }
        self.streams_opened += 1;
        let horizon =
            if self.sent.horizon > self.received.horizon { self.sent.horizon } else { self.received.horizon };
        if !self.streams.open(stream, horizon) {
            self.streams_forgotten += 1;
            // Whatever was forgotten had left the window.
            self.highest_forgotten = stream.saturating_sub(2 * WINDOW as u32);
        }
        self.highest_stream = stream;
        if self.first_stream == 0 {
            self.first_stream = stream;
        }
        self.last_opened_ns = now_ns;
        if self.received.goaway_ns != 0 {
            self.opened_after_goaway += 1;
        }
        let past = self.ring_min_streams != 0
            && self.rung == 0
            && self.unanswered() >= u64::from(self.ring_min_streams)
            && now_ns.saturating_sub(self.silent_since_ns()) >= self.ring_after_ns;
        if past {
            self.rung = 1;
            return SIGNAL_STALLED | SIGNAL_STIRRED;
        }
        SIGNAL_STIRRED
    }

    /// The peer said something above TCP.
    #[inline(always)]
    fn heard(&mut self, now_ns: u64) {
        self.last_heard_ns = now_ns;
        self.opened_at_last_heard = self.streams_opened;
        self.rung = 0;
    }

    /// The peer said something about a stream.
    #[inline(always)]
    fn answered(&mut self, now_ns: u64) {
        self.last_answer_ns = now_ns;
        self.opened_at_last_answer = self.streams_opened;
    }

    #[inline(always)]
    fn recognise(&mut self, state: u32) {
        self.transport = match state {
            FRAMES => TRANSPORT_H2C,
            RECORDS => TRANSPORT_TLS,
            FOREIGN => TRANSPORT_FOREIGN,
            _ => self.transport,
        };
    }

    #[inline(always)]
    fn grammar(&self) -> u32 {
        match self.transport {
            TRANSPORT_UNKNOWN => OPENING,
            TRANSPORT_TLS => RECORDS,
            _ => FRAMES,
        }
    }
}

impl<const DIRECTION: u32> Books<'_, DIRECTION> {
    #[inline(always)]
    fn frame_sent(&mut self, header: &FrameHeader, value: u64) {
        let connection = &mut *self.connection;
        let stream = header.stream;
        let mut mark = if header.ends_stream() { ENDED } else { 0 };
        if header.kind == Kind::HEADERS && stream & 1 == 1 {
            if stream > connection.highest_stream {
                self.signals |= connection.open(stream, self.now_ns);
            } else if stream > connection.first_stream {
                // Trailers, or HEADERS out of a hole: counted when the hole was seen, entered into the table now.
                mark |= BEGUN;
            }
        }
        if mark != 0 {
            connection.streams.note_sent(stream, connection.highest_stream, mark);
        }
        if header.kind == Kind::RST_STREAM {
            let (sent, received) = connection.streams.note_sent(stream, connection.highest_stream, RESET);
            if value == CANCEL && sent & BEGUN != 0 && received & BEGUN == 0 {
                connection.sent.abandoned += 1;
            }
        }
    }

    #[inline(always)]
    fn frame_received(&mut self, header: &FrameHeader) {
        let connection = &mut *self.connection;
        connection.heard(self.now_ns);
        let mark = match header.kind {
            Kind::HEADERS if header.ends_stream() => BEGUN | ENDED,
            Kind::HEADERS => BEGUN,
            Kind::DATA if header.ends_stream() => ENDED,
            Kind::RST_STREAM => RESET,
            Kind::DATA => 0,
            _ => return,
        };
        connection.answered(self.now_ns);
        if mark != 0 {
            connection.streams.note_received(header.stream, connection.highest_stream, mark);
        }
    }

    #[inline(always)]
    fn application_record_sent(&mut self, length: u32) {
        let connection = &mut *self.connection;
        let n = connection.sent.records[3];
        if n == connection.records_at_last_heard {
            connection.first_unanswered_record_ns = self.now_ns;
        }
        self.signals |= SIGNAL_STIRRED;
        // Its frames do not come any more: the object may have been pushed out of its table, and has to be found again.
        if connection.tls_votes >= CERTAIN
            && connection.sent_plain_used == PLAIN_FRAMES
            && self.now_ns.saturating_sub(connection.sent.last_frame_ns) > DOUBTFUL_NS
        {
            connection.tls_votes = CERTAIN - 1;
        }
        if connection.tls_votes < CERTAIN && connection.record_count < MATCHED_RECORDS as u32 {
            connection.record_lengths[connection.record_count as usize & (MATCHED_RECORDS - 1)] =
                length as u16;
            connection.record_count += 1;
        }
        if n < FIRST_RECORDS as u64 {
            connection.sent_first_records[n as usize] = length as u16;
        }
    }

    #[inline(always)]
    fn application_record_received(&mut self, length: u32) {
        let connection = &mut *self.connection;
        let n = connection.received.records[3];
        if n < FIRST_RECORDS as u64 {
            connection.received_first_records[n as usize] = length as u16;
        }
        connection.records_at_last_heard = connection.sent.records[3];
        // With frames of its own the direction is heard frame by frame.
        if connection.received_plain_used == 0 {
            connection.heard(self.now_ns);
        }
    }

    #[inline(always)]
    fn mark_missed(&mut self) {
        let highest = self.connection.highest_stream;
        self.connection.direction(DIRECTION).mark_missed(highest, self.now_ns);
    }
}

impl<const DIRECTION: u32> Sink for Books<'_, DIRECTION> {
    #[inline(always)]
    fn frame(&mut self, header: &FrameHeader, value: u64) {
        self.connection.direction(DIRECTION).count(header, value, self.now_ns);
        if DIRECTION == SENT {
            self.frame_sent(header, value);
        } else {
            self.frame_received(header);
        }
    }

    #[inline(always)]
    fn setting(&mut self, id: u16, value: u32) {
        self.connection.direction(DIRECTION).note_setting(id, value);
    }

    #[inline(always)]
    fn record(&mut self, content_type: u8, length: u32) {
        if content_type == APPLICATION_DATA {
            if DIRECTION == SENT {
                self.application_record_sent(length);
            } else {
                self.application_record_received(length);
            }
        }
        self.connection.direction(DIRECTION).count_record(content_type, length, self.now_ns);
    }

    #[inline(always)]
    fn recognised(&mut self, state: u32) {
        if !self.plain {
            self.connection.recognise(state);
            self.signals |= SIGNAL_RECOGNISED;
        }
    }

    #[inline(always)]
    fn desynced(&mut self) {
        self.connection.direction(DIRECTION).desyncs += 1;
        self.mark_missed();
    }

    #[inline(always)]
    fn resynced(&mut self, skipped: bool) {
        self.connection.direction(DIRECTION).resyncs += 1;
        // Streams that were opened while the alignment was searched may have been answered in what was passed over.
        if skipped && !self.island {
            self.mark_missed();
        }
    }

    #[inline(always)]
    fn bounds(&self) -> Bounds {
        // How long a frame may be is what its receiver said.
        let receiver = if DIRECTION == SENT { &self.connection.received } else { &self.connection.sent };
        receiver.bounds(self.connection.highest_stream, self.connection.origin == ORIGIN_SEEDED)
    }

    #[inline(always)]
    fn grammar(&self) -> u32 {
        if self.plain { FRAMES } else { self.connection.grammar() }
    }
}
