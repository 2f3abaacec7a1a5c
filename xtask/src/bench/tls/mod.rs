//! `cargo xtask bench --tls`: what looking into TLS costs. Go, Node and OpenSSL (h2load) clients against a Go server,
//! unwatched and at each depth, in rounds that take turns; and what one call of a probed function costs, with the probe at
//! the place that h2watch chooses and at the function's first instruction.

mod clients;
mod hit;
mod report;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use super::cgroup::Cgroup;
use super::report::Measured;
use super::{Options, cpu, in_turn, section, watcher};
use crate::guest::Watch;
use crate::setup::{self, Part};
use crate::{checkout, command, say};
use clients::{Client, Server};
use report::Figures;

const ROUNDS: usize = 7;
const SOON: Duration = Duration::from_secs(30);

/// How a client is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    Unwatched,
    Records,
    Streams,
    Frames,
}

impl Depth {
    const ALL: [Self; 4] = [Self::Unwatched, Self::Records, Self::Streams, Self::Frames];

    fn name(self) -> &'static str {
        match self {
            Self::Unwatched => "unwatched",
            Self::Records => "records",
            Self::Streams => "streams",
            Self::Frames => "frames",
        }
    }
}

pub(super) fn run(options: &Options) -> Result<()> {
    setup::require(Part::Bench)?;
    setup::require(Part::Clients)?;
    let (started, rounds) = (Instant::now(), options.rounds.unwrap_or(ROUNDS));
    command::run(command::cargo().args(["build", "--quiet", "--release", "--package", "h2watch"]))?;
    let (cgroup, program) = (Cgroup::make()?, clients::go_program()?);
    let server = Server::start(&program)?;
    let mut figures = Figures::default();
    for client in Client::ALL {
        // Not counted: fills caches.
        once(Depth::Unwatched, client, &cgroup, &server)?;
        for round in 1..=rounds {
            for depth in in_turn(Depth::ALL, round) {
                let measured = once(depth, client, &cgroup, &server)?;
                say::line(&format!("bench: {} round {round} {}: {measured}", client.name(), depth.name()));
                figures.clients.push((client, depth, measured));
            }
        }
    }
    figures.calls = hit::measure(&cgroup, rounds)?;
    let text = report::text(&figures, rounds);
    say::line(&text);
    if !options.no_write {
        section::write(&checkout::root().join("docs/overhead.md"), "tls", &text)?;
    }
    say::line(&format!("bench: --tls, {rounds} rounds ({})", say::took(started.elapsed())));
    Ok(())
}

fn once(depth: Depth, client: Client, cgroup: &Cgroup, server: &Server) -> Result<Measured> {
    let mut watch = match depth {
        Depth::Unwatched => None,
        depth => Some(watcher::h2watch_with(cgroup, &["--tls", depth.name()])?),
    };
    let before = cpu::busy()?;
    let requests_per_second = client.run(cgroup, server)?;
    let cpu_seconds = (cpu::busy()? - before).as_secs_f64();
    if let Some(watch) = watch.take() {
        ended_as(watch, depth).with_context(|| format!("{} at depth {}", client.name(), depth.name()))?;
    }
    Ok(Measured { requests_per_second, cpu_seconds })
}

/// A measurement counts only when the client was seen as deep as it should have been.
fn ended_as(mut watch: Watch, depth: Depth) -> Result<()> {
    let seen = |line: &Value| {
        let connection = &line["connection"];
        connection["view"] == depth.name() && connection["bytes_received"].as_u64() > Some(1 << 20)
    };
    watch.wait_for("close", SOON, seen)?;
    watch.end(true, SOON)
}
