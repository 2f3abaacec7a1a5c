//! Which compiler builds the kernel programs. The order is decided here and nowhere else:
//!
//! 1. `H2WATCH_PROBE_CARGO=<path of a cargo>`: that one and the `rustc` beside it;
//! 2. a `/usr/bin/rustc` that has a precompiled `core` for `bpfel-unknown-none` (Debian: `libstd-rust-web-dev-bpf`);
//! 3. a dated nightly of rustup, which compiles `core` itself (`-Z build-std`).
//!
//! The committed objects come from the second; the third is for people without Debian and gives other bytes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{checkout, command};

/// What aya-ebpf compiles for; user space is little-endian on both architectures.
pub(crate) const TARGET: &str = "bpfel-unknown-none";
/// Moves together with the LLVM of `rustc` below: bpf-linker reads the bitcode that rustc wrote.
pub(crate) const BPF_LINKER: &str = "0.13.0";
pub(crate) const LLVM_MAJOR: &str = "22";
/// A nightly of the branch that became the 1.96 of Debian's packages, so that LLVM is the same major version.
const NIGHTLY: &str = "nightly-2026-04-10";
const HOW_TO_GET_IT: &str = "`cargo xtask setup --only bpf` installs it on Debian; elsewhere: \
    rustup toolchain install nightly-2026-04-10 --component rust-src, and bpf-linker 0.13.0";

#[derive(Debug)]
pub(crate) struct Toolchain {
    pub(super) cargo: PathBuf,
    pub(super) rustc: PathBuf,
    /// No precompiled `core`: cargo has to build it.
    pub(super) build_std: bool,
    pub(super) linker: PathBuf,
    pub(super) strip: PathBuf,
}

impl Toolchain {
    pub(super) fn find() -> Result<Self> {
        let (cargo, rustc, build_std) = compiler()?;
        let linker = checkout::program("bpf-linker")
            .with_context(|| format!("no bpf-linker on PATH or among cargo's programs; {HOW_TO_GET_IT}"))?;
        let strip = llvm_strip().with_context(|| format!("no llvm-strip; {HOW_TO_GET_IT}"))?;
        Ok(Self { cargo, rustc, build_std, linker, strip })
    }

    /// What decides the bytes of an object, as the tools describe themselves.
    pub(super) fn versions(&self) -> Vec<(&'static str, String)> {
        let first_line = |program: &Path, pattern: &str| {
            let said = command::output(Command::new(program).arg("--version")).unwrap_or_default();
            said.lines().find(|line| line.contains(pattern)).unwrap_or("unknown").trim().to_owned()
        };
        vec![
            ("core", if self.build_std { "build-std" } else { "precompiled" }.to_owned()),
            ("rustc", first_line(&self.rustc, "rustc")),
            ("cargo", first_line(&self.cargo, "cargo")),
            ("bpf-linker", first_line(&self.linker, "bpf-linker")),
            ("llvm-strip", first_line(&self.strip, "LLVM version")),
        ]
    }
}

/// cargo, rustc, and whether `core` has to be built.
fn compiler() -> Result<(PathBuf, PathBuf, bool)> {
    if let Some(cargo) = std::env::var_os("H2WATCH_PROBE_CARGO").map(PathBuf::from) {
        let rustc = cargo.with_file_name("rustc");
        if !cargo.is_file() || !rustc.is_file() {
            bail!("H2WATCH_PROBE_CARGO={}: a cargo with a rustc beside it is wanted", cargo.display());
        }
        let build_std = !has_core(&rustc);
        return Ok((cargo, rustc, build_std));
    }
    let debian = (PathBuf::from("/usr/bin/cargo"), PathBuf::from("/usr/bin/rustc"));
    if debian.0.is_file() && debian.1.is_file() && has_core(&debian.1) {
        return Ok((debian.0, debian.1, false));
    }
    let nightly = |tool: &str| {
        let found = command::output(Command::new("rustup").args(["which", "--toolchain", NIGHTLY, tool]));
        found.map(PathBuf::from)
    };
    match (nightly("cargo"), nightly("rustc")) {
        (Ok(cargo), Ok(rustc)) => Ok((cargo, rustc, true)),
        _ => bail!(
            "no compiler for {TARGET}: neither Debian's rustc with its core nor {NIGHTLY}; {HOW_TO_GET_IT}"
        ),
    }
}

fn has_core(rustc: &Path) -> bool {
    let sysroot = command::output(Command::new(rustc).args(["--print", "sysroot"])).unwrap_or_default();
    Path::new(&sysroot).join("lib/rustlib").join(TARGET).join("lib").is_dir()
}

/// The one of the matching LLVM first: another version may lay the sections out differently.
fn llvm_strip() -> Option<PathBuf> {
    let matching = PathBuf::from(format!("/usr/lib/llvm-{LLVM_MAJOR}/bin/llvm-strip"));
    if matching.is_file() { Some(matching) } else { checkout::program("llvm-strip") }
}
