//! Readings for tests: a connection on a stage, whose client and peer do what the test says. Times are in milliseconds.

use super::sample::{
    Frames, Losses, Nanos, Owner, Reading, Records, Sample, Settings, Streams, TcpFacts, TlsFacts, Traffic,
    Transport, View,
};
use super::snapshot::Connection;
use crate::verdict::Verdict;

/// A millisecond.
pub const MS: Nanos = 1_000_000;

/// A connection that a test drives.
#[derive(Clone, Debug)]
pub struct Staged {
    pub now_ms: u64,
    pub reading: Reading,
}

impl Staged {
    /// An h2c connection opened at `now_ms` that has exchanged SETTINGS.
    #[must_use]
    pub fn h2c(id: u64, now_ms: u64) -> Self {
        let frames = Frames { settings: 1, ..Frames::default() };
        let settings =
            Settings { initial_window_size: 65_535, max_frame_size: 16_384, max_concurrent_streams: None };
        let traffic = Traffic {
            frames: Some(frames),
            settings: Some(settings),
            bytes: 100,
            segments: 2,
            ..Traffic::default()
        };
        let reading = Reading {
            id,
            owner: Owner { pid: 100, comm: "client".to_owned(), ..Owner::default() },
            local: ([127, 0, 0, 1], 40_000).into(),
            remote: ([127, 0, 0, 1], 443).into(),
            opened_ns: now_ms * MS,
            seeded: false,
            closed_ns: None,
            transport: Transport::H2c,
            library: None,
            view: View::Frames,
            tls: None,
            sent: traffic,
            received: traffic,
            streams: Streams::default(),
            first_unanswered_ns: None,
            first_without_answer_ns: None,
            last_opened_ns: None,
            last_heard_ns: Some(now_ms * MS),
            last_answer_ns: None,
            unanswered_records: 0,
            tcp: None,
        };
        Self { now_ms, reading }
    }

    /// A TLS connection of which only records are seen.
    #[must_use]
    pub fn records(id: u64, now_ms: u64) -> Self {
        let mut staged = Self::h2c(id, now_ms);
        let r = &mut staged.reading;
        r.transport = Transport::Tls;
        r.view = View::Records;
        let evidence = "ALPN h2 chosen".to_owned();
        r.tls = Some(TlsFacts { http2_evidence: evidence, ..TlsFacts::default() });
        for traffic in [&mut r.sent, &mut r.received] {
            traffic.frames = None;
            traffic.records = Some(Records { handshake: 2, application: 1, ..Records::default() });
        }
        staged
    }

    /// Time passes.
    pub fn wait(&mut self, ms: u64) -> &mut Self {
        self.now_ms += ms;
        self
    }

    fn now(&self) -> Nanos {
        self.now_ms * MS
    }

    /// The client opens `n` streams (with records: sends `n` records).
    pub fn open(&mut self, n: u64) -> &mut Self {
        let now = self.now();
        let r = &mut self.reading;
        r.sent.bytes += 50 * n;
        r.sent.last_data_ns = Some(now);
        r.first_unanswered_ns.get_or_insert(now);
        if r.view == View::Records {
            r.unanswered_records += n;
            if let Some(records) = &mut r.sent.records {
                records.application += n;
            }
            return self;
        }
        r.streams.opened += n;
        r.streams.highest = (2 * r.streams.opened).saturating_sub(1) as u32;
        r.streams.in_flight += n;
        r.streams.without_answer += n;
        r.streams.unanswered += n;
        r.last_opened_ns = Some(now);
        if r.view == View::Frames {
            r.streams.unanswered_by_streams += n;
            r.first_without_answer_ns.get_or_insert(now);
        }
        if r.received.goaway.is_some() {
            r.streams.opened_after_goaway += n;
        }
        if let Some(frames) = &mut r.sent.frames {
            frames.headers += n;
        }
        self
    }

