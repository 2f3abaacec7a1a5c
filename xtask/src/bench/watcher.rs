//! Who watches during a measurement: nobody, h2watch, or tcpdump that writes its packets to nowhere.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::cgroup::Cgroup;
use crate::checkout;
use crate::guest::{Watch, signal};

const READY_WITHIN: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Unwatched,
    H2watch,
    Tcpdump,
    /// What this measures is the machine.
    UnwatchedAgain,
}

/// A watcher that is surely watching.
pub(super) enum Watcher {
    None,
    H2watch(Watch),
    Tcpdump(Child),
}

impl Mode {
    pub(super) const ALL: [Self; 4] = [Self::Unwatched, Self::H2watch, Self::Tcpdump, Self::UnwatchedAgain];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Unwatched => "unwatched",
            Self::H2watch => "h2watch",
            Self::Tcpdump => "tcpdump",
            Self::UnwatchedAgain => "unwatched, again",
        }
    }

    pub(super) fn start(self, cgroup: &Cgroup, port: u16) -> Result<Watcher> {
        match self {
            Self::Unwatched | Self::UnwatchedAgain => Ok(Watcher::None),
            Self::H2watch => h2watch(cgroup).map(Watcher::H2watch),
            Self::Tcpdump => tcpdump(port).map(Watcher::Tcpdump),
        }
    }
}

pub(super) fn h2watch(cgroup: &Cgroup) -> Result<Watch> {
    h2watch_with(cgroup, &[])
}

/// h2watch with more options.
pub(super) fn h2watch_with(cgroup: &Cgroup, options: &[&str]) -> Result<Watch> {
    ready(&mut command_with(cgroup, options))
}

/// Its command line, which is not started yet.
pub(super) fn command_with(cgroup: &Cgroup, options: &[&str]) -> Command {
    let mut command = Command::new(checkout::root().join("target/release/h2watch"));
    command.arg("--cgroup").arg(cgroup.path()).args(["--output", "json"]).args(options);
    command
}

pub(super) fn ready(command: &mut Command) -> Result<Watch> {
    let mut watch = Watch::start(command, false)?;
    watch.wait_for("ready", READY_WITHIN, |_| true)?;
    Ok(watch)
}

fn tcpdump(port: u16) -> Result<Child> {
    let mut command = Command::new("tcpdump");
    command.args(["-i", "lo", "-w", "/dev/null", "tcp", "port", &port.to_string()]);
    let mut child =
        command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().context("cannot start tcpdump")?;
    // It says "listening on lo" when it does. Its pipe stays open until it ends, so that it can say goodbye.
    let mut said = BufReader::new(child.stderr.take().context("no output")?);
    let mut line = String::new();
    while !line.contains("listening on") {
        line.clear();
        ensure!(said.read_line(&mut line)? > 0, "tcpdump ended before it listened");
    }
    std::thread::spawn(move || said.lines().map_while(Result::ok).for_each(drop));
    Ok(child)
}

impl Watcher {
    pub(super) fn end(self) -> Result<()> {
        match self {
            Self::None => Ok(()),
            Self::H2watch(watch) => watch.end(true, READY_WITHIN),
            Self::Tcpdump(mut child) => {
                signal(child.id(), libc::SIGTERM)?;
                child.wait().map(drop).context("waiting for tcpdump")
            }
        }
    }
}
