//! What `Network` holds behind its lock, and the steps of attaching and detaching.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::BorrowedFd;

use dwell_spec::plan::pod::HostPort;
use dwell_sys::netlink::link::{self, Veth};
use dwell_sys::netlink::{Message, NetlinkError, Socket, conntrack};
use dwell_sys::nft::{self, Table};

use super::bridge::{self, Bridge};
use super::identity::{Identity, pod_mac};
use super::namespace::{self, Addresses, POD_LINK};
use super::pool::Pool;
use super::table::Layout;
use super::{Attachment, NetworkError, forwarding};

const EXISTS: Option<i32> = Some(rustix::io::Errno::EXIST.raw_os_error());
const MISSING: Option<i32> = Some(rustix::io::Errno::NOENT.raw_os_error());
const NO_DEVICE: Option<i32> = Some(rustix::io::Errno::NODEV.raw_os_error());
/// Names tried while links of dead Pods still wait for their removal.
const NAME_ATTEMPTS: usize = 64;

#[derive(Debug)]
pub(super) struct State {
    identity: Identity,
    route: Socket,
    netfilter: Socket,
    bridge: Option<Bridge>,
    /// Whether the table is known to be as it should.
    table_ready: bool,
    pool: Pool,
    serial: u32,
    attached: BTreeMap<u32, Attachment>,
    forwarding_failure: Option<String>,
}

impl State {
    pub fn new(identity: Identity, mut route: Socket, netfilter: Socket) -> Result<Self, NetworkError> {
        let bridge = bridge::find(&mut route, &identity)?;
        let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let seed = clock.as_micros() as u32;
        Ok(Self {
            identity,
            route,
            netfilter,
            bridge,
            table_ready: false,
            pool: Pool::new(seed),
            serial: seed,
            attached: BTreeMap::new(),
            forwarding_failure: None,
        })
    }

    pub fn attach(&mut self, netns: BorrowedFd<'_>, ports: &[HostPort]) -> Result<Attachment, NetworkError> {
        let bridge = self.ensure()?;
        let number = self.pool.take().ok_or(NetworkError::NoAddress)?;
        let attached = self.attach_as(number, &bridge, netns, ports);
        match &attached {
            Ok(attachment) => drop(self.attached.insert(number, attachment.clone())),
            Err(_) => self.pool.release(number),
        }
        attached
    }

    fn attach_as(
        &mut self,
        number: u32,
        bridge: &Bridge,
        netns: BorrowedFd<'_>,
        ports: &[HostPort],
    ) -> Result<Attachment, NetworkError> {
        let v4 = Ipv4Addr::from_bits(bridge.subnet4.to_bits() + number);
        let v6 = self.subnet6(bridge).map(|base| Ipv6Addr::from_bits(base.to_bits() + u128::from(number)));
        let mut inside = namespace::prepare(netns, bridge.ipv6)?;
        let veth = self.make_veth(bridge, netns, v4)?;
        let gateway = (Ipv4Addr::from_bits(bridge.subnet4.to_bits() + 1), Ipv6Addr::from_bits(self.gateway6()));
        namespace::configure(&mut inside, &Addresses { v4: (v4, gateway.0), v6: v6.map(|v6| (v6, gateway.1)) })?;
        self.wake(bridge, &veth)?;
        let attachment = Attachment { number, v4, v6, veth, host_ports: ports.to_vec() };
        self.open_ports(bridge, &attachment)?;
        Ok(attachment)
    }

    fn make_veth(&mut self, bridge: &Bridge, netns: BorrowedFd<'_>, v4: Ipv4Addr) -> Result<String, NetworkError> {
        let mut last = None;
        for _ in 0..NAME_ATTEMPTS {
            self.serial = self.serial.wrapping_add(1);
            let name = self.identity.veth(self.serial);
            let veth = Veth {
                host_name: &name,
                bridge: bridge.index,
                peer_name: POD_LINK,
                peer_mac: pod_mac(v4),
                netns,
                mtu: bridge.mtu,
            };
            match self.route.request(&[link::create_veth(&veth), link::allow_hairpin(&name)]) {
                Ok(()) => return Ok(name),
                Err(error) if error.errno() == EXISTS => last = Some(refused("make the link", &name, error)),
                Err(error) => return Err(refused("make the link", &name, error)),
            }
        }
        Err(last.unwrap_or(NetworkError::NoAddress))
    }

    /// Asks for links whose carrier has just come up, so that they forward from now on and not a moment later: else
    /// a first packet may be lost, which costs its sender a second.
    fn wake(&mut self, bridge: &Bridge, veth: &str) -> Result<(), NetworkError> {
        let first = self.attached.is_empty().then_some(bridge.name.as_str());
        for name in std::iter::once(veth).chain(first) {
            link::by_name(&mut self.route, name).map_err(|source| refused("look for", name, source))?;
        }
        Ok(())
    }

    fn open_ports(&mut self, bridge: &Bridge, attachment: &Attachment) -> Result<(), NetworkError> {
        let additions = self.additions(bridge, attachment);
        let messages: Vec<Message> = additions.iter().map(|(_, _, message)| message.clone()).collect();
        let outcome = nft::commit(&mut self.netfilter, &messages);
        outcome.map_err(|source| match (source.errno(), conflict(&source, &additions)) {
            (EXISTS, Some((port, address))) => NetworkError::HostPort { port, address, source: None },
            _ => refused("open host ports of", &attachment.veth, source),
        })
    }

    fn additions(&self, bridge: &Bridge, attachment: &Attachment) -> Vec<(HostPort, IpAddr, Message)> {
        let layout = self.layout(bridge);
        let open = |port: &HostPort| {
            let messages = layout.open(port, attachment.v4, attachment.v6);
            messages.into_iter().map(|(address, message)| (*port, address, message)).collect::<Vec<_>>()
        };
        attachment.host_ports.iter().flat_map(open).collect()
    }

