//! Parse, run, exit.

fn main() -> std::process::ExitCode {
    h2watch::exit::Exit::Success.into()
}
