//! What happens to members that live: their end, signals, their input, their log files.

use std::fs::File;
use std::os::fd::OwnedFd;

use dwell_spec::signal::SignalName;
use rustix::process::Signal;

use super::driver::Driver;
use super::files;
use super::request::{Attached, ExecEnd, PodNetwork, Refusal, pick, require_running};
use super::status;
use crate::blocking::{begin, blocking};
use crate::chain::chain;
use crate::clock::now_ns;
use crate::container::last_words;
use crate::report::{Report, read_report};
use crate::sandbox::keeper::{Exit, Take};
use crate::supervise::journal::{MemberState, Termination};

impl Driver {
    /// An exit is written down before pause may forget it.
    pub(super) async fn exited(&mut self, exit: Exit) {
        if let Some(index) = self.journal.member_of(exit.seq) {
            let end = self.describe_end(index, &exit).await;
            self.errands.end(Some(index));
            self.journal.members[index].terminate(end.clone());
            if status::will_restart(&self.pod, &self.journal.members[index], &self.journal, &end) {
                let (uid, pod) = (&self.handle.uid, format!("{}_{}", self.handle.name, self.handle.namespace));
                let words =
                    format!("Back-off restarting failed container {} in pod {pod}({uid})", self.container(index).name);
                self.tell(Some(index), "BackOff", words);
            }
            self.remove_container_cgroup(index);
            self.settle_limits().await;
        } else if let Some((waiter, report)) = self.execs.remove(&exit.seq) {
            let report = read_report(&report).filter(|report| report.start_failed);
            let end = ExecEnd { code: exit_code(exit.wait_status), start_failure: report.map(|report| report.message) };
            // Nobody waiting is no failure.
            let _ = waiter.send(end);
        }
        self.publish();
        if let Some(sandbox) = &mut self.sandbox {
            let _ = sandbox.keeper.acknowledge(exit.seq).await;
        }
        self.replace_relay(exit.seq).await;
    }

    async fn describe_end(&mut self, index: usize, exit: &Exit) -> Termination {
        let report =
            self.reports.remove(&exit.seq).or_else(|| self.reopen_report(index)).as_ref().and_then(read_report);
        let (code, signal) = (exit_code(exit.wait_status), signal_of(exit.wait_status));
        let exceeded = (signal == Some(Signal::KILL.as_raw())).then(|| self.memory_it_exceeded(index)).flatten();
        let (reason, mut message) = reason_of(code, signal, exceeded, report);
        if let Some(words) = self.last_words(index, code).await {
            message = if message.is_empty() { words } else { format!("{message}: {words}") };
        }
        Termination {
            exit_code: code,
            signal,
            reason,
            message,
            started_ns: exit.started_ns,
            finished_ns: exit.finished_ns,
            unhealthy: false,
            replaced: false,
        }
    }

    /// What it could have used, if it was ended for having used more.
    fn memory_it_exceeded(&self, index: usize) -> Option<String> {
        let has_exceeded = self.oom_kills(index) > self.journal.members[index].oom_kills_before;
        let limit = || self.pod.memory_limit_of(self.container(index));
        has_exceeded
            .then(|| limit().map_or("the memory there was".into(), |bytes| format!("its limit of {bytes} bytes")))
    }

    async fn last_words(&self, index: usize, code: i32) -> Option<String> {
        let words = last_words::from_file(&self.own_folder(index));
        if words.is_some() || code == 0 || !self.container(index).last_words.from_log {
            return words;
        }
        let logs = self.shared.layout.logs(&self.handle.uid, &self.journal.members[index].name);
        blocking(move || last_words::from_log(logs)).await.ok().flatten()
    }

    fn reopen_report(&self, index: usize) -> Option<File> {
        files::reopen_report(&self.own_folder(index))
    }

    pub(super) fn own_folder(&self, index: usize) -> std::path::PathBuf {
        let member = &self.journal.members[index];
        let start = member.starts.saturating_sub(1);
        self.shared.layout.container_dir(&self.handle.uid, &member.name).join(start.to_string())
    }

    pub(super) fn cgroup_id(&self, index: usize) -> String {
        let member = &self.journal.members[index];
        format!("{}-{}", member.name, member.starts.saturating_sub(1))
    }

    fn oom_kills(&self, index: usize) -> u64 {
        let Some(sandbox) = &self.sandbox else { return 0 };
        sandbox.cgroup.container(&self.cgroup_id(index)).and_then(|group| group.oom_kills()).unwrap_or(0)
    }

    /// The group and the writable layer of a run that ended go with it.
    fn remove_container_cgroup(&mut self, index: usize) {
        let Some(sandbox) = &self.sandbox else { return };
        if let Some(group) = sandbox.cgroup.container(&self.cgroup_id(index)) {
            let _ = group.kill();
            let _ = group.remove();
        }
        let folder = self.own_folder(index);
        begin(move || {
            let _ = dwell_sys::remove::remove_tree(&folder);
        });
    }

    /// The signal that asks the member to stop.
    pub(super) fn stop_signal(&self, index: usize) -> i32 {
        let own = self.container(index).stop_signal.as_ref().and_then(|name| name.parse::<SignalName>().ok());
        own.map_or(Signal::TERM.as_raw(), SignalName::number)
    }

