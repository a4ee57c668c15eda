//! Sealed memory files: bytes that a process hands over and nobody can change any more (memfd_create(2)).
//!
//! Plans travel this way: the receiver may map or read them without fear of the sender, and pause passes them on
//! unread. An unsealed one must never leave this module.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::{Errno, write};

/// Everything that could change afterwards.
const SEALS: SealFlags = SealFlags::from_bits_retain(
    SealFlags::SEAL.bits() | SealFlags::SHRINK.bits() | SealFlags::GROW.bits() | SealFlags::WRITE.bits(),
);

/// A read-only memory file with these bytes, not executable where the kernel can say so (since 6.3). Its offset is 0.
///
/// # Errors
/// Those of `memfd_create`, `write` and `fcntl`.
pub fn sealed(name: &str, bytes: &[u8]) -> Result<OwnedFd, Errno> {
    fill(create(name, MemfdFlags::NOEXEC_SEAL)?, bytes)
}

/// A memory file that may be written, for reports nobody keeps.
///
/// # Errors
/// What `memfd_create` said.
pub fn writable(name: &str) -> Result<OwnedFd, Errno> {
    create(name, MemfdFlags::NOEXEC_SEAL)
}

/// As `sealed`, but `execveat` accepts it also where `vm.memfd_noexec` makes others non-executable.
///
/// # Errors
/// As `sealed`.
pub fn sealed_executable(name: &str, bytes: &[u8]) -> Result<OwnedFd, Errno> {
    fill(create(name, MemfdFlags::EXEC)?, bytes)
}

/// Kernels before 6.3 know neither flag and answer EINVAL.
fn create(name: &str, kind: MemfdFlags) -> Result<OwnedFd, Errno> {
    let common = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create(name, common | kind) {
        Err(Errno::INVAL) => memfd_create(name, common),
        result => result,
    }
}

fn fill(file: OwnedFd, bytes: &[u8]) -> Result<OwnedFd, Errno> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = write(file.as_fd(), rest)?;
        rest = &rest[written..];
    }
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
    fcntl_add_seals(&file, SEALS)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_its_bytes_and_refuses_writes() {
        let file = sealed("dwell-test", b"plan").expect("makes");
        let mut text = [0u8; 8];
        assert_eq!(rustix::io::read(&file, &mut text), Ok(4));
        assert_eq!(&text[..4], b"plan");
        assert_eq!(write(&file, b"x"), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(&file, 0), Err(Errno::PERM));
        let unsealed = create("dwell-test", MemfdFlags::NOEXEC_SEAL).expect("makes");
        assert_eq!(write(&unsealed, b"x"), Ok(1), "control: only the seals refuse");
    }

    #[test]
    fn the_executable_kind_runs_and_the_other_does_not() {
        let bytes = std::fs::read("/bin/busybox").expect("busybox-static is installed");
        let run = |file: OwnedFd| crate::process::spawn_vfork(file.as_fd(), &[c"true"], &[], &[], None);
        let (_, pidfd) = run(sealed_executable("dwell-test", &bytes).expect("makes")).expect("executes");
        rustix::process::waitid(rustix::process::WaitId::PidFd(pidfd.as_fd()), rustix::process::WaitIdOptions::EXITED)
            .expect("waits");
        if memfd_create("dwell-test", MemfdFlags::NOEXEC_SEAL).is_ok() {
            assert_eq!(run(sealed("dwell-test", &bytes).expect("makes")).expect_err("refused"), Errno::ACCESS);
        }
    }
}
