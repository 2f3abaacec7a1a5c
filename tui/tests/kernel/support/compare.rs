//! Compares what h2watch says of connections with what the oracle counted in the recordings of a link.

use super::link::Link;
use super::oracle::{self, Exchange, Frames};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Sums over all connections of a test.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    pub(crate) connections: usize,
    pub(crate) streams: u64,
    pub(crate) resets_sent: u64,
    pub(crate) frames: u64,
}

/// Frame counts of one direction as h2watch's JSON has them, without zeros and without the total.
pub(crate) fn frames_of(connection: &Value, direction: &str) -> Frames {
    let Some(counted) = connection[direction].as_object() else { return Frames::new() };
    let numbers = counted.iter().filter(|(kind, _)| *kind != "total");
    numbers.map(|(kind, n)| (kind.clone(), n.as_u64().unwrap_or(0))).filter(|(_, n)| *n > 0).collect()
}

/// A counter of a connection.
pub(crate) fn number(connection: &Value, name: &str) -> u64 {
    connection[name].as_u64().unwrap_or_else(|| panic!("`{name}` is no number in {connection}"))
}

/// Every connection that passed the link has the oracle's counts: streams, RST_STREAMs, frames by type, both ways.
pub(crate) fn assert_exact(watched: &BTreeMap<String, Value>, link: &Link) -> Sums {
    let mut sums = Sums::default();
    // Go dials more connections than it then uses.
    for (client, exchange) in counted(link).into_iter().filter(|(_, exchange)| exchange.sent.streams > 0) {
        let connection =
            watched.get(&client).unwrap_or_else(|| panic!("{client} is not among {:?}", watched.keys()));
        assert_same(&client, connection, &exchange);
        sums.connections += 1;
        sums.streams += exchange.sent.streams;
        sums.resets_sent += exchange.sent.frames.get("rst_stream").unwrap_or(&0);
        sums.frames += exchange.sent.frames.values().chain(exchange.received.frames.values()).sum::<u64>();
    }
    assert!(sums.connections > 0, "no connection passed the link");
    sums
}

fn assert_same(client: &str, connection: &Value, exchange: &Exchange) {
    assert_eq!(frames_of(connection, "frames_sent"), exchange.sent.frames, "frames sent on {client}");
    assert_eq!(
        frames_of(connection, "frames_received"),
        exchange.received.frames,
        "frames received on {client}"
    );
    assert_eq!(number(connection, "streams_opened"), exchange.sent.streams, "streams opened on {client}");
    assert_eq!(connection["joined_late"], false, "{client} was seen from its beginning");
    for (way, counted) in [("sent", &exchange.sent), ("received", &exchange.received)] {
        assert_eq!(values(connection, way), counted.values, "values {way} on {client}: {connection}");
    }
    assert_eq!(
        in_flight(connection),
        (exchange.in_flight, exchange.without_answer),
        "{client}: {connection}"
    );
    assert_eq!(
        (exchange.sent.rest, exchange.received.rest),
        (0, 0),
        "{client}: the recording ends within a frame"
    );
}

/// What h2watch read from fixed fields of the frames of one direction, in the oracle's names.
pub(crate) fn values(connection: &Value, way: &str) -> Value {
    let (flow, ping) = (&connection["flow_control"], &connection["ping"]);
    let goaway = match &connection[format!("goaway_{way}")] {
        Value::Null => Value::Null,
        goaway => json!({ "last_stream": goaway["last_stream"], "code": goaway["code"] }),
    };
    json!({
        "data_bytes": flow[format!("data_bytes_{way}")],
        "window_granted_bytes": flow[format!("window_granted_{way}_bytes")],
        "pings": ping[way],
        "ping_acks": ping[format!("acks_{way}")],
        "resets": connection[format!("streams_reset_{way}")],
        "goaway": goaway,
        "settings": flow[if way == "sent" { "own_settings" } else { "peer_settings" }],
    })
}

/// Streams in flight, and those of them without answer.
pub(crate) fn in_flight(connection: &Value) -> (u64, u64) {
    (number(connection, "streams_in_flight"), number(connection, "streams_without_answer"))
}

/// What the oracle counts per client address.
pub(crate) fn counted(link: &Link) -> Vec<(String, Exchange)> {
    let recordings = link.recordings();
    let counted = oracle::count(&recordings.values().collect::<Vec<_>>());
    recordings.keys().map(ToString::to_string).zip(counted).collect()
}

/// Nothing was lost, and the alignment was never lost.
pub(crate) fn assert_no_loss(ended: &super::watch::Ended) {
    assert!(ended.of("loss").is_empty(), "losses: {:?}", ended.of("loss"));
    let desyncs = desyncs(ended.summary());
    assert_eq!(desyncs, 0, "desyncs in {}", ended.summary());
    for connection in ended.connections().values() {
        assert!(!approximate(connection), "approximate without need: {connection}");
    }
}

/// Desyncs in an object: the sum of every number below a key named so.
pub(crate) fn desyncs(value: &Value) -> u64 {
    sum_below(value, "desyncs")
}

/// The sum of every number below a key.
pub(crate) fn sum_below(value: &Value, wanted: &str) -> u64 {
    match value {
        Value::Object(fields) => {
            fields
                .iter()
                .map(|(name, v)| {
                    if name == wanted && v.is_u64() { v.as_u64().unwrap_or(0) } else { sum_below(v, wanted) }
                })
                .sum()
        }
        Value::Array(items) => items.iter().map(|item| sum_below(item, wanted)).sum(),
        _ => 0,
    }
}

/// True where h2watch says that counts of streams in flight may be off.
pub(crate) fn approximate(connection: &Value) -> bool {
    connection["approximate"] == true
}
