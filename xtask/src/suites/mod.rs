//! `cargo xtask test` (the README's test command) and `cargo xtask accept` (longer suites, by name).
//!
//! Tests never skip themselves: what lacks something fails and says what. Kernel tests run one after the other, because
//! they count what the kernel does and the machine is shared; only those that wait to see nothing happen do it side by side.

mod cargo_test;
mod fuzzing;
mod longer;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::setup::{self, Part};
use crate::{command, say};
use cargo_test::Counts;
pub(crate) use longer::{Options as AcceptOptions, run as accept};

pub(crate) fn test() -> Result<()> {
    let started = Instant::now();
    setup::require(Part::Clients)?;
    refuse_without_root()?;
    let mut counts = cargo_test::run(cargo_test_of(&["--workspace", "--lib", "--bins"]))?;
    counts.add(&cargo_test::run(cargo_test_of(&["--workspace", "--doc"]))?);
    // Besides the kernel tests: the properties of the frame walker.
    counts.add(&cargo_test::run(cargo_test_of(&["--workspace", "--exclude", "h2watch", "--test", "*"]))?);
    counts.add(&kernel_tests(None)?);
    nothing_skipped()?;
    conclude("test", &counts, started)
}

/// Every ignored test, of whatever package and kind, belongs to a suite of `accept`.
fn nothing_skipped() -> Result<()> {
    let mut list = cargo_test_of(&["--quiet", "--workspace", "--", "--list", "--ignored"]);
    let listed = command::output(&mut list)?;
    let names = listed.lines().filter_map(|line| line.strip_suffix(": test"));
    let skipped: Vec<&str> = names.filter(|name| !longer::covers(name)).collect();
    if !skipped.is_empty() {
        bail!("ignored, and in no suite of `cargo xtask accept`: {}", skipped.join(", "));
    }
    Ok(())
}

/// The kernel tests with another object than the committed one.
pub(crate) fn kernel_tests_with(object: &Path) -> Result<()> {
    let started = Instant::now();
    setup::require(Part::Clients)?;
    refuse_without_root()?;
    conclude("test", &kernel_tests(Some(object))?, started)
}

fn cargo_test_of(arguments: &[&str]) -> Command {
    let mut cargo = command::cargo();
    cargo.args(["test", "--no-fail-fast"]).args(arguments);
    cargo
}

/// Everything below `tui/tests`, one after the other; then what takes its minute there whatever the machine does.
fn kernel_tests(object: Option<&Path>) -> Result<Counts> {
    const QUIET: &str = "quiet::";
    let mut counts = Counts::default();
    for options in [&["--test-threads=1", "--skip", QUIET][..], &["--test-threads=2", QUIET]] {
        let mut tests = cargo_test_of(&["--package", "h2watch", "--test", "*", "--"]);
        tests.args(options).envs(object.map(|object| ("H2WATCH_PROBE", object)));
        counts.add(&cargo_test::run(tests)?);
    }
    Ok(counts)
}

fn refuse_without_root() -> Result<()> {
    // SAFETY: geteuid has no arguments and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        bail!("the kernel tests load kernel programs: run this as root (sudo -E cargo xtask test)");
    }
    Ok(())
}

/// What failed, and the last line of a run with its judgement.
fn conclude(task: &str, counts: &Counts, started: Instant) -> Result<()> {
    if !counts.failures.is_empty() {
        say::line(&format!("{task}: what failed, once more"));
    }
    counts.failures.iter().for_each(|failure| say::line(&last_lines(failure)));
    say::line(&format!("{task}: {counts} ({})", say::took(started.elapsed())));
    if counts.failed > 0 || counts.broken > 0 {
        bail!("{task}: not everything passed");
    }
    if counts.passed == 0 {
        bail!("{task}: no test ran: the name matches nothing");
    }
    Ok(())
}

/// Its panic stands at the end of what a test printed.
fn last_lines(text: &str) -> String {
    const AT_MOST: usize = 60;
    let lines: Vec<&str> = text.lines().collect();
    match lines.len().checked_sub(AT_MOST) {
        Some(more) if more > 0 => format!("{}\n[{more} lines]\n{}", lines[0], lines[more..].join("\n")),
        _ => text.to_owned(),
    }
}
