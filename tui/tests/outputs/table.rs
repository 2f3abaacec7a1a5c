//! Lines for people.

use crate::fixture::{self, MS, SECOND};
use h2watch::model::sample::{Library, Losses, View};
use h2watch::model::snapshot::Change;
use h2watch::table;
use h2watch::verdict::Cause;
use std::time::Duration;

#[test]
fn every_event_is_one_line() {
    let stalled = || Box::new(fixture::stalled(7, Cause::BlackHole, 12_440 * MS, 37));
    let records = || Box::new(fixture::records(8, 977, "java", "203.0.113.80:443"));
    let mut seeded = fixture::streams(9, 31, "curl\n\u{1b}[2J", "203.0.113.80:443", Library::OpenSsl);
    seeded.reading.seeded = true;
    let mut snapshot = fixture::snapshot(vec![*stalled(), *records()]);
    snapshot.degradations = vec!["this kernel (5.10) has no bpf_loop: at most 64 frames of a segment".into()];
    let process = fixture::process(31, "curl", Some(Library::OpenSsl), View::Streams, "libssl.so.3");
    let changes = [
        Change::Opened(records()),
        Change::Opened(Box::new(seeded)),
        Change::Process(process),
        Change::Stalled(stalled()),
        Change::Sharpened(stalled()),
        Change::Recovered { connection: stalled(), stalled_ns: 9_440 * MS },
        Change::Recovered { connection: records(), stalled_ns: 61 * SECOND },
        Change::Closed(Box::new(fixture::closed(*stalled(), SECOND))),
        Change::Closed(Box::new(fixture::closed(*records(), SECOND))),
        Change::Lost(Losses { ring_full: 3_004, connections_full: 1, ..Losses::default() }),
    ];
    let mut text = table::ready(&snapshot, "pid 4213 (orders-api)");
    text += &format!("\n{}", table::limit(&snapshot, &snapshot.degradations[0]));
    for change in &changes {
        let line = table::change(&snapshot, change);
        assert!(!line.contains(char::is_control), "{line:?}");
        text += &format!("\n{line}");
    }
    let reset = table::reset(&snapshot, &stalled(), "done", "new connection after 3 ms");
    text += &format!("\n{reset}\n{}", table::summary(&snapshot, Duration::from_millis(10_004)));
    insta::assert_snapshot!(text);
}
