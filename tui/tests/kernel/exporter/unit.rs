//! The capabilities of `deploy/systemd/h2watch.service`: with one less, something that has a name is missing. That all of them are
//! enough is in `rights`.

use super::rights::{CAP_SYS_ADMIN, attach_processes, pool};
use crate::support::cgroup::Cgroup;
use crate::support::exporter::{Exporter, as_user};
use crate::support::programs::Program;
use crate::support::{take_turns, tools, wait_until};
use crate::tls::peer::Peer;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

/// As `setpriv` names them.
pub(super) fn unit_capabilities() -> Vec<String> {
    let unit = std::fs::read_to_string(tools::workspace().join("deploy/systemd/h2watch.service")).unwrap();
    let names = unit.lines().find_map(|line| line.strip_prefix("AmbientCapabilities=")).unwrap();
    names.split(' ').map(|name| name.strip_prefix("CAP_").unwrap().to_lowercase()).collect()
}

fn without(name: &str) -> Vec<String> {
    let mut capabilities = unit_capabilities();
    let before = capabilities.len();
    capabilities.retain(|capability| capability != name);
    assert_eq!(capabilities.len(), before - 1, "the unit does not give {name}");
    capabilities
}

#[test]
fn without_one_of_those_that_attach_it_says_which_and_ends() {
    let cgroup = Cgroup::new("refused");
    let path = cgroup.path().to_str().unwrap();
    for name in ["bpf", "perfmon", "net_admin"] {
        let output = as_user(&without(name))
            .args(["export", "--listen", "127.0.0.1:0", "--cgroup", path])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{name}: {said}");
        let named = format!("CAP_{}", name.to_uppercase());
        assert!(said.contains(&format!("at least the capabilities {named},")), "{name}: {said}");
    }
}

/// A TLS client of root whose program nobody else may read, and whose connection was open before.
fn private_client(cgroup: &Cgroup, folder: &Path, origin: &str) -> Program {
    let private = folder.join("private");
    fs::copy(tools::go_client(), &private).unwrap();
    fs::set_permissions(&private, fs::Permissions::from_mode(0o700)).unwrap();
    pool(cgroup, vec![private.to_str().unwrap().to_owned(), "caller".to_owned(), origin.to_owned()])
}

#[test]
fn without_one_of_those_that_look_at_processes_the_log_says_what_is_not_seen() {
    let _turn = take_turns();
    let (cgroup, server, folder) = (Cgroup::new("less"), Peer::start(&[]), tempfile::tempdir().unwrap());
    let client = private_client(&cgroup, folder.path(), &server.origin());
    let options = ["--cgroup", cgroup.path().to_str().unwrap(), "--tls", "frames"];
    let exporter = Exporter::start_as_user(&unit_capabilities(), &options, |_| {});
    exporter.wait_for("h2watch_connections", &["comm=\"private\""], |open| open == 1.0);
    if attach_processes() & CAP_SYS_ADMIN == 0 {
        exporter.wait_for("h2watch_processes", &["view=\"frames\"", "library=\"go\""], |seen| seen == 1.0);
    }
    drop(exporter);
    for (name, unread) in
        [("sys_ptrace", "cannot open /proc/PID/ns/net"), ("dac_read_search", "cannot read /proc/PID/fd")]
    {
        let exporter = Exporter::start_as_user(&without(name), &options, |_| {});
        let unread = unread.replace("PID", &client.pid().to_string());
        wait_until(Duration::from_secs(10), &format!("without {name}: {unread}"), || {
            exporter.log().contains(&format!("limit    {unread}")).then_some(())
        });
        let reason = ["view=\"records\"", "cannot open", "private: Permission denied"];
        exporter.wait_for("h2watch_processes", &reason, |seen| seen == 1.0);
        let metrics = exporter.metrics();
        assert_eq!(metrics.sum("h2watch_connections", &[]), 0.0, "without {name}: {}", metrics.0);
        assert!(metrics.sum("h2watch_degradations", &[]) >= 1.0, "without {name}: {}", metrics.0);
    }
}

#[test]
fn doctor_prints_what_is_held() {
    let mut names: Vec<String> =
        unit_capabilities().iter().map(|name| format!("CAP_{}", name.to_uppercase())).collect();
    names.sort();
    let held = names.join(" ");
    let output = as_user(&unit_capabilities()).args(["doctor", "-v"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let sets = ["effective", "permitted", "bounding"].map(|set| format!("{set}: {held}"));
    for line in sets.iter().map(String::as_str).chain(["no_new_privs: yes"]) {
        assert!(said.lines().any(|l| l.trim() == line), "no line `{line}`: {said}");
    }
    let brief = as_user(&unit_capabilities()).arg("doctor").output().unwrap();
    assert!(!String::from_utf8_lossy(&brief.stdout).contains("bounding:"), "for those who ask");
}
