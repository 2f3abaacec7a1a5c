//! What the exporter keeps of its rights once it is attached, read from /proc for every thread; and that it is enough.

use super::steady;
use super::unit::unit_capabilities;
use crate::support::cgroup::Cgroup;
use crate::support::exporter::Exporter;
use crate::support::programs::{self, Program, installed};
use crate::support::{take_turns, tools, wait_until};
use crate::tls::peer::Peer;
use caps::Capability;
use h2watch::export::MAX_PROGRAMS;
use rustix::process::Signal;
use std::process::Command;
use std::time::Duration;

const CAP_DAC_READ_SEARCH: u64 = 1 << 2;
const CAP_NET_ADMIN: u64 = 1 << 12;
const CAP_SYS_PTRACE: u64 = 1 << 19;
pub(super) const CAP_SYS_ADMIN: u64 = 1 << 21;
const CAP_PERFMON: u64 = 1 << 38;
const CAP_BPF: u64 = 1 << 39;

/// The thread that speaks with strangers.
const HTTP: &str = "h2watch-http";
const FIND_SOCKETS: u64 = CAP_SYS_PTRACE | CAP_DAC_READ_SEARCH;

/// To attach uprobes to processes that start later.
const ATTACH_PROCESSES: u64 = FIND_SOCKETS | CAP_BPF | CAP_PERFMON;

/// Likewise, where uprobes are perf events: newer kernels want more for those.
fn attach_by_perf_events() -> u64 {
    let admin = h2watch::privileges::uprobes_need_admin().expect("the rights of this test can be read");
    ATTACH_PROCESSES | if admin { CAP_SYS_ADMIN } else { 0 }
}

/// As this kernel has it.
pub(super) fn attach_processes() -> u64 {
    if h2watch::probe::are_multi_links() { ATTACH_PROCESSES } else { attach_by_perf_events() }
}

/// Every thread holds these rights and no other, cannot get more, and the HTTP side has none.
fn assert_rights(exporter: &Exporter, wanted: u64) {
    let threads = exporter.threads();
    assert_eq!(threads.iter().filter(|thread| thread.name == HTTP).count(), 1, "{threads:x?}");
    for thread in &threads {
        let wanted = if thread.name == HTTP { 0 } else { wanted };
        assert_eq!(thread.permitted, wanted, "{threads:x?}");
        assert_eq!(thread.effective, wanted, "{threads:x?}");
        assert_eq!((thread.inheritable, thread.ambient), (0, 0), "{threads:x?}");
        assert!(thread.no_new_privileges, "{threads:x?}");
    }
}

#[test]
fn every_right_that_is_kept_has_its_duty() {
    let cgroup = Cgroup::new("rights");
    let path = cgroup.path().to_str().unwrap();
    for (options, wanted) in [
        (&["--tls", "records"][..], FIND_SOCKETS),
        (&["--tls", "records", "--reset", "dry-run"], FIND_SOCKETS),
        (&["--tls", "records", "--reset", "auto"], FIND_SOCKETS | CAP_NET_ADMIN),
        (&[], attach_processes()),
        (&["--reset", "confirm"], attach_processes() | CAP_NET_ADMIN),
    ] {
        let exporter = Exporter::start(&[&["--cgroup", path], options].concat());
        println!("{options:?}: {wanted:x}");
        assert_rights(&exporter, wanted);
        // Root has a bounding set as well: what a program that it executes could regain.
        assert!(exporter.threads().iter().all(|t| t.bounding & !wanted == 0), "{:x?}", exporter.threads());
    }
}

#[test]
fn it_survives_sighup_and_ends_by_sigterm() {
    let cgroup = Cgroup::new("signals");
    let exporter = Exporter::start(&["--cgroup", cgroup.path().to_str().unwrap()]);
    let sampled = exporter.wait_for("h2watch_last_sample_timestamp_seconds", &[], |at| at > 0.0);
    exporter.signal(Signal::HUP);
    // It went on reading the probe, not only serving.
    exporter.wait_for("h2watch_last_sample_timestamp_seconds", &[], |at| at > sampled + 0.5);
    assert_eq!(exporter.stop().code(), Some(0));
}

/// As `deploy/systemd/h2watch.service` runs it.
fn start_as_unit(cgroup: &Cgroup, uprobes: &str) -> Exporter {
    let options = ["--cgroup", cgroup.path().to_str().unwrap(), "--tls", "frames"];
    Exporter::start_as_user(&unit_capabilities(), &options, |command| choose(command, uprobes))
}

/// `perf`: perf events, also where the kernel has something better.
fn choose(exporter: &mut Command, uprobes: &str) {
    exporter.env("H2WATCH_UPROBES", uprobes);
}

