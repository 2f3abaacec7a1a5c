//! JSON lines: what each holds, that nothing is claimed which the view cannot know, and that docs/json.md names every key.

use crate::fixture::{self, MS, SECOND};
use h2watch::json;
use h2watch::model::sample::{Goaway, Library, Losses, View};
use h2watch::model::snapshot::{Change, Connection, Snapshot};
use h2watch::reset::latency::Latency;
use h2watch::verdict::Cause;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

const REMOTE: &str = "10.0.3.17:8443";

fn parse(line: &str) -> Value {
    assert!(!line.contains('\n'), "one line: {line}");
    serde_json::from_str(line).unwrap()
}

fn of(connection: Connection) -> Value {
    let snapshot = fixture::snapshot(vec![connection]);
    parse(&json::snapshot(&snapshot))["connections"][0].take()
}

/// Every kind of line, with every optional object present in at least one of them.
fn every_line() -> Vec<Value> {
    let mut full = fixture::stalled(7, Cause::BlackHole, 12_440 * MS, 37);
    full.reading.tls = fixture::records(1, 1, "x", REMOTE).reading.tls;
    full.reading.sent.records = fixture::records(1, 1, "x", REMOTE).reading.sent.records;
    full.reading.received.records = full.reading.sent.records;
    full.reading.received.goaway = Some(fixture::goaway(SECOND));
    full.reading.sent.goaway = Some(fixture::goaway(SECOND));
    let mut snapshot = fixture::snapshot(vec![full.clone()]);
    snapshot.processes =
        vec![fixture::process(1, "curl", Some(Library::OpenSsl), View::Frames, "libssl 3.0")];
    let boxed = || Box::new(full.clone());
    let reset = json::Reset {
        connection: &full,
        mode: "confirm",
        result: "done",
        reason: "asked for",
        latency_us: Some(412),
        new_connection_after_ms: Some(3),
        first_frame_after_ms: Some(5),
        streams_lost: Some(37),
    };
    let changes = [
        Change::Opened(boxed()),
        Change::Stalled(boxed()),
        Change::Sharpened(boxed()),
        Change::Recovered { connection: boxed(), stalled_ns: 9 * SECOND },
        Change::Closed(boxed()),
        Change::Lost(Losses { ring_full: 2, ..Losses::default() }),
        Change::Process(snapshot.processes[0].clone()),
    ];
    let mut lines = vec![parse(&json::ready(&snapshot, "pid 4213 (orders-api)"))];
    lines.extend(changes.iter().map(|change| parse(&json::change(&snapshot, change))));
    lines.push(parse(&json::reset(&snapshot, &reset)));
    lines.push(parse(&json::snapshot(&snapshot)));
    let mut latency = Latency::default();
    latency.record(Duration::from_micros(412));
    lines.push(parse(&json::summary(&snapshot, Duration::from_millis(10_004), Some(&latency))));
    lines
}

