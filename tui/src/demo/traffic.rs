//! The demo's traffic as one thing: start it, put it into a cgroup, unplug and plug, end it.

use super::counts::Counts;
use super::destination::{Destination, Load};
use super::far_end::FarEnd;
use anyhow::{Context, Result, bail};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::time::timeout;

/// Hidden subcommand of the child process.
pub const SUBCOMMAND: &str = "demo-traffic";
/// What the connections carry; the first one's link is the one to unplug. The last two are quiet and healthy: they are there
/// to be left alone.
const LOADS: [Load; 5] = [
    Load::Requests { every: Duration::from_millis(20) },
    Load::Requests { every: Duration::from_millis(50) },
    Load::Requests { every: Duration::from_millis(125) },
    Load::Events,
    Load::Once,
];
/// The link that `unplug` unplugs.
const UNPLUGGABLE: usize = 0;
/// The pool ends within its request timeout; more than this and it is ended.
const END_WITHIN: Duration = Duration::from_secs(2);

/// Running traffic. Dropping it ends everything.
#[derive(Debug)]
pub struct Traffic {
    far_end: FarEnd,
    child: Child,
    orders: Option<ChildStdin>,
    counts: watch::Receiver<Counts>,
    reader: tokio::task::JoinHandle<()>,
    pid: u32,
}

impl Traffic {
    /// Starts servers, links and the client process, and moves the latter into `cgroup` (a directory of cgroup v2). The
    /// client opens no connection before `begin`, so that whoever watches it can attach first.
    ///
    /// # Errors
    /// Loopback is down, the process cannot be started, the cgroup refuses it.
    pub fn spawn(cgroup: Option<&Path>) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        Self::spawn_program(&program, cgroup)
    }

    /// As `spawn`, with the program that has the hidden subcommand.
    ///
    /// # Errors
    /// As for `spawn`.
    pub fn spawn_program(program: &Path, cgroup: Option<&Path>) -> Result<Self> {
        let far_end = FarEnd::start(LOADS.len() as u8)?;
        let destinations = LOADS.iter().zip(&far_end.addresses);
        let mut child = Command::new(program)
            .arg(SUBCOMMAND)
            .args(destinations.map(|(&load, &address)| Destination { load, address }.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            // Ctrl-C is for h2watch, which then ends the client and tells the totals.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| {
                format!("cannot start the demo's client ({} {SUBCOMMAND})", program.display())
            })?;
        let pid = child.id().context("the demo's client ended at once")?;
        if let Some(cgroup) = cgroup {
            let file = cgroup.join("cgroup.procs");
            std::fs::write(&file, pid.to_string()).with_context(|| {
                format!("cannot move the demo's client into its cgroup ({})", file.display())
            })?;
        }
        let (Some(orders), Some(reports)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the demo's client has no pipes");
        };
        let (report, counts) = watch::channel(Counts::default());
        let reader = tokio::spawn(read_counts(reports, report));
        Ok(Self { far_end, child, orders: Some(orders), counts, reader, pid })
    }

    /// Lets the client open its connections.
    ///
    /// # Errors
    /// The client ended meanwhile.
    pub async fn begin(&mut self) -> Result<()> {
        let orders = self.orders.as_mut().context("the demo's client was ended")?;
        orders.write_all(b"begin\n").await.context("the demo's client ended before it began")
    }

    /// Process id of the client.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The destination whose link `unplug` unplugs.
    #[must_use]
    pub fn unpluggable(&self) -> SocketAddr {
        self.far_end.addresses[UNPLUGGABLE]
    }

    /// Stops copying on the link to `unpluggable`. Sockets stay open.
    pub fn unplug(&self) {
        self.far_end.set_plugged(UNPLUGGABLE, false);
    }

    /// Copies again, beginning with what was waiting.
    pub fn plug(&self) {
        self.far_end.set_plugged(UNPLUGGABLE, true);
    }

    /// Whether the link is plugged in.
    #[must_use]
    pub fn is_plugged(&self) -> bool {
        self.far_end.is_plugged(UNPLUGGABLE)
    }

    /// What the client counted by itself, as of its last report (one in 200 ms).
    #[must_use]
    pub fn counts(&self) -> Counts {
        *self.counts.borrow()
    }

    /// Ends the client: what is in flight is waited for, connections are closed. Returns its final counts.
    ///
    /// # Errors
    /// It ended with a failure, or did not end and was killed.
    pub async fn end(mut self) -> Result<Counts> {
        drop(self.orders.take());
        let Ok(status) = timeout(END_WITHIN, self.child.wait()).await else {
            self.child.kill().await?;
            bail!("the demo's client did not end within {END_WITHIN:?} and was killed");
        };
        let status = status?;
        if !status.success() {
            bail!("the demo's client failed: {status}");
        }
        // Its output ends with it; the last line holds the final counts.
        let _ = (&mut self.reader).await;
        Ok(self.counts())
    }
}

async fn read_counts(reports: ChildStdout, to: watch::Sender<Counts>) {
    let mut lines = BufReader::new(reports).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(counts) = line.parse() {
            to.send_replace(counts);
        }
    }
}
