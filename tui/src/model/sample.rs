//! What one look at the probe read: facts only, nothing judged. Every number is as of `Sample::now_ns`.
//!
//! A sample comes from the kernel (`probe`) or from a recording (`record`); the model cannot tell which.

use std::net::SocketAddr;

/// Nanoseconds of CLOCK_MONOTONIC, the clock of the kernel programs.
pub type Nanos = u64;

/// Socket cookie: unique on this host until reboot, never reused (kernel `sock_gen_cookie`).
pub type Cookie = u64;

/// One look at everything that is watched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    pub now_ns: Nanos,
    /// The same moment as nanoseconds since the Unix epoch, for people.
    pub unix_ns: i128,
    /// Every open connection, and the ones closed since the last sample with their final counters.
    pub readings: Vec<Reading>,
    pub losses: Losses,
    pub processes: Vec<Process>,
}

/// How a connection's bytes travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Not decided yet: no payload was sent.
    #[default]
    Unknown,
    /// Cleartext HTTP/2 with prior knowledge.
    H2c,
    Tls,
}

/// The TLS library of the client, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Library {
    OpenSsl,
    Go,
    GnuTls,
    BoringSsl,
}

/// How much of a connection can be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum View {
    /// Only TLS records, both ways: never an exact stream count.
    Records,
    /// What the client sends frame by frame, what it receives as TLS records.
    Streams,
    /// Both directions' frame headers.
    #[default]
    Frames,
}

/// Who owns the socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    pub pid: u32,
    /// Name of the process (not of the thread).
    pub comm: String,
    /// Path below the cgroup v2 mount, with a leading slash; empty when unknown.
    pub cgroup: String,
    /// Container id (64 hex digits), where the cgroup path tells.
    pub container: Option<String>,
    /// Kubernetes pod uid and systemd unit, likewise.
    pub pod_uid: Option<String>,
    pub unit: Option<String>,
}

/// Frame counts by type (RFC 9113, section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    pub data: u64,
    pub headers: u64,
    pub priority: u64,
    pub rst_stream: u64,
    pub settings: u64,
    pub push_promise: u64,
    pub ping: u64,
    pub goaway: u64,
    pub window_update: u64,
    pub continuation: u64,
    /// Types that RFC 9113 does not define.
    pub unknown: u64,
}

impl Frames {
    /// All frames.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.data
            + self.headers
            + self.priority
            + self.rst_stream
            + self.settings
            + self.push_promise
            + self.ping
            + self.goaway
            + self.window_update
            + self.continuation
            + self.unknown
    }
}

/// TLS records by content type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Records {
    pub handshake: u64,
    pub alert: u64,
    pub application: u64,
    /// Payload bytes of application data records.
    pub application_bytes: u64,
}

/// What one direction of a connection carried. A time is `None` when it never happened.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Payload bytes, each counted once; retransmissions are apart.
    pub bytes: u64,
    pub segments: u64,
    pub retransmits: u64,
    /// `None` where the view cannot know.
    pub frames: Option<Frames>,
    /// `None` for cleartext.
    pub records: Option<Records>,
    /// Payload bytes of DATA frames.
    pub data_bytes: u64,
    /// Sum of WINDOW_UPDATE increments for the connection.
    pub window_granted: u64,
    pub last_data_ns: Option<Nanos>,
    pub last_retransmit_ns: Option<Nanos>,
    /// When this direction's acknowledgement number last moved.
    pub last_ack_ns: Option<Nanos>,
    /// Since when this direction advertises a zero TCP window.
    pub zero_window_ns: Option<Nanos>,
    pub fin_ns: Option<Nanos>,
    pub rst_ns: Option<Nanos>,
    pub last_frame_ns: Option<Nanos>,
    pub last_ping_ns: Option<Nanos>,
    pub last_ping_ack_ns: Option<Nanos>,
    pub last_window_update_ns: Option<Nanos>,
    pub pings: u64,
    pub ping_acks: u64,
    pub goaway: Option<Goaway>,
    /// RST_STREAM frames.
    pub resets: u64,
    /// Code of the last RST_STREAM.
    pub last_reset_code: u32,
    /// SETTINGS that this direction announced.
    pub settings: Option<Settings>,
    /// The alignment of this direction is being searched: counts wait until it is found.
    pub resyncing: bool,
    pub desyncs: u64,
    pub resyncs: u64,
    /// Gaps in the TCP sequence, and those over which frames were missed.
    pub holes: u64,
    pub holes_missed: u64,
}

/// SETTINGS values of one side (RFC 9113, section 6.5.2); the RFC's defaults where it announced none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub initial_window_size: u32,
    pub max_frame_size: u32,
    /// `None`: unlimited.
    pub max_concurrent_streams: Option<u32>,
}

/// A GOAWAY frame (RFC 9113, section 6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goaway {
    pub at_ns: Nanos,
    pub last_stream: u32,
    pub code: u32,
}

