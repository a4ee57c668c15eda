//! What dwell changes on the host outside its own things: forwarding. One list, shown by `dwell check`.
//!
//! Packets of Pods pass through the host only if it forwards. A value that is already set is left alone, and none is
//! set back when the last Pod ends: another program may rely on it by then, and there is no telling who turned it on
//! first. Turning IPv6 forwarding on makes the kernel ignore router advertisements, so a link that owes its default
//! route to one is first told to go on listening (`accept_ra=2`, `ip-sysctl.rst`). iptables and other tables are
//! never touched.

use std::fs;
use std::io;

use dwell_sys::netlink::{Socket, address, link};

const V4: &str = "/proc/sys/net/ipv4/ip_forward";
const V6: &str = "/proc/sys/net/ipv6/conf/all/forwarding";

/// One change of a host setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Path of the setting.
    pub setting: String,
    /// What dwell needs it to be.
    pub wanted: &'static str,
    /// What it is now.
    pub current: Option<String>,
    /// Why, for people.
    pub because: &'static str,
}

impl Change {
    fn new(setting: String, wanted: &'static str, because: &'static str) -> Self {
        let current = fs::read_to_string(&setting).ok().map(|text| text.trim().to_owned());
        Self { setting, wanted, current, because }
    }

    /// Whether the host still has to be changed.
    pub fn is_pending(&self) -> bool {
        self.current.as_deref().is_some_and(|current| current != self.wanted)
    }

    fn apply(&self) -> io::Result<()> {
        if self.is_pending() { fs::write(&self.setting, self.wanted) } else { Ok(()) }
    }
}

/// Everything that dwell changes on this host when the first Pod with a network of its own starts, in that order.
pub fn changes(socket: &mut Socket, ipv6: bool) -> Vec<Change> {
    let mut list = vec![Change::new(V4.into(), "1", "packets of Pods pass through the host")];
    if ipv6 {
        let forwards = fs::read_to_string(V6).is_ok_and(|text| text.trim() != "0");
        let listening = if forwards { Vec::new() } else { listening_links(socket) };
        list.extend(listening.iter().map(|name| {
            let setting = format!("/proc/sys/net/ipv6/conf/{name}/accept_ra");
            Change::new(setting, "2", "a link that forwards would lose the default route that it learnt")
        }));
        list.push(Change::new(V6.into(), "1", "IPv6 packets of Pods pass through the host"));
    }
    list
}

/// Applies what is pending.
///
/// # Errors
/// The first setting that could not be written, with its path; later ones are still tried.
pub fn ensure(socket: &mut Socket, ipv6: bool) -> Result<(), (String, io::Error)> {
    let failed = |change: Change| change.apply().err().map(|error| (change.setting, error));
    let mut failures = changes(socket, ipv6).into_iter().filter_map(failed).collect::<Vec<_>>().into_iter();
    failures.next().map_or(Ok(()), Err)
}

/// Links with a route learnt from a router's advertisement.
fn listening_links(socket: &mut Socket) -> Vec<String> {
    let (Ok(routes), Ok(links)) = (address::list_routes(socket), link::list(socket)) else {
        return Vec::new();
    };
    let learnt = |index| routes.iter().any(|route| route.protocol == address::PROTOCOL_RA && route.link == Some(index));
    links.into_iter().filter(|link| learnt(link.index) && !link.name.contains('/')).map(|link| link.name).collect()
}
