//! Very many connections, processes and destinations: how many series they get, which of them have a name, and how long a scrape takes.

use crate::client::{get, get_with, raw, value};
use crate::synthetic::{SECOND, Served, connection, exporter, named, snapshot, stalled, text};
use h2watch::export::{Exporter, Health, HttpLimits, LabelLimits, MAX_PROGRAMS, ProgramRun, series_at_most};
use h2watch::model::sample::{Library, Process, Transport, View};
use h2watch::model::snapshot::{Change, Connection, Snapshot};
use h2watch::verdict::Cause;
use std::time::{Duration, Instant};

fn crowd(connections: u64, destinations: u32) -> Vec<Connection> {
    (0..connections).map(|id| connection(id, "api", u32::try_from(id).unwrap() % destinations)).collect()
}

#[tokio::test]
async fn ten_thousand_connections_to_500_destinations_are_scraped_quickly() {
    let served = Served::start(HttpLimits::default()).await;
    let shot = snapshot(SECOND, crowd(10_000, 500));
    let started = Instant::now();
    served.exporter.observe(shot, &[]);
    let observed = started.elapsed();
    let shot = snapshot(2 * SECOND, crowd(10_000, 500));
    let started = Instant::now();
    served.exporter.observe(shot, &[]);
    let again = started.elapsed();
    let started = Instant::now();
    let answer = get_with(served.address, "/metrics", "Accept: application/openmetrics-text\r\n").await;
    let scraped = started.elapsed();
    println!("observe {observed:?}, again {again:?}, scrape {scraped:?}, {} bytes", answer.body.len());
    // The goal is 100 ms in a release build; debug builds and busy machines get five times that.
    assert!(scraped < Duration::from_millis(if cfg!(debug_assertions) { 500 } else { 100 }), "{scraped:?}");
    assert!(answer.body.ends_with("# EOF\n"));
    let groups = answer.body.lines().filter(|line| line.starts_with("h2watch_streams_opened_total{"));
    assert_eq!(groups.count(), 51, "50 destinations and ~other");
    let other = "h2watch_connections{comm=\"api\",container=\"\",destination=\"~other\",transport=\"h2c\",view=\"frames\"}";
    assert_eq!(value(&answer.body, other), Some(9000.0));
    assert_eq!(value(&answer.body, "h2watch_label_overflow_total{label=\"destination\"}"), Some(9000.0));
}

#[test]
fn the_number_of_series_has_a_bound() {
    let limits = LabelLimits::for_destinations(50);
    let exporter = Exporter::new(limits);
    for round in 0..20_u64 {
        // Every round other processes, other destinations, other ids.
        let connections = (0..2000_u64).map(|n| {
            let id = round * 2000 + n;
            named(connection(id, &format!("p{}", id % 700), 1), &format!("h{id}.example"))
        });
        exporter.observe(snapshot((round + 1) * 100 * SECOND, connections.collect()), &[]);
        let scrape = text(&exporter);
        let groups = scrape.lines().filter(|l| l.starts_with("h2watch_streams_opened_total{")).count();
        assert!(groups <= limits.pairs + 1, "{groups} groups");
        let series = scrape.lines().filter(|l| !l.starts_with('#')).count();
        assert!(series <= series_at_most(limits), "{series} series");
    }
}

#[test]
fn a_stalled_destination_is_never_hidden_in_other() {
    let exporter = exporter();
    let mut connections = crowd(10_000, 500);
    exporter.observe(snapshot(SECOND, connections.clone()), &[]);
    assert!(!text(&exporter).contains("destination=\"192.0.3.143\""), "399 has no place yet");
    connections[399] = stalled(connection(399, "api", 399), Cause::SilentPeer, SECOND, 5);
    connections.swap(0, 399);
    exporter.observe(snapshot(5 * SECOND, connections), &[]);
    let series = "h2watch_stalled_connections{comm=\"api\",container=\"\",destination=\"192.0.3.143\",cause=\"silent_peer\"}";
    assert_eq!(value(&text(&exporter), series), Some(1.0));
}

