//! Packets as they never come, and some as they do: IPv4 and IPv6 with options and extension headers, TCP with any offset,
//! HTTP/2 frames with absurd lengths, truncated anywhere, bits flipped, sequence numbers that jump; and plain noise.

use super::random::Random;

const ETHERNET: usize = 14;
/// What fits into the one page that the kernel gives a test packet.
const LONGEST: usize = 3000;

/// Packets of one address family in a row: they belong to one connection.
pub(super) const RUN: usize = 200;

/// An endless row of packets. Sequence numbers go on from packet to packet, so that a walker gets along for a while.
#[derive(Debug)]
pub(super) struct Packets {
    random: Random,
    /// By whether it is IPv6.
    next_sequence: [u32; 2],
    stream: u32,
    /// Packets so far, the one under way included.
    made: usize,
    packet: Vec<u8>,
}

impl Packets {
    pub(super) fn new(random: Random) -> Self {
        Self { random, next_sequence: [0xffff_f000, 1], stream: 1, made: 0, packet: Vec::new() }
    }

    /// The next packet, with an Ethernet header, which the programs do not see.
    pub(super) fn next_packet(&mut self) -> &[u8] {
        let v6 = self.made / RUN % 2 == 1;
        self.made += 1;
        self.packet = vec![0; ETHERNET];
        self.packet[12..14].copy_from_slice(if v6 { &[0x86, 0xdd] } else { &[0x08, 0x00] });
        if self.random.once_in(20) {
            let length = 1 + self.random.below(200);
            self.packet.extend(self.random.bytes(length));
        } else {
            self.segment(v6);
            self.mutate();
        }
        self.packet.truncate(LONGEST);
        // Newer kernels refuse to test IP packets without a whole IP header, but not packets of an unknown protocol; the
        // programs look at the packet only.
        if self.packet.len() < ETHERNET + if v6 { 40 } else { 20 } {
            self.packet[12..14].copy_from_slice(&[0x88, 0xb5]);
        }
        &self.packet
    }

    fn segment(&mut self, v6: bool) {
        let payload = self.payload();
        let tcp = self.tcp_header(v6, payload.len());
        let length = tcp.len() + payload.len();
        if v6 {
            self.ipv6_header(length);
        } else {
            self.ipv4_header(length);
        }
        self.packet.extend(tcp);
        self.packet.extend(payload);
    }

    fn ipv4_header(&mut self, length: usize) {
        let options = if self.random.once_in(4) { 4 * self.random.below(11) } else { 0 };
        let total = (20 + options + length) as u16;
        let mut header = vec![0u8; 20];
        header[0] = 0x40 | (5 + options / 4) as u8;
        header[2..4].copy_from_slice(&total.to_be_bytes());
        header[8] = 64;
        header[9] = if self.random.once_in(30) { self.random.byte() } else { 6 };
        header[12..20].copy_from_slice(&[127, 0, 0, 1, 127, 0, 0, 1]);
        header.extend(self.random.bytes(options));
        self.packet.extend(header);
    }

    fn ipv6_header(&mut self, length: usize) {
        let mut extensions = Vec::new();
        let mut first = 6u8;
        if self.random.once_in(4) {
            let kinds: Vec<u8> =
                (0..1 + self.random.below(6)).map(|_| [0, 43, 60, 44, 50][self.random.below(5)]).collect();
            first = kinds[0];
            for (i, _) in kinds.iter().enumerate() {
                let next = kinds.get(i + 1).copied().unwrap_or(6);
                let eights =
                    if self.random.once_in(5) { self.random.byte() } else { self.random.below(3) as u8 };
                extensions.extend([next, eights]);
                let rest = 6 + 8 * usize::from(eights.min(3));
                extensions.extend(self.random.bytes(rest));
            }
        }
        let mut header = vec![0u8; 40];
        header[0] = 0x60;
        header[4..6].copy_from_slice(&((extensions.len() + length) as u16).to_be_bytes());
        header[6] = first;
        header[7] = 64;
        header[23] = 1;
        header[39] = 1;
        self.packet.extend(header);
        self.packet.extend(extensions);
    }

