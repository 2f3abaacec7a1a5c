//! At which instruction of a function a probe is safe, and at which it is cheap.
//!
//! On x86_64 the kernel emulates some instructions under a probe (`push`, `nop`, direct `jcc`, `call`, `jmp`:
//! `arch/x86/kernel/uprobes.c`, `branch_setup_xol_ops` and `push_setup_xol_ops`) and single-steps the others, which costs ten times as much (docs/overhead.md). So
//! the best place is the first emulated instruction while the arguments are still in their registers. A probe with a return
//! half also needs the return address on top of the stack. A function that does not decode gets no probe.
//!
//! arm64 kernels simulate branches, address loads and (since Linux 6.12, commit ac4ad5c09b34) `nop`, and step all others out of line,
//! which costs more there as well. How much more was not measured by the project: it has no such machine.

mod aarch64;
mod x86;

use anyhow::{Result, bail};
use object::Architecture;

/// What the kernel does with the instruction under the probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    Emulated,
    /// Single-stepped on aarch64, where what that costs was not measured.
    Unmeasured,
    SingleStepped,
}

impl Cost {
    /// Whether `--tls auto` takes it (`docs/overhead.md`): a call of the library may become 3 us slower.
    #[must_use]
    pub fn is_within_budget(self) -> bool {
        self != Self::SingleStepped
    }

    /// What a call costs that is probed, return and walk included.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Emulated => "about 2 us a call",
            Self::Unmeasured => "a single step a call, not measured on aarch64",
            Self::SingleStepped => "a single step a call, about 10 us",
        }
    }
}

/// A proven place for a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub address: u64,
    pub cost: Cost,
    /// Why here, for `doctor -v`.
    pub why: String,
}

/// The copy out of `tls.(*Conn).Read`: one `call runtime.memmove` with destination, source and length in registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyCall {
    pub place: Place,
    /// Where the receiver was spilled, bytes above the stack pointer at the call.
    pub receiver_offset: u32,
}

/// How many of a function's leading arguments must still be in their registers, and what the stack must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The first `n` integer arguments of the C ABI.
    Arguments(usize),
    /// Likewise, and the return address on top of the stack (or in its register): for a probe with a return half.
    ArgumentsAndReturn(usize),
}

/// Places a probe at the beginning of a C function. `code` begins at `address` and may be longer than the function when its
/// size is not known.
///
/// # Errors
/// The code does not decode.
pub fn c_function(arch: Architecture, code: &[u8], address: u64, need: Need) -> Result<Place> {
    match arch {
        Architecture::X86_64 => x86::c_function(code, address, need),
        Architecture::Aarch64 => aarch64::c_function(code, address),
        other => bail!("no probes on {other:?}"),
    }
}

/// Places a probe behind the stack check of a Go function, where it fires once per call even when the stack grows.
///
/// # Errors
/// The code does not decode, or does not begin with Go's stack check.
pub fn go_function(arch: Architecture, code: &[u8], address: u64) -> Result<Place> {
    match arch {
        Architecture::X86_64 => x86::go_function(code, address),
        Architecture::Aarch64 => aarch64::go_function(code, address),
        other => bail!("no probes on {other:?}"),
    }
}

/// Finds the one call of `memmove` in a Go function, and where the function spilled its receiver.
///
/// # Errors
/// The code does not decode, there is not exactly one such call, or the spilled receiver cannot be proven.
pub fn go_copy_call(arch: Architecture, code: &[u8], address: u64, memmove: u64) -> Result<CopyCall> {
    match arch {
        Architecture::X86_64 => x86::go_copy_call(code, address, memmove),
        Architecture::Aarch64 => aarch64::go_copy_call(code, address, memmove),
        other => bail!("no probes on {other:?}"),
    }
}

/// The callee of the first direct call or tail jump in a short wrapper, and which of its arguments is the wrapper's fourth
/// (for OpenSSL, the `size_t *written`), when the code shows it.
///
/// # Errors
/// The code does not decode, or shows no such call.
pub fn wrapper(arch: Architecture, code: &[u8], address: u64) -> Result<Wrapper> {
    match arch {
        Architecture::X86_64 => x86::wrapper(code, address),
        _ => bail!("inner functions are looked for on x86_64 only"),
    }
}

/// What a wrapper calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrapper {
    pub callee: u64,
    /// Index of the callee's argument that is the wrapper's fourth argument; `None` when it was not passed on.
    pub fourth_is: Option<usize>,
}
