//! The connection object. A key whose value the view cannot know is null, never 0: `streams_opened` of a connection that is
//! seen only as TLS records, `frames_received` where only what the client sends is walked.

use super::process::{counts_streams, transport};
use super::tcp::Tcp;
use super::time::{ago_ms, ms, rate};
use super::traffic::{FlowControl, Frames, Goaway, Ping, Records};
use crate::model::sample::{Library, Nanos, Reading, TlsFacts, View};
use crate::model::snapshot;
use crate::verdict::Cause;
use serde::Serialize;

/// One TCP connection on which a watched process is the HTTP/2 client. The parts are flattened: readers see one flat object.
#[derive(Serialize)]
pub(super) struct Connection<'a> {
    #[serde(flatten)]
    identity: Identity<'a>,
    #[serde(flatten)]
    judgement: Judgement<'a>,
    #[serde(flatten)]
    counters: Counters,
    #[serde(flatten)]
    times: Times,
    #[serde(flatten)]
    protocol: Protocol,
    tcp: Option<Tcp>,
}

impl<'a> Connection<'a> {
    /// Spans are as of `now_ns`, or as of the close for a closed connection.
    pub(super) fn new(connection: &'a snapshot::Connection, now_ns: Nanos) -> Self {
        let reading = &connection.reading;
        let as_of_ns = reading.closed_ns.unwrap_or(now_ns);
        Self {
            identity: Identity::new(connection),
            judgement: Judgement::new(connection, as_of_ns),
            counters: Counters::new(connection),
            times: Times::new(connection, as_of_ns),
            protocol: Protocol::new(reading, as_of_ns),
            tcp: reading.tcp.as_ref().map(Tcp::new),
        }
    }
}

#[derive(Serialize)]
struct Identity<'a> {
    /// A string: the cookie may use more than the 53 bits that a JSON number keeps.
    id: String,
    pid: u32,
    comm: &'a str,
    cgroup: Option<&'a str>,
    container: Option<&'a str>,
    pod_uid: Option<&'a str>,
    unit: Option<&'a str>,
    local: String,
    remote: String,
    sni: Option<&'a str>,
    alpn_offered: &'a [String],
    alpn_chosen: Option<&'a str>,
    http2_evidence: Option<&'a str>,
    transport: Option<&'static str>,
    library: Option<&'static str>,
    view: &'static str,
    state: &'static str,
    seeded: bool,
    approximate: bool,
    joined_late: bool,
}

impl<'a> Identity<'a> {
    fn new(connection: &'a snapshot::Connection) -> Self {
        let reading = &connection.reading;
        let owner = &reading.owner;
        let tls: Option<&TlsFacts> = reading.tls.as_ref();
        Self {
            id: reading.id.to_string(),
            pid: owner.pid,
            comm: &owner.comm,
            cgroup: Some(owner.cgroup.as_str()).filter(|path| !path.is_empty()),
            container: owner.container.as_deref(),
            pod_uid: owner.pod_uid.as_deref(),
            unit: owner.unit.as_deref(),
            local: reading.local.to_string(),
            remote: reading.remote.to_string(),
            sni: tls.and_then(|tls| tls.server_name.as_deref()),
            alpn_offered: tls.map_or(&[], |tls| &tls.alpn_offered),
            alpn_chosen: tls.and_then(|tls| tls.alpn_chosen.as_deref()),
            http2_evidence: tls.map(|tls| tls.http2_evidence.as_str()).filter(|words| !words.is_empty()),
            transport: transport(reading.transport),
            library: reading.library.map(Library::as_str),
            view: reading.view.as_str(),
            state: if reading.closed_ns.is_some() { "closed" } else { "open" },
            seeded: reading.seeded,
            approximate: reading.streams.approximate,
            joined_late: connection.joined_late,
        }
    }
}

#[derive(Serialize)]
struct Judgement<'a> {
    verdict: &'static str,
    cause: Option<&'static str>,
    severity: &'static str,
    evidence: &'a str,
    gives_up: Option<&'a str>,
    advice: Option<&'a str>,
    stalled_ms: Option<u64>,
    stalls: u64,
    damage: Option<u64>,
}

impl<'a> Judgement<'a> {
    fn new(connection: &'a snapshot::Connection, as_of_ns: Nanos) -> Self {
        let verdict = &connection.verdict;
        Self {
            verdict: verdict.state.as_str(),
            cause: verdict.cause.map(Cause::as_str),
            severity: verdict.severity.as_str(),
            evidence: &verdict.evidence,
            gives_up: verdict.gives_up.as_deref(),
            advice: verdict.advice.as_deref(),
            stalled_ms: ago_ms(connection.stalled_since_ns, as_of_ns),
            stalls: connection.stalls,
            damage: counts_streams(connection.reading.view).then_some(connection.damage),
        }
    }
}

