//! From "this range of system calls, this verdict" to a classic BPF program for seccomp(2).
//!
//! The program is a binary search over ranges, not a chain: the kernel walks every filter once per system call number
//! when it is installed (to remember which are always allowed), so a chain of 300 comparisons costs each start most of
//! a millisecond and a tree next to nothing. Jumps beyond 255 instructions go through `JA`, so no table is too long.

use std::ops::RangeInclusive;

/// Offsets in `struct seccomp_data`.
const NR: u32 = 0;
const ARCH: u32 = 4;
const ARG0_LOW: u32 = ARGS;

/// `args[n]`, its low half; the high half follows (both architectures are little-endian).
const ARGS: u32 = 16;

/// Instruction codes of the classic machine, as far as they are needed.
const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_AT_LEAST: u16 = 0x35;
const JUMP_ABOVE: u16 = 0x25;
const JUMP_ANY_BIT: u16 = 0x45;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;

/// `SECCOMP_RET_ALLOW`, `SECCOMP_RET_ERRNO`.
pub const RET_ALLOW: u32 = 0x7fff_0000;
pub const RET_ERRNO: u32 = 0x0005_0000;

/// What happens to a system call.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// This `SECCOMP_RET_…`.
    Return(u32),
    /// The `SECCOMP_RET_…` of the first case of which every test holds, else that one.
    Cases(Vec<Case>, u32),
}

/// Tests of arguments, and what follows if all hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// All of them.
    pub tests: Vec<Test>,
    /// `SECCOMP_RET_…`
    pub then: u32,
}

/// One test of one argument, whole 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Test {
    /// Which argument: 0 to 5.
    pub argument: u32,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub value: u64,
}

/// How an argument is compared with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// These bits of it, `==`
    Masked(u64),
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
        verdict_return(&Verdict::Errno(ENOSYS)),
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
        ranges.iter().for_each(|(_, verdict)| leaf(code, verdict));
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

fn leaf(code: &mut Vec<Vec<u8>>, verdict: &Verdict) {
    match verdict {
        Verdict::UnlessAnyBit(bits) => {
            code.push(instruction(LOAD, 0, 0, ARG0_LOW));
            code.push(instruction(JUMP_ANY_BIT, 0, 1, *bits));
            code.push(verdict_return(&Verdict::Errno(EPERM)));
            code.push(verdict_return(&Verdict::Allow));
        }
        Verdict::IfOneOf(values) => one_of(code, values, Verdict::Allow, Verdict::Errno(EPERM)),
        Verdict::UnlessOneOf(values) => one_of(code, values, Verdict::Errno(EPERM), Verdict::Allow),
        Verdict::Cases(cases, otherwise) => {
            cases.iter().for_each(|case| self::case(code, case));
            code.push(instruction(RETURN, 0, 0, *otherwise));
        }
        constant => code.push(verdict_return(constant)),
    }
}

/// Its tests, each of which may lead to what follows the case.
fn case(code: &mut Vec<Vec<u8>>, case: &Case) {
    let mut fails = Vec::new();
    case.tests.iter().for_each(|test| self::test(code, *test, &mut fails));
    code.push(instruction(RETURN, 0, 0, case.then));
    land(code, &fails);
}

