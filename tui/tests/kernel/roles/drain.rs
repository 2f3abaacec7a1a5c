//! A client that asks once and then only reads: `drain ADDRESS BYTES`.

use std::io::{Read, Write};
use std::net::TcpStream;

/// Preface, SETTINGS, and HEADERS that open stream 1.
pub(crate) const CLIENT_BYTES: &[u8] =
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x03\x01\x05\0\0\0\x01\x82\x84\x86";

pub(super) fn play(arguments: &[&str]) {
    let mut socket = TcpStream::connect(arguments[0]).expect("the peer answers");
    socket.write_all(CLIENT_BYTES).expect("the peer listens");
    let bytes: u64 = arguments[1].parse().expect("a number of bytes");
    let read = std::io::copy(&mut socket.take(bytes), &mut std::io::sink()).expect("the peer sends");
    assert_eq!(read, bytes);
}
