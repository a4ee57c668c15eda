//! The Pods' network, for real: bridges, links, host ports and firewall tables in hosts of the tests' own.
//!
//! Each test has a network namespace as its host, a second one as the outside world, and one for each Pod; the `nft`
//! and `ip` programs, which dwell does not use, say what the kernel really holds.

mod firewall;
mod ports;
mod relay;
mod sctp;
mod world;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Instant;

use dwell::network::{Attachment, Network, NetworkConfig, bind_host_port};
use dwell_spec::plan::pod::HostPort;
use dwell_spec::pod::Protocol;

use world::*;

fn network(id: &str) -> Network {
    Network::open(&NetworkConfig { id: id.into() }).unwrap()
}

fn port(protocol: Protocol, host_port: u16) -> HostPort {
    HostPort { host_ip: None, host_port, container_port: 80, protocol }
}

fn both(host_port: u16) -> [HostPort; 2] {
    [port(Protocol::Tcp, host_port), port(Protocol::Udp, host_port)]
}

fn pod(network: &Network, ports: &[HostPort]) -> (Namespace, Attachment) {
    let netns = namespace();
    let attachment = network.attach(netns.as_fd(), ports).unwrap();
    (netns, attachment)
}

fn server(network: &Network, ports: &[HostPort]) -> (Namespace, Attachment) {
    let (netns, attachment) = pod(network, ports);
    serve_tcp(&netns, "[::]:80".parse().unwrap());
    serve_udp(&netns, "[::]:80".parse().unwrap());
    (netns, attachment)
}

fn at(address: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(address.into(), port)
}

fn host(port: u16) -> [SocketAddr; 2] {
    [at(HOST4.parse::<IpAddr>().unwrap(), port), at(HOST6.parse::<IpAddr>().unwrap(), port)]
}

#[test]
fn pods_reach_the_host_and_each_other_in_both_versions() {
    on_a_host(|| {
        let network = network("reach");
        let (one, first) = server(&network, &[]);
        let (two, second) = pod(&network, &[]);
        assert_ne!(first.v4, second.v4);
        for address in [IpAddr::from(first.v4), first.v6.unwrap().into()] {
            assert!(ask_tcp(at(address, 80), true).is_some(), "the host asks {address}");
            assert_eq!(inside(&two, || ask_tcp(at(address, 80), true)).map(|ip| ip.is_ipv4()), Some(address.is_ipv4()));
            assert!(inside(&two, || ask_udp(at(address, 80), true)).is_some());
        }
        assert!(inside(&one, || ask_tcp("127.0.0.1:80".parse().unwrap(), true)).is_some(), "loopback is up");
        assert!(inside(&one, || ask_tcp("[::1]:80".parse().unwrap(), true)).is_some());
        let setting = inside(&one, || {
            run("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv6/conf/eth0/accept_ra")
        });
        assert_eq!(setting, "0\n0\n");
        assert!(!inside(&one, || run("ip -6 addr show dev eth0")).contains("tentative"));
    });
}

#[test]
fn what_pods_send_outside_carries_the_hosts_address() {
    on_a_host(|| {
        let outside = outside();
        serve_tcp(&outside, "[::]:80".parse().unwrap());
        let network = network("masquerade");
        let (netns, _) = pod(&network, &[]);
        for (server, host) in [(OUTSIDE4, HOST4), (OUTSIDE6, HOST6)] {
            let seen = inside(&netns, || ask_tcp(at(server.parse::<IpAddr>().unwrap(), 80), true));
            assert_eq!(seen, Some(host.parse().unwrap()), "asked {server}");
        }
        assert_eq!(network.forwarding_failure(), None);
    });
}

