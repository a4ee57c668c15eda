//! The default system call filter of native members: an allow-list, conditional on the capabilities held.
//!
//! It is the profile that Docker, containerd, CRI-O and Podman share, so that what runs there runs here. Three verdicts:
//! listed calls are made; calls known and not listed are EPERM; numbers newer than the list are ENOSYS, because a C
//! library takes EPERM for the file's fault and does not fall back. `clone3` is ENOSYS for the same reason: its flags
//! cannot be seen, and the library falls back to `clone`, whose flags can.
//!
//! One decision differs: calls of another architecture (i386 and x32 on x86-64, arm on aarch64) are ENOSYS, where the
//! others let them through. Their tables are three more surfaces (`socketcall` hides the socket family from any
//! filter), and images for this machine do not use them.

use std::sync::OnceLock;

use super::bpf::{Verdict, compile};
use super::syscall_numbers::{ALLOWED, BY_CAPABILITY, CLONE, CLONE3, Call, LAST_KNOWN, PERSONALITY, SOCKET};
use crate::capabilities::{DEFAULT, holds};

const EPERM: u16 = 1;
pub(super) const ENOSYS: u16 = 38;

/// From here on a number of x86-64's is one of x32's (`__X32_SYSCALL_BIT`).
const X32: u32 = 0x4000_0000;

/// `CLONE_NEW…` of every kind that `clone` itself takes.
const CLONE_NAMESPACES: u32 = 0x7e02_0000;
/// `PER_LINUX`, `PER_LINUX32`, both with `UNAME26`, and "tell me".
const PERSONALITIES: &[u32] = &[0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// `AF_ALG`, `AF_VSOCK`
const REFUSED_FAMILIES: &[u32] = &[38, 40];

/// An architecture a filter can be made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// `x86_64`
    X86_64,
    /// `aarch64`
    Aarch64,
}

impl Arch {
    /// By Rust's name for it; `None` for one that dwell does not run on.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "x86_64" => Some(Self::X86_64),
            "aarch64" => Some(Self::Aarch64),
            _ => None,
        }
    }

    /// As Go names it, and the 32-bit one beside it: what containers-common's profiles mean by an architecture.
    pub fn container_names(self) -> [&'static str; 3] {
        match self {
            Self::X86_64 => ["amd64", "x86_64", "x32"],
            Self::Aarch64 => ["arm64", "aarch64", "arm"],
        }
    }

    /// `AUDIT_ARCH_…`
    pub fn audit(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::Aarch64 => 0xc000_00b7,
        }
    }

    /// The call's number here.
    pub fn number(self, call: Call) -> Option<u32> {
        let number = if self == Self::X86_64 { call.1 } else { call.2 };
        u32::try_from(number).ok()
    }
}

/// The filter for a member that holds `capabilities` (a mask), as init installs it.
pub fn default_filter(arch: Arch, capabilities: u64) -> Vec<u8> {
    static USUAL: OnceLock<Vec<u8>> = OnceLock::new();
    if capabilities == DEFAULT && Arch::by_name(std::env::consts::ARCH) == Some(arch) {
        return USUAL.get_or_init(|| build(arch, capabilities)).clone();
    }
    build(arch, capabilities)
}

fn build(arch: Arch, capabilities: u64) -> Vec<u8> {
    let mut verdicts = vec![Verdict::Errno(EPERM); LAST_KNOWN as usize + 1];
    let mut put = |call: Call, verdict| {
        if let Some(number) = arch.number(call) {
            verdicts[number as usize] = verdict;
        }
    };
    put(CLONE, Verdict::UnlessAnyBit(CLONE_NAMESPACES));
    put(CLONE3, Verdict::Errno(ENOSYS));
    put(PERSONALITY, Verdict::IfOneOf(PERSONALITIES));
    put(SOCKET, Verdict::UnlessOneOf(REFUSED_FAMILIES));
    ALLOWED.iter().for_each(|call| put(*call, Verdict::Allow));
    for (_, calls) in BY_CAPABILITY.iter().filter(|(capability, _)| holds(capabilities, *capability)) {
        calls.iter().for_each(|call| put(*call, Verdict::Allow));
    }
    compile(arch.audit(), &ranges(&verdicts, Verdict::Errno(ENOSYS)))
}

