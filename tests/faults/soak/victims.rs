//! The processes of one Pod, to be killed: each known by a descriptor, nobody is hit by number.

use std::os::fd::OwnedFd;

use dwell_tests::node::patience;
use dwell_tests::world::{Process, children_of};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Pause,
    Native,
    Wasm,
}

/// Finds them.
#[derive(Debug)]
pub struct Victims {
    title: String,
    /// Where pause was found before: to look at every process of the host is slow.
    pause: Option<i32>,
}

impl Victims {
    /// Of a Pod of this name, of which there is one on the host.
    pub fn of(pod: &str) -> Victims {
        Victims { title: format!("pause default/{pod}"), pause: None }
    }

    /// One that lives; still the same once it is open.
    pub fn get(&mut self, victim: Victim) -> Option<OwnedFd> {
        let found = self.find(victim).and_then(Pid::from_raw)?;
        let open = pidfd_open(found, PidfdFlags::empty()).ok()?;
        (self.find(victim).and_then(Pid::from_raw) == Some(found)).then_some(open)
    }

    fn find(&mut self, victim: Victim) -> Option<i32> {
        let pause = self.find_pause()?;
        let program = match victim {
            Victim::Pause => return Some(pause),
            Victim::Native => "sh -c",
            Victim::Wasm => "dwell-worker",
        };
        let mut children = children_of(pause).into_iter().filter_map(Process::read);
        children.find(|process| process.command.starts_with(program)).map(|process| process.pid)
    }

    fn find_pause(&mut self) -> Option<i32> {
        let known = self.pause.and_then(Process::read).filter(|process| process.command == self.title);
        let found = known.or_else(|| Process::all().into_iter().rfind(|process| process.command == self.title));
        self.pause = found.map(|process| process.pid);
        self.pause
    }
}

/// Kills it.
///
/// # Errors
/// What the kernel said, or that it does not end.
pub fn kill(process: &OwnedFd) -> Result<(), String> {
    pidfd_send_signal(process, Signal::KILL).map_err(|error| format!("kill it: {error}"))?;
    end(process)
}

/// Waits for its end.
///
/// # Errors
/// It does not end.
pub fn end(process: &OwnedFd) -> Result<(), String> {
    let mut waited = [PollFd::new(process, PollFlags::IN)];
    match poll(&mut waited, Timespec::try_from(patience()).ok().as_ref()) {
        Ok(1..) => Ok(()),
        _ => Err("it does not end".into()),
    }
}
