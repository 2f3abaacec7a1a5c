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
    /// Requests per measurement at 16 streams; a quarter of it at 1
    #[arg(long, default_value_t = 400_000)]
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
        for mode in Mode::ALL {
            let measured = once(mode, cgroup, load)?;
            say::line(&format!("bench: m={} round {round} {}: {measured}", load.streams, mode.name()));
            series.add(mode, measured);
        }
    }
    series.segments = Some(runstats::nanoseconds_per_run(cgroup, load)?);
    Ok(series)
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
