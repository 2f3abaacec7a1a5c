//! `cargo xtask`: what developers and CI do. This file says which commands there are; each has a folder or file of its own.

mod checkout;
mod command;
mod probe;
mod say;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What developers and CI of h2watch do.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Rebuild the committed kernel objects (probe-ebpf/prebuilt)
    Probe(probe::Options),
}

fn main() -> ExitCode {
    if let Some(error) = probe::become_rustc_if_asked() {
        say::complaint(&format!("cannot start rustc: {error}"));
        return ExitCode::FAILURE;
    }
    let outcome = match Cli::parse().task {
        Task::Probe(options) => probe::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::complaint(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
