//! The network of one state folder's Pods: one bridge, one subnet, one firewall table, and a link for each Pod.
//!
//! ```text
//! open ─(first attach)→ bridge, addresses, table ─attach/adopt/detach→ … ─(close_if_unused)→ nothing left
//! ```
//!
//! Everything goes over netlink, in few messages: a Pod's link is one message, the inside of its namespace one batch.
//! A Pod's link is never deleted: it ends with the Pod's namespace, in the kernel's background (deleting it takes
//! 10 to 30 ms and stalls everybody's). Calls block; call them from a thread that may. Nothing here touches a link,
//! route, or table that is not the folder's own, but for the settings in `forwarding`.

pub(crate) mod dial;
pub mod forwarding;
mod host_port;
pub mod identity;
mod namespace;
mod phrase;
mod pool;
mod subnet;
mod table;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dwell_spec::plan::pod::HostPort;
use dwell_spec::pod::Protocol;
use dwell_sys::netlink::{Family, NetlinkError, Socket};
use serde::{Deserialize, Serialize};

use identity::Identity;

mod bridge;
mod state;

pub use host_port::bind_host_port;
pub use namespace::POD_LINK;
use state::State;

/// Where a Pod of this address reaches the host: its bridge's own address.
pub fn host_of(pod: Ipv4Addr) -> Ipv4Addr {
    bridge::gateway4(subnet::base(pod))
}

/// What a node's network is made from.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// Any text that is unique to the state folder and stays with it: its canonical path, say.
    pub id: String,
}

/// A Pod's place in the network. The node writes it down, and hands it back after a restart (`adopt`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The Pod's number in its subnet.
    pub number: u32,
    /// The Pod's IPv4 address.
    pub v4: Ipv4Addr,
    /// The Pod's IPv6 address, on a host that has IPv6.
    pub v6: Option<Ipv6Addr>,
    /// Name of the Pod's link on the host.
    pub veth: String,
    /// Ports of the host that lead into the Pod.
    pub host_ports: Vec<HostPort>,
}

/// The network of one state folder.
#[derive(Debug)]
pub struct Network {
    state: Mutex<State>,
}

impl Network {
    /// Opens the sockets, and finds the bridge of an earlier node of the same state folder if it is still there.
    /// Changes nothing.
    ///
    /// # Errors
    /// `Netlink` when the kernel offers no route or firewall socket.
    pub fn open(config: &NetworkConfig) -> Result<Self, NetworkError> {
        let failed = |source| NetworkError::Netlink { attempt: "open", subject: "the host's network".into(), source };
        let route = Socket::open(Family::Route).map_err(failed)?;
        let netfilter = Socket::open(Family::Netfilter).map_err(failed)?;
        let state = State::new(Identity::new(&config.id), route, netfilter)?;
        Ok(Self { state: Mutex::new(state) })
    }

    /// Gives the network namespace a link, addresses, routes, and its host ports. The ports must have been bound
    /// (`bind_host_port`) before.
    ///
    /// # Errors
    /// Names what was attempted; nothing but the namespace itself (which the caller drops) is left changed, though
    /// the bridge may have been made (`close_if_unused`). `HostPort` when another Pod of this folder has the port.
    pub fn attach(&self, netns: BorrowedFd<'_>, host_ports: &[HostPort]) -> Result<Attachment, NetworkError> {
        self.lock().attach(netns, host_ports)
    }

    /// Takes back a Pod that an earlier node attached. Call `settle` after the last.
    pub fn adopt(&self, attachment: Attachment) {
        self.lock().adopt(attachment);
    }

