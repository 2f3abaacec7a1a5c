//! Processes in cgroups that are named like those of container runtimes and of systemd: whose they are is in every output, and
//! `--cgroup` finds them by container and by unit, also after a restart.

use super::steady;
use crate::support::cgroup::Cgroup;
use crate::support::exporter::{Exporter, get};
use crate::support::watch::signal_process;
use crate::support::{programs, wait_until};
use rustix::process::Signal;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Of nobody else on this host: it is looked up among all cgroups.
fn container_id() -> String {
    format!("{:016x}", std::process::id()).repeat(4)
}

const POD: &str = "6b8e2a0c-3f4d-4f6e-9d1c-0a1b2c3d4e5f";

#[test]
fn a_container_of_a_pod_is_found_by_its_id_and_named_in_every_output() {
    let id = container_id();
    let outer = Cgroup::new("pods");
    let pod = outer.inner(&format!("kubepods-pod{}.slice", POD.replace('-', "_")));
    let container = pod.inner(&format!("cri-containerd-{id}.scope"));
    let neighbour = pod.inner(&format!("cri-containerd-{}.scope", "f".repeat(64)));
    let (server, address) = programs::server();
    let _client = steady(&container, &address.to_string());
    let _other = steady(&neighbour, &address.to_string());
    let options = ["--cgroup", &id[..20], "--stall-after", "300ms", "--interval", "100ms"];
    let exporter = Exporter::start(&options);

    let short = format!("container=\"{}\"", &id[..12]);
    exporter.wait_for("h2watch_connections", &[&short], |open| open == 1.0);
    assert_eq!(exporter.metrics().sum("h2watch_connections", &[]), 1.0, "not the other container's");
    let info = [short.as_str(), &format!("pod_uid=\"{POD}\""), "unit=\"\""];
    assert_eq!(exporter.metrics().sum("h2watch_workload_info", &info), 1.0, "{}", exporter.metrics().0);

    signal_process(server.pid(), Signal::STOP);
    exporter.wait_for("h2watch_stalled_connections", &[&short], |stalled| stalled == 1.0);
    let page = get(exporter.address(), "/").unwrap();
    for shown in [format!("<dt>container<dd>{id}"), format!("<dt>pod<dd>{POD}")] {
        assert!(page.contains(&shown), "no {shown}: {page}");
    }
    let connections = wait_until(Duration::from_secs(10), "the stall in /connections", || {
        let json: Value = serde_json::from_str(&get(exporter.address(), "/connections").unwrap()).unwrap();
        (json["connections"][0]["verdict"] == "stalled").then(|| json["connections"].clone())
    });
    assert_eq!(connections.as_array().unwrap().len(), 1, "{connections}");
    assert_eq!(connections[0]["container"], id.as_str(), "{connections}");
    assert_eq!(connections[0]["pod_uid"], POD, "{connections}");
    assert_eq!(connections[0]["unit"], Value::Null, "{connections}");
}

#[test]
fn a_unit_is_found_by_its_name_and_again_when_it_was_restarted() {
    let outer = Cgroup::new("units");
    let name = format!("h2watch-test-{}.service", std::process::id());
    let unit = outer.inner(&name);
    let (_server, address) = programs::server();
    let client = steady(&unit, &address.to_string());
    let exporter = Exporter::start(&["--cgroup", &name, "--interval", "100ms"]);
    exporter.wait_for("h2watch_connections", &[], |open| open == 1.0);
    exporter.wait_for("h2watch_workload_info", &[&format!("unit=\"{name}\"")], |workloads| workloads == 1.0);

    // Stopped for a while, and restarted at once.
    let (mut unit, mut client) = (unit, client);
    for (restarts, pause) in [(1.0, true), (2.0, false)] {
        drop(client);
        drop(unit);
        if pause {
            exporter.wait_for("h2watch_probe_attached", &[], |attached| attached == 0.0);
        }
        unit = outer.inner(&name);
        let started = Instant::now();
        wait_until(Duration::from_secs(10), "the new cgroup is attached", || {
            (!unit.attached_programs().is_empty()).then_some(())
        });
        let after = started.elapsed();
        println!("attached {after:.1?} after the unit was there again");
        // It is looked for each second; bpftool and a busy machine take some time of their own.
        assert!(after < Duration::from_secs(2), "{after:?}");
        client = steady(&unit, &address.to_string());
        exporter.wait_for("h2watch_connections_opened_total", &[], |opened| opened == 1.0 + restarts);
        exporter.wait_for("h2watch_connections", &[], |open| open == 1.0);
        exporter.wait_for("h2watch_probe_attached", &[], |attached| attached >= 1.0);
    }
}
