//! How a run ended.

use std::process::ExitCode;

use crate::exit::Exit;

/// The end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With an exit status of h2watch's own.
    Own(Exit),
    /// With the exit status of the command that was run.
    Command(u8),
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Own(exit) => exit.into(),
            Ending::Command(code) => code.into(),
        }
    }
}
