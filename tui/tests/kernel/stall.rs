//! A dead connection that goes on taking streams is flagged soon: in every one of 50 runs. When it should have been flagged
//! is what the client itself says: the moment of its first stream since it last heard anything, plus `--stall-after`.

mod table;

use crate::support::compare::number;
use crate::support::link::Link;
use crate::support::programs::{self, role};
use crate::support::pulse::Pulse;
use crate::support::watch::{Watch, signal_process};
use crate::support::{now_ns, servers, take_turns, wait_until};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

const STALL_AFTER: Duration = Duration::from_millis(300);
const ALLOWED: Duration = Duration::from_millis(50);
const CONNECTIONS: usize = 5;
const ROUNDS: usize = 10;
/// How often one run is made at most.
const ATTEMPTS: usize = 3;
const STREAM_EVERY_MS: u64 = 5;
const SOON: Duration = Duration::from_secs(10);

/// Kills one connection at a time and revives it.
trait Killer: Sync {
    fn address(&self) -> SocketAddr;
    fn kill(&self);
    fn revive(&self);
}

impl Killer for Link {
    fn address(&self) -> SocketAddr {
        self.address
    }
    fn kill(&self) {
        self.unplug();
    }
    fn revive(&self) {
        self.plug_in();
    }
}

/// A server process and where it listens.
struct Server(programs::Program, SocketAddr);

impl Killer for Server {
    fn address(&self) -> SocketAddr {
        self.1
    }
    fn kill(&self) {
        signal_process(self.0.pid(), Signal::STOP);
    }
    fn revive(&self) {
        signal_process(self.0.pid(), Signal::CONT);
    }
}

#[test]
fn an_unplugged_link_is_flagged_in_each_of_50_runs() {
    let _turn = take_turns();
    unplug_links(ROUNDS).judge();
}

#[test]
fn a_stopped_server_is_flagged_in_each_of_50_runs() {
    let _turn = take_turns();
    stop_servers(ROUNDS).judge();
}

/// The same, with as many rounds as one likes, as a table.
#[test]
#[ignore = "writes a table; a suite of `cargo xtask accept`"]
fn the_table_of_both_faults() {
    let _turn = take_turns();
    let runs = std::env::var(table::RUNS).map_or(50, |text| text.parse().expect("a number of runs"));
    let rounds = usize::div_ceil(runs, CONNECTIONS);
    let rows = [unplug_links(rounds), stop_servers(rounds)];
    table::write(&rows, STALL_AFTER, STREAM_EVERY_MS);
    rows.iter().for_each(Row::judge);
}

fn unplug_links(rounds: usize) -> Row {
    let server = servers::start();
    let links: Vec<Link> = (0..CONNECTIONS).map(|_| Link::to(server)).collect();
    flag_each("unplugged link", &links, rounds)
}

fn stop_servers(rounds: usize) -> Row {
    let start = |_| {
        let (program, address) = programs::server();
        Server(program, address)
    };
    let servers: Vec<Server> = (0..CONNECTIONS).map(start).collect();
    flag_each("stopped server", &servers, rounds)
}

/// One client with a connection to each; every so often a stream on each, cancelled after 100 ms.
fn flag_each<K: Killer>(fault: &'static str, killers: &[K], rounds: usize) -> Row {
    let mut arguments = vec![STREAM_EVERY_MS.to_string(), "100".to_owned(), "/bytes/10".to_owned()];
    arguments.extend(killers.iter().map(|killer| killer.address().to_string()));
    let options = ["--stall-after", "300ms", "--interval", "250ms"];
    let watch = Watch::run(&options, &role("steady", &arguments));
    watch.wait_until_ready();
    watch.wait_for_word(SOON, "CONNECTED");
    let (runs, pulse) = (Mutex::new(Vec::new()), Pulse::start());
    std::thread::scope(|scope| {
        for killer in killers {
            let (watch, runs) = (&watch, &runs);
            let pulse = pulse.clone();
            scope.spawn(move || {
                for _ in 0..rounds {
                    let run = flag_once_undisturbed(watch, killer, &pulse);
                    runs.lock().unwrap().push(run);
                }
            });
        }
    });
    let ended = watch.stop();
    assert!(ended.of("stall").len() >= CONNECTIONS * rounds, "one stall line per run");
    let damage = number(&ended.summary()["totals"], "damage");
    assert!(damage > 0, "streams were opened while connections were stalled");
    let (mut beyond_ms, again): (Vec<f64>, Vec<usize>) = runs.into_inner().unwrap().into_iter().unzip();
    beyond_ms.sort_by(f64::total_cmp);
    Row { fault, beyond_ms, again: again.iter().sum() }
}

/// A run again when it was too slow and the machine did not run h2watch, or anybody, for half of that time: that is not
/// h2watch's delay. Also gives how often that was.
fn flag_once_undisturbed(watch: &Watch, killer: &impl Killer, pulse: &Pulse) -> (f64, usize) {
    let mut ms = 0.0;
    for again in 0..ATTEMPTS {
        let (from_ns, waited) = (now_ns(), watch.kept_waiting());
        ms = flag_once(watch, killer);
        let gap = pulse.longest_gap(from_ns, now_ns()).max(watch.kept_waiting() - waited);
        if ms <= ALLOWED.as_secs_f64() * 1e3 || gap < ALLOWED / 2 {
            return (ms, again);
        }
        println!("again: {ms:.1} ms, but the machine let it wait for {gap:?}");
    }
    (ms, ATTEMPTS - 1)
}

