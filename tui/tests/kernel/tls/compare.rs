//! One run of a client under h2watch, compared three ways by the client's port: what h2watch says of the socket, what the
//! client says, and what its peer saw.

use super::clients::{CURL_TOO_LARGE, Client, Said};
use super::peer::Peer;
use crate::support::compare::{approximate, desyncs, frames_of, number, values};
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

/// A client's run under h2watch.
pub(super) struct Run {
    pub(super) outcome: Outcome,
    pub(super) ended: Ended,
    peer: BTreeMap<String, Exchange>,
}

/// Runs it with `--tls DEPTH`. `options` are the peer's.
pub(super) fn run(client: &Client, options: &[&str], depth: &str, connections: usize, streams: usize) -> Run {
    run_with(client, options, depth, (connections, streams), |_| {})
}

/// Likewise; `prepare` has h2watch before its end is waited for.
pub(super) fn run_with(
    client: &Client,
    options: &[&str],
    depth: &str,
    (connections, streams): (usize, usize),
    prepare: impl FnOnce(&mut Watch),
) -> Run {
    let peer = Peer::start(options);
    let words = (client.command)(&peer, connections, streams);
    let mut watch = Watch::run(&["--tls", depth], &words);
    prepare(&mut watch);
    let ended = watch.end(LONG);
    let succeeded = ended.status.success() || ended.status.code() == Some(CURL_TOO_LARGE);
    assert!(succeeded, "{}: {}: {}", words.join(" "), ended.status, ended.errors);
    let peer = peer.counted();
    let outcome = compare(client, version(options), depth, &ended, &peer);
    println!("{outcome:?}");
    Run { outcome, ended, peer }
}

impl Run {
    /// If two connections were taken for one another it would show, also where both have as many frames of each type.
    pub(super) fn assert_an_exchange_would_show(&self, client: &Client, depth: &str) {
        let frames = |(local, c): (String, Value)| {
            (format!("{:?} {:?}", frames_of(&c, "frames_sent"), frames_of(&c, "frames_received")), local)
        };
        let mut known = BTreeMap::<String, String>::new();
        let all = self.ended.connections().into_iter().map(frames);
        let pair =
            all.filter_map(|(frames, local)| Some((known.insert(frames, local.clone())?, local))).next();
        let (one, other) = pair.expect("two connections with as many frames of each type");
        let exchange = |line: &Value| {
            let text = line.to_string().replace(&one, "ONE").replace(&other, &one).replace("ONE", &other);
            serde_json::from_str(&text).expect("JSON as before")
        };
        let lines = self.ended.lines.iter().map(exchange).collect();
        let ended = Ended {
            pid: self.ended.pid,
            status: self.ended.status,
            lines,
            errors: self.ended.errors.clone(),
        };
        let outcome = compare(client, self.outcome.version, depth, &ended, &self.peer);
        assert_eq!(outcome.wrong, 2, "{one} and {other} exchanged: {outcome:?}");
    }
}

/// What one connection is known by: its frames by type and what they say in fixed fields, in each direction that is walked.
/// GOAWAY that the peer says in answer to the client's own is left out: nobody reads it any more.
type Numbers = BTreeMap<&'static str, (Frames, Value)>;

fn numbers(both_ways: bool, of: impl Fn(&'static str) -> (Frames, Value)) -> Numbers {
    let ways: &[&'static str] = if both_ways { &["sent", "received"] } else { &["sent"] };
    let mut numbers: Numbers = ways.iter().map(|&way| (way, of(way))).collect();
    if let Some((frames, values)) = numbers.get_mut("received") {
        frames.remove("goaway");
        values["goaway"] = Value::Null;
    }
    numbers
}

fn seen(connection: &Value, both_ways: bool) -> Numbers {
    numbers(both_ways, |way| (frames_of(connection, &format!("frames_{way}")), values(connection, way)))
}

fn told(exchange: &Exchange, both_ways: bool) -> Numbers {
    numbers(both_ways, |way| {
        let counted = if way == "sent" { &exchange.sent } else { &exchange.received };
        (counted.frames.clone(), counted.values.clone())
    })
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
    complaints.extend(alike(peer, depth == "frames"));
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
        let both_ways = connection["view"] == "frames";
        // `auto` takes one of these, by what the build of the library costs.
        let as_asked =
            connection["view"] == depth || depth == "auto" && (both_ways || connection["view"] == "streams");
        // In flight is a guess where answers are not seen.
        let doubtful = both_ways && approximate(connection) || connection["joined_late"] == true;
        if !as_asked || connection["library"] != library || doubtful {
            let shown = ["view", "library", "approximate", "joined_late"].map(|key| &connection[key]);
            complaints.push(format!("port {port}: view, library, approximate, joined_late are {shown:?}"));
            continue;
        }
        counted.opened += number(connection, "streams_opened");
        counted.cancelled += number(connection, "streams_reset_sent");
        let (seen, true_ones) = (seen(connection, both_ways), told(exchange, both_ways));
        if seen == true_ones {
            equal += 1;
            continue;
        }
        let of_another = peer.values().any(|another| told(another, both_ways) == seen);
        wrong += usize::from(of_another || has_more(&seen, &true_ones));
        complaints.push(format!("port {port}: h2watch has {seen:?}, the peer {true_ones:?}"));
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

/// Pairs of connections that could be taken for one another and nobody would notice: none, or the run shows little.
fn alike(peer: &BTreeMap<String, Exchange>, both_ways: bool) -> Vec<String> {
    let mut ports = BTreeMap::<String, &String>::new();
    let another = |(port, exchange): (_, &Exchange)| {
        let same = ports.insert(format!("{:?}", told(exchange, both_ways)), port)?;
        Some(format!("the client did the same on ports {same} and {port}"))
    };
    peer.iter().filter_map(another).collect()
}

fn losses(ended: &Ended) -> Vec<String> {
    let mut complaints: Vec<String> = ended.of("loss").iter().map(ToString::to_string).collect();
    complaints.extend(ended.of("stall").iter().map(|line| format!("false stall: {line}")));
    if desyncs(ended.summary()) > 0 {
        complaints.push(format!("desyncs in {}", ended.summary()));
    }
    complaints
}

/// h2watch has frames that the peer does not.
fn has_more(seen: &Numbers, true_ones: &Numbers) -> bool {
    let of = |way| true_ones.get(way).map(|(frames, _)| frames);
    seen.iter().any(|(way, (frames, _))| {
        frames.iter().any(|(kind, n)| of(way).and_then(|theirs| theirs.get(kind)).unwrap_or(&0) < n)
    })
}

fn resets(frames: &Frames) -> u64 {
    frames.get("rst_stream").copied().unwrap_or(0)
}

/// The client's port.
pub(super) fn port(connection: &Value) -> String {
    text(&connection["local"]).rsplit(':').next().expect("an address has a port").to_owned()
}
