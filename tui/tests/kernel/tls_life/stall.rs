//! A link that stops copying, and a server that is stopped, through TLS, for every client: flagged soon after the threshold.
//! And no false alarm while all of them are healthy.
//!
//! When the silence began is not asked of the client: no stream that was opened before the fault is unanswered for longer
//! than its answer takes, so the fault's own moment is the beginning, or one interval of the client later. That interval is
//! counted as h2watch's delay.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::clients::{Kind, Server, connections_to, start_in};
use crate::support::cgroup::Cgroup;
use crate::support::compare::number;
use crate::support::link::Link;
use crate::support::programs::Program;
use crate::support::pulse::Pulse;
use crate::support::watch::{Watch, signal_process};
use crate::support::{now_ns, take_turns, tools};

const STALL_AFTER: Duration = Duration::from_millis(300);
const ALLOWED: Duration = Duration::from_millis(50);
const SOON: Duration = Duration::from_secs(30);
/// Streams of one client are opened this far apart at most (curl's server answers every 30 ms).
const LONGEST_INTERVAL_MS: f64 = 35.0;

#[derive(Clone, Copy, Debug)]
enum Fault {
    Unplugged,
    Stopped,
}

/// A client and what stands at its other end.
struct Pair {
    /// First: it ends before its server does.
    _client: Program,
    kind: Kind,
    fault: Fault,
    link: Link,
    server: Server,
    address: SocketAddr,
}

impl Pair {
    fn start(kind: Kind, fault: Fault, cgroup: &Cgroup) -> Self {
        let server = Server::start();
        let link = Link::to(server.address);
        let address = if matches!(fault, Fault::Unplugged) { link.address } else { server.address };
        let client = start_in(cgroup, &kind.words(address));
        Self { _client: client, kind, fault, link, server, address }
    }

    fn break_it(&self) {
        match self.fault {
            Fault::Unplugged => self.link.unplug(),
            Fault::Stopped => signal_process(self.server.program.pid(), Signal::STOP),
        }
    }

    fn mend_it(&self) {
        match self.fault {
            Fault::Unplugged => self.link.plug_in(),
            Fault::Stopped => signal_process(self.server.program.pid(), Signal::CONT),
        }
    }

    fn is(&self, kind: &'static str) -> impl Fn(&Value) -> bool {
        let address = self.address.to_string();
        move |line| line["type"] == kind && line["connection"]["remote"] == address.as_str()
    }

    /// Waits for a snapshot that begins after this call and has it alive, in the view that it should have.
    fn wait_until_alive(&self, watch: &Watch) {
        let what = format!("snapshot with a living {}", self.kind.name());
        let alive = |c: &Value| {
            c["verdict"] != "stalled" && c["view"] == self.kind.view() && number(c, "bytes_received") > 5000
        };
        watch.wait_after(watch.count(), SOON, &what, |line| {
            line["type"] == "snapshot" && connections_to(line, self.address).iter().any(alive)
        });
    }

    /// Breaks, waits for the line, mends, waits for recovery. How long after the threshold the line came, in milliseconds.
    fn flag_once(&self, watch: &Watch) -> f64 {
        self.wait_until_alive(watch);
        let from = watch.count();
        let broken_ns = now_ns();
        self.break_it();
        let (next, stall) = watch.wait_after(from, SOON, "stall", self.is("stall"));
        self.mend_it();
        watch.wait_after(next, SOON, "recover", self.is("recover"));
        let connection = &stall.content["connection"];
        assert_eq!(connection["view"], self.kind.view(), "{connection}");
        assert_eq!(connection["streams_opened"].is_null(), self.kind.is_seen_as_records(), "{connection}");
        let waiting =
            if self.kind.is_seen_as_records() { "records_unanswered" } else { "streams_unanswered" };
        assert!(number(connection, waiting) >= if self.kind == Kind::Curl { 1 } else { 2 }, "{connection}");
        let threshold_ms = STALL_AFTER.as_secs_f64() * 1e3;
        let since_fault = (stall.at_ns - broken_ns) as f64 / 1e6 - threshold_ms;
        // curl's last streams may be older than the fault: then what h2watch itself says of the silence is later.
        since_fault.max(number(connection, "silence_ms") as f64 - threshold_ms)
    }

