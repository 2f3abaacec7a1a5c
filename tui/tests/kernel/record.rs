//! What `h2watch record` writes down is what `h2watch` saw: replayed, it gives the same lines.

use crate::support::link::Link;
use crate::support::programs::role;
use crate::support::watch::{Ended, Watch};
use crate::support::{servers, take_turns, tools};
use rustix::process::Signal;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// Records a client whose link is unplugged and plugged in again.
fn record(file: &Path, options: &[&str], end: impl FnOnce(Watch) -> Ended) -> Ended {
    tools::require_root();
    let _turn = take_turns();
    let link = Link::to(servers::start());
    let words = ["10", "100", "/bytes/10", &link.address.to_string()].map(str::to_owned);
    let mut command = Command::new(env!("CARGO_BIN_EXE_h2watch"));
    command.arg("record").arg(file).args(["--output", "json", "--stall-after", "500ms"]).args(options);
    command.arg("--").args(role("steady", &words));
    let watch = Watch::spawn(command);
    watch.wait_for_word(SOON, "CONNECTED");
    watch.wait_for(SOON, "snapshot with streams", |line| {
        line["type"] == "snapshot" && line["totals"]["streams_opened"].as_u64() > Some(10)
    });
    link.unplug();
    watch.wait_for(SOON, "stall", |line| line["type"] == "stall");
    link.plug_in();
    let (next, _) = watch.wait_after(0, SOON, "recover", |line| line["type"] == "recover");
    watch.wait_after(next, SOON, "snapshot", |line| line["type"] == "snapshot");
    end(watch)
}

/// Exit status and lines of a replay.
fn replay(file: &Path) -> (Option<i32>, Vec<Value>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_h2watch"));
    let output = command.arg("replay").arg(file).args(["--output", "json"]).output().expect("h2watch starts");
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    (output.status.code(), lines, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Lines about connections; whether they are recorded is left out.
fn events(lines: &[Value]) -> Vec<Value> {
    let about_connections = lines.iter().filter(|line| line.get("connection").is_some());
    let mut events: Vec<Value> = about_connections.cloned().collect();
    events.iter_mut().for_each(|line| line["recording"] = Value::Null);
    events
}

#[test]
fn a_replay_gives_the_lines_of_the_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("run.h2w");
    let live = record(&file, &[], Watch::stop);
    assert!(live.errors.contains("h2watch replay"), "{}", live.errors);
    let (status, lines, errors) = replay(&file);
    assert_eq!(status, Some(0), "{errors}");
    let events_live = events(&live.lines);
    assert!(events_live.iter().any(|line| line["type"] == "close"), "{events_live:?}");
    assert_eq!(events_live, events(&lines));
    assert_eq!(live.summary()["totals"], lines.last().expect("a summary")["totals"]);
    // A second run does not overwrite it.
    let mut again = Command::new(env!("CARGO_BIN_EXE_h2watch"));
    let again = again.arg("record").arg(&file).args(["--", "true"]).output().expect("h2watch starts");
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("run.h2w"));
}

#[test]
fn an_incident_is_recorded_under_pseudonyms() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = ["--incidents", "--anonymise", "--incident-before", "1s", "--incident-after", "500ms"];
    record(&folder.path().join("stall.h2w"), &options, Watch::stop);
    let (status, lines, errors) = replay(&folder.path().join("stall-1.h2w"));
    assert_eq!(status, Some(0), "{errors}");
    let stalls: Vec<_> = lines.iter().filter(|line| line["type"] == "stall").collect();
    assert_eq!(stalls.len(), 1, "{lines:?}");
    let comm = stalls[0]["connection"]["comm"].as_str().expect("a name");
    assert!(comm.starts_with("process-"), "{comm}");
    assert!(!folder.path().join("stall.h2w").exists());
}

/// `kill -9` loses the last second at most, and the reader says so.
#[test]
fn a_killed_recorder_leaves_what_it_saw() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("killed.h2w");
    let mut client = None;
    record(&file, &[], |watch| {
        let snapshot = watch.fresh_snapshot();
        client = snapshot["connections"][0]["pid"].as_i64();
        watch.signal(Signal::KILL);
        // Nobody is left to end the command.
        let pid = client.and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
        let _ = rustix::process::kill_process(pid.expect("the client's number"), Signal::KILL);
        let ended = watch.end(SOON);
        remove_cgroup_of(ended.pid);
        ended
    });
    let (status, lines, errors) = replay(&file);
    assert_eq!(status, Some(2), "{errors}");
    assert!(errors.contains("cut off"), "{errors}");
    assert!(lines.iter().any(|line| line["type"] == "stall"), "{lines:?}");
    assert_eq!(lines.last().expect("a summary")["type"], "summary");
}

/// Killed, h2watch cannot remove the cgroup that it made.
fn remove_cgroup_of(pid: u32) {
    let mut find = Command::new("find");
    find.arg(crate::support::cgroup::mount()).args(["-depth", "-name", &format!("h2watch-{pid}-*")]);
    crate::support::wait_until(SOON, "the cgroup of the killed h2watch is removed", || {
        let found = find.output().expect("find starts").stdout;
        let found = String::from_utf8(found).expect("ASCII paths");
        found.lines().all(|folder| std::fs::remove_dir(folder).is_ok()).then_some(())
    });
}
