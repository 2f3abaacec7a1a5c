//! Sums over the run. They are kept as sums of differences, so each frame is counted once, whether its connection is open,
//! closed, or comes back after it was missing.

use super::sample::{Reading, View};
use super::snapshot::Totals;

/// The counters of one connection that are summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub streams_opened: u64,
    records_asked: u64,
    streams_reset_sent: u64,
    streams_abandoned: u64,
    frames_sent: u64,
    frames_received: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    goaways_received: u64,
    desyncs: u64,
}

impl Counters {
    /// The counters of a reading.
    #[must_use]
    pub fn of(reading: &Reading) -> Self {
        let sent = reading.sent.frames.unwrap_or_default();
        let received = reading.received.frames.unwrap_or_default();
        let records = reading.sent.records.filter(|_| reading.view == View::Records);
        Self {
            streams_opened: reading.streams.opened,
            records_asked: records.map_or(0, |records| records.application),
            streams_reset_sent: reading.sent.resets,
            streams_abandoned: reading.streams.abandoned,
            frames_sent: sent.total(),
            frames_received: received.total(),
            bytes_sent: reading.sent.bytes,
            bytes_received: reading.received.bytes,
            goaways_received: received.goaway,
            desyncs: reading.sent.desyncs + reading.received.desyncs,
        }
    }

    /// Adds what came since `before`.
    pub fn add_since(&self, before: &Counters, totals: &mut Totals) {
        totals.streams_opened += self.streams_opened.saturating_sub(before.streams_opened);
        totals.records_asked += self.records_asked.saturating_sub(before.records_asked);
        totals.streams_reset_sent += self.streams_reset_sent.saturating_sub(before.streams_reset_sent);
        totals.streams_abandoned += self.streams_abandoned.saturating_sub(before.streams_abandoned);
        totals.frames_sent += self.frames_sent.saturating_sub(before.frames_sent);
        totals.frames_received += self.frames_received.saturating_sub(before.frames_received);
        totals.bytes_sent += self.bytes_sent.saturating_sub(before.bytes_sent);
        totals.bytes_received += self.bytes_received.saturating_sub(before.bytes_received);
        totals.goaways_received += self.goaways_received.saturating_sub(before.goaways_received);
        totals.desyncs += self.desyncs.saturating_sub(before.desyncs);
    }
}
