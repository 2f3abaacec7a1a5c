//! Exact counts on real clients over h2c: streams opened, RST_STREAMs and frames by type are those of an independent parser
//! over the bytes that a link recorded, or those that the client says itself. No loss, no desync.

use crate::support::compare::{
    Sums, approximate, assert_exact, assert_no_loss, counted, frames_of, in_flight, number, sum_below,
};
use crate::support::link::Link;
use crate::support::oracle::Frames;
use crate::support::programs::{installed, role};
use crate::support::watch::{self, Ended, Watch};
use crate::support::{servers, take_turns, tools};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(120);

/// Watches a command from its first packet to its last.
fn watch_to_the_end(words: &[String]) -> Ended {
    finish(Watch::run(&["--interval", "250ms"], words), words)
}

fn finish(watch: Watch, words: &[String]) -> Ended {
    let ended = watch.end(LONG);
    assert!(ended.status.success(), "{}: {}", words.join(" "), ended.errors);
    assert!(ended.of("stall").is_empty(), "false stall: {:?}", ended.of("stall"));
    assert_no_loss(&ended);
    ended
}

/// Watches the command that `client` makes for the address of a recording link, and compares everything.
fn assert_counts(server: SocketAddr, client: impl Fn(SocketAddr) -> Vec<String>) -> (Ended, Sums) {
    let _turn = take_turns();
    let link = Link::to(server);
    let ended = watch_to_the_end(&client(link.address));
    let sums = assert_exact(&ended.connections(), &link);
    println!("{sums:?}");
    (ended, sums)
}

fn h2load(arguments: &[&str]) -> (Ended, Sums) {
    assert_counts(servers::start(), |address| {
        let url = format!("http://{address}/bytes/100");
        installed("h2load", &[arguments, &[url.as_str()]].concat())
    })
}

#[test]
fn h2load_with_ten_connections_and_ten_streams_at_a_time() {
    let (ended, sums) = h2load(&["-n", "20000", "-c", "10", "-m", "10"]);
    assert_eq!((sums.connections, sums.streams), (10, 20_000));
    assert!(ended.errors.contains("20000 succeeded"), "h2load: {}", ended.errors);
}

#[test]
fn h2load_with_ten_connections_and_one_stream_at_a_time() {
    let (ended, sums) = h2load(&["-n", "20000", "-c", "10", "-m", "1"]);
    assert_eq!((sums.connections, sums.streams), (10, 20_000));
    assert!(ended.errors.contains("20000 succeeded"), "h2load: {}", ended.errors);
}

#[test]
fn h2load_straight_to_the_server_agrees_with_its_own_count() {
    let _turn = take_turns();
    let url = format!("http://{}/bytes/100", servers::start());
    let ended = watch_to_the_end(&installed("h2load", &["-n", "20000", "-c", "10", "-m", "10", &url]));
    let opened: u64 = ended.connections().values().map(|c| number(c, "streams_opened")).sum();
    assert_eq!(opened, 20_000);
    assert!(ended.errors.contains("20000 succeeded"), "h2load: {}", ended.errors);
}

/// Debian's curl 7.88 fails by itself when it reuses such a connection: one connection per transfer.
#[test]
fn curl_with_parallel_transfers() {
    let (_, sums) = assert_counts(servers::start(), |address| {
        let urls: Vec<String> = (0..40).map(|i| format!("http://{address}/bytes/{}", i * 3001)).collect();
        let options = ["--silent", "--http2-prior-knowledge", "--parallel", "--parallel-immediate"];
        let mut words = installed("curl", &options);
        words.extend(urls.into_iter().flat_map(|url| [url, "--output".into(), "/dev/null".into()]));
        words
    });
    assert_eq!(sums.streams, 40);
}

#[test]
fn go_client() {
    let (ended, sums) = assert_counts(servers::start(), |address| {
        let url = format!("http://{address}/bytes/5000");
        vec![tools::go_client().to_string_lossy().into_owned(), url, "1000".into(), "20".into()]
    });
    assert_eq!(ended.client()["succeeded"], 1000, "{}", ended.errors);
    assert_eq!(sums.streams, 1000);
}

