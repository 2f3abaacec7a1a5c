//! What was typed. What it means is decided where it is used.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::demo::Destination;
use crate::record::Speed;
use crate::reset::policy::{self, Budget};
use crate::target::Names;
use crate::tls::Depth;
use crate::verdict::{Cause, Severity, StallAfter};

/// Shows HTTP/2 client connections that take new streams while receiving no frames, and says why.
///
/// Reads frame headers only, never a header value or a body byte. Needs root (CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and
/// CAP_SYS_PTRACE), Linux 5.10 or newer and cgroup v2.
#[derive(Debug, Parser)]
#[command(name = "h2watch", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Cli {
    #[command(subcommand)]
    pub mode: Option<Mode>,
    #[command(flatten)]
    pub watch: Watch,
    /// Run this command in a cgroup of its own and watch it from its first packet; its exit status is passed on.
    #[arg(last = true, value_name = "COMMAND", conflicts_with_all = ["pids", "comm", "cgroup", "all"])]
    pub command: Vec<OsString>,
}

/// Everything but watching.
#[derive(Debug, Subcommand)]
pub enum Mode {
    /// Look once, for scripts: exit status 0 healthy, 1 stalled, 3 stalled with severity `warning` only, 2 could not tell.
    ///
    /// What could not be told is said: a look that was too short, connections that were open before and show too little of
    /// themselves, a full table. `hung_server` takes 30 s (or 10 times --stall-after, if that is longer) to show: --for 31s.
    Check(Check),
    /// Watch a client, a server and a link that can be unplugged, all made for the purpose.
    Demo(Demo),
    /// Say what can be seen here, what not, and what to do about it: exit status 0, 1 or 2.
    Doctor(Doctor),
    /// Prometheus exporter: metrics, a page for people, and the connections as JSON.
    Export(Export),
    /// Watch, and write down what is seen, without any payload: for a bug report, or to look at it later.
    Record(Record),
    /// Show a recording as if it happened now: no rights needed, no probe loaded.
    Replay(Replay),
    /// The demo's client; started by `demo`.
    #[command(hide = true)]
    DemoTraffic { destinations: Vec<Destination> },
}

/// Whom to watch.
#[derive(Args, Clone, Debug, Default)]
#[group(id = "selector", multiple = true)]
pub struct Selector {
    /// Watch this process (may be repeated).
    #[arg(long = "pid", value_name = "PID", conflicts_with_all = ["cgroup", "all"])]
    pub pids: Vec<u32>,
    /// Watch every process whose whole name (Linux `comm`) this regular expression matches, also those that start later.
    #[arg(long, value_name = "REGEX", conflicts_with_all = ["cgroup", "all", "pids"], value_parser = Names::parse)]
    pub comm: Option<Names>,
    /// Watch a cgroup: a path below the cgroup v2 mount, a systemd unit, or a container id.
    #[arg(long, value_name = "PATH|UNIT|ID", conflicts_with = "all")]
    pub cgroup: Option<String>,
    /// Watch the whole host (attaches to the root cgroup).
    #[arg(long)]
    pub all: bool,
    /// With --all, --cgroup or --comm: leave out processes whose whole name this regular expression matches.
    #[arg(long, value_name = "REGEX", conflicts_with = "pids", value_parser = Names::parse)]
    pub exclude: Option<Names>,
}

/// How to watch.
#[derive(Args, Clone, Debug)]
pub struct Watch {
    #[command(flatten)]
    pub selector: Selector,
    #[command(flatten)]
    pub thresholds: ThresholdArgs,
    #[command(flatten)]
    pub act: Act,
    /// Time between two looks.
    #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = duration)]
    pub interval: Duration,
    /// Stop after this time.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub run_for: Option<Duration>,
    #[command(flatten)]
    pub output: OutputArgs,
    /// Connections that can be watched at once; each costs about 4 KiB of kernel memory.
    #[arg(long, value_name = "N", default_value_t = 8192, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_connections: u32,
}

