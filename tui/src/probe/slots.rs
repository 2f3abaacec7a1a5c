//! The memory-mapped maps: slots read in place, without a system call for each connection.

use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{Ordering, fence};

use anyhow::{Context, Result};
use probe_common::settings::Settings;
use probe_common::slot::Slot;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Index of a slot.
pub type SlotId = u32;

/// A memory-mapped BPF array of `T`.
#[derive(Debug)]
pub(super) struct Mapped<T> {
    base: NonNull<T>,
    len: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and all access is through volatile copies.
unsafe impl<T: Send> Send for Mapped<T> {}

impl<T: Copy> Mapped<T> {
    /// Maps an array of `len` elements. The kernel rounds an element up to 8 bytes; `T` must be such a size already.
    pub(super) fn new(fd: BorrowedFd<'_>, len: usize) -> Result<Self> {
        const { assert!(size_of::<T>().is_multiple_of(8)) };
        let bytes = len * size_of::<T>();
        // SAFETY: a fresh mapping at an address that the kernel chooses.
        let base = unsafe {
            mmap(std::ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, fd, 0)
        }
        .with_context(|| format!("mapping {bytes} bytes of a BPF array"))?;
        let base = NonNull::new(base.cast()).context("the kernel mapped a BPF array at address 0")?;
        Ok(Self { base, len })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn at(&self, index: SlotId) -> Option<NonNull<T>> {
        let index = index as usize;
        // SAFETY: inside the mapping, which lives as long as self.
        (index < self.len).then(|| unsafe { self.base.add(index) })
    }

    /// A copy of an element. The kernel may be writing it: each field is whole, fields may be one frame apart.
    pub(super) fn read(&self, index: SlotId) -> Option<T> {
        // SAFETY: valid for reads; any bit pattern is a value of the mapped types.
        self.at(index).map(|element| unsafe { element.as_ptr().read_volatile() })
    }

    /// Changes an element in place through its pointer.
    pub(super) fn update(&self, index: SlotId, change: impl FnOnce(*mut T)) {
        if let Some(element) = self.at(index) {
            change(element.as_ptr());
            fence(Ordering::SeqCst);
        }
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length; nothing borrows it.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len * size_of::<T>()) };
    }
}

impl Mapped<Slot> {
    /// A copy of a slot in which the numbers that verdicts hang on belong together: copied again when a frame came between.
    pub(super) fn read_settled(&self, index: SlotId) -> Option<Slot> {
        let mut before = self.deciding(index)?;
        for _ in 0..4 {
            let slot = self.read(index)?;
            let after = self.deciding(index)?;
            if before == after {
                return Some(slot);
            }
            before = after;
        }
        self.read(index)
    }

    /// Streams opened, and when the peer was last heard.
    fn deciding(&self, index: SlotId) -> Option<(u64, u64)> {
        // SAFETY: reads of two fields of an element.
        let read = |slot: NonNull<Slot>| unsafe {
            let connection = &raw const (*slot.as_ptr()).connection;
            let opened = (&raw const (*connection).streams_opened).read_volatile();
            (opened, (&raw const (*connection).last_heard_ns).read_volatile())
        };
        self.at(index).map(read)
    }

    /// The connection that has a slot; 0 for a free one.
    pub(super) fn read_cookie(&self, index: SlotId) -> u64 {
        let mut cookie = 0;
        // SAFETY: a read of one field of the element.
        self.update(index, |slot| cookie = unsafe { (&raw const (*slot).connection.cookie).read_volatile() });
        cookie
    }

    /// What is known of the plaintext that its client writes (`PLAIN_*`).
    pub(super) fn read_plain_used(&self, index: SlotId) -> u32 {
        let field = |slot: NonNull<Slot>| {
            // SAFETY: a read of one field of the element.
            unsafe { (&raw const (*slot.as_ptr()).connection.sent_plain_used).read_volatile() }
        };
        self.at(index).map_or(0, field)
    }

    /// Makes a slot what the kernel expects of a free one: all zero.
    pub(super) fn zero(&self, index: SlotId) {
        // SAFETY: valid for writes; zero is a value of Slot. No program uses the slot any more.
        self.update(index, |slot| unsafe { slot.write_bytes(0, 1) });
    }
}

impl Mapped<Settings> {
    /// Writes one field, given by its offset (`offset_of!`); the others may be changing meanwhile.
    pub(super) fn set(&self, offset: usize, value: FieldValue) {
        // SAFETY: offsets come from `offset_of!(Settings, ..)`, and the value has the field's size.
        self.update(0, |settings| unsafe {
            let field = settings.byte_add(offset);
            match value {
                FieldValue::U32(value) => field.cast::<u32>().write_volatile(value),
                FieldValue::U64(value) => field.cast::<u64>().write_volatile(value),
            }
        });
    }
}

/// The types of fields in `Settings`.
#[derive(Clone, Copy, Debug)]
pub(super) enum FieldValue {
    U32(u32),
    U64(u64),
}
