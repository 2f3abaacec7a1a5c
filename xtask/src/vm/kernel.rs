//! Kernel images: which Debian package is the newest of a series, and where its image is kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::apt::Apt;
use crate::{checkout, say};

/// Debian's kernel for virtual machines: serial console, cgroup BPF and BTF are built in, no modules are needed.
const FLAVOUR: &str = "cloud-amd64";

pub(super) struct Kernel {
    pub(super) name: String,
    pub(super) image: PathBuf,
}

impl Kernel {
    /// A series ("5.10"), "latest", or NAME=FILE. Fetched once; remove `.cache/vm/kernel/<name>` for a newer one.
    pub(super) fn get(name: &str) -> Result<Self> {
        if let Some((name, file)) = name.split_once('=') {
            let image = PathBuf::from(file);
            if !image.is_file() {
                bail!("{name}={file}: there is no such kernel image");
            }
            return Ok(Self { name: name.to_owned(), image });
        }
        let image = checkout::cache("vm/kernel").join(name).join("vmlinuz");
        if !image.is_file() {
            fetch(name, &image)?;
        }
        Ok(Self { name: name.to_owned(), image })
    }
}

fn fetch(series: &str, image: &Path) -> Result<()> {
    let started = Instant::now();
    let apt = Apt::ready()?;
    let names = apt.package_names()?;
    let package = newest(series, names.iter().map(String::as_str)).with_context(|| {
        format!("Debian has no kernel `{series}` for {FLAVOUR}; there may be 5.10, 6.1, 6.12, latest")
    })?;
    let unpacked = checkout::cache("vm/unpacked").join(package);
    fs::create_dir_all(&unpacked).with_context(|| format!("cannot make {}", unpacked.display()))?;
    apt.unpack(package, &unpacked)?;
    let found = vmlinuz(&unpacked).with_context(|| format!("{package} holds no vmlinuz"))?;
    fs::create_dir_all(image.parent().context("an image has a folder")?)?;
    fs::copy(&found, image).with_context(|| format!("cannot write {}", image.display()))?;
    fs::remove_dir_all(&unpacked).context("cannot remove what was unpacked")?;
    say::line(&format!("vm: {series}: fetched {package} ({})", say::took(started.elapsed())));
    Ok(())
}

/// In `boot` or, from 6.19 on, in the modules' folder.
fn vmlinuz(folder: &Path) -> Option<PathBuf> {
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        let is_link = path.is_symlink();
        if path.is_dir() && !is_link {
            if let Some(found) = vmlinuz(&path) {
                return Some(found);
            }
        } else if entry.file_name().to_string_lossy().starts_with("vmlinuz") && !is_link {
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
