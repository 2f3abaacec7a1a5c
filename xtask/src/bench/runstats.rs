//! Nanoseconds per run of the kernel programs, from the kernel's own statistics. In a measurement apart: counting them
//! costs time itself.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::cgroup::Cgroup;
use super::load::Load;
use super::watcher;
use crate::command;

const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// Per program that sees segments: name, runs, nanoseconds per run.
pub(super) fn nanoseconds_per_run(cgroup: &Cgroup, load: &Load) -> Result<Vec<(String, u64, f64)>> {
    let _on = Switched::on()?;
    let before = programs()?;
    let watch = watcher::h2watch(cgroup)?;
    load.run(cgroup)?;
    // Only what was loaded since, and only what ran per segment: others' programs and the rare ones are left out.
    let after = programs()?;
    watch.end(true, std::time::Duration::from_secs(20))?;
    let ours = after
        .into_iter()
        .filter(|(id, run)| !before.contains_key(id) && run.kind == "cgroup_skb" && run.count > 0);
    let figures: Vec<_> =
        ours.map(|(_, run)| (run.name, run.count, run.time_ns as f64 / run.count as f64)).collect();
    ensure!(!figures.is_empty(), "no cgroup_skb program of h2watch ran");
    Ok(figures)
}

struct Run {
    name: String,
    kind: String,
    time_ns: u64,
    count: u64,
}

fn programs() -> Result<BTreeMap<u64, Run>> {
    let listed = command::output(Command::new("bpftool").args(["--json", "prog", "show"]))?;
    parse(&serde_json::from_str(&listed).context("bpftool prog show")?).context("bpftool printed no list")
}

fn parse(listed: &Value) -> Option<BTreeMap<u64, Run>> {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let program = |entry: &Value| {
        let run = Run {
            name: text(&entry["name"]),
            kind: text(&entry["type"]),
            time_ns: number(&entry["run_time_ns"]),
            count: number(&entry["run_cnt"]),
        };
        Some((entry["id"].as_u64()?, run))
    };
    listed.as_array()?.iter().map(program).collect()
}

/// The statistics are one switch for the whole machine: put back as it was, however this ends.
struct Switched {
    before: String,
}

impl Switched {
    fn on() -> Result<Self> {
        let before = fs::read_to_string(SWITCH).with_context(|| format!("cannot read {SWITCH}"))?;
        fs::write(SWITCH, "1").with_context(|| format!("cannot write {SWITCH} (as root?)"))?;
        Ok(Self { before })
    }
}

impl Drop for Switched {
    fn drop(&mut self) {
        if let Err(error) = fs::write(SWITCH, self.before.trim()) {
            crate::say::complaint(&format!("{SWITCH} is still 1: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_without_statistics_count_as_not_run() {
        let listed = serde_json::json!([
            {"id": 7, "type": "cgroup_skb", "name": "egress", "run_time_ns": 500, "run_cnt": 10},
            {"id": 8, "type": "cgroup_skb", "name": "ingress"},
        ]);
        let programs = parse(&listed).unwrap();
        assert_eq!((programs[&7].time_ns, programs[&7].count, programs[&8].count), (500, 10, 0));
        assert!(parse(&serde_json::json!({"error": "x"})).is_none());
    }
}