    /// A run again when it was too slow and the machine did not run h2watch, or anybody, for half of that time: that is not
    /// h2watch's delay. Also gives how often that was.
    fn flag_once_undisturbed(&self, watch: &Watch, pulse: &Pulse) -> (f64, usize) {
        let mut ms = 0.0;
        for again in 0..5 {
            let (from_ns, waited) = (now_ns(), watch.kept_waiting());
            ms = self.flag_once(watch);
            let gap = pulse.longest_gap(from_ns, now_ns()).max(watch.kept_waiting() - waited);
            if ms <= ALLOWED.as_secs_f64() * 1e3 || gap < ALLOWED / 2 {
                return (ms, again);
            }
            println!("again: {}: {ms:.1} ms, but the machine let it wait for {gap:?}", self.kind.name());
        }
        (ms, 5)
    }
}

/// Milliseconds beyond the threshold of one kind of client.
struct Row {
    kind: Kind,
    fault: Fault,
    beyond_ms: Vec<f64>,
    /// Runs that were made again.
    again: usize,
}

impl Row {
    fn at(&self, share: f64) -> f64 {
        self.beyond_ms[((self.beyond_ms.len() - 1) as f64 * share).round() as usize]
    }

    fn text(&self) -> String {
        let fault = match self.fault {
            Fault::Unplugged => "unplugged link",
            Fault::Stopped => "stopped server",
        };
        let (p50, p99, max) = (self.at(0.5), self.at(0.99), self.at(1.0));
        let (name, view, runs, again) =
            (self.kind.name(), self.kind.view(), self.beyond_ms.len(), self.again);
        format!("| {name} | {view} | {fault} | {runs} | {again} | {p50:.1} | {p99:.1} | {max:.1} |\n")
    }
}

/// All clients but curl at the same time, and then curl: it asks again only when it was answered, so that one stream is all
/// that it opens behind the last answer.
fn flag_every(fault: Fault, runs: usize) -> Vec<Row> {
    let (curl, others) = Kind::ALL.split_first().expect("a list");
    let mut rows = flag_each(others, fault, "2", runs);
    rows.extend(flag_each(&[*curl], fault, "1", runs));
    rows
}

/// Each of these clients with its own other end, all at the same time, each broken this often.
fn flag_each(kinds: &[Kind], fault: Fault, min_streams: &str, runs: usize) -> Vec<Row> {
    let cgroup = Cgroup::new("tls-stall");
    let options = ["--stall-after", "300ms", "--min-streams", min_streams, "--interval", "250ms"];
    let of = ["--tls", "frames", "--cgroup", cgroup.path().to_str().expect("ASCII")];
    let watch = Watch::start(&[&options[..], &of].concat());
    let pairs: Vec<Pair> = kinds.iter().map(|&kind| Pair::start(kind, fault, &cgroup)).collect();
    for pair in &pairs {
        pair.wait_until_alive(&watch);
    }
    let (rows, pulse) = (Mutex::new(Vec::new()), Pulse::start());
    std::thread::scope(|scope| {
        for pair in &pairs {
            let (watch, rows, pulse) = (&watch, &rows, pulse.clone());
            scope.spawn(move || {
                let run = |_| pair.flag_once_undisturbed(watch, &pulse);
                let (mut beyond_ms, again): (Vec<f64>, Vec<usize>) = (0..runs).map(run).unzip();
                beyond_ms.sort_by(f64::total_cmp);
                rows.lock().unwrap().push(Row {
                    kind: pair.kind,
                    fault,
                    beyond_ms,
                    again: again.iter().sum(),
                });
            });
        }
    });
    watch.stop();
    let mut rows = rows.into_inner().unwrap();
    rows.sort_by_key(|row| Kind::ALL.iter().position(|&kind| kind == row.kind));
    rows
}

