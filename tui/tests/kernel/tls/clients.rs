//! The clients whose TLS library can be probed. Connection i of N opens STREAMS + i streams, so that each has a number of its
//! own, cancels some of them, and says so itself.

use super::peer::Peer;
use crate::support::programs::installed;
use crate::support::tools;
use crate::support::watch::Ended;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// What a client says of one of its connections.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
pub(super) struct Said {
    pub(super) opened: u64,
    pub(super) cancelled: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    pub(super) name: &'static str,
    /// As h2watch names it.
    pub(super) library: &'static str,
    /// Words of the command: for this peer, so many connections, so many streams on each.
    pub(super) command: fn(&Peer, usize, usize) -> Vec<String>,
    /// What it says in the end, by its own port.
    pub(super) said: fn(&Ended) -> BTreeMap<String, Said>,
}

pub(super) const CURL: Client =
    Client { name: "curl", library: "openssl", command: curl, said: said_by_curl };
pub(super) const HTTPX_ASYNC: Client = with("httpx, asyncio", "openssl", |peer, connections, streams| {
    let mode = ["async", &peer.origin(), &connections.to_string(), &streams.to_string()];
    script(&tools::python(), "exact/httpx_client.py", &mode)
});
pub(super) const HTTPX_SYNC: Client = with("httpx, sync", "openssl", |peer, connections, streams| {
    let mode = ["sync", &peer.origin(), &connections.to_string(), &streams.to_string()];
    script(&tools::python(), "exact/httpx_client.py", &mode)
});
/// OpenSSL of a wheel that bundles it, the only libssl of its process. It begins when it is told.
pub(super) const OPENSSL_1_1: Client =
    with("OpenSSL 1.1.1 of a wheel", "openssl", |peer, connections, streams| {
        openssl(peer, connections, streams, "1.1")
    });
pub(super) const OPENSSL_3_5: Client =
    with("OpenSSL 3.5 of a wheel", "openssl", |peer, connections, streams| {
        openssl(peer, connections, streams, "3.5")
    });
/// The functions are in the symbol table of curl_cffi's own library. It begins when it is told.
pub(super) const BORINGSSL: Client =
    with("curl_cffi, BoringSSL", "boringssl", |peer, connections, streams| {
        let arguments = [&*peer.origin(), &connections.to_string(), &streams.to_string()];
        script(&tools::python(), "exact/boringssl.py", &arguments)
    });
pub(super) const NODE: Client = with("Node http2", "openssl", |peer, connections, streams| {
    let arguments = [&*peer.origin(), &connections.to_string(), &streams.to_string()];
    script(&tools::program("node"), "exact/exact.mjs", &arguments)
});
pub(super) const GNUTLS: Client = with("libgnutls", "gnutls", |peer, connections, streams| {
    let (host, port) = (peer.address.ip().to_string(), peer.address.port().to_string());
    let arguments = [&*host, &port, &connections.to_string(), &streams.to_string()];
    script(&tools::python(), "exact/gnutls.py", &arguments)
});
/// Writes that would block are finished by empty ones.
pub(super) const GNUTLS_RESUMED: Client =
    with("libgnutls, resumed", "gnutls", |peer, connections, streams| {
        let mut words = (GNUTLS.command)(peer, connections, streams);
        words.push("resume".to_owned());
        words
    });
pub(super) const WGET: Client =
    Client { name: "wget2", library: "gnutls", command: wget, said: said_by_wget };
pub(super) const OLD_GO: Client = with("Go 1.21.13", "go", |peer, connections, streams| {
    go(peer, connections, streams, tools::OLD_GO, "plain", &[])
});
pub(super) const OLD_GO_STRIPPED: Client =
    with("Go 1.21.13, stripped", "go", |peer, connections, streams| {
        go(peer, connections, streams, tools::OLD_GO, "stripped", &["-ldflags=-s -w"])
    });
pub(super) const OLD_GO_PIE: Client =
    with("Go 1.21.13, PIE, stripped", "go", |peer, connections, streams| {
        go(peer, connections, streams, tools::OLD_GO, "pie", &["-buildmode=pie", "-ldflags=-s -w"])
    });
pub(super) const GO: Client = with("Go 1.27.3", "go", |peer, connections, streams| {
    go(peer, connections, streams, tools::GO, "plain", &[])
});
/// Its connections do not lead to their sockets.
pub(super) const GO_WRAPPED: Client = with("Go 1.27.3, wrapped", "go", |peer, connections, streams| {
    let mut words = (GO.command)(peer, connections, streams);
    words.push("wrapped".to_owned());
    words
});
pub(super) const GO_STRIPPED: Client = with("Go 1.27.3, stripped", "go", |peer, connections, streams| {
    go(peer, connections, streams, tools::GO, "stripped", &["-ldflags=-s -w"])
});
pub(super) const GO_PIE: Client = with("Go 1.27.3, PIE, stripped", "go", |peer, connections, streams| {
    go(peer, connections, streams, tools::GO, "pie", &["-buildmode=pie", "-ldflags=-s -w"])
});

pub(super) const OLD_GO_EXTERNAL: Client = with("Go 1.21.13, cgo", "go", |peer, connections, streams| {
    go(peer, connections, streams, tools::OLD_GO, "external", &["-ldflags=-linkmode=external"])
});
pub(super) const GO_EXTERNAL_PIE: Client =
    with("Go 1.27.3, cgo, PIE, stripped", "go", |peer, connections, streams| {
        let options = ["-buildmode=pie", "-ldflags=-linkmode=external -s -w"];
        go(peer, connections, streams, tools::GO, "external-pie", &options)
    });
