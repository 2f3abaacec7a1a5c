//! IPv4, IPv6 and TCP headers of a segment, and its payload as a byte source.
//!
//! Packets reach cgroup_skb programs at their network header, reassembled and trimmed, possibly much longer than the wire
//! allows (GSO on egress, GRO on ingress).

use core::ffi::c_void;
use core::mem::MaybeUninit;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::bpf_skb_load_bytes;
use aya_ebpf::programs::SkBuffContext;
use probe_common::direction::{Segment, TCP_SYN};
use probe_common::http2::{FrameHeader, HEADER_LEN};
use probe_common::lane::Source;
use probe_common::slot::FAMILY_INET6;

const IPPROTO_TCP: u8 = 6;
const IPV6_HEADER: u32 = 40;

/// A TCP segment and where its payload begins.
pub struct Parsed {
    pub segment: Segment,
    pub payload_at: u32,
    /// Source and destination port, host byte order.
    pub ports: (u16, u16),
}

/// Reads `N` bytes at `at`.
#[inline(always)]
fn load<const N: usize>(skb: *mut __sk_buff, at: u32) -> Option<[u8; N]> {
    // Not cleared first: that would be a call of memset, byte by byte.
    let mut bytes = MaybeUninit::<[u8; N]>::uninit();
    // SAFETY: the destination has N bytes; the helper checks the source.
    let failed = unsafe { bpf_skb_load_bytes(skb as *const c_void, at, bytes.as_mut_ptr().cast(), N as u32) };
    // SAFETY: the helper wrote all of it.
    if failed == 0 { Some(unsafe { bytes.assume_init() }) } else { None }
}

/// Reads the headers; `None` when it is no whole TCP segment.
#[inline(always)]
pub fn parse(ctx: &SkBuffContext) -> Option<Parsed> {
    let skb = ctx.skb.skb;
    // No TCP segment is shorter: 20 bytes each of IPv4 and TCP.
    let first: [u8; 40] = load(skb, 0)?;
    let tcp_at = match first[0] >> 4 {
        4 => {
            // A fragment's payload begins in the middle (RFC 791): MF or an offset.
            let fragment = u16::from_be_bytes([first[6], first[7]]) & 0x3fff;
            if first[9] != IPPROTO_TCP || fragment != 0 {
                return None;
            }
            u32::from(first[0] & 15) * 4
        }
        6 => tcp_behind_extensions(skb, first[6])?,
        _ => return None,
    };
    let tcp: [u8; 20] = if tcp_at == 20 {
        let (_, tcp) = first.split_last_chunk()?;
        *tcp
    } else {
        load(skb, tcp_at)?
    };
    let payload_at = tcp_at + u32::from(tcp[12] >> 4) * 4;
    let flags = tcp[13];
    let seq = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
    let segment = Segment {
        // SYN takes a sequence number of its own (RFC 9293, section 3.4).
        seq: if flags & TCP_SYN != 0 { seq.wrapping_add(1) } else { seq },
        ack: u32::from_be_bytes([tcp[8], tcp[9], tcp[10], tcp[11]]),
        payload: ctx.len().saturating_sub(payload_at),
        window: u32::from(u16::from_be_bytes([tcp[14], tcp[15]])),
        flags,
    };
    let ports = (u16::from_be_bytes([tcp[0], tcp[1]]), u16::from_be_bytes([tcp[2], tcp[3]]));
    Some(Parsed { segment, payload_at, ports })
}

/// Passes over hop-by-hop, routing and destination options (RFC 8200, section 4); more than four are not followed.
#[inline(always)]
fn tcp_behind_extensions(skb: *mut __sk_buff, next: u8) -> Option<u32> {
    let mut next = next;
    let mut at = IPV6_HEADER;
    let mut n = 0;
    while n < 4 {
        if next == IPPROTO_TCP {
            return Some(at);
        }
        if next != 0 && next != 43 && next != 60 {
            return None;
        }
        let extension: [u8; 2] = load(skb, at)?;
        next = extension[0];
        at += (u32::from(extension[1]) + 1) * 8;
        n += 1;
    }
    if next == IPPROTO_TCP { Some(at) } else { None }
}

/// The local address as the segment names it: source on egress, destination on ingress.
#[inline(always)]
pub fn local_address(ctx: &SkBuffContext, sent: bool, family: u32, address: &mut [u8; 16]) -> bool {
    let skb = ctx.skb.skb;
    let Some(first) = load::<20>(skb, 0) else { return false };
    if first[0] >> 4 == 4 {
        let from = if sent {
            [first[12], first[13], first[14], first[15]]
        } else {
            [first[16], first[17], first[18], first[19]]
        };
        // A socket of AF_INET6 may speak IPv4 (RFC 4291, section 2.5.5.2): its address has the mapped form.
        if family == FAMILY_INET6 {
            address[10] = 0xff;
            address[11] = 0xff;
            address[12..16].copy_from_slice(&from);
        } else {
            address[..4].copy_from_slice(&from);
        }
        return true;
    }
    let Some(bytes) = load::<16>(skb, if sent { 8 } else { 24 }) else { return false };
    *address = bytes;
    true
}

/// The offset and length of a load, with bounds that the verifier sees right before the call: 0 to 16 and 1 to 32 (really 17
/// at most). The compiler knows narrower ones and would leave the limits out, so it must forget them first; and Linux 5.10
/// learns nothing from `n != 0`, so the lower bound is made by arithmetic.
#[inline(always)]
pub fn bounds(offset: u32, n: u32) -> (u32, u32) {
    // SAFETY: local variables.
    let (offset, n) =
        unsafe { (core::ptr::read_volatile(&raw const offset), core::ptr::read_volatile(&raw const n)) };
    (if offset > 16 { 0 } else { offset }, (n.wrapping_sub(1) & 31) + 1)
}

/// The new part of a segment's payload.
pub struct Payload {
    pub skb: *mut __sk_buff,
    pub at: u32,
    pub len: u32,
}

impl Source for Payload {
    #[inline(always)]
    fn len(&self) -> u32 {
        self.len
    }

    #[inline(always)]
    fn load(&self, at: u32, unit: &mut [u8; 48], offset: u32, n: u32) -> bool {
        let (offset, n) = bounds(offset, n);
        // SAFETY: offset + n is at most 48, the size of `unit`; the helper checks the source.
        unsafe {
            let to = unit.as_mut_ptr().add(offset as usize);
            bpf_skb_load_bytes(self.skb as *const c_void, self.at + at, to.cast(), n) == 0
        }
    }

    #[inline(always)]
    fn header(&self, at: u32) -> Option<FrameHeader> {
        // Words, so that it is aligned.
        let mut words = MaybeUninit::<[u64; 2]>::uninit();
        let to = words.as_mut_ptr();
        // SAFETY: the destination has 16 bytes; the helper checks the source, and writes the nine that are read.
        unsafe {
            if bpf_skb_load_bytes(self.skb as *const c_void, self.at + at, to.cast(), HEADER_LEN) != 0 {
                return None;
            }
            Some(FrameHeader::from_words(
                u64::from_be(to.cast::<u64>().read()),
                to.cast::<u8>().add(8).read(),
            ))
        }
    }
}
