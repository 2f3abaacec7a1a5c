//! What a scrape says, how many series it has, and how long it takes.

use crate::client::{get, get_with, value};
use crate::synthetic::{SECOND, Served, connection, exporter, named, snapshot, stalled};
use h2watch::export::{Exporter, Format, HttpLimits, LabelLimits, ResetResult};
use h2watch::model::sample::{Losses, View};
use h2watch::model::snapshot::{Change, Connection, Snapshot};
use h2watch::verdict::{Cause, State};
use std::time::{Duration, Instant};

fn text(exporter: &Exporter) -> String {
    String::from_utf8(exporter.render(Format::PrometheusText).to_vec()).unwrap()
}

fn open_metrics(exporter: &Exporter) -> String {
    String::from_utf8(exporter.render(Format::OpenMetrics).to_vec()).unwrap()
}

#[test]
fn a_stall_is_told_with_its_damage_and_stays_at_zero_afterwards() {
    let exporter = exporter();
    let series = "h2watch_stalled_connections{comm=\"api\",container=\"\",destination=\"192.0.2.1\",cause=\"black_hole\"}";
    let group = "{comm=\"api\",container=\"\",destination=\"192.0.2.1\"}";
    exporter.observe(snapshot(20 * SECOND, vec![connection(7, "api", 1)]), &[]);
    assert_eq!(value(&text(&exporter), series), None, "a cause that never was is no series");
    assert_eq!(
        value(&text(&exporter), &format!("h2watch_streams_opened_while_stalled_total{group}")),
        Some(0.0)
    );

    let bad = stalled(connection(7, "api", 1), Cause::BlackHole, 20 * SECOND, 37);
    exporter.observe(snapshot(32 * SECOND, vec![bad.clone()]), &[Change::Stalled(Box::new(bad.clone()))]);
    let scrape = text(&exporter);
    assert_eq!(value(&scrape, series), Some(1.0));
    assert_eq!(value(&scrape, &format!("h2watch_streams_opened_while_stalled_total{group}")), Some(37.0));
    assert_eq!(value(&scrape, &format!("h2watch_streams_opened_total{group}")), Some(47.0));
    assert_eq!(value(&scrape, &format!("h2watch_oldest_unanswered_stream_seconds{group}")), Some(12.0));
    assert_eq!(value(&scrape, "h2watch_stalls_total{cause=\"black_hole\"}"), Some(1.0));
    assert!(
        open_metrics(&exporter).contains(" 37 # {connection_id=\"7\"} 37"),
        "the exemplar names the connection"
    );

    let mut healed = bad;
    healed.verdict.state = State::Healthy;
    healed.verdict.cause = None;
    (healed.stalled_since_ns, healed.reading.first_unanswered_ns) = (None, None);
    let recovered = Change::Recovered { connection: Box::new(healed.clone()), stalled_ns: 14 * SECOND };
    exporter.observe(snapshot(34 * SECOND, vec![healed]), &[recovered]);
    let scrape = text(&exporter);
    assert_eq!(value(&scrape, series), Some(0.0), "the alert resolves instead of going stale");
    assert_eq!(value(&scrape, "h2watch_stall_duration_seconds_sum{cause=\"black_hole\"}"), Some(14.0));
    assert_eq!(
        value(&scrape, "h2watch_stall_duration_seconds_bucket{le=\"10.0\",cause=\"black_hole\"}"),
        Some(0.0)
    );
    assert_eq!(
        value(&scrape, "h2watch_stall_duration_seconds_bucket{le=\"30.0\",cause=\"black_hole\"}"),
        Some(1.0)
    );
}

#[test]
fn counters_outlive_connections_and_short_ones_count_too() {
    let exporter = exporter();
    let opened = "h2watch_streams_opened_total{comm=\"api\",container=\"\",destination=\"192.0.2.1\"}";
    let mut last = connection(7, "api", 1);
    exporter.observe(snapshot(SECOND, vec![last.clone()]), &[]);
    last.reading.streams.opened = 15;
    // 8 was opened and closed between two snapshots.
    let closed = [Change::Closed(Box::new(last)), Change::Closed(Box::new(connection(8, "api", 1)))];
    exporter.observe(snapshot(2 * SECOND, vec![]), &closed);
    assert_eq!(value(&text(&exporter), opened), Some(25.0));
    exporter.observe(snapshot(3 * SECOND, vec![connection(9, "api", 1)]), &[]);
    assert_eq!(value(&text(&exporter), opened), Some(35.0));
    // Nobody uses it for longer than it is kept: the series end, and with them their memory.
    exporter.observe(snapshot(1000 * SECOND, vec![]), &[]);
    assert_eq!(value(&text(&exporter), opened), None);
}

