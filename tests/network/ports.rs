//! Host ports: from outside, from the host, from Pods; conflicts; and what is closed again.

use std::net::IpAddr;
use std::os::fd::AsFd;

use dwell::network::{NetworkError, bind_host_port};
use dwell_spec::plan::pod::HostPort;
use dwell_spec::pod::Protocol;

use crate::world::*;
use crate::{at, both, host, network, pod, port, server};

#[test]
fn host_ports_lead_in_from_everywhere() {
    on_a_host(|| {
        let outside = outside();
        let network = network("ports");
        let (one, first) = server(&network, &both(8080));
        let (two, _) = pod(&network, &[]);
        for (address, client) in host(8080).into_iter().zip([OUTSIDE4, OUTSIDE6]) {
            let client: Option<IpAddr> = Some(client.parse().unwrap());
            assert_eq!(inside(&outside, || ask_tcp(address, true)), client, "from outside, source kept");
            assert_eq!(inside(&outside, || ask_udp(address, true)), client, "from outside, source kept");
            assert!(ask_tcp(address, true).is_some(), "from the host itself to {address}");
            assert!(ask_udp(address, true).is_some());
            for call in bridge_settings() {
                let hairpin = format!("hairpin to {address}, bridge-nf-call={call:?}");
                assert!(inside(&one, || ask_tcp(address, true)).is_some(), "{hairpin}");
                assert!(inside(&one, || ask_udp(address, true)).is_some(), "{hairpin}");
                assert!(inside(&two, || ask_tcp(address, true)).is_some(), "a neighbour, {hairpin}");
            }
        }
        network.detach(&first).unwrap();
        for address in host(8080) {
            assert_eq!(inside(&outside, || ask_tcp(address, false)), None, "closed after detach");
        }
    });
}

/// A bridge that hands its packets to the firewall, and one that does not; a host that cannot is as it is.
fn bridge_settings() -> impl Iterator<Item = Option<u8>> {
    let can = std::path::Path::new("/proc/sys/net/bridge").exists();
    let settings = if can { vec![Some(1), Some(0)] } else { vec![None] };
    settings.into_iter().inspect(|setting| {
        if let Some(call) = setting {
            run(&format!("for f in /proc/sys/net/bridge/bridge-nf-call-*tables; do echo {call} >$f; done"));
        }
    })
}

#[test]
fn one_host_address_only() {
    on_a_host(|| {
        let outside = outside();
        run("ip addr add 198.51.100.2/24 dev uplink");
        let network = network("addressed");
        let host_ip = Some("198.51.100.2".parse().unwrap());
        let _pod = server(&network, &[HostPort { host_ip, ..port(Protocol::Tcp, 8080) }]);
        assert!(inside(&outside, || ask_tcp("198.51.100.2:8080".parse().unwrap(), true)).is_some());
        assert_eq!(inside(&outside, || ask_tcp(host(8080)[0], false)), None);
    });
}

#[test]
fn only_host_ports_are_open_from_outside() {
    on_a_host(|| {
        let outside = outside();
        let network = network("closed");
        let (_netns, attachment) = server(&network, &both(8080));
        inside(&outside, || {
            run(&format!(
                "ip route add {}/32 via {HOST4}; ip -6 route add {}/128 via {HOST6}",
                attachment.v4,
                attachment.v6.unwrap()
            ))
        });
        let direct = [at(attachment.v4, 80), at(attachment.v6.unwrap(), 80)];
        for address in direct {
            assert_eq!(inside(&outside, || ask_tcp(address, false)), None, "routed past the host ports to {address}");
        }
        let table = run("nft list tables").trim().replacen("table ", "", 1);
        run(&format!("nft flush chain {table} forward"));
        for address in direct {
            assert!(inside(&outside, || ask_tcp(address, true)).is_some(), "control: without the wall");
        }
    });
}

#[test]
fn a_taken_port_is_named() {
    on_a_host(|| {
        let network = network("conflict");
        let (_first, attachment) = server(&network, &both(8080));
        let before = run("nft list ruleset");
        let second = namespace();
        let wanted = [port(Protocol::Tcp, 9090), port(Protocol::Udp, 8080)];
        let error = network.attach(second.as_fd(), &wanted).unwrap_err();
        assert!(matches!(&error, NetworkError::HostPort { port, source: None, .. } if *port == wanted[1]), "{error}");
        assert_eq!(error.to_string(), "bind host port udp 0.0.0.0:8080: another Pod has it");
        assert_eq!(run("nft list ruleset"), before, "9090 was not opened either");
        network.detach(&attachment).unwrap();
        network.attach(namespace().as_fd(), &wanted).expect("control: free again");
    });
}

#[test]
fn a_port_that_anybody_else_bound_is_an_error_at_once() {
    on_a_host(|| {
        for (protocol, version) in
            [(Protocol::Tcp, "[::]:8080"), (Protocol::Tcp, "127.0.0.1:8080"), (Protocol::Udp, "0.0.0.0:8080")]
        {
            let tcp = (protocol == Protocol::Tcp).then(|| at_last(|| std::net::TcpListener::bind(version)));
            let udp = (protocol == Protocol::Udp).then(|| at_last(|| std::net::UdpSocket::bind(version)));
            let error = bind_host_port(&port(protocol, 8080)).unwrap_err();
            assert!(error.to_string().starts_with("bind host port"), "{error}");
            drop((tcp, udp));
            let bound = at_last(|| bind_host_port(&port(protocol, 8080)));
            assert_eq!(bound.len(), 2, "control: IPv4 and IPv6");
        }
    });
}

/// A port that was just closed is still held by whatever another test's thread has forked and not yet executed.
fn at_last<T, E: std::fmt::Debug>(bind: impl Fn() -> Result<T, E>) -> T {
    for _ in 0..500 {
        if let Ok(bound) = bind() {
            return bound;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    bind().unwrap()
}

#[test]
fn a_port_whose_connections_linger_can_be_bound_again() {
    on_a_host(|| {
        let sockets = bind_host_port(&port(Protocol::Tcp, 8080)).unwrap();
        let client = std::net::TcpStream::connect("127.0.0.1:8080").unwrap();
        let listener = std::net::TcpListener::from(sockets.into_iter().next().unwrap());
        listener.set_nonblocking(false).unwrap();
        drop(listener.accept().unwrap());
        drop(client);
        drop(listener);
        let lingering = run("ss -tan state time-wait state fin-wait-2 | grep -c :8080 || true");
        assert_ne!(lingering.trim(), "0", "control: something lingers");
        bind_host_port(&port(Protocol::Tcp, 8080)).unwrap();
    });
}

#[test]
fn an_old_udp_flow_is_not_answered_after_removal() {
    on_a_host(|| {
        let outside = outside();
        let network = network("flows");
        let (_netns, attachment) = server(&network, &both(8080));
        for address in host(8080) {
            let client = inside(&outside, || udp_client(address));
            assert!(ask_udp_with(&client, address, true).is_some());
        }
        let clients = host(8080).map(|address| (inside(&outside, || udp_client(address)), address));
        for (client, address) in &clients {
            assert!(ask_udp_with(client, *address, true).is_some());
        }
        let table = run("nft list tables").trim().replacen("table ", "", 1);
        run(&format!("nft flush map {table} ports4; nft flush map {table} ports6"));
        for (client, address) in &clients {
            assert!(ask_udp_with(client, *address, true).is_some(), "control: the flow survives its rule");
        }
        network.detach(&attachment).unwrap();
        for (client, address) in &clients {
            assert_eq!(ask_udp_with(client, *address, false), None, "{address} still answers");
        }
    });
}
