//! `cargo xtask deny`: licences, bans and sources of all dependencies, of every lock file, must pass. Advisories need
//! RustSec's database from the network: where it cannot be reached that is said loudly, and it is not taken for a pass.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{checkout, command, say, setup};

/// Everything of the product.
const ALL: &[&str] = &["bans", "licenses", "sources"];
/// The client with rustls is a test's own: TLS libraries are banned from the product, and are what it is there for.
const WITHOUT_BANS: &[&str] = &["licenses", "sources"];

/// Whatever has a lock file of its own, and what of it is checked.
const MANIFESTS: [(&str, &[&str]); 4] = [
    ("Cargo.toml", ALL),
    ("probe-ebpf/Cargo.toml", ALL),
    ("fuzz/Cargo.toml", ALL),
    ("tui/tests/clients/rustls/Cargo.toml", WITHOUT_BANS),
];

pub(crate) fn run() -> Result<()> {
    let program = setup::CARGO_DENY.program()?;
    for (manifest, what) in MANIFESTS {
        command::quietly(deny(&program, manifest).args(what))
            .with_context(|| format!("cargo deny on {manifest}"))?;
        say::line(&format!("deny: {manifest}: {} pass", what.join(", ")));
    }
    MANIFESTS.iter().try_for_each(|(manifest, _)| advisories(&program, manifest))
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

    /// What is excluded from the workspace has a lock file of its own.
    #[test]
    fn no_lock_file_is_left_out() {
        let workspace = std::fs::read_to_string(checkout::root().join("Cargo.toml")).unwrap();
        let excluded = workspace.lines().find_map(|line| line.strip_prefix("exclude = ")).unwrap();
        for folder in excluded.split('"').skip(1).step_by(2) {
            let manifest = format!("{folder}/Cargo.toml");
            assert!(MANIFESTS.iter().any(|(checked, _)| *checked == manifest), "{manifest}");
            assert!(checkout::root().join(folder).join("Cargo.lock").is_file(), "{folder}");
        }
        assert_eq!(MANIFESTS.len(), excluded.matches(',').count() + 2);
    }

    #[test]
    fn an_advisory_is_not_mistaken_for_a_missing_network() {
        assert!(is_unreachable("[ERROR] failed to fetch advisory database https://github.com/..."));
        assert!(!is_unreachable("error[vulnerability]: something\n ID: RUSTSEC-2024-0001"));
    }
}
