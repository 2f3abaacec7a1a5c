//! HTTP for a few scrapers and a person: bounded in connections, header size, time to send a header and time to read an
//! answer, so that neither a slow nor a hostile client takes memory or keeps others out. HTTP/1 only; TLS and passwords are
//! the job of a proxy.

use super::Exporter;
use super::places::Places;
use super::route::{Router, WriteConnections};
use super::write_deadline::WriteDeadline;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Where the exporter listens unless told otherwise. Loopback, because there is no password. What is in `deploy/` names the
/// same port.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9632);

/// Bounds of the HTTP side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    pub connections: usize,
    /// Request line and all header fields.
    pub header_bytes: usize,
    /// Time to send a complete header; also how long an idle connection is kept.
    pub header_timeout: Duration,
    /// Time to read an answer, the whole of it.
    pub write_timeout: Duration,
    /// Time for which one copy of `/connections` serves everyone who asks.
    pub share_connections_for: Duration,
    /// With every place taken, a connection older than this is cut for a new one.
    pub grace: Duration,
    /// Time that answers under way get at shutdown.
    pub shutdown_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections: 128,
            // hyper's smallest read buffer: Prometheus sends about 300 bytes.
            header_bytes: 8192,
            // Longer than the usual scrape interval of 15 s would keep connections; a new one costs nothing on this scale.
            header_timeout: Duration::from_secs(5),
            // As long as Prometheus waits for a scrape.
            write_timeout: Duration::from_secs(10),
            share_connections_for: Duration::from_secs(1),
            grace: Duration::from_secs(1),
            shutdown_timeout: Duration::from_secs(2),
        }
    }
}

/// Serves until `shutdown` is done, then lets answers under way finish.
pub async fn serve(
    listener: TcpListener,
    exporter: Exporter,
    write_connections: Box<WriteConnections>,
    limits: HttpLimits,
    shutdown: impl Future<Output = ()>,
) {
    let router = Arc::new(Router::new(exporter, write_connections, limits.share_connections_for));
    let mut places = Places::new(limits.connections, limits.grace);
    let mut clients = JoinSet::new();
    let (stop, stopped) = watch::channel(());
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, permit) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            next = accept(&listener, &mut places, router.exporter()) => match next {
                Some(next) => next,
                None => continue,
            },
        };
        let client = client(stream, Arc::clone(&router), limits, stopped.clone());
        places.taken_by(clients.spawn(async move {
            client.await;
            drop(permit);
        }));
        while clients.try_join_next().is_some() {}
    }
    drop(listener);
    drop(stopped);
    let _ = stop.send(());
    let finished = async { while clients.join_next().await.is_some() {} };
    // What is not finished by then is cut when the set is dropped.
    let _ = tokio::time::timeout(limits.shutdown_timeout, finished).await;
}

/// The next client, once there is a place for it. Until then it waits in the kernel's backlog.
async fn accept(
    listener: &TcpListener,
    places: &mut Places,
    exporter: &Exporter,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    match listener.accept().await {
        Ok((stream, _)) => {
            let (permit, cut) = places.take().await;
            (0..cut).for_each(|_| exporter.count_eviction());
            Some((stream, permit?))
        }
        Err(_) => {
            // Out of file descriptors, most likely: the pending client stays pending, so do not spin.
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

async fn client(
    stream: TcpStream,
    router: Arc<Router>,
    limits: HttpLimits,
    mut stopped: watch::Receiver<()>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        // A body, if there is one, is not read: hyper closes the connection after the answer.
        let response = router.answer(request.method(), request.uri().path(), request.headers());
        async move { Ok::<_, Infallible>(response) }
    });
    let io = TokioIo::new(WriteDeadline::new(stream, limits.write_timeout));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    // A client's mistake or disappearance is its own business: nothing to report.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
