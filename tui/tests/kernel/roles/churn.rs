//! A client with short connections: `churn ADDRESS CONNECTIONS INTERVAL-MS`. One connection after the other with three requests
//! each; says `CHURNED`, and waits with the last one open to be killed.

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use std::net::SocketAddr;
use std::time::Duration;

pub(super) fn play(arguments: &[&str]) {
    let address: SocketAddr = arguments[0].parse().expect("an address");
    let connections: u64 = arguments[1].parse().expect("a number of connections");
    let interval = Duration::from_millis(arguments[2].parse().expect("a number of milliseconds"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut ticks = tokio::time::interval(interval);
        for number in 1..=connections {
            ticks.tick().await;
            let socket = tokio::net::TcpStream::connect(address).await.expect("the server listens");
            socket.set_nodelay(true).expect("a TCP socket");
            let (mut client, connection) = h2::client::handshake(socket).await.expect("HTTP/2");
            let driver = tokio::spawn(connection);
            for _ in 0..3 {
                client = request(client).await;
            }
            if number == connections {
                println!("\nCHURNED");
                std::future::pending::<()>().await;
            }
            drop(client);
            driver.await.expect("a task").expect("the connection ends well");
        }
    });
}

async fn request(client: SendRequest<Bytes>) -> SendRequest<Bytes> {
    let mut ready = client.ready().await.expect("the connection lives");
    let request = Request::builder().uri("http://test/bytes/100").body(()).expect("a valid request");
    let (response, _) = ready.send_request(request, true).expect("a stream");
    let mut body = response.await.expect("an answer").into_body();
    while let Some(data) = body.data().await {
        let length = data.expect("the connection lives").len();
        body.flow_control().release_capacity(length).expect("what was received");
    }
    ready
}
