//! What a client reads before its first record names the socket is counted, also when it never reads again.

use super::clients::script;
use super::peer::Peer;
use crate::support::compare::number;
use crate::support::watch::Watch;
use crate::support::{take_turns, tools};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;
use std::fs::File;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

/// The client, probed and let go; its peer lives as long as is wanted.
fn start(mode: &str) -> (Peer, Watch) {
    let peer = Peer::start(&["curt"]);
    let (host, port) = (peer.address.ip().to_string(), peer.address.port().to_string());
    let begin = peer.folder().join("begin");
    mknodat(CWD, &begin, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
    let words = [mode, &host, &port, &begin.to_string_lossy()];
    let client = script(&tools::python(), "exact/early.py", &words);
    let watch = Watch::run(&["--tls", "frames", "--interval", "100ms"], &client);
    let probed = |line: &Value| line["type"] == "process" && line["process"]["view"] == "frames";
    watch.wait_for(LONG, "process with probes", probed);
    File::options().write(true).open(&begin).expect("the client waits at the pipe");
    (peer, watch)
}

fn assert_settings_are_counted(mode: &str) {
    let (_peer, watch) = start(mode);
    let asked = |line: &Value| {
        let connection = &line["connections"][0];
        line["type"] == "snapshot" && connection["frames_sent"]["headers"] == 1
    };
    watch.wait_for(LONG, "snapshot with the request", asked);
    // All of it was sent in one call, so this one begins after everything that the client did.
    let snapshot = watch.fresh_snapshot();
    let connection = &snapshot["connections"][0];
    assert_eq!(connection["view"], "frames", "{mode}: {connection}");
    assert_eq!(number(&connection["frames_received"], "settings"), 1, "{mode}: {connection}");
    watch.stop();
}

#[test]
fn settings_that_are_read_before_anything_is_written() {
    let _turn = take_turns();
    assert_settings_are_counted("socket");
    assert_settings_are_counted("memory");
}

/// Records that leave long after they were written belong to no write that is known: that is counted, and no stream is claimed.
#[test]
fn writes_that_are_sent_much_later_are_counted_as_unassociated() {
    let _turn = take_turns();
    let (_peer, watch) = start("late");
    let lost = |line: &Value| line["losses"]["unassociated"].as_u64() > Some(10);
    watch.wait_for(LONG, "line with writes that are not associated", lost);
    let snapshot = watch.fresh_snapshot();
    let connection = &snapshot["connections"][0];
    assert_eq!(
        (&connection["view"], &connection["streams_opened"]),
        (&"records".into(), &Value::Null),
        "{connection}"
    );
    assert!(number(&connection["records_sent"], "application") > 10, "{connection}");
    watch.stop();
}
