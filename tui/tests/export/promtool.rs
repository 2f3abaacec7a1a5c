//! Prometheus's own linter on what the exporter serves. Needs `promtool` (Debian package prometheus).

use crate::client::get;
use crate::families::everything;
use std::io::Write;
use std::process::{Command, Stdio};

#[tokio::test]
#[ignore = "needs promtool; run by cargo xtask deploy-check"]
async fn promtool_has_no_complaint() {
    let served = everything().await;
    let exposition = get(served.address, "/metrics").await.body;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, from the Debian package prometheus");
    promtool.stdin.take().unwrap().write_all(exposition.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let complaints =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && complaints.trim().is_empty(), "{complaints}");
}
