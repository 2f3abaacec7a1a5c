//! `--clients`: the same with Node, Python httpx and `curl --parallel`, and what their own retries can save once the dead
//! connection is gone. The server pulls the link out by itself: curl cannot ask for it.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::experiment::{Ended, Folder, first_line, path, reader};
use super::table::resets;
use crate::{checkout, say};

const REQUESTS: u32 = 600;
const FIRST: u32 = 100;
const EVERY: u32 = 200;
/// Python needs a few milliseconds for a request, and collects garbage now and then.
const TIMEOUT_MS: u32 = 100;
const STALL_AFTER: &str = "60ms";
/// Transfers that curl has under way at a time.
const PARALLEL: u32 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Node,
    Httpx,
    Curl,
}

/// What came of one run.
#[derive(Debug)]
struct Outcome {
    name: String,
    lost: u64,
    unplugs: usize,
    /// Connections that were alive when the link was pulled out, in total.
    dead: usize,
    /// Requests at a time.
    at_once: u32,
    resets: usize,
    wrong: usize,
}

/// The table.
pub(super) fn run(program: &Path, h2watch: &Path) -> Result<String> {
    let mut rows = Vec::new();
    for client in [Client::Node, Client::Httpx, Client::Curl] {
        for (watched, retries) in [(false, 0), (false, 1), (true, 0), (true, 1)] {
            let outcome = once(program, watched.then_some(h2watch), client, retries)
                .with_context(|| format!("{client:?}, watched: {watched}, retries: {retries}"))?;
            let row = outcome.row(watched, retries);
            say::line(&row);
            rows.push(row);
            outcome.judge(watched, retries)?;
        }
    }
    Ok(format!(
        "{REQUESTS} requests, timeout {TIMEOUT_MS} ms, unplugged at request {FIRST} and each {EVERY} later; `--stall-after \
         {STALL_AFTER}`, the other options as above. Node and httpx send one request at a time, curl {PARALLEL}. A retry is one \
         more try, by the application at once, by curl (`--retry 1 --retry-all-errors`) after a second; lost is what fails after it. curl \
         holds several connections by then, and a dead one is noticed when it is used: each takes along what is under way on it. \
         {REQUESTS} and not 30,000: a client that loses them all waits {TIMEOUT_MS} ms for each.\n\n\
         | client | retries | h2watch | lost | requests at a time | unplugs | connections that were unplugged | resets |\n|---|---:|---|---:|---:|---:|---:|---:|\n{}\n",
        rows.join("\n")
    ))
}

impl Outcome {
    fn row(&self, watched: bool, retries: u32) -> String {
        let Self { name, lost, unplugs, dead, at_once, resets, wrong } = self;
        let resets = if watched { format!("{resets} ({wrong} wrong)") } else { "-".to_owned() };
        let watched = if watched { "`--reset auto`" } else { "-" };
        format!("| {name} | {retries} | {watched} | {lost} | {at_once} | {unplugs} | {dead} | {resets} |")
    }

    fn judge(&self, watched: bool, retries: u32) -> Result<()> {
        ensure!(self.unplugs > 0, "the link was never unplugged");
        ensure!(self.wrong == 0, "{} resets of connections that were not unplugged", self.wrong);
        // A dead connection takes along what is under way on it, once. A retry goes to the next one, which may be dead as well.
        let on_it = u64::from(self.at_once) * self.dead as u64;
        let allowed = if retries > 0 && self.at_once == 1 { 0 } else { on_it };
        if watched && self.lost > allowed {
            bail!("{} requests lost, {allowed} allowed", self.lost);
        }
        Ok(())
    }
}

fn once(program: &Path, h2watch: Option<&Path>, client: Client, retries: u32) -> Result<Outcome> {
    let folder = Folder::new()?;
    let authority = folder.path.join("authority.pem");
    let mut serve = Command::new(program);
    serve.args(["serve", "-control", path(&folder.path.join("control"))?, "-authority", path(&authority)?]);
    serve.args(["-first", &FIRST.to_string(), "-every", &EVERY.to_string()]);
    let serve = serve.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut server = Ended(serve.context("the server")?);
    let mut from_server = reader(&mut server.0)?;
    let address = first_line(&mut from_server)?;
    let lines = folder.path.join("lines.jsonl");
    let words = client.words(&address, path(&authority)?, retries)?;
    let mut command = match h2watch {
        Some(h2watch) => watched(h2watch, &lines)?,
        None => Command::new(&words[0]),
    };
    command.args(if h2watch.is_some() { &words[..] } else { &words[1..] });
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("the client")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // It ends with its standard input.
    drop(server.0.stdin.take());
    let mut unplugs = String::new();
    from_server.read_to_string(&mut unplugs).context("what the server said")?;
    outcome(client, &said, &unplugs, &lines)
}

