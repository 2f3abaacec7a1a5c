//! `cargo xtask`: what developers and CI do. This file says which commands there are; each has a folder or file of its own.

mod bench;
mod checkout;
mod command;
mod deny;
mod deploy;
mod guest;
mod netsplit;
mod probe;
mod say;
mod setup;
mod suites;
mod vm;

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
    /// Measure lost requests without h2watch and with `--reset auto`: golang/go#63422 (needs root)
    Netsplit(netsplit::Options),
    /// Rebuild the committed kernel objects (probe-ebpf/prebuilt)
    Probe(probe::Options),
    /// Install what is missing for building and testing
    Setup(setup::Options),
    /// Set up the test clients and run all tests (as root)
    Test,
    /// Run the longer suites
    Accept(suites::AcceptOptions),
    /// Check licences, sources and advisories of the dependencies
    Deny,
    /// Check deploy/ with the programs that will read it: Prometheus, Alertmanager, systemd, Kubernetes schemas
    DeployCheck,
    /// Run h2watch on other kernels, in virtual machines
    Vm(vm::Options),
    /// Measure what watching costs and write docs/overhead.md (as root, on an idle machine)
    Bench(bench::Options),
    /// The first process of such a machine
    #[command(hide = true)]
    Guest(guest::Options),
}

fn main() -> ExitCode {
    if let Some(error) = probe::become_rustc_if_asked() {
        say::complaint(&format!("cannot start rustc: {error}"));
        return ExitCode::FAILURE;
    }
    let outcome = match Cli::parse().task {
        Task::Netsplit(options) => netsplit::run(&options),
        Task::Probe(options) => probe::run(&options),
        Task::Setup(options) => setup::run(&options),
        Task::Test => suites::test(),
        Task::Accept(options) => suites::accept(&options),
        Task::Deny => deny::run(),
        Task::DeployCheck => deploy::run(),
        Task::Vm(options) => vm::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Guest(options) => guest::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::complaint(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
