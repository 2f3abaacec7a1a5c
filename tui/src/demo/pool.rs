//! A client pool with the fault of golang/go#63422: one connection per destination, and every request goes on it.
//!
//! A request without an answer in time is cancelled (RST_STREAM with CANCEL). The cancelled stream no longer counts against
//! the concurrency limit, so the connection always looks free and gets the next request, dead or not.

use super::counts::{Tally, increment};
use super::destination::{Destination, Load};
use super::server::EVENTS;
use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http::Request;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, sleep, timeout};

/// After this long without response HEADERS a request is cancelled.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_millis(500);
/// Pause before a lost connection is opened again.
const RECONNECT: Duration = Duration::from_millis(250);
/// At most this long is spent on ending a connection politely (GOAWAY, then FIN).
const FAREWELL: Duration = Duration::from_millis(250);
/// Streams that were cancelled are remembered, so that late frames for them are no error.
const REMEMBER_CANCELLED: Duration = Duration::from_secs(60);

/// Ready when the demo ends.
type Stop<'a> = Pin<&'a mut (dyn Future<Output = ()> + Send)>;

/// Sends to `destination` until `stop` becomes true or its sender is gone, then waits for what is in flight.
pub(super) async fn drive(destination: Destination, tally: Arc<Tally>, mut stop: watch::Receiver<bool>) {
    let stopped = async move {
        let _ = stop.wait_for(|&stop| stop).await;
    };
    tokio::pin!(stopped);
    // A lost connection is replaced, as any pool does; one that only says nothing is kept.
    while session(destination, &tally, stopped.as_mut()).await.is_none() {
        sleep(RECONNECT).await;
    }
}

/// One connection. `None`: it was lost or could not be made. `Some`: the demo ended.
async fn session(at: Destination, tally: &Arc<Tally>, mut stopped: Stop<'_>) -> Option<()> {
    let handshake = async {
        let socket = TcpStream::connect(at.address).await.ok()?;
        socket.set_nodelay(true).ok()?;
        let mut builder = h2::client::Builder::new();
        builder.max_concurrent_reset_streams(100_000).reset_stream_duration(REMEMBER_CANCELLED);
        builder.handshake::<_, Bytes>(socket).await.ok()
    };
    let (client, connection) = tokio::select! {
        () = stopped.as_mut() => return Some(()),
        connected = handshake => connected?,
    };
    let mut connection = tokio::spawn(connection);
    let mut requests = JoinSet::new();
    tokio::select! {
        () = stopped => {}
        () = feed(at, &client, tally, &mut requests) => {}
        _ = &mut connection => return None,
    }
    while requests.join_next().await.is_some() {}
    drop(client);
    let _ = timeout(FAREWELL, connection).await;
    Some(())
}

/// Opens streams for as long as it is polled.
async fn feed(at: Destination, client: &SendRequest<Bytes>, tally: &Arc<Tally>, requests: &mut JoinSet<()>) {
    match at.load {
        Load::Requests { every } => {
            let mut clock = tokio::time::interval(every);
            clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                clock.tick().await;
                while requests.try_join_next().is_some() {}
                requests.spawn(exchange(at.address, "/", client.clone(), Arc::clone(tally)));
            }
        }
        Load::Once => exchange(at.address, "/", client.clone(), Arc::clone(tally)).await,
        Load::Events => {
            if let Some(body) = request(at.address, EVENTS, client.clone(), tally).await {
                drain(body).await;
            }
        }
    }
    std::future::pending::<()>().await;
}

async fn exchange(to: SocketAddr, path: &'static str, client: SendRequest<Bytes>, tally: Arc<Tally>) {
    if let Some(body) = request(to, path, client, &tally).await {
        // Dropped when it takes too long, which resets the stream.
        let _ = timeout(REQUEST_TIMEOUT, drain(body)).await;
    }
}

/// Opens a stream and waits for its response HEADERS, not longer than `REQUEST_TIMEOUT`.
async fn request(
    to: SocketAddr,
    path: &'static str,
    client: SendRequest<Bytes>,
    tally: &Tally,
) -> Option<RecvStream> {
    let request = Request::get(format!("http://{to}{path}")).body(()).ok()?;
    let mut client = timeout(REQUEST_TIMEOUT, client.ready()).await.ok()?.ok()?;
    let (response, mut stream) = client.send_request(request, true).ok()?;
    increment(&tally.opened);
    match timeout(REQUEST_TIMEOUT, response).await {
        Ok(Ok(response)) => {
            increment(&tally.answered);
            Some(response.into_body())
        }
        Ok(Err(_)) => {
            increment(&tally.failed);
            None
        }
        Err(_) => {
            stream.send_reset(Reason::CANCEL);
            increment(&tally.timed_out);
            None
        }
    }
}

async fn drain(mut body: RecvStream) {
    while let Some(Ok(piece)) = body.data().await {
        if body.flow_control().release_capacity(piece.len()).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::Counts;
    use super::super::far_end::FarEnd;
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    async fn reach(tally: &Tally, wanted: impl Fn(Counts) -> bool) -> Counts {
        let reached = async {
            while !wanted(tally.counts()) {
                sleep(Duration::from_millis(10)).await;
            }
            tally.counts()
        };
        timeout(DEADLINE, reached).await.expect("the pool did not get there")
    }

    #[tokio::test]
    async fn a_dead_link_takes_streams_and_the_same_connection_recovers() {
        let far_end = FarEnd::start(1).unwrap();
        let at = Destination {
            load: Load::Requests { every: Duration::from_millis(5) },
            address: far_end.addresses[0],
        };
        let tally = Arc::new(Tally::default());
        let (stop, stopped) = watch::channel(false);
        let driving = tokio::spawn(drive(at, Arc::clone(&tally), stopped));

        reach(&tally, |c| c.answered >= 50).await;
        far_end.set_plugged(0, false);
        // More than 20 cancelled streams: h2's own limits must not end the connection when they arrive together.
        let cut = reach(&tally, |c| c.timed_out >= 60).await;
        assert_eq!(cut.failed, 0);
        far_end.set_plugged(0, true);
        reach(&tally, |c| c.answered >= cut.answered + 50).await;

        stop.send_replace(true);
        timeout(DEADLINE, driving).await.unwrap().unwrap();
        let end = tally.counts();
        assert_eq!(end.failed, 0, "the connection was lost: {end:?}");
        assert_eq!(end.opened, end.answered + end.timed_out);
    }

    #[tokio::test]
    async fn the_quiet_loads_open_one_stream_each() {
        let far_end = FarEnd::start(2).unwrap();
        let tally = Arc::new(Tally::default());
        let (stop, stopped) = watch::channel(false);
        let mut driving = JoinSet::new();
        for (load, &address) in [Load::Events, Load::Once].into_iter().zip(&far_end.addresses) {
            driving.spawn(drive(Destination { load, address }, Arc::clone(&tally), stopped.clone()));
        }
        let counts = reach(&tally, |c| c.answered == 2).await;
        assert_eq!(counts, Counts { opened: 2, answered: 2, timed_out: 0, failed: 0 });
        stop.send_replace(true);
        timeout(DEADLINE, driving.join_all()).await.unwrap();
    }
}
