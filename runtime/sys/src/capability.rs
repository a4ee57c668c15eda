//! Capability sets of this thread, as masks: bit `n` is capability `n` (capabilities(7)).

use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities};

/// More than any kernel has; the first unknown one answers EINVAL.
const CAPABILITY_MAX: u32 = 63;

/// Removes everything but `keep` from the bounding set.
///
/// # Errors
/// EPERM without CAP_SETPCAP.
pub fn limit_bounding(keep: u64) -> Result<(), Errno> {
    for capability in (0..=CAPABILITY_MAX).filter(|n| keep & (1 << n) == 0) {
        // SAFETY: PR_CAPBSET_DROP takes a number and touches no memory.
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability as libc::c_ulong, 0, 0, 0) };
        if result != 0 {
            return end_of_list();
        }
    }
    Ok(())
}

fn end_of_list() -> Result<(), Errno> {
    match Errno::from_io_error(&std::io::Error::last_os_error()) {
        Some(Errno::INVAL) => Ok(()),
        other => Err(other.unwrap_or(Errno::IO)),
    }
}

/// Permitted and effective become exactly `mask`; inheritable and ambient become empty.
///
/// # Errors
/// EPERM when `mask` holds what is not permitted now.
pub fn set(mask: u64) -> Result<(), Errno> {
    clear_ambient_capability_set()?;
    let held = CapabilitySet::from_bits_retain(mask);
    let sets = CapabilitySets { effective: held, permitted: held, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets)
}
