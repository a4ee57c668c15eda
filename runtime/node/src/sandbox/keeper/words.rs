//! What the node says to a pause and hears from it, with descriptors that are owned. Data only; `keeper` makes messages
//! of it.

use std::os::fd::OwnedFd;

/// What pause says of itself at the beginning of a connection.
#[derive(Debug)]
pub struct Hello {
    /// pause itself.
    pub pidfd: OwnedFd,
    /// The highest sequence number it gave birth to.
    pub last_seq: u64,
    /// Members whose end is not known.
    pub live: Vec<Live>,
    /// Ends that were not acknowledged.
    pub exits: Vec<Exit>,
}

/// A living member, as listed.
#[derive(Debug, Clone, Copy)]
pub struct Live {
    /// Its birth.
    pub seq: u64,
    /// Nanoseconds since the epoch.
    pub started_ns: u64,
    /// Log files begun since birth.
    pub rotations: u32,
    /// Whether it waits for a next log file.
    pub needs_log: bool,
}

/// What pause pushes.
#[derive(Debug, Clone, Copy)]
pub enum Event {
    /// A member ended, and its output is in the log.
    Exited(Exit),
    /// A member's log went on in the next file.
    Rotated {
        /// The member's birth.
        seq: u64,
        /// Log files begun since birth.
        rotations: u32,
    },
}

/// The end of one member.
#[derive(Debug, Clone, Copy)]
pub struct Exit {
    /// Its birth.
    pub seq: u64,
    /// As `wait4` gives it.
    pub wait_status: i32,
    /// Nanoseconds since the epoch.
    pub started_ns: u64,
    /// Nanoseconds since the epoch.
    pub finished_ns: u64,
}

/// What a newborn is executed from.
#[derive(Debug)]
pub struct Process {
    /// Executed by descriptor.
    pub executable: OwnedFd,
    /// Descriptor 3 of the newborn.
    pub plan: OwnedFd,
    /// Descriptor 4.
    pub report: OwnedFd,
    /// Descriptors from 5 on.
    pub slots: Vec<OwnedFd>,
    /// The v2 cgroup that it is cloned into.
    pub cgroup: Option<OwnedFd>,
}

/// Standard streams of a newborn.
#[derive(Debug)]
pub enum BirthStdio {
    /// Pipes of pause's, read into log files.
    Logged {
        /// The current file.
        log: OwnedFd,
        /// The one after it.
        next: OwnedFd,
        /// Whether standard input is a pipe that pause keeps.
        input: bool,
    },
    /// A terminal, read into log files.
    Terminal {
        /// The current file.
        log: OwnedFd,
        /// The one after it.
        next: OwnedFd,
        /// Kept by pause.
        master: OwnedFd,
        /// The member's.
        slave: OwnedFd,
    },
    /// 0, 1 and 2 as given.
    Direct([OwnedFd; 3]),
}

/// One birth.
#[derive(Debug)]
pub struct Birth {
    /// Journalled before.
    pub seq: u64,
    /// A pid namespace nested in the Pod's.
    pub own_pid_namespace: bool,
    /// The living member whose pid namespace it is born into.
    pub join: Option<u64>,
    /// Bytes of one log file at most.
    pub log_limit: u64,
    /// `argv[0]`: `init` or `relay`.
    pub argument: &'static str,
    /// What is executed.
    pub process: Process,
    /// Its streams.
    pub stdio: BirthStdio,
}

/// A birth that happened.
#[derive(Debug)]
pub struct Born {
    /// Nanoseconds since the epoch.
    pub started_ns: u64,
    /// The newborn.
    pub pidfd: OwnedFd,
}

/// What pause keeps for a member and gives copies of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// Its pidfd.
    Pidfd,
    /// The write end of its standard input.
    Stdin,
    /// The master of its terminal.
    Terminal,
}
