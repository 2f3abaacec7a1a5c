//! The numbers of one (process, destination) pair: gauges of the present snapshot and counters since it was first seen.

use super::limit::{OTHER, Use};
use crate::model::sample::{Nanos, Reading, Transport, View};
use crate::model::snapshot::Connection;
use crate::verdict::{Cause, State};
use prometheus_client::metrics::exemplar::CounterWithExemplar;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Labels of an exemplar: the socket cookie under the name that the JSON output uses.
pub(super) type ExemplarLabels = [(&'static str, String); 1];

pub(super) fn exemplar(id: u64) -> ExemplarLabels {
    [("connection_id", id.to_string())]
}

/// Wall-clock time of a snapshot.
pub(super) fn wall_clock(unix_ns: i128) -> Option<SystemTime> {
    let since = Duration::from_nanos(u64::try_from(unix_ns).ok()?);
    UNIX_EPOCH.checked_add(since)
}

/// The labels that a group stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct GroupKey {
    pub(super) workload: Workload,
    pub(super) destination: String,
}

/// A program in a container (or outside of one: empty).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Workload {
    pub(super) comm: String,
    pub(super) container: String,
}

impl Workload {
    /// Stands for all that have no place of their own.
    pub(super) fn other() -> Self {
        Self { comm: OTHER.to_owned(), container: String::new() }
    }
}

/// Counters of a connection as they were at the last snapshot: what was added since belongs to its present group.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    streams: u64,
    damage: u64,
    abandoned: u64,
    after_goaway: u64,
    sent_bytes: u64,
    received_bytes: u64,
    goaway: bool,
    opened: bool,
}

#[derive(Debug, Default)]
pub(super) struct Group {
    /// Its labels are the overflow's, at least one of them.
    pub(super) other: bool,
    // Present snapshot.
    /// Connections of the last snapshot that are still there.
    pub(super) kept: Use,
    pub(super) connections: BTreeMap<(Transport, View), u64>,
    pub(super) stalled: [u64; Cause::ALL.len()],
    pub(super) oldest_unanswered_ns: Nanos,
    pub(super) unanswered: u64,
    pub(super) in_flight: u64,
    /// Connections for which the number of streams in flight may be off.
    pub(super) approximate: u64,
    // Since the start.
    /// Causes that were seen: they keep being shown, with 0, so that an alert resolves instead of going stale.
    pub(super) seen_causes: [bool; Cause::ALL.len()],
    pub(super) damage: CounterWithExemplar<ExemplarLabels>,
    pub(super) opened: u64,
    pub(super) streams: u64,
    pub(super) abandoned: u64,
    pub(super) goaways: u64,
    pub(super) after_goaway: u64,
    pub(super) sent_bytes: u64,
    pub(super) received_bytes: u64,
    pub(super) used_ns: Nanos,
}

/// Position of a cause in arrays.
pub(super) fn cause_index(cause: Cause) -> usize {
    Cause::ALL.iter().position(|c| *c == cause).unwrap_or(Cause::ALL.len() - 1)
}

impl Group {
    pub(super) fn begin(&mut self) {
        self.connections.clear();
        self.stalled = Default::default();
        (self.oldest_unanswered_ns, self.unanswered, self.in_flight, self.approximate) = (0, 0, 0, 0);
    }

    /// One open connection of the present snapshot.
    pub(super) fn gauge(&mut self, connection: &Connection, now_ns: Nanos) {
        let reading = &connection.reading;
        *self.connections.entry((reading.transport, reading.view)).or_default() += 1;
        if let Some(silence_ns) = connection.silence_ns(now_ns) {
            self.oldest_unanswered_ns = self.oldest_unanswered_ns.max(silence_ns);
        }
        if reading.view != View::Records {
            self.unanswered += reading.streams.unanswered;
            self.in_flight += reading.streams.in_flight;
            self.approximate += u64::from(reading.streams.approximate);
        }
        if connection.verdict.state == State::Stalled {
            let index = cause_index(connection.verdict.cause.unwrap_or(Cause::Unknown));
            self.stalled[index] += 1;
            self.seen_causes[index] = true;
        }
    }

    /// Adds what the connection did since `before`, which becomes its present state.
    pub(super) fn add(&mut self, connection: &Connection, before: &mut Counted, time: Option<SystemTime>) {
        let now = Counted::of(connection);
        let damage = now.damage.saturating_sub(before.damage);
        if damage > 0 {
            self.damage.inc_by(damage, Some(exemplar(connection.reading.id)), time);
        }
        self.opened += u64::from(!before.opened);
        self.streams += now.streams.saturating_sub(before.streams);
        self.abandoned += now.abandoned.saturating_sub(before.abandoned);
        self.goaways += u64::from(now.goaway && !before.goaway);
        self.after_goaway += now.after_goaway.saturating_sub(before.after_goaway);
        self.sent_bytes += now.sent_bytes.saturating_sub(before.sent_bytes);
        self.received_bytes += now.received_bytes.saturating_sub(before.received_bytes);
        *before = now;
    }
}

impl Counted {
    fn of(connection: &Connection) -> Self {
        let Reading { streams, sent, received, .. } = &connection.reading;
        Self {
            streams: streams.opened,
            damage: connection.damage,
            abandoned: streams.abandoned,
            after_goaway: streams.opened_after_goaway,
            sent_bytes: sent.bytes,
            received_bytes: received.bytes,
            goaway: received.goaway.is_some(),
            opened: true,
        }
    }
}
