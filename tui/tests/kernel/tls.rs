//! TLS clients of every kind that can be probed: the streams of each connection are those that the server counted for that
//! client port, so a connection that is bound to the wrong socket shows as two wrong numbers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::compare::{assert_no_loss, number};
use crate::support::programs::{Program, installed};
use crate::support::watch::{Ended, Watch, signal_process, text};
use crate::support::{take_turns, tools};

const LONG: Duration = Duration::from_secs(120);
const CONNECTIONS: &str = "20";

/// The Go program of `clients/tls`, built with these options of `go build`.
fn go_program(name: &str, options: &[&str]) -> PathBuf {
    tools::go_build("tls", name, options)
}

fn server(options: &[&str]) -> (Program, String) {
    let program = go_program("tls-server", &[]);
    let mut words = vec![program.to_string_lossy().into_owned(), "server".to_owned()];
    words.extend(options.iter().map(|&option| option.to_owned()));
    let mut server = Program::start(&words);
    let address = server.hear("SERVING");
    (server, format!("https://{address}"))
}

/// What the server counted: client port to requests.
fn counted(origin: &str) -> BTreeMap<String, u64> {
    let answer = tools::run("curl", &["-sk", "--http1.1", &format!("{origin}/counts")]);
    serde_json::from_str(&answer).expect("the server counts in JSON")
}

fn port(connection: &Value) -> String {
    text(&connection["local"]).rsplit(':').next().expect("an address has a port").to_owned()
}

/// Watches `client`, to which the URL is appended, and compares every connection with what the server counted.
fn assert_bound(origin: &str, client: impl FnOnce(String) -> Vec<String>) -> Ended {
    let words = client(format!("{origin}/bytes/3000"));
    let ended = Watch::run(&["--tls", "frames"], &words).end(LONG);
    assert!(ended.status.success(), "{}: {}", words.join(" "), ended.errors);
    assert_no_loss(&ended);
    let connections = ended.connections();
    let opened: BTreeMap<String, u64> =
        connections.values().map(|c| (port(c), number(c, "streams_opened"))).collect();
    assert_eq!(opened, counted(origin), "{}", words.join(" "));
    for connection in connections.values() {
        assert_eq!(connection["view"], "frames", "{connection}");
        assert_eq!(connection["frames_received"]["headers"], connection["streams_opened"], "{connection}");
    }
    ended
}

fn assert_bound_with_both_versions(library: &str, client: impl Fn(String) -> Vec<String>) {
    let _turn = take_turns();
    for options in [&[][..], &["tls12"]] {
        let (_server, origin) = server(options);
        let ended = assert_bound(&origin, &client);
        assert!(!ended.connections().is_empty());
        assert!(ended.connections().values().all(|c| c["library"] == library), "{:?}", ended.connections());
    }
}

fn words(program: &Path, rest: &[&str]) -> Vec<String> {
    std::iter::once(program.to_string_lossy().into_owned())
        .chain(rest.iter().map(|&w| w.to_owned()))
        .collect()
}

#[test]
fn go_plain_stripped_and_position_independent() {
    let builds: [(&str, &[&str]); 3] = [
        ("tls-plain", &[]),
        ("tls-stripped", &["-ldflags=-s -w"]),
        ("tls-pie", &["-buildmode=pie", "-ldflags=-s -w"]),
    ];
    for (name, options) in builds {
        let program = go_program(name, options);
        assert_bound_with_both_versions("go", |url| words(&program, &["client", &url, CONNECTIONS]));
    }
}

#[test]
fn node() {
    let script = tools::client_source("tls.mjs");
    assert_bound_with_both_versions("openssl", |url| {
        installed("node", &[&script.to_string_lossy(), &url, CONNECTIONS])
    });
}

#[test]
fn httpx_with_memory_bios() {
    let script = tools::client_source("tls.py");
    assert_bound_with_both_versions("openssl", |url| {
        words(&tools::python(), &[&script.to_string_lossy(), &url, CONNECTIONS])
    });
}

#[test]
fn curl() {
    assert_bound_with_both_versions("openssl", |url| {
        let each = ["-sk", "--http2", "--parallel", "--output", "/dev/null"];
        installed("curl", &[&each[..], &[&format!("{url}?[1-200]")]].concat())
    });
}

#[test]
fn http_1_1_over_tls_is_not_listed() {
    let _turn = take_turns();
    let (_server, origin) = server(&["1.1"]);
    for options in [&["--http2"][..], &["--http1.1"], &["--no-alpn", "--http1.1"]] {
        let urls = format!("{origin}/bytes/[1-50]");
        let words = installed("curl", &[options, &["-sk", "--output", "/dev/null", &urls]].concat());
        for depth in ["frames", "records"] {
            let ended = Watch::run(&["--tls", depth], &words).end(LONG);
            assert!(ended.status.success(), "{}", ended.errors);
            assert_eq!(ended.connections().len(), 0, "{depth} {options:?}: {:?}", ended.connections());
        }
    }
}

#[test]
fn a_stopped_server_is_flagged_at_every_depth() {
    let _turn = take_turns();
    for depth in ["frames", "streams", "records"] {
        let (server, origin) = server(&[]);
        let program = go_program("tls-plain", &[]);
        // The last connection is busy for ten seconds, far beyond the stop.
        let words = words(&program, &["client", &format!("{origin}/bytes/10"), "40", "250"]);
        let watch = Watch::run(&["--tls", depth, "--stall-after", "1s", "--min-streams", "1"], &words);
        watch.wait_for(LONG, "open", |line| line["type"] == "open");
        signal_process(server.pid(), Signal::STOP);
        let stall = watch.wait_for(LONG, "stall", |line| line["type"] == "stall").content;
        assert_eq!(stall["connection"]["view"], depth);
        assert_eq!(stall["connection"]["streams_opened"].is_null(), depth == "records", "{stall}");
        signal_process(server.pid(), Signal::CONT);
        watch.stop();
    }
}
