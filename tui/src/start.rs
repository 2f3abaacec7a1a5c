//! From what was typed to what runs: one match.

use std::io::IsTerminal as _;

use anyhow::{Context, Result, bail};

use crate::cli::{Check, Cli, Mode, Output, ThresholdArgs, Watch};
use crate::exit::Exit;
use crate::model::Model;
use crate::run::{Ending, Form, Front, Lines, Plan, Settings, Watcher, check, watch};
use crate::target::cgroup::{Hierarchy, OwnCgroup};
use crate::target::command::ChildOutput;
use crate::target::{Child, Target};
use crate::verdict::{Policy, StallAfter};

/// Runs what was asked for.
///
/// # Errors
/// It could not be done; the message says what, where and what to do.
pub fn start(cli: Cli) -> Result<Ending> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(async move {
        match cli.mode {
            None => watch_target(&cli.watch, &cli.command).await,
            Some(Mode::Check(args)) => check_target(&args).await,
            Some(_) => bail!("not in this build"),
        }
    })
}

/// The dashboard or lines, on a selector or a command.
async fn watch_target(args: &Watch, command: &[std::ffi::OsString]) -> Result<Ending> {
    require_root()?;
    let hierarchy = Hierarchy::find_mount()?;
    let form = form(args.output);
    let settings = settings(args.thresholds, args.max_connections);
    let plan = Plan { interval: args.interval, run_for: args.run_for, until_stalled: false };
    let lines = Lines::open(form, args.output_file.as_deref())?;
    let model = Model::new(policy(args.thresholds));
    if command.is_empty() {
        let target = Target::resolve(&args.selector, &hierarchy)?;
        let watcher = Watcher::start(target, hierarchy, &settings)?;
        return watch(watcher, model, Front::Lines(lines), &plan, None).await.map(|(ending, _)| ending);
    }
    let cgroup = OwnCgroup::create(&hierarchy)?;
    let watcher = Watcher::start(Target::Cgroup(cgroup.path().to_owned()), hierarchy, &settings)?;
    let output = if args.output_file.is_some() { ChildOutput::Inherit } else { ChildOutput::ToStderr };
    let child = Child::spawn(command, cgroup.path(), &output)?;
    watch(watcher, model, Front::Lines(lines), &plan, Some(child)).await.map(|(ending, _)| ending)
}

/// One verdict for scripts.
async fn check_target(args: &Check) -> Result<Ending> {
    require_root()?;
    let hierarchy = Hierarchy::find_mount()?;
    let target = Target::resolve(&args.selector, &hierarchy)?;
    let settings = settings(args.thresholds, 8192);
    let watcher = Watcher::start(target, hierarchy, &settings)?;
    let plan = Plan {
        interval: std::time::Duration::from_millis(100),
        run_for: Some(check::duration(args)),
        until_stalled: true,
    };
    let (ending, snapshot) =
        watch(watcher, Model::new(policy(args.thresholds)), Front::Quiet, &plan, None).await?;
    let mut lines = Lines::open(form(args.output), None)?;
    lines.whole(&snapshot)?;
    Ok(ending)
}

fn form(output: Output) -> Form {
    match output {
        Output::Json => Form::Json,
        Output::Auto | Output::Table => Form::Table,
    }
}

fn settings(thresholds: ThresholdArgs, max_connections: u32) -> Settings {
    Settings { max_connections, stall_after: thresholds.stall_after, min_streams: thresholds.min_streams }
}

fn policy(thresholds: ThresholdArgs) -> Policy {
    Policy {
        stall_after: StallAfter::Fixed(thresholds.stall_after),
        min_streams: u64::from(thresholds.min_streams),
        ..Policy::default()
    }
}

/// Loading programs needs rights: say so before anything else.
fn require_root() -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    bail!("watching needs root: run it with sudo (it loads eBPF programs and reads other processes' sockets)")
}

/// True when a person is watching.
#[must_use]
pub fn on_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// The status of a run that found nothing wrong.
pub const NOTHING_WRONG: Ending = Ending::Own(Exit::Success);
