//! Whose the files are that a thread makes (setfsuid(2)), with all it may do otherwise.

use rustix::io::Errno;
use rustix::thread::{CapabilitiesSecureBits, capabilities_secure_bits, set_capabilities_secure_bits};

/// From here on the calling thread makes files for these ids of the host, and keeps its capabilities for them. Another thread
/// is not concerned.
///
/// # Errors
/// EPERM without CAP_SETPCAP, or when the ids were not taken (CAP_SETUID, CAP_SETGID).
pub fn make_as(uid: u32, gid: u32) -> Result<(), Errno> {
    let bits = capabilities_secure_bits()? | CapabilitiesSecureBits::NO_SETUID_FIXUP;
    set_capabilities_secure_bits(bits)?;
    // Such calls say who it was before, and only that: asked a second time, who it is now.
    // SAFETY: numbers alone are passed.
    let now = unsafe {
        libc::syscall(libc::SYS_setfsgid, gid);
        libc::syscall(libc::SYS_setfsuid, uid);
        (libc::syscall(libc::SYS_setfsuid, -1), libc::syscall(libc::SYS_setfsgid, -1))
    };
    if now == (uid.into(), gid.into()) { Ok(()) } else { Err(Errno::PERM) }
}

/// From here on the calling thread is these ids of the host for whatever asks who it is, and keeps its capabilities. Another
/// thread is not concerned, so it must be one that is thrown away.
///
/// # Errors
/// EPERM without CAP_SETPCAP, CAP_SETUID or CAP_SETGID.
pub fn act_as(uid: u32, gid: u32) -> Result<(), Errno> {
    let bits = capabilities_secure_bits()? | CapabilitiesSecureBits::NO_SETUID_FIXUP;
    set_capabilities_secure_bits(bits)?;
    // The C library's own would change every thread of the process.
    // SAFETY: numbers alone are passed.
    let done = unsafe {
        libc::syscall(libc::SYS_setresgid, -1, gid, -1) == 0 && libc::syscall(libc::SYS_setresuid, -1, uid, -1) == 0
    };
    if done { Ok(()) } else { Err(Errno::PERM) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn files_are_anothers_and_rights_ones_own() {
        let folder = std::env::temp_dir().join(format!("dwell-identity-{}", std::process::id()));
        std::fs::create_dir(&folder).expect("make a folder");
        let root = rustix::process::geteuid().is_root();
        let made = std::thread::spawn({
            let folder = folder.clone();
            move || {
                make_as(12, 34)?;
                std::fs::write(folder.join("file"), "x").map_err(|_| Errno::IO)
            }
        });
        let made = made.join().expect("it ends");
        if root {
            made.expect("made in a folder that is another's");
            let found = std::fs::metadata(folder.join("file")).expect("it is there");
            assert_eq!((found.uid(), found.gid()), (12, 34));
        }
        std::fs::write(folder.join("own"), "x").expect("made by another thread");
        let own = std::fs::metadata(folder.join("own")).expect("it is there");
        assert_eq!(own.uid(), rustix::process::geteuid().as_raw(), "control");
        std::fs::remove_dir_all(folder).expect("remove it");
    }
}
