//! The demo's HTTP/2 server: answers every request shortly; `/events` is a stream that stays open and is mostly quiet.

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use http::{Request, Response};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Time from request to answer: enough that some streams are always in flight.
const WORK: Duration = Duration::from_millis(8);
/// Body of an answer.
const BODY: &[u8] = &[b'.'; 1500];
/// Pause between two events of `/events`: longer than any sensible stall threshold, or it would prove nothing.
const EVENT_EVERY: Duration = Duration::from_secs(5);
/// A link that is plugged in again delivers every request of the outage together with its RST_STREAM. h2 takes more than 20
/// of these for an attack (CVE-2023-44487) and closes the connection; here they are the subject.
const CANCELLED_TOGETHER: usize = 100_000;

/// Path of the stream that stays open.
pub(super) const EVENTS: &str = "/events";

/// Serves until the listener fails.
pub(super) async fn serve(listener: TcpListener) {
    while let Ok((socket, _)) = listener.accept().await {
        tokio::spawn(async move {
            // A connection that fails is the client's news.
            let _ = connection(socket).await;
        });
    }
}

async fn connection(socket: TcpStream) -> Result<(), h2::Error> {
    let _ = socket.set_nodelay(true);
    let mut connection = Builder::new()
        .max_concurrent_streams(250)
        .max_pending_accept_reset_streams(CANCELLED_TOGETHER)
        .handshake::<_, Bytes>(socket)
        .await?;
    while let Some(request) = connection.accept().await {
        let (request, respond) = request?;
        tokio::spawn(async move {
            // The stream was reset by the client meanwhile.
            let _ = answer(&request, respond).await;
        });
    }
    Ok(())
}

async fn answer<B>(request: &Request<B>, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    if request.uri().path() != EVENTS {
        tokio::time::sleep(WORK).await;
        let mut body = respond.send_response(Response::new(()), false)?;
        return body.send_data(Bytes::from_static(BODY), true);
    }
    let mut events = respond.send_response(Response::new(()), false)?;
    loop {
        events.send_data(Bytes::from_static(b"event\n"), false)?;
        tokio::time::sleep(EVENT_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn client() -> h2::client::SendRequest<Bytes> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener));
        let socket = TcpStream::connect(address).await.unwrap();
        let (client, connection) = h2::client::handshake(socket).await.unwrap();
        tokio::spawn(connection);
        client
    }

    fn get(path: &str) -> Request<()> {
        Request::get(format!("http://demo.test{path}")).body(()).unwrap()
    }

    #[tokio::test]
    async fn answers_with_a_body_and_an_end() {
        let mut client = client().await.ready().await.unwrap();
        let (response, _) = client.send_request(get("/"), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        let mut received = 0;
        while let Some(part) = body.data().await {
            received += part.unwrap().len();
        }
        assert_eq!(received, BODY.len());
    }

    #[tokio::test]
    async fn events_stay_open() {
        let mut client = client().await.ready().await.unwrap();
        let (response, _) = client.send_request(get(EVENTS), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "event\n");
        assert!(!body.is_end_stream());
    }

    /// With h2's default limit the server answered a plugged-in link with GOAWAY (ENHANCE_YOUR_CALM).
    #[tokio::test]
    async fn bears_an_outage_worth_of_cancelled_streams_at_once() {
        let mut client = client().await.ready().await.unwrap();
        for _ in 0..200 {
            let (_response, mut stream) = client.send_request(get("/"), true).unwrap();
            tokio::task::yield_now().await;
            stream.send_reset(h2::Reason::CANCEL);
        }
        let mut client = client.ready().await.unwrap();
        let (response, _) = client.send_request(get("/"), true).unwrap();
        assert_eq!(response.await.unwrap().status(), 200);
    }
}
