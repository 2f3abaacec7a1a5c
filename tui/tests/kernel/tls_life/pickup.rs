//! Picked up while h2watch runs: children that a parent forked after loading its TLS library, a library that is loaded late,
//! a program that becomes another one, processes that come later. In a cgroup, by name, and below a COMMAND.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::clients::{INTERVAL_MS, Kind, Server, connections_to, port, python, start_in};
use super::running::{assert_in_sync, counts_at_rest, wait_until_bound};
use crate::support::cgroup::Cgroup;
use crate::support::compare::number;
use crate::support::watch::{Watch, signal_process};
use crate::support::{take_turns, wait_until};

/// From the client's beginning; the interpreter starts within it.
const SOON: Duration = Duration::from_secs(20);
const OPTIONS: [&str; 4] = ["--tls", "frames", "--interval", "100ms"];

fn watch_cgroup(cgroup: &Cgroup) -> Watch {
    let path = cgroup.path().to_str().expect("ASCII");
    Watch::start(&[&OPTIONS[..], &["--cgroup", path]].concat())
}

fn url(server: &Server) -> String {
    format!("https://{}/bytes/100", server.address)
}

/// The processes of the last snapshot, by view and reason.
fn coverage(watch: &Watch) -> Vec<Value> {
    watch.fresh_snapshot()["processes"].as_array().cloned().unwrap_or_default()
}

#[test]
fn children_of_a_prefork_server_are_probed_each() {
    let _turn = take_turns();
    let (server, cgroup) = (Server::start(), Cgroup::new("tls-prefork"));
    let words = python(&["prefork", "3", "openssl", &url(&server), INTERVAL_MS]);
    let mut parent = start_in(&cgroup, &words);
    parent.hear("WAITING");
    let watch = watch_cgroup(&cgroup);
    parent.tell("go");
    let all_bound = |line: &Value| {
        let connections = connections_to(line, server.address);
        connections.len() == 3
            && connections.iter().all(|c| c["view"] == "frames" && number(c, "streams_opened") > 0)
    };
    let line = watch.wait_after(0, SOON, "snapshot with three connections, frame by frame", all_bound).1;
    let connections = connections_to(&line.content, server.address);
    for connection in &connections {
        assert_ne!(number(connection, "pid"), u64::from(parent.pid()), "{connection}");
        assert!(server.counts().contains_key(&port(connection)), "{connection}");
    }
    let covered = coverage(&watch);
    for connection in &connections {
        let of = |process: &&Value| process["pid"] == connection["pid"];
        let process = covered.iter().find(of).expect("every child has a coverage of its own");
        assert_eq!(
            (&process["library"], &process["view"]),
            (&"openssl".into(), &"frames".into()),
            "{process}"
        );
    }
}

#[test]
fn a_library_that_is_loaded_late_is_found() {
    let _turn = take_turns();
    for library in ["openssl", "gnutls"] {
        let (server, cgroup) = (Server::start(), Cgroup::new("tls-late"));
        let mut client = start_in(&cgroup, &python(&["late", library, &url(&server), INTERVAL_MS]));
        client.hear("WAITING");
        let watch = watch_cgroup(&cgroup);
        assert!(coverage(&watch).iter().all(|process| process["library"].is_null()), "not loaded yet");
        client.tell("go");
        let (connection, _) = wait_until_bound(&watch, server.address, "frames", SOON);
        assert_eq!(connection["library"], library);
        assert_in_sync(&watch, &server, client.pid(), library);
    }
}

#[test]
fn a_process_that_becomes_another_program_is_looked_at_again() {
    let _turn = take_turns();
    for kind in [Kind::Go, Kind::Node] {
        let (server, cgroup) = (Server::start(), Cgroup::new("tls-exec"));
        let words = kind.words(server.address);
        let program: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut client = start_in(&cgroup, &python(&[&["exec"], &program[..]].concat()));
        client.hear("WAITING");
        let watch = watch_cgroup(&cgroup);
        coverage(&watch);
        client.tell("go");
        let (connection, _) = wait_until_bound(&watch, server.address, "frames", SOON);
        assert_eq!(number(&connection, "pid"), u64::from(client.pid()));
        assert_in_sync(&watch, &server, client.pid(), kind.name());
    }
}