    /// Makes the firewall table hold exactly the adopted Pods' host ports, in one transaction; without any Pod,
    /// removes what an earlier node left.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn settle(&self) -> Result<(), NetworkError> {
        self.lock().settle()
    }

    /// Closes the Pod's host ports, forgets flows that were led to it, and releases its address. The link goes with
    /// the Pod's namespace. May be repeated.
    ///
    /// # Errors
    /// When the kernel refuses; the address is released all the same.
    pub fn detach(&self, attachment: &Attachment) -> Result<(), NetworkError> {
        self.lock().detach(attachment)
    }

    /// Deletes table and bridge if no Pod is attached; whether they are gone. Blocks for some 10 ms then.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn close_if_unused(&self) -> Result<bool, NetworkError> {
        self.lock().close_if_unused()
    }

    /// Name of the bridge, once there is one.
    pub fn bridge(&self) -> Option<String> {
        self.lock().bridge_name()
    }

    /// What could not be turned on when the bridge was made (path, cause): Pods then reach each other and the host,
    /// but nothing beyond.
    pub fn forwarding_failure(&self) -> Option<String> {
        self.lock().forwarding_failure()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this host (the caller's network namespace) has IPv6 at all.
pub fn host_has_ipv6() -> bool {
    let off = |name| std::fs::read_to_string(name).map_or(true, |text| text.trim() != "0");
    !off("/proc/sys/net/ipv6/conf/all/disable_ipv6") && !off("/proc/sys/net/ipv6/conf/default/disable_ipv6")
}

/// Why the network could not be changed.
#[derive(Debug)]
pub enum NetworkError {
    /// The kernel refused a request.
    Netlink {
        /// A verb.
        attempt: &'static str,
        /// On what.
        subject: String,
        /// What the kernel said.
        source: NetlinkError,
    },
    /// The Pod's network namespace could not be entered.
    Namespace {
        /// What the kernel said.
        source: io::Error,
    },
    /// A setting could not be written.
    Setting {
        /// Its path.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A host port is taken or cannot be bound.
    HostPort {
        /// The port.
        port: HostPort,
        /// The address on which it failed.
        address: IpAddr,
        /// What the kernel said; nothing when another Pod of this state folder has it.
        source: Option<io::Error>,
    },
    /// Every private subnet is routed elsewhere.
    NoSubnet,
    /// Every name that the bridge could have is a stranger's.
    NoBridgeName,
    /// All addresses of the subnet are in use.
    NoAddress,
}

impl NetworkError {
    /// What to do about it, if that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::HostPort { port, .. } if port.protocol != Protocol::Sctp => {
                Some("`ss -tulpn` shows who listens; choose another hostPort")
            }
            Self::NoSubnet => Some("`ip route` shows who uses 10.64.0.0/10, 172.20.0.0/14 and 192.168.128.0/17"),
            Self::NoAddress => Some("at most 1021 Pods with a network of their own share one state folder"),
            Self::Netlink { source, .. } if source.errno() == Some(rustix::io::Errno::PERM.raw_os_error()) => {
                Some("this needs root with CAP_NET_ADMIN")
            }
            _ => None,
        }
    }
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Netlink { attempt, subject, .. } => write!(f, "{attempt} {subject}"),
            Self::Namespace { .. } => write!(f, "enter the Pod's network namespace"),
            Self::Setting { path, .. } => write!(f, "write {path}"),
            Self::HostPort { port, address, source } => {
                let taken = if source.is_some() { "" } else { ": another Pod has it" };
                let protocol = format!("{:?}", port.protocol).to_lowercase();
                write!(f, "bind host port {protocol} {}{taken}", std::net::SocketAddr::new(*address, port.host_port))
            }
            Self::NoSubnet => write!(f, "choose a subnet for Pods: every private one is routed elsewhere"),
            Self::NoBridgeName => write!(f, "make the bridge: every name it could have is taken"),
            Self::NoAddress => write!(f, "choose an address for the Pod: all 1021 are in use"),
        }
    }
}

impl std::error::Error for NetworkError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Netlink { source, .. } => Some(source),
            Self::Namespace { source } | Self::Setting { source, .. } => Some(source),
            Self::HostPort { source, .. } => source.as_ref().map(|source| source as _),
            Self::NoSubnet | Self::NoBridgeName | Self::NoAddress => None,
        }
    }
}
