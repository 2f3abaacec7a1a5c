//! Probe places in aarch64 code.
//!
//! Every instruction is one aligned word. C functions are probed at their entry, where `x0`.. are the arguments and `x30` is the
//! return address, which a return probe replaces: behind the instruction that saves it that would be too late. The first
//! instruction is hardly ever one of the cheaper ones. Go functions are probed behind the stack check.

use anyhow::{Context, Result, bail, ensure};

use super::{CopyCall, Cost, Place};

/// `b.ls`: condition 9 (ARM DDI 0487, C6.2.26).
fn is_branch_lower_or_same(word: u32) -> bool {
    word & 0xff00_001f == 0x5400_0009
}

/// `bl` to `target`.
fn is_call_of(word: u32, at: u64, target: u64) -> bool {
    let distance = i64::from(((word & 0x03ff_ffff) << 6).cast_signed() >> 6) * 4;
    word & 0xfc00_0000 == 0x9400_0000 && at.wrapping_add_signed(distance) == target
}

/// `ldr x16, [x28, #16]`: `g.stackguard0`; x28 is the goroutine.
fn is_stack_guard_load(word: u32) -> bool {
    word & 0xffff_ffe0 == 0xf940_0b80
}

/// Offset of `str x0, [sp, #n]`.
fn stored_receiver(word: u32) -> Option<u32> {
    (word & 0xffc0_03ff == 0xf900_03e0).then_some((word >> 10 & 0xfff) * 8)
}

/// Bytes of the frame: `str x30, [sp, #-n]!` for small ones, `sub sp|x20, sp, #n` for large ones.
fn frame_bytes(word: u32) -> Option<u32> {
    if word & 0xffe0_0fff == 0xf800_0ffe {
        let immediate = (word >> 12 & 0x1ff).cast_signed() << 23 >> 23;
        return Some(immediate.unsigned_abs());
    }
    let subtract = word & 0xff80_03e0 == 0xd100_03e0 && matches!(word & 31, 20 | 31);
    let shift = if word >> 22 & 1 == 1 { 12 } else { 0 };
    subtract.then_some((word >> 10 & 0xfff) << shift)
}

/// Instructions that every supported arm64 kernel simulates (`arch/arm64/kernel/probes/decode-insn.c`): `b`, `bl`, `b.cond`, `cbz`,
/// `cbnz`, `tbz`, `tbnz`, `adr`, `adrp`.
fn is_simulated(word: u32) -> bool {
    word & 0x7c00_0000 == 0x1400_0000
        || word & 0xff00_0010 == 0x5400_0000
        || word & 0x7e00_0000 == 0x3400_0000
        || word & 0x7e00_0000 == 0x3600_0000
        || word & 0x1f00_0000 == 0x1000_0000
}

fn cost(word: u32) -> Cost {
    if is_simulated(word) { Cost::Emulated } else { Cost::Unmeasured }
}

fn handling(cost: Cost) -> &'static str {
    if cost == Cost::Emulated { "simulates" } else { "steps out of line" }
}

fn words(code: &[u8]) -> Result<Vec<u32>> {
    let words: Vec<u32> =
        code.chunks_exact(4).filter_map(|b| Some(u32::from_le_bytes(b.try_into().ok()?))).collect();
    ensure!(!words.is_empty(), "no code");
    // udf: what never-executed padding and zeroed files hold.
    ensure!(words[0] >> 16 != 0, "no instruction at the beginning");
    Ok(words)
}

pub(super) fn c_function(code: &[u8], address: u64) -> Result<Place> {
    let cost = cost(words(code)?[0]);
    ensure!(address.is_multiple_of(4), "{address:#x} is not the address of an instruction");
    let why = format!("at the entry, which the kernel {}", handling(cost));
    Ok(Place { address, cost, why })
}

