//! Connections and snapshots for the tests of the outputs. The moment is always `NOW_NS`; figures are made up.

use h2watch::model::sample::{
    Frames, Goaway, Library, Losses, Nanos, Owner, Process, Reading, Records, Settings, Streams, TcpFacts,
    TlsFacts, Traffic, Transport, View,
};
use h2watch::model::snapshot::{Connection, Snapshot, Totals};
use h2watch::verdict::{Cause, Severity, State, Verdict};

pub(crate) const MS: Nanos = 1_000_000;
pub(crate) const SECOND: Nanos = 1_000 * MS;
/// CLOCK_MONOTONIC of every fixture: a machine that is up for a day.
pub(crate) const NOW_NS: Nanos = 86_400 * SECOND;
/// 2026-03-14T09:26:53.589Z
pub(crate) const UNIX_NS: i128 = 1_773_480_413_589_000_000;

pub(crate) fn ago(span_ns: Nanos) -> Option<Nanos> {
    Some(NOW_NS - span_ns)
}

/// A healthy h2c connection of `pid` that has been open for five minutes.
pub(crate) fn healthy(id: u64, pid: u32, comm: &str, remote: &str) -> Connection {
    let reading = Reading {
        id,
        owner: Owner {
            pid,
            comm: comm.to_owned(),
            cgroup: "/system.slice/orders.service".into(),
            ..Owner::default()
        },
        local: format!("10.0.0.5:{}", 40_000 + id).parse().unwrap(),
        remote: remote.parse().unwrap(),
        opened_ns: NOW_NS - 312 * SECOND,
        seeded: false,
        closed_ns: None,
        transport: Transport::H2c,
        library: None,
        view: View::Frames,
        tls: None,
        sent: sent(),
        received: received(),
        streams: Streams {
            opened: 48_210,
            in_flight: 7,
            without_answer: 3,
            highest: 96_419,
            ..Streams::default()
        },
        first_unanswered_ns: None,
        first_without_answer_ns: ago(4 * MS),
        last_opened_ns: ago(2 * MS),
        last_heard_ns: ago(MS),
        last_answer_ns: ago(MS),
        unanswered_records: 0,
        tcp: None,
    };
    let evidence = "7 streams in flight; last frame 1 ms ago".to_owned();
    Connection {
        reading,
        verdict: Verdict { state: State::Healthy, evidence, ..Verdict::default() },
        joined_late: false,
        stalled_since_ns: None,
        damage: 0,
        stalls: 0,
        streams_per_s: 154.0,
        bytes_sent_per_s: 31_200.0,
        bytes_received_per_s: 1_840_000.0,
    }
}

fn sent() -> Traffic {
    Traffic {
        bytes: 9_812_004,
        segments: 61_000,
        retransmits: 2,
        frames: Some(Frames {
            headers: 48_210,
            data: 1_024,
            settings: 2,
            window_update: 2_411,
            ping: 3,
            rst_stream: 12,
            ..Frames::default()
        }),
        data_bytes: 1_048_576,
        window_granted: 40_000_000,
        last_data_ns: ago(2 * MS),
        last_ack_ns: ago(MS),
        last_frame_ns: ago(2 * MS),
        last_ping_ns: ago(15 * SECOND),
        pings: 3,
        resets: 12,
        last_reset_code: 8,
        settings: Some(Settings {
            initial_window_size: 4_194_304,
            max_frame_size: 16_384,
            max_concurrent_streams: None,
        }),
        ..Traffic::default()
    }
}

fn received() -> Traffic {
    Traffic {
        bytes: 574_000_112,
        segments: 402_000,
        frames: Some(Frames {
            headers: 48_203,
            data: 96_311,
            settings: 2,
            window_update: 64,
            ping: 3,
            ..Frames::default()
        }),
        data_bytes: 571_221_004,
        window_granted: 1_048_576,
        last_data_ns: ago(MS),
        last_ack_ns: ago(MS),
        last_frame_ns: ago(MS),
        last_ping_ack_ns: ago(15 * SECOND),
        last_window_update_ns: ago(9 * SECOND),
        ping_acks: 3,
        settings: Some(Settings {
            initial_window_size: 65_535,
            max_frame_size: 1_048_576,
            max_concurrent_streams: Some(250),
        }),
        ..Traffic::default()
    }
}

