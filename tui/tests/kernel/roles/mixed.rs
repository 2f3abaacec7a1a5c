//! A client with everything in it: `mixed ADDRESS STREAMS PARALLEL`. Downloads and uploads of many sizes,
//! trailers both ways, refused streams, cancelled streams (RST_STREAM), header blocks that need CONTINUATION, PINGs.

use crate::support::servers::send_body;
use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[derive(Debug, Default)]
struct Tally {
    opened: AtomicU64,
    cancelled: AtomicU64,
    /// Of those, without any answer.
    unanswered: AtomicU64,
}

pub(super) fn play(arguments: &[&str]) {
    let address: SocketAddr = arguments[0].parse().expect("an address");
    let streams: u64 = arguments[1].parse().expect("a number of streams");
    let parallel: u64 = arguments[2].parse().expect("a number of parallel streams");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(address, streams, parallel));
}

async fn run(address: SocketAddr, streams: u64, parallel: u64) {
    let socket = tokio::net::TcpStream::connect(address).await.expect("the server listens");
    socket.set_nodelay(true).expect("a TCP socket");
    let (client, mut connection) = h2::client::Builder::new().handshake(socket).await.expect("HTTP/2");
    let mut pinger = connection.ping_pong().expect("taken once");
    let driver = tokio::spawn(connection);
    let tally = Arc::new(Tally::default());
    let next = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = (0..parallel)
        .map(|_| tokio::spawn(work(client.clone(), streams, next.clone(), tally.clone())))
        .collect();
    for _ in 0..5 {
        pinger.ping(h2::Ping::opaque()).await.expect("the server answers PING");
    }
    for worker in workers {
        worker.await.expect("the worker ends");
    }
    // What the client cancels or acknowledges last is still to be written; the answer to a PING comes after it.
    pinger.ping(h2::Ping::opaque()).await.expect("the server answers PING");
    drop(client);
    let _ = tokio::time::timeout(Duration::from_secs(2), driver).await;
    let [opened, cancelled, unanswered] =
        [&tally.opened, &tally.cancelled, &tally.unanswered].map(|n| n.load(Ordering::Relaxed));
    println!(
        "\nCLIENT {{\"opened\":{opened},\"cancelled\":{cancelled},\"cancelled_unanswered\":{unanswered}}}"
    );
}

async fn work(client: SendRequest<Bytes>, streams: u64, next: Arc<AtomicU64>, tally: Arc<Tally>) {
    loop {
        let i = next.fetch_add(1, Ordering::Relaxed);
        if i >= streams {
            return;
        }
        let ready = client.clone().ready().await.expect("the connection lives");
        // A refused or cancelled stream ends with an error, as it should.
        let _ = exchange(ready, i, &tally).await;
    }
}

async fn exchange(mut client: SendRequest<Bytes>, i: u64, tally: &Tally) -> Result<(), h2::Error> {
    let size = usize::try_from(i * i * 7 % 60_000).expect("small");
    let (path, upload, cancel) = match i % 10 {
        0 => (format!("/bytes/{size}"), Some(size), false),
        1 => ("/hang".to_owned(), None, true),
        2 => (format!("/trailers/{size}"), Some(0), false),
        3 => ("/refuse".to_owned(), None, false),
        4 => ("/headers".to_owned(), None, true),
        5 => ("/bytes/0".to_owned(), None, false),
        _ => (format!("/bytes/{size}"), None, false),
    };
    let mut request = Request::builder().uri(format!("http://test{path}"));
    if i % 50 == 7 {
        // Longer than a frame (RFC 9113, section 6.10).
        request = request.header("x-long", "y".repeat(40_000));
    }
    let request = request.body(()).expect("a valid request");
    let (response, mut body) = client.send_request(request, upload.is_none())?;
    tally.opened.fetch_add(1, Ordering::Relaxed);
    if let Some(length) = upload {
        let with_trailers = length == 0;
        send_body(&mut body, length, !with_trailers).await?;
        if with_trailers {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sent", 1.into());
            body.send_trailers(trailers)?;
        }
    }
    if cancel {
        // What has an answer by then is not given up for want of one.
        if path == "/headers" {
            response.await?;
        } else {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        body.send_reset(h2::Reason::CANCEL);
        tally.cancelled.fetch_add(1, Ordering::Relaxed);
        tally.unanswered.fetch_add(u64::from(path != "/headers"), Ordering::Relaxed);
        return Ok(());
    }
    let mut body = response.await?.into_body();
    while let Some(data) = body.data().await {
        body.flow_control().release_capacity(data?.len())?;
    }
    body.trailers().await?;
    Ok(())
}
