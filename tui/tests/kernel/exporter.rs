//! The real exporter on a real incident: a series for it, the rights that it keeps, the signals that it gets.

use crate::support::cgroup::Cgroup;
use crate::support::exporter::Exporter;
use crate::support::programs::{self, Program, role};
use crate::support::watch::signal_process;
use crate::support::{tools, wait_until};
use rustix::process::Signal;
use std::os::unix::fs::symlink;
use std::time::Duration;

const CAP_NET_ADMIN: u64 = 1 << 12;
const CAP_SYS_PTRACE: u64 = 1 << 19;
const CAP_SYS_ADMIN: u64 = 1 << 21;

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
    let _client = steady(&cgroup, &address.to_string());

    exporter.wait_for("h2watch_streams_opened_total", &[], |opened| opened > 10.0);
    exporter.wait_for("h2watch_processes", &[], |processes| processes >= 1.0);
    let cause = ["cause=\"silent_peer\""];
    assert_eq!(exporter.metrics().sum("h2watch_stalled_connections", &[]), 0.0);
    signal_process(server.pid(), Signal::STOP);
    exporter.wait_for("h2watch_stalled_connections", &cause, |stalled| stalled == 1.0);
    exporter.wait_for("h2watch_streams_opened_while_stalled_total", &[], |damage| damage > 0.0);
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

#[test]
fn it_keeps_few_rights_survives_sighup_and_ends_by_sigterm() {
    let cgroup = Cgroup::new("rights");
    let exporter = Exporter::start(&["--cgroup", cgroup.path().to_str().unwrap()]);
    let threads = exporter.threads();
    let http: Vec<u64> = threads.iter().filter(|t| t.0 == "h2watch-http").map(|t| t.1).collect();
    assert_eq!(http, [0], "{threads:x?}");
    for (name, permitted) in threads.iter().filter(|thread| thread.0 != "h2watch-http") {
        assert_eq!(permitted & (CAP_NET_ADMIN | CAP_SYS_ADMIN), 0, "{name}: {permitted:x}");
        assert_ne!(permitted & CAP_SYS_PTRACE, 0, "{name}: {permitted:x}");
    }
    let sampled = exporter.wait_for("h2watch_last_sample_timestamp_seconds", &[], |at| at > 0.0);
    exporter.signal(Signal::HUP);
    // It went on reading the probe, not only serving.
    exporter.wait_for("h2watch_last_sample_timestamp_seconds", &[], |at| at > sampled + 0.5);
    assert_eq!(exporter.stop().code(), Some(0));
}

/// As `deploy/systemd/h2watch.service` runs it.
#[test]
fn an_ordinary_user_with_the_capabilities_of_the_unit_is_enough() {
    let unit = std::fs::read_to_string(tools::workspace().join("deploy/systemd/h2watch.service")).unwrap();
    let names = unit.lines().find_map(|line| line.strip_prefix("AmbientCapabilities=")).unwrap();
    let short = |name: &str| format!("+{}", name.strip_prefix("CAP_").unwrap().to_lowercase());
    let capabilities = names.split(' ').map(short).collect::<Vec<_>>().join(",");
    let cgroup = Cgroup::new("user");
    let (_server, address) = programs::server();
    // Open before the exporter, so that it has to look at a process of root.
    let _before = steady(&cgroup, &address.to_string());
    let exporter = Exporter::start_as_user(&capabilities, &["--cgroup", cgroup.path().to_str().unwrap()]);
    exporter.wait_for("h2watch_streams_opened_total", &[], |opened| opened > 10.0);
    exporter.wait_for("h2watch_connections", &[], |open| open == 1.0);
    let _after = steady(&cgroup, &address.to_string());
    exporter.wait_for("h2watch_connections", &[], |open| open == 2.0);
    assert_eq!(exporter.metrics().sum("h2watch_degradations", &[]), 0.0, "{}", exporter.log());
    for (name, permitted) in exporter.threads() {
        assert_eq!(permitted & (CAP_NET_ADMIN | CAP_SYS_ADMIN), 0, "{name}: {permitted:x}");
    }
    assert_eq!(exporter.stop().code(), Some(0));
}

/// A program under a name of its own, which the kernel takes from the file that is executed.
#[test]
fn processes_of_a_name_are_found_when_they_start_after_the_rights_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("h2w-x{}", std::process::id());
    let link = folder.path().join(&name);
    symlink(std::env::current_exe().unwrap(), &link).unwrap();
    let (cgroup, other) = (Cgroup::new("named"), Cgroup::new("other"));
    let exporter = Exporter::start(&["--comm", &format!("h2w-.{}", std::process::id())]);
    let (_server, address) = programs::server();
    let arguments = ["5", "100", "/bytes/10", &address.to_string()].map(str::to_owned);
    let mut words = role("steady", &arguments);
    let program = words.iter().position(|word| word == "roles::play").unwrap() - 1;
    words[program] = link.to_str().unwrap().to_owned();
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
