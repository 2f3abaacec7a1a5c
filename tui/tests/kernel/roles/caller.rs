//! A client that calls and hangs up: `caller ADDRESS INTERVAL-MS TIMEOUT-MS PATH UPLOAD-BYTES PING-MS
//! [USER-TIMEOUT-MS]`, one connection. A request per interval, cancelled after the timeout; a PING per PING-MS, unless that is 0;
//! with that TCP_USER_TIMEOUT.

use crate::support::servers::send_body;
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use std::time::Duration;
use tokio::net::TcpStream;

pub(super) fn play(arguments: &[&str]) {
    let [address, interval, timeout, path, upload, ping, user_timeout @ ..] = arguments else {
        panic!("six arguments at least")
    };
    let ms = |word: &str| Duration::from_millis(word.parse().expect("a number of milliseconds"));
    let upload = upload.parse().expect("a number of bytes");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let socket = TcpStream::connect(address).await.expect("the server listens");
        socket.set_nodelay(true).expect("a TCP socket");
        if let Some(user_timeout) = user_timeout.first() {
            let value = user_timeout.parse().expect("a number of milliseconds");
            rustix::net::sockopt::set_tcp_user_timeout(&socket, value).expect("a TCP socket");
        }
        let client = shake_hands(socket, ms(ping)).await;
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

async fn shake_hands(socket: TcpStream, ping_every: Duration) -> SendRequest<Bytes> {
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