    /// Sends a signal to the member's first process.
    pub(super) async fn signal(&mut self, index: usize, number: i32) {
        let Some(seq) = self.journal.members[index].live_seq() else { return };
        if let Ok(pidfd) = self.take(seq, Take::Pidfd).await {
            send_signal(&pidfd, number);
        }
    }

    /// Ends everything in the member's cgroup.
    pub(super) async fn kill_member(&mut self, index: usize) {
        self.signal(index, Signal::KILL.as_raw()).await;
        if let Some(sandbox) = &self.sandbox
            && let Some(group) = sandbox.cgroup.container(&self.cgroup_id(index))
        {
            let _ = group.kill();
        }
    }

    pub(super) async fn kill(&mut self, container: Option<&str>, number: i32) -> Result<(), Refusal> {
        let targets: Vec<usize> = match container {
            Some(name) => vec![pick(&self.journal, Some(name))?],
            None => (0..self.journal.members.len()).filter(|i| self.journal.members[*i].live_seq().is_some()).collect(),
        };
        if targets.is_empty() {
            let state = if self.journal.finished { "ended" } else { "waiting to start" };
            return Err(Refusal::NotRunning { what: "the Pod".into(), state: state.into() });
        }
        for index in targets {
            // Nobody waits for what it was added for any more.
            let member = &mut self.journal.members[index];
            if member.added && matches!(member.state, MemberState::Waiting { .. }) {
                member.give_up(now_ns());
                self.publish();
                continue;
            }
            require_running(&self.journal.members[index])?;
            self.signal(index, number).await;
        }
        Ok(())
    }

    pub(super) async fn take(&mut self, seq: u64, what: Take) -> Result<OwnedFd, Refusal> {
        let sandbox = self.sandbox.as_mut().ok_or(Refusal::Gone)?;
        sandbox.keeper.take(seq, what).await.map_err(|error| Refusal::Failed(chain(&error)))
    }

    pub(super) fn network(&self) -> Result<PodNetwork, Refusal> {
        let state = if self.journal.finished { "ended" } else { "waiting to start" };
        let not_running = || Refusal::NotRunning { what: "the Pod".into(), state: state.into() };
        let sandbox = self.sandbox.as_ref().ok_or_else(not_running)?;
        let open = || Ok(PodNetwork { namespace: sandbox.network_namespace()?, keeper: sandbox.keeper_pidfd()? });
        open().map_err(|error: std::io::Error| Refusal::Failed(format!("open the Pod's network: {error}")))
    }

    pub(super) async fn attach(&mut self, container: Option<&str>) -> Result<Attached, Refusal> {
        let index = self.pick_interactive(container)?;
        let seq = require_running(&self.journal.members[index])?;
        let container = self.container(index).clone();
        let input = match (container.tty, container.stdin) {
            (true, _) => Some(self.take(seq, Take::Terminal).await?),
            (false, true) => Some(self.take(seq, Take::Stdin).await?),
            (false, false) => None,
        };
        Ok(Attached { container: container.name, input, tty: container.tty, stdin_once: container.stdin_once })
    }

    fn pick_interactive(&self, asked: Option<&str>) -> Result<usize, Refusal> {
        let interactive = |index: &usize| {
            !self.journal.members[*index].added && (self.container(*index).stdin || self.container(*index).tty)
        };
        match (asked, (0..self.journal.members.len()).find(interactive)) {
            (None, Some(index)) => Ok(index),
            _ => pick(&self.journal, asked),
        }
    }

    pub(super) async fn close_stdin(&mut self, container: &str) {
        let Ok(index) = pick(&self.journal, Some(container)) else { return };
        if let (Some(seq), Some(sandbox)) = (self.journal.members[index].live_seq(), &mut self.sandbox) {
            let _ = sandbox.keeper.close_stdin(seq).await;
        }
    }
}

fn send_signal(pidfd: &OwnedFd, number: i32) {
    if let Some(signal) = Signal::from_named_raw(number) {
        // A process that is gone already needs no signal.
        let _ = rustix::process::pidfd_send_signal(pidfd, signal);
    }
}

/// Reason and sentence of an end: by this status or signal, with more memory used than this, as reported.
pub(super) fn reason_of(
    code: i32,
    signal: Option<i32>,
    exceeded: Option<String>,
    report: Option<Report>,
) -> (String, String) {
    match (exceeded, report) {
        (Some(limit), _) if signal == Some(Signal::KILL.as_raw()) => {
            ("OOMKilled".into(), format!("the kernel ended it for using more memory than {limit}"))
        }
        (_, Some(report)) if report.start_failed && matches!(code, 126 | 127) => {
            ("ContainerCannotRun".into(), report.message)
        }
        (_, Some(report)) => (report.reason, report.message),
        (_, None) if code == 0 => ("Completed".into(), String::new()),
        (_, None) => ("Error".into(), String::new()),
    }
}

/// 0 to 255; 128 + signal when a signal ended it.
fn exit_code(wait_status: i32) -> i32 {
    match signal_of(wait_status) {
        Some(signal) => 128 + signal,
        None => wait_status >> 8 & 0xff,
    }
}

fn signal_of(wait_status: i32) -> Option<i32> {
    let signal = wait_status & 0x7f;
    (signal != 0).then_some(signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_statuses_become_exit_codes() {
        assert_eq!(exit_code(7 << 8), 7);
        assert_eq!(exit_code(9), 137);
        assert_eq!(exit_code(6 | 0x80), 134);
        assert_eq!(signal_of(0), None);
    }
}
