//! HTTP/2 frames by hand (RFC 9113, section 4.1), for peers that do on purpose what no library does.

use std::io::{self, Read, Write};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
/// END_STREAM of DATA and HEADERS, ACK of SETTINGS and PING.
pub(crate) const END_OR_ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `GET http://t/` and `:status: 200` in HPACK's static table (RFC 7541, appendix A).
pub(crate) const REQUEST: &[u8] = &[0x82, 0x86, 0x84, 0x01, 0x01, b't'];
pub(crate) const RESPONSE: &[u8] = &[0x88];

/// A frame that was read.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn read(from: &mut impl Read) -> io::Result<Frame> {
    let mut header = [0; 9];
    from.read_exact(&mut header)?;
    let [a, b, c, kind, flags, s @ ..] = header;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    from.read_exact(&mut payload)?;
    Ok(Frame { kind, flags, stream: u32::from_be_bytes(s) & 0x7fff_ffff, payload })
}

pub(crate) fn write(to: &mut impl Write, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    to.write_all(&frame)
}

/// Answers what every peer must answer: SETTINGS and PING.
pub(crate) fn acknowledge(to: &mut impl Write, frame: &Frame) -> io::Result<()> {
    match frame.kind {
        SETTINGS if frame.flags & END_OR_ACK == 0 => write(to, SETTINGS, END_OR_ACK, 0, &[]),
        PING if frame.flags & END_OR_ACK == 0 => write(to, PING, END_OR_ACK, 0, &frame.payload),
        _ => Ok(()),
    }
}
