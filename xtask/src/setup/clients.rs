//! What the tests run: HTTP/2 clients and servers of others, and the tools that make and cut networks.

use std::process::Command;

use anyhow::{Context, Result};

use super::{debian, go, step};
use crate::{checkout, command};

const PYTHON_PACKAGES: [&str; 3] = ["h2==4.4.1", "hyperframe==6.1.0", "httpx[http2]==0.28.1"];

pub(super) fn set_up() -> Result<()> {
    debian::install(&debian::CLIENTS)?;
    python()?;
    go::VERSIONS.iter().try_for_each(|version| go::install(version))
}

/// A virtual environment with an HTTP/2 stack in Python: one more client, and the oracle for frame counts.
fn python() -> Result<()> {
    let venv = checkout::cache("venv");
    // Written last: a half-installed environment does not count.
    let complete = venv.join("complete");
    let wanted = PYTHON_PACKAGES.join("\n");
    let present = std::fs::read_to_string(&complete).is_ok_and(|have| have == wanted);
    step("Python with h2, hyperframe, httpx", present, || {
        // Debian's own Python first: it uses the system's libssl, which is what TLS tests look at.
        let system = std::path::Path::new("/usr/bin/python3");
        let python = if system.exists() { system.to_owned() } else { "python3".into() };
        command::quietly(Command::new(python).args(["-m", "venv", "--clear"]).arg(&venv))?;
        let mut pip = Command::new(venv.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PYTHON_PACKAGES);
        command::quietly(&mut pip)?;
        std::fs::write(&complete, &wanted).context("cannot write .cache/venv/complete")
    })
}

/// The environment's interpreter.
pub(super) fn venv_python() -> std::path::PathBuf {
    checkout::cache("venv/bin/python")
}
