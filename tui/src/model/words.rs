//! The words for what a sample holds: the same in JSON, metrics, screens and documents.

use super::sample::{Library, TcpFacts, Transport, View};

impl Transport {
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
