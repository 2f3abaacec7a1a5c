//! The experiment's program, built with each of the Go compilers that `cargo xtask setup` put under `.cache`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::{checkout, command, setup};

/// The program built with this version of Go.
pub(crate) fn build(version: &str) -> Result<PathBuf> {
    setup::go(version)?;
    let compiler = checkout::cache(&format!("go/{version}/bin/go"));
    let program = checkout::cache(&format!("netsplit/netsplit-{version}"));
    let mut go = Command::new(compiler);
    go.args(["build", "-o"]).arg(&program).arg(".").current_dir(checkout::root().join("xtask/netsplit/go"));
    // Nothing but the standard library and exactly this compiler: no network, no other toolchain.
    go.envs([("GOTOOLCHAIN", "local"), ("GOPROXY", "off"), ("GOFLAGS", ""), ("CGO_ENABLED", "0")]);
    go.env("GOCACHE", checkout::cache("go-build"));
    command::quietly(&mut go)?;
    Ok(program)
}