fn judge(rows: &[Row]) {
    for row in rows {
        println!("{}", row.text().trim_end());
        assert!(row.at(0.0) > -LONGEST_INTERVAL_MS, "{}: too early: {:.1?}", row.kind.name(), row.beyond_ms);
        let allowed_ms = ALLOWED.as_secs_f64() * 1e3;
        assert!(row.at(1.0) <= allowed_ms, "{}: too late: {:.1?}", row.kind.name(), row.beyond_ms);
    }
}

#[test]
fn two_clients_are_flagged_behind_a_link_and_before_a_stopped_server() {
    let _turn = take_turns();
    judge(&flag_each(&[Kind::PythonOpenSsl, Kind::Go], Fault::Unplugged, "2", 2));
    judge(&flag_each(&[Kind::Node, Kind::GnuTls], Fault::Stopped, "2", 2));
}

#[test]
#[ignore = "several minutes; a suite of `cargo xtask accept`"]
fn every_client_is_flagged_in_each_of_50_runs() {
    let _turn = take_turns();
    let runs = std::env::var("H2WATCH_STALL_RUNS").map_or(50, |text| text.parse().expect("a number of runs"));
    let mut rows = flag_every(Fault::Unplugged, runs);
    rows.extend(flag_every(Fault::Stopped, runs));
    let mut text = format!(
        "# How soon a stall is told, through TLS\n\n\
         Milliseconds from the threshold (`--stall-after 300ms`) to the `stall` line. The silence begins with the first stream \
         after the fault; counted is from the fault itself, so up to 10 ms of the client's own waiting (curl: 30) are in the \
         figures. Every client opens a stream every 10 ms on one connection and has several waiting; they run at the same \
         time, each with a server of its own (Go {}). curl has ten streams and opens the next one when one is answered: \
         behind the last answer only one is new, so it runs with `--min-streams 1`, by itself. A run that was too slow is made again (*again*) \
         when the machine did not run h2watch, or anybody, for 25 ms of it. Written by `cargo xtask accept tls` with \
         `H2WATCH_STALL_TABLE=1`.\n\n\
         | client | view | fault | runs | again | p50 | p99 | max |\n|---|---|---|---:|---:|---:|---:|---:|\n",
        tools::GO
    );
    for row in &rows {
        _ = write!(text, "{}", row.text());
    }
    println!("{text}");
    judge(&rows);
    if std::env::var_os("H2WATCH_STALL_TABLE").is_some() {
        std::fs::write(tools::workspace().join("docs/tls-stalls.md"), text).expect("docs can be written");
    }
}

#[test]
#[ignore = "a minute; a suite of `cargo xtask accept`"]
fn a_minute_of_healthy_traffic_of_every_client_has_no_stall() {
    let _turn = take_turns();
    let cgroup = Cgroup::new("tls-calm");
    let options = ["--stall-after", "1s", "--tls", "frames", "--cgroup"];
    let watch = Watch::start(&[&options[..], &[cgroup.path().to_str().expect("ASCII")]].concat());
    let pairs = Kind::ALL.map(|kind| Pair::start(kind, Fault::Stopped, &cgroup));
    for pair in &pairs {
        pair.wait_until_alive(&watch);
    }
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        watch.fresh_snapshot();
    }
    let ended = watch.stop();
    assert!(ended.of("stall").is_empty(), "{:?}", ended.of("stall"));
    let connections = ended.connections();
    for pair in &pairs {
        let of =
            |c: &&Value| c["remote"] == pair.address.to_string().as_str() && c["view"] == pair.kind.view();
        let connection = connections.values().find(of).expect("the client's connection is listed");
        let records = number(connection, "bytes_sent");
        println!("{}: {} streams, {records} bytes sent", pair.kind.name(), connection["streams_opened"]);
        let enough =
            connection["streams_opened"].as_u64().map_or(records > 100_000, |streams| streams > 1000);
        assert!(enough, "{} was busy all the time: {connection}", pair.kind.name());
    }
}
