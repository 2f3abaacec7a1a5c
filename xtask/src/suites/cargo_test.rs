//! Runs `cargo test`, shows what it prints as it prints it, adds up the counts of all its test binaries, and keeps what failed
//! tests printed.

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
    /// What the failed tests printed: it is shown again at the end, because a log of thousands of lines is read from there.
    pub(super) failures: Vec<String>,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.binaries += other.binaries;
        self.broken += other.broken;
        self.failures.extend_from_slice(&other.failures);
    }

    /// Reads libtest's last line: `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; ...`.
    fn take(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let (_, figures) = result.split_once(". ").unwrap_or_default();
        let before = self.tests();
        for part in figures.split("; ") {
            match part.split_once(' ').map(|(n, what)| (n.parse().unwrap_or(0), what)) {
                Some((n, "passed")) => self.passed += n,
                Some((n, "failed")) => self.failed += n,
                Some((n, "ignored")) => self.ignored += n,
                _ => {}
            }
        }
        // One that had none of the tests that were asked for is not worth counting.
        self.binaries += u64::from(self.tests() > before);
    }

    fn tests(&self) -> u64 {
        self.passed + self.failed + self.ignored
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, ignored, binaries, broken, .. } = self;
        write!(out, "{passed} passed, {failed} failed, {ignored} ignored in {binaries} test binaries")?;
        if *broken > 0 { write!(out, "; {broken} runs broke off") } else { Ok(()) }
    }
}

/// Reads libtest's blocks of failed tests: `failures:`, the blocks, then `failures:` again with their names alone.
#[derive(Debug, Default)]
struct Failures {
    are_open: bool,
    blocks: Vec<String>,
}

impl Failures {
    fn take(&mut self, line: &str) {
        if line == "failures:" {
            self.are_open = !self.are_open;
        } else if self.are_open {
            self.keep(line);
        }
    }

    fn keep(&mut self, line: &str) {
        if line.starts_with("---- ") && line.ends_with(" ----") {
            self.blocks.push(line.to_owned());
        } else if let Some(block) = self.blocks.last_mut() {
            block.push('\n');
            block.push_str(line);
        }
    }
}

pub(super) fn run(mut cargo: Command) -> Result<Counts> {
    let what = command::shown(&cargo);
    let mut child = cargo.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {what}"))?;
    let stdout = child.stdout.take().context("no output to read")?;
    let mut counts = Counts::default();
    let mut failures = Failures::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        counts.take(&line);
        failures.take(&line);
        say::line(&line);
    }
    counts.failures = failures.blocks;
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
        counts.take(
            "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out; finished in 0.00s",
        );
        let expected = Counts { passed: 5, failed: 4, ignored: 1, binaries: 2, ..Counts::default() };
        assert_eq!(counts, expected);
        assert_eq!(counts.to_string(), "5 passed, 4 failed, 1 ignored in 2 test binaries");
    }

    #[test]
    fn what_failed_tests_printed_is_kept_and_nothing_else() {
        let mut failures = Failures::default();
        let output = "test a ... FAILED\n\nfailures:\n\n---- a stdout ----\nfirst\n\nsecond\n---- b stdout ----\nthird\n\n\
                      failures:\n    a\n    b\n\ntest result: FAILED. 0 passed; 2 failed; 0 ignored";
        output.lines().for_each(|line| failures.take(line));
        assert_eq!(failures.blocks, ["---- a stdout ----\nfirst\n\nsecond", "---- b stdout ----\nthird\n"]);
    }

    #[test]
    fn a_run_that_dies_without_a_failed_test_is_not_a_success() {
        let mut dies = Command::new("sh");
        dies.args(["-c", "echo 'test result: ok. 1 passed; 0 failed; 0 ignored'; exit 1"]);
        assert_eq!(run(dies).unwrap(), Counts { passed: 1, binaries: 1, broken: 1, ..Counts::default() });
    }
}
