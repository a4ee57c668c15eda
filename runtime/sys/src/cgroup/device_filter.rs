//! The device allow-list as BPF: one block of comparisons a rule, accept at its end, refuse after the last.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `mknod`
pub const MAKE: u8 = 1;
/// Open for reading.
pub const READ: u8 = 2;
/// Open for writing.
pub const WRITE: u8 = 4;

const EVERYTHING: u8 = MAKE | READ | WRITE;
const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;

const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;

/// One thing that is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// A block device instead of a character device.
    pub block: bool,
    /// `None` is every major.
    pub major: Option<u32>,
    /// `None` is every minor.
    pub minor: Option<u32>,
    /// `MAKE | READ | WRITE`
    pub access: u8,
}

/// `struct bpf_insn`: operation, destination (low half) and source (high half) register, jump, constant.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    operation: u8,
    registers: u8,
    jump: i16,
    constant: i32,
}

const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const ACCESS: u8 = 2;
const TYPE: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xbf;
const MOVE_CONSTANT: u8 = 0xb7;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const JUMP_UNLESS_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

/// The program that allows exactly these.
pub fn assemble(rules: &[Rule]) -> Vec<Instruction> {
    let mut program = vec![
        op(LOAD_WORD, ACCESS, CONTEXT, 0, 0),
        op(MOVE, TYPE, ACCESS, 0, 0),
        op(AND, TYPE, 0, 0, 0xffff),
        op(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        op(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        op(LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ];
    rules.iter().for_each(|rule| program.extend(block(rule)));
    program.extend([op(MOVE_CONSTANT, RESULT, 0, 0, 0), op(EXIT, 0, 0, 0, 0)]);
    program
}

/// One rule: each comparison jumps behind the block when it fails.
fn block(rule: &Rule) -> Vec<Instruction> {
    let kind = if rule.block { BLOCK } else { CHARACTER };
    let mut block = vec![unless(TYPE, kind)];
    if rule.access & EVERYTHING != EVERYTHING {
        block.push(op(MOVE, SCRATCH, ACCESS, 0, 0));
        block.push(op(AND, SCRATCH, 0, 0, i32::from(!rule.access & EVERYTHING)));
        block.push(unless(SCRATCH, 0));
    }
    block.extend(rule.major.map(|major| unless(MAJOR, major as i32)));
    block.extend(rule.minor.map(|minor| unless(MINOR, minor as i32)));
    block.extend([op(MOVE_CONSTANT, RESULT, 0, 0, 1), op(EXIT, 0, 0, 0, 0)]);
    let length = block.len() as i16;
    for (at, instruction) in (0..).zip(&mut block) {
        if instruction.operation == JUMP_UNLESS_EQUAL {
            instruction.jump = length - at - 1;
        }
    }
    block
}

fn unless(register: u8, constant: i32) -> Instruction {
    op(JUMP_UNLESS_EQUAL, register, 0, 0, constant)
}

fn op(operation: u8, destination: u8, source: u8, jump: i16, constant: i32) -> Instruction {
    Instruction { operation, registers: destination | (source << 4), jump, constant }
}

/// Loads the program for `rules` and attaches it to the group, a directory of a version 2 hierarchy. It applies to
/// all groups below as well, and stays as long as the group.
///
/// # Errors
/// EPERM without CAP_BPF and CAP_NET_ADMIN (or CAP_SYS_ADMIN), EINVAL when the kernel lacks cgroup BPF.
pub fn restrict(group: BorrowedFd<'_>, rules: &[Rule]) -> io::Result<()> {
    let program = load(&assemble(rules))?;
    let mut attributes = Attach {
        target: group.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        kind: ATTACH_CGROUP_DEVICE,
        flags: ALLOW_MULTI,
    };
    bpf(PROG_ATTACH, &mut attributes).map(drop)
}

#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let mut attributes = Load {
        kind: PROG_TYPE_CGROUP_DEVICE,
        count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    let fd = bpf(PROG_LOAD, &mut attributes)?;
    // SAFETY: a successful BPF_PROG_LOAD returns a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<libc::c_int> {
    // SAFETY: `attributes` is a prefix of `union bpf_attr` for this command, `size_of` its length (the kernel takes
    // the rest as zero), and the memory that it points to (program, license) lives until the call returns.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes as *mut T, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as libc::c_int) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failed_comparison_jumps_to_the_end_of_its_block() {
        let rule = Rule { block: false, major: Some(1), minor: Some(3), access: READ };
        let block = block(&rule);
        for (at, instruction) in block.iter().enumerate().filter(|(_, one)| one.operation == JUMP_UNLESS_EQUAL) {
            assert_eq!(at as i16 + instruction.jump + 1, block.len() as i16);
        }
        assert_eq!(block.iter().filter(|one| one.operation == JUMP_UNLESS_EQUAL).count(), 4);
    }

    #[test]
    fn the_kernel_accepts_the_longest_list_that_a_plan_holds() {
        let rule = Rule { block: true, major: Some(259), minor: None, access: MAKE | READ };
        load(&assemble(&[rule; 64])).unwrap();
        load(&assemble(&[])).unwrap();
        let broken = [op(EXIT, 0, 0, 0, 0)];
        load(&broken).expect_err("control: a result is never set");
    }
}
