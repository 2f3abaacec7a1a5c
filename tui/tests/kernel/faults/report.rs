//! The confusion matrix: which fault was given which cause how often, as text for people.

use super::catalogue::{FAULTS, Fault};
use super::clients::Client;
use super::run::Outcome;
use h2watch::human::count;
use std::collections::BTreeSet;
use std::fmt::Write as _;

const HEAD: &str = "\
# How often the cause is right

Every fault is produced for real (a link between two network namespaces that loses segments, a stopped process, servers and
clients that misbehave), h2watch runs with its default settings, and the cause that it reports last, 6 s after the first, is counted. A
run is wrong where the sentence lacks the numbers or the direction that it must name, where a stall was reported before the fault, and
where one was called over. Written by
";

/// All of `docs/accuracy.md`.
pub(crate) fn document(outcomes: &[Outcome], kernel: &str, settings: &str) -> String {
    let runs = outcomes.len() / rows_of(outcomes).count();
    format!(
        "{HEAD}`{settings}cargo xtask accept faults` ({runs} runs of each fault and client, Linux {kernel}),\nwhich fails \
         where one is wrong or late.\n\n{}\n\n{}\n## How soon\n\n{}",
        sum(outcomes),
        matrix(outcomes),
        times(outcomes)
    )
}

/// How many were right, and what was said of the others.
fn sum(outcomes: &[Outcome]) -> String {
    let all = count(outcomes.len() as u64);
    let wrong: Vec<&Outcome> = outcomes.iter().filter(|o| !o.is_right()).collect();
    let late = outcomes.iter().filter(|o| !o.in_time()).count();
    if wrong.is_empty() && late == 0 {
        return format!("All {all} runs had their cause and its sentence, in time.");
    }
    let right = count((outcomes.len() - wrong.len()) as u64);
    let mut text =
        format!("{right} of {all} runs had their cause and its sentence; {late} came later than they must.");
    for (fault, client) in rows_of(outcomes) {
        for o in wrong.iter().filter(|o| o.fault.name == fault.name && o.client == client) {
            _ = write!(text, "\n* {} ({}): {}", fault.name, client.name(), said_of(o));
        }
    }
    text
}

/// Of a wrong one: the causes in their order, and the last sentence.
fn said_of(outcome: &Outcome) -> String {
    if outcome.causes.is_empty() {
        return "no stall was reported".to_owned();
    }
    let early = if outcome.early { "before the fault: " } else { "" };
    let ended = if outcome.recovers > 0 { ", and called well again" } else { "" };
    format!("{early}{}{ended}: \"{}\"", outcome.causes.join(", then "), outcome.evidence)
}

/// Rows: what was done. Columns: what was said.
pub(crate) fn matrix(outcomes: &[Outcome]) -> String {
    let said: BTreeSet<&str> = outcomes.iter().map(Outcome::said).collect();
    let mut text = String::from("| fault | client | cause |");
    said.iter().for_each(|cause| _ = write!(text, " {cause} |"));
    text += "\n|---|---|---|";
    said.iter().for_each(|_| text += "---:|");
    text += "\n";
    for (fault, client) in rows_of(outcomes) {
        _ = write!(text, "| {} | {} | `{}` |", fault.name, client.name(), fault.cause);
        for cause in &said {
            match of(outcomes, fault, client).filter(|o| o.said() == *cause).count() {
                0 => text += " |",
                n if *cause == fault.cause => _ = write!(text, " **{n}** |"),
                n => _ = write!(text, " {n} |"),
            }
        }
        text += "\n";
    }
    text
}

