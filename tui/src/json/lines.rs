//! The lines' own types: what surrounds the connection objects. Apart from the domain types, so that a field renamed there
//! does not rename a key here. Keys are added, never renamed (`SCHEMA`).

use super::connection::Connection;
use super::latency::ResetLatency;
use super::process;
use super::time::{ms, rfc3339};
use crate::model::sample::{self, Nanos};
use crate::model::snapshot::{self, Snapshot};
use crate::reset::latency::Latency;
use serde::Serialize;
use std::time::Duration;

/// Version of the schema: raised only when a key changes its meaning.
pub(super) const SCHEMA: u32 = 1;

/// What every line begins with.
#[derive(Serialize)]
struct Head<'a> {
    schema: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    time: String,
    /// Nobody shall take a recording for live.
    recording: Option<&'a str>,
}

impl<'a> Head<'a> {
    fn new(kind: &'static str, snapshot: &'a Snapshot) -> Self {
        let recording = snapshot.recording.as_deref();
        Self { schema: SCHEMA, kind, time: rfc3339(snapshot.unix_ns), recording }
    }
}

#[derive(Serialize)]
pub(super) struct Ready<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    watching: &'a str,
    version: &'static str,
    degradations: &'a [String],
}

impl<'a> Ready<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, watching: &'a str) -> Self {
        Self {
            head: Head::new("ready", snapshot),
            watching,
            version: env!("CARGO_PKG_VERSION"),
            degradations: &snapshot.degradations,
        }
    }
}

/// `open`, `stall`, `sharpen`, `close`.
#[derive(Serialize)]
pub(super) struct Event<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    connection: Connection<'a>,
}

impl<'a> Event<'a> {
    pub(super) fn new(
        kind: &'static str,
        snapshot: &'a Snapshot,
        connection: &'a snapshot::Connection,
    ) -> Self {
        Self { head: Head::new(kind, snapshot), connection: Connection::new(connection, snapshot.now_ns) }
    }
}

#[derive(Serialize)]
pub(super) struct Recover<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    /// For how long it had been stalled.
    stalled_for_ms: u64,
    connection: Connection<'a>,
}

impl<'a> Recover<'a> {
    pub(super) fn new(
        snapshot: &'a Snapshot,
        connection: &'a snapshot::Connection,
        stalled_ns: Nanos,
    ) -> Self {
        Self {
            head: Head::new("recover", snapshot),
            stalled_for_ms: ms(stalled_ns),
            connection: Connection::new(connection, snapshot.now_ns),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Reset<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    mode: &'a str,
    result: &'a str,
    reason: &'a str,
    latency_us: Option<u64>,
    new_connection_after_ms: Option<u64>,
    first_frame_after_ms: Option<u64>,
    streams_lost: Option<u64>,
    connection: Connection<'a>,
}

impl<'a> Reset<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, reset: &super::Reset<'a>) -> Self {
        Self {
            head: Head::new("reset", snapshot),
            mode: reset.mode,
            result: reset.result,
            reason: reset.reason,
            latency_us: reset.latency_us,
            new_connection_after_ms: reset.new_connection_after_ms,
            first_frame_after_ms: reset.first_frame_after_ms,
            streams_lost: reset.streams_lost,
            connection: Connection::new(reset.connection, snapshot.now_ns),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Loss<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    losses: Losses,
}

impl<'a> Loss<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, losses: &sample::Losses) -> Self {
        Self { head: Head::new("loss", snapshot), losses: Losses::new(losses) }
    }
}

#[derive(Serialize)]
pub(super) struct Process<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    process: process::Process<'a>,
}

impl<'a> Process<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, process: &'a sample::Process) -> Self {
        Self { head: Head::new("process", snapshot), process: process::Process::new(process) }
    }
}

/// `snapshot`.
#[derive(Serialize)]
pub(super) struct Whole<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    connections: Vec<Connection<'a>>,
    processes: Vec<process::Process<'a>>,
    totals: Totals,
    losses: Losses,
    degradations: &'a [String],
    unclear: &'a [String],
}

impl<'a> Whole<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, unclear: &'a [String]) -> Self {
        Self {
            head: Head::new("snapshot", snapshot),
            connections: snapshot
                .connections
                .iter()
                .map(|connection| Connection::new(connection, snapshot.now_ns))
                .collect(),
            processes: snapshot.processes.iter().map(process::Process::new).collect(),
            totals: Totals::new(&snapshot.totals),
            losses: Losses::new(&snapshot.losses),
            degradations: &snapshot.degradations,
            unclear,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Summary<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    duration_ms: u64,
    connections_open: usize,
    connections_stalled: usize,
    reset_latency: Option<ResetLatency>,
    totals: Totals,
    losses: Losses,
    degradations: &'a [String],
}

impl<'a> Summary<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, duration: Duration, latency: Option<&Latency>) -> Self {
        Self {
            head: Head::new("summary", snapshot),
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            connections_open: snapshot.connections.len(),
            connections_stalled: snapshot.connections.iter().filter(|c| c.verdict.cause.is_some()).count(),
            reset_latency: latency.map(ResetLatency::new),
            totals: Totals::new(&snapshot.totals),
            losses: Losses::new(&snapshot.losses),
            degradations: &snapshot.degradations,
        }
    }
}

#[derive(Serialize)]
struct Losses {
    connections_full: u64,
    ring_full: u64,
    frame_budget: u64,
    unreadable_segments: u64,
    unassociated: u64,
    tls_objects_full: u64,
    unreadable_memory: u64,
    contended_segments: u64,
    total: u64,
}

impl Losses {
    fn new(losses: &sample::Losses) -> Self {
        Self {
            connections_full: losses.connections_full,
            ring_full: losses.ring_full,
            frame_budget: losses.frame_budget,
            unreadable_segments: losses.unreadable_segments,
            unassociated: losses.unassociated,
            tls_objects_full: losses.tls_objects_full,
            unreadable_memory: losses.unreadable_memory,
            contended_segments: losses.contended_segments,
            total: losses.total(),
        }
    }
}

#[derive(Serialize)]
struct Totals {
    connections_opened: u64,
    connections_closed: u64,
    streams_opened: u64,
    streams_reset_sent: u64,
    streams_abandoned: u64,
    frames_sent: u64,
    frames_received: u64,
    bytes_sent: u64,
    bytes_received: u64,
    stalls: u64,
    damage: u64,
    resets: u64,
    goaways_received: u64,
    desyncs: u64,
}

impl Totals {
    fn new(totals: &snapshot::Totals) -> Self {
        Self {
            connections_opened: totals.connections_opened,
            connections_closed: totals.connections_closed,
            streams_opened: totals.streams_opened,
            streams_reset_sent: totals.streams_reset_sent,
            streams_abandoned: totals.streams_abandoned,
            frames_sent: totals.frames_sent,
            frames_received: totals.frames_received,
            bytes_sent: totals.bytes_sent,
            bytes_received: totals.bytes_received,
            stalls: totals.stalls,
            damage: totals.damage,
            resets: totals.resets,
            goaways_received: totals.goaways_received,
            desyncs: totals.desyncs,
        }
    }
}
