//! Every exit status of h2watch.

/// Exit statuses. `-- COMMAND` passes on the command's own instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Nothing wrong.
    Success,
    /// A connection is stalled (`check`), or something is missing that a part of the job needs (`doctor`).
    Stalled,
    /// It could not be told: no rights, no such process, bad input, or (`check`) not enough was seen to call it healthy. clap uses
    /// the same number for bad arguments.
    CouldNotTell,
    /// `check`: a connection is stalled, and none of them with more than severity `warning`.
    StalledMildly,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Stalled => 1,
            Exit::CouldNotTell => 2,
            Exit::StalledMildly => 3,
        })
    }
}
