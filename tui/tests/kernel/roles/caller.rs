//! A client that calls and hangs up: `caller ADDRESS INTERVAL-MS TIMEOUT-MS PATH UPLOAD-BYTES PING-MS`, one connection. A
//! request per interval, cancelled after the timeout; a PING per PING-MS, unless that is 0.

use crate::support::servers::send_body;
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use std::time::Duration;

pub(super) fn play(arguments: &[&str]) {
    let [address, interval, timeout, path, upload, ping] = arguments else { panic!("six arguments") };
    let ms = |word: &str| Duration::from_millis(word.parse().expect("a number of milliseconds"));
    let upload = upload.parse().expect("a number of bytes");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = connect(address, ms(ping)).await;
        println!("\nCONNECTED");
        let mut ticks = tokio::time::interval(ms(interval));
        let timeout = ms(timeout);
        loop {
            ticks.tick().await;
            let (client, path) = (client.clone(), (*path).to_owned());
            // Errors are what these tests are about.
            tokio::spawn(async move { tokio::time::timeout(timeout, call(client, path, upload)).await });
        }
    });
}

async fn connect(address: &str, ping_every: Duration) -> SendRequest<Bytes> {
    let socket = tokio::net::TcpStream::connect(address).await.expect("the server listens");
    socket.set_nodelay(true).expect("a TCP socket");
    let mut builder = h2::client::Builder::new();
    builder.max_concurrent_reset_streams(10_000);
    let (client, mut connection) = builder.handshake(socket).await.expect("HTTP/2");
    let pings = connection.ping_pong();
    tokio::spawn(async move {
        let ended = connection.await;
        println!("\nBROKEN {} {ended:?}", crate::support::now_ns());
    });
    if let Some(mut pings) = pings.filter(|_| !ping_every.is_zero()) {
        tokio::spawn(async move {
            while pings.ping(h2::Ping::opaque()).await.is_ok() {
                tokio::time::sleep(ping_every).await;
            }
        });
    }
    client
}

async fn call(client: SendRequest<Bytes>, path: String, upload: usize) -> Result<(), h2::Error> {
    let mut client = client.ready().await?;
    let request = Request::builder().uri(format!("http://test{path}")).body(()).expect("a valid request");
    let (response, mut body) = client.send_request(request, upload == 0)?;
    if upload > 0 {
        send_body(&mut body, upload, true).await?;
    }
    let mut body = response.await?.into_body();
    while let Some(data) = body.data().await {
        body.flow_control().release_capacity(data?.len())?;
    }
    Ok(())
}