#[test]
fn node_client_with_cancelled_streams_and_uploads() {
    let (ended, sums) = assert_counts(servers::start(), |address| {
        let script = tools::client_source("client.mjs");
        installed("node", &[&script.to_string_lossy(), &format!("http://{address}"), "700", "15"])
    });
    let client = ended.client();
    assert_eq!((&client["ended"], &client["cancelled"]), (&600.into(), &100.into()));
    assert_eq!((sums.streams, sums.resets_sent), (700, 100));
}

#[test]
fn python_client() {
    let (ended, sums) = assert_counts(servers::start(), |address| {
        let script = tools::client_source("client.py").to_string_lossy().into_owned();
        let url = format!("http://{address}/bytes/3000");
        vec![tools::python().to_string_lossy().into_owned(), script, url, "300".into(), "10".into()]
    });
    assert_eq!(ended.client()["succeeded"], 300);
    assert_eq!(sums.streams, 300);
}

/// Uploads, downloads, trailers, refused and cancelled streams, CONTINUATION, PING, GOAWAY.
fn mixed(server: SocketAddr) {
    let (ended, sums) =
        assert_counts(server, |address| role("mixed", &[address.to_string(), "1000".into(), "20".into()]));
    let client = ended.client();
    assert_eq!((&client["opened"], &client["cancelled"]), (&1000.into(), &200.into()));
    assert_eq!(sums.streams, 1000);
    let connections = ended.connections();
    let connection = connections.values().next().expect("one connection");
    let (sent, received) = (frames_of(connection, "frames_sent"), frames_of(connection, "frames_received"));
    for kind in
        ["data", "headers", "rst_stream", "settings", "ping", "goaway", "window_update", "continuation"]
    {
        assert!(sent.contains_key(kind), "the client sends {kind}: {sent:?}");
    }
    for kind in ["data", "headers", "rst_stream", "settings", "ping", "window_update"] {
        assert!(received.contains_key(kind), "the server sends {kind}: {received:?}");
    }
    assert_eq!(number(connection, "streams_in_flight"), 0, "{connection}");
    // One in ten is cancelled without an answer, another one in ten behind its response HEADERS.
    assert_eq!(client["cancelled_unanswered"], 100);
    assert_eq!(number(connection, "streams_abandoned"), 100, "{connection}");
    assert_eq!(number(&ended.summary()["totals"], "streams_abandoned"), 100);
}

#[test]
fn own_client_with_a_thousand_streams_of_mixed_sizes() {
    mixed(servers::start());
}

#[test]
fn own_client_over_ipv6() {
    mixed(servers::start_v6());
}

#[test]
fn nghttp_counts_the_same_as_it_prints_itself() {
    let _turn = take_turns();
    let server = servers::start();
    let urls: Vec<String> = (0..20).map(|i| format!("http://{server}/bytes/{}", i * 1500)).collect();
    let mut words = installed("nghttp", &["--verbose", "--null-out"]);
    words.extend(urls);
    let ended = watch_to_the_end(&words);
    let connections = ended.connections();
    let connection = connections.values().next().expect("one connection");
    assert_eq!(frames_of(connection, "frames_sent"), printed_by_nghttp(&ended.errors, "send"));
    let (mut seen, mut printed) =
        (frames_of(connection, "frames_received"), printed_by_nghttp(&ended.errors, "recv"));
    // The server's answer to the client's GOAWAY arrives while nghttp is ending: it may not read and print it any more.
    seen.remove("goaway");
    printed.remove("goaway");
    assert_eq!(seen, printed);
}

/// nghttp prints `[  0.001] send SETTINGS frame <length=12, ...>`.
fn printed_by_nghttp(output: &str, direction: &str) -> Frames {
    let mut frames = Frames::new();
    for line in output.lines().filter(|line| line.contains(" frame <length=")) {
        let Some((_, rest)) = line.split_once(&format!("] {direction} ")) else { continue };
        let kind = rest.split(' ').next().unwrap_or_default().to_ascii_lowercase();
        *frames.entry(kind).or_insert(0) += 1;
    }
    frames
}

#[test]
fn goaway_from_the_server_is_counted() {
    let (ended, sums) = assert_counts(servers::start(), |address| {
        let url = format!("http://{address}/goaway");
        installed("curl", &["--silent", "--http2-prior-knowledge", &url])
    });
    assert_eq!(sums.streams, 1);
    let connections = ended.connections();
    let received = frames_of(connections.values().next().expect("one connection"), "frames_received");
    assert!(received.contains_key("goaway"), "{received:?}");
}

