//! A client with little to say: `quiet SECONDS ADDRESS=PATH,PATH... ...`, one connection per argument, which requests the paths and
//! waits. A path with a plus sign in front is requested again every second; one with an exclamation mark is waited for before
//! the next one. Says `SETTLED`, and stays for so
//! many seconds.

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use std::time::Duration;

pub(super) fn play(arguments: &[&str]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for argument in &arguments[1..] {
            let (address, paths) = argument.split_once('=').expect("ADDRESS=PATHS");
            connect(address, paths).await;
        }
        println!("\nSETTLED");
        let seconds = arguments[0].parse().expect("a number of seconds");
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    });
}

async fn connect(address: &str, paths: &str) {
    let socket = tokio::net::TcpStream::connect(address).await.expect("the server listens");
    let (client, connection) = h2::client::handshake(socket).await.expect("HTTP/2");
    tokio::spawn(connection);
    for path in paths.split(',').filter(|path| !path.is_empty()) {
        if let Some(path) = path.strip_prefix('!') {
            request(client.clone(), path.to_owned(), None).await;
            continue;
        }
        let (path, every) =
            path.strip_prefix('+').map_or((path, None), |p| (p, Some(Duration::from_secs(1))));
        tokio::spawn(request(client.clone(), path.to_owned(), every));
    }
    // A handle keeps the connection open.
    std::mem::forget(client);
}

async fn request(client: SendRequest<Bytes>, path: String, every: Option<Duration>) {
    loop {
        let mut ready = client.clone().ready().await.expect("the connection lives");
        let request = Request::builder().uri(format!("http://test{path}")).body(()).expect("a valid request");
        let (response, _) = ready.send_request(request, true).expect("a stream");
        let mut body = response.await.expect("an answer").into_body();
        while let Some(data) = body.data().await {
            let length = data.expect("the connection lives").len();
            body.flow_control().release_capacity(length).expect("what was received");
        }
        let Some(pause) = every else { return };
        tokio::time::sleep(pause).await;
    }
}
