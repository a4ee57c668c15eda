//! From "this range of system calls, this verdict" to a classic BPF program for seccomp(2).
//!
//! The program is a binary search over ranges, not a chain: the kernel walks every filter once per system call number
//! when it is installed (to remember which are always allowed), so a chain of 300 comparisons costs each start most of
//! a millisecond and a tree next to nothing. Jumps beyond 255 instructions go through `JA`, so no table is too long.

use std::ops::RangeInclusive;

/// Offsets in `struct seccomp_data`.
const NR: u32 = 0;
const ARCH: u32 = 4;
const ARG0_LOW: u32 = 16;

/// Instruction codes of the classic machine, as far as they are needed.
const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_AT_LEAST: u16 = 0x35;
const JUMP_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// `SECCOMP_RET_ALLOW`, `SECCOMP_RET_ERRNO`.
const RET_ALLOW: u32 = 0x7fff_0000;
const RET_ERRNO: u32 = 0x0005_0000;

/// What happens to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is made.
    Allow,
    /// It returns this errno instead.
    Errno(u16),
    /// Allowed unless its first argument has one of these bits, then EPERM.
    UnlessAnyBit(u32),
    /// Allowed if its first argument is one of these, else EPERM.
    IfOneOf(&'static [u32]),
    /// Allowed unless its first argument is one of these, then EPERM.
    UnlessOneOf(&'static [u32]),
}

/// EPERM
const EPERM: u16 = 1;
/// ENOSYS
const ENOSYS: u16 = 38;

/// Compiles `ranges` (ascending, without gaps, from 0 to `u32::MAX`) for one `AUDIT_ARCH_…`; another architecture's
/// calls are ENOSYS. The result is 8 bytes an instruction in native order, as init and the kernel take it.
pub fn compile(arch: u32, ranges: &[(RangeInclusive<u32>, Verdict)]) -> Vec<u8> {
    let mut code = vec![
        instruction(LOAD, 0, 0, ARCH),
        instruction(JUMP_EQUAL, 1, 0, arch),
        verdict_return(Verdict::Errno(ENOSYS)),
        instruction(LOAD, 0, 0, NR),
    ];
    search(&mut code, ranges);
    code.concat()
}

fn instruction(code: u16, if_true: u8, if_false: u8, value: u32) -> Vec<u8> {
    let mut bytes = code.to_ne_bytes().to_vec();
    bytes.extend([if_true, if_false]);
    bytes.extend(value.to_ne_bytes());
    bytes
}

/// `if nr >= middle { right } else { left }`, down to one range.
fn search(code: &mut Vec<Vec<u8>>, ranges: &[(RangeInclusive<u32>, Verdict)]) {
    if ranges.len() <= 1 {
        ranges.iter().for_each(|(_, verdict)| leaf(code, *verdict));
        return;
    }
    let (left, right) = ranges.split_at(ranges.len() / 2);
    code.push(instruction(JUMP_AT_LEAST, 0, 1, *right[0].0.start()));
    let jump = code.len();
    code.push(Vec::new());
    search(code, left);
    let distance = (code.len() - jump - 1) as u32;
    code[jump] = instruction(JUMP, 0, 0, distance);
    search(code, right);
}

fn leaf(code: &mut Vec<Vec<u8>>, verdict: Verdict) {
    match verdict {
        Verdict::UnlessAnyBit(bits) => {
            code.push(instruction(LOAD, 0, 0, ARG0_LOW));
            code.push(instruction(JUMP_ANY_BIT, 0, 1, bits));
            code.push(verdict_return(Verdict::Errno(EPERM)));
            code.push(verdict_return(Verdict::Allow));
        }
        Verdict::IfOneOf(values) => one_of(code, values, Verdict::Allow, Verdict::Errno(EPERM)),
        Verdict::UnlessOneOf(values) => one_of(code, values, Verdict::Errno(EPERM), Verdict::Allow),
        constant => code.push(verdict_return(constant)),
    }
}

fn one_of(code: &mut Vec<Vec<u8>>, values: &[u32], then: Verdict, otherwise: Verdict) {
    code.push(instruction(LOAD, 0, 0, ARG0_LOW));
    for value in values {
        code.push(instruction(JUMP_EQUAL, 0, 1, *value));
        code.push(verdict_return(then));
    }
    code.push(verdict_return(otherwise));
}

fn verdict_return(verdict: Verdict) -> Vec<u8> {
    let value = match verdict {
        Verdict::Errno(errno) => RET_ERRNO | u32::from(errno),
        _ => RET_ALLOW,
    };
    instruction(RETURN, 0, 0, value)
}

/// Runs a program as the kernel would, for tests: (arch, nr, low half of the first argument) to the returned value.
#[cfg(test)]
pub fn run(program: &[u8], arch: u32, nr: u32, arg0: u32) -> u32 {
    let (chunks, _) = program.as_chunks::<8>();
    let (mut at, mut accumulator) = (0, 0);
    loop {
        let [a, b, if_true, if_false, k @ ..] = chunks[at];
        let (code, k) = (u16::from_ne_bytes([a, b]), u32::from_ne_bytes(k));
        at += 1;
        let test = match code {
            LOAD => {
                accumulator = [nr, arch, 0, 0, arg0][(k / 4) as usize];
                continue;
            }
            RETURN => return k,
            JUMP => {
                at += k as usize;
                continue;
            }
            JUMP_EQUAL => accumulator == k,
            JUMP_AT_LEAST => accumulator >= k,
            _ => accumulator & k != 0,
        };
        at += usize::from(if test { if_true } else { if_false });
    }
}
