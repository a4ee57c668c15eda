//! Names of kernel parameters, which are written in two ways (sysctl(8)).

/// With dots where there were slashes, and the other way round: `net.ipv4.conf.eth0/7.arp_filter` is the path
/// `net/ipv4/conf/eth0.7/arp_filter`.
#[must_use]
pub fn separators_swapped(name: &str) -> String {
    let swapped = name.chars().map(|c| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    });
    swapped.collect()
}
