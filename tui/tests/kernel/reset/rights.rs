//! What a reset will need is tried at start.

use crate::support::{tools, wait_until, watch};
use std::process::Stdio;

/// Root without the one right that SOCK_DESTROY asks for.
#[test]
fn without_cap_net_admin_it_says_so_at_start() {
    tools::require_root();
    let program = watch::command(&["--reset", "auto", "--pid", &std::process::id().to_string()]);
    let mut command = std::process::Command::new(tools::program("setpriv"));
    command.args(["--inh-caps=-net_admin", "--bounding-set=-net_admin", "--"]).arg(program.get_program());
    command.args(program.get_args()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("setpriv starts");
    wait_until(super::SOON, "h2watch ends", || child.try_wait().expect("a child"));
    let output = child.wait_with_output().expect("it has ended");
    let errors = String::from_utf8_lossy(&output.stderr);
    println!("{errors}");
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("CAP_NET_ADMIN"), "{errors}");
    assert!(output.stdout.is_empty(), "never ready: {}", String::from_utf8_lossy(&output.stdout));
}
