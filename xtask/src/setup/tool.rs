//! Programs from crates.io, pinned, in `.cache/tools`.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::step;
use crate::{checkout, command};

#[derive(Clone, Copy)]
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
}

/// Licences, bans, sources and advisories of the dependencies.
pub(crate) const CARGO_DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };
/// Builds and runs the target in `fuzz/`.
pub(crate) const CARGO_FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2" };

impl Tool {
    pub(super) fn set_up(self) -> Result<()> {
        let Self { name, version } = self;
        step(&format!("{name} {version}"), checkout::program(name).is_some(), || {
            let mut cargo = command::cargo();
            cargo.args(["install", "--quiet", "--locked", name, "--version", version]);
            command::quietly(cargo.arg("--root").arg(checkout::cache("tools")))
                .with_context(|| format!("building {name}"))
        })
    }

    /// Installs it where it is missing.
    pub(crate) fn program(self) -> Result<PathBuf> {
        self.set_up()?;
        checkout::program(self.name).with_context(|| format!("{} was installed and is not found", self.name))
    }
}
