//! The model on staged connections.

use super::sample::{Losses, Sample, Transport};
use super::snapshot::Change;
use super::staged::{MS, Staged, sample};
use super::*;
use crate::verdict::{StallAfter, Thresholds};
use std::time::Duration;

fn fixed() -> Model {
    Model::new(Policy::from(Thresholds::default()))
}

fn names(changes: &[Change]) -> Vec<&'static str> {
    changes
        .iter()
        .map(|change| match change {
            Change::Opened(_) => "opened",
            Change::Stalled(_) => "stalled",
            Change::Sharpened(_) => "sharpened",
            Change::Recovered { .. } => "recovered",
            Change::Closed(_) => "closed",
            Change::Lost(_) => "lost",
            Change::Process(_) => "process",
        })
        .collect()
}

#[test]
fn a_stall_begins_counts_damage_and_ends() {
    let mut model = fixed();
    let mut c = Staged::h2c(7, 1_000);
    assert_eq!(names(&model.observe(&c.sample()).1), ["opened"]);
    c.wait(100).open(2);
    assert!(model.observe(&c.sample()).1.is_empty());
    assert_eq!(model.deadline(), Some(3_100 * MS));
    c.wait(2_999);
    assert!(model.observe(&c.sample()).1.is_empty());
    assert_eq!(model.deadline(), Some(4_100 * MS));
    c.wait(1);
    let (snapshot, changes) = model.observe(&c.sample());
    assert_eq!(names(&changes), ["stalled"]);
    assert_eq!(snapshot.connections[0].stalled_since_ns, Some(4_100 * MS));
    assert_eq!(model.stalled(), 1);
    c.wait(1_000).open(5);
    let (snapshot, changes) = model.observe(&c.sample());
    assert!(changes.is_empty());
    assert_eq!((snapshot.connections[0].damage, snapshot.totals.damage), (5, 5));
    c.wait(500).answer(7);
    c.wait(100).open(1);
    let (snapshot, changes) = model.observe(&c.sample());
    assert_eq!(names(&changes), ["recovered"]);
    let Change::Recovered { stalled_ns, .. } = &changes[0] else { panic!("{changes:?}") };
    assert_eq!(*stalled_ns, 1_600 * MS);
    assert_eq!(
        (snapshot.totals.damage, snapshot.totals.stalls),
        (5, 1),
        "the stream after the answer is no damage"
    );
}

#[test]
fn what_is_opened_after_a_stall_is_no_damage_however_much_it_is() {
    let mut model = fixed();
    let mut c = Staged::h2c(7, 1_000);
    c.open(5);
    model.observe(&c.sample());
    c.wait(3_000);
    assert_eq!(names(&model.observe(&c.sample()).1), ["stalled"]);
    // A client with five requests in flight opens the next one when one is answered: none was opened while it was stalled.
    c.wait(10).answer(5);
    c.wait(240).open(5_120).answer(5_115);
    let (snapshot, changes) = model.observe(&c.sample());
    assert_eq!(names(&changes), ["recovered"]);
    assert_eq!((snapshot.connections[0].damage, snapshot.totals.damage), (0, 0));
}

#[test]
fn the_damage_of_the_last_look_follows_the_pace_of_the_silence() {
    let mut model = fixed();
    let mut c = Staged::h2c(7, 1_000);
    model.observe(&c.sample());
    for _ in 0..40 {
        c.open(10);
        model.observe(&c.sample());
        c.wait(100);
    }
    let before = model.observe(&c.sample()).0.totals.damage;
    assert!(model.stalled() == 1 && before > 0);
    // 10 more while it is still stalled, then it recovers and goes on faster, all before the next look.
    c.open(10).wait(100).answer(410);
    c.open(3_000).answer(3_000);
    let (snapshot, changes) = model.observe(&c.sample());
    assert_eq!(names(&changes), ["recovered"]);
    assert_eq!(snapshot.totals.damage - before, 10);
}

#[test]
fn a_connection_that_closes_unheard_takes_its_last_streams_with_it() {
    let mut model = fixed();
    let mut c = Staged::h2c(7, 1_000);
    c.open(5);
    model.observe(&c.sample());
    c.wait(3_000);
    model.observe(&c.sample());
    c.wait(100).open(50).close();
    assert_eq!(model.observe(&c.sample()).0.totals.damage, 50);
}

