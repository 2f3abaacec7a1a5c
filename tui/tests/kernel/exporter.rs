//! The real exporter: a series for a real incident, whom it watches (also `containers`), the rights that it keeps (`rights`) and
//! needs (`unit`), and how it bears a crowd of connections (`crowd`) and of clients (`hostile`).

mod containers;
mod crowd;
mod hostile;
mod rights;
mod unit;

use crate::support::cgroup::Cgroup;
use crate::support::exporter::{Exporter, get};
use crate::support::programs::{self, Program, role, role_of};
use crate::support::wait_until;
use crate::support::watch::signal_process;
use rustix::process::Signal;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;

fn steady(cgroup: &Cgroup, server: &str) -> Program {
    let arguments = ["5", "100", "/bytes/10", server].map(str::to_owned);
    let mut client = Program::start_with(&role("steady", &arguments), |command| cgroup.start_inside(command));
    client.hear("CONNECTED ");
    client
}

#[test]
fn a_stopped_server_is_a_stalled_connection_of_cause_silent_peer() {
    let cgroup = Cgroup::new("export");
    let path = cgroup.path().to_str().unwrap();
    let options = ["--cgroup", path, "--stall-after", "300ms", "--interval", "100ms"];
    let exporter = Exporter::start(&options);
    let (server, address) = programs::server();
    let client = steady(&cgroup, &address.to_string());

    exporter.wait_for("h2watch_streams_opened_total", &[], |opened| opened > 10.0);
    exporter.wait_for("h2watch_processes", &[], |processes| processes >= 1.0);
    let cause = ["cause=\"silent_peer\""];
    assert_eq!(exporter.metrics().sum("h2watch_stalled_connections", &[]), 0.0);
    signal_process(server.pid(), Signal::STOP);
    exporter.wait_for("h2watch_stalled_connections", &cause, |stalled| stalled == 1.0);
    exporter.wait_for("h2watch_streams_opened_while_stalled_total", &[], |damage| damage > 0.0);
    the_stall_is_in_the_json(&exporter, client.pid(), address);
    signal_process(server.pid(), Signal::CONT);
    exporter.wait_for("h2watch_stalled_connections", &[], |stalled| stalled == 0.0);

    let metrics = exporter.metrics();
    let attached = metrics.values("h2watch_probe_attached", &[]);
    assert_eq!(attached, [1.0; 5], "{}", metrics.0);
    // Told once a second.
    exporter.wait_for("h2watch_connection_slots_used", &[], |used| used == 1.0);
    assert!(metrics.values("h2watch_bpf_runs_total", &["program=\"egress"]).len() == 1, "{}", metrics.0);
    wait_until(Duration::from_secs(10), "the recovery in the log", || {
        exporter.log().contains("recover").then_some(())
    });
    let log = exporter.log();
    assert!(log.contains("STALL") && !log.contains(" open "), "{log}");
}

/// `/connections` has what no label may have, and the page the same id.
fn the_stall_is_in_the_json(exporter: &Exporter, pid: u32, server: SocketAddr) {
    // A copy serves everyone for a second: it may be of before.
    let json = wait_until(Duration::from_secs(10), "the stall in /connections", || {
        let text = get(exporter.address(), "/connections").expect("an answer");
        let json: Value = serde_json::from_str(&text).expect("JSON");
        (json["connections"][0]["verdict"] == "stalled").then_some(json)
    });
    assert_eq!((&json["schema"], &json["type"]), (&Value::from(1), &Value::from("snapshot")), "{json}");
    let connections = json["connections"].as_array().expect("a list");
    assert_eq!(connections.len(), 1, "{json}");
    let stall = &connections[0];
    assert_eq!(stall["cause"], "silent_peer", "{json}");
    assert_eq!(stall["pid"], pid, "{json}");
    assert_eq!(stall["remote"], server.to_string(), "{json}");
    assert!(stall["damage"].as_u64().is_some_and(|damage| damage > 0), "{json}");
    let id = stall["id"].as_str().expect("a string");
    assert!(id.parse::<u64>().is_ok_and(|cookie| cookie > 0), "{json}");
    let page = get(exporter.address(), "/").expect("an answer");
    assert!(page.contains(&format!("<dt>id<dd>{id}<")), "{page}");
}

/// A program under a name of its own, which the kernel takes from the file that is executed.
#[test]
fn processes_of_a_name_are_found_when_they_start_after_the_rights_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("h2w-x{}", std::process::id());
    let link = programs::link_named(&name, folder.path());
    let (cgroup, other) = (Cgroup::new("named"), Cgroup::new("other"));
    let exporter = Exporter::start(&["--comm", &format!("h2w-.{}", std::process::id())]);
    let (_server, address) = programs::server();
    let arguments = ["5", "100", "/bytes/10", &address.to_string()].map(str::to_owned);
    let words = role_of(&link, "steady", &arguments);
    let mut client = Program::start_with(&words, |command| cgroup.start_inside(command));
    client.hear("CONNECTED ");
    let _unnamed = steady(&other, &address.to_string());
    exporter.wait_for("h2watch_streams_opened_total", &[&format!("comm=\"{name}\"")], |opened| opened > 10.0);
    assert_eq!(exporter.metrics().values("h2watch_streams_opened_total", &[]).len(), 1);
}

#[test]
fn excluded_processes_leave_no_slot_behind() {
    let cgroup = Cgroup::new("exclude");
    let exe = std::env::current_exe().unwrap();
    let own: String = exe.file_name().unwrap().to_str().unwrap().chars().take(15).collect();
    let path = cgroup.path().to_str().unwrap();
    let exporter = Exporter::start(&["--cgroup", path, "--exclude", &own, "--interval", "50ms"]);
    let (_server, address) = programs::server();
    let _client = steady(&cgroup, &address.to_string());
    let before = exporter.metrics().sum("h2watch_last_sample_timestamp_seconds", &[]);
    exporter.wait_for("h2watch_last_sample_timestamp_seconds", &[], |at| at > before + 1.5);
    let metrics = exporter.metrics();
    assert!(metrics.values("h2watch_streams_opened_total", &[]).is_empty(), "{}", metrics.0);
    assert_eq!(metrics.sum("h2watch_connection_slots_used", &[]), 0.0);
    assert_eq!(metrics.sum("h2watch_processes", &[]), 0.0);
    // The same client with a filter that does not fit is seen: the absence above means something.
    drop(exporter);
    let exporter = Exporter::start(&["--cgroup", path, "--exclude", "somebody-else", "--interval", "50ms"]);
    exporter.wait_for("h2watch_connections", &[], |open| open >= 1.0);
}
