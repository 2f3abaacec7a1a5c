//! The smallest HTTP/2 client and server over clear TCP (RFC 9113): real frames without an HTTP library, because a guest has
//! nothing but two static programs. The client never waits, so it goes on opening streams when the server is stopped.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::say;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const ACK: u8 = 1;
const END_STREAM_END_HEADERS: u8 = 0x5;
/// GET http://x/ as indexed fields of the static table and one literal (RFC 7541, appendix A).
const REQUEST: &[u8] = &[0x82, 0x86, 0x84, 0x01, 0x01, b'x'];
/// :status 200
const RESPONSE: &[u8] = &[0x88];
/// Often enough that a stall of one second leaves many unanswered streams.
const BETWEEN_REQUESTS: Duration = Duration::from_millis(20);

/// Accepts connections one after the other and answers every stream at once.
pub(super) fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on 127.0.0.1")?;
    say::line(&listener.local_addr()?.port().to_string());
    for stream in listener.incoming() {
        // A client that goes away ends its connection, not the server.
        if let Err(error) = answer(&mut stream?) {
            say::complaint(&format!("a connection ended: {error:#}"));
        }
    }
    Ok(())
}

fn answer(stream: &mut TcpStream) -> Result<()> {
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface)?;
    anyhow::ensure!(preface == PREFACE, "not an HTTP/2 client");
    stream.write_all(&frame(SETTINGS, 0, 0, &[]))?;
    while let Some(Frame { kind, flags, stream_id, payload }) = read_frame(stream)? {
        match kind {
            HEADERS => stream.write_all(&frame(HEADERS, END_STREAM_END_HEADERS, stream_id, RESPONSE))?,
            SETTINGS | PING if flags & ACK == 0 => {
                let echoed = if kind == PING { &payload[..] } else { &[] };
                stream.write_all(&frame(kind, ACK, 0, echoed))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Opens streams on one connection until it breaks or the process is ended.
pub(super) fn request(address: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    let mut answers = stream.try_clone()?;
    std::thread::spawn(move || while let Ok(Some(_)) = read_frame(&mut answers) {});
    stream.write_all(PREFACE)?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[]))?;
    for stream_id in (1..i32::MAX.cast_unsigned()).step_by(2) {
        stream.write_all(&frame(HEADERS, END_STREAM_END_HEADERS, stream_id, REQUEST))?;
        std::thread::sleep(BETWEEN_REQUESTS);
    }
    Ok(())
}

struct Frame {
    kind: u8,
    flags: u8,
    stream_id: u32,
    payload: Vec<u8>,
}

/// None at the end of the connection.
fn read_frame(stream: &mut impl Read) -> Result<Option<Frame>> {
    let mut header = [0; 9];
    if let Err(error) = stream.read_exact(&mut header) {
        let ended = error.kind() == std::io::ErrorKind::UnexpectedEof;
        return if ended { Ok(None) } else { Err(error.into()) };
    }
    let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = header;
    let mut payload = vec![0; u32::from_be_bytes([0, l0, l1, l2]) as usize];
    stream.read_exact(&mut payload)?;
    Ok(Some(Frame { kind, flags, stream_id: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]), payload }))
}

fn frame(kind: u8, flags: u8, stream_id: u32, payload: &[u8]) -> Vec<u8> {
    let [_, l0, l1, l2] = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = vec![l0, l1, l2, kind, flags];
    bytes.extend_from_slice(&stream_id.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let bytes = frame(HEADERS, END_STREAM_END_HEADERS, 7, REQUEST);
        let read = read_frame(&mut &bytes[..]).unwrap().unwrap();
        assert_eq!((read.kind, read.flags, read.stream_id, &read.payload[..]), (HEADERS, 5, 7, REQUEST));
        assert!(read_frame(&mut &[][..]).unwrap().is_none());
        assert!(read_frame(&mut &bytes[..12]).is_err(), "a torn frame is an error");
    }
}
