//! What one call of a probed function costs: Python's ssl module talking to itself in memory, so that nothing but the library
//! and the probes is measured.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::super::cgroup::Cgroup;
use super::super::watcher;
use super::clients::source;
use crate::{checkout, command, say};

const CALLS: &str = "40000";
const SOON: Duration = Duration::from_secs(30);

/// Where the probes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    None,
    /// What h2watch chooses: an instruction that the kernel emulates.
    Chosen,
    /// The function's first instruction, which the kernel single-steps (`sub`, in Debian's OpenSSL).
    Entry,
}

impl Place {
    pub(super) const ALL: [Self; 3] = [Self::None, Self::Chosen, Self::Entry];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "no probe",
            Self::Chosen => "where h2watch probes",
            Self::Entry => "at the first instruction",
        }
    }
}

/// Nanoseconds per call, each place once in every round.
pub(super) fn measure(cgroup: &Cgroup, rounds: usize) -> Result<Vec<(Place, f64)>> {
    let mut caller = Caller::start(cgroup)?;
    caller.call()?;
    let mut figures = Vec::new();
    for round in 1..=rounds {
        for place in Place::ALL {
            let ns = once(place, cgroup, &mut caller)?;
            say::line(&format!("bench: calls round {round} {}: {ns:.0} ns", place.name()));
            figures.push((place, ns));
        }
    }
    Ok(figures)
}

fn once(place: Place, cgroup: &Cgroup, caller: &mut Caller) -> Result<f64> {
    if place == Place::None {
        return caller.call();
    }
    let mut command = watcher::command_with(cgroup, &["--tls", "frames"]);
    if place == Place::Entry {
        command.env("H2WATCH_PLACE", "entry");
    }
    let mut watch = watcher::ready(&mut command)?;
    let pid = caller.child.id();
    watch.wait_for("process", SOON, |line| {
        line["process"]["pid"] == pid && line["process"]["view"] == "frames"
    })?;
    let ns = caller.call()?;
    watch.end(true, SOON)?;
    Ok(ns)
}

struct Caller {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Caller {
    fn start(cgroup: &Cgroup) -> Result<Self> {
        let mut python = Command::new(checkout::cache("venv/bin/python"));
        python.arg(source("hit.py")).arg(certificate()?).arg(CALLS);
        python.stdin(Stdio::piped()).stdout(Stdio::piped());
        cgroup.hold(&mut python)?;
        let mut child = python.spawn().context("cannot start Python")?;
        let output = BufReader::new(child.stdout.take().context("no output")?);
        let mut caller = Self { child, output };
        caller.hear("READY")?;
        Ok(caller)
    }

    fn call(&mut self) -> Result<f64> {
        self.child.stdin.as_mut().context("no input")?.write_all(b"go\n")?;
        self.hear("CALL ")?.parse().context("no number of nanoseconds")
    }

    fn hear(&mut self, word: &str) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let rest =
            line.trim().strip_prefix(word).with_context(|| format!("Python said {line:?}, not {word}"))?;
        Ok(rest.to_owned())
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            say::complaint(&format!("Python could not be ended: {error}"));
        }
    }
}

/// A certificate and its key in one file.
fn certificate() -> Result<std::path::PathBuf> {
    let file = checkout::cache("bench.pem");
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-nodes",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-days",
        "2",
    ]);
    openssl.args(["-subj", "/CN=localhost", "-keyout"]).arg(&file).arg("-out").arg("-");
    let certificate = command::output(&mut openssl)?;
    let key = std::fs::read_to_string(&file).context("openssl wrote no key")?;
    std::fs::write(&file, format!("{key}{certificate}\n")).context("cannot write the certificate")?;
    Ok(file)
}