/// h2watch around the client, from its first packet.
fn watched(h2watch: &Path, lines: &Path) -> Result<Command> {
    let mut command = Command::new(h2watch);
    command.args(["--stall-after", STALL_AFTER, "--min-streams", "1", "--reset", "auto"]);
    command.args(["--reset-causes", "black_hole,silent_peer,unknown", "--reset-after", "0s"]);
    command.args(["--reset-cool-down", "0s", "--reset-budget", "60/min", "--reset-budget-total", "60/min"]);
    command.args(["--interval", "10s", "--output", "json", "-o", path(lines)?, "--"]);
    Ok(command)
}

fn outcome(client: Client, said: &str, unplugs: &str, lines: &Path) -> Result<Outcome> {
    let parse = |text: &str| -> Result<Vec<Value>> {
        text.lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}")))
            .collect()
    };
    let unplugs = parse(unplugs)?;
    let lines = parse(&std::fs::read_to_string(lines).unwrap_or_default())?;
    let dead: BTreeSet<&str> =
        unplugs.iter().filter_map(|u| u["dead"].as_array()).flatten().filter_map(Value::as_str).collect();
    let local =
        |reset: &&Value| reset["connection"]["local"].as_str().is_none_or(|local| !dead.contains(local));
    let (name, lost) = client.result(said)?;
    Ok(Outcome {
        name,
        lost,
        unplugs: unplugs.len(),
        dead: dead.len(),
        at_once: if client == Client::Curl { PARALLEL } else { 1 },
        resets: resets(&lines).count(),
        wrong: resets(&lines).filter(local).count(),
    })
}

impl Client {
    fn words(self, address: &str, authority: &str, retries: u32) -> Result<Vec<String>> {
        let script = |name: &str| checkout::root().join("xtask/netsplit/clients").join(name);
        let (url, retries) = (format!("https://{address}/"), retries.to_string());
        let (requests, timeout) = (REQUESTS.to_string(), TIMEOUT_MS.to_string());
        let sequence = [&url, authority, &requests, &timeout, &retries].map(str::to_owned);
        let mut words = match self {
            Self::Node => vec!["node".to_owned(), path(&script("sequence.js"))?.to_owned()],
            Self::Httpx => {
                let python = checkout::cache("venv/bin/python");
                vec![path(&python)?.to_owned(), path(&script("sequence.py"))?.to_owned()]
            }
            Self::Curl => {
                let all = format!("{url}[1-{REQUESTS}]");
                let (parallel, seconds) = (PARALLEL.to_string(), format!("{}", f64::from(TIMEOUT_MS) / 1e3));
                let words = [
                    "curl",
                    "--silent",
                    "--no-progress-meter",
                    "--http2",
                    "--cacert",
                    authority,
                    "--output",
                    "/dev/null",
                    "--parallel",
                    "--parallel-max",
                    &parallel,
                    "--max-time",
                    &seconds,
                    "--retry",
                    &retries,
                    "--retry-all-errors",
                    "--write-out",
                    "%{exitcode}\\n",
                    &all,
                ];
                return Ok(words.map(str::to_owned).into());
            }
        };
        words.extend(sequence);
        Ok(words)
    }

    /// Its name with its version, and how many requests it lost.
    fn result(self, said: &str) -> Result<(String, u64)> {
        if self == Self::Curl {
            let codes: Vec<&str> = said.lines().collect();
            ensure!(codes.len() == REQUESTS as usize, "curl reported {} transfers", codes.len());
            let version = crate::command::output(Command::new("curl").arg("--version"))?;
            let version = version.split(' ').nth(1).unwrap_or("?");
            let lost = codes.iter().filter(|code| **code != "0").count() as u64;
            return Ok((format!("curl {version} `--parallel`"), lost));
        }
        let result: Value =
            serde_json::from_str(said.trim()).with_context(|| format!("no result: {said}"))?;
        let name = result["client"].as_str().context("no name")?.to_owned();
        Ok((name, result["lost"].as_u64().context("no count")?))
    }
}
