//! What looks like silence and is none: for a whole minute nothing of it is flagged.

mod calm;
mod report;

use crate::support::programs::role;
use crate::support::servers;
use crate::support::watch::Watch;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;

/// One connection each: idle after an answered request; a single long poll without any answer; a stream with response
/// HEADERS and no DATA; many of those; a long poll beside requests that are answered; a connection without any request.
#[test]
fn idle_connections_long_polls_and_quiet_streams_are_not_flagged_in_a_minute() {
    let server: SocketAddr = servers::start();
    let plans =
        ["/bytes/10", "/hang", "/headers", "/headers,/headers,/headers,/headers", "/hang,+/bytes/10", ""];
    let mut arguments = vec!["61".to_owned()];
    arguments.extend(plans.iter().map(|plan| format!("{server}={plan}")));
    let watch = Watch::run(&["--interval", "1s", "--stall-after", "1s"], &role("quiet", &arguments));
    watch.wait_until_ready();
    watch.wait_for_word(Duration::from_secs(20), "SETTLED");
    let ended = watch.end(Duration::from_secs(80));
    assert!(ended.of("stall").is_empty(), "flagged: {:#?}", ended.of("stall"));
    let full =
        |snapshot: &&&Value| snapshot["connections"].as_array().is_some_and(|list| list.len() == plans.len());
    let snapshots = ended.of("snapshot");
    let watched = snapshots.iter().filter(full).count();
    assert!(watched >= 58, "every connection is watched for a minute: {watched} snapshots with all of them");
    let last = snapshots.iter().rfind(full).expect("at least one");
    let connections = last["connections"].as_array().expect("a list");
    let verdicts: Vec<_> = connections.iter().map(|c| c["verdict"].as_str().unwrap_or_default()).collect();
    assert!(!verdicts.contains(&"stalled"), "{verdicts:?}");
    println!("after a minute: {verdicts:?}");
}
