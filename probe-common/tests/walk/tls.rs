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

#[test]
fn alerts_are_counted_apart_and_open_no_connection_to_http2() {
    let (client, server) = ([record(22, 300), record(21, 2)].concat(), record(21, 2));
    for size in [1, 4, 7, 500] {
        let mut wire = Wire::new(0);
        wire.deliver_cut(SENT, 0, &client, &vec![size; client.len()]);
        // A server that refuses at once: its first record is the alert.
        wire.deliver_cut(RECEIVED, 0, &server, &vec![size; server.len()]);
        let c = &wire.slot.connection;
        assert_eq!(c.transport, TRANSPORT_TLS);
        assert_eq!((c.sent.records, c.received.records), ([0, 1, 1, 0, 0], [0, 1, 0, 0, 0]), "cut by {size}");
        assert!(c.sent.last_alert_ns != 0 && c.received.last_alert_ns != 0);
        assert_eq!((c.sent.record_bytes, c.last_heard_ns), (0, 0), "nothing of the application");
    }
}

/// Records behind a hole are counted when the alignment is found or the hole is filled, and none twice.
#[test]
fn records_in_any_order_are_counted_once() {
    let server = [record(22, 90), (0..60).flat_map(|i| record(23, 100 + i)).collect()].concat();
    let segments: Vec<(usize, usize)> =
        (0..server.len()).step_by(290).map(|at| (at, 290.min(server.len() - at))).collect();
    let deliver = |wire: &mut Wire, (at, len): (usize, usize)| {
        wire.deliver(RECEIVED, u32::try_from(at).unwrap(), &server[at..at + len], 0);
    };
    for late in 1..segments.len() - 3 {
        let mut wire = Wire::new(0);
        wire.deliver_cut(SENT, 0, &record(22, 300), &[]);
        for (i, &segment) in segments.iter().enumerate() {
            // One comes late, and the ones around it overlap.
            if i != late {
                let overlap = if i > late { 40 } else { 0 };
                deliver(&mut wire, (segment.0 - overlap, segment.1 + overlap));
            }
            if i == late + 2 {
                deliver(&mut wire, segments[late]);
                deliver(&mut wire, segments[late]);
            }
        }
        let (c, lanes) = (&wire.slot.connection, &wire.slot.received_lanes);
        assert_eq!((lanes.islands, lanes.lanes[0].next as usize), (0, server.len()), "{late} is late");
        let counted = c.received.records[3];
        if lanes.missed == 0 && lanes.holes_abandoned == 0 {
            assert_eq!((counted, c.received.record_bytes), (60, (100..160).sum()), "{late} is late");
        } else {
            assert!((55..60).contains(&counted) && c.received.gap_pending == 1, "{late} is late: {counted}");
        }
    }
}
