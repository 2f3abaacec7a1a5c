//! `docs/verdicts.md`, written from the rules and from what they say of staged connections; a test compares the file.

use super::advice::{Client, for_cause};
use super::giveup::{RETRIES2_DEFAULT, left_ms};
use super::rules::{self, Rule};
use super::tests::stage::{self, Scene};
use super::words::span_ms;
use super::{Cause, Severity};
use crate::model::sample::TcpFacts;
use std::fmt::Write as _;

const HEAD: &str = "\
# Verdicts

*Written from the rules in `tui/src/verdict`. Do not edit: change the rule, then run
`H2WATCH_BLESS=1 cargo test -p h2watch --lib verdict::docs`.*

A connection is `idle` (nothing waits), `healthy` (streams are in flight and the peer is heard), `waiting` (streams were opened
since the peer was last heard; the sentence says what is missing for a judgement) or `stalled`. Only a stalled connection has a
cause. What decides that it is stalled is one of two things:

* **The clock.** At least `--min-streams` streams were opened since the peer was last heard, and the first of them is as old as
  `--stall-after`. With a fixed time that is all. With `auto`, the default, it depends on what this destination normally does:
  never before 3 s, see [the mathematics](verdicts-math.md).
* **Evidence of its own**, from a rule below that *decides alone*; TCP evidence may be sooner than the clock.

Bytes from the peer that are not a whole frame yet (a large frame on its way, frames behind a gap) put the clock off. With
`view: records` the records that the client sends stand for streams; they must have been sent at two moments at least, because a
single record may be a WINDOW_UPDATE that asks for nothing.

A stall ends when the peer is heard again, or when the evidence that decided it is gone. While it lasts, a sharper cause (the order
of the sections below) replaces a less sharp one at once; a less sharp one only replaces it when its evidence has been gone for 5 s
in a row, and twice as long after each such change. So causes do not flap.

";

fn rule_section(out: &mut String, rule: &Rule) {
    let severity = if rule.severity == Severity::Critical { "critical" } else { "warning" };
    let _ = writeln!(out, "## `{}`\n\n{}\n", rule.cause.as_str(), rule.meaning);
    if let Some(scene) = stage::example(rule.cause) {
        let verdict = &scene.last().verdict;
        let _ = writeln!(out, "> {}\n", verdict.evidence);
        if let Some(gives_up) = &verdict.gives_up {
            let _ = writeln!(out, "Kernel: {gives_up}.\n");
        }
    }
    let _ = writeln!(out, "* Severity: {severity}.\n* Needs: {}", rule.needs);
    let _ = writeln!(out, "* Does not fire for: {}", rule.spares);
    if let Some(advice) = for_cause(rule.cause) {
        let _ = writeln!(out, "* What helps: {advice}.");
    } else {
        let _ = writeln!(
            out,
            "* What helps: the client's own keepalive, [see below](#what-would-fix-it-in-the-client)."
        );
    }
    let _ = writeln!(out, "\n| threshold | reason |\n|---|---|");
    for threshold in rule.thresholds {
        let _ = writeln!(out, "| {} | {} |", threshold.value, threshold.reason);
    }
    out.push('\n');
}

fn give_up_section(out: &mut String) {
    out.push_str(
        "## When the kernel would give up\n\n\
         Linux does not count retransmissions. At each expiry of the retransmission timer it compares the time since the \
         first retransmission with what `tcp_retries2` doublings of the smallest RTO (200 ms) would have taken, capped at 120 s \
         each, and gives up at the first expiry past that. The table is for a connection with an RTO of 204 ms, just after \
         an expiry.\n\n| RTO backoff | left with tcp_retries2 = 15 | = 8 | = 5 |\n|---|---|---|---|\n",
    );
    for backoff in [1_u8, 3, 5, 7, 9, 11, 13, 15] {
        let facts = TcpFacts {
            unacked: 1,
            backoff,
            rtt_us: 4_000,
            rto_us: (204 << backoff).min(120_000) * 1_000,
            snd_wnd: 1,
            ..TcpFacts::default()
        };
        let left = |retries| {
            left_ms(&facts, retries).map_or_else(String::new, |ms| format!("about {}", span_ms(ms)))
        };
        let gone = |retries: u8| if backoff > retries { "gone".to_owned() } else { left(u32::from(retries)) };
        let _ = writeln!(out, "| {backoff} | {} | {} | {} |", left(RETRIES2_DEFAULT), gone(8), gone(5));
    }
    out.push_str(
        "\nTCP_USER_TIMEOUT (gRPC sets it together with its keepalive) takes the place of `tcp_retries2`, be it shorter or longer. It \
         is neither in `tcp_info` nor in sock_diag, and the prediction says for whom it is wrong. In the last interval \
         before it ends, the kernel has shortened its timer to it: then the prediction is that of the timer, and says why. One \
         that is longer shows when the connection outlives `tcp_retries2`. A peer that acknowledges, or answers zero-window \
         probes, keeps a connection alive for ever.\n\n",
    );
}

fn client_section(out: &mut String) {
    out.push_str(
        "## What would fix it in the client\n\n\
         The client is guessed from its program (Go), its TLS library or its process name, and said to be guessed. Before the \
         advice stands what was seen of PINGs: how many, none, or that the peer sent ENHANCE_YOUR_CALM. Keepalive is said to \
         appear off when none was seen in 30 s of silence: gRPC sends one after 10 s or more, hyper after 20 s, client-go and \
         Envoy commonly after 30 s, and a peer that goes on sending gets none from most of them. Without TLS a PING is seen \
         when it leaves, so while bytes are unsent one may be among them.\n\n\
         | client | setting |\n|---|---|\n",
    );
    for client in Client::ALL {
        let _ = writeln!(out, "| {} | {} |", client.name(), client.keepalive());
    }
}

fn render() -> String {
    let mut out = HEAD.to_owned();
    for rule in &rules::ALL {
        rule_section(&mut out, rule);
    }
    give_up_section(&mut out);
    client_section(&mut out);
    out
}

#[test]
fn the_document_is_what_the_rules_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/verdicts.md");
    let text = render();
    if std::env::var_os("H2WATCH_BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let file = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        file == text,
        "docs/verdicts.md is not what the rules say. Write it anew: H2WATCH_BLESS=1 cargo test -p h2watch --lib verdict::docs"
    );
}

#[test]
fn every_cause_has_its_rule_and_its_example() {
    for cause in Cause::ALL {
        assert_eq!(rules::of(cause).cause, cause);
        let scene: Scene = stage::example(cause).unwrap();
        assert_eq!(scene.cause(), Some(cause));
    }
}
