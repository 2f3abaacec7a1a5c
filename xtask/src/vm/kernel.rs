//! Kernel images: which Debian package is the newest of a series, and where its image is kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::apt::Apt;
use crate::{checkout, command, say};

/// Debian's kernel for virtual machines: serial console, cgroup BPF and BTF are built in, no modules are needed.
const FLAVOUR: &str = "cloud-amd64";

/// What h2watch needs and these kernels have as modules, in load order: the list of open sockets (sock_diag). A real system
/// loads them by itself.
const MODULES: [&str; 2] = ["inet_diag", "tcp_diag"];

pub(super) struct Kernel {
    pub(super) name: String,
    pub(super) image: PathBuf,
    /// In load order; empty for a kernel image that was given by its path.
    pub(super) modules: Vec<PathBuf>,
}

impl Kernel {
    /// A series ("5.10"), "latest", or NAME=FILE. Fetched once; remove `.cache/vm/kernel/<name>` for a newer one.
    pub(super) fn get(name: &str) -> Result<Self> {
        if let Some((name, file)) = name.split_once('=') {
            let image = PathBuf::from(file);
            if !image.is_file() {
                bail!("{name}={file}: there is no such kernel image");
            }
            return Ok(Self { name: name.to_owned(), image, modules: Vec::new() });
        }
        let folder = checkout::cache("vm/kernel").join(name);
        let image = folder.join("vmlinuz");
        let modules: Vec<PathBuf> =
            MODULES.iter().map(|module| folder.join(format!("{module}.ko"))).collect();
        // Copied last.
        if !image.is_file() || !modules.iter().all(|module| module.is_file()) {
            fetch(name, &folder)?;
        }
        Ok(Self { name: name.to_owned(), image, modules })
    }
}

fn fetch(series: &str, folder: &Path) -> Result<()> {
    let started = Instant::now();
    let apt = Apt::ready()?;
    let names = apt.package_names()?;
    let package = newest(series, names.iter().map(String::as_str)).with_context(|| {
        format!("Debian has no kernel `{series}` for {FLAVOUR}; there may be 5.10, 6.1, 6.12, latest")
    })?;
    let unpacked = checkout::cache("vm/unpacked").join(package);
    fs::create_dir_all(&unpacked).with_context(|| format!("cannot make {}", unpacked.display()))?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    apt.unpack(package, &unpacked)?;
    // From 6.19 on modules have a package of their own.
    if let Some(version) = package.strip_prefix("linux-binary-") {
        apt.unpack(&format!("linux-modules-{version}"), &unpacked)?;
    }
    for module in MODULES {
        let packed = find(&unpacked, &format!("{module}.ko"))
            .with_context(|| format!("{package} has no module {module}"))?;
        unpack_module(&packed, &folder.join(format!("{module}.ko")))?;
    }
    let found = find(&unpacked, "vmlinuz").with_context(|| format!("{package} holds no vmlinuz"))?;
    fs::copy(&found, folder.join("vmlinuz"))
        .with_context(|| format!("cannot write to {}", folder.display()))?;
    fs::remove_dir_all(&unpacked).context("cannot remove what was unpacked")?;
    say::line(&format!("vm: {series}: fetched {package} ({})", say::took(started.elapsed())));
    Ok(())
}

/// Modules are stored as they are, or compressed with xz.
fn unpack_module(packed: &Path, module: &Path) -> Result<()> {
    if packed.extension().is_some_and(|extension| extension == "ko") {
        return fs::copy(packed, module).map(drop).context("copying a module");
    }
    let mut xz = Command::new("xz");
    xz.args(["--decompress", "--stdout"]).arg(packed);
    xz.stdout(fs::File::create(module).with_context(|| format!("cannot write {}", module.display()))?);
    command::run(&mut xz)
}

/// The first file whose name starts so.
fn find(folder: &Path, start: &str) -> Option<PathBuf> {
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            if let Some(found) = find(&path, start) {
                return Some(found);
            }
        } else if entry.file_name().to_string_lossy().starts_with(start) {
            return Some(path);
        }
    }
    None
}

/// The newest package of a series that holds an image: `linux-binary-*` from 6.19 on (`linux-image-*` is an empty shell
/// there), `linux-image-*` before.
fn newest<'a>(series: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let candidate = |name: &'a str| {
        let (is_binary, version) = match name.strip_prefix("linux-binary-") {
            Some(version) => (true, version),
            None => (false, name.strip_prefix("linux-image-")?),
        };
        // Not rt, not unsigned: the version, at most one "-N" (an ABI number or a release), then the flavour.
        let version = version.strip_suffix(FLAVOUR)?.strip_suffix('-')?;
        let numbers = version_numbers(version)?;
        let wanted = series == "latest" || numbers_of_series(series)? == numbers.get(..2)?;
        (wanted && numbers.len() >= 3).then_some((numbers, is_binary, name))
    };
    names.filter_map(candidate).max().map(|(_, _, name)| name)
}

fn numbers_of_series(series: &str) -> Option<Vec<u32>> {
    series.split('.').map(|part| part.parse().ok()).collect()
}

/// "6.1.0-56" -> [6, 1, 0, 56]; "7.3.4+deb13" -> [7, 3, 4, 13]; None for release candidates and anything with a word.
fn version_numbers(version: &str) -> Option<Vec<u32>> {
    let without_deb = version.replace("+deb", ".").replace("-0.deb", ".").replace('~', ".");
    without_deb.split(['.', '-', '+']).map(|part| part.trim_start_matches("bpo").parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 9] = [
        "linux-image-5.10.0-9-cloud-amd64",
        "linux-image-5.10.0-46-cloud-amd64",
        "linux-image-5.10.0-47-rt-amd64",
        "linux-image-6.1.0-56-cloud-amd64",
        "linux-image-6.12.117+deb13-cloud-amd64",
        "linux-image-7.3.4+deb13-cloud-amd64",
        "linux-binary-7.3.4+deb13-cloud-amd64",
        "linux-image-cloud-amd64",
        "linux-image-6.1.0-56-cloud-amd64-dbg",
    ];

    #[test]
    fn the_newest_of_a_series_goes_by_number_not_by_letter() {
        assert_eq!(newest("5.10", NAMES.into_iter()), Some("linux-image-5.10.0-46-cloud-amd64"));
        assert_eq!(newest("6.1", NAMES.into_iter()), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(newest("4.19", NAMES.into_iter()), None);
    }

    #[test]
    fn latest_is_the_package_that_holds_an_image() {
        assert_eq!(newest("latest", NAMES.into_iter()), Some("linux-binary-7.3.4+deb13-cloud-amd64"));
    }
}