#[test]
fn every_line_has_schema_type_and_time() {
    let types: Vec<_> = every_line()
        .iter()
        .map(|line| {
            assert_eq!(line["schema"], 1);
            assert_eq!(line["time"], "2026-03-14T09:26:53.589Z");
            line["type"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(
        types,
        [
            "ready", "open", "stall", "sharpen", "recover", "close", "loss", "process", "reset", "snapshot",
            "summary"
        ]
    );
}

#[test]
fn the_summary_has_how_late_resets_were_where_there_may_be_some() {
    let snapshot = fixture::snapshot(vec![]);
    assert!(parse(&json::summary(&snapshot, Duration::ZERO, None))["reset_latency"].is_null());
    let mut latency = Latency::default();
    for us in [412, 488, 6_000_000] {
        latency.record(Duration::from_micros(us));
    }
    let line = parse(&json::summary(&snapshot, Duration::ZERO, Some(&latency)));
    let told = &line["reset_latency"];
    assert_eq!(
        (&told["count"], &told["sum_us"], &told["max_us"]),
        (&3.into(), &6_000_900.into(), &6_000_000.into())
    );
    let bucket = |n: usize| (told["buckets"][n]["up_to_us"].as_u64(), told["buckets"][n]["count"].as_u64());
    assert_eq!(
        [bucket(0), bucket(1), bucket(10)],
        [(Some(250), Some(0)), (Some(500), Some(2)), (None, Some(1))]
    );
}

#[test]
fn a_stall_carries_its_evidence_and_its_spans() {
    let connection = fixture::stalled(7, Cause::SilentPeer, 12_440 * MS, 37);
    let snapshot = fixture::snapshot(vec![]);
    let line = parse(&json::change(&snapshot, &Change::Stalled(Box::new(connection))));
    let connection = &line["connection"];
    assert_eq!(connection["id"], "7");
    assert_eq!(connection["verdict"], "stalled");
    assert_eq!(connection["cause"], "silent_peer");
    assert_eq!(connection["severity"], "critical");
    assert_eq!(connection["silence_ms"], 12_440);
    assert_eq!(connection["oldest_unanswered_ms"], 12_440);
    assert_eq!(connection["last_frame_received_ms"], 12_480);
    assert_eq!(connection["stalled_ms"], 9_440);
    assert_eq!(connection["streams_unanswered"], 37);
    assert_eq!(connection["damage"], 33);
    assert_eq!(connection["tcp"]["timer"], "retransmit");
    assert!(connection["evidence"].as_str().unwrap().starts_with("37 streams in 12.4 s"));
}

#[test]
fn records_claim_no_stream_and_no_frame() {
    let connection = of(fixture::records(1, 9, "java", REMOTE));
    for (key, value) in connection.as_object().unwrap() {
        if key.starts_with("streams_") || key.starts_with("frames_") {
            assert!(value.is_null(), "{key} is {value}");
        }
    }
    for key in ["damage", "ping", "flow_control", "library"] {
        assert!(connection[key].is_null(), "{key}");
    }
    assert_eq!(connection["records_unanswered"], 0);
    assert_eq!(connection["records_sent"]["application"], 812);
    assert_eq!(connection["sni"], "api.payments.example");
}

#[test]
fn streams_claim_nothing_of_what_the_peer_sent() {
    let connection = of(fixture::streams(1, 9, "curl", REMOTE, Library::OpenSsl));
    assert_eq!(connection["streams_opened"], 5_120);
    assert_eq!(connection["frames_sent"]["headers"], 48_210);
    assert_eq!(connection["ping"]["sent"], 3);
    for key in ["frames_received", "streams_reset_received", "streams_without_answer", "records_unanswered"] {
        assert!(connection[key].is_null(), "{key}");
    }
    assert!(connection["ping"]["acks_received"].is_null());
}

#[test]
fn a_peer_that_asks_for_calm_is_named() {
    let mut connection = fixture::stalled(1, Cause::GoawayIgnored, 10 * SECOND, 4);
    assert_eq!(of(connection.clone())["ping"]["enhance_your_calm"], false);
    connection.reading.received.goaway = Some(Goaway { code: 0xb, ..fixture::goaway(SECOND) });
    let said = of(connection.clone());
    assert_eq!(said["goaway_received"]["error"], "ENHANCE_YOUR_CALM");
    assert_eq!(said["ping"]["enhance_your_calm"], true);
    connection.reading.view = View::Streams;
    assert!(of(connection)["ping"]["enhance_your_calm"].is_null());
}

#[test]
fn a_closed_connection_is_measured_at_its_close() {
    let connection = of(fixture::closed(fixture::stalled(1, Cause::Unknown, 10 * SECOND, 4), 2 * SECOND));
    assert_eq!(connection["state"], "closed");
    assert_eq!(connection["age_ms"], 310_000);
    assert_eq!(connection["silence_ms"], 8_000);
}

#[test]
fn a_cookie_beyond_53_bits_survives() {
    let mut connection = fixture::idle(1, 9, "node", "[2001:db8::1]:443");
    connection.reading.id = u64::MAX;
    let connection = of(connection);
    assert_eq!(connection["id"], "18446744073709551615");
    assert_eq!(connection["remote"], "[2001:db8::1]:443");
}

#[test]
fn names_from_processes_and_certificates_stay_one_line() {
    let connection = of(fixture::idle(1, 9, "a\"b\n{\u{1b}", REMOTE));
    assert_eq!(connection["comm"], "a\"b\n{\u{1b}");
}

#[test]
fn an_empty_snapshot_is_a_line_too() {
    let line = parse(&json::snapshot(&Snapshot::default()));
    assert_eq!(line["connections"], Value::Array(vec![]));
    assert_eq!(line["time"], "1970-01-01T00:00:00.000Z");
}

/// Objects that have a section of their own in docs/json.md, by the key that carries them.
fn section(key: &str) -> Option<&'static str> {
    Some(match key {
        "connection" | "connections" => "connection",
        "process" | "processes" => "process",
        "frames_sent" | "frames_received" => "frames",
        "records_sent" | "records_received" => "records",
        "goaway_sent" | "goaway_received" => "goaway",
        "ping" => "ping",
        "flow_control" => "flow_control",
        "peer_settings" | "own_settings" => "settings",
        "tcp" => "tcp",
        "losses" => "losses",
        "totals" => "totals",
        "reset_latency" => "reset_latency",
        "buckets" => "bucket",
        _ => return None,
    })
}

fn collect(section_name: &str, value: &Value, keys: &mut BTreeSet<(String, String)>) {
    for (key, value) in value.as_object().unwrap() {
        keys.insert((section_name.to_owned(), key.clone()));
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for object in values.iter().filter(|value| value.is_object()) {
            let name = section(key).unwrap_or_else(|| panic!("{key} is an object without a section"));
            // `ping` and `goaway` are also frame types, which are numbers.
            collect(name, object, keys);
        }
    }
}

/// `(section, key)` of each table row; a section is a heading that is one word in backquotes.
fn documented() -> BTreeSet<(String, String)> {
    let text = include_str!("../../../docs/json.md");
    let quoted = |text: &str| text.split('`').nth(1).map(str::to_owned);
    let mut section = None;
    let mut keys = BTreeSet::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("#") {
            section = quoted(heading);
        } else if let (Some(section), true) = (&section, line.starts_with("| `")) {
            keys.insert((section.clone(), quoted(line).unwrap()));
        }
    }
    keys
}

#[test]
fn the_documentation_names_every_key_and_no_other() {
    let mut emitted = BTreeSet::new();
    for line in every_line() {
        let name = line["type"].as_str().unwrap().to_owned();
        let mut own = BTreeSet::new();
        collect(&name, &line, &mut own);
        // What every line has is documented once.
        emitted.extend(own.into_iter().map(|(section, key)| match key.as_str() {
            "schema" | "type" | "time" | "recording" => ("line".to_owned(), key),
            _ => (section, key),
        }));
    }
    let documented = documented();
    let missing: Vec<_> = emitted.difference(&documented).collect();
    let stale: Vec<_> = documented.difference(&emitted).collect();
    assert!(missing.is_empty() && stale.is_empty(), "not documented: {missing:?}\nnot emitted: {stale:?}");
}
