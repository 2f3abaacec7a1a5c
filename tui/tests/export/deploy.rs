//! What is deployed asks only for metrics that exist: the dashboard, the alert rules and their tests.

use h2watch::export::metrics;
use std::collections::BTreeSet;
use std::path::PathBuf;

fn deploy(file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Words that start like a metric of h2watch.
fn metric_names(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("h2watch_"))
        .map(str::to_owned)
        .collect()
}

fn existing() -> BTreeSet<String> {
    metrics::ALL.iter().flat_map(|metric| metric.series()).collect()
}

#[test]
fn dashboard_and_rules_use_only_existing_metrics() {
    let existing = existing();
    for file in ["grafana/h2watch.json", "prometheus/h2watch.rules.yml", "prometheus/h2watch.test.yml"] {
        let used = metric_names(&deploy(file));
        assert!(used.len() >= 4, "{file} names only {used:?}");
        let unknown: Vec<_> = used.difference(&existing).collect();
        assert!(unknown.is_empty(), "{file} uses {unknown:?}");
    }
}

#[test]
fn the_dashboard_is_whole() {
    let dashboard: serde_json::Value = serde_json::from_str(&deploy("grafana/h2watch.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "id {} twice", panel["id"]);
        let place = &panel["gridPos"];
        assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24, "{}", panel["title"]);
        if panel["type"] != "row" {
            assert!(!panel["targets"].as_array().unwrap().is_empty(), "{} asks nothing", panel["title"]);
        }
    }
    // Damage is what the tool is for: a dashboard without it would be no use.
    assert!(dashboard.to_string().contains("h2watch_streams_opened_while_stalled_total"));
}

#[test]
fn every_alert_has_a_runbook_a_severity_and_a_test() {
    let (rules, tests) = (deploy("prometheus/h2watch.rules.yml"), deploy("prometheus/h2watch.test.yml"));
    for alert in [
        "H2ConnectionBlackholed",
        "H2SilentPeer",
        "H2FlowControlDeadlock",
        "H2GoawayIgnored",
        "H2PoolFeedingDeadConnection",
        "H2watchBlind",
        "H2watchEventsLost",
    ] {
        let start = rules.find(&format!("- alert: {alert}\n")).unwrap_or_else(|| panic!("no alert {alert}"));
        let rule = rules[start..].split("\n\n").next().unwrap();
        for part in ["for: ", "severity: ", "summary: ", "description: ", "runbook_url: docs/"] {
            assert!(rule.contains(part), "{alert} has no {part}");
        }
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} has no test");
    }
}

#[test]
fn everything_deployed_names_the_port_of_the_exporter() {
    let port = h2watch::export::DEFAULT_LISTEN.port().to_string();
    for file in ["systemd/h2watch.service", "kubernetes/h2watch.yaml", "Dockerfile", "../docs/exporter.md"] {
        assert!(deploy(file).contains(&port), "{file} does not name {port}");
    }
    let typed = ["h2watch", "export", "--all"];
    let cli = <h2watch::cli::Cli as clap::Parser>::try_parse_from(typed).unwrap();
    let Some(h2watch::cli::Mode::Export(export)) = cli.mode else { panic!("not the exporter") };
    assert_eq!(export.listen, h2watch::export::DEFAULT_LISTEN);
}

/// The sections that runbook links name are in the documents.
#[test]
fn runbook_links_lead_somewhere() {
    let rules = deploy("prometheus/h2watch.rules.yml");
    for link in rules.lines().filter_map(|line| line.trim().strip_prefix("runbook_url: ")) {
        let (document, anchor) = link.split_once('#').unwrap();
        let text = deploy(&format!("../{document}"));
        let found = text.lines().filter(|line| line.starts_with('#')).any(|line| {
            let words = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
            words.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).eq(anchor.chars())
        });
        assert!(found, "{document} has no #{anchor}");
    }
}
