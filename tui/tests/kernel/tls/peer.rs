//! The other end of a TLS client: a server in a process of its own that writes down the plaintext of each connection under the
//! client's port. An independent parser (hyperframe) counts it.

use crate::support::link::Recording;
use crate::support::oracle::{self, Exchange};
use crate::support::programs::Program;
use crate::support::{tools, wait_until};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Peer {
    program: Program,
    pub(super) address: SocketAddr,
    folder: TempDir,
}

impl Peer {
    /// Options are those of `clients/server`.
    pub(crate) fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let program = tools::go_build("server", "recording-server", &[]);
        let words = [&program, folder.path()].map(|path| path.to_string_lossy().into_owned());
        let words: Vec<String> =
            words.into_iter().chain(options.iter().map(|&option| option.to_owned())).collect();
        let mut program = Program::start(&words);
        let address = program.hear("SERVING").parse().expect("an address");
        Self { program, address, folder }
    }

    pub(crate) fn origin(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(super) fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Room for files of the test's own.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ports of the clients that connected.
    fn ports(&self) -> Vec<String> {
        let files = fs::read_dir(self.folder()).expect("the folder is there").flatten();
        let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
        names.filter_map(|name| name.strip_suffix(".sent").map(str::to_owned)).collect()
    }

    /// What a client sent and received so far.
    pub(super) fn recording(&self, port: &str) -> Recording {
        let read = |way: &str| fs::read(self.folder().join(format!("{port}.{way}"))).expect("a recording");
        Recording { sent: read("sent"), received: read("received") }
    }

    /// Everything that any client sent or received so far.
    pub(super) fn plaintext(&self) -> Vec<Recording> {
        self.ports().iter().map(|port| self.recording(port)).collect()
    }

    /// When every connection is over: what hyperframe counts in those that were HTTP/2, by the client's port.
    pub(super) fn counted(&self) -> BTreeMap<String, Exchange> {
        let ports = self.ports();
        wait_until(SOON, "the server notices the end of every connection", || {
            ports.iter().all(|port| self.folder().join(format!("{port}.done")).exists()).then_some(())
        });
        let recordings: Vec<Recording> = ports.iter().map(|port| self.recording(port)).collect();
        let counted = oracle::count(&recordings.iter().collect::<Vec<_>>());
        ports.into_iter().zip(counted).filter(|(_, exchange)| exchange.sent.streams > 0).collect()
    }
}
