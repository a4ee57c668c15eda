//! Who the process is and what it may use: limits, stdio, user, capabilities.
//!
//! The bounding set needs CAP_SETPCAP, which the change of user may take away, so it is dropped before that; the other
//! sets are given up after it. Group lists go first, then the group, then the user: each needs what the next gives up.

use dwell_spec::plan::init::Op;
use dwell_sys::mount::Attributes;
use dwell_sys::{capability, mount};
use rustix::fs::{FileType, Gid, Mode, OFlags, Uid, fchown, fstat, openat};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::nodes::is_terminal;

/// Bounding and effective set of the `SetCapabilities` that follows, if one does.
pub fn capabilities_after(ops: &[Op]) -> Option<(u64, u64)> {
    ops.iter().find_map(|op| match op {
        Op::SetCapabilities { bounding, effective } => Some((*bounding, *effective)),
        _ => None,
    })
}

/// Whether the user is already set (and the bounding set with it).
pub fn user_set_before(ops: &[Op]) -> bool {
    ops.iter().any(|op| matches!(op, Op::SetUser { .. }))
}

/// Becomes the user; `capabilities` are those that will be set next.
pub fn set_user(uid: u32, gid: u32, groups: &[u32], capabilities: Option<(u64, u64)>) -> Result<(), Errno> {
    if let Some((bounding, effective)) = capabilities {
        capability::limit_bounding(bounding)?;
        set_keep_capabilities(effective != 0)?;
    }
    let groups: Vec<Gid> = groups.iter().map(|group| Gid::from_raw(*group)).collect();
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}

/// Sets a limit, within what this process may have: some hosts give root no CAP_SYS_RESOURCE.
pub fn rlimit(resource: u32, soft: u64, hard: u64) -> Result<(), Errno> {
    let resource = known(resource).ok_or(Errno::INVAL)?;
    let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let hard = hard.min(most);
    let unlimited = |value: u64| (value != u64::MAX).then_some(value);
    setrlimit(resource, Rlimit { current: unlimited(soft.min(hard)), maximum: unlimited(hard) })
}

/// How soon the kernel ends this process for want of memory. By a look at `/proc` that nobody else gets: neither a Wasm
/// member's root nor an unfinished one has it. Where this process may not, it stays as it is.
pub fn oom_score(score: i32) -> Result<(), Errno> {
    let flags = Attributes::MOUNT_ATTR_NOSUID | Attributes::MOUNT_ATTR_NODEV | Attributes::MOUNT_ATTR_NOEXEC;
    let write = || {
        let proc = mount::instance("proc", &[], flags)?;
        let file = openat(&proc, "self/oom_score_adj", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::io::write(&file, score.to_string().as_bytes())
    };
    match write() {
        Err(Errno::ACCESS | Errno::PERM) => Ok(()),
        written => written.map(drop),
    }
}

fn known(resource: u32) -> Option<Resource> {
    let all = [
        Resource::Cpu,
        Resource::Fsize,
        Resource::Data,
        Resource::Stack,
        Resource::Core,
        Resource::Rss,
        Resource::Nproc,
        Resource::Nofile,
        Resource::Memlock,
        Resource::As,
        Resource::Locks,
        Resource::Sigpending,
        Resource::Msgqueue,
        Resource::Nice,
        Resource::Rtprio,
        Resource::Rttime,
    ];
    all.get(resource as usize).copied()
}

/// Pipes get user and group, a terminal its user (its group is `tty`); anything else, as the host's `/dev/null`, is
/// not the member's to own.
pub fn chown_stdio(uid: u32, gid: u32) -> Result<(), Errno> {
    for stream in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
        let is_pipe = FileType::from_raw_mode(fstat(stream)?.st_mode).is_fifo();
        if is_pipe {
            fchown(stream, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        } else if is_terminal(stream)? {
            fchown(stream, Some(Uid::from_raw(uid)), None)?;
        }
    }
    Ok(())
}