#[derive(Serialize)]
struct Counters {
    streams_opened: Option<u64>,
    streams_in_flight: Option<u64>,
    streams_unanswered: Option<u64>,
    streams_without_answer: Option<u64>,
    streams_reset_sent: Option<u64>,
    streams_reset_received: Option<u64>,
    streams_abandoned: Option<u64>,
    streams_opened_after_goaway: Option<u64>,
    records_unanswered: Option<u64>,
    frames_sent: Option<Frames>,
    frames_received: Option<Frames>,
    records_sent: Option<Records>,
    records_received: Option<Records>,
    bytes_sent: u64,
    bytes_received: u64,
    retransmits_sent: u64,
    retransmits_received: u64,
    streams_per_s: Option<f64>,
    bytes_sent_per_s: f64,
    bytes_received_per_s: f64,
}

impl Counters {
    fn new(connection: &snapshot::Connection) -> Self {
        let Reading { sent, received, streams, view, .. } = &connection.reading;
        let counted = |count: u64| counts_streams(*view).then_some(count);
        let both_ways = |count: u64| (*view == View::Frames).then_some(count);
        let frames = |frames: Option<_>| frames.as_ref().map(Frames::new);
        Self {
            streams_opened: counted(streams.opened),
            streams_in_flight: counted(streams.in_flight),
            streams_unanswered: counted(streams.unanswered),
            streams_without_answer: both_ways(streams.without_answer),
            streams_reset_sent: counted(sent.resets),
            streams_reset_received: both_ways(received.resets),
            streams_abandoned: counted(streams.abandoned),
            streams_opened_after_goaway: both_ways(streams.opened_after_goaway),
            records_unanswered: (*view == View::Records).then_some(connection.reading.unanswered_records),
            frames_sent: frames(sent.frames.filter(|_| counts_streams(*view))),
            frames_received: frames(received.frames.filter(|_| *view == View::Frames)),
            records_sent: sent.records.as_ref().map(Records::new),
            records_received: received.records.as_ref().map(Records::new),
            bytes_sent: sent.bytes,
            bytes_received: received.bytes,
            retransmits_sent: sent.retransmits,
            retransmits_received: received.retransmits,
            streams_per_s: counts_streams(*view).then_some(rate(connection.streams_per_s)),
            bytes_sent_per_s: rate(connection.bytes_sent_per_s),
            bytes_received_per_s: rate(connection.bytes_received_per_s),
        }
    }
}

#[derive(Serialize)]
struct Times {
    age_ms: u64,
    silence_ms: Option<u64>,
    oldest_unanswered_ms: Option<u64>,
    last_stream_opened_ms: Option<u64>,
    last_frame_received_ms: Option<u64>,
    last_answer_ms: Option<u64>,
    last_ack_moved_ms: Option<u64>,
}

impl Times {
    fn new(connection: &snapshot::Connection, as_of_ns: Nanos) -> Self {
        let reading = &connection.reading;
        Self {
            age_ms: ms(as_of_ns.saturating_sub(reading.opened_ns)),
            silence_ms: connection.silence_ns(as_of_ns).map(ms),
            // Where no answer can be told from another frame, the silence is all that is known.
            oldest_unanswered_ms: ago_ms(
                reading.first_without_answer_ns.or(reading.first_unanswered_ns),
                as_of_ns,
            ),
            last_stream_opened_ms: ago_ms(reading.last_opened_ns, as_of_ns),
            last_frame_received_ms: ago_ms(reading.last_heard_ns, as_of_ns),
            last_answer_ms: ago_ms(reading.last_answer_ns, as_of_ns),
            last_ack_moved_ms: ago_ms(reading.received.last_ack_ns, as_of_ns),
        }
    }
}

/// What the peers said about the connection itself, and how well the frames could be followed.
#[derive(Serialize)]
struct Protocol {
    goaway_received: Option<Goaway>,
    goaway_sent: Option<Goaway>,
    ping: Option<Ping>,
    flow_control: Option<FlowControl>,
    resyncing: bool,
    desyncs: u64,
    resyncs: u64,
    holes: u64,
    holes_missed: u64,
}

impl Protocol {
    fn new(reading: &Reading, as_of_ns: Nanos) -> Self {
        let Reading { sent, received, view, .. } = reading;
        Self {
            goaway_received: received.goaway.as_ref().map(|goaway| Goaway::new(goaway, as_of_ns)),
            goaway_sent: sent.goaway.as_ref().map(|goaway| Goaway::new(goaway, as_of_ns)),
            ping: Ping::new(reading, as_of_ns),
            flow_control: counts_streams(*view).then(|| FlowControl::new(reading, as_of_ns)),
            resyncing: sent.resyncing || received.resyncing,
            desyncs: sent.desyncs + received.desyncs,
            resyncs: sent.resyncs + received.resyncs,
            holes: sent.holes + received.holes,
            holes_missed: sent.holes_missed + received.holes_missed,
        }
    }
}
