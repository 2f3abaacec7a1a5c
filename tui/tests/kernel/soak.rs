//! The exporter under churn: minutes of short connections of processes that come and go leave nothing behind.

use crate::support::cgroup::Cgroup;
use crate::support::exporter::{Exporter, Metrics};
use crate::support::programs::{self, Program, installed, role_of};
use crate::support::tools;
use crate::tls::peer::Peer;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// Environment variable for a shorter or longer run.
const SECONDS: &str = "H2WATCH_SOAK_SECONDS";
const DEFAULT_SECONDS: u64 = 8 * 60;
/// Caches and allocators fill up in this time.
const WARM_UP: Duration = Duration::from_secs(60);

/// A process every three seconds with 50 connections each makes 1,000 connections a minute.
const PROCESS_EVERY: Duration = Duration::from_secs(3);
const CONNECTIONS_PER_PROCESS: u32 = 50;
/// And one each of curl and Go over TLS, so that uprobes come and go as well.
const CONNECTIONS_PER_ROUND: u32 = CONNECTIONS_PER_PROCESS + 2;
const LEAST_PER_MINUTE: f64 = 1000.0;

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
    let folder = tempfile::tempdir().unwrap();
    let name = format!("h2w-k{}", std::process::id());
    let named = programs::link_named(&name, folder.path());
    let exporter = Exporter::start(&["--cgroup", cgroup.path().to_str().unwrap()]);
    // Beside it, one that follows processes one by one.
    let by_name = Exporter::start(&["--comm", &name]);
    let (_server, address) = programs::server();
    let tls_server = Peer::start(&[]);
    let arguments = ["100", "1000", "/bytes/100", &address.to_string()].map(str::to_owned);
    let mut steady = Program::start_with(&role_of(&named, "steady", &arguments), |c| cgroup.start_inside(c));
    steady.hear("CONNECTED ");

    let started = Instant::now();
    let (mut rounds, mut warm, mut largest_bytes) = (0_u32, None, 0);
    while started.elapsed() < duration {
        // Scraped while it works, as by a Prometheus.
        churn(&cgroup, &named, address);
        churn_curl(&cgroup, &tls_server.origin());
        churn_go(&exporter, &cgroup, &tls_server.origin());
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
    judge_by_name(&by_name);
}

/// A process that lives for its connections, and is killed with the last one open.
fn churn(cgroup: &Cgroup, program: &Path, address: SocketAddr) {
    let arguments = [address.to_string(), CONNECTIONS_PER_PROCESS.to_string(), "30".to_owned()];
    let mut client = Program::start_with(&role_of(program, "churn", &arguments), |c| cgroup.start_inside(c));
    client.hear("CHURNED");
}

fn churn_curl(cgroup: &Cgroup, origin: &str) {
    let words =
        installed("curl", &["-sk", "--http2", "--output", "/dev/null", &format!("{origin}/bytes/[1-3]")]);
    let mut client = Program::start_with(&words, |c| cgroup.start_inside(c));
    assert!(client.child.wait().expect("a child").success(), "curl");
}

/// Killed in the middle of its work, so that it takes back nothing that the kernel knows of it.
fn churn_go(exporter: &Exporter, cgroup: &Cgroup, origin: &str) {
    let client = tools::go_client().to_string_lossy().into_owned();
    let words = [&client, "caller", origin, "100", "1000", "/bytes/10", "0"].map(str::to_owned);
    let mut client = Program::start_with(&words, |c| cgroup.start_inside(c));
    client.hear("WAITING");
    client.tell("go");
    client.hear("CONNECTED");
    exporter
        .wait_for("h2watch_connections", &["comm=\"go-client\"", "transport=\"tls\""], |open| open == 1.0);
}

/// Entries of maps by the kernel's own books, read by another reader than h2watch.
fn entries<const N: usize>(exporter: &Exporter, maps: [&'static str; N]) -> [(&'static str, usize); N] {
    maps.map(|map| (map, exporter.map_entries(map)))
}

fn judge_by_name(exporter: &Exporter) {
    exporter.wait_for("h2watch_connection_slots_used", &[], |used| used == 1.0);
    exporter.wait_for("h2watch_processes", &[], |left| left == 1.0);
    let left = entries(exporter, ["CONNECTIONS", "PROCESSES"]);
    println!("by name: {left:?} at the end");
    assert_eq!(left, [("CONNECTIONS", 1), ("PROCESSES", 1)], "entries that nobody uses");
    let opened = exporter.metrics().sum("h2watch_connections_opened_total", &[]);
    assert!(opened > 1.0, "it has seen nothing of the churn");
    assert_eq!(lost(&exporter.metrics()), 0.0, "{}", exporter.metrics().0);
}

/// Everything that could not be kept, was not told apart, or had to be searched again.
fn lost(metrics: &Metrics) -> f64 {
    let names = ["h2watch_events_lost_total", "h2watch_association_failures_total", "h2watch_desyncs_total"];
    names.map(|name| metrics.sum(name, &[])).iter().sum()
}

fn judge(exporter: &Exporter, rounds: u32, minutes: f64, warm: Size, largest_bytes: u64) {
    let opened = f64::from(rounds * CONNECTIONS_PER_ROUND + 1);
    exporter.wait_for("h2watch_connections_opened_total", &[], |counted| counted == opened);
    exporter.wait_for("h2watch_connection_slots_used", &[], |used| used == 1.0);
    exporter.wait_for("h2watch_processes", &[], |left| left == 1.0);
    // Not all of TLS_TASKS goes with its tasks: what was used longest ago is forgotten there.
    let left =
        entries(exporter, ["CONNECTIONS", "TLS_OBJECTS", "TLS_DESCRIPTORS", "TLS_WRITES", "TLS_READS"]);
    let tasks = entries(exporter, ["TLS_TASKS"]);
    let end = size(exporter);
    let metrics = exporter.metrics();
    let lost = lost(&metrics);
    println!(
        "{minutes:.1} min, {} processes, {opened} connections ({:.0}/min): {warm:?} after {WARM_UP:?}, \
         at most {largest_bytes} bytes after that, {end:?} at the end; {lost} events lost, {left:?} entries, {tasks:?}",
        3 * rounds,
        opened / minutes
    );
    assert!(opened / minutes >= LEAST_PER_MINUTE, "the churn was too slow to mean something");
    assert_eq!(left.map(|(_, entries)| entries), [1, 0, 0, 0, 0], "entries that nobody uses: {left:?}");
    assert_eq!(lost, 0.0, "{}", metrics.0);
    assert_eq!(metrics.sum("h2watch_stalls_total", &[]), 0.0, "nothing stalled: {}", exporter.log());
    assert!(largest_bytes as f64 <= warm.resident_bytes as f64 * 1.1, "memory grew beyond 10 %");
    assert!(end.descriptors <= warm.descriptors + 2, "descriptors are left open");
}