#[test]
fn a_forged_source_does_not_leave() {
    on_a_host(|| {
        let outside = outside();
        let network = network("forged");
        let (netns, attachment) = pod(&network, &[]);
        let heard = inside(&outside, || std::net::UdpSocket::bind("0.0.0.0:9").unwrap());
        heard.set_read_timeout(Some(std::time::Duration::from_millis(400))).unwrap();
        inside(&netns, || run("ip addr add 203.0.113.5/32 dev lo"));
        let send = |source: &str| {
            inside(&netns, || std::net::UdpSocket::bind((source, 0)).unwrap().send_to(b"!", (OUTSIDE4, 9)))
        };
        run(
            "sysctl -qw net.ipv4.conf.all.rp_filter=0; for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$f; done",
        );
        send("203.0.113.5").unwrap();
        assert!(heard.recv(&mut [0; 8]).is_err(), "a forged datagram arrived");
        send(&attachment.v4.to_string()).unwrap();
        assert!(heard.recv(&mut [0; 8]).is_ok(), "control: its own address");
    });
}

#[test]
fn two_networks_side_by_side_do_not_meet() {
    on_a_host(|| {
        let before = inventory();
        let (one, two) = (network("left"), network("right"));
        let (left, first) = server(&one, &both(8080));
        let (right, second) = server(&two, &both(8081));
        assert_ne!(one.bridge(), two.bridge());
        assert_ne!(first.v4.octets()[..3], second.v4.octets()[..3]);
        assert_eq!(inside(&left, || ask_tcp(at(second.v4, 80), false)), None, "no way between bridges");
        let gateway = Ipv4Addr::from_bits((second.v4.to_bits() & !1023) + 1);
        assert!(inside(&left, || ask_tcp(at(gateway, 8081), true)).is_some(), "control: but through the host port");
        one.detach(&first).unwrap();
        drop(left);
        assert!(one.close_if_unused().unwrap());
        assert!(ask_tcp(at(second.v4, 80), true).is_some(), "the other goes on");
        assert!(!two.close_if_unused().unwrap(), "in use");
        two.detach(&second).unwrap();
        drop(right);
        assert!(two.close_if_unused().unwrap());
        settled(&before);
    });
}

#[test]
fn a_stranger_with_our_name_keeps_it() {
    on_a_host(|| {
        let empty = inventory();
        let first = network("stranger");
        let (netns, attachment) = pod(&first, &[]);
        let name = first.bridge().unwrap();
        first.detach(&attachment).unwrap();
        drop(netns);
        first.close_if_unused().unwrap();
        settled(&empty);
        run(&format!("ip link add {name} type bridge"));
        let before = inventory();
        let second = network("stranger");
        assert_eq!(second.bridge(), None);
        let (netns, attachment) = pod(&second, &[]);
        assert_ne!(second.bridge(), Some(name.clone()));
        second.detach(&attachment).unwrap();
        drop(netns);
        second.close_if_unused().unwrap();
        settled(&before);
    });
}

#[test]
fn a_subnet_in_use_is_left_alone() {
    on_a_host(|| {
        let first = network("taken");
        let (_, attachment) = pod(&first, &[]);
        first.detach(&attachment).unwrap();
        first.close_if_unused().unwrap();
        run(&format!(
            "ip link add other type bridge; ip link set other up; ip addr add {}/24 dev other",
            attachment.v4
        ));
        let second = network("taken");
        let (_netns, moved) = pod(&second, &[]);
        assert_ne!(moved.v4.to_bits() >> 10, attachment.v4.to_bits() >> 10);
    });
}

#[test]
fn a_new_node_takes_over_and_cleans_up() {
    on_a_host(|| {
        let before = inventory();
        let first = network("recover");
        let (_kept, kept) = server(&first, &both(8080));
        let (gone, _) = server(&first, &both(8081));
        drop(first);
        drop(gone);
        let second = network("recover");
        second.adopt(kept.clone());
        second.settle().unwrap();
        let listing = run("nft list ruleset");
        assert!(listing.contains("8080") && !listing.contains("8081"), "{listing}");
        let host = at(Ipv4Addr::from_bits((kept.v4.to_bits() & !1023) + 1), 8080);
        assert!(ask_tcp(host, true).is_some(), "the host port works on");
        let (third, new) = pod(&second, &[]);
        assert_ne!(new.v4, kept.v4);
        drop((second, third, _kept));
        let last = network("recover");
        last.settle().unwrap();
        settled(&before);
    });
}

