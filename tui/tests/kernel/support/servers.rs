//! An HTTP/2 server of the h2 crate. What it answers is in the path:
//!
//! | path | answer |
//! |---|---|
//! | `/bytes/N` | HEADERS and N bytes of DATA |
//! | `/trailers/N` | likewise, and trailers |
//! | `/headers` | HEADERS, then nothing |
//! | `/hang` | nothing at all |
//! | `/wait/A-B` | HEADERS and a byte of DATA after A to B milliseconds |
//! | `/events/N` | HEADERS, and a byte of DATA every N milliseconds |
//! | `/refuse` | RST_STREAM with REFUSED_STREAM |
//! | `/goaway` | an answer, and GOAWAY |

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use tokio::net::TcpStream;

/// Serves on a free loopback port until the process ends.
pub(crate) fn start() -> SocketAddr {
    start_on(TcpListener::bind("127.0.0.1:0").expect("a free port"))
}

/// The same with IPv6.
pub(crate) fn start_v6() -> SocketAddr {
    start_on(TcpListener::bind("[::1]:0").expect("IPv6 on loopback"))
}

pub(crate) fn start_on(listener: TcpListener) -> SocketAddr {
    let address = listener.local_addr().expect("a bound socket");
    std::thread::spawn(move || serve(listener));
    address
}

/// Serves on this thread, for ever.
pub(crate) fn serve(listener: TcpListener) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        listener.set_nonblocking(true).expect("a socket");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listening socket");
        while let Ok((socket, _)) = listener.accept().await {
            socket.set_nodelay(true).expect("a TCP socket");
            tokio::spawn(serve_connection(socket));
        }
    });
}

async fn serve_connection(socket: TcpStream) {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(2000).initial_window_size(1 << 20).initial_connection_window_size(1 << 24);
    // What a client cancels while this server is stopped comes all at once afterwards: that is no attack here.
    builder.max_pending_accept_reset_streams(usize::MAX).max_concurrent_reset_streams(10_000);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(socket).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        accept(&mut connection, request, respond);
    }
}

fn accept(
    connection: &mut Connection<TcpStream, Bytes>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    let path = request.uri().path().to_owned();
    match path.as_str() {
        "/refuse" => respond.send_reset(Reason::REFUSED_STREAM),
        "/goaway" => connection.graceful_shutdown(),
        _ => {}
    }
    if path != "/refuse" {
        tokio::spawn(answer(path, request, respond));
    }
}

/// Reads the whole request, then answers. An error means that the client cancelled: nothing is left to do.
async fn answer(
    path: String,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let mut body = request.into_body();
    while let Some(data) = body.data().await {
        body.flow_control().release_capacity(data?.len())?;
    }
    body.trailers().await?;
    if path == "/hang" {
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
    if let Some((least, most)) = path.strip_prefix("/wait/").and_then(|range| range.split_once('-')) {
        let ms = |word: &str| word.parse::<u64>().expect("milliseconds");
        let (least, most) = (ms(least), ms(most));
        // Spread by the stream's number: any sequence will do.
        let spread = u64::from(u32::from(respond.stream_id())).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        tokio::time::sleep(Duration::from_millis(least + spread % (most - least + 1))).await;
        return send_body(&mut respond.send_response(Response::new(()), false)?, 1, true).await;
    }
    if let Some(every) = path.strip_prefix("/events/") {
        let every = Duration::from_millis(every.parse().expect("milliseconds"));
        let mut stream = respond.send_response(Response::new(()), false)?;
        loop {
            tokio::time::sleep(every).await;
            send_body(&mut stream, 1, false).await?;
        }
    }
    let length = path.rsplit('/').next().and_then(|n| n.parse().ok()).unwrap_or(0usize);
    let with_trailers = path.starts_with("/trailers");
    let at_once = length == 0 && !with_trailers && path != "/headers";
    let mut stream = respond.send_response(Response::new(()), at_once)?;
    if path == "/headers" {
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
    if !at_once {
        send_body(&mut stream, length, !with_trailers).await?;
    }
    if with_trailers {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-length", length.into());
        stream.send_trailers(trailers)?;
    }
    Ok(())
}

/// Hands over as much as flow control allows at a time.
pub(crate) async fn send_body(
    stream: &mut h2::SendStream<Bytes>,
    length: usize,
    end: bool,
) -> Result<(), h2::Error> {
    let mut left = length;
    while left > 0 {
        stream.reserve_capacity(left.min(16_384));
        let Some(room) = std::future::poll_fn(|context| stream.poll_capacity(context)).await else {
            return Ok(());
        };
        let n = room?.min(left);
        left -= n;
        stream.send_data(Bytes::from(vec![b'x'; n]), end && left == 0)?;
    }
    if end && length == 0 {
        stream.send_data(Bytes::new(), true)?;
    }
    Ok(())
}
