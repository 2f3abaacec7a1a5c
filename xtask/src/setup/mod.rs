//! `cargo xtask setup`: installs what building and testing need and is missing; a second run does nothing.
//!
//! Debian packages come from apt (as root), everything else goes into `.cache` of this checkout. Each step says in one line
//! what it did.

mod bpf;
mod clients;
mod debian;
pub(crate) mod deploy;
mod go;
mod python;
mod tool;

use std::time::Instant;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::say;
pub(crate) use go::install as go;
pub(crate) use tool::{CARGO_DENY, CARGO_FUZZ};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only this part (may be repeated); everything without it
    #[arg(long, value_enum)]
    only: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Clients, servers and tools that the tests run
    Clients,
    /// Compiler and linker for the kernel programs
    Bpf,
    /// cargo-deny
    Deny,
    /// cargo-fuzz
    Fuzz,
    /// What virtual machines need
    Vm,
    /// Go 1.19 as Debian 12 has it, for `cargo xtask accept tls`; not part of everything
    OldGo,
    /// Load generator and server of the benchmark
    Bench,
    /// Prometheus, Alertmanager, systemd, Kubernetes schemas and a browser, to check `deploy/` and the exporter
    Deploy,
}

impl Part {
    const ALL: [Self; 7] =
        [Self::Clients, Self::Bpf, Self::Deny, Self::Fuzz, Self::Vm, Self::Bench, Self::Deploy];

    fn set_up(self) -> Result<()> {
        match self {
            Self::Clients => clients::set_up(),
            Self::Bpf => bpf::set_up(),
            Self::Deny => CARGO_DENY.set_up(),
            Self::Fuzz => CARGO_FUZZ.set_up(),
            Self::OldGo => go::install_old(),
            Self::Vm => debian::install(&debian::VM),
            Self::Bench => debian::install(&debian::BENCH),
            Self::Deploy => deploy::set_up(),
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let parts = if options.only.is_empty() { &Part::ALL[..] } else { &options.only };
    parts.iter().try_for_each(|part| part.set_up())
}

/// For the tasks that cannot work without it.
pub(crate) fn require(part: Part) -> Result<()> {
    part.set_up()
}

/// Does a step and says what it did, unless it is already done.
fn step(what: &str, done: bool, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    if done {
        say::line(&format!("setup: {what}: present"));
        return Ok(());
    }
    work()?;
    say::line(&format!("setup: {what}: installed ({})", say::took(started.elapsed())));
    Ok(())
}