/// Index of the word behind the stack check.
fn behind_stack_check(words: &[u32]) -> Option<usize> {
    let guard = words.iter().take(2).position(|&w| is_stack_guard_load(w))?;
    let branch = words.iter().skip(guard).take(6).position(|&w| is_branch_lower_or_same(w))?;
    Some(guard + branch + 1)
}

pub(super) fn go_function(code: &[u8], address: u64) -> Result<Place> {
    let words = words(code)?;
    let behind = behind_stack_check(&words).context("the code does not begin with Go's stack check")?;
    let cost = cost(*words.get(behind).context("nothing behind Go's stack check")?);
    let place = address + 4 * behind as u64;
    let why = format!("at +{}, behind the stack check, which the kernel {}", 4 * behind, handling(cost));
    Ok(Place { address: place, cost, why })
}

pub(super) fn go_copy_call(code: &[u8], address: u64, memmove: u64) -> Result<CopyCall> {
    let words = words(code)?;
    let behind = behind_stack_check(&words).context("the code does not begin with Go's stack check")?;
    let at = |index: usize| address + 4 * index as u64;
    let calls: Vec<usize> = (0..words.len()).filter(|&i| is_call_of(words[i], at(i), memmove)).collect();
    let [call] = calls[..] else { bail!("{} calls of runtime.memmove instead of one", calls.len()) };
    let frame =
        words[behind..].iter().take(4).find_map(|&w| frame_bytes(w)).context("no stack frame is visible")?;
    let slot = frame + 8;
    let stores = words[behind..call].iter().filter(|&&w| stored_receiver(w) == Some(slot)).count();
    ensure!(stores == 1, "where the receiver is kept cannot be proven ({stores} stores to its slot)");
    let why = format!("at +{} on the call of runtime.memmove, which the kernel simulates", 4 * call);
    Ok(CopyCall { place: Place { address: at(call), cost: Cost::Emulated, why }, receiver_offset: slot })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_stack_check_is_passed() {
        // ldr x16, [x28, #16]; cmp sp, x16; b.ls; str x30, [sp, #-64]!
        let code: Vec<u8> = [0xf940_0b90u32, 0xeb30_63ff, 0x5400_0349, 0xf81c_0ffe]
            .iter()
            .flat_map(|w| w.to_le_bytes())
            .collect();
        let place = go_function(&code, 0x1000).unwrap();
        assert_eq!((place.address, place.cost), (0x100c, Cost::Unmeasured));
        assert!(go_function(&code[..12], 0x1000).is_err(), "nothing behind it");
        assert_eq!(frame_bytes(0xf81c_0ffe), Some(64));
        assert!(go_function(&code[4..], 0x1000).is_err());
        assert!(c_function(&[0; 16], 0x1000).is_err());
    }

    #[test]
    fn the_cheaper_instructions_are_told_from_the_others() {
        // b; bl; b.ls; cbz x0; cbnz w1; tbz; adr; adrp
        for word in [
            0x1400_0001,
            0x97ff_ffff,
            0x5400_0349,
            0xb400_0060,
            0x3500_0061,
            0x3600_0060,
            0x1000_0000,
            0x9000_0000,
        ] {
            assert_eq!(
                c_function(&u32::to_le_bytes(word), 0x1000).unwrap().cost,
                Cost::Emulated,
                "{word:#x}"
            );
        }
        // stp x29, x30, [sp, #-32]!; sub sp, sp, #32; paciasp; mov x8, x0; ret
        for word in [0xa9be_7bfd, 0xd100_83ff, 0xd503_233f, 0xaa00_03e8, 0xd65f_03c0] {
            assert_eq!(
                c_function(&u32::to_le_bytes(word), 0x1000).unwrap().cost,
                Cost::Unmeasured,
                "{word:#x}"
            );
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(code: Vec<u8>, address: u32) {
            let _ = c_function(&code, u64::from(address));
            let _ = go_function(&code, u64::from(address));
            let _ = go_copy_call(&code, u64::from(address), 0);
        }
    }
}
