//! Where to probe OpenSSL, BoringSSL and GnuTLS: libraries with C symbols.

use std::collections::HashMap;

use anyhow::Result;
use object::Architecture;

use super::elf::{Elf, MAX_FUNCTION_BYTES, Symbol};
use super::placement::{self, Cost, Need, Place};
use super::plan::{Point, Points, program};
use crate::model::sample::Library;

/// Bytes that are decoded of a function whose size the symbol table does not tell.
const UNKNOWN_SIZE_BYTES: u64 = 96;

/// One direction of a library: a function that returns its count, and one that stores it through its fourth argument.
struct Calls {
    plain: &'static str,
    extended: &'static str,
    entry: &'static str,
    entry_extended: &'static str,
    entry_fifth: &'static str,
    done: &'static str,
}

const WRITE: Calls = Calls {
    plain: "SSL_write",
    extended: "SSL_write_ex",
    entry: program::WRITE,
    entry_extended: program::WRITE_EX,
    entry_fifth: program::WRITE_EX_FIFTH,
    done: program::WRITE_DONE,
};
const READ: Calls = Calls {
    plain: "SSL_read",
    extended: "SSL_read_ex",
    entry: program::READ,
    entry_extended: program::READ_EX,
    entry_fifth: program::READ_EX_FIFTH,
    done: program::READ_DONE,
};
const GNUTLS_WRITE: Calls = Calls { plain: "gnutls_record_send", extended: "", ..WRITE };
const GNUTLS_READ: Calls = Calls { plain: "gnutls_record_recv", extended: "", ..READ };

/// Only BoringSSL has it.
const BORING_ONLY: &str = "SSL_CTX_set_grease_enabled";

/// The TLS library whose functions this file defines, if it is one: which, and its probe points.
pub(super) fn points(elf: &Elf<'_>) -> Result<Option<(Library, Points)>> {
    let names = [
        WRITE.plain,
        WRITE.extended,
        READ.plain,
        READ.extended,
        "SSL_free",
        BORING_ONLY,
        GNUTLS_WRITE.plain,
        GNUTLS_READ.plain,
        "gnutls_deinit",
    ];
    let found = elf.functions(&names)?;
    let (library, write, read, free) = if found.contains_key(WRITE.plain) {
        let library = if found.contains_key(BORING_ONLY) { Library::BoringSsl } else { Library::OpenSsl };
        (library, &WRITE, &READ, "SSL_free")
    } else if found.contains_key(GNUTLS_WRITE.plain) {
        (Library::GnuTls, &GNUTLS_WRITE, &GNUTLS_READ, "gnutls_deinit")
    } else {
        return Ok(None);
    };
    let on = Site { elf, found: &found };
    Ok(Some((
        library,
        Points { write: on.direction(write), read: on.direction(read), free: on.free(free), copy: None },
    )))
}

/// For measuring what the choice of places is worth: all probes at entries, or those of reads.
fn at_entries(reads: bool) -> bool {
    std::env::var_os("H2WATCH_PLACE")
        .is_some_and(|place| place == "entry" || reads && place == "entry-of-reads")
}

struct Site<'a, 'd> {
    elf: &'a Elf<'d>,
    found: &'a HashMap<String, Symbol>,
}

impl Site<'_, '_> {
    fn place(&self, symbol: Symbol, need: Need, at_entry: bool) -> Result<Place> {
        let size = if symbol.size == 0 { UNKNOWN_SIZE_BYTES } else { symbol.size.min(MAX_FUNCTION_BYTES) };
        let code = self.elf.code(symbol.address, size)?;
        let place = placement::c_function(self.elf.architecture(), code, symbol.address, need)?;
        if at_entry && place.address != symbol.address {
            let why = "at the entry, as H2WATCH_PLACE asks".to_owned();
            return Ok(Place { address: symbol.address, cost: Cost::SingleStepped, why });
        }
        Ok(place)
    }

    /// Points of one direction: the exported functions where that is cheap, else the inner function that they share.
    fn direction(&self, calls: &Calls) -> Result<Vec<Point>> {
        let mut outer = Vec::new();
        let at_entry = at_entries(calls.done == program::READ_DONE);
        for (name, entry, arguments) in
            [(calls.plain, calls.entry, 3), (calls.extended, calls.entry_extended, 4)]
        {
            if let Some(&symbol) = self.found.get(name) {
                let place = self.place(symbol, Need::ArgumentsAndReturn(arguments), at_entry)?;
                outer.push((name, entry, place));
            }
        }
        anyhow::ensure!(!outer.is_empty(), "no {}", calls.plain);
        if outer.iter().any(|(_, _, place)| place.cost == Cost::SingleStepped)
            && !at_entry
            && let Some((place, entry)) = self.inner(calls)
        {
            return self.pair(&format!("inside {}", calls.extended), entry, calls.done, &place);
        }
        let mut points = Vec::new();
        for (name, entry, place) in outer {
            points.extend(self.pair(name, entry, calls.done, &place)?);
        }
        Ok(points)
    }

    /// The static function that both exported ones call (`ssl_write_internal`): believed only when both call it, when it
    /// takes the count's address where the wrapper shows, and when it is cheap to probe.
    fn inner(&self, calls: &Calls) -> Option<(Place, &'static str)> {
        let wrapper_of = |name: &str| {
            let symbol = self.found.get(name)?;
            let code = self
                .elf
                .code(symbol.address, symbol.size.clamp(UNKNOWN_SIZE_BYTES, MAX_FUNCTION_BYTES))
                .ok()?;
            placement::wrapper(self.elf.architecture(), code, symbol.address).ok()
        };
        let (extended, plain) = (wrapper_of(calls.extended)?, wrapper_of(calls.plain)?);
        if extended.callee != plain.callee {
            return None;
        }
        let (entry, arguments) = match extended.fourth_is? {
            3 => (calls.entry_extended, 4),
            4 => (calls.entry_fifth, 5),
            _ => return None,
        };
        let place = self
            .place(Symbol { address: extended.callee, size: 0 }, Need::ArgumentsAndReturn(arguments), false)
            .ok()?;
        (place.cost == Cost::Emulated).then_some((place, entry))
    }

    /// An entry probe and its return half, at the same place: they share one trap.
    fn pair(&self, name: &str, entry: &'static str, done: &'static str, place: &Place) -> Result<Vec<Point>> {
        let at = Point::new(self.elf, entry, place, name)?;
        let back = Point { program: done, on_return: true, ..at.clone() };
        Ok(vec![at, back])
    }

    fn free(&self, name: &str) -> Result<Vec<Point>> {
        let symbol = self.found.get(name).copied();
        let symbol = symbol
            .ok_or_else(|| anyhow::anyhow!("no {name}: reused objects are told apart by votes only"))?;
        // Once per connection: the cost does not matter, the entry is always right.
        let place = match self.elf.architecture() {
            Architecture::X86_64 | Architecture::Aarch64 => self.place(symbol, Need::Arguments(1), false)?,
            other => anyhow::bail!("no probes on {other:?}"),
        };
        Ok(vec![Point::new(self.elf, program::FREE, &place, name)?])
    }
}