#[test]
fn an_ordinary_user_with_the_capabilities_of_the_unit_is_enough() {
    let cgroup = Cgroup::new("user");
    let bit = |name: &String| format!("CAP_{}", name.to_uppercase()).parse::<Capability>().unwrap().bitmask();
    let unit = unit_capabilities().iter().map(bit).fold(0, |mask, bit| mask | bit);
    let (_server, address) = programs::server();
    // Open before the exporter, so that it has to look at a process of root.
    let _before = steady(&cgroup, &address.to_string());
    for uprobes in ["", "perf"] {
        let exporter = start_as_unit(&cgroup, uprobes);
        exporter.wait_for("h2watch_streams_opened_total", &[], |opened| opened > 10.0);
        exporter.wait_for("h2watch_connections", &[], |open| open == 1.0);
        let _after = steady(&cgroup, &address.to_string());
        exporter.wait_for("h2watch_connections", &[], |open| open == 2.0);
        // The unit has no CAP_SYS_ADMIN. Where that means no uprobes, it is said, and nothing is kept for them.
        let wanted = if uprobes == "perf" { attach_by_perf_events() } else { attach_processes() };
        let records_only = wanted & CAP_SYS_ADMIN != 0;
        let degradations = exporter.metrics().sum("h2watch_degradations", &[]);
        assert_eq!(degradations, f64::from(u8::from(records_only)), "{}", exporter.log());
        assert_eq!(exporter.log().contains("seen as records only"), records_only, "{}", exporter.log());
        assert_rights(&exporter, if records_only { FIND_SOCKETS } else { wanted });
        // What it cannot have, it did without from the beginning.
        assert!(exporter.threads().iter().all(|t| t.bounding & !unit == 0), "{:x?}", exporter.threads());
        assert_eq!(exporter.stop().code(), Some(0));
    }
}

/// Uprobes on programs that did not run yet when the rights were given up.
#[test]
fn tls_clients_that_start_after_the_rights_are_gone_are_seen_frame_by_frame() {
    let _turn = take_turns();
    let server = Peer::start(&[]);
    let origin = server.origin();
    let cgroup = Cgroup::new("after");
    let options = ["--cgroup", cgroup.path().to_str().unwrap(), "--tls", "frames"];
    let exporter = Exporter::start(&options);
    sees_new_clients(&exporter, &cgroup, &origin, attach_processes());
    drop(exporter);
    let exporter = Exporter::start_with(&options, |command| choose(command, "perf"));
    sees_new_clients(&exporter, &cgroup, &origin, attach_by_perf_events());
    drop(exporter);
    if attach_processes() & CAP_SYS_ADMIN == 0 {
        sees_new_clients(&start_as_unit(&cgroup, ""), &cgroup, &origin, attach_processes());
    }
}

fn sees_new_clients(exporter: &Exporter, cgroup: &Cgroup, origin: &str, rights: u64) {
    assert_rights(exporter, rights);
    let clients = [pool(cgroup, node(origin)), pool(cgroup, go(origin))];
    for library in ["openssl", "go"] {
        let labels = ["view=\"frames\"", &format!("library=\"{library}\"")];
        exporter.wait_for("h2watch_processes", &labels, |processes| processes == 1.0);
    }
    let seen = ["transport=\"tls\"", "view=\"frames\""];
    exporter.wait_for("h2watch_connections", &seen, |open| open == 2.0);
    exporter.wait_for("h2watch_streams_opened_total", &[], |opened| opened > 10.0);
    assert_rights(exporter, rights);
    let programs = exporter.metrics().values("h2watch_bpf_runs_total", &[]).len();
    assert!(programs <= MAX_PROGRAMS, "{programs}, with probes in two libraries");
    // Killed, they free no TLS object; none stays in the kernel's map all the same.
    assert!(exporter.map_entries("TLS_OBJECTS") >= clients.len());
    drop(clients);
    wait_until(Duration::from_secs(60), "the objects of processes that ended are gone", || {
        (exporter.map_entries("TLS_OBJECTS") == 0).then_some(())
    });
}

/// A request each 100 ms until it is killed.
pub(super) fn pool(cgroup: &Cgroup, words: Vec<String>) -> Program {
    let words = [words, ["100", "1000", "/bytes/10", "0"].map(str::to_owned).to_vec()].concat();
    let mut client = Program::start_with(&words, |command| cgroup.start_inside(command));
    client.hear("WAITING");
    client.tell("go");
    client.hear("CONNECTED");
    client
}

fn node(origin: &str) -> Vec<String> {
    let script = tools::client_source("caller.mjs");
    installed("node", &[&script.to_string_lossy(), origin])
}

fn go(origin: &str) -> Vec<String> {
    vec![tools::go_client().to_string_lossy().into_owned(), "caller".to_owned(), origin.to_owned()]
}
