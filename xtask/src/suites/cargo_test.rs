//! Runs `cargo test`, shows what it prints as it prints it, and adds up the counts of all its test binaries.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::{command, say};

/// Sums over test binaries.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) ignored: u64,
    pub(super) binaries: u64,
    /// Runs that ended with an error although no test failed: something did not compile, or a test binary died.
    pub(super) broken: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.binaries += other.binaries;
        self.broken += other.broken;
    }

    /// Reads libtest's last line: `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; ...`.
    fn take(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let (_, figures) = result.split_once(". ").unwrap_or_default();
        self.binaries += 1;
        for part in figures.split("; ") {
            match part.split_once(' ').map(|(n, what)| (n.parse().unwrap_or(0), what)) {
                Some((n, "passed")) => self.passed += n,
                Some((n, "failed")) => self.failed += n,
                Some((n, "ignored")) => self.ignored += n,
                _ => {}
            }
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, ignored, binaries, broken } = self;
        write!(out, "{passed} passed, {failed} failed, {ignored} ignored in {binaries} test binaries")?;
        if *broken > 0 { write!(out, "; {broken} runs broke off") } else { Ok(()) }
    }
}

pub(super) fn run(mut cargo: Command) -> Result<Counts> {
    let what = command::shown(&cargo);
    let mut child = cargo.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {what}"))?;
    let stdout = child.stdout.take().context("no output to read")?;
    let mut counts = Counts::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        counts.take(&line);
        say::line(&line);
    }
    if !child.wait()?.success() && counts.failed == 0 {
        counts.broken = 1;
        say::line(&format!("broke off: {what}"));
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_several_binaries_add_up() {
        let mut counts = Counts::default();
        counts.take(
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.01s",
        );
        counts.take("test a::b ... ok");
        counts.take(
            "test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s",
        );
        assert_eq!(counts, Counts { passed: 5, failed: 4, ignored: 1, binaries: 2, broken: 0 });
        assert_eq!(counts.to_string(), "5 passed, 4 failed, 1 ignored in 2 test binaries");
    }

    #[test]
    fn a_run_that_dies_without_a_failed_test_is_not_a_success() {
        let mut dies = Command::new("sh");
        dies.args(["-c", "echo 'test result: ok. 1 passed; 0 failed; 0 ignored'; exit 1"]);
        assert_eq!(run(dies).unwrap(), Counts { passed: 1, binaries: 1, broken: 1, ..Counts::default() });
    }
}
