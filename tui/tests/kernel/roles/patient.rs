//! A client that waits for its answers: `patient ADDRESS WORKERS PAUSE-MS PATH`, one connection for all workers. Each worker
//! requests the path, takes the whole answer, pauses, and begins again. A connection that ends is replaced by a new one.

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use std::time::Duration;
use tokio::sync::watch;

pub(super) fn play(arguments: &[&str]) {
    let [address, workers, pause, path] = arguments else { panic!("four arguments") };
    let workers: usize = workers.parse().expect("a number of workers");
    let pause = Duration::from_millis(pause.parse().expect("a number of milliseconds"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (give, take) = watch::channel(None);
        for _ in 0..workers {
            tokio::spawn(work(take.clone(), pause, (*path).to_owned()));
        }
        loop {
            if let Err(error) = connect(address, &give).await {
                println!("\nBROKEN {error}");
            }
            give.send_replace(None);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
}

/// Until the connection ends.
async fn connect(
    address: &str,
    give: &watch::Sender<Option<SendRequest<Bytes>>>,
) -> Result<(), Box<dyn std::error::Error>> {
    let socket = tokio::net::TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let (client, connection) = h2::client::handshake(socket).await?;
    println!("\nCONNECTED");
    give.send_replace(Some(client));
    connection.await?;
    Ok(())
}

async fn work(mut take: watch::Receiver<Option<SendRequest<Bytes>>>, pause: Duration, path: String) {
    loop {
        let Ok(client) = take.wait_for(Option::is_some).await.map(|client| client.clone()) else { return };
        if let Some(client) = client {
            // The next connection is taken when this one has ended.
            let _ = request(client, &path).await;
        }
        tokio::time::sleep(pause).await;
    }
}

async fn request(client: SendRequest<Bytes>, path: &str) -> Result<(), h2::Error> {
    let mut client = client.ready().await?;
    let request = Request::builder().uri(format!("http://test{path}")).body(()).expect("a valid request");
    let (response, _) = client.send_request(request, true)?;
    let mut body = response.await?.into_body();
    while let Some(data) = body.data().await {
        body.flow_control().release_capacity(data?.len())?;
    }
    Ok(())
}
