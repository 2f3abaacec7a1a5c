//! The sentences of the self-playing demo. Numbers come from the snapshot; nothing is decided here.

use super::counts::Counts;
use crate::model::sample::Nanos;
use crate::model::snapshot::{Connection, Snapshot};
use crate::verdict::State;
use std::net::SocketAddr;
use std::time::Duration;

/// The beginning of every line.
pub(super) fn clock(at: Duration) -> String {
    format!("{:5.1} s  ", at.as_secs_f64())
}

/// A line that belongs to the one before.
fn more(text: &str) -> String {
    format!("         {text}")
}

pub(super) fn traffic(at: Duration, snapshot: &Snapshot, unplugged: SocketAddr) -> String {
    let connections = &snapshot.connections;
    let opened = snapshot.totals.streams_opened;
    let waiting = connections.iter().find(|c| {
        c.reading.remote == unplugged && matches!(c.verdict.state, State::Waiting | State::Stalled)
    });
    let what = match waiting.and_then(|c| Some((c, c.silence_ns(snapshot.now_ns)?))) {
        Some((c, silence_ns)) if silence_ns >= 100_000_000 => format!(
            "{unplugged} {}: {} streams unanswered, silent for {}",
            c.verdict.state.as_str(),
            c.reading.streams.unanswered,
            seconds(silence_ns)
        ),
        _ => "all of them answer or are quiet".to_owned(),
    };
    format!("{}{} connections, {opened} streams so far; {what}", clock(at), connections.len())
}

pub(super) fn unplugged(at: Duration, address: SocketAddr) -> String {
    format!("{}link to {address} unplugged: it copies nothing any more, all sockets stay open", clock(at))
}

pub(super) fn flagged(at: Duration, c: &Connection) -> Vec<String> {
    let cause = c.verdict.cause.map_or("?", |cause| cause.as_str());
    let mut lines = vec![
        format!("{}STALLED {} (pid {}): {cause}", clock(at), c.reading.remote, c.reading.owner.pid),
        more(&c.verdict.evidence),
    ];
    lines.extend(c.verdict.gives_up.as_deref().map(more));
    lines.extend(c.verdict.advice.as_deref().map(more));
    lines
}

pub(super) fn sharpened(at: Duration, c: &Connection) -> String {
    let cause = c.verdict.cause.map_or("?", |cause| cause.as_str());
    format!("{}{} now {cause}: {}", clock(at), c.reading.remote, c.verdict.evidence)
}

pub(super) fn plugged_in(at: Duration, address: SocketAddr) -> String {
    format!("{}link to {address} plugged in again: what was waiting in it flows on", clock(at))
}

pub(super) fn recovered(at: Duration, c: &Connection, stalled_ns: Nanos) -> String {
    let (remote, damage) = (c.reading.remote, c.damage);
    format!("{}recovered {remote}: stalled for {}, damage {damage} streams", clock(at), seconds(stalled_ns))
}

pub(super) fn unexpected(at: Duration, c: &Connection) -> String {
    format!("{}FALSE ALARM {}: {}", clock(at), c.reading.remote, c.verdict.evidence)
}

pub(super) fn summary(at: Duration, snapshot: &Snapshot, counted: Option<Counts>) -> Vec<String> {
    let totals = &snapshot.totals;
    let mut lines = vec![format!(
        "{}h2watch saw {} connections, {} streams, {} of them cancelled without an answer; {} stall, damage {} streams",
        clock(at),
        totals.connections_opened,
        totals.streams_opened,
        totals.streams_abandoned,
        totals.stalls,
        totals.damage
    )];
    if let Some(Counts { opened, answered, timed_out, failed }) = counted {
        lines.push(more(&format!(
            "the client itself counted {opened} streams: {answered} answered, {timed_out} timed out, {failed} failed"
        )));
    }
    lines
}

fn seconds(ns: Nanos) -> String {
    format!("{:.1} s", Duration::from_nanos(ns).as_secs_f64())
}
