//! What the guest boots into: one archive with two static programs, h2watch and (as `init`) this xtask.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

use super::cpio::Archive;
use super::kernel::Kernel;
use crate::{checkout, command, say};

const TARGET: &str = "x86_64-unknown-linux-gnu";

pub(super) fn build() -> Result<PathBuf> {
    let started = Instant::now();
    let programs = static_programs()?;
    let mut archive = Archive::default();
    for folder in ["dev", "proc", "sys", "tmp", "root"] {
        archive.directory(folder);
    }
    // The kernel opens it for the first process before anything is mounted.
    archive.character_device("dev/console", 5, 1);
    for (name, source) in [("init", "xtask"), ("h2watch", "h2watch")] {
        let file = programs.join(source);
        let content = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        archive.program(name, &content);
    }
    let image = checkout::cache("vm/initramfs.cpio");
    fs::write(&image, archive.finish()).with_context(|| format!("cannot write {}", image.display()))?;
    say::line(&format!("vm: built h2watch and its checker, static ({})", say::took(started.elapsed())));
    Ok(image)
}

/// The image for one kernel: an archive with its modules behind the common one (the kernel unpacks both). File names sort in
/// load order.
pub(super) fn with_modules(common: &Path, kernel: &Kernel) -> Result<PathBuf> {
    let mut archive = Archive::default();
    archive.directory("modules");
    for (index, module) in kernel.modules.iter().enumerate() {
        let content = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
        archive.program(&format!("modules/{index}.ko"), &content);
    }
    let mut bytes = fs::read(common).with_context(|| format!("cannot read {}", common.display()))?;
    bytes.extend(archive.finish());
    let image = checkout::cache("vm/initramfs").with_extension(format!("{}.cpio", kernel.name));
    fs::write(&image, bytes).with_context(|| format!("cannot write {}", image.display()))?;
    Ok(image)
}

/// Static glibc: nothing to copy along. The target is named, so that the flags do not reach build scripts, and the folder is
/// apart, so that other builds keep what they have.
fn static_programs() -> Result<PathBuf> {
    let folder = checkout::root().join("target/vm");
    let mut cargo = command::cargo();
    cargo.args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "h2watch",
        "--package",
        "xtask",
        "--target",
        TARGET,
    ]);
    cargo.arg("--target-dir").arg(&folder);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static\u{1f}-Cstrip=symbols");
    command::run(&mut cargo).context("building static programs")?;
    Ok(Path::new(&folder).join(TARGET).join("release"))
}
