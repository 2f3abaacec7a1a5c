//! `--output table`: one readable line per event and a small table at the end, for pipes and logs. Programs should read
//! `--output json` instead: these words may change. Nothing is judged or written here.

use crate::human::{bytes, count, counted, peer, plain, process, span, time_of_day};
use crate::model::sample::{Library, Losses, Process, Records, View};
use crate::model::snapshot::{Change, Connection, Snapshot};
use crate::verdict::Cause;
use std::time::Duration;

/// The first line: from here on nothing is missed.
#[must_use]
pub fn ready(snapshot: &Snapshot, watching: &str) -> String {
    line(snapshot, "ready", &format!("watching {}", plain(watching)))
}

/// Something that limits the run.
#[must_use]
pub fn limit(snapshot: &Snapshot, degradation: &str) -> String {
    line(snapshot, "limit", &plain(degradation))
}

/// The line of one change; `snapshot` is the one that the change led to.
#[must_use]
pub fn change(snapshot: &Snapshot, change: &Change) -> String {
    match change {
        Change::Opened(connection) => line(snapshot, "open", &opened(connection)),
        Change::Stalled(connection) => line(snapshot, "STALL", &stalled(connection)),
        Change::Sharpened(connection) => line(snapshot, "cause", &stalled(connection)),
        Change::Recovered { connection, stalled_ns } => {
            let damage = damage(connection).map(|damage| format!(", {damage}")).unwrap_or_default();
            let text = format!("{}  heard again after {}{damage}", who(connection), span(*stalled_ns));
            line(snapshot, "recover", &text)
        }
        Change::Closed(connection) => line(snapshot, "close", &closed(snapshot, connection)),
        Change::Lost(losses) => line(snapshot, "LOSS", &lost(losses)),
        Change::Process(process) => line(snapshot, "process", &covered(process)),
    }
}

/// The line of a decision about a reset; `result` and `reason` are the reset part's words.
#[must_use]
pub fn reset(snapshot: &Snapshot, connection: &Connection, result: &str, reason: &str) -> String {
    line(snapshot, "reset", &format!("{}  {}: {}", who(connection), plain(result), plain(reason)))
}

/// What a look could not tell.
#[must_use]
pub fn unclear(snapshot: &Snapshot, text: &str) -> String {
    line(snapshot, "unclear", &format!("could not tell: {}", plain(text)))
}

/// The table at the end.
#[must_use]
pub fn summary(snapshot: &Snapshot, duration: Duration) -> String {
    let t = &snapshot.totals;
    let duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let stalled = snapshot.connections.iter().filter(|c| c.verdict.cause.is_some()).count();
    let open = snapshot.connections.len();
    let rows = [
        (
            "connections",
            format!(
                "{} opened, {} closed, {open} open, {stalled} of them stalled",
                count(t.connections_opened),
                count(t.connections_closed)
            ),
        ),
        (
            "streams",
            format!(
                "{} opened, {} reset, {} abandoned without an answer",
                count(t.streams_opened),
                count(t.streams_reset_sent),
                count(t.streams_abandoned)
            ),
        ),
        ("stalls", format!("{}, {}", count(t.stalls), lost_streams(t.damage))),
        ("frames", format!("{} sent, {} received", count(t.frames_sent), count(t.frames_received))),
        ("bytes", format!("{} sent, {} received", bytes(t.bytes_sent), bytes(t.bytes_received))),
        (
            "protocol",
            format!("{} received, {}", counted(t.goaways_received, "GOAWAY"), counted(t.desyncs, "desync")),
        ),
        ("resets", format!("{} by h2watch", count(t.resets))),
        ("losses", lost(&snapshot.losses)),
    ];
    let head = line(snapshot, "summary", &format!("watched for {}", span(duration_ns)));
    rows.iter().fold(head, |text, (name, value)| text + &format!("\n  {name:<12}{value}"))
}

/// Time, event, text: in columns, so that `grep` and eyes find them.
fn line(snapshot: &Snapshot, event: &str, text: &str) -> String {
    let recorded = if snapshot.recording.is_some() { "RECORDING " } else { "" };
    format!("{recorded}{}Z  {event:<7}  {text}", time_of_day(snapshot.unix_ns, true))
}

fn who(connection: &Connection) -> String {
    let reading = &connection.reading;
    format!("{} -> {}", process(&reading.owner.comm, reading.owner.pid), peer(reading))
}

fn opened(connection: &Connection) -> String {
    let reading = &connection.reading;
    let from = if reading.seeded { ", was open before" } else { "" };
    let library = reading.library.map(|library| format!(" {}", library.as_str())).unwrap_or_default();
    let transport = reading.transport.as_str();
    format!("{}  {transport}{library}, view {}{from}", who(connection), reading.view.as_str())
}

fn stalled(connection: &Connection) -> String {
    let verdict = &connection.verdict;
    let cause = verdict.cause.map_or("stalled", Cause::as_str);
    let gives_up =
        verdict.gives_up.as_ref().map(|text| format!("; the kernel gives up: {text}")).unwrap_or_default();
    let advice = verdict.advice.as_ref().map(|text| format!("; fix: {text}")).unwrap_or_default();
    format!("{}  {cause}: {}{gives_up}{advice}", who(connection), plain(&verdict.evidence))
}

fn closed(snapshot: &Snapshot, connection: &Connection) -> String {
    let reading = &connection.reading;
    let age_ns = reading.closed_ns.unwrap_or(snapshot.now_ns).saturating_sub(reading.opened_ns);
    let carried = match reading.view {
        View::Records => {
            let records = |records: Option<Records>| count(records.map_or(0, |records| records.application));
            format!(
                "{} records sent, {} received",
                records(reading.sent.records),
                records(reading.received.records)
            )
        }
        View::Frames | View::Streams => {
            format!("{} ({} reset)", counted(reading.streams.opened, "stream"), count(reading.sent.resets))
        }
    };
    let damage = damage(connection)
        .filter(|_| connection.stalls > 0)
        .map(|damage| format!(", {damage}"))
        .unwrap_or_default();
    format!(
        "{}  after {}: {carried}, {} sent, {} received{damage}",
        who(connection),
        span(age_ns),
        bytes(reading.sent.bytes),
        bytes(reading.received.bytes)
    )
}

/// `None` where streams are not counted.
fn damage(connection: &Connection) -> Option<String> {
    (connection.reading.view != View::Records).then(|| lost_streams(connection.damage))
}

fn lost_streams(damage: u64) -> String {
    format!("{} opened while stalled", counted(damage, "stream"))
}

fn covered(process: &Process) -> String {
    let library =
        process.library.map(|library| format!("{}, ", Library::as_str(library))).unwrap_or_default();
    let who = self::process(&process.comm, process.pid);
    format!("{who}  {library}view {}: {}", process.view.as_str(), plain(&process.reason))
}

fn lost(losses: &Losses) -> String {
    let parts: Vec<_> = losses
        .in_words()
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{what}: {}", count(n)))
        .collect();
    if parts.is_empty() { "none: nothing was missed".to_owned() } else { parts.join("; ") }
}
