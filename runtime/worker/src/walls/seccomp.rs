//! Seccomp: the system calls that running a guest needs, measured by running guests of every kind; any other kills.
//!
//! No execve and no clone, so no process and no thread beyond the one made ahead. No new executable memory: the
//! compiled module was mapped before. Descriptors come from grants (`openat2` and its kin) and, with a network, from
//! `socket`, for IPv4 and IPv6 streams and datagrams alone. Without one, `socket` fails with `EACCES`, so that a guest
//! hears of it instead of dying. A compiler opens nothing, but the C library's allocator wants to read
//! `/proc/sys/vm/overcommit_memory` when it shrinks a heap, and is content with `EACCES`. `ioctl` is what standard
//! streams need, without `TIOCSTI` (input forged into a terminal).
//! `clone`, `execve` and `prctl` stay out also because memory files would otherwise let a guest run its own code.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter_all_threads,
};
use std::collections::BTreeMap;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// What a process is going to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Compile, verify, write the result. May make executable memory, which nothing will run.
    Compile,
    /// Run a guest.
    Guest {
        /// Connect, bind and look names up.
        network: bool,
        /// Serve HTTP on sockets that are already listening.
        serve: bool,
    },
}

const BASE: &[i64] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_futex,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_sched_yield,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_restart_syscall,
    libc::SYS_tgkill,
];

const EVENTS: &[i64] = &[
    libc::SYS_statx,
    libc::SYS_newfstatat,
    libc::SYS_fstat,
    libc::SYS_fcntl,
    libc::SYS_ppoll,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_clock_getres,
    libc::SYS_eventfd2,
    libc::SYS_rt_sigaction,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_sched_getaffinity,
    libc::SYS_dup,
    libc::SYS_membarrier,
];

const FILES: &[i64] = &[
    libc::SYS_openat2,
    libc::SYS_openat,
    libc::SYS_getdents64,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_readlinkat,
    libc::SYS_utimensat,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fadvise64,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_lseek,
    libc::SYS_fchdir,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
];

const CONNECTIONS: &[i64] = &[
    libc::SYS_accept4,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_setsockopt,
    libc::SYS_getsockopt,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_shutdown,
];

const NETWORK: &[i64] = &[libc::SYS_bind, libc::SYS_listen, libc::SYS_connect];

const COMPILE: &[i64] = &[
    libc::SYS_openat,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_sched_getaffinity,
    libc::SYS_getrusage,
    libc::SYS_membarrier,
    libc::SYS_ftruncate,
    libc::SYS_lseek,
    libc::SYS_fsync,
    libc::SYS_pread64,
    libc::SYS_statx,
    libc::SYS_fstat,
];

/// Older names of the same calls, which only x86-64 has and its C library still uses.
#[cfg(target_arch = "x86_64")]
const OLD: &[i64] = &[libc::SYS_poll, libc::SYS_epoll_wait, libc::SYS_readlink];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[i64] = &[];

/// Puts the filter on every thread of the process.
///
/// # Errors
/// The kernel lacks seccomp or refuses the filter.
pub fn raise(need: Need) -> Result<(), seccompiler::Error> {
    let (main, denied) = programs(need)?;
    if let Some(denied) = denied {
        apply_filter_all_threads(&denied)?;
    }
    apply_filter_all_threads(&main)
}

/// The allow-list, and the list of calls that fail politely.
fn programs(need: Need) -> Result<(BpfProgram, Option<BpfProgram>), seccompiler::Error> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let main = SeccompFilter::new(allowed(need)?, SeccompAction::KillProcess, SeccompAction::Allow, arch)?;
    let polite = match need {
        Need::Compile => Some(libc::SYS_openat),
        Need::Guest { network: false, .. } => Some(libc::SYS_socket),
        Need::Guest { network: true, .. } => None,
    };
    let denied = polite.map(|call| refusing(call, arch)).transpose()?;
    Ok((main.try_into()?, denied))
}

