//! What the dashboard asks, against the table of metrics: names and labels.

use crate::deploy::{RULES, alerts, deploy};
use h2watch::export::metrics::{self, Metric};
use prometheus_client::metrics::MetricType;
use serde_json::Value;
use std::collections::BTreeSet;

/// One query of a panel or an annotation, with what its legend shows.
pub(crate) struct Query {
    pub(crate) place: String,
    pub(crate) expression: String,
    legend: String,
}

/// Every query of the dashboard.
pub(crate) fn queries() -> Vec<Query> {
    let dashboard = dashboard();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let query = |place: &Value, query: &Value, legends: &[&str]| Query {
        place: text(place),
        expression: text(&query["expr"]),
        legend: legends.iter().map(|legend| text(&query[legend])).collect(),
    };
    let mut queries = Vec::new();
    for panel in list(&dashboard["panels"]) {
        let targets = list(&panel["targets"]);
        queries.extend(targets.iter().map(|target| query(&panel["title"], target, &["legendFormat"])));
    }
    for annotation in list(&dashboard["annotations"]["list"]) {
        queries.push(query(&annotation["name"], &annotation, &["titleFormat"]));
    }
    // None was overlooked.
    assert_eq!(queries.len(), dashboard.to_string().matches("\"expr\":").count());
    queries
}

fn dashboard() -> Value {
    serde_json::from_str(&deploy("grafana/h2watch.json")).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[test]
fn it_is_whole() {
    let dashboard = dashboard();
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
fn queries_ask_for_labels_that_their_metrics_have() {
    for Query { place, expression, legend } in queries() {
        check(&expression, &place);
        // A sum keeps only what it is by.
        let kept = after_each(&expression, " by (", ')').map(str::to_owned).collect::<Vec<_>>();
        let kept = if kept.is_empty() { vec![known(&expression).join(",")] } else { kept };
        for label in after_each(&legend, "{{", '}') {
            let shown = kept.iter().any(|labels| labels.split(',').any(|kept| kept.trim() == label));
            assert!(shown, "{place}: {{{{{label}}}}} is not left by {expression}");
        }
    }
}

#[test]
fn variables_ask_for_labels_that_their_metrics_have() {
    let dashboard = dashboard().to_string();
    let mut asked = 0;
    for (metric, label) in after_each(&dashboard, "label_values(", ')').filter_map(|v| v.split_once(", ")) {
        assert!(known(metric).contains(&label), "{metric} has no {label}");
        asked += 1;
    }
    assert!(asked > 0);
}

#[test]
fn alerts_ask_for_labels_that_their_metrics_have() {
    let rules = deploy(RULES);
    for (alert, rule) in alerts(&rules) {
        let expression = between(rule, "expr: ", "for: ").unwrap();
        check(expression, alert);
        let known = known(expression);
        for label in after_each(rule, "$labels.", ' ') {
            assert!(known.contains(&label), "{alert}: $labels.{label}, of {known:?}");
        }
    }
}

/// Labels in selectors and aggregations.
fn check(expression: &str, place: &str) {
    let known = known(expression);
    assert!(expression.contains("h2watch_"), "{place} asks for nothing: {expression}");
    let selectors = after_each(expression, "{", '}').flat_map(|matchers| matchers.split(','));
    let matched = selectors.filter_map(|matcher| matcher.split(['=', '!']).next());
    let by = after_each(expression, " by (", ')').flat_map(|labels| labels.split(','));
    for label in matched.chain(by).map(str::trim) {
        assert!(known.contains(&label), "{place}: {label} is no label of {known:?}: {expression}");
    }
}

/// The labels of the metrics in an expression, and those that a scrape adds.
fn known(expression: &str) -> Vec<&'static str> {
    let names = |metric: &Metric| metric.series().iter().any(|series| words(expression).any(|w| w == series));
    let metrics: Vec<_> = metrics::ALL.iter().filter(|metric| names(metric)).collect();
    let bounds = metrics.iter().any(|metric| matches!(metric.kind, MetricType::Histogram));
    let own = metrics.iter().flat_map(|metric| metric.labels).copied();
    own.chain(["job", "instance"]).chain(bounds.then_some("le")).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// What stands between each `start` and the next `end`.
fn after_each<'a>(text: &'a str, start: &'a str, end: char) -> impl Iterator<Item = &'a str> {
    text.split(start).skip(1).map(move |rest| rest.split(end).next().unwrap_or_default())
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    Some(text.split_once(start)?.1.split_once(end)?.0)
}
