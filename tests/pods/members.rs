//! Native members: output, exit statuses, what a failure says.

use dwell_tests::node::Node;

use crate::{native, shell};

#[test]
fn output_is_passed_byte_for_byte_and_the_exit_status_is_the_pods() {
    let node = Node::new();
    let said = node.run(&shell(&node, "one", "Never", "printf 'a\\nb'; printf 'wrong' >&2; exit 3"));
    assert_eq!((said.out.as_str(), said.code), ("a\nb", 3), "{said:#?}");
    assert!(said.err.contains("wrong"), "{said:#?}");
}

#[test]
fn a_program_that_does_not_exist_is_127_with_a_plain_sentence() {
    let node = Node::new();
    let root = dwell_tests::rootfs::busybox(&node.files());
    let image = format!("rootfs:{}", root.display());
    let missing = node.dwell(&["run", "--image", &image, "--name", "missing", "--", "/bin/nothing"]);
    assert_eq!(missing.code, 127, "{missing:#?}");
    assert!(missing.err.contains("/bin/nothing"), "{missing:#?}");
    std::fs::write(root.join("etc/plain"), "no program").unwrap();
    let refused = node.dwell(&["run", "--image", &image, "--name", "refused", "--", "/etc/plain"]);
    assert_eq!(refused.code, 126, "{refused:#?}");
}

/// Whoever loads a large table into shared memory shares it with the other containers of the Pod, as everywhere.
#[test]
fn members_share_their_memory_and_pods_do_not() {
    let node = Node::new();
    let writes = "echo shared > /dev/shm/table; head -c 70000000 /dev/zero > /dev/shm/much; wc -c < /dev/shm/much";
    let reads = "until [ -e /dev/shm/table ]; do sleep 0.02; done; cat /dev/shm/table";
    let pod = |name: &str, script: &str| shell(&node, name, "Never", script);
    node.start(&(pod("both", reads) + &native(&node, "writes", writes, "")));
    node.wait_for("both", "its members' ends", |pod| {
        let all = pod["status"]["containerStatuses"].as_array();
        all.is_some_and(|all| all.iter().all(|one| one["state"]["terminated"].is_object()))
    });
    assert_eq!(node.dwell(&["logs", "-c", "main", "both"]).ok(), "shared\n");
    assert_eq!(
        node.dwell(&["logs", "-c", "writes", "both"]).ok().lines().last(),
        Some("67104768"),
        "64 MiB and no more"
    );
    assert_eq!(node.run(&pod("other", "ls -A /dev/shm | wc -l; stat -c %a /dev/shm")).ok(), "0\n1777\n");
    let larger =
        "    volumeMounts: [{name: shm, mountPath: /dev/shm}]\n  volumes: [{name: shm, emptyDir: {medium: Memory}}]\n";
    let said =
        node.run(&(pod("larger", "head -c 70000000 /dev/zero > /dev/shm/much && wc -c < /dev/shm/much") + larger));
    assert_eq!(said.ok(), "70000000\n", "control: a volume of its own comes first");
}

#[test]
fn a_signal_is_128_and_more() {
    let node = Node::new();
    let said = node.run(&shell(&node, "signal", "Never", "sh -c 'kill -TERM $$$$'; exit $?"));
    assert_eq!(said.code, 143, "{said:#?}");
}

#[test]
fn init_containers_run_in_order_before_the_rest() {
    let node = Node::new();
    let root = dwell_tests::rootfs::busybox(&node.files());
    let image = format!("rootfs:{}", root.display());
    let container = |name: &str, script: &str| {
        format!(
            "  - name: {name}\n    image: {image}\n    command: [sh, -c, {script:?}]\n    volumeMounts: [{{name: v, mountPath: /v}}]\n"
        )
    };
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: order}}\nspec:\n  restartPolicy: Never\n  volumes: [{{name: v, emptyDir: {{}}}}]\n  \
         initContainers:\n{}{}  containers:\n{}",
        container("first", "echo one > /v/log"),
        container("second", "echo two >> /v/log"),
        container("main", "cat /v/log"),
    );
    let said = node.run(&manifest);
    assert_eq!(said.code, 0, "{said:#?}");
    assert!(said.out.contains("one") && said.out.find("one") < said.out.find("two"), "{said:#?}");
}

#[test]
fn a_failed_init_container_fails_the_pod_and_nothing_else_starts() {
    let node = Node::new();
    let root = dwell_tests::rootfs::busybox(&node.files());
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: stuck}}\nspec:\n  restartPolicy: Never\n  initContainers:\n  - name: bad\n    \
         image: rootfs:{0}\n    command: [sh, -c, exit 9]\n  containers:\n  - name: main\n    image: rootfs:{0}\n    command: [echo, started]\n",
        root.display()
    );
    let said = node.run(&manifest);
    assert_eq!(said.code, 9, "{said:#?}");
    assert!(!said.out.contains("started"), "{said:#?}");
    assert_eq!(node.pod("stuck")["status"]["phase"], "Failed");
}

#[test]
fn writes_never_reach_the_image() {
    let node = Node::new();
    let root = dwell_tests::rootfs::busybox(&node.files());
    node.run(&shell(&node, "writer", "Never", "echo new > /etc/new; rm /etc/passwd; test ! -e /etc/passwd")).ok();
    assert!(!root.join("etc/new").exists() && root.join("etc/passwd").exists(), "the image was changed");
}

#[test]
fn an_out_of_memory_kill_is_recognised() {
    let node = Node::new();
    let manifest = shell(&node, "hungry", "Never", "tail /dev/zero") + "    resources: {limits: {memory: 32Mi}}\n";
    let said = node.run(&manifest);
    assert_eq!(said.code, 137, "{said:#?}");
    let pod = node.pod("hungry");
    assert_eq!(pod["status"]["containerStatuses"][0]["state"]["terminated"]["reason"], "OOMKilled", "{pod:#}");
}
