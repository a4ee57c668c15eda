//! The network: the host's loopback, devices and abstract sockets are the host's; `hostNetwork` is every control.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dwell_tests::node::Node;

use crate::manifest::{Manifest, native, wasm};
use crate::member::Member;
use crate::probe;

fn pod(name: &str, on_host: bool, containers: &[String]) -> String {
    let pod = Manifest::new(name).spec(&format!("hostNetwork: {on_host}"));
    containers.iter().cloned().fold(pod, Manifest::with).text()
}

/// A service of the host's on its loopback: counts who comes, and answers "host".
fn host_service() -> (u16, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let (port, count) = (listener.local_addr().expect("an address").port(), Arc::new(AtomicU32::new(0)));
    let counter = count.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counter.fetch_add(1, Ordering::Relaxed);
            let Ok(mut stream) = stream else { continue };
            let _ = stream.write_all(b"host\n");
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    (port, count)
}

#[test]
fn a_native_member_does_not_reach_the_hosts_loopback() {
    let node = Node::new();
    let (port, count) = host_service();
    let script = format!(
        "for to in 127.0.0.1 $(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p'); do nc -w 2 $to {port} </dev/null; done; true"
    );
    let run = |name: &str, on_host| node.run(&pod(name, on_host, &[native(&node, "main", &script, &[])])).ok();
    assert_eq!((run("apart", false).as_str(), count.load(Ordering::Relaxed)), ("", 0));
    let said = run("on-host", true);
    assert!(said.starts_with("host\n") && count.load(Ordering::Relaxed) > 0, "control: {said}");
}

#[test]
fn a_wasm_member_does_not_reach_the_hosts_loopback() {
    let node = Node::new();
    let (port, count) = host_service();
    let ask = wasm("main", "net.wasm", &["ask", "127.0.0.1", &port.to_string(), "who"], &[]);
    // Somebody of the Pod's own answers on the same port there.
    let server = native(&node, "server", &format!("echo pod | nc -l -p {port}"), &[]);
    let said = node.run(&pod("apart", false, &[ask.clone(), server]));
    assert!(said.code == 0 && said.out.contains("pod"), "{said:#?}");
    assert_eq!(count.load(Ordering::Relaxed), 0);
    let said = node.run(&pod("on-host", true, &[ask])).ok();
    assert_eq!((said.as_str(), count.load(Ordering::Relaxed)), ("host\n", 1), "control");
}

#[test]
fn devices_and_routes_are_the_pods_own_and_cannot_be_changed() {
    let node = Node::new();
    let list = "ls /sys/class/net | tr '\\n' ' '; ip -o link | wc -l";
    let script = format!(
        "{list}; (ip link set lo mtu 1400; ip route del default; ip addr add 10.9.9.9/32 dev eth0) 2>&1; echo over; exec sleep 600"
    );
    node.start(&pod("apart", false, &[native(&node, "main", &script, &[])]));
    let member = Member::of(&node, "apart", "main", "sleep");
    let said = node.printed("apart", "main", "over\n");
    assert!(said.starts_with("eth0 lo 2\n"), "{said}");
    assert_eq!(said.matches("not permitted").count(), 3, "{said}");
    assert_eq!(member.inside("ip link set lo mtu 1400"), "", "control: whoever holds CAP_NET_ADMIN may");
    let said = node.run(&pod("on-host", true, &[native(&node, "main", list, &[])])).ok();
    assert_eq!(said, probe::host_script(list), "control: on the host's network its devices are there");
}

#[test]
fn namespaces_are_the_pods() {
    let node = Node::new();
    let both = [native(&node, "main", "exec sleep 600", &[]), wasm("guest", "spin.wasm", &[], &[])];
    node.start(&pod("apart", false, &both));
    let [native, guest] = [("main", "sleep"), ("guest", "dwell-worker")]
        .map(|(container, comm)| Member::of(&node, "apart", container, comm));
    let own = Member { pid: std::process::id() as i32 };
    for kind in ["mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        assert_ne!(native.namespace(kind), own.namespace(kind), "{kind} of the native member");
        assert_ne!(guest.namespace(kind), own.namespace(kind), "{kind} of the Wasm member");
    }
    for kind in ["net", "ipc", "uts"] {
        assert_eq!(native.namespace(kind), guest.namespace(kind), "control: {kind} is shared");
    }
    for kind in ["mnt", "pid"] {
        assert_ne!(native.namespace(kind), guest.namespace(kind), "{kind} is each member's own");
    }
    node.start(&pod("on-host", true, &both));
    let member = Member::of(&node, "on-host", "main", "sleep");
    assert_eq!(member.namespace("net"), own.namespace("net"), "control");
}

#[test]
fn abstract_sockets_of_the_host_and_of_other_pods_are_out_of_reach() {
    let node = Node::new();
    probe::install(&node);
    let name = format!("walls-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(name.as_bytes()).expect("an address");
    let _listener = UnixListener::bind_addr(&address).expect("binds");
    let script = format!("probe connect {name}; grep -c {name} /proc/net/unix; true");
    let run = |pod_name: &str, on_host| node.run(&pod(pod_name, on_host, &[native(&node, "main", &script, &[])])).ok();
    assert_eq!(run("apart", false), "connect: errno 111 Connection refused\n0\n");
    assert_eq!(run("on-host", true), "connect: ok\n2\n", "control");
}