#[test]
fn a_process_that_comes_later_is_found_by_its_name() {
    let _turn = take_turns();
    let (server, cgroup) = (Server::start(), Cgroup::new("tls-comm"));
    // By a name that nothing else of this machine has: the watch attaches to the cgroups of what it finds.
    let name = format!("life-{}", std::process::id());
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join(&name);
    std::fs::copy(super::clients::go_program(crate::support::tools::GO), &program).expect("a copy");
    let watch = Watch::start(&[&OPTIONS[..], &["--comm", &name]].concat());
    let words = [program.to_str().expect("UTF-8"), "steady", &url(&server), INTERVAL_MS].map(str::to_owned);
    let client = start_in(&cgroup, &words);
    let (connection, _) = wait_until_bound(&watch, server.address, "frames", SOON);
    assert_eq!(number(&connection, "pid"), u64::from(client.pid()));
    assert_in_sync(&watch, &server, client.pid(), &name);
}

/// Below a COMMAND: what a shell starts, and what a child of it forks.
#[test]
fn descendants_of_a_command_are_probed() {
    let _turn = take_turns();
    let server = Server::start();
    let go = Kind::Go.words(server.address).join(" ");
    let child = python(&["openssl", &url(&server), INTERVAL_MS]).join(" ");
    let script = format!("{go} & {child} & wait");
    let watch = Watch::run(&OPTIONS, &["/bin/sh", "-c", &script].map(str::to_owned));
    let both = |line: &Value| {
        let mut libraries: Vec<String> = connections_to(line, server.address)
            .iter()
            .filter(|c| c["view"] == "frames" && number(c, "streams_opened") > 0)
            .map(|c| crate::support::watch::text(&c["library"]))
            .collect();
        libraries.sort();
        libraries == ["go", "openssl"]
    };
    let started = Instant::now();
    watch.wait_after(0, SOON, "snapshot with both clients, frame by frame", both);
    println!("both clients bound after {} ms", started.elapsed().as_millis());
}

/// h2watch sleeps while a client connects: its socket is watched from its birth, its TLS library only from then on.
#[test]
fn streams_before_the_probe_are_not_taken_for_none() {
    let _turn = take_turns();
    let (server, cgroup) = (Server::start(), Cgroup::new("tls-behind"));
    let watch = watch_cgroup(&cgroup);
    signal_process(watch.pid(), Signal::STOP);
    let client = start_in(&cgroup, &Kind::PythonOpenSsl.words(server.address));
    wait_until(SOON, "the client is busy", || {
        (server.counts().values().max().is_some_and(|&n| n > 20)).then_some(())
    });
    signal_process(watch.pid(), Signal::CONT);
    let (connection, _) = wait_until_bound(&watch, server.address, "frames", SOON);
    assert_eq!(
        (&connection["seeded"], &connection["joined_late"]),
        (&false.into(), &true.into()),
        "{connection}"
    );
    let (counted, served) = counts_at_rest(&watch, &server, client.pid());
    assert!(counted + 20 <= served, "{counted} of {served} streams were counted");

    // Probed before it ran: every stream is in the count, and that is what the mark says.
    let whole = Watch::run(&OPTIONS, &Kind::PythonOpenSsl.words(server.address));
    let (connection, _) = wait_until_bound(&whole, server.address, "frames", SOON);
    assert_eq!(connection["joined_late"], false, "{connection}");
    let (counted, served) = counts_at_rest(&whole, &server, number(&connection, "pid") as u32);
    // The signal may stop the client within a write.
    assert!(counted.abs_diff(served) <= 1, "{counted} of {served} streams were counted");
}
