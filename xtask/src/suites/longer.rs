//! `cargo xtask accept [NAME...]`: what takes too long for every change. One row per suite; a new long test gets a row here.
//!
//! Long tests live beside the short ones, are `#[ignore]`d, and are chosen by the path of their module.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::{Counts, cargo_test, cargo_test_of, conclude, fuzzing, refuse_without_root};
use crate::setup::{self, Part};
use crate::{say, vm};

/// Cases per property in the long fuzz run: about a hundred times the default of proptest.
const FUZZ_CASES: &str = "25000";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Suites to run; all without a name
    names: Vec<String>,
    /// Say which suites there are
    #[arg(long)]
    list: bool,
}

struct Suite {
    name: &'static str,
    what: &'static str,
    how: How,
}

enum How {
    /// Ignored tests of `tui/tests` with one of these in their module path.
    Ignored(&'static [&'static str]),
    /// The pure code of probe-common under many more random cases, optimised, and under the fuzzer.
    Fuzz,
    /// Every kernel, in virtual machines.
    Kernels(&'static str),
}

const SUITES: [Suite; 9] = [
    Suite {
        name: "faults",
        what: "every cause, produced for real and told apart",
        how: How::Ignored(&["faults::"]),
    },
    Suite {
        name: "quiet",
        what: "idle, long poll, quiet stream: no flag in a long time",
        how: How::Ignored(&["quiet::"]),
    },
    Suite {
        name: "stall",
        what: "how soon a stall is told over h2c, as a table",
        how: How::Ignored(&["stall::the_table"]),
    },
    Suite {
        name: "loss",
        what: "one stream at a time over a lossy path: exact, or marked",
        how: How::Ignored(&["loss::"]),
    },
    Suite {
        name: "tls",
        what: "every TLS client: exact at full size, behind an unplugged link and a stopped server, and healthy for a minute",
        how: How::Ignored(&["tls::", "tls_life::"]),
    },
    Suite {
        name: "soak",
        what: "the exporter under churn for eight minutes: no growth, no loss",
        how: How::Ignored(&["soak::"]),
    },
    Suite {
        name: "deploy",
        what: "the exporter under a real Prometheus, Alertmanager and browser",
        how: How::Ignored(&["promtool::", "browser::", "alerting::"]),
    },
    Suite { name: "fuzz", what: "the frame walker under many random splits, and fuzzed", how: How::Fuzz },
    Suite {
        name: "kernels",
        what: "the binary on every supported kernel",
        how: How::Kernels("5.10,6.1,6.12,6.18,latest"),
    },
];

pub(crate) fn run(options: &Options) -> Result<()> {
    let chosen = chosen(&options.names)?;
    for suite in chosen {
        if options.list {
            say::line(&format!("{:8} {}", suite.name, suite.what));
        } else {
            suite.run().with_context(|| format!("suite {}", suite.name))?;
        }
    }
    Ok(())
}

/// Ignored because they are no tests: what tests start as a process of their own, what makes files of the repository anew,
/// and what measures.
const NO_TESTS: [&str; 6] = [
    "roles::",
    "terminal::child",
    "privileges::tests::child",
    "make_the_bundled_recording",
    "recordings::make_the",
    "model::tests::cost",
];

/// Whether an ignored test runs somewhere else. One that does not would be a test that nobody ever runs.
pub(super) fn covers(ignored_test: &str) -> bool {
    let in_one_of = |paths: &[&str]| paths.iter().any(|path| ignored_test.contains(path));
    let of_suite = |suite: &Suite| matches!(suite.how, How::Ignored(modules) if in_one_of(modules));
    in_one_of(&NO_TESTS) || SUITES.iter().any(of_suite)
}

fn chosen(names: &[String]) -> Result<Vec<&'static Suite>> {
    if names.is_empty() {
        return Ok(SUITES.iter().collect());
    }
    let find = |name: &String| {
        let known = || SUITES.iter().map(|suite| suite.name).collect::<Vec<_>>().join(", ");
        SUITES
            .iter()
            .find(|suite| suite.name == name)
            .with_context(|| format!("no suite `{name}`; there are {}", known()))
    };
    names.iter().map(find).collect()
}

impl Suite {
    fn run(&self) -> Result<()> {
        say::line(&format!("accept: {}: {}", self.name, self.what));
        let started = Instant::now();
        conclude(&format!("accept: {}", self.name), &self.counts()?, started)
    }

    fn counts(&self) -> Result<Counts> {
        match self.how {
            How::Ignored(modules) => {
                setup::require(Part::Clients)?;
                match self.name {
                    "deploy" => setup::require(Part::Deploy)?,
                    "tls" => setup::require(Part::OldGo)?,
                    _ => {}
                }
                refuse_without_root()?;
                let mut tests = cargo_test_of(&["--package", "h2watch", "--test", "*", "--"]);
                // With what was measured.
                tests.args(["--ignored", "--test-threads=1", "--show-output"]);
                tests.args(modules);
                cargo_test::run(tests)
            }
            How::Fuzz => {
                let mut tests = cargo_test_of(&["--package", "probe-common", "--release"]);
                tests.env("PROPTEST_CASES", FUZZ_CASES);
                let mut counts = cargo_test::run(tests)?;
                counts.add(&fuzzing::run()?);
                Ok(counts)
            }
            How::Kernels(kernels) => {
                let verdicts = vm::run_on(kernels)?;
                if verdicts.is_empty() {
                    bail!("no kernel was run");
                }
                let failed = verdicts.iter().filter(|passed| !**passed).count() as u64;
                Ok(Counts { passed: verdicts.len() as u64 - failed, failed, ..Counts::default() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_test_of_no_suite_is_noticed() {
        assert!(covers("quiet::long_poll") && covers("roles::play"));
        assert!(!covers("counts::exact"));
    }

    #[test]
    fn a_suite_is_found_by_its_name_and_an_unknown_one_lists_the_others() {
        assert_eq!(chosen(&["soak".to_owned()]).unwrap()[0].name, "soak");
        assert_eq!(chosen(&[]).unwrap().len(), SUITES.len());
        let error = chosen(&["speed".to_owned()]).err().unwrap().to_string();
        assert!(error.contains("`speed`") && error.contains("soak"), "{error}");
    }
}
