//! What is read of a payload has the value that was sent: RST_STREAM, SETTINGS, PING, GOAWAY and WINDOW_UPDATE.

use crate::script::{PREFACE, Wire, frame};
use probe_common::direction::Direction;
use probe_common::walk::{RECEIVED, SENT};

/// The fixed fields of one direction; 0 where nothing was said.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Fields {
    resets: u64,
    last_reset_code: u32,
    /// Last stream and error code of the newest GOAWAY.
    goaway: (u32, u32),
    pings: u64,
    ping_acks: u64,
    /// Increments for the connection, added up.
    window_granted: u64,
    initial_window_size: u32,
    max_frame_size: u32,
    max_concurrent_streams: u32,
    /// SETTINGS that are no ACK were there.
    settings_seen: u32,
}

/// What the walker wrote down.
pub(crate) fn noted(d: &Direction) -> Fields {
    Fields {
        resets: d.resets,
        last_reset_code: d.last_reset_code,
        goaway: (d.goaway_last_stream, d.goaway_code),
        pings: d.frames[6] - d.ping_acks,
        ping_acks: d.ping_acks,
        window_granted: d.window_granted,
        initial_window_size: d.initial_window_size,
        max_frame_size: d.max_frame_size,
        max_concurrent_streams: d.max_concurrent_streams,
        settings_seen: d.settings_seen,
    }
}

/// The same, read off the finished byte stream the plain way (RFC 9113, section 6).
pub(crate) fn told(mut bytes: &[u8]) -> Fields {
    let mut told = Fields::default();
    let number = |bytes: &[u8]| bytes.iter().fold(0u32, |n, &byte| n << 8 | u32::from(byte));
    while bytes.len() >= 9 {
        let (header, rest) = bytes.split_at(9);
        let (payload, rest) = rest.split_at(number(&header[..3]) as usize);
        bytes = rest;
        let (is_ack, stream) = (header[4] & 1 == 1, number(&header[5..]));
        match header[3] {
            3 => {
                told.resets += 1;
                told.last_reset_code = number(payload);
            }
            4 if !is_ack => {
                told.settings_seen = 1;
                for entry in payload.chunks(6) {
                    let value = number(&entry[2..]);
                    match number(&entry[..2]) {
                        3 => told.max_concurrent_streams = value,
                        4 => told.initial_window_size = value,
                        5 => told.max_frame_size = value,
                        _ => {}
                    }
                }
            }
            6 if is_ack => told.ping_acks += 1,
            6 => told.pings += 1,
            7 => told.goaway = (number(&payload[..4]), number(&payload[4..8])),
            8 if stream == 0 => told.window_granted += u64::from(number(payload)),
            _ => {}
        }
    }
    told
}

/// Written out, so that a misunderstanding that both readings share is seen.
#[test]
fn every_field_has_the_value_that_was_sent() {
    let said = [
        // Each setting has a neighbour that is not kept: HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_HEADER_LIST_SIZE.
        frame(4, 0, 0, &[0, 1, 0, 0, 16, 0, 0, 3, 0, 0, 0, 250, 0, 2, 0, 0, 0, 0]),
        frame(4, 0, 0, &[0, 4, 0, 2, 0, 1, 0, 6, 0, 0, 32, 0, 0, 5, 0, 16, 0, 0]),
        frame(4, 1, 0, &[]),
        frame(1, 4, 1, b"block"),
        frame(8, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
        frame(8, 0, 0, &[0, 0, 0, 5]),
        frame(8, 0, 1, &[0, 1, 0, 0]),
        frame(6, 0, 0, &[0xff; 8]),
        frame(6, 1, 0, &[0xff; 8]),
        frame(6, 1, 0, &[0; 8]),
        frame(3, 0, 1, &[0, 0, 0, 0xb]),
        frame(3, 0, 1, &[0xde, 0xad, 0xbe, 0xef]),
        frame(7, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
        frame(7, 0, 0, &[&[0, 0, 0x12, 0x35, 0, 0, 0, 0xb][..], b"too_many_pings"].concat()),
    ]
    .concat();
    let expected = Fields {
        resets: 2,
        last_reset_code: 0xdead_beef,
        goaway: (0x1235, 0xb),
        pings: 1,
        ping_acks: 2,
        window_granted: 0x8000_0004,
        initial_window_size: 0x0002_0001,
        max_frame_size: 1 << 20,
        max_concurrent_streams: 250,
        settings_seen: 1,
    };
    for size in 1..40 {
        let mut wire = Wire::new(0);
        wire.deliver_cut(SENT, 0, &[PREFACE, &said].concat(), &[size]);
        wire.deliver_cut(RECEIVED, 0, &said, &[size]);
        for direction in [&wire.slot.connection.sent, &wire.slot.connection.received] {
            assert_eq!(noted(direction), expected, "pieces of {size}");
        }
    }
    assert_eq!(told(&said), expected);
}
