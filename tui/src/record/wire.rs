//! The lines of a recording. `docs/recording.md` documents them.

use super::mirror::{Mirror, mirror, mirror_words};
use crate::model::sample::{
    Cookie, Frames, Goaway, Library, Losses, Nanos, Owner, Process, Reading, Records, Settings, Streams,
    TcpFacts, TlsFacts, Traffic, Transport, View,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::SocketAddr;

/// What the first line says before anything else is believed.
#[derive(Serialize, Deserialize)]
pub(super) struct Magic {
    pub(super) format: String,
    pub(super) version: u32,
}

/// Every line but the first.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Line {
    /// One sample. A connection that is not listed is not in it.
    Sample {
        now_ns: Nanos,
        unix_ns: i64,
        /// Connections with what changed since their last sample (JSON Merge Patch, RFC 7396).
        readings: Vec<(Cookie, Value)>,
        /// The same for losses and processes.
        #[serde(default, skip_serializing_if = "is_empty")]
        rest: Value,
    },
    /// The last line: without it the file was cut off.
    End { samples: u64 },
}

fn is_empty(patch: &Value) -> bool {
    patch.as_object().is_none_or(serde_json::Map::is_empty)
}

/// What is in a sample besides time and readings.
#[derive(Default)]
pub(super) struct Rest {
    pub(super) losses: Losses,
    pub(super) processes: Vec<Process>,
}

mirror!(Rest as RestWire { losses: Losses, processes: Vec<Process> });
mirror!(Losses as LossesWire {
    connections_full: u64,
    ring_full: u64,
    frame_budget: u64,
    unreadable_segments: u64,
    unassociated: u64,
    tls_objects_full: u64,
    unreadable_memory: u64,
    contended_segments: u64,
});
mirror!(Process as ProcessWire { pid: u32, comm: String, library: Option<Library>, view: View, reason: String });
mirror_words!(Transport as TransportWire { Unknown, H2c, Tls });
mirror_words!(Library as LibraryWire { OpenSsl, Go, GnuTls, BoringSsl });
mirror_words!(View as ViewWire { Frames, Streams, Records });
mirror!(Owner as OwnerWire {
    pid: u32,
    comm: String,
    cgroup: String,
    container: Option<String>,
    pod_uid: Option<String>,
    unit: Option<String>,
});
mirror!(Frames as FramesWire {
    data: u64,
    headers: u64,
    priority: u64,
    rst_stream: u64,
    settings: u64,
    push_promise: u64,
    ping: u64,
    goaway: u64,
    window_update: u64,
    continuation: u64,
    unknown: u64,
});
mirror!(Records as RecordsWire { handshake: u64, alert: u64, application: u64, application_bytes: u64 });
mirror!(Settings as SettingsWire {
    initial_window_size: u32,
    max_frame_size: u32,
    max_concurrent_streams: Option<u32>,
});
mirror!(Goaway as GoawayWire { at_ns: u64, last_stream: u32, code: u32 });
mirror!(Traffic as TrafficWire {
    bytes: u64,
    segments: u64,
    retransmits: u64,
    frames: Option<Frames>,
    records: Option<Records>,
    data_bytes: u64,
    window_granted: u64,
    last_data_ns: Option<u64>,
    last_retransmit_ns: Option<u64>,
    last_ack_ns: Option<u64>,
    zero_window_ns: Option<u64>,
    fin_ns: Option<u64>,
    rst_ns: Option<u64>,
    last_frame_ns: Option<u64>,
    last_ping_ns: Option<u64>,
    last_ping_ack_ns: Option<u64>,
    last_window_update_ns: Option<u64>,
    pings: u64,
    ping_acks: u64,
    goaway: Option<Goaway>,
    resets: u64,
    last_reset_code: u32,
    settings: Option<Settings>,
    resyncing: bool,
    desyncs: u64,
    resyncs: u64,
    holes: u64,
    holes_missed: u64,
});
mirror!(Streams as StreamsWire {
    opened: u64,
    in_flight: u64,
    without_answer: u64,
    sending: u64,
    unanswered: u64,
    unanswered_by_streams: u64,
    abandoned: u64,
    opened_after_goaway: u64,
    highest: u32,
    approximate: bool,
});
mirror!(TcpFacts as TcpFactsWire {
    state: u8,
    rtt_us: u32,
    rttvar_us: u32,
    rto_us: u32,
    unacked: u32,
    retransmits: u32,
    total_retrans: u32,
    backoff: u8,
    probes: u8,
    notsent_bytes: u32,
    snd_wnd: u32,
    last_data_sent_ms: u32,
    last_data_received_ms: u32,
    last_ack_received_ms: u32,
    receive_queue: u32,
    send_queue: u32,
    timer: u8,
    timer_expires_ms: u32,
    tcp_retries2: Option<u32>,
});
mirror!(TlsFacts as TlsFactsWire {
    server_name: Option<String>,
    alpn_offered: Vec<String>,
    alpn_chosen: Option<String>,
    http2_evidence: String,
});
mirror!(Reading as ReadingWire {
    id: u64,
    owner: Owner,
    local: SocketAddr,
    remote: SocketAddr,
    opened_ns: u64,
    seeded: bool,
    closed_ns: Option<u64>,
    transport: Transport,
    library: Option<Library>,
    view: View,
    tls: Option<TlsFacts>,
    sent: Traffic,
    received: Traffic,
    streams: Streams,
    first_unanswered_ns: Option<u64>,
    first_without_answer_ns: Option<u64>,
    last_opened_ns: Option<u64>,
    last_heard_ns: Option<u64>,
    last_answer_ns: Option<u64>,
    unanswered_records: u64,
    tcp: Option<TcpFacts>,
});
