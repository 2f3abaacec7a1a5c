//! What a TLS handshake shows in the clear: the server's name and the protocols that the client offers (ClientHello), and
//! with TLS 1.2 the one that the server chose (ServerHello). RFC 8446, section 4.1; RFC 6066, section 3; RFC 7301.
//!
//! Reads nothing else: no certificate, no key share, no session id is kept.

/// Longest prefix of a connection that is looked at. A ClientHello with post-quantum key shares is about 2 KiB.
pub const MAX_PREFIX_BYTES: usize = 16 * 1024;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
const TLS_1_3: u16 = 0x0304;

/// The beginning of one direction of a connection, put together from pieces in any order.
#[derive(Clone, Debug, Default)]
pub struct Prefix {
    /// Bytes without a gap from the start.
    bytes: Vec<u8>,
    /// Pieces beyond a gap: offset and bytes.
    ahead: Vec<(usize, Vec<u8>)>,
}

impl Prefix {
    /// Adds bytes that begin `offset` bytes after the start of the connection. What is beyond the limit is dropped.
    pub fn push(&mut self, offset: usize, piece: &[u8]) {
        if offset >= MAX_PREFIX_BYTES || self.ahead.len() >= 16 {
            return;
        }
        let end = piece.len().min(MAX_PREFIX_BYTES - offset);
        self.ahead.push((offset, piece[..end].to_vec()));
        while let Some(next) = self.ahead.iter().position(|(at, _)| *at <= self.bytes.len()) {
            let (at, piece) = self.ahead.swap_remove(next);
            let known = self.bytes.len() - at;
            self.bytes.extend_from_slice(piece.get(known..).unwrap_or_default());
        }
    }

    /// Bytes at hand without a gap.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// What a ClientHello shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    pub server_name: Option<String>,
    /// In the client's order; empty when the extension is missing.
    pub alpn_offered: Vec<String>,
}

/// What a ServerHello shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerHello {
    /// TLS 1.3: the rest, also the chosen protocol, is encrypted.
    pub tls13: bool,
    /// The chosen protocol (TLS 1.2); `None` also when the server chose none.
    pub alpn_chosen: Option<String>,
}

/// What there is to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parse<T> {
    Found(T),
    /// The message goes on in bytes that are not here yet.
    Incomplete,
    /// Not a handshake of this kind, or damaged.
    Other,
}

/// A reader of big-endian fields; `None` at the end of its bytes.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    fn number(&mut self, bytes: usize) -> Option<usize> {
        Some(self.take(bytes)?.iter().fold(0, |n, &byte| n << 8 | usize::from(byte)))
    }

    /// A vector with a length of `bytes` bytes before it.
    fn vector(&mut self, bytes: usize) -> Option<Self> {
        let n = self.number(bytes)?;
        self.take(n).map(Self)
    }
}

/// Collects the first handshake message out of the records at the beginning of a direction.
fn first_message(bytes: &[u8], wanted: u8) -> Parse<Vec<u8>> {
    let mut message = Vec::new();
    let mut rest = bytes;
    loop {
        if rest.first().is_some_and(|&kind| kind != HANDSHAKE) || rest.get(1).is_some_and(|&major| major != 3)
        {
            return Parse::Other;
        }
        if message.first().is_some_and(|&kind| kind != wanted) {
            return Parse::Other;
        }
        if let Some(&[_, a, b, c]) = message.get(..4) {
            let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            if length > MAX_PREFIX_BYTES {
                return Parse::Other;
            }
            if message.len() >= 4 + length {
                return Parse::Found(message[4..4 + length].to_vec());
            }
        }
        let Some(&[_, _, _, high, low]) = rest.get(..5) else { return Parse::Incomplete };
        let length = usize::from(high) << 8 | usize::from(low);
        // A handshake record may not be empty (RFC 8446, section 5.1); that also bounds this loop.
        if length == 0 {
            return Parse::Other;
        }
        let end = (5 + length).min(rest.len());
        message.extend_from_slice(&rest[5..end]);
        rest = &rest[end..];
        if end < 5 + length {
            rest = &[];
        }
    }
}

