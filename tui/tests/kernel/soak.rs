//! The exporter under churn: minutes of short connections of processes that come and go leave nothing behind.

use crate::support::cgroup::Cgroup;
use crate::support::exporter::Exporter;
use crate::support::programs::{self, Program, installed, role};
use crate::tls::peer::Peer;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Environment variable for a shorter or longer run.
const SECONDS: &str = "H2WATCH_SOAK_SECONDS";
const DEFAULT_SECONDS: u64 = 8 * 60;
/// Caches and allocators fill up in this time.
const WARM_UP: Duration = Duration::from_secs(60);

/// A process every three seconds with 50 connections each makes 1,000 connections a minute.
const PROCESS_EVERY: Duration = Duration::from_secs(3);
const CONNECTIONS_PER_PROCESS: u32 = 50;
/// And one of curl over TLS, so that uprobes come and go as well.
const CONNECTIONS_PER_ROUND: u32 = CONNECTIONS_PER_PROCESS + 1;

/// What the exporter costs.
#[derive(Clone, Copy, Debug)]
struct Size {
    resident_bytes: u64,
    descriptors: usize,
}

fn size(exporter: &Exporter) -> Size {
    let descriptors =
        fs::read_dir(format!("/proc/{}/fd", exporter.pid())).expect("the exporter runs").count();
    Size { resident_bytes: exporter.resident_bytes(), descriptors }
}

#[test]
#[ignore = "takes eight minutes: cargo xtask accept soak"]
fn churn_leaves_nothing_behind() {
    let seconds = std::env::var(SECONDS).map_or(DEFAULT_SECONDS, |text| text.parse().expect(SECONDS));
    let duration = Duration::from_secs(seconds);
    assert!(duration > WARM_UP + PROCESS_EVERY, "{SECONDS}: more than {WARM_UP:?}");
    let cgroup = Cgroup::new("soak");
    let exporter = Exporter::start(&["--cgroup", cgroup.path().to_str().unwrap()]);
    let (_server, address) = programs::server();
    let tls_server = Peer::start(&[]);
    let arguments = ["100", "1000", "/bytes/100", &address.to_string()].map(str::to_owned);
    let mut steady = Program::start_with(&role("steady", &arguments), |c| cgroup.start_inside(c));
    steady.hear("CONNECTED ");

    let started = Instant::now();
    let (mut rounds, mut warm, mut largest_bytes) = (0_u32, None, 0);
    while started.elapsed() < duration {
        // Scraped while it works, as by a Prometheus.
        churn(&cgroup, address);
        churn_tls(&cgroup, &tls_server.origin());
        rounds += 1;
        exporter.wait_for("h2watch_connections_opened_total", &[], |opened| opened > 0.0);
        let now = size(&exporter);
        if started.elapsed() >= WARM_UP {
            warm.get_or_insert(now);
            largest_bytes = largest_bytes.max(now.resident_bytes);
        }
        std::thread::sleep((PROCESS_EVERY * rounds).saturating_sub(started.elapsed()));
    }
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    judge(&exporter, rounds, minutes, warm.expect("longer than the warm-up"), largest_bytes);
}

/// A process that lives for its connections, and is killed with the last one open.
fn churn(cgroup: &Cgroup, address: SocketAddr) {
    let arguments = [address.to_string(), CONNECTIONS_PER_PROCESS.to_string(), "40".to_owned()];
    let mut client = Program::start_with(&role("churn", &arguments), |c| cgroup.start_inside(c));
    client.hear("CHURNED");
}

fn churn_tls(cgroup: &Cgroup, origin: &str) {
    let words =
        installed("curl", &["-sk", "--http2", "--output", "/dev/null", &format!("{origin}/bytes/[1-3]")]);
    let mut client = Program::start_with(&words, |c| cgroup.start_inside(c));
    assert!(client.child.wait().expect("a child").success(), "curl");
}

fn judge(exporter: &Exporter, rounds: u32, minutes: f64, warm: Size, largest_bytes: u64) {
    let opened = f64::from(rounds * CONNECTIONS_PER_ROUND + 1);
    exporter.wait_for("h2watch_connections_opened_total", &[], |counted| counted == opened);
    exporter.wait_for("h2watch_connection_slots_used", &[], |used| used == 1.0);
    exporter.wait_for("h2watch_processes", &[], |left| left == 1.0);
    // The kernel's own books, by another reader.
    let (connections, tls_objects) =
        (exporter.map_entries("CONNECTIONS"), exporter.map_entries("TLS_OBJECTS"));
    let end = size(exporter);
    let metrics = exporter.metrics();
    let lost = metrics.sum("h2watch_events_lost_total", &[]);
    println!(
        "{minutes:.1} min, {} processes, {opened} connections ({:.0}/min): {warm:?} after {WARM_UP:?}, \
         at most {largest_bytes} bytes after that, {end:?} at the end; {lost} events lost, {connections} entries in \
         CONNECTIONS, {tls_objects} in TLS_OBJECTS",
        2 * rounds,
        opened / minutes
    );
    assert!(opened / minutes > 900.0, "the churn was too slow to mean something");
    assert_eq!((connections, tls_objects), (1, 0), "entries that nobody uses");
    assert_eq!(lost, 0.0, "{}", metrics.0);
    assert_eq!(metrics.sum("h2watch_stalls_total", &[]), 0.0, "nothing stalled: {}", exporter.log());
    assert!(largest_bytes as f64 <= warm.resident_bytes as f64 * 1.1, "memory grew beyond 10 %");
    assert!(end.descriptors <= warm.descriptors + 2, "descriptors are left open");
}
