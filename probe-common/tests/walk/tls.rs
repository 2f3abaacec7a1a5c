//! TLS connections are told by their first record, and their records are counted.

use crate::script::Wire;
use probe_common::slot::{TRANSPORT_FOREIGN, TRANSPORT_TLS};
use probe_common::walk::{RECEIVED, SENT};

fn record(kind: u8, length: u16) -> Vec<u8> {
    let [high, low] = length.to_be_bytes();
    let mut bytes = vec![kind, 3, 3, high, low];
    bytes.extend(std::iter::repeat_n(0x5a, usize::from(length)));
    bytes
}

#[test]
fn records_are_counted_in_both_directions_however_they_are_cut() {
    let client = [record(22, 300), record(20, 1), record(23, 53), record(23, 9000)].concat();
    let server = [record(22, 100), record(23, 60), record(23, 26)].concat();
    for cuts in [&[7][..], &[1], &[1448], &[4, 900]] {
        let mut wire = Wire::new(9);
        wire.deliver_cut(SENT, 9, &client, cuts);
        let before = wire.slot.connection.sent.records[3] - wire.slot.connection.records_at_last_heard;
        wire.deliver_cut(RECEIVED, 9, &server, cuts);
        let c = &wire.slot.connection;
        assert_eq!(c.transport, TRANSPORT_TLS);
        assert_eq!((c.sent.records, c.sent.record_bytes), ([1, 0, 1, 2, 0], 9053));
        assert_eq!((c.received.records, c.received.record_bytes), ([0, 0, 1, 2, 0], 86));
        assert_eq!((before, c.sent.records[3] - c.records_at_last_heard), (2, 0));
        assert_eq!(c.sent.frames, [0; 11]);
    }
}

#[test]
fn other_protocols_are_foreign_at_their_third_byte() {
    for first in [&b"GET / HTTP/1.1\r\n"[..], b"SSH-2.0-x", &[0, 0, 0, 8, 4, 210], b"EHLO there\r\n"] {
        let mut wire = Wire::new(0);
        wire.deliver(SENT, 0, &first[..2], 0);
        assert_ne!(wire.slot.connection.transport, TRANSPORT_FOREIGN);
        wire.deliver(SENT, 2, &first[2..], 0);
        assert_eq!(wire.slot.connection.transport, TRANSPORT_FOREIGN);
    }
}
