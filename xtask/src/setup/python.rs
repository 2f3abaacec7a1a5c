//! Virtual environments of Python below `.cache`, and the files of packages, all of known versions from PyPI.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::step;
use crate::{checkout, command};

/// Makes `.cache/<folder>` with these packages in it.
pub(super) fn environment(what: &str, folder: &str, packages: &[&str]) -> Result<()> {
    let environment = checkout::cache(folder);
    // Written last: a half-installed environment does not count.
    let complete = environment.join("complete");
    let wanted = packages.join("\n");
    let present = std::fs::read_to_string(&complete).is_ok_and(|have| have == wanted);
    step(what, present, || {
        // Debian's own Python first: it uses the system's libssl, which is what TLS tests look at.
        let system = Path::new("/usr/bin/python3");
        let python = if system.exists() { system.to_owned() } else { "python3".into() };
        command::quietly(Command::new(python).args(["-m", "venv", "--clear"]).arg(&environment))?;
        let mut pip = Command::new(environment.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
        command::quietly(&mut pip)?;
        std::fs::write(&complete, &wanted).with_context(|| format!("cannot write {}", complete.display()))
    })
}

/// The files of one package as `.cache/<folder>`, for what it bundles.
pub(super) fn unpack(what: &str, folder: &str, package: &str) -> Result<()> {
    let folder = checkout::cache(folder);
    // Written last, as above.
    let complete = folder.join("complete");
    let present = std::fs::read_to_string(&complete).is_ok_and(|have| have == package);
    step(what, present, || {
        files_of(package, &folder)?;
        std::fs::write(&complete, package).with_context(|| format!("cannot write {}", complete.display()))
    })
}

/// Puts the files of one package into a folder.
pub(super) fn files_of(package: &str, folder: &Path) -> Result<()> {
    let mut pip = Command::new(super::clients::venv_python());
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"]);
    command::quietly(pip.args(["--only-binary", ":all:", "--upgrade", package, "--target"]).arg(folder))
}
