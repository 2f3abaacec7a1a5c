//! What may be wrong without being seen: open connections that carry bytes and are not listed, because nothing tells whether they
//! are HTTP/2.

use super::sample::{Process, Reading, Transport, View};
use crate::verdict::words::count;
use std::collections::HashMap;

/// A sentence for each kind. `processes`: what is seen of their TLS.
#[must_use]
pub fn sentences<'a>(
    unlisted: impl Iterator<Item = &'a Reading>,
    processes: &HashMap<u32, Process>,
) -> Vec<String> {
    let (mut tls, mut cleartext) = (0, 0);
    for reading in unlisted {
        tls += u64::from(is_untold_tls(reading, processes));
        cleartext += u64::from(is_unanswered_cleartext(reading));
    }
    let mut sentences = Vec::new();
    if tls > 0 {
        sentences.push(format!(
            "{} opened before, whose records do not tell whether it is HTTP/2",
            count(tls, "TLS connection")
        ));
    }
    if cleartext > 0 {
        sentences.push(format!(
            "{} opened before, on which the client sends and the peer does not answer: too little was sent to tell whether it is \
             HTTP/2",
            count(cleartext, "connection")
        ));
    }
    sentences
}

/// Its handshake was not seen. Where the process's TLS is probed, its next write tells.
fn is_untold_tls(reading: &Reading, processes: &HashMap<u32, Process>) -> bool {
    let told = reading.tls.as_ref().is_some_and(|tls| !tls.alpn_offered.is_empty());
    let by_records = processes.get(&reading.owner.pid).is_none_or(|process| process.view == View::Records);
    reading.transport == Transport::Tls && reading.seeded && !told && by_records
}

/// What is answered is no dead connection, whatever it is.
fn is_unanswered_cleartext(reading: &Reading) -> bool {
    let (sent, received) = (reading.sent.last_data_ns, reading.received.last_data_ns);
    reading.transport == Transport::Unknown && reading.seeded && sent > received
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::TlsFacts;
    use crate::model::staged::Staged;

    fn said(reading: &Reading, view: Option<View>) -> Vec<String> {
        let process = |view| Process { pid: reading.owner.pid, view, ..Process::default() };
        let processes = view.map(process).into_iter().map(|process| (process.pid, process)).collect();
        sentences([reading].into_iter(), &processes)
    }

    #[test]
    fn a_tls_connection_from_before_is_untold_unless_something_tells_what_it_is() {
        let mut c = Staged::records(1, 0);
        c.reading.tls = Some(TlsFacts::default());
        assert!(said(&c.reading, Some(View::Records)).is_empty(), "its handshake was seen");
        c.reading.seeded = true;
        let text = "1 TLS connection opened before, whose records do not tell whether it is HTTP/2";
        assert_eq!(said(&c.reading, Some(View::Records)), [text]);
        assert_eq!(said(&c.reading, None), [text]);
        assert!(said(&c.reading, Some(View::Streams)).is_empty(), "its next write tells");
        c.reading.tls = Some(TlsFacts { alpn_offered: vec!["http/1.1".to_owned()], ..TlsFacts::default() });
        assert!(said(&c.reading, Some(View::Records)).is_empty());
    }

    #[test]
    fn cleartext_from_before_is_unclear_while_it_is_not_answered() {
        let mut c = Staged::h2c(1, 0);
        c.reading.transport = Transport::Unknown;
        c.reading.seeded = true;
        assert!(said(&c.reading, None).is_empty(), "nothing is sent");
        c.reading.sent.last_data_ns = Some(5);
        assert!(
            said(&c.reading, None)[0].starts_with("1 connection opened before, on which the client sends")
        );
        c.reading.received.last_data_ns = Some(6);
        assert!(said(&c.reading, None).is_empty());
    }
}