#[test]
fn a_connection_may_open_and_close_within_one_sample() {
    let mut model = fixed();
    let mut c = Staged::h2c(7, 1_000);
    c.open(10).answer(10).close();
    let (snapshot, changes) = model.observe(&c.sample());
    assert_eq!(names(&changes), ["opened", "closed"]);
    assert!(snapshot.connections.is_empty());
    assert_eq!((snapshot.totals.connections_opened, snapshot.totals.connections_closed), (1, 1));
    assert_eq!(snapshot.totals.streams_opened, 10);
    // Its last reading comes again: nothing is counted twice.
    let (snapshot, changes) = model.observe(&c.sample());
    assert!(changes.is_empty());
    assert_eq!((snapshot.totals.streams_opened, snapshot.totals.connections_opened), (10, 1));
}

#[test]
fn a_connection_that_vanishes_is_closed_with_its_last_counters() {
    let mut model = fixed();
    let mut c = Staged::h2c(7, 1_000);
    c.open(3).answer(3);
    model.observe(&c.sample());
    let (snapshot, changes) = model.observe(&sample(2_000, &[]));
    assert_eq!(names(&changes), ["closed"]);
    let Change::Closed(closed) = &changes[0] else { panic!() };
    assert_eq!((closed.reading.closed_ns, closed.reading.streams.opened), (Some(2_000 * MS), 3));
    assert_eq!(snapshot.totals.streams_opened, 3);
    // It was only missing: it is listed again, and only what is new is added.
    c.wait(2_000).open(2);
    let (snapshot, _) = model.observe(&c.sample());
    assert_eq!(snapshot.connections.len(), 1);
    assert_eq!((snapshot.totals.streams_opened, snapshot.totals.connections_opened), (5, 1));
}

#[test]
fn only_http2_is_listed() {
    let mut model = fixed();
    let mut unknown = Staged::h2c(1, 0);
    unknown.reading.transport = Transport::Unknown;
    let mut plain_tls = Staged::records(2, 0);
    plain_tls.reading.tls = None;
    let h2 = Staged::records(3, 0);
    let (snapshot, _) = model.observe(&sample(1, &[&unknown, &plain_tls, &h2]));
    assert_eq!(snapshot.connections.iter().map(|c| c.reading.id).collect::<Vec<_>>(), [3]);
    // Once it is recognised, it counts from its beginning.
    unknown.reading.transport = Transport::H2c;
    unknown.open(4);
    let (snapshot, _) = model.observe(&sample(2, &[&unknown, &plain_tls, &h2]));
    assert_eq!(snapshot.totals.streams_opened, 4);
}

#[test]
fn rates_are_per_second_of_the_last_interval() {
    let mut model = fixed();
    let mut c = Staged::h2c(7, 1_000);
    assert_eq!(model.observe(&c.sample()).0.connections[0].streams_per_s, 0.0);
    c.wait(500).open(10).answer(10);
    assert_eq!(model.observe(&c.sample()).0.connections[0].streams_per_s, 20.0);
    // The same clock again keeps the rate: there is no interval to measure by.
    assert_eq!(model.observe(&c.sample()).0.connections[0].streams_per_s, 20.0);
    c.wait(500);
    assert_eq!(model.observe(&c.sample()).0.connections[0].streams_per_s, 0.0);
}

#[test]
fn the_worst_comes_first_then_the_oldest() {
    let mut model = fixed();
    let (old, mut stalled, young) = (Staged::h2c(1, 100), Staged::h2c(2, 200), Staged::h2c(3, 300));
    stalled.open(2);
    let (snapshot, _) = model.observe(&sample(10_000, &[&young, &stalled, &old]));
    assert_eq!(snapshot.connections.iter().map(|c| c.reading.id).collect::<Vec<_>>(), [2, 1, 3]);
}

#[test]
fn losses_and_processes_are_told_when_they_change() {
    let mut model = fixed();
    let mut s = Sample { now_ns: 1, ..Sample::default() };
    assert!(model.observe(&s).1.is_empty());
    s.losses = Losses { ring_full: 1, ..Losses::default() };
    s.processes = vec![Process { pid: 9, ..Process::default() }];
    assert_eq!(names(&model.observe(&s).1), ["process", "lost"]);
    assert!(model.observe(&s).1.is_empty());
    s.processes[0].reason = "libssl 3.0".to_owned();
    assert_eq!(names(&model.observe(&s).1), ["process"]);
}