/// Fewer processes and destinations than are allowed, and more pairs of them.
#[test]
fn a_stalled_pair_is_never_hidden_in_other() {
    let exporter = exporter();
    let pairs = (0..60_u32).flat_map(|process| (0..40).map(move |destination| (process, destination)));
    let connections: Vec<Connection> = pairs
        .map(|(n, destination)| connection((n * 40 + destination).into(), &format!("p{n}"), destination))
        .collect();
    exporter.observe(snapshot(SECOND, connections.clone()), &[]);
    let limit = LabelLimits::default().pairs;
    let unnamed = f64::from(u32::try_from(connections.len() - limit).unwrap());
    let overflow = "h2watch_label_overflow_total{label=\"pair\"}";
    assert_eq!(value(&text(&exporter), overflow), Some(unnamed));
    let stall_each = |nth: usize| {
        let mut connections = connections.clone();
        for connection in connections.iter_mut().step_by(nth) {
            *connection = stalled(connection.clone(), Cause::SilentPeer, SECOND, 5);
        }
        connections
    };
    let named = |scrape: &str| {
        let of_stalls =
            |line: &&str| line.starts_with("h2watch_stalled_connections{") && line.ends_with(" 1");
        scrape.lines().filter(of_stalls).filter(|line| !line.contains("~other")).count()
    };
    // Fewer than there are places: each of them has its name, and the limit holds.
    exporter.observe(snapshot(5 * SECOND, stall_each(5)), &[]);
    let scrape = text(&exporter);
    assert_eq!(named(&scrape), connections.len() / 5, "{scrape}");
    let groups = scrape.lines().filter(|line| line.starts_with("h2watch_streams_opened_total{")).count();
    assert_eq!(groups, limit + 1);
    // More stalls than places: the rest is told together.
    exporter.observe(snapshot(6 * SECOND, stall_each(1)), &[]);
    let scrape = text(&exporter);
    assert_eq!(named(&scrape), limit);
    let rest = "h2watch_stalled_connections{comm=\"~other\",container=\"\",destination=\"~other\",cause=\"silent_peer\"}";
    assert_eq!(value(&scrape, rest), Some(unnamed));
}

#[test]
fn each_connection_that_ends_up_in_other_is_counted_once() {
    let exporter = Exporter::new(LabelLimits { destinations: 1, ..LabelLimits::default() });
    let overflow = "h2watch_label_overflow_total{label=\"destination\"}";
    let (first, second) = (connection(1, "api", 1), connection(2, "api", 1));
    exporter.observe(snapshot(SECOND, vec![first.clone(), second.clone()]), &[]);
    assert_eq!(value(&text(&exporter), overflow), Some(0.0));
    // A stalled newcomer takes the only place, from both.
    let stall = stalled(connection(3, "api", 2), Cause::SilentPeer, SECOND, 5);
    let all = vec![first, second.clone(), stall];
    for at in 2..5 {
        exporter.observe(snapshot(at * SECOND, all.clone()), &[]);
    }
    assert_eq!(value(&text(&exporter), overflow), Some(2.0));
    // A second stall finds no place and asks again each time; one that opens and closes between two looks counts as well.
    let more = stalled(connection(4, "api", 3), Cause::SilentPeer, SECOND, 5);
    let all = [all, vec![more]].concat();
    exporter.observe(snapshot(6 * SECOND, all.clone()), &[Change::Closed(Box::new(connection(5, "api", 4)))]);
    exporter.observe(snapshot(7 * SECOND, all), &[]);
    assert_eq!(value(&text(&exporter), overflow), Some(4.0));
}

/// Every pair with every cause, in every way that a connection can be seen.
fn every_kind(id: &mut u64, comm: &str, destination: u32) -> Vec<Connection> {
    let ways = Transport::ALL.into_iter().flat_map(|transport| View::ALL.map(|view| (transport, view)));
    let kinds = ways.zip(Cause::ALL.into_iter().cycle());
    kinds
        .map(|((transport, view), cause)| {
            *id += 1;
            let mut connection = stalled(connection(*id, comm, destination), cause, SECOND, 1);
            (connection.reading.transport, connection.reading.view) = (transport, view);
            connection.reading.owner.unit = Some(format!("{comm}.service"));
            connection
        })
        .collect()
}

#[tokio::test]
async fn the_bound_is_what_an_exporter_has_with_everything_at_its_limit() {
    let limits = LabelLimits::default();
    let served = Served::with(Exporter::new(limits), HttpLimits::default()).await;
    // All of the router's answers.
    get(served.address, "/healthz").await;
    let (mut id, mut connections) = (0, Vec::new());
    for pair in 0..u32::try_from(limits.pairs).unwrap() + 100 {
        let comm = format!("p{}", pair as usize % limits.workloads);
        connections.extend(every_kind(&mut id, &comm, pair / u32::try_from(limits.workloads).unwrap()));
    }
    let mut shot = Snapshot::clone(&snapshot(20 * SECOND, connections));
    let libraries = [None].into_iter().chain(Library::ALL.map(Some));
    let seen_as = libraries.flat_map(|library| View::ALL.map(|view| (library, view)));
    shot.processes = (0..100)
        .flat_map(|n| seen_as.clone().map(move |(library, view)| (n, library, view)))
        .map(|(n, library, view)| Process { library, view, reason: format!("{n}"), ..Process::default() })
        .collect();
    served.exporter.observe(shot.into(), &[]);
    let name = |n| format!("program{n}");
    let program = |n| ProgramRun { name: name(n), ..ProgramRun::default() };
    served.exporter.set_health(Health {
        probes: (0..MAX_PROGRAMS).map(|n| (name(n), true)).collect(),
        programs: (0..MAX_PROGRAMS).map(program).collect(),
        slots: 10,
        slots_used: 1,
    });
    for path in ["/healthz", "/connections", "/", "/stranger", "/metrics"] {
        get(served.address, path).await;
    }
    raw(served.address, b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let scrape = text(&served.exporter);
    let series = scrape.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(series, series_at_most(limits));
}
