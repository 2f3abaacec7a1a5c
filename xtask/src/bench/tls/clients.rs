//! Clients that keep a number of streams busy, and the server that answers them: 1 KiB each, over TLS 1.3.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use super::super::cgroup::Cgroup;
use super::super::load;
use crate::{checkout, command, say};

const CONNECTIONS: &str = "4";
const STREAMS: &str = "16";
/// As `cargo xtask setup` installs it.
const GO: &str = "go/1.27.3/bin/go";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    Go,
    Node,
    OpenSsl,
}

impl Client {
    pub(super) const ALL: [Self; 3] = [Self::Go, Self::Node, Self::OpenSsl];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Go => "Go 1.27",
            Self::Node => "Node",
            Self::OpenSsl => "OpenSSL (h2load)",
        }
    }

    /// Two to three seconds of work on a small machine.
    fn requests(self) -> &'static str {
        match self {
            Self::Go => "30000",
            Self::Node => "15000",
            Self::OpenSsl => "60000",
        }
    }

    /// Requests per second, by the client's own clock.
    pub(super) fn run(self, cgroup: &Cgroup, server: &Server) -> Result<f64> {
        let mut client = match self {
            Self::Go => {
                let mut client = Command::new(&server.program);
                client.arg("load");
                client
            }
            Self::Node => {
                let mut client = Command::new("node");
                client.arg(source("load.mjs"));
                client
            }
            Self::OpenSsl => {
                let mut h2load = Command::new("h2load");
                h2load.args(["-n", self.requests(), "-c", CONNECTIONS, "-m", STREAMS, &server.url]);
                cgroup.hold(&mut h2load)?;
                let said = command::output(&mut h2load)?;
                return load::rate_of_all(&said, self.requests().parse()?);
            }
        };
        client.args([&server.url, CONNECTIONS, STREAMS, self.requests()]);
        cgroup.hold(&mut client)?;
        let said = command::output(&mut client)?;
        let rate =
            said.lines().find_map(|line| line.strip_prefix("RATE ")).context("the client printed no rate")?;
        rate.parse().context("the client's rate is no number")
    }
}

pub(super) fn source(name: &str) -> PathBuf {
    checkout::root().join("tui/tests/clients/life").join(name)
}

/// Client and server in one program.
pub(super) fn go_program() -> Result<PathBuf> {
    let program = checkout::cache("bench-life");
    let mut go = Command::new(checkout::cache(GO));
    go.args(["build", "-trimpath", "-o"]).arg(&program).arg(".").current_dir(source(""));
    go.envs([("GOTOOLCHAIN", "local"), ("GOPROXY", "off"), ("CGO_ENABLED", "0")]);
    go.env("GOCACHE", checkout::cache("go-build"))
        .env("GOPATH", checkout::cache("go-path"))
        .env_remove("GOROOT");
    command::quietly(&mut go)?;
    Ok(program)
}

/// Outside the watched cgroup: only the client's side is to pay for watching.
pub(super) struct Server {
    child: Child,
    program: PathBuf,
    url: String,
}

impl Server {
    pub(super) fn start(program: &Path) -> Result<Self> {
        let mut server = Command::new(program);
        let mut child =
            server.arg("server").stdout(Stdio::piped()).spawn().context("cannot start the server")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let address =
            line.strip_prefix("SERVING ").context("the server did not say where it listens")?.trim();
        let url = format!("https://{address}/bytes/1024");
        Ok(Self { child, program: program.to_owned(), url })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            say::complaint(&format!("the server could not be ended: {error}"));
        }
    }
}
