//! Probe places in x86_64 code, by decoding it.

use anyhow::{Context, Result, bail, ensure};
use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind,
    Register,
};

use super::{CopyCall, Cost, Need, Place, Wrapper};

/// Integer arguments of the System V ABI, in order.
const C_ARGUMENTS: [Register; 6] =
    [Register::RDI, Register::RSI, Register::RDX, Register::RCX, Register::R8, Register::R9];
/// First three integer arguments of Go's internal ABI, and the register of the goroutine.
const GO_ARGUMENTS: [Register; 3] = [Register::RAX, Register::RBX, Register::RCX];
const GO_G: Register = Register::R14;
/// Prologues are shorter than this many instructions.
const PROLOGUE: usize = 24;

/// Decodes all of `code`. A last instruction that is cut by the end of `code` is left out.
fn decode(code: &[u8], address: u64) -> Result<Vec<Instruction>> {
    let mut decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let mut all = Vec::new();
    while decoder.can_decode() {
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            if decoder.last_error() == iced_x86::DecoderError::NoMoreBytes && !all.is_empty() {
                break;
            }
            bail!("no instruction at {:#x}", instruction.ip());
        }
        all.push(instruction);
    }
    ensure!(!all.is_empty(), "no code at {address:#x}");
    Ok(all)
}

/// True for the instructions that every supported kernel emulates. Only the plain forms: prefixes have changed meaning
/// between kernels.
fn emulated(instruction: &Instruction, code: &[u8], address: u64) -> bool {
    let Ok(at) = usize::try_from(instruction.ip() - address) else { return false };
    match code.get(at..at + instruction.len()) {
        Some([0x50..=0x57 | 0x90 | 0x70..=0x7f | 0xeb | 0xe8 | 0xe9, ..] | [0x41, 0x50..=0x57]) => true,
        Some([0x0f, second, ..]) => (0x80..=0x8f).contains(second),
        _ => false,
    }
}

fn writes(instruction: &Instruction, registers: &[Register]) -> bool {
    let mut factory = InstructionInfoFactory::new();
    factory.info(instruction).used_registers().iter().any(|used| {
        registers.contains(&used.register().full_register())
            && !matches!(used.access(), OpAccess::Read | OpAccess::CondRead | OpAccess::None)
    })
}

fn describe(instruction: &Instruction) -> String {
    format!("{:?}", instruction.mnemonic()).to_lowercase()
}

/// The first emulated instruction of `straight` that all calls pass exactly once with `kept` untouched.
fn first_emulated(
    all: &[Instruction],
    straight: &[Instruction],
    kept: &[Register],
    code: &[u8],
    address: u64,
) -> Option<Instruction> {
    for instruction in straight.iter().take(PROLOGUE) {
        if emulated(instruction, code, address) {
            let begin = straight.first().map_or(address, Instruction::ip);
            let looped = all.iter().any(|other| {
                other.near_branch_target() > begin && other.near_branch_target() <= instruction.ip()
            });
            return (!looped).then_some(*instruction);
        }
        if instruction.flow_control() != FlowControl::Next || writes(instruction, kept) {
            return None;
        }
    }
    None
}

pub(super) fn c_function(code: &[u8], address: u64, need: Need) -> Result<Place> {
    let all = decode(code, address)?;
    let (n, with_return) = match need {
        Need::Arguments(n) => (n, false),
        Need::ArgumentsAndReturn(n) => (n, true),
    };
    let mut kept = C_ARGUMENTS[..n.min(C_ARGUMENTS.len())].to_vec();
    if with_return {
        kept.push(Register::RSP);
    }
    Ok(match first_emulated(&all, &all, &kept, code, address) {
        Some(found) => Place {
            address: found.ip(),
            cost: Cost::Emulated,
            why: format!("at +{} on {}, which the kernel emulates", found.ip() - address, describe(&found)),
        },
        None => Place {
            address,
            cost: Cost::SingleStepped,
            why: format!(
                "at the entry on {}, which the kernel single-steps: no emulated instruction comes before the {} change",
                describe(&all[0]),
                if with_return { "arguments or the stack" } else { "arguments" }
            ),
        },
    })
}

