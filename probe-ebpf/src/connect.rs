//! Birth and end of a client socket.

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::{bpf_get_netns_cookie, bpf_get_socket_cookie};
use aya_ebpf::helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use aya_ebpf::programs::{SockAddrContext, SockContext};
use aya_log_ebpf::warn;
use probe_common::event;
use probe_common::loss::CONNECTIONS_FULL;
use probe_common::settings::SCOPE_PROCESSES;
use probe_common::slot::{FAMILY_INET, ORIGIN_CONNECT};

use crate::emit;
use crate::maps::{CONNECTIONS, FREE, PROCESSES, SETTINGS, SLOTS, lost};

const SOCK_STREAM: u32 = 1;
const IPPROTO_TCP: u32 = 6;

/// A process calls connect(): its socket gets a slot, if the process is watched.
#[inline(always)]
pub fn connect(ctx: &SockAddrContext, family: u32) {
    // SAFETY: the kernel hands a valid context.
    let address = unsafe { &*ctx.sock_addr };
    if address.type_ != SOCK_STREAM || address.protocol != IPPROTO_TCP {
        return;
    }
    let Some(settings) = SETTINGS.get_ptr_mut(0) else { return };
    let task = bpf_get_current_pid_tgid();
    let tgid = (task >> 32) as u32;
    // SAFETY: an array element, always there.
    let settings = unsafe { &mut *settings };
    // SAFETY: the value is copied at once.
    if settings.scope == SCOPE_PROCESSES && unsafe { PROCESSES.get(&tgid) }.is_none() {
        return;
    }
    // SAFETY: the helper takes the context of this program type.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    // A connect() that failed may be tried again on the same socket.
    // SAFETY: only the presence is asked for.
    if unsafe { CONNECTIONS.get(&cookie) }.is_some() {
        return;
    }
    let Ok(Some(index)) = FREE.pop() else {
        lost(CONNECTIONS_FULL);
        warn!(ctx, "no free slot: a connection of process {} is not watched", tgid);
        return;
    };
    let Some(slot) = SLOTS.get_ptr_mut(index) else { return };
    // SAFETY: a slot from FREE belongs to nobody else.
    let slot = unsafe { &mut *slot };
    slot.prepare(ORIGIN_CONNECT);
    let connection = &mut slot.connection;
    connection.tgid = tgid;
    connection.tid = task as u32;
    connection.comm = bpf_get_current_comm().unwrap_or_default();
    connection.family = family;
    connection.remote_port = u16::from_be(address.user_port as u16);
    if family == FAMILY_INET {
        connection.remote_addr[..4].copy_from_slice(&address.user_ip4.to_ne_bytes());
    } else {
        connection.remote_addr[..4].copy_from_slice(&address.user_ip6[0].to_ne_bytes());
        connection.remote_addr[4..8].copy_from_slice(&address.user_ip6[1].to_ne_bytes());
        connection.remote_addr[8..12].copy_from_slice(&address.user_ip6[2].to_ne_bytes());
        connection.remote_addr[12..].copy_from_slice(&address.user_ip6[3].to_ne_bytes());
    }
    // SAFETY: takes the context of this program type.
    connection.netns_cookie = unsafe { bpf_get_netns_cookie(ctx.as_ptr()) };
    connection.ring_after_ns = settings.ring_after_ns;
    connection.ring_min_streams = settings.ring_min_streams;
    // SAFETY: takes no argument.
    connection.opened_ns = unsafe { bpf_ktime_get_ns() };
    connection.cookie = cookie;
    if index >= settings.slots_used {
        settings.slots_used = index + 1;
    }
    if CONNECTIONS.insert(cookie, index, 0).is_err() {
        lost(CONNECTIONS_FULL);
    }
    emit::event(event::OPENED, index, cookie, u64::from(tgid));
}

/// A process lets go of a socket. Its slot keeps the final counters until user space has read them.
#[inline(always)]
pub fn release(ctx: &SockContext) {
    // SAFETY: the helper takes the context of this program type.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    // SAFETY: the value is copied at once.
    let Some(index) = unsafe { CONNECTIONS.get(&cookie) }.copied() else { return };
    let Some(slot) = SLOTS.get_ptr_mut(index) else { return };
    // SAFETY: takes no argument; the slot is this socket's until user space frees it.
    unsafe { (*slot).connection.closed_ns = bpf_ktime_get_ns() };
    let _ = CONNECTIONS.remove(&cookie);
    emit::event(event::CLOSED, index, cookie, 0);
}
