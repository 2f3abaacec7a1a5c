//! Resets with real sockets, by the real binary: each is done or refused for its reason, every decision is a line of the
//! output and the same line of the audit file, and what the client did afterwards is told.

mod auto;
mod confirm;
mod hooks;
mod limits;
mod rights;

use crate::support::link::Link;
use crate::support::programs::role;
use crate::support::servers;
use crate::support::watch::{Ended, Watch, lines_of};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// A verdict soon, and a reset with it: what is tested here is who is spared.
const EAGER: [&str; 10] = [
    "--stall-after",
    "300ms",
    "--min-streams",
    "2",
    "--interval",
    "250ms",
    "--reset-after",
    "0s",
    "--reset-causes",
    "black_hole,silent_peer,unknown",
];

/// A client at work under h2watch, which writes an audit file.
struct Stage {
    watch: Watch,
    audit: tempfile::NamedTempFile,
    /// Lines before this one have been looked at.
    from: usize,
}

impl Stage {
    /// `options` come after the eager ones and change them.
    fn play(options: &[&str], client: &[String]) -> Self {
        let audit = tempfile::NamedTempFile::new().expect("a temporary file");
        let path = audit.path().to_str().expect("an ASCII path");
        let options = [&with(options)[..], &["--audit-log", path]].concat();
        let watch = Watch::run(&options, client);
        watch.wait_until_ready();
        let mut stage = Self { watch, audit, from: 0 };
        stage.next("an answered stream", |line| {
            let all = line["connections"].as_array().map_or(&[][..], Vec::as_slice);
            !all.is_empty() && all.iter().all(|c| c["frames_received"]["headers"].as_u64() > Some(0))
        });
        stage
    }

    /// The next line that is `wanted`.
    fn next(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let (from, line) = self.watch.wait_after(self.from, SOON, what, wanted);
        self.from = from;
        line.content
    }

    fn next_of(&mut self, kind: &str) -> Value {
        self.next(kind, |line| line["type"] == kind)
    }

    /// The next decision about a reset with this result.
    fn decision(&mut self, result: &str) -> Value {
        let line = self.next(result, |line| line["type"] == "reset" && line["result"] == result);
        println!("{} {result}: {}", line["mode"], line["reason"]);
        line
    }

    /// The next refusal with these words in its reason. A busy machine has another one: it catches up first.
    fn refusal(&mut self, words: &str) -> Value {
        let line = self.next(words, |line| line["result"] == "refused" && reason(line).contains(words));
        println!("{} refused: {}", line["mode"], line["reason"]);
        line
    }

    /// The audit file has what the output has, line by line.
    fn end(self) -> Ended {
        let ended = self.watch.stop();
        let told: Vec<Value> = ended.of("reset").into_iter().cloned().collect();
        assert_eq!(lines_of(self.audit.path()), told, "audit file and output");
        ended
    }
}

/// The eager options without those that are given otherwise.
fn with<'a>(options: &[&'a str]) -> Vec<&'a str> {
    let kept = EAGER.chunks(2).filter(|pair| !options.contains(&pair[0]));
    kept.flatten().chain(options).copied().collect()
}

/// Four workers on one connection; when it breaks, they say so and connect again.
fn patient(address: SocketAddr) -> Vec<String> {
    role("patient", &[address.to_string(), "4".into(), "20".into(), "/bytes/10".into()])
}

/// A stream each 20 ms on a connection of its own to each address, for ever on the same connection.
fn steady(addresses: &[SocketAddr]) -> Vec<String> {
    let mut arguments = vec!["20".to_owned(), "200".into(), "/bytes/10".into()];
    arguments.extend(addresses.iter().map(ToString::to_string));
    role("steady", &arguments)
}

/// Both at once, until they are asked to end.
fn both(one: &[String], other: &[String]) -> Vec<String> {
    let script = format!(
        "trap 'kill $a $b' TERM; {} & a=$!; {} & b=$!; wait; wait",
        crate::dashboard::quoted(one),
        crate::dashboard::quoted(other)
    );
    ["sh".to_owned(), "-c".into(), script].into()
}

fn link() -> Link {
    Link::to(servers::start())
}

fn reason(line: &Value) -> &str {
    line["reason"].as_str().unwrap_or_default()
}
