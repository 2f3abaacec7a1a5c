//! Every client whose library can be probed: streams, RST_STREAMs and frames of each connection.

use super::clients::{
    ALL, Client, GNUTLS, GO, GO_EXTERNAL_PIE, GO_PIE, HTTPX_ASYNC, HTTPX_SYNC, NODE, OLD_GO_STRIPPED,
};
use super::clients::{BORINGSSL, CURL, GNUTLS_RESUMED, GO_STRIPPED, GO_WRAPPED, OPENSSL_1_1, OPENSSL_3_5};
use super::compare::{Outcome, Run, run, run_with};
use super::{many, report};
use crate::support::watch::{Ended, text};
use crate::support::{take_turns, tools};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// While something is being looked into: only clients with this in their names.
const ONLY: &str = "H2WATCH_TLS_CLIENTS";
/// Connections and streams on each, at full size.
const FULL: (usize, usize) = (20, 500);
const SMALL: (usize, usize) = (5, 40);

fn judge(outcomes: &[Outcome]) {
    println!("{}", report::table(outcomes));
    let inexact: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.is_exact()).collect();
    assert!(inexact.is_empty(), "{inexact:#?}");
    assert!(!outcomes.is_empty() && outcomes.iter().all(|o| o.connections > 0 && o.said.opened > 0));
}

#[test]
fn a_client_of_each_kind_is_counted_exactly() {
    let _turn = take_turns();
    let runs: [(Client, &[&str], &str); 18] = [
        (CURL, &[], "frames"),
        (HTTPX_ASYNC, &["tls12"], "frames"),
        (HTTPX_SYNC, &[], "frames"),
        (NODE, &["tls12"], "frames"),
        (GNUTLS, &[], "frames"),
        (OLD_GO_STRIPPED, &[], "frames"),
        (GO_PIE, &["chacha"], "frames"),
        (CURL, &["tls12"], "streams"),
        (HTTPX_ASYNC, &[], "streams"),
        (NODE, &[], "streams"),
        (GNUTLS, &["tls12"], "streams"),
        (GO, &[], "streams"),
        (CURL, &[], "auto"),
        (HTTPX_SYNC, &["tls12"], "auto"),
        (NODE, &["chacha"], "auto"),
        (GNUTLS, &[], "auto"),
        (GO_STRIPPED, &["tls12"], "auto"),
        (GO_EXTERNAL_PIE, &[], "frames"),
    ];
    let outcomes = runs.map(|(client, options, depth)| {
        let Run { outcome, ended, .. } = run(&client, options, depth, SMALL.0, SMALL.1);
        assert_handshakes_are_read(&outcome, &ended);
        outcome
    });
    judge(&outcomes);
    assert!(outcomes.iter().all(|o| o.connections == SMALL.0 && o.counted.cancelled > 0), "{outcomes:#?}");
}

/// The server's choice where it is in the clear; and the names that curl asks for, which are another one on each connection.
fn assert_handshakes_are_read(outcome: &Outcome, ended: &Ended) {
    let mut names = BTreeSet::new();
    for connection in ended.connections().into_values() {
        let chosen = if outcome.version == "1.3" { Value::Null } else { "h2".into() };
        assert_eq!(connection["alpn_chosen"], chosen, "{connection}");
        assert!(
            connection["alpn_offered"].as_array().is_some_and(|all| all.contains(&"h2".into())),
            "{connection}"
        );
        names.extend(connection["sni"].as_str().map(str::to_owned));
    }
    if outcome.client == CURL.name {
        assert_eq!(names, (0..SMALL.0).map(|i| format!("h{i}.test")).collect());
    }
}

/// A connection in a type of the program's own does not lead to its socket: its records do. One that does is not said to be wrapped.
#[test]
fn wrapped_connections_of_go_are_bound_by_their_records() {
    let _turn = take_turns();
    let outcomes = [GO_WRAPPED, GO].map(|client| {
        let Run { outcome, ended, .. } = run(&client, &[], "frames", SMALL.0, SMALL.1);
        let wraps = |line: &&Value| text(&line["process"]["reason"]).contains("wraps");
        assert!(
            client.name == GO_WRAPPED.name || !ended.of("process").iter().any(wraps),
            "{:?}",
            ended.of("process")
        );
        outcome
    });
    judge(&outcomes);
}

