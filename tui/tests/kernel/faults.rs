//! Every cause under its real fault, with h2watch's default settings.

pub(crate) mod catalogue;
pub(crate) mod clients;
mod give_up;
pub(crate) mod peer;
mod report;
pub(crate) mod run;

use crate::support::take_turns;
use catalogue::{FAULTS, Fault};
use clients::Client;
use run::{Outcome, Watched};
use std::path::Path;
use std::sync::{Barrier, Mutex};

/// How many runs of each fault `cargo xtask accept faults` makes, and how many at the same time.
const RUNS: &str = "H2WATCH_FAULT_RUNS";
const AT_ONCE: &str = "H2WATCH_FAULTS_AT_ONCE";
/// While one is being looked into: only faults and clients with this in their names, or without it.
const ONLY: &str = "H2WATCH_FAULTS";
const WITHOUT: &str = "H2WATCH_FAULTS_WITHOUT";

#[test]
fn each_fault_gets_its_cause() {
    let _turn = take_turns();
    // Each fault with one of its clients: all together they see every client and every fault.
    let rows = FAULTS.into_iter().enumerate();
    let rows = rows.map(|(i, fault)| (fault, fault.clients[i % fault.clients.len()])).collect();
    let outcomes = run_all(rows, 1, setting(AT_ONCE, 8));
    judge(&outcomes);
    if !all_are_chosen() {
        return;
    }
    // Its connection has no TLS: what its process is tells the client.
    let go = |o: &&Outcome| o.client == Client::Go && o.fault.cause == "black_hole";
    let advice = &outcomes.iter().find(go).expect("Go on a dead path").advice;
    assert!(advice.contains(" Go (guessed from its program): set ReadIdleTimeout"), "{advice}");
}

#[test]
#[ignore = "twenty runs of each fault: cargo xtask accept faults"]
fn the_confusion_matrix_is_a_diagonal() {
    let outcomes = run_all(report::rows().collect(), setting(RUNS, 20), setting(AT_ONCE, 8));
    if all_are_chosen() {
        let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/accuracy.md");
        std::fs::write(&file, report::document(&outcomes, &kernel, &settings()))
            .expect("docs/ can be written");
    }
    judge(&outcomes);
}

/// A part of the matrix is for whoever looks into it.
fn all_are_chosen() -> bool {
    [ONLY, WITHOUT].iter().all(|name| std::env::var_os(name).is_none())
}

/// What was set, as it was typed before the command.
fn settings() -> String {
    let set = |name: &&str| std::env::var(name).ok().map(|value| format!("{name}={value} "));
    [RUNS, AT_ONCE].iter().filter_map(set).collect()
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |n| n.parse().unwrap_or_else(|_| panic!("{name}: a number, not {n}")))
}

fn run_all(mut work: Vec<(Fault, Client)>, runs: usize, at_once: usize) -> Vec<Outcome> {
    let only = std::env::var(ONLY).unwrap_or_default();
    let without = std::env::var(WITHOUT).ok();
    work.retain(|(fault, client)| {
        let named = |name: &str| fault.name.contains(name) || client.name().contains(name);
        named(&only) && !without.as_deref().is_some_and(named)
    });
    // Slow ones first, so that nobody waits for one at the end.
    work.sort_by_key(|(fault, _)| fault.within);
    let work = Mutex::new(work.into_iter().flat_map(|row| vec![row; runs]).collect::<Vec<_>>());
    let outcomes = Mutex::new(Vec::new());
    // The kernel verifies programs for seconds, and nothing else runs meanwhile: all of them are there before the first fault.
    let all_started = Barrier::new(at_once);
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                let watched = Watched::start();
                all_started.wait();
                loop {
                    let Some((fault, client)) = work.lock().unwrap().pop() else { return };
                    let outcome = watched.run(fault, client);
                    let after = outcome.after_s.map_or_else(|| "never".to_owned(), |s| format!("{s:.2} s"));
                    println!(
                        "{} ({}): {:?} after {after}: {}",
                        fault.name,
                        client.name(),
                        outcome.causes,
                        outcome.evidence
                    );
                    outcomes.lock().unwrap().push(outcome);
                }
            });
        }
    });
    outcomes.into_inner().unwrap()
}

fn judge(outcomes: &[Outcome]) {
    println!("{}", report::matrix(outcomes));
    let wrong: Vec<&Outcome> = outcomes.iter().filter(|o| !o.is_right()).collect();
    assert!(wrong.is_empty(), "wrong cause: {wrong:#?}");
    let late: Vec<&Outcome> = outcomes.iter().filter(|o| !o.in_time()).collect();
    assert!(late.is_empty(), "too late: {late:#?}");
}
