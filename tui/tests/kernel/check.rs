//! `h2watch check` on connections that were open before it: its exit status is the worst that it found, or that it could not tell.

use crate::faults::clients::Front;
use crate::faults::peer::{Misdeed, Peer};
use crate::support::cgroup::Cgroup;
use crate::support::programs::{self, Program, role};
use crate::support::watch::{signal_process, text};
use crate::support::{servers, tools, wait_until};
use rustix::process::Signal;
use serde_json::Value;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// A client in a cgroup of its own.
struct Client {
    cgroup: Cgroup,
    _program: Program,
}

impl Client {
    fn start(words: &[String]) -> Self {
        let cgroup = Cgroup::new("check");
        let mut program = Program::start_with(words, |command| cgroup.start_inside(command));
        program.hear("CONNECTED");
        Self { cgroup, _program: program }
    }

    /// Starts `h2watch check`; it watches when this returns.
    fn check(&self, options: &[&str]) -> Child {
        tools::require_root();
        let mut command = Command::new(env!("CARGO_BIN_EXE_h2watch"));
        command.args(["check", "--cgroup"]).arg(self.cgroup.path()).args(options);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("h2watch starts");
        wait_until(SOON, "programs are attached", || {
            (!self.cgroup.attached_programs().is_empty()).then_some(())
        });
        // Its timer is made when everything is in place: open connections are taken in by then.
        wait_until(SOON, "it watches", || has_timer(child.id()).then_some(()));
        child
    }
}

/// Whether a process has a timerfd.
fn has_timer(pid: u32) -> bool {
    let Ok(descriptors) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .any(|target| target.to_string_lossy().contains("timerfd"))
}

/// Its exit status and what it printed.
fn end(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().expect("a child");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn a_healthy_client_is_0_and_one_whose_server_stopped_is_1() {
    let (server, address) = programs::server();
    let words =
        [address.to_string(), "100".into(), "1000".into(), "/bytes/10".into(), "0".into(), "0".into()];
    let client = Client::start(&role("caller", &words));
    let (status, said) = end(client.check(&["--stall-after", "1s"]));
    assert_eq!(status, Some(0), "{said}");
    // The same is not health where a stall could not have shown.
    let (status, said) = end(client.check(&["--for", "300ms"]));
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("could not tell: it was looked for 0.") && said.contains("takes 4.0 s"), "{said}");
    signal_process(server.pid(), Signal::STOP);
    let (status, said) = end(client.check(&[]));
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("silent_peer"), "{said}");
}

/// As one line of JSON; with the reason in it.
fn unclear(client: &Client, options: &[&str]) -> Vec<String> {
    let options = [&["--output", "json", "--stall-after", "1s"], options].concat();
    let (status, said) = end(client.check(&options));
    assert_eq!(status, Some(2), "{said}");
    let line: Value = serde_json::from_str(&said).expect("one line of JSON");
    assert_eq!(line["type"], "snapshot");
    line["unclear"].as_array().expect("a list").iter().map(text).collect()
}

/// Its handshake is over and nothing in it can be probed: it may be stalled, and no check could see it.
#[test]
fn a_tls_connection_from_before_that_nothing_tells_is_2() {
    let server = Front::tls(servers::start(), Vec::new());
    let program = tools::rustls_client().to_string_lossy().into_owned();
    let words = [&program, "calls", &server.address.to_string(), "50", "1000"].map(str::to_owned);
    let client = Client::start(&words);
    let said = "1 TLS connection opened before, whose records do not tell whether it is HTTP/2";
    assert_eq!(unclear(&client, &[]), [said]);
}

#[test]
fn connections_for_which_the_table_has_no_room_are_2() {
    let server = servers::start().to_string();
    let words = ["50", "1000", "/bytes/10", &server, &server, &server].map(str::to_owned);
    let client = Client::start(&role("steady", &words));
    let said = unclear(&client, &["--max-connections", "2"]);
    assert_eq!(said, ["connections not watched, the table was full: 1"]);
}

/// A name that was misspelt is not healthy.
#[test]
fn nobody_is_2() {
    tools::require_root();
    let mut command = Command::new(env!("CARGO_BIN_EXE_h2watch"));
    command.args(["check", "--comm", "no-such-name", "--stall-after", "200ms"]);
    let output = command.output().expect("h2watch starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("could not tell: no process is there to look at"), "{said}");
}

#[test]
fn a_warning_is_3_and_nothing_where_only_critical_counts() {
    for (severity, expected) in [("warning", 3), ("critical", 0)] {
        let peer = Peer::start(Misdeed::GoesAway);
        let client = Client::start(&role("careless", &[peer.address.to_string(), "100".into()]));
        let check = client.check(&["--min-severity", severity, "--for", "4s"]);
        peer.strike();
        let (status, said) = end(check);
        assert_eq!(status, Some(expected), "{said}");
        assert!(said.contains("goaway_ignored"), "it is said all the same: {said}");
    }
}
