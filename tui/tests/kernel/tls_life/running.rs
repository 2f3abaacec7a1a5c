//! `--pid` on clients that run and are connected already (more of it in `several`). What cannot be probed is not known to be
//! HTTP/2 then, and that is told.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::clients::{INTERVAL_MS, Kind, Server, connections_to, port, python, start_in};
use crate::support::cgroup::Cgroup;
use crate::support::compare::number;
use crate::support::watch::{Watch, signal_process};
use crate::support::{take_turns, wait_until};

/// The bound, from the moment h2watch is ready.
pub(super) const IN_SYNC_WITHIN: Duration = Duration::from_secs(2);
const SOON: Duration = Duration::from_secs(30);

/// The connection of a client in this view, as soon as a snapshot has it; by then it took as long as is returned.
pub(super) fn wait_until_bound(
    watch: &Watch,
    server: SocketAddr,
    view: &str,
    limit: Duration,
) -> (Value, Duration) {
    let started = Instant::now();
    let bound = |line: &Value| {
        let found = connections_to(line, server);
        found
            .into_iter()
            .find(|c| c["view"] == view && number(c, "streams_opened") > 0 && c["approximate"] != true)
    };
    let is = |line: &Value| line["type"] == "snapshot" && bound(line).is_some();
    let line = watch.wait_after(0, limit, &format!("snapshot with a {view} connection to {server}"), is).1;
    (bound(&line.content).expect("just found"), started.elapsed())
}

/// Stops the client for a moment and reads both counts: h2watch's and the server's, of the same streams.
pub(super) fn counts_at_rest(watch: &Watch, server: &Server, client: u32) -> (u64, u64) {
    signal_process(client, Signal::STOP);
    let counts = || {
        let snapshot = watch.fresh_snapshot();
        let connections = connections_to(&snapshot, server.address);
        let connection = connections.first().expect("the connection is open");
        (number(connection, "streams_opened"), server.counts()[&port(connection)])
    };
    let mut last = counts();
    wait_until(SOON, "the counts come to rest", || {
        let now = counts();
        (std::mem::replace(&mut last, now) == now).then_some(())
    });
    signal_process(client, Signal::CONT);
    last
}

/// Between two moments both count the same streams. The signal may stop the client within a write, when the server has a
/// stream that its library has not told yet: then other two moments are taken. A count that is wrong stays wrong.
pub(super) fn assert_in_sync(watch: &Watch, server: &Server, client: u32, name: &str) {
    let mut seen = Vec::new();
    for _ in 0..4 {
        let before = counts_at_rest(watch, server, client);
        watch.fresh_snapshot();
        let after = counts_at_rest(watch, server, client);
        let counted = (after.0 - before.0, after.1 - before.1);
        if counted.0 == counted.1 && counted.0 > 5 {
            println!(
                "{name}: in sync; of {} streams {} were opened before it was",
                after.1,
                after.1 - after.0
            );
            return;
        }
        seen.push(counted);
    }
    panic!("{name}: streams counted by h2watch and by the server: {seen:?}");
}

/// Nothing of a connection tells its protocol later than the handshake, so it is not listed; silent it is not.
#[test]
fn a_running_client_that_is_seen_as_records() {
    let _turn = take_turns();
    for kind in [Kind::Java, Kind::Rustls] {
        let (server, cgroup) = (Server::start(), Cgroup::new("tls-running"));
        let client = start_in(&cgroup, &kind.words(server.address));
        wait_until(SOON, "the client is busy", || {
            (server.counts().values().max().is_some_and(|&n| n > 20)).then_some(())
        });
        let pid = client.pid().to_string();
        let watch = Watch::start(&["--interval", "100ms", "--pid", &pid]);
        let told = watch.wait_for(IN_SYNC_WITHIN, "process with a connection that is not listed", |line| {
            let reason = line["process"]["reason"].as_str().unwrap_or_default();
            line["type"] == "process" && reason.contains("; not listed: 1 TLS connection ")
        });
        println!("{}: {}", kind.name(), told.content["process"]["reason"]);
        assert_eq!(told.content["process"]["view"], "records", "{:?}", told.content);
        assert!(connections_to(&watch.fresh_snapshot(), server.address).is_empty());
        drop(client);
        let ended = watch.end(SOON);
        assert!(ended.of("open").is_empty(), "{}: {:?}", kind.name(), ended.of("open"));
    }
}

/// The kernel's table of TLS objects forgets the one that was used longest ago. A connection that goes on after that is found again.
#[test]
fn an_object_that_was_pushed_out_is_found_again() {
    let _turn = take_turns();
    let (server, cgroup) = (Server::start(), Cgroup::new("tls-crowd"));
    let path = cgroup.path().to_str().expect("ASCII");
    let options = ["--tls", "frames", "--interval", "100ms", "--max-connections", "64", "--cgroup", path];
    let watch = Watch::start(&options);
    let url = format!("https://{}/bytes/100", server.address);
    let mut client = start_in(&cgroup, &python(&["crowd", "200", "openssl", &url, INTERVAL_MS]));
    // With so many writes there is no doubt any more whose they are.
    let sure = |line: &Value| {
        connections_to(line, server.address).iter().any(|c| c["streams_opened"].as_u64() > Some(100))
    };
    let line = watch.wait_after(0, SOON, "snapshot with a hundred streams", sure).1.content;
    let first = connections_to(&line, server.address).remove(0);
    client.tell("go");
    client.hear("CROWDED");
    let from = watch.count();
    let more = |line: &Value| {
        let all = connections_to(line, server.address);
        let own = all.iter().find(|c| c["local"] == first["local"]).map(|c| number(c, "streams_opened"));
        own.is_some_and(|opened| opened > number(&first, "streams_opened") + 50)
    };
    watch.wait_after(from, SOON, "snapshot with more streams of the first connection", more);
    let pushed_out = watch.fresh_snapshot()["losses"]["tls_objects_full"].as_u64();
    assert!(pushed_out >= Some(1), "{pushed_out:?}");
}
