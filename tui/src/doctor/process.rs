//! What can be seen of one process.

use super::Finding;
use crate::diag::{Namespaces, open_clients};
use crate::model::sample::View;
use crate::target::cgroup::Hierarchy;
use crate::target::process;
use crate::tls::{Depth, Planner};

/// Its cgroup, its connections, its TLS.
pub(super) fn examine(pid: u32) -> Vec<Finding> {
    let Some(comm) = process::comm(pid) else {
        return vec![Finding::fail(
            "process",
            format!("there is no process {pid}"),
            "`pgrep -a NAME` finds its id",
        )];
    };
    let mut findings = vec![Finding::pass("process", format!("{pid} is {comm}"))];
    findings.push(cgroup(pid));
    findings.push(connections(pid));
    findings.push(tls(pid));
    findings
}

fn cgroup(pid: u32) -> Finding {
    let found = Hierarchy::find_mount().and_then(|hierarchy| Ok((hierarchy.of_process(pid)?, hierarchy)));
    match found {
        Ok((path, hierarchy)) if path == hierarchy.mount() => Finding::warn(
            "cgroup",
            "it sits in the root cgroup: the hooks of the whole host's traffic are used, and other sockets passed over",
            "a cgroup of its own keeps the cost to this process: systemd-run --scope, or a container",
        ),
        Ok((path, _)) => Finding::pass("cgroup", path.display().to_string()),
        Err(error) => Finding::fail("cgroup", format!("{error:#}"), "run h2watch in the host's namespaces"),
    }
}

fn connections(pid: u32) -> Finding {
    let (clients, errors) = open_clients(&mut Namespaces::default(), &[pid]);
    let details = clients.iter().map(|c| format!("{} -> {}", c.socket.local, c.socket.remote)).collect();
    match errors.first() {
        Some(error) => {
            Finding::warn("connections", format!("{error:#}"), "connections that are open are not found")
        }
        None => Finding::pass("connections", format!("{} client connections are open now", clients.len()))
            .with_details(details),
    }
}

fn tls(pid: u32) -> Finding {
    let coverage = Planner::default().plan(pid, Depth::Auto);
    let details =
        coverage.points.iter().map(|p| format!("{} in {}: {}", p.program, p.file.name(), p.place)).collect();
    let text = format!("view {}: {}", coverage.view.as_str(), coverage.reason);
    match coverage.view {
        View::Records => {
            Finding::warn("TLS", text, "verdicts on its TLS connections come from records and TCP alone")
        }
        View::Streams | View::Frames => Finding::pass("TLS", text),
    }
    .with_details(details)
}