/// Kills, waits for the line, revives, waits for recovery. How long after the threshold the line came, in milliseconds.
fn flag_once(watch: &Watch, killer: &impl Killer) -> f64 {
    let address = killer.address().to_string();
    let is = |kind: &'static str| {
        let address = address.clone();
        move |line: &serde_json::Value| {
            line["type"] == kind && line["connection"]["remote"] == address.as_str()
        }
    };
    // It lives: some streams are answered between two runs.
    let opened = |line: &serde_json::Value| {
        let list = line["connections"].as_array()?;
        let connection = list.iter().find(|c| c["remote"] == address.as_str())?;
        (connection["verdict"] != "stalled").then(|| number(connection, "streams_opened"))
    };
    let start = watch.count();
    watch.wait_after(start, SOON, "snapshot of a living connection", |line| {
        opened(line).is_some_and(|n| n > 0)
    });
    let (from, said) = (watch.count(), watch.errors().len());
    killer.kill();
    let (next, stall) = watch.wait_after(from, SOON, "stall", is("stall"));
    let first_ns =
        said_by_client(watch, said, &format!("SILENT {address} ")).parse::<u64>().expect("nanoseconds");
    let connection = &stall.content["connection"];
    assert_eq!(connection["verdict"], "stalled", "{connection}");
    assert!(connection["cause"].is_string(), "a stall has a cause, `unknown` included: {connection}");
    assert!(number(connection, "streams_unanswered") >= 2, "{connection}");
    assert!(
        !connection["evidence"].as_str().unwrap_or_default().is_empty(),
        "a stall has evidence: {connection}"
    );
    killer.revive();
    watch.wait_after(next, SOON, "recover", is("recover"));
    said_by_client(watch, said, &format!("HEARD {address}"));
    let threshold_ns = first_ns + STALL_AFTER.as_nanos() as u64;
    let by_the_client = (stall.at_ns as f64 - threshold_ns as f64) / 1e6;
    // The client hears a little later than its kernel, so its silence may begin a stream later: the later one counts.
    let by_h2watch = number(connection, "silence_ms") as f64 - STALL_AFTER.as_millis() as f64;
    if by_the_client.max(by_h2watch) > ALLOWED.as_secs_f64() * 1e3 {
        println!(
            "{address}: {by_the_client:.1} ms by the client's clock, {by_h2watch:.1} ms by h2watch's; {connection}"
        );
    }
    by_the_client.max(by_h2watch)
}

/// What the client says behind `prefix`, in what it says after the first `said` bytes.
fn said_by_client(watch: &Watch, said: usize, prefix: &str) -> String {
    wait_until(SOON, &format!("the client says {prefix}"), || {
        let errors = watch.errors();
        errors[said..].lines().find_map(|line| line.strip_prefix(prefix)).map(|rest| rest.trim().to_owned())
    })
}

/// Milliseconds beyond the threshold, of one fault, the shortest first.
struct Row {
    fault: &'static str,
    beyond_ms: Vec<f64>,
    /// Runs that were made again.
    again: usize,
}

impl Row {
    fn at(&self, share: f64) -> f64 {
        self.beyond_ms[((self.beyond_ms.len() - 1) as f64 * share).round() as usize]
    }

    fn judge(&self) {
        let Self { fault, beyond_ms, again } = self;
        let (min, p50, p99, max) = (self.at(0.0), self.at(0.5), self.at(0.99), self.at(1.0));
        println!(
            "{fault}: {} runs, {again} more that were made again, beyond the threshold: min {min:.1} ms, p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms",
            beyond_ms.len()
        );
        assert!(min > -5.0, "{fault}: flagged {min:.1} ms too early");
        let allowed_ms = ALLOWED.as_secs_f64() * 1e3;
        assert!(max <= allowed_ms, "{fault}: flagged {max:.1} ms after the threshold: {beyond_ms:.1?}");
        // Otherwise it is the choice of the runs that made them fast.
        assert!(
            again * 2 <= beyond_ms.len(),
            "{fault}: {again} runs were made again: too busy a machine to tell"
        );
    }
}

/// Nothing rings here: the client opens two streams and waits. The tick finds it.
#[test]
fn a_client_that_opens_two_streams_and_waits_is_flagged_at_the_next_tick() {
    let _turn = take_turns();
    let server = servers::start();
    let options = ["--stall-after", "300ms", "--interval", "100ms"];
    let watch =
        Watch::run(&options, &role("quiet", &["30".to_owned(), format!("{server}=!/bytes/10,/hang,/hang")]));
    let stall = watch.wait_for(SOON, "stall", |line| line["type"] == "stall");
    let silence_ms = number(&stall.content["connection"], "silence_ms");
    println!("two streams: flagged after {silence_ms} ms of silence, threshold 300 ms, interval 100 ms");
    assert!((300..=450).contains(&silence_ms), "flagged after {silence_ms} ms");
    assert_eq!(number(&stall.content["connection"], "streams_unanswered"), 2);
}