/// What is not HTTP/2 is left alone, and nothing of it is a loss.
#[test]
fn a_connection_that_is_not_http2_is_no_loss() {
    let url = format!("http://{}/bytes/100", servers::start());
    let ended =
        Watch::run(&["--interval", "250ms"], &installed("curl", &["--silent", "--http1.1", &url])).end(LONG);
    assert_no_loss(&ended);
    assert!(ended.connections().is_empty(), "{:?}", ended.connections());
    assert_eq!(sum_below(ended.summary(), "frame_budget"), 0, "{}", ended.summary());
}

/// Exact while they are not zero: few streams, many, and more than the window of the newest 1,024 has room for. Of each
/// connection some have response HEADERS and no end, and some nothing at all.
#[test]
fn streams_that_stay_open_are_counted_while_they_are_open() {
    let _turn = take_turns();
    let link = Link::to(servers::start());
    let plans = [(7, 5), (600, 400), (515, 515)];
    let plan = |(begun, hanging): (usize, usize)| {
        let paths = [vec!["/headers"; begun], vec!["/hang"; hanging]].concat();
        format!("{}={}", link.address, paths.join(","))
    };
    let arguments: Vec<String> = std::iter::once("60".to_owned()).chain(plans.map(plan)).collect();
    let options = ["--interval", "250ms", "--stall-after", "60s"];
    let watch = Watch::run(&options, &role("quiet", &arguments));
    let all_begun = |line: &Value| {
        let Some(list) = line["connections"].as_array() else { return false };
        let of = |of: &dyn Fn(&Value) -> u64| list.iter().map(of).sum::<u64>();
        of(&|c| number(c, "streams_opened")) == 2042
            && of(&|c| number(&c["frames_received"], "headers")) == 1122
    };
    watch.wait_for(LONG, "snapshot with every stream", all_begun);
    let snapshot = watch.fresh_snapshot();
    let mut counts = Vec::new();
    for (client, exchange) in counted(&link) {
        let list = snapshot["connections"].as_array().expect("a list");
        let connection = list.iter().find(|c| c["local"] == client.as_str()).expect("it is listed");
        let (open, without_answer) = in_flight(connection);
        assert_eq!((open, without_answer), (exchange.in_flight, exchange.without_answer), "{connection}");
        assert!(!approximate(connection), "{connection}");
        counts.push((open - without_answer, without_answer));
    }
    counts.sort_unstable();
    assert_eq!(counts, [(7, 5), (515, 515), (600, 400)]);
    watch.stop();
}

/// The frame walker of kernels without `bpf_loop` (before Linux 5.17), on this one.
#[test]
fn the_bounded_walker_counts_the_same() {
    let _turn = take_turns();
    let link = Link::to(servers::start());
    let words = role("mixed", &[link.address.to_string(), "1000".into(), "20".into()]);
    let mut command = watch::command(&["--interval", "250ms", "--"]);
    command.args(&words).env("H2WATCH_WALKER", "bounded");
    let ended = finish(Watch::spawn(command), &words);
    println!("{:?}", assert_exact(&ended.connections(), &link));
    let degradations = ended.summary()["degradations"].to_string();
    assert!(degradations.contains("bounded"), "{degradations}");
}

/// At full speed the segments of one connection reach its hook on several processors at once. All of them are walked.
#[test]
fn large_downloads_at_full_speed() {
    let _turn = take_turns();
    let url = format!("http://{}/bytes/200000", servers::start());
    let words = installed("h2load", &["-n", "3000", "-c", "4", "-m", "20", &url]);
    let watch = Watch::run(&["--interval", "1s"], &words);
    let ended = watch.end(Duration::from_secs(120));
    assert!(ended.status.success(), "{}", ended.errors);
    assert_eq!(number(&ended.summary()["losses"], "total"), 0, "{}", ended.summary());
    let mut holes = 0;
    for connection in ended.connections().values() {
        holes += number(connection, "holes");
        // A header that is cut in two by the end of a segment is not found when the second half is walked first.
        if number(connection, "holes_missed") == 0 {
            let data = number(&connection["flow_control"], "data_bytes_received");
            assert_eq!(data, 750 * 200_000, "{connection}");
            assert_eq!(number(&connection["frames_received"], "unknown"), 0, "{connection}");
        } else {
            assert!(holes > 0, "nothing came out of order: {connection}");
        }
    }
    println!("holes: {holes}");
}