/// From the fault to the report, in seconds.
fn times(outcomes: &[Outcome]) -> String {
    let mut text = String::from(
        "Seconds from the fault to the report. Traffic: a request each 100 ms, given up after 1 s. A path is cut by loading a \
         rule, and the time begins when that is done: where the machine is busy, the path may be dead for a while already.\n\n| fault | client | fastest | median | slowest | cause changed afterwards |\n|---|---|---:|---:|---:|---:|\n",
    );
    for (fault, client) in rows_of(outcomes) {
        let mut seconds: Vec<f64> = of(outcomes, fault, client).filter_map(|o| o.after_s).collect();
        seconds.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let index = (seconds.len().saturating_sub(1) as f64 * share).round() as usize;
            seconds.get(index).map_or_else(|| "never".to_owned(), |s| format!("{s:.1}"))
        };
        let changed = of(outcomes, fault, client).filter(|o| o.causes.len() > 1).count();
        _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {changed} |",
            fault.name,
            client.name(),
            at(0.0),
            at(0.5),
            at(1.0)
        );
    }
    text
}

/// Faults with their clients, in the order of the catalogue.
pub(crate) fn rows() -> impl Iterator<Item = (Fault, Client)> {
    FAULTS.into_iter().flat_map(|fault| fault.clients.iter().map(move |&client| (fault, client)))
}

/// Those that were run.
fn rows_of(outcomes: &[Outcome]) -> impl Iterator<Item = (Fault, Client)> {
    rows().filter(|&(fault, client)| of(outcomes, fault, client).next().is_some())
}

fn of(outcomes: &[Outcome], fault: Fault, client: Client) -> impl Iterator<Item = &Outcome> {
    outcomes.iter().filter(move |o| o.fault.name == fault.name && o.client == client)
}

mod tests {
    use super::*;

    /// Every row once, all right.
    fn outcomes() -> Vec<Outcome> {
        let right = |(fault, client): (Fault, Client)| Outcome {
            fault,
            client,
            causes: vec![fault.cause.to_owned()],
            after_s: Some(2.0),
            early: false,
            recovers: 0,
            evidence: format!("7 streams; {} 3 times", fault.says[0].join(" ")),
            advice: String::new(),
        };
        rows().map(right).collect()
    }

    fn written(outcomes: &[Outcome]) -> String {
        document(outcomes, "6.18", "H2WATCH_FAULT_RUNS=1 ")
    }

    #[test]
    fn where_all_are_right_nothing_else_is_said() {
        let outcomes = outcomes();
        let text = written(&outcomes);
        let n = outcomes.len();
        assert!(text.contains(&format!("All {n} runs had their cause and its sentence, in time.")), "{text}");
        assert_eq!(text.matches("| **1** |").count(), n, "the matrix is a diagonal: {text}");
        assert!(text.contains(
            "`H2WATCH_FAULT_RUNS=1 cargo xtask accept faults` (1 runs of each fault and client, Linux 6.18)"
        ));
    }

    #[test]
    fn what_is_wrong_or_late_or_not_seen_is_said() {
        let mut outcomes = outcomes();
        let n = outcomes.len();
        outcomes[0].causes.push("unknown".to_owned());
        outcomes[1].causes.clear();
        outcomes[1].after_s = None;
        // The cause alone is not enough.
        outcomes[2].evidence = "something else".to_owned();
        // Nor is the right cause at the wrong time, or for a while.
        outcomes[3].early = true;
        outcomes[4].recovers = 1;
        let text = written(&outcomes);
        let head =
            format!("{} of {n} runs had their cause and its sentence; 1 came later than they must.", n - 5);
        let said = &outcomes[0].evidence;
        let wrong = [
            format!("* drop both ways (h2c: Rust h2): black_hole, then unknown: \"{said}\""),
            "* drop both ways (h2c: Go net/http): no stall was reported".to_owned(),
            "* drop both ways (h2c: Node): black_hole: \"something else\"".to_owned(),
            format!("* drop both ways (OpenSSL: Node): before the fault: black_hole: \"{said}\""),
            format!("* drop both ways (Go TLS: net/http): black_hole, and called well again: \"{said}\""),
        ];
        assert!(text.contains(&format!("{head}\n{}\n", wrong.join("\n"))), "{text}");
    }
}
