//! Capability sets as masks (bit `n` is capability `n`, capabilities(7)), their names, and the set native members get.

/// CAP_SYS_CHROOT
pub const CAP_SYS_CHROOT: u8 = 18;
/// CAP_SYS_ADMIN
pub const CAP_SYS_ADMIN: u8 = 21;

/// containerd's default set, not more: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP,
/// NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP. MKNOD reaches no further than the device
/// allow-list.
pub const DEFAULT: u64 = mask(&[0, 1, 3, 4, 5, 6, 7, 8, 10, 13, CAP_SYS_CHROOT, 27, 29, 31]);

/// Every capability there is (Linux 5.9 and later).
pub const ALL: u64 = (1 << NAMES.len()) - 1;

/// In the kernel's order, without `CAP_`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

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

/// The mask behind a name as manifests write it: `NET_ADMIN`, `net_admin`, `CAP_NET_ADMIN`, `ALL`.
pub fn by_name(name: &str) -> Option<u64> {
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    match bare {
        "ALL" => Some(ALL),
        _ => NAMES.iter().position(|known| *known == bare).map(|number| 1 << number),
    }
}

/// The names in a mask, in the kernel's order.
pub fn names(mask: u64) -> Vec<&'static str> {
    NAMES.iter().zip(0..).filter(|(_, number)| holds(mask, *number)).map(|(name, _)| *name).collect()
}

/// Every name that a manifest may write.
pub fn all_names() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter().chain(["ALL"])
}

/// The default set with these added and taken away, as containerd does it: `ALL` first, on either side, then the
/// single ones; what is both added and dropped is dropped.
pub fn changed(add: &[u64], drop: &[u64]) -> u64 {
    let base = if add.contains(&ALL) { ALL } else { DEFAULT };
    let base = if drop.contains(&ALL) { 0 } else { base };
    let single = |masks: &[u64]| masks.iter().filter(|mask| **mask != ALL).fold(0, |all, mask| all | mask);
    (base | single(add)) & !single(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_what_proc_shows_in_a_containerd_container() {
        assert_eq!(DEFAULT, 0xa804_25fb);
        assert_eq!(DEFAULT.count_ones(), 14);
        assert_eq!(ALL, 0x1ff_ffff_ffff);
    }

    #[test]
    fn names_are_taken_as_people_write_them() {
        assert_eq!(by_name("NET_ADMIN"), Some(1 << 12));
        assert_eq!(by_name("CAP_sys_admin"), Some(1 << CAP_SYS_ADMIN));
        assert_eq!(by_name("CHECKPOINT_RESTORE"), Some(1 << 40));
        assert_eq!(by_name("all"), Some(ALL));
        assert_eq!((by_name("NET"), by_name(""), by_name("CAP_CAP_CHOWN")), (None, None, None));
        assert_eq!(names(1 << 12 | 1), ["CHOWN", "NET_ADMIN"]);
    }

    #[test]
    fn all_counts_first_and_single_ones_last() {
        let (net, raw) = (1 << 12, 1 << 13);
        assert_eq!(changed(&[net], &[raw]), DEFAULT & !raw | net);
        assert_eq!(changed(&[net], &[ALL]), net);
        assert_eq!(changed(&[ALL], &[net]), ALL & !net);
        assert_eq!(changed(&[ALL], &[ALL]), 0);
        assert_eq!(changed(&[net], &[net]), DEFAULT);
        assert_eq!(changed(&[], &[]), DEFAULT);
    }
}
