//! A running h2watch and the JSON lines it prints: waiting for one of a kind, within a time limit.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::say;

pub(crate) struct Watch {
    child: Child,
    lines: Receiver<String>,
    /// What came so far, for the sentence that says what did not.
    seen: Vec<String>,
    last: String,
    /// Print events as they come.
    echo: bool,
}

impl Watch {
    /// Starts a command that prints JSON lines on its standard output.
    pub(crate) fn start(command: &mut Command, echo: bool) -> Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start h2watch")?;
        let stdout = child.stdout.take().context("h2watch has no output")?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, lines, seen: Vec::new(), last: String::new(), echo })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of this type for which `fits`; other lines pass by.
    pub(crate) fn wait_for(
        &mut self,
        kind: &str,
        limit: Duration,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let until = Instant::now() + limit;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => {
                    bail!("no `{kind}` in {}; {}", say::took(limit), self.so_far())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("h2watch ended before `{kind}`; {}", self.so_far())
                }
            };
            let value: Value =
                serde_json::from_str(&line).with_context(|| format!("not a JSON line: {line}"))?;
            let is = value["type"].as_str().unwrap_or("?").to_owned();
            if self.echo && is != "snapshot" {
                say::line(&format!("      {line}"));
            }
            if self.seen.last() != Some(&is) {
                self.seen.push(is.clone());
            }
            if is == kind && fits(&value) {
                return Ok(value);
            }
            self.last = line;
        }
    }

    fn so_far(&self) -> String {
        let said = if self.seen.is_empty() { "nothing".to_owned() } else { self.seen.join(" ") };
        format!("it had said: {said}; its last line: {}", self.last)
    }

    /// Asks it to end (or waits for it to do so by itself) and wants exit status 0.
    pub(crate) fn end(mut self, ask: bool, limit: Duration) -> Result<()> {
        if ask {
            signal(self.id(), libc::SIGTERM)?;
        }
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                anyhow::ensure!(status.success(), "h2watch ended with {status}");
                return Ok(());
            }
            if Instant::now() > until {
                self.child.kill()?;
                bail!("h2watch did not end in {}", say::took(limit));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Whatever happens to a check, what it started ends with it.
impl Drop for Watch {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(error) = ended {
            say::complaint(&format!("h2watch could not be ended: {error}"));
        }
    }
}

pub(crate) fn signal(pid: u32, signal: i32) -> Result<()> {
    let pid = libc::pid_t::try_from(pid).context("a pid fits")?;
    // SAFETY: kill takes two numbers; the process is a child of ours that was not yet waited for.
    if unsafe { libc::kill(pid, signal) } != 0 {
        return Err(std::io::Error::last_os_error())
            .with_context(|| format!("cannot send signal {signal} to {pid}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &str) -> Watch {
        Watch::start(Command::new("sh").args(["-c", text]), false).unwrap()
    }

    #[test]
    fn lines_of_other_types_pass_by_until_the_wanted_one() {
        let mut watch =
            says(r#"echo '{"type":"ready"}'; echo '{"type":"stall","n":1}'; echo '{"type":"stall","n":2}'"#);
        let stall = watch.wait_for("stall", Duration::from_secs(10), |line| line["n"] == 2).unwrap();
        assert_eq!(stall["n"], 2);
        watch.end(false, Duration::from_secs(10)).unwrap();
    }

    #[test]
    fn what_did_come_is_said_when_the_wanted_line_does_not() {
        let mut watch = says(r#"echo '{"type":"ready"}'"#);
        let error = watch.wait_for("stall", Duration::from_secs(10), |_| true).unwrap_err().to_string();
        assert!(error.contains("`stall`") && error.contains("ready"), "{error}");
    }

    #[test]
    fn an_exit_status_other_than_0_is_a_failure() {
        assert!(says("exit 3").end(false, Duration::from_secs(10)).is_err());
    }
}
