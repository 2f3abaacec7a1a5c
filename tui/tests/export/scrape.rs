//! What a scrape says.

use crate::client::{get, value};
use crate::synthetic::{SECOND, Served, connection, exporter, named, open_metrics, snapshot, stalled, text};
use h2watch::export::{HttpLimits, ResetResult};
use h2watch::model::sample::{Losses, View};
use h2watch::model::snapshot::{Change, Snapshot};
use h2watch::verdict::{Cause, State};
use std::time::Duration;

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
fn a_number_of_streams_in_flight_that_may_be_off_says_so() {
    let exporter = exporter();
    let mut doubtful = connection(8, "api", 1);
    doubtful.reading.streams.approximate = true;
    let group = "{comm=\"api\",container=\"\",destination=\"192.0.2.1\"}";
    let marked = |exporter: &_| value(&text(exporter), &format!("h2watch_connections_approximate{group}"));
    exporter.observe(snapshot(SECOND, vec![connection(7, "api", 1), doubtful.clone()]), &[]);
    assert_eq!(marked(&exporter), Some(1.0));
    doubtful.reading.streams.approximate = false;
    exporter.observe(snapshot(2 * SECOND, vec![connection(7, "api", 1), doubtful]), &[]);
    assert_eq!(marked(&exporter), Some(0.0), "it heals");
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
    exporter.note_reset_latency(Duration::from_micros(412));
    let scrape = text(&exporter);
    assert_eq!(value(&scrape, "h2watch_events_lost_total{reason=\"ring_full\"}"), Some(3.0));
    assert_eq!(value(&scrape, "h2watch_association_failures_total"), Some(4.0));
    assert_eq!(value(&scrape, "h2watch_desyncs_total"), Some(2.0));
    assert_eq!(value(&scrape, "h2watch_degradations"), Some(1.0));
    assert_eq!(value(&scrape, "h2watch_resets_total{cause=\"silent_peer\",result=\"refused\"}"), Some(1.0));
    let latency = |le: &str| value(&scrape, &format!("h2watch_reset_latency_seconds_bucket{{le=\"{le}\"}}"));
    assert_eq!([latency("0.00025"), latency("0.0005"), latency("+Inf")], [Some(0.0), Some(1.0), Some(1.0)]);
    assert_eq!(
        value(&scrape, "h2watch_processes{view=\"frames\",library=\"none\",reason=\"~other\"}"),
        Some(80.0)
    );
}

#[tokio::test]
async fn the_paths_answer_and_strangers_make_no_series() {
    let served = Served::start(HttpLimits::default()).await;
    let unread = get(served.address, "/healthz").await;
    assert_eq!((unread.status, unread.body.as_str()), (503, "the probe has not been read yet\n"));
    served.exporter.observe(snapshot(SECOND, (0..3).map(|id| connection(id, "api", 0)).collect()), &[]);
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