/// Index of the first instruction behind `cmp rsp|r12, [r14 + n]; jbe morestack`, when this is one whole Go function: after
/// growing the stack it begins again, so its last instruction, before the padding, is a jump to its first one. A table that
/// is off by some bytes names other places, of which every tenth or so begins with a stack check as well.
fn behind_stack_check(all: &[Instruction]) -> Option<usize> {
    let last = all.iter().rfind(|i| i.mnemonic() != Mnemonic::Int3)?;
    if !last.is_jmp_short_or_near() || last.near_branch_target() != all.first()?.ip() {
        return None;
    }
    let compare = all.iter().take(6).position(|i| {
        i.mnemonic() == Mnemonic::Cmp
            && i.memory_base() == GO_G
            && matches!(i.op0_register(), Register::RSP | Register::R12 | Register::R13)
    })?;
    let branch = all.get(compare + 1)?;
    (branch.mnemonic() == Mnemonic::Jbe).then_some(compare + 2)
}

pub(super) fn go_function(code: &[u8], address: u64) -> Result<Place> {
    let all = decode(code, address)?;
    let behind =
        behind_stack_check(&all).context("the code is not one whole function with Go's stack check")?;
    let straight =
        all.get(behind..).filter(|rest| !rest.is_empty()).context("nothing behind Go's stack check")?;
    Ok(match first_emulated(&all, straight, &GO_ARGUMENTS, code, address) {
        Some(found) => Place {
            address: found.ip(),
            cost: Cost::Emulated,
            why: format!(
                "at +{} on {}, behind the stack check, which the kernel emulates",
                found.ip() - address,
                describe(&found)
            ),
        },
        None => Place {
            address: straight[0].ip(),
            cost: Cost::SingleStepped,
            why: format!(
                "at +{} on {}, behind the stack check, which the kernel single-steps",
                straight[0].ip() - address,
                describe(&straight[0])
            ),
        },
    })
}

/// Bytes between the stack pointer in the body and at the entry: `push rbp` (Go 1.21 and newer) and `sub rsp, n`.
fn frame_bytes(all: &[Instruction]) -> Option<u64> {
    let mut bytes = 0u64;
    for instruction in all.iter().take(PROLOGUE) {
        match (instruction.mnemonic(), instruction.op0_register()) {
            (Mnemonic::Push, _) => bytes += 8,
            (Mnemonic::Sub, Register::RSP) => return bytes.checked_add(instruction.immediate(1)),
            (Mnemonic::Add, Register::RSP) => {
                return bytes.checked_add(instruction.immediate(1).cast_signed().unsigned_abs());
            }
            _ => {}
        }
    }
    None
}

pub(super) fn go_copy_call(code: &[u8], address: u64, memmove: u64) -> Result<CopyCall> {
    let all = decode(code, address)?;
    behind_stack_check(&all).context("the code is not one whole function with Go's stack check")?;
    let calls: Vec<&Instruction> =
        all.iter().filter(|i| i.is_call_near() && i.near_branch_target() == memmove).collect();
    let [call] = calls[..] else { bail!("{} calls of runtime.memmove instead of one", calls.len()) };
    let frame = frame_bytes(&all).context("the stack frame's size is not visible")?;
    let slot = frame.checked_add(8).context("the stack frame has no end")?;
    let stores: Vec<&Instruction> = all
        .iter()
        .filter(|i| i.mnemonic() == Mnemonic::Mov && i.op0_kind() == OpKind::Memory)
        .filter(|i| i.memory_base() == Register::RSP && i.memory_displacement64() == slot)
        .collect();
    // The epilogue of the stack check spills and reloads at its own depth of the stack, so it does not match `slot`.
    let proven =
        matches!(stores[..], [store] if store.op1_register() == Register::RAX && store.ip() < call.ip());
    ensure!(proven, "where the receiver is kept cannot be proven ({} stores to its slot)", stores.len());
    let receiver_offset = u32::try_from(slot)?;
    let why = format!("at +{} on call runtime.memmove, which the kernel emulates", call.ip() - address);
    Ok(CopyCall { place: Place { address: call.ip(), cost: Cost::Emulated, why }, receiver_offset })
}

