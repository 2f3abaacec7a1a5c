//! xtask as the first process of a virtual machine: prepares it, runs the checks against the h2watch beside it, says what
//! it found on the second serial port, and switches the machine off. Started by `vm`, never by hand.

mod checks;
mod h2c;
mod lines;
mod machine;
mod metrics;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use crate::say;
pub(crate) use lines::{Watch, signal};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    role: Option<Role>,
}

/// What the checks start as processes of their own.
#[derive(Debug, Subcommand)]
enum Role {
    /// Answers every stream; its first line is the port
    Server,
    /// Opens a stream every now and then, and never waits for an answer
    Client { address: std::net::SocketAddr },
}

pub(crate) fn run(options: &Options) -> Result<()> {
    match &options.role {
        Some(Role::Server) => h2c::serve(),
        Some(Role::Client { address }) => h2c::request(*address),
        None if std::process::id() == 1 => as_first_process(),
        None => bail!("this is what `cargo xtask vm` starts inside a virtual machine"),
    }
}

fn as_first_process() -> Result<()> {
    let prepared = machine::prepare();
    say::line(&format!("GUEST-BEGIN {}", machine::kernel_version()));
    let mut failures = 0;
    if let Err(error) = prepared {
        say::line(&format!("FAIL  prepare: {error:#}"));
        failures += 1;
    }
    for check in checks::ALL {
        match (check.run)() {
            Ok(found) => say::line(&format!("pass  {}: {found}", check.name)),
            Err(error) => {
                failures += 1;
                say::line(&format!("FAIL  {}: {error:#}", check.name));
            }
        }
    }
    say::line(&format!("GUEST-END {failures}"));
    machine::switch_off()
}
