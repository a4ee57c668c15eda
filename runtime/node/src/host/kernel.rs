//! The kernel's own features, and this process's rights and limits.

use std::fs;

use rustix::process::{Resource, getrlimit};

use super::{CheckItem, State};

const OLDEST: (u32, u32) = (6, 1);
/// Overlay layers may be given as descriptors from here on (6.13), of detached mounts too (6.15).
const OVERLAY_BY_FD: (u32, u32) = (6, 15);
/// Landlock rules on TCP.
const LANDLOCK_NETWORK: u32 = 4;
const SYS_RESOURCE: u32 = 24;
const FEW_FILES: u64 = 4096;
const FEW_PROCESSES: u64 = 32_768;
const NAMESPACES: [&str; 7] = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];

pub fn check() -> Vec<CheckItem> {
    vec![version(), namespaces(), seccomp(), landlock(), rights(), open_files(), processes()]
}

/// Major and minor version of the running kernel.
pub fn release() -> (u32, u32) {
    parse_release(&rustix::system::uname().release().to_string_lossy())
}

fn parse_release(text: &str) -> (u32, u32) {
    let mut numbers = text.split(|letter: char| !letter.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn version() -> CheckItem {
    let found = rustix::system::uname().release().to_string_lossy().into_owned();
    let release = release();
    if release < OLDEST {
        return CheckItem::lacking("kernel", State::Missing, found)
            .costs("system calls that every Pod needs are not there")
            .remedy("Linux 6.1 or newer");
    }
    match release < OVERLAY_BY_FD {
        true => CheckItem::ok("kernel", found).costs(
            "overlay layers are named by path instead of descriptor (6.13), and attached for a moment in a namespace of \
             their own with `hostUsers: false` (6.15)",
        ),
        false => CheckItem::ok("kernel", found),
    }
}

fn namespaces() -> CheckItem {
    let missing: Vec<_> = NAMESPACES
        .iter()
        .filter(|name| !fs::exists(format!("/proc/self/ns/{name}")).unwrap_or(false))
        .copied()
        .collect();
    match missing.is_empty() {
        true => CheckItem::ok("namespaces", NAMESPACES.join(" ")),
        false => CheckItem::lacking("namespaces", State::Missing, format!("without {}", missing.join(" ")))
            .costs("no Pod can be separated from the host")
            .remedy("a kernel with CONFIG_NAMESPACES and all below it"),
    }
}

fn seccomp() -> CheckItem {
    match fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail") {
        Ok(actions) => CheckItem::ok("seccomp", actions.trim()),
        Err(_) => CheckItem::lacking("seccomp", State::Missing, "not in this kernel")
            .costs("members cannot be kept from dangerous system calls")
            .remedy("a kernel with CONFIG_SECCOMP_FILTER"),
    }
}

fn landlock() -> CheckItem {
    match dwell_sys::landlock::abi() {
        None => CheckItem::lacking("landlock", State::Degraded, "not in this kernel, or not switched on")
            .costs("Wasm members lack one of their walls; mounts and seccomp still hold")
            .remedy("boot with `lsm=landlock,…`"),
        Some(abi) if abi < LANDLOCK_NETWORK => {
            CheckItem::ok("landlock", format!("version {abi}")).costs("files only, no rules on the network (6.7)")
        }
        Some(abi) => CheckItem::ok("landlock", format!("version {abi}")),
    }
}

fn rights() -> CheckItem {
    let effective = effective(&fs::read_to_string("/proc/self/status").unwrap_or_default());
    if !rustix::process::geteuid().is_root() {
        return CheckItem::lacking("rights", State::Missing, "not root")
            .costs("no Pod can be made")
            .remedy("run as root");
    }
    match effective >> SYS_RESOURCE & 1 {
        1 => CheckItem::ok("rights", "root with CAP_SYS_RESOURCE"),
        _ => CheckItem::lacking("rights", State::Degraded, "root without CAP_SYS_RESOURCE")
            .costs("limits above this process's own are clamped, and no member is protected from the OOM killer")
            .remedy("start the node with CAP_SYS_RESOURCE"),
    }
}

fn effective(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}

fn open_files() -> CheckItem {
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    match hard < FEW_FILES {
        true => CheckItem::lacking("open files", State::Degraded, format!("at most {hard}"))
            .costs("members' own limits are clamped to it")
            .remedy("raise the hard limit: `ulimit -Hn 1048576`, or `LimitNOFILE=` of the service"),
        false => CheckItem::ok("open files", format!("at most {hard}")),
    }
}

fn processes() -> CheckItem {
    let read = |name| fs::read_to_string(name).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let limits = ["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"].into_iter().filter_map(read);
    let most = limits.min().unwrap_or(0);
    match most < FEW_PROCESSES {
        true => CheckItem::lacking("processes", State::Degraded, format!("at most {most}"))
            .costs("a busy host runs out of process numbers")
            .remedy("`sysctl -w kernel.pid_max=4194304 kernel.threads-max=4194304`"),
        false => CheckItem::ok("processes", format!("at most {most}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_and_capabilities_are_read() {
        assert_eq!(parse_release("6.18.1-cloud-amd64"), (6, 18));
        assert_eq!(parse_release("6.1.0"), (6, 1));
        assert!(parse_release("5.15.0-91") < OLDEST);
        assert_eq!(effective("Name:\tx\nCapEff:\t000001fffeffffff\n") >> SYS_RESOURCE & 1, 0);
        assert_eq!(effective("CapEff:\t000001ffffffffff\n") >> SYS_RESOURCE & 1, 1);
    }
}
