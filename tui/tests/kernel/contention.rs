//! Segments of one connection on two processors at once: each is walked, in turn, and nothing is lost.

use crate::roles::drain::CLIENT_BYTES;
use crate::support::compare::{approximate, frames_of, number};
use crate::support::netns::Namespace;
use crate::support::programs::role;
use crate::support::take_turns;
use crate::support::two_queues::TwoQueues;
use crate::support::watch::Watch;
use std::time::Duration;

const SEGMENTS: u32 = 60_000;

/// SETTINGS; and a segment: PING with ACK, WINDOW_UPDATE for the connection, DATA on stream 1 with a body of 0xff.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

fn segment() -> Vec<u8> {
    let ping = [&[0, 0, 8, 6, 1, 0, 0, 0, 0][..], &[7; 8]].concat();
    let window_update = [0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 40];
    let data = [&[0, 0, 40, 0, 0, 0, 0, 0, 1][..], &[0xff; 40]].concat();
    [&ping[..], &window_update, &data].concat()
}

#[test]
fn segments_from_two_processors_at_once_are_all_counted() {
    let _turn = take_turns();
    let namespace = Namespace::new(format!("h2w-two-{}", std::process::id()), 1);
    let device = TwoQueues::new(&namespace);
    let bytes = SETTINGS.len() + segment().len() * SEGMENTS as usize;
    let mut words = namespace.enter();
    words.extend(role("drain", &[TwoQueues::ADDRESS.to_string(), bytes.to_string()]));
    let watch = Watch::run(&["--interval", "1s"], &words);
    device.serve(&SETTINGS, &segment(), SEGMENTS);
    let ended = watch.end(Duration::from_secs(60));
    assert!(ended.status.success(), "{}", ended.errors);
    let losses = &ended.summary()["losses"];
    let connections = ended.connections();
    let connection = connections.values().next().expect("one connection");
    println!("{} holes, losses {losses}", connection["holes"]);
    assert_eq!(number(losses, "total"), 0, "{connection}");
    let received = frames_of(connection, "frames_received");
    let n = u64::from(SEGMENTS);
    let expected = [("data", n), ("ping", n), ("settings", 1), ("window_update", n)];
    assert_eq!(received, expected.map(|(kind, n)| (kind.to_owned(), n)).into(), "{connection}");
    assert_eq!(number(connection, "bytes_sent"), CLIENT_BYTES.len() as u64);
    assert_eq!(number(connection, "holes_missed"), 0, "{connection}");
    assert!(!approximate(connection), "{connection}");
}
