//! `cargo xtask vm`: the very binary, on other kernels. Boots Debian's kernels in QEMU (no KVM needed, nothing of the host is
//! touched) and lets xtask, as the guest's first process, check what h2watch says there (`guest`).

mod apt;
mod boot;
mod cpio;
mod image;
mod kernel;

use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;

use crate::setup::{self, Part};
use crate::{checkout, say};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Debian kernel series, `latest`, or NAME=FILE for any other kernel image
    #[arg(short, long, default_value = "5.10,6.1,latest")]
    kernels: String,
    /// Show what the guests print also where everything passes
    #[arg(short, long)]
    verbose: bool,
    /// More kernel parameters, for example lockdown=confidentiality
    #[arg(long, default_value = "")]
    append: String,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let passed = run_with(options)?;
    if passed.is_empty() || passed.contains(&false) {
        bail!(
            "vm: not every kernel passed; what the guests printed is in {}",
            checkout::cache("vm/log").display()
        );
    }
    Ok(())
}

/// For each kernel whether it passed.
pub(crate) fn run_on(kernels: &str) -> Result<Vec<bool>> {
    run_with(&Options { kernels: kernels.to_owned(), verbose: false, append: String::new() })
}

fn run_with(options: &Options) -> Result<Vec<bool>> {
    setup::require(Part::Vm)?;
    let started = Instant::now();
    let names: Vec<&str> =
        options.kernels.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let kernels = names.iter().map(|name| kernel::Kernel::get(name)).collect::<Result<Vec<_>>>()?;
    let image = image::build()?;
    let mut passed = Vec::new();
    for kernel in &kernels {
        let image = image::with_modules(&image, kernel)?;
        let outcome = boot::boot(kernel, &image, &options.append)?;
        passed.push(outcome.report(options.verbose));
    }
    let n_passed = passed.iter().filter(|passed| **passed).count();
    say::line(&format!(
        "vm: {n_passed} of {} kernels passed ({})",
        passed.len(),
        say::took(started.elapsed())
    ));
    Ok(passed)
}
