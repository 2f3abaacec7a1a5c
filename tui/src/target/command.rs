//! `h2watch -- COMMAND`: a child in a cgroup of its own.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::Child as Running;

use crate::descriptors;

/// How long a command may take to end when it is asked to.
const END_WITHIN: Duration = Duration::from_secs(3);

/// A command that runs in a given cgroup.
#[derive(Debug)]
pub struct Child {
    running: Running,
    pid: u32,
}

/// Where the child's standard output goes.
#[derive(Debug)]
pub enum ChildOutput {
    /// To h2watch's own.
    Inherit,
    /// To h2watch's standard error, because h2watch's lines use standard output.
    ToStderr,
    /// Both streams into pipes, for the dashboard.
    Piped,
}

impl Child {
    /// Starts the command. It joins the cgroup before it becomes the command, so that its first packet is seen.
    /// `prepare` is called with its process id and program before that.
    ///
    /// # Errors
    /// There is no such command, or the cgroup does not take it.
    pub fn spawn(
        command: &[OsString],
        cgroup: &Path,
        output: &ChildOutput,
        prepare: impl FnOnce(u32, &Path),
    ) -> Result<Self> {
        let (program, arguments) = command.split_first().context("no command was given")?;
        let mut command = Command::new(program);
        command.args(arguments);
        match output {
            ChildOutput::Inherit => {}
            ChildOutput::ToStderr => {
                let stderr =
                    std::io::stderr().as_fd().try_clone_to_owned().context("duplicating standard error")?;
                command.stdout(Stdio::from(stderr));
            }
            ChildOutput::Piped => {
                // The keys are the dashboard's: a command that reads them too would take every other one.
                command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            }
        }
        let procs = std::fs::OpenOptions::new()
            .write(true)
            .open(cgroup.join("cgroup.procs"))
            .with_context(|| format!("opening the cgroup {}", cgroup.display()))?;
        // The child tells that it is there, and waits for the word to go on.
        let (mut there, tell) = std::io::pipe().context("making a pipe")?;
        let (wait, go_on) = std::io::pipe().context("making a pipe")?;
        // SAFETY: the closure only calls close(2), prlimit(2), write(2), getpid(2) and read(2), which are async-signal-safe, on
        // descriptors that stay open.
        unsafe {
            // Its own copy of the writing end would keep it waiting when h2watch dies.
            let go_on = go_on.as_raw_fd();
            command.pre_exec(move || {
                libc::close(go_on);
                descriptors::give_back()?;
                rustix::io::write(&procs, b"0")?;
                rustix::io::write(&tell, &std::process::id().to_ne_bytes())?;
                rustix::io::read(&wait, &mut [0; 1])?;
                Ok(())
            });
        }
        let runtime = tokio::runtime::Handle::current();
        let spawning = std::thread::spawn(move || {
            let _runtime = runtime.enter();
            tokio::process::Command::from(command).spawn()
        });
        let mut pid = [0; 4];
        // Nothing to read: the child could not even join the cgroup, and the error below says so.
        if std::io::Read::read_exact(&mut there, &mut pid).is_ok() {
            prepare(u32::from_ne_bytes(pid), &resolve(program));
        }
        let _ = rustix::io::write(&go_on, b"\n");
        let spawned =
            spawning.join().map_err(|_| anyhow::anyhow!("the thread that starts the command panicked"))?;
        let running = spawned.with_context(|| format!("starting {}", program.to_string_lossy()))?;
        let pid = running.id().context("the command ended before it began")?;
        Ok(Self { running, pid })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Waiting failed.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        self.running.wait().await.context("waiting for the command")
    }

    /// Ends it, if it has not ended: asks with SIGTERM, and insists with SIGKILL. `None` when it could not be waited for.
    pub async fn end(&mut self) -> Option<ExitStatus> {
        if let Ok(Some(status)) = self.running.try_wait() {
            return Some(status);
        }
        self.signal(rustix::process::Signal::TERM);
        if let Ok(status) = tokio::time::timeout(END_WITHIN, self.running.wait()).await {
            return status.ok();
        }
        self.running.kill().await.ok()?;
        self.running.wait().await.ok()
    }

    /// Passes a signal on.
    pub fn signal(&self, signal: rustix::process::Signal) {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// The output pipes, once.
    pub fn take_output(
        &mut self,
    ) -> (Option<tokio::process::ChildStdout>, Option<tokio::process::ChildStderr>) {
        (self.running.stdout.take(), self.running.stderr.take())
    }
}

/// The file that a shell would run for this word.
fn resolve(program: &OsStr) -> PathBuf {
    let path = Path::new(program);
    if path.components().count() > 1 {
        return path.to_owned();
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(path)).find(|file| file.is_file());
    found.unwrap_or_else(|| path.to_owned())
}

/// The exit code that a shell would report: the status, or 128 + the signal.
#[must_use]
pub fn shell_code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code).unwrap_or(u8::MAX)
}
