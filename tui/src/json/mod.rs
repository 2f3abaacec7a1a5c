//! `--output json`: one object per line. Each function answers "what is this line?" for a snapshot or a change of it and
//! returns the line without its line feed. Nothing is judged, written or measured here; `docs/json.md` is the reader's side.

mod connection;
mod latency;
mod lines;
mod process;
mod tcp;
mod time;
mod traffic;

use crate::model::snapshot::{Change, Connection, Snapshot};
use crate::reset::latency::Latency;
use serde::Serialize;
use std::time::Duration;

/// A decision about resetting a connection and what came of it. The texts are the reset part's own words; this module
/// only carries them.
#[derive(Clone, Debug)]
pub struct Reset<'a> {
    pub connection: &'a Connection,
    /// Who asked: `confirm`, `auto`, `dry-run`.
    pub mode: &'a str,
    /// What was decided or what happened: `done`, `refused`, `failed`, `followed` ...
    pub result: &'a str,
    /// Why, in words.
    pub reason: &'a str,
    /// From the threshold to the kernel's answer.
    pub latency_us: Option<u64>,
    /// Until the process opened another connection to the same peer, and until that one's first frame.
    pub new_connection_after_ms: Option<u64>,
    pub first_frame_after_ms: Option<u64>,
    pub streams_lost: Option<u64>,
}

/// The first line: from here on nothing is missed. `watching` names the target in words.
#[must_use]
pub fn ready(snapshot: &Snapshot, watching: &str) -> String {
    line(&lines::Ready::new(snapshot, watching))
}

/// One line per interval: everything that is known.
#[must_use]
pub fn snapshot(snapshot: &Snapshot) -> String {
    line(&lines::Whole::new(snapshot, &snapshot.unseen))
}

/// The same after a look of `check`; `unclear` is all that it could not tell.
#[must_use]
pub fn looked(snapshot: &Snapshot, unclear: &[String]) -> String {
    line(&lines::Whole::new(snapshot, unclear))
}

/// The line of one change; `snapshot` is the one that the change led to.
#[must_use]
pub fn change(snapshot: &Snapshot, change: &Change) -> String {
    match change {
        Change::Opened(connection) => event("open", snapshot, connection),
        Change::Stalled(connection) => event("stall", snapshot, connection),
        Change::Sharpened(connection) => event("sharpen", snapshot, connection),
        Change::Closed(connection) => event("close", snapshot, connection),
        Change::Recovered { connection, stalled_ns } => {
            line(&lines::Recover::new(snapshot, connection, *stalled_ns))
        }
        Change::Lost(losses) => line(&lines::Loss::new(snapshot, losses)),
        Change::Process(process) => line(&lines::Process::new(snapshot, process)),
    }
}

/// The line of a decision about a reset.
#[must_use]
pub fn reset(snapshot: &Snapshot, reset: &Reset<'_>) -> String {
    line(&lines::Reset::new(snapshot, reset))
}

/// The last line: final counters. `duration`: since `ready`. `latency`: of resets, where there may have been some.
#[must_use]
pub fn summary(snapshot: &Snapshot, duration: Duration, latency: Option<&Latency>) -> String {
    line(&lines::Summary::new(snapshot, duration, latency))
}

fn event(kind: &'static str, snapshot: &Snapshot, connection: &Connection) -> String {
    line(&lines::Event::new(kind, snapshot, connection))
}

/// The wire types have string keys and no fallible `Serialize`, so that this cannot fail; if one ever did, a line that says
/// so is better than a missing one.
fn line<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value)
        .unwrap_or_else(|error| format!(r#"{{"schema":{},"type":"error","error":"{error}"}}"#, lines::SCHEMA))
}
