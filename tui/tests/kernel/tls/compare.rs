//! One run of a client under h2watch, compared three ways by the client's port: what h2watch says of the socket, what the
//! client says, and what its peer saw.

use super::clients::{CURL_TOO_LARGE, Client, Said};
use super::peer::Peer;
use crate::support::compare::{approximate, desyncs, frames_of, number};
use crate::support::oracle::{Exchange, Frames};
use crate::support::watch::{Ended, Watch, text};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(300);

/// A row of the table.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) client: &'static str,
    pub(super) library: &'static str,
    pub(super) version: &'static str,
    /// Connections that the peer saw; of those, the ones with every frame of both directions as the peer has it.
    pub(super) connections: usize,
    pub(super) equal: usize,
    pub(super) said: Said,
    pub(super) counted: Said,
    /// Connections with a frame more than the peer saw, or with another connection's numbers.
    pub(super) wrong: usize,
    /// Every other thing that is not as it should be, in words.
    pub(super) complaints: Vec<String>,
}

impl Outcome {
    pub(super) fn is_exact(&self) -> bool {
        self.complaints.is_empty()
            && self.wrong == 0
            && self.equal == self.connections
            && self.said == self.counted
    }
}

/// TLS as the peer's options have it.
pub(super) fn version(options: &[&str]) -> &'static str {
    match options {
        _ if options.contains(&"chacha") => "1.2 ChaCha20",
        _ if options.contains(&"tls12") => "1.2",
        _ => "1.3",
    }
}

/// Runs it with `--tls DEPTH`. `options` are the peer's.
pub(super) fn run(
    client: &Client,
    options: &[&str],
    depth: &str,
    connections: usize,
    streams: usize,
) -> (Outcome, Ended) {
    let peer = Peer::start(options);
    let words = (client.command)(&peer, connections, streams);
    let ended = Watch::run(&["--tls", depth], &words).end(LONG);
    let succeeded = ended.status.success() || ended.status.code() == Some(CURL_TOO_LARGE);
    assert!(succeeded, "{}: {}: {}", words.join(" "), ended.status, ended.errors);
    let outcome = compare(client, version(options), depth, &ended, &peer.counted());
    println!("{outcome:?}");
    (outcome, ended)
}

fn compare(
    client: &Client,
    version: &'static str,
    depth: &str,
    ended: &Ended,
    peer: &BTreeMap<String, Exchange>,
) -> Outcome {
    let (library, name) = (client.library, client.name);
    let said = (client.said)(ended);
    let watched: BTreeMap<String, Value> =
        ended.connections().into_values().map(|connection| (port(&connection), connection)).collect();
    let mut complaints = losses(ended);
    for (port, exchange) in peer {
        let own = Said { opened: exchange.sent.streams, cancelled: resets(&exchange.sent.frames) };
        if said.get(port) != Some(&own) {
            complaints.push(format!("port {port}: the client says {:?}, its peer {own:?}", said.get(port)));
        }
        if !watched.contains_key(port) {
            complaints.push(format!("port {port} is not listed"));
        }
    }
    let (mut equal, mut wrong, mut counted) = (0, 0, Said::default());
    for (port, connection) in &watched {
        let Some(exchange) = peer.get(port) else {
            complaints.push(format!("port {port} is listed, and its peer saw no HTTP/2 there"));
            continue;
        };
        // In flight is a guess where answers are not seen.
        let doubtful = depth == "frames" && approximate(connection) || connection["joined_late"] == true;
        if connection["view"] != depth || connection["library"] != library || doubtful {
            let shown = ["view", "library", "approximate", "joined_late"].map(|key| &connection[key]);
            complaints.push(format!("port {port}: view, library, approximate, joined_late are {shown:?}"));
            continue;
        }
        counted.opened += number(connection, "streams_opened");
        counted.cancelled += number(connection, "streams_reset_sent");
        let difference = differences(connection, exchange, depth == "frames");
        equal += usize::from(difference.is_none());
        if let Some(difference) = difference {
            // Each connection has frames or bodies of its own.
            let seen = (
                frames_of(connection, "frames_sent"),
                number(&connection["flow_control"], "data_bytes_sent"),
            );
            let of_another = |(other, theirs): (&String, &Exchange)| {
                let same = |of: &Exchange| {
                    seen.0 == of.sent.frames && seen.1 == number(&of.sent.values, "data_bytes")
                };
                other != port && !same(exchange) && same(theirs)
            };
            wrong += usize::from(difference.more || peer.iter().any(of_another));
            complaints.push(format!("port {port}: {}", difference.text));
        }
    }
    let said = said.values().fold(Said::default(), |a, b| Said {
        opened: a.opened + b.opened,
        cancelled: a.cancelled + b.cancelled,
    });
    Outcome {
        client: name,
        library,
        version,
        connections: peer.len(),
        equal,
        said,
        counted,
        wrong,
        complaints,
    }
}

fn losses(ended: &Ended) -> Vec<String> {
    let mut complaints: Vec<String> = ended.of("loss").iter().map(ToString::to_string).collect();
    complaints.extend(ended.of("stall").iter().map(|line| format!("false stall: {line}")));
    if desyncs(ended.summary()) > 0 {
        complaints.push(format!("desyncs in {}", ended.summary()));
    }
    complaints
}

struct Difference {
    /// h2watch has frames that the peer does not.
    more: bool,
    text: String,
}

/// Frames by type, and bytes of bodies. GOAWAY that the peer says in answer to the client's own is left out: nobody reads it any more.
fn differences(connection: &Value, exchange: &Exchange, both_ways: bool) -> Option<Difference> {
    let without_goaway = |mut frames: Frames| {
        frames.remove("goaway");
        frames
    };
    let with_bytes = |mut frames: Frames, data_bytes: u64| {
        frames.insert("data_bytes".to_owned(), data_bytes);
        frames
    };
    let seen = with_bytes(
        frames_of(connection, "frames_sent"),
        number(&connection["flow_control"], "data_bytes_sent"),
    );
    let mut pairs = vec![(
        "sent",
        seen,
        with_bytes(exchange.sent.frames.clone(), number(&exchange.sent.values, "data_bytes")),
    )];
    if both_ways {
        let bytes = number(&connection["flow_control"], "data_bytes_received");
        let seen = with_bytes(without_goaway(frames_of(connection, "frames_received")), bytes);
        let theirs = without_goaway(exchange.received.frames.clone());
        pairs.push(("received", seen, with_bytes(theirs, number(&exchange.received.values, "data_bytes"))));
    }
    let different: Vec<_> = pairs.into_iter().filter(|(_, seen, true_ones)| seen != true_ones).collect();
    if different.is_empty() {
        return None;
    }
    let more = different
        .iter()
        .any(|(_, seen, true_ones)| seen.iter().any(|(kind, n)| n > true_ones.get(kind).unwrap_or(&0)));
    let text: Vec<String> = different
        .iter()
        .map(|(way, seen, true_ones)| format!("{way}: h2watch has {seen:?}, the peer {true_ones:?}"))
        .collect();
    Some(Difference { more, text: text.join("; ") })
}

fn resets(frames: &Frames) -> u64 {
    frames.get("rst_stream").copied().unwrap_or(0)
}

/// The client's port.
pub(super) fn port(connection: &Value) -> String {
    text(&connection["local"]).rsplit(':').next().expect("an address has a port").to_owned()
}
