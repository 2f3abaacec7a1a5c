//! The toolchain of `cargo xtask probe`: Debian's rustc with a precompiled `core` for BPF, and bpf-linker built against the
//! same LLVM.

use std::process::Command;

use anyhow::{Context, Result};

use super::{debian, step};
use crate::probe::{BPF_LINKER, LLVM_MAJOR};
use crate::{checkout, command};

pub(super) fn set_up() -> Result<()> {
    debian::install(&debian::BPF)?;
    let present = checkout::program("bpf-linker").is_some();
    step(&format!("bpf-linker {BPF_LINKER}"), present, || {
        let mut cargo = command::cargo();
        cargo.env("LLVM_PREFIX", format!("/usr/lib/llvm-{LLVM_MAJOR}"));
        cargo.args([
            "install",
            "--quiet",
            "--locked",
            "bpf-linker",
            "--version",
            BPF_LINKER,
            "--no-default-features",
        ]);
        cargo.args(["--features", &format!("llvm-{LLVM_MAJOR}")]).arg("--root").arg(checkout::cache("tools"));
        command::quietly(&mut cargo).context("building bpf-linker")
    })?;
    works()
}

/// A bpf-linker built for another LLVM starts, and then fails in the middle of a build.
fn works() -> Result<()> {
    let linker = checkout::program("bpf-linker").context("bpf-linker was installed and is not found")?;
    command::quietly(Command::new(linker).arg("--version")).context("bpf-linker does not start")
}
