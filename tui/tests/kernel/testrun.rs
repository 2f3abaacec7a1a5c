//! BPF_PROG_TEST_RUN over random and mutated packets: whatever reaches the cgroup_skb programs, they let it pass (1) and
//! leave it as it is. A program that returned anything else would drop the host's traffic.

mod harness;
mod packets;
mod random;

use harness::{Harness, PROGRAMS};
use packets::Packets;
use random::Random;

/// For each of the four programs.
const PACKETS: usize = 120_000;

#[test]
fn every_packet_passes_unchanged() {
    let _turn = crate::support::take_turns();
    let seed = crate::support::now_ns() | 1;
    println!("seed {seed}");
    for program in PROGRAMS {
        let mut harness = Harness::load(program);
        let mut packets = Packets::new(Random::new(seed));
        for n in 0..PACKETS {
            let packet = packets.next_packet();
            let (verdict, after) = harness.run(packet);
            assert_eq!(verdict, 1, "{program}, packet {n} of seed {seed}: {packet:02x?}");
            assert_eq!(after, packet, "{program} changed packet {n} of seed {seed}");
        }
        let walked = harness.walked();
        println!("{program}: {PACKETS} packets, all let pass unchanged; {walked:?}");
        // Otherwise the programs saw unwatched sockets only, and the test shows nothing.
        assert!(walked.segments > PACKETS as u64 / 4, "{program} read few segments: {walked:?}");
        assert!(walked.frames > 10_000, "{program} walked few frames: {walked:?}");
        assert!(
            walked.desyncs > 100 && walked.holes > 100,
            "{program} met little that was wrong: {walked:?}"
        );
    }
}
