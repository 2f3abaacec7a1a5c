//! From what was typed to what runs: one match, and one file for each way to run.

mod act;
mod check;
mod demo;
mod export;
mod record;
mod replay;
mod rights;
mod watch;

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cli::{Cli, Mode, Output, OutputArgs, Selector, ThresholdArgs};
use crate::dashboard::{Theme, UiState};
use crate::descriptors;
use crate::privileges;
use crate::probe::may_attach_uprobes;
use crate::run::{Ending, Form, Front, Lines, Screen, Settings, Signals};
use crate::tls::Depth;
use crate::verdict::{Policy, StallAfter, Thresholds};

/// Runs what was asked for.
///
/// # Errors
/// It could not be done; the message says what, where and what to do.
pub fn start(cli: Cli) -> Result<Ending> {
    if let Some(Mode::DemoTraffic { destinations }) = &cli.mode {
        crate::demo::run_process(destinations)?;
        return Ok(Ending::Own(crate::exit::Exit::Success));
    }
    descriptors::allow_most();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    let ending = runtime.block_on(async move {
        let signals = Signals::register()?;
        match cli.mode {
            None => watch::watch_target(signals, &cli.watch, &cli.command, None).await,
            Some(Mode::Record(args)) => record::record(signals, &args).await,
            Some(Mode::Check(args)) => check::check_target(signals, &args).await,
            Some(Mode::Demo(args)) => demo::play(signals, &args).await,
            Some(Mode::Export(args)) => export::export(signals, &args).await,
            Some(Mode::Replay(args)) => replay::replay_file(signals, &args).await,
            Some(Mode::Doctor(args)) => crate::doctor::examine(&args),
            Some(Mode::DemoTraffic { .. }) => bail!("the demo's client runs by itself"),
        }
    });
    // A read of the terminal may still be under way on a blocking thread; it must not hold up the end.
    runtime.shutdown_background();
    ending
}

/// The dashboard for a person at a terminal, else lines.
fn front(output: &OutputArgs, ui: impl FnOnce((u16, u16)) -> UiState) -> Result<Front> {
    if output.form == Output::Auto && output.file.is_none() && on_terminal() {
        return Screen::open(ui).map(Box::new).map(Front::Screen);
    }
    let form = if output.form == Output::Json { Form::Json } else { Form::Table };
    Lines::open(form, output.file.as_deref()).map(Front::Lines)
}

/// The first state of the dashboard.
fn ui(watching: String, size: (u16, u16)) -> UiState {
    // https://no-color.org: present and not empty.
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    UiState::new(Theme::new(no_color), watching, size)
}

/// True when a person sees standard output and can type.
fn on_terminal() -> bool {
    std::io::stdout().is_terminal() && std::io::stdin().is_terminal()
}

fn settings(thresholds: ThresholdArgs, max_connections: u32, selector: &Selector) -> Settings {
    let no_uprobes = thresholds.tls != Depth::Records && !may_attach_uprobes();
    Settings {
        max_connections,
        stall_after: shortest(thresholds),
        min_streams: thresholds.min_streams,
        tls: if no_uprobes { Depth::Records } else { thresholds.tls },
        no_uprobes,
        exclude: selector.exclude.clone(),
    }
}

/// A run that is too short for a history cannot use one: `auto` means three seconds there.
fn without_history(thresholds: ThresholdArgs) -> ThresholdArgs {
    let stall_after = match thresholds.stall_after {
        StallAfter::Auto => StallAfter::Fixed(Thresholds::default().stall_after),
        fixed @ StallAfter::Fixed(_) => fixed,
    };
    ThresholdArgs { stall_after, ..thresholds }
}

/// No silence shorter than this is a stall by the clock.
fn shortest(thresholds: ThresholdArgs) -> Duration {
    Duration::from_nanos(policy(thresholds).shortest_ns())
}

fn policy(thresholds: ThresholdArgs) -> Policy {
    Policy {
        stall_after: thresholds.stall_after,
        min_streams: u64::from(thresholds.min_streams),
        ..Policy::default()
    }
}

/// Loading and attaching programs needs rights: say so before anything else. Being root is not asked for: the unit in `deploy/`
/// gives an ordinary user just these.
fn require_rights() -> Result<()> {
    let held = privileges::held()?.effective;
    let has = |name: &str| held.iter().any(|capability| capability == name);
    // CAP_SYS_ADMIN includes what was split from it (Linux 5.8).
    let missing: Vec<&str> = ["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"]
        .into_iter()
        .filter(|name| !has(name) && (*name == "CAP_NET_ADMIN" || !has("CAP_SYS_ADMIN")))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "watching needs root, or at least the capabilities {}, because it loads eBPF programs and looks at other processes' \
         sockets: run it with sudo",
        missing.join(", ")
    )
}
