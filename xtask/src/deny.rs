//! `cargo xtask deny`: licences, bans and sources of all dependencies, of both lock files, must pass. Advisories need
//! RustSec's database from the network: where it cannot be reached that is said loudly, and it is not taken for a pass.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{checkout, command, say, setup};

/// The workspace and the kernel programs have a lock file each.
const MANIFESTS: [&str; 2] = ["Cargo.toml", "probe-ebpf/Cargo.toml"];

pub(crate) fn run() -> Result<()> {
    let program = setup::CARGO_DENY.program()?;
    for manifest in MANIFESTS {
        let what = ["bans", "licenses", "sources"];
        command::quietly(deny(&program, manifest).args(what))
            .with_context(|| format!("cargo deny on {manifest}"))?;
        say::line(&format!("deny: {manifest}: bans, licences, sources pass"));
    }
    MANIFESTS.iter().try_for_each(|manifest| advisories(&program, manifest))
}

fn advisories(program: &Path, manifest: &str) -> Result<()> {
    let output = deny(program, manifest).arg("advisories").output().context("cannot start cargo-deny")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        say::line(&format!("deny: {manifest}: no advisories"));
    } else if is_unreachable(&said) {
        say::line(&format!(
            "deny: {manifest}: NOT CHECKED for advisories: the RustSec database could not be reached"
        ));
    } else {
        bail!("cargo deny check advisories, {manifest}:\n{said}");
    }
    Ok(())
}

/// The database, and nothing else, could not be had.
fn is_unreachable(said: &str) -> bool {
    said.contains("failed to fetch advisory database") || said.contains("failed to load advisory database")
}

fn deny(program: &Path, manifest: &str) -> Command {
    let mut deny = Command::new(program);
    deny.current_dir(checkout::root()).arg("--manifest-path").arg(manifest).arg("--all-features");
    deny.arg("--config").arg(checkout::root().join("deny.toml")).args(["check", "--hide-inclusion-graph"]);
    deny
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advisory_is_not_mistaken_for_a_missing_network() {
        assert!(is_unreachable("[ERROR] failed to fetch advisory database https://github.com/..."));
        assert!(!is_unreachable("error[vulnerability]: something\n ID: RUSTSEC-2024-0001"));
    }
}