/// Client streams of a connection. All zero with `View::Records`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    pub opened: u64,
    pub in_flight: u64,
    /// Of those in flight, the ones without response HEADERS (`View::Frames` only).
    pub without_answer: u64,
    /// Of those in flight, the ones that the client has not ended: DATA or trailers are still to come.
    pub sending: u64,
    /// Opened since the peer was last heard.
    pub unanswered: u64,
    /// Opened since the peer last sent HEADERS, DATA or RST_STREAM (`View::Frames` only).
    pub unanswered_by_streams: u64,
    /// RST_STREAM sent with CANCEL for a stream without any answer.
    pub abandoned: u64,
    pub opened_after_goaway: u64,
    /// Highest stream identifier opened.
    pub highest: u32,
    /// `in_flight` and `without_answer` may be off: frames were missed, or the connection was open before h2watch.
    pub approximate: bool,
}

/// TCP facts from sock_diag, present for suspicious and selected connections only. Units as in `struct tcp_info`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFacts {
    /// Linux TCP state number (1 is ESTABLISHED).
    pub state: u8,
    pub rtt_us: u32,
    pub rttvar_us: u32,
    pub rto_us: u32,
    /// Segments sent and not yet acknowledged.
    pub unacked: u32,
    pub retransmits: u32,
    pub total_retrans: u32,
    /// Exponential backoff of the retransmission or probe timer.
    pub backoff: u8,
    /// Zero-window probes sent without an answer.
    pub probes: u8,
    pub notsent_bytes: u32,
    pub snd_wnd: u32,
    pub last_data_sent_ms: u32,
    pub last_data_received_ms: u32,
    pub last_ack_received_ms: u32,
    /// Bytes in this host's receive queue that the process has not read.
    pub receive_queue: u32,
    /// Bytes in the send queue: sent and not acknowledged, or not sent.
    pub send_queue: u32,
    /// `inet_diag_msg.idiag_timer`: 0 none, 1 retransmit, 2 keepalive, 3 time-wait, 4 zero-window probe.
    pub timer: u8,
    /// Milliseconds until that timer fires.
    pub timer_expires_ms: u32,
    /// `net.ipv4.tcp_retries2` of the socket's network namespace; `None` when it could not be read.
    pub tcp_retries2: Option<u32>,
}

/// What the TLS handshake showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts {
    pub server_name: Option<String>,
    /// Protocols that the client offered, in its order.
    pub alpn_offered: Vec<String>,
    /// The server's choice, where it is visible (TLS 1.2).
    pub alpn_chosen: Option<String>,
    /// Why this connection is taken for HTTP/2, in words; empty when it is not known to be.
    pub http2_evidence: String,
}

/// One connection as the probe sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub id: Cookie,
    pub owner: Owner,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub opened_ns: Nanos,
    /// It was open before h2watch was: `opened_ns` is when it was found.
    pub seeded: bool,
    pub closed_ns: Option<Nanos>,
    pub transport: Transport,
    pub library: Option<Library>,
    pub view: View,
    pub tls: Option<TlsFacts>,
    pub sent: Traffic,
    pub received: Traffic,
    pub streams: Streams,
    /// First stream that no frame from the peer followed (with `View::Records`: the first application record).
    pub first_unanswered_ns: Option<Nanos>,
    /// First stream that no HEADERS, DATA or RST_STREAM followed.
    pub first_without_answer_ns: Option<Nanos>,
    pub last_opened_ns: Option<Nanos>,
    /// Last frame from the peer (without frames: last application record).
    pub last_heard_ns: Option<Nanos>,
    pub last_answer_ns: Option<Nanos>,
    /// With `View::Records`: application records sent since the peer was last heard.
    pub unanswered_records: u64,
    pub tcp: Option<TcpFacts>,
}

impl Reading {
    /// What the client sent first was not seen: it is SETTINGS (RFC 9113, section 3.4). It may still come later: gRPC announces
    /// windows while it runs.
    #[must_use]
    pub fn lacks_its_beginning(&self) -> bool {
        self.seeded || (self.streams.opened > 0 && self.sent.settings.is_none())
    }
}

/// What the probe could not keep, in total since the start. Each one is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Connections that are not watched because every slot was taken.
    pub connections_full: u64,
    /// Events that did not fit into the ring.
    pub ring_full: u64,
    /// Segments with more frames than this kernel's walker may walk.
    pub frame_budget: u64,
    pub unreadable_segments: u64,
    /// TLS calls that could not be associated with a socket.
    pub unassociated: u64,
    pub tls_objects_full: u64,
    pub unreadable_memory: u64,
    /// Segments that two processors handled at once: the frames of one of them are missing.
    pub contended_segments: u64,
}

impl Losses {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.connections_full
            + self.ring_full
            + self.frame_budget
            + self.unreadable_segments
            + self.unassociated
            + self.tls_objects_full
            + self.unreadable_memory
            + self.contended_segments
    }
}

/// Coverage of one watched process: what is seen of its TLS connections, and why not more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub comm: String,
    pub library: Option<Library>,
    pub view: View,
    /// In words: library, version, symbols, or the reason for less.
    pub reason: String,
}
