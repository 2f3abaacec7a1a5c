//! Uprobes of Go's crypto/tls. Its internal ABI passes arguments in other registers than C's on x86_64.
//!
//! `Conn.Write` blocks until everything is written, so its entry is the right place to walk; there is never a return probe.

use aya_ebpf::macros::uprobe;
use aya_ebpf::programs::ProbeContext;
use probe_common::event::GO_CONNECTION;
use probe_common::tls::{HTTP2, Object, ObjectKey};
use probe_common::walk::{RECEIVED, SENT};

use super::{associate, early, key, link_cookie, note_write, object_of, plain, read_user};
use crate::emit;
use crate::maps::{CONNECTIONS, SLOTS, TLS_DESCRIPTORS};

/// `tls.Conn.conn` is an interface: type and data words. `net.TCPConn` is a pointer to a `netFD`, whose `poll.FD` begins with
/// a mutex of two words, then the descriptor.
const INTERFACE_DATA: u64 = 8;
const NETFD_DESCRIPTOR: u64 = 16;

/// First three integer arguments of Go's internal ABI, and the stack pointer.
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
fn arguments(ctx: &ProbeContext) -> ([u64; 3], u64) {
    let argument = |n| ctx.arg::<u64>(n).unwrap_or(0);
    // SAFETY: the registers of the probed thread.
    let stack = unsafe { (*ctx.regs).sp };
    ([argument(0), argument(1), argument(2)], stack)
}

#[cfg(not(bpf_target_arch = "aarch64"))]
#[inline(always)]
fn arguments(ctx: &ProbeContext) -> ([u64; 3], u64) {
    // SAFETY: the registers of the probed thread.
    let registers = unsafe { &*ctx.regs };
    ([registers.rax, registers.rbx, registers.rcx], registers.rsp)
}

/// `func (c *Conn) Write(b []byte) (int, error)`, behind the stack check.
#[uprobe]
pub fn go_write(ctx: ProbeContext) -> u32 {
    let ([receiver, buffer, length], _) = arguments(&ctx);
    let key = key(receiver);
    let Some(object) = object_of(&ctx, &key) else { return 0 };
    note_write(object, receiver, length as u32);
    // SAFETY: the object of this call.
    if unsafe { (*object).cookie == 0 && (*object).state == HTTP2 } {
        follow_descriptor(&key, object);
    }
    plain::walk::<SENT>(&key, object, buffer, length as u32);
    0
}

/// In `func (c *Conn) Read(b []byte) (int, error)`, at `call runtime.memmove(b, plaintext, n)`.
#[uprobe]
pub fn go_read(ctx: ProbeContext) -> u32 {
    let ([_, source, length], stack) = arguments(&ctx);
    let Some(receiver) = read_user::<u64>(stack.wrapping_add(link_cookie(&ctx) >> 32)) else { return 0 };
    if let Some(object) = object_of(&ctx, &key(receiver)) {
        plain::walk::<RECEIVED>(&key(receiver), object, source, length as u32);
    }
    0
}

/// Binds the object to the socket of its file descriptor when user space has proven it, and asks for the proof when not.
#[inline(always)]
fn follow_descriptor(key: &ObjectKey, object: *mut Object) {
    // SAFETY: the value is copied at once.
    if let Some(cookie) = unsafe { TLS_DESCRIPTORS.get(key) }.copied() {
        let _ = TLS_DESCRIPTORS.remove(key);
        // SAFETY: the value is copied at once.
        let Some(index) = unsafe { CONNECTIONS.get(&cookie) }.copied() else { return };
        let Some(slot) = SLOTS.get_ptr_mut(index) else { return };
        // SAFETY: the object of this call, and the slot of its socket.
        let (writing, connection) = unsafe { (&mut *object, &mut (*slot).connection) };
        if connection.cookie == cookie && associate::vote(key.name(), writing, connection, index) {
            // What was asked before what was answered.
            plain::account_waiting::<SENT>(writing, index);
            early::account(object, index);
        }
        return;
    }
    let Some(data) = read_user::<u64>(key.address + INTERFACE_DATA) else { return };
    let Some(netfd) = read_user::<u64>(data) else { return };
    let Some(descriptor) = read_user::<i32>(netfd.wrapping_add(NETFD_DESCRIPTOR)) else { return };
    if descriptor >= 0 {
        emit::event(GO_CONNECTION, key.tgid, key.address, descriptor as u64);
    }
}