pub(super) const OLDEST_GO: Client = with("Go 1.19.8", "go", |peer, connections, streams| {
    go(peer, connections, streams, tools::OLDEST_GO, "plain", &[])
});
pub(super) const OLDEST_GO_PIE: Client =
    with("Go 1.19.8, PIE, stripped", "go", |peer, connections, streams| {
        go(peer, connections, streams, tools::OLDEST_GO, "pie", &["-buildmode=pie", "-ldflags=-s -w"])
    });

/// At full size.
pub(super) const ALL: [Client; 16] = [
    CURL,
    HTTPX_ASYNC,
    HTTPX_SYNC,
    NODE,
    GNUTLS,
    WGET,
    OLD_GO,
    OLD_GO_STRIPPED,
    OLD_GO_PIE,
    GO,
    GO_STRIPPED,
    GO_PIE,
    OLD_GO_EXTERNAL,
    GO_EXTERNAL_PIE,
    OLDEST_GO,
    OLDEST_GO_PIE,
];

const fn with(
    name: &'static str,
    library: &'static str,
    command: fn(&Peer, usize, usize) -> Vec<String>,
) -> Client {
    Client { name, library, command, said: said_in_json }
}

fn said_in_json(ended: &Ended) -> BTreeMap<String, Said> {
    serde_json::from_value(ended.client()).expect("the client says what it did on each port")
}

/// An interpreter, a script of `tui/tests/clients`, and its arguments.
pub(super) fn script(interpreter: &Path, source: &str, arguments: &[&str]) -> Vec<String> {
    let paths = [interpreter.to_path_buf(), tools::client_source(source)];
    let words = paths.iter().map(|path| path.to_string_lossy().into_owned());
    words.chain(arguments.iter().map(|&word| word.to_owned())).collect()
}

fn openssl(peer: &Peer, connections: usize, streams: usize, version: &str) -> Vec<String> {
    let library = tools::wheel_libssl(version).to_string_lossy().into_owned();
    let (host, port) = (peer.address.ip().to_string(), peer.address.port().to_string());
    let arguments = [&*library, &host, &port, &connections.to_string(), &streams.to_string()];
    script(&tools::python(), "exact/openssl.py", &arguments)
}

fn go(
    peer: &Peer,
    connections: usize,
    streams: usize,
    version: &str,
    build: &str,
    options: &[&str],
) -> Vec<String> {
    let program = tools::go_build_with(version, "exact", &format!("go-{version}-{build}"), options);
    vec![program.to_string_lossy().into_owned(), peer.origin(), connections.to_string(), streams.to_string()]
}

/// curl keeps one connection for each host name. It cancels what is announced to be larger than the limit.
fn curl(peer: &Peer, connections: usize, streams: usize) -> Vec<String> {
    let port = peer.address.port();
    let mut text = String::new();
    for i in 0..connections {
        _ = writeln!(text, "resolve = \"h{i}.test:{port}:{}\"", peer.address.ip());
    }
    for k in 0..streams + connections {
        for i in (0..connections).filter(|i| k < streams + i) {
            // None near the end: there curl once gave up a transfer whose RST_STREAM its peer did not see (nor h2watch).
            let cancel = k > 0 && k + 20 < streams + i && k % (4 + i % 3) == 0;
            let path = if cancel { "headers" } else { "bytes/300" };
            _ = writeln!(text, "url = \"https://h{i}.test:{port}/{path}\"\noutput = \"/dev/null\"");
        }
    }
    let file = peer.folder().join("curl.config");
    std::fs::write(&file, text).expect("a temporary file");
    // On a line of its own, whatever else curl prints.
    let said = "\\nCURL %{local_port} %{exitcode} %{http_version}\\n";
    let words = ["-sk", "--no-progress-meter", "--http2", "--parallel", "--max-filesize", "1000000"];
    let rest = ["--write-out", said, "--config", &*file.to_string_lossy()];
    installed("curl", &[&words[..], &rest].concat())
}

/// curl's exit status for what is larger than the limit, of a transfer and of all of them.
pub(super) const CURL_TOO_LARGE: i32 = 63;

fn said_by_curl(ended: &Ended) -> BTreeMap<String, Said> {
    let mut said = BTreeMap::<String, Said>::new();
    for line in ended.errors.lines().filter_map(|line| line.split_once("CURL ").map(|(_, rest)| rest)) {
        let [port, status, "2"] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("not a transfer over HTTP/2: {line}")
        };
        let count = said.entry(port.to_owned()).or_default();
        count.opened += 1;
        match status.parse() {
            Ok(0) => {}
            Ok(CURL_TOO_LARGE) => count.cancelled += 1,
            _ => panic!("curl failed: {line}"),
        }
    }
    said
}

/// wget2 has a connection for each thread, cancels nothing, and prints what it downloaded: its port as the server sees it.
fn wget(peer: &Peer, connections: usize, streams: usize) -> Vec<String> {
    let urls: String = (0..connections * streams).map(|k| format!("{}/port?{k}\n", peer.origin())).collect();
    let file = peer.folder().join("wget.urls");
    std::fs::write(&file, urls).expect("a temporary file");
    let threads = format!("--max-threads={connections}");
    let words = ["--quiet", "--no-check-certificate", "--no-hsts", "--no-netrc", "--no-robots", &threads];
    let output = ["--output-document=-", "--input-file"];
    installed("wget2", &[&words[..], &output, &[&*file.to_string_lossy()]].concat())
}

fn said_by_wget(ended: &Ended) -> BTreeMap<String, Said> {
    let mut said = BTreeMap::<String, Said>::new();
    for port in ended.errors.lines() {
        said.entry(port.trim_end().to_owned()).or_default().opened += 1;
    }
    said
}
