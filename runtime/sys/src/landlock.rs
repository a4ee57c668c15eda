//! Which Landlock this kernel has (landlock_create_ruleset(2)); using it is the worker's own matter.

/// The version of the interface, from 1; `None` when the kernel has none or it is switched off.
pub fn abi() -> Option<u32> {
    const CREATE_RULESET_VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the call takes no attributes (null, length 0) and only returns a number.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, CREATE_RULESET_VERSION)
    };
    u32::try_from(version).ok().filter(|version| *version > 0)
}
