//! Capability sets as masks (bit `n` is capability `n`, capabilities(7)), and the set native members get.

/// CAP_SYS_CHROOT
pub const CAP_SYS_CHROOT: u8 = 18;
/// CAP_SYS_ADMIN
pub const CAP_SYS_ADMIN: u8 = 21;

/// containerd's default set, not more: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP,
/// NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP. MKNOD reaches no further than the device
/// allow-list.
pub const DEFAULT: u64 = mask(&[0, 1, 3, 4, 5, 6, 7, 8, 10, 13, CAP_SYS_CHROOT, 27, 29, 31]);

/// The mask of these numbers.
pub const fn mask(numbers: &[u8]) -> u64 {
    let mut mask = 0;
    let mut at = 0;
    while at < numbers.len() {
        mask |= 1 << numbers[at];
        at += 1;
    }
    mask
}

/// Whether `mask` holds this capability.
pub const fn holds(mask: u64, number: u8) -> bool {
    mask & (1 << number) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_what_proc_shows_in_a_containerd_container() {
        assert_eq!(DEFAULT, 0xa804_25fb);
        assert_eq!(DEFAULT.count_ones(), 14);
    }
}
