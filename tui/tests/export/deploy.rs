//! What is deployed asks only for metrics that exist, and each cause has its alert. The queries of the dashboard are in `dashboard`.

use crate::synthetic::{exporter, text};
use h2watch::export::metrics;
use h2watch::verdict::{Cause, Severity};
use std::collections::BTreeSet;
use std::path::PathBuf;

pub(crate) fn deploy(file: &str) -> String {
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
    for file in ["grafana/h2watch.json", RULES, "prometheus/h2watch.test.yml"] {
        let used = metric_names(&deploy(file));
        assert!(used.len() >= 4, "{file} names only {used:?}");
        let unknown: Vec<_> = used.difference(&existing).collect();
        assert!(unknown.is_empty(), "{file} uses {unknown:?}");
    }
}

pub(crate) const RULES: &str = "prometheus/h2watch.rules.yml";

/// Name and text of each alert.
pub(crate) fn alerts(rules: &str) -> Vec<(&str, &str)> {
    let texts = rules.split("      - alert: ").skip(1);
    texts.map(|text| (text.lines().next().unwrap(), text.split("\n\n").next().unwrap())).collect()
}

#[test]
fn every_alert_has_a_runbook_a_severity_a_test_and_a_line_in_the_documentation() {
    let (rules, tests) = (deploy(RULES), deploy("prometheus/h2watch.test.yml"));
    let documentation = deploy("../docs/exporter.md");
    let alerts = alerts(&rules);
    assert!(alerts.len() > Cause::ALL.len(), "{alerts:?}");
    for (alert, rule) in alerts {
        for part in ["expr: ", "for: ", "severity: ", "summary: ", "description: ", "runbook_url: docs/"] {
            assert!(rule.contains(part), "{alert} has no {part}");
        }
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} has no test");
        assert!(documentation.contains(&format!("`{alert}`")), "{alert} is not in docs/exporter.md");
    }
}

/// A stall of no alert would be seen only by whoever looks, and two alerts would page twice.
#[test]
fn every_cause_has_one_alert_of_its_severity_with_its_own_runbook() {
    let rules = deploy(RULES);
    for cause in Cause::ALL {
        let name = cause.as_str();
        let about = |rule: &&str| {
            let selector = rule.split_once("h2watch_stalled_connections{cause=").map(|(_, rest)| rest);
            let values = selector.and_then(|rest| rest.split('"').nth(1));
            values.is_some_and(|values| values.split('|').any(|value| value == name))
        };
        let found: Vec<&str> = alerts(&rules).into_iter().map(|(_, rule)| rule).filter(about).collect();
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        let severity = match h2watch::verdict::rules::of(cause).severity {
            Severity::Critical => "severity: critical\n",
            Severity::Warning => "severity: warning\n",
            Severity::None => panic!("a stall of cause {name} is of no severity"),
        };
        assert!(found[0].contains(severity), "{name}: {}", found[0]);
        let runbook = found[0].replace("{{ $labels.cause }}", name) + "\n";
        assert!(runbook.contains(&format!("runbook_url: docs/verdicts.md#{name}\n")), "{runbook}");
    }
}

#[test]
fn every_kind_of_loss_is_in_its_runbook() {
    let exposition = text(&exporter());
    let of_losses = |line: &&str| line.starts_with("h2watch_events_lost_total{");
    let reasons: Vec<&str> =
        exposition.lines().filter(of_losses).map(|line| line.split('"').nth(1).unwrap()).collect();
    assert!(!reasons.is_empty());
    let documentation = deploy("../docs/exporter.md");
    let runbook = documentation.split("### Losses").nth(1).unwrap();
    for reason in reasons {
        assert!(runbook.contains(&format!("`{reason}`")), "{reason} is not in the runbook");
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
    let rules = deploy(RULES);
    let links = rules.lines().filter_map(|line| line.trim().strip_prefix("runbook_url: "));
    let of_causes = |link: &str| Cause::ALL.map(|cause| link.replace("{{ $labels.cause }}", cause.as_str()));
    for link in links.flat_map(of_causes) {
        let (document, anchor) = link.split_once('#').unwrap();
        let text = deploy(&format!("../{document}"));
        let found = text.lines().filter(|line| line.starts_with('#')).any(|line| {
            let words = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
            words.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).eq(anchor.chars())
        });
        assert!(found, "{document} has no #{anchor}");
    }
}
