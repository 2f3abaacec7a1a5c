//! The kernel side of h2watch: every program, by the hook it is made for.
//!
//! | program | hook | what it does |
//! |---|---|---|
//! | `connect4`, `connect6` | `cgroup/connect` | gives a client socket a slot, with its process |
//! | `egress`, `ingress` | `cgroup_skb` | walks what the socket sends and receives (`bpf_loop`, Linux 5.17) |
//! | `egress_bounded`, `ingress_bounded` | `cgroup_skb` | the same with a bounded loop, for older kernels |
//! | `release` | `cgroup/sock_release` | the process closed the socket |
//! | `tls_*` | uprobes | plaintext that the process gives to its TLS library or gets from it |
//! | `go_*` | uprobes | the same for Go's crypto/tls |
//!
//! The cgroup_skb programs return 1 whatever happens: 0 would drop the segment.
#![no_std]
#![no_main]
#![expect(
    clippy::needless_borrows_for_generic_args,
    reason = "maps take keys by reference: a moved key is copied once more"
)]

mod connect;
mod emit;
mod hello;
mod maps;
mod packet;
mod segment;
mod tally;
mod tls;

use aya_ebpf::macros::{cgroup_skb, cgroup_sock, cgroup_sock_addr};
use aya_ebpf::programs::{SkBuffContext, SockAddrContext, SockContext};
use probe_common::walk::{RECEIVED, SENT};

/// "Let the segment pass", and "let connect() go on".
const PASS: i32 = 1;

#[cgroup_sock_addr(connect4)]
pub fn connect4(ctx: SockAddrContext) -> i32 {
    connect::connect(&ctx, probe_common::slot::FAMILY_INET);
    PASS
}

#[cgroup_sock_addr(connect6)]
pub fn connect6(ctx: SockAddrContext) -> i32 {
    connect::connect(&ctx, probe_common::slot::FAMILY_INET6);
    PASS
}

#[cgroup_sock(sock_release)]
pub fn release(ctx: SockContext) -> i32 {
    connect::release(&ctx);
    PASS
}

#[cgroup_skb]
pub fn egress(ctx: SkBuffContext) -> i32 {
    segment::segment::<SENT>(&ctx, segment::looped::<SENT>);
    PASS
}

#[cgroup_skb]
pub fn ingress(ctx: SkBuffContext) -> i32 {
    segment::segment::<RECEIVED>(&ctx, segment::looped::<RECEIVED>);
    PASS
}

#[cgroup_skb]
pub fn egress_bounded(ctx: SkBuffContext) -> i32 {
    segment::segment::<SENT>(&ctx, segment::bounded::<SENT>);
    PASS
}

#[cgroup_skb]
pub fn ingress_bounded(ctx: SkBuffContext) -> i32 {
    segment::segment::<RECEIVED>(&ctx, segment::bounded::<RECEIVED>);
    PASS
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    // Never reached: the verifier refuses a program in which this loop is reachable.
    loop {}
}

/// The kernel offers some helpers only to GPL-compatible programs.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Read by the loader before anything is loaded.
#[unsafe(link_section = "h2watch.abi")]
#[unsafe(no_mangle)]
static ABI: [u32; 10] = probe_common::ABI;