/// Nothing in flight, nothing wrong.
pub(crate) fn idle(id: u64, pid: u32, comm: &str, remote: &str) -> Connection {
    let mut connection = healthy(id, pid, comm, remote);
    connection.verdict = Verdict { evidence: "no stream is in flight".into(), ..Verdict::default() };
    connection.reading.streams = Streams { opened: 12, highest: 23, ..Streams::default() };
    connection.reading.first_without_answer_ns = None;
    connection.reading.last_heard_ns = ago(41 * SECOND);
    connection.streams_per_s = 0.0;
    connection.bytes_sent_per_s = 0.0;
    connection.bytes_received_per_s = 0.0;
    connection
}

/// Stalled for `silence_ns` less three seconds, with `unanswered` streams.
pub(crate) fn stalled(id: u64, cause: Cause, silence_ns: Nanos, unanswered: u64) -> Connection {
    let mut connection = healthy(id, 4_213, "orders-api", "10.0.3.17:8443");
    let reading = &mut connection.reading;
    reading.first_unanswered_ns = ago(silence_ns);
    reading.first_without_answer_ns = ago(silence_ns);
    reading.last_heard_ns = ago(silence_ns + 40 * MS);
    reading.last_answer_ns = ago(silence_ns + 40 * MS);
    reading.streams = Streams {
        opened: 48_210 + unanswered,
        in_flight: unanswered,
        without_answer: unanswered,
        unanswered,
        unanswered_by_streams: unanswered,
        abandoned: unanswered / 2,
        highest: 96_419 + 2 * u32::try_from(unanswered).unwrap(),
        ..Streams::default()
    };
    reading.tcp = Some(tcp());
    connection.stalled_since_ns = ago(silence_ns.saturating_sub(3 * SECOND));
    connection.damage = unanswered.saturating_sub(4);
    connection.stalls = 1;
    connection.streams_per_s = 3.0;
    connection.bytes_sent_per_s = 240.0;
    connection.bytes_received_per_s = 0.0;
    connection.verdict = verdict(cause, unanswered, silence_ns);
    connection
}

fn verdict(cause: Cause, unanswered: u64, silence_ns: Nanos) -> Verdict {
    let seconds = silence_ns as f64 / SECOND as f64;
    let why = match cause {
        Cause::BlackHole => "14 segments sent and not acknowledged, RTO backoff 7: the path is dead",
        Cause::SilentPeer => "peer ACKed 0.2 s ago: the path is alive, the peer's HTTP/2 is not answering",
        Cause::HungServer => "the peer answers PING, but no stream got HEADERS, DATA or RST_STREAM",
        Cause::PeerWindowClosed => "the peer's receive window has been 0 for 9.1 s, 3 probes unanswered",
        Cause::FlowControl => {
            "the connection window of 65,535 bytes is used up, no WINDOW_UPDATE since 9.1 s"
        }
        Cause::GoawayIgnored => "GOAWAY (NO_ERROR, last stream 96419) came 31 s ago, 9 streams opened since",
        Cause::ReaderBlocked => "212 KiB from the peer wait in the receive queue, the process does not read",
        Cause::Unknown => "no TCP facts: the socket's network namespace cannot be entered",
    };
    let warning = matches!(cause, Cause::HungServer | Cause::GoawayIgnored);
    Verdict {
        state: State::Stalled,
        cause: Some(cause),
        severity: if warning { Severity::Warning } else { Severity::Critical },
        evidence: format!("{unanswered} streams in {seconds:.1} s without a frame; {why}"),
        gives_up: (cause == Cause::BlackHole).then(|| "RTO backoff 7 of 15: about 9 min left".to_owned()),
        advice: Some("Go: set http2.Transport.ReadIdleTimeout (and PingTimeout)".to_owned()),
    }
}

