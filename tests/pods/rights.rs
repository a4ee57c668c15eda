//! Who a member runs as and what it may do, asked of the kernel from inside; the default beside each change.

use dwell_tests::node::{Node, Said};

use crate::{shell, wasm};

/// A Pod whose container and Pod have these security contexts (JSON), and which prints this.
fn with(node: &Node, name: &str, container: &str, pod: &str, script: &str) -> String {
    let plain = shell(node, name, "Never", script);
    let spec = format!("spec:\n  securityContext: {pod}\n");
    plain.replacen("spec:\n", &spec, 1) + &format!("    securityContext: {container}\n")
}

fn run(node: &Node, name: &str, container: &str, pod: &str) -> Said {
    let script = "grep -E '^(Cap(Bnd|Eff)|NoNewPrivs|Seccomp|Groups|Uid):' /proc/self/status";
    node.run(&with(node, name, container, pod, script))
}

/// The value of a line of `/proc/self/status`, white space once.
fn value(said: &Said, name: &str) -> String {
    let line = said.out.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    let line = line.unwrap_or_else(|| panic!("no {name}: {said:#?}"));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn capabilities_are_added_and_dropped() {
    let node = Node::new();
    let of = |name: &str, context: &str| {
        let said = run(&node, name, context, "{}");
        (value(&said, "CapBnd"), value(&said, "CapEff"))
    };
    let usual = "00000000a80425fb".to_owned();
    assert_eq!(of("usual", "{}"), (usual.clone(), usual.clone()));
    let net = "0000000000001000".to_owned();
    assert_eq!(of("net", "{capabilities: {add: [NET_ADMIN], drop: [ALL]}}"), (net.clone(), net));
    let none = "0000000000000000".to_owned();
    assert_eq!(of("user", "{runAsUser: 7}"), (usual, none.clone()));
    assert_eq!(of("none", "{capabilities: {drop: [ALL]}}"), (none.clone(), none));
}

#[test]
fn an_added_capability_works_and_a_dropped_one_does_not() {
    let node = Node::new();
    let script = "ip link set lo mtu 1400 2>&1; cat /sys/class/net/lo/mtu; chown 1 /tmp 2>&1 || echo no chown";
    let usual = node.run(&with(&node, "usual", "{}", "{}", script));
    assert!(usual.out.contains("65536") && !usual.out.contains("no chown"), "{usual:#?}");
    let changed = "{capabilities: {add: [NET_ADMIN], drop: [CHOWN]}}";
    let changed = node.run(&with(&node, "changed", changed, "{}", script));
    assert!(changed.out.contains("1400") && changed.out.contains("no chown"), "{changed:#?}");
}

#[test]
fn privileges_can_be_gained_only_where_that_is_written() {
    let node = Node::new();
    let usual = run(&node, "usual", "{}", "{}");
    assert_eq!((value(&usual, "NoNewPrivs"), value(&usual, "Seccomp")), ("1".into(), "2".into()));
    let gains = run(&node, "gains", "{allowPrivilegeEscalation: true, runAsUser: 5}", "{}");
    assert_eq!((value(&gains, "NoNewPrivs"), value(&gains, "Seccomp")), ("0".into(), "2".into()), "still filtered");
}

#[test]
fn the_filter_can_be_left_out_for_the_pod_or_one_container() {
    let node = Node::new();
    let seccomp = |name: &str, container: &str, pod: &str| value(&run(&node, name, container, pod), "Seccomp");
    let unconfined = "{seccompProfile: {type: Unconfined}}";
    assert_eq!(seccomp("container", unconfined, "{}"), "0");
    assert_eq!(seccomp("pod", "{}", unconfined), "0");
    assert_eq!(seccomp("back", "{seccompProfile: {type: RuntimeDefault}}", unconfined), "2");
}

#[test]
fn the_pods_groups_join_the_images_or_stand_alone() {
    let node = Node::new();
    let root = dwell_tests::rootfs::busybox(&node.files());
    std::fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\napp:x:7:8::/:/bin/sh\n").unwrap();
    std::fs::write(root.join("etc/group"), "video:x:44:app\n").unwrap();
    let groups = |name: &str, pod: &str| value(&run(&node, name, "{runAsUser: 7}", pod), "Groups");
    assert_eq!(groups("image", "{}"), "8 44");
    assert_eq!(groups("merge", "{supplementalGroups: [99]}"), "8 44 99");
    assert_eq!(groups("strict", "{supplementalGroups: [99], supplementalGroupsPolicy: Strict}"), "8 99");
}

#[test]
fn root_is_refused_where_it_must_not_be() {
    let node = Node::new();
    let said = run(&node, "root", "{runAsNonRoot: true}", "{}");
    assert!(said.code == 125 && said.err.contains("must not run as root"), "{said:#?}");
    let end = node.pod("root")["status"]["containerStatuses"][0]["state"]["terminated"].clone();
    assert_eq!(end["reason"], "CreateContainerConfigError", "{end:#}");
    let said = run(&node, "other", "{runAsNonRoot: true}", "{runAsUser: 7}");
    assert_eq!(value(&said, "Uid"), "7 7 7 7", "control");
}

#[test]
fn an_exec_has_its_members_rights() {
    let node = Node::new();
    let manifest = with(&node, "long", "{capabilities: {add: [NET_ADMIN]}}", "{supplementalGroups: [5]}", "sleep 300");
    node.start(&manifest);
    node.wait_for_phase("long", "Running");
    let said = node.dwell(&["exec", "long", "--", "cat", "/proc/self/status"]);
    assert_eq!((value(&said, "CapEff"), value(&said, "Groups")), ("00000000a80435fb".into(), "0 5".into()));
}

#[test]
fn what_a_wasm_member_cannot_have_is_refused_with_its_path() {
    let node = Node::new();
    let module = |context: &str| wasm::pod("w", "hello.wasm", "[]", &format!("    securityContext: {context}\n"));
    for (context, path) in [
        ("{capabilities: {add: [NET_ADMIN]}}", "securityContext.capabilities.add"),
        ("{allowPrivilegeEscalation: true}", "securityContext.allowPrivilegeEscalation"),
        ("{seccompProfile: {type: Unconfined}}", "securityContext.seccompProfile"),
    ] {
        let said = node.run(&module(context));
        assert!(said.code == 125 && said.err.contains(path), "{said:#?}");
    }
    let said = node.run(&module("{capabilities: {drop: [ALL]}, runAsNonRoot: true, runAsUser: 9}"));
    assert_eq!(said.code, 0, "control: {said:#?}");
}
