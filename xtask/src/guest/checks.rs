//! What has to hold on every kernel: h2watch loads, attaches, sees a real exchange, flags it when it is cut, and sees it
//! recover. `--all` is checked here and nowhere else: it watches a whole machine, and this one is ours. Limits are generous: an
//! emulated guest is about ten times slower than a real machine.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::lines::{Watch, signal};
use super::{machine, metrics};
use crate::say;

const H2WATCH: &str = "/h2watch";
const LIMIT: Duration = Duration::from_secs(60);

pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) run: fn() -> Result<String>,
}

pub(super) const ALL: [Check; 5] = [
    Check { name: "doctor", run: doctor },
    Check { name: "demo", run: demo },
    Check { name: "pid in the root cgroup", run: pid_in_root_cgroup },
    Check { name: "all", run: all },
    Check { name: "export all", run: export_all },
];

/// The first kernel with `bpf_loop`.
const BPF_LOOP_SINCE: (u32, u32) = (5, 17);

/// What this kernel cannot do is said there; only "could not tell" is a failure, and programs that are refused where they need not be.
fn doctor() -> Result<String> {
    let output = Command::new(H2WATCH).arg("doctor").output().context("cannot start h2watch")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    say::line(said.trim_end());
    let tls =
        said.lines().find(|line| line.contains("tls probes")).context("nothing is said of TLS programs")?;
    ensure!(tls.starts_with("PASS") != lacks_bpf_loop(), "Linux {}: {tls}", machine::kernel_version());
    match output.status.code() {
        Some(status @ 0..=1) => Ok(format!("exit status {status}")),
        _ => bail!("{}", output.status),
    }
}

/// A client, a server and a link that is cut, all of h2watch's own making, from the first packet on.
fn demo() -> Result<String> {
    let arguments = ["demo", "--output", "json", "--for", "30s", "--unplug-after", "5s"];
    let mut watch = Watch::start(Command::new(H2WATCH).args(arguments), true)?;
    let ready = watch.wait_for("ready", LIMIT, |_| true)?;
    ensure!(ready["recording"].is_null(), "only its recording was played: {}", ready["degradations"]);
    watch.wait_for("open", LIMIT, |_| true)?;
    let stall = watch.wait_for("stall", LIMIT, |_| true)?;
    watch.wait_for("recover", LIMIT, |_| true)?;
    watch.wait_for("summary", LIMIT, |_| true)?;
    watch.end(false, LIMIT)?;
    evidence(&stall)
}

/// A connection that is older than h2watch, of a process that no cgroup was made for.
fn pid_in_root_cgroup() -> Result<String> {
    let pair = Pair::start()?;
    let pid = pair.client.id().to_string();
    pair.is_flagged(&["--pid", &pid])
}

fn all() -> Result<String> {
    Pair::start()?.is_flagged(&["--all"])
}

/// What Prometheus would be told of it.
fn export_all() -> Result<String> {
    let pair = Pair::start()?;
    let mut command = Command::new(H2WATCH);
    let mut exporter = Process::of(command.args(["export", "--all", "--stall-after", "1s"]))?;
    metrics::wait_for(LIMIT, "h2watch_streams_opened_total", |opened| opened > 0.0)?;
    metrics::wait_for(LIMIT, "h2watch_connections", |connections| connections == 1.0)?;
    signal(pair.server.id(), libc::SIGSTOP)?;
    metrics::wait_for(LIMIT, "h2watch_stalled_connections", |stalled| stalled == 1.0)?;
    signal(pair.server.id(), libc::SIGCONT)?;
    metrics::wait_for(LIMIT, "h2watch_stalled_connections", |stalled| stalled == 0.0)?;
    let damage =
        metrics::wait_for(LIMIT, "h2watch_streams_opened_while_stalled_total", |damage| damage > 0.0)?;
    metrics::wait_for(LIMIT, "h2watch_degradations", |limits| !lacks_bpf_loop() || limits > 0.0)?;
    signal(exporter.id(), libc::SIGTERM)?;
    let status = exporter.0.wait().context("waiting for the exporter")?;
    ensure!(status.success(), "the exporter ended with {status}");
    Ok(format!("{damage} streams opened while stalled"))
}

