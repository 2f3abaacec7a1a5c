//! The frame walker over arbitrary segments: it ends, stays inside its bounds, and as long as the protocol is kept, does not
//! care how the bytes are cut. `cargo xtask accept fuzz` runs it for five minutes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use probe_common::direction::{Segment, TCP_ACK, TCP_SYN};
use probe_common::lane::Source;
use probe_common::slot::{ORIGIN_CONNECT, ORIGIN_SEEDED, Slot};
use probe_common::walk::{self, RECEIVED, SENT};

struct Bytes<'a>(&'a [u8]);

impl Source for Bytes<'_> {
    fn len(&self) -> u32 {
        self.0.len() as u32
    }

    fn load(&self, at: u32, unit: &mut [u8; 48], offset: u32, n: u32) -> bool {
        assert!((1..=17).contains(&n) && offset <= 16);
        let Some(bytes) = self.0.get(at as usize..(at + n) as usize) else { return false };
        unit[offset as usize..(offset + n) as usize].copy_from_slice(bytes);
        true
    }
}

fn deliver(slot: &mut Slot, direction: u32, seq: u32, bytes: &[u8], flags: u8, now_ns: u64) {
    let header = Segment { seq, ack: seq, payload: bytes.len() as u32, window: 1, flags: flags | TCP_ACK };
    let cut = |place: probe_common::order::Place| {
        Bytes(&bytes[place.skip as usize..(place.skip + place.len) as usize])
    };
    walk::segment(slot, direction, &header, cut, now_ns, 1 << 16);
}

/// In order, cut after every `size` bytes.
fn in_order(bytes: &[u8], size: usize) -> Box<Slot> {
    let mut slot = Box::<Slot>::default();
    slot.prepare(ORIGIN_CONNECT);
    deliver(&mut slot, SENT, 0, &[], TCP_SYN, 1);
    for (i, piece) in bytes.chunks(size).enumerate() {
        deliver(&mut slot, SENT, (i * size) as u32, piece, 0, 2);
    }
    slot
}

fuzz_target!(|data: &[u8]| {
    let [size, first, bytes @ ..] = data else { return };
    let whole = in_order(bytes, bytes.len().max(1));
    let cut = in_order(bytes, usize::from(*size).max(1));
    let (a, b) = (&whole.connection, &cut.connection);
    assert_eq!(a.transport, b.transport);
    if a.sent.desyncs == 0 {
        assert_eq!(
            (a.sent.frames, a.streams_opened, a.sent.records),
            (b.sent.frames, b.streams_opened, b.sent.records)
        );
    }
    // Segments at arbitrary places of the sequence: holes, overlaps, repetitions.
    let mut slot = Box::<Slot>::default();
    slot.prepare(if first & 1 == 0 { ORIGIN_CONNECT } else { ORIGIN_SEEDED });
    let mut rest = bytes;
    let mut now_ns = 1;
    while let [control, jump, length, tail @ ..] = rest {
        let n = usize::from(*length).min(tail.len());
        let direction = if control & 1 == 0 { SENT } else { RECEIVED };
        now_ns += 1;
        deliver(&mut slot, direction, u32::from(*jump) * 8, &tail[..n], control & TCP_SYN, now_ns);
        rest = &tail[n..];
    }
    let highest = slot.connection.highest_stream;
    let census = slot.connection.streams.census(highest, u32::MAX);
    assert!(u64::from(census.in_flight) <= slot.connection.streams_opened + 1024);
});
