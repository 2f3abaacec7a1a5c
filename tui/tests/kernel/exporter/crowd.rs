//! Very many real connections under a real exporter, scraped, and then besieged.

use super::hostile;
use crate::support::cgroup::Cgroup;
use crate::support::exporter::Exporter;
use crate::support::netns::Cable;
use crate::support::programs::{Program, role};
use crate::support::take_turns;
use std::time::{Duration, Instant};

const CONNECTIONS: u32 = 10_000;
const DESTINATIONS: u32 = 500;
/// `--max-destinations`.
const NAMED: u32 = 50;
const SCRAPED_WITHIN: Duration = Duration::from_millis(100);
const SCRAPES: usize = 20;

#[test]
fn ten_thousand_connections_to_500_destinations_are_scraped_quickly_under_siege_too() {
    let _turn = take_turns();
    // In a namespace of their own: all of 127.0.0.0/8 is one server there, and no port is left in TIME_WAIT here.
    let (place, cgroup) = (Cable::new(), Cgroup::new("crowd"));
    let enter = place.client.enter();
    let mut server = Program::start(&[&enter[..], &role("server", &["0.0.0.0:0".to_owned()])].concat());
    let address: std::net::SocketAddr = server.hear("SERVING ").parse().expect("an address");
    let exporter =
        Exporter::start(&["--cgroup", cgroup.path().to_str().unwrap(), "--max-connections", "12000"]);
    let started = Instant::now();
    let arguments = [u32::from(address.port()), DESTINATIONS, CONNECTIONS].map(|number| number.to_string());
    let words = [&enter[..], &role("crowd", &arguments)].concat();
    let mut client = Program::start_with(&words, |command| cgroup.start_inside(command));
    client.hear("CONNECTED ");
    exporter.wait_for("h2watch_connections", &[], |open| open == f64::from(CONNECTIONS));
    println!("{CONNECTIONS} connections were open and known after {:.1?}", started.elapsed());
    series_are_limited(&exporter);
    scrapes_are_quick(&exporter);
    hostile::besiege(&exporter);
    scrapes_are_quick(&exporter);
    hostile::end_under_load(exporter);
}

fn series_are_limited(exporter: &Exporter) {
    let metrics = exporter.metrics();
    let groups = metrics.values("h2watch_streams_opened_total", &[]);
    assert_eq!(groups.len(), NAMED as usize + 1, "one for each destination that has a name, and ~other");
    assert_eq!(groups.iter().sum::<f64>(), f64::from(CONNECTIONS), "a stream on each connection");
    let each = CONNECTIONS / DESTINATIONS;
    let other = metrics.sum("h2watch_connections", &["destination=\"~other\""]);
    assert_eq!(other, f64::from((DESTINATIONS - NAMED) * each), "the rest is summed up");
    // So many at once may be more than the ring holds: then they are found by looking, but there is room for each.
    let full = metrics.sum("h2watch_events_lost_total", &["reason=\"connections_full\""]);
    assert_eq!(full, 0.0, "{}", metrics.0);
    let series = metrics.0.lines().filter(|line| !line.starts_with('#')).count();
    println!("{series} series, {} bytes", metrics.0.len());
    assert!(series < 1200, "{series} series");
}

fn scrapes_are_quick(exporter: &Exporter) {
    let mut times: Vec<Duration> = (0..SCRAPES)
        .map(|_| {
            // Not from the copy that is shared for 50 ms.
            std::thread::sleep(Duration::from_millis(60));
            let started = Instant::now();
            let metrics = exporter.metrics();
            assert!(metrics.0.contains("h2watch_build_info"), "{}", metrics.0);
            started.elapsed()
        })
        .collect();
    times.sort();
    let (median, longest) = (times[SCRAPES / 2], times[SCRAPES - 1]);
    println!("{SCRAPES} scrapes: median {median:.1?}, longest {longest:.1?}");
    assert!(median < SCRAPED_WITHIN, "{times:?}");
}