/// A server and a client of it, both in the root cgroup.
struct Pair {
    client: Process,
    server: Process,
}

impl Pair {
    fn start() -> Result<Self> {
        let mut server = Process::start(&["guest", "server"])?;
        let port = server.first_line()?;
        let client = Process::start(&["guest", "client", &format!("127.0.0.1:{port}")])?;
        let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", client.id()))
            .context("reading the client's cgroup")?;
        ensure!(cgroup.trim() == "0::/", "the client is not in the root cgroup but in {}", cgroup.trim());
        Ok(Self { client, server })
    }

    /// Watched, cut, flagged, mended, recovered. The sentence of the stall.
    fn is_flagged(&self, selector: &[&str]) -> Result<String> {
        let arguments = [selector, &["--output", "json", "--stall-after", "1s"]].concat();
        let mut watch = Watch::start(Command::new(H2WATCH).args(arguments), true)?;
        let ready = watch.wait_for("ready", LIMIT, |_| true)?;
        limits_are_said(&ready)?;
        let seen = watch.wait_for("snapshot", LIMIT, |line| connections(line).any(is_in_use))?;
        let n_seen = connections(&seen).count();
        ensure!(n_seen == 1, "the client has one connection, h2watch shows {n_seen}");

        signal(self.server.id(), libc::SIGSTOP)?;
        let stall = watch.wait_for("stall", LIMIT, |_| true)?;
        signal(self.server.id(), libc::SIGCONT)?;
        watch.wait_for("recover", LIMIT, |_| true)?;
        signal(watch.id(), libc::SIGTERM)?;
        watch.wait_for("summary", LIMIT, |_| true)?;
        watch.end(false, LIMIT)?;
        ensure!(
            stall["connection"]["pid"] == self.client.id(),
            "the stall names another process: {}",
            stall["connection"]
        );
        evidence(&stall)
    }
}

/// A kernel without `bpf_loop` walks fewer frames of a segment, and h2watch says so; with it nothing of the kind is said.
fn limits_are_said(ready: &Value) -> Result<()> {
    let limits = ready["degradations"].as_array().context("a list of degradations")?;
    let said = limits.iter().any(|limit| limit.as_str().is_some_and(|limit| limit.contains("bpf_loop")));
    ensure!(
        said == lacks_bpf_loop(),
        "Linux {}: what is said of bpf_loop is wrong: {}",
        machine::kernel_version(),
        ready["degradations"]
    );
    Ok(())
}

fn lacks_bpf_loop() -> bool {
    let version = machine::kernel_version();
    let mut numbers = version.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    (major, minor) < BPF_LOOP_SINCE
}

fn connections(snapshot: &Value) -> impl Iterator<Item = &Value> {
    snapshot["connections"].as_array().into_iter().flatten()
}

/// In sync: frames of both directions are seen. The verdict may be `idle`, the server answers at once.
fn is_in_use(connection: &Value) -> bool {
    let is_seen = |figure: &Value| figure.as_u64() > Some(0);
    is_seen(&connection["streams_opened"])
        && is_seen(&connection["frames_received"]["total"])
        && connection["verdict"] != "stalled"
}

/// The sentence of a stall.
fn evidence(stall: &Value) -> Result<String> {
    let connection = &stall["connection"];
    ensure!(connection["verdict"] == "stalled", "a stall line whose connection is not stalled: {connection}");
    match connection["evidence"].as_str() {
        Some(sentence) if !sentence.is_empty() => Ok(format!("stalled, {sentence}")),
        _ => bail!("a stall without evidence: {connection}"),
    }
}

/// A role of this program or another one, ended with the check.
struct Process(Child);

impl Process {
    fn start(arguments: &[&str]) -> Result<Self> {
        Self::of(Command::new("/proc/self/exe").args(arguments).stdout(Stdio::piped()))
    }

    fn of(command: &mut Command) -> Result<Self> {
        command.spawn().map(Self).with_context(|| format!("cannot start {}", crate::command::shown(command)))
    }

    fn id(&self) -> u32 {
        self.0.id()
    }

    fn first_line(&mut self) -> Result<String> {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().context("no output")?).read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            say::complaint(&format!("a role could not be ended: {error}"));
        }
    }
}