    pub fn adopt(&mut self, attachment: Attachment) {
        self.pool.claim(attachment.number);
        self.attached.insert(attachment.number, attachment);
        self.table_ready = false;
    }

    pub fn settle(&mut self) -> Result<(), NetworkError> {
        if self.attached.is_empty() { self.close_if_unused().map(drop) } else { self.ensure().map(drop) }
    }

    pub fn detach(&mut self, attachment: &Attachment) -> Result<(), NetworkError> {
        if self.attached.remove(&attachment.number).is_none() {
            return Ok(());
        }
        self.pool.release(attachment.number);
        let Some(bridge) = self.bridge.clone().filter(|_| !attachment.host_ports.is_empty()) else {
            return Ok(());
        };
        let layout = self.layout(&bridge);
        let close = |port| layout.close(port, attachment.v4, attachment.v6);
        let messages: Vec<Message> = attachment.host_ports.iter().flat_map(close).collect();
        // A Pod is detached once; so what fails is done another way at once, else its ports would lead nowhere for ever.
        let closed = self.close_ports(&messages).or_else(|_| {
            self.table_ready = false;
            self.ensure().map(drop)
        });
        for pod in [Some(attachment.v4.into()), attachment.v6.map(IpAddr::from)].into_iter().flatten() {
            conntrack::forget(&mut self.netfilter, pod)
                .or_else(|_| conntrack::forget(&mut self.netfilter, pod))
                .map_err(|source| refused("forget flows of", &attachment.veth, source))?;
        }
        closed
    }

    /// All at once; if one was gone already, which fails the transaction, one by one.
    fn close_ports(&mut self, messages: &[Message]) -> Result<(), NetlinkError> {
        match nft::commit(&mut self.netfilter, messages) {
            Err(error) if error.errno() == MISSING => messages.iter().try_for_each(|message| {
                ignoring(nft::commit(&mut self.netfilter, std::slice::from_ref(message)), MISSING)
            }),
            outcome => outcome,
        }
    }

    pub fn close_if_unused(&mut self) -> Result<bool, NetworkError> {
        if !self.pool.is_empty() {
            return Ok(false);
        }
        let table = self.table();
        let deleted = nft::commit(&mut self.netfilter, &[table.delete()]);
        ignoring(deleted, MISSING).map_err(|source| refused("delete the table", &table.name, source))?;
        self.table_ready = false;
        if let Some(bridge) = bridge::find_link(&mut self.route, &self.identity)? {
            let deleted = self.route.request(&[link::delete(bridge.index)]);
            ignoring(deleted, NO_DEVICE).map_err(|source| refused("delete the bridge", &bridge.name, source))?;
        }
        self.bridge = None;
        Ok(true)
    }

    pub fn bridge_name(&self) -> Option<String> {
        self.bridge.as_ref().map(|bridge| bridge.name.clone())
    }

    pub fn forwarding_failure(&self) -> Option<String> {
        self.forwarding_failure.clone()
    }

    /// Bridge, table and forwarding as they must be before a Pod is attached.
    fn ensure(&mut self) -> Result<Bridge, NetworkError> {
        let bridge = match self.bridge.clone() {
            Some(bridge) => bridge,
            None => bridge::make(&mut self.route, &self.identity)?,
        };
        self.bridge = Some(bridge.clone());
        if !self.table_ready {
            let failure = forwarding::ensure(&mut self.route, bridge.ipv6).err();
            self.forwarding_failure = failure.map(|(path, error)| format!("write {path}: {error}"));
            self.rebuild_table(&bridge)?;
            self.table_ready = true;
        }
        Ok(bridge)
    }

    /// Replaces the table in one transaction: packets meet the old one or the new one, never none.
    fn rebuild_table(&mut self, bridge: &Bridge) -> Result<(), NetworkError> {
        let layout = self.layout(bridge);
        let failed = |source| refused("make the table", &layout.table.name, source);
        let mut messages = Vec::new();
        if nft::read::table_exists(&mut self.netfilter, &layout.table.name).map_err(failed)? {
            messages.push(layout.table.delete());
        }
        messages.extend(layout.create());
        let ports = self.attached.values().flat_map(|attachment| self.additions(bridge, attachment));
        messages.extend(ports.map(|(_, _, message)| message));
        nft::commit(&mut self.netfilter, &messages).map_err(failed)
    }

    fn layout(&self, bridge: &Bridge) -> Layout {
        let subnet6 = self.subnet6(bridge);
        Layout { table: self.table(), bridge: bridge.name.clone(), subnet4: bridge.subnet4, subnet6 }
    }

    fn table(&self) -> Table {
        Table { name: self.identity.table() }
    }

    fn subnet6(&self, bridge: &Bridge) -> Option<Ipv6Addr> {
        bridge.ipv6.then(|| self.identity.subnet6())
    }

    fn gateway6(&self) -> u128 {
        self.identity.subnet6().to_bits() + 1
    }
}

fn conflict(error: &NetlinkError, additions: &[(HostPort, IpAddr, Message)]) -> Option<(HostPort, IpAddr)> {
    let NetlinkError::Refused { index, .. } = error else {
        return None;
    };
    additions.get(*index).map(|(port, address, _)| (*port, *address))
}

fn ignoring(outcome: Result<(), NetlinkError>, errno: Option<i32>) -> Result<(), NetlinkError> {
    match outcome {
        Err(error) if error.errno() != errno => Err(error),
        _ => Ok(()),
    }
}

fn refused(attempt: &'static str, subject: &str, source: NetlinkError) -> NetworkError {
    NetworkError::Netlink { attempt, subject: subject.to_owned(), source }
}
