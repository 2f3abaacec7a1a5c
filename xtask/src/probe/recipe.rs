//! How one object is built, so that the same sources and the same tools give the same bytes in every folder.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::toolchain::{TARGET, Toolchain};
use super::wrapper;
use crate::{checkout, command};

pub(super) struct Built {
    pub(super) path: PathBuf,
    pub(super) sha256: String,
    pub(super) size_bytes: u64,
}

/// Compiles `probe-ebpf` for one architecture and strips the DWARF; BTF stays, the loader needs it.
pub(super) fn build(toolchain: &Toolchain, architecture: &str) -> Result<Built> {
    let target = source().join("target").join(architecture);
    let mut cargo = command_of(toolchain, &toolchain.cargo, architecture)?;
    cargo.arg("build").args(COMMON_ARGUMENTS).arg("--target-dir").arg(&target);
    if toolchain.build_std {
        cargo.args(["-Z", "build-std=core"]);
    }
    command::quietly(&mut cargo).with_context(|| format!("building probe-ebpf for {architecture}"))?;

    let path = checkout::cache("probe").join(format!("h2watch-probe.{architecture}.o"));
    fs::create_dir_all(checkout::cache("probe")).context("cannot make .cache/probe")?;
    let object = target.join(TARGET).join("release/h2watch-probe");
    command::quietly(Command::new(&toolchain.strip).arg("-g").arg(&object).arg("-o").arg(&path))?;
    Ok(Built { sha256: sha256(&path)?, size_bytes: fs::metadata(&path)?.len(), path })
}

/// Clippy over the kernel programs. Only where clippy stands beside the compiler: another one cannot read its `core`.
pub(super) fn lint(toolchain: &Toolchain, architecture: &str) -> Result<()> {
    let clippy = toolchain.cargo.with_file_name("cargo-clippy");
    let mut clippy = command_of(toolchain, &clippy, architecture)?;
    // Its own target folder: what clippy compiled is not what is committed.
    let target = source().join("target/lint").join(architecture);
    clippy
        .env("CARGO", &toolchain.cargo)
        .arg("clippy")
        .args(COMMON_ARGUMENTS)
        .arg("--target-dir")
        .arg(target);
    command::quietly(clippy.args(["--", "-D", "warnings"]))
        .with_context(|| format!("linting probe-ebpf for {architecture}"))
}

const COMMON_ARGUMENTS: [&str; 5] = ["--quiet", "--locked", "--release", "--target", TARGET];

fn source() -> PathBuf {
    checkout::root().join("probe-ebpf")
}

/// Cargo (or its clippy) with nothing inherited that could change the bytes: xtask itself runs under another cargo, whose variables
/// (toolchain, flags, library path) must not reach this one.
fn command_of(toolchain: &Toolchain, program: &Path, architecture: &str) -> Result<Command> {
    let mut cargo = Command::new(program);
    cargo.current_dir(source());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let ours = ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_SOURCE_"];
        let cargos = name.starts_with("CARGO") || name.starts_with("RUST");
        if (cargos && !ours.iter().any(|prefix| name.starts_with(prefix))) || name == "LD_LIBRARY_PATH" {
            cargo.env_remove(&*name);
        }
    }
    cargo
        .env("PATH", path_with_linker(&toolchain.linker)?)
        .env("RUSTC", &toolchain.rustc)
        .env("RUSTC_WRAPPER", std::env::current_exe().context("where is xtask itself?")?)
        .env(wrapper::MARK, "1")
        // aya-ebpf uses one unstable feature (BPF inline assembly). The crate's name, not "1": the variable is part of
        // what rustc hashes, so another value gives other bytes.
        .env("RUSTC_BOOTSTRAP", if toolchain.build_std { "1" } else { "aya_ebpf,h2watch_probe" })
        .env("CARGO_ENCODED_RUSTFLAGS", flags(architecture, &cargo_sources()?));
    Ok(cargo)
}

/// rustc calls the linker by name.
fn path_with_linker(linker: &Path) -> Result<OsString> {
    let folder = linker.parent().context("bpf-linker has no folder")?.to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths([folder].into_iter().chain(std::env::split_paths(&path)))?)
}

/// BTF line info has source paths in it, so the checkout and cargo's registry get the same names everywhere.
fn flags(architecture: &str, cargo_sources: &[PathBuf]) -> OsString {
    let mut flags: Vec<OsString> = vec![
        format!("--cfg=bpf_target_arch=\"{architecture}\"").into(),
        "-Cdebuginfo=2".into(),
        "-Clink-arg=--btf".into(),
        remap(checkout::root(), "."),
    ];
    flags.extend(cargo_sources.iter().map(|folder| remap(folder, "/cargo")));
    flags.join("\u{1f}".as_ref())
}

fn remap(from: &Path, to: &str) -> OsString {
    let mut flag = OsString::from("--remap-path-prefix=");
    flag.push(from);
    flag.push("=");
    flag.push(to);
    flag
}

/// Where registry sources are unpacked: one folder per registry, named after its address, which may be a mirror's.
fn cargo_sources() -> Result<Vec<PathBuf>> {
    let unpacked = checkout::cargo_home().join("registry/src");
    fs::create_dir_all(&unpacked).with_context(|| format!("cannot make {}", unpacked.display()))?;
    let mut folders = vec![checkout::cargo_home()];
    for entry in fs::read_dir(&unpacked).with_context(|| format!("cannot read {}", unpacked.display()))? {
        folders.push(entry?.path());
    }
    Ok(folders)
}

pub(super) fn sha256(file: &Path) -> Result<String> {
    let said = command::output(Command::new("sha256sum").arg(file))?;
    said.split_whitespace().next().map(str::to_owned).context("sha256sum printed nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_name_the_architecture_and_hide_both_folders() {
        let flags = flags("aarch64", &[PathBuf::from("/home/x/.cargo/registry/src/index")]);
        let flags: Vec<&str> = flags.to_str().unwrap().split('\u{1f}').collect();
        assert_eq!(flags[0], "--cfg=bpf_target_arch=\"aarch64\"");
        assert!(flags.contains(&"-Clink-arg=--btf"));
        assert!(flags.contains(&"--remap-path-prefix=/home/x/.cargo/registry/src/index=/cargo"));
        assert!(flags.iter().any(|flag| flag.starts_with("--remap-path-prefix=") && flag.ends_with("=.")));
    }

    #[test]
    fn sha256_of_nothing_is_the_known_one() {
        let known = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(Path::new("/dev/null")).unwrap(), known);
    }
}
