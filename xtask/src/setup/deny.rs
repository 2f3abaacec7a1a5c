//! cargo-deny, pinned: licences, bans, sources and advisories of the dependencies.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::step;
use crate::{checkout, command};

const VERSION: &str = "0.20.2";

pub(super) fn set_up() -> Result<()> {
    let present = checkout::program("cargo-deny").is_some();
    step(&format!("cargo-deny {VERSION}"), present, || {
        let mut cargo = command::cargo();
        cargo.args(["install", "--quiet", "--locked", "cargo-deny", "--version", VERSION]);
        command::quietly(cargo.arg("--root").arg(checkout::cache("tools"))).context("building cargo-deny")
    })
}

pub(crate) fn cargo_deny() -> Result<PathBuf> {
    set_up()?;
    checkout::program("cargo-deny").context("cargo-deny was installed and is not found")
}
