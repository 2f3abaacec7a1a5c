//! The confusion matrix: which fault was given which cause how often, as text for people.

use super::catalogue::{FAULTS, Fault};
use super::clients::Client;
use super::run::Outcome;
use std::collections::BTreeSet;
use std::fmt::Write as _;

const HEAD: &str = "\
# How often the cause is right

Every fault is produced for real (a link between two network namespaces that loses segments, a stopped process, servers and
clients that misbehave), h2watch runs with its default settings, and the cause that it reports last is counted. Written by
";

/// All of `docs/accuracy.md`.
pub(crate) fn document(outcomes: &[Outcome], kernel: &str, settings: &str) -> String {
    let runs = outcomes.len() / rows_of(outcomes).count();
    format!(
        "{HEAD}`{settings}cargo xtask accept faults` ({runs} runs of each fault and client, Linux {kernel}).\n\n{}\n## How soon\n\n{}",
        matrix(outcomes),
        times(outcomes)
    )
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
        "Seconds from the fault to the report. Traffic: a request each 100 ms, given up after 1 s.\n\n| fault | client | fastest | median | slowest | cause changed afterwards |\n|---|---|---:|---:|---:|---:|\n",
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
