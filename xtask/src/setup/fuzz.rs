//! cargo-fuzz, pinned: it builds and runs the target in `fuzz/`.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::step;
use crate::{checkout, command};

const VERSION: &str = "0.13.2";

pub(super) fn set_up() -> Result<()> {
    let present = checkout::program("cargo-fuzz").is_some();
    step(&format!("cargo-fuzz {VERSION}"), present, || {
        let mut cargo = command::cargo();
        cargo.args(["install", "--quiet", "--locked", "cargo-fuzz", "--version", VERSION]);
        command::quietly(cargo.arg("--root").arg(checkout::cache("tools"))).context("building cargo-fuzz")
    })
}

pub(crate) fn cargo_fuzz() -> Result<PathBuf> {
    set_up()?;
    checkout::program("cargo-fuzz").context("cargo-fuzz was installed and is not found")
}
