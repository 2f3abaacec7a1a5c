//! Clients that send a marked header value and a marked body again and again.

use crate::support::programs::installed;
use crate::support::tools;
use crate::tls::clients::script;
use crate::tls::marks::Marks;
use crate::tls::peer::Peer;

pub(super) struct Sender {
    pub(super) name: &'static str,
    /// Words of the command for an origin with its scheme.
    pub(super) command: fn(&Peer, &str, &Marks) -> Vec<String>,
    /// Whether it speaks h2c too.
    pub(super) without_tls: bool,
    pub(super) view: &'static str,
}

pub(super) const WGET: &str = "wget2";

pub(super) static SENDERS: [Sender; 11] = [
    Sender { name: "Node", command: node, without_tls: true, view: "frames" },
    Sender { name: "curl", command: curl, without_tls: true, view: "frames" },
    Sender {
        name: "httpx, asyncio",
        command: |_, o, _| python("async", o),
        without_tls: true,
        view: "frames",
    },
    Sender { name: "httpx, sync", command: |_, o, _| python("sync", o), without_tls: true, view: "frames" },
    Sender { name: "libgnutls", command: |_, o, _| python("gnutls", o), without_tls: false, view: "frames" },
    Sender { name: "Python ssl", command: |_, o, _| python("ssl", o), without_tls: false, view: "frames" },
    Sender { name: WGET, command: wget, without_tls: false, view: "frames" },
    Sender { name: "Go", command: go, without_tls: true, view: "frames" },
    Sender { name: "Go 1.21", command: old_go, without_tls: false, view: "frames" },
    Sender { name: "rustls", command: rustls, without_tls: false, view: "records" },
    Sender { name: "Java", command: java, without_tls: false, view: "records" },
];

fn node(_: &Peer, origin: &str, _: &Marks) -> Vec<String> {
    script(&tools::program("node"), "marked/marked.mjs", &[origin])
}

/// Ends only when it is killed. Without TLS, Debian's curl 7.88 fails at the second request of a connection, whatever it is
/// (exit status 16, "Error in the HTTP2 framing layer"): there it sends one without an end.
fn curl(_: &Peer, origin: &str, marks: &Marks) -> Vec<String> {
    let header = format!("x-mark: {}", marks.header);
    if origin.starts_with("http://") {
        let options = "--no-progress-meter --http2-prior-knowledge --output /dev/null --upload-file .";
        let body = "while echo \"$H2WATCH_MARK_BODY\"; do sleep 0.01; done";
        let line = format!("exec curl {options} --header '{header}' {origin}/stream < <({body})");
        return installed("bash", &["-c", &line]);
    }
    let url = format!("{origin}/echo?[1-100000000]");
    let words = ["-sk", "--http2", "--header", &header, "--data", &marks.body, "--output", "/dev/null", &url];
    installed("curl", &words)
}

fn python(mode: &str, origin: &str) -> Vec<String> {
    script(&tools::python(), "marked/marked.py", &[mode, origin])
}

fn go(_: &Peer, origin: &str, _: &Marks) -> Vec<String> {
    let program = tools::go_client().to_string_lossy().into_owned();
    vec![program, "marked".to_owned(), origin.to_owned()]
}

fn old_go(_: &Peer, origin: &str, _: &Marks) -> Vec<String> {
    let program = tools::go_build_with(tools::OLD_GO, "marked", "go-marked", &[]);
    vec![program.to_string_lossy().into_owned(), origin.to_owned()]
}

/// It sends no body over HTTP/2: the server answers with the query. Ends only when it is killed, for all that matters here.
fn wget(peer: &Peer, origin: &str, marks: &Marks) -> Vec<String> {
    let urls: String = (0..200_000).map(|k| format!("{origin}/echo/{k}?{}\n", marks.body)).collect();
    let file = peer.folder().join("wget.urls");
    std::fs::write(&file, urls).expect("a temporary file");
    let header = format!("--header=x-mark: {}", marks.header);
    let words = ["--quiet", "--no-check-certificate", "--no-hsts", "--no-netrc", "--no-robots"];
    let one = ["--max-threads=1", "--http2-request-window=1", &header];
    let output = ["--output-document=/dev/null", "--input-file"];
    installed("wget2", &[&words[..], &one, &output, &[&*file.to_string_lossy()]].concat())
}

fn rustls(peer: &Peer, _: &str, _: &Marks) -> Vec<String> {
    let program = tools::rustls_client().to_string_lossy().into_owned();
    vec![program, "marked".to_owned(), peer.address.to_string()]
}

fn java(peer: &Peer, _: &str, _: &Marks) -> Vec<String> {
    script(&tools::program("java"), "java/Client.java", &["marked", &peer.address.to_string()])
}
