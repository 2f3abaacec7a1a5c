//! Prometheus's own linter on what the exporter serves, and its parser on what the dashboard asks. Needs `promtool` (Debian package
//! prometheus).

use crate::client::get;
use crate::dashboard::queries;
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

/// Grafana puts its variables into the queries before Prometheus sees them.
#[test]
#[ignore = "needs promtool; run by cargo xtask deploy-check"]
fn promtool_reads_every_query_of_the_dashboard() {
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    let queries = queries();
    for (number, query) in queries.iter().enumerate() {
        let expression = query.expression.replace("$__rate_interval", "1m");
        let quoted = serde_json::Value::from(expression);
        rules.push_str(&format!(
            "      # {}\n      - record: query_{number}\n        expr: {quoted}\n",
            query.place
        ));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dashboard.rules.yml");
    std::fs::write(&file, rules).unwrap();
    let output = Command::new("promtool").args(["check", "rules"]).arg(&file).output().expect("promtool");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains(&format!("{} rules found", queries.len())), "{said}");
}
