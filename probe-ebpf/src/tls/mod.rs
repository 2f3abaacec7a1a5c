//! Plaintext at the boundary of a process's TLS library, and which socket it belongs to.
//!
//! `calls` are the uprobes of C libraries, `go` those of Go, `plain` walks what they find, `associate` is called by egress,
//! `early` is what is read before the two have met, `resume` a write that is finished by another one.

pub mod associate;
mod calls;
mod early;
mod go;
mod plain;
mod resume;

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::{bpf_get_attach_cookie, bpf_get_current_task, bpf_probe_read_user};
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use aya_ebpf::programs::ProbeContext;
use probe_common::loss::TLS_OBJECTS_FULL;
use probe_common::tls::{CERTAIN, Object, ObjectKey, Task, Written};

use crate::maps::{SLOTS, TLS_BLANK, TLS_OBJECTS, TLS_TASKS, lost};

/// Reads a value of the process's memory.
#[inline(always)]
fn read_user<T: Copy + Default>(address: u64) -> Option<T> {
    let mut value = T::default();
    // SAFETY: the destination has the size that is given; the helper checks the source.
    let failed =
        unsafe { bpf_probe_read_user((&raw mut value).cast(), size_of::<T>() as u32, address as *const _) };
    if failed == 0 { Some(value) } else { None }
}

#[inline(always)]
fn key(address: u64) -> ObjectKey {
    ObjectKey { address, tgid: (bpf_get_current_pid_tgid() >> 32) as u32, pad: 0 }
}

/// The object at `address`, made when it is new.
#[inline(always)]
fn object(key: &ObjectKey) -> Option<*mut Object> {
    if let Some(object) = TLS_OBJECTS.get_ptr_mut(key) {
        return Some(object);
    }
    let blank = TLS_BLANK.get_ptr(0)?;
    // SAFETY: an array element, never written.
    if TLS_OBJECTS.insert(key, unsafe { &*blank }, 0).is_err() {
        lost(TLS_OBJECTS_FULL);
        return None;
    }
    TLS_OBJECTS.get_ptr_mut(key)
}

/// What user space attached the running probe with: library, and for Go a stack offset (Linux 5.15).
#[inline(always)]
fn link_cookie(ctx: &ProbeContext) -> u64 {
    // SAFETY: the helper takes the context of this program type.
    unsafe { bpf_get_attach_cookie(ctx.as_ptr()) }
}

/// The object at `address` in the library that the probe is attached to.
#[inline(always)]
fn object_of(ctx: &ProbeContext, key: &ObjectKey) -> Option<*mut Object> {
    let object = object(key)?;
    // SAFETY: the object of the current call.
    unsafe { (*object).library = link_cookie(ctx) as u32 & 0xff };
    Some(object)
}

/// True when the object and its connection both need no more votes.
#[inline(always)]
fn settled(object: *mut Object) -> bool {
    // SAFETY: the object of the current call.
    let (cookie, votes, slot) = unsafe { ((*object).cookie, (*object).votes, (*object).slot) };
    if cookie == 0 || votes < CERTAIN {
        return false;
    }
    let Some(slot) = SLOTS.get_ptr_mut(slot) else { return false };
    // SAFETY: reads of a slot.
    unsafe { (*slot).connection.cookie == cookie && (*slot).connection.tls_votes >= CERTAIN }
}

/// Remembers that this task writes `length` bytes to the object, unless the object's socket is certain.
#[inline(always)]
fn note_write(object: *mut Object, address: u64, length: u32) {
    if settled(object) {
        // Go's writes have no end: the one before, to another object, is over now.
        end_write();
        return;
    }
    remember_write(address, length);
}

/// A global function: a new task's writes are too large for the stack beside the walk that follows.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn remember_write(address: u64, length: u32) -> u32 {
    // SAFETY: take no argument.
    let (current, at_ns) = unsafe { (bpf_get_current_task(), bpf_ktime_get_ns()) };
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let written = Written { object: address, at_ns, tgid, length };
    if let Some(task) = TLS_TASKS.get_ptr_mut(&current) {
        // SAFETY: a task runs on one CPU at a time, and egress only touches the current one.
        unsafe { (*task).note(written) };
        return 0;
    }
    let mut task = Task::default();
    task.note(written);
    if TLS_TASKS.insert(&current, &task, 0).is_err() {
        lost(TLS_OBJECTS_FULL);
    }
    0
}

/// The write of this task returned; its records may still be on their way.
#[inline(always)]
fn end_write() {
    // SAFETY: takes no argument.
    let current = unsafe { bpf_get_current_task() };
    if let Some(task) = TLS_TASKS.get_ptr_mut(&current) {
        // SAFETY: as above.
        unsafe { (*task).current.length = 0 };
    }
}
