//! What a reset will need is tried at start.

use super::patient;
use crate::support::cgroup::Cgroup;
use crate::support::netns::Cable;
use crate::support::programs::Program;
use crate::support::watch::Watch;
use crate::support::{servers, take_turns, tools, wait_until, watch};
use std::net::TcpListener;
use std::process::{Command, Stdio};

/// Root without the one right that SOCK_DESTROY asks for.
#[test]
fn without_cap_net_admin_it_says_so_at_start() {
    tools::require_root();
    let program = watch::command(&["--reset", "auto", "--pid", &std::process::id().to_string()]);
    let errors = refused(without("net_admin", &program));
    assert!(errors.contains("CAP_NET_ADMIN"), "{errors}");
}

/// A client in another network namespace can be watched without CAP_SYS_ADMIN. It cannot be reset: its namespace cannot be
/// entered.
#[test]
fn what_can_be_watched_and_not_reset_is_said_at_start() {
    let _turn = take_turns();
    let cable = Cable::new();
    let address = cable.server.v4;
    let listener = cable.server.inside(move || TcpListener::bind((address, 0)).expect("a free port"));
    let words = [cable.client.enter(), patient(servers::start_on(listener))].concat();
    let cgroup = Cgroup::new("rights");
    let mut client = Program::start_with(&words, |command| cgroup.start_inside(command));
    client.hear("CONNECTED");
    let pid = client.pid().to_string();
    let errors = refused(without("sys_admin", &watch::command(&["--reset", "auto", "--pid", &pid])));
    assert!(errors.contains("--reset cannot work here"), "{errors}");
    let watch = Watch::spawn(without("sys_admin", &watch::command(&["--reset", "off", "--pid", &pid])));
    watch.wait_until_ready();
    watch.stop();
}

/// The same by root without one of its rights.
fn without(capability: &str, program: &Command) -> Command {
    let mut command = Command::new(tools::program("setpriv"));
    let caps = [format!("--inh-caps=-{capability}"), format!("--bounding-set=-{capability}")];
    command.args(caps).arg("--").arg(program.get_program()).args(program.get_args());
    command
}

/// Runs it to its end, which comes at once, and gives what it says.
fn refused(mut command: Command) -> String {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("setpriv starts");
    wait_until(super::SOON, "h2watch ends", || child.try_wait().expect("a child"));
    let output = child.wait_with_output().expect("it has ended");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    println!("{errors}");
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(output.stdout.is_empty(), "never ready: {}", String::from_utf8_lossy(&output.stdout));
    errors
}
