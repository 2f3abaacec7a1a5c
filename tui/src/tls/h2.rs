//! Which TLS connections carry HTTP/2, by evidence that is told in words.
//!
//! Conservative: a connection that might be HTTP/1.1 is `Unknown`, and unknown is not listed. What decides, best first: plaintext that
//! a probe saw; the protocol that the server chose (visible in TLS 1.2); what the client offered; and the lengths of the first
//! application records, because HTTP/2 begins with pieces of fixed size in a fixed order (RFC 9113, section 3.4): a preface of
//! 24 bytes and SETTINGS of 9 + 6n bytes, SETTINGS from the server, and acknowledgements of 9 bytes. One length alone says
//! nothing: many a request of HTTP/1.1 is as long as a preface with SETTINGS, and a chunk of its body may have 9 bytes.

/// Bytes that encryption adds to a plaintext: TLS 1.3 (content type and tag), TLS 1.2 AES-GCM (nonce and tag), TLS 1.2
/// ChaCha20-Poly1305 (tag).
pub const OVERHEADS_BYTES: [u16; 3] = [17, 24, 16];
/// Records that are looked at in each direction: the evidence is at the beginning.
pub const FIRST_RECORDS: usize = 12;

/// The Finished message in TLS 1.3 with SHA-256 and SHA-384, which travels as application data; the server's is behind its
/// certificate.
const FINISHED: [u16; 2] = [36, 52];
const PREFACE: u16 = 24;
const FRAME_HEADER: u16 = 9;
const WINDOW_UPDATE: u16 = 13;
/// Clients announce two to six settings; RFC 9113 defines six, a few more are registered.
const MAX_SETTINGS: u16 = 10;

/// What was seen of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// A probe saw plaintext: `true` when it was the HTTP/2 preface or HTTP/2 frames.
    pub plaintext_http2: Option<bool>,
    /// The process is probed, so that its plaintext will tell.
    pub probed: bool,
    /// Offered protocols; `None` while the ClientHello was not seen.
    pub alpn_offered: Option<Vec<String>>,
    pub alpn_chosen: Option<String>,
    /// TLS 1.3; `None` while the ServerHello was not seen.
    pub tls13: Option<bool>,
    /// Payload lengths of the first application data records of each direction, from the start of the connection.
    pub sent: Vec<u16>,
    pub received: Vec<u16>,
}

/// The answer, with its evidence as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Http2(String),
    NotHttp2(String),
    /// What is missing.
    Unknown(String),
}

/// Decides whether a TLS connection carries HTTP/2.
#[must_use]
pub fn decide(facts: &Facts) -> Answer {
    match facts.plaintext_http2 {
        Some(true) => return Answer::Http2("the client wrote HTTP/2 frames to its TLS library".to_owned()),
        Some(false) => {
            return Answer::NotHttp2("what the client wrote to its TLS library is not HTTP/2".to_owned());
        }
        None => {}
    }
    if let Some(chosen) = &facts.alpn_chosen {
        let sentence = format!("the server chose {chosen} (ALPN)");
        return if chosen == "h2" { Answer::Http2(sentence) } else { Answer::NotHttp2(sentence) };
    }
    let offered = facts.alpn_offered.as_deref();
    if facts.tls13 == Some(false) && offered.is_some_and(|all| !all.is_empty()) && !facts.sent.is_empty() {
        return Answer::NotHttp2("the server chose no protocol (ALPN, TLS 1.2)".to_owned());
    }
    match offered {
        Some([]) => return Answer::NotHttp2("the client offered no protocol (ALPN)".to_owned()),
        Some(all) if !all.iter().any(|p| p == "h2") => {
            return Answer::NotHttp2(format!("the client offered only {} (ALPN)", all.join(", ")));
        }
        // RFC 7301, section 3.2: a server without common ground refuses the connection.
        Some([_]) if !facts.sent.is_empty() => {
            return Answer::Http2(
                "the client offered only h2 (ALPN), and the handshake succeeded".to_owned(),
            );
        }
        _ => {}
    }
    if let Some(evidence) = by_encrypted_extensions(facts) {
        return Answer::Http2(evidence);
    }
    by_lengths(facts)
}

/// TLS 1.3 encrypts the server's choice, but not its length: EncryptedExtensions is the first encrypted record that most
/// servers send, and the choice is nearly all that is in it. A header of 4 bytes, the list's length, and for ALPN 7 bytes and
/// the name (RFC 8446, section 4.3.1; RFC 7301, section 3.1). All other extensions that servers send there have even lengths.
fn by_encrypted_extensions(facts: &Facts) -> Option<String> {
    let (Some(true), Some(offered)) = (facts.tls13, &facts.alpn_offered) else { return None };
    let length = usize::from(facts.received.first()?.checked_sub(OVERHEADS_BYTES[0])?);
    let fits = |least: usize| length >= least && (length - least).is_multiple_of(2);
    let chosen = |protocol: &str| fits(4 + 2 + 7 + protocol.len());
    let only = chosen("h2") && !fits(4 + 2) && !offered.iter().any(|p| p != "h2" && chosen(p));
    only.then(|| format!("the server's encrypted choice of protocol has the length of h2 ({length} bytes)"))
}