/// Follows the fourth argument (`rcx`) through a wrapper to its first direct call or tail jump.
pub(super) fn wrapper(code: &[u8], address: u64) -> Result<Wrapper> {
    let all = decode(code, address)?;
    let own = address..address + code.len() as u64;
    let mut holder = Some(3usize);
    for instruction in all.iter().take(2 * PROLOGUE) {
        let target = instruction.near_branch_target();
        let leaves = instruction.is_call_near()
            || ((instruction.is_jmp_short() || instruction.is_jmp_near()) && !own.contains(&target));
        if leaves {
            return Ok(Wrapper { callee: target, fourth_is: holder });
        }
        if matches!(
            instruction.flow_control(),
            FlowControl::Return | FlowControl::IndirectBranch | FlowControl::Interrupt
        ) {
            break;
        }
        let copied = instruction.mnemonic() == Mnemonic::Mov
            && holder.is_some_and(|h| instruction.op1_register() == C_ARGUMENTS[h]);
        let into = C_ARGUMENTS.iter().position(|&r| r == instruction.op0_register());
        match (copied, into, holder) {
            (true, Some(to), _) => holder = Some(to),
            (_, _, Some(h)) if writes(instruction, &[C_ARGUMENTS[h]]) => holder = None,
            _ => {}
        }
    }
    bail!("no direct call at the beginning of the wrapper")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: u64 = 0x1000;

    #[test]
    fn push_at_the_entry_serves_both_halves() {
        // push rbp; mov rbp, rsp; ret
        let place = c_function(&[0x55, 0x48, 0x89, 0xe5, 0xc3], AT, Need::ArgumentsAndReturn(3)).unwrap();
        assert_eq!((place.address, place.cost), (AT, Cost::Emulated));
    }

    #[test]
    fn tail_jump_still_has_the_return_address_on_top() {
        // xor r8d, r8d; xor ecx, ecx; jmp +0x1000 (gnutls_record_send)
        let code = [0x45, 0x31, 0xc0, 0x31, 0xc9, 0xe9, 0, 0x10, 0, 0];
        let place = c_function(&code, AT, Need::ArgumentsAndReturn(3)).unwrap();
        assert_eq!((place.address, place.cost), (AT + 5, Cost::Emulated));
        // With a fourth argument, `xor ecx, ecx` destroys it.
        let place = c_function(&code, AT, Need::ArgumentsAndReturn(4)).unwrap();
        assert_eq!((place.address, place.cost), (AT, Cost::SingleStepped));
    }

    #[test]
    fn moved_stack_forbids_the_return_half_only() {
        // sub rsp, 24; test edx, edx; js +2; nop; nop; ret (SSL_write)
        let code = [0x48, 0x83, 0xec, 0x18, 0x85, 0xd2, 0x78, 0x02, 0x90, 0x90, 0xc3];
        assert_eq!(c_function(&code, AT, Need::Arguments(3)).unwrap().address, AT + 6);
        let both = c_function(&code, AT, Need::ArgumentsAndReturn(3)).unwrap();
        assert_eq!((both.address, both.cost), (AT, Cost::SingleStepped));
    }

    #[test]
    fn a_loop_over_the_place_is_no_place() {
        // test edx, edx; nop; jne -3 (to the nop); ret
        let code = [0x85, 0xd2, 0x90, 0x75, 0xfd, 0xc3];
        let place = c_function(&code, AT, Need::Arguments(3)).unwrap();
        assert_eq!((place.address, place.cost), (AT, Cost::SingleStepped));
    }

    #[test]
    fn undecodable_code_is_refused() {
        assert!(c_function(&[0x06, 0x07], AT, Need::Arguments(1)).is_err());
        assert!(go_function(&[0x55, 0xc3], AT).is_err());
        assert!(c_function(&[], AT, Need::Arguments(1)).is_err());
    }

    #[test]
    fn the_fourth_argument_is_followed_into_the_inner_function() {
        // sub rsp, 8; call +0x100; ret
        let same = wrapper(&[0x48, 0x83, 0xec, 8, 0xe8, 0, 1, 0, 0, 0xc3], AT).unwrap();
        assert_eq!(same, Wrapper { callee: AT + 9 + 0x100, fourth_is: Some(3) });
        // mov r8, rcx; xor ecx, ecx; call +0x100; ret (OpenSSL 3.3)
        let moved = wrapper(&[0x49, 0x89, 0xc8, 0x31, 0xc9, 0xe8, 0, 1, 0, 0, 0xc3], AT).unwrap();
        assert_eq!(moved.fourth_is, Some(4));
        // xor ecx, ecx; call +0x100; ret
        let lost = wrapper(&[0x31, 0xc9, 0xe8, 0, 1, 0, 0, 0xc3], AT).unwrap();
        assert_eq!(lost.fourth_is, None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(code: Vec<u8>, address: u32, n in 0usize..9) {
            let address = u64::from(address);
            let _ = c_function(&code, address, Need::ArgumentsAndReturn(n));
            let _ = go_function(&code, address);
            let _ = go_copy_call(&code, address, address + 7);
            let _ = wrapper(&code, address);
        }

        #[test]
        fn a_place_is_always_the_start_of_an_instruction(code: Vec<u8>) {
            if let Ok(place) = c_function(&code, AT, Need::Arguments(3)) {
                prop_assert!(decode(&code, AT).unwrap().iter().any(|i| i.ip() == place.address));
            }
        }
    }
}
