//! The bytes of NETLINK_SOCK_DIAG: how a request is written and an answer is read. Pure.
//!
//! Three messages of fixed layout are all that is needed (`struct nlmsghdr`, `struct inet_diag_req_v2`, `struct
//! inet_diag_msg`, see linux/netlink.h and linux/inet_diag.h), so they are encoded here: SOCK_DESTROY, the cookie, the
//! queue sizes and the timer must be exact, and a longer `struct tcp_info` of a newer kernel must not be cut.

use super::socket::{Family, Socket};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub(super) const SOCK_DIAG_BY_FAMILY: u16 = 20;
pub(super) const SOCK_DESTROY: u16 = 21;
pub(super) const NLM_F_REQUEST: u16 = 0x1;
pub(super) const NLM_F_ACK: u16 = 0x4;
pub(super) const NLM_F_DUMP: u16 = 0x300;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER_BYTES: usize = 16;
const REQUEST_BYTES: usize = HEADER_BYTES + 56;
/// `struct inet_diag_msg`; attributes follow.
const DIAG_MSG_BYTES: usize = 72;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
/// `INET_DIAG_INFO` as an attribute, and as a bit of `idiag_ext` (bit number is the attribute minus one).
const INET_DIAG_INFO: u16 = 2;
const EXT_INFO: u8 = 1 << (INET_DIAG_INFO - 1);
const INET_DIAG_CGROUP_ID: u16 = 21;
/// `INET_DIAG_NOCOOKIE`: any socket of that tuple.
pub(super) const NO_COOKIE: u64 = u64::MAX;

/// Which sockets are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Query {
    /// Every TCP socket of the family in one of the states (bit number is the state), with these ports; 0 is any.
    All { family: Family, states: u32, ports: (u16, u16), with_info: bool },
    /// The one socket of that tuple and cookie. One that is bound to a device is found with its number only; 0 is none.
    One { cookie: u64, local: SocketAddr, remote: SocketAddr, interface: u32, with_info: bool },
}

/// What one netlink message says.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    Socket(Box<Socket>),
    /// A dump is complete.
    Done,
    /// `errno`, 0 is an acknowledgement.
    Error(i32),
    /// Too short, or of another protocol.
    Unreadable,
}

/// A request, ready to send.
pub(super) fn request(kind: u16, flags: u16, sequence: u32, query: &Query) -> [u8; REQUEST_BYTES] {
    let mut out = [0u8; REQUEST_BYTES];
    put(&mut out, 0, &(REQUEST_BYTES as u32).to_ne_bytes());
    put(&mut out, 4, &kind.to_ne_bytes());
    put(&mut out, 6, &(flags | NLM_F_REQUEST).to_ne_bytes());
    put(&mut out, 8, &sequence.to_ne_bytes());
    let body = &mut out[HEADER_BYTES..];
    body[1] = IPPROTO_TCP;
    match *query {
        Query::All { family, states, ports: (local, remote), with_info } => {
            body[0] = family_number(family);
            body[2] = if with_info { EXT_INFO } else { 0 };
            put(body, 4, &states.to_ne_bytes());
            put(body, 8, &local.to_be_bytes());
            put(body, 10, &remote.to_be_bytes());
            put(body, 48, &NO_COOKIE.to_ne_bytes());
        }
        Query::One { cookie, local, remote, interface, with_info } => {
            let (local, remote) = (same_family(local, remote), same_family(remote, local));
            body[0] = if local.is_ipv6() { AF_INET6 } else { AF_INET };
            body[2] = if with_info { EXT_INFO } else { 0 };
            put(body, 4, &u32::MAX.to_ne_bytes());
            put(body, 8, &local.port().to_be_bytes());
            put(body, 10, &remote.port().to_be_bytes());
            put_address(body, 12, local.ip());
            put_address(body, 28, remote.ip());
            let interface = if interface != 0 { interface } else { scope(local, remote) };
            put(body, 44, &interface.to_ne_bytes());
            // Two u32, low half first on every architecture.
            put(body, 48, &(cookie as u32).to_ne_bytes());
            put(body, 52, &((cookie >> 32) as u32).to_ne_bytes());
        }
    }
    out
}

/// The kernel looks a tuple up in one family: a v4 address beside a v6 one is written v4-mapped.
fn same_family(address: SocketAddr, other: SocketAddr) -> SocketAddr {
    let canonical = SocketAddr::new(address.ip().to_canonical(), address.port());
    match (canonical.ip(), other.ip().to_canonical()) {
        (IpAddr::V4(v4), IpAddr::V6(_)) => SocketAddr::new(v4.to_ipv6_mapped().into(), address.port()),
        (IpAddr::V6(_), _) => address,
        (IpAddr::V4(_), IpAddr::V4(_)) => canonical,
    }
}

/// The interface of a link-local address, where it is told.
fn scope(local: SocketAddr, remote: SocketAddr) -> u32 {
    [local, remote]
        .into_iter()
        .find_map(|address| match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => Some(v6.scope_id()),
            SocketAddr::V6(_) | SocketAddr::V4(_) => None,
        })
        .unwrap_or(0)
}

fn family_number(family: Family) -> u8 {
    match family {
        Family::Inet => AF_INET,
        Family::Inet6 => AF_INET6,
    }
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    out[at..at + bytes.len()].copy_from_slice(bytes);
}

fn put_address(out: &mut [u8], at: usize, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => put(out, at, &v4.octets()),
        IpAddr::V6(v6) => put(out, at, &v6.octets()),
    }
}

