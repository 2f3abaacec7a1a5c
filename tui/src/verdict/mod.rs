//! Is this connection healthy, and if not, why: one rule per file, pure.

pub mod advice;
pub mod case;
pub mod clock;
#[cfg(test)]
mod docs;
pub mod giveup;
pub mod keepalive;
pub mod look;
pub mod patience;
pub mod policy;
pub mod rules;
pub mod standing;
pub mod words;

pub use case::Case;
pub use look::{Suspects, next_look_ns, wants_tcp_facts};
pub use policy::{Policy, StallAfter};
pub use standing::Standing;

use crate::model::sample::Nanos;
use std::time::Duration;

/// What is said of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// No stream waits for anything.
    #[default]
    Idle,
    /// Streams are in flight and the peer is heard.
    Healthy,
    /// Streams were opened since the peer was last heard, not long enough or not enough of them to judge.
    Waiting,
    /// It takes new streams while receiving no frames.
    Stalled,
}

/// Why a connection is stalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Data is sent and not acknowledged; nothing arrives.
    BlackHole,
    /// The peer's kernel acknowledges, its HTTP/2 says nothing.
    SilentPeer,
    /// The peer's HTTP/2 layer answers, but no stream does.
    HungServer,
    /// The peer's TCP receive window is closed.
    PeerWindowClosed,
    /// An HTTP/2 window is used up and no WINDOW_UPDATE comes.
    FlowControl,
    /// Streams are opened on a connection that received GOAWAY.
    GoawayIgnored,
    /// Bytes from the peer wait in this host's receive queue.
    ReaderBlocked,
    /// Not enough evidence.
    Unknown,
}

impl Cause {
    /// Every cause, in the order of the documentation.
    pub const ALL: [Cause; 8] = [
        Cause::BlackHole,
        Cause::SilentPeer,
        Cause::HungServer,
        Cause::PeerWindowClosed,
        Cause::FlowControl,
        Cause::GoawayIgnored,
        Cause::ReaderBlocked,
        Cause::Unknown,
    ];

    /// The word used in code, JSON, metrics, screens and documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::BlackHole => "black_hole",
            Cause::SilentPeer => "silent_peer",
            Cause::HungServer => "hung_server",
            Cause::PeerWindowClosed => "peer_window_closed",
            Cause::FlowControl => "flow_control",
            Cause::GoawayIgnored => "goaway_ignored",
            Cause::ReaderBlocked => "reader_blocked",
            Cause::Unknown => "unknown",
        }
    }
}

impl State {
    /// The word used everywhere.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Idle => "idle",
            State::Healthy => "healthy",
            State::Waiting => "waiting",
            State::Stalled => "stalled",
        }
    }
}

/// How bad a verdict is; decides order on the screen and exit codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    #[default]
    None,
    /// Worth a look (`hung_server`, `goaway_ignored`).
    Warning,
    Critical,
}

impl Severity {
    /// The word used everywhere.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::None => "none",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

/// A judgement with its evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub state: State,
    /// `Some` exactly when `state` is `Stalled`.
    pub cause: Option<Cause>,
    pub severity: Severity,
    /// One sentence with numbers; for `Waiting` what is missing for a judgement.
    pub evidence: String,
    /// When the kernel would give up by itself, in words, where it can be told.
    pub gives_up: Option<String>,
    /// What would fix it in this client.
    pub advice: Option<String>,
}

/// When a connection is called stalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Silence after which unanswered streams are a stall.
    pub stall_after: Duration,
    /// Fewer unanswered streams than this are not a stall: one slow request is no evidence.
    pub min_streams: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { stall_after: Duration::from_secs(3), min_streams: 2 }
    }
}

impl Thresholds {
    /// `stall_after` on the kernel's clock.
    #[must_use]
    pub fn stall_after_ns(&self) -> Nanos {
        Nanos::try_from(self.stall_after.as_nanos()).unwrap_or(Nanos::MAX)
    }
}

#[cfg(test)]
mod tests;