/// How and where to show it.
#[derive(Args, Clone, Debug)]
pub struct OutputArgs {
    /// `auto`: the dashboard on a terminal, else one line for each event.
    #[arg(long = "output", value_name = "OUTPUT", value_enum, default_value_t = Output::Auto)]
    pub form: Output,
    /// Write lines to this file instead of standard output.
    #[arg(short = 'o', value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// Acting on what is found.
#[derive(Args, Clone, Debug)]
pub struct Act {
    /// Whether dead connections are reset (SOCK_DESTROY), so that the client dials anew: `confirm` is the dashboard's key r.
    #[arg(long, value_name = "off|confirm|dry-run|auto", default_value = "off")]
    pub reset: policy::Mode,
    /// Causes that `auto` and `dry-run` may act on, separated by commas.
    #[arg(long, value_name = "CAUSES", value_parser = reset_causes)]
    pub reset_causes: Option<Causes>,
    /// How long a connection must have been stalled before it is reset.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = humantime::parse_duration)]
    pub reset_after: Duration,
    /// Resets allowed for each process.
    #[arg(long, value_name = "N/s|min|h", default_value = "5/min")]
    pub reset_budget: Budget,
    /// Resets allowed for all processes together.
    #[arg(long, value_name = "N/s|min|h", default_value = "20/min")]
    pub reset_budget_total: Budget,
    /// After a reset, new connections to the same destination are left alone for this long.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    pub reset_cool_down: Duration,
    /// Append every decision about a reset, also every refusal, to this file (JSON lines).
    #[arg(long, value_name = "FILE")]
    pub audit_log: Option<PathBuf>,
    /// Run this command when a connection stalls, with the incident as JSON on its standard input. Words and quotes are
    /// those of a shell, but none is involved: docs/hooks.md.
    #[arg(long, value_name = "COMMAND", value_parser = words)]
    pub on_stall: Option<Words>,
    /// Run this command when a stalled connection is heard again.
    #[arg(long, value_name = "COMMAND", value_parser = words)]
    pub on_recover: Option<Words>,
    /// A command that runs longer is ended.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub hook_timeout: Duration,
    /// Commands that may run at the same time.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub hook_limit: u16,
}

/// Options of the exporter.
#[derive(Args, Clone, Debug)]
pub struct Export {
    #[command(flatten)]
    pub selector: Selector,
    #[command(flatten)]
    pub thresholds: ThresholdArgs,
    #[command(flatten)]
    pub act: Act,
    /// Address of the HTTP side.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9632")]
    pub listen: std::net::SocketAddr,
    /// Destinations that get series of their own; the others are summed as `~other`.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub max_destinations: usize,
    /// Time between two looks.
    #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = duration)]
    pub interval: Duration,
    /// Connections that can be watched at once.
    #[arg(long, value_name = "N", default_value_t = 8192, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_connections: u32,
}

/// When a connection is stalled.
#[derive(Args, Clone, Copy, Debug)]
pub struct ThresholdArgs {
    /// Silence after which unanswered streams are a stall; `auto`: in proportion to what the destination normally does, and
    /// never less than 3s (`check` knows no history in one look and takes it for 3s).
    #[arg(long, value_name = "auto|DURATION", default_value = "auto", value_parser = stall_after)]
    pub stall_after: StallAfter,
    /// Unanswered streams that make a stall.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub min_streams: u32,
    /// How deep to look into TLS: only its records; also what the client writes; or both directions. `auto` goes as deep as
    /// makes no call of a TLS library more than 3 us slower, and says why (`process` lines, `doctor --pid`).
    #[arg(long, value_enum, value_name = "auto|records|streams|frames", default_value_t = Depth::Auto)]
    pub tls: Depth,
}

/// One look.
#[derive(Args, Clone, Debug)]
pub struct Check {
    #[command(flatten)]
    pub selector: Selector,
    #[command(flatten)]
    pub thresholds: ThresholdArgs,
    /// How long to look at most; a stall that is found ends it sooner. Less than --stall-after and a second cannot tell that all is
    /// well, and exit status 2 says so [default: --stall-after and a second].
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub run_for: Option<Duration>,
    /// Stalls below this severity do not change the exit status.
    #[arg(long, value_enum, default_value_t = MinSeverity::Warning)]
    pub min_severity: MinSeverity,
    /// Connections that can be looked at; of more it cannot be told.
    #[arg(long, value_name = "N", default_value_t = 8192, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_connections: u32,
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// The demonstration.
#[derive(Args, Clone, Debug)]
pub struct Demo {
    #[command(flatten)]
    pub thresholds: ThresholdArgs,
    /// Without a terminal: unplug the link after this time.
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = duration)]
    pub unplug_after: Duration,
    /// Stop after this time.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub run_for: Option<Duration>,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Recording. Everything else is as for watching.
#[derive(Args, Clone, Debug)]
pub struct Record {
    /// File to make; with `--incidents` one for each stall: `FILE-1.h2w`, `FILE-2.h2w` ... None is overwritten.
    #[arg(value_name = "FILE")]
    pub recording: PathBuf,
    /// Replace addresses, process names, cgroups, containers and TLS server names by pseudonyms.
    #[arg(long)]
    pub anonymise: bool,
    /// Record only stalls, with some time before and after each.
    #[arg(long)]
    pub incidents: bool,
    /// Time kept from before a stall.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration, requires = "incidents")]
    pub incident_before: Duration,
    /// Time kept from after a stall.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration, requires = "incidents")]
    pub incident_after: Duration,
    #[command(flatten)]
    pub watch: Watch,
    /// Run this command in a cgroup of its own and record it from its first packet; its exit status is passed on.
    #[arg(last = true, value_name = "COMMAND", conflicts_with_all = ["pids", "comm", "cgroup", "all"])]
    pub command: Vec<OsString>,
}

/// Showing a recording.
#[derive(Args, Clone, Debug)]
pub struct Replay {
    /// What `h2watch record` made.
    #[arg(value_name = "FILE")]
    pub recording: PathBuf,
    /// `1`, `10x`, `0.5`, or `max`: everything at once [default: 1 on the dashboard, max for lines].
    #[arg(long, value_name = "FACTOR|max")]
    pub speed: Option<Speed>,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The check-up.
#[derive(Args, Clone, Debug)]
pub struct Doctor {
    /// Also say what can be seen of this process.
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// Every detail.
    #[arg(short, long)]
    pub verbose: bool,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    #[default]
    Auto,
    Table,
    Json,
}

/// Least severity that `check` tells by its exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MinSeverity {
    /// Also `hung_server` and `goaway_ignored`.
    Warning,
    Critical,
}

impl From<MinSeverity> for Severity {
    fn from(least: MinSeverity) -> Self {
        match least {
            MinSeverity::Warning => Severity::Warning,
            MinSeverity::Critical => Severity::Critical,
        }
    }
}

/// Causes of `--reset-causes`.
#[derive(Clone, Debug)]
pub struct Causes(pub BTreeSet<Cause>);

fn reset_causes(text: &str) -> Result<Causes, String> {
    policy::causes(text).map(Causes).map_err(|error| format!("{error:#}"))
}

/// A command and its arguments.
#[derive(Clone, Debug)]
pub struct Words(pub Vec<OsString>);

fn words(text: &str) -> Result<Words, String> {
    let words = shell_words::split(text).map_err(|error| error.to_string())?;
    if words.is_empty() {
        return Err("name a command".to_owned());
    }
    Ok(Words(words.into_iter().map(OsString::from).collect()))
}

/// `auto`, or a time.
fn stall_after(text: &str) -> Result<StallAfter, String> {
    if text == "auto" { Ok(StallAfter::Auto) } else { duration(text).map(StallAfter::Fixed) }
}

/// A time as humantime writes it: `3s`, `250ms`, `1m 30s`. Zero is refused: nothing here can happen in no time.
fn duration(text: &str) -> Result<Duration, String> {
    let duration =
        humantime::parse_duration(text).map_err(|error| format!("{error}; write it like 3s or 250ms"))?;
    if duration.is_zero() { Err("must be more than 0".to_owned()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests;
