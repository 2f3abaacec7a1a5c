//! `cargo xtask probe --check`: are the committed objects what the source says?
//!
//! With the recorded tools the rebuilt bytes have to be equal. Where the installed tools are others (a distribution moved
//! on) equal bytes cannot be expected; then the rebuilt object has to pass the kernel tests instead.

use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::provenance::Provenance;
use super::recipe::{self, Built};
use super::toolchain::Toolchain;
use super::{ARCHITECTURES, committed, prebuilt, sha256_key};
use crate::{say, suites};

pub(super) fn run(toolchain: &Toolchain) -> Result<()> {
    let recorded = Provenance::read(&prebuilt().join("PROVENANCE"))?;
    for architecture in ARCHITECTURES {
        committed_as_recorded(&recorded, architecture)?;
    }
    let moved = recorded.differences(&toolchain.versions());
    let mut rebuilt = Vec::new();
    for architecture in ARCHITECTURES {
        let started = Instant::now();
        rebuilt.push(recipe::build(toolchain, architecture)?);
        say::line(&format!("probe: {architecture}: rebuilt ({})", say::took(started.elapsed())));
    }
    if moved.is_empty() { bytes_are_equal(&rebuilt) } else { kernel_tests_instead(&moved, &rebuilt) }
}

/// The file and the record were committed together.
fn committed_as_recorded(recorded: &Provenance, architecture: &str) -> Result<()> {
    let actual = recipe::sha256(&committed(architecture))?;
    let noted = recorded.get(&sha256_key(architecture)).unwrap_or("nothing");
    if actual != noted {
        bail!(
            "the committed {architecture} object has sha256 {actual}, PROVENANCE says {noted}: run `cargo xtask probe`"
        );
    }
    Ok(())
}

fn bytes_are_equal(rebuilt: &[Built]) -> Result<()> {
    for (built, architecture) in rebuilt.iter().zip(ARCHITECTURES) {
        let committed = recipe::sha256(&committed(architecture))?;
        if built.sha256 != committed {
            bail!(
                "{architecture}: the source gives sha256 {}, committed is {committed}: run `cargo xtask probe` and commit \
                 the objects with the source",
                built.sha256
            );
        }
        say::line(&format!(
            "probe: {architecture}: committed object is what the source gives, {} bytes",
            built.size_bytes
        ));
    }
    Ok(())
}

fn kernel_tests_instead(moved: &[String], rebuilt: &[Built]) -> Result<()> {
    say::line("probe: other tools than the recorded ones, so equal bytes are not expected:");
    for difference in moved {
        say::line(&format!("probe:   {difference}"));
    }
    let host = ARCHITECTURES.iter().position(|architecture| *architecture == std::env::consts::ARCH);
    let built =
        host.and_then(|index| rebuilt.get(index)).context("no object for this machine's architecture")?;
    say::line("probe: running the kernel tests with the rebuilt object instead");
    suites::kernel_tests_with(&built.path)
}