/// A filter that fails one call with `EACCES` and lets all others through.
fn refusing(call: i64, arch: TargetArch) -> Result<BpfProgram, seccompiler::Error> {
    let errno = SeccompAction::Errno(libc::EACCES as u32);
    let filter = SeccompFilter::new(Rules::from([(call, Vec::new())]), SeccompAction::Allow, errno, arch)?;
    Ok(filter.try_into()?)
}

fn allowed(need: Need) -> Result<Rules, seccompiler::Error> {
    let mut rules = Rules::new();
    let mut allow = |list: &[i64]| rules.extend(list.iter().map(|&call| (call, Vec::new())));
    allow(BASE);
    match need {
        Need::Compile => allow(COMPILE),
        Need::Guest { network, serve } => {
            allow(EVENTS);
            allow(OLD);
            allow(FILES);
            if network || serve {
                allow(CONNECTIONS);
            }
            if network {
                allow(NETWORK);
            }
            rules.extend(guest_rules()?);
        }
    }
    Ok(rules)
}

fn guest_rules() -> Result<Rules, seccompiler::Error> {
    let not_executable = || all(vec![masked(2, libc::PROT_EXEC as u64, 0)?]);
    Ok(Rules::from([
        (libc::SYS_mmap, vec![not_executable()?]),
        (libc::SYS_mprotect, vec![not_executable()?]),
        (libc::SYS_socket, sockets()?),
        (libc::SYS_ioctl, ioctls()?),
    ]))
}

fn sockets() -> Result<Vec<SeccompRule>, seccompiler::Error> {
    let flags = (libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) as u64;
    let mut rules = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
            rules.push(all(vec![equals(0, family as u64)?, masked(1, !flags & 0xffff_ffff, kind as u64)?])?);
        }
    }
    Ok(rules)
}

fn ioctls() -> Result<Vec<SeccompRule>, seccompiler::Error> {
    [libc::FIONBIO, libc::FIONREAD, libc::TCGETS, libc::TIOCGWINSZ]
        .iter()
        .map(|&request| all(vec![equals(1, request)?]))
        .collect()
}

fn all(conditions: Vec<SeccompCondition>) -> Result<SeccompRule, seccompiler::Error> {
    Ok(SeccompRule::new(conditions)?)
}

fn equals(argument: u8, value: u64) -> Result<SeccompCondition, seccompiler::Error> {
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)?)
}

fn masked(argument: u8, mask: u64, value: u64) -> Result<SeccompCondition, seccompiler::Error> {
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: Need = Need::Guest { network: true, serve: true };

    #[test]
    fn nothing_that_makes_a_process_is_allowed() {
        let rules = allowed(GUEST).unwrap();
        let forbidden = [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_ptrace,
            libc::SYS_prctl,
            libc::SYS_memfd_create,
            libc::SYS_pkey_mprotect,
            libc::SYS_io_uring_setup,
            libc::SYS_bpf,
            libc::SYS_mount,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_kill,
        ];
        for call in forbidden {
            assert!(!rules.contains_key(&call), "call {call}");
        }
        assert!(rules.contains_key(&libc::SYS_read));
    }

    #[test]
    fn network_calls_need_the_grant() {
        let without = allowed(Need::Guest { network: false, serve: false }).unwrap();
        assert!(!without.contains_key(&libc::SYS_connect) && !without.contains_key(&libc::SYS_accept4));
        let serving = allowed(Need::Guest { network: false, serve: true }).unwrap();
        assert!(!serving.contains_key(&libc::SYS_connect) && serving.contains_key(&libc::SYS_accept4));
        assert!(allowed(GUEST).unwrap().contains_key(&libc::SYS_connect));
    }

    #[test]
    fn every_filter_assembles() {
        for need in [Need::Compile, GUEST, Need::Guest { network: false, serve: false }] {
            programs(need).unwrap();
        }
    }
}
