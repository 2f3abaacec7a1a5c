//! Parse, run, exit.

use std::process::ExitCode;

use clap::Parser as _;
use h2watch::cli::Cli;
use h2watch::exit::Exit;

fn main() -> ExitCode {
    match h2watch::start::start(Cli::parse()) {
        Ok(ending) => ending.into(),
        // Whoever read the output has seen enough.
        Err(error) if broken_pipe(&error) => Exit::Success.into(),
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "h2watch: {error:#}");
            Exit::CouldNotTell.into()
        }
    }
}

fn broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    kind == Some(std::io::ErrorKind::BrokenPipe)
}