/// Neighbours with the same verdict become one range; everything above the list is `beyond`, but for x32's calls.
pub(super) fn ranges(verdicts: &[Verdict], beyond: Verdict) -> Vec<(std::ops::RangeInclusive<u32>, Verdict)> {
    let mut ranges: Vec<(std::ops::RangeInclusive<u32>, Verdict)> = Vec::new();
    for (number, verdict) in (0u32..).zip(verdicts) {
        match ranges.last_mut() {
            Some((range, last)) if last == verdict => *range = *range.start()..=number,
            _ => ranges.push((number..=number, verdict.clone())),
        }
    }
    ranges.push((verdicts.len() as u32..=X32 - 1, beyond));
    ranges.push((X32..=u32::MAX, Verdict::Errno(ENOSYS)));
    ranges
}

#[cfg(test)]
mod tests {
    use super::super::bpf::run;
    use super::*;
    use crate::capabilities::CAP_SYS_ADMIN;

    const ALLOW: u32 = 0x7fff_0000;
    const ERRNO: u32 = 0x0005_0000;

    fn x86(nr: u32, arg0: u32) -> u32 {
        run(&default_filter(Arch::X86_64, DEFAULT), Arch::X86_64.audit(), nr, arg0)
    }

    #[test]
    fn every_listed_call_gets_its_verdict_on_both_architectures() {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let program = default_filter(arch, DEFAULT);
            let allowed: Vec<u32> = ALLOWED.iter().filter_map(|call| arch.number(*call)).collect();
            for nr in 0..=LAST_KNOWN + 100 {
                let got = run(&program, arch.audit(), nr, 0);
                let special = [CLONE, SOCKET, PERSONALITY].map(|call| arch.number(call)).contains(&Some(nr));
                let by_capability = BY_CAPABILITY
                    .iter()
                    .filter(|(capability, _)| holds(DEFAULT, *capability))
                    .any(|(_, calls)| calls.iter().any(|call| arch.number(*call) == Some(nr)));
                assert_eq!(got == ALLOW, allowed.contains(&nr) || special || by_capability, "{arch:?} {nr}");
            }
        }
    }

    #[test]
    fn dangerous_is_eperm_and_unknown_is_enosys() {
        for nr in [165, 272, 308, 250, 321, 425, 246, 167] {
            assert_eq!(x86(nr, 0), ERRNO | 1, "{nr}");
        }
        for nr in [435, LAST_KNOWN + 1, 9999, 0x4000_0000, u32::MAX] {
            assert_eq!(x86(nr, 0), ERRNO | 38, "{nr}");
        }
    }

    #[test]
    fn arguments_decide_for_clone_socket_and_personality() {
        assert_eq!(x86(56, 0x0001_0f00), ALLOW, "a thread");
        assert_eq!(x86(56, 0x1000_0000), ERRNO | 1, "CLONE_NEWUSER");
        assert_eq!(x86(41, 2), ALLOW, "AF_INET");
        assert_eq!(x86(41, 40), ERRNO | 1, "AF_VSOCK");
        assert_eq!(x86(135, 0xffff_ffff), ALLOW);
        assert_eq!(x86(135, 0x004_0000), ERRNO | 1, "ADDR_NO_RANDOMIZE");
    }

    #[test]
    fn another_architecture_is_enosys() {
        let program = default_filter(Arch::X86_64, DEFAULT);
        assert_eq!(run(&program, 0x4000_0003, 1, 0), ERRNO | 38);
        assert_eq!(run(&program, Arch::X86_64.audit(), 1, 0), ALLOW, "control: the same number, our architecture");
    }

    #[test]
    fn sys_admin_may_clone_namespaces() {
        let program = default_filter(Arch::X86_64, 1 << CAP_SYS_ADMIN);
        assert_eq!(run(&program, Arch::X86_64.audit(), 56, 0x1000_0000), ALLOW);
        assert_eq!(run(&program, Arch::X86_64.audit(), 165, 0), ALLOW, "mount");
    }

    #[test]
    fn the_search_is_shallow() {
        let length = default_filter(Arch::X86_64, DEFAULT).len() / 8;
        assert!(length < 400, "{length} instructions");
    }
}