fn overheads(facts: &Facts) -> &'static [u16] {
    match facts.tls13 {
        Some(true) => &OVERHEADS_BYTES[..1],
        Some(false) => &OVERHEADS_BYTES[1..],
        None => &OVERHEADS_BYTES,
    }
}

/// What both sides must send at the beginning, under one and the same overhead, or nothing.
fn by_lengths(facts: &Facts) -> Answer {
    // Better evidence is on its way, unless the connection cannot be bound to its plaintext.
    if facts.probed && facts.sent.len() < FIRST_RECORDS {
        return Answer::Unknown("its plaintext will tell".to_owned());
    }
    for &overhead in overheads(facts) {
        let (sent, received) =
            (application(facts, &facts.sent, overhead), application(facts, &facts.received, overhead));
        let Some((&first, later)) = sent.split_first() else { continue };
        // The client acknowledges what the server announced.
        let Some(settings) = received.iter().position(|&length| is_settings(length)) else { continue };
        if !later.contains(&FRAME_HEADER) {
            continue;
        }
        let announced = received[settings];
        if is_opening(first) {
            return Answer::Http2(format!(
                "record lengths: a preface and SETTINGS of {first} bytes, SETTINGS of {announced} bytes received, and their \
                 acknowledgement of 9 bytes"
            ));
        }
        if first > PREFACE && received[settings + 1..].contains(&FRAME_HEADER) {
            return Answer::Http2(format!(
                "record lengths: SETTINGS of {announced} bytes received, and acknowledgements of 9 bytes both ways"
            ));
        }
    }
    Answer::Unknown(match facts.alpn_offered {
        Some(_) => {
            "the client offered h2 and others, the choice is encrypted, and record lengths do not tell"
                .to_owned()
        }
        None => "the handshake was not seen, and record lengths do not tell".to_owned(),
    })
}

/// Plaintext lengths behind the encrypted part of the handshake.
fn application(facts: &Facts, records: &[u16], overhead: u16) -> Vec<u16> {
    let plain: Vec<u16> =
        records.iter().take(FIRST_RECORDS).map(|length| length.saturating_sub(overhead)).collect();
    if facts.tls13 == Some(false) {
        return plain;
    }
    // Servers that put their whole flight into one record show no Finished; that record is no SETTINGS.
    let finished = plain.iter().position(|length| FINISHED.contains(length));
    finished.map_or_else(|| plain.clone(), |at| plain[at + 1..].to_vec())
}

/// A server's first frames: SETTINGS with at least one entry, alone or with its acknowledgement, a WINDOW_UPDATE, or both.
fn is_settings(length: u16) -> bool {
    let entries = |rest: u16| {
        rest > FRAME_HEADER
            && (rest - FRAME_HEADER).is_multiple_of(6)
            && (rest - FRAME_HEADER) / 6 <= MAX_SETTINGS
    };
    let with = [0, FRAME_HEADER, WINDOW_UPDATE, FRAME_HEADER + WINDOW_UPDATE];
    with.into_iter().any(|more| length.checked_sub(more).is_some_and(entries))
}

