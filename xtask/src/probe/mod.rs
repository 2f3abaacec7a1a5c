//! `cargo xtask probe`: builds the kernel objects that are committed under `probe-ebpf/prebuilt`, or proves that the
//! committed ones are what the source says (`--check`). What a build needs is in `toolchain`, how it is done in `recipe`,
//! what is written down about it in `provenance`.

mod check;
mod provenance;
mod recipe;
mod stack;
mod toolchain;
mod wrapper;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;

use crate::{checkout, say};
use provenance::Provenance;
use toolchain::Toolchain;
pub(crate) use toolchain::{BPF_LINKER, LLVM_MAJOR};
pub(crate) use wrapper::become_rustc_if_asked;

/// The architectures whose registers the programs name (`bpf_target_arch`), each with its own object.
const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rebuild and compare with the committed objects; write nothing beside them
    #[arg(long)]
    check: bool,
    /// Run clippy over the kernel programs, with the compiler that builds them
    #[arg(long, conflicts_with = "check")]
    lint: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let toolchain = Toolchain::find()?;
    match options {
        Options { check: true, .. } => check::run(&toolchain),
        Options { lint: true, .. } => {
            ARCHITECTURES.iter().try_for_each(|architecture| recipe::lint(&toolchain, architecture))
        }
        Options { .. } => rebuild(&toolchain),
    }
}

fn rebuild(toolchain: &Toolchain) -> Result<()> {
    let folder = prebuilt();
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut provenance = Provenance::of(toolchain);
    for architecture in ARCHITECTURES {
        let started = Instant::now();
        let built = recipe::build(toolchain, architecture)?;
        stack::check(&built.path)?;
        let committed = committed(architecture);
        fs::copy(&built.path, &committed).with_context(|| format!("cannot write {}", committed.display()))?;
        say::line(&format!(
            "probe: {architecture}: {} bytes, sha256 {} ({})",
            built.size_bytes,
            built.sha256,
            say::took(started.elapsed())
        ));
        provenance.set(&sha256_key(architecture), &built.sha256);
    }
    provenance.write(&folder.join("PROVENANCE"))
}

fn prebuilt() -> PathBuf {
    checkout::root().join("probe-ebpf/prebuilt")
}

fn committed(architecture: &str) -> PathBuf {
    prebuilt().join(format!("h2watch-probe.{architecture}.o"))
}

fn sha256_key(architecture: &str) -> String {
    format!("sha256.{architecture}")
}
