//! The smallest HTTP/1.1 client that can misbehave.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Nothing in these tests should take longer: a hang is a failure, not a wait.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    get_with(address, path, "").await
}

/// `fields`: more header fields, each with its line end.
pub(crate) async fn get_with(address: SocketAddr, path: &str, fields: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: h2watch\r\nConnection: close\r\n{fields}\r\n");
    raw(address, request.as_bytes()).await.expect("an answer")
}

/// Sends bytes and reads until the end; `None` when no HTTP came back.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut stream = timeout(DEADLINE, TcpStream::connect(address)).await.expect("connects in time").ok()?;
    stream.write_all(bytes).await.ok()?;
    read(&mut stream).await
}

pub(crate) async fn read(stream: &mut TcpStream) -> Option<Answer> {
    let mut bytes = Vec::new();
    let ended =
        timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("the server ends the connection");
    if ended.is_err() && bytes.is_empty() {
        return None;
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

/// Value of the series that starts with `series`.
pub(crate) fn value(exposition: &str, series: &str) -> Option<f64> {
    let line = exposition.lines().find(|line| line.starts_with(series) && !line.starts_with('#'))?;
    line[series.len()..].split_whitespace().next()?.parse().ok()
}
