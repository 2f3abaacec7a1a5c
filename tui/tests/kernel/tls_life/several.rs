//! `--pid` on clients that run and have several connections already: each is bound to its own socket and in sync within two
//! seconds of traffic. Every connection opens streams at a pace of its own, so that two that are exchanged show.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::clients::{INTERVAL_MS, Kind, Server, connections_to, go_program, port, python, start_in};
use super::running::IN_SYNC_WITHIN;
use crate::support::cgroup::Cgroup;
use crate::support::compare::{approximate, number};
use crate::support::programs::installed;
use crate::support::tools::{self, GO};
use crate::support::watch::{Watch, signal_process};
use crate::support::{take_turns, wait_until};

const CONNECTIONS: usize = 8;
const SOON: Duration = Duration::from_secs(30);
/// Streams that the slowest connection opens between two comparisons. The next faster one opens half as many again.
const SLOWEST: u64 = 6;

/// A client's name, its command, and how many of its streams may be in flight when nothing is slow.
type Client = (&'static str, fn(&Server) -> Vec<String>, u64);

/// curl begins the next of its 50 when one has ended.
const CURL: Client = ("curl", curl, 50);
const OPENSSL: Client = ("Python ssl", |server| several(Kind::PythonOpenSsl, server), 0);
const HTTPX: Client = ("httpx, asyncio", |server| several(Kind::Httpx, server), 0);
const HTTPX_SYNC: Client = (
    "httpx, sync",
    |server| {
        let (url, connections) = (format!("https://{}/bytes/100", server.address), CONNECTIONS.to_string());
        python(&["httpx-sync", &url, INTERVAL_MS, &connections])
    },
    0,
);
const NODE: Client = ("Node http2", |server| several(Kind::Node, server), 0);
const GNUTLS: Client = ("GnuTLS", |server| several(Kind::GnuTls, server), 0);
const OLD_GO: Client = ("Go 1.21", |server| several(Kind::OldGo, server), 0);
const STRIPPED_GO: Client = (
    "Go 1.27, stripped",
    |server| {
        let mut words = several(Kind::Go, server);
        let stripped = tools::go_build_with(GO, "life", "tls-life-stripped", &["-ldflags=-s -w"]);
        assert_eq!(words[0], go_program(GO).to_string_lossy());
        words[0] = stripped.to_string_lossy().into_owned();
        words
    },
    0,
);

fn several(kind: Kind, server: &Server) -> Vec<String> {
    let mut words = kind.words(server.address);
    words.push(CONNECTIONS.to_string());
    words
}

/// curl has a connection for each host name, and takes its URLs in order: host i stands there i times in each turn.
fn curl(server: &Server) -> Vec<String> {
    let (address, port) = (server.address.ip(), server.address.port());
    let config = format!(
        "BEGIN {{
           for (i = 1; i <= {CONNECTIONS}; i++) print \"resolve = h\" i \".test:{port}:{address}\";
           for (turn = 0; turn < 1000; turn++)
             for (i = 1; i <= {CONNECTIONS}; i++)
               for (n = 0; n < i; n++) print \"url = https://h\" i \".test:{port}/tick/30\\noutput = /dev/null\"
         }}"
    );
    let line = format!("exec curl -sk --http2 --parallel --no-progress-meter --config <(awk '{config}')");
    installed("bash", &["-c", &line])
}

/// Streams of each connection, by the client's port.
type Counts = BTreeMap<u16, u64>;

/// Connections of a snapshot whose streams are counted for certain.
fn bound(snapshot: &Value, server: &Server) -> Counts {
    let all = connections_to(snapshot, server.address).into_iter();
    let certain = all.filter(|c| c["view"] == "frames" && !approximate(c) && number(c, "streams_opened") > 0);
    certain.map(|c| (port(&c), number(&c, "streams_opened"))).collect()
}

