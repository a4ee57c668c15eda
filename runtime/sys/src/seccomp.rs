//! Installing a system call filter (seccomp(2)); what it allows is decided elsewhere.

use rustix::io::Errno;

/// Bytes of one classic BPF instruction.
const INSTRUCTION_BYTES: usize = 8;
/// The kernel's own limit (BPF_MAXINSNS).
const MAX_INSTRUCTIONS: usize = 4096;

/// Installs `program` (8 bytes an instruction, native order) for this thread and whatever it executes, for good.
///
/// # Errors
/// EINVAL for a program that is empty, too long, not a multiple of 8 or not valid; EACCES without CAP_SYS_ADMIN
/// unless `no_new_privs` is set.
pub fn install(program: &[u8]) -> Result<(), Errno> {
    let instructions = decode(program)?;
    let filter = libc::sock_fprog { len: instructions.len() as u16, filter: instructions.as_ptr().cast_mut() };
    // SAFETY: the kernel copies `len` instructions, which `instructions` holds until after the call.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, std::ptr::from_ref(&filter)) };
    if result == 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}

fn decode(program: &[u8]) -> Result<Vec<libc::sock_filter>, Errno> {
    let (chunks, rest) = program.as_chunks::<INSTRUCTION_BYTES>();
    if chunks.is_empty() || !rest.is_empty() || chunks.len() > MAX_INSTRUCTIONS {
        return Err(Errno::INVAL);
    }
    Ok(chunks
        .iter()
        .map(|[a, b, jt, jf, k @ ..]| libc::sock_filter {
            code: u16::from_ne_bytes([*a, *b]),
            jt: *jt,
            jf: *jf,
            k: u32::from_ne_bytes(*k),
        })
        .collect())
}
