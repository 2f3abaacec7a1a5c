//! The words for what a sample holds: the same in JSON, metrics, screens and documents.

use super::sample::{Goaway, Library, Losses, TcpFacts, Traffic, Transport, View};

impl Transport {
    pub const ALL: [Self; 3] = [Self::Unknown, Self::H2c, Self::Tls];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Unknown => "unknown",
            Transport::H2c => "h2c",
            Transport::Tls => "tls",
        }
    }
}

impl Library {
    pub const ALL: [Self; 4] = [Self::OpenSsl, Self::Go, Self::GnuTls, Self::BoringSsl];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Library::OpenSsl => "openssl",
            Library::Go => "go",
            Library::GnuTls => "gnutls",
            Library::BoringSsl => "boringssl",
        }
    }
}

impl View {
    pub const ALL: [Self; 3] = [Self::Records, Self::Streams, Self::Frames];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            View::Records => "records",
            View::Streams => "streams",
            View::Frames => "frames",
        }
    }
}

impl TcpFacts {
    /// The state's name as `ss` writes it (`include/net/tcp_states.h`).
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        match self.state {
            1 => "established",
            2 => "syn-sent",
            3 => "syn-recv",
            4 => "fin-wait-1",
            5 => "fin-wait-2",
            6 => "time-wait",
            7 => "closed",
            8 => "close-wait",
            9 => "last-ack",
            10 => "listening",
            11 => "closing",
            12 => "new-syn-recv",
            _ => "unknown",
        }
    }

    /// What the socket's timer waits for (`inet_diag_msg.idiag_timer`).
    #[must_use]
    pub fn timer_name(&self) -> &'static str {
        match self.timer {
            0 => "none",
            1 => "retransmit",
            2 => "keepalive",
            3 => "time-wait",
            4 => "zero-window-probe",
            _ => "unknown",
        }
    }
}

/// RFC 9113, section 7: the sender thinks that its peer asks for too much, most often by its PINGs.
const ENHANCE_YOUR_CALM: u32 = 0xb;

impl Traffic {
    /// The frame with which this direction said ENHANCE_YOUR_CALM: its newest GOAWAY, or else its newest RST_STREAM.
    #[must_use]
    pub fn calmed_by(&self) -> Option<&'static str> {
        if self.goaway.is_some_and(|goaway| goaway.code == ENHANCE_YOUR_CALM) {
            return Some("GOAWAY");
        }
        (self.resets > 0 && self.last_reset_code == ENHANCE_YOUR_CALM).then_some("RST_STREAM")
    }
}

impl Goaway {
    /// Its error code: "ENHANCE_YOUR_CALM (0xb)".
    #[must_use]
    pub fn error(&self) -> String {
        format!("{} ({:#x})", error_code(self.code), self.code)
    }
}

/// Name of an HTTP/2 error code (RFC 9113, section 7).
#[must_use]
pub fn error_code(code: u32) -> &'static str {
    match code {
        0x0 => "NO_ERROR",
        0x1 => "PROTOCOL_ERROR",
        0x2 => "INTERNAL_ERROR",
        0x3 => "FLOW_CONTROL_ERROR",
        0x4 => "SETTINGS_TIMEOUT",
        0x5 => "STREAM_CLOSED",
        0x6 => "FRAME_SIZE_ERROR",
        0x7 => "REFUSED_STREAM",
        0x8 => "CANCEL",
        0x9 => "COMPRESSION_ERROR",
        0xa => "CONNECT_ERROR",
        0xb => "ENHANCE_YOUR_CALM",
        0xc => "INADEQUATE_SECURITY",
        0xd => "HTTP_1_1_REQUIRED",
        _ => "an unknown code",
    }
}

impl Losses {
    /// Each counter with what it counts, to be read before its number: `events that did not fit into the ring: 2`.
    #[must_use]
    pub fn in_words(&self) -> [(u64, &'static str); 8] {
        [
            (self.connections_full, "connections not watched, the table was full"),
            (self.ring_full, "events that did not fit into the ring"),
            (self.frame_budget, "segments with more frames than this kernel's walker may walk"),
            (self.unreadable_segments, "segments that could not be read"),
            (self.unassociated, "TLS calls that could not be associated with a socket"),
            (self.tls_objects_full, "TLS objects that their table had no room for"),
            (self.unreadable_memory, "TLS buffers that could not be read"),
            (self.contended_segments, "segments handled by two processors at once"),
        ]
    }
}