#[test]
fn without_ipv6_pods_have_ipv4_alone() {
    on_a_host(|| {
        run("echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
        let network = network("four");
        let (_netns, attachment) = server(&network, &both(8080));
        assert_eq!(attachment.v6, None);
        assert!(ask_tcp(at(attachment.v4, 80), true).is_some());
        assert_eq!(bind_host_port(&port(Protocol::Tcp, 8082)).unwrap().len(), 1);
    });
}

#[test]
fn a_link_that_learnt_its_route_goes_on_listening() {
    on_a_host(|| {
        let _outside = outside();
        run("ip -6 route del default; ip -6 route add default via 2001:db8::9 dev uplink proto ra");
        let _pod = pod(&network("listening"), &[]);
        assert_eq!(
            run("cat /proc/sys/net/ipv6/conf/uplink/accept_ra /proc/sys/net/ipv6/conf/all/forwarding"),
            "2\n1\n"
        );
    });
}

#[test]
fn the_table_reads_back_as_it_was_meant() {
    on_a_host(|| {
        let network = network("listing");
        let (_netns, attachment) = pod(&network, &both(8080));
        // Without /etc/protocols `nft` prints numbers.
        let listing = run("nft list ruleset").replace(" 6 . ", " tcp . ").replace(" 17 . ", " udp . ");
        for expected in [
            format!("tcp . 8080 : {} . 80", attachment.v4),
            format!("udp . 8080 : {} . 80", attachment.v6.unwrap()),
            "fib daddr type local".into(),
            "type nat hook output priority -100; policy accept;".into(),
            "masquerade".into(),
            format!("oifname \"{}\" ct state new ct status", network.bridge().unwrap()),
        ] {
            assert!(listing.contains(&expected), "{expected} is not in:\n{listing}");
        }
    });
}

/// Says how long attaching takes; asserts nothing about it.
#[test]
fn attaching_a_hundred_pods() {
    on_a_host(|| {
        let before = inventory();
        let network = network("many");
        let started = Instant::now();
        let first = pod(&network, &[]);
        println!("first attach, bridge and table included: {:?}", started.elapsed());
        let mut stalls = 0;
        let mut pods = vec![first];
        let mut times = Vec::new();
        for number in 0..100 {
            let netns = namespace();
            let ports = both(10_000 + number);
            let started = Instant::now();
            let attachment = network.attach(netns.as_fd(), if number % 2 == 0 { &[] } else { &ports }).unwrap();
            times.push((number % 2, started.elapsed()));
            let started = Instant::now();
            let gateway = at(Ipv4Addr::from_bits((attachment.v4.to_bits() & !1023) + 1), 9);
            inside(&netns, || ask_tcp(gateway, true));
            stalls += usize::from(started.elapsed().as_millis() > 500);
            pods.push((netns, attachment));
        }
        for kind in [0, 1] {
            let mut of_kind: Vec<_> = times.iter().filter(|(found, _)| *found == kind).map(|(_, time)| *time).collect();
            of_kind.sort();
            println!(
                "attach with {} host ports: min {:?} median {:?} max {:?}",
                kind * 2,
                of_kind[0],
                of_kind[25],
                of_kind[49]
            );
        }
        println!("connections at once after attaching that took over half a second: {stalls} of 100");
        pods.iter().for_each(|(_, attachment)| network.detach(attachment).unwrap());
        drop(pods);
        let started = Instant::now();
        assert!(network.close_if_unused().unwrap());
        println!("close: {:?}", started.elapsed());
        settled(&before);
    });
}

/// The kernel removes links of dead namespaces in the background; everything must be as before in the end.
fn settled(before: &str) {
    for _ in 0..100 {
        if inventory() == before {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(inventory(), before);
}