#[test]
fn writes_that_empty_ones_finish_are_counted() {
    let _turn = take_turns();
    let Run { outcome, ended, .. } = run(&GNUTLS_RESUMED, &[], "frames", SMALL.0, SMALL.1);
    let resumed = ended.errors.lines().find_map(|line| line.strip_prefix("RESUMED "));
    let resumed: u64 = resumed.expect("the client says it").parse().expect("a number");
    println!("{resumed} writes were finished by empty ones");
    assert!(resumed > 10, "{resumed}");
    judge(&[outcome]);
}

/// The system's is probed before the command runs; this one as soon as a process that has it connects.
#[test]
fn libraries_that_are_not_the_systems_are_found() {
    let _turn = take_turns();
    judge(&of_wheels().map(|(client, library)| wheel(&client, &library, SMALL)));
}

/// Clients with a TLS library of their own, and where that is.
fn of_wheels() -> [(Client, String); 3] {
    let libssl = |version| tools::wheel_libssl(version).to_string_lossy().into_owned();
    let boringssl = "/curl_cffi/_wrapper.abi3.so".to_owned();
    [(OPENSSL_1_1, libssl("1.1")), (OPENSSL_3_5, libssl("3.5")), (BORINGSSL, boringssl)]
}

fn wheel(client: &Client, library: &str, size: (usize, usize)) -> Outcome {
    let with_it = |line: &Value| {
        let reason = line["process"]["reason"].to_string();
        // curl_cffi loads Python's `ssl` as well; of the others the system's is no part.
        let alone = client.name == BORINGSSL.name || !reason.contains("/libssl.so");
        line["process"]["view"] == "frames" && reason.contains(library) && alone
    };
    let run = run_with(client, &[], "frames", size, |watch| {
        watch.wait_for(Duration::from_secs(30), "process with the library", with_it);
        watch.tell("go");
    });
    run.outcome
}

#[test]
fn over_ipv6_the_same() {
    let _turn = take_turns();
    let runs: [(Client, &[&str]); 2] = [(NODE, &["v6"]), (GO_STRIPPED, &["v6", "tls12"])];
    let outcomes = runs.map(|(client, options)| run(&client, options, "frames", SMALL.0, SMALL.1));
    for run in &outcomes {
        assert!(run.ended.connections().keys().all(|local| local.starts_with("[::1]:")));
    }
    judge(&outcomes.map(|run| run.outcome));
}

#[test]
#[ignore = "every client at full size: cargo xtask accept tls"]
fn every_client_at_full_size() {
    let _turn = take_turns();
    let only = std::env::var(ONLY).ok();
    let chosen = |client: &&Client| only.as_deref().is_none_or(|only| client.name.contains(only));
    let mut outcomes = Vec::new();
    for client in ALL.iter().filter(chosen) {
        let chacha: &[&[&str]] = if client.library == "go" { &[] } else { &[&["chacha"]] };
        for options in [&[&[][..], &["tls12"]], chacha].concat() {
            outcomes.push(run(client, options, "frames", FULL.0, FULL.1).outcome);
        }
    }
    for (client, library) in of_wheels().iter().filter(|(client, _)| chosen(&client)) {
        outcomes.push(wheel(client, library, FULL));
    }
    for (client, connections) in many::ALL.iter().filter(|(client, _)| chosen(&client)) {
        let run = run(client, &[], "frames", *connections, 0);
        if client.name == many::SHORT.name {
            many::assert_objects_were_reused(&run.ended, *connections);
        }
        outcomes.push(run.outcome);
    }
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    let settings = only.map(|only| format!("{ONLY}='{only}' ")).unwrap_or_default();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tls.md");
    std::fs::write(&file, report::document(&outcomes, &kernel, &settings)).expect("docs/ can be written");
    judge(&outcomes);
}
