//! Prometheus's own linter on what the exporter serves. Needs `promtool` (Debian package prometheus).

use crate::synthetic::{SECOND, connection, exporter, named, snapshot, stalled};
use h2watch::export::{Format, Health, ProgramRun};
use h2watch::model::snapshot::Change;
use h2watch::verdict::Cause;
use std::io::Write;
use std::process::{Command, Stdio};

/// An exposition in which every family has a series.
fn everything() -> String {
    let exporter = exporter();
    let mut connections = vec![connection(1, "api", 1), named(connection(2, "a\"\\\nb", 2), "ü.example")];
    connections[0].reading.owner.unit = Some("api.service".to_owned());
    for (id, cause) in Cause::ALL.into_iter().enumerate() {
        connections.push(stalled(connection(id as u64 + 10, "api", 3), cause, SECOND, 4));
    }
    let changes =
        [Change::Recovered { connection: Box::new(connections[2].clone()), stalled_ns: 5 * SECOND }];
    exporter.observe(snapshot(9 * SECOND, connections), &changes);
    let programs = vec![ProgramRun { name: "egress".to_owned(), run_time_ns: 12_345, runs: 7 }];
    exporter.set_health(Health {
        probes: vec![("egress".to_owned(), true)],
        programs,
        slots: 65536,
        slots_used: 10,
    });
    String::from_utf8(exporter.render(Format::PrometheusText).to_vec()).unwrap()
}

#[test]
#[ignore = "needs promtool; run by cargo xtask deploy-check"]
fn promtool_has_no_complaint() {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, from the Debian package prometheus");
    promtool.stdin.take().unwrap().write_all(everything().as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let complaints =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && complaints.trim().is_empty(), "{complaints}");
}
