//! A firewall of the host's that stops Pods is named, and the rules that are named let them through.

use dwell::host::firewall::{Obstacle, obstacles};
use dwell_sys::netlink::{Family, Socket};

use crate::world::*;
use crate::{at, both, host, network, pod, server};

fn found() -> Vec<Obstacle> {
    obstacles(&mut Socket::open(Family::Netfilter).unwrap()).unwrap()
}

/// Whether Pods reach the outside and are reached from it: the truth that the finding must agree with.
fn passes() -> (bool, bool) {
    let outside = outside();
    serve_tcp(&outside, "[::]:80".parse().unwrap());
    let network = network("walled");
    let (client, _) = pod(&network, &[]);
    let _server = server(&network, &both(8080));
    let out = inside(&client, || ask_tcp(at(OUTSIDE4.parse::<std::net::IpAddr>().unwrap(), 80), false)).is_some();
    let into = inside(&outside, || ask_tcp(host(8080)[0], false)).is_some();
    (out, into)
}

fn try_wall(ruleset: &str, chain: &str) {
    on_a_host(|| {
        run(ruleset);
        let obstacles = found();
        assert_eq!(obstacles.len(), 1, "{obstacles:?}");
        assert_eq!(obstacles[0].chain, chain);
        assert_eq!(passes(), (false, false), "control: it does stop Pods");
    });
    on_a_host(|| {
        run(ruleset);
        found()[0].rules.iter().for_each(|rule| drop(run(rule)));
        assert_eq!(found(), [], "nothing is in the way any more");
        assert_eq!(passes(), (true, true), "and that is true");
    });
}

#[test]
fn a_drop_policy_of_iptables_is_named() {
    // What `iptables-nft -P FORWARD DROP` makes, with a chain of rules as docker and kubelets add them.
    let ruleset = "nft add table ip filter; \
                   nft add chain ip filter FORWARD '{ type filter hook forward priority 0; policy drop; }'; \
                   nft add chain ip filter DOCKER; nft add rule ip filter FORWARD counter jump DOCKER";
    try_wall(ruleset, "ip filter FORWARD");
}

#[test]
fn a_drop_policy_of_nftables_is_named() {
    let ruleset =
        "nft add table inet fw; nft add chain inet fw pass '{ type filter hook forward priority 0; policy drop; }'";
    try_wall(ruleset, "inet fw pass");
}

#[test]
fn a_last_rule_that_rejects_is_named() {
    let ruleset = "nft add table inet fw; nft add chain inet fw pass '{ type filter hook forward priority 0; }'; \
                   nft add rule inet fw pass ct state invalid drop; nft add rule inet fw pass counter reject";
    try_wall(ruleset, "inet fw pass");
}

#[test]
fn a_firewall_that_lets_pods_through_is_not() {
    on_a_host(|| {
        run("nft add table inet fw; nft add chain inet fw pass '{ type filter hook forward priority 0; }'; \
             nft add rule inet fw pass ct state invalid drop; nft add chain inet fw other");
        assert_eq!(found(), []);
        assert_eq!(passes(), (true, true));
    });
}

#[test]
fn each_direction_is_named_by_itself() {
    on_a_host(|| {
        run("nft add table inet fw; nft add chain inet fw in '{ type filter hook input priority 0; policy drop; }'; \
             nft add chain inet fw out '{ type filter hook output priority 0; policy drop; }'; \
             nft add rule inet fw out oifname \"dwell-*\" accept");
        let obstacles = found();
        assert_eq!(obstacles.len(), 1, "what is let out already is not named: {obstacles:?}");
        assert_eq!(obstacles[0].rules, ["nft insert rule inet fw in iifname \"dwell-*\" accept"]);
    });
}
