//! One command from start to end.

use super::{Command, Problem};
use crate::descriptors;
use rustix::process::{Pid, Signal, kill_process_group};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin};

/// As much of stderr as is reported.
const STDERR_BYTES: usize = 2_000;

/// Its stdout is thrown away (ours is the screen or the lines), its stderr is kept for the failure.
pub(super) async fn run(
    command: &Command,
    variables: &[(&'static str, String)],
    input: &[u8],
    timeout: Duration,
) -> Result<(), Problem> {
    let mut hook = tokio::process::Command::new(&command.program);
    hook.args(&command.arguments)
        // An environment value cannot hold a NUL; a process name is chosen by the process.
        .envs(variables.iter().map(|(name, value)| (name, value.replace('\0', ""))))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // Own group: the terminal's Ctrl-C is for h2watch, and the timeout reaches what the command started.
        .process_group(0)
        .kill_on_drop(true);
    // SAFETY: prlimit(2) is async-signal-safe.
    unsafe { hook.pre_exec(descriptors::give_back) };
    let mut child = hook.spawn().map_err(|error| Problem::NotStarted(error.to_string()))?;
    let group = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
    match tokio::time::timeout(timeout, talk(&mut child, input)).await {
        Ok(result) => result,
        Err(_) => {
            if let Some(group) = group {
                // It may have ended this very moment.
                let _ = kill_process_group(group, Signal::KILL);
            }
            // Reaps it; SIGKILL cannot be refused.
            let _ = child.wait().await;
            Err(Problem::TimedOut(timeout))
        }
    }
}

async fn talk(child: &mut Child, input: &[u8]) -> Result<(), Problem> {
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let ((), complaint, status) = tokio::join!(give(stdin, input), first_bytes(stderr), child.wait());
    let status = status.map_err(|error| Problem::NotStarted(error.to_string()))?;
    if status.success() {
        return Ok(());
    }
    Err(Problem::Failed { status: status.to_string(), stderr: complaint })
}

/// A command need not read its stdin: a broken pipe is no failure.
async fn give(stdin: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(input).await;
    }
}

/// Reads to the end, so that the command never blocks on a full pipe, and keeps the beginning.
async fn first_bytes(stderr: Option<ChildStderr>) -> String {
    let Some(mut stderr) = stderr else { return String::new() };
    let mut kept = Vec::new();
    let mut chunk = [0; 1024];
    while let Some(n) = read(&mut stderr, &mut chunk).await {
        kept.extend_from_slice(&chunk[..n.min(STDERR_BYTES - kept.len())]);
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

async fn read(from: &mut (impl AsyncRead + Unpin), chunk: &mut [u8]) -> Option<usize> {
    from.read(chunk).await.ok().filter(|n| *n > 0)
}
