//! The relay: a process born in the Pod that serves the host's loopback ports, whose listening sockets pause keeps.

use std::os::fd::{AsFd, OwnedFd};

use dwell_spec::plan::pod::HostPort;
use dwell_spec::plan::relay::{RelayListener, RelayPlan};
use dwell_sys::complain::complain;

use super::driver::Driver;

/// Relays started anew for one Pod by one node at most.
const RELAY_DEATHS_MAX: u32 = 5;

use crate::chain::chain;
use crate::sandbox::keeper::{Birth, BirthStdio, Process};

impl Driver {
    /// Starts the relay if any port of the host leads into the Pod.
    pub(super) async fn start_relay(&mut self, sockets: Vec<(HostPort, OwnedFd)>) -> Result<(), String> {
        if sockets.is_empty() {
            return Ok(());
        }
        let seq = self.journal.take_seq();
        self.journal.sandbox.get_or_insert_default().relay_seq = Some(seq);
        self.save().map_err(|error| format!("write the relay down: {error}"))?;
        let birth = self.relay_birth(seq, sockets)?;
        let sandbox = self.sandbox.as_mut().ok_or("the sandbox is gone")?;
        sandbox
            .keeper
            .birth(birth)
            .await
            .map(drop)
            .map_err(|error| format!("start the relay of the host's ports: {}", chain(&error)))
    }

    /// A relay that ended is replaced, a few times: the ports are bound anew.
    pub(super) async fn replace_relay(&mut self, ended: u64) {
        let ours = self.journal.sandbox.as_ref().is_some_and(|sandbox| sandbox.relay_seq == Some(ended));
        if !ours || self.relay_deaths >= RELAY_DEATHS_MAX {
            return;
        }
        self.relay_deaths += 1;
        let Ok(plan) = dwell_spec::plan::plan_pod(&self.pod, &self.shared.facts) else { return };
        let started = match self.bind_host_ports(&plan.host_ports) {
            Ok(sockets) => self.start_relay(sockets).await,
            Err(error) => Err(error),
        };
        if let Err(error) = started {
            complain(format_args!("replace the relay of Pod {}/{}: {error}", self.handle.namespace, self.handle.name));
        }
    }

    fn relay_birth(&self, seq: u64, sockets: Vec<(HostPort, OwnedFd)>) -> Result<Birth, String> {
        let failed = |what: &str, error: std::io::Error| format!("{what} for the relay: {error}");
        let (ports, slots): (Vec<HostPort>, Vec<OwnedFd>) = sockets.into_iter().unzip();
        let plan = relay_plan(&ports, self.pod_ip());
        let null = |_: usize| {
            let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
            rustix::fs::open("/dev/null", flags, rustix::fs::Mode::empty())
        };
        let [a, b, c] = [null(0), null(1), null(2)];
        let stdio = [a, b, c].map(|fd| fd.map_err(|error| failed("open /dev/null", error.into())));
        let [a, b, c] = stdio;
        let process = Process {
            executable: self
                .shared
                .embedded
                .init
                .as_fd()
                .try_clone_to_owned()
                .map_err(|error| failed("copy init", error))?,
            plan: dwell_sys::memfd::sealed("relay-plan", &plan.encode())
                .map_err(|error| failed("seal the plan", error.into()))?,
            report: dwell_sys::memfd::writable("relay-report")
                .map_err(|error| failed("make a report file", error.into()))?,
            slots,
            cgroup: None,
        };
        let stdio = BirthStdio::Direct([a?, b?, c?]);
        Ok(Birth { seq, own_pid_namespace: true, join: None, log_limit: 0, argument: "relay", process, stdio })
    }
}

fn relay_plan(ports: &[HostPort], ip: dwell_spec::facts::PodIp) -> RelayPlan {
    let listeners = ports.iter().enumerate().map(|(slot, port)| RelayListener {
        slot: dwell_spec::plan::init::Slot(slot as u16),
        protocol: port.protocol,
        target_port: port.container_port,
    });
    RelayPlan { listeners: listeners.collect(), v4: ip.v4, v6: ip.v6 }
}
