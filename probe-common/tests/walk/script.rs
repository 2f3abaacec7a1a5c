//! A stream of frames to walk, the segments it travels in, and what an independent reading of it says.

use proptest::test_runner::{Config as ProptestConfig, RngSeed};

use probe_common::direction::{Segment, TCP_ACK, TCP_SYN};
use probe_common::lane::Source;
use probe_common::slot::{ORIGIN_CONNECT, Slot};
use probe_common::walk;

/// More steps than any test needs.
pub(crate) const BUDGET: u32 = 1 << 20;

/// Random cases of a property: `PROPTEST_CASES`, others each time, or as many as fit into an ordinary run, and there always
/// the same: a change is judged by what it changes.
pub(crate) fn cases(ordinary: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    asked.map_or_else(
        || ProptestConfig { rng_seed: RngSeed::Fixed(9113), ..ProptestConfig::with_cases(ordinary) },
        ProptestConfig::with_cases,
    )
}

/// Bytes at hand.
pub(crate) struct Bytes(pub Vec<u8>);

impl Source for Bytes {
    fn len(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap()
    }

    fn load(&self, at: u32, unit: &mut [u8; 48], offset: u32, n: u32) -> bool {
        let (at, offset, n) = (at as usize, offset as usize, n as usize);
        assert!((1..=17).contains(&n) && offset <= 16, "the verifier's bounds: {offset} {n}");
        let Some(bytes) = self.0.get(at..at + n) else { return false };
        unit[offset..offset + n].copy_from_slice(bytes);
        true
    }
}

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame counts by type, read off the finished byte stream the plain way.
pub(crate) fn count(mut bytes: &[u8]) -> [u64; 11] {
    let mut counts = [0; 11];
    while bytes.len() >= 9 {
        let length = usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]);
        counts[usize::from(bytes[3]).min(10)] += 1;
        bytes = &bytes[(9 + length).min(bytes.len())..];
    }
    counts
}

/// A connection under the walker.
pub(crate) struct Wire {
    pub(crate) slot: Box<Slot>,
    pub(crate) now_ns: u64,
}

impl Wire {
    /// After the handshake; the first payload byte of both directions has sequence number `seq`.
    pub(crate) fn new(seq: u32) -> Self {
        let mut wire = Self { slot: Box::default(), now_ns: 1_000 };
        wire.slot.connection.cookie = 1;
        wire.slot.prepare(ORIGIN_CONNECT);
        for direction in [walk::SENT, walk::RECEIVED] {
            wire.deliver(direction, seq, &[], TCP_SYN);
        }
        wire
    }

    /// One segment arrives.
    pub(crate) fn deliver(&mut self, direction: u32, seq: u32, payload: &[u8], flags: u8) {
        self.now_ns += 1_000;
        let header = Segment {
            seq,
            ack: 0,
            payload: u32::try_from(payload.len()).unwrap(),
            window: 1000,
            flags: flags | TCP_ACK,
        };
        walk::segment(
            &mut self.slot,
            direction,
            &header,
            |place| Bytes(payload[place.skip as usize..(place.skip + place.len) as usize].to_vec()),
            self.now_ns,
            BUDGET,
        );
    }

    /// A segment without payload.
    pub(crate) fn acknowledge(&mut self, direction: u32, header: Segment) {
        walk::segment(&mut self.slot, direction, &header, |_| Bytes(Vec::new()), self.now_ns, BUDGET);
    }

    /// A whole byte stream in order, cut after each of `cuts` bytes in turn.
    pub(crate) fn deliver_cut(&mut self, direction: u32, seq: u32, bytes: &[u8], cuts: &[usize]) {
        let (mut at, mut i) = (0, 0);
        while at < bytes.len() {
            let n = cuts.get(i % cuts.len().max(1)).copied().unwrap_or(usize::MAX).clamp(1, bytes.len() - at);
            self.deliver(direction, seq.wrapping_add(u32::try_from(at).unwrap()), &bytes[at..at + n], 0);
            at += n;
            i += 1;
        }
    }
}