fn parse<T>(bytes: &[u8], kind: u8, read: fn(&[u8]) -> Option<T>) -> Parse<T> {
    match first_message(bytes, kind) {
        Parse::Found(message) => read(&message).map_or(Parse::Other, Parse::Found),
        Parse::Incomplete => Parse::Incomplete,
        Parse::Other => Parse::Other,
    }
}

/// Reads the ClientHello at the beginning of what the client sent.
#[must_use]
pub fn client_hello(sent: &[u8]) -> Parse<ClientHello> {
    parse(sent, CLIENT_HELLO, |message| {
        let mut fields = Fields(message);
        fields.take(2 + 32)?;
        fields.vector(1)?;
        fields.vector(2)?;
        fields.vector(1)?;
        let mut hello = ClientHello::default();
        for_each_extension(fields, |kind, body| match kind {
            SERVER_NAME => hello.server_name = server_name(body),
            ALPN => hello.alpn_offered = protocols(body).unwrap_or_default(),
            _ => {}
        });
        Some(hello)
    })
}

/// Reads the ServerHello at the beginning of what the client received.
#[must_use]
pub fn server_hello(received: &[u8]) -> Parse<ServerHello> {
    parse(received, SERVER_HELLO, |message| {
        let mut fields = Fields(message);
        fields.take(2 + 32)?;
        fields.vector(1)?;
        fields.take(2 + 1)?;
        let mut hello = ServerHello::default();
        for_each_extension(fields, |kind, mut body| match kind {
            SUPPORTED_VERSIONS => hello.tls13 = body.number(2) == Some(usize::from(TLS_1_3)),
            ALPN => hello.alpn_chosen = protocols(body).and_then(|mut all| all.pop()),
            _ => {}
        });
        Some(hello)
    })
}

/// A hello may end before its extensions (RFC 5246, section 7.4.1.2).
fn for_each_extension(mut fields: Fields<'_>, mut found: impl FnMut(u16, Fields<'_>)) {
    let Some(mut extensions) = fields.vector(2) else { return };
    while let (Some(kind), Some(body)) = (extensions.number(2), extensions.vector(2)) {
        found(u16::try_from(kind).unwrap_or(u16::MAX), body);
    }
}

/// A name or protocol is shown to people: only what prints, and not without end.
fn printable(bytes: &[u8]) -> Option<String> {
    let good = !bytes.is_empty() && bytes.len() <= 255 && bytes.iter().all(u8::is_ascii_graphic);
    good.then(|| bytes.iter().map(|&b| char::from(b)).collect())
}

fn server_name(mut body: Fields<'_>) -> Option<String> {
    let mut names = body.vector(2)?;
    while let (Some(kind), Some(name)) = (names.number(1), names.vector(2)) {
        if kind == 0 {
            return printable(name.0);
        }
    }
    None
}

