//! Session keyrings (session-keyring(7)): without one of its own, a member possesses its starter's keys.

use rustix::io::Errno;

/// `keyctl` operation.
const KEYCTL_SEARCH: libc::c_long = 10;
/// `keyctl` operation.
const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
/// "My session keyring", as a key number.
const KEY_SPEC_SESSION_KEYRING: i32 = -3;

/// Replaces this process's session keyring by a new, empty, anonymous one.
///
/// # Errors
/// ENOSYS on a kernel without keys, EDQUOT at the user's quota.
pub fn new_session() -> Result<(), Errno> {
    let nothing: *const libc::c_char = std::ptr::null();
    // SAFETY: a null name asks for an anonymous keyring; no memory is touched.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nothing) };
    if result >= 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}

/// Puts a `user` key into this thread's session keyring: what a member must not find there.
///
/// # Errors
/// EDQUOT at the user's quota.
pub fn add_to_session(description: &std::ffi::CStr, payload: &[u8]) -> Result<(), Errno> {
    let session = libc::c_long::from(KEY_SPEC_SESSION_KEYRING);
    // SAFETY: two null-terminated strings and a slice with its length, all alive across the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_add_key,
            c"user".as_ptr(),
            description.as_ptr(),
            payload.as_ptr(),
            payload.len(),
            session,
        )
    };
    if result >= 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}

/// Whether this thread's session keyring holds that `user` key.
///
/// # Errors
/// ENOKEY when it does not; EPERM or ENOSYS where the call is closed.
pub fn find_in_session(description: &std::ffi::CStr) -> Result<(), Errno> {
    let session = libc::c_long::from(KEY_SPEC_SESSION_KEYRING);
    // SAFETY: two null-terminated strings that live across the call.
    let result =
        unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_SEARCH, session, c"user".as_ptr(), description.as_ptr(), 0) };
    if result >= 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}
