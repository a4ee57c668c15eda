//! Huge pages: what is mounted, how many a member may have, and who is told that there are none. How many the host has is
//! never changed here: where it has some, members use them.

use std::fs;

use dwell_tests::member::Member;
use dwell_tests::node::{Node, wait_until};

use crate::{guest, native};

const MI: u64 = 1 << 20;

/// A Pod with a volume `v` of this medium, and these containers.
fn pod(name: &str, medium: &str, containers: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n  \
         terminationGracePeriodSeconds: 1\n  volumes: [{{name: v, emptyDir: {{{medium}}}}}]\n  containers:\n{containers}"
    )
}

/// Lines of a container that asks for so many pages, and has the volume at `/v`.
fn asks(pages: &str) -> String {
    format!(
        "    resources: {{limits: {{memory: 64Mi, {pages}}}}}\n    volumeMounts: [{{name: v, mountPath: /v}}]\n    env:\n    \
         - {{name: MOST, valueFrom: {{resourceFieldRef: {{resource: limits.hugepages-2Mi, divisor: 1Mi}}}}}}\n"
    )
}

fn number(file: &str) -> u64 {
    let text = fs::read_to_string(format!("/sys/kernel/mm/hugepages/hugepages-2048kB/{file}")).unwrap();
    text.trim().parse().unwrap()
}

/// What the host has of 2Mi.
fn capacity() -> u64 {
    (number("nr_hugepages") + number("nr_overcommit_hugepages")) * 2 * MI
}

#[test]
fn a_volume_in_huge_pages_holds_what_was_asked_for_and_no_more() {
    let node = Node::new();
    let look = "grep ' /v ' /proc/mounts; echo $MOST; fallocate -l 2097152 /v/f && echo one too many";
    let said = node.run(&pod("none", "medium: HugePages", &native(&node, "main", look, &asks("hugepages-2Mi: 0"))));
    assert!(said.out.contains(" hugetlbfs ") && said.out.contains("pagesize=2M"), "{said:?}");
    assert!(said.out.ends_with("\n0\n") && said.err.contains("No space left"), "{said:?}");
    if capacity() < 4 * MI {
        return;
    }
    let free = number("free_hugepages");
    let use_them = "fallocate -l 4194304 /v/f && echo $MOST; fallocate -l 6291456 /v/g && echo one too many";
    let main = native(&node, "main", use_them, &asks("hugepages-2Mi: 4Mi"));
    let said = node.run(&pod("some", "medium: HugePages-2Mi", &main));
    assert!(said.out == "4\n" && said.err.contains("No space left"), "{said:?}");
    assert!(wait_until(|| number("free_hugepages") >= free), "all came back");
}

#[test]
fn who_did_not_ask_for_huge_pages_has_none() {
    let node = Node::new();
    let script = "exec sleep 600";
    node.start(&pod("plain", "", &native(&node, "main", script, "")));
    node.wait_for_phase("plain", "Running");
    let member = Member::of(&node, "plain", "main", "sleep");
    // Its own limit, or the Pod's, which holds for all in it.
    let limits = member.cgroup("hugetlb").ancestors().take(2).flat_map(limits).collect::<Vec<_>>();
    let on_host = fs::read_to_string("/proc/cgroups").unwrap_or_default().contains("hugetlb");
    assert_eq!(limits.iter().any(|limit| limit == "0"), on_host, "{limits:?}");
}

fn limits(group: &std::path::Path) -> Vec<String> {
    let files = ["hugetlb.2MB.max", "hugetlb.2MB.limit_in_bytes"];
    let read = |file: &&str| fs::read_to_string(group.join(file)).ok();
    files.iter().filter_map(read).map(|text| text.trim().to_owned()).collect()
}

#[test]
fn pages_that_the_host_has_not_are_named_with_what_helps() {
    let node = Node::new();
    let too_many = format!("hugepages-2Mi: {}", capacity() + 2 * MI);
    let said = node.run(&pod("many", "medium: HugePages", &native(&node, "main", "true", &asks(&too_many))));
    for words in ["OutOfhugepages-2Mi", "used by other Pods: 0", "nr_hugepages"] {
        assert!(said.code == 125 && said.err.contains(words), "{said:?}");
    }
    let said = node.run(&pod("size", "", &native(&node, "main", "true", &asks("hugepages-8Ki: 8Ki"))));
    assert!(said.code == 125 && said.err.contains("this kernel has no huge pages of 8Ki"), "{said:?}");
}

#[test]
fn a_wasm_member_is_told_that_it_can_use_none() {
    let node = Node::new();
    let asks = "    resources: {limits: {memory: 64Mi, hugepages-2Mi: 0}}\n";
    let said = node.run(&pod("module", "", &guest("main", "hello.wasm", "[]", asks)));
    assert!(said.code == 125 && said.err.contains("a Wasm member's memory never lies in huge pages"), "{said:?}");
    // Found out when its program is looked at.
    let root = dwell_tests::rootfs::busybox(&node.files());
    fs::copy(dwell_tests::guest::path("hello.wasm"), root.join("bin/hello")).unwrap();
    let found =
        |more: &str| format!("  - name: main\n    image: rootfs:{}\n    command: [/bin/hello]\n{more}", root.display());
    let said = node.run(&pod("found", "", &found(asks)));
    assert!(said.code == 125 && said.err.contains("a Wasm member's memory never lies in huge pages"), "{said:?}");
    let mounts = "    volumeMounts: [{name: v, mountPath: /v}]\n";
    let beside = native(&node, "other", "true", "    resources: {limits: {memory: 64Mi, hugepages-2Mi: 0}}\n");
    let said = node.run(&pod("files", "medium: HugePages", &(found(mounts) + &beside)));
    assert!(said.err.contains("a Wasm member cannot use files in huge pages"), "{said:?}");
}