/// What h2watch and the server count while the client is stopped.
fn counts_at_rest(watch: &Watch, server: &Server, client: u32) -> (Counts, Counts) {
    signal_process(client, Signal::STOP);
    let counts = || {
        let watched = bound(&watch.fresh_snapshot(), server);
        let mut told = server.counts();
        told.retain(|port, _| watched.contains_key(port));
        (watched, told)
    };
    let mut last = counts();
    wait_until(SOON, "the counts come to rest", || {
        let now = counts();
        (std::mem::replace(&mut last, now) == last).then_some(())
    });
    signal_process(client, Signal::CONT);
    last
}

fn since(before: &Counts, after: &Counts) -> Counts {
    after.iter().map(|(port, n)| (*port, n - before[port])).collect()
}

/// Between two moments both count the same on each port. The signal may stop the client within a write, when the server has a
/// stream that the library has not told yet: then other two moments are taken. Connections that are exchanged stay so.
fn assert_in_sync(watch: &Watch, server: &Server, client: u32, name: &str) {
    let mut seen = Vec::new();
    for _ in 0..4 {
        let before = counts_at_rest(watch, server, client);
        wait_until(SOON, "the slowest connection goes on", || {
            let slowest = since(&before.1, &bound_on(&before.1, &server.counts()));
            (slowest.values().min() >= Some(&SLOWEST)).then_some(())
        });
        let after = counts_at_rest(watch, server, client);
        let counted = (since(&before.0, &after.0), since(&before.1, &after.1));
        let mut different: Vec<u64> = counted.1.values().copied().collect();
        different.sort_unstable();
        different.dedup();
        if counted.0 == counted.1 && different.len() == CONNECTIONS {
            println!("{name}: in sync: {different:?} streams");
            return;
        }
        seen.push(counted);
    }
    panic!("{name}: streams counted by h2watch and by the server: {seen:#?}");
}

fn bound_on(ports: &Counts, counts: &Counts) -> Counts {
    ports.keys().map(|port| (*port, counts[port])).collect()
}

/// A stream whose answer was read before h2watch saw that is not in flight for ever: each connection is seen with no more than it
/// may have.
fn assert_none_is_left_over(watch: &Watch, server: &Server, most: u64, name: &str) {
    let mut least = Counts::new();
    let end = Instant::now() + SOON;
    while least.len() < CONNECTIONS || least.values().sum::<u64>() > most {
        assert!(Instant::now() < end, "{name}: streams in flight, at the least: {least:?}");
        for connection in connections_to(&watch.fresh_snapshot(), server.address) {
            let now = number(&connection, "streams_in_flight");
            let least = least.entry(port(&connection)).or_insert(now);
            *least = now.min(*least);
        }
    }
}

fn assert_bound_soon(clients: &[Client]) {
    let _turn = take_turns();
    for (name, words, most) in clients {
        let (server, cgroup) = (Server::start(), Cgroup::new("tls-several"));
        let client = start_in(&cgroup, &words(&server));
        wait_until(SOON, "the client is busy on every connection", || {
            let counts = server.counts();
            (counts.values().filter(|&&n| n > 3).count() == CONNECTIONS).then_some(())
        });
        let pid = client.pid().to_string();
        let watch = Watch::start(&["--tls", "frames", "--interval", "100ms", "--pid", &pid]);
        let all = |line: &Value| line["type"] == "snapshot" && bound(line, &server).len() == CONNECTIONS;
        watch.wait_for(IN_SYNC_WITHIN, &format!("snapshot with every connection of {name}"), all);
        assert_in_sync(&watch, &server, client.pid(), name);
        assert_none_is_left_over(&watch, &server, *most, name);
        let ended = watch.stop();
        assert!(ended.of("loss").is_empty(), "{name}: {:?}", ended.of("loss"));
    }
}

#[test]
fn a_running_openssl_client() {
    assert_bound_soon(&[CURL, OPENSSL, HTTPX_SYNC]);
}

#[test]
fn a_running_client_with_memory_bios() {
    assert_bound_soon(&[HTTPX, NODE]);
}

#[test]
fn a_running_gnutls_client() {
    assert_bound_soon(&[GNUTLS]);
}

#[test]
fn a_running_go_client() {
    assert_bound_soon(&[OLD_GO, STRIPPED_GO]);
}
