//! Snapshots that nobody measured.

use h2watch::export::{Exporter, Format, HttpLimits, LabelLimits, WriteConnections, serve};
use h2watch::model::sample::{Owner, Reading, Streams, TlsFacts, Traffic, Transport, View};
use h2watch::model::snapshot::{Connection, Snapshot};
use h2watch::verdict::{Cause, Severity, State, Verdict};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const SECOND: u64 = 1_000_000_000;

/// A healthy connection of `comm` to 192.0.2.x.
pub(crate) fn connection(id: u64, comm: &str, destination: u32) -> Connection {
    let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(192, 0, 2, 0)) + destination);
    let reading = Reading {
        id,
        owner: Owner { pid: 4242, comm: comm.to_owned(), ..Owner::default() },
        local: SocketAddr::from(([127, 0, 0, 1], 40000)),
        remote: SocketAddr::from((address, 443)),
        opened_ns: SECOND,
        seeded: false,
        closed_ns: None,
        transport: Transport::H2c,
        library: None,
        view: View::Frames,
        tls: None,
        sent: Traffic { bytes: 1000, ..Traffic::default() },
        received: Traffic { bytes: 5000, ..Traffic::default() },
        streams: Streams { opened: 10, in_flight: 1, ..Streams::default() },
        first_unanswered_ns: None,
        first_without_answer_ns: None,
        last_opened_ns: None,
        last_heard_ns: None,
        last_answer_ns: None,
        unanswered_records: 0,
        tcp: None,
    };
    Connection {
        reading,
        verdict: Verdict { state: State::Healthy, ..Verdict::default() },
        joined_late: false,
        stalled_since_ns: None,
        damage: 0,
        stalls: 0,
        streams_per_s: 0.0,
        bytes_sent_per_s: 0.0,
        bytes_received_per_s: 0.0,
    }
}

pub(crate) fn named(mut connection: Connection, server_name: &str) -> Connection {
    connection.reading.transport = Transport::Tls;
    connection.reading.tls =
        Some(TlsFacts { server_name: Some(server_name.to_owned()), ..TlsFacts::default() });
    connection
}

/// Stalled since `since_ns`, with `damage` streams lost.
pub(crate) fn stalled(mut connection: Connection, cause: Cause, since_ns: u64, damage: u64) -> Connection {
    connection.verdict = Verdict {
        state: State::Stalled,
        cause: Some(cause),
        severity: Severity::Critical,
        evidence: format!(
            "{damage} streams in 12.4 s without a frame; peer ACKed 0.2 s ago: the path is alive, the peer's HTTP/2 is not answering"
        ),
        gives_up: Some("RTO backoff 7 of 15: about 9 min left".to_owned()),
        advice: Some("Go: set ReadIdleTimeout on http2.Transport".to_owned()),
    };
    connection.reading.first_unanswered_ns = Some(since_ns);
    connection.reading.streams.unanswered = damage;
    connection.reading.streams.opened += damage;
    connection.stalled_since_ns = Some(since_ns);
    connection.stalls = 1;
    connection.damage = damage;
    connection
}

pub(crate) fn snapshot(now_ns: u64, connections: Vec<Connection>) -> Arc<Snapshot> {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let unix_ns = i128::try_from(unix.as_nanos()).unwrap();
    Arc::new(Snapshot { now_ns, unix_ns, connections, ..Snapshot::default() })
}

pub(crate) fn exporter() -> Exporter {
    Exporter::new(LabelLimits::default())
}

/// What a scraper gets that knows no OpenMetrics.
pub(crate) fn text(exporter: &Exporter) -> String {
    String::from_utf8(exporter.render(Format::PrometheusText).to_vec()).unwrap()
}

pub(crate) fn open_metrics(exporter: &Exporter) -> String {
    String::from_utf8(exporter.render(Format::OpenMetrics).to_vec()).unwrap()
}

/// A served exporter on a free port of loopback.
pub(crate) struct Served {
    pub(crate) exporter: Exporter,
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) server: JoinHandle<()>,
}

impl Served {
    pub(crate) async fn start(limits: HttpLimits) -> Self {
        Self::with(exporter(), limits).await
    }

    pub(crate) async fn with(exporter: Exporter, limits: HttpLimits) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let json = |snapshot: &Snapshot| format!("{{\"connections\":{}}}\n", snapshot.connections.len());
        Self::on(listener, exporter, limits, Box::new(json))
    }

    /// `json` writes `/connections`.
    pub(crate) fn on(
        listener: TcpListener,
        exporter: Exporter,
        limits: HttpLimits,
        json: Box<WriteConnections>,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(serve(listener, exporter.clone(), json, limits, async {
            let _ = stopped.await;
        }));
        Self { exporter, address, stop: Some(stop), server }
    }

    /// Asks the server to end.
    pub(crate) fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }
}
