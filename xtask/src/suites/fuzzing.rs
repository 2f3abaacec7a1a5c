//! The coverage-guided fuzzer over the frame walker, for a bounded time. What it finds stays in `.cache/fuzz` and is where the
//! next run begins, besides the seeds of `fuzz/seeds`.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::Counts;
use crate::{checkout, command, say, setup};

const SECONDS: u32 = 300;
/// Longest input, bytes: a few dozen frames or segments.
const LONGEST: u32 = 4096;
const TARGET: &str = "walk";

/// Fails when an input breaks an assertion of the target; libFuzzer says which, and where it has written it down.
pub(super) fn run() -> Result<Counts> {
    let program = setup::CARGO_FUZZ.program()?;
    let found = checkout::cache("fuzz").join(TARGET);
    std::fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
    let mut fuzz = Command::new(program);
    fuzz.current_dir(checkout::root().join("fuzz")).args(["run", TARGET]);
    fuzz.arg("--target-dir").arg(checkout::root().join("fuzz/target"));
    fuzz.arg(&found).arg(format!("seeds/{TARGET}")).arg("--");
    fuzz.args([format!("-max_total_time={SECONDS}"), format!("-max_len={LONGEST}")]);
    fuzz.arg(format!("-artifact_prefix={}/failed-", checkout::cache("fuzz").display()));
    fuzz.args(["-verbosity=0", "-print_final_stats=1"]);
    // Sanitizers are a flag of nightly compilers only; the stable one takes it under this variable.
    fuzz.env("RUSTC_BOOTSTRAP", "1").stdin(Stdio::null());
    say::line(&format!("fuzz: {TARGET} for {SECONDS} s"));
    let status = fuzz.status().with_context(|| format!("cannot start {}", command::shown(&fuzz)))?;
    let failed = u64::from(!status.success());
    Ok(Counts { passed: 1 - failed, failed, ..Counts::default() })
}