#[test]
fn a_record_view_never_counts_streams() {
    let exporter = exporter();
    let mut records = connection(7, "java", 1);
    records.reading.view = View::Records;
    records.reading.streams.in_flight = 5;
    exporter.observe(snapshot(SECOND, vec![records]), &[]);
    let group = "{comm=\"java\",container=\"\",destination=\"192.0.2.1\"}";
    assert_eq!(value(&text(&exporter), &format!("h2watch_streams_in_flight{group}")), Some(0.0));
    assert!(text(&exporter).contains("transport=\"h2c\",view=\"records\"} 1"));
}

#[test]
fn hostile_names_stay_inside_their_quotes() {
    let exporter = exporter();
    let name = "a\"} 1\nevil_total{x=\"\\";
    let long = named(connection(2, "x", 2), &"ü".repeat(100_000));
    let posing = named(connection(3, "x", 3), "~other");
    exporter.observe(snapshot(SECOND, vec![named(connection(1, name, 1), name), long, posing]), &[]);
    for scrape in [text(&exporter), open_metrics(&exporter)] {
        assert!(!scrape.lines().any(|line| line.starts_with("evil")));
        assert!(scrape.contains(r#"destination="a\"} 1\nevil_total{x=\"\\""#));
        assert!(scrape.lines().all(|line| line.len() < 1000), "values are cut");
        assert!(scrape.contains("destination=\"'~other'\""), "a name cannot pose as the overflow");
    }
}

#[test]
fn losses_resets_processes_and_degradations_are_shown() {
    let exporter = exporter();
    let losses = Losses { ring_full: 3, unassociated: 4, ..Losses::default() };
    let mut shot = Snapshot { losses, degradations: vec!["no bpf_loop".to_owned()], ..Snapshot::default() };
    shot.totals.desyncs = 2;
    shot.processes = (0..100)
        .map(|pid| h2watch::model::sample::Process {
            pid,
            reason: format!("reason {pid}"),
            ..Default::default()
        })
        .collect();
    exporter.observe(shot.into(), &[]);
    exporter.count_reset(Cause::SilentPeer, ResetResult::Refused);
    let scrape = text(&exporter);
    assert_eq!(value(&scrape, "h2watch_events_lost_total{reason=\"ring_full\"}"), Some(3.0));
    assert_eq!(value(&scrape, "h2watch_association_failures_total"), Some(4.0));
    assert_eq!(value(&scrape, "h2watch_desyncs_total"), Some(2.0));
    assert_eq!(value(&scrape, "h2watch_degradations"), Some(1.0));
    assert_eq!(value(&scrape, "h2watch_resets_total{cause=\"silent_peer\",result=\"refused\"}"), Some(1.0));
    assert_eq!(
        value(&scrape, "h2watch_processes{view=\"frames\",library=\"none\",reason=\"~other\"}"),
        Some(80.0)
    );
}

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
        // 12 per group, one cause and one view more each, and what does not depend on groups.
        assert!(series <= (limits.pairs + 1) * 14 + 400, "{series} series");
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

#[tokio::test]
async fn the_paths_answer_and_strangers_make_no_series() {
    let served = Served::start(HttpLimits::default()).await;
    let unread = get(served.address, "/healthz").await;
    assert_eq!((unread.status, unread.body.as_str()), (503, "the probe has not been read yet\n"));
    served.exporter.observe(snapshot(SECOND, crowd(3, 1)), &[]);
    assert_eq!(get(served.address, "/healthz").await.status, 200);
    assert_eq!(get(served.address, "/connections").await.body, "{\"connections\":3}\n");
    assert_eq!(get(served.address, "/metrics?x=1").await.status, 200);
    for n in 0..50 {
        assert_eq!(get(served.address, &format!("/{n}")).await.status, 404);
    }
    let scrape = get(served.address, "/metrics").await;
    assert!(scrape.head.contains("text/plain; version=0.0.4"), "{}", scrape.head);
    std::thread::sleep(Duration::from_millis(60));
    let scrape = get(served.address, "/metrics").await;
    assert_eq!(value(&scrape.body, "h2watch_http_requests_total{path=\"other\",code=\"404\"}"), Some(50.0));
}
