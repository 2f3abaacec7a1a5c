//! `docs/tls.md`: every client at full size, as a table.

use super::compare::Outcome;
use std::fmt::Write as _;

const HEAD: &str = "\
# How exact the counts of TLS clients are

Real clients under `h2watch --tls frames`, against a server that writes down the plaintext of each connection under the client's
port. Written by ";

const KEY: &str = "\
* *streams*, *RST_STREAM*: what the client says of itself / what h2watch counted, over all connections.
* *equal*: connections of which h2watch has every frame by type, sent and received, and what frames say in fixed fields (bytes of
  DATA, windows, SETTINGS), as hyperframe has them in what the peer wrote down for that port. Left out is the GOAWAY that a server
  answers to the client's own: the client reads it no more. No two connections of a run are alike in that, or the run fails: if one
  were taken for another, it would show.
* httpx itself sends no RST_STREAM; its client puts them into httpx's HTTP/2 state. wget2 and curl_cffi cancel
  nothing. libgnutls and the OpenSSL of wheels are driven from Python, all connections in one process.
* *wrong*: connections with a frame more than their peer saw, or with another connection's numbers.

";

/// The whole document.
pub(super) fn document(outcomes: &[Outcome], kernel: &str, settings: &str) -> String {
    let mut text =
        format!("{HEAD}`{settings}cargo xtask accept tls` (Linux {kernel}).\n\n{KEY}{}", table(outcomes));
    let complaints: Vec<String> = outcomes
        .iter()
        .flat_map(|o| o.complaints.iter().map(move |c| format!("* {}, TLS {}: {c}\n", o.client, o.version)))
        .collect();
    if !complaints.is_empty() {
        _ = write!(text, "\nWhat was not as it should be:\n\n{}", complaints.concat());
    }
    text
}

pub(super) fn table(outcomes: &[Outcome]) -> String {
    let mut text = String::from(
        "| client | library | TLS | connections | streams | RST_STREAM | equal | wrong |\n|---|---|---|---:|---:|---:|---:|---:|\n",
    );
    for o in outcomes {
        _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} / {} | {} / {} | {} | {} |",
            o.client,
            o.library,
            o.version,
            o.connections,
            o.said.opened,
            o.counted.opened,
            o.said.cancelled,
            o.counted.cancelled,
            o.equal,
            o.wrong
        );
    }
    text
}
