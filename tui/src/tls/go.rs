//! Where to probe Go's `crypto/tls`.
//!
//! Never with a return probe: goroutine stacks move (measured: 20 of 240 reads returned on another stack), and a return
//! probe would corrupt them.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use object::Architecture;

use super::elf::{Elf, MAX_FUNCTION_BYTES};
use super::gopclntab::{Function, GoTable};
use super::placement;
use super::plan::{Point, Points, program};

const WRITE: &str = "crypto/tls.(*Conn).Write";
const READ: &str = "crypto/tls.(*Conn).Read";
const MEMMOVE: &str = "runtime.memmove";

/// Probe points of a Go program; `None` when it is not Go or has no `crypto/tls`.
pub(super) fn points(elf: &Elf<'_>) -> Result<Option<Points>> {
    let Some(table) = GoTable::open(elf)? else { return Ok(None) };
    ensure!(
        elf.architecture() != Architecture::Aarch64 || !table.is_before_1_18(),
        "Go before 1.18 passes arguments on the stack on aarch64"
    );
    let found = table.functions(&[WRITE, READ, MEMMOVE])?;
    if !found.contains_key(WRITE) {
        return Ok(None);
    }
    agree_with_symbols(elf, &found)?;
    let site = Site { elf, found: &found };
    let (read, copy) = match site.read() {
        Ok((point, receiver_offset)) => (Ok(vec![point]), Some(receiver_offset)),
        Err(error) => (Err(error), None),
    };
    Ok(Some(Points { write: site.write(), read, free: Ok(Vec::new()), copy }))
}

/// Where the program was not stripped, both tables must say the same.
fn agree_with_symbols(elf: &Elf<'_>, found: &HashMap<String, Function>) -> Result<()> {
    for (name, symbol) in elf.functions(&[WRITE, READ, MEMMOVE])? {
        let Some(function) = found.get(&name) else { continue };
        ensure!(
            function.address == symbol.address,
            ".gopclntab has {name} at {:#x}, .symtab at {:#x}",
            function.address,
            symbol.address
        );
    }
    Ok(())
}

struct Site<'a, 'd> {
    elf: &'a Elf<'d>,
    found: &'a HashMap<String, Function>,
}

impl<'d> Site<'_, 'd> {
    fn code(&self, name: &str) -> Result<(Function, &'d [u8])> {
        let function = *self.found.get(name).with_context(|| format!("no {name}: inlined or not linked"))?;
        let size = function.end - function.address;
        ensure!(size <= MAX_FUNCTION_BYTES, "{name} claims {size} bytes");
        let code = self.elf.code(function.address, size)?;
        ensure!(code.len() as u64 == size, "{name} reaches beyond its segment");
        Ok((function, code))
    }

    fn write(&self) -> Result<Vec<Point>> {
        let (function, code) = self.code(WRITE)?;
        let place = placement::go_function(self.elf.architecture(), code, function.address)
            .with_context(|| format!("{WRITE} at {:#x}", function.address))?;
        Ok(vec![Point::new(self.elf, program::GO_WRITE, &place, WRITE)?])
    }

    fn read(&self) -> Result<(Point, u32)> {
        let (function, code) = self.code(READ)?;
        let memmove = self.found.get(MEMMOVE).with_context(|| format!("no {MEMMOVE}"))?.address;
        let call = placement::go_copy_call(self.elf.architecture(), code, function.address, memmove)
            .with_context(|| format!("{READ} at {:#x}", function.address))?;
        Ok((Point::new(self.elf, program::GO_READ, &call.place, READ)?, call.receiver_offset))
    }
}
