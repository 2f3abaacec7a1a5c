//! An HTTP/2 flow-control window is used up and no WINDOW_UPDATE comes (RFC 9113, section 5.2).

use super::{Finding, Rule, Threshold, blocked_after_ns};
use crate::model::sample::{Nanos, View};
use crate::model::window::{self, Window};
use crate::verdict::words::span;
use crate::verdict::{Case, Cause, Severity};

/// A page: sizes that people choose are multiples of it, the initial window of RFC 9113 (65,535) is not.
const ROUND_BYTES: u32 = 4096;

pub const RULE: Rule = Rule {
    cause: Cause::FlowControl,
    severity: Severity::Critical,
    examine,
    evidence,
    next_ns,
    meaning: "The client used up the connection's HTTP/2 window, or the window of every stream that sends, and the peer grants \
              no more.",
    needs: "Both directions' frames from the connection's beginning (`view: frames`, no frames missed). With TLS that is a \
            connection which the process opened after h2watch had looked at the process.",
    thresholds: &[
        Threshold {
            value: "used up for `--stall-after`; with `auto` for 10 s",
            reason: "back pressure of some seconds is what flow control is for",
        },
        Threshold {
            value: "a stream window of a round size (a multiple of 4,096) explains a stall but does not decide one",
            reason: "it is told by bytes that end exactly at a multiple of the window, and bodies of round sizes do so too",
        },
    ],
    spares: "Requests without a body use no window. An upload that its server reads slowly gets WINDOW_UPDATEs, and each one \
             begins the count anew.",
};

/// Stream windows are told by bytes that end exactly at a multiple of them. Bodies of round sizes do so by themselves.
fn is_sure(window: Window) -> bool {
    match window {
        Window::Connection => true,
        Window::Streams { initial_bytes } => initial_bytes % ROUND_BYTES != 0,
    }
}

fn examine(case: &Case<'_>) -> Finding {
    match case.used_up {
        Some(used) if is_sure(used.window) && case.since(used.since_ns) >= blocked_after_ns(case) => {
            Finding::Decides
        }
        Some(_) => Finding::Explains,
        None => not_known(case),
    }
}

/// A request body is on its way, and whether it has a window left cannot be told.
fn not_known(case: &Case<'_>) -> Finding {
    let r = case.reading;
    let frames = r.view == View::Frames && r.streams.sending > 0 && r.sent.data_bytes > 0;
    match window::unknown(r, case.joined_late).filter(|_| frames) {
        Some(why) => {
            Finding::NotYet(format!("whether a flow-control window is used up is not known, because {why}"))
        }
        None => Finding::No,
    }
}

fn evidence(case: &Case<'_>) -> String {
    let r = case.reading;
    let Some(used) = case.used_up else { return String::new() };
    let which = match used.window {
        Window::Connection => {
            let granted = used.granted_bytes;
            format!(
                "the connection's flow-control window is used up: {} of {granted} bytes sent {} ago",
                r.sent.data_bytes,
                span(case.since(used.since_ns))
            )
        }
        Window::Streams { initial_bytes } => format!(
            "the stream window of {initial_bytes} bytes is used up: {} bytes of DATA in {} and no WINDOW_UPDATE for them",
            r.sent.data_bytes,
            case.in_flight()
        ),
    };
    let last = match case.ago(r.received.last_window_update_ns) {
        Some(ago) => format!("the last WINDOW_UPDATE came {} ago", span(ago)),
        None => "no WINDOW_UPDATE ever came".to_owned(),
    };
    format!("{}; {which}, {last}", case.headline())
}

fn next_ns(case: &Case<'_>) -> Option<Nanos> {
    case.used_up
        .filter(|used| is_sure(used.window))
        .map(|used| used.since_ns.saturating_add(blocked_after_ns(case)))
}