pub(crate) fn tcp() -> TcpFacts {
    TcpFacts {
        state: 1,
        rtt_us: 412,
        rttvar_us: 96,
        rto_us: 25_728_000,
        unacked: 14,
        retransmits: 7,
        total_retrans: 9,
        backoff: 7,
        notsent_bytes: 4_112,
        snd_wnd: 65_536,
        last_data_sent_ms: 812,
        last_data_received_ms: 12_440,
        last_ack_received_ms: 12_440,
        send_queue: 9_204,
        timer: 1,
        timer_expires_ms: 18_220,
        ..TcpFacts::default()
    }
}

/// A TLS connection that is seen as records only.
pub(crate) fn records(id: u64, pid: u32, comm: &str, remote: &str) -> Connection {
    let mut connection = healthy(id, pid, comm, remote);
    let reading = &mut connection.reading;
    reading.transport = Transport::Tls;
    reading.view = View::Records;
    reading.streams = Streams::default();
    for traffic in [&mut reading.sent, &mut reading.received] {
        traffic.frames = None;
        traffic.records =
            Some(Records { handshake: 4, alert: 0, application: 812, application_bytes: 1_204_112 });
        traffic.resets = 0;
        traffic.settings = None;
        traffic.last_frame_ns = None;
        traffic.pings = 0;
        traffic.ping_acks = 0;
    }
    reading.first_without_answer_ns = None;
    reading.tls = Some(TlsFacts {
        server_name: Some("api.payments.example".into()),
        alpn_offered: vec!["h2".into(), "http/1.1".into()],
        alpn_chosen: None,
        http2_evidence: "ALPN h2 offered; 17-byte first record and a SETTINGS ACK sized reply".into(),
    });
    connection.streams_per_s = 0.0;
    connection.verdict.evidence = "application records came 1 ms ago".into();
    connection
}

/// What the client sends is seen frame by frame.
pub(crate) fn streams(id: u64, pid: u32, comm: &str, remote: &str, library: Library) -> Connection {
    let mut connection = records(id, pid, comm, remote);
    connection.reading.view = View::Streams;
    connection.reading.library = Some(library);
    connection.reading.sent = Traffic { records: connection.reading.sent.records, ..sent() };
    connection.reading.streams =
        Streams { opened: 5_120, in_flight: 4, highest: 10_239, ..Streams::default() };
    connection.streams_per_s = 22.0;
    connection
}

pub(crate) fn goaway(span_ns: Nanos) -> Goaway {
    Goaway { at_ns: NOW_NS - span_ns, last_stream: 96_419, code: 0 }
}

pub(crate) fn closed(mut connection: Connection, span_ns: Nanos) -> Connection {
    connection.reading.closed_ns = ago(span_ns);
    connection
}

/// A snapshot of these connections, in this order.
pub(crate) fn snapshot(connections: Vec<Connection>) -> Snapshot {
    let streams_opened = connections.iter().map(|c| c.reading.streams.opened).sum();
    let damage = connections.iter().map(|c| c.damage).sum();
    let stalls = connections.iter().map(|c| c.stalls).sum();
    let open = connections.len() as u64;
    Snapshot {
        now_ns: NOW_NS,
        unix_ns: UNIX_NS,
        connections,
        losses: Losses::default(),
        processes: Vec::new(),
        totals: Totals {
            connections_opened: open + 3,
            connections_closed: 3,
            streams_opened,
            streams_reset_sent: 12,
            frames_sent: 51_662,
            frames_received: 144_583,
            bytes_sent: 9_812_004,
            bytes_received: 574_000_112,
            stalls,
            damage,
            ..Totals::default()
        },
        degradations: Vec::new(),
        unseen: Vec::new(),
        recording: None,
    }
}

pub(crate) fn process(pid: u32, comm: &str, library: Option<Library>, view: View, reason: &str) -> Process {
    Process { pid, comm: comm.into(), library, view, reason: reason.into() }
}
