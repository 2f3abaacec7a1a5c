//! `cargo xtask bench`: what watching costs. h2load against nghttpd over h2c, unwatched, watched by h2watch and watched by
//! tcpdump, in rounds that take turns so that a machine that gets slower meanwhile does not favour one of them.
//!
//! Writes its section of `docs/overhead.md`; `--tls` measures TLS and writes another. The figures are of the machine it runs on; nothing else should be running there.

mod cgroup;
mod cpu;
mod load;
mod report;
mod runstats;
mod section;
mod tls;
mod watcher;

use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;

use crate::setup::{self, Part};
use crate::{checkout, command, say};
use load::{Load, Server};
use report::{Measured, Series};
use watcher::Mode;

/// Streams at once on each connection: the ordinary case, and the one where every segment holds a single small frame.
const STREAMS_AT_ONCE: [u32; 2] = [16, 1];

const ROUNDS: usize = 9;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What looking into TLS costs, instead of h2c
    #[arg(long)]
    tls: bool,
    /// Rounds; each measures every mode once (9; 7 with --tls)
    #[arg(long)]
    rounds: Option<usize>,
    /// Requests per measurement at 16 streams; a quarter of it at 1. A second or two: within a round the machine shall stay the same
    #[arg(long, default_value_t = 600_000)]
    requests: u32,
    /// Print the figures, leave docs/overhead.md as it is
    #[arg(long)]
    no_write: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if options.rounds == Some(0) {
        bail!("--rounds 0 measures nothing: give 9 or more");
    }
    if options.tls {
        return tls::run(options);
    }
    let rounds = options.rounds.unwrap_or(ROUNDS);
    setup::require(Part::Bench)?;
    let started = Instant::now();
    command::run(command::cargo().args(["build", "--quiet", "--release", "--package", "h2watch"]))?;
    let cgroup = cgroup::Cgroup::make()?;
    let server = Server::start()?;
    let mut series = Vec::new();
    for streams in STREAMS_AT_ONCE {
        let requests = if streams == 1 { options.requests / 4 } else { options.requests };
        let load = Load { port: server.port(), streams, requests };
        series.push(measure(&cgroup, &load, rounds)?);
    }
    let text = report::text(&series, rounds);
    say::line(&text);
    if !options.no_write {
        section::write(&checkout::root().join("docs/overhead.md"), "h2c", &text)?;
    }
    say::line(&format!("bench: {rounds} rounds ({})", say::took(started.elapsed())));
    Ok(())
}

fn measure(cgroup: &cgroup::Cgroup, load: &Load, rounds: usize) -> Result<Series> {
    // Not counted: fills caches and lets the machine reach its clock.
    once(Mode::Unwatched, cgroup, load)?;
    let mut series = Series::new(load);
    for round in 1..=rounds {
        for mode in in_turn(Mode::ALL, round) {
            let measured = once(mode, cgroup, load)?;
            say::line(&format!("bench: m={} round {round} {}: {measured}", load.streams, mode.name()));
            series.add(mode, measured);
        }
    }
    series.segments = Some(runstats::nanoseconds_per_run(cgroup, load)?);
    Ok(series)
}

/// Nobody always comes first, or always behind the same one: what a run leaves behind (a warm cache, a processor that was slowed
/// down) falls on all alike. Rounds are counted from 1.
fn in_turn<T, const N: usize>(mut all: [T; N], round: usize) -> [T; N] {
    let turn = round.saturating_sub(1);
    all.rotate_left(turn % N);
    if (turn / N) % 2 == 1 {
        all.reverse();
    }
    all
}

fn once(mode: Mode, cgroup: &cgroup::Cgroup, load: &Load) -> Result<Measured> {
    let watcher = mode.start(cgroup, load.port)?;
    // What a watcher does once for each program is not the price of traffic: h2watch finds and probes the TLS library of h2load.
    load.warm_up(cgroup)?;
    let before = cpu::busy()?;
    let requests_per_second = load.run(cgroup)?;
    let cpu_seconds = (cpu::busy()? - before).as_secs_f64();
    watcher.end()?;
    Ok(Measured { requests_per_second, cpu_seconds })
}

#[cfg(test)]
mod tests {
    use super::in_turn;
    use std::collections::BTreeSet;

    /// As many as there are ways to watch, over h2c and over TLS.
    #[test]
    fn of_four_each_is_first_as_often_as_any_other_and_never_always_behind_the_same() {
        let rounds: Vec<[char; 4]> = (1..=8).map(|round| in_turn(['a', 'b', 'c', 'd'], round)).collect();
        for one in ['a', 'b', 'c', 'd'] {
            assert_eq!(rounds.iter().filter(|round| round[0] == one).count(), 2, "{one}: {rounds:?}");
            let pairs = rounds.iter().flat_map(|round| round.windows(2)).filter(|pair| pair[1] == one);
            let before: BTreeSet<char> = pairs.map(|pair| pair[0]).collect();
            assert!(before.len() > 1, "{one} behind {before:?}: {rounds:?}");
        }
    }

    #[test]
    fn each_is_first_as_often_as_any_other_and_behind_each_of_the_others() {
        let rounds: Vec<[char; 3]> = (1..=9).map(|round| in_turn(['a', 'b', 'c'], round)).collect();
        for one in ['a', 'b', 'c'] {
            assert_eq!(rounds.iter().filter(|round| round[0] == one).count(), 3, "{one}: {rounds:?}");
            for other in ['a', 'b', 'c'].into_iter().filter(|other| *other != one) {
                let follows = |round: &[char; 3]| round.windows(2).any(|pair| pair == [other, one]);
                assert!(rounds.iter().any(follows), "{one} behind {other}: {rounds:?}");
            }
        }
    }
}
