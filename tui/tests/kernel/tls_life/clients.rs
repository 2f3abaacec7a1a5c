//! Every kind of TLS client, each of which opens a stream on one connection every few milliseconds and gives none up; and
//! the server that counts what it is asked, by the client's port.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::cgroup::Cgroup;
use crate::support::programs::{Program, installed};
use crate::support::tools::{self, GO, OLD_GO};
use crate::support::watch::text;

/// Time between two streams of a client.
pub(super) const INTERVAL_MS: &str = "10";
/// A day, for a client that must be told when to give a stream up.
const NEVER_MS: &str = "86400000";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Curl,
    PythonOpenSsl,
    Httpx,
    Node,
    GnuTls,
    OldGo,
    Go,
    Java,
    Rustls,
}

impl Kind {
    pub(super) const ALL: [Self; 9] = [
        Self::Curl,
        Self::PythonOpenSsl,
        Self::Httpx,
        Self::Node,
        Self::GnuTls,
        Self::OldGo,
        Self::Go,
        Self::Java,
        Self::Rustls,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Curl => "curl (OpenSSL)",
            Self::PythonOpenSsl => "Python ssl (OpenSSL)",
            Self::Httpx => "httpx (OpenSSL, memory BIO)",
            Self::Node => "Node http2",
            Self::GnuTls => "GnuTLS",
            Self::OldGo => "Go 1.21",
            Self::Go => "Go 1.27",
            Self::Java => "Java HttpClient",
            Self::Rustls => "rustls, stripped",
        }
    }

    /// Nothing in it can be probed: no stream is counted.
    pub(super) fn is_seen_as_records(self) -> bool {
        matches!(self, Self::Java | Self::Rustls)
    }

    /// The view that `--tls frames` gives.
    pub(super) fn view(self) -> &'static str {
        if self.is_seen_as_records() { "records" } else { "frames" }
    }

    /// The command line of a client of the server at `address`.
    pub(super) fn words(self, address: SocketAddr) -> Vec<String> {
        let url = format!("https://{address}/bytes/100");
        let python = |library: &str| python(&[library, &url, INTERVAL_MS]);
        match self {
            Self::Curl => {
                // A new stream only after an answer: so that several wait, several are answered at once.
                let url = format!("https://{address}/tick/30?[1-1000000]");
                let options = ["-sk", "--http2", "--parallel", "--parallel-max", "10", "--no-progress-meter"];
                installed("curl", &[&options[..], &["--output", "/dev/null", &url]].concat())
            }
            Self::PythonOpenSsl => python("openssl"),
            Self::Httpx => python("httpx"),
            Self::GnuTls => python("gnutls"),
            Self::Node => installed("node", &[&source("steady.mjs"), &url, INTERVAL_MS]),
            Self::OldGo | Self::Go => {
                let program = go_program(if self == Self::Go { GO } else { OLD_GO });
                [&program.to_string_lossy(), "steady", &url, INTERVAL_MS].map(str::to_owned).to_vec()
            }
            Self::Java => installed("java", &[&source("Steady.java"), &url, INTERVAL_MS]),
            Self::Rustls => {
                let program = tools::rustls_client();
                let words = ["calls", &address.to_string(), INTERVAL_MS, NEVER_MS];
                [&[&*program.to_string_lossy()], &words[..]].concat().into_iter().map(str::to_owned).collect()
            }
        }
    }
}

fn source(name: &str) -> String {
    tools::client_source("life").join(name).to_string_lossy().into_owned()
}

/// The Go program, client and server.
pub(super) fn go_program(version: &str) -> PathBuf {
    tools::go_build_with(version, "life", &format!("tls-life-{version}"), &[])
}

/// `steady.py` with these words.
pub(super) fn python(words: &[&str]) -> Vec<String> {
    let program = tools::python().to_string_lossy().into_owned();
    [program, source("steady.py")].into_iter().chain(words.iter().map(|&word| word.to_owned())).collect()
}

/// Starts a program inside a cgroup; what it prints is heard.
pub(super) fn start_in(cgroup: &Cgroup, words: &[String]) -> Program {
    Program::start_with(words, |command: &mut Command| {
        command.stderr(Stdio::inherit());
        cgroup.start_inside(command);
    })
}

pub(super) struct Server {
    pub(super) program: Program,
    pub(super) address: SocketAddr,
}

impl Server {
    pub(super) fn start() -> Self {
        let words = [go_program(GO).to_string_lossy().into_owned(), "server".to_owned()];
        let mut program = Program::start(&words);
        let address = program.hear("SERVING").parse().expect("an address");
        Self { program, address }
    }

    /// Client port to requests that arrived.
    pub(super) fn counts(&self) -> BTreeMap<u16, u64> {
        let answer = tools::run("curl", &["-sk", "--http1.1", &format!("https://{}/counts", self.address)]);
        serde_json::from_str(&answer).expect("the server counts in JSON")
    }
}

/// The client's port of a connection in a line of h2watch.
pub(super) fn port(connection: &Value) -> u16 {
    let local: SocketAddr = text(&connection["local"]).parse().expect("an address");
    local.port()
}

/// The connections of a snapshot to this server.
pub(super) fn connections_to(snapshot: &Value, server: SocketAddr) -> Vec<Value> {
    let all = snapshot["connections"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|connection| connection["remote"] == server.to_string().as_str()).collect()
}