#[test]
fn nothing_waits_nothing_is_due() {
    let mut model =
        Model::new(Policy { stall_after: StallAfter::Fixed(Duration::from_secs(5)), ..Policy::default() });
    model.observe(&Staged::h2c(7, 1_000).sample());
    assert_eq!(model.deadline(), None);
    // TCP evidence may be sooner than the clock.
    assert_eq!(model.shortest_stall_after_ns(), 2_000 * MS);
}

/// `cargo test -p h2watch --lib model::tests::cost -- --ignored --nocapture`
#[test]
#[ignore = "measures, and checks nothing"]
fn cost_of_a_sample() {
    for n in [1_000, 10_000, 100_000] {
        let mut model = Model::new(Policy::default());
        let mut staged: Vec<Staged> = (0..n).map(|id| Staged::h2c(id, id)).collect();
        let mut took = Duration::ZERO;
        for round in 1..=5 {
            for c in &mut staged {
                c.wait(250).open(2);
            }
            let all: Vec<&Staged> = staged.iter().collect();
            let sample = sample(n + round * 250, &all);
            let started = std::time::Instant::now();
            let (snapshot, _) = model.observe(&sample);
            assert_eq!(snapshot.connections.len() as u64, n);
            assert!(model.deadline().is_some());
            took += started.elapsed();
        }
        println!("{n} connections: {:?} a sample", took / 5);
    }
}

#[test]
fn the_sum_over_closed_and_open_connections_is_the_total() {
    let mut model = fixed();
    let mut staged: Vec<Staged> = (0..2_000).map(|id| Staged::h2c(id, id)).collect();
    let mut closed = 0;
    for round in 0..10_u64 {
        for c in &mut staged {
            c.now_ms = 5_000 + round * 100;
            let id = c.reading.id;
            c.open(id % 7).answer(id % 7);
            if id % 10 == round {
                c.close();
            }
        }
        let all: Vec<&Staged> = staged.iter().collect();
        let (snapshot, changes) = model.observe(&sample(5_000 + round * 100, &all));
        for change in changes {
            if let Change::Closed(c) = change {
                closed += c.reading.streams.opened;
            }
        }
        let open: u64 = snapshot.connections.iter().map(|c| c.reading.streams.opened).sum();
        assert_eq!(open + closed, snapshot.totals.streams_opened);
        staged.retain(|c| c.reading.closed_ns.is_none());
    }
    assert!(staged.is_empty());
}

/// A connection of which only records are seen opens no streams that could be counted: its records stir the run loop instead.
#[test]
fn records_that_are_sent_are_counted_where_nothing_more_is_seen() {
    let mut model = fixed();
    let (mut records, mut frames) = (Staged::records(1, 0), Staged::h2c(2, 0));
    let before = model.observe(&sample(0, &[&records, &frames])).0.totals;
    records.open(3);
    frames.open(2);
    let after = model.observe(&sample(250, &[&records, &frames])).0.totals;
    assert_eq!((after.records_asked - before.records_asked, after.streams_opened), (3, 2));
}

#[test]
fn a_connection_whose_settings_were_not_seen_was_joined_late_for_good() {
    let mut model = fixed();
    let mut late = |c: &Staged| model.observe(&c.sample()).0.connections[0].joined_late;
    let mut c = Staged::h2c(1, 0);
    let settings = c.reading.sent.settings.take();
    assert!(!late(&c), "nothing was counted");
    c.wait(100).open(1);
    assert!(late(&c));
    c.wait(100).reading.sent.settings = settings;
    assert!(late(&c), "these are later ones");
    let mut whole = Staged::h2c(2, 1_000);
    whole.open(1);
    assert!(!late(&whole));
    let mut seeded = Staged::h2c(3, 1_000);
    seeded.reading.seeded = true;
    assert!(late(&seeded));
    let mut records = Staged::records(4, 1_000);
    (records.reading.unanswered_records, records.reading.sent.settings) = (9, None);
    assert!(!late(&records), "no stream is counted");
}
