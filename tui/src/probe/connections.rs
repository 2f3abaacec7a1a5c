//! Which connection has which slot: taken in, found, given back.

use std::mem::offset_of;
use std::net::IpAddr;

use probe_common::settings::Settings;
use probe_common::slot::{COMM_LEN, Connection, FAMILY_INET, FAMILY_INET6, ORIGIN_SEEDED, Slot};

use super::slots::FieldValue::U32;
use super::{Probe, SlotId, read};
use crate::diag::Socket;
use crate::model::sample::{Cookie, Reading};

/// What became of a connection that was open already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seeded {
    /// It is watched from now on.
    Taken(SlotId),
    /// It was watched before.
    Known,
    /// Every slot is taken: it is not watched.
    NoPlace,
}

impl Probe {
    /// Starts to watch a connection that was open already.
    pub fn seed(&mut self, socket: &Socket, pid: u32, now_ns: u64) -> Seeded {
        if self.connections.get(&socket.cookie, 0).is_ok() {
            return Seeded::Known;
        }
        let Some(settings) = self.settings.read(0) else { return Seeded::NoPlace };
        let Ok(index) = self.free.pop(0) else { return Seeded::NoPlace };
        let mut slot = Slot::default();
        slot.prepare(ORIGIN_SEEDED);
        let connection = &mut slot.connection;
        identify(connection, socket);
        connection.cookie = socket.cookie;
        connection.opened_ns = now_ns;
        connection.tgid = pid;
        connection.ring_after_ns = settings.ring_after_ns;
        connection.ring_min_streams = settings.ring_min_streams;
        // SAFETY: the slot is free: no program knows its index yet.
        self.slots.update(index, |place| unsafe { place.write(slot) });
        if index >= settings.slots_used {
            self.settings.set(offset_of!(Settings, slots_used), U32(index + 1));
        }
        if self.connections.insert(socket.cookie, index, 0).is_err() {
            self.free(index, socket.cookie);
            return Seeded::NoPlace;
        }
        Seeded::Taken(index)
    }

    /// True when a slot has this connection, open or closed and not read yet.
    #[must_use]
    pub fn remembers(&self, cookie: Cookie) -> bool {
        self.used().any(|(_, of)| of == cookie)
    }

    /// Every slot in use, as its index, and the connection that has it.
    pub fn used(&self) -> impl Iterator<Item = (SlotId, Cookie)> + '_ {
        let used = self.settings.read(0).map_or(0, |settings| settings.slots_used);
        (0..used.min(u32::try_from(self.slots.len()).unwrap_or(u32::MAX)))
            .map(|index| (index, self.slots.read_cookie(index)))
            .filter(|&(_, cookie)| cookie != 0)
    }

    /// True when another connection can be watched.
    #[must_use]
    pub fn has_place(&self) -> bool {
        self.used().count() < self.slots.len()
    }

    /// Reads a slot; `None` when it is free.
    #[must_use]
    pub fn read(&self, slot: SlotId) -> Option<Reading> {
        self.slots.read_settled(slot).and_then(|slot| read::reading(&slot))
    }

    /// The kernel no longer finds the slot of this connection; give it back at the next look, when nothing writes to it.
    pub fn disregard(&mut self, cookie: Cookie) {
        let _ = self.connections.remove(&cookie);
    }

    /// Gives the slot of a connection back, if it still has one.
    pub fn forget_connection(&mut self, cookie: Cookie) {
        if let Ok(slot) = self.connections.get(&cookie, 0) {
            self.free(slot, cookie);
        }
    }

    /// Gives the slot of a connection back, after its last reading. The connection is no longer watched. Does nothing when the
    /// slot is not the connection's any more: it was given back, and may have been taken by another one, since the caller was
    /// told of it.
    pub fn free(&mut self, slot: SlotId, cookie: Cookie) {
        if cookie == 0 || self.slots.read_cookie(slot) != cookie {
            return;
        }
        if self.connections.get(&cookie, 0).is_ok_and(|index| index == slot) {
            let _ = self.connections.remove(&cookie);
        }
        self.slots.zero(slot);
        let _ = self.free.push(slot, 0);
    }
}

/// Addresses as `Connection` keeps them.
fn identify(connection: &mut Connection, socket: &Socket) {
    let bytes = |address: IpAddr| {
        let mut bytes = [0; 16];
        match address {
            IpAddr::V4(v4) => bytes[..4].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => bytes = v6.octets(),
        }
        bytes
    };
    connection.family = if socket.remote.is_ipv4() { FAMILY_INET } else { FAMILY_INET6 };
    connection.local_addr = bytes(socket.local.ip());
    connection.remote_addr = bytes(socket.remote.ip());
    connection.local_port = socket.local.port();
    connection.remote_port = socket.remote.port();
    connection.comm = [0; COMM_LEN];
}