/// Plaintext lengths of a first write: the preface alone, or with SETTINGS, or with a WINDOW_UPDATE too.
fn is_opening(length: u16) -> bool {
    let settings = |rest: u16| {
        rest >= FRAME_HEADER
            && (rest - FRAME_HEADER).is_multiple_of(6)
            && (rest - FRAME_HEADER) / 6 <= MAX_SETTINGS
    };
    match length.checked_sub(PREFACE) {
        None => false,
        Some(0) => true,
        Some(rest) => settings(rest) || rest.checked_sub(WINDOW_UPDATE).is_some_and(settings),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(protocols: &[&str]) -> Facts {
        let alpn_offered = Some(protocols.iter().map(|&p| p.to_owned()).collect());
        Facts { alpn_offered, ..Facts::default() }
    }

    fn is_http2(facts: &Facts) -> Option<bool> {
        match decide(facts) {
            Answer::Http2(_) => Some(true),
            Answer::NotHttp2(_) => Some(false),
            Answer::Unknown(_) => None,
        }
    }

    fn tls13(plain_sent: &[u16], plain_received: &[u16]) -> Facts {
        let wire = |all: &[u16]| all.iter().map(|n| n + 17).collect();
        Facts {
            tls13: Some(true),
            sent: wire(plain_sent),
            received: wire(plain_received),
            ..offered(&["h2", "http/1.1"])
        }
    }

    #[test]
    fn what_the_handshake_says_in_the_clear_decides() {
        assert_eq!(is_http2(&offered(&[])), Some(false));
        assert_eq!(is_http2(&offered(&["http/1.1"])), Some(false));
        assert_eq!(is_http2(&offered(&["h2"])), None, "the handshake may still fail");
        assert_eq!(is_http2(&Facts { sent: vec![70], ..offered(&["h2"]) }), Some(true));
        let chosen = |p: &str| Facts { alpn_chosen: Some(p.to_owned()), ..offered(&["h2", "http/1.1"]) };
        assert_eq!(is_http2(&chosen("h2")), Some(true));
        assert_eq!(is_http2(&chosen("http/1.1")), Some(false));
    }

    #[test]
    fn an_old_server_without_alpn_speaks_http_1() {
        for protocols in [&["h2", "http/1.1"][..], &["h2"]] {
            let facts = Facts { tls13: Some(false), sent: vec![100], ..offered(protocols) };
            assert_eq!(is_http2(&facts), Some(false));
        }
    }

    #[test]
    fn plaintext_outweighs_everything() {
        let facts = Facts { plaintext_http2: Some(false), ..tls13(&[24, 27, 9], &[27, 9]) };
        assert_eq!(is_http2(&facts), Some(false));
    }

    /// What a server sends before its first application data: extensions, certificate, proof, Finished.
    const FLIGHT: [u16; 4] = [21, 822, 78, 36];

    fn behind_flight(received: &[u16]) -> Vec<u16> {
        [&FLIGHT, received].concat()
    }

    #[test]
    fn http2_is_recognised_by_the_lengths_of_its_first_records() {
        // Finished (36), then preface + SETTINGS + WINDOW_UPDATE, HEADERS, ACK. Go, curl, Java in their ways of splitting.
        let of = |sent: &[u16], received: &[u16]| is_http2(&tls13(sent, &behind_flight(received)));
        assert_eq!(of(&[36, 24 + 9 + 18 + 13, 40, 9], &[230, 27, 13, 9, 60]), Some(true));
        assert_eq!(of(&[52, 24, 45, 13, 9, 80], &[230, 230, 33]), Some(true));
        assert_eq!(of(&[36, 150, 9, 80], &[230, 33, 9, 60]), Some(true));
        // SETTINGS and acknowledgement in one record.
        assert_eq!(of(&[36, 64, 9, 80], &[230, 27 + 9, 60]), Some(true));
        // The acknowledgement is still to come.
        assert_eq!(of(&[36, 64, 80], &[230, 27, 9, 60]), None);
    }

    #[test]
    fn a_probed_process_waits_for_its_plaintext_as_long_as_that_may_come() {
        let early = Facts { probed: true, ..tls13(&[36, 64, 40, 9], &behind_flight(&[230, 27, 13, 9])) };
        assert_eq!(is_http2(&early), None);
        let sent = [&early.sent[..], &[100; FIRST_RECORDS]].concat();
        assert_eq!(is_http2(&Facts { sent, ..early.clone() }), Some(true), "it could not be bound");
        assert_eq!(is_http2(&Facts { plaintext_http2: Some(true), ..early }), Some(true));
    }

    #[test]
    fn http_1_is_not() {
        assert_eq!(is_http2(&tls13(&[36, 78, 120, 94], &[230, 230, 500, 16_384])), None);
        // A request as long as an opening: one hint alone decides nothing.
        assert_eq!(is_http2(&tls13(&[36, 64, 120], &[230, 500])), None);
        // A chunked body with a piece of 9 bytes ("4\r\nabcd\r\n"), whatever the length of the request is.
        for request in 60..120 {
            for received in [&[230, 230, 117, 9, 9, 9][..], &[117, 9, 5], &[500]] {
                let received = behind_flight(received);
                assert_eq!(is_http2(&tls13(&[36, request], &received)), None, "a GET of {request} bytes");
                let posted = tls13(&[36, request, 9, 9, 9, 5], &received);
                assert_eq!(is_http2(&posted), None, "a POST of {request} bytes");
            }
        }
    }

    #[test]
    fn the_length_of_the_servers_choice_tells_h2() {
        // As sent by Go's server: with SNI acknowledged there are four bytes more.
        assert_eq!(is_http2(&tls13(&[36], &[15, 822, 264, 36])), Some(true));
        assert_eq!(is_http2(&tls13(&[36], &[19, 822, 264, 36])), Some(true));
        for length in [21, 25, 6, 10, 16, 823] {
            assert_eq!(is_http2(&tls13(&[36], &[length])), None, "{length}");
        }
        let with_a_short_other = Facts { ..tls13(&[36], &[19]) };
        let alpn_offered = Some(vec!["h2".to_owned(), "spdy".to_owned()]);
        assert_eq!(is_http2(&Facts { alpn_offered, ..with_a_short_other }), None);
    }

    #[test]
    fn the_end_of_the_handshake_is_no_preface() {
        // Finished with SHA-384 is as long as a preface, one setting and a WINDOW_UPDATE; EncryptedExtensions that are as
        // long as SETTINGS, and with SHA-256 as long as SETTINGS and their acknowledgement.
        assert_eq!(is_http2(&tls13(&[52, 200, 9], &[21, 822, 78, 36, 230, 9])), None);
    }

    #[test]
    fn evidence_must_fit_one_cipher() {
        // The opening under one overhead, the acknowledgement under another.
        let facts = |sent: Vec<u16>| Facts { sent, received: vec![33 + 24], tls13: None, ..Facts::default() };
        assert_eq!(is_http2(&facts(vec![33 + 24, 9 + 24])), Some(true));
        assert_eq!(is_http2(&facts(vec![33 + 24, 9 + 17])), None);
    }
}
