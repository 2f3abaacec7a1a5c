//! A peer made by hand, behind a TUN device with two queues: it hands the segments of one connection to the kernel from two
//! threads, so that they reach the connection's hooks on two processors at once.
//!
//! The kernel takes a packet that is written to such a device through its stack before the write returns, on the processor of
//! the writer.

use super::netns::Namespace;
use super::tools::run;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

const HERE: Ipv4Addr = Ipv4Addr::new(10, 98, 0, 1);
const PORT: u16 = 8080;
const ACK: u8 = 0x10;
const SYN: u8 = 0x02;
/// The sequence numbers wrap on the way.
const FIRST: u32 = u32::MAX - 100_000;

/// The device.
pub(crate) struct TwoQueues {
    queues: [File; 2],
}

impl TwoQueues {
    pub(crate) const ADDRESS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 98, 0, 2), PORT);

    /// Makes the device in a namespace.
    pub(crate) fn new(namespace: &Namespace) -> Self {
        let queues = namespace.inside(|| [queue(), queue()]);
        run("ip", &["-n", namespace.name(), "address", "add", &format!("{HERE}/24"), "dev", "twoqueues"]);
        run("ip", &["-n", namespace.name(), "link", "set", "twoqueues", "up"]);
        Self { queues }
    }

    /// Takes the first connection, says `greeting` on it, and then `n` times `piece`, from two threads that take turns as they
    /// come. Returns when everything was acknowledged.
    pub(crate) fn serve(&self, greeting: &[u8], piece: &[u8], n: u32) {
        let client = self.accept(Duration::from_secs(20));
        let first = FIRST.wrapping_add(1 + u32::try_from(greeting.len()).unwrap());
        let peer = Arc::new(Peer { client, limit: AtomicU32::new(first), next: AtomicU32::new(0) });
        self.write(0, &peer.packet(FIRST.wrapping_add(1), ACK, greeting));
        let at = |i: u32| first.wrapping_add(i.wrapping_mul(u32::try_from(piece.len()).unwrap()));
        std::thread::scope(|scope| {
            for queue in 0..2 {
                let peer = Arc::clone(&peer);
                scope.spawn(move || {
                    loop {
                        let i = peer.next.fetch_add(1, SeqCst);
                        if i >= n {
                            return;
                        }
                        // No more than the receiver has room for.
                        while ahead(at(i + 1), peer.limit.load(SeqCst)) {
                            std::thread::yield_now();
                        }
                        self.write(queue, &peer.packet(at(i), ACK, piece));
                    }
                });
            }
            let (mut acknowledged, mut moved) = (first, Instant::now());
            while ahead(at(n), acknowledged) {
                for (flags, ack, window) in self.read() {
                    if flags & ACK != 0 && ahead(ack, acknowledged) {
                        (acknowledged, moved) = (ack, Instant::now());
                    }
                    peer.limit.store(acknowledged.wrapping_add(u32::from(window)), SeqCst);
                }
                let waiting = moved.elapsed();
                assert!(waiting < Duration::from_secs(20), "the client takes nothing any more");
                if waiting > Duration::from_millis(300) && !ahead(first, acknowledged) {
                    // The receiver had no memory for it.
                    self.write(0, &peer.packet(acknowledged, ACK, piece));
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        });
    }

    /// Answers a SYN.
    fn accept(&self, limit: Duration) -> Client {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            for packet in self.packets() {
                if packet[33] & SYN != 0 {
                    let client = Client {
                        port: u16::from_be_bytes([packet[20], packet[21]]),
                        next: u32::from_be_bytes([packet[24], packet[25], packet[26], packet[27]])
                            .wrapping_add(1),
                    };
                    self.write(0, &packet_of(&client, FIRST, SYN | ACK, &[]));
                    return client;
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("no client connected within {limit:?}");
    }

    fn write(&self, queue: usize, packet: &[u8]) {
        (&self.queues[queue]).write_all(packet).expect("the device is up");
    }

    /// Flags, acknowledgement number and window of what the client sent.
    fn read(&self) -> Vec<(u8, u32, u16)> {
        let word = |p: &[u8]| u32::from_be_bytes([p[28], p[29], p[30], p[31]]);
        self.packets().iter().map(|p| (p[33], word(p), u16::from_be_bytes([p[34], p[35]]))).collect()
    }

    /// IPv4 packets without options that hold TCP, as they come.
    fn packets(&self) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        for mut queue in &self.queues {
            let mut packet = vec![0; 2048];
            match queue.read(&mut packet) {
                Ok(n) if n >= 40 && packet[0] == 0x45 && packet[9] == 6 => packets.push(packet[..n].to_vec()),
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
        }
        packets
    }
}

struct Client {
    port: u16,
    /// Its next sequence number.
    next: u32,
}

struct Peer {
    client: Client,
    /// Up to which sequence number the client has room.
    limit: AtomicU32,
    /// The piece that nobody took yet.
    next: AtomicU32,
}

impl Peer {
    fn packet(&self, seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        packet_of(&self.client, seq, flags, payload)
    }
}

/// `a` is beyond `b` in sequence space.
fn ahead(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() > 0
}

fn packet_of(client: &Client, seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(40 + payload.len()).expect("a packet");
    let addresses = [TwoQueues::ADDRESS.ip().octets(), HERE.octets()].concat();
    let mut ip = vec![0x45, 0];
    ip.extend(length.to_be_bytes());
    ip.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    ip.extend(&addresses);
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum);
    let mut tcp = [PORT.to_be_bytes(), client.port.to_be_bytes()].concat();
    tcp.extend(seq.to_be_bytes());
    tcp.extend(client.next.to_be_bytes());
    tcp.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    tcp.extend(payload);
    let pseudo = [&addresses[..], &[0, 6], &(length - 20).to_be_bytes()].concat();
    let sum = checksum(&[&pseudo[..], &tcp].concat());
    tcp[16..18].copy_from_slice(&sum);
    [ip, tcp].concat()
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).expect("folded")).to_be_bytes()
}

/// One more queue of the device.
fn queue() -> File {
    #[repr(C)]
    struct Request {
        name: [u8; 16],
        flags: u16,
        pad: [u8; 22],
    }
    // linux/if_tun.h: IFF_TUN, IFF_MULTI_QUEUE, IFF_NO_PI; TUNSETIFF.
    let flags = 0x0001 | 0x0100 | 0x1000;
    let mut request = Request { name: [0; 16], flags, pad: [0; 22] };
    request.name[..9].copy_from_slice(b"twoqueues");
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun");
    let file = file.expect("the kernel has TUN devices");
    // SAFETY: the request has the layout and size of the kernel's `struct ifreq`.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), 0x4004_54ca, &raw mut request) };
    assert_eq!(result, 0, "TUNSETIFF: {}", std::io::Error::last_os_error());
    file
}