fn protocols(mut body: Fields<'_>) -> Option<Vec<String>> {
    let mut list = body.vector(2)?;
    let mut all = Vec::new();
    while let Some(protocol) = list.vector(1) {
        // GREASE values (RFC 8701) do not print.
        all.extend(printable(protocol.0));
    }
    Some(all)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sized(bytes: usize, body: &[u8]) -> Vec<u8> {
        let length = body.len().to_be_bytes();
        [&length[8 - bytes..], body].concat()
    }

    fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &sized(2, body)].concat()
    }

    pub(in crate::tls) fn alpn(protocols: &[&str]) -> Vec<u8> {
        let list: Vec<u8> = protocols.iter().flat_map(|p| sized(1, p.as_bytes())).collect();
        extension(ALPN, &sized(2, &list))
    }

    fn sni(name: &str) -> Vec<u8> {
        extension(SERVER_NAME, &sized(2, &[&[0][..], &sized(2, name.as_bytes())].concat()))
    }

    fn message(kind: u8, middle: &[u8], extensions: &[u8]) -> Vec<u8> {
        let body = [&[3, 3][..], &[7; 32], &sized(1, &[9; 32]), middle, &sized(2, extensions)].concat();
        [&[kind][..], &sized(3, &body)].concat()
    }

    fn records(message: &[u8], size: usize) -> Vec<u8> {
        message.chunks(size).flat_map(|part| [&[HANDSHAKE, 3, 1][..], &sized(2, part)].concat()).collect()
    }

    fn client(extensions: &[u8]) -> Vec<u8> {
        message(CLIENT_HELLO, &[0, 4, 0x13, 1, 0x13, 2, 1, 0], extensions)
    }

    fn expected() -> ClientHello {
        ClientHello {
            server_name: Some("api.example.org".into()),
            alpn_offered: vec!["h2".into(), "http/1.1".into()],
        }
    }

    fn sample() -> Vec<u8> {
        client(&[extension(0x2a2a, &[]), sni("api.example.org"), alpn(&["h2", "http/1.1"])].concat())
    }

    #[test]
    fn names_are_read_however_the_message_is_split_into_records() {
        for size in [1, 2, 3, 5, 64, 10_000] {
            assert_eq!(
                client_hello(&records(&sample(), size)),
                Parse::Found(expected()),
                "records of {size}"
            );
        }
    }

    #[test]
    fn every_prefix_is_incomplete_and_never_wrong() {
        let all = records(&sample(), 50);
        for n in 0..all.len() {
            assert_eq!(client_hello(&all[..n]), Parse::Incomplete, "{n} bytes");
        }
    }

    #[test]
    fn a_hello_without_extensions_offers_nothing() {
        let mut bare = client(&[]);
        bare.truncate(bare.len() - 2);
        let length = bare.len() - 4;
        bare[3] = u8::try_from(length).unwrap();
        assert_eq!(client_hello(&records(&bare, 999)), Parse::Found(ClientHello::default()));
    }

    #[test]
    fn the_servers_choice_shows_in_tls_1_2_only() {
        let chosen = message(SERVER_HELLO, &[0xc0, 0x2f, 0], &alpn(&["h2"]));
        let hello = ServerHello { tls13: false, alpn_chosen: Some("h2".into()) };
        assert_eq!(server_hello(&records(&chosen, 999)), Parse::Found(hello));
        let newer = message(SERVER_HELLO, &[0x13, 1, 0], &extension(SUPPORTED_VERSIONS, &[3, 4]));
        assert_eq!(
            server_hello(&records(&newer, 999)),
            Parse::Found(ServerHello { tls13: true, alpn_chosen: None })
        );
    }

    #[test]
    fn other_protocols_are_other() {
        for bytes in [
            &b"GET / HTTP/1.1"[..],
            b"PRI * HTTP/2.0",
            &[22, 3, 1, 0, 0, 1],
            &[22, 3, 1, 0, 5, 2, 0, 0, 1, 0],
        ] {
            assert_eq!(client_hello(bytes), Parse::Other, "{bytes:?}");
        }
    }

    #[test]
    fn names_that_do_not_print_are_not_shown() {
        let hello = client(&[sni("a\x1b[31m"), alpn(&["h\n2", "h2"])].concat());
        let found = ClientHello { server_name: None, alpn_offered: vec!["h2".into()] };
        assert_eq!(client_hello(&records(&hello, 999)), Parse::Found(found));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = (client_hello(&bytes), server_hello(&bytes));
        }

        #[test]
        fn damaged_hellos_never_panic(at: prop::sample::Index, value: u8) {
            let mut bytes = records(&sample(), 70);
            let at = at.index(bytes.len());
            bytes[at] = value;
            let _ = client_hello(&bytes);
        }

        #[test]
        fn segments_in_any_order_give_the_same(cuts in prop::collection::vec(1usize..120, 1..6), order: [u8; 8]) {
            let all = records(&sample(), 40);
            let mut pieces = Vec::new();
            let mut at = 0;
            for cut in cuts.iter().chain([&all.len()]) {
                let end = (at + cut).min(all.len());
                pieces.push((at, all[at..end].to_vec()));
                at = end;
            }
            let n = pieces.len();
            for (i, swap) in order.iter().enumerate() {
                pieces.swap(i % n, usize::from(*swap) % n);
            }
            let mut prefix = Prefix::default();
            pieces.iter().for_each(|(offset, piece)| prefix.push(*offset, piece));
            prop_assert_eq!(client_hello(prefix.bytes()), Parse::Found(expected()));
        }
    }
}