/// Each half of the argument is compared with that of the value, the high one first: where they differ it decides.
fn test(code: &mut Vec<Vec<u8>>, test: Test, fails: &mut Vec<usize>) {
    let halves = |value: u64| [(value >> 32) as u32, value as u32];
    let [high, low] = halves(test.value);
    let load = |code: &mut Vec<Vec<u8>>, half: u32| code.push(instruction(LOAD, 0, 0, ARGS + 8 * test.argument + half));
    let mut holds = Vec::new();
    match test.comparison {
        Comparison::Masked(mask) => {
            for (half, mask, value) in [(4, halves(mask)[0], high), (0, halves(mask)[1], low)] {
                load(code, half);
                code.push(instruction(AND, 0, 0, mask));
                unless(code, JUMP_EQUAL, value, fails);
            }
        }
        Comparison::Equal => {
            for (half, value) in [(4, high), (0, low)] {
                load(code, half);
                unless(code, JUMP_EQUAL, value, fails);
            }
        }
        Comparison::NotEqual => {
            load(code, 4);
            unless(code, JUMP_EQUAL, high, &mut holds);
            load(code, 0);
            when(code, JUMP_EQUAL, low, fails);
        }
        Comparison::Above | Comparison::AtLeast => {
            load(code, 4);
            when(code, JUMP_ABOVE, high, &mut holds);
            unless(code, JUMP_EQUAL, high, fails);
            load(code, 0);
            let last = if test.comparison == Comparison::Above { JUMP_ABOVE } else { JUMP_AT_LEAST };
            unless(code, last, low, fails);
        }
        Comparison::Below | Comparison::AtMost => {
            load(code, 4);
            when(code, JUMP_ABOVE, high, fails);
            unless(code, JUMP_EQUAL, high, &mut holds);
            load(code, 0);
            let last = if test.comparison == Comparison::Below { JUMP_AT_LEAST } else { JUMP_ABOVE };
            when(code, last, low, fails);
        }
    }
    land(code, &holds);
}

/// A jump, to be landed, that is taken where the comparison holds.
fn when(code: &mut Vec<Vec<u8>>, comparison: u16, value: u32, jumps: &mut Vec<usize>) {
    code.push(instruction(comparison, 0, 1, value));
    jumps.push(code.len());
    code.push(Vec::new());
}

/// A jump, to be landed, that is taken where it does not.
fn unless(code: &mut Vec<Vec<u8>>, comparison: u16, value: u32, jumps: &mut Vec<usize>) {
    code.push(instruction(comparison, 1, 0, value));
    jumps.push(code.len());
    code.push(Vec::new());
}

/// These jumps lead to what comes next.
fn land(code: &mut [Vec<u8>], jumps: &[usize]) {
    for jump in jumps {
        code[*jump] = instruction(JUMP, 0, 0, (code.len() - jump - 1) as u32);
    }
}

fn one_of(code: &mut Vec<Vec<u8>>, values: &[u32], then: Verdict, otherwise: Verdict) {
    code.push(instruction(LOAD, 0, 0, ARG0_LOW));
    for value in values {
        code.push(instruction(JUMP_EQUAL, 0, 1, *value));
        code.push(verdict_return(&then));
    }
    code.push(verdict_return(&otherwise));
}

fn verdict_return(verdict: &Verdict) -> Vec<u8> {
    let value = match verdict {
        Verdict::Return(value) => *value,
        Verdict::Errno(errno) => RET_ERRNO | u32::from(*errno),
        _ => RET_ALLOW,
    };
    instruction(RETURN, 0, 0, value)
}

/// Runs a program as the kernel would, for tests: (arch, nr, low half of the first argument) to the returned value.
#[cfg(test)]
pub fn run(program: &[u8], arch: u32, nr: u32, arg0: u32) -> u32 {
    run_with(program, arch, nr, &[u64::from(arg0)])
}

/// The same with the first arguments whole.
#[cfg(test)]
pub fn run_with(program: &[u8], arch: u32, nr: u32, arguments: &[u64]) -> u32 {
    let mut data = vec![nr, arch, 0, 0];
    (0..6).for_each(|n| {
        let argument = arguments.get(n).copied().unwrap_or(0);
        data.extend([argument as u32, (argument >> 32) as u32]);
    });
    let (chunks, _) = program.as_chunks::<8>();
    let (mut at, mut accumulator) = (0, 0);
    loop {
        let [a, b, if_true, if_false, k @ ..] = chunks[at];
        let (code, k) = (u16::from_ne_bytes([a, b]), u32::from_ne_bytes(k));
        at += 1;
        let test = match code {
            LOAD => {
                accumulator = data[(k / 4) as usize];
                continue;
            }
            AND => {
                accumulator &= k;
                continue;
            }
            RETURN => return k,
            JUMP => {
                at += k as usize;
                continue;
            }
            JUMP_EQUAL => accumulator == k,
            JUMP_AT_LEAST => accumulator >= k,
            JUMP_ABOVE => accumulator > k,
            _ => accumulator & k != 0,
        };
        at += usize::from(if test { if_true } else { if_false });
    }
}
