//! `h2watch doctor`: what can be seen here, what not, and what to do about it.
//!
//! Each check tries the thing itself where that can be done without touching anybody: the probe is loaded and attached to
//! a cgroup made for the purpose, a socket of our own is looked up. Nothing is guessed from version numbers.

mod finding;
mod host;
mod process;

pub use finding::{Finding, Level};

use std::io::Write as _;

use anyhow::Result;

use crate::cli::Doctor;
use crate::exit::Exit;
use crate::run::Ending;

/// Examines this host, and a process when one is named. Ends with 0 when everything works, 1 when something is missing that
/// a part of the job needs, 2 when nothing can be watched.
///
/// # Errors
/// Standard output cannot be written.
pub fn examine(args: &Doctor) -> Result<Ending> {
    let mut findings = host::examine();
    if let Some(pid) = args.pid {
        findings.extend(process::examine(pid));
    }
    let mut stdout = std::io::stdout().lock();
    for finding in &findings {
        writeln!(stdout, "{}", finding.render(args.verbose))?;
    }
    let worst = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Pass);
    writeln!(stdout, "\n{}", worst.sentence())?;
    Ok(Ending::Own(match worst {
        Level::Pass => Exit::Success,
        Level::Warn => Exit::Stalled,
        Level::Fail => Exit::CouldNotTell,
    }))
}