/// The messages of one datagram that answer `sequence`; the others belong to a question that was given up.
pub(super) fn messages(datagram: &[u8], sequence: u32) -> Vec<Message> {
    let mut out = Vec::new();
    let mut rest = datagram;
    while let Some(length) = u32_at(rest, 0).map(|n| n as usize) {
        if length < HEADER_BYTES || length > rest.len() {
            out.push(Message::Unreadable);
            break;
        }
        if u32_at(rest, 8) == Some(sequence) {
            out.push(message(u16_at(rest, 4).unwrap_or(0), &rest[HEADER_BYTES..length]));
        }
        rest = rest.get(aligned(length)..).unwrap_or(&[]);
    }
    out
}

fn message(kind: u16, body: &[u8]) -> Message {
    match kind {
        NLMSG_DONE => match u32_at(body, 0).map(u32::cast_signed) {
            Some(errno) if errno < 0 => Message::Error(-errno),
            _ => Message::Done,
        },
        NLMSG_ERROR => {
            u32_at(body, 0).map_or(Message::Unreadable, |code| Message::Error(-code.cast_signed()))
        }
        SOCK_DIAG_BY_FAMILY => socket(body).map_or(Message::Unreadable, |s| Message::Socket(Box::new(s))),
        _ => Message::Unreadable,
    }
}

fn socket(body: &[u8]) -> Option<Socket> {
    let fixed = body.get(..DIAG_MSG_BYTES)?;
    let family = match fixed[0] {
        AF_INET => Family::Inet,
        AF_INET6 => Family::Inet6,
        _ => return None,
    };
    let interface = u32_at(fixed, 40)?;
    let address = |port_at: usize, ip_at: usize| -> Option<SocketAddr> {
        let port = u16::from_be_bytes(fixed.get(port_at..port_at + 2)?.try_into().ok()?);
        Some(socket_address(family, fixed.get(ip_at..ip_at + 16)?, port, interface))
    };
    let mut socket = Socket {
        cookie: u64::from(u32_at(fixed, 44)?) | u64::from(u32_at(fixed, 48)?) << 32,
        inode: u64::from(u32_at(fixed, 68)?),
        family,
        state: fixed[1],
        local: address(4, 8)?,
        remote: address(6, 24)?,
        interface,
        uid: u32_at(fixed, 64)?,
        receive_queue: u32_at(fixed, 56)?,
        send_queue: u32_at(fixed, 60)?,
        timer: fixed[2],
        timer_expires_ms: u32_at(fixed, 52)?,
        retransmits: fixed[3],
        cgroup_id: None,
        info: None,
    };
    for (kind, value) in attributes(&body[DIAG_MSG_BYTES..]) {
        match kind {
            INET_DIAG_INFO => socket.info = Some(value.to_vec()),
            INET_DIAG_CGROUP_ID => socket.cgroup_id = value.try_into().ok().map(u64::from_ne_bytes),
            _ => {}
        }
    }
    Some(socket)
}

/// v4-mapped addresses become IPv4, as they are on the wire and in what the probe sees.
fn socket_address(family: Family, bytes: &[u8], port: u16, interface: u32) -> SocketAddr {
    let mut v6 = [0u8; 16];
    v6.copy_from_slice(bytes);
    match family {
        Family::Inet => SocketAddr::new(Ipv4Addr::new(v6[0], v6[1], v6[2], v6[3]).into(), port),
        Family::Inet6 => {
            let ip = Ipv6Addr::from(v6);
            match ip.to_ipv4_mapped() {
                Some(v4) => SocketAddr::new(v4.into(), port),
                None if ip.is_unicast_link_local() => {
                    std::net::SocketAddrV6::new(ip, port, 0, interface).into()
                }
                None => SocketAddr::new(ip.into(), port),
            }
        }
    }
}

fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)?;
        let value = rest.get(4..length)?;
        rest = rest.get(aligned(length)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

fn aligned(length: usize) -> usize {
    (length + 3) & !3
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(local: &str, remote: &str) -> [u8; REQUEST_BYTES] {
        let query = Query::One {
            cookie: 0x1122_3344_5566_7788,
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            interface: 0,
            with_info: false,
        };
        request(SOCK_DESTROY, NLM_F_ACK, 7, &query)
    }

    #[test]
    fn request_has_the_layout_of_inet_diag_req_v2() {
        let bytes = one("10.0.0.1:1000", "10.0.0.2:443");
        assert_eq!(bytes.len(), 72);
        assert_eq!(bytes[4..8], [21, 0, 5, 0]);
        assert_eq!(bytes[16..18], [AF_INET, IPPROTO_TCP]);
        assert_eq!(bytes[24..28], [0x03, 0xe8, 0x01, 0xbb]);
        assert_eq!(bytes[28..32], [10, 0, 0, 1]);
        assert_eq!(bytes[44..48], [10, 0, 0, 2]);
        assert_eq!(bytes[64..68], 0x5566_7788u32.to_ne_bytes());
        assert_eq!(bytes[68..72], 0x1122_3344u32.to_ne_bytes());
    }

    #[test]
    fn mapped_addresses_are_asked_for_as_ipv4() {
        assert_eq!(
            one("[::ffff:10.0.0.1]:1000", "[::ffff:10.0.0.2]:443"),
            one("10.0.0.1:1000", "10.0.0.2:443")
        );
    }

    #[test]
    fn answer_to_another_question_is_skipped() {
        let mut bytes = [0u8; 20];
        put(&mut bytes, 0, &20u32.to_ne_bytes());
        put(&mut bytes, 4, &NLMSG_ERROR.to_ne_bytes());
        put(&mut bytes, 8, &3u32.to_ne_bytes());
        put(&mut bytes, 16, &(-1i32).to_ne_bytes());
        assert_eq!(messages(&bytes, 3), vec![Message::Error(1)]);
        assert_eq!(messages(&bytes, 4), vec![]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), n in 0u32..3) {
            let _ = messages(&bytes, n);
            let _ = socket(&bytes);
        }
    }
}
