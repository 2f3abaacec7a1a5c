//! `--seen`: what each client sees when its connection is reset before the answer comes, and what becomes of its next request.
//! `xtask/netsplit/clients/measure.sh` does it; a client that is missing fails it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::{checkout, command};

/// Its words, as they come.
pub(super) fn run(programs: &[PathBuf]) -> Result<String> {
    let script = checkout::root().join("xtask/netsplit/clients/measure.sh");
    let mut measure = Command::new("sh");
    measure.arg(script).args(programs).env("PYTHON", checkout::cache("venv/bin/python"));
    let said = command::output(&mut measure)?;
    // All of them are what `cargo xtask setup` installs.
    for client in ["netsplit-", "curl", "node", "httpx", "Java"] {
        ensure!(said.contains(client), "no word about {client}:\n{said}");
    }
    Ok(format!("```text\n{}\n```\n", said.trim()))
}