    /// The peer sends a frame that answers no stream.
    pub fn heard(&mut self) -> &mut Self {
        let now = self.now();
        let r = &mut self.reading;
        r.received.bytes += 17;
        r.received.last_data_ns = Some(now);
        r.received.last_ack_ns = Some(now);
        r.received.last_frame_ns = Some(now);
        r.last_heard_ns = Some(now);
        r.first_unanswered_ns = None;
        r.streams.unanswered = 0;
        r.unanswered_records = 0;
        self
    }

    /// The peer answers a PING.
    pub fn ping_ack(&mut self) -> &mut Self {
        self.heard();
        let now = self.now();
        let r = &mut self.reading;
        r.received.ping_acks += 1;
        r.received.last_ping_ack_ns = Some(now);
        if let Some(frames) = &mut r.received.frames {
            frames.ping += 1;
        }
        self
    }

    /// The peer ends `n` streams with a response.
    pub fn answer(&mut self, n: u64) -> &mut Self {
        self.begin(n);
        self.reading.streams.in_flight -= n.min(self.reading.streams.in_flight);
        self
    }

    /// The peer sends response HEADERS of `n` streams, and leaves them open.
    pub fn begin(&mut self, n: u64) -> &mut Self {
        self.heard();
        let now = self.now();
        let r = &mut self.reading;
        if r.view != View::Frames {
            return self;
        }
        r.last_answer_ns = Some(now);
        r.first_without_answer_ns = None;
        r.streams.unanswered_by_streams = 0;
        r.streams.without_answer -= n.min(r.streams.without_answer);
        if let Some(frames) = &mut r.received.frames {
            frames.headers += n;
        }
        self
    }

    /// The client gives `n` streams up.
    pub fn abandon(&mut self, n: u64) -> &mut Self {
        let r = &mut self.reading;
        if r.view == View::Records {
            return self;
        }
        r.sent.resets += n;
        r.sent.last_reset_code = 8;
        r.streams.abandoned += n;
        r.streams.in_flight -= n.min(r.streams.in_flight);
        r.streams.without_answer -= n.min(r.streams.without_answer);
        if let Some(frames) = &mut r.sent.frames {
            frames.rst_stream += n;
        }
        self
    }

    /// The process releases the socket.
    pub fn close(&mut self) -> &mut Self {
        self.reading.closed_ns = Some(self.now());
        self
    }

    /// What sock_diag says.
    pub fn tcp(&mut self, facts: TcpFacts) -> &mut Self {
        self.reading.tcp = Some(facts);
        self
    }

    /// As a snapshot shows it that knows nothing of its past.
    #[must_use]
    pub fn connection(&self, verdict: Verdict) -> Connection {
        Connection {
            reading: self.reading.clone(),
            verdict,
            joined_late: false,
            stalled_since_ns: None,
            damage: 0,
            stalls: 0,
            streams_per_s: 0.0,
            bytes_sent_per_s: 0.0,
            bytes_received_per_s: 0.0,
        }
    }

    /// A sample with this connection only.
    #[must_use]
    pub fn sample(&self) -> Sample {
        sample(self.now_ms, &[self])
    }
}

/// A sample of several connections.
#[must_use]
pub fn sample(now_ms: u64, staged: &[&Staged]) -> Sample {
    Sample {
        now_ns: now_ms * MS,
        unix_ns: 1_700_000_000_000_000_000 + i128::from(now_ms * MS),
        readings: staged.iter().map(|s| s.reading.clone()).collect(),
        losses: Losses::default(),
        processes: Vec::new(),
    }
}

/// A healthy, quiet TCP connection: 50 us round trip, everything acknowledged.
#[must_use]
pub fn quiet_tcp() -> TcpFacts {
    TcpFacts { state: 1, rtt_us: 50, rttvar_us: 20, rto_us: 200_000, snd_wnd: 65_536, ..TcpFacts::default() }
}
