//! Whether every call chain of a program fits into the kernel's stack.
//!
//! The verifier adds up the frames of the functions that call each other, the callbacks of `bpf_loop` among them, and refuses
//! more than 512 bytes (`check_max_stack_depth` in `kernel/bpf/verifier.c`). What it adds depends on the kernel: each frame is
//! rounded up to 32 bytes, to 16 on later kernels with a JIT, and some kernels since Linux 6.13 give the frames of uprobe programs a stack
//! of their own. An object that loads where it was made may so be refused elsewhere. Here the strictest rule is applied to
//! the bytes, and no kernel is needed.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use aya_obj::Object;
use aya_obj::generated::bpf_insn;

/// `MAX_BPF_STACK` (`include/linux/filter.h`), in bytes.
const LIMIT: u32 = 512;
/// A frame takes a multiple of this, and at least this.
const ROUNDED_TO: u32 = 32;
/// The frame pointer.
const R10: u8 = 10;
const CALL: u8 = 0x85;
const LOAD_64: u8 = 0x18;
/// Source registers that say what the immediate value is (`linux/bpf.h`).
const PSEUDO_CALL: u8 = 1;
const PSEUDO_FUNC: u8 = 4;
const MOVE_64: u8 = 0xbf;
const ADD_64_VALUE: u8 = 0x07;

/// A function of a program: its frame in bytes, and which functions it calls, by their first instruction.
#[derive(Debug, Default)]
struct Function {
    frame: u32,
    calls: Vec<usize>,
}

/// The deepest call chain of each program of the object, in bytes.
fn depths(object: &[u8]) -> Result<BTreeMap<String, u32>> {
    let mut object = Object::parse(object).context("no BPF object")?;
    let text = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_calls(&text).context("linking the functions of the object")?;
    let depth = |(name, program): (&String, &aya_obj::Program)| {
        let function = object.functions.get(&program.function_key());
        let function = function.with_context(|| format!("the program {name} has no code"))?;
        Ok((name.clone(), deepest(&functions(&function.instructions), 0)))
    };
    object.programs.iter().map(depth).collect()
}

/// Refuses an object that some kernel would refuse.
pub(super) fn check(object: &Path) -> Result<()> {
    let bytes = std::fs::read(object).with_context(|| format!("cannot read {}", object.display()))?;
    for (name, depth) in depths(&bytes)? {
        ensure!(
            depth <= LIMIT,
            "{}: the calls of {name} take {depth} bytes of stack, kernels allow {LIMIT}: make a function of its own of what \
             is not needed at the same time",
            object.display()
        );
    }
    Ok(())
}

/// The functions of a linked program, by their first instruction.
fn functions(code: &[bpf_insn]) -> BTreeMap<usize, Function> {
    let target = |(at, instruction): (usize, &bpf_insn)| called(instruction, at);
    let mut functions = BTreeMap::from([(0, Function::default())]);
    functions.extend(code.iter().enumerate().filter_map(target).map(|at| (at, Function::default())));
    // Registers that hold the frame pointer: it is moved, then lowered.
    let mut moved = 0u16;
    for (at, instruction) in code.iter().enumerate() {
        let Some((_, function)) = functions.range_mut(..=at).next_back() else { continue };
        function.calls.extend(called(instruction, at));
        let (to, from) = (instruction.dst_reg(), instruction.src_reg());
        let touched = match instruction.code {
            MOVE_64 => {
                moved = moved & !(1 << to) | u16::from(from == R10) << to;
                0
            }
            ADD_64_VALUE if moved & 1 << to != 0 => {
                moved &= !(1 << to);
                instruction.imm
            }
            // Classes 1 to 3: loads and stores by register.
            code if code & 7 == 1 && from == R10 || matches!(code & 7, 2 | 3) && to == R10 => {
                i32::from(instruction.off)
            }
            _ => 0,
        };
        function.frame = function.frame.max(touched.min(0).unsigned_abs());
    }
    functions
}

/// The first instruction of the function that is called, or given to a helper, here.
fn called(instruction: &bpf_insn, at: usize) -> Option<usize> {
    let is_call = instruction.code == CALL && instruction.src_reg() == PSEUDO_CALL;
    let is_callback = instruction.code == LOAD_64 && instruction.src_reg() == PSEUDO_FUNC;
    (is_call || is_callback).then(|| at.checked_add_signed(instruction.imm as isize + 1))?
}

/// There is no recursion: the verifier refuses that.
fn deepest(functions: &BTreeMap<usize, Function>, at: usize) -> u32 {
    let Some(function) = functions.get(&at) else { return 0 };
    let below = function.calls.iter().map(|&called| deepest(functions, called)).max();
    function.frame.max(1).next_multiple_of(ROUNDED_TO) + below.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{ARCHITECTURES, committed};

    #[test]
    fn every_committed_program_fits() {
        for architecture in ARCHITECTURES {
            check(&committed(architecture)).unwrap();
        }
    }
}