    fn tcp_header(&mut self, v6: bool, payload: usize) -> Vec<u8> {
        let options = if self.random.once_in(2) { 12 } else { 4 * self.random.below(11) };
        let next = &mut self.next_sequence[usize::from(v6)];
        // Mostly in order; now and then again, overlapping, beyond a hole, or anywhere.
        let sequence = match self.random.below(40) {
            0 => next.wrapping_sub(self.random.below(3000) as u32),
            1 => next.wrapping_add(1 + self.random.below(5000) as u32),
            2 => self.random.next() as u32,
            _ => *next,
        };
        if sequence == *next {
            *next = next.wrapping_add(payload as u32);
        }
        let mut header = vec![0u8; 20];
        header[0..4].copy_from_slice(&[0x9c, 0x40, 0x1f, 0x90]);
        header[4..8].copy_from_slice(&sequence.to_be_bytes());
        header[8..12].copy_from_slice(&(self.random.next() as u32).to_be_bytes());
        header[12] = (((20 + options) / 4) << 4) as u8;
        header[13] = if self.random.once_in(50) { self.random.byte() } else { 0x10 };
        header[14..16].copy_from_slice(&[0, self.random.byte()]);
        header.extend(self.random.bytes(options));
        header
    }

    fn payload(&mut self) -> Vec<u8> {
        // Most connections begin as they should.
        let kind = if self.made % RUN == 1 && !self.random.once_in(4) { 1 } else { self.random.below(40) };
        match kind {
            0 => Vec::new(),
            1 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            2 => {
                let length = self.random.below(1400);
                self.random.bytes(length)
            }
            _ => self.frames(),
        }
    }

    fn frames(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let most = if self.random.once_in(10) { 60 } else { 6 };
        for _ in 0..1 + self.random.below(most) {
            self.frame(&mut bytes);
        }
        // A frame that goes on in the next packet, which then begins with something else: the walker loses its place.
        if self.random.once_in(25) {
            bytes.truncate(self.random.below(bytes.len() + 1));
        }
        bytes
    }

    fn frame(&mut self, bytes: &mut Vec<u8>) {
        let kind = self.random.below(11) as u8;
        let length = match kind {
            2 => 5,
            3 | 8 => 4,
            4 => 6 * self.random.below(4),
            6 => 8,
            7 => 8 + self.random.below(10),
            _ => self.random.below(100),
        };
        // An absurd length makes the walker pass over what follows, so it must be rare.
        let said = match self.random.below(1000) {
            0 => 0x00ff_ffff,
            1 => self.random.below(1 << 24),
            _ => length,
        };
        if kind == 1 {
            self.stream += 2;
        }
        let stream = if matches!(kind, 4 | 6 | 7) { 0 } else { self.stream };
        bytes.extend(&(said as u32).to_be_bytes()[1..]);
        bytes.extend([kind, self.random.byte() & 0x2d]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(self.random.bytes(length));
    }

    /// One packet in three is damaged: bits flipped, cut off, or a length overwritten.
    fn mutate(&mut self) {
        let length = self.packet.len() - ETHERNET;
        match self.random.below(12) {
            0 => {
                for _ in 0..1 + self.random.below(8) {
                    let at = ETHERNET + self.random.below(length);
                    self.packet[at] ^= 1 << self.random.below(8);
                }
            }
            1 => self.packet.truncate(ETHERNET + 1 + self.random.below(length)),
            2 => {
                let at = ETHERNET + self.random.below(length.min(60));
                self.packet[at] = [0, 0xff, 0x7f, 0x80][self.random.below(4)];
            }
            3 => {
                let at = ETHERNET + [0, 2, 3, 4, 5, 32, 52][self.random.below(7)].min(length - 1);
                self.packet[at] = self.random.byte();
            }
            _ => {}
        }
    }
}
