//! One guest: started, waited for within a time limit, and judged by what it wrote.
//!
//! The guest's checker writes to the second serial port and ends with `GUEST-END <failures>`. Everything else (panic, hang,
//! no last line, a complaint of the kernel on the first port) is a failure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::kernel::Kernel;
use crate::{checkout, say};

/// Emulated guests are about ten times slower than the host, and the host may be busy.
const TIME_LIMIT: Duration = Duration::from_secs(300);
const MEMORY_MIB: &str = "512";
/// What a kernel says when something is wrong with it, or with what was loaded into it.
const COMPLAINTS: [&str; 6] =
    ["Kernel panic", "Oops", "BUG:", "WARNING: CPU", "general protection", "suspicious RCU"];

pub(super) struct Outcome {
    kernel: String,
    /// Why it failed; none if it passed.
    failure: Option<String>,
    said: String,
    console: String,
    elapsed: Duration,
}

pub(super) fn boot(kernel: &Kernel, image: &Path, append: &str) -> Result<Outcome> {
    let logs = checkout::cache("vm/log");
    fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
    let file = |what: &str| logs.join(format!("{}.{what}", kernel.name));
    let (console, said) = (file("console"), file("out"));
    for old in [&console, &said] {
        if old.exists() {
            fs::remove_file(old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
    }
    let started = Instant::now();
    let mut guest =
        qemu(kernel, image, append, &console, &said).spawn().context("cannot start qemu-system-x86_64")?;
    let in_time = wait(&mut guest, started)?;
    let read = |file: &PathBuf| String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned();
    let (said, console) = (read(&said), read(&console));
    let failure = judge(&said, &console, in_time);
    Ok(Outcome { kernel: kernel.name.clone(), failure, said, console, elapsed: started.elapsed() })
}

fn qemu(kernel: &Kernel, image: &Path, append: &str, console: &Path, said: &Path) -> Command {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "q35"]);
    // One host thread for both guest CPUs: with two, QEMU 7.2 now and then breaks the guest while its kernel patches its own
    // code ("Oops: int3"): 4 of 40 runs against 0 of 60.
    qemu.args(["-accel", "tcg,thread=single", "-cpu", "qemu64", "-smp", "2", "-m", MEMORY_MIB]);
    qemu.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(image);
    let parameters =
        format!("console=ttyS0 loglevel=5 panic=-1 oops=panic mitigations=off {append} -- guest");
    qemu.arg("-append").arg(parameters);
    for port in [console, said] {
        qemu.arg("-serial").arg(format!("file:{}", port.display()));
    }
    qemu.stdin(Stdio::null());
    qemu
}

/// Whether it ended by itself in time; if not it is ended here.
fn wait(guest: &mut Child, started: Instant) -> Result<bool> {
    while guest.try_wait()?.is_none() {
        if started.elapsed() > TIME_LIMIT {
            guest.kill().context("cannot end qemu")?;
            guest.wait()?;
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(true)
}

fn judge(said: &str, console: &str, in_time: bool) -> Option<String> {
    if let Some(complaint) = console.lines().find(|line| COMPLAINTS.iter().any(|word| line.contains(word))) {
        return Some(format!("the kernel complained: {}", complaint.trim()));
    }
    if !in_time {
        return Some(format!("no end within {}", say::took(TIME_LIMIT)));
    }
    match said.lines().find_map(|line| line.trim().strip_prefix("GUEST-END ")) {
        Some("0") => None,
        Some(failures) => Some(format!("{failures} checks failed")),
        None => Some("the guest ended without a result".to_owned()),
    }
}

impl Outcome {
    /// Prints it; whether it passed.
    pub(super) fn report(&self, verbose: bool) -> bool {
        let took = say::took(self.elapsed);
        if verbose || self.failure.is_some() {
            say::line(&format!("--- {}: what the guest said\n{}", self.kernel, self.said.trim_end()));
        }
        match &self.failure {
            None => {
                let version =
                    self.said.lines().find_map(|line| line.strip_prefix("GUEST-BEGIN ")).unwrap_or("?");
                say::line(&format!("vm: {}: passed on {} ({took})", self.kernel, version.trim()));
            }
            Some(why) => {
                let lines: Vec<&str> = self.console.lines().collect();
                let last = lines[lines.len().saturating_sub(25)..].join("\n");
                say::line(&format!("--- {}: the end of its console\n{last}", self.kernel));
                say::line(&format!("vm: {}: FAILED: {why} ({took})", self.kernel));
            }
        }
        self.failure.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clean_end_without_failures_passes() {
        assert_eq!(judge("GUEST-BEGIN 6.1\r\nGUEST-END 0\r\n", "booting", true), None);
        assert!(judge("GUEST-END 2\r\n", "", true).unwrap().contains('2'));
        assert!(judge("GUEST-BEGIN 6.1\r\n", "", true).unwrap().contains("without a result"));
        assert!(judge("GUEST-END 0\r\n", "", false).unwrap().contains("no end"));
        assert!(
            judge("GUEST-END 0\r\n", "[1.0] WARNING: CPU: 0 PID: 1", true).unwrap().contains("complained")
        );
    }
}
