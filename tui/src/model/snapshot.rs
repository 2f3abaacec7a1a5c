//! The immutable view of one tick that every output gets.

use super::sample::{Losses, Nanos, Process, Reading};
use crate::verdict::Verdict;
use std::sync::Arc;

/// Everything that is known at one moment, judged.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub now_ns: Nanos,
    pub unix_ns: i128,
    /// Open connections, most severe first, then by age.
    pub connections: Vec<Connection>,
    pub losses: Losses,
    pub processes: Vec<Process>,
    pub totals: Totals,
    /// What limits this run, one sentence each ("this kernel has no bpf_loop: ...").
    pub degradations: Vec<String>,
    /// What may be wrong without being seen, one phrase each ("2 TLS connections opened before, whose records ...").
    pub unseen: Vec<String>,
    /// Name of the recording that this comes from; `None`: it is live.
    pub recording: Option<Arc<str>>,
}

/// One connection with its verdict.
#[derive(Clone, Debug)]
pub struct Connection {
    pub reading: Reading,
    pub verdict: Verdict,
    /// Its beginning was not seen, so that counts of streams and frames begin later than it does: it was open before h2watch, or
    /// before its TLS library was probed.
    pub joined_late: bool,
    /// Since when the verdict has been `stalled`; `None` when it is not.
    pub stalled_since_ns: Option<Nanos>,
    /// Streams opened while stalled, in total over all stalls of this connection.
    pub damage: u64,
    /// Stalls so far, the present one included.
    pub stalls: u64,
    /// Rates over the last interval, per second; 0 before there are two samples.
    pub streams_per_s: f64,
    pub bytes_sent_per_s: f64,
    pub bytes_received_per_s: f64,
}

impl Connection {
    /// Silence: time since the first stream was opened that no frame followed; `None` while nothing waits.
    #[must_use]
    pub fn silence_ns(&self, now_ns: Nanos) -> Option<Nanos> {
        self.reading.first_unanswered_ns.map(|first| now_ns.saturating_sub(first))
    }
}

/// Sums over the whole run, closed connections included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub connections_opened: u64,
    pub connections_closed: u64,
    pub streams_opened: u64,
    /// Application records sent where nothing more is seen: they may have opened streams.
    pub records_asked: u64,
    pub streams_reset_sent: u64,
    pub streams_abandoned: u64,
    pub frames_sent: u64,
    pub frames_received: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub stalls: u64,
    pub damage: u64,
    pub resets: u64,
    pub goaways_received: u64,
    pub desyncs: u64,
}

/// What changed from one snapshot to the next, in order of time. Outputs that print lines print these.
#[derive(Clone, Debug)]
pub enum Change {
    Opened(Box<Connection>),
    /// The verdict became `stalled`.
    Stalled(Box<Connection>),
    /// The cause of a stall became a sharper one.
    Sharpened(Box<Connection>),
    /// A stalled connection was heard again. `stalled_ns`: for how long it was stalled.
    Recovered {
        connection: Box<Connection>,
        stalled_ns: Nanos,
    },
    /// The process released the socket: final counters.
    Closed(Box<Connection>),
    /// A loss counter moved. The losses are totals.
    Lost(Losses),
    /// Coverage of a process became known or changed.
    Process(Process),
}
